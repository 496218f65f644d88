"""Builds pycuda from its sdist against the headers of a CUDA toolkit, without a GPU or a driver, and installs it.

pycuda wants a libcuda.so to link to, and toolkits in containers have none: an empty library of that name is enough, as a
shared module may leave symbols open.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PIP = [sys.executable, "-m", "pip"]
HEADERS = ("nvidia-cuda-runtime", "nvidia-cuda-crt", "nvidia-cuda-profiler-api")


def toolkit(folder: Path) -> Path:
    """$CUDA_HOME, or the folder above nvcc's; where there is none, the headers alone, from their wheels into `folder`."""
    nvcc = shutil.which("nvcc")
    for place in (os.environ.get("CUDA_HOME"), nvcc and Path(nvcc).resolve().parent.parent, "/usr/local/cuda"):
        if place and (Path(place) / "include" / "cuda.h").exists():
            return Path(place)
    wheels = folder / "wheels"
    subprocess.run([*PIP, "download", "-q", "--no-deps", "-d", wheels, *HEADERS], check=True)
    for wheel in wheels.glob("*.whl"):
        shutil.unpack_archive(wheel, folder / "headers", "zip")
    return next((folder / "headers").glob("nvidia/*/include/cuda.h")).parent.parent


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="helix-pycuda-") as name:
        folder = Path(name)
        root = toolkit(folder)
        subprocess.run([*PIP, "install", "-q", "setuptools", "wheel", "numpy"], check=True)
        download = ["download", "-q", "--no-deps", "--no-build-isolation", "--no-binary", ":all:", "pycuda", "-d", name]
        subprocess.run([*PIP, *download], check=True)
        shutil.unpack_archive(next(folder.glob("*.tar.gz")), folder)
        source = next(folder.glob("pycuda-*/"))
        empty = ["gcc", "-x", "c", "-", "-shared", "-Wl,-soname,libcuda.so.1", "-o", str(folder / "libcuda.so")]
        subprocess.run(empty, input=b"", check=True)
        options = [f"--cuda-root={root}", f"--cudadrv-lib-dir={folder}", "--no-cuda-enable-curand", "--cxxflags=-O0"]
        subprocess.run([sys.executable, "configure.py", *options], cwd=source, check=True)
        linked = os.environ | {"LDFLAGS": "-Wl,--no-as-needed"}  # to a library without symbols, too
        subprocess.run([*PIP, "install", "-q", "--no-build-isolation", "."], cwd=source, check=True, env=linked)


if __name__ == "__main__":
    main()
