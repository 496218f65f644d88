"""What a picture of a graph shows: boxes for ops, inputs and outputs, nested in boxes for modules, and the wires between them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import groupby
from math import prod
from typing import Any

from .. import _core
from ..errors import GraphError, HelixError
from .analysis import NOTHING, Cost, bytes_of, cost, is_view
from .fused import decode
from .ir import Graph, Node, Value
from .records import CONTROL, record_of
from .text import spec_text

LONGEST = 44  # characters of a line
TOGETHER = 12  # ops without a module that one line of a program makes, from which on they are a group
BODIES, MODULES = 8, 16  # levels that are drawn


class Box:
    """A rectangle: an op, an input or output, or a group of boxes.

    Wires do not go into a `sealed` group; it has inputs and outputs of its own, as the body of a loop does. `caption` is the
    module of an op that is all there is of the module.
    """

    __slots__ = ("caption", "cost", "family", "kind", "lines", "number", "parent", "parts", "sealed", "tip", "title")

    def __init__(self, kind: str, title: str, family: str = "", lines: tuple[str, ...] = (), tip: str = "") -> None:
        self.kind, self.title, self.family, self.lines, self.tip = kind, title, family, lines, tip
        self.caption = ""
        self.cost = NOTHING
        self.number = -1
        self.parent: Box | None = None
        self.parts: list[Box] = []
        self.sealed = False

    @property
    def ops(self) -> int:
        """How many ops it holds."""
        return 1 if self.kind == "op" else sum(part.ops for part in self.parts)

    @property
    def said(self) -> tuple[str, ...]:
        """Its lines while it is closed; a group tells what is in it."""
        if not self.parts:
            return self.lines
        done = f" · {number_text(self.cost.flops, 'FLOP')}" if self.cost.flops else ""
        return (*self.lines, f"{self.ops} op{'s' if self.ops != 1 else ''}{done}")

    def walk(self) -> Iterator[Box]:
        """Itself and all boxes within."""
        yield self
        for part in self.parts:
            yield from part.walk()


class Drawing:
    """All boxes by number, the outermost first, and the wires as pairs of numbers of boxes that are no groups, or sealed.

    Costs of a graph with dimensions are those at `sizes`, the smallest that there are.
    """

    def __init__(self, graph: Graph) -> None:
        self.root = Box("graph", graph.name)
        self.sizes = {
            dim.name: max(-(-dim.min // dim.multiple_of) * dim.multiple_of, dim.multiple_of) for dim in graph.dims
        }
        self._sized = _sized(graph, self.sizes)
        self.wires: list[tuple[int, int]] = []
        self._pairs: list[tuple[Box, Box]] = []
        self._fill(self.root, graph, 0)
        _name_within(self.root, "")
        self.boxes = list(self.root.walk())
        for number, box in enumerate(self.boxes):
            box.number = number
            for part in box.parts:
                part.parent = box
        self.wires = list(dict.fromkeys((a.number, b.number) for a, b in self._pairs))
        self.total = _summed(self.root)

    @property
    def told(self) -> str:
        """How many ops, and what they cost."""
        at = f" at {', '.join(f'{name} = {size}' for name, size in self.sizes.items())}" if self.sizes else ""
        return f"{self.root.ops} ops · {number_text(self.total.flops, 'FLOP')} · {number_text(self.total.bytes, 'B')} moved{at}"

    def _fill(self, root: Box, graph: Graph, depth: int) -> None:
        made: dict[int, Box] = {}
        first = [_input(value) for value in graph.inputs]
        made.update({id(value): box for value, box in zip(graph.inputs, first, strict=True)})
        ops: list[tuple[tuple[str, ...], Box]] = []
        for node in graph.nodes:
            box = self._op(node, depth)
            ops.append((_path(node), box))
            self._take(box, node.inputs, made)
            made.update({id(value): box for value in node.outputs})
        for effect in graph.effects:
            _tell(made.get(id(effect.value)), f"{effect.target.name}{'.grad' if effect.kind == 'grad' else ''}")
        last = [_output(f"output {i}" if i else "output", value) for i, value in enumerate(graph.outputs)]
        for box, value in zip(last, graph.outputs, strict=True):
            self._take(box, (value,), made)
        root.parts = [*first, *_grouped(_by_line(ops, graph), 0, ""), *last]

    def _take(self, box: Box, values: tuple[Value | None, ...], made: dict[int, Box]) -> None:
        self._pairs += [(made[id(value)], box) for value in values if value is not None and id(value) in made]

    def _op(self, node: Node, depth: int) -> Box:
        done = _cost(self._sized.get(id(node), node))
        box = Box("op", node.op, family(node), _lines(node), _tip(node, done))
        box.cost = done
        if node.graphs and depth < BODIES:
            box.kind, box.sealed = "body", True
            for body in node.graphs:
                inner = Box("body", body.name, box.family)
                inner.sealed = True
                self._fill(inner, body, depth + 1)
                box.parts.append(inner)
            if len(box.parts) == 1:
                box.parts = box.parts[0].parts
        elif node.op == "fused":
            self._program(box, node)
        return box

    def _program(self, box: Box, node: Node) -> None:
        """The steps of a fused node inside of it."""
        ints, floats = node.attributes[:2]
        program = decode(ints, floats, len(node.inputs))
        given = [_input(value) for value in node.inputs if value is not None]
        steps = []
        for step in program.steps:
            told = [_number(program.numbers[o.at]) for o in step.operands if o.kind == "number"]
            lines = tuple([short(", ".join(text)) for text in [[*told, *_said(step.op, step.attributes)]] if text])
            steps.append(Box("op", step.op, family_of(step.op), lines, step.op))
        for step, made in zip(program.steps, steps, strict=True):
            sources = {"input": given, "step": steps}
            self._pairs += [(sources[o.kind][o.at], made) for o in step.operands if o.kind in sources]
        last = [_output(f"output {i}" if i else "output", value) for i, value in enumerate(node.outputs)]
        self._pairs += [(steps[result.step], end) for result, end in zip(program.results, last, strict=True)]
        box.kind, box.sealed, box.parts = "body", True, [*given, *steps, *last]


def _path(node: Node) -> tuple[str, ...]:
    return tuple(part for part in node.place[0].split(".") if part)[:MODULES]


def _by_line(ops: list[tuple[tuple[str, ...], Box]], graph: Graph) -> list[tuple[tuple[str, ...], Box]]:
    """Many neighbours of no module that one line made, such as those of a backward pass, are a group of that line's name."""
    made: list[tuple[tuple[str, ...], Box]] = []
    for (module, file, line), run in groupby(zip(graph.nodes, ops, strict=True), lambda pair: pair[0].place):
        found = [op for _, op in run]
        name = f"{os.path.basename(file)}:{line}"
        grouped = not module and file and TOGETHER <= len(found) < len(ops)
        made += [((name,), box) for _, box in found] if grouped else found
    return made


