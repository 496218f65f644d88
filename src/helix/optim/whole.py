"""Signals wait while something is done that must be whole, though Python code has a part in it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from .. import _core

if TYPE_CHECKING:
    from .optimizer import Update

_Op = type(_core.rule_step)


def is_torn_by_handlers(updates: Sequence[Update]) -> bool:
    """Does a step run code of Python's, between whose lines handlers run? That of an update, or a plugin's for its device."""
    return any(
        type(update.function) is not _Op or (update.tensors and update.tensors[0].device.type != "cpu")
        for update in updates
    )


class Whole:
    """A context in whose end the handlers of the signals that came within it run. Of the main thread: others have none."""

    def __enter__(self) -> None:
        self.handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self.came: list[tuple[int, FrameType | None]] = []
        if threading.current_thread() is not threading.main_thread():
            return
        for number in map(int, signal.valid_signals()):
            handler = signal.getsignal(number)
            if callable(handler):
                self.handlers[number] = handler
        try:
            for number in self.handlers:
                signal.signal(number, self._note)
        except BaseException:  # one of them ran meanwhile, and raised
            self._put_back()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._put_back()
        for number, frame in self.came:
            self.handlers[number](number, frame)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came.append((number, frame))

    def _put_back(self) -> None:
        """All of them, whatever one raises that runs again already."""
        raised = None
        for number, handler in self.handlers.items():
            while signal.getsignal(number) is not handler:
                try:
                    signal.signal(number, handler)
                except BaseException as error:
                    raised = error
        if raised is not None:
            raise raised
