"""Loader: batches in a reproducible order that can be taken up again in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..tensor import Tensor
from .dataset import Dataset
from .order import generator_of
from .prefetch import ahead, ahead_in_processes
from .samplers import RandomSampler, Sampler, SequentialSampler

Batch = tuple[Tensor, ...]


class Loader:
    """Iterating gives the batches of one epoch; the next iteration gives the next epoch, in another order.

    `state_dict()` after any batch holds where the loader stands; a loader made alike and given that state goes on
    with the next batch.

    Args:
        shuffle: another order each epoch; `sampler` says more exactly which samples come when.
        collate: makes a batch of a list of samples, for instance `Padded()`; by default the dataset's own `batch`.
        batch_transform: `f(batch, generator)` on each batch, for instance `MixUp(10)`.
        workers: so many threads fetch batches ahead, at most `prefetch_bytes` of them. The batches are the same.
        processes: the workers are processes that hand batches over through shared memory, for datasets whose
            Python code holds the interpreter.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 1,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        sampler: Sampler | None = None,
        collate: Callable[[list[Batch]], Batch] | None = None,
        batch_transform: Callable | None = None,
        workers: int = 0,
        prefetch_bytes: int = 256 << 20,
        processes: bool = False,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"Loader: batch_size must be at least 1, got {batch_size}")
        if workers < 0:
            raise ValueError(f"Loader: workers must not be negative, got {workers}")
        if sampler is not None and shuffle:
            raise ValueError("Loader: a sampler says the order itself; leave shuffle out")
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle
        self.seed, self.drop_last, self.sampler = seed, drop_last, sampler
        self.collate, self.batch_transform = collate, batch_transform
        self.workers, self.prefetch_bytes, self.processes = workers, prefetch_bytes, processes
        self.epoch = 0
        self.position = 0  # batches already given in this epoch

    def _order(self) -> Sampler:
        if self.sampler is not None:
            return self.sampler
        n = len(self.dataset)
        return RandomSampler(n, self.seed) if self.shuffle else SequentialSampler(n)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self._order().count(self.batch_size, self.drop_last)

    def order(self) -> list[int]:
        """The samples of this epoch, in the order in which they come."""
        return [i for batch in self._batches() for i in batch]

    def _batches(self) -> list[list[int]]:
        return self._order().batches(self.epoch, self.batch_size, self.drop_last)

    def _fetch(self, indices: Sequence[int]) -> Batch:
        batch = self.collate([self.dataset[i] for i in indices]) if self.collate else self.dataset.batch(indices)
        return tuple(batch)

    def __iter__(self) -> Iterator[Batch]:
        self.dataset.set_epoch(self.epoch)
        todo = self._batches()[self.position :]
        if self.workers == 0:
            fetched: Iterator[Batch] = (self._fetch(indices) for indices in todo)
        else:
            run = ahead_in_processes if self.processes else ahead
            fetched = run(self._fetch, todo, self.workers, self.prefetch_bytes)
        for batch in fetched:
            if self.batch_transform is not None:
                batch = self.batch_transform(batch, generator_of(self.seed, self.epoch, self.position))
            self.position += 1
            yield batch
        self.epoch += 1
        self.position = 0

    def state_dict(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "epoch": self.epoch,
            "position": self.position,
            "samples": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        mine = self.state_dict()
        for key in ("samples", "batch_size", "shuffle"):
            if state[key] != mine[key]:
                raise ValueError(
                    f"Loader: the saved position belongs to a loader with {key}={state[key]}, "
                    f"this one has {key}={mine[key]}; it cannot go on at the same sample"
                )
        self.seed, self.epoch, self.position = state["seed"], state["epoch"], state["position"]
