"""explain: what an error number means."""

from __future__ import annotations

import click

from .output import common, give


@click.command()
@click.argument("code", required=False)
@common
def explain(code: str | None, as_json: bool, quiet: bool) -> None:
    """What an error number such as HX1002 means; without one, all numbers."""
    from .. import errors

    if code is None:
        found = {number: errors.explain(number) for number in errors.codes()}
        give(found, "\n".join(f"{number}  {_first(text)}" for number, text in found.items()), as_json)
    else:
        text = errors.explain(code)
        give({"code": text.partition(":")[0], "text": text}, text, as_json)


def _first(text: str) -> str:
    sentence = text.partition(": ")[2].split(". ")[0]
    return sentence if len(sentence) <= 100 else sentence[:99] + "…"


commands = {"explain": explain}
