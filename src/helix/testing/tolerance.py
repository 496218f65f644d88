"""How far a device's result may be from the CPU's in float64: one table, by op, dtype and how many numbers are added up."""

from __future__ import annotations

import math
from typing import Any

import numpy

UNIT = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24, "float64": 2.0**-53}
"""Half the distance from 1 to the next number: the error of one correct rounding."""

ULPS = 32.0
"""Roundings that a result may be off, where the table has no entry for its op."""

BY_OP = {
    "tanh": 64.0, "erf": 64.0, "sin": 64.0, "cos": 64.0, "tan": 128.0, "pow": 256.0, "erfinv": 512.0,
    "lgamma": 2048.0, "digamma": 2048.0, "trigamma": 4096.0, "logcumsumexp": 128.0, "cumprod": 128.0, "prod": 128.0,
    "add": 2.0, "mul": 2.0, "div": 4.0, "neg": 0.5, "abs": 0.5, "sqrt": 4.0, "floor": 0.5, "ceil": 0.5, "round": 2.0,
    "softmax": 128.0, "log_softmax": 128.0, "layer_norm": 512.0, "rms_norm": 256.0, "batch_norm": 512.0,
    "group_norm": 512.0, "instance_norm": 512.0, "scaled_dot_product_attention": 512.0, "gelu": 128.0,
    "cross_entropy": 256.0, "adam_step": 256.0, "var": 256.0, "std": 256.0, "lerp": 64.0,
}  # fmt: skip

_SUMS = (
    "sum matmul cumsum conv conv_backward_input conv_backward_weight mean addmm baddbmm bmm mm mv dot linear index_add "
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d scatter_add bilinear einsum"
)
SUMS = frozenset(_SUMS.split())
"""Ops whose error grows with the numbers that are added up; small float types are added up in float32."""


def bounds(op: str, dtype: str, length: int = 1) -> tuple[float, float]:
    """Relative and absolute tolerance of a result of `op` in `dtype`, each of whose elements adds up `length` numbers."""
    unit = UNIT.get(dtype.replace("complex64", "float32").replace("complex128", "float64"), 0.0)
    relative = unit * BY_OP.get(op, ULPS)
    if op in SUMS:
        inner = unit if unit < 2.0**-20 else UNIT["float32"]
        relative = 2 * unit + inner * (4.0 + 2.0 * math.sqrt(length) + 0.5 * length)
    return relative, relative


def compare(got: numpy.ndarray, wanted: numpy.ndarray, tolerance: tuple[float, float]) -> str:
    """What is wrong, or "". Not-a-numbers and infinities must stand in the same places."""
    if got.shape != wanted.shape:
        return f"the shape is {got.shape}, not {wanted.shape}"
    if not got.size:
        return ""
    kind: Any = numpy.complex128 if "c" in (got.dtype.kind, wanted.dtype.kind) else numpy.float64
    if got.dtype.kind in "biu" and wanted.dtype.kind in "biu":
        wrong = got != wanted
    else:
        a, b = got.astype(kind), wanted.astype(kind)
        relative, absolute = tolerance
        with numpy.errstate(all="ignore"):
            scale = float(numpy.nanmax(numpy.abs(b[numpy.isfinite(b)]), initial=0.0))
            near = numpy.isfinite(a) & (numpy.abs(a - b) <= absolute * max(scale, 1e-30) + relative * numpy.abs(b))
            near &= numpy.isfinite(b)
            wrong = ~(near | (a == b) | (numpy.isnan(a) & numpy.isnan(b)))
    if not wrong.any():
        return ""
    at = tuple(int(i) for i in numpy.argwhere(wrong)[0])
    return f"{int(wrong.sum())} of {got.size} values differ, first at {at}: {got[at]!r}, not {wanted[at]!r}"
