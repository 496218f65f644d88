"""Rotary positions for texts longer than those a model was trained on: which turns are slowed down, and how much."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from .. import float64, tensor
from ..errors import ParameterError
from ..tensor import Tensor

Scaling = Mapping[str, Any]
GROWING = ("dynamic", "longrope")  # whose angles depend on the length of the text


def kind_of(scaling: Scaling | None) -> str:
    """Its name, under the key of today or the older one."""
    return "default" if scaling is None else scaling.get("rope_type", scaling.get("type", "default"))


def rotary_frequencies(
    dim: int, base: float = 10000.0, scaling: Scaling | None = None, length: int | None = None
) -> list[float]:
    """The angle by which each pair of features turns from one position to the next: base^(-2i/dim), or slower.

    scaling: None, or what config.json calls rope_parameters or rope_scaling, with its kind under "rope_type". length: of
    the text, for the kinds that ask. "original" is original_max_position_embeddings, the length a model was trained on.

    - "linear": all turns `factor` times slower (Chen et al., "Extending context window of large language models via
      positional interpolation", 2023).
    - "dynamic": texts longer than max_position_embeddings are read with a base that grows with the length (NTK-aware
      scaling; bloc97 and emozilla, 2023, as written down by Peng et al.).
    - "yarn": slow turns as linear, quick ones as they are, a ramp between beta_fast and beta_slow turns in the original
      length (Peng et al., "YaRN: efficient context window extension of large language models", ICLR 2024).
    - "longrope": each pair by a number of its own, of short_factor up to the original length and of long_factor beyond
      (Ding et al., "LongRoPE: extending LLM context window beyond 2 million tokens", ICML 2024).
    - "llama3": slow turns as linear, between low_freq_factor and high_freq_factor by degrees (Llama 3's model card).

    Raises ParameterError (HX1403) for another kind, and for a key that is missing.

    Example:
        >>> helix.nn.positions.rotary_frequencies(4)
        [1.0, 0.01]
    """
    kind = kind_of(scaling)
    plain = [base ** (-2 * i / dim) for i in range(dim // 2)]
    if kind not in KINDS:
        text = f"HX1403 rotary_frequencies: scaling {kind!r} is not one of {', '.join(KINDS)}."
        raise ParameterError(text, op="rotary_frequencies", argument="scaling", got=kind)
    try:
        return KINDS[kind](plain, base, scaling or {}, length)
    except KeyError as error:
        raise _missing("rotary_frequencies", scaling, error) from error


def frequencies_within(dim: int, base: float, scaling: Scaling, length: Tensor) -> Tensor:
    """`rotary_frequencies` of a kind that asks for the length, which is known to a run alone, as a tensor of float32."""
    short = tensor(rotary_frequencies(dim, base, scaling), dtype=float64, device=length.device)
    if kind_of(scaling) == "longrope":
        trained = scaling["original_max_position_embeddings"]
        long = tensor(rotary_frequencies(dim, base, scaling, trained + 1), dtype=float64, device=length.device)
    else:
        factor, trained = scaling["factor"], scaling["max_position_embeddings"]
        powers = tensor([-2 * i / dim for i in range(dim // 2)], dtype=float64, device=length.device)
        grown = factor * length.maximum(trained).double() / trained - (factor - 1)
        long = (base * grown ** (dim / max(1, dim - 2))) ** powers
    return long.where(length > trained, short).float()


def _missing(op: str, scaling: Scaling | None, error: KeyError) -> ParameterError:
    text = f"HX1403 {op}: scaling {kind_of(scaling)!r} needs {error.args[0]}, got {sorted(scaling or {})}."
    return ParameterError(text, op=op, argument="scaling")


def rotary_magnitude(scaling: Scaling | None) -> float:
    """What cosines and sines are multiplied by: above 1 for the kinds that sharpen attention over long texts. Raises
    ParameterError (HX1403) for a key that is missing."""
    if scaling is None or kind_of(scaling) not in ("yarn", "longrope"):
        return 1.0
    try:
        return _magnitude(scaling)
    except KeyError as error:
        raise _missing("rotary_magnitude", scaling, error) from error


def _magnitude(scaling: Scaling) -> float:
    if scaling.get("attention_factor") is not None:
        return float(scaling["attention_factor"])
    factor = _factor(scaling)
    if kind_of(scaling) == "longrope":
        original = scaling["original_max_position_embeddings"]
        return math.sqrt(1 + math.log(factor) / math.log(original)) if factor > 1 else 1.0
    numerator, denominator = scaling.get("mscale"), scaling.get("mscale_all_dim")
    if numerator and denominator:
        return _sharpened(factor, numerator) / _sharpened(factor, denominator)
    return _sharpened(factor)


def _sharpened(factor: float, scale: float = 1.0) -> float:
    return 1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1.0


def _factor(scaling: Scaling) -> float:
    """How many times longer texts become, said or as the ratio of both lengths."""
    factor = scaling.get("factor")
    return (
        scaling["max_position_embeddings"] / scaling["original_max_position_embeddings"] if factor is None else factor
    )


def _mixed(angle: float, factor: float, share: float) -> float:
    """Between slowed down in full, at a share of 0, and not at all."""
    return (1 - share) * angle / factor + share * angle


def _default(plain: list[float], base: float, scaling: Scaling, length: int | None) -> list[float]:
    return plain


def _linear(plain: list[float], base: float, scaling: Scaling, length: int | None) -> list[float]:
    return [angle / scaling["factor"] for angle in plain]


def _dynamic(plain: list[float], base: float, scaling: Scaling, length: int | None) -> list[float]:
    factor, trained, dim = scaling["factor"], scaling["max_position_embeddings"], 2 * len(plain)
    if length is None or length <= trained:
        return plain
    if dim == 2:  # its only turn is that of base^0
        return plain
    grown = (factor * length / trained - (factor - 1)) ** (dim / (dim - 2))
    return [(base * grown) ** (-2 * i / dim) for i in range(len(plain))]


def _yarn(plain: list[float], base: float, scaling: Scaling, length: int | None) -> list[float]:
    original, dim, factor = scaling["original_max_position_embeddings"], 2 * len(plain), _factor(scaling)
    fast, slow = scaling.get("beta_fast") or 32, scaling.get("beta_slow") or 1
    first, last = (dim * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(base)) for turns in (fast, slow))
    if scaling.get("truncate", True):
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, dim - 1)
    width = last - first or 0.001
    return [_mixed(x, factor, 1 - min(1.0, max(0.0, (i - first) / width))) for i, x in enumerate(plain)]


def _longrope(plain: list[float], base: float, scaling: Scaling, length: int | None) -> list[float]:
    long, short = scaling["long_factor"], scaling["short_factor"]
    beyond = length is not None and length > scaling["original_max_position_embeddings"]
    factors = long if beyond else short
    if len(factors) != len(plain):
        text = f"HX1403 rotary_frequencies: longrope needs {len(plain)} factors, one for each pair, got {len(factors)}."
        raise ParameterError(text, op="rotary_frequencies", argument="scaling", got=len(factors))
    return [angle / factor for angle, factor in zip(plain, factors, strict=True)]


def _llama3(plain: list[float], base: float, scaling: Scaling, length: int | None) -> list[float]:
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    turns = scaling["original_max_position_embeddings"] / (2 * math.pi)
    return [_mixed(x, scaling["factor"], min(1.0, max(0.0, (turns * x - low) / (high - low)))) for x in plain]


KINDS: dict[str, Callable[[list[float], float, Scaling, int | None], list[float]]] = {
    "default": _default,
    "linear": _linear,
    "dynamic": _dynamic,
    "yarn": _yarn,
    "longrope": _longrope,
    "llama3": _llama3,
}
