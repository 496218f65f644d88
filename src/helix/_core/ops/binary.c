/* Elementwise ops of two tensors: arithmetic, powers, choices, comparisons, logic, bits. */
#include <math.h>
#include "rules.h"

/* ---- shape rules ---- */

static hx_status not_bool(const hx_call *c, const char *advice) {
    if (c->compute != HX_BOOL) return HX_OK;
    return hx_fail_about(FACTS(.got = "bool"), HX_E_DTYPE, HX1101_DTYPE,
                         "is not defined for two bool tensors (%s and %s). %s",
                         hx_shape_text(c->in[0]->shape, c->in[0]->ndim),
                         hx_shape_text(c->in[1]->shape, c->in[1]->ndim), advice);
}

static bool is_int64(double x) { return x >= -0x1p63 && x < 0x1p63 && x == (double)(int64_t)x; }

static hx_status check_alpha(hx_call *c) {
    const hx_attr *alpha = &c->attr[0];
    if (alpha->kind == HX_A_FLOAT && hx_is_integral((hx_dtype)c->compute) && !is_int64(alpha->v.f))
        return hx_fail_about(FACTS("alpha", "a whole number", hx_text("%g", alpha->v.f)), HX_E_DTYPE, HX1101_DTYPE,
                             "alpha is %g, but the result is of dtype %s; give a whole alpha or float tensors",
                       alpha->v.f, hx_dtype_name((hx_dtype)c->compute));
    if (alpha->kind == HX_A_COMPLEX && !hx_is_complex((hx_dtype)c->compute))
        return hx_fail(HX_E_DTYPE, HX1101_DTYPE, "alpha is complex, but the result is of dtype %s; give complex tensors",
                       hx_dtype_name((hx_dtype)c->compute));
    return HX_OK;
}
static hx_status shape_add(hx_call *c) {
    HX_TRY(hx_shape_broadcast(c));
    return check_alpha(c);
}
static hx_status shape_sub(hx_call *c) {
    HX_TRY(hx_shape_broadcast(c));
    HX_TRY(not_bool(c, "Use logical_xor or ~, or convert one to an integer dtype."));
    return check_alpha(c);
}

static hx_status real_only(hx_call *c) {
    if (!hx_is_complex((hx_dtype)c->compute)) return HX_OK;
    return hx_fail_about(FACTS(
                               .got = hx_dtype_name((hx_dtype)(hx_is_complex((hx_dtype)c->in[0]->dtype) ? c->in[0] : c->in[1])->dtype)),
                         HX_E_DTYPE, HX1101_DTYPE,
                         "is not defined for complex tensors, got %s and %s; take .real or .abs() first",
                         hx_dtype_name((hx_dtype)c->in[0]->dtype), hx_dtype_name((hx_dtype)c->in[1]->dtype));
}
static hx_status shape_real(hx_call *c) {
    HX_TRY(hx_shape_broadcast(c));
    return real_only(c);
}
static hx_status shape_whole(hx_call *c) {
    HX_TRY(shape_real(c));
    return not_bool(c, "Convert one to an integer dtype.");
}
static hx_status shape_div(hx_call *c) {
    if (hx_str_is(&c->attr[0], "none")) return hx_shape_broadcast_float(c);
    return shape_whole(c);
}
static hx_status shape_real_float(hx_call *c) {
    HX_TRY(hx_shape_broadcast_float(c));
    return real_only(c);
}
static hx_status shape_pow(hx_call *c) {
    HX_TRY(hx_shape_broadcast(c));
    return not_bool(c, "Convert one to an integer dtype.");
}
static hx_status shape_order(hx_call *c) {
    HX_TRY(hx_shape_compare(c));
    return real_only(c);
}

static hx_status require_integers(hx_call *c, bool with_bool) {
    HX_TRY(hx_shape_broadcast(c));
    if (hx_is_integral((hx_dtype)c->compute) && (with_bool || c->compute != HX_BOOL)) return HX_OK;
    return hx_fail_about(FACTS(.expected = with_bool ? "integer or bool" : "integer", .got = hx_dtype_name((hx_dtype)c->compute)),
                         HX_E_DTYPE, HX1101_DTYPE, "takes integer%s tensors, got %s and %s", with_bool ? " or bool" : "",
                   hx_dtype_name((hx_dtype)c->in[0]->dtype), hx_dtype_name((hx_dtype)c->in[1]->dtype));
}
static hx_status shape_bits(hx_call *c) { return require_integers(c, true); }
static hx_status shape_integers(hx_call *c) { return require_integers(c, false); }

