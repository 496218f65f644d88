"""Prints the sizes of the wheels in a folder; fails when one is 10 MB or more, or when there is none."""

from __future__ import annotations

import sys
from pathlib import Path

LIMIT = 10_000_000


def main(folder: str) -> int:
    wheels = sorted(Path(folder).glob("*.whl"))
    for wheel in wheels:
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB (limit {LIMIT / 1e6:.0f} MB)")
    return int(not wheels or any(wheel.stat().st_size >= LIMIT for wheel in wheels))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
