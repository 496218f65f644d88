"""Forks a process whose threads compute all the while; children and grandchildren compute in parallel and must be right."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import helix
import helix.nn.functional as F

PATIENCE = 10.0
WRONG, RAISED = 3, 4


def normal(*shape: int) -> helix.Tensor:
    return helix.randn(*shape, generator=helix.Generator(11))


class Sums:
    """Work for the pool and for all that it shares with other threads: the memory pool, plans, the generator."""

    def __init__(self) -> None:
        self.x, self.wide, self.image = normal(256, 256), normal(300_000), normal(4, 16, 32, 32)
        self.kernel = normal(16, 16, 3, 3)

    def __call__(self) -> list[float]:
        weight = self.x.clone().requires_grad_()
        (self.x @ weight).tanh().sum().backward()
        assert weight.grad is not None
        results = [
            self.x @ self.x, self.wide.exp().sum(), self.wide.sort()[0], F.conv2d(self.image, self.kernel), weight.grad,
            helix.fft.fft(self.wide[:8192]).abs(), helix.randn(100_000, generator=helix.Generator(3)),
        ]  # fmt: skip
        return [float(r.flatten()[:: max(1, r.numel() // 64)].double().sum()) for r in results]


def in_child(work: Callable[[], list[float]], expected: list[float], depth: int) -> int:
    """What a child does, and its own children before it ends; the exit status."""
    try:
        helix.set_num_threads(3)
        if work() != expected:
            return WRONG
        return finish(fork(work, expected, depth - 1)) if depth else 0
    except BaseException:
        return RAISED


def fork(work: Callable[[], list[float]], expected: list[float], depth: int) -> int:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(3 * int(PATIENCE))
        os._exit(in_child(work, expected, depth))
    return child


def finish(child: int) -> int:
    """The exit status; a child that hangs is killed, and its status is 256."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 256


class Busy:
    """Threads that keep the pool, the allocator and the plans of transforms in use."""

    def __init__(self, n: int = 3) -> None:
        self.stop = False
        self.threads = [threading.Thread(target=self.work, args=(i,)) for i in range(n)]

    def work(self, i: int) -> None:
        sums, length = Sums(), 4000 + i
        while not self.stop:
            sums()
            helix.fft.fft(sums.wide[:length])
            length += 7
            if length > 60_000:
                length = 4000 + i

    def __enter__(self) -> Busy:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop = True
        for thread in self.threads:
            thread.join()


def run(times: int, work: Callable[[], list[float]] | None = None) -> dict[int, int]:
    """Exit statuses of that many forks and how often each came; every fifth child has a child of its own."""
    work = work or Sums()
    found: dict[int, int] = {}
    expected = work()
    with Busy():
        for i in range(times):
            status = finish(fork(work, expected, int(i % 5 == 0)))
            found[status] = found.get(status, 0) + 1
    return found
