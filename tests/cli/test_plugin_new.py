"""`helix plugin new` writes plugins that install, pass what they claim, and train as their README says."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import helix as installed

BUILDERS = {"python": "hatchling", "c": "mesonpy"}


def helix(*arguments, module="helix", folder=None, site=None, program=None):
    path = os.pathsep.join(map(str, filter(None, [site, Path(installed.__file__).parents[1], *sys.path])))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HELIX_")}
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment |= {"PYTHONPATH": path, "PATH": tools, "HELIX_CACHE_DIR": str(folder / "cache")}
    command = [sys.executable, "-"] if program else [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, input=program, capture_output=True, text=True, cwd=folder, env=environment)


def made(folder, lang):
    """The folder of a new plugin, and the folder where it is installed."""
    ran = helix("plugin", "new", f"my_chip_{lang}", "--lang", lang, folder=folder)
    assert ran.returncode == 0, ran.stderr
    place = folder / f"helix-backend-my-chip-{lang}"
    if not find_spec(BUILDERS[lang]):
        pytest.skip(f"{BUILDERS[lang]} builds it")
    flags = ("-q", "--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check", "--target", "site")
    ran = helix("install", *flags, str(place), module="pip", folder=folder)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return place, folder / "site"


@pytest.mark.parametrize("lang", BUILDERS)
def test_a_new_plugin_works(lang, tmp_path):
    place, site = made(tmp_path, lang)
    name = f"my_chip_{lang}"
    listed = json.loads(helix("devices", "--json", folder=tmp_path, site=site).stdout)
    assert any(d["device"] == f"{name}:0" and d["state"] == "ready" and d["native_ops"] == 2 for d in listed)

    module = "helix.testing.conformance"
    ran = helix(name, "--profile", "core", "--json", "out.json", module=module, folder=tmp_path, site=site)
    results = json.loads((tmp_path / "out.json").read_text())["results"]
    passed = {r["title"] for r in results if r["state"] == "pass"}
    assert ran.returncode == 0, ran.stdout
    assert {"t3_primitives/neg/float32/contiguous", "t4_native/relu/float32/offset"} <= passed
    if lang == "python":  # its kernels read any strides
        assert {f"t3_primitives/neg/float32/{layout}" for layout in ("strided", "negative", "broadcast")} <= passed

    program = re.search(r"<<'END'\n(.*?)END\n", (place / "README.md").read_text(), re.S)[1]
    ran = helix(folder=tmp_path, site=site, program=program)
    loss = re.search(r"loss ([\d.]+)", ran.stdout)
    assert loss and float(loss[1]) < 0.4, ran.stdout + ran.stderr
    assert f"{name}:0" in ran.stdout.splitlines()[-1]


def test_nothing_of_the_templates_is_left_open(tmp_path):
    for lang in BUILDERS:
        assert helix("plugin", "new", "x9", "--lang", lang, "--to", lang, folder=tmp_path).returncode == 0
    files = [p for lang in BUILDERS for p in (tmp_path / lang).rglob("*") if p.is_file()]
    assert len(files) == 10 and not [p for p in files if re.search(r"@\w+@", p.read_text())]


@pytest.mark.parametrize(
    "name", ["Chip", "9x", "", "cpu", "auto", "meta", "host", "sim", "a-b", "a b", "../a", "é", "x" * 32]
)
def test_names_that_no_device_can_have(name, tmp_path):
    ran = helix("plugin", "new", name, folder=tmp_path)
    assert ran.returncode == 1 and "HX5002 plugin new" in ran.stderr and not list(tmp_path.glob("helix*"))


def test_a_name_that_an_installed_package_has(tmp_path):
    info = tmp_path / "site" / "helix_backend_taken-2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: helix-backend-taken\nVersion: 2\n")
    (info / "entry_points.txt").write_text("[helix.backends]\ntaken = helix_backend_taken:backend\n")
    ran = helix("plugin", "new", "taken", folder=tmp_path, site=tmp_path / "site")
    assert ran.returncode == 1 and "is the device of helix-backend-taken 2 already" in ran.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["site"]


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("mine")
    ran = helix("plugin", "new", "chip", "--to", "there", folder=tmp_path)
    assert ran.returncode == 1 and "not empty" in ran.stderr
    assert [p.name for p in (tmp_path / "there").iterdir()] == ["file"]
