"""Loader: batches in a reproducible order that can be taken up again in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..tensor import Tensor
from .dataset import Dataset
from .order import permutation


class Loader:
    """Iterating gives the batches of one epoch; the next iteration gives the next epoch, in another order.

    `state_dict()` after any batch holds where the loader stands; a loader made alike and given that state goes on
    with the next batch.
    """

    def __init__(
        self, dataset: Dataset, batch_size: int = 1, shuffle: bool = False, seed: int = 0, drop_last: bool = False
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"Loader: batch_size must be at least 1, got {batch_size}")
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle
        self.seed, self.drop_last = seed, drop_last
        self.epoch = 0
        self.position = 0  # batches already given in this epoch

    def __len__(self) -> int:
        """Batches in an epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def order(self) -> list[int]:
        """The samples of this epoch, in the order in which they come."""
        n = len(self.dataset)
        return permutation(n, self.seed, self.epoch) if self.shuffle else list(range(n))

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        order = self.order()
        while self.position < len(self):
            start = self.position * self.batch_size
            batch = self.dataset.batch(order[start : start + self.batch_size])
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
