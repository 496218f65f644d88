"""From a graph to the protobuf of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import helix

from ...graph.ir import Graph
from .control import parts, placeholders
from .edge import Edge
from .writer import Writer

NEWEST_IR = 10  # nothing that is written needs a newer one, which older runtimes refuse


class Written:
    """A model, and which of its values is which of the graph's."""

    def __init__(self, proto: Any, graph: Graph, names: dict[int, str], inputs: list[str], outputs: list[str]) -> None:
        self.proto, self.graph, self.names, self.inputs, self.outputs = proto, graph, names, inputs, outputs


def model_of(graph: Graph, opset: int, input_names: Sequence[str], output_names: Sequence[str]) -> Written:
    """Writes a graph of ops that have operators."""
    w = Writer(opset)
    w.taken.update((*input_names, *output_names))
    inputs: list[Edge] = []
    for value, name in zip(graph.inputs, input_names, strict=True):
        made = placeholders(w, [value])[0]
        if isinstance(made, Edge):
            made.name = name
        else:
            made.re.name, made.im.name = f"{name}.real", f"{name}.imag"
        w.provide(value, made)
        inputs += parts([made])
    with w.at_start():
        for given in inputs:
            w.sizes.learn(given)
    results = []
    for value, edge, name in zip(graph.outputs, w.write(graph), output_names, strict=True):
        w.node, w.path = None, name
        for part, suffix in zip(parts([edge]), (".real", ".imag") if value.dtype.is_complex else ("",), strict=True):
            w.Identity(part)
            w.nodes[-1].output[0] = name + suffix
            results.append(Edge(w, name + suffix, part.dtype, value.shape))
    nodes = _needed([*w.start, *w.nodes], [edge.name for edge in results])
    nodes, renamed = _renamed(nodes, {edge.name for edge in inputs} | set(w.initializers))
    used = _taken(nodes)
    held = [proto for name, proto in w.initializers.items() if name in used]
    body = w.onnx.helper.make_graph(
        nodes, graph.name, [w.info(e) for e in inputs], [w.info(e) for e in results], initializer=held
    )
    body.doc_string = f"Exported from helix {helix.__version__}"
    sets = [w.onnx.helper.make_opsetid("", opset)]
    proto = w.onnx.helper.make_model(
        body, producer_name="helix", producer_version=helix.__version__, opset_imports=sets,
        ir_version=min(w.onnx.helper.find_min_ir_version_for(sets), NEWEST_IR),
    )  # fmt: skip
    w.onnx.helper.set_model_props(proto, {"helix.version": helix.__version__, "helix.dimensions": ", ".join(
        f"{dim.name}: {dim.min}..{'' if dim.max is None else dim.max}" for dim in graph.dims)})  # fmt: skip
    names = {key: renamed.get(edge.name, edge.name) for key, edge in w.edges.items() if isinstance(edge, Edge)}
    return Written(proto, graph, names, [edge.name for edge in inputs], [edge.name for edge in results])


def _needed(nodes: list[Any], outputs: Sequence[str]) -> list[Any]:
    """The nodes on which a result depends."""
    wanted = set(outputs)
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted |= _taken([node])
    return kept[::-1]


def _taken(nodes: Sequence[Any]) -> set[str]:
    """The names that nodes read, in their bodies too."""
    found: set[str] = set()
    for node in nodes:
        found.update(node.input)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found |= _taken(attribute.g.node)
                found.update(value.name for value in attribute.g.output)
    return found


def _renamed(nodes: list[Any], fixed: set[str]) -> tuple[list[Any], dict[str, str]]:
    """What makes a result takes its name, where the copy that would name it is the only other reader; and what it was before."""
    makers = {name: node for node in nodes for name in node.output}
    kept, renamed = [], {}
    for i, node in enumerate(nodes):
        source = node.input[0] if node.op_type == "Identity" and not node.name.startswith("sizes") else ""
        maker = makers.get(source)
        readers = sum(source in _taken([other]) for other in nodes) if maker is not None else 0
        if maker is None or source in fixed or readers != 1 or not _last(nodes, i):
            kept.append(node)
            continue
        for k, name in enumerate(maker.output):
            if name == source:
                maker.output[k] = renamed[source] = node.output[0]
    return kept, renamed


def _last(nodes: list[Any], i: int) -> bool:
    """Is what follows nothing but copies that name results?"""
    return all(node.op_type == "Identity" for node in nodes[i:])
