"""Short-time Fourier transforms and their inverse, and the windows that torch has at its top level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from helix import _core
from helix._core import Tensor
from helix.errors import ArgumentError, DTypeError, ParameterError, ShapeError
from helix.signal.windows import cosines, kaiser_shape, made, triangle
from helix.written import fail, op

if TYPE_CHECKING:
    from helix._core import Device, DType

# ---- windows ----


_FLOATS = (_core.float16, _core.bfloat16, _core.float32, _core.float64)


def _window(name: str, window_length: int, periodic: bool, shape: Any, more: dict[str, Any]) -> Tensor:
    layout, device, gradient = more["layout"], more["device"], more["grad"]
    return made(name, window_length, not periodic, shape, more["dtype"], layout, device, gradient, _FLOATS)


def hann_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: DType | None = None,
    layout: Any = None,
    device: Device | None = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """0.5 - 0.5 cos(x), one period; or, not periodic, symmetric. `pin_memory` is accepted and changes nothing.

    Example:
        >>> helix.hann_window(4).tolist()
        [0.0, 0.5, 1.0, 0.5]
    """
    more = {"dtype": dtype, "layout": layout, "device": device, "grad": requires_grad}
    return _window("hann_window", window_length, periodic, cosines(0.5, 0.5), more)


def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    *,
    dtype: DType | None = None,
    layout: Any = None,
    device: Device | None = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """alpha - beta cos(x), one period; or, not periodic, symmetric.

    Example:
        >>> [round(v, 2) for v in helix.hamming_window(4).tolist()]
        [0.08, 0.54, 1.0, 0.54]
    """
    more = {"dtype": dtype, "layout": layout, "device": device, "grad": requires_grad}
    return _window("hamming_window", window_length, periodic, cosines(alpha, beta), more)


def blackman_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: DType | None = None,
    layout: Any = None,
    device: Device | None = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """0.42 - 0.5 cos(x) + 0.08 cos(2 x), one period; or, not periodic, symmetric.

    Example:
        >>> [round(v, 2) for v in helix.blackman_window(4).tolist()]
        [-0.0, 0.34, 1.0, 0.34]
    """
    more = {"dtype": dtype, "layout": layout, "device": device, "grad": requires_grad}
    return _window("blackman_window", window_length, periodic, cosines(0.42, 0.5, 0.08), more)


def bartlett_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: DType | None = None,
    layout: Any = None,
    device: Device | None = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A triangle, one period; or, not periodic, symmetric.

    Example:
        >>> helix.bartlett_window(4).tolist()
        [0.0, 0.5, 1.0, 0.5]
    """
    more = {"dtype": dtype, "layout": layout, "device": device, "grad": requires_grad}
    return _window("bartlett_window", window_length, periodic, triangle, more)


