"""graph: a model's graph as a picture, a page, or text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .output import common, give
from .sources import HELP, SOURCE, Source, opened, to_write, users_code


@click.command(help=f"A model's graph as a picture, a page, or text: by the ending of --out.\n\n    {HELP}")
@click.argument("source", metavar=SOURCE)
@click.option("--spec", "specs", multiple=True, metavar="SHAPE", help="Shape and dtype of an input; again for each.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.svg|.html|.txt", help="File to write."
)
@click.option("--depth", type=click.IntRange(0), help="Of an SVG: modules so many levels down are one box.")
@click.option("--classes", default=10, show_default=True, type=click.IntRange(1), help="Results of a kind of model.")
@click.option("--training", is_flag=True, help="As in training: with dropout, and statistics of the batch.")
@click.option("--watch", is_flag=True, help="A page on this machine that follows the program's files as they change.")
@common
def graph(
    source: str,
    specs: tuple[str, ...],
    out: Path | None,
    depth: int | None,
    classes: int,
    training: bool,
    watch: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    if watch:
        if out is not None:
            raise click.UsageError("--watch shows the page itself; leave --out out")
        from .live import serve

        serve(source, specs, classes, training)
        return
    made = traced(opened(source, specs, classes), training)
    texts = {
        ".svg": lambda: made.to_svg(depth),
        ".html": made.to_html,
        ".htm": made.to_html,
        ".txt": lambda: f"{made}\n",
    }
    if out is None:
        give({"graph": str(made), "nodes": len(made)}, str(made), as_json)
        return
    if out.suffix not in texts:
        raise click.BadParameter(f"{out}: the ending must be one of {', '.join(texts)}", param_hint="--out")
    to_write(out).write_text(texts[out.suffix](), encoding="utf-8")
    give({"out": str(out), "nodes": len(made)}, f"{out}: {len(made)} nodes", as_json)


def traced(found: Source, training: bool) -> Any:
    """The graph; lines of this command line are not those of a program."""
    from ..graph import trace

    made = found.graph
    if made is None:
        with users_code(f"{found.name!r} cannot be traced on {', '.join(map(str, found.specs))}"):
            made = trace(found.model.train(training), *found.specs)
    for node in made.nodes:
        if node.place[1] == click.core.__file__:
            node.place = (node.place[0], "", 0)
    return made


commands = {"graph": graph}
