"""Methods that change what memory a tensor shows, against torch, and what they leave of views, history and subclasses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import helix

CALLS: dict[str, Callable[[Any], Any]] = {
    "squeeze_": lambda x: x.reshape(1, 2, 3).squeeze_(),
    "squeeze_(0)": lambda x: x.reshape(1, 2, 3).squeeze_(0),
    "unsqueeze_": lambda x: x.unsqueeze_(1),
    "t_": lambda x: x.t_(),
    "transpose_": lambda x: x.transpose_(0, 1),
    "swapaxes_": lambda x: x.swapaxes_(-1, 0),
    "swapdims_": lambda x: x.swapdims_(0, 1),
    "as_strided_": lambda x: x.as_strided_((2, 2), (1, 3), 1),
    "resize_ smaller": lambda x: x.resize_(2, 2),
    "resize_ of a view": lambda x: x[1].resize_(2),
    "resize_ larger keeps": lambda x: x.resize_(3, 4).reshape(-1)[:6],
    "resize_as_": lambda x: x.resize_as_(x[0]),
    "set_ size": lambda x: x.new_empty(0).set_(x, 1, (2,), (3,)) if isinstance(x, helix.Tensor) else x[:, 1],
    "fill_diagonal_": lambda x: x.fill_diagonal_(9),
    "fill_diagonal_ wrap": lambda x: x.repeat(4, 1).fill_diagonal_(9, wrap=True),
    "fill_diagonal_ of a transposed": lambda x: x.t().fill_diagonal_(7),
    "apply_": lambda x: x.apply_(lambda v: v * 2),
    "map_": lambda x: x.map_(x * x, lambda a, b: a - b),
    "where": lambda x: x.where(x > 2, x * 10),
    "sum_to_size": lambda x: x.sum_to_size(2, 1),
}


@pytest.mark.parametrize("name", CALLS)
def test_as_torch(name: str) -> None:
    values = [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    ours, theirs = CALLS[name](helix.tensor(values)), CALLS[name](torch.tensor(values))
    assert ours.tolist() == theirs.tolist()
    assert ours.stride() == theirs.stride()


def test_the_same_object_is_changed_and_returned() -> None:
    x = helix.zeros(2, 3)
    assert x.t_() is x and x.shape == (3, 2)
    x.add_(1)
    assert x.sum().item() == 6


def test_writes_reach_the_memory_that_was_shown_before() -> None:
    x = helix.zeros(2, 3)
    row = x[0]
    x.t_()
    x[0, 0] = 5.0
    assert row.tolist() == [5.0, 0.0, 0.0]


def test_gradients_go_through() -> None:
    leaf = helix.tensor([[1.0, 2.0]], requires_grad=True)
    x = leaf * 2
    x.squeeze_().mul_(3)
    (x * helix.tensor([1.0, 10.0])).sum().backward()
    assert leaf.grad.tolist() == [[6.0, 60.0]]


def test_a_leaf_that_requires_grad_is_refused() -> None:
    leaf = helix.ones(1, 2, requires_grad=True)
    with pytest.raises(helix.errors.GradientError, match="HX1504"):
        leaf.squeeze_()
    with helix.no_grad():
        assert leaf.squeeze_().requires_grad and leaf.shape == (2,)


def test_a_subclass_stays_one() -> None:
    weight = helix.nn.Parameter(helix.ones(1, 2))
    with helix.no_grad():
        assert type(weight.squeeze_()) is helix.nn.Parameter


def test_storage() -> None:
    x = helix.arange(6, dtype=helix.float32)
    assert x[2:].untyped_storage().nbytes() == 24
    assert x[2:].untyped_storage().data_ptr() == x.data_ptr()


def test_copy_from_another_device() -> None:
    x, y = helix.zeros(2, device="sim"), helix.tensor([1.0, 2.0])
    assert x.copy_(y).tolist() == [1.0, 2.0] and y.add_(0).copy_(x * 2).tolist() == [2.0, 4.0]
    source = helix.ones(2, requires_grad=True)
    (x.copy_(source) * 3).sum().backward()
    assert source.grad.tolist() == [3.0, 3.0] and source.grad.device.type == "cpu"


def test_layout_keywords() -> None:
    x = helix.zeros(2, 2, layout=helix.strided, pin_memory=False)
    assert x.contiguous(memory_format=helix.contiguous_format).shape == (2, 2)
    assert helix.zeros_like(x, memory_format=helix.preserve_format, device="cpu", requires_grad=True).requires_grad
    with pytest.raises(helix.errors.UnsupportedOpError, match="channels_last"):
        x.clone(memory_format=helix.channels_last)
    with pytest.raises(TypeError):
        x.clone(memory_format="nonsense")


def test_like_on_another_device() -> None:
    assert helix.ones_like(helix.zeros(2), device="sim").device.type == "sim"
    assert helix.ones(2, device="sim").new_zeros(3, device="cpu").device.type == "cpu"


DRAWS: dict[str, tuple[Callable[[helix.Tensor], helix.Tensor], float, float]] = {
    # name: the draw, and its median and 90 % quantile
    "cauchy_": (lambda x: x.cauchy_(1.0, 2.0), 1.0, 1.0 + 2.0 * 3.0776835),
    "log_normal_": (lambda x: x.log_normal_(0.5, 1.0), 1.6487213, 5.938932),
    "geometric_": (lambda x: x.geometric_(0.3), 2.0, 7.0),
    "random_": (lambda x: x.random_(0, 1001), 500.0, 900.0),
    "exponential_": (lambda x: x.exponential_(2.0), 0.34657359, 1.1512925),
    "poisson": (lambda x: helix.poisson(x + 20.0), 20.0, 26.0),
    "normal": (lambda x: helix.normal(x + 1, helix.tensor(2.0)), 1.0, 3.5631031),
}


@pytest.mark.parametrize("name", DRAWS)
def test_draws_have_their_quantiles(name: str) -> None:
    draw, median, ninth = DRAWS[name]
    helix.manual_seed(3)
    drawn = draw(helix.zeros(40000))
    found = helix.quantile(drawn, helix.tensor([0.5, 0.9])).tolist()
    assert found == pytest.approx([median, ninth], rel=0.04)
    helix.manual_seed(3)
    assert helix.equal(draw(helix.zeros(40000)), drawn)


def test_random_without_bounds_takes_what_the_dtype_holds() -> None:
    assert helix.zeros(1000, dtype=helix.uint8).random_().max().item() > 250
    assert set(helix.zeros(100, dtype=helix.bool).random_().tolist()) == {True, False}
    assert helix.zeros(1000).random_().max().item() <= 2**24


@pytest.mark.parametrize(
    "call",
    [
        lambda: helix.zeros(2).cauchy_(0, -1),
        lambda: helix.zeros(2).geometric_(1.0),
        lambda: helix.zeros(2).log_normal_(0, 0),
        lambda: helix.zeros(2).random_(3, 3),
        lambda: helix.normal(0.0, -1.0, (2,)),
        lambda: helix.empty_permuted((2, 3), (0, 0)),
        lambda: helix.set_num_interop_threads(2),
    ],
)
def test_refusals(call: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match="HX1"):
        call()


def test_a_file_as_memory(tmp_path: Any) -> None:
    path = str(tmp_path / "values")
    shared = helix.from_file(path, shared=True, size=3, dtype=helix.int32)
    shared.copy_(helix.tensor([1, 2, 3], dtype=helix.int32))
    private = helix.from_file(path, size=3, dtype=helix.int32)
    private.add_(1)
    assert helix.from_file(path, size=3, dtype=helix.int32).tolist() == [1, 2, 3] and private.tolist() == [2, 3, 4]
    with pytest.raises(ValueError, match="fewer than"):
        helix.from_file(path, size=4, dtype=helix.int32)
