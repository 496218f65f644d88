"""Pools of every width: rows are taken in blocks of 16, 8, 4 and 1, and blocks overlap at the end."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import helix as hx

from .compare import assert_close, to_helix

WINDOWS = [(2, 2, 0), (3, 3, 0), (3, 2, 1), (2, 1, 0), (5, 4, 2)]  # kernel, stride, padding


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_every_width_gives_what_torch_gives(window, dtype):
    torch.manual_seed(0)
    for width in range(5, 42):
        x = torch.randint(-4, 5, (2, 2, 11, width)).to(dtype)  # many are equal: the first place counts
        x[0, 1, 3, width // 2] = float("nan")
        for ceil in (False, True):
            mine = hx.tensor(x.float().numpy()).to(getattr(hx, str(dtype).split(".")[1]))
            expected, places = torch.nn.functional.max_pool2d(x, *window, ceil_mode=ceil, return_indices=True)
            result, found = hx.nn.functional.max_pool2d(mine, *window, ceil_mode=ceil, return_indices=True)
            plain = hx.nn.functional.max_pool2d(mine, *window, ceil_mode=ceil)
            for got in (result, plain):
                np.testing.assert_array_equal(got.float().numpy(), expected.float().numpy(), str((width, ceil)))
            np.testing.assert_array_equal(found.numpy(), places.numpy(), str((width, ceil)))


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize(
    "ways", [{}, {"ceil_mode": True}, {"count_include_pad": False}, {"divisor_override": 3}], ids=str
)
def test_every_width_has_torchs_averages(window, ways):
    torch.manual_seed(0)
    for width in range(5, 42):
        x = torch.randn(2, 2, 11, width, dtype=torch.float64).requires_grad_()
        mine = to_helix(x).requires_grad_()
        expected = torch.nn.functional.avg_pool2d(x, *window, **ways)
        result = hx.nn.functional.avg_pool2d(mine, *window, **ways)
        assert_close(result, expected, 1e-12, 1e-12, str(width))
        gradient = torch.randn_like(expected)
        expected.backward(gradient)
        result.backward(to_helix(gradient))
        assert_close(mine.grad, x.grad, 1e-12, 1e-12, str(width))
