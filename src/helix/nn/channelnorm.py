"""Batch and instance normalisation: statistics of each channel."""

from __future__ import annotations

from typing import Any

from .. import _core, empty, int64, tensor
from ..tensor import Tensor
from . import functional as F
from .misfit import LayerError, describe
from .module import Module
from .norm import reset
from .parameter import Parameter


class _ChannelNorm(Module):
    """Shared by batch and instance norm: statistics and scales for each channel (axis 1)."""

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Any
    running_var: Any
    num_batches_tracked: Any  # buffers: None without track_running_stats

    ranks: tuple[int, ...]

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: Any,
        affine: bool,
        track_running_stats: bool,
        bias: bool,
        device,
        dtype,
    ) -> None:
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(
                name, Parameter(empty(num_features, device=device, dtype=dtype)) if wanted else None
            )
        for name in ("running_mean", "running_var"):
            self.register_buffer(name, empty(num_features, device=device, dtype=dtype) if track_running_stats else None)
        self.register_buffer(
            "num_batches_tracked", tensor(0, dtype=int64, device=device) if track_running_stats else None
        )
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        if self.track_running_stats:
            self.running_mean.fill_(0)
            self.running_var.fill_(1)
            self.num_batches_tracked.fill_(0)

    def reset_parameters(self) -> None:
        self.reset_running_stats()
        reset(self)

    def misfit(self, input) -> str | None:
        shape = tuple(getattr(input, "shape", ()))
        if len(shape) not in self.ranks:
            return (
                f"input has {len(shape)} axes, the layer takes {' or '.join(map(str, self.ranks))}. {describe(input)}"
            )
        channels = shape[self._channel_axis(len(shape))]
        if channels != self.num_features:
            return f"input has {channels} channels, the layer was made for {self.num_features}. {describe(input)}"
        return None

    def _channel_axis(self, rank: int) -> int:
        return 1

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.ranks:
            raise LayerError(self, str(self.misfit(input)))
        momentum, count = self.momentum, None
        if self.training and self.track_running_stats:
            count = self.num_batches_tracked + 1
            if momentum is None and _core.tracing():
                return self._averaged(input, count)
            if momentum is None:
                momentum = 1.0 / count.item()
        normalised = F.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            momentum or 0.0,
            self.eps,
        )
        if count is not None:
            self.num_batches_tracked.copy_(count)  # takes no memory: it follows the statistics or they have not moved
        return normalised

    def _averaged(self, input: Tensor, count: Tensor) -> Tensor:
        """Means over all batches within a trace, where how many there were is known only to a run."""
        batch = self.running_mean.clone(), self.running_var.clone()
        normalised = F.batch_norm(input, *batch, self.weight, self.bias, True, 1.0, self.eps)
        for running, now in zip((self.running_mean, self.running_var), batch, strict=True):
            running.copy_(running.lerp(now, count.to(running.dtype).reciprocal()))
        self.num_batches_tracked.copy_(count)
        return normalised


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L); Ioffe and Szegedy, ICML 2015."""

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (N, C, H, W)."""

    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of (N, C, D, H, W)."""

    ranks = (5,)


class _InstanceNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias, device, dtype)

    def _channel_axis(self, rank: int) -> int:
        return 0 if rank == self.ranks[0] else 1

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.ranks:
            raise LayerError(self, str(self.misfit(input)))
        alone = input.ndim == self.ranks[0]
        batch = input.unsqueeze(0) if alone else input
        result = F.instance_norm(
            batch,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum,
            self.eps,
        )
        return result.squeeze(0) if alone else result


class InstanceNorm1d(_InstanceNorm):
    """Normalises each channel of each sample of (N, C, L) or (C, L)."""

    ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Normalises each channel of each sample of (N, C, H, W) or (C, H, W)."""

    ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Normalises each channel of each sample of (N, C, D, H, W) or (C, D, H, W)."""

    ranks = (4, 5)
