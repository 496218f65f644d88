"""Recurrent layers and cells against torch's: results, last states and all gradients, padded and packed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import helix as hx
from helix import nn
from helix.autograd import gradcheck, gradgradcheck
from helix.errors import ParameterError, ShapeError
from helix.nn import recurrent
from helix.nn.utils import rnn

from .compare import assert_close, copy_weights, to_helix

BOUND = {torch.float32: 1e-5, torch.float64: 1e-9}
KINDS = [("RNN", {}), ("RNN", {"nonlinearity": "relu"}), ("LSTM", {}), ("LSTM", {"proj_size": 3}), ("GRU", {})]
SHAPES = [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False, "batch_first": True}]


def pair(kind: str, options: dict, dtype) -> tuple[Any, torch.nn.Module]:
    torch.manual_seed(0)
    theirs = getattr(torch.nn, kind)(5, 7, dtype=dtype, **options)
    mine = getattr(nn, kind)(5, 7, dtype=getattr(hx, str(dtype).partition(".")[2]), **options)
    copy_weights(mine, theirs)
    return mine, theirs


def leaf(*shape, dtype) -> tuple[hx.Tensor, torch.Tensor]:
    theirs = torch.randn(*shape, dtype=dtype).requires_grad_()
    return to_helix(theirs).requires_grad_(), theirs


def flat(result) -> list:
    if isinstance(result, (torch.nn.utils.rnn.PackedSequence, rnn.PackedSequence)):
        return [result.data]
    return [t for part in result for t in flat(part)] if isinstance(result, tuple) else [result]


def compare(mine, theirs, leaves, got, wanted, bound: float) -> None:
    got, wanted = flat(got), flat(wanted)
    assert len(got) == len(wanted)
    weights = [torch.randn(b.shape, dtype=b.dtype) for b in wanted]
    for a, b in zip(got, wanted, strict=True):
        assert tuple(a.shape) == tuple(b.shape)
        assert_close(a, b, bound, bound)
    sum((a * to_helix(w)).sum() for a, w in zip(got, weights, strict=True)).backward()
    sum((b * w).sum() for b, w in zip(wanted, weights, strict=True)).backward()
    for a, b in leaves:
        assert_close(a.grad, b.grad, bound, bound)
    gradients = dict(mine.named_parameters())
    for name, parameter in theirs.named_parameters():
        assert_close(gradients[name].grad, parameter.grad, 10 * bound, 10 * bound, name)


def states(theirs, batch: tuple[int, ...], dtype) -> list[tuple[hx.Tensor, torch.Tensor]]:
    count = theirs.num_layers * (2 if theirs.bidirectional else 1)
    sizes = [theirs.proj_size or 7] + [7] * (theirs.mode == "LSTM")
    return [leaf(count, *batch, size, dtype=dtype) for size in sizes]


def given(leaves, which: int):
    parts = tuple(pair[which] for pair in leaves)
    return parts if len(parts) > 1 else parts[0]


@pytest.mark.parametrize("dtype", BOUND, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
def test_layers(kind, options, shape, dtype):
    mine, theirs = pair(kind, options | shape, dtype)
    assert repr(mine) == repr(theirs) and list(mine.state_dict()) == list(theirs.state_dict())
    x, start = leaf(*((3, 6, 5) if "batch_first" in shape else (6, 3, 5)), dtype=dtype), states(theirs, (3,), dtype)
    got, wanted = mine(x[0], given(start, 0)), theirs(x[1], given(start, 1))
    compare(mine, theirs, [x, *start], got, wanted, BOUND[dtype])


@pytest.mark.parametrize("with_state", [True, False])
@pytest.mark.parametrize("lengths", [[6, 4, 1], [2, 6, 6]], ids=str)
@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
def test_packed_sequences(kind, options, lengths, with_state):
    mine, theirs = pair(kind, {**options, "num_layers": 2, "bidirectional": True}, torch.float32)
    x, start = leaf(6, 3, 5, dtype=torch.float32), states(theirs, (3,), torch.float32) if with_state else []
    ordered = lengths == sorted(lengths, reverse=True)
    packed = rnn.pack_padded_sequence(x[0], lengths, enforce_sorted=ordered)
    their_packed = torch.nn.utils.rnn.pack_padded_sequence(x[1], lengths, enforce_sorted=ordered)
    assert packed.batch_sizes.tolist() == their_packed.batch_sizes.tolist()
    got = mine(packed, given(start, 0)) if with_state else mine(packed)
    wanted = theirs(their_packed, given(start, 1)) if with_state else theirs(their_packed)
    compare(mine, theirs, [x, *start], got, wanted, 1e-5)


@pytest.mark.parametrize("packed", [False, True])
def test_wide_projections_go_step_by_step(packed, monkeypatch):
    """With the results and gradients of narrow ones, which are one recurrence."""
    layer = nn.LSTM(5, 7, proj_size=3, num_layers=2, bidirectional=True, dtype=hx.float64)
    x = hx.randn(6, 3, 5, dtype=hx.float64, requires_grad=True)
    start = [hx.randn(4, 3, size, dtype=hx.float64, requires_grad=True) for size in (3, 7)]
    leaves, found = [x, *start, *layer.parameters()], []
    weights = None
    for narrow in (256, 0):
        monkeypatch.setattr(recurrent, "NARROW", narrow)
        given = rnn.pack_padded_sequence(x, [6, 4, 1]) if packed else x
        results = flat(layer(given, tuple(start)))
        weights = weights or [hx.randn(*t.shape, dtype=hx.float64) for t in results]
        total = sum((t * w).sum() for t, w in zip(results, weights, strict=True))
        found.append([*results, *hx.autograd.grad(total, leaves)])
    for one, other in zip(*found, strict=True):
        assert_close(one, other, 1e-11, 1e-11)


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
def test_unbatched(kind, options):
    mine, theirs = pair(kind, options, torch.float32)
    x, start = leaf(4, 5, dtype=torch.float32), states(theirs, (), torch.float32)
    compare(mine, theirs, [x, *start], mine(x[0], given(start, 0)), theirs(x[1], given(start, 1)), 1e-5)


@pytest.mark.parametrize("batch", [(3,), ()])
@pytest.mark.parametrize(("kind", "options"), [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu"}), ("LSTMCell", {}),
                                               ("GRUCell", {}), ("GRUCell", {"bias": False})], ids=str)  # fmt: skip
def test_cells(kind, options, batch):
    mine, theirs = pair(kind, options, torch.float32)
    assert repr(mine) == repr(theirs)
    x, count = leaf(*batch, 5, dtype=torch.float32), 2 if kind == "LSTMCell" else 1
    start = [leaf(*batch, 7, dtype=torch.float32) for _ in range(count)]
    compare(mine, theirs, [x, *start], mine(x[0], given(start, 0)), theirs(x[1], given(start, 1)), 1e-5)
    plain = flat(mine(x[0]))
    assert_close(plain[0], flat(theirs(x[1]))[0])


@pytest.mark.parametrize(("kind", "number"), [("tanh", 0), ("relu", 1), ("lstm", 2), ("gru", 3)])
@pytest.mark.parametrize("reverse", [False, True])
def test_first_and_second_gradients_with_lengths(kind, number, reverse):
    """The second ones go through the ops that the kernels stand for."""
    rng = np.random.default_rng(number)
    gates = (1, 1, 4, 3)[number]
    shapes = [(3, 2, gates * 2), (gates * 2, 2), (gates * 2,), (2, 2), (2, 2)]
    leaves = [hx.tensor(rng.standard_normal(s)).requires_grad_() for s in shapes[: 5 if kind == "lstm" else 4]]
    lengths = hx.tensor([3, 1])

    def run(x, w, b, h, c=None):
        found, cells, _ = hx._core.op_named("recurrence")(x, w, b, h, c, lengths, number, reverse)
        return (found, cells) if kind == "lstm" else found

    assert gradcheck(run, leaves) and gradgradcheck(run, leaves)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_many_steps_rows_and_threads(kind):
    """Beside float64; the same bits for any number of threads, and for a row alone."""
    mine, theirs = pair(kind, {"num_layers": 1}, torch.float64)
    narrow = getattr(nn, kind)(5, 7)
    narrow.load_state_dict({name: value.to(hx.float32) for name, value in mine.state_dict().items()})
    x = torch.randn(40, 130, 5, dtype=torch.float64)
    wanted, before, seen = theirs(x)[0], hx.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            hx.set_num_threads(threads)
            seen.append(narrow(to_helix(x).to(hx.float32))[0])
    finally:
        hx.set_num_threads(before)
    assert all(np.array_equal(seen[0].detach().numpy(), other.detach().numpy()) for other in seen[1:])
    assert_close(seen[0].to(hx.float64), wanted, 1e-4, 1e-5)
    half = narrow.to(hx.bfloat16)(to_helix(x).to(hx.bfloat16))[0]
    assert_close(half.to(hx.float64), wanted, 0, 0.15)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_what_is_not_kept_changes_nothing(kind):
    layer, x = getattr(nn, kind)(5, 7, 2, bidirectional=True), hx.randn(6, 3, 5)
    packed = rnn.pack_padded_sequence(x, [6, 4, 1])
    with hx.no_grad():
        alone, short = layer(x)[0], layer(packed)[0].data
    assert alone.tolist() == layer(x)[0].tolist() and short.tolist() == layer(packed)[0].data.tolist()


def test_a_gradient_without_what_it_needs_is_refused():
    gates = hx.ones(3, 2, 8).requires_grad_()
    found = hx._core.op_named("recurrence")(
        gates, hx.ones(8, 2), None, hx.ones(2, 2), hx.ones(2, 2), None, 2, keep=False
    )
    with pytest.raises(hx.errors.GradientError, match="keep=True"):
        found[0].sum().backward()


def test_dropout_is_between_layers_in_training():
    layer, x = nn.GRU(5, 7, 2, dropout=1.0), hx.ones(3, 2, 5)
    layer.bias_ih_l1.requires_grad_(False).fill_(0)
    assert layer(x)[0].tolist() == layer(hx.zeros(3, 2, 5))[0].tolist()
    assert layer.eval()(x)[0].tolist() != layer(hx.zeros(3, 2, 5))[0].tolist()


def test_a_state_goes_on():
    layer, x = nn.LSTM(5, 7, 2), to_helix(torch.randn(6, 2, 5))
    whole, _ = layer(x)
    first, state = layer(x[:4])
    assert_close(hx.cat([first, layer(x[4:], state)[0]]), whole, 1e-6, 1e-6)


@pytest.mark.parametrize(("make", "text"), [
    (lambda: nn.LSTM(5, 7)(hx.ones(3, 2, 4)), "takes .steps, batch, 5."), (lambda: nn.LSTM(5, 7)(hx.ones(0, 2, 5)), "one step"),
    (lambda: nn.GRU(5, 7)(hx.ones(3, 2, 5), hx.ones(1, 3, 7)), r"a state must be \(1, 2, 7\)"),
    (lambda: nn.GRUCell(5, 7)(hx.ones(2, 4)), r"takes \(batch, 5\)"),
    (lambda: nn.LSTMCell(5, 7)(hx.ones(2, 5), (hx.ones(2, 7), hx.ones(2, 6))), "a state must be"),
    (lambda: nn.LSTMCell(5, 7)(hx.ones(2, 5), (hx.ones(2, 7),)), r"2 states \(h, c\), got 1"),
    (lambda: nn.LSTMCell(5, 7)(hx.ones(2, 5), hx.ones(2, 7)), r"2 states \(h, c\), got 1"),
    (lambda: nn.LSTM(5, 7)(hx.ones(3, 2, 5), (hx.ones(1, 2, 7),)), r"2 states \(h_0, c_0\), got 1"),
    (lambda: nn.LSTM(5, 7)(hx.ones(3, 2, 5), hx.ones(1, 2, 7)), r"2 states \(h_0, c_0\), got 1"),
    (lambda: nn.GRU(5, 7)(hx.ones(3, 2, 5), (hx.ones(1, 2, 7),) * 2), r"states \(h_0\), got 2")])  # fmt: skip
def test_what_does_not_fit_is_named(make, text):
    with pytest.raises(nn.LayerError, match=text):
        make()


@pytest.mark.parametrize(("kind", "options"), [("LSTM", {"proj_size": 7}), ("GRU", {"dropout": 2.0}), ("RNN", {"num_layers": 0}),
                                               ("RNN", {"nonlinearity": "wave"}), ("RNNCell", {"nonlinearity": "wave"})])  # fmt: skip
def test_bad_arguments(kind, options):
    with pytest.raises(ParameterError, match=f"HX1403 {kind}"):
        getattr(nn, kind)(5, 7, **options)


@pytest.mark.parametrize(("change", "error"), [
    ({0: hx.ones(3, 2, 7)}, "gates has shape"), ({1: hx.ones(7, 8)}, "weight has shape"), ({3: hx.ones(2, 6)}, "hidden has shape"),
    ({5: hx.tensor([1])}, "lengths has shape"), ({4: hx.ones(2, 2)}, "cell is the state of an LSTM"), ({2: hx.ones(3)}, "bias has shape"),
    ({0: hx.ones(0, 2, 8)}, "at least one step"), ({6: 4}, "kind must be 0 to 3")])  # fmt: skip
def test_the_op_refuses(change, error):
    arguments: dict[int, Any] = {
        0: hx.ones(3, 2, 8),
        1: hx.ones(8, 8),
        2: None,
        3: hx.ones(2, 8),
        4: None,
        5: None,
        6: 0,
    }
    if 6 not in change and 0 not in change:
        arguments[1] = hx.ones(8, 8)
    with pytest.raises(hx.errors.HelixError, match=error):
        hx._core.op_named("recurrence")(*(arguments | change).values())


# ---- padding and packing ----


def ragged(*lengths: int) -> list[torch.Tensor]:
    torch.manual_seed(3)
    return [torch.randn(n, 2) for n in lengths]


@pytest.mark.parametrize(
    "keywords", [{}, {"batch_first": True, "padding_value": 2.5}, {"padding_side": "left"}], ids=str
)
def test_padding(keywords):
    sequences = ragged(2, 4, 1)
    mine = [to_helix(s) for s in sequences]
    padded = rnn.pad_sequence(mine, **keywords)
    assert padded.tolist() == torch.nn.utils.rnn.pad_sequence(sequences, **keywords).tolist()
    if "padding_side" not in keywords:
        back = rnn.unpad_sequence(padded, hx.tensor([2, 4, 1]), "batch_first" in keywords)
        assert [t.tolist() for t in back] == [s.tolist() for s in mine]


@pytest.mark.parametrize(("lengths", "ordered"), [((4, 2, 2), True), ((2, 1, 4), False), ((4, 2, 2), False)])
def test_packing_and_back(lengths, ordered):
    sequences = ragged(*lengths)
    theirs = torch.nn.utils.rnn.pack_sequence(sequences, enforce_sorted=ordered)
    mine = rnn.pack_sequence([to_helix(s) for s in sequences], enforce_sorted=ordered)
    assert mine.data.tolist() == theirs.data.tolist()
    assert (mine.sorted_indices is None) == (theirs.sorted_indices is None)
    for keywords in ({}, {"batch_first": True, "padding_value": 9.0, "total_length": 6}):
        got, wanted = (
            rnn.pad_packed_sequence(mine, **keywords),
            torch.nn.utils.rnn.pad_packed_sequence(theirs, **keywords),
        )
        assert got[0].tolist() == wanted[0].tolist() and got[1].tolist() == wanted[1].tolist() == list(lengths)
    assert [t.tolist() for t in rnn.unpack_sequence(mine)] == [s.tolist() for s in sequences]
    assert mine.to(hx.float64).data.dtype == hx.float64


@pytest.mark.parametrize(("make", "error"), [
    (lambda: rnn.pack_padded_sequence(hx.ones(3, 2), [1, 2]), "lengths must fall"),
    (lambda: rnn.pack_padded_sequence(hx.ones(3, 2), [4, 2]), r"lengths must lie in 1\.\.3"),
    (lambda: rnn.pack_padded_sequence(hx.ones(3, 2), [2, 0]), r"got 0\.\.2"),
    (lambda: rnn.pad_packed_sequence(rnn.pack_sequence([hx.ones(3)]), total_length=2), "total_length must be at least 3"),
    (lambda: rnn.pad_sequence([hx.ones(3)], padding_side="top"), "padding_side")])  # fmt: skip
def test_what_cannot_be_packed(make, error):
    with pytest.raises(ParameterError, match=error):
        make()
    with pytest.raises(ShapeError, match="3 lengths for a batch of 2"):
        rnn.pack_padded_sequence(hx.ones(3, 2), [3, 2, 1])


@pytest.mark.parametrize("wrong", ["states", "cells", "saved", "states_gradient", "cells_gradient"])
def test_the_backward_pass_refuses_results_of_another_size(wrong: str) -> None:
    shapes = {"states": 4, "cells": 4, "saved": 16, "states_gradient": 4, "cells_gradient": 4}
    results = {name: hx.zeros(2, 3, 1 if name == wrong else width) for name, width in shapes.items()}
    with pytest.raises(ShapeError, match=f"{wrong} has shape"):
        hx._core.recurrence_backward(
            hx.zeros(2, 3, 16), hx.zeros(16, 4), None, hx.zeros(3, 4), hx.zeros(3, 4), None, **results, kind=2
        )
