"""Architectures as they are written in torch, small; exported by torch they are what `test_torch_models.py` reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    def __init__(self, inner: int, outer: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer), nn.ReLU(),
            nn.Conv2d(outer, outer, 3, 1, 1, bias=False), nn.BatchNorm2d(outer),
        )  # fmt: skip
        self.shortcut = nn.Conv2d(inner, outer, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.body = nn.Sequential(Block(8, 8), Block(8, 16, 2))
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(self.body(self.stem(x)), 1), 1))


class Tagger(nn.Module):
    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.table, self.rows = nn.Embedding(50, 12), kind(12, 8, 2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Any:
        y, last = self.rows(self.table(x))
        return self.head(y), last[0] if isinstance(last, tuple) else last


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        b, t, d = x.shape
        q, k, v = self.qkv(x).reshape(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        scores = q @ k.transpose(-1, -2) / (d // self.heads) ** 0.5
        if causal:
            scores = scores.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), float("-inf"))
        if mask is not None:
            scores = scores.masked_fill(mask[:, None, None, :] == 0, torch.finfo(scores.dtype).min)
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, d))


class Layer(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attention, self.one, self.two = Attention(dim, heads), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.feed = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        x = x + self.attention(self.one(x), mask, causal)
        return x + self.feed(self.two(x))


class Bert(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.places, self.kinds = nn.Embedding(50, 16), nn.Embedding(64, 16), nn.Embedding(2, 16)
        self.layers, self.pool = nn.ModuleList([Layer(16, 2) for _ in range(2)]), nn.Linear(16, 16)

    def forward(self, ids: Tensor, mask: Tensor, kinds: Tensor) -> Any:
        x = self.words(ids) + self.places(torch.arange(ids.shape[1]))[None] + self.kinds(kinds)
        for layer in self.layers:
            x = layer(x, mask)
        return x, torch.tanh(self.pool(x[:, 0]))


class Gpt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(50, 16), nn.Embedding(64, 16)
        self.layers, self.norm = nn.ModuleList([Layer(16, 2) for _ in range(2)]), nn.LayerNorm(16)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids) + self.places(torch.arange(ids.shape[1]))
        for layer in self.layers:
            x = layer(x, None, True)
        return self.norm(x) @ self.words.weight.t()


class Vit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches, self.first = nn.Conv2d(3, 16, 4, 4), nn.Parameter(torch.randn(1, 1, 16))
        self.places, self.layer, self.head = nn.Parameter(torch.randn(1, 17, 16)), Layer(16, 2), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(x.shape[0], -1, -1), x], 1) + self.places
        return self.head(self.layer(x)[:, 0])


def _pair(inner: int, outer: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, 1, 1), nn.GroupNorm(2, outer), nn.SiLU(),
        nn.Conv2d(outer, outer, 3, 1, 1), nn.InstanceNorm2d(outer, affine=True), nn.LeakyReLU(0.1),
    )  # fmt: skip


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.top, self.low, self.deep, self.back = _pair(3, 8), _pair(8, 16), _pair(16, 16), _pair(16, 8)
        self.up, self.head = nn.ConvTranspose2d(16, 8, 2, 2), nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Any:
        top = self.top(x)
        low = self.low(F.max_pool2d(top, 2))
        deep = F.interpolate(self.deep(F.avg_pool2d(low, 2)), scale_factor=2.0, mode="bilinear")
        y = self.head(self.back(torch.cat([self.up(deep + low), top], 1)))
        wide = F.interpolate(y, size=(x.shape[2] * 2, x.shape[3] * 2), mode="nearest")
        return wide.sigmoid(), F.interpolate(y, scale_factor=1.5, mode="bicubic")


class Squeeze(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, channels // 2, 1), nn.Conv2d(channels // 2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * F.hardsigmoid(self.up(F.relu(self.down(x.mean((2, 3), keepdim=True)))))


class MobileNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish(), nn.Conv2d(8, 16, 1),
            nn.Conv2d(16, 16, 5, 2, 2, groups=16), nn.BatchNorm2d(16), nn.ReLU6(), Squeeze(16),
            nn.Conv2d(16, 8, 1), nn.PReLU(8), nn.ELU(), nn.Mish(),
        )  # fmt: skip
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(self.head(self.body(x).mean([2, 3])), -1)


class Yolo(nn.Module):
    """Boxes of two scales, of which the best 20 remain."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Conv2d(3, 24, 3, 2, 1), nn.Conv2d(24, 24, 3, 2, 1), nn.Conv2d(24, 27, 1)

    def forward(self, x: Tensor) -> Any:
        near = F.silu(self.one(x))
        boxes = torch.cat([self._boxes(near, 2.0), self._boxes(F.silu(self.two(near)), 4.0)], 1)
        score, kind = (boxes[..., 4:5] * boxes[..., 5:]).max(-1)
        best, place = score.topk(20, 1)
        return boxes[..., :4].gather(1, place[..., None].expand(-1, -1, 4)), best, kind.gather(1, place)

    def _boxes(self, features: Tensor, stride: float) -> Tensor:
        found = self.head(features)
        b, _, h, w = found.shape
        found = found.reshape(b, 3, 9, h, w).permute(0, 1, 3, 4, 2)
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        middle = (found[..., :2].sigmoid() * 2 - 0.5 + torch.stack([x, y], -1)) * stride
        half = (found[..., 2:4].sigmoid() * 2) ** 2 * 4.0
        return torch.cat([middle - half, middle + half, found[..., 4:].sigmoid()], -1).reshape(b, -1, 9)


