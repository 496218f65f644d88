"""A few interrupts; `make interrupts` makes 200 and holds each to 250 ms, which a busy machine may not."""

from .campaign import run
from .works import PLANTED, WORKS


def test_interrupted_calls_end_soon_and_leave_nothing_half_done():
    chosen = {
        name: WORKS[name]
        for name in ("matmul float64", "convolution", "backward", "setitem", "AdamW", "AdamW on two devices")
    }
    report = run(chosen, 12, longest=0.1, each=2)
    assert not report.faults and not report.late(2)


def test_what_is_deaf_or_half_done_is_seen():
    report = run(PLANTED, 4, longest=0.06, each=2)
    assert {name for _, name in report.late(0.25)} == {"deaf"}
    assert "torn: half done" in report.faults
