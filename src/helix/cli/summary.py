"""summary: the layers of a model, before or after it is trained."""

from __future__ import annotations

import click

from .output import changes, common, give


@click.command()
@click.argument("source", metavar="CONFIG.toml|RUN")
@changes
@common
def summary(source: str, changes: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Layers, results, parameters, FLOPs and bytes of the model that a configuration or a run names."""
    from .. import int64
    from ..data import describe
    from ..models import build
    from ..train import Run
    from ..train import config as configuration
    from ..train.run import prepared_source

    if source.endswith(".toml"):
        config = configuration.read(source, changes)
        info = describe(prepared_source(config))
    else:
        run = Run(source)
        config, info = run.config, run.info
    model = build(config.model.kind, info, config.model.options)
    table = model.summary(info.input_shape, dtype=int64 if info.vocabulary else None)
    give(table.as_dict(), str(table), as_json)


commands = {"summary": summary}
