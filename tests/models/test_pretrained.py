"""Folders that cannot be read, or must not be: each with its typed error, and nothing outside the folder is opened."""

from __future__ import annotations

import json
import os
import pickle

import pytest

import helix as hx
from helix import models
from helix.errors import CheckpointError, ConfigError
from helix.io import load_file, save_file
from helix.models.gpt2 import GPT2

CONFIG = {"model_type": "gpt2", "vocab_size": 7, "n_positions": 8, "n_embd": 4, "n_layer": 1, "n_head": 2}


@pytest.fixture
def folder(tmp_path):
    """A good folder."""
    home = tmp_path / "home" / "model"
    home.mkdir(parents=True)
    (home / "config.json").write_text(json.dumps(CONFIG))
    save_file(GPT2(CONFIG).state_dict(), home / "model.safetensors")
    return home


def shard(folder, **places):
    """The weights in two shards and an index; `places` changes the index's entries."""
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    half = len(names) // 2
    files = {"model-1.safetensors": names[:half], "model-2.safetensors": names[half:]}
    for file, held in files.items():
        save_file({name: weights[name] for name in held}, folder / file)
    index = {name: file for file, held in files.items() for name in held}
    index |= {names[0]: places["first"]} if "first" in places else {}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    os.unlink(folder / "model.safetensors")


def test_whole_sharded_and_half(folder):
    tokens = hx.tensor([[1, 2, 3]])
    model = models.from_pretrained(folder)
    assert not model.training and model.lm_head.weight is model.transformer.wte.weight
    whole = model(tokens)
    narrow = models.from_pretrained(str(folder), dtype=hx.bfloat16)
    assert {p.dtype for p in narrow.parameters()} == {hx.bfloat16} and narrow.lm_head.weight.requires_grad
    assert narrow.lm_head.weight is narrow.transformer.wte.weight
    shard(folder)
    assert models.from_pretrained(folder)(tokens).tolist() == whole.tolist()


def test_initial_weights_are_drawn_again_afterwards(folder):
    models.from_pretrained(folder)
    assert float(hx.nn.Linear(50, 50).weight.std()) > 0.05


def test_what_is_no_folder_or_has_no_config(folder, tmp_path):
    for place in (tmp_path / "nowhere", folder / "config.json"):
        with pytest.raises(ConfigError, match="HX3011.*is not a folder"):
            models.from_pretrained(place)
    with pytest.raises(ConfigError, match=r"HX3011.*holds no config\.json"):
        models.from_pretrained(tmp_path)


@pytest.mark.parametrize(("text", "error"), [
    ("{", "HX3011.*cannot be read"), ("[]", "HX3011.*no model_type"), ('{"model_type": 3}', "HX3011.*no model_type"),
    ('{"model_type": "elephant"}', "HX3012.*'elephant'; known are: .*gpt2"),
    ('{"model_type": "gpt2"}', "HX3011.*lacks what GPT2 needs.*n_embd"),
    (json.dumps({**CONFIG, "n_layer": "many"}), "HX3011.*another kind of it"),
    (json.dumps({**CONFIG, "n_head": 0}), "HX3011.*ZeroDivisionError"),
    ('{"model_type": "resnet", "hidden_sizes": [], "depths": []}', "HX3011.*ResNet"),
    (json.dumps({**CONFIG, "n_layer": 10**30}), "HX3011.*n_layer = 10+, for [0-9]+ tensors"),
    (json.dumps({**CONFIG, "add_cross_attention": True}), "HX3012.*add_cross_attention = True is not supported"),
    (json.dumps({**CONFIG, "activation_function": "wave"}), "HX3012.*'wave' is not one of")])  # fmt: skip
def test_what_a_config_may_not_say(folder, text, error):
    (folder / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=error):
        models.from_pretrained(folder)


def test_all_that_does_not_fit_is_in_one_error(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["transformer.ln_f.bias"]
    weights["transformer.ln_g.bias"] = hx.ones(4)
    weights["transformer.wpe.weight"] = hx.ones(9, 4)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="HX3003") as caught:
        models.from_pretrained(folder)
    for part in ("transformer.ln_f.bias", "transformer.ln_g.bias", "wpe.weight: model (8, 4), state (9, 4)"):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_a_pickle_is_never_read(folder, name):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(folder / "sprung"),)

    os.unlink(folder / "model.safetensors")
    (folder / name).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(CheckpointError, match=f"HX3013.*'{name}' is a pickle.*save_pretrained"):
        models.from_pretrained(folder)
    assert not (folder / "sprung").exists()


def test_weights_that_are_missing(folder):
    shard(folder)
    os.unlink(folder / "model-2.safetensors")
    with pytest.raises(CheckpointError, match=r"HX3013.*1 of 2 shards are missing.*model-2\.safetensors"):
        models.from_pretrained(folder)
    os.unlink(folder / "model.safetensors.index.json")
    with pytest.raises(CheckpointError, match="HX3013.*holds neither"):
        models.from_pretrained(folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": [1]}', '{"weight_map": {"a": 1}}'])
def test_an_index_that_is_none(folder, text):
    os.unlink(folder / "model.safetensors")
    (folder / "model.safetensors.index.json").write_text(text)
    with pytest.raises(CheckpointError, match="HX3013"):
        models.from_pretrained(folder)


def test_a_tensor_that_its_shard_lacks(folder):
    shard(folder, first="model-2.safetensors")
    with pytest.raises(CheckpointError, match="HX3013.*1 tensors are not in the shards"):
        models.from_pretrained(folder)


@pytest.mark.parametrize("name", ["../stolen.safetensors", "/{root}/stolen.safetensors", "..", "sub/x.safetensors", "",
                                  "a\\b.safetensors", "model.bin", "nul\0.safetensors"])  # fmt: skip
def test_an_index_cannot_lead_out_of_the_folder(folder, name):
    save_file(load_file(folder / "model.safetensors"), folder.parent / "stolen.safetensors")
    shard(folder, first=name.replace("/{root}", str(folder.parent)))
    with pytest.raises(CheckpointError, match="HX3013.*is not the plain name"):
        models.from_pretrained(folder)


def test_links_may_lead_to_the_store_of_a_snapshot_only(folder):
    outside = folder.parent / "stolen.safetensors"
    os.rename(folder / "model.safetensors", outside)
    os.symlink(outside, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="HX3013.*is not the plain name"):
        models.from_pretrained(folder)
    os.unlink(folder / "model.safetensors")
    (folder.parent / "blobs").mkdir()
    os.rename(outside, folder.parent / "blobs" / "1f")
    (folder.parent / "snapshots").mkdir()
    os.rename(folder, snapshot := folder.parent / "snapshots" / "main")
    os.symlink("../../blobs/1f", snapshot / "model.safetensors")
    assert models.from_pretrained(snapshot).length == 8
