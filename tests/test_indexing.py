"""x[key], x[key] = value and their gradients against NumPy, for generated keys of every kind."""

from __future__ import annotations

import numpy as np
import pytest

import helix

SHAPES = [(), (5,), (4, 3), (2, 3, 4), (3, 1, 2, 5), (2, 2, 3, 2, 2), (0, 3), (3, 0, 2)]
DTYPES = ["float32", "int64", "uint8", "bool", "complex128", "int16"]
INDEX_DTYPES = [np.int64, np.int32, np.uint8, np.int8, np.uint64]


class Keys:
    """Draws keys that fit a shape, as NumPy takes them; `to_helix` exchanges the arrays for tensors."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)

    def slice(self, n: int) -> slice:
        bounds = [None, *range(-n - 2, n + 3)]
        start, stop = (bounds[i] for i in self.rng.integers(len(bounds), size=2))
        return slice(start, stop, [None, 1, 2, 3, -1, -2, -7][self.rng.integers(7)])

    def ints(self, n: int, shape: tuple[int, ...]) -> np.ndarray:
        dtype = INDEX_DTYPES[self.rng.integers(len(INDEX_DTYPES))]
        low = 0 if np.issubdtype(dtype, np.unsignedinteger) else -n
        return self.rng.integers(low, n, size=shape).astype(dtype)

    def basic(self, shape: tuple[int, ...]) -> tuple:
        parts: list = []
        for n in shape[: self.rng.integers(len(shape) + 1)]:
            parts.append(int(self.rng.integers(-n, n)) if n and self.rng.random() < 0.4 else self.slice(n))
        for _ in range(self.rng.integers(3)):
            parts.insert(self.rng.integers(len(parts) + 1), None)
        if self.rng.random() < 0.3:
            parts.append(Ellipsis)
        return tuple(parts)

    def advanced(self, shape: tuple[int, ...]) -> tuple:
        together = tuple(
            int(n) for n in self.rng.integers(0 if self.rng.random() < 0.1 else 1, 4, size=self.rng.integers(3))
        )
        parts: list = []
        axis, gathers = 0, False
        while axis < len(shape):
            n, kind = shape[axis], self.rng.random()
            if kind < 0.35 and n:
                stretched = tuple(1 if self.rng.random() < 0.3 else size for size in together)
                parts.append(self.ints(n, stretched[self.rng.integers(len(stretched) + 1) :]))
                gathers = True
            elif kind < 0.45 and len(together) <= 1:
                mask = self.rng.random(shape[axis : axis + self.rng.integers(1, 3)]) < 0.5
                if together and int(mask.sum()) not in (1, together[0]):
                    mask = self.with_count(mask, together[0])
                together = together or (int(mask.sum()),)
                parts.append(mask)
                axis += mask.ndim - 1
                gathers = True
            elif kind < 0.6 and n:
                parts.append(int(self.rng.integers(-n, n)))
            else:
                parts.append(self.slice(n) if kind < 0.9 else slice(None))
            axis += 1
            if self.rng.random() < 0.15:
                parts.append(None)
        while parts and isinstance(parts[-1], slice) and self.rng.random() < 0.5:
            parts.pop()
        if gathers and self.rng.random() < 0.2:
            parts.append(Ellipsis)
        return tuple(parts)

    def with_count(self, mask: np.ndarray, count: int) -> np.ndarray:
        flat = np.zeros(mask.size, bool)
        flat[self.rng.permutation(mask.size)[:count]] = True
        return flat.reshape(mask.shape)


def to_helix(key):
    if isinstance(key, tuple):
        return tuple(to_helix(part) for part in key)
    return helix.tensor(key) if isinstance(key, np.ndarray) else key


def values(rng, shape, dtype: str) -> np.ndarray:
    if dtype == "complex128":
        drawn = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    elif dtype == "bool":
        drawn = rng.random(shape) < 0.5
    else:
        drawn = np.asarray(rng.normal(size=shape) * 50).astype("int64")
    return np.asarray(drawn).astype(dtype)


def layouts(array: np.ndarray):
    """The same values in several memory layouts."""
    yield helix.tensor(array)
    if array.ndim:
        yield helix.tensor(np.ascontiguousarray(array.T)).permute(*range(array.ndim - 1, -1, -1))
        yield helix.tensor(np.ascontiguousarray(array[::-1])).flip(0)
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
        wide[..., ::2] = array
        yield helix.tensor(wide)[..., ::2]


def fits(array: np.ndarray, key) -> bool:
    try:
        array[key]
        return True
    except IndexError:
        return False


def cases(kind: str, count: int):
    for seed in range(count):
        keys = Keys(seed * 2 + (kind == "advanced"))
        shape = SHAPES[seed % len(SHAPES)]
        yield seed, shape, getattr(keys, kind)(shape)


CASES = [
    pytest.param(*case, id=f"{kind}-{case[0]}")
    for kind, n in (("basic", 160), ("advanced", 480))
    for case in cases(kind, n)
]


@pytest.mark.parametrize(("seed", "shape", "key"), CASES)
def test_read_and_write(seed, shape, key):
    rng = np.random.default_rng(seed)
    dtype = DTYPES[seed // len(SHAPES) % len(DTYPES)]
    array = values(rng, shape, dtype)
    if not fits(array, key):
        with pytest.raises(IndexError):
            helix.tensor(array)[to_helix(key)]
        return
    expected = np.asarray(array[key])
    written = values(rng, expected.shape, dtype)
    one = values(rng, (1,) * expected.ndim, dtype)
    for tensor in layouts(array):
        result = tensor[to_helix(key)]
        assert tuple(result.shape) == expected.shape
        np.testing.assert_array_equal(result.numpy(), expected)
        for value in (written, one, one.reshape(-1)[0, ...]):
            target, changed = array.copy(), tensor.clone()
            target[key] = value
            changed[to_helix(key)] = helix.tensor(value)
            np.testing.assert_array_equal(changed.numpy(), target)


@pytest.mark.parametrize(("seed", "shape", "key"), CASES[::3])
def test_gradients(seed, shape, key):
    rng = np.random.default_rng(seed)
    array = np.asarray(rng.normal(size=shape))
    if not fits(array, key):
        return
    weight = np.asarray(rng.normal(size=array[key].shape))
    for tensor in layouts(array):
        x = tensor.detach().requires_grad_()
        w = helix.tensor(weight).requires_grad_()
        (gradient,) = helix.autograd.grad((x[to_helix(key)] * w).sum(), (x,), create_graph=True)
        expected = np.zeros(shape)
        np.add.at(expected, key, weight)
        np.testing.assert_allclose(gradient.detach().numpy(), expected, rtol=1e-12, atol=1e-12)
        probe = np.asarray(rng.normal(size=shape))
        (second,) = helix.autograd.grad((gradient * helix.tensor(probe)).sum(), (w,))
        np.testing.assert_allclose(second.detach().numpy(), probe[key], rtol=1e-12)


@pytest.mark.parametrize(("seed", "shape", "key"), list(CASES[::5]))
def test_gradients_of_assignment(seed, shape, key):
    rng = np.random.default_rng(seed)
    array = np.asarray(rng.normal(size=shape))
    if not fits(array, key):
        return
    places = np.arange(array.size).reshape(shape)[key]
    if len(np.unique(places)) != places.size:
        return
    probe = np.asarray(rng.normal(size=shape))
    x = helix.tensor(array).requires_grad_()
    value = helix.tensor(np.asarray(rng.normal(size=places.shape))).requires_grad_()
    y = x * 1
    y[to_helix(key)] = value
    (y * helix.tensor(probe)).sum().backward()
    expected = probe.copy()
    expected[key] = 0
    np.testing.assert_array_equal(x.grad.numpy(), expected)
    np.testing.assert_array_equal(value.grad.numpy(), probe[key])


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int32", "complex64", "bool"])
def test_accumulate(dtype):
    rng = np.random.default_rng(0)
    source = values(rng, (300, 5), "int64") % 8
    index = rng.integers(-7, 7, size=300)
    start = helix.zeros(7, 5).to(getattr(helix, dtype))
    value = helix.tensor(source).to(start.dtype)
    expected = np.zeros((7, 5), bool if dtype == "bool" else np.int64)
    np.add.at(expected, index, source.astype(expected.dtype))
    readable = start.dtype if dtype in ("complex64", "bool") else helix.float64
    for added in (
        start.index_put((helix.tensor(index),), value, accumulate=True),
        start.index_add(0, helix.tensor(index), value),
        start.clone().index_put_([helix.tensor(index)], value, True),
    ):
        np.testing.assert_array_equal(added.to(readable).numpy(), expected)


def test_masks_of_other_sizes_fail_before_anything_is_written():
    x = helix.zeros(3, 4)
    with pytest.raises(IndexError, match="HX1303"):
        x[helix.ones(2, 4).to(helix.bool)]
    with pytest.raises(ValueError, match="HX1003"):
        x[helix.ones(3, 4).to(helix.bool)] = helix.ones(5)
    with pytest.raises(IndexError, match=r"HX1301.*index 3 at position \(2,\) is outside axis 0, whose size is 3"):
        x[helix.tensor([0, 1, 3])] = 1.0
    with pytest.raises(IndexError, match="HX1301.*-5"):
        x[:, [0, -5]] = 1.0
    with pytest.raises(IndexError):
        x[0, 0, 0]
    with pytest.raises(IndexError, match="HX1003"):
        x[helix.tensor([0, 1]), helix.tensor([0, 1, 2])]
    assert not x.any()


def test_a_tensor_can_index_itself():
    x = helix.tensor([2, 0, 1])
    x[x] = x
    np.testing.assert_array_equal(x.numpy(), [0, 1, 2])
    x = helix.tensor([3.0, 1.0, 2.0])
    x[[1, 2, 0]] = x
    np.testing.assert_array_equal(x.numpy(), [2.0, 3.0, 1.0])


@pytest.mark.parametrize("n", [1, 3, 70_000, 200_001])
def test_long_masks_and_indices(n):
    rng = np.random.default_rng(n)
    array, mask = rng.normal(size=(n, 3)), rng.random(n) < 0.3
    x = helix.tensor(array)
    np.testing.assert_array_equal(x[helix.tensor(mask)].numpy(), array[mask])
    np.testing.assert_array_equal(helix.tensor(mask).nonzero().numpy(), np.argwhere(mask))
    order = rng.permutation(n)
    np.testing.assert_array_equal(x[helix.tensor(order)].numpy(), array[order])
    np.testing.assert_array_equal(x[helix.tensor(order), 1].numpy(), array[order, 1])
    np.testing.assert_array_equal((x > 0).nonzero().numpy(), np.argwhere(array > 0))


def test_sums_have_the_same_bits_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    index, source = (
        helix.tensor(rng.integers(0, 50, 4000)),
        helix.tensor(rng.normal(size=(4000, 200)).astype("float32")),
    )
    before, results = helix.get_num_threads(), []
    for threads in (1, 2, 4):
        helix.set_num_threads(threads)
        results.append(helix.zeros(50, 200).index_add(0, index, source).numpy().tobytes())
    helix.set_num_threads(before)
    assert len(set(results)) == 1
