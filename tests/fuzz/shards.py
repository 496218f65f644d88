"""python -m tests.fuzz.shards --calls 1000000 --seconds 3600: a long campaign in shards, each with seeds of its own.

What a shard counted is kept in build/fuzz/shards, so a run that is stopped, or out of its seconds, goes on with the next one
when it is called again. `--share 2/4` takes every fourth shard from the second on, for several machines.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from . import __main__ as fuzz
from .calls import Count

KEPT = fuzz.FOLDER / "shards"
SEEDS = 1000  # between the first seeds of two shards


def count_of(jobs: list[fuzz.Job]) -> dict[str, int]:
    count = Count()
    for job in jobs:
        count.merge(json.loads((job.folder / "count.json").read_text()))
    return {"calls": count.calls.total(), "valid": count.valid.total(), "ops": sum(n > 0 for n in count.valid.values())}


def run_shard(isas: list[str], number: int, calls: int, processes: int) -> Path | None:
    """The file of what the shard counted; None when it found something."""
    file = KEPT / f"{number}.json"
    if file.exists():
        return file
    first = 1 + number * SEEDS
    if fuzz.campaign(isas, first, 0, calls, processes):
        return None
    KEPT.mkdir(parents=True, exist_ok=True)
    counted = count_of(fuzz.plan(isas, first, 0, calls))
    file.write_text(json.dumps(counted | {"sanitized": fuzz.sanitized()}))
    return file


def chosen(calls: int, size: int, share: str) -> range:
    part, parts = (int(n) for n in share.split("/"))
    return range(part - 1, -(-calls // size), parts)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz.shards")
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=20_000, help="calls of a shard")
    parser.add_argument("--share", default="1/1")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    start, done, findings, isas = time.monotonic(), [], 0, fuzz.usable_sets()
    if faults := fuzz.controls(isas):
        print("\n".join(faults))
        return 1
    shards = chosen(given.calls, given.size, given.share)
    for number in shards:
        if time.monotonic() - start > given.seconds:
            break
        file = run_shard(isas, number, given.size, given.processes)
        findings += file is None
        if file:
            done.append(json.loads(file.read_text()))
    calls, valid = sum(d["calls"] for d in done), sum(d["valid"] for d in done)
    checked = "under sanitizers" if done and all(d["sanitized"] for d in done) else "partly without sanitizers"
    print(
        f"{len(done)} of {len(shards)} shards: {calls:,} calls, {valid:,} valid, {checked}; {findings} shards with findings"
    )
    return findings


if __name__ == "__main__":
    sys.exit(main())
