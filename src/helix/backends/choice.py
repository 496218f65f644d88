"""`helix.device("auto")`: the device that does a little work of each kind in the least time, and why."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from typing import Any

import helix

from . import discovery, trial
from .cache import folder

SIZE = 768  # rows and columns of the product
LENGTH = 1 << 21  # elements of the elementwise work and of the copies

_best: str | None = None


def measure(device: str) -> float:
    """Seconds for a matrix product, elementwise work and copies there and back; the best of three rounds."""
    rounds = [_round(device) for _ in range(2)]
    if rounds[-1] < 0.5:
        rounds += [_round(device), _round(device)]
    return min(rounds[1:])


def _round(device: str) -> float:
    host = helix.ones(LENGTH, device="cpu")
    square = helix.ones(SIZE, SIZE, device="cpu").to(device)
    begun = time.perf_counter()
    there = host.to(device)
    product = (square @ square)[0, 0].item()
    back = (there * 2 + there).to("cpu")
    seconds = time.perf_counter() - begun
    if product != SIZE or back[-1].item() != 3:
        raise helix.errors.DeviceError(
            f"HX5005 device {device!r} computes wrong numbers: {product} for a product that is {SIZE}.", code="HX5005"
        )
    return seconds


def best() -> str:
    """The fastest usable device. The first call of a process says on standard error what it chose and why."""
    global _best
    if _best is None:
        chosen, reason = _choose()
        discovery.ready(chosen) if chosen != "cpu" else None
        _best = chosen
        print(f"helix: device auto is {chosen}: {reason}", file=sys.stderr)
    return _best


def _choose() -> tuple[str, str]:
    if wanted := os.environ.get("HELIX_DEVICE", "auto").removeprefix("auto"):
        return wanted, "HELIX_DEVICE says so"
    others = [f for f in discovery.known() if f.state in ("installed", "ready") and f.name != "sim"]
    costs = _costs(others)
    if not costs:
        return "cpu", "no other device can be used"
    costs["cpu"] = _remembered("cpu", dict(helix.devices())["cpu"], lambda: measure("cpu"))
    order = sorted(costs, key=lambda name: costs[name])
    return order[0], "measured " + ", ".join(f"{name} {1000 * costs[name]:.1f} ms" for name in order)


def _costs(others: list[discovery.Found]) -> dict[str, float]:
    """Seconds by device, of those that work and are the hardware they are named after."""
    costs = {}
    for found, answer in zip(others, trial.run_all(others, "probe")):
        real = [d for d in answer.get("devices", ()) if not d.get("emulated")]
        if answer.get("state") == "ready" and real:
            cost = _remembered(
                f"{found.name} {found.origin}", real[0], lambda f=found: trial.run(f, "measure").get("cost")
            )
            if cost:
                costs[real[0]["device"]] = cost
    return costs


def _remembered(what: str, facts: dict[str, Any], work: Any) -> Any:
    """The cost on record for this device, or a new measurement, which is then put on record."""
    path = folder() / "devices.json"
    key = f"{what} | {facts['name']} | {facts['arch']} | helix {helix.__version__}, {helix.get_num_threads()} threads"
    try:
        record = json.loads(path.read_text())
        if isinstance(record.get(key), float):
            return record[key]
    except (OSError, ValueError, AttributeError):
        record = {}
    record[key] = work()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(record, indent=1))
        temporary.replace(path)
    return record[key]
