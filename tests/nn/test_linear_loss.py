"""LinearCrossEntropyLoss and its function: torch's values and gradients, whole and in pieces, in little memory."""

from __future__ import annotations

import math

import pytest
import torch

import helix as hx
from helix import nn
from helix.errors import ArgumentError, ParameterError, ShapeError
from helix.nn.functions import linearloss

from .compare import assert_close, copy_weights, to_helix

PROBABILITIES = torch.randn(7, 5, generator=torch.Generator().manual_seed(1)).softmax(1)
INDICES = torch.tensor([0, 4, 1, -100, 2, 3, 1])

CASES = [
    ({}, INDICES),
    ({"bias": True, "weight": torch.rand(5) + 0.1, "label_smoothing": 0.2}, INDICES),
    ({"ignore_index": 1, "weight": torch.rand(5) + 0.1}, INDICES.clamp(min=0)),
    ({"bias": True, "weight": torch.rand(5) + 0.1}, PROBABILITIES),
    ({"out_features": (2, 3), "bias": True, "label_smoothing": 0.1}, INDICES.reshape(7, 1, 1).expand(7, 2, 3)),
    ({"out_features": (2,)}, PROBABILITIES.unsqueeze(-1).expand(7, 5, 2)),
    ({"bias": True}, torch.full((7,), -100)),
]


def in_pieces(monkeypatch) -> None:
    monkeypatch.setattr(linearloss, "ROWS", 3)
    monkeypatch.setattr(linearloss, "WHOLE", 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("keywords", "target"), CASES)
@pytest.mark.parametrize("pieces", [False, True])
def test_beside_torch(keywords, target, reduction, dtype, pieces, monkeypatch):
    if pieces:
        in_pieces(monkeypatch)
    torch.manual_seed(0)
    bound = 1e-5 if dtype == torch.float32 else 1e-9
    keywords = {k: v.to(dtype) if isinstance(v, torch.Tensor) else v for k, v in keywords.items()}
    target = target.to(dtype) if target.is_floating_point() else target
    theirs = torch.nn.LinearCrossEntropyLoss(4, 5, reduction=reduction, dtype=dtype, **keywords)
    mine = nn.LinearCrossEntropyLoss(
        4, 5, reduction=reduction, dtype=hx.float32 if dtype == torch.float32 else hx.float64,
        **{k: to_helix(v) if isinstance(v, torch.Tensor) else v for k, v in keywords.items()},
    )  # fmt: skip
    copy_weights(mine, theirs)
    x = torch.randn(7, 4, dtype=dtype, requires_grad=True)
    y = to_helix(x).requires_grad_()
    expected, result = theirs(x, target), mine(y, to_helix(target))
    assert_close(result, expected, bound, bound)
    g = torch.randn_like(expected)
    expected.backward(g)
    result.backward(to_helix(g))
    assert_close(y.grad, x.grad, bound, bound)
    for (name, parameter), other in zip(mine.named_parameters(), theirs.parameters(), strict=True):
        assert_close(parameter.grad, other.grad, bound, bound, name)


@pytest.mark.parametrize("kind", ["indices", "smooth", "probabilities", "images"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_gradients_and_their_gradients(reduction, kind, monkeypatch):
    in_pieces(monkeypatch)
    target = hx.tensor([0, 4, 1, -100, 2])
    keywords = {"reduction": reduction}
    if kind == "probabilities":
        target = hx.rand(5, 5, dtype=hx.float64).softmax(1)
    if kind in ("smooth", "probabilities"):
        keywords |= {"label_smoothing": 0.3, "weight": hx.rand(5, dtype=hx.float64) + 0.5}
    more = (2,) if kind == "images" else ()
    if more:
        target = hx.stack([target, target.flip(0)], 1)
    x, w, b = (hx.randn(*shape, dtype=hx.float64, requires_grad=True) for shape in ((5, 3), (5, *more, 3), (5, *more)))

    def loss(x, w, b):
        return nn.functional.linear_cross_entropy(x, w, target, linear_bias=b, **keywords)

    assert hx.autograd.gradcheck(loss, (x, w, b))
    assert hx.autograd.gradgradcheck(loss, (x, w, b))
    some = hx.autograd.grad(loss(x.detach(), w.detach(), b).sum(), b)[0]
    assert_close(hx.autograd.grad(loss(x, w, b).sum(), (w, b))[1], some, 1e-12, 1e-12)


def test_unbatched_and_a_target_that_is_trained(monkeypatch):
    in_pieces(monkeypatch)
    loss = nn.LinearCrossEntropyLoss(4, 5)
    assert loss(hx.ones(4), hx.tensor(2)).shape == ()
    target = to_helix(PROBABILITIES).requires_grad_()
    loss(hx.ones(7, 4), target).backward()
    assert target.grad is not None


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "autocast"])
def test_half_types(kind, monkeypatch):
    """In pieces as at once, up to the rounding of one logit."""
    x, w = hx.randn(40, 8), hx.randn(30, 8)
    target = hx.arange(40) % 30
    found = []
    for pieces in (False, True):
        if pieces:
            in_pieces(monkeypatch)
        dtype = hx.float32 if kind == "autocast" else getattr(hx, kind)
        given = [t.to(dtype).requires_grad_() for t in (x, w)]
        with hx.autocast("cpu", dtype=hx.bfloat16, enabled=kind == "autocast"):
            loss = nn.functional.linear_cross_entropy(given[0], given[1], target)
        loss.backward()
        assert given[1].grad is not None and given[1].grad.dtype == dtype
        found.append([t.to(hx.float32) for t in (loss, given[0].grad, given[1].grad)])
    for one, other in zip(*found, strict=True):
        assert_close(one, other, 0.05, 0.01)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_sums_of_half_types_are_held_in_float32(reduction):
    """70,000 rows of one class: more than float16 holds before it is divided, and beyond what bfloat16 counts."""
    rows = 70_000
    for dtype, bound in ((hx.float16, 1e-3), (hx.bfloat16, 1e-2)):
        x, target = hx.full((rows, 1), 0.5, dtype=dtype), hx.zeros(rows, dtype=hx.int64)
        w, b = hx.zeros(100, 1, dtype=dtype, requires_grad=True), hx.zeros(100, dtype=dtype, requires_grad=True)
        loss = nn.functional.linear_cross_entropy(x, w, target, linear_bias=b, reduction=reduction)
        loss.backward(hx.ones_like(loss) / (1 if reduction == "mean" else 4096))
        scale = 1 if reduction == "mean" else rows / 4096
        assert w.grad is not None and b.grad is not None
        assert b.grad[0].item() == pytest.approx(-0.99 * scale, rel=bound)
        assert w.grad[0, 0].item() == pytest.approx(-0.495 * scale, rel=bound)
        assert b.grad[1].item() == pytest.approx(0.01 * scale, rel=bound)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("on", [False, True], ids=["", "autocast"])
