"""Running a program: step by step on tensors; within a trace the same steps are recorded.

Values that follow from constants and from the shapes of tensors alone are computed at once, also within a trace. So chains
that compute a shape do not stand in a graph, and what they give may be read where an operator asks for numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import helix

from .. import _core
from .._core import Tensor
from ..autograd import no_grad
from ..errors import HelixError, TraceError
from .faults import broken, library, misrun
from .limits import Limits
from .program import Program, Reader, Step
from .types import code_of

SMALL = 64  # elements of a computed constant that a trace writes as numbers


class Scope:
    """The values of a graph, and those around it."""

    __slots__ = ("parent", "values")

    def __init__(self, values: dict[str, Any], parent: Scope | None) -> None:
        self.values, self.parent = values, parent

    def get(self, name: str) -> Any:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.parent
        raise broken(f"the value {name[:80]!r} is not there")


class Call:
    """What a handler that asks for it knows of its node."""

    __slots__ = ("run", "scope", "step")

    def __init__(self, run: Run, step: Step, scope: Scope) -> None:
        self.run, self.step, self.scope = run, step, scope

    @property
    def outputs(self) -> int:
        """How many outputs are named."""
        return len(self.step.outputs)

    def wants(self, index: int) -> bool:
        return index < len(self.step.outputs) and bool(self.step.outputs[index])

    @property
    def limits(self) -> Limits:
        return self.run.limits

    def body(self, program: Program, values: Sequence[Any]) -> list[Any]:
        """Runs a body of the node."""
        if len(values) != len(program.inputs):
            raise misrun(
                self.step.where, f"its body takes {len(program.inputs)} inputs, got {len(values)}", self.step.op
            )
        return self.run.program(program, dict(zip(program.inputs, values, strict=True)), self.scope)

    def require(self, elements: int) -> None:
        """Raises FormatError (HX4022) where a result would have too many elements."""
        if elements > self.run.limits.value_elements:
            raise misrun(
                self.step.where,
                f"its result would have {elements} elements, {self.run.limits.value_elements} are allowed; see Limits",
                self.step.op,
            )


class Run:
    """One run, or one trace, of a model."""

    def __init__(self, reader: Reader) -> None:
        self.reader, self.limits = reader, reader.limits
        self.tracing, self.planned = _core.tracing(), False
        self.known: dict[int, tuple[Tensor, bool]] = {}  # id -> tensor, and whether it follows from a size
        self.count = 0
        self.device: Any = None  # where all values are: that of the first

    # ---- programs --------------------------------------------------------------------------------------------

    def program(self, program: Program, values: dict[str, Any], outer: Scope | None) -> list[Any]:
        if self.device is None:
            first = next((x for x in (*values.values(), *program.constants.values()) if isinstance(x, Tensor)), None)
            self.device = helix.get_default_device() if first is None else first.device
        for name, tensor in program.constants.items():
            if name not in values:
                values[name] = self.here(tensor)
                self.know(values[name], False)
        scope = Scope(values, outer)
        for step in program.steps:
            self.tick()
            made = self.step(step, scope)
            values |= {name: value for name, value in zip(step.outputs, made) if name}
            for name in step.drops:
                values.pop(name, None)
        return [scope.get(name) if name else None for name in program.outputs]

    def here(self, tensor: Tensor) -> Tensor:
        """A constant of the file, where the run is."""
        return tensor if tensor.device == self.device else tensor.to(self.device)

    def tick(self, steps: int = 1) -> None:
        self.count += steps
        if self.count > self.limits.steps:
            raise broken(f"the run takes more than {self.limits.steps} steps; see Limits")

    def step(self, step: Step, scope: Scope) -> tuple[Any, ...]:
        inputs = [scope.get(name) if name else None for name in step.inputs]
        while inputs and inputs[-1] is None and not step.inputs[len(inputs) - 1]:
            inputs.pop()
        try:
            made: Any = NotImplemented
            if step.handler is not None:
                made = self.traced(step, inputs, scope) if self.tracing else self.call(step, inputs, scope)
            if made is NotImplemented:
                body = self.body_of(step, inputs)
                made = tuple(self.program(body, self.fed(step, body, inputs), None))
        except TraceError as error:
            raise self.untraceable(step, error) from error
        except HelixError as error:
            error.add_note(f"in {step.where}")
            raise
        except (
            ArithmeticError,
            AssertionError,
            AttributeError,
            LookupError,
            MemoryError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            shown = ", ".join(_told(value) for value in inputs)
            raise misrun(
                step.where, f"{type(error).__name__}: {str(error)[:200]}, with inputs {shown}", step.op
            ) from error
        results = made if type(made) is tuple else (made,)
        for value in results:
            if isinstance(value, Tensor):
                Call(self, step, scope).require(
                    prod([size or 1 for size in value.shape])
                )  # empty ones may not be endless either
        return results

    def call(self, step: Step, inputs: list[Any], scope: Scope) -> Any:
        handler = step.handler
        assert handler is not None
        if handler.takes_call:
            return handler.function(Call(self, step, scope), *inputs, **step.keywords)
        return handler.function(*inputs, **step.keywords)

    # ---- functions -------------------------------------------------------------------------------------------

    def body_of(self, step: Step, inputs: list[Any]) -> Program:
        if step.body is not None:
            return step.body
        if step.proto is None:
            raise misrun(step.where, "nothing computes it", step.op)
        with _core.trace_paused():
            made = self.reader.expansion(step, [_type_of(value) for value in inputs])
        if not _depends_on_types(step):
            step.body = made
        return made

    @staticmethod
    def fed(step: Step, body: Program, inputs: list[Any]) -> dict[str, Any]:
        if len(inputs) > len(body.inputs):
            raise misrun(step.where, f"it takes {len(body.inputs)} inputs, got {len(inputs)}", step.op)
        padded = [*inputs, *[None] * (len(body.inputs) - len(inputs))]
        return dict(zip(body.inputs, padded, strict=True))

    # ---- traces ----------------------------------------------------------------------------------------------

    def know(self, value: Any, sized: bool) -> None:
        if isinstance(value, Tensor):
            self.known[id(value)] = (value, sized)
        elif isinstance(value, list):
            for part in value:
                self.know(part, sized)

    def is_known(self, value: Any) -> bool:
        if isinstance(value, list):
            return all(map(self.is_known, value))
        return value is None or id(value) in self.known

    def is_sized(self, value: Any) -> bool:
        if isinstance(value, list):
            return any(map(self.is_sized, value))
        return value is not None and id(value) in self.known and self.known[id(value)][1]

    def traced(self, step: Step, inputs: list[Any], scope: Scope) -> Any:
        handler = step.handler
        assert handler is not None
        known = all(map(self.is_known, inputs))
        sized = any(map(self.is_sized, inputs))
        if step.bodies:  # they may take what is traced from around them
            return self.call(step, inputs, scope)
        if handler.sizes or (known and not handler.random and not (handler.grows and sized)):
            with _core.trace_paused(), no_grad():
                made = self.call(step, inputs, scope)
            for value in made if type(made) is tuple else (made,):
                self.know(value, sized if known and not handler.sizes else handler.sizes and not known)
            return made
        given = [value if i in handler.static else self.written(value) for i, value in enumerate(inputs)]
        return self.call(step, given, scope)

    def written(self, value: Any) -> Any:
        """A constant that follows from sizes, as ops of numbers, so that it may change with a dimension."""
        if isinstance(value, list):
            return [self.written(part) for part in value]
        if not self.is_sized(value) or value.numel() > SMALL:
            return value
        numbers = _flat(value.tolist())
        parts = [helix.full((1,), number, dtype=value.dtype, device=value.device) for number in numbers]
        return helix.cat(parts).reshape(value.shape) if parts else value

    def untraceable(self, step: Step, error: TraceError) -> TraceError:
        return TraceError(
            f"HX1702 {step.where} cannot be part of a graph: {str(error).removeprefix('HX1702 ')}. run() computes it; to trace, "
            "give the inputs that it depends on as constants=",
            code="HX1702",
            op=step.op,
        )


def _flat(value: Any) -> list[Any]:
    return [number for part in value for number in _flat(part)] if isinstance(value, list) else [value]


def _told(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype.name}{list(value.shape)}"
    return f"a sequence of {len(value)}" if isinstance(value, list) else "none"


def _depends_on_types(step: Step) -> bool:
    from .program import schema_of

    return not schema_of(step.domain, step.op, step.version).has_function


def _type_of(value: Any) -> bytes:
    """The type of a value as a message."""
    helper, proto = library().helper, library().TypeProto()
    if isinstance(value, Tensor):
        proto = helper.make_tensor_type_proto(code_of(value.dtype), list(value.shape))
    elif isinstance(value, list) and value and isinstance(value[0], Tensor):
        proto = helper.make_sequence_type_proto(helper.make_tensor_type_proto(code_of(value[0].dtype), None))
    return bytes(proto.SerializeToString())
