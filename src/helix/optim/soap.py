"""SOAP."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Unpack

from .. import linalg, zeros, zeros_like
from ..tensor import Tensor
from .optimizer import Choices, Entry, Optimizer, Update


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
            options = {"group": group, "state": state, "fresh": fresh}
            yield Update(_step, [entry.parameter, entry.gradient], options, {entry.name: state})


def _first(entry: Entry, group: dict[str, Any]) -> dict[str, Any]:
    p = entry.parameter
    state = {"step": -1, **entry.state, "exp_avg": zeros_like(p), "exp_avg_sq": zeros_like(p)}
    if p.ndim > 1:
        for side, size in (("left", p.shape[0]), ("right", p.numel() // max(1, p.shape[0]))):
            if size <= group["max_precond_dim"]:
                for key in (side, f"{side}_basis"):
                    state[key] = zeros((size, size), dtype=p.dtype, device=p.device)
    return state


def _step(tensors: list[Tensor], group: dict[str, Any], state: dict[str, Any], fresh: bool) -> None:
    parameter, gradient = tensors[0], tensors[1].to(tensors[0].dtype)
    gradient = -gradient if group["maximize"] else gradient
    matrix = gradient.reshape(gradient.shape[0], -1) if gradient.ndim > 1 else gradient
    if not fresh:
        _adam_in_the_basis(parameter, matrix, group, state)
    _refresh(matrix, group, state, fresh)


def _adam_in_the_basis(parameter: Tensor, matrix: Tensor, group: dict[str, Any], state: dict[str, Any]) -> None:
    (beta1, beta2), step = group["betas"], state["step"] + 1
    average = state["exp_avg"].reshape(matrix.shape).lerp(matrix, 1 - beta1)
    turned = _turn(matrix, state)
    square = beta2 * state["exp_avg_sq"].reshape(matrix.shape) + (1 - beta2) * turned * turned
    root = (square / (1 - beta2**step)).sqrt() + group["eps"]
    direction = _turn_back(_turn(average, state) / (1 - beta1**step) / root, state)
    moved = parameter * (1 - group["lr"] * group["weight_decay"]) - group["lr"] * direction.reshape(parameter.shape)
    state["exp_avg"].copy_(average.reshape(parameter.shape))
    state["exp_avg_sq"].copy_(square.reshape(parameter.shape))
    parameter.copy_(moved)


def _refresh(matrix: Tensor, group: dict[str, Any], state: dict[str, Any], fresh: bool) -> None:
    """The preconditioners take the gradient in, and from time to time their bases follow."""
    beta = group["betas"][1] if group["shampoo_beta"] is None else group["shampoo_beta"]
    due = (state["step"] + 1) % group["precondition_frequency"] == 0
    for side, product in (("left", lambda: matrix @ matrix.T), ("right", lambda: matrix.T @ matrix)):
        if side not in state:
            continue
        state[side].copy_(state[side].lerp(product(), 1 - beta))
        basis = state[f"{side}_basis"]
        if fresh:
            basis.copy_(linalg.eigh(state[side])[1].flip(-1))
        elif due:
            basis.copy_(linalg.qr(state[side] @ basis)[0])


def _turn(matrix: Tensor, state: dict[str, Any]) -> Tensor:
    turned = state["left_basis"].T @ matrix if "left" in state else matrix
    return turned @ state["right_basis"] if "right" in state else turned


def _turn_back(matrix: Tensor, state: dict[str, Any]) -> Tensor:
    turned = state["left_basis"] @ matrix if "left" in state else matrix
    return turned @ state["right_basis"].T if "right" in state else turned
