"""Questions about tensors and their elements, and what they do with the bits: close, real, conjugated, of which size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from helix import _core
from helix._core import Tensor
from helix.errors import ParameterError, ShapeError
from helix.written import need_tensors

if TYPE_CHECKING:
    from helix._core import Device

_op = _core.op_named


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """True where |input - other| <= atol + rtol * |other|; shapes are stretched to one another.

    Equal infinities are close; NaN is close to NaN with `equal_nan`. Integers are compared without rounding.
    Raises ParameterError (HX1403) for a negative tolerance.

    Example:
        >>> helix.isclose(helix.tensor([1.0, 2.0]), helix.tensor([1.0 + 1e-9, 2.1])).tolist()
        [True, False]
    """
    need_tensors("isclose", input=input, other=other)
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not value >= 0:
            raise ParameterError(
                f"HX1403 isclose: {name} must not be negative, got {value}.", op="isclose", code="HX1403"
            )
    if input.dtype is not other.dtype:
        raise _dtype_error("isclose", input, other)
    close = input == other
    if input.is_floating_point() or input.is_complex():
        if equal_nan:
            close = close | (_op("isnan")(input) & _op("isnan")(other))
        if rtol == 0 and atol == 0:
            return close
        bound = _op("abs")(other) * rtol + atol
        return close | (_op("isfinite")(other) & (_op("abs")(input - other) <= bound))
    if rtol == 0 and atol == 0:
        return close
    a, b = (t.to(_core.int64).to(_core.float64) for t in (input, other))
    return close | (_op("abs")(a - b) <= _op("abs")(b) * rtol + atol)


def _dtype_error(name, input, other):
    from helix.errors import DTypeError

    return DTypeError(
        f"HX1101 {name}: both tensors must have one dtype, got {input.dtype.name} and {other.dtype.name}.",
        op=name,
        code="HX1101",
    )


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """True when `isclose` holds for every element.

    Example:
        >>> helix.allclose(helix.tensor([1.0]), helix.tensor([1.0 + 1e-9]))
        True
    """
    return bool(_op("all")(isclose(input, other, rtol, atol, equal_nan)))


def isreal(input: Tensor) -> Tensor:
    """True where the imaginary part is zero: everywhere for real dtypes.

    Example:
        >>> helix.isreal(helix.tensor([1 + 0j, 1j])).tolist()
        [True, False]
    """
    return _op("imag")(input) == 0 if input.is_complex() else _op("ones_like")(input, dtype=_core.bool)


def is_nonzero(input: Tensor) -> bool:
    """True when the only element is not zero. Raises ParameterError (HX1403) for another number of elements.

    Example:
        >>> helix.is_nonzero(helix.tensor([0.5]))
        True
    """
    return bool(input)


def is_conj(input: Tensor) -> bool:
    """Whether the values wait to be conjugated: never, `conj` computes at once.

    Example:
        >>> helix.is_conj(helix.tensor([1j]).conj())
        False
    """
    return False


def is_neg(input: Tensor) -> bool:
    """Whether the values wait to be negated: never, `imag` of a conjugate computes at once.

    Example:
        >>> helix.is_neg(helix.tensor([1.0]))
        False
    """
    return False


def resolve_conj(input: Tensor) -> Tensor:
    """The tensor itself: its values are conjugated already where they should be.

    Example:
        >>> helix.resolve_conj(helix.tensor([1j]).conj()).tolist()
        [-1j]
    """
    return input


def resolve_neg(input: Tensor) -> Tensor:
    """The tensor itself: its values are negated already where they should be.

    Example:
        >>> helix.resolve_neg(helix.tensor([1.0])).tolist()
        [1.0]
    """
    return input


def is_inference(input: Tensor) -> bool:
    """True for tensors made under `inference_mode`.

    Example:
        >>> helix.is_inference(helix.ones(1))
        False
    """
    return input.is_inference()


def is_signed(self: Tensor) -> bool:
    """True when the dtype has negative values."""
    return self.dtype.is_signed


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """True when both have the same shape.

    Example:
        >>> helix.is_same_size(helix.ones(2), helix.zeros(2))
        True
    """
    return input.shape == other.shape


def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """True when both are the same elements in memory: storage, offset, shape and strides."""
    same = self.device == tensor.device and self.dtype is tensor.dtype and self.data_ptr() == tensor.data_ptr()
    return same and self.shape == tensor.shape and self.strides == tensor.strides


def ndimension(self: Tensor) -> int:
    """Number of dimensions."""
    return self.ndim


def get_device(self: Tensor) -> int:
    """The number of the tensor's device; -1 for the CPU."""
    return -1 if self.device.type == "cpu" else self.device.index or 0


def is_pinned(self: Tensor, device: Device | None = None) -> bool:
    """Whether the memory is pinned: helix pins none."""
    return False


def sum_to_size(self: Tensor, *size: int | Sequence[int]) -> Tensor:
    """Summed over the axes that broadcasting would stretch from `size`.

    Raises ShapeError (HX1003) when `size` does not broadcast to the tensor's shape.
    """
    size = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    lead = self.ndim - len(size)
    if lead < 0 or any(want not in (1, have) for want, have in zip(size, self.shape[lead:])):
        raise ShapeError(
            f"HX1003 sum_to_size: size {size} does not stretch to the shape {tuple(self.shape)}.",
            op="sum_to_size",
            code="HX1003",
        )
    axes = [*range(lead), *(lead + i for i, want in enumerate(size) if want != self.shape[lead + i])]
    return _op("sum")(self, axes, True).reshape(size) if axes or not size else self


METHODS = {
    f.__name__: f
    for f in (
        isclose,
        allclose,
        isreal,
        is_nonzero,
        is_conj,
        is_neg,
        resolve_conj,
        resolve_neg,
        is_signed,
        is_set_to,
        ndimension,
        get_device,
        is_pinned,
        sum_to_size,
    )
}
FUNCTIONS: dict[str, Any] = {
    f.__name__: f
    for f in (isclose, allclose, isreal, is_nonzero, is_conj, is_neg, resolve_conj, resolve_neg, is_inference)
}
FUNCTIONS |= {
    "is_signed": is_signed,
    "is_same_size": is_same_size,
    "get_device": get_device,
}
_core.add_methods(METHODS)
