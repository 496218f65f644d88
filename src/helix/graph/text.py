"""Graphs as text: one line a node, with shapes, module and line."""

from __future__ import annotations

import os
from typing import Any

from .. import _core
from .ir import Graph, Node, Value

_NAMES: dict[str, list[str]] = {}


def attribute_names(op: str) -> list[str]:
    """The names of a record's attributes, in order."""
    if not _NAMES:
        for record in _core.ops():
            kinds = [(param["name"], param["kind"]) for param in record["params"]]
            _NAMES[record["name"]] = [name for name, kind in kinds if "Tensor" not in kind]
    return _NAMES.get(op, [])


def spec_text(shape: tuple[Any, ...], dtype: Any) -> str:
    return f"{dtype.name}[{', '.join(map(str, shape))}]"


def value_text(value: Value) -> str:
    """A value on its own, for messages."""
    if value.kind == "number":
        return str(value.source)
    name = value.name or (value.node.op if value.node is not None else value.kind)
    return f"%{name}: {spec_text(value.shape, value.dtype)}"


def node_text(node: Node) -> str:
    """A node on its own, for messages."""
    return f"{node.op}({', '.join('none' if value is None else value_text(value) for value in node.inputs)})"


class _Names:
    """The name of each value within a text."""

    def __init__(self, graph: Graph) -> None:
        self.names: dict[int, str] = {}
        for value in graph.inputs:
            self.names[id(value)] = f"%{value.name}"
        for value in graph.captured:
            self.names[id(value)] = f"@{value.name}"
        for i, value in enumerate(output for node in graph.nodes for output in node.outputs):
            self.names[id(value)] = f"%{i}"

    def of(self, value: Value | None) -> str:
        if value is None:
            return "none"
        return str(value.source) if value.kind == "number" else self.names.get(id(value), "%?")


def graph_text(graph: Graph, indent: str = "") -> str:
    names = _Names(graph)
    given = ", ".join(f"{names.of(v)}: {spec_text(v.shape, v.dtype)}" for v in graph.inputs)
    lines = [f"{indent}graph {graph.name}({given}):"]
    for value in graph.captured:
        lines.append(f"{indent}  {names.of(value)}: {spec_text(value.shape, value.dtype)} = {value.kind}")
    for node in graph.nodes:
        lines += _node_lines(node, names, indent + "  ")
    for effect in graph.effects:
        target = names.of(effect.target) + ("" if effect.kind == "write" else ".grad")
        arrow = "<- +" if effect.kind == "add" else "<-"
        lines.append(f"{indent}  {target} {arrow} {names.of(effect.value)}")
    lines.append(f"{indent}  return {', '.join(names.of(value) for value in graph.outputs)}")
    return "\n".join(lines)


def _node_lines(node: Node, names: _Names, indent: str) -> list[str]:
    left = ", ".join(f"{names.of(v)}: {spec_text(v.shape, v.dtype)}" for v in node.outputs)
    shown = [names.of(value) for value in node.inputs]
    labels = attribute_names(node.op)
    for i, attribute in enumerate(node.attributes):
        if attribute is not None:
            text = attribute.name if isinstance(attribute, _core.dtype) else repr(attribute)
            shown.append(f"{labels[i]}={text}" if i < len(labels) else text)
    module, file, line = node.place
    place = " ".join(part for part in (module, f"{os.path.basename(file)}:{line}" if file else "") if part)
    mark = " (no grad)" if node.no_grad else ""
    lines = [f"{indent}{left} = {node.op}({', '.join(shown)}){mark}" + (f"  # {place}" if place else "")]
    for body in node.graphs:
        lines.append(graph_text(body, indent + "    "))
    return lines
