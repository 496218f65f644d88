"""The conformance kit: does a device do what helix relies on?

    python -m helix.testing.conformance mychip --profile train --json report.json

Every case ends as pass, fail, unsupported (the device does not offer it: no shame, but not green either) or
expected-fail (the plugin's own list of known faults, with reasons). The exit code is 0 only when nothing fails.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import helix
from helix.errors import HelixError

from . import isolate, report, stages
from .case import PROFILES, Case, Result, Target, attempt, chosen

KNOWN_FAULTS = "helix.conformance"
"""Entry-point group: name of the device -> a mapping of shell patterns of case titles to reasons."""


def cases_of(stage: str, target: Target, ops_from: str = "") -> Iterator[Case]:
    if stage == "trace":
        from . import replay

        return replay.cases(ops_from)
    return stages.cases(stage, target)


def known_faults(backend: str) -> dict[str, str]:
    from importlib.metadata import entry_points

    found: dict[str, str] = {}
    for entry in entry_points(group=KNOWN_FAULTS, name=backend):
        found.update(entry.load())
    return found


def judged(result: Result, known: dict[str, str]) -> Result:
    """A failure that the plugin knows of is no failure, and is counted as such."""
    reason = next((text for pattern, text in known.items() if fnmatchcase(result.title, pattern)), None)
    if reason and result.state == "fail":
        result.state, result.text = "expected-fail", f"{reason} ({result.text})"
    elif reason and result.state == "pass":
        result.text = f"passes, although the plugin expects a failure: {reason}"
    return result


def run(
    target: Target,
    chosen_stages: tuple[str, ...] | None = None,
    only: str = "",
    isolated: float = 0.0,
    ops_from: str = "",
    known: dict[str, str] | None = None,
) -> Iterator[Result]:
    """The results, one after the other. `isolated`: seconds that a case may take in a process of its own; 0: in this one.

    A stage that cannot even list its cases is one failed case. When t0_abi fails to load the backend, it is the end.
    """
    known = known_faults(target.backend) if known is None else known
    before = helix.set_fallback("error")
    try:
        for stage in chosen_stages or (("trace",) if ops_from else PROFILES[target.profile]):
            for result in _stage(stage, target, only, isolated, ops_from):
                yield judged(result, known)
                if result.title == "t0_abi/loads" and result.state == "fail":
                    return
    finally:
        helix.set_fallback(before)


def _stage(stage: str, target: Target, only: str, isolated: float, ops_from: str) -> Iterator[Result]:
    try:
        listed = list(enumerate(cases_of(stage, target, ops_from)))
    except (HelixError, AssertionError, OSError) as error:
        yield Result(f"{stage}/cases", "fail", str(error))
        return
    wanted = set(chosen((case for _, case in listed), only))
    for index, case in listed:
        if case not in wanted:
            continue
        if isolated and stage != "t0_abi":
            result = isolate.run(target, stage, index, case.title, case.op, isolated, ops_from)
        else:
            result = attempt(case, target)
        if result is not None:
            yield result


def full_name(name: str, index: int | None) -> str:
    kind, _, number = name.partition(":")
    return f"{kind}:{index if index is not None else int(number or 0)}"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("python -m helix.testing.conformance", description=(__doc__ or "").split("\n")[0])
    made.add_argument("name", help="device, as in helix.device(NAME)")
    made.add_argument("--device", type=int, metavar="N", help="which of them; 0 unless the name says it")
    made.add_argument("--profile", choices=sorted(PROFILES), default="core", help="how much is tried")
    made.add_argument("--stage", action="append", choices=sorted(stages.MODULES), help="these alone; may be repeated")
    made.add_argument("--only", default="", metavar="PATTERN", help="cases whose title holds this shell pattern")
    made.add_argument("--json", metavar="FILE", help="all results")
    made.add_argument("--badge", metavar="FILE", help="an SVG for a README")
    made.add_argument("--isolate", action="store_true", help="each case in a process of its own, which may crash")
    made.add_argument("--seconds", type=float, default=60.0, help="time limit of a case with --isolate")
    made.add_argument("--ops-from", default="", metavar="FILE", help="the calls that helix.testing.record_ops wrote")
    return made


def main(arguments: list[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    target = Target(full_name(given.name, given.device), given.profile)
    begun, results = time.perf_counter(), []
    console, progress = _display()
    with progress:
        task = progress.add_task("", total=None)
        for result in run(
            target,
            tuple(given.stage) if given.stage else None,
            given.only,
            given.seconds if given.isolate else 0.0,
            given.ops_from,
        ):
            results.append(result)
            progress.update(task, advance=1, description=result.title)
    made = report.document(target, results, _covered(results, target), time.perf_counter() - begun)
    report.show(made, results, console)
    if given.json:
        report.write_json(given.json, made)
    if given.badge:
        report.write_badge(given.badge, made)
    return int(not results or any(result.state == "fail" for result in results))


def _covered(results: list[Result], target: Target) -> dict[str, Any]:
    from .slots import Slots

    if any(r.title == "t0_abi/loads" and r.state == "fail" for r in results):
        return {}
    try:
        claims = set(Slots(target.name).claims())
    except (HelixError, AssertionError):
        return {}
    return report.coverage(results, claims, target)


def _display() -> tuple[Any, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console()
    columns = (BarColumn(12), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    return console, Progress(*columns, console=Console(stderr=True), transient=True)


if __name__ == "__main__":
    sys.exit(main())
