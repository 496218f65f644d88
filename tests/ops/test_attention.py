"""Attention over many blocks of rows and chunks of keys: beside the formulas, and with the same bits for any thread count."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import helix

CASES: dict[str, dict[str, Any]] = {
    "several chunks of keys": dict(heads=1, shared=1, rows=150, keys=600),
    "causal": dict(heads=2, shared=2, rows=400, keys=400, causal=True),
    "shared heads": dict(heads=4, shared=2, rows=70, keys=300),
    "float mask": dict(heads=2, shared=2, rows=140, keys=300, mask="float"),
    "bool mask": dict(heads=2, shared=2, rows=140, keys=300, mask="bool"),
    "one row": dict(heads=3, shared=3, rows=1, keys=1100, mask="bool"),
    "few rows": dict(heads=6, shared=2, rows=2, keys=700),
}


def operands(heads: int, shared: int, rows: int, keys: int, mask: str | None = None, causal: bool = False) -> list[Any]:
    rng = np.random.default_rng(3)
    shapes = (heads, rows, 24), (shared, keys, 24), (shared, keys, 40), (heads, rows, 40)
    hide: Any = None
    if mask == "bool":
        hide = rng.random((rows, keys)) < 0.7
    elif mask == "float":
        hide = rng.standard_normal((heads, rows, keys))
    return [*(rng.standard_normal(s) for s in shapes), hide]


def formulas(q: Any, k: Any, v: Any, g: Any, mask: Any, causal: bool) -> list[Any]:
    """The result and the gradients of query, key and value."""
    repeat, scale = q.shape[0] // k.shape[0], q.shape[-1] ** -0.5
    k, v = np.repeat(k, repeat, 0), np.repeat(v, repeat, 0)
    scores = q @ k.swapaxes(1, 2) * scale
    if causal:
        mask = np.tril(np.ones(scores.shape[1:], bool))
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    dw = g @ v.swapaxes(1, 2)
    ds = weights * (dw - (dw * weights).sum(-1, keepdims=True)) * scale
    join = lambda t: t.reshape(-1, repeat, *t.shape[1:]).sum(1)  # noqa: E731
    return [weights @ v, ds @ k, join(ds.swapaxes(1, 2) @ q), join(weights.swapaxes(1, 2) @ g)]


def attention(case: dict[str, Any], dtype: str) -> list[Any]:
    *arrays, g, mask = operands(**case)
    q, k, v = leaves = [helix.tensor(a.astype(dtype), requires_grad=True) for a in arrays]
    if mask is not None:
        mask = helix.tensor(mask if mask.dtype == bool else mask.astype(dtype))
    out = helix.nn.functional.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=case.get("causal", False), enable_gqa=True
    )
    out.backward(helix.tensor(g.astype(dtype)))
    return [out.detach().numpy(), *(t.grad.numpy() for t in leaves)]


@pytest.fixture
def threads() -> Iterator[None]:
    before = helix.get_num_threads()
    yield
    helix.set_num_threads(before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_result_and_gradients_follow_the_formulas(name: str, dtype: str) -> None:
    case = CASES[name]
    q, k, v, g, mask = operands(**case)
    wanted = formulas(q, k, v, g, mask, case.get("causal", False))
    for got, truth in zip(attention(case, dtype), wanted, strict=True):
        np.testing.assert_allclose(got, truth, atol=1e-12 if dtype == "float64" else 1e-5, rtol=0)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", CASES)
def test_bits_do_not_depend_on_threads(name: str) -> None:
    bits = set()
    for count in (1, 2, 3):
        helix.set_num_threads(count)
        bits.add(tuple(t.tobytes() for t in attention(CASES[name], "float32")))
    assert len(bits) == 1


def test_hidden_scores_may_be_anything() -> None:
    """What a bool mask hides does not reach the result, and a row that sees nothing is 0."""
    q = helix.ones(40, 8)
    k, v = helix.ones(50, 8), helix.ones(50, 8)
    k[7] = float("nan")
    mask = helix.ones(40, 50, dtype=helix.bool)
    mask[:, 7] = False
    mask[3] = False
    wanted = np.ones((40, 8), "f4")
    wanted[3] = 0
    out = helix.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    np.testing.assert_allclose(out.numpy(), wanted, rtol=1e-6)


def test_scores_that_grow_move_what_they_are_relative_to() -> None:
    """Each block of keys outgrows the sums of those before by far more than a float holds."""
    q, v = helix.full((40, 8), 10.0), helix.arange(600, dtype=helix.float32).reshape(600, 1)
    k = (helix.arange(600, dtype=helix.float32) * 0.3).reshape(600, 1).expand(600, 8)
    out = helix.nn.functional.scaled_dot_product_attention(q, k, v).numpy()
    scores = np.arange(600) * 0.3 * 80 / np.sqrt(8)
    weights = np.exp(scores - scores.max())
    np.testing.assert_allclose(out, np.full((40, 1), weights @ np.arange(600) / weights.sum()), rtol=1e-5)


def test_no_queries_beside_shared_heads() -> None:
    q, k = helix.ones(0, 3, 4, requires_grad=True), helix.ones(5, 2, 4, requires_grad=True)
    for graph in (False, True):
        out = helix.nn.functional.scaled_dot_product_attention(q, k, k, enable_gqa=True)
        out.backward(helix.ones_like(out), create_graph=graph)
    assert tuple(out.shape) == tuple(q.grad.shape) == (0, 3, 4) and k.grad.abs().sum().item() == 0