/* ---- gradients ---- */

static bool is_one(const hx_attr *a) { return a->kind != HX_A_COMPLEX && hx_number_as_float(a) == 1; }

/* g * conj(alpha) */
static hx_tensor *times_alpha(hx_tensor *g, const hx_attr *alpha) {
    if (is_one(alpha)) return g;
    if (alpha->kind != HX_A_COMPLEX) return CALL(mul, g, hx_number_as_float(alpha));
    hx_tensor *factor = NULL;
    if (hx_tensor_from_complex(alpha->v.c[0], -alpha->v.c[1], &factor)) return NULL;
    return CALL(mul, g, hx_scope_own(factor));
}

static hx_status vjp_add(hx_vjp *v) {
    GIN(0, G);
    GIN(1, times_alpha(G, ATTR(0)));
    return HX_OK;
}
static hx_status vjp_sub(hx_vjp *v) {
    GIN(0, G);
    GIN(1, CALL(neg, times_alpha(G, ATTR(0))));
    return HX_OK;
}
static hx_status vjp_mul(hx_vjp *v) {
    GIN(0, CALL(mul, G, cj(IN(1))));
    GIN(1, CALL(mul, G, cj(IN(0))));
    return HX_OK;
}
static hx_tensor *zeros_of(hx_vjp *v, int i) { return hx_full_like_spec(&v->in_spec[i], 0, NULL); }

static hx_status vjp_div(hx_vjp *v) {
    bool exact = hx_str_is(ATTR(0), "none");
    GIN(0, exact ? CALL(div, G, cj(IN(1))) : zeros_of(v, 0));
    GIN(1, exact ? CALL(neg, CALL(mul, G, cj(CALL(div, CALL(div, IN(0), IN(1)), IN(1))))) : zeros_of(v, 1));
    return HX_OK;
}
static hx_status vjp_remainder(hx_vjp *v) {
    GIN(0, G);
    GIN(1, CALL(neg, CALL(mul, G, CALL(div, IN(0), IN(1), "floor"))));
    return HX_OK;
}
static hx_status vjp_fmod(hx_vjp *v) {
    GIN(0, G);
    GIN(1, CALL(neg, CALL(mul, G, CALL(div, IN(0), IN(1), "trunc"))));
    return HX_OK;
}

/* The derivative by the base is exponent * base**(exponent - 1), and 0 where the exponent is. */
static hx_tensor *pow_slope(hx_vjp *v) {
    hx_tensor *base = IN(0), *exponent = IN(1);
    hx_scalar e;
    if (exponent->flags & HX_T_NUMBER && exponent->data && !hx_tensor_item(exponent, &e) && e.kind == HX_KIND_FLOAT) {
        if (e.v.f == 0) return zeros_of(v, 0);
        if (e.v.f == 1) return G;
        hx_tensor *rest = e.v.f == 2 ? base : CALL(pow, base, e.v.f - 1);
        return CALL(mul, G, CALL(mul, cj(rest), e.v.f));
    }
    hx_tensor *slope = CALL(mul, exponent, CALL(pow, base, CALL(sub, exponent, 1)));
    return CALL(mul, G, cj(CALL(where, CALL(eq, exponent, 0), 0, slope)));
}
static hx_status vjp_pow(hx_vjp *v) {
    GIN(0, pow_slope(v));
    if (!v->need[1]) return HX_OK;
    hx_tensor *slope = CALL(mul, OUT(0), CALL(log, IN(0)));
    if (!hx_is_complex((hx_dtype)v->out_spec[0].dtype)) {
        hx_tensor *flat = CALL(logical_and, CALL(eq, IN(0), 0), CALL(ge, IN(1), 0));
        slope = CALL(where, flat, 0, slope);
    }
    GIN(1, CALL(mul, G, cj(slope)));
    return HX_OK;
}
static hx_status vjp_atan2(hx_vjp *v) {
    hx_tensor *scale = CALL(div, G, CALL(add, CALL(square, IN(0)), CALL(square, IN(1))));
    GIN(0, CALL(mul, scale, IN(1)));
    GIN(1, CALL(neg, CALL(mul, scale, IN(0))));
    return HX_OK;
}
static hx_status vjp_hypot(hx_vjp *v) {
    hx_tensor *scale = CALL(div, G, OUT(0));
    GIN(0, CALL(mul, scale, IN(0)));
    GIN(1, CALL(mul, scale, IN(1)));
    return HX_OK;
}
static hx_status vjp_copysign(hx_vjp *v) {
    hx_tensor *slope = CALL(mul, CALL(sign, IN(0)), CALL(copysign, CALL(ones_like, G), IN(1)));
    GIN(0, CALL(mul, G, slope));
    GIN(1, zeros_of(v, 1));
    return HX_OK;
}
static hx_status vjp_log_sum(hx_vjp *v, double base) {
    hx_tensor *difference = CALL(sub, IN(0), IN(1));
    if (base != 1) difference = CALL(mul, difference, base);
    GIN(0, CALL(mul, G, cj(CALL(sigmoid, difference))));
    GIN(1, CALL(mul, G, cj(CALL(sigmoid, CALL(neg, difference)))));
    return HX_OK;
}
static hx_status vjp_logaddexp(hx_vjp *v) { return vjp_log_sum(v, 1); }
static hx_status vjp_logaddexp2(hx_vjp *v) { return vjp_log_sum(v, 0.69314718055994530942); }
static hx_status vjp_xlogy(hx_vjp *v) {
    hx_tensor *outside = CALL(logical_and, CALL(eq, IN(0), 0), CALL(le, IN(1), 0));
    GIN(0, CALL(mul, G, CALL(where, outside, 0, CALL(log, IN(1)))));
    GIN(1, CALL(div, CALL(mul, G, IN(0)), IN(1)));
    return HX_OK;
}

