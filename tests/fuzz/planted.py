"""What a campaign asks of a process of its own: the instruction set it runs on, and the fault that must be reported."""

from __future__ import annotations

import sys

import numpy as np

import helix

SIZE = 1 << 14


def overrun() -> None:
    """A tensor over foreign memory that says to be longer than it is; the kernel reads over the end."""
    short = np.ones(SIZE, np.float32)
    longer = np.lib.stride_tricks.as_strided(short, (SIZE + 16,), (4,))
    print((helix.from_numpy(longer) + 1).sum().item())


if __name__ == "__main__":
    if sys.argv[1] == "isa":
        print(helix._core.cpu_isa())
    else:
        overrun()