def test_dtypes_do_not_depend_on_the_pieces(on, reduction, monkeypatch):
    """Those of a loss of short activations and wide weights, the other way round, and of float64."""
    target, found = hx.tensor([0, 4, 1, -100, 2, 3]), []
    for pieces in (False, True):
        if pieces:
            in_pieces(monkeypatch)
        hx.manual_seed(0)
        for kinds in (
            ("bfloat16", "float32"),
            ("float32", "bfloat16"),
            ("bfloat16", "bfloat16"),
            ("float32", "float64"),
        ):
            x, w = (
                hx.randn(*s).to(getattr(hx, k)).requires_grad_() for s, k in zip(((6, 4), (5, 4)), kinds, strict=True)
            )
            with hx.autocast("cpu", dtype=hx.bfloat16, enabled=on):
                loss = nn.functional.linear_cross_entropy(x, w, target, reduction=reduction)
            loss.sum().backward()
            assert x.grad is not None and w.grad is not None
            found.append((loss, x.grad, w.grad))
    for whole, cut in zip(found[:4], found[4:], strict=True):
        for one, other in zip(whole, cut, strict=True):
            assert one.dtype == other.dtype
            assert_close(other.to(hx.float32), one.to(hx.float32), 0.02, 0.02)


def test_means_of_many_rows_in_float16():
    """Whose number, or the sum of whose weights, is more than float16 holds."""
    rows, x, w = 70_000, hx.zeros(70_000, 1, dtype=hx.float16), hx.zeros(64, 1, dtype=hx.float16)
    spread = hx.full((rows, 64), 1 / 64, dtype=hx.float16)
    weight = hx.ones(64, dtype=hx.float16)
    for target, more in ((hx.zeros(rows, dtype=hx.int64), {"weight": weight}), (spread, {})):
        loss = nn.functional.linear_cross_entropy(x, w, target, **more)
        assert loss.item() == pytest.approx(math.log(64), rel=1e-3)


def peak_beyond(work) -> int:
    hx.reset_peak_memory()
    before = hx.memory_stats()["live_bytes"]
    kept = work()
    del kept
    return hx.memory_stats()["peak_bytes"] - before


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_logits_of_a_large_vocabulary_are_never_whole(reduction):
    rows, features, classes = 4096, 8, 4096
    logits, target = rows * classes * 4, hx.arange(rows)
    x, w = hx.randn(rows, features, requires_grad=True), hx.randn(classes, features, requires_grad=True)

    def step():
        nn.functional.linear_cross_entropy(x, w, target, reduction=reduction).sum().backward()

    assert peak_beyond(step) < logits // 4
    with hx.no_grad():
        one = peak_beyond(lambda: nn.functional.linear_cross_entropy(x, w, target, reduction=reduction))
    assert one < logits // 6
    assert peak_beyond(lambda: nn.functional.cross_entropy(x @ w.t(), target)) > logits


def test_refused(monkeypatch):
    in_pieces(monkeypatch)
    x, w, target = hx.ones(7, 4), hx.ones(5, 4), to_helix(INDICES)
    loss = nn.functional.linear_cross_entropy
    with pytest.raises(ArgumentError, match="HX1103 linear_cross_entropy: options must be None"):
        loss(x, w, target, options=object())
    with pytest.raises(ParameterError, match="got 'avg'"):
        loss(x, w, target, reduction="avg")
    with pytest.raises(ParameterError, match="not probabilities"):
        loss(x, w, to_helix(PROBABILITIES), ignore_index=1)
    with pytest.raises(
        ShapeError, match=r"HX1001 linear_cross_entropy: target must have shape \(7,\) here, got \(8,\)"
    ):
        loss(x, w, hx.zeros(8, dtype=hx.int64))
    with pytest.raises(ShapeError, match=r"weight must have shape \(5,\), got \(4,\)"):
        nn.LinearCrossEntropyLoss(4, 5, weight=hx.ones(4))
    with pytest.raises(ParameterError, match="HX1403 LinearCrossEntropyLoss: label_smoothing"):
        nn.LinearCrossEntropyLoss(4, 5, label_smoothing=1.5)
    with pytest.raises(nn.LayerError, match="the layer takes"):
        nn.LinearCrossEntropyLoss(4, 5)(hx.ones(7, 3), target)
