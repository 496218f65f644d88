"""Where a token stands: rotary, sinusoidal and learned positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import bfloat16, cat, empty, float16, stack
from .. import tensor as make
from .._core import tracing
from ..errors import ParameterError
from ..tensor import Tensor
from . import init
from .dropout import Dropout
from .misfit import describe
from .module import Module
from .parameter import Parameter
from .ropescaling import GROWING, frequencies_within, kind_of, rotary_frequencies, rotary_magnitude

LAYOUTS = ("half", "interleaved")
MAX_ROTARY = 65_536  # features of a head: what a file says is not trusted to fit into memory


def _layout(op: str, layout: str) -> None:
    if layout not in LAYOUTS:
        raise ParameterError(
            f"HX1403 {op}: layout must be one of {LAYOUTS}, got {layout!r}.", op=op, argument="layout", got=layout
        )


def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor, layout: str = "half") -> Tensor:
    """Turns pairs of the first features of x, (..., length, size), by angles whose cosines and sines are given.

    cos, sin: (..., length, pairs). layout "half" pairs feature i with i + pairs (Llama's files), "interleaved" 2i with
    2i + 1 (the paper). Features after the pairs stay as they are.

    Example:
        >>> zero, one = helix.tensor([[0.0]]), helix.tensor([[1.0]])
        >>> helix.nn.positions.apply_rotary(helix.tensor([[2.0, 3.0, 5.0]]), zero, one).tolist()
        [[-3.0, 2.0, 5.0]]
    """
    _layout("apply_rotary", layout)
    pairs = cos.shape[-1]
    turned, rest = x[..., : 2 * pairs], x[..., 2 * pairs :]
    if layout == "half":
        a, b = turned[..., :pairs], turned[..., pairs:]
        made = cat([a * cos - b * sin, b * cos + a * sin], -1)
    else:
        a, b = turned.unflatten(-1, (pairs, 2)).unbind(-1)
        made = stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)
    return cat([made, rest], -1) if rest.shape[-1] else made


class RotaryEmbedding(Module):
    """Turns queries and keys by angles that grow with the position, so that scores depend on distances alone.

    Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021. dim: how many features of a head
    turn. scaling: see rotary_frequencies; cosines and sines of "yarn" and "longrope" are larger than 1 by what these
    papers say. layout: see apply_rotary.

    Example:
        >>> rotary = helix.nn.RotaryEmbedding(4)
        >>> cos, sin = rotary.turns(helix.arange(3))
        >>> helix.nn.positions.apply_rotary(helix.ones(1, 2, 3, 4), cos, sin).shape
        (1, 2, 3, 4)
    """

    frequencies: Tensor

    def __init__(
        self,
        dim: int,
        base: float = 10000.0,
        layout: str = "half",
        scaling: Mapping[str, Any] | None = None,
        device=None,
    ) -> None:
        _layout("RotaryEmbedding", layout)
        if not 2 <= dim <= MAX_ROTARY or dim % 2:
            text = f"HX1403 RotaryEmbedding: dim must be even, from 2 to {MAX_ROTARY}, got {dim}."
            raise ParameterError(text, argument="dim", got=dim)
        self.dim, self.base, self.layout = dim, base, layout
        self.scaling, self._magnitude = scaling, rotary_magnitude(scaling)
        self._exact = rotary_frequencies(dim, base, scaling)
        self.register_buffer("frequencies", make(self._exact, device=device), persistent=False)

    def turns(self, positions: Tensor, dtype=None) -> tuple[Tensor, Tensor]:
        """Cosines and sines for positions (length,) or (batch, length), shaped to meet (batch, heads, length, size); angles
        are of float32 at least. Where the scaling asks for the text's length, it is that up to the last position."""
        frequencies = self.frequencies
        if self.scaling is not None and kind_of(self.scaling) in GROWING and positions.numel():
            length = positions.max() + 1
            if tracing():
                frequencies = frequencies_within(self.dim, self.base, self.scaling, length)
            else:
                exact = rotary_frequencies(self.dim, self.base, self.scaling, int(length.item()))
                frequencies = make(exact, device=frequencies.device)
        elif frequencies.dtype in (float16, bfloat16):  # which cannot tell far positions apart
            frequencies = make(self._exact, device=frequencies.device)
        angles = positions.unsqueeze(-1).to(frequencies.dtype) * frequencies
        if positions.ndim == 2:
            angles = angles.unsqueeze(1)
        cos, sin = angles.cos(), angles.sin()
        if self._magnitude != 1:
            cos, sin = cos * self._magnitude, sin * self._magnitude
        return (cos, sin) if dtype is None else (cos.to(dtype), sin.to(dtype))

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        cos, sin = self.turns(positions, x.dtype)
        return apply_rotary(x, cos, sin, self.layout)

    def extra_repr(self) -> str:
        return f"{self.dim}, base={self.base}, layout={self.layout!r}"


def sinusoids(length: int, dim: int, base: float = 10000.0, layout: str = "interleaved", *, dtype=None, device=None):
    """A table (length, dim) of sines and cosines of wavelengths from 2 pi to base * 2 pi; Vaswani et al., 2017.

    layout "interleaved" sets sine and cosine side by side, as the paper; "half" all sines before all cosines, with
    wavelengths that reach base exactly, as tensor2tensor and Whisper.

    Example:
        >>> helix.nn.positions.sinusoids(1, 4).tolist()
        [[0.0, 1.0, 0.0, 1.0]]
    """
    from .. import arange, float32

    _layout("sinusoids", layout)
    if dim < 2 or dim % 2:
        raise ParameterError(f"HX1403 sinusoids: dim must be even and positive, got {dim}.", argument="dim", got=dim)
    last = dim // 2 if layout == "interleaved" else max(1, dim // 2 - 1)
    scale = make([base ** (-i / last) for i in range(dim // 2)], device=device)
    angles = arange(length, device=device).unsqueeze(-1).to(scale.dtype) * scale
    parts = [angles.sin(), angles.cos()]
    return (stack(parts, -1).flatten(-2) if layout == "interleaved" else cat(parts, -1)).to(dtype or float32)


class SinusoidalPositions(Module):
    """Adds a fixed table of sinusoids to (..., length, dim), then dropout; nothing to train, nothing in the state.

    Example:
        >>> helix.nn.SinusoidalPositions(4, 16)(helix.zeros(2, 3, 4)).shape
        (2, 3, 4)
    """

    table: Tensor

    def __init__(
        self,
        dim: int,
        length: int = 5000,
        dropout: float = 0.0,
        base: float = 10000.0,
        layout: str = "interleaved",
        device=None,
        dtype=None,
    ) -> None:
        self.dim, self.length = dim, length
        made = sinusoids(length, dim, base, layout, dtype=dtype, device=device)
        self.register_buffer("table", made, persistent=False)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(x + self.table[: x.shape[-2]])

    def misfit(self, x) -> str | None:
        return _too_long(x, self.length, self.dim)

    def extra_repr(self) -> str:
        return f"{self.dim}, {self.length}"


class LearnedPositions(Module):
    """Adds a trained vector for each position to (..., length, dim), then dropout; `weight` is (length, dim).

    Example:
        >>> helix.nn.LearnedPositions(4, 16)(helix.zeros(2, 3, 4)).shape
        (2, 3, 4)
    """

    weight: Parameter

    def __init__(self, dim: int, length: int, dropout: float = 0.0, device=None, dtype=None) -> None:
        self.dim, self.length = dim, length
        self.weight = Parameter(empty(length, dim, device=device, dtype=dtype))
        self.dropout = Dropout(dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.normal_(self.weight, 0.0, 0.02)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(x + self.weight[: x.shape[-2]])

    def misfit(self, x) -> str | None:
        return _too_long(x, self.length, self.dim)

    def extra_repr(self) -> str:
        return f"{self.dim}, {self.length}"


def _too_long(x: Any, length: int, dim: int) -> str | None:
    if x.ndim >= 2 and x.shape[-2] <= length and x.shape[-1] == dim:
        return None
    return f"the layer takes (..., length, {dim}) with length up to {length}. {describe(x)}"
