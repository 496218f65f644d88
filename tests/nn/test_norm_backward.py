"""The backward ops of the norms when they are called as ops: without a weight, and with sizes that do not fit."""

import pytest

import helix
from helix._core import op_named
from helix.errors import ShapeError


def statistics(x):
    _, mean, rstd = op_named("native_layer_norm")(x, None, None, (8,), 1e-5)
    return mean, rstd


def test_outputs_that_a_call_does_not_have_are_none():
    x, g = helix.randn(4, 8), helix.randn(4, 8)
    of_input, of_weight, of_bias = op_named("layer_norm_backward")(g, x, *statistics(x), None, (8,))
    assert of_input.shape == (4, 8) and of_weight is None and of_bias is None


@pytest.mark.parametrize("dtype", [helix.float16, helix.float64])
def test_a_weight_of_another_dtype_is_converted(dtype):
    x, g, w = helix.randn(4, 8, dtype=dtype), helix.randn(4, 8, dtype=dtype), helix.randn(8)
    mean, rstd = statistics(x)
    mixed = op_named("layer_norm_backward")(g, x, mean, rstd, w, (8,))
    same = op_named("layer_norm_backward")(g, x, mean, rstd, w.to(helix.promote_types(dtype, helix.float32)), (8,))
    assert [t.dtype for t in mixed] == [dtype, helix.float32, helix.float32]
    assert all((a.double() - b.double()).abs().max() <= 1e-6 for a, b in zip(mixed, same))


@pytest.mark.parametrize(
    "place, wrong, part",
    [(0, (4, 7), "gradient"), (2, (1,), "mean"), (3, (4, 8), "rstd"), (4, (3,), "weight"), (5, None, "normalized_shape")],
)  # fmt: skip
def test_sizes_are_checked_before_anything_is_read(place, wrong, part):
    x = helix.randn(4, 8)
    arguments = [x, x, *statistics(x), helix.ones(8), (8,)]
    arguments[place] = (7,) if wrong is None else helix.ones(*wrong)
    with pytest.raises(ShapeError, match=f"HX1002 layer_norm_backward: {part}"):
        op_named("layer_norm_backward")(*arguments)
