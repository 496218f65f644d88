"""Autograd as Python sees it."""

import gc
import math
import threading
import weakref

import numpy as np
import pytest
import torch

import helix
from helix.autograd import Function, detect_anomaly, grad, gradcheck, gradgradcheck
from helix.errors import ArgumentError, GradientError


def leaf(*values, dtype=helix.float64):
    return helix.tensor(values, dtype=dtype, requires_grad=True)


def test_backward_accumulates():
    x = leaf(1.0, 2.0)
    for _ in range(2):
        (x * x).sum().backward()
    assert x.grad.tolist() == [4, 8] and x.grad.requires_grad is False
    x.grad = None
    assert x.grad is None
    (x * 3).backward(helix.tensor([1.0, 10.0], dtype=helix.float64))
    assert x.grad.tolist() == [3, 30]


def test_backward_needs_a_reason():
    x = leaf(1.0, 2.0)
    with pytest.raises(GradientError):
        (x * 2).backward()
    with pytest.raises(GradientError, match="HX1503"):
        helix.ones(1).backward()
    with pytest.raises(ValueError, match="HX1505"):
        (x * 2).backward(helix.ones(3))
    y = (x * x).sum()
    y.backward()
    with pytest.raises(GradientError, match="HX1502"):
        y.backward()


def test_retain_graph_and_inputs():
    x, w = leaf(2.0), leaf(3.0)
    y = (x * x * w).sum()
    y.backward(retain_graph=True)
    y.backward(inputs=[w])
    assert x.grad.tolist() == [12] and w.grad.tolist() == [8]


def test_any_order():
    x = leaf(1.5)
    y = x**5
    expected = [5 * 1.5**4, 20 * 1.5**3, 60 * 1.5**2, 120 * 1.5, 120]
    for value in expected:
        (y,) = grad(y.sum(), x, create_graph=True)
        assert y.item() == pytest.approx(value)
    z = leaf(0.5)
    (g,) = grad((z * z * z).sum(), z, create_graph=True)
    (g * g).sum().backward()
    assert z.grad.item() == pytest.approx(2 * 3 * 0.25 * 6 * 0.5)


def test_grad_function():
    x, w, unused = leaf(2.0), leaf(3.0), leaf(1.0)
    y = x * w
    assert [g.item() for g in grad(y, [x, w])] == [3, 2] and x.grad is None
    with pytest.raises(GradientError, match="HX1507"):
        grad(x * w, [x, unused])
    assert grad(x * w, [x, unused], allow_unused=True)[1] is None
    a, b = x * 2, x * w
    assert grad([a, b], x, [helix.tensor([10.0], dtype=helix.float64), None])[0].item() == 23
    middle = x * 2
    assert grad(middle * middle, middle)[0].item() == 8
    with pytest.raises(ValueError):
        grad(x * w, [])


def test_only_what_is_needed_runs():
    x, w = leaf(*[1.0] * 4), leaf(*[2.0] * 4)
    long = x
    for _ in range(50):
        long = long * w.detach()
    y = (long + w).sum()
    before = helix._core.kernels_run()
    grad(y, w, retain_graph=True)
    assert helix._core.kernels_run() - before < 10
    before = helix._core.kernels_run()
    grad(y, x)
    assert helix._core.kernels_run() - before >= 50


def test_a_million_ops():
    x = helix.tensor([1.0], requires_grad=True)
    y = x
    for _ in range(1_000_000):
        y = y + x
    y.backward()
    assert x.grad.item() == 1_000_001
    del y
    nodes = helix.memory_stats()["live_nodes"]
    y = x
    for _ in range(100_000):
        y = y * x
    del y
    assert helix.memory_stats()["live_nodes"] == nodes


def test_saved_tensors_must_not_change():
    x, w = leaf(1.0, 2.0), helix.tensor([3.0, 4.0], dtype=helix.float64)
    y = (x * w).sum()
    w += 1
    with pytest.raises(GradientError, match="HX1501") as caught:
        y.backward()
    assert caught.value.code == "HX1501"
    z = x * 2
    y = (z * z).sum()
    z += 1
    with pytest.raises(GradientError, match="HX1501"):
        y.backward()
    z = x * 2
    y = z + 1
    z *= 5  # add saves nothing
    y.sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_in_place_history():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 2
    y.mul_(x.detach() + 1)
    y[0] = 0
    y.sum().backward()
    assert x.grad.tolist() == [0, 6, 8]


