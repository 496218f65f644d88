"""An ONNX graph made ready to run: each node with the function that computes it, its attributes read, bodies made ready too."""

from __future__ import annotations

from functools import cache
from typing import Any

from .._core import Tensor
from . import table
from .faults import broken, library, short, unsupported
from .tensors import Source

# Sets of operators that are met, and what to do about them.
FOREIGN = {
    "ai.onnx.ml": ": classical machine learning, such as trees, encoders and scalers. Run that part with the tool it came from",
    "com.microsoft": ": onnxruntime's own, which its optimiser and quantiser write. Load the model as it was before them",
}


class Step:
    """A node: which handler or body computes it, what it takes and gives, and what nobody needs after it."""

    __slots__ = (
        "attributes",
        "bodies",
        "body",
        "domain",
        "drops",
        "handler",
        "inputs",
        "keywords",
        "name",
        "op",
        "outputs",
        "proto",
        "version",
    )

    def __init__(self, proto: Any, domain: str, version: int, name: str) -> None:
        self.op, self.domain, self.version, self.name = proto.op_type, domain, version, name
        self.inputs, self.outputs = tuple(proto.input), tuple(proto.output)
        self.attributes: dict[str, Any] = {}
        self.keywords: dict[str, Any] = {}
        self.handler: table.Handler | None = None
        self.body: Program | None = None  # of a function
        self.bodies: tuple[Program, ...] = ()  # among the attributes
        self.proto: Any = None  # kept where the body depends on the types of the inputs
        self.drops: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """ "node 'conv1' (Conv)": for messages."""
        label = self.name or (self.outputs[0] if self.outputs else "")
        return f"node {short(label)} ({short(self.op)[1:-1]})"


class Names:
    """The names that are made already, and those that stand around a body."""

    __slots__ = ("around", "own")

    def __init__(self, own: set[str], around: Names | None) -> None:
        self.own, self.around = own, around

    def __contains__(self, name: str) -> bool:
        names: Names | None = self
        while names is not None:
            if name in names.own:
                return True
            names = names.around
        return False


