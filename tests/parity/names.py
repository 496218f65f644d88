"""The names that torch documents, by module, and why some of them have no counterpart."""

from __future__ import annotations

import inspect
import re
from types import ModuleType
from typing import Any

import torch
import torch.fft
import torch.linalg
import torch.nn.functional
import torch.special
from torch import _tensor_docs, _torch_docs

import helix

MODULES = ("torch", "torch.Tensor", "torch.linalg", "torch.fft", "torch.special", "torch.nn.functional")

# Helpers of torch's own that stand in a module beside its functions.
INTERNAL = frozenset(
    [
        "Optional",
        "assert_int_or_pair",
        "boolean_dispatch",
        "handle_torch_function",
        "has_torch_function",
        "has_torch_function_unary",
        "has_torch_function_variadic",
        "native_channel_shuffle",
        "_assert_async",
    ]
)

SPARSE = "sparse layouts: helix tensors are dense"
QUANTIZED = "quantized dtypes: helix has none"
DEVICE = "a device of torch's own"
NAMED = 'no layer of helix names a backend: x.to("cuda"), x.device.type'
ABSENT: tuple[tuple[str, str], ...] = (
    (r".*sparse.*|coalesce|is_coalesced|.*(col|row)_indices.*|ccol_.*|.*dense_dim|values|indices", SPARSE),
    (r"(indices|values)_copy|hspmm|s?s?p?addmm|smm|sspaddmm|to_sparse.*", SPARSE),
    (r".*quantize(_per|d_).*|dequantize|q_.*|qscheme|int_repr", QUANTIZED),
    (r"cuda|is_cuda|is_mps|is_xpu", NAMED),
    (r"ipu|xpu|mtia|is_ipu|is_xla|record_stream", DEVICE),
    (r"to_mkldnn", "a layout of oneDNN"),
    (r"to_padded_tensor", "nested tensors"),
    (r"chalf", "complex numbers of two float16"),
    (r"(scaled_)?(grouped_mm|scaled_mm)|scaled_(grouped_)?mm", "products of float8 on one maker's GPUs"),
    (r"grad_dtype", "the dtype of a gradient is that of its tensor"),
)


def documented(pattern: str, source: ModuleType) -> list[str]:
    return sorted(set(re.findall(pattern, inspect.getsource(source))))


def functions_in(module: Any) -> list[str]:
    values = {n: getattr(module, n) for n in dir(module) if not n.startswith("_") and n not in INTERNAL}
    return sorted(n for n, v in values.items() if callable(v) and not inspect.isclass(v))


def names_of(module: str) -> list[str]:
    """What torch documents in one of MODULES."""
    if module == "torch":
        found = documented(r"add_docstr\(\s*torch\.([a-zA-Z_0-9]+)\s*,", _torch_docs)
        return sorted({*found, *torch.functional.__all__} - INTERNAL)
    if module == "torch.Tensor":
        return documented(r'add_docstr_all\(\s*"([a-zA-Z_0-9]+)"', _tensor_docs)
    place: Any = torch
    for part in module.split(".")[1:]:
        place = getattr(place, part)
    return functions_in(place)


def counterpart(module: str, name: str) -> Any:
    """helix's thing of that name, or None."""
    place: Any = helix
    for part in module.split(".")[1:]:
        place = getattr(place, part, None)
    return getattr(place, name, None)


def reason(name: str) -> str:
    """Why a name is absent; empty where nothing says so."""
    return next((why for pattern, why in ABSENT if re.fullmatch(pattern, name)), "")
