"""What the kit says at the end: a table, a file, a badge, and how much of the op set the device has."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any
from xml.sax.saxutils import escape

import helix

from .case import Result, Target
from .samples import records

STATES = ("pass", "fail", "unsupported", "expected-fail")


def counts(results: list[Result]) -> dict[str, Counter]:
    """How many cases of each stage came out how."""
    found: dict[str, Counter] = {}
    for result in results:
        found.setdefault(result.title.partition("/")[0], Counter())[result.state] += 1
    return found


def coverage(results: list[Result], claims: set[str], target: Target) -> dict[str, Any]:
    """Ops that the device runs: all cases that have something to compare with, in some dtype."""
    rendered = _templates(target)
    runs = {r.op for r in results if r.op and r.state == "pass"}
    primitives = {op for op, record in records().items() if "primitive" in record["flags"]}
    tried = {r.op for r in results if r.op} & primitives
    composites = set(records()) - primitives
    fallback = helix.backends.fallback_stats().get(target.name, {})
    return {
        "primitives": len(primitives), "primitives_run": len(primitives & runs), "primitives_tried": len(tried),
        "composites_native": len(composites & claims), "composites_rendered": len((composites & rendered) - claims),
        "composites": len(composites), "fallback": sum(calls for calls, _ in fallback.values()),
    }  # fmt: skip


def _templates(target: Target) -> set[str]:
    from helix.kernel.registry import offered

    return set(offered()) if target.facts.get("source_kind") else set()


def sentence(c: dict[str, Any]) -> str:
    return (
        f"primitives {c['primitives_run']}/{c['primitives']} native or rendered, composites {c['composites_native']} "
        f"native and {c['composites_rendered']} rendered of {c['composites']}, fallback {c['fallback']}"
    )


def document(target: Target, results: list[Result], covered: dict[str, Any], seconds: float) -> dict[str, Any]:
    return {
        "helix": helix.__version__,
        "device": target.name,
        "profile": target.profile,
        "facts": {k: v for k, v in (target.facts if covered else {}).items() if isinstance(v, str | int | bool)},
        "stages": {stage: dict(found) for stage, found in counts(results).items()},
        "coverage": covered,
        "seconds": round(seconds, 2),
        "results": [result.record() for result in results],
    }


def write_json(path: str, made: dict[str, Any]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump(made, file, indent=1)


def write_badge(path: str, made: dict[str, Any]) -> None:
    """A small picture for a README."""
    total: Counter = Counter()
    for found in made["stages"].values():
        total.update(found)
    failed = total["fail"]
    text = f"{failed} failed" if failed else f"{made['profile']} {total['pass']} passed"
    colour = "#c0392b" if failed else "#2e8b57"
    left, right = "helix conformance", escape(text)
    widths = [8 + 6.4 * len(left), 12 + 6.4 * len(text)]
    with open(path, "w", encoding="utf-8") as file:
        file.write(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{sum(widths):.0f}" height="20" '
            f'font-family="sans-serif" font-size="11" fill="#fff"><title>{left}: {right}</title>'
            f'<rect width="{widths[0]:.0f}" height="20" fill="#555"/>'
            f'<rect x="{widths[0]:.0f}" width="{widths[1]:.0f}" height="20" fill="{colour}"/>'
            f'<text x="5" y="14">{left}</text><text x="{widths[0] + 6:.0f}" y="14">{right}</text></svg>\n'
        )


def show(made: dict[str, Any], results: list[Result], console: Any) -> None:
    from rich.table import Table

    table = Table(title=f"{made['device']}, profile {made['profile']}, {made['seconds']:.1f} s")
    table.add_column("stage")
    for state in STATES:
        table.add_column(state, justify="right")
    for stage, found in made["stages"].items():
        table.add_row(stage, *(str(found.get(state, 0)) for state in STATES))
    for result in [r for r in results if r.state == "fail"][:40]:
        console.print(f"fail  {result.title}: {result.text}", markup=False, highlight=False, soft_wrap=True)
    for result in [r for r in results if r.title.startswith("perf/") and r.text]:
        console.print(f"{result.title}: {result.text}", markup=False, highlight=False)
    console.print(table)
    if made["coverage"]:
        console.print(sentence(made["coverage"]), markup=False, highlight=False, soft_wrap=True)
