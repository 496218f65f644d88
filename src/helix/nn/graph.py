"""Layers over graphs: messages along edges, summed at nodes; batches of graphs, and pooling of their nodes.

A graph is x (nodes, features) and edge_index (2, edges) of int64: messages go from edge_index[0] to edge_index[1]. Names and
parameters are PyTorch Geometric's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import arange, cat, empty, full, ones_like, stack, tensor, where, zeros
from ..tensor import Tensor
from . import functional as F
from . import init
from .linear import Linear
from .misfit import describe
from .module import Module
from .parameter import Parameter

AGGREGATIONS = ("add", "mean", "max")


def aggregate(messages: Tensor, index: Tensor, size: int, aggr: str = "add") -> Tensor:
    """Rows of `messages` (edges, …) brought together by `index` (edges,) in `size` rows: add, mean or max; 0 where none is.

    Sums are taken in the order of edges, so that results do not depend on threads. Raises ValueError for another `aggr`.

    Example:
        >>> rows = helix.tensor([[1.0], [2.0], [4.0]])
        >>> helix.nn.graph.aggregate(rows, helix.tensor([0, 0, 2]), 3, "mean").flatten().tolist()
        [1.5, 0.0, 4.0]
    """
    if aggr not in AGGREGATIONS:
        raise ValueError(f"aggregate: aggr must be one of {', '.join(AGGREGATIONS)}; got {aggr!r}")
    start = zeros(size, *messages.shape[1:], dtype=messages.dtype, device=messages.device)
    if aggr == "max":
        at = index.reshape(-1, *(1 for _ in messages.shape[1:])).expand(messages.shape)
        return start.scatter_reduce(0, at, messages, "amax", include_self=False)
    total = start.index_add(0, index, messages)
    if aggr == "mean":
        count = zeros(size, dtype=index.dtype, device=index.device).index_add(0, index, ones_like(index))
        total = total / count.clamp(min=1).to(messages.dtype).reshape(-1, *(1 for _ in messages.shape[1:]))
    return total


def softmax(scores: Tensor, index: Tensor, size: int) -> Tensor:
    """Softmax of `scores` (edges, …) among the rows of the same index.

    Example:
        >>> helix.nn.graph.softmax(helix.zeros(3), helix.tensor([0, 0, 1]), 2).tolist()
        [0.5, 0.5, 1.0]
    """
    highest = aggregate(scores.detach(), index, size, "max").index_select(0, index)
    weights = (scores - highest).exp()
    return weights / aggregate(weights, index, size).index_select(0, index)


def with_self_loops(edge_index: Tensor, nodes: int) -> tuple[Tensor, Tensor]:
    """The edges and, behind them, one loop for each node; and which are loops that there were, in whose places those stand."""
    loops = arange(nodes, device=edge_index.device)
    replaced = cat([edge_index[0] == edge_index[1], loops < 0])
    return cat([edge_index, stack([loops, loops])], 1), replaced


class MessagePassing(Module):
    """`propagate` sends each node's row along its edges; a subclass says in `message` what becomes of it on the way."""

    def __init__(self, aggr: str = "add") -> None:
        if aggr not in AGGREGATIONS:
            raise ValueError(f"{type(self).__name__}: aggr must be one of {', '.join(AGGREGATIONS)}; got {aggr!r}")
        self.aggr = aggr

    def propagate(self, edge_index: Tensor, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """x (nodes, …) to what arrives at each node, of x's shape; weight (edges,) multiplies messages."""
        messages = self.message(x.index_select(0, edge_index[0]), x.index_select(0, edge_index[1]))
        if weight is not None:
            messages = messages * weight.reshape(-1, *(1 for _ in messages.shape[1:]))
        return aggregate(messages, edge_index[1], x.shape[0], self.aggr)

    def message(self, source: Tensor, target: Tensor) -> Tensor:
        """Rows of the nodes that edges leave and reach to what goes along them; the former themselves unless told."""
        return source

    def misfit(self, x, edge_index=None, *_) -> str | None:
        shape, wanted = tuple(getattr(x, "shape", ())), getattr(self, "in_channels", None)
        if len(shape) != 2 or (wanted is not None and shape[1] != wanted):
            return f"x has shape {shape}, the layer takes (nodes, {wanted or 'features'}). {describe(x)}"
        edges = tuple(getattr(edge_index, "shape", ()))
        return None if len(edges) == 2 and edges[0] == 2 else f"edge_index has shape {edges}, expected (2, edges)."


class GCNConv(MessagePassing):
    """D^-1/2 (A + I) D^-1/2 X W + b: Kipf and Welling, "Semi-supervised classification with graph convolutional networks",
    ICLR 2017. (nodes, in_channels) to (nodes, out_channels); edge_weight (edges,) instead of ones; a loop that
    there is keeps its weight, other nodes get one of 1.

    Example:
        >>> layer = helix.nn.GCNConv(3, 2)
        >>> layer(helix.randn(4, 3), helix.tensor([[0, 1, 2], [1, 2, 3]])).shape
        (4, 2)
    """

    bias: Parameter | None

    def __init__(
        self, in_channels: int, out_channels: int, bias: bool = True, normalize: bool = True, device=None, dtype=None
    ) -> None:
        super().__init__("add")
        self.in_channels, self.out_channels, self.normalize = in_channels, out_channels, normalize
        self.lin = Linear(in_channels, out_channels, bias=False, device=device, dtype=dtype)
        init.xavier_uniform_(self.lin.weight)
        self.register_parameter("bias", Parameter(zeros(out_channels, device=device, dtype=dtype)) if bias else None)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        nodes = x.shape[0]
        if self.normalize:
            edge_index, edge_weight = self._normal(edge_index, edge_weight, nodes, x)
        y = self.propagate(edge_index, self.lin(x), edge_weight)
        return y if self.bias is None else y + self.bias

    @staticmethod
    def _normal(edge_index: Tensor, weight: Tensor | None, nodes: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """Edges and weights with loops; a loop among the edges stays there with weight 0, as its own stands behind them."""
        edges = edge_index
        edge_index, replaced = with_self_loops(edges, nodes)
        if weight is None:
            weight = (~replaced).to(x.dtype)
        else:
            # Of several loops of a node the last one counts; edges that are none write behind all nodes.
            at = where(edges[0] == edges[1], edges[0], nodes)
            own = full((nodes + 1,), 1.0, dtype=weight.dtype, device=x.device).index_copy(0, at, weight)[:nodes]
            weight = cat([weight, own]).masked_fill(replaced, 0.0)
        degree = aggregate(weight, edge_index[1], nodes)
        scale = degree.masked_fill(degree == 0, math.inf).rsqrt()  # 0 for a node that nothing reaches
        return edge_index, scale.index_select(0, edge_index[0]) * weight * scale.index_select(0, edge_index[1])

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}"


class SAGEConv(MessagePassing):
    """W1 (mean of neighbours) + W2 x + b: Hamilton, Ying and Leskovec, "Inductive representation learning on large graphs",
    2017. (nodes, in_channels) to (nodes, out_channels); `normalize` divides each result by its length.

    Example:
        >>> layer = helix.nn.SAGEConv(3, 2, aggr="max")
        >>> layer(helix.randn(4, 3), helix.tensor([[0, 1, 2], [1, 2, 3]])).shape
        (4, 2)
    """

    lin_r: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        aggr: str = "mean",
        normalize: bool = False,
        root_weight: bool = True,
        bias: bool = True,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__(aggr)
        self.in_channels, self.out_channels, self.normalize = in_channels, out_channels, normalize
        self.lin_l = Linear(in_channels, out_channels, bias=bias, device=device, dtype=dtype)
        self.add_module(
            "lin_r", Linear(in_channels, out_channels, bias=False, device=device, dtype=dtype) if root_weight else None
        )

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        y = self.lin_l(self.propagate(edge_index, x))
        y = y if self.lin_r is None else y + self.lin_r(x)
        return F.normalize(y, 2.0, -1) if self.normalize else y

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, aggr={self.aggr!r}"


class GINConv(MessagePassing):
    """nn((1 + eps) x + sum of neighbours): Xu et al., "How powerful are graph neural networks?", ICLR 2019.

    Example:
        >>> layer = helix.nn.GINConv(helix.nn.Linear(3, 2), train_eps=True)
        >>> layer(helix.randn(4, 3), helix.tensor([[0, 1, 2], [1, 2, 3]])).shape
        (4, 2)
    """

    eps: Tensor

    def __init__(self, nn: Module, eps: float = 0.0, train_eps: bool = False, device=None, dtype=None) -> None:
        super().__init__("add")
        self.nn = nn
        value = tensor([eps], device=device, dtype=dtype)
        if train_eps:
            self.eps = Parameter(value)
        else:
            self.register_buffer("eps", value)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.nn((1 + self.eps) * x + self.propagate(edge_index, x))


class GATConv(MessagePassing):
    """Neighbours weighted by attention: Veličković et al., "Graph attention networks", ICLR 2018.

    (nodes, in_channels) to (nodes, heads out_channels), or without `concat` the mean of heads, (nodes, out_channels).
    `dropout` drops attention weights in training.

    Example:
        >>> layer = helix.nn.GATConv(3, 2, heads=4)
        >>> layer(helix.randn(4, 3), helix.tensor([[0, 1, 2], [1, 2, 3]])).shape
        (4, 8)
    """

    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        heads: int = 1,
        concat: bool = True,
        negative_slope: float = 0.2,
        dropout: float = 0.0,
        add_self_loops: bool = True,
        bias: bool = True,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__("add")
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        self.in_channels, self.out_channels, self.heads, self.concat = in_channels, out_channels, heads, concat
        self.negative_slope, self.dropout, self.loops = negative_slope, dropout, add_self_loops
        self.lin = Linear(in_channels, heads * out_channels, bias=False, **made)
        self.att_src = Parameter(empty(1, heads, out_channels, **made))
        self.att_dst = Parameter(empty(1, heads, out_channels, **made))
        width = heads * out_channels if concat else out_channels
        self.register_parameter("bias", Parameter(zeros(width, **made)) if bias else None)
        bound = math.sqrt(6.0 / (heads + out_channels))
        init.xavier_uniform_(self.lin.weight)
        for attention in (self.att_src, self.att_dst):
            init.uniform_(attention, -bound, bound)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        nodes = x.shape[0]
        replaced = None
        if self.loops:
            edge_index, replaced = with_self_loops(edge_index, nodes)
        h = self.lin(x).reshape(nodes, self.heads, self.out_channels)
        source, target = (h * self.att_src).sum(-1), (h * self.att_dst).sum(-1)
        scores = source.index_select(0, edge_index[0]) + target.index_select(0, edge_index[1])
        scores = F.leaky_relu(scores, self.negative_slope)
        if replaced is not None:
            scores = scores.masked_fill(replaced.unsqueeze(-1), -math.inf)
        weights = softmax(scores, edge_index[1], nodes)
        if self.training and self.dropout:
            weights = F.dropout(weights, self.dropout, True)
        messages = h.index_select(0, edge_index[0]) * weights.unsqueeze(-1)
        y = aggregate(messages, edge_index[1], nodes)
        y = y.flatten(1) if self.concat else y.mean(1)
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, heads={self.heads}"


# ---- several graphs -----------------------------------------------------------------------------------------------


def batch_graphs(graphs: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """Graphs (x, edge_index) as one graph without edges between them: (x, edge_index, the number of each node's graph).

    Example:
        >>> one = (helix.ones(2, 1), helix.tensor([[0], [1]]))
        >>> x, edges, batch = helix.nn.graph.batch_graphs([one, one])
        >>> edges.tolist(), batch.tolist()
        ([[0, 2], [1, 3]], [0, 0, 1, 1])
    """
    edges, before = [], 0
    for x, edge_index in graphs:
        edges.append(edge_index + before)
        before += x.shape[0]
    sizes = tensor([x.shape[0] for x, _ in graphs], device=graphs[0][0].device)
    batch = arange(len(graphs), device=sizes.device).repeat_interleave(sizes)
    return cat([x for x, _ in graphs]), cat(edges, 1), batch


def _pooled(x: Tensor, batch: Tensor | None, size: int | None, aggr: str) -> Tensor:
    if batch is None:
        batch, size = zeros(x.shape[0], dtype=arange(0).dtype, device=x.device), 1
    if size is None:
        size = int(batch.max()) + 1 if batch.numel() else 0
    return aggregate(x, batch, size, aggr)


def global_add_pool(x: Tensor, batch: Tensor | None = None, size: int | None = None) -> Tensor:
    """The sum over nodes of each graph: (nodes, features) to (graphs, features)."""
    return _pooled(x, batch, size, "add")


def global_mean_pool(x: Tensor, batch: Tensor | None = None, size: int | None = None) -> Tensor:
    """The mean over nodes of each graph: (nodes, features) to (graphs, features)."""
    return _pooled(x, batch, size, "mean")


def global_max_pool(x: Tensor, batch: Tensor | None = None, size: int | None = None) -> Tensor:
    """The largest over nodes of each graph: (nodes, features) to (graphs, features)."""
    return _pooled(x, batch, size, "max")
