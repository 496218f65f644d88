"""Products of arrays. The rest of linear algebra is in `helix.array_api.linalg`."""

from __future__ import annotations

from helix import _core, product_ops
from helix.array_api.rules import array, checked, fail, operands
from helix.errors import ParameterError, ShapeError

__all__ = ["matmul", "matrix_transpose", "tensordot", "vecdot"]

_op = _core.op_named


def matmul(x1, x2, /):
    """The products of matrices; the axes in front broadcast, and a vector stands for a row or a column.

    Takes numeric dtypes. Raises ShapeError (HX1002) where the inner sizes differ.

    Example:
        >>> xp.matmul(xp.asarray([[1, 2], [3, 4]]), xp.asarray([1, 1]))
        Array([3, 7])
    """
    return array(_op("matmul")(*operands("matmul", "numeric", *(checked("matmul", "numeric", x) for x in (x1, x2)))))


def matrix_transpose(x, /):
    """The array with its last two axes exchanged, as a view.

    Example:
        >>> xp.matrix_transpose(xp.ones((2, 3, 4))).shape
        (2, 4, 3)
    """
    if checked("matrix_transpose", "any", x).ndim < 2:
        fail(ShapeError, 1001, "matrix_transpose", f"takes matrices, got an array of {x.ndim} dimensions.")
    return array(_op("transpose")(x, -2, -1))


def tensordot(x1, x2, /, *, axes=2):
    """Sums of products over pairs of axes: the other axes of x1, then those of x2.

    axes: a number n (the last n axes of x1 with the first n of x2), or two sequences of axes. Takes numeric dtypes.

    Example:
        >>> xp.tensordot(xp.asarray([[1, 2], [3, 4]]), xp.asarray([1, 1]), axes=1)
        Array([3, 7])
    """
    x1, x2 = operands("tensordot", "numeric", *(checked("tensordot", "numeric", x) for x in (x1, x2)))
    return array(product_ops.tensordot(x1, x2, axes))


def vecdot(x1, x2, /, *, axis=-1):
    """The inner products of vectors along an axis, counted from the back; the other axes broadcast. x1 is conjugated.

    Takes numeric dtypes. Raises ShapeError (HX1002) where the sizes differ.

    Example:
        >>> xp.vecdot(xp.asarray([[1, 2], [3, 4]]), xp.asarray([1, 1]))
        Array([3, 7])
    """
    x1, x2 = operands("vecdot", "numeric", *(checked("vecdot", "numeric", x) for x in (x1, x2)))
    if not -min(x1.ndim, x2.ndim) <= axis < 0:
        fail(ParameterError, 1302, "vecdot", f"axis {axis} must count from the back, within the smaller array.")
    first, second = (_op("movedim")(x, axis, -1) for x in (x1, x2))
    if first.shape[-1] != second.shape[-1]:
        text = f"x1 has size {first.shape[-1]} and x2 has size {second.shape[-1]} along axis {axis}."
        fail(ShapeError, 1002, "vecdot", text)
    row = _op("conj")(first)[..., None, :]
    return array(_op("matmul")(row, second[..., :, None])[..., 0, 0])
