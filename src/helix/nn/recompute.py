"""checkpoint_layers: which layers of a model are computed again in backward instead of keeping what they saved."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import accumulate

from .. import _core
from ..autograd import saved_tensors_hooks
from ..checkpointing import Chain, checkpoint
from ..errors import ArgumentError, ParameterError
from .containers import Sequential
from .module import Module, changes


def checkpoint_layers(
    model: Module,
    *,
    every: int | None = None,
    at: Iterable[str] | None = None,
    sqrt: bool = False,
    budget: int | None = None,
    sample=None,
) -> Module:
    """Makes a model forget activations in training and compute them again in backward; returns the model.

    One policy at a time; without one, the model keeps its activations again. Parameters, names and results stay as they are.

    Args:
        every: segments of so many layers of a Sequential.
        sqrt: segments of √n of its n layers, the least memory for equal layers.
        at: names of sub-modules, each a segment of its own; for any model.
        budget: bytes that activations may take with the batch `sample`: as few segments as fit, measured layer by layer.

    >>> model = helix.nn.Sequential(*[helix.nn.Linear(4, 4) for _ in range(9)])
    >>> _ = helix.nn.checkpoint_layers(model, sqrt=True)
    """
    chosen = [
        name
        for name, value in (("every", every), ("at", at), ("sqrt", sqrt or None), ("budget", budget))
        if value is not None
    ]
    if len(chosen) > 1:
        raise ArgumentError(
            f"HX1103 checkpoint_layers: one policy at a time, got {' and '.join(chosen)}.", op="checkpoint_layers"
        )
    for module in model.modules():
        module.__dict__.pop("forward", None)
    if at is not None:
        _at(model, list(at))
    elif chosen:
        layers = _layers(model, chosen[0])
        if budget is not None:
            sizes = _planned(layers, budget, sample)
        else:
            size = math.isqrt(len(layers)) if sqrt else every or 0
            if size < 1:
                raise ParameterError(
                    f"HX1403 checkpoint_layers: every must be at least 1, got {every}.", op="checkpoint_layers"
                )
            sizes = [min(size, len(layers) - start) for start in range(0, len(layers), size)]
        if sizes:
            changes[0] += 1
            model.__dict__["forward"] = _Segmented(model, layers, sizes)
    return model


def _layers(model: Module, policy: str) -> list[Module]:
    if not isinstance(model, Sequential) or len(model) == 0:
        raise ArgumentError(
            f"HX1103 checkpoint_layers: {policy} cuts a Sequential, this is a {type(model).__name__}; name its layers with at=.",
            op="checkpoint_layers",
        )
    return list(model)


def _at(model: Module, names: list[str]) -> None:
    modules = dict(model.named_modules())
    for name in names:
        if name not in modules:
            raise ParameterError(
                f"HX1403 checkpoint_layers: no module is named {name!r}; known: {', '.join(n for n in modules if n)}.",
                op="checkpoint_layers",
            )
    changes[0] += 1
    for name in names:
        modules[name].__dict__["forward"] = _Again(modules[name])


# What takes the place of a forward is an object that holds its module, so that a deep copy of the module gets its own.


class _Own:
    """A module's own forward, with the module's buffers."""

    def __init__(self, module: Module) -> None:
        self.module = module

    def __call__(self, *args, **kwargs):
        return type(self.module).forward(self.module, *args, **kwargs)

    def buffers(self):
        return self.module.buffers()


class _Again:
    """A forward that is computed again in backward."""

    def __init__(self, module: Module) -> None:
        self.own = _Own(module)

    def __call__(self, *args, **kwargs):
        if not self.own.module.training:
            return self.own(*args, **kwargs)
        return checkpoint(self.own, *args, **kwargs)


class _Segmented:
    """The forward of a Sequential of which all segments but the last are computed again in backward."""

    def __init__(self, model: Module, layers: list[Module], sizes: list[int]) -> None:
        ends = list(accumulate(sizes))
        self.model, self.layers = model, layers
        self.segments = [Chain(layers[end - size : end]) for end, size in zip(ends, sizes, strict=True)]

    def __call__(self, x):
        if not self.model.training:
            return Chain(self.layers)(x)
        for segment in self.segments[:-1]:
            x = checkpoint(segment, x)
        return self.segments[-1](x)  # backward begins here: forgetting it would gain nothing


# ---- within a budget ---------------------------------------------------------------------------------------


def measured(layers: list[Module], sample) -> tuple[list[int], list[int]]:
    """Bytes that each layer saves for backward, and bytes of its input."""
    from ..random import fork_rng

    saved, inputs, seen, x = [], [], set(), sample
    buffers = [(b, b.clone()) for layer in layers for b in layer.buffers()]
    with fork_rng():
        for layer in layers:
            count = 0

            def pack(tensor):
                nonlocal count
                place = _core.storage_number(tensor)
                if place not in seen:
                    seen.add(place)
                    count += tensor.untyped_storage().nbytes()
                return tensor

            inputs.append(x.numel() * x.element_size())
            with saved_tensors_hooks(pack, lambda tensor: tensor):
                x = layer(x)
            saved.append(count)
    for buffer, before in buffers:
        buffer.copy_(before)
    return saved, inputs


def _planned(layers: list[Module], budget: int, sample) -> list[int]:
    """Sizes of the fewest segments that fit into the budget; none when all fits as it is."""
    if sample is None:
        raise ArgumentError(
            "HX1103 checkpoint_layers: budget needs sample=, a batch to measure with.", op="checkpoint_layers"
        )
    saved, inputs = measured(layers, sample)
    if sum(saved) <= budget:
        return []
    least = sum(saved)
    for count in range(2, len(layers) + 1):
        sizes = _balanced(saved, count)
        need = _peak(saved, inputs, sizes)
        if need <= budget:
            return sizes
        least = min(least, need)
    raise ParameterError(
        f"HX1403 checkpoint_layers: activations need {least:,} bytes at least with this sample, the budget is {budget:,}.",
        op="checkpoint_layers",
        argument="budget",
        expected=least,
        got=budget,
    )


def _balanced(saved: list[int], count: int) -> list[int]:
    """The layers cut into `count` runs of about equal bytes, each at least one layer."""
    sizes, total, done, start = [], sum(saved), 0, 0
    for k in range(1, count):
        end = start + 1
        done += saved[start]
        while end < len(saved) - (count - k) and done + saved[end] <= total * k / count:
            done += saved[end]
            end += 1
        sizes.append(end - start)
        start = end
    return [*sizes, len(saved) - start]


def _peak(saved: list[int], inputs: list[int], sizes: list[int]) -> int:
    starts = [sum(sizes[:k]) for k in range(len(sizes))]
    kept = sum(inputs[start] for start in starts)
    return kept + max(sum(saved[start : start + size]) for start, size in zip(starts, sizes, strict=True))
