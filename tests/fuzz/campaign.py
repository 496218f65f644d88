"""One process of a campaign: hypothesis draws examples, each of them some ops and a block of choices for each, until every op has
its share of valid calls. What runs is written down first, so that after a crash it is known.

    python -m tests.fuzz.campaign build/fuzz/0 --seed 1 --valid 125 --calls 12500
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import helix

from .arguments import Block
from .calls import LIMIT, SAMPLES_OF, Count, Fuzzer

FEWEST, MOST = 6, 40  # calls of an example; twelve on the average
BLOCK = 80  # bytes of choices for a call; what lies beyond is zero
CALLS_OF_EXAMPLE = 12
MOST_EXAMPLES = 400  # between two looks at who is short
PATIENCE = 15  # an op that needs more calls than this for a valid one stays short

Example = Sequence[tuple[str, bytes]]


def describe(value: Any) -> str:
    if isinstance(value, helix.Tensor):
        layout = f"strides {value.stride()} offset {value.storage_offset()}"
        return f"<{value.dtype} {tuple(value.shape)} {layout}{' grad' if value.requires_grad else ''}>"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(describe, value))}]"
    return repr(value)[:200]


class Notes:
    """Two small files: the example under way, which can be replayed, and its latest call in words."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.example_file = (folder / "example.json").open("w")
        self.call_file = (folder / "call.txt").open("w")

    def example(self, calls: Example) -> None:
        said = {"isa": helix._core.cpu_isa(), "calls": [(op, block.hex()) for op, block in calls]}
        rewrite(self.example_file, json.dumps(said))

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        keywords = [f"{k}={describe(v)}" for k, v in kwargs.items()]
        rewrite(self.call_file, f"{name}({', '.join([*map(describe, args), *keywords])})\n")


def rewrite(file: Any, text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()


def run_example(calls: Example, count: Count, notes: Notes) -> None:
    notes.example(calls)
    fuzzer = Fuzzer(count, notes.call)
    for op, block in calls:
        fuzzer.call(Block(block), op)


def hypothesis_run(short: list[str], examples: int, first: int, count: Count, notes: Notes) -> None:
    """On a failure hypothesis goes on to a smaller one; the notes then hold that one."""
    call = st.tuples(st.sampled_from(short), st.binary(min_size=BLOCK, max_size=BLOCK))
    run = given(st.lists(call, min_size=FEWEST, max_size=MOST))(lambda calls: run_example(calls, count, notes))
    rules = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    seed(first)(rules(run))()


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
        return min(missing // CALLS_OF_EXAMPLE // 2 + 2, MOST_EXAMPLES)

    def run(self, first: int, notes: Notes) -> None:
        while short := self.short():
            hypothesis_run(short, self.examples(short), first + self.count.calls.total(), self.count, notes)


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
