/* Special functions. The values come from two primitives that name a function; what is said here are names, gradients
 * and the functions that other ops compute. Formulas: DLMF (https://dlmf.nist.gov). */
#include "rules.h"

/* ---- shape rules ---- */

static hx_status real_only(const hx_call *c, int i) {
    hx_dtype dtype = (hx_dtype)c->in[i]->dtype;
    if (!hx_is_complex(dtype)) return HX_OK;
    return hx_fail_about(FACTS(.argument = c->op->params[i].name, .got = hx_dtype_name(dtype)), HX_E_DTYPE, HX1101_DTYPE,
                         "is not defined for complex tensors, got shape %s and dtype %s. Take .real or .abs() first.",
                         hx_shape_text(c->in[i]->shape, c->in[i]->ndim), hx_dtype_name(dtype));
}
static hx_status shape_one(hx_call *c) {
    HX_TRY(real_only(c, 0));
    return hx_shape_float(c);
}
static hx_status shape_two(hx_call *c) {
    HX_TRY(real_only(c, 0));
    HX_TRY(real_only(c, 1));
    return hx_shape_broadcast_float(c);
}
static hx_status shape_polygamma(hx_call *c) {
    if (c->attr[0].v.i < 0)
        return hx_refuse(HX_E_VALUE, HX1403_VALUE, "n", "not be negative", "%lld", (long long)c->attr[0].v.i);
    return shape_one(c);
}
static hx_status shape_mvlgamma(hx_call *c) {
    if (c->attr[0].v.i < 1)
        return hx_refuse(HX_E_VALUE, HX1403_VALUE, "p", "be at least 1", "%lld", (long long)c->attr[0].v.i);
    return shape_one(c);
}

/* ---- values ---- */

#define A (c->in[0])
#define B (c->in[1])
#define DECOMPOSE(name, expr)                                                                                 \
    static hx_status decompose_##name(hx_call *c) {                                                           \
        RESULT(0, expr);                                                                                      \
        return HX_OK;                                                                                         \
    }
#define OF_ONE(name, function) DECOMPOSE(name, CALL(special_of_one, A, #function))
#define OF_TWO(name, function) DECOMPOSE(name, CALL(special_of_two, A, B, #function))

OF_ONE(i0, i0)
OF_ONE(airy_ai, airy_ai)
OF_ONE(bessel_j0, bessel_j0)
OF_ONE(bessel_j1, bessel_j1)
OF_ONE(bessel_y0, bessel_y0)
OF_ONE(bessel_y1, bessel_y1)
OF_ONE(modified_bessel_i0, i0)
OF_ONE(modified_bessel_i1, i1)
OF_ONE(modified_bessel_k0, k0)
OF_ONE(modified_bessel_k1, k1)
OF_ONE(scaled_modified_bessel_k0, k0e)
OF_ONE(scaled_modified_bessel_k1, k1e)
OF_ONE(spherical_bessel_j0, spherical_bessel_j0)
OF_ONE(i0e, i0e)
OF_ONE(i1, i1)
OF_ONE(i1e, i1e)
OF_ONE(entr, entr)
OF_ONE(erfcx, erfcx)
OF_ONE(ndtr, ndtr)
OF_ONE(log_ndtr, log_ndtr)
OF_ONE(ndtri, ndtri)
OF_TWO(zeta, zeta)
OF_TWO(igamma, gammainc)
OF_TWO(igammac, gammaincc)
OF_TWO(chebyshev_polynomial_t, chebyshev_polynomial_t)
OF_TWO(chebyshev_polynomial_u, chebyshev_polynomial_u)
OF_TWO(chebyshev_polynomial_v, chebyshev_polynomial_v)
OF_TWO(chebyshev_polynomial_w, chebyshev_polynomial_w)
OF_TWO(shifted_chebyshev_polynomial_t, shifted_chebyshev_polynomial_t)
OF_TWO(shifted_chebyshev_polynomial_u, shifted_chebyshev_polynomial_u)
OF_TWO(shifted_chebyshev_polynomial_v, shifted_chebyshev_polynomial_v)
OF_TWO(shifted_chebyshev_polynomial_w, shifted_chebyshev_polynomial_w)
OF_TWO(hermite_polynomial_h, hermite_polynomial_h)
OF_TWO(hermite_polynomial_he, hermite_polynomial_he)
OF_TWO(laguerre_polynomial_l, laguerre_polynomial_l)
OF_TWO(legendre_polynomial_p, legendre_polynomial_p)
DECOMPOSE(xlog1py, CALL(where, CALL(isnan, B), B, CALL(where, CALL(eq, A, 0), 0, CALL(mul, A, CALL(log1p, B)))))

