"""profile: where the time, the operations and the memory of a training step go."""

from __future__ import annotations

from pathlib import Path

import click

from .output import changes, common, give


@click.command()
@click.argument("source", metavar="CONFIG.toml|DATA|RUN")
@click.option("--steps", default=5, show_default=True, type=click.IntRange(1), help="Training steps that are watched.")
@click.option("--skip", default=3, show_default=True, type=click.IntRange(0), help="Steps before them, which warm up.")
@click.option("--by", default="module", show_default=True, type=click.Choice(["module", "line", "op"]), help="Rows.")
@click.option("--rows", default=20, show_default=True, type=click.IntRange(1), help="Rows of the table.")
@click.option("--trace", type=click.Path(dir_okay=False), help="File for the trace; by default trace.json of a run.")
@changes
@common
def profile(
    source: str,
    steps: int,
    skip: int,
    by: str,
    rows: int,
    trace: str | None,
    changes: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Watch some training steps: a table of time, FLOPs and memory, a trace for a browser, and a section of a run's report.

    The steps are taken by a copy of the model: a run's checkpoints stay as they are."""
    from ..train import Run, profiling
    from ..train import config as configuration

    folder = Path(source)
    run = Run(folder) if (folder / "config.toml").exists() else None
    config = run.config if run is not None else configuration.of_source(source, changes)
    if run is not None and changes:
        raise click.BadParameter("a run has the configuration that it was trained with", param_hint="--set")
    found = profiling.profile_config(config, steps, skip, run.model if run is not None else None)
    told = []
    if run is not None:
        profiling.write(found, steps, folder)
        told = [str(folder / profiling.TRACE)]
        told += [str(folder / "report.html")] if profiling.into_report(folder) else []
    if trace is not None:
        found.export_chrome_trace(trace)
        told.append(trace)
    lines = [found.table(by, rows), f"{steps} steps" + (f"; written: {', '.join(told)}" if told else "")]
    give({**profiling.numbers(found, steps), "written": told}, "\n".join(lines), as_json)


commands = {"profile": profile}
