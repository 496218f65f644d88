"""One model from code to file: traced, looked at, differentiated, made smaller, compiled, saved, run on a device, exported.

    python examples/graph_tour.py FOLDER             # writes tour.html, tour.safetensors and tour.onnx there
    python examples/graph_tour.py FOLDER opencl      # runs the file on that device too

The model has a norm and a GELU in single ops, 14 in all; made smaller, the graph has 4: linear, layer_norm,
gelu, linear. docs/graph.md tells the rest.
"""

import sys
from math import sqrt
from pathlib import Path

import helix
from helix import nn
from helix.errors import MissingExtraError
from helix.graph import Dim, Graph, Spec, grad, load, optimize

INPUT = Spec((Dim("B"), 64))


class Net(nn.Module):
    """Two layers; between them a norm and a GELU as they stand in papers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, 256), nn.Linear(256, 10)

    def forward(self, x: helix.Tensor) -> helix.Tensor:
        x = self.first(x)
        x = x - x.mean(-1, keepdim=True)
        x = x / ((x * x).mean(-1, keepdim=True) + 1e-5).sqrt()
        scores: helix.Tensor = self.last(x * 0.5 * (1 + (x / sqrt(2)).erf()))
        return scores


def look(graph: Graph, folder: Path) -> None:
    """As a table for one size, and as a page with everything."""
    print(graph.at(B=32).summary())
    (folder / "tour.html").write_text(graph.to_html(), encoding="utf-8")


def slopes(model: Net) -> Graph:
    """The gradients of a loss as a graph, by the first layer's weight."""
    loss = helix.trace(lambda x, y: nn.functional.cross_entropy(model(x), y), INPUT, Spec((Dim("B"),), helix.int64))
    return grad(loss, ["first.weight"], value=True)


def smaller(graph: Graph) -> Graph:
    """What need not be done is not; what is known by a name, and chains of single ops, are one op each."""
    return optimize(optimize(graph.at(B=32)), ["composites", "fusion"])


def samples() -> tuple[helix.Tensor, helix.Tensor]:
    """Rows, and which of their first ten numbers is the largest."""
    x = helix.randn(32, 64)
    return x, x[:, :10].argmax(-1)


def trained(model: Net, steps: int = 50) -> list[float]:
    """A whole step of training, compiled: forward, backward and update run by one plan."""
    optimizer = helix.optim.AdamW(model.parameters(), lr=1e-3)

    @helix.compile
    def step(x: helix.Tensor, y: helix.Tensor) -> helix.Tensor:
        optimizer.zero_grad()
        loss: helix.Tensor = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    x, y = samples()
    return [step(x, y).item() for _ in range(steps)]


def exported(model: Net, path: Path) -> str:
    try:
        return str(helix.onnx.export(model, path, INPUT))
    except MissingExtraError as error:
        return f"not exported: {error}"


def main(folder: Path, device: str = "cpu") -> dict[str, float]:
    """What was counted and measured, by name."""
    helix.manual_seed(0)
    model = Net()
    losses = trained(model)
    graph = helix.trace(model, INPUT)
    look(graph, folder)
    less = smaller(graph)
    print(f"{len(graph)} ops, made smaller {len(less)}: {', '.join(node.op for node in less.nodes)}")
    x, y = samples()
    loss, (slope,) = slopes(model)(x, y)
    print(
        f"loss {loss.item():.3f}, the norm of its gradient {slope.norm().item():.3f}; losses {losses[0]:.3f} to {losses[-1]:.3f}"
    )
    graph.save(folder / "tour.safetensors")
    there = load(folder / "tour.safetensors", device=device)(x.to(device)).cpu()
    apart = (there - model(x)).abs().max().item()
    print(f"from the file, on {device}: {apart:.1e} apart; {exported(model.eval(), folder / 'tour.onnx')}")
    return {"ops": len(graph), "less": len(less), "first": losses[0], "last": losses[-1], "apart": apart}


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."), *sys.argv[2:])
