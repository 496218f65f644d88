"""python -m tests.forks --times 500: every child computes in parallel, is right, and ends."""

from __future__ import annotations

import argparse
import sys
import time

from .campaign import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.forks")
    parser.add_argument("--times", type=int, default=500)
    given = parser.parse_args()
    start = time.monotonic()
    found = run(given.times)
    names = {0: "right", 3: "wrong numbers", 4: "an exception", 256: "hung"}
    counts = ", ".join(f"{n} {names.get(status, f'status {status}')}" for status, n in sorted(found.items()))
    print(f"{given.times} forks: {counts}; {time.monotonic() - start:.0f} s")
    return set(found) != {0}


if __name__ == "__main__":
    sys.exit(main())