class Windows(nn.Module):
    """A layer of shifted windows, then four pixels in one."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = Layer(8, 2), nn.Linear(32, 16)

    def forward(self, x: Tensor) -> Tensor:
        b, h, w, c = x.shape
        x = torch.roll(x, (-1, -1), (1, 2)).view(b, h // 4, 4, w // 4, 4, c).permute(0, 1, 3, 2, 4, 5)
        x = self.layer(x.reshape(-1, 16, c)).view(b, h // 4, w // 4, 4, 4, c).permute(0, 1, 3, 2, 4, 5)
        x = torch.roll(x.reshape(b, h, w, c), (1, 1), (1, 2))
        return self.head(torch.cat([x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)], -1))


@torch.jit.script
def _doubled(x: Tensor, rounds: int) -> Tensor:
    y = x
    for _ in range(rounds):
        if bool(y.sum() > 5):
            y = y * 0.5
        else:
            y = y + x
    return y


class Rounds(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return _doubled(x, x.shape[0])


def _ids(*shape: int) -> Tensor:
    return torch.randint(0, 50, shape)


def _bert_inputs(k: int) -> tuple[Tensor, ...]:
    shape = (2 + k, 6 + 3 * k)
    mask = (torch.rand(shape) > 0.2).long()
    mask[:, 0] = 1
    return _ids(*shape), mask, torch.randint(0, 2, shape)


TEXT, IMAGE = {0: "B", 1: "T"}, {0: "B", 2: "H", 3: "W"}
# model, inputs of the k-th size, axes that stay open, what H and W must be multiples of, version of the operators
CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[int], tuple[Tensor, ...]], dict[str, dict[int, str]], int, int]] = {
    "resnet": (ResNet, lambda k: (torch.randn(1 + k, 3, 32 + 16 * k, 32 + 32 * k),), {"x": IMAGE}, 1, 11),
    "lstm": (lambda: Tagger(nn.LSTM), lambda k: (_ids(2 + k, 5 + 3 * k),), {"x": TEXT}, 1, 13),
    "gru": (lambda: Tagger(nn.GRU), lambda k: (_ids(2 + k, 5 + 3 * k),), {"x": TEXT}, 1, 17),
    "bert": (Bert, _bert_inputs, {"ids": TEXT, "mask": TEXT, "kinds": TEXT}, 1, 13),
    "gpt": (Gpt, lambda k: (_ids(1 + k, 6 + 3 * k),), {"ids": TEXT}, 1, 18),
    "vit": (Vit, lambda k: (torch.randn(1 + k, 3, 16, 16),), {"x": {0: "B"}}, 1, 20),
    "unet": (UNet, lambda k: (torch.randn(1 + k, 3, 16 + 8 * k, 24 + 4 * k),), {"x": IMAGE}, 4, 18),
    "mobilenet": (MobileNet, lambda k: (torch.randn(1 + k, 3, 32 + 8 * k, 32 + 16 * k),), {"x": IMAGE}, 1, 14),
    "yolo": (Yolo, lambda k: (torch.randn(1 + k, 3, 32 + 16 * k, 32),), {"x": {0: "B", 2: "H"}}, 4, 17),
    "windows": (Windows, lambda k: (torch.randn(1 + k, 8 + 4 * k, 8, 8),), {"x": {0: "B", 1: "H"}}, 4, 16),
    "rounds": (Rounds, lambda k: (torch.randn(8 + 2 * k, 4),), {"x": {0: "N"}}, 1, 15),
}  # fmt: skip
