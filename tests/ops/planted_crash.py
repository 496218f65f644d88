"""A corner run with two planted faults: an exception that is not helix's, then a crash."""

import os
import signal
import sys
from typing import Any

from . import corners

calls = 0


def faulty(op: str) -> Any:
    def call(*args: Any, **kwargs: Any) -> None:
        global calls
        calls += 1
        if calls == 1:
            raise RuntimeWarning("planted")
        os.kill(os.getpid(), signal.SIGSEGV)

    return call


corners.function_of = faulty  # type: ignore[assignment]
corners.main(sys.argv[1:])
