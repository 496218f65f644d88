"""Models over state spaces, long convolutions and mixtures: causality, pieces of a text, training by name."""

from __future__ import annotations

from pathlib import Path

import pytest

import helix as hx
from helix import models
from helix.data import DataInfo, associative_recall, selective_copying
from helix.models.mixers import MIXERS, CausalAttention
from helix.train.config import read

SMALL = {
    "h3": {"d_state": 4},
    "hyena": {"filter_order": 8, "emb_dim": 5},
    "mamba": {"d_state": 4},
    "mamba2": {"d_state": 4, "headdim": 4},
    "s4": {"d_state": 4},
    "s4d": {"d_state": 4},
    "s5": {"d_state": 4},
}


def made(mixer, **options):
    hx.manual_seed(0)
    chosen = SMALL.get(mixer, {}) if isinstance(mixer, str) else SMALL
    return models.SequenceDecoder(11, length=16, dim=8, depth=2, mixer=mixer, mixer_options=chosen, **options)


@pytest.mark.parametrize("mixer", [*MIXERS, ("mamba", "attention"), ("hyena", "s5", "h3")])
def test_a_text_piece_by_piece_is_the_whole_text_and_no_token_sees_later_ones(mixer):
    model = made(mixer).eval()
    tokens = hx.randint(0, 11, (2, 12))
    whole = model(tokens)
    first, state = model.step(tokens[:, :5])
    rows = [first]
    for t in range(5, 8):
        logits, state = model.step(tokens[:, t : t + 1], state)
        rows.append(logits)
    rows.append(model.step(tokens[:, 8:], state)[0])
    assert hx.allclose(hx.cat(rows, 1), whole, atol=1e-5)
    changed = hx.cat([tokens[:, :9], 10 - tokens[:, 9:]], 1)
    assert hx.allclose(model(changed)[:, :9], whole[:, :9], atol=1e-6)
    whole.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("mixer", ["mamba", "mamba2", "s4", "s4d", "s5", "h3"])
def test_the_state_of_a_recurrence_does_not_grow(mixer):
    model = made(mixer)

    def size(state):
        return sum(size(part) for part in state) if isinstance(state, (list, tuple)) else state.numel()

    with hx.no_grad():
        sizes = {size(model.step(hx.zeros(1, length, dtype=hx.int64))[1]) for length in (1, 3, 30)}
    assert len(sizes) == 1


def test_texts_are_bytes_or_tokens_and_reproducible():
    model = models.SequenceDecoder(dim=8, depth=1, mixer="mamba").train()
    texts = [model.generate(b"ab", 9, 0.9, hx.Generator().manual_seed(3)) for _ in range(2)]
    assert texts[0] == texts[1] and len(texts[0]) == 9 and model.training
    assert model.generate(b"", 0, 0.0) == b"" and model.generate(b"a", 4, 0.0) == bytes(
        model.generate([[97]], 4)[0][1:]
    )
    with pytest.raises(ValueError, match="must not be negative"):
        model.generate(b"a", 1, -1.0)


def test_feeds_experts_and_dropout():
    assert made("mamba").stack.blocks[0].feed is None and made("s4d").stack.blocks[0].feed is not None
    model = made("s4d", experts=3, feed=2, dropout=0.5)
    kinds = [type(m).__name__ for m in model.modules()]
    assert kinds.count("MixtureOfExperts") == 2
    tokens = hx.zeros(1, 4, dtype=hx.int64)
    assert not hx.allclose(model(tokens), model(tokens)) and hx.allclose(model.eval()(tokens), model(tokens))


@pytest.mark.parametrize("kind", ["mamba", "hyena", "s5", "hybrid"])
def test_kinds_by_task(kind):
    text = models.build(kind, DataInfo("language", (16,), 16, vocabulary=256), {"dim": 8, "depth": 2})
    assert text(hx.zeros(1, 16, dtype=hx.int64)).shape == (1, 16, 256)
    image = models.build(kind, DataInfo("classification", (1, 8, 6), 10), {"dim": 8, "depth": 2})
    x = hx.randn(2, 1, 8, 6)
    assert image(x).shape == (2, 10)
    assert hx.allclose(image.inputs(x[:, 0]), image.inputs(x.movedim(-2, 1).flatten(2)))


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_recurrent_kinds_read_the_last_state_of_every_direction(cell):
    info = DataInfo("classification", (2, 5, 3), 4)
    model = models.build(cell, info, {"hidden": 6, "depth": 2, "bidirectional": True})
    x = hx.randn(7, 2, 5, 3)
    steps, _ = model.body(x.transpose(1, 2).reshape(7, 5, 6))
    last = hx.cat([steps[:, -1, :6], steps[:, 0, 6:]], 1)
    assert hx.allclose(model(x), model.head(last), atol=1e-6)


