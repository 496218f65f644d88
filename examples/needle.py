"""Three letters hidden in a long text of source code, to be said again at its end: Mamba learns it on short texts, and reads long
ones with a state of fixed size. `python needle.py [LENGTH …]` trains, then asks at each length (262144 unless told)."""

from __future__ import annotations

import argparse
import math
import sysconfig
import time
from pathlib import Path

import numpy as np

import helix
from helix import data, models
from helix.nn import functional as F

MARK, QUESTION, LETTERS = 2, 3, 3  # bytes that no source holds; letters of a needle
STAGES = ((256, 16, 600), (1024, 8, 300), (8192, 1, 200), (32768, 1, 60))  # length, batch, steps
PIECE = 8192  # bytes read at once


def haystack() -> np.ndarray:
    """The sources of Python's standard library, 8 MB at most."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    return data.TextFolder(folder, pattern="*.py", limit=8_000_000).bytes


def texts(hay: np.ndarray, draw: np.random.Generator, count: int, length: int) -> np.ndarray:
    """(count, length + LETTERS): a mark and letters somewhere, and at the end the question and the letters again."""
    body = length - 1
    starts = draw.integers(0, len(hay) - body, count)
    rows = hay[starts[:, None] + np.arange(body)].astype(np.int64)
    needles = draw.integers(ord("a"), ord("z") + 1, (count, LETTERS))
    places = draw.integers(0, body - LETTERS, count)
    at = places[:, None] + np.arange(LETTERS + 1)
    np.put_along_axis(rows, at, np.hstack([np.full((count, 1), MARK), needles]), 1)
    return np.hstack([rows, np.full((count, 1), QUESTION), needles])


def learn(model: models.SequenceDecoder, hay: np.ndarray, draw: np.random.Generator) -> None:
    optimizer = helix.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.0)
    steps = sum(count for _, _, count in STAGES)
    schedule = helix.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / 50) * (0.1 + 0.45 * (1 + math.cos(math.pi * step / steps)))
    )
    for length, batch, count in STAGES:
        loss = helix.tensor(0.0)
        for _ in range(count):
            rows = helix.from_numpy(texts(hay, draw, batch, length))
            answer = rows.narrow(1, length, LETTERS)
            optimizer.zero_grad()
            logits = model(rows.narrow(1, 0, length + LETTERS - 1)).narrow(1, length - 1, LETTERS)
            loss = F.cross_entropy(logits.flatten(0, 1), answer.flatten())
            loss.backward()
            helix.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        print(f"learned at length {length}: loss {loss.item():.4f}", flush=True)


def found(model: models.SequenceDecoder, rows: np.ndarray) -> list[bool]:
    """Whether each text is answered with its three letters, which the model writes by itself."""
    tokens, state, said = helix.from_numpy(rows[:, :-LETTERS]), None, []
    for start in range(0, tokens.shape[1], PIECE):
        logits, state = model.step(tokens.narrow(1, start, min(PIECE, tokens.shape[1] - start)), state)
    for number in range(LETTERS):
        said.append(logits.select(1, logits.shape[1] - 1).argmax(-1))
        if number < LETTERS - 1:
            logits, state = model.step(said[-1].unsqueeze(1), state)
    answers = helix.stack(said, 1).numpy()
    return [bool(right) for right in (answers == rows[:, -LETTERS:]).all(1)]


def main(lengths: list[int], count: int = 50) -> dict[int, float]:
    helix.manual_seed(0)
    hay, draw = haystack(), np.random.default_rng(0)
    held_back = len(hay) // 2  # questions are asked in sources that were not trained on
    model = models.SequenceDecoder(dim=32, depth=1, mixer="mamba")
    learn(model, hay[:held_back], draw)
    model.eval().requires_grad_(False)
    shares = {}
    for length in lengths:
        start, right = time.perf_counter(), 0
        for _ in range(0, count, 5):
            right += sum(found(model, texts(hay[held_back:], draw, 5, length)))
        shares[length] = right / count
        print(f"{right} of {count} found in {length} bytes, {time.perf_counter() - start:.0f} s", flush=True)
    return shares


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lengths", type=int, nargs="*", default=[262_144])
    main(parser.parse_args().lengths)
