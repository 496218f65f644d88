"""Weight and spectral norm as parametrizations, with torch's names."""

from __future__ import annotations

from ... import randn
from ...autograd import no_grad
from ...tensor import Tensor
from .. import functional as F
from ..conv import _ConvTranspose
from ..module import Module
from .parametrize import register_parametrization


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        self.dim = -1 if dim is None else dim  # -1: one length for all of the weight

    def _length(self, weight: Tensor) -> Tensor:
        if self.dim == -1:
            return weight.norm()
        return weight.norm(2, tuple(i for i in range(weight.ndim) if i != self.dim), keepdim=True)

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / self._length(weight_v))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return self._length(weight), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """The weight as a length `original0` for each index of `dim` (None: one for all) times a direction `original1`.

    Salimans and Kingma, "Weight normalization", NeurIPS 2016. Returns the module. Fails with ValueError where it has no
    such parameter or the weight no such axis.

    Example:
        >>> layer = helix.nn.utils.parametrizations.weight_norm(helix.nn.Linear(20, 40))
        >>> {name: p.shape for name, p in layer.named_parameters()}
        {'bias': (40,), 'parametrizations.weight.original0': (40, 1), 'parametrizations.weight.original1': (40, 20)}
    """
    weight = _weight_of(module, name)
    if dim not in (None, -1) and not 0 <= dim < weight.ndim:
        raise ValueError(f"weight_norm: dim must be None or one of the {weight.ndim} axes, counted from 0; got {dim}")
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


class _SpectralNorm(Module):
    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, n_power_iterations: int, dim: int, eps: float) -> None:
        self.dim, self.eps = dim, eps
        if weight.ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = self._matrix(weight.detach())
            for name, size in zip(("_u", "_v"), matrix.shape, strict=True):
                drawn = randn(size, dtype=weight.dtype, device=weight.device)
                self.register_buffer(name, F.normalize(drawn, dim=0, eps=eps))
            self._power_method(matrix, 15)

    def _matrix(self, weight: Tensor) -> Tensor:
        return weight.movedim(self.dim, 0).flatten(1)

    def _power_method(self, matrix: Tensor, iterations: int) -> None:
        with no_grad():
            for _ in range(iterations):
                self._u.copy_(F.normalize(matrix @ self._v, dim=0, eps=self.eps))
                self._v.copy_(F.normalize(matrix.t() @ self._u, dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._matrix(weight)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()  # a second forward moves them before the first one's backward
        return weight / (u @ (matrix @ v))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """The weight divided by its largest singular value, which `n_power_iterations` in each training step follow.

    The weight is a matrix with axis `dim` first (1 for transposed convolutions, else 0). Miyato et al., "Spectral
    normalization for generative adversarial networks", ICLR 2018. Returns the module. Fails with ValueError where it has
    no such parameter, and with IndexError where the weight has no such axis.

    Example:
        >>> layer = helix.nn.utils.parametrizations.spectral_norm(helix.nn.Linear(20, 40), n_power_iterations=50)
        >>> round(helix.linalg.matrix_norm(layer.weight, 2).item(), 3)
        1.0
    """
    weight = _weight_of(module, name)
    if dim is None:
        dim = 1 if isinstance(module, _ConvTranspose) else 0
    if not -weight.ndim <= dim < weight.ndim:
        raise IndexError(f"spectral_norm: dim must be one of the {weight.ndim} axes of {name!r}, got {dim}")
    if n_power_iterations < 1:
        raise ValueError(f"spectral_norm: n_power_iterations must be 1 or more, got {n_power_iterations}")
    norm = _SpectralNorm(weight, n_power_iterations, dim % weight.ndim, eps)
    return register_parametrization(module, name, norm)


def _weight_of(module: Module, name: str) -> Tensor:
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"{type(module).__name__} has no parameter or buffer named {name!r}")
    return weight
