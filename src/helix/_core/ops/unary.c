/* Elementwise ops of one tensor. */
#include "rules.h"

/* ---- shape rules ---- */

static hx_status refuse(const hx_call *c, const char *what, const char *advice) {
    const hx_tensor *t = c->in[0];
    return hx_fail_about(FACTS(.argument = "input", .got = hx_dtype_name((hx_dtype)t->dtype)), HX_E_DTYPE, HX1101_DTYPE,
                         "is not defined for %s tensors, got shape %s and dtype %s. %s", what,
                   hx_shape_text(t->shape, t->ndim), hx_dtype_name((hx_dtype)t->dtype), advice);
}
static hx_status shape_number(hx_call *c) {
    if (c->in[0]->dtype == HX_BOOL) return refuse(c, "bool", "Use logical_not, or convert it to an integer dtype.");
    return hx_shape_same(c);
}
static hx_status shape_real(hx_call *c) {
    if (hx_is_complex((hx_dtype)c->in[0]->dtype)) return refuse(c, "complex", "Take .real or .abs() first.");
    return shape_number(c);
}
static hx_status shape_any_real(hx_call *c) {
    if (hx_is_complex((hx_dtype)c->in[0]->dtype)) return refuse(c, "complex", "Take .real or .abs() first.");
    return hx_shape_same(c);
}
/* bool is counted: 0 and 1. */
static hx_status shape_counted(hx_call *c) {
    HX_TRY(hx_shape_same(c));
    if (c->in[0]->dtype == HX_BOOL) {
        c->compute = HX_I64;
        c->spec[0].dtype = HX_I64;
    }
    return HX_OK;
}
static hx_status shape_real_float(hx_call *c) {
    if (hx_is_complex((hx_dtype)c->in[0]->dtype)) return refuse(c, "complex", "Take .real or .abs() first.");
    return hx_shape_float(c);
}
static hx_status shape_abs(hx_call *c) {
    HX_TRY(hx_shape_same(c));
    c->spec[0].dtype = (uint8_t)hx_real_of((hx_dtype)c->in[0]->dtype);
    return HX_OK;
}
static hx_status shape_angle(hx_call *c) {
    HX_TRY(hx_shape_float(c));
    c->spec[0].dtype = (uint8_t)hx_real_of((hx_dtype)c->spec[0].dtype);
    return HX_OK;
}
static hx_status shape_bool(hx_call *c) {
    HX_TRY(hx_shape_same(c));
    c->spec[0].dtype = HX_BOOL;
    return HX_OK;
}
static hx_status shape_real_bool(hx_call *c) {
    if (hx_is_complex((hx_dtype)c->in[0]->dtype)) return refuse(c, "complex", "Take .real or .imag first.");
    return shape_bool(c);
}
static hx_status shape_bits(hx_call *c) {
    if (!hx_is_integral((hx_dtype)c->in[0]->dtype)) return refuse(c, "float or complex", "Convert it to an integer dtype.");
    return hx_shape_same(c);
}
static hx_status shape_complex(hx_call *c) {
    if (!hx_is_complex((hx_dtype)c->in[0]->dtype)) return refuse(c, "real", "Use it on complex tensors.");
    return hx_shape_same(c);
}
static hx_status shape_complex_to_real(hx_call *c) {
    HX_TRY(shape_complex(c));
    c->spec[0].dtype = (uint8_t)hx_real_of((hx_dtype)c->in[0]->dtype);
    return HX_OK;
}

/* ---- gradients ---- */

#define X IN(0)
#define Y OUT(0)
#define VJP(name, expr)                                                                                       \
    static hx_status vjp_##name(hx_vjp *v) {                                                                  \
        GIN(0, expr);                                                                                         \
        return HX_OK;                                                                                         \
    }

static bool is_complex(const hx_vjp *v) { return hx_is_complex((hx_dtype)v->out_spec[0].dtype); }
static hx_tensor *times_i(hx_tensor *t) {
    hx_tensor *i = NULL;
    if (!t || hx_tensor_from_complex(0, 1, &i)) return NULL;
    return CALL(mul, t, hx_scope_own(i));
}
/* 1 - x * x and 1 + x * x */
static hx_tensor *one_minus_square(hx_tensor *x) { return CALL(sub, 1, CALL(square, x)); }
static hx_tensor *one_plus_square(hx_tensor *x) { return CALL(add, CALL(square, x), 1); }

