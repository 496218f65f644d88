"""Array, the tensor of helix.array_api: a Tensor in all it shares, the standard's in what differs."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import helix
from helix import array_api as xp


def test_an_array_is_the_tensor_it_was_made_of():
    x = helix.tensor([1.0, 2.0], requires_grad=True)
    y = xp.asarray(x)
    assert isinstance(y, xp.Array) and isinstance(y, helix.Tensor) and y.data_ptr() == x.data_ptr()
    assert y.is_leaf and y.requires_grad and y._version == x._version
    xp.sum(xp.exp(y) * 2).backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp([1.0, 2.0]), rtol=1e-6)
    assert y.grad.tolist() == x.grad.tolist()
    z = helix.zeros(2)
    xp.asarray(z)[0] = 5
    assert z.tolist() == [5.0, 0.0]
    assert xp.asarray(y) is y


def test_results_are_arrays():
    x = xp.asarray([[1.0, 2.0], [3.0, 4.0]])
    for y in (
        x + 1,
        1 - x,
        x @ x,
        x == 1,
        -x,
        abs(x),
        x[0],
        x[x > 2],
        x.T,
        x.mT,
        x.to_device("cpu"),
        next(iter(x)),
        xp.exp(x),
    ):
        assert type(y) is xp.Array
    assert type(helix.ones(2) * x[0]) is type(x[0] * helix.ones(2)) is xp.Array
    assert type(copy.deepcopy(x)) is type(pickle.loads(pickle.dumps(x))) is xp.Array
    assert type(xp.Array([1, 2])) is xp.Array and repr(xp.asarray([1])) == "Array([1])"


@pytest.mark.parametrize("name", ["iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow"])
def test_operators_in_place(name):
    x, other = xp.asarray([5.0, 7.0]), xp.asarray(2.0)
    kept, wanted = x, getattr(np.array([5.0, 7.0]), f"__{name}__")(2.0)
    assert getattr(x, f"__{name}__")(other) is kept
    assert kept.tolist() == wanted.tolist()


def test_operators_refuse_what_is_foreign():
    x = xp.asarray([1, 2])
    for operate in (lambda: x + "a", lambda: x // "a", lambda: [] - x, lambda: x < "a"):
        with pytest.raises(TypeError):
            operate()
    with pytest.raises(TypeError):
        x += "a"


def test_the_standard_where_torch_differs():
    x = xp.ones((2, 3))
    assert x.size == 6 and helix.ones(2, 3).size() == (2, 3)
    with pytest.raises(ValueError, match="HX1001"):
        _ = xp.ones(3).T
    infinity = xp.asarray([np.inf, -np.inf, 1.0, -1.0, np.inf])
    over = xp.asarray([2.0, 2.0, -np.inf, np.inf, np.inf])
    wanted = np.array([np.inf, -np.inf, -0.0, -0.0, np.nan])
    y = infinity + 0.0
    y //= over
    for got in (xp.floor_divide(infinity, over), infinity // over, y):
        np.testing.assert_array_equal(got.numpy(), wanted)
        np.testing.assert_array_equal(np.signbit(got.numpy()), np.signbit(wanted) & ~np.isnan(wanted))
    assert (4.0 // xp.asarray([np.inf, -np.inf])).tolist() == [0.0, 0.0]
    assert np.isnan(xp.sign(xp.asarray(np.nan)).item())
    assert xp.nextafter(xp.asarray(0.0, dtype=xp.float64), 1.0).item() == 5e-324
    assert xp.isin(xp.asarray([1, 2]), 2, invert=True).tolist() == [True, False]


def test_masks():
    x = xp.asarray([[1, 2, 3], [4, 5, 6]])
    assert x[x > 4].tolist() == [5, 6] and x[xp.asarray(True)].shape == (1, 2, 3)
    empty = xp.zeros((0, 0), dtype=xp.bool)
    assert x[empty].shape == (0,) and x[xp.zeros(0, dtype=xp.bool)].shape == (0, 3)
    with pytest.raises(IndexError):
        x[xp.zeros((0, 4), dtype=xp.bool)]
    x[x > 4] = 0
    assert x.tolist() == [[1, 2, 3], [4, 0, 0]]


def test_numbers_from_arrays():
    assert int(xp.asarray(3)) == 3 and float(xp.asarray(2.5)) == 2.5 and complex(xp.asarray(1j)) == 1j
    assert [10, 20][xp.asarray(1)] == 20 and bool(xp.asarray(True))
    with pytest.raises(TypeError):
        [10][xp.asarray(0.0)]
    with pytest.raises(ValueError, match="HX1403"):
        bool(xp.asarray([True, False]))


def test_namespace():
    for version in (None, "2025.12", "2024.12"):
        assert helix.ones(2).__array_namespace__(api_version=version) is xp
    with pytest.raises(ValueError, match="HX1403"):
        helix.ones(2).__array_namespace__(api_version="2019.01")
    assert set(dir(xp)) >= {"linalg", "fft", "bool", "Array"} and xp.__array_api_version__ == "2025.12"


def test_inspection():
    info = xp.__array_namespace_info__()
    assert info.capabilities()["max dimensions"] == 16
    assert xp.ones((1,) * 16).ndim == 16
    with pytest.raises(ValueError, match="16"):
        xp.ones((1,) * 17)
    assert xp.ones(1).device == info.default_device() and info.default_device() in info.devices()
    assert info.default_dtypes() == {
        "real floating": xp.float32, "complex floating": xp.complex64, "integral": xp.int64, "indexing": xp.int64,
    }  # fmt: skip
    assert set(info.dtypes(kind=("bool", "signed integer"))) == {"bool", "int8", "int16", "int32", "int64"}
    assert len(info.dtypes()) == len(info.dtypes(device="cpu")) == 13
    for wrong in ({"kind": "float"}, {"device": "nowhere"}):
        with pytest.raises(ValueError):
            info.dtypes(**wrong)
    assert [xp.finfo(t).eps for t in (xp.float32, xp.ones(1, dtype=xp.complex128))] == [2.0**-23, 2.0**-52]
    assert xp.iinfo(xp.ones(1, dtype=xp.int16)).max == 32767 and xp.finfo(xp.complex64).dtype is xp.float32
    assert xp.isdtype(helix.bfloat16, "real floating") and not xp.isdtype(xp.int8, "unsigned integer")
    for kind, error in (("float", ValueError), (3, TypeError), ((("bool",),), TypeError)):
        with pytest.raises(error):
            xp.isdtype(xp.int8, kind)


REFUSED = {
    "not an array": (lambda: xp.exp([1.0]), TypeError),
    "integers": (lambda: xp.exp(xp.asarray([1])), TypeError),
    "numbers alone": (lambda: xp.add(1, 2), TypeError),
    "mixed kinds": (lambda: xp.concat([xp.asarray([1]), xp.asarray([1.0])]), TypeError),
    "complex to real": (lambda: xp.astype(xp.asarray([1j]), xp.float32), TypeError),
    "clip by an array of floats": (lambda: xp.clip(xp.asarray([1]), xp.asarray(0.5)), TypeError),
    "clip by a float": (lambda: xp.clip(xp.asarray([1]), 0.5), TypeError),
    "two numbers of other kinds": (lambda: xp.where(xp.asarray(True), 1, 2.0), TypeError),
    "no axis": (lambda: xp.sum(xp.ones(2), axis=1), ValueError),
    "an axis twice": (lambda: xp.sum(xp.ones((2, 2)), axis=(0, -2)), ValueError),
    "cumulative without axis": (lambda: xp.cumulative_sum(xp.ones((2, 2))), ValueError),
    "max of nothing": (lambda: xp.max(xp.ones(0)), ValueError),
    "squeeze of 2": (lambda: xp.squeeze(xp.ones((2, 1)), 0), ValueError),
    "expand_dims out of range": (lambda: xp.expand_dims(xp.ones(2), 3), IndexError),
    "expand_dims twice": (lambda: xp.expand_dims(xp.ones(2), (0, 0)), IndexError),
    "shapes": (lambda: xp.broadcast_shapes((2,), (3,)), ValueError),
    "nonzero of a number": (lambda: xp.nonzero(xp.asarray(1)), ValueError),
    "take out of range": (lambda: xp.take(xp.ones(2), xp.asarray([2])), IndexError),
    "take below range": (lambda: xp.take(xp.ones(2), xp.asarray([-3])), IndexError),
    "dimensions of indices": (lambda: xp.take_along_axis(xp.ones((2, 2)), xp.asarray([0])), ValueError),
    "permute some axes": (lambda: xp.permute_dims(xp.ones((2, 2)), (0,)), ValueError),
    "reshape without copy": (lambda: xp.reshape(xp.ones((2, 3)).mT, (6,), copy=False), ValueError),
    "asarray without copy": (lambda: xp.asarray(xp.ones(2), dtype=xp.float64, copy=False), ValueError),
    "linspace of integers": (lambda: xp.linspace(0, 1, 3, dtype=xp.int64), TypeError),
    "step 0": (lambda: xp.arange(0, 1, 0), ValueError),
    "full of text": (lambda: xp.full(2, "a"), TypeError),
    "meshgrid of two dtypes": (lambda: xp.meshgrid(xp.asarray([1]), xp.asarray([1.0])), ValueError),
    "vecdot from the front": (lambda: xp.vecdot(xp.ones(2), xp.ones(2), axis=0), ValueError),
    "vecdot of other sizes": (lambda: xp.vecdot(xp.ones(2), xp.ones(3)), ValueError),
    "searchsorted side": (lambda: xp.searchsorted(xp.ones(2), xp.ones(2), side="middle"), ValueError),
    "triangle of a vector": (lambda: xp.tril(xp.ones(2)), ValueError),
    "roll by two": (lambda: xp.roll(xp.ones(3), (1, 2), axis=(0, 0, 0)), ValueError),
    "rfft of complex": (lambda: xp.fft.rfft(xp.asarray([1j])), TypeError),
    "frequencies of integers": (lambda: xp.fft.fftfreq(4, dtype=xp.int64), TypeError),
    "diff below 0": (lambda: xp.diff(xp.ones(3), n=-1), ValueError),
    "result_type of numbers": (lambda: xp.result_type(1, 2), ValueError),
    "an int too large": (lambda: xp.add(xp.asarray([1], dtype=xp.int8), 128), OverflowError),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case):
    call, error = REFUSED[case]
    with pytest.raises(error) as caught:
        call()
    assert caught.value.code.startswith("HX") and isinstance(caught.value, helix.errors.HelixError)


def test_gradients_flow_through_the_namespace():
    x = helix.tensor([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]], dtype=helix.float64, requires_grad=True)

    def function(t, m):
        y = m.concat([m.exp(t), t * t], axis=0)
        return m.sum(m.sort(y, axis=0)[1:, ...] * m.tanh(y[1:, ...])) + m.mean(m.where(t > 0, t, t * 3))

    function(x, xp).backward()
    step, wanted = 1e-6, np.zeros((2, 3))
    for i, j in np.ndindex(2, 3):
        for sign in (1, -1):
            moved = x.detach().numpy().copy()
            moved[i, j] += sign * step
            wanted[i, j] += sign * function(xp.asarray(moved), xp).item() / (2 * step)
    np.testing.assert_allclose(x.grad.numpy(), wanted, rtol=1e-6, atol=1e-8)
    x.grad = None
    xp.sum(xp.abs(xp.fft.rfft(x)) ** 2).backward()
    assert x.grad.shape == (2, 3) and float(abs(x.grad).sum()) > 0


def test_dlpack():
    x = xp.from_dlpack(np.arange(3.0))
    assert type(x) is xp.Array and np.from_dlpack(x).tolist() == [0, 1, 2]
    for source in (np.arange(3), xp.arange(3)):
        assert xp.from_dlpack(source, copy=True).data_ptr() != xp.from_dlpack(source).data_ptr()
    assert xp.from_dlpack(x, device="cpu", copy=False).data_ptr() == x.data_ptr()


def test_other_devices():
    there = xp.asarray([1.0, 2.0], device="sim:1")
    assert str(there.device) == "sim:1" and type(there.to_device("cpu")) is xp.Array
    assert str(xp.from_dlpack(there, device="cpu").device) == "cpu" and xp.from_dlpack(
        there, device="cpu"
    ).tolist() == [1.0, 2.0]
    for refused in (
        lambda: xp.from_dlpack(there, device="cpu", copy=False),
        lambda: xp.asarray(there, device="cpu", copy=False),
    ):
        with pytest.raises(ValueError, match="HX1403"):
            refused()
    assert str(xp.full_like(there, 3).device) == str(xp.astype(xp.ones(2), xp.int8, device="sim:1").device) == "sim:1"


def test_a_tensor_and_its_array_leave_together():
    """A cycle through a hook is found, however many objects one tensor has."""
    x = helix.ones(2, requires_grad=True)
    y = x.as_subclass(xp.Array)
    x.register_hook(lambda grad, kept=x: None)
    watched = weakref.ref(x)
    (y * 2).sum().backward()
    gc.collect()
    assert watched() is x and x.grad.tolist() == [2.0, 2.0]
    del x, y
    gc.collect()
    assert watched() is None
    with pytest.raises(TypeError):
        helix.ones(2).as_subclass(int)


def test_complex_numbers_keep_both_parts():
    for number in (complex(np.inf, np.inf), complex(np.inf, np.nan), complex(-0.0, np.inf), complex(1, -np.inf)):
        for dtype in (helix.complex64, helix.complex128):
            for made in (
                helix.tensor(number, dtype=dtype),
                helix.full((3,), number, dtype=dtype)[1],
                helix.asarray([number])[0],
            ):
                assert repr(made.item()) == repr(number)
