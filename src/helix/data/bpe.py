"""Byte pair encoding: a word is cut into its symbols, and the pair that was merged earliest in training is merged first.

Sennrich, Haddow, Birch: Neural Machine Translation of Rare Words with Subword Units, 2016.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

Pair = tuple[int, int]
MAX_REMEMBERED = 1 << 18  # words


class BPE:
    """The merges of a vocabulary, applied to words that are given as symbols.

    Args:
        vocabulary: id of each symbol.
        merges: pairs of symbols, the earliest first; the two together are a symbol too.
        unknown: the symbol for what is not in the vocabulary; None: it is left out.
        byte_fallback: what is not in the vocabulary becomes its bytes, as <0x0A>.
        whole_words: a word in the vocabulary is one token, whatever the merges say.
    """

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        merges: Sequence[tuple[str, str]],
        unknown: str | None = None,
        byte_fallback: bool = False,
        whole_words: bool = False,
        fuse_unknown: bool = False,
    ) -> None:
        self.vocabulary, self.merges = dict(vocabulary), list(merges)
        self.unknown, self.byte_fallback = unknown, byte_fallback
        self.whole_words, self.fuse_unknown = whole_words, fuse_unknown
        self._ranks: dict[Pair, tuple[int, int]] = {}
        for rank, (a, b) in enumerate(self.merges):
            self._ranks[vocabulary[a], vocabulary[b]] = (rank, vocabulary[a + b])
        self._known: dict[str, list[int]] = {}

    def encode(self, word: str) -> list[int]:
        """The ids of one word."""
        found = self._known.get(word)
        if found is None:
            whole = self.vocabulary.get(word) if self.whole_words else None
            found = [whole] if whole is not None else self._merged(self._symbols(word))
            if len(self._known) < MAX_REMEMBERED:
                self._known[word] = found
        return found

    def _symbols(self, word: str) -> list[int]:
        ids: list[int] = []
        for character in word:
            known = self.vocabulary.get(character)
            ids += [known] if known is not None else self._replacement(character, ids)
        return ids

    def _replacement(self, character: str, before: list[int]) -> list[int]:
        if self.byte_fallback:
            names = [f"<0x{byte:02X}>" for byte in character.encode()]
            if all(name in self.vocabulary for name in names):
                return [self.vocabulary[name] for name in names]
        if self.unknown is None:
            return []
        unknown = self.vocabulary[self.unknown]
        return [] if self.fuse_unknown and before and before[-1] == unknown else [unknown]

    def _merged(self, ids: list[int]) -> list[int]:
        return _merged_short(ids, self._ranks) if len(ids) <= 40 else _merged_long(ids, self._ranks)


def _merged_short(ids: list[int], ranks: dict[Pair, tuple[int, int]]) -> list[int]:
    """Looks for the earliest merge again after each: the fastest for words of ordinary length."""
    while len(ids) > 1:
        best = min(((ranks[pair], k) for k, pair in enumerate(zip(ids, ids[1:])) if pair in ranks), default=None)
        if best is None:
            break
        (_, made), k = best
        ids[k : k + 2] = [made]
    return ids


def _merged_long(ids: list[int], ranks: dict[Pair, tuple[int, int]]) -> list[int]:
    """The same with a heap of merges and links between symbols: n log n."""
    count = len(ids)
    after, before = list(range(1, count + 1)), list(range(-1, count - 1))
    heap = [(*ranks[pair], k, pair) for k, pair in enumerate(zip(ids, ids[1:])) if pair in ranks]
    heap = [(rank, k, made, pair) for rank, made, k, pair in heap]
    heapq.heapify(heap)
    alive = [True] * count
    while heap:
        _, k, made, pair = heapq.heappop(heap)
        n = after[k] if alive[k] else count
        if n >= count or (ids[k], ids[n]) != pair:
            continue
        ids[k], alive[n], after[k] = made, False, after[n]
        if after[n] < count:
            before[after[n]] = k
        for left, right in ((before[k], k), (k, after[k])):
            if left >= 0 and right < count and (ids[left], ids[right]) in ranks:
                rank, new = ranks[ids[left], ids[right]]
                heapq.heappush(heap, (rank, left, new, (ids[left], ids[right])))
    return [symbol for symbol, is_there in zip(ids, alive) if is_there]


# ---- training ----------------------------------------------------------------------------------------------


def learned(
    words: Mapping[str, int], size: int, alphabet: Iterable[str] = (), special: Sequence[str] = (), least: int = 0
) -> BPE:
    """A vocabulary of at most `size` symbols from the counts of words: the most frequent pair is merged, again and again.

    Ids: `special` first, then single characters in their order (those of `alphabet` and of the words), then merges. Of
    pairs that are equally frequent, the one with the smaller ids comes first. Pairs less frequent than `least` stay apart.
    """
    characters = sorted({*alphabet, *(character for word in words for character in word)})
    names = [*special, *(c for c in characters if c not in special)]
    vocabulary = {name: i for i, name in enumerate(names)}
    merges: list[tuple[str, str]] = []
    counts = _Pairs([[vocabulary[c] for c in word] for word in words], list(words.values()))
    while len(names) < size:
        pair = counts.most_frequent(max(1, least))
        if pair is None:
            break
        a, b = names[pair[0]], names[pair[1]]
        merges.append((a, b))
        if a + b not in vocabulary:
            vocabulary[a + b] = len(names)
            names.append(a + b)
        counts.merge(pair, vocabulary[a + b])
    return BPE(vocabulary, merges)


class _Pairs:
    """How often each pair of neighbours occurs, and in which words."""

    def __init__(self, words: list[list[int]], weights: list[int]) -> None:
        self.words, self.weights = words, weights
        self.counts: Counter[Pair] = Counter()
        self.where: defaultdict[Pair, set[int]] = defaultdict(set)
        for number, (word, weight) in enumerate(zip(words, weights, strict=True)):
            for pair in zip(word, word[1:]):
                self.counts[pair] += weight
                self.where[pair].add(number)
        self.heap = [(-count, pair) for pair, count in self.counts.items()]
        heapq.heapify(self.heap)

    def most_frequent(self, least: int) -> Pair | None:
        while self.heap:
            count, pair = heapq.heappop(self.heap)
            now = self.counts.get(pair, 0)
            if now == -count:
                return pair if now >= least else None
            if now > 0:
                heapq.heappush(self.heap, (-now, pair))
        return None

    def merge(self, pair: Pair, made: int) -> None:
        grown = set()
        for number in self.where.pop(pair, ()):
            word, weight = self.words[number], self.weights[number]
            merged = _replaced(word, pair, made)
            if len(merged) == len(word):
                continue
            for old in zip(word, word[1:]):
                self.counts[old] -= weight
            for new in zip(merged, merged[1:]):
                self.counts[new] += weight
                if made in new:
                    self.where[new].add(number)
                    grown.add(new)
            self.words[number] = merged
        self.counts.pop(pair, None)
        for new in grown:
            heapq.heappush(self.heap, (-self.counts[new], new))


def _replaced(word: list[int], pair: Pair, made: int) -> list[int]:
    out: list[int] = []
    k, last, first, second = 0, len(word) - 1, *pair
    while k <= last:
        if k < last and word[k] == first and word[k + 1] == second:
            out.append(made)
            k += 2
        else:
            out.append(word[k])
            k += 1
    return out
