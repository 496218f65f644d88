"""Profiled: some steps of a training watched by the profiler, told as tables, a trace and a section of the report."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

import msgspec

from ..errors import ConfigError
from ..profiler import Profile, profile
from . import page
from .callback import Callback
from .config import Config
from .files import write_text

HEADING = "Profile"
TRACE, NUMBERS = "trace.json", "profile.json"
ROWS = 12


class Profiled(Callback):
    """Watches `steps` steps after the first `skip`, which warm up; `result` is a `helix.profiler.Profile`.

    In a run folder it leaves `trace.json`, for chrome://tracing or ui.perfetto.dev, `profile.json` and a section of the report.
    """

    def __init__(self, steps: int = 5, skip: int = 3) -> None:
        if steps < 1 or skip < 0:
            raise ValueError(f"Profiled: at least one step after no fewer than 0, got steps={steps}, skip={skip}")
        self.steps, self.skip = steps, skip
        self.result: Profile | None = None
        self._watch: profile | None = None
        self._seen = 0

    def on_start(self, trainer, session, values: dict[str, Any]) -> None:
        self._seen = 0
        self._begin()

    def on_step(self, trainer, session, values: dict[str, Any]) -> None:
        self._seen += 1
        if self._seen == self.skip + self.steps and self._watch is not None:
            self.close()
            if trainer.folder is not None and self.result is not None:
                write(self.result, self.steps, trainer.folder.path)
        self._begin()

    def _begin(self) -> None:
        if self._seen == self.skip and self._watch is None:
            self._watch = profile()
            self.result = self._watch.__enter__()

    def close(self) -> None:
        if self._watch is not None:
            self._watch.__exit__()
            self._watch = None


def write(result: Profile, steps: int, folder: Path) -> None:
    """The trace and the numbers of a profile, into a folder."""
    result.export_chrome_trace(folder / TRACE)
    write_text(folder / NUMBERS, json.dumps(numbers(result, steps), indent=1) + "\n")


def numbers(result: Profile, steps: int) -> dict[str, Any]:
    """What `profile.json` holds: sums over all steps by module, line and op, the longest time first."""
    sums = {by: [row._asdict() for row in result.by(by)[:ROWS]] for by in ("module", "line", "op")}
    return {
        "format_version": 1,
        "steps": steps,
        "kernels": len(result.kernels),
        "milliseconds": sum(event.nanoseconds for event in result.kernels) / 1e6,
        "flops": result.flops,
        "peak_bytes": result.peak_bytes,
        "joules": result.joules,
        "by": sums,
    }


def section(folder: Path) -> str:
    """The profile of a run as a part of its page; nothing where there is none."""
    try:
        found = json.loads((folder / NUMBERS).read_bytes())
        total = found["milliseconds"] or 1.0
        told = {
            "steps watched": found["steps"],
            "kernels": found["kernels"],
            "milliseconds in kernels": found["milliseconds"],
            "GFLOP": found["flops"] / 1e9,
            "peak of memory, MB": found["peak_bytes"] / 1e6,
        }
        tables = [_table(by, rows, total) for by, rows in found["by"].items()]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return page.table(told) + "\n".join(tables)


def _table(by: str, rows: list[dict[str, Any]], total: float) -> str:
    names = (by, "calls", "ms", "share", "MFLOP", "MB moved", "MB written", "MB kept")
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    lines = []
    for row in rows:
        took = row["nanoseconds"] / 1e6
        shown = [row["calls"], f"{took:.2f}", f"{took / total:.1%}", f"{row['flops'] / 1e6:.2f}"]
        shown += [f"{row[name] / 1e6:.2f}" for name in ("bytes_moved", "bytes_written", "kept")]
        cells = "".join(f"<td class='number'>{value}</td>" for value in shown)
        lines.append(f"<tr><td>{escape(row['name'] or '(outside)')}</td>{cells}</tr>")
    return f"<h3>By {by}</h3><table><tr>{head}</tr>{''.join(lines)}</table>"


# ---- helix profile -----------------------------------------------------------------------------------------


def profile_config(config: Config, steps: int, skip: int, model=None) -> Profile:
    """Some steps of the training that a configuration describes; nothing is written, and a run's weights stay as they are."""
    from ..data import describe
    from . import config as configuration
    from .run import fresh_model, prepared_source, split, trainer_for

    dataset = prepared_source(config)
    training, _ = split(config, dataset)
    settled = configuration.settled(config, len(training))
    count = steps + skip
    short = msgspec.structs.replace(
        settled.train, epochs=count, max_steps=count, tensorboard=False, patience=None, monitor=None
    )
    watched = Profiled(steps, skip)
    model = model if model is not None else fresh_model(settled, describe(dataset))
    trainer = trainer_for(msgspec.structs.replace(settled, train=short), model, None, "none")
    trainer.callbacks = (watched,)
    trainer.fit(training)
    if watched.result is None:
        raise ConfigError("HX3101 profile: the training ended before the steps that were to be watched.")
    return watched.result


def into_report(folder: Path) -> bool:
    """Puts the profile into a run's report, in place of an older one; whether the run has a report."""
    try:
        content = (folder / "report.html").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    write_text(folder / "report.html", page.with_section(content, HEADING, section(folder)))
    return True
