"""A trace computes what the function computes: for every op, for modules, with writes in place, at every size."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

import helix
from helix import nn
from helix.graph import Dim, Graph, GraphError, Spec, TraceError

from ..ops.cases import each_sample
from ..ops.records import RECORDS, has
from ..ops.sample import Sample
from ..ops.test_trace import is_traceable
from ..ops.values import as_list, assert_same_bits, call_helix, leaves, numpy_arguments, seed_of, to_helix

B, T = Dim("B"), Dim("T")


def same(a: Any, b: Any) -> None:
    assert_same_bits(a, b, "graph and function")


def run_both(function: Callable, *inputs: helix.Tensor, seed: int = 0) -> Graph:
    """Traces, checks, and runs function and graph on equal inputs."""
    graph = helix.trace(function, *inputs)
    graph.check()
    helix.manual_seed(seed)
    expected = function(*[x.clone() for x in inputs])
    helix.manual_seed(seed)
    found = graph(*[x.clone() for x in inputs])
    for a, b in zip(as_list(found), as_list(expected), strict=True):
        same(a.detach(), b.detach())
    return graph


# ---- every op ----


@each_sample(lambda sample: is_traceable(sample) and "empty" not in sample.op)
def test_the_graph_of_an_op_gives_its_numbers(sample: Sample) -> None:
    arrays = numpy_arguments(sample, sample.dtypes[0])
    given = [to_helix(v) for v in leaves(arrays, np.ndarray)]

    def function(*tensors: helix.Tensor) -> list[helix.Tensor]:
        left = iter(tensors)
        return [r for r in as_list(call_helix(sample, arrays, lambda _: next(left))) if isinstance(r, helix.Tensor)]

    try:
        graph = helix.trace(function, *given)
    except TraceError as error:
        assert RECORDS[sample.op]["has_decomposition"] and error.code == "HX1702", error
        return
    graph.check()
    expected = function(*given)
    helix.manual_seed(seed_of(sample))
    for value, found, right in zip(graph.outputs, graph(*given), expected, strict=True):
        assert (value.shape, value.dtype) == (right.shape, right.dtype)
        same(found.detach(), right.detach())
    assert graph.difference(helix.trace(function, *given)) is None
    if not has(sample.op, "random"):
        again = helix.graph.infer(graph)
        assert [(v.shape, v.dtype) for v in again.outputs] == [(v.shape, v.dtype) for v in graph.outputs]


# ---- modules ----


class Residual(nn.Module):
    def __init__(self) -> None:
        self.first, self.second = nn.Linear(6, 12), nn.Linear(12, 6)

    def forward(self, x: helix.Tensor) -> helix.Tensor:
        return x + self.second(nn.functional.gelu(self.first(x)))


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple, Any]] = {
    "mlp": (lambda: nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.SiLU(), nn.Linear(8, 3)), (B, 6), None),
    "residual": (Residual, (B, T, 6), None),
    "convolution": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 3)
        ),
        (B, 2, 8, 8),
        None,
    ),
    "dropout": (
        lambda: nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.4), nn.Linear(6, 2), nn.Dropout(0.2)),
        (B, 6),
        None,
    ),
    "embedding": (lambda: nn.Sequential(nn.Embedding(10, 6), nn.Linear(6, 2)), (B, T), helix.int64),
    "transformer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True), (B, T, 8), None),
    "lstm": (lambda: nn.LSTM(6, 5, batch_first=True), (B, 4, 6), None),
    "norms": (lambda: nn.Sequential(nn.BatchNorm1d(6), nn.RMSNorm(6)), (B, 6), None),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_at_other_sizes(name: str) -> None:
    make, shape, dtype = MODULES[name]
    helix.manual_seed(4)
    module = make()
    graph = helix.trace(module, Spec(shape, dtype))
    graph.check()
    assert set(graph.parameters) <= {n for n, _ in (*module.named_parameters(), *module.named_buffers())}
    assert {n for n, _ in module.named_parameters()} <= set(graph.parameters)
    for sizes in ({"B": 3, "T": 6}, {"B": 9, "T": 2}):
        concrete = tuple(sizes[d.name] if isinstance(d, Dim) else d for d in shape)
        x = helix.randint(0, 10, concrete) if dtype else helix.randn(concrete)
        twin = copy.deepcopy(module)
        helix.manual_seed(8)
        expected = twin(x)
        helix.manual_seed(8)
        found = graph(x)
        for a, b in zip(helix.graph.tree.flatten(found)[0], helix.graph.tree.flatten(expected)[0], strict=True):
            same(a, b.detach())
        for (path, mine), (_, theirs) in zip(module.named_buffers(), twin.named_buffers(), strict=True):
            assert helix.allclose(mine, theirs, rtol=1e-6), path
        used = {d.name: sizes[d.name] for d in graph.dims}
        fixed = graph.at(**used)
        assert not fixed.is_symbolic() and fixed.outputs[0].shape == helix.graph.tree.flatten(found)[0][0].shape


def test_places() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.ReLU()))
    graph = helix.trace(module, Spec((2, 3)))
    assert [(node.op, node.place[0]) for node in graph.nodes] == [("linear", "0"), ("relu", "1.0")]
    assert all(node.place[1] == __file__ for node in graph.nodes)
    other = nn.Linear(3, 3)
    function = helix.trace(lambda x: module(x).exp() + other(x), Spec((2, 3)))
    assert [node.place[0] for node in function.nodes] == ["0", "1.0", "", "linear", ""]
    assert nn.Module.__call__.__name__ == "__call__"  # nobody watches any more


def test_module_calls_are_unwatched_after_an_error() -> None:
    with pytest.raises(TraceError):
        helix.trace(lambda x: bool(x), Spec(()))
    assert nn.Module.__call__.__name__ == "__call__" and not helix._core.tracing()


# ---- containers ----


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclass
class Batch:
    tokens: Any
    scale: Any


def test_containers() -> None:
    def function(batch: Batch, pair: Pair, options: dict, times: int) -> dict:
        return {"y": [batch.tokens * batch.scale * times, pair.left - pair.right], "z": (options["a"], None, 3)}

    x = helix.arange(3.0)
    args = (Batch(x, x + 1), Pair(x, x * 2), {"a": x, "b": None}, 2)
    graph = helix.trace(function, *args)
    assert [v.name for v in graph.inputs] == ["batch.tokens", "batch.scale", "pair.left", "pair.right", "options.a"]
    found, expected = graph(*args), function(*args)
    same(found["y"][0], expected["y"][0])
    same(found["y"][1], expected["y"][1])
    assert found["z"][0] is x and found["z"][1:] == (None, 3)
    with pytest.raises(helix.errors.ArgumentError, match="HX1103.*takes arguments of the structure"):
        graph(*args[:3], 5)  # another number would be another graph
    with pytest.raises(helix.errors.ArgumentError, match="takes 1 tensor, got 0 tensors"):
        helix.trace(lambda x: x + 1, x)()


# ---- writes in place ----


def into_a_row(x: helix.Tensor) -> helix.Tensor:
    y = x * 1
    y[1] = y[0] + 1
    return y


def through_two_views(x: helix.Tensor) -> helix.Tensor:
    y = x.clone()
    y.t()[0].mul_(3)
    return y + y.t().t()


def read_after_write(x: helix.Tensor) -> list[helix.Tensor]:
    y = x.clone()
    row, column = y[0], y[:, 1]
    y.add_(1)
    row.mul_(2)
    return [y, row, column, y.sum()]


def the_input_itself(x: helix.Tensor) -> helix.Tensor:
    x.add_(1)
    x[:, 0].zero_()
    return x * 2


def fresh_constant(x: helix.Tensor) -> helix.Tensor:
    total = helix.tensor([0.0, 0.0, 0.0])
    total += x[0]
    return total


def cast_on_write(x: helix.Tensor) -> helix.Tensor:
    y = x.clone()
    y += x.double()
    return y


def masked(x: helix.Tensor) -> helix.Tensor:
    y = x.clone()
    y[x > 0] = 5.0
    y[:, [0, 2]] = 0.5
    return y


def out_argument(x: helix.Tensor) -> helix.Tensor:
    y = helix.zeros(3)
    helix.add(x[0], x[1], out=y)
    return y


def detached(x: helix.Tensor) -> helix.Tensor:
    y = x.clone()
    y.detach().mul_(2)
    return y


def random_fill(x: helix.Tensor) -> helix.Tensor:
    y = helix.zeros(4)
    y[1:3].uniform_()
    return y + helix.rand(4) * x[0, 0]


WRITERS = [into_a_row, through_two_views, read_after_write, the_input_itself, fresh_constant, cast_on_write, masked, out_argument,
           detached, random_fill]  # fmt: skip


@pytest.mark.parametrize("function", WRITERS, ids=lambda f: f.__name__)
def test_writes_become_values(function: Callable) -> None:
    x = helix.arange(6.0).reshape(2, 3) - 2
    graph = run_both(function, x)
    assert not any(node.op.endswith("_") for node in graph.nodes)
    mine, theirs = x.clone(), x.clone()
    for _ in range(2):  # a second run starts from what the first left
        function(mine)
        graph(theirs)
    same(mine, theirs)


def test_captured_buffers_are_written_back() -> None:
    total, seen = helix.zeros(3), []

    def function(x: helix.Tensor) -> helix.Tensor:
        before = total * 1
        total.add_(x)
        seen.append(1)
        return before

    graph = helix.trace(function, Spec((3,)))
    assert total.tolist() == [0, 0, 0] and len(seen) == 1
    assert graph(helix.ones(3)).tolist() == [0, 0, 0]
    assert graph(helix.ones(3)).tolist() == [1, 1, 1]
    assert total.tolist() == [2, 2, 2]


def test_exchanged_buffers() -> None:
    a, b = helix.zeros(2), helix.ones(2)

    def swap() -> None:
        old = a.clone()
        a.copy_(b)
        b.copy_(old)

    graph = helix.trace(swap)
    graph()
    assert a.tolist() == [1, 1] and b.tolist() == [0, 0]


def test_effects_take_the_values_from_before_any_of_them() -> None:
    def function(x: helix.Tensor, y: helix.Tensor, z: helix.Tensor) -> None:
        y.copy_(x)
        x.copy_(z)

    x, y, z = helix.tensor([1.0]), helix.tensor([2.0]), helix.tensor([3.0])
    helix.trace(function, x, y, z)(x, y, z)
    assert [t.item() for t in (x, y, z)] == [3.0, 1.0, 3.0]


def test_a_part_of_a_captured_part_is_written() -> None:
    base = helix.zeros(6)
    part = base[2:]

    def function() -> helix.Tensor:
        part[1:3].add_(1)
        return part.sum()

    graph = helix.trace(function)
    assert graph().item() == 2 and base.tolist() == [0, 0, 0, 1, 1, 0]


def test_a_training_step() -> None:
    """Forward, backward and update in one graph: the weights go the way of the eager steps."""
    helix.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    twin = copy.deepcopy(model)
    x, y = helix.randn(6, 4), helix.randn(6, 2)

    def step_of(net: nn.Module) -> Callable:
        def step(x: helix.Tensor, y: helix.Tensor) -> helix.Tensor:
            loss = ((net(x) - y) ** 2).mean()
            gradients = helix.autograd.grad(loss, list(net.parameters()))
            with helix.no_grad():
                for p, g in zip(net.parameters(), gradients, strict=True):
                    p.sub_(g * 0.1)
            return loss

        return step

    graph = helix.trace(step_of(model), x, y)
    for _ in range(3):
        same(graph(x, y), step_of(twin)(x, y).detach())
    for mine, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        same(mine.detach(), theirs.detach())


def test_optimizers_and_gradients_left_with_leaves() -> None:
    helix.manual_seed(0)
    model = nn.Linear(3, 2)
    twin = copy.deepcopy(model)
    x = helix.randn(5, 3)

    def backward_of(net: nn.Module) -> Callable:
        def function(x: helix.Tensor) -> helix.Tensor:
            loss = net(x).square().sum()
            loss.backward()
            return loss.detach()

        return function

    graph = helix.trace(backward_of(model), x)
    assert model.weight.grad is None
    graph(x)
    backward_of(twin)(x)
    same(model.weight.grad, twin.weight.grad)
    same(model.bias.grad, twin.bias.grad)


# ---- what cannot be captured ----


def branches(x: helix.Tensor) -> helix.Tensor:
    if x.sum() > 0:
        return x
    return -x


CAPTIVE = helix.arange(8.0)


def halves(x: helix.Tensor) -> helix.Tensor:
    CAPTIVE[:4].add_(x)
    return CAPTIVE.sum()


REFUSED: list[tuple[Callable, str]] = [
    (branches, "helix.cond"),
    (lambda x: x * x.sum().item(), "not known"),
    (lambda x: helix.tensor(x.numpy()), "traced tensor"),
    (lambda x: x[x > 0], "mask selects"),
    (lambda x: x.unique(), "depends on values"),
    (lambda x: helix.rand(4, generator=helix.Generator(1)) * x, "generator"),
    (lambda x: LEAKED.append(x * 1) or x, ""),
    (lambda x: x + LEAKED[0], "another trace"),
]
LEAKED: list[helix.Tensor] = []


@pytest.mark.parametrize("index", range(len(REFUSED)))
def test_refusals_name_the_line(index: int) -> None:
    function, text = REFUSED[index]
    if not text:
        return
    if "another" in text:
        helix.trace(REFUSED[index - 1][0], Spec((4,)))
    line = function.__code__.co_firstlineno + (function is branches)
    with pytest.raises(TraceError, match=re.escape(text)) as caught:
        helix.trace(function, Spec((4,)))
    assert f"traced at {__file__}:{line}" in str(caught.value)
    assert caught.value.code == "HX1702"


def test_written_memory_that_another_captured_tensor_shares() -> None:
    base = helix.zeros(4)
    part = base[:2]
    with pytest.raises(TraceError, match="shares its memory"):
        helix.trace(lambda x: (base.add_(1), part * x), Spec((2,)))


# ---- dimensions ----


FIXED: list[tuple[Callable, str]] = [
    (lambda x: x.reshape(5, -1) if x.shape[0] == 5 else x.relu(), "fixed"),
    (lambda x: x.reshape(5, 3), "fixed"),
    (lambda x: x * (x.shape[0] ** 0.5), "no sum of products"),
    (lambda x: x + helix.tensor([float(i) for i in range(x.shape[0])]).sum(), "made of Python values"),
    (lambda x: [x * i for i in range(x.shape[0])], "only some sizes"),
]


@pytest.mark.parametrize("index", range(len(FIXED)))
def test_a_dimension_that_is_fixed(index: int) -> None:
    function, text = FIXED[index]
    with pytest.raises(TraceError, match=text) as caught:
        helix.trace(function, Spec((B, 3)))
    assert caught.value.code == "HX1702"
    if "made of" not in text:
        assert f"{__file__}:{function.__code__.co_firstlineno}" in str(caught.value)


def test_numbers_and_shapes_follow_the_dimensions() -> None:
    def function(x: helix.Tensor) -> helix.Tensor:
        b, t, _ = x.shape
        flat = x.reshape(b * t, 4) / (b * t) + 1.0 / t + helix.arange(b * t * 4).reshape(b * t, 4)
        return flat[1:, :].sum(0) * (2 * t - 1)

    graph = helix.trace(function, Spec((B, T, 4)))
    for shape in ((2, 3, 4), (7, 1, 4), (1, 9, 4)):
        x = helix.randn(shape)
        same(graph(x), function(x))
    assert graph.find("reshape")[0].outputs[0].shape == (B * T, 4)


def test_bounds() -> None:
    graph = helix.trace(lambda x: x.reshape(x.shape[0] // 2, 2, 3).sum(1), Spec((Dim("N", multiple_of=2, max=20), 3)))
    x = helix.randn(6, 3)
    same(graph(x), x.reshape(3, 2, 3).sum(1))
    with pytest.raises(helix.errors.ShapeError, match="multiple of 2"):
        graph(helix.randn(5, 3))
    with pytest.raises(helix.errors.ShapeError, match="at most 20"):
        graph(helix.randn(22, 3))
    squeezed = helix.trace(lambda x: x.squeeze(), Spec((B, 3)))
    with pytest.raises(helix.errors.ShapeError, match="at least 2"):
        squeezed(helix.randn(1, 3))
    with pytest.raises(helix.errors.ShapeError, match="B = 4"):
        helix.trace(lambda x, y: x + y, Spec((B, 3)), Spec((B, 3)))(helix.randn(4, 3), helix.randn(5, 3))


# ---- random streams ----


def test_streams_are_drawn_in_the_order_of_the_function() -> None:
    def function(x: helix.Tensor) -> helix.Tensor:
        return nn.functional.dropout(x, 0.5) + helix.randn(50) * helix.rand(50)

    x = helix.ones(50)
    graph = run_both(function, x, seed=11)
    assert graph.draws == 3
    same(graph(x, generator=helix.Generator(5)), graph(x, generator=helix.Generator(5)))
    assert not helix.equal(graph(x), graph(x))


def test_a_gradient_draws_the_same_mask() -> None:
    def function(x: helix.Tensor) -> list[helix.Tensor]:
        x = x.detach().requires_grad_()
        y = nn.functional.dropout(x, 0.5)
        return [y, helix.autograd.grad(y.sum(), x)[0]]

    y, g = helix.trace(function, Spec((64,)))(helix.ones(64))
    same(y, g)


# ---- changing graphs ----


def small() -> Graph:
    return helix.trace(lambda x: (x.exp() + 1).relu(), Spec((3,)))


def test_rewriting() -> None:
    graph = small()
    exp, add, relu = graph.nodes
    node = graph.append(helix.graph.Node("tanh", (exp.outputs[0],)), before=add)
    graph.replace(exp.outputs[0], node.gives(((3,), helix.float32))[0])
    graph.check()
    x = helix.randn(3)
    same(graph(x), (x.exp().tanh() + 1).relu())
    graph.replace(relu.outputs[0], add.outputs[0])
    graph.remove(relu)
    graph.check()
    same(graph(x), x.exp().tanh() + 1)
    assert graph.prune() == 0


def tanh_at_the_end(graph: Graph) -> helix.graph.Value:
    node = helix.graph.Node("tanh", (graph.inputs[0],))
    value = node.gives(((3,), helix.float32))[0]
    graph.append(node)
    return value


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda g: g.remove(g.nodes[0]), "add takes"),
        (lambda g: g.remove(g.nodes[2]), "outputs"),
        (lambda g: g.replace(g.nodes[0].outputs[0], g.nodes[2].outputs[0]), ""),
        (lambda g: g.replace(g.nodes[0].outputs[0], tanh_at_the_end(g)), "insert what makes it earlier"),
        (lambda g: g.append(helix.graph.Node("tanh", (g.nodes[2].outputs[0],)), before=g.nodes[0]), "made later"),
        (lambda g: g.replace(g.nodes[0].outputs[0], g.nodes[0].gives(((4,), helix.float32))[0]), "shape and dtype"),
        (lambda g: g.remove(helix.graph.Node("tanh", ())), "does not stand"),
    ],
)
def test_changes_without_meaning_are_refused(change: Callable, text: str) -> None:
    graph = small()
    if not text:
        change(graph)  # nothing between takes it: relu is made of it
        graph.check()
        return
    with pytest.raises(GraphError, match=text):
        change(graph)


def test_comparing_and_hashing() -> None:
    a, b = small(), small()
    assert a.difference(b) is None and a.hash() == b.hash() and a.hash() == a.copy().hash()
    other = helix.trace(lambda x: (x.exp() + 2).relu(), Spec((3,)))
    assert "add" in (a.difference(other) or "") and a.hash() != other.hash()
    assert a.hash() != helix.trace(lambda x: (x.exp() + 1.0).relu(), Spec((4,))).hash()
    twin = a.copy()
    twin.replace(twin.nodes[2].outputs[0], twin.nodes[1].outputs[0])
    twin.prune()
    assert a.difference(twin) is not None and len(a) == 3
    a.check()


def test_shapes_are_inferred_again_and_misfits_name_node_and_line() -> None:
    graph = helix.trace(lambda x, y: (x @ y).relu(), Spec((2, 3)), Spec((3, 4)))
    graph.inputs[0].shape = (5, 3)
    assert helix.graph.infer(graph).outputs[0].shape == (5, 4)
    graph.inputs[1].shape = (7, 4)
    with pytest.raises(helix.errors.ShapeError) as caught:
        helix.graph.infer(graph)
    notes = " ".join(caught.value.__notes__)
    assert "matmul(%x: float32[5, 3], %y: float32[7, 4])" in notes and f"{__file__}:" in notes


def test_text() -> None:
    graph = helix.trace(nn.Linear(3, 2), Spec((B, 3)))
    line = test_text.__code__.co_firstlineno + 1
    assert str(graph) == (
        "graph Linear(%input: float32[B, 3]):\n"
        "  @weight: float32[2, 3] = parameter\n"
        "  @bias: float32[2] = parameter\n"
        f"  %0: float32[B, 2] = linear(%input, @weight, @bias)  # test_trace.py:{line}\n"
        "  return %0"
    )


def test_replay_runs_modules_that_were_given_other_weights() -> None:
    module = nn.Linear(3, 2)
    graph = helix.trace(module, Spec((1, 3)))
    x = helix.randn(1, 3)
    other = helix.zeros(2, 3)
    assert graph(x, captured={"weight": other}).tolist() == [module.bias.tolist()]
