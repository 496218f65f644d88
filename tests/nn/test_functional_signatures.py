"""Every function of torch.nn.functional is here, under torch's parameters, in their order and with their defaults."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

import helix.nn.functional as F

# scaled_mm and scaled_grouped_mm multiply float8 values, and helix has no dtype of 8 bits with a point; the rest are
# torch's own means, not functions of tensors.
ABSENT = {"scaled_mm", "scaled_grouped_mm"}
MEANS = {"assert_int_or_pair", "boolean_dispatch", "Optional", "TYPE_CHECKING"}
# With (*args, **kwargs): functions that torch chooses between by return_indices.
DISPATCHED = re.compile(r"(adaptive_|fractional_)?max_pool[123]d$")
NUMBER = r"-?(?:inf|\d+\.?\d*(?:e-?\d+)?(?:\s*/\s*\d+\.?\d*)?)"


def torch_functions() -> dict[str, Any]:
    found = {n: f for n, f in vars(torch.nn.functional).items() if callable(f) and not n.startswith("_")}
    own = {n: f for n, f in found.items() if not inspect.isclass(f) and "torch_function" not in n}
    return {n: f for n, f in own.items() if n not in MEANS and getattr(f, "__module__", "") != "typing"}


def documented(function: Callable[..., Any]) -> dict[str, Any] | None:
    """The parameters that the first lines of the documentation show, with their defaults."""
    shown = re.search(r"\(([^()]*(?:\([^()]*\)[^()]*)*)\)\s*(?:->|:)", function.__doc__ or "")
    if not shown:
        return None
    parameters: dict[str, Any] = {}
    for part in re.split(r",\s*(?![^()]*\))", shown[1]):
        name, _, default = part.partition("=")
        if name.strip() not in ("*", ""):
            parameters[name.strip()] = value_of(default.strip())
    return parameters


def value_of(text: str) -> Any:
    if re.fullmatch(NUMBER, text.rstrip(".")):
        over, _, under = text.partition("/")
        return float(over) / float(under or 1)
    return {"None": None, "True": True, "False": False, "": inspect.Parameter.empty}.get(text, text.strip("'\""))


def parameters_of(name: str, function: Callable[..., Any]) -> dict[str, Any] | None:
    if DISPATCHED.match(name):
        function = getattr(torch.nn.functional, f"{name}_with_indices")
    try:
        signature = inspect.signature(function)
    except ValueError:
        return documented(function)
    return {p.name: p.default for p in signature.parameters.values()}


SHARED = sorted(torch_functions().keys() - ABSENT)


def test_no_function_is_missing() -> None:
    assert not [name for name in SHARED if not hasattr(F, name)]
    assert not [name for name in ABSENT if hasattr(F, name)]
    assert len(SHARED) == 130


@pytest.mark.parametrize("name", [n for n in SHARED if parameters_of(n, torch_functions()[n]) is not None])
def test_parameters_are_torchs(name: str) -> None:
    theirs = parameters_of(name, torch_functions()[name])
    ours = {p.name: p.default for p in inspect.signature(getattr(F, name)).parameters.values()}
    assert [p for p in ours if p in theirs] == list(theirs), f"{list(ours)} for {list(theirs)}"
    for parameter, default in theirs.items():
        same = default is inspect.Parameter.empty or ours[parameter] == default or str(ours[parameter]) == str(default)
        assert same, f"{parameter}: {ours[parameter]!r} for {default!r}"


def test_what_is_more_than_torchs_is_by_keyword_or_last() -> None:
    for name in SHARED:
        theirs = parameters_of(name, torch_functions()[name])
        kinds = inspect.signature(getattr(F, name)).parameters
        more = [p for p in kinds if theirs is not None and p not in theirs]
        last = list(kinds)[len(kinds) - len(more) :]
        assert more == last or all(kinds[p].kind is inspect.Parameter.KEYWORD_ONLY for p in more), name


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("f(input, p=2, *, eps=1e-8) -> Tensor", {"input": inspect.Parameter.empty, "p": 2.0, "eps": 1e-8}),
        ("f(a, mode='mean', lower=1./8) -> Tensor", {"a": inspect.Parameter.empty, "mode": "mean", "lower": 0.125}),
    ],
)
def test_documentation_is_read(text: str, wanted: dict[str, Any]) -> None:
    def function() -> None: ...

    function.__doc__ = text
    assert documented(function) == wanted
