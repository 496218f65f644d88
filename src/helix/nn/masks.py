"""Masks that say which keys a query sees: True takes part, as in `scaled_dot_product_attention`.

Queries and keys are aligned at their ends: the last query is the newest position, and so is the last key. That is what
decoding with a cache needs, where a few new queries meet all keys so far. What depends on the distance of a query and a key
alone is said once for each distance, as `distance_bias` of `scaled_dot_product_attention` takes it: queries + keys - 1 numbers,
not queries * keys.
"""

from __future__ import annotations

from .. import arange
from ..errors import ParameterError
from ..tensor import Tensor

__all__ = [
    "alibi_bias",
    "alibi_distances",
    "alibi_slopes",
    "causal_distances",
    "causal_mask",
    "keys_seen",
    "padding_mask",
]


def _distance(queries: int, keys: int, device) -> Tensor:
    """How many positions each key lies before each query: (queries, keys), negative for keys that come later."""
    row = arange(keys - queries, keys, device=device).unsqueeze(-1)
    return row - arange(keys, device=device)


def _check_window(op: str, window: int | None) -> None:
    if window is not None and window < 1:
        text = f"HX1403 {op}: window must be at least 1, got {window}."
        raise ParameterError(text, op=op, argument="window", got=window)


def distances(queries: int, keys: int | None = None, *, device=None) -> Tensor:
    """How many positions a key lies before a query, for each of queries + keys - 1 places: the first key seen from the last
    query comes first; negative for keys that come later.

    Example:
        >>> helix.nn.masks.distances(2, 3).tolist()
        [2, 1, 0, -1]
    """
    keys = queries if keys is None else keys
    return keys - 1 - arange(max(0, queries + keys - 1), device=device)


def causal_distances(queries: int, keys: int | None = None, window: int | None = None, *, device=None) -> Tensor:
    """causal_mask by distance: 0 where a query sees a key, -inf where it does not; float32. Raises ParameterError (HX1403)
    for a window below 1.

    Example:
        >>> helix.nn.masks.causal_distances(2, 3, window=2).tolist()
        [-inf, 0.0, 0.0, -inf]
    """
    from .. import float32, zeros

    _check_window("causal_distances", window)
    back = distances(queries, keys, device=device)
    seen = back >= 0 if window is None else (back >= 0) & (back < window)
    return zeros(back.shape[0], dtype=float32, device=device).masked_fill(~seen, float("-inf"))


def causal_mask(queries: int, keys: int | None = None, window: int | None = None, *, device=None) -> Tensor:
    """A bool mask (queries, keys) in which a query sees its own position and those before it.

    With `window` it sees only the last `window` positions, its own among them (Beltagy et al., "Longformer", 2020).
    Raises ParameterError (HX1403) for a window below 1.

    Example:
        >>> helix.nn.masks.causal_mask(2, 4, window=2).tolist()
        [[False, True, True, False], [False, False, True, True]]
    """
    _check_window("causal_mask", window)
    distance = _distance(queries, queries if keys is None else keys, device)
    seen = distance >= 0
    return seen if window is None else seen & (distance < window)


def padding_mask(lengths: Tensor, size: int, *, left: bool = False) -> Tensor:
    """A bool mask (batch, size), True at the tokens of each row: its first, or with `left` its last, `lengths`.

    Example:
        >>> helix.nn.masks.padding_mask(helix.tensor([1, 3]), 3).tolist()
        [[True, False, False], [True, True, True]]
    """
    at = arange(size, device=lengths.device)
    lengths = lengths.unsqueeze(-1)
    return at >= size - lengths if left else at < lengths


def keys_seen(attention_mask: Tensor | None) -> Tensor | None:
    """(batch, length), 0 at padding, as a bool mask (batch, 1, 1, length), True at tokens; None stays None.

    Example:
        >>> helix.nn.masks.keys_seen(helix.tensor([[0, 1]])).tolist()
        [[[[False, True]]]]
    """
    return None if attention_mask is None else (attention_mask != 0).unsqueeze(1).unsqueeze(1)


def alibi_slopes(heads: int) -> list[float]:
    """The slope of each head: a geometric sequence from 2^(-8/heads); Press, Smith and Lewis, "Train short, test long:
    attention with linear biases", ICLR 2022.

    For a number of heads that is no power of two: the slopes of the power below, then every second one of the power above.

    Example:
        >>> helix.nn.masks.alibi_slopes(4)
        [0.25, 0.0625, 0.015625, 0.00390625]
    """

    def geometric(n: int) -> list[float]:
        return [2.0 ** (-8.0 * (i + 1) / n) for i in range(n)]

    below = 1 << (heads.bit_length() - 1)
    return geometric(below) + geometric(2 * below)[::2][: heads - below]


def alibi_distances(heads: int, queries: int, keys: int | None = None, *, dtype=None, device=None) -> Tensor:
    """alibi_bias by distance: (heads, queries + keys - 1), of float32 unless `dtype` is float64.

    Example:
        >>> helix.nn.masks.alibi_distances(1, 1, 3).tolist()
        [[-0.0078125, -0.00390625, 0.0]]
    """
    from .. import tensor

    exact = _exact(dtype)
    back = distances(queries, keys, device=device).clamp(min=0).to(exact)
    return 0.0 - tensor(alibi_slopes(heads), dtype=exact, device=device).unsqueeze(-1) * back


def _exact(dtype):
    """float64, or float32: half types cannot tell far distances apart."""
    from .. import float32, float64

    return float64 if dtype == float64 else float32


def alibi_bias(heads: int, queries: int, keys: int | None = None, *, dtype=None, device=None) -> Tensor:
    """What ALiBi adds to scores: (heads, queries, keys), minus slope times distance; 0 for keys that come later.

    Example:
        >>> helix.nn.masks.alibi_bias(1, 1, 3).tolist()
        [[[-0.0078125, -0.00390625, 0.0]]]
    """
    from .. import float32, tensor

    exact = _exact(dtype)
    distance = _distance(queries, queries if keys is None else keys, device).clamp(min=0).to(exact)
    slopes = tensor(alibi_slopes(heads), dtype=exact, device=device).reshape(heads, 1, 1)
    return (0.0 - slopes * distance).to(dtype or float32)
