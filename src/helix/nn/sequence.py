"""SequenceLayer: what layers over (batch, length, features) share that also run one step at a time."""

from __future__ import annotations

from typing import Any

from ..precision import LOWER, restored_autocast
from ..tensor import Tensor
from .misfit import describe
from .module import Module


def exactly() -> restored_autocast:
    """A context without autocast: what is raised to powers of the length is computed in the dtype of the parameters."""
    return restored_autocast((None, None))


def narrowed(t: Tensor, like: Tensor) -> Tensor:
    """In the dtype of parameters that are stored in half types."""
    return t.to(like.dtype) if like.dtype.name in LOWER else t


class SequenceLayer(Module):
    """A causal layer in three forms that agree.

    `layer(x)` takes a whole sequence; `layer.stream(x, state)` goes on from a state through a piece and returns the state
    after it; `layer.step(x, state)` does one step, x without the length axis. `default_state(batch)` is the state before
    the first step. A state is a tuple of tensors whose size does not grow with the steps taken.
    """

    d_model: int
    _length_last = False

    def forward(self, x: Tensor) -> Tensor:
        return self.stream(x)[0]

    def stream(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        raise NotImplementedError(f"{type(self).__name__} does not say in stream() what it computes")

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """(batch, features) and a state to (batch, features) and the next state."""
        axis = -1 if self._length_last else 1
        y, state = self.stream(x.unsqueeze(axis), state)
        return y.squeeze(axis), state

    def default_state(self, batch: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not say in default_state() how it begins")

    def misfit(self, x, *_) -> str | None:
        shape = tuple(getattr(x, "shape", ()))
        axis, layout = (1, "(batch, features, length)") if self._length_last else (-1, "(batch, length, features)")
        if len(shape) != 3:
            return f"input has {len(shape)} axes, the layer takes 3: {layout}. {describe(x)}"
        if shape[axis] != self.d_model:
            return f"input has {shape[axis]} features, the layer was made for {self.d_model}: {layout}. {describe(x)}"
        return None
