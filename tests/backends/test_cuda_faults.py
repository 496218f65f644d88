"""What helix-backend-cuda says when the driver, the compiler or the GPU fails: the emulated driver fails as it is told."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import helix
from helix.errors import DeviceError, OutOfMemoryError

from ..emulation import libraries

pytestmark = pytest.mark.skipif(not libraries.available(), reason="needs gcc and g++")
ROOT = Path(__file__).resolve().parents[2]
ILLEGAL_ADDRESS, OUT_OF_RESOURCES = 700, 701


@pytest.fixture(scope="module", autouse=True)
def driver(tmp_path_factory):
    from .cuda_device import register

    os.environ.setdefault("HELIX_CACHE_DIR", str(tmp_path_factory.getbasetemp().parent / "cuda-kernels"))
    register()
    return libraries.load("libcuda.so.1")


def test_a_launch_that_the_driver_refuses(driver):
    x = helix.ones(4, device="cuda")
    driver.emulation_fail_launch(OUT_OF_RESOURCES, 0)
    with pytest.raises(DeviceError, match=r"(?s)exp: the kernel on cuda:0 failed.*too many resources requested"):
        helix.exp(x)
    assert (x * 2).tolist() == [2.0] * 4


def test_memory_that_is_left_after_what_is_kept_is_not_enough():
    """What helix keeps is given back before memory runs out; then the error tells the amounts and the remedy."""
    for _ in range(3):
        helix.empty(700 << 20, dtype=helix.uint8, device="cuda")
    held = helix.empty(700 << 20, dtype=helix.uint8, device="cuda")
    with pytest.raises(OutOfMemoryError, match=r"734003200 bytes needed on cuda:0; \d+ in use.*Use smaller batches"):
        helix.empty(700 << 20, dtype=helix.uint8, device="cuda")
    del held
    assert helix.empty(700 << 20, dtype=helix.uint8, device="cuda").shape == (700 << 20,)
    helix.empty_cache()


LOST = """
import json, sys
sys.path.insert(0, ".")
from tests.backends.cuda_device import register
register()
import helix
from tests.emulation import libraries
x = helix.ones(4, device="cuda")
helix.synchronize("cuda")
libraries.load("libcuda.so.1").emulation_fail_kernel(700, 0)
told = []
for work in (lambda: helix.synchronize(helix.exp(x).device), lambda: x.tolist(), lambda: helix.ones(2, device="cuda")):
    try:
        work()
    except helix.errors.DeviceLostError as error:
        told.append(str(error))