VJP(pass, G)
VJP(zero, hx_full_like_spec(&v->in_spec[0], 0, NULL))
/* x / |x| turns where x turns, and keeps where x grows. */
static hx_tensor *sign_gradient(hx_tensor *x, hx_tensor *sign, hx_tensor *g) {
    hx_tensor *size = CALL(abs, x), *along = CALL(mul, sign, CALL(real, CALL(mul, g, cj(sign))));
    return CALL(where, CALL(eq, size, 0), CALL(zeros_like, x), CALL(div, CALL(sub, g, along), size));
}
VJP(sign, hx_is_complex((hx_dtype)v->in_spec[0].dtype) ? sign_gradient(X, Y, G) : hx_full_like_spec(&v->in_spec[0], 0, NULL))
VJP(neg, CALL(neg, G))
VJP(abs, CALL(mul, G, CALL(sign, X)))
VJP(square, CALL(mul, G, CALL(mul, cj(X), 2)))
VJP(reciprocal, CALL(neg, CALL(mul, G, cj(CALL(square, Y)))))
VJP(sqrt, CALL(div, G, CALL(mul, cj(Y), 2)))
VJP(rsqrt, CALL(mul, CALL(mul, G, -0.5), cj(CALL(mul, Y, CALL(square, Y)))))
VJP(exp, CALL(mul, G, cj(Y)))
VJP(exp2, CALL(mul, G, CALL(mul, cj(Y), 0.69314718055994530942)))
VJP(expm1, CALL(mul, G, cj(CALL(add, Y, 1))))
VJP(log, CALL(div, G, cj(X)))
VJP(log2, CALL(div, G, CALL(mul, cj(X), 0.69314718055994530942)))
VJP(log10, CALL(div, G, CALL(mul, cj(X), 2.30258509299404568402)))
VJP(log1p, CALL(div, G, cj(CALL(add, X, 1))))
VJP(sin, CALL(mul, G, cj(CALL(cos, X))))
VJP(cos, CALL(neg, CALL(mul, G, cj(CALL(sin, X)))))
VJP(tan, CALL(mul, G, cj(one_plus_square(Y))))
VJP(asin, CALL(mul, G, cj(CALL(rsqrt, one_minus_square(X)))))
VJP(acos, CALL(neg, CALL(mul, G, cj(CALL(rsqrt, one_minus_square(X))))))
VJP(atan, CALL(div, G, cj(one_plus_square(X))))
VJP(sinh, CALL(mul, G, cj(CALL(cosh, X))))
VJP(cosh, CALL(mul, G, cj(CALL(sinh, X))))
VJP(tanh, is_complex(v) ? CALL(mul, G, cj(one_minus_square(Y))) : CALL(tanh_backward, G, Y))
VJP(asinh, CALL(mul, G, cj(CALL(rsqrt, one_plus_square(X)))))
VJP(acosh, CALL(mul, G, cj(CALL(mul, CALL(rsqrt, CALL(sub, X, 1)), CALL(rsqrt, CALL(add, X, 1))))))
VJP(atanh, CALL(div, G, cj(one_minus_square(X))))
VJP(sinc, CALL(mul, G, cj(CALL(where, CALL(eq, X, 0), 0,
                               CALL(div, CALL(sub, CALL(cos, CALL(mul, X, 3.14159265358979323846)), Y), X)))))
VJP(erf, CALL(mul, G, CALL(mul, CALL(exp, CALL(neg, CALL(square, X))), 1.12837916709551257390)))
VJP(erfc, CALL(mul, G, CALL(mul, CALL(exp, CALL(neg, CALL(square, X))), -1.12837916709551257390)))
VJP(erfinv, CALL(mul, G, CALL(mul, CALL(exp, CALL(square, Y)), 0.88622692545275801365)))
VJP(lgamma, CALL(mul, G, CALL(digamma, X)))
VJP(digamma, CALL(mul, G, CALL(trigamma, X)))
VJP(sigmoid, is_complex(v) ? CALL(mul, G, cj(CALL(mul, Y, CALL(sub, 1, Y)))) : CALL(sigmoid_backward, G, Y))
VJP(deg2rad, CALL(deg2rad, G))
VJP(rad2deg, CALL(rad2deg, G))
VJP(nan_to_num, CALL(where, CALL(isfinite, X), G, 0))
VJP(conj, CALL(conj_physical, G))
VJP(imag, times_i(G))

/* Outside of [eps, 1 - eps] the clamped input does not move. */
static hx_status vjp_logit(hx_vjp *v) {
    hx_tensor *g = CALL(div, G, CALL(mul, X, CALL(sub, 1, X)));
    if (hx_given(ATTR(0))) {
        double eps = ATTR(0)->v.f;
        g = CALL(where, CALL(logical_and, CALL(ge, X, eps), CALL(le, X, 1 - eps)), g, 0);
    }
    GIN(0, g);
    return HX_OK;
}
static hx_status vjp_angle(hx_vjp *v) {
    bool complex = hx_is_complex((hx_dtype)v->in_spec[0].dtype);
    GIN(0, complex ? CALL(mul, CALL(div, G, CALL(square, CALL(abs, X))), times_i(X))
                   : hx_full_like_spec(&v->in_spec[0], 0, NULL));
    return HX_OK;
}

/* ---- decompositions, for devices without a kernel of the op ---- */

#define PI 3.14159265358979323846
#define LN_2 0.69314718055994530942
#define LN_10 2.30258509299404568402
#define INF __builtin_inf()
#define A (c->in[0])
#define DECOMPOSE(name, expr)                                                                                 \
    static hx_status decompose_##name(hx_call *c) {                                                           \
        RESULT(0, expr);                                                                                      \
        return HX_OK;                                                                                         \
    }
static bool complex_input(const hx_call *c) { return hx_is_complex((hx_dtype)c->in[0]->dtype); }

