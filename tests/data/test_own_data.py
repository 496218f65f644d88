"""Data as people have it: arrays in files, folders of images and of texts; trained in one call, and refused in plain words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import helix as hx
from helix import data
from helix.data.prepared import prepared
from helix.errors import ConfigError
from helix.train import Run


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    """x.npy and y.npy, x_test.npy and y_test.npy: float64 points, and words of which cloud they are."""
    random = np.random.default_rng(0)
    for part, count in (("", 120), ("_test", 30)):
        numbers = random.integers(0, 3, count)
        points = random.standard_normal((count, 4)) + 3.0 * numbers[:, None]
        np.save(tmp_path / f"x{part}.npy", points)
        np.save(tmp_path / f"y{part}.npy", np.array(["low", "middle", "top"])[numbers])
    return tmp_path


def trained(source, tmp_path: Path, **settings) -> Run:
    return hx.train(source, runs=str(tmp_path / "runs"), name="r", progress="none", lr=1e-2, seed=0, **settings)


def test_a_file_of_inputs_finds_its_targets(arrays):
    found = data.load(arrays / "x.npy")
    assert (len(found), found.task, found.classes) == (120, "classification", ("low", "middle", "top"))
    x, y = found[0]
    assert x.dtype is hx.float64 and found.classes[y.item()] == str(np.load(arrays / "y.npy")[0])
    np.save(arrays / "values.npy", np.linspace(0.0, 1.0, 120))
    named = data.load(str(arrays / "x.npy"), target="values.npy")
    assert named.task == "regression" and named[5][1].item() == pytest.approx(5 / 119)
    assert len(data.load(arrays / "values.npy")[0]) == 1  # inputs alone
    with pytest.raises(FileNotFoundError, match=r"no 'z.npy' beside 'x.npy'"):
        data.load(arrays / "x.npy", target="z.npy")


@pytest.mark.parametrize(("given", "wanted"), [
    ("images", "labels"), ("train_x", "train_y"), ("X", "y"), ("inputs_1", "targets_1"), ("my_data", "my_labels")])  # fmt: skip
def test_names_that_go_together(given, wanted, tmp_path):
    np.save(tmp_path / f"{given}.npy", np.zeros((3, 2), np.float32))
    np.save(tmp_path / f"{wanted}.npy", np.arange(3))
    assert data.load(tmp_path / f"{given}.npy")[2][1].item() == 2


def test_an_archive_holds_both(tmp_path):
    np.savez(tmp_path / "a.npz", y=np.arange(4), x=np.ones((4, 2)))
    np.savez(tmp_path / "b.npz", first=np.ones((4, 2)), second=np.arange(4))
    np.savez(tmp_path / "c.npz", a=np.ones(2), b=np.ones(2), c=np.ones(2))
    np.savez(tmp_path / "d.npz", x=np.ones((2, 2)), y=np.array([{}, {}]))
    for name in "ab":
        assert data.load(tmp_path / f"{name}.npz")[3][1].item() == 3
    assert data.load(tmp_path / "b.npz", target="first")[0][0].ndim == 0
    with pytest.raises(ValueError, match="holds the arrays a, b, c; it needs two"):
        data.load(tmp_path / "c.npz")
    with pytest.raises(hx.errors.FormatError, match="HX2103 npz: d.npz"):
        data.load(tmp_path / "d.npz")


def test_arrays_in_files_are_trained_in_one_call(arrays):
    run = trained(arrays / "x.npy", arrays, epochs=8)
    assert run.summary["test"]["accuracy"] > 0.8 and run.info.classes == ("low", "middle", "top")
    assert run.evaluate(arrays / "x_test.npy")["accuracy"] > 0.8
    assert run.predict(arrays / "x_test.npy")[0]["label"] in run.info.classes
    np.save(arrays / "y_test.npy", np.array(["low", "other"] * 15))
    with pytest.raises(
        ConfigError, match="HX3105 data: its classes are low, other, those of the run are low, middle, top"
    ):
        run.evaluate(arrays / "x_test.npy")


def test_pixels_are_scaled_the_same_way_when_predicted(tmp_path):
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 80)
    x = (random.integers(0, 100, (80, 1, 6, 6)) + 150 * y[:, None, None, None]).astype(np.uint8)
    run = trained((x, y.reshape(-1, 1).astype(np.int32)), tmp_path, epochs=6)
    assert run.summary["test"]["accuracy"] > 0.9 and run.info.scale == pytest.approx(1 / 255)
    np.save(tmp_path / "new.npy", x)
    again = Run(run.path)
    for source in (tmp_path / "new.npy", x, x.astype(np.float32) / 255):
        assert np.mean([int(row["label"]) for row in again.predict(source)] == y) > 0.9
    assert again.evaluate((x, y)) == pytest.approx(again.evaluate((x.astype(np.float32) / 255, y)), abs=1e-5)


@pytest.mark.parametrize(("x", "y", "task", "shape"), [
    (np.ones((4, 3)), np.arange(4), "classification", ()),
    (np.ones((4, 3), np.float32), np.array([True, False] * 2), "classification", ()),
    (np.ones((4, 3), np.int64), np.ones((4, 1), np.uint8), "classification", ()),
    (np.ones((4, 3)), np.linspace(0, 1, 4), "regression", (1,)),
    (np.ones((4, 3)), np.ones((4, 2)), "regression", (2,))])  # fmt: skip
def test_samples_become_what_a_model_takes(x, y, task, shape):
    made = prepared(data.load((x, y)))
    given, target = made.batch([1, 2])
    assert made.task == task and given.dtype is hx.float32 and tuple(target.shape) == (2, *shape)
    assert target.dtype is (hx.int64 if task == "classification" else hx.float32)
    assert made[1][1].tolist() == target[0].tolist() and made.targets().shape[0] == 4


def test_samples_that_fit_are_left_alone():
    dataset = data.load((np.ones((4, 3), np.float32), np.arange(4)))
    assert prepared(dataset) is dataset


@pytest.mark.parametrize(("x", "y", "text"), [
    (np.ones((9, 8, 8, 3), np.uint8), np.arange(9), r"channels last; .* np.moveaxis\(x, -1, 1\)"),
    (np.ones((9, 3)), np.eye(9, dtype=int), r"one-hot rows take y.argmax\(1\)"),
    (np.ones((9, 3)), np.arange(9) - 1, "the target -1 is no class"),
    (np.ones(9), np.arange(9), r"x.reshape\(-1, 1\)"),
    (np.ones((9, 3)), None, "inputs and no targets")])  # fmt: skip
def test_what_cannot_be_trained_is_explained(x, y, text, tmp_path):
    with pytest.raises(ConfigError, match=f"HX3105 data: .*{text}"):
        trained((x, y) if y is not None else (x,), tmp_path)
    assert not (tmp_path / "runs").exists()


def table(path: Path, rows, header="a,b,kind") -> Path:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def test_another_table_is_read_as_the_runs_own(tmp_path):
    """By the run's columns, scaling and classes: its own mean is elsewhere, its columns are turned, one class is missing."""
    random = np.random.default_rng(0)
    rows = [(100 + 10 * high + random.normal(), 1e9 + random.normal(), ("low", "top")[high]) for high in (0, 1) * 60]
    run = trained(table(tmp_path / "t.csv", rows), tmp_path, epochs=6)
    assert run.summary["test"]["accuracy"] > 0.9
    again, high = Run(run.path), [(kind, b, a) for a, b, kind in rows if kind == "top"]
    other = table(tmp_path / "other.csv", high, "kind,b,a")
    assert again.evaluate(other)["accuracy"] > 0.9
    assert {row["label"] for row in again.predict(other)} == {"top"}
    raw = again.predict(np.array([row[2:0:-1] for row in high]))
    assert [row["probability"] for row in raw] == [row["probability"] for row in again.predict(other)]
    with pytest.raises(
        ConfigError, match="HX3105 data: 'new' is none of the classes that the run has learned: low, top"
    ):
        again.evaluate(table(tmp_path / "new.csv", [(1, 2, "new")]))
    with pytest.raises(ValueError, match="no column 'b'; it has: a, kind"):
        again.evaluate(table(tmp_path / "few.csv", [(1, "low")], "a,kind"))


