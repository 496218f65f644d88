"""Counting of n-grams."""

from __future__ import annotations

from typing import Any

import helix

from ..._core import Tensor
from ..faults import unsupported
from ..table import op


@op("TfIdfVectorizer")
def tf_idf_vectorizer(
    call: Any,
    x: Tensor,
    *,
    max_gram_length: int,
    max_skip_count: int,
    min_gram_length: int,
    mode: str,
    ngram_counts: list[int],
    ngram_indexes: list[int],
    pool_int64s: list[int] | None = None,
    pool_strings: list[str] | None = None,
    weights: list[float] | None = None,
) -> Tensor:
    """How often the n-grams of a pool occur in each row, up to some elements left out between their parts."""
    if pool_int64s is None:
        raise unsupported("n-grams of texts are not supported", "TfIdfVectorizer")
    rows = x.reshape((1, -1)) if x.ndim < 2 else x
    size = max(ngram_indexes) + 1
    call.require(rows.shape[0] * size)
    counts = []
    for n, start in enumerate(ngram_counts, 1):
        pool = pool_int64s[start : ngram_counts[n] if n < len(ngram_counts) else len(pool_int64s)]
        if not pool:
            continue
        grams = helix.tensor(pool, dtype=helix.int64, device=x.device).reshape((-1, n))
        found = helix.zeros((rows.shape[0], grams.shape[0]), device=x.device)
        if min_gram_length <= n <= max_gram_length:
            for gap in range(1, (min(max_skip_count, rows.shape[1]) if n > 1 else 0) + 2):
                call.run.tick()
                found = found + _found(call, rows, grams, gap)
        counts.append(found)
    made = helix.cat(counts, 1)
    if mode == "IDF":
        made = (made > 0).to(helix.float32)
    if mode != "TF" and weights is not None:
        made = made * helix.tensor(weights, dtype=helix.float32, device=x.device)
    columns = helix.tensor(ngram_indexes, dtype=helix.int64, device=x.device)
    made = helix.zeros((rows.shape[0], size), device=x.device).index_add(1, columns, made)
    return made.reshape((size,)) if x.ndim < 2 else made


def _found(call: Any, rows: Tensor, grams: Tensor, gap: int) -> Tensor:
    """For each row and n-gram at how many places it stands, its parts `gap` apart."""
    n = grams.shape[1]
    places = rows.shape[1] - (n - 1) * gap
    if places < 1:
        return helix.zeros((rows.shape[0], grams.shape[0]), device=rows.device)
    call.require(rows.shape[0] * places * grams.shape[0])
    same = None
    for i in range(n):
        part = rows.narrow(1, i * gap, places).unsqueeze(-1).to(helix.int64) == grams.select(1, i)
        same = part if same is None else same & part
    assert same is not None
    return same.to(helix.float32).sum(1)
