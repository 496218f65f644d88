"""What ops refuse and what they cannot refuse, by name; tests/ops/test_error_kinds.py holds all of it against the ops."""

from typing import Any

from .sample import T

SIZED = "empty full new_empty new_full new_ones new_zeros ones rand randn zeros"

# All tensors of this dtype: HX1101, which names it. Complete: every other op takes it.
REFUSED = {
    "bool": """
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d addbmm addcdiv addcmul addmm addmv avg_pool1d avg_pool2d avg_pool3d baddbmm batch_norm
    bilinear binary_cross_entropy binary_cross_entropy_with_logits bitwise_left_shift bitwise_right_shift bmm ceil
    celu conj_physical conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d cosine_similarity
    cross_entropy ctc_loss det dot dropout einsum elu exponential feature_dropout fft_conv floor floor_divide fmod
    gaussian_nll_loss gcd gelu geqrf group_norm hardshrink hardsigmoid hardswish hardtanh histc huber_loss imag
    inner instance_norm int_mm inverse l1_loss layer_norm lcm leaky_relu lerp linalg_cholesky linalg_cholesky_ex
    linalg_eig linalg_eigh linalg_eigvals linalg_eigvalsh linalg_inv_ex linalg_ldl_factor linalg_ldl_factor_ex
    linalg_ldl_solve linalg_lu_factor linalg_lu_factor_ex linalg_lu_solve linalg_qr linalg_solve linalg_solve_ex
    linalg_solve_triangular linalg_svd linalg_svdvals linalg_vector_norm linear linear_activation
    local_response_norm log_softmax logsigmoid lp_pool1d lp_pool2d lp_pool3d margin_ranking_loss matmul matrix_exp
    max_pool1d max_pool2d max_pool3d mean mish mm mse_loss multi_margin_loss multilabel_margin_loss
    multilabel_soft_margin_loss multinomial mv neg nll_loss norm normal normalize pairwise_distance positive pow
    quantized_linear rand_like randn_like relu relu6 remainder rms_norm round scaled_dot_product_attention
    selective_scan selu silu slogdet smooth_l1_loss soft_margin_loss softmax softmin softplus softshrink softsign
    std std_mean sub threshold triplet_margin_loss trunc uniform var var_mean vdot view_as_complex view_as_real
    """,
    "int64": """
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d addcdiv addmm addmv batch_norm celu conj_physical
    cosine_similarity cross_entropy ctc_loss det dropout elu exponential feature_dropout fft_conv gelu geqrf group_norm
    hardshrink hardsigmoid hardswish histc imag instance_norm int_mm inverse l1_loss layer_norm leaky_relu lerp
    linalg_cholesky linalg_cholesky_ex linalg_eig linalg_eigh linalg_eigvals linalg_eigvalsh linalg_inv_ex
    linalg_ldl_factor linalg_ldl_factor_ex linalg_ldl_solve linalg_lu_factor linalg_lu_factor_ex linalg_lu_solve
    linalg_qr linalg_solve linalg_solve_ex linalg_solve_triangular linalg_svd linalg_svdvals linalg_vector_norm
    linear_activation log_softmax logsigmoid lp_pool1d lp_pool2d lp_pool3d matrix_exp mean mish mse_loss
    multi_margin_loss multilabel_margin_loss multinomial nll_loss norm normal normalize quantized_linear rand_like
    randn_like rms_norm scaled_dot_product_attention selective_scan selu silu slogdet softmax softmin softplus
    softshrink std std_mean uniform var var_mean view_as_complex view_as_real
    """,
    "complex64": """
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d amax amin aminmax argmax argmin argsort atan2 avg_pool1d avg_pool2d avg_pool3d batch_norm
    binary_cross_entropy binary_cross_entropy_with_logits bitwise_and bitwise_left_shift bitwise_not bitwise_or
    bitwise_right_shift bitwise_xor ceil celu clamp clamp_max clamp_min copysign cosine_embedding_loss
    cosine_similarity cross_entropy ctc_loss cummax cummin deg2rad digamma dropout elu erfc erfinv feature_dropout
    fft_conv fft_ihfft fft_ihfft2 fft_ihfftn fft_rfft fft_rfft2 fft_rfftn floor floor_divide fmax fmin fmod frac
    gaussian_nll_loss gcd ge gelu group_norm gt hardshrink hardsigmoid hardswish hardtanh heaviside
    hinge_embedding_loss histc hypot i0 igamma igammac instance_norm int_mm isneginf isposinf kl_div kthvalue
    layer_norm lcm le leaky_relu lgamma linalg_vector_norm linear_activation local_response_norm log_softmax logaddexp2
    logit logsigmoid lp_pool1d lp_pool2d lp_pool3d lt margin_ranking_loss max_pool1d max_pool2d max_pool3d maximum
    minimum mish msort multi_margin_loss multilabel_margin_loss multilabel_soft_margin_loss multinomial mvlgamma
    nan_to_num nanmean nansum nextafter nll_loss poisson_nll_loss polygamma prelu quantized_linear rad2deg relu relu6
    remainder rms_norm round scaled_dot_product_attention selective_scan selu signbit soft_margin_loss softmax softmin
    softplus softshrink sort special_airy_ai special_bessel_j0 special_bessel_j1 special_bessel_y0 special_bessel_y1
    special_chebyshev_polynomial_t special_chebyshev_polynomial_u special_chebyshev_polynomial_v
    special_chebyshev_polynomial_w special_entr special_erfcx special_hermite_polynomial_h
    special_hermite_polynomial_he special_i0e special_i1 special_i1e special_laguerre_polynomial_l
    special_legendre_polynomial_p special_log_ndtr special_modified_bessel_i0 special_modified_bessel_i1
    special_modified_bessel_k0 special_modified_bessel_k1 special_ndtr special_ndtri special_scaled_modified_bessel_k0
    special_scaled_modified_bessel_k1 special_shifted_chebyshev_polynomial_t special_shifted_chebyshev_polynomial_u
    special_shifted_chebyshev_polynomial_v special_shifted_chebyshev_polynomial_w special_spherical_bessel_j0
    special_xlog1py special_zeta threshold topk trunc view_as_complex xlogy
    """,
    "float32": """
    bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor conj_physical gcd imag
    int_mm lcm view_as_real
    """,
}

