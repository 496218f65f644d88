"""ViT: Dosovitskiy et al., "An image is worth 16x16 words: transformers for image recognition at scale", ICLR 2021."""

from __future__ import annotations

from typing import Any

from .. import cat, randn, zeros
from ..nn import Conv2d, Dropout, LayerError, LayerNorm, Linear, Module, ModuleList, Parameter
from ..tensor import Tensor
from .activations import activation
from .parts import Dense, QueryKeyValue, architecture_of, class_loss, labels_of


def _sides(size: int | list[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


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

    def __init__(self, config: dict[str, Any]) -> None:
        (height, width), (down, across) = _sides(config["image_size"]), _sides(config["patch_size"])
        count, size = (height // down) * (width // across), config["hidden_size"]
        deviation = config.get("initializer_range", 0.02)
        self.cls_token = Parameter(zeros(1, 1, size))
        self.position_embeddings = Parameter(deviation * randn(1, count + 1, size))
        self.patch_embeddings = Patches(config)
        self.dropout = Dropout(config.get("hidden_dropout_prob", 0.0))

    def forward(self, images: Tensor) -> Tensor:
        patches = self.patch_embeddings(images)
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

    def __init__(self, config: dict[str, Any], pools: bool = True) -> None:
        self.config = config
        self.shape = (config.get("num_channels", 3), *_sides(config["image_size"]))
        self.embeddings, self.encoder = Embeddings(config), Encoder(config)
        self.layernorm = LayerNorm(config["hidden_size"], config.get("layer_norm_eps", 1e-12))
        if pools:
            self.pooler = Dense(config["hidden_size"], config.get("pooler_output_size") or config["hidden_size"])
            self.pool = activation(config.get("pooler_act", "tanh"))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Module:
        """A ViT or ViTForImageClassification, as config["architectures"] says."""
        return architecture_of(config, ARCHITECTURES, "ViTModel")(config)

    def forward(self, images: Tensor) -> Tensor:
        if reason := self.misfit(images):
            raise LayerError(self, reason)
        return self.layernorm(self.encoder(self.embeddings(images)))

    def pooled(self, vectors: Tensor) -> Tensor:
        return self.pool(self.pooler(vectors[:, 0]))

    def misfit(self, images) -> str | None:
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


ARCHITECTURES: dict[str, Any] = {"ViTModel": ViT, "ViTForImageClassification": ViTForImageClassification}
