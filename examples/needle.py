"""A byte hidden in a long text of source code, to be said again at its end: Mamba learns it on short texts, and reads long ones
with a state of fixed size. `python needle.py [LENGTH …]` trains, then asks at each length (262144 unless told)."""

from __future__ import annotations

import argparse
import sysconfig
import time
from pathlib import Path

import numpy as np

import helix
from helix import data, models
from helix.nn import functional as F

QUESTION, FIRST, KINDS = 3, 128, 26  # the needle is one of 26 bytes from 128 on; no text holds these or the question
# Length, batch, steps: in a short text the needle is a large share, and is noticed.
STAGES = ((16, 128, 150), (64, 64, 150), (256, 16, 150), (1024, 8, 100), (8192, 4, 60), (65536, 1, 40))
PIECE = 8192  # bytes read at once


def haystack() -> np.ndarray:
    """The sources of Python's standard library that are plain ASCII, 8 MB at most."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    found = data.TextFolder(folder, pattern="*.py", limit=8_000_000).bytes
    return found[found < FIRST]


def texts(hay: np.ndarray, draw: np.random.Generator, count: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """(count, length) bytes with a needle somewhere and the question at the end; and the needles, (count,)."""
    starts = draw.integers(0, len(hay) - length, count)
    rows = hay[starts[:, None] + np.arange(length)].astype(np.int64)
    needles = draw.integers(FIRST, FIRST + KINDS, count)
    rows[np.arange(count), draw.integers(0, length - 1, count)] = needles
    rows[:, -1] = QUESTION
    return rows, needles


def learn(model: models.SequenceDecoder, hay: np.ndarray, draw: np.random.Generator) -> None:
    optimizer = helix.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.0)
    steps, last = sum(count for _, _, count in STAGES), STAGES[-1][2]
    schedule = helix.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / 20, 1.0, 0.1 + 0.9 * (steps - step) / last)
    )
    for length, batch, count in STAGES:
        losses = []
        for _ in range(count):
            rows, needles = texts(hay, draw, batch, length)
            optimizer.zero_grad()
            loss = F.cross_entropy(model(helix.from_numpy(rows)).select(1, length - 1), helix.from_numpy(needles))
            loss.backward()
            helix.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"learned at length {length}: loss {np.mean(losses[-20:]):.4f}", flush=True)


def found(model: models.SequenceDecoder, rows: np.ndarray, needles: np.ndarray) -> int:
    """How many needles the model names, which reads its texts piece by piece."""
    tokens, state = helix.from_numpy(rows), None
    for start in range(0, tokens.shape[1], PIECE):
        logits, state = model.step(tokens.narrow(1, start, min(PIECE, tokens.shape[1] - start)), state)
    said = logits.select(1, logits.shape[1] - 1).argmax(-1).numpy()
    return int((said == needles).sum())


def main(lengths: list[int], count: int = 20) -> dict[int, float]:
    helix.manual_seed(0)
    hay, draw = haystack(), np.random.default_rng(0)
    held_back = len(hay) // 2  # questions are asked in sources that were not trained on
    slow = {"dt_min": 1e-6, "dt_init_floor": 1e-6}  # some channels begin with a memory of the longest text
    model = models.SequenceDecoder(dim=32, depth=1, mixer="mamba", mixer_options=slow)
    learn(model, hay[:held_back], draw)
    model.eval().requires_grad_(False)
    shares = {}
    for length in lengths:
        start = time.perf_counter()
        right = sum(found(model, *texts(hay[held_back:], draw, 5, length)) for _ in range(count // 5))
        shares[length] = right / count
        print(f"{right} of {count} found in {length} bytes, {time.perf_counter() - start:.0f} s", flush=True)
    return shares


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lengths", type=int, nargs="*", default=[262_144])
    main(parser.parse_args().lengths)
