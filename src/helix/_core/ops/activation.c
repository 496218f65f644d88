/* Activations, as torch.nn.functional has them, with fused backward ops where they pay. Every fused op has a
 * decomposition, and every backward op a gradient of its own, so that second derivatives work. */
#include <math.h>
#include "rules.h"

/* ---- shape rules ---- */

static hx_status floats_only(const hx_tensor *t, const char *param) { return hx_require_dtype(t, param, HX_SET_FLOAT); }
static hx_status shape_floats(hx_call *c) {
    HX_TRY(floats_only(c->in[0], "input"));
    return hx_shape_same(c);
}
static hx_status shape_real(hx_call *c) {
    HX_TRY(hx_require_dtype(c->in[0], "input", HX_SET_REAL & ~HX_BIT(HX_BOOL)));
    return hx_shape_same(c);
}
static hx_status shape_floats_or_complex(hx_call *c) {
    HX_TRY(hx_require_dtype(c->in[0], "input", HX_SET_FLOAT | HX_SET_COMPLEX));
    return hx_shape_same(c);
}
static hx_status shape_number(hx_call *c) {
    HX_TRY(hx_require_dtype(c->in[0], "input", HX_SET_ALL & ~HX_BIT(HX_BOOL)));
    return hx_shape_float(c);
}
/* (grad, input) of one shape and dtype. */
static hx_status shape_backward(hx_call *c) {
    HX_TRY(floats_only(c->in[0], "grad"));
    HX_TRY(floats_only(c->in[1], "input"));
    return hx_shape_broadcast(c);
}
static hx_status shape_shrink(hx_call *c) {
    if (c->attr[0].v.f < 0)
        return hx_refuse(HX_E_VALUE, HX1403_VALUE, "lambd", "not be negative", "%g", c->attr[0].v.f);
    return shape_floats(c);
}
static hx_status shape_softplus(hx_call *c) {
    if (c->attr[0].v.f == 0) return hx_fail(HX_E_VALUE, HX1403_VALUE, "beta must not be 0");
    return shape_floats(c);
}

#define X (c->in[0])
#define NUM(i) (c->attr[i].v.f)
#define DECOMPOSE(name, expr)                                                                                 \
    static hx_status decompose_##name(hx_call *c) {                                                           \
        RESULT(0, expr);                                                                                      \
        return HX_OK;                                                                                         \
    }
#define VJP(name, expr)                                                                                       \
    static hx_status vjp_##name(hx_vjp *v) {                                                                  \
        GIN(0, expr);                                                                                         \
        return HX_OK;                                                                                         \
    }
/* Backward ops are linear in the gradient: the same op again; `slope` is the derivative by the input. */
#define VJP_BACKWARD(name, again, slope)                                                                      \
    static hx_status vjp_##name(hx_vjp *v) {                                                                  \
        GIN(0, again);                                                                                        \
        if (v->need[1]) GIN(1, CALL(mul, CALL(mul, G, IN(0)), slope));                                        \
        return HX_OK;                                                                                         \
    }
static hx_tensor *one_minus(hx_tensor *t) { return CALL(sub, 1, t); }

/* ---- piecewise linear ---- */

