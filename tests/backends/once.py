"""A device of the tests' own, registered the first time that any test of this process asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from helix.backends import register

_made: set[str] = set()


def register_once(name: str, factory: Callable[[], Any]) -> str:
    """Fixtures are set up again when the runner hands tests out in another order; a device's name is taken once."""
    if name not in _made:
        register(name, factory)
        _made.add(name)
    return name
