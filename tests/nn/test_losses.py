"""Losses against torch's, with every reduction."""

from __future__ import annotations

import pytest
import torch

from helix import nn

from .compare import assert_close, copy_weights, to_helix


def logits(*shape: int) -> torch.Tensor:
    return torch.randn(shape)


def classes(*shape: int) -> torch.Tensor:
    return torch.randint(0, 5, shape)


LOSSES = [
    ("L1Loss", {}, lambda: (logits(4, 3), logits(4, 3))),
    ("MSELoss", {}, lambda: (logits(4, 3), logits(4, 3))),
    ("SmoothL1Loss", {"beta": 0.5}, lambda: (logits(4, 3), logits(4, 3))),
    ("HuberLoss", {"delta": 0.7}, lambda: (logits(4, 3), logits(4, 3))),
    ("SoftMarginLoss", {}, lambda: (logits(4, 3), logits(4, 3).sign())),
    ("CrossEntropyLoss", {}, lambda: (logits(4, 5), classes(4))),
    ("CrossEntropyLoss", {"label_smoothing": 0.1}, lambda: (logits(4, 5), classes(4))),
    ("CrossEntropyLoss", {"weight": torch.rand(5)}, lambda: (logits(4, 5), classes(4))),
    ("CrossEntropyLoss", {"ignore_index": 2}, lambda: (logits(8, 5), classes(8))),
    ("CrossEntropyLoss", {}, lambda: (logits(4, 5, 3), classes(4, 3))),
    ("CrossEntropyLoss", {}, lambda: (logits(4, 5), logits(4, 5).softmax(1))),
    ("NLLLoss", {}, lambda: (logits(4, 5).log_softmax(1), classes(4))),
    ("BCELoss", {}, lambda: (torch.rand(4, 3), torch.rand(4, 3))),
    ("BCEWithLogitsLoss", {"pos_weight": torch.rand(3)}, lambda: (logits(4, 3), torch.rand(4, 3))),
    ("KLDivLoss", {}, lambda: (logits(4, 5).log_softmax(1), logits(4, 5).softmax(1))),
    ("KLDivLoss", {"log_target": True}, lambda: (logits(4, 5).log_softmax(1), logits(4, 5).log_softmax(1))),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("name", "keywords", "data"), LOSSES, ids=lambda v: v if isinstance(v, str) else "")
def test_loss(name, keywords, data, reduction, dtype):
    torch.manual_seed(0)
    keywords = {k: v.to(dtype) if isinstance(v, torch.Tensor) else v for k, v in keywords.items()}
    check_beside_torch(name, {"reduction": reduction, **keywords}, data(), dtype)


def check_beside_torch(name, keywords, data, dtype):
    """The loss and all its gradients; labels, which are class numbers or signs, have none."""
    given = [t.to(dtype) if t.is_floating_point() else t for t in data]
    for t in given:
        t.requires_grad_(t.is_floating_point() and bool((t.abs() != 1).any()))
    theirs = getattr(torch.nn, name)(**keywords)
    mine = getattr(nn, name)(**{k: to_helix(v) if isinstance(v, torch.Tensor) else v for k, v in keywords.items()})
    ours = [to_helix(t).requires_grad_(t.requires_grad) for t in given]
    expected, result = theirs(*given), mine(*ours)
    bound = 1e-5 if dtype == torch.float32 else 1e-9
    assert_close(result, expected, bound, bound)
    expected.sum().backward()
    result.sum().backward()
    for a, b in zip(ours, given, strict=True):
        if b.requires_grad:
            assert_close(a.grad, b.grad, bound, bound)


def test_a_wrong_reduction_is_named():
    with pytest.raises(ValueError, match="'mean', 'sum' or 'none', got 'avg'"):
        nn.MSELoss(reduction="avg")


def signs(*shape: int) -> torch.Tensor:
    return torch.randn(shape).sign()


PAIRS = [
    ("CosineSimilarity", {}, lambda: (logits(4, 3), logits(4, 3))),
    ("PairwiseDistance", {"p": 1.0, "keepdim": True}, lambda: (logits(4, 3), logits(4, 3))),
    ("HingeEmbeddingLoss", {"margin": 0.5}, lambda: (logits(4, 3), signs(4, 3))),
    ("MarginRankingLoss", {"margin": 0.3}, lambda: (logits(4), logits(4), signs(4))),
    ("CosineEmbeddingLoss", {}, lambda: (logits(4, 3), logits(4, 3), signs(4))),
    ("TripletMarginLoss", {"swap": True}, lambda: (logits(4, 3), logits(4, 3), logits(4, 3))),
    ("TripletMarginWithDistanceLoss", {"swap": True}, lambda: (logits(4, 3), logits(4, 3), logits(4, 3))),
    ("MultiMarginLoss", {}, lambda: (logits(4, 5), classes(4))),
    ("MultiLabelSoftMarginLoss", {}, lambda: (logits(4, 5), classes(4, 5) % 2 * 1.0)),
    ("MultiLabelMarginLoss", {}, lambda: (logits(3, 4), torch.tensor([[3, 0, -1, 1], [2, 1, 0, 3], [-1, 0, 0, 0]]))),
    ("PoissonNLLLoss", {"full": True}, lambda: (logits(4, 3), torch.rand(4, 3) * 5)),
    ("GaussianNLLLoss", {"full": True}, lambda: (logits(4, 3), logits(4, 3), torch.rand(4, 3))),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("name", "keywords", "data"), PAIRS, ids=lambda v: v if isinstance(v, str) else "")
