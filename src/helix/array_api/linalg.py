"""Linear algebra: the standard's extension."""

from helix.array_api.linear_algebra import matmul, matrix_transpose, tensordot, vecdot

__all__ = ["matmul", "matrix_transpose", "tensordot", "vecdot"]
