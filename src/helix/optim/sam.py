"""SAM, around another optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import _core
from ..autograd import enable_grad, no_grad
from ..tensor import Tensor
from .optimizer import Optimizer


class SAM:
    """Sharpness-aware minimization: the gradient is taken where the loss is highest within `rho`; Foret et al., ICLR 2021.
    `adaptive` measures the distance in units of each parameter (Kwon et al., "ASAM", ICML 2021).

    Example:
        >>> p = helix.nn.Parameter(helix.ones(2))
        >>> optimizer = helix.optim.SAM(helix.optim.SGD([p], lr=0.1), rho=0.05)
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (p * p).sum()
        ...     loss.backward()
        ...     return loss
        >>> optimizer.step(closure).item()
        2.0
    """

    def __init__(self, optimizer: Optimizer, rho: float = 0.05, adaptive: bool = False) -> None:
        if not rho >= 0:
            raise ValueError(f"SAM: rho must not be negative, got {rho}")
        self.optimizer, self.rho, self.adaptive = optimizer, rho, adaptive
        self._before: list[tuple[Tensor, Tensor]] = []

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return self.optimizer.param_groups

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.optimizer.zero_grad(set_to_none)

    def step(self, closure: Callable[[], Tensor]) -> Tensor:
        """Two evaluations and a step; returns the first loss."""
        with enable_grad():
            loss = closure()
        self.first_step()
        try:
            with enable_grad():
                closure()
        except BaseException:
            self._go_back()
            raise
        self.second_step()
        return loss

    def first_step(self) -> None:
        """Goes up: to be called with the gradient at the parameters."""
        with no_grad():
            parameters = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
            scaled = [p.abs() * p.grad if self.adaptive else p.grad for p in parameters]
            scale = self.rho / (_core.norm_list(scaled) + 1e-12)
            moves = [p * p * p.grad if self.adaptive else p.grad for p in parameters]
            raised = [p + move * scale.to(p.dtype) for p, move in zip(parameters, moves, strict=True)]
            self._before = [(p, p.detach().clone()) for p in parameters]
            for parameter, value in zip(parameters, raised, strict=True):
                parameter.copy_(value)

    def second_step(self) -> None:
        """Goes back, and steps with the gradient found above."""
        self._go_back()
        self.optimizer.step()

    def _go_back(self) -> None:
        with no_grad():
            for parameter, value in self._before:
                parameter.copy_(value)
        self._before = []

    def state_dict(self) -> dict[str, Any]:
        return self.optimizer.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.optimizer.load_state_dict(state_dict)
