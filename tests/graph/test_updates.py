"""Optimizer steps written by hand become one op for all tensors; what is almost one stays, and numbers agree."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import helix
from helix.graph import Graph, Spec
from helix.graph.passes import updates

SHAPES = ((3, 4), (4,), (4, 2), (2,))


def state(dtype: object = None) -> tuple[list[helix.Tensor], ...]:
    """Parameters, two states each, none of them zero."""
    helix.manual_seed(4)
    made = [[helix.rand(shape).to(dtype or helix.float64) + 0.1 for shape in SHAPES] for _ in range(3)]
    for p in made[0]:
        p.requires_grad_()
    return tuple(made)


def _loss(x: helix.Tensor, p: list[helix.Tensor]) -> helix.Tensor:
    return ((x @ p[0] + p[1]).tanh() @ p[2] + p[3]).square().mean()


def step_of(rule: Callable, held: tuple[list[helix.Tensor], ...]) -> Callable:
    """A whole training step with a rule that writes (p, g, m, v)."""

    def step(x):
        loss = _loss(x, held[0])
        grads = helix.autograd.grad(loss, held[0])
        with helix.no_grad():
            for values in zip(held[0], grads, held[1], held[2], strict=True):
                rule(*values)
        return loss.detach()

    return step


def descent(p, g, m, v):
    p.sub_(0.1 * g)


def with_alpha(p, g, m, v):
    p.add_(g, alpha=-0.1)


def with_decay(p, g, m, v):
    g = g + 0.01 * p
    p -= 0.1 * g


def decoupled(p, g, m, v):
    p.mul_(1 - 0.1 * 0.01)
    p.sub_(g / 10)


def momentum(p, g, m, v):
    m.mul_(0.9).add_(g)
    p.sub_(0.1 * m)


def damped(p, g, m, v):
    m.copy_(0.9 * m + (1 - 0.9) * g)
    p.add_(-0.1 * m)


def average(p, g, m, v):
    m.lerp_(p, 0.01)


def adam(p, g, m, v):
    m.copy_(0.9 * m + (1 - 0.9) * g)
    v.copy_(0.999 * v + (1 - 0.999) * g * g)
    p.sub_(0.01 * m / (v.sqrt() + 1e-8))


def adam_of_torch(p, g, m, v):
    """The form of torch.optim's single-tensor Adam, at step 3."""
    m.lerp_(g, 1 - 0.9)
    v.mul_(0.999).addcmul_(g, g, value=1 - 0.999)
    p.addcdiv_(m, v.sqrt() / (1 - 0.999**3) ** 0.5 + 1e-8, value=-0.01 / (1 - 0.9**3))


def adamw(p, g, m, v):
    m.mul_(0.9).add_(g, alpha=0.1)
    v.mul_(0.99).add_(g**2 * 0.01)
    p.mul_(1 - 0.01 * 0.1)
    p.sub_((m / (1 - 0.9**7)) / ((v / (1 - 0.99**7)).sqrt() + 1e-6) * 0.01)


FOUND = {
    descent: ("sgd_step", (0.1, 0.0, 0.0, 0.0, False, False)),
    with_alpha: ("sgd_step", (0.1, 0.0, 0.0, 0.0, False, False)),
    with_decay: ("sgd_step", (0.1, 0.0, 0.0, 0.01, False, False)),
    decoupled: ("sgd_step", (0.1, 0.0, 0.0, 0.01, False, False)),
    momentum: ("sgd_step", (0.1, 0.9, 0.0, 0.0, False, False)),
    damped: ("sgd_step", (0.1, 0.9, 0.9, 0.0, False, False)),
    average: ("rule_step", ("average", 0, 1.0, 0.0, 1.0, 0.01, *[0.0] * 6)),
    adam: ("adam_step", (0.01, 0.9, 0.999, 1e-8, 0.0, updates.FOREVER, True, False, False)),
    adam_of_torch: ("adam_step", (0.01, 0.9, 0.999, 1e-8, 0.0, 3, True, False, False)),
    adamw: ("adam_step", (0.01, 0.9, 0.99, 1e-6, 0.1, 7, True, False, False)),
}


def traced(rule: Callable, held: tuple) -> tuple[Graph, Graph]:
    graph = helix.trace(step_of(rule, held), Spec((5, 3), helix.float64))
    made = graph.copy()
    updates.run(made)
    made.check()
    return graph, made


