"""Mamba: Gu and Dao, "Mamba: linear-time sequence modeling with selective state spaces", 2023; state-spaces/mamba's names."""

from __future__ import annotations

import math
from typing import Any

from .. import arange, float32, float64, matmul, ones, rand, zeros
from ..autograd import no_grad
from ..tensor import Tensor
from . import functional as F
from . import init
from .conv import Conv1d
from .linear import Linear
from .module import is_plain
from .parameter import Parameter
from .sequence import SequenceLayer
from .summary import flops_of


def steps_before_softplus(
    count: int, dt_min: float, dt_max: float, floor: float, device=None, dtype=None, generator=None
) -> Tensor:
    """Values whose softplus is spread evenly over the logarithms from dt_min to dt_max."""
    low, high = math.log(dt_min), math.log(dt_max)
    drawn = rand(count, dtype=dtype or float32, generator=generator)
    dt = (drawn * (high - low) + low).exp().clamp(min=floor)
    return (dt + (-(-dt).expm1()).log()).to(device=device)


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """(batch, length, features) with zeros where mask (batch, length) is 0."""
    return x if mask is None else x * mask.unsqueeze(-1).to(x.dtype)


def along(layer: Linear, x: Tensor) -> Tensor:
    """(batch, features, length) to (batch, outputs, length): what the layer does, with no axes turned on the way. A layer of
    another kind, or one that is watched, is called."""
    if type(layer) is not Linear or not is_plain(layer):
        return layer(x.transpose(1, 2)).transpose(1, 2)
    y = matmul(layer.weight, x)
    return y if layer.bias is None else y + layer.bias.unsqueeze(-1)


