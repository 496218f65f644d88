"""ViT: Dosovitskiy et al., "An image is worth 16x16 words: transformers for image recognition at scale", ICLR 2021."""

from __future__ import annotations

from typing import Any

from .. import cat, randn, where, zeros
from ..errors import ConfigError
from ..nn import (
    Conv2d,
    Dropout,
    LayerError,
    LayerNorm,
    Linear,
    Module,
    ModuleList,
    Parameter,
    PixelShuffle,
    Sequential,
)
from ..tensor import Tensor
from .activations import activation
from .parts import Dense, QueryKeyValue, architecture_of, class_loss, labels_of


def _sides(size: int | list[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def grid_of(config: dict[str, Any]) -> tuple[int, int]:
    """Rows and columns of patches."""
    (height, width), (down, across) = _sides(config["image_size"]), _sides(config["patch_size"])
    return height // down, width // across


class Patches(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        sides = _sides(config["patch_size"])
        self.projection = Conv2d(config.get("num_channels", 3), config["hidden_size"], sides, stride=sides)

    def forward(self, images: Tensor) -> Tensor:
        return self.projection(images).flatten(2).transpose(1, 2)


class Embeddings(Module):
    """Patches as vectors, after one that stands for the image, with learned positions."""

    cls_token: Parameter
    position_embeddings: Parameter

    mask_token: Parameter

    def __init__(self, config: dict[str, Any], masks: bool = False) -> None:
        rows, columns = grid_of(config)
        count, size = rows * columns, config["hidden_size"]
        if masks:
            self.mask_token = Parameter(zeros(1, 1, size))
        deviation = config.get("initializer_range", 0.02)
        self.cls_token = Parameter(zeros(1, 1, size))
        self.position_embeddings = Parameter(deviation * randn(1, count + 1, size))
        self.patch_embeddings = Patches(config)
        self.dropout = Dropout(config.get("hidden_dropout_prob", 0.0))

    def forward(self, images: Tensor, masked: Tensor | None = None) -> Tensor:
        patches = self.patch_embeddings(images)
        if masked is not None:
            patches = where(masked.unsqueeze(-1) != 0, self.mask_token, patches)
        first = self.cls_token.expand(patches.shape[0], 1, -1)
        return self.dropout(cat([first, patches], 1) + self.position_embeddings)


class Attention(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        width, share = config["hidden_size"], config.get("attention_probs_dropout_prob", 0.0)
        self.attention = QueryKeyValue(width, config["num_attention_heads"], config.get("qkv_bias", True), share)
        self.output = Dense(width, width, config.get("hidden_dropout_prob", 0.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.attention(x))


class Layer(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        width, inner, eps = config["hidden_size"], config["intermediate_size"], config.get("layer_norm_eps", 1e-12)
        self.attention = Attention(config)
        self.intermediate, self.output = (
            Dense(width, inner),
            Dense(inner, width, config.get("hidden_dropout_prob", 0.0)),
        )
        self.layernorm_before, self.layernorm_after = LayerNorm(width, eps), LayerNorm(width, eps)
        self.activation = activation(config.get("hidden_act", "gelu"))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.layernorm_before(x))
        return x + self.output(self.activation(self.intermediate(self.layernorm_after(x))))


class Encoder(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        self.layer = ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layer:
            x = layer(x)
        return x


class ViT(Module):
    """Images (batch, channels, height, width) to vectors (batch, 1 + patches, hidden_size), the first for the image.

    `pooled(vectors)` is the first one through a layer of its own.

    Example:
        >>> from helix.models.vit import ViT
        >>> sizes = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
        >>> ViT({"image_size": 8, "patch_size": 4, **sizes})(helix.ones(2, 3, 8, 8)).shape
        (2, 5, 8)
    """

    def __init__(self, config: dict[str, Any], pools: bool = True, masks: bool = False) -> None:
        self.config = config
        self.shape = (config.get("num_channels", 3), *_sides(config["image_size"]))
        self.embeddings, self.encoder = Embeddings(config, masks), Encoder(config)
        self.layernorm = LayerNorm(config["hidden_size"], config.get("layer_norm_eps", 1e-12))
        if pools:
            self.pooler = Dense(config["hidden_size"], config.get("pooler_output_size") or config["hidden_size"])
            self.pool = activation(config.get("pooler_act", "tanh"))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Module:
        """What config["architectures"] says: the encoder alone, or with a classifier or a decoder of pixels."""
        return architecture_of(config, ARCHITECTURES, "ViTModel")(config)

    def forward(self, images: Tensor, masked: Tensor | None = None) -> Tensor:
        if reason := self.misfit(images):
            raise LayerError(self, reason)
        return self.layernorm(self.encoder(self.embeddings(images, masked)))

    def pooled(self, vectors: Tensor) -> Tensor:
        return self.pool(self.pooler(vectors[:, 0]))

    def misfit(self, images, *_) -> str | None:
        if tuple(images.shape[1:]) == self.shape:
            return None
        return f"images have shape {tuple(images.shape)}, the model takes (batch, {', '.join(map(str, self.shape))})."


class ViTForImageClassification(Module):
    """Images to logits (batch, classes).

    Example:
        >>> from helix.models.vit import ViTForImageClassification
        >>> sizes = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
        >>> model = ViTForImageClassification({"image_size": 8, "patch_size": 4, "num_labels": 10, **sizes})
        >>> model(helix.ones(2, 3, 8, 8)).shape
        (2, 10)
    """

    key_map = ((r"^vit\.pooler\.", None),)

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.vit = ViT(config, pools=False)
        self.classifier = Linear(config["hidden_size"], labels_of(config))

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.vit(images)[:, 0])

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy; squared error for a single output."""
        return class_loss(self(images), labels, self.config.get("problem_type"))


class ViTForMaskedImageModeling(Module):
    """Images, of which some patches are hidden, to images: `bool_masked_pos`, (batch, patches), is true where one is hidden.

    Xie et al., "SimMIM: a simple framework for masked image modeling", CVPR 2022.
    """

    key_map = ViTForImageClassification.key_map

    def __init__(self, config: dict[str, Any]) -> None:
        self.config, stride = config, config.get("encoder_stride", 16)
        self.vit = ViT(config, pools=False, masks=True)
        pixels = stride**2 * config.get("num_channels", 3)
        self.decoder = Sequential(Conv2d(config["hidden_size"], pixels, 1), PixelShuffle(stride))

    def forward(self, images: Tensor, bool_masked_pos: Tensor | None = None) -> Tensor:
        vectors = self.vit(images, bool_masked_pos)[:, 1:]
        return self.decoder(vectors.transpose(1, 2).unflatten(2, grid_of(self.config)))

    def loss(self, images: Tensor, bool_masked_pos: Tensor) -> Tensor:
        """Mean absolute error of the pixels of patches that were hidden."""
        made = self(images, bool_masked_pos)
        if made.shape != images.shape:
            raise ConfigError("HX3012 ViTForMaskedImageModeling: encoder_stride must be patch_size, to compare images.")
        down, across = _sides(self.config["patch_size"])
        hidden = (bool_masked_pos != 0).unflatten(1, grid_of(self.config)).to(images.dtype)
        hidden = hidden.repeat_interleave(down, 1).repeat_interleave(across, 2).unsqueeze(1)
        return ((images - made).abs() * hidden).sum() / (hidden.sum() + 1e-5) / images.shape[1]


ARCHITECTURES: dict[str, Any] = {
    "ViTModel": ViT,
    "ViTForImageClassification": ViTForImageClassification,
    "ViTForMaskedImageModeling": ViTForMaskedImageModeling,
}
