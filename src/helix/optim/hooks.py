"""Functions that an optimizer calls around its steps and around what is saved of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Removable:
    """What registering a hook returns: `remove()` takes the hook away."""

    def __init__(self, hooks: list[Callable], hook: Callable) -> None:
        self._hooks, self._hook = hooks, hook

    def remove(self) -> None:
        self._hooks[:] = [hook for hook in self._hooks if hook is not self._hook]


class Hooks:
    """Lists of functions by the moment they are called at."""

    def __init__(self) -> None:
        self._lists: dict[str, list[Callable]] = {}

    def add(self, moment: str, hook: Callable, prepend: bool = False) -> Removable:
        hooks = self._lists.setdefault(moment, [])
        hooks.insert(0 if prepend else len(hooks), hook)
        return Removable(hooks, hook)

    def run(self, moment: str, *arguments: Any) -> None:
        for hook in list(self._lists.get(moment, ())):
            hook(*arguments)

    def change(self, moment: str, owner: Any, value: Any) -> Any:
        """The value after every hook: each may return another one."""
        for hook in list(self._lists.get(moment, ())):
            returned = hook(owner, value)
            value = value if returned is None else returned
        return value
