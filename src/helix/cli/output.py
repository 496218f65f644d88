"""What every command shares: --json, --quiet, and one way to give a result."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click


def common(function: Callable) -> Callable:
    """Adds --json and --quiet to a command."""
    function = click.option("--quiet", is_flag=True, help="Nothing but the result.")(function)
    return click.option("--json", "as_json", is_flag=True, help="The result as one line of JSON.")(function)


def give(values: Any, text: str, as_json: bool) -> None:
    """The result of a command, on standard output; in JSON, NaN and infinity are null."""
    if as_json:
        try:
            text = json.dumps(values, allow_nan=False)
        except ValueError:
            from ..train.files import finite

            text = json.dumps(finite(values))
    click.echo(text)


def changes(function: Callable) -> Callable:
    return click.option(
        "--set", "changes", multiple=True, metavar="TABLE.KEY=VALUE", help="Overrules the file; may be given again."
    )(function)
