"""`python -m tests.parity [name ...]`: every sample of every op, or of those whose names begin so, and counts.

--limit N takes N samples for each dtype; --each prints every difference, not the first of each kind.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

import torch

from .differences import KNOWN
from .ops import full_name, records
from .walk import walk


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--each", action="store_true")
    parser.add_argument("--new", action="store_true", help="leave out known differences")
    options = parser.parse_args()
    torch.set_num_threads(1)
    counts: Counter[str] = Counter()
    slow = []
    for info in records():
        name = full_name(info)
        if options.names and not any(name == n or name.startswith(n + ".") for n in options.names):
            continue
        started = time.perf_counter()
        seen: dict[str, str] = {}
        for found in walk(info, options.limit):
            if found.kind in KNOWN.get(name, ()) and options.new:
                continue
            if options.each or found.kind not in seen:
                print(f"{name} [{found.kind}] {found.where} {found.text}", flush=True)
            seen[found.kind] = found.text
        slow.append((time.perf_counter() - started, name))
        counts["ops"] += 1
        counts["same"] += not seen
        counts.update(list(seen))
    print("slowest:", ", ".join(f"{name} {seconds:.1f} s" for seconds, name in sorted(slow)[-8:]))
    print(", ".join(f"{key} {n}" for key, n in counts.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
