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
    """Devices that helix can use here, and why others cannot be used. Each plugin is tried in a process of its own."""
    found = _devices()
    give(found, "\n".join(_line(d) for d in found), as_json)


def _devices() -> list[dict[str, Any]]:
    """One record for each device, and one for each backend that cannot be used."""
    from .. import devices as available
    from ..backends import list as backends
    from ..backends import trial

    cpu = [{"device": name, "state": "ready", **facts} for name, facts in available() if name == "cpu"]
    others = [one for one in backends() if one.name != "sim"]
    usable = [one for one in others if one.state in ("installed", "ready")]
    answers = dict(zip(map(id, usable), trial.run_all(usable, "probe")))
    return cpu + [record for one in others for record in _records(one, answers.get(id(one), {}))]


def _records(one: Any, answer: dict[str, Any]) -> list[dict[str, Any]]:
    common = {"package": one.package or one.library, "version": one.version}
    common |= {key: answer[key] for key in ("abi", "native_ops", "notes", "seconds") if key in answer}
    if answer.get("state", one.state) != "ready":
        trace = answer.get("trace") or one.trace
        name = answer.get("name", one.name) if one.name == "?" else one.name
        state, reason = answer.get("state", one.state), answer.get("reason") or one.reason
        return [{"device": name, "state": state, "reason": reason, "trace": trace, **common}]
    return [{"state": "ready", **device, **common} for device in answer["devices"]]


def _line(device: dict[str, Any]) -> str:
    origin = f"{device.get('package', '')} {device.get('version', '')}".strip()
    if device["state"] != "ready":
        return f"{device['device']:10} {device['state']}: {origin}: {device['reason']}"
    facts = [device["name"], device["arch"]]
    facts += [f"{device['total_memory'] / 2**30:.1f} GiB"] if device["total_memory"] else []
    facts += ["emulated"] if device.get("emulated") else []
    facts += [f"{device['native_ops']} native ops"] if device.get("native_ops") else []
    return f"{device['device']:10} ok  {', '.join(filter(None, [*facts, origin]))}"


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
        *_device_lines(values["devices"]),
        "packages  " + "  ".join(f"{name} {found or 'missing'}" for name, found in values["packages"].items()),
        "extras    " + extras,
    ]
    if values["settings"]:
        lines.append("settings  " + "  ".join(f"{k}={v}" for k, v in values["settings"].items()))
    return "\n".join(lines + [f"problem   {problem}" for problem in values["problems"]])


def _device_lines(found: list[dict[str, Any]]) -> list[str]:
    """A line for each device, below it what its plugin did that it should not, and the traceback of what failed."""
    lines = []
    for device in found:
        lines.append(_line(device))
        lines += [f"    {note}" for note in device.get("notes", ())]
        lines += [f"    {line}" for line in device.get("trace", "").splitlines()]
    return [("devices   " if i == 0 else "          ") + line for i, line in enumerate(lines)]


commands = {"devices": devices, "doctor": doctor}
