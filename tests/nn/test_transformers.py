"""Multi-head attention, encoders and decoders against torch's: outputs and all gradients, in both precisions."""

from __future__ import annotations

import itertools

import pytest
import torch

import helix as hx
from helix import nn

from .compare import assert_close, copy_weights, to_helix

BOUND = {torch.float32: 1e-5, torch.float64: 1e-9}


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request):
    torch.manual_seed(0)
    return request.param


def both(*shape, dtype):
    theirs = torch.randn(*shape, dtype=dtype).requires_grad_()
    return to_helix(theirs).requires_grad_(), theirs


def compare(mine, theirs, inputs, results, bound: float) -> None:
    """Results, and the gradients of inputs and parameters."""
    weights = [torch.randn(r.shape, dtype=r.dtype) for _, r in results]
    for (a, b), _ in zip(results, weights, strict=True):
        assert_close(a, b, bound, bound)
    sum((a * to_helix(w)).sum() for (a, _), w in zip(results, weights, strict=True)).backward()
    sum((b * w).sum() for (_, b), w in zip(results, weights, strict=True)).backward()
    grown = 20 * bound  # sums of many terms
    for a, b in inputs:
        assert_close(a.grad, b.grad, grown, grown)
    mine_p = dict(mine.named_parameters())
    for name, parameter in theirs.named_parameters():
        if parameter.grad is not None:
            assert_close(mine_p[name].grad, parameter.grad, grown, grown, name)


LAYERS = [{}, {"bias": False}, {"add_bias_kv": True}, {"add_zero_attn": True}, {"add_bias_kv": True, "add_zero_attn": True},
          {"kdim": 6, "vdim": 5}, {"kdim": 6, "vdim": 5, "add_zero_attn": True}, {"batch_first": True}]  # fmt: skip
MASKS = ["none", "bool", "float", "heads", "padding", "bool+padding", "float+float padding", "causal", "hint"]


def masks_of(kind: str, queries: int, keys: int, dtype) -> dict:
    hidden = torch.rand(queries, keys) < 0.4
    hidden[:, 0] = False
    padding = torch.tensor([[False] * keys, [False] * (keys - 2) + [True] * 2])
    causal = torch.ones(queries, keys).triu(1).bool()
    added = torch.randn(queries, keys, dtype=dtype)
    return {
        "none": {},
        "bool": {"attn_mask": hidden},
        "float": {"attn_mask": added},
        "heads": {"attn_mask": torch.randn(4, queries, keys, dtype=dtype)},
        "padding": {"key_padding_mask": padding},
        "bool+padding": {"attn_mask": hidden, "key_padding_mask": padding},
        "float+float padding": {
            "attn_mask": added,
            "key_padding_mask": torch.zeros(2, keys, dtype=dtype).masked_fill(padding, float("-inf")),
        },
        "causal": {"attn_mask": causal},
        "hint": {"attn_mask": causal, "is_causal": True},
    }[kind]


CASES = [(LAYERS[0], kind, dtype) for kind in MASKS for dtype in BOUND]
CASES += [(options, kind, torch.float32) for options in LAYERS[1:] for kind in MASKS]


def comparable(options, kind, need_weights):
    """torch hides what it appends when it trusts the hint, which it does without weights, and shows it when it does not."""
    return not (kind == "hint" and not need_weights and ("add_bias_kv" in options or "add_zero_attn" in options))


@pytest.mark.parametrize(
    ("options", "kind", "dtype", "need_weights"),
    [(*case, weights) for case in CASES for weights in (True, False) if comparable(*case[:2], weights)],
    ids=str,
)
def test_multi_head_attention(options, kind, dtype, need_weights):
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(8, 2, dtype=dtype, **options)
    mine = nn.MultiheadAttention(8, 2, dtype=getattr(hx, str(dtype).partition(".")[2]), **options)
    copy_weights(mine, theirs)
    sizes = (8, options.get("kdim", 8), options.get("vdim", 8))
    shapes = [(2, n, w) if "batch_first" in options else (n, 2, w) for n, w in zip((5, 4, 4), sizes, strict=True)]
    inputs = [both(*shape, dtype=dtype) for shape in shapes]
    keywords = masks_of(kind, 5, 4, dtype)
    average = kind != "heads"
    wanted = theirs(*(t for _, t in inputs), need_weights=need_weights, average_attn_weights=average, **keywords)
    given = {name: to_helix(m) if isinstance(m, torch.Tensor) else m for name, m in keywords.items()}
    got = mine(*(m for m, _ in inputs), need_weights=need_weights, average_attn_weights=average, **given)
    assert (got[1] is None) == (wanted[1] is None)
    pairs = [(a, b) for a, b in zip(got, wanted, strict=True) if b is not None]
    compare(mine, theirs, inputs, pairs, BOUND[dtype])


