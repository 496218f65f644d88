/* Elementwise ops of three tensors. */
#include "rules.h"

/* ---- shape rules ---- */

/* The stretched shape of all inputs, and the common dtype of inputs first, first + 1, ... */
static hx_status stretch(hx_call *c, int first, hx_dtype *dtype) {
    hx_spec *s = &c->spec[0];
    hx_operand operand[3];
    int ndim = 0, n = 0;
    for (int i = 0; i < c->n_in; i++) {
        const hx_tensor *t = c->in[i];
        if (!t) continue;
        HX_TRY(hx_broadcast_into(s->shape, &ndim, t->shape, t->ndim));
        if (i >= first) operand[n++] = (hx_operand){(hx_dtype)t->dtype, t->ndim == 0, t->flags & HX_T_NUMBER};
    }
    s->ndim = (uint8_t)ndim;
    *dtype = hx_result_type(operand, n, hx_default_float());
    s->dtype = (uint8_t)*dtype;
    return HX_OK;
}

static hx_status shape_where(hx_call *c) {
    HX_TRY(hx_require_dtype(c->in[0], "condition", HX_BIT(HX_BOOL) | HX_BIT(HX_U8)));
    hx_dtype dtype;
    HX_TRY(stretch(c, 1, &dtype));
    c->cast[0] = HX_BOOL;
    c->cast[1] = c->cast[2] = (int8_t)dtype;
    return HX_OK;
}

static hx_status shape_clamp(hx_call *c) {
    if (!c->in[1] && !c->in[2])
        return hx_fail_about(FACTS(.argument = "min"), HX_E_VALUE, HX1403_VALUE, "needs min or max, or both");
    hx_dtype dtype;
    HX_TRY(stretch(c, 0, &dtype));
    if (hx_is_complex(dtype) || dtype == HX_BOOL)
        return hx_fail_about(FACTS(.argument = "input", .got = hx_dtype_name(dtype)), HX_E_DTYPE, HX1101_DTYPE,
                             "is not defined for %s tensors", hx_dtype_name(dtype));
    c->compute = (int8_t)dtype;
    return HX_OK;
}

static hx_status shape_three(hx_call *c) {
    hx_dtype dtype;
    HX_TRY(stretch(c, 0, &dtype));
    c->compute = (int8_t)dtype;
    return HX_OK;
}
static hx_status shape_three_floats(hx_call *c) {
    HX_TRY(shape_three(c));
    if (!hx_is_integral((hx_dtype)c->compute)) return HX_OK;
    return hx_fail_about(FACTS(.expected = "float or complex", .got = hx_dtype_name((hx_dtype)c->compute)), HX_E_DTYPE, HX1101_DTYPE,
                         "takes float or complex tensors, got %s, %s and %s; convert them with .float()",
                   hx_dtype_name((hx_dtype)c->in[0]->dtype), hx_dtype_name((hx_dtype)c->in[1]->dtype),
                   hx_dtype_name((hx_dtype)c->in[2]->dtype));
}

/* ---- gradients ---- */

static hx_status vjp_where(hx_vjp *v) {
    GIN(1, CALL(where, IN(0), G, 0));
    GIN(2, CALL(where, IN(0), 0, G));
    return HX_OK;
}

/* A limit takes the gradient where it is what the result is. */
static hx_status vjp_clamp(hx_vjp *v) {
    hx_tensor *x = IN(0), *low = IN(1), *high = IN(2);
    hx_tensor *below = low ? CALL(lt, x, low) : NULL, *above = high ? CALL(gt, x, high) : NULL;
    if (low && high) {
        hx_tensor *crossed = CALL(gt, low, high);
        above = CALL(logical_or, above, CALL(logical_and, below, crossed));
        below = CALL(logical_and, below, CALL(logical_not, crossed));
    }
    hx_tensor *moved = below && above ? CALL(logical_or, below, above) : below ? below : above;
    GIN(0, CALL(where, moved, 0, G));
    if (low) GIN(1, CALL(where, below, G, 0));
    if (high) GIN(2, CALL(where, above, G, 0));
    return HX_OK;
}

static hx_status vjp_lerp(hx_vjp *v) {
    GIN(0, CALL(mul, G, CALL(sub, 1, cj(IN(2)))));
    GIN(1, CALL(mul, G, cj(IN(2))));
    GIN(2, CALL(mul, G, cj(CALL(sub, IN(1), IN(0)))));
    return HX_OK;
}

