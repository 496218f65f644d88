"""`python -m tests.parity [name ...]`: every sample of every op, or of those whose names begin so, and counts.

--limit N takes N samples for each dtype; --each prints every difference, not the first of each kind; --new leaves out the
known ones; --keep writes the counts that docs/torch-ops.md tells. Ends with status 1 on a difference that is not known.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from .differences import KNOWN, RARE
from .ops import full_name, records
from .walk import compared, walk

COUNTS = Path(__file__).with_name("counts.json")


def known(name: str, kind: str) -> bool:
    return kind in KNOWN.get(name, {}) or kind in RARE.get(name, {})


def look(info: Any, options: argparse.Namespace, counts: Counter[str]) -> None:
    """One op, its differences printed and counted."""
    name, seen = full_name(info), {}
    for found in walk(info, options.limit):
        listed = found.kind == "missing" or known(name, found.kind)
        if not (listed and options.new) and (options.each or found.kind not in seen):
            print(f"{name} [{found.kind}] {found.where} {found.text}", flush=True)
        seen[found.kind] = listed
    counts["ops"] += 1
    if "missing" in seen:
        counts["absent"] += 1
    else:
        counts["the same" if not seen else "different for a reason" if all(seen.values()) else "different"] += 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--each", action="store_true")
    parser.add_argument("--new", action="store_true")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    counts: Counter[str] = Counter()
    slow = []
    for info in records():
        name = full_name(info)
        if options.names and not any(name == n or name.startswith(n + ".") for n in options.names):
            continue
        started = time.perf_counter()
        look(info, options, counts)
        slow.append((time.perf_counter() - started, name))
    print("slowest:", ", ".join(f"{name} {seconds:.1f} s" for seconds, name in sorted(slow)[-8:]))
    counts.update(compared)
    print(", ".join(f"{key} {n}" for key, n in counts.items()))
    if options.keep:
        COUNTS.write_text(json.dumps(counts, indent=1) + "\n")
    return int(counts["different"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
