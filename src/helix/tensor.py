"""Tensor, and its methods that are written in Python: conversions between dtypes and devices."""

from __future__ import annotations

import builtins

from helix import _core
from helix._core import Tensor
from helix.errors import ArgumentError, ParameterError
from helix.layouts import check

__all__ = ["Tensor"]

# A later version of the standard adds to the earlier ones; what they broke between these is the type of some sequences.
SERVED_VERSIONS = ("2022.12", "2023.12", "2024.12", "2025.12")


def to(self, *args, dtype=None, device=None, copy=False, non_blocking=False, memory_format=None):
    """The tensor as another dtype, on another device, or both; itself when nothing changes.

    Takes `to(dtype)`, `to(device)`, `to(device, dtype)` or `to(other)`. `copy` makes a new tensor in any case;
    `non_blocking` is accepted and changes nothing on the CPU.
    """
    check("to", "memory_format", memory_format)
    if args and isinstance(args[-1], builtins.bool):  # to(device, dtype, non_blocking, copy), as far as given
        flags = [a for a in args if isinstance(a, builtins.bool)]
        args, copy = args[: -len(flags)], copy or (len(flags) > 1 and flags[1])
    device, dtype = _destination(args, device, dtype)
    result = self
    if dtype is not None and self.dtype is not dtype:
        result = _core.op_named("cast")(result, dtype)
    if device is not None and result.device != device:
        result = _core.copy_to_device(result, device)
    return _core.op_named("clone")(self) if copy and result is self else result


def _destination(args, device, dtype):
    """Device and dtype from what stands in the arguments of `to`."""
    for argument in args:
        if argument is None:
            continue
        if isinstance(argument, Tensor):
            given = {"device": argument.device, "dtype": argument.dtype}
        elif isinstance(argument, (_core.device, str)) and not _is_dtype_name(argument):
            given = {"device": argument}
        else:
            given = {"dtype": argument}
        if ("device" in given and device is not None) or ("dtype" in given and dtype is not None):
            raise ArgumentError("HX1103 to: got several devices or dtypes.", op="to", code="HX1103")
        device, dtype = given.get("device", device), given.get("dtype", dtype)
    if device is not None:
        device = _core.device(device) if isinstance(device, str) else device
    return device, None if dtype is None else _core.as_dtype(dtype)


def _is_dtype_name(text):
    return isinstance(text, str) and hasattr(_core, text) and isinstance(getattr(_core, text), _core.dtype)


def type_as(self, other):
    """The tensor as the dtype of `other`."""
    return to(self, other.dtype)


def type(self, dtype=None):
    """The tensor as `dtype`; without one, the dtype."""
    return self.dtype if dtype is None else to(self, dtype)


def cpu(self, memory_format=None):
    """The tensor in host memory."""
    check("cpu", "memory_format", memory_format)
    return to(self, device="cpu")


def to_device(self, device, /, *, stream=None):
    """The tensor on another device; itself when it is there. `stream` is not used: helix orders its own."""
    return to(self, device=device)


def array_namespace(self, *, api_version=None):
    """`helix.array_api`, the array API standard's namespace; ParameterError (HX1403) for a version that it is not.

    Example:
        >>> helix.ones(2).__array_namespace__().__array_api_version__
        '2025.12'
    """
    from helix import array_api

    if api_version not in (None, *SERVED_VERSIONS):
        text = f"HX1403 __array_namespace__: versions {', '.join(SERVED_VERSIONS)} are served, not {api_version!r}."
        raise ParameterError(text, op="__array_namespace__", code="HX1403")
    return array_api


def _caster(name, dtype):
    def cast(self, memory_format=None):
        check(name, "memory_format", memory_format)
        return to(self, dtype)

    cast.__name__ = cast.__qualname__ = name
    cast.__doc__ = f"The tensor as {dtype.name}."
    return cast


def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False):
    """A new tensor of `data`, by default with the dtype and device of this one."""
    return _core.tensor(data, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad)


def is_same_size(self, other):
    """True when both have the same shape."""
    return self.shape == other.shape


METHODS = {
    "__array_namespace__": array_namespace,
    "to_device": to_device,
    "to": to,
    "type": type,
    "type_as": type_as,
    "cpu": cpu,
    "new_tensor": new_tensor,
    "is_same_size": is_same_size,
    **{
        name: _caster(name, dtype)
        for name, dtype in (
            ("float", _core.float32),
            ("double", _core.float64),
            ("half", _core.float16),
            ("bfloat16", _core.bfloat16),
            ("int", _core.int32),
            ("long", _core.int64),
            ("short", _core.int16),
            ("char", _core.int8),
            ("byte", _core.uint8),
            ("bool", _core.bool),
            ("cfloat", _core.complex64),
            ("cdouble", _core.complex128),
        )
    },
}
_core.add_methods(METHODS)
