"""A plugin can fail; helix cannot fail with it: broken plugins installed beside it, all at once."""

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import helix

from .zoo import BROKEN, CAPSULE, TWICE, build, compile_plugin, install

IMPORT = """
import sys, signal
before = {s: signal.getsignal(s) for s in signal.Signals}
import helix
assert (helix.tensor([1.0, 2.0]) @ helix.tensor([3.0, 4.0])).item() == 11
assert not [m for m in sys.modules if m.startswith(("helix.backends", "helix_backend", "importlib.metadata"))]
assert before == {s: signal.getsignal(s) for s in signal.Signals}
"""

USE = """
import json, signal, sys
import helix

def third():
    return (helix.tensor([1.0, 2.0, 5.0]) / 3).tolist() + [1.0 / 3.0 + 1e-9]

expected, handlers = third(), {s: signal.getsignal(s) for s in signal.Signals}
errors = {}
for name in sys.argv[1:]:
    try:
        helix.device(name)
        errors[name] = ["none", "", ""]
    except Exception as error:
        typed = isinstance(error, helix.errors.DeviceError) and error.code
        errors[name] = [type(error).__name__, typed, str(error)]
        assert error.__cause__ is not None or name in ("twice", "unheard_of"), name
    assert third() == expected, name
    assert {s: signal.getsignal(s) for s in signal.Signals} == handlers, name
print(json.dumps(errors))
assert not [m for m in sys.modules if m.startswith("helix_backend")]  # what fails was never here
"""


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return build(tmp_path_factory.mktemp("zoo") / "site")


@pytest.fixture
def run(zoo, tmp_path):
    def python(*arguments, folder=zoo, **environment):
        path = os.pathsep.join([str(folder), str(Path(helix.__file__).parents[1])])
        own = {k: v for k, v in os.environ.items() if not k.startswith("HELIX_")}
        own |= {"PYTHONPATH": path, "HELIX_CACHE_DIR": str(tmp_path / "cache"), "HELIX_PROBE_SECONDS": "60"}
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            env=own | environment,
            cwd=tmp_path,
        )

    return python


def devices(run, **options):
    """What `helix devices` says, without the plugins that happen to be installed beside this helix."""
    done = run("-m", "helix", "devices", "--json", **options)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    beside = {entry.dist.name for entry in metadata.entry_points(group="helix.backends")}
    return [d for d in json.loads(done.stdout) if d.get("package") not in beside]


