"""Arguments of torch as arguments of helix, and results of helix as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import helix


def dtype_name(dtype: Any) -> str:
    return str(dtype).split(".")[-1]


def array_of(tensor: torch.Tensor) -> np.ndarray:
    """The values of a torch tensor, in memory of their own."""
    plain = tensor.detach().resolve_conj().resolve_neg()
    if plain.dtype in (torch.bfloat16, torch.complex32):
        plain = plain.to(torch.float32 if plain.dtype is torch.bfloat16 else torch.complex64)
    return np.array(plain.numpy(force=True))


def to_helix(value: Any) -> Any:
    """A torch tensor, or what holds some, as helix has it. Of its layout in memory, stretched axes are kept."""
    if isinstance(value, torch.Tensor):
        if value.ndim and 0 in value.stride() and value.numel() > 1 and not value.requires_grad:
            dense = value[tuple(slice(0, 1) if step == 0 else slice(None) for step in value.stride())]
            return to_helix(dense.clone()).expand(tuple(value.shape))
        made = helix.tensor(array_of(value), dtype=dtype_name(value.dtype))
        return made.requires_grad_() if value.requires_grad else made
    if isinstance(value, torch.dtype):
        return getattr(helix, dtype_name(value), value)
    if isinstance(value, torch.device):
        return helix.device(str(value))
    if isinstance(value, torch.Generator):
        return helix.Generator()
    if isinstance(value, (torch.layout, torch.memory_format)):
        return getattr(helix, dtype_name(value), value)
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, (tuple, list)):
        return type(value)(map(to_helix, value))
    if isinstance(value, dict):
        return {k: to_helix(v) for k, v in value.items()}
    if isinstance(value, slice):
        return slice(to_helix(value.start), to_helix(value.stop), to_helix(value.step))
    return value


def result_array(tensor: helix.Tensor) -> np.ndarray:
    """The values of a helix tensor; bfloat16 as float32, for NumPy has no such type."""
    plain = tensor.detach()
    return np.asarray((plain.float() if plain.dtype is helix.bfloat16 else plain).numpy())


def tensors_in(value: Any, kind: type) -> list[Any]:
    """All tensors of a kind in nested arguments or results, in order."""
    if isinstance(value, kind):
        return [value]
    if isinstance(value, (tuple, list)):
        return [t for v in value for t in tensors_in(v, kind)]
    if isinstance(value, dict):
        return [t for v in value.values() for t in tensors_in(v, kind)]
    return []
