"""What the door makes it gives back: objects, references and core tensors stay level over many calls."""

import contextlib
import copy
import gc
import pickle
import sys
import weakref

import numpy as np
import pytest

import helix

X = helix.ones(3, 4)
W = helix.ones(4, requires_grad=True)
I = helix.tensor([0, 1])


class Double(helix.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * 2


def hooked(hook):
    with W.register_hook(hook):
        (W * 2).sum().backward()


def failing(g):
    raise KeyError


CALLS = {
    "operators": lambda: (X + 1, 2.5 * X, X * X, -X, X > 0, X @ X.T),
    "views": lambda: (X[0], X[1:], X[:, None], X[..., 1], X.T, X.view(4, 3), X.reshape(2, 6)),
    "gathers": lambda: (X[I], X[[0, 1]], X[X > 0], X[0, I]),
    "writes": lambda: (X.__setitem__(0, 5), X.__setitem__(I, 2), X.add_(1), X.__setitem__(slice(1), [1, 2, 3, 4])),
    "functions": lambda: (
        X.sum(0),
        X.sum(axis=1, keepdims=True),
        X.max(0),
        helix.cat([X, X]),
        helix.zeros(2, 3, dtype="float64"),
    ),
    "numpy": lambda: (X.numpy(), helix.from_numpy(np.ones(3)), np.asarray(X), helix.tensor(np.ones(2)), memoryview(X)),
    "dlpack": lambda: (
        np.from_dlpack(X),
        helix.from_dlpack(np.ones(2)),
        X.__dlpack__(),
        X.__dlpack__(max_version=(1, 0)),
    ),
    "lists": lambda: (X.tolist(), helix.tensor([[1, 2], [3, 4.5]]), list(X), X[0, 0].item()),
    "copies": lambda: (copy.deepcopy(X), copy.copy(X), pickle.loads(pickle.dumps(X)), X.to(helix.float64), X.detach()),
    "backward": lambda: ((W * W).sum().backward(), helix.autograd.grad((W * 2).sum(), W), (W * W).grad_fn),
    "custom": lambda: Double.apply(W).sum().backward(),
    "hooks": lambda: (hooked(lambda g: g), hooked(lambda g: g * 2), hooked(lambda g: None)),
    "failing hook": lambda: hooked(failing),
    "random": lambda: (helix.rand(2, generator=helix.Generator(1)), helix.randn(3)),
    "bad shapes": lambda: X + helix.ones(5),
    "bad keyword": lambda: helix.zeros(2, foo=1),
    "bad index": lambda: X[9],
    "missing argument": lambda: helix.add(X),
    "bad list": lambda: helix.cat([X, 1, "a"]),
    "ragged": lambda: helix.tensor([[1], [1, 2]]),
    "bad buffer": lambda: helix.from_numpy(np.zeros(3, "M8[s]")),
    "spent capsule": lambda: [helix.from_dlpack(c) for c in [X.__dlpack__()] * 2],
}


@pytest.mark.parametrize("name", CALLS)
def test_nothing_piles_up(name):
    def call():
        with contextlib.suppress(helix.errors.HelixError, KeyError):
            CALLS[name]()
        W.grad = None

    def level():
        gc.collect()
        return (
            helix.memory_stats()["live_tensors"],
            helix.memory_stats()["live_nodes"],
            helix.memory_stats()["live_bytes"],
            [sys.getrefcount(o) for o in (X, W, I, helix.float32, helix.Tensor)],
        )

    for _ in range(5):
        call()
    before = level()
    for _ in range(200):
        call()
    assert level() == before


@pytest.mark.parametrize("make", [
    lambda x: x,
    lambda x: x * 2,
    helix.nn.Parameter,
    lambda x: (x * 2)[0],
], ids=["leaf", "result", "parameter", "view"])  # fmt: skip
def test_a_hook_that_holds_its_tensor_is_collected(make):
    y = make(helix.ones(3).requires_grad_())
    gone = weakref.ref(y)
    y.register_hook(lambda g, y=y: g * y.detach())
    del y
    gc.collect()
    assert gone() is None


def test_a_hook_lives_while_the_graph_lives():
    """The graph of z holds y's hook: a collection must not take it, though Python sees a cycle of y and its hook alone."""
    seen = []
    x = helix.ones(3).requires_grad_()
    y = x * 2
    y.register_hook(lambda g, y=y: seen.append(g))
    leaf = helix.ones(3).requires_grad_()
    leaf.register_hook(lambda g, leaf=leaf: seen.append(g))
    z = (y * 3 + leaf).sum()
    del y, leaf
    gc.collect()
    z.backward()
    assert len(seen) == 2


def test_tensors_without_hooks_are_no_business_of_the_collector():
    x = helix.ones(3).requires_grad_()
    assert not gc.is_tracked(x) and not gc.is_tracked(x * 2)
    x.register_hook(lambda g: None)
    assert gc.is_tracked(x)
