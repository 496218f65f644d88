"""UniversalGraph: layers of any kind as named nodes, joined by name into a graph without cycles, and trained as one module."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from inspect import signature
from typing import Any

import msgspec

import helix

from .. import _core, io
from .._core import Tensor
from ..errors import ArgumentError, FormatError, GraphError, HelixError
from ..nn.module import Module
from .schema import broken, decode, encode, unsaveable
from .tracer import Tracer

FORMAT, KEY = 1, "helix.universal"
MAX_BYTES = 4_000_000
MAX_SIZE, MAX_LAYERS = 1 << 20, 1024  # of a number in a file, and of layers in one node
_FORBIDDEN = frozenset({"internal", "mutates", "creates", "values"})


def _rows(module: Module, x: Tensor) -> Tensor:
    result: Tensor = module(x)[0]
    return result


def _attended(module: Module, x: Tensor, memory: Tensor | None = None) -> Tensor:
    keys = x if memory is None else memory
    result: Tensor = module(x, keys, keys, need_weights=False)[0]
    return result


def _channels_last(module: Module, x: Tensor) -> Tensor:
    return module(x.movedim(-1, 1)).movedim(1, -1)


def _over_nodes(module: Module, x: Tensor, edge_index: Tensor, *weights: Tensor) -> Tensor:
    """(nodes, channels), or a batch of such, which are graphs side by side with the same edges."""
    if x.ndim == 2:
        return module(x, edge_index, *weights)
    batch, nodes = x.shape[:2]
    shifts = helix.arange(batch, device=edge_index.device).reshape(1, batch, 1) * nodes
    edges = (edge_index.unsqueeze(1) + shifts).reshape(2, -1)
    made = module(x.reshape(batch * nodes, -1), edges, *[w.repeat(batch) for w in weights])
    return made.reshape(batch, nodes, -1)


def _plainly(module: Any, *inputs: Tensor) -> Any:
    return module(*inputs)


# How the layer of a node is called, by kind.
_CALLS: dict[str, Callable[..., Any]] = {
    "rnn": _rows,
    "attention": _attended,
    "cnn last": _channels_last,
    "gnn": _over_nodes,
}


class _Part:
    """A node: its kind, what it is made of, and the names of what goes in."""

    def __init__(
        self, name: str, kind: str, made_of: str, args: tuple[Any, ...], options: dict[str, Any], inputs: list[str]
    ) -> None:
        self.name, self.kind, self.made_of = name, kind, made_of
        self.args, self.options, self.inputs = args, options, inputs
        self.function: Callable[..., Any] | None = None


class UniversalGraph(Module):
    """Layers as named nodes of a graph without cycles; a module, whose parameters are `<node>.<parameter>`.

    inputs: names of what `forward` takes. Each `add_…(name, …, inputs=)` adds a node that takes the named inputs and nodes, in
    that order, or, without `inputs`, the node before it, the first time the graph's first input. Nodes may be named before they
    are added. The result is that of the node added last, or of those that `output` names. Sequences are
    (batch, length, channels).

    Raises GraphError (HX4001) for names that are taken or unknown, and for cycles.

    Example:
        >>> graph = helix.graph.UniversalGraph().add_mamba("scan", 8).add_transformer("mix", 8, 2, dim_feedforward=16)
        >>> graph(helix.randn(2, 5, 8)).shape
        (2, 5, 8)
    """

    def __init__(self, inputs: Sequence[str] = ("x",)) -> None:
        super().__init__()
        self._inputs = list(inputs)
        self._parts: dict[str, _Part] = {}
        self._ends: list[str] = []
        self._order: list[_Part] | None = None
        if not self._inputs or len(set(self._inputs)) != len(self._inputs):
            raise GraphError(f"HX4001 a graph needs inputs of different names, got {self._inputs}", code="HX4001")

    # ---- nodes ---------------------------------------------------------------------------------------------

    def add_transformer(self, name: str, d_model: int, nhead: int, *args: Any, inputs: Any = None, **options: Any) -> UniversalGraph:  # fmt: skip
        """`nn.TransformerEncoderLayer`, over (batch, length, d_model)."""
        options.setdefault("batch_first", True)
        return self._add(name, "transformer", "TransformerEncoderLayer", (d_model, nhead, *args), options, inputs)

    def add_attention(self, name: str, d_model: int, nhead: int, *args: Any, inputs: Any = None, **options: Any) -> UniversalGraph:  # fmt: skip
        """`nn.MultiheadAttention` of the input to itself, or to a second input."""
        options.setdefault("batch_first", True)
        return self._add(name, "attention", "MultiheadAttention", (d_model, nhead, *args), options, inputs)

    def add_ssm(self, name: str, d_model: int, *args: Any, inputs: Any = None, **options: Any) -> UniversalGraph:
        """`nn.S4D`, over (batch, length, d_model)."""
        options.setdefault("transposed", False)
        return self._add(name, "ssm", "S4D", (d_model, *args), options, inputs)

    def add_mamba(self, name: str, d_model: int, *args: Any, inputs: Any = None, **options: Any) -> UniversalGraph:
        """`nn.Mamba`."""
        return self._add(name, "mamba", "Mamba", (d_model, *args), options, inputs)

    def add_hyena(self, name: str, d_model: int, l_max: int, *args: Any, inputs: Any = None, **options: Any) -> UniversalGraph:  # fmt: skip
        """`nn.HyenaOperator`."""
        return self._add(name, "hyena", "HyenaOperator", (d_model, l_max, *args), options, inputs)

    def add_cnn(
        self,
        name: str,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        *args: Any,
        dims: int = 2,
        channels_last: bool = False,
        inputs: Any = None,
        **options: Any,
    ) -> UniversalGraph:
        """`nn.Conv1d`, `Conv2d` or `Conv3d` by `dims`, over (batch, channels, …); with `channels_last` over (batch, …, channels)."""
        kind = "cnn last" if channels_last else "cnn"
        return self._add(name, kind, f"Conv{dims}d", (in_channels, out_channels, kernel_size, *args), options, inputs)

    def add_rnn(self, name: str, input_size: int, hidden_size: int, *args: Any, kind: str = "LSTM", inputs: Any = None, **options: Any) -> UniversalGraph:  # fmt: skip
        """`nn.LSTM`, or `kind` "GRU" or "RNN", over (batch, length, input_size); its result is the sequence."""
        options.setdefault("batch_first", True)
        return self._add(name, "rnn", kind, (input_size, hidden_size, *args), options, inputs)

    def add_gnn(self, name: str, in_channels: int, out_channels: int, *args: Any, kind: str = "GCNConv", inputs: Any = None, **options: Any) -> UniversalGraph:  # fmt: skip
        """`nn.GCNConv`, or `kind` another layer of graphs. It takes values of (nodes, channels), or (batch, nodes, channels), and
        edges (2, count): without `inputs` the graph's input "edge_index"."""
        if inputs is None:
            inputs = [*self._before(), "edge_index"]
        return self._add(name, "gnn", kind, (in_channels, out_channels, *args), options, inputs)

    def add_node(self, name: str, what: str | Module | Callable[..., Any], *args: Any, inputs: Any = None, **options: Any) -> UniversalGraph:  # fmt: skip
        """What the others do not have: the name of a layer in `helix.nn` with its arguments, or of an op ("add", "relu") with
        its options, either of which JSON can hold; or a module or function itself."""
        if isinstance(what, str):
            return self._add(name, "node", what, args, options, inputs)
        part = self._part(name, "node", "", args, options, inputs)
        part.function = what
        return self._enter(part, what if isinstance(what, Module) else None)

    def add_again(self, name: str, node: str, inputs: Any = None) -> UniversalGraph:
        """The layer of a node that is there once more, with the same parameters."""
        owner = self._parts.get(node)
        if owner is None:
            raise GraphError(f"HX4001 add_again: there is no node {node!r} yet", code="HX4001", argument="node")
        if inputs is None and owner.kind == "gnn":
            inputs = [*self._before(), "edge_index"]
        return self._enter(self._part(name, "again", self._owner(owner).name, (), {}, inputs), None)

    def output(self, *names: str) -> UniversalGraph:
        """Says of which nodes the result is: one, or a tuple of several."""
        self._ends = list(names)
        return self

    def _add(
        self, name: str, kind: str, made_of: str, args: tuple[Any, ...], options: dict[str, Any], inputs: Any
    ) -> UniversalGraph:
        part = self._part(name, kind, made_of, args, options, inputs)
        layer = getattr(helix.nn, made_of, None) if made_of in helix.nn.__all__ else None
        if isinstance(layer, type) and issubclass(layer, Module):
            return self._enter(part, layer(*args, **options))
        if kind != "node" or made_of not in _public_ops():
            near = get_close_matches(made_of, [*helix.nn.__all__, *_public_ops()], 1)
            raise GraphError(
                f"HX4001 {made_of!r} is no layer of helix.nn, and no op{f'; is it {near[0]!r}?' if near else ''}",
                code="HX4001",
                argument="what",
            )
        op = _core.op_named(made_of)
        part.function = lambda *given: op(*given, *args, **options)
        return self._enter(part, None)

    def _before(self) -> list[str]:
        return [next(reversed(self._parts), self._inputs[0])]

    def _part(
        self, name: str, kind: str, made_of: str, args: tuple[Any, ...], options: dict[str, Any], inputs: Any
    ) -> _Part:
        if not name.isidentifier() or hasattr(self, name) or name in self._parts or name in self._inputs:
            raise GraphError(f"HX4001 a node cannot be named {name!r}: it is taken, or no identifier", code="HX4001")
        given = self._before() if inputs is None else [inputs] if isinstance(inputs, str) else list(inputs)
        return _Part(name, kind, made_of, args, options, given)

    def _enter(self, part: _Part, module: Module | None) -> UniversalGraph:
        if module is not None:
            self.add_module(part.name, module)
        self._parts[part.name] = part
        self._order = None
        return self

    # ---- running -------------------------------------------------------------------------------------------

    @property
    def edges(self) -> list[tuple[str, str]]:
        """(from, to) by name."""
        return [(source, part.name) for part in self._parts.values() for source in part.inputs]

    def order(self) -> list[str]:
        """The nodes in the order in which they run."""
        return [part.name for part in self._sorted()]

    def _sorted(self) -> list[_Part]:
        if self._order is None:
            known = {*self._inputs, *self._parts}
            for source, name in [*self.edges, *[(end, "the output") for end in self._ends]]:
                if source not in known:
                    raise GraphError(
                        f"HX4001 {name} takes {source!r}, which is neither an input ({', '.join(self._inputs)}) nor a node "
                        f"({', '.join(self._parts)})",
                        code="HX4001",
                    )
            self._order = self._arranged()
        return self._order

    def _arranged(self) -> list[_Part]:
        open_inputs = {name: {s for s in part.inputs if s in self._parts} for name, part in self._parts.items()}
        takers: dict[str, list[str]] = {}
        for name, sources in open_inputs.items():
            for source in sources:
                takers.setdefault(source, []).append(name)
        ready = [name for name, sources in open_inputs.items() if not sources]
        made = []
        for name in ready:
            made.append(self._parts[name])
            for taker in takers.get(name, ()):
                open_inputs[taker].discard(name)
                if not open_inputs[taker]:
                    ready.append(taker)
        if len(made) != len(self._parts):
            around = [name for name, sources in open_inputs.items() if sources]
            raise GraphError(f"HX4001 these nodes wait for each other: {', '.join(around)}", code="HX4001")
        return made

    def forward(self, *args: Tensor, **named: Tensor) -> Any:
        """Runs the nodes; inputs by position or by name."""
        values: dict[str, Any] = {**dict(zip(self._inputs, args, strict=False)), **named}
        if set(values) != set(self._inputs) or len(args) + len(named) != len(self._inputs):
            raise ArgumentError(
                f"HX1103 the graph takes {', '.join(self._inputs)}, got {len(args)} by position and {', '.join(named) or 'none'} by "
                "name",
                code="HX1103",
            )
        if not self._parts:
            raise GraphError("HX4001 the graph has no nodes yet", code="HX4001")
        for part in self._sorted():
            given = [values[source] for source in part.inputs]
            owner = self._owner(part)
            called = owner.function if owner.function is not None else getattr(self, owner.name)
            values[part.name] = _CALLS.get(owner.kind, _plainly)(called, *given)
        ends = self._ends or self._before()
        return values[ends[0]] if len(ends) == 1 else tuple([values[end] for end in ends])

    def _owner(self, part: _Part) -> _Part:
        return self._parts[part.made_of] if part.kind == "again" else part

    def extra_repr(self) -> str:
        lines = []
        for part in self._parts.values():
            owner = self._owner(part)
            made = owner.function if owner.made_of == "" else owner.made_of
            what = made if isinstance(made, str) else getattr(made, "__name__", type(made).__name__)
            again = f" of {owner.name}" if owner is not part else ""
            lines.append(f"{part.name} = {what}{again}({', '.join(part.inputs)})")
        return "\n".join([*lines, f"return {', '.join(self._ends or self._before())}"]) if lines else ""

    def execute(self, inputs: Tensor | Sequence[Tensor] | Mapping[str, Tensor], device: Any = None) -> Any:
        """Runs on a device, to which the graph's parameters and the inputs are moved."""
        if isinstance(inputs, Tensor):
            inputs = (inputs,)
        given = dict(inputs) if isinstance(inputs, Mapping) else dict(zip(self._inputs, inputs, strict=False))
        if device is not None:
            self.to(device)
            given = {name: value.to(device) for name, value in given.items()}
        return self(**given)

    @classmethod
    def capture(cls, module: Module) -> UniversalGraph:
        """A module as a graph: the parts of a Sequential one after the other, any other module as one node. Parameters are shared."""
        made = cls()
        parts = list(module.named_children()) if type(module) is helix.nn.Sequential else [("module", module)]
        for name, part in parts:
            made.add_node(f"layer{name}" if name.isdigit() else f"{name}_", part)
        return made

    # ---- files ---------------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """Nodes and edges as text; parameters are in `state_dict()`.

        Raises FormatError (HX4011) for nodes made of a module or function of one's own.
        """
        nodes = []
        for part in self._parts.values():
            if not part.made_of:
                raise unsaveable(f"node {part.name!r} is a module or function of your own; add it by a layer's name")
            options = {key: encode(value) for key, value in part.options.items()}
            nodes.append([part.name, part.kind, part.made_of, encode(part.args), options, part.inputs])
        return msgspec.json.encode([FORMAT, self._inputs, nodes, self._ends]).decode()

    def save(self, path: Any) -> None:
        """Writes one safetensors file: parameters and buffers by name, and `to_json()` in its metadata."""
        io.save_file(self.state_dict(), path, {KEY: self.to_json()})

    @classmethod
    def load(cls, path: Any, device: Any = None, max_elements: int = 1 << 30) -> UniversalGraph:
        """The graph of a file that `save` wrote. Raises FormatError (HX4010) for another file; see `from_json`.

        Example:
            >>> graph = helix.graph.UniversalGraph().add_node("up", "Linear", 2, 3).add_again("once_more", "up", inputs="x")
            >>> graph.save("model.safetensors")
            >>> helix.graph.UniversalGraph.load("model.safetensors").order()
            ['up', 'once_more']
        """
        _, metadata = io.load_header(path)
        if KEY not in metadata:
            raise broken("the file has no layers of a UniversalGraph in its metadata")
        made = cls.from_json(metadata[KEY], max_elements)
        if device is not None:
            made.to(device)
        made.load_state_dict(io.load_file(path))
        return made

    @classmethod
    def from_json(cls, text: str | bytes, max_elements: int = 1 << 30) -> UniversalGraph:
        """The graph again, with fresh parameters; `load_state_dict` brings the old ones.

        max_elements: as many numbers parameters and buffers may have together; they are counted before they are made. Sizes in
            the text may be 2^20 at most, layers in a node 1,024.

        Raises FormatError (HX4010) for text that tells no graph, or a larger one.
        """
        if len(text) > MAX_BYTES:
            raise broken(f"it has {len(text)} characters, more than the {MAX_BYTES} allowed")
        try:
            version, inputs, nodes, ends = msgspec.json.decode(text, type=_File)
            if version != FORMAT:
                raise broken(f"it has format {version}, this helix reads format {FORMAT}")
            made, room = cls(inputs), max_elements
            for name, kind, made_of, args, options, sources in nodes:
                if kind not in _KINDS or not made_of:
                    raise broken(f"{kind[:40]!r} is no kind of node")
                if kind == "again":
                    if args or options:
                        raise broken(f"node {name[:40]!r} is another one again, and has nothing of its own")
                    made.add_again(name, made_of, sources)
                    continue
                values = {key: decode(value, frozenset()) for key, value in options.items()}
                given = decode(args, frozenset())
                room -= _elements(made_of, given, values)
                if room < 0:
                    raise broken(f"its tensors have more than the {max_elements} elements allowed; give max_elements")
                made._add(name, kind, made_of, given, values, sources)
            made.output(*ends)._sorted()
            return made
        except FormatError:
            raise
        except (
            msgspec.MsgspecError,
            HelixError,
            ValueError,
            TypeError,
            ArithmeticError,
            RecursionError,
            MemoryError,
        ) as error:
            raise broken(str(error)[:300]) from error


def _elements(made_of: str, args: tuple[Any, ...], options: dict[str, Any]) -> int:
    """How many numbers the parameters and buffers of a layer would have: it is made on shapes alone."""
    for number in _numbers([*args, *options.values()]):
        if abs(number) > MAX_SIZE:
            raise broken(f"{made_of[:40]} has the size {number}, more than the {MAX_SIZE} allowed")
    layer = getattr(helix.nn, made_of, None) if made_of in helix.nn.__all__ else None
    if not isinstance(layer, type) or not issubclass(layer, Module):
        return 0
    layers = signature(layer).bind(*args, **options).arguments.get("num_layers", 1)
    if isinstance(layers, int) and layers > MAX_LAYERS:
        raise broken(f"{made_of[:40]} has {layers} layers, more than the {MAX_LAYERS} allowed")
    with Tracer():
        module: Any = layer(*args, **options)
    return sum(tensor.numel() for tensors in (module.parameters(), module.buffers()) for tensor in tensors)


def _numbers(values: Any) -> Iterator[int]:
    for value in values:
        if isinstance(value, int):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _numbers(value)
        elif isinstance(value, dict):
            yield from _numbers(value.values())


_KINDS = frozenset(
    {"transformer", "attention", "ssm", "mamba", "hyena", "cnn", "cnn last", "rnn", "gnn", "node", "again"}
)
_File = tuple[int, list[str], list[tuple[str, str, str, list[Any], dict[str, Any], list[str]]], list[str]]
_OPS: set[str] = set()


def _public_ops() -> set[str]:
    if not _OPS:
        _OPS.update(record["name"] for record in _core.ops() if not record["flags"] & _FORBIDDEN)
    return _OPS
