"""Loading one backend: a trial in another process, the import, the checks, and the reason when it fails."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

from helix import _core
from helix.errors import HelixError

from .base import ABI, Availability, Backend, Device
from .discovery import Found, selection
from .guard import Guard

CAPSULE = "__helix_backend_capsule__"


class Refused(Exception):
    """The reason why a backend cannot be used, in words for its user."""


def load(found: Found) -> Found:
    """Imports a plugin and gives its backend to the core; what goes wrong is left in `found`."""
    from . import trial

    guard = Guard()
    try:
        trial.attempt(found)
        with guard:
            _bring_in(found)
        found.state = "ready"
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        found.error, found.trace = error, traceback.format_exc()
        found.refuse("failed", _reason(error))
    found.notes += guard.notes
    return found


def _reason(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it ended the program while it was loaded (SystemExit: {error.code}). Report it to its makers."
    text = str(error).strip()
    if isinstance(error, HelixError):
        text = text.removeprefix(f"{error.code} ")
    elif not isinstance(error, Refused):
        text = f"{type(error).__name__}: {text}"
    return text.rstrip(": .") + "."


def _bring_in(found: Found) -> None:
    if found.library:
        _check_count(found, _core.register_library(os.path.abspath(found.library), _permitted))
        return
    backend = _made(found)
    if hasattr(backend, CAPSULE):
        backend = getattr(backend, CAPSULE)()
    if _is_capsule(backend):
        _check_count(found, _core.register_capsule(backend, lambda name: _named(found, name), _directory(found)))
    elif isinstance(backend, Backend):
        _register_python(found, backend)
    else:
        raise TypeError(f"its factory gave a {type(backend).__name__}, not a helix.backends.Backend or a capsule")


def _permitted(name: str) -> None:
    if not selection().permits(name):
        raise Refused(f"HELIX_BACKENDS={os.environ.get('HELIX_BACKENDS')} leaves its device {name!r} out.")


def _named(found: Found, name: Any) -> None:
    if name != found.name:
        raise Refused(f"the backend calls itself {name!r}, its entry point {found.name!r}. Report it to its makers.")


def _check_count(found: Found, registered: tuple[str, str, int]) -> None:
    found.name, version, count = registered
    found.version = found.version or version
    if count <= 0:
        raise Refused("it found no device.")


def _made(found: Found) -> Any:
    factory = found.factory if found.entry is None else found.entry.load()
    if isinstance(factory, Backend) or _is_capsule(factory) or (hasattr(factory, CAPSULE) and not callable(factory)):
        return factory
    if not callable(factory):
        raise TypeError(f"its entry point is a {type(factory).__name__}, not a factory of a backend")
    return factory()


def _directory(found: Found) -> str:
    """The folder of the module that the entry point names; "" where that is not known."""
    module = sys.modules.get(found.entry.module) if found.entry else None
    return os.path.dirname(os.path.abspath(getattr(module, "__file__", None) or "")) if module else ""


def _is_capsule(value: Any) -> bool:
    return type(value).__name__ == "PyCapsule"


def _register_python(found: Found, backend: Backend) -> None:
    major, minor = backend.abi
    if major != ABI[0]:
        remedy = "an older version of it, or a newer helix" if major > ABI[0] else "a newer version of it"
        raise Refused(f"it was built for ABI {major}.{minor}, this helix offers {ABI[0]}.{ABI[1]}. Install {remedy}.")
    _named(found, getattr(backend, "name", None))
    kind = getattr(backend, "device_class", None)
    if not (isinstance(kind, type) and issubclass(kind, Device)):
        raise TypeError(f"its device_class is {kind!r}, not a subclass of helix.backends.Device")
    available = backend.probe()
    if not isinstance(available, Availability):
        raise TypeError(f"its probe gave a {type(available).__name__}, not an Availability")
    if not available.ok:
        raise Refused(available.reason or "it found no device.")
    if backend.renderer is not None:
        _register_renderer(backend.renderer)
    _core.register_backend(backend, available.devices)


def _register_renderer(renderer: Any) -> None:
    """A plugin adds a language to helix.kernel; it does not change one that others use."""
    from helix.kernel import register, renderers

    if renderers.get(renderer.kind, renderer) is not renderer:
        raise Refused(
            f"its renderer is for {renderer.kind!r}, which helix has a renderer for. Report it to its makers."
        )
    register(renderer)
