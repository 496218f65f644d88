"""grid_sample with few channels (plane by plane) and with many (side by side), in groups that are full and not."""

from __future__ import annotations

import pytest
import torch

import helix as hx

from .compare import assert_close, to_helix

SHAPES = [  # image; points
    ((2, 3, 9, 7), (5, 11)),
    ((1, 9, 5, 6), (20, 30)),
    ((2, 20, 6, 5), (3, 7)),
    ((1, 40, 12, 4), (9, 17)),
    ((3, 33, 4, 4), (8, 8)),
    ((1, 17, 40, 40), (3, 3)),
    ((2, 18, 3, 4, 5), (4, 3, 12)),
]


def both(image, points, dtype, seed=0):
    torch.manual_seed(seed)
    x = torch.randn(image, dtype=dtype).requires_grad_()
    grid = (torch.rand(image[0], *points, len(points), dtype=dtype) * 3.2 - 1.6).requires_grad_()
    return x, grid, to_helix(x).requires_grad_(), to_helix(grid).requires_grad_()


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_images_and_gradients_are_torchs(mode, padding):
    for image, points in SHAPES:
        if mode == "bicubic" and len(points) == 3:
            continue
        for dtype, close in ((torch.float64, 1e-11), (torch.float32, 2e-4)):
            for align in (False, True):
                x, grid, mine, places = both(image, points, dtype)
                expected = torch.nn.functional.grid_sample(x, grid, mode, padding, align)
                result = hx.nn.functional.grid_sample(mine, places, mode, padding, align)
                gradient = torch.randn_like(expected)
                expected.backward(gradient)
                result.backward(to_helix(gradient))
                what = str((image, points, dtype, align))
                assert_close(result, expected, close, close, what)
                assert_close(mine.grad, x.grad, close, close, what)
                assert_close(places.grad, grid.grad, 10 * close, 10 * close, what)


@pytest.mark.parametrize("channels", [3, 20])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_what_lies_outside_is_not_read(channels, mode):
    """A point far outside, and one that is no number, read zeros of an image of infinities, and give it nothing."""
    image = hx.full((1, channels, 4, 4), float("inf")).requires_grad_()
    grid = hx.tensor([7.0, 0.0, 0.0, -9.0, float("nan"), 0.0] * 6).reshape(1, 3, 6, 2)
    result = hx.nn.functional.grid_sample(image, grid, mode)
    assert (result == 0).all().item()
    result.sum().backward()
    assert (image.grad == 0).all().item()


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_the_end_of_an_axis_that_floats_cannot_count(mode):
    """The last of 2^24 + 4 points is no float; beyond it lies the first point of the next channel."""
    image = hx.zeros(1, 2, 1, 2**24 + 4)
    image[0, 1] = 7
    grid = hx.tensor([[[[1.0, 0.0]]]])
    for padding in ("zeros", "border", "reflection"):
        result = hx.nn.functional.grid_sample(image, grid, mode, padding, True)
        assert result.flatten().tolist() == [0, 0 if padding == "zeros" else 7], padding
    image.requires_grad_()
    hx.nn.functional.grid_sample(image, grid, mode, "border", True)[0, 0].sum().backward()
    assert image.grad[0, 1].count_nonzero().item() == 0 and image.grad[0, 0].sum().item() == 1


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_any_number_of_threads_gives_the_same_bits(mode):
    _, _, image, grid = both((3, 70, 16, 16), (20, 20), torch.float32)
    before, found = hx.get_num_threads(), []
    for threads in (1, 2, 4):
        hx.set_num_threads(threads)
        image.grad = grid.grad = None
        result = hx.nn.functional.grid_sample(image, grid, mode)
        (result * result).sum().backward()
        found.append([t.detach().numpy().tobytes() for t in (result, image.grad, grid.grad)])
    hx.set_num_threads(before)
    assert found[0] == found[1] == found[2]
