"""autocast: products in a short dtype, what would lose its digits in float32."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Self, TypeVar

from helix import _core
from helix.errors import DTypeError, ParameterError

if TYPE_CHECKING:
    from helix._core import DType

F = TypeVar("F", bound=Callable[..., Any])
LOWER = ("float16", "bfloat16")


class autocast:
    """A context manager and decorator: inside, ops on tensors of a kind of device choose their dtype themselves.

    Products (linear, matmul, convolutions, attention) run in `dtype`; losses and, off the CPU, exponentials, norms and
    sums run in float32; `cat` and its like in the widest dtype among their inputs; everything else in the dtype it is
    given. The lists are torch's. Parameters stay float32 and get float32 gradients: they are the master weights. float64
    is never cast, nor is what is written in place or into `out=`. Leave the context before `backward`, which works in
    the dtypes of the forward pass anyway.

    Args:
        device_type: "cpu" or another device's type. helix knows two lists: the CPU's, and that of all others.
        dtype: float16 or bfloat16; by default bfloat16 on the CPU and float16 elsewhere.
        enabled: with False, autocast is off inside.
        cache_enabled: are parameters that were cast kept, from their second use on, until the outermost region ends? By
            default as outside of the region, and yes there. It changes no number: a parameter that is written in
            place is cast again, and one whose memory NumPy or another library holds is cast each time. It saves work where
            parameters are used many times, as in the steps of a recurrence.

    >>> layer = helix.nn.Linear(4, 2)
    >>> with helix.autocast("cpu", dtype=helix.bfloat16):
    ...     y = layer(helix.ones(3, 4))
    >>> y.dtype, layer.weight.dtype
    (helix.bfloat16, helix.float32)
    """

    def __init__(
        self,
        device_type: str = "cpu",
        dtype: DType | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str) or not device_type:
            raise ParameterError(
                f"HX1403 autocast: device_type must be a device's type such as 'cpu', got {device_type!r}.",
                op="autocast",
            )
        self.device_type = device_type.partition(":")[0]
        self.dtype = _default(self.device_type) if dtype is None else _core.as_dtype(dtype)
        if self.dtype.name not in LOWER:
            raise DTypeError(
                f"HX1101 autocast: dtype must be float16 or bfloat16, got {self.dtype.name}.",
                op="autocast",
                argument="dtype",
                expected=LOWER,
                got=self.dtype.name,
            )
        self.enabled, self.cache_enabled = bool(enabled), cache_enabled
        self._before: list = []

    def __enter__(self) -> Self:
        wanted = self.dtype if self.enabled else None
        before = _core.autocast_mode(self.device_type != "cpu", wanted)
        kept = None if self.cache_enabled is None else _core.autocast_cache(self.cache_enabled)
        self._before.append((before, kept))
        _core.autocast_region(True)
        return self

    def __exit__(self, *exception: object) -> None:
        before, kept = self._before.pop()
        _core.autocast_region(False)
        if kept is not None:
            _core.autocast_cache(kept)
        _core.autocast_mode(self.device_type != "cpu", before)

    def __call__(self, function: F) -> F:
        @wraps(function)
        def inside(*args, **kwargs):
            with autocast(self.device_type, self.dtype, self.enabled):
                return function(*args, **kwargs)

        return inside  # type: ignore[return-value]  # with the parameters of the function


def _default(device_type: str):
    return _core.as_dtype("bfloat16" if device_type == "cpu" else "float16")


def autocast_state() -> tuple:
    """What autocast computes in on the CPU and elsewhere, None where it is off; for `restore_autocast`."""
    return tuple(_peek(elsewhere) for elsewhere in (False, True))


def _peek(elsewhere: bool):
    now = _core.autocast_mode(elsewhere, None)
    _core.autocast_mode(elsewhere, now)
    return now


class restored_autocast:
    """A context in which autocast is as `autocast_state` found it."""

    def __init__(self, state: tuple) -> None:
        self._state = state

    def __enter__(self):
        self._before = tuple(_core.autocast_mode(bool(i), self._state[i]) for i in (0, 1))

    def __exit__(self, *exception):
        for i in (0, 1):
            _core.autocast_mode(bool(i), self._before[i])


def is_autocast_enabled(device_type: str = "cpu") -> bool:
    """Whether autocast is on for a kind of device."""
    return _peek(device_type != "cpu") is not None


def get_autocast_dtype(device_type: str = "cpu") -> _core.dtype:
    """The dtype that autocast computes in: the one set, or the default."""
    return _peek(device_type != "cpu") or _default(device_type)


def widened(t):
    """float32 of half types: what would lose its digits is computed and kept in float32 at least, however it is stored."""
    return t.to("float32") if t.dtype.name in LOWER else t


def listed_for_cpu(dtype: str | None) -> Callable[[F], F]:
    """A decorator of functions made of ops that the CPU's list names as a whole: within autocast, tensors of 32 and 16 bits
    come in `dtype` ("float32"; None: autocast's own), and nothing inside is cast again."""

    def decorated(function):
        @wraps(function)
        def inside(*args, **kwargs):
            on = _peek(False)
            if on is None or kwargs.get("out") is not None:
                return function(*args, **kwargs)
            wanted = on if dtype is None else _core.as_dtype(dtype)
            with autocast("cpu", enabled=False):
                return function(
                    *(_listed(value, wanted) for value in args),
                    **{name: _listed(value, wanted) for name, value in kwargs.items()},
                )

        return inside

    return decorated


def _listed(value, dtype):
    if not isinstance(value, _core.Tensor) or value.device.type != "cpu" or value.dtype.name not in ("float32", *LOWER):
        return value
    return value.to(dtype)
