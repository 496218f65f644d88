"""What an export takes for rounding and what for a wrong model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import helix
from helix import nn
from helix.graph import Dim, Spec
from helix.onnx.rounding import Rounding
from helix.onnx.writing import table
from helix.onnx.writing.writer import Writer

B = Dim("B")
F = nn.functional


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.sin().square() + x.cos().square() - 1,
        lambda x: (x + 1000.0).softmax(-1).sum(-1) - 1,
        lambda x: (x.exp().log() - x) * 1e6,
        lambda x: (x.unsqueeze(1) * 1e4 - 1e4 * x.unsqueeze(1).sigmoid()).mean((0, 1)) - (x * 1e4 - 1e4 * x.sigmoid()).mean(0),
        lambda x: F.gelu(x * 6 - 8),
        lambda x: (x * 10).sigmoid().log(),
        lambda x: helix.fft.irfft(helix.fft.rfft(x, 37), 37)[..., 8:],
        lambda x: (x * 3).round().to(helix.int8).to(x.dtype) / 3,
        lambda x: (x * 1e-30) * (x * 1e-12),
        lambda x: (x * 100).exp().exp(),
    ],
    ids=("squares", "softmax", "logarithm", "means", "gelu", "sigmoid", "transform", "rounded", "underflow", "overflow"),
)  # fmt: skip
def test_what_cancels_is_no_difference(function: Callable[..., Any], tmp_path: Path) -> None:
    assert helix.onnx.export(function, tmp_path / "m.onnx", Spec((B, 8))).checked


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (lambda x: x.square().sum(-1), (2, 300_000)),
        (lambda x: x.var(-1), (2, 300_000)),
        (lambda x: F.adaptive_avg_pool2d(x, 1), (1, 2, 512, 512)),
        (nn.GroupNorm(2, 4), (1, 4, 256, 256)),
        (nn.Linear(512, 1000), (128, 512)),
        (nn.Conv2d(64, 64, 3), (1, 64, 48, 48)),
    ],
    ids=("sum", "variance", "pool", "groups", "linear", "winograd"),
)
def test_many_terms_and_many_elements_are_no_difference(model: Any, shape: tuple[int, ...], tmp_path: Path) -> None:
    """Runtimes add long sums one term after the other, and of 100,000 elements some hardly move in any of the runs."""
    assert helix.onnx.export(model, tmp_path / "m.onnx", Spec(shape)).checked


def _axis(w: Writer, x: Any, dim: int, dtype: Any) -> Any:
    return w.Softmax(x, axis=(dim + 1) % x.rank)


def _epsilon(w: Writer, x: Any, weight: Any, bias: Any, shape: Any, eps: float) -> Any:
    return w.LayerNormalization(x, weight, bias, axis=x.rank - len(shape), epsilon=eps * 2), None, None


def _padding(w: Writer, x: Any, pad: Any, mode: str) -> Any:
    return w.Pad(x, [*pad[0::2], *pad[1::2]], None, [x.rank - 1], mode="edge")


def _close(w: Writer, x: Any) -> Any:
    return w.Tanh(x) * 1.00002


def _approximate(w: Writer, x: Any, approximate: str) -> Any:
    return w.Gelu(x, approximate="tanh")


def _untied(w: Writer, x: Any, dim: int, descending: bool, stable: bool) -> Any:
    return w.TopK(x, w.ints([8]), axis=-1, largest=int(not descending), outputs=2)


WRONG: dict[str, tuple[str, Callable[..., Any], Any]] = {
    "wrong axis": ("softmax", _axis, lambda x: x.softmax(-1)),
    "twice the epsilon": ("native_layer_norm", _epsilon, nn.LayerNorm(8)),
    "another border": ("border_pad", _padding, lambda x: F.pad(x, (2, 2), mode="reflect")),
    "2e-5 beside large elements": ("tanh", _close, lambda x: helix.cat([x * 1e9, x.tanh()])),
    "2e-5 in what cancels": ("tanh", _close, lambda x: (x + 4).tanh() - 1),
    "an approximation": ("gelu", _approximate, F.gelu),
    "the other end": ("sort", _untied, lambda x: x.sort(-1)),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_operator_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    op, wrong, model = WRONG[name]
    assert helix.onnx.export(model, tmp_path / "m.onnx", Spec((B, 8))).checked
    monkeypatch.setitem(table._real, op, (wrong, None))
    with pytest.raises(helix.errors.ExportError, match=rf"where float64 gives .* first node that differs is {op}"):
        helix.onnx.export(model, tmp_path / "wrong.onnx", Spec((B, 8)))
    assert not (tmp_path / "wrong.onnx").exists()


def test_a_graph_that_does_not_repeat_its_module_is_refused(tmp_path: Path) -> None:
    calls: list[int] = []

    def run(x: helix.Tensor) -> helix.Tensor:
        calls.append(1)
        return x + len(calls)

    with pytest.raises(helix.errors.ExportError, match="the module itself, which its graph does not repeat"):
        helix.onnx.export(run, tmp_path / "m.onnx", Spec((3,)))


def test_the_allowance_of_a_sum_is_that_of_its_terms() -> None:
    """Of 1,000 terms that cancel to about 0 a sum is uncertain by the terms, not by itself."""
    x = helix.tensor(np.array([1e4, -1e4] * 500, np.float32) + np.linspace(0, 1e-3, 1000, dtype=np.float32))
    graph = helix.trace(lambda x: x.sum(), Spec((1000,)))
    bounds = Rounding(graph, {}, [x], list(graph.outputs))
    exact = x.numpy().astype(np.float64).sum()
    assert bounds.explains([x.sum().numpy()]) == [True]
    assert bounds.exact[0] == exact
    assert bounds.explains([np.float32(exact + 5.0)]) == [False]
    assert 0.01 < bounds.allowed[0] < 4


@pytest.mark.parametrize("tolerance", [-1.0, float("nan"), "0.1"])
def test_a_tolerance_is_a_number_of_0_or_more(tolerance: Any, tmp_path: Path) -> None:
    with pytest.raises(helix.errors.ParameterError, match="tolerance must be"):
        helix.onnx.export(nn.ReLU(), tmp_path / "m.onnx", Spec((3,)), tolerance=tolerance)
