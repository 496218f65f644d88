"""RNN, LSTM, GRU; torch's weights, order of gates and results.

The inputs of all steps meet their weights in one product; what is left for every step runs in the core.
"""

from __future__ import annotations

from typing import Any

from .. import _core, addmm, arange, cat, empty, stack, where, zeros
from ..autograd import is_grad_enabled
from ..errors import ParameterError
from ..tensor import Tensor
from . import functional as F
from . import init
from .linear import fits_bound
from .misfit import LayerError, describe
from .module import Module
from .parameter import Parameter
from .utils.rnn import PackedSequence, padded_of, repacked

_recurrence = _core.op_named("recurrence")
KINDS = {"tanh": 0, "relu": 1, "LSTM": 2, "GRU": 3}
GATES = {0: 1, 1: 1, 2: 4, 3: 3}
NARROW = 256  # so wide an LSTM with projections is faster as one recurrence, with wider products, than step by step


def recurrent(
    x: Tensor,
    weights: list[Any],
    start: tuple[Tensor, ...],
    kind: int,
    reverse: bool = False,
    lengths: Any = None,
    wide: bool | None = None,
) -> tuple[Tensor, ...]:
    """(states,) or (states, cells) after every step of x, (steps, batch, features); weights as a layer names them. wide: within
    autocast, are states kept in x's dtype? Those of a GRU are, unless told, as in torch."""
    w_ih, w_hh, b_ih, b_hh = weights
    if b_ih is not None and kind != KINDS["GRU"]:  # what the state gives to a GRU's n is scaled first, its bias too
        b_ih, b_hh = b_ih + b_hh, None
    cell = start[1] if len(start) > 1 else None
    gates = F.linear(x, w_ih, b_ih)
    if gates.dtype != x.dtype and (kind == KINDS["GRU"] if wide is None else wide):
        gates = gates.to(x.dtype)
    keep = is_grad_enabled() and any(t is not None and t.requires_grad for t in (gates, w_hh, b_hh, *start))
    states, cells, _ = _recurrence(gates, w_hh, b_hh, start[0], cell, lengths, kind, reverse, keep)
    return (states,) if cell is None else (states, cells)


def _projected(
    x: Tensor, weights: list[Any], turn: Tensor, start: tuple[Tensor, ...], reverse: bool, lengths: Any
) -> tuple[Tensor, ...]:
    """An LSTM whose state is a projection of its output; Sak, Senior and Beaufays, "Long short-term memory recurrent neural
    network architectures for large scale acoustic modeling", Interspeech 2014.

    W_hh (W_hr m) is (W_hh W_hr) m: with the product of both weights the native recurrence runs over what is not projected
    yet, and all steps are projected at once. Wide layers go step by step, with narrower products."""
    if turn.shape[1] > NARROW:
        return _step_by_step(x, weights, turn, start, reverse, lengths)
    w_ih, w_hh, b_ih, b_hh = weights
    hidden, cell = start
    gates = _begun(F.linear(x, w_ih, None if b_ih is None else b_ih + b_hh), F.linear(hidden, w_hh), reverse, lengths)
    both = w_hh @ turn
    keep = is_grad_enabled() and any(t.requires_grad for t in (gates, both, cell))
    nothing = zeros(cell.shape, dtype=gates.dtype, device=gates.device)
    outputs, cells, _ = _recurrence(gates, both, None, nothing, cell, lengths, KINDS["LSTM"], reverse, keep)
    return F.linear(outputs, turn), cells


def _begun(gates: Tensor, first: Tensor, reverse: bool, lengths: Any) -> Tensor:
    """Gates with what the state at the start gives to the first step of each row."""
    times = gates.shape[0]
    if not reverse:
        return cat([gates[:1] + first, gates[1:]])
    if lengths is None:
        return cat([gates[:-1], gates[-1:] + first])
    begins = arange(times, device=gates.device).unsqueeze(-1) == lengths - 1
    return gates + begins.unsqueeze(-1).to(gates.dtype) * first


