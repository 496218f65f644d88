"""A graph on several devices: every node on one of them, and transfers as nodes where a value goes from one to another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import helix

from .. import _core
from .._core import Tensor
from ..errors import ArgumentError, GraphError
from .analysis import bytes_of, cost, liveness, workspace
from .estimating import memory_of
from .ir import Effect, Graph, Node, Value
from .users import Users

TRANSFER = "transfer"


def place(graph: Graph, rules: Mapping[str, Any]) -> Graph:
    """A copy of the graph whose nodes run on the devices that the rules tell by module, with transfers in between.

    rules: devices by the dotted path of a module, which takes all within; the longest path that fits counts, and "" is where
        everything else runs, where inputs are expected and outputs go: the CPU unless told.

    Captured tensors are copied to the device of the first node that takes them, where they are not there already, and it is these
    copies that effects change. A placed graph runs and is saved; take gradients and sizes (`at`) before.

    Raises ArgumentError (HX1103) for a module that no node belongs to, GraphError (HX4001) for a graph that is placed already, what
    `helix.device` raises for a device that is not there.

    Example:
        >>> model = helix.nn.Sequential(helix.nn.Linear(2, 3), helix.nn.Linear(3, 1))
        >>> placed = helix.trace(model, helix.graph.Spec((4, 2))).place({"1": "sim"})
        >>> [(node.op, str(node.device)) for node in placed.nodes]
        [('linear', 'cpu'), ('transfer', 'sim:0'), ('linear', 'sim:0'), ('transfer', 'cpu')]
    """
    devices = {path: helix.device(device) for path, device in rules.items()}
    home = devices.setdefault("", helix.device("cpu"))
    modules = {node.place[0] for node in graph.nodes}
    for path in devices:
        if path and not any(_is_within(module, path) for module in modules):
            raise ArgumentError(
                f"HX1103 place: no node of {graph.name} belongs to {path!r}; its modules are {', '.join(sorted(filter(None, modules)))}",
                code="HX1103",
                argument="rules",
            )
    paths = sorted(devices, key=len, reverse=True)
    where = [devices[next(path for path in paths if _is_within(node.place[0], path))] for node in graph.nodes]
    return _Placing(graph, where, home).made


def split(graph: Graph, memory: Mapping[str, int | str]) -> Graph:
    """A copy of the graph cut into pieces that follow each other, one for each device, in their order: each fits into what the device
    has, and the piece that costs most costs as little as can be. Inputs and outputs are on the first device.

    memory: for each device bytes, or a text such as "8GB".

    Raises ArgumentError (HX1103) where the devices together are too small, naming the first op that finds no room.

    Example:
        >>> model = helix.nn.Sequential(helix.nn.Linear(64, 64), helix.nn.Linear(64, 64))
        >>> placed = helix.graph.split(helix.trace(model, helix.graph.Spec((4, 64))), {"cpu": "30kB", "sim": "30kB"})
        >>> [str(node.device) for node in placed.find("linear")]
        ['cpu', 'sim:0']
    """
    devices = [helix.device(name) for name in memory]
    rooms = [memory_of(size) for size in memory.values()]
    ends = _cuts(graph, rooms, list(memory))
    where = [devices[sum(i >= end for end in ends)] for i in range(len(graph.nodes))]
    return _Placing(graph, where, devices[0]).made


class Transfer:
    """Runs a transfer: the same values on another device."""

    def __init__(self, device: Any) -> None:
        self.device = device

    def __call__(self, inputs: list[Tensor], seed: int = 0, first: int = 0) -> list[Tensor]:
        return [_core.copy_to_device(inputs[0], self.device)]


def _is_within(module: str, path: str) -> bool:
    return not path or module == path or module.startswith(f"{path}.")


class _Placing:
    """Copies a graph node by node, and puts a transfer before the first node that takes a value from elsewhere."""

    def __init__(self, graph: Graph, where: list[Any], home: Any) -> None:
        if graph.find(TRANSFER):
            raise GraphError(
                f"HX4001 {graph.name} is placed already; place the graph that it was made of", code="HX4001"
            )
        self.made = made = graph.copy()
        nodes, made.nodes = made.nodes, []
        self.at: dict[int, Any] = {id(value): home for value in made.inputs}
        self.copies: dict[tuple[int, str], Value] = {}
        for node, device in zip(nodes, where, strict=True):
            for value in node.inputs:
                self._settle(value, device)
            node.inputs = tuple([self._on(value, device, node) for value in node.inputs])
            node.device = device
            node.graphs = tuple([_moved(body, device) for body in node.graphs])
            self.at.update({id(value): device for value in node.outputs})
            made.nodes.append(node)
        last = nodes[-1] if nodes else Node(TRANSFER, ())
        made.outputs = [self._on(value, home, last) or value for value in made.outputs]
        for effect in made.effects:
            self._settle(effect.target, home)
        made.effects = [self._effect(effect, last) for effect in made.effects]
        _count_users(made)

    def _effect(self, effect: Effect, last: Node) -> Effect:
        value = self._on(effect.value, self.at[id(effect.target)], last)
        return Effect(effect.kind, effect.target, value or effect.value)

    def _settle(self, value: Value | None, device: Any) -> None:
        """A captured tensor lives where it is taken first."""
        if value is None or value.kind in ("number", "result") or id(value) in self.at:
            return
        self.at[id(value)] = device
        if value.source.device != device:
            moved = value.source.detach().to(device)
            value.source = moved.requires_grad_() if value.source.requires_grad else moved

    def _on(self, value: Value | None, device: Any, taker: Node) -> Value | None:
        """The value as it is on a device."""
        if value is None or value.kind == "number" or self.at.setdefault(id(value), device) == device:
            return value
        key = id(value), str(device)
        if key not in self.copies:
            node = Node(TRANSFER, (value,), place=taker.place, device=device)
            self.copies[key] = node.gives((value.shape, value.dtype))[0]
            self.at[id(self.copies[key])] = device
            self.made.nodes.append(node)
        return self.copies[key]


def _moved(body: Graph, device: Any) -> Graph:
    """A body with all that is in it on a device."""
    made = body.copy()
    for value in made.captured:
        value.source = value.source.to(device)
    for node in made.nodes:
        node.device = device
        node.graphs = tuple([_moved(inner, device) for inner in node.graphs])
    return made


def _count_users(graph: Graph) -> None:
    numbers = [value for node in graph.nodes for value in node.inputs if value is not None and value.kind == "number"]
    for value in (*graph.values(), *numbers):
        value.users = Users()
    graph.nodes = list(graph.nodes)
    for node in graph.nodes:
        for taken in node.inputs:
            if taken is not None:
                taken.users.append(node)


# ---- cutting -----------------------------------------------------------------------------------------------


def _cuts(graph: Graph, rooms: list[int], names: list[str]) -> list[int]:
    """Where the pieces end: with the smallest cost of the dearest piece for which all fit."""
    costs = [max(cost(node).flops, cost(node).bytes) for node in graph.nodes]
    weights, results = _needs(graph)
    greatest = sum(costs) + 1
    if _cut(greatest, costs, weights, results, rooms) is None:
        _refuse(graph, weights, results, rooms, names)
    low, high = 0, greatest
    while low < high:
        middle = (low + high) // 2
        if _cut(middle, costs, weights, results, rooms) is None:
            low = middle + 1
        else:
            high = middle
    return _cut(high, costs, weights, results, rooms) or []


def _needs(graph: Graph) -> tuple[list[int], list[int]]:
    """For each node the bytes of captured tensors and inputs that are taken there first, and of the results that are held then."""
    weights, results = [0] * len(graph.nodes), [0] * len(graph.nodes)
    met: set[int] = set()
    for i, node in enumerate(graph.nodes):
        for value in node.inputs:
            if value is not None and value.kind not in ("number", "result") and id(value) not in met:
                met.add(id(value))
                weights[i] += bytes_of(value)
        results[i] = workspace(node)
    for life in liveness(graph):
        if life.first >= 0:
            for i in range(life.first, min(life.last + 1, len(results))):
                results[i] += life.bytes
    return weights, results


def _cut(most: int, costs: list[int], weights: list[int], results: list[int], rooms: list[int]) -> list[int] | None:
    """Fills device after device; where each ends, None where nodes are left over."""
    ends: list[int] = []
    i = 0
    for room in rooms:
        done = held = peak = 0
        while i < len(costs):
            done, held, peak = done + costs[i], held + weights[i], max(peak, results[i])
            if done > most or held + peak > room:
                break
            i += 1
        ends.append(i)
    return ends if i == len(costs) else None


def _refuse(graph: Graph, weights: list[int], results: list[int], rooms: list[int], names: list[str]) -> None:
    i, device = 0, 0
    held = peak = 0
    while device < len(rooms):
        held, peak = held + weights[i], max(peak, results[i])
        if held + peak <= rooms[device]:
            i += 1
            continue
        device, held, peak = device + 1, 0, 0
    node = graph.nodes[i]
    needs = sum(weights) + max(results)
    raise ArgumentError(
        f"HX1103 split: {graph.name} does not fit: {node.op}{f' ({node.where})' if node.where else ''} finds no room on "
        f"{', '.join(names)}, which have {', '.join(f'{room:,}' for room in rooms)} bytes; by itself it takes "
        f"{weights[i] + results[i]:,}, all together about {needs:,}",
        code="HX1103",
        argument="memory",
    )
