"""Augmentations keep shapes and meaning, and depend on (seed, epoch, sample) alone; arrays and tokens on disk; padding."""

from __future__ import annotations

import math

import numpy as np
import pytest

import helix as hx
from helix import data
from helix.data import augment
from helix.data.order import generator_of
from helix.errors import FormatError

IMAGE = hx.arange(3 * 8 * 6).reshape(3, 8, 6).to(hx.float32) / 144.0
SOUND = (hx.arange(1600).to(hx.float32) * 0.3).sin().reshape(1, 1600)
TOKENS = hx.arange(33)

TRANSFORMS = {
    "flip": (augment.RandomFlip(), IMAGE),
    "vertical flip": (augment.RandomFlip(vertical=True), IMAGE),
    "crop": (augment.RandomCrop((8, 6), padding=2), IMAGE),
    "rotation": (augment.RandomRotation(30), IMAGE),
    "affine": (augment.RandomAffine(10, 0.2, (0.8, 1.2)), IMAGE),
    "color": (augment.ColorJitter(0.4, 0.4, 0.4), IMAGE),
    "erasing": (augment.RandomErasing(1.0), IMAGE),
    "randaugment": (augment.RandAugment(), IMAGE),
    "gain": (augment.RandomGain(), SOUND),
    "noise": (augment.RandomNoise(), SOUND),
    "shift": (augment.RandomShift(), SOUND),
    "specaugment": (augment.SpecAugment(3, 2), IMAGE),
    "token dropout": (augment.TokenDropout(0, 0.5), TOKENS),
    "token swap": (augment.TokenSwap(0.5), TOKENS),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_shape_and_dtype_stay_and_chance_is_reproducible(name):
    transform, sample = TRANSFORMS[name]
    before = sample.tolist()
    results = [transform(sample, generator_of(1, 0, i)) for i in range(12)]
    assert all(r.shape == sample.shape and r.dtype is sample.dtype for r in results)
    assert [r.tolist() for r in results] == [transform(sample, generator_of(1, 0, i)).tolist() for i in range(12)]
    assert len({str(r.tolist()) for r in results}) > 1 and sample.tolist() == before
    if sample is IMAGE:
        assert all(r.min().item() >= -1e-6 and r.max().item() <= 1 + 1e-6 for r in results)


def test_a_turn_by_90_degrees_is_exact():
    square = hx.arange(16).reshape(1, 4, 4).to(hx.float32)
    turned = augment.moved(square, math.pi / 2, 0.0, 0.0)
    assert np.abs(turned.numpy() - np.rot90(square.numpy(), 1, (1, 2))).max() < 1e-5
    shifted = augment.moved(square, 0.0, 0.5, 0.0)  # a quarter of the width, to the right
    assert np.abs(shifted.numpy()[..., 1:] - square.numpy()[..., :-1]).max() < 1e-5
    assert np.abs(augment.moved(IMAGE, 0.0, 0.0, 0.0).numpy() - IMAGE.numpy()).max() < 1e-6


def test_changes_of_color():
    assert augment.saturated(IMAGE, 0.0)[0].tolist() == augment.saturated(IMAGE, 0.0)[2].tolist()
    assert augment.contrasted(IMAGE, 0.0).std().item() < 1e-6
    assert augment.brightened(IMAGE, 0.5).max().item() == pytest.approx(0.5 * IMAGE.max().item())


def test_samples_change_with_the_epoch_and_not_with_workers():
    images = hx.rand(20, 3, 8, 6)
    base = data.TensorDataset(images, hx.arange(20) % 2)

    def epochs(**options) -> list:
        changed = data.Augmented(base, augment.RandomCrop((8, 6), 2), augment.ColorJitter(0.3), seed=5)
        loader = data.Loader(changed, 6, shuffle=True, seed=1, **options)
        return [[batch[0].tolist() for batch in loader] for _ in range(2)]

    alone = epochs()
    assert alone[0] != alone[1] and epochs(workers=3) == alone
    single = data.Augmented(base, augment.RandomFlip(), seed=5)
    single.set_epoch(3)
    assert single[7][0].tolist() == single.batch([2, 7])[0][1].tolist()
    assert all(single[i - 20][0].tolist() == single[i][0].tolist() for i in range(20))


@pytest.mark.parametrize("mix", [data.MixUp(3, 0.5), data.CutMix(3)])
def test_mixed_batches_keep_the_shares(mix):
    images = hx.zeros(6, 1, 8, 8) + hx.arange(6).reshape(6, 1, 1, 1).to(hx.float32)
    target = hx.arange(6) % 3
    loader = data.Loader(data.TensorDataset(images, target), 6, batch_transform=mix, seed=3)
    for _ in range(5):
        ((mixed, shares),) = loader
        assert mixed.shape == images.shape and tuple(shares.shape) == (6, 3)
        assert shares.sum(1).tolist() == pytest.approx([1.0] * 6)
        # The mean of an image is its own number and another's, in the shares of the targets.
        means = mixed.mean((1, 2, 3)).tolist()
        for i, (mean, row) in enumerate(zip(means, shares.tolist(), strict=True)):
            if max(row) < 1.0 - 1e-6:
                partner = (mean - row[i % 3] * i) / (1 - row[i % 3])
                assert abs(partner - round(partner)) < 1e-3 and row[round(partner) % 3] > 0


def test_beta_is_symmetric_and_in_bounds():
    values = [augment.beta(0.4, generator_of(0, i)) for i in range(300)]
    assert all(0.0 <= v <= 1.0 for v in values) and abs(sum(values) / 300 - 0.5) < 0.08


# ---- padding, arrays, tokens -------------------------------------------------------------------------------


def test_padding():
    samples = [(hx.ones(n, 2), hx.tensor(n)) for n in (3, 1, 2)]
    x, lengths, y = data.Padded(-1.0, lengths=True, multiple=4)(samples)
    assert tuple(x.shape) == (3, 4, 2) and lengths.tolist() == [3, 1, 2] == y.tolist()
    assert x[1].tolist() == [[1.0, 1.0]] + [[-1.0, -1.0]] * 3

    class Ragged(data.Dataset):
        def __len__(self):
            return 7

        def __getitem__(self, i):
            return hx.full((i + 1,), i), hx.tensor(i)

    sampler = data.BucketSampler([i + 1 for i in range(7)], window=4)
    shapes = {tuple(b[0].shape) for b in data.Loader(Ragged(), 2, sampler=sampler, collate=data.Padded(9))}
    assert (2, 2) in shapes and all(len(shape) == 2 for shape in shapes)


def test_arrays_on_disk(tmp_path):
    x, y = np.arange(24, dtype=np.float32).reshape(8, 3), np.arange(8) % 2
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    files = data.ArrayFiles(tmp_path / "x.npy", tmp_path / "y.npy")
    assert files.task == "classification" and len(files) == 8
    given, target = files.batch([5, 0, 5])
    assert given.numpy().tolist() == x[[5, 0, 5]].tolist() and target.tolist() == [1, 0, 1]
    assert files[3][0].tolist() == x[3].tolist() and files.targets().tolist() == y.tolist()
    np.save(tmp_path / "bad.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match="HX2103"):
        data.ArrayFiles(tmp_path / "bad.npy")
    np.save(tmp_path / "short.npy", y[:3])
    with pytest.raises(ValueError, match="different numbers of rows"):
        data.ArrayFiles(tmp_path / "x.npy", tmp_path / "short.npy")
    np.savez(tmp_path / "z.npz", x=np.ones(3))
    np.save(tmp_path / "one.npy", 1.0)
    (tmp_path / "empty.npy").touch()
    for name in ("z.npz", "one.npy", "empty.npy"):
        with pytest.raises(hx.errors.FormatError, match="HX2103"):
            data.ArrayFiles(tmp_path / name)
    np.save(tmp_path / "yes.npy", np.ones(8, dtype=bool))
    assert data.ArrayFiles(tmp_path / "x.npy", tmp_path / "yes.npy").task == "classification"


def test_tokens_on_disk(tmp_path):
    path = tmp_path / "tokens.bin"
    assert data.write_tokens(path, [[1, 2, 3], [], range(4, 60_000)]) == 59_999
    tokens = data.TokenFile(path, 8)
    given, wanted = tokens.batch([0, 2])
    assert given.tolist() == [list(range(1, 9)), list(range(17, 25))] and wanted[0].tolist() == list(range(2, 10))
    assert tokens[2][0].tolist() == given[1].tolist() and tokens.vocabulary == 60_000 and tokens.task == "language"
    with pytest.raises(ValueError, match="70000 does not fit into uint16"):
        data.write_tokens(path, [[70_000]])
    with pytest.raises(ValueError, match="token -1 does not fit"):
        data.write_tokens(path, [[-1, 5]])
    assert len(data.TokenFile(path, 8)) == len(tokens)  # the file before is whole
    (tmp_path / "odd").write_bytes(b"abc")
    with pytest.raises(FormatError, match="no whole number of uint16"):
        data.TokenFile(tmp_path / "odd", 1)
