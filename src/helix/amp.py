"""helix.amp: mixed precision. `autocast` chooses dtypes; `GradScaler` keeps float16 gradients from vanishing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from . import float32
from . import tensor as make
from ._core import op_named, tracing
from .autograd import no_grad
from .errors import ParameterError, TraceError
from .nn.module import changes
from .nn.utils import get_total_norm
from .optim import Optimizer
from .precision import autocast, get_autocast_dtype, is_autocast_enabled
from .tensor import Tensor

__all__ = ["GradScaler", "autocast", "get_autocast_dtype", "is_autocast_enabled"]

_READY, _UNSCALED, _STEPPED = "ready", "unscaled", "stepped"
_scale_list = op_named("scale_list")


class GradScaler:
    """Multiplies the loss so that small gradients survive float16, and finds the multiplier itself.

    After a step whose gradients hold NaN or infinity, the optimizer's step is left out and the scale multiplied by
    `backoff_factor`; after `growth_interval` clean steps in a row it is multiplied by `growth_factor`. bfloat16 needs none
    of this. The state machine is torch's.

        scaler = helix.amp.GradScaler()
        with helix.autocast("cpu", helix.float16):
            loss = loss_of(model(x), y)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)           # only to clip in between
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)               # left out when a gradient is not finite
        scaler.update()

    In a function that is compiled stand forward, `scale` and `backward`; the rest looks at values, and comes after it. A compiled
    function is compiled again for another scale.
    """

    def __init__(
        self,
        device: str = "cpu",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if not growth_factor > 1.0:
            raise ParameterError(f"HX1403 GradScaler: growth_factor must be above 1, got {growth_factor}.")
        if not 0.0 < backoff_factor < 1.0:
            raise ParameterError(f"HX1403 GradScaler: backoff_factor must lie between 0 and 1, got {backoff_factor}.")
        if not init_scale > 0.0 or not math.isfinite(init_scale):
            raise ParameterError(f"HX1403 GradScaler: init_scale must be positive and finite, got {init_scale}.")
        self._scale, self._tracker = float(init_scale), 0
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval, self._enabled = growth_interval, enabled
        self._found: dict[int, bool] = {}
        self._stage: dict[int, str] = {}

    def scale(self, outputs):
        """A tensor, or several in a list or tuple, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            if tracing():
                self._note()
            factor = make(self._scale, dtype=outputs.dtype if outputs.dtype.itemsize > 2 else float32)
            return outputs * factor.to(outputs.device)
        return type(outputs)(self.scale(output) for output in outputs)

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divides the gradients by the scale, in place; once for each step, before clipping."""
        if not self._enabled:
            return
        _refuse_trace("unscale_")
        stage = self._stage.get(id(optimizer), _READY)
        if stage == _UNSCALED:
            raise RuntimeError("GradScaler.unscale_ was called twice since the last update")
        if stage == _STEPPED:
            raise RuntimeError("GradScaler.unscale_ was called after step")
        with no_grad():
            self._found[id(optimizer)] = not _unscaled(_gradients(optimizer), 1.0 / self._scale)
        self._stage[id(optimizer)] = _UNSCALED

    def step(self, optimizer: Optimizer, *args, **kwargs):
        """`optimizer.step()` with gradients divided by the scale; left out when one of them is not finite."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        _refuse_trace("step")
        if self._stage.get(id(optimizer), _READY) == _STEPPED:
            raise RuntimeError("GradScaler.step was called twice since the last update")
        if self._stage.get(id(optimizer), _READY) == _READY:
            self.unscale_(optimizer)
        self._stage[id(optimizer)] = _STEPPED
        return None if self._found[id(optimizer)] else optimizer.step(*args, **kwargs)

    def found_inf(self, optimizer: Optimizer) -> bool:
        """Whether the gradients unscaled last held NaN or infinity."""
        return self._found.get(id(optimizer), False)

    def update(self, new_scale: float | None = None) -> None:
        """Moves the scale, once all optimizers have stepped."""
        if not self._enabled:
            return
        _refuse_trace("update")
        if new_scale is not None:
            self._move(float(new_scale))
        elif not self._found:
            raise RuntimeError("GradScaler.update: no step or unscale_ came before it")
        elif any(self._found.values()):
            self._move(self._scale * self._backoff_factor)
            self._tracker = 0
        else:
            self._tracker += 1
            if self._tracker == self._growth_interval:
                grown = self._scale * self._growth_factor
                self._move(grown if grown <= _LARGEST else self._scale)
                self._tracker = 0
        self._found, self._stage = {}, {}

    def _move(self, scale: float) -> None:
        self._scale = scale
        changes[0] += 1

    def _note(self) -> None:
        from .graph.tracer import active

        tracer = active()
        if tracer is not None:
            tracer.note(self, "_scale")

    # ---- state ---------------------------------------------------------------------------------------------

    def is_enabled(self) -> bool:
        return self._enabled

    def get_scale(self) -> float:
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        return self._growth_factor

    def get_backoff_factor(self) -> float:
        return self._backoff_factor

    def get_growth_interval(self) -> int:
        return self._growth_interval

    def state_dict(self) -> dict[str, Any]:
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._tracker,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if not self._enabled:
            return
        if not state:
            raise ValueError("GradScaler: the saved state is of a scaler that was not enabled")
        self._move(float(state["scale"]))
        self._tracker = int(state["_growth_tracker"])
        self._growth_factor, self._backoff_factor = state["growth_factor"], state["backoff_factor"]
        self._growth_interval = state["growth_interval"]


_LARGEST = 2.0**127  # of float32, in which the loss is multiplied


def _refuse_trace(name: str) -> None:
    if tracing():
        raise TraceError(
            f"HX1702 GradScaler.{name} looks at values, which a trace has not: compile forward, scale and backward, and call "
            "unscale_, step and update after the compiled function",
            code="HX1702",
        )


def _gradients(optimizer: Optimizer) -> list[Tensor]:
    return [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]


def _unscaled(gradients: list[Tensor], factor: float) -> bool:
    """Multiplies all gradients; whether each of their elements was finite."""
    if not gradients:
        return True
    finite = math.isfinite(get_total_norm(gradients, math.inf).item())
    here = [g for g in gradients if g.device.type == "cpu"]
    if here:
        _scale_list(make(factor), here)
    for gradient in gradients:
        if gradient.device.type != "cpu":
            gradient.mul_(factor)
    return finite
