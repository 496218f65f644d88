"""Activations as layers. Each calls the function of the same meaning in helix.nn.functional."""

from __future__ import annotations

from .. import full
from ..tensor import Tensor
from . import functional as F
from . import init
from .misfit import LayerError, describe
from .module import Module
from .parameter import Parameter


class _Activation(Module):
    """Keeps the constructor's arguments, by name, as attributes; `shown` are those that repr prints."""

    shown: tuple[str, ...] = ()

    def extra_repr(self) -> str:
        parts = [f"{name}={getattr(self, name)}" for name in self.shown]
        return ", ".join(parts + ["inplace=True"] if getattr(self, "inplace", False) else parts)


class _Plain(_Activation):
    """Activations with nothing to set but torch's `inplace`, which saves memory and changes no result."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return self._function(input)


class ReLU(_Plain):
    def forward(self, input: Tensor, *, owned: bool = False) -> Tensor:
        """max(input, 0); in the memory of an input that is `owned`: that nobody else has, and no gradient reads."""
        return input.relu_() if owned else F.relu(input)


class ReLU6(_Plain):
    _function = staticmethod(F.relu6)


class SiLU(_Plain):
    _function = staticmethod(F.silu)


class Mish(_Plain):
    _function = staticmethod(F.mish)


class SELU(_Plain):
    _function = staticmethod(F.selu)


class Hardsigmoid(_Plain):
    _function = staticmethod(F.hardsigmoid)


class Hardswish(_Plain):
    _function = staticmethod(F.hardswish)


class Sigmoid(_Activation):
    def forward(self, input: Tensor) -> Tensor:
        return input.sigmoid()


class Tanh(_Activation):
    def forward(self, input: Tensor) -> Tensor:
        return input.tanh()


class LogSigmoid(_Activation):
    def forward(self, input: Tensor) -> Tensor:
        return F.logsigmoid(input)


class Softsign(_Activation):
    def forward(self, input: Tensor) -> Tensor:
        return F.softsign(input)


class Tanhshrink(_Activation):
    def forward(self, input: Tensor) -> Tensor:
        return F.tanhshrink(input)


class GELU(_Activation):
    """Hendrycks and Gimpel, 2016; `approximate` is 'none' (erf) or 'tanh'."""

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class LeakyReLU(_Activation):
    shown = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope)


class ELU(_Activation):
    shown = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.elu(input, self.alpha)


class CELU(_Activation):
    shown = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.celu(input, self.alpha)


class Softplus(_Activation):
    shown = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        return F.softplus(input, self.beta, self.threshold)


class Hardtanh(_Activation):
    shown = ("min_val", "max_val")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        if min_val >= max_val:
            raise ValueError(f"Hardtanh: min_val ({min_val}) must be below max_val ({max_val})")
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.hardtanh(input, self.min_val, self.max_val)


class _Shrink(_Activation):
    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd

    def extra_repr(self) -> str:
        return str(self.lambd)


class Hardshrink(_Shrink):
    def forward(self, input: Tensor) -> Tensor:
        return F.hardshrink(input, self.lambd)


class Softshrink(_Shrink):
    def forward(self, input: Tensor) -> Tensor:
        return F.softshrink(input, self.lambd)


class Threshold(_Activation):
    """x where x > threshold, else value."""

    shown = ("threshold", "value")

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.threshold(input, self.threshold, self.value)


class PReLU(_Activation):
    """Leaky ReLU whose slope is learned, one for all or one a channel (axis 1)."""

    shown = ("num_parameters",)

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device=None, dtype=None) -> None:
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(full((num_parameters,), init, device=device, dtype=dtype))

    def reset_parameters(self) -> None:
        init.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def misfit(self, input) -> str | None:
        channels = input.shape[1] if input.ndim > 1 else 1
        if self.num_parameters in (1, channels):
            return None
        return f"input has {channels} channels, the layer was made for {self.num_parameters}. {describe(input)}"


class RReLU(_Activation):
    """Leaky ReLU whose slope is drawn from [lower, upper) for each element in training, their mean in eval mode.

    Any floating-point shape; Xu et al., "Empirical evaluation of rectified activations in convolutional network", 2015.

    Example:
        >>> helix.nn.RReLU(0.25, 0.75).eval()(helix.tensor([-4.0, 2.0])).tolist()
        [-2.0, 2.0]
    """

    shown = ("lower", "upper")

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        if lower > upper:
            raise ValueError(f"RReLU: lower ({lower}) must not be above upper ({upper})")
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training)


class GLU(_Activation):
    """The first half times the sigmoid of the second; Dauphin et al., ICML 2017."""

    shown = ("dim",)

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)


class _AlongDim(_Activation):
    shown = ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    def _axis(self, input: Tensor) -> int:
        if self.dim is None:
            raise ValueError(
                f"{type(self).__name__}: say along which axis, for instance nn.{type(self).__name__}(dim=-1)"
            )
        return self.dim


class Softmax(_AlongDim):
    def forward(self, input: Tensor) -> Tensor:
        return input.softmax(self._axis(input))


class Softmax2d(_Activation):
    """Softmax over the channels at every place of (N, C, H, W) or (C, H, W).

    Example:
        >>> helix.nn.Softmax2d()(helix.zeros(1, 4, 1, 1)).flatten().tolist()
        [0.25, 0.25, 0.25, 0.25]
    """

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4):
            raise LayerError(self, str(self.misfit(input)))
        return input.softmax(-3)

    def misfit(self, input) -> str | None:
        if input.ndim in (3, 4):
            return None
        return f"input has {input.ndim} axes, the layer takes 4 (NCHW) or 3 (CHW). {describe(input)}"


class Softmin(_AlongDim):
    def forward(self, input: Tensor) -> Tensor:
        return (-input).softmax(self._axis(input))


class LogSoftmax(_AlongDim):
    def forward(self, input: Tensor) -> Tensor:
        return input.log_softmax(self._axis(input))
