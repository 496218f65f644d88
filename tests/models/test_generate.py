"""Generation: choice of tokens, ends, streams, groups of rows, states."""

from __future__ import annotations

import numpy as np
import pytest

import helix as hx
from helix import models
from helix.errors import ArgumentError, GradientError, ParameterError
from helix.models.generate import select_rows
from helix.models.gpt2 import GPT2
from helix.models.sampling import Sampling, seen_in


class Counter(hx.nn.Module):
    """Says token + 1 with all its weight, as a recurrence: its state is the last token of each row."""

    def __init__(self, vocabulary: int = 10) -> None:
        self.weight = hx.nn.Parameter(hx.ones(1))
        self.vocabulary, self.calls = vocabulary, 0

    def step(self, tokens, state=None):
        assert state is None or state["last"].shape[0] == tokens.shape[0]
        self.calls += 1
        logits = 9.0 * hx.nn.functional.one_hot((tokens + 1) % self.vocabulary, self.vocabulary).to(hx.float32)
        return logits, {"last": tokens[:, -1]}


def test_rows_of_unequal_length_without_padding():
    model = Counter()
    assert models.generate(model, [[1, 2], [5], [7, 8]], 3) == [[1, 2, 3, 4, 5], [5, 6, 7, 8], [7, 8, 9, 0, 1]]
    assert model.calls == 6
    assert models.generate(model, hx.tensor([3, 4]), 2).tolist() == [3, 4, 5, 6]
    assert models.generate(model, [[1, 2], [5]], 3, num_beams=2) == [[1, 2, 3, 4, 5], [5, 6, 7, 8]]
    assert models.generate(model, [[4]], 0) == [[4]] == models.generate(model, [[4]], 0, num_beams=2)


def test_a_row_ends_and_the_others_go_on():
    model = Counter()
    rows = models.generate(model, [[1], [3]], 9, eos_token_id=[5, 6], pad_token_id=0)
    assert rows == [[1, 2, 3, 4, 5], [3, 4, 5]]
    filled = models.generate(model, hx.tensor([[1], [3]]), 9, eos_token_id=5, pad_token_id=0)
    assert filled.tolist() == [[1, 2, 3, 4, 5], [3, 4, 5, 0, 0]]
    assert list(models.stream(model, [[1], [3]], 9, eos_token_id=5)) == [[2, 4], [3, 5], [4, None], [5, None]]


def test_a_stream_is_lazy_and_leaves_the_mode_as_it_was():
    model = Counter().train()
    tokens = models.stream(model, [[1]], 1000)
    assert [next(tokens), next(tokens)] == [[2], [3]]
    assert model.calls == 2 and model.training


def test_going_on_after_a_text_that_was_read():
    model = Counter()
    _, state = model.step(hx.tensor([[1, 2]]))
    assert models.generate(model, [[3]], 2, state=state) == [[3, 4, 5]]


def test_a_state_is_of_all_rows_at_once():
    model = Counter()
    _, state = model.step(hx.tensor([[1, 2], [3, 4]]))
    with pytest.raises(ArgumentError, match="prompts must be of one length"):
        models.generate(model, [[3], [4, 5]], 2, state=state)
    decoder = models.Decoder(vocabulary=9, length=8, dim=8, depth=1, heads=2)
    with hx.no_grad():
        _, state = decoder.step(hx.tensor([[1, 2], [3, 4]]))
    with pytest.raises(ParameterError, match="only the beginning of a text can be padded"):
        models.generate(decoder, [[3], [4, 5]], 2, state=state)


LOGITS = np.log(np.array([[0.5, 0.25, 0.15, 0.1]]))


@pytest.mark.parametrize(("options", "kept"), [
    ({}, [0.5, 0.25, 0.15, 0.1]), ({"top_k": 2}, [2 / 3, 1 / 3, 0, 0]), ({"top_k": 9}, [0.5, 0.25, 0.15, 0.1]),
    ({"top_p": 0.5}, [1, 0, 0, 0]), ({"top_p": 0.51}, [2 / 3, 1 / 3, 0, 0]), ({"top_p": 0.9}, [5 / 9, 2.5 / 9, 1.5 / 9, 0]),
    ({"temperature": 2.0, "top_k": 2}, [2**0.5 / (1 + 2**0.5), 1 / (1 + 2**0.5), 0, 0])])  # fmt: skip
