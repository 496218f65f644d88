"""A handler of a signal that calls ops itself, in the midst of a product: in a process of its own, which a fault ends."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import signal, time
import helix

helix.set_num_threads(1)
calls = 0

def of(*shape):
    return helix.randn(*shape).to(helix.bfloat16)

def handler(*_):
    global calls
    calls += 1
    assert (small @ small == squared).all()

small, blocks, strips, narrow = of(64, 64), of(1500, 1500), of(20000, 128), of(128, 256)
squared, one, two = small @ small, blocks @ blocks, strips @ narrow
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
end = time.monotonic() + 20
while calls < 60 and time.monotonic() < end:
    assert (blocks @ blocks == one).all() and (strips @ narrow == two).all()
signal.setitimer(signal.ITIMER_REAL, 0)
print("calls", calls)
"""


def test_a_handler_may_multiply_while_a_product_runs():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stderr[-2000:]}"
    assert int(done.stdout.split()[1]) >= 60
