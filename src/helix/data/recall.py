"""Synthetic tasks of memory: what a layer must do to solve them is known, and samples come from a seed."""

from __future__ import annotations

from .dataset import TensorDataset

IGNORED = -100  # a position without a target


class TaggingDataset(TensorDataset):
    """Tokens (samples, length) and a target for each, or -100; tokens are numbers below `vocabulary`."""

    def __init__(self, tokens, targets, vocabulary: int) -> None:
        super().__init__(tokens, targets, task="tagging")
        self.vocabulary = vocabulary


def _refuse_unless(fits: bool, name: str, text: str) -> None:
    if not fits:
        raise ValueError(f"{name}: {text}")


def selective_copying(
    samples: int = 20_000, length: int = 64, memorise: int = 8, vocabulary: int = 16, seed: int = 0
) -> TaggingDataset:
    """Tokens at random places among noise, to be said again in their order behind the sequence.

    `length` positions, of which `memorise` hold one of vocabulary - 2 tokens and the others noise (0); then `memorise`
    marks (vocabulary - 1), at which the targets are the tokens. A filter that is the same at all times cannot solve it, as
    the distances change (Arjovsky et al., "Unitary evolution recurrent neural networks", 2016; Gu and Dao, "Mamba", 2023,
    section 4.1).

    Example:
        >>> data = helix.data.selective_copying(samples=2, length=5, memorise=2, vocabulary=4)
        >>> data[0][0].shape, data[0][1][:5].tolist()
        ((7,), [-100, -100, -100, -100, -100])
    """
    import numpy as np

    _refuse_unless(1 <= memorise <= length, "selective_copying", f"memorise must be 1 to {length}, got {memorise}")
    _refuse_unless(vocabulary >= 3, "selective_copying", f"vocabulary must be at least 3, got {vocabulary}")
    draw = np.random.default_rng(seed)
    places = np.sort(draw.permuted(np.tile(np.arange(length), (samples, 1)), axis=1)[:, :memorise], axis=1)
    values = draw.integers(1, vocabulary - 1, (samples, memorise))
    tokens = np.zeros((samples, length + memorise), dtype=np.int64)
    np.put_along_axis(tokens, places, values, 1)
    tokens[:, length:] = vocabulary - 1
    targets = np.full_like(tokens, IGNORED)
    targets[:, length:] = values
    return TaggingDataset(tokens, targets, vocabulary)


def associative_recall(
    samples: int = 20_000, pairs: int = 8, queries: int = 1, vocabulary: int = 32, seed: int = 0
) -> TaggingDataset:
    """Pairs of a key and a value, then keys again, each to be followed by its value.

    Keys are the first half of the vocabulary, values the second. After `pairs` pairs of different keys come `queries`
    pairs drawn from them; the target at each of their keys is its value (Ba et al., "Using fast weights to attend to the
    recent past", 2016; Poli et al., "Hyena hierarchy", 2023, section 4.1).

    Example:
        >>> tokens, targets = helix.data.associative_recall(samples=1, pairs=2, vocabulary=8)[0]
        >>> tokens.shape, (targets != -100).tolist()
        ((6,), [False, False, False, False, True, False])
    """
    import numpy as np

    half = vocabulary // 2
    _refuse_unless(
        1 <= pairs <= half, "associative_recall", f"pairs must be 1 to half the vocabulary, {half}, got {pairs}"
    )
    _refuse_unless(1 <= queries <= pairs, "associative_recall", f"queries must be 1 to {pairs}, got {queries}")
    draw = np.random.default_rng(seed)
    keys = draw.permuted(np.tile(np.arange(half), (samples, 1)), axis=1)[:, :pairs]
    values = draw.integers(half, 2 * half, (samples, pairs))
    asked = draw.permuted(np.tile(np.arange(pairs), (samples, 1)), axis=1)[:, :queries]
    keys = np.hstack([keys, np.take_along_axis(keys, asked, 1)])
    values = np.hstack([values, np.take_along_axis(values, asked, 1)])
    tokens = np.stack([keys, values], -1).reshape(samples, -1)
    targets = np.full_like(tokens, IGNORED)
    targets[:, 2 * pairs :: 2] = values[:, pairs:]
    return TaggingDataset(tokens, targets, vocabulary)
