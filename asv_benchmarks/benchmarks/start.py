"""What starting costs: seconds to import and resident memory, in a fresh process."""

from __future__ import annotations

import subprocess
import sys


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


class Start:
    def time_import(self) -> None:
        _run("import helix")

    def time_first_result(self) -> None:
        _run("import helix; helix.ones(4) + helix.ones(4)")

    def track_resident_megabytes(self) -> float:
        code = "import helix; print(next(l for l in open('/proc/self/status') if l.startswith('VmRSS')).split()[1])"
        return int(_run(code)) / 1024

    track_resident_megabytes.unit = "MB"  # type: ignore[attr-defined]
