"""tune: the search for good settings of a configuration."""

from __future__ import annotations

from typing import Any

import click

from .output import changes, common, give


def _space(texts: tuple[str, ...]) -> dict[str, Any]:
    """`optimizer.lr=1e-4:1e-1:log` and `train.batch_size=16,32,64` as spaces."""
    space: dict[str, Any] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals or not values:
            raise click.BadParameter(
                f"{text!r}: write table.key=least:most, least:most:log or a,b,c", param_hint="--over"
            )
        if ":" in values:
            least, most, *log = values.split(":")
            space[name] = (_bound(text, least), _bound(text, most), *log)
        else:
            space[name] = [_number(value) for value in values.split(",")]
    return space


def _bound(text: str, value: str) -> int | float:
    number = _number(value)
    if isinstance(number, str):
        raise click.BadParameter(f"{text!r}: {value!r} is not a number", param_hint="--over")
    return number


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


@click.command()
@click.argument("source", metavar="CONFIG.toml")
@click.option(
    "--over", "spaces", multiple=True, required=True, metavar="TABLE.KEY=SPACE", help="What to try; may be given again."
)
@click.option("--trials", default=20, show_default=True, help="Trainings.")
@click.option("--monitor", default="test_loss", show_default=True, help="The number that tells good from bad.")
@changes
@common
def tune(
    source: str,
    spaces: tuple[str, ...],
    trials: int,
    monitor: str,
    changes: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Try settings of a configuration and name the best. --over optimizer.lr=1e-4:1e-1:log --over train.batch_size=16,32"""
    from ..train import config as configuration
    from ..train.tune import tune_config

    def say(number: int, values: dict[str, Any], result: float | None) -> None:
        if not quiet and not as_json:
            told = "given up" if result is None else f"{monitor} {result:.5g}"
            click.echo(f"trial {number}  {told}  {'  '.join(f'{k}={v}' for k, v in values.items())}", err=True)

    best, value = tune_config(configuration.read(source, changes), _space(spaces), trials, monitor, say)
    text = f"{monitor} {value:.5g}\n" + " ".join(f"--set {name}={chosen}" for name, chosen in best.items())
    give({"monitor": monitor, "value": value, "best": best}, text, as_json)


commands = {"tune": tune}
