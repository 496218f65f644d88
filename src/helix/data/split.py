"""Splits of a dataset into two parts."""

from __future__ import annotations

from .dataset import Dataset, Subset
from .order import permutation


def _check(fraction: float) -> None:
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"the fraction of the second part must lie between 0 and 1, got {fraction}")


def random_split(dataset: Dataset, fraction: float, seed: int = 0) -> tuple[Subset, Subset]:
    """Two parts; the second holds `fraction` of the samples, at least one."""
    _check(fraction)
    order = permutation(len(dataset), seed)
    held = max(1, round(fraction * len(order)))
    return Subset(dataset, sorted(order[held:])), Subset(dataset, sorted(order[:held]))


def stratified_split(dataset: Dataset, fraction: float, seed: int = 0) -> tuple[Subset, Subset]:
    """Two parts in which every class has the same share; the second holds `fraction` of each class."""
    _check(fraction)
    members: dict[int, list[int]] = {}
    for i, label in enumerate(dataset.targets().tolist()):
        members.setdefault(label, []).append(i)
    first: list[int] = []
    second: list[int] = []
    for label in sorted(members):
        mine = [members[label][i] for i in permutation(len(members[label]), seed, label if label >= 0 else 0)]
        held = round(fraction * len(mine))
        second += mine[:held]
        first += mine[held:]
    return Subset(dataset, sorted(first)), Subset(dataset, sorted(second))