def test_whole_numbers_are_values_to_a_run_that_predicts_values(tmp_path):
    rows = [(i, i / 4) for i in range(40)]
    run = trained(table(tmp_path / "t.csv", rows, "x,y"), tmp_path, epochs=1)
    found = run.evaluate(table(tmp_path / "whole.csv", [(8, 2), (16, 4)], "x,y"))
    wanted = [row["value"][0] - y for row, y in zip(run.predict([[8.0], [16.0]]), (2, 4), strict=True)]
    assert found["mae"] == pytest.approx(np.abs(wanted).mean(), rel=1e-5)
    with pytest.raises(ConfigError, match=r"the run predicts values: y.astype\('float32'\)"):
        run.evaluate((np.ones((4, 1), np.float32), np.arange(4)))


def test_a_table_that_cannot_be_read_for_sure(tmp_path):
    with pytest.raises(ValueError, match="line 3: column 'a' holds 'nan', which is not a number"):
        data.read_csv(table(tmp_path / "t.csv", [(1, 2, 0), ("nan", 2, 1)]))
    with pytest.raises(ValueError, match="has 2 columns 'kind'"):
        data.read_csv(table(tmp_path / "t.csv", [(1, 2, 0), (1, 2, 1)], "kind,b,kind"))


def test_targets_that_a_run_names(tmp_path):
    """In an archive the array of that name; of a file, the one beside other inputs, but never the training's own."""
    names = {"x": np.ones((6, 2), np.float32), "y": np.arange(6), "z": np.linspace(0, 1, 6)}
    np.savez(tmp_path / "a.npz", **names)
    assert data.load(tmp_path / "a.npz", target="z").task == "regression"
    with pytest.raises(ValueError, match="holds the arrays x, y, z, and no 'w'"):
        data.load(tmp_path / "a.npz", target="w")
    (tmp_path / "new").mkdir()
    for folder in (tmp_path, tmp_path / "new"):
        for name, array in names.items():
            np.save(folder / f"{name}.npy", array)
    np.save(tmp_path / "x_test.npy", names["x"])
    run = trained(tmp_path / "x.npy", tmp_path, epochs=1, data_options={"target": "z.npy"})
    assert run.evaluate(tmp_path / "new" / "x.npy")["loss"] > 0
    with pytest.raises(ConfigError, match="inputs and no targets"):
        run.evaluate(tmp_path / "x_test.npy")


