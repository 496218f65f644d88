"""Layers of all kinds as one graph: what the layers give, to the bit, and trained together."""

import json

import pytest

import helix
from helix import nn
from helix.errors import FormatError, GraphError
from helix.graph import Dim, Spec, UniversalGraph, grad

EDGES = helix.tensor([[0, 1, 2, 3, 4, 5, 1, 0], [1, 2, 3, 4, 5, 0, 0, 1]])
X = (2, 6, 8)

# Each architecture by the graph, and by the layer itself.
KINDS = {
    "transformer": (
        lambda g: g.add_transformer("n", 8, 2, dim_feedforward=16, dropout=0.0),
        lambda: nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True),
    ),
    "ssm": (lambda g: g.add_ssm("n", 8, 4), lambda: nn.S4D(8, 4, transposed=False)),
    "mamba": (lambda g: g.add_mamba("n", 8, d_state=4), lambda: nn.Mamba(8, 4)),
    "hyena": (lambda g: g.add_hyena("n", 8, 6, filter_order=8), lambda: nn.HyenaOperator(8, 6, filter_order=8)),
    "cnn": (lambda g: g.add_cnn("n", 6, 4, 3, dims=1), lambda: nn.Conv1d(6, 4, 3)),
    "rnn": (lambda g: g.add_rnn("n", 8, 5), lambda: nn.LSTM(8, 5, batch_first=True)),
    "gnn": (lambda g: g.add_gnn("n", 8, 3), lambda: nn.GCNConv(8, 3)),
    "node": (lambda g: g.add_node("n", "Linear", 8, 3, bias=False), lambda: nn.Linear(8, 3, bias=False)),
}


def layer_result(kind, layer, x):
    if kind == "gnn":
        return helix.stack([layer(row, EDGES) for row in x])
    made = layer(x)
    return made[0] if kind == "rnn" else made


@pytest.mark.parametrize("kind", KINDS)
def test_as_the_layer_itself(kind):
    build, make = KINDS[kind]
    helix.manual_seed(0)
    graph = build(UniversalGraph(["x", "edge_index"] if kind == "gnn" else ["x"]))
    helix.manual_seed(0)
    layer = make()
    x, y = (helix.randn(X, generator=helix.Generator(1)).requires_grad_() for _ in range(2))
    mine = graph(x, EDGES) if kind == "gnn" else graph(x)
    theirs = layer_result(kind, layer, y)
    assert mine.detach().numpy() == pytest.approx(theirs.detach().numpy(), abs=1e-6)
    mine.sin().sum().backward()
    theirs.sin().sum().backward()
    assert x.grad.numpy() == pytest.approx(y.grad.numpy(), abs=1e-6)
    for (name, a), (other, b) in zip(graph.named_parameters(), layer.named_parameters(), strict=True):
        assert name == f"n.{other}"
        assert a.grad.numpy() == pytest.approx(b.grad.numpy(), abs=1e-5)
    again = UniversalGraph.from_json(graph.to_json())
    again.load_state_dict(graph.state_dict())
    assert again.to_json() == graph.to_json()
    result = again.execute({"x": x, "edge_index": EDGES} if kind == "gnn" else x, device="cpu")
    assert result.tolist() == mine.tolist()


def mixed():
    helix.manual_seed(1)
    graph = UniversalGraph(["x", "edge_index"])
    graph.add_mamba("mamba", 8, d_state=4).add_attention("attention", 8, 2).add_node(
        "sum", "add", inputs=["mamba", "attention"]
    )
    return graph.add_hyena("hyena", 8, 6, filter_order=8).add_gnn("nodes", 8, 4).add_node("end", "Linear", 4, 1)


