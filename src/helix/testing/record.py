"""`record_ops`: which ops a model calls, with their shapes, strides, dtypes and attributes, for `--ops-from`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Any

import helix
from helix.backends import Availability, Backend, Device, DeviceInfo, register
from helix.backends.base import ALL_DTYPES, Native

NAME = "recorder"
_calls: dict[str, dict[str, Any]] = {}
_registered = False


class Recorder(Device):
    """A device that is asked for every op, takes note, and lets the host run it."""

    def alloc(self, nbytes: int, pinned: bool) -> bytearray:
        return bytearray(nbytes)

    def free(self, block: bytearray) -> None:
        block.clear()

    def copy_in(self, block: bytearray, offset: int, source: memoryview, stream: Any) -> None:
        block[offset : offset + len(source)] = source

    def copy_out(self, target: memoryview, block: bytearray, offset: int, stream: Any) -> None:
        target[:] = memoryview(block)[offset : offset + len(target)]

    def sync(self, stream: Any = None) -> None:
        """Nothing is ever queued."""

    def note(self, call: Any) -> bool:
        record = {
            "op": call.op,
            "inputs": [_view(v) for v in call.inputs],
            "attributes": {name: value for name, value in call.attributes.items() if name != "generator"},
            "dtype": call.outputs[0].dtype if call.outputs else None,
        }
        _calls.setdefault(json.dumps(record, sort_keys=True, default=repr), record)
        return False


class _RecorderBackend(Backend):
    name = NAME
    device_class = Recorder

    def probe(self) -> Availability:
        for record in helix._core.ops():
            op = record["name"]
            Recorder.natives[op] = Native(op, ALL_DTYPES, False, True, "note", "note")
        return Availability([DeviceInfo(name="takes note of calls", emulated=True)])


def _view(view: Any) -> dict[str, Any] | None:
    if view is None:
        return None
    if view.value is not None:
        return {"value": view.value, "dtype": view.dtype}
    return {"shape": list(view.shape), "strides": list(view.strides), "dtype": view.dtype}


@contextmanager
def record_ops(path: str | PathLike[str] = "trace.json") -> Iterator[str]:
    """Gives the name of a device that takes note of every call; at the end they are in the file, each kind once.

    Move the model and its data to that device, and run a step. Ops are recorded that gradients and decompositions
    make, too. The host computes them, so it is slow.

    >>> import json, os, tempfile
    >>> place = os.path.join(tempfile.mkdtemp(), "trace.json")
    >>> with helix.testing.record_ops(place) as device:
    ...     y = helix.softmax(helix.zeros(2, 3).to(device), -1)
    >>> json.load(open(place))["calls"][0]["op"]
    'softmax'
    """
    global _registered
    if not _registered:
        register(NAME, _RecorderBackend)
        _registered = True
    _calls.clear()
    before = helix.set_fallback("host")
    try:
        helix.device(NAME)
        yield NAME
    finally:
        helix.set_fallback(before)
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"version": 1, "calls": list(_calls.values())}, file, indent=1, default=repr)