static hx_status decompose_polygamma(hx_call *c) {
    int64_t n = c->attr[0].v.i;
    RESULT(0, n == 0 ? CALL(digamma, A) : n == 1 ? CALL(trigamma, A) : CALL(special_of_two, (double)n, A, "polygamma"));
    return HX_OK;
}

/* DLMF 35.3.4, its logarithm. */
static hx_status decompose_mvlgamma(hx_call *c) {
    const double log_of_pi = 1.14472988584940017414;
    int64_t p = c->attr[0].v.i;
    hx_tensor *x = hx_is_integral((hx_dtype)A->dtype) ? CALL(cast, A, (int)hx_default_float()) : A;
    hx_tensor *steps = CALL(arange, 0, p, DEFAULT, x ? (int)x->dtype : 0);
    hx_tensor *terms = CALL(lgamma, CALL(sub, CALL(unsqueeze, x, -1), CALL(mul, steps, 0.5)));
    RESULT(0, CALL(add, CALL(sum, terms, HX_INTS(-1)), 0.25 * log_of_pi * (double)p * (double)(p - 1)));
    return HX_OK;
}

/* ---- gradients ---- */

#define X IN(0)
#define Y OUT(0)
#define VJP(name, expr)                                                                                       \
    static hx_status vjp_##name(hx_vjp *v) {                                                                  \
        GIN(0, CALL(mul, G, expr));                                                                           \
        return HX_OK;                                                                                         \
    }
/* y / x, with what it tends to at 0. */
static hx_tensor *over(hx_tensor *y, hx_tensor *x, double at_zero) {
    hx_tensor *zero = CALL(eq, x, 0);
    return CALL(where, zero, at_zero, CALL(div, y, CALL(where, zero, 1, x)));
}
static hx_tensor *gauss(hx_tensor *x, double factor) { return CALL(mul, CALL(exp, CALL(mul, CALL(square, x), -0.5)), factor); }

#define SQRT_TWO_PI 2.50662827463100050242
VJP(i0, CALL(special_i1, X))
VJP(i1, CALL(sub, CALL(i0, X), over(Y, X, 0.5)))
VJP(i0e, CALL(sub, CALL(special_i1e, X), CALL(mul, Y, CALL(sign, X))))
VJP(i1e, CALL(sub, CALL(sub, CALL(special_i0e, X), CALL(mul, Y, CALL(sign, X))), over(Y, X, 0.5)))
VJP(bessel_j0, CALL(neg, CALL(special_bessel_j1, X)))
VJP(bessel_j1, CALL(sub, CALL(special_bessel_j0, X), over(Y, X, 0.5)))
VJP(bessel_y0, CALL(neg, CALL(special_bessel_y1, X)))
VJP(bessel_y1, CALL(sub, CALL(special_bessel_y0, X), CALL(div, Y, X)))
VJP(modified_bessel_k0, CALL(neg, CALL(special_modified_bessel_k1, X)))
VJP(modified_bessel_k1, CALL(neg, CALL(add, CALL(special_modified_bessel_k0, X), CALL(div, Y, X))))
VJP(scaled_modified_bessel_k0, CALL(sub, Y, CALL(special_scaled_modified_bessel_k1, X)))
VJP(scaled_modified_bessel_k1, CALL(sub, CALL(sub, Y, CALL(special_scaled_modified_bessel_k0, X)), CALL(div, Y, X)))
VJP(spherical_bessel_j0, over(CALL(sub, CALL(cos, X), Y), X, 0))
VJP(entr, CALL(neg, CALL(add, CALL(log, X), 1)))
VJP(erfcx, CALL(sub, CALL(mul, CALL(mul, X, Y), 2), 1.12837916709551257390))
VJP(ndtr, gauss(X, 1 / SQRT_TWO_PI))
VJP(log_ndtr, CALL(div, 0.79788456080286535588, CALL(special_erfcx, CALL(mul, X, -0.70710678118654752440))))
VJP(ndtri, CALL(mul, CALL(exp, CALL(mul, CALL(square, Y), 0.5)), SQRT_TWO_PI))

