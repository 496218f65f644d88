"""S4: Gu, Goel and Ré, "Efficiently modeling long sequences with structured state spaces", ICLR 2022."""

from __future__ import annotations

import math
from typing import Any

from .. import (
    _core,
    arange,
    cat,
    complex,
    diag_embed,
    eye,
    fft,
    float32,
    float64,
    linalg,
    matmul,
    polar,
    randn,
    stack,
    tensor,
    view_as_complex,
    view_as_real,
    zeros,
)
from ..autograd import no_grad
from ..errors import TraceError
from ..precision import widened
from ..tensor import Tensor
from .hippo import diagonal_plus_low_rank
from .module import Module
from .parameter import Parameter
from .s4d import S4D, log_steps


class S4Kernel(Module):
    """The impulse response of d_model state spaces x' = (Lambda - P P^H) x + B u, y = C x, by the bilinear rule.

    All states come in conjugate pairs, of which one is kept: C, B and P are (d_model, N/2, 2) of real and imaginary parts,
    log_dt (d_model,), log_A_real and A_imag (d_model, N/2); they begin as HiPPO-LegS. As in the paper, C stands for
    C (I - A^l_max), so that the first `l_max` values are a transform of the generating function at roots of unity.
    `layer(length)` is (d_model, length); a length above `l_max` doubles l_max and rewrites C to mean the same.
    """

    C: Parameter
    log_dt: Parameter
    B: Parameter
    P: Parameter
    log_A_real: Parameter
    A_imag: Parameter
    l_kernel: Tensor

    def __init__(
        self,
        d_model: int,
        N: int = 64,
        l_max: int = 1024,
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        device=None,
        dtype=None,
    ) -> None:
        if l_max < 1:
            raise ValueError(f"S4Kernel: l_max must be at least 1, got {l_max}")
        import numpy as np

        form, dtype = diagonal_plus_low_rank(N), dtype or float32
        self.d_model, self.N = d_model, N

        def rows(values) -> Parameter:
            one = tensor(values.tolist(), dtype=dtype, device=device)
            return Parameter(one.expand(d_model, *one.shape).clone())

        def pairs(values) -> Parameter:
            return rows(np.stack([values.real, values.imag], -1))

        self.C = Parameter(randn(d_model, N // 2, 2, dtype=dtype, device=device) * math.sqrt(0.5))
        self.log_dt = Parameter(log_steps(d_model, dt_min, dt_max, dtype).to(device=device))
        self.B, self.P = pairs(form.B), pairs(form.P)
        self.log_A_real = rows(np.log(-form.eigenvalues.real))
        self.A_imag = rows(form.eigenvalues.imag)
        self.register_buffer("l_kernel", tensor(l_max, device=device))
        with no_grad():
            C = self._wide(self.C)
            self.C.copy_(self._halved(self._row(C) - matmul(self._row(C), self._power(l_max))))

    # ---- the response ----------------------------------------------------------------------------------------

    def forward(self, length: int) -> Tensor:
        if length > int(self.l_kernel):
            self._require_untraced(length)
            self.lengthen(length)
        n = int(self.l_kernel)
        C, B, P, eigenvalues = self.parts()
        dtype, device = widened(self.C).dtype, self.C.device
        angle = arange(n // 2 + 1, dtype=dtype, device=device) * (-2 * math.pi / n)
        z = polar(angle * 0 + 1, angle)
        left, right = (1 - z) * (2 * (-widened(self.log_dt)).exp()).unsqueeze(-1), 1 + z
        sums = self._sums(stack([C * B, C * P, P.conj() * B, P.conj() * P], 1), eigenvalues, left.unsqueeze(1), right)
        cb, cp, pb, pp = sums.unbind(1)
        return fft.irfft(2 * (cb - right * cp * pb / (1 + right * pp)), n=n).narrow(-1, 0, length)

    def _require_untraced(self, length: int) -> None:
        if _core.tracing():
            most = int(self.l_kernel)
            raise TraceError(
                f"HX1702 S4: the kernel was made for l_max={most}, and a trace of length {length} would change it; call lengthen() "
                f"before, or bound the dimension, as in Dim('T', max={most})",
                code="HX1702",
            )

    @staticmethod
    def _sums(weights: Tensor, eigenvalues: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """The sum over all states, kept and conjugate, of weight / (left - right eigenvalue), at each root of unity."""
        values = eigenvalues.unsqueeze(-1)
        kept, conjugate = 1 / (left - right * values), 1 / (left - right * values.conj())
        return matmul(weights, kept) + matmul(weights.conj(), conjugate)

    def parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """C, B, P and the eigenvalues, complex, (d_model, N/2)."""
        eigenvalues = complex(-widened(self.log_A_real).exp(), widened(self.A_imag))
        C, B, P = (view_as_complex(widened(t)) for t in (self.C, self.B, self.P))
        return C, B, P, eigenvalues

    # ---- the same system in real coordinates (real parts, then imaginary parts), float64 -----------------------

    @staticmethod
    def _wide(pairs: Tensor) -> Tensor:
        return cat(pairs.to(float64).unbind(-1), -1)

    def _row(self, C: Tensor) -> Tensor:
        """C as a row: 2 Re of C x is 2 Re C Re x - 2 Im C Im x."""
        half = self.N // 2
        return cat([2 * C.narrow(-1, 0, half), -2 * C.narrow(-1, half, half)], -1).unsqueeze(1)

    def _halved(self, row: Tensor) -> Tensor:
        half, row = self.N // 2, row.squeeze(1)
        return stack([row.narrow(-1, 0, half) / 2, row.narrow(-1, half, half) / -2], -1).to(widened(self.C).dtype)

    def dense(self) -> tuple[Tensor, Tensor]:
        """The discrete system: (d_model, N, N) and (d_model, N, 1)."""
        real, imag = -self.log_A_real.to(float64).exp(), self.A_imag.to(float64)
        P, B = self._wide(self.P).unsqueeze(-1), self._wide(self.B).unsqueeze(-1)
        top = cat([diag_embed(real), diag_embed(-imag)], -1)
        A = cat([top, cat([diag_embed(imag), diag_embed(real)], -1)], -2) - 2 * matmul(P, P.transpose(1, 2))
        twice = 2 * (-self.log_dt.to(float64)).exp().reshape(-1, 1, 1) * self._identity()
        both = linalg.solve(twice - A, cat([twice + A, 2 * B], -1))
        return both.narrow(-1, 0, self.N), both.narrow(-1, self.N, 1)

    def _identity(self) -> Tensor:
        return eye(self.N, dtype=float64, device=self.C.device)

    def _power(self, exponent: int) -> Tensor:
        return linalg.matrix_power(self.dense()[0], exponent)

    def output(self) -> Tensor:
        """C itself, complex, (d_model, N/2): what the recurrence reads its results with."""
        row = self._row(self._wide(self.C))
        through = self._identity() - self._power(int(self.l_kernel))
        row = linalg.solve(through.transpose(1, 2), row.transpose(1, 2)).transpose(1, 2)
        return view_as_complex(self._halved(row))

    def lengthen(self, length: int) -> None:
        """Doubles l_max until `length` fits: C (I - A^2n) is C (I - A^n) (I + A^n)."""
        with no_grad():
            while int(self.l_kernel) < length:
                n = int(self.l_kernel)
                row = self._row(self._wide(self.C))
                self.C.copy_(self._halved(row + matmul(row, self._power(n))))
                self.l_kernel.fill_(2 * n)

    def extra_repr(self) -> str:
        return f"{self.d_model}, N={self.N}, l_max={int(self.l_kernel)}"


class S4(S4D):
    """The structured state space layer: diagonal plus low rank, GELU, and a gated mixing of channels.

    As S4D, with HiPPO-LegS itself instead of a diagonal part of it. A sequence is convolved with the kernel; `step` runs the
    recurrence in O(d_state) a channel. The state is (complex (batch, d_model, d_state / 2), C of the recurrence).
    Floating dtypes, as S4D. Raises LayerError (HX1004) for other shapes.

    Example:
        >>> layer = helix.nn.S4(4, d_state=8, l_max=16)
        >>> x = helix.randn(2, 4, 10)
        >>> y, state = layer.step(x[..., 0], layer.default_state(2))
        >>> helix.allclose(y, layer(x)[..., 0], atol=1e-5)
        True
    """

    def _made(self, d_model: int, d_state: int, kernel_args: dict) -> Module:
        return S4Kernel(d_model, N=d_state, **kernel_args)

    def stream(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        u = x if self.transposed else x.transpose(1, 2)
        carried, C = self.default_state(u.shape[0]) if state is None else state
        states = self._scan(u, carried)
        y = 2 * (states * C).sum(-1).real.transpose(1, 2) + widened(u) * widened(self.D).unsqueeze(-1)
        y = self._mixed(y)
        last = states.select(1, u.shape[-1] - 1) if u.shape[-1] else carried
        return (y if self.transposed else y.transpose(1, 2)), (last, C)

    def _scan(self, u: Tensor, carried: Tensor) -> Tensor:
        """Every state, (batch, length, d_model, d_state / 2), by doubling with powers of the dense matrix."""
        A, B = self.kernel.dense()
        start = cat(view_as_real(carried).to(float64).unbind(-1), -1).unsqueeze(-1)
        x = matmul(B, u.to(float64).permute(0, 2, 1).unsqueeze(-1).unsqueeze(-1))
        length, step = u.shape[-1], 1
        if length:
            x = cat([x.narrow(1, 0, 1) + matmul(A, start).unsqueeze(1), x.narrow(1, 1, length - 1)], 1)
        while step < length:
            rest = length - step
            x = cat([x.narrow(1, 0, step), x.narrow(1, step, rest) + matmul(A, x.narrow(1, 0, rest))], 1)
            A, step = matmul(A, A), 2 * step
        real, imag = x.squeeze(-1).to(widened(self.D).dtype).chunk(2, -1)
        return complex(real, imag)

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        carried, C = state
        x = widened(x)
        _, B, P, eigenvalues = self.kernel.parts()
        twice = 2 * (-widened(self.kernel.log_dt)).exp().unsqueeze(-1)
        below = 1 / (twice - eigenvalues)  # and Woodbury's identity for what P adds
        ahead = (twice + eigenvalues) * carried - P * _along(P, carried) + 2 * B * x.unsqueeze(-1)
        ahead = below * ahead
        carried = ahead - below * P * (_along(P, ahead) / (1 + _along(P, below * P)))
        y = 2 * (C * carried).sum(-1).real + widened(self.D) * x
        return self._mixed(y.unsqueeze(-1)).squeeze(-1), (carried, C)

    def default_state(self, batch: int) -> Any:
        part = zeros(batch, self.d_model, self.d_state // 2, dtype=widened(self.D).dtype, device=self.D.device)
        return complex(part, part), self.kernel.output()


def _along(P: Tensor, x: Tensor) -> Tensor:
    """P^H x over kept and conjugate states."""
    return 2 * (P.conj() * x).sum(-1, keepdim=True).real
