"""A model as a module: its initializers are parameters and buffers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._core import Tensor
from ..nn.module import Module
from ..nn.parameter import Parameter
from .planning import bounded
from .program import Program
from .running import Run

if TYPE_CHECKING:
    from .model import Model

_STATISTICS = {("BatchNormalization", 3), ("BatchNormalization", 4)}
_QUANTISED = ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger")
DEEP = 16  # parts of a dotted name that become modules within modules


class Part(Module):
    """Holds what stands below a common name."""


class OnnxModule(Module):
    """Computes a model. Initializer `layer.0.weight` is `module.layer.0.weight`."""

    def __init__(self, model: Model, constants: Mapping[str, Any], planned: bool = False) -> None:
        super().__init__()
        self.model, self.planned = model, planned
        self.constants = dict(constants)
        self.paths: dict[str, tuple[Module, str]] = {}
        for name, tensor in model.tensors.items():
            self._enter(name, tensor, name in model.trainable)

    def _enter(self, name: str, tensor: Tensor, train: bool) -> None:
        parts = name.split(".") if name.count(".") < DEEP else [name.replace(".", "_")]
        holder: Module = self
        for part in map(_harmless, parts[:-1]):
            below = holder.__dict__.get(part)
            if not isinstance(below, Part):
                below = Part()
                part = _free(holder, part)
                holder.add_module(part, below)
            holder = below
        last = _free(holder, _harmless(parts[-1]))
        if train:
            holder.register_parameter(last, Parameter(tensor.detach()))
        else:
            holder.register_buffer(last, tensor)
        self.paths[name] = holder, last

    @property
    def input_names(self) -> list[str]:
        return [port.name for port in self.model.inputs if port.name not in self.constants]

    @property
    def output_names(self) -> list[str]:
        return [port.name for port in self.model.outputs]

    def forward(self, *inputs: Any) -> Any:
        """The outputs: one tensor, or a tuple."""
        model = self.model
        free = [port for port in model.inputs if port.name not in self.constants]
        run = bounded(Run(model.reader)) if self.planned else Run(model.reader)
        values: dict[str, Any] = dict(self.constants)
        values |= {port.name: value for port, value in zip(free, inputs, strict=True)}
        for value in self.constants.values():
            run.know(value, False)
        for name, (holder, last) in self.paths.items():
            values[name] = holder.__dict__[last]
            if name not in model.trainable:
                run.know(values[name], False)
        made = run.program(model.program, values, None)
        return made[0] if len(made) == 1 else tuple(made)

    def extra_repr(self) -> str:
        return f"{self.model.name}, {len(self.model.program.steps)} nodes"


def _harmless(name: str) -> str:
    """A name that is no attribute of every module."""
    return f"{name}_" if not name or name.startswith("_") or hasattr(Module, name) or name in ("model", "planned", "constants", "paths", "training") else name  # fmt: skip


def _free(holder: Module, name: str) -> str:
    while name in holder.__dict__:
        name += "_"
    return name


def trainable(program: Program) -> frozenset[str]:
    """The initializers that a training changes."""
    used: set[str] = set()
    _uses(program, used)
    fitting = {name for name, t in program.constants.items() if t.dtype.is_floating_point and t.ndim and t.numel()}
    return frozenset(fitting & used)


def _uses(program: Program, used: set[str]) -> None:
    for step in program.steps:
        static = step.handler.static if step.handler is not None else frozenset()
        for i, name in enumerate(step.inputs):
            if i not in static and (step.op, i) not in _STATISTICS and step.op not in _QUANTISED:
                used.add(name)
        for body in step.bodies:
            _uses(body, used)