/* Where both are equal each gets half. */
static hx_status vjp_choice(hx_vjp *v, bool larger) {
    hx_tensor *half = CALL(mul, G, 0.5), *tie = CALL(eq, IN(0), IN(1));
    hx_tensor *first = larger ? CALL(gt, IN(0), IN(1)) : CALL(lt, IN(0), IN(1));
    hx_tensor *second = larger ? CALL(lt, IN(0), IN(1)) : CALL(gt, IN(0), IN(1));
    GIN(0, CALL(where, tie, half, CALL(where, first, G, 0)));
    GIN(1, CALL(where, tie, half, CALL(where, second, G, 0)));
    return HX_OK;
}
static hx_status vjp_maximum(hx_vjp *v) { return vjp_choice(v, true); }
static hx_status vjp_minimum(hx_vjp *v) { return vjp_choice(v, false); }

static hx_status vjp_number_choice(hx_vjp *v, bool larger) {
    hx_tensor *first = larger ? CALL(ge, IN(0), IN(1)) : CALL(le, IN(0), IN(1));
    first = CALL(logical_or, first, CALL(isnan, IN(1)));
    GIN(0, CALL(where, first, G, 0));
    GIN(1, CALL(where, first, 0, G));
    return HX_OK;
}
static hx_status vjp_fmax(hx_vjp *v) { return vjp_number_choice(v, true); }
static hx_status vjp_fmin(hx_vjp *v) { return vjp_number_choice(v, false); }

/* ---- decompositions, for devices without a kernel of the op ---- */

#define A (c->in[0])
#define B (c->in[1])
#define DECOMPOSE(name, expr)                                                                                 \
    static hx_status decompose_##name(hx_call *c) {                                                           \
        RESULT(0, expr);                                                                                      \
        return HX_OK;                                                                                         \
    }
