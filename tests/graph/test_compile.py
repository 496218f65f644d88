"""helix.compile: the numbers of the function itself, gradients, kinds of calls, what cannot be captured."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

import helix
from helix import nn
from helix.errors import ArgumentError, CompileWarning, GradientError, TraceError
from helix.graph import compiling


def near(a: helix.Tensor, b: helix.Tensor) -> bool:
    return a.shape == b.shape and helix.allclose(a, b, rtol=1e-5, atol=1e-6)


def strict(function: Callable[..., Any], **options: Any) -> Any:
    return helix.compile(function, fallback="error", **options)


def test_a_long_compile_says_so(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    strict(nn.Linear(4, 3))(helix.ones(2, 4))
    assert not capfd.readouterr().err
    monkeypatch.setattr(compiling, "LONG", 0.0)
    strict(nn.Linear(4, 3))(helix.ones(2, 4))
    assert capfd.readouterr().err == "helix.compile: Linear, 4 nodes, took 0.0 s\n"


def test_places_are_lines_of_the_program() -> None:
    layer = nn.Linear(4, 3)
    compiled = strict(layer)
    compiled(helix.ones(2, 4)).sum().backward()
    places = {node.place[1] for graph in compiled.all()[-1].graphs for node in graph.nodes}
    assert places == {__file__}


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (lambda: nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 3)), (5, 4)),
    "cnn": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)
        ),
        (3, 2, 8, 8),
    ),
    "transformer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), (2, 5, 8)),
    "lstm": (lambda: nn.LSTM(4, 6, batch_first=True), (2, 7, 4)),
}


def first(result: Any) -> helix.Tensor:
    while isinstance(result, tuple):
        result = result[0]
    return result  # type: ignore[no-any-return]


def gradients(model: Callable[..., Any], module: nn.Module, x: helix.Tensor) -> list[helix.Tensor]:
    x = x.clone().requires_grad_()
    module.zero_grad()
    first(model(x)).sin().sum().backward()
    return [x.grad, *[p.grad for p in module.parameters()]]


@pytest.mark.parametrize("name", MODELS)
def test_results_and_gradients_are_the_models(name: str) -> None:
    make, shape = MODELS[name]
    helix.manual_seed(0)
    model = make()
    model.eval()
    compiled, x = strict(model), helix.randn(shape)
    with helix.no_grad():
        for _ in range(3):
            assert near(first(compiled(x)), first(model(x)))
    model.train()
    for _ in range(3):
        for mine, theirs in zip(gradients(compiled, model, x), gradients(model, model, x), strict=True):
            assert near(mine, theirs)
    assert compiled.compiled == 2


def test_running_statistics_move_as_they_do() -> None:
    model, other = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    compiled = strict(model)
    for k in range(3):
        x = helix.full((4, 3), float(k)) + helix.arange(4.0)[:, None]
        assert near(compiled(x), other(x))
    assert near(model.running_mean, other.running_mean) and near(model.running_var, other.running_var)


def test_second_derivatives() -> None:
    compiled = strict(lambda x: (x**3).sum())
    x = helix.tensor([1.0, 2.0], requires_grad=True)
    (once,) = helix.autograd.grad(compiled(x), x, create_graph=True)
    (twice,) = helix.autograd.grad(once.sum(), x)
    assert (once.tolist(), twice.tolist()) == ([3.0, 12.0], [6.0, 12.0])


def test_random_numbers_are_the_functions_forward_and_backward() -> None:
    def function(x: helix.Tensor) -> helix.Tensor:
        return nn.functional.dropout(x * 2, 0.5)

    compiled, found = strict(function), []
    for call in (function, compiled, compiled):
        helix.manual_seed(5)
        x = helix.ones(40, requires_grad=True)
        call(x).sum().backward()
        found.append((call(x).tolist(), x.grad.tolist()))
    assert found[0] == found[1] == found[2]


def test_backward_only_once_and_after_no_change() -> None:
    weight = helix.ones(3, requires_grad=True)
    compiled = strict(lambda x: (x * weight * weight).sum())
    result = compiled(helix.ones(3))
    with helix.no_grad():
        weight.add_(1)
    with pytest.raises(GradientError, match="HX1501"):
        result.backward()


# ---- kinds of calls ----


def test_other_shapes_dtypes_and_numbers_are_other_kinds() -> None:
    compiled = strict(lambda x, n=2: x * n)
    calls = [
        ((helix.ones(2),), {}),
        ((helix.ones(3),), {}),
        ((helix.ones(3),), {"n": 3}),
        ((helix.ones(3, dtype=helix.float64),), {}),
    ]
    for _ in range(2):
        for args, kwargs in calls:
            assert compiled(*args, **kwargs).tolist() == [float(kwargs.get("n", 2))] * len(args[0])
    assert compiled.compiled == 4


def test_what_a_module_is_decides() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
    compiled, x = strict(model), helix.ones(2, 4)
    with helix.no_grad():
        compiled(x)
        model.eval()
        assert near(compiled(x), model(x))
        model[0].weight = nn.Parameter(helix.ones(4, 4))
        assert near(compiled(x), model(x))
        model[0].weight.mul_(2)  # other values are no other kind
        assert near(compiled(x), model(x))
        count = compiled.compiled
        model.train()
        model[1].p = 0.0
        assert near(compiled(x), model(x))
    assert (count, compiled.compiled) == (3, 4)


SCALE = 2.0


def test_variables_that_a_function_sets_are_told_once() -> None:
    calls, kept = 0, helix.zeros(())

    def counted(x: helix.Tensor) -> helix.Tensor:
        nonlocal calls
        calls += 1
        return x * calls

    def written(x: helix.Tensor) -> helix.Tensor:
        inner = kept.add_(1)
        return x * inner

    compiled = strict(counted)
    with pytest.warns(helix.errors.CompileWarning, match="counted sets calls outside of itself") as told:
        compiled(helix.ones(2))
        compiled(helix.ones(3))
    assert [warning.filename for warning in told] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = strict(written)
        assert [found(helix.ones(1)).item() for _ in range(3)] == [1.0, 2.0, 3.0]


def test_free_variables_are_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = 3.0
    compiled = strict(lambda x: x * inside * SCALE)
    assert compiled(helix.ones(1)).item() == 6.0
    inside = 4.0
    assert compiled(helix.ones(1)).item() == 8.0
    monkeypatch.setitem(globals(), "SCALE", 5.0)
    assert compiled(helix.ones(1)).item() == 20.0


def test_frozen_parameters_and_modes_of_gradients() -> None:
    model = nn.Linear(2, 2)
    compiled, x = strict(model), helix.ones(1, 2)
    assert compiled(x).requires_grad
    with helix.no_grad():
        assert not compiled(x).requires_grad
    model.requires_grad_(False)
    assert not compiled(x).requires_grad
    model.bias.requires_grad_()
    compiled(x).sum().backward()
    assert model.weight.grad is None and model.bias.grad.tolist() == [1.0, 1.0]


def test_autocast_is_part_of_what_is_compiled() -> None:
    model = nn.Linear(4, 4)
    compiled, x = strict(model), helix.ones(2, 4)
    with helix.no_grad():
        assert compiled(x).dtype is helix.float32
        with helix.autocast("cpu", dtype=helix.bfloat16):
            assert compiled(x).dtype is helix.bfloat16


def test_the_cache_is_bounded() -> None:
    compiled = strict(lambda x: x + 1, cache_size=2)
    for n in (1, 2, 3, 3, 2, 1):
        assert compiled(helix.zeros(n)).tolist() == [1.0] * n
    assert len(compiled.all()) == 2 and compiled.compiled == 4


def test_structures_go_in_and_out() -> None:
    compiled = strict(lambda batch, flag: {"sum": batch["a"] + batch["b"][0], "flag": flag})
    found = compiled({"a": helix.ones(2), "b": (helix.ones(2),)}, True)
    assert found["sum"].tolist() == [2.0, 2.0] and found["flag"] is True


def test_a_decorator_of_a_method() -> None:
    class Scale:
        by = helix.full((1,), 3.0)

        @helix.compile(fallback="error")
        def __call__(self, x: helix.Tensor) -> helix.Tensor:
            return x * self.by

    assert Scale()(helix.ones(2)).tolist() == [3.0, 3.0]


def test_a_compiled_module_has_its_attributes() -> None:
    model = nn.Linear(2, 3)
    compiled = strict(model)
    assert list(compiled.state_dict()) == ["weight", "bias"] and compiled.eval() is model and not model.training
    with pytest.raises(ArgumentError, match="called"):
        _ = compiled.graph
    compiled(helix.ones(1, 2))
    assert compiled.graph.inputs and "kernels" in compiled.explain()


# ---- what cannot be captured ----


def peeks(x: helix.Tensor) -> helix.Tensor:
    return x * 2 if x.sum().item() > 0 else x


def test_what_cannot_be_captured_runs_as_it_is_with_one_warning() -> None:
    compiled = helix.compile(peeks)
    with pytest.warns(CompileWarning, match=r"test_compile\.py:\d+"):
        assert compiled(helix.ones(2)).tolist() == [2.0, 2.0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled(-helix.ones(2)).tolist() == [-1.0, -1.0]


def test_or_is_an_error_that_names_the_line() -> None:
    with pytest.raises(TraceError, match=r"test_compile\.py:\d+"):
        strict(peeks)(helix.ones(2))


def test_errors_of_arguments_are_the_functions() -> None:
    with pytest.raises(helix.errors.ShapeError):
        strict(lambda a, b: a @ b)(helix.ones(2, 3), helix.ones(2, 3))
    with pytest.raises(ArgumentError, match="fallback"):
        helix.compile(peeks, fallback="never")


# ---- whole steps ----


def losses(wrap: Callable[[Any], Any]) -> list[float]:
    helix.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    x, y = helix.randn(6, 4), helix.randn(6, 2)

    def step(x: helix.Tensor, y: helix.Tensor) -> helix.Tensor:
        loss = ((model(x) - y) ** 2).mean()
        found = helix.autograd.grad(loss, list(model.parameters()))
        with helix.no_grad():
            for parameter, gradient in zip(model.parameters(), found, strict=True):
                parameter.sub_(gradient * 0.1)
        return loss

    run = wrap(step)
    return [run(x, y).item() for _ in range(5)]


def test_a_whole_step_is_the_same_steps() -> None:
    eager, compiled = losses(lambda f: f), losses(strict)
    assert eager == pytest.approx(compiled, rel=1e-5) and eager[-1] < eager[0]


@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
def test_steps_of_optimizers_are_the_same_steps(kind: str) -> None:
    def train(wrap: Callable[[Any], Any]) -> list[float]:
        helix.manual_seed(2)
        model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2))
        optimizer = getattr(helix.optim, kind)(model.parameters(), lr=0.05)
        schedule = helix.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
        x, y = helix.randn(6, 4), helix.randn(6, 2)

        def step(x: helix.Tensor, y: helix.Tensor) -> helix.Tensor:
            optimizer.zero_grad()
            loss = ((model(x) - y) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss.detach()

        run, found = wrap(step), []
        for _ in range(6):
            found.append(run(x, y).item())
            schedule.step()
        return [*found, *[float(p.sum()) for p in model.parameters()]]

    assert train(lambda f: f) == pytest.approx(train(strict), rel=1e-5)


# ---- sizes that change ----

BATCH = helix.graph.Dim("B")


def dynamic_step(dynamic: Any, counted: list[int]) -> tuple[list[float], Any]:
    """Losses and the weights after steps with batches of many sizes."""
    helix.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Dropout(0.2), nn.Linear(8, 2))
    optimizer = helix.optim.AdamW(model.parameters(), lr=0.01)

    def step(x: helix.Tensor, y: helix.Tensor) -> helix.Tensor:
        counted.append(x.shape[0])
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean() / x.shape[0]
        loss.backward()
        optimizer.step()
        return loss.detach()

    run = strict(step, dynamic=dynamic) if dynamic else step
    found = [run(helix.randn(n, 4), helix.randn(n, 2)).item() for n in (6, 9, 6, 31, 9)]
    return [*found, *[float(p.sum()) for p in model.parameters()]], run


def test_one_trace_serves_all_sizes_of_a_dimension() -> None:
    counted: list[int] = []
    dynamic = (helix.graph.Spec((BATCH, 4)), helix.graph.Spec((BATCH, 2)))
    mine, run = dynamic_step(dynamic, counted)
    first = run.all()[0].graphs[0].outputs[0].shape
    assert mine == pytest.approx(dynamic_step(None, [])[0], rel=1e-4)
    assert run.compiled == 3 and first == () and not {6, 9, 31} & set(counted)


def test_gradients_flow_through_at_every_size() -> None:
    helix.manual_seed(4)
    model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.SiLU(), nn.Linear(8, 3))
    compiled = strict(model, dynamic=helix.graph.Spec((BATCH, 4)))
    for n in (3, 7, 1, 3):
        x = helix.randn(n, 4)
        for mine, theirs in zip(gradients(compiled, model, x), gradients(model, model, x), strict=True):
            assert near(mine, theirs)
    assert compiled.compiled == 3 and len(compiled.traces) == 1


def test_what_does_not_fit_a_dimension_is_compiled_for_itself() -> None:
    def function(x: helix.Tensor) -> helix.Tensor:
        return x * 2 if x.shape[0] > 3 else -x

    compiled = strict(function, dynamic=helix.graph.Spec((BATCH, 2)), cache_size=3)
    for shape, factor in (((5, 2), 2.0), ((3, 2), -1.0), ((6, 2), 2.0), ((4, 3), 2.0), ((5, 2), 2.0)):
        assert near(compiled(helix.ones(shape)), helix.full(shape, factor))
    assert len(compiled.all()) == 3 and len(compiled.traces) == 1


def test_a_module_that_changes_is_traced_again_for_all_sizes() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
    compiled = strict(lambda x: model(x), dynamic=[helix.graph.Spec((BATCH, 4))])
    with helix.no_grad():
        for training in (True, False):
            model.train(training)
            for n in (4, 6):
                helix.manual_seed(n)
                mine = compiled(helix.ones(n, 4))
                helix.manual_seed(n)
                assert near(mine, model(helix.ones(n, 4)))


@pytest.mark.parametrize("dynamic", [3, helix.graph.Spec((2, 4)), (helix.ones(2),)])
def test_dynamic_takes_specs_with_dimensions(dynamic: Any) -> None:
    with pytest.raises(ArgumentError, match="dynamic"):
        strict(peeks, dynamic=dynamic)


def test_the_shape_of_an_argument_whose_values_are_not_taken_counts() -> None:
    compiled = strict(lambda x, y: x * y.shape[0])
    x = helix.ones(2)
    for size in (3, 3, 5, 3):
        assert compiled(x, helix.zeros(size)).tolist() == [float(size)] * 2


def test_what_backward_takes_goes_through_hooks() -> None:
    compiled, packed = strict(lambda x: (x.exp() * x).sum()), []
    x = helix.tensor([1.0, 2.0], requires_grad=True)
    compiled(x)  # hooks are for a kind that was compiled before, too
    with helix.autograd.saved_tensors_hooks(lambda t: packed.append(t.shape) or t.numpy(), helix.from_numpy):
        result = compiled(x)
    result.backward()
    assert packed and near(x.grad, (x.exp() * (x + 1)).detach())


@pytest.mark.parametrize("change", ["rate", "states", "eager step"])
def test_an_optimizer_that_something_was_done_to_steps_as_it_does_eagerly(change: str) -> None:
    found = []
    for compiles in (False, True):
        helix.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = helix.optim.AdamW(model.parameters(), lr=0.1)

        def step(x: helix.Tensor, model: Any = model, optimizer: Any = optimizer) -> helix.Tensor:
            optimizer.zero_grad()
            loss = model(x).square().sum()
            loss.backward()
            optimizer.step()
            return loss.detach()

        run, x = strict(step) if compiles else step, helix.ones((4, 3))
        losses = [run(x).item() for _ in range(4)]
        if change == "rate":
            optimizer.param_groups[0]["lr"] = 0.01
        elif change == "states":
            state = optimizer.state_dict()
            for values in state["state"].values():
                values["exp_avg"], values["step"] = values["exp_avg"] * 0.5, 9
            optimizer.load_state_dict(state)
        else:
            losses.append(step(x).item())
        found.append(losses + [run(x).item() for _ in range(3)])
    assert found[0] == found[1]