def kaiser_window(
    window_length: int,
    periodic: bool = True,
    beta: float = 12.0,
    *,
    dtype: DType | None = None,
    layout: Any = None,
    device: Device | None = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """I0(beta sqrt(1 - x^2)) / I0(beta), one period; or, not periodic, symmetric.

    Example:
        >>> [round(v, 3) for v in helix.kaiser_window(3, periodic=False, beta=2.0).tolist()]
        [0.439, 1.0, 0.439]
    """
    more = {"dtype": dtype, "layout": layout, "device": device, "grad": requires_grad}
    return _window("kaiser_window", window_length, periodic, kaiser_shape(beta), more)


# ---- short-time transforms ----


def _frame(
    name: str, n_fft: int, hop_length: int | None, win_length: int | None, window: Tensor | None, like: Tensor
) -> tuple[int, int, Tensor | None]:
    """hop_length, win_length, and the window in the middle of n_fft points."""
    hop = n_fft // 4 if hop_length is None else hop_length
    wide = n_fft if win_length is None else win_length
    if hop < 1:
        fail(ParameterError, 1403, name, f"hop_length must be at least 1, got {hop}.")
    if not 1 <= wide <= n_fft:
        fail(ParameterError, 1403, name, f"win_length must lie between 1 and n_fft, {n_fft}, got {wide}.")
    if window is None:
        if wide == n_fft:
            return hop, wide, None
        window = op("ones")(wide, dtype=_real(like), device=like.device)
    if tuple(window.shape) != (wide,):
        fail(ShapeError, 1001, name, f"window must have shape ({wide},), got {tuple(window.shape)}.")
    left = (n_fft - wide) // 2
    return hop, wide, op("pad")(window, (left, n_fft - wide - left)) if wide < n_fft else window


def _real(t: Tensor) -> Any:
    """The dtype of a tensor's real and imaginary parts."""
    return {_core.complex64: _core.float32, _core.complex128: _core.float64}.get(t.dtype, t.dtype)


def _check_signal(name: str, input: Tensor) -> None:
    if not (input.is_floating_point() or input.is_complex()):
        fail(DTypeError, 1101, name, f"input must be floating or complex, got {input.dtype.name}.")
    if input.ndim not in (1, 2):
        fail(ShapeError, 1001, name, f"input must have 1 or 2 axes, got shape {tuple(input.shape)}.")


def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:
    """The spectra of windowed frames of a signal: (batch, length) or (length,) gives (..., frequencies, frames).

    Frame t holds the n_fft samples around (center) or from t * hop_length on; hop_length is n_fft // 4 by default. A
    window shorter than n_fft stands in the middle. center pads by n_fft // 2 at both ends in the way of pad_mode.
    normalized divides by the root of n_fft. onesided leaves out the mirrored half; it is the default where input and
    window are real. return_complex must be given then; False gives real and imaginary parts along a last axis.
    align_to_window (without center): frames follow the window, not n_fft. Differentiable in input and window.

    Raises HX1001 for shapes, HX1101 for dtypes, HX1103 where return_complex is missing, and HX1403 for lengths.

    Example:
        >>> helix.stft(helix.ones(8), 4, 4, center=False, return_complex=True).real.tolist()
        [[4.0, 4.0], [0.0, 0.0], [0.0, 0.0]]
    """
    _check_signal("stft", input)
    mixed = input.is_complex() or (window is not None and window.is_complex())
    if return_complex is None:
        if not mixed:
            text = "return_complex must be given for real input: True, or False for parts along a last axis."
            fail(ArgumentError, 1103, "stft", text)
        return_complex = True
    onesided = not mixed if onesided is None else onesided
    if onesided and mixed:
        fail(ParameterError, 1403, "stft", "onesided is for real input and window.")
    if center and align_to_window is not None:
        fail(ParameterError, 1403, "stft", "align_to_window is for center=False.")
    if n_fft < 1:
        fail(ParameterError, 1403, "stft", f"n_fft must be at least 1, got {n_fft}.")
    hop, wide, window = _frame("stft", n_fft, hop_length, win_length, window, input)
    signal = input.unsqueeze(0) if input.ndim == 1 else input
    if center:
        signal = op("pad")(signal.unsqueeze(1), (n_fft // 2,) * 2, pad_mode).squeeze(1)
    elif align_to_window:
        left = (n_fft - wide) // 2
        signal = op("pad")(signal, (left, n_fft - wide - left))
    if signal.shape[-1] < n_fft:
        text = f"n_fft, {n_fft}, must not be larger than the padded signal, {signal.shape[-1]}."
        fail(ParameterError, 1403, "stft", text)
    frames = signal.unfold(-1, n_fft, hop)
    if window is not None:
        frames = frames * window
    transform = op("fft_rfft") if onesided else op("fft_fft")
    spectra = transform(frames, None, -1, "ortho" if normalized else "backward").transpose(-2, -1)
    spectra = spectra.squeeze(0) if input.ndim == 1 else spectra
    return spectra if return_complex else op("view_as_real")(spectra)


def _summed(frames: Tensor, hop: int) -> Tensor:
    """Frames (batch, frames, n) added up where they stand in the signal."""
    batch, count, n = frames.shape
    return op("unfold_backward")(frames, -1, n, hop, (batch, n + (count - 1) * hop))


def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """The signal whose short-time spectra come closest to `input`: the inverse of stft with the same arguments.

    input: complex, (batch, frequencies, frames) or (frequencies, frames). length: of the result, which is cut or
    continued with zeros. return_complex: the spectra have both halves, and the signal is complex. Griffin and Lim,
    "Signal estimation from modified short-time Fourier transform", IEEE Trans. ASSP 32 (1984).

    Raises HX1001 for shapes, HX1101 for dtypes and HX1403 for lengths, or where the windows leave a point uncovered.

    Example:
        >>> spectra = helix.stft(helix.tensor([1.0, 2.0, 3.0, 4.0]), 4, 2, return_complex=True)
        >>> [round(v, 5) for v in helix.istft(spectra, 4, 2).tolist()]
        [1.0, 2.0, 3.0, 4.0]
    """
    if not input.is_complex():
        fail(DTypeError, 1101, "istft", f"input must be complex, got {input.dtype.name}.")
    if input.ndim not in (2, 3) or 0 in input.shape:
        text = f"input must be (batch, frequencies, frames) or (frequencies, frames), got shape {tuple(input.shape)}."
        fail(ShapeError, 1001, "istft", text)
    onesided = input.shape[-2] != n_fft if onesided is None else onesided
    bins = n_fft // 2 + 1 if onesided else n_fft
    if input.shape[-2] != bins:
        fail(ShapeError, 1001, "istft", f"n_fft {n_fft} has {bins} frequencies, but input has {input.shape[-2]}.")
    if return_complex and onesided:
        fail(ParameterError, 1403, "istft", "return_complex is for spectra with both halves, onesided=False.")
    if window is not None and window.is_complex() and not return_complex:
        fail(DTypeError, 1101, "istft", "a complex window goes with return_complex=True.")
    hop, wide, window = _frame("istft", n_fft, hop_length, win_length, window, input)
    if hop > wide:
        fail(ParameterError, 1403, "istft", f"hop_length, {hop}, must not be larger than win_length, {wide}.")
    if window is None:
        window = op("ones")(n_fft, dtype=_real(input), device=input.device)
    spectra = (input.unsqueeze(0) if input.ndim == 2 else input).transpose(1, 2)
    norm = "ortho" if normalized else "backward"
    if return_complex:
        frames = op("fft_ifft")(spectra, n_fft, -1, norm)
    else:
        half = spectra if onesided else op("narrow")(spectra, -1, 0, n_fft // 2 + 1)
        frames = op("fft_irfft")(half, n_fft, -1, norm)
    signal = _overlapped(frames, window, hop, n_fft, center, length)
    return signal.squeeze(0) if input.ndim == 2 else signal


def _overlapped(frames: Tensor, window: Tensor, hop: int, n_fft: int, center: bool, length: int | None) -> Tensor:
    """The weighted sum of frames over the sum of squared windows, without the padding."""
    total = _summed(frames * window, hop)
    envelope = _summed((window * window).expand(1, frames.shape[1], n_fft), hop)
    start = n_fft // 2 if center else 0
    covered = total.shape[-1]
    end = start + length if length is not None else covered - start
    kept = slice(start, min(end, covered))
    total, envelope = total[:, kept], envelope[:, kept]
    if envelope.shape[-1] and envelope.detach().abs().min().item() < 1e-11:
        fail(ParameterError, 1403, "istft", "the windows leave points of the signal uncovered.")
    signal = total / envelope
    return op("pad")(signal, (0, end - covered)) if end > covered else signal


FUNCTIONS = {
    f.__name__: f for f in (hann_window, hamming_window, blackman_window, bartlett_window, kaiser_window, stft, istft)
}
_core.add_methods({"stft": stft, "istft": istft})
