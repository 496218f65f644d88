"""The same bits for any number of threads and in every process. `make same-bits` takes every sample in every dtype."""

from __future__ import annotations

import pytest

import helix

from . import large
from .grown import differing, grown, one_of_each_op

PARTS = 8


@pytest.mark.parametrize("part", range(PARTS))
def test_threads_do_not_change_bits(part):
    """In a sample of each op; four in five can be made large enough to be shared among threads."""
    samples, shared, faults = one_of_each_op()[part::PARTS], 0, []
    for i, label, sample in samples:
        arrays = grown(i, sample.dtypes[0])
        shared += arrays is not None
        if arrays is not None and differing(sample, arrays, sample.dtypes[0], (4,)):
            faults.append(label)
    assert not faults and shared > 0.6 * len(samples)


def test_processes_and_threads_give_the_same_bits():
    calls, faults = large.differing_processes((1, 2, 8), step=4)
    assert calls > 25 and not faults


def test_a_sum_in_as_many_parts_as_threads_is_seen():
    def planted(x: helix.Tensor = large.normal(100_003)) -> helix.Tensor:
        return sum((part.sum() for part in x.chunk(helix.get_num_threads())), helix.zeros(()))

    assert large.differing(planted)
    assert not large.differing(lambda: large.normal(100_003).sum())
