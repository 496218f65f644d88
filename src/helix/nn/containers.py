"""Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .. import _core
from ..tensor import Tensor
from .activation import ReLU
from .channelnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from .conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .linear import Linear
from .module import Module, is_plain
from .parameter import Parameter
from .pooling import MaxPool1d, MaxPool2d, MaxPool3d

MAX_POOLS = {MaxPool1d, MaxPool2d, MaxPool3d}
# Layers whose result is a tensor of its own, which no gradient reads.
MAKERS = {Linear, Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d}
MAKERS |= {BatchNorm1d, BatchNorm2d, BatchNorm3d}
WORTH_KEEPING = 8192  # elements: less are in cache anyway


class _Indexed(Module):
    """Sub-modules named 0, 1, 2, …"""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter([self.__dict__[name] for name in self._modules])

    def _name_at(self, index: int) -> str:
        names = list(self._modules)
        try:
            return names[index]
        except IndexError:
            raise IndexError(f"index {index} is outside a {type(self).__name__} of {len(names)}") from None

    def __getitem__(self, index: int | slice):
        if isinstance(index, slice):
            return type(self)(*self._taken(index)) if isinstance(self, Sequential) else type(self)(self._taken(index))
        return self.__dict__[self._name_at(index)]

    def _taken(self, index: slice) -> list[Module]:
        return [self.__dict__[name] for name in list(self._modules)[index]]

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._name_at(index), module)

    def append(self, module: Module):
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]):
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module):
        return self._refill([*list(self)[:index], module, *list(self)[index:]])

    def __delitem__(self, index: int | slice) -> None:
        kept = list(self)
        del kept[index]
        self._refill(kept)

    def _refill(self, modules: list[Module]):
        for name in list(self._modules):
            delattr(self, name)
        return self.extend(modules)


class Sequential(_Indexed):
    """Layers one after the other: `Sequential(Linear(2, 8), ReLU())`, or an ordered dict of named layers.

    A ReLU before a max pool is computed after it, and one after a linear, convolution or batch norm layer in the memory of
    that layer's result, unless either has hooks or a forward of its own: results and gradients have the same bits, for
    less work.
    """

    def __init__(self, *layers: Module | Mapping[str, Module]) -> None:
        alone = layers[0] if len(layers) == 1 else None
        named = alone if isinstance(alone, Mapping) else {str(i): layer for i, layer in enumerate(layers)}
        for name, layer in named.items():
            if not isinstance(layer, Module):
                raise TypeError(f"Sequential: layer {name!r} is a {type(layer).__name__}, not an nn.Module")
            self.add_module(name, layer)

    def forward(self, input):
        attributes = self.__dict__
        before = waiting = None  # a ReLU that can wait until the pool after it has made the tensor small
        for name in self._modules:
            layer = attributes[name]
            if waiting is not None:
                if type(layer) in MAX_POOLS and is_plain(layer) and not layer.return_indices:
                    input = waiting(layer(input))
                else:
                    input = layer(_rectified(waiting, input, before))
                waiting = None
            elif type(layer) is ReLU and is_plain(layer):
                waiting = layer
                continue
            else:
                input = layer(input)
            before = layer
        return input if waiting is None else _rectified(waiting, input, before)

    def __getitem__(self, index):
        if isinstance(index, slice):
            names = list(self._modules)[index]
            return type(self)(OrderedDict((name, self.__dict__[name]) for name in names))
        return super().__getitem__(index)


def _rectified(relu: ReLU, x: Tensor, maker: Module | None) -> Tensor:
    """In the memory of x where nobody else has it. (A trace is kept free of writes.)"""
    if maker is None or type(maker) not in MAKERS or x.numel() < WORTH_KEEPING:
        return relu(x)
    return relu(x, owned=is_plain(maker) and not _core.tracing())


class ModuleList(_Indexed):
    """A list of modules that its owner finds."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        self.extend(modules or ())


class ModuleDict(Module):
    """A dict of modules that its owner finds."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module]) -> None:
        for name, module in modules.items():
            self[name] = module

    def __getitem__(self, name: str) -> Module:
        if name not in self._modules:
            raise KeyError(name)
        return self.__dict__[name]

    def __setitem__(self, name: str, module: Module) -> None:
        if hasattr(type(self), name) or name.startswith("_"):
            raise KeyError(f"{name!r} cannot be a key of a ModuleDict: it is a name that Module itself uses")
        self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        delattr(self, name)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._modules))

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def keys(self):
        return self._modules.keys()

    def values(self) -> list[Module]:
        return [self.__dict__[name] for name in self._modules]

    def items(self) -> list[tuple[str, Module]]:
        return [(name, self.__dict__[name]) for name in self._modules]


class ParameterList(Module):
    """A list of parameters that its owner finds; tensors become parameters."""

    def __init__(self, values: Iterable | None = None) -> None:
        self.extend(values or ())

    def append(self, value) -> ParameterList:
        self.register_parameter(str(len(self)), _parameter(value))
        return self

    def extend(self, values: Iterable) -> ParameterList:
        for value in values:
            self.append(value)
        return self

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Parameter]:
        return iter([self.__dict__[name] for name in self._parameters])

    def __getitem__(self, index: int) -> Parameter:
        return self.__dict__[list(self._parameters)[index]]

    def __setitem__(self, index: int, parameter: Parameter) -> None:
        setattr(self, list(self._parameters)[index], parameter)

    def extra_repr(self) -> str:
        return "\n".join(f"({i}): Parameter of shape {tuple(p.shape)}" for i, p in enumerate(self))


class ParameterDict(Module):
    """A dict of parameters that its owner finds; tensors become parameters.

    Example:
        >>> parts = helix.nn.ParameterDict({"scale": helix.ones(2), "shift": helix.zeros(2)})
        >>> [name for name, _ in parts.named_parameters()]
        ['scale', 'shift']
    """

    def __init__(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None) -> None:
        self.update(parameters or {})

    def update(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        for name, parameter in parameters.items() if hasattr(parameters, "items") else parameters:
            self[name] = parameter

    def __getitem__(self, name: str) -> Parameter:
        if name not in self._parameters:
            raise KeyError(name)
        return self.__dict__[name]

    def __setitem__(self, name: str, parameter) -> None:
        if hasattr(type(self), name) or name.startswith("_"):
            raise KeyError(f"{name!r} cannot be a key of a ParameterDict: it is a name that Module itself uses")
        self.register_parameter(name, _parameter(parameter))

    def __delitem__(self, name: str) -> None:
        delattr(self, name)

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._parameters))

    def __contains__(self, name: object) -> bool:
        return name in self._parameters

    def keys(self):
        return self._parameters.keys()

    def values(self) -> list[Parameter]:
        return [self.__dict__[name] for name in self._parameters]

    def items(self) -> list[tuple[str, Parameter]]:
        return [(name, self.__dict__[name]) for name in self._parameters]

    def pop(self, name: str) -> Parameter:
        parameter = self[name]
        del self[name]
        return parameter

    def get(self, name: str, default: Any = None) -> Any:
        return dict(self.items()).get(name, default)

    def extra_repr(self) -> str:
        return "\n".join(f"({name}): Parameter of shape {tuple(p.shape)}" for name, p in self.items())


def _parameter(value) -> Parameter:
    return value if isinstance(value, Parameter) else Parameter(value)
