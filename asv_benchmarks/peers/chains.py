"""Group J: elementwise chains, norms, losses, a bias's gradient and an optimizer's step written out in single ops, for libraries
that fuse them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .data import normal

Found = tuple[Callable[..., Any], list[np.ndarray]]


def chain(m: Any) -> Callable[..., Any]:
    """Ten operations on each element."""

    def run(x: Any) -> Any:
        x = m.abs(-((m.maximum(x * 1.1 + 0.5, x) - 0.3) * 0.7))
        return m.maximum((x + 0.25) * 1.3, x)

    return run


def gelu(m: Any) -> Callable[..., Any]:
    return lambda x: 0.5 * x * (1.0 + m.tanh(0.7978845608 * (x + 0.044715 * (x * x * x))))


def rmsnorm(m: Any) -> Callable[..., Any]:
    def run(x: Any, w: Any) -> Any:
        mean = (x * x).sum(-1)[:, None] * (1 / x.shape[-1])
        return x / m.sqrt(mean + 1e-6) * w

    return run


def rmsnorm_kept(m: Any) -> Callable[..., Any]:
    """As torch and helix say it."""
    return lambda x, w: x / m.sqrt((x * x).mean(-1, keepdim=True) + 1e-6) * w


def layernorm(m: Any) -> Callable[..., Any]:
    def run(x: Any, w: Any, b: Any) -> Any:
        centered = x - x.sum(-1)[:, None] * (1 / x.shape[-1])
        spread = (centered * centered).sum(-1)[:, None] * (1 / x.shape[-1])
        return centered / m.sqrt(spread + 1e-5) * w + b

    return run


def layernorm_kept(m: Any) -> Callable[..., Any]:
    """As torch and helix say it."""

    def run(x: Any, w: Any, b: Any) -> Any:
        centered = x - x.mean(-1, keepdim=True)
        return centered / m.sqrt((centered * centered).mean(-1, keepdim=True) + 1e-5) * w + b

    return run


def loss(m: Any) -> Callable[..., Any]:
    return lambda x, y: ((x - y) * (x - y)).mean()


def bias_gradient(m: Any) -> Callable[..., Any]:
    """What is left of a gradient behind a ReLU, and its sum over the batch."""

    def run(gradient: Any, x: Any) -> Any:
        left = gradient * (x > 0)
        return left, left.sum(0)

    return run


def adam(m: Any) -> Callable[..., Any]:
    def run(p: Any, g: Any, first: Any, second: Any) -> Any:
        first = 0.9 * first + 0.1 * g
        second = 0.999 * second + 0.001 * (g * g)
        return p - 0.001 * first / (m.sqrt(m.abs(second)) + 1e-8), first, second

    return run


CHAINS: dict[str, tuple[Callable[[Any], Callable[..., Any]], tuple[tuple[int, ...], ...]]] = {
    "J.chain10_10M": (chain, ((10_000_000,),)),
    "J.gelu_by_hand_16M": (gelu, ((4096, 4096),)),
    "J.rmsnorm_by_hand_1M": (rmsnorm_kept, ((1024, 1024), (1024,))),
    "J.rmsnorm_by_hand_16M": (rmsnorm_kept, ((4096, 4096), (4096,))),
    "J.layernorm_by_hand_16M": (layernorm_kept, ((4096, 4096), (4096,), (4096,))),
    "J.adam_by_hand_10M": (adam, ((10_000_000,),) * 4),
    "J.adam_by_hand_16M": (adam, ((4096, 4096),) * 4),
    "J.loss_by_hand_10M": (loss, ((10_000_000,),) * 2),
    "J.bias_gradient_4M": (bias_gradient, ((4096, 1024),) * 2),
}
SAID_OTHERWISE = {rmsnorm_kept: rmsnorm, layernorm_kept: layernorm}


def inputs_of(id: str) -> list[np.ndarray]:
    return [normal(f"j{i}", *shape) for i, shape in enumerate(CHAINS[id][1])]


def chain_of(m: Any, id: str) -> Found:
    """The function of jax.numpy, and its inputs."""
    make = CHAINS[id][0]
    return SAID_OTHERWISE.get(make, make)(m), inputs_of(id)


def built(id: str) -> Callable[[Any], Callable[[], Any]]:
    def build(lib: Any) -> Callable[[], Any]:
        arrays = [lib.array(values) for values in inputs_of(id)]
        return lib.inference(lib.whole(CHAINS[id][0](lib.t), arrays))

    return build
