"""Gradients against central differences in float64, first and second order, through views of the inputs too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import helix
from helix.autograd import grad, gradcheck

from .cases import each_sample
from .sample import Sample
from .values import (
    as_list,
    convert,
    differentiable,
    draw,
    dtype_name,
    function_of,
    is_complex,
    is_floating,
    map_tensors,
    resized,
    seed_of,
    tensors_of,
    to_helix,
)

Tensor = helix.Tensor
Function = Callable[..., tuple[Tensor, ...]]
EPS, RTOL, ATOL = 1e-6, 1e-3, 1e-5


# ---- the same values through different memory --------------------------------------------------------------------


def _plain(v: np.ndarray) -> tuple[np.ndarray, Callable[[Tensor], Tensor]]:
    return v, lambda x: x


def _transposed(v: np.ndarray) -> tuple[np.ndarray, Callable[[Tensor], Tensor]]:
    return (np.swapaxes(v, 0, -1), lambda x: x.transpose(0, -1)) if v.ndim > 1 else _plain(v)


def _strided(v: np.ndarray) -> tuple[np.ndarray, Callable[[Tensor], Tensor]]:
    if v.ndim == 0:
        return _plain(v)
    return np.repeat(v, 2, axis=-1), lambda x: x[..., ::2]


def _stretched(v: np.ndarray) -> tuple[np.ndarray, Callable[[Tensor], Tensor]]:
    return (v[:1], lambda x: x.expand(v.shape)) if v.ndim and v.shape[0] else _plain(v)


FORMS = {"contiguous": _plain, "transposed": _transposed, "strided": _strided, "broadcast": _stretched}


# ---- a sample as a function of its differentiable tensors ------------------------------------------------------


def _taken(spec: Any) -> bool:
    return spec.grad and (spec.dtype is None or differentiable(spec.dtype))


def as_function(
    sample: Sample, form: str = "contiguous", dtype: str = "float64", args: tuple[Any, ...] | None = None
) -> tuple[Function, list[Tensor]]:
    """`f(*leaves)` computes the sample's differentiable outputs from leaves that lie in memory as `form` says."""
    args = sample.args if args is None else args
    rng = np.random.default_rng(seed_of(sample))
    specs = list(tensors_of(args))
    arrays = [draw(spec, dtype, rng) for spec in specs]
    shaped = [FORMS[form](v) if _taken(spec) else (v, None) for spec, v in zip(specs, arrays, strict=True)]
    starts = [to_helix(v, requires_grad=True) for v, view in shaped if view]

    def f(*given: Tensor) -> tuple[Tensor, ...]:
        left = iter(given)
        tensors = iter([view(next(left)) if view else to_helix(v) for v, view in shaped])
        kwargs = {k: convert(v, to_helix, helix) for k, v in sample.kwargs.items()}
        helix.manual_seed(seed_of(sample))
        results = function_of(sample.op)(
            *convert(map_tensors(args, lambda _: next(tensors)), to_helix, helix), **kwargs
        )
        return tuple(r for r in as_list(results) if differentiable(dtype_name(r)) and r.requires_grad)

    return f, starts


def check_gradient(f: Function, leaves: Sequence[Tensor]) -> None:
    assert gradcheck(f, tuple(leaves), eps=EPS, rtol=RTOL, atol=ATOL)


def check_second_order(f: Function, leaves: Sequence[Tensor]) -> None:
    """The gradient, as a function of inputs and incoming gradients, has the right gradient."""
    outputs = f(*leaves)
    rng = np.random.default_rng(1)

    def incoming(out: Tensor) -> np.ndarray:
        values = rng.uniform(-1, 1, tuple(out.shape))
        return values + 1j * rng.uniform(-1, 1, tuple(out.shape)) if is_complex(dtype_name(out)) else values

    directions = [to_helix(np.asarray(incoming(out)), requires_grad=True) for out in outputs]

    def gradient(*given: Tensor) -> tuple[Tensor, ...]:
        inputs, weights = given[: len(leaves)], given[len(leaves) :]
        found = grad(f(*inputs), inputs, weights, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None and g.requires_grad)

    if gradient(*leaves, *directions):
        check_gradient(gradient, (*leaves, *directions))


def has_ties_when_stretched(sample: Sample) -> bool:
    return any(t.distinct for t in tensors_of(sample.args))


# ---- tests -----------------------------------------------------------------------------------------------------


def is_differentiable(sample: Sample) -> bool:
    return sample.grad and any(map(is_floating, sample.dtypes)) and any(_taken(t) for t in tensors_of(sample.args))


with_gradient = each_sample(is_differentiable)


@with_gradient
def test_first_order(sample: Sample) -> None:
    for form in FORMS if sample.layouts else ["contiguous"]:
        if form == "broadcast" and has_ties_when_stretched(sample):
            continue
        f, leaves = as_function(sample, form)
        assert f(*leaves), f"{sample.op}: no output requires grad"
        check_gradient(f, leaves)


@each_sample(lambda s: s.grad and any(is_complex(d) for d in s.dtypes))
def test_complex(sample: Sample) -> None:
    f, leaves = as_function(sample, dtype="complex128")
    if f(*leaves):
        check_gradient(f, leaves)


@each_sample(lambda s: s.second and is_differentiable(s))
def test_second_order(sample: Sample) -> None:
    f, leaves = as_function(sample)
    check_second_order(f, leaves)


@each_sample(lambda s: s.layouts and is_differentiable(s))
def test_empty_and_zero_dimensional(sample: Sample) -> None:
    """Where the op takes such inputs, gradients have the inputs' shapes (and of one element, the right value)."""
    for axis, size in [(0, 0), (1, 0), (0, None)]:
        args = resized(sample, axis, size)
        if args is None:
            continue
        try:
            f, leaves = as_function(sample, args=args)
            outputs = f(*leaves)
        except helix.errors.HelixError:
            continue
        if size is None and not has_ties_when_stretched(sample):
            check_gradient(f, leaves)
            outputs = f(*leaves)
        for out in outputs:
            found = grad(out, leaves, helix.ones_like(out), retain_graph=True, allow_unused=True)
            assert all(g is None or g.shape == x.shape for g, x in zip(found, leaves, strict=True))


# ---- the check itself ------------------------------------------------------------------------------------------


class WrongSign(helix.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return -2 * x * g


class RightOnceOnly(helix.autograd.Function):
    """A right gradient that hides from differentiation that it depends on x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 3 * (x * x).detach() * g


def _leaf() -> Tensor:
    return to_helix(np.array([0.5, -1.25, 2.0]), requires_grad=True)


def test_a_wrong_sign_is_seen() -> None:
    with pytest.raises(Exception, match=r"(?i)gradient|jacobian|differ"):
        check_gradient(lambda x: (WrongSign.apply(x),), [_leaf()])


def test_a_wrong_second_order_is_seen() -> None:
    check_gradient(lambda x: (RightOnceOnly.apply(x),), [_leaf()])
    with pytest.raises(Exception, match=r"(?i)gradient|jacobian|differ"):
        check_second_order(lambda x: (RightOnceOnly.apply(x),), [_leaf()])
