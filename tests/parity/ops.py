"""The OpInfo records of torch, and what helix has for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from types import FunctionType
from typing import Any

import torch
from torch.testing._internal.common_methods_invocations import op_db

import helix
import helix.nn.functional

# Parts of torch that helix does not answer for: backends' own ops, masked tensors, kernels for one GPU, sparse layouts.
FOREIGN = ("torch._ops.aten", "torch.masked._ops", "torch.cuda.jiterator", "torch._C._sparse", "torch._prims")
FOREIGN_NAMES = ("masked.", "sparse.", "jiterator", "torch.ops.", "ops.")

# Results are memory as it was found.
UNINITIALIZED = frozenset(
    (
        "empty",
        "empty_like",
        "empty_strided",
        "empty_permuted",
        "new_empty",
        "new_empty_strided",
        "resize_",
        "resize_as_",
    )
)


def full_name(info: Any) -> str:
    """`std` or `std.unbiased`: the name and the variant of a record."""
    return f"{info.name}.{info.variant_test_name}" if info.variant_test_name else info.name


def records() -> list[Any]:
    """All records that speak of tensors, in torch's order."""
    return [info for info in op_db if not is_foreign(info)]


def is_foreign(info: Any) -> bool:
    return getattr(info.op, "__module__", None) in FOREIGN or info.name.startswith(FOREIGN_NAMES)


def attribute(root: Any, dotted: str) -> Any:
    """root.a.b, or None."""
    for part in dotted.split("."):
        try:
            root = getattr(root, part)
        except AttributeError:
            return None
    return root


def function_of(info: Any) -> Callable[..., Any] | None:
    """helix's function for a record: torch's wrappers of the tests are run on helix, all others are found by name."""
    if isinstance(info.op, FunctionType) and info.op.__module__.startswith("torch.testing."):
        return rebound(info.op) if all(attribute(helix, name) for name in names_in(info.op)) else None
    found = attribute(helix, info.name)
    return found if callable(found) else attribute(helix.Tensor, info.name)


def names_in(wrapper: FunctionType) -> Iterator[str]:
    """What a wrapper asks of torch, as far as the test of presence needs it: methods, and dotted names after `torch`."""
    names = [name for name in wrapper.__code__.co_names if name not in ("wrapper_set_seed", "clone")]
    if "torch" in names:
        names = names[names.index("torch") + 1 :]
        yield ".".join(names) if names[0] in ("nn", "special", "linalg", "Tensor") and "mT" not in names else names[0]
    else:
        yield from (f"Tensor.{name}" for name in names)


def rebound(wrapper: FunctionType) -> Callable[..., Any]:
    """The wrapper with helix in the place of torch."""
    seen = {"torch": helix, "wrapper_set_seed": seeded}
    return FunctionType(wrapper.__code__, wrapper.__globals__ | seen, wrapper.__name__, wrapper.__defaults__)


def seeded(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    helix.manual_seed(42)
    return function(*args, **kwargs)


def is_seeded(function: Any) -> bool:
    """Whether the values come from a generator that the wrapper seeds: helix has another one."""
    return isinstance(function, FunctionType) and "wrapper_set_seed" in function.__code__.co_names


def method_of(torch_method: Any) -> Callable[..., Any] | None:
    """helix's method for one of torch's, in place or not."""
    if isinstance(torch_method, FunctionType) and torch_method.__module__.startswith("torch.testing."):
        return rebound(torch_method)
    if isinstance(torch_method, partial):
        plain = attribute(helix, f"nn.functional.{torch_method.func.__name__}")
        return plain and partial(plain, *torch_method.args, **torch_method.keywords)
    name = getattr(torch_method, "__name__", "")
    return getattr(helix.Tensor, name, None) if getattr(torch.Tensor, name, None) is torch_method else None