DECOMPOSE(relu, CALL(clamp, X, 0))
VJP(relu, CALL(slope_backward, G, OUT(0), 0.0))
DECOMPOSE(leaky_relu, CALL(where, CALL(gt, X, 0), X, CALL(mul, X, NUM(0))))
VJP(leaky_relu, CALL(slope_backward, G, IN(0), ATTR(0)))
DECOMPOSE(slope_backward, CALL(where, CALL(gt, c->in[1], 0), X, CALL(mul, X, NUM(0))))
static hx_status vjp_slope_backward(hx_vjp *v) {
    GIN(0, CALL(slope_backward, G, IN(1), ATTR(0)));
    GIN(1, hx_full_like_spec(&v->in_spec[1], 0, NULL));
    return HX_OK;
}
DECOMPOSE(relu6, CALL(hardtanh, X, 0.0, 6.0))
/* A parameter beside integers: cut to one that the dtype holds. */
static int64_t whole(const hx_tensor *x, double value) {
    bool natural = (HX_SET_UINT | HX_BIT(HX_BOOL)) & HX_BIT(x->dtype);
    int bits = 8 * (int)hx_dtype_size((hx_dtype)x->dtype) - !natural;
    if (bits > 63) bits = 63;
    double high = ldexp(1, bits), low = natural ? 0 : -high;
    if (!(value > low)) return value != value ? 0 : (int64_t)low;
    return value >= high ? (int64_t)(((uint64_t)1 << bits) - 1) : (int64_t)value;
}
static hx_status decompose_hardtanh(hx_call *c) {
    bool integral = hx_is_integral((hx_dtype)X->dtype);
    RESULT(0, integral ? CALL(clamp, X, whole(X, NUM(0)), whole(X, NUM(1))) : CALL(clamp, X, NUM(0), NUM(1)));
    return HX_OK;
}
VJP(hardtanh, CALL(inside_backward, G, IN(0), ATTR(0), ATTR(1)))
DECOMPOSE(inside_backward, CALL(where, CALL(logical_and, CALL(gt, c->in[1], NUM(0)), CALL(lt, c->in[1], NUM(1))), X, 0))
static hx_status vjp_inside_backward(hx_vjp *v) {
    GIN(0, CALL(inside_backward, G, IN(1), ATTR(0), ATTR(1)));
    GIN(1, hx_full_like_spec(&v->in_spec[1], 0, NULL));
    return HX_OK;
}
static hx_status decompose_threshold(hx_call *c) {
    if (hx_is_integral((hx_dtype)X->dtype)) RESULT(0, CALL(where, CALL(le, X, whole(X, NUM(0))), whole(X, NUM(1)), X));
    else RESULT(0, CALL(where, CALL(le, X, NUM(0)), NUM(1), X));
    return HX_OK;
}
VJP(threshold, CALL(where, CALL(le, IN(0), ATTR(0)->v.f), 0, G))
DECOMPOSE(hardshrink, CALL(where, CALL(le, CALL(abs, X), NUM(0)), 0, X))
DECOMPOSE(softshrink, CALL(sub, X, CALL(clamp, X, -NUM(0), NUM(0))))
VJP(shrink, CALL(where, CALL(le, CALL(abs, IN(0)), ATTR(0)->v.f), 0, G))
DECOMPOSE(hardsigmoid, CALL(clamp, CALL(add, CALL(div, X, 6), 0.5), 0, 1))
VJP(hardsigmoid, CALL(inside_backward, CALL(div, G, 6), IN(0), -3.0, 3.0))
DECOMPOSE(hardswish, CALL(where, CALL(le, X, -3), 0, CALL(mul, X, CALL(hardsigmoid, X))))
VJP(hardswish, CALL(where, CALL(le, IN(0), -3), 0,
                    CALL(where, CALL(ge, IN(0), 3), G, CALL(mul, G, CALL(add, CALL(div, IN(0), 3), 0.5)))))
DECOMPOSE(softsign, CALL(div, X, CALL(add, CALL(abs, X), 1)))
static hx_status vjp_softsign(hx_vjp *v) {
    hx_tensor *x = IN(0), *outer = CALL(add, CALL(abs, x), 1);
    if (!hx_is_complex((hx_dtype)v->in_spec[0].dtype)) {
        GIN(0, CALL(div, G, CALL(square, outer)));
        return HX_OK;
    }
    hx_tensor *along = CALL(real, CALL(mul, G, cj(x))); /* of the change of |x| */
    GIN(0, CALL(sub, CALL(div, G, outer), CALL(mul, CALL(sign, x), CALL(div, along, CALL(square, outer)))));
    return HX_OK;
}

/* ---- with exponentials ---- */

DECOMPOSE(silu, CALL(mul, X, CALL(sigmoid, X)))
static hx_tensor *silu_slope(hx_tensor *x) {
    hx_tensor *s = CALL(sigmoid, x);
    return CALL(mul, s, CALL(add, CALL(mul, x, one_minus(s)), 1));
}
VJP(silu, hx_is_complex((hx_dtype)v->in_spec[0].dtype) ? CALL(mul, G, cj(silu_slope(IN(0))))
                                                      : CALL(silu_backward, G, IN(0)))