# ---- folders -----------------------------------------------------------------------------------------------


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    words = {"bad": ("awful", "boring", "dull"), "good": ("lovely", "great", "fine")}
    for name, chosen in words.items():
        (tmp_path / "reviews" / name).mkdir(parents=True)
        for number in range(40):
            text = f"the film number {number} was {random.choice(chosen)} says everyone"
            (tmp_path / "reviews" / name / f"{number}.txt").write_text(text)
    return tmp_path / "reviews"


def test_a_folder_of_texts_is_classified(reviews, tmp_path):
    (reviews / "bad" / ".DS_Store").write_bytes(b"")
    found = data.load(reviews)
    assert (len(found), found.classes, found.task) == (80, ("bad", "good"), "classification")
    tokens, label = found.batch([0, 79])
    assert tuple(tokens.shape) == (2, 512) and tokens[0, -1].item() == 256 and label.tolist() == [0, 1]
    assert data.load(reviews, kind="text").task == "language"
    run = trained(reviews, tmp_path, epochs=5, batch_size=8, data_options={"length": 64})
    assert run.summary["test"]["accuracy"] > 0.9
    (tmp_path / "new.txt").write_text("this was great says everyone")
    assert run.predict("dull " * 60 + "see new.txt")[0]["label"] == "bad"  # a text, too long for the name of a file
    answers = run.predict("boring stuff, really dull") + run.predict(tmp_path / "new.txt")
    assert [answer["label"] for answer in answers] == ["bad", "good"]
    assert run.evaluate(reviews)["accuracy"] > 0.9


def test_a_folder_of_images_is_classified(tmp_path):
    random = np.random.default_rng(0)
    for name, low in (("dark", 0), ("light", 120)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            pixels = random.integers(low, low + 120, (9, 12, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number} ü.png")
    (tmp_path / "photos" / "dark" / "broken.png").write_bytes(b"no picture")
    run = trained(tmp_path / "photos", tmp_path, epochs=5, data_options={"size": 8})
    assert run.summary["test"]["accuracy"] > 0.9 and run.evaluate(tmp_path / "photos")["accuracy"] > 0.9
    assert run.predict(tmp_path / "photos" / "light" / "3 ü.png")[0]["label"] == "light"
    (tmp_path / "photos" / "dark").rename(tmp_path / "photos" / "black")
    with pytest.raises(ConfigError, match="its classes are black, light, those of the run are dark, light"):
        run.evaluate(tmp_path / "photos")


def test_folders_that_are_something_else(reviews, tmp_path):
    (tmp_path / "split" / "train").mkdir(parents=True)
    reviews.rename(tmp_path / "split" / "test")
    for inner in ("train", "test"):
        (tmp_path / "split" / inner / "one.txt").write_text("a")
    with pytest.raises(ValueError, match="holds test, train, which are parts of data and no classes"):
        data.load(tmp_path / "split", kind="text_classes")
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "a.jpg").write_bytes(b"\xff\xd8\0")
    with pytest.raises(ValueError, match="put those of each class into a sub-folder"):
        data.load(tmp_path / "flat")
    with pytest.raises(ValueError, match="is no text, and no .csv"):
        data.load(tmp_path / "flat" / "a.jpg")
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    with pytest.raises(ValueError, match="is empty"):
        data.load(tmp_path / "empty")
