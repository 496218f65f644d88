"""RNN, GRU and LSTM: by the native recurrence where they are the common ones, else step by step along the sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import helix
import helix.nn.functional as F

from ..._core import Tensor
from ...nn.recurrent import KINDS, recurrent
from ..table import op
from .common import arange, ints

_ACTIVATIONS: dict[str, tuple[float, float, Callable[[Tensor, float, float], Tensor]]] = {
    "relu": (0, 0, lambda x, a, b: x.relu()),
    "tanh": (0, 0, lambda x, a, b: x.tanh()),
    "sigmoid": (0, 0, lambda x, a, b: x.sigmoid()),
    "affine": (1.0, 0.0, lambda x, a, b: a * x + b),
    "leakyrelu": (0.01, 0, lambda x, a, b: F.leaky_relu(x, a)),
    "thresholdedrelu": (1.0, 0, lambda x, a, b: helix.where(x > a, x, x * 0)),
    "scaledtanh": (1.0, 1.0, lambda x, a, b: a * (b * x).tanh()),
    "hardsigmoid": (0.2, 0.5, lambda x, a, b: (a * x + b).clamp(0, 1)),
    "elu": (1.0, 0, lambda x, a, b: helix.where(x > 0, x, a * x.expm1())),
    "softsign": (0, 0, lambda x, a, b: F.softsign(x)),
    "softplus": (0, 0, lambda x, a, b: helix.logaddexp(x, x * 0)),
}


def _active(function: Any, alpha: float, beta: float, x: Tensor) -> Tensor:
    return function(x, alpha, beta)


class Rules:
    """What the attributes of a recurrent operator say."""

    def __init__(self, call: Any, gates: int, default: tuple[str, ...], x: Tensor, w: Tensor, r: Tensor, b: Tensor | None, options: dict[str, Any]) -> None:  # fmt: skip
        self.call = call
        self.direction = options.get("direction", "forward")
        self.layout = options.get("layout", 0)
        self.clip = options.get("clip")
        self.directions = w.shape[0]
        if self.direction not in ("forward", "reverse", "bidirectional") or self.directions != 1 + (
            self.direction == "bidirectional"
        ):
            raise ValueError(f"direction {self.direction!r} with weights of {self.directions} directions")
        self.hidden = r.shape[-1]
        self.x = x.transpose(0, 1) if self.layout else x
        self.length, self.batch = self.x.shape[:2]
        self.w, self.r = w, r
        self.b = (
            b
            if b is not None
            else helix.zeros((self.directions, 2 * gates * self.hidden), dtype=x.dtype, device=x.device)
        )
        self.functions = self._functions(default, options)

    def _functions(self, default: tuple[str, ...], options: dict[str, Any]) -> list[list[Callable[[Tensor], Tensor]]]:
        """For each direction its activations; alphas and betas are given for those that have them, in order."""
        names = list(options.get("activations") or default * self.directions)
        if len(names) < len(default) * self.directions:
            raise ValueError(f"{len(names)} activations")
        alphas, betas = list(options.get("activation_alpha") or []), list(options.get("activation_beta") or [])
        made: list[Callable[[Tensor], Tensor]] = []
        for name in names:
            alpha, beta, function = _ACTIVATIONS[name.lower()]
            a = alphas.pop(0) if alphas and (alpha or name.lower() in ("affine", "hardsigmoid")) else alpha
            b = betas.pop(0) if betas and (beta or name.lower() == "affine") else beta
            made.append(partial(_active, function, a, b))
        n = len(default)
        return [made[i * n : (i + 1) * n] for i in range(self.directions)]

    def state(self, given: Tensor | None, direction: int) -> Tensor:
        if given is None:
            return helix.zeros((self.batch, self.hidden), dtype=self.x.dtype, device=self.x.device)
        return given.select(1, direction) if self.layout else given.select(0, direction)

    def is_common(self, options: dict[str, Any], *activations: str) -> bool:
        """Has it these activations, as they are without further numbers?"""
        given = [name.lower() for name in options.get("activations") or activations * self.directions]
        return (
            self.clip is None
            and given == [*activations] * self.directions
            and self.x.dtype in (helix.float32, helix.float64)
        )

    def native(
        self, kind: int, order: list[int], starts: Sequence[tuple[Tensor, ...]], lengths: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:
        """By the native recurrence, whose gates come in torch's order."""
        n, outs, lasts = self.hidden, [], []
        rows = len(order) * n
        for d in range(self.directions):
            backwards = self.direction == "reverse" or d == 1
            parts = (self.w[d], self.r[d], self.b[d][:rows], self.b[d][rows:])
            weights = (
                [helix.cat([part.narrow(0, i * n, n) for i in order]) for part in parts] if rows > n else list(parts)
            )
            made = recurrent(self.x, weights, starts[d], kind, backwards, lengths)
            outs.append(made[0])
            lasts.append([column.select(0, 0 if backwards else self.length - 1) for column in made])
        y = helix.stack(outs, 1)
        if lengths is not None:
            y = helix.where(
                (arange(0, self.length, lengths).unsqueeze(1) < lengths).reshape((self.length, 1, -1, 1)), y, y * 0
            )
        return self.laid_out(y, [helix.stack([last[k] for last in lasts]) for k in range(len(lasts[0]))])

    def laid_out(self, y: Tensor, finals: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        if self.layout:
            return y.permute((2, 0, 1, 3)), [final.transpose(0, 1) for final in finals]
        return y, finals

    def clipped(self, x: Tensor) -> Tensor:
        return x if self.clip is None else x.clamp(-self.clip, self.clip)

    def run(
        self, step: Callable[[int, Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]], starts: Sequence[tuple[Tensor, ...]], lengths: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:  # fmt: skip
        """Y, and each last state with the directions in front. Rows of the batch that are over keep their state and give zeros."""
        outs, lasts = [], []
        for d in range(self.directions):
            backwards = self.direction == "reverse" or d == 1
            state, made = starts[d], []
            for i in reversed(range(self.length)) if backwards else range(self.length):
                self.call.run.tick()
                new = step(d, self.x.select(0, i), state)
                if lengths is not None:
                    on = (lengths > i).unsqueeze(1)
                    made.append(helix.where(on, new[0], new[0] * 0))
                    state = tuple(helix.where(on, now, old) for now, old in zip(new, state, strict=True))
                else:
                    made.append(new[0])
                    state = new
            outs.append(helix.stack(made[::-1] if backwards else made))
            lasts.append(state)
        y = helix.stack(outs, 1)
        finals = [helix.stack([last[k] for last in lasts]) for k in range(len(starts[0]))]
        return self.laid_out(y, finals)


def _lengths(call: Any, lengths: Tensor | None, total: int) -> Tensor | None:
    """None where all rows are known to be whole."""
    if lengths is None:
        return None
    if call.run.tracing and not call.run.is_known(lengths):
        return lengths.to(helix.int64)
    return None if set(ints(lengths)) <= {total} else lengths.to(helix.int64)


@op("RNN", static=(4,))
def rnn(
    call: Any, x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None, lengths: Tensor | None = None, h: Tensor | None = None,
    **options: Any,
) -> Any:  # fmt: skip
    rules = Rules(call, 1, ("Tanh",), x, w, r, b, options)
    starts = [(rules.state(h, d),) for d in range(rules.directions)]
    lengths = _lengths(call, lengths, rules.length)
    for name in ("tanh", "relu"):
        if rules.length and rules.is_common(options, name) and (options.get("activations") or name == "tanh"):
            y, finals = rules.native(KINDS[name], [0], starts, lengths)
            return (y, *finals)[: call.outputs]

    def step(d: int, row: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        bias = rules.b[d][: rules.hidden] + rules.b[d][rules.hidden :]
        return (rules.functions[d][0](rules.clipped(F.linear(row, w[d], bias) + F.linear(state[0], r[d]))),)

    y, finals = rules.run(step, starts, lengths)
    return (y, *finals)[: call.outputs]


@op("GRU", static=(4,))
def gru(
    call: Any, x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None, lengths: Tensor | None = None, h: Tensor | None = None,
    *, linear_before_reset: int = 0, **options: Any,
) -> Any:  # fmt: skip
    rules = Rules(call, 3, ("Sigmoid", "Tanh"), x, w, r, b, options)
    starts = [(rules.state(h, d),) for d in range(rules.directions)]
    lengths = _lengths(call, lengths, rules.length)
    if rules.length and linear_before_reset and rules.is_common(options, "sigmoid", "tanh"):
        y, finals = rules.native(KINDS["GRU"], [1, 0, 2], starts, lengths)
        return (y, *finals)[: call.outputs]
    n = rules.hidden

    def step(d: int, row: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        f, g = rules.functions[d]
        old, wb, rb = state[0], rules.b[d][: 3 * n], rules.b[d][3 * n :]
        z, reset, new = F.linear(row, w[d], wb).split(n, -1)
        gates = F.linear(old, r[d][: 2 * n], rb[: 2 * n])
        z, reset = f(rules.clipped(z + gates[:, :n])), f(rules.clipped(reset + gates[:, n:]))
        if linear_before_reset:
            inner = reset * F.linear(old, r[d][2 * n :], rb[2 * n :])
        else:
            inner = F.linear(reset * old, r[d][2 * n :], rb[2 * n :])
        return ((1 - z) * g(rules.clipped(new + inner)) + z * old,)

    y, finals = rules.run(step, starts, lengths)
    return (y, *finals)[: call.outputs]


@op("LSTM", static=(4,))
def lstm(
    call: Any, x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None, lengths: Tensor | None = None, h: Tensor | None = None,
    c: Tensor | None = None, p: Tensor | None = None, *, input_forget: int = 0, **options: Any,
) -> Any:  # fmt: skip
    rules = Rules(call, 4, ("Sigmoid", "Tanh", "Tanh"), x, w, r, b, options)
    starts = [(rules.state(h, d), rules.state(c, d)) for d in range(rules.directions)]
    lengths = _lengths(call, lengths, rules.length)
    if rules.length and p is None and not input_forget and rules.is_common(options, "sigmoid", "tanh", "tanh"):
        y, finals = rules.native(KINDS["LSTM"], [0, 2, 3, 1], starts, lengths)
        return (y, *finals)[: call.outputs]
    n = rules.hidden

    def step(d: int, row: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        f, g, last = rules.functions[d]
        h, c = state
        bias = rules.b[d][: 4 * n] + rules.b[d][4 * n :]
        i, o, forget, cell = (F.linear(row, w[d], bias) + F.linear(h, r[d])).split(n, -1)
        if p is not None:
            i, forget = i + p[d][:n] * c, forget + p[d][2 * n :] * c
        i = f(rules.clipped(i))
        forget = 1 - i if input_forget else f(rules.clipped(forget))
        c = forget * c + i * g(rules.clipped(cell))
        o = o if p is None else o + p[d][n : 2 * n] * c
        return f(rules.clipped(o)) * last(c), c

    y, finals = rules.run(step, starts, lengths)
    return (y, *finals)[: call.outputs]
