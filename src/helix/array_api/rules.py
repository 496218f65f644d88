"""What the standard rules: kinds of dtypes, their promotion, and the Python numbers that may stand beside an array.

Where the standard leaves a promotion undefined (an integer beside a float, a bool beside a number, uint64 beside int8), the
functions of this namespace raise. float16 and bfloat16, which the standard does not know, count as real floating dtypes.
"""

from __future__ import annotations

from helix import _core
from helix._core import Tensor, promote_types
from helix.array_api.array import Array
from helix.errors import ArgumentError, DTypeError, ParameterError, SizeOverflowError

_cast = _core.op_named("cast")


def _dtypes(*names):
    return tuple(getattr(_core, name) for name in names)


KINDS = {
    "bool": _dtypes("bool"),
    "signed integer": _dtypes("int8", "int16", "int32", "int64"),
    "unsigned integer": _dtypes("uint8", "uint16", "uint32", "uint64"),
    "real floating": _dtypes("float16", "bfloat16", "float32", "float64"),
    "complex floating": _dtypes("complex64", "complex128"),
}
KINDS["integral"] = KINDS["signed integer"] + KINDS["unsigned integer"]
KINDS["numeric"] = KINDS["integral"] + KINDS["real floating"] + KINDS["complex floating"]
# What the functions take, in the standard's words.
CATEGORIES = {
    "any": KINDS["bool"] + KINDS["numeric"],
    "boolean": KINDS["bool"],
    "integer": KINDS["integral"],
    "integer or boolean": KINDS["bool"] + KINDS["integral"],
    "numeric": KINDS["numeric"],
    "real numeric": KINDS["integral"] + KINDS["real floating"],
    "floating-point": KINDS["real floating"] + KINDS["complex floating"],
    "real floating-point": KINDS["real floating"],
    "complex floating-point": KINDS["complex floating"],
}
_SETS = {name: frozenset(dtypes) for name, dtypes in CATEGORIES.items()}
# Dtypes of one group promote to each other.
_GROUP = dict.fromkeys(KINDS["bool"], "bool")
_GROUP |= dict.fromkeys(KINDS["integral"], "integer")
_GROUP |= dict.fromkeys(_SETS["floating-point"], "floating")


def fail(error, number, function, text):
    """Raises an error of helix in the name of a function."""
    raise error(f"HX{number} {function}: {text}", op=function, code=f"HX{number}")


def checked(function, category, x):
    """x, which must be an array with a dtype of the category."""
    if not isinstance(x, Tensor):
        fail(ArgumentError, 1103, function, f"takes an array, got {type(x).__name__}.")
    if x.dtype not in _SETS[category]:
        fail(DTypeError, 1101, function, f"takes {category} dtypes, got {x.dtype.name}.")
    return x


def promoted(function, first, second):
    """The dtype that two dtypes promote to."""
    if first is second:
        return first
    unsigned = {first, second} & {_core.uint64} and not (
        first in KINDS["unsigned integer"] and second in KINDS["unsigned integer"]
    )
    if _GROUP[first] != _GROUP[second] or unsigned:
        fail(
            DTypeError,
            1101,
            function,
            f"the standard defines no promotion of {first.name} and {second.name}; use astype.",
        )
    return promote_types(first, second)


def beside(function, number, dtype):
    """The dtype of an array of `dtype` together with a Python number."""
    if isinstance(number, bool):
        fits = dtype is _core.bool
    elif isinstance(number, int):
        fits = dtype in _SETS["numeric"]
        if fits and _GROUP[dtype] == "integer":
            within(function, number, dtype)
    elif isinstance(number, float):
        fits = _GROUP[dtype] == "floating"
    elif isinstance(number, complex):
        fits = _GROUP[dtype] == "floating"
        dtype = dtype.to_complex() if fits else dtype
    else:
        fail(ArgumentError, 1103, function, f"takes arrays and Python numbers, got {type(number).__name__}.")
    if not fits:
        text = f"a Python {type(number).__name__} may not stand beside an array of {dtype.name}."
        fail(DTypeError, 1101, function, text)
    return dtype


def within(function, number, dtype):
    """Refuses an int that the integer dtype cannot hold."""
    bits = 8 * dtype.itemsize
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if dtype.is_signed else (0, (1 << bits) - 1)
    if not low <= number <= high:
        fail(SizeOverflowError, 1401, function, f"{number} does not fit in {dtype.name} ({low} to {high}).")


def cast(x, dtype):
    """x as dtype."""
    return x if x.dtype is dtype else _cast(x, dtype)


def common_dtype(function, values):
    """The dtype that arrays and Python numbers, at least one of them an array, promote to."""
    arrays = [value for value in values if isinstance(value, Tensor)]
    if not arrays:
        fail(ArgumentError, 1103, function, "at least one argument must be an array.")
    dtype = arrays[0].dtype
    for other in arrays[1:]:
        dtype = promoted(function, dtype, other.dtype)
    for number in values:
        if not isinstance(number, Tensor):
            dtype = beside(function, number, dtype)
    return dtype


def _alike(values):
    """True for arrays of one dtype: the common case, made quick."""
    dtype = getattr(values[0], "dtype", None)
    return all([isinstance(value, Tensor) and value.dtype is dtype for value in values])  # noqa: C419


def operands(function, category, *values):
    """Arrays of one dtype, which must be of the category, from arrays and Python numbers."""
    if _alike(values) and values[0].dtype in _SETS[category]:
        return values
    dtype = common_dtype(function, values)
    if dtype not in _SETS[category]:
        fail(DTypeError, 1101, function, f"takes {category} dtypes, got {dtype.name}.")
    device = next(value.device for value in values if isinstance(value, Tensor))
    return [
        cast(value, dtype) if isinstance(value, Tensor) else _core.tensor(value, dtype=dtype, device=device)
        for value in values
    ]


def axes_of(function, axis, ndim):
    """The given axes, or all, counted from the front, each once."""
    if axis is None:
        return tuple(range(ndim))
    if isinstance(axis, int):
        return (one_axis(function, axis, ndim),)
    found = tuple([one_axis(function, i, ndim) for i in axis])
    if len(set(found)) < len(found):
        fail(ParameterError, 1302, function, f"axis {axis} names an axis twice.")
    return found


def one_axis(function, axis, ndim):
    """axis counted from the front."""
    if not -ndim <= axis < ndim:
        fail(ParameterError, 1302, function, f"axis {axis} is out of range for an array of {ndim} dimensions.")
    return axis % ndim


def array(x):
    """A result of helix as an array of this namespace."""
    return x.as_subclass(Array)