static hx_tensor *silu_curvature(hx_tensor *x) {
    hx_tensor *s = CALL(sigmoid, x), *bend = CALL(add, CALL(mul, x, CALL(sub, 1, CALL(mul, s, 2))), 2);
    return CALL(mul, CALL(mul, s, one_minus(s)), bend);
}
DECOMPOSE(silu_backward, CALL(mul, X, silu_slope(c->in[1])))
VJP_BACKWARD(silu_backward, CALL(silu_backward, G, IN(1)), silu_curvature(IN(1)))

DECOMPOSE(mish, CALL(mul, X, CALL(tanh, CALL(softplus, X))))
static hx_tensor *mish_slope(hx_tensor *x) {
    hx_tensor *gate = CALL(tanh, CALL(softplus, x));
    return CALL(add, gate, CALL(mul, CALL(mul, x, CALL(sigmoid, x)), one_minus(CALL(square, gate))));
}
VJP(mish, CALL(mul, G, mish_slope(IN(0))))

static hx_tensor *softplus_linear(hx_tensor *x, double beta, double threshold) {
    return CALL(gt, CALL(mul, x, beta), threshold);
}
DECOMPOSE(softplus, CALL(where, softplus_linear(X, NUM(0), NUM(1)), X,
                         CALL(div, CALL(logaddexp, CALL(mul, X, NUM(0)), CALL(zeros_like, X)), NUM(0))))
VJP(softplus, CALL(softplus_backward, G, IN(0), ATTR(0), ATTR(1)))
DECOMPOSE(softplus_backward, CALL(where, softplus_linear(c->in[1], NUM(0), NUM(1)), X,
                                  CALL(mul, X, CALL(sigmoid, CALL(mul, c->in[1], NUM(0))))))
static hx_tensor *softplus_curvature(hx_tensor *x, double beta, double threshold) {
    hx_tensor *s = CALL(sigmoid, CALL(mul, x, beta));
    return CALL(where, softplus_linear(x, beta, threshold), 0, CALL(mul, CALL(mul, s, one_minus(s)), beta));
}
VJP_BACKWARD(softplus_backward, CALL(softplus_backward, G, IN(1), ATTR(0), ATTR(1)),
             softplus_curvature(IN(1), ATTR(0)->v.f, ATTR(1)->v.f))
DECOMPOSE(logsigmoid, CALL(neg, CALL(softplus, CALL(neg, X))))
VJP(logsigmoid, CALL(mul, G, CALL(sigmoid, CALL(neg, IN(0)))))
DECOMPOSE(tanhshrink, CALL(sub, X, CALL(tanh, X)))

/* elu_scaled: scale * (x > 0 ? x : alpha * expm1(inner * x)) */
DECOMPOSE(elu, CALL(elu_scaled, X, NUM(0), 1.0, 1.0))
DECOMPOSE(selu, CALL(elu_scaled, X, 1.6732632423543772848, 1.0507009873554804934, 1.0))
static hx_status decompose_celu(hx_call *c) {
    if (NUM(0) == 0) return hx_fail(HX_E_VALUE, HX1403_VALUE, "alpha must not be 0");
    RESULT(0, CALL(elu_scaled, X, NUM(0), 1.0, 1.0 / NUM(0)));
    return HX_OK;
}
DECOMPOSE(elu_scaled, CALL(mul, CALL(where, CALL(gt, X, 0), X, CALL(mul, CALL(expm1, CALL(mul, X, NUM(2))), NUM(0))), NUM(1)))
VJP(elu_scaled, CALL(elu_backward, G, IN(0), ATTR(0), ATTR(1), ATTR(2)))
static hx_tensor *below_zero(hx_tensor *x, double inner, double factor, double above) {
    return CALL(where, CALL(gt, x, 0), above, CALL(mul, CALL(exp, CALL(mul, x, inner)), factor));
}
DECOMPOSE(elu_backward, CALL(mul, X, below_zero(c->in[1], NUM(2), NUM(0) * NUM(1) * NUM(2), NUM(1))))
VJP_BACKWARD(elu_backward, CALL(elu_backward, G, IN(1), ATTR(0), ATTR(1), ATTR(2)),
             below_zero(IN(1), ATTR(2)->v.f, ATTR(0)->v.f *ATTR(1)->v.f *ATTR(2)->v.f *ATTR(2)->v.f, 0))

