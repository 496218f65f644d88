"""Ops that a device has no kernel for: the policy, the one warning, the counters; and whole models without any kernel."""

import os
import subprocess
import sys
import warnings

import pytest

import helix
from helix.backends import sim
from helix.errors import FallbackWarning, ParameterError, UnsupportedOpError
from tests.backends.once import register_once


@pytest.fixture(autouse=True)
def policy():
    before = helix.get_fallback()
    helix.backends.fallback_stats(reset=True)
    yield helix.set_fallback
    helix.set_fallback(before)


def on_sim():
    """On a device that runs nothing by itself."""
    return helix.tensor([4.0, 2.0, 3.0]).to(register_once("bare", lambda: sim.backend("bare", "without=programs")))


def test_the_host_runs_it_and_counts(policy):
    policy("host")
    x = on_sim()
    assert helix.sort(x)[0].tolist() == [2, 3, 4] and str(helix.sort(x)[0].device) == "bare:0"
    calls, nbytes = helix.backends.fallback_stats()["bare:0"]["sort"]
    assert calls == 2 and nbytes >= 2 * 2 * 12
    assert helix.backends.fallback_stats(reset=True) and helix.backends.fallback_stats() == {}


def test_a_warning_once_for_an_op_and_device(policy):
    policy("warn")
    x = on_sim()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        helix.sort(x)
        helix.sort(x)
    assert [w.category for w in told] == [FallbackWarning]
    assert "sort on (3,) float32 bare:0" in str(told[0].message) and told[0].filename == __file__


def test_an_error_names_the_op_and_the_way_out(policy):
    policy("error")
    with pytest.raises(UnsupportedOpError, match="HX1701 sort: .*bare:0.*set_fallback"):
        helix.sort(on_sim())
    assert helix.backends.fallback_stats() == {}


def test_a_policy_that_is_none(policy):
    with pytest.raises(ParameterError, match="HX1403 set_fallback"):
        policy("never")
    assert policy("host") in ("warn", "error", "host") and helix.get_fallback() == "host"


MODEL = """
import gc
import sys
import helix
from helix import nn
from helix.backends import register, sim

def outputs(device):
    helix.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.LayerNorm(8), nn.Linear(8, 3)).to(device)
    x = helix.rand(16, 6).to(device)
    with helix.no_grad():
        made = model(x)
        x.mul_(0.5).add_(made.sum())
        places = helix.sort(made, dim=0)[1]
        results = [made.cpu(), x[:, 1:4].T.cpu(), places.cpu(), helix.cat([made, made * 2]).std().cpu()]
    optimizer, y = helix.optim.Adam(model.parameters(), lr=0.05), helix.arange(16).remainder(3).to(device)
    for _ in range(3):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        results.append(loss.detach().cpu())
    return results

def close(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and ((a - b).abs() <= 1e-5 * (1 + b.abs())).all().item()

expected = outputs("cpu")
assert expected[-1] < expected[-3]
for i, settings in enumerate(sys.argv[1:]):
    name = f"box{i}"
    made = sim.backend(name, settings)
    register(name, lambda: made)
    assert all(map(close, outputs(name), expected)), settings
    gc.collect()
    helix.empty_cache()
    left = helix._core.python_device(f"{name}:0").leaks()
    assert not left or (len(left) == 1 and "16 bytes" in left[0]), (settings, left)  # the stream's record of faults stays
print("done")
"""


def test_a_model_trains_on_sim_as_on_the_cpu_whatever_optional_part_is_missing(tmp_path):
    """Each part in turn, and all of them; poison, late work and unkind orders change no number."""
    from helix.backends.sim import OPTIONAL

    parts = sorted(OPTIONAL)
    settings = [f"seed={i},without={part}" for i, part in enumerate(parts)]
    settings += ["seed=9,exact=1", f"exact=1,without={'+'.join(parts)}"]
    environment = {**os.environ, "HELIX_FALLBACK": "host", "HELIX_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", MODEL, *settings], capture_output=True, text=True, timeout=120, env=environment
    )
    assert done.returncode == 0 and done.stdout == "done\n" and done.stderr == "", done.stderr
