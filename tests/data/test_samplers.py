"""Samplers: functions of seed and epoch, with the shares and shapes they promise; batches fetched ahead are the same."""

from __future__ import annotations

import os
import threading
import traceback
from collections import Counter

import pytest

import helix as hx
from helix import data

LABELS = [0] * 60 + [1] * 30 + [2] * 10
LENGTHS = [(17 * i) % 90 + 1 for i in range(400)]

SAMPLERS = {
    "sequential": lambda seed: data.SequentialSampler(100),
    "random": lambda seed: data.RandomSampler(100, seed),
    "weighted": lambda seed: data.WeightedSampler([1.0, 2.0, 3.0, 0.0] * 25, seed=seed),
    "weighted, once": lambda seed: data.WeightedSampler([1.0, 2.0, 3.0, 0.0] * 25, 60, replacement=False, seed=seed),
    "stratified": lambda seed: data.StratifiedSampler(LABELS, seed),
    "shard": lambda seed: data.ShardSampler(data.RandomSampler(101, seed), 1, 4),
    "bucket": lambda seed: data.BucketSampler(LENGTHS, 5, seed),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_an_epoch_is_a_function_of_seed_and_epoch(name):
    make = SAMPLERS[name]
    one, again = make(3).batches(5, 8), make(3).batches(5, 8)
    assert [list(b) for b in one] == [list(b) for b in again]
    assert len(one) == make(3).count(8, False) and len(make(3).batches(5, 8, True)) == make(3).count(8, True)
    assert sum(map(len, one)) == len(make(3))
    if name != "sequential":
        assert (
            [list(b) for b in make(3).batches(6, 8)]
            != [list(b) for b in one]
            != [list(b) for b in make(4).batches(5, 8)]
        )


@pytest.mark.parametrize("name", ["sequential", "random", "stratified", "bucket"])
def test_each_sample_comes_once(name):
    sampler = SAMPLERS[name](1)
    assert sorted(i for batch in sampler.batches(2, 7) for i in batch) == list(range(len(sampler)))


def test_weights_are_the_shares():
    drawn = Counter(i % 4 for i in data.WeightedSampler([1.0, 2.0, 3.0, 0.0] * 25, 60_000).order(0))
    assert drawn[3] == 0
    for kind, share in ((0, 1 / 6), (1, 2 / 6), (2, 3 / 6)):
        assert abs(drawn[kind] / 60_000 - share) < 0.01
    once = data.WeightedSampler([1.0, 2.0, 3.0, 0.0] * 25, 60, replacement=False).order(0)
    assert len(set(once)) == 60 and not any(i % 4 == 3 for i in once)
    firsts = Counter(data.WeightedSampler([1.0, 3.0], 1, replacement=False, seed=s).order(0)[0] for s in range(400))
    assert abs(firsts[1] / 400 - 0.75) < 0.08


def test_stratified_batches_hold_every_class():
    for batch in data.StratifiedSampler(LABELS, 2).batches(0, 20):
        counts = Counter(LABELS[i] for i in batch)
        assert abs(counts[0] - 12) <= 1 and abs(counts[1] - 6) <= 1 and abs(counts[2] - 2) <= 1


@pytest.mark.parametrize("drop", [False, True])
def test_shards_share_an_epoch(drop):
    shards = [data.ShardSampler(data.RandomSampler(101, 1), rank, 4, drop).order(3) for rank in range(4)]
    assert {len(s) for s in shards} == {25 if drop else 26}
    together = {i for s in shards for i in s}
    assert len(together) == (100 if drop else 101)


def test_buckets_pad_less():
    def padded(sampler) -> int:
        return sum(max(LENGTHS[i] for i in b) * len(b) for b in sampler.batches(0, 16))

    assert padded(data.BucketSampler(LENGTHS, 10)) < 0.7 * padded(data.RandomSampler(400))


@pytest.mark.parametrize(
    "make",
    [lambda: data.WeightedSampler([1.0, -1.0]), lambda: data.WeightedSampler([0.0]), lambda: data.ShardSampler(data.RandomSampler(3), 4, 4),
     lambda: data.BucketSampler([1], 0), lambda: data.WeightedSampler([1.0, 0.0], 2, replacement=False)],
)  # fmt: skip
def test_bad_arguments(make):
    with pytest.raises(ValueError, match="Sampler"):
        make()


# ---- fetched ahead -----------------------------------------------------------------------------------------


class Slow(data.Dataset):
    """Batches of 1 KiB a sample; counts what is fetched and not yet given."""

    def __init__(self) -> None:
        self.fetched, self.lock = 0, threading.Lock()

    def __len__(self) -> int:
        return 96

    def __getitem__(self, index):
        return hx.full((256,), float(index)), hx.tensor(index)

    def batch(self, indices):
        with self.lock:
            self.fetched += 1
        return super().batch(indices)


@pytest.mark.parametrize("options", [{"workers": 3}, {"workers": 2, "processes": True}])
def test_workers_change_nothing(options):
    def epochs(**chosen) -> list:
        loader = data.Loader(Slow(), 7, shuffle=True, seed=4, **chosen)
        return [[t.tolist() for t in batch] for _ in range(2) for batch in loader]

    assert epochs(**options) == epochs()


@pytest.mark.parametrize("options", [{"workers": 3}, {"workers": 2, "processes": True}])
def test_a_loader_goes_on_where_it_was_left(options):
    first = data.Loader(Slow(), 7, shuffle=True, seed=4, **options)
    given = []
    for batch in first:
        given.append(batch[1].tolist())
        if len(given) == 5:
            break
    assert first.state_dict()["position"] == 5
    second = data.Loader(Slow(), 7, shuffle=True, seed=0, **options)
    second.load_state_dict(first.state_dict())
    given += [batch[1].tolist() for batch in second]
    assert given == [batch[1].tolist() for batch in data.Loader(Slow(), 7, shuffle=True, seed=4)]


@pytest.mark.parametrize(("limit", "most"), [(1, 1), (3 * 8 * 1032, 3)])
def test_what_is_fetched_ahead_is_bounded_in_bytes(limit, most):
    dataset = Slow()
    for given, _ in enumerate(data.Loader(dataset, 8, workers=4, prefetch_bytes=limit), 1):
        assert dataset.fetched <= given + most


def test_errors_of_workers_come_through():
    class Broken(Slow):
        def __getitem__(self, index):
            raise KeyError("here")

    with pytest.raises(KeyError, match="here"):
        list(data.Loader(Broken(), 4, workers=2))
    with pytest.raises(ValueError, match="leave shuffle out"):
        data.Loader(Slow(), 4, shuffle=True, sampler=data.RandomSampler(96))


class Odd(Exception):
    """An error that does not come out of a pickle."""

    def __init__(self, first, second) -> None:
        super().__init__(f"{first} and {second}")


@pytest.mark.parametrize("options", [{}, {"workers": 2}, {"workers": 2, "processes": True}])
@pytest.mark.parametrize(("raised", "text"), [(Odd(1, 2), "1 and 2"), (StopIteration(), "StopIteration")])
def test_no_error_of_a_dataset_is_lost(options, raised, text):
    class Broken(Slow):
        def batch(self, indices):
            if 9 in indices:
                raise raised
            return super().batch(indices)

    with pytest.raises((Odd, RuntimeError), match=text) as caught:
        list(data.Loader(Broken(), 4, **options))
    assert "raise raised" in "".join(traceback.format_exception(caught.value))


def test_a_worker_that_dies_is_told_of():
    class Deadly(Slow):
        def batch(self, indices):
            os._exit(1)

    with pytest.raises(RuntimeError, match="a worker process ended while it fetched a batch"):
        list(data.Loader(Deadly(), 4, workers=2, processes=True))


def test_samples_that_cannot_be_padded_are_refused():
    for wrong in (hx.ones(2, 1), hx.ones(2, 4, dtype=hx.float64), hx.ones(2)):
        with pytest.raises(ValueError, match="Padded: samples may differ in the length of their first axis alone"):
            data.Padded()([(hx.ones(3, 4), hx.tensor(0)), (wrong, hx.tensor(1))])
