"""The kit passes what is right, and each stage catches what it is there to catch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import helix
from helix.testing import conformance, record_ops
from helix.testing.case import Case, Result, Target, attempt
from helix.testing.tolerance import bounds, compare

from . import planted


def results(device, **options):
    return planted.results([(device.__name__, options)])[0]


def failed(found):
    return {r["title"]: r["text"] for r in found if r["state"] == "fail"}


def test_a_whole_backend_passes():
    plan = [("Whole", {"stages": [stage]}) for stage in ("t0_abi", "t1_memory", "t2_order", "t4_native", "t7_stress")]
    found = [r for one in planted.results(plan) for r in one]
    assert not failed(found) and sum(r["state"] == "pass" for r in found) > 40


@pytest.mark.parametrize("stage", ["t3_primitives", "t5_autograd"])
def test_its_ops_pass(stage):
    plan = [("Whole", {"stages": [stage], "only": f"{stage}/{op}"}) for op in ("add", "mul", "neg", "tanh", "cast")]
    found = [r for one in planted.results(plan) for r in one]
    assert not failed(found)
    assert {"add", "mul", "neg", "tanh"} <= {r["op"] for r in found if r["state"] == "pass"}


FAULTS = [
    (planted.ForgetsOffset, "t1_memory", "offsets_of_copies_in"),
    (planted.ForgetsOffsetOut, "t1_memory", "offsets_of_copies_out"),
    (planted.FillsByBytes, "t1_memory", "fills"),
    (planted.Leaks, "t1_memory", "gives_memory_back"),
    (planted.GivesWhatIsNotThere, "t1_memory", "says_when_there_is_none"),
    (planted.SharesBlocks, "t1_memory", "blocks_are_apart"),
    (planted.LastFirst, "t2_order", "a_queue_keeps_its_order"),
    (planted.DeafStreams, "t2_order", "streams_by_event"),
    (planted.SyncsOneStream, "t2_order", "sync_waits_for_all_streams"),
    (planted.IgnoresStrides, "t3_primitives", "neg/float32/strided"),
    (planted.IgnoresStrides, "t3_primitives", "neg/float32/broadcast"),
    (planted.IgnoresAlpha, "t3_primitives", "add/3/float32/contiguous"),
    (planted.ClaimsWhatItHasNot, "t4_native", "relu/int64/contiguous"),
    (planted.KnowsAllAttributes, "t4_native", "neg/unknown attribute"),
    (planted.FloatAtomics, "t4_native", "tanh/same bits"),
    (planted.WrongGradient, "t5_autograd", "tanh"),
    (planted.OwnRandom, "t6_train", "random/uniform"),
    (planted.Tires, "t7_stress", "many_launches"),
]


@pytest.fixture(scope="module")
def caught():
    """For each planted fault, the cases that fail with it."""
    plan = [
        (
            fault.__name__,
            {"stages": [stage], "only": f"{stage}/{case}", "profile": "train" if stage == "t7_stress" else "core"},
        )
        for fault, stage, case in FAULTS
    ]
    half = len(plan) // 2
    return [failed(found) for found in (*planted.results(plan[:half]), *planted.results(plan[half:]))]


@pytest.mark.parametrize("number", range(len(FAULTS)), ids=[f"{f.__name__}-{c}" for f, _, c in FAULTS])
def test_a_fault_is_caught(number, caught):
    _, stage, case = FAULTS[number]
    assert f"{stage}/{case}" in caught[number]


def test_another_abi_is_the_end():
    found = results(planted.Whole, abi=(2, 0))
    assert [(r["title"], r["state"]) for r in found] == [("t0_abi/loads", "fail")] and "ABI 2.0" in found[0]["text"]


def test_known_faults_are_counted_and_fail_nothing():
    chosen = {"stages": ["t1_memory"], "only": "fills", "known": {"t1_memory/fills": "the driver repeats single bytes"}}
    (bad,), (good,) = planted.results([("FillsByBytes", chosen), ("Whole", chosen)])
    assert bad["state"] == "expected-fail" and "single bytes" in bad["text"]
    assert good["state"] == "pass" and "expects a failure" in good["text"]


def test_a_device_without_kernels_is_unsupported_and_not_green():
    found = results(planted.Store, stages=["t3_primitives"], only="primitives/exp/float32/contiguous")
    assert [r["state"] for r in found] == ["unsupported"]


def test_the_policy_is_put_back():
    before = helix.set_fallback("host")
    assert all(r.state == "pass" for r in conformance.run(Target("sim:0"), ("t1_memory",), "round_trips"))
    assert helix.set_fallback(before) == "host"


def test_bounds_grow_with_the_sum_and_shrink_with_the_dtype():
    assert bounds("sum", "float32", 1000) > bounds("sum", "float32", 10) > bounds("sum", "float64", 10)
    assert bounds("add", "float16") > bounds("add", "float32") and bounds("add", "int64") == (0.0, 0.0)


def test_comparison_tells_places_of_infinities_apart():
    import numpy

    nan, inf = numpy.nan, numpy.inf
    right = numpy.array([1.0, nan, inf])
    assert not compare(right.astype("f4"), right, (1e-6, 1e-6))
    for wrong in ([1.0, 0.0, inf], [1.0, nan, -inf], [1.1, nan, inf], [1.0, nan]):
        assert compare(numpy.array(wrong, "f4"), right, (1e-6, 1e-6))


def test_an_exception_is_a_failure_with_its_cause():
    def run(target):
        raise KeyError("broken") from ValueError("the driver said so")

    found = attempt(Case("t0_abi", "x", run), Target("cpu:0"))
    assert found.state == "fail" and "KeyError" in found.text and "the driver said so" in found.text


def test_ops_of_a_program_can_be_recorded_and_replayed(tmp_path):
    trace = tmp_path / "trace.json"
    with record_ops(trace) as device:
        x = helix.ones(3, 4).to(device).requires_grad_()
        (helix.tanh(x) * x + helix.relu(x)).backward(helix.ones(3, 4).to(device))
    calls = [call["op"] for call in json.loads(trace.read_text())["calls"]]
    assert {"tanh", "mul", "add", "tanh_backward"} <= set(calls)
    good, bad = planted.results([(name, {"ops_from": str(trace)}) for name in ("Whole", "WrongGradient")])
    assert not failed(good) and {"tanh", "mul", "tanh_backward"} <= {r["op"] for r in good if r["state"] == "pass"}
    assert failed(bad)


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "helix.testing.conformance", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_the_command_says_all_in_a_file_a_picture_and_its_exit_code(tmp_path):
    out, badge = tmp_path / "out.json", tmp_path / "out.svg"
    ran = command("sim", "--device", "1", "--stage", "t1_memory", "--json", str(out), "--badge", str(badge))
    made = json.loads(out.read_text())
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert made["device"] == "sim:1" and made["stages"]["t1_memory"]["pass"] >= 12
    assert "0 failed" not in badge.read_text() and "passed" in badge.read_text()
    assert "primitives" in ran.stdout and "fallback 0" in ran.stdout


def test_the_command_fails_where_nothing_is_tried_or_something_fails(tmp_path):
    ran = command("nosuchchip", "--stage", "t0_abi")
    assert ran.returncode == 1 and "t0_abi/loads" in ran.stdout and "helix-backend-nosuchchip" in ran.stdout
    assert command("sim", "--stage", "t1_memory", "--only", "no_such_case").returncode == 1
    (tmp_path / "trace.json").write_text("[]")
    ran = command("sim", "--ops-from", str(tmp_path / "trace.json"))
    assert ran.returncode == 1 and "HX2001" in ran.stdout
    assert command("sim", "--profile", "most").returncode == 2


def test_a_trace_replays_in_processes_of_its_own(tmp_path):
    trace, out = tmp_path / "trace.json", tmp_path / "out.json"
    with record_ops(trace) as device:
        helix.tanh(helix.ones(3, 4).to(device)[:, ::2])
    ran = command("sim", "--ops-from", str(trace), "--isolate", "--json", str(out))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert [(r["title"], r["state"]) for r in json.loads(out.read_text())["results"]] == [("trace/0/tanh", "pass")]


def test_a_crash_and_a_hang_are_single_failures(tmp_path):
    """A plugin that dies in one copy and never comes back from another."""
    site = tmp_path / "site"
    info = site / "helix_backend_mad-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: helix-backend-mad\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[helix.backends]\nmad = helix_backend_mad:Mad\n")
    (site / "helix_backend_mad.py").write_text(
        "import os, time\nfrom helix.backends import *\nfrom helix.backends.sim import SimDevice\n"
        "class D(Device):\n"
        "    def alloc(self, nbytes, pinned): return bytearray(nbytes)\n"
        "    def free(self, block): pass\n"
        "    def copy_in(self, block, offset, source, stream):\n"
        "        if len(source) == 0: os.abort()\n"
        "        block[offset : offset + len(source)] = source\n"
        "    def copy_out(self, target, block, offset, stream): target[:] = block[offset : offset + len(target)]\n"
        "    def fill(self, block, offset, nbytes, pattern, stream): time.sleep(600)\n"
        "    def sync(self, stream=None): pass\n"
        "class Mad(Backend):\n    name, device_class = 'mad', D\n"
        "    def probe(self): return Availability([DeviceInfo(name='mad')])\n"
    )
    out = tmp_path / "out.json"
    path = os.pathsep.join([str(site), str(Path(helix.__file__).parents[1])])
    for pattern in ("copies_of_*", "fills"):
        ran = command(
            *("mad", "--isolate", "--seconds", "5", "--stage", "t1_memory", "--only", pattern, "--json", str(out)),
            PYTHONPATH=path,
            HELIX_CACHE_DIR=str(tmp_path / "cache"),
        )
        found = {r["title"]: r for r in json.loads(out.read_text())["results"]}
        assert ran.returncode == 1
        if pattern == "fills":
            assert "no end within 5 s" in found["t1_memory/fills"]["text"]
        else:
            assert found["t1_memory/copies_of_rows"]["state"] == "pass"
            assert "SIGABRT" in found["t1_memory/copies_of_nothing"]["text"]


def test_results_are_plain_records():
    assert Result("a/b", "pass").record() == {"title": "a/b", "state": "pass"}
