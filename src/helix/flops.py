"""How many floating-point operations a kernel does, by its name and shapes: a multiply-add counts as two."""

from __future__ import annotations

from math import log2, prod

Shape = tuple[tuple[int, ...], str] | None

_MOVES = frozenset(
    [
        "cast",
        "copy",
        "clone",
        "contiguous",
        "cat",
        "stack",
        "fill",
        "zero",
        "zeros",
        "ones",
        "full",
        "empty",
        "index",
        "index_select",
        "index_put",
        "gather",
        "scatter",
        "embedding",
        "embedding_bag",
        "take_along_dim",
        "roll",
        "flip",
        "repeat",
        "im2col",
        "constant_pad",
        "border_pad",
        "slice_scatter",
        "select_scatter",
        "arange",
        "eye",
        "tril",
        "triu",
        "masked_fill",
        "where",
        "one_hot",
        "rand",
        "randn",
        "randint",
        "randperm",
        "uniform",
        "normal",
        "bernoulli",
        "expand_as",
        "reshape_as",
    ]
)
_PER_ELEMENT = {
    "softmax": 5, "log_softmax": 5, "softmax_backward": 4, "log_softmax_backward": 4, "layer_norm": 5, "native_layer_norm": 5,
    "layer_norm_backward": 9, "rms_norm": 4, "native_rms_norm": 4, "rms_norm_backward": 7, "batch_norm_forward": 5,
    "batch_norm_apply": 2, "batch_norm_backward": 8, "group_norm_forward": 5, "group_norm_backward": 9, "addcmul": 3, "addcdiv": 3,
    "lerp": 3, "gelu": 8, "gelu_backward": 12, "silu": 4, "silu_backward": 6, "sigmoid": 4, "tanh": 4,
}  # fmt: skip


def flops_of(op: str, inputs: tuple[Shape, ...], output: Shape) -> int:
    """Operations of one kernel; those that only move data do none. Reductions count their inputs, other ops their results.

    Shapes are (sizes, dtype), or None for an argument left out. Of Fourier transforms along several axes one is counted, as
    shapes do not tell the others.
    """
    sizes = [shape[0] if shape is not None else () for shape in inputs]
    out = prod(output[0]) if output is not None else 0
    if op in _LONG and sizes and sizes[0] and output is not None:
        return _LONG[op](sizes, output[0])
    if op in ("matmul", "mm", "bmm", "mv", "dot", "linear", "linear_activation", "int_mm", "quantized_linear"):
        return 2 * out * (sizes[0][-1] if sizes[0] else 1)
    if op in ("addmm", "baddbmm", "add_matmul", "addmv"):
        return 2 * out * (sizes[1][-1] if sizes[1] else 1)
    if op == "grouped_matmul":
        return 2 * prod(sizes[0]) * sizes[1][-1]
    if op == "grouped_linear":
        return 2 * prod(sizes[0]) * sizes[2][0]
    if op == "addbmm":
        return 2 * out * sizes[1][0] * sizes[1][-1]
    if op.startswith("conv"):
        return _convolution(op, sizes, out)
    if (
        op in ("attention", "scaled_dot_product_attention", "attention_distance_gradient")
        and len(sizes[0]) >= 2
        and len(sizes[1]) >= 2
    ):
        return 2 * prod(sizes[0][:-2]) * sizes[0][-2] * sizes[1][-2] * (sizes[0][-1] + sizes[2][-1])
    if op == "attention_backward" and len(sizes[0]) >= 2 and len(sizes[1]) >= 2:  # five products of that size
        return 2 * prod(sizes[0][:-2]) * sizes[0][-2] * sizes[1][-2] * (3 * sizes[0][-1] + 2 * sizes[2][-1])
    if op in _MOVES:
        return 0
    return max(out, prod(sizes[0]) if sizes[0] else 0) * _PER_ELEMENT.get(op, 1)


def _convolution(op: str, sizes: list[tuple[int, ...]], out: int) -> int:
    """Every pair of a tap and a result is one multiply-add; the gradients have as many as the convolution itself."""
    if op == "conv_backward_weight":
        gradient = sizes[0]
        return 2 * prod(gradient) * (out // gradient[1])
    if op == "conv_backward_input":
        return 2 * prod(sizes[0]) * prod(sizes[1][1:])
    return 2 * out * prod(sizes[1][1:])


def _real_transform(n: int) -> float:
    """A Fourier transform of n real numbers: half of the 5 n log2 n that one of complex numbers is taken to need."""
    return 2.5 * n * log2(max(n, 2))


def _complex_transforms(sizes: list[tuple[int, ...]], out: tuple[int, ...]) -> int:
    return round(2 * prod(out[:-1]) * _real_transform(out[-1]))


def _real_transforms(real: tuple[int, ...], half: tuple[int, ...]) -> int:
    """`half` holds the n / 2 + 1 elements of a spectrum along the axis where it differs from `real`."""
    axis = next((i for i, (a, b) in enumerate(zip(real, half, strict=True)) if a != b), -1)
    return round(prod(real) // max(real[axis], 1) * _real_transform(real[axis]))


def _fft_convolution(sizes: list[tuple[int, ...]], out: tuple[int, ...]) -> int:
    """Two transforms a row and one a filter, of the least 2^k or 3 2^k that holds both, and a product of half spectra."""
    length, taps = sizes[0][-1], sizes[1][-1]
    if not length or not taps:
        return 0
    most, n = length + min(length, taps) - 1, 4
    while n < most:
        n *= 2
    n = 3 * n // 4 if 3 * n // 4 >= most else n
    rows, filters = prod(sizes[0]) // length, prod(sizes[1]) // taps
    skip = 2 * prod(out) if len(sizes) > 2 and sizes[2] else 0
    return round((2 * rows + filters) * _real_transform(n) + 3 * n * rows) + skip


def _selective_scan(sizes: list[tuple[int, ...]], out: tuple[int, ...]) -> int:
    """Of a state's step: exp(step A), the state's multiply-add and its input's product, the sum by C, each with its product:
    7. Of a channel's step: bias and softplus, its product with u, D, and the gate: 13."""
    return prod(sizes[0]) * (7 * sizes[2][-1] + 13)


def _selective_scan_backward(sizes: list[tuple[int, ...]], out: tuple[int, ...]) -> int:
    """Of a state's step: it again (5), its gradient (3), and six sums of products (2 or 3 each), for u, step, A, B, C; of a
    channel's step the gradients of gate, D and softplus."""
    return prod(sizes[0]) * (20 * sizes[2][-1] + 24)


def _recurrence(sizes: list[tuple[int, ...]], out: tuple[int, ...]) -> int:
    """Of a gate's value: a product with the state, and seven for its sum, its curve, and its share of the new state."""
    return prod(sizes[0]) * (2 * sizes[1][-1] + 7)


_LONG = {
    "fft_c2c": _complex_transforms,
    "fft_r2c": lambda sizes, out: _real_transforms(sizes[0], out),
    "fft_c2r": lambda sizes, out: _real_transforms(out, sizes[0]),
    "native_fft_conv": _fft_convolution,
    "fft_conv": _fft_convolution,
    "native_selective_scan": _selective_scan,
    "selective_scan": _selective_scan,
    "selective_scan_backward": _selective_scan_backward,
    "recurrence": _recurrence,
    "recurrence_backward": _recurrence,
}
