"""Instructions that helix's own module runs for one call, counted by callgrind: the cost of dispatch as a figure that neither the
clock nor the neighbours move.

    python -m asv_benchmarks.instructions            # count, beside the kept table
    python -m asv_benchmarks.instructions --keep     # and keep what was counted

Only instructions inside the compiled module count, not the interpreter's. They depend on the compiler and on nothing else, so the
table names it. callgrind offers processors no further than AVX2: kernels are those of that set.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("instructions.json")
WARM, REPEATS = 6, 8


def calls() -> dict[str, Callable[[], Any]]:
    """What is counted, by name."""
    import helix

    a, b, c, matrix = helix.ones(8), helix.ones(8), helix.ones(8), helix.ones(4, 4)
    leaf, factor = helix.ones(1, requires_grad=True), helix.full((1,), 1.01)
    linear = helix.nn.Linear(4, 4).requires_grad_(False)

    def forward_and_backward() -> None:
        leaf.grad = None
        y = leaf
        for _ in range(25):
            y = y * factor + factor
        y.backward()

    return {
        "add(8)": lambda: a + b,
        "add(8), one side a number": lambda: a + 1.0,
        "add(8), in place": lambda: a.add_(b),
        "add(8), out=": lambda: helix.add(a, b, out=c),
        "add(1), recorded": lambda: leaf + factor,
        "50 products and sums, forward and backward": forward_and_backward,
        "sum(8)": lambda: a.sum(),
        "reshape": lambda: a.reshape(2, 4),
        "slice": lambda: a[2:6],
        "transpose": lambda: matrix.T,
        "matmul 4x4": lambda: matrix @ matrix,
        "Linear(4, 4)": lambda: linear(matrix),
        "item": lambda: leaf.item(),
    }


def work() -> None:
    """Runs under callgrind, which writes a file at every getppid: each second one is a call's."""
    for call in calls().values():
        for _ in range(WARM):
            call()
        os.getppid()
        for _ in range(REPEATS):
            call()
        os.getppid()


def in_module(report: str, module: str) -> int:
    """The instructions of one object in a callgrind file: self costs only. Lines after `calls=` are what a call cost."""
    names: dict[str, str] = {}
    total, inside, called = 0, False, False
    for line in report.splitlines():
        if match := re.match(r"c?ob=(\(\d+\))(?: (.*))?", line):
            names.setdefault(match[1], match[2] or "")
            if not line.startswith("c"):
                inside = names[match[1]] == module
        elif line.startswith("calls="):
            called = True
        elif match := re.match(r"[+\-*\d]\S* (\d+)$", line):
            total += int(match[1]) if inside and not called else 0
            called = False
    return total


def compiler(module: Path) -> str:
    """As the compiler wrote it into the module."""
    found = re.search(rb"GCC: \([^)]*\) [\d.]+|clang version [\d.]+", module.read_bytes())
    return found[0].decode() if found else "unknown"


def parts(folder: Path) -> Iterator[str]:
    """Files in the order of their numbers, without the start and what lies between calls."""
    numbered = sorted(folder.glob("out.*"), key=lambda p: int(p.suffix[1:]))
    return (path.read_text() for path in numbered[1::2])


def count() -> dict[str, Any]:
    import helix

    module = Path(str(helix._core.__file__)).resolve()
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", "--dump-before=getppid", f"--callgrind-out-file={folder}/out"]
        paths = [str(Path(file).resolve().parents[1]) for file in (__file__, helix.__file__)]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONHASHSEED": "0",
            "HELIX_NUM_THREADS": "1",
        }
        subprocess.run(
            [*command, sys.executable, "-S", "-m", "asv_benchmarks.instructions", "--work"],
            check=True,
            capture_output=True,
            env=environment,
            cwd=folder,
        )
        totals = [in_module(report, str(module)) / REPEATS for report in parts(Path(folder))]
    return {"compiler": compiler(module), "calls": dict(zip(calls(), map(round, totals), strict=True))}


def available() -> bool:
    return shutil.which("valgrind") is not None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m asv_benchmarks.instructions", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="write the table that the test compares with")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work()
        return
    if not available():
        sys.exit("valgrind is not installed: apt-get install valgrind")
    found = count()
    kept = json.loads(TABLE.read_text()) if TABLE.exists() else {"calls": {}}
    for name, instructions in found["calls"].items():
        before = kept["calls"].get(name)
        print(f"{name:45s} {instructions:7d}" + (f"  {instructions / before - 1:+.1%}" if before else ""))
    if options.keep:
        TABLE.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
