"""Which backends are installed, and which of them stands for a device's name.

Nothing here runs at `import helix`, and no plugin is imported before its device is named. A plugin that fails is a
reason: it is kept, shown by `helix devices`, and raised when its device is asked for. Other devices are not affected.
"""

from __future__ import annotations

import importlib.metadata as metadata
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from helix.errors import BackendUnavailable, ConfigError, ParameterError

GROUP = "helix.backends"
RESERVED = ("cpu", "auto", "meta", "host", "sim")
NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass
class Found:
    """One way to a backend, and what became of it."""

    name: str  # of the device
    package: str = ""  # the distribution; "" for a library or a factory of the program
    version: str = ""
    entry: metadata.EntryPoint | None = None
    factory: Callable[[], Any] | None = None
    library: str = ""  # a shared library of HELIX_BACKEND_PATH
    state: str = "installed"  # then ready or failed; off: HELIX_BACKENDS leaves it out
    reason: str = ""  # why it is not ready
    trace: str = ""  # the traceback behind the reason
    notes: list[str] = field(default_factory=list)  # what it did that it should not do
    error: BaseException | None = None

    @property
    def origin(self) -> str:
        """The package and version, or what else it came from."""
        return f"{self.package} {self.version}".strip() or self.library or "the factory that the program registered"

    def refuse(self, state: str, reason: str) -> Found:
        self.state, self.reason = state, reason
        return self


@dataclass(frozen=True)
class Selection:
    """HELIX_BACKENDS: `cuda=helix-backend-acme,opencl` allows these two, in this order, and chooses a package for one;
    `-opencl` leaves one out; `cpu` alone leaves out all."""

    allowed: tuple[str, ...] | None  # None: all
    denied: frozenset[str]
    packages: dict[str, str]

    def permits(self, name: str) -> bool:
        return name not in self.denied and (self.allowed is None or name in self.allowed)

    def rank(self, name: str) -> int:
        return self.allowed.index(name) if self.allowed and name in self.allowed else len(self.allowed or ())

    @property
    def nothing(self) -> bool:
        return self.allowed == ()


def selection() -> Selection:
    """What HELIX_BACKENDS says now."""
    text = os.environ.get("HELIX_BACKENDS", "")
    items = [item.strip() for item in text.split(",") if item.strip()]
    allowed, denied, packages = [], set(), {}
    for item in items:
        name, _, package = item.partition("=")
        if item.startswith("-"):
            denied.add(item[1:])
        elif NAME.fullmatch(name):
            allowed.append(name)
            packages.update({name: package} if package else {})
        else:
            raise ConfigError(
                f"HX3101 HELIX_BACKENDS: {item!r} is not understood; write names of devices with commas between, "
                "name=package to choose a package, -name to leave one out.",
                code="HX3101",
            )
    listed = tuple(name for name in allowed if name != "cpu")
    return Selection(listed if allowed else None, frozenset(denied), packages)


# ---- what is installed ----


def installed() -> list[Found]:
    """The entry points of the group, read from metadata alone: one for each name and distribution."""
    found: dict[tuple[str, str], Found] = {}
    for distribution in metadata.distributions():
        for one in _entries(distribution):
            found.setdefault((one.name, _plain(one.package)), one)
    return [*found.values()]


def _entries(distribution: metadata.Distribution) -> list[Found]:
    """Those of one distribution; one that says why, for metadata that cannot be read."""
    try:
        text = distribution.read_text("entry_points.txt") or ""
        if GROUP not in text:
            return []
        package, version = distribution.metadata["Name"], distribution.metadata["Version"]
        if not package or not version:
            raise ValueError("it has no name or no version")
        entries = [e for e in distribution.entry_points if e.group == GROUP]
        return [_checked(Found(e.name, package, version, e)) for e in entries]
    except Exception as error:
        folder = os.path.basename(str(getattr(distribution, "_path", "")))
        reason = f"its metadata cannot be read ({type(error).__name__}: {error}). Install the package again."
        return [Found("?", folder).refuse("failed", reason)]


def _checked(found: Found) -> Found:
    if found.name in RESERVED:
        return found.refuse("failed", f"'{found.name}' is a name that helix keeps for itself.")
    if not NAME.fullmatch(found.name):
        return found.refuse("failed", "its name is not made of lower-case letters, digits and _.")
    return found


