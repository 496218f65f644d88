"""What is promised about bits beyond what always holds: devices without chance, and rows that do not see each other."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Self, TypeVar

from helix import _core

__all__ = [
    "are_deterministic_algorithms_enabled",
    "is_batch_invariant",
    "is_deterministic",
    "is_deterministic_algorithms_warn_only_enabled",
    "use_batch_invariant",
    "use_deterministic",
    "use_deterministic_algorithms",
]


F = TypeVar("F", bound=Callable[..., Any])


class _Switch:
    """A mode of the process that is on from the call; as a context manager or decorator, up to the end."""

    _before: Any

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._set(self._before)

    def __call__(self, function: F) -> F:
        self._set(self._before)

        @wraps(function)
        def inside(*args, **kwargs):
            with self._again():
                return function(*args, **kwargs)

        return inside  # type: ignore[return-value]  # with the parameters of the function

    @staticmethod
    def _set(value):
        raise NotImplementedError

    def _again(self):
        raise NotImplementedError


class use_deterministic(_Switch):
    """Leaves out kernels of devices that may give other bits in the next call, such as those of a vendor's library.

    Another kernel of the device takes their place, or the op's decomposition, or the CPU by the fallback policy, whose error
    names the op. The CPU's own kernels always give the same bits, for any number of threads. With `warn_only` the kernels stay
    in use and a warning names the op. The mode is the process's, and at once in effect; `with` ends it.

    Named use_deterministic_algorithms too, as in torch.

    >>> with helix.use_deterministic():
    ...     helix.is_deterministic()
    True
    >>> helix.is_deterministic()
    False
    """

    def __init__(self, mode: bool = True, *, warn_only: bool = False) -> None:
        self._wanted = ("warn" if warn_only else "same") if mode else "any"
        self._before = _core.set_determinism(self._wanted)

    @staticmethod
    def _set(value):
        _core.set_determinism(value)

    def _again(self):
        return use_deterministic(self._wanted != "any", warn_only=self._wanted == "warn")


use_deterministic_algorithms = use_deterministic


def is_deterministic() -> bool:
    """True while use_deterministic is on, with warnings alone or without them."""
    return _core.get_determinism() != "any"


are_deterministic_algorithms_enabled = is_deterministic


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """True while use_deterministic is on with `warn_only`."""
    return _core.get_determinism() == "warn"


class use_batch_invariant(_Switch):
    """Row i of a result has the same bits however many rows there are beside it, and wherever it stands.

    Rows are indices of the leading axis, of a batch of any length. Without the mode, kernels choose their plan by all sizes, and
    a product of one row is summed in another order than one of sixty-five. It holds on the CPU for products, convolutions,
    attention, norms, softmax, reductions over other axes and elementwise ops, so for networks in evaluation. Products of few
    rows lose most by it (docs/determinism.md has the figures). The mode is the process's, and at once in effect; `with` ends it.

    >>> x, w = helix.randn(65, 300), helix.randn(300, 200)
    >>> with helix.use_batch_invariant():
    ...     bool(((x @ w)[7] == (x[7:8] @ w)[0]).all())
    True
    """

    def __init__(self, mode: bool = True) -> None:
        self._wanted = bool(mode)
        self._before = _core.set_batch_invariant(self._wanted)

    @staticmethod
    def _set(value):
        _core.set_batch_invariant(value)

    def _again(self):
        return use_batch_invariant(self._wanted)


def is_batch_invariant() -> bool:
    """True while use_batch_invariant is on."""
    return _core.get_batch_invariant()
