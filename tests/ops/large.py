"""Calls that are large from the start: those whose sizes are arguments, and the kernels with several plans.

`python -m tests.ops.large` compares their bits in four processes with 1, 2, 4 and 8 threads.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import helix
import helix.nn.functional as F

ROOT = Path(__file__).parents[2]


def normal(*shape: int, dtype: helix.dtype = helix.float32) -> helix.Tensor:
    return (helix.randn(*shape, generator=helix.Generator(len(shape))) * 3).to(dtype)


def product(dtype: helix.dtype, m: int, k: int, n: int) -> Callable[[], Any]:
    return lambda: normal(m, k, dtype=dtype) @ normal(k, n, dtype=dtype)


def convolution(dtype: helix.dtype, size: int, groups: int = 1) -> Callable[[], Any]:
    def call() -> list[helix.Tensor]:
        x = normal(4, 32, 40, 40, dtype=dtype).requires_grad_()
        w = normal(32, 32 // groups, size, size, dtype=dtype).requires_grad_()
        y = F.conv2d(x, w, padding=1, groups=groups)
        return [y, *helix.autograd.grad(y, [x, w], helix.ones_like(y))]

    return call


def attention(dtype: helix.dtype, length: int, causal: bool) -> Callable[[], Any]:
    def call() -> list[helix.Tensor]:
        q = normal(2, 3, length, 32, dtype=dtype).requires_grad_()
        y = F.scaled_dot_product_attention(q, q, q, is_causal=causal)
        return [y, *helix.autograd.grad(y, [q], helix.ones_like(y))]

    return call


def drawn(function: Callable[..., helix.Tensor], *arguments: Any, **options: Any) -> Callable[[], Any]:
    return lambda: function(*arguments, **options, generator=helix.Generator(9))


FLOATS = (helix.float16, helix.bfloat16, helix.float32, helix.float64)
NUMBERS = (*FLOATS, helix.int8, helix.int32, helix.int64, helix.complex64, helix.complex128)
ROW = 1_000_003

LARGE: dict[str, Callable[[], Any]] = {
    **{f"matmul {t.name}": product(t, 301, 257, 290) for t in NUMBERS},
    **{f"matmul of few rows {t.name}": product(t, 3, 1000, 1200) for t in FLOATS},
    **{f"matmul of long rows {t.name}": product(t, 20, 60_000, 24) for t in FLOATS},
    **{f"matmul of a vector {t.name}": lambda t=t: normal(900, 1000, dtype=t) @ normal(1000, dtype=t) for t in FLOATS},
    **{f"dot {t.name}": lambda t=t: normal(ROW, dtype=t).dot(normal(ROW, dtype=t)) for t in FLOATS},
    **{f"bmm {t.name}": lambda t=t: normal(40, 50, 60, dtype=t) @ normal(40, 60, 50, dtype=t) for t in FLOATS},
    **{f"conv2d {s} x {s} {t.name}": convolution(t, s) for s in (1, 3, 5) for t in (helix.bfloat16, helix.float32, helix.float64)},
    **{f"depthwise conv2d {t.name}": convolution(t, 3, 32) for t in (helix.float32, helix.float64)},
    **{
        f"attention of {n} {t.name} {'causal' if causal else ''}": attention(t, n, causal)
        for n in (1, 150, 600) for causal in (False, True) for t in (helix.bfloat16, helix.float32, helix.float64)
    },
    **{f"{f} of a row {t.name}": lambda f=f, t=t: getattr(normal(ROW, dtype=t), f)(0) for t in FLOATS
       for f in ("sum", "mean", "logsumexp", "amax", "argmin", "cumsum", "sort", "var", "norm", "softmax")},
    "sum of the first axis": lambda: normal(3000, 257).sum(0),
    "layer_norm": lambda: F.layer_norm(normal(600, 511), (511,)),
    "rms_norm": lambda: F.rms_norm(normal(600, 511), (511,)),
    "batch_norm": lambda: F.batch_norm(normal(16, 30, 20, 20), None, None, training=True),
    "group_norm": lambda: F.group_norm(normal(16, 30, 20, 20), 5),
    "cross_entropy": lambda: F.cross_entropy(normal(700, 300), helix.arange(700) % 300),
    "scatter_add": lambda: helix.zeros(50, 9).scatter_add(0, (helix.arange(90_000) % 47).reshape(10_000, 9), normal(10_000, 9)),
    "index_add": lambda: helix.zeros(50, 9).index_add(0, helix.arange(30_000) % 47, normal(30_000, 9)),
    "index_put": lambda: helix.zeros(50).index_put((helix.arange(100_000) % 47,), normal(100_000), accumulate=True),
    "embedding": lambda: helix.autograd.grad(F.embedding(helix.arange(50_000) % 31, w := normal(31, 8).requires_grad_()).sum(), w),
    **{f"fft of {n}": lambda n=n: helix.fft.fft(normal(n)) for n in (1 << 18, 3**11, 100_003)},
    "rfft of rows": lambda: helix.fft.rfft(normal(500, 600)),
    "topk": lambda: normal(40, 9000).topk(17)[0],
    "unique": lambda: helix.unique((normal(200_000) * 50).to(helix.int64), return_counts=True),
    **{f"rand {t.name}": drawn(helix.rand, ROW, dtype=t) for t in FLOATS},
    **{f"randn {t.name}": drawn(helix.randn, ROW, dtype=t) for t in FLOATS},
    "randint": drawn(helix.randint, -50, 1 << 40, (300_000,)),
    "randperm": drawn(helix.randperm, 100_000),
    "bernoulli": lambda: helix.bernoulli(normal(300_000).sigmoid(), generator=helix.Generator(9)),
    "multinomial": lambda: helix.multinomial(normal(50_000).abs(), 500, generator=helix.Generator(9)),
    "arange": lambda: helix.arange(0, 3e5, 0.7),
    "linspace": lambda: helix.linspace(-1, 1, 300_001),
    "full": lambda: helix.full((700, 701), 3),
    "eye": lambda: helix.eye(700),
    "conv_transpose3d": lambda: F.conv_transpose3d(normal(2, 8, 9, 10, 11), normal(8, 6, 3, 3, 3)),
    "max_unpool2d": lambda: F.max_unpool2d(*F.max_pool2d(normal(8, 8, 60, 60), 2, return_indices=True), 2),
    "multilabel_margin_loss": lambda: F.multilabel_margin_loss(normal(200, 90), helix.arange(90).expand(200, 90)),
}  # fmt: skip


def bits(results: Any) -> list[bytes]:
    if isinstance(results, list | tuple):
        return [b for r in results for b in bits(r)]
    return [bytes(results.detach().reshape(-1).contiguous().view(helix.uint8).numpy())]


def differing(call: Callable[[], Any], counts: tuple[int, ...] = (2, 4, 8)) -> list[int]:
    """Numbers of threads that change a bit."""
    before, seen = helix.get_num_threads(), {}
    try:
        for n in (1, *counts):
            helix.set_num_threads(n)
            seen[n] = bits(call())
    finally:
        helix.set_num_threads(before)
    return [n for n in counts if seen[n] != seen[1]]


def digests(threads: int, step: int = 1) -> dict[str, str]:
    """Of each call, or of one in `step`."""
    helix.set_num_threads(threads)
    chosen = list(LARGE.items())[::step]
    return {name: hashlib.sha256(b"".join(bits(call()))).hexdigest() for name, call in chosen}


def differing_processes(counts: Sequence[int] = (1, 2, 4, 8), step: int = 1) -> tuple[int, list[str]]:
    """How many calls processes with these numbers of threads made, and those whose bits are not the same in all."""
    source = os.pathsep.join([str(Path(helix.__file__).parents[1]), str(ROOT)])
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.ops.large", str(n), str(step)],
            env={**os.environ, "PYTHONPATH": source}, cwd=ROOT, stdout=subprocess.PIPE,
        ) for n in counts
    ]  # fmt: skip
    found = [json.loads(process.communicate()[0]) for process in running]
    return len(found[0]), [name for name in found[0] if len({one[name] for one in found}) > 1]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(digests(int(sys.argv[1]), int(sys.argv[2]))))
    else:
        calls, faults = differing_processes()
        print(f"{calls} large calls in four processes; other bits: {', '.join(faults) or 'none'}")
        sys.exit(bool(faults))
