"""What functions in Python over ops share: `out=`, forms in place, refusals."""

from __future__ import annotations

from functools import wraps

from helix import _core
from helix.errors import ArgumentError, DTypeError, ParameterError, ShapeError

op = _core.op_named


def fail(error, number, name, text, **facts):
    raise error(f"HX{number} {name}: {text}", op=name, code=f"HX{number}", **facts)


def into(name, out, result):
    """The result, or `out` with the result in it: a tensor, or one for each of several named results."""
    if out is None:
        return result
    several = isinstance(result, tuple)
    targets, parts = (tuple(out), tuple(result)) if several else ((out,), (result,))
    if len(targets) != len(parts):
        fail(ArgumentError, 1103, name, f"out must be {len(parts)} tensors, got {len(targets)}.")
    for target, part in zip(targets, parts):
        check_room(name, target, part)
    written = [target.copy_(part) for target, part in zip(targets, parts)]
    make = getattr(type(result), "_make", type(result))  # of a named tuple, or of a structure of the core's
    return make(written) if several else written[0]


def check_room(name, out, result):
    """Refuses what a result cannot be written into."""
    if not isinstance(out, _core.Tensor):
        fail(ArgumentError, 1103, name, f"out must be a tensor, got {type(out).__name__}.")
    if out.shape != result.shape:
        shapes = f"the result has shape {tuple(result.shape)}, but out, which is written, has {tuple(out.shape)}."
        fail(ShapeError, 1006, name, shapes, argument="out", expected=tuple(result.shape), got=tuple(out.shape))
    if not _core.can_cast(result.dtype, out.dtype):
        text = f"a {result.dtype.name} result cannot be stored in out, a {out.dtype.name} tensor."
        fail(DTypeError, 1102, name, text, argument="out", expected=result.dtype.name, got=out.dtype.name)


def in_place(function, name=None):
    """`name_` of a function: the result is written into the first argument."""

    @wraps(function)
    def method(self, *args, **kwargs):
        result = function(self, *args, **kwargs)
        return into(function.__name__, self, result)

    method.__name__ = method.__qualname__ = name or function.__name__ + "_"
    method.__doc__ = f"In-place form of {function.__name__}: the result is written into the tensor."
    return method


def axis(name, dim, ndim):
    """dim as 0..ndim-1; a tensor without dimensions has one axis to name."""
    from helix.errors import IndexRangeError

    room = max(ndim, 1)
    if not -room <= dim < room:
        fail(IndexRangeError, 1302, name, f"axis {dim} is out of range (valid {-room}..{room - 1}).")
    return dim + room if dim < 0 else dim


def need_floating(name, **tensors):
    """Refuses tensors that are neither floating nor complex."""
    for key, t in tensors.items():
        if not (t.is_floating_point() or t.is_complex()):
            fail(DTypeError, 1101, name, f"{key} has dtype {t.dtype.name}; a floating one is needed.")


def need_tensors(name, **values):
    """Refuses what is not a tensor."""
    for key, value in values.items():
        if not isinstance(value, _core.Tensor):
            fail(ArgumentError, 1103, name, f"{key} must be a tensor, got {value!r} ({type(value).__name__}).")


def one_of(name, parameter, value, choices):
    if value not in choices:
        fail(ParameterError, 1403, name, f"{parameter} must be one of {', '.join(map(repr, choices))}, got {value!r}.")