static hx_status vjp_xlog1py(hx_vjp *v) {
    hx_tensor *outside = CALL(logical_and, CALL(eq, IN(0), 0), CALL(le, IN(1), -1));
    GIN(0, CALL(mul, G, CALL(where, outside, 0, CALL(log1p, IN(1)))));
    GIN(1, CALL(div, CALL(mul, G, IN(0)), CALL(add, IN(1), 1)));
    return HX_OK;
}
static hx_status not_in_first(const hx_vjp *v) {
    if (!v->need[0]) return HX_OK;
    return hx_fail(HX_E_GRADIENT, HX1503_NO_GRAD, "is not differentiable in its first argument; detach it");
}
static hx_status vjp_zeta(hx_vjp *v) {
    HX_TRY(not_in_first(v));
    GIN(1, CALL(neg, CALL(mul, CALL(mul, G, IN(0)), CALL(special_zeta, CALL(add, IN(0), 1), IN(1)))));
    return HX_OK;
}
/* x^(a - 1) exp(-x) / Gamma(a). */
static hx_tensor *gamma_density(hx_tensor *a, hx_tensor *x) {
    return CALL(exp, CALL(sub, CALL(sub, CALL(xlogy, CALL(sub, a, 1), x), x), CALL(lgamma, a)));
}
static hx_status vjp_igamma(hx_vjp *v) {
    HX_TRY(not_in_first(v));
    GIN(1, CALL(mul, G, gamma_density(IN(0), IN(1))));
    return HX_OK;
}
static hx_status vjp_igammac(hx_vjp *v) {
    HX_TRY(not_in_first(v));
    GIN(1, CALL(neg, CALL(mul, G, gamma_density(IN(0), IN(1)))));
    return HX_OK;
}
static hx_status vjp_polygamma(hx_vjp *v) {
    GIN(0, CALL(mul, G, CALL(polygamma, ATTR(0)->v.i + 1, X)));
    return HX_OK;
}

/* ---- records ---- */

#define ONE PARAMS(TENSOR("input"))
#define TWO PARAMS(TENSOR("input"), TENSOR("other"))
#define POLYNOMIAL PARAMS(TENSOR("input"), TENSOR("n"))
#define OF_DEGREE "\n\nn is cut to whole numbers; it is stretched against input. Not differentiable.\n\n"
#define SHOWN (HX_SPECIAL | HX_ALIAS_OK)
#define EVERYWHERE (SHOWN | HX_PUBLIC | HX_INPLACE)

