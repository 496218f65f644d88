"""Graph layers against products with dense adjacency matrices in NumPy float64."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

import helix as hx
from helix import nn
from helix.autograd import gradcheck
from helix.nn import graph

EDGES = [[0, 1, 1, 2, 3, 3, 4, 0], [1, 0, 2, 3, 0, 4, 4, 2]]  # a loop at 4; nobody reaches 5
NODES = 6

LAYERS = {
    "GCN": lambda **k: nn.GCNConv(3, 4, **k),
    "GCN raw": lambda **k: nn.GCNConv(3, 4, bias=False, normalize=False, **k),
    "SAGE mean": lambda **k: nn.SAGEConv(3, 4, **k),
    "SAGE max": lambda **k: nn.SAGEConv(3, 4, aggr="max", normalize=True, root_weight=False, **k),
    "GIN": lambda **k: nn.GINConv(nn.Linear(3, 4, **k), eps=0.3, train_eps=True, **k),
    "GAT": lambda **k: nn.GATConv(3, 4, heads=2, **k),
    "GAT mean": lambda **k: nn.GATConv(3, 4, heads=3, concat=False, add_self_loops=False, **k),
}


def made(name):
    hx.manual_seed(1)
    layer = LAYERS[name](dtype=hx.float64)
    with hx.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.1 * hx.randn(*parameter.shape, dtype=hx.float64))
    return layer


def adjacency(loops=False):
    """A[target, source]"""
    A = np.zeros((NODES, NODES))
    A[EDGES[1], EDGES[0]] = 1
    if loops:
        np.fill_diagonal(A, 1)
    return A


def expected(name, layer, x):
    w = {n: v.numpy() for n, v in layer.state_dict().items()}
    A = adjacency()
    if name == "GCN raw":
        return A @ x @ w["lin.weight"].T
    if name == "GCN":
        A = adjacency(loops=True)
        scale = np.diag(A.sum(1) ** -0.5)
        return scale @ A @ scale @ x @ w["lin.weight"].T + w["bias"]
    if name == "SAGE mean":
        mean = A @ x / np.maximum(A.sum(1, keepdims=True), 1)
        return mean @ w["lin_l.weight"].T + w["lin_l.bias"] + x @ w["lin_r.weight"].T
    if name == "SAGE max":
        most = np.stack([x[row > 0].max(0) if row.any() else np.zeros(3) for row in A])
        y = most @ w["lin_l.weight"].T + w["lin_l.bias"]
        return y / np.linalg.norm(y, axis=1, keepdims=True)
    if name == "GIN":
        return ((1 + w["eps"]) * x + A @ x) @ w["nn.weight"].T + w["nn.bias"]
    A = adjacency(layer.loops)
    h = (x @ w["lin.weight"].T).reshape(NODES, layer.heads, 4)
    parts = []
    for head in range(layer.heads):
        scores = (h[:, head] @ w["att_dst"][0, head])[:, None] + (h[:, head] @ w["att_src"][0, head])[None]
        scores = np.where(scores > 0, scores, 0.2 * scores)
        weights = np.where(A > 0, np.exp(scores), 0)
        parts.append(weights / np.maximum(weights.sum(1, keepdims=True), 1e-300) @ h[:, head])
    return (np.hstack(parts) if layer.concat else np.mean(parts, 0)) + w["bias"]


@pytest.mark.parametrize(("dtype", "bound"), [(hx.float32, 1e-5), (hx.float64, 1e-9)])
@pytest.mark.parametrize("name", LAYERS)
def test_messages_are_products_with_the_adjacency_matrix(name, dtype, bound):
    layer, x = made(name), hx.randn(NODES, 3, dtype=hx.float64)
    wanted = expected(name, layer, x.numpy())
    got = layer.to(dtype)(x.to(dtype), hx.tensor(EDGES))
    np.testing.assert_allclose(got.detach().numpy(), wanted, rtol=bound, atol=bound)


@pytest.mark.parametrize("name", LAYERS)
def test_gradients(name):
    layer, x = made(name), hx.randn(NODES, 3, dtype=hx.float64, requires_grad=True)
    assert gradcheck(lambda x, *_: layer(x, hx.tensor(EDGES)), (x, *layer.parameters()))


def test_weights_of_edges_and_their_gradient():
    layer, x = made("GCN"), hx.randn(NODES, 3, dtype=hx.float64)
    edges = hx.tensor(EDGES)
    plain = edges.index_select(1, (edges[0] != edges[1]).nonzero().squeeze(-1))
    ones = hx.ones(plain.shape[1], dtype=hx.float64, requires_grad=True)
    np.testing.assert_allclose(layer(x, plain, ones).detach().numpy(), layer(x, plain).detach().numpy(), rtol=1e-12)
    assert gradcheck(lambda w: layer(x, plain, w), (ones,))


@pytest.mark.parametrize("name", LAYERS)
def test_graphs_side_by_side_are_the_graphs_alone(name):
    layer = made(name)
    graphs = [(hx.randn(n, 3, dtype=hx.float64), hx.randint(0, n, (2, 2 * n))) for n in (3, 5, 4)]
    x, edges, batch = graph.batch_graphs(graphs)
    got = layer(x, edges)
    alone = [layer(*one) for one in graphs]
    assert hx.allclose(got, hx.cat(alone), atol=1e-12) and batch.tolist() == [0] * 3 + [1] * 5 + [2] * 4
    pools = {graph.global_add_pool: "sum", graph.global_mean_pool: "mean", graph.global_max_pool: "amax"}
    for pool, method in pools.items():
        assert hx.allclose(pool(got, batch), hx.stack([getattr(y, method)(0) for y in alone]), atol=1e-12)
        assert hx.allclose(pool(alone[0]), pool(got, batch)[:1], atol=1e-12)


def test_renaming_nodes_renames_results():
    layer, x, order = made("GAT"), hx.randn(NODES, 3, dtype=hx.float64), hx.tensor([3, 0, 5, 1, 4, 2])
    renamed = layer(
        x.index_select(0, order), order.argsort().index_select(0, hx.tensor(EDGES).flatten()).reshape(2, -1)
    )
    assert hx.allclose(renamed, layer(x, hx.tensor(EDGES)).index_select(0, order), atol=1e-12)


def test_attention_drops_weights_in_training_only():
    layer = nn.GATConv(3, 4, dropout=1.0, bias=False)
    x, edges = hx.randn(NODES, 3), hx.tensor(EDGES)
    assert layer(x, edges).abs().max().item() == 0 and layer.eval()(x, edges).abs().max().item() > 0


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="aggr must be one of"):
        nn.SAGEConv(3, 4, aggr="median")
    with pytest.raises(ValueError, match="aggr must be one of"):
        graph.aggregate(hx.ones(2, 1), hx.tensor([0, 1]), 2, "x")
    with pytest.raises(nn.LayerError, match=r"x has shape \(6, 2\), the layer takes \(nodes, 3\)"):
        nn.GCNConv(3, 4)(hx.ones(NODES, 2), hx.tensor(EDGES))
    with pytest.raises(nn.LayerError, match=r"edge_index has shape \(3, 4\)"):
        nn.GCNConv(3, 4)(hx.ones(NODES, 3), hx.zeros(3, 4, dtype=hx.int64))


def test_the_karate_club_is_told_from_two_members(capsys):
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "karate_club.py"))
    assert example["main"]() >= 0.9


def test_blocks_and_cycles_are_found_in_drawn_graphs(capsys):
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "synthetic_graphs.py"))
    found, cycles = example["main"]()
    assert found >= 0.9 and cycles >= 0.95


def test_weights_of_one_change_nothing_and_loops_keep_their_weight():
    layer, x, edges = nn.GCNConv(3, 4, dtype=hx.float64), hx.randn(NODES, 3, dtype=hx.float64), hx.tensor(EDGES)
    weight = hx.ones(len(EDGES[0]), dtype=hx.float64)
    np.testing.assert_allclose(layer(x, edges, weight).detach().numpy(), layer(x, edges).detach().numpy(), atol=1e-12)
    weight = hx.arange(1, len(EDGES[0]) + 1).to(hx.float64)
    A = np.zeros((NODES, NODES))
    for source, target, w in zip(*EDGES, weight.tolist(), strict=True):
        A[target, source] += w
    A += np.diag(np.diag(A) == 0)
    scale = A.sum(1) ** -0.5
    wanted = scale[:, None] * A * scale @ x.numpy() @ layer.lin.weight.detach().numpy().T
    np.testing.assert_allclose((layer(x, edges, weight) - layer.bias).detach().numpy(), wanted, atol=1e-12)
    assert gradcheck(lambda w: layer(x, edges, w), (weight.requires_grad_(),))


def test_a_node_whose_weights_cancel_is_not_scaled():
    layer, weight = nn.GCNConv(2, 2), hx.tensor([0.0, 1.0]).requires_grad_()
    y = layer(hx.ones(2, 2), hx.tensor([[0, 0], [0, 1]]), weight)
    y.sum().backward()
    assert y.isfinite().all() and weight.grad.isfinite().all()


def test_pools_of_no_nodes():
    none = hx.zeros(0, dtype=hx.int64)
    for pool in (graph.global_add_pool, graph.global_mean_pool, graph.global_max_pool):
        assert pool(hx.zeros(0, 3), none).shape == (0, 3)
        assert pool(hx.zeros(0, 3), none, 2).tolist() == [[0.0] * 3] * 2