def test_what_is_drawn_has_the_right_shares(options, kept):
    """4,000 draws: shares within 4 standard deviations, and never a token that was cut."""
    n = 4000
    logits = hx.tensor(LOGITS.repeat(n, 0), dtype=hx.float32)
    sampling = Sampling(**{"temperature": 1.0, "generator": hx.Generator().manual_seed(5), **options})
    counts = np.bincount(sampling.choose(logits, None).numpy(), minlength=4)
    kept = np.array(kept)
    assert (counts[kept == 0] == 0).all()
    assert (np.abs(counts - n * kept) <= 4 * np.sqrt(n * kept * (1 - kept)) + 1e-9).all()


def test_equal_seeds_draw_equal_texts():
    model = Flat()
    texts = [models.generate(model, [[1], [2, 3]], 12, temperature=1.0, generator=hx.Generator().manual_seed(s))
             for s in (1, 1, 2)]  # fmt: skip
    assert texts[0] == texts[1] != texts[2]


class Flat(Counter):
    """All tokens are equally likely."""

    def step(self, tokens, state=None):
        return hx.zeros(*tokens.shape, self.vocabulary), None


def test_repetition_is_penalized():
    seen = seen_in(hx.tensor([[0, 1], [0, 3]]), 4, hx.tensor([0, 1]))
    assert seen.tolist() == [[True, True, False, False], [False, False, False, True]]
    scores = Sampling(repetition_penalty=2.0).penalized(hx.tensor([[4.0, -4.0, 3.0, 0.0]]), seen[:1])
    assert scores.tolist() == [[2.0, -8.0, 3.0, 0.0]]
    assert models.generate(Flat(4), [[0]], 3, repetition_penalty=1.5) == [[0, 0, 0, 0]]


@pytest.mark.parametrize(("options", "text"), [
    ({"temperature": -1}, "temperature"), ({"top_k": 3}, "temperature above 0"), ({"top_p": 0.5}, "temperature above 0"),
    ({"temperature": 1.0, "top_p": 0.0}, "top_p"), ({"repetition_penalty": 0.0}, "repetition_penalty"),
    ({"num_beams": 2, "temperature": 1.0}, "beams are not drawn"), ({"num_beams": 0}, "num_beams"),
    ({"max_new_tokens": -1}, "max_new_tokens")])  # fmt: skip
def test_what_is_refused(options, text):
    with pytest.raises(ParameterError, match=text):
        models.generate(Counter(), [[1]], **options)


@pytest.mark.parametrize("prompts", [[], [[]], [[1], []]])
def test_an_empty_prompt_is_refused(prompts):
    with pytest.raises(ArgumentError, match="HX1103"):
        models.generate(Counter(), prompts, 2)


def test_rows_of_all_kinds_of_state():
    rows = hx.tensor([1, 1, 0])
    state = select_rows({"a": hx.tensor([[1], [2]]), "b": (hx.tensor([3, 4]), [None, 7])}, rows)
    assert state["a"].tolist() == [[2], [2], [1]] and state["b"][0].tolist() == [4, 4, 3] and state["b"][1] == [None, 7]


def test_every_part_keeps_its_mode():
    model = models.Decoder(vocabulary=9, length=8, dim=8, depth=2, heads=2, dropout=0.5).train()
    model.blocks[0].eval()
    modes = [part.training for part in model.modules()]
    for options in ({}, {"num_beams": 2}):
        model.generate([[1, 2]], 3, **options)
        assert [part.training for part in model.modules()] == modes


def test_rows_that_have_ended_are_read_with_any_filling():
    model = models.Decoder(vocabulary=9, length=8, dim=8, depth=1, heads=2)
    end = model.generate([[1, 2]], 1)[0][-1]
    rows = hx.tensor([[1, 2], [5, 6]])
    filled = model.generate(rows, 4, eos_token_id=end, pad_token_id=-100)
    assert filled[0].tolist() == [1, 2, end, *[-100] * (filled.shape[1] - 3)]


def test_prompts_may_be_tensors_in_a_list():
    model = Counter()
    rows = models.generate(model, [hx.tensor([1, 2]), np.array([5])], 2)
    assert rows == [[1, 2, 3, 4], [5, 6, 7]] and all(type(token) is int for row in rows for token in row)


