"""Generation of text, for every model that reads piece by piece.

A model takes part by `step(tokens, state=None) -> (logits, state)`: tokens (batch, length) are the next piece, logits
(batch, length, vocabulary), and the state, None at first, is what the step before returned: caches of keys and values, or
the few numbers of a recurrence. A state is a tensor, whose first axis is the batch, or lists, tuples and dicts of such,
or an object with `select(rows)`. A model whose `step` has a parameter `padding`, (batch,), reads prompts of unequal length
in one batch, padded on the left; others read them in groups of equal length. The results are the same.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from .. import arange, int64
from .. import tensor as make
from ..errors import ArgumentError, ParameterError
from ..nn.inference import evaluating
from ..precision import widened
from ..tensor import Tensor
from .sampling import Sampling, require, seen_in

Prompts = Tensor | Sequence[Any]


def generate(
    model: Any,
    prompts: Prompts,
    max_new_tokens: int = 20,
    *,
    temperature: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
    repetition_penalty: float = 1.0,
    num_beams: int = 1,
    length_penalty: float = 1.0,
    early_stopping: bool = False,
    eos_token_id: int | Sequence[int] | None = None,
    pad_token_id: int = 0,
    generator: Any = None,
    state: Any = None,
) -> Any:
    """The prompts and up to max_new_tokens tokens after each.

    prompts: (batch, length) of integers, which gives such a tensor back, filled up with pad_token_id; or a list of
    lists, of any lengths, which gives a list of lists, each to its end. temperature 0 takes the likeliest token each
    time; above 0, tokens are drawn, the same ones for the same generator. top_k, top_p, repetition_penalty: see
    helix.models.sampling. num_beams above 1 searches for the likeliest text (temperature 0), whose score is its log
    probability divided by length to the power length_penalty. A row ends after eos_token_id, one or several. state goes on
    after a text that the model has read already.

    Raises ParameterError (HX1403) for values outside their domain, such as more tokens than the model has positions for,
    and ArgumentError (HX1103) for empty prompts.

    Example:
        >>> from helix.models.gpt2 import GPT2
        >>> config = {"vocab_size": 5, "n_positions": 16, "n_embd": 4, "n_layer": 1, "n_head": 1}
        >>> model = GPT2(config)
        >>> [len(row) for row in helix.models.generate(model, [[1], [1, 2, 3]], 4)]
        [5, 7]
    """
    sampling = Sampling(temperature, top_k, top_p, repetition_penalty, generator)
    require(num_beams >= 1, "num_beams", "must be at least 1", num_beams)
    require(max_new_tokens >= 0, "max_new_tokens", "must not be negative", max_new_tokens)
    rows, ends = _rows(prompts), ends_of(eos_token_id)
    _refuse_parts(model, rows, state)
    _refuse_long(model, rows, max_new_tokens, state)
    if num_beams > 1:
        from .beams import search

        if temperature:
            raise ParameterError("HX1403 generate: beams are not drawn; leave temperature at 0.", code="HX1403")
        texts: list[list[int]] = [[] for _ in rows]
        for members in _groups(model, rows):
            batch, padding = _padded(model, [rows[i] for i in members])
            found = search(
                model, batch, padding, max_new_tokens, num_beams, sampling, length_penalty, early_stopping, ends, state
            )
            for i, tail in zip(members, found, strict=True):
                texts[i] = rows[i] + tail
    else:
        texts = [list(row) for row in rows]
        for new in _streamed(model, rows, max_new_tokens, sampling, ends, state):
            for text, token in zip(texts, new, strict=True):
                text += [] if token is None else [token]
    return _as_tensor(texts, prompts, pad_token_id) if isinstance(prompts, Tensor) else texts


def stream(
    model: Any,
    prompts: Prompts,
    max_new_tokens: int = 20,
    *,
    temperature: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
    repetition_penalty: float = 1.0,
    eos_token_id: int | Sequence[int] | None = None,
    generator: Any = None,
    state: Any = None,
) -> Iterator[list[int | None]]:
    """Yields the next token of every row as soon as it is known; None for rows that have ended. Arguments as `generate`.

    Example:
        >>> from helix.models.gpt2 import GPT2
        >>> config = {"vocab_size": 5, "n_positions": 16, "n_embd": 4, "n_layer": 1, "n_head": 1}
        >>> model = GPT2(config)
        >>> len(list(helix.models.stream(model, [[1, 2]], 3)))
        3
    """
    sampling = Sampling(temperature, top_k, top_p, repetition_penalty, generator)
    require(max_new_tokens >= 0, "max_new_tokens", "must not be negative", max_new_tokens)
    rows = _rows(prompts)
    _refuse_parts(model, rows, state)
    _refuse_long(model, rows, max_new_tokens, state)
    return _streamed(model, rows, max_new_tokens, sampling, ends_of(eos_token_id), state)


def _streamed(model, rows, count, sampling, ends, state) -> Iterator[list[int | None]]:
    """The groups of rows that can be read together, side by side."""
    groups = _groups(model, rows)
    runs = []
    for members in groups:
        batch, padding = _padded(model, [rows[i] for i in members])
        runs.append(_run(model, batch, padding, count, sampling, ends, state))
    while True:
        new: list[int | None] = [None] * len(rows)
        for members, run in zip(groups, runs, strict=True):
            for i, token in zip(members, next(run, ()), strict=False):
                new[i] = token
        if all(token is None for token in new):
            return
        yield new


def _run(model, tokens, padding, count, sampling, ends, state) -> Iterator[list[int | None]]:
    ended = [False] * tokens.shape[0]
    seen = None
    for done in range(count):
        with evaluating(model):  # for each token alone: the caller may train between two of them
            logits, state = read(model, tokens, padding if done == 0 else None, state)
            if sampling.repetition_penalty != 1:
                new = seen_in(tokens, logits.shape[-1], padding if done == 0 else None)
                seen = new if seen is None else seen | new
            chosen = sampling.choose(logits, seen)
        values = chosen.tolist()
        yield [None if over else value for over, value in zip(ended, values, strict=True)]
        ended = [over or value in ends for over, value in zip(ended, values, strict=True)]
        if all(ended):
            return
        fed = [0 if over else value for over, value in zip(ended, values, strict=True)]
        tokens = make(fed, dtype=int64, device=tokens.device).unsqueeze(-1)


def read(model: Any, tokens: Tensor, padding: Tensor | None, state: Any) -> tuple[Tensor, Any]:
    """One step: the logits after the last token of each row, (batch, vocabulary), in float32 at least, and the state."""
    logits, state = model.step(tokens, state) if padding is None else model.step(tokens, state, padding=padding)
    return widened(logits[:, -1]), state


def select_rows(state: Any, rows: Tensor) -> Any:
    """The state of these rows of the batch; rows may repeat."""
    if isinstance(state, Tensor):
        return state.index_select(0, rows) if state.ndim else state
    if isinstance(state, dict):
        return {name: select_rows(part, rows) for name, part in state.items()}
    if isinstance(state, (list, tuple)):
        parts = [select_rows(part, rows) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else type(state)(parts)
    return state.select(rows) if hasattr(state, "select") else state


# ---- prompts ----


def _rows(prompts: Prompts) -> list[list[int]]:
    listed = _listed(prompts)
    rows = [_listed(row) for row in ([listed] if listed and isinstance(listed[0], int) else listed)]
    if not rows or not all(rows):
        raise ArgumentError(
            "HX1103 generate: every prompt needs a token at least, such as the one that begins a text.", code="HX1103"
        )
    return rows


def _listed(values: Any) -> list:
    return values.tolist() if hasattr(values, "tolist") else list(values)


def ends_of(eos: int | Sequence[int] | None) -> frozenset[int]:
    return frozenset(() if eos is None else (eos,) if isinstance(eos, int) else eos)


def _refuse_parts(model: Any, rows: list[list[int]], state: Any) -> None:
    """A state is of all rows at once, in their order."""
    if state is not None and len(_groups(model, rows)) > 1:
        raise ArgumentError(
            "HX1103 generate: with a state, prompts must be of one length for this model.",
            code="HX1103",
            argument="state",
        )


def _refuse_long(model: Any, rows: list[list[int]], count: int, state: Any) -> None:
    """A text for which the positions would not do is refused before any of it is read; the last token is not read."""
    longest = getattr(model, "longest", None)
    if longest is None or count == 0:
        return
    held = getattr(state, "length", 0) + max(map(len, rows))
    room = longest - held + 1
    fix = f"give at most {room}" if room > 0 else f"give prompts of at most {longest} tokens"
    what = f"is too large: the model has {longest} positions, the text takes {held} before it; {fix}"
    require(count <= room, "max_new_tokens", what, count)


def _groups(model: Any, rows: list[list[int]]) -> list[list[int]]:
    """Numbers of the rows that are read together."""
    if "padding" in inspect.signature(model.step).parameters:
        return [list(range(len(rows)))]
    by_length: dict[int, list[int]] = {}
    for i, row in enumerate(rows):
        by_length.setdefault(len(row), []).append(i)
    return list(by_length.values())


def _padded(model: Any, rows: list[list[int]]) -> tuple[Tensor, Tensor | None]:
    """(batch, longest), filled up on the left, and how much of each row is filling; None when nothing is."""
    device = next(model.parameters()).device
    longest = max(map(len, rows))
    filling = [longest - len(row) for row in rows]
    batch = make([[0] * n + row for n, row in zip(filling, rows, strict=True)], dtype=int64, device=device)
    return batch, make(filling, dtype=int64, device=device) if any(filling) else None


def _as_tensor(texts: list[list[int]], prompts: Tensor, pad: int) -> Tensor:
    longest = max(map(len, texts))
    filled = [text + [pad] * (longest - len(text)) for text in texts]
    made = make(filled, dtype=prompts.dtype, device=prompts.device)
    return made[0] if prompts.ndim == 1 else made


def beam_rows(batch: int, beams: int, device: Any) -> Tensor:
    """0, 0, …, 1, 1, …: every row of a batch once for each of its beams."""
    return arange(batch * beams, device=device) // beams
