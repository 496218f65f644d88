"""Refuses to test a stale build: the module must be newer than the sources it was made from."""

from __future__ import annotations

import filecmp
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "helix"


def stale_because(package: Path, module: Path) -> str | None:
    """Why the imported helix is not the one in src, or None."""
    build = next((p for p in module.resolve().parents if (p / "build.ninja").exists()), None)
    if build is not None:
        ninja = subprocess.run([sys.executable, "-m", "ninja", "-n", "-C", str(build)], capture_output=True, text=True)
        if "no work to do" not in ninja.stdout:
            return f"{build.relative_to(ROOT)} is older than its sources; run ninja"
    else:
        newest = max(
            (p for p in (SOURCE / "_core").rglob("*") if p.suffix in {".c", ".h", ".pyx", ".pxi", ".build"}), key=mtime
        )
        if mtime(newest) > mtime(module):
            return f"{newest.relative_to(ROOT)} is newer than the installed module; run make"
    if package != SOURCE:
        for source in SOURCE.rglob("*.py"):
            installed = package / source.relative_to(SOURCE)
            if installed.exists() and not filecmp.cmp(source, installed, shallow=False):
                return f"{source.relative_to(ROOT)} differs from the installed file; run make"
    return None


def mtime(path: Path) -> float:
    return path.stat().st_mtime


def pytest_sessionstart(session: pytest.Session) -> None:
    import helix
    import helix._core

    reason = stale_because(Path(helix.__file__).resolve().parent, Path(helix._core.__file__))
    if reason is not None:
        pytest.exit(f"stale build: {reason}", returncode=3)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Kernels and trials of plugins are kept for this run alone, its processes together."""
    base = tmp_path_factory.getbasetemp()
    os.environ["HELIX_CACHE_DIR"] = str((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache")
