"""Running workloads: one worker process a library and thread count, sampled in turn by the parent."""

from __future__ import annotations

import gc
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .libraries import LIBRARIES
from .workloads import ALL, Workload


def worker(name: str, threads: int) -> None:
    """Answers `prepare ID` and `sample SECONDS` lines on standard input with JSON lines."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    library = LIBRARIES[name](threads)
    by_id = {w.id: w for w in ALL}
    replies.write("{}\n")
    call, inner = None, 1
    for line in sys.stdin:
        verb, argument = line.split()
        reply: dict[str, Any] = {}
        try:
            if verb == "prepare":
                call = None
                gc.collect()
                call, inner = library.build(by_id[argument]), by_id[argument].inner
                if call:
                    call()
                    reply["once"] = _seconds(call, 1)
            elif call:
                count = max(1, int(float(argument) / max(_seconds(call, 1), 1e-7)))
                reply["time"] = _seconds(call, count) / count / inner
        except Exception as error:
            reply["error"] = f"{type(error).__name__}: {error}"[:200]
            call = None
        replies.write(json.dumps(reply) + "\n")


# On a machine that others use too, the processor's time says more of one thread than the clock on the wall.
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def _seconds(call: Any, count: int) -> float:
    now = CLOCKS[os.environ.get("PEERS_CLOCK", "wall")]
    start = now()
    for _ in range(count):
        call()
    return now() - start


class Worker:
    def __init__(self, name: str, threads: int) -> None:
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            "OPENBLAS_NUM_THREADS": str(threads),
            "HELIX_NUM_THREADS": str(threads),
            **LIBRARIES[name].environment,
        }
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", "asv_benchmarks.peers", "worker", name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=environment,
        )
        self.alive = bool(self._answer())

    def started(self) -> bool:
        if not self.alive:
            print(f"{self.name} does not start here: left out", flush=True)
        return self.alive

    def _answer(self) -> bool:
        assert self.process.stdout
        self.reply = self.process.stdout.readline()
        return bool(self.reply)

    def ask(self, verb: str, argument: object) -> dict[str, Any]:
        if not self.alive:
            return {"error": "the process has ended"}
        assert self.process.stdin
        self.process.stdin.write(f"{verb} {argument}\n")
        self.alive = self._answer()
        return json.loads(self.reply) if self.alive else {"error": "the process has ended"}

    def settle(self) -> None:
        """Waits until the worker's own threads have stopped spinning, so that they take no core from the next one's."""
        deadline = time.monotonic() + 0.4
        before = self._cpu_time()
        while time.monotonic() < deadline:
            time.sleep(0.006)
            now = self._cpu_time()
            if now - before < 400_000:
                return
            before = now

    def _cpu_time(self) -> int:
        total = 0
        for task in Path(f"/proc/{self.process.pid}/task").glob("*/schedstat"):
            try:
                total += int(task.read_text().split()[0])
            except OSError:
                continue
        return total

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()


def measure(workload: Workload, workers: list[Worker], rounds: int, sample: float, threads: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": workload.id,
        "threads": threads,
        "flops": workload.flops,
        "bytes": workload.bytes,
        "times": {},
        "errors": {},
    }
    ready = []
    for w in workers:
        reply = w.ask("prepare", workload.id)
        w.settle()
        if "once" in reply:
            ready.append(w)
            row["times"][w.name] = []
        elif "error" in reply:
            row["errors"][w.name] = reply["error"]
    for _ in range(rounds):
        for w in ready:
            reply = w.ask("sample", sample)
            w.settle()
            if "time" in reply:
                row["times"][w.name].append(reply["time"])
    return row


def run(libraries: list[str], threads: list[int], only: str, rounds: int, sample: float, out: Path) -> None:
    rows: list[dict[str, Any]] = []
    for count in threads:
        workers = [w for w in (Worker(name, count) for name in libraries) if w.started()]
        for workload in ALL:
            if re.search(only, workload.id):
                row = measure(workload, workers, rounds, sample, count)
                rows.append(row)
                print(describe(row), flush=True)
                out.write_text(json.dumps({"format_version": 1, "rows": rows}))
        for w in workers:
            w.close()


def text(seconds: float) -> str:
    for unit, scale in (("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3)):
        if seconds < 1000 * scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds:.3g} s"


def ratio(row: dict[str, Any], peer: str) -> float | None:
    """How many times as fast helix is: the median of quotients of samples taken in the same round."""
    ours, theirs = row["times"].get("helix"), row["times"].get(peer)
    if not ours or not theirs:
        return None
    return statistics.median(b / a for a, b in zip(ours, theirs, strict=False))


def describe(row: dict[str, Any]) -> str:
    parts = [f"{row['id']:34s} {row['threads']}t"]
    for name, times in row["times"].items():
        if times:
            factor = ratio(row, name)
            parts.append(
                f"{name} {text(statistics.median(times))}" + (f" ({factor:.2f}x)" if factor and name != "helix" else "")
            )
    parts += [f"{name}: {error}" for name, error in row["errors"].items()]
    return "  ".join(parts)
