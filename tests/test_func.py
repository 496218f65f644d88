"""helix.func beside torch.func, finite differences, and loops; on functions and on graphs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import helix
from helix import func, nn
from helix.errors import ArgumentError, GradientError, ParameterError, TraceError
from helix.graph import Spec

from .graph.random_graphs import usable
from .ops.cases import each_sample
from .ops.sample import Sample
from .ops.values import as_list, call_helix, leaves, numpy_arguments, to_helix

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 2))


def scalar(x: Any, y: Any) -> Any:
    return ((x @ y).tanh() ** 2).sum() + (x * x).sum() * 0.1


def vector(x: Any) -> Any:
    return (x.sin() * x.sum(0)).sum(1)


def near(mine: Any, theirs: Any) -> None:
    np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), rtol=1e-9, atol=1e-10)


def arguments(*arrays: np.ndarray) -> tuple[list[helix.Tensor], list[torch.Tensor]]:
    return [helix.tensor(a) for a in arrays], [torch.tensor(a) for a in arrays]


CASES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "grad": lambda f, x, y: f.grad(scalar)(x, y),
    "grad of both": lambda f, x, y: f.grad(scalar, argnums=(0, 1))(x, y),
    "grad of a grad": lambda f, x, y: f.grad(lambda x: (f.grad(scalar)(x, y) ** 3).sum())(x),
    "grad_and_value": lambda f, x, y: f.grad_and_value(scalar)(x, y),
    "vjp": lambda f, x, y: f.vjp(lambda x, y: x @ y, x, y)[1](x[:, :2] * 2),
    "jvp": lambda f, x, y: f.jvp(lambda x: (vector(x), x * 2), (x,), (x * x,)),
    "jacrev": lambda f, x, y: f.jacrev(vector)(x),
    "jacfwd": lambda f, x, y: f.jacfwd(vector)(x),
    "hessian": lambda f, x, y: f.hessian(scalar)(x, y),
    "jacobian of a jacobian": lambda f, x, y: f.jacrev(f.jacfwd(lambda x: (x**3).sum(0)))(x),
    "vmap": lambda f, x, y: f.vmap(lambda a, b: (a * b.sum()).exp(), in_dims=(0, None))(x, y),
    "vmap of columns": lambda f, x, y: f.vmap(lambda a, b: a @ b, in_dims=(None, 1), out_dims=1)(x, y),
    "vmap of a grad": lambda f, x, y: f.vmap(f.grad(lambda a: (a.sin() * a).sum()))(x),
    "grad of a vmap": lambda f, x, y: f.grad(lambda x: f.vmap(lambda a: (a @ y).sum() ** 2)(x).sum())(x),
}


def flat(value: Any) -> list[Any]:
    return [leaf for part in value for leaf in flat(part)] if isinstance(value, (tuple, list)) else [value]


@pytest.mark.parametrize("name", CASES)
def test_beside_torch(name: str) -> None:
    mine, theirs = arguments(X, Y)
    for a, b in zip(flat(CASES[name](func, *mine)), flat(CASES[name](torch.func, *theirs)), strict=True):
        near(a, b)
        assert not a.requires_grad  # nobody outside asked for it


@pytest.mark.parametrize("name", [n for n in CASES if "vmap" not in n])
def test_transforms_can_be_traced(name: str) -> None:
    mine, _ = arguments(X, Y)
    graph = helix.trace(lambda x, y: tuple(flat(CASES[name](func, x, y))), *mine)
    for a, b in zip(graph(*mine), flat(CASES[name](func, *mine)), strict=True):
        near(a, b)


def test_of_graphs() -> None:
    mine, theirs = arguments(X, Y)
    graph = helix.trace(scalar, *mine)
    near(func.grad(graph)(*mine), torch.func.grad(scalar)(*theirs))
    near(func.hessian(graph)(*mine), torch.func.hessian(scalar)(*theirs))
    near(func.jacrev(helix.trace(vector, mine[0]))(mine[0]), torch.func.jacrev(vector)(theirs[0]))
    rows = helix.trace(lambda a: (a * 2).exp(), Spec((4,), helix.float64))
    near(func.vmap(rows)(mine[0]), (mine[0] * 2).exp())


def test_hvp_and_finite_differences() -> None:
    mine, theirs = arguments(X, Y)
    v = helix.tensor(RNG.normal(size=X.shape))
    value, (product,) = func.hvp(lambda x: scalar(x, mine[1]), (mine[0],), (v,))
    expected = np.einsum(
        "abcd,cd->ab", torch.func.hessian(lambda x: scalar(x, theirs[1]))(theirs[0]).numpy(), v.numpy()
    )
    np.testing.assert_allclose(product.numpy(), expected, rtol=1e-9)
    assert value.item() == pytest.approx(scalar(*mine).item())
    step = 1e-6
    slope = func.grad(scalar)
    differences = (slope(mine[0] + step * v, mine[1]) - slope(mine[0] - step * v, mine[1])) / (2 * step)
    np.testing.assert_allclose(product.numpy(), differences.numpy(), rtol=1e-6, atol=1e-7)


def test_history_goes_on_and_stops() -> None:
    x = helix.tensor([1.0, 2.0], requires_grad=True)
    w = helix.tensor([3.0, 4.0], requires_grad=True)
    slope = func.grad(lambda x: (w * x**3).sum())(x)
    slope.sum().backward()
    assert x.grad.tolist() == [18.0, 48.0] and w.grad.tolist() == [3.0, 12.0]
    with helix.no_grad():
        assert not func.grad(lambda x: (x**2).sum())(x).requires_grad
    assert func.grad(lambda x: helix.special.digamma(helix.special.gammaln(x).sum() * 0 + 1).detach() + x.sum())(
        x
    ).tolist() == [1, 1]
    assert func.grad(lambda x: helix.lgamma(x).sum())(helix.tensor([2.0])).item() == pytest.approx(0.42278, abs=1e-4)
    assert func.grad(lambda x: helix.ones(()))(x).tolist() == [0.0, 0.0]


def test_structures() -> None:
    parameters = {"w": helix.ones(2), "b": [helix.tensor(3.0)]}

    def loss(p: dict, x: helix.Tensor) -> tuple[helix.Tensor, str]:
        return (p["w"] * x).sum() + p["b"][0] ** 2, "aux"

    gradient, aux = func.grad(loss, has_aux=True)(parameters, helix.tensor([1.0, 2.0]))
    assert gradient["w"].tolist() == [1.0, 2.0] and gradient["b"][0].item() == 6 and aux == "aux"


def test_functional_call() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).eval()
    before = model.state_dict()
    x = helix.randn(5, 3)
    doubled = {name: p.detach() * 2 for name, p in model.named_parameters()}
    found = func.functional_call(model, doubled, (x,))
    twin = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).eval()
    twin.load_state_dict({**before, **doubled})
    assert helix.allclose(found, twin(x)) and all(
        p is q for p, q in zip(model.parameters(), list(model.parameters()), strict=True)
    )
    gradient = func.grad(lambda p: func.functional_call(model, p, x).sum())(doubled)
    assert set(gradient) == set(doubled) and gradient["2.bias"].tolist() == [5.0, 5.0]
    with pytest.raises(ParameterError, match="'nope'"):
        func.functional_call(model, {"nope": x}, x)


def test_a_batch_of_models() -> None:
    layers = [nn.Linear(3, 2) for _ in range(4)]
    weights = helix.stack([layer.weight.detach() for layer in layers])
    biases = helix.stack([layer.bias.detach() for layer in layers])
    x = helix.randn(5, 3)
    found = func.vmap(lambda w, b: nn.functional.linear(x, w, b))(weights, biases)
    assert helix.allclose(found, helix.stack([layer(x) for layer in layers]), rtol=1e-5, atol=1e-6)


@each_sample(usable)
def test_vmap_is_a_loop(sample: Sample) -> None:
    arrays = numpy_arguments(sample, "float32")
    given = [to_helix(v) for v in leaves(arrays, np.ndarray)]
    smooth = [i for i, x in enumerate(given) if x.dtype is helix.float32]

    def function(*tensors: helix.Tensor) -> list[helix.Tensor]:
        left = iter([tensors[smooth.index(i)] if i in smooth else x for i, x in enumerate(given)])
        return [r for r in as_list(call_helix(sample, arrays, lambda _: next(left))) if isinstance(r, helix.Tensor)]

    batches = [helix.stack([given[i], given[i] * 0.9, given[i]]) for i in smooth]
    if not batches:
        return
    found = func.vmap(function)(*batches)
    for k in range(3):
        for mine, theirs in zip(found, function(*[b[k] for b in batches]), strict=True):
            assert mine.shape[1:] == theirs.shape and mine.dtype is theirs.dtype
            a, b = mine[k].to(helix.float64) if mine.is_floating_point() else mine[k], theirs
            np.testing.assert_allclose(np.asarray(a.tolist()), np.asarray(b.tolist()), rtol=2e-5, atol=1e-5)


REFUSED: list[tuple[Callable[[], Any], type, str]] = [
    (lambda: func.grad(lambda x: x * 2)(helix.ones(2)), GradientError, "one number"),
    (lambda: func.grad(lambda x: x.sum(), argnums=3)(helix.ones(2)), ArgumentError, "no argument 3"),
    (lambda: func.vjp(lambda x: x, helix.ones(2))[1]((helix.ones(2),)), ArgumentError, "cotangents"),
    (lambda: func.jvp(lambda x: x, (helix.ones(2),), ()), ArgumentError, "tangents"),
    (lambda: func.vmap(lambda x, y: x)(helix.ones(2), helix.ones(3)), ArgumentError, "lengths"),
    (lambda: func.vmap(lambda x: x, in_dims=None)(helix.ones(2)), ArgumentError, "lengths"),
    (lambda: func.vmap(lambda x: helix.rand(2) * x)(helix.ones(2)), TraceError, "random"),
    (lambda: func.vmap(lambda x: x.item())(helix.ones(2)), TraceError, "not known"),
]


@pytest.mark.parametrize("index", range(len(REFUSED)))
def test_refusals(index: int) -> None:
    call, kind, text = REFUSED[index]
    with pytest.raises(kind, match=text):
        call()


def test_numbers_have_no_gradients() -> None:
    x = helix.tensor([1.0])
    for call in (
        lambda: func.grad(lambda a, b: (a * b).sum())(2.0, x),
        lambda: func.vjp(lambda a, b: a * b, 2.0, x),
        lambda: func.jvp(lambda a: a["x"] * a["n"], ({"x": x, "n": 3},), ({"x": x, "n": 3},)),
    ):
        with pytest.raises(ArgumentError, match="give a tensor"):
            call()


@pytest.mark.parametrize("name", ["jacrev", "jacfwd", "hessian"])
def test_several_arguments_at_once(name: str) -> None:
    mine, theirs = arguments(X, Y)
    function = scalar if name == "hessian" else lambda x, y: (x @ y).tanh()
    found = getattr(func, name)(function, (0, -1))(*mine)
    wanted = getattr(torch.func, name)(function, (0, 1))(*theirs)
    flat = (lambda pairs: [t for pair in pairs for t in pair]) if name == "hessian" else list
    for one, other in zip(flat(found), flat(wanted), strict=True):
        near(one, other)
    last = getattr(func, name)(function, -1)(*mine)
    near(last, getattr(torch.func, name)(function, 1)(*theirs))
    with pytest.raises(ArgumentError, match="argument 2"):
        getattr(func, name)(function, 2)(*mine)
    assert getattr(func, name)(lambda x: (x * x).sum())(helix.zeros(0)).numel() == 0


class Tied(nn.Module):
    def __init__(self) -> None:
        self.first, self.second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x: helix.Tensor) -> helix.Tensor:
        return self.second(self.first(x))


def test_functional_call_of_tied_weights() -> None:
    model, x, weight = Tied(), helix.ones(1, 3), helix.eye(3) * 2
    assert func.functional_call(model, {"first.weight": weight}, x).tolist() == [[4.0, 4.0, 4.0]]
    assert func.functional_call(model, {"second.weight": weight}, x).tolist() == [[4.0, 4.0, 4.0]]
    alone = func.functional_call(model, {"first.weight": helix.zeros(3, 3)}, x, tie_weights=False)
    assert alone.tolist() == [[0.0, 0.0, 0.0]]
    with pytest.raises(ParameterError, match="two tensors"):
        func.functional_call(model, {"first.weight": weight, "second.weight": weight * 2}, x)
    assert model.first.weight is model.second.weight


# ---- vmap: structures, chunks, random numbers ----

TREES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "dicts": lambda f, x, y: f.vmap(lambda d: {"a": d["x"].sum(), "b": d["x"] * 2})({"x": x})["a"],
    "axes in a tree": lambda f, x, y: f.vmap(lambda d, b: d["x"] * d["w"] + b, in_dims=({"x": 1, "w": None}, 1))(
        {"x": x, "w": x[:, 0]}, x
    ),
    "one axis for a tree": lambda f, x, y: f.vmap(lambda p, c: p[0] * p[1] + c, in_dims=(1, None))((x, x * 2), x[:, 0]),
    "negative axes": lambda f, x, y: f.vmap(lambda a: a * 2, in_dims=-1, out_dims=-1)(x),
    "keywords": lambda f, x, y: f.vmap(lambda a, *, w, power: (a @ w) ** power)(x, w=y, power=2),
    "axes of results": lambda f, x, y: f.vmap(lambda a: (a * 2, a.sum(), a.exp()), out_dims=(1, 0, 0))(x),
    "shared results": lambda f, x, y: f.vmap(lambda a, b: (a * b.sum(), b * 2), in_dims=(0, None), out_dims=(0, None))(x, y),
    "chunks": lambda f, x, y: f.vmap(lambda a: (a @ y).tanh(), chunk_size=2)(x),
    "one at a time": lambda f, x, y: f.vmap(lambda a: a.cumsum(0), chunk_size=1)(x),
    "none for what is no tensor": lambda f, x, y: f.vmap(lambda a, n: a * n, in_dims=(0, None))(x, 3),
}  # fmt: skip


@pytest.mark.parametrize("name", TREES)
def test_vmap_of_structures(name: str) -> None:
    mine, theirs = arguments(X, Y)
    for a, b in zip(flat(TREES[name](func, *mine)), flat(TREES[name](torch.func, *theirs)), strict=True):
        near(a, b)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: func.vmap(lambda a: a)(x.sum()), "has 0 axes"),
        (lambda x: func.vmap(lambda a: a, in_dims=2)(x), "names axis 2"),
        (lambda x: func.vmap(lambda a: a, out_dims=5)(x), "names axis 5"),
        (lambda x: func.vmap(lambda a, b: a, in_dims=(0,))(x, x), "does not fit"),
        (lambda x: func.vmap(lambda a, n: a * n)(x, 2), "no tensor"),
        (lambda x: func.vmap(lambda d: d["x"], in_dims=({"y": 0},))({"x": x}), "does not fit"),
        (lambda x: func.vmap(lambda a: (a, a), out_dims=(0, 0, 0))(x), "does not fit"),
        (lambda x: func.vmap(lambda a: a, out_dims=None)(x), "differs from sample"),
        (lambda x: func.vmap(lambda a: a, randomness="any")(x), "must be one of error"),
        (lambda x: func.vmap(lambda a: a, chunk_size=0)(x), "at least 1"),
        (lambda x: func.hvp(lambda a, b: (a * b).sum(), (x, x), (x,)), "structure of primals"),
    ],
)
def test_vmap_and_hvp_say_what_does_not_fit(call: Callable[[Any], Any], text: str) -> None:
    with pytest.raises(ArgumentError, match=text):
        call(helix.tensor(X))


def noisy(x: helix.Tensor) -> tuple[helix.Tensor, helix.Tensor]:
    return nn.functional.dropout(x, 0.5), helix.rand(2)


def test_vmap_draws_as_told() -> None:
    x = helix.ones(6, 32)
    with pytest.raises(TraceError, match="randomness="):
        func.vmap(noisy)(x)
    for chunk in (None, 4):
        same = func.vmap(noisy, randomness="same", chunk_size=chunk)(x)
        assert all(helix.equal(part[i], part[0]) for part in same for i in range(6))
        helix.manual_seed(3)
        different = func.vmap(noisy, randomness="different", chunk_size=chunk)(x)
        assert all(len({tuple(row) for row in part.tolist()}) == 6 for part in different)
        helix.manual_seed(3)
        again = func.vmap(noisy, randomness="different")(x)
        assert all(helix.equal(a, b) for a, b in zip(again, different, strict=True))  # whatever the chunks


def test_what_is_beside_the_value_has_no_history() -> None:
    x = helix.tensor(X)
    _, aux = func.grad(lambda x: ((x * x).sum(), {"twice": x * 2}), has_aux=True)(x)
    assert not aux["twice"].requires_grad and helix.equal(aux["twice"], x * 2)
    w = helix.ones(4, requires_grad=True)
    _, kept = func.grad(lambda x: ((x * w).sum(), x * w), has_aux=True)(helix.tensor(X, dtype=helix.float32))
    assert kept.requires_grad  # it leads to w, which the caller follows


def test_threads_do_not_share_who_calls() -> None:
    entered, done = threading.Event(), threading.Event()

    def slow(x: helix.Tensor) -> helix.Tensor:
        entered.set()
        done.wait(20)
        return (x * x).sum()

    def hold() -> None:
        with helix.no_grad():
            func.grad(slow)(helix.ones(2))

    other = threading.Thread(target=hold)
    other.start()
    try:
        assert entered.wait(20)
        w = helix.ones(2, requires_grad=True)
        assert func.grad(lambda x: (x * x * w).sum())(helix.ones(2)).requires_grad
    finally:
        done.set()
        other.join()