# The sample's factor of 0.5 is what such tensors do not go with.
REFUSED_FACTOR = {("bool", "addcmul"), ("int64", "addmm"), ("int64", "addmv")}

# The second tensor with shape (13, 17), beside the sample's first: a ShapeError of this number with the sizes, about this
# argument. own: the tensor itself. Empty: none is to blame, as where operands are stretched to one another.
REFUSED_SECOND: dict[tuple[int, str], str] = {
    (1001, "own"): """
    addbmm baddbmm bmm conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d dot index_add
    index_copy index_fill index_select mv outer vdot
    """,
    (1002, ""): "bucketize",
    (1002, "input"): "linear",
    (1002, "mat2"): "addmm",
    (1002, "own"): """
    as_strided_scatter batch_norm bilinear binary_cross_entropy binary_cross_entropy_with_logits cross_entropy
    ctc_loss diagonal_scatter gather group_norm inner instance_norm matmul max_unpool1d max_unpool2d
    max_unpool3d mm multi_margin_loss multilabel_margin_loss nll_loss prelu scaled_dot_product_attention scatter
    scatter_add scatter_reduce select_scatter slice_scatter
    """,
    (1002, "vec"): "addmv",
    (1003, ""): """
    addcdiv addcmul copy expand_as float_power gaussian_nll_loss hinge_embedding_loss
    huber_loss kl_div l1_loss ldexp lerp margin_ranking_loss masked_fill masked_scatter masked_select mse_loss
    multilabel_soft_margin_loss pairwise_distance poisson_nll_loss smooth_l1_loss soft_margin_loss
    triplet_margin_loss where
    """,
    (1003, "x2"): "cosine_similarity",
    (1003, "own"): """
    add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign div eq
    floor_divide fmax fmin fmod gcd ge gt heaviside hypot lcm le logaddexp logaddexp2 logical_and logical_or
    logical_xor lt maximum minimum mul ne nextafter pow remainder sub xlogy
    """,
    (1005, ""): "reshape_as view_as",
}