class Program:
    """Steps in the order in which they run; `constants` are the tensors that the graph itself holds."""

    __slots__ = ("constants", "inputs", "name", "outputs", "steps", "types")

    def __init__(self, name: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        self.name, self.inputs, self.outputs = name, inputs, outputs
        self.constants: dict[str, Tensor] = {}
        self.steps: list[Step] = []
        self.types: dict[str, Any] = {}  # what a body says of its outputs

    def needed(self) -> set[str]:
        """The names that it takes from outside."""
        made = {*self.inputs, *self.constants}
        found: set[str] = set()
        for step in self.steps:
            found |= {name for name in (*step.inputs, *bodies_need(step)) if name and name not in made}
            made.update(step.outputs)
        return found | {name for name in self.outputs if name and name not in made}


def bodies_need(step: Step) -> set[str]:
    return {name for body in step.bodies for name in body.needed()}


class Reader:
    """Makes programs of the messages of one model."""

    def __init__(self, model: Any, source: Source) -> None:
        self.onnx = library()
        self.source, self.limits = source, source.limits
        self.nodes = 0
        self.opsets = _versions(model.opset_import)
        newest = self.onnx.defs.onnx_opset_version()
        if self.opsets.get("", 0) > newest:
            raise unsupported(
                f"it asks for version {self.opsets['']} of the operators, the installed onnx package has {newest}; update onnx"
            )
        self.functions = {(f.domain, f.name): f for f in model.functions}
        if len(self.functions) != len(model.functions):
            raise broken("two functions have one name")

    def graph(
        self, proto: Any, opsets: dict[str, int], bindings: dict[str, Any], depth: int, outer: Names | None
    ) -> Program:
        """The program of a graph; `outer` are the names that it may take from around it."""
        if depth > self.limits.depth:
            raise broken(f"bodies are nested deeper than {self.limits.depth}")
        program = Program(proto.name, tuple(i.name for i in proto.input), tuple(o.name for o in proto.output))
        program.types = {o.name: o.type for o in proto.output}
        for tensor in proto.initializer:
            self.enter(program, tensor.name, self.source.tensor(tensor))
        for sparse in proto.sparse_initializer:
            self.enter(program, sparse.values.name, self.source.sparse(sparse))
        if len(set(program.inputs)) != len(program.inputs):
            raise broken(f"graph {short(proto.name)} has two inputs of one name")
        self.steps(program, proto.node, opsets, bindings, depth, outer)
        return program

    def enter(self, program: Program, name: str, tensor: Tensor) -> None:
        if not name or name in program.constants:
            raise broken(f"two initializers are named {short(name)}")
        program.constants[self.checked(name)] = tensor

    def checked(self, text: str) -> str:
        if len(text) > self.limits.text_bytes:
            raise broken(f"a name has {len(text)} characters, {self.limits.text_bytes} are allowed")
        return text

    def steps(
        self,
        program: Program,
        nodes: Any,
        opsets: dict[str, int],
        bindings: dict[str, Any],
        depth: int,
        outer: Names | None,
    ) -> None:
        made = Names({*program.inputs, *program.constants}, outer)
        fresh: set[str] = {*program.inputs}
        self.nodes += len(nodes)
        if self.nodes > self.limits.nodes:
            raise broken(f"it has more than {self.limits.nodes} nodes; see Limits")
        for proto in nodes:
            step = self.step(proto, opsets, bindings, depth, made)
            for name in step.inputs:
                if name and name not in made:
                    raise broken(f"{step.where} takes {short(name)}, which is not made before it")
            for name in step.outputs:
                if name and (name in fresh or name in program.constants):
                    raise broken(f"{step.where} makes {short(name)}, which is there already")
                fresh.add(self.checked(name))
            made.own.update(step.outputs)
            program.steps.append(step)
        for name in program.outputs:
            if name and name not in made:
                raise broken(f"the output {short(name)} is not made")
        _drop(program)

    def step(
        self, proto: Any, opsets: dict[str, int], bindings: dict[str, Any], depth: int, made: Names | None
    ) -> Step:
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        function = self.functions.get((proto.domain, proto.op_type))
        version = opsets.get(domain, 0)
        step = Step(proto, domain, version, self.checked(proto.name))
        for attribute in proto.attribute:
            value = self.attribute(attribute, opsets, bindings, depth, made, step)
            if value is not None:
                if attribute.name in step.attributes:
                    raise broken(f"{step.where} has the attribute {short(attribute.name)} twice")
                step.attributes[attribute.name] = value
        step.bodies = tuple([value for value in step.attributes.values() if isinstance(value, Program)])
        if function is not None:
            step.body = self.function(function, step, depth)
            return step
        if not version:
            raise broken(f"{step.where} belongs to the operator set {short(domain)}, which the model does not import")
        self.resolve(step, proto)
        return step

    def resolve(self, step: Step, proto: Any) -> None:
        """Finds what computes an operator, and completes its attributes."""
        schema = schema_of(step.domain, step.op, step.version)
        if step.domain in FOREIGN or (schema is None and step.domain):
            raise unsupported(
                f"{step.where} is of the operator set {short(step.domain)}, which is not supported"
                f"{FOREIGN.get(step.domain, '')}", step.op[:80],
            )  # fmt: skip
        if schema is None:
            raise unsupported(f"{step.where}: there is no operator of this name in version {step.version} of "
                              f"{short(step.domain or 'ai.onnx')}", step.op[:80])  # fmt: skip
        given = len(step.inputs)
        if not schema.min_input <= given <= schema.max_input:
            raise broken(f"{step.where} has {given} inputs, {schema.min_input} to {schema.max_input} are expected")
        for name, needed in zip(step.inputs, _required(step.domain, step.op, schema.since_version)):
            if needed and not name:
                raise broken(f"{step.where} leaves out an input that it needs")
        if len(step.outputs) > schema.max_output:
            raise broken(f"{step.where} has {len(step.outputs)} outputs, at most {schema.max_output} are expected")
        self.defaults(step, schema)
        step.handler = table.find(step.domain, step.op, step.version)
        if schema.has_function or schema.has_context_dependent_function:
            step.proto = proto
        if step.handler is not None:
            self.keywords(step)
        elif step.proto is None:
            raise unsupported(f"{step.where} is not supported", step.op)

    def defaults(self, step: Step, schema: Any) -> None:
        known = attributes_of(schema)
        for name in step.attributes:
            if name not in known:
                raise broken(f"{step.where} has the attribute {short(name)}, which {step.op} has not")
        for name, (default, required) in known.items():
            if name not in step.attributes:
                if required:
                    raise broken(f"{step.where} lacks the attribute {name}")
                if default is not None:
                    step.attributes[name] = default

    @staticmethod
    def keywords(step: Step) -> None:
        handler = step.handler
        assert handler is not None
        takes = step.attributes if handler.takes_rest else handler.attributes
        step.keywords = {name: value for name, value in step.attributes.items() if name in takes}

    def function(self, proto: Any, step: Step, depth: int) -> Program:
        """The body of a function, for the attributes of one call."""
        if depth >= self.limits.depth:
            raise broken(f"{step.where}: functions call each other deeper than {self.limits.depth}")
        bindings = {a.name: self.attribute(a, {}, {}, depth, None, step) for a in proto.attribute_proto}
        bindings |= dict.fromkeys(proto.attribute)
        bindings |= step.attributes
        wanted = [i < len(step.outputs) and bool(step.outputs[i]) for i in range(len(proto.output))]
        outputs = tuple([name if want else "" for name, want in zip(proto.output, wanted, strict=True)])
        program = Program(proto.name, tuple(proto.input), outputs)
        opsets = _versions(proto.opset_import)
        opsets.setdefault("", self.opsets.get("") or self.onnx.defs.onnx_opset_version())
        self.steps(program, proto.node, opsets, bindings, depth + 1, None)
        return program

    def expansion(self, step: Step, types: list[bytes], depth: int = 1) -> Program:
        """The body that the operator's own definition gives, for inputs of these types."""
        schema = schema_of(step.domain, step.op, step.version)
        version = step.version if step.domain == "" else 0
        proto = self.onnx.FunctionProto()
        if schema.has_function:
            proto.ParseFromString(
                schema.get_function_with_opset_version(_latest(schema.function_opset_versions, version))
            )
        else:
            node = self.onnx.NodeProto()
            node.CopyFrom(step.proto)
            present = {a.name for a in node.attribute}
            for name, attribute in schema.attributes.items():
                if name not in present and attribute.default_value.type:
                    node.attribute.append(attribute.default_value)
            versions = schema.context_dependent_function_opset_versions
            proto.ParseFromString(
                schema.get_context_dependent_function_with_opset_version(
                    _latest(versions, version), node.SerializeToString(), types
                )
            )
        counted = self.nodes
        try:
            return self.function(proto, step, depth)
        finally:
            self.nodes = counted  # of the file; a body is made again for each run

    def attribute(
        self, proto: Any, opsets: dict[str, int], bindings: dict[str, Any], depth: int, made: Names | None, step: Step
    ) -> Any:
        """Its value; None for one that refers to an attribute of a function that the call leaves out."""
        if proto.ref_attr_name:
            if proto.ref_attr_name not in bindings:
                raise broken(f"{step.where} refers to the attribute {short(proto.ref_attr_name)} of no function")
            return bindings[proto.ref_attr_name]
        kinds = self.onnx.AttributeProto
        kind = proto.type
        if kind == kinds.FLOAT:
            return proto.f
        if kind == kinds.INT:
            return proto.i
        if kind == kinds.STRING:
            return self.text(proto.s, step)
        if kind == kinds.TENSOR:
            return self.source.tensor(proto.t)
        if kind == kinds.SPARSE_TENSOR:
            return self.source.sparse(proto.sparse_tensor)
        if kind == kinds.GRAPH:
            return self.graph(proto.g, opsets, bindings, depth + 1, made)
        if kind in (kinds.FLOATS, kinds.INTS, kinds.STRINGS):
            values = {kinds.FLOATS: proto.floats, kinds.INTS: proto.ints, kinds.STRINGS: proto.strings}[kind]
            if len(values) > self.limits.list_length:
                raise broken(f"{step.where} has a list of {len(values)} in attribute {short(proto.name)}")
            return [self.text(value, step) for value in values] if kind == kinds.STRINGS else list(values)
        if kind == kinds.TYPE_PROTO:
            return proto.tp
        raise unsupported(f"{step.where}: the attribute {short(proto.name)} has a kind that is not supported", step.op)

    def text(self, raw: bytes, step: Step) -> str:
        if len(raw) > self.limits.text_bytes:
            raise broken(f"{step.where} has a text of {len(raw)} bytes, {self.limits.text_bytes} are allowed")
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise broken(f"{step.where} has a text that is no UTF-8") from None


@cache
def schema_of(domain: str, op: str, version: int) -> Any:
    """The definition of an operator in a version of its set; None where there is none."""
    onnx = library()
    try:
        return onnx.defs.get_schema(op, version, domain)
    except (onnx.defs.SchemaError, RuntimeError, ValueError, UnicodeError):
        return None


@cache
def _attributes(domain: str, op: str, since: int) -> dict[str, tuple[Any, bool]]:
    onnx = library()
    kinds = onnx.AttributeProto
    fields = {
        kinds.FLOAT: "f",
        kinds.INT: "i",
        kinds.STRING: "s",
        kinds.FLOATS: "floats",
        kinds.INTS: "ints",
        kinds.STRINGS: "strings",
    }
    found: dict[str, tuple[Any, bool]] = {}
    for name, attribute in onnx.defs.get_schema(op, since, domain).attributes.items():
        default = attribute.default_value
        value: Any = getattr(default, fields[default.type]) if default.type in fields else None
        if isinstance(value, bytes):
            value = value.decode()
        elif default.type in (kinds.FLOATS, kinds.INTS):
            value = list(value)
        elif default.type == kinds.STRINGS:
            value = [text.decode() for text in value]
        found[name] = (value, attribute.required)
    return found


@cache
def _required(domain: str, op: str, since: int) -> tuple[bool, ...]:
    """Of each input, whether it must be there."""
    onnx = library()
    single = onnx.defs.OpSchema.FormalParameterOption.Single
    return tuple([given.option == single for given in onnx.defs.get_schema(op, since, domain).inputs])


def attributes_of(schema: Any) -> dict[str, tuple[Any, bool]]:
    """{name: (default or None, is it required)}."""
    return _attributes(schema.domain, schema.name, schema.since_version)


def _versions(imports: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in imports:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        found[domain] = max(found.get(domain, 0), min(max(entry.version, 0), (1 << 31) - 1))
    return found


def _latest(versions: list[int], wanted: int) -> int:
    fitting = [version for version in versions if version <= wanted]
    return int(max(fitting) if fitting else versions[-1])


def _drop(program: Program) -> None:
    """Finds the last use of every result."""
    kept = {*program.outputs}
    own = {name for step in program.steps for name in step.outputs} - kept
    for step in reversed(program.steps):
        last = {name for name in (*step.inputs, *step.outputs, *bodies_need(step)) if name in own}
        own -= last
        step.drops = tuple(last)