static hx_status decompose_sub(hx_call *c) {
    hx_attr minus = c->attr[0];
    if (minus.kind == HX_A_FLOAT) minus.v.f = -minus.v.f;
    else if (minus.kind == HX_A_COMPLEX) minus = (hx_attr){.kind = HX_A_COMPLEX, .v.c = {-minus.v.c[0], -minus.v.c[1]}};
    else minus = (hx_attr){.kind = HX_A_INT, .v.i = -minus.v.i};
    RESULT(0, CALL(add, A, B, (const hx_attr *)&minus));
    return HX_OK;
}
DECOMPOSE(floor_divide, CALL(div, A, B, "floor"))
DECOMPOSE(remainder, CALL(sub, A, CALL(mul, CALL(div, A, B, "floor"), B)))
DECOMPOSE(fmod, CALL(sub, A, CALL(mul, CALL(div, A, B, "trunc"), B)))
/* The larger of both taken out of the root. */
static hx_status decompose_hypot(hx_call *c) {
    hx_tensor *x = CALL(abs, A), *y = CALL(abs, B), *top = CALL(maximum, x, y), *low = CALL(minimum, x, y);
    hx_tensor *ratio = CALL(where, CALL(eq, top, low), CALL(ne, top, 0), CALL(div, low, top));
    RESULT(0, CALL(mul, top, CALL(sqrt, CALL(add, CALL(square, ratio), 1))));
    return HX_OK;
}
static hx_tensor *log_of_sum(hx_tensor *x, hx_tensor *y) {
    hx_tensor *tail = CALL(log1p, CALL(exp, CALL(neg, CALL(abs, CALL(sub, x, y)))));
    return CALL(add, CALL(maximum, x, y), CALL(where, CALL(eq, x, y), 0.69314718055994530942, tail));
}
/* The one of larger real part taken out of the logarithm. */
static hx_tensor *complex_log_of_sum(hx_tensor *x, hx_tensor *y) {
    hx_tensor *swap = CALL(lt, CALL(real, x), CALL(real, y));
    hx_tensor *large = CALL(where, swap, y, x), *small = CALL(where, swap, x, y);
    hx_tensor *sum = CALL(add, large, CALL(log1p, CALL(exp, CALL(sub, small, large))));
    return CALL(where, CALL(eq, CALL(real, large), -INFINITY), large, sum);
}
static hx_status decompose_logaddexp(hx_call *c) {
    bool complex = hx_is_complex((hx_dtype)c->spec[0].dtype);
    hx_dtype dtype = (hx_dtype)c->spec[0].dtype;
    RESULT(0, complex ? complex_log_of_sum(CALL(cast, A, (int)dtype), CALL(cast, B, (int)dtype)) : log_of_sum(A, B));
    return HX_OK;
}
DECOMPOSE(logaddexp2, CALL(div, log_of_sum(CALL(mul, A, 0.69314718055994530942), CALL(mul, B, 0.69314718055994530942)),
                           0.69314718055994530942))
DECOMPOSE(copysign, CALL(mul, CALL(abs, A), CALL(where, CALL(signbit, B), -1, 1)))
DECOMPOSE(xlogy, CALL(where, CALL(isnan, B), B, CALL(where, CALL(eq, A, 0), 0, CALL(mul, A, CALL(log, B)))))
DECOMPOSE(maximum, CALL(where, CALL(logical_or, CALL(lt, B, A), CALL(isnan, A)), A, B))
DECOMPOSE(minimum, CALL(where, CALL(logical_or, CALL(lt, A, B), CALL(isnan, A)), A, B))
DECOMPOSE(fmax, CALL(where, CALL(logical_or, CALL(lt, B, A), CALL(isnan, B)), A, B))
DECOMPOSE(fmin, CALL(where, CALL(logical_or, CALL(lt, A, B), CALL(isnan, B)), A, B))
DECOMPOSE(heaviside, CALL(where, CALL(eq, A, 0), B, CALL(where, CALL(isnan, A), A, CALL(cast, CALL(lt, 0, A), A->dtype))))
DECOMPOSE(ne, CALL(logical_not, CALL(eq, A, B)))
DECOMPOSE(le, CALL(logical_or, CALL(lt, A, B), CALL(eq, A, B)))
DECOMPOSE(gt, CALL(lt, B, A))
DECOMPOSE(ge, CALL(logical_or, CALL(lt, B, A), CALL(eq, A, B)))
static hx_tensor *truth(hx_tensor *t) { return t->dtype == HX_BOOL ? t : CALL(logical_not, CALL(eq, t, 0)); }
DECOMPOSE(logical_and, CALL(bitwise_and, truth(A), truth(B)))
DECOMPOSE(logical_or, CALL(bitwise_or, truth(A), truth(B)))
DECOMPOSE(logical_xor, CALL(bitwise_xor, truth(A), truth(B)))
DECOMPOSE(lcm, CALL(mul, CALL(div, CALL(abs, A), CALL(maximum, CALL(gcd, A, B), 1), "floor"), CALL(abs, B)))

/* ---- composites ---- */