def test_leaf_attributes():
    x = leaf(1.0)
    y = x * 2
    assert x.is_leaf and not y.is_leaf and x.grad_fn is None and y.grad_fn.name() == "MulBackward"
    assert y.requires_grad and not y.detach().requires_grad and y.detach().data_ptr() == y.data_ptr()
    with pytest.raises(GradientError):
        y.requires_grad = False
    with pytest.raises(GradientError):
        helix.tensor([1]).requires_grad = True
    for bad in (helix.ones(2, dtype=helix.float64), helix.ones(1), 3, x):
        with pytest.raises((GradientError, ArgumentError)):
            x.grad = bad
    x.grad = helix.ones(1, dtype=helix.float64)
    del x.grad
    assert x.grad is None
    y.detach_()
    assert y.is_leaf and not y.requires_grad


def test_retain_grad():
    x = leaf(3.0)
    y = x * 2
    y.retain_grad()
    (y * y).backward()
    assert y.grad.item() == 12 and x.grad.item() == 24


def test_modes():
    x = leaf(1.0)
    with helix.no_grad():
        assert not (x * 2).requires_grad and not helix.is_grad_enabled()
        with helix.enable_grad():
            assert (x * 2).requires_grad

    @helix.no_grad
    def plain(v):
        return v * 2

    @helix.no_grad()
    def called(v):
        return v * 2

    assert not plain(x).requires_grad and not called(x).requires_grad and plain.__name__ == "plain"
    assert (x * 2).requires_grad
    with helix.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    assert helix.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), helix.no_grad():
        raise ZeroDivisionError
    assert helix.is_grad_enabled()
    seen = []
    with helix.no_grad():
        thread = threading.Thread(target=lambda: seen.append(helix.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_inference_mode():
    x = leaf(1.0)
    with helix.inference_mode():
        y = x * 2
        assert y.is_inference()
    with pytest.raises(GradientError, match="HX1506"):
        (y * x).sum().backward()
    assert (y.clone() * x).requires_grad


def test_hooks():
    x = leaf(1.0, 2.0)
    seen = []
    handle = x.register_hook(lambda g: seen.append(g.tolist()))
    doubling = x.register_hook(lambda g: g * 2)
    (x * 3).sum().backward()
    assert seen == [[3, 3]] and x.grad.tolist() == [6, 6]
    handle.remove()
    handle.remove()
    doubling.remove()
    x.grad = None
    y = x * 3
    y.register_hook(lambda g: g * 10)
    y.sum().backward()
    assert seen == [[3, 3]] and x.grad.tolist() == [30, 30]

    def fails(g):
        raise KeyError("from the hook")

    with x.register_hook(fails), pytest.raises(KeyError, match="from the hook"):
        (x * 3).sum().backward()
    with x.register_hook(lambda g: "no"), pytest.raises(ArgumentError):
        (x * 3).sum().backward()
    with pytest.raises(GradientError):
        helix.ones(1).register_hook(fails)
    with pytest.raises(ArgumentError):
        x.register_hook(3)


class Cube(Function):
    @staticmethod
    def forward(ctx, x, scale):
        ctx.save_for_backward(x)
        ctx.scale = scale
        return x * x * x * scale

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        assert ctx.needs_input_grad == (True, False)
        return g * x * x * (3 * ctx.scale), None


def test_custom_function():
    x = leaf(1.0, 2.0)
    y = Cube.apply(x, 2.0)
    assert y.grad_fn.name() == "CubeBackward" and y.tolist() == [2, 16]
    y.sum().backward()
    assert x.grad.tolist() == [6, 24]
    assert gradcheck(lambda v: Cube.apply(v, 2.0), x) and gradgradcheck(lambda v: Cube.apply(v, 2.0), x)
    with helix.no_grad():
        assert not Cube.apply(x, 2.0).requires_grad


def test_custom_function_with_several_outputs():
    class Split(Function):
        @staticmethod
        def forward(ctx, x):
            where = x > 1
            ctx.mark_non_differentiable(where)
            return x * 2, x, where

        @staticmethod
        def backward(ctx, doubled, same, where):
            assert same.tolist() == [0, 0]
            return doubled * 2 + same

    x = leaf(1.0, 2.0)
    doubled, same, where = Split.apply(x)
    assert same is not x and where.tolist() == [False, True] and not where.requires_grad and same.requires_grad
    doubled.sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_custom_function_that_saves_its_output():
    class Exponential(Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            return g * y

    x = leaf(0.5, 1.0)
    assert gradcheck(Exponential.apply, x) and gradgradcheck(Exponential.apply, x)
    gc.collect()
    gc.disable()
    try:
        before = helix.memory_stats()
        for _ in range(50):
            Exponential.apply(x)
            Exponential.apply(x).sum().backward()
        x.grad = None
        after = helix.memory_stats()
    finally:
        gc.enable()
    assert after["live_nodes"] == before["live_nodes"] and after["live_tensors"] == before["live_tensors"]


def test_custom_function_errors():
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x, how):
            ctx.how = how
            ctx.save_for_backward(x)
            return x * 1

        @staticmethod
        def backward(ctx, g):
            if ctx.how == "raise":
                raise LookupError("mine")
            return {"few": g, "kind": (3, None), "shape": (helix.ones(7, dtype=helix.float64), None)}[ctx.how]

    x = leaf(1.0, 2.0)
    for how, error in (
        ("raise", LookupError),
        ("few", ArgumentError),
        ("kind", ArgumentError),
        ("shape", GradientError),
    ):
        with pytest.raises(error):
            Wrong.apply(x, how).sum().backward()
    with pytest.raises(NotImplementedError):
        Function.apply(x)
    z = x * 2
    y = Cube.apply(z, 1.0)
    z += 1
    with pytest.raises(GradientError, match="HX1501 Cube"):
        y.sum().backward()


def test_graphs_are_freed():
    gc.collect()
    x = leaf(1.0)
    y = Cube.apply(x, 1.0)
    context = weakref.ref(y)
    nodes = helix.memory_stats()["live_nodes"]
    del y
    gc.collect()
    assert context() is None and helix.memory_stats()["live_nodes"] == nodes - 1


def test_anomaly_mode_names_the_line():
    x = leaf(0.0)
    with detect_anomaly(), pytest.raises(GradientError, match="HX1601") as caught:
        y = x.sqrt()
        (y * 0).sum().backward()
    assert "sqrt" in str(caught.value) and "test_autograd.py" in str(caught.value)
    with detect_anomaly():
        (x * 2).sum().backward()


def test_gradcheck_finds_faults():
    class Bad(Cube):
        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * x, None

    x = leaf(1.0, 2.0)
    with pytest.raises(GradientError, match="element 0 of output 0 by input 0"):
        gradcheck(lambda v: Bad.apply(v, 1.0), x)
    assert gradcheck(lambda v: Bad.apply(v, 1.0), x, raise_exception=False) is False
    with pytest.raises(GradientError):
        gradcheck(lambda v: v, helix.ones(1, requires_grad=True))
    assert x.tolist() == [1, 2]


def test_gradcheck_of_complex_numbers():
    z = helix.tensor([1 + 2j, -0.5 + 1j], dtype=helix.complex128, requires_grad=True)
    assert gradcheck(lambda v: v * v * (2 + 1j), z)
    assert gradcheck(lambda v: (v * v.conj()).real, z)


def test_same_as_torch_on_a_small_network():
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(4, 3)), rng.normal(size=(3, 5)), rng.normal(size=5)
    h = [helix.tensor(v, requires_grad=True) for v in (a, b, c)]
    t = [torch.tensor(v, requires_grad=True) for v in (a, b, c)]
    for x, w, bias in (h, t):
        y = (x @ w + bias).tanh()
        (y * y).mean().backward()
    for x, y in zip(h, t):
        np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-12)


def test_backward_from_several_threads():
    x = leaf(*[1.0] * 64)
    results = []

    def work():
        y = leaf(*[2.0] * 64)
        for _ in range(50):
            (y * y * x.detach()).sum().backward()
        results.append(y.grad.sum().item())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [64 * 4 * 50.0] * 4


@pytest.mark.parametrize("name", ["mul_", "div_"])
def test_in_place_product_keeps_what_the_other_gradient_needs(name):
    x = helix.tensor([1.0, 2.0], requires_grad=True)
    w = helix.tensor([4.0, 8.0], requires_grad=True)
    y = x * 2
    getattr(y, name)(w)
    y.sum().backward()
    wanted = ([8.0, 16.0], [2.0, 4.0]) if name == "mul_" else ([0.5, 0.25], [-0.125, -0.0625])
    assert (x.grad.tolist(), w.grad.tolist()) == wanted


def test_in_place_function_keeps_its_argument():
    x = helix.tensor([0.5, 1.0], dtype=helix.float64, requires_grad=True)
    y = x * 2
    y.sin_()
    y.sum().backward()
    assert all(abs(g - 2 * math.cos(2 * v)) < 1e-15 for g, v in zip(x.grad.tolist(), (0.5, 1.0), strict=True))
