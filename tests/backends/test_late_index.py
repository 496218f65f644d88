"""Indices outside their axis on a device: an error that names the op, when the results are waited for."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import helix
from helix.errors import IndexRangeError

F = helix.nn.functional
pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


@pytest.fixture(autouse=True)
def no_fallback():
    before = helix.set_fallback("error")
    yield
    helix.set_fallback(before)
    helix.synchronize("sim")


def table():
    return helix.arange(12, dtype=helix.float32).reshape(4, 3).to("sim")


def at(*values, dtype=helix.int64):
    return helix.tensor(values, dtype=dtype).to("sim")


CALLS = {
    "index": (lambda: table()[at(1, 5)], "index 5 is outside axis 0, whose size is 4", (-4, 3)),
    "gather": (lambda: table().gather(1, at(7)[None]), "index 7 is outside axis 1, whose size is 3", (-3, 2)),
    "embedding": (lambda: F.embedding(at(0, -1), table()), "index -1 is outside axis 0, whose size is 4", (0, 3)),
    "index_select": (lambda: table().index_select(0, at(-9)), "index -9 is outside axis 0", (-4, 3)),
    "scatter": (lambda: table().scatter(0, at(5)[None], 1.0), "index 5 is outside axis 0", (-4, 3)),
    "index_add": (lambda: table().index_add(0, at(9), table()[:1]), "index 9 is outside axis 0", (-4, 3)),
    "index_put": (lambda: table().index_put((at(4),), table()[0]), "index 4 is outside axis 0", (-4, 3)),
    "nll_loss": (lambda: F.nll_loss(table(), at(0, 1, 2, 3)), "index 3 is outside axis 1", (-3, 2)),
    "cross_entropy": (lambda: F.cross_entropy(table(), at(0, 1, 2, 3)), "index 3 is outside axis 1", (0, 2)),
    "take_along_dim": (lambda: helix.take_along_dim(table(), at(2**40)[None], 0), "index 2147483647 is", (-4, 3)),
}


@pytest.mark.parametrize("op", CALLS)
def test_the_error_comes_with_the_values_and_once(op):
    call, text, (low, high) = CALLS[op]
    result = call()
    with pytest.raises(IndexRangeError, match=f"HX1301 {op}: {text}") as caught:
        result.tolist()
    assert caught.value.op == op and caught.value.expected == f"{low}..{high}"
    result.tolist()
    helix.synchronize("sim")


def test_labels_that_do_not_count_are_no_fault():
    x, labels = table(), at(0, -100, 2, -100)
    assert abs(F.cross_entropy(x, labels).item() - F.cross_entropy(x.to("cpu"), labels.to("cpu")).item()) < 1e-6


def test_each_stream_reports_its_own():
    x, wrong = table(), at(8)
    helix.synchronize("sim")
    side, other = helix.Stream("sim"), helix.Stream("sim")
    with side:
        y = x[wrong]
    other.synchronize()
    with pytest.raises(IndexRangeError, match="HX1301 index: index 8"):
        side.synchronize()
    assert tuple(y.shape) == (1, 3)


def test_what_was_launched_before_stays_right():
    x = table()
    before, wrong = x + 1, x[at(4)]
    with pytest.raises(IndexRangeError):
        helix.synchronize("sim")
    assert before.tolist()[0] == [1, 2, 3] and wrong.tolist() == [[0, 0, 0]]


def run(code, **environment):
    environment["PYTHONPATH"] = str(Path(helix.__file__).parents[1])
    return subprocess.run([sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True)


def test_a_program_may_end_without_waiting():
    done = run("import helix\nx = helix.ones(3).to('sim')\ny = x[helix.tensor([3]).to('sim')]")
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_a_launch_that_is_waited_for_raises_in_the_call():
    code = "import helix\nx = helix.ones(3).to('sim')\ntry:\n    x[helix.tensor([3]).to('sim')]\nexcept IndexError as e: print(e)"
    done = run(code, HELIX_LAUNCH_BLOCKING="1")
    assert "HX1301 index: index 3 is outside axis 0" in done.stdout, done.stderr