def _grouped(ops: list[tuple[tuple[str, ...], Box]], depth: int, path: str) -> list[Box]:
    """Neighbours of one module in a box of their own; so no two boxes ever wait for each other."""
    made: list[Box] = []
    i = 0
    while i < len(ops):
        parts, box = ops[i]
        if len(parts) <= depth:
            made.append(box)
            i += 1
            continue
        end = i
        while end < len(ops) and len(ops[end][0]) > depth and ops[end][0][depth] == parts[depth]:
            end += 1
        name = f"{path}.{parts[depth]}" if path else parts[depth]
        inside = _grouped(ops[i:end], depth + 1, name)
        if len(inside) == 1:
            made += inside
            if inside[0].kind != "group":
                inside[0].caption = inside[0].caption or name
        else:
            group = Box("group", name, "", (), name)
            group.parts = inside
            made.append(group)
        i = end
    return made


def _name_within(box: Box, prefix: str) -> None:
    """Modules are called by what their names add to that of the module around them."""
    for part in box.parts:
        inside = prefix
        if part.kind == "group":
            inside = f"{part.title}."
            part.title = short(part.title.removeprefix(prefix))
        part.caption = short(part.caption.removeprefix(prefix))
        _name_within(part, "" if part.sealed else inside)


def _summed(box: Box) -> Cost:
    """Adds up what boxes within cost, where a box has no cost of its own."""
    inside = NOTHING
    for part in box.parts:
        inside = inside.plus(_summed(part))
    if box.kind in ("graph", "group"):
        box.cost = inside
    return box.cost


