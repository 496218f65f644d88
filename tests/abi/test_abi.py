"""Plugins of other times: built for 1.0, today and long ago, for a later minor, with a shorter struct, for another major."""

import hashlib
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

import helix

ROOT = Path(__file__).resolve().parents[2]
KEPT = Path(__file__).with_name("v1_0")
BINARY = KEPT / "plugin.x86_64-linux"
HEADERS = ROOT / "src" / "helix" / "_core" / "include" / "helix"

USE = """
import sys, helix
helix.set_fallback("error")
x = helix.tensor([[1.0, -2.0], [3.0, 4.0]]).to(sys.argv[1])
assert (-x).cpu().tolist() == [[-1.0, 2.0], [-3.0, -4.0]]
assert helix.nn.functional.leaky_relu(x, 0.5).cpu().tolist() == [[1.0, -1.0], [3.0, 4.0]]
big = helix.arange(5000, dtype="float32").to(sys.argv[1])
assert (-big).cpu().tolist()[::1000] == [-0.0, -1000.0, -2000.0, -3000.0, -4000.0]
try:
    x.exp()
except helix.errors.UnsupportedOpError:
    helix.set_fallback("host")
assert x.exp().sum().cpu().item() > 70  # what it has no kernel for
assert (-x.mT).cpu().tolist() == [[-1.0, -3.0], [2.0, -4.0]]
y = x.detach().requires_grad_()
(-y).sum().backward()
assert y.grad.cpu().tolist() == [[-1.0, -1.0], [-1.0, -1.0]]
print("used", x.device)
"""


def use(library: Path, name: str, tmp_path: Path) -> subprocess.CompletedProcess:
    own = {k: v for k, v in os.environ.items() if not k.startswith("HELIX_")}
    own |= {"HELIX_BACKEND_PATH": str(library), "HELIX_CACHE_DIR": str(tmp_path / "cache")}
    own["PYTHONPATH"] = str(Path(helix.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", USE, name], env=own, capture_output=True, text=True, timeout=120, cwd=tmp_path
    )


def compiled(folder: Path, *flags: str) -> Path:
    library = folder / "libplugin.so"
    command = ["cc", "-shared", "-fPIC", "-O0", "-Wall", "-Werror", f"-I{KEPT}", *flags, str(KEPT / "plugin.c")]
    subprocess.run([*command, "-o", str(library)], check=True, timeout=60)
    return library


@pytest.mark.parametrize("flags", [(), ("-DMINOR=1", "-DEXTRA=1")], ids=["of 1.0", "of a later minor"])
def test_loads(flags, tmp_path):
    ended = use(compiled(tmp_path, *flags), "elder", tmp_path)
    assert ended.stdout.startswith("used elder:0"), ended.stderr


@pytest.mark.skipif(
    (sys.platform, platform.machine(), platform.libc_ver()[0]) != ("linux", "x86_64", "glibc"),
    reason="the kept binary is one for x86-64 Linux with glibc",
)
def test_binary_of_1_0_loads(tmp_path):
    assert BINARY.stat().st_size < 50_000
    ended = use(BINARY, "kept", tmp_path)
    assert ended.stdout.startswith("used kept:0"), ended.stderr


@pytest.mark.parametrize(
    "flags, words",
    [
        (("-DMAJOR=2", "-DMINOR=3"), r"built for ABI 2\.3, this helix offers 1\.\d"),
        (("-DMAJOR=0", "-DMINOR=9"), r"built for ABI 0\.9, this helix offers 1\.\d"),
        (("-DSHORTER=8",), r"struct has 272 bytes, and ABI 1\.0 begins with 280"),
    ],
    ids=["later major", "earlier major", "shorter"],
)
def test_refused_with_both_numbers(flags, words, tmp_path):
    ended = use(compiled(tmp_path, *flags), "elder", tmp_path)
    assert ended.returncode == 1
    assert "BackendUnavailable" in ended.stderr
    assert re.search(words, ended.stderr), ended.stderr


def test_what_is_kept_has_not_changed():
    lines = (KEPT / "SHA256SUMS").read_text().splitlines()
    kept = {name: digest for digest, name in (line.split() for line in lines)}
    assert {name: hashlib.sha256((KEPT / name).read_bytes()).hexdigest() for name in kept} == kept
    assert set(kept) == {str(p.relative_to(KEPT)) for p in KEPT.rglob("*") if p.is_file()} - {"SHA256SUMS"}


def test_changelog_has_every_version():
    header = (HEADERS / "backend.h").read_text()
    major, minor = (re.search(rf"#define HX_ABI_{part} (\d+)", header)[1] for part in ("MAJOR", "MINOR"))
    assert f"{major}.{minor} " in (ROOT / "docs" / "abi-changelog.md").read_text()