@pytest.mark.parametrize(("need_weights", "padded"), itertools.product([True, False], repeat=2))
def test_causal_without_a_mask_is_causal_with_one(need_weights, padded):
    x, layer = to_helix(torch.randn(5, 2, 8)), nn.MultiheadAttention(8, 2, add_zero_attn=padded)
    padding = hx.tensor([[False] * 5, [False] * 4 + [True]]) if padded else None
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    a = layer(x, x, x, padding, need_weights, is_causal=True)[0]
    assert_close(a, layer(x, x, x, padding, need_weights, mask)[0])


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize(("name", "shape"), [("attn_mask", (5, 5)), ("key_padding_mask", (2, 5))])
def test_whole_numbers_are_no_masks(name, shape, need_weights):
    """torch refuses them too: 1 may mean that a key is seen, or that it is not."""
    x, mask = hx.randn(2, 5, 8), hx.ones(*shape, dtype=hx.int64)
    with pytest.raises(hx.errors.DTypeError, match=f"HX1101 .*{name} must be bool .* or floating .* got helix.int64"):
        nn.MultiheadAttention(8, 2, batch_first=True)(x, x, x, need_weights=need_weights, **{name: mask})


def test_unbatched_inputs():
    theirs, mine = torch.nn.MultiheadAttention(8, 2, add_bias_kv=True), nn.MultiheadAttention(8, 2, add_bias_kv=True)
    copy_weights(mine, theirs)
    x, padding = torch.randn(5, 8), torch.tensor([False, False, True, False, True])
    wanted, got = theirs(x, x, x, padding), mine(*[to_helix(x)] * 3, to_helix(padding))
    for a, b in zip(got, wanted, strict=True):
        assert_close(a, b)


def test_initial_weights_have_torchs_spread():
    hx.manual_seed(0)
    torch.manual_seed(0)
    mine, theirs = nn.MultiheadAttention(64, 2, add_bias_kv=True), torch.nn.MultiheadAttention(64, 2, add_bias_kv=True)
    for name, parameter in theirs.named_parameters():
        got, wanted = dict(mine.named_parameters())[name].detach().numpy().std(), parameter.detach().numpy().std()
        assert abs(got - wanted) <= 0.25 * wanted + 1e-9, name


@pytest.mark.parametrize("options", [{}, {"norm_first": True, "batch_first": True}, {"activation": "gelu", "bias": False}],
                         ids=str)  # fmt: skip
def test_decoder_layer_and_whole_transformer(options, dtype):
    sizes = {"d_model": 8, "nhead": 2, "dim_feedforward": 12, "dropout": 0.0, **options}
    counts = {"num_encoder_layers": 1, "num_decoder_layers": 2}
    theirs = torch.nn.Transformer(**sizes, **counts, dtype=dtype)
    mine = nn.Transformer(**sizes, **counts, dtype=getattr(hx, str(dtype).partition(".")[2]))
    copy_weights(mine, theirs)
    shapes = [(2, n, 8) if options.get("batch_first") else (n, 2, 8) for n in (5, 4)]
    inputs = [both(*shape, dtype=dtype) for shape in shapes]
    causal = torch.nn.Transformer.generate_square_subsequent_mask(4, dtype=dtype)
    padding = torch.zeros(2, 5, dtype=dtype)
    padding[1, 4] = float("-inf")
    wanted = theirs(*(t for _, t in inputs), tgt_mask=causal, src_key_padding_mask=padding,
                    memory_key_padding_mask=padding, tgt_is_causal=True)  # fmt: skip
    got = mine(*(m for m, _ in inputs), tgt_mask=to_helix(causal), src_key_padding_mask=to_helix(padding),
               memory_key_padding_mask=to_helix(padding), tgt_is_causal=True)  # fmt: skip
    compare(mine, theirs, inputs, [(got, wanted)], BOUND[dtype])


def test_what_does_not_fit_is_named():
    model = nn.Transformer(8, 2, 1, 1, 8)
    with pytest.raises(nn.LayerError, match="src has 7 features"):
        model(hx.ones(3, 2, 7), hx.ones(3, 2, 8))
    with pytest.raises(nn.LayerError, match="unequal numbers of samples"):
        model(hx.ones(3, 2, 8), hx.ones(3, 1, 8))
    with pytest.raises(ValueError, match="activation must be"):
        nn.TransformerDecoderLayer(8, 2, activation="wave")
