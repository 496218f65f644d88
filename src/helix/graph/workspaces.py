"""What the CPU's kernels hold while they run besides operands and results, from shapes alone: panels of packed operands, transformed
weights, partial sums. The sizes are those by which gemm_packed.h, conv_winograd.h and conv_tile.h ask the pool."""

from __future__ import annotations

from math import prod
from typing import Any

from .. import _core
from .ir import Node

_PRODUCTS = frozenset({"linear", "linear_activation", "matmul", "mm", "bmm", "addmm", "baddbmm"})
_STEPPED = {2: (4.6, 12.6), 3: (7.0, 11.0)}  # how many times its gates an LSTM, a GRU keeps, forward and backward
_STEPPED_PLAIN = (4.0, 10.5)
_PANEL = 32  # columns of a packed panel
_BLOCKS = 275_000  # bytes of a thread's block of the left operand
_NEAR = 1 << 20  # bytes of a right operand that few rows take as it lies
_FEW = 512 << 10  # bytes of packed panels where the rows are few
_LANES = 16  # to which channels are rounded
_POINTS = 36  # of a transformed tap: Winograd's F(4x4, 3x3)
_SCRATCH = 640 << 10  # bytes of a thread's block of a convolution
_SLICE = 4 * _LANES  # channels of a gradient that are taken at once
_PARTIAL = 16  # partial sums of a gradient by weights, about


def of_kernel(node: Node) -> int:
    """Bytes, about; 0 for kernels that hold next to nothing."""
    if node.op in _PRODUCTS:
        return _product(node)
    if node.op in ("conv1d", "conv2d", "conv3d"):
        return _convolution(node.inputs[0], node.inputs[1], node.outputs[0], node.attributes)
    if node.op == "conv_backward_input":
        return _convolution(node.inputs[0], node.inputs[1], node.outputs[0], node.attributes[1:])
    if node.op == "conv_backward_weight":
        return _weight_gradient(node)
    if node.op in ("recurrence", "recurrence_backward"):
        return _stepped(node)
    return _scan_gradient(node) if node.op == "selective_scan_backward" else 0


def _product(node: Node) -> int:
    out = node.outputs[0]
    left = node.inputs[1 if node.op in ("addmm", "baddbmm") else 0]
    if not out.shape or left is None or not left.shape:
        return 0
    n, k = out.shape[-1], left.shape[-1]
    rows = out.shape[-2] if node.op in ("bmm", "baddbmm") and len(out.shape) > 1 else prod(out.shape) // max(n, 1)
    if rows < 8 or rows * n * k < 1 << 18:
        return 0
    if rows <= 128:
        return _FEW + 4 * k * rows if 4 * k * n > _NEAR else 0
    return _core.get_num_threads() * min(_BLOCKS, 4 * k * rows) + 4 * k * (-(-n // _PANEL) * _PANEL)


def _convolution(source: object, weight: object, out: object, attributes: tuple[Any, ...]) -> int:
    """Forward, or by the input: transformed taps where Winograd's form is taken, else packed ones; and a block for each thread."""
    x, w, y = source.shape, weight.shape, out.shape  # type: ignore[attr-defined]
    stride, groups = attributes[0], attributes[3]
    size = prod(w)
    tasks = min(_core.get_num_threads() * _SCRATCH, 8 * (prod(x) + prod(y)))
    inner, outer = w[1], w[0] // groups
    plain = len(w) == 4 and tuple(w[2:]) == (3, 3) and set(stride) == {1} and min(inner, outer) >= _LANES
    if plain and _winograd_pays(y, inner, outer):
        return tasks + 4 * _POINTS * size // 9
    return tasks + 4 * size if inner >= _LANES else 0


def _winograd_pays(y: tuple[int, ...], inner: int, outer: int) -> bool:
    batch = y[0] if len(y) == 4 else 1
    tiles, pixels = batch * -(-y[-2] // 4) * -(-y[-1] // 4), batch * y[-2] * y[-1]
    work = inner * outer
    return tiles * (1.3 * work + 20 * (inner + outer)) + 60 * work < 0.8 * 0.33 * pixels * work


def _weight_gradient(node: Node) -> int:
    """Sums of parts of the batch, of the size of the weights each."""
    shape, groups = node.outputs[0].shape, node.attributes[4]
    taps, inner, outer = prod(shape[2:]), shape[1], shape[0] // groups
    part = min(max(768 // taps, 1), inner)
    parts = -(-inner // part)
    padded = -(-outer // _LANES) * _LANES
    splits = min(max(-(-_PARTIAL // (groups * parts)), 1), _blocks(node.inputs[0].shape, len(shape) - 2, padded))  # type: ignore[union-attr]
    return 4 * groups * splits * inner * taps * padded + _core.get_num_threads() * _SCRATCH // 4


def _stepped(node: Node) -> int:
    """Half types go through time in single ops, and what these make is kept until the last."""
    gates = node.inputs[0]
    if gates is None or gates.dtype.itemsize != 2:
        return 0
    return int(
        _STEPPED.get(node.attributes[0], _STEPPED_PLAIN)[node.op == "recurrence_backward"] * 2 * prod(gates.shape)
    )


def _scan_gradient(node: Node) -> int:
    """The gradients of B and C, by each group of channels that share vectors."""
    x, a, b = (value.shape for value in (node.inputs[0], node.inputs[2], node.inputs[3]) if value is not None)
    groups, states, length = (b[1] if len(b) == 4 else 1), a[-1], x[-1]
    return 8 * x[0] * groups * -(-x[1] // groups // (8 * _LANES)) * states * length + 4 * x[0] * x[1] * (states + 2)


def _blocks(gradient: tuple[int, ...], axes: int, padded: int) -> int:
    """Into how many pieces a batch is cut, each with so many positions that a slice of it stays near."""
    batch = gradient[0] if len(gradient) > axes + 1 else 1
    positions, wide = prod(gradient[-2:]) if axes > 1 else gradient[-1], gradient[-1]
    target = 32768 // (min(padded, _SLICE) * 4)
    if 2 * positions <= target:
        return -(-batch // min(target // max(positions, 1), max(batch, 1)))
    return batch * -(-positions // (wide * max(target // wide, 1)))
