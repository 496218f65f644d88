"""Linear, Bilinear."""

from __future__ import annotations

import math

from .. import empty
from ..tensor import Tensor
from . import functional as F
from . import init
from .misfit import describe
from .module import Module
from .parameter import Parameter


def fits_bound(fan_in: int) -> float:
    """torch's default for weights and biases: uniform within ±1/sqrt(fan_in)."""
    return 1.0 / math.sqrt(fan_in) if fan_in > 0 else 0.0


class Linear(Module):
    """`y = x @ weight.T + bias` over the last axis; weight is [out, in]."""

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device=None, dtype=None) -> None:
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(empty(out_features, in_features, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = fits_bound(self.in_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def misfit(self, input) -> str | None:
        got = input.shape[-1] if getattr(input, "ndim", 0) else None
        if got == self.in_features:
            return None
        found = f"{got} features (its last axis)" if got is not None else "no axes"
        flat = math.prod(input.shape[1:]) if getattr(input, "ndim", 0) > 2 else 0
        fix = (
            " Flatten all axes but the first before it: nn.Flatten()."
            if flat == self.in_features
            else f" Use nn.Linear({got}, {self.out_features}), or change what comes before."
            if got
            else ""
        )
        return f"input has {found}, the layer was made for {self.in_features}. {describe(input)}{fix}"

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """`y[k] = x1 @ weight[k] @ x2 + bias[k]`; weight is [out, in1, in2]."""

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, bias: bool = True, device=None, dtype=None
    ) -> None:
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = Parameter(empty(out_features, in1_features, in2_features, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = fits_bound(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def misfit(self, input1, input2) -> str | None:
        got = input1.shape[-1:] + input2.shape[-1:]
        if tuple(got) == (self.in1_features, self.in2_features):
            return None
        return (
            f"inputs have {tuple(got)} features, the layer was made for "
            f"{(self.in1_features, self.in2_features)}. {describe(input1)} {describe(input2)}"
        )

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
