"""L-BFGS."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .. import _core, cat, stack
from ..autograd import enable_grad, no_grad
from ..errors import TraceError
from ..tensor import Tensor
from .line_search import Point, strong_wolfe
from .optimizer import Optimizer


class LBFGS(Optimizer):
    """Limited-memory BFGS; Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", Math.
    Programming 45, 1989. A step needs a closure, which it calls up to `max_eval` times; all parameters are one group.

    Args:
        max_iter: directions a step.
        max_eval: evaluations a step; 1.25 max_iter when not given.
        tolerance_grad: a step ends when no element of the gradient is larger.
        tolerance_change: and when no element, or the loss, changes by more.
        history_size: how many changes of the gradient are kept.
        line_search_fn: None for steps of `lr`, or "strong_wolfe".
    """

    not_negative = ("lr", "tolerance_grad", "tolerance_change")

    def __init__(
        self,
        params: Iterable,
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if line_search_fn not in (None, "strong_wolfe"):
            raise ValueError(f"LBFGS: line_search_fn must be None or 'strong_wolfe', got {line_search_fn!r}")
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError(f"LBFGS: all parameters must be one group, got {len(self.param_groups)} groups")

    def fits(self, key: str, value: Any, shape: Any) -> bool:
        return shape is not None

    def step(self, closure: Callable[[], Tensor]) -> Tensor:  # type: ignore[override]
        """Goes down until an end is found; returns the loss before. Raises TraceError (HX1702) within a trace: where a step
        ends depends on values. The closure can be compiled."""
        if _core.tracing():
            raise TraceError(
                "HX1702 LBFGS.step cannot be traced: how often it calls the closure depends on the losses that it finds; compile "
                "the closure, closure = helix.compile(closure), and call step(closure) outside of the graph",
                code="HX1702",
                op="LBFGS.step",
            )
        self._hooks.run("step_pre", self, (closure,), {})
        loss = self._step(closure)
        self._hooks.run("step_post", self, (closure,), {})
        return loss

    def _step(self, closure: Callable[[], Tensor]) -> Tensor:
        group = self.param_groups[0]
        state = dict(self.state.get(group["names"][0], {"func_evals": 0, "n_iter": 0}))
        first = _with_gradient(closure)
        loss, gradient, evaluations = first.item(), self._gradient(), 1
        with no_grad():
            for iteration in range(group["max_iter"]):
                if _largest(gradient) <= group["tolerance_grad"]:
                    break
                state["n_iter"] += 1
                direction = _direction(gradient, state, group["history_size"])
                slope = gradient.dot(direction).item()
                state |= {"d": direction, "prev_flat_grad": gradient, "prev_loss": loss}
                state["t"] = group["lr"] * (1 if state["n_iter"] > 1 else min(1.0, 1.0 / gradient.abs().sum().item()))
                if slope > -group["tolerance_change"]:
                    break
                here = Point(0.0, loss, gradient, slope)
                last = iteration == group["max_iter"] - 1
                point, count = self._moved(closure, here, direction, state["t"], evaluations, last)
                state["t"], loss, gradient = point.at, point.value, point.gradient
                evaluations += count
                change = abs(state["t"]) * _largest(direction)
                small = change <= group["tolerance_change"] or abs(loss - here.value) < group["tolerance_change"]
                if evaluations >= group["max_eval"] or small:
                    break
        state["func_evals"] += evaluations
        self.state[group["names"][0]] = state
        return first

    def _moved(
        self, closure: Callable[[], Tensor], here: Point, direction: Tensor, step: float, evaluations: int, last: bool
    ) -> tuple[Point, int]:
        """Where the parameters are after a move along the direction, and how many evaluations it took."""
        group = self.param_groups[0]
        before = [parameter.detach().clone() for parameter in group["params"]]

        def evaluate(at: float) -> Point:
            self._place(before, at, direction)
            value = _with_gradient(closure).item()
            gradient = self._gradient()
            return Point(at, value, gradient, gradient.dot(direction).item())

        if group["line_search_fn"] is None:
            if not last:
                return evaluate(step), 1
            self._place(before, step, direction)
            return here._replace(at=step), 0
        point, count = strong_wolfe(
            evaluate, here, step, _largest(direction), most=group["max_eval"] - evaluations
        )  # fmt: skip
        self._place(before, point.at, direction)
        return point, count

    def _gradient(self) -> Tensor:
        parameters = self.param_groups[0]["params"]
        with no_grad():
            return cat([(p * 0 if p.grad is None else p.grad).detach().reshape(-1) for p in parameters])

    def _place(self, before: list[Tensor], step: float, direction: Tensor) -> None:
        start = 0
        for parameter, old in zip(self.param_groups[0]["params"], before, strict=True):
            end = start + parameter.numel()
            parameter.copy_(old + step * direction[start:end].reshape(parameter.shape))
            start = end


def _with_gradient(closure: Callable[[], Tensor]) -> Tensor:
    with enable_grad():
        return closure()


def _largest(x: Tensor) -> float:
    return x.abs().max().item()


def _direction(gradient: Tensor, state: dict[str, Any], history_size: int) -> Tensor:
    """Minus the approximate inverse Hessian times the gradient; takes the newest change into the state."""
    if state["n_iter"] == 1 or "d" not in state:
        state |= {"ro": [], "H_diag": 1.0}
        return -gradient
    changes, steps, inverse = list(state.get("old_dirs", ())), list(state.get("old_stps", ())), list(state["ro"])
    change, step = gradient - state["prev_flat_grad"], state["d"] * state["t"]
    curvature = change.dot(step).item()
    if curvature > 1e-10:
        changes, steps, inverse = changes + [change], steps + [step], inverse + [1.0 / curvature]
        changes, steps, inverse = changes[-history_size:], steps[-history_size:], inverse[-history_size:]
        state |= {"old_dirs": stack(changes), "old_stps": stack(steps), "ro": inverse}
        state["H_diag"] = curvature / change.dot(change).item()
    direction, weights = -gradient, []
    for change, step, part in zip(reversed(changes), reversed(steps), reversed(inverse), strict=True):
        weights.append(step.dot(direction).item() * part)
        direction = direction - weights[-1] * change
    direction = direction * state["H_diag"]
    for change, step, part, weight in zip(changes, steps, inverse, reversed(weights), strict=True):
        direction = direction + step * (weight - change.dot(direction).item() * part)
    return direction