# The first tensor with this shape: a ShapeError of this number with the shape, about this argument.
REFUSED_RANK: dict[tuple[int, ...], dict[tuple[int, str], str]] = {
    (): {
        (1001, "dims"): "permute",
        (1001, "index"): "gather scatter_add scatter_reduce",
        (1001, "own"): """
        adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
        adaptive_max_pool3d avg_pool1d avg_pool2d avg_pool3d batch_norm bincount bmm col2im conv1d conv2d conv3d
        conv_transpose1d conv_transpose2d conv_transpose3d cross_entropy ctc_loss diag diag_embed diagonal
        diagonal_scatter diff dot embedding_bag feature_dropout fliplr flipud group_norm im2col instance_norm
        interpolate local_response_norm lp_pool1d lp_pool2d lp_pool3d max_pool1d max_pool2d max_pool3d max_unpool1d
        max_unpool2d max_unpool3d mm multi_margin_loss multinomial mv nll_loss outer pixel_shuffle pixel_unshuffle
        rot90 trace tril triu vdot
        """,
        (1002, "normalized_shape"): "layer_norm rms_norm",
        (1002, "own"): """
        bilinear glu scaled_dot_product_attention searchsorted view_as_complex
        """,
        (1002, "source"): "index_add",
        (1002, "target"): """
        binary_cross_entropy binary_cross_entropy_with_logits multilabel_margin_loss
        """,
        (1002, "weight"): "prelu",
        (1003, "shape"): "expand",
        (1003, "src"): "copy",
    },
    (1, 1, 1, 1, 1, 1, 1, 1, 1): {
        (1001, "dims"): "permute",
        (1001, "index"): "gather scatter scatter_add scatter_reduce",
        (1001, "indices"): "take_along_dim",
        (1001, "own"): """
        adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
        adaptive_max_pool3d avg_pool1d avg_pool2d avg_pool3d bincount bmm col2im conv1d conv2d conv3d
        conv_transpose1d conv_transpose2d conv_transpose3d ctc_loss diag dot embedding_bag im2col interpolate
        lp_pool1d lp_pool2d lp_pool3d max_pool1d max_pool2d max_pool3d max_unpool1d max_unpool2d max_unpool3d mm
        multinomial mv outer t trace vdot
        """,
        (1001, "repeats"): "repeat",
        (1002, "key"): "scaled_dot_product_attention",
        (1002, "normalized_shape"): "layer_norm rms_norm",
        (1002, "other"): "inner matmul",
        (1002, "own"): """
        bilinear glu linear pixel_shuffle pixel_unshuffle searchsorted view_as_complex
        """,
        (1002, "source"): "index_add index_copy",
        (1002, "src"): "diagonal_scatter slice_scatter",
        (1002, "target"): """
        binary_cross_entropy binary_cross_entropy_with_logits cross_entropy multi_margin_loss
        multilabel_margin_loss nll_loss
        """,
        (1002, "weight"): "batch_norm instance_norm prelu",
        (1003, ""): "expand_as",
        (1003, "own"): "addbmm addmm addmv baddbmm",
        (1003, "shape"): "expand",
        (1003, "src"): "copy",
    },
}

