"""The reference backend in C, each time wrong in one place, and what the kit says to it.

    HELIX_BACKEND_PATH=... python -m tests.testing.mutants < numbers.json

runs the kit on some of them in a process of its own, as backends stay registered.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import helix

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "plugins" / "helix-backend-reference" / "src" / "helix_backend_reference" / "backend.c"


class Mutant(NamedTuple):
    name: str
    old: str  # stands once in the source
    new: str
    caught_by: str  # title of a case that must fail


MUTANTS = [
    Mutant("no name", '"plain loops in C"', '""', "t0_abi/tells_what_it_is"),
    Mutant(
        "names by prefix", "!strcmp(OPS[i].name, name)", "!strncmp(OPS[i].name, name, strlen(OPS[i].name))",
        "t0_abi/keeps_names_of_ops_apart",
    ),
    Mutant("a dtype that is none", "support->dtypes = 1u << HX_F32", "support->dtypes = 1u << 20", "t0_abi/claims_dtypes_that_exist"),
    Mutant("offset of the source", "+ c->src_offset", "", "t1_memory/offsets_of_copies_out"),
    Mutant("offset of the target", "+ c->dst_offset", "", "t1_memory/offsets_of_copies_in"),
    Mutant("pitch", "row * c->dst_pitch", "row * c->nbytes", "t1_memory/copies_of_rows"),
    Mutant("whole words", "memmove(to, from, (size_t)c->nbytes)", "memmove(to, from, (size_t)c->nbytes / 4 * 4)", "t1_memory/round_trips"),
    Mutant("nothing is freed", "free((void *)(uintptr_t)mem->handle)", "(void)mem", "t1_memory/gives_memory_back"),
    Mutant("alpha", "alpha * *at", "*at", "t3_primitives/add/3/float32/contiguous"),
    Mutant("axes aligned at the start", "index[rank - v->ndim + d]", "index[d]", "t3_primitives/add/2/float32/contiguous"),
    Mutant("offset of a view", " + v->byte_offset", "", "t3_primitives/neg/float32/offset"),
    Mutant("broadcast axes", "if (v->shape[d] > 1) ", "", "t3_primitives/mul/2/float32/contiguous"),
    Mutant("a loose function", "expf(a)", "expf(a) * 1.00001f", "t3_primitives/exp/float32/contiguous"),
    Mutant("where a sum begins", "double total = 0;\n        int64_t from", "double total = 1;\n        int64_t from", "t3_primitives/sum/2/float32/contiguous"),
    Mutant("where a product ends", "k < depth;", "k < depth - 1;", "t3_primitives/matmul/1/float32/contiguous"),
    Mutant("a mode that is not there", 'attr->count == 4 && !memcmp(attr->v.str, "none", 4)', "1", "t3_primitives/div/4/float32/contiguous"),
    Mutant("unknown attributes", "known[-1] != ' ')) return 0;", "known[-1] != ' ')) return 1;", "t4_native/add/unknown attribute"),
    Mutant("NaN", "a < 0 ? 0 : a", "a > 0 ? a : 0", "t4_native/relu/special/float32/contiguous"),
    Mutant("the input is written", "*at(out, index, out->ndim) = f(", "*at(out, index, out->ndim) = f(*at(a, index, out->ndim) -= 0.5f, 1), f(", "t4_native/relu/float32/contiguous"),
    Mutant("given results with gaps", "*at(out, index, out->ndim) = f(", "*(out->ndim == 2 ? first(out) + index[1] + out->shape[1] * index[0] : at(out, index, out->ndim)) = f(", "t4_native/relu/in place"),
]  # fmt: skip


def source_of(number: int) -> str:
    """The source under a name of its own."""
    text, mutant = SOURCE.read_text(), MUTANTS[number]
    assert text.count(mutant.old) == 1, mutant.name
    return text.replace(mutant.old, mutant.new).replace('"reference"', f'"mutant{number}"')


def compile_all(folder: Path) -> None:
    package = Path(helix.__file__).parent
    headers = next(p for p in (package / "include", package / "_core" / "include") if p.is_dir())
    shutil.copy(SOURCE.with_name("backend.h"), folder)
    started = []
    for number in range(len(MUTANTS)):
        file = folder / f"mutant{number}.c"
        file.write_text(source_of(number))
        flags = ["-std=c99", "-w", "-O0", "-shared", "-fPIC", f"-I{headers}", "-o", str(file.with_suffix(".so"))]
        started.append(subprocess.Popen(["cc", *flags, str(file), "-lm"]))
    assert not any(process.wait() for process in started)


def results(folder: Path, numbers: list[int]) -> list[dict[str, str]]:
    """For each of at most 14 mutants the cases that fail and what is said to them."""
    libraries = os.pathsep.join(str(folder / f"mutant{n}.so") for n in numbers)
    paths = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    ran = subprocess.run(
        [sys.executable, "-m", "tests.testing.mutants"],
        input=json.dumps(numbers),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": paths,
            "HELIX_BACKEND_PATH": libraries,
            "HELIX_CACHE_DIR": str(folder / "cache"),
        },
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def main() -> None:
    from helix.testing import conformance
    from helix.testing.case import Target

    answers = []
    for number in json.load(sys.stdin):
        stage, _, case = MUTANTS[number].caught_by.partition("/")
        only = f"{stage}/{case.partition('/')[0]}" if stage > "t2" else f"{stage}/{case}"
        found = conformance.run(Target(f"mutant{number}:0"), (stage,), only)
        answers.append({r.title: r.text for r in found if r.state == "fail"})
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
