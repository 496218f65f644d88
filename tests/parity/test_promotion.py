"""Result dtypes of binary ops: every pair of dtypes, as tensors, tensors without dimensions and Python numbers."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import pytest
import torch

import helix

from .bridge import dtype_name
from .walk import attempt

DTYPES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]
NUMBERS = {"bool": True, "int": 2, "float": 2.5, "complex": 1 + 2j}
OPS = [
    "add",
    "sub",
    "mul",
    "div",
    "true_divide",
    "floor_divide",
    "remainder",
    "fmod",
    "pow",
    "float_power",
    "atan2",
    "hypot",
    "copysign",
    "logaddexp",
    "logaddexp2",
    "xlogy",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "heaviside",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "logical_and",
    "logical_or",
    "logical_xor",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "bitwise_left_shift",
    "bitwise_right_shift",
    "gcd",
    "lcm",
    "ldexp",
    "nextafter",
    "isclose",
    "where",
    "clamp_min",
    "clamp_max",
    "lerp",
    "addcmul",
    "addcdiv",
]


# Refused, although torch takes these pairs: what stands in one of the operands, and why.
REFUSED = {
    "pow": ("bool", "two bools have no power"),
    "nextafter": ("float16", "only float32 and float64 have neighbours here"),
}


def operands(package: Any) -> dict[str, Any]:
    """Vectors, tensors without dimensions, and Python numbers."""
    found: dict[str, Any] = {}
    for name in DTYPES:
        dtype = getattr(package, name)
        found[f"{name}[2]"] = package.ones(2, dtype=dtype)
        found[f"{name}[]"] = package.ones((), dtype=dtype)
    return found | dict(NUMBERS)


OURS, THEIRS = operands(helix), operands(torch)


def call(package: Any, op: str, a: Any, b: Any) -> Any:
    if op == "where":
        return package.where(package.tensor([True, False]), a, b)
    if op in ("lerp", "addcmul", "addcdiv"):
        return getattr(package, op)(a, a if op == "lerp" else b, b)
    return getattr(package, op)(a, b)


def result(package: Any, op: str, a: Any, b: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = attempt(call, package, (op, a, b), {})
    if isinstance(found, Exception):
        return "an error"
    return dtype_name(found.dtype)


@pytest.mark.parametrize("op", OPS)
def test_result_dtypes(op: str) -> None:
    """As torch's; where torch refuses a pair, helix may take it."""
    different, refused = [], 0
    word = REFUSED.get(op, ("nothing", ""))[0]
    for a, b in itertools.product(THEIRS, THEIRS):
        if not (isinstance(THEIRS[a], torch.Tensor) or isinstance(THEIRS[b], torch.Tensor)):
            continue
        theirs = result(torch, op, THEIRS[a], THEIRS[b])
        if theirs in ("an error", "complex32"):  # a dtype that helix does not have
            continue
        ours = result(helix, op, OURS[a], OURS[b])
        if ours == "an error" and (word in a + b or word.removeprefix("b") in (a + b).replace("bfloat16", "float16")):
            refused += 1
        elif ours != theirs:
            different.append(f"{op}({a}, {b}): {ours} for {theirs}")
    assert not different, f"{len(different)} pairs"
    assert bool(refused) == (op in REFUSED)


@pytest.mark.parametrize("op", ["add", "mul", "div", "pow", "floor_divide", "bitwise_or", "lt", "copysign"])
def test_in_place(op: str) -> None:
    """The result keeps the tensor's dtype, or the two refuse alike."""
    method = {"lt": "lt_"}.get(op, op + "_")
    for a, b in itertools.product([n for n in THEIRS if n.endswith("[2]")], THEIRS):
        theirs = attempt(getattr(THEIRS[a].clone(), method), THEIRS[b], (), {})
        ours = attempt(getattr(OURS[a].clone(), method), OURS[b], (), {})
        if not isinstance(theirs, Exception):
            if isinstance(ours, Exception) and "two bool tensors" in str(ours):
                continue
            assert not isinstance(ours, Exception), f"{a}.{method}({b}): {ours}"
            assert dtype_name(ours.dtype) == dtype_name(theirs.dtype), f"{a}.{method}({b})"
        elif "can't be cast" in str(theirs):
            assert isinstance(ours, Exception), f"{a}.{method}({b}) is {ours.dtype}"


def test_rules_without_ops() -> None:
    for a, b in itertools.product(DTYPES, DTYPES):
        x, y = getattr(helix, a), getattr(helix, b)
        p, q = getattr(torch, a), getattr(torch, b)
        assert dtype_name(helix.promote_types(x, y)) == dtype_name(torch.promote_types(p, q)), (a, b)
        assert helix.can_cast(x, y) == torch.can_cast(p, q), (a, b)
    for a, b in itertools.product(THEIRS, THEIRS):
        theirs = dtype_name(torch.result_type(THEIRS[a], THEIRS[b]))
        assert dtype_name(helix.result_type(OURS[a], OURS[b])) == theirs.replace("complex32", "complex64"), (a, b)