# One tensor of another dtype, in its own shape: HX1101 about it, which names the dtype.
REFUSED_DTYPE_OF: list[tuple[str, str, str]] = [
    ("bincount one_hot", "input", "float32"),
    ("bucketize searchsorted", "input", "complex64"),
    ("searchsorted", "sorted_sequence", "complex64"),
    ("index_add index_copy index_fill put scatter scatter_add take", "index", "float32"),
    ("isin", "elements", "complex64"),
    ("isin", "test_elements", "complex64"),
    ("masked_scatter masked_select", "mask", "float32"),
    ("max_unpool1d max_unpool2d max_unpool3d", "indices", "float32"),
    ("poisson_nll_loss", "input", "complex64"),
    ("poisson_nll_loss", "target", "complex64"),
    ("take_along_dim", "indices", "bool"),
    ("unique unique_consecutive", "input", "complex64"),
]

# What an error holds beside its text where it is not the name of the parameter.
FAR_AXIS = {"got": 99, "axis": 99}


def not_one_shape(first: tuple[int, int]) -> dict[str, Any]:
    return {"expected": first, "got": (13, 17), "axis": -1}


# A parameter, a value outside its domain (of a T with one value, that value everywhere), and the error.
REFUSED_VALUES: list[tuple[Any, ...]] = [
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
    ("diag_embed diagonal_scatter", "dim1", 99, "IndexRangeError", 1302, ("axis 99", "valid"), FAR_AXIS),
    ("flip", "dims", (99,), "IndexRangeError", 1302, ("axis 99", "valid"), FAR_AXIS),
    ("transpose", "dim0", 99, "IndexRangeError", 1302, ("axis 99", "valid"), FAR_AXIS),
    ("feature_dropout", "p", 2.0, "ParameterError", 1403, ("p must", "[0, 1]", "got 2")),
    ("histc", "bins", 0, "ParameterError", 1403, ("bins", "positive", "got 0")),
    ("logspace", "steps", -1, "ParameterError", 1403, ("steps", "negative", "got -1")),
    ("pixel_shuffle", "upscale_factor", 0, "ParameterError", 1403, ("upscale_factor", "at least 1", "got 0")),
    ("pixel_unshuffle", "downscale_factor", 0, "ParameterError", 1403, ("downscale_factor", "at least 1", "got 0")),
    ("reshape", "shape", (2**62, 4), "SizeOverflowError", 1401, (f"({2**62}, 4)", "64 bits")),
    ("unflatten", "sizes", (5, 5), "ShapeError", 1005, ("(5, 5)", "12 elements"), {"got": (5, 5)}),
    ("put take", "index", T((3,), 99, 99, "int64"), "IndexRangeError", 1301, ("index 99", "size is 12", "-12..11")),
    (
        *("clamp_max", "max", T((13, 17)), "ShapeError", 1003),
        *(("(3, 4)", "(13, 17)", "axis -1", "4 and 17"), not_one_shape((3, 4))),
    ),
    (
        *("clamp_min", "min", T((13, 17)), "ShapeError", 1003),
        *(("(3, 4)", "(13, 17)", "axis -1", "4 and 17"), not_one_shape((3, 4))),
    ),
    (
        *("cosine_embedding_loss", "input2", T((13, 17)), "ShapeError", 1003),
        *(("(6, 5)", "(13, 17)", "axis -1", "5 and 17"), not_one_shape((6, 5))),
    ),
    ("column_stack", "tensors", [T((2,)), T((3, 2))], "ShapeError", 1002, ("tensors[1]", "(3, 2)", "every axis but 1")),
    ("dstack", "tensors", [T((1, 5)), T((1, 3))], "ShapeError", 1002, ("tensors[1]", "(1, 3, 1)", "every axis but 2")),
    ("hstack", "tensors", [T((2, 3)), T((4, 3))], "ShapeError", 1002, ("tensors[1]", "(4, 3)", "every axis but 1")),
    ("vstack", "tensors", [T((2, 3)), T((2, 4))], "ShapeError", 1002, ("tensors[1]", "(2, 4)", "every axis but 0")),
    ("reshape", "shape", (-1, -1), "ShapeError", 1005, ("(-1, -1)", "can be -1")),
    ("softshrink", "lambd", -1.0, "ParameterError", 1403, ("lambd", "negative", "got -1")),
    ("tile", "dims", (-1,), "ParameterError", 1403, ("(1, -1)", "negative"), {"got": (1, -1)}),
    ("triu_indices", "row", -1, "ParameterError", 1403, ("row -1", "negative")),
]

