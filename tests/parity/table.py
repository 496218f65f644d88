"""`python -m tests.parity.table` writes docs/torch-ops.md: every op that torch documents, and what helix has of it."""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch

import helix

from . import probe
from .__main__ import COUNTS
from .names import MODULES, counterpart, names_of, reason
from .probe import info_of, infos

PAGE = Path(__file__).resolve().parents[2] / "docs" / "torch-ops.md"
HEAD = """# torch's ops

What torch documents as functions and methods of tensors, and what helix has of it: same name, keywords, result dtypes and
gradients, held to torch's by `tests/parity`. Written by `make torch-table`, which calls every op on samples of torch's.

- **present**: helix has it, or the reason why not.
- **gradient**, **second**: gradients and gradients of gradients were computed on a sample; `zero` where the second is.
  Empty where torch has none either, or no sample.
- **dtypes** in which a sample of torch's was taken: `b` bool, `int` all integers, `float` float16 to float64, `complex` both.
  Empty where torch has no sample.

"""
COLUMNS = "| op | present | gradient | second | dtypes |\n|---|---|---|---|---|\n"


found: dict[tuple[str, str], tuple[str, str, str]] = {}  # what several processes probed beforehand


def probe_all(processes: int) -> None:
    keys = list({id(info): key for key, info in reversed(infos().items())}.values())  # the first key of each
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        found.update(zip(keys, pool.map(probe.abilities, keys, chunksize=8), strict=True))


def row(module: str, name: str) -> str:
    if counterpart(module, name) is None:
        return f"| `{name}` | no: {reason(name) or 'not built yet'} | | | |\n"
    info = info_of(module, name)
    key = next((k for k, v in infos().items() if v is info), None)
    gradient, second, dtypes = found.get(key) or probe.abilities(key) if key else ("", "", "")
    return f"| `{name}` | yes | {gradient} | {second} | {dtypes} |\n".replace("|  |", "| |").replace("|  |", "| |")


def counts(module: str) -> Counter[str]:
    """How many names are there, absent for a reason, and missing."""
    found: Counter[str] = Counter()
    for name in names_of(module):
        there = counterpart(module, name) is not None
        found["present" if there else "absent" if reason(name) else "missing"] += 1
    return found


def summary() -> Iterator[str]:
    yield "| module | documented | present | of those that apply | absent for a reason | missing |\n|---|---|---|---|---|---|\n"
    for module in MODULES:
        n = counts(module)
        whole = n["present"] + n["absent"] + n["missing"]
        share = 100 * n["present"] / (n["present"] + n["missing"])
        yield f"| `{module}` | {whole} | {n['present']} | {share:.1f} % | {n['absent']} | {n['missing']} |\n"


def whole_walk() -> str:
    """What `make torch-parity` counted last."""
    n = Counter(json.loads(COUNTS.read_text()))
    return (
        f"\n`make torch-parity` walks all samples of torch's {n['ops']} records of ops: {n['samples']:,} calls with their "
        f"gradients, forms in place and `out=`, and {n['refusals']:,} calls that torch refuses. {n['the same']} ops do the "
        f"same in all of them, {n['different for a reason']} otherwise in what `tests/parity/differences.py` lists with its "
        f"reason, {n['different']} otherwise without one; {n['absent']} are helix's to leave out (parts of torch's own kernels, "
        "float8, half complex numbers).\n"
    )


def sections() -> Iterator[str]:
    for module in MODULES:
        yield f"\n## {module}\n\n{COLUMNS}"
        yield from (row(module, name) for name in names_of(module))


def page() -> str:
    return HEAD + "".join(summary()) + whole_walk() + "".join(sections())


def main() -> None:
    torch.set_num_threads(1)
    helix.set_num_threads(1)
    probe_all(int(sys.argv[1]) if sys.argv[1:] else 2)
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
