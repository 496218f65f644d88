"""What ops refuse and what they cannot refuse, by name; tests/ops/test_error_kinds.py holds all of it against the ops."""

from typing import Any

SIZED = "empty full new_empty new_full new_ones new_zeros ones rand randn zeros"

# All tensors of this dtype: HX1101, which names it. Complete: every other op takes it.
REFUSED = {
    "bool": """
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d addbmm addcdiv addcmul addmm addmv avg_pool1d avg_pool2d avg_pool3d baddbmm batch_norm
    bilinear binary_cross_entropy binary_cross_entropy_with_logits bitwise_left_shift bitwise_right_shift bmm
    ceil celu conj_physical conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d
    cosine_similarity cross_entropy ctc_loss dot dropout einsum elu exponential feature_dropout floor
    floor_divide fmod gaussian_nll_loss gcd gelu group_norm hardshrink hardsigmoid hardswish hardtanh histc
    huber_loss imag inner instance_norm l1_loss layer_norm lcm leaky_relu lerp linalg_vector_norm linear
    local_response_norm log_softmax logsigmoid lp_pool1d lp_pool2d lp_pool3d margin_ranking_loss matmul
    max_pool1d max_pool2d max_pool3d mean mish mm mse_loss multi_margin_loss multilabel_margin_loss
    multilabel_soft_margin_loss multinomial mv nan_to_num neg nll_loss norm normal normalize pairwise_distance
    positive pow rand_like randn_like relu relu6 remainder rms_norm round scaled_dot_product_attention selu silu
    smooth_l1_loss soft_margin_loss softmax softmin softplus softshrink softsign square std std_mean sub
    threshold triplet_margin_loss trunc uniform var var_mean vdot view_as_complex view_as_real
    """,
    "int64": """
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d addcdiv addmm addmv avg_pool1d avg_pool2d
    avg_pool3d batch_norm celu conj_physical cosine_similarity cross_entropy ctc_loss dropout elu exponential
    feature_dropout gelu group_norm hardshrink hardsigmoid hardswish hardtanh histc imag instance_norm l1_loss
    layer_norm leaky_relu lerp linalg_vector_norm local_response_norm log_softmax logsigmoid lp_pool1d lp_pool2d
    lp_pool3d mean mish mse_loss multi_margin_loss multilabel_margin_loss multinomial nll_loss norm normal
    normalize rand_like randn_like relu6 rms_norm scaled_dot_product_attention selu silu softmax softmin
    softplus softshrink softsign std std_mean threshold uniform var var_mean view_as_complex view_as_real
    """,
    "complex64": """
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d amax amin aminmax argmax argmin argsort atan2 avg_pool1d avg_pool2d avg_pool3d
    batch_norm binary_cross_entropy binary_cross_entropy_with_logits bitwise_and bitwise_left_shift bitwise_not
    bitwise_or bitwise_right_shift bitwise_xor ceil celu clamp clamp_max clamp_min copysign
    cosine_embedding_loss cosine_similarity cross_entropy ctc_loss cummax cummin deg2rad digamma dropout
    elu erfc erfinv feature_dropout floor floor_divide fmax fmin fmod frac gaussian_nll_loss gcd ge gelu
    group_norm gt hardshrink hardsigmoid hardswish hardtanh heaviside hinge_embedding_loss histc hypot
    instance_norm isneginf isposinf kl_div kthvalue layer_norm lcm le leaky_relu lgamma linalg_vector_norm
    local_response_norm log_softmax logaddexp logaddexp2 logcumsumexp logit logsigmoid logsumexp lp_pool1d
    lp_pool2d lp_pool3d lt margin_ranking_loss max_pool1d max_pool2d max_pool3d maximum minimum mish msort
    multi_margin_loss multilabel_margin_loss multilabel_soft_margin_loss multinomial nan_to_num nanmean nansum
    nextafter nll_loss pairwise_distance prelu rad2deg relu relu6 remainder rms_norm round
    scaled_dot_product_attention selu signbit silu soft_margin_loss softmax softmin softplus softshrink softsign
    sort threshold topk triplet_margin_loss trunc view_as_complex xlogy
    """,
    "float32": """
    bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor conj_physical gcd imag
    lcm view_as_real
    """,
}

