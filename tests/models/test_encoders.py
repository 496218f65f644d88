"""BERT, ViT, T5 and Whisper beside transformers': results, loss, gradients, and texts that are written token by token."""

from __future__ import annotations

import json
import pathlib
import shutil

import pytest
import torch

import helix as hx
from helix import nn
from helix.errors import ConfigError
from helix.io import save_file
from helix.models import from_pretrained
from helix.models.t5 import T5
from tests.nn.compare import assert_close, to_helix

from .folders import saved

TRANSLATION = ["t5", "t5-gated", "whisper"]


@pytest.fixture
def folder(request, tmp_path_factory):
    return saved(request.param, tmp_path_factory)


def gradients(mine, theirs) -> None:
    """Of every parameter that has one."""
    found = {name: p.grad for name, p in mine.named_parameters()}
    for name, parameter in theirs.named_parameters():
        name = name.replace("vit.layers.", "vit.encoder.layer.")
        if parameter.grad is not None and name in found:
            assert_close(found[name], parameter.grad, 1e-5, 2e-5, name)
    norm = sum(float((g * g).sum()) for g in found.values() if g is not None)
    wanted = sum(float((p.grad**2).sum()) for p in theirs.parameters() if p.grad is not None)
    assert norm == pytest.approx(wanted, rel=1e-4)


def draw(*shape, high: int | None = None) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    return (
        torch.randn(shape, generator=generator) if high is None else torch.randint(3, high, shape, generator=generator)
    )


@pytest.mark.parametrize("folder", ["bert", "bert-masked", "bert-classes", "bert-score"], indirect=True)
def test_bert(folder):
    theirs, place = folder
    mine, tokens, kinds = from_pretrained(place), draw(2, 7, high=23), draw(2, 7, high=5) % 2
    mask = torch.ones(2, 7)
    mask[1, 4:] = 0
    answer = theirs(tokens, attention_mask=mask, token_type_ids=kinds)
    given = {"attention_mask": to_helix(mask), "token_type_ids": to_helix(kinds)}
    got = mine(to_helix(tokens), **given)
    if "logits" not in answer:
        assert_close(got, answer.last_hidden_state)
        assert_close(mine.pooled(got), answer.pooler_output)
        loss, wanted = (mine.pooled(got) ** 2).sum(), (answer.pooler_output**2).sum()
    else:
        assert_close(got, answer.logits)
        labels = {23: tokens.masked_fill(draw(2, 7) > 0, -100), 3: torch.tensor([2, 0]), 1: torch.tensor([0.3, -1.0])}
        chosen = labels[answer.logits.shape[-1]]
        loss = mine.loss(to_helix(tokens), to_helix(chosen), **given)
        wanted = theirs(tokens, attention_mask=mask, token_type_ids=kinds, labels=chosen).loss
    assert_close(loss, wanted)
    theirs.zero_grad()
    wanted.backward()
    loss.backward()
    gradients(mine, theirs)
    with pytest.raises(nn.LayerError, match="length up to 16"):
        mine(hx.zeros(1, 17, dtype=hx.int64))


@pytest.mark.parametrize("folder", ["vit", "vit-classes"], indirect=True)
def test_vit(folder):
    theirs, place = folder
    mine = from_pretrained(place)
    images = draw(2, 3, 8, 12) if hasattr(mine, "classifier") else draw(2, 3, 8, 8)
    got = mine(to_helix(images))
    if hasattr(mine, "classifier"):
        labels = torch.tensor([2, 0])
        answer = theirs(images, labels=labels)
        assert_close(got, answer.logits)
        loss, wanted = mine.loss(to_helix(images), to_helix(labels)), answer.loss
    else:
        answer = theirs(images)
        assert_close(got, answer.last_hidden_state)
        loss, wanted = (mine.pooled(got) ** 2).sum(), (answer.pooler_output**2).sum()
    assert_close(loss, wanted)
    theirs.zero_grad()
    wanted.backward()
    loss.backward()
    gradients(mine, theirs)
    with pytest.raises(nn.LayerError, match="the model takes"):
        mine(hx.zeros(1, 3, 8, 9))


def read_by(theirs) -> tuple[torch.Tensor, dict]:
    """What a model reads, and the padding of it."""
    if theirs.config.model_type == "whisper":
        return draw(2, 4, 12), {}
    mask = torch.ones(2, 9)
    mask[1, 6:] = 0
    return draw(2, 9, high=23), {"attention_mask": mask}


