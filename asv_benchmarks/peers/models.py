"""Models of sequences as both libraries' layers, and what they are trained on; speed of whole steps is measured with them.

Where helix has a layer, it is that layer; torch has the published reference in plain operations.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .data import labels, normal
from .sequence import reference_convolution, reference_scan

GPT_SIZES = {"depth": 4, "dim": 256, "heads": 8, "length": 256, "batch": 8, "vocabulary": 1024}
HYENA_SIZES = {"hyena4k": (2, 4096, 256), "hyena64k": (1, 65536, 64)}  # batch, length, channels


@dataclass(frozen=True)
class Trained:
    """make(lib) is the model; inputs() and targets() are arrays: of classes (int64), or numbers for the mean square error."""

    make: Callable[[Any], Any]
    inputs: Callable[[], np.ndarray]
    targets: Callable[[], np.ndarray]
    compiles: bool = True  # False: torch.compile unrolls a loop over the steps, for minutes


def gpt(lib: Any) -> Any:
    """A decoder of 4 layers with learned positions; `forward(tokens, caches, before)` goes on from keys and values."""
    t, F, nn = lib.t, lib.F, lib.nn
    dim, heads = GPT_SIZES["dim"], GPT_SIZES["heads"]

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
            self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
            self.feed = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU("tanh"), nn.Linear(4 * dim, dim))

        def forward(self, x: Any, cache: Any, before: int) -> Any:
            batch, length, _ = x.shape
            parts = self.qkv(self.norm1(x)).view(batch, length, 3, heads, dim // heads)
            q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
            if cache is not None:
                end = before + length
                cache[0][:, :, before:end], cache[1][:, :, before:end] = k, v
                k, v = cache[0][:, :, :end], cache[1][:, :, :end]
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=cache is None)
            x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, dim))
            return x + self.feed(self.norm2(x))

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(GPT_SIZES["vocabulary"], dim)
            self.positions = nn.Parameter(t.zeros(GPT_SIZES["length"], dim))
            self.blocks = nn.ModuleList([Block() for _ in range(GPT_SIZES["depth"])])
            self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, GPT_SIZES["vocabulary"])

        def forward(self, tokens: Any, caches: Any = None, before: int = 0) -> Any:
            x = self.tokens(tokens) + self.positions[before : before + tokens.shape[1]]
            for number, block in enumerate(self.blocks):
                x = block(x, caches[number] if caches else None, before)
            return self.head(self.norm(x))

    return Decoder()


def lstm(lib: Any) -> Any:
    """A class from the mean of the states of a sequence."""
    nn = lib.nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = nn.LSTM(256, 256, batch_first=True), nn.Linear(256, 10)

        def forward(self, x: Any) -> Any:
            return self.head(self.rnn(x)[0].mean(1))

    return Net()


def s4d(lib: Any) -> Any:
    """A layer of 256 channels with 32 pairs of states: (batch, channels, length) to the same."""
    t, F, nn = lib.t, lib.F, lib.nn
    if hasattr(nn, "S4D"):
        return nn.S4D(256, 64)
    convolve = reference_convolution(lib)

    class Layer(nn.Module):
        """s4d.py of state-spaces/s4: a Vandermonde product, then the convolution."""

        def __init__(self) -> None:
            super().__init__()
            log_dt = t.rand(256) * (math.log(0.1) - math.log(0.001)) + math.log(0.001)
            self.log_dt, self.C = nn.Parameter(log_dt), nn.Parameter(t.randn(256, 32, 2) * 0.5**0.5)
            self.log_A_real = nn.Parameter(t.full((256, 32), math.log(0.5)))
            self.A_imag = nn.Parameter((math.pi * t.arange(32.0)).repeat(256, 1))
            self.D, self.mix = nn.Parameter(t.randn(256)), nn.Conv1d(256, 512, 1)

        def forward(self, u: Any) -> Any:
            A = -self.log_A_real.exp() + 1j * self.A_imag
            rate = A * self.log_dt.exp()[:, None]
            weights = t.view_as_complex(self.C) * (rate.exp() - 1) / A
            powers = (rate[..., None] * t.arange(u.shape[-1])).exp()
            kernel = 2 * t.einsum("hn,hnl->hl", weights, powers).real
            return F.glu(self.mix(F.gelu(convolve(u, kernel, self.D))), -2)

    return Layer()


def mamba(lib: Any) -> Any:
    """A layer of 256, 512 inside, with 16 states: (batch, length, 256) to the same."""
    t, F, nn = lib.t, lib.F, lib.nn
    if hasattr(nn, "Mamba"):
        return nn.Mamba(256)
    scan = reference_scan(lib)

    class Layer(nn.Module):
        """mamba_simple.py of state-spaces/mamba, where its kernels are not."""

        def __init__(self) -> None:
            super().__init__()
            self.in_proj, self.out_proj = nn.Linear(256, 1024, bias=False), nn.Linear(512, 256, bias=False)
            self.conv1d = nn.Conv1d(512, 512, 4, groups=512, padding=3)
            self.x_proj, self.dt_proj = nn.Linear(512, 48, bias=False), nn.Linear(16, 512)
            self.A_log = nn.Parameter(t.arange(1.0, 17.0).log().repeat(512, 1))
            self.D = nn.Parameter(t.ones(512))
            nn.init.constant_(self.dt_proj.bias, -4.0)

        def forward(self, x: Any) -> Any:
            u, z = self.in_proj(x).transpose(1, 2).chunk(2, 1)
            u = F.silu(self.conv1d(u)[..., : x.shape[1]])
            dt, B, C = self.x_proj(u.transpose(1, 2)).split([16, 16, 16], -1)
            dt = (dt @ self.dt_proj.weight.t()).transpose(1, 2)
            A, bias = -self.A_log.exp(), self.dt_proj.bias
            y = scan(u, dt, A, B.transpose(1, 2), C.transpose(1, 2), self.D, z, bias)
            return self.out_proj(y.transpose(1, 2))

    return Layer()


def window(length: int) -> np.ndarray:
    return np.exp(-4 * np.arange(length, dtype=np.float32) / length).astype(np.float32)


def hyena(length: int, channels: int) -> Callable[[Any], Any]:
    """Order 2 with a filter as long as the input that is a parameter under a window, as in speed of the operator itself."""

    def model(lib: Any) -> Any:
        F, nn = lib.F, lib.nn
        convolve = getattr(F, "fft_conv", None) or reference_convolution(lib)

        class Layer(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.in_proj, self.out_proj = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
                self.short = nn.Conv1d(3 * channels, 3 * channels, 3, groups=3 * channels, padding=2)
                self.filter = nn.Parameter(lib.array(normal("hyena filter", channels, length, scale=0.05)))
                self.skip = nn.Parameter(lib.t.ones(channels))
                self.window = lib.array(window(length))

            def forward(self, x: Any) -> Any:
                mixed = self._filtered(self.in_proj(x).transpose(1, 2))
                out, gate, v = mixed.chunk(3, 1)
                y = convolve(v * gate, self.filter * self.window, self.skip)
                return self.out_proj((y * out).transpose(1, 2))

            def _filtered(self, x: Any) -> Any:
                if hasattr(F, "causal_conv1d"):
                    return F.causal_conv1d(x, self.short.weight.squeeze(1), self.short.bias)[0]
                return self.short(x)[..., : x.shape[-1]]

        return Layer()

    return model


def experts(lib: Any) -> Any:
    """8 feed-forward nets of 256, 1024 and 256, of which a token passes two."""
    t, F, nn = lib.t, lib.F, lib.nn
    if hasattr(nn, "MixtureOfExperts"):
        return nn.MixtureOfExperts(256, 1024, 8)

    class Layer(nn.Module):
        """As in models of the kind of Mixtral: expert by expert, each over the tokens that chose it."""

        def __init__(self) -> None:
            super().__init__()
            self.router = nn.Linear(256, 8, bias=False)
            self.up = nn.ModuleList([nn.Linear(256, 1024, bias=False) for _ in range(8)])
            self.down = nn.ModuleList([nn.Linear(1024, 256, bias=False) for _ in range(8)])

        def forward(self, x: Any) -> Any:
            rows = x.reshape(-1, 256)
            weights, chosen = self.router(rows).softmax(-1).topk(2)
            weights, y = weights / weights.sum(-1, keepdim=True), t.zeros_like(rows)
            for number, (up, down) in enumerate(zip(self.up, self.down, strict=True)):
                token, place = t.where(chosen == number)
                done = down(F.gelu(up(rows[token]))) * weights[token, place, None]
                y = y.index_add(0, token, done)
            return y.reshape(x.shape)

    return Layer()


def _numbers(name: str, *shape: int) -> tuple[Callable[[], np.ndarray], Callable[[], np.ndarray]]:
    return (lambda: normal("x" + name, *shape)), (lambda: normal("y" + name, *shape))


_tokens = (GPT_SIZES["batch"], GPT_SIZES["length"])
MODELS: dict[str, Trained] = {
    "gpt": Trained(
        gpt,
        lambda: labels("xg", _tokens, GPT_SIZES["vocabulary"]),
        lambda: labels("yg", _tokens, GPT_SIZES["vocabulary"]),
    ),
    "lstm_16x128x256": Trained(lstm, lambda: normal("xl", 16, 128, 256), lambda: labels("yl", 16, 10), compiles=False),
    "s4d": Trained(s4d, *_numbers("s", 4, 256, 4096)),
    "mamba": Trained(mamba, *_numbers("a", 2, 1024, 256), compiles=False),
    "moe": Trained(experts, *_numbers("e", 4, 256, 256), compiles=False),
    **{
        name: Trained(hyena(length, channels), *_numbers("h", batch, length, channels))
        for name, (batch, length, channels) in HYENA_SIZES.items()
    },
}


def training(model: Trained) -> Callable[[Any], Callable[[], Any]]:
    def build(lib: Any) -> Callable[[], Any]:
        net = model.make(lib)
        x, y = lib.array(model.inputs()), lib.array(model.targets())
        classes = model.targets().dtype == np.int64

        def loss_of() -> Any:
            out = net(x)
            if classes:
                return lib.F.cross_entropy(out.reshape(-1, out.shape[-1]), y.reshape(-1))
            return lib.F.mse_loss(out, y)

        return lib.training(net, loss_of)

    return build


def prefill(lib: Any) -> Callable[[], Any]:
    """All logits of 256 tokens."""
    net, x = gpt(lib).eval(), lib.array(labels("xg", (1, 256), GPT_SIZES["vocabulary"]))
    return lib.inference(lib.compiled(lambda: net(x)))


def decode(lib: Any) -> Callable[[], Any]:
    """The 256th token, with keys and values of those before it."""
    net, x = gpt(lib).eval(), lib.array(labels("xg", (1, 1), GPT_SIZES["vocabulary"]))
    width = GPT_SIZES["dim"] // GPT_SIZES["heads"]
    caches = [
        [lib.array(normal(f"cache {name}{i}", 1, GPT_SIZES["heads"], 256, width)) for name in "kv"]
        for i in range(GPT_SIZES["depth"])
    ]
    return lib.inference(lambda: net(x, caches, 255))
