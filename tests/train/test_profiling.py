"""Some steps of a training are profiled: the numbers, the files, and the section of the report."""

from __future__ import annotations

import json

import pytest

import helix as hx
from helix import nn
from helix.profiler import profile
from helix.train import Profiled, Run, Trainer, page, profiling, start
from helix.train import config as configuration


def test_a_callback_watches_its_steps_and_leaves_a_report(blobs, tmp_path):
    watched = Profiled(steps=3, skip=2)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    Trainer(
        model, callbacks=[watched], epochs=2, batch_size=10, run_dir=tmp_path, optimizer="sgd", progress="none"
    ).fit(blobs)
    rows = {row.name: row for row in watched.result.by("module")}
    product = 2 * 10 * 4 * 8  # of the first layer, forward; backward only its weight has a gradient
    assert rows["0"].flops >= 3 * 2 * product and rows["0"].flops < 3 * 3 * product and rows["2"].kept > 0
    lines = {row.name.rpartition("/")[2].partition(":")[0] for row in watched.result.by("line")}
    assert {"gradients.py", "meter.py"} <= lines and all(row.bytes_written >= 0 for row in rows.values())
    told = json.loads((tmp_path / "profile.json").read_text())
    assert told["steps"] == 3 and told["by"]["module"][0]["name"] in rows and told["flops"] == watched.result.flops
    names = {event["name"] for event in json.loads((tmp_path / "trace.json").read_text())["traceEvents"]}
    assert {"0 (Linear)", "2 (Linear)"} <= names
    report = (tmp_path / "report.html").read_text()
    assert report.count("<h2>Profile</h2>") == 1 and "<h3>By line</h3>" in report


@pytest.mark.parametrize("ending", ["too short", "an error"])
def test_a_watch_that_is_cut_short_ends(ending, blobs):
    def loss(output, target):
        if ending == "an error" and watched.result is not None:
            raise KeyError("cut off")
        return nn.functional.cross_entropy(output, target)

    watched = Profiled(steps=50, skip=1)
    made = Trainer(nn.Linear(4, 3), loss=loss, callbacks=[watched], epochs=1, batch_size=30, progress="none")
    if ending == "an error":
        with pytest.raises(KeyError):
            made.fit(blobs)
    else:
        made.fit(blobs)
    with profile() as after:  # none is running
        hx.ones(3).exp()
    assert watched.result.kernels and {event.op for event in after.kernels} >= {"exp"}
    with pytest.raises(ValueError, match="at least one step"):
        Profiled(steps=0)


def test_a_run_is_profiled_without_being_changed(blobs, tmp_path, monkeypatch):
    values = {"name": "r", "runs": str(tmp_path), "data": {"source": "digits"},
              "train": {"epochs": 1, "monitor": "test_loss", "patience": 2}}  # fmt: skip
    run = start(configuration.check(values), blobs, progress="none")
    monkeypatch.setattr("helix.train.run.open_source", lambda config: blobs)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    found = profiling.profile_config(run.config, steps=2, skip=1, model=Run(run.path).model)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before
    profiling.write(found, 2, run.path)
    for _ in range(2):
        assert profiling.into_report(run.path)
    report = (run.path / "report.html").read_text()
    headings = [part.partition("<")[0] for part in report.split("<h2>")[1:]]
    assert headings.count("Profile") == 1 and "Environment" in headings and report.rstrip().endswith("</html>")
    (run.path / "report.html").unlink()
    assert not profiling.into_report(run.path)


def test_a_section_takes_the_place_of_one_of_its_heading():
    whole = page.draw("t", {"One": "<p>1</p>", "Profile": "old", "Two": "<p>2</p>"})
    assert page.with_section(whole, "Profile", "new") == whole.replace("old", "new")
    assert page.with_section(page.draw("t", {"One": "1"}), "Profile", "new") == page.draw(
        "t", {"One": "1", "Profile": "new"}
    )