@pytest.mark.parametrize("folder", TRANSLATION, indirect=True)
def test_what_is_read_and_written(folder):
    theirs, place = folder
    mine, (inputs, more) = from_pretrained(place), read_by(theirs)
    labels = draw(2, 5, high=23)
    labels[1, 3:] = -100
    given = {name: to_helix(t) for name, t in more.items()}
    answer = theirs(inputs, labels=labels, **more)
    assert_close(mine.encode(to_helix(inputs), **given), answer.encoder_last_hidden_state)
    loss = mine.loss(to_helix(inputs), to_helix(labels), **given)
    assert_close(loss, answer.loss)
    theirs.zero_grad()
    answer.loss.backward()
    loss.backward()
    gradients(mine, theirs)
    tokens = draw(2, 6, high=23)
    wanted = theirs(inputs, decoder_input_ids=tokens, **more).logits
    assert_close(mine(to_helix(inputs), to_helix(tokens), **given), wanted, 1e-5, 2e-5)
    with hx.no_grad():
        state, pieces = mine.start(to_helix(inputs), **given), []
        for begin, end in ((0, 3), (3, 4), (4, 6)):
            logits, state = mine.step(to_helix(tokens)[:, begin:end], state)
            pieces.append(logits)
    assert_close(hx.cat(pieces, 1), wanted, 1e-5, 2e-5)


def greedy(theirs, inputs, more, prompt: list[int], count: int) -> list[int]:
    tokens = torch.tensor([prompt])
    for _ in range(count):
        logits = theirs(inputs, decoder_input_ids=tokens, **more).logits[:, -1]
        tokens = torch.cat([tokens, logits.argmax(-1, keepdim=True)], 1)
    return tokens[0].tolist()


@pytest.mark.parametrize("folder", TRANSLATION, indirect=True)
def test_greedy_texts(folder):
    theirs, place = folder
    mine, (inputs, more) = from_pretrained(place), read_by(theirs)
    given = {name: to_helix(t) for name, t in more.items()}
    for prompts in ([[7, 3, 9], [1, 5, 5]], [[1, 5], [7, 3, 9]]):
        with torch.no_grad():
            wanted = [greedy(theirs, inputs[i : i + 1], {n: t[i : i + 1] for n, t in more.items()}, prompts[i], 6)
                      for i in range(2)]  # fmt: skip
        assert mine.generate(to_helix(inputs), 6, prompts=prompts, eos_token_id=None, **given) == wanted
    begun = list(mine.stream(to_helix(inputs), 3, eos_token_id=None, **given))
    start = theirs.config.decoder_start_token_id
    assert [t[0] for t in begun] == greedy(theirs, inputs[:1], {n: t[:1] for n, t in more.items()}, [start], 3)[1:]
    with pytest.raises(ValueError, match="goes on from start"):
        mine.step(hx.tensor([[1]]))


@pytest.mark.parametrize("folder", ["t5"], indirect=True)
def test_beams(folder):
    theirs, place = folder
    mine, (inputs, more) = from_pretrained(place), read_by(theirs)
    given = {name: to_helix(t) for name, t in more.items()}
    for keywords in ({"num_beams": 3}, {"num_beams": 2, "length_penalty": 0.5}):
        wanted = theirs.generate(inputs, max_new_tokens=6, do_sample=False, eos_token_id=1, **more, **keywords).tolist()
        got = mine.generate(to_helix(inputs), 6, eos_token_id=1, **given, **keywords)
        longest = max(map(len, got))
        assert [row + [0] * (longest - len(row)) for row in got] == wanted


@pytest.mark.parametrize("folder", ["bert"], indirect=True)
def test_an_unknown_architecture_is_named(folder, tmp_path):
    shutil.copytree(folder[1], tmp_path / "other")
    config = json.loads(pathlib.Path(tmp_path, "other", "config.json").read_text())
    (tmp_path / "other" / "config.json").write_text(json.dumps({**config, "architectures": ["BertForNextSentence"]}))
    with pytest.raises(ConfigError, match="'BertForNextSentence' is not one of: BertForMaskedLM"):
        from_pretrained(tmp_path / "other")


@pytest.mark.parametrize("architecture", ["T5ForConditionalGeneration", "T5EncoderModel"])
def test_what_files_of_t5_hold_beside_the_model(architecture, tmp_path):
    """The published ones have a table that no model reads, and an encoder alone is read from a file of the whole."""
    config = {"vocab_size": 11, "d_model": 8, "d_kv": 4, "d_ff": 12, "num_layers": 1, "num_heads": 2}
    whole = T5({**config, "tie_word_embeddings": False})
    older = {"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight": hx.ones(32, 2)}
    save_file({**whole.state_dict(), **older}, tmp_path / "model.safetensors")
    said = {**config, "model_type": "t5", "architectures": [architecture], "tie_word_embeddings": False}
    (tmp_path / "config.json").write_text(json.dumps(said))
    model, tokens = from_pretrained(tmp_path), hx.tensor([[1, 2, 3]])
    read = model(tokens) if architecture == "T5EncoderModel" else model.encode(tokens)
    assert read.tolist() == whole.eval().encode(tokens).tolist()


def test_tokens_that_a_config_says_are_null():
    sizes = {"vocab_size": 11, "d_model": 8, "d_kv": 4, "d_ff": 12, "num_layers": 1, "num_heads": 2}
    model = T5({**sizes, "decoder_start_token_id": None, "pad_token_id": None})
    assert model.generate(hx.tensor([[1, 2]]), 2)[0][0] == 0
    assert model.loss(hx.tensor([[1, 2]]), hx.tensor([[1, -100]])).isfinite()
