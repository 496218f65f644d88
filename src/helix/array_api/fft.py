"""Fourier transforms: the standard's extension. Also as functions of `helix.fft`, with torch's parameters."""

from __future__ import annotations

from helix import fft as _helix
from helix.array_api.rules import KINDS, array, axes_of, checked, fail, one_axis
from helix.errors import DTypeError

__all__ = [
    "fft",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfftn",
    "rfft",
    "rfftfreq",
    "rfftn",
]

_LINE = """{does} along an axis.

    n: how many elements of the axis are taken, cut or padded with zeros (default: all). norm: "backward", "ortho" or
    "forward", where the factor stands. Takes {category} dtypes.

    Example:
        >>> xp.fft.{name}(xp.asarray({given})).shape
        {shown}
    """
_MANY = """{does} over several axes.

    s: how many elements of each axis are taken, cut or padded with zeros. axes: default all, or the last len(s). norm:
    "backward", "ortho" or "forward", where the factor stands. Takes {category} dtypes.

    Example:
        >>> xp.fft.{name}(xp.ones((2, 3), dtype={given})).shape
        {shown}
    """


def _named(function, name, text, **words):
    function.__name__ = function.__qualname__ = name
    function.__doc__ = text.format(name=name, **words)
    return function


def _line(name, category, does, given="[1.0, 2.0, 3.0]", shown="(3,)"):
    compute = getattr(_helix, name)

    def function(x, /, *, n=None, axis=-1, norm="backward"):
        x = checked(name, category, x)
        return array(compute(x, n, one_axis(name, axis, x.ndim), norm))

    return _named(function, name, _LINE, does=does, category=category, given=given, shown=shown)


def _many(name, category, does, given="xp.complex64", shown="(2, 3)"):
    compute = getattr(_helix, name)

    def function(x, /, *, s=None, axes=None, norm="backward"):
        x = checked(name, category, x)
        return array(compute(x, s, axes, norm))

    return _named(function, name, _MANY, does=does, category=category, given=given, shown=shown)


_ANY, _REAL = "floating-point", "real floating-point"
fft = _line("fft", _ANY, "The Fourier transform")
ifft = _line("ifft", _ANY, "The inverse Fourier transform")
rfft = _line("rfft", _REAL, "The half of the Fourier transform of real numbers that determines the rest", shown="(2,)")
irfft = _line("irfft", _ANY, "What `rfft` came from: real numbers", "[1 + 0j, 2, 3]", "(4,)")
hfft = _line(
    "hfft", _ANY, "The Fourier transform of a Hermitian signal, given by its first half", "[1 + 0j, 2, 3]", "(4,)"
)
ihfft = _line("ihfft", _REAL, "The first half of the inverse transform of real numbers", shown="(2,)")
fftn = _many("fftn", _ANY, "The Fourier transform")
ifftn = _many("ifftn", _ANY, "The inverse Fourier transform")
rfftn = _many("rfftn", _REAL, "The half of the Fourier transform of real numbers", "xp.float32", "(2, 2)")
irfftn = _many("irfftn", _ANY, "What `rfftn` came from: real numbers", shown="(2, 4)")


def _frequencies(name, which, shown):
    def function(n, /, *, d=1.0, dtype=None, device=None):
        if dtype is not None and dtype not in KINDS["real floating"]:
            fail(DTypeError, 1101, name, f"takes real floating dtypes, got {dtype.name}.")
        return array(getattr(_helix, name)(n, d, dtype=dtype, device=device))

    text = """{which}, for n samples that are d apart.

    Example:
        >>> xp.fft.{name}(4)
        Array({shown})
    """
    return _named(function, name, text, which=which, shown=shown)


fftfreq = _frequencies("fftfreq", "The frequencies of `fft`", "[ 0.00,  0.25, -0.50, -0.25]")
rfftfreq = _frequencies("rfftfreq", "The frequencies of `rfft`", "[0.00, 0.25, 0.50]")


def _shifted(name, where, shown):
    def function(x, /, *, axes=None):
        x = checked(name, _ANY, x)
        axes = axes_of(name, tuple(axes) if isinstance(axes, list) else axes, x.ndim)
        return array(getattr(_helix, name)(x, axes) if axes else x)

    text = """The array with frequency 0 moved {where} of the axes (all by default). Takes floating-point dtypes.

    Example:
        >>> xp.fft.{name}(xp.asarray([0.0, 1.0, 2.0]))
        Array({shown})
    """
    return _named(function, name, text, where=where, shown=shown)


fftshift = _shifted("fftshift", "from the front to the middle", "[2., 0., 1.]")
ifftshift = _shifted("ifftshift", "from the middle to the front", "[1., 2., 0.]")
