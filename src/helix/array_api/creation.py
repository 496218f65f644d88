"""New arrays: of numbers, of other arrays, and of one value."""

from __future__ import annotations

from math import ceil

from helix import _core
from helix._core import Tensor
from helix.array_api.rules import KINDS, array, cast, checked, fail
from helix.errors import ArgumentError, DTypeError, ParameterError

__all__ = [
    "arange",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "full",
    "full_like",
    "linspace",
    "meshgrid",
    "ones",
    "ones_like",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
]

_op = _core.op_named


def _shape(shape):
    return (shape,) if isinstance(shape, int) else tuple(shape)


def _number_dtype(*numbers):
    """The default dtype that can hold Python numbers."""
    if all(isinstance(number, bool) for number in numbers):
        return _core.bool
    if all(isinstance(number, int) for number in numbers):
        return _core.int64
    real = _core.get_default_dtype()
    return real.to_complex() if any(isinstance(number, complex) for number in numbers) else real


def asarray(obj, /, *, dtype=None, device=None, copy=None):
    """An array of Python numbers, nested sequences of them, a buffer, a NumPy array or a tensor.

    A tensor stays the same tensor, with its history, where neither dtype nor device changes. `copy=True` copies in any
    case; `copy=False` raises ParameterError (HX1403, a ValueError) where a copy is needed.

    Example:
        >>> xp.asarray([[1, 2], [3, 4]]).shape
        (2, 2)
    """
    if not isinstance(obj, Tensor):
        return array(_core.asarray(obj, dtype=dtype, device=device, copy=copy))
    moves = device is not None and obj.device != device
    if copy is False and (moves or dtype not in (None, obj.dtype)):
        fail(ParameterError, 1403, "asarray", "another dtype or device needs a copy.")
    return array(Tensor.to(obj, dtype=dtype, device=device, copy=bool(copy)))


def from_dlpack(x, /, *, device=None, copy=None):
    """An array over the memory of an object with `__dlpack__`, or a copy of it.

    Example:
        >>> import numpy
        >>> xp.from_dlpack(numpy.asarray([1, 2]))
        Array([1, 2])
    """
    return array(_core.from_dlpack(x, device=device, copy=copy))


def _filled(name):
    def function(shape, *, dtype=None, device=None):
        return array(_op(name)(_shape(shape), dtype=dtype, device=device))

    return function


def _filled_like(name):
    def function(x, /, *, dtype=None, device=None):
        x = checked(name + "_like", "any", x)
        return array(_op(name)(x.shape, dtype=dtype or x.dtype, device=device or x.device))

    return function


def _name(function, name, text):
    function.__name__ = function.__qualname__ = name
    function.__doc__ = text
    return function


_LIKE = """An array {what}, with the shape, dtype and device of another where none is given.

    Example:
        >>> xp.{name}_like(xp.asarray([1, 2])).shape
        (2,)
    """
_NEW = """An array {what}, by default of the default floating dtype.

    Example:
        >>> xp.{name}((2, 3)).shape
        (2, 3)
    """
_WHAT = {"empty": "of arbitrary values", "ones": "of ones", "zeros": "of zeros"}
empty, ones, zeros = (_name(_filled(name), name, _NEW.format(name=name, what=what)) for name, what in _WHAT.items())
empty_like, ones_like, zeros_like = (
    _name(_filled_like(name), name + "_like", _LIKE.format(name=name, what=what)) for name, what in _WHAT.items()
)


def full(shape, fill_value, *, dtype=None, device=None):
    """An array of one value: a Python number, from which the dtype follows where none is given, or an array of one element.

    Example:
        >>> xp.full(2, True)
        Array([ True,  True])
    """
    if isinstance(fill_value, Tensor) and fill_value.ndim == 0:
        value = asarray(fill_value, dtype=dtype, device=device)
    elif isinstance(fill_value, (int, float, complex)):
        value = _core.tensor(fill_value, dtype=dtype or _number_dtype(fill_value), device=device)
    else:
        fail(ArgumentError, 1103, "full", f"fill_value must be a number, got {type(fill_value).__name__}.")
    return array(_op("clone")(_op("expand")(value, _shape(shape))))