def _step_by_step(
    x: Tensor, weights: list[Any], turn: Tensor, start: tuple[Tensor, ...], reverse: bool, lengths: Any
) -> tuple[Tensor, ...]:
    w_ih, w_hh, b_ih, b_hh = weights
    gates = F.linear(x, w_ih, None if b_ih is None else b_ih + b_hh).unbind(0)
    turned = w_hh.t().contiguous()  # once, not in every step
    hidden, cell = start
    found: list[Any] = [None] * len(gates)
    for t in reversed(range(len(gates))) if reverse else range(len(gates)):
        i, f, g, o = addmm(gates[t], hidden, turned).chunk(4, -1)
        new = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        out = F.linear(o.sigmoid() * new.tanh(), turn)
        if lengths is not None:
            going = (lengths > t).unsqueeze(-1)
            out, new = where(going, out, hidden), where(going, new, cell)
        hidden, cell = out, new
        found[t] = (hidden, cell)
    return tuple(stack(parts) for parts in zip(*found, strict=True))


class RNNBase(Module):
    """Shared by RNN, LSTM and GRU: layers of one or two directions over sequences, padded or packed."""

    kind: int

    def __init__(
        self,
        kind: int,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device=None,
        dtype=None,
    ) -> None:
        name = type(self).__name__
        if hidden_size < 1 or num_layers < 1:
            raise ParameterError(
                f"HX1403 {name}: hidden_size and num_layers must be 1 or more.", op=name, code="HX1403"
            )
        if not 0 <= dropout <= 1:
            raise ParameterError(f"HX1403 {name}: dropout must lie in [0, 1], got {dropout}.", op=name, code="HX1403")
        if not 0 <= proj_size < hidden_size:
            text = f"HX1403 {name}: proj_size must lie in [0, hidden_size), got {proj_size}."
            raise ParameterError(text, op=name, code="HX1403")
        self.kind = kind
        self.input_size, self.hidden_size, self.num_layers, self.bias = input_size, hidden_size, num_layers, bias
        self.batch_first, self.dropout, self.bidirectional = batch_first, dropout, bidirectional
        self.proj_size = proj_size
        for suffix, width in self._places():
            rows, state = GATES[kind] * hidden_size, proj_size or hidden_size
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, width), "weight_hh": (rows, state)}
            if bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            if proj_size:
                shapes["weight_hr"] = (proj_size, hidden_size)
            for part, shape in shapes.items():
                setattr(self, part + suffix, Parameter(empty(*shape, device=device, dtype=dtype)))
        self.reset_parameters()

    def _places(self) -> list[tuple[str, int]]:
        """(suffix of its weights, width of its input) of every layer and direction."""
        ends = ("", "_reverse")[: 1 + self.bidirectional]
        later = (self.proj_size or self.hidden_size) * len(ends)
        return [(f"_l{i}{end}", later if i else self.input_size) for i in range(self.num_layers) for end in ends]

    def reset_parameters(self) -> None:
        bound = fits_bound(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """torch's request to lay weights out for its kernels; the core packs them by itself."""

    def forward(self, input: Tensor | PackedSequence, hx: Any = None) -> tuple[Any, Any]:
        packed = input if isinstance(input, PackedSequence) else None
        lengths, unbatched = None, False
        if packed is not None:
            x, lengths = padded_of(packed)
        else:
            assert isinstance(input, Tensor)
            unbatched = input.ndim == 2
            x = input.unsqueeze(1) if unbatched else input.transpose(0, 1) if self.batch_first else input
            x = x.contiguous()  # one product of all steps, not one of each
        start = self._start(x, hx, unbatched, packed)
        output, ends = self._run(x, start, lengths)
        if packed is not None:
            ends = [e if packed.unsorted_indices is None else e.index_select(1, packed.unsorted_indices) for e in ends]
            return repacked(output, packed), self._state(ends)
        if unbatched:
            return output.squeeze(1), self._state([e.squeeze(1) for e in ends])
        return output.transpose(0, 1) if self.batch_first else output, self._state(ends)

    def _state(self, ends: list[Tensor]) -> Any:
        return tuple(ends) if self.kind == KINDS["LSTM"] else ends[0]

    def _start(self, x: Tensor, hx: Any, unbatched: bool, packed: PackedSequence | None) -> list[Tensor]:
        """States at the start, (layers * directions, batch, size), rows ordered as x."""
        if x.ndim != 3 or x.shape[-1] != self.input_size or not x.shape[0]:
            raise LayerError(self, self._wanted(x))
        count, batch = len(self._places()), x.shape[1]
        sizes = [self.proj_size or self.hidden_size] + [self.hidden_size] * (self.kind == KINDS["LSTM"])
        if hx is None:
            return [zeros(count, batch, size, dtype=x.dtype, device=x.device) for size in sizes]
        given = list(hx) if isinstance(hx, (tuple, list)) else [hx]
        if len(given) != len(sizes):
            raise LayerError(
                self,
                f"the layer has {len(sizes)} states ({'h_0, c_0' if len(sizes) > 1 else 'h_0'}), got {len(given)}.",
            )
        if unbatched:
            given = [t.unsqueeze(1) for t in given]
        for t, size in zip(given, sizes, strict=True):
            if tuple(t.shape) != (count, batch, size):
                raise LayerError(
                    self, f"a state must be {(count, batch, size)}, with a batch of {batch}. {describe(t)}"
                )
        if packed is not None and packed.sorted_indices is not None:
            given = [t.index_select(1, packed.sorted_indices) for t in given]
        return given

    def _run(self, x: Tensor, start: list[Tensor], lengths: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        ends: list[list[Tensor]] = [[] for _ in start]
        directions = 1 + self.bidirectional
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(directions):
                at = layer * directions + direction
                found = self._direction(x, f"_l{layer}" + "_reverse" * direction, [s[at] for s in start], lengths)
                outputs.append(found[0])
                for kept, states in zip(ends, found, strict=True):
                    kept.append(states[0 if direction else -1])
            x = outputs[0] if directions == 1 else cat(outputs, -1)
            if self.dropout and self.training and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, True)
        return x, [stack(kept) for kept in ends]

    def _direction(self, x: Tensor, suffix: str, start: list[Tensor], lengths: Any) -> tuple[Tensor, ...]:
        weights = [getattr(self, part + suffix, None) for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        reverse = suffix.endswith("_reverse")
        if self.proj_size:
            return _projected(x, weights, getattr(self, "weight_hr" + suffix), tuple(start), reverse, lengths)
        return recurrent(x, weights, tuple(start), self.kind, reverse, lengths)

    def _wanted(self, x: Tensor) -> str:
        order = "(batch, steps" if self.batch_first else "(steps, batch"
        return (
            f"the layer takes {order}, {self.input_size}), or (steps, {self.input_size}) unbatched, "
            f"with one step at least. {describe(x)}"
        )

    def extra_repr(self) -> str:
        plain = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0}
        plain["bidirectional"] = False
        more = [f"{name}={getattr(self, name)}" for name, value in plain.items() if getattr(self, name) != value]
        return ", ".join([str(self.input_size), str(self.hidden_size), *more])


class RNN(RNNBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu; Elman, "Finding structure in time", 1990.

    input: (steps, batch, input_size), or (batch, steps, …) with `batch_first`, or unbatched (steps, input_size), or a
    PackedSequence. hx: (num_layers * directions, batch, hidden_size), zeros unless given. Returns (output, h_n): output
    (steps, batch, directions * hidden_size) of the last layer, h_n the states at the ends. Raises LayerError (HX1004) for
    other shapes.

    Example:
        >>> output, last = helix.nn.RNN(3, 4, num_layers=2)(helix.ones(5, 2, 3))
        >>> output.shape, last.shape
        ((5, 2, 4), (2, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device=None,
        dtype=None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ParameterError(
                f"HX1403 RNN: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}.", op="RNN", code="HX1403"
            )
        self.nonlinearity = nonlinearity
        super().__init__(
            KINDS[nonlinearity], input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device=device, dtype=dtype,
        )  # fmt: skip


class LSTM(RNNBase):
    """Long short-term memory; Hochreiter and Schmidhuber, 1997, with gates in torch's order: i, f, g, o.

    input: as RNN. hx: (h_0, c_0), each (num_layers * directions, batch, size), zeros unless given. Returns
    (output, (h_n, c_n)). proj_size: the state is a projection to so many features. Raises LayerError (HX1004) for
    inputs and states of other shapes.

    Example:
        >>> layer = helix.nn.LSTM(3, 4, batch_first=True, bidirectional=True)
        >>> output, (hidden, cell) = layer(helix.ones(2, 5, 3))
        >>> output.shape, hidden.shape, cell.shape
        ((2, 5, 8), (2, 2, 4), (2, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__(
            KINDS["LSTM"], input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size,
            device, dtype,
        )  # fmt: skip


class GRU(RNNBase):
    """Gated recurrent unit; Cho et al., 2014, with gates in torch's order, r, z, n, and n = tanh(x_n + r * h_n).

    input, hx and results: as RNN. Raises LayerError (HX1004) for other shapes.

    Example:
        >>> output, last = helix.nn.GRU(3, 4)(helix.ones(5, 2, 3))
        >>> output.shape, last.shape
        ((5, 2, 4), (1, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__(
            KINDS["GRU"], input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device=device, dtype=dtype,
        )  # fmt: skip
