"""helix.fft: Fourier transforms, and what belongs to them. All are ops of the core (records marked HX_FFT)."""

from __future__ import annotations

from helix import _core

globals().update(_core.fft_functions())

__all__ = sorted(_core.fft_functions())
