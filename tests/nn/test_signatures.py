"""The constructors of helix.nn take torch's parameters, in torch's order and with torch's defaults."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from helix import nn

# Deprecated in torch since 0.4 in favour of `reduction`, and of `min_val` and `max_val`.
DEPRECATED = {"size_average", "reduce", "min_value", "max_value"}
# Ways to run a thing that helix does by itself or has no use for.
MEANS = {"enable_nested_tensor", "mask_check"}
UNSAID = {"RNN", "LSTM", "GRU"}  # torch's take *args and **kwargs
SHARED = sorted(
    name
    for name in nn.__all__
    if name[0].isupper() and isinstance(getattr(torch.nn, name, None), type) and name not in UNSAID
)


def parameters_of(kind: type) -> dict[str, Any]:
    found = inspect.signature(kind).parameters.values()
    return {
        ("*" if p.kind is p.VAR_POSITIONAL else p.name): getattr(p.default, "__name__", p.default)
        for p in found
        if p.name not in DEPRECATED | MEANS
    }


@pytest.mark.parametrize("name", SHARED)
def test_parameters_are_torchs(name):
    mine, theirs = parameters_of(getattr(nn, name)), parameters_of(getattr(torch.nn, name))
    assert list(mine.items()) == list(theirs.items())


def test_the_comparison_sees_order_and_defaults():
    def one(a, b=1, *c): ...

    def two(b=1, a=2, *c): ...

    assert list(parameters_of(one)) != list(parameters_of(two)) and "*" in parameters_of(one)
