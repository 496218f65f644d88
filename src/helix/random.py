"""Random numbers: seeds and generators. Same seed, same numbers, on every device and for any number of threads."""

from __future__ import annotations

from helix._core import Generator, default_generator

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


def seed(value=None):
    """Starts the default generator over from `value`, or from a fresh seed of the operating system; returns the seed."""
    if value is None:
        return default_generator().seed()
    return manual_seed(value).initial_seed()


def initial_seed():
    """The seed the default generator was started from."""
    return default_generator().initial_seed()


def get_rng_state():
    """The state of the default generator: {"seed": ..., "stream": ...}."""
    return default_generator().get_state()


def set_rng_state(state):
    """Goes on from a state that get_rng_state gave."""
    default_generator().set_state(state)


class fork_rng:
    """A context manager: what is drawn inside does not change the default generator."""

    def __enter__(self):
        self._state = get_rng_state()
        return self

    def __exit__(self, *exception):
        set_rng_state(self._state)