# Kinds of errors that an op has no place for. any-shape: every shape will do, alone or beside the others; any-dtype: every
# dtype; no-domain: no parameter or index whose value could be wrong.
REASONS = {"any-shape", "any-dtype", "no-domain"}
EXEMPT = {
    ("shape", "any-shape"): """
    aminmax cummax cummin flip kthvalue movedim narrow select sort squeeze std_mean topk transpose unfold
    unique_consecutive unsqueeze var_mean view_as_real
    """,
    ("dtype", "any-dtype"): """
    all any arange as_strided diagonal empty eq expand expand_as eye flip full isfinite isinf isnan linspace
    logical_and logical_not logical_or logical_xor logspace movedim narrow ne ones permute randint randn randperm
    reshape select squeeze t transpose tril_indices triu_indices unfold unsqueeze view view_as zeros
    """,
    ("value", "no-domain"): """
    abs acos acosh add addbmm addcdiv addcmul addmm addmv angle argwhere asin asinh atan atan2 atanh atleast_1d
    atleast_2d atleast_3d baddbmm bilinear bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift
    bitwise_xor bmm bucketize cast ceil clamp_max clamp_min clone column_stack conj conj_physical contiguous copy
    copysign cos cosh deg2rad det diag digamma dot dstack elu empty_like eq erf erfc erfinv exp exp2 expand
    expand_as expm1 fft_conv fill fliplr flipud float_power floor fmax fmin frac full_like gcd ge geqrf gt
    hardsigmoid hardswish hardtanh heaviside hstack hypot i0 igamma igammac imag inner int_mm isfinite isin isinf
    isnan isneginf isposinf kron layer_norm lcm ldexp le leaky_relu lerp lgamma linalg_eig linalg_eigvals
    linalg_ldl_factor_ex linalg_lu_factor linalg_solve_triangular linalg_svd linalg_svdvals linear log log10 log1p
    log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor logit logsigmoid lt masked_fill
    masked_scatter masked_select matmul matrix_exp maximum minimum mish mm msort mul mv nan_to_num ne neg nextafter
    ones_like outer pairwise_distance positive pow prelu rad2deg rand_like randn_like ravel real reciprocal relu
    relu6 reshape_as rms_norm rot90 round rsqrt selective_scan selu sigmoid sign signbit silu sin sinc sinh slogdet
    softsign special_airy_ai special_bessel_j0 special_bessel_j1 special_bessel_y0 special_bessel_y1
    special_chebyshev_polynomial_t special_chebyshev_polynomial_u special_chebyshev_polynomial_v
    special_chebyshev_polynomial_w special_entr special_erfcx special_hermite_polynomial_h
    special_hermite_polynomial_he special_i0e special_i1 special_i1e special_laguerre_polynomial_l
    special_legendre_polynomial_p special_log_ndtr special_modified_bessel_i0 special_modified_bessel_i1
    special_modified_bessel_k0 special_modified_bessel_k1 special_ndtr special_ndtri
    special_scaled_modified_bessel_k0 special_scaled_modified_bessel_k1 special_shifted_chebyshev_polynomial_t
    special_shifted_chebyshev_polynomial_u special_shifted_chebyshev_polynomial_v
    special_shifted_chebyshev_polynomial_w special_spherical_bessel_j0 special_xlog1py special_zeta sqrt square sub
    t tan tanh tanhshrink threshold trace tril triu trunc vdot view_as view_as_complex view_as_real vstack where
    xlogy zero zeros_like
    """,
}
