"""Losses that torch lacks, against their formulas in NumPy; gradients by differences."""

from __future__ import annotations

import numpy as np
import pytest

import helix as hx
from helix import nn
from helix.autograd import gradcheck
from helix.nn import functional as F

RANDOM = np.random.default_rng(0)
X, Z = RANDOM.standard_normal((4, 3)), RANDOM.standard_normal((4, 3))
CLASSES, YES, SIGNS = (
    np.array([2, 0, 1, 2]),
    (RANDOM.random((4, 3)) > 0.5) * 1.0,
    np.sign(RANDOM.standard_normal((4, 3))),
)
WEIGHT = np.array([0.5, 2.0, 1.0])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    return np.exp(x) / np.exp(x).sum(1, keepdims=True)


def focal(x, gamma=2.0, weight=None):
    p = softmax(x)[np.arange(4), CLASSES]
    return -((1 - p) ** gamma) * np.log(p) * (1 if weight is None else weight[CLASSES])


def sigmoid_focal(x, alpha=0.25, gamma=2.0):
    p = np.where(YES == 1, sigmoid(x), 1 - sigmoid(x))
    return -(np.where(YES == 1, alpha, 1 - alpha) if alpha >= 0 else 1) * (1 - p) ** gamma * np.log(p)


def tversky(p, t, alpha=0.5, beta=0.5, smooth=1.0):
    """p and t of shape (N, C, pixels)."""
    both, false, missed = (p * t).sum(-1), (p * (1 - t)).sum(-1), ((1 - p) * t).sum(-1)
    return 1 - (both + smooth) / (both + alpha * false + beta * missed + smooth)


def info_nce(a, b, t):
    a, b = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (a, b))
    return -np.log(softmax(a @ b.T / t)[np.arange(len(a)), np.arange(len(a))])


def contrastive(a, b, y, margin):
    d = np.linalg.norm(a - b + 1e-6, axis=1)
    return (y * d**2 + (1 - y) * np.maximum(0, margin - d) ** 2) / 2


MAP, PLACES = RANDOM.standard_normal((2, 3, 4, 2)), RANDOM.integers(0, 3, (2, 4, 2))
MASK = np.moveaxis(np.eye(3)[PLACES], -1, 1)
flat = (2, 3, -1)
MANY = RANDOM.standard_normal((6, 3))
CASES = {
    "focal": (nn.FocalLoss(), (X, CLASSES), focal(X)),
    "focal gamma": (nn.FocalLoss(gamma=0.5), (X, CLASSES), focal(X, 0.5)),
    "focal weight": (nn.FocalLoss(hx.tensor(WEIGHT), gamma=0), (X, CLASSES), focal(X, 0, WEIGHT)),
    "sigmoid focal": (nn.SigmoidFocalLoss(), (X, YES), sigmoid_focal(X)),
    "sigmoid focal plain": (nn.SigmoidFocalLoss(alpha=-1, gamma=1.5), (X, YES), sigmoid_focal(X, -1, 1.5)),
    "dice": (nn.DiceLoss(), (MAP, PLACES), tversky(softmax(MAP).reshape(flat), MASK.reshape(flat), smooth=0.5)),
    "dice many": (nn.DiceLoss(0.2), (MAP, MASK), tversky(sigmoid(MAP).reshape(flat), MASK.reshape(flat), smooth=0.1)),
    "tversky": (
        nn.TverskyLoss(0.3, 0.7),
        (MAP, MASK),
        tversky(sigmoid(MAP).reshape(flat), MASK.reshape(flat), 0.3, 0.7),
    ),
    "info nce": (nn.InfoNCELoss(0.2), (X, MANY), info_nce(X, MANY, 0.2)),
    "clip": (nn.InfoNCELoss(0.5, symmetric=True), (X, Z), (info_nce(X, Z, 0.5) + info_nce(Z, X, 0.5)) / 2),
    "contrastive": (nn.ContrastiveLoss(2.5), (X, Z, YES[:, 0]), contrastive(X, Z, YES[:, 0], 2.5)),
    "hinge": (nn.HingeLoss(), (X, SIGNS), np.maximum(0, 1 - X * SIGNS)),
    "squared hinge": (nn.HingeLoss(squared=True), (X, SIGNS), np.maximum(0, 1 - X * SIGNS) ** 2),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name):
    loss, given, expected = CASES[name]
    tensors = [hx.tensor(values) for values in given]
    for reduction, wanted in (("none", expected), ("sum", expected.sum()), ("mean", expected.mean())):
        loss.reduction = reduction
        np.testing.assert_allclose(loss(*tensors).numpy(), wanted, rtol=1e-10, atol=1e-12)
    assert gradcheck(lambda x: loss(x, *tensors[1:]), [tensors[0].requires_grad_()])


def test_ignored_targets_count_for_nothing():
    logits = hx.tensor(X)
    kept = F.focal_loss(logits[:3], hx.tensor(CLASSES[:3]))
    target = hx.tensor([*CLASSES[:3].tolist(), -100])
    assert F.focal_loss(logits, target).item() == pytest.approx(kept.item())


@pytest.mark.parametrize(("call", "text"), [
    (lambda x: F.focal_loss(x, hx.tensor([0, 1]), gamma=-1), "HX1403 focal_loss: gamma must not be negative"),
    (lambda x: F.dice_loss(x, hx.zeros(3, 2)), "HX1001 tversky_loss: target must have the shape of input"),
    (lambda x: F.dice_loss(x[0], x[0]), "HX1001 tversky_loss: input must have a batch"),
    (lambda x: F.info_nce_loss(x, x[:1]), "HX1001 info_nce_loss"),
    (lambda x: F.info_nce_loss(x, x, temperature=0), "HX1403 info_nce_loss"),
    (lambda x: F.info_nce_loss(x[:1], x, symmetric=True), "symmetric needs as many keys"),
    (lambda x: F.hinge_loss(x, x, reduction="avg"), "HX1403 hinge_loss: reduction"),
    (lambda x: nn.AdaptiveLogSoftmaxWithLoss(3, 9, [5, 4]), "HX1403 AdaptiveLogSoftmaxWithLoss: cutoffs"),
    (lambda x: nn.AdaptiveLogSoftmaxWithLoss(3, 9, [4])(x, hx.tensor([0, 9])), "targets must lie between 0 and 8"),
    (lambda x: nn.AdaptiveLogSoftmaxWithLoss(3, 9, [4])(x, hx.tensor([0])), "HX1001 AdaptiveLogSoftmaxWithLoss"),
])  # fmt: skip
def test_wrong_arguments_are_refused(call, text):
    with pytest.raises(hx.errors.HelixError, match=text):
        call(hx.tensor([[1.0, 2.0, 3.0], [0.0, 1.0, 2.0]]))


def test_gradients_of_equal_pairs_in_float16_are_finite():
    a = hx.ones(2, 3, dtype=hx.float16).requires_grad_()
    nn.ContrastiveLoss()(a, hx.ones(2, 3, dtype=hx.float16), hx.tensor([1, 0])).backward()
    assert a.grad.isfinite().all()
    x = hx.tensor([[300.0, 0.0], [0.0, 300.0]], dtype=hx.float16)
    np.testing.assert_allclose(nn.InfoNCELoss(1.0)(x, x).item(), 0.3133, atol=1e-3)
