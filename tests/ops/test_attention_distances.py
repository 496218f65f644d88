"""Attention with what is said by distance alone: beside whole masks, with the same bits for any thread count, in linear memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import helix as hx
from helix.nn import functional as F

HIDDEN = float("-inf")


def alibi(heads: int, rows: int, keys: int, causal: bool = True) -> np.ndarray:
    """Ends aligned: the last row is at the last key."""
    back = rows - 1 - np.arange(rows + keys - 1) + keys - rows
    made = -np.abs(back) * 2.0 ** -np.arange(1, heads + 1)[:, None]
    return np.where(back < 0, HIDDEN, made) if causal else made


def window(rows: int, keys: int, width: int) -> np.ndarray:
    back = rows - 1 - np.arange(rows + keys - 1) + keys - rows
    return np.where((back >= 0) & (back < width), 0.0, HIDDEN)


def mask_of(distances: np.ndarray, rows: int, keys: int) -> np.ndarray:
    """(..., L, S)"""
    return distances[..., np.arange(keys) - np.arange(rows)[:, None] + rows - 1]


CASES: dict[str, Any] = {
    "slopes": (4, 2, 300, 300, alibi(4, 300, 300)),
    "slopes both ways": (2, 2, 130, 260, alibi(2, 130, 260, causal=False)),
    "a window": (2, 1, 500, 500, window(500, 500, 37)),
    "a window that reaches one key before a block": (1, 1, 300, 300, window(300, 300, 18)),
    "a window with padding": (2, 1, 300, 300, window(300, 300, 64), "padding"),
    "slopes with a float mask": (2, 2, 140, 150, alibi(2, 140, 150), "mask"),
    "more keys than rows": (4, 2, 40, 700, window(40, 700, 90)),
    "more rows than keys": (2, 2, 300, 100, alibi(2, 300, 100)),
    "one row": (4, 2, 1, 900, alibi(4, 1, 900), "padding"),
    "few rows": (2, 2, 3, 700, window(3, 700, 50)),
    "nothing seen": (2, 2, 70, 80, np.full(149, HIDDEN)),
    "random": (4, 1, 150, 170, np.random.default_rng(1).standard_normal((2, 4, 319))),
    "random of few rows": (4, 1, 2, 170, np.random.default_rng(1).standard_normal((4, 171))),
}


def operands(case: Any, dtype: str) -> tuple[list[hx.Tensor], hx.Tensor, hx.Tensor, hx.Tensor | None]:
    """query, key and value; the gradient of the result; distances; a mask or None."""
    heads, shared, rows, keys, distances, *more = case
    rng = np.random.default_rng(3)
    shapes = (2, heads, rows, 24), (2, shared, keys, 24), (2, shared, keys, 20), (2, heads, rows, 20)
    *leaves, g = (hx.tensor(rng.standard_normal(s).astype("f8")).to(getattr(hx, dtype)) for s in shapes)
    mask = None
    if more == ["padding"]:
        mask = hx.tensor(np.arange(keys) >= np.array([[[[0]]], [[[keys // 3]]]]))
    elif more == ["mask"]:
        mask = hx.tensor(rng.standard_normal((rows, keys))).to(getattr(hx, dtype))
    kind = "f8" if dtype == "float64" else "f4"
    return [t.requires_grad_() for t in leaves], g, hx.tensor(distances.astype(kind)), mask


def run(leaves: list[hx.Tensor], g: hx.Tensor, mask: Any) -> list[np.ndarray]:
    """The result and the gradients of query, key, value and, if it is there, of what is said by distance."""
    q, k, v, *distances = leaves
    out = F.scaled_dot_product_attention(
        q, k, v, mask, enable_gqa=True, distance_bias=distances[0] if distances else None
    )
    found = hx.autograd.grad(out, leaves, g)
    return [t.detach().to(hx.float64).numpy() for t in (out, *found)]


def run_whole(leaves: list[hx.Tensor], g: hx.Tensor) -> list[np.ndarray]:
    out = F.scaled_dot_product_attention(*leaves, enable_gqa=True)
    return [t.detach().numpy() for t in (out, *hx.autograd.grad(out, leaves, g))]


def by_distance(of_mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Gradients of a mask (batch, heads, L, S) summed over the pairs of each distance, and over what was stretched."""
    rows, keys = of_mask.shape[-2:]
    made = np.zeros((*of_mask.shape[:-2], rows + keys - 1))
    for i in range(rows):
        made[..., rows - 1 - i : rows - 1 - i + keys] += of_mask[..., i, :]
    while made.ndim > len(shape):
        made = made.sum(0)
    return made


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("name", CASES)
def test_beside_a_whole_mask(name: str, dtype: str) -> None:
    heads, _, rows, keys, distances, *_ = CASES[name]
    leaves, g, said, mask = operands(CASES[name], dtype)
    whole = hx.tensor(np.broadcast_to(mask_of(distances, rows, keys), (2, heads, rows, keys)).copy())
    if mask is not None and mask.dtype == hx.bool:
        whole = whole.masked_fill(~mask, HIDDEN)
    elif mask is not None:
        whole = whole + mask.to(hx.float64)
    exact = [t.detach().to(hx.float64).requires_grad_() for t in (*leaves, whole)]
    *wanted, of_mask = run_whole(exact, g.to(hx.float64))
    wanted.append(by_distance(of_mask, distances.shape))
    bound = {"float32": 2e-5, "float64": 1e-11, "bfloat16": 0.06}[dtype]
    for got, truth in zip(run([*leaves, said.requires_grad_()], g, mask), wanted, strict=True):
        np.testing.assert_allclose(got, truth, atol=bound * max(1, np.abs(truth).max(initial=0)), rtol=bound)


