"""S4D: Gu et al., "On the parameterization and initialization of diagonal state space models", 2022; state-spaces/s4's names."""

from __future__ import annotations

import math
from typing import Any

from .. import arange, cat, complex, float32, matmul, rand, randn, tensor, view_as_complex, zeros
from ..precision import widened
from ..tensor import Tensor
from . import functional as F
from .activation import GELU, GLU
from .containers import Sequential
from .conv import Conv1d
from .dropout import Dropout1d
from .functions.scans import any_length
from .hippo import diagonal_eigenvalues
from .module import Module
from .parameter import Parameter
from .reshape import Identity
from .sequence import SequenceLayer, exactly, narrowed

DISCRETISATIONS = ("zoh", "bilinear")


def log_steps(count: int, dt_min: float, dt_max: float, dtype=None) -> Tensor:
    """Logarithms of step sizes, spread evenly between those of dt_min and dt_max."""
    low, high = math.log(dt_min), math.log(dt_max)
    return rand(count, dtype=dtype or float32) * (high - low) + low


def discretise(kind: str, A: Tensor, dt: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(decay, its logarithm, input factor) of x' = A x + u for diagonal complex A and steps dt."""
    if kind == "bilinear":
        below = 1 - 0.5 * dt * A
        decay = (1 + 0.5 * dt * A) / below
        return decay, decay.log(), dt / below
    real, imag = A.real * dt, A.imag * dt
    wave, half = real.exp(), (0.5 * imag).sin()
    decay = complex(wave * imag.cos(), wave * imag.sin())
    less_one = complex(real.expm1() * imag.cos() - 2 * half * half, wave * imag.sin())  # decay - 1, nothing cancelled
    return decay, complex(real, imag), less_one / A


def powers(log_decay: Tensor, steps: Tensor) -> Tensor:
    """decay**steps: (…, states) and (count,) to (…, states, count)."""
    return (log_decay.unsqueeze(-1) * steps).exp()


def _width(length: int) -> int:
    """About the square root: how many steps stand in a row when t is written as i width + j."""
    return math.isqrt(max(0, length - 1)) + 1


def _steps(values: range, like: Tensor) -> Tensor:
    return arange(values.start, values.stop, values.step, dtype=like.real.dtype, device=like.device)


def vandermonde(weights: Tensor, log_decay: Tensor, length: int) -> Tensor:
    """2 Re of the sum over states of weights decay**t for t < length: (…, channels, states) to (…, channels, length).

    t is i m + j, so that one product of (length / m, 2 states) and (2 states, m) does what powers for every t would.
    """
    if any_length():
        rows, each = _pairs(weights), powers(log_decay, _steps(range(length), log_decay))
        return 2 * matmul(rows, _stacked(each.real, each.imag)).squeeze(-2)
    width = _width(length)
    coarse = weights.unsqueeze(-1) * powers(log_decay, width * _steps(range(-(-length // width)), log_decay))
    fine = powers(log_decay, _steps(range(width), log_decay))
    left, right = _stacked(coarse.real, -coarse.imag), _stacked(fine.real, fine.imag)
    return 2 * matmul(left.transpose(-1, -2), right).flatten(-2).narrow(-1, 0, length)


def gather(log_decay: Tensor, inputs: Tensor) -> Tensor:
    """The sum over t of decay**(length - 1 - t) inputs[t]: (batch, channels, length) to (batch, channels, states).

    As in vandermonde, rows of about the square root of the length are summed by one product, then row by row.
    """
    length, width = inputs.shape[-1], _width(inputs.shape[-1])
    if any_length():
        each = powers(log_decay, _steps(range(length), log_decay).flip(0))
        real, imag = (
            matmul(inputs.unsqueeze(-2), _stacked(each.real, each.imag).transpose(-1, -2)).squeeze(-2).chunk(2, -1)
        )
        return complex(real, imag)
    rows = -(-length // width)
    fine = powers(log_decay, _steps(range(width - 1, -1, -1), log_decay))
    coarse = powers(log_decay, width * _steps(range(rows - 1, -1, -1), log_decay)).transpose(-1, -2)
    padded = F.pad(inputs, (rows * width - length, 0)).unflatten(-1, (rows, width))
    real, imag = matmul(padded, _stacked(fine.real, fine.imag).transpose(-1, -2)).chunk(2, -1)
    return (complex(real, imag) * coarse).sum(-2)


def _pairs(weights: Tensor) -> Tensor:
    """Complex rows as (…, 1, 2 states): what a product with (2 states, length) takes the real part by."""
    return cat([weights.real, -weights.imag], -1).unsqueeze(-2)


def _stacked(real: Tensor, imag: Tensor) -> Tensor:
    return cat([real, imag], -2)


class S4DKernel(Module):
    """The impulse response of d_model state spaces of N states each, N/2 of them kept: `layer(length)` is (d_model, length).

    `init` is "lin", "legs" or "inv", `disc` "zoh" or "bilinear". C (d_model, N/2, 2) holds real and imaginary parts;
    log_dt (d_model,), log_A_real and A_imag (d_model, N/2).
    """

    C: Parameter
    log_dt: Parameter
    log_A_real: Parameter
    A_imag: Parameter

    def __init__(
        self,
        d_model: int,
        N: int = 64,
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        init: str = "lin",
        disc: str = "zoh",
        device=None,
        dtype=None,
    ) -> None:
        if disc not in DISCRETISATIONS:
            raise ValueError(f"S4DKernel: disc must be one of {', '.join(DISCRETISATIONS)}; got {disc!r}")
        A, dtype = diagonal_eigenvalues(init, N), dtype or float32
        self.d_model, self.N, self.init, self.disc = d_model, N, init, disc

        def rows(values) -> Parameter:
            return Parameter(tensor(values, dtype=dtype, device=device).expand(d_model, N // 2).clone())

        self.C = Parameter(randn(d_model, N // 2, 2, dtype=dtype, device=device) * math.sqrt(0.5))
        self.log_dt = Parameter(log_steps(d_model, dt_min, dt_max, dtype).to(device=device))
        self.log_A_real, self.A_imag = rows(list(map(math.log, -A.real))), rows(A.imag.tolist())

    def discretised(self) -> tuple[Tensor, Tensor, Tensor]:
        """(decay, its logarithm, input factor), each (d_model, N/2)."""
        A = complex(-widened(self.log_A_real).exp(), widened(self.A_imag))
        return discretise(self.disc, A, widened(self.log_dt).exp().unsqueeze(-1))

    def _outputs(self) -> Tensor:
        return view_as_complex(widened(self.C))

    def forward(self, length: int) -> Tensor:
        with exactly():
            _, log_decay, factor = self.discretised()
            return vandermonde(self._outputs() * factor, log_decay, length)

    def convolve(self, u: Tensor, D: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(batch, d_model, length) from a state, zero without one, to results and the state after them."""
        decay, log_decay, factor = self.discretised()
        C, length = self._outputs(), u.shape[-1]
        with exactly():
            y, last = self.respond(u, D), gather(log_decay, u.to(C.real.dtype)) * factor
            if state is not None:
                y = y + vandermonde(C * decay * state, log_decay, length)
                last = last + (log_decay * length).exp() * state
        return y, last

    def respond(self, u: Tensor, D: Tensor) -> Tensor:
        """The results alone, from rest."""
        return F.fft_conv(widened(u), self(u.shape[-1]), widened(D))

    def advance(self, u: Tensor, D: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step: (batch, d_model)."""
        decay, _, factor = self.discretised()
        state = decay * state + factor * widened(u).unsqueeze(-1)
        return 2 * (self._outputs() * state).sum(-1).real + widened(D) * widened(u), state

    def default_state(self, batch: int) -> Tensor:
        part = zeros(batch, self.d_model, self.N // 2, dtype=widened(self.C).dtype, device=self.C.device)
        return complex(part, part)

    def extra_repr(self) -> str:
        return f"{self.d_model}, N={self.N}, init={self.init!r}, disc={self.disc!r}"


class S4D(SequenceLayer):
    """A diagonal state space layer, GELU, and a gated mixing of channels.

    Input and result are (batch, d_model, length), or with `transposed=False` (batch, length, d_model). A sequence is
    convolved with the kernel; `step` runs the recurrence on a complex state of (batch, d_model, d_state / 2). Floating
    dtypes; of half types only the parameters, inputs and results, the states are float32. Raises LayerError (HX1004) for
    other shapes.

    Example:
        >>> layer = helix.nn.S4D(4, d_state=8)
        >>> x = helix.randn(2, 4, 10)
        >>> y, state = layer.step(x[..., 0], layer.default_state(2))
        >>> helix.allclose(y, layer(x)[..., 0], atol=1e-5)
        True
    """

    kernel: Any

    def __init__(
        self,
        d_model: int,
        d_state: int = 64,
        dropout: float = 0.0,
        transposed: bool = True,
        device=None,
        dtype=None,
        **kernel_args,
    ) -> None:
        self.d_model, self.d_state, self.transposed = d_model, d_state, transposed
        self._length_last = transposed
        self.D = Parameter(randn(d_model, device=device, dtype=dtype))
        self.kernel = self._made(d_model, d_state, {"device": device, "dtype": dtype, **kernel_args})
        self.activation = GELU()
        self.dropout = Dropout1d(dropout) if dropout > 0.0 else Identity()
        self.output_linear = Sequential(Conv1d(d_model, 2 * d_model, 1, device=device, dtype=dtype), GLU(dim=-2))

    def _made(self, d_model: int, d_state: int, kernel_args: dict) -> Module:
        return S4DKernel(d_model, N=d_state, **kernel_args)

    def _mixed(self, y: Tensor) -> Tensor:
        return self.output_linear(self.dropout(self.activation(narrowed(y, self.D))))

    def forward(self, x: Tensor) -> Tensor:
        u = x if self.transposed else x.transpose(1, 2)
        y = self._mixed(F.fft_conv(widened(u), self.kernel(u.shape[-1]), widened(self.D)))
        return y if self.transposed else y.transpose(1, 2)

    def stream(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        u = x if self.transposed else x.transpose(1, 2)
        y, last = self.kernel.convolve(u, self.D, None if state is None else state[0])
        y = self._mixed(y)
        return (y if self.transposed else y.transpose(1, 2)), (last,)

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        y, carried = self.kernel.advance(x, self.D, state[0])
        return self._mixed(y.unsqueeze(-1)).squeeze(-1), (carried,)

    def default_state(self, batch: int) -> Any:
        return (self.kernel.default_state(batch),)

    def extra_repr(self) -> str:
        return f"{self.d_model}, d_state={self.d_state}, transposed={self.transposed}"
