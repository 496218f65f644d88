"""helix.fft beyond what follows from the records: every kind of length, accuracy, threads, plans that give way."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import helix

Array = np.ndarray

# One of each way: in lanes, as a matrix (also one with ends that fill no register), convolved, and shared by threads.
LENGTHS = (1, 2, 3, 7, 16, 31, 37, 60, 97, 121, 128, 243, 289, 512, 1000, 1009, 1155, 4096, 6000, 10007, 1 << 15)
EPS = {"float32": 2.0**-24, "float64": 2.0**-53}


def signal(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    return values.astype("complex64" if dtype == "float32" else "complex128")


def exact(x: Array, axis: int = -1) -> Array:
    """In float64 for float32, in long double for float64."""
    if x.dtype == np.complex64:
        return np.fft.fft(x.astype(np.complex128), axis=axis)
    n = x.shape[axis]
    angle = 2 * np.arctan2(np.longdouble(0), np.longdouble(-1)) * (np.outer(np.arange(n), np.arange(n)) % n) / n
    matrix = np.cos(angle) - 1j * np.sin(angle)
    return np.moveaxis(np.moveaxis(x.astype(np.clongdouble), axis, -1) @ matrix, -1, axis)


def error(got: Array, wanted: Array) -> float:
    return float(np.sqrt(np.sum(np.abs(got - wanted) ** 2) / np.sum(np.abs(wanted) ** 2)))


def check_accuracy(got: Array, wanted: Array, n: int, dtype: str) -> None:
    """Root mean square error relative to the spectrum's: at most (log2 n + 3) units of rounding; five times that with a
    convolution inside."""
    convolved = max(p for p in range(1, n + 1) if n % p == 0 and all(p % q for q in range(2, p))) > 31
    bound = (5 if convolved else 1) * (np.log2(n) + 3) * EPS[dtype]
    assert error(got, wanted) <= bound, f"{n} {dtype}: {error(got, wanted) / EPS[dtype]:.1f} roundings"


@pytest.mark.parametrize("n", LENGTHS)
def test_accuracy(n: int) -> None:
    for shape, axis in (((3, n), 1), ((n, 5), 0), ((20, n), 1)):
        x = signal(shape, "float32")
        wanted = exact(x, axis)
        check_accuracy(helix.fft.fft(helix.tensor(x), dim=axis).numpy(), wanted, n, "float32")
        got = helix.fft.rfft(helix.tensor(np.ascontiguousarray(x.real)), dim=axis).numpy()
        check_accuracy(got, np.fft.rfft(x.real.astype(np.float64), axis=axis), n, "float32")
        back = helix.fft.irfft(helix.tensor(got), n, dim=axis).numpy()
        check_accuracy(back, np.fft.irfft(got.astype(np.complex128), n, axis=axis), n, "float32")


@pytest.mark.parametrize("n", [n for n in LENGTHS if n <= 300])
def test_accuracy_of_doubles(n: int) -> None:
    x = signal((2, n), "float64")
    wanted = exact(x)
    check_accuracy(helix.fft.fft(helix.tensor(x)).numpy(), wanted, n, "float64")
    check_accuracy(helix.fft.ifft(helix.tensor(wanted.astype(np.complex128))).numpy(), x, n, "float64")


def test_a_transform_that_is_off_is_seen() -> None:
    x = signal((4, 1000), "float32")
    with pytest.raises(AssertionError, match="roundings"):
        check_accuracy(helix.fft.fft(helix.tensor(x)).numpy() * np.float32(1 + 4e-6), exact(x), 1000, "float32")


@pytest.fixture
def threads() -> Iterator[None]:
    before = helix.get_num_threads()
    yield
    helix.set_num_threads(before)


@pytest.mark.parametrize("shape", [(40, 60), (64, 1024), (2, 1 << 15), (3, 1009), (17, 37), (200, 12, 5)])
def test_bits_do_not_depend_on_threads_or_the_batch(shape: tuple[int, ...], threads: None) -> None:
    x = signal(shape, "float32")
    found = []
    for count in (1, 2, 5):
        helix.set_num_threads(count)
        found.append(helix.fft.fft(helix.tensor(x), dim=1).numpy())
    assert all(np.array_equal(found[0], other) for other in found)
    alone = helix.fft.fft(helix.tensor(x[1:2]), dim=1).numpy()
    assert np.array_equal(found[0][1:2], alone)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(dtype: str) -> None:
    x = helix.tensor([1.0, 2.0, 3.0, 4.0]).to(getattr(helix, dtype))
    got = helix.fft.rfft(x)
    assert got.dtype == helix.complex64
    assert got.tolist() == [10, -2 + 2j, -2]


def test_other_spellings() -> None:
    x = helix.tensor(signal((4, 6), "float32"))
    assert helix.equal(helix.fft.fft(x, axis=0), helix.fft.fft(x, dim=0))
    assert helix.equal(helix.fft.fftn(x, axes=(0, -1)), helix.fft.fftn(x, dim=(0, -1)))
    assert helix.equal(helix.fft.fft(x, norm=None), helix.fft.fft(x, norm="backward"))


def test_imaginary_parts_that_cannot_be_do_not_count() -> None:
    for n in (5, 6):
        x = signal((2, n // 2 + 1), "float64")
        np.testing.assert_allclose(helix.fft.irfft(helix.tensor(x), n).numpy(), np.fft.irfft(x, n), atol=1e-14)


def test_plans_give_way_to_newer_ones() -> None:
    """More lengths than are kept, twice: the same numbers, and memory that does not grow."""
    x = helix.tensor(signal((1, 400), "float32"))

    def all_lengths() -> list[Array]:
        return [helix.fft.fft(x, n).numpy() for n in range(200, 400)]

    first = all_lengths()
    before = helix.memory_stats()
    second = all_lengths()
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    del second
    assert helix.memory_stats()["live_bytes"] <= before["live_bytes"]


def test_the_largest_count_of_frequencies_is_refused() -> None:
    with pytest.raises(helix.errors.SizeOverflowError):
        helix.fft.fftfreq(2**63 - 1)