@pytest.mark.parametrize("name", ["a window", "slopes", "one row"])
def test_bits_do_not_depend_on_threads(name: str) -> None:
    before, bits = hx.get_num_threads(), set()
    for count in (1, 2, 3):
        hx.set_num_threads(count)
        leaves, g, distances, mask = operands(CASES[name], "float32")
        distances.requires_grad_()
        found = run([*leaves, distances], g, mask)
        bits.add(b"".join(t.tobytes() for t in found))
    hx.set_num_threads(before)
    assert len(bits) == 1


@pytest.mark.parametrize("masked", [False, True])
def test_gradients_and_their_gradients(masked: bool) -> None:
    rng = np.random.default_rng(5)
    shapes = (2, 4, 3, 3), (2, 2, 4, 3), (2, 2, 4, 2), (4, 6)
    leaves = [hx.tensor(rng.standard_normal(s), requires_grad=True) for s in shapes]
    mask = hx.tensor(rng.random((2, 1, 1, 4)) < 0.8) if masked else None

    def attend(q: Any, k: Any, v: Any, d: Any) -> Any:
        return F.scaled_dot_product_attention(q, k, v, mask, enable_gqa=True, distance_bias=d)

    assert hx.autograd.gradcheck(attend, leaves)
    assert hx.autograd.gradgradcheck(attend, leaves)


def test_dropout_draws_what_it_draws_for_a_mask() -> None:
    rows, keys, distances = CASES["a window"][2:]
    leaves, g, said, _ = operands(CASES["a window"], "float32")
    whole = hx.tensor(
        np.broadcast_to(mask_of(distances, rows, keys), (2, 2, rows, keys)).astype("f4"), requires_grad=True
    )
    said.requires_grad_()
    found = []
    for mask, by in ((whole, None), (None, said)):
        hx.manual_seed(7)
        out = F.scaled_dot_product_attention(*leaves, mask, 0.3, enable_gqa=True, distance_bias=by)
        found.append([out.detach(), *hx.autograd.grad(out, [*leaves, whole if by is None else said], g)])
    *found[0], of_mask = found[0]
    found[0].append(hx.tensor(by_distance(of_mask.numpy().astype("f8"), distances.shape).astype("f4")))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=2e-5 * max(1, one.abs().max().item()))


def test_memory_is_linear_in_the_length() -> None:
    """Of a padded batch under a window, forward and backward: twice the length takes twice the memory."""
    peaks = []
    for length in (8192, 16384):
        q = hx.randn(1, 1, length, 8, requires_grad=True)
        mask = (hx.arange(length) >= 100).reshape(1, 1, 1, length)
        said = hx.tensor(window(length, length, 128).astype("f4"))
        hx.reset_peak_memory()
        before = hx.memory_stats()["live_bytes"]
        F.scaled_dot_product_attention(q, q, q, mask, distance_bias=said).sum().backward()
        peaks.append(hx.memory_stats()["peak_bytes"] - before)
        del q
    assert peaks[1] < 2.5 * peaks[0], peaks
    assert peaks[1] < 16384 * 16384 // 8, peaks  # a bit for each pair


def test_memory_of_their_gradient_is_linear_too() -> None:
    q, length = hx.randn(1, 1, 8192, 8), 8192
    said = hx.tensor(window(length, length, 128).astype("f4"), requires_grad=True)
    hx.reset_peak_memory()
    before = hx.memory_stats()["live_bytes"]
    F.scaled_dot_product_attention(q, q, q, distance_bias=said).sum().backward()
    peak = hx.memory_stats()["peak_bytes"] - before
    assert peak < length * length // 8, peak


def test_autocast_leaves_distances_wide() -> None:
    """bfloat16 knows every second number from 256 on; what is said of one distance must not be said of the next."""
    q, k = hx.zeros(1, 1, 8), hx.zeros(1, 1000, 8)
    said = 0.5 * hx.arange(1000.0)
    with hx.autocast("cpu", dtype=hx.bfloat16):
        out = F.scaled_dot_product_attention(q, k, hx.eye(1000)[None, :, -4:], distance_bias=said)
    assert out.dtype == hx.bfloat16
    wanted = [math.exp(-0.5 * back) * (1 - math.exp(-0.5)) for back in (3, 2, 1, 0)]
    np.testing.assert_allclose(out.flatten().tolist(), wanted, rtol=0.01)


def test_refused() -> None:
    q = hx.ones(2, 5, 4)
    with pytest.raises(
        hx.errors.ShapeError, match=r"HX1003 .*distance_bias of shape \(10,\) does not stretch to \(2, 9\)"
    ):
        F.scaled_dot_product_attention(q, q, q, distance_bias=hx.zeros(10))
    with pytest.raises(hx.errors.ShapeError, match="distance_bias"):
        F.scaled_dot_product_attention(q, q, q, distance_bias=hx.zeros(2, 1))
    with pytest.raises(hx.errors.DTypeError, match="distance_bias"):
        F.scaled_dot_product_attention(q, q, q, distance_bias=hx.zeros(9, dtype=hx.int64))
    assert math.isclose(
        F.scaled_dot_product_attention(q, q, q, distance_bias=hx.zeros(1, 9)).sum().item(), 40, rel_tol=1e-5
    )