static hx_tensor *scaled(hx_tensor *t, const hx_attr *value) {
    if (value->kind != HX_A_COMPLEX) return hx_number_as_float(value) == 1 ? t : CALL(mul, t, hx_number_as_float(value));
    hx_tensor *factor = NULL;
    if (hx_tensor_from_complex(value->v.c[0], -value->v.c[1], &factor)) return NULL;
    return CALL(mul, t, hx_scope_own(factor));
}
static hx_status vjp_addcmul(hx_vjp *v) {
    GIN(0, G);
    GIN(1, CALL(mul, scaled(G, ATTR(0)), cj(IN(2))));
    GIN(2, CALL(mul, scaled(G, ATTR(0)), cj(IN(1))));
    return HX_OK;
}
static hx_status vjp_addcdiv(hx_vjp *v) {
    hx_tensor *g = CALL(div, scaled(G, ATTR(0)), cj(IN(2)));
    GIN(0, G);
    GIN(1, g);
    GIN(2, CALL(neg, CALL(mul, g, cj(CALL(div, IN(1), IN(2))))));
    return HX_OK;
}

/* ---- decompositions, for devices without a kernel of the op ---- */

static hx_status decompose_clamp(hx_call *c) {
    hx_tensor *x = c->in[0];
    if (c->in[1]) x = CALL(maximum, x, c->in[1]);
    if (c->in[2]) x = CALL(minimum, x, c->in[2]);
    RESULT(0, x);
    return HX_OK;
}
static hx_status decompose_lerp(hx_call *c) {
    hx_tensor *a = c->in[0], *b = c->in[1], *weight = c->in[2], *way = CALL(sub, b, a);
    hx_tensor *near = CALL(add, a, CALL(mul, weight, way)), *far = CALL(sub, b, CALL(mul, way, CALL(sub, 1, weight)));
    RESULT(0, CALL(where, CALL(lt, CALL(abs, weight), 0.5), near, far));
    return HX_OK;
}
/* A factor with a fraction goes with floating and complex tensors. */
static hx_status check_value(const hx_call *c) {
    bool whole = c->attr[0].kind != HX_A_FLOAT && c->attr[0].kind != HX_A_COMPLEX;
    for (int i = 0; i < 3; i++) whole = whole || !hx_is_integral((hx_dtype)c->in[i]->dtype);
    if (whole) return HX_OK;
    return hx_fail_about(FACTS("value", "a whole number", hx_text("%g", hx_number_as_float(&c->attr[0]))), HX_E_DTYPE,
                         HX1101_DTYPE, "value is %g, but the result is of dtype %s; give a whole value or float tensors",
                         hx_number_as_float(&c->attr[0]), hx_dtype_name((hx_dtype)c->in[0]->dtype));
}
static hx_status decompose_addcmul(hx_call *c) {
    HX_TRY(check_value(c));
    RESULT(0, CALL(add, c->in[0], CALL(mul, c->in[1], c->in[2]), &c->attr[0]));
    return HX_OK;
}
static hx_status decompose_addcdiv(hx_call *c) {
    RESULT(0, CALL(add, c->in[0], CALL(div, c->in[1], c->in[2]), &c->attr[0]));
    return HX_OK;
}

/* ---- composites ---- */

static bool both_bool(const hx_call *c) { return c->in[0]->dtype == HX_BOOL && c->in[1]->dtype == HX_BOOL; }
static hx_status decompose_clamp_min(hx_call *c) {
    RESULT(0, both_bool(c) ? CALL(maximum, c->in[0], c->in[1]) : CALL(clamp, c->in[0], c->in[1]));
    return HX_OK;
}
static hx_status decompose_clamp_max(hx_call *c) {
    RESULT(0, both_bool(c) ? CALL(minimum, c->in[0], c->in[1]) : CALL(clamp, c->in[0], DEFAULT, c->in[1]));
    return HX_OK;
}

#define COMPOSED (HX_ELEMENTWISE & ~HX_PRIMITIVE)

