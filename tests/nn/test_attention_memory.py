"""Rules of what is seen hold no mask of all pairs: peak memory of long texts, by the pool's counters."""

from __future__ import annotations

import pytest

import helix as hx
from helix import nn
from helix.models.t5 import Attention
from helix.nn.cache import sight_of

LENGTH = 16_384


def grouped(**options):
    layer = nn.GroupedQueryAttention(8, 2, 1, **options)
    return layer, lambda x, sight: layer(x, None, sight)


def relative():
    layer = Attention({"d_model": 8, "num_heads": 1, "d_kv": 8}, True, False)

    def run(x, sight):
        return layer(x, layer.keys_and_values(x), sight.mask, layer.bias(LENGTH, LENGTH) + sight.distances)

    return layer, run


def many_heads():
    layer = nn.MultiheadAttention(8, 1, batch_first=True)

    def run(x, sight):
        padding = (~sight.mask).flatten(1)
        return layer(x, x, x, key_padding_mask=padding, need_weights=False, is_causal=True)[0]

    return layer, run


@pytest.mark.parametrize(
    "kind", ["alibi", "alibi with padding", "window", "window with padding", "relative", "many heads"]
)
def test_peak_of_a_long_text(kind):
    made = {
        "alibi": lambda: grouped(alibi=True),
        "alibi with padding": lambda: grouped(alibi=True),
        "window": lambda: grouped(window=64),
        "window with padding": lambda: grouped(window=64),
        "relative": relative,
        "many heads": many_heads,
    }
    _, run = made[kind]()
    x, mask = hx.randn(1, LENGTH, 8), hx.arange(LENGTH).unsqueeze(0) >= 10
    padded = None if kind in ("alibi", "window") else mask
    hx.reset_peak_memory()
    before = hx.memory_stats()["live_bytes"]
    with hx.no_grad():
        run(x, sight_of(LENGTH, padded, 64 if "alibi" not in kind else None))
    peak = hx.memory_stats()["peak_bytes"] - before
    assert peak < LENGTH * LENGTH // 16, peak  # half a bit for each pair
