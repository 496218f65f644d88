"""What autograd sees of a compiled function is what it sees of the function: each story is told by both, with the same end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import helix
from helix.errors import HelixError

WEIGHT = [[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]]
Function = Callable[..., Any]
Story = Callable[[Function, helix.Tensor, helix.Tensor], Any]


def two(weight: helix.Tensor) -> Function:
    """A function of two results; the second needs no argument's values for its gradient, and is kept for that of the first."""

    def function(x: helix.Tensor) -> tuple[helix.Tensor, helix.Tensor]:
        y = (x + weight).exp()
        return (y * x).sum(), y

    return function


def grad(*args: Any, **kwargs: Any) -> list[Any]:
    return [None if g is None else g.tolist() for g in helix.autograd.grad(*args, **kwargs)]


def left(*leaves: helix.Tensor) -> list[Any]:
    return [None if leaf.grad is None else leaf.grad.tolist() for leaf in leaves]


STORIES: dict[str, Story] = {}


def story(told: Story) -> Story:
    STORIES[told.__name__] = told
    return told


@story
def each_result_alone(f: Function, x: helix.Tensor, w: helix.Tensor) -> Any:
    found = [grad(f(x)[0], [x, w]), grad(f(x)[1].sum(), [x, w])]
    loss, y = f(x)
    return [*found, grad([loss, y], [x, w], [helix.tensor(2.0), helix.ones(2, 3)])]


@story
def some_inputs_alone(f: Function, x: helix.Tensor, w: helix.Tensor) -> Any:
    found = [grad(f(x)[0], [x]), grad(f(x)[0], [w]), grad(f(x)[1].sum(), w)]
    f(x)[0].backward(inputs=[w])
    return found, left(x, w)


@story
def gradients_add_up(f: Function, x: helix.Tensor, w: helix.Tensor) -> Any:
    f(x)[0].backward()
    held = w.grad
    f(x)[1].sum().backward()
    return left(x, w), held is w.grad


@story
def backward_twice(f: Function, x: helix.Tensor, w: helix.Tensor) -> Any:
    loss = f(x)[0]
    loss.backward(retain_graph=True)
    loss.backward()
    return left(x, w), failure(loss.backward)


@story
def gradients_that_lie_otherwise(f: Function, x: helix.Tensor, w: helix.Tensor) -> Any:
    turned = [helix.arange(6.0).reshape(3, 2).t(), helix.ones(1, 1).expand(2, 3), helix.arange(12.0)[::2].reshape(2, 3)]
    return [grad(f(x)[1], [x, w], gradient) for gradient in [*turned, *turned]]


@story
def arguments_that_lie_otherwise(f: Function, x: helix.Tensor, w: helix.Tensor) -> Any:
    turned = helix.tensor(WEIGHT).t().contiguous().t().requires_grad_()
    return [grad(f(a)[0], [a, w]) for a in (x, turned, x, turned)]


@story
def an_argument_has_a_history(f: Function, x: helix.Tensor, w: helix.Tensor) -> Any:
    middle = x * 2
    middle.retain_grad()
    f(middle)[0].backward()
    return left(x, w, middle)


@story
def hooks_see_gradients(f: Function, x: helix.Tensor, w: helix.Tensor) -> Any:
    seen: list[Any] = []
    y = f(x)[1]
    y.register_hook(lambda g: g * 3)
    w.register_hook(lambda g: seen.append(g.tolist()))
    y.sum().backward()
    return left(x, w), seen


@story
def saved_tensors_go_through_hooks(f: Function, x: helix.Tensor, w: helix.Tensor) -> Any:
    with helix.autograd.saved_tensors_hooks(lambda t: t.numpy().copy(), helix.from_numpy):
        loss, y = f(x * 1)
    y.detach().zero_()  # what hooks took does not change
    loss.backward()
    return left(x, w)


@story
def second_gradients(f: Function, x: helix.Tensor, w: helix.Tensor) -> Any:
    (g,) = helix.autograd.grad(f(x)[0], x, create_graph=True)
    return grad((g * g).sum(), [x, w])


@story
def a_result_is_written(f: Function, x: helix.Tensor, w: helix.Tensor) -> Any:
    loss, y = f(x)
    y.add_(1)
    return failure(loss.backward)


@story
def a_parameter_is_written(f: Function, x: helix.Tensor, w: helix.Tensor) -> Any:
    helix.manual_seed(0)
    loss = f(x)[0]
    with helix.no_grad():
        w.add_(1)  # its values are not needed
    loss.backward()
    return left(x, w)


@story
def an_argument_is_written(f: Function, x: helix.Tensor, w: helix.Tensor) -> Any:
    free, bound = f(x)[1].sum(), f(x)[0]
    with helix.no_grad():
        x.add_(1)
    free.backward()
    return left(x, w), failure(bound.backward)


@story
def tensors_of_inference(f: Function, x: helix.Tensor, w: helix.Tensor) -> Any:
    with helix.inference_mode():
        made = x + 1
    return failure(lambda: f(made))


@story
def anomalies_are_told(f: Function, x: helix.Tensor, w: helix.Tensor) -> Any:
    with helix.autograd.detect_anomaly():
        return failure(lambda: f(x)[1].backward(helix.full((2, 3), float("nan"))))


@story
def nobody_is_left(f: Function, x: helix.Tensor, w: helix.Tensor) -> Any:
    """Results, and what was kept, go with the last of them, whether there was a backward or not."""
    counts = []
    for run in range(4):
        loss, y = f(x)
        if run % 2:
            grad(loss, x)
        del loss, y
        counts.append(helix._core.memory_stats()["live_nodes"])
    return len(set(counts)) == 1


def failure(run: Callable[[], Any]) -> str | None:
    """The number of the error."""
    try:
        run()
    except HelixError as error:
        return error.code
    return None


@pytest.mark.parametrize("name", STORIES)
def test_a_compiled_function_is_differentiated_as_the_function_is(name: str) -> None:
    ends = []
    for compiled in (False, True):
        x, w = helix.tensor(WEIGHT, requires_grad=True), helix.tensor(WEIGHT, requires_grad=True)
        function = two(w)
        if compiled:
            function = helix.compile(function, fallback="error")
            for _ in range(2):  # that plans stand
                helix.autograd.grad(function(x)[0], [x, w])
        ends.append(STORIES[name](function, x, w))
    assert close(ends[0], ends[1]), ends


def close(a: Any, b: Any) -> bool:
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(close(p, q) for p, q in zip(a, b, strict=True))
    return abs(a - b) <= 1e-5 * max(1, abs(a)) if isinstance(a, float) else a == b
