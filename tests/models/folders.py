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
_LLAMA = {"vocab_size": 23, "hidden_size": 16, "intermediate_size": 20, "num_hidden_layers": 2, "num_attention_heads": 4,
          "num_key_value_heads": 2, "max_position_embeddings": 64}
_MIXTRAL = {**_LLAMA, "num_local_experts": 4, "num_experts_per_tok": 2}
_ROPES = {
    "dynamic": {"rope_type": "dynamic", "factor": 3.0},
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 2.0, "beta_slow": 0.5},
    "yarn-scales": {"rope_type": "yarn", "factor": None, "original_max_position_embeddings": 4, "beta_fast": 2.0,
                    "mscale": 0.8, "mscale_all_dim": 0.3, "truncate": False},
    "longrope": {"rope_type": "longrope", "original_max_position_embeddings": 4, "short_factor": [1.0, 1.5, 2.0, 2.5],
                 "long_factor": [1.0, 3.0, 5.0, 9.0]},
    "linear": {"rope_type": "linear", "factor": 2.0},
}
_LLAMA3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
           "original_max_position_embeddings": 16}
_SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 20}
_BERT = {**_SIZES, "vocab_size": 23, "max_position_embeddings": 16}
_VIT = {**_SIZES, "image_size": 8, "patch_size": 4, "num_labels": 3}
_T5 = {"vocab_size": 23, "d_model": 16, "d_kv": 6, "d_ff": 20, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0,
       "relative_attention_num_buckets": 8, "relative_attention_max_distance": 12}
_WHISPER = {"vocab_size": 23, "d_model": 16, "num_mel_bins": 4, "max_source_positions": 6, "max_target_positions": 16,
            "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1, "encoder_layers": 2,
            "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 4, "encoder_ffn_dim": 20,
            "decoder_ffn_dim": 12, "suppress_tokens": None, "begin_suppress_tokens": None}
_GPT2 = {"vocab_size": 23, "n_positions": 32, "n_embd": 8, "n_layer": 2, "n_head": 2, "bos_token_id": 1, "eos_token_id": 1}