json.dump([told, (helix.ones(2) + 1).tolist()], sys.stdout)
"""


def child(code: str, **settings: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, timeout=120
    )


def lost(**settings: str) -> list[str]:
    done = child(LOST, **settings)
    complaints = [
        line for line in done.stderr.splitlines() if "PyCUDA WARNING" not in line and " failed: an " not in line
    ]
    assert (done.returncode, complaints) == (0, [])
    told, on_the_cpu = json.loads(done.stdout)
    assert on_the_cpu == [2.0, 2.0]
    return told


def test_a_kernel_that_fails_behind_the_programs_back():
    """The op that was issued last is named, the device is lost, the CPU goes on, and the program ends in silence (but for pycuda's own)."""
    first, *later = lost(HELIX_LAUNCH_BLOCKING="0")
    assert first.startswith("HX5003 earlier work on cuda:0 failed: the GPU was given up after an illegal address")
    assert "illegal memory access" in first and "Issued last: exp" in first and "HELIX_LAUNCH_BLOCKING=1" in first
    assert len(later) == 2 and all(
        "'cuda:0' was lost earlier" in text and "Start the process again" in text for text in later
    )


def test_waiting_after_each_launch_names_the_op():
    assert lost(HELIX_LAUNCH_BLOCKING="1")[0].startswith("HX5003 exp: ")


# ---- before there is a device ----


@pytest.mark.parametrize(
    "setting, said",
    [
        ("EMULATION_DRIVER=11080", "too old: it is of CUDA 11.8, helix needs one of CUDA 12.0 or later .* Update it"),
        ("EMULATION_INIT=803", "Start the machine again .*CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"),
        ("EMULATION_INIT=999", "does not start. `nvidia-smi` may tell why. .CUDA_ERROR_UNKNOWN"),
        ("EMULATION_INIT=100", "finds no GPU. .*CUDA_VISIBLE_DEVICES.*CUDA_ERROR_NO_DEVICE"),
        ("EMULATION_DEVICES=0", "finds no GPU. .*CUDA_VISIBLE_DEVICES"),
        ("EMULATION_CAPABILITY=70", "emulated GPU: NVRTC 13.* knows no GPU as old as sm_70; .* Install an older one"),
    ],
)
def test_a_driver_that_cannot_be_used(monkeypatch, setting, said):
    monkeypatch.setenv(*setting.split("="))
    found = probed()
    assert not found.ok and re.search(said, found.reason), found.reason


def probed():
    from helix.backends.cuda import backend

    return backend().probe()


def test_without_a_driver_the_reason_is_told(monkeypatch):
    from helix.backends.cuda import facts

    monkeypatch.setenv("LD_LIBRARY_PATH", "")
    found = probed()
    assert not found.ok and found.reason.startswith((facts.NO_DRIVER, facts.NO_DEVICE, "the NVIDIA driver"))


def test_a_driver_that_does_not_answer(monkeypatch):
    from helix.backends.cuda import facts

    monkeypatch.setattr(facts, "PATIENCE", 0.001)
    assert facts.ask() == ([], "the NVIDIA driver did not answer within 0.001 s. Does `nvidia-smi`?")


def test_without_a_compiler(monkeypatch):
    from helix.backends.cuda import libraries as found_by_plugin

    load = found_by_plugin.load
    monkeypatch.setattr(
        found_by_plugin, "load", lambda ffi, name, *rest: None if name == "nvrtc" else load(ffi, name, *rest)
    )
    found = probed()
    assert not found.ok and "NVRTC, the compiler of kernels, cannot be loaded" in found.reason
    assert "pip install nvidia-cuda-nvrtc-cu12" in found.reason


def test_one_gpu_that_cannot_be_used_hides_no_other(monkeypatch):
    from helix.backends import cuda
    from helix.backends.cuda import facts

    one = facts.ask()[0][0]
    monkeypatch.setattr(facts, "ask", lambda: ([one | {"name": "an old GPU", "capability": [5, 0]}, one], ""))
    made = cuda.backend()
    assert [info.name for info in made.probe().devices] == [one["name"]]
    assert re.search("an old GPU: NVRTC 13.* knows no GPU as old as sm_50", made.probe().reason)
    assert [number for number, _ in made.found[0]] == [1]


def test_doctor_tells_why(tmp_path):
    """As a user sees it: the plugin is installed, and the driver is too old."""
    package = tmp_path / "helix_backend_cuda-0.1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: helix-backend-cuda\nVersion: 0.1.0\n")
    (package / "entry_points.txt").write_text("[helix.backends]\ncuda = helix_cuda_of_the_test:backend\n")
    (tmp_path / "helix_cuda_of_the_test.py").write_text(
        "from tests.backends.cuda_collector import find_sources\nfind_sources()\n"
        "from helix.backends.cuda import backend\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT), str(Path(helix.__file__).parents[1])])
    settings = {"PYTHONPATH": path, "HELIX_BACKENDS": "cuda=helix-backend-cuda", "EMULATION_DRIVER": "11080"}
    for command in ("devices", "doctor"):
        done = child(f"import sys; from helix.cli import main; sys.argv[1:] = [{command!r}]; main()", **settings)
        assert "failed: helix-backend-cuda 0.1.0: the NVIDIA driver is too old" in done.stdout, done
    done = child("import helix; helix.device('cuda')", **settings)
    assert (
        "BackendUnavailable: HX5001 device 'cuda' unavailable: helix-backend-cuda 0.1.0: the NVIDIA driver"
        in done.stderr
    )
