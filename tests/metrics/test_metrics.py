"""Metrics over random batches against scikit-learn (and SciPy) on the whole data."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

import helix as hx
from helix import metrics

N = 61
RANDOM = np.random.default_rng(0)
CLASSES = RANDOM.integers(0, 4, N)
SCORES = RANDOM.standard_normal((N, 4)) + 1.5 * np.eye(4)[CLASSES]
TIED = np.round(SCORES, 0)
FOUND = SCORES.argmax(1)
YES = RANDOM.integers(0, 2, N)
CHANCES = np.round(np.clip(0.3 * YES + 0.7 * RANDOM.random(N), 0, 1), 1)
WANTED = 1e3 + RANDOM.standard_normal(N)
GIVEN = WANTED + 0.3 * RANDOM.standard_normal(N) + 0.1
PIXELS, MASKS = RANDOM.integers(0, 3, (N, 4, 3)), RANDOM.integers(0, 3, (N, 4, 3))
SHARES = np.exp(SCORES) / np.exp(SCORES).sum(1, keepdims=True)
NATS = -np.log(SHARES[np.arange(N), CLASSES])
SOME = RANDOM.integers(0, 2, N)  # classes 2 and 3 never occur


def calibration(norm, bins=10):
    confidence, hits = SHARES.max(1), SHARES.argmax(1) == CLASSES
    total, gaps = 0.0, []
    for low in np.arange(bins) / bins:
        inside = (confidence > low) & (confidence <= low + 1 / bins)
        if inside.any():
            gap = abs(confidence[inside].mean() - hits[inside].mean())
            gaps.append(gap)
            total += inside.mean() * gap ** (2 if norm == "l2" else 1)
    return max(gaps) if norm == "max" else math.sqrt(total) if norm == "l2" else total


def per_class(function):
    return lambda a, b, **o: function(b, a, labels=[0, 1, 2, 3], average=None, zero_division=0, **o)


def paired(rows):
    """Samples of two rows."""
    return np.stack([rows, rows[::-1]], 1)


M = metrics
CASES = {
    "accuracy": (M.Accuracy(), SCORES, CLASSES, sk.accuracy_score(CLASSES, FOUND)),
    "accuracy of labels": (M.Accuracy(), FOUND, CLASSES, sk.accuracy_score(CLASSES, FOUND)),
    "accuracy of chances": (M.Accuracy(threshold=0.6), CHANCES, YES, sk.accuracy_score(YES, CHANCES > 0.6)),
    "accuracy of pixels": (M.Accuracy(), np.moveaxis(np.eye(3)[PIXELS], -1, 1), MASKS, (PIXELS == MASKS).mean()),
    "top 2": (M.Accuracy(2), SCORES, CLASSES, sk.top_k_accuracy_score(CLASSES, SCORES, k=2)),
    "ignoring": (M.Accuracy(ignore_index=3), SCORES, CLASSES, (FOUND == CLASSES)[CLASSES != 3].mean()),
    "exact match": (M.ExactMatch(), paired(SCORES), paired(CLASSES), paired(FOUND == CLASSES).all(1).mean()),
    "exact match of what counts": (M.ExactMatch(3), paired(SCORES), paired(CLASSES),
                                   paired((FOUND == CLASSES) | (CLASSES == 3)).all(1).mean()),
    "confusion": (M.ConfusionMatrix(4), SCORES, CLASSES, sk.confusion_matrix(CLASSES, FOUND)),
    "mse": (M.MeanSquaredError(), GIVEN, WANTED, sk.mean_squared_error(WANTED, GIVEN)),
    "rmse": (M.MeanSquaredError(squared=False), GIVEN, WANTED, sk.root_mean_squared_error(WANTED, GIVEN)),
    "mae": (M.MeanAbsoluteError(), GIVEN, WANTED, sk.mean_absolute_error(WANTED, GIVEN)),
    "r2": (M.R2Score(), GIVEN, WANTED, sk.r2_score(WANTED, GIVEN)),
    "explained": (M.ExplainedVariance(), GIVEN, WANTED, sk.explained_variance_score(WANTED, GIVEN)),
    "r2 of a constant": (M.R2Score(), GIVEN, WANTED * 0 + 7, sk.r2_score(WANTED * 0 + 7, GIVEN)),
    "pearson": (M.PearsonCorrelation(), GIVEN, WANTED, stats.pearsonr(GIVEN, WANTED).statistic),
    "spearman": (M.SpearmanCorrelation(), GIVEN.round(1), WANTED, stats.spearmanr(GIVEN.round(1), WANTED).statistic),
    "auroc": (M.AUROC(), CHANCES, YES, sk.roc_auc_score(YES, CHANCES)),
    "auroc macro": (M.AUROC(), SHARES, CLASSES, sk.roc_auc_score(CLASSES, SHARES, multi_class="ovr")),
    "average precision": (M.AveragePrecision(), CHANCES, YES, sk.average_precision_score(YES, CHANCES)),
    "average precisions": (
        M.AveragePrecision(None), TIED, CLASSES,
        sk.average_precision_score(np.eye(4)[CLASSES], TIED, average=None),
    ),
    "average precision weighted": (
        M.AveragePrecision("weighted"), TIED, CLASSES,
        sk.average_precision_score(np.eye(4)[CLASSES], TIED, average="weighted"),
    ),
    "auroc weighted": (
        M.AUROC("weighted"), SHARES, CLASSES,
        sk.roc_auc_score(CLASSES, SHARES, multi_class="ovr", average="weighted"),
    ),
    "perplexity": (M.Perplexity(), SCORES, CLASSES, np.exp(NATS.mean())),
    "perplexity ignoring": (M.Perplexity(ignore_index=1), SCORES, CLASSES, np.exp(NATS[CLASSES != 1].mean())),
    "bits": (M.BitsPerByte(), SCORES, CLASSES, NATS.mean() / np.log(2)),
    "iou": (M.IoU(3), PIXELS, MASKS, sk.jaccard_score(MASKS.ravel(), PIXELS.ravel(), average="macro")),
    "dice": (M.Dice(3, None), PIXELS, MASKS, sk.f1_score(MASKS.ravel(), PIXELS.ravel(), average=None)),
}  # fmt: skip
for normalize in ("true", "pred", "all"):
    expected = sk.confusion_matrix(CLASSES, FOUND, normalize=normalize)
    CASES[f"confusion {normalize}"] = (M.ConfusionMatrix(4, normalize), SCORES, CLASSES, expected)
for norm in ("l1", "l2", "max"):
    CASES[f"calibration {norm}"] = (M.CalibrationError(10, norm), SCORES, CLASSES, calibration(norm))
for name, function in (("Precision", sk.precision_score), ("Recall", sk.recall_score), ("F1Score", sk.f1_score)):
    for average in ("micro", "macro", "weighted", None):
        options = {"average": average, "zero_division": 0.0}
        of_few = (
            function(SOME, FOUND % 3, **options) if average else function(SOME, FOUND % 3, labels=range(4), **options)
        )
        of_all = function(CLASSES, FOUND, **options)
        CASES[f"{name} {average}"] = (getattr(M, name)(4, average), SCORES, CLASSES, of_all)
        CASES[f"{name} {average} of few classes"] = (getattr(M, name)(4, average), FOUND % 3, SOME, of_few)
    of_yes = function(YES, CHANCES > 0.5)
    CASES[f"{name} binary"] = (getattr(M, name)(average="binary"), CHANCES, YES, of_yes)
CASES["f2"] = (M.FBetaScore(2.0, 4), SCORES, CLASSES, sk.fbeta_score(CLASSES, FOUND, beta=2.0, average="macro"))


def batches(random, *arrays):
    """The rows in random order, cut at random places."""
    order = random.permutation(N)
    cuts = np.sort(random.choice(np.arange(1, N), random.integers(1, 9), replace=False))
    return [[hx.tensor(array[part]) for array in arrays] for part in np.split(order, cuts)]


@pytest.mark.parametrize("name", CASES)
def test_exact_under_any_batching(name):
    metric, output, target, expected = CASES[name]
    random = np.random.default_rng(zlib.crc32(name.encode()))

    def close(found):
        np.testing.assert_allclose(found.compute().numpy(), expected, rtol=1e-9, atol=1e-12)

    straight = metric.fresh()
    straight.update(hx.tensor(output), hx.tensor(target))
    close(straight)
    for _ in range(3):
        parts = [metric.fresh() for _ in range(3)]
        for number, batch in enumerate(batches(random, output, target)):
            parts[number % 3].update(*batch)
        parts[1].merge(parts[2])
        restored = metric.fresh()
        restored.load_state_dict(parts[0].state_dict())
        restored.merge(parts[1])
        close(restored)
    before = restored.compute().tolist()
    np.testing.assert_allclose(restored(hx.tensor(output), hx.tensor(target)).numpy(), expected, rtol=1e-9, atol=1e-12)
    assert restored.compute().tolist() == before
    restored.reset()
    restored.update(hx.tensor(output), hx.tensor(target))
    close(restored)


IGNORING = [
    (M.Accuracy, {}), (M.F1Score, {"num_classes": 4}), (M.ConfusionMatrix, {"num_classes": 4}), (M.AUROC, {}),
    (M.AveragePrecision, {}), (M.CalibrationError, {}), (M.Perplexity, {}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "options"), IGNORING, ids=lambda v: getattr(v, "__name__", ""))
def test_ignored_targets_do_not_count(kind, options):
    keep = RANDOM.random(N) > 0.3
    expected = kind(**options)(hx.tensor(SCORES[keep]), hx.tensor(CLASSES[keep])).numpy()
    found = kind(ignore_index=-100, **options)(hx.tensor(SCORES), hx.tensor(np.where(keep, CLASSES, -100))).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_bits_per_byte_count_the_text():
    metric = metrics.BitsPerByte()
    metric.update(hx.tensor(SCORES), hx.tensor(CLASSES), bytes=200)
    assert metric.compute().item() == pytest.approx(NATS.sum() / np.log(2) / 200)


def test_positions_of_a_language_model_are_samples():
    scores, classes = hx.tensor(SCORES[:60]).reshape(5, 12, 4), hx.tensor(CLASSES[:60]).reshape(5, 12)
    metric = metrics.Accuracy()
    metric.update(scores, classes)
    assert metric.compute().item() == pytest.approx((FOUND == CLASSES)[:60].mean())


def test_sums_are_of_the_device_and_need_no_copy_back():
    metric = metrics.Accuracy()
    metric.update(hx.tensor(SCORES[:8], dtype=hx.float32).to("sim"), hx.tensor(CLASSES[:8]).to("sim"))
    assert str(metric.correct.device).startswith("sim")
    metric.update(hx.tensor(SCORES[8:], dtype=hx.float32), hx.tensor(CLASSES[8:]))
    assert metric.compute().item() == pytest.approx((FOUND == CLASSES).mean())


@pytest.mark.parametrize(("call", "text"), [
    (lambda: metrics.Accuracy(0), "top_k must be at least 1"),
    (lambda: metrics.F1Score(3, "binary"), "needs num_classes=2"),
    (lambda: metrics.F1Score(3, "median"), "average must be"),
    (lambda: metrics.AUROC("micro"), "average must be 'macro', 'weighted' or None"),
    (lambda: metrics.ConfusionMatrix(3, "rows"), "normalize must be"),
    (lambda: metrics.CalibrationError(norm="l3"), "norm must be"),
    (lambda: metrics.Accuracy()(hx.ones(3, 2), hx.ones(4)), "HX1001 Accuracy: expected scores"),
    (lambda: metrics.R2Score()(hx.ones(3), hx.ones(4)), "HX1001 R2Score: output and target"),
    (lambda: metrics.ConfusionMatrix(2)(hx.tensor([0]), hx.tensor([2])), "scatter"),
    (lambda: metrics.AUROC().compute(), "nothing was taken in"),
    (lambda: metrics.AUROC().merge(metrics.AveragePrecision()), "cannot merge"),
    (lambda: metrics.ConfusionMatrix(2).load_state_dict(metrics.ConfusionMatrix(3).state_dict()), "HX3004"),
])  # fmt: skip
def test_wrong_use_is_refused(call, text):
    with pytest.raises((ValueError, hx.errors.HelixError), match=text):
        call()


def test_what_is_infinite_is_forgotten_by_a_reset():
    metric = metrics.MeanOf(lambda output, target: (output - target).mean())
    metric.update(hx.tensor([math.inf]), hx.tensor([0.0]))
    assert metric(hx.tensor([3.0]), hx.tensor([1.0])).item() == 2.0
    metric.reset()
    metric.update(hx.tensor([3.0]), hx.tensor([1.0]))
    assert metric.compute().item() == 2.0


@pytest.mark.parametrize("dtype", [hx.float16, hx.bfloat16])
def test_short_scores_are_measured_in_float32(dtype):
    scores = hx.zeros(2, 3, 8, dtype=dtype)
    targets = hx.ones(2, 3, dtype=hx.int64)
    assert metrics.Perplexity()(scores, targets).item() == pytest.approx(8.0, rel=1e-6)
    thirds = hx.zeros(9, 3, dtype=dtype)
    assert metrics.CalibrationError()(thirds, hx.zeros(9, dtype=hx.int64)).item() == pytest.approx(2 / 3, rel=1e-6)
