"""SIGINT, SIGTERM and a terminal that goes away ask a running training to stop at the next step; a second one stops it at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interrupted(KeyboardInterrupt):
    """Training stopped on a signal, after its checkpoint was written. `exit_code` is 128 + the signal."""

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.signal_number, self.exit_code = signal_number, 128 + signal_number


class StopRequest:
    """A context in which the signals set `signal_number` instead of ending the process; SIGHUP unless it is ignored (nohup)."""

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._before: dict[int, Any] = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.signal_number = number
        signal.signal(number, self._before[number])

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                before = signal.getsignal(number)
                if before is None or (number == signal.SIGHUP and before == signal.SIG_IGN):
                    continue  # a handler that Python cannot put back, or one that wants it ignored
                self._before[number] = before
                signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
