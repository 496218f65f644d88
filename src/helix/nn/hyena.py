"""Hyena: Poli et al., "Hyena hierarchy: towards larger convolutional language models", ICML 2023; HazyResearch/safari's names."""

from __future__ import annotations

import math
from typing import Any

from .. import bfloat16, cat, float16, float32, linspace, ones, polar, randn, zeros
from ..tensor import Tensor
from . import functional as F
from .containers import Sequential
from .conv import Conv1d
from .dropout import Dropout
from .linear import Linear
from .misfit import describe
from .module import Module
from .parameter import Parameter
from .sequence import SequenceLayer


class Sin(Module):
    """sin(freq x), with a frequency for each feature that is trained. x: (…, dim)."""

    freq: Parameter

    def __init__(self, dim: int, w: float = 10.0, device=None, dtype=None) -> None:
        self.freq = Parameter(w * ones(1, dim, device=device, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        return (self.freq * x).sin()


class PositionalEmbedding(Module):
    """Time from 0 to 1 and complex waves of it: `layer(length)` gives z (1, length, emb_dim) and t (1, length, 1)."""

    z: Tensor
    t: Tensor

    def __init__(self, emb_dim: int, seq_len: int, device=None, dtype=None) -> None:
        bands = (emb_dim - 1) // 2
        made = {"device": device, "dtype": float32 if dtype in (float16, bfloat16) else dtype}
        t = linspace(0, 1, seq_len, **made).reshape(1, -1, 1)
        turns = linspace(0, seq_len - 1, seq_len, **made).reshape(1, -1, 1) * (2 * math.pi / seq_len)
        angle = -turns * linspace(1e-4, bands - 1, bands, **made)
        wave = polar(angle * 0 + 1, angle)
        self.register_buffer("z", cat([t, wave.real, wave.imag], -1).to(dtype or t.dtype))
        self.register_buffer("t", t.to(dtype or t.dtype))

    def forward(self, length: int) -> tuple[Tensor, Tensor]:
        return self.z.narrow(1, 0, length), self.t.narrow(1, 0, length)


class ExponentialModulation(Module):
    """Filters times exponential windows, from a slow decay for the first channel to a fast one for the last."""

    deltas: Tensor

    def __init__(
        self,
        d_model: int,
        fast_decay_pct: float = 0.3,
        slow_decay_pct: float = 1.5,
        target: float = 1e-2,
        shift: float = 0.0,
        device=None,
        dtype=None,
    ) -> None:
        self.shift = shift
        low, high = math.log(target) / slow_decay_pct, math.log(target) / fast_decay_pct
        self.register_buffer("deltas", linspace(low, high, d_model, device=device, dtype=dtype).reshape(1, 1, -1))

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return x * ((-t * self.deltas.abs()).exp() + self.shift)


class HyenaFilter(Module):
    """Long filters as a small network of the position: `layer(length)` is (d_model, length); bias is their skip."""

    bias: Parameter

    def __init__(
        self,
        d_model: int,
        emb_dim: int = 3,
        order: int = 16,
        seq_len: int = 1024,
        w: float = 1.0,
        num_inner_mlps: int = 2,
        device=None,
        dtype=None,
        **modulation,
    ) -> None:
        if emb_dim < 3 or emb_dim % 2 == 0:
            raise ValueError(f"HyenaFilter: emb_dim must be odd and at least 3 (time, sines, cosines), got {emb_dim}")
        made = {"device": device, "dtype": dtype}
        self.d_model, self.seq_len = d_model, seq_len
        self.bias = Parameter(randn(d_model, device=device, dtype=dtype))
        self.pos_emb = PositionalEmbedding(emb_dim, seq_len, **made)
        sine = Sin(order, w, **made)
        layers: list[Module] = [Linear(emb_dim, order, **made), sine]
        for _ in range(num_inner_mlps):
            layers += [Linear(order, order, **made), sine]
        self.implicit_filter = Sequential(*layers, Linear(order, d_model, bias=False, **made))
        self.modulation = ExponentialModulation(d_model, device=device, dtype=dtype, **modulation)

    def forward(self, length: int) -> Tensor:
        z, t = self.pos_emb(length)
        return self.modulation(t, self.implicit_filter(z))[0].t()

    def misfit(self, length: int) -> str | None:
        return f"{length} steps are asked for, the filters have {self.seq_len}" if length > self.seq_len else None


class HyenaOperator(SequenceLayer):
    """Gates and long filters in turns: (batch, length, d_model) to the same, for lengths up to l_max.

    v <- x_n (h_n * v) for n from order - 1 down, after a short filter of three taps; the filters h_n are networks of the
    position, so that the operator costs O(length log length). The state is (the short filter's last two columns, the
    filtered inputs of each turn so far), which grows to l_max steps: a long filter is no recurrence of fixed size.
    Floating dtypes. Raises LayerError (HX1004) for other shapes or lengths.

    Example:
        >>> layer = helix.nn.HyenaOperator(4, l_max=16)
        >>> x = helix.randn(2, 10, 4)
        >>> y, state = layer.step(x[:, 0], layer.default_state(2))
        >>> helix.allclose(y, layer(x)[:, 0], atol=1e-5)
        True
    """

    def __init__(
        self,
        d_model: int,
        l_max: int,
        order: int = 2,
        filter_order: int = 64,
        dropout: float = 0.0,
        device=None,
        dtype=None,
        **filter_args,
    ) -> None:
        if order < 2 or l_max < 1:
            raise ValueError(f"HyenaOperator: order must be at least 2 and l_max at least 1, got {order} and {l_max}")
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        self.d_model, self.l_max, self.order = d_model, l_max, order
        width = d_model * (order + 1)
        self.dropout = Dropout(dropout)
        self.in_proj, self.out_proj = Linear(d_model, width, **made), Linear(d_model, d_model, **made)
        self.short_filter = Conv1d(width, width, 3, padding=2, groups=width, **made)
        self.filter_fn = HyenaFilter(d_model * (order - 1), order=filter_order, seq_len=l_max, **made, **filter_args)

    def stream(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        columns, past = (None, None) if state is None else state
        before = 0 if past is None else past[0].shape[-1]
        mixed = self.in_proj(x).transpose(1, 2)
        mixed, columns = F.causal_conv1d(mixed, self.short_filter.weight.squeeze(1), self.short_filter.bias, columns)
        *gates, v = mixed.split(self.d_model, 1)
        filters = self.filter_fn(before + x.shape[1]).chunk(self.order - 1, 0)
        skips, inputs = self.filter_fn.bias.chunk(self.order - 1, 0), []
        for turn, gate in enumerate(reversed(gates[1:])):
            v = self.dropout(v * gate)
            v = v if past is None else cat([past[turn], v], -1)
            inputs.append(v)
            v = F.fft_conv(v, filters[turn], skips[turn]).narrow(-1, before, x.shape[1])
        return self.out_proj((v * gates[0]).transpose(1, 2)), (columns, tuple(inputs))

    def default_state(self, batch: int) -> Any:
        like: dict[str, Any] = {"dtype": self.in_proj.weight.dtype, "device": self.in_proj.weight.device}
        columns = zeros(batch, self.d_model * (self.order + 1), 2, **like)
        return columns, tuple(zeros(batch, self.d_model, 0, **like) for _ in range(self.order - 1))

    def misfit(self, x, state=None, *_) -> str | None:
        reason = super().misfit(x)
        length = 0 if reason else x.shape[1] + (state[1][0].shape[-1] if state else 0)
        if length > self.l_max:
            return f"the sequence has {length} steps, the layer's filters {self.l_max}: l_max. {describe(x)}"
        return reason

    def extra_repr(self) -> str:
        return f"{self.d_model}, l_max={self.l_max}, order={self.order}"
