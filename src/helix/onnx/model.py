"""An ONNX model that runs, that is traced, and that is trained."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._core import Tensor
from ..autograd import no_grad
from ..errors import ArgumentError, HelixError
from ..nn.module import Module
from .faults import broken, library, short
from .limits import DEFAULT, Limits
from .module import OnnxModule, trainable
from .planning import Plans
from .ports import Port, port_of
from .program import Program, Reader
from .running import Run
from .tensors import Source

if TYPE_CHECKING:
    from ..graph import Graph


class Model:
    """What `helix.onnx.load` returns. `inputs` and `outputs` tell names, dtypes and shapes; `tensors` are the initializers."""

    def __init__(self, proto: Any, source: Source) -> None:
        self.reader = Reader(proto, source)
        graph = proto.graph
        if len(graph.input) + len(graph.output) > source.limits.list_length:
            raise broken(f"it has {len(graph.input)} inputs and {len(graph.output)} outputs")
        self.program: Program = self.reader.graph(graph, self.reader.opsets, {}, 0, None)
        self.tensors: dict[str, Tensor] = self.program.constants
        self.inputs: tuple[Port, ...] = tuple([port_of(v) for v in graph.input if v.name not in self.tensors])
        self.outputs: tuple[Port, ...] = tuple([port_of(v) for v in graph.output])
        self.name = graph.name or "onnx"
        self.opsets = dict(self.reader.opsets)
        self.trainable = trainable(self.program)
        self.plans = Plans(self)
        self._graph: Graph | None = None

    def __repr__(self) -> str:
        sides = [", ".join(map(str, ports)) for ports in (self.inputs, self.outputs)]
        return f"Model {self.name}({sides[0]}) -> {sides[1]}, {len(self.program.steps)} nodes"

    # ---- running -------------------------------------------------------------------------------------------

    def run(self, inputs: Mapping[str, Any] | Sequence[Any], outputs: Sequence[str] | None = None) -> list[Any]:
        """The outputs as NumPy arrays, or those that are named; lists for sequences, None for optional values that are none.

        The first run of its shapes goes node by node, later ones are planned, as by `helix.compile`.

        inputs: arrays or tensors by name, or in the order of `self.inputs`.

        Raises ArgumentError (HX1103) and ShapeError (HX1002) for inputs that do not fit, FormatError (HX4022) where a node cannot
        compute what it gets.

        Example:
            >>> import onnx
            >>> text = '<ir_version: 10, opset_import: ["": 21]> g (float[2] x) => (float[2] y) { y = Add(x, x) }'
            >>> model = helix.onnx.load(onnx.parser.parse_model(text).SerializeToString())
            >>> model.run({"x": helix.tensor([1.0, 2.0])})[0].tolist()
            [2.0, 4.0]
        """
        values = self._fed(inputs)
        wanted = self._wanted(outputs)
        with no_grad():
            made = self.plans.run(values)
            if made is None:
                made = Run(self.reader).program(self.program, values, None)
        return [_array(made[i]) for i in wanted]

    def __call__(self, *inputs: Any) -> Any:
        """The outputs as tensors: one, or a tuple."""
        made = Run(self.reader).program(self.program, self._fed(inputs), None)
        return made[0] if len(made) == 1 else tuple(made)

    def _fed(self, inputs: Mapping[str, Any] | Sequence[Any]) -> dict[str, Any]:
        if isinstance(inputs, Mapping):
            given = dict(inputs)
        else:
            if len(inputs) > len(self.inputs):
                raise _argument(f"it takes {len(self.inputs)} inputs, got {len(inputs)}")
            given = {port.name: value for port, value in zip(self.inputs, inputs)}
        values = {}
        for port in self.inputs:
            if port.name not in given and port.kind != "optional":
                raise _argument(f"the input {port} is missing")
            values[port.name] = port.value(given.pop(port.name, None))
        for name, value in given.items():
            if name not in self.tensors or name not in self.program.inputs:
                raise _argument(f"it has no input {short(str(name))}; it has {', '.join(map(str, self.inputs))}")
            values[name] = Port(name, "tensor", self.tensors[name].dtype, None).value(value)
        return values

    def _wanted(self, names: Sequence[str] | None) -> list[int]:
        known = [port.name for port in self.outputs]
        for name in names or ():
            if name not in known:
                raise _argument(f"it has no output {short(str(name))}; it has {', '.join(known)}")
        return list(range(len(known))) if names is None else [known.index(name) for name in names]

    # ---- graphs and modules ----------------------------------------------------------------------------------

    @property
    def graph(self) -> Graph:
        """The model as a `helix.graph.Graph`: `trace()`, once."""
        if self._graph is None:
            self._graph = self.trace()
        return self._graph

    def trace(
        self, shapes: Mapping[str, Sequence[Any]] | None = None, constants: Mapping[str, Any] | None = None
    ) -> Graph:
        """The model as a graph, with a dimension for each size that the file leaves open.

        shapes: sizes, or dimensions, for inputs of which the file tells none, or others. constants: values for inputs that
        become part of the graph, such as one that tells a shape.

        Raises TraceError (HX1702) where the shape of a result depends on values; `run` computes such models.
        """
        from .. import graph

        fixed = {name: port_named(self.inputs, name).value(value) for name, value in (constants or {}).items()}
        free = [port for port in self.inputs if port.name not in fixed]
        specs = [_spec(port, (shapes or {}).get(port.name, port.shape)) for port in free]
        try:
            made = graph.trace(self.module(fixed), *specs)
        except HelixError as error:
            opened = sorted({str(n) for spec in specs for n in spec.shape if not isinstance(n, int)})
            if opened:
                error.add_note(
                    f"{', '.join(opened)}: sizes that the file leaves open. Where only some of them fit, say which: "
                    f"trace(shapes={{{free[0].name!r}: (…, Dim({opened[-1]!r}, multiple_of=32), …)}}), or give numbers"
                )
            raise
        for value, port in zip(made.inputs, free, strict=True):
            value.name = port.name
        made.name = self.name
        return made

    def module(self, constants: Mapping[str, Any] | None = None) -> Module:
        """A module that computes the model from its inputs in order, and shares its tensors: what is trained there, runs here.

        Floating initializers of one axis or more are parameters; sizes, statistics of batch normalisation and scales of quantised
        integers are buffers. They keep their names.
        """
        return OnnxModule(self, constants or {})


def port_named(ports: Sequence[Port], name: str) -> Port:
    for port in ports:
        if port.name == name:
            return port
    raise _argument(f"it has no input {short(name)}")


def _spec(port: Port, shape: Any) -> Any:
    from ..graph.spec import Spec

    if port.kind != "tensor":
        raise _argument(f"the input {port} is no tensor, and cannot be the input of a graph")
    if shape is None:
        raise _argument(f"the file tells no shape of input {port.name}: give it, trace(shapes={{{port.name!r}: (…)}})")
    return Spec(shape, port.dtype)


def _argument(text: str) -> ArgumentError:
    return ArgumentError(f"HX1103 the model cannot be run so: {text}", code="HX1103")


def _array(value: Any) -> Any:
    if isinstance(value, list):
        return [_array(part) for part in value]
    return value.numpy() if isinstance(value, Tensor) else value


def load(
    source: bytes | str | os.PathLike[str],
    *,
    external_data: bool = True,
    folder: str | os.PathLike[str] | None = None,
    limits: Limits = DEFAULT,
    device: Any = None,
) -> Model:
    """The model of an ONNX file, given by its path or as bytes.

    external_data: whether tensors may lie in other files, below the model's folder; `folder` is that of a model given as bytes.
    limits: what a file may ask for. device: where the tensors shall be.

    Nothing of a file is run, no link is followed, and nothing outside of the folder is read. Needs the package onnx
    (`pip install helix[onnx]`).

    Raises FormatError (HX4020) for a file that is not sound or asks for more than the limits, UnsupportedOpError (HX4021) for
    operators and element types that helix does not have, MissingExtraError (HX2201) without the package.

    Example:
        >>> import onnx
        >>> text = '<ir_version: 10, opset_import: ["": 21]> g (float[B, 2] x) => (float[B, 2] y) { y = Relu(x) }'
        >>> model = helix.onnx.load(onnx.parser.parse_model(text).SerializeToString())
        >>> model.inputs, model.outputs
        ((x: float32[B, 2],), (y: float32[B, 2],))
        >>> [node.op for node in model.graph.nodes]
        ['relu']
        >>> model.module()(helix.tensor([[1.0, -1.0]])).tolist()
        [[1.0, 0.0]]
    """
    onnx = library()
    if isinstance(source, (bytes, bytearray, memoryview)):
        raw, place = bytes(source), None if folder is None else os.fspath(folder)
    else:
        path = os.fspath(source)
        if os.path.getsize(path) > limits.model_bytes:
            raise broken(f"the file has {os.path.getsize(path)} bytes, {limits.model_bytes} are allowed; see Limits")
        with open(path, "rb") as file:
            raw = file.read(limits.model_bytes + 1)  # of a device, which tells no size, no more either
        place = os.path.dirname(os.path.abspath(path)) if folder is None else os.fspath(folder)
    if len(raw) > limits.model_bytes:
        raise broken(f"it has {len(raw)} bytes, {limits.model_bytes} are allowed; see Limits")
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(raw)
    except Exception as error:  # protobuf raises its own DecodeError, and others for texts that are no UTF-8
        raise broken(f"it is no protobuf message of a model: {str(error)[:120]}") from None
    if not proto.HasField("graph") or not proto.opset_import:
        raise broken("it has no graph, or does not tell the version of its operators")
    try:
        return Model(proto, Source(limits, place, external_data, device))
    except HelixError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise broken(f"{type(error).__name__}: {str(error)[:200]}") from error
