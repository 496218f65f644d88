"""How well a language model foretells."""

from __future__ import annotations

import math

from .. import int64, tensor
from ..nn import functional as F
from ..precision import widened
from ..tensor import Tensor
from .classes import scores_in_rows
from .metric import Metric


class _Surprise(Metric):
    def __init__(self, ignore_index: int = -100, dim: int | None = None) -> None:
        super().__init__()
        self.ignore_index, self.dim = ignore_index, dim
        self.add_sum("nats")
        self.add_sum("count", dtype=int64)

    def _nats(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        scores, wanted = scores_in_rows(type(self).__name__, output, target, self.dim)
        losses = F.cross_entropy(widened(scores), wanted, ignore_index=self.ignore_index, reduction="none")
        return losses.double().sum(), (wanted != self.ignore_index).sum()


class Perplexity(_Surprise):
    """e to the mean negative log-likelihood of the targets that are not `ignore_index`.

    update(logits, target): (N, …, C) or (N, C, …), and classes.

    Example:
        >>> metric = helix.metrics.Perplexity()
        >>> metric.update(helix.zeros(1, 3, 8), helix.tensor([[1, 2, 3]]))
        >>> round(metric.compute().item(), 4)
        8.0
    """

    def take(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        nats, count = self._nats(output, target)
        return {"nats": nats, "count": count}

    def compute(self) -> Tensor:
        return (self.nats / self.count.double()).exp()


class BitsPerByte(_Surprise):
    """The negative log-likelihood in bits for each byte of text: comparable across tokenizers.

    update(logits, target, bytes=None): `bytes` is how many bytes of text the batch's targets stand for; by default one each.

    Example:
        >>> metric = helix.metrics.BitsPerByte()
        >>> metric.update(helix.zeros(1, 3, 256), helix.tensor([[1, 2, 3]]))
        >>> round(metric.compute().item(), 4)
        8.0
    """

    def take(self, output: Tensor, target: Tensor, bytes: int | Tensor | None = None) -> dict[str, Tensor]:
        nats, count = self._nats(output, target)
        if bytes is not None:
            count = bytes.sum() if isinstance(bytes, Tensor) else tensor(bytes, device=nats.device)
        return {"nats": nats, "count": count}

    def compute(self) -> Tensor:
        return self.nats / (self.count.double() * math.log(2))
