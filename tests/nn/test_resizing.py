"""Images resized, and gradients of that: by the CPU's kernel, and in parts on a device that has kernels but not this one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import helix as hx
from helix._core import OpCall
from helix.backends import native
from helix.errors import HelixError

from ..host_memory import HostMemory, offer
from .compare import assert_close


class Sheet(HostMemory):
    """One kernel, and not for resizing."""

    @native("nextafter", dtypes="float32", contiguous=True)
    def nextafter(self, call):
        raise NotImplementedError


offer(Sheet)


@pytest.fixture(autouse=True)
def quiet():
    before = hx.get_fallback()
    hx.set_fallback("host")
    yield
    hx.set_fallback(before)


# Rows of less than a register, of a few, and of parts of one; what grows, shrinks and stays.
SHAPES = {
    1: [(2, 3, 17), (1, 1, 70)],
    2: [(2, 3, 16, 40), (1, 2, 7, 4), (1, 1, 50, 90)],
    3: [(1, 2, 5, 6, 7), (2, 1, 9, 4, 33)],
}
SIZES = {
    1: [{"size": 33}, {"scale_factor": 2.0}, {"size": 5}],
    2: [
        {"size": (37, 70)},
        {"scale_factor": 2.0},
        {"size": (3, 2)},
        {"scale_factor": 1.7},
        {"size": (16, 40)},
        {"size": (1, 9)},
    ],
    3: [{"size": (4, 5, 6)}, {"scale_factor": 2.0}, {"size": (5, 20, 7)}, {"size": (7, 8, 3)}],
}
MODES = {"nearest": 0, "nearest-exact": 0, "linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
CLOSE = {"float64": 1e-11, "float32": 2e-5, "bfloat16": 0.06, "float16": 6e-3}
CASES = [
    (shape, given, align)
    for axes in (1, 2, 3)
    for shape in SHAPES[axes]
    for given in SIZES[axes]
    for align in (False, True)
]


def check(mode, dtype, device, cases):
    torch.manual_seed(0)
    for shape, given, align in cases:
        if MODES[mode] not in (0, len(shape) - 2) or (align and MODES[mode] == 0):
            continue
        theirs = torch.randn(shape, dtype=torch.float64).to(getattr(torch, dtype)).double().requires_grad_()
        mine = hx.tensor(theirs.detach().numpy(), dtype=getattr(hx, dtype)).to(device).requires_grad_()
        how = {**given, "mode": mode, **({"align_corners": align} if MODES[mode] else {})}
        expected = torch.nn.functional.interpolate(theirs, **how)
        result = hx.nn.functional.interpolate(mine, **how)
        gradient = torch.randn(expected.shape, dtype=torch.float64).to(getattr(torch, dtype)).double()
        expected.backward(gradient)
        result.backward(hx.tensor(gradient.numpy(), dtype=getattr(hx, dtype)).to(device))
        assert result.dtype == mine.grad.dtype == getattr(hx, dtype)
        far = float(theirs.grad.abs().max())  # a point's gradient is a sum
        what = str((shape, how))
        assert_close(result.to("cpu").double(), expected, 0, 5 * CLOSE[dtype], what)
        assert_close(mine.grad.to("cpu").double(), theirs.grad, 0, CLOSE[dtype] * max(1, far), what)


@pytest.mark.parametrize("dtype", list(CLOSE))
@pytest.mark.parametrize("mode", MODES)
def test_images_are_what_torch_makes_them(mode, dtype):
    check(mode, dtype, "cpu", CASES)


AVERAGED = [
    ({"size": (5, 4)}, False),
    ({"scale_factor": (0.4, 1.7)}, True),
    ({"size": (60, 9)}, False),
    ({"size": (7, 90)}, True),
]


@pytest.mark.parametrize("device", ["cpu", "sheet"])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "lanczos"])
def test_against_aliases_they_are_torchs_too(mode, device):
    torch.manual_seed(0)
    for given, align in AVERAGED:
        how = {**given, "mode": mode, "antialias": True, **({} if mode == "lanczos" else {"align_corners": align})}
        theirs = torch.randn(2, 3, 23, 37, dtype=torch.float64).requires_grad_()
        mine = hx.tensor(theirs.detach().numpy()).to(device).requires_grad_()
        expected, result = torch.nn.functional.interpolate(theirs, **how), hx.nn.functional.interpolate(mine, **how)
        gradient = torch.randn_like(expected)
        expected.backward(gradient)
        result.backward(hx.tensor(gradient.numpy()).to(device))
        assert_close(result.to("cpu"), expected, 1e-11, 1e-11, str(how))
        assert_close(mine.grad.to("cpu"), theirs.grad, 1e-11, 1e-11, str(how))


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
@pytest.mark.parametrize("mode", MODES)
def test_in_parts_they_are_the_same(mode, dtype):
    check(mode, dtype, "sheet", CASES[::3])


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float64", "bool", "complex64", "complex128"])
def test_points_of_any_type_are_taken_as_they_are(dtype):
    x = (np.arange(2 * 3 * 6 * 27) % 97).reshape(2, 3, 6, 27).astype(dtype)
    rows, columns = np.arange(11) * 6 // 11, np.arange(50) * 27 // 50
    np.testing.assert_array_equal(
        hx.nn.functional.interpolate(hx.tensor(x), (11, 50)).numpy(), x[:, :, rows][:, :, :, columns]
    )


def test_points_that_are_not_read_do_not_matter():
    """Of 64 points 16 places read two each: numbers 4 i + 1 and 4 i + 2."""
    x = hx.ones(1, 1, 8, 64)
    x[..., 0::4] = x[..., 3::4] = float("inf")
    assert (hx.nn.functional.interpolate(x, (8, 16), mode="bilinear") == 1).all().item()
    gradient = hx.zeros(1, 1, 8, 16)
    gradient[..., 4] = float("inf")
    x.requires_grad_()
    hx.nn.functional.interpolate(x, (8, 16), mode="bilinear").backward(gradient)
    assert x.grad.isinf().sum().item() == 2 * 8 and x.grad.isnan().sum().item() == 0


@pytest.mark.parametrize("op", ["resample", "resample_adjoint"])
@pytest.mark.parametrize(
    "dtype, scale", [("float32", (2.0, 2.0)), ("float32", (1e-300,)), ("float32", (float("nan"),)), ("int64", None)]
)
def test_what_a_graph_says_by_hand_is_checked(op, dtype, scale):
    call = OpCall(op, ((4, 4, 4), scale, "linear", False, scale == (1e-300,)))
    with pytest.raises(HelixError, match="HX1403|HX1101"):
        call([hx.ones(1, 1, 2, 3, 4, dtype=getattr(hx, dtype))])


def test_second_gradients():
    x = hx.tensor(np.random.default_rng(0).standard_normal((1, 2, 5, 7))).requires_grad_()
    assert hx.autograd.gradgradcheck(lambda t: hx.nn.functional.interpolate(t, (8, 4), mode="bicubic"), (x,))
