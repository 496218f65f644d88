"""Products of matrices by cuBLAS: what of a call fits its one function, and the call of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cffi import FFI

from . import libraries

ffi = FFI()
ffi.cdef("""
typedef int cublasStatus_t; typedef void *cublasHandle_t;
cublasStatus_t cublasCreate_v2(cublasHandle_t *); cublasStatus_t cublasDestroy_v2(cublasHandle_t);
cublasStatus_t cublasSetStream_v2(cublasHandle_t, void *); const char *cublasGetStatusName(cublasStatus_t);
cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t, int, int, int, int, int, const void *, const void *, int, int,
    long long, const void *, int, int, long long, const void *, void *, int, int, long long, int, int, int);
""")
MAJORS = (13, 12)
TYPES = {"float32": 0, "float64": 1, "float16": 2, "bfloat16": 14}  # cudaDataType_t
COMPUTE_32F, COMPUTE_64F, DEFAULT_ALGORITHM = 68, 70, -1
LARGEST = (1 << 31) - 1
ONE = {d: ffi.new("double *" if d == "float64" else "float *", 1.0) for d in TYPES}
ZERO = {d: ffi.new("double *" if d == "float64" else "float *", 0.0) for d in TYPES}


@dataclass(frozen=True)
class Operand:
    """A batch of matrices whose rows (or, turned, columns) are whole. Distances in elements."""

    turned: bool
    leading: int
    distance: int


@dataclass(frozen=True)
class Product:
    """Rows of the left, columns of the right, and what they share; `count` of them."""

    rows: int
    columns: int
    shared: int
    count: int
    left: Operand
    right: Operand


def product(call: Any) -> Product | None:
    """A call of matmul in cuBLAS's terms; None when it has no such form."""
    left, right = call.inputs
    out = call.outputs[0]
    if out.numel == 0 or left.numel == 0 or not out.contiguous or left.dtype != right.dtype:
        return None
    vector = len(right.shape) == 1
    a_shape, a_strides = ((1, *left.shape), (0, *left.strides)) if len(left.shape) == 1 else (left.shape, left.strides)
    b_shape, b_strides = ((*right.shape, 1), (*right.strides, 0)) if vector else (right.shape, right.strides)
    batch = out.shape[: len(out.shape) - (len(left.shape) > 1) - (not vector)]
    rows, shared, columns = a_shape[-2], a_shape[-1], b_shape[-1]
    a = _operand(a_shape, a_strides, batch)
    b = _operand(b_shape, b_strides, batch)
    count = out.numel // (rows * columns)
    if a is None or b is None or max(rows, shared, columns, count, a.leading, b.leading) > LARGEST:
        return None
    return Product(rows, columns, shared, count, a, b)


def _operand(shape: tuple, strides: tuple, batch: tuple) -> Operand | None:
    (rows, columns), (down, across) = shape[-2:], strides[-2:]
    if (across == 1 or columns == 1) and (rows == 1 or down >= columns):
        turned, leading = False, max(down if rows > 1 else 0, columns)
    elif (down == 1 or rows == 1) and (columns == 1 or across >= rows):
        turned, leading = True, max(across if columns > 1 else 0, rows)
    else:
        return None
    distance = _distance(shape[:-2], strides[:-2], batch)
    return None if distance is None else Operand(turned, leading, distance)


def _distance(shape: tuple, strides: tuple, batch: tuple) -> int | None:
    """The one distance between the matrices of a batch, where stretched axes have none; None when there are several."""
    missing = len(batch) - len(shape)
    steps = [0] * missing + [0 if n == 1 else s for n, s in zip(shape, strides)]
    distance, expected = 0, None
    for n, step in reversed([*zip(batch, steps)]):
        if n == 1:
            continue
        if expected is None:
            distance = step
        elif step != expected:
            return None
        expected = step * n
    return distance if distance >= 0 else None


class Cublas:
    """One handle of the library; made and used in the device's context."""

    def __init__(self, driver_version: int):
        majors = [m for m in MAJORS if m <= driver_version // 1000]
        self.library = libraries.load(ffi, "cublas", majors, "cublas")
        if self.library is not None:
            place = ffi.new("cublasHandle_t *")
            self.check(self.library.cublasCreate_v2(place))
            self.handle = place[0]

    def check(self, code: int) -> None:
        if code:
            raise RuntimeError(ffi.string(self.library.cublasGetStatusName(code)).decode())

    def multiply(self, p: Product, dtype: str, left: int, right: int, out: int, stream: int) -> None:
        """cuBLAS counts along columns first: for it, our row-major matrices are turned, and out' = right' left'."""
        kind, pointer = TYPES[dtype], ffi.cast
        compute = COMPUTE_64F if dtype == "float64" else COMPUTE_32F
        self.check(self.library.cublasSetStream_v2(self.handle, pointer("void *", stream)))
        self.check(
            self.library.cublasGemmStridedBatchedEx(
                self.handle, p.right.turned, p.left.turned, p.columns, p.rows, p.shared, ONE[dtype],
                pointer("void *", right), kind, p.right.leading, p.right.distance,
                pointer("void *", left), kind, p.left.leading, p.left.distance, ZERO[dtype],
                pointer("void *", out), kind, p.columns, p.rows * p.columns, p.count, compute, DEFAULT_ALGORITHM,
            )
        )  # fmt: skip

    def close(self) -> None:
        if self.library is not None:
            self.check(self.library.cublasDestroy_v2(self.handle))
