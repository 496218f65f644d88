# Made by tools/stubs.py from the built module. Do not edit.
from builtins import bool as _bool, complex as _complex, float as _float, int as _int, str as _str, type as _type
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, TypeAlias

import numpy
from helix._core import DType, Device, Number, _device, _dtype
from helix._core import Generator as Generator, Tensor as Tensor, device as device, dtype as dtype

def adaptive_avg_pool1d(input: Tensor | Number, output_size: _int | Sequence[_int]) -> Tensor: ...
def adaptive_avg_pool2d(input: Tensor | Number, output_size: _int | Sequence[_int]) -> Tensor: ...
def adaptive_avg_pool3d(input: Tensor | Number, output_size: _int | Sequence[_int]) -> Tensor: ...
def adaptive_max_pool1d(
    input: Tensor | Number, output_size: _int | Sequence[_int], return_indices: _bool = False
) -> Tensor: ...
def adaptive_max_pool2d(
    input: Tensor | Number, output_size: _int | Sequence[_int], return_indices: _bool = False
) -> Tensor: ...
def adaptive_max_pool3d(
    input: Tensor | Number, output_size: _int | Sequence[_int], return_indices: _bool = False
) -> Tensor: ...
def avg_pool1d(
    input: Tensor | Number,
    kernel_size: _int | Sequence[_int],
    stride: _int | Sequence[_int] | None = None,
    padding: _int | Sequence[_int] = 0,
    ceil_mode: _bool = False,
    count_include_pad: _bool = True,
    divisor_override: _int | None = None,
) -> Tensor: ...
def avg_pool2d(
    input: Tensor | Number,
    kernel_size: _int | Sequence[_int],
    stride: _int | Sequence[_int] | None = None,
    padding: _int | Sequence[_int] = 0,
    ceil_mode: _bool = False,
    count_include_pad: _bool = True,
    divisor_override: _int | None = None,
) -> Tensor: ...
def avg_pool3d(
    input: Tensor | Number,
    kernel_size: _int | Sequence[_int],
    stride: _int | Sequence[_int] | None = None,
    padding: _int | Sequence[_int] = 0,
    ceil_mode: _bool = False,
    count_include_pad: _bool = True,
    divisor_override: _int | None = None,
) -> Tensor: ...
def batch_norm(
    input: Tensor | Number,
    running_mean: Tensor | Number | None = None,
    running_var: Tensor | Number | None = None,
    weight: Tensor | Number | None = None,
    bias: Tensor | Number | None = None,
    training: _bool = False,
    momentum: _float = 0.1,
    eps: _float = 1e-05,
) -> Tensor: ...
def bilinear(
    input1: Tensor | Number, input2: Tensor | Number, weight: Tensor | Number, bias: Tensor | Number | None = None
) -> Tensor: ...
def binary_cross_entropy(
    input: Tensor | Number, target: Tensor | Number, weight: Tensor | Number | None = None, reduction: _str = "mean"
) -> Tensor: ...
def binary_cross_entropy_with_logits(
    input: Tensor | Number,
    target: Tensor | Number,
    weight: Tensor | Number | None = None,
    reduction: _str = "mean",
    pos_weight: Tensor | Number | None = None,
) -> Tensor: ...
def celu(input: Tensor | Number, alpha: _float = 1.0) -> Tensor: ...
def celu_(input: Tensor | Number, alpha: _float = 1.0) -> Tensor: ...
def conv1d(
    input: Tensor | Number,
    weight: Tensor | Number,
    bias: Tensor | Number | None = None,
    stride: _int | Sequence[_int] = 1,
    padding: _int | Sequence[_int] = 0,
    dilation: _int | Sequence[_int] = 1,
    groups: _int = 1,
) -> Tensor: ...
def conv2d(
    input: Tensor | Number,
    weight: Tensor | Number,
    bias: Tensor | Number | None = None,
    stride: _int | Sequence[_int] = 1,
    padding: _int | Sequence[_int] = 0,
    dilation: _int | Sequence[_int] = 1,
    groups: _int = 1,
) -> Tensor: ...
def conv3d(
    input: Tensor | Number,
    weight: Tensor | Number,
    bias: Tensor | Number | None = None,
    stride: _int | Sequence[_int] = 1,
    padding: _int | Sequence[_int] = 0,
    dilation: _int | Sequence[_int] = 1,
    groups: _int = 1,
) -> Tensor: ...
def conv_transpose1d(
    input: Tensor | Number,
    weight: Tensor | Number,
    bias: Tensor | Number | None = None,
    stride: _int | Sequence[_int] = 1,
    padding: _int | Sequence[_int] = 0,
    output_padding: _int | Sequence[_int] = 0,
    groups: _int = 1,
    dilation: _int | Sequence[_int] = 1,
) -> Tensor: ...
def conv_transpose2d(
    input: Tensor | Number,
    weight: Tensor | Number,
    bias: Tensor | Number | None = None,
    stride: _int | Sequence[_int] = 1,
    padding: _int | Sequence[_int] = 0,
    output_padding: _int | Sequence[_int] = 0,
    groups: _int = 1,
    dilation: _int | Sequence[_int] = 1,
) -> Tensor: ...
def conv_transpose3d(
    input: Tensor | Number,
    weight: Tensor | Number,
    bias: Tensor | Number | None = None,
    stride: _int | Sequence[_int] = 1,
    padding: _int | Sequence[_int] = 0,
    output_padding: _int | Sequence[_int] = 0,
    groups: _int = 1,
    dilation: _int | Sequence[_int] = 1,
) -> Tensor: ...
def cosine_embedding_loss(
    input1: Tensor | Number,
    input2: Tensor | Number,
    target: Tensor | Number,
    margin: _float = 0.0,
    reduction: _str = "mean",
) -> Tensor: ...
def cosine_similarity(
    x1: Tensor | Number, x2: Tensor | Number, dim: _int = 1, eps: _float = 1e-08, **other_spellings: Any
) -> Tensor: ...
def cross_entropy(
    input: Tensor | Number,
    target: Tensor | Number,
    weight: Tensor | Number | None = None,
    ignore_index: _int = -100,
    reduction: _str = "mean",
    label_smoothing: _float = 0.0,
) -> Tensor: ...
def dropout(
    input: Tensor | Number, p: _float = 0.5, training: _bool = True, *, generator: Generator | None = None
) -> Tensor: ...
def dropout1d(
    input: Tensor | Number, p: _float = 0.5, training: _bool = True, *, generator: Generator | None = None
) -> Tensor: ...
def dropout2d(
    input: Tensor | Number, p: _float = 0.5, training: _bool = True, *, generator: Generator | None = None
) -> Tensor: ...
def dropout3d(
    input: Tensor | Number, p: _float = 0.5, training: _bool = True, *, generator: Generator | None = None
) -> Tensor: ...
def elu(input: Tensor | Number, alpha: _float = 1.0) -> Tensor: ...
def elu_(input: Tensor | Number, alpha: _float = 1.0) -> Tensor: ...
def embedding(input: Tensor | Number, weight: Tensor | Number, padding_idx: _int | None = None) -> Tensor: ...
def expit(input: Tensor | Number, *, out: Any = None) -> Tensor: ...
def expit_(input: Tensor | Number) -> Tensor: ...
def feature_dropout(
    input: Tensor | Number, p: _float = 0.5, training: _bool = True, *, generator: Generator | None = None
) -> Tensor: ...
def gaussian_nll_loss(
    input: Tensor | Number,
    target: Tensor | Number,
    var: Tensor | Number,
    full: _bool = False,
    eps: _float = 1e-06,
    reduction: _str = "mean",
) -> Tensor: ...
def gelu(input: Tensor | Number, approximate: _str = "none") -> Tensor: ...
def gelu_(input: Tensor | Number, approximate: _str = "none") -> Tensor: ...
def glu(input: Tensor | Number, dim: _int = -1, **other_spellings: Any) -> Tensor: ...
def group_norm(
    input: Tensor | Number,
    num_groups: _int,
    weight: Tensor | Number | None = None,
    bias: Tensor | Number | None = None,
    eps: _float = 1e-05,
) -> Tensor: ...
def hardshrink(input: Tensor | Number, lambd: _float = 0.5) -> Tensor: ...
def hardshrink_(input: Tensor | Number, lambd: _float = 0.5) -> Tensor: ...
def hardsigmoid(input: Tensor | Number) -> Tensor: ...
def hardsigmoid_(input: Tensor | Number) -> Tensor: ...
def hardswish(input: Tensor | Number) -> Tensor: ...
def hardswish_(input: Tensor | Number) -> Tensor: ...
def hardtanh(input: Tensor | Number, min_val: _float = -1.0, max_val: _float = 1.0) -> Tensor: ...
def hardtanh_(input: Tensor | Number, min_val: _float = -1.0, max_val: _float = 1.0) -> Tensor: ...
def hinge_embedding_loss(
    input: Tensor | Number, target: Tensor | Number, margin: _float = 1.0, reduction: _str = "mean"
) -> Tensor: ...
def huber_loss(
    input: Tensor | Number, target: Tensor | Number, reduction: _str = "mean", delta: _float = 1.0
) -> Tensor: ...
def instance_norm(
    input: Tensor | Number,
    running_mean: Tensor | Number | None = None,
    running_var: Tensor | Number | None = None,
    weight: Tensor | Number | None = None,
    bias: Tensor | Number | None = None,
    use_input_stats: _bool = True,
    momentum: _float = 0.1,
    eps: _float = 1e-05,
) -> Tensor: ...
def kl_div(
    input: Tensor | Number, target: Tensor | Number, reduction: _str = "mean", log_target: _bool = False
) -> Tensor: ...
def l1_loss(input: Tensor | Number, target: Tensor | Number, reduction: _str = "mean") -> Tensor: ...
def layer_norm(
    input: Tensor | Number,
    normalized_shape: _int | Sequence[_int],
    weight: Tensor | Number | None = None,
    bias: Tensor | Number | None = None,
    eps: _float = 1e-05,
) -> Tensor: ...
def leaky_relu(input: Tensor | Number, negative_slope: _float = 0.01) -> Tensor: ...
def leaky_relu_(input: Tensor | Number, negative_slope: _float = 0.01) -> Tensor: ...
def linear(input: Tensor | Number, weight: Tensor | Number, bias: Tensor | Number | None = None) -> Tensor: ...
def log_softmax(input: Tensor | Number, dim: _int, dtype: DType | None = None, **other_spellings: Any) -> Tensor: ...
def logsigmoid(input: Tensor | Number) -> Tensor: ...
def logsigmoid_(input: Tensor | Number) -> Tensor: ...
def margin_ranking_loss(
    input1: Tensor | Number,
    input2: Tensor | Number,
    target: Tensor | Number,
    margin: _float = 0.0,
    reduction: _str = "mean",
) -> Tensor: ...
def max_pool1d(
    input: Tensor | Number,
    kernel_size: _int | Sequence[_int],
    stride: _int | Sequence[_int] | None = None,
    padding: _int | Sequence[_int] = 0,
    dilation: _int | Sequence[_int] = 1,
    ceil_mode: _bool = False,
    return_indices: _bool = False,
) -> Tensor: ...
def max_pool2d(
    input: Tensor | Number,
    kernel_size: _int | Sequence[_int],
    stride: _int | Sequence[_int] | None = None,
    padding: _int | Sequence[_int] = 0,
    dilation: _int | Sequence[_int] = 1,
    ceil_mode: _bool = False,
    return_indices: _bool = False,
) -> Tensor: ...
def max_pool3d(
    input: Tensor | Number,
    kernel_size: _int | Sequence[_int],
    stride: _int | Sequence[_int] | None = None,
    padding: _int | Sequence[_int] = 0,
    dilation: _int | Sequence[_int] = 1,
    ceil_mode: _bool = False,
    return_indices: _bool = False,
) -> Tensor: ...
def mish(input: Tensor | Number) -> Tensor: ...
def mish_(input: Tensor | Number) -> Tensor: ...
def mse_loss(input: Tensor | Number, target: Tensor | Number, reduction: _str = "mean") -> Tensor: ...
def multi_margin_loss(
    input: Tensor | Number,
    target: Tensor | Number,
    p: _int = 1,
    margin: _float = 1.0,
    weight: Tensor | Number | None = None,
    reduction: _str = "mean",
) -> Tensor: ...
def multilabel_soft_margin_loss(
    input: Tensor | Number, target: Tensor | Number, weight: Tensor | Number | None = None, reduction: _str = "mean"
) -> Tensor: ...
def nll_loss(
    input: Tensor | Number,
    target: Tensor | Number,
    weight: Tensor | Number | None = None,
    ignore_index: _int = -100,
    reduction: _str = "mean",
) -> Tensor: ...
def normalize(
    input: Tensor | Number, p: Number = 2, dim: _int | Sequence[_int] = 1, eps: _float = 1e-12, **other_spellings: Any
) -> Tensor: ...
def one_hot(input: Tensor | Number, num_classes: _int = -1) -> Tensor: ...
def pad(
    input: Tensor | Number, pad: _int | Sequence[_int], mode: _str = "constant", value: Number | None = None
) -> Tensor: ...
def pairwise_distance(
    x1: Tensor | Number,
    x2: Tensor | Number,
    p: _float = 2.0,
    eps: _float = 1e-06,
    keepdim: _bool = False,
    **other_spellings: Any,
) -> Tensor: ...
def poisson_nll_loss(
    input: Tensor | Number,
    target: Tensor | Number,
    log_input: _bool = True,
    full: _bool = False,
    eps: _float = 1e-08,
    reduction: _str = "mean",
) -> Tensor: ...
def prelu(input: Tensor | Number, weight: Tensor | Number) -> Tensor: ...
def relu(input: Tensor | Number) -> Tensor: ...
def relu6(input: Tensor | Number) -> Tensor: ...
def relu6_(input: Tensor | Number) -> Tensor: ...
def relu_(input: Tensor | Number) -> Tensor: ...
def rms_norm(
    input: Tensor | Number,
    normalized_shape: _int | Sequence[_int],
    weight: Tensor | Number | None = None,
    eps: _float | None = None,
) -> Tensor: ...
def scaled_dot_product_attention(
    query: Tensor | Number,
    key: Tensor | Number,
    value: Tensor | Number,
    attn_mask: Tensor | Number | None = None,
    dropout_p: _float = 0.0,
    is_causal: _bool = False,
    *,
    scale: _float | None = None,
    enable_gqa: _bool = False,
) -> Tensor: ...
def selu(input: Tensor | Number) -> Tensor: ...
def selu_(input: Tensor | Number) -> Tensor: ...
def sigmoid(input: Tensor | Number, *, out: Any = None) -> Tensor: ...
def sigmoid_(input: Tensor | Number) -> Tensor: ...
def silu(input: Tensor | Number) -> Tensor: ...
def silu_(input: Tensor | Number) -> Tensor: ...
def smooth_l1_loss(
    input: Tensor | Number, target: Tensor | Number, reduction: _str = "mean", beta: _float = 1.0
) -> Tensor: ...
def soft_margin_loss(input: Tensor | Number, target: Tensor | Number, reduction: _str = "mean") -> Tensor: ...
def softmax(input: Tensor | Number, dim: _int, dtype: DType | None = None, **other_spellings: Any) -> Tensor: ...
def softmin(input: Tensor | Number, dim: _int, dtype: DType | None = None, **other_spellings: Any) -> Tensor: ...
def softplus(input: Tensor | Number, beta: _float = 1.0, threshold: _float = 20.0) -> Tensor: ...
def softplus_(input: Tensor | Number, beta: _float = 1.0, threshold: _float = 20.0) -> Tensor: ...
def softshrink(input: Tensor | Number, lambd: _float = 0.5) -> Tensor: ...
def softshrink_(input: Tensor | Number, lambd: _float = 0.5) -> Tensor: ...
def softsign(input: Tensor | Number) -> Tensor: ...
def softsign_(input: Tensor | Number) -> Tensor: ...
def swish(input: Tensor | Number) -> Tensor: ...
def swish_(input: Tensor | Number) -> Tensor: ...
def tanhshrink(input: Tensor | Number) -> Tensor: ...
def threshold(input: Tensor | Number, threshold: _float, value: _float) -> Tensor: ...
def threshold_(input: Tensor | Number, threshold: _float, value: _float) -> Tensor: ...
def triplet_margin_loss(
    anchor: Tensor | Number,
    positive: Tensor | Number,
    negative: Tensor | Number,
    margin: _float = 1.0,
    p: _float = 2.0,
    eps: _float = 1e-06,
    swap: _bool = False,
    reduction: _str = "mean",
) -> Tensor: ...
