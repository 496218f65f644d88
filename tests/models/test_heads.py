"""Every head that a folder of our families can hold: results, loss and gradients beside transformers'."""

from __future__ import annotations

import json
import pathlib

import pytest
import torch

import helix as hx
from helix.errors import ConfigError
from helix.models import from_pretrained
from helix.models.bert import Bert
from tests.nn.compare import assert_close, to_helix

from .folders import HEADS, saved
from .test_encoders import draw
from .test_encoders import gradients as same_gradients
from .test_families import as_in_files

HEADLESS = [name for name in HEADS if name.endswith("Model")]
HEADED = [name for name in HEADS if name not in HEADLESS]


@pytest.fixture
def folder(request, tmp_path_factory):
    return saved(request.param, tmp_path_factory)


def inputs_of(theirs) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    kind, name = theirs.config.model_type, type(theirs).__name__
    if kind == "vit":
        return draw(2, 3, 8, 8), {
            "bool_masked_pos": torch.tensor([[True, False, False, True], [False, True, False, False]])
        }
    if "CausalLM" in name:
        return draw(2, 7, high=23), {"encoder_outputs": draw(2, 6, 16)}
    if kind == "whisper":
        return draw(2, 4, 12), {}
    if "DoubleHeads" in name:
        return draw(2, 3, 7, high=23), {"mc_token_ids": torch.tensor([[6, 2, 0], [1, 5, 4]])}
    shape = (2, 3, 7) if "Choice" in name else (2, 7)
    tokens, mask = draw(*shape, high=23), torch.ones(shape)
    tokens[1, ..., 5:] = 0
    mask[1, ..., 5:] = 0
    tokens[0, ..., 6] = tokens[1, ..., 4] = 1  # the end of a text
    return tokens, {"attention_mask": mask}


def labels_for(name: str) -> dict[str, torch.Tensor]:
    words = torch.tensor([[1, 2, -100, 0, 1, 2, 0], [2, 2, 0, 1, -100, -100, -100]])
    if "PreTraining" in name:
        return {"labels": words, "next_sentence_label": torch.tensor([1, 0])}
    if "DoubleHeads" in name:
        return {"labels": words.reshape(2, 1, 7).expand(2, 3, 7), "mc_labels": torch.tensor([2, 0])}
    if "MaskedImage" in name:
        return {}
    if "Question" in name:
        return {"start_positions": torch.tensor([2, 9]), "end_positions": torch.tensor([4, 3])}
    return {"labels": words if "Token" in name or "LM" in name else torch.tensor([1, 0])}


def outputs(answer) -> tuple[torch.Tensor, ...]:
    for names in (
        ("prediction_logits", "seq_relationship_logits"),
        ("start_logits", "end_logits"),
        ("logits", "mc_logits"),
        ("logits",),
        ("reconstruction",),
    ):
        if all(name in answer for name in names):
            return tuple(answer[name] for name in names)
    raise AssertionError(answer)


@pytest.mark.parametrize("folder", HEADED, indirect=True)
def test_results_loss_and_gradients(folder):
    theirs, place = folder
    mine, (inputs, more), labels = from_pretrained(place), inputs_of(theirs), labels_for(type(theirs).__name__)
    answer = theirs(inputs, **more, **labels)
    wanted = answer.loss + answer.get("mc_loss", 0)
    given = {"vectors" if name == "encoder_outputs" else name: to_helix(t) for name, t in more.items()}
    got = mine(to_helix(inputs), **given)
    for one, other in zip(got if isinstance(got, tuple) else (got,), outputs(answer), strict=True):
        assert_close(one, other, 1e-5, 2e-5)
    loss = mine.loss(to_helix(inputs), *(to_helix(t) for t in labels.values()), **given)
    assert_close(loss, wanted)
    theirs.zero_grad()
    wanted.backward()
    loss.backward()
    if theirs.config.model_type == "vit":  # whose layers have other names in files
        same_gradients(mine, theirs)
        return
    gradients = {name: p.grad for name, p in mine.named_parameters()}
    for name, parameter in theirs.named_parameters():
        for key, gradient in as_in_files(name, parameter.grad) if parameter.grad is not None else ():
            key = key.replace("choice_head.summary", "choice_head.linear")  # Module.summary is a method
            assert_close(gradients[key], gradient, 1e-5, 2e-5, key)


@pytest.mark.parametrize("folder", HEADLESS, indirect=True)
def test_vectors_without_a_head(folder):
    theirs, place = folder
    mine, (inputs, more) = from_pretrained(place), inputs_of(theirs)
    given = {name: to_helix(t) for name, t in more.items()}
    if theirs.config.model_type in ("t5", "whisper") and "Encoder" not in type(theirs).__name__:
        tokens = draw(2, 4, high=23)
        wanted = theirs(inputs, decoder_input_ids=tokens, **more).encoder_last_hidden_state
        assert_close(mine.encode(to_helix(inputs), **given), wanted, 1e-5, 2e-5)
        return
    wanted = theirs(inputs, **more).last_hidden_state
    if theirs.config.model_type in ("gpt2", "mamba"):  # whose heads are their tables
        wanted = wanted @ theirs.get_input_embeddings().weight.t()
    got = mine(to_helix(inputs), **given)
    seen = more.get("attention_mask", torch.ones(2, 7))[..., None]
    assert_close(got * to_helix(seen), wanted * seen, 1e-5, 5e-5)


