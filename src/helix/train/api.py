"""helix.train(data, model="auto", **settings): the whole of a training in one call."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from ..data import load
from ..nn import Module
from . import config as configuration
from .config import Config
from .run import Run, start

TABLES = ("data", "model", "optimizer", "schedule", "train", "sample")
RENAMED = {"optimizer": ("optimizer", "name"), "schedule": ("schedule", "name"), "name": ("name",)}


def train(data: Any, model: str | Module = "auto", progress: Any = "auto", **settings: Any) -> Run:
    """Trains on `data` and returns the finished run.

    `data` is what `helix.data.load` takes: "digits", a path, arrays, or a dataset. `model` is "auto", a kind of
    model, "package.module:function", or a Module. `settings` are the keys of a configuration file without their
    tables: `epochs=5, batch_size=32, lr=1e-3, optimizer="sgd", seed=1, name="mine"`; `model_options={…}` and
    `data_options={…}` go to the model and the dataset.
    """
    named = isinstance(data, (str, Path))
    values: dict[str, Any] = {
        "name": configuration.name_of(data) if named else "run",
        "data": {"source": str(data) if named else "python"},
        "model": {"kind": model if isinstance(model, str) else "python:model"},
    }
    for key, value in settings.items():
        _put(values, key, value)
    config = configuration.check(values)
    return start(
        config,
        None if named else load(data, **config.data.options),
        None if isinstance(model, str) else model,
        progress,
    )


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    places = {
        **_places(),
        **RENAMED,
        "model_options": ("model", "options"),
        "data_options": ("data", "options"),
        "data_kind": ("data", "kind"),
    }
    if key not in places:
        near = get_close_matches(key, places, n=1)
        raise TypeError(
            f"helix.train: unknown setting {key!r}"
            + (f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(places))}")
        )
    *tables, last = places[key]
    for table in tables:
        values = values.setdefault(table, {})
    values[last] = value


def _places() -> dict[str, tuple[str, ...]]:
    """Where each setting stands: epochs -> ("train", "epochs")."""
    places: dict[str, tuple[str, ...]] = {}
    for field in msgspec.structs.fields(Config):
        if field.name not in TABLES:
            places[field.name] = (field.name,)
        elif field.name in ("data", "optimizer", "schedule", "train"):
            places |= {
                inner.name: (field.name, inner.name)
                for inner in msgspec.structs.fields(field.type)
                if inner.name not in ("name", "options", "source", "kind")
            }
    return places
