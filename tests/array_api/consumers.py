"""Run as a program with SCIPY_ARRAY_API=1: SciPy and scikit-learn on tensors of helix beside the same on NumPy arrays.

Prints the names of the calls that gave the same, one a line, and ends with an error at the first that did not.
"""

from __future__ import annotations

import sys

import numpy as np

import helix
from helix import array_api as xp

RNG = np.random.default_rng(7)
X = RNG.normal(size=(30, 5))
V, W = X[:, 0].copy(), X[:, 1].copy()
POSITIVE, LABELS = np.abs(V) + 0.1, (X[:, 0] > 0).astype(np.int64)


def scipy_calls():
    import scipy.cluster.vq as vq
    import scipy.fft as fft
    import scipy.integrate as integrate
    import scipy.ndimage as ndimage
    import scipy.signal as signal
    import scipy.special as special
    import scipy.stats as stats

    for name in ("expit", "gammaln", "ndtr", "erf", "entr", "i0", "logsumexp", "softmax", "log_softmax"):
        yield f"special.{name}", getattr(special, name), (POSITIVE,)
    for name in (
        "skew",
        "kurtosis",
        "zscore",
        "sem",
        "variation",
        "gmean",
        "hmean",
        "describe",
        "entropy",
        "normaltest",
    ):
        yield f"stats.{name}", getattr(stats, name), (POSITIVE,)
    yield "stats.ttest_ind", stats.ttest_ind, (V, W)
    yield "stats.ttest_1samp", stats.ttest_1samp, (V, 0.0)
    yield "stats.pearsonr", lambda a, b: stats.pearsonr(a, b).statistic, (V, W)
    yield "stats.f_oneway", stats.f_oneway, (V, W)
    yield "ndimage.gaussian_filter", ndimage.gaussian_filter, (X, 1.0)
    yield "ndimage.median_filter", ndimage.median_filter, (X, 3)
    yield "ndimage.laplace", ndimage.laplace, (X,)
    yield "vq.whiten", vq.whiten, (X,)
    yield "vq.vq", vq.vq, (X, X[:3])
    yield "fft.dct", fft.dct, (V,)
    yield "fft.rfftn", fft.rfftn, (X,)
    yield "signal.detrend", signal.detrend, (V,)
    yield "signal.fftconvolve", signal.fftconvolve, (V, W)
    yield "integrate.simpson", integrate.simpson, (V,)
    yield "integrate.trapezoid", integrate.trapezoid, (V,)


def sklearn_calls():
    from sklearn import decomposition, discriminant_analysis, linear_model, metrics, naive_bayes, preprocessing

    for name in ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "Normalizer", "PolynomialFeatures", "Binarizer"):
        yield f"preprocessing.{name}", lambda x, make=getattr(preprocessing, name): make().fit_transform(x), (X,)
    yield "LabelEncoder", lambda y: preprocessing.LabelEncoder().fit_transform(y), (LABELS,)
    yield "GaussianNB", lambda x, y: naive_bayes.GaussianNB().fit(x, y).predict_proba(x), (X, LABELS)
    yield "LogisticRegression", lambda x, y: linear_model.LogisticRegression(tol=1e-10).fit(x, y).coef_, (X, LABELS)
    for name in ("accuracy_score", "f1_score", "precision_score", "recall_score", "zero_one_loss", "confusion_matrix"):
        yield f"metrics.{name}", getattr(metrics, name), (LABELS, LABELS[::-1].copy())
    for name in ("mean_squared_error", "mean_absolute_error", "r2_score", "explained_variance_score", "max_error"):
        yield f"metrics.{name}", getattr(metrics, name), (V, W)
    yield "metrics.log_loss", metrics.log_loss, (LABELS, 1 / (1 + np.exp(-V)))
    for name in ("euclidean_distances", "cosine_similarity", "rbf_kernel", "polynomial_kernel", "sigmoid_kernel"):
        yield f"pairwise.{name}", getattr(metrics.pairwise, name), (X, X[:4])
    yield "LDA", lambda x, y: discriminant_analysis.LinearDiscriminantAnalysis().fit(x, y).predict_proba(x), (X, LABELS)
    yield "PCA", lambda x: np.abs(np.asarray(decomposition.PCA(2, svd_solver="full").fit_transform(x))), (X,)
    yield "Ridge", lambda x, y: linear_model.Ridge(solver="svd").fit(x, y).predict(x), (X, V)
    yield "RidgeCV", lambda x, y: linear_model.RidgeCV().fit(x, y).predict(x), (X, V)
    yield "GaussianMixture", mixed, (X,)


def mixed(x):
    """Two Gaussians fitted from one start."""
    from sklearn.mixture import GaussianMixture

    start = {"weights_init": [0.5, 0.5], "means_init": X[:2], "precisions_init": np.stack([np.eye(5)] * 2)}
    if isinstance(x, helix.Tensor):
        start = {name: xp.asarray(value, dtype=xp.float64) for name, value in start.items()}
    return GaussianMixture(2, init_params="random", random_state=0, tol=1e-9, max_iter=5, **start).fit(x).means_


def gradients():
    """What SciPy computes with the namespace alone is differentiated through."""
    from scipy import special, stats

    for function in (stats.zscore, stats.skew, special.logsumexp, special.softmax):
        x = helix.tensor(V, requires_grad=True)
        weights = helix.tensor(W) if function in (stats.zscore, special.softmax) else 1.0
        (function(x) * weights).sum().backward()
        step = np.zeros_like(V)
        step[3] = 1e-6
        moved = [np.sum(function(V + by * step) * np.asarray(weights)) for by in (1, -1)]
        if not np.isclose(x.grad[3].item(), (moved[0] - moved[1]) / 2e-6, rtol=1e-4):
            sys.exit(f"gradient of {function.__name__}: {x.grad[3].item()}")
        print(f"gradient.{function.__name__}")


def same(got, wanted):
    """Equal to rounding; what NumPy arrays give arrays for, tensors give arrays of helix for."""
    if isinstance(wanted, (tuple, list)):
        return len(got) == len(wanted) and all(same(g, w) for g, w in zip(got, wanted))
    if isinstance(wanted, np.ndarray) and wanted.ndim and not isinstance(got, (helix.Tensor, np.ndarray)):
        return False
    return np.allclose(np.asarray(got), np.asarray(wanted), rtol=1e-6, atol=1e-8, equal_nan=True)


def run(calls):
    for name, function, arguments in calls:
        tensors = [helix.tensor(value) if isinstance(value, np.ndarray) else value for value in arguments]
        got, wanted = function(*tensors), function(*arguments)
        if not same(got, wanted):
            sys.exit(f"{name}: {got!r}, but NumPy's arrays give {wanted!r}")
        print(name)


if __name__ == "__main__":
    import sklearn

    run(scipy_calls())
    gradients()
    with sklearn.config_context(array_api_dispatch=True):
        run(sklearn_calls())
