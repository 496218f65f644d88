"""Names the layer in errors: which module of the network an input did not fit, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import HelixError, ShapeError

if TYPE_CHECKING:
    from .module import Module


class LayerError(ShapeError):
    """HX1004: an input does not fit a layer. `.layer` is the layer, `.module_path` its dotted path in the network."""

    def __init__(self, layer: Module, reason: str, cause: Exception | None = None) -> None:
        self.layer, self.reason = layer, reason
        self._child = layer
        self.hint = ""
        super().__init__(str(self), op=type(layer).__name__, code="HX1004")
        if isinstance(cause, HelixError):
            self.argument, self.expected, self.got, self.axis = cause.argument, cause.expected, cause.got, cause.axis

    def __reduce__(self):
        return ShapeError, (str(self),), self.facts  # the layer itself does not travel

    def __str__(self) -> str:
        kind = type(self.layer).__name__
        where = f"{self.module_path} ({kind})" if self.module_path else kind
        return f"HX1004 {where}: {self.reason}{self.hint}"


def locate(module: Module, error: HelixError | IndexError, args: tuple) -> None:
    """Called by every module an error passes on its way out: the outermost that knows a reason raises it, and those
    around it give the path. An IndexError, as of an axis that is not there, stays one where nobody knows a reason.
    (No frame keeps the new error: it would keep the frame's tensors, as a cycle.)"""
    reason = _reason(module, args)
    if reason is not None:
        raise LayerError(module, reason, error) from error
    if not isinstance(error, HelixError):
        return
    if isinstance(error, LayerError):
        _extend(module, error)
        return
    name = _name_of(error._child, module)
    error.layer = error.layer if error.layer is not None else module
    error.module_path = _join(name, error.module_path)
    error._child = module
    if error.module_path:
        error.__notes__ = [f"in module {error.module_path} ({type(error.layer).__name__})"]


def _reason(module: Module, args: tuple) -> str | None:
    """What `misfit` says; an input that it cannot even look at gives no reason."""
    try:
        return module.misfit(*args)
    except (AttributeError, TypeError, IndexError):
        return None


def _extend(module: Module, error: LayerError) -> None:
    name = _name_of(error._child, module)
    if not error.module_path and name:
        error.hint = _earlier(module, name, error.layer)
    error.module_path = _join(name, error.module_path)
    error._child = module
    error.args = (str(error),)


def _join(outer: str, inner: str) -> str:
    return ".".join(part for part in (outer, inner) if part)


def _name_of(child: Module | None, module: Module) -> str:
    return next((name for name, value in module.named_children() if value is child), "")


def _earlier(module: Module, name: str, layer: Module) -> str:
    """The last layer before `name` that says how many features it gives."""
    giver = None
    for sibling, value in module.named_children():
        if sibling == name:
            break
        for attribute in ("out_channels", "out_features", "num_features"):
            if isinstance(getattr(value, attribute, None), int):
                giver = (sibling, getattr(value, attribute))
    return f" An earlier layer, {giver[0]}, gives {giver[1]}." if giver else ""


def describe(tensor) -> str:
    """ "Input (16, 64, 28, 28) float32 cpu." for messages."""
    if not hasattr(tensor, "shape"):
        return f"Input is a {type(tensor).__name__}."
    dtype = str(tensor.dtype).rpartition(".")[2]
    return f"Input {tuple(tensor.shape)} {dtype} {tensor.device}."
