"""AdaptiveLogSoftmaxWithLoss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .. import cat
from .._core import tracing
from ..errors import ParameterError, ShapeError
from ..tensor import Tensor
from . import functional as F
from .containers import ModuleList, Sequential
from .linear import Linear
from .module import Module


class AdaptiveLogSoftmaxOutput(NamedTuple):
    """Log-probability of each target, and minus their mean."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """A softmax over many classes sorted by frequency: the frequent ones stand in the head, the others in clusters whose
    projections are narrower; Grave et al., "Efficient softmax approximation for GPUs", ICML 2017.

    input: (N, in_features) or (in_features); target: (N) or none. `cutoffs` are the first classes of the clusters. The i-th
    cluster's projection has in_features // div_value^(i + 1) features. Fails with HX1403 for cutoffs that do not rise
    within the classes or a target outside them, and with HX1001 for other shapes.
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device=None,
        dtype=None,
    ) -> None:
        cutoffs = list(cutoffs)
        if not cutoffs or cutoffs != sorted(set(cutoffs)) or cutoffs[0] < 1 or cutoffs[-1] >= n_classes:
            raise ParameterError(
                f"HX1403 AdaptiveLogSoftmaxWithLoss: cutoffs must rise from 1 to at most n_classes - 1 = {n_classes - 1}, "
                f"got {cutoffs}.",
                op="AdaptiveLogSoftmaxWithLoss",
                code="HX1403",
            )
        self.in_features, self.n_classes, self.cutoffs = in_features, n_classes, [*cutoffs, n_classes]
        self.div_value, self.head_bias = div_value, head_bias
        self.shortlist_size, self.n_clusters = cutoffs[0], len(cutoffs)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=head_bias, device=device, dtype=dtype)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            narrow, size = int(in_features // div_value ** (i + 1)), self.cutoffs[i + 1] - self.cutoffs[i]
            down = Linear(in_features, narrow, bias=False, device=device, dtype=dtype)
            self.tail.append(Sequential(down, Linear(narrow, size, bias=False, device=device, dtype=dtype)))

    def reset_parameters(self) -> None:
        self.head.reset_parameters()
        for module in self.tail.modules():
            if isinstance(module, Linear):
                module.reset_parameters()

    def forward(self, input: Tensor, target: Tensor) -> AdaptiveLogSoftmaxOutput:
        if target.ndim > 1 or input.ndim != target.ndim + 1 or input.shape[:-1] != target.shape:
            raise ShapeError(
                "HX1001 AdaptiveLogSoftmaxWithLoss: expected input (N, in_features) and target (N), or both without N, "
                f"got {tuple(input.shape)} and {tuple(target.shape)}.",
                op="AdaptiveLogSoftmaxWithLoss",
                code="HX1001",
            )
        found = self._found(input.reshape(-1, self.in_features), target.reshape(-1))
        return AdaptiveLogSoftmaxOutput(found.reshape(target.shape), -found.mean())

    def _found(self, rows: Tensor, target: Tensor) -> Tensor:
        """The log-probability of each row's target: that of its place in the head, and of its place in its cluster."""
        if tracing():
            return self._everywhere(rows, target)
        if bool(((target < 0) | (target >= self.n_classes)).any()):
            raise ParameterError(
                f"HX1403 AdaptiveLogSoftmaxWithLoss: targets must lie between 0 and {self.n_classes - 1}, got "
                f"{target.min().item()} to {target.max().item()}.",
                op="AdaptiveLogSoftmaxWithLoss",
                code="HX1403",
            )
        places, inner = target.clone(), rows.new_zeros(target.shape)
        for i, (first, end) in enumerate(zip(self.cutoffs, self.cutoffs[1:], strict=False)):
            numbers = ((target >= first) & (target < end)).nonzero().reshape(-1)
            if numbers.numel() == 0:
                continue
            places = places.index_fill(0, numbers, self.shortlist_size + i)
            scores = F.log_softmax(self.tail[i](rows[numbers]), dim=1)
            inner = inner.index_copy(0, numbers, scores.gather(1, (target[numbers] - first).unsqueeze(1)).squeeze(1))
        return inner + F.log_softmax(self.head(rows), dim=1).gather(1, places.unsqueeze(1)).squeeze(1)

    def _everywhere(self, rows: Tensor, target: Tensor) -> Tensor:
        """The same in a graph, where how many rows lie in a cluster is not known: each cluster looks at all of them."""
        places, inner = target, rows.new_zeros(target.shape)
        for i, (first, end) in enumerate(zip(self.cutoffs, self.cutoffs[1:], strict=False)):
            inside = (target >= first) & (target < end)
            places = places.masked_fill(inside, self.shortlist_size + i)
            scores = F.log_softmax(self.tail[i](rows), dim=1)
            at = (target - first).where(inside, 0).unsqueeze(1)
            inner = inner + scores.gather(1, at).squeeze(1).where(inside, 0)
        return inner + F.log_softmax(self.head(rows), dim=1).gather(1, places.unsqueeze(1)).squeeze(1)

    def log_prob(self, input: Tensor) -> Tensor:
        """Log-probabilities of all classes, (N, n_classes)."""
        head = F.log_softmax(self.head(input), dim=1)
        parts = [head[:, : self.shortlist_size]]
        for i, cluster in enumerate(self.tail):
            parts.append(F.log_softmax(cluster(input), dim=1) + head[:, self.shortlist_size + i].unsqueeze(1))
        return cat(parts, 1)

    def predict(self, input: Tensor) -> Tensor:
        """The likeliest class of each row; clusters are looked into only for rows that lie in one."""
        head = self.head(input)
        found = head.argmax(1)
        if tracing():
            return self.log_prob(input).argmax(1).where(found >= self.shortlist_size, found)
        outside = (found >= self.shortlist_size).nonzero().reshape(-1)
        if outside.numel() == 0:
            return found
        return found.index_copy(0, outside, self.log_prob(input[outside]).argmax(1))