static hx_status decompose_float_power(hx_call *c) {
    bool complex = (c->in[0] && hx_is_complex((hx_dtype)c->in[0]->dtype)) || hx_is_complex((hx_dtype)c->in[1]->dtype);
    hx_dtype wide = complex ? HX_C128 : HX_F64;
    RESULT(0, CALL(pow, CALL(cast, c->in[0], (int)wide), CALL(cast, c->in[1], (int)wide)));
    return HX_OK;
}
static hx_status decompose_ldexp(hx_call *c) {
    hx_tensor *x = c->in[0], *made = CALL(mul, x, CALL(exp2, c->in[1]));
    bool keeps = hx_is_differentiable((hx_dtype)x->dtype) && !(x->flags & HX_T_NUMBER) && hx_is_integral((hx_dtype)c->in[1]->dtype);
    RESULT(0, keeps ? CALL(cast, made, (int)x->dtype) : made);
    return HX_OK;
}

/* ---- records ---- */

#define TWO PARAMS(TENSOR("input"), TENSOR("other"))
#define COMPOSED (HX_ELEMENTWISE & ~HX_PRIMITIVE)
#define NO_GRADIENT (HX_PRIMITIVE | HX_NON_DIFF | HX_INPLACE | HX_PUBLIC)
#define COMPOSED_NO_GRADIENT (NO_GRADIENT & ~HX_PRIMITIVE)
#define STRETCH "Shapes are stretched to one another, dtypes promoted; a Python number may stand for either tensor.\n"

