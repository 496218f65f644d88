"""The samples as pytest parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from .sample import Sample
from .samples import SAMPLES


def named() -> list[tuple[str, Sample]]:
    seen: Counter[str] = Counter()
    found = []
    for sample in SAMPLES:
        label = f"{sample.op}-{sample.name}" if sample.name else sample.op
        seen[label] += 1
        found.append((label if seen[label] == 1 else f"{label}-{seen[label]}", sample))
    return found


def each_sample(keep: Callable[[Sample], bool] = lambda sample: True) -> pytest.MarkDecorator:
    chosen = [(label, sample) for label, sample in named() if keep(sample)]
    return pytest.mark.parametrize("sample", [s for _, s in chosen], ids=[label for label, _ in chosen])
