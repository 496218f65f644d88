"""Where a build finds helix: functions, `python -m helix.config`, pkg-config."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

import helix

from .build import ROOT, config


def test_config_and_functions_agree():
    assert config("includes") == helix.get_include()
    assert config("cflags") == f"-I{helix.get_include()}"
    assert config("pkgconfigdir") == helix.get_pkgconfig_dir()
    assert config("cython-path") == helix.get_cython_path()
    assert config("version") == helix.__version__


def test_everything_is_there():
    headers = Path(helix.get_include()) / "helix"
    assert {"api.h", "backend.h", "version.h"} <= {p.name for p in headers.iterdir()}
    assert (Path(helix.get_cython_path()) / "helix" / "capi.pxd").is_file()
    assert (Path(helix.get_cython_path()) / "helix" / "__init__.pxd").is_file()


def test_versions_agree():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    header = (Path(helix.get_include()) / "helix" / "version.h").read_text()
    assert f'HELIX_VERSION       "{version}"' in header
    numbers = [re.search(rf"HELIX_VERSION_{part} (\d+)", header)[1] for part in ("MAJOR", "MINOR", "PATCH")]
    assert ".".join(numbers) == version
    assert f"Version: {version}" in (Path(helix.get_pkgconfig_dir()) / "helix.pc").read_text()


@pytest.mark.skipif(not shutil.which("pkg-config"), reason="no pkg-config here")
def test_pkg_config():
    found = subprocess.run(
        ["pkg-config", "--cflags", "helix"],
        env=os.environ | {"PKG_CONFIG_PATH": helix.get_pkgconfig_dir()},
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert Path(found.stdout.strip().removeprefix("-I")).resolve() == Path(helix.get_include())


def test_declarations_name_every_slot():
    """A slot of the table that capi.pxd lacks would be out of reach for Cython."""
    header = (Path(helix.get_include()) / "helix" / "api.h").read_text()
    table = header[header.index("typedef struct hx_api {") : header.index("} hx_api;")]
    slots = re.findall(r"\(\*(\w+)\)\(", re.sub(r"/\*.*?\*/", "", table, flags=re.S))
    declared = (Path(helix.get_cython_path()) / "helix" / "capi.pxd").read_text()
    assert [s for s in slots if s != "release" and f"(*{s})(" not in declared] == []
    assert len(slots) > 40