class Narrow(Counter):
    """Logits of half precision whose sums over a text do not fit into it."""

    def step(self, tokens, state=None):
        steps = 0 if state is None else state
        logits = hx.zeros(*tokens.shape, 3) + hx.tensor([0.0, 0.01 if steps > 60 else -0.01, -9.0])
        return logits.to(hx.bfloat16), steps + 1


def test_beams_add_up_in_float32():
    """After sixty steps a total is near -42, of which bfloat16 keeps quarters: it takes 0.02 for a tie, and the first."""
    row = models.generate(Narrow(), [[0]], 64, num_beams=2)[0]
    assert row[1:] == [0] * 61 + [1] * 3


def test_bytes_end_where_a_token_says():
    end = 7
    for model in (models.Decoder(vocabulary=9, length=8, dim=8, depth=1, heads=2),
                  models.SequenceDecoder(vocabulary=9, dim=8, depth=1)):  # fmt: skip
        with hx.no_grad():
            model.head.weight.zero_()
            model.step = lambda tokens, state=None: (
                hx.nn.functional.one_hot(hx.full_like(tokens, end), 9).to(hx.float32), None)  # fmt: skip
        assert model.generate(b"\x01\x02\x03", 6, temperature=0.0, eos_token_id=end) == bytes([end])


def bounded(kind: str):
    """A model of 8 positions."""
    hx.manual_seed(0)
    if kind == "gpt2":
        return GPT2({"vocab_size": 9, "n_positions": 8, "n_embd": 4, "n_layer": 1, "n_head": 1}).eval()
    sizes = {"vocabulary": 256, "length": 8, "dim": 8, "depth": 2}
    if kind == "decoder":
        return models.Decoder(**sizes, heads=2).eval()
    return models.SequenceDecoder(
        **sizes, mixer=["mamba", "hyena"], mixer_options={"hyena": {"filter_order": 4}}
    ).eval()


@pytest.mark.parametrize("kind", ["decoder", "hyena", "gpt2"])
def test_more_tokens_than_positions_are_refused_before_any_is_read(kind):
    model = bounded(kind)
    assert len(model.generate([[1, 2]], 7)[0]) == 9
    model.step = None  # not reached
    with pytest.raises(
        ParameterError, match=r"HX1403 .*8 positions, the text takes 2 before it; give at most 7, got 8"
    ):
        model.generate([[1, 2], [3]], 8)
    with pytest.raises(ParameterError, match="give prompts of at most 8 tokens"):
        model.stream([[1] * 9], 1)


@pytest.mark.parametrize("kind", ["decoder", "hyena"])
def test_bytes_go_beyond_the_positions(kind):
    model = bounded(kind)
    text = model.generate(b"ab", 30, 0.0)
    assert len(text) == 30 and text[:7] == model.generate(b"ab", 7, 0.0)
    assert text[7:12] == model.generate((b"ab" + text[:7])[-4:], 5, 0.0)  # the later half is read again


def test_a_state_has_used_positions():
    model = bounded("gpt2")
    with hx.no_grad():
        _, state = model.step(hx.tensor([[1, 2, 3, 4]]))
    with pytest.raises(ParameterError, match="the text takes 5 before it; give at most 4"):
        model.generate([[5]], 5, state=state)


def test_a_step_beyond_hyenas_filters_says_so():
    model = bounded("hyena")
    with hx.no_grad():
        _, state = model.step(hx.zeros(1, 8, dtype=hx.int64))
        with pytest.raises(hx.errors.ShapeError, match="HX1004 .*9 steps are asked for, the filters have 8"):
            model.step(hx.tensor([[1]]), state)


def test_a_step_that_fails_leaves_the_state_as_it_was():
    """Without no_grad() the first layer's cache refuses; with a broken second layer, the first has its keys already."""
    model = models.Decoder(vocabulary=9, length=8, dim=8, depth=2, heads=2)
    tokens = hx.tensor([[1, 2, 3, 4]])
    _, state = step(model, tokens[:, :2], None)
    with pytest.raises(GradientError, match="no_grad"):
        model.step(tokens[:, 2:3], state)
    hook = model.blocks[1].register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        step(model, tokens[:, 2:3], state)
    hook.remove()
    assert state.length == 2
    for i in (2, 3):
        logits, state = step(model, tokens[:, i : i + 1], state)
    np.testing.assert_allclose(logits[:, -1].numpy(), model(tokens)[:, -1].detach().numpy(), rtol=1e-5, atol=1e-6)


def step(model, tokens, state):
    with hx.no_grad():
        return model.step(tokens, state)
