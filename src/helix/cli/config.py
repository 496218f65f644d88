"""config: schema, show, init."""

from __future__ import annotations

import json

import click

from .output import changes, common, give

FIRST = """# A helix training run. `helix train this.toml`
name = "mine"
seed = 0

[data]
source = "digits"          # digits, a CSV file, a folder of image folders, or text
test_fraction = 0.3

[model]
kind = "auto"              # auto, cnn, resnet18, vit, mlp, lstm, decoder, mamba, … or package.module:function

[optimizer]
name = "adamw"
lr = 1e-3

[schedule]
name = "cosine"
warmup_steps = 20

[train]
epochs = 10
batch_size = 64
"""


@click.group()
def config() -> None:
    """Schema, resolved form, or a first configuration file."""


@config.command()
@common
def schema(as_json: bool, quiet: bool) -> None:
    """The JSON schema of a configuration file."""
    from ..train.config import schema as made

    give(made(), json.dumps(made(), indent=2), as_json)


@config.command()
@click.argument("file")
@changes
@common
def show(file: str, changes: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """A configuration with all defaults filled in, after its checks."""
    from ..train import config as configuration

    found = configuration.read(file, changes)
    give(configuration.to_dict(found), configuration.to_toml(found).rstrip("\n"), as_json)


@config.command()
@common
def init(as_json: bool, quiet: bool) -> None:
    """A first configuration file, to be redirected: helix config init > train.toml"""
    give({"text": FIRST}, FIRST.rstrip("\n"), as_json)


commands = {"config": config}
