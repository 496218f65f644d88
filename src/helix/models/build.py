"""From a name, or "auto", and what is known of the data to a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from typing import Any

from ..data import DataInfo
from ..errors import ConfigError
from ..nn import Module
from .cnn import cnn
from .convnext import convnext_tiny
from .decoder import Decoder
from .densenet import densenet121
from .mixers import MIXERS
from .mlp import mlp
from .recurrent import CELLS, RecurrentClassifier
from .resnet import resnet18, resnet34, resnet50
from .sequence import SequenceClassifier, SequenceDecoder
from .text import TextClassifier
from .vit import ViTForImageClassification


def _decoder(info: DataInfo, **options) -> Module:
    return Decoder(**{"vocabulary": info.vocabulary or 256, "length": info.input_shape[0], **options})


def _cnn(info: DataInfo, **options) -> Module:
    return cnn(info.input_shape, info.outputs, **options)


def _mlp(info: DataInfo, **options) -> Module:
    return mlp(math.prod(info.input_shape), info.outputs, **options)


def _sequence(info: DataInfo, mixer: str | Sequence[str], **options) -> Module:
    """A decoder for tokens, else a classifier that goes through the rows of a sample."""
    if info.task in TOKENS:
        options = {"vocabulary": info.vocabulary or 256, "length": info.input_shape[0], **options}
        return SequenceDecoder(**{"mixer": mixer, **options})
    return SequenceClassifier(info.input_shape, info.outputs, **{"mixer": mixer, **options})


def _recurrent(info: DataInfo, cell: str, **options) -> Module:
    return RecurrentClassifier(info.input_shape, info.outputs, **{"cell": cell, **options})


def _vit(
    info: DataInfo, patch: int = 2, dim: int = 64, depth: int = 2, heads: int = 4, feed: int = 4, dropout: float = 0.0
) -> Module:
    """A ViT of `depth` layers over patches of patch x patch; `feed` is the width of feed-forward nets in dim."""
    if len(info.input_shape) != 3:
        raise ConfigError(f"HX3102 model.kind: vit takes images (channels, height, width), got {info.input_shape}")
    channels, height, width = info.input_shape
    if patch < 1 or height % patch or width % patch:
        raise ConfigError(f"HX3102 model.options.patch: images of {height}x{width} are not whole patches of {patch}")
    sizes = {
        "hidden_size": dim,
        "intermediate_size": feed * dim,
        "num_hidden_layers": depth,
        "num_attention_heads": heads,
    }
    images = {"num_channels": channels, "image_size": [height, width], "patch_size": patch, "num_labels": info.outputs}
    return ViTForImageClassification({**sizes, **images, "hidden_dropout_prob": dropout})


def _image_network(info: DataInfo, network: Callable[..., Module], **options) -> Module:
    return network(**{"num_classes": info.outputs, "in_channels": info.input_shape[0], **options})


def _text(info: DataInfo, **options) -> Module:
    if len(info.input_shape) != 1 or not info.vocabulary:
        raise ConfigError(f"HX3102 model.kind: textcnn takes tokens of texts, got samples of shape {info.input_shape}")
    return TextClassifier(info.vocabulary, info.input_shape[0], info.outputs, **options)


TOKENS = ("language", "tagging")
IMAGE_NETWORKS = (convnext_tiny, densenet121, resnet18, resnet34, resnet50)
KINDS: dict[str, Callable[..., Module]] = {
    "cnn": _cnn,
    "decoder": _decoder,
    "mlp": _mlp,
    "textcnn": _text,
    "vit": _vit,
    **{name: partial(_recurrent, cell=name) for name in CELLS},
    **{name: partial(_sequence, mixer=name) for name in MIXERS if name != "attention"},
    "hybrid": partial(_sequence, mixer=("mamba", "attention")),
    **{network.__name__: partial(_image_network, network=network) for network in IMAGE_NETWORKS},
}


def choose(info: DataInfo) -> str:
    """The kind of model that suits the data: by task, then by the shape of a sample."""
    if info.task in TOKENS:
        return "decoder"
    if info.vocabulary:
        return "textcnn"
    return "cnn" if len(info.input_shape) == 3 and min(info.input_shape[1:]) > 2 else "mlp"


def build(kind: str, info: DataInfo, options: dict[str, Any] | None = None) -> Module:
    """A fresh model. `kind` is "auto", one of KINDS, or "package.module:function", which is called as
    `function(info, **options)` and returns a Module."""
    name = choose(info) if kind == "auto" else kind
    function = _imported(name) if ":" in name else KINDS.get(name)
    if function is None:
        near = get_close_matches(name, [*KINDS, "auto"], n=1)
        raise ConfigError(
            f"HX3102 model.kind: unknown kind {name!r}"
            + (f"; did you mean {near[0]!r}?" if near else "")
            + f" Known: auto, {', '.join(KINDS)}, or package.module:function."
        )
    try:
        model = function(info, **(options or {}))
    except TypeError as error:
        raise ConfigError(f"HX3102 model.options: {error}") from error
    if not isinstance(model, Module):
        raise ConfigError(f"HX3102 model.kind: {name!r} returned a {type(model).__name__}, not a helix.nn.Module")
    return model


def _imported(kind: str) -> Callable[..., Module]:
    module, _, name = kind.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"HX3102 model.kind: {kind!r} cannot be imported: {error}") from error
