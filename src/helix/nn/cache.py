"""What a decoder keeps of the tokens it has seen, so that each new token costs one step and not the whole text again."""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import arange, cat, empty
from ..autograd import is_grad_enabled
from ..errors import GradientError, ParameterError, ShapeError
from ..tensor import Tensor
from .masks import causal_distances, keys_seen

FIRST = 32  # positions made room for at first, unless told


class KeyValueCache:
    """Keys and values of one attention layer: (batch, heads, positions, head size).

    Room is made ahead and doubled when it is full, so that n appended tokens cost O(n) copies in all. With `window` only
    what a later query can still see is kept, in at most about two windows of memory. `start` is the position of the first
    key that is held.
    """

    def __init__(self, capacity: int = 0, window: int | None = None) -> None:
        self.capacity, self.window = capacity, window
        self.start = self.length = 0
        self._keys: Any = None
        self._values: Any = None

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Adds new positions and returns all that are held; the results are views, valid until rows are selected.

        Raises GradientError when gradients would be lost: decode under helix.no_grad().
        """
        if is_grad_enabled() and (key.requires_grad or value.requires_grad):
            raise GradientError(
                "HX1503 KeyValueCache: gradients do not pass through a cache; decode under helix.no_grad()."
            )
        new = key.shape[2]
        self._forget(new)
        held = self.length - self.start
        self._reserve(held + new, key, value)
        self._keys[:, :, held : held + new] = key
        self._values[:, :, held : held + new] = value
        self.length += new
        return self._keys[:, :, : held + new], self._values[:, :, : held + new]

    def _forget(self, new: int) -> None:
        """Drops what lies before the windows of the coming queries, once that is at least half of what is held."""
        held = self.length - self.start
        if self.window is None or held < 2 * self.window:
            return
        kept = self.window - 1
        self._keys = self._keys[:, :, held - kept : held].clone()
        self._values = self._values[:, :, held - kept : held].clone()
        self.start = self.length - kept

    def _reserve(self, needed: int, key: Tensor, value: Tensor) -> None:
        if self._keys is None:
            room = max(needed, self.capacity, FIRST)
            self._keys, self._values = _room(key, room), _room(value, room)
            return
        if self._keys.shape[0] != key.shape[0]:
            raise ShapeError(
                f"HX1002 KeyValueCache: holds {self._keys.shape[0]} rows, got {key.shape[0]}.", argument="key"
            )
        if needed > self._keys.shape[2]:
            more = max(needed, 2 * self._keys.shape[2]) - self._keys.shape[2]
            self._keys = cat([self._keys, _room(key, more)], 2)
            self._values = cat([self._values, _room(value, more)], 2)

    def rewind(self, length: int) -> None:
        """Takes back what was appended beyond `length` by a step that failed."""
        self.length = min(self.length, length)

    def ahead(self, new: int, padding: Tensor | None = None, window: int | None = None, *, device=None) -> Sight:
        """What `new` more tokens will see, once they are appended; `padding`, (batch,), says how many of the first tokens
        of each row are hidden. The window is the cache's own unless told."""
        window = self.window if window is None else window
        positions = arange(self.length, self.length + new, device=device)
        held, fits = self.length - self.start, window is None or self.length + new <= window
        if self.window is not None and held >= 2 * self.window:
            held = self.window - 1
        if padding is None:
            if fits and (new == 1 or held == 0):
                return Sight(positions, None, new > 1)
            return Sight(positions, None, False, causal_distances(new, held + new, window, device=device))
        padding = padding.unsqueeze(-1)
        keys = arange(self.length - held, self.length + new, device=device) >= padding
        distances = None if fits and new == 1 else causal_distances(new, held + new, window, device=device)
        return Sight((positions - padding).clamp(min=0), keys.unsqueeze(1).unsqueeze(1), False, distances)

    def select(self, rows: Tensor) -> KeyValueCache:
        """A cache of these rows of the batch, in this order; rows may repeat (as beams do)."""
        made = KeyValueCache(self.capacity, self.window)
        made.start, made.length = self.start, self.length
        if self._keys is not None:
            made._keys, made._values = self._keys.index_select(0, rows), self._values.index_select(0, rows)
        return made


def _room(like: Tensor, positions: int) -> Tensor:
    batch, heads, _, size = like.shape
    return empty(batch, heads, positions, size, dtype=like.dtype, device=like.device)


class Sight(NamedTuple):
    """Where the tokens of one call stand, and which keys they see."""

    positions: Tensor  # (length,) or (batch, length)
    mask: Tensor | None  # bool, (batch, 1, 1, keys): those that are no padding; None: all
    is_causal: bool  # and of these, those before
    distances: Tensor | None = None  # the same for any rule of distance: (queries + keys - 1), 0 or -inf; see nn.masks


def sight_of(length: int, attention_mask: Tensor | None = None, window: int | None = None, *, device=None) -> Sight:
    """Of a whole text; attention_mask (batch, length) is 1 or True at tokens and 0 at padding."""
    positions = arange(length, device=device)
    if window is not None and window >= length:
        window = None
    if attention_mask is None and window is None:
        return Sight(positions, None, True)
    return Sight(positions, keys_seen(attention_mask), False, causal_distances(length, window=window, device=device))


class DecoderState:
    """The caches of all layers of a decoder, and how far it has read.

    `padding`, (batch,), says how many of the first tokens of each row are padding, which no token sees.
    """

    def __init__(
        self, layers: int, padding: Tensor | None = None, window: int | None = None, capacity: int = 0
    ) -> None:
        self.caches = [KeyValueCache(capacity, window) for _ in range(layers)]
        self.padding, self.window = padding, window

    @property
    def length(self) -> int:
        """How many tokens all layers have read."""
        return self.caches[-1].length if self.caches else 0

    def pad(self, padding: Tensor) -> None:
        """Says how much of the coming prompts is padding; refused (HX1403) once a text was read."""
        if self.length:
            raise ParameterError("HX1403 DecoderState: only the beginning of a text can be padded.", argument="padding")
        self.padding = padding

    def ahead(self, new: int, device=None) -> Sight:
        """What `new` more tokens see; called once a step, before the layers append to their caches. What a step before it
        left in some layers when it failed is taken back."""
        for cache in self.caches:
            cache.rewind(self.length)
        return self.caches[0].ahead(new, self.padding, device=device)

    @classmethod
    def going_on(cls, state: DecoderState | None, layers: int, padding: Tensor | None, window: int | None = None):
        """`state`, or that of texts which begin now; `padding` belongs to these."""
        if state is None:
            return cls(layers, padding, window)
        if padding is not None:
            state.pad(padding)
        return state

    def select(self, rows: Tensor) -> DecoderState:
        """The state of these rows of the batch."""
        made = DecoderState(0, None if self.padding is None else self.padding.index_select(0, rows), self.window)
        made.caches = [cache.select(rows) for cache in self.caches]
        return made
