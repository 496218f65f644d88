"""Windows, stft and istft beside torch and SciPy, their gradients, and what they refuse."""

from __future__ import annotations

import inspect
import itertools
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch

import helix
from helix.autograd import grad, gradgradcheck
from helix.gradients import gradcheck

torch.set_num_threads(1)
RNG = np.random.default_rng(0)
WINDOWS = helix.signal.windows.__all__
MORE: dict[str, dict[str, Any]] = {
    "general_cosine": {"a": [0.4, 0.3, 0.2, 0.1]},
    "general_hamming": {"alpha": 0.6},
    "gaussian": {"std": 2.5},
    "exponential": {"tau": 3.0},
    "kaiser": {"beta": 7.0},
}


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("sym", [True, False])
def test_windows(name: str, sym: bool) -> None:
    for points in (0, 1, 2, 3, 16, 17):
        ours = getattr(helix.signal.windows, name)(points, sym=sym, dtype=helix.float64, **MORE.get(name, {}))
        theirs = getattr(torch.signal.windows, name)(points, sym=sym, dtype=torch.float64, **MORE.get(name, {}))
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-12)
    assert inspect.signature(getattr(helix.signal.windows, name)).parameters.keys() == (
        inspect.signature(getattr(torch.signal.windows, name)).parameters.keys()
    )


def test_all_windows_of_torch() -> None:
    assert set(WINDOWS) == set(torch.signal.windows.__all__)


@pytest.mark.parametrize("name", ["hann", "hamming", "blackman", "bartlett", "kaiser"])
@pytest.mark.parametrize("periodic", [True, False])
def test_windows_of_the_top_level(name: str, periodic: bool) -> None:
    for length in (0, 1, 2, 13):
        ours = getattr(helix, f"{name}_window")(length, periodic, dtype=helix.float64)
        theirs = getattr(torch, f"{name}_window")(length, periodic, dtype=torch.float64)
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-12)
        if name != "kaiser" and length > 1:
            np.testing.assert_allclose(ours.numpy(), scipy.signal.get_window(name, length, periodic), atol=1e-12)
    assert getattr(helix, f"{name}_window")(4).dtype is helix.float32
    assert getattr(helix, f"{name}_window")(4, dtype=helix.float64, requires_grad=True).requires_grad


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: helix.hann_window(-1), helix.errors.ParameterError),
        (lambda: helix.hann_window(4, dtype=helix.int64), helix.errors.ParameterError),
        (lambda: helix.signal.windows.exponential(4, center=1.0), helix.errors.ParameterError),
        (lambda: helix.signal.windows.gaussian(4, std=0.0), helix.errors.ParameterError),
        (lambda: helix.signal.windows.kaiser(4, beta=-1.0), helix.errors.ParameterError),
        (lambda: helix.signal.windows.general_cosine(4, a=[]), helix.errors.ParameterError),
    ],
)
def test_windows_refuse(call: Any, error: Any) -> None:
    with pytest.raises(error):
        call()


CALLS = [
    dict(zip(("n_fft", "hop_length", "win_length", "center", "normalized", "onesided"), values, strict=True))
    for values in itertools.product((8, 9), (None, 3), (None, 6), (True, False), (True, False), (True, False))
]


@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("with_window", [True, False])
@pytest.mark.filterwarnings("ignore")
def test_stft_and_back(batch: tuple[int, ...], with_window: bool) -> None:
    x = RNG.normal(size=(*batch, 40))
    for call in CALLS:
        width = call["win_length"] or call["n_fft"]
        window = RNG.uniform(0.5, 1, width) if with_window else None
        ours, theirs = (
            make(x).stft(**call, window=window if window is None else make(window), return_complex=True)
            for make in (helix.tensor, torch.tensor)
        )
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), 1e-9, 1e-9)
        if not call["center"] and width < call["n_fft"]:
            continue  # the first points lie under no window
        back, torchs = (
            made.istft(**call, window=window if window is None else make(window))
            for made, make in ((ours, helix.tensor), (theirs, torch.tensor))
        )
        np.testing.assert_allclose(back.numpy(), torchs.numpy(), 1e-9, 1e-9)
        kept = back.shape[-1]
        np.testing.assert_allclose(back.numpy(), x[..., :kept], 1e-9, 1e-9)


@pytest.mark.parametrize("length", [10, 32, 50])
def test_length_of_the_inverse(length: int) -> None:
    x, window = RNG.normal(size=32), np.hanning(10)[1:-1]
    spectra = helix.stft(helix.tensor(x), 8, 2, window=helix.tensor(window), return_complex=True)
    torchs = torch.tensor(spectra.numpy())
    ours = helix.istft(spectra, 8, 2, window=helix.tensor(window), length=length)
    theirs = torch.istft(torchs, 8, 2, window=torch.tensor(window), length=length)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), 1e-9, 1e-9)


def test_complex_signals_and_parts() -> None:
    x = RNG.normal(size=30) + 1j * RNG.normal(size=30)
    window = RNG.uniform(0.5, 1, 8)
    given = {"n_fft": 8, "hop_length": 4}
    ours = helix.stft(helix.tensor(x), **given, window=helix.tensor(window))
    theirs = torch.stft(torch.tensor(x), **given, window=torch.tensor(window))
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), 1e-9)
    back = helix.istft(ours, **given, window=helix.tensor(window), return_complex=True, onesided=False)
    np.testing.assert_allclose(back.numpy(), x[: back.shape[0]], 1e-9)
    real = helix.stft(helix.tensor(x.real), **given, window=helix.tensor(window), return_complex=False)
    whole = helix.stft(helix.tensor(x.real), **given, window=helix.tensor(window), return_complex=True)
    assert helix.equal(real, helix.view_as_real(whole))


