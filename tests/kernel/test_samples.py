"""Every op's samples on a device whose kernels are rendered from the templates, against the CPU."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest

import helix

from ..ops.cases import each_sample
from ..ops.sample import Sample
from ..ops.samples import SAMPLES
from ..ops.values import as_list, call_helix, numpy_arguments, to_helix, to_numpy, tolerance

# Each kernel is compiled once: HELIX_EVERY_SAMPLE=1 takes a minute more than one sample an op.
EVERY = os.environ.get("HELIX_EVERY_SAMPLE") == "1"
FIRST = {sample.op: sample for sample in reversed(SAMPLES)}


def on_device(values: np.ndarray) -> helix.Tensor:
    return to_helix(values).to("sim")


def compare(sample: Sample, dtype: str, make: Callable[[np.ndarray], helix.Tensor] = on_device) -> None:
    arrays = numpy_arguments(sample, dtype)
    here = as_list(call_helix(sample, arrays))
    there = as_list(call_helix(sample, arrays, make))
    rtol, atol = tolerance(sample, dtype)
    assert len(here) == len(there)
    for ours, theirs in zip(here, there, strict=True):
        if not isinstance(ours, helix.Tensor):
            assert ours == theirs
            continue
        assert ours.dtype == theirs.dtype and tuple(ours.shape) == tuple(theirs.shape)
        a, b = to_numpy(ours), to_numpy(theirs.to("cpu"))
        np.testing.assert_allclose(
            b, a, rtol=4 * rtol, atol=4 * atol + 1e-7, equal_nan=True, err_msg=f"{sample.op} {dtype}"
        )


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")
@each_sample(lambda sample: "empty" not in sample.op and (EVERY or FIRST[sample.op] is sample))
def test_on_a_device_as_on_the_cpu(sample: Sample) -> None:
    dtype = "float32" if "float32" in sample.dtypes else sample.dtypes[0]
    compare(sample, dtype)


@pytest.mark.parametrize("alpha", [0, 1, 3, 2**40, True, False])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "float32"])
def test_a_factor_of_any_value_and_dtype(alpha, dtype):
    x, y = (helix.tensor(v).to(getattr(helix, dtype)) for v in ([1, 0, 1, 0], [1, 1, 0, 0]))
    assert helix.add(x.to("sim"), y.to("sim"), alpha=alpha).tolist() == helix.add(x, y, alpha=alpha).tolist()


@pytest.mark.parametrize("sizes, windows", [((5, 7), (2, 3)), ((3, 8), (5, 9)), ((4, 4), (1, 1))])
def test_gradient_of_means_over_adaptive_windows(sizes, windows):
    rng, found = np.random.default_rng(0), []
    values, above = (rng.standard_normal((2, *s)).astype("f4") for s in (sizes, windows))
    for device in ("cpu", "sim"):
        x = to_helix(values).to(device).requires_grad_()
        helix.nn.functional.adaptive_avg_pool2d(x, windows).backward(to_helix(above).to(device))
        found.append(to_numpy(x.grad.to("cpu")))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5, atol=1e-6)
