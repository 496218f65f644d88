"""python -m tests.shards tests/ops tests/faults: a long run of tests in shards, for `make asan`.

What a shard passed is kept in build/shards, under the build of helix that it ran on, so a run that is stopped, or out of its
`--seconds`, goes on where it was when it is called again. `--share 2/4` takes every fourth shard from the second on.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import helix

KEPT = Path("build/shards")
PYTEST = (sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider")


def collected(places: Sequence[str]) -> list[str]:
    """The ids of all tests there."""
    done = subprocess.run([*PYTEST, "--collect-only", *places], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return [line for line in done.stdout.splitlines() if "::" in line]


def shards(tests: Sequence[str], size: int, share: str) -> list[list[str]]:
    part, parts = (int(n) for n in share.split("/"))
    return [list(tests[at : at + size]) for at in range(0, len(tests), size)][part - 1 :: parts]


def kept_in() -> Path:
    """A folder for what this build of helix passed."""
    return KEPT / hashlib.sha256(Path(helix._core.__file__).read_bytes()).hexdigest()[:12]


def run(folder: Path, end: float, tests: list[str]) -> str | None:
    """What the shard's tests reported where one failed or the process ended; '' where all passed; None: no time was left."""
    mark = folder / hashlib.sha256("\n".join(tests).encode()).hexdigest()[:16]
    if mark.exists():
        return ""
    if time.monotonic() > end:
        return None
    names = mark.with_suffix(".txt")
    names.parent.mkdir(parents=True, exist_ok=True)
    names.write_text("\n".join(tests))
    done = subprocess.run([*PYTEST, f"@{names}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        return f"{done.stdout[-8000:]}\nSHARD of {len(tests)} tests: status {done.returncode}; again: pytest @{names}\n"
    mark.touch()
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.shards")
    parser.add_argument("places", nargs="+")
    parser.add_argument("--size", type=int, default=500, help="tests of a shard")
    parser.add_argument("--share", default="1/1")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    start, passed, left, failed = time.monotonic(), 0, 0, 0
    plan = shards(collected(given.places), given.size, given.share)
    with ThreadPoolExecutor(given.processes) as pool:
        results = pool.map(partial(run, kept_in(), start + given.seconds), plan)
        for tests, said in zip(plan, results, strict=True):
            passed += len(tests) if said == "" else 0
            left += len(tests) if said is None else 0
            failed += bool(said)
            if said:
                print(said, flush=True)
            print(f"{passed:,} passed, {time.monotonic() - start:.0f} s", flush=True)
    print(f"{passed:,} tests passed, {failed} shards with failures, {left:,} tests left for the next run")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