@pytest.mark.parametrize("pad_mode", ["reflect", "constant", "replicate", "circular"])
@pytest.mark.filterwarnings("ignore")
def test_ways_to_pad(pad_mode: str) -> None:
    x = RNG.normal(size=(2, 30))
    ours = helix.stft(helix.tensor(x), 8, pad_mode=pad_mode, return_complex=True)
    theirs = torch.stft(torch.tensor(x), 8, pad_mode=pad_mode, return_complex=True)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), 1e-9, 1e-9)


@pytest.mark.parametrize("align", [None, True, False])
@pytest.mark.filterwarnings("ignore")
def test_alignment_to_the_window(align: bool | None) -> None:
    x, window = RNG.normal(size=(2, 30)), RNG.uniform(0.5, 1, 5)
    given: dict[str, Any] = {
        "hop_length": 3,
        "win_length": 5,
        "center": False,
        "return_complex": True,
        "align_to_window": align,
    }
    ours = helix.stft(helix.tensor(x), 8, window=helix.tensor(window), **given)
    theirs = torch.stft(torch.tensor(x), 8, window=torch.tensor(window), **given)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), 1e-9, 1e-9)


@pytest.mark.filterwarnings("ignore")
def test_gradients_are_torchs() -> None:
    x, window = RNG.normal(size=(2, 24)), RNG.uniform(0.5, 1, 8)
    weights = RNG.normal(size=(2, 5, 7)) + 1j * RNG.normal(size=(2, 5, 7))
    found = []
    for package, gradient in ((helix, grad), (torch, torch.autograd.grad)):
        leaves = [package.tensor(x, requires_grad=True), package.tensor(window, requires_grad=True)]
        spectra = package.stft(leaves[0], 8, 4, window=leaves[1], return_complex=True)
        sum_of_parts = (spectra * package.tensor(weights)).real.sum()
        back = package.istft(spectra * spectra, 8, 4, window=leaves[1]).square().sum()
        found.append([g.numpy() for total in (sum_of_parts, back) for g in gradient(total, leaves, retain_graph=True)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, 1e-8, 1e-8)


def test_gradients_of_gradients() -> None:
    x = helix.tensor(RNG.normal(size=14), requires_grad=True)
    window = helix.tensor(RNG.uniform(0.5, 1, 4), requires_grad=True)

    def power(signal: Any, weights: Any) -> Any:
        return helix.stft(signal, 4, 2, window=weights, return_complex=True).abs().square()

    def there_and_back(signal: Any, weights: Any) -> Any:
        return helix.istft(helix.stft(signal, 4, 2, window=weights, return_complex=True) * 2, 4, 2, window=weights)

    for function in (power, there_and_back):
        assert gradcheck(function, (x, window))
        assert gradgradcheck(function, (x, window))


SIGNAL = helix.ones(16)
SPECTRA = helix.ones(5, 3, dtype=helix.complex64)
REFUSED: list[tuple[Any, dict[str, Any], Any]] = [
    (helix.stft, {"input": SIGNAL, "n_fft": 8}, helix.errors.ArgumentError),
    (helix.stft, {"input": SIGNAL.long(), "n_fft": 8, "return_complex": True}, helix.errors.DTypeError),
    (helix.stft, {"input": SIGNAL.reshape(1, 4, 4), "n_fft": 4, "return_complex": True}, helix.errors.ShapeError),
    (helix.stft, {"input": SIGNAL, "n_fft": 32, "center": False, "return_complex": True}, helix.errors.ParameterError),
    (helix.stft, {"input": SIGNAL, "n_fft": 0, "return_complex": True}, helix.errors.ParameterError),
    (helix.stft, {"input": SIGNAL, "n_fft": 8, "hop_length": 0, "return_complex": True}, helix.errors.ParameterError),
    (helix.stft, {"input": SIGNAL, "n_fft": 8, "win_length": 9, "return_complex": True}, helix.errors.ParameterError),
    (
        helix.stft,
        {"input": SIGNAL, "n_fft": 8, "window": helix.ones(7), "return_complex": True},
        helix.errors.ShapeError,
    ),
    (helix.istft, {"input": SIGNAL.reshape(4, 4), "n_fft": 6}, helix.errors.DTypeError),
    (helix.istft, {"input": SPECTRA, "n_fft": 6}, helix.errors.ShapeError),
    (helix.istft, {"input": SPECTRA, "n_fft": 8, "return_complex": True}, helix.errors.ParameterError),
    (helix.istft, {"input": SPECTRA, "n_fft": 8, "window": helix.zeros(8)}, helix.errors.ParameterError),
]


@pytest.mark.parametrize(("function", "given", "error"), REFUSED)
def test_what_is_refused(function: Any, given: dict[str, Any], error: Any) -> None:
    with pytest.raises(error):
        function(**given)


def test_signatures_are_torchs() -> None:
    theirs = inspect.signature(torch.stft).parameters
    ours = inspect.signature(helix.stft).parameters
    assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()]
