"""The stages of the conformance kit. Each is a module with `cases(target)`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from ..case import Case, Target

MODULES = {
    "t0_abi": "abi",
    "t1_memory": "memory",
    "t2_order": "order",
    "t3_primitives": "primitives",
    "t4_native": "native",
    "t5_autograd": "gradients",
    "t6_train": "train",
    "t7_stress": "stress",
    "perf": "perf",
}


def cases(stage: str, target: Target) -> Iterator[Case]:
    return import_module(f"{__name__}.{MODULES[stage]}").cases(target)


def listed(stage: str, functions: dict) -> Iterator[Case]:
    """Cases made of functions: the name is the function's, the first line of its text says what must hold."""
    for name, function in functions.items():
        yield Case(stage, name, function)
