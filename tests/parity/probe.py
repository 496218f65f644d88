"""What an op can do, found out by calling it on torch's samples: gradients, second gradients, dtypes."""

from __future__ import annotations

import warnings
from functools import cache, partial
from typing import Any

import torch

import helix

from .bridge import dtype_name, tensors_in, to_helix
from .ops import function_of, records
from .walk import attempt, chosen

DTYPES = (
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.complex64,
    torch.complex128,
)
SHORT = {"bool": "b", "uint8": "u8", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64", "float16": "f16"}
SHORT |= {"bfloat16": "bf16", "float32": "f32", "float64": "f64", "complex64": "c64", "complex128": "c128"}
GROUPS = {"u8 i8 i16 i32 i64": "int", "f16 bf16 f32 f64": "float", "c64 c128": "complex"}


@cache
def infos() -> dict[tuple[str, str], Any]:
    """Records by module and name; other names of the same op, too."""
    found: dict[tuple[str, str], Any] = {}
    for info in records():
        for name in (info.name, *(alias.name for alias in info.aliases)):
            place, _, last = name.rpartition(".")
            found.setdefault(("torch" + (f".{place}" if place else ""), last), info)
    return found


def info_of(module: str, name: str) -> Any:
    """torch's record of a name: methods and forms in place have the record of their function."""
    known = infos()
    if module == "torch.Tensor":
        plain = name.rstrip("_") if not name.endswith("__") else name
        places = ("torch", "torch.Tensor", "torch.linalg", "torch.special", "torch.nn.functional")
        return next((known[place, n] for n in (name, plain) for place in places if (place, n) in known), None)
    return known.get((module, name)) or (known.get(("torch", name)) if module != "torch" else None)


@cache
def abilities(key: tuple[str, str]) -> tuple[str, str, str]:
    """Gradient, second gradient ("yes", "no", or "" where there is nothing to ask) and dtypes of a record."""
    info = infos()[key]
    function = function_of(info)
    if function is None:
        return "", "", ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        taken = [SHORT[dtype_name(d)] for d in DTYPES if takes(info, function, d)]
        return *gradients(info, function), short(taken)


def short(taken: list[str]) -> str:
    text = " ".join(taken)
    for members, group in GROUPS.items():
        text = text.replace(members, group)
    return text


def sample_in(info: Any, dtype: torch.dtype, gradient: bool) -> Any:
    if not info.supports_dtype(dtype, "cpu"):
        return None
    samples = attempt(chosen, partial(info.sample_inputs, "cpu", dtype, requires_grad=gradient), (1, 1), {})
    return samples[0] if isinstance(samples, list) and samples else None


def takes(info: Any, function: Any, dtype: torch.dtype) -> bool:
    sample = sample_in(info, dtype, False)
    if sample is None:
        return False
    given = attempt(lambda *a: to_helix(a), sample.input, (sample.args, sample.kwargs), {})
    return not isinstance(given, Exception) and not isinstance(attempt(function, *given), Exception)


def gradients(info: Any, function: Any) -> tuple[str, str]:
    dtype = torch.float64 if info.supports_dtype(torch.float64, "cpu") else torch.complex128
    sample = sample_in(info, dtype, True) if info.supports_autograd else None
    if sample is None:
        return "", ""
    input, args, kwargs = to_helix((sample.input, sample.args, sample.kwargs))
    leaves = [t for t in tensors_in((input, args, kwargs), helix.Tensor) if t.requires_grad]
    results = [t for t in tensors_in(attempt(function, input, args, kwargs), helix.Tensor) if t.requires_grad]
    if not results or not leaves:
        return "no", ""
    incoming = [helix.ones_like(t).requires_grad_() for t in results]
    first = attempt(helix.autograd.grad, results, (leaves, incoming), {"create_graph": True, "allow_unused": True})
    if isinstance(first, Exception):
        return "no", ""
    again = [g for g in first if g is not None and g.requires_grad]
    if not again:
        return "yes", "zero"
    weights = [helix.ones_like(t) for t in again]
    second = attempt(helix.autograd.grad, again, ([*leaves, *incoming], weights), {"allow_unused": True})
    return "yes", "no" if isinstance(second, Exception) else "yes"