/* ---- gelu ---- */

#define SQRT_HALF 0.70710678118654752440
#define DENSITY 0.39894228040143267794 /* 1 / sqrt(2 pi) */
#define ROOT 0.79788456080286535588    /* sqrt(2 / pi) */
#define CUBE 0.044715

/* The distribution function of the normal distribution, or its approximation by tanh. */
static hx_tensor *gelu_inner(hx_tensor *x) { return CALL(mul, CALL(add, CALL(mul, CALL(square, x), CUBE), 1), CALL(mul, x, ROOT)); }
static hx_tensor *gelu_gate(hx_tensor *x, bool fast) {
    hx_tensor *t = fast ? CALL(tanh, gelu_inner(x)) : CALL(erf, CALL(mul, x, SQRT_HALF));
    return CALL(mul, CALL(add, t, 1), 0.5);
}
static hx_tensor *normal_density(hx_tensor *x) { return CALL(mul, CALL(exp, CALL(mul, CALL(square, x), -0.5)), DENSITY); }
static hx_tensor *inner_slope(hx_tensor *x) { return CALL(mul, CALL(add, CALL(mul, CALL(square, x), 3 * CUBE), 1), ROOT); }
static hx_tensor *gelu_slope(hx_tensor *x, bool fast) {
    if (!fast) return CALL(add, gelu_gate(x, false), CALL(mul, x, normal_density(x)));
    hx_tensor *bell = one_minus(CALL(square, CALL(tanh, gelu_inner(x))));
    return CALL(add, gelu_gate(x, true), CALL(mul, CALL(mul, CALL(mul, x, 0.5), bell), inner_slope(x)));
}
static hx_tensor *gelu_curvature(hx_tensor *x, bool fast) {
    if (!fast) return CALL(mul, normal_density(x), CALL(sub, 2, CALL(square, x)));
    hx_tensor *t = CALL(tanh, gelu_inner(x)), *u = inner_slope(x);
    hx_tensor *bend = CALL(sub, CALL(mul, x, 6 * ROOT * CUBE), CALL(mul, CALL(mul, t, 2), CALL(square, u)));
    return CALL(mul, one_minus(CALL(square, t)), CALL(add, u, CALL(mul, CALL(mul, x, 0.5), bend)));
}
static bool fast_gelu(const hx_attr *a) { return hx_str_is(a, "tanh"); }
DECOMPOSE(gelu, CALL(mul, X, gelu_gate(X, fast_gelu(&c->attr[0]))))
VJP(gelu, CALL(gelu_backward, G, IN(0), ATTR(0)))
DECOMPOSE(gelu_backward, CALL(mul, X, gelu_slope(c->in[1], fast_gelu(&c->attr[0]))))
VJP_BACKWARD(gelu_backward, CALL(gelu_backward, G, IN(1), ATTR(0)), gelu_curvature(IN(1), fast_gelu(ATTR(0))))

/* ---- backward of tanh and sigmoid, from their results ---- */

DECOMPOSE(tanh_backward, CALL(mul, X, one_minus(CALL(square, c->in[1]))))
VJP_BACKWARD(tanh_backward, CALL(tanh_backward, G, IN(1)), CALL(mul, IN(1), -2))
DECOMPOSE(sigmoid_backward, CALL(mul, X, CALL(mul, c->in[1], one_minus(c->in[1]))))
VJP_BACKWARD(sigmoid_backward, CALL(sigmoid_backward, G, IN(1)), CALL(sub, 1, CALL(mul, IN(1), 2)))

/* ---- with a second tensor, or halves of one ---- */