def three_runs(graph: Graph, held: tuple) -> list[helix.Tensor]:
    """Losses and what is written; everything held is then as before."""
    tensors = [t for values in held for t in values]
    before = [t.detach().clone() for t in tensors]
    made = [graph(helix.ones(5, 3, dtype=helix.float64) * 0.3) for _ in range(3)]
    made += [t.detach().clone() for t in tensors]
    with helix.no_grad():
        for t, value in zip(tensors, before, strict=True):
            t.copy_(value)
    return made


@pytest.mark.parametrize("rule", FOUND, ids=lambda rule: rule.__name__)
def test_found(rule: Callable) -> None:
    op, attributes = FOUND[rule]
    held = state()
    graph, made = traced(rule, held)
    (node,) = made.find(op)
    for mine, wanted in zip(node.attributes, attributes, strict=True):
        assert mine == (pytest.approx(wanted, rel=1e-6, abs=1e-12) if isinstance(wanted, float) else wanted)
    assert updates.run(made) == 0
    want, got = three_runs(graph, held), three_runs(made, held)
    assert rule is average or not helix.equal(want[0], want[2])
    for a, b in zip(got, want, strict=True):
        assert helix.allclose(a, b, rtol=1e-6, atol=1e-9)


def test_many_tensors_are_one_call() -> None:
    held = tuple([[helix.rand(7, 3) for _ in range(50)] for _ in range(3)])

    def step(x):
        for p, m in zip(held[0], held[1], strict=True):
            g = p * x
            m.mul_(0.9).add_(g)
            p.sub_(0.1 * m)

    with helix.no_grad():
        made = helix.graph.optimize(helix.trace(step, Spec(())), ["updates"])
    assert [node.op for node in made.nodes] == ["mul"] * 50 + ["sgd_step"]


def _product(p, g, m, v):
    p.mul_(g)


def _of_the_square(p, g, m, v):
    m.copy_(0.9 * m + 0.1 * g)
    v.copy_(0.999 * v + 0.001 * g * m)
    p.sub_(0.01 * m / (v.sqrt() + 1e-8))


def _root_inside(p, g, m, v):
    m.copy_(0.9 * m + 0.1 * g)
    v.copy_(0.999 * v + 0.001 * g * g)
    p.sub_(0.01 * m / (v + 1e-8).sqrt())


def _no_average(p, g, m, v):
    m.copy_(0.9 * m + 0.1 * g)
    v.copy_(0.999 * v + 0.01 * g * g)
    p.sub_(0.01 * m / (v.sqrt() + 1e-8))


ALMOST = (_no_average, _product, _of_the_square, _root_inside)


@pytest.mark.parametrize("rule", ALMOST, ids=lambda rule: rule.__name__)
def test_almost(rule: Callable) -> None:
    held = state()
    graph, made = traced(rule, held)
    assert not made.find("adam_step") and all(not n.op.endswith("_step") or n.writes for n in made.nodes)
    for a, b in zip(three_runs(made, held), three_runs(graph, held), strict=True):
        assert helix.allclose(a, b, rtol=1e-6, atol=1e-9)


def test_large_tensors_whose_gradient_is_scaled_by_a_tensor_are_left_to_fusion() -> None:
    held = [helix.rand(180, 170) for _ in range(4)]

    def step(x, rate):
        for p in held:
            p.sub_(rate * (p.exp() * x))

    with helix.no_grad():
        graph = helix.trace(step, Spec(()), Spec(()))
    made = helix.graph.optimize(helix.graph.optimize(graph, ["updates"]), ["fusion"])
    assert [node.op for node in made.nodes] == ["fused"] * 4


def test_what_waits_for_one_update_keeps_the_others_apart() -> None:
    """Each tensor is updated with what the one before it has become."""
    held = [helix.rand(3) for _ in range(4)]

    def step(x):
        for a, b in zip(held, held[1:], strict=False):
            b.sub_(0.1 * (a.exp() * x))

    with helix.no_grad():
        graph = helix.trace(step, Spec(()))
        made = helix.graph.optimize(graph, ["updates"])
    made.check()
    three = []
    for one in (graph, made):
        before = [t.clone() for t in held]
        one(helix.tensor(0.7))
        three.append([t.clone() for t in held])
        for t, value in zip(held, before, strict=True):
            t.copy_(value)
    assert all(helix.allclose(a, b) for a, b in zip(*three, strict=True))
