"""safetensors and JSON files: exact, whole, and safe to read."""

import json
import os

import numpy as np
import pytest
import safetensors.numpy

import helix
from helix.errors import FormatError
from helix.io import atomic_write, load_file, load_header, load_json, save_file, save_json


def everything():
    made = {name: helix.tensor([[1, 0, 1]], dtype=name) for name in helix.dtypes.NAMES if name != "complex128"}
    made["strided"] = helix.arange(12).view(3, 4).T
    made["number"] = helix.tensor(2.5)
    made["empty"] = helix.zeros(0, 3)
    made["weight"] = helix.ones(2, requires_grad=True)
    return made


def test_there_and_back(tmp_path):
    path = tmp_path / "w.safetensors"
    tensors = everything()
    save_file(tensors, path, {"format": "helix", "größe": "1"})
    loaded = load_file(path)
    assert set(loaded) == set(tensors)
    for name, tensor in tensors.items():
        assert loaded[name].dtype is tensor.dtype and loaded[name].shape == tensor.shape
        assert loaded[name].tolist() == tensor.tolist()
    header, metadata = load_header(path)
    assert metadata == {"format": "helix", "größe": "1"} and header["number"] == (helix.float32, ())
    assert os.listdir(tmp_path) == ["w.safetensors"]


def test_beside_the_reference_library(tmp_path):
    path = tmp_path / "w.safetensors"
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array([1, 2], np.int8), "c": np.array(True)}
    safetensors.numpy.save_file(arrays, path, {"k": "v"})
    loaded = load_file(path)
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name].numpy(), array)
    save_file(loaded, path)
    for name, array in safetensors.numpy.load_file(path).items():
        np.testing.assert_array_equal(array, arrays[name])


def test_loaded_memory_is_private(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"a": helix.zeros(3)}, path)
    a = load_file(path)["a"]
    a += 1
    assert load_file(path)["a"].tolist() == [0, 0, 0] and a.tolist() == [1, 1, 1]
    save_file({"a": a}, path)
    assert load_file(path)["a"].tolist() == [1, 1, 1]


def write(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)


def entry(begin, end, shape=(1,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


DAMAGED = {
    "past the end": ({"a": entry(0, 8, (2,))}, b"1234"),
    "hole": ({"a": entry(0, 4), "b": entry(8, 12)}, b"123456789012"),
    "hole at the start": ({"a": entry(4, 8)}, b"12345678"),
    "overlap": ({"a": entry(0, 8, (2,)), "b": entry(4, 12, (2,))}, b"123456789012"),
    "rest": ({"a": entry(0, 4)}, b"12345678"),
    "wrong size": ({"a": entry(0, 4, (2,))}, b"1234"),
    "backwards": ({"a": entry(4, 0)}, b"1234"),
    "negative": ({"a": entry(-4, 0)}, b"1234"),
    "huge shape": ({"a": entry(0, 4, (2**62, 2**62))}, b"1234"),
    "float size": ({"a": entry(0, 4, (1.0,))}, b"1234"),
    "bool size": ({"a": entry(0, 4, (True,))}, b"1234"),
    "dtype": ({"a": entry(0, 4, dtype="F99")}, b"1234"),
    "dtype kind": ({"a": entry(0, 4, dtype=3)}, b"1234"),
    "keys": ({"a": {"dtype": "F32", "shape": [1]}}, b"1234"),
    "no mapping": (b"[1, 2]", b""),
    "not JSON": (b"{oops}", b""),
    "double name": (
        b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
        b"",
    ),
    "metadata": ({"__metadata__": {"a": 1}}, b""),
    "not UTF-8": (b'{"\xff":1}', b""),
    "deep": (b'{"a":' * 100_000, b""),
    "rank": ({"a": entry(0, 4, [1] * 40)}, b"1234"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_are_refused(tmp_path, name):
    path = tmp_path / "w.safetensors"
    write(path, *DAMAGED[name])
    with pytest.raises(FormatError) as caught:
        load_file(path)
    assert caught.value.code in ("HX2001", "HX2002", "HX2003") and len(str(caught.value)) < 400
    with pytest.raises(FormatError):
        load_header(path)


def test_damaged_lengths(tmp_path):
    path = tmp_path / "w.safetensors"
    for content in (
        b"",
        b"1234567",
        (1 << 63).to_bytes(8, "little"),
        (200_000_000).to_bytes(8, "little"),
        (50).to_bytes(8, "little") + b"{}",
    ):
        path.write_bytes(content)
        with pytest.raises(FormatError, match="HX2001"):
            load_file(path)


def test_every_cut_of_a_file_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"a": helix.arange(4), "b": helix.ones(3)}, path, {"k": "v"})
    whole = path.read_bytes()
    for n in range(len(whole)):
        path.write_bytes(whole[:n])
        with pytest.raises(FormatError):
            load_file(path)


def test_unaligned_files_load(tmp_path):
    path = tmp_path / "w.safetensors"
    write(path, {"a": entry(0, 1, (1,), "U8"), "b": entry(1, 9, (1,), "F64")}, b"\x07" + np.float64(2.5).tobytes())
    loaded = load_file(path)
    assert loaded["a"].tolist() == [7] and loaded["b"].tolist() == [2.5]


def test_what_cannot_be_saved(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"a": helix.ones(1)}, path)
    for tensors, metadata in (
        ({1: helix.ones(1)}, None),
        ({"a": 3}, None),
        ({"__metadata__": helix.ones(1)}, None),
        ({}, {"a": 1}),
        ({"a": helix.ones(1, dtype=helix.complex128)}, None),
    ):
        with pytest.raises(FormatError, match="HX2004"):
            save_file(tensors, path, metadata)
    assert load_file(path)["a"].tolist() == [1] and os.listdir(tmp_path) == ["w.safetensors"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "f"
    path.write_text("old")
    with pytest.raises(KeyError), atomic_write(path) as file:
        file.write(b"half")
        raise KeyError
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["f"]


def test_json(tmp_path):
    path = tmp_path / "s.json"
    save_json({"a": [1, 2.5, None, "ä"]}, path)
    assert load_json(path) == {"a": [1, 2.5, None, "ä"]}
    with pytest.raises(FormatError):
        save_json({"a": float("nan")}, path)
    with pytest.raises(FormatError):
        save_json({"a": object()}, path)
    with pytest.raises(FormatError):
        load_json(path, limit=5)
    path.write_text("{")
    with pytest.raises(FormatError):
        load_json(path)
