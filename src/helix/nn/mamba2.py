"""Mamba2: Dao and Gu, "Transformers are SSMs", ICML 2024; state-spaces/mamba's names."""

from __future__ import annotations

import math
from typing import Any

from .. import empty, ones, zeros
from ..autograd import no_grad
from ..tensor import Tensor
from . import functional as F
from . import init
from .conv import Conv1d
from .linear import Linear
from .mamba import masked, steps_before_softplus
from .module import Module
from .parameter import Parameter
from .sequence import SequenceLayer


class RMSNormGated(Module):
    """RMS norm of x silu(z), over the last axis or over each group of `group_size` of its elements.

    x, z: (…, hidden_size). The result has x's shape.
    """

    weight: Parameter

    def __init__(
        self, hidden_size: int, eps: float = 1e-5, group_size: int | None = None, device=None, dtype=None
    ) -> None:
        if group_size is not None and hidden_size % group_size:
            raise ValueError(
                f"RMSNormGated: hidden_size ({hidden_size}) must be a multiple of group_size ({group_size})"
            )
        self.hidden_size, self.eps, self.group_size = hidden_size, eps, group_size or hidden_size
        self.weight = Parameter(ones(hidden_size, device=device, dtype=dtype))

    def forward(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        x = x if z is None else x * F.silu(z)
        if self.group_size == self.hidden_size:
            return F.rms_norm(x, (self.hidden_size,), self.weight, self.eps)
        groups = x.reshape(*x.shape[:-1], -1, self.group_size)
        return F.rms_norm(groups, (self.group_size,), None, self.eps).reshape(x.shape) * self.weight

    def extra_repr(self) -> str:
        return f"{self.hidden_size}, eps={self.eps}, group_size={self.group_size}"


class Mamba2(SequenceLayer):
    """A gated state space layer of many heads, each with one decay: (batch, length, d_model) to the same.

    Training runs the chunked form (products of matrices within chunks, a scan over chunks), `step` the recurrence.
    The state is (the last d_conv - 1 inputs of the convolution, (batch, d_inner + 2 ngroups d_state, d_conv - 1); the
    state of each head, (batch, nheads, headdim, d_state)). Raises LayerError (HX1004) for other shapes.

    Example:
        >>> layer = helix.nn.Mamba2(8, d_state=4, headdim=4)
        >>> x = helix.randn(2, 5, 8)
        >>> y, state = layer.step(x[:, 0], layer.default_state(2))
        >>> helix.allclose(y, layer(x)[:, 0], atol=1e-5)
        True
    """

    def __init__(
        self,
        d_model: int,
        d_state: int = 128,
        d_conv: int = 4,
        expand: int = 2,
        headdim: int = 64,
        ngroups: int = 1,
        A_init_range: tuple[float, float] = (1.0, 16.0),
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        dt_init_floor: float = 1e-4,
        dt_limit: tuple[float, float] = (0.0, math.inf),
        bias: bool = False,
        conv_bias: bool = True,
        chunk_size: int = 64,
        eps: float = 1e-5,
        device=None,
        dtype=None,
    ) -> None:
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        self.d_model, self.d_state, self.d_conv, self.expand = d_model, d_state, d_conv, expand
        self.d_inner, self.headdim, self.ngroups = int(expand * d_model), headdim, ngroups
        self.nheads, self.chunk_size, self.dt_limit = self.d_inner // headdim, chunk_size, tuple(dt_limit)
        if self.d_inner % headdim or self.nheads % ngroups:
            raise ValueError(
                f"Mamba2: expand * d_model ({self.d_inner}) must be a multiple of headdim ({headdim}), and the "
                f"{self.nheads} heads of ngroups ({ngroups})"
            )
        self.d_mixed = self.d_inner + 2 * ngroups * d_state
        self.in_proj = Linear(d_model, self.d_inner + self.d_mixed + self.nheads, bias=bias, **made)
        self.conv1d = Conv1d(
            self.d_mixed, self.d_mixed, d_conv, groups=self.d_mixed, padding=d_conv - 1, bias=conv_bias, **made
        )
        self.dt_bias = Parameter(steps_before_softplus(self.nheads, dt_min, dt_max, dt_init_floor, device, dtype))
        self.A_log = Parameter(empty(self.nheads, **made))
        self.D = Parameter(ones(self.nheads, **made))
        self.norm = RMSNormGated(self.d_inner, eps, self.d_inner // ngroups, **made)
        self.out_proj = Linear(self.d_inner, d_model, bias=bias, **made)
        with no_grad():
            init.uniform_(self.A_log, *A_init_range).log_()

    def _steps(self, dt: Tensor) -> Tensor:
        dt = F.softplus(dt + self.dt_bias)
        return dt if self.dt_limit == (0.0, math.inf) else dt.clamp(*self.dt_limit)

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z, mixed, dt = self.in_proj(x).split([self.d_inner, self.d_mixed, self.nheads], -1)
        return z, mixed, self._steps(dt)

    def _convolved(
        self, mixed: Tensor, state: Tensor | None, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(batch, channels, length) to heads, B and C by step, and the columns that go on."""
        batch, length = mixed.shape[0], mixed.shape[-1]
        mixed, state = F.causal_conv1d(mixed, self.conv1d.weight.squeeze(1), self.conv1d.bias, state)
        width = self.ngroups * self.d_state
        x, B, C = masked(F.silu(mixed).transpose(1, 2), mask).split([self.d_inner, width, width], -1)
        grouped = (batch, length, self.ngroups, self.d_state)
        return x.reshape(batch, length, self.nheads, self.headdim), B.reshape(grouped), C.reshape(grouped), state

    def stream(self, x: Tensor, state: Any = None, mask: Tensor | None = None) -> tuple[Tensor, Any]:
        """`mask`, (batch, length), is 0 at steps that leave no trace in later ones."""
        conv_state, carried = (None, None) if state is None else state
        z, mixed, dt = self._parts(masked(x, mask))
        heads, B, C, conv_state = self._convolved(mixed.transpose(1, 2), conv_state, mask)
        y, last = F.ssd(heads, dt, -self.A_log.exp(), B, C, self.chunk_size, carried)
        y = (y + heads * self.D.unsqueeze(-1)).reshape(z.shape)
        return self.out_proj(self.norm(y, z)), (conv_state, last)

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        conv_state, carried = state
        z, mixed, dt = self._parts(x)
        heads, B, C, conv_state = self._convolved(mixed.unsqueeze(-1), conv_state)
        each = self.nheads // self.ngroups
        B, C = (t.squeeze(1).repeat_interleave(each, 1).unsqueeze(2) for t in (B, C))
        heads, decay = heads.squeeze(1), (dt * -self.A_log.exp())[..., None, None].exp()
        carried = decay * carried + (dt.unsqueeze(-1) * heads).unsqueeze(-1) * B
        y = ((carried * C).sum(-1) + heads * self.D.unsqueeze(-1)).reshape(z.shape)
        return self.out_proj(self.norm(y, z)), (conv_state, carried)

    def default_state(self, batch: int) -> Any:
        like: dict[str, Any] = {"dtype": self.A_log.dtype, "device": self.A_log.device}
        heads = zeros(batch, self.nheads, self.headdim, self.d_state, **like)
        return zeros(batch, self.d_mixed, self.d_conv - 1, **like), heads

    def extra_repr(self) -> str:
        return (
            f"{self.d_model}, d_state={self.d_state}, d_conv={self.d_conv}, expand={self.expand}, "
            f"headdim={self.headdim}, ngroups={self.ngroups}"
        )
