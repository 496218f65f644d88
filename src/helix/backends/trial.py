"""A plugin is tried in a process of its own, with a time limit: a crash or a hang there is a reason, and no more.

`helix devices` does so with every plugin. The first use of a plugin's version on a machine does so too; that it went
well is then remembered in the cache directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .discovery import Found

INSIDE = "HELIX_BACKEND_TRIAL"  # set in the process of a trial, which must not start another
KEPT = 2000  # characters of what it prints


def time_limit() -> float:
    """HELIX_PROBE_SECONDS, 20 unless set: how long a plugin may take to load and answer."""
    try:
        return max(0.1, float(os.environ.get("HELIX_PROBE_SECONDS", "20")))
    except ValueError:
        return 20.0


class Elsewhere(Exception):
    """What happened in the process of a trial: its traceback as text."""


def attempt(found: Found) -> None:
    """Tries a plugin in another process unless that went well before; raises Refused when it fails there.

    So a plugin that fails was never in this process.
    """
    if found.factory is not None or INSIDE in os.environ:
        return
    mark = _mark(found)
    if mark is not None and mark.exists():
        return
    answer = run(found, "open")
    found.notes += answer.get("notes", ())
    if answer.get("state") == "failed":
        from .loading import Refused

        raise Refused(answer["reason"]) from Elsewhere(f"\n{answer.get('trace') or answer['reason']}")
    if mark is not None and answer.get("state") == "ready":
        with contextlib.suppress(OSError):
            mark.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            mark.touch()


def _mark(found: Found) -> Path | None:
    """The file that says that this version of the plugin went well with this Python and this helix."""
    from hashlib import sha256

    import helix

    from .cache import folder

    try:
        changed = os.stat(found.library).st_mtime_ns if found.library else 0
    except OSError:
        return None
    parts = (found.name, found.package, found.version, found.library, changed, sys.executable, helix.__version__)
    return folder() / "backends" / f"{sha256(repr(parts).encode()).hexdigest()[:24]}.tried"


def run_all(found: list[Found], task: str) -> list[dict[str, Any]]:
    """The answers of several trials, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda one: run(one, task), found))


def run(found: Found, task: str) -> dict[str, Any]:
    """What a process says that loads the plugin and does `task` (probe, open or measure); else how it ended."""
    begun, limit = time.monotonic(), time_limit()
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as printed:
        command = [sys.executable, "-m", "helix.backends.child", str(answer.fileno()), task, found.name, found.library]
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                pass_fds=[answer.fileno()],
                start_new_session=True,
                env=_environment(),
            )
        except OSError:  # no interpreter to start, as in a frozen program: the plugin is used without a trial
            return {}
        try:
            ended = _ending(process.wait(limit))
        except subprocess.TimeoutExpired:
            ended = (
                f"it did not answer within {limit:g} s (HELIX_PROBE_SECONDS sets the limit). Report it to its makers."
            )
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        result = _read(answer)
        if not result:
            result = {"state": "failed", "reason": ended, "notes": []}
        if text := _tail(printed):
            result["notes"].append(f"it printed: {text!r}")
        return {**result, "seconds": round(time.monotonic() - begun, 3)}


def _environment() -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name != "HELIX_DEVICE"}
    environment[INSIDE] = "1"
    environment["HELIX_FALLBACK"] = "host"
    environment["PYTHONPATH"] = os.pathsep.join(p or os.getcwd() for p in sys.path)
    return environment


def _read(file: Any) -> dict[str, Any]:
    file.seek(0)
    try:
        return json.loads(file.read())
    except ValueError:
        return {}


def _tail(file: Any) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace").strip()[-KEPT:]


def _ending(code: int) -> str:
    if code < 0:
        number = -code
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        return f"loading it ends the process ({name}). Report it to its makers, or install another version."
    return f"loading it ends the process with code {code} and no answer. Report it to its makers."
