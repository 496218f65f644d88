"""Functions with several results, gradients of complex views, and views that share memory."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

import helix

ARRAY = np.arange(60.0).reshape(3, 4, 5)


def same(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert tuple(a.shape) == tuple(b.shape)
        np.testing.assert_array_equal(a.numpy(), np.asarray(b))


@pytest.mark.parametrize(("name", "args"), [
    ("split", (2, 1)), ("split", (3, -1)), ("split", ([1, 0, 3], 1)), ("chunk", (3, 2)), ("chunk", (7, 0)),
    ("tensor_split", (3, 2)), ("tensor_split", ((1, 3), 1)), ("tensor_split", ((-1, 9, 2), 2)), ("unbind", (1,)),
    ("hsplit", (2,)), ("vsplit", ((1,),)),
])  # fmt: skip
def test_parts_are_torchs(name, args):
    same(getattr(helix.tensor(ARRAY), name)(*args), getattr(torch, name)(torch.tensor(ARRAY), *args))


def test_parts_share_memory_and_carry_gradients():
    x = helix.tensor(ARRAY).requires_grad_()
    first, second = x.chunk(2, 2)[:2]
    (first.sum() * 2 + second.sum() * 3).backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.broadcast_to([2, 2, 2, 3, 3], ARRAY.shape))
    y = helix.zeros(4)
    y.split(2)[1].fill_(1)
    assert y.tolist() == [0, 0, 1, 1]


def test_grids():
    vectors = [np.arange(2.0), np.arange(3.0), np.arange(4.0)]
    for indexing in ("ij", "xy"):
        same(
            helix.meshgrid(*map(helix.tensor, vectors), indexing=indexing),
            torch.meshgrid(*map(torch.tensor, vectors), indexing=indexing),
        )
    same([helix.cartesian_prod(*map(helix.tensor, vectors))], [torch.cartesian_prod(*map(torch.tensor, vectors))])
    blocks = [np.ones((2, 3)), np.full(2, 2.0), np.full((1, 1), 3.0)]
    same([helix.block_diag(*map(helix.tensor, blocks))], [torch.block_diag(*map(torch.tensor, blocks))])
    assert helix.broadcast_shapes((2, 1), (), (1, 3), 3) == (2, 3)


@pytest.mark.parametrize(("call", "number"), [
    (lambda x: x.split(0), "HX1403"), (lambda x: x.split([1, 1]), "HX1002"), (lambda x: x.chunk(0), "HX1403"),
    (lambda x: x.unbind(3), "HX1302"), (lambda x: helix.broadcast_shapes((2,), (3,)), "HX1003"),
    (lambda x: helix.meshgrid(x), "HX1001"), (lambda x: helix.meshgrid(x, indexing="yx"), "HX1403"),
])  # fmt: skip
def test_faults(call, number):
    with pytest.raises(helix.errors.HelixError, match=number):
        call(helix.tensor(ARRAY))


def test_nonzero_as_tuple():
    array = ARRAY % 3 > 1
    same(helix.tensor(array).nonzero(as_tuple=True), np.nonzero(array))
    assert helix.tensor(2.0).nonzero().shape == (1, 0)


def test_repeats_in_a_tensor():
    repeats = np.array([2, 0, 3, 1])
    x = helix.tensor(ARRAY).requires_grad_()
    y = x.repeat_interleave(helix.tensor(repeats), 1)
    np.testing.assert_array_equal(y.detach().numpy(), np.repeat(ARRAY, repeats, 1))
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.broadcast_to(repeats[:, None], ARRAY.shape))
    with pytest.raises(helix.errors.ParameterError, match="-1"):
        x.repeat_interleave(helix.tensor([1, -1, 1, 1]), 1)


def test_complex_views_carry_gradients():
    z = helix.tensor(np.array([1 + 2j, 3 - 1j])).requires_grad_()
    parts = helix.view_as_real(z)
    (parts * helix.tensor(np.array([[1.0, 2.0], [3.0, 4.0]]))).sum().backward()
    np.testing.assert_array_equal(z.grad.numpy(), [1 + 2j, 3 + 4j])
    x = helix.tensor(np.array([[1.0, 2.0], [3.0, 4.0]])).requires_grad_()
    w = helix.view_as_complex(x)
    helix.view_as_real(w * w).sum().backward()
    t = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64, requires_grad=True)
    torch.view_as_real(torch.view_as_complex(t) ** 2).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy())


def test_embedding_padding_gets_no_gradient():
    weight = helix.ones(4, 3).requires_grad_()
    ids = helix.tensor([[0, 2], [2, 3]])
    helix.nn.functional.embedding(ids, weight, padding_idx=2).sum().backward()
    np.testing.assert_array_equal(weight.grad.numpy()[:, 0], [1, 0, 0, 1])


def test_as_strided_is_checked_before_it_is_made():
    x = helix.zeros(4)
    for shape, stride, offset in [
        ((5,), (1,), 0),
        ((2,), (3,), 2),
        ((2,), (-1,), 0),
        ((2**62, 4), (1, 1), 0),
        ((1,), (1,), -1),
    ]:
        with pytest.raises((ValueError, OverflowError)):
            x.as_strided(shape, stride, offset)
    assert x.as_strided((2, 2), (1, 2), 0).tolist() == [[0, 0], [0, 0]]


def pieces(x):
    """A sum over parts of x that overlap, each read in another way."""
    ids = helix.tensor([2, 0, 2])
    parts = [x[:, i] * float(i + 1) for i in range(4)] + [
        x[0] ** 2,
        x[1:, ::2],
        x.narrow(2, 1, 2),
        x[ids],
        x[:, ids, 1],
    ]
    parts += [x.diagonal(0, 0, 1) ** 2, x.index_select(1, ids), x.gather(1, ids.reshape(1, 3, 1)), x.unfold(2, 3, 1)]
    return sum((part * part).sum() for part in parts)


@pytest.mark.parametrize("leaf", [True, False])
def test_gradients_of_many_parts_meet_in_one_tensor(leaf):
    x = helix.tensor(ARRAY / 60).requires_grad_()
    y = x if leaf else x * 1
    (plain,) = helix.autograd.grad(pieces(y), (x,))
    y = x if leaf else x * 1
    (recorded,) = helix.autograd.grad(pieces(y), (x,), create_graph=True)
    np.testing.assert_allclose(plain.numpy(), recorded.detach().numpy(), rtol=1e-14)
    assert helix.autograd.gradcheck(pieces, (x,))
    y = x if leaf else x * 1
    pieces(y).backward()
    np.testing.assert_allclose(x.grad.numpy(), plain.numpy(), rtol=1e-14)


def test_a_gradient_that_others_hold_is_not_written():
    x = helix.tensor(ARRAY).requires_grad_()
    seen = []
    y = x * 1
    y.register_hook(lambda g: seen.append(g))
    g = helix.tensor(ARRAY)
    (y.sum() + (y * 1 + y[0]).sum()).backward()
    helix.autograd.backward([x * 1 + x[:, :1]], [g])
    np.testing.assert_array_equal(g.numpy(), ARRAY)
    np.testing.assert_array_equal(seen[0].numpy()[1:], np.full((2, 4, 5), 2.0))


def test_a_loop_over_positions_takes_linear_time():
    """The gradient of each x[:, i] is added to its place: a whole tensor for each would be 16 GB of writes."""
    x = helix.zeros(4, 4000, 64).requires_grad_()
    total = sum(x[:, i].sum() for i in range(4000))
    begin = time.perf_counter()
    total.backward()
    assert time.perf_counter() - begin < 2
    assert x.grad.sum().item() == 4 * 4000 * 64


@pytest.mark.parametrize("to", ["int16", "int32", "uint8", "float64", "complex64", "float16"])
def test_memory_seen_as_another_dtype(to):
    values = np.arange(48, dtype=np.float32).reshape(3, 2, 8)
    x, wanted = helix.tensor(values)[1:], torch.tensor(values)[1:].view(getattr(torch, to))
    y = x.view(getattr(helix, to))
    assert y.shape == tuple(wanted.shape) and y.stride() == wanted.stride()
    np.testing.assert_array_equal(y.numpy(), wanted.numpy())
    assert y.data_ptr() == x.data_ptr()
    assert np.array_equal(y.view(dtype=helix.float32).numpy(), values[1:])


def test_a_view_of_bits_writes_through_and_has_no_gradient():
    x = helix.tensor([1.0, -2.0])
    x.view(helix.int32).bitwise_and_(0x7FFFFFFF)
    assert x.tolist() == [1.0, 2.0]
    assert not x.requires_grad_().view(helix.int32).requires_grad


@pytest.mark.parametrize(("make", "to", "why"), [
    (lambda: helix.zeros(2, 3), "float64", "whole elements"),
    (lambda: helix.zeros(2, 4).T, "float64", "stride 1"),
    (lambda: helix.zeros(()), "float64", "no axis"),
    (lambda: helix.zeros(5)[1:], "float64", "multiples of their size"),
    (lambda: helix.zeros(3, 5)[:, :4], "float64", "multiples of their size"),
    (lambda: helix.from_numpy(np.zeros(9, np.uint8)[1:]), "float64", "multiples of their size|aligned"),
])  # fmt: skip
def test_memory_that_does_not_fit_another_dtype_is_refused(make, to, why):
    with pytest.raises(helix.errors.ShapeError, match=why):
        make().view(getattr(helix, to))
    with pytest.raises(helix.errors.DTypeError, match="bool"):
        make().view(helix.bool)


@pytest.mark.parametrize("device", ["cpu", "sim"])
@pytest.mark.parametrize("op", ["cumsum", "cumprod", "add", "exp"])
def test_out_with_gaps_is_written_where_it_lies(op, device):
    x = helix.rand(4, 2).to(device)
    arguments = {"add": (1.0,), "exp": ()}.get(op, (0,))
    whole = helix.zeros(4, 4).to(device)
    getattr(helix, op)(x, *arguments, out=whole[:, ::2])
    expected = getattr(helix, op)(x.cpu(), *arguments)
    assert (whole[:, ::2].cpu() - expected).abs().max().item() < 1e-6 and whole[:, 1::2].abs().sum().item() == 0


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64", "complex128"])
@pytest.mark.parametrize("pad", [(1, 2), (0, 0, 3, 1), (-1, 2, 2, -1), (1, 1, -3, 5)])
def test_padding_of_views_whose_elements_lie_apart(dtype, pad):
    array = np.arange(3 * 40 * 50).reshape(3, 40, 50).astype(dtype)
    for change in (lambda t: t.swapaxes(1, 2), lambda t: t.swapaxes(0, 2), lambda t: t[:, :, ::2]):
        whole = np.ascontiguousarray(change(array))
        ours = helix.nn.functional.pad(change(helix.tensor(array)), pad, value=7)
        np.testing.assert_array_equal(ours.numpy(), helix.nn.functional.pad(helix.tensor(whole), pad, value=7).numpy())
        theirs = torch.nn.functional.pad(torch.from_numpy(whole), pad, value=7)
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize("dtype", [helix.float32, helix.float64, helix.complex64, helix.complex128, helix.float16])
@pytest.mark.parametrize("shape, dim, size, step", [
    ((2, 9000), 1, 64, 16), ((3, 9000), -1, 7, 10), ((5000, 3), 0, 300, 7), ((2, 700, 20), 1, 33, 33), ((2, 50), 1, 50, 1),
    ((4, 6), 0, 0, 2), ((), 0, 1, 1),
])  # fmt: skip
def test_gradients_of_windows_add_up_where_they_overlap(shape, dim, size, step, dtype):
    x = helix.zeros(shape, dtype=dtype, requires_grad=True)
    windows = x.unfold(dim, size, step)
    weight = np.random.default_rng(0).integers(-4, 5, tuple(windows.shape))
    wanted = np.zeros(shape, "int64")
    places = np.asarray(helix.arange(wanted.size).reshape(shape).unfold(dim, size, step))
    np.add.at(wanted.reshape(-1), places.ravel(), weight.ravel())
    before = helix.get_num_threads()
    for threads in (1, 3):
        helix.set_num_threads(threads)
        (found,) = helix.autograd.grad(windows, x, helix.tensor(weight).to(dtype), retain_graph=True)
        np.testing.assert_array_equal(np.asarray(found), wanted)
    helix.set_num_threads(before)