@pytest.mark.parametrize("folder", ["gpt2-ForSequenceClassification", "bert-ForSequenceClassification"], indirect=True)
def test_labels_of_several_classes_at_once(folder):
    theirs, place = folder
    mine, tokens = from_pretrained(place), draw(2, 7, high=23)
    labels = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    theirs.config.problem_type = None
    assert_close(mine.loss(to_helix(tokens), to_helix(labels)), theirs(tokens, labels=labels).loss)
    theirs.config.problem_type = None  # which the call before has set


@pytest.mark.parametrize("folder", ["llama-ForSequenceClassification"], indirect=True)
def test_padding_by_the_mask_where_no_token_says_it(folder):
    _, place = folder
    mine, tokens = from_pretrained(place), to_helix(draw(2, 7, high=23))
    mine.config["pad_token_id"] = None
    mask = to_helix(torch.tensor([[1] * 7, [1] * 4 + [0] * 3]))
    assert_close(mine(tokens, mask)[1], mine(tokens[:, :4])[1], 1e-5, 2e-5)


@pytest.mark.parametrize("folder", ["gpt2", "llama", "t5", "whisper"], indirect=True)
def test_other_architectures_are_refused_by_name(folder):
    path = pathlib.Path(folder[1], "config.json")
    config = json.loads(path.read_text())
    try:
        path.write_text(json.dumps({**config, "architectures": ["ForSomethingElse"]}))
        with pytest.raises(ConfigError, match="HX3012 config.json: architecture 'ForSomethingElse' is not one of: "):
            from_pretrained(folder[1])
    finally:
        path.write_text(json.dumps(config))


def test_hooks_of_a_body_run_below_a_head():
    sizes = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = {"vocab_size": 11, "max_position_embeddings": 8, **sizes, "architectures": ["BertForTokenClassification"]}
    model, seen = Bert.from_config(config), []
    model.bert.register_forward_hook(lambda *call: seen.append(call))
    model(hx.ones(1, 3, dtype=hx.int64))
    assert len(seen) == 1
    with pytest.raises(hx.nn.LayerError, match=r"bert \(Bert\): tokens have shape \(1, 9\), .* up to 8"):
        model(hx.ones(1, 9, dtype=hx.int64))


@pytest.mark.parametrize(
    "folder", ["gpt2", "gpt2-ForSequenceClassification", "llama-Model", "bert-Model", "t5"], indirect=True
)
def test_texts_without_a_batch_are_refused(folder):
    mine, text = from_pretrained(folder[1]), hx.tensor([1, 2, 3])
    with pytest.raises(hx.nn.LayerError, match=r"tokens have shape \(3,\), the model takes \(batch, length\)"):
        mine(text, text) if folder[0].config.model_type == "t5" else mine(text)


@pytest.mark.parametrize("folder", ["bert-LMHead", "whisper-CausalLM"], indirect=True)
def test_decoders_read_piece_by_piece(folder):
    mine = from_pretrained(folder[1])
    tokens = to_helix(draw(2, 7, high=23))
    with hx.no_grad():
        whole, (first, state) = mine(tokens), mine.step(tokens[:, :3])
        rest, _ = mine.step(tokens[:, 3:], state)
    assert_close(hx.cat([first, rest], 1), torch.tensor(whole.tolist()), 1e-5, 2e-5)
    assert len(mine.generate([[3, 4]], 3)[0]) == 5


def test_only_a_decoder_writes(tmp_path):
    sizes = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = Bert.from_config(
        {"vocab_size": 11, "max_position_embeddings": 8, **sizes, "architectures": ["BertLMHeadModel"]}
    )
    with pytest.raises(ConfigError, match="HX3012 .*is_decoder"):
        model.generate([[3]], 1)


@pytest.mark.parametrize("folder", ["t5-ForSequenceClassification"], indirect=True)
def test_a_text_without_its_end_is_refused(folder):
    with pytest.raises(hx.nn.LayerError, match="every row of tokens needs the end of a text, 1"):
        from_pretrained(folder[1])(hx.tensor([[3, 1], [3, 3]]))


@pytest.mark.parametrize("folder", ["backbone-stages", "backbone-last"], indirect=True)
def test_maps_of_a_backbone(folder):
    theirs, place = folder
    images = draw(2, 3, 32, 32)
    wanted, got = theirs(images).feature_maps, from_pretrained(place).eval()(to_helix(images))
    assert len(got) == len(wanted)
    for one, other in zip(got, wanted, strict=True):
        assert_close(one, other, 1e-5, 2e-5)
