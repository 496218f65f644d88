"""NumPy arrays and buffers, in and out, over the same memory."""

import array

import ml_dtypes
import numpy as np
import pytest

import helix
from helix.errors import ArgumentError, DTypeError, GradientError, ParameterError

DTYPES = [np.dtype(name) for name in helix.dtypes.NAMES if name != "bfloat16"] + [np.dtype(ml_dtypes.bfloat16)]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_there_and_back(dtype):
    a = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    x = helix.from_numpy(a)
    assert x.dtype.name == dtype.name and x.data_ptr() == a.ctypes.data
    back = x.numpy()
    assert back.dtype == dtype and back.ctypes.data == a.ctypes.data
    a[0, 0] = 1
    assert x[0, 0].item() == 1 and back[0, 0] == 1
    assert x.dtype.numpy == dtype and helix.zeros(1, dtype=dtype).dtype.name == dtype.name


@pytest.mark.parametrize("cut", [np.s_[::-1], np.s_[:, ::-2], np.s_[..., None], np.s_[1:1], np.s_[:, 1]], ids=str)
def test_strides(cut):
    a = np.arange(24.0).reshape(4, 6)[cut]
    x = helix.from_numpy(a)
    np.testing.assert_array_equal(x.numpy(), a)
    assert x.shape == a.shape
    t = helix.arange(24).view(4, 6).T
    np.testing.assert_array_equal(t.numpy(), np.arange(24).reshape(4, 6).T)
    np.testing.assert_array_equal(np.asarray(helix.arange(6)[::-2]), [5, 3, 1])
    np.testing.assert_array_equal(helix.ones(1).expand(3).numpy(), [1, 1, 1])


def test_memory_outlives_its_maker():
    a = np.arange(5)
    x = helix.from_numpy(a)
    del a
    assert x.tolist() == [0, 1, 2, 3, 4]
    array_ = helix.arange(5).numpy()
    assert array_.tolist() == [0, 1, 2, 3, 4]


def test_read_only_memory():
    a = np.arange(3.0)
    a.flags.writeable = False
    x = helix.from_numpy(a)
    assert not x.numpy().flags.writeable
    for change in (lambda: x.add_(1), lambda: x.__setitem__(0, 1), lambda: helix.add(x, 1, out=x)):
        with pytest.raises(ParameterError, match="read-only"):
            change()
    assert helix.tensor(a).add_(1).tolist() == [1, 2, 3]


def test_what_has_no_dtype():
    for bad in (np.array(["a"]), np.array([object()]), np.zeros(2, "M8[s]"), np.zeros(2, [("a", "f4"), ("b", "i4")])):
        with pytest.raises((DTypeError, ArgumentError)):
            helix.from_numpy(bad)
    with pytest.raises(DTypeError):
        helix.from_numpy(np.arange(3, dtype=">i4"))
    with pytest.raises(ArgumentError):
        helix.from_numpy([1, 2])
    raw = np.zeros(9, np.uint8)
    with pytest.raises(ParameterError, match="aligned"):
        helix.from_numpy(raw[1:].view(np.float32))


def test_gradients_do_not_leave():
    w = helix.ones(2, requires_grad=True)
    for leave in (w.numpy, lambda: np.asarray(w), (w * 2).numpy):
        with pytest.raises(GradientError):
            leave()
    assert w.numpy(force=True).tolist() == [1, 1] and w.detach().numpy().tolist() == [1, 1]


def test_array_protocols():
    x = helix.arange(3)
    assert np.asarray(x).tolist() == [0, 1, 2] and np.array(x, dtype=np.float32).dtype == np.float32
    assert np.sin(helix.zeros(2)).tolist() == [0, 0]
    view = memoryview(x)
    assert view.shape == (3,) and view.format == "l" and view.tolist() == [0, 1, 2]
    assert memoryview(helix.tensor([1, 2], dtype=helix.uint8)).tobytes() == b"\x01\x02"
    assert not memoryview(helix.arange(6).view(2, 3).T).c_contiguous


@pytest.mark.parametrize("export", [lambda x: x.numpy(), memoryview, lambda x: np.asarray(memoryview(x))])
def test_memory_that_was_given_away_outlives_its_tensor(export):
    """A tensor may come to show other memory (set_, resize_) while an array shows what it showed."""
    x = helix.zeros(100_000)
    array = export(x)
    x.set_(helix.ones(3))
    others = [helix.full((100_000,), 7.0) for _ in range(4)]
    assert not np.asarray(array).any() and len(others) == 4
    before = helix.memory_stats()["live_bytes"]
    del array
    assert before - helix.memory_stats()["live_bytes"] == 400_000


def test_asarray():
    a = np.arange(3)
    assert helix.asarray(a).data_ptr() == a.ctypes.data and helix.as_tensor(a, helix.float32).dtype is helix.float32
    assert helix.asarray(a, copy=True).data_ptr() != a.ctypes.data
    with pytest.raises(ParameterError):
        helix.asarray([1], copy=False)
    with pytest.raises(ParameterError):
        helix.asarray(a, dtype=helix.float32, copy=False)
    x = helix.ones(2)
    assert helix.asarray(x) is x and helix.tensor(x) is not x and helix.tensor(x).data_ptr() != x.data_ptr()
    assert helix.tensor(np.float32(2.5)).dtype is helix.float32 and helix.tensor(np.bool_(True)).dtype is helix.bool
    assert helix.tensor([np.float64(1), np.int64(2)]).tolist() == [1, 2] and helix.tensor(
        [np.arange(2), np.arange(2)]
    ).shape == (2, 2)
    assert helix.asarray(array.array("d", [1, 2])).dtype is helix.float64
    assert helix.tensor(range(3)).tolist() == [0, 1, 2]


def test_frombuffer():
    data = bytearray(np.arange(4, dtype=np.int32).tobytes())
    x = helix.frombuffer(data, dtype=helix.int32)
    assert x.tolist() == [0, 1, 2, 3] and helix.frombuffer(data, dtype=helix.int32, count=2, offset=4).tolist() == [
        1,
        2,
    ]
    x[0] = 9
    assert data[0] == 9
    for arguments in ({"count": 9}, {"offset": 17}, {"offset": 1}, {"offset": -4}):
        with pytest.raises(ParameterError):
            helix.frombuffer(data, dtype=helix.int32, **arguments)


@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "float16", "float32", "float64", "complex64", "complex128"])
def test_numbers_of_numpy_keep_their_dtype(dtype):
    number = np.dtype(dtype).type(1)
    for make in (helix.tensor, helix.asarray):
        assert make(number).dtype == getattr(helix, dtype) and make(number).shape == ()
