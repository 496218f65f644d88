"""CTC against a sum over all alignments: its value, and so its gradient, is that of log_probs as they are."""

import itertools

import numpy as np

from ..sample import HALVES, Error, Sample, T

F = ("float32", "float64")
SCORES = T((5, 3, 4), low=-3, high=-0.2)
LABELS = np.array([[1, 1, 2], [3, 1, 0], [2, 2, 2]])
TIMES, COUNTS = np.array([5, 4, 3]), np.array([2, 2, 0])


def collapse(path, blank):
    return [k for k, _ in itertools.groupby(path) if k != blank]


def loss_of(scores, labels, blank):
    paths = itertools.product(range(scores.shape[1]), repeat=len(scores))
    fits = [p for p in paths if collapse(p, blank) == list(labels)]
    return -np.logaddexp.reduce([sum(scores[t, k] for t, k in enumerate(p)) for p in fits], initial=-np.inf)


def every_alignment(x, targets, times, counts, blank=0, reduction="mean", zero_infinity=False):
    batch = x if x.ndim == 3 else x[:, None]
    times, counts = times.reshape(-1), counts.reshape(-1)
    ends = np.cumsum(counts)
    rows = [targets[e - n : e] for e, n in zip(ends, counts, strict=True)] if targets.ndim == 1 else targets
    loss = np.array(
        [loss_of(batch[:t, i], rows[i][:n], blank) for i, (t, n) in enumerate(zip(times, counts, strict=True))]
    )
    if zero_infinity:
        loss[np.isinf(loss)] = 0
    if reduction == "mean":
        return np.mean(loss / np.maximum(counts, 1))
    return loss.sum() if reduction == "sum" else loss if x.ndim == 3 else loss[0]


def ctc(*args, **keywords):
    rest = {k: keywords.pop(k) for k in ("dtypes", "errors", "name", "layouts") if k in keywords}
    return Sample("ctc_loss", args, keywords, ref=every_alignment, **rest)


SAMPLES = [
    ctc(
        SCORES,
        LABELS,
        TIMES,
        COUNTS,
        dtypes=F + HALVES,
        errors=(
            Error((SCORES, LABELS + 9, TIMES, COUNTS), "IndexRangeError", 1301, ("label 10", "(0, 0)", "0..3")),
            Error((SCORES, LABELS, TIMES + 9, COUNTS), "ParameterError", 1403, ("input_lengths", "14", "0..5")),
            Error((SCORES, LABELS, TIMES, -COUNTS), "ParameterError", 1403, ("target_lengths", "-2", "0..3")),
            Error((SCORES, LABELS, TIMES, COUNTS[:2]), "ShapeError", 1002, ("target_lengths", "(2,)", "3 sequences")),
            Error((SCORES, LABELS[:2], TIMES, COUNTS), "ShapeError", 1002, ("targets", "(2, 3)", "3 sequences")),
            Error((SCORES, LABELS, TIMES, COUNTS, 4), "ParameterError", 1403, ("blank 4", "4 classes")),
            Error((SCORES, np.array([1, 2, 1]), TIMES, COUNTS), "ShapeError", 1002, ("3 labels", "sum to 4")),
            Error((T((4,)), LABELS, TIMES, COUNTS), "ShapeError", 1001, ("log_probs", "(T, N, C)")),
        ),
    ),
    ctc(SCORES, np.array([1, 1, 3, 1]), TIMES, COUNTS, reduction="sum", layouts=False, name="one list"),
    ctc(SCORES, LABELS % 3, TIMES, COUNTS, blank=3, reduction="none", name="another blank"),
    ctc(
        SCORES, LABELS, np.array([2, 1, 0]), np.array([2, 2, 0]), reduction="sum", zero_infinity=True, name="too short"
    ),
    ctc(T((4, 3), low=-3, high=-0.2), np.array([1, 2]), np.array(4), np.array(2), reduction="none", name="no batch"),
]
