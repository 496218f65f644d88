"""Array: the Tensor of this namespace. It keeps the standard's rules where torch's, which Tensor follows, differ."""

from __future__ import annotations

from math import prod

from helix import _core
from helix._core import Tensor, promote_types
from helix.errors import ShapeError

__all__ = ["Array"]

_op = _core.op_named


class Array(Tensor):
    """A Tensor with the standard's operators: the very tensor that helix works on, with its memory, history and `grad`.

    What differs from Tensor: an array without dimensions takes part in promotion like any other, `size` is the number of
    elements, and `T` is for matrices alone. Where the standard leaves an operator undefined (an integer array divided by
    an integer, say), the Array does what a Tensor does.

    Example:
        >>> xp = helix.array_api
        >>> (xp.ones(2, dtype=xp.float32) + xp.asarray(1.0, dtype=xp.float64)).dtype
        helix.float64
        >>> (helix.ones(2, dtype=helix.float32) + helix.tensor(1.0, dtype=helix.float64)).dtype
        helix.float32
    """

    def __new__(cls, data, *, dtype=None, device=None):
        from helix._core import asarray

        return asarray(data, dtype=dtype, device=device).as_subclass(cls)

    def __init__(self, data, *, dtype=None, device=None):
        pass

    @property
    def size(self):
        """Number of elements."""
        return prod(self.shape)

    @property
    def T(self):
        """The transpose of a matrix."""
        if self.ndim != 2:
            text = f"HX1001 T: an array needs two dimensions, this one has {self.ndim}; use mT or permute_dims."
            raise ShapeError(text, op="T", code="HX1001")
        return Tensor.mT.__get__(self).as_subclass(Array)

    @property
    def mT(self):
        """The array with its last two axes exchanged."""
        return Tensor.mT.__get__(self).as_subclass(Array)

    def to_device(self, device, /, *, stream=None):
        """The array on another device; itself when it is there."""
        return Tensor.to_device(self, device, stream=stream).as_subclass(Array)

    def __getitem__(self, key):
        if _is_empty_mask(self, key):
            return Tensor.__getitem__(self.reshape(-1, *self.shape[key.ndim :]), slice(0, 0)).as_subclass(Array)
        return Tensor.__getitem__(self, key).as_subclass(Array)

    def __iter__(self):
        return iter([part.as_subclass(Array) for part in Tensor.__iter__(self)])

    __hash__ = Tensor.__hash__


def _is_empty_mask(x, key):
    """True for a mask without elements, whose sizes may be 0 where those of x are not."""
    if not isinstance(key, Tensor) or key.dtype is not _core.bool or not 0 < key.ndim <= x.ndim or key.numel():
        return False
    return all(n in (m, 0) for m, n in zip(x.shape, key.shape))


def divided_down(x1, x2):
    """x1 // x2 with infinities as the standard has them: the quotient, rounded down, where helix and NumPy say NaN or -1."""
    found = Tensor.__floordiv__(x1, x2) if isinstance(x1, Tensor) else Tensor.__rfloordiv__(x2, x1)
    if found is NotImplemented or not found.dtype.is_floating_point:
        return found
    infinite = _op("logical_xor")(_op("isinf")(x1), _op("isinf")(x2))
    return _op("where")(infinite, _op("floor")(_op("div")(x1, x2)), found)


def _divided_down_in_place(x1, x2):
    return x1.copy_(divided_down(x1, x2)) if x1.dtype.is_floating_point else Tensor.__ifloordiv__(x1, x2)


# Where Array differs from Tensor by more than promotion.
_OWN = {
    "__floordiv__": divided_down,
    "__rfloordiv__": lambda self, other: divided_down(other, self),
    "__ifloordiv__": _divided_down_in_place,
}


def _unary(name):
    inherited = getattr(Tensor, name)

    def operator(self):
        return inherited(self).as_subclass(Array)

    return operator


def _binary(name):
    compute = _OWN.get(name) or getattr(Tensor, name)

    def operator(self, other):
        if isinstance(other, Tensor) and other.dtype is not self.dtype:
            dtype = promote_types(self.dtype, other.dtype)
            self, other = self.to(dtype), other.to(dtype)
        result = compute(self, other)
        return result if result is NotImplemented else result.as_subclass(Array)

    return operator


def _in_place(name):
    compute = _OWN.get(name) or getattr(Tensor, name)

    def operator(self, other):
        return self if compute(self, other) is not NotImplemented else NotImplemented

    return operator


def _add_operators():
    arithmetic = [
        "add",
        "sub",
        "mul",
        "truediv",
        "floordiv",
        "mod",
        "pow",
        "matmul",
        "and",
        "or",
        "xor",
        "lshift",
        "rshift",
    ]
    made = dict.fromkeys(("neg", "pos", "abs", "invert"), _unary)
    made |= dict.fromkeys(
        (*["lt", "le", "eq", "ne", "gt", "ge"], *arithmetic, *("r" + name for name in arithmetic)), _binary
    )
    made |= {"i" + name: _in_place for name in arithmetic if name != "matmul"}
    for name, make in made.items():
        operator = make(f"__{name}__")
        operator.__name__ = f"__{name}__"
        operator.__qualname__ = f"Array.__{name}__"
        setattr(Array, operator.__name__, operator)


_add_operators()
