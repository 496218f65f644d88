"""Fourier transforms, their windows, and mel bands."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy

import helix

from ..._core import Tensor
from ..table import op
from ..types import dtype_of
from .common import arange, axis_of, flat, ints


def _transform(call: Any, x: Tensor, length: int | None, axis: int, inverse: bool, onesided: bool) -> Tensor:
    """x has real parts alone, or real and imaginary ones, on its last axis."""
    axis = axis_of(axis, x.ndim)
    if axis == x.ndim - 1 or x.shape[-1] not in (1, 2):
        raise ValueError(f"axis {axis} of shape {x.shape}")
    wide = x.to(helix.float32) if x.dtype.itemsize < 4 else x
    n = length if length is not None else 2 * (x.shape[axis] - 1) if inverse and onesided else x.shape[axis]
    call.require(2 * x.numel() // max(1, x.shape[axis]) * max(n, 1))
    real = x.shape[-1] == 1
    signal = wide.select(-1, 0) if real else helix.view_as_complex(wide.contiguous())
    if inverse and onesided:
        return helix.fft.irfft(signal, n=n, dim=axis).unsqueeze(-1).to(x.dtype)
    if inverse:
        made = helix.fft.ifft(signal, n=n, dim=axis)
    elif onesided:
        made = helix.fft.rfft(signal if real else signal.real, n=n, dim=axis)
    else:
        made = helix.fft.fft(signal, n=n, dim=axis)
    return helix.view_as_real(made).to(x.dtype)


@op("DFT", static=(1,))
def dft_17(
    call: Any, x: Tensor, length: Tensor | None = None, *, axis: int = 1, inverse: int = 0, onesided: int = 0
) -> Tensor:
    return _transform(call, x, None if length is None else ints(length)[0], axis, bool(inverse), bool(onesided))


@op("DFT", since=20, static=(1, 2))
def dft(
    call: Any,
    x: Tensor,
    length: Tensor | None = None,
    axis: Tensor | None = None,
    *,
    inverse: int = 0,
    onesided: int = 0,
) -> Tensor:
    at = -2 if axis is None else ints(axis)[0]
    return _transform(call, x, None if length is None else ints(length)[0], at, bool(inverse), bool(onesided))


@op("STFT", static=(1, 3))
def stft(
    call: Any, x: Tensor, step: Tensor, window: Tensor | None = None, length: Tensor | None = None, *, onesided: int = 1
) -> Tensor:
    n = ints(length)[0] if length is not None else window.shape[0] if window is not None else x.shape[1]
    real = x.ndim == 2 or x.shape[-1] == 1
    signal = (x if x.ndim == 2 else x.select(-1, 0)) if real else helix.view_as_complex(x.contiguous())
    hop = ints(step)[0]
    call.require(x.numel() // max(1, hop) * max(n, 1))
    frames = signal.unfold(1, n, hop)
    frames = frames if window is None else frames * window
    made = helix.fft.rfft(frames) if onesided and real else helix.fft.fft(frames)
    made = made if not onesided or real else made.narrow(-1, 0, n // 2 + 1)
    return helix.view_as_real(made)


def _window(*factors: float) -> Any:
    def compute(call: Any, size: Tensor, *, output_datatype: int = 1, periodic: int = 1) -> Tensor:
        (n,) = ints(size)
        call.require(n)
        angle = arange(0, n, size).to(helix.float64) * (2 * pi / max(1, n if periodic else n - 1))
        made = sum((f * (angle * i).cos() for i, f in enumerate(factors)), start=angle * 0)
        return made.to(dtype_of(output_datatype))

    return compute


op("HannWindow", static=(0,), grows=True)(_window(0.5, -0.5))
op("HammingWindow", static=(0,), grows=True)(_window(25 / 46, -21 / 46))
op("BlackmanWindow", static=(0,), grows=True)(_window(0.42, -0.5, 0.08))


@op("MelWeightMatrix", static=(0, 1, 2, 3, 4))
def mel_weight_matrix(
    call: Any, bands: Tensor, length: Tensor, rate: Tensor, low: Tensor, high: Tensor, *, output_datatype: int = 1
) -> Tensor:
    """Triangles over bins of a spectrum, equally wide in mel."""
    count, n, hertz = ints(bands)[0], ints(length)[0], ints(rate)[0]
    rows = n // 2 + 1
    call.require(rows * (count + 2))
    edges = 2595 * numpy.log10(1 + numpy.array([flat(low.tolist())[0], flat(high.tolist())[0]]) / 700)
    mel = numpy.arange(count + 2) * ((edges[1] - edges[0]) / (count + 2)) + edges[0]
    at = ((n + 1) * (700 * (10 ** (mel / 2595) - 1)) // hertz).astype(numpy.int64)
    left, middle, right = at[:-2], at[1:-1], at[2:]
    j = numpy.arange(rows)[:, None]
    rise = numpy.where(middle == left, (j == middle).astype(float), (j - left) / numpy.maximum(middle - left, 1))
    fall = (right - j) / numpy.maximum(right - middle, 1)
    made = numpy.where((j >= left) & (j <= middle), rise, 0.0)
    made = numpy.where((j >= middle) & (j < right), fall, made)
    return helix.tensor(made, device=bands.device).to(dtype_of(output_datatype))
