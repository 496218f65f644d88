"""Parametrizations: a parameter that is computed from other tensors each time it is read, under torch's names.

`module.weight` becomes what a Module makes of `module.parametrizations.weight.original` (or `.original0`, `.original1`, …
where its `right_inverse` gives several). Assigning to `module.weight` goes through `right_inverse`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...autograd import no_grad
from ...tensor import Tensor
from ..containers import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Parameter


def _put(owner: Module, name: str, tensor: Tensor, trained: bool, requires_grad: bool) -> None:
    """A parameter where the tensor that is replaced was one, else a buffer."""
    if trained:
        owner.register_parameter(name, Parameter(tensor.detach(), requires_grad))
    else:
        owner.register_buffer(name, tensor.detach())


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, first to last, and the tensors that they start from."""

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        super().__init__(modules)
        self.unsafe = unsafe
        with no_grad():
            first = self._inverse(original, strict=False)
        trained, requires_grad = isinstance(original, Parameter), original.requires_grad
        self.is_tensor = isinstance(first, Tensor)
        if self.is_tensor and first is original:
            (self.register_parameter if trained else self.register_buffer)("original", original)
        elif self.is_tensor:
            _put(self, "original", first, trained, requires_grad)
        else:
            for i, tensor in enumerate(first):
                _put(self, f"original{i}", tensor, trained, requires_grad)
        self.ntensors = 1 if self.is_tensor else len(first)
        if not unsafe:
            _same_kind(original, self(), "Registering a parametrization")

    def _inverse(self, value: Any, strict: bool) -> Any:
        for module in reversed(list(self)):
            if hasattr(module, "right_inverse"):
                value = module.right_inverse(value)
            elif strict:
                raise RuntimeError(f"the parametrization {type(module).__name__} has no right_inverse")
        return value

    def originals(self) -> list[Tensor]:
        names = ["original"] if self.is_tensor else [f"original{i}" for i in range(self.ntensors)]
        return [self.__dict__[name] for name in names]

    def right_inverse(self, value: Tensor) -> None:
        """Sets the original tensors so that the parametrized one becomes `value`, as far as it can."""
        with no_grad():
            found = self._inverse(value, strict=True)
            for original, tensor in zip(self.originals(), [found] if self.is_tensor else found, strict=True):
                original.copy_(tensor)

    def forward(self) -> Tensor:
        first, *others = list(self)
        value = first(*self.originals())
        for module in others:
            value = module(value)
        return value


def _same_kind(before: Tensor, after: Any, what: str) -> None:
    if not isinstance(after, Tensor):
        raise ValueError(f"A parametrization must return a tensor, got a {type(after).__name__}")
    if (tuple(before.shape), before.dtype) != (tuple(after.shape), after.dtype):
        raise ValueError(
            f"{what} must keep shape and dtype, unless unsafe=True: "
            f"before {tuple(before.shape)} {before.dtype}, after {tuple(after.shape)} {after.dtype}"
        )


_CLASSES: dict[type[Module], type[Module]] = {}


def _parametrized(kind: type[Module]) -> type[Module]:
    """The class of modules of this kind that have parametrizations; `Parametrized<kind>` in repr, as torch has it."""
    if kind in _CLASSES:
        return _CLASSES[kind]

    class Parametrized(kind):  # type: ignore[valid-type, misc]
        def __getattr__(self, name: str) -> Any:
            if is_parametrized(self, name):
                return self.__dict__["parametrizations"][name]()
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

        def __setattr__(self, name: str, value: Any) -> None:
            if is_parametrized(self, name):
                self.__dict__["parametrizations"][name].right_inverse(value)
            else:
                super().__setattr__(name, value)

    Parametrized.__name__ = Parametrized.__qualname__ = f"Parametrized{kind.__name__}"
    _CLASSES[kind] = Parametrized
    return Parametrized


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the module, or this tensor of it, is parametrized."""
    found = module.__dict__.get("parametrizations", ())
    return len(found) > 0 if tensor_name is None else tensor_name in found


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """From now on `module.<tensor_name>` is what `parametrization` makes of it; several follow one another.

    If the parametrization has `right_inverse(value)`, the originals are what it returns, a tensor or several. Fails with
    ValueError where the module has no such parameter or buffer, or shape or dtype would change without `unsafe`.

    Example:
        >>> class Symmetric(helix.nn.Module):
        ...     def forward(self, x):
        ...         return x.triu() + x.triu(1).t()
        >>> layer = helix.nn.Linear(3, 3)
        >>> _ = helix.nn.utils.parametrize.register_parametrization(layer, "weight", Symmetric())
        >>> (layer.weight == layer.weight.t()).all().item(), list(layer.state_dict())
        (True, ['bias', 'parametrizations.weight.original'])
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        chain = module.__dict__["parametrizations"][tensor_name]
        if not unsafe:
            value = getattr(module, tensor_name)
            _same_kind(value, parametrization(value), "Registering a parametrization")
        chain.append(parametrization)
        chain.unsafe |= unsafe
        return module
    if not isinstance(module.__dict__.get(tensor_name), Tensor):
        raise ValueError(f"{type(module).__name__} has no parameter or buffer named {tensor_name!r}")
    chain = ParametrizationList([parametrization], module.__dict__[tensor_name], unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        module.parametrizations = ModuleDict()
        module.__class__ = _parametrized(type(module))
    module.__dict__["parametrizations"][tensor_name] = chain
    return module


def type_before_parametrizations(module: Module) -> type[Module]:
    """The module's class without parametrizations."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Makes the tensor a plain one again: of the value it has now, or with `leave_parametrized=False` its original.

    Fails with ValueError where it is not parametrized, or the original is several tensors and is asked for.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"{type(module).__name__} has no parametrization of {tensor_name!r}")
    chains = module.__dict__["parametrizations"]
    chain = chains[tensor_name]
    if not leave_parametrized and not chain.is_tensor:
        raise ValueError(f"{tensor_name!r} has {chain.ntensors} originals; leave_parametrized must be True")
    original = chain.originals()[0]
    with no_grad():
        value = chain() if leave_parametrized else original
    requires_grad = original.requires_grad
    del chains[tensor_name]
    if not len(chains):
        kind = type(module).__bases__[0]
        delattr(module, "parametrizations")
        module.__class__ = kind
    if chain.is_tensor and value.shape == original.shape:
        with no_grad():
            original.copy_(value)  # an optimizer that holds it goes on with it
        register = module.register_parameter if isinstance(original, Parameter) else module.register_buffer
        register(tensor_name, original)
    else:
        _put(module, tensor_name, value, isinstance(original, Parameter), requires_grad)
    return module