DECOMPOSE(square, CALL(mul, A, A))
DECOMPOSE(reciprocal, CALL(div, 1, A))
DECOMPOSE(rsqrt, CALL(div, 1, CALL(sqrt, A)))
DECOMPOSE(exp2, CALL(exp, CALL(mul, A, LN_2)))
DECOMPOSE(expm1, CALL(mul, CALL(tanh, CALL(mul, A, 0.5)), CALL(add, CALL(exp, A), 1)))
DECOMPOSE(log2, CALL(div, CALL(log, A), LN_2))
DECOMPOSE(log10, CALL(div, CALL(log, A), LN_10))
/* What 1 + x loses by rounding is made good by the quotient. */
static hx_status decompose_log1p(hx_call *c) {
    hx_tensor *u = CALL(add, A, 1), *y = CALL(div, CALL(mul, CALL(log, u), A), CALL(sub, u, 1));
    RESULT(0, CALL(where, CALL(eq, u, 1), A, complex_input(c) ? y : CALL(where, CALL(eq, u, INF), u, y)));
    return HX_OK;
}
DECOMPOSE(tan, CALL(div, CALL(sin, A), CALL(cos, A)))
DECOMPOSE(acos, CALL(sub, PI / 2, CALL(asin, A)))
static hx_status decompose_sinc(hx_call *c) {
    hx_tensor *x = CALL(mul, A, PI);
    RESULT(0, CALL(where, CALL(eq, A, 0), 1, CALL(div, CALL(sin, x), x)));
    return HX_OK;
}
static hx_status decompose_sinh(hx_call *c) {
    hx_tensor *e = CALL(expm1, A);
    hx_tensor *y = CALL(mul, CALL(add, e, CALL(div, e, CALL(add, e, 1))), 0.5);
    RESULT(0, CALL(where, CALL(eq, e, INF), e, y));
    return HX_OK;
}
DECOMPOSE(cosh, CALL(mul, CALL(add, CALL(exp, A), CALL(exp, CALL(neg, A))), 0.5))
static hx_status decompose_asinh(hx_call *c) {
    hx_tensor *root = CALL(sqrt, one_plus_square(A));
    if (complex_input(c)) {
        RESULT(0, CALL(log, CALL(add, A, root)));
        return HX_OK;
    }
    hx_tensor *size = CALL(abs, A), *rest = CALL(div, CALL(square, A), CALL(add, root, 1));
    hx_tensor *y = CALL(mul, CALL(sign, A), CALL(log1p, CALL(add, size, rest)));
    RESULT(0, CALL(where, CALL(eq, size, INF), A, y));
    return HX_OK;
}
DECOMPOSE(acosh, CALL(log, CALL(add, A, CALL(mul, CALL(sqrt, CALL(sub, A, 1)), CALL(sqrt, CALL(add, A, 1))))))
DECOMPOSE(atanh, CALL(mul, CALL(sub, CALL(log1p, A), CALL(log1p, CALL(neg, A))), 0.5))
DECOMPOSE(erfc, CALL(sub, 1, CALL(erf, A)))
DECOMPOSE(sigmoid, CALL(div, 1, CALL(add, CALL(exp, CALL(neg, A)), 1)))
static hx_status decompose_logit(hx_call *c) {
    hx_tensor *x = A;
    if (hx_given(&c->attr[0])) x = CALL(clamp, x, c->attr[0].v.f, 1 - c->attr[0].v.f);
    RESULT(0, CALL(log, CALL(div, x, CALL(sub, 1, x))));
    return HX_OK;
}
DECOMPOSE(trunc, CALL(where, CALL(lt, A, 0), CALL(ceil, A), CALL(floor, A)))
DECOMPOSE(frac, CALL(sub, A, CALL(trunc, A)))
DECOMPOSE(deg2rad, CALL(mul, A, PI / 180))
DECOMPOSE(rad2deg, CALL(mul, A, 180 / PI))
DECOMPOSE(isnan, CALL(ne, A, A))
DECOMPOSE(isinf, CALL(eq, CALL(abs, A), INF))
DECOMPOSE(isfinite, CALL(logical_not, CALL(logical_or, CALL(isnan, A), CALL(isinf, A))))
DECOMPOSE(isposinf, CALL(eq, A, INF))
DECOMPOSE(isneginf, CALL(eq, A, -INF))
DECOMPOSE(logical_not, CALL(eq, A, 0))

static double largest(int dtype) {
    switch (dtype) {
    case HX_F16: return 65504;
    case HX_BF16: return 0x1.fep127;
    case HX_F32: return 0x1.fffffep127;
    default: return 0x1.fffffffffffffp1023;
    }
}
static hx_status decompose_nan_to_num(hx_call *c) {
    double top = largest(A->dtype);
    hx_tensor *x = A;
    if (!hx_is_integral((hx_dtype)x->dtype)) {
        x = CALL(where, CALL(isnan, x), c->attr[0].v.f, x);
        x = CALL(where, CALL(eq, A, INF), hx_float_or(&c->attr[1], top), x);
        x = CALL(where, CALL(eq, A, -INF), hx_float_or(&c->attr[2], -top), x);
    }
    RESULT(0, CALL(clone, x));
    return HX_OK;
}
static hx_status decompose_angle(hx_call *c) {
    RESULT(0, complex_input(c) ? CALL(atan2, CALL(imag_part, A), CALL(real_part, A))
                               : CALL(where, CALL(lt, A, 0), PI, CALL(where, CALL(isnan, A), A, 0)));
    return HX_OK;
}