# The second tensor with shape (13, 17), beside the sample's first: a ShapeError with the sizes.
REFUSED_SECOND = """
    add addbmm addcdiv addcmul addmm addmv as_strided_scatter atan2 baddbmm batch_norm bilinear
    binary_cross_entropy binary_cross_entropy_with_logits bitwise_and bitwise_left_shift bitwise_or
    bitwise_right_shift bitwise_xor bmm bucketize conv1d conv2d conv3d conv_transpose1d conv_transpose2d
    conv_transpose3d copy copysign cosine_similarity cross_entropy ctc_loss diagonal_scatter div dot eq
    expand_as float_power floor_divide fmax fmin fmod gather gaussian_nll_loss gcd ge group_norm gt heaviside
    hinge_embedding_loss huber_loss hypot index_add index_copy index_fill index_select inner instance_norm
    kl_div l1_loss lcm ldexp le lerp linear logaddexp logaddexp2 logical_and logical_or logical_xor lt
    margin_ranking_loss masked_fill masked_scatter masked_select matmul max_unpool1d max_unpool2d max_unpool3d
    maximum minimum mm mse_loss mul multi_margin_loss multilabel_margin_loss multilabel_soft_margin_loss mv ne
    nextafter nll_loss outer pairwise_distance poisson_nll_loss pow prelu remainder reshape_as
    scaled_dot_product_attention scatter scatter_add scatter_reduce select_scatter slice_scatter smooth_l1_loss
    soft_margin_loss sub triplet_margin_loss vdot view_as where xlogy
    """

# The first tensor with this shape: a ShapeError with the shape.
REFUSED_RANK: dict[tuple[int, ...], str] = {
    (): """
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d avg_pool1d avg_pool2d avg_pool3d batch_norm bilinear binary_cross_entropy
    binary_cross_entropy_with_logits bincount bmm col2im conv1d conv2d conv3d conv_transpose1d conv_transpose2d
    conv_transpose3d copy cross_entropy ctc_loss diag diag_embed diagonal diagonal_scatter diff dot
    embedding_bag expand feature_dropout fliplr flipud gather glu group_norm im2col index_add instance_norm
    interpolate layer_norm local_response_norm lp_pool1d lp_pool2d lp_pool3d max_pool1d max_pool2d max_pool3d
    max_unpool1d max_unpool2d max_unpool3d mm multi_margin_loss multilabel_margin_loss multinomial mv nll_loss
    outer permute pixel_shuffle pixel_unshuffle prelu rms_norm rot90 scaled_dot_product_attention scatter_add
    scatter_reduce searchsorted trace tril triu vdot view_as_complex
    """,
    (1, 1, 1, 1, 1, 1, 1, 1, 1): """
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d addbmm addmm addmv avg_pool1d avg_pool2d avg_pool3d baddbmm batch_norm bilinear
    binary_cross_entropy binary_cross_entropy_with_logits bincount bmm col2im conv1d conv2d conv3d
    conv_transpose1d conv_transpose2d conv_transpose3d copy cross_entropy ctc_loss diag diagonal_scatter dot
    embedding_bag expand expand_as gather glu im2col index_add index_copy inner instance_norm interpolate
    layer_norm linear lp_pool1d lp_pool2d lp_pool3d matmul max_pool1d max_pool2d max_pool3d max_unpool1d
    max_unpool2d max_unpool3d mm multi_margin_loss multilabel_margin_loss multinomial mv nll_loss outer permute
    pixel_shuffle pixel_unshuffle prelu repeat rms_norm scaled_dot_product_attention scatter scatter_add
    scatter_reduce searchsorted slice_scatter t take_along_dim trace vdot view_as_complex
    """,
}

# A parameter, a value outside its domain, and the error.
REFUSED_VALUES: list[tuple[str, str, Any, str, int, tuple[str, ...]]] = [
    (SIZED, "size", (2, -3), "ShapeError", 1403, ("size -3", "axis 1", "(2, -3)", "negative")),
    (SIZED, "size", (1,) * 20, "ShapeError", 1001, ("size", "20 dimensions", "16")),
    (
        "adaptive_avg_pool1d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d",
        *("output_size", -1, "ParameterError", 1403, ("output_size", "at least 1", "got -1")),
    ),
    (
        "avg_pool1d avg_pool3d col2im im2col lp_pool1d lp_pool3d max_pool1d max_pool3d max_unpool1d max_unpool3d",
        *("kernel_size", 0, "ParameterError", 1403, ("kernel_size", "at least 1", "got 0")),
    ),
    (
        "conv1d conv3d conv_transpose1d conv_transpose3d",
        *("stride", 0, "ParameterError", 1403, ("stride", "at least 1", "got 0")),
    ),
    ("diag_embed diagonal_scatter", "dim1", 99, "IndexRangeError", 1302, ("axis 99", "valid")),
    ("flip", "dims", (99,), "IndexRangeError", 1302, ("axis 99", "valid")),
    ("transpose", "dim0", 99, "IndexRangeError", 1302, ("axis 99", "valid")),
    ("feature_dropout", "p", 2.0, "ParameterError", 1403, ("p must", "[0, 1]", "got 2")),
    ("histc", "bins", 0, "ParameterError", 1403, ("bins", "positive", "got 0")),
    ("logspace", "steps", -1, "ParameterError", 1403, ("steps", "negative", "got -1")),
    ("pixel_shuffle", "upscale_factor", 0, "ParameterError", 1403, ("upscale_factor", "at least 1", "got 0")),
    ("pixel_unshuffle", "downscale_factor", 0, "ParameterError", 1403, ("downscale_factor", "at least 1", "got 0")),
    ("reshape", "shape", (-1, -1), "ShapeError", 1005, ("(-1, -1)", "can be -1")),
    ("softshrink", "lambd", -1.0, "ParameterError", 1403, ("lambd", "negative", "got -1")),
    ("tile", "dims", (-1,), "ParameterError", 1403, ("(1, -1)", "negative")),
    ("triu_indices", "row", -1, "ParameterError", 1403, ("row -1", "negative")),
]

