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


def _exchanged(a, b):
    """What one tensor becomes is the gradient of the next."""
    a.sub_(0.1 * b)
    b.sub_(0.1 * a)


def _of_each_other(a, b):
    old = a.clone()
    a.sub_(0.1 * b)
    b.sub_(0.1 * old)


def _replaced(a, b):
    """Little is kept of what is large: taken off from all of it, the rest would be lost."""
    a.mul_(0.0).sub_(b * 1e-9)
    b.mul_(0.0).add_(1e-9)


TWO = (_exchanged, _of_each_other, _replaced)


@pytest.mark.parametrize("rule", TWO, ids=lambda rule: rule.__name__)
def test_tensors_that_need_each_other(rule: Callable) -> None:
    given = [helix.tensor([1.0, 2.0, 3.0], dtype=helix.float64), helix.tensor([4.0, 5.0, 7.0], dtype=helix.float64)]
    last = [value * 3 for value in given]
    pairs = [given, last]

    def step(x):
        for a, b in pairs:
            rule(a, b)
        return x

    before = [[t.clone() for t in pair] for pair in pairs]
    with helix.no_grad():
        made = helix.graph.optimize(helix.trace(step, Spec(())), ["updates"])
        made.check()
        made(helix.ones(()))
        for pair, wanted in zip(pairs, before, strict=True):
            rule(*wanted)
            for a, b in zip(pair, wanted, strict=True):
                assert helix.allclose(a, b, rtol=1e-9, atol=0)


def test_moments_of_what_another_tensor_has_become() -> None:
    held = [[helix.rand(3) for _ in range(2)] for _ in range(3)]
    before = [[t.clone() for t in pair] for pair in held]

    def rule(x, pairs):
        for p, m in pairs:
            m.mul_(0.9).add_(x)
            p.sub_(0.1 * m)
            x = p

    with helix.no_grad():
        made = helix.graph.optimize(helix.trace(lambda x: rule(x, held), Spec((3,))), ["updates"])
        made.check()
        made(helix.ones(3))
        rule(helix.ones(3), before)
    for mine, theirs in zip(held, before, strict=True):
        assert all(helix.allclose(a, b) for a, b in zip(mine, theirs, strict=True))


def test_rates_that_are_almost_alike_are_two_steps() -> None:
    held = [[helix.rand(3, dtype=helix.float64) for _ in range(2)] for _ in range(4)]

    def step(x):
        for (p, m), rate in zip(held, (0.1, 0.1, 0.1000004, 0.1000004), strict=True):
            m.mul_(0.9).add_(x)
            p.sub_(rate * m)

    with helix.no_grad():
        made = helix.graph.optimize(helix.trace(step, Spec((3,), helix.float64)), ["updates"])
    assert [node.attributes[0] for node in made.find("sgd_step")] == [0.1, 0.1000004]


def test_averages_are_as_exact_as_their_smaller_part() -> None:
    """A part of 0.0010005 beside 0.999 is no average, though the two add up to 1 to six digits."""
    held = state()

    def almost(p, g, m, v):
        m.copy_(0.9 * m + 0.1 * g)
        v.copy_(0.999 * v + 0.0010005 * g * g)
        p.sub_(0.01 * m / (v.sqrt() + 1e-8))

    _, made = traced(almost, held)
    assert not made.find("adam_step")


def test_gradients_that_stretch_are_left() -> None:
    held = [[helix.rand(3, 4) for _ in range(3)] for _ in range(2)]

    def step(row):
        for p, m, v in held:
            m.mul_(0.9).add_(row, alpha=0.1)
            v.mul_(0.999).addcmul_(row, row, value=0.001)
            p.sub_(0.01 * m / (v.sqrt() + 1e-8))

    with helix.no_grad():
        made = helix.graph.optimize(helix.trace(step, Spec((4,))), ["updates"])
        made.check()
        made(helix.ones(4))
    assert not made.find("adam_step")
