"""RunFolder: the files of one run. `docs/run-directory.md` says what is in them."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from ..errors import ConfigError
from ..io import save_json
from .files import finite, write_text

FORMAT_VERSION = 1


class RunFolder:
    """Writes and reads `runs/<name>/`. While a training holds it, no second one can."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self._metrics: TextIO | None = None
        self._log: TextIO | None = None
        self._lock: TextIO | None = None

    # ---- reading -------------------------------------------------------------------------------------------

    def read_json(self, name: str) -> dict[str, Any]:
        """One of the JSON files; refuses a format newer than this helix knows."""
        try:
            values = json.loads((self.path / name).read_bytes())
        except FileNotFoundError:
            raise ConfigError(
                f"HX3103 run {str(self.path)!r} has no {name}; it is not the folder of a run, or the "
                "run did not get that far."
            ) from None
        if values.get("format_version", 0) > FORMAT_VERSION:
            raise ConfigError(
                f"HX3103 {name} has format {values['format_version']}, newer than this helix knows "
                f"({FORMAT_VERSION}); a newer helix can read it."
            )
        return values

    def records(self) -> Iterator[dict[str, Any]]:
        """The records of metrics.jsonl; a last line cut short by a kill is left out."""
        try:
            lines = (self.path / "metrics.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and record.get("event") in ("step", "epoch"):
                yield record

    # ---- writing -------------------------------------------------------------------------------------------

    def take(self) -> None:
        """Holds the folder for this training; ConfigError where another process does."""
        self.path.mkdir(parents=True, exist_ok=True)
        lock = open(self.path / ".lock", "w", encoding="utf-8")  # noqa: SIM115
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise ConfigError(f"HX3104 run {str(self.path)!r} is being trained by another process.") from None
        self._lock = lock

    def open(self, resume_at: int | None = None, epochs: int = 0) -> None:
        """Takes the folder for a training: a new run, or one that goes on after step `resume_at`, `epochs` of them whole."""
        if self._lock is None:
            self.take()
        try:
            self._open_files(resume_at, epochs)
        except BaseException:
            self.close()
            raise

    def _open_files(self, resume_at: int | None, epochs: int) -> None:
        header = {"event": "header", "format_version": FORMAT_VERSION}
        kept = [r for r in self.records() if _is_before(r, resume_at, epochs)] if resume_at is not None else []
        write_text(self.path / "metrics.jsonl", "".join(json.dumps(r) + "\n" for r in [header, *kept]))
        self._metrics = open(self.path / "metrics.jsonl", "a", encoding="utf-8")  # noqa: SIM115
        fresh = resume_at is None or not (self.path / "log.txt").exists()
        if fresh:
            write_text(self.path / "log.txt", f"helix log, format_version {FORMAT_VERSION}\n")
        self._log = open(self.path / "log.txt", "a", encoding="utf-8")  # noqa: SIM115

    def close(self) -> None:
        for file in (self._metrics, self._log, self._lock):
            if file is not None:
                with suppress(OSError):  # of what a full disk did not take, which was said when it was written
                    file.close()
        self._metrics = self._log = self._lock = None

    def write(self, name: str, text: str) -> None:
        write_text(self.path / name, text)

    def write_json(self, name: str, values: Mapping[str, Any]) -> None:
        save_json({"format_version": FORMAT_VERSION, **finite(values)}, self.path / name)

    def record(self, values: Mapping[str, Any]) -> None:
        """Adds a line to metrics.jsonl; NaN and infinity, which JSON lacks, become null."""
        _add(self._metrics, json.dumps(finite(values)))

    def log(self, text: str) -> None:
        _add(self._log, f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}")


def _is_before(record: Mapping[str, Any], step: int, epochs: int) -> bool:
    """Whether the numbers are of what a checkpoint has behind it; at the last step of an epoch, its end may be to come."""
    return record["step"] <= step and (record["event"] == "step" or record["epoch"] <= epochs)


def _add(file: TextIO | None, line: str) -> None:
    if file is None:
        raise RuntimeError("the run folder is not open for writing: call open() first")
    try:
        file.write(line + "\n")
        file.flush()
    except OSError as error:
        raise OSError(
            error.errno, f"{error.strerror}; the training stopped, its checkpoints are untouched", file.name
        ) from error


def environment(device) -> dict[str, Any]:
    """What env.json holds: enough to know where the numbers come from."""
    import numpy

    from .. import __version__

    return {
        "helix": __version__,
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "system": platform.system(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "device": str(device),
        "arguments": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "settings": {k: v for k, v in sorted(os.environ.items()) if k.startswith("HELIX_")},
    }
