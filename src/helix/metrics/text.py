"""Text against text. BLEU and chrF are computed by sacrebleu (`pip install helix[metrics]`), as published scores are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import int64, tensor
from ..data.extras import needed
from ..tensor import Tensor
from .metric import Metric

Texts = str | Sequence[str]


def _texts(kind: str, hypotheses: Texts, references: Sequence) -> tuple[list[str], list]:
    if isinstance(hypotheses, str):
        return [hypotheses], [references]
    found, wanted = list(hypotheses), list(references)
    if len(found) != len(wanted):
        raise ValueError(f"{kind}: got {len(found)} texts and references for {len(wanted)}")
    return found, wanted


class _Corpus(Metric):
    """sacrebleu's statistics of each sentence, added up: they are whole numbers, and the score is made of their sums."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        kind = type(self).__name__
        self._score: Any = getattr(needed("sacrebleu.metrics", "metrics", kind), kind)(**options)
        self.add_sum("statistics", (self._length(),), int64)

    def _length(self) -> int:
        return len(self._statistics([""], [[""]])[0])

    def _statistics(self, hypotheses: list[str], references: list[list[str]]) -> list[list[int]]:
        columns = [[r[i] if i < len(r) else None for r in references] for i in range(max(map(len, references)))]
        return self._score._extract_corpus_statistics(hypotheses, columns)

    def take(self, hypotheses: Texts, references: Sequence) -> dict[str, Tensor]:
        found, wanted = _texts(type(self).__name__, hypotheses, references)
        listed = [[reference] if isinstance(reference, str) else list(reference) for reference in wanted]
        sums = [sum(column) for column in zip(*self._statistics(found, listed), strict=True)]
        return {"statistics": tensor(sums, dtype=int64)}

    def compute(self) -> Tensor:
        return tensor(self._score._aggregate_and_compute([self.statistics.tolist()]).score)


class BLEU(_Corpus):
    """Corpus BLEU (0 to 100), Papineni et al., ACL 2002, by sacrebleu, whose options it takes.

    update(hypotheses, references): texts, and for each a reference or a list of references.
    """


class CHRF(_Corpus):
    """Corpus chrF (0 to 100), Popović, WMT 2015, by sacrebleu, whose options it takes (`word_order=2` for chrF++)."""


class WordErrorRate(Metric):
    """Words inserted, deleted and replaced, for each word of the references.

    Example:
        >>> metric = helix.metrics.WordErrorRate()
        >>> metric.update(["the cat sat"], ["the cat sat down"])
        >>> metric.compute().item()
        0.25
    """

    def __init__(self) -> None:
        super().__init__()
        self.add_sum("errors", dtype=int64)
        self.add_sum("length", dtype=int64)

    def take(self, hypotheses: Texts, references: Sequence) -> dict[str, Tensor]:
        found, wanted = _texts(type(self).__name__, hypotheses, references)
        pairs = [(self.units(a), self.units(b)) for a, b in zip(found, wanted, strict=True)]
        errors, length = sum(edit_distance(a, b) for a, b in pairs), sum(len(b) for _, b in pairs)
        return {"errors": tensor(errors, dtype=int64), "length": tensor(length, dtype=int64)}

    def units(self, text: str) -> Sequence[str]:
        return text.split()

    def compute(self) -> Tensor:
        return self.errors.double() / self.length.double()


class CharacterErrorRate(WordErrorRate):
    """The same of characters."""

    def units(self, text: str) -> Sequence[str]:
        return text


def edit_distance(a: Sequence[str], b: Sequence[str]) -> int:
    """The fewest insertions, deletions and replacements that make one of the other; Levenshtein, 1966."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        corner, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (left != right))
    return row[-1]
