"""Ways to fill a new parameter; all write in place, record nothing, and return the tensor."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .. import eye, randn
from ..autograd import no_grad
from ..tensor import Tensor

_skipped: ContextVar[bool] = ContextVar("_skipped", default=False)  # of this thread: others go on filling theirs


@contextmanager
def skipped() -> Iterator[None]:
    """Inside, the functions of this module leave tensors as they are: for models whose weights come from a file.

    Example:
        >>> with helix.nn.init.skipped():
        ...     layer = helix.nn.Linear(2, 1)
        >>> _ = helix.nn.init.ones_(layer.weight)
    """
    before = _skipped.set(True)
    try:
        yield
    finally:
        _skipped.reset(before)


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator=None) -> Tensor:
    with no_grad():
        return tensor if _skipped.get() else tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator=None) -> Tensor:
    with no_grad():
        return tensor if _skipped.get() else tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator=None
) -> Tensor:
    """A normal distribution cut to [a, b], by the inverse of its distribution function."""

    if _skipped.get():
        return tensor

    def cdf(x: float) -> float:
        return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0

    low, high = cdf((a - mean) / std), cdf((b - mean) / std)
    with no_grad():
        tensor.uniform_(2 * low - 1, 2 * high - 1, generator=generator)
        return tensor.erfinv_().mul_(std * math.sqrt(2.0)).add_(mean).clamp_(a, b)


def constant_(tensor: Tensor, value: float) -> Tensor:
    with no_grad():
        return tensor if _skipped.get() else tensor.fill_(value)


def zeros_(tensor: Tensor) -> Tensor:
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    return constant_(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    if _skipped.get():
        return tensor
    with no_grad():
        return tensor.copy_(eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device))


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight laid out [out, in, *kernel]."""
    if tensor.ndim < 2:
        raise ValueError(f"fan in and fan out need a weight of 2 or more dimensions, got shape {tuple(tensor.shape)}")
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance of activations after `nonlinearity` (torch's table)."""
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2.0 / (1.0 + slope**2))
    gains = {
        "linear": 1.0,
        "conv1d": 1.0,
        "conv2d": 1.0,
        "conv3d": 1.0,
        "conv_transpose1d": 1.0,
        "conv_transpose2d": 1.0,
        "conv_transpose3d": 1.0,
        "sigmoid": 1.0,
        "tanh": 5.0 / 3.0,
        "relu": math.sqrt(2.0),
        "selu": 0.75,
    }
    if nonlinearity not in gains:
        raise ValueError(
            f"calculate_gain: unknown nonlinearity {nonlinearity!r}; known: {', '.join(sorted([*gains, 'leaky_relu']))}"
        )
    return gains[nonlinearity]


def _fan(tensor: Tensor, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return max(1, fans(tensor)[mode == "fan_out"])


def kaiming_uniform_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator=None
) -> Tensor:
    """He et al., "Delving deep into rectifiers", ICCV 2015."""
    bound = math.sqrt(3.0 / _fan(tensor, mode)) * calculate_gain(nonlinearity, a)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator=None
) -> Tensor:
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode)), generator)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator=None) -> Tensor:
    """Glorot and Bengio, "Understanding the difficulty of training deep feedforward networks", AISTATS 2010."""
    bound = gain * math.sqrt(6.0 / max(1, sum(fans(tensor))))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator=None) -> Tensor:
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / max(1, sum(fans(tensor)))), generator)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator=None) -> Tensor:
    """Rows (or columns, if fewer) of a random orthogonal matrix; Saxe et al., ICLR 2014."""
    if _skipped.get():
        return tensor
    import numpy as np

    rows = tensor.shape[0]
    flat = randn(rows, tensor.numel() // rows, generator=generator).numpy().astype("float64")
    q, r = np.linalg.qr(flat if flat.shape[0] >= flat.shape[1] else flat.T)
    q = q * np.sign(np.diagonal(r))
    values = q if flat.shape[0] >= flat.shape[1] else q.T
    from .. import tensor as make

    with no_grad():
        return tensor.copy_(make(gain * values, dtype=tensor.dtype).reshape(tuple(tensor.shape)))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """The identity for convolutions: each input channel is passed on unchanged."""
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(f"dirac_ needs a convolution weight of 3 to 5 dimensions, got shape {tuple(tensor.shape)}")
    if _skipped.get():
        return tensor
    per_group = tensor.shape[0] // groups
    centre = tuple(size // 2 for size in tensor.shape[2:])
    with no_grad():
        tensor.fill_(0.0)
        for group in range(groups):
            for channel in range(min(per_group, tensor.shape[1])):
                tensor[(group * per_group + channel, channel, *centre)] = 1.0
    return tensor
