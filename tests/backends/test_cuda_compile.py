"""What helix renders in CUDA C, through NVIDIA's own compiler (the package nvidia-cuda-nvrtc), for five generations of GPUs.

One architecture sees each kernel in each class of dtypes, the others each kernel once. All: `make cuda-compile-check`.
"""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version

import pytest

from ..emulation import libraries
from . import cuda_compile

try:
    version("nvidia-cuda-nvrtc")
except PackageNotFoundError:
    pytest.skip("needs NVIDIA's compiler: pip install nvidia-cuda-nvrtc", allow_module_level=True)
WIDEST = 80


@pytest.fixture(scope="module")
def kernels():
    return cuda_compile.one_of_each(cuda_compile.collect(every=False))


def compiled(kernels, arch, folder):
    """What the compiler says, in a process that finds NVIDIA's library and not the emulated one."""
    cuda_compile.write(kernels, folder / "kernels.json")
    emulated = os.environ.get("EMULATION_FOLDER", "")
    places = [p for p in os.environ.get("LD_LIBRARY_PATH", "").split(":") if p and p != emulated]
    return cuda_compile.in_a_process(
        folder / "kernels.json", arch, env=os.environ | {"LD_LIBRARY_PATH": ":".join(places)}
    )


@pytest.mark.parametrize("arch", cuda_compile.ARCHITECTURES)
def test_kernels_compile(kernels, arch, tmp_path):
    assert len(kernels) > 100, "the device was given no kernels"
    every_class = [kernel for classes in kernels.values() for kernel in classes.values()]
    done = compiled(every_class if arch == WIDEST else cuda_compile.turn_by_turn(kernels), arch, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_kernel_with_a_fault_is_told(kernels, tmp_path):
    right = cuda_compile.turn_by_turn(kernels)[:3]
    name, text, exact = right[1]
    wrong = (name, text.replace("threadIdx.x", "threadIndex.x"), exact)
    done = compiled([right[0], wrong, right[2]], 90, tmp_path)
    assert done.returncode == 1
    assert name in done.stdout and 'identifier "threadIndex" is undefined' in done.stdout


def test_the_emulated_compiler_does_not_count(kernels, tmp_path, monkeypatch):
    if not libraries.available():
        pytest.skip("needs gcc and g++")
    cuda_compile.write(cuda_compile.turn_by_turn(kernels)[:1], tmp_path / "kernels.json")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(libraries.folder()))
    done = cuda_compile.in_a_process(tmp_path / "kernels.json", 80)
    assert "no program for a GPU" in done.stdout
