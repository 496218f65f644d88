"""Ops and samples that are not exported, and samples whose numbers are not compared, each with the reason."""

_FACTORS = "orthogonal and spectral factors of matrices; ONNX has no operator that finds them"
_SPECIAL = "a special function; of those erf, gamma and their kin are exported"
_GAMMA = "an incomplete gamma function, of series whose length values tell"
_NEXT = "the neighbours of a float; ONNX knows no bits of floats"

# all samples of an op
NO_OPERATOR = {
    **dict.fromkeys(
        (
            "geqrf",
            "linalg_eig",
            "linalg_eigh",
            "linalg_eigvals",
            "linalg_eigvalsh",
            "linalg_ldl_factor",
            "linalg_ldl_factor_ex",
            "linalg_ldl_solve",
            "linalg_qr",
            "linalg_svd",
            "linalg_svdvals",
            "matrix_exp",
        ),
        _FACTORS,
    ),
    **dict.fromkeys(
        (
            "igamma",
            "igammac",
        ),
        _GAMMA,
    ),
    **dict.fromkeys(
        (
            "i0",
            "special_airy_ai",
            "special_bessel_j0",
            "special_bessel_j1",
            "special_bessel_y0",
            "special_bessel_y1",
            "special_chebyshev_polynomial_t",
            "special_chebyshev_polynomial_u",
            "special_chebyshev_polynomial_v",
            "special_chebyshev_polynomial_w",
            "special_erfcx",
            "special_hermite_polynomial_h",
            "special_hermite_polynomial_he",
            "special_i0e",
            "special_i1",
            "special_i1e",
            "special_laguerre_polynomial_l",
            "special_legendre_polynomial_p",
            "special_log_ndtr",
            "special_modified_bessel_i0",
            "special_modified_bessel_i1",
            "special_modified_bessel_k0",
            "special_modified_bessel_k1",
            "special_scaled_modified_bessel_k0",
            "special_scaled_modified_bessel_k1",
            "special_shifted_chebyshev_polynomial_t",
            "special_shifted_chebyshev_polynomial_u",
            "special_shifted_chebyshev_polynomial_v",
            "special_shifted_chebyshev_polynomial_w",
            "special_spherical_bessel_j0",
            "special_zeta",
        ),
        _SPECIAL,
    ),
    **dict.fromkeys(
        ("nextafter",),
        _NEXT,
    ),
    **dict.fromkeys(
        ("asin complex64", "acos complex64", "atan complex64"), "complex numbers; ONNX has none, and these are rare"
    ),
    **dict.fromkeys(
        ("polygamma-order 2", "polygamma-order 3"), "the zeta function, of a series; orders 0 and 1 are exported"
    ),
    "tril_indices": "a list of places as long as values tell",
    "triu_indices": "a list of places as long as values tell",
    "avg_pool2d-no batch": "divisor_override with ceil_mode: windows beyond the border are cut by runtimes",
    "scatter_reduce-mean, integers": "means of integers are rounded down; ONNX has no such reduction",
}

# "differs": what helix leaves open; "no kernel": the file is sound, onnxruntime has no kernel for the dtype
DIFFERENT = {
    **dict.fromkeys(("empty", "empty_like", "new_empty"), "holds any numbers"),
    "cast-ends": "floats beyond an integer's range; ONNX leaves the result open",
    "cast-ends float64": "floats beyond an integer's range; ONNX leaves the result open",
    **dict.fromkeys(
        ("atan2-special values", "erf-special values"), "float64, for which onnxruntime has no Atan or Erf"
    ),
    **dict.fromkeys(("avg_pool2d-integers", "local_response_norm-integers"), "means of integers: no AveragePool"),
    "ctc_loss-one list": "cannot be traced: it needs the values of target_lengths",
}
