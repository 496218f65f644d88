"""Elementwise functions. Each takes arrays of one category of dtypes; those of two arguments take Python numbers too."""

from __future__ import annotations

from helix import _core
from helix._core import Tensor
from helix.array_api.array import divided_down
from helix.array_api.rules import array, beside, cast, checked, fail, operands, promoted
from helix.errors import ArgumentError

_op = _core.op_named

# name, op of helix, category, what it gives; elements of an example, and of its result
_UNARY = (
    ("abs", "abs", "numeric", "The absolute value; of a complex array, a real one", "[-2, 3]", "[2, 3]"),
    ("acos", "acos", "floating-point", "The inverse cosine, in radians", "[1.0, 0.5]", "[0.0000, 1.0472]"),
    ("acosh", "acosh", "floating-point", "The inverse hyperbolic cosine", "[1.0, 2.0]", "[0.000, 1.317]"),
    ("asin", "asin", "floating-point", "The inverse sine, in radians", "[0.0, 1.0]", "[0.0000, 1.5708]"),
    ("asinh", "asinh", "floating-point", "The inverse hyperbolic sine", "[0.0, 1.0]", "[0.0000, 0.8814]"),
    ("atan", "atan", "floating-point", "The inverse tangent, in radians", "[0.0, 1.0]", "[0.0000, 0.7854]"),
    ("atanh", "atanh", "floating-point", "The inverse hyperbolic tangent", "[0.0, 0.5]", "[0.0000, 0.5493]"),
    ("bitwise_invert", "bitwise_not", "integer or boolean", "Every bit turned over", "[0, 1]", "[-1, -2]"),
    ("ceil", "ceil", "real numeric", "The smallest integer that is not smaller", "[1.5, -1.5]", "[ 2., -1.]"),
    ("conj", "conj", "numeric", "The complex conjugate", "[1 + 2j, 3 - 1j]", "[1.-2.j, 3.+1.j]"),
    ("cos", "cos", "floating-point", "The cosine of an angle in radians", "[0.0, 1.0]", "[1.0000, 0.5403]"),
    ("cosh", "cosh", "floating-point", "The hyperbolic cosine", "[0.0, 1.0]", "[1.0000, 1.5431]"),
    ("exp", "exp", "floating-point", "The exponential function", "[0.0, 1.0]", "[1.0000, 2.7183]"),
    ("expm1", "expm1", "floating-point", "exp(x) - 1, exact for small x", "[0.0, 1.0]", "[0.0000, 1.7183]"),
    ("floor", "floor", "real numeric", "The largest integer that is not larger", "[1.5, -1.5]", "[ 1., -2.]"),
    ("imag", "imag", "complex floating-point", "The imaginary part", "[1 + 2j, 3 - 1j]", "[ 2., -1.]"),
    (
        "isfinite",
        "isfinite",
        "numeric",
        "True where neither infinite nor NaN",
        "[1.0, float('inf'), float('nan')]",
        "[ True, False, False]",
    ),
    ("isinf", "isinf", "numeric", "True where infinite", "[1.0, float('inf'), float('nan')]", "[False,  True, False]"),
    ("isnan", "isnan", "numeric", "True where NaN", "[1.0, float('inf'), float('nan')]", "[False, False,  True]"),
    ("log", "log", "floating-point", "The natural logarithm", "[1.0, 2.0]", "[0.0000, 0.6931]"),
    ("log10", "log10", "floating-point", "The logarithm of base 10", "[1.0, 100.0]", "[0., 2.]"),
    ("log1p", "log1p", "floating-point", "log(1 + x), exact for small x", "[0.0, 1.0]", "[0.0000, 0.6931]"),
    ("log2", "log2", "floating-point", "The logarithm of base 2", "[1.0, 8.0]", "[0., 3.]"),
    ("logical_not", "logical_not", "boolean", "True where False", "[True, False]", "[False,  True]"),
    ("negative", "neg", "numeric", "The element with its sign turned", "[1, -2]", "[-1,  2]"),
    ("positive", "positive", "numeric", "The element itself", "[1, -2]", "[ 1, -2]"),
    ("real", "real", "numeric", "The real part; a real array as it is", "[1 + 2j, 3 - 1j]", "[1., 3.]"),
    ("reciprocal", "reciprocal", "floating-point", "1 / x", "[1.0, 4.0]", "[1.00, 0.25]"),
    (
        "signbit",
        "signbit",
        "real floating-point",
        "True where the sign bit is set, as in -0.0",
        "[-0.0, 0.0, -1.0]",
        "[ True, False,  True]",
    ),
    ("sin", "sin", "floating-point", "The sine of an angle in radians", "[0.0, 1.0]", "[0.0000, 0.8415]"),
    ("sinh", "sinh", "floating-point", "The hyperbolic sine", "[0.0, 1.0]", "[0.0000, 1.1752]"),
    ("sqrt", "sqrt", "floating-point", "The principal square root", "[4.0, 2.0]", "[2.0000, 1.4142]"),
    ("square", "square", "numeric", "x * x", "[2, -3]", "[4, 9]"),
    ("tan", "tan", "floating-point", "The tangent of an angle in radians", "[0.0, 1.0]", "[0.0000, 1.5574]"),
    ("tanh", "tanh", "floating-point", "The hyperbolic tangent", "[0.0, 1.0]", "[0.0000, 0.7616]"),
    ("trunc", "trunc", "real numeric", "The nearest integer towards 0", "[1.5, -1.5]", "[ 1., -1.]"),
)