const hx_op hx_ops_binary[] = {
    {.name = "add",
     .params = PARAMS(TENSOR("input"), TENSOR("other"), NUMBER("alpha", 1, KW)),
     .doc = "input + alpha * other.\n\n" STRETCH
            "Raises ShapeError (HX1003) when the shapes do not fit.\n\n"
            "Example:\n"
            "    >>> helix.add(helix.tensor([1, 2]), 3).tolist()\n"
            "    [4, 5]\n",
     .shape = shape_add, .vjp = vjp_add, .flags = HX_ELEMENTWISE},
    {.name = "sub",
     .params = PARAMS(TENSOR("input"), TENSOR("other"), NUMBER("alpha", 1, KW)),
     .doc = "input - alpha * other.\n\n" STRETCH
            "Raises DTypeError (HX1101) for two bool tensors.\n\n"
            "Example:\n"
            "    >>> helix.sub(helix.tensor([1, 2]), 3).tolist()\n"
            "    [-2, -1]\n",
     .aliases = "subtract", .shape = shape_sub, .decompose = decompose_sub, .vjp = vjp_sub, .flags = COMPOSED},
    {.name = "mul", .params = TWO,
     .doc = "input * other.\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.mul(helix.tensor([1, 2]), 1.5).tolist()\n"
            "    [1.5, 3.0]\n",
     .aliases = "multiply", .shape = hx_shape_broadcast, .vjp = vjp_mul, .saves = SAVE_IN(0) | SAVE_IN(1),
     .flags = HX_ELEMENTWISE},
    {.name = "div",
     .params = PARAMS(TENSOR("input"), TENSOR("other"), STRING("rounding_mode", "none", "none|floor|trunc", KW)),
     .doc = "input / other, rounded down with rounding_mode='floor' or towards zero with 'trunc'.\n\n" STRETCH
            "Without rounding, integers give the default float. With it, integers stay integers, and dividing one by zero\n"
            "raises ValueError (HX1403).\n\n"
            "Example:\n"
            "    >>> helix.div(helix.tensor([-7, 7]), 2).tolist()\n"
            "    [-3.5, 3.5]\n"
            "    >>> helix.div(helix.tensor([-7, 7]), 2, rounding_mode='floor').tolist()\n"
            "    [-4, 3]\n",
     .aliases = "divide, true_divide", .shape = shape_div, .vjp = vjp_div, .saves = SAVE_IN(0) | SAVE_IN(1),
     .flags = HX_ELEMENTWISE},
    {.name = "floor_divide", .params = TWO,
     .doc = "input / other, rounded down.\n\n" STRETCH
            "Raises ValueError (HX1403) when an integer is divided by zero.\n\n"
            "Example:\n"
            "    >>> helix.floor_divide(helix.tensor([-7, 7]), 2).tolist()\n"
            "    [-4, 3]\n",
     .shape = shape_whole, .decompose = decompose_floor_divide, .flags = COMPOSED | HX_NON_DIFF},
    {.name = "remainder", .params = TWO,
     .doc = "input - other * floor(input / other): the rest has the sign of other.\n\n" STRETCH
            "Raises ValueError (HX1403) when an integer is divided by zero.\n\n"
            "Example:\n"
            "    >>> helix.remainder(helix.tensor([-7, 7]), 3).tolist()\n"
            "    [2, 1]\n",
     .shape = shape_whole, .decompose = decompose_remainder, .vjp = vjp_remainder, .saves = SAVE_IN(0) | SAVE_IN(1), .flags = COMPOSED},
    {.name = "fmod", .params = TWO,
     .doc = "input - other * trunc(input / other): the rest has the sign of input.\n\n" STRETCH
            "Raises ValueError (HX1403) when an integer is divided by zero.\n\n"
            "Example:\n"
            "    >>> helix.fmod(helix.tensor([-7, 7]), 3).tolist()\n"
            "    [-1, 1]\n",
     .shape = shape_whole, .decompose = decompose_fmod, .vjp = vjp_fmod, .saves = SAVE_IN(0) | SAVE_IN(1), .flags = COMPOSED},
    {.name = "pow",
     .params = PARAMS(TENSOR("input"), TENSOR("exponent")),
     .doc = "input raised to the power of exponent.\n\n" STRETCH
            "Integers wrap; a negative exponent of an integer gives 0, except for the bases 1 and -1.\n\n"
            "Example:\n"
            "    >>> helix.pow(helix.tensor([2.0, 3.0]), 2).tolist()\n"
            "    [4.0, 9.0]\n",
     .shape = shape_pow, .vjp = vjp_pow, .saves = SAVE_IN(0) | SAVE_IN(1) | SAVE_OUT(0), .flags = HX_ELEMENTWISE},
    {.name = "float_power",
     .params = PARAMS(TENSOR("input"), TENSOR("exponent")),
     .doc = "input raised to the power of exponent, computed in float64 (or complex128).\n\n"
            "Example:\n"
            "    >>> helix.float_power(helix.tensor([2, 4]), -1).tolist()\n"
            "    [0.5, 0.25]\n",
     .decompose = decompose_float_power, .flags = HX_PUBLIC | HX_INPLACE},
    {.name = "ldexp", .params = TWO,
     .doc = "input * 2**other.\n\n"
            "Example:\n"
            "    >>> helix.ldexp(helix.tensor([1.0]), helix.tensor([3])).tolist()\n"
            "    [8.0]\n",
     .decompose = decompose_ldexp, .flags = HX_PUBLIC | HX_INPLACE},
    {.name = "atan2", .params = TWO,
     .doc = "The angle in (-pi, pi] of the point with ordinate input and abscissa other.\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.atan2(helix.tensor([0.0]), helix.tensor([1.0])).tolist()\n"
            "    [0.0]\n",
     .aliases = "arctan2", .shape = shape_real_float, .vjp = vjp_atan2, .saves = SAVE_IN(0) | SAVE_IN(1),
     .flags = HX_ELEMENTWISE},
    {.name = "hypot", .params = TWO,
     .doc = "sqrt(input**2 + other**2) without overflow on the way.\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.hypot(helix.tensor([3.0]), 4.0).tolist()\n"
            "    [5.0]\n",
     .shape = shape_real_float, .decompose = decompose_hypot, .vjp = vjp_hypot,
     .saves = SAVE_IN(0) | SAVE_IN(1) | SAVE_OUT(0), .flags = COMPOSED},
    {.name = "copysign", .params = TWO,
     .doc = "The magnitude of input with the sign of other.\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.copysign(helix.tensor([1.0, -2.0]), -0.0).tolist()\n"
            "    [-1.0, -2.0]\n",
     .shape = shape_real_float, .decompose = decompose_copysign, .vjp = vjp_copysign, .saves = SAVE_IN(0) | SAVE_IN(1), .flags = COMPOSED},
    {.name = "nextafter", .params = TWO,
     .doc = "The next float after input in the direction of other (float32 and float64).\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.nextafter(helix.tensor([0.0], dtype=helix.float64), 1.0).tolist()\n"
            "    [5e-324]\n",
     .shape = shape_real_float, .flags = HX_ELEMENTWISE | HX_NON_DIFF | HX_GRAD_ERROR},
    {.name = "logaddexp", .params = TWO,
     .doc = "log(exp(input) + exp(other)) without overflow on the way.\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.logaddexp(helix.tensor([-helix.inf]), 1.0).tolist()\n"
            "    [1.0]\n",
     .shape = hx_shape_broadcast_float, .decompose = decompose_logaddexp, .vjp = vjp_logaddexp,
     .saves = SAVE_IN(0) | SAVE_IN(1), .flags = COMPOSED},
    {.name = "logaddexp2", .params = TWO,
     .doc = "log2(2**input + 2**other) without overflow on the way.\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.logaddexp2(helix.tensor([3.0]), 3.0).tolist()\n"
            "    [4.0]\n",
     .shape = shape_real_float, .decompose = decompose_logaddexp2, .vjp = vjp_logaddexp2,
     .saves = SAVE_IN(0) | SAVE_IN(1), .flags = COMPOSED},
    {.name = "xlogy", .params = TWO,
     .doc = "input * log(other), and 0 where input is 0.\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.xlogy(helix.tensor([0.0, 2.0]), helix.tensor([0.0, 1.0])).tolist()\n"
            "    [0.0, 0.0]\n",
     .shape = shape_real_float, .decompose = decompose_xlogy, .vjp = vjp_xlogy, .saves = SAVE_IN(0) | SAVE_IN(1), .flags = COMPOSED},
    {.name = "maximum", .params = TWO,
     .doc = "The larger of both; NaN where either is NaN.\n\n" STRETCH
            "Equal values share the gradient in halves.\n\n"
            "Example:\n"
            "    >>> helix.maximum(helix.tensor([1, 5]), 3).tolist()\n"
            "    [3, 5]\n",
     .shape = shape_real, .decompose = decompose_maximum, .vjp = vjp_maximum, .saves = SAVE_IN(0) | SAVE_IN(1), .flags = COMPOSED},
    {.name = "minimum", .params = TWO,
     .doc = "The smaller of both; NaN where either is NaN.\n\n" STRETCH
            "Equal values share the gradient in halves.\n\n"
            "Example:\n"
            "    >>> helix.minimum(helix.tensor([1, 5]), 3).tolist()\n"
            "    [1, 3]\n",
     .shape = shape_real, .decompose = decompose_minimum, .vjp = vjp_minimum, .saves = SAVE_IN(0) | SAVE_IN(1), .flags = COMPOSED},
    {.name = "fmax", .params = TWO,
     .doc = "The larger of both, or the one that is not NaN.\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.fmax(helix.tensor([helix.nan, 5.0]), 3.0).tolist()\n"
            "    [3.0, 5.0]\n",
     .shape = shape_real, .decompose = decompose_fmax, .vjp = vjp_fmax, .saves = SAVE_IN(0) | SAVE_IN(1), .flags = COMPOSED},
    {.name = "fmin", .params = TWO,
     .doc = "The smaller of both, or the one that is not NaN.\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.fmin(helix.tensor([helix.nan, 5.0]), 3.0).tolist()\n"
            "    [3.0, 3.0]\n",
     .shape = shape_real, .decompose = decompose_fmin, .vjp = vjp_fmin, .saves = SAVE_IN(0) | SAVE_IN(1), .flags = COMPOSED},
    {.name = "heaviside",
     .params = PARAMS(TENSOR("input"), TENSOR("values")),
     .doc = "0 below zero, 1 above, and values at zero.\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.heaviside(helix.tensor([-1.0, 0.0, 2.0]), 0.5).tolist()\n"
            "    [0.0, 0.5, 1.0]\n",
     .shape = shape_real, .decompose = decompose_heaviside, .flags = COMPOSED | HX_NON_DIFF | HX_GRAD_ERROR},
    {.name = "eq", .params = TWO,
     .doc = "True where both are equal.\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.eq(helix.tensor([1, 2]), 2).tolist()\n"
            "    [False, True]\n",
     .shape = hx_shape_compare, .flags = NO_GRADIENT},
    {.name = "ne", .params = TWO,
     .doc = "True where the two differ.\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.ne(helix.tensor([1, 2]), 2).tolist()\n"
            "    [True, False]\n",
     .aliases = "not_equal", .shape = hx_shape_compare, .decompose = decompose_ne, .flags = COMPOSED_NO_GRADIENT},
    {.name = "lt", .params = TWO,
     .doc = "True where input < other.\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.lt(helix.tensor([1, 2]), 2).tolist()\n"
            "    [True, False]\n",
     .aliases = "less", .shape = shape_order, .flags = NO_GRADIENT},
    {.name = "le", .params = TWO,
     .doc = "True where input <= other.\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.le(helix.tensor([1, 3]), 2).tolist()\n"
            "    [True, False]\n",
     .aliases = "less_equal", .shape = shape_order, .decompose = decompose_le, .flags = COMPOSED_NO_GRADIENT},
    {.name = "gt", .params = TWO,
     .doc = "True where input > other.\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.gt(helix.tensor([1, 3]), 2).tolist()\n"
            "    [False, True]\n",
     .aliases = "greater", .shape = shape_order, .decompose = decompose_gt, .flags = COMPOSED_NO_GRADIENT},
    {.name = "ge", .params = TWO,
     .doc = "True where input >= other.\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.ge(helix.tensor([1, 2]), 2).tolist()\n"
            "    [False, True]\n",
     .aliases = "greater_equal", .shape = shape_order, .decompose = decompose_ge, .flags = COMPOSED_NO_GRADIENT},
    {.name = "logical_and", .params = TWO,
     .doc = "True where both are not zero.\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.logical_and(helix.tensor([0, 2]), 1).tolist()\n"
            "    [False, True]\n",
     .shape = hx_shape_compare, .decompose = decompose_logical_and, .flags = COMPOSED_NO_GRADIENT},
    {.name = "logical_or", .params = TWO,
     .doc = "True where one or both are not zero.\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.logical_or(helix.tensor([0, 2]), 0).tolist()\n"
            "    [False, True]\n",
     .shape = hx_shape_compare, .decompose = decompose_logical_or, .flags = COMPOSED_NO_GRADIENT},
    {.name = "logical_xor", .params = TWO,
     .doc = "True where exactly one is not zero.\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.logical_xor(helix.tensor([0, 2]), 1).tolist()\n"
            "    [True, False]\n",
     .shape = hx_shape_compare, .decompose = decompose_logical_xor, .flags = COMPOSED_NO_GRADIENT},
    {.name = "bitwise_and", .params = TWO,
     .doc = "The bits set in both (integers and bool).\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.bitwise_and(helix.tensor([6, 5]), 3).tolist()\n"
            "    [2, 1]\n",
     .shape = shape_bits, .flags = NO_GRADIENT | HX_ALIAS_OK},
    {.name = "bitwise_or", .params = TWO,
     .doc = "The bits set in one or both (integers and bool).\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.bitwise_or(helix.tensor([6, 5]), 3).tolist()\n"
            "    [7, 7]\n",
     .shape = shape_bits, .flags = NO_GRADIENT | HX_ALIAS_OK},
    {.name = "bitwise_xor", .params = TWO,
     .doc = "The bits set in exactly one (integers and bool).\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.bitwise_xor(helix.tensor([6, 5]), 3).tolist()\n"
            "    [5, 6]\n",
     .shape = shape_bits, .flags = NO_GRADIENT | HX_ALIAS_OK},
    {.name = "bitwise_left_shift", .params = TWO,
     .doc = "Bits moved up by other places; 0 when other is the width or more (integers).\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.bitwise_left_shift(helix.tensor([1, 3]), 2).tolist()\n"
            "    [4, 12]\n",
     .shape = shape_integers, .flags = NO_GRADIENT | HX_ALIAS_OK},
    {.name = "bitwise_right_shift", .params = TWO,
     .doc = "Bits moved down by other places, the sign kept (integers).\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.bitwise_right_shift(helix.tensor([-8, 8]), 2).tolist()\n"
            "    [-2, 2]\n",
     .shape = shape_integers, .flags = NO_GRADIENT | HX_ALIAS_OK},
    {.name = "gcd", .params = TWO,
     .doc = "The greatest common divisor, never negative (integers).\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.gcd(helix.tensor([12, 18]), 8).tolist()\n"
            "    [4, 2]\n",
     .shape = shape_integers, .flags = NO_GRADIENT | HX_ALIAS_OK},
    {.name = "lcm", .params = TWO,
     .doc = "The least common multiple (integers).\n\n" STRETCH "\n"
            "Example:\n"
            "    >>> helix.lcm(helix.tensor([4, 6]), 10).tolist()\n"
            "    [20, 30]\n",
     .shape = shape_integers, .decompose = decompose_lcm, .flags = COMPOSED_NO_GRADIENT | HX_ALIAS_OK},
    {0}};