/* ---- composites ---- */

static hx_status decompose_conj(hx_call *c) {
    RESULT(0, complex_input(c) ? CALL(conj_physical, c->in[0]) : c->in[0]);
    return HX_OK;
}
static hx_status decompose_real(hx_call *c) {
    RESULT(0, complex_input(c) ? CALL(real_part, c->in[0]) : c->in[0]);
    return HX_OK;
}
static hx_status decompose_imag(hx_call *c) {
    if (!complex_input(c)) return refuse(c, "real", "The imaginary part is 0 everywhere.");
    RESULT(0, CALL(imag_part, c->in[0]));
    return HX_OK;
}
static hx_status decompose_positive(hx_call *c) {
    if (c->in[0]->dtype == HX_BOOL) return refuse(c, "bool", "Convert it to an integer dtype.");
    RESULT(0, c->in[0]);
    return HX_OK;
}

/* ---- records ---- */

#define ONE PARAMS(TENSOR("input"))
#define COMPOSED (HX_ELEMENTWISE & ~HX_PRIMITIVE)

const hx_op hx_ops_unary[] = {
    {.name = "neg", .params = ONE,
     .doc = "-input.\n\n"
            "Example:\n"
            "    >>> helix.neg(helix.tensor([1.0, -2.0])).tolist()\n"
            "    [-1.0, 2.0]\n",
     .aliases = "negative", .shape = shape_number, .vjp = vjp_neg, .flags = HX_ELEMENTWISE},
    {.name = "abs", .params = ONE,
     .doc = "The size of each value; for complex values sqrt(re**2 + im**2), as real numbers.\n\n"
            "Example:\n"
            "    >>> helix.abs(helix.tensor([1.0, -2.0])).tolist()\n"
            "    [1.0, 2.0]\n",
     .aliases = "absolute", .shape = shape_abs, .vjp = vjp_abs, .saves = SAVE_IN(0), .flags = HX_ELEMENTWISE},
    {.name = "sign", .params = ONE,
     .doc = "-1, 0 or 1 by the sign of each value, 0 for NaN; complex values are divided by their size.\n\n"
            "Example:\n"
            "    >>> helix.sign(helix.tensor([3.0, 0.0, -2.0])).tolist()\n"
            "    [1.0, 0.0, -1.0]\n",
     .aliases = "sgn", .shape = hx_shape_same, .vjp = vjp_sign, .saves = SAVE_IN(0) | SAVE_OUT(0), .flags = HX_ELEMENTWISE},
    {.name = "square", .params = ONE,
     .doc = "input * input.\n\n"
            "Example:\n"
            "    >>> helix.square(helix.tensor([3.0, -2.0])).tolist()\n"
            "    [9.0, 4.0]\n",
     .shape = shape_counted, .decompose = decompose_square, .vjp = vjp_square, .saves = SAVE_IN(0), .flags = COMPOSED},
    {.name = "reciprocal", .params = ONE,
     .doc = "1 / input.\n\n"
            "Example:\n"
            "    >>> helix.reciprocal(helix.tensor([2.0, -4.0])).tolist()\n"
            "    [0.5, -0.25]\n",
     .shape = hx_shape_float, .decompose = decompose_reciprocal, .vjp = vjp_reciprocal, .saves = SAVE_OUT(0), .flags = COMPOSED},
    {.name = "sqrt", .params = ONE,
     .doc = "The square root; NaN for negative values.\n\n"
            "Example:\n"
            "    >>> helix.sqrt(helix.tensor([4.0, 9.0])).tolist()\n"
            "    [2.0, 3.0]\n",
     .shape = hx_shape_float, .vjp = vjp_sqrt, .saves = SAVE_OUT(0), .flags = HX_ELEMENTWISE},
    {.name = "rsqrt", .params = ONE,
     .doc = "1 / sqrt(input).\n\n"
            "Example:\n"
            "    >>> helix.rsqrt(helix.tensor([4.0, 0.25])).tolist()\n"
            "    [0.5, 2.0]\n",
     .shape = hx_shape_float, .decompose = decompose_rsqrt, .vjp = vjp_rsqrt, .saves = SAVE_OUT(0), .flags = COMPOSED},
    {.name = "exp", .params = ONE,
     .doc = "e**input.\n\n"
            "Example:\n"
            "    >>> helix.exp(helix.tensor([0.0])).tolist()\n"
            "    [1.0]\n",
     .shape = hx_shape_float, .vjp = vjp_exp, .saves = SAVE_OUT(0), .flags = HX_ELEMENTWISE},
    {.name = "exp2", .params = ONE,
     .doc = "2**input.\n\n"
            "Example:\n"
            "    >>> helix.exp2(helix.tensor([0.0, 3.0])).tolist()\n"
            "    [1.0, 8.0]\n",
     .shape = hx_shape_float, .decompose = decompose_exp2, .vjp = vjp_exp2, .saves = SAVE_OUT(0), .flags = COMPOSED},
    {.name = "expm1", .params = ONE,
     .doc = "e**input - 1, exact for small values.\n\n"
            "Example:\n"
            "    >>> helix.expm1(helix.tensor([0.0])).tolist()\n"
            "    [0.0]\n",
     .shape = hx_shape_float, .decompose = decompose_expm1, .vjp = vjp_expm1, .saves = SAVE_OUT(0), .flags = COMPOSED},
    {.name = "log", .params = ONE,
     .doc = "The natural logarithm: -inf at 0, NaN for negative values.\n\n"
            "Example:\n"
            "    >>> helix.log(helix.tensor([1.0])).tolist()\n"
            "    [0.0]\n",
     .shape = hx_shape_float, .vjp = vjp_log, .saves = SAVE_IN(0), .flags = HX_ELEMENTWISE},
    {.name = "log2", .params = ONE,
     .doc = "The logarithm to base 2.\n\n"
            "Example:\n"
            "    >>> helix.log2(helix.tensor([8.0, 0.5])).tolist()\n"
            "    [3.0, -1.0]\n",
     .shape = hx_shape_float, .decompose = decompose_log2, .vjp = vjp_log2, .saves = SAVE_IN(0), .flags = COMPOSED},
    {.name = "log10", .params = ONE,
     .doc = "The logarithm to base 10.\n\n"
            "Example:\n"
            "    >>> helix.log10(helix.tensor([100.0])).tolist()\n"
            "    [2.0]\n",
     .shape = hx_shape_float, .decompose = decompose_log10, .vjp = vjp_log10, .saves = SAVE_IN(0), .flags = COMPOSED},
    {.name = "log1p", .params = ONE,
     .doc = "log(1 + input), exact for small values.\n\n"
            "Example:\n"
            "    >>> helix.log1p(helix.tensor([0.0])).tolist()\n"
            "    [0.0]\n",
     .shape = hx_shape_float, .decompose = decompose_log1p, .vjp = vjp_log1p, .saves = SAVE_IN(0), .flags = COMPOSED},
    {.name = "sin", .params = ONE,
     .doc = "The sine of an angle in radians.\n\n"
            "Example:\n"
            "    >>> helix.sin(helix.tensor([0.0])).tolist()\n"
            "    [0.0]\n",
     .shape = hx_shape_float, .vjp = vjp_sin, .saves = SAVE_IN(0), .flags = HX_ELEMENTWISE},
    {.name = "cos", .params = ONE,
     .doc = "The cosine of an angle in radians.\n\n"
            "Example:\n"
            "    >>> helix.cos(helix.tensor([0.0])).tolist()\n"
            "    [1.0]\n",
     .shape = hx_shape_float, .vjp = vjp_cos, .saves = SAVE_IN(0), .flags = HX_ELEMENTWISE},
    {.name = "tan", .params = ONE,
     .doc = "The tangent of an angle in radians.\n\n"
            "Example:\n"
            "    >>> helix.tan(helix.tensor([0.0])).tolist()\n"
            "    [0.0]\n",
     .shape = hx_shape_float, .decompose = decompose_tan, .vjp = vjp_tan, .saves = SAVE_OUT(0), .flags = COMPOSED},
    {.name = "asin", .params = ONE,
     .doc = "The angle in [-pi/2, pi/2] whose sine is given; NaN outside of [-1, 1].\n\n"
            "Example:\n"
            "    >>> helix.asin(helix.tensor([0.0])).tolist()\n"
            "    [0.0]\n",
     .aliases = "arcsin", .shape = hx_shape_float, .vjp = vjp_asin, .saves = SAVE_IN(0), .flags = HX_ELEMENTWISE},
    {.name = "acos", .params = ONE,
     .doc = "The angle in [0, pi] whose cosine is given; NaN outside of [-1, 1].\n\n"
            "Example:\n"
            "    >>> helix.acos(helix.tensor([1.0])).tolist()\n"
            "    [0.0]\n",
     .aliases = "arccos", .shape = hx_shape_float, .decompose = decompose_acos, .vjp = vjp_acos, .saves = SAVE_IN(0), .flags = COMPOSED},
    {.name = "atan", .params = ONE,
     .doc = "The angle in (-pi/2, pi/2) whose tangent is given.\n\n"
            "Example:\n"
            "    >>> helix.atan(helix.tensor([0.0])).tolist()\n"
            "    [0.0]\n",
     .aliases = "arctan", .shape = hx_shape_float, .vjp = vjp_atan, .saves = SAVE_IN(0), .flags = HX_ELEMENTWISE},
    {.name = "sinc", .params = ONE,
     .doc = "sin(pi input) / (pi input), and 1 at 0.\n\n"
            "Example:\n"
            "    >>> helix.sinc(helix.tensor([0.0])).tolist()\n"
            "    [1.0]\n",
     .shape = hx_shape_float, .decompose = decompose_sinc, .vjp = vjp_sinc, .saves = SAVE_IN(0) | SAVE_OUT(0), .flags = COMPOSED},
    {.name = "sinh", .params = ONE,
     .doc = "The hyperbolic sine.\n\n"
            "Example:\n"
            "    >>> helix.sinh(helix.tensor([0.0])).tolist()\n"
            "    [0.0]\n",
     .shape = hx_shape_float, .decompose = decompose_sinh, .vjp = vjp_sinh, .saves = SAVE_IN(0), .flags = COMPOSED},
    {.name = "cosh", .params = ONE,
     .doc = "The hyperbolic cosine.\n\n"
            "Example:\n"
            "    >>> helix.cosh(helix.tensor([0.0])).tolist()\n"
            "    [1.0]\n",
     .shape = hx_shape_float, .decompose = decompose_cosh, .vjp = vjp_cosh, .saves = SAVE_IN(0), .flags = COMPOSED},
    {.name = "tanh", .params = ONE,
     .doc = "The hyperbolic tangent.\n\n"
            "Example:\n"
            "    >>> helix.tanh(helix.tensor([0.0])).tolist()\n"
            "    [0.0]\n",
     .shape = hx_shape_float, .vjp = vjp_tanh, .saves = SAVE_OUT(0), .flags = HX_ELEMENTWISE},
    {.name = "asinh", .params = ONE,
     .doc = "The value whose hyperbolic sine is given.\n\n"
            "Example:\n"
            "    >>> helix.asinh(helix.tensor([0.0])).tolist()\n"
            "    [0.0]\n",
     .aliases = "arcsinh", .shape = hx_shape_float, .decompose = decompose_asinh, .vjp = vjp_asinh, .saves = SAVE_IN(0), .flags = COMPOSED},
    {.name = "acosh", .params = ONE,
     .doc = "The value, not negative, whose hyperbolic cosine is given; NaN below 1.\n\n"
            "Example:\n"
            "    >>> helix.acosh(helix.tensor([1.0])).tolist()\n"
            "    [0.0]\n",
     .aliases = "arccosh", .shape = hx_shape_float, .decompose = decompose_acosh, .vjp = vjp_acosh, .saves = SAVE_IN(0), .flags = COMPOSED},
    {.name = "atanh", .params = ONE,
     .doc = "The value whose hyperbolic tangent is given; NaN outside of [-1, 1].\n\n"
            "Example:\n"
            "    >>> helix.atanh(helix.tensor([0.0])).tolist()\n"
            "    [0.0]\n",
     .aliases = "arctanh", .shape = hx_shape_float, .decompose = decompose_atanh, .vjp = vjp_atanh, .saves = SAVE_IN(0), .flags = COMPOSED},
    {.name = "erf", .params = ONE,
     .doc = "The error function, 2 / sqrt(pi) times the integral of exp(-t**2) from 0 to input.\n\n"
            "Example:\n"
            "    >>> helix.erf(helix.tensor([0.0])).tolist()\n"
            "    [0.0]\n",
     .shape = shape_real_float, .vjp = vjp_erf, .saves = SAVE_IN(0), .flags = HX_ELEMENTWISE},
    {.name = "erfc", .params = ONE,
     .doc = "1 - erf(input), exact for large values.\n\n"
            "Example:\n"
            "    >>> helix.erfc(helix.tensor([0.0])).tolist()\n"
            "    [1.0]\n",
     .shape = shape_real_float, .decompose = decompose_erfc, .vjp = vjp_erfc, .saves = SAVE_IN(0), .flags = COMPOSED},
    {.name = "erfinv", .params = ONE,
     .doc = "The value whose error function is given: inf at 1, NaN outside of [-1, 1].\n\n"
            "Example:\n"
            "    >>> helix.erfinv(helix.tensor([0.0])).tolist()\n"
            "    [0.0]\n",
     .shape = shape_real_float, .vjp = vjp_erfinv, .saves = SAVE_OUT(0), .flags = HX_ELEMENTWISE},
    {.name = "lgamma", .params = ONE,
     .doc = "The logarithm of the size of the gamma function.\n\n"
            "Example:\n"
            "    >>> helix.lgamma(helix.tensor([1.0, 2.0])).tolist()\n"
            "    [0.0, 0.0]\n",
     .shape = shape_real_float, .vjp = vjp_lgamma, .saves = SAVE_IN(0), .flags = HX_ELEMENTWISE},
    {.name = "digamma", .params = ONE,
     .doc = "The derivative of lgamma.\n\n"
            "Example:\n"
            "    >>> helix.digamma(helix.tensor([helix.inf])).tolist()\n"
            "    [inf]\n",
     .shape = shape_real_float, .vjp = vjp_digamma, .saves = SAVE_IN(0), .flags = HX_ELEMENTWISE},
    {.name = "trigamma", .params = ONE,
     .doc = "The derivative of digamma.",
     .shape = shape_real_float, .flags = HX_PRIMITIVE | HX_ALIAS_OK | HX_NON_DIFF | HX_GRAD_ERROR | HX_INTERNAL_OP},
    {.name = "sigmoid", .params = ONE,
     .doc = "1 / (1 + exp(-input)).\n\n"
            "Example:\n"
            "    >>> helix.sigmoid(helix.tensor([0.0])).tolist()\n"
            "    [0.5]\n",
     .aliases = "expit", .shape = hx_shape_float, .decompose = decompose_sigmoid, .vjp = vjp_sigmoid, .saves = SAVE_OUT(0),
     .flags = COMPOSED | HX_NN},
    {.name = "logit", .params = PARAMS(TENSOR("input"), OPT_FLOAT("eps")),
     .doc = "log(input / (1 - input)); with eps the input is first brought into [eps, 1 - eps].\n\n"
            "Example:\n"
            "    >>> helix.logit(helix.tensor([0.5])).tolist()\n"
            "    [0.0]\n",
     .shape = shape_real_float, .decompose = decompose_logit, .vjp = vjp_logit, .saves = SAVE_IN(0), .flags = COMPOSED},
    {.name = "floor", .params = ONE,
     .doc = "The next whole number below.\n\n"
            "Example:\n"
            "    >>> helix.floor(helix.tensor([1.5, -1.5])).tolist()\n"
            "    [1.0, -2.0]\n",
     .shape = shape_real, .vjp = vjp_zero, .flags = HX_ELEMENTWISE},
    {.name = "ceil", .params = ONE,
     .doc = "The next whole number above.\n\n"
            "Example:\n"
            "    >>> helix.ceil(helix.tensor([1.5, -1.5])).tolist()\n"
            "    [2.0, -1.0]\n",
     .shape = shape_real, .vjp = vjp_zero, .flags = HX_ELEMENTWISE},
    {.name = "trunc", .params = ONE,
     .doc = "The whole part.\n\n"
            "Example:\n"
            "    >>> helix.trunc(helix.tensor([1.5, -1.5])).tolist()\n"
            "    [1.0, -1.0]\n",
     .aliases = "fix", .shape = shape_real, .decompose = decompose_trunc, .vjp = vjp_zero, .flags = COMPOSED},
    {.name = "frac", .params = ONE,
     .doc = "What is left without the whole part.\n\n"
            "Example:\n"
            "    >>> helix.frac(helix.tensor([1.5, -1.5])).tolist()\n"
            "    [0.5, -0.5]\n",
     .shape = shape_real_float, .decompose = decompose_frac, .vjp = vjp_pass, .flags = COMPOSED},
    {.name = "round", .params = PARAMS(TENSOR("input"), INT("decimals", 0, KW)),
     .doc = "The nearest number of that many decimals; halves go to the even neighbour.\n\n"
            "Example:\n"
            "    >>> helix.round(helix.tensor([0.5, 1.5, 2.5])).tolist()\n"
            "    [0.0, 2.0, 2.0]\n",
     .shape = shape_real, .vjp = vjp_zero, .flags = HX_ELEMENTWISE},
    {.name = "deg2rad", .params = ONE,
     .doc = "Degrees to radians.\n\n"
            "Example:\n"
            "    >>> helix.deg2rad(helix.tensor([0.0])).tolist()\n"
            "    [0.0]\n",
     .shape = shape_real_float, .decompose = decompose_deg2rad, .vjp = vjp_deg2rad, .flags = COMPOSED},
    {.name = "rad2deg", .params = ONE,
     .doc = "Radians to degrees.\n\n"
            "Example:\n"
            "    >>> helix.rad2deg(helix.tensor([0.0])).tolist()\n"
            "    [0.0]\n",
     .shape = shape_real_float, .decompose = decompose_rad2deg, .vjp = vjp_rad2deg, .flags = COMPOSED},
    {.name = "isnan", .params = ONE,
     .doc = "True where the value is not a number.\n\n"
            "Example:\n"
            "    >>> helix.isnan(helix.tensor([1.0, helix.nan])).tolist()\n"
            "    [False, True]\n",
     .shape = shape_bool, .decompose = decompose_isnan, .flags = HX_PUBLIC | HX_NON_DIFF},
    {.name = "isinf", .params = ONE,
     .doc = "True where the value is infinite.\n\n"
            "Example:\n"
            "    >>> helix.isinf(helix.tensor([1.0, -helix.inf])).tolist()\n"
            "    [False, True]\n",
     .shape = shape_bool, .decompose = decompose_isinf, .flags = HX_PUBLIC | HX_NON_DIFF},
    {.name = "isfinite", .params = ONE,
     .doc = "True where the value is neither infinite nor NaN.\n\n"
            "Example:\n"
            "    >>> helix.isfinite(helix.tensor([1.0, helix.inf])).tolist()\n"
            "    [True, False]\n",
     .shape = shape_bool, .decompose = decompose_isfinite, .flags = HX_PUBLIC | HX_NON_DIFF},
    {.name = "isposinf", .params = ONE,
     .doc = "True where the value is plus infinity.\n\n"
            "Example:\n"
            "    >>> helix.isposinf(helix.tensor([helix.inf, -helix.inf])).tolist()\n"
            "    [True, False]\n",
     .shape = shape_real_bool, .decompose = decompose_isposinf, .flags = HX_PUBLIC | HX_NON_DIFF},
    {.name = "isneginf", .params = ONE,
     .doc = "True where the value is minus infinity.\n\n"
            "Example:\n"
            "    >>> helix.isneginf(helix.tensor([helix.inf, -helix.inf])).tolist()\n"
            "    [False, True]\n",
     .shape = shape_real_bool, .decompose = decompose_isneginf, .flags = HX_PUBLIC | HX_NON_DIFF},
    {.name = "signbit", .params = ONE,
     .doc = "True where the sign bit is set: below zero, and -0.0.\n\n"
            "Example:\n"
            "    >>> helix.signbit(helix.tensor([1.0, -0.0])).tolist()\n"
            "    [False, True]\n",
     .shape = shape_real_bool, .flags = HX_PRIMITIVE | HX_PUBLIC | HX_NON_DIFF},
    {.name = "logical_not", .params = ONE,
     .doc = "True where the value is 0.\n\n"
            "Example:\n"
            "    >>> helix.logical_not(helix.tensor([0, 2])).tolist()\n"
            "    [True, False]\n",
     .shape = shape_bool, .decompose = decompose_logical_not, .flags = HX_PUBLIC | HX_NON_DIFF | HX_INPLACE},
    {.name = "bitwise_not", .params = ONE,
     .doc = "Every bit turned round; for bool the other value.\n\n"
            "Example:\n"
            "    >>> helix.bitwise_not(helix.tensor([0, 5])).tolist()\n"
            "    [-1, -6]\n",
     .shape = shape_bits, .flags = HX_ELEMENTWISE | HX_NON_DIFF},
    {.name = "nan_to_num", .params = PARAMS(TENSOR("input"), FLOAT("nan", 0), OPT_FLOAT("posinf"), OPT_FLOAT("neginf")),
     .doc = "NaN and infinities exchanged for numbers: by default 0 and the ends of the dtype.\n\n"
            "Example:\n"
            "    >>> helix.nan_to_num(helix.tensor([helix.nan, 1.0])).tolist()\n"
            "    [0.0, 1.0]\n",
     .shape = shape_any_real, .decompose = decompose_nan_to_num, .vjp = vjp_nan_to_num, .saves = SAVE_IN(0), .flags = COMPOSED},
    {.name = "angle", .params = ONE,
     .doc = "The angle of complex values in (-pi, pi]; 0 or pi for real ones.\n\n"
            "Example:\n"
            "    >>> helix.angle(helix.tensor([2.0, 1.0])).tolist()\n"
            "    [0.0, 0.0]\n",
     .shape = shape_angle, .decompose = decompose_angle, .vjp = vjp_angle, .saves = SAVE_IN(0), .flags = HX_PUBLIC},
    {.name = "conj_physical", .params = ONE,
     .doc = "The complex conjugate, as a new tensor (complex dtypes).\n\n"
            "Example:\n"
            "    >>> helix.conj_physical(helix.tensor([1 + 2j])).tolist()\n"
            "    [(1-2j)]\n",
     .shape = shape_complex, .vjp = vjp_conj, .flags = HX_ELEMENTWISE},
    {.name = "conj", .params = ONE,
     .doc = "The complex conjugate; real tensors are returned as they are.\n\n"
            "Example:\n"
            "    >>> helix.conj(helix.tensor([1 + 2j])).tolist()\n"
            "    [(1-2j)]\n",
     .decompose = decompose_conj, .flags = HX_PUBLIC},
    {.name = "real_part", .params = ONE,
     .doc = "The real parts of complex values.",
     .shape = shape_complex_to_real, .vjp = vjp_pass, .flags = HX_PRIMITIVE | HX_INTERNAL_OP},
    {.name = "imag_part", .params = ONE,
     .doc = "The imaginary parts of complex values.",
     .shape = shape_complex_to_real, .vjp = vjp_imag, .flags = HX_PRIMITIVE | HX_INTERNAL_OP},
    {.name = "real", .params = ONE,
     .doc = "The real parts; real tensors are returned as they are.\n\n"
            "Example:\n"
            "    >>> helix.real(helix.tensor([1 + 2j])).tolist()\n"
            "    [1.0]\n",
     .decompose = decompose_real, .flags = HX_FUNCTION},
    {.name = "imag", .params = ONE,
     .doc = "The imaginary parts of complex values.\n\n"
            "Raises DTypeError (HX1101) for real tensors.\n\n"
            "Example:\n"
            "    >>> helix.imag(helix.tensor([1 + 2j])).tolist()\n"
            "    [2.0]\n",
     .decompose = decompose_imag, .flags = HX_FUNCTION},
    {.name = "positive", .params = ONE,
     .doc = "The tensor as it is: the meaning of +x.\n\n"
            "Example:\n"
            "    >>> helix.positive(helix.tensor([-1.0])).tolist()\n"
            "    [-1.0]\n",
     .decompose = decompose_positive, .flags = HX_PUBLIC},
    {0}};
