"""helix.signal.windows: window functions of M points, under torch.signal.windows' names.

`sym`: the last point mirrors the first, as filters want it; otherwise the window is the first M of M + 1 points, one
period, as spectra want it. A window is computed in float64; the default dtype is the default float. All raise HX1403 for
a negative M, and for another dtype than float32 and float64. Formulas: Harris, "On the use of windows for harmonic analysis
with the discrete Fourier transform", Proc. IEEE 66 (1978).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from helix import _core
from helix._core import Tensor
from helix.errors import ParameterError
from helix.layouts import strided
from helix.written import fail, op

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]

Shape = Callable[[Tensor, int], Tensor]


def made(
    name: str,
    M: int,
    sym: bool,
    shape: Shape,
    dtype: Any,
    layout: Any,
    device: Any,
    requires_grad: bool,
    dtypes: tuple[Any, ...] = (_core.float32, _core.float64),
) -> Tensor:
    """The values of `shape` at the points 0 ... M - 1, which stand in a symmetric window of the length it is told."""
    if layout not in (None, strided):
        fail(ParameterError, 1403, name, f"layout must be helix.strided, got {layout!r}.")
    dtype = _core.get_default_dtype() if dtype is None else _core.as_dtype(dtype)
    if dtype not in dtypes:
        fail(ParameterError, 1403, name, f"dtype must be {' or '.join(d.name for d in dtypes)}, got {dtype.name}.")
    if M < 0:
        fail(ParameterError, 1403, name, f"the length must not be negative, got {M}.")
    at = op("arange")(M, dtype=_core.float64, device=device)
    values = op("ones_like")(at) if M <= 1 else shape(at, M if sym else M + 1)
    window = values.to(dtype)
    return window.requires_grad_() if requires_grad else window


def cosines(*a: float) -> Shape:
    """a0 - a1 cos(x) + a2 cos(2 x) - ..., x one turn over the window."""

    def shape(at: Tensor, n: int) -> Tensor:
        turn, total = at * (2 * math.pi / (n - 1)), op("zeros_like")(at)
        for i, factor in enumerate(a):
            total = total + (turn * i).cos() * (factor if i % 2 == 0 else -factor)
        return total

    return shape


def triangle(at: Tensor, n: int) -> Tensor:
    return 1 - (at * (2 / (n - 1)) - 1).abs()


def kaiser_shape(beta: float) -> Shape:
    """I0(beta sqrt(1 - x^2)) / I0(beta), x from -1 to 1."""

    def shape(at: Tensor, n: int) -> Tensor:
        x = at * (2 / (n - 1)) - 1
        peak = op("i0")(op("full")((), beta, dtype=at.dtype, device=at.device))
        return op("i0")((1 - x * x).clamp(min=0).sqrt() * beta) / peak

    return shape


def bartlett(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A triangle that begins and ends at 0.

    Example:
        >>> helix.signal.windows.bartlett(5).tolist()
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    return made("bartlett", M, sym, triangle, dtype, layout, device, requires_grad)


def blackman(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """0.42 - 0.5 cos(x) + 0.08 cos(2 x).

    Example:
        >>> [round(v, 2) for v in helix.signal.windows.blackman(5).tolist()]
        [-0.0, 0.34, 1.0, 0.34, -0.0]
    """
    return made("blackman", M, sym, cosines(0.42, 0.5, 0.08), dtype, layout, device, requires_grad)


def cosine(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Half a turn of a sine.

    Example:
        >>> [round(v, 2) for v in helix.signal.windows.cosine(3).tolist()]
        [0.5, 1.0, 0.5]
    """

    def half_turn(at: Tensor, n: int) -> Tensor:
        return ((at + 0.5) * (math.pi / n)).sin()

    return made("cosine", M, sym, half_turn, dtype, layout, device, requires_grad)


