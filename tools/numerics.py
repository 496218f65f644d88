"""Measures functions, sums and products on every instruction set of this machine and writes the tables in docs/numerics.md.

--exhaustive writes the table of all float32 arguments instead, from what `python -m tests.numerics.unary` has walked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "numerics.md"
BEGIN, END = "<!-- made by tools/numerics.py -->\n", "<!-- end -->\n"
EXHAUSTIVE = "<!-- every argument, made by tools/numerics.py --exhaustive -->\n"
SUMS = "<!-- sums, made by tools/numerics.py -->\n"


def isa_for(wanted: str) -> str:
    """The set that is used when this one is asked for: another one where the machine lacks it."""
    return _python(wanted, "-c", "from helix._core import cpu_isa; print(cpu_isa())").strip()


def _python(isa: str, *arguments: str) -> str:
    env = {**os.environ, "HELIX_CPU_ISA": isa}
    return subprocess.check_output([sys.executable, *arguments], env=env, cwd=ROOT, text=True)


def table(isas: list[str]) -> str:
    found = {isa: json.loads(_python(isa, "-m", "tests.ops.accuracy")) for isa in isas}
    lines = [f"| function | type | {' | '.join(isas)} |", f"|---|---|{'---|' * len(isas)}"]
    for dtype, functions in found[isas[0]].items():
        lines += [
            f"| {name} | {dtype} | {' | '.join(f'{found[isa][dtype][name]:.1f}' for isa in isas)} |"
            for name in functions
        ]
    return "\n".join(lines) + "\n"


def table_of_sums(isas: list[str]) -> str:
    found = {isa: json.loads(_python(isa, "-m", "tests.numerics.sums")) for isa in isas}
    lines = [f"| what | {' | '.join(isas)} | bound |", f"|---|{'---|' * len(isas)}---|"]
    for name, (_, bound) in found[isas[0]].items():
        lines.append(f"| {name} | {' | '.join(f'{found[isa][name][0]:.2g}' for isa in isas)} | {bound:g} |")
    return "\n".join(lines) + "\n"


def table_of_every_argument() -> str:
    """Of each function and instruction set whose blocks were all walked."""
    sys.path.insert(0, str(ROOT))
    from tests.numerics import unary

    lines = ["| function | set | largest error | at | bound |", "|---|---|---|---|---|"]
    for name, function in unary.FUNCTIONS.items():
        for file in sorted((ROOT / unary.KEPT).glob(f"{name}-*-1.json")):
            blocks = json.loads(file.read_text())
            if len(blocks) < unary.BLOCKS:
                continue
            found = unary.Found()
            for block in blocks.values():
                found.add(unary.Found(**block))
            if found.wrong:
                raise SystemExit(f"{name}: {found.wrong} results of another kind, first at {found.wrong_at:#010x}")
            at = np.array([found.at], np.uint32).view(np.float32)[0]
            lines.append(f"| {name} | {file.stem.split('-')[1]} | {found.worst:.3f} | {at!s} | {function.bound:g} |")
    return "\n".join(lines) + "\n"


def replaced(page: str, begin: str, made: str) -> str:
    before, rest = page.split(begin)
    return before + begin + made + END + rest.split(END, 1)[1]


def main() -> None:
    if sys.argv[1:] == ["--exhaustive"]:
        PAGE.write_text(replaced(PAGE.read_text(), EXHAUSTIVE, table_of_every_argument()))
        return
    isas = [isa for isa in ("scalar", "avx2", "avx512", "neon") if isa_for(isa) == isa]
    page = replaced(PAGE.read_text(), BEGIN, table(isas))
    PAGE.write_text(replaced(page, SUMS, table_of_sums(isas)))


if __name__ == "__main__":
    main()
