"""One process of a campaign: random examples, each of them some ops and a block of choices for each, until every op has its
share of valid calls. What runs is written down first, so that after a crash it is known.

    python -m tests.fuzz.campaign build/fuzz/0 --seed 1 --valid 125 --calls 12500
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import helix

from .arguments import Block
from .calls import LIMIT, SAMPLES_OF, Count, Fuzzer

FEWEST, AVERAGE, MOST = 6, 12, 40  # calls of an example
BLOCK = 80  # bytes of choices for a call; what lies beyond is zero
NOTE = 1 << 16  # bytes; a longer note is cut
MOST_EXAMPLES = 400  # between two looks at who is short
PATIENCE = 15  # an op that needs more calls than this for a valid one stays short

Example = list[tuple[str, bytes]]


def describe(value: Any) -> str:
    if isinstance(value, helix.Tensor):
        layout = f"strides {value.stride()} offset {value.storage_offset()}"
        return f"<{value.dtype} {tuple(value.shape)} {layout}{' grad' if value.requires_grad else ''}>"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(describe, value))}]"
    return repr(value)[:200]


class Note:
    """A text that outlives a crash of the process, at the cost of a copy: the file is mapped into memory."""

    def __init__(self, file: Path) -> None:
        file.write_bytes(b" " * NOTE)
        with file.open("r+b") as opened:
            self.memory = mmap.mmap(opened.fileno(), NOTE)
        self.length = 0

    def write(self, text: str) -> None:
        said = text.encode()[:NOTE]
        self.memory[: max(self.length, len(said))] = said.ljust(self.length)
        self.length = len(said)


class Notes:
    """The example under way, which can be replayed, and its latest call in words."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.of_example, self.of_call = Note(folder / "example.json"), Note(folder / "call.txt")

    def example(self, calls: Example) -> None:
        said = {"isa": helix._core.cpu_isa(), "calls": [(op, block.hex()) for op, block in calls]}
        self.of_example.write(json.dumps(said))

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        keywords = [f"{k}={describe(v)}" for k, v in kwargs.items()]
        self.of_call.write(f"{name}({', '.join([*map(describe, args), *keywords])})")


def run_example(calls: Example, count: Count, notes: Notes) -> None:
    notes.example(calls)
    fuzzer = Fuzzer(count, notes.call)
    for op, block in calls:
        fuzzer.call(Block(block), op)


class Examples:
    """Ops drawn evenly, choices drawn bit by bit; now and then an earlier call's choices again, or few of them and then zeros."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def draw(self, ops: list[str]) -> Example:
        length = FEWEST + int(self.random.expovariate(1 / (AVERAGE - FEWEST)))
        calls: Example = []
        for _ in range(min(length, MOST)):
            calls.append((self.random.choice(ops), self.block(calls)))
        return calls

    def block(self, earlier: Example) -> bytes:
        kind = self.random.random()
        if earlier and kind < 0.05:
            return self.random.choice(earlier)[1]
        if kind < 0.1:
            return self.random.randbytes(self.random.randrange(BLOCK))
        return self.random.randbytes(BLOCK)


def smaller(calls: Example, fails: Callable[[Example], bool]) -> Example:
    """The example without the calls that it fails without."""
    for i in reversed(range(len(calls))):
        fewer = calls[:i] + calls[i + 1 :]
        if fails(fewer):
            calls = fewer
    return calls


def run_smallest(calls: Example, notes: Notes, kind: type[Exception]) -> None:
    """Raises what a failing example raises, from as few calls as do it; the notes then hold those."""

    def fails(fewer: Example) -> bool:
        try:
            run_example(fewer, Count(), notes)
        except kind:
            return True
        return False

    run_example(smaller(calls, fails), Count(), notes)


class Campaign:
    def __init__(self, valid: int, calls: int) -> None:
        self.valid, self.calls, self.count = valid, calls, Count()
        self.ops = list(SAMPLES_OF)

    def short(self) -> list[str]:
        """Ops that lack valid calls and can be hoped to get them; with enough of those, all ops until the calls are made."""
        count, most = self.count, PATIENCE * self.valid
        short = [op for op in self.ops if count.valid[op] < self.valid and count.calls[op] < most]
        return short or (self.ops if count.calls.total() < self.calls else [])

    def examples(self, short: list[str]) -> int:
        missing = max(
            sum(max(self.valid - self.count.valid[op], 0) for op in short),
            self.calls - self.count.calls.total() if len(short) == len(self.ops) else 0,
        )
        return min(missing // AVERAGE // 2 + 2, MOST_EXAMPLES)

    def run(self, seed: int, notes: Notes) -> None:
        examples = Examples(seed)
        while short := self.short():
            for _ in range(self.examples(short)):
                self.run_one(examples.draw(short), notes)

    def run_one(self, calls: Example, notes: Notes) -> None:
        try:
            run_example(calls, self.count, notes)
        except Exception as error:
            run_smallest(calls, notes, type(error))
            raise


def replay(file: Path, notes: Notes) -> None:
    example = json.loads(file.read_text())
    run_example([(op, bytes.fromhex(block)) for op, block in example["calls"]], Count(), notes)


def main() -> None:
    parser = argparse.ArgumentParser(description="one process of a campaign")
    parser.add_argument("folder", type=Path, help="where the notes and the counts go")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--valid", type=int, default=0, help="valid calls that every op gets")
    parser.add_argument("--calls", type=int, default=0, help="calls in all, at least")
    parser.add_argument("--replay", type=Path, default=None, help="an example to run alone")
    options = parser.parse_args()
    helix.set_memory_limit(LIMIT)
    notes, start = Notes(options.folder), time.monotonic()
    if options.replay:
        replay(options.replay, notes)
        return
    campaign = Campaign(options.valid, options.calls)
    campaign.run(options.seed, notes)
    count = campaign.count
    (options.folder / "count.json").write_text(
        json.dumps(
            {
                "isa": helix._core.cpu_isa(),
                "process": os.getpid(),
                "seconds": time.monotonic() - start,
                "calls": count.calls,
                "valid": count.valid,
                "refused": {op: dict(reasons.most_common(5)) for op, reasons in count.refused.items()},
            }
        )
    )


if __name__ == "__main__":
    main()
