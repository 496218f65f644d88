"""Operators and indexing, beside torch and NumPy."""

import operator

import numpy as np
import pytest
import torch

import helix
from helix.errors import ArgumentError, GradientError, IndexRangeError, ShapeError

ARITHMETIC = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")
COMPARE = ("lt", "le", "eq", "ne", "gt", "ge")
BITS = ("and_", "or_", "xor", "lshift", "rshift")
NUMBERS = (2, 3.0, True)


def same(h, t):
    assert h.dtype.name == str(t.dtype).removeprefix("torch.")
    np.testing.assert_allclose(h.numpy(), t.numpy(), rtol=1e-6)


@pytest.mark.parametrize("name", ARITHMETIC + COMPARE)
@pytest.mark.parametrize("dtype", ("float32", "float64", "int64", "int32"))
def test_binary(name, dtype):
    function = getattr(operator, name)
    a, b = np.array([[1, 2, 3], [4, 5, 6]]), np.array([3, 2, 1])
    h = [helix.tensor(v, dtype=dtype) for v in (a, b)]
    t = [torch.tensor(v, dtype=getattr(torch, dtype)) for v in (a, b)]
    same(function(*h), function(*t))
    for number in NUMBERS[:2] if name == "sub" else NUMBERS:  # torch subtracts no bools
        same(function(h[0], number), function(t[0], number))
        same(function(number, h[0]), function(number, t[0]))


@pytest.mark.parametrize("name", BITS)
def test_bits(name):
    function = getattr(operator, name)
    h, t = helix.tensor([6, 3, 1]), torch.tensor([6, 3, 1])
    same(function(h, 2), function(t, 2))
    same(function(h, h), function(t, t))
    assert (~helix.tensor([True, False])).tolist() == [False, True]


@pytest.mark.parametrize("name", ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow"))
def test_in_place(name):
    h, t = helix.tensor([4.0, 9.0]), torch.tensor([4.0, 9.0])
    before = h
    h = getattr(operator, name)(h, 2)
    same(h, getattr(operator, name)(t, 2))
    assert h is before and h._version == 1


def test_unary_and_matrix():
    x = helix.tensor([[1.0, -2.0], [3.0, 4.0]])
    assert (-x).tolist() == [[-1, 2], [-3, -4]] and abs(x).tolist() == [[1, 2], [3, 4]] and (+x).tolist() == x.tolist()
    assert (x @ x).tolist() == [[-5, -10], [15, 10]]
    assert [y.tolist() for y in divmod(helix.tensor([7]), 2)] == [[3], [1]]


def test_numbers_stay_weak():
    x = helix.ones(2, dtype=helix.float16)
    for y in (x + 1, x * 2.5, 1 - x, x / 3, x == 1.0):
        assert y.dtype in (helix.float16, helix.bool)
    assert (helix.ones(2, dtype=helix.int8) + 1).dtype is helix.int8
    assert (helix.ones(2, dtype=helix.int8) * 1.5).dtype is helix.float32
    assert (helix.ones(2) * 1j).dtype is helix.complex64
    assert (helix.tensor([0.1]) == 0.1).item() is True
    assert (helix.ones(1) * -0.0).tolist() == [-0.0] and str((helix.ones(1) * 0.0).item()) == "0.0"
    with pytest.raises(OverflowError):
        helix.ones(1, dtype=helix.int64) + 2**70


def test_what_is_not_a_tensor():
    x = helix.ones(2)
    with pytest.raises(ArgumentError, match=r"helix.tensor"):
        x + np.ones(2)
    with pytest.raises(ArgumentError, match=r"helix.tensor"):
        np.ones(2) + x
    with pytest.raises(TypeError):
        x + "a"
    with pytest.raises(TypeError):
        x + [1, 2]
    assert (x == None) is False and (x != None) is True  # noqa: E711
    assert (x * np.float32(2)).tolist() == [2, 2] and (np.float64(2) * x).tolist() == [2, 2]

    class Other:
        def __radd__(self, other):
            return "mine"

    assert x + Other() == "mine"


BASE = np.arange(120).reshape(2, 3, 4, 5)
KEYS = [
    0,
    -1,
    slice(None),
    slice(1, None),
    slice(None, None, -1),
    slice(None, None, 2),
    slice(5, 1),
    slice(-1, None),
    Ellipsis,
    None,
    (),
    (0, 1),
    (0, 1, 2, 3),
    (Ellipsis, 1),
    (1, Ellipsis),
    (slice(None), 1),
    (slice(None), None, 2),
    (None, None),
    (Ellipsis, None),
    (slice(None), slice(2, 0, -1)),
    (0, slice(1, 3), Ellipsis, slice(None, None, 2)),
    (np.int64(1),),
    np.int32(0),
    [0, 1, 1],
    ([0, 1], [1, 2]),
    (slice(None), [0, 2]),
    ([0, 1], slice(None), [1, 2]),
    (0, slice(None), [1, 2]),
    (0, [1, 2]),
    (slice(None), 0, [1, 2]),
    (Ellipsis, [0, 4]),
    ([[0, 1], [1, 0]],),
    (np.array([0, 1]), np.array([[1], [2]])),
    (None, [0, 1]),
    BASE > 50,
    (BASE > 50).any(axis=(2, 3)),
    (slice(None), np.array([True, False, True])),
    (0, np.array([True, False, True])),
    True,
    False,
    (True, 0),
    [],
    np.array(1),
    ([0], Ellipsis, [1]),
    (slice(None), [2, 0], slice(1, 3), [1, 1]),
]


def as_helix(key):
    if isinstance(key, tuple):
        return tuple(as_helix(part) for part in key)
    return helix.tensor(key) if isinstance(key, np.ndarray) else key


@pytest.mark.parametrize("key", KEYS, ids=lambda key: str(key)[:40].replace("\n", " "))
def test_reading_as_numpy(key):
    x = helix.tensor(BASE)
    expected = BASE[np.array(key, dtype=int) if isinstance(key, list) and not key else key]
    for given in (key, as_helix(key)):
        found = x[given]
        assert found.shape == expected.shape
        np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: str(key)[:40].replace("\n", " "))
