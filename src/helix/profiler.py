"""helix.profiler: where time, operations and memory go, by kernel, by module and by line; and a trace for a browser to show.

with helix.profiler.profile() as found:
    loss = loss_of(model(x), y)
    loss.backward()
print(found.table("module"))
found.export_chrome_trace("trace.json")    # chrome://tracing, ui.perfetto.dev
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable
from typing import Any, NamedTuple

import helix
from helix import _core, memory_stats
from helix.energy import Energy
from helix.flops import flops_of
from helix.io import atomic_write
from helix.nn import Module

__all__ = ["KernelEvent", "ModuleEvent", "Profile", "profile"]

PACKAGE = os.path.dirname(helix.__file__) + os.sep
PLACES = tuple(
    PACKAGE + folder + os.sep for folder in ("models", "train")
)  # lines of helix that a user could have written


class KernelEvent(NamedTuple):
    """One run of a kernel. Times are nanoseconds; `module` and `line` are those of the forward pass, for gradients too."""

    op: str
    device: str
    start: int
    nanoseconds: int
    bytes_read: int
    bytes_written: int
    thread: int
    backward: bool
    module: str
    line: str
    flops: int
    shapes: tuple


class ModuleEvent(NamedTuple):
    """One call of a module. `kept` is by how many bytes the memory in use has grown at its end: the result, and what
    backward will need."""

    module: str
    kind: str
    start: int
    nanoseconds: int
    kept: int
    depth: int
    thread: int


class Row(NamedTuple):
    """A line of a table."""

    name: str
    calls: int
    nanoseconds: int
    flops: int
    bytes_moved: int
    kept: int
    bytes_written: int = 0


class Profile:
    """What was found: `kernels`, `modules`, `peak_bytes`, `joules` (None where no counter can be read)."""

    def __init__(self) -> None:
        self.kernels: list[KernelEvent] = []
        self.modules: list[ModuleEvent] = []
        self.lost = 0
        self.peak_bytes = 0
        self.joules: float | None = None

    @property
    def flops(self) -> int:
        return sum(event.flops for event in self.kernels)

    def by(self, what: str) -> list[Row]:
        """Sums by "op", "module" or "line", the longest time first. Modules hold only their own kernels, not their parts'."""
        if what not in ("op", "module", "line"):
            raise ValueError(f"profile: by 'op', 'module' or 'line', got {what!r}")
        sums: dict[str, list[int]] = {}
        for event in self.kernels:
            key = event.op + (" (backward)" if event.backward else "") if what == "op" else getattr(event, what)
            row = sums.setdefault(key, [0, 0, 0, 0, 0])
            moved = event.bytes_read + event.bytes_written
            for k, value in enumerate((1, event.nanoseconds, event.flops, moved, event.bytes_written)):
                row[k] += value
        kept: dict[str, int] = {}
        if what == "module":
            for call in self.modules:
                kept[call.module] = kept.get(call.module, 0) + call.kept
        rows = []
        for name in {**sums, **kept}:
            calls, took, flops, moved, written = sums.get(name, [0, 0, 0, 0, 0])
            rows.append(Row(name, calls, took, flops, moved, kept.get(name, 0), written))
        return sorted(rows, key=lambda row: -row.nanoseconds)

    def table(self, by: str = "op", rows: int = 20) -> str:
        """The sums as text."""
        found, total = self.by(by), sum(event.nanoseconds for event in self.kernels) or 1
        head = (by, "calls", "ms", "share", "MFLOP", "MB moved", "MB kept" if by == "module" else "MB written")
        lines = [
            (
                _short(row.name) or "(outside)",
                str(row.calls),
                f"{row.nanoseconds / 1e6:.3f}",
                f"{row.nanoseconds / total:.1%}",
                f"{row.flops / 1e6:.2f}",
                f"{row.bytes_moved / 1e6:.2f}",
                f"{(row.kept if by == 'module' else row.bytes_written) / 1e6:.2f}",
            )
            for row in found[:rows]
        ]
        return "\n".join([*_aligned([head, *lines]), self._foot()])

    def _foot(self) -> str:
        from helix.energy import NOT_HERE

        energy = NOT_HERE if self.joules is None else f"{self.joules:.1f} J"
        time = sum(event.nanoseconds for event in self.kernels) / 1e6
        lost = f"; {self.lost} entries found no memory" if self.lost else ""
        return (
            f"{len(self.kernels)} kernels, {time:.1f} ms, {self.flops / 1e9:.3f} GFLOP, peak {self.peak_bytes / 1e6:.1f} MB, "
            f"energy {energy}{lost}"
        )

    def export_chrome_trace(self, path) -> None:
        """Writes the trace event format: one line a thread, modules above their kernels."""
        import json

        first = min((*(e.start for e in self.kernels), *(call.start for call in self.modules)), default=0)
        events: list[dict[str, Any]] = [
            _trace_event(
                f"{c.module} ({c.kind})", "module", c.start - first, c.nanoseconds, c.thread, {"kept bytes": c.kept}
            )
            for c in self.modules
        ]
        for e in self.kernels:
            told = {"module": e.module, "line": e.line, "device": e.device, "flops": e.flops, "shapes": str(e.shapes)}
            told |= {"bytes": e.bytes_read + e.bytes_written, "backward": e.backward}
            events.append(
                _trace_event(
                    e.op, "backward" if e.backward else "kernel", e.start - first, e.nanoseconds, e.thread, told
                )
            )
        with atomic_write(path, "w") as file:
            json.dump({"traceEvents": events, "displayTimeUnit": "ms"}, file)

    def __str__(self) -> str:
        return self.table()