def test_import_says_and_loads_nothing(run):
    done = run("-c", IMPORT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_devices_gives_each_its_reason(run):
    """Nothing comes out but the list; what plugins print, crash with or wait for stays with them."""
    found = devices(run, HELIX_PROBE_SECONDS="3")
    assert found[0]["device"] == "cpu" and found[0]["state"] == "ready"
    by_package = {d.get("package"): d for d in found}
    for name, plugin in BROKEN.items():
        record = by_package[f"helix-backend-{name}" if not plugin.files else f"helix_backend_{name}-1.2.dist-info"]
        assert record["state"] == "failed", record
        assert re.search(plugin.reason, record["reason"]) or plugin.reason in record["reason"], record
    for package in ("helix-backend-twice", "Acme_Twice"):
        assert "the packages Acme_Twice 1.2 and helix-backend-twice 1.2 offer" in by_package[package]["reason"]
    for name in ("shelved", "cshelf"):
        assert by_package[f"helix-backend-{name}"]["state"] == "ready"
        assert by_package[f"helix-backend-{name}"]["abi"] == "1.0"
    assert "hello" in str(by_package["helix-backend-chatty"]["notes"])
    assert "raw" in str(by_package["helix-backend-chatty"]["notes"])
    notes = str(by_package["helix-backend-meddler"]["notes"])
    assert "floating-point mode" in notes and "SIGINT" in notes
    assert "Traceback" in by_package["helix-backend-raises"]["trace"]


def test_using_each_raises_an_error_that_names_package_and_cause(run):
    unusable = {"garbled", "reserved", "Shouting", "sleeps"}  # by name; the last one waits as long as `loops`
    names = [name for name in BROKEN if name not in unusable]
    done = run("-c", USE, *names, TWICE, "unheard_of", HELIX_PROBE_SECONDS="3")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    errors = json.loads(done.stdout)
    for name in names:
        kind, code, text = errors[name]
        assert (kind, code) == ("BackendUnavailable", "HX5001"), (name, errors[name])
        assert f"helix-backend-{name} 1.2" in text and "Other devices are not affected." in text
        assert re.search(BROKEN[name].reason, text) or BROKEN[name].reason in text
    assert "HELIX_BACKENDS=twice=" in errors[TWICE][2]
    assert "pip install helix-backend-unheard_of" in errors["unheard_of"][2]


def test_the_selection_is_kept(run):
    """HELIX_BACKENDS=cpu imports nothing; a name allows, a package chooses, a minus leaves out."""
    assert {d["device"]: d["state"] for d in devices(run, HELIX_BACKENDS="cpu") if d["device"] != "?"} | {
        "cpu": "failed",  # the broken one that takes that name
        "Shouting": "failed",
    } == dict.fromkeys([*(set(BROKEN) - {"garbled", "reserved", "Shouting"}), TWICE, "shelved", "cshelf"], "off") | {
        "cpu": "failed",
        "Shouting": "failed",
    }
    chosen = devices(run, HELIX_BACKENDS="cshelf,twice=acme-twice,shelved")
    ready = [(d["device"], d.get("package")) for d in chosen if d["state"] == "ready"]
    assert ready[1:] == [
        ("cshelf:0", "helix-backend-cshelf"),
        ("twice:0", "Acme_Twice"),
        ("shelved:0", "helix-backend-shelved"),
    ]
    done = run("-c", "import helix; helix.device('cshelf')", HELIX_BACKENDS="-cshelf")
    assert "HX5001" in done.stderr and "HELIX_BACKENDS=-cshelf leaves it out" in done.stderr
    done = run("-c", "import helix; helix.device('cshelf')", HELIX_BACKENDS="a b")
    assert "ConfigError: HX3101 HELIX_BACKENDS" in done.stderr


def test_a_trial_that_went_well_is_remembered(run, tmp_path):
    use = "import helix; print(helix.tensor([1, 2]).to('cshelf').tolist())"
    assert run("-c", use).stdout == "[1, 2]\n"
    assert len(list((tmp_path / "cache" / "backends").iterdir())) == 1
    forbidden = "import subprocess; subprocess.Popen = None\n"
    assert run("-c", forbidden + use).stdout == "[1, 2]\n"
    assert run("-c", forbidden + use, HELIX_CACHE_DIR=str(tmp_path / "other")).returncode == 1


def test_libraries_of_the_path(run, zoo, tmp_path):
    """A library needs no distribution; one that crashes or lacks the symbol is a reason."""
    good = compile_plugin(tmp_path, "loose")
    bad = compile_plugin(tmp_path, "loosecrash", "-DCRASH=1")
    empty = tmp_path / "libempty.so"
    subprocess.run(["cc", "-shared", "-o", str(empty), "-x", "c", "/dev/null"], check=True)
    path = os.pathsep.join([good, bad, str(empty), str(tmp_path / "absent.so")])
    use = "import helix; print(helix.tensor([1, 2]).to('loose').tolist())\nhelix.device('unheard_of')"
    done = run("-c", use, HELIX_BACKEND_PATH=path, folder=tmp_path)
    assert done.stdout == "[1, 2]\n"
    assert "libempty.so: the library does not export helix_backend_v1" in done.stderr
    assert "SIGSEGV" in done.stderr and "absent.so" in done.stderr
    found = devices(run, HELIX_BACKEND_PATH=path, folder=tmp_path)
    assert [d["state"] for d in found] == ["ready", "ready", "failed", "failed", "failed"]
    assert found[1]["device"] == "loose:0" and found[1]["package"] == good
    done = run("-c", use, HELIX_BACKEND_PATH=path, folder=tmp_path, HELIX_BACKENDS="cpu")
    assert "HX5001" in done.stderr and "[1, 2]" not in done.stdout


def test_a_stale_copy_of_a_distribution_is_not_a_second_one(run, tmp_path):
    (tmp_path / "helix_backend_old.py").write_text(
        CAPSULE.replace("{library!r}", repr(compile_plugin(tmp_path, "old")))
    )
    install(tmp_path, "helix-backend-old", "old", "helix_backend_old:backend")
    second = tmp_path / "second"
    second.mkdir()
    install(second, "helix_backend.old", "old", "helix_backend_old:backend")
    done = run("-c", "import helix; print(helix.device('old'))", folder=f"{tmp_path}{os.pathsep}{second}")
    assert done.stdout == "old:0\n", done.stderr
