"""Layers that only change shape: Identity, Flatten, Unflatten, Permute."""

from __future__ import annotations

from ..tensor import Tensor
from .module import Module


class Identity(Module):
    """Passes its input on; takes and ignores any arguments."""

    def __init__(self, *args, **kwargs) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        return input


class Flatten(Module):
    """Joins the axes start_dim to end_dim; by default all but the batch."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits axis `dim` into `unflattened_size`."""

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Permute(Module):
    """Axes in another order; torchvision.ops' layer of this name.

    Example:
        >>> helix.nn.Permute([0, 2, 3, 1])(helix.ones(1, 2, 3, 4)).shape
        (1, 3, 4, 2)
    """

    def __init__(self, dims: list[int] | tuple[int, ...]) -> None:
        self.dims = tuple(dims)

    def forward(self, input: Tensor) -> Tensor:
        return input.permute(*self.dims)

    def extra_repr(self) -> str:
        return f"dims={self.dims}"
