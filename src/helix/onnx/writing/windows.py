"""Convolutions, pools, resizing, sampling on a grid."""

from __future__ import annotations

from typing import Any

from ...graph.ir import Node
from .edge import Edge
from .faults import unwritable
from .shapes import swapped
from .table import taken, writes
from .writer import Writer


def many(value: Any, n: int) -> list[int]:
    found = list(value) if isinstance(value, tuple) else [value]
    return found * n if len(found) == 1 else found


def batched(w: Writer, x: Edge, n: int) -> tuple[Edge, bool]:
    """With a batch axis, which an image may lack."""
    return (x, False) if x.rank == n + 2 else (w.Unsqueeze(x, [0]), True)


@writes("conv", "conv1d", "conv2d", "conv3d")
def conv(
    w: Writer, x: Edge, weight: Edge, bias: Edge | None, stride: Any, padding: Any, dilation: Any, groups: int
) -> Edge:
    n = weight.rank - 2
    x, alone = batched(w, x, n)
    sizes = {"strides": many(stride, n), "pads": many(padding, n) * 2, "dilations": many(dilation, n), "group": groups}
    floating = x.floating
    kind = x.dtype if floating else "float64" if x.dtype in ("int64", "uint64") else "float32"
    made = w.Conv(x.to(kind), weight.to(kind), None if bias is None else bias.to(kind), **sizes).to(w.dtype)
    return w.Squeeze(made, [0]) if alone else made


