"""Module: parameters, buffers and sub-modules under dotted names."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from .._core import Called
from ..errors import HelixError
from ..tensor import Tensor
from .misfit import locate
from .moving import move
from .parameter import Buffer, Parameter
from .state import Differences, load_state, state_of

if TYPE_CHECKING:
    from .summary import Summary

# How often attributes of modules changed: what rests on them need not look at each again.
changes = [0]


class Hook:
    """What registering a hook returns; `remove()` takes the hook away again."""

    def __init__(self, module: Module, kind: str, hook: Callable) -> None:
        self._hooks: list[Callable] = module.__dict__.setdefault(kind, [])
        self._hook = hook
        self._hooks.append(hook)
        self._module = weakref.ref(module)
        module.__dict__["_hooked"] = True
        changes[0] += 1

    def remove(self) -> None:
        changes[0] += 1
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)
        module = self._module()
        if module is not None and not (module._forward_pre_hooks or module._forward_hooks):
            module.__dict__.pop("_hooked", None)


def is_plain(layer: Module) -> bool:
    """Whether the layer does what its class says and nobody watches it: then others may do that in its place."""
    return not layer._hooked and "forward" not in layer.__dict__


class Module(Called):
    """The base of all layers and models.

    A subclass makes its parts in `__init__` and says in `forward` what it computes. Parameters, buffers and
    sub-modules live as plain attributes; the module keeps only their names, in the order in which they were set.
    """

    training = True
    # Names only: the values are attributes; each module is made with its own. A buffer's entry says whether state_dict carries it.
    _parameters: dict[str, None]
    _buffers: dict[str, bool]
    _modules: dict[str, None]
    _hooked = False
    _forward_pre_hooks: list[Callable] = []
    _forward_hooks: list[Callable] = []
    _function: Callable[..., Any]  # of layers that are one function of helix.nn.functional

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not say in forward() what it computes")

    def _locate(self, error: Exception, args: tuple) -> None:
        if isinstance(error, (HelixError, IndexError)):
            locate(self, error, args)

    def _call_with_hooks(self, args: tuple, kwargs: dict) -> Any:
        for hook in tuple(self._forward_pre_hooks):
            replaced = hook(self, args)
            if replaced is not None:
                args = replaced if isinstance(replaced, tuple) else (replaced,)
        try:
            result = self.forward(*args, **kwargs)
        except Exception as error:
            self._locate(error, args)
            raise
        for hook in tuple(self._forward_hooks):
            replaced = hook(self, args, result)
            if replaced is not None:
                result = replaced
        return result

    # ---- parts ---------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        changes[0] += 1
        names = self.__dict__
        if isinstance(value, Parameter):
            self._forget(name)
            names["_parameters"][name] = None
        elif isinstance(value, Module):
            self._forget(name)
            names["_modules"][name] = None
        elif isinstance(value, Buffer):
            self.register_buffer(name, value, value.persistent)
            return
        elif value is not None and not isinstance(value, Tensor):
            self._forget(name)
        elif name in names["_parameters"] and value is not None:
            raise TypeError(
                f"{type(self).__name__}.{name} is a parameter; assign an nn.Parameter or None, "
                "or change its values in place under helix.no_grad()"
            )
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        changes[0] += 1
        self._forget(name)
        object.__delattr__(self, name)

    def _forget(self, name: str) -> None:
        for kind in (self._parameters, self._buffers, self._modules):
            kind.pop(name, None)

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Adds a parameter by name; None reserves the name (as `bias=False` does)."""
        changes[0] += 1
        self._forget(name)
        self._parameters[name] = None
        object.__setattr__(self, name, parameter)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Adds a tensor that moves and is saved with the module but is not trained."""
        changes[0] += 1
        self._forget(name)
        self._buffers[name] = persistent
        object.__setattr__(self, name, tensor)

    def add_module(self, name: str, module: Module | None) -> None:
        changes[0] += 1
        self._forget(name)
        self._modules[name] = None
        object.__setattr__(self, name, module)

    register_module = add_module

    def get_submodule(self, path: str) -> Module:
        """The module at a dotted path; "" is this one."""
        module = self
        for name in path.split(".") if path else ():
            if name not in module._modules:
                raise AttributeError(
                    f"{type(module).__name__} has no sub-module {name!r} (asked for {path!r}); "
                    f"it has: {', '.join(module._modules) or 'none'}"
                )
            module = module.__dict__[name]
        return module

    # ---- walking -------------------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        for name in self._modules:
            if (child := self.__dict__[name]) is not None:
                yield name, child

    def children(self) -> Iterator[Module]:
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        seen: set[int] = set()
        waiting = [(prefix, self)]
        while waiting:
            path, module = waiting.pop()
            if remove_duplicate and id(module) in seen:
                continue
            seen.add(id(module))
            yield path, module
            waiting += reversed(
                [(f"{path}.{name}" if path else name, child) for name, child in module.named_children()]
            )

    def modules(self) -> Iterator[Module]:
        return (module for _, module in self.named_modules())

    def _named_tensors(self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool):
        seen: set[int] = set()
        owners = self.named_modules(prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in owners:
            for name in getattr(module, kind):
                tensor = module.__dict__[name]
                if tensor is None or (remove_duplicate and id(tensor) in seen):
                    continue
                seen.add(id(tensor))
                yield f"{path}.{name}" if path else name, tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(dotted name, parameter), each parameter once."""
        return self._named_tensors("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        return (tensor for _, tensor in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        return self._named_tensors("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return (tensor for _, tensor in self.named_buffers(recurse=recurse))

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Calls `function` on every module, children first."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    # ---- state ---------------------------------------------------------------------------------------------

    def state_dict(self, prefix: str = "") -> dict[str, Tensor]:
        """Parameters and persistent buffers under dotted names (torch's), detached, in order."""
        return state_of(self, prefix)

    def load_state_dict(self, state: Mapping[str, Tensor], strict: bool = True, assign: bool = False) -> Differences:
        """Copies `state` into the module; with `assign` the tensors themselves take the old ones' places.

        All missing, unexpected and mismatched names are reported in one error, before anything is changed.
        With `strict=False` missing and unexpected names are returned instead: `(missing, unexpected)`.
        """
        return load_state(self, state, strict, assign)

    def train(self, mode: bool = True) -> Self:
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad = parameter.grad.detach() * 0

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Moves parameters and buffers to a device, and floating-point ones to a dtype.

        Parameters that move are new objects: make optimizers afterwards.
        """
        return move(self, args, kwargs)

    def float(self) -> Self:
        from .. import float32

        return self.to(float32)

    def double(self) -> Self:
        from .. import float64

        return self.to(float64)

    # ---- use -----------------------------------------------------------------------------------------------

    def infer(self, *inputs: Any, batch_size: int | None = None) -> Any:
        """Runs the model in eval mode without recording gradients; in slices of `batch_size` rows if given."""
        from .inference import infer

        return infer(self, inputs, batch_size)

    def register_forward_pre_hook(self, hook: Callable) -> Hook:
        """`hook(module, args)` runs before forward; what it returns, if not None, replaces the arguments."""
        return Hook(self, "_forward_pre_hooks", hook)

    def register_forward_hook(self, hook: Callable) -> Hook:
        """`hook(module, args, result)` runs after forward; what it returns, if not None, replaces the result."""
        return Hook(self, "_forward_hooks", hook)

    def summary(self, *input_shapes: Any, dtype: Any = None, batch_size: int = 1) -> Summary:
        """A table of layers: output shapes, parameters, FLOPs and bytes, for inputs without their batch axis.

        `model.summary((1, 8, 8))` for one input; `dtype=helix.int64` for models that take indices.
        """
        from .summary import summarize

        return summarize(self, input_shapes, dtype, batch_size)

    # ---- text ----------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the brackets of this layer in `repr`."""
        return ""

    def misfit(self, *inputs: Any) -> str | None:
        """Why these inputs do not fit this layer, for error messages; None when they do."""
        return None

    def __repr__(self) -> str:
        extra = self.extra_repr()
        children = [f"({name}): {_indent(repr(self.__dict__[name]))}" for name in self._modules]
        if not children:
            return f"{type(self).__name__}({_indent(extra)})"
        lines = extra.split("\n") + children if extra else children
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"

    def __dir__(self):
        return sorted({*object.__dir__(self), *self._modules})


def _indent(text: str) -> str:
    return text.replace("\n", "\n  ")
