"""Around a training: the builder, the range test, the search for settings, TensorBoard, the page at the end."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner
from PIL import Image

import helix as hx
from helix import nn
from helix.errors import ArgumentError, ConfigError
from helix.train import Callback, Trainer, page, rate_test, tune
from helix.train.tune import suggested


def test_a_model_is_built_layer_by_layer(blobs):
    model = (
        hx.Model(input=(1, 8, 8), seed=3)
        .add("conv2d", 6, 3, padding=1)
        .add("BatchNorm2d")
        .add(nn.ReLU())
        .add(nn.Flatten)
        .add("layer_norm")
        .add("linear", 5, bias=False, name="head")
        .build()
    )
    assert [type(layer).__name__ for layer in model] == [
        "Conv2d",
        "BatchNorm2d",
        "ReLU",
        "Flatten",
        "LayerNorm",
        "Linear",
    ]
    assert (model[0].in_channels, model[1].num_features, model[5].in_features) == (1, 6, 384)
    assert model[1].running_mean.tolist() == [0.0] * 6  # finding out the sizes leaves no trace
    assert tuple(model(hx.zeros(3, 1, 8, 8)).shape) == (3, 5) and "head.weight" in model.state_dict()
    words = hx.Model(input=(7,)).add("embedding", 50, 12).add("linear", 4).build()
    assert words[1].in_features == 12
    again = hx.Model(seed=3).add("linear", 4, 3).build()
    hx.manual_seed(3)
    assert again[0].weight.tolist() == nn.Linear(4, 3).weight.tolist()
    assert hx.Trainer(again, epochs=1, progress="none").fit(blobs)["epoch"] == 1


@pytest.mark.parametrize(
    ("make", "text"),
    [(lambda: hx.Model().add("liner", 3), "did you mean 'Linear'"), (lambda: hx.Model().build(), "there is no layer"),
     (lambda: hx.Model().add(nn.ReLU(), 3), "takes no arguments")],
)  # fmt: skip
def test_bad_plans_are_refused(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()


def test_the_range_test_finds_a_rate_and_changes_nothing(blobs):
    hx.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
    before = {name: value.tolist() for name, value in model.state_dict().items()}
    random = hx.get_rng_state()
    found = rate_test(model, blobs, optimizer="sgd", least=1e-4, most=100.0, steps=80, batch_size=32)
    assert 1e-3 < found.suggestion < 10.0 and found.suggestion in found.rates
    assert found.rates == sorted(found.rates) and len(found.rates) == len(found.losses)
    assert {name: value.tolist() for name, value in model.state_dict().items()} == before
    assert hx.get_rng_state() == random and model[0].weight.grad is None
    with pytest.raises(ValueError, match="rate_test"):
        rate_test(model, blobs, least=1.0, most=0.1)


def test_the_search_finds_the_better_settings(blobs):
    tried = []

    def make(chosen):
        tried.append(chosen)
        return nn.Linear(4, 3) if chosen["hidden"] == 0 else nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))

    space = {"lr": (1e-5, 1e-1, "log"), "batch_size": [16, 32], "hidden": (0, 1)}
    study = tune(make, space, blobs, blobs, trials=8, epochs=3)
    assert len(tried) == 8 and study.best_params["lr"] > 1e-3
    again = tune(lambda chosen: nn.Linear(4, 3), {"lr": (1e-5, 1e-1, "log")}, blobs, blobs, trials=3, epochs=1, seed=5)
    same = tune(lambda chosen: nn.Linear(4, 3), {"lr": (1e-5, 1e-1, "log")}, blobs, blobs, trials=3, epochs=1, seed=5)
    assert again.best_params == same.best_params and again.best_value == same.best_value
    with pytest.raises(ConfigError, match="tune.x: a space is"):
        suggested(None, "x", 3)


def test_the_command_tunes_a_configuration(tmp_path):
    from helix.cli.main import cli

    rows = "\n".join(f"{i % 7},{(i * 5) % 11},{'ab'[i % 7 > 3]}" for i in range(60))
    (tmp_path / "t.csv").write_text("x,y,class\n" + rows)
    (tmp_path / "c.toml").write_text(f'name = "t"\n[data]\nsource = "{tmp_path}/t.csv"\n[train]\nepochs = 2\n')
    arguments = [
        "tune",
        str(tmp_path / "c.toml"),
        "--over",
        "optimizer.lr=1e-4:1e-1:log",
        "--over",
        "train.batch_size=8,16",
    ]
    done = CliRunner().invoke(cli, [*arguments, "--trials", "3", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert set(told["best"]) == {"optimizer.lr", "train.batch_size"} and told["monitor"] == "test_loss"
    assert {path.name for path in tmp_path.iterdir()} == {"t.csv", "c.toml"}
    for wrong in (["lr"], ["optimizer.lr=a:b"]):
        assert CliRunner().invoke(cli, ["tune", str(tmp_path / "c.toml"), "--over", *wrong]).exit_code == 2
    unknown = CliRunner().invoke(cli, [*arguments, "--monitor", "test_lost"])
    assert "tune: the epochs have no 'test_lost'; they have: train_loss" in f"{unknown.output}{unknown.exception}"


def test_tensorboard_gets_the_numbers(blobs, tmp_path):
    fitted = Trainer(
        nn.Linear(4, 3), epochs=2, batch_size=16, run_dir=tmp_path, tensorboard=True, log_every=2, progress="none"
    )
    fitted.fit(blobs, blobs)
    (events,) = (tmp_path / "tensorboard").iterdir()
    content = events.read_bytes()
    assert all(tag in content for tag in (b"step/loss", b"step/lr", b"train/accuracy", b"test/loss"))

    class Failing(Callback):
        def on_step(self, trainer, session, values):
            if session.step == 3:
                raise KeyError("stopped")

    cut = Trainer(nn.Linear(4, 3), run_dir=tmp_path / "cut", tensorboard=True, log_every=2, batch_size=16,
                  callbacks=[Failing()], progress="none")  # fmt: skip
    with pytest.raises(KeyError, match="stopped"):
        cut.fit(blobs)
    (events,) = (tmp_path / "cut" / "tensorboard").iterdir()
    assert b"step/loss" in events.read_bytes()


# ---- the page ----------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """Every tag is closed, and nothing is fetched from anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        assert values.get("src", "data:").startswith("data:") and "href" not in values
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_of_a_run_holds_everything(tmp_path):
    images = hx.rand(40, 1, 6, 5)
    labels = hx.arange(40) % 2
    classes = ("<cat>", "dog")
    dataset = hx.data.TensorDataset(images, labels, task="classification", classes=classes)
    run = hx.train(dataset, "mlp", epochs=2, runs=str(tmp_path), name="p", progress="none")
    content = (run.path / "report.html").read_text()
    reader = Reader()
    reader.feed(re.sub(r"<svg.*?</svg>", "", content, flags=re.DOTALL))
    assert reader.open == [] and "<cat>" not in content
    for heading in (
        "Result",
        "Curves",
        "What was taken for what",
        "The least likely test images",
        "Configuration",
        "Environment",
    ):
        assert f"<h2>{heading}</h2>" in content
    assert content.count("<svg") == 2 and content.count("data:image/png") == 12
    assert f"{run.summary['test']['accuracy']:.5g}" in content


def test_the_page_of_a_trainer_by_itself(blobs, tmp_path):
    Trainer(nn.Linear(4, 3), epochs=2, run_dir=tmp_path / "own", lr=0.0125, progress="none").fit(blobs, blobs)
    content = (tmp_path / "own" / "report.html").read_text()
    reader = Reader()
    reader.feed(re.sub(r"<svg.*?</svg>", "", content, flags=re.DOTALL))
    assert (
        reader.open == [] and "0.0125" in content and "Linear(in_features=4" in content and content.count("<svg") == 1
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_png(channels):
    image = (hx.arange(channels * 4 * 3).reshape(channels, 4, 3) / 40.0).to(hx.float32)
    opened = Image.open(io.BytesIO(base64.b64decode(base64.b64encode(page.png(image)))))
    assert opened.size == (3, 4) and opened.mode == ("RGB" if channels == 3 else "L")
    expected = (image.permute(1, 2, 0) * 255).round().reshape(-1).tolist()
    assert list(opened.tobytes()) == expected


def test_the_examples_of_the_page_on_training():
    import doctest
    from pathlib import Path

    found = doctest.testfile(str(Path(__file__).parents[2] / "docs" / "training.md"), module_relative=False)
    assert found.attempted > 10 and found.failed == 0
