"""Tiny models with random weights, saved by transformers."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import transformers

transformers.logging.set_verbosity_error()


class Case(NamedTuple):
    model_type: str
    config: str
    architecture: str
    options: dict[str, Any]


# fmt: off
_GPT2 = {"vocab_size": 23, "n_positions": 32, "n_embd": 8, "n_layer": 2, "n_head": 2, "bos_token_id": 1, "eos_token_id": 1}

FAMILIES: dict[str, Case] = {
    "gpt2": Case("gpt2", "GPT2Config", "GPT2LMHeadModel", _GPT2),
    "gpt2-inverse": Case("gpt2", "GPT2Config", "GPT2LMHeadModel",
                         {**_GPT2, "scale_attn_by_inverse_layer_idx": True, "n_inner": 12, "tie_word_embeddings": False,
                          "activation_function": "gelu"}),
}
# fmt: on


def made(name: str) -> torch.nn.Module:
    """The model, its weights large enough that every part has a say in the result."""
    case = FAMILIES[name]
    torch.manual_seed(0)
    config = getattr(transformers, case.config)(**case.options)
    model = getattr(transformers, case.architecture)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return model


_written: dict[str, Any] = {}


def saved(name: str, folders, **options) -> tuple[torch.nn.Module, str]:
    """(model, folder)"""
    key = f"{name} {sorted(options.items())}"
    if key not in _written:
        model, folder = made(name), str(folders.mktemp("model"))
        model.save_pretrained(folder, **options)
        _written[key] = (model, folder)
    return _written[key]
