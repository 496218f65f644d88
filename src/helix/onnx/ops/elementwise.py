"""Operators that compute element by element."""

from __future__ import annotations

from functools import reduce
from typing import Any

import helix

from ..._core import Tensor
from ..table import op
from ..types import dtype_of
from .common import spread

_UNARY: dict[str, Any] = {
    "Abs": helix.abs, "Acos": helix.acos, "Acosh": helix.acosh, "Asin": helix.asin, "Asinh": helix.asinh, "Atan": helix.atan,
    "Atanh": helix.atanh, "Ceil": helix.ceil, "Cos": helix.cos, "Cosh": helix.cosh, "Erf": helix.erf, "Exp": helix.exp,
    "Floor": helix.floor, "Log": helix.log, "Neg": helix.neg, "Not": helix.logical_not, "Reciprocal": helix.reciprocal,
    "Round": helix.round, "Sign": helix.sign, "Sin": helix.sin, "Sinh": helix.sinh, "Sqrt": helix.sqrt, "Tan": helix.tan,
    "Tanh": helix.tanh, "IsNaN": helix.isnan, "BitwiseNot": helix.bitwise_not, "Det": helix.linalg.det,
}  # fmt: skip
_BINARY: dict[str, Any] = {
    "Add": helix.add, "Sub": helix.sub, "Mul": helix.mul, "And": helix.logical_and, "Or": helix.logical_or, "Xor": helix.logical_xor,
    "Equal": helix.eq, "Less": helix.lt, "LessOrEqual": helix.le, "Greater": helix.gt, "GreaterOrEqual": helix.ge,
    "BitwiseAnd": helix.bitwise_and, "BitwiseOr": helix.bitwise_or, "BitwiseXor": helix.bitwise_xor,
}  # fmt: skip


def _unary(function: Any) -> Any:
    return lambda x: function(x)


def _binary(function: Any) -> Any:
    def compute(call: Any, a: Tensor, b: Tensor) -> Tensor:
        spread(call, a, b)
        return function(a, b)

    return compute


for _name, _function in _UNARY.items():
    op(_name)(_unary(_function))
for _name, _function in _BINARY.items():
    op(_name, since=7)(_binary(_function))


def _aligned(a: Tensor, b: Tensor, axis: int | None, broadcast: int) -> Tensor:
    """The second operand of versions before 7, where the axis at which it begins is told."""
    if not broadcast or axis is None or b.ndim == 0:
        return b
    return b.reshape((*b.shape, *[1] * (a.ndim - axis % max(a.ndim, 1) - b.ndim)))


def _aligned_binary(function: Any) -> Any:
    def compute(call: Any, a: Tensor, b: Tensor, *, axis: int | None = None, broadcast: int = 0) -> Tensor:
        b = _aligned(a, b, axis, broadcast)
        spread(call, a, b)
        return function(a, b)

    return compute


def divide(a: Tensor, b: Tensor) -> Tensor:
    """Integers are divided towards zero."""
    return a / b if a.dtype.is_floating_point or a.dtype.is_complex else helix.div(a, b, rounding_mode="trunc")


def power(a: Tensor, b: Tensor) -> Tensor:
    """In the dtype of the base."""
    if a.dtype == b.dtype:
        return a.pow(b)
    wide = helix.promote_types(a.dtype, b.dtype)
    return a.to(wide).pow(b.to(wide)).to(a.dtype)


for _name in ("Add", "Sub", "Mul", "And", "Or", "Xor", "Equal", "Less", "Greater"):
    op(_name)(_aligned_binary(_BINARY[_name]))
for _name, _function in (("Div", divide), ("Pow", power)):
    op(_name)(_aligned_binary(_function))
    op(_name, since=7)(_binary(_function))


@op("Mod")
def mod(call: Any, a: Tensor, b: Tensor, *, fmod: int = 0) -> Tensor:
    spread(call, a, b)
    return helix.fmod(a, b) if fmod else helix.remainder(a, b)


@op("Max")
def maximum(call: Any, *xs: Tensor) -> Tensor:
    spread(call, *xs)
    return reduce(helix.maximum, xs)


@op("Min")
def minimum(call: Any, *xs: Tensor) -> Tensor:
    spread(call, *xs)
    return reduce(helix.minimum, xs)


@op("Sum")
def total(call: Any, *xs: Tensor) -> Tensor:
    spread(call, *xs)
    return reduce(helix.add, xs)


@op("Mean")
def average(call: Any, *xs: Tensor) -> Tensor:
    spread(call, *xs)
    return reduce(helix.add, xs) / len(xs)


@op("Clip")
def clip_6(x: Tensor, *, min: float = float("-inf"), max: float = float("inf")) -> Tensor:
    return x.clamp(min, max)


@op("Clip", since=11)
def clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    x = x if low is None else helix.maximum(x, low.reshape(()))
    return x if high is None else helix.minimum(x, high.reshape(()))


@op("Where")
def where(call: Any, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    spread(call, condition, a, b)
    return helix.where(condition, a, b)


@op("BitShift")
def bit_shift(call: Any, a: Tensor, b: Tensor, *, direction: str) -> Tensor:
    spread(call, a, b)
    return helix.bitwise_left_shift(a, b) if direction == "LEFT" else helix.bitwise_right_shift(a, b)


@op("IsInf")
def is_inf(x: Tensor, *, detect_negative: int = 1, detect_positive: int = 1) -> Tensor:
    if detect_negative and detect_positive:
        return helix.isinf(x)
    found = helix.isposinf(x) if detect_positive else helix.isneginf(x)
    return found if detect_positive or detect_negative else found & ~found


@op("Cast")
def cast(x: Tensor, *, to: int) -> Tensor:
    return x.to(dtype_of(to))


@op("Cast", since=6)
def cast_6(x: Tensor, *, to: int, saturate: int = 1, round_mode: str = "up") -> Tensor:
    return x.to(dtype_of(to))  # the others say how float8 is rounded


@op("CastLike")
def cast_like(x: Tensor, like: Tensor, *, saturate: int = 1, round_mode: str = "up") -> Tensor:
    return x.to(like.dtype)


@op("BitCast")
def bit_cast(x: Tensor, *, to: int) -> Tensor:
    dtype = dtype_of(to)
    if dtype.itemsize != x.dtype.itemsize:
        raise ValueError(f"{dtype.name} and {x.dtype.name} have other numbers of bits")
    return x.contiguous().view(dtype)


@op("Identity")
def identity(x: Any) -> Any:
    return x
