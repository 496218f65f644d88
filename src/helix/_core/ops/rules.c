/* Shape rules and helpers that several families share. */
#include "rules.h"
#include <string.h>
#include "../trace.h"

hx_status hx_shape_same(hx_call *c) {
    hx_spec_like(&c->spec[0], c->in[0]);
    return HX_OK;
}

/* The name of input i of an op without a list. */
static const char *input_name(const hx_op *op, int i) {
    for (const hx_param *p = op->params; p->kind != HX_P_END; p++)
        if ((p->kind == HX_P_TENSOR || p->kind == HX_P_OPT_TENSOR) && i-- == 0) return p->name;
    return NULL;
}

/* The broadcast shape of all inputs into spec 0, and their common dtype. */
static hx_status broadcast(hx_call *c, hx_dtype *dtype) {
    hx_spec *s = &c->spec[0];
    hx_tensor *a = c->in[0], *b = c->n_in > 1 ? c->in[1] : a;
    if (c->n_in <= 2 && a->dtype == b->dtype && a->ndim == b->ndim &&
        !memcmp(a->shape, b->shape, a->ndim * sizeof *a->shape) && !((a->flags ^ b->flags) & HX_T_NUMBER)) {
        hx_spec_like(s, a);
        *dtype = (hx_dtype)a->dtype;
        return HX_OK;
    }
    hx_operand operand[8];
    int ndim = 0, n = 0;
    for (int i = 0; i < c->n_in; i++) {
        const hx_tensor *t = c->in[i];
        if (!t) continue;
        hx_status status = hx_broadcast_into(s->shape, &ndim, t->shape, t->ndim);
        if (status) return hx_error_argument(c->op->name, input_name(c->op, i)), status;
        if (n < 8) operand[n++] = (hx_operand){(hx_dtype)t->dtype, t->ndim == 0, t->flags & HX_T_NUMBER};
    }
    s->ndim = (uint8_t)ndim;
    *dtype = hx_result_type(operand, n, hx_default_float());
    return HX_OK;
}

hx_status hx_shape_broadcast(hx_call *c) {
    hx_dtype dtype;
    HX_TRY(broadcast(c, &dtype));
    c->compute = (int8_t)dtype;
    c->spec[0].dtype = (uint8_t)dtype;
    return HX_OK;
}

hx_status hx_shape_compare(hx_call *c) {
    HX_TRY(hx_shape_broadcast(c));
    c->spec[0].dtype = HX_BOOL;
    return HX_OK;
}

hx_status hx_shape_broadcast_float(hx_call *c) {
    hx_dtype dtype;
    HX_TRY(broadcast(c, &dtype));
    if (hx_is_integral(dtype)) dtype = hx_default_float();
    c->compute = (int8_t)dtype;
    c->spec[0].dtype = (uint8_t)dtype;
    return HX_OK;
}

hx_status hx_shape_float(hx_call *c) {
    hx_spec_like(&c->spec[0], c->in[0]);
    if (hx_is_integral((hx_dtype)c->in[0]->dtype)) {
        c->compute = (int8_t)hx_default_float();
        c->spec[0].dtype = (uint8_t)c->compute;
    }
    return HX_OK;
}

void hx_spec_reduce(hx_spec *s, hx_dtype dtype, const hx_tensor *t, uint32_t mask, bool keepdim) {
    s->dtype = (uint8_t)dtype;
    s->ndim = 0;
    for (int i = 0; i < t->ndim; i++) {
        bool reduced = mask >> i & 1;
        if (!reduced || keepdim) s->shape[s->ndim++] = reduced ? 1 : t->shape[i];
    }
}

hx_status hx_require_dtype(const hx_tensor *t, const char *param, uint64_t allowed) {
    if (allowed & HX_BIT(t->dtype)) return HX_OK;
    char names[256];
    int used = 0;
    for (int d = 0; d < HX_DTYPE_COUNT; d++)
        if (allowed & HX_BIT(d))
            used += snprintf(names + used, sizeof names - (size_t)used, "%s%s", used ? ", " : "", hx_dtype_name(d));
    return hx_fail_about(FACTS(param, names, hx_dtype_name((hx_dtype)t->dtype)), HX_E_DTYPE, HX1101_DTYPE,
                         "%s has dtype %s (shape %s); accepted: %s. Use %s.to(dtype).", param,
                   hx_dtype_name((hx_dtype)t->dtype), hx_shape_text(t->shape, t->ndim), names, param);
}

hx_status hx_require_rank(const hx_tensor *t, const char *param, int ndim) {
    if (t->ndim == ndim) return HX_OK;
    return hx_refuse_rank(t, param, hx_text("have %d dimension%s", ndim, ndim == 1 ? "" : "s"));
}

hx_status hx_refuse_rank(const hx_tensor *t, const char *param, const char *rule) {
    const char *got = hx_shape_text(t->shape, t->ndim);
    return hx_fail_about(FACTS(param, rule, got), HX_E_SHAPE, HX1001_RANK, "%s must %s, got shape %s", param, rule,
                         got);
}

double hx_number_as_float(const hx_attr *a) {
    switch (a->kind) {
    case HX_A_FLOAT: return a->v.f;
    case HX_A_COMPLEX: return a->v.c[0];
    default: return (double)a->v.i;
    }
}

bool hx_str_is(const hx_attr *a, const char *text) {
    return a->kind == HX_A_STR && a->count == strlen(text) && !memcmp(a->v.str, text, a->count);
}

hx_tensor *hx_full_like_spec(const hx_spec *s, double value, hx_device *device) {
    (void)device;
    return CALL(full, ((hx_ints){s->shape, s->ndim}), value, s->dtype);
}

hx_tensor *hx_vjp_gradient(hx_vjp *v, int i) {
    return v->g[i] ? v->g[i] : hx_full_like_spec(&v->out_spec[i], 0, NULL);
}

hx_tensor *hx_unreduce(hx_tensor *g, uint32_t mask, int ndim, bool keepdim) {
    if (keepdim || !g || mask == 0) return g;
    int64_t shape[HX_MAX_RANK];
    int at = 0;
    for (int i = 0; i < ndim; i++) shape[i] = mask >> i & 1 ? 1 : g->shape[at++];
    return CALL(reshape, g, ((hx_ints){shape, ndim}));
}

bool hx_zeros_matter(hx_tensor *zero) {
    hx_scalar any;
    if (!zero || !zero->numel || !hx_grad_enabled()) return false;
    hx_tensor *seen = hx_tracing() ? NULL : CALL(any, zero);
    if (seen && hx_tensor_item(seen, &any) == HX_OK) return any.v.i != 0;
    return hx_tracing();
}

hx_tensor *hx_vjp_stale(hx_vjp *v, int i, bool output) {
    hx_fail(HX_E_GRADIENT, HX1501_VERSION,
            "%s %d, which was saved for the backward of %s, was changed in place afterwards. Use an out-of-place "
            "update, or clone the tensor before %s.",
            output ? "output" : "input", i, v->op->name, v->op->name);
    return NULL;
}
