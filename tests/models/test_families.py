"""Tiny folders that transformers writes: helix reads them, and gives the same logits, loss, gradients and texts."""

from __future__ import annotations

import pytest
import torch

import helix as hx
from helix.models import from_pretrained, generate
from helix.models.mixtral import Mixtral
from tests.nn.compare import assert_close, to_helix

from .folders import FAMILIES, saved

LANGUAGE = ["gpt2", "gpt2-inverse", "llama", "llama-3", "mixtral", "mixtral-window"]
LANGUAGE += ["mamba", "mamba2"]


@pytest.fixture(scope="module", params=LANGUAGE)
def language(request, tmp_path_factory):
    return saved(request.param, tmp_path_factory)


def as_in_files(name: str, tensor: torch.Tensor):
    """transformers joins the experts that files hold one by one."""
    if ".mlp." not in name or (".experts" not in name and "gate.weight" not in name):
        yield name, tensor
        return
    name = name.replace(".mlp.", ".block_sparse_moe.")
    if "gate.weight" in name:
        yield name, tensor
    for i, part in enumerate(tensor if ".experts" in name else ()):
        parts = {"w1": part.chunk(2)[0], "w3": part.chunk(2)[1]} if "gate_up" in name else {"w2": part}
        for weight, value in parts.items():
            yield f"{name.rpartition('.')[0]}.{i}.{weight}.weight", value


def tokens_of(theirs, batch: int = 2, length: int = 7) -> torch.Tensor:
    return torch.randint(2, theirs.config.vocab_size, (batch, length), generator=torch.Generator().manual_seed(1))


def test_logits_loss_and_gradients(language):
    theirs, folder = language
    mine, tokens = from_pretrained(folder), tokens_of(theirs)
    labels = tokens.clone()
    labels[0, 3] = -100
    answer = theirs(tokens, labels=labels)
    assert_close(mine(to_helix(tokens)), answer.logits)
    loss = mine.loss(to_helix(tokens), to_helix(labels))
    assert_close(loss, answer.loss)
    theirs.zero_grad()
    answer.loss.backward()
    loss.backward()
    gradients = {name: p.grad for name, p in mine.named_parameters()}
    wanted = {n: g for name, p in theirs.named_parameters() if p.grad is not None for n, g in as_in_files(name, p.grad)}
    assert set(gradients) == set(wanted)
    for name, gradient in wanted.items():
        assert_close(gradients[name], gradient, what=name)


def test_padding_is_not_seen(language):
    theirs, folder = language
    mine, tokens = from_pretrained(folder), tokens_of(theirs)
    mask = torch.ones_like(tokens)
    mask[1, 4:] = 0
    answer = theirs(tokens, attention_mask=mask).logits
    got = mine(to_helix(tokens), to_helix(mask))
    assert_close(got[0], answer[0])
    assert_close(got[1, :4], answer[1, :4])


def test_greedy_texts_of_prompts_of_unequal_length(language):
    theirs, folder = language
    mine = from_pretrained(folder)
    prompts = [[5, 9, 3, 7, 11], [4, 8], [6]]
    wanted = [
        theirs.generate(torch.tensor([p]), max_new_tokens=9, do_sample=False, eos_token_id=None, pad_token_id=0)[0]
        for p in prompts
    ]
    assert generate(mine, prompts, 9) == [w.tolist() for w in wanted]


def test_beams(language):
    theirs, folder = language
    mine, prompt = from_pretrained(folder), torch.tensor([[5, 9, 3], [8, 4, 4]])
    plain = theirs.generate(prompt, max_new_tokens=6, do_sample=False, eos_token_id=None, pad_token_id=2)
    end = int(plain[0, 5])
    for keywords in ({}, {"length_penalty": 0.3}, {"early_stopping": True}, {"repetition_penalty": 1.7}):
        wanted = theirs.generate(
            prompt, max_new_tokens=6, num_beams=3, do_sample=False, eos_token_id=end, pad_token_id=2, **keywords
        )
        got = generate(mine, to_helix(prompt), 6, num_beams=3, eos_token_id=end, pad_token_id=2, **keywords)
        assert got.tolist() == wanted.tolist(), keywords


def test_reading_piece_by_piece_is_reading_at_once(language):
    theirs, folder = language
    mine, tokens = from_pretrained(folder), to_helix(tokens_of(theirs, 2, 9))
    with hx.no_grad():
        whole = mine(tokens)
        state, pieces = None, []
        for begin, end in ((0, 4), (4, 5), (5, 8), (8, 9)):
            logits, state = mine.step(tokens[:, begin:end], state)
            pieces.append(logits)
    assert_close(hx.cat(pieces, 1), whole)


def test_every_family_is_compared():
    from helix import models

    assert {case.model_type for case in FAMILIES.values()} <= set(models.FAMILIES)


def test_experts_that_are_watched_are_called_each():
    """Hooks of a layer within an expert see its rows; the numbers are those of all experts in one product."""
    hx.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = Mixtral({"vocab_size": 11, **sizes, "num_local_experts": 4, "num_experts_per_tok": 2})
    tokens, rows = hx.randint(0, 11, (2, 9)), []
    wanted = model(tokens)
    experts = next(module.experts for name, module in model.named_modules() if name.endswith("block_sparse_moe"))
    experts[1].w2.register_forward_hook(lambda module, args, y: rows.append(len(y)))
    assert hx.allclose(model(tokens), wanted, 1e-5, 1e-6)
    assert len(rows) == 1 and 0 < rows[0] < 18
