"""Whole training steps as one graph: every optimizer over many runs, gradients that stay, and what the program tells a run."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import helix
from helix import nn, optim
from helix.errors import FormatError, TraceError
from helix.graph import Dim, Spec

X, Y = Spec((5, 4)), Spec((5, 3))

OPTIMIZERS: dict[str, Callable[[list], Any]] = {
    "SGD": lambda p: optim.SGD(p, lr=0.1, weight_decay=0.01),
    "SGD, momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.3),
    "SGD, Nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, maximize=True),
    "Adam": lambda p: optim.Adam(p, lr=0.01, amsgrad=True, weight_decay=0.1),
    "SOAP": lambda p: optim.SOAP(p, lr=0.01, precondition_frequency=3),
    "Lookahead": lambda p: optim.Lookahead(optim.AdamW(p, lr=0.01), k=2),
    "groups": lambda p: optim.AdamW([{"params": p[:2], "lr": 0.1}, {"params": p[2:], "betas": (0.5, 0.6)}], lr=0.01),
    "whole numbers": lambda p: optim.SGD(p, lr=1, momentum=0.5),
    **{
        name: lambda p, name=name: getattr(optim, name)(p, lr=0.01)
        for name in (
            "AdamW", "Adadelta", "Adagrad", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop", "Lion", "LAMB", "LARS",
            "Adafactor", "SparseAdam",
        )
    },
    "RMSprop, centred": lambda p: optim.RMSprop(p, lr=0.01, centered=True, momentum=0.5),
    "Muon": lambda p: optim.Muon([q for q in p if q.ndim == 2], lr=0.01),
}  # fmt: skip


def data(steps: int) -> list[tuple[helix.Tensor, helix.Tensor]]:
    helix.manual_seed(1)
    return [(helix.randn(5, 4), helix.randn(5, 3)) for _ in range(steps)]


def network(dtype: Any = helix.float32) -> nn.Module:
    helix.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).to(dtype)


def step_of(model: nn.Module, optimizer: Any) -> Callable:
    def step(x: helix.Tensor, y: helix.Tensor) -> helix.Tensor:
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def seen(state: Any) -> Any:
    """Tensors as lists, in all that a state holds."""
    if isinstance(state, helix.Tensor):
        return state.tolist()
    if isinstance(state, dict):
        return {key: seen(value) for key, value in state.items()}
    return [seen(part) for part in state] if isinstance(state, (list, tuple)) else state


def both(make: Callable, steps: int = 5, dtype: Any = helix.float32) -> tuple[list, list]:
    """What eager steps and the runs of one graph leave: losses, parameters, states, with a schedule of learning rates."""
    found = []
    for traced in (False, True):
        model = network(dtype)
        optimizer = make(list(model.parameters()))
        schedule = optim.lr_scheduler.ExponentialLR(getattr(optimizer, "optimizer", optimizer), 0.8)
        step = step_of(model, optimizer)
        run = helix.trace(step, Spec((5, 4), dtype), Spec((5, 3), dtype)) if traced else step
        losses = []
        for x, y in data(steps):
            losses.append(run(x.to(dtype), y.to(dtype)).item())
            schedule.step()
        found.append([losses, seen(model.state_dict()), seen(optimizer.state_dict())])
    return found[0], found[1]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_graph_makes_the_steps_of_an_optimizer_to_the_bit(name: str) -> None:
    eager, traced = both(OPTIMIZERS[name])
    assert traced == eager


def test_master_weights() -> None:
    eager, traced = both(lambda p: optim.AdamW(p, lr=0.01, master_weights=True), dtype=helix.bfloat16)
    assert traced == eager


def test_a_trace_changes_neither_parameters_nor_states_nor_gradients() -> None:
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    before, own = copy.deepcopy(model.state_dict()), helix.ones(6)
    model[0].bias.grad = own
    helix.trace(step_of(model, optimizer), X, Y)
    assert seen(model.state_dict()) == seen(before) and not optimizer.state
    assert model[0].bias.grad is own and model[0].weight.grad is None


def trained(change: Callable[[nn.Module, Any, Callable], None], kind: str, traced: bool) -> list:
    model = network()
    optimizer = OPTIMIZERS[kind](list(model.parameters()))
    step = step_of(model, optimizer)
    run = helix.trace(step, X, Y) if traced else step
    batches = data(4)
    run(*batches[0])
    run(*batches[1])
    change(model, optimizer, step)
    run(*batches[2])
    run(*batches[3])
    return [seen(model.state_dict()), seen(optimizer.state_dict())]


def load(model: nn.Module, optimizer: Any, step: Callable) -> None:
    other = network()
    saved = OPTIMIZERS[type(optimizer).__name__](list(other.parameters()))
    again = step_of(other, saved)
    for x, y in data(3):
        again(x, y)
    optimizer.load_state_dict(saved.state_dict())


CHANGES: dict[str, Callable] = {
    "a state is loaded": load,
    "states begin anew": lambda model, optimizer, step: optimizer.state.clear(),
    "eager steps between": lambda model, optimizer, step: step(*data(1)[0]),
    "another graph steps": lambda model, optimizer, step: (
        helix.trace(step, *data(1)[0])(*data(1)[0]) if not helix._core.tracing() else None
    ),
    "other numbers": lambda model, optimizer, step: optimizer.param_groups[0].update(lr=0.5, weight_decay=0.2),
}


@pytest.mark.parametrize("kind", ["Adam", "SGD", "NAdam", "Rprop"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_graph_goes_on_from_the_optimizer_as_it_is(change: Callable, kind: str) -> None:
    assert trained(change, kind, traced=True) == trained(change, kind, traced=False)


def test_two_graphs_begin_one_state() -> None:
    found = []
    for traced in (False, True):
        model = network()
        optimizer = optim.Adam(model.parameters(), lr=0.1)
        step = step_of(model, optimizer)
        one, other = (helix.trace(step, X, Y), helix.trace(step, X, Y)) if traced else (step, step)
        for k, (x, y) in enumerate(data(4)):
            (one, other)[k % 2](x, y)
        found.append(seen(optimizer.state_dict()))
    assert found[0] == found[1]


def test_two_steps_in_one_graph() -> None:
    found = []
    for traced in (False, True):
        model = network()
        one = step_of(model, optim.Adam(model.parameters(), lr=0.1))

        def twice(x: helix.Tensor, y: helix.Tensor, one: Callable = one) -> helix.Tensor:
            return one(x, y) + one(x, y)

        run = helix.trace(twice, X, Y) if traced else twice
        found.append([run(x, y).item() for x, y in data(3)])
    assert found[0] == found[1]


def test_any_batch_size() -> None:
    model, twin = network(), network()
    step = step_of(model, optim.AdamW(model.parameters(), lr=0.1))
    graph = helix.trace(step, Spec((Dim("B"), 4)), Spec((Dim("B"), 3)))
    eager = step_of(twin, optim.AdamW(twin.parameters(), lr=0.1))
    for size in (5, 3, 1):
        x, y = helix.randn(size, 4), helix.randn(size, 3)
        assert graph(x, y).item() == eager(x, y).item()
    assert graph.at(B=2).told == graph.told  # the graph for one size is told its numbers too


def test_a_run_that_fails_has_not_counted() -> None:
    model = network()
    optimizer = optim.NAdam(model.parameters(), lr=0.1)
    graph = helix.trace(step_of(model, optimizer), X, Y)
    x, y = data(1)[0]
    for before in ({}, None):
        if before is None:
            graph(x, y)
            before = seen(optimizer.state_dict())["state"]
        graph.runner = graph.executor()
        graph.runner.program({}).steps[0].call = lambda *given: 1 / 0
        with pytest.raises(ZeroDivisionError):
            graph(x, y)
        assert seen(optimizer.state_dict())["state"] == before
        graph.runner = None


def test_another_step_than_the_traced_one_is_refused() -> None:
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    graph = helix.trace(step_of(model, optimizer), X, Y)
    optimizer.param_groups[0]["nesterov"] = True
    before = seen(model.state_dict())
    with pytest.raises(TraceError, match="SGD.step is another step .*nesterov is True, it was False; trace"):
        graph(*data(1)[0])
    optimizer.param_groups[0].update(nesterov=False, momentum=0.0)
    with pytest.raises(TraceError, match="other parameters go together, or they have other states"):
        graph(*data(1)[0])
    assert seen(model.state_dict()) == before


@pytest.mark.parametrize("change", ["added", "removed", "groups"])
def test_a_step_of_other_parameters_is_refused_and_compiled_anew(change: str) -> None:
    def trained(wrap: Callable) -> list:
        model = network()
        optimizer = optim.AdamW(model[0].named_parameters(), lr=0.1)
        run = wrap(step_of(model, optimizer))
        for i, (x, y) in enumerate(data(6)):
            if i == 3 and change == "added":
                optimizer.add_param_group({"params": [("last", model[2].weight)], "lr": 0.5})
            if i == 3 and change == "removed":
                del optimizer.param_groups[0]["params"][0], optimizer.param_groups[0]["names"][0]
            if i == 3 and change == "groups":
                optimizer.param_groups = [{**group, "lr": 0.9} for group in optimizer.param_groups]
            run(x, y)
        return [seen(model.state_dict()), seen(optimizer.state_dict())]

    assert trained(helix.compile) == trained(lambda step: step)
    if change != "groups":
        with pytest.raises(TraceError, match="AdamW.step has other parameters, or other groups of them, than when"):
            trained(lambda step: helix.trace(step, X, Y))


AVERAGES: dict[str, dict[str, Any]] = {
    "all": {},
    "exponential": {"multi_avg_fn": optim.swa_utils.get_ema_multi_avg_fn(0.9)},
    "buffers": {"use_buffers": True},
    "one's own": {"avg_fn": lambda average, value, count: average + (value - average) / (count + 1)},
}


@pytest.mark.parametrize(
    "way", [helix.trace, lambda step, x: helix.compile(step, fallback="error")], ids=["trace", "compile"]
)
@pytest.mark.parametrize("name", AVERAGES)
def test_averages_of_weights_are_traced(name: str, way: Callable) -> None:
    def trained(made: Callable) -> dict[str, Any]:
        helix.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
        optimizer = optim.AdamW(model.parameters(), lr=0.05)
        averaged = optim.swa_utils.AveragedModel(model, **AVERAGES[name])

        def step(x: helix.Tensor) -> helix.Tensor:
            optimizer.zero_grad()
            loss = (model(x) ** 2).mean()
            loss.backward()
            averaged.update_parameters(model)
            optimizer.step()
            averaged.update_parameters(model)
            return loss.detach()

        x = helix.randn(5, 3)
        run = made(step, x)
        for _ in range(4):
            run(x)
        return averaged.state_dict()

    for (key, mine), theirs in zip(trained(way).items(), trained(lambda step, x: step).values(), strict=True):
        assert helix.allclose(mine, theirs, rtol=1e-6, atol=1e-7), key


def test_an_average_that_asks_for_the_count_is_not_traced() -> None:
    model = network()
    averaged = optim.swa_utils.AveragedModel(model, multi_avg_fn=lambda averages, values, count: None)
    with pytest.raises(TraceError, match="give avg_fn, or call it outside of the graph"):
        helix.trace(lambda x: (averaged.update_parameters(model), averaged(x))[1], X)


def test_a_graph_that_is_told_numbers_is_not_saved(tmp_path: Any) -> None:
    model = network()
    graph = helix.trace(step_of(model, optim.Adam(model.parameters())), X, Y)
    with pytest.raises(FormatError, match="is told numbers by its program"):
        graph.save(tmp_path / "step.safetensors")


# ---- gradients that stay -----------------------------------------------------------------------------------


def backward(model: nn.Module, x: helix.Tensor) -> None:
    model(x).square().sum().backward()


def clip(model: nn.Module, x: helix.Tensor) -> None:
    model.zero_grad()
    backward(model, x)
    nn.utils.clip_grad_value_(model.parameters(), 0.3)


def clip_norm(model: nn.Module, x: helix.Tensor) -> helix.Tensor:
    model.zero_grad()
    backward(model, x)
    return nn.utils.clip_grad_norm_(model.parameters(), 0.5)


def clear(model: nn.Module, x: helix.Tensor) -> None:
    backward(model, x)
    model.zero_grad()


def only_read(model: nn.Module, x: helix.Tensor) -> helix.Tensor:
    return model[0].weight.grad * 2 + x.sum()


GRADIENTS: dict[str, tuple[Callable, bool]] = {
    "they add up": (backward, False),
    "they add up to those before": (backward, True),
    "clipped by value": (clip, False),
    "clipped by norm": (clip_norm, True),
    "cleared in the end": (clear, False),
    "cleared, and there before": (clear, True),
    "read": (only_read, True),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_stay_as_eager_steps_leave_them(name: str) -> None:
    function, there = GRADIENTS[name]
    found = []
    for traced in (False, True):
        model = network()
        if there:
            backward(model, helix.ones(5, 4))
        run = helix.trace(lambda x, model=model: function(model, x), X) if traced else lambda x, m=model: function(m, x)
        left: list[Any] = []
        for x, _ in data(3):
            left += [seen(run(x)), seen([p.grad for p in model.parameters()])]
            if there:  # another tensor from now on
                model[0].weight.grad = helix.ones(6, 4)
        found.append(left)
    assert found[0] == found[1]


def test_gradients_that_nobody_cleared_begin_where_there_are_none() -> None:
    model, twin = network(), network()
    for net in (model, twin):
        backward(net, helix.ones(5, 4))
    graph = helix.trace(lambda x: backward(model, x), X)
    for net in (model, twin):
        net.zero_grad()
    x = data(1)[0][0]
    graph(x), backward(twin, x)
    assert seen([p.grad for p in model.parameters()]) == seen([p.grad for p in twin.parameters()])


def test_a_step_that_was_traced_without_gradients_refuses_them() -> None:
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x: helix.Tensor) -> None:
        backward(model, x)
        optimizer.step()

    graph = helix.trace(step, X)
    graph(data(1)[0][0])
    before = seen(model.state_dict())
    with pytest.raises(TraceError, match="has a gradient from before, which it had not when the function was traced"):
        graph(data(1)[0][0])
    assert seen(model.state_dict()) == before


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "unfrozen"])
def test_freezing_a_parameter_needs_another_trace(frozen: bool) -> None:
    layer, x = nn.Linear(3, 2), helix.randn(4, 3)
    layer.weight.requires_grad_(frozen)

    def step(x: helix.Tensor) -> helix.Tensor:
        loss = (layer(x) ** 2).mean()
        loss.backward()
        return loss.detach()

    graphs = [helix.trace(step, Spec((4, 3))), helix.trace(step, Spec((Dim("B"), 3)))]
    graphs += [helix.graph.optimize(graphs[0]), helix.trace(lambda x: graphs[0](x), Spec((4, 3)))]
    compiled = helix.compile(step, fallback="error")
    for run in (*graphs, *graphs, compiled):
        layer.zero_grad()
        run(x)
    layer.weight.requires_grad_(not frozen)
    layer.weight.grad = layer.bias.grad = None
    for graph in graphs:
        with pytest.raises(TraceError, match="weight (was frozen|requires a gradient)"):
            graph(x)
        assert layer.weight.grad is layer.bias.grad is None
    compiled(x)
    assert (layer.weight.grad is None) is frozen and layer.bias.grad is not None
    layer.weight.requires_grad_(frozen)
    graphs[0](x)
    inference = helix.trace(layer, Spec((4, 3)))
    layer.weight.requires_grad_(not frozen)
    inference(x)


def test_a_step_of_lbfgs_says_what_to_compile() -> None:
    weight = nn.Parameter(helix.randn(3))
    optimizer = helix.optim.LBFGS([weight])

    def closure() -> helix.Tensor:
        optimizer.zero_grad()
        loss = ((weight - 1) ** 2).sum()
        loss.backward()
        return loss

    with pytest.raises(TraceError, match=r"helix\.compile\(closure\)"):
        helix.trace(lambda: optimizer.step(closure))
    assert not optimizer.state
    optimizer.step(helix.compile(closure, fallback="error"))
    assert helix.allclose(weight.detach(), helix.ones(3), atol=1e-5)


def test_a_loaded_state_that_the_step_knows_nothing_of_stays() -> None:
    model = network()
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    (x, y), *_ = data(1)
    graph = helix.trace(step_of(model, optimizer), X, Y)
    graph(x, y)
    state = optimizer.state_dict()
    for values, parameter in zip(state["state"].values(), model.parameters(), strict=True):
        values["max_exp_avg_sq"] = helix.ones(*parameter.shape)  # of a run with amsgrad
    optimizer.load_state_dict(state)
    first, second = graph(x, y).item(), graph(x, y).item()
    assert second < first
    assert all(values["step"] == 3 and (values["max_exp_avg_sq"] == 1).all() for values in optimizer.state.values())


@pytest.mark.parametrize("steps", [False, True])
def test_two_parameters_in_one_memory(steps: bool) -> None:
    """Each has a gradient of its own; a step that would write both at once runs as it is."""
    ends = []
    for compiled in (False, True):
        one = nn.Parameter(helix.tensor([[1.0, 2.0], [3.0, 4.0]]))
        other = nn.Parameter(one.detach())
        optimizer = helix.optim.SGD([one, other], lr=0.01)

        def step(x: helix.Tensor, one: Any = one, other: Any = other, optimizer: Any = optimizer) -> helix.Tensor:
            optimizer.zero_grad()
            loss = ((x @ one).sin() @ other).square().mean()
            loss.backward()
            if steps:
                optimizer.step()
            return loss.detach()

        run = helix.compile(step, fallback="warn" if steps else "error") if compiled else step
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", helix.errors.CompileWarning)
            losses = [run(helix.ones(2, 2)) for _ in range(3)]
        ends.append([*losses, one, other, one.grad, other.grad])
    assert all(helix.allclose(a, b) for a, b in zip(*ends, strict=True))
