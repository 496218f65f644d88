"""estimate: memory, operations and bytes of a model before it runs."""

from __future__ import annotations

from typing import Any

import click

from .output import common, give
from .sources import HELP, SOURCE, Source, opened, users_code


@click.command(
    help=f"Memory, operations and bytes moved of a run or, with --optimizer, of a training step, before it runs.\n\n    {HELP}"
)
@click.argument("source", metavar=SOURCE)
@click.option("--spec", "specs", multiple=True, metavar="SHAPE", help="Shape and dtype of an input; again for each.")
@click.option("--batch", type=click.IntRange(1), help="Size of what a spec leaves open.  [default: 1]")
@click.option("--fit", metavar="MEMORY", help="Finds the largest batch that needs no more, such as 8GB.")
@click.option("--optimizer", metavar="NAME", help="A training step is estimated: adamw, sgd, …")
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    default="float32",
    show_default=True,
    help="Of products, under autocast.",
)
@click.option("--checkpoint", is_flag=True, help="Layers that repeat compute forward again in backward.")
@click.option("--time", "measure", is_flag=True, help="The time too, from how fast this machine is now.")
@click.option("--classes", default=10, show_default=True, type=click.IntRange(1), help="Results of a kind of model.")
@common
def estimate(
    source: str,
    specs: tuple[str, ...],
    batch: int | None,
    fit: str | None,
    optimizer: str | None,
    precision: str,
    checkpoint: bool,
    measure: bool,
    classes: int,
    as_json: bool,
    quiet: bool,
) -> None:
    if fit is not None and batch is not None:
        raise click.UsageError("--fit finds the batch; leave --batch out")
    model, given = _model(opened(source, specs, classes))
    options: dict[str, Any] = {"optimizer": optimizer, "precision": precision, "checkpoint": checkpoint}
    with users_code(f"{source!r} cannot be traced on {', '.join(map(str, given))}"):
        _give(model, given, batch, fit, measure, options, as_json)


def _give(model: Any, given: tuple[Any, ...], batch: int | None, fit: str | None, measure: bool, options: dict[str, Any], as_json: bool) -> None:  # fmt: skip
    from ..graph import estimate as estimated
    from ..graph import largest_batch

    if fit is not None:
        batch = largest_batch(model, *given, memory=fit, **options)
        if not batch:
            give({"batch": 0}, f"not one sample fits into {fit}", as_json)
            return
    found = estimated(model, *given, batch=batch or 1, measure=measure, **options)
    give(found.as_dict(), str(found), as_json)


def _model(found: Source) -> tuple[Any, tuple[Any, ...]]:
    """What runs, and on what: a graph's inputs are told by itself."""
    from ..graph import Spec

    if found.graph is None:
        return found.model, found.specs
    return found.graph, tuple([Spec(value.shape, value.dtype) for value in found.graph.inputs])


commands = {"estimate": estimate}
