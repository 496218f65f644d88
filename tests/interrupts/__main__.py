"""python -m tests.interrupts --times 200: every interrupt ends its call within 250 ms, and leaves nothing half done."""

from __future__ import annotations

import argparse
import sys

from .campaign import run
from .works import PLANTED, WORKS

LIMIT = 0.25


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.interrupts")
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    planted = run(PLANTED, 8, given.seed)
    if not planted.late(LIMIT) or not any("half done" in fault for fault in planted.faults):
        print("the planted faults were not found")
        return 1
    report = run(WORKS, given.times, given.seed)
    seconds = sorted(report.seconds)
    print(f"{len(seconds)} interrupts: median {1e3 * seconds[len(seconds) // 2][0]:.0f} ms, the longest:")
    for taken, name in seconds[-5:]:
        print(f"  {1e3 * taken:6.1f} ms  {name}")
    for fault in report.faults:
        print(f"  {fault}")
    return bool(report.faults or report.late(LIMIT))


if __name__ == "__main__":
    sys.exit(main())