def test_writing_as_numpy(key):
    x, expected = helix.tensor(BASE), BASE.copy()
    key_np = np.array(key, dtype=int) if isinstance(key, list) and not key else key
    x[key] = -1
    expected[key_np] = -1
    np.testing.assert_array_equal(x.numpy(), expected)
    shape = expected[key_np].shape
    values = np.arange(int(np.prod(shape))).reshape(shape) + 1000
    x[key] = helix.tensor(values)
    expected[key_np] = values
    np.testing.assert_array_equal(x.numpy(), expected)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: str(key)[:40].replace("\n", " "))
def test_gradient_of_reading(key):
    values = BASE.astype(np.float64)
    x = helix.tensor(values, requires_grad=True)
    y = x[key]
    weight = np.arange(1, y.numel() + 1, dtype=np.float64).reshape(y.shape)
    y.backward(helix.tensor(weight))
    expected = np.zeros_like(values)
    np.add.at(expected, np.array(key, dtype=int) if isinstance(key, list) and not key else key, weight)
    np.testing.assert_array_equal(x.grad.numpy(), expected)


def test_views_share_memory():
    x = helix.zeros(3, 4)
    x[1][2] = 5
    x[:, 0].fill_(7)
    x[0:1, 1:3] += 2
    assert x.tolist() == [[7, 2, 2, 0], [7, 0, 5, 0], [7, 0, 0, 0]]


def test_writing_with_gradient():
    x = helix.zeros(3, 2)
    w = helix.tensor([1.0, 2.0], requires_grad=True)
    x[1] = w * 3
    assert x.requires_grad and not x.is_leaf
    (x * x).backward(helix.ones(3, 2))
    assert w.grad.tolist() == [18, 36]
    y = helix.zeros(4)
    v = y[1:3]
    y[2] = w.sum()
    assert v.requires_grad and v.grad_fn is not None
    z = helix.ones(3) * 2
    z[[0, 2]] = w
    assert z.tolist() == [1, 2, 2] and z.requires_grad


def test_assigned_values():
    x = helix.zeros(2, 3)
    x[0] = [1, 2, 3]
    x[1] = np.array([[4, 5, 6]])
    assert x.tolist() == [[1, 2, 3], [4, 5, 6]]
    x[:] = 1.5
    i = helix.zeros(2, dtype=helix.int64)
    i[0] = True
    assert i.tolist() == [1, 0]
    with pytest.raises(ShapeError):
        x[0] = helix.zeros(2)
    assert x.tolist() == [[1.5] * 3] * 2


def test_bad_indices():
    x = helix.zeros(2, 3)
    for key in (2, -3, (0, 3), (0, 0, 0), (Ellipsis, Ellipsis), "a", 1.0, (0, 1.5), [0, slice(None)], helix.zeros(2)):
        with pytest.raises(IndexRangeError):
            x[key]
    with pytest.raises(IndexRangeError):
        helix.tensor(1)[0]
    with pytest.raises(IndexRangeError):
        x[[5]]
    with pytest.raises(ValueError):
        x[::0]
    with pytest.raises(IndexRangeError):
        x[helix.tensor([True])]
    with pytest.raises(IndexRangeError):
        x[2] = 1


def test_leaves_are_protected():
    w = helix.ones(2, requires_grad=True)
    for change in (lambda: w.__iadd__(1), lambda: w.__setitem__(0, 1), lambda: w.mul_(2), lambda: w[0].fill_(2)):
        with pytest.raises(GradientError, match="HX1504"):
            change()
    with helix.no_grad():
        w += 1
        w[0] = 5
    assert w.tolist() == [5, 2]
