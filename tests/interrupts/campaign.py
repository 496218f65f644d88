"""Interrupts calls at random moments with real signals, and measures how long each takes to end.

The signals come from a process of its own, so that nothing in this one delays them.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import helix
from helix import _core

from .works import Work, threads

KILLER = """
import os, signal, sys, time
for line in sys.stdin:
    pid, delay = line.split()
    time.sleep(float(delay))
    print(time.monotonic(), flush=True)
    os.kill(int(pid), signal.SIGINT)
"""


class Killer:
    """Sends SIGINT to this process after a while."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", KILLER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def after(self, seconds: float) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{os.getpid()} {seconds}\n")
        self.process.stdin.flush()

    def sent(self) -> float:
        assert self.process.stdout
        return float(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate()


@dataclass
class Report:
    seconds: list[tuple[float, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def late(self, limit: float) -> list[tuple[float, str]]:
        return [entry for entry in self.seconds if entry[0] > limit]


def interrupted(work: Work, killer: Killer, delay: float) -> float:
    """Repeats the work until the signal ends it; the seconds from signal to exception."""
    killer.after(delay)
    try:
        while True:
            work[0]()
    except KeyboardInterrupt:
        return time.monotonic() - killer.sent()


def alive() -> int:
    gc.collect()
    return int(_core.memory_stats()["live_nodes"])


def still_right() -> bool:
    x = helix.arange(300_000, dtype=helix.float32)
    return (
        float((x * 2 - x - x).abs().sum()) == 0
        and float((helix.ones(70, 300) @ helix.ones(300, 80)).sum()) == 70 * 300 * 80
    )


def run(
    works: Mapping[str, Callable[[], Work]], times: int, seed: int = 0, longest: float = 0.4, each: int = 4
) -> Report:
    """`each` interrupts of a work before the next one is set up, `times` in all; the threads change too."""
    draw, report, killer = random.Random(seed), Report(), Killer()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    names = list(works)
    try:
        while len(report.seconds) < times:
            name = names[len(report.seconds) // each % len(names)]
            with threads(draw.choice((1, 2, 4))):
                try_work(name, works[name], min(each, times - len(report.seconds)), draw, longest, killer, report)
    finally:
        signal.signal(signal.SIGINT, before)
        killer.close()
    return report


def try_work(
    name: str, make: Callable[[], Work], times: int, draw: random.Random, longest: float, killer: Killer, report: Report
) -> None:
    work, before = make(), alive()
    for _ in range(times):
        report.seconds.append((interrupted(work, killer, draw.uniform(0.01, longest)), name))
        if alive() > before:
            report.faults.append(f"{name}: nodes stay alive")
        if not work[1]():
            report.faults.append(f"{name}: half done")
        if not still_right():
            report.faults.append(f"{name}: what came next was wrong")
