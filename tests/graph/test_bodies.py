"""Bodies of control flow that draw random numbers, write what is theirs, or loop with a bound: graph and function agree."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import helix
from helix import nn
from helix.errors import GradientError, ParameterError
from helix.graph import Dim, Spec, TraceError, grad

from ..ops.values import assert_same_bits

Pair = tuple[helix.Tensor, helix.Tensor]


def noisy(carry: helix.Tensor, row: helix.Tensor) -> Pair:
    carry = nn.functional.dropout(carry * 1.1 + row, 0.4)
    return carry, (carry * helix.rand(3)).sum()


def scanned(x: helix.Tensor) -> helix.Tensor:
    last, sums = helix.scan(noisy, helix.ones(3), x)
    return (last * helix.rand(3)).sum() + sums.sum()


def scanned_back(x: helix.Tensor) -> helix.Tensor:
    last, sums = helix.scan(noisy, helix.ones(3), x, reverse=True)
    return (last * last * sums.mean()).sum()


def one_side_draws(x: helix.Tensor) -> helix.Tensor:
    chosen = helix.cond(x.sum() > 0, lambda: (x * helix.rand(3)).sin(), lambda: x * 2)
    return (chosen * helix.rand(4, 3)).sum()


def nested(x: helix.Tensor) -> helix.Tensor:
    def body(carry: helix.Tensor, row: helix.Tensor) -> Pair:
        other = helix.cond(row.sum() > 0, lambda: helix.scan(noisy, carry, x)[0], lambda: carry * helix.rand(3))
        return other * helix.rand(3), other.sum()

    last, sums = helix.scan(body, helix.ones(3), x)
    return last.sum() + (sums * sums).sum()


def bounded(x: helix.Tensor) -> helix.Tensor:
    def going(a: helix.Tensor, n: helix.Tensor) -> helix.Tensor:
        return a.abs().sum() + helix.rand(()) < 60

    def body(a: helix.Tensor, n: helix.Tensor) -> Pair:
        return a * (1.5 + helix.rand(3)) + x[0].sin(), n + 1

    a, n = helix.while_loop(going, body, x.sum(0) + 1, helix.tensor(0), max_steps=6)
    return (a * helix.rand(3)).sum() * (n + 1)


def writes_of_its_own(x: helix.Tensor) -> helix.Tensor:
    def body(carry: helix.Tensor, row: helix.Tensor) -> Pair:
        made = carry * row
        made[1:] += row[:2]
        made.mul_(helix.rand(3))
        return made, made.clone().fill_(0.5).sum() + made[0]

    last, sums = helix.scan(body, helix.ones(3), x)
    return (last * last).sum() + sums.sum()


class Noise(helix.autograd.Function):
    """A factor of its own for each element, which backward has kept; backward draws nothing."""

    @staticmethod
    def forward(ctx, x: helix.Tensor) -> Pair:
        factor = helix.rand(x.shape) + helix.rand(())
        ctx.save_for_backward(factor)
        return x * factor, factor

    @staticmethod
    def backward(ctx, above: helix.Tensor, of_factor: helix.Tensor) -> helix.Tensor:
        (factor,) = ctx.saved_tensors
        return above * factor


def noise_of_a_function(x: helix.Tensor) -> helix.Tensor:
    first, factor = Noise.apply(x * helix.rand(3))
    last, _ = helix.scan(lambda c, row: (Noise.apply(c * row)[0], c.sum()), helix.ones(3), first)
    return (last * helix.rand(3)).sum() + (first * factor).sum()


FUNCTIONS = [scanned, scanned_back, one_side_draws, nested, bounded, writes_of_its_own, noise_of_a_function]
POINTS = [helix.tensor([[0.5, -1.0, 2.0], [1.0, 0.3, 0.2], [-0.5, -0.7, -0.1], [1.5, 0.4, 0.9]])]
POINTS.append(-POINTS[0] * 0.7)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_bodies_draw_what_eager_code_draws(function: Callable, tmp_path: Path) -> None:
    graph = helix.trace(function, Spec((4, 3)))
    graph.check()
    graph.save(tmp_path / "graph")
    stored = helix.graph.load(tmp_path / "graph")
    assert graph.difference(stored) is None
    slope, fast, compiled = grad(graph, "x"), helix.graph.optimize(graph), helix.compile(function)
    inside = helix.trace(lambda x: helix.autograd.grad(function(x.requires_grad_()), x)[0], Spec((4, 3)))
    for point in POINTS:
        helix.manual_seed(11)
        value = function(point)
        after = helix.get_rng_state()
        for run in (graph, graph, stored, fast, compiled, compiled):
            helix.manual_seed(11)
            assert_same_bits(run(point), value, function.__name__)
            assert helix.get_rng_state() == after
        helix.manual_seed(11)
        x = point.clone().requires_grad_()
        (wanted,) = helix.autograd.grad(function(x), x)
        for run in (slope, slope, inside, inside):
            helix.manual_seed(11)
            assert helix.allclose(run(point), wanted, rtol=1e-5, atol=1e-5)
        helix.manual_seed(11)
        x = point.clone().requires_grad_()
        compiled(x).backward()
        assert helix.allclose(x.grad, wanted, rtol=1e-5, atol=1e-5)


def test_iterations_and_steps_draw_different_numbers() -> None:
    body = lambda c, _: (c, helix.rand(4))  # noqa: E731
    _, one = helix.scan(body, helix.zeros(()), helix.zeros(5))
    _, other = helix.scan(body, helix.zeros(()), helix.zeros(5))
    assert len({*one.flatten().tolist(), *other.flatten().tolist()}) == 40
    drawn = helix.while_loop(
        lambda a, b: helix.rand(()) < 2, lambda a, b: (b, helix.rand(())), *helix.zeros(2), max_steps=2
    )
    assert drawn[0].item() != drawn[1].item()


def test_a_failing_body_gives_the_generator_back() -> None:
    before = helix.default_generator()
    with pytest.raises(ZeroDivisionError):
        helix.scan(lambda c, r: (c, 1 / 0), helix.zeros(()), helix.zeros(2))
    assert helix.default_generator() is before
    helix.manual_seed(3)
    first = helix.rand(2)
    assert_same_bits(helix.manual_seed(3) and helix.rand(2), first, "the process's own generator")


def test_a_length_that_changes_moves_no_other_stream() -> None:
    graph = helix.trace(scanned, Spec((Dim("T"), 3)))
    slope = grad(graph, "x")
    for length in (1, 4, 9):
        x = helix.randn(length, 3).requires_grad_()
        helix.manual_seed(length)
        value = scanned(x)
        helix.manual_seed(length)
        assert_same_bits(graph(x.detach()), value.detach(), "scanned")
        helix.manual_seed(length)
        assert helix.allclose(slope(x.detach()), helix.autograd.grad(value, x)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [lambda: nn.Mamba2(8, headdim=4), lambda: nn.S5(8, 4)], ids=["Mamba2", "S5"])
def test_scans_of_layers_take_no_stream(make: Callable) -> None:
    layer = make()
    function = lambda x: (layer(x), helix.rand(2))[1]  # noqa: E731
    graph, x = helix.trace(function, Spec((2, Dim("T"), 8))), helix.randn(2, 7, 8)
    helix.manual_seed(2)
    expected = function(x)
    helix.manual_seed(2)
    assert_same_bits(graph(x), expected, "drawn afterwards")


class Layers(nn.Module):
    """Layers of one kind, whose weights are rows of stacked parameters."""

    def __init__(self) -> None:
        self.weight = nn.Parameter(helix.randn(5, 6, 6) * 0.3)

    def forward(self, x: helix.Tensor) -> helix.Tensor:
        layer = lambda h, w: (h + nn.functional.dropout((h @ w).tanh(), 0.2, self.training), None)  # noqa: E731
        return helix.scan(layer, x, self.weight)[0]


def test_a_training_step_with_dropout_in_a_scanned_layer() -> None:
    def trained(times: int, made: Callable[[Callable], Callable]) -> tuple[list[helix.Tensor], helix.Tensor]:
        helix.manual_seed(1)
        model = Layers()
        optimizer = helix.optim.AdamW(model.parameters(), lr=0.05)

        def step(x: helix.Tensor) -> helix.Tensor:
            optimizer.zero_grad()
            loss = (model(x) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss.detach()

        run, x = made(step), helix.randn(4, 6)
        return [run(x) for _ in range(times)], model.weight.detach()

    losses, weight = trained(4, lambda step: step)
    for made in (lambda step: helix.trace(step, Spec((4, 6))), helix.compile):
        found, moved = trained(4, made)
        assert helix.allclose(helix.stack(found), helix.stack(losses), rtol=1e-5)
        assert helix.allclose(moved, weight, rtol=1e-3, atol=1e-4)


def test_samples_draw_by_themselves_or_alike() -> None:
    x = helix.ones(3, 2, 3)
    with pytest.raises(TraceError, match="randomness"):
        helix.func.vmap(scanned)(x)
    alike = helix.func.vmap(scanned, randomness="same")(x)
    assert len(set(alike.tolist())) == 1
    assert len(set(helix.func.vmap(scanned, randomness="different")(x).tolist())) == 3
    plain = lambda x: helix.scan(lambda c, r: (c + r, c), helix.zeros(3), x)[0]  # noqa: E731
    assert helix.func.vmap(plain)(x).tolist() == [[2.0] * 3] * 3


def test_random_choices_of_python_take_no_stream() -> None:
    helix.manual_seed(5)
    first = helix.rand(3)
    helix.manual_seed(5)
    assert_same_bits(
        helix.cond(True, lambda: helix.rand(3), lambda: helix.ones(3)), first, "a bool chooses as Python does"
    )


# ---- loops with a bound -----------------------------------------------------------------------------------------


def doubled(x: helix.Tensor, w: helix.Tensor) -> helix.Tensor:
    return helix.while_loop(lambda a: a.sum() < 50, lambda a: a * w + a, x, max_steps=8).sum()


@pytest.mark.parametrize("start", [0.1, 1.0, 90.0])
def test_a_bounded_loop_has_a_gradient(start: float) -> None:
    graph = helix.trace(doubled, Spec((3,)), Spec((3,)))
    slope, again = grad(graph, ["x", "w"]), grad(helix.trace(lambda x, w: (grad(graph, "w")(x, w) ** 2).sum(), Spec((3,)), Spec((3,))), "x")  # fmt: skip
    x, w = helix.full((3,), start).requires_grad_(), helix.tensor([0.5, 1.0, 0.7], requires_grad=True)
    value = doubled(x, w)
    assert_same_bits(graph(x.detach(), w.detach()), value.detach(), "loop")
    wanted = helix.autograd.grad(value, [x, w], create_graph=True, allow_unused=True)
    wanted = [helix.zeros(3).requires_grad_() if g is None else g for g in wanted]
    for mine, theirs in zip(slope(x.detach(), w.detach()), wanted, strict=True):
        assert helix.allclose(mine, theirs.detach(), rtol=1e-5)
    (twice,) = helix.autograd.grad((wanted[1] ** 2).sum(), x, allow_unused=True)
    assert helix.allclose(again(x.detach(), w.detach()), helix.zeros(3) if twice is None else twice, rtol=1e-4)


def test_a_bound_ends_a_loop() -> None:
    run = lambda x: helix.while_loop(lambda a: a > 0, lambda a: a + 1, x, max_steps=3)  # noqa: E731
    assert run(helix.tensor(1)).item() == helix.trace(run, Spec((), helix.int64))(helix.tensor(1)).item() == 4
    for wrong in (0, -1, 2.0, True):
        with pytest.raises(ParameterError, match="max_steps"):
            helix.while_loop(lambda a: a > 0, lambda a: a, helix.tensor(1), max_steps=wrong)
    with pytest.raises(GradientError, match="max_steps"):
        open_end = lambda x: helix.while_loop(lambda a: a.sum() < 9, lambda a: a * 2, x).sum()  # noqa: E731
        grad(helix.trace(open_end, Spec((3,))), "x")


# ---- writes -----------------------------------------------------------------------------------------------------

COUNT = helix.zeros(3)


def written_outside(x: helix.Tensor) -> helix.Tensor:
    def body(carry: helix.Tensor, row: helix.Tensor) -> Pair:
        COUNT.add_(row)
        return carry + row, row

    return helix.scan(body, helix.zeros(3), x)[0]


def written_carry(x: helix.Tensor) -> helix.Tensor:
    return helix.scan(lambda c, r: (c.add_(r), r), helix.zeros(3), x)[0]


@pytest.mark.parametrize("function", [written_outside, written_carry], ids=lambda f: f.__name__)
def test_writes_of_outside_tensors_name_line_and_way_out(function: Callable) -> None:
    first = function.__code__.co_firstlineno
    with pytest.raises(TraceError, match=re.escape("Carry it")) as caught:
        helix.trace(function, Spec((4, 3)))
    line = int(re.findall(rf"{re.escape(__file__)}:(\d+)", str(caught.value))[0])
    assert first < line <= first + 3
    assert COUNT.tolist() == [0.0] * 3


def halves(x: helix.Tensor) -> helix.Tensor:
    return helix.cond(x.sum() > 0, lambda: x[::2] * 2, lambda: x[::2] - 1)


def until_large(x: helix.Tensor) -> helix.Tensor:
    return helix.while_loop(lambda a: a.abs().sum() < 50, lambda a: a * 1.5 + x.sign(), x + 1)


@pytest.mark.parametrize(
    ("function", "planned"),
    [(scanned, True), (nested, True), (bounded, True), (until_large, True), (halves, False)],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_graphs_of_open_sizes_run_by_plans(function: Callable, planned: bool) -> None:
    """`halves` has none: half of T, rounded up, is known from a run."""
    graph = helix.trace(function, Spec((Dim("T", min=2), 3)))
    for length in (2, 5, 9):
        for seed in range(3):
            helix.manual_seed(seed)
            x = helix.randn(length, 3)
            expected = function(x)
            helix.manual_seed(seed)
            assert_same_bits(graph(helix.randn(length, 3)), expected, f"run {seed} of length {length}")
    assert [bool(program.plans) for program in graph.runner.programs.values()] == [planned] * 3
