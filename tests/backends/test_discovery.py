"""Names, choices and places of backends, in this process and without plugins installed."""

import importlib
import os
import subprocess
import sys
from importlib import metadata

import pytest

import helix
from helix.backends import base, choice, discovery, path, register, sim, trial
from helix.errors import BackendUnavailable, ConfigError, DeviceError, ParameterError


@pytest.mark.parametrize("name", ["cpu", "auto", "meta", "host", "sim", "Chip", "a-b", "", "9a"])
def test_names_that_no_backend_may_have(name):
    with pytest.raises(ParameterError, match="HX5002"):
        register(name, lambda: None)


def test_a_factory_is_called_at_first_use_and_once():
    calls = []

    def factory():
        calls.append(1)
        raise OSError("no such chip")

    register("broken_factory", factory)
    with pytest.raises(ParameterError, match="HX5002.*there already"):
        register("broken_factory", factory)
    assert not calls
    for _ in range(2):
        with pytest.raises(BackendUnavailable, match="HX5001.*OSError: no such chip") as caught:
            helix.device("broken_factory:1")
        assert isinstance(caught.value.__cause__, OSError)
    assert calls == [1]
    (record,) = [f for f in helix.backends.list() if f.name == "broken_factory"]
    assert record.state == "failed" and "in factory" in record.trace


def test_an_absent_device_of_a_backend_that_is_there():
    with pytest.raises(DeviceError, match="HX1202 device 'sim:7' is not there"):
        helix.device("sim:7")
    with pytest.raises(DeviceError, match="HX1202"):
        helix.device("no device")


@pytest.mark.parametrize(
    ("text", "permitted", "left_out"),
    [
        ("", ["cuda", "chip"], []),
        ("cpu", [], ["cuda", "chip"]),
        ("chip,cuda=maker", ["cuda", "chip"], ["opencl"]),
        ("-chip", ["cuda"], ["chip"]),
        ("chip, -chip", [], ["chip", "cuda"]),
    ],
)
def test_selection(monkeypatch, text, permitted, left_out):
    monkeypatch.setenv("HELIX_BACKENDS", text)
    chosen = discovery.selection()
    assert [chosen.permits(n) for n in permitted] == [True] * len(permitted)
    assert not any(chosen.permits(n) for n in left_out)
    assert chosen.nothing == (text == "cpu")
    assert chosen.packages == ({"cuda": "maker"} if "=" in text else {})


def test_a_selection_that_is_not_understood(monkeypatch):
    monkeypatch.setenv("HELIX_BACKENDS", "cuda;chip")
    with pytest.raises(ConfigError, match="HX3101 HELIX_BACKENDS: 'cuda;chip'"):
        discovery.selection()


@pytest.fixture
def run_python(tmp_path):
    def run(text, **environment):
        environment = {**os.environ, "HELIX_CACHE_DIR": str(tmp_path), **environment}
        return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, env=environment, timeout=60)

    return run


def test_a_backend_may_bring_a_renderer_of_a_new_kind_only():
    from helix.kernel import Renderer, renderers

    class Speech(Renderer):
        kind = "speech"

    class Taken(Renderer):
        kind = "c"

    def factory(name, renderer):
        made = sim.backend(name, "")
        made.renderer = renderer
        return lambda: made

    register("speaking", factory("speaking", Speech))
    register("taking", factory("taking", Taken))
    assert str(helix.device("speaking")) == "speaking:0" and renderers.pop("speech") is Speech
    with pytest.raises(BackendUnavailable, match="which helix has a renderer for"):
        helix.device("taking")


