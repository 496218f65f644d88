"""Losses in their three reductions, with weights, ignored targets and label smoothing."""

import numpy as np

from ..sample import COMPLEX, FLOATS, HALVES, Error, Sample, T

REDUCTIONS = ("mean", "sum", "none")
X, Y = T((6, 5)), T((6, 5))
SCORES = T((2, 5, 3))
CLASSES = T((6,), low=0, high=4, dtype="int64", grad=False)
POSITIONS = T((2, 3), low=0, high=4, dtype="int64", grad=False)
PROBABILITY = T((6, 5), low=0.05, high=0.95)
FIXED = T((6, 5), low=0.05, high=0.95, grad=False)
WEIGHT = T((5,), low=0.1, high=1.0, grad=False)
LABELS = np.array([[3, 0, -1, 1, 1], [4, 4, 2, 1, 0], [-1, 2, 0, 1, 0], [0, -1, -1, -1, -1], [1, 2, 3, 4, 0],
                   [2, 1, -1, 0, 0]])  # fmt: skip
SIGNS = T((6, 5), low=1, high=1, grad=False)


def weighted_logits(x, target, weight, reduction, pos_weight):
    yes, no = np.log1p(np.exp(-x)), np.log1p(np.exp(x))
    loss = weight * (target * pos_weight * yes + (1 - target) * no)
    return {"mean": np.mean, "sum": np.sum, "none": np.array}[reduction](loss)


def each_reduction(op, args, name="", **kwargs):
    rest = {k: kwargs.pop(k) for k in ("dtypes", "errors", "second", "rtol", "atol", "layouts") if k in kwargs}
    return [Sample(op, args, {**kwargs, "reduction": r}, name=f"{name} {r}".strip(), **rest) for r in REDUCTIONS]


SAMPLES = [
    *each_reduction(
        "cross_entropy",
        (X, CLASSES),
        dtypes=FLOATS + HALVES,
        errors=(
            Error(
                (T((2, 3)), T((2,), low=7, high=7, dtype="int64")), "IndexRangeError", 1301, ("7", "3 classes", "0..2")
            ),
            Error((T((2, 3)), T((3,), low=0, high=1, dtype="int64")), "ShapeError", 1002, ("(3,)", "(2, 3)")),
        ),
    ),
    *each_reduction("cross_entropy", (X, CLASSES, WEIGHT), "weight", label_smoothing=0.1),
    *each_reduction("cross_entropy", (X, CLASSES), "smoothing", label_smoothing=0.2),
    *each_reduction("cross_entropy", (SCORES, POSITIONS), "positions", ignore_index=2),
    *each_reduction("cross_entropy", (SCORES, POSITIONS, WEIGHT), "positions weight", label_smoothing=0.1),
    *each_reduction("cross_entropy", (X, FIXED), "probabilities"),
    *each_reduction("nll_loss", (X, CLASSES)),
    *each_reduction("nll_loss", (X, CLASSES, WEIGHT), "weight", ignore_index=1),
    *each_reduction("nll_loss", (SCORES, POSITIONS), "positions"),
    *each_reduction("mse_loss", (X, Y), dtypes=FLOATS + HALVES),
    *each_reduction("l1_loss", (X, Y)),
    *each_reduction("smooth_l1_loss", (X, Y), beta=0.7),
    *each_reduction("huber_loss", (X, Y), delta=0.8),
    *each_reduction("binary_cross_entropy", (PROBABILITY, FIXED)),
    *each_reduction("binary_cross_entropy", (PROBABILITY, FIXED, T((5,), low=0.1, high=1.0)), "weight"),
    *each_reduction("binary_cross_entropy_with_logits", (X, FIXED)),
    *[
        Sample(
            "binary_cross_entropy_with_logits", (X, FIXED, WEIGHT, r, WEIGHT), name=f"weights {r}", ref=weighted_logits
        )
        for r in REDUCTIONS
    ],
    *each_reduction("kl_div", (X, PROBABILITY)),
    *each_reduction("kl_div", (X, Y), "log_target", log_target=True),
    *each_reduction("gaussian_nll_loss", (X, Y, PROBABILITY), full=True),
    *each_reduction("poisson_nll_loss", (X, FIXED)),
    *each_reduction("poisson_nll_loss", (PROBABILITY, FIXED), "rate", log_input=False, full=True),
    *each_reduction("soft_margin_loss", (X, SIGNS)),
    *each_reduction("multilabel_soft_margin_loss", (X, FIXED)),
    *each_reduction("multilabel_soft_margin_loss", (X, FIXED, T((5,), low=0.1, high=1.0)), "weight"),
    *each_reduction("hinge_embedding_loss", (X, SIGNS)),
    *each_reduction("margin_ranking_loss", (X, Y, SIGNS), margin=0.3),
    *each_reduction("cosine_embedding_loss", (X, Y, T((6,), low=1, high=1, grad=False)), margin=0.1),
    *each_reduction("triplet_margin_loss", (X, Y, PROBABILITY)),
    *each_reduction("triplet_margin_loss", (X, Y, PROBABILITY), "swap", swap=True, p=3.0),
    *each_reduction("multi_margin_loss", (X, CLASSES), second=False),
    *each_reduction("multi_margin_loss", (X, CLASSES), "square", p=2, second=False),
    Sample("multi_margin_loss", (X, CLASSES, 1, 1.0, T((5,), low=0.1, high=1.0)), second=False, name="weight"),
    *each_reduction(
        "multilabel_margin_loss",
        (X, LABELS),
        dtypes=FLOATS + HALVES,
        second=False,
        errors=(
            Error((X, LABELS + 4), "IndexRangeError", 1301, ("target 8", "5 ", "0..4")),
            Error((X, LABELS[:2]), "ShapeError", 1002, ("(2, 5)", "(6, 5)")),
            Error((T((2, 2, 2)), np.zeros((2, 2, 2), int)), "ShapeError", 1001, ("(N, C)", "(2, 2, 2)")),
        ),
    ),
    Sample("multilabel_margin_loss", (T((4,)), np.array([3, 0, -1, 1])), second=False, name="no batch"),
    Sample("pairwise_distance", (X, Y)),
    Sample("pairwise_distance", (X, Y), dtypes=COMPLEX, name="complex"),
    Sample("pairwise_distance", (X, Y, 3.0), {"keepdim": True}, name="p"),
]