/* weight has a shape that stretches to the input's */
DECOMPOSE(sloped, CALL(where, CALL(gt, X, 0), X, CALL(mul, X, c->in[1])))
static hx_status vjp_sloped(hx_vjp *v) {
    hx_tensor *above = CALL(gt, IN(0), 0);
    if (v->need[0]) GIN(0, CALL(where, above, G, CALL(mul, G, IN(1))));
    if (v->need[1]) GIN(1, CALL(where, above, 0, CALL(mul, G, IN(0))));
    return HX_OK;
}
static hx_status decompose_prelu(hx_call *c) {
    hx_tensor *x = c->in[0], *weight = c->in[1];
    if (weight->numel != 1) {
        int64_t channels = x->ndim > 1 ? x->shape[1] : x->ndim == 1 ? x->shape[0] : 1, shape[HX_MAX_RANK];
        if (weight->ndim != 1 || weight->numel != channels)
            return hx_fail_about(FACTS("weight", hx_text("(1,) or (%lld,)", (long long)channels),
                                       hx_shape_text(weight->shape, weight->ndim)), HX_E_SHAPE, HX1002_INNER,
                                 "weight must have one value, or one for each of the %lld channels (axis 1 of "
                                 "input %s); it has shape %s", (long long)channels, hx_shape_text(x->shape, x->ndim),
                                 hx_shape_text(weight->shape, weight->ndim));
        int axis = x->ndim > 1 ? 1 : 0;
        for (int i = 0; i < x->ndim; i++) shape[i] = i == axis ? channels : 1;
        weight = CALL(reshape, weight, ((hx_ints){shape, x->ndim}));
    }
    if (weight && weight->ndim > x->ndim) weight = CALL(reshape, weight, ((hx_ints){x->shape, x->ndim}));
    bool fused = weight && HX_SET_FLOAT & HX_BIT(x->dtype) && x->dtype == weight->dtype;
    RESULT(0, fused ? CALL(sloped, x, weight) : CALL(where, CALL(gt, x, 0), x, CALL(mul, x, weight)));
    return HX_OK;
}

static hx_status decompose_glu(hx_call *c) {
    hx_tensor *x = c->in[0];
    int axis;
    HX_TRY(hx_axis(c->attr[0].v.i, x->ndim, &axis));
    if (x->ndim == 0 || x->shape[axis] % 2)
        return hx_fail_about(FACTS("input", "an even size", hx_text("%lld", (long long)x->shape[axis]), true, axis),
                             HX_E_SHAPE, HX1002_INNER, "the size of axis %d of input %s must be even", axis,
                       hx_shape_text(x->shape, x->ndim));
    int64_t half = x->shape[axis] / 2;
    RESULT(0, CALL(mul, CALL(narrow, x, axis, 0, half), CALL(sigmoid, CALL(narrow, x, axis, half, half))));
    return HX_OK;
}

/* ---- records ---- */

#define ONE PARAMS(TENSOR("input"))
#define FUSED (HX_INPLACE | HX_ALIAS_OK | HX_NN)
#define COMPOSED (HX_INPLACE | HX_NN)
#define BACKWARD (HX_ALIAS_OK | HX_INTERNAL_OP)
#define GRAD_AND(...) PARAMS(TENSOR("grad"), TENSOR("input"), __VA_ARGS__)

