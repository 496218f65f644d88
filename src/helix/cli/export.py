"""export: a model as a file that other runtimes read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .output import common, give
from .sources import HELP, SOURCE, Source, opened, to_write, users_code


@click.command(help=f"A model in the ONNX format, run beside helix before it is written.\n\n    {HELP}")
@click.argument("source", metavar=SOURCE)
@click.option("--to", "form", type=click.Choice(["onnx"]), default="onnx", show_default=True, help="The format.")
@click.option("--spec", "specs", multiple=True, metavar="SHAPE", help="Shape and dtype of an input; again for each.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.onnx", help="File to write.")
@click.option("--opset", type=int, default=20, show_default=True, help="Version of the standard's operators.")
@click.option("--checkpoint", default="auto", metavar="best|newest|STEP", help="Of a run: whose weights.")
@click.option("--external-data", is_flag=True, help="Weights in a file beside the model, as from 1.9 GB on.")
@click.option("--no-check", is_flag=True, help="Write it without running it.")
@common
def export(
    source: str,
    form: str,
    specs: tuple[str, ...],
    out: Path | None,
    opset: int,
    checkpoint: str,
    external_data: bool,
    no_check: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    from ..onnx import export as write

    run = (Path(source) / "config.toml").exists()
    found = _of_run(source, specs, checkpoint) if run else opened(source, specs)
    target = out or (Path(source) / "model.onnx" if run else Path(f"{found.name}.onnx"))
    args: Any = None if found.graph is not None else found.specs
    with users_code(f"{found.name!r} cannot be exported"):
        done = write(
            found.model if found.graph is None else found.graph,
            to_write(target),
            args,
            opset=opset,
            check=not no_check,
            external_data=external_data or None,
        )
    told = {
        "out": str(done.path),
        "nodes": done.nodes,
        "opset": done.opset,
        "inputs": done.inputs,
        "outputs": done.outputs,
        "checked": done.checked,
        "error": done.error,
    }
    give(told, str(done), as_json)


def _of_run(source: str, specs: tuple[str, ...], checkpoint: str) -> Source:
    """A run's model, with the weights of a checkpoint."""
    from .. import float32, int64
    from ..graph import Dim, Spec
    from ..train import Run
    from .sources import spec_of

    run = Run(source, checkpoint)
    spec = Spec((Dim("B"), *run.info.input_shape), int64 if run.info.vocabulary else float32)
    return Source(run.path.name, model=run.model, specs=tuple(map(spec_of, specs)) or (spec,), task=run.info.task)


commands = {"export": export}
