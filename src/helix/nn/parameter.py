"""Parameter: a tensor that a module owns and an optimizer changes. Buffer: one that is not trained."""

from __future__ import annotations

from ..tensor import Tensor


class Parameter(Tensor):
    """A leaf tensor that requires grad; assigning one to an attribute of a `Module` registers it there."""

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        if data is None:
            from .. import empty

            data = empty(0)
        return Tensor._make_subclass(cls, data, requires_grad)

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        pass

    def __deepcopy__(self, memo: dict) -> Parameter:
        if id(self) not in memo:
            memo[id(self)] = Parameter(self.detach().clone(), self.requires_grad)
        return memo[id(self)]

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


class Buffer(Tensor):
    """A tensor that a module moves and saves but does not train; assigning one to an attribute registers it there.

    `persistent=False` leaves it out of state_dict.

    Example:
        >>> layer = helix.nn.Linear(1, 1, bias=False)
        >>> layer.scale = helix.nn.Buffer(helix.ones(2))
        >>> list(layer.state_dict())
        ['weight', 'scale']
    """

    persistent: bool

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Buffer:
        if data is None:
            from .. import empty

            data = empty(0)
        return Tensor._make_subclass(cls, data, data.requires_grad)

    def __init__(self, data: Tensor | None = None, *, persistent: bool = True) -> None:
        self.persistent = persistent
