"""SparseAdam."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Unpack

from .. import _core, cat, where, zeros_like
from ..nn.functions.tables import lookups_of
from ..tensor import Tensor
from .optimizer import Choices, Entry, Optimizer, Update


class SparseAdam(Optimizer):
    """Adam that moves only the rows that a batch has looked up; of the others neither momentum nor parameter fades, as in
    torch's. For tables of embeddings.

    helix has no sparse tensors: gradients are dense, and the rows are those with an element other than 0. Those that an
    embedding with `sparse=True` was asked for move on by their momentum, as in torch, even where their gradient is 0; in a
    traced step they do not.

    Example:
        >>> table = helix.nn.Embedding(3, 2, sparse=True)
        >>> optimizer = helix.optim.SparseAdam(table.parameters(), lr=0.1)
        >>> before = table.weight.detach().clone()
        >>> table(helix.tensor([1])).sum().backward()
        >>> optimizer.step()
        >>> (table.weight != before).any(1).tolist()
        [False, True, False]
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
        **choices: Unpack[Choices],
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps, "maximize": maximize}, choices)

    def check_parameter(self, name: str, parameter: Tensor) -> None:
        if parameter.ndim == 0:
            raise ValueError(f"SparseAdam: parameters have rows, {name!r} is one number; give it to Adam")

    def updates(self, group: dict[str, Any], entries: list[Entry]) -> Iterator[Update]:
        for entry in entries:
            state = entry.state
            if "exp_avg" not in state:
                state = {"step": 0, **state, **{k: zeros_like(entry.parameter) for k in ("exp_avg", "exp_avg_sq")}}
            tensors = [entry.parameter, entry.gradient, state["exp_avg"], state["exp_avg_sq"]]
            asked = lookups_of(entry.parameter)
            if asked is not None and asked.rows and not _core.tracing():
                tensors.append(cat(asked.rows))
            yield Update(_step, tensors, _options(group, state["step"] + 1), {entry.name: state})

    def zero_grad(self, set_to_none: bool = True) -> None:
        super().zero_grad(set_to_none)
        for group in self.param_groups:
            for parameter in group["params"]:
                if asked := lookups_of(parameter):
                    asked.rows = []


def _options(group: Mapping[str, Any], step: int) -> dict[str, Any]:
    beta1, beta2 = group["betas"]
    return {
        "maximize": group["maximize"],
        "of_mean": 1.0 - beta1,
        "of_square": 1.0 - beta2,
        "size": group["lr"] * math.sqrt(1 - beta2**step) / (1 - beta1**step),
        "eps": float(group["eps"]),
    }


def _step(tensors: list[Tensor], maximize: bool, **numbers: float) -> None:
    parameter, gradient, average, square, *asked = tensors
    chosen = (gradient != 0).reshape(gradient.shape[0], -1).any(1)
    for rows in asked:
        chosen[rows] = True
    given = -gradient if maximize else gradient
    if _core.tracing():  # how many rows there are depends on values: all are moved, and the others put back
        chosen = chosen.reshape(-1, *[1] * (gradient.ndim - 1))
        for old, new in zip(
            (parameter, average, square), _moved([parameter, given, average, square], **numbers), strict=True
        ):
            old.copy_(where(chosen, new, old))
        return
    rows = chosen.nonzero().reshape(-1)
    looked_up = [tensor.index_select(0, rows) for tensor in (parameter, given, average, square)]
    for old, new in zip((parameter, average, square), _moved(looked_up, **numbers), strict=True):
        old.index_copy_(0, rows, new)


def _moved(
    tensors: list[Tensor], of_mean: float, of_square: float, size: float, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    parameter, gradient, average, square = tensors
    given = gradient.to(average.dtype)
    mean, second = average.lerp(given, of_mean), square.lerp(given * given, of_square)
    return parameter - (size * mean / (second.sqrt() + eps)).to(parameter.dtype), mean, second