const hx_op hx_ops_activation[] = {
    {.name = "relu", .params = ONE,
     .doc = "Values below 0 become 0.\n\n"
            "Example:\n"
            "    >>> helix.relu(helix.tensor([-1.0, 2.0])).tolist()\n"
            "    [0.0, 2.0]\n",
     .shape = shape_real, .vjp = vjp_relu, .decompose = decompose_relu, .saves = SAVE_OUT(0), .flags = FUSED | HX_PUBLIC},
    {.name = "relu6", .params = ONE,
     .doc = "Values brought into [0, 6].\n\n"
            "Example:\n"
            "    >>> helix.nn.functional.relu6(helix.tensor([-1.0, 7.0])).tolist()\n"
            "    [0.0, 6.0]\n",
     .decompose = decompose_relu6, .flags = COMPOSED},
    {.name = "leaky_relu", .params = PARAMS(TENSOR("input"), FLOAT("negative_slope", 0.01)),
     .doc = "Values below 0 are multiplied by negative_slope.\n\n"
            "Example:\n"
            "    >>> helix.nn.functional.leaky_relu(helix.tensor([-2.0, 2.0]), 0.5).tolist()\n"
            "    [-1.0, 2.0]\n",
     .shape = shape_floats, .vjp = vjp_leaky_relu, .decompose = decompose_leaky_relu, .saves = SAVE_IN(0), .flags = FUSED},
    {.name = "hardtanh", .params = PARAMS(TENSOR("input"), FLOAT("min_val", -1), FLOAT("max_val", 1)),
     .doc = "Values brought into [min_val, max_val], which are cut to whole numbers beside integers.\n\n"
            "Example:\n"
            "    >>> helix.nn.functional.hardtanh(helix.tensor([-2.0, 0.5])).tolist()\n"
            "    [-1.0, 0.5]\n",
     .shape = shape_real, .vjp = vjp_hardtanh, .decompose = decompose_hardtanh, .saves = SAVE_IN(0), .flags = FUSED},
    {.name = "threshold", .params = PARAMS(TENSOR("input"), REQ_FLOAT("threshold"), REQ_FLOAT("value")),
     .doc = "Values not above threshold become value; both are cut to whole numbers beside integers.\n\n"
            "Example:\n"
            "    >>> helix.nn.functional.threshold(helix.tensor([1.0, 3.0]), 2.0, 0.0).tolist()\n"
            "    [0.0, 3.0]\n",
     .shape = shape_real, .vjp = vjp_threshold, .decompose = decompose_threshold, .saves = SAVE_IN(0), .flags = FUSED},
    {.name = "hardshrink", .params = PARAMS(TENSOR("input"), FLOAT("lambd", 0.5)),
     .doc = "Values in [-lambd, lambd] become 0.\n\n"
            "Example:\n"
            "    >>> helix.nn.functional.hardshrink(helix.tensor([0.25, 2.0])).tolist()\n"
            "    [0.0, 2.0]\n",
     .shape = shape_shrink, .vjp = vjp_shrink, .decompose = decompose_hardshrink, .saves = SAVE_IN(0), .flags = FUSED},
    {.name = "softshrink", .params = PARAMS(TENSOR("input"), FLOAT("lambd", 0.5)),
     .doc = "Values moved towards 0 by lambd, and 0 within it.\n\n"
            "Example:\n"
            "    >>> helix.nn.functional.softshrink(helix.tensor([0.25, 2.0])).tolist()\n"
            "    [0.0, 1.5]\n",
     .shape = shape_shrink, .vjp = vjp_shrink, .decompose = decompose_softshrink, .saves = SAVE_IN(0), .flags = FUSED},
    {.name = "hardsigmoid", .params = ONE,
     .doc = "input / 6 + 1 / 2 brought into [0, 1].\n\n"
            "Example:\n"
            "    >>> helix.nn.functional.hardsigmoid(helix.tensor([-4.0, 0.0, 4.0])).tolist()\n"
            "    [0.0, 0.5, 1.0]\n",
     .shape = shape_floats, .vjp = vjp_hardsigmoid, .decompose = decompose_hardsigmoid, .saves = SAVE_IN(0), .flags = FUSED},
    {.name = "hardswish", .params = ONE,
     .doc = "input * hardsigmoid(input) (Howard et al., arXiv:1905.02244).\n\n"
            "Example:\n"
            "    >>> helix.nn.functional.hardswish(helix.tensor([-4.0, 0.0, 4.0])).tolist()\n"
            "    [0.0, 0.0, 4.0]\n",
     .shape = shape_floats, .vjp = vjp_hardswish, .decompose = decompose_hardswish, .saves = SAVE_IN(0), .flags = FUSED},
    {.name = "softsign", .params = ONE,
     .doc = "input / (1 + |input|).\n\n"
            "Example:\n"
            "    >>> helix.nn.functional.softsign(helix.tensor([-1.0, 3.0])).tolist()\n"
            "    [-0.5, 0.75]\n",
     .shape = shape_number, .vjp = vjp_softsign, .decompose = decompose_softsign, .saves = SAVE_IN(0), .flags = FUSED},
    {.name = "silu", .params = ONE,
     .doc = "input * sigmoid(input).\n\n"
            "Example:\n"
            "    >>> helix.nn.functional.silu(helix.tensor([0.0])).tolist()\n"
            "    [0.0]\n",
     .aliases = "swish", .shape = shape_floats_or_complex, .vjp = vjp_silu, .decompose = decompose_silu, .saves = SAVE_IN(0),
     .flags = FUSED},
    {.name = "mish", .params = ONE,
     .doc = "input * tanh(softplus(input)) (Misra, arXiv:1908.08681).\n\n"
            "Example:\n"
            "    >>> helix.nn.functional.mish(helix.tensor([0.0])).tolist()\n"
            "    [0.0]\n",
     .shape = shape_floats, .vjp = vjp_mish, .decompose = decompose_mish, .saves = SAVE_IN(0), .flags = FUSED},
    {.name = "softplus", .params = PARAMS(TENSOR("input"), FLOAT("beta", 1), FLOAT("threshold", 20)),
     .doc = "log(1 + exp(beta * input)) / beta; the input itself where beta * input is above threshold.\n\n"
            "Example:\n"
            "    >>> helix.nn.functional.softplus(helix.tensor([100.0])).tolist()\n"
            "    [100.0]\n",
     .shape = shape_softplus, .vjp = vjp_softplus, .decompose = decompose_softplus, .saves = SAVE_IN(0), .flags = FUSED},
    {.name = "logsigmoid", .params = ONE,
     .doc = "log(sigmoid(input)) without underflow on the way.\n\n"
            "Example:\n"
            "    >>> helix.nn.functional.logsigmoid(helix.tensor([-100.0])).tolist()\n"
            "    [-100.0]\n",
     .shape = shape_floats, .vjp = vjp_logsigmoid, .decompose = decompose_logsigmoid, .saves = SAVE_IN(0), .flags = FUSED},
    {.name = "tanhshrink", .params = ONE,
     .doc = "input - tanh(input).\n\n"
            "Example:\n"
            "    >>> helix.nn.functional.tanhshrink(helix.tensor([0.0])).tolist()\n"
            "    [0.0]\n",
     .decompose = decompose_tanhshrink, .flags = HX_NN},
    {.name = "elu", .params = PARAMS(TENSOR("input"), FLOAT("alpha", 1)),
     .doc = "alpha * (exp(input) - 1) below 0 (Clevert et al., arXiv:1511.07289).\n\n"
            "Example:\n"
            "    >>> helix.nn.functional.elu(helix.tensor([-helix.inf, 2.0])).tolist()\n"
            "    [-1.0, 2.0]\n",
     .decompose = decompose_elu, .flags = COMPOSED},
    {.name = "selu", .params = ONE,
     .doc = "elu with the two constants that keep mean and variance (Klambauer et al., arXiv:1706.02515).\n\n"
            "Example:\n"
            "    >>> helix.nn.functional.selu(helix.tensor([0.0])).tolist()\n"
            "    [0.0]\n",
     .decompose = decompose_selu, .flags = COMPOSED},
    {.name = "celu", .params = PARAMS(TENSOR("input"), FLOAT("alpha", 1)),
     .doc = "alpha * (exp(input / alpha) - 1) below 0 (Barron, arXiv:1704.07483).\n\n"
            "Example:\n"
            "    >>> helix.nn.functional.celu(helix.tensor([-helix.inf, 2.0]), 0.5).tolist()\n"
            "    [-0.5, 2.0]\n",
     .decompose = decompose_celu, .flags = COMPOSED},
    {.name = "gelu", .params = PARAMS(TENSOR("input"), STRING("approximate", "none", "none|tanh")),
     .doc = "input times the probability that a normal value is below it (Hendrycks and Gimpel, arXiv:1606.08415).\n\n"
            "approximate='tanh' takes the cheaper formula 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x**3))).\n\n"
            "Example:\n"
            "    >>> helix.nn.functional.gelu(helix.tensor([0.0, 100.0])).tolist()\n"
            "    [0.0, 100.0]\n",
     .shape = shape_floats, .vjp = vjp_gelu, .decompose = decompose_gelu, .saves = SAVE_IN(0), .flags = FUSED},
    {.name = "prelu", .params = PARAMS(TENSOR("input"), TENSOR("weight")),
     .doc = "Values below 0 are multiplied by weight, which has one value or one for each channel (axis 1).\n\n"
            "Raises ShapeError (HX1002) for any other weight.\n\n"
            "Example:\n"
            "    >>> helix.prelu(helix.tensor([-2.0, 2.0]), helix.tensor([0.25])).tolist()\n"
            "    [-0.5, 2.0]\n",
     .decompose = decompose_prelu, .flags = HX_PUBLIC | HX_NN},
    {.name = "sloped", .params = PARAMS(TENSOR("input"), TENSOR("weight")),
     .doc = "prelu of a weight whose shape stretches to input's.",
     .shape = hx_shape_broadcast, .vjp = vjp_sloped, .decompose = decompose_sloped, .saves = SAVE_IN(0) | SAVE_IN(1),
     .flags = HX_INTERNAL_OP},
    {.name = "glu", .params = PARAMS(TENSOR("input"), INT("dim", -1)),
     .doc = "The first half along dim times the sigmoid of the second (Dauphin et al., arXiv:1612.08083).\n\n"
            "Raises ShapeError (HX1002) when the size of dim is odd.\n\n"
            "Example:\n"
            "    >>> helix.nn.functional.glu(helix.tensor([3.0, 0.0])).tolist()\n"
            "    [1.5]\n",
     .decompose = decompose_glu, .flags = HX_NN},

    {.name = "slope_backward", .params = GRAD_AND(FLOAT("slope", 0)),
     .doc = "The gradient where input > 0, and slope times it elsewhere.",
     .shape = shape_backward, .vjp = vjp_slope_backward, .decompose = decompose_slope_backward, .saves = SAVE_IN(1), .flags = BACKWARD},
    {.name = "inside_backward", .params = GRAD_AND(REQ_FLOAT("low"), REQ_FLOAT("high")),
     .doc = "The gradient where low < input < high, and 0 elsewhere.",
     .shape = shape_backward, .vjp = vjp_inside_backward, .decompose = decompose_inside_backward, .saves = SAVE_IN(1), .flags = BACKWARD},
    {.name = "silu_backward", .params = PARAMS(TENSOR("grad"), TENSOR("input")),
     .doc = "grad times the derivative of silu.",
     .shape = shape_backward, .vjp = vjp_silu_backward, .decompose = decompose_silu_backward, .saves = SAVE_IN(0) | SAVE_IN(1),
     .flags = BACKWARD},
    {.name = "softplus_backward", .params = GRAD_AND(FLOAT("beta", 1), FLOAT("threshold", 20)),
     .doc = "grad times the derivative of softplus.",
     .shape = shape_backward, .vjp = vjp_softplus_backward, .decompose = decompose_softplus_backward,
     .saves = SAVE_IN(0) | SAVE_IN(1), .flags = BACKWARD},
    {.name = "elu_scaled", .params = PARAMS(TENSOR("input"), REQ_FLOAT("alpha"), REQ_FLOAT("scale"), REQ_FLOAT("inner")),
     .doc = "scale * input above 0, scale * alpha * (exp(inner * input) - 1) below.",
     .shape = shape_floats, .vjp = vjp_elu_scaled, .decompose = decompose_elu_scaled, .saves = SAVE_IN(0), .flags = BACKWARD},
    {.name = "elu_backward", .params = GRAD_AND(REQ_FLOAT("alpha"), REQ_FLOAT("scale"), REQ_FLOAT("inner")),
     .doc = "grad times the derivative of elu_scaled.",
     .shape = shape_backward, .vjp = vjp_elu_backward, .decompose = decompose_elu_backward, .saves = SAVE_IN(0) | SAVE_IN(1),
     .flags = BACKWARD},
    {.name = "gelu_backward", .params = GRAD_AND(STRING("approximate", "none", "none|tanh")),
     .doc = "grad times the derivative of gelu.",
     .shape = shape_backward, .vjp = vjp_gelu_backward, .decompose = decompose_gelu_backward, .saves = SAVE_IN(0) | SAVE_IN(1),
     .flags = BACKWARD},
    {.name = "tanh_backward", .params = PARAMS(TENSOR("grad"), TENSOR("output")),
     .doc = "grad * (1 - output**2).",
     .shape = shape_backward, .vjp = vjp_tanh_backward, .decompose = decompose_tanh_backward, .saves = SAVE_IN(0) | SAVE_IN(1),
     .flags = BACKWARD},
    {.name = "sigmoid_backward", .params = PARAMS(TENSOR("grad"), TENSOR("output")),
     .doc = "grad * output * (1 - output).",
     .shape = shape_backward, .vjp = vjp_sigmoid_backward, .decompose = decompose_sigmoid_backward,
     .saves = SAVE_IN(0) | SAVE_IN(1), .flags = BACKWARD},
    {0}};