# ---- texts -------------------------------------------------------------------------------------------------


def short(text: str, longest: int = LONGEST) -> str:
    """On one line, not longer than a line is."""
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


_NO_TEXT = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def plain(text: str) -> str:
    """Without the characters that XML cannot hold: halves of a surrogate pair, most controls."""
    return _NO_TEXT.sub("\ufffd", text)


def number_text(number: float, unit: str) -> str:
    """1.23 GFLOP."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:.3g} {prefix}{unit}"
    return f"{number:.3g} {unit}"


def _sized(graph: Graph, sizes: dict[str, int]) -> dict[int, Node]:
    """The nodes at these sizes, by the identity of those without."""
    if not sizes:
        return {}
    try:
        twin = graph.at(**sizes)
    except HelixError:  # an old file, or a graph changed by hand: pictures are drawn all the same
        return {}
    pairs = list(zip(graph.nodes, twin.nodes, strict=False))
    found: dict[int, Node] = {}
    while pairs:
        node, other = pairs.pop()
        if node.op == other.op:
            found[id(node)] = other
            for a, b in zip(node.graphs, other.graphs, strict=False):
                pairs += zip(a.nodes, b.nodes, strict=False)
    return found if len(graph.nodes) == len(twin.nodes) else {}


def name_of(box: Box) -> str:
    """What a wire that is not drawn is said to come from."""
    return box.caption or box.title


def _cost(node: Node) -> Cost:
    try:
        return cost(node)
    except GraphError:  # of a size that is not known
        return NOTHING


def _spec(value: Value) -> str:
    return spec_text(value.shape, value.dtype)


def _lines(node: Node) -> tuple[str, ...]:
    """What the results are, which weights it takes, and its attributes."""
    lines = [" ".join(_spec(value) for value in node.outputs)]
    for value in node.inputs:
        if value is not None and value.kind in ("parameter", "buffer", "constant"):
            lines.append(f"{value.name.rpartition('.')[2]} {_spec(value)}")
    told = ", ".join(_attributes(node))
    return tuple([short(line) for line in [*lines[:5], *([told] if told else [])]])


def _attributes(node: Node) -> list[str]:
    """Those that are not what they are unless said, and that the result's shape does not tell; numbers among the inputs too."""
    told = [_number(value.source) for value in node.inputs if value is not None and value.kind == "number"]
    return [*told, *_said(node.op, node.attributes)]


def _said(op: str, attributes: tuple[Any, ...]) -> list[str]:
    told = []
    known = {} if op in CONTROL else record_of(op).attributes
    for (name, parameter), attribute in zip(known.items(), attributes, strict=False):
        if attribute is None or name in UNTOLD or _usual(attribute, parameter["default"]):
            continue
        text = attribute.name if isinstance(attribute, _core.dtype) else _number(attribute)
        told.append(f"{name}={text}")
    return told


UNTOLD = ("shape", "size", "generator", "program", "numbers")  # what the result's shape tells, and what is no text


def _usual(attribute: Any, default: Any) -> bool:
    """Is it the default, or that on every axis?"""
    return attribute == default or (type(attribute) is tuple and set(attribute) <= {default})


