"""Whose memory it is: parameters, gradients, optimizer, activations; told with every out-of-memory error of a training."""

from __future__ import annotations

from collections.abc import Iterable

from .. import memory_stats
from ..errors import OutOfMemoryError
from ..nn import Module
from ..optim import Optimizer
from ..tensor import Tensor


def memory_owners(model: Module, optimizer: Optimizer | None = None) -> dict[str, int]:
    """Bytes held by parameters, buffers, gradients, the optimizer's state, and by all else: activations and data."""
    parameters = list(model.parameters())
    owners = {
        "parameters": _bytes(parameters),
        "buffers": _bytes(model.buffers()),
        "gradients": _bytes(p.grad for p in parameters if p.grad is not None),
    }
    if optimizer is not None:
        states = optimizer.state.values()
        owners["optimizer"] = _bytes(v for values in states for v in values.values() if isinstance(v, Tensor))
    owners["activations and data"] = max(0, memory_stats()["live_bytes"] - sum(owners.values()))
    return owners


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


def with_owners(error: OutOfMemoryError, model: Module, optimizer: Optimizer) -> OutOfMemoryError:
    """The error with the owners named, largest first, and what helps."""
    if "Held by" in str(error):
        return error
    owners = sorted(memory_owners(model, optimizer).items(), key=lambda pair: -pair[1])
    held = ", ".join(f"{name} {in_units(count)}" for name, count in owners if count)
    told = type(error)(
        f'{error}. Held by: {held}. A smaller batch_size helps, or micro_batch="auto", or nn.checkpoint_layers(model, sqrt=True).',
        **error.facts,
    )
    told.layer, told.module_path = error.layer, error.module_path
    return told


def in_units(count: int) -> str:
    value, units = float(count), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.0f} {units[0]}" if units[0] == "bytes" else f"{value:.1f} {units[0]}"
