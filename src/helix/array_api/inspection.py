"""What the namespace can do, asked of the namespace."""

from __future__ import annotations

from helix import _core
from helix.array_api import data_types
from helix.array_api.rules import KINDS, fail
from helix.errors import ParameterError

__all__ = ["__array_namespace_info__"]

MAX_DIMENSIONS = 16
_NAMES = [name for name in data_types.__all__ if isinstance(getattr(data_types, name), _core.dtype)]


class Info:
    """Capabilities, dtypes and devices of `helix.array_api`."""

    def capabilities(self):
        """What optional parts of the standard there are.

        Example:
            >>> xp.__array_namespace_info__().capabilities()["boolean indexing"]
            True
        """
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": MAX_DIMENSIONS}

    def default_device(self):
        """Where arrays are made when no device is named."""
        return _core.device(_core.get_default_device())

    def devices(self):
        """The devices that are there."""
        return tuple(_core.device(name) for name, _ in _core.devices())

    def default_dtypes(self, *, device=None):
        """The dtypes of arrays made from Python numbers, and of indices."""
        real = _core.get_default_dtype()
        return {
            "real floating": real,
            "complex floating": real.to_complex(),
            "integral": _core.int64,
            "indexing": _core.int64,
        }

    def dtypes(self, *, device=None, kind=None):
        """The standard's dtypes that a device has, by name; `kind` as for `isdtype`.

        Example:
            >>> list(xp.__array_namespace_info__().dtypes(kind="real floating"))
            ['float32', 'float64']
        """
        kinds = ("bool", "numeric") if kind is None else kind if isinstance(kind, tuple) else (kind,)
        for unknown in set(kinds) - set(KINDS):
            fail(ParameterError, 1403, "dtypes", f"there is no kind {unknown!r}; the kinds are {', '.join(KINDS)}.")
        held = self._held(self.default_device() if device is None else device)
        found = {name: getattr(data_types, name) for name in _NAMES if name in held}
        return {name: dtype for name, dtype in found.items() if any(dtype in KINDS[kind] for kind in kinds)}

    def _held(self, device):
        """Names of the dtypes that a device has."""
        for name, facts in _core.devices():
            if device == name:
                return set(facts["dtypes"])
        fail(ParameterError, 1202, "dtypes", f"there is no device {device}.")


def __array_namespace_info__():
    """What the namespace can do.

    Example:
        >>> xp.__array_namespace_info__().default_dtypes()["real floating"]
        helix.float32
    """
    return Info()
