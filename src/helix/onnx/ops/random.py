"""Random operators. The numbers are helix's own. A seed of the file counts in a run; a graph draws from the run's streams."""

from __future__ import annotations

from math import prod
from typing import Any

import helix

from ..._core import Tensor
from ..table import op
from ..types import dtype_of


def _generator(call: Any, seed: float | None) -> Any:
    if seed is not None and call.run.planned:
        raise helix.errors.TraceError("HX1702 a seed counts in a run node by node", code="HX1702")
    if seed is None or call.run.tracing:
        return None
    return helix.Generator().manual_seed(hash(float(seed)) & ((1 << 63) - 1))


def _normal(call: Any, shape: Any, dtype: Any, mean: float, scale: float, seed: float | None) -> Tensor:
    call.require(prod(shape))
    return (helix.randn(tuple(shape), device=call.run.device, generator=_generator(call, seed)) * scale + mean).to(
        dtype
    )


def _uniform(call: Any, shape: Any, dtype: Any, low: float, high: float, seed: float | None) -> Tensor:
    call.require(prod(shape))
    return (helix.rand(tuple(shape), device=call.run.device, generator=_generator(call, seed)) * (high - low) + low).to(
        dtype
    )


@op("RandomNormal", random=True)
def random_normal(
    call: Any, *, dtype: int = 1, mean: float = 0.0, scale: float = 1.0, seed: float | None = None, shape: list[int]
) -> Tensor:
    return _normal(call, shape, dtype_of(dtype), mean, scale, seed)


@op("RandomNormalLike", random=True)
def random_normal_like(
    call: Any, x: Tensor, *, dtype: int | None = None, mean: float = 0.0, scale: float = 1.0, seed: float | None = None
) -> Tensor:
    return _normal(call, x.shape, x.dtype if dtype is None else dtype_of(dtype), mean, scale, seed)


@op("RandomUniform", random=True)
def random_uniform(
    call: Any, *, dtype: int = 1, high: float = 1.0, low: float = 0.0, seed: float | None = None, shape: list[int]
) -> Tensor:
    return _uniform(call, shape, dtype_of(dtype), low, high, seed)


@op("RandomUniformLike", random=True)
def random_uniform_like(
    call: Any, x: Tensor, *, dtype: int | None = None, high: float = 1.0, low: float = 0.0, seed: float | None = None
) -> Tensor:
    return _uniform(call, x.shape, x.dtype if dtype is None else dtype_of(dtype), low, high, seed)


@op("Bernoulli", random=True)
def bernoulli(call: Any, x: Tensor, *, dtype: int | None = None, seed: float | None = None) -> Tensor:
    made = helix.rand(x.shape, device=x.device, generator=_generator(call, seed)).to(x.dtype) < x
    return made.to(x.dtype if dtype is None else dtype_of(dtype))


@op("Multinomial", random=True)
def multinomial(call: Any, x: Tensor, *, dtype: int = 6, sample_size: int = 1, seed: float | None = None) -> Tensor:
    call.require(x.shape[0] * sample_size)
    made = helix.multinomial(x.softmax(-1), sample_size, replacement=True, generator=_generator(call, seed))
    return made.to(dtype_of(dtype))
