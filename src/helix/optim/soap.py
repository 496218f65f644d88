"""SOAP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Unpack

from .. import linalg, zeros, zeros_like
from ..tensor import Tensor
from .optimizer import Choices, Entry, Optimizer, Update

Number = float | Tensor  # a tensor within a trace, as the next run has another
Bases = dict[str, Tensor]


class SOAP(Optimizer):
    """Adam in the eigenbasis of Shampoo's preconditioners; Vyas et al., "SOAP: improving and stabilizing Shampoo using
    Adam", ICLR 2025 (algorithm 3).

    A tensor of more than two axes is the matrix (first axis, all others); vectors, and sides longer than
    `max_precond_dim`, keep their own basis, which is Adam for them. The bases are refreshed every
    `precondition_frequency` steps by one power iteration and a QR factorization. As in the authors' code the first
    gradient only makes the bases: no step is taken on it.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 3e-3,
        betas: tuple[float, float] = (0.95, 0.95),
        shampoo_beta: float | None = None,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        precondition_frequency: int = 10,
        max_precond_dim: int = 10000,
        *,
        maximize: bool = False,
        **choices: Unpack[Choices],
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": tuple(betas),
            "shampoo_beta": shampoo_beta,
            "eps": eps,
            "weight_decay": weight_decay,
            "precondition_frequency": precondition_frequency,
            "max_precond_dim": max_precond_dim,
            "maximize": maximize,
        }
        super().__init__(params, defaults, choices)

    def check(self, options: Mapping[str, Any]) -> None:
        super().check(options)
        if options["precondition_frequency"] < 1:
            raise ValueError(
                f"SOAP: precondition_frequency must be at least 1, got {options['precondition_frequency']}"
            )

    def fits(self, key: str, value: Any, shape: Any) -> bool:
        if key in ("left", "right", "left_basis", "right_basis") and shape is not None:
            return len(value.shape) == 2 and value.shape[0] == value.shape[1]
        return super().fits(key, value, shape)

    def updates(self, group: dict[str, Any], entries: list[Entry]) -> Iterator[Update]:
        for entry in entries:
            fresh = "exp_avg" not in entry.state
            state = _first(entry, group) if fresh else entry.state
            sides = tuple([side for side in ("left", "right") if side in state])
            tensors = [entry.parameter, entry.gradient, state["exp_avg"], state["exp_avg_sq"]]
            for side in sides:
                tensors += [state[side], state[f"{side}_basis"]]
            options = {"sides": sides, "maximize": group["maximize"], **_numbers(group, state["step"] + 1, fresh)}
            yield Update(_step, tensors, options, {entry.name: state})


def _first(entry: Entry, group: dict[str, Any]) -> dict[str, Any]:
    p = entry.parameter
    state = {"step": -1, **entry.state, "exp_avg": zeros_like(p), "exp_avg_sq": zeros_like(p)}
    if p.ndim > 1:
        for side, size in (("left", p.shape[0]), ("right", p.numel() // max(1, p.shape[0]))):
            if size <= group["max_precond_dim"]:
                for key in (side, f"{side}_basis"):
                    state[key] = zeros((size, size), dtype=p.dtype, device=p.device)
    return state


def _numbers(group: dict[str, Any], step: int, fresh: bool) -> dict[str, float]:
    beta1, beta2 = group["betas"]
    beta = beta2 if group["shampoo_beta"] is None else group["shampoo_beta"]
    return {
        "fresh": float(fresh),
        "due": float(step % group["precondition_frequency"] == 0),
        "of_mean": 1.0 - beta1,
        "of_side": 1.0 - beta,
        "keep_square": float(beta2),
        "of_square": 1.0 - beta2,
        "mean_weight": 1.0 if fresh else 1 - beta1**step,
        "square_weight": 1.0 if fresh else 1 - beta2**step,
        "eps": float(group["eps"]),
        "keep": 1.0 - group["lr"] * group["weight_decay"],
        "lr": float(group["lr"]),
    }


def _step(
    tensors: list[Tensor],
    sides: tuple[str, ...],
    maximize: bool,
    fresh: Number,
    due: Number,
    of_side: Number,
    **numbers: Number,
) -> None:
    parameter, gradient = tensors[0], tensors[1].to(tensors[0].dtype)
    gradient = -gradient if maximize else gradient
    matrix = gradient.reshape(gradient.shape[0], -1) if gradient.ndim > 1 else gradient
    squares, bases = dict(zip(sides, tensors[4::2])), dict(zip(sides, tensors[5::2]))

    def stay() -> list[Tensor]:
        return [parameter, tensors[2], tensors[3]]

    def move() -> list[Tensor]:
        return _adam_in_the_basis(parameter, matrix, tensors[2], tensors[3], bases, **numbers)

    for target, value in zip(stay(), cond(fresh != 0, stay, move), strict=True):
        _put(target, value)
    _refresh(matrix, squares, bases, fresh, due, of_side)


def cond(chosen: bool | Tensor, if_true: Callable[[], Any], if_false: Callable[[], Any]) -> Any:
    from ..graph.control import choose  # needed by this optimizer alone

    return (
        choose(chosen, if_true, if_false, (), None)
        if isinstance(chosen, Tensor)
        else (if_true if chosen else if_false)()
    )


def _put(target: Tensor, value: Tensor) -> None:
    if value is not target:
        target.copy_(value)


def _adam_in_the_basis(
    parameter: Tensor,
    matrix: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    bases: Bases,
    of_mean: Number,
    keep_square: Number,
    of_square: Number,
    mean_weight: Number,
    square_weight: Number,
    eps: Number,
    keep: Number,
    lr: Number,
) -> list[Tensor]:
    """The parameter and the two averages, moved on."""
    average = exp_avg.reshape(matrix.shape).lerp(matrix, of_mean)
    turned = _turn(matrix, bases)
    square = keep_square * exp_avg_sq.reshape(matrix.shape) + of_square * turned * turned
    root = (square / square_weight).sqrt() + eps
    direction = _turn_back(_turn(average, bases) / mean_weight / root, bases)
    moved = parameter * keep - lr * direction.reshape(parameter.shape)
    return [moved, average.reshape(parameter.shape), square.reshape(parameter.shape)]


def _refresh(matrix: Tensor, squares: Bases, bases: Bases, fresh: Number, due: Number, part: Number) -> None:
    """The preconditioners take the gradient in, and from time to time their bases follow."""
    for side, square in squares.items():
        square.copy_(square.lerp(matrix @ matrix.T if side == "left" else matrix.T @ matrix, part))
        _put(bases[side], _basis(square, bases[side], fresh, due))


def _basis(square: Tensor, basis: Tensor, fresh: Number, due: Number) -> Tensor:
    def follow() -> Tensor:
        return cond(due != 0, lambda: linalg.qr(square @ basis)[0], lambda: basis)

    return cond(fresh != 0, lambda: linalg.eigh(square)[1].flip(-1), follow)


def _turn(matrix: Tensor, bases: Bases) -> Tensor:
    turned = bases["left"].T @ matrix if "left" in bases else matrix
    return turned @ bases["right"] if "right" in bases else turned


def _turn_back(matrix: Tensor, bases: Bases) -> Tensor:
    turned = bases["left"] @ matrix if "left" in bases else matrix
    return turned @ bases["right"].T if "right" in bases else turned
