"""How many floating-point operations a kernel does, by its name and shapes: a multiply-add counts as two."""

from __future__ import annotations

from math import prod

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
    """Operations of one kernel; those that only move data do none. Reductions count their inputs, other ops their results."""
    sizes = [shape[0] if shape is not None else () for shape in inputs]
    out = prod(output[0]) if output is not None else 0
    if op in ("matmul", "mm", "bmm", "mv", "dot", "linear", "linear_activation", "int_mm", "quantized_linear"):
        return 2 * out * (sizes[0][-1] if sizes[0] else 1)
    if op in ("addmm", "baddbmm", "add_matmul", "addmv"):
        return 2 * out * (sizes[1][-1] if sizes[1] else 1)
    if op == "addbmm":
        return 2 * out * sizes[1][0] * sizes[1][-1]
    if op.startswith("conv"):
        return _convolution(op, sizes, out)
    if op in ("attention", "scaled_dot_product_attention") and len(sizes[0]) >= 2 and len(sizes[1]) >= 2:
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
