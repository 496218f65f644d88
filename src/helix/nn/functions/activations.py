"""Activations with torch's `inplace`, and softmax without a dim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import _core
from ...errors import ParameterError
from ...tensor import Tensor
from .refuse import refuse

__all__ = [
    "celu",
    "elu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "silu",
    "softmax",
    "softmin",
    "tanh",
    "threshold",
]


def _named(function: Callable[..., Any], name: str, plain: Any) -> Any:
    function.__name__ = function.__qualname__ = name
    parameters = f"{name}{plain.__signature__}"
    function.__doc__ = (plain.__doc__ or "").replace(parameters, parameters[:-1] + ", inplace=False)", 1)
    return function


def _without_parameters(name: str) -> Any:
    plain, in_place = _core.op_named(name), _core.op_named(name + "_")

    def activation(input: Tensor, inplace: bool = False) -> Tensor:
        return in_place(input) if inplace else plain(input)

    return _named(activation, name, plain)


relu = _without_parameters("relu")
relu6 = _without_parameters("relu6")
hardsigmoid = _without_parameters("hardsigmoid")
hardswish = _without_parameters("hardswish")
mish = _without_parameters("mish")
selu = _without_parameters("selu")
silu = _without_parameters("silu")


def _with_alpha(name: str) -> Any:
    plain, in_place = _core.op_named(name), _core.op_named(name + "_")

    def activation(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
        return in_place(input, alpha) if inplace else plain(input, alpha)

    return _named(activation, name, plain)


celu = _with_alpha("celu")
elu = _with_alpha("elu")

_leaky_relu, _leaky_relu_ = _core.op_named("leaky_relu"), _core.op_named("leaky_relu_")
_hardtanh, _hardtanh_ = _core.op_named("hardtanh"), _core.op_named("hardtanh_")
_threshold, _threshold_ = _core.op_named("threshold"), _core.op_named("threshold_")


def _leaky(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    return _leaky_relu_(input, negative_slope) if inplace else _leaky_relu(input, negative_slope)


def _clipped(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    if min_val > max_val:
        refuse(ParameterError, "hardtanh", f"min_val must not be above max_val, got {min_val} and {max_val}.")
    return _hardtanh_(input, min_val, max_val) if inplace else _hardtanh(input, min_val, max_val)


def _above(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    return _threshold_(input, threshold, value) if inplace else _threshold(input, threshold, value)


leaky_relu = _named(_leaky, "leaky_relu", _leaky_relu)
hardtanh = _named(_clipped, "hardtanh", _hardtanh)
threshold = _named(_above, "threshold", _threshold)


def _over_dim(name: str) -> Any:
    plain = _core.op_named(name)

    def function(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
        if dim is None:
            dim = 0 if input.ndim in (0, 1, 3) else 1
        return plain(input, dim, dtype)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"{plain.__doc__.rstrip()}\n\nWithout a dim: 0 for 0, 1 or 3 axes, else 1, as in torch's old code."
    )
    return function


softmax = _over_dim("softmax")
softmin = _over_dim("softmin")
log_softmax = _over_dim("log_softmax")
tanh = _core.op_named("tanh")
