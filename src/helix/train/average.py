"""Average: an exponential moving average of a model's weights, for evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .. import float32
from ..autograd import no_grad
from ..nn import Module
from ..tensor import Tensor


class Average:
    """`average = decay * average + (1 - decay) * weight` after each step; whole numbers and buffers are taken as they are.

    Averages of 16-bit weights are float32: small steps would be lost in theirs. In the first steps the decay is (1 + step) / (10 + step) where that is less, so that the start is forgotten.
    """

    def __init__(self, model: Module, decay: float) -> None:
        if not 0.0 < decay < 1.0:
            raise ValueError(f"Trainer: ema must lie between 0 and 1, got {decay}")
        self.model, self.decay, self.steps = model, decay, 0
        self.tensors = {name: _copied(value) for name, value in model.state_dict().items()}

    def update(self) -> None:
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        parameters = {name for name, _ in self.model.named_parameters()}
        with no_grad():
            for name, value in self.model.state_dict().items():
                if name in parameters:
                    self.tensors[name].lerp_(value.to(self.tensors[name].dtype), 1.0 - decay)
                else:
                    self.tensors[name].copy_(value)

    @contextmanager
    def in_model(self) -> Iterator[None]:
        """Inside, the model has the averaged weights."""
        own = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.tensors)
        try:
            yield
        finally:
            self.model.load_state_dict(own)

    def load(self, tensors: dict[str, Tensor], steps: int) -> None:
        with no_grad():
            for name, value in self.tensors.items():
                value.copy_(tensors[name])
        self.steps = steps


def _copied(value: Tensor) -> Tensor:
    wide = value.is_floating_point() and value.element_size() < 4
    return value.detach().to(float32 if wide else value.dtype, copy=True)