def test_a_mixed_graph_trains():
    graph = mixed()
    x = helix.randn(X)
    target = x.cumsum(1).mean(-1, keepdim=True)
    optimizer = helix.optim.Adam(graph.parameters(), lr=0.02)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = ((graph(x, EDGES) - target) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(parameter.grad is not None for parameter in graph.parameters())


def test_the_same_graph_as_a_trace():
    graph = UniversalGraph().add_mamba("mamba", 8, d_state=4).add_hyena("hyena", 8, 6, filter_order=8)
    traced = helix.trace(lambda x: (graph(x) ** 2).sum(), Spec(X))
    x = helix.randn(X)
    assert traced(x).item() == (graph(x) ** 2).sum().item()
    weight = "mamba.in_proj.weight"
    found = grad(traced, next(name for name in traced.parameters if name.endswith(weight)))(x)
    (graph(x) ** 2).sum().backward()
    assert found.numpy() == pytest.approx(dict(graph.named_parameters())[weight].grad.numpy(), rel=1e-4, abs=1e-5)


def test_edges_by_name():
    graph = UniversalGraph(["a", "b"]).add_node("later", "sub", inputs=["first", "b"])
    graph.add_node("first", "mul", inputs=["a", "b"]).add_node("mine", lambda x: x * 2, inputs="later")
    graph.output("mine", "first")
    assert graph.order() == ["first", "later", "mine"]
    assert ("first", "later") in graph.edges
    a, b = helix.tensor([3.0]), helix.tensor([2.0])
    assert [y.item() for y in graph(a, b=b)] == [8.0, 6.0]
    with pytest.raises(FormatError, match="mine"):
        graph.to_json()
    captured = UniversalGraph.capture(nn.Sequential(nn.Linear(3, 4), nn.ReLU()))
    assert captured.order() == ["layer0", "layer1"]
    assert captured(helix.ones(2, 3)).shape == (2, 4)


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (
            lambda: UniversalGraph().add_node("a", "relu", inputs="b").add_node("b", "relu").order(),
            "wait for each other: a, b",
        ),
        (lambda: UniversalGraph().add_node("a", "relu", inputs="ghost").order(), "ghost"),
        (lambda: UniversalGraph().add_node("x", "relu"), "taken"),
        (lambda: UniversalGraph().add_node("forward", "relu"), "taken"),
        (lambda: UniversalGraph().add_node("a", "explode"), "no layer"),
        (lambda: UniversalGraph()(helix.ones(2)), "no nodes"),
        (lambda: UniversalGraph([]), "inputs"),
    ],
)
def test_refused(build, match):
    with pytest.raises(GraphError, match=match):
        build()


@pytest.mark.parametrize(
    "text",
    [
        "", "[", "[2,[],[],[]]", "[1,[],[],[]]", '[1,["x"],[["n","node","Module","",{},[]]],[]]', "[" * 9000,
        '[1,["x"],[["n","node","os.system",["ls"],{},["x"]]],[]]', '[1,["x"],[["n","rnn","relu",[],{},["x"]]],[]]',
        '[1,["x"],[["n","spell","relu",[],{},["x"]]],[]]', '[1,["x"],[["n","node","Linear",["a"],{},["x"]]],[]]',
        '[1,["x"],[["n","node","Linear",[3,4],{"bios":1},["x"]]],[]]', '[1,["x"],[["n","node","relu",[],{},["n"]]],[]]',
    ],
)  # fmt: skip
def test_text_that_tells_no_graph(text):
    with pytest.raises(FormatError):
        UniversalGraph.from_json(text)


@pytest.mark.parametrize(
    ("what", "args", "text"),
    [
        ("Linear", [1 << 19, 1 << 19], "more than the 1073741824 elements"),
        ("Linear", [1 << 40, 1], "size 1099511627776"),
        ("LSTM", [1, 1, 1 << 19], "524288 layers"),
        ("Conv2d", [1 << 10, 1 << 10, [1 << 10, 1 << 10]], "elements"),
        ("TransformerEncoderLayer", [1 << 15, 1 << 20], "HX4010"),
        ("Linear", [], "HX4010"),
    ],
)
def test_sizes_in_a_file_are_bounded(what: str, args: list, text: str) -> None:
    raw = json.dumps([1, ["x"], [["a", "node", what, args, {}, ["x"]]], []])
    before = helix.memory_stats()["live_bytes"]
    with pytest.raises(FormatError, match=text):
        UniversalGraph.from_json(raw)
    assert helix.memory_stats()["live_bytes"] - before < 1 << 20


def test_many_nodes_are_counted_together() -> None:
    nodes = [[f"n{i}", "node", "Linear", [1 << 10, 1 << 10], {}, ["x" if i == 0 else f"n{i - 1}"]] for i in range(3)]
    raw = json.dumps([1, ["x"], nodes, []])
    with pytest.raises(FormatError, match="elements"):
        UniversalGraph.from_json(raw, max_elements=3 << 20)
    assert UniversalGraph.from_json(raw, max_elements=4 << 20).order() == ["n0", "n1", "n2"]


def everything() -> UniversalGraph:
    """All kinds, with three inputs, skips, a layer that is shared, and two results."""
    helix.manual_seed(3)
    graph = UniversalGraph(["x", "y", "edge_index"])
    graph.add_transformer("mix", 8, 2, dim_feedforward=16, dropout=0.0, inputs="x").add_ssm("state", 8, 4)
    graph.add_node("skip", "add", inputs=["x", "state"]).add_mamba("scan", 8, d_state=4).add_hyena(
        "long", 8, 6, filter_order=8
    )
    graph.add_cnn("local", 8, 8, 3, dims=1, channels_last=True, padding=1, inputs="y").add_rnn(
        "memory", 8, 8, kind="GRU"
    )
    graph.add_again("memory_of_x", "memory", inputs="skip").add_attention("cross", 8, 2, inputs=["long", "memory"])
    graph.add_gnn("nodes", 8, 4).add_again("nodes_of_x", "nodes", inputs=["memory_of_x", "edge_index"])
    graph.add_node("both", "cat", dim=-1, inputs=["nodes", "nodes_of_x", "skip"]).add_node("norm", "LayerNorm", 16)
    graph.add_node("head", "Linear", 16, 3).add_node("product", "mul", inputs=["nodes", "nodes_of_x"])
    return graph.output("head", "product")


