"""Stochastic depth, also called drop path: whole residual branches fall away in training."""

from __future__ import annotations

from .. import rand
from ..tensor import Tensor
from .module import Module

MODES = ("batch", "row")


class StochasticDepth(Module):
    """Zeroes a residual branch with probability p and scales it by 1/(1-p) otherwise; passes it on in eval mode.

    `mode` is 'row' (each sample of (N, …) by itself) or 'batch' (all together). torchvision.ops' layer of this name;
    Huang et al., "Deep networks with stochastic depth", ECCV 2016. Fails with ValueError unless p lies in [0, 1].

    Example:
        >>> layer = helix.nn.StochasticDepth(0.5, "row")
        >>> sorted({0.0, 2.0} | set(layer(helix.ones(9, 2)).flatten().tolist()))
        [0.0, 2.0]
        >>> layer.eval()(helix.ones(1, 2)).tolist()
        [[1.0, 1.0]]
    """

    def __init__(self, p: float, mode: str = "row") -> None:
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"StochasticDepth: p must lie between 0 and 1, got {p}")
        if mode not in MODES:
            raise ValueError(f"StochasticDepth: mode must be 'row' or 'batch', got {mode!r}")
        self.p, self.mode = p, mode

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return input
        if self.p == 1.0:
            return input * 0
        rows = input.shape[0] if self.mode == "row" else 1
        kept = rand(rows, *(1 for _ in input.shape[1:]), dtype=input.dtype, device=input.device) >= self.p
        return input * (kept.to(input.dtype) / (1.0 - self.p))

    def extra_repr(self) -> str:
        return f"p={self.p}, mode={self.mode}"
