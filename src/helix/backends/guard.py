"""What a plugin must leave as it was while it is imported: output, floating-point mode, signal handlers."""

from __future__ import annotations

import contextlib
import io
import signal
import sys
import threading
from typing import Any

from helix import _core

WATCHED = [s for s in signal.Signals if s not in (signal.SIGKILL, signal.SIGSTOP)]


class _Kept(io.StringIO):
    """Keeps what its own thread writes; what other threads write goes where it went before."""

    def __init__(self, outside: Any) -> None:
        super().__init__()
        self._outside, self._thread = outside, threading.get_ident()

    def write(self, text: str) -> int:
        return super().write(text) if threading.get_ident() == self._thread else self._outside.write(text)


class Guard:
    """Around the import of a plugin: keeps its output, and puts back what it changed. `notes` tell of both."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Guard:
        self._kept = [_Kept(sys.stdout), _Kept(sys.stderr)]
        self._stack.enter_context(contextlib.redirect_stdout(self._kept[0]))
        self._stack.enter_context(contextlib.redirect_stderr(self._kept[1]))
        self._handlers: dict[signal.Signals, Any] = {s: signal.getsignal(s) for s in WATCHED}
        self._state = _core.process_state()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stack.close()
        if text := "".join(kept.getvalue() for kept in self._kept).strip():
            self.notes.append(f"it printed: {text[:200]!r}")
        if self._state.restore_float_mode():
            self.notes.append("it changed the floating-point mode; that was put back")
        changed = self._restore_handlers() | {signal.Signals(s).name for s in self._state.restore_signals()}
        if changed:
            self.notes.append(f"it changed the handlers of {', '.join(sorted(changed))}; they were put back")

    def _restore_handlers(self) -> set[str]:
        if threading.current_thread() is not threading.main_thread():
            return set()
        changed = {s for s, handler in self._handlers.items() if signal.getsignal(s) is not handler}
        for one in changed:
            if self._handlers[one] is not None:
                signal.signal(one, self._handlers[one])
        return {s.name for s in changed}
