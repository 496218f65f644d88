"""Whether a result of helix is torch's: values, dtype, shape, names. A judgement is None or (kind, text)."""

from __future__ import annotations

from types import MemberDescriptorType
from typing import Any

import numpy as np
import torch

import helix

from .bridge import array_of, dtype_name, result_array

# Relative and absolute tolerance. Sums of a few hundred terms in another order stay far below.
TOLERANCES = {
    "float16": (2e-3, 2e-3),
    "bfloat16": (2e-2, 2e-2),
    "float32": (3e-5, 3e-5),
    "complex64": (6e-5, 6e-5),
    "float64": (1e-7, 1e-7),
    "complex128": (1e-7, 1e-7),
}
Judgement = tuple[str, str] | None


def judge(ours: Any, theirs: Any, *, values: bool = True) -> Judgement:
    """The first difference between two results, which may be nested."""
    if isinstance(theirs, torch.Tensor):
        return judge_tensor(ours, theirs, values)
    if isinstance(theirs, (tuple, list)):
        return judge_sequence(ours, theirs, values)
    if isinstance(theirs, dict):
        return judge_sequence(list(ours.values()), list(theirs.values()), values)
    if isinstance(theirs, torch.dtype):
        return None if dtype_name(theirs) == dtype_name(ours) else ("value", f"{ours} for {theirs}")
    if isinstance(theirs, (bool, int, float, complex)) and values:
        return None if ours == theirs or (ours != ours and theirs != theirs) else ("value", f"{ours!r} for {theirs!r}")
    return None


def judge_sequence(ours: Any, theirs: Any, values: bool) -> Judgement:
    if not isinstance(ours, (tuple, list)) or len(ours) != len(theirs):
        length = f" of {len(ours)}" if isinstance(ours, (tuple, list)) else ""
        return "shape", f"{type(ours).__name__}{length} for {len(theirs)} results"
    missing = [name for name in field_names(theirs) if not hasattr(ours, name)]
    if missing:
        return "names", f"results have no name {', '.join(missing)}"
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        found = judge(a, b, values=values)
        if found:
            return found[0], f"result {i}: {found[1]}"
    return None


def field_names(results: Any) -> list[str]:
    """Names of results that torch can be asked for."""
    return [name for name, field in vars(type(results)).items() if isinstance(field, MemberDescriptorType)]


def judge_tensor(ours: Any, theirs: torch.Tensor, values: bool) -> Judgement:
    if not isinstance(ours, helix.Tensor):
        return "shape", f"{type(ours).__name__} for a tensor"
    if tuple(ours.shape) != tuple(theirs.shape):
        return "shape", f"shape {tuple(ours.shape)} for {tuple(theirs.shape)}"
    if dtype_name(ours.dtype) != dtype_name(theirs.dtype):
        return "dtype", f"{ours.dtype} for {theirs.dtype}"
    return judge_values(result_array(ours), array_of(theirs), dtype_name(theirs.dtype)) if values else None


def judge_values(ours: np.ndarray, theirs: np.ndarray, dtype: str) -> Judgement:
    relative, absolute = TOLERANCES.get(dtype, (0, 0))
    if dtype in TOLERANCES:
        with np.errstate(all="ignore"):
            same = np.isclose(ours, theirs, rtol=relative, atol=absolute, equal_nan=True)
    else:
        same = ours == theirs
    if np.all(same):
        return None
    first = tuple(int(i) for i in np.argwhere(~same)[0])
    count = int(np.size(same) - np.count_nonzero(same))
    return "value", f"{count} of {np.size(same)} values differ, {ours[first]} for {theirs[first]} at {list(first)}"
