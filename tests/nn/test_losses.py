"""Losses against torch's, with every reduction."""

from __future__ import annotations

import pytest
import torch

from helix import nn

from .compare import assert_close, to_helix


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


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("name", "keywords", "data"), LOSSES, ids=lambda v: v if isinstance(v, str) else "")
def test_loss(name, keywords, data, reduction):
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(reduction=reduction, **keywords)
    ours = {k: to_helix(v) if isinstance(v, torch.Tensor) else v for k, v in keywords.items()}
    mine = getattr(nn, name)(reduction=reduction, **ours)
    output, target = data()
    output.requires_grad_()
    x = to_helix(output).requires_grad_()
    expected, result = theirs(output, target), mine(x, to_helix(target))
    assert_close(result, expected)
    expected.sum().backward()
    result.sum().backward()
    assert_close(x.grad, output.grad)


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
    ("MultiMarginLoss", {}, lambda: (logits(4, 5), classes(4))),
    ("MultiLabelSoftMarginLoss", {}, lambda: (logits(4, 5), classes(4, 5) % 2 * 1.0)),
    ("MultiLabelMarginLoss", {}, lambda: (logits(3, 4), torch.tensor([[3, 0, -1, 1], [2, 1, 0, 3], [-1, 0, 0, 0]]))),
    ("PoissonNLLLoss", {"full": True}, lambda: (logits(4, 3), torch.rand(4, 3) * 5)),
    ("GaussianNLLLoss", {"full": True}, lambda: (logits(4, 3), logits(4, 3), torch.rand(4, 3))),
]


@pytest.mark.parametrize(("name", "keywords", "data"), PAIRS, ids=lambda v: v if isinstance(v, str) else "")
def test_losses_of_pairs_and_margins(name, keywords, data):
    torch.manual_seed(1)
    theirs, mine = getattr(torch.nn, name)(**keywords), getattr(nn, name)(**keywords)
    given = data()
    given[0].requires_grad_()
    ours = [to_helix(t) for t in given]
    ours[0].requires_grad_()
    expected, result = theirs(*given), mine(*ours)
    assert_close(result, expected)
    expected.sum().backward()
    result.sum().backward()
    assert_close(ours[0].grad, given[0].grad)


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
