"""Lookahead, around another optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import _core, where
from ..autograd import no_grad
from ..errors import CheckpointError
from ..tensor import Tensor
from .optimizer import Optimizer


class Lookahead:
    """Every k steps of the optimizer, slow weights go a part of the way and the parameters start again from there; Zhang
    et al., "Lookahead optimizer: k steps forward, 1 step back", NeurIPS 2019."""

    def __init__(self, optimizer: Optimizer, k: int = 5, alpha: float = 0.5) -> None:
        if k < 1 or not 0 <= alpha <= 1:
            raise ValueError(f"Lookahead: k must be at least 1 and alpha between 0 and 1, got {k} and {alpha}")
        self.optimizer, self.k, self.alpha = optimizer, k, alpha
        self.steps = 0
        self.slow = {name: p.detach().clone() for name, p in self._named()}

    def _named(self) -> list[tuple[str, Tensor]]:
        groups = self.optimizer.param_groups
        return [pair for group in groups for pair in zip(group["names"], group["params"], strict=True)]

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return self.optimizer.param_groups

    @property
    def state(self) -> dict[str, dict[str, Any]]:
        """The optimizer's states, and of each parameter the slow weights and the steps made."""
        states = self.optimizer.state
        return {n: {**states.get(n, {}), "slow": slow, "slow_steps": self.steps} for n, slow in self.slow.items()}

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.optimizer.zero_grad(set_to_none)

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        loss = self.optimizer.step(closure)
        if _core.tracing():
            self._trace()
            return loss
        self.steps += 1
        if self.steps % self.k == 0:
            with no_grad():
                for name, parameter in self._named():
                    slow = self.slow[name]
                    _core.rule_step([slow, parameter], rule="average", states=0, c0=self.alpha)
                    parameter.copy_(slow)
        return loss

    def _trace(self) -> None:
        """Records what a step does beyond the optimizer's: in a graph every step looks whether it is a k-th one."""
        from .traced import TracedLookahead, tracer_of

        tracer = tracer_of("Lookahead.step")
        due, numbers = tracer.stand_around(TracedLookahead(self))
        with no_grad():
            for name, parameter in self._named():
                slow = self.slow[name]
                tracer.called(slow, f"{name}.slow")
                _core.rule_step([slow, parameter], rule="average", states=0, numbers=numbers)
                parameter.copy_(where(due != 0, slow, parameter))

    def state_dict(self) -> dict[str, Any]:
        """As an optimizer's; tensors are shared, not copied."""
        return {**self.optimizer.state_dict(), "state": self.state}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave; raises CheckpointError if it is of other parameters."""
        mine = dict(self._named())
        slow = {name: values.get("slow") for name, values in state_dict["state"].items()}
        if set(slow) != set(mine) or any(value is None or value.shape != mine[n].shape for n, value in slow.items()):
            raise CheckpointError(
                "HX3004 Lookahead: the saved state has not the slow weights of these parameters; nothing was loaded."
            )
        rest = {
            name: {key: value for key, value in values.items() if key not in ("slow", "slow_steps")}
            for name, values in state_dict["state"].items()
        }
        self.optimizer.load_state_dict(
            {**state_dict, "state": {name: values for name, values in rest.items() if values}}
        )
        self.slow = {name: value.detach().to(mine[name].device, copy=True) for name, value in slow.items()}
        self.steps = next(values["slow_steps"] for values in state_dict["state"].values())
