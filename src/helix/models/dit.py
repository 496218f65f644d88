"""Networks that guess noise: DiT (Peebles and Xie, "Scalable diffusion models with transformers", ICCV 2023) and a U-Net."""

from __future__ import annotations

from typing import Any

from .. import cat, nn, zeros
from ..nn import functional as F
from ..nn import init
from ..tensor import Tensor
from .diffusion import timestep_embedding


class TimestepEmbedder(nn.Module):
    """Steps (batch,) to (batch, hidden_size)."""

    def __init__(self, hidden_size: int, frequency_embedding_size: int = 256) -> None:
        self.size = frequency_embedding_size
        self.mlp = nn.Sequential(nn.Linear(self.size, hidden_size), nn.SiLU(), nn.Linear(hidden_size, hidden_size))

    def forward(self, t: Tensor) -> Tensor:
        weight: Any = self.mlp[0].weight
        return self.mlp(timestep_embedding(t, self.size).to(weight.dtype))


class SelfAttention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        self.heads, self.qkv, self.proj = heads, nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def _turned(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return x * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)


def _modulation(dim: int, parts: int) -> nn.Sequential:
    """A condition to shifts, scales and gates, all zero at first, so that a block begins as the identity."""
    last = nn.Linear(dim, parts * dim)
    init.zeros_(last.weight)
    if last.bias is not None:
        init.zeros_(last.bias)
    return nn.Sequential(nn.SiLU(), last)


class DiTBlock(nn.Module):
    """Attention and a feed-forward net whose norms and gates follow the condition (adaLN-Zero)."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float) -> None:
        hidden = int(dim * mlp_ratio)
        self.norm1, self.norm2 = (nn.LayerNorm(dim, 1e-6, elementwise_affine=False) for _ in range(2))
        self.attn = SelfAttention(dim, heads)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(dim, hidden), "fc2": nn.Linear(hidden, dim)})
        self.adaLN_modulation = _modulation(dim, 6)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN_modulation(condition).chunk(6, -1)
        x = x + gate1.unsqueeze(1) * self.attn(_turned(self.norm1(x), shift1, scale1))
        hidden = F.gelu(self.mlp["fc1"](_turned(self.norm2(x), shift2, scale2)), approximate="tanh")
        return x + gate2.unsqueeze(1) * self.mlp["fc2"](hidden)


class DiT(nn.Module):
    """A transformer over patches: (batch, channels, size, size) and steps (batch,) to the same shape.

    Example:
        >>> model = helix.models.DiT(size=4, channels=1, dim=8, depth=1, heads=2)
        >>> model(helix.randn(3, 1, 4, 4), helix.tensor([0, 5, 9])).shape
        (3, 1, 4, 4)
    """

    def __init__(
        self,
        size: int,
        channels: int,
        patch: int = 2,
        dim: int = 128,
        depth: int = 4,
        heads: int = 4,
        mlp_ratio: float = 4,
    ) -> None:
        if size % patch or dim % heads:
            raise ValueError(
                f"DiT: size ({size}) must be a multiple of patch ({patch}), dim ({dim}) of heads ({heads})"
            )
        self.size, self.channels, self.patch = size, channels, patch
        self.x_embedder = nn.Linear(channels * patch * patch, dim)
        self.t_embedder = TimestepEmbedder(dim)
        self.pos_embed = nn.Parameter(0.02 * init.normal_(zeros(1, (size // patch) ** 2, dim)))
        self.blocks = nn.ModuleList(DiTBlock(dim, heads, mlp_ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, 1e-6, elementwise_affine=False)
        self.adaLN_modulation = _modulation(dim, 2)
        self.linear = nn.Linear(dim, channels * patch * patch)
        init.zeros_(self.linear.weight)
        if self.linear.bias is not None:
            init.zeros_(self.linear.bias)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        patches = F.unfold(x, self.patch, stride=self.patch).transpose(1, 2)
        tokens, condition = self.x_embedder(patches) + self.pos_embed, self.t_embedder(t)
        for block in self.blocks:
            tokens = block(tokens, condition)
        shift, scale = self.adaLN_modulation(condition).chunk(2, -1)
        tokens = self.linear(_turned(self.norm(tokens), shift, scale))
        return F.fold(tokens.transpose(1, 2), (self.size, self.size), self.patch, stride=self.patch)


class TimeBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, the second after the step's embedding is added."""

    def __init__(self, channels: int, width: int, condition: int) -> None:
        self.norm1, self.conv1 = nn.GroupNorm(_groups(channels), channels), nn.Conv2d(channels, width, 3, padding=1)
        self.time = nn.Linear(condition, width)
        self.norm2, self.conv2 = nn.GroupNorm(_groups(width), width), nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, width, 1) if channels != width else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x))) + self.time(condition)[..., None, None]
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(y)))


def _groups(channels: int) -> int:
    return next(n for n in (8, 4, 2, 1) if channels % n == 0)


class DiffusionUNet(nn.Module):
    """A small U-Net of one halving for each further width: (batch, channels, h, w) and steps (batch,) to the same shape.

    Example:
        >>> model = helix.models.DiffusionUNet(channels=1, widths=(4, 8))
        >>> model(helix.randn(3, 1, 8, 8), helix.tensor([0, 5, 9])).shape
        (3, 1, 8, 8)
    """

    def __init__(self, channels: int = 1, widths: tuple[int, ...] = (32, 64)) -> None:
        condition = 4 * widths[0]
        self.halvings = len(widths) - 1
        self.time = TimestepEmbedder(condition, 64)
        self.first = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.down = nn.ModuleList(TimeBlock(a, b, condition) for a, b in zip((widths[0], *widths), widths))
        self.middle = TimeBlock(widths[-1], widths[-1], condition)
        wide, narrow = widths[::-1], (*widths[-2::-1], widths[0])
        self.up = nn.ModuleList(TimeBlock(2 * a, b, condition) for a, b in zip(wide, narrow))
        self.norm, self.last = nn.GroupNorm(_groups(widths[0]), widths[0]), nn.Conv2d(widths[0], channels, 3, padding=1)
        init.zeros_(self.last.weight)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        condition, kept = F.silu(self.time(t)), []
        x = self.first(x)
        for number, block in enumerate(self.down):
            x = block(F.avg_pool2d(x, 2) if number else x, condition)
            kept.append(x)
        x = self.middle(x, condition)
        for number, block in enumerate(self.up):
            from_below = F.interpolate(x, scale_factor=2) if number else x
            x = block(cat([from_below, kept.pop()], 1), condition)
        return self.last(F.silu(self.norm(x)))

    def misfit(self, x, *_) -> str | None:
        sides = tuple(x.shape[-2:])
        if all(side % 2**self.halvings == 0 for side in sides):
            return None
        return f"images of {sides} cannot be halved {self.halvings} times."
