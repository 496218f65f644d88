"""Ready models: shapes, causality, and the choice by data."""

from __future__ import annotations

import numpy as np
import pytest

import helix as hx
from helix import models, nn
from helix.data import DataInfo
from helix.errors import ConfigError


@pytest.mark.parametrize("size", [(1, 3, 3), (1, 8, 8), (3, 5, 17), (3, 32, 32), (2, 40, 24)])
def test_cnn_takes_every_size(size):
    model = models.cnn(size, 7, width=4)
    assert tuple(model.infer(hx.zeros(2, *size)).shape) == (2, 7)
    model(hx.ones(2, *size)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_cnn_refuses_what_is_too_small():
    with pytest.raises(ValueError, match="both sides must be 3 or more"):
        models.cnn((1, 2, 9), 3)


def test_a_decoder_sees_no_later_token():
    hx.manual_seed(0)
    model = models.Decoder(vocabulary=11, length=8, dim=16, depth=2, heads=2)
    first = hx.tensor([[1, 2, 3, 4, 5, 6, 7, 8]])
    second = hx.tensor([[1, 2, 3, 4, 5, 9, 10, 0]])
    a, b = model.infer(first), model.infer(second)
    assert a[:, :5].tolist() == b[:, :5].tolist() and a[:, 5:].tolist() != b[:, 5:].tolist()
    assert abs(nn.functional.cross_entropy(a[0], first[0]).item() - 2.4) < 0.2  # untrained: about log 11


def test_generate_is_reproducible_and_goes_beyond_its_length():
    hx.manual_seed(0)
    model = models.Decoder(length=8, dim=16, depth=1, heads=2).train()
    texts = [model.generate(b"ab", 20, 0.9, hx.Generator().manual_seed(3)) for _ in range(2)]
    assert texts[0] == texts[1] and len(texts[0]) == 20 and model.training
    assert model.generate(b"", 3, 0.0) == model.generate(b"", 3, 0.0) and model.generate(b"x", 0) == b""
    with pytest.raises(ValueError, match="must not be negative"):
        model.generate(b"a", 1, -1.0)


@pytest.mark.parametrize(
    "options", [{}, {"positions": "rotary"}, {"window": 3}, {"positions": "rotary", "window": 3}], ids=str
)
def test_a_decoder_reads_piece_by_piece_what_it_reads_at_once(options):
    hx.manual_seed(0)
    model = models.Decoder(vocabulary=11, length=16, dim=16, depth=2, heads=2, **options).eval()
    tokens = hx.randint(0, 11, (2, 13))
    with hx.no_grad():
        whole, state, pieces = model(tokens), None, []
        for begin, end in ((0, 5), (5, 6), (6, 9), (9, 13)):
            logits, state = model.step(tokens[:, begin:end], state)
            pieces.append(logits)
    np.testing.assert_allclose(hx.cat(pieces, 1).numpy(), whole.numpy(), atol=1e-5)
    rows = [[1, 2, 3, 4, 5], [7]]
    together = model.generate(rows, 6)
    assert together == [model.generate([row], 6)[0] for row in rows] and len(together[0]) == 11
    padded = hx.tensor([[1, 2, 3], [7, 0, 0]])
    alone = model(hx.tensor([[7]]))
    np.testing.assert_allclose(model(padded, padded != 0)[1, :1].detach().numpy(), alone[0].detach().numpy(), atol=1e-5)


def test_a_byte_costs_one_step():
    model = models.Decoder(length=64, dim=16, depth=1, heads=2)
    seen = []
    model.blocks[0].register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[1]))
    model.generate(b"abcde", 30, 0.0)
    assert seen == [5] + [1] * 29
    del seen[:]
    model.generate(b"x" * 63, 40, 0.0)
    assert seen == [63, 1] + [32] + [1] * 32 + [32] + [1] * 4  # the later half is read again when all are used


def test_rotary_positions_have_no_end():
    model = models.Decoder(length=4, dim=8, depth=1, heads=2, positions="rotary")
    assert model(hx.zeros(1, 9, dtype=hx.int64)).shape == (1, 9, 256) and "positions.weight" not in model.state_dict()
    with pytest.raises(ConfigError, match="positions must be one of"):
        models.Decoder(positions="guessed")


def test_the_summary_counts_attention():
    rows = {
        row.path: row for row in models.Decoder(length=8, dim=16, depth=1, heads=2).summary((8,), dtype=hx.int64).rows
    }
    assert rows["blocks.0.attention"].flops == 4 * 8 * 8 * 16
    assert rows["blocks.0.attention.qkv"].flops == 8 * 48 * (2 * 16 - 1)


def test_too_long_an_input_is_named():
    with pytest.raises(nn.LayerError, match="length up to 8"):
        models.Decoder(length=8, dim=16, depth=1, heads=2)(hx.zeros(1, 9, dtype=hx.int64))


@pytest.mark.parametrize(("info", "kind"), [
    (DataInfo("classification", (1, 8, 8), 10), "cnn"), (DataInfo("classification", (5,), 3), "mlp"),
    (DataInfo("regression", (1, 2, 2), 1), "mlp"), (DataInfo("language", (64,), 64, vocabulary=256), "decoder")])  # fmt: skip
def test_the_choice_by_data(info, kind):
    assert models.choose(info) == kind
    assert isinstance(models.build("auto", info), nn.Module)


@pytest.mark.parametrize(("kind", "options", "text"), [
    ("cn", {}, "did you mean 'cnn'?"), ("mlp", {"widht": 3}, "widht"), ("nowhere:f", {}, "cannot be imported"),
    ("builtins:id", {}, "returned a int")])  # fmt: skip
def test_what_cannot_be_built_is_said(kind, options, text):
    with pytest.raises(ConfigError, match="HX3102") as caught:
        models.build(kind, DataInfo("classification", (4,), 2), options)
    assert text in str(caught.value)


@pytest.mark.parametrize("length", [1, 4, 5, 8])
def test_short_texts_are_read_by_the_filters_that_fit(length):
    model = models.build("auto", DataInfo("classification", (length,), 3, vocabulary=257))
    assert model(hx.zeros(2, length, dtype=hx.int64)).shape == (2, 3)
    assert max(layer.kernel_size[0] for layer in model.filters) <= length


def test_networks_over_images_are_kinds():
    info = DataInfo("classification", (1, 33, 40), 7)
    with nn.init.skipped():
        model = models.build("resnet18", info)
    assert model.conv1.in_channels == 1 and model.fc.out_features == 7
    with pytest.raises(ConfigError, match=r"HX3102 model\.options.*widht"):
        models.build("resnet18", info, {"widht": 3})
