"""Libraries that take arrays of any kind, on tensors of helix: array-api-compat, SciPy, scikit-learn, einops."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import array_api_compat
import einops
import einops.array_api
import numpy as np
import pytest

import helix
import helix.einops
from helix import array_api as xp

from . import consumers


def test_array_api_compat():
    for x in (helix.ones(2, 3), xp.ones((2, 3))):
        assert array_api_compat.is_array_api_obj(x) and not array_api_compat.is_numpy_array(x)
        assert array_api_compat.array_namespace(x, None, 2.0) is xp
        assert array_api_compat.device(x) == "cpu" and array_api_compat.size(x) == 6
        assert array_api_compat.to_device(x, "cpu").shape == (2, 3)
    with pytest.raises(TypeError):
        array_api_compat.array_namespace(helix.ones(1), np.ones(1))


def test_scipy_and_scikit_learn():
    """In a process of its own: SciPy reads SCIPY_ARRAY_API when it is imported."""
    paths = [str(Path(helix.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"SCIPY_ARRAY_API": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", consumers.__file__],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-200:] + done.stderr[-2000:]
    seen = done.stdout.split()
    assert {
        "special.expit",
        "stats.skew",
        "ndimage.laplace",
        "vq.vq",
        "PCA",
        "gradient.skew",
        "metrics.f1_score",
    } <= set(seen)


def test_a_wrong_result_would_be_seen():
    assert consumers.same(helix.tensor([1.0, 2.0]), np.array([1.0, 2.0]))
    assert not consumers.same(helix.tensor([1.0, 2.1]), np.array([1.0, 2.0]))
    assert not consumers.same([1.0, 2.0], np.array([1.0, 2.0]))
    with pytest.raises(SystemExit):
        consumers.run([("doubled", lambda x: x * (2 if isinstance(x, helix.Tensor) else 1), (np.ones(2),))])


X = np.random.default_rng(3).normal(size=(2, 3, 4))
EINOPS = {
    "rearrange": lambda m, x: m.rearrange(x, "a b c -> c (a b)"),
    "rearrange a list": lambda m, x: m.rearrange([x[0], x[1]], "a b c -> b a c"),
    "rearrange apart": lambda m, x: m.rearrange(x, "a b (c d) -> a d (b c)", d=2),
    "reduce mean": lambda m, x: m.reduce(x, "a b c -> a", "mean"),
    "reduce max": lambda m, x: m.reduce(x, "a b (c d) -> a c", "max", d=2),
    "reduce prod": lambda m, x: m.reduce(x, "a b c -> b", "prod"),
    "repeat": lambda m, x: m.repeat(x, "a b c -> a b (c d)", d=2),
    "pack": lambda m, x: m.pack([x, x[..., 0]], "a b *")[0],
    "unpack": lambda m, x: m.unpack(x, [(1,), (3,)], "a b *")[1],
}


@pytest.mark.parametrize("case", EINOPS)
@pytest.mark.parametrize("functions", [einops, einops.array_api], ids=["einops", "einops.array_api"])
def test_einops(case, functions):
    wanted = EINOPS[case](einops, X)
    for make in (helix.tensor, xp.asarray):
        x = make(X)
        x.requires_grad_()
        got = EINOPS[case](functions, x)
        np.testing.assert_allclose(got.detach().numpy(), wanted, rtol=1e-12)
        got.sum().backward()
        assert x.grad.shape == x.shape and bool((x.grad != 0).any())


def test_einops_einsum():
    got = einops.einsum(helix.tensor(X), helix.tensor(X), "a b c, a d c -> b d")
    np.testing.assert_allclose(got.numpy(), np.einsum("abc,adc->bd", X, X), rtol=1e-12)
    assert einops.parse_shape(helix.tensor(X), "a b _") == {"a": 2, "b": 3}
    assert einops.asnumpy(helix.tensor(X, requires_grad=True)).tolist() == X.tolist()
