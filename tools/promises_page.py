"""Runs what tools/promises.py measures and writes docs/promises.md."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from promises import (
    DEPTH,
    HEADS,
    LENGTHS,
    LONG,
    MODELS,
    Growth,
    K,
    Work,
    forward_peak,
    parameters,
    recorded,
    savings,
    smallest,
    stored_scores,
    straightness,
    streaming_peak,
    training_peak,
    work_of,
)

PAGE = Path(__file__).resolve().parents[1] / "docs" / "promises.md"
STEPS = (64 * K, 256 * K, 1024 * K)
CHECKED = 4 * K


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def size(length: int) -> str:
    return f"{length // K}k" if length < K * K else f"{length // (K * K)}M"


def times(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


Ratio = Callable[[Work, Work, int], float]
RATIOS: dict[str, Ratio] = {
    "FLOPs, dense attention": lambda t, x, n: t.flops / x.flops,
    "FLOPs, the causal half of attention": lambda t, x, n: (t.flops - t.attention / 2) / x.flops,
    "bytes, scores kept in memory": lambda t, x, n: (t.moved + stored_scores(n)) / x.moved,
    "bytes, tiled attention": lambda t, x, n: t.moved / x.moved,
}


def first_length(ratio: Ratio, plain: Growth, other: Growth, wanted: float) -> str:
    found = smallest(lambda n: ratio(plain.at(n), other.at(n), n) >= wanted)
    return "at no length" if found is None else f"{found:,}"


def work() -> str:
    growth = {name: Growth(make) for name, make in MODELS.items()}
    for name, make in MODELS.items():
        if work_of(recorded(make(CHECKED), CHECKED)) != growth[name].at(CHECKED):
            raise AssertionError(f"{name}: a run at {CHECKED} bytes is not what shapes foretell")
    plain, others = growth["transformer"], [name for name in MODELS if name != "transformer"]
    held = {name: parameters(make(K)) for name, make in MODELS.items()}
    rows = []
    for n in LENGTHS:
        done = {name: found.at(n) for name, found in growth.items()}
        rows.append([size(n)])
        rows[-1] += [f"{found.flops / n * K / 1e9:.2f}" for found in done.values()]
        rows[-1] += [f"{found.moved / n * K / 1e6:.0f}" for found in done.values()]
        rows[-1].insert(5, f"{(done['transformer'].moved + stored_scores(n)) / n * K / 1e6:,.0f}")
    ratios = [
        [f"{name}, {what}"]
        + [times(ratio(plain.at(n), growth[name].at(n), n)) for n in LENGTHS]
        + [first_length(ratio, plain, growth[name], wanted) for wanted in (5, 10)]
        for name in others
        for what, ratio in RATIOS.items()
    ]
    head = ["length", *(f"GFLOP, {name}" for name in MODELS), "MB, transformer, tiled", "MB, scores kept"]
    head += [f"MB, {name}" for name in others]
    told = ", ".join(f"{name} {count:,} ({count / held['transformer'] - 1:+.1%})" for name, count in held.items())
    return f"""Parameters: {told}.
The transformer has {DEPTH} layers of 128 with {HEADS} heads, over bytes, and rotary positions, so that it is the same at every length.
A forward pass, batch of one, float32, a KB of text:

{table(head, rows)}

How many times the transformer's work that is, and the smallest length, in whole KB, from which on it is 5 and 10 times:

{table(["", *(size(n) for n in LENGTHS), "5 x from", "10 x from"], ratios)}"""


def memory() -> str:
    rows = []
    for what, kind, measure, lengths in (
        ("forward", "mamba", forward_peak, LONG),
        ("forward", "hyena", forward_peak, LONG),
        ("training step", "mamba", training_peak, STEPS),
        ("training step", "hyena", training_peak, STEPS),
        ("streaming, pieces of 4k", "mamba", streaming_peak, STEPS),
    ):
        found = {n: measure(kind, n) for n in lengths}
        slope, straight = straightness(list(found), [float(v) for v in found.values()])
        same = max(found.values()) < 1.01 * min(found.values())
        line = [f"{slope:.2f}", "the same for all"] if same else [f"{slope:.0f}", f"{straight:.6f}"]
        rows.append([f"{kind}, {what}", *(f"{found[n] / 1e6:,.0f}" for n in (256 * K, 1024 * K)), *line])
    return table(["", "MB at 262,144", "MB at 1,048,576", "bytes a byte of text", "R²"], rows)


def training() -> str:
    rows = [
        [s.name, f"{s.plain / 1e6:.1f}", f"{s.saved / 1e6:.1f}", f"{s.share:.1%}", f"{s.difference:.1e}"]
        for s in savings()
    ]
    return table(["", "plain, MB", "MB", "saved", "largest difference of a gradient"], rows)


def page() -> str:
    return f"""# Old promises, measured

`make promises` measures all of this again and writes this page; none of it is a time.

## Work and traffic a KB of text

{work()}

Counts are `helix.flops` over the kernels that run, and the bytes that each reads and writes once. The kernels of two short texts give
all shapes at any length, and those of {CHECKED:,} bytes were run and are foretold exactly. Dense attention is what is usually compared; a
causal kernel, helix's too, leaves out half of it. Attention that keeps its scores writes them, reads and writes them in softmax, and
reads them again; a tiled kernel keeps none, and is counted as if it read queries, keys and values once, which is the least it can do.

So the promise of ten times fewer operations holds from a length on, not for every text; that of ten times less traffic holds against
attention that keeps its scores, and at no length against tiled attention: there these models move more.

## Memory over long texts

Two layers of width 16 with all 256 logits of every byte; the allocator's peak above parameters and text. Whole texts take memory in
proportion to their length, streamed ones always the same:

{memory()}

The lengths of the fit are 64k to 1M. Hyena's filters are as long as the text, so that its state grows with what was read, and it
is not streamed here. Logits and their gradients are most of it: 1,024 bytes for each byte of text and tensor.

## Memory of training

36 layers of a Mamba and a feed-forward net of width 32, 2,048 steps; the allocator's peak over forward and backward, with parameters and
gradients. The difference is to plain training, as a share of that parameter's largest gradient:

{training()}

Checkpoints run the same kernels again, and their gradients have the same bits; a reversible net computes its inputs again by subtraction.

## Elsewhere

Not measured again by `make promises`: `examples/needle.py 65536 262144` hides one of 26 bytes in source code and asks for it at the end.
One layer of Mamba (width 32) that learned it in texts of 16 to 65,536 bytes found 16 of 20 in 65,536 bytes and 15 of 20 in 262,144 (by
chance it would be 1 of 26), in pieces of 8,192, in sources that it was not trained on. The promise was nine of ten; training was short
(650 steps, about 80 seconds of one core); 150 steps at 8,192 in place of 60, with the usual first step sizes, were begun and
stopped: their loss was no smaller. Bits a byte beside torch's model of the same shape are in [sequences.md](sequences.md).
Times need a quiet machine.
"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))