def test_losses_of_pairs_and_margins(name, keywords, data, dtype):
    torch.manual_seed(1)
    check_beside_torch(name, keywords, data(), dtype)


EXTREME = [
    ("L1Loss", lambda x: (x, -x)),
    ("MSELoss", lambda x: (x, -x)),
    ("SmoothL1Loss", lambda x: (x, -x)),
    ("HuberLoss", lambda x: (x, -x)),
    ("SoftMarginLoss", lambda x: (x, torch.ones_like(x))),
    ("CrossEntropyLoss", lambda x: (x, torch.tensor([0, 1, 2]))),
    ("BCEWithLogitsLoss", lambda x: (x, torch.full_like(x, 0.25))),
    ("HingeEmbeddingLoss", lambda x: (x, -torch.ones_like(x))),
    ("MultiMarginLoss", lambda x: (x, torch.tensor([0, 1, 2]))),
    ("MultiLabelSoftMarginLoss", lambda x: (x, torch.eye(3))),
    ("CosineEmbeddingLoss", lambda x: (x, x.flip(0), torch.tensor([1.0, -1.0, 1.0]))),
    ("TripletMarginLoss", lambda x: (x, x.flip(0), -x)),
    ("FocalLoss", lambda x: (x, torch.tensor([0, 1, 2]))),
    ("SigmoidFocalLoss", lambda x: (x, torch.eye(3))),
    ("DiceLoss", lambda x: (x, torch.tensor([0, 1, 2]))),
    ("TverskyLoss", lambda x: (x, torch.eye(3))),
    ("InfoNCELoss", lambda x: (x, x.flip(0))),
    ("HingeLoss", lambda x: (x, torch.ones_like(x))),
    ("ContrastiveLoss", lambda x: (x, x.flip(1), torch.tensor([1, 0, 1]))),
]


@pytest.mark.parametrize(("name", "data"), EXTREME, ids=lambda v: v if isinstance(v, str) else "")
def test_extreme_logits_give_finite_losses_and_gradients(name, data):
    x = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [1e4, 0.0, -1e4]])
    given = [to_helix(t) for t in data(x)]
    given[0].requires_grad_()
    loss = getattr(nn, name)()(*given)
    loss.backward()
    assert loss.isfinite().item() and given[0].grad.isfinite().all().item()
    if hasattr(torch.nn, name) and name != "SoftMarginLoss":  # torch's is infinite there
        assert_close(loss, getattr(torch.nn, name)()(*data(x)), rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_adaptive_softmax(bias, dtype):
    torch.manual_seed(3)
    options = {"cutoffs": [4, 9], "div_value": 2.0, "head_bias": bias}
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(8, 14, **options).to(dtype)
    mine = nn.AdaptiveLogSoftmaxWithLoss(8, 14, **options).to(to_helix(torch.zeros(1, dtype=dtype)).dtype)
    copy_weights(mine, theirs)
    x, target = (4 * torch.randn(12, 8, dtype=dtype)).requires_grad_(), torch.randint(0, 14, (12,))
    y = to_helix(x).requires_grad_()
    expected, result = theirs(x, target), mine(y, to_helix(target))
    bound = 1e-5 if dtype == torch.float32 else 1e-9
    assert_close(result.output, expected.output, bound, bound)
    expected.loss.backward()
    result.loss.backward()
    assert_close(y.grad, x.grad, bound, bound)
    for (name, a), b in zip(theirs.named_parameters(), mine.parameters(), strict=True):
        assert_close(b.grad, a.grad, bound, bound, name)
    assert_close(mine.log_prob(y), theirs.log_prob(x), bound, bound)
    assert mine.predict(y).tolist() == theirs.predict(x).tolist()
    assert_close(mine(y[0], to_helix(target[0])).loss, theirs(x[0], target[0]).loss, bound, bound)


@pytest.mark.parametrize("zero_infinity", [True, False])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_ctc(reduction, zero_infinity):
    """Behind log_softmax the gradient is torch's, which takes it for granted."""
    torch.manual_seed(2)
    data, targets = torch.randn(9, 5, 6, requires_grad=True), torch.randint(1, 6, (5, 4))
    times, counts = (9, 7, 3, 2, 0), (4, 3, 0, 4, 0)
    x = to_helix(data).requires_grad_()
    keywords = {"reduction": reduction, "zero_infinity": zero_infinity}
    expected = torch.nn.CTCLoss(**keywords)(data.log_softmax(-1), targets, times, counts)
    result = nn.CTCLoss(**keywords)(x.log_softmax(-1), to_helix(targets), times, counts)
    assert_close(result, expected)
    expected.sum().backward()
    result.sum().backward()
    assert_close(x.grad, data.grad)


def test_ctc_of_long_sequences_keeps_its_digits():
    torch.manual_seed(3)
    data, targets = 5 * torch.randn(400, 2, 20), torch.randint(1, 20, (2, 90))
    exact = torch.nn.functional.ctc_loss(data.double().log_softmax(-1), targets, (400, 300), (90, 80))
    result = nn.CTCLoss()(to_helix(data).log_softmax(-1), to_helix(targets), (400, 300), (90, 80))
    assert result.item() == pytest.approx(exact.item(), rel=1e-6)
