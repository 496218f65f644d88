"""H3: Fu et al., "Hungry hungry hippos: towards language modeling with state space models", ICLR 2023."""

from __future__ import annotations

import math
from typing import Any

from .. import cat, randn, zeros
from ..tensor import Tensor
from . import functional as F
from .linear import Linear
from .module import Module
from .parameter import Parameter
from .s4d import S4DKernel
from .sequence import SequenceLayer, narrowed


class ShiftKernel(Module):
    """A state space whose matrix shifts: its state is the last N inputs, so that C (d_model, N) is its filter."""

    C: Parameter

    def __init__(self, d_model: int, N: int = 64, device=None, dtype=None) -> None:
        self.d_model, self.N = d_model, N
        self.C = Parameter(randn(d_model, N, device=device, dtype=dtype) / math.sqrt(N))

    def convolve(self, u: Tensor, D: Tensor, columns: Tensor | None) -> tuple[Tensor, Tensor]:
        """(batch, d_model, length), after the N - 1 columns before it, to results and the last N - 1 columns."""
        known = u if columns is None else cat([columns, u], -1)
        y = F.fft_conv(known, self.C, D).narrow(-1, known.shape[-1] - u.shape[-1], u.shape[-1])
        return y, F.pad(known, (self.N - 1, 0)).narrow(-1, known.shape[-1], self.N - 1)

    def extra_repr(self) -> str:
        return f"{self.d_model}, N={self.N}"


class H3(SequenceLayer):
    """q (diagonal state space of (shifted k) v): (batch, length, d_model) to the same.

    With `head_dim` above 1, k and v of a head meet in an outer product, as in linear attention. The state is (the shift's
    last d_state - 1 inputs, the complex state of the diagonal space, (batch head_dim^2, heads, d_state / 2)).
    Floating dtypes; of half types the diagonal space is float32. Raises LayerError (HX1004) for other shapes.

    Example:
        >>> layer = helix.nn.H3(4, d_state=8)
        >>> x = helix.randn(2, 10, 4)
        >>> y, state = layer.step(x[:, 0], layer.default_state(2))
        >>> helix.allclose(y, layer(x)[:, 0], atol=1e-5)
        True
    """

    ssm_k_D: Parameter
    D: Parameter

    def __init__(
        self, d_model: int, d_state: int = 64, head_dim: int = 1, device=None, dtype=None, **kernel_args
    ) -> None:
        if head_dim < 1 or d_model % head_dim:
            raise ValueError(f"H3: d_model ({d_model}) must be a multiple of head_dim ({head_dim})")
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        self.d_model, self.d_state, self.head_dim, self.heads = d_model, d_state, head_dim, d_model // head_dim
        self.q_proj, self.k_proj, self.v_proj = (Linear(d_model, d_model, **made) for _ in range(3))
        self.ssm_k_kernel = ShiftKernel(d_model, d_state, **made)
        self.ssm_k_D = Parameter(randn(d_model, **made))
        self.kernel = S4DKernel(self.heads, N=d_state, **made, **kernel_args)
        self.D = Parameter(randn(self.heads, **made))
        self.output_linear = Linear(d_model, d_model, **made)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).transpose(1, 2) for layer in (self.q_proj, self.k_proj, self.v_proj))
        k, _ = self.ssm_k_kernel.convolve(k, self.ssm_k_D, None)
        y = self.kernel.respond(self._met(k, v), self.D)
        return self.output_linear(self._asked(y, q).transpose(1, 2))

    def stream(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        columns, carried = (None, None) if state is None else state
        q, k, v = (layer(x).transpose(1, 2) for layer in (self.q_proj, self.k_proj, self.v_proj))
        k, columns = self.ssm_k_kernel.convolve(k, self.ssm_k_D, columns)
        met = self._met(k, v)
        y, carried = self.kernel.convolve(met, self.D, carried)
        return self.output_linear(self._asked(y, q).transpose(1, 2)), (columns, carried)

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        columns, carried = state
        q, k, v = (layer(x).unsqueeze(-1) for layer in (self.q_proj, self.k_proj, self.v_proj))
        window = cat([columns, k], -1)
        shifted = (window * self.ssm_k_kernel.C.flip(-1)).sum(-1, keepdim=True) + self.ssm_k_D.unsqueeze(-1) * k
        y, carried = self.kernel.advance(self._met(shifted, v).squeeze(-1), self.D, carried)
        y = self._asked(y.unsqueeze(-1), q).squeeze(-1)
        return self.output_linear(y), (window.narrow(-1, 1, self.d_state - 1), carried)

    def _met(self, k: Tensor, v: Tensor) -> Tensor:
        """Outer products within heads: (batch, d_model, length) twice to (batch head_dim^2, heads, length)."""
        shape = (k.shape[0], self.heads, self.head_dim, k.shape[-1])
        both = k.reshape(shape).transpose(1, 2).unsqueeze(2) * v.reshape(shape).transpose(1, 2).unsqueeze(1)
        return both.flatten(0, 2)

    def _asked(self, y: Tensor, q: Tensor) -> Tensor:
        """Results of the heads' products, read with q: to (batch, d_model, length)."""
        batch, length, size = q.shape[0], q.shape[-1], self.head_dim
        y = y.reshape(batch, size, size, self.heads, length)
        q = q.reshape(batch, self.heads, size, length).transpose(1, 2).unsqueeze(2)
        return narrowed((y * q).sum(1).reshape(batch, self.d_model, length), self.D)

    def default_state(self, batch: int) -> Any:
        columns = zeros(batch, self.d_model, self.d_state - 1, dtype=self.D.dtype, device=self.D.device)
        return columns, self.kernel.default_state(batch * self.head_dim**2)

    def extra_repr(self) -> str:
        return f"{self.d_model}, d_state={self.d_state}, head_dim={self.head_dim}"
