"""python -m tests.fuzz: random op calls until every op has its valid ones, on every instruction set the processor has.

Two processes at a time. Under the sanitizers (make fuzz) a planted overrun must be reported first, in each set. Ends with
status 1 on a report, a crash, a foreign exception, or when fewer than 95 % of the ops got their valid calls.

    python -m tests.fuzz --replay build/fuzz/0/example.json
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import helix

from .calls import SAMPLES_OF, Count

FOLDER = Path("build/fuzz")
SHARES = ("avx512", "avx512", "avx2", "scalar")  # a job each
BAR = 0.95


@dataclass
class Job:
    folder: Path
    isa: str
    arguments: list[str]
    status: int = 0
    output: str = ""

    def run(self) -> Job:
        self.status, self.output = run_python("tests.fuzz.campaign", self.isa, str(self.folder), *self.arguments)
        return self

    def finding(self) -> str:
        def note(name: str) -> str:
            file = self.folder / name
            return file.read_text().strip() if file.exists() else ""

        return (
            f"{self.output[-6000:]}\nFINDING: status {self.status} on {self.isa} in\n    {note('call.txt')}\n"
            f"again: python tools/sanitized.py -m tests.fuzz --replay {self.folder}/example.json"
        )


def run_python(module: str, isa: str, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, "HELIX_CPU_ISA": isa},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    return done.returncode, done.stdout


def sanitized() -> bool:
    return b"__asan_init" in Path(helix._core.__file__).read_bytes()


def usable_sets() -> list[str]:
    """Those of SHARES that this build and this processor have; a set that they lack falls to another."""
    return [isa for isa in SHARES if run_python("tests.fuzz.planted", isa, "isa")[1].strip() == isa]


def control(isa: str) -> str | None:
    """The sanitizer must see a kernel of this set run over the end of its input."""
    status, output = run_python("tests.fuzz.planted", isa, "overrun")
    seen = status != 0 and "heap-buffer-overflow" in output and "/_core/cpu/" in output
    return None if seen else f"a planted overrun in {isa} was not reported (status {status})\n{output[-2000:]}"


def plan(isas: Sequence[str], first: int, valid: int, calls: int) -> list[Job]:
    def share(total: int) -> str:
        return str(-(-total // len(isas)))

    return [
        Job(FOLDER / str(i), isa, ["--seed", str(first + i), "--valid", share(valid), "--calls", share(calls)])
        for i, isa in enumerate(isas)
    ]


def summary(count: Count, by_isa: Counter[str], findings: int, valid: int, seconds: float) -> str:
    calls, good = count.calls.total(), count.valid.total()
    enough = sum(count.valid[op] >= valid for op in SAMPLES_OF)
    sets = ", ".join(f"{isa} {n:,}" for isa, n in by_isa.items())
    return (
        f"{calls:,} calls ({sets}), {good:,} valid ({good / max(calls, 1):.0%}); {enough} of {len(SAMPLES_OF)} ops "
        f"({enough / len(SAMPLES_OF):.1%}) with {valid} valid calls or more; {findings} reports"
        f"{'' if sanitized() else ' (a build without sanitizers)'}; {seconds:.0f} s"
    )


def table(count: Count, ops: Sequence[str]) -> str:
    rows = [f"{'op':28} {'calls':>8} {'valid':>8}  most often refused for"]
    for op in ops:
        reasons = count.refused[op].most_common(1)
        rows.append(f"{op:28} {count.calls[op]:8} {count.valid[op]:8}  {reasons[0][0] if reasons else ''}")
    return "\n".join(rows)


def controls(isas: Sequence[str]) -> list[str]:
    return [fault for isa in dict.fromkeys(isas) if sanitized() and (fault := control(isa))]


def campaign(isas: Sequence[str], first: int, valid: int, calls: int, processes: int) -> int:
    start, count, by_isa = time.monotonic(), Count(), Counter[str]()
    findings: list[str] = []
    print(f"seed {first}; {', '.join(isas)}, {processes} at a time", flush=True)
    with ThreadPoolExecutor(processes) as pool:
        for job in pool.map(Job.run, plan(isas, first, valid, calls)):
            if job.status:
                findings.append(job.finding())
            else:
                counted = json.loads((job.folder / "count.json").read_text())
                count.merge(counted)
                by_isa[counted["isa"]] += sum(counted["calls"].values())
    (FOLDER / "table.txt").write_text(table(count, sorted(SAMPLES_OF)) + "\n")
    short = sorted(op for op in SAMPLES_OF if count.valid[op] < valid)
    if short and not findings:
        print(table(count, short))
    print("\n".join(findings))
    print(summary(count, by_isa, len(findings), valid, time.monotonic() - start))
    return int(bool(findings) or len(short) > (1 - BAR) * len(SAMPLES_OF))


def replay(file: Path) -> int:
    job = Job(FOLDER / "replay", json.loads(file.read_text())["isa"], ["--replay", str(file)]).run()
    print(job.finding() if job.status else "no finding")
    return int(job.status != 0)


def main() -> None:
    parser = argparse.ArgumentParser(description="random op calls")
    parser.add_argument("--calls", type=int, default=50_000, help="in all, at least")
    parser.add_argument("--valid", type=int, default=500, help="for each op")
    parser.add_argument("--seed", type=int, default=None, help="a fixed seed, for a run that can be repeated")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--replay", type=Path, default=None, help="the example of a finding")
    options = parser.parse_args()
    if options.replay:
        sys.exit(replay(options.replay))
    first = random.getrandbits(32) if options.seed is None else options.seed
    isas = usable_sets()
    if faults := controls(isas):
        sys.exit("\n".join(faults))
    sys.exit(campaign(isas, first, options.valid, options.calls, options.processes))


if __name__ == "__main__":
    main()
