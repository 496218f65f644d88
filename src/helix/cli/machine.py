"""devices, doctor: what is installed, and what can be used."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from .output import common, give

EXTRAS = {"image": ("PIL", "images"), "demo": ("sklearn", "the digits")}


@click.command()
@common
def devices(as_json: bool, quiet: bool) -> None:
    """Devices that helix can use here."""
    found = _devices()
    give(found, "\n".join(f"{d['device']:10} {d['state']}" for d in found), as_json)


def _devices() -> list[dict[str, Any]]:
    from .. import devices as available

    return [{"device": name, "state": _state(facts), **facts} for name, facts in available()]


def _state(facts: dict[str, Any]) -> str:
    if "error" in facts:
        return f"failed: {facts['error']}"
    return f"ok  {facts['name']}, {facts['arch']}, {facts['total_memory'] / 2**30:.1f} GiB"


@click.command()
@common
def doctor(as_json: bool, quiet: bool) -> None:
    """The installation: versions, processor, threads, devices, extras, settings; and what is wrong with it."""
    from .. import __version__, _core, get_num_threads

    values: dict[str, Any] = {
        "helix": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": get_num_threads(),
        "ops": len(_core.ops()),
        "devices": _devices(),
        "packages": {name: _version(name) for name in ("numpy", "ml_dtypes", "click", "msgspec", "rich")},
        "extras": {name: find_spec(module) is not None for name, (module, _) in EXTRAS.items()},
        "settings": {k: v for k, v in sorted(os.environ.items()) if k.startswith("HELIX_")},
        "problems": _problems(),
    }
    give(values, _text(values), as_json)
    if values["problems"]:
        raise SystemExit(1)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _problems() -> list[str]:
    import helix

    found = [
        f"package {name} is missing: pip install {name}"
        for name in ("numpy", "ml_dtypes", "msgspec", "rich")
        if find_spec(name) is None
    ]
    folder = Path(helix.__file__).parent
    if (folder / "blueprint.py").exists() or (folder / "transform.py").exists():
        found.append(
            "another project's package named helix lies in the same place (it has blueprint.py or "
            "transform.py): uninstall it, then install helix again"
        )
    return found


def _text(values: dict[str, Any]) -> str:
    extras = "  ".join(
        f"{name} {'ok' if there else 'missing (pip install helix[' + name + '])'}"
        for name, there in values["extras"].items()
    )
    lines = [
        f"helix {values['helix']}  python {values['python']}  {values['system']}  "
        f"{values['threads']} threads, {values['ops']} ops",
        "devices   " + "  ".join(f"{d['device']} {d['state']}" for d in values["devices"]),
        "packages  " + "  ".join(f"{name} {found or 'missing'}" for name, found in values["packages"].items()),
        "extras    " + extras,
    ]
    if values["settings"]:
        lines.append("settings  " + "  ".join(f"{k}={v}" for k, v in values["settings"].items()))
    return "\n".join(lines + [f"problem   {problem}" for problem in values["problems"]])


commands = {"devices": devices, "doctor": doctor}
