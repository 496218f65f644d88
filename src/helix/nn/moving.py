"""Module.to: parameters and buffers on another device, or floating-point ones in another dtype."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ..autograd import no_grad
from ..tensor import Tensor
from .parameter import Parameter

if TYPE_CHECKING:
    from .module import Module

M = TypeVar("M", bound="Module")


def move(module: M, args: tuple, kwargs: dict) -> M:
    """Puts moved tensors in the places of the old ones; a shared tensor stays shared, one that fits stays itself."""
    from .module import changes

    device, dtype = _device_and_dtype(args, kwargs)
    changes[0] += 1
    moved: dict[int, Tensor] = {}
    for owner in module.modules():
        for name in (*owner._parameters, *owner._buffers):
            tensor = owner.__dict__[name]
            if tensor is None:
                continue
            if id(tensor) not in moved:
                moved[id(tensor)] = _moved(tensor, device, dtype)
            owner.__dict__[name] = moved[id(tensor)]
    return module


def _moved(tensor: Tensor, device, dtype) -> Tensor:
    wanted = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
    place = tensor.device if device is None else device
    if wanted == tensor.dtype and str(place) == str(tensor.device):
        return tensor
    with no_grad():
        new = tensor.to(device=place, dtype=wanted)
    return Parameter(new, tensor.requires_grad) if isinstance(tensor, Parameter) else new


def _device_and_dtype(args: tuple, kwargs: dict):
    from .._core import dtype as kind

    device, dtype = kwargs.get("device"), kwargs.get("dtype")
    for arg in args:
        if isinstance(arg, Tensor):
            device, dtype = arg.device, arg.dtype
        elif isinstance(arg, kind):
            dtype = arg
        elif arg is not None:
            device = arg
    return device, dtype