def exponential(
    M: int,
    *,
    center: float | None = None,
    tau: float = 1.0,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """exp(-|k - center| / tau). A center of one's own is for sym=False; by default it is the middle.

    Example:
        >>> [round(v, 3) for v in helix.signal.windows.exponential(3).tolist()]
        [0.368, 1.0, 0.368]
    """
    if tau <= 0:
        fail(ParameterError, 1403, "exponential", f"tau must be above 0, got {tau}.")
    if sym and center is not None:
        fail(ParameterError, 1403, "exponential", "center is for sym=False: a symmetric window has its own.")

    def decay(at: Tensor, n: int) -> Tensor:
        middle = (n - 1) / 2 if center is None else center
        return (-(at - middle).abs() / tau).exp()

    return made("exponential", M, sym, decay, dtype, layout, device, requires_grad)


def gaussian(
    M: int,
    *,
    std: float = 1.0,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """exp(-x^2 / 2), x the distance from the middle in units of std.

    Example:
        >>> [round(v, 3) for v in helix.signal.windows.gaussian(3).tolist()]
        [0.607, 1.0, 0.607]
    """
    if std <= 0:
        fail(ParameterError, 1403, "gaussian", f"std must be above 0, got {std}.")

    def bell(at: Tensor, n: int) -> Tensor:
        return (-0.5 * ((at - (n - 1) / 2) / std).square()).exp()

    return made("gaussian", M, sym, bell, dtype, layout, device, requires_grad)


def general_cosine(
    M: int,
    *,
    a: Iterable[float],
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """a[0] - a[1] cos(x) + a[2] cos(2 x) - ...

    Example:
        >>> helix.signal.windows.general_cosine(3, a=[0.5, 0.5]).tolist()
        [0.0, 1.0, 0.0]
    """
    factors = tuple(a)
    if not factors:
        fail(ParameterError, 1403, "general_cosine", "a must hold a number at least.")
    return made("general_cosine", M, sym, cosines(*factors), dtype, layout, device, requires_grad)


def general_hamming(
    M: int,
    *,
    alpha: float = 0.54,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """alpha - (1 - alpha) cos(x).

    Example:
        >>> helix.signal.windows.general_hamming(3, alpha=0.5).tolist()
        [0.0, 1.0, 0.0]
    """
    return made("general_hamming", M, sym, cosines(alpha, 1 - alpha), dtype, layout, device, requires_grad)


def hamming(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """0.54 - 0.46 cos(x).

    Example:
        >>> [round(v, 2) for v in helix.signal.windows.hamming(3).tolist()]
        [0.08, 1.0, 0.08]
    """
    return made("hamming", M, sym, cosines(0.54, 0.46), dtype, layout, device, requires_grad)


def hann(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """0.5 - 0.5 cos(x).

    Example:
        >>> helix.signal.windows.hann(3).tolist()
        [0.0, 1.0, 0.0]
    """
    return made("hann", M, sym, cosines(0.5, 0.5), dtype, layout, device, requires_grad)


def kaiser(
    M: int,
    *,
    beta: float = 12.0,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """I0(beta sqrt(1 - x^2)) / I0(beta), x from -1 to 1.

    Example:
        >>> [round(v, 3) for v in helix.signal.windows.kaiser(3, beta=2.0).tolist()]
        [0.439, 1.0, 0.439]
    """
    if beta < 0:
        fail(ParameterError, 1403, "kaiser", f"beta must not be negative, got {beta}.")
    return made("kaiser", M, sym, kaiser_shape(beta), dtype, layout, device, requires_grad)


def nuttall(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Nuttall's four cosines ("Some windows with very good sidelobe behavior", IEEE Trans. ASSP 29, 1981).

    Example:
        >>> [round(v, 3) for v in helix.signal.windows.nuttall(3).tolist()]
        [0.0, 1.0, 0.0]
    """
    factors = (0.3635819, 0.4891775, 0.1365995, 0.0106411)
    return made("nuttall", M, sym, cosines(*factors), dtype, layout, device, requires_grad)