def test_a_graph_of_all_kinds_goes_everywhere(tmp_path) -> None:
    graph = everything()
    given = (helix.randn(X), helix.randn(X), EDGES)
    expected = graph(*given)
    B = Dim("B")
    sized = (Spec((B, 6, 8)), Spec((B, 6, 8)), Spec((2, Dim("E")), helix.int64))
    traced = helix.trace(graph, *given)
    traced.save(tmp_path / "traced")
    graph.save(tmp_path / "graph")
    again = UniversalGraph.load(tmp_path / "graph", device="cpu")
    assert again.to_json() == graph.to_json() and repr(again) == repr(graph)
    assert [name for name, _ in again.named_parameters()] == [name for name, _ in graph.named_parameters()]
    runs = [
        traced, helix.trace(graph, *sized), helix.graph.optimize(traced), helix.graph.load(tmp_path / "traced"), again,
        helix.compile(graph, fallback="error"),
    ]  # fmt: skip
    for run in runs:
        for mine, theirs in zip(run(*given), expected, strict=True):
            assert helix.allclose(mine, theirs, rtol=1e-5, atol=1e-6)
    total = lambda *inputs: sum(((part * part).sum() for part in graph(*inputs)), helix.zeros(()))  # noqa: E731
    whole = helix.trace(total, *given)
    names = {name: tensor for name, tensor in whole.parameters.items() if tensor.is_floating_point()}
    slopes = dict(zip(names, grad(whole, list(names))(*given), strict=True))
    total(*given).backward()
    for name, parameter in graph.named_parameters():
        (mine,) = [slope for key, slope in slopes.items() if key.endswith(name)]
        if parameter.requires_grad:
            assert helix.allclose(mine, parameter.grad, rtol=1e-3, atol=1e-4), name
    assert "memory_of_x" in repr(graph) and "<svg" in traced.to_svg(depth=1)


def test_frozen_parameters_and_buffers_have_gradients_where_they_are_asked_for() -> None:
    layer = nn.Linear(3, 2)
    layer.weight.requires_grad_(False)
    norm = nn.BatchNorm1d(2).eval()
    graph = helix.trace(lambda x: (norm(layer(x)) ** 2).sum(), Spec((4, 3)))
    weight, mean = (next(n for n in graph.parameters if n.endswith(end)) for end in ("weight", "running_mean"))
    x = helix.randn(4, 3)
    found = grad(graph, [weight, mean])(x)
    assert not layer.weight.requires_grad and not norm.running_mean.requires_grad
    layer.weight.requires_grad_(True)
    norm.running_mean.requires_grad_(True)
    wanted = helix.autograd.grad((norm(layer(x)) ** 2).sum(), [layer.weight, norm.running_mean])
    for mine, theirs in zip(found, wanted, strict=True):
        assert helix.allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def test_names_that_are_nearly_right_are_told() -> None:
    with pytest.raises(GraphError, match="'Linaer' is no layer of helix.nn, and no op; is it 'Linear'"):
        UniversalGraph().add_node("a", "Linaer", 8, 2)
    with pytest.raises(GraphError, match=r"neither an input \(x\) nor a node \(a\)"):
        UniversalGraph().add_gnn("a", 8, 2).order()
    with pytest.raises(GraphError, match="no node 'b' yet"):
        UniversalGraph().add_node("a", "relu").add_again("c", "b")
    with pytest.raises(FormatError, match="nothing of its own"):
        UniversalGraph.from_json('[1,["x"],[["a","node","relu",[],{},["x"]],["b","again","a",[1],{},["x"]]],[]]')
    with pytest.raises(FormatError, match="no node 'ghost'"):
        UniversalGraph.from_json('[1,["x"],[["b","again","ghost",[],{},["x"]]],[]]')


def test_the_text_of_a_graph_shows_its_edges() -> None:
    graph = (
        UniversalGraph(["a", "b"]).add_node("up", "Linear", 2, 3, inputs="a").add_again("once_more", "up", inputs="b")
    )
    graph.add_node("sum", "add", inputs=["up", "once_more"]).add_node("mine", lambda x: x * 2)
    assert repr(graph) == (
        "UniversalGraph(\n"
        "  up = Linear(a)\n"
        "  once_more = Linear of up(b)\n"
        "  sum = add(up, once_more)\n"
        "  mine = <lambda>(sum)\n"
        "  return mine\n"
        "  (up): Linear(in_features=2, out_features=3, bias=True)\n"
        ")"
    )
