"""Runs that come again: from the second one of its shapes on a model is one list of kernels, with its memory planned."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .._core import Tensor
from ..errors import HelixError, TraceError
from .running import Run

if TYPE_CHECKING:
    from .model import Model

STEPS = 20_000  # of a trace: a loop of more rounds is run round by round
KINDS = 64  # of shapes that are remembered, and planned


class Plans:
    """The compiled model. What cannot be traced, and what fails, is left to a run node by node, which tells the node."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.seen: set[Any] = set()
        self.compiled: Any = None
        self.held: list[int] = []
        self.possible = all(port.kind == "tensor" for port in (*model.inputs, *model.outputs))

    def run(self, values: dict[str, Any]) -> list[Any] | None:
        """The outputs for these inputs; None at the first run of their shapes, and where there is no plan."""
        if not self.possible or len(values) != len(self.model.inputs):
            return None
        given = [values[port.name] for port in self.model.inputs]
        key = tuple([(x.shape, x.dtype, x.device) for x in given])
        if key not in self.seen:
            if len(self.seen) < KINDS:
                self.seen.add(key)
            return None
        held = [id(tensor) for tensor in self.model.tensors.values()]
        if self.compiled is None or held != self.held:
            self.compiled, self.held = self._compiled(), held
        try:
            made = self.compiled(*given)
        except TraceError:
            self.possible = False
            return None
        except HelixError:
            return None
        outputs = list(made) if isinstance(made, tuple) else [made]
        self.possible = all(isinstance(output, Tensor) for output in outputs)
        return outputs if self.possible else None

    def _compiled(self) -> Any:
        from ..graph.compiling import compile
        from .module import OnnxModule

        return compile(OnnxModule(self.model, {}, planned=True), cache_size=KINDS, fallback="error")


def bounded(run: Run) -> Run:
    """A run whose trace is for a plan: short, and with nothing in it that only a run node by node counts."""
    run.planned, run.limits = True, replace(run.limits, steps=min(run.limits.steps, STEPS))
    return run
