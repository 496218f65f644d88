"""Which backends are installed, and the loading of one when its device is first named.

Nothing here runs at `import helix`. A plugin that fails is a reason: it is kept, shown by `helix devices`, and raised
when its device is asked for. Other devices are not affected.
"""

from __future__ import annotations

import importlib.metadata as metadata
import re
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from helix import _core
from helix.errors import BackendUnavailable, HelixError, ParameterError

from .base import ABI, Availability, Backend
from .guard import Guard

GROUP = "helix.backends"
RESERVED = ("cpu", "auto", "meta", "host", "sim")
NAME = re.compile(r"[a-z][a-z0-9_]*")
CAPSULE_METHOD = "__helix_backend_capsule__"


@dataclass
class Found:
    """One way to a backend, and what became of it."""

    name: str
    package: str  # distribution, library file, or "" for a factory given by the program
    version: str = ""
    entry: metadata.EntryPoint | None = None
    factory: Callable[[], Any] | None = None
    library: str = ""
    state: str = "installed"  # installed | ready | failed | off | doubled
    reason: str = ""
    trace: str = ""
    notes: list[str] = field(default_factory=list)
    error: BaseException | None = None

    @property
    def origin(self) -> str:
        return f"{self.package} {self.version}".strip() or "a factory of this program"


_lock = threading.RLock()
_known: dict[str, Found] = {}  # by device name: chosen by the program, or loaded


def _sim() -> Any:
    from .sim import backend

    return backend()


def _builtin(name: str) -> Found | None:
    return Found("sim", "helix", factory=_sim) if name == "sim" else None


def installed() -> list[Found]:
    """The entry points of the group, without importing any; one for each name and distribution."""
    found: dict[tuple[str, str], Found] = {}
    for distribution in metadata.distributions():
        for one in _entries(distribution):
            found.setdefault((one.name, _plain(one.package)), one)
    return [*found.values()]


def _entries(distribution: metadata.Distribution) -> list[Found]:
    try:
        entries = [e for e in distribution.entry_points if e.group == GROUP]
        if not entries:
            return []
        package, version = str(distribution.metadata["Name"]), str(distribution.version)
        return [Found(e.name, package, version, e) for e in entries]
    except Exception as error:
        where = getattr(distribution, "_path", "a distribution")
        reason = f"its metadata cannot be read: {type(error).__name__}: {error}"
        return [Found("?", str(where), state="failed", reason=reason)] if _mentions_group(distribution) else []


def _mentions_group(distribution: metadata.Distribution) -> bool:
    try:
        return GROUP in (distribution.read_text("entry_points.txt") or "")
    except Exception:
        return True


def _plain(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def register(name: str, factory: Callable[[], Any]) -> None:
    """Makes `factory` the way to device `name`, for programs whose metadata is stripped and for experiments.

    The factory takes nothing and gives a Backend or a capsule; it is called when the device is first named.
    """
    if name in RESERVED or not NAME.fullmatch(name):
        raise ParameterError(
            f"HX5002 backends.register: {name!r} cannot name a backend: "
            + ("helix keeps it for itself." if name in RESERVED else "a name is lower-case letters, digits and _."),
            op="backends.register",
            code="HX5002",
        )
    with _lock:
        if name in _known:
            raise ParameterError(
                f"HX5002 backends.register: device {name!r} is there already, from {_known[name].origin}.",
                op="backends.register",
                code="HX5002",
            )
        _known[name] = Found(name, "", factory=factory)


def ready(device: str) -> str:
    """Makes sure that the backend of a device is registered with the core; returns the device's full name."""
    name = device.partition(":")[0]
    if not NAME.fullmatch(name):
        return device  # the core says what is wrong with it
    with _lock:
        found = _known.get(name) or _choose(name)
        _known[name] = found
        if found.state == "installed":
            _load(found)
    if found.state != "ready":
        raise unavailable(found) from found.error
    return device


def _choose(name: str) -> Found:
    found = [f for f in installed() if f.name == name] or [f for f in [_builtin(name)] if f]
    if not found:
        raise BackendUnavailable(
            f"HX5001 device {name!r} unavailable: no installed package offers it. If one exists: pip install "
            f"helix-backend-{name}. `helix devices` lists what is there.",
            code="HX5001",
        )
    return found[0]


def unavailable(found: Found) -> BackendUnavailable:
    return BackendUnavailable(
        f"HX5001 device {found.name!r} unavailable: {found.origin}: {found.reason} Other devices are not affected.",
        code="HX5001",
    )


def _load(found: Found) -> None:
    """Imports a plugin and gives its backend to the core; what goes wrong is left in `found`."""
    guard = Guard()
    try:
        with guard:
            _register(found, _made(found))
        found.state = "ready"
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        found.state, found.error = "failed", error
        found.reason = _reason(error)
        found.trace = traceback.format_exc()
    found.notes += guard.notes


def _reason(error: BaseException) -> str:
    if isinstance(error, _Absent):
        return str(error)
    if isinstance(error, SystemExit):
        return f"it ended the program while it was imported (SystemExit: {error.code})."
    text = str(error).removeprefix("HX1801 ").strip()
    if not isinstance(error, HelixError):
        text = f"{type(error).__name__}: {text}"
    return text.rstrip(": .") + "."


class _Absent(Exception):
    """The plugin is in order, but its hardware or driver is not there."""


def _made(found: Found) -> Any:
    factory = found.factory if found.entry is None else found.entry.load()
    if isinstance(factory, Backend) or _is_capsule(factory) or hasattr(factory, CAPSULE_METHOD):
        return factory
    if not callable(factory):
        raise TypeError(f"the entry point gives a {type(factory).__name__}, not a factory of a backend")
    return factory()


def _is_capsule(value: Any) -> bool:
    return type(value).__name__ == "PyCapsule"


def _register(found: Found, backend: Any) -> None:
    if hasattr(backend, CAPSULE_METHOD):
        backend = getattr(backend, CAPSULE_METHOD)()
    if _is_capsule(backend):
        _core.register_capsule(backend)
    elif isinstance(backend, Backend):
        _register_python(found, backend)
    else:
        raise TypeError(f"the factory gave a {type(backend).__name__}, not a helix.backends.Backend or a capsule")


def _register_python(found: Found, backend: Backend) -> None:
    major, minor = backend.abi
    if major != ABI[0]:
        raise _Absent(f"it was built for ABI {major}.{minor}, this helix offers {ABI[0]}.{ABI[1]}.")
    if backend.name != found.name:
        raise _Absent(f"the backend calls itself {backend.name!r}.")
    available = backend.probe()
    if not isinstance(available, Availability):
        raise TypeError(f"probe gave a {type(available).__name__}, not an Availability")
    if not available.ok:
        raise _Absent(available.reason or "it found no device.")
    _core.register_backend(backend, available.devices)


def known() -> list[Found]:
    """What is known of every backend: a list of records with name, package, version, state and reason.

    Loads nothing; `helix devices` also tries each plugin in a process of its own.
    """
    return [*{**{f.name: f for f in installed()}, **_known}.values()]
