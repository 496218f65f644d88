"""The guard in conftest: a module that is older than its sources, or files that differ, are not tested."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import conftest


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A source tree and an installed copy of it that is up to date."""
    source, installed = tmp_path / "src" / "helix", tmp_path / "site" / "helix"
    (source / "_core").mkdir(parents=True)
    installed.mkdir(parents=True)
    (source / "_core" / "pool.c").write_text("int x;")
    for folder in (source, installed):
        (folder / "tensor.py").write_text("x = 1\n")
    (installed / "_core.so").write_text("")
    os.utime(source / "_core" / "pool.c", (1, 1))
    monkeypatch.setattr(conftest, "ROOT", tmp_path)
    monkeypatch.setattr(conftest, "SOURCE", source)
    return source, installed


def test_an_up_to_date_install_is_tested(tree: tuple[Path, Path]) -> None:
    _, installed = tree
    assert conftest.stale_because(installed, installed / "_core.so") is None


def test_a_newer_c_file_is_seen(tree: tuple[Path, Path]) -> None:
    source, installed = tree
    os.utime(installed / "_core.so", (0, 0))
    assert "pool.c" in (conftest.stale_because(installed, installed / "_core.so") or "")
    assert (source / "_core" / "pool.c").exists()


def test_a_changed_python_file_is_seen(tree: tuple[Path, Path]) -> None:
    source, installed = tree
    (source / "tensor.py").write_text("x = 2\n")
    assert "tensor.py" in (conftest.stale_because(installed, installed / "_core.so") or "")
