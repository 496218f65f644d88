"""Draws from further distributions, written into a tensor in place."""

from __future__ import annotations

from helix import _core
from helix.errors import ParameterError
from helix.written import fail, op


def _even(self, generator):
    """Values in (0, 1) of enough digits, as many as the tensor has elements."""
    drawn = op("rand")(self.shape, dtype=_core.float64, generator=generator, device=self.device)
    return drawn.clamp(2.0**-54, 1 - 2.0**-53)


def random_(self, from_=0, to=None, *, generator=None):
    """Whole numbers drawn evenly from from_, ..., to - 1; without `to`, all that the dtype holds exactly.

    `random_(to)` is `random_(0, to)`.
    """
    low, high = (0, from_) if to is None and from_ else (from_, to)
    if high is None:
        high = _whole_numbers(self.dtype)
    if low >= high:
        fail(ParameterError, 1403, "random_", f"from must be below to, got {low} and {high}.")
    return self.copy_(op("randint")(low, high, self.shape, generator=generator, device=self.device))


def _whole_numbers(dtype):
    """One more than the largest whole number up to which a dtype holds all (of int64 the largest itself)."""
    from helix.dtypes import finfo, iinfo

    if dtype is _core.bool:
        return 2
    if dtype.is_floating_point:
        return int(2 / finfo(dtype).eps) + 1
    return min(iinfo(dtype).max, 2**63 - 2) + 1


def cauchy_(self, median=0.0, sigma=1.0, *, generator=None):
    """Values from the Cauchy distribution: median + sigma * tan(pi * (u - 1/2))."""
    if not sigma > 0:
        fail(ParameterError, 1403, "cauchy_", f"sigma must be above 0, got {sigma}.")
    _need_floating("cauchy_", self)
    return self.copy_(op("tan")((_even(self, generator) - 0.5) * 3.141592653589793) * sigma + median)


def log_normal_(self, mean=1.0, std=2.0, *, generator=None):
    """exp of normal values with this mean and standard deviation."""
    if not std > 0:
        fail(ParameterError, 1403, "log_normal_", f"std must be above 0, got {std}.")
    _need_floating("log_normal_", self)
    return self.copy_(op("empty_like")(self, dtype=_core.float64).normal_(mean, std, generator=generator).exp())


def geometric_(self, p, *, generator=None):
    """The number of trials up to the first success, each with probability p: 1, 2, ..."""
    if not 0 < p < 1:
        fail(ParameterError, 1403, "geometric_", f"p must lie between 0 and 1, got {p}.")
    trials = op("log")(_even(self, generator)) / op("log1p")(_core.tensor(-p, dtype=_core.float64))
    return self.copy_(trials.ceil().clamp(1).to(self.dtype))


def _need_floating(name, tensor):
    from helix.errors import DTypeError

    if not tensor.is_floating_point():
        fail(DTypeError, 1101, name, f"the tensor has dtype {tensor.dtype.name}; a floating one is needed.")


METHODS = {f.__name__: f for f in (random_, cauchy_, log_normal_, geometric_)}
_core.add_methods(METHODS)