const hx_op hx_ops_special[] = {
    {.name = "special_of_one",
     .params = PARAMS(TENSOR("input"),
                      STRING("function", NULL,
                             "i0|i0e|i1|i1e|k0|k0e|k1|k1e|bessel_j0|bessel_j1|bessel_y0|bessel_y1|spherical_bessel_j0|"
                             "airy_ai|erfcx|ndtr|log_ndtr|ndtri|entr", .required = true)),
     .doc = "The special function of that name.",
     .shape = shape_one, .flags = HX_PRIMITIVE | HX_ALIAS_OK | HX_INTERNAL_OP | HX_NON_DIFF | HX_GRAD_ERROR},
    {.name = "special_of_two",
     .params = PARAMS(TENSOR("input"), TENSOR("other"),
                      STRING("function", NULL,
                             "zeta|polygamma|gammainc|gammaincc|chebyshev_polynomial_t|chebyshev_polynomial_u|"
                             "chebyshev_polynomial_v|chebyshev_polynomial_w|shifted_chebyshev_polynomial_t|"
                             "shifted_chebyshev_polynomial_u|shifted_chebyshev_polynomial_v|"
                             "shifted_chebyshev_polynomial_w|hermite_polynomial_h|hermite_polynomial_he|"
                             "laguerre_polynomial_l|legendre_polynomial_p", .required = true)),
     .doc = "The special function of that name.",
     .shape = shape_two, .flags = HX_PRIMITIVE | HX_ALIAS_OK | HX_INTERNAL_OP | HX_NON_DIFF | HX_GRAD_ERROR},
    {.name = "i0", .params = ONE,
     .doc = "The modified Bessel function of the first kind of order 0.\n\n"
            "Example:\n"
            "    >>> helix.i0(helix.tensor(0.0)).item()\n"
            "    1.0\n",
     .shape = shape_one, .decompose = decompose_i0, .vjp = vjp_i0, .saves = SAVE_IN(0), .flags = EVERYWHERE},
    {.name = "special_airy_ai", .params = ONE,
     .doc = "Airy's function Ai.\n\n"
            "Example:\n"
            "    >>> round(helix.special.airy_ai(helix.tensor(0.0, dtype=helix.float64)).item(), 3)\n"
            "    0.355\n",
     .shape = shape_one, .decompose = decompose_airy_ai, .flags = SHOWN | HX_NON_DIFF | HX_GRAD_ERROR},
    {.name = "special_bessel_j0", .params = ONE,
     .doc = "The Bessel function of the first kind of order 0.\n\n"
            "Example:\n"
            "    >>> helix.special.bessel_j0(helix.tensor(0.0)).item()\n"
            "    1.0\n",
     .shape = shape_one, .decompose = decompose_bessel_j0, .vjp = vjp_bessel_j0, .saves = SAVE_IN(0), .flags = SHOWN},
    {.name = "special_bessel_j1", .params = ONE,
     .doc = "The Bessel function of the first kind of order 1.\n\n"
            "Example:\n"
            "    >>> helix.special.bessel_j1(helix.tensor(0.0)).item()\n"
            "    0.0\n",
     .shape = shape_one, .decompose = decompose_bessel_j1,
     .vjp = vjp_bessel_j1, .saves = SAVE_IN(0) | SAVE_OUT(0), .flags = SHOWN},
    {.name = "special_bessel_y0", .params = ONE,
     .doc = "The Bessel function of the second kind of order 0: -inf at 0, NaN below.\n\n"
            "Example:\n"
            "    >>> round(helix.special.bessel_y0(helix.tensor(1.0, dtype=helix.float64)).item(), 3)\n"
            "    0.088\n",
     .shape = shape_one, .decompose = decompose_bessel_y0, .vjp = vjp_bessel_y0, .saves = SAVE_IN(0), .flags = SHOWN},
    {.name = "special_bessel_y1", .params = ONE,
     .doc = "The Bessel function of the second kind of order 1: -inf at 0, NaN below.\n\n"
            "Example:\n"
            "    >>> round(helix.special.bessel_y1(helix.tensor(1.0, dtype=helix.float64)).item(), 3)\n"
            "    -0.781\n",
     .shape = shape_one, .decompose = decompose_bessel_y1,
     .vjp = vjp_bessel_y1, .saves = SAVE_IN(0) | SAVE_OUT(0), .flags = SHOWN},
    {.name = "special_modified_bessel_i0", .params = ONE,
     .doc = "The modified Bessel function of the first kind of order 0.\n\n"
            "Example:\n"
            "    >>> helix.special.modified_bessel_i0(helix.tensor(0.0)).item()\n"
            "    1.0\n",
     .shape = shape_one, .decompose = decompose_modified_bessel_i0,
     .vjp = vjp_i0, .saves = SAVE_IN(0), .flags = SHOWN},
    {.name = "special_modified_bessel_i1", .params = ONE,
     .doc = "The modified Bessel function of the first kind of order 1.\n\n"
            "Example:\n"
            "    >>> helix.special.modified_bessel_i1(helix.tensor(0.0)).item()\n"
            "    0.0\n",
     .shape = shape_one, .decompose = decompose_modified_bessel_i1,
     .vjp = vjp_i1, .saves = SAVE_IN(0) | SAVE_OUT(0), .flags = SHOWN},
    {.name = "special_modified_bessel_k0", .params = ONE,
     .doc = "The modified Bessel function of the second kind of order 0: inf at 0, NaN below.\n\n"
            "Example:\n"
            "    >>> round(helix.special.modified_bessel_k0(helix.tensor(1.0, dtype=helix.float64)).item(), 3)\n"
            "    0.421\n",
     .shape = shape_one, .decompose = decompose_modified_bessel_k0,
     .vjp = vjp_modified_bessel_k0, .saves = SAVE_IN(0), .flags = SHOWN},
    {.name = "special_modified_bessel_k1", .params = ONE,
     .doc = "The modified Bessel function of the second kind of order 1: inf at 0, NaN below.\n\n"
            "Example:\n"
            "    >>> round(helix.special.modified_bessel_k1(helix.tensor(1.0, dtype=helix.float64)).item(), 3)\n"
            "    0.602\n",
     .shape = shape_one, .decompose = decompose_modified_bessel_k1,
     .vjp = vjp_modified_bessel_k1, .saves = SAVE_IN(0) | SAVE_OUT(0), .flags = SHOWN},
    {.name = "special_scaled_modified_bessel_k0", .params = ONE,
     .doc = "exp(input) times the modified Bessel function of the second kind of order 0.\n\n"
            "Example:\n"
            "    >>> round(helix.special.scaled_modified_bessel_k0(helix.tensor(1.0, "
            "dtype=helix.float64)).item(), 3)\n"
            "    1.144\n",
     .shape = shape_one, .decompose = decompose_scaled_modified_bessel_k0,
     .vjp = vjp_scaled_modified_bessel_k0, .saves = SAVE_IN(0) | SAVE_OUT(0), .flags = SHOWN},
    {.name = "special_scaled_modified_bessel_k1", .params = ONE,
     .doc = "exp(input) times the modified Bessel function of the second kind of order 1.\n\n"
            "Example:\n"
            "    >>> round(helix.special.scaled_modified_bessel_k1(helix.tensor(1.0, "
            "dtype=helix.float64)).item(), 3)\n"
            "    1.636\n",
     .shape = shape_one, .decompose = decompose_scaled_modified_bessel_k1,
     .vjp = vjp_scaled_modified_bessel_k1, .saves = SAVE_IN(0) | SAVE_OUT(0), .flags = SHOWN},
    {.name = "special_spherical_bessel_j0", .params = ONE,
     .doc = "The spherical Bessel function of the first kind of order 0: sin(input) / input, 1 at 0.\n\n"
            "Example:\n"
            "    >>> helix.special.spherical_bessel_j0(helix.tensor(0.0)).item()\n"
            "    1.0\n",
     .shape = shape_one, .decompose = decompose_spherical_bessel_j0,
     .vjp = vjp_spherical_bessel_j0, .saves = SAVE_IN(0) | SAVE_OUT(0), .flags = SHOWN},
    {.name = "special_i0e", .params = ONE,
     .doc = "exp(-|input|) times the modified Bessel function of the first kind of order 0.\n\n"
            "Example:\n"
            "    >>> helix.special.i0e(helix.tensor(0.0)).item()\n"
            "    1.0\n",
     .shape = shape_one, .decompose = decompose_i0e,
     .vjp = vjp_i0e, .saves = SAVE_IN(0) | SAVE_OUT(0), .flags = SHOWN},
    {.name = "special_i1", .params = ONE,
     .doc = "The modified Bessel function of the first kind of order 1.\n\n"
            "Example:\n"
            "    >>> helix.special.i1(helix.tensor(0.0)).item()\n"
            "    0.0\n",
     .shape = shape_one, .decompose = decompose_i1, .vjp = vjp_i1, .saves = SAVE_IN(0) | SAVE_OUT(0), .flags = SHOWN},
    {.name = "special_i1e", .params = ONE,
     .doc = "exp(-|input|) times the modified Bessel function of the first kind of order 1.\n\n"
            "Example:\n"
            "    >>> helix.special.i1e(helix.tensor(0.0)).item()\n"
            "    0.0\n",
     .shape = shape_one, .decompose = decompose_i1e,
     .vjp = vjp_i1e, .saves = SAVE_IN(0) | SAVE_OUT(0), .flags = SHOWN},
    {.name = "special_entr", .params = ONE,
     .doc = "The entropy's term -input * log(input): 0 at 0, -inf below.\n\n"
            "Example:\n"
            "    >>> helix.special.entr(helix.tensor(1.0)).item()\n"
            "    -0.0\n",
     .shape = shape_one, .decompose = decompose_entr, .vjp = vjp_entr, .saves = SAVE_IN(0), .flags = SHOWN},
    {.name = "special_erfcx", .params = ONE,
     .doc = "exp(input**2) * erfc(input), which does not underflow for large values.\n\n"
            "Example:\n"
            "    >>> helix.special.erfcx(helix.tensor(0.0)).item()\n"
            "    1.0\n",
     .shape = shape_one, .decompose = decompose_erfcx,
     .vjp = vjp_erfcx, .saves = SAVE_IN(0) | SAVE_OUT(0), .flags = SHOWN},
    {.name = "special_ndtr", .params = ONE,
     .doc = "The share of a normal distribution below input: its cumulative distribution function.\n\n"
            "Example:\n"
            "    >>> helix.special.ndtr(helix.tensor(0.0)).item()\n"
            "    0.5\n",
     .shape = shape_one, .decompose = decompose_ndtr, .vjp = vjp_ndtr, .saves = SAVE_IN(0), .flags = SHOWN},
    {.name = "special_log_ndtr", .params = ONE,
     .doc = "log(ndtr(input)), exact far below 0 too.\n\n"
            "Example:\n"
            "    >>> round(helix.special.log_ndtr(helix.tensor(0.0, dtype=helix.float64)).item(), 3)\n"
            "    -0.693\n",
     .shape = shape_one, .decompose = decompose_log_ndtr, .vjp = vjp_log_ndtr, .saves = SAVE_IN(0), .flags = SHOWN},
    {.name = "special_ndtri", .params = ONE,
     .doc = "The value that a share input of a normal distribution lies below: the inverse of ndtr. NaN outside "
            "of [0, 1].\n\n"
            "Example:\n"
            "    >>> helix.special.ndtri(helix.tensor(0.5)).item()\n"
            "    0.0\n",
     .shape = shape_one, .decompose = decompose_ndtri, .vjp = vjp_ndtri, .saves = SAVE_OUT(0), .flags = SHOWN},
    {.name = "special_xlog1py", .params = TWO,
     .doc = "input * log1p(other), and 0 where input is 0 and other is not NaN.\n\n"
            "Example:\n"
            "    >>> helix.special.xlog1py(helix.tensor([0.0, 2.0]), helix.tensor([-1.0, 0.0])).tolist()\n"
            "    [0.0, 0.0]\n",
     .shape = shape_two, .decompose = decompose_xlog1py,
     .vjp = vjp_xlog1py, .saves = SAVE_IN(0) | SAVE_IN(1), .flags = SHOWN},
    {.name = "special_zeta", .params = TWO,
     .doc = "Hurwitz' zeta function: the sum of (other + k)**-input over k = 0, 1, ...\n\n"
            "inf at input = 1 and where other is 0 or a negative whole number; NaN for input < 1, and for other "
            "< 0 where\n"
            "input is not whole. Differentiable in other.\n\n"
            "Example:\n"
            "    >>> round(helix.special.zeta(helix.tensor(2.0, dtype=helix.float64), 1).item(), 3)\n"
            "    1.645\n",
     .shape = shape_two, .decompose = decompose_zeta,
     .vjp = vjp_zeta, .saves = SAVE_IN(0) | SAVE_IN(1), .flags = SHOWN},
    {.name = "igamma", .params = TWO,
     .doc = "The regularized lower incomplete gamma function P(input, other), in helix.special gammainc.\n\n"
            "NaN where either is negative. Differentiable in other.\n\n"
            "Example:\n"
            "    >>> round(helix.igamma(helix.tensor(2.0, dtype=helix.float64), 1.0).item(), 3)\n"
            "    0.264\n",
     .shape = shape_two, .decompose = decompose_igamma, .vjp = vjp_igamma, .saves = SAVE_IN(0) | SAVE_IN(1),
     .flags = HX_PUBLIC | HX_INPLACE | HX_ALIAS_OK},
    {.name = "igammac", .params = TWO,
     .doc = "The regularized upper incomplete gamma function Q(input, other), in helix.special gammaincc.\n\n"
            "NaN where either is negative. Differentiable in other.\n\n"
            "Example:\n"
            "    >>> round(helix.igammac(helix.tensor(2.0, dtype=helix.float64), 1.0).item(), 3)\n"
            "    0.736\n",
     .shape = shape_two, .decompose = decompose_igammac, .vjp = vjp_igammac, .saves = SAVE_IN(0) | SAVE_IN(1),
     .flags = HX_PUBLIC | HX_INPLACE | HX_ALIAS_OK},
    {.name = "polygamma", .params = PARAMS(REQ_INT("n"), TENSOR("input")),
     .doc = "The n-th derivative of digamma.\n\n"
            "Fails with HX1403 for a negative n.\n\n"
            "Example:\n"
            "    >>> round(helix.polygamma(1, helix.tensor(1.0, dtype=helix.float64)).item(), 3)\n"
            "    1.645\n",
     .shape = shape_polygamma, .decompose = decompose_polygamma, .vjp = vjp_polygamma, .saves = SAVE_IN(0),
     .flags = HX_FUNCTION | HX_SPECIAL | HX_ALIAS_OK},
    {.name = "mvlgamma", .params = PARAMS(TENSOR("input"), REQ_INT("p")),
     .doc = "The logarithm of the multivariate gamma function of dimension p, in helix.special multigammaln.\n\n"
            "Fails with HX1403 unless p is at least 1.\n\n"
            "Example:\n"
            "    >>> round(helix.mvlgamma(helix.tensor(2.0, dtype=helix.float64), 2).item(), 3)\n"
            "    0.452\n",
     .shape = shape_mvlgamma, .decompose = decompose_mvlgamma, .flags = HX_PUBLIC | HX_INPLACE},
    {.name = "special_chebyshev_polynomial_t", .params = POLYNOMIAL,
     .doc = "The Chebyshev polynomial of the first kind T_n(input); 0 for n <= -1. " OF_DEGREE
            "Example:\n"
            "    >>> helix.special.chebyshev_polynomial_t(helix.tensor(2.0), 2).item()\n"
            "    7.0\n",
     .shape = shape_two, .decompose = decompose_chebyshev_polynomial_t, .flags = SHOWN | HX_NON_DIFF | HX_GRAD_ERROR},
    {.name = "special_chebyshev_polynomial_u", .params = POLYNOMIAL,
     .doc = "The Chebyshev polynomial of the second kind U_n(input); 0 for n <= -1. " OF_DEGREE
            "Example:\n"
            "    >>> helix.special.chebyshev_polynomial_u(helix.tensor(2.0), 2).item()\n"
            "    15.0\n",
     .shape = shape_two, .decompose = decompose_chebyshev_polynomial_u, .flags = SHOWN | HX_NON_DIFF | HX_GRAD_ERROR},
    {.name = "special_chebyshev_polynomial_v", .params = POLYNOMIAL,
     .doc = "The Chebyshev polynomial of the third kind V_n(input); 0 for n <= -1. " OF_DEGREE
            "Example:\n"
            "    >>> helix.special.chebyshev_polynomial_v(helix.tensor(2.0), 2).item()\n"
            "    11.0\n",
     .shape = shape_two, .decompose = decompose_chebyshev_polynomial_v, .flags = SHOWN | HX_NON_DIFF | HX_GRAD_ERROR},
    {.name = "special_chebyshev_polynomial_w", .params = POLYNOMIAL,
     .doc = "The Chebyshev polynomial of the fourth kind W_n(input); 0 for n <= -1. " OF_DEGREE
            "Example:\n"
            "    >>> helix.special.chebyshev_polynomial_w(helix.tensor(2.0), 2).item()\n"
            "    19.0\n",
     .shape = shape_two, .decompose = decompose_chebyshev_polynomial_w, .flags = SHOWN | HX_NON_DIFF | HX_GRAD_ERROR},
    {.name = "special_shifted_chebyshev_polynomial_t", .params = POLYNOMIAL,
     .doc = "The Chebyshev polynomial of the first kind on [0, 1]: T_n(2 * input - 1); 0 for n <= -1. " OF_DEGREE
            "Example:\n"
            "    >>> helix.special.shifted_chebyshev_polynomial_t(helix.tensor(1.5), 2).item()\n"
            "    7.0\n",
     .shape = shape_two, .decompose = decompose_shifted_chebyshev_polynomial_t,
     .flags = SHOWN | HX_NON_DIFF | HX_GRAD_ERROR},
    {.name = "special_shifted_chebyshev_polynomial_u", .params = POLYNOMIAL,
     .doc = "The Chebyshev polynomial of the second kind on [0, 1]: U_n(2 * input - 1); 0 for n <= -1. " OF_DEGREE
            "Example:\n"
            "    >>> helix.special.shifted_chebyshev_polynomial_u(helix.tensor(1.5), 2).item()\n"
            "    15.0\n",
     .shape = shape_two, .decompose = decompose_shifted_chebyshev_polynomial_u,
     .flags = SHOWN | HX_NON_DIFF | HX_GRAD_ERROR},
    {.name = "special_shifted_chebyshev_polynomial_v", .params = POLYNOMIAL,
     .doc = "The Chebyshev polynomial of the third kind on [0, 1]: V_n(2 * input - 1); 0 for n <= -1. " OF_DEGREE
            "Example:\n"
            "    >>> helix.special.shifted_chebyshev_polynomial_v(helix.tensor(1.5), 2).item()\n"
            "    11.0\n",
     .shape = shape_two, .decompose = decompose_shifted_chebyshev_polynomial_v,
     .flags = SHOWN | HX_NON_DIFF | HX_GRAD_ERROR},
    {.name = "special_shifted_chebyshev_polynomial_w", .params = POLYNOMIAL,
     .doc = "The Chebyshev polynomial of the fourth kind on [0, 1]: W_n(2 * input - 1); 0 for n <= -1. " OF_DEGREE
            "Example:\n"
            "    >>> helix.special.shifted_chebyshev_polynomial_w(helix.tensor(1.5), 2).item()\n"
            "    19.0\n",
     .shape = shape_two, .decompose = decompose_shifted_chebyshev_polynomial_w,
     .flags = SHOWN | HX_NON_DIFF | HX_GRAD_ERROR},
    {.name = "special_hermite_polynomial_h", .params = POLYNOMIAL,
     .doc = "The physicist's Hermite polynomial H_n(input); 0 for n <= -1, NaN for n > 512. " OF_DEGREE
            "Example:\n"
            "    >>> helix.special.hermite_polynomial_h(helix.tensor(2.0), 2).item()\n"
            "    14.0\n",
     .shape = shape_two, .decompose = decompose_hermite_polynomial_h, .flags = SHOWN | HX_NON_DIFF | HX_GRAD_ERROR},
    {.name = "special_hermite_polynomial_he", .params = POLYNOMIAL,
     .doc = "The probabilist's Hermite polynomial He_n(input); 0 for n <= -1, NaN for n > 512. " OF_DEGREE
            "Example:\n"
            "    >>> helix.special.hermite_polynomial_he(helix.tensor(2.0), 2).item()\n"
            "    3.0\n",
     .shape = shape_two, .decompose = decompose_hermite_polynomial_he, .flags = SHOWN | HX_NON_DIFF | HX_GRAD_ERROR},
    {.name = "special_laguerre_polynomial_l", .params = POLYNOMIAL,
     .doc = "The Laguerre polynomial L_n(input); 0 for n <= -1, NaN for n > 65536. " OF_DEGREE
            "Example:\n"
            "    >>> helix.special.laguerre_polynomial_l(helix.tensor(2.0), 2).item()\n"
            "    -1.0\n",
     .shape = shape_two, .decompose = decompose_laguerre_polynomial_l, .flags = SHOWN | HX_NON_DIFF | HX_GRAD_ERROR},
    {.name = "special_legendre_polynomial_p", .params = POLYNOMIAL,
     .doc = "The Legendre polynomial P_n(input); 0 for n <= -1, NaN for n > 65536. " OF_DEGREE
            "Example:\n"
            "    >>> helix.special.legendre_polynomial_p(helix.tensor(2.0), 2).item()\n"
            "    5.5\n",
     .shape = shape_two, .decompose = decompose_legendre_polynomial_p, .flags = SHOWN | HX_NON_DIFF | HX_GRAD_ERROR},
    {0}};