# the same, with the elements of two examples
_BINARY = (
    ("add", "add", "numeric", "x1 + x2", "[1, 2]", "[3, 4]", "[4, 6]"),
    (
        "atan2",
        "atan2",
        "real floating-point",
        "The angle of the point (x2, x1), in radians",
        "[1.0, -1.0]",
        "[1.0, 1.0]",
        "[ 0.7854, -0.7854]",
    ),
    ("bitwise_and", "bitwise_and", "integer or boolean", "Bits that are set in both", "[6, 5]", "[3, 1]", "[2, 1]"),
    ("bitwise_left_shift", "bitwise_left_shift", "integer", "Bits moved x2 places up", "[1, 3]", "[2, 1]", "[4, 6]"),
    (
        "bitwise_or",
        "bitwise_or",
        "integer or boolean",
        "Bits that are set in one or both",
        "[6, 5]",
        "[3, 1]",
        "[7, 5]",
    ),
    (
        "bitwise_right_shift",
        "bitwise_right_shift",
        "integer",
        "Bits moved x2 places down",
        "[4, -4]",
        "[1, 1]",
        "[ 2, -2]",
    ),
    (
        "bitwise_xor",
        "bitwise_xor",
        "integer or boolean",
        "Bits that are set in one alone",
        "[6, 5]",
        "[3, 1]",
        "[5, 4]",
    ),
    (
        "copysign",
        "copysign",
        "real floating-point",
        "x1 with the sign of x2",
        "[1.0, -2.0]",
        "[-0.0, 1.0]",
        "[-1.,  2.]",
    ),
    ("divide", "div", "floating-point", "x1 / x2", "[1.0, 3.0]", "[2.0, 4.0]", "[0.50, 0.75]"),
    ("equal", "eq", "any", "True where x1 == x2", "[1, 2]", "[1, 3]", "[ True, False]"),
    ("greater", "gt", "real numeric", "True where x1 > x2", "[1, 2]", "[1, 1]", "[False,  True]"),
    ("greater_equal", "ge", "real numeric", "True where x1 >= x2", "[1, 2]", "[1, 3]", "[ True, False]"),
    (
        "hypot",
        "hypot",
        "real floating-point",
        "sqrt(x1**2 + x2**2), without overflow",
        "[3.0, 0.0]",
        "[4.0, 2.0]",
        "[5., 2.]",
    ),
    ("less", "lt", "real numeric", "True where x1 < x2", "[1, 2]", "[1, 3]", "[False,  True]"),
    ("less_equal", "le", "real numeric", "True where x1 <= x2", "[1, 2]", "[1, 1]", "[ True, False]"),
    (
        "logaddexp",
        "logaddexp",
        "real floating-point",
        "log(exp(x1) + exp(x2)), without overflow",
        "[0.0]",
        "[0.0]",
        "[0.6931]",
    ),
    ("logical_and", "logical_and", "boolean", "True where both are", "[True, True]", "[True, False]", "[ True, False]"),
    (
        "logical_or",
        "logical_or",
        "boolean",
        "True where one or both are",
        "[True, False]",
        "[False, False]",
        "[ True, False]",
    ),
    (
        "logical_xor",
        "logical_xor",
        "boolean",
        "True where one alone is",
        "[True, True]",
        "[True, False]",
        "[False,  True]",
    ),
    ("maximum", "maximum", "real numeric", "The larger of two; NaN where one is", "[1, 5]", "[2, 3]", "[2, 5]"),
    ("minimum", "minimum", "real numeric", "The smaller of two; NaN where one is", "[1, 5]", "[2, 3]", "[1, 3]"),
    ("multiply", "mul", "numeric", "x1 * x2", "[1, 2]", "[3, 4]", "[3, 8]"),
    ("nextafter", "nextafter", "real floating-point", "The next number from x1 towards x2", "[0.5]", "[0.5]", "[0.5]"),
    ("not_equal", "ne", "any", "True where x1 != x2", "[1, 2]", "[1, 3]", "[False,  True]"),
    ("pow", "pow", "numeric", "x1 to the power x2", "[2, 3]", "[3, 2]", "[8, 9]"),
    (
        "remainder",
        "remainder",
        "real numeric",
        "What x1 / x2 rounded down leaves, with the sign of x2",
        "[7, -7]",
        "[3, 3]",
        "[1, 2]",
    ),
    ("subtract", "sub", "numeric", "x1 - x2", "[1, 2]", "[3, 5]", "[-2, -3]"),
)


