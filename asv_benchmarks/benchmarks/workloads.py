"""Every workload of the peers comparison, on helix alone and one thread, followed over commits."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from asv_benchmarks.peers.libraries import Helix, HelixFused
from asv_benchmarks.peers.workloads import ALL

BY_ID = {w.id: w for w in ALL}


class _Group:
    param_names = ["workload"]
    params: list[str] = []

    def setup(self, workload: str) -> None:
        self.run = Helix(1).build(BY_ID[workload])
        self.run()

    def time_run(self, workload: str) -> None:
        self.run()


def _ids(group: str) -> list[str]:
    return [w.id for w in ALL if w.group == group]


class Calls(_Group):
    params = _ids("A")


class Elementwise(_Group):
    params = _ids("B")


class Products(_Group):
    params = _ids("C")


class Convolution(_Group):
    params = _ids("D")


class Training(_Group):
    params = _ids("E")


class Attention(_Group):
    params = _ids("F")


class Optimizers(_Group):
    params = _ids("G")


class Inference(_Group):
    params = _ids("H")


class Fused(_Group):
    """Traced and fused."""

    params = _ids("J")

    def setup(self, workload: str) -> None:
        self.run = HelixFused(1).build(BY_ID[workload])
        self.run()