def _traced(number: int) -> tuple[str, str]:
    """Module and line of a kernel of a plan."""
    from helix.graph.lower import PLACES

    module, file, line = PLACES[number]
    return module, f"{file}:{line}" if file else ""


def _short(name: str) -> str:
    """A line without the folder that helix lies in, or that we are in."""
    for folder in (os.path.dirname(os.path.dirname(PACKAGE)) + os.sep, os.getcwd() + os.sep):
        name = name.removeprefix(folder)
    return name


def _trace_event(
    name: str, kind: str, start: int, nanoseconds: int, thread: int, told: dict[str, Any]
) -> dict[str, Any]:
    times = {"ts": start / 1000.0, "dur": nanoseconds / 1000.0}
    return {"name": name, "cat": kind, "ph": "X", "pid": os.getpid(), "tid": thread, **times, "args": told}


def _aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    rows = list(rows)
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join(t.ljust(w) if k == 0 else t.rjust(w) for k, (t, w) in enumerate(zip(row, widths))).rstrip()
        for row in rows
    ]


class profile:
    """A context manager that watches all kernels of the process, and gives a Profile.

    Kernels of devices that work by themselves are entered with the time of their launch, not of their run; on the CPU, and
    where each launch is waited for, they are the same. One profile at a time.
    """

    _active: profile | None = None

    def __init__(self) -> None:
        self.result = Profile()

    def __enter__(self) -> Profile:
        if profile._active is not None:
            raise RuntimeError("helix.profiler.profile: another profile is running")
        profile._active = self
        self._places: dict[tuple[str, str], int] = {("", ""): 0}
        self._local = threading.local()
        self._call = Module.__call__
        _core.profile_take()
        helix.reset_peak_memory()
        self._energy = Energy()
        watched = self

        def call(module, *args, **kwargs):
            return watched._module(module, args, kwargs)

        Module.__call__ = call  # type: ignore[method-assign,assignment]
        _core.profile_mode(self._place)
        return self.result

    def __exit__(self, *exception) -> None:
        _core.profile_mode(None)
        Module.__call__ = self._call  # type: ignore[method-assign]
        profile._active = None
        places = list(self._places)
        taken, self.result.lost = _core.profile_take()
        self.result.joules = self._energy.joules()
        self.result.peak_bytes = memory_stats()["peak_bytes"]
        for op, device, start, took, read, written, place, thread, backward, inputs, output in taken:
            module, line = places[place] if place >= 0 else _traced(-1 - place)
            shapes = (*(shape[0] for shape in inputs if shape is not None), "->", output[0] if output else None)
            flops = flops_of(op, inputs, output)
            found = KernelEvent(op, device, start, took, read, written, thread, backward, module, line, flops, shapes)
            self.result.kernels.append(found)

    # ---- where ---------------------------------------------------------------------------------------------

    def _stack(self) -> list[str]:
        if not hasattr(self._local, "stack"):
            self._local.stack, self._local.names = [], {}
        return self._local.stack

    def _place(self) -> int:
        """The number of (module path, line of the user's) that calls now."""
        frame = sys._getframe(0)
        while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
            if frame.f_code.co_filename.startswith(PLACES):
                break
            frame = frame.f_back  # type: ignore[assignment]
        line = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else ""
        stack = self._stack()
        return self._places.setdefault((stack[-1] if stack else "", line), len(self._places))

    def _module(self, module: Module, args: tuple, kwargs: dict):
        stack = self._stack()
        if not stack:
            self._local.names = {id(part): path for path, part in module.named_modules()}
        path = self._local.names.get(id(module)) or type(module).__name__
        stack.append(path)
        start, before = _core.profile_now(), memory_stats()["live_bytes"]
        try:
            return self._call(module, *args, **kwargs)
        finally:
            stack.pop()
            end, kept = _core.profile_now(), memory_stats()["live_bytes"] - before
            found = ModuleEvent(
                path, type(module).__name__, start, end - start, kept, len(stack), threading.get_ident() % 2**31
            )
            self.result.modules.append(found)