def _plain(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


# ---- what is known ----

_lock = threading.RLock()
_known: dict[str, Found] = {}  # by device name: what was loaded, tried, or given by the program
_libraries: list[Found] | None = None  # of HELIX_BACKEND_PATH, once they are loaded


def register(name: str, factory: Callable[[], Any]) -> None:
    """Makes `factory` the way to device `name`, for programs whose metadata is stripped and for experiments.

    The factory takes nothing and gives a Backend or a capsule; it is called when the device is first named.
    """
    problem = ""
    with _lock:
        if name in RESERVED:
            problem = f"{name!r} is a name that helix keeps for itself"
        elif not NAME.fullmatch(name):
            problem = f"{name!r} is not made of lower-case letters, digits and _"
        elif name in _known:
            problem = f"device {name!r} is there already, from {_known[name].origin}"
        else:
            _known[name] = Found(name, factory=factory)
    if problem:
        raise ParameterError(f"HX5002 backends.register: {problem}.", op="backends.register", code="HX5002")


def ready(device: str) -> str:
    """Makes sure that the backend of a device is registered with the core; returns the full name of the device."""
    if device == "auto":
        from .choice import best

        return best()
    name = device.partition(":")[0]
    if not NAME.fullmatch(name):
        return device  # the core says what is wrong with it
    with _lock:
        found = loaded(name)
    if found.state != "ready":
        raise unavailable(found) from found.error
    return device


def loaded(name: str) -> Found:
    """The backend of that name, after the attempt to load it."""
    from . import loading

    _load_libraries()
    found = _known.get(name) or choose(name)
    _known[name] = found
    if found.state == "installed":
        loading.load(found)
    return found


def _load_libraries() -> None:
    global _libraries
    if _libraries is None and "HELIX_BACKEND_TRIAL" not in os.environ:
        _libraries = _listed_libraries()
        for one in _libraries:
            load_library(one)


def load_library(one: Found) -> Found:
    """Loads a shared library; only then its device's name is known."""
    from . import loading

    loading.load(one)
    if one.name != "?":
        _known[one.name] = one
    return one


def _listed_libraries() -> list[Found]:
    paths = [p for p in os.environ.get("HELIX_BACKEND_PATH", "").split(os.pathsep) if p]
    return [Found("?", library=path) for path in paths] if not selection().nothing else []


def choose(name: str) -> Found:
    """The way to a device's name that the installed packages and HELIX_BACKENDS decide on."""
    if name == "sim":
        return Found("sim", "helix", factory=_simulated)
    chosen, offers = selection(), [f for f in installed() if f.name == name]
    package = chosen.packages.get(name, "")
    if not chosen.permits(name):
        return Found(name, ", ".join(f.origin for f in offers) or "helix").refuse("off", _left_out())
    if not offers:
        raise _not_installed(name)
    matching = [f for f in offers if not package or _plain(f.package) == _plain(package)]
    if not matching:
        there = ", ".join(f.origin for f in offers)
        return Found(name, package).refuse("failed", f"HELIX_BACKENDS chooses it, but what is installed is {there}.")
    if len(matching) > 1:
        return doubled(name, matching)
    return matching[0]


def _left_out() -> str:
    return f"HELIX_BACKENDS={os.environ.get('HELIX_BACKENDS')} leaves it out."


def doubled(name: str, offers: list[Found]) -> Found:
    packages = " and ".join(sorted(f.origin for f in offers))
    choice = f"HELIX_BACKENDS={name}={offers[0].package}"
    reason = f"the packages {packages} offer the same device. Uninstall all but one, or set {choice}."
    return Found(name, packages).refuse("failed", reason)


def _simulated() -> Any:
    from .sim import backend

    return backend()


def _not_installed(name: str) -> BackendUnavailable:
    libraries = "".join(f" {f.library}: {f.reason}" for f in _libraries or () if f.state == "failed")
    return BackendUnavailable(
        f"HX5001 device {name!r} unavailable: no installed package offers it. If there is one: pip install "
        f"helix-backend-{name}. `helix devices` lists what is there.{libraries}",
        code="HX5001",
    )


def unavailable(found: Found) -> BackendUnavailable:
    return BackendUnavailable(
        f"HX5001 device {found.name!r} unavailable: {found.origin}: {found.reason} Other devices are not affected.",
        code="HX5001",
    )


def known() -> list[Found]:
    """Every backend that is installed or was registered: records with name, package, version, state and reason.

    Loads none of them, so one that was not used yet is just `installed`. `helix devices` tries each.
    """
    with _lock:
        chosen = selection()
        found: dict[tuple[str, str], Found] = {}
        for one in installed():
            package = chosen.packages.get(one.name, one.package)
            if one.state == "installed" and not (chosen.permits(one.name) and _plain(package) == _plain(one.package)):
                one.refuse("off", _left_out())
            found[one.name, one.package] = one
        for one in (*_known.values(), *(_listed_libraries() if _libraries is None else _libraries)):
            found[one.name, one.package or one.library] = one
        return sorted(found.values(), key=lambda f: (chosen.rank(f.name), f.name, f.package))