class Mamba(SequenceLayer):
    """A gated state space layer whose steps and mixing depend on the input: (batch, length, d_model) to the same.

    The state is (the last d_conv - 1 inputs of the convolution, (batch, d_inner, d_conv - 1); the state of the scan,
    (batch, d_inner, d_state)). Floating dtypes; the scan keeps its state in float32, or float64 for float64.
    Raises LayerError (HX1004) for other shapes.

    Example:
        >>> layer = helix.nn.Mamba(8, d_state=4)
        >>> x = helix.randn(2, 5, 8)
        >>> y, state = layer.step(x[:, 0], layer.default_state(2))
        >>> helix.allclose(y, layer(x)[:, 0], atol=1e-5)
        True
    """

    def __init__(
        self,
        d_model: int,
        d_state: int = 16,
        d_conv: int = 4,
        expand: int = 2,
        dt_rank: int | str = "auto",
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        dt_init: str = "random",
        dt_scale: float = 1.0,
        dt_init_floor: float = 1e-4,
        conv_bias: bool = True,
        bias: bool = False,
        device=None,
        dtype=None,
    ) -> None:
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        if dt_init not in ("random", "constant"):
            raise ValueError(f"Mamba: dt_init must be 'random' or 'constant', got {dt_init!r}")
        self.d_model, self.d_state, self.d_conv, self.expand = d_model, d_state, d_conv, expand
        self.d_inner = int(expand * d_model)
        self.dt_rank = math.ceil(d_model / 16) if dt_rank == "auto" else int(dt_rank)
        self.in_proj = Linear(d_model, 2 * self.d_inner, bias=bias, **made)
        self.conv1d = Conv1d(
            self.d_inner, self.d_inner, d_conv, groups=self.d_inner, padding=d_conv - 1, bias=conv_bias, **made
        )
        self.x_proj = Linear(self.d_inner, self.dt_rank + 2 * d_state, bias=False, **made)
        self.dt_proj = Linear(self.dt_rank, self.d_inner, **made)
        rows = arange(1, d_state + 1, dtype=dtype or float32, device=device).log()
        self.A_log = Parameter(rows.expand(self.d_inner, d_state).clone())
        self.D = Parameter(ones(self.d_inner, **made))
        self.out_proj = Linear(self.d_inner, d_model, bias=bias, **made)
        self._reset_steps(dt_init, dt_scale, dt_min, dt_max, dt_init_floor)

    def _reset_steps(self, kind: str, scale: float, dt_min: float, dt_max: float, floor: float) -> None:
        deviation = self.dt_rank**-0.5 * scale
        weight, bias = self.dt_proj.weight, self.dt_proj.bias
        assert bias is not None
        if kind == "constant":
            init.constant_(weight, deviation)
        else:
            init.uniform_(weight, -deviation, deviation)
        with no_grad():
            bias.copy_(steps_before_softplus(self.d_inner, dt_min, dt_max, floor, bias.device, bias.dtype))

    def stream(self, x: Tensor, state: Any = None, mask: Tensor | None = None) -> tuple[Tensor, Any]:
        """`mask`, (batch, length), is 0 at steps that leave no trace in later ones."""
        conv_state, carried = (None, None) if state is None else state
        u, z = along(self.in_proj, masked(x, mask).transpose(1, 2)).chunk(2, 1)
        u, conv_state = F.causal_conv1d(u, self.conv1d.weight.squeeze(1), self.conv1d.bias, conv_state)
        u = F.silu(u)
        if mask is not None:
            u = u * mask.unsqueeze(1).to(u.dtype)
        dt, B, C = along(self.x_proj, u).split([self.dt_rank, self.d_state, self.d_state], 1)
        dt = matmul(self.dt_proj.weight, dt)
        A = -self.A_log.exp()
        y, last = F.selective_scan(
            u, dt, A, B, C, self.D, z, self.dt_proj.bias, delta_softplus=True, return_last_state=True
        )
        if carried is not None:
            assert self.dt_proj.bias is not None
            gone = F.softplus(dt.to(carried.dtype) + self.dt_proj.bias.unsqueeze(-1)).cumsum(-1)
            part, rest = self._carry(carried, gone, A, C)
            y, last = y + (part * F.silu(z)).to(y.dtype), last + rest
        return self.out_proj(y.transpose(1, 2)), (conv_state, last)

    @staticmethod
    def _carry(carried: Tensor, gone: Tensor, A: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
        """What is left of the state before the piece, in its results and in the state after it."""
        left = (gone.unsqueeze(2) * A.unsqueeze(-1)).exp() * carried.unsqueeze(-1)
        return (left * C.unsqueeze(1)).sum(2), left.select(-1, gone.shape[-1] - 1) if gone.shape[-1] else carried

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        conv_state, carried = state
        u, z = self.in_proj(x).chunk(2, -1)
        u, conv_state = F.causal_conv1d(u.unsqueeze(-1), self.conv1d.weight.squeeze(1), self.conv1d.bias, conv_state)
        u = F.silu(u.squeeze(-1))
        dt, B, C = self.x_proj(u).split([self.dt_rank, self.d_state, self.d_state], -1)
        dt = F.softplus(self.dt_proj(dt)).unsqueeze(-1)
        carried = (dt * -self.A_log.exp()).exp() * carried + dt * B.unsqueeze(1) * u.unsqueeze(-1)
        y = ((carried * C.unsqueeze(1)).sum(-1) + self.D * u) * F.silu(z)
        return self.out_proj(y.to(z.dtype)), (conv_state, carried)

    def default_state(self, batch: int) -> Any:
        dtype, device = self.A_log.dtype, self.A_log.device
        columns = zeros(batch, self.d_inner, self.d_conv - 1, dtype=dtype, device=device)
        wide = float64 if dtype == float64 else float32
        return columns, zeros(batch, self.d_inner, self.d_state, dtype=wide, device=device)

    def extra_repr(self) -> str:
        return f"{self.d_model}, d_state={self.d_state}, d_conv={self.d_conv}, expand={self.expand}"


@flops_of.register
def _(layer: Mamba, result: Tensor) -> int:
    """The product for the steps, the short filter and the scan (as helix.flops has it); other products are layers of their own."""
    wide = layer.dt_rank + layer.d_conv
    return result.numel() // layer.d_model * layer.d_inner * (2 * wide + 7 * layer.d_state + 13)
