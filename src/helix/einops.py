"""`import helix.einops` teaches einops tensors of helix: rearrange, reduce, repeat, pack, unpack and einsum take them.

Needs the package einops. Its functions for arrays of any library, `einops.array_api`, take tensors of helix without this
module.

Example:
    >>> import helix.einops
    >>> from einops import rearrange
    >>> rearrange(helix.ones(2, 3, 4), "a b c -> b (a c)").shape
    (3, 8)
"""

from __future__ import annotations

from helix import _core
from helix._core import Tensor
from helix.errors import MissingExtraError

try:
    from einops._backends import AbstractBackend
except ImportError as error:
    raise MissingExtraError("HX2201 helix.einops: needs the package einops: pip install einops") from error

__all__ = ["HelixBackend"]

_op = _core.op_named


class HelixBackend(AbstractBackend):
    """What einops asks of a framework. It is found by being defined."""

    framework_name = "helix"

    def is_appropriate_type(self, tensor):
        return isinstance(tensor, Tensor)

    def from_numpy(self, x):
        return _core.from_numpy(x)

    def to_numpy(self, x):
        return x.numpy(force=True)

    def arange(self, start, stop):
        return _op("arange")(start, stop)

    def transpose(self, x, axes):
        return _op("permute")(x, tuple(axes))

    def reduce(self, x, operation, reduced_axes):
        return _op({"min": "amin", "max": "amax"}.get(operation, operation))(x, tuple(reduced_axes))

    def stack_on_zeroth_dimension(self, tensors):
        return _op("stack")(tensors, 0)

    def add_axis(self, x, new_position):
        return _op("unsqueeze")(x, new_position)

    def add_axes(self, x, n_axes, pos2len):
        for position in pos2len:
            x = _op("unsqueeze")(x, position)
        return _op("expand")(x, tuple(pos2len.get(i, -1) for i in range(n_axes)))

    def tile(self, x, repeats):
        return _op("tile")(x, tuple(repeats))

    def concat(self, tensors, axis):
        return _op("cat")(tensors, axis)

    def is_float_type(self, x):
        return x.dtype.is_floating_point or x.dtype.is_complex

    def einsum(self, pattern, *x):
        return _op("einsum")(pattern, *x)
