"""The driver's functions, as the plugin declares them, against NVIDIA's own header, where a CUDA toolkit is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .cuda_collector import find_sources

NVCC = shutil.which("nvcc")
HOMES = [
    Path(h) for h in (os.environ.get("CUDA_HOME"), NVCC and Path(NVCC).resolve().parent.parent, "/usr/local/cuda") if h
]
INCLUDE = next((h / "include" for h in HOMES if (h / "include" / "cuda.h").exists()), None)
FUNCTION = re.compile(r"CUresult cu[A-Z]\w*\([^;]*\);")


def declared() -> list[str]:
    find_sources()
    from helix.backends.cuda import through_libcuda

    return [line for text in through_libcuda.ffi._cdefsources for line in FUNCTION.findall(text)]


def complaints(lines: list[str], folder: Path) -> str:
    (folder / "all.c").write_text("#include <cuda.h>\n" + "\n".join(lines) + "\n")
    command = ["gcc", "-fsyntax-only", f"-I{INCLUDE}", str(folder / "all.c")]
    return subprocess.run(command, capture_output=True, text=True).stderr


@pytest.mark.skipif(INCLUDE is None or not shutil.which("gcc"), reason="needs cuda.h of a CUDA toolkit, and gcc")
def test_declarations_are_those_of_the_header(tmp_path):
    lines = declared()
    assert len(lines) > 30
    said = complaints(lines, tmp_path)
    assert not said, said
    wrong = [line.replace("size_t", "int") for line in lines if "cuMemAlloc_v2" in line]
    assert "conflicting types for" in complaints(wrong, tmp_path)
