"""No operand's gradient is lost in silence: each floating tensor gets one, or is refused, or stands below with the reason."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

import helix
from helix.autograd import grad

from .cases import each_sample, named
from .records import PUBLIC, has
from .sample import Sample, T
from .values import as_list, convert, differentiable, draw, function_of, map_tensors, seed_of, tensors_of, to_helix

# By op, the operands that a result does not depend on smoothly, so that nothing requires grad because of them.
ONLY_COMPARED = "a sign, which is only compared"
ONLY_SHAPE = "only its shape is read"
WITHOUT: dict[str, tuple[int, str]] = {
    "hinge_embedding_loss": (1, ONLY_COMPARED),
    "cosine_embedding_loss": (2, ONLY_COMPARED),
    "view_as": (1, ONLY_SHAPE),
    "reshape_as": (1, ONLY_SHAPE),
    "expand_as": (1, ONLY_SHAPE),
}

# Tensor parameters that no sample gives as a tensor of floating numbers of its own.
INTEGERS = frozenset(["indices", "offsets", "targets", "target", "input_lengths", "target_lengths", "repeats"])
UNSAMPLED = {
    ("embedding_bag", "input"): "integers",
    ("scaled_dot_product_attention", "distance_bias"): "gradients in test_attention_distances.py",
}


def dtype_of(sample: Sample) -> str:
    return next((d for d in ("float64", "complex128") if d in sample.dtypes), sample.dtypes[0])


def floating_operands(sample: Sample) -> list[int]:
    return [i for i, t in enumerate(tensors_of(sample.args)) if differentiable(t.dtype or dtype_of(sample))]


def call_with_one(sample: Sample, chosen: int) -> tuple[helix.Tensor, list[helix.Tensor]]:
    """The operand that requires grad, and the results."""
    rng = np.random.default_rng(seed_of(sample))
    made = [
        to_helix(draw(t, dtype_of(sample), rng), requires_grad=i == chosen)
        for i, t in enumerate(tensors_of(sample.args))
    ]
    given = iter(made)
    args = convert(map_tensors(sample.args, lambda _: next(given)), to_helix, helix)
    kwargs = {k: convert(v, to_helix, helix) for k, v in sample.kwargs.items()}
    results = as_list(function_of(sample.op)(*args, **kwargs))
    return made[chosen], [r for r in results if isinstance(r, helix.Tensor)]


def lost(sample: Sample, chosen: int) -> str | None:
    """What is wrong with the gradient of one operand."""
    try:
        operand, results = call_with_one(sample, chosen)
        moving = [r for r in results if r.requires_grad]
        found = grad(moving, operand, [helix.ones_like(r) for r in moving], allow_unused=True) if moving else None
    except helix.errors.GradientError:
        return None
    if moving:
        return None if found and found[0] is not None else "the result requires grad, and backward gives none"
    smooth = any(r.is_floating_point() or r.is_complex() for r in results)
    excused = has(sample.op, "non_diff") or WITHOUT.get(sample.op, (-1, ""))[0] == chosen
    return "no result requires grad" if smooth and not excused else None


@each_sample(lambda s: bool(floating_operands(s)))
def test_each_floating_operand_has_a_gradient_or_is_refused(sample: Sample) -> None:
    faults = {i: lost(sample, i) for i in floating_operands(sample)}
    assert not any(faults.values()), faults


def test_what_stands_apart_is_so() -> None:
    for op, (operand, _) in WITHOUT.items():
        for sample in (s for _, s in named() if s.op == op):
            assert not any(r.requires_grad for r in call_with_one(sample, operand)[1]), op


def given_tensors() -> dict[str, set[str]]:
    """By op, the parameters that some sample gives as tensors."""
    found: dict[str, set[str]] = defaultdict(set)
    for _, sample in named():
        names = [p["name"] for p in PUBLIC[sample.op]["params"]] if sample.op in PUBLIC else []
        found[sample.op] |= {n for n, a in zip(names, sample.args, strict=False) if any(tensors_of(a))}
    return found


def test_every_tensor_parameter_has_a_sample() -> None:
    given = given_tensors()
    missing = [
        (op, p["name"])
        for op in given
        if op in PUBLIC and not has(op, "grad_error")
        for p in PUBLIC[op]["params"]
        if "Tensor" in p["kind"] and p["name"] not in given[op] | INTEGERS and (op, p["name"]) not in UNSAMPLED
    ]
    assert not missing


def test_a_class_weight_that_requires_grad_is_refused() -> None:
    scores, classes = helix.zeros(2, 3, requires_grad=True), helix.tensor([0, 1])
    weight = helix.ones(3, requires_grad=True)
    for loss in (helix.nn.functional.nll_loss, helix.nn.functional.cross_entropy):
        with pytest.raises(helix.errors.GradientError, match="weight") as failed:
            loss(scores, classes, weight)
        assert failed.value.argument == "weight"
        with helix.no_grad():
            assert loss(scores, classes, weight).item() == loss(scores, classes, weight.detach()).item()
    with pytest.raises(helix.errors.GradientError, match="weight"):
        helix.nn.NLLLoss(weight)(scores, classes)


def test_the_loss_is_seen(monkeypatch: Any) -> None:
    """A function that forgets the gradient of its second operand."""

    class Forgets(helix.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: helix.Tensor, y: helix.Tensor) -> helix.Tensor:
            return x * y

        @staticmethod
        def backward(ctx: Any, g: helix.Tensor) -> tuple[helix.Tensor, None]:
            return g, None

    monkeypatch.setitem(lost.__globals__, "function_of", lambda op: Forgets.apply)
    sample = Sample("mul", (T((2,)), T((2,))))
    assert lost(sample, 0) is None and lost(sample, 1) is not None
