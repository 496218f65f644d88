"""Average: an exponential moving average of a model's weights, for evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..autograd import no_grad
from ..nn import Module
from ..tensor import Tensor


class Average:
    """`average = decay * average + (1 - decay) * weight` after each step; whole numbers and buffers are taken as they are.

    In the first steps the decay is (1 + step) / (10 + step) where that is less, so that the start is forgotten.
    """

    def __init__(self, model: Module, decay: float) -> None:
        if not 0.0 < decay < 1.0:
            raise ValueError(f"Trainer: ema must lie between 0 and 1, got {decay}")
        self.model, self.decay, self.steps = model, decay, 0
        self.tensors = {name: value.detach().clone() for name, value in model.state_dict().items()}

    def update(self) -> None:
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        parameters = {name for name, _ in self.model.named_parameters()}
        with no_grad():
            for name, value in self.model.state_dict().items():
                if name in parameters:
                    self.tensors[name].lerp_(value, 1.0 - decay)
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
        self.tensors, self.steps = {name: value.detach().clone() for name, value in tensors.items()}, steps