# Kinds of errors that an op has no place for. any-shape: every shape will do, alone or beside the others; any-dtype: every
# dtype; no-domain: no parameter or index whose value could be wrong.
REASONS = {"any-shape", "any-dtype", "no-domain"}
EXEMPT = {
    ("shape", "any-shape"): """
    all aminmax any arange argmax argmin argsort argwhere atleast_1d atleast_2d atleast_3d bernoulli celu clone
    conj contiguous count_nonzero cummax cummin dropout elu empty_like exponential eye fill flatten flip
    full_like gelu hardshrink hardsigmoid hardswish hardtanh histc imag isfinite isin isinf isnan isneginf
    isposinf kron kthvalue leaky_relu linalg_vector_norm linspace log_softmax logcumsumexp logsigmoid logspace
    logsumexp mish movedim msort nanmean nansum narrow norm normal normalize one_hot ones_like pad positive put
    rand_like randn_like randperm ravel real relu relu6 repeat_interleave roll select selu signbit silu softmax
    softmin softplus softshrink softsign sort squeeze std std_mean take tanhshrink threshold tile topk transpose
    tril_indices triu_indices unfold uniform unique unique_consecutive unsqueeze var var_mean view_as_real zero
    zeros_like
    """,
    ("dtype", "any-dtype"): """
    all any arange argwhere as_strided as_strided_scatter atleast_1d atleast_2d atleast_3d bernoulli clone
    col2im column_stack conj contiguous copy count_nonzero diag diag_embed diagonal diagonal_scatter diff dstack
    empty empty_like eq expand expand_as eye fill flatten flip fliplr flipud float_power full full_like glu
    hstack im2col isfinite isinf isnan kron ldexp linspace logical_and logical_not logical_or logical_xor
    logspace movedim narrow ne new_empty new_full new_ones new_zeros ones ones_like outer pad permute
    pixel_shuffle pixel_unshuffle randint randn randperm ravel real repeat repeat_interleave reshape reshape_as
    roll rot90 select select_scatter slice_scatter squeeze t tanhshrink tile trace transpose tril tril_indices
    triu triu_indices unflatten unfold unsqueeze view view_as vstack zero zeros zeros_like
    """,
    ("value", "no-domain"): """
    abs acos acosh add addbmm addcdiv addcmul addmm addmv angle argwhere asin asinh atan atan2 atanh atleast_1d
    atleast_2d atleast_3d baddbmm bilinear bitwise_and bitwise_left_shift bitwise_not bitwise_or
    bitwise_right_shift bitwise_xor bmm bucketize cast ceil clamp_max clamp_min clone column_stack conj
    conj_physical contiguous copy copysign cos cosh deg2rad diag digamma dot dstack elu empty_like eq erf erfc
    erfinv exp exp2 expand expand_as expm1 fill fliplr flipud float_power floor fmax fmin frac full_like gcd ge
    gt hardsigmoid hardswish hardtanh heaviside hstack hypot imag inner isfinite isin isinf isnan isneginf
    isposinf kron layer_norm lcm ldexp le leaky_relu lerp lgamma linear log log10 log1p log2 logaddexp
    logaddexp2 logical_and logical_not logical_or logical_xor logit logsigmoid lt masked_fill masked_scatter
    masked_select matmul maximum minimum mish mm msort mul mv nan_to_num ne neg nextafter ones_like outer
    pairwise_distance positive pow prelu rad2deg rand_like randn_like ravel real reciprocal relu relu6
    reshape_as rms_norm rot90 round rsqrt selu sigmoid sign signbit silu sin sinc sinh softsign sqrt square sub
    t tan tanh tanhshrink threshold trace tril triu trunc vdot view_as view_as_complex view_as_real vstack where
    xlogy zero zeros_like
    """,
}
