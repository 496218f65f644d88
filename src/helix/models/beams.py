"""Beam search: the likeliest texts found by keeping the best few beginnings at every step."""

from __future__ import annotations

from typing import Any

from .. import int64
from .. import tensor as make
from ..nn.inference import evaluating
from ..tensor import Tensor
from .generate import beam_rows, read, select_rows
from .sampling import Sampling, seen_in

Beginning = tuple[float, list[int]]  # its log probability, or its score, and the new tokens


class _Row:
    """One prompt's beginnings and its finished texts."""

    def __init__(self, beams: int, length_penalty: float, early_stopping: bool) -> None:
        self.beams, self.length_penalty, self.early_stopping = beams, length_penalty, early_stopping
        self.running: list[Beginning] = [(0.0, [])]
        self.running += [(float("-inf"), [])] * (beams - 1)  # which no candidate comes from
        self.finished: list[Beginning] = []
        self.done = False

    def _score(self, total: float, length: int) -> float:
        return total / length**self.length_penalty

    def finish(self, total: float, text: list[int]) -> None:
        self.finished.append((self._score(total, len(text)), text))
        self.finished.sort(key=lambda entry: -entry[0])
        del self.finished[self.beams :]

    def extend(self, totals: list[float], places: list[tuple[int, int]], ends: frozenset[int], last: bool) -> list[int]:
        """Takes candidates, best first, as (beam, token); returns the beams that the new beginnings go on from. All of
        them finish at the last step."""
        running: list[Beginning] = []
        origins = []
        for rank, (total, (beam, token)) in enumerate(zip(totals, places, strict=True)):
            text = [*self.running[beam][1], token]
            if not last and token not in ends:
                if len(running) < self.beams:
                    running.append((total, text))
                    origins.append(beam)
            elif rank < self.beams and not self.done:
                self.finish(total, text)
        self.running = running
        self.done = self.done or last or self._cannot_improve()
        return origins

    def _cannot_improve(self) -> bool:
        if len(self.finished) < self.beams:
            return False
        total, text = self.running[0]
        return self.early_stopping or self._score(total, len(text)) <= self.finished[-1][0]


def search(
    model: Any,
    tokens: Tensor,
    padding: Tensor | None,
    count: int,
    beams: int,
    sampling: Sampling,
    length_penalty: float,
    early_stopping: bool,
    ends: frozenset[int],
    state: Any,
) -> list[list[int]]:
    """The new tokens of the best text of each row of tokens, (batch, length)."""
    with evaluating(model):
        return _searched(model, tokens, padding, count, beams, sampling, (length_penalty, early_stopping), ends, state)


def _searched(model, tokens, padding, count, beams, sampling, rule, ends, state) -> list[list[int]]:
    rows = [_Row(beams, *rule) for _ in range(tokens.shape[0])]
    if count < 1:
        return [[] for _ in rows]
    device, spread = tokens.device, beam_rows(tokens.shape[0], beams, tokens.device)
    logits, state = read(model, tokens, padding, state)
    logits, state = logits.index_select(0, spread), select_rows(state, spread)
    seen = None
    if sampling.repetition_penalty != 1:
        seen = seen_in(tokens, logits.shape[-1], padding).index_select(0, spread)
    for step in range(count):
        scores = sampling.penalized(logits.log_softmax(-1), seen)
        origins, fed = _extended(rows, scores, beams, ends, step == count - 1)
        if all(row.done for row in rows):
            break
        chosen = make(origins, dtype=int64, device=device)
        tokens = make(fed, dtype=int64, device=device).unsqueeze(-1)
        if seen is not None:
            seen = seen.index_select(0, chosen) | seen_in(tokens, seen.shape[-1])
        logits, state = read(model, tokens, None, select_rows(state, chosen))
    return [row.finished[0][1] for row in rows]


def _extended(
    rows: list[_Row], scores: Tensor, beams: int, ends: frozenset[int], last: bool
) -> tuple[list[int], list[int]]:
    """Extends all rows by their best candidates; returns the rows of the state to go on from, and the tokens."""
    vocabulary = scores.shape[-1]
    so_far = make([[total for total, _ in row.running] for row in rows], dtype=scores.dtype, device=scores.device)
    totals = so_far.unsqueeze(-1) + scores.reshape(len(rows), beams, vocabulary)
    best, at = totals.flatten(1).topk(min((1 + max(1, len(ends))) * beams, beams * vocabulary), -1)
    origins, fed = [], []
    for i, (row, values, places) in enumerate(zip(rows, best.tolist(), at.tolist(), strict=True)):
        pairs = [divmod(place, vocabulary) for place in places]
        origins += [i * beams + beam for beam in row.extend(values, pairs, ends, last)]
        fed += [text[-1] for _, text in row.running]
    return origins, fed
