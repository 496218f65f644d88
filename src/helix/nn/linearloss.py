"""LinearCrossEntropyLoss: the last linear layer of a classifier and its loss in one, for many classes."""

from __future__ import annotations

import math

from ..errors import ParameterError, ShapeError
from ..tensor import Tensor
from . import functional as F
from .linear import Linear
from .loss import Reduced
from .misfit import describe


class LinearCrossEntropyLoss(Reduced):
    """Cross-entropy of logits that a linear layer of its own, `linear`, makes of the input; torch 2.13's layer.

    input: (batch, in_features) or (in_features,), floating; target: class indices (batch, *out_features), or
    probabilities (batch, num_classes, *out_features). reduction, weight (num_classes,), ignore_index and label_smoothing are
    CrossEntropyLoss's; the result is a number, or (batch, *out_features) with reduction="none". Of a large vocabulary's
    logits only a few rows are held at a time, as in Hsu et al., "Liger Kernel", 2024; see
    `functional.linear_cross_entropy`, which has no `options` either.

    Raises ParameterError (HX1403) for a label_smoothing outside [0, 1], ShapeError (HX1001) for another shape of weight,
    LayerError (HX1004) for inputs of another width.

    Example:
        >>> loss = helix.nn.LinearCrossEntropyLoss(5, 10)
        >>> loss(helix.ones(3, 5), helix.tensor([1, 2, 3])).shape, tuple(loss.state_dict())
        ((), ('linear.weight',))
    """

    weight: Tensor | None

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device=None,
        dtype=None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: None = None,
    ) -> None:
        super().__init__(reduction)
        if weight is not None and tuple(weight.shape) != (num_classes,):
            text = f"weight must have shape ({num_classes},), got {tuple(weight.shape)}."
            raise ShapeError(f"HX1001 LinearCrossEntropyLoss: {text}", argument="weight", got=tuple(weight.shape))
        if not 0 <= label_smoothing <= 1:
            text = f"label_smoothing must be in [0, 1], got {label_smoothing}."
            raise ParameterError(
                f"HX1403 LinearCrossEntropyLoss: {text}", argument="label_smoothing", got=label_smoothing
            )
        self.register_buffer("weight", weight)
        self.num_classes, self.out_features, self.options = num_classes, tuple(out_features), options
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing
        rows = math.prod(self.out_features, start=num_classes)
        self.linear = Linear(in_features, rows, bias=bias, device=device, dtype=dtype)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        shape, bias = (self.num_classes, *self.out_features), self.linear.bias
        return F.linear_cross_entropy(
            input,
            self.linear.weight.reshape(*shape, -1),
            target,
            linear_bias=None if bias is None else bias.reshape(shape),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )

    def misfit(self, input, *_) -> str | None:
        if input.ndim in (1, 2) and input.shape[-1] == self.linear.in_features:
            return None
        return f"the layer takes (batch, {self.linear.in_features}) or ({self.linear.in_features},). {describe(input)}"

    def extra_repr(self) -> str:
        return f"num_classes={self.num_classes}, out_features={self.out_features}, reduction={self.reduction!r}"
