"""Builds pycuda from its sdist against the headers of a CUDA toolkit, without a GPU or a driver, and installs it.

pycuda wants a libcuda.so to link to, and toolkits in containers have none: an empty library of that name is enough, as a
shared module may leave symbols open.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PIP = [sys.executable, "-m", "pip"]


def toolkit() -> Path:
    """$CUDA_HOME, or the folder above nvcc's."""
    nvcc = shutil.which("nvcc")
    for place in (os.environ.get("CUDA_HOME"), nvcc and Path(nvcc).resolve().parent.parent, "/usr/local/cuda"):
        if place and (Path(place) / "include" / "cuda.h").exists():
            return Path(place)
    sys.exit("no CUDA toolkit: cuda.h is not there. Install one, or set CUDA_HOME to its folder.")


def main() -> None:
    root = toolkit()
    with tempfile.TemporaryDirectory(prefix="helix-pycuda-") as name:
        folder = Path(name)
        subprocess.run([*PIP, "install", "-q", "setuptools", "wheel", "numpy"], check=True)
        download = ["download", "-q", "--no-deps", "--no-build-isolation", "--no-binary", ":all:", "pycuda", "-d", name]
        subprocess.run([*PIP, *download], check=True)
        with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
            archive.extractall(folder, filter="data")
        source = next(folder.glob("pycuda-*/"))
        empty = ["gcc", "-x", "c", "-", "-shared", "-Wl,-soname,libcuda.so.1", "-o", str(folder / "libcuda.so")]
        subprocess.run(empty, input=b"", check=True)
        options = [f"--cuda-root={root}", f"--cudadrv-lib-dir={folder}", "--no-cuda-enable-curand", "--cxxflags=-O0"]
        subprocess.run([sys.executable, "configure.py", *options], cwd=source, check=True)
        subprocess.run([*PIP, "install", "-q", "--no-build-isolation", "."], cwd=source, check=True)


if __name__ == "__main__":
    main()
