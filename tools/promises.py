"""Old promises, measured: work and traffic a KB of text beside a transformer, memory over long texts and in training.

Counts of work and traffic are those of kernels by their shapes; nothing here is a time.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import NamedTuple

import helix
from helix import Tensor, _core, models, nn
from helix.flops import flops_of

K = 1024
LENGTHS = (K, 4 * K, 16 * K, 64 * K, 256 * K)
LONG = (64 * K, 128 * K, 256 * K, 512 * K, 1024 * K)
HEADS, DEPTH = 4, 4


def transformer(length: int) -> nn.Module:
    """Rotary positions: as many parameters for every length."""
    return models.Decoder(length=length, dim=128, depth=DEPTH, heads=HEADS, positions="rotary")


def mamba(length: int) -> nn.Module:
    return models.SequenceDecoder(length=length, dim=136, depth=6, mixer="mamba")


def hyena(length: int) -> nn.Module:
    options = {"filter_order": 16}
    return models.SequenceDecoder(length=length, dim=126, depth=4, mixer="hyena", mixer_options=options)


MODELS: dict[str, Callable[[int], nn.Module]] = {"transformer": transformer, "Mamba": mamba, "Hyena": hyena}


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


# ---- kernels of a forward pass, for any length ----------------------------------------------------------------


class Kernel(NamedTuple):
    op: str
    inputs: tuple
    output: tuple | None
    moved: int


class Work(NamedTuple):
    """Of a forward pass: operations, those of attention among them, and bytes that kernels read and write."""

    flops: int
    attention: int
    moved: int


def recorded(model: nn.Module, length: int) -> list[Kernel]:
    """The kernels of one forward pass over a text."""
    tokens = helix.randint(0, 256, (1, length))
    model.eval()
    _core.profile_take()
    _core.profile_mode(lambda: 0)
    try:
        with helix.no_grad():
            model(tokens)
    finally:
        _core.profile_mode(None)
    taken, lost = _core.profile_take()
    if lost:
        raise MemoryError(f"the profiler lost {lost} kernels")
    return [Kernel(e[0], e[9], e[10], e[4] + e[5]) for e in taken]


def work_of(kernels: list[Kernel]) -> Work:
    found = [(k.op, flops_of(k.op, k.inputs, k.output)) for k in kernels]
    return Work(sum(n for _, n in found), sum(n for op, n in found if op == "attention"), sum(k.moved for k in kernels))


class Growth:
    """A model's kernels at any length: sizes and bytes are straight lines through those of two lengths that were run."""

    def __init__(self, make: Callable[[int], nn.Module], first: int = 512, second: int = 768) -> None:
        self.lengths = first, second
        self.runs = [recorded(make(length), length) for length in self.lengths]
        if [k.op for k in self.runs[0]] != [k.op for k in self.runs[1]]:
            raise ValueError("the kernels of two lengths are not the same")

    def at(self, length: int) -> Work:
        return work_of([self._kernel(a, b, length) for a, b in zip(*self.runs, strict=True)])

    def _line(self, a: int, b: int, length: int) -> int:
        first, second = self.lengths
        return a + (b - a) * (length - first) // (second - first)

    def _shape(self, a: tuple | None, b: tuple | None, length: int) -> tuple | None:
        if a is None or b is None:
            return None
        return tuple(self._line(m, n, length) for m, n in zip(a[0], b[0], strict=True)), a[1]

    def _kernel(self, a: Kernel, b: Kernel, length: int) -> Kernel:
        inputs = tuple(self._shape(m, n, length) for m, n in zip(a.inputs, b.inputs, strict=True))
        return Kernel(a.op, inputs, self._shape(a.output, b.output, length), self._line(a.moved, b.moved, length))


def stored_scores(length: int) -> int:
    """Bytes of attention whose scores are kept in memory: written, read and written by softmax, read; float32."""
    return 4 * 4 * DEPTH * HEADS * length**2


def smallest(holds: Callable[[int], bool], limit: int = 2**40) -> int | None:
    """The least length, in whole KB, from which on a ratio that grows with the length holds."""
    low, high = 0, limit // K
    if not holds(high * K):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle * K) else (middle, high)
    return high * K


