"""Products of groups: the kernels against NumPy and against their parts, gradients, and what is refused."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest

import helix
from helix import _core, nn
from helix.autograd import gradcheck, gradgradcheck
from helix.nn import functional as F

grouped_linear = _core.op_named("grouped_linear")
ENDS = [2, 2, 5, 6]
GROUPS = len(ENDS)


def ends_of(dtype=helix.int64):
    return helix.tensor(ENDS, dtype=dtype)


def weights_of(n, k, dtype=helix.float64):
    return [helix.randn(n, k, dtype=dtype, requires_grad=True) for _ in ENDS]


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
@pytest.mark.parametrize("whole", [True, False])
def test_linear_in_groups_is_numpy(dtype, whole):
    kind = getattr(helix, dtype)
    x = helix.randn(7, 10, dtype=kind) if whole else helix.randn(10, 7, dtype=kind).t()
    weights = [w.detach() for w in weights_of(3, 10, kind)]
    found = grouped_linear(x, ends_of(helix.int32), weights)
    wanted = np.zeros((7, 3))
    for (i, j), w in zip(itertools.pairwise([0, *ENDS]), weights, strict=True):
        wanted[i:j] = x[i:j].double().numpy() @ w.double().numpy().T
    room = {"float64": 1e-12, "float32": 1e-5, "bfloat16": 3e-2, "float16": 4e-3}[dtype]
    assert found.dtype == kind and np.abs(found.double().numpy() - wanted).max() <= room * np.abs(wanted).max()


@pytest.mark.parametrize("inner", [True, False])
def test_on_a_device_that_has_the_parts_alone(inner):
    a = helix.randn(6, 7) if inner else helix.randn(7, 6)
    b = helix.randn(7, 5) if inner else helix.randn(GROUPS, 6, 5)
    there = F.grouped_mm(a.to("sim"), b.to("sim"), offs=ends_of().to("sim"))
    np.testing.assert_allclose(there.cpu().numpy(), F.grouped_mm(a, b, offs=ends_of()).numpy(), 1e-5, 1e-5)


def test_what_is_not_of_a_group_does_not_reach_it():
    """A NaN in one group's rows, or matrix, stays there, in the kernel and in the parts."""
    a, b = helix.ones(7, 3), helix.ones(GROUPS, 3, 2)
    a[5], b[0] = float("nan"), float("inf")
    for device in ("cpu", "sim"):
        found = F.grouped_mm(a.to(device), b.to(device), offs=ends_of().to(device)).cpu()
        assert found.isnan().any(1).tolist() == [False] * 5 + [True, False], device
        assert found[:2].isinf().all() and (found[2:5] == 3).all() and (found[6] == 0).all()


@pytest.mark.parametrize("shapes", [((7, 3), (GROUPS, 3, 2)), ((3, 7), (7, 2))])
def test_gradients_of_products_in_groups(shapes):
    a, b = (helix.randn(*shape, dtype=helix.float64, requires_grad=True) for shape in shapes)
    assert gradcheck(lambda a, b: F.grouped_mm(a, b, offs=ends_of()), (a, b))
    assert gradgradcheck(lambda a, b: F.grouped_mm(a, b, offs=ends_of()), (a, b))


def test_gradients_of_linear_in_groups():
    x, weights = helix.randn(7, 3, dtype=helix.float64, requires_grad=True), weights_of(2, 3)
    assert gradcheck(lambda x, *w: grouped_linear(x, ends_of(), list(w)), (x, *weights))
    assert gradgradcheck(lambda x, *w: grouped_linear(x, ends_of(), list(w)), (x, *weights))


def test_gradients_of_weights_are_their_own():
    """One product gives the gradients of all weights; each is a tensor that can be written without the others."""
    x, weights = helix.randn(7, 3), weights_of(2, 3, helix.float32)
    grouped_linear(x, ends_of(), weights).sum().backward()
    first = [w.grad.numpy().copy() for w in weights]
    weights[0].grad.fill_(7.0)
    assert all((w.grad.numpy() == g).all() for w, g in zip(weights[1:], first[1:], strict=True))
    grouped_linear(x, ends_of(), weights).sum().backward()
    np.testing.assert_allclose(weights[2].grad.numpy(), 2 * first[2], 1e-6)
    np.testing.assert_allclose(weights[0].grad.numpy(), 7 + first[0], 1e-6)


