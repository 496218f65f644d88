"""Samplers: which samples an epoch holds, and in which order, as a function of (seed, epoch) alone.

A position in an epoch is then all that has to be remembered to go on with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .. import float64, log, rand
from .. import tensor as make
from .order import generator_of, permutation


class Sampler:
    """`order(epoch)` are the samples of an epoch; `batches(epoch, size)` the same, cut into batches."""

    seed = 0

    def __len__(self) -> int:
        """Samples in an epoch."""
        raise NotImplementedError

    def order(self, epoch: int) -> Sequence[int]:
        raise NotImplementedError

    def count(self, size: int, drop_last: bool) -> int:
        """Batches in an epoch."""
        whole, rest = divmod(len(self), size)
        return whole + (rest > 0 and not drop_last)

    def batches(self, epoch: int, size: int, drop_last: bool = False) -> list[list[int]]:
        order = self.order(epoch)
        return [list(order[k * size : (k + 1) * size]) for k in range(self.count(size, drop_last))]


class SequentialSampler(Sampler):
    """0 … n-1, in every epoch."""

    def __init__(self, count: int) -> None:
        self.samples = count

    def __len__(self) -> int:
        return self.samples

    def order(self, epoch: int) -> Sequence[int]:
        return range(self.samples)


class RandomSampler(Sampler):
    """0 … n-1, in another order each epoch."""

    def __init__(self, count: int, seed: int = 0) -> None:
        self.samples, self.seed = count, seed

    def __len__(self) -> int:
        return self.samples

    def order(self, epoch: int) -> list[int]:
        return permutation(self.samples, self.seed, epoch)


class WeightedSampler(Sampler):
    """Samples drawn with probabilities in proportion to weights; without `replacement` each at most once an epoch.

    Without replacement by Efraimidis and Spirakis (2006): the largest u^(1/w).
    """

    def __init__(
        self, weights: Sequence[float], count: int | None = None, replacement: bool = True, seed: int = 0
    ) -> None:
        self.weights, self.replacement, self.seed = [float(w) for w in weights], replacement, seed
        self.samples = len(self.weights) if count is None else count
        if any(not w >= 0 or math.isinf(w) for w in self.weights) or not sum(self.weights) > 0:
            raise ValueError("WeightedSampler: weights must be finite, not negative, and not all 0")
        if not replacement and self.samples > sum(w > 0 for w in self.weights):
            raise ValueError(f"WeightedSampler: {self.samples} samples cannot be drawn without replacement from so few")

    def __len__(self) -> int:
        return self.samples

    def order(self, epoch: int) -> list[int]:
        generator, weights = generator_of(self.seed, epoch), make(self.weights, dtype=float64)
        if self.replacement:
            ends = weights.cumsum(0)
            drawn = rand(self.samples, dtype=float64, generator=generator) * ends[-1]
            last = max(i for i, w in enumerate(self.weights) if w > 0)
            return [min(i, last) for i in _searched(ends, drawn)]
        keys = log(rand(len(self.weights), dtype=float64, generator=generator).clamp(min=2.0**-60)) / weights
        return keys.argsort(descending=True)[: self.samples].tolist()


def _searched(ends, drawn) -> list[int]:
    from .. import searchsorted

    return searchsorted(ends, drawn, right=True).tolist()


class StratifiedSampler(Sampler):
    """Every stretch of an epoch holds the classes in their shares, as evenly as whole samples allow."""

    def __init__(self, labels: Sequence[int], seed: int = 0) -> None:
        self.seed = seed
        self.members: dict[int, list[int]] = {}
        for i, label in enumerate(labels):
            self.members.setdefault(int(label), []).append(i)

    def __len__(self) -> int:
        return sum(map(len, self.members.values()))

    def order(self, epoch: int) -> list[int]:
        """Sample k of a class of n stands at about (k + phase) / n of the epoch."""
        places = []
        phases = rand(len(self.members), dtype=float64, generator=generator_of(self.seed, epoch)).tolist()
        for number, (phase, members) in enumerate(zip(phases, self.members.values(), strict=True)):
            shuffled = permutation(len(members), self.seed + number, epoch)
            places += [((k + phase) / len(members), members[i]) for k, i in enumerate(shuffled)]
        return [sample for _, sample in sorted(places)]


class ShardSampler(Sampler):
    """Part `rank` of `world` of another sampler's epoch, all parts equally long: every world-th sample.

    What is left over is dropped, or filled up from the beginning.
    """

    def __init__(self, sampler: Sampler, rank: int, world: int, drop_last: bool = False) -> None:
        if not 0 <= rank < world:
            raise ValueError(f"ShardSampler: rank must lie in 0 … {world - 1}, got {rank}")
        self.sampler, self.rank, self.world, self.drop = sampler, rank, world, drop_last

    def __len__(self) -> int:
        whole, rest = divmod(len(self.sampler), self.world)
        return whole + (rest > 0 and not self.drop)

    def order(self, epoch: int) -> list[int]:
        order = list(self.sampler.order(epoch))
        total = len(self) * self.world
        while 0 < len(order) < total:
            order += order[: total - len(order)]
        return order[self.rank : total : self.world]


class BucketSampler(Sampler):
    """Batches of samples of about equal length, so that little is padded; the batches come in random order.

    Within `window` batches of a shuffled epoch, samples are sorted by length: 1 sorts nothing, more pads less.
    """

    def __init__(self, lengths: Sequence[int], window: int = 50, seed: int = 0) -> None:
        if window < 1:
            raise ValueError(f"BucketSampler: window must be at least 1, got {window}")
        self.lengths, self.window, self.seed = [int(n) for n in lengths], window, seed

    def __len__(self) -> int:
        return len(self.lengths)

    def order(self, epoch: int) -> list[int]:
        return permutation(len(self.lengths), self.seed, epoch)

    def batches(self, epoch: int, size: int, drop_last: bool = False) -> list[list[int]]:
        order, span = self.order(epoch), size * self.window
        alike = [sorted(order[k : k + span], key=self.lengths.__getitem__) for k in range(0, len(order), span)]
        cut = [part[k : k + size] for part in alike for k in range(0, len(part), size)]
        whole = [batch for batch in cut if len(batch) == size]
        rest = [] if drop_last else [batch for batch in cut if len(batch) < size]
        return [whole[i] for i in permutation(len(whole), self.seed + 1, epoch)] + rest
