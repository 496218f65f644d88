"""How the generic op tests learn about an op: one `Sample` (or a few) for each, in `samples/<family>.py`.

From a sample follow: forward against NumPy in float64, every dtype and memory layout, gradcheck and second-order
gradcheck, in-place and `out=` forms, trace-mode shapes, and the checks of error messages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

FLOATS = ("float32", "float64")
HALVES = ("float16", "bfloat16")
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTS = SIGNED + UNSIGNED
COMPLEX = ("complex64", "complex128")


@dataclass(frozen=True)
class T:
    """A tensor argument: its shape and where its values lie. Values are drawn from a fixed seed.

    low, high: range of the values.       dtype: fixed dtype (None: the dtype under test).
    away: every value keeps this distance from these points (kinks and poles).
    distinct: all values differ by at least 0.05 (max, sort).    grad: takes part in gradcheck.
    """

    shape: tuple[int, ...] = ()
    low: float = -2.0
    high: float = 2.0
    dtype: str | None = None
    away: tuple[float, ...] = ()
    margin: float = 0.1
    distinct: bool = False
    grad: bool = True


@dataclass(frozen=True)
class Error:
    """A call that must fail: exception name in helix.errors, HX number, and parts of the message."""

    args: tuple[Any, ...]
    exception: str
    number: int
    parts: tuple[str, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """One op with arguments and the truth about it.

    op: public name; looked up in helix, helix.nn.functional, then as a Tensor method.
    args: T for tensors (a list of T for a list of tensors), anything else is passed as it is.
    ref: the same on NumPy float64/complex128/int arrays with the same args; None: torch's op of that name in float64.
    grad: differentiable in its T(grad=True) arguments.   second: second-order gradcheck too.
    dtypes: of the tensors under test.   broadcasts: also try stretched inputs.   layouts: try the ten memory layouts.
    """

    op: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    ref: Callable[..., Any] | None = None
    grad: bool = True
    second: bool = True
    dtypes: tuple[str, ...] = FLOATS
    layouts: bool = True
    rtol: float | None = None
    atol: float | None = None
    errors: tuple[Error, ...] = ()
    name: str = ""
