"""Activation checkpointing: what a function saved for its gradient is thrown away and computed again in backward."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterable
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any, TypeVar

from helix import _core
from helix.autograd import enable_grad, is_grad_enabled, saved_tensors_hooks
from helix.errors import ArgumentError, GradientError
from helix.precision import autocast_state, restored_autocast
from helix.random import fork_rng, get_rng_state, replayed_generators, set_rng_state, watched_generators

Made = TypeVar("Made")


class _Place:
    """Stands in a node for a saved tensor; holds it between the second run and its use."""

    __slots__ = ("__weakref__", "segment", "tensor")

    def __init__(self, segment) -> None:
        self.segment, self.tensor = segment, None


class _Done(BaseException):
    """All that was missing is there: the rest of the second run is left out."""


class _Segment:
    """One call that can be made a second time under the same circumstances."""

    def __init__(self, function: Callable, args: tuple, kwargs: dict[str, Any], keep_random: bool) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.random = get_rng_state() if keep_random else None
        self.generators: dict[int, tuple] = {}
        self.autocast = autocast_state()
        self.tensors = [t for t in (*args, *kwargs.values()) if isinstance(t, _core.Tensor)]
        self.versions = [t._version for t in self.tensors]
        self.places: list[weakref.ref[_Place]] = []
        self.kinds: list[tuple] = []

    def first(self):
        def pack(tensor):
            place = _Place(self)
            self.kinds.append((tuple(tensor.shape), tensor.dtype))
            self.places.append(weakref.ref(place))
            return place

        with saved_tensors_hooks(pack, _unpack):
            if self.random is None:
                return self.function(*self.args, **self.kwargs)
            with watched_generators() as self.generators:
                return self.function(*self.args, **self.kwargs)

    def second(self) -> None:
        """Fills every place that is still in use."""
        self._check()
        filled = 0

        def pack(tensor):
            nonlocal filled
            if filled < len(self.kinds) and self.kinds[filled] != (tuple(tensor.shape), tensor.dtype):
                raise _other_tensors()
            place = self.places[filled]() if filled < len(self.places) else None
            if place is not None:
                place.tensor = tensor.detach()
            filled += 1
            if filled == len(self.places):
                raise _Done
            return None

        state = [(b, b.clone(), b._version) for b in _buffers(self.function, *self.args, *self.kwargs.values())]
        try:
            with (
                fork_rng(),
                replayed_generators(self.generators),
                enable_grad(),
                restored_autocast(self.autocast),
                saved_tensors_hooks(pack, _refuse),
            ):
                if self.random is not None:
                    set_rng_state(self.random)
                with contextlib.suppress(_Done):
                    self.function(*self.args, **self.kwargs)
        finally:
            for buffer, before, version in state:
                if buffer._version != version:
                    buffer.copy_(before)

    def _check(self) -> None:
        for tensor, version in zip(self.tensors, self.versions, strict=True):
            if tensor._version != version:
                raise GradientError(
                    f"HX1501 checkpoint: an argument of shape {tuple(tensor.shape)} was changed in place after the "
                    f"forward pass (version {version} to {tensor._version}), so that it cannot be run again.",
                    op="checkpoint",
                    code="HX1501",
                )


def _unpack(place: _Place):
    if place.tensor is None:
        place.segment.second()
    if place.tensor is None:
        raise _other_tensors()
    return place.tensor


def _other_tensors() -> GradientError:
    return GradientError(
        "HX1502 checkpoint: the function saved other tensors when it was run again. It must do the same each time: "
        "depend on its arguments and on helix's random numbers alone.",
        op="checkpoint",
        code="HX1502",
    )


def _refuse(packed):
    raise GradientError("HX1502 checkpoint: backward inside of a checkpointed function", op="checkpoint", code="HX1502")


def _buffers(*values: Any) -> list:
    """Buffers of the modules among the values, such as running means, which the second run must not move again. Of a
    function those modules count that it is a method of, or finds under a name outside of itself."""
    found: dict[int, Any] = {}
    waiting, seen = list(values), set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, type):
            continue
        if hasattr(value, "buffers"):
            found |= {id(buffer): buffer for buffer in value.buffers()}
        elif isinstance(value, partial):
            waiting += [value.func, *value.args, *value.keywords.values()]
        elif isinstance(value, (list, tuple)):
            waiting += value
        elif isinstance(value, MethodType):
            waiting += [value.__self__, value.__func__]
        elif isinstance(value, FunctionType) and not value.__module__.startswith("helix."):
            waiting += _outside(value)
    return list(found.values())


def _outside(function: FunctionType) -> list:
    """What a function finds outside of itself: in its closure, its defaults, and among the names of its file."""
    empty = CellType()
    cells = [cell.cell_contents for cell in function.__closure__ or () if cell != empty]
    names = function.__globals__
    named = [names[name] for name in function.__code__.co_names if name in names]
    return [*cells, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values(), *named]


def checkpoint(
    function: Callable[..., Made],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Made:
    """`function(*args, **kwargs)`, whose intermediate results are not kept for backward but computed a second time there.

    Gradients have the bits of an ordinary call: helix's random state (dropout), generators that ops inside are given, and
    autocast are as they were, and the running means of modules (`function`, an argument, or one that `function` knows by a
    name) move once. Gradients also reach tensors that the function finds outside of its arguments. Works with `grad`,
    `create_graph` and inside of other checkpoints.

    Chen, Xu, Zhang, Guestrin: Training Deep Nets with Sublinear Memory Cost, 2016.

    >>> layer = helix.nn.Linear(3, 3)
    >>> x = helix.ones(2, 3, requires_grad=True)
    >>> helix.checkpoint(layer, x).sum().backward()
    >>> x.grad.shape
    (2, 3)
    """
    if use_reentrant:
        raise ArgumentError("HX1103 checkpoint: use_reentrant=True is not needed here; leave it out.", op="checkpoint")
    if not is_grad_enabled():
        return function(*args, **kwargs)
    return _Segment(function, args, kwargs, preserve_rng_state).first()


def checkpoint_sequential(functions: Iterable[Callable[..., Any]], segments: int, input: Any, **kwargs: Any) -> Any:
    """Runs functions one after another in so many checkpointed segments; the last one is run as usual.

    `functions` is a Sequential or a list. With n equal layers, √n segments need the least memory.
    """
    parts = list(functions)
    if not 1 <= segments <= len(parts):
        raise ArgumentError(
            f"HX1103 checkpoint_sequential: segments must lie between 1 and the {len(parts)} functions, got {segments}.",
            op="checkpoint_sequential",
        )
    size = len(parts) // segments
    for start in range(0, size * (segments - 1), size):
        input = checkpoint(Chain(parts[start : start + size]), input, **kwargs)
    return Chain(parts[size * (segments - 1) :])(input)


class Chain:
    """Functions one after another, as one."""

    def __init__(self, functions: list) -> None:
        self.functions = functions

    def __call__(self, x):
        for function in self.functions:
            x = function(x)
        return x

    def buffers(self) -> list:
        return [buffer for function in self.functions for buffer in _buffers(function)]
