"""LongConv: Fu et al., "Simple hardware-efficient long convolutions for sequence modeling", ICML 2023."""

from __future__ import annotations

from .. import randn
from ..tensor import Tensor
from . import functional as F
from .activation import GELU, GLU
from .containers import Sequential
from .conv import Conv1d
from .dropout import Dropout
from .misfit import describe
from .module import Module
from .parameter import Parameter


class LongConvKernel(Module):
    """Filters that are learned tap by tap; the squash towards zero by `lam` keeps them smooth.

    `layer(length)` is (channels, d_model, at most length) for a kernel of (channels, d_model, l_max).
    """

    kernel: Parameter

    def __init__(
        self, d_model: int, l_max: int, channels: int = 1, lam: float = 0.003, device=None, dtype=None
    ) -> None:
        self.d_model, self.l_max, self.channels, self.lam = d_model, l_max, channels, lam
        self.kernel = Parameter(0.002 * randn(channels, d_model, l_max, device=device, dtype=dtype))

    def forward(self, length: int) -> Tensor:
        return F.softshrink(self.kernel.narrow(-1, 0, min(length, self.l_max)), self.lam)

    def extra_repr(self) -> str:
        return f"{self.d_model}, l_max={self.l_max}, channels={self.channels}, lam={self.lam}"


class LongConv(Module):
    """A convolution with filters of up to l_max taps, GELU, and a gated mixing of channels.

    Input and result are (batch, d_model, length), or with `transposed=False` (batch, length, d_model), of any length.
    Floating dtypes; computed in float32, or float64 for float64. Raises LayerError (HX1004) for other shapes.

    Example:
        >>> helix.nn.LongConv(4, l_max=16)(helix.randn(2, 4, 10)).shape
        (2, 4, 10)
    """

    D: Parameter

    def __init__(
        self,
        d_model: int,
        l_max: int = 1024,
        channels: int = 1,
        dropout: float = 0.0,
        transposed: bool = True,
        lam: float = 0.003,
        device=None,
        dtype=None,
    ) -> None:
        if l_max < 1 or channels < 1:
            raise ValueError(f"LongConv: l_max and channels must be at least 1, got {l_max} and {channels}")
        self.d_model, self.l_max, self.transposed = d_model, l_max, transposed
        self.D = Parameter(randn(channels, d_model, device=device, dtype=dtype))
        self.kernel = LongConvKernel(d_model, l_max, channels, lam, device, dtype)
        self.activation, self.dropout = GELU(), Dropout(dropout)
        mixing = Conv1d(channels * d_model, 2 * d_model, 1, device=device, dtype=dtype)
        self.output_linear = Sequential(mixing, GLU(dim=-2))

    def forward(self, x: Tensor) -> Tensor:
        u = x if self.transposed else x.transpose(1, 2)
        filters = self.kernel(u.shape[-1])
        wide = u.unsqueeze(1).expand(u.shape[0], filters.shape[0], *u.shape[1:])
        y = self.dropout(self.activation(F.fft_conv(wide, filters, self.D))).flatten(1, 2)
        y = self.output_linear(y)
        return y if self.transposed else y.transpose(1, 2)

    def misfit(self, x) -> str | None:
        shape, axis = tuple(getattr(x, "shape", ())), 1 if self.transposed else -1
        if len(shape) == 3 and shape[axis] == self.d_model:
            return None
        layout = "(batch, features, length)" if self.transposed else "(batch, length, features)"
        return f"input has shape {shape}, the layer takes {layout} with {self.d_model} features. {describe(x)}"

    def extra_repr(self) -> str:
        return f"{self.d_model}, l_max={self.l_max}, transposed={self.transposed}"
