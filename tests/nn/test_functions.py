"""helix.nn.functions beside torch: keywords that records lack, and functions made of ops."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as TF

import helix
import helix.nn.functional as F
from helix.autograd import grad
from helix.gradients import gradcheck

RNG = np.random.default_rng(0)


def pair(*shape: int, low: float = -2.0, high: float = 2.0, dtype: Any = np.float64) -> tuple[Any, Any]:
    """The same values as leaves of helix and of torch."""
    values = RNG.uniform(low, high, shape).astype(dtype)
    return helix.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)


def same(ours: Any, theirs: Any, tolerance: float = 1e-10) -> None:
    assert tuple(ours.shape) == tuple(theirs.shape)
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), tolerance, tolerance)


def same_gradients(ours: Any, theirs: Any, leaves: list[tuple[Any, Any]], tolerance: float = 1e-9) -> None:
    weights = RNG.normal(size=tuple(ours.shape))
    our_sum, their_sum = (ours * helix.tensor(weights)).sum(), (theirs * torch.tensor(weights)).sum()
    found = grad(our_sum, [a for a, _ in leaves])
    for a, b in zip(found, torch.autograd.grad(their_sum, [b for _, b in leaves]), strict=True):
        same(a, b, tolerance)


MODES = [
    (n, mode, padding, align)
    for n, mode, padding, align in itertools.product(
        (2, 3), ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection"), (True, False)
    )
    if n == 2 or mode != "bicubic"
]


@pytest.mark.parametrize(("n", "mode", "padding", "align"), MODES)
def test_grid_sample(n: int, mode: str, padding: str, align: bool) -> None:
    image = pair(2, 9, *((5, 6) if n == 2 else (3, 4, 5)))
    grid = pair(2, *((13, 11) if n == 2 else (3, 7, 8)), n, low=-1.6, high=1.6)
    ours = F.grid_sample(image[0], grid[0], mode, padding, align)
    theirs = TF.grid_sample(image[1], grid[1], mode, padding, align)
    same(ours, theirs)
    same_gradients(ours, theirs, [image, grid])


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_gradients_of_grid_sample(mode: str) -> None:
    image, grid = pair(1, 2, 4, 3)[0], pair(1, 2, 3, 2, low=-0.9, high=0.9)[0]
    assert gradcheck(lambda i, g: F.grid_sample(i, g, mode), (image, grid))
    (slope,) = grad(F.grid_sample(image, grid, mode).sum(), grid, create_graph=True)
    with pytest.raises(helix.errors.GradientError):
        grad(slope.sum(), grid)


def test_grid_sample_reads_nothing_outside() -> None:
    """A tap of weight 0 at an infinite point changes nothing, and coordinates that are no numbers read 0."""
    image = helix.tensor([[[[math.inf, 1.0], [2.0, 3.0]]]])
    far = helix.tensor([[[[9.0, 9.0], [math.nan, 0.0], [math.inf, -math.inf], [1e30, 0.0]]]])
    assert F.grid_sample(image, far).tolist() == [[[[0.0, 0.0, 0.0, 0.0]]]]
    assert F.grid_sample(image, far, padding_mode="border").shape == (1, 1, 1, 4)
    assert F.grid_sample(image.bfloat16(), far.bfloat16()).dtype is helix.bfloat16


def test_grid_sample_refuses() -> None:
    image = helix.zeros(2, 3, 4, 5)
    for grid in (helix.zeros(1, 2, 2, 2), helix.zeros(2, 2, 2, 3), helix.zeros(2, 2, 2)):
        with pytest.raises(helix.errors.ShapeError, match="grid of shape"):
            F.grid_sample(image, grid)
    with pytest.raises(helix.errors.DTypeError, match="float64"):
        F.grid_sample(image, helix.zeros(2, 2, 2, 2, dtype=helix.float64))
    with pytest.raises(helix.errors.ParameterError, match="bicubic"):
        F.grid_sample(helix.zeros(1, 1, 2, 2, 2), helix.zeros(1, 2, 2, 2, 3), "bicubic")


@pytest.mark.parametrize("threads", [1, 2])
def test_grid_sample_has_the_same_bits_for_any_threads(threads: int) -> None:
    image, grid = (helix.tensor(RNG_.normal(size=s)) for RNG_, s in ((np.random.default_rng(1), (3, 17, 40, 30)),
                                                                     (np.random.default_rng(2), (3, 50, 60, 2))))  # fmt: skip
    before = helix.get_num_threads()
    wanted = F.grid_sample(image, grid)
    helix.set_num_threads(threads)
    try:
        assert helix.equal(F.grid_sample(image, grid), wanted)
    finally:
        helix.set_num_threads(before)


@pytest.mark.parametrize("size", [(2, 3, 4, 5), (1, 1, 1, 3), (2, 1, 3, 4, 5)])
@pytest.mark.parametrize("align", [True, False])
def test_affine_grid(size: tuple[int, ...], align: bool) -> None:
    n = len(size) - 2
    theta = pair(size[0], n, n + 1)
    ours, theirs = F.affine_grid(theta[0], size, align), TF.affine_grid(theta[1], size, align)
    same(ours, theirs)
    same_gradients(ours, theirs, [theta])


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("given", [{"output_size": 3}, {"output_ratio": 0.5}])
def test_fractional_max_pool(n: int, given: dict[str, Any]) -> None:
    x = pair(2, 3, *(8, 7, 6)[:n])
    given = {key: (value,) * n for key, value in given.items()}
    samples = RNG.uniform(0, 1, (2, 3, n))
    name = f"fractional_max_pool{n}d"
    ours = getattr(F, name)(x[0], 2, **given, return_indices=True, _random_samples=helix.tensor(samples))
    theirs = getattr(TF, name)(x[1], 2, **given, return_indices=True, _random_samples=torch.tensor(samples))
    same(ours[0], theirs[0])
    assert ours[1].tolist() == theirs[1].tolist()
    same_gradients(ours[0], theirs[0], [x])
    assert getattr(F, name)(x[0], 2, **given).shape == ours[0].shape


def test_fractional_max_pool_refuses_windows_that_do_not_fit() -> None:
    with pytest.raises(helix.errors.ParameterError, match="do not fit"):
        F.fractional_max_pool2d(helix.zeros(1, 3, 3), 2, output_size=3)


@pytest.mark.parametrize(("function", "channels"), [(F.alpha_dropout, False), (F.feature_alpha_dropout, True)])
def test_alpha_dropout_keeps_mean_and_variance(function: Any, channels: bool) -> None:
    helix.manual_seed(0)
    x = F.selu(helix.randn(64, 512, 4))
    made = function(x, 0.2, training=True)
    assert abs((made.mean() - x.mean()).item()) < 0.03 and abs((made.var() - x.var()).item()) < 0.06
    dropped = (made == made.min()).float().mean(-1)
    assert (((dropped == 0) | (dropped == 1)).all().item()) is channels
    assert function(x, 0.2) is x and function(x, 1.0, True).abs().sum().item() == 0
    kept = x.clone()
    assert function(kept, 0.2, True, inplace=True) is kept and not helix.equal(kept, x)


def test_rrelu() -> None:
    helix.manual_seed(0)
    x = helix.full((4000,), -1.0)
    slopes = -F.rrelu(x, 0.1, 0.5, training=True)
    assert 0.1 <= slopes.min().item() < 0.11 and 0.49 < slopes.max().item() <= 0.5
    assert abs(slopes.mean().item() - 0.3) < 0.01
    assert F.rrelu_(x, 0.1, 0.5) is x and abs(x[0].item() + 0.3) < 1e-6


def test_gumbel_softmax_draws_by_probability() -> None:
    helix.manual_seed(0)
    logits = helix.tensor([0.1, 0.6, 0.3]).log().expand(6000, 3).clone().requires_grad_()
    hard = F.gumbel_softmax(logits, hard=True)
    np.testing.assert_allclose(hard.detach().mean(0).numpy(), [0.1, 0.6, 0.3], atol=0.03)
    assert set(np.unique(hard.detach().numpy().round(6))) == {0.0, 1.0}
    soft = F.gumbel_softmax(logits, tau=2.0, dim=0)
    np.testing.assert_allclose(soft.detach().sum(0).numpy(), 1, rtol=1e-5)
    assert grad((hard * helix.tensor([1.0, 2.0, 3.0])).sum(), logits)[0].abs().sum().item() > 0


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("given", [{"size": (5, 4)}, {"scale_factor": (0.4, 1.7)}, {"scale_factor": 0.6}])
def test_interpolation_against_aliases(mode: str, given: dict[str, Any]) -> None:
    x = pair(2, 3, 11, 9)
    for align in (False, True) if mode != "lanczos" else (False,):
        ours = F.interpolate(x[0], **given, mode=mode, antialias=True, align_corners=align)
        theirs = TF.interpolate(x[1], **given, mode=mode, antialias=True, align_corners=align)
        same(ours, theirs, 1e-6)
        same_gradients(ours, theirs, [x], 1e-6)


def test_recomputed_scale_factor() -> None:
    x = pair(1, 1, 7, 9)
    given: dict[str, Any] = {"scale_factor": 0.55, "mode": "bilinear", "recompute_scale_factor": True}
    same(F.interpolate(x[0], **given), TF.interpolate(x[1], **given))
    for wrong in ({"size": 3, "recompute_scale_factor": True}, {"size": 3, "align_corners": True}, {"antialias": True}):
        with pytest.raises(helix.errors.ParameterError):
            F.interpolate(x[0], **wrong)


@pytest.mark.parametrize("mode", ["embedding", "sum", "mean"])
@pytest.mark.parametrize(
    "given", [{"scale_grad_by_freq": True}, {"max_norm": 1.0}, {"max_norm": 0.7, "norm_type": 1.0}]
)
def test_tables(mode: str, given: dict[str, Any]) -> None:
    weight, indices = pair(6, 4), [[0, 2, 2], [5, 0, 1]]
    if mode != "embedding" and "scale_grad_by_freq" in given:
        given = {}  # torch divides by the counts of other rows: see below
    ours, theirs = (w.clone().detach().requires_grad_() for w in weight)
    more = dict(given) if mode == "embedding" else {**given, "mode": mode}
    name = "embedding" if mode == "embedding" else "embedding_bag"
    made = getattr(F, name)(helix.tensor(indices), ours, **more)
    wanted = getattr(TF, name)(torch.tensor(indices), theirs, **more)
    same(made, wanted, 1e-6)
    same(ours, theirs, 1e-6)
    same_gradients(made, wanted, [(ours, theirs)], 1e-6)


def test_gradients_of_bags_by_frequency() -> None:
    weight, indices = pair(6, 4)[0], helix.tensor([[0, 2, 2], [5, 0, 1]])
    found = [
        grad(F.embedding_bag(indices, weight, mode="sum", scale_grad_by_freq=s).sum(), weight)[0] for s in (False, True)
    ]
    assert helix.equal(found[1], found[0] / helix.tensor([[2.0], [1.0], [2.0], [1.0], [1.0], [1.0]]))
    with pytest.raises(helix.errors.ParameterError, match="max"):
        F.embedding_bag(indices, weight, mode="max", scale_grad_by_freq=True)


MASKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "masks": {"attn_mask": np.triu(np.ones((3, 5), bool), 2), "key_padding_mask": np.eye(2, 5, dtype=bool)},
    "per head": {"attn_mask": RNG.normal(size=(4, 3, 5))},
    "all heads": {"average_attn_weights": False},
    "no weights": {"need_weights": False},
}


@pytest.mark.parametrize("more", MASKS, ids=str)
@pytest.mark.parametrize("extra", [False, True])
def test_multi_head_attention(more: str, extra: bool) -> None:
    q, k, v = pair(3, 2, 8), pair(5, 2, 8), pair(5, 2, 8)
    weight, bias, out = pair(24, 8), pair(24), pair(8, 8)
    bias_k, bias_v = (pair(1, 1, 8), pair(1, 1, 8)) if extra else ((None, None), (None, None))
    results = []
    for i, (module, make) in enumerate(((F, helix.tensor), (TF, torch.tensor))):
        given = {name: make(m) if isinstance(m, np.ndarray) else m for name, m in MASKS[more].items()}
        weights = (weight[i], bias[i], bias_k[i], bias_v[i], extra, 0.0, out[i], None)
        results.append(module.multi_head_attention_forward(q[i], k[i], v[i], 8, 2, *weights, **given))
    (ours, our_weights), (theirs, their_weights) = results
    same(ours, theirs)
    same_gradients(ours, theirs, [q, k, v, weight])
    assert (our_weights is None) == (their_weights is None)
    if our_weights is not None:
        same(our_weights, their_weights)


@pytest.mark.parametrize("ranks", ["2 3", "3 2", "2 2", "3 3"])
def test_grouped_mm(ranks: str) -> None:
    ends = [1, 4, 4]
    a, b = {"2 3": ((6, 3), (3, 3, 2)), "3 2": ((3, 4, 3), (3, 6)), "2 2": ((4, 5), (5, 2)), "3 3": ((3, 4, 2), (3, 2, 5))}[ranks]  # fmt: skip
    x, y = pair(*a), pair(*b)
    offs = None if ranks == "3 3" else helix.tensor(ends)
    made = F.grouped_mm(x[0], y[0], offs=offs).detach().numpy()
    p, q = x[1].detach().numpy(), y[1].detach().numpy()
    bounds = list(itertools.pairwise([0, *ends]))
    if ranks == "3 3":
        wanted = p @ q
    elif ranks == "2 2":
        wanted = np.stack([p[:, i:j] @ q[i:j] for i, j in bounds])
    elif ranks == "2 3":
        wanted = np.concatenate([p[i:j] @ m for (i, j), m in zip(bounds, q, strict=True)] + [np.zeros((2, 2))])
    else:
        parts = [m @ q[:, i:j] for (i, j), m in zip(bounds, p, strict=True)]
        wanted = np.concatenate([*parts, np.zeros((4, 2))], 1)
    np.testing.assert_allclose(made, wanted, 1e-12)
    with pytest.raises(helix.errors.ArgumentError, match="offs"):
        F.grouped_mm(x[0], y[0], offs=helix.tensor(ends) if offs is None else None)


@pytest.mark.parametrize("p", [0.0, 1.0, 2.0, 3.5, math.inf])
def test_pdist(p: float) -> None:
    x = pair(5, 3)
    ours, theirs = F.pdist(x[0], p), TF.pdist(x[1], p)
    same(ours, theirs)
    if p:
        same_gradients(ours, theirs, [x])


def test_conv_tbc_and_linear_cross_entropy() -> None:
    x, w, b = pair(7, 2, 3), pair(3, 3, 4), pair(4)
    ours, theirs = F.conv_tbc(x[0], w[0], b[0], 1), TF.conv_tbc(x[1], w[1], b[1], 1)
    same(ours, theirs)
    same_gradients(ours, theirs, [x, w, b])
    x, w, target = pair(4, 3), pair(5, 2, 3), [[0, 4], [1, 1], [2, 3], [-100, 0]]
    for reduction in ("mean", "sum", "none"):
        given: dict[str, Any] = {"reduction": reduction, "label_smoothing": 0.1}
        ours = F.linear_cross_entropy(x[0], w[0], helix.tensor(target), **given)
        theirs = TF.linear_cross_entropy(x[1], w[1], torch.tensor(target), **given)
        same(ours, theirs)
        same_gradients(ours, theirs, [x, w])


LOSSES: dict[str, tuple[Any, ...]] = {
    "l1_loss": ((3, 4), (3, 4)),
    "mse_loss": ((3, 4), (3, 4)),
    "smooth_l1_loss": ((3, 4), (3, 4)),
    "kl_div": ((3, 4), (3, 4)),
    "soft_margin_loss": ((3, 4), (3, 4)),
    "poisson_nll_loss": ((3, 4), (3, 4)),
    "hinge_embedding_loss": ((3, 4), (3, 4)),
    "binary_cross_entropy_with_logits": ((3, 4), (3, 4)),
    "multilabel_soft_margin_loss": ((3, 4), (3, 4)),
    "margin_ranking_loss": ((4,), (4,), (4,)),
    "triplet_margin_loss": ((3, 4), (3, 4), (3, 4)),
    "cosine_embedding_loss": ((3, 4), (3, 4), (3,)),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.filterwarnings("ignore")
def test_older_reductions(name: str) -> None:
    values = [RNG.uniform(0.1, 0.9, shape) for shape in LOSSES[name]]
    ours, theirs = [helix.tensor(v) for v in values], [torch.tensor(v) for v in values]
    for size_average, reduce in itertools.product((None, True, False), repeat=2):
        given = {"size_average": size_average, "reduce": reduce}
        same(getattr(F, name)(*ours, **given), getattr(TF, name)(*theirs, **given))
    for reduction in ("mean", "sum", "none"):
        same(getattr(F, name)(*ours, reduction=reduction), getattr(TF, name)(*theirs, reduction=reduction))


def test_a_reduction_in_the_place_of_size_average_is_refused() -> None:
    x = helix.ones(2)
    with pytest.raises(helix.errors.ArgumentError, match="by keyword"):
        F.mse_loss(x, x, "sum")


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_weights_of_elements(name: str, reduction: str) -> None:
    x, y, w = pair(3, 4), pair(3, 4), pair(3, 4, low=0.1)
    ours = getattr(F, name)(x[0], y[0], reduction=reduction, weight=w[0])
    theirs = getattr(TF, name)(x[1], y[1], reduction=reduction, weight=w[1])
    same(ours, theirs)
    same_gradients(ours, theirs, [x, y, w])
    with pytest.raises(helix.errors.ShapeError, match="weight"):
        getattr(F, name)(x[0], y[0], weight=w[0][0])


def test_a_distance_of_ones_own() -> None:
    a, p, n = pair(4, 3), pair(4, 3), pair(4, 3)
    results = []
    for i, module in enumerate((F, TF)):
        results.append(
            module.triplet_margin_with_distance_loss(
                a[i], p[i], n[i], distance_function=lambda x, y: (x - y).abs().sum(-1), margin=0.5, swap=True
            )
        )
    same(*results)
    same_gradients(*results, [a, p, n])


IN_PLACE = [
    "relu",
    "relu6",
    "hardsigmoid",
    "hardswish",
    "mish",
    "selu",
    "silu",
    "celu",
    "elu",
    "leaky_relu",
    "hardtanh",
    "rrelu",
]


@pytest.mark.parametrize("name", IN_PLACE)
def test_inplace(name: str) -> None:
    x = helix.tensor([-2.0, -0.5, 0.5, 7.0])
    wanted, kept = getattr(F, name)(x), x.clone()
    assert getattr(F, name)(kept, inplace=True) is kept and helix.equal(kept, wanted)
    assert helix.equal(x, helix.tensor([-2.0, -0.5, 0.5, 7.0]))


def test_dropout_in_place() -> None:
    for function in (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d):
        x = helix.ones(2, 3, 4, 5, 6)
        assert function(x, 0.5, True, True) is x and set(np.unique(x.numpy())) == {0.0, 2.0}


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (2, 3, 2, 2)])
@pytest.mark.filterwarnings("ignore")
def test_softmax_without_a_dim(shape: tuple[int, ...]) -> None:
    x = pair(*shape)
    for name in ("softmax", "softmin", "log_softmax"):
        same(getattr(F, name)(x[0]), getattr(TF, name)(x[1]))


def test_further_names_of_pools() -> None:
    x = pair(1, 2, 6, 6)
    for name, arguments in (("max_pool2d", (2,)), ("adaptive_max_pool2d", ((None, 3),))):
        ours, theirs = (getattr(m, f"{name}_with_indices")(t, *arguments) for m, t in ((F, x[0]), (TF, x[1])))
        same(ours[0], theirs[0])
        assert ours[1].tolist() == theirs[1].tolist()
        same(getattr(F, name)(x[0], *arguments), theirs[0])
    same(F.adaptive_avg_pool2d(x[0], (2, None)), TF.adaptive_avg_pool2d(x[1], (2, None)))