def test_a_write_to_one_gradient_is_none_to_another():
    """What was saved of one gradient still stands where another was written."""
    weights, x = weights_of(2, 3, helix.float32), helix.ones(2, 3, requires_grad=True)
    grouped_linear(helix.randn(7, 3), ends_of(), weights).sum().backward()
    product = (x * weights[1].grad).sum()
    weights[2].grad.zero_()
    product.backward()
    assert (x.grad == weights[1].grad).all()


def test_sums_that_overlap_are_not_shared():
    a, b = (helix.zeros(3, requires_grad=True) for _ in range(2))
    both = helix.arange(4.0)
    helix.autograd.backward([a, b], [both[:3], both[1:]])
    a.grad.fill_(9.0)
    assert b.grad.tolist() == [1.0, 2.0, 3.0] and both.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_any_of_many_saved_weights_that_was_changed_is_found():
    count = 40
    x = helix.randn(count, 3, requires_grad=True)
    for changed in (0, 30, 35, 39):
        weights = [helix.randn(2, 3, requires_grad=True) for _ in range(count)]
        y = grouped_linear(x, helix.arange(1, count + 1), weights)
        with helix.no_grad():
            weights[changed].add_(1)
        with pytest.raises(helix.errors.GradientError, match="HX1501"):
            y.sum().backward()


@pytest.mark.parametrize(("ends", "text"), [
    ([1, 0, 2, 3], "got 0 after 1"), ([1, 2, 3, 8], "end at 7 at most, got 8"), ([-1, 2, 3, 4], "got -1")])  # fmt: skip
def test_ends_that_fall_or_lie_beyond_are_refused(ends, text):
    with pytest.raises(helix.errors.ParameterError, match=text):
        F.grouped_mm(helix.ones(7, 3), helix.ones(GROUPS, 3, 2), offs=helix.tensor(ends))
    with pytest.raises(helix.errors.ParameterError, match=text):
        grouped_linear(helix.ones(7, 3), helix.tensor(ends), [helix.ones(2, 3)] * GROUPS)


def test_what_does_not_fit_is_refused():
    x, ends, weights = helix.ones(7, 3), ends_of(), [helix.ones(2, 3)] * GROUPS
    for given, text in (
        ((x, ends, weights[1:]), "ends has 4 numbers, and there are 3 weights"),
        ((x, ends, [*weights[1:], helix.ones(2, 4)]), r"weight 3 has shape \(2, 4\), input of \(7, 3\) needs \(2, 3\)"),
        ((x[0], ends, weights), "input"),
    ):
        with pytest.raises(helix.errors.ShapeError, match=text):
            grouped_linear(*given)
    with pytest.raises(helix.errors.ShapeError, match="ends has 4 numbers, b has 3 groups"):
        F.grouped_mm(x, helix.ones(3, 3, 2), offs=ends)
    with pytest.raises(helix.errors.DTypeError, match="ends"):
        grouped_linear(x, ends.float(), weights)


@pytest.mark.parametrize("policy", ["drop", "pad"])
def test_a_mixture_with_capacities_in_a_graph(policy):
    """No shape depends on values: one graph serves all routings, and gives eager's numbers and gradients."""
    helix.manual_seed(0)
    layer = nn.MixtureOfExperts(4, 6, 3, capacity_factor=0.7, policy=policy)
    eager = copy.deepcopy(layer)
    compiled = helix.compile(layer, fallback="error")
    for _ in range(3):
        x = helix.randn(9, 4, requires_grad=True)
        own = x.detach().requires_grad_()
        found, wanted = compiled(x), eager(own)
        assert (found == wanted).all()
        found.square().sum().backward()
        wanted.square().sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), own.grad.numpy(), 1e-6, 1e-7)
    assert compiled.compiled == 1
    for a, b in zip(layer.parameters(), eager.parameters(), strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), 1e-5, 1e-6)