# ---- memory ----------------------------------------------------------------------------------------------------


def peak(run: Callable[[], object]) -> int:
    """Bytes in use at most during a run, above those in use before it."""
    gc.collect()
    helix.reset_peak_memory()
    before = _core.memory_stats()["live_bytes"]
    run()
    return _core.memory_stats()["peak_bytes"] - before


def straightness(x: list[float], y: list[float]) -> tuple[float, float]:
    """The slope of the best line, and R^2."""
    a, b = helix.tensor(x, dtype=helix.float64), helix.tensor(y, dtype=helix.float64)
    a, b = a - a.mean(), b - b.mean()
    slope = ((a * b).sum() / (a * a).sum()).item()
    return slope, 1 - ((b - slope * a).square().sum() / b.square().sum()).item()


def small(kind: str, length: int) -> nn.Module:
    options = {"filter_order": 16} if kind == "hyena" else {}
    model = models.SequenceDecoder(length=length, dim=16, depth=2, mixer=kind, feed=0, mixer_options=options)
    return model.eval()


def forward_peak(kind: str, length: int) -> int:
    model, tokens = small(kind, length), helix.randint(0, 256, (1, length))

    def run() -> None:
        with helix.no_grad():
            model(tokens)

    return peak(run)


def training_peak(kind: str, length: int) -> int:
    model, tokens = small(kind, length).train(), helix.randint(0, 256, (1, length))
    return peak(lambda: model.loss(tokens).backward())


def streaming_peak(kind: str, length: int, piece: int = 4 * K) -> int:
    model, tokens = small(kind, piece), helix.randint(0, 256, (1, length))

    def run() -> None:
        state = None
        with helix.no_grad():
            for at in range(0, length, piece):
                _, state = model.step(tokens[:, at : at + piece], state)

    return peak(run)


# ---- memory of training ------------------------------------------------------------------------------------------


class Saving(NamedTuple):
    """Bytes of a training step at most, parameters and gradients among them, and the largest difference of a gradient
    from plain training's, in shares of that parameter's largest gradient."""

    name: str
    plain: int
    saved: int
    difference: float

    @property
    def share(self) -> float:
        return 1 - self.saved / self.plain


def step_of(model: nn.Module, x: Tensor) -> tuple[int, list[Tensor]]:
    model.zero_grad()
    held = sum(p.numel() * p.element_size() for p in model.parameters())
    most = peak(lambda: model(x).square().mean().backward())
    return held + most, [p.grad.clone() for p in model.parameters()]


def compared(name: str, model: nn.Module, x: Tensor, forget: Callable[[], object]) -> Saving:
    before, wanted = step_of(model, x)
    forget()
    after, got = step_of(model, x)
    gaps = [((a - b).abs().max() / b.abs().max().clamp(min=1e-30)).item() for a, b in zip(got, wanted, strict=True)]
    return Saving(name, before, after, max(gaps))


def layer(dim: int) -> nn.Module:
    return nn.Sequential(nn.RMSNorm(dim), nn.Mamba(dim))


def feed(dim: int) -> nn.Module:
    return nn.Sequential(nn.RMSNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))


class Residual(nn.Module):
    def __init__(self, f: nn.Module, g: nn.Module) -> None:
        self.f, self.g = f, g

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.f(x)
        return x + self.g(x)


def savings(depth: int = 36, dim: int = 32, length: int = 2 * K) -> list[Saving]:
    """Mamba and a feed-forward net, `depth` times, with every way to keep less."""
    helix.manual_seed(0)
    x, found = helix.randn(1, length, dim), []
    for name, keywords in (
        ("checkpoints at every third layer", {"every": 3}),
        ("checkpoints, square root", {"sqrt": True}),
    ):
        model = nn.Sequential(*(Residual(layer(dim), feed(dim)) for _ in range(depth)))
        found.append(compared(name, model, x, lambda m=model, k=keywords: nn.checkpoint_layers(m, **k)))
    reversible = nn.ReversibleSequence(
        [nn.ReversibleBlock(layer(dim), feed(dim)) for _ in range(depth)], None, keep=True
    )
    found.append(compared("reversible", reversible, x, lambda: setattr(reversible, "keep", False)))
    return found