# ---- auto ----


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    monkeypatch.setenv("HELIX_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("HELIX_DEVICE", raising=False)
    monkeypatch.setattr(choice, "_best", None)
    return tmp_path


def offer(monkeypatch, cost, emulated=False):
    """One installed backend `chip` whose trial answers with a cost."""
    asked = []

    def run(found, task):
        asked.append(task)
        device = {"device": "chip:0", "name": "a chip", "arch": "x", "emulated": emulated}
        return {"state": "ready", "devices": [device], "cost": cost}

    monkeypatch.setattr(discovery, "known", lambda: [discovery.Found("chip", "maker", "1")])
    monkeypatch.setattr(discovery, "ready", lambda name: name)
    monkeypatch.setattr(trial, "run", run)
    monkeypatch.setattr(choice, "measure", lambda device: 0.010)
    return asked


def test_auto_is_the_fastest_and_says_why(monkeypatch, fresh, capsys):
    asked = offer(monkeypatch, 0.001)
    assert choice.best() == choice.best() == "chip:0"
    assert capsys.readouterr().err == "helix: device auto is chip:0: measured chip:0 1.0 ms, cpu 10.0 ms\n"
    monkeypatch.setattr(choice, "_best", None)
    assert choice.best() == "chip:0" and asked == ["probe", "measure", "probe"]


@pytest.mark.parametrize("offered", [{"cost": 0.5}, {"cost": None}, {"cost": 0.001, "emulated": True}])
def test_auto_is_the_cpu_when_the_other_is_slower_fails_or_is_emulated(monkeypatch, fresh, capsys, offered):
    offer(monkeypatch, **offered)
    assert choice.best() == "cpu"
    assert "device auto is cpu" in capsys.readouterr().err


def test_auto_follows_the_variable(monkeypatch, fresh, capsys):
    monkeypatch.setenv("HELIX_DEVICE", "sim:1")
    assert str(helix.device("auto")) == "sim:1"
    assert "HELIX_DEVICE says so" in capsys.readouterr().err


def test_auto_as_the_default_device_measures_on_the_cpu(run_python):
    done = run_python("import helix; print(helix.zeros(2).device)", HELIX_DEVICE="auto", HELIX_BACKENDS="cpu")
    assert done.stdout == "cpu\n" and "device auto is cpu" in done.stderr


def test_the_measured_work_checks_its_numbers(monkeypatch):
    monkeypatch.setattr(choice, "LENGTH", 1000)
    monkeypatch.setattr(choice, "SIZE", 16)
    assert 0 < choice.measure("cpu") < 5
    monkeypatch.setattr(helix, "ones", lambda *shape, device: helix.zeros(*shape) + 2)
    with pytest.raises(DeviceError, match="HX5005"):
        choice.measure("cpu")


# ---- places of first-party plugins ----


def install(folder, name, value, editable=None):
    info = folder / f"helix_backend_{name}-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: helix-backend-{name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[helix.backends]\n{name} = {value}:backend\n")
    package = folder / "helix" / "backends" / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("where = 'wheel'\n")
    if editable:
        (editable / name).mkdir(parents=True)
        (editable / name / "__init__.py").write_text("where = 'sources'\n")
        (folder / "helix" / "backends" / "_editable").mkdir()
        (folder / "helix" / "backends" / "_editable" / f"{name}.txt").write_text(f"{editable}\n")


def test_plugins_in_our_namespace_are_found_where_they_are_installed(monkeypatch, tmp_path):
    """From a wheel elsewhere; from the sources of an editable one, even with a wheel left behind; third parties' not."""
    install(tmp_path, "zoo_wheel", "helix.backends.zoo_wheel")
    install(tmp_path, "zoo_editable", "helix.backends.zoo_editable", tmp_path / "sources")
    install(tmp_path, "zoo_other", "helix_backend_zoo_other")
    beside = path.places()
    monkeypatch.syspath_prepend(str(tmp_path))
    names = ["helix.backends.zoo_wheel", "helix.backends.zoo_editable"]
    assert [importlib.import_module(n).where for n in names] == ["wheel", "sources"]
    assert path.places() == [str(tmp_path / "sources"), str(tmp_path / "helix" / "backends"), *beside]
    for name in names:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(metadata, "distributions", list)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("helix.backends.zoo_other")


def test_the_path_is_widened_only_when_a_module_is_not_here(monkeypatch):
    monkeypatch.setattr(path, "places", lambda: pytest.fail("looked at the installed distributions"))
    monkeypatch.delitem(sys.modules, "helix.backends.sim_order")
    importlib.import_module("helix.backends.sim_order")


def test_what_overrides_and_what_does_not():
    class Half(base.Device):
        def fill(self, *arguments):
            pass

    assert base.overrides(Half, "fill") and not base.overrides(Half, "launch")
