"""DLPack in both directions, old and versioned, beside NumPy and torch."""

import gc

import numpy as np
import pytest
import torch

import helix

SHARED = [
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "float32",
    "float64",
    "complex64",
    "complex128",
    "bool",
    "float16",
]


@pytest.mark.parametrize("name", [*SHARED, "bfloat16", "uint16", "uint32", "uint64"])
def test_torch(name):
    t = torch.tensor([[0, 1, 1], [1, 0, 1]]).to(getattr(torch, name))
    x = helix.from_dlpack(t)
    assert x.dtype.name == name and x.data_ptr() == t.data_ptr() and x.tolist() == t.tolist()
    back = torch.from_dlpack(x)
    assert back.dtype == t.dtype and back.data_ptr() == t.data_ptr() and torch.equal(back, t)


@pytest.mark.parametrize("name", SHARED)
def test_numpy(name):
    a = np.array([[0, 1], [1, 1]]).astype(name)
    x = helix.from_dlpack(a)
    assert x.dtype.name == name and x.data_ptr() == a.ctypes.data
    back = np.from_dlpack(x)
    assert back.dtype == a.dtype and back.ctypes.data == a.ctypes.data


def test_strides_and_offsets():
    t = torch.arange(24.0).reshape(2, 3, 4)
    for cut in (t.permute(2, 0, 1), t[1, ::2], t[..., 1], t[0, 0, 0], t[:, :0]):
        x = helix.from_dlpack(cut)
        assert x.shape == tuple(cut.shape) and x.tolist() == cut.tolist()
    x = helix.arange(24).view(4, 6)
    for cut in (x.T, x[1:, ::2], x[-1], x[0, 0], x[::-1]):
        if all(step >= 0 for step in cut.stride()):
            assert torch.from_dlpack(cut).tolist() == cut.tolist()
        assert np.from_dlpack(cut).tolist() == cut.tolist()


def test_writes_are_shared():
    t = torch.zeros(3)
    x = helix.from_dlpack(t)
    x[1] = 5
    t[2] = 7
    assert t.tolist() == [0, 5, 7] == x.tolist()


def test_capsules():
    x = helix.arange(3)
    assert x.__dlpack_device__() == (1, 0)
    assert "dltensor_versioned" in repr(x.__dlpack__(max_version=(1, 0))) and '"dltensor"' in repr(x.__dlpack__())
    for capsule in (x.__dlpack__(), x.__dlpack__(max_version=(1, 1))):
        assert helix.from_dlpack(capsule).tolist() == [0, 1, 2]
        with pytest.raises(TypeError, match="used before"):
            helix.from_dlpack(capsule)


def test_lifetime():
    gc.collect()
    before = helix.memory_stats()
    for version in (None, (1, 0)):
        x = helix.ones(1000)
        unused = x.__dlpack__(max_version=version)
        del x, unused
        capsule = helix.ones(1000).__dlpack__(max_version=version)
        y = helix.from_dlpack(capsule)
        del capsule
        assert y.tolist() == [1.0] * 1000
        del y
    gc.collect()
    after = helix.memory_stats()
    assert after["live_tensors"] == before["live_tensors"] and after["live_bytes"] == before["live_bytes"]


def test_copy_and_device_requests():
    x = helix.arange(3)
    assert helix.from_dlpack(x, copy=True).data_ptr() != x.data_ptr()
    assert helix.from_dlpack(x).data_ptr() == x.data_ptr()
    with pytest.raises(BufferError):
        x.__dlpack__(dl_device=(2, 0), max_version=(1, 0))
    with pytest.raises(BufferError):
        x.__dlpack__(stream=3)
    with pytest.raises(BufferError):
        helix.ones(2, requires_grad=True).__dlpack__()


def test_read_only_memory():
    a = np.arange(3.0)
    a.flags.writeable = False
    x = helix.from_numpy(a)
    with pytest.raises(BufferError):
        x.__dlpack__()
    y = helix.from_dlpack(x)
    with pytest.raises(ValueError, match="read-only"):
        y.add_(1)


def test_what_is_refused():
    with pytest.raises((TypeError, AttributeError)):
        helix.from_dlpack([1, 2])
    assert helix.tensor(torch.arange(3)).tolist() == [0, 1, 2]
