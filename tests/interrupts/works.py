"""What is interrupted: calls that take long, each with a look afterwards at what must not be half done."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import helix
import helix.nn.functional as F

Work = tuple[Callable[[], Any], Callable[[], bool]]
"""One round, which is repeated until it is interrupted, and whether everything is in order then."""


def normal(*shape: int) -> helix.Tensor:
    return helix.randn(*shape, generator=helix.Generator(7))


def result(function: Callable[..., Any], *arguments: Any) -> Work:
    """A call that only makes results: its arguments must stay as they are."""
    before = [a.clone() for a in arguments if isinstance(a, helix.Tensor)]

    def unchanged() -> bool:
        tensors = [a for a in arguments if isinstance(a, helix.Tensor)]
        return all(bool((a == b).all()) for a, b in zip(tensors, before, strict=True))

    return lambda: function(*arguments), unchanged


def product(dtype: helix.dtype, n: int) -> Work:
    x = (normal(n, n) * 4).to(dtype)
    return result(helix.matmul, x, x)


def convolution() -> Work:
    return result(lambda x, w: F.conv2d(x, w, padding=2), normal(16, 64, 128, 128), normal(64, 64, 5, 5))


def attention() -> Work:
    q = normal(2, 8, 4096, 64)
    return result(lambda q: F.scaled_dot_product_attention(q, q, q), q)


def backward() -> Work:
    """All leaves have their gradient, or none."""
    leaves = [normal(512, 512).requires_grad_() for _ in range(40)]

    def round() -> None:
        for leaf in leaves:
            leaf.grad = None
        y = leaves[0]
        for leaf in leaves[1:]:
            y = (y @ leaf).tanh()
        y.sum().backward()

    return round, lambda: len({leaf.grad is None for leaf in leaves}) == 1


def accumulation() -> Work:
    """Gradients that are added to those there are: of all leaves, or of none."""
    leaves = [normal(2_000_000).requires_grad_() for _ in range(8)]

    def round() -> None:
        sum((leaf.sum() for leaf in leaves), helix.zeros(())).backward()

    def even() -> bool:
        return len({leaf.grad is None or float(leaf.grad[-1]) for leaf in leaves}) == 1

    return round, even


def added_in_place() -> Work:
    """Every element was added to as often as any other."""
    x = helix.zeros(20_000_000)
    return lambda: x.add_(1.0), lambda: bool((x == x[0]).all())


def set_by_index() -> Work:
    x, y = helix.zeros(4000, 4000), helix.zeros(4000, 4000)

    def round() -> None:
        y.add_(1.0)
        x[:, ::2] = y[:, ::2]

    return round, lambda: bool((x[:, ::2] == x[0, 0]).all())


class Followed:
    """An optimizer of parameters that get the same gradient in every step: all have then made as many steps."""

    def __init__(self, of: Callable[..., Any], groups: int, devices: tuple[str, ...] = ("cpu",)) -> None:
        on = [devices[i // 2 % len(devices)] for i in range(12)]
        self.parameters = [helix.ones(400_000, device=device).requires_grad_() for device in on]
        parts = [{"params": self.parameters[i::groups], "lr": 1e-4 * (i + 1)} for i in range(groups)]
        self.optimizer = of(parts)
        self.groups = groups
        for parameter in self.parameters:
            parameter.grad = helix.ones(400_000, device=parameter.device)

    def even(self) -> bool:
        steps = {state["step"] for state in self.optimizer.state.values() if "step" in state}
        values = [
            {float(v) for p in self.parameters[i :: self.groups] for v in (p.min(), p.max())}
            for i in range(self.groups)
        ]
        moved = {round(1e4 * (1 - next(iter(v))) / (i + 1)) for i, v in enumerate(values)}
        return len(steps) <= 1 and all(len(v) == 1 for v in values) and len(moved) == 1


def optimizer() -> Work:
    followed = Followed(lambda parts: helix.optim.SGD(parts, lr=1e-4, momentum=0.0), 3)
    return followed.optimizer.step, followed.even


def adam() -> Work:
    followed = Followed(lambda parts: helix.optim.AdamW(parts, weight_decay=0.0), 2)
    return followed.optimizer.step, followed.even


def adam_on_two_devices() -> Work:
    """A step whose parameters lie on two devices makes an update on each."""
    followed = Followed(lambda parts: helix.optim.AdamW(parts, weight_decay=0.0), 2, ("cpu", "sim"))
    return followed.optimizer.step, followed.even


def training() -> Work:
    """Whole steps of training by hand: afterwards the network computes."""
    net = helix.nn.Sequential(
        helix.nn.Conv2d(3, 32, 3, padding=1), helix.nn.ReLU(), helix.nn.Conv2d(32, 32, 3, padding=1), helix.nn.Flatten(),
        helix.nn.Linear(32 * 32 * 32, 10),
    )  # fmt: skip
    opt = helix.optim.AdamW(net.parameters(), lr=1e-3)
    x, y = normal(64, 3, 32, 32), helix.randint(0, 10, (64,), generator=helix.Generator(1))

    def round() -> None:
        opt.zero_grad()
        F.cross_entropy(net(x), y).backward()
        opt.step()

    def even() -> bool:
        return len({state["step"] for state in opt.state.values()}) <= 1 and bool(net(x[:1]).isfinite().all())

    return round, even


def small_calls() -> Work:
    x = helix.ones(100)

    def round() -> None:
        for _ in range(10_000):
            x + x

    return round, lambda: True


def planned() -> Work:
    """Many kernels in one compiled call."""

    def function(x: helix.Tensor) -> helix.Tensor:
        for _ in range(12):
            x = (x @ x).tanh()
        return x

    compiled, x = helix.compile(function, fallback="error"), normal(800, 800)
    compiled(x)
    return result(compiled, x)


def planned_step() -> Work:
    """A compiled call that writes two tensors: both are written, or none."""
    x, y = helix.zeros(4_000_000), helix.zeros(4_000_000)

    @helix.compile(fallback="error")
    def round() -> None:
        x.add_(1.0)
        y.add_(1.0)

    round()
    return round, lambda: bool((x == x[0]).all()) and bool((y == x[0]).all())


WORKS: dict[str, Callable[[], Work]] = {
    "matmul float32": lambda: product(helix.float32, 3000),
    "matmul float64": lambda: product(helix.float64, 2000),
    "matmul bfloat16": lambda: product(helix.bfloat16, 3000),
    "matmul int64": lambda: product(helix.int64, 700),
    "matmul complex64": lambda: product(helix.complex64, 1200),
    "convolution": convolution,
    "attention": attention,
    "sort": lambda: result(lambda x: x.sort(), normal(15_000_000)),
    "sort of columns": lambda: result(lambda x: x.sort(dim=0), normal(3000, 4000)),
    "unique": lambda: result(helix.unique, (normal(6_000_000) * 1000).to(helix.int64)),
    "topk": lambda: result(lambda x: x.topk(1000), normal(15_000_000)),
    "cumsum": lambda: result(lambda x: x.cumsum(0), normal(15_000_000)),
    "logcumsumexp": lambda: result(lambda x: x.logcumsumexp(0), normal(8_000_000)),
    "fft": lambda: result(helix.fft.fft, normal(1 << 22)),
    "fft of a prime": lambda: result(helix.fft.fft, normal(1_299_709)),
    "sum": lambda: result(lambda x: x.sum(), normal(15_000_000)),
    "exp": lambda: result(helix.exp, normal(15_000_000)),
    "nonzero": lambda: result(lambda x: (x > 0).nonzero(), normal(8_000_000)),
    "mask": lambda: result(lambda x: x[x > 0], normal(8_000_000)),
    "gather": lambda: result(lambda x, i: x[i], normal(1000), helix.randint(0, 1000, (8_000_000,))),
    "scatter_add": lambda: result(lambda x, i, v: x.scatter_add(0, i, v), normal(1000), helix.randint(0, 1000, (8_000_000,)),
                                  normal(8_000_000)),
    "randn": lambda: result(lambda: helix.randn(20_000_000)),
    "randperm": lambda: result(lambda: helix.randperm(5_000_000)),
    "multinomial": lambda: result(lambda w: helix.multinomial(w, 1000), normal(2_000_000).abs()),
    "softmax": lambda: result(lambda x: F.softmax(x, 0), normal(15_000_000)),
    "layer_norm": lambda: result(lambda x: F.layer_norm(x, (1000,)), normal(15_000, 1000)),
    "max_pool": lambda: result(lambda x: F.max_pool2d(x, 5, 1, 2), normal(16, 32, 128, 128)),
    "tolist": lambda: result(lambda x: x.tolist(), normal(3_000_000)),
    "tensor of a list": lambda: result(lambda: helix.tensor([0.5] * 3_000_000)),
    "backward": backward,
    "accumulation": accumulation,
    "add_": added_in_place,
    "setitem": set_by_index,
    "SGD": optimizer,
    "AdamW": adam,
    "AdamW on two devices": adam_on_two_devices,
    "training": training,
    "small calls": small_calls,
    "plan": planned,
    "plan that writes": planned_step,
}  # fmt: skip


# ---- controls: what the harness must find ----


def deaf() -> Work:
    """A call that lets no signal through for half a second."""

    def round() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            time.sleep(0.5)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    return round, lambda: True


def torn() -> Work:
    """Two tensors that belong together, changed one after the other."""
    x, y = helix.zeros(2), helix.zeros(2)

    def round() -> None:
        x.add_(1.0)
        time.sleep(0.05)
        y.add_(1.0)

    return round, lambda: bool((x == y).all())


PLANTED: dict[str, Callable[[], Work]] = {"deaf": deaf, "torn": torn}


@contextmanager
def threads(n: int) -> Iterator[None]:
    before = helix.get_num_threads()
    helix.set_num_threads(n)
    try:
        yield
    finally:
        helix.set_num_threads(before)
