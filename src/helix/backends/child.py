"""The process of a trial: loads one plugin, does a task with it, and writes the answer as JSON to a file descriptor."""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main(answer: int, task: str, name: str, library: str) -> None:
    from . import discovery

    try:
        found = discovery.load_library(discovery.Found("?", library=library)) if library else discovery.loaded(name)
        result: dict[str, Any] = {"state": found.state, "reason": found.reason, "trace": found.trace[-6000:]}
        result |= {"name": found.name, "package": found.package, "version": found.version, "notes": found.notes}
        if found.state == "ready":
            result |= _facts(found.name)
            result |= TASKS[task](found.name)
    except Exception as error:
        result = {"state": "failed", "reason": f"{error}", "notes": []}
    os.write(answer, json.dumps(result).encode())
    os._exit(0)  # threads and exit handlers of the plugin are nobody's concern


def _facts(name: str) -> dict[str, Any]:
    import helix
    from helix import _core

    abi, ops = next((abi, ops) for n, _, abi, _, ops in _core.registered_backends() if n == name)
    devices = [{"device": device, **facts} for device, facts in helix.devices() if device.partition(":")[0] == name]
    return {"abi": "{}.{}".format(*abi), "native_ops": ops, "devices": devices}


def _open(name: str) -> dict[str, Any]:
    import helix

    helix.device(name)
    return {}


def _measure(name: str) -> dict[str, Any]:
    from .choice import measure

    return {"cost": measure(name)}


TASKS = {"probe": lambda name: {}, "open": _open, "measure": _measure}

if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
