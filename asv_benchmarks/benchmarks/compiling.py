"""What helix.compile takes for models of 12 layers: in a fresh process, for another shape, and for another instance."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from asv_benchmarks.compiling import KINDS, medians


class Compiling:
    params = (["encoder", "gpt2", "mamba", "resnet"], list(KINDS))
    param_names = ("model", "kind")
    timeout = 120

    def setup(self, model: str, kind: str) -> None:
        self.found = medians(model, kind, 3)

    def track_cold(self, model: str, kind: str) -> float:
        return self.found["cold"]

    def track_another_shape(self, model: str, kind: str) -> float:
        return self.found["shape"]

    def track_warm(self, model: str, kind: str) -> float:
        return self.found["warm"]

    track_cold.unit = track_another_shape.unit = track_warm.unit = "ms"  # type: ignore[attr-defined]
