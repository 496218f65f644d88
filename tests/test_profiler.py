"""The profiler: every kernel with its module and line, counted operations, a trace that browsers read; energy by counters."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import helix as hx
from helix import nn
from helix.energy import NOT_HERE, Energy
from helix.profiler import profile

F = nn.functional


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(16, 32), nn.ReLU())
        self.head = nn.Linear(32, 4)

    def forward(self, x):
        return self.head(self.body(x).exp())  # THE LINE


@pytest.fixture(scope="module")
def found():
    hx.manual_seed(0)
    model, x = Net(), hx.randn(8, 16)
    with profile() as result:
        loss = model(x).sum()
        loss.backward()
    return result


def test_kernels_know_their_module_and_line_also_in_backward(found):
    line = next(
        k
        for k, text in enumerate(Path(__file__).read_text().splitlines(), 1)
        if "THE LINE" in text and "self.head" in text
    )
    assert {event.module for event in found.kernels} >= {"body.0", "body.1", "head", "Net"}
    for backward in (False, True):
        mine = [e for e in found.kernels if e.backward == backward and e.module == "head" and e.flops >= 2 * 8 * 32 * 4]
        assert mine and all(e.line == f"{__file__}:{line}" for e in mine)
    assert {e.op for e in found.kernels if e.module == "Net" and not e.backward} == {"exp"}
    assert all(e.nanoseconds >= 0 and e.device == "cpu" for e in found.kernels) and found.lost == 0


def test_operations_are_counted(found):
    forward = 2 * 8 * 16 * 32 + 2 * 8 * 32 * 4
    products = [e for e in found.kernels if e.op in ("linear", "matmul")]
    assert sum(e.flops for e in products if not e.backward) == forward
    # The gradients of both weights, and of the head's input; the body's input needs none.
    assert sum(e.flops for e in products if e.backward) == forward + 2 * 8 * 32 * 4


CASES = {
    "conv": (lambda x, w: F.conv2d(x, w, padding=1), (2, 3, 8, 8), (5, 3, 3, 3), 2 * 2 * 5 * 64 * 27),
    "grouped conv": (lambda x, w: F.conv2d(x, w, groups=2), (2, 4, 8, 8), (6, 2, 3, 3), 2 * 2 * 6 * 36 * 18),
    "batched product": (lambda x, w: x @ w, (3, 4, 5), (3, 5, 6), 2 * 3 * 4 * 5 * 6),
}


@pytest.mark.parametrize("name", CASES)
def test_operations_of_products_and_their_gradients(name):
    function, a, b, expected = CASES[name]
    x, w = hx.randn(*a, requires_grad=True), hx.randn(*b, requires_grad=True)
    with profile() as found:
        function(x, w).backward(hx.ones_like(function(x, w)))
    products = [e for e in found.kernels if e.op.startswith(("conv", "matmul"))]
    assert {e.flops for e in products} == {expected}, [(e.op, e.shapes, e.flops) for e in products]
    assert sum(e.backward for e in products) == 2


def kernels(function, op):
    with profile() as found:
        function()
    return [event for event in found.kernels if event.op == op]


def test_operations_of_a_selective_scan():
    """Two channels, three states, five steps, counted by the recurrence as it is written."""
    u, a, b = hx.randn(1, 2, 5), -hx.rand(2, 3), hx.randn(1, 3, 5)
    (event,) = kernels(lambda: F.selective_scan(u, u, a, b, b), "native_selective_scan")
    of_a_state = len(["step*A", "exp", "a*x", "+in", "B*su", "C*x", "+y"])
    of_a_channel = len(["+bias", "exp", "+1", "log", "select", "step*u", "D*u", "+y", "-z", "exp", "+1", "/", "y*z"])
    assert event.flops == 2 * 5 * (3 * of_a_state + of_a_channel)


@pytest.mark.parametrize(("length", "taps", "n"), [(1024, 1024, 2048), (1024, 500, 1536), (700, 700, 1536), (5, 1, 6)])
def test_operations_of_a_convolution_by_transforms(length, taps, n):
    rows, filters = 6, 3
    u, k = hx.randn(2, filters, length), hx.randn(filters, taps)
    (event,) = kernels(lambda: F.fft_conv(u, k), "native_fft_conv")
    assert event.flops == round((2 * rows + filters) * 2.5 * n * math.log2(n) + 3 * n * rows)
    (skipped,) = kernels(lambda: F.fft_conv(u, k, hx.randn(filters)), "native_fft_conv")
    assert skipped.flops == event.flops + 2 * rows * length


def test_operations_of_transforms_and_of_recurrences():
    x = hx.randn(3, 64)
    assert [e.flops for e in kernels(lambda: hx.fft.rfft(x), "fft_r2c")] == [3 * 5 * 64 * 6 // 2]
    assert [e.flops for e in kernels(lambda: hx.fft.rfft(x.t(), dim=0), "fft_r2c")] == [3 * 5 * 64 * 6 // 2]
    assert [e.flops for e in kernels(lambda: hx.fft.irfft(hx.fft.rfft(x)), "fft_c2r")] == [3 * 5 * 64 * 6 // 2]
    assert [e.flops for e in kernels(lambda: hx.fft.fft(hx.fft.fft(x)), "fft_c2c")][-1] == 3 * 5 * 64 * 6
    lstm = nn.LSTM(4, 6)
    (event,) = kernels(lambda: lstm(hx.randn(7, 2, 4)), "recurrence")
    assert event.flops == 7 * 2 * 4 * 6 * (2 * 6 + 7)


def test_modules_and_what_they_keep(found):
    calls = {call.module: call for call in found.modules}
    assert set(calls) == {"Net", "body", "body.0", "body.1", "head"}
    assert calls["body.0"].depth == 2 and calls["body.0"].kept >= 8 * 32 * 4
    assert found.peak_bytes > 0 and calls["Net"].nanoseconds >= calls["body"].nanoseconds >= calls["body.0"].nanoseconds


@pytest.mark.parametrize("by", ["op", "module", "line"])
def test_tables_add_up(found, by):
    rows = found.by(by)
    assert sum(row.flops for row in rows) == found.flops
    assert sum(row.calls for row in rows) == len(found.kernels)
    text = found.table(by)
    assert f"{len(found.kernels)} kernels" in text and "energy" in text
    with pytest.raises(ValueError, match="'op', 'module' or 'line'"):
        found.by("hour")


def test_the_trace_is_one_that_browsers_read(found, tmp_path):
    found.export_chrome_trace(tmp_path / "t.json")
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert len(events) == len(found.kernels) + len(found.modules)
    assert all(e["ph"] == "X" and e["ts"] >= 0 and e["dur"] >= 0 and {"name", "pid", "tid"} <= set(e) for e in events)
    outer = next(e for e in events if e["name"] == "Net (Net)")
    inner = [e for e in events if e["cat"] == "kernel" and e["args"]["module"].startswith(("body", "head"))]
    assert inner and all(
        outer["ts"] <= e["ts"] and e["ts"] + e["dur"] <= outer["ts"] + outer["dur"] + 1e-3 for e in inner
    )


def test_nothing_is_left_behind():
    call = nn.Module.__call__
    with pytest.raises(RuntimeError, match="another profile"), profile(), profile():
        pass
    assert nn.Module.__call__ is call
    with profile() as found:
        pass
    hx.ones(3).exp()
    assert found.kernels == [] and hx._core.profile_take() == ([], 0)


# ---- energy ------------------------------------------------------------------------------------------------


def counter(folder: Path, name: str, value: int, span: int | None = None) -> Path:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "energy_uj").write_text(f"{value}\n")
    if span is not None:
        (folder / name / "max_energy_range_uj").write_text(f"{span}\n")
    return folder


def test_joules_of_all_packages_and_counters_that_begin_again(tmp_path):
    counter(tmp_path, "intel-rapl:0", 1_000_000, 10_000_000)
    counter(tmp_path, "intel-rapl:1", 9_500_000, 10_000_000)
    counter(tmp_path, "intel-rapl:0:0", 5)  # a part of the first
    energy = Energy(tmp_path)
    assert energy.is_measurable and energy.joules() == 0.0
    counter(tmp_path, "intel-rapl:0", 3_000_000)
    counter(tmp_path, "intel-rapl:1", 499_999)
    assert energy.joules() == 3.0 and str(energy) == "3.0 J"


def test_where_nothing_can_be_read_that_is_said(tmp_path):
    assert Energy(tmp_path).joules() is None and str(Energy(tmp_path)) == NOT_HERE
    (tmp_path / "intel-rapl:0").mkdir()
    assert not Energy(tmp_path).is_measurable


def test_an_interrupt_while_a_place_is_looked_up_comes_through():
    def interrupted():
        raise KeyboardInterrupt

    hx._core.profile_mode(interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            hx.ones(2)
    finally:
        hx._core.profile_mode(None)
        hx._core.profile_take()
    assert hx.ones(2).tolist() == [1.0, 1.0]