def _unary(name, op, category):
    compute = _op(op)

    def function(x, /):
        return array(compute(checked(name, category, x)))

    return function


def _binary(name, op, category):
    compute = _op(op)

    def function(x1, x2, /):
        return array(compute(*operands(name, category, x1, x2)))

    return function


def _document(function, name, category, does, example, shown):
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""{does}. Takes {category} dtypes; others raise DTypeError (HX1101).

    Example:
        >>> xp.{name}({example})
        Array({shown})
    """
    return function


def _made():
    """The functions of the tables, by name."""
    found = {}
    for name, op, category, does, x, shown in _UNARY:
        example = f"xp.asarray({x})"
        found[name] = _document(_unary(name, op, category), name, category, does, example, shown)
    for name, op, category, does, x1, x2, shown in _BINARY:
        example = f"xp.asarray({x1}), xp.asarray({x2})"
        found[name] = _document(_binary(name, op, category), name, category, does, example, shown)
    return found


def floor_divide(x1, x2, /):
    """x1 / x2, rounded down. Takes real numeric dtypes; others raise DTypeError (HX1101).

    What an infinity divides or is divided by is the infinity or zero of the quotient, where `helix.floor_divide` gives NaN.

    Example:
        >>> xp.floor_divide(xp.asarray([7, -7]), xp.asarray([2, 2]))
        Array([ 3, -4])
    """
    return array(divided_down(*operands("floor_divide", "real numeric", x1, x2)))


def round(x, /):
    """The nearest integer, the even one of two; of a complex array, for each part. Takes numeric dtypes; others raise
    DTypeError (HX1101).

    Example:
        >>> xp.round(xp.asarray([0.5, 1.5, -2.7]))
        Array([ 0.,  2., -3.])
    """
    x = checked("round", "numeric", x)
    if x.dtype.is_complex:
        return array(_op("view_as_complex")(_op("round")(_op("view_as_real")(x))))
    return array(_op("round")(x))


def sign(x, /):
    """-1, 0 or 1; NaN of NaN; of a complex array, x / abs(x). Takes numeric dtypes; others raise DTypeError (HX1101).

    Example:
        >>> xp.sign(xp.asarray([-3, 0, 5]))
        Array([-1,  0,  1])
    """
    x = checked("sign", "numeric", x)
    found = _op("sign")(x)
    return array(_op("where")(_op("isnan")(x), x, found) if x.dtype.is_floating_point else found)


def clip(x, /, min=None, max=None):
    """The array with what lies below `min` raised to it, and what lies above `max` lowered to it.

    min, max: arrays that broadcast with x, or Python numbers; None sets no bound. The dtype is that of x. Raises DTypeError
    (HX1101) for a bound of another kind.

    Example:
        >>> xp.clip(xp.asarray([1, 5, 9]), 2, 6)
        Array([2, 5, 6])
    """
    x = checked("clip", "real numeric", x)
    low, high = (_bound(x, bound) for bound in (min, max))
    if low is None and high is None:
        return array(x)
    return array(_op("clamp")(x, low, high))


def _bound(x, bound):
    """A bound of clip in the dtype of x."""
    if bound is None:
        return None
    if isinstance(bound, Tensor):
        promoted("clip", x.dtype, bound.dtype)
        return cast(bound, x.dtype)
    if not isinstance(bound, (int, float)):
        fail(ArgumentError, 1103, "clip", f"a bound is an array or a real number, got {type(bound).__name__}.")
    beside("clip", bound, x.dtype)
    return _core.tensor(bound, dtype=x.dtype, device=x.device)


_FUNCTIONS = _made()
globals().update(_FUNCTIONS)

__all__ = sorted([*_FUNCTIONS, "clip", "floor_divide", "round", "sign"])