const hx_op hx_ops_ternary[] = {
    {.name = "where",
     .params = PARAMS(TENSOR("condition"), TENSOR("input"), TENSOR("other")),
     .doc = "input where condition is true, other elsewhere.\n\n"
            "Shapes are stretched to one another; the dtypes of input and other are promoted, and numbers may stand for\n"
            "them. condition is a bool (or uint8) tensor, else DTypeError (HX1101) is raised.\n\n"
            "Example:\n"
            "    >>> helix.where(helix.tensor([True, False]), helix.tensor([1, 2]), 0).tolist()\n"
            "    [1, 0]\n",
     .shape = shape_where, .vjp = vjp_where, .saves = SAVE_IN(0), .flags = HX_PRIMITIVE | HX_FUNCTION},
    {.name = "clamp",
     .params = PARAMS(TENSOR("input"), OPT_TENSOR("min"), OPT_TENSOR("max")),
     .doc = "Values below min become min, values above max become max. NaN stays.\n\n"
            "min and max are numbers or tensors; where min is above max, the result is max.\n"
            "Raises ValueError (HX1403) when neither is given.\n\n"
            "Example:\n"
            "    >>> helix.clamp(helix.tensor([-2, 0, 5]), -1, 3).tolist()\n"
            "    [-1, 0, 3]\n",
     .aliases = "clip", .shape = shape_clamp, .decompose = decompose_clamp, .vjp = vjp_clamp, .saves = SAVE_IN(0) | SAVE_IN(1) | SAVE_IN(2),
     .flags = COMPOSED},
    {.name = "clamp_min",
     .params = PARAMS(TENSOR("input"), TENSOR("min")),
     .doc = "Values below min become min.\n\n"
            "Example:\n"
            "    >>> helix.clamp_min(helix.tensor([-2, 5]), 0).tolist()\n"
            "    [0, 5]\n",
     .decompose = decompose_clamp_min, .flags = HX_PUBLIC | HX_INPLACE},
    {.name = "clamp_max",
     .params = PARAMS(TENSOR("input"), TENSOR("max")),
     .doc = "Values above max become max.\n\n"
            "Example:\n"
            "    >>> helix.clamp_max(helix.tensor([-2, 5]), 0).tolist()\n"
            "    [-2, 0]\n",
     .decompose = decompose_clamp_max, .flags = HX_PUBLIC | HX_INPLACE},
    {.name = "lerp",
     .params = PARAMS(TENSOR("input"), TENSOR("end"), TENSOR("weight")),
     .doc = "input + weight * (end - input), exact at both ends.\n\n"
            "Float and complex tensors whose shapes stretch to one another; weight may be a number.\n\n"
            "Example:\n"
            "    >>> helix.lerp(helix.tensor([0.0, 10.0]), helix.tensor([10.0, 20.0]), 0.5).tolist()\n"
            "    [5.0, 15.0]\n",
     .shape = shape_three_floats, .decompose = decompose_lerp, .vjp = vjp_lerp,
     .saves = SAVE_IN(0) | SAVE_IN(1) | SAVE_IN(2), .flags = COMPOSED},
    {.name = "addcmul",
     .params = PARAMS(TENSOR("input"), TENSOR("tensor1"), TENSOR("tensor2"), NUMBER("value", 1, KW)),
     .doc = "input + value * tensor1 * tensor2.\n\n"
            "Example:\n"
            "    >>> helix.addcmul(helix.tensor([1.0]), helix.tensor([2.0]), helix.tensor([3.0]), value=2).tolist()\n"
            "    [13.0]\n",
     .shape = shape_three, .decompose = decompose_addcmul, .vjp = vjp_addcmul, .saves = SAVE_IN(1) | SAVE_IN(2), .flags = COMPOSED},
    {.name = "addcdiv",
     .params = PARAMS(TENSOR("input"), TENSOR("tensor1"), TENSOR("tensor2"), NUMBER("value", 1, KW)),
     .doc = "input + value * tensor1 / tensor2 (float and complex).\n\n"
            "Example:\n"
            "    >>> helix.addcdiv(helix.tensor([1.0]), helix.tensor([6.0]), helix.tensor([3.0])).tolist()\n"
            "    [3.0]\n",
     .shape = shape_three_floats, .decompose = decompose_addcdiv, .vjp = vjp_addcdiv, .saves = SAVE_IN(1) | SAVE_IN(2), .flags = COMPOSED},
    {0}};