def full_like(x, /, fill_value, *, dtype=None, device=None):
    """An array of one value, with the shape, dtype and device of another where none is given.

    Example:
        >>> xp.full_like(xp.asarray([1, 2]), 7)
        Array([7, 7])
    """
    x = checked("full_like", "any", x)
    return full(x.shape, fill_value, dtype=dtype or x.dtype, device=device or x.device)


def arange(start, /, stop=None, step=1, *, dtype=None, device=None):
    """Numbers from `start` (or 0) to below `stop`, `step` apart; none where the step leads away from `stop`.

    Example:
        >>> xp.arange(5, 1, -2)
        Array([5, 3])
    """
    start, stop = (0, start) if stop is None else (start, stop)
    if step == 0:
        fail(ParameterError, 1403, "arange", "step must not be 0.")
    dtype = dtype or _number_dtype(start, stop, step)
    if ceil((stop - start) / step) <= 0:
        return zeros(0, dtype=dtype, device=device)
    return array(_op("arange")(start, stop, step, dtype=dtype, device=device))


def linspace(start, stop, /, num, *, dtype=None, device=None, endpoint=True):
    """`num` numbers evenly spaced from `start` to `stop`, which is the last of them unless `endpoint` is False.

    Raises DTypeError (HX1101) for a dtype that is not floating.

    Example:
        >>> xp.linspace(0, 1, 5)
        Array([0.00, 0.25, 0.50, 0.75, 1.00])
    """
    if dtype is None:
        dtype = _number_dtype(start, stop, 0.0)
    if dtype not in KINDS["real floating"] + KINDS["complex floating"]:
        fail(DTypeError, 1101, "linspace", f"takes floating dtypes, got {dtype.name}.")
    if dtype in KINDS["complex floating"]:
        start, stop, real = complex(start), complex(stop), dtype.to_real()
        parts = [
            _spaced(a, b, num, endpoint, real, device) for a, b in ((start.real, stop.real), (start.imag, stop.imag))
        ]
        return array(_op("view_as_complex")(_op("stack")(parts, -1)))
    return array(_spaced(start, stop, num, endpoint, dtype, device))


def _spaced(start, stop, num, endpoint, dtype, device):
    found = _op("linspace")(start, stop, num if endpoint else num + 1, dtype=dtype, device=device)
    return found if endpoint else found[:-1]


def eye(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None):
    """A matrix with ones on its `k`-th diagonal and zeros elsewhere.

    Example:
        >>> xp.eye(2, 3, k=1)
        Array([[0., 1., 0.],
               [0., 0., 1.]])
    """
    n_cols = n_rows if n_cols is None else n_cols
    k = min(max(k, -n_rows), n_cols)
    rows = _op("arange")(n_rows, device=device).reshape(-1, 1)
    columns = _op("arange")(n_cols, device=device)
    return array(cast(rows + k == columns, dtype or _core.get_default_dtype()))


def meshgrid(*arrays, indexing="xy"):
    """Grids of coordinates from vectors of one dtype: one array for each, all of the same shape.

    Example:
        >>> [x.shape for x in xp.meshgrid(xp.arange(2), xp.arange(3))]
        [(3, 2), (3, 2)]
    """
    if len({checked("meshgrid", "any", x).dtype for x in arrays}) > 1:
        fail(ParameterError, 1101, "meshgrid", "the arrays must have one dtype.")
    if any(x.ndim != 1 for x in arrays):
        fail(ParameterError, 1001, "meshgrid", "the arrays must have one dimension.")
    from helix.shape_ops import meshgrid as grids

    return tuple(array(x) for x in grids(*arrays, indexing=indexing)) if arrays else ()


def _triangle(name, does, shown):
    def function(x, /, *, k=0):
        x = checked(name, "any", x)
        if x.ndim < 2:
            fail(ParameterError, 1001, name, f"takes matrices, got an array of {x.ndim} dimensions.")
        return array(_op(name)(x, min(max(k, -x.shape[-2]), x.shape[-1])))

    text = f"""The {does} of matrices, and zeros elsewhere.

    Example:
        >>> xp.{name}(xp.asarray([[1, 2], [3, 4]]))
        {shown}
    """
    return _name(function, name, text)


tril = _triangle("tril", "elements on and below the `k`-th diagonal", "Array([[1, 0],\n               [3, 4]])")
triu = _triangle("triu", "elements on and above the `k`-th diagonal", "Array([[1, 2],\n               [0, 4]])")
