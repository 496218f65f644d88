"""Attention beyond torch's layer: masks, windows, slopes, rotary positions, caches, scoring nets."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import helix as hx
from helix import nn
from helix.errors import ArgumentError, GradientError, ParameterError, ShapeError
from helix.nn import functional as F
from helix.nn.attend import attend
from helix.nn.cache import DecoderState, KeyValueCache, sight_of
from helix.nn.masks import alibi_bias, alibi_slopes, causal_mask, padding_mask
from helix.nn.positions import apply_rotary, rotary_frequencies, sinusoids
from helix.nn.windows import windowed_attention

from .compare import assert_close


def randn(*shape, dtype=hx.float64, seed=0):
    return hx.tensor(np.random.default_rng(seed + sum(shape)).standard_normal(shape), dtype=dtype)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# ---- masks ----


@pytest.mark.parametrize(("queries", "keys", "window"), [(4, 4, None), (2, 5, None), (5, 5, 2), (3, 7, 4), (1, 6, 1)])
def test_causal_masks_by_their_definition(queries, keys, window):
    mask = causal_mask(queries, keys, window).tolist()
    for row in range(queries):
        at = keys - queries + row
        assert mask[row] == [k <= at and (window is None or at - k < window) for k in range(keys)]


def test_padding_masks():
    lengths = hx.tensor([0, 2, 3])
    assert padding_mask(lengths, 3).tolist() == [[False] * 3, [True, True, False], [True] * 3]
    assert padding_mask(lengths, 3, left=True).tolist() == [[False] * 3, [False, True, True], [True] * 3]


def test_slopes_of_eight_and_of_twelve_heads():
    assert alibi_slopes(8) == [2.0**-i for i in range(1, 9)]
    assert np.allclose(alibi_slopes(12), [2.0**-i for i in range(1, 9)] + [2.0 ** -(i + 0.5) for i in range(4)])
    bias = alibi_bias(8, 2, 3)
    assert bias[0].tolist() == [[-0.5, 0.0, 0.0], [-1.0, -0.5, 0.0]]


@pytest.mark.parametrize(("length", "window"), [(1, 1), (6, 9), (7, 3), (12, 3), (13, 3), (14, 3), (9, 1), (16, 4)])
def test_windowed_attention_is_attention_with_the_mask(length, window):
    q, k, v = (randn(2, 2, length, 4, seed=s) for s in (1, 2, 3))
    for t in (q, k, v):
        t.requires_grad_()
    weights = randn(2, 2, length, 4, seed=9)
    wanted = F.scaled_dot_product_attention(q, k, v, causal_mask(length, window=window))
    gradients = hx.autograd.grad((wanted * weights).sum(), [q, k, v])
    got = windowed_attention(q, k, v, window)
    assert_close(got, wanted, 1e-12, 1e-12)
    for mine, theirs in zip(hx.autograd.grad((got * weights).sum(), [q, k, v]), gradients, strict=True):
        assert_close(mine, theirs, 1e-12, 1e-12)


@pytest.mark.parametrize("window", [0, -2])
def test_windows_that_see_nothing_are_refused(window):
    q = hx.ones(1, 1, 4, 2)
    for call in (
        lambda: windowed_attention(q, q, q, window),
        lambda: sight_of(4, window=window),
        lambda: causal_mask(4, window=window),
    ):
        with pytest.raises(ParameterError, match="HX1403 causal_.*: window must be at least 1"):
            call()


def test_slopes_of_float64_layers_are_float64():
    """Those of sixteen heads are no powers of two, which float32 would hold too."""
    layer = nn.GroupedQueryAttention(32, 16, alibi=True, dtype=hx.float64)
    x = randn(1, 40, 32)
    with hx.no_grad():
        np.testing.assert_allclose(layer(x).numpy(), reference(layer, x.numpy()), rtol=0, atol=1e-14)


# ---- positions ----


def turned(x: np.ndarray, layout: str) -> np.ndarray:
    """Every pair as a complex number, turned by position times frequency."""
    half = x.shape[-1] // 2
    a, b = (x[..., :half], x[..., half:]) if layout == "half" else (x[..., ::2], x[..., 1::2])
    angles = np.arange(x.shape[-2])[:, None] * 10000.0 ** (-np.arange(half) / half)
    z = (a + 1j * b) * np.exp(1j * angles)
    parts = (z.real, z.imag)
    return np.concatenate(parts, -1) if layout == "half" else np.stack(parts, -1).reshape(x.shape)


@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_rotary_turns_pairs(layout):
    x = randn(2, 3, 5, 8)
    rotary = nn.RotaryEmbedding(8, layout=layout)
    got = rotary(x, hx.arange(5))
    np.testing.assert_allclose(got.numpy(), turned(x.numpy(), layout), atol=1e-6)
    per_row = rotary(x, hx.tensor([[0, 1, 2, 3, 4], [3, 4, 5, 6, 7]]))
    scores = (per_row[1] @ per_row[1].transpose(-2, -1)).numpy()
    np.testing.assert_allclose(scores, (got[1] @ got[1].transpose(-2, -1)).numpy(), atol=1e-5)  # distances alone count
    assert not rotary.state_dict() and hx.autograd.gradcheck(
        lambda t: apply_rotary(t, *rotary.turns(hx.arange(5), hx.float64), layout), (x.requires_grad_(),)
    )


def test_features_beyond_the_pairs_stay():
    x = randn(1, 1, 3, 6)
    cos, sin = nn.RotaryEmbedding(4).turns(hx.arange(3), x.dtype)
    got = apply_rotary(x, cos, sin)
    assert got[..., 4:].tolist() == x[..., 4:].tolist()
    np.testing.assert_allclose(got[..., :4].numpy(), turned(x[..., :4].numpy(), "half"), atol=1e-6)


def test_scaled_frequencies():
    plain = rotary_frequencies(64, 500000.0)
    assert rotary_frequencies(64, 500000.0, {"rope_type": "linear", "factor": 4.0}) == [f / 4 for f in plain]
    three = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
             "original_max_position_embeddings": 8192}  # fmt: skip
    got = rotary_frequencies(64, 500000.0, three)
    for angle, slowed in zip(plain, got, strict=True):
        wavelength = 2 * math.pi / angle
        if wavelength < 8192 / 4:
            assert slowed == angle
        elif wavelength > 8192 / 1:
            assert slowed == angle / 8
        else:
            smooth = (8192 / wavelength - 1) / (4 - 1)
            assert slowed == pytest.approx((1 - smooth) * angle / 8 + smooth * angle, rel=1e-12)
    assert got[0] == plain[0] and got[-1] == plain[-1] / 8
    with pytest.raises(ParameterError, match="'su' is not one of default, linear, dynamic, yarn, longrope, llama3"):
        rotary_frequencies(4, scaling={"rope_type": "su"})
    with pytest.raises(ParameterError, match="'yarn' needs original_max_position_embeddings, got"):
        nn.RotaryEmbedding(4, scaling={"type": "yarn", "factor": 2.0, "attention_factor": 1.0})
    with pytest.raises(ParameterError, match="longrope needs 2 factors, one for each pair, got 1"):
        rotary_frequencies(4, scaling={"rope_type": "longrope", "long_factor": [1.0], "short_factor": [1.0]})


def test_sinusoids_by_their_formulas():
    got = sinusoids(7, 6, dtype=hx.float64).numpy()
    for p in range(7):
        for i in range(3):
            angle = p / 10000 ** (2 * i / 6)
            assert abs(got[p, 2 * i] - math.sin(angle)) < 1e-6 and abs(got[p, 2 * i + 1] - math.cos(angle)) < 1e-6
    half = sinusoids(3, 8, layout="half").numpy()
    assert abs(half[2, 3] - math.sin(2 / 10000)) < 1e-6 and abs(half[2, 7] - math.cos(2 / 10000)) < 1e-6


@pytest.mark.parametrize("layer", [nn.SinusoidalPositions(4, 5), nn.LearnedPositions(4, 5)])
def test_positions_are_added(layer):
    x = hx.zeros(2, 3, 4)
    table = layer.table if isinstance(layer, nn.SinusoidalPositions) else layer.weight
    assert layer(x)[1].tolist() == table[:3].tolist()
    with pytest.raises(nn.LayerError, match="length up to 5"):
        layer(hx.zeros(1, 6, 4))


# ---- layers ----

OPTIONS = [{}, {"num_kv_heads": 2}, {"num_kv_heads": 1, "bias": True, "head_dim": 6}, {"window": 3}, {"alibi": True},
           {"rotary": nn.RotaryEmbedding(4, layout="interleaved")}, {"window": 2, "alibi": True, "num_kv_heads": 2},
           {"window": 4, "rotary": nn.RotaryEmbedding(2)}]  # fmt: skip


def reference(layer: nn.GroupedQueryAttention, x: np.ndarray) -> np.ndarray:
    """One head and one query at a time, in NumPy."""
    batch, length, _ = x.shape
    heads, size, group = layer.num_heads, layer.head_dim, layer.num_heads // layer.num_kv_heads

    def project(linear, count):
        y = x @ linear.weight.detach().numpy().T + (0 if linear.bias is None else linear.bias.detach().numpy())
        return y.reshape(batch, length, count, size).transpose(0, 2, 1, 3)

    q, k, v = project(layer.q_proj, heads), *(project(p, layer.num_kv_heads) for p in (layer.k_proj, layer.v_proj))
    if layer.rotary is not None:
        n = layer.rotary.dim
        q, k = (np.concatenate([turned(t[..., :n], layer.rotary.layout), t[..., n:]], -1) for t in (q, k))
    out = np.zeros((batch, length, heads * size))
    for b in range(batch):
        for h in range(heads):
            for i in range(length):
                first = 0 if layer.window is None else max(0, i - layer.window + 1)
                scores = k[b, h // group, first : i + 1] @ q[b, h, i] / math.sqrt(size)
                if layer.alibi:
                    scores -= alibi_slopes(heads)[h] * (i - np.arange(first, i + 1))
                out[b, i, h * size : (h + 1) * size] = softmax(scores) @ v[b, h // group, first : i + 1]
    return out @ layer.o_proj.weight.detach().numpy().T + (
        0 if layer.o_proj.bias is None else layer.o_proj.bias.detach().numpy()
    )


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_grouped_queries_by_definition_and_piece_by_piece(options):
    hx.manual_seed(0)
    layer = nn.GroupedQueryAttention(16, 4, dtype=hx.float64, **options)
    x = randn(2, 9, 16)
    with hx.no_grad():
        whole = layer(x)
        np.testing.assert_allclose(whole.numpy(), reference(layer, x.numpy()), atol=1e-6 if layer.rotary else 1e-12)
        state, pieces = DecoderState(1, window=layer.window), []
        for begin, end in ((0, 3), (3, 4), (4, 5), (5, 8), (8, 9)):
            sight = state.ahead(end - begin)
            pieces.append(layer(x[:, begin:end], None, sight, state.caches[0]))
    assert_close(hx.cat(pieces, 1), whole, 1e-12, 1e-12)
    parameters = [p.requires_grad_() for p in layer.parameters()]
    assert hx.autograd.gradcheck(lambda t, *_: layer(t), (randn(1, 5, 16).requires_grad_(), *parameters))


def test_attention_across():
    layer = nn.GroupedQueryAttention(8, 2, is_causal=False, source_dim=6, dtype=hx.float64)
    x, source = randn(2, 3, 8), randn(2, 5, 6)
    theirs = torch.nn.MultiheadAttention(8, 2, kdim=6, vdim=6, bias=False, batch_first=True, dtype=torch.float64)
    for name in "qkv":
        getattr(theirs, f"{name}_proj_weight").data = torch.tensor(
            getattr(layer, f"{name}_proj").weight.detach().numpy()
        )
    theirs.out_proj.weight.data = torch.tensor(layer.o_proj.weight.detach().numpy())
    source_t = torch.tensor(source.numpy())
    assert_close(layer(x, source), theirs(torch.tensor(x.numpy()), source_t, source_t)[0], 1e-12, 1e-12)
    with pytest.raises(ArgumentError, match="is_causal=False"):
        nn.GroupedQueryAttention(8, 2)(x, x)


@pytest.mark.parametrize(("arguments", "keywords"), [((8, 3), {}), ((8, 4, 3), {}), ((8, 2), {"window": 0}),
                                                     ((8, 2), {"window": 2, "is_causal": False})])  # fmt: skip
def test_sizes_that_do_not_divide(arguments, keywords):
    with pytest.raises(ParameterError, match="HX1403 GroupedQueryAttention"):
        nn.GroupedQueryAttention(*arguments, **keywords)


@pytest.mark.parametrize("kind", ["additive", "multiplicative"])
def test_scoring_nets_by_their_formulas(kind):
    hx.manual_seed(1)
    made = {"dtype": hx.float64}
    layer = nn.AdditiveAttention(4, 6, 5, **made) if kind == "additive" else nn.MultiplicativeAttention(4, 6, **made)
    q, k, v = randn(2, 3, 4), randn(2, 5, 6), randn(2, 5, 7)
    p = {name: t.numpy() for name, t in layer.state_dict().items()}
    scores = np.zeros((2, 3, 5))
    for b, i, j in np.ndindex(2, 3, 5):
        if kind == "additive":
            inner = np.tanh(p["query_proj.weight"] @ q.numpy()[b, i] + p["key_proj.weight"] @ k.numpy()[b, j])
            scores[b, i, j] = (p["score.weight"] @ inner).item()
        else:
            scores[b, i, j] = q.numpy()[b, i] @ p["weight"] @ k.numpy()[b, j]
    mixed, weights = layer(q, k, v)
    np.testing.assert_allclose(weights.detach().numpy(), softmax(scores), atol=1e-12)
    np.testing.assert_allclose(mixed.detach().numpy(), softmax(scores) @ v.numpy(), atol=1e-12)
    mask = padding_mask(hx.tensor([2, 0]), 5).unsqueeze(1)
    mixed, weights = layer(q, k, mask=mask)
    np.testing.assert_allclose(weights.detach().numpy()[0, :, :2], softmax(scores[0, :, :2]), atol=1e-12)
    assert float(weights[0, :, 2:].abs().sum()) == 0 == float(mixed[1].abs().sum())
    parameters = list(layer.parameters())
    assert hx.autograd.gradcheck(lambda a, b, c, *_: layer(a, b, c, mask)[0],
                        tuple(t.requires_grad_() for t in (q, k, v, *parameters)))  # fmt: skip
    with pytest.raises(nn.LayerError, match="key must be"):
        layer(q, q)


# ---- caches ----


def test_a_cache_grows_by_doubling():
    cache, copies, held = KeyValueCache(), 0, None
    for i in range(500):
        keys, values = cache.append(hx.full((1, 1, 1, 1), float(i)), hx.full((1, 1, 1, 1), -float(i)))
        copies += held is not None and held is not cache._keys
        held = cache._keys
    assert copies == 4 and keys.flatten().tolist() == list(range(500)) and values[0, 0, 7].item() == -7
    roomy = KeyValueCache(capacity=500)
    roomy.append(keys, values)
    assert roomy._keys.shape[2] == 500


def test_a_window_bounds_what_is_held():
    cache = KeyValueCache(window=5)
    for i in range(100):
        keys, _ = cache.append(hx.full((1, 1, 1, 1), float(i)), hx.zeros(1, 1, 1, 1))
        assert keys.flatten().tolist()[-5:] == [float(k) for k in range(max(0, i - 4), i + 1)]
        assert keys.shape[2] <= 10 and cache.start + keys.shape[2] == i + 1
    assert cache._keys.shape[2] <= 32


def test_rows_of_a_cache_are_selected():
    cache = KeyValueCache()
    cache.append(hx.arange(6.0).reshape(3, 1, 2, 1), hx.zeros(3, 1, 2, 1))
    chosen = cache.select(hx.tensor([2, 2, 0, 1]))
    keys, _ = chosen.append(hx.full((4, 1, 1, 1), 9.0), hx.zeros(4, 1, 1, 1))
    assert keys[:, 0, :, 0].tolist() == [[4, 5, 9], [4, 5, 9], [0, 1, 9], [2, 3, 9]]
    with pytest.raises(ShapeError, match="holds 4 rows, got 2"):
        chosen.append(hx.zeros(2, 1, 1, 1), hx.zeros(2, 1, 1, 1))


def test_a_cache_loses_no_gradient_in_silence():
    with pytest.raises(GradientError, match="HX1503.*no_grad"):
        KeyValueCache().append(hx.zeros(1, 1, 1, 1).requires_grad_(), hx.zeros(1, 1, 1, 1))


def test_sight_of_padded_text():
    sight = sight_of(3, hx.tensor([[1, 1, 0], [1, 1, 1]]))
    assert not sight.is_causal and sight.mask.tolist() == [[[[True, True, False]]], [[[True, True, True]]]]
    assert sight.distances.tolist() == [0.0, 0.0, 0.0, float("-inf"), float("-inf")]
    assert sight_of(3).is_causal and sight_of(3, window=3).is_causal and not sight_of(4, window=3).is_causal


@pytest.mark.parametrize("window", [None, 3])
def test_a_cache_alone_says_where_tokens_stand(window):
    layer = nn.GroupedQueryAttention(8, 2, rotary=nn.RotaryEmbedding(4), window=window)
    x = hx.randn(2, 9, 8, generator=hx.Generator().manual_seed(1))
    with hx.no_grad():
        whole, cache = layer(x), KeyValueCache(window=window)
        pieces = [layer(x[:, i:j], cache=cache) for i, j in ((0, 2), (2, 3), (3, 4), (4, 8), (8, 9))]
    assert_close(hx.cat(pieces, 1), whole, 1e-5, 1e-5)


@pytest.mark.parametrize("dtype", [hx.float16, hx.bfloat16], ids=str)
def test_far_positions_in_half_precision(dtype):
    at = hx.arange(4093, 4097)
    for found, wanted in zip(nn.RotaryEmbedding(8).to(dtype).turns(at), nn.RotaryEmbedding(8).turns(at), strict=True):
        assert found.equal(wanted)
    biases = [alibi_bias(2, 1, 3000, dtype=kind).to(hx.float32) for kind in (dtype, hx.float32)]
    assert_close(biases[0], biases[1], 0.004, 0)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("kind", ["bool", "added"])
@pytest.mark.parametrize("biased", [False, True])
def test_a_mask_beside_a_sight_counts_too(padded, kind, biased):
    q, k, v = (randn(2, 2, 5, 4, seed=n) for n in range(3))
    padding = hx.tensor([[0, 1, 1, 1, 1], [1, 1, 1, 1, 1]])
    mask = hx.tensor(np.random.default_rng(1).random((5, 5)) < 0.6) if kind == "bool" else randn(5, 5, seed=9)
    bias = randn(2, 9, seed=7) if biased else None
    seen = causal_mask(5) & ((padding != 0).reshape(2, 1, 1, 5) if padded else True)
    whole = hx.where(seen & mask, 0.0, -math.inf) if kind == "bool" else hx.where(seen, mask, -math.inf)
    got = attend(q, k, v, sight_of(5, padding if padded else None), mask=mask, bias=bias)
    wanted = F.scaled_dot_product_attention(q, k, v, whole.double(), distance_bias=bias)
    np.testing.assert_allclose(got.numpy(), wanted.numpy(), atol=1e-12)
