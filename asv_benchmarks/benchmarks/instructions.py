"""Instructions of a call inside helix's module, counted by callgrind: followed over commits where valgrind is installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from asv_benchmarks import instructions


class Instructions:
    params = list(json.loads(instructions.TABLE.read_text())["calls"])
    param_names = ["call"]
    timeout = 300

    def setup_cache(self) -> dict[str, int]:
        if not instructions.available():
            raise NotImplementedError("valgrind is not installed")
        return dict(instructions.count()["calls"])

    def track_instructions(self, counted: dict[str, int], call: str) -> int:
        return counted[call]

    track_instructions.unit = "instructions"  # type: ignore[attr-defined]