FAMILIES: dict[str, Case] = {
    "gpt2": Case("gpt2", "GPT2Config", "GPT2LMHeadModel", _GPT2),
    "gpt2-inverse": Case("gpt2", "GPT2Config", "GPT2LMHeadModel",
                         {**_GPT2, "scale_attn_by_inverse_layer_idx": True, "n_inner": 12, "tie_word_embeddings": False,
                          "activation_function": "gelu"}),
    "llama": Case("llama", "LlamaConfig", "LlamaForCausalLM", _LLAMA),
    "llama-3": Case("llama", "LlamaConfig", "LlamaForCausalLM",
                    {**_LLAMA, "head_dim": 8, "rope_parameters": _LLAMA3, "tie_word_embeddings": True,
                     "attention_bias": True, "mlp_bias": True}),
    "mixtral": Case("mixtral", "MixtralConfig", "MixtralForCausalLM", _MIXTRAL),
    "mixtral-window": Case("mixtral", "MixtralConfig", "MixtralForCausalLM", {**_MIXTRAL, "sliding_window": 3}),
}
ROPES = [f"llama-{kind}" for kind in _ROPES]
FAMILIES |= {
    f"llama-{kind}": Case("llama", "LlamaConfig", "LlamaForCausalLM",
                          {**_LLAMA, "num_attention_heads": 2, "max_position_embeddings": 8,
                           "rope_parameters": {"rope_theta": 100.0, **rope}})
    for kind, rope in _ROPES.items()
}
_MAMBA = {"vocab_size": 23, "hidden_size": 8, "state_size": 4, "num_hidden_layers": 2}
FAMILIES |= {
    "mamba": Case("mamba", "MambaConfig", "MambaForCausalLM",
                  {**_MAMBA, "use_bias": True, "use_conv_bias": False, "time_step_rank": 3, "conv_kernel": 3}),
    "mamba2": Case("mamba2", "Mamba2Config", "Mamba2ForCausalLM",
                   {**_MAMBA, "num_heads": 4, "head_dim": 4, "n_groups": 2, "chunk_size": 4, "num_hidden_layers": 1}),
}
_RESNET = {"embedding_size": 4, "num_labels": 3, "depths": [1, 2]}
FAMILIES |= {
    "resnet": Case("resnet", "ResNetConfig", "ResNetForImageClassification", {**_RESNET, "hidden_sizes": [8, 12]}),
    "resnet-basic": Case("resnet", "ResNetConfig", "ResNetForImageClassification",
                         {**_RESNET, "hidden_sizes": [4, 6], "layer_type": "basic", "downsample_in_first_stage": True,
                          "num_channels": 1}),
    "resnet-headless": Case("resnet", "ResNetConfig", "ResNetModel", {**_RESNET, "hidden_sizes": [8, 12]}),
    "bert": Case("bert", "BertConfig", "BertModel", _BERT),
    "bert-masked": Case("bert", "BertConfig", "BertForMaskedLM", _BERT),
    "bert-classes": Case("bert", "BertConfig", "BertForSequenceClassification", {**_BERT, "num_labels": 3}),
    "bert-score": Case("bert", "BertConfig", "BertForSequenceClassification", {**_BERT, "num_labels": 1}),
    "vit": Case("vit", "ViTConfig", "ViTModel", {**_VIT, "qkv_bias": False}),
    "vit-classes": Case("vit", "ViTConfig", "ViTForImageClassification", {**_VIT, "image_size": (8, 12)}),
    "t5": Case("t5", "T5Config", "T5ForConditionalGeneration", _T5),
    "t5-gated": Case("t5", "T5Config", "T5ForConditionalGeneration",
                     {**_T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "num_decoder_layers": 1}),
    "whisper": Case("whisper", "WhisperConfig", "WhisperForConditionalGeneration", _WHISPER),
}
_PAD = {"pad_token_id": 0, "num_labels": 3}
HEADS = {
    f"{kind.lower()}-{head}": Case(kind.lower(), f"{kind}Config", f"{kind}{head}", {**sizes, **_PAD})
    for kind, sizes in (("GPT2", _GPT2), ("Llama", _LLAMA), ("Mixtral", _MIXTRAL), ("Bert", _BERT), ("T5", _T5))
    for head in ("Model", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering", "EncoderModel")
    if (kind == "T5") == (head == "EncoderModel") and (kind, head) != ("Bert", "ForQuestionAnswering")
}
HEADS |= {
    f"bert-{head}": Case("bert", "BertConfig", f"Bert{head}", _BERT)
    for head in ("ForQuestionAnswering", "ForPreTraining", "ForNextSentencePrediction", "ForMultipleChoice")
}
HEADS |= {
    "mamba-Model": Case("mamba", "MambaConfig", "MambaModel", {**_MAMBA, "tie_word_embeddings": True}),
    "t5-Model": Case("t5", "T5Config", "T5Model", _T5),
    "whisper-Model": Case("whisper", "WhisperConfig", "WhisperModel", _WHISPER),
    "whisper-Classes": Case("whisper", "WhisperConfig", "WhisperForAudioClassification",
                            {**_WHISPER, "classifier_proj_size": 6, "num_labels": 3}),
}
HEADS |= {f"t5-{head}": Case("t5", "T5Config", f"T5{head}", {**_T5, "num_labels": count})
          for head, count in (("ForSequenceClassification", 3), ("ForTokenClassification", 3), ("ForQuestionAnswering", 2))}
HEADS |= {
    "gpt2-DoubleHeads": Case("gpt2", "GPT2Config", "GPT2DoubleHeadsModel", _GPT2),
    "bert-LMHead": Case("bert", "BertConfig", "BertLMHeadModel", {**_BERT, "is_decoder": True}),
    "whisper-CausalLM": Case("whisper", "WhisperConfig", "WhisperForCausalLM", _WHISPER),
    "vit-MaskedImages": Case("vit", "ViTConfig", "ViTForMaskedImageModeling", {**_VIT, "encoder_stride": 4}),
}
BACKBONES = {
    "backbone-stages": Case("resnet", "ResNetConfig", "ResNetBackbone",
                            {**_RESNET, "hidden_sizes": [8, 12], "out_features": ["stem", "stage2"]}),
    "backbone-last": Case("resnet", "ResNetConfig", "ResNetBackbone", {**_RESNET, "hidden_sizes": [8, 12]}),
}
FAMILIES |= HEADS | BACKBONES
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
