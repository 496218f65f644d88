"""Layers over long sequences, in the form that a library has: one op, or the published reference in plain ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .data import normal


def reference_scan(lib: Any) -> Callable[..., Any]:
    """selective_scan_ref of Gu and Dao, with slices taken apart once instead of by index (whose backward is quadratic)."""
    t, F = lib.t, lib.F

    def scan(u: Any, delta: Any, A: Any, B: Any, C: Any, D: Any, z: Any, bias: Any) -> Any:
        delta = F.softplus(delta + bias[:, None])
        decay = t.exp(t.einsum("bdl,dn->bdln", delta, A))
        into = t.einsum("bdl,bnl,bdl->bdln", delta, B, u)
        x, out = t.zeros_like(into[:, :, 0]), []
        for a, b, c in zip(decay.unbind(2), into.unbind(2), C.unbind(2), strict=True):
            x = a * x + b
            out.append(t.einsum("bdn,bn->bd", x, c))
        return (t.stack(out, 2) + u * D[:, None]) * F.silu(z)

    return scan


def reference_convolution(lib: Any) -> Callable[..., Any]:
    """fftconv_ref of Hyena."""
    fft = lib.t.fft

    def convolve(u: Any, k: Any, D: Any) -> Any:
        n = 2 * u.shape[-1]
        y = fft.irfft(fft.rfft(u, n) * fft.rfft(k, n), n)[..., : u.shape[-1]]
        return y + u * D[:, None]

    return convolve


def scan_inputs(lib: Any, batch: int, length: int, channels: int, states: int) -> tuple[Callable[..., Any], list[Any]]:
    sequence, mixer = (batch, channels, length), (batch, states, length)
    shapes = (sequence, sequence, (channels, states), mixer, mixer, (channels,), sequence, (channels,))
    inputs = [lib.array(normal(f"scan{i}", *shape)) for i, shape in enumerate(shapes)]
    inputs[2] = -lib.t.exp(inputs[2])
    native = getattr(lib.F, "selective_scan", None)
    if native is None:
        return reference_scan(lib), inputs
    return lambda *a: native(*a, delta_softplus=True), inputs


def convolution_inputs(lib: Any, batch: int, length: int, channels: int) -> tuple[Callable[..., Any], list[Any]]:
    shapes = (batch, channels, length), (channels, length), (channels,)
    inputs = [lib.array(normal(f"long{i}", *shape)) for i, shape in enumerate(shapes)]
    return getattr(lib.F, "fft_conv", None) or reference_convolution(lib), inputs