def _number(source: Any) -> str:
    return f"{source:.6g}" if type(source) is float else repr(source)


def _tip(node: Node, done: Cost) -> str:
    left = ", ".join(map(_spec, node.outputs))
    given = ", ".join(
        "none" if v is None else _number(v.source) if v.kind == "number" else _named(v) for v in node.inputs
    )
    lines = [f"{node.op}({given}) → {left}"[:2000], *_attributes(node)]
    module, file, line = node.place
    if module:
        lines.append(f"module {module}")
    if file:
        lines.append(f"{os.path.basename(file)}:{line}")
    if done != NOTHING:
        lines.append(
            f"{number_text(done.flops, 'FLOP')}, {number_text(done.bytes_read, 'B')} read, "
            f"{number_text(done.bytes_written, 'B')} written"
        )
    return "\n".join(lines)


def _named(value: Value) -> str:
    name = value.name or (value.node.op if value.node is not None else value.kind)
    return f"{name}: {_spec(value)}"


def _input(value: Value) -> Box:
    return Box("input", short(value.name or "input"), "", (short(_spec(value)),), f"{_named(value)}\n{_size(value)}")


def _output(name: str, value: Value) -> Box:
    number = value.kind == "number"
    line = _number(value.source) if number else _spec(value)
    return Box("output", short(name), "", (short(line),), f"{name}: {line}\n{_size(value)}")


def _tell(box: Box | None, name: str) -> None:
    """What a run writes stands with the op that makes it."""
    if box is not None:
        box.lines += (short(f"→ {name}"),)
        box.tip += f"\nwritten to {name}"


def _size(value: Value) -> str:
    known = all(isinstance(size, int) for size in value.shape)
    return f"{prod(value.shape):,} elements, {number_text(bytes_of(value), 'B')}" if known else ""


# ---- families, which have a colour each ----------------------------------------------------------------------

FAMILIES = ("product", "norm", "pointwise", "reduction", "shape", "move", "random", "control", "fused")
_PREFIXES = {
    "product": ("linear", "matmul", "mm", "bmm", "addmm", "baddbmm", "conv", "scaled_dot", "attention", "einsum", "mv", "dot"),
    "norm": ("layer_norm", "batch_norm", "group_norm", "rms_norm", "native_layer", "native_rms", "softmax", "log_softmax"),
    "reduction": ("sum", "mean", "amax", "amin", "prod", "var", "std", "argmax", "argmin", "any", "all", "logsumexp", "cum", "max_pool",
                  "avg_pool", "adaptive", "norm", "cross_entropy", "native_cross", "linear_cross"),
    "move": ("index", "gather", "scatter", "embedding", "cat", "stack", "copy", "clone", "contiguous", "cast", "constant_pad", "where",
             "take", "roll", "reshape", "slice", "flip", "repeat", "arange", "full", "zeros", "ones", "empty"),
    "random": ("rand", "dropout", "bernoulli", "normal", "uniform", "multinomial"),
    "control": ("cond", "scan", "while_loop", "function"),
    "fused": ("fused",),
}  # fmt: skip


def family(node: Node) -> str:
    """What kind of op it is, for its colour."""
    return "shape" if is_view(node) else family_of(node.op)


def family_of(op: str) -> str:
    return next((name for name, prefixes in _PREFIXES.items() if op.startswith(prefixes)), "pointwise")


def tree_data(drawing: Drawing) -> list[dict[str, Any]]:
    """The boxes as plain data, for the page."""
    return [
        {
            "kind": box.kind,
            "title": plain(box.title),
            "caption": plain(box.caption),
            "family": box.family,
            "lines": list(map(plain, box.said)),
            "tip": plain(box.tip),
            "flops": box.cost.flops,
            "bytes": box.cost.bytes,
            "ops": box.ops,
            "parts": [part.number for part in box.parts],
        }
        for box in drawing.boxes
    ]
