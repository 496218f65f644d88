"""Runs that come again are planned, and compute and refuse what a run node by node does."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

import helix

from .models import MODELS, inputs_of


def parsed(text: str) -> helix.onnx.Model:
    return helix.onnx.load(
        onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> {text}').SerializeToString()
    )


@pytest.mark.parametrize("name", MODELS)
def test_the_second_run_gives_the_numbers_of_the_first(name: str) -> None:
    proto = MODELS[name]()
    model = helix.onnx.load(proto.SerializeToString())
    for sizes in (3, 5):
        given = inputs_of(proto, sizes)
        first, *later = [model.run(given) for _ in range(4)]
        for again in later:
            for a, b in zip(first, again, strict=True):
                np.testing.assert_allclose(b, a, rtol=2e-6, atol=1e-6)
    assert model.plans.possible and model.plans.compiled.compiled == len(model.plans.seen)
    others = {key: value[::-1].copy() for key, value in given.items()}
    fresh = helix.onnx.load(proto.SerializeToString())
    for a, b in zip(model.run(others), fresh.run(others), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-6)
    assert [value.tolist() for value in model.run(others, [model.outputs[-1].name])] == [model.run(others)[-1].tolist()]


def test_results_of_a_plan_are_the_callers() -> None:
    model = parsed("g (float[3] x) => (float[3] y, float[3] z) { y = Identity(x)  z = Add(x, x) }")
    x = np.ones(3, np.float32)
    kept = [model.run([x]) for _ in range(4)]
    for outputs in kept:
        outputs[0][0] = outputs[1][0] = 9
    assert x.tolist() == [1, 1, 1] and model.run([x])[1].tolist() == [2, 2, 2]
    assert [outputs[1].tolist() for outputs in kept] == [[9, 2, 2]] * 4


def test_what_is_trained_or_exchanged_is_used() -> None:
    model = parsed("g (float[2] x) => (float[2] y) <float[2] w = {1, 2}> { y = Mul(x, w) }")
    module: Any = model.module()
    x = np.ones(2, np.float32)
    assert [model.run([x])[0].tolist() for _ in range(3)] == [[1, 2]] * 3
    with helix.no_grad():
        module.w.mul_(10)
    assert model.run([x])[0].tolist() == [10, 20]
    model.tensors["w"] = helix.tensor([5.0, 6.0])
    assert model.run([x])[0].tolist() == [5, 6]
    assert model.plans.possible


BAD = {
    "gather": "g (float[5, 4] x, int64[N] i) => (float[N, 4] y) { y = Gather(x, i) }",
    "rows": "g (float[5, 4] x, int64[N] i) => (float[M, 4] y) <int64[2] s = {-1, 1}> { r = Reshape(i, s)  y = GatherND(x, r) }",
    "pairs": "g (float[5, 4] x, int64[N] i) => (float[M] y) <int64[2] s = {-1, 2}> { r = Reshape(i, s)  y = GatherND(x, r) }",
    "written": "g (float[5, 4] x, int64[N] i) => (float[5, 4] y) <int64[2] s = {-1, 2}, float[1] one = {1}, int64[1] n = {1}>"
    " { r = Reshape(i, s)  u = Expand(one, n)  y = ScatterND(x, r, u) }",
}


@pytest.mark.parametrize("name", BAD)
def test_places_outside_are_refused_with_the_node(name: str) -> None:
    model, x = parsed(BAD[name]), np.arange(20, dtype=np.float32).reshape(5, 4)
    for _ in range(3):
        found = model.run([x, np.array([4, -1])])[0]
    assert found.size and model.plans.compiled is not None
    for places in ([0, 7], [0, -6], [5, 0], [1 << 40, 0]):
        with pytest.raises(helix.errors.HelixError) as refused:
            model.run([x, np.array(places)])
        assert "node 'y'" in str(refused.value) + "".join(getattr(refused.value, "__notes__", ()))
    assert model.run([x, np.array([4, -1])])[0].tolist() == found.tolist() and model.plans.possible


def test_what_a_run_counts_is_not_planned() -> None:
    seeded = parsed("g (float[3] x) => (float[3] y) { y = RandomNormalLike<seed = 1.0>(x) }")
    x = np.ones(3, np.float32)
    assert len({tuple(seeded.run([x])[0].tolist()) for _ in range(4)}) == 1 and not seeded.plans.possible
    drawn = parsed("g (float[3] x) => (float[3] y) { y = RandomNormalLike(x) }")
    assert len({tuple(drawn.run([x])[0].tolist()) for _ in range(4)}) == 4
    shaped = parsed("g (float[N] x) => (int64[1, M] y) { y = NonZero(x) }")
    assert [shaped.run([np.array([0, 1, 2], np.float32)])[0].tolist() for _ in range(3)] == [[[1, 2]]] * 3
    assert not shaped.plans.possible


def test_an_endless_loop_ends_at_its_second_run_too() -> None:
    text = """g (bool c, float[2] x) => (float[2] y) {
        y = Loop("", c, x) <body = b (int64 i, bool go, float[2] h) => (bool on, float[2] t) { on = Identity(go)  t = Cos(h) }>
    }"""
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> {text.replace(chr(34) * 2, "")}')
    model = helix.onnx.load(proto.SerializeToString(), limits=helix.onnx.Limits(steps=500))
    x = np.ones(2, np.float32)
    for _ in range(3):
        assert model.run([np.array(False), x])[0].tolist() == [1, 1]
    with pytest.raises(helix.errors.FormatError, match="more than 500 steps"):
        model.run([np.array(True), x])
