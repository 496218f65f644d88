"""Two tasks on drawn graphs: which block a node belongs to, from a few that say it, and whether a graph holds a cycle."""

import random

import helix
from helix import nn
from helix.nn import functional as F
from helix.nn.graph import batch_graphs, global_add_pool

Pairs = list[tuple[int, int]]


def edges_of(pairs: Pairs) -> helix.Tensor:
    """Both directions of each pair, (2, edges)."""
    return helix.tensor([[a for a, b in pairs] + [b for a, b in pairs], [b for a, b in pairs] + [a for a, b in pairs]])


# ---- nodes: the stochastic block model (Holland, Laskey, Leinhardt 1983) -------------------------------------


def blocks(size: int, count: int, within: float, between: float, chance: random.Random) -> tuple[Pairs, list[int]]:
    """Nodes of `count` blocks: two are joined with one probability within a block, and with another between blocks."""
    labels = [node // size for node in range(size * count)]
    pairs = [
        (a, b)
        for b in range(len(labels))
        for a in range(b)
        if chance.random() < (within if labels[a] == labels[b] else between)
    ]
    return pairs, labels


class Nodes(nn.Module):
    """Two rounds of messages, from nodes that only know their own number."""

    def __init__(self, nodes: int, width: int, classes: int) -> None:
        self.first, self.second = nn.GCNConv(nodes, width), nn.GCNConv(width, classes)

    def forward(self, x: helix.Tensor, edge_index: helix.Tensor) -> helix.Tensor:
        logits: helix.Tensor = self.second(F.relu(self.first(x, edge_index)), edge_index)
        return logits


def find_blocks(seed: int = 0, told: int = 4) -> float:
    """The share of nodes put into their block, of those that do not say it; `told` of each block do."""
    helix.manual_seed(seed)
    size, count = 40, 3
    pairs, labels = blocks(size, count, 0.2, 0.02, random.Random(seed))
    edges, y, x = edges_of(pairs), helix.tensor(labels), helix.eye(size * count)
    known = helix.tensor([block * size + k for block in range(count) for k in range(told)])
    hidden = helix.tensor([node for node in range(size * count) if node % size >= told])
    model = Nodes(size * count, 16, count)
    optimizer = helix.optim.Adam(model.parameters(), lr=0.02, weight_decay=5e-4)
    for _ in range(120):
        optimizer.zero_grad()
        F.cross_entropy(model(x, edges).index_select(0, known), y.index_select(0, known)).backward()
        optimizer.step()
    guessed = model.infer(x, edges).argmax(-1)
    return float((guessed == y).index_select(0, hidden).to(helix.float32).mean())


# ---- graphs: trees, and trees with one edge more -------------------------------------------------------------


def drawn_graph(cyclic: bool, chance: random.Random) -> tuple[helix.Tensor, helix.Tensor]:
    """A random tree of 6 to 12 nodes, with one more edge if it is to hold a cycle; each node knows only that it is there."""
    nodes = chance.randint(6, 12)
    pairs = [(chance.randrange(node), node) for node in range(1, nodes)]
    if cyclic:
        free = [(a, b) for b in range(nodes) for a in range(b) if (a, b) not in pairs]
        pairs.append(chance.choice(free))
    return helix.ones(nodes, 1), edges_of(pairs)


class Graphs(nn.Module):
    """A graph isomorphism network (Xu et al. 2019), the sum over its nodes, and one number of each graph."""

    def __init__(self, width: int) -> None:
        def messages(given: int) -> nn.GINConv:
            return nn.GINConv(
                nn.Sequential(nn.Linear(given, width), nn.ReLU(), nn.Linear(width, width)), train_eps=True
            )

        self.first, self.second, self.head = messages(1), messages(width), nn.Linear(width, 1)

    def forward(self, x: helix.Tensor, edge_index: helix.Tensor, batch: helix.Tensor, graphs: int) -> helix.Tensor:
        x = F.relu(self.second(F.relu(self.first(x, edge_index)), edge_index))
        answer: helix.Tensor = self.head(global_add_pool(x, batch, graphs))
        return answer.reshape(-1)


def find_cycles(seed: int = 0) -> float:
    """The share of 200 new graphs of which it is said rightly whether they hold a cycle."""
    helix.manual_seed(seed)
    chance, model = random.Random(seed), Graphs(32)

    def some(count: int) -> tuple[tuple[helix.Tensor, helix.Tensor, helix.Tensor], helix.Tensor]:
        cyclic = [bool(number % 2) for number in range(count)]
        return batch_graphs([drawn_graph(one, chance) for one in cyclic]), helix.tensor(cyclic)

    optimizer = helix.optim.Adam(model.parameters(), lr=0.01)
    given, cyclic = some(400)
    for _ in range(150):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(model(*given, 400), cyclic.to(helix.float32)).backward()
        optimizer.step()
    given, cyclic = some(200)
    return float(((model.infer(*given, 200) > 0) == cyclic).to(helix.float32).mean())


def main() -> tuple[float, float]:
    found = find_blocks(), find_cycles()
    print(f"{found[0]:.1%} of the other nodes are in their block, {found[1]:.1%} of new graphs are told right")
    return found


if __name__ == "__main__":
    main()
