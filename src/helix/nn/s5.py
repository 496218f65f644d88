"""S5: Smith, Warrington and Linderman, "Simplified state space layers for sequence modeling", ICLR 2023; lindermanlab/S5's names."""

from __future__ import annotations

import math
from typing import Any

from .. import complex, float32, matmul, randn, tensor, view_as_complex, zeros
from ..precision import widened
from ..tensor import Tensor
from . import functional as F
from . import init
from .hippo import diagonal_plus_low_rank
from .parameter import Parameter
from .s4d import DISCRETISATIONS, discretise, log_steps
from .sequence import SequenceLayer, exactly, narrowed

C_INITS = ("trunc_standard_normal", "complex_normal")


class S5(SequenceLayer):
    """One diagonal state space with many inputs and results: (batch, length, d_model) to the same, by a parallel scan.

    `d_state` states in conjugate pairs begin as `blocks` HiPPO-LegS matrices' normal parts. Lambda_re and Lambda_im are
    (P,), B (P, d_model, 2), C (d_model, P, 2), log_step (P, 1), D (d_model,), where P = d_state / 2. `step` runs the
    recurrence on a complex state of (batch, P), of float32 at least. Floating dtypes. Raises LayerError (HX1004) for other
    shapes.

    Example:
        >>> layer = helix.nn.S5(4, d_state=8)
        >>> x = helix.randn(2, 10, 4)
        >>> y, state = layer.step(x[:, 0], layer.default_state(2))
        >>> helix.allclose(y, layer(x)[:, 0], atol=1e-5)
        True
    """

    def __init__(
        self,
        d_model: int,
        d_state: int = 64,
        blocks: int = 1,
        C_init: str = "trunc_standard_normal",
        discretization: str = "zoh",
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        clip_eigs: bool = False,
        step_rescale: float = 1.0,
        device=None,
        dtype=None,
    ) -> None:
        import numpy as np

        if blocks < 1 or d_state % (2 * blocks):
            raise ValueError(f"S5: d_state ({d_state}) must be an even multiple of blocks ({blocks})")
        for name, value, known in (("C_init", C_init, C_INITS), ("discretization", discretization, DISCRETISATIONS)):
            if value not in known:
                raise ValueError(f"S5: {name} must be one of {', '.join(known)}; got {value!r}")
        self.d_model, self.d_state, self.discretization = d_model, d_state, discretization
        self.clip_eigs, self.step_rescale = clip_eigs, step_rescale
        form, self.P = diagonal_plus_low_rank(d_state // blocks), d_state // 2
        V = np.kron(np.eye(blocks), form.V)
        eigenvalues = np.tile(form.eigenvalues, blocks)

        def made(values) -> Parameter:
            return Parameter(tensor(values.tolist(), dtype=dtype or float32, device=device))

        def pairs(values) -> Parameter:
            return made(np.stack([values.real, values.imag], -1))

        self.Lambda_re, self.Lambda_im = made(eigenvalues.real), made(eigenvalues.imag)
        self.B = pairs(V.conj().T @ _lecun_normal(d_state, d_state, d_model))
        self.C = pairs(self._outputs(C_init, V))
        self.D = Parameter(randn(d_model, dtype=dtype, device=device))
        self.log_step = Parameter(log_steps(self.P, dt_min, dt_max, dtype).unsqueeze(-1).to(device=device))

    def _outputs(self, kind: str, V):
        if kind == "complex_normal":
            drawn = (randn(self.d_model, self.P, 2) * math.sqrt(0.5)).numpy()
            return drawn[..., 0] + 1j * drawn[..., 1]
        drawn = _lecun_normal(self.d_state, self.d_model, self.d_state, 2)
        return (drawn[..., 0] + 1j * drawn[..., 1]) @ V

    def discretised(self) -> tuple[Tensor, Tensor]:
        """(decay (P,), input matrix (P, d_model))."""
        real = widened(self.Lambda_re)
        real = real.clamp(max=-1e-4) if self.clip_eigs else real
        steps = self.step_rescale * widened(self.log_step).squeeze(-1).exp()
        decay, _, factor = discretise(self.discretization, complex(real, widened(self.Lambda_im)), steps)
        return decay, factor.unsqueeze(-1) * view_as_complex(widened(self.B))

    def _entered(self, x: Tensor, B: Tensor) -> Tensor:
        x = x.to(widened(self.D).dtype)
        with exactly():
            return complex(matmul(x, B.real.t()), matmul(x, B.imag.t()))

    def _read(self, states: Tensor, u: Tensor) -> Tensor:
        real, imag = widened(self.C).unbind(-1)
        y = 2 * (F.linear(states.real, real) - F.linear(states.imag, imag)) + widened(self.D) * u
        return narrowed(y, self.D)

    def stream(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        decay, B = self.discretised()
        inputs = self._entered(x, B)
        states = F.linear_scan(decay.reshape(1, 1, -1), inputs, None if state is None else state[0].unsqueeze(1), dim=1)
        if x.shape[1]:
            last = states.select(1, x.shape[1] - 1)
        else:
            last = self.default_state(x.shape[0])[0] if state is None else state[0]
        return self._read(states, x), (last,)

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        decay, B = self.discretised()
        carried = decay * state[0] + self._entered(x, B)
        return self._read(carried, x), (carried,)

    def default_state(self, batch: int) -> Any:
        part = zeros(batch, self.P, dtype=widened(self.D).dtype, device=self.D.device)
        return (complex(part, part),)

    def extra_repr(self) -> str:
        return f"{self.d_model}, d_state={self.d_state}, discretization={self.discretization!r}"


def _lecun_normal(fan_in: int, *shape: int):
    """Normal numbers cut at two deviations, of variance 1 / fan_in."""
    deviation = math.sqrt(1 / fan_in) / 0.87962566103423978  # the deviation left by the cut
    return init.trunc_normal_(zeros(*shape), std=deviation, a=-2 * deviation, b=2 * deviation).numpy()
