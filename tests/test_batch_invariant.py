"""use_batch_invariant: a row has the same bits beside any number of rows, and at any place among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import helix
import helix.nn.functional as F

MOST = 65
COUNTS = (1, 2, 3, 7, 16, 17, 33, 48, 64)
DTYPES = (helix.float32, helix.float64, helix.bfloat16)


def normal(*shape: int, dtype: helix.dtype = helix.float32) -> helix.Tensor:
    return helix.randn(*shape, generator=helix.Generator(sum(shape))).to(dtype)


def bits(t: helix.Tensor) -> helix.Tensor:
    return t.detach().reshape(t.shape[0], -1).contiguous().view(helix.uint8)


def counts_that_differ(function: Callable[[Any], helix.Tensor], x: helix.Tensor, counts: Any = COUNTS) -> list[int]:
    """Numbers of rows, the last ones of x or from its middle, beside which a row has other bits than in the whole."""
    whole = bits(function(x))
    places = [(n, at) for n in counts for at in {MOST - n, (MOST - n) // 2}]
    return sorted({n for n, at in places if not (bits(function(x[at : at + n])) == whole[at : at + n]).all()})


def weights(dtype: helix.dtype) -> dict[str, tuple[Callable[[Any], helix.Tensor], tuple[int, ...]]]:
    """Calls, and the shape of a row."""
    w, b, tall = normal(200, 300, dtype=dtype), normal(200, dtype=dtype), normal(33, 4000, dtype=dtype)
    kernel, wide, depth = (
        normal(64, 64, 3, 3, dtype=dtype),
        normal(8, 16, 5, 5, dtype=dtype),
        normal(32, 1, 3, 3, dtype=dtype),
    )
    return {
        "linear": (lambda x: F.linear(x, w, b), (300,)),
        "linear of a tall matrix": (lambda x: F.linear(x, tall), (4000,)),
        "matmul": (lambda x: x @ w.T.contiguous(), (300,)),
        "matmul with a vector": (lambda x: x @ w[0], (300,)),
        "batched matmul": (lambda x: x @ x.mT, (20, 40)),
        "conv2d": (lambda x: F.conv2d(x, kernel, padding=1), (64, 8, 8)),
        "conv2d 5 x 5": (lambda x: F.conv2d(x, wide, padding=2), (16, 9, 9)),
        "depthwise conv2d": (lambda x: F.conv2d(x, depth, padding=1, groups=32), (32, 7, 7)),
        "attention": (lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True), (2, 70, 16)),
        "attention of one query": (lambda x: F.scaled_dot_product_attention(x[:, :, :1], x, x), (1, 700, 16)),
        "layer_norm": (lambda x: F.layer_norm(x, (300,)), (300,)),
        "rms_norm": (lambda x: F.rms_norm(x, (300,)), (300,)),
        "group_norm": (lambda x: F.group_norm(x, 4), (8, 5, 5)),
        "softmax": (lambda x: F.softmax(x, -1), (300,)),
        "softmax of columns": (lambda x: F.softmax(x, 1), (40, 3)),
        "sum of few": (lambda x: x.sum(-1), (7,)),
        "sum of columns": (lambda x: x.sum(1), (3000, 2)),
        "logsumexp": (lambda x: x.logsumexp(-1), (7,)),
        "var": (lambda x: x.var(-1), (7,)),
        "gelu": (F.gelu, (33,)),
        "avg_pool2d": (lambda x: F.avg_pool2d(x, 3), (4, 10, 10)),
    }


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
def test_rows_do_not_see_each_other(dtype):
    with helix.use_batch_invariant():
        found = {
            name: counts_that_differ(function, normal(MOST, *row, dtype=dtype))
            for name, (function, row) in weights(dtype).items()
        }
    assert not {name: counts for name, counts in found.items() if counts}


def test_a_transformer_block_in_evaluation():
    helix.manual_seed(1)
    block = helix.nn.TransformerEncoderLayer(64, 4, 128, batch_first=True).eval()
    with helix.use_batch_invariant(), helix.no_grad():
        assert not counts_that_differ(block, normal(MOST, 10, 64), range(1, MOST))


def test_without_the_mode_a_product_of_few_rows_is_another():
    w = normal(200, 1000)
    assert counts_that_differ(lambda x: F.linear(x, w), normal(MOST, 1000))
