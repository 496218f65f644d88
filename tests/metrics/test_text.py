"""Text metrics: sacrebleu's own corpus scores, and edit distances by a naive recursion."""

from __future__ import annotations

import functools
import random

import pytest
import sacrebleu

from helix import metrics
from helix.metrics.text import edit_distance

FOUND = ["the cat sat on the mat", "there is a dog", "it rains cats", "a quite other text here"]
WANTED = ["the cat sat on a mat", "there was one dog here", "it rains cats and dogs", "the same text here it is"]
MORE = [[w, w.replace("a ", "the ")] for w in WANTED]


@pytest.mark.parametrize(
    "references", [WANTED, MORE, [[WANTED[0]], MORE[1], [WANTED[2]], MORE[3]]], ids=["one", "two", "some"]
)
@pytest.mark.parametrize(
    ("name", "options"),
    [("BLEU", {}), ("BLEU", {"lowercase": True, "max_ngram_order": 2}), ("CHRF", {"word_order": 2})],
    ids=str,
)
def test_corpus_scores_are_sacrebleus(name, options, references):
    lists = [[r] if isinstance(r, str) else r for r in references]
    columns = [[r[i] if i < len(r) else None for r in lists] for i in range(max(map(len, lists)))]
    expected = getattr(sacrebleu.metrics, name)(**options).corpus_score(FOUND, columns).score
    one, two = (getattr(metrics, name)(**options) for _ in range(2))
    one.update(FOUND[0], references[0])
    two.update(FOUND[1:3], references[1:3])
    one.merge(two)
    one.update(FOUND[3:], references[3:])
    assert expected > 0 and one.compute().item() == pytest.approx(expected, rel=1e-6)


def naive(a, b):
    @functools.cache
    def of(i, j):
        if not i or not j:
            return i + j
        return min(of(i - 1, j) + 1, of(i, j - 1) + 1, of(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    return of(len(a), len(b))


def test_edit_distances_are_the_recursions():
    draw = random.Random(0)
    for _ in range(60):
        a, b = ("".join(draw.choices("abc", k=draw.randrange(9))) for _ in range(2))
        assert edit_distance(a, b) == naive(a, b)


def test_error_rates_are_of_words_and_characters():
    words, characters = metrics.WordErrorRate(), metrics.CharacterErrorRate()
    for found, wanted in zip(FOUND, WANTED, strict=True):
        words.update([found], [wanted])
        characters.update(found, wanted)
    pairs = list(zip(FOUND, WANTED, strict=True))
    expected = sum(naive(tuple(a.split()), tuple(b.split())) for a, b in pairs) / sum(len(b.split()) for b in WANTED)
    assert words.compute().item() == pytest.approx(expected)
    expected = sum(naive(a, b) for a, b in pairs) / sum(map(len, WANTED))
    assert characters.compute().item() == pytest.approx(expected)


def test_as_many_references_as_texts():
    with pytest.raises(ValueError, match="got 2 texts and references for 1"):
        metrics.WordErrorRate().update(["a", "b"], ["a"])
