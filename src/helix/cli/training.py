"""train, resume, eval, predict."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import click

from .output import changes, common, give


def _progress(as_json: bool, quiet: bool) -> str:
    return "none" if quiet else "lines" if as_json else "auto"


@click.command()
@click.argument("source", metavar="CONFIG.toml|DATA")
@click.option("--compile", "compiled", is_flag=True, help="Forward and backward as planned lists of kernels.")
@changes
@common
def train(source: str, changes: tuple[str, ...], compiled: bool, as_json: bool, quiet: bool) -> None:
    """Train by a configuration file, or on data with everything chosen."""
    from ..train import config as configuration
    from ..train import start

    changes += ("train.compile=true",) if compiled else ()
    _tell(start(configuration.of_source(source, changes), progress=_progress(as_json, quiet)), as_json)


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False))
@common
def resume(run: str, as_json: bool, quiet: bool) -> None:
    """Go on with a run from its newest good checkpoint; the result is as if it had never stopped."""
    from ..train import resume as go_on

    warnings.showwarning = lambda message, *_: click.echo(str(message), err=True)
    _tell(go_on(run, progress=_progress(as_json, quiet)), as_json)


def _tell(run, as_json: bool) -> None:
    summary = run.summary
    numbers = {name: "not finite" if value is None else f"{value:.4f}" for name, value in summary["test"].items()}
    test = "  ".join(f"test {name} {value}" for name, value in numbers.items())
    lines = [
        f"{test}   ({summary['steps']} steps, {summary['seconds']:.1f} s)",
        f"in {run.path}: checkpoints/{summary['checkpoint']}, "
        + ", ".join(
            name
            for name in ("metrics.jsonl", "curve.svg", "confusion.svg", "sample.txt", "summary.json", "report.html")
            if (run.path / name).exists()
        ),
    ]
    if "sample" in summary:
        lines = ["", summary["sample"], "", *lines]
    give({"run": str(run.path), **summary}, "\n".join(lines), as_json)


def _which(function: Callable) -> Callable:
    return click.option(
        "--checkpoint",
        default="auto",
        metavar="best|newest|STEP",
        help="Whose weights; by default the best epoch's where one is tracked, else the newest.",
    )(function)


def _opened(run: str, checkpoint: str, quiet: bool):
    """The run; says which of its checkpoints is used."""
    from ..train import Run
    from ..train.checkpoint import told

    warnings.showwarning = lambda message, *_: click.echo(str(message), err=True)
    opened = Run(run, checkpoint)
    path = opened.checkpoint
    if not quiet:
        click.echo(told(path), err=True)
    return opened


@click.command("eval")
@click.argument("run", type=click.Path(exists=True, file_okay=False))
@click.option("--data", help="Other data than the run's own test samples.")
@_which
@common
def evaluate(run: str, data: str | None, checkpoint: str, as_json: bool, quiet: bool) -> None:
    """Loss and metrics of a run's best checkpoint, or of another."""
    opened = _opened(run, checkpoint, quiet)
    values = opened.evaluate(data)
    text = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
    give({"checkpoint": opened.checkpoint.name, **values}, text, as_json)


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False))
@click.argument("inputs", nargs=-1, required=True, metavar="FILE|TEXT...")
@click.option("--count", default=200, show_default=True, help="Bytes a language model writes.")
@click.option("--temperature", type=float, help="Of a language model; 0 takes the likeliest byte.")
@_which
@common
def predict(
    run: str,
    inputs: tuple[str, ...],
    count: int,
    temperature: float | None,
    checkpoint: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """What a run's model says of image files, .csv and .npy files, texts or .txt files, or the beginning of a text."""
    opened = _opened(run, checkpoint, quiet)
    results: list[dict[str, Any]] = []
    for given in inputs:
        answer = opened.predict(
            given, **({"count": count, "temperature": temperature} if opened.info.task == "language" else {})
        )
        if isinstance(answer, bytes):
            results.append({"input": given, "text": answer.decode("utf-8", "replace")})
        else:
            results += [{"input": given, **row} for row in answer]
    give(results, "\n".join(_line(row) for row in results), as_json)


def _line(row: dict[str, Any]) -> str:
    if "text" in row:
        return row["input"] + row["text"]
    if "label" in row:
        return f"{row['input']}  {row['label']} {row['probability']:.2f}"
    return f"{row['input']}  {row['value']}"


commands = {"train": train, "resume": resume, "eval": evaluate, "predict": predict}