@writes("conv_backward_input")
def conv_transposed(
    w: Writer,
    x: Edge,
    weight: Edge,
    bias: Edge | None,
    size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Edge:
    n = weight.rank - 2
    assert w.node is not None
    image = x.shape[-n:]
    x, alone = batched(w, x, n)
    strides, pads, dilations = many(stride, n), many(padding, n), many(dilation, n)
    extra = []
    for i in range(n):
        usual = (image[i] - 1) * strides[i] - 2 * pads[i]
        more = size[i] - (usual + dilations[i] * (weight.shape[2 + i] - 1) + 1)
        if not isinstance(more, int):
            more = more.at({}) if not more.names else None
        if more is None:
            raise unwritable(w.node, "the size of the result is not a fixed number more than the least one")
        extra.append(more)
    made = w.ConvTranspose(
        x, weight, bias, strides=strides, pads=pads * 2, dilations=dilations, group=groups,
        **({"output_padding": extra} if any(extra) else {}),
    )  # fmt: skip
    return w.Squeeze(made, [0]) if alone else made


# ---- pools -------------------------------------------------------------------------------------------------


@writes("max_pool")
def max_pool(
    w: Writer, x: Edge, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool, indices: bool
) -> tuple[Edge, Edge | None]:
    n = len(kernel)
    if not x.floating and x.dtype not in ("int8", "uint8"):
        shape = x.shape
        x = x.to("float64")
        x.shape = shape
    image, alone = batched(w, x, n)
    sizes = {"kernel_shape": list(kernel), "strides": many(stride, n), "pads": many(padding, n) * 2,
             "dilations": many(dilation, n), "ceil_mode": int(ceil)}  # fmt: skip
    if len(w.out) < 2 or not taken(w.out[1]):
        values = w.MaxPool(image, **sizes)
        return w.Squeeze(values, [0]) if alone else values, None
    values, places = w.MaxPool(image, **sizes, outputs=2)
    plane = w.constant(1, "int64")  # ONNX counts through all planes, helix within one
    for axis in range(-n, 0):
        plane = plane * w.sizes.one(w.sizes.of(x, axis))
    places = w.Mod(places, plane)
    return (w.Squeeze(values, [0]), w.Squeeze(places, [0])) if alone else (values, places)


@writes("avg_pool")
def avg_pool(
    w: Writer, x: Edge, kernel: Any, stride: Any, padding: Any, ceil: bool, count_pad: bool, divisor: int | None
) -> Edge:
    n = len(kernel)
    image, alone = batched(w, x, n)
    sizes = {
        "kernel_shape": list(kernel),
        "strides": many(stride, n),
        "pads": many(padding, n) * 2,
        "ceil_mode": int(ceil),
    }
    if divisor is not None:
        area = 1
        for size in kernel:
            area *= size
        if ceil:
            assert w.node is not None
            raise unwritable(w.node, "divisor_override together with ceil_mode")
        made = w.AveragePool(image, **sizes, count_include_pad=1) * (area / divisor)
    else:
        made = w.AveragePool(image, **sizes, count_include_pad=int(count_pad))
    return w.Squeeze(made, [0]) if alone else made


def _adaptive(node: Node) -> bool:
    """Windows of one size: the result's size divides the image's, or is 1."""
    x, sizes = node.inputs[0], node.attributes[0]
    assert x is not None
    n = len(sizes)
    return all(
        out == 1 or (isinstance(size, int) and isinstance(out, int) and size % out == 0)
        for size, out in zip(x.shape[-n:], sizes, strict=True)
    )


@writes("adaptive_avg_pool", when=lambda node: all(isinstance(size, int) for size in node.attributes[0]))
def adaptive_avg_pool(w: Writer, x: Edge, sizes: Any) -> Edge:
    assert w.node is not None
    n = len(sizes)
    if all(size == 1 for size in sizes):
        return w.ReduceMean(x, [x.rank - n + i for i in range(n)], keepdims=1)
    if _adaptive(w.node):
        image, alone = batched(w, x, n)
        kernel = [size // out for size, out in zip(_known(w, x, n), sizes, strict=True)]
        made = w.AveragePool(image, kernel_shape=kernel, strides=kernel)
        return w.Squeeze(made, [0]) if alone else made
    for i, (size, out) in enumerate(zip(_known(w, x, n), sizes, strict=True)):  # one product with a matrix an axis
        x = _turned(w, x, x.rank - n + i, _averages(size, out))
    return x


def _known(w: Writer, x: Edge, n: int) -> list[int]:
    found = list(x.shape[-n:])
    if not all(isinstance(size, int) for size in found):
        assert w.node is not None
        raise unwritable(
            w.node, "windows depend on the size; give numbers instead of dimensions, or a result of size 1"
        )
    return found


def _edges(size: int, out: int) -> list[tuple[int, int]]:
    return [(i * size // out, -(-(i + 1) * size // out)) for i in range(out)]


def _averages(size: int, out: int) -> Any:
    import numpy as np

    matrix = np.zeros((size, out))
    for i, (first, end) in enumerate(_edges(size, out)):
        matrix[first:end, i] = 1 / (end - first)
    return matrix


def _turned(w: Writer, x: Edge, axis: int, matrix: Any) -> Edge:
    """x times a matrix along an axis."""
    shape, last = x.shape, x.rank - 1
    moved = swapped(w, x, axis, last) if axis != last else x
    made = w.MatMul(moved, w.constant(matrix, x.dtype))
    made.shape = moved.shape
    made = swapped(w, made, axis, last) if axis != last else made
    made.shape = tuple(matrix.shape[1] if i == axis else size for i, size in enumerate(shape or ()))
    return made


@writes("adaptive_max_pool", when=lambda node: len(node.outputs) < 2 or not taken(node.outputs[1]))
def adaptive_max_pool(w: Writer, x: Edge, sizes: Any, indices: bool) -> tuple[Edge, None]:
    assert w.node is not None
    n = len(sizes)
    if all(size == 1 for size in sizes):
        return w.ReduceMax(x, [x.rank - n + i for i in range(n)], keepdims=1), None
    for i, (size, out) in enumerate(zip(_known(w, x, n), sizes, strict=True)):
        axis = x.rank - n + i
        shape = x.shape
        parts = [
            w.ReduceMax(w.Slice(x, [first], [end], [axis]), [axis], keepdims=1) for first, end in _edges(size, out)
        ]
        x = w.Concat(*parts, axis=axis) if len(parts) > 1 else parts[0]
        x.shape = tuple(out if k == axis else s for k, s in enumerate(shape or ()))
    return x, None


# ---- resizing ----------------------------------------------------------------------------------------------

_MODES = {"nearest": "nearest", "nearest-exact": "nearest", "linear": "linear", "bilinear": "linear", "trilinear": "linear",
          "bicubic": "cubic"}  # fmt: skip


def _resizable(node: Node) -> bool:
    """Runtimes resize linearly over at most 3 axes, cubically over 2; their antialiasing has other weights."""
    _, scale, mode, _, antialias = node.attributes
    return not antialias and mode in _MODES and node.outputs[0].dtype.name == "float32" and scale in (None, ())


@writes("resample", when=_resizable)
def resample(w: Writer, x: Edge, size: Any, scale: Any, mode: str, corners: bool, antialias: bool) -> Edge:
    n = len(size)
    whole = [*[w.sizes.of(x, axis) for axis in range(x.rank - n)], *size]
    options: dict[str, Any] = {"mode": _MODES[mode], "coordinate_transformation_mode": "half_pixel"}
    if mode == "nearest":
        options |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    elif mode == "nearest-exact":
        options["nearest_mode"] = "round_prefer_ceil"
    elif corners:
        options["coordinate_transformation_mode"] = "align_corners"
    if mode == "bicubic":
        options["cubic_coeff_a"] = -0.75
    return w.Resize(x, None, None, w.sizes.vector(whole), **options)


@writes("grid_sampler")
def grid_sampler(w: Writer, x: Edge, grid: Edge, mode: Any, padding: Any, corners: bool) -> Edge:
    modes = {"bilinear": "linear", "nearest": "nearest", "bicubic": "cubic"}
    mode = mode if isinstance(mode, str) else list(modes)[mode]
    mode = modes[mode] if w.opset >= 20 else mode
    padding = padding if isinstance(padding, str) else ("zeros", "border", "reflection")[padding]
    return w.GridSample(x, grid, mode=mode, padding_mode=padding, align_corners=int(corners))
