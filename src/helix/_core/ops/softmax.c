/* softmax, log_softmax and softmin along one axis. */
#include "rules.h"

/* attr: dim, dtype */
static hx_status softmax_shape(hx_call *c) {
    hx_tensor *x = c->in[0];
    int axis;
    HX_TRY(hx_axis(c->attr[0].v.i, x->ndim, &axis));
    c->attr[0].v.i = axis;
    hx_dtype dtype = hx_given(&c->attr[1]) ? (hx_dtype)c->attr[1].v.i : (hx_dtype)x->dtype;
    if (!hx_is_floating(dtype))
        return hx_fail_about(FACTS("input", "floating", hx_dtype_name(dtype)), HX_E_DTYPE, HX1101_DTYPE,
                       "input has dtype %s (shape %s); a floating type is needed. Pass dtype=float32 or call "
                       "input.to(float32).",
                       hx_dtype_name(dtype), hx_shape_text(x->shape, x->ndim));
    if (dtype != x->dtype) c->compute = (int8_t)dtype;
    hx_spec_like(&c->spec[0], x);
    c->spec[0].dtype = (uint8_t)dtype;
    return HX_OK;
}

static hx_status softmax_vjp(hx_vjp *v) {
    GIN(0, CALL(softmax_backward, G, OUT(0), ATTR(0)));
    return HX_OK;
}

static hx_status log_softmax_vjp(hx_vjp *v) {
    GIN(0, CALL(log_softmax_backward, G, OUT(0), ATTR(0)));
    return HX_OK;
}

static hx_ints axis_of(const hx_call *c) { return (hx_ints){&c->attr[0].v.i, 1}; }

/* The input less its largest element along the axis. */
static hx_tensor *centered(hx_call *c) {
    hx_tensor *x = c->in[0];
    if (x->dtype != c->spec[0].dtype) x = CALL(cast, x, c->spec[0].dtype);
    return x->numel ? CALL(sub, x, CALL(amax, x, axis_of(c), true)) : x;
}

static hx_status softmax_parts(hx_call *c) {
    hx_tensor *e = CALL(exp, centered(c));
    RESULT(0, CALL(div, e, CALL(sum, e, axis_of(c), true)));
    return HX_OK;
}

static hx_status log_softmax_parts(hx_call *c) {
    hx_tensor *x = centered(c);
    RESULT(0, CALL(sub, x, CALL(log, CALL(sum, CALL(exp, x), axis_of(c), true))));
    return HX_OK;
}

static hx_status backward_shape(hx_call *c) {
    hx_spec_like(&c->spec[0], c->in[1]);
    c->compute = (int8_t)c->in[1]->dtype;
    return HX_OK;
}

static hx_status softmax_backward_parts(hx_call *c) {
    hx_tensor *g = c->in[0], *y = c->in[1];
    hx_tensor *along = CALL(sum, CALL(mul, g, y), axis_of(c), true);
    RESULT(0, CALL(mul, y, CALL(sub, g, along)));
    return HX_OK;
}

static hx_status log_softmax_backward_parts(hx_call *c) {
    hx_tensor *g = c->in[0], *y = c->in[1];
    hx_tensor *all = CALL(sum, g, axis_of(c), true);
    RESULT(0, CALL(sub, g, CALL(mul, CALL(exp, y), all)));
    return HX_OK;
}

static hx_status softmin_parts(hx_call *c) {
    RESULT(0, CALL(softmax, CALL(neg, c->in[0]), &c->attr[0], &c->attr[1]));
    return HX_OK;
}

#define ALONG_PARAMS PARAMS(TENSOR("input"), REQ_INT("dim"), OPT_DTYPE("dtype"))
#define ALONG_DOC                                                                                             \
    "dim: the axis. dtype: the input is cast to it first. Floating dtypes; half types are computed in float32.\n" \
    "A row that is -inf everywhere, or holds +inf or NaN, gives NaN.\n"

const hx_op hx_ops_softmax[] = {
    {.name = "softmax", .shape = softmax_shape, .vjp = softmax_vjp, .decompose = softmax_parts, .saves = SAVE_OUT(0),
     .flags = HX_PUBLIC | HX_NN, .params = ALONG_PARAMS,
     .doc = "exp(input) / sum(exp(input)) along an axis, without overflow.\n\n" ALONG_DOC
            "\nExample:\n    >>> helix.softmax(helix.tensor([0., 0.]), dim=0).tolist()\n    [0.5, 0.5]"},
    {.name = "log_softmax", .shape = softmax_shape, .vjp = log_softmax_vjp, .decompose = log_softmax_parts,
     .saves = SAVE_OUT(0), .flags = HX_PUBLIC | HX_NN, .params = ALONG_PARAMS,
     .doc = "log(softmax(input)) along an axis, without overflow or lost digits.\n\n" ALONG_DOC
            "\nExample:\n    >>> helix.log_softmax(helix.tensor([0., 0.]), dim=0).tolist()\n"
            "    [-0.6931471824645996, -0.6931471824645996]"},
    {.name = "softmin", .decompose = softmin_parts, .flags = HX_NN, .params = ALONG_PARAMS,
     .doc = "softmax(-input) along an axis.\n\n" ALONG_DOC
            "\nExample:\n    >>> helix.nn.functional.softmin(helix.tensor([0., 0.]), dim=0).tolist()\n    [0.5, 0.5]"},
    {.name = "softmax_backward", .shape = backward_shape, .decompose = softmax_backward_parts, .flags = HX_INTERNAL_OP,
     .params = PARAMS(TENSOR("gradient"), TENSOR("output"), REQ_INT("dim")),
     .doc = "output * (gradient - sum(gradient * output)) along an axis."},
    {.name = "log_softmax_backward", .shape = backward_shape, .decompose = log_softmax_backward_parts,
     .flags = HX_INTERNAL_OP, .params = PARAMS(TENSOR("gradient"), TENSOR("output"), REQ_INT("dim")),
     .doc = "gradient - exp(output) * sum(gradient) along an axis."},
    {0}};
