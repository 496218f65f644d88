"""Model: layers put together one by one, their sizes found out, made when all are named."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from .. import int64, manual_seed, zeros
from ..errors import ArgumentError
from ..nn import Embedding, Module, Sequential


class Model:
    """`helix.Model(input=(1, 8, 8)).add("flatten").add("linear", 32).add("relu").add("linear", 10).build()`.

    `add` takes a layer, or the name of one of helix.nn in any spelling ("linear", "conv2d", "layer_norm") with its arguments.
    With `input`, the shape of one sample, the first size of layers that need one (in_features, in_channels,
    num_features, normalized_shape) is found out; without it, say it yourself. The layers of `build()` are a Sequential,
    whose names are the numbers of the layers or the `name` given.

    >>> model = helix.Model(input=(4,)).add("linear", 8).add("relu").add("linear", 3, name="head").build()
    >>> model(helix.zeros(2, 4)).shape
    (2, 3)
    """

    def __init__(self, input: tuple[int, ...] | None = None, seed: int | None = None) -> None:
        self.input, self.seed = None if input is None else tuple(input), seed
        self._plan: list[tuple[str, Callable[..., Module] | Module, tuple, dict[str, Any]]] = []

    def add(self, layer: str | Module | type[Module], *args, name: str | None = None, **options) -> Model:
        """The next layer; returns the builder."""
        if isinstance(layer, Module):
            if args or options:
                raise ArgumentError(
                    "HX1103 Model.add: a layer that is made already takes no arguments.", op="Model.add"
                )
            made: Callable[..., Module] | Module = layer
        else:
            made = _named(layer) if isinstance(layer, str) else layer
        self._plan.append((name or str(len(self._plan)), made, args, options))
        return self

    def build(self) -> Sequential:
        """The model, its parameters drawn now: from `seed` where one was given."""
        from ..autograd import no_grad

        if not self._plan:
            raise ArgumentError("HX1103 Model.build: there is no layer; add some first.", op="Model.build")
        if self.seed is not None:
            manual_seed(self.seed)
        model, x = Sequential(), None if self.input is None else zeros(2, *self.input)
        for name, made, args, options in self._plan:
            if isinstance(made, Module):
                layer = made
            else:
                layer = made(*_sizes(made, x), *args, **options) if x is not None else made(*args, **options)
            model.add_module(name, layer)
            if x is not None:
                with no_grad():
                    result = layer.infer(x.to(int64) if isinstance(layer, Embedding) else x)
                x = result[0] if isinstance(result, tuple) else result
        return model


def _named(name: str) -> type[Module]:
    """The layer of helix.nn with this name, whatever its spelling."""
    from .. import nn

    known = {key.lower().replace("_", ""): key for key in nn.__all__ if isinstance(getattr(nn, key), type)}
    plain = name.lower().replace("_", "").replace(" ", "")
    if plain not in known:
        near = get_close_matches(plain, known, n=1)
        raise ArgumentError(
            f"HX1103 Model.add: helix.nn has no layer {name!r}"
            + (f"; did you mean {known[near[0]]!r}?" if near else "."),
            op="Model.add",
        )
    return getattr(nn, known[plain])


def _sizes(kind: Callable[..., Module], x) -> tuple:
    """The first argument of a layer, where it is the size of what comes in."""
    from inspect import signature

    first = next(iter(signature(kind).parameters), "")
    if first in ("in_channels", "num_features", "num_channels"):
        return (x.shape[1],)
    if first in ("in_features", "normalized_shape", "input_size", "d_model", "embed_dim", "dim"):
        return (x.shape[-1],)
    return ()
