"""RNNCell, LSTMCell, GRUCell: one step of a recurrent layer; torch's weights and order of gates."""

from __future__ import annotations

from typing import Any

from .. import empty, zeros
from ..errors import ParameterError
from ..tensor import Tensor
from . import init
from .linear import fits_bound
from .misfit import LayerError, describe
from .module import Module
from .parameter import Parameter
from .recurrent import GATES, KINDS, recurrent


class RNNCellBase(Module):
    """Shared by the cells."""

    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(self, kind: int, input_size: int, hidden_size: int, bias: bool, device, dtype) -> None:
        self.kind, self.input_size, self.hidden_size, self.bias = kind, input_size, hidden_size, bias
        rows = GATES[kind] * hidden_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, input_size), "weight_hh": (rows, hidden_size)}
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        for name, shape in shapes.items():
            made = Parameter(empty(*shape, device=device, dtype=dtype)) if bias or len(shape) > 1 else None
            self.register_parameter(name, made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = fits_bound(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _step(self, input: Tensor, state: Any) -> tuple[Tensor, ...]:
        unbatched = input.ndim == 1
        x = input.unsqueeze(0) if unbatched else input
        if x.ndim != 2 or x.shape[1] != self.input_size:
            text = f"the cell takes (batch, {self.input_size}), or ({self.input_size},) unbatched."
            raise LayerError(self, f"{text} {describe(input)}")
        count = 2 if self.kind == KINDS["LSTM"] else 1
        wanted = (x.shape[0], self.hidden_size)
        if state is None:
            state = (zeros(*wanted, dtype=x.dtype, device=x.device),) * count
        given = tuple(state) if isinstance(state, (tuple, list)) else (state,)
        if len(given) != count:
            raise LayerError(self, f"the cell has {count} states ({'h, c' if count > 1 else 'h'}), got {len(given)}.")
        given = tuple(t.unsqueeze(0) if t.ndim == 1 else t for t in given)
        for t in given:
            if tuple(t.shape) != wanted:
                raise LayerError(self, f"a state must be {wanted}. {describe(t)}")
        weights: list[Any] = [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh]
        found = recurrent(x.unsqueeze(0), weights, given, self.kind, wide=self.kind >= KINDS["LSTM"])
        return tuple(t[0, 0] if unbatched else t[0] for t in found)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(RNNCellBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu: input (batch, input_size) and hx (batch, hidden_size) to h'.

    Raises LayerError (HX1004) for other shapes, ParameterError (HX1403) for another nonlinearity.

    Example:
        >>> helix.nn.RNNCell(3, 4)(helix.ones(2, 3)).shape
        (2, 4)
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", device=None, dtype=None
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ParameterError(
                f"HX1403 RNNCell: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}.", code="HX1403"
            )
        self.nonlinearity = nonlinearity
        super().__init__(KINDS[nonlinearity], input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step(input, hx)[0]

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(RNNCellBase):
    """One step of an LSTM: input (batch, input_size) and (h, c), each (batch, hidden_size), to (h', c').

    Raises LayerError (HX1004) for other shapes.

    Example:
        >>> hidden, cell = helix.nn.LSTMCell(3, 4)(helix.ones(2, 3))
        >>> hidden.shape, cell.shape
        ((2, 4), (2, 4))
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device=None, dtype=None) -> None:
        super().__init__(KINDS["LSTM"], input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, ...]:
        return self._step(input, hx)


class GRUCell(RNNCellBase):
    """One step of a GRU: input (batch, input_size) and hx (batch, hidden_size) to h'.

    Raises LayerError (HX1004) for other shapes.

    Example:
        >>> helix.nn.GRUCell(3, 4)(helix.ones(2, 3)).shape
        (2, 4)
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device=None, dtype=None) -> None:
        super().__init__(KINDS["GRU"], input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step(input, hx)[0]
