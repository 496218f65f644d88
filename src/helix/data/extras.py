"""Optional packages: imported where used, named in the error when absent."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ..errors import MissingExtraError


def needed(module: str, extra: str, caller: str) -> ModuleType:
    """Imports `module`, or says which extra of helix brings it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name != package:
            raise
        raise MissingExtraError(
            f"HX2201 {caller}: needs the package that provides {package!r}, which is not "
            f'installed. pip install "helix[{extra}]"'
        ) from error
