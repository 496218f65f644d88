"""helix-backend-cuda without a GPU: its host code drives an emulated driver, its kernels run as C++ on the CPU.

What passes here is right in logic, order and memory; what NVIDIA's driver and GPUs make of it, no test here can tell.
Every part runs through pycuda too where that is installed (`make pycuda`).
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import helix
from helix.testing import conformance
from helix.testing.case import Target

from ..emulation import libraries
from ..kernel.test_samples import EVERY, FIRST, compare
from ..ops.cases import each_sample
from ..ops.sample import Sample
from ..ops.values import to_helix
from .cuda_network import losses

pytestmark = [
    pytest.mark.skipif(not libraries.available(), reason="needs gcc and g++"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning"),
]
ROOT = Path(__file__).resolve().parents[2]
# Kernels of every kind: with group memory and without, of several launches, of random numbers. The rest of the ops comes
# with HELIX_EVERY_SAMPLE=1, as in tests/kernel.
OPS = """
    add div where clamp exp gelu tanh floor_divide remainder sum amax argmax var softmax cross_entropy
    layer_norm rms_norm batch_norm matmul linear conv2d embedding gather scatter scatter_add arange tril cat
    dropout randn scaled_dot_product_attention
"""
CHOSEN = set(OPS.split())


@pytest.fixture(scope="module", autouse=True)
def cuda():
    from .cuda_device import register

    register()


@each_sample(lambda sample: FIRST[sample.op] is sample and "empty" not in sample.op and (EVERY or sample.op in CHOSEN))
def test_on_the_device_as_on_the_cpu(sample: Sample) -> None:
    dtype = "float32" if "float32" in sample.dtypes else sample.dtypes[0]
    compare(sample, dtype, lambda values: to_helix(values).to("cuda"))


def test_it_says_that_it_is_emulated():
    facts = dict(helix.devices())["cuda:0"]
    assert facts["emulated"] and facts["arch"] == "sm_80" and facts["name"] == "emulated GPU"


# ---- products: cuBLAS has them all, whatever the layout ----


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize(
    "left, right",
    [((3, 4), (4, 5)), ((4,), (4, 5)), ((3, 4), (4,)), ((2, 3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)), ((1, 4), (4, 1)),
     ((2, 1, 3, 4), (5, 4, 6))],
)  # fmt: skip
def test_products(left, right, dtype):
    rng = np.random.default_rng(0)
    a, b = (helix.tensor(rng.integers(-4, 5, s).astype("f4")).to(getattr(helix, dtype)) for s in (left, right))
    assert_equal(helix.matmul(a.to("cuda"), b.to("cuda")), helix.matmul(a, b))


def test_products_of_views():
    rng = np.random.default_rng(0)
    x = helix.tensor(rng.integers(-4, 5, (6, 8)).astype("f4"))
    y = x.to("cuda")
    for view in (lambda t: t.T @ t, lambda t: t @ t.T, lambda t: t[1:, 2:] @ t[:, :6].T[:6], lambda t: t[::2] @ t.T):
        assert_equal(view(y), view(x))
    batch = lambda t: t.reshape(2, 3, 8).transpose(1, 2) @ t.reshape(2, 3, 8)  # noqa: E731
    assert_equal(batch(y), batch(x))


def assert_equal(device: helix.Tensor, host: helix.Tensor) -> None:
    assert str(device.device) == "cuda:0" and device.dtype == host.dtype
    assert device.to("cpu").to(helix.float64).tolist() == host.to(helix.float64).tolist()


# ---- memory and order ----


def test_copies_longer_than_the_pinned_pieces():
    from helix.backends.cuda.staging import PIECE

    x = np.random.default_rng(0).integers(0, 255, 3 * PIECE + 17, dtype=np.uint8)
    assert np.array_equal(helix.tensor(x).to("cuda").to("cpu").numpy(), x)


def test_more_memory_than_there_is():
    with pytest.raises(helix.errors.OutOfMemoryError, match="cuda:0"):
        helix.zeros(1 << 31, dtype=helix.uint8, device="cuda")


@pytest.mark.parametrize(
    "dtype, value", [("uint8", 7), ("int16", -3), ("float32", 1.5), ("float64", 1e300), ("complex64", 1 - 2j)]
)
def test_fills(dtype, value):
    x = helix.full((5, 3), value, dtype=getattr(helix, dtype), device="cuda")
    assert x.to("cpu").tolist() == [[value] * 3] * 5


def test_a_network_trains_as_on_the_cpu():
    helix.backends.fallback_stats(reset=True)
    host, device = losses("cpu"), losses("cuda")
    np.testing.assert_allclose(device, host, rtol=1e-4)
    assert device[-1] < 0.5 * device[0]
    assert "cuda:0" not in helix.backends.fallback_stats(), "an op of the network ran on the host"


# ---- the conformance kit; all of it: python -m tests.emulation python -m helix.testing.conformance cuda --profile train ----


@pytest.mark.parametrize(
    "stage, only",
    [
        ("t1_memory", ""),
        ("t2_order", ""),
        ("t3_primitives", "matmul/*float32"),
        ("t4_native", ""),
        ("t5_autograd", "tanh"),
        ("t6_train", "random/normal"),
    ],
)
def test_the_kit_finds_nothing(stage, only):
    found = list(conformance.run(Target("cuda:0", "train"), (stage,), only))
    assert any(r.state == "pass" for r in found) and not [(r.title, r.text) for r in found if r.state == "fail"]


# ---- the same in processes of their own: another driver module, another GPU, other orders ----

CHILD = """
import json, sys
sys.path.insert(0, ".")
from tests.backends.cuda_device import register
register()
from tests.backends.cuda_network import losses
if "more" in sys.argv:
    from tests.backends import test_cuda_emulated as more
    more.test_products_of_views()
    more.test_copies_longer_than_the_pinned_pieces()
json.dump([losses("cuda"), "pycuda.driver" in sys.modules], sys.stdout)
"""


def child(*more: str, **settings: str) -> list:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *more],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_order_of_work_items_changes_no_bit():
    assert child(EMULATION_ORDER="-2", HELIX_CUDA_DRIVER="libcuda")[0] == losses("cuda")


@pytest.mark.skipif(importlib.util.find_spec("pycuda") is None, reason="needs pycuda: make pycuda")
def test_unmodified_pycuda_and_a_random_order():
    there, through_pycuda = child("more", EMULATION_ORDER="1", HELIX_CUDA_DRIVER="pycuda")
    assert through_pycuda and there == losses("cuda")


@pytest.mark.parametrize("capability, form", [(90, "sm_90"), (91, "compute_90"), (200, "compute_121")])
def test_a_gpu_newer_than_the_compiler_gets_ptx(capability, form):
    from helix.backends.cuda.nvrtc import Compiler

    compiler = Compiler(capability, 13000)
    assert compiler.architecture == form
    text = b'extern "C" __global__ void nothing(float *x) {}'
    assert compiler.compile(text, "nothing", compiler.options(True, ""))


def test_a_gpu_older_than_the_compiler():
    from helix.backends.cuda.nvrtc import Compiler

    with pytest.raises(
        helix.errors.BackendUnavailable, match="HX5001 .*knows no GPU as old as sm_70; it begins at sm_75"
    ):
        Compiler(70, 13000)
    with pytest.raises(helix.errors.BackendUnavailable, match="HX5001 NVRTC, .*pip install nvidia-cuda-nvrtc-cu12"):
        Compiler(70, 11080)
