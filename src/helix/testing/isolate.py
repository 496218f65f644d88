"""Cases in a process of their own, with a time limit: a crash or a hang is one failed case."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile

from .case import Result, Target


def run(target: Target, stage: str, index: int, title: str, op: str, seconds: float, ops_from: str) -> Result | None:
    """One case, by its place in its stage; None where there is nothing to compare with."""
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as printed:
        command = [
            *(sys.executable, "-m", "helix.testing.isolated", str(answer.fileno()), target.name, target.profile),
            *(stage, str(index), ops_from),
        ]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=printed, stderr=printed, pass_fds=[answer.fileno()],
            start_new_session=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)},
        )  # fmt: skip
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return Result(title, "fail", f"no end within {seconds:g} s", op, seconds)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        answer.seek(0)
        text = answer.read()
        if text:
            record = json.loads(text)
            return Result(**record) if record else None
        printed.seek(0)
        last = printed.read().decode("utf-8", "replace").strip()[-300:]
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return Result(title, "fail", f"the process ended with {name}. {last}".strip(), op)
