"""Rotary positions beyond the trained length: transformers' own angles, and Llama folders that ask for each kind."""

from __future__ import annotations

import pytest
import torch
import transformers
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

import helix as hx
from helix.models import from_pretrained, generate
from helix.models.llama import rotary_of
from tests.nn.compare import assert_close, to_helix

from .folders import ROPES, made, saved


@pytest.mark.parametrize("name", ROPES)
@pytest.mark.parametrize("length", [1, 4, 5, 8, 9, 40])
def test_angles_beside_transformers(name, length):
    config = made(name).config
    size = config.hidden_size // config.num_attention_heads
    angles, magnitude = ROPE_INIT_FUNCTIONS[config.rope_parameters["rope_type"]](config, "cpu", seq_len=length)
    turned = torch.arange(length)[:, None].double() * angles.double()
    cos, sin = rotary_of(config.to_dict(), size).turns(hx.arange(length))
    assert_close(cos, turned.cos() * magnitude)
    assert_close(sin, turned.sin() * magnitude)


@pytest.mark.parametrize("name", ROPES)
@pytest.mark.parametrize("length", [3, 12])
def test_logits_loss_and_gradients(name, length, tmp_path_factory):
    theirs, folder = saved(name, tmp_path_factory)
    mine = from_pretrained(folder)
    tokens = torch.randint(0, 23, (2, length), generator=torch.Generator().manual_seed(1))
    answer = theirs(tokens, labels=tokens)
    assert_close(mine(to_helix(tokens)), answer.logits)
    theirs.zero_grad()
    answer.loss.backward()
    mine.loss(to_helix(tokens), to_helix(tokens)).backward()
    gradients = {key: p.grad for key, p in mine.named_parameters()}
    for key, parameter in theirs.named_parameters():
        assert_close(gradients[key], parameter.grad, what=key)


@pytest.mark.parametrize("name", ROPES)
def test_greedy_text_grows_beyond_the_trained_length(name, tmp_path_factory):
    theirs, folder = saved(name, tmp_path_factory)
    mine, prompt = from_pretrained(folder), [5, 9, 3]
    wanted = theirs.generate(
        torch.tensor([prompt]), max_new_tokens=14, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    assert generate(mine, [prompt], 14) == wanted.tolist()


@pytest.mark.parametrize("kind", ["linear", "dynamic", "yarn", "longrope", "llama3"])
def test_a_missing_key_is_named(kind):
    with pytest.raises(hx.errors.ParameterError, match=rf"HX1403 rotary_\w+: scaling '{kind}' needs \w+"):
        hx.nn.RotaryEmbedding(4, scaling={"rope_type": kind})


def test_older_files_and_their_names():
    """rope_scaling with "type", rope_theta beside it, and the trained length outside."""
    scaling = {"type": "yarn", "factor": 4.0}
    old = {"rope_theta": 500.0, "rope_scaling": scaling, "max_position_embeddings": 64}
    config = transformers.LlamaConfig(hidden_size=16, num_attention_heads=2, **{**old, "rope_scaling": dict(scaling)})
    angles, magnitude = ROPE_INIT_FUNCTIONS["yarn"](config, "cpu")
    rotary = rotary_of({**old, "original_max_position_embeddings": None}, 8)
    assert_close(rotary.frequencies, angles)
    assert_close(rotary.turns(hx.zeros(1, dtype=hx.int64))[0], torch.full((1, 4), magnitude))
