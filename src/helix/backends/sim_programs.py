"""Programs of the simulated device: kernels in C, compiled by the system's compiler and run group by group.

The form is that of helix.kernel's C renderer: `void name(void *const *buffers, const uint64_t *scalars, const uint32_t
*grid, uint64_t begin, uint64_t end)` runs the groups [begin, end), counted along x first.
"""

from __future__ import annotations

import ctypes
import functools
import os
import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy

from helix.errors import CompileError

from .base import KernelSource
from .cache import folder

# A buffer that the kernel only reads is declared const where it is taken out of `buffers`.
READ_ONLY = re.compile(rb"^\s*const [^;]*= *buffers\[(\d+)\];", re.MULTILINE)
PIECES = 4  # a launch is run in as many parts, in any order


@functools.cache
def compiler() -> str:
    """The C compiler, or "" without one."""
    return shutil.which(os.environ.get("CC", "cc").split()[-1]) or shutil.which("cc") or ""


class Program:
    """One compiled kernel."""

    def __init__(self, source: KernelSource):
        self.name = source.entry
        self.dtypes = source.scalar_dtypes
        read_only = {int(n) for n in READ_ONLY.findall(source.text)}
        self.writes = [n not in read_only for n in range(source.n_buffers)]
        self._run = getattr(ctypes.CDLL(str(_compiled(source))), source.entry)
        self._run.restype = None

    def run(self, blocks: Sequence, scalars: Sequence, grid: tuple[int, int, int], order: random.Random) -> None:
        addresses = (ctypes.c_void_p * max(1, len(blocks)))(*[b.data.ctypes.data for b in blocks])
        numbers = (ctypes.c_uint64 * max(1, len(scalars)))(*map(bits, scalars, self.dtypes))
        sizes = (ctypes.c_uint32 * 3)(*grid)
        for begin, end in _pieces(grid[0] * grid[1] * grid[2], order):
            self._run(addresses, numbers, sizes, ctypes.c_uint64(begin), ctypes.c_uint64(end))


def _pieces(groups: int, order: random.Random) -> list[tuple[int, int]]:
    cuts = sorted({0, groups, *(order.randrange(groups) for _ in range(PIECES - 1))})
    pieces = list(zip(cuts, cuts[1:]))
    order.shuffle(pieces)
    return pieces


def bits(value: float, dtype: str) -> int:
    """A scalar's bits at the low end of 8 bytes."""
    if dtype == "bfloat16":
        return int(numpy.float32(value).view(numpy.uint32)) >> 16
    raw = numpy.array(value, dtype).tobytes()
    return int.from_bytes(raw, "little")


def _compiled(source: KernelSource) -> Path:
    """The shared library of a source, from the cache or compiled now."""
    flags = ["-shared", "-fPIC", "-std=gnu11", "-O1", *(["-ffp-contract=off"] if source.exact else [])]
    key = sha256(b"\0".join([source.text, source.options.encode(), repr((compiler(), flags)).encode()])).hexdigest()
    path = folder() / "sim" / f"{key[:32]}.so"
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        path = Path(tempfile.mkdtemp(prefix="helix-sim-")) / path.name
    made = path.with_suffix(f".{os.getpid()}")
    command = [compiler(), *flags, "-x", "c", "-", "-o", str(made), "-lm", *source.options.split()]
    done = subprocess.run(command, input=source.text, capture_output=True)
    if done.returncode:
        raise CompileError(
            f"HX5006 {source.entry}: {done.stderr.decode('utf-8', 'replace').strip()[:600]}", code="HX5006"
        )
    made.replace(path)
    return path
