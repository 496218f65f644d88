"""Random numbers: seeds and generators. Same seed, same numbers, on every device and for any number of threads."""

from __future__ import annotations

import threading
from typing import Self

from helix._core import Generator, Tensor, default_generator, on_draw

__all__ = [
    "Generator",
    "default_generator",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]


def manual_seed(seed: int) -> Generator:
    """Starts the default generator over from `seed`, and returns it.

    >>> helix.manual_seed(7).initial_seed()
    7
    """
    return default_generator().manual_seed(seed)


def seed(value: int | None = None) -> int:
    """Starts the default generator over from `value`, or from a fresh seed of the operating system; returns the seed."""
    if value is None:
        return default_generator().seed()
    return manual_seed(value).initial_seed()


def initial_seed() -> int:
    """The seed the default generator was started from."""
    return default_generator().initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default generator: {"seed": ..., "stream": ...}."""
    return default_generator().get_state()


def set_rng_state(state: Tensor) -> None:
    """Goes on from a state that get_rng_state gave."""
    default_generator().set_state(state)


class fork_rng:
    """A context manager: what is drawn inside does not change the default generator."""

    def __enter__(self) -> Self:
        self._state = get_rng_state()
        return self

    def __exit__(self, *exception: object) -> None:
        set_rng_state(self._state)


class watched_generators:
    """A context that gives a record of the generators that ops of this thread are given inside, with their states before.

    The default generator is not among them: `get_rng_state` has its state.
    """

    def __enter__(self):
        on_draw(_note)
        self._record = {}
        _records().append(self._record)
        return self._record

    def __exit__(self, *exception):
        _records().pop()


class replayed_generators:
    """A context in which generators begin where a record has found them; at its end they are where they were."""

    def __init__(self, record):
        self._record = record

    def __enter__(self):
        self._after = [(generator, generator.get_state()) for generator, _ in self._record.values()]
        for generator, state in self._record.values():
            generator.set_state(state)

    def __exit__(self, *exception):
        for generator, state in self._after:
            generator.set_state(state)


_watching = threading.local()


def _records():
    if not hasattr(_watching, "records"):
        _watching.records = []
    return _watching.records


def _note(generator):
    for record in _records():
        if id(generator) not in record:
            record[id(generator)] = (generator, generator.get_state())