def test_vit_by_kind():
    model = models.build(
        "vit", DataInfo("classification", (2, 4, 6), 3), {"patch": 2, "dim": 8, "depth": 1, "heads": 2}
    )
    assert model(hx.randn(5, 2, 4, 6)).shape == (5, 3) and model.vit(hx.randn(1, 2, 4, 6)).shape == (1, 7, 8)
    for shape, patch, text in (
        ((2, 4, 6), 4, "not whole patches of 4"),
        ((2, 4, 6), 0, "not whole"),
        ((5,), 2, "takes images"),
    ):
        with pytest.raises(hx.errors.ConfigError, match=text):
            models.build("vit", DataInfo("classification", shape, 3), {"patch": patch})


def test_what_does_not_fit_is_refused():
    for make, text in ((lambda: made("mambo"), "unknown name 'mambo'"), (lambda: made(()), "one name at least"),
                       (lambda: CausalAttention(8, 3), "multiple of heads"),
                       (lambda: models.SequenceClassifier((5,), 2), "no steps to go through"),
                       (lambda: models.RecurrentClassifier((5,), 2), "no steps to go through"),
                       (lambda: models.RecurrentClassifier((5, 2), 2, "ltsm"), "cell must be one of")):  # fmt: skip
        with pytest.raises(ValueError, match=text):
            make()
    with pytest.raises(hx.nn.LayerError, match=r"the model takes \(batch, length\)"):
        made("mamba")(hx.zeros(3, dtype=hx.int64))


def test_selective_copying_says_the_tokens_again_in_order():
    data = selective_copying(samples=50, length=9, memorise=3, vocabulary=6, seed=4)
    assert data.task == "tagging" and data.vocabulary == 6 and data.batch([0, 1])[0].shape == (2, 12)
    places = set()
    for tokens, targets in (data[i] for i in range(50)):
        said = [t for t in tokens[:9].tolist() if t]
        places.add(tuple(i for i, t in enumerate(tokens[:9].tolist()) if t))
        assert said == targets[9:].tolist() and max(said) < 5 and tokens[9:].tolist() == [5] * 3
        assert targets[:9].tolist() == [-100] * 9
    assert len(places) > 25
    again = selective_copying(samples=50, length=9, memorise=3, vocabulary=6, seed=4)
    assert again.tensors[0].tolist() == data.tensors[0].tolist()


def test_associative_recall_asks_for_the_value_of_a_key():
    data = associative_recall(samples=40, pairs=4, queries=2, vocabulary=12, seed=1)
    for tokens, targets in (data[i] for i in range(40)):
        row, wanted = tokens.tolist(), targets.tolist()
        book = dict(zip(row[:8:2], row[1:8:2], strict=True))
        assert len(book) == 4 and all(k < 6 <= v < 12 for k, v in book.items())
        assert [i for i, t in enumerate(wanted) if t != -100] == [8, 10]
        assert all(wanted[i] == book[row[i]] == row[i + 1] for i in (8, 10))


@pytest.mark.parametrize("make", [
    lambda: selective_copying(4, length=3, memorise=4), lambda: selective_copying(4, vocabulary=2),
    lambda: associative_recall(4, pairs=5, vocabulary=8), lambda: associative_recall(4, pairs=2, queries=3)])  # fmt: skip
def test_tasks_refuse_what_cannot_be(make):
    with pytest.raises(ValueError, match="must be"):
        make()


def test_accuracy_is_over_the_targets_that_count():
    accuracy = hx.metrics.Accuracy(ignore_index=-100)
    accuracy.update(hx.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]]), hx.tensor([[0, -100, 1]]))
    assert accuracy.compute().item() == 0.5


def test_training_by_name(tmp_path):
    run = hx.train("selective_copying", model="mamba", epochs=1, max_steps=2, runs=str(tmp_path), progress="none",
                         data_options={"samples": 40, "length": 8, "memorise": 2}, model_options={"dim": 8, "depth": 1})  # fmt: skip
    assert 0 <= run.evaluate()["accuracy"] <= 1


@pytest.mark.parametrize("example", ["bytes-hyena", "bytes-mamba", "copying", "recall"])
def test_examples_name_models_that_can_be_made(example):
    config = read(Path(__file__).parents[2] / "examples" / f"{example}.toml")
    info = DataInfo("language", (16,), 16, vocabulary=256)
    model = models.build(config.model.kind, info, config.model.options)
    size = sum(p.numel() for p in model.parameters())
    if example.startswith("bytes"):  # the transformer of bytes.toml has 889,600
        assert abs(size / 889_600 - 1) < 0.02
