/* Reductions: sums, products, extremes, moments and norms over any axes. */
#include <math.h>
#include "rules.h"

/* ---- shape rules ---- */

/* Puts all reduced axes, in order, into attribute `at`. */
static hx_status set_axes(hx_call *c, int at, uint32_t *mask) {
    hx_attr *a = &c->attr[at];
    const hx_tensor *t = c->in[0];
    hx_ints dims = hx_given(a) ? hx_ints_of(a) : (hx_ints){NULL, 0};
    HX_TRY(hx_axes(dims.v, dims.n, t->ndim, mask));
    if (t->ndim == 0) *mask = 0;
    int64_t *room = hx_call_ints(c, t->ndim);
    if (!room) return HX_E_VALUE;
    int n = 0;
    for (int d = 0; d < t->ndim; d++)
        if (*mask >> d & 1) room[n++] = d;
    *a = (hx_attr){.kind = HX_A_INTS, .count = (uint32_t)n, .v.ints = room};
    return HX_OK;
}

static hx_status set_reduced(hx_call *c, int dim_at, int keepdim_at, hx_dtype dtype, uint32_t *mask) {
    HX_TRY(set_axes(c, dim_at, mask));
    hx_spec_reduce(&c->spec[0], dtype, c->in[0], *mask, c->attr[keepdim_at].v.i);
    return HX_OK;
}

static hx_dtype wanted(const hx_call *c, int dtype_at, hx_dtype otherwise) {
    return hx_given(&c->attr[dtype_at]) ? (hx_dtype)c->attr[dtype_at].v.i : otherwise;
}

/* sum, prod: small integers are added as int64. */
static hx_status sum_shape(hx_call *c) {
    uint32_t mask;
    hx_dtype from = (hx_dtype)c->in[0]->dtype, to = wanted(c, 2, hx_is_integral(from) ? HX_I64 : from);
    if (hx_given(&c->attr[2])) c->compute = (int8_t)to;
    return set_reduced(c, 0, 1, to, &mask);
}

static hx_status mean_shape(hx_call *c) {
    uint32_t mask;
    hx_dtype to = wanted(c, 2, (hx_dtype)c->in[0]->dtype);
    if (!hx_is_differentiable(to))
        return hx_fail_about(FACTS("input", "floating or complex", hx_dtype_name(to)), HX_E_DTYPE, HX1101_DTYPE,
                       "the mean of integers is not an integer: input has dtype %s (shape %s). Pass dtype=float32 or "
                       "call input.to(float32).",
                       hx_dtype_name(to), hx_shape_text(c->in[0]->shape, c->in[0]->ndim));
    if (to != c->in[0]->dtype) c->compute = (int8_t)to;
    return set_reduced(c, 0, 1, to, &mask);
}

static hx_status no_identity(const hx_tensor *t, const char *what) {
    return hx_fail_about(FACTS("input", "at least one element", hx_shape_text(t->shape, t->ndim)), HX_E_VALUE, HX1404_EMPTY,
                         "%s of no elements is not defined: input has shape %s, and a reduced axis has size 0. Reduce over "
                   "other axes, or give the input at least one element.",
                   what, hx_shape_text(t->shape, t->ndim));
}

static hx_status refuse_empty(const hx_call *c, uint32_t mask, const char *what) {
    const hx_tensor *t = c->in[0];
    bool outputs = true, empty = false;
    for (int d = 0; d < t->ndim; d++) {
        if (mask >> d & 1) empty = empty || t->shape[d] == 0;
        else outputs = outputs && t->shape[d] > 0;
    }
    return empty && outputs ? no_identity(t, what) : HX_OK;
}

static hx_status extreme_shape(hx_call *c) {
    uint32_t mask;
    HX_TRY(hx_require_dtype(c->in[0], "input", HX_SET_REAL));
    HX_TRY(set_reduced(c, 0, 1, (hx_dtype)c->in[0]->dtype, &mask));
    return refuse_empty(c, mask, "the extreme value");
}

static hx_status truth_shape(hx_call *c) {
    uint32_t mask;
    return set_reduced(c, 0, 1, HX_BOOL, &mask);
}

static hx_status count_shape(hx_call *c) {
    uint32_t mask;
    HX_TRY(set_axes(c, 0, &mask));
    hx_spec_reduce(&c->spec[0], HX_I64, c->in[0], mask, false);
    return HX_OK;
}

static hx_status nansum_shape(hx_call *c) {
    HX_TRY(hx_require_dtype(c->in[0], "input", HX_SET_REAL));
    return sum_shape(c);
}

static hx_status max_dim_shape(hx_call *c) {
    hx_tensor *t = c->in[0];
    int axis;
    HX_TRY(hx_require_dtype(t, "input", HX_SET_REAL));
    HX_TRY(hx_axis(c->attr[0].v.i, t->ndim, &axis));
    c->attr[0].v.i = axis;
    uint32_t mask = t->ndim ? 1u << axis : 0;
    hx_spec_reduce(&c->spec[0], (hx_dtype)t->dtype, t, mask, c->attr[1].v.i);
    hx_spec_reduce(&c->spec[1], HX_I64, t, mask, c->attr[1].v.i);
    return refuse_empty(c, mask, "the extreme value");
}

/* attr: dim, unbiased, keepdim, correction; correction is set from unbiased */
static hx_status var_mean_shape(hx_call *c) {
    uint32_t mask;
    hx_tensor *t = c->in[0];
    HX_TRY(hx_require_dtype(t, "input", HX_SET_FLOAT | HX_SET_COMPLEX));
    HX_TRY(set_reduced(c, 0, 2, (hx_dtype)t->dtype, &mask));
    double correction = hx_given(&c->attr[3]) ? hx_number_as_float(&c->attr[3]) : (c->attr[1].v.i ? 1 : 0);
    c->attr[3] = (hx_attr){.kind = HX_A_FLOAT, .v.f = correction};
    c->spec[1] = c->spec[0];
    if (hx_is_complex((hx_dtype)t->dtype)) c->spec[0].dtype = (uint8_t)hx_real_of((hx_dtype)t->dtype);
    return HX_OK;
}

static hx_status logsumexp_shape(hx_call *c) {
    uint32_t mask;
    HX_TRY(hx_shape_float(c));
    return set_reduced(c, 0, 1, (hx_dtype)c->spec[0].dtype, &mask);
}

/* attr: ord, dim, keepdim, dtype */
static hx_status vector_norm_shape(hx_call *c) {
    uint32_t mask;
    hx_tensor *t = c->in[0];
    hx_dtype to = wanted(c, 3, (hx_dtype)t->dtype);
    if (!hx_is_floating(to))
        return hx_fail_about(FACTS("input", "floating", hx_dtype_name((hx_dtype)t->dtype)), HX_E_DTYPE, HX1101_DTYPE,
                       "input has dtype %s (shape %s); a norm needs a floating type. Pass dtype=float32, or take "
                       "input.abs() first for complex values.",
                       hx_dtype_name((hx_dtype)t->dtype), hx_shape_text(t->shape, t->ndim));
    if (to != t->dtype) c->compute = (int8_t)to;
    c->attr[0] = (hx_attr){.kind = HX_A_FLOAT, .v.f = hx_number_as_float(&c->attr[0])};
    HX_TRY(set_reduced(c, 1, 2, to, &mask));
    double ord = c->attr[0].v.f;
    return ord < 0 || isinf(ord) ? refuse_empty(c, mask, "this norm") : HX_OK;
}

/* ---- gradients ---- */

static uint32_t mask_of(const hx_attr *dims) {
    uint32_t mask = 0;
    for (uint32_t i = 0; i < dims->count; i++) mask |= 1u << dims->v.ints[i];
    return mask;
}

/* A reduced tensor with its reduced axes put back as 1. */
static hx_tensor *beside_input(hx_vjp *v, hx_tensor *t, int dim_at, int keepdim_at) {
    return hx_unreduce(t, mask_of(ATTR(dim_at)), v->in_spec[0].ndim, v->attr[keepdim_at].v.i);
}

static hx_tensor *stretched(hx_vjp *v, hx_tensor *t) {
    return CALL(expand, t, ((hx_ints){v->in_spec[0].shape, v->in_spec[0].ndim}));
}

static double reduced_count(const hx_vjp *v, int dim_at) {
    double count = 1;
    for (uint32_t i = 0; i < v->attr[dim_at].count; i++)
        count *= (double)v->in_spec[0].shape[v->attr[dim_at].v.ints[i]];
    return count;
}

static hx_status sum_vjp(hx_vjp *v) {
    GIN(0, stretched(v, beside_input(v, G, 0, 1)));
    return HX_OK;
}

static hx_status mean_vjp(hx_vjp *v) {
    GIN(0, stretched(v, beside_input(v, CALL(div, G, reduced_count(v, 0)), 0, 1)));
    return HX_OK;
}

/* The reduced axes as one, behind the others; and back. */
typedef struct gathered_axes {
    int64_t order[HX_MAX_RANK], back[HX_MAX_RANK], shape[HX_MAX_RANK + 1];
    int ndim, kept;
} gathered_axes;

static gathered_axes gather_axes(const hx_tensor *x, uint32_t mask) {
    gathered_axes a = {.ndim = x->ndim};
    int64_t count = 1;
    for (int d = 0; d < x->ndim; d++)
        if (!(mask >> d & 1)) {
            a.shape[a.kept] = x->shape[d];
            a.order[a.kept++] = d;
        }
    for (int d = 0, at = a.kept; d < x->ndim; d++)
        if (mask >> d & 1) {
            count *= x->shape[d];
            a.order[at++] = d;
        }
    a.shape[a.kept] = count;
    for (int i = 0; i < x->ndim; i++) a.back[a.order[i]] = i;
    return a;
}

static hx_tensor *gathered(hx_tensor *x, const gathered_axes *a) {
    return CALL(reshape, CALL(permute, x, ((hx_ints){a->order, a->ndim})), ((hx_ints){a->shape, a->kept + 1}));
}

/* The products of the elements before each one along the last axis. */
static hx_tensor *before_each(hx_tensor *x) {
    if (!x) return NULL;
    int64_t n = x->shape[x->ndim - 1];
    return CALL(cumprod, CALL(constant_pad, CALL(narrow, x, -1, 0, n - 1), 1, HX_INTS(1, 0)), -1);
}

/* The product of all others, written out: right to any order, at zeros too. */
static hx_tensor *product_of_others(hx_tensor *x, uint32_t mask) {
    gathered_axes a = gather_axes(x, mask);
    hx_tensor *row = gathered(x, &a);
    hx_tensor *after = CALL(flip, before_each(CALL(flip, row, -1)), -1);
    int64_t shape[HX_MAX_RANK];
    for (int i = 0; i < x->ndim; i++) shape[i] = x->shape[a.order[i]];
    hx_tensor *others = CALL(reshape, CALL(mul, before_each(row), after), ((hx_ints){shape, x->ndim}));
    return CALL(permute, others, ((hx_ints){a.back, x->ndim}));
}

/* product / x, with the product of the others where x is the only zero and 0 where there are more. */
static hx_status prod_vjp(hx_vjp *v) {
    hx_tensor *x = IN(0), *g = beside_input(v, G, 0, 1), *zero = CALL(eq, x, 0);
    if (hx_zeros_matter(zero)) {
        GIN(0, CALL(mul, g, cj(product_of_others(x, mask_of(ATTR(0))))));
        return HX_OK;
    }
    hx_tensor *zeros = CALL(sum, zero, ATTR(0), true), *safe = CALL(where, zero, 1.0, x);
    hx_tensor *rest = CALL(mul, g, cj(CALL(prod, safe, ATTR(0), true)));
    hx_tensor *usual = CALL(where, CALL(eq, zeros, 0), CALL(div, rest, cj(safe)), 0.0);
    hx_tensor *only = CALL(logical_and, zero, CALL(eq, zeros, 1));
    GIN(0, CALL(where, only, rest, usual));
    return HX_OK;
}

/* Equal extremes share the gradient. */
static hx_status extreme_vjp(hx_vjp *v) {
    hx_tensor *hit = CALL(eq, IN(0), beside_input(v, OUT(0), 0, 1));
    hx_tensor *share = CALL(div, beside_input(v, G, 0, 1), CALL(sum, hit, ATTR(0), true));
    GIN(0, CALL(where, hit, share, 0.0));
    return HX_OK;
}

static hx_status max_dim_vjp(hx_vjp *v) {
    uint32_t mask = v->in_spec[0].ndim ? 1u << v->attr[0].v.i : 0;
    if (!v->g[0]) return HX_OK;
    if (!mask) {
        GIN(0, G);
        return HX_OK;
    }
    hx_tensor *g = hx_unreduce(G, mask, v->in_spec[0].ndim, v->attr[1].v.i);
    hx_tensor *at = hx_unreduce(OUT(1), mask, v->in_spec[0].ndim, v->attr[1].v.i);
    GIN(0, CALL(scatter_add, hx_full_like_spec(&v->in_spec[0], 0, NULL), ATTR(0), at, g));
    return HX_OK;
}

static hx_status nansum_vjp(hx_vjp *v) {
    GIN(0, CALL(where, CALL(isnan, IN(0)), 0.0, beside_input(v, G, 0, 1)));
    return HX_OK;
}

static hx_tensor *var_gradient(hx_vjp *v, hx_tensor *g) {
    double divisor = reduced_count(v, 0) - v->attr[3].v.f;
    hx_tensor *centered = CALL(sub, IN(0), CALL(mean, IN(0), ATTR(0), true));
    return CALL(mul, CALL(mul, beside_input(v, g, 0, 2), 2 / divisor), centered);
}

static hx_status var_vjp(hx_vjp *v) {
    GIN(0, var_gradient(v, G));
    return HX_OK;
}

static hx_status var_mean_vjp(hx_vjp *v) {
    hx_tensor *g = NULL;
    if (v->g[0]) g = var_gradient(v, v->g[0]);
    if (v->g[1]) {
        hx_tensor *m = stretched(v, beside_input(v, CALL(div, v->g[1], reduced_count(v, 0)), 0, 2));
        g = g ? CALL(add, g, m) : m;
    }
    GIN(0, g);
    return HX_OK;
}

/* 1 / (2 std), and 0 where std is 0. */
static hx_status std_vjp(hx_vjp *v) {
    hx_tensor *out = OUT(0), *half = CALL(div, G, CALL(mul, out, 2.0));
    GIN(0, var_gradient(v, CALL(where, CALL(eq, out, 0), 0.0, half)));
    return HX_OK;
}

static hx_tensor *real_part(hx_tensor *t) { return t && hx_is_complex((hx_dtype)t->dtype) ? CALL(real, t) : t; }

static hx_status logsumexp_vjp(hx_vjp *v) {
    hx_tensor *out = beside_input(v, OUT(0), 0, 1);
    hx_tensor *top = CALL(where, CALL(eq, real_part(out), -INFINITY), 0.0, out);
    GIN(0, CALL(mul, beside_input(v, G, 0, 1), cj(CALL(exp, CALL(sub, IN(0), top)))));
    return HX_OK;
}

/* d|x|_p / dx = sign(x) |x|^(p-1) / |x|_p^(p-1); 0 where the norm has no gradient. */
static hx_status vector_norm_vjp(hx_vjp *v) {
    double p = v->attr[0].v.f;
    hx_tensor *x = IN(0), *g = beside_input(v, G, 1, 2), *norm = beside_input(v, OUT(0), 1, 2);
    if (!v->need[0]) return HX_OK;
    if (p == 0) {
        GIN(0, hx_full_like_spec(&v->in_spec[0], 0, NULL));
    } else if (p == 1) {
        GIN(0, CALL(mul, g, CALL(sign, x)));
    } else if (p == 2) {
        hx_tensor *zero = CALL(eq, norm, 0);
        GIN(0, CALL(where, zero, 0.0, CALL(mul, x, CALL(div, g, CALL(where, zero, 1.0, norm)))));
    } else if (isinf(p)) {
        hx_tensor *hit = CALL(eq, CALL(abs, x), norm);
        hx_tensor *share = CALL(div, g, CALL(sum, hit, ATTR(1), true));
        GIN(0, CALL(mul, CALL(sign, x), CALL(where, hit, share, 0.0)));
    } else {
        hx_tensor *flat = p < 1 ? CALL(eq, x, 0) : CALL(eq, norm, 0);
        hx_tensor *safe_x = CALL(where, flat, 1.0, x), *safe_norm = CALL(where, CALL(eq, norm, 0), 1.0, norm);
        hx_tensor *slope = CALL(mul, CALL(sign, safe_x), CALL(pow, CALL(abs, safe_x), p - 1));
        hx_tensor *scale = CALL(div, g, CALL(pow, safe_norm, p - 1));
        GIN(0, CALL(where, flat, 0.0, CALL(mul, slope, scale)));
    }
    return HX_OK;
}

/* ---- composites ---- */

static hx_status mean_parts(hx_call *c) {
    double count = 1;
    for (uint32_t i = 0; i < c->attr[0].count; i++) count *= (double)c->in[0]->shape[c->attr[0].v.ints[i]];
    RESULT(0, CALL(div, CALL(sum, c->in[0], &c->attr[0], &c->attr[1]), count));
    return HX_OK;
}

static hx_status prod_parts(hx_call *c) {
    gathered_axes a = gather_axes(c->in[0], mask_of(&c->attr[0]));
    int64_t count = a.shape[a.kept];
    hx_tensor *row = CALL(cast, gathered(c->in[0], &a), c->spec[0].dtype);
    hx_tensor *product = count ? CALL(select, CALL(cumprod, row, -1), -1, -1) : CALL(ones_like, CALL(sum, row, -1));
    RESULT(0, CALL(reshape, product, ((hx_ints){c->spec[0].shape, c->spec[0].ndim})));
    return HX_OK;
}

static hx_status any_parts(hx_call *c) {
    hx_tensor *count = CALL(sum, CALL(ne, c->in[0], 0), &c->attr[0], &c->attr[1]);
    RESULT(0, CALL(gt, count, 0));
    return HX_OK;
}

static hx_status all_parts(hx_call *c) {
    hx_tensor *count = CALL(sum, CALL(eq, c->in[0], 0), &c->attr[0], &c->attr[1]);
    RESULT(0, CALL(eq, count, 0));
    return HX_OK;
}

static hx_status count_parts(hx_call *c) {
    RESULT(0, CALL(sum, CALL(ne, c->in[0], 0), &c->attr[0]));
    return HX_OK;
}

static hx_status nansum_parts(hx_call *c) {
    hx_tensor *x = c->in[0];
    if (hx_is_floating((hx_dtype)x->dtype)) x = CALL(where, CALL(isnan, x), 0.0, x);
    RESULT(0, CALL(sum, x, &c->attr[0], &c->attr[1], &c->attr[2]));
    return HX_OK;
}

static hx_status nanmean_parts(hx_call *c) {
    hx_tensor *total = CALL(nansum, c->in[0], &c->attr[0], &c->attr[1], &c->attr[2]);
    hx_tensor *seen = CALL(sum, CALL(logical_not, CALL(isnan, c->in[0])), &c->attr[0], &c->attr[1]);
    RESULT(0, CALL(div, total, seen));
    return HX_OK;
}

/* Around the mean, so that a large mean costs no digits. */
static hx_status var_mean_parts(hx_call *c) {
    double count = 1;
    for (uint32_t i = 0; i < c->attr[0].count; i++) count *= (double)c->in[0]->shape[c->attr[0].v.ints[i]];
    hx_tensor *centered = CALL(sub, c->in[0], CALL(mean, c->in[0], &c->attr[0], true));
    hx_tensor *square = CALL(mul, centered, cj(centered));
    if (square && hx_is_complex((hx_dtype)square->dtype)) square = CALL(real, square);
    hx_tensor *squares = CALL(sum, square, &c->attr[0], &c->attr[2]);
    RESULT(0, CALL(div, squares, fmax(0, count - c->attr[3].v.f)));
    RESULT(1, CALL(mean, c->in[0], &c->attr[0], &c->attr[2]));
    return HX_OK;
}

static hx_status var_parts(hx_call *c) {
    RESULT(0, CALL(var_mean, c->in[0], &c->attr[0], &c->attr[1], &c->attr[2], &c->attr[3]));
    return HX_OK;
}

static hx_status std_parts(hx_call *c) {
    RESULT(0, CALL(sqrt, CALL(var_mean, c->in[0], &c->attr[0], &c->attr[1], &c->attr[2], &c->attr[3])));
    return HX_OK;
}

static hx_status std_mean_parts(hx_call *c) {
    hx_tensor *both[2] = {NULL};
    RESULT(0, CALL(std, c->in[0], &c->attr[0], &c->attr[1], &c->attr[2], &c->attr[3]));
    CALLN(both, 2, var_mean, c->in[0], &c->attr[0], &c->attr[1], &c->attr[2], &c->attr[3]);
    RESULT(1, both[1]);
    return HX_OK;
}

static hx_status logsumexp_parts(hx_call *c) {
    hx_tensor *top = CALL(amax, real_part(c->in[0]), &c->attr[0], true);
    top = CALL(where, CALL(isinf, top), 0.0, top);
    hx_tensor *sum = CALL(sum, CALL(exp, CALL(sub, c->in[0], top)), &c->attr[0], true);
    hx_tensor *result = CALL(add, CALL(log, sum), top);
    RESULT(0, CALL(reshape, result, ((hx_ints){c->spec[0].shape, c->spec[0].ndim})));
    return HX_OK;
}

static hx_status vector_norm_parts(hx_call *c) {
    double p = c->attr[0].v.f;
    hx_tensor *x = CALL(abs, c->in[0]);
    const hx_attr *dim = &c->attr[1], *keepdim = &c->attr[2];
    if (p == 0) RESULT(0, CALL(cast, CALL(sum, CALL(ne, x, 0), dim, keepdim), c->spec[0].dtype));
    else if (p == 1) RESULT(0, CALL(sum, x, dim, keepdim));
    else if (p == 2) RESULT(0, CALL(sqrt, CALL(sum, CALL(mul, x, x), dim, keepdim)));
    else if (isinf(p)) RESULT(0, p > 0 ? CALL(amax, x, dim, keepdim) : CALL(amin, x, dim, keepdim));
    else RESULT(0, CALL(pow, CALL(sum, CALL(pow, x, p), dim, keepdim), 1 / p));
    return HX_OK;
}

static hx_status norm_parts(hx_call *c) {
    hx_tensor *x = c->in[0];
    if (x && hx_is_complex((hx_dtype)x->dtype)) x = CALL(abs, x);
    RESULT(0, CALL(linalg_vector_norm, x, &c->attr[0], &c->attr[1], &c->attr[2], &c->attr[3]));
    return HX_OK;
}

static hx_status arg_extreme(hx_call *c, bool max) {
    hx_tensor *x = c->in[0], *both[2] = {NULL};
    bool keepdim = c->attr[1].v.i;
    int axis = 0;
    if (hx_given(&c->attr[0])) HX_TRY(hx_axis(c->attr[0].v.i, x->ndim, &axis));
    HX_TRY(refuse_empty(c, hx_given(&c->attr[0]) ? 1u << axis : ~0u, "the index of the extreme value"));
    if (hx_given(&c->attr[0])) {
        if (max) CALLN(both, 2, max, x, &c->attr[0], keepdim);
        else CALLN(both, 2, min, x, &c->attr[0], keepdim);
        RESULT(0, both[1]);
        return HX_OK;
    }
    hx_tensor *flat = CALL(reshape, x, -1);
    if (max) CALLN(both, 2, max, flat, 0, false);
    else CALLN(both, 2, min, flat, 0, false);
    int64_t ones[HX_MAX_RANK];
    for (int i = 0; i < x->ndim; i++) ones[i] = 1;
    RESULT(0, keepdim ? CALL(reshape, both[1], ((hx_ints){ones, x->ndim})) : both[1]);
    return HX_OK;
}
static hx_status argmax_parts(hx_call *c) { return arg_extreme(c, true); }
static hx_status argmin_parts(hx_call *c) { return arg_extreme(c, false); }

static hx_status aminmax_parts(hx_call *c) {
    hx_attr none = {.kind = HX_A_NONE}, one = {.kind = HX_A_INTS, .count = 1, .v.ints = &c->attr[0].v.i};
    const hx_attr *dim = hx_given(&c->attr[0]) ? &one : &none;
    RESULT(0, CALL(amin, c->in[0], dim, &c->attr[1]));
    RESULT(1, CALL(amax, c->in[0], dim, &c->attr[1]));
    return HX_OK;
}

/* ---- records ---- */

#define OVER_AXES TENSOR("input"), OPT_INTS("dim"), BOOL("keepdim", false)
#define MOMENT_PARAMS \
    PARAMS(TENSOR("input"), OPT_INTS("dim"), BOOL("unbiased", true), BOOL("keepdim", false),                  \
           OPT_FLOAT("correction", KW))
#define AXES_DOC                                                                                              \
    "dim: an axis or several; None takes all. keepdim: reduced axes stay with size 1.\n"
#define MOMENT_DOC                                                                                            \
    AXES_DOC "The divisor is N - correction (default 1, or 0 with unbiased=False). Taken around the mean in two\n" \
             "passes, so a mean far larger than the spread costs no digits. Floating dtypes; of complex numbers, the mean\n" \
             "of |x - mean|^2.\n"

const hx_op hx_ops_reduce[] = {
    {.name = "sum", .shape = sum_shape, .vjp = sum_vjp, .flags = HX_PRIMITIVE | HX_PUBLIC,
     .params = PARAMS(OVER_AXES, OPT_DTYPE("dtype", KW)),
     .doc = "Adds the elements over the given axes.\n\n" AXES_DOC
            "Integers and bool are added in int64 (wrapping), floats in blocks of fixed size, so the result has the\n"
            "same bits for any number of threads. dtype: the input is cast to it first. An empty sum is 0.\n\n"
            "Example:\n    >>> helix.sum(helix.tensor([[1., 2.], [3., 4.]]), dim=0).tolist()\n    [4.0, 6.0]"},
    {.name = "mean", .shape = mean_shape, .vjp = mean_vjp, .decompose = mean_parts, .flags = HX_PUBLIC,
     .params = PARAMS(OVER_AXES, OPT_DTYPE("dtype", KW)),
     .doc = "The arithmetic mean over the given axes.\n\n" AXES_DOC
            "Floating and complex dtypes, or any with dtype=. The mean of nothing is NaN.\n\n"
            "Example:\n    >>> helix.mean(helix.tensor([[1., 2.], [3., 4.]]), dim=1).tolist()\n    [1.5, 3.5]"},
    {.name = "prod", .shape = sum_shape, .vjp = prod_vjp, .decompose = prod_parts, .saves = SAVE_IN(0),
     .flags = HX_PUBLIC, .params = PARAMS(OVER_AXES, OPT_DTYPE("dtype", KW)),
     .doc = "Multiplies the elements over the given axes.\n\n" AXES_DOC
            "Integers and bool give int64 (wrapping). An empty product is 1.\n\n"
            "Example:\n    >>> helix.prod(helix.tensor([2., 3., 4.])).item()\n    24.0"},
    {.name = "amax", .shape = extreme_shape, .vjp = extreme_vjp, .saves = SAVE_IN(0) | SAVE_OUT(0),
     .flags = HX_PRIMITIVE | HX_PUBLIC, .params = PARAMS(OVER_AXES),
     .doc = "The largest element over the given axes.\n\n" AXES_DOC
            "NaN counts as largest. Equal largest elements share the gradient evenly. Fails (HX1404) over no elements.\n\n"
            "Example:\n    >>> helix.amax(helix.tensor([[1., 5.], [3., 4.]]), dim=1).tolist()\n    [5.0, 4.0]"},
    {.name = "amin", .shape = extreme_shape, .vjp = extreme_vjp, .saves = SAVE_IN(0) | SAVE_OUT(0),
     .flags = HX_PRIMITIVE | HX_PUBLIC, .params = PARAMS(OVER_AXES),
     .doc = "The smallest element over the given axes.\n\n" AXES_DOC
            "NaN is passed on. Equal smallest elements share the gradient evenly. Fails (HX1404) over no elements.\n\n"
            "Example:\n    >>> helix.amin(helix.tensor([[1., 5.], [3., 4.]]), dim=1).tolist()\n    [1.0, 3.0]"},
    {.name = "max", .outputs = "values, indices", .shape = max_dim_shape, .vjp = max_dim_vjp, .saves = SAVE_OUT(1),
     .flags = HX_PRIMITIVE | HX_INTERNAL_OP | HX_NONDIFF_OUT1,
     .params = PARAMS(TENSOR("input"), REQ_INT("dim"), BOOL("keepdim", false)),
     .doc = "The largest element along an axis and the index where it first stands."},
    {.name = "min", .outputs = "values, indices", .shape = max_dim_shape, .vjp = max_dim_vjp, .saves = SAVE_OUT(1),
     .flags = HX_PRIMITIVE | HX_INTERNAL_OP | HX_NONDIFF_OUT1,
     .params = PARAMS(TENSOR("input"), REQ_INT("dim"), BOOL("keepdim", false)),
     .doc = "The smallest element along an axis and the index where it first stands."},
    {.name = "argmax", .decompose = argmax_parts, .flags = HX_PUBLIC | HX_NON_DIFF,
     .params = PARAMS(TENSOR("input"), OPT_INT("dim"), BOOL("keepdim", false)),
     .doc = "The index of the largest element along dim, or in the flattened tensor when dim is None.\n\n"
            "The first of equal elements; the first NaN where there is one. Returns int64.\n\n"
            "Example:\n    >>> helix.argmax(helix.tensor([[1., 5.], [3., 4.]]), dim=1).tolist()\n    [1, 1]"},
    {.name = "argmin", .decompose = argmin_parts, .flags = HX_PUBLIC | HX_NON_DIFF,
     .params = PARAMS(TENSOR("input"), OPT_INT("dim"), BOOL("keepdim", false)),
     .doc = "The index of the smallest element along dim, or in the flattened tensor when dim is None.\n\n"
            "The first of equal elements; the first NaN where there is one. Returns int64.\n\n"
            "Example:\n    >>> helix.argmin(helix.tensor([[1., 5.], [3., 4.]]), dim=1).tolist()\n    [0, 0]"},
    {.name = "any", .shape = truth_shape, .decompose = any_parts, .flags = HX_PUBLIC | HX_NON_DIFF,
     .params = PARAMS(OVER_AXES),
     .doc = "Is any element over the given axes not zero?\n\n" AXES_DOC "NaN counts as not zero. False over no elements.\n\n"
            "Example:\n    >>> helix.any(helix.tensor([[0, 0], [0, 4]]), dim=1).tolist()\n    [False, True]"},
    {.name = "all", .shape = truth_shape, .decompose = all_parts, .flags = HX_PUBLIC | HX_NON_DIFF,
     .params = PARAMS(OVER_AXES),
     .doc = "Are all elements over the given axes not zero?\n\n" AXES_DOC "NaN counts as not zero. True over no elements.\n\n"
            "Example:\n    >>> helix.all(helix.tensor([[1, 0], [3, 4]]), dim=1).tolist()\n    [False, True]"},
    {.name = "count_nonzero", .shape = count_shape, .decompose = count_parts, .flags = HX_PUBLIC | HX_NON_DIFF,
     .params = PARAMS(TENSOR("input"), OPT_INTS("dim")),
     .doc = "How many elements over the given axes are not zero (NaN is not zero).\n\n"
            "Example:\n    >>> helix.count_nonzero(helix.tensor([[0., 2.], [3., 4.]])).item()\n    3"},
    {.name = "nansum", .shape = nansum_shape, .vjp = nansum_vjp, .decompose = nansum_parts, .saves = SAVE_IN(0),
     .flags = HX_PUBLIC, .params = PARAMS(OVER_AXES, OPT_DTYPE("dtype", KW)),
     .doc = "Adds the elements that are not NaN over the given axes.\n\n" AXES_DOC
            "\nExample:\n    >>> helix.nansum(helix.tensor([1., float('nan'), 2.])).item()\n    3.0"},
    {.name = "nanmean", .decompose = nanmean_parts, .flags = HX_PUBLIC,
     .params = PARAMS(OVER_AXES, OPT_DTYPE("dtype", KW)),
     .doc = "The mean of the elements that are not NaN over the given axes.\n\n" AXES_DOC
            "\nExample:\n    >>> helix.nanmean(helix.tensor([1., float('nan'), 2.])).item()\n    1.5"},
    {.name = "var_mean", .outputs = "var, mean", .shape = var_mean_shape, .vjp = var_mean_vjp,
     .decompose = var_mean_parts, .saves = SAVE_IN(0), .flags = HX_FUNCTION, .params = MOMENT_PARAMS,
     .doc = "Variance and mean over the given axes.\n\n" MOMENT_DOC
            "\nExample:\n    >>> [t.item() for t in helix.var_mean(helix.tensor([1., 2., 3.]))]\n    [1.0, 2.0]"},
    {.name = "var", .shape = var_mean_shape, .vjp = var_vjp, .decompose = var_parts, .saves = SAVE_IN(0),
     .flags = HX_PUBLIC, .params = MOMENT_PARAMS,
     .doc = "The variance over the given axes.\n\n" MOMENT_DOC
            "\nExample:\n    >>> helix.var(helix.tensor([1., 2., 3.])).item()\n    1.0"},
    {.name = "std", .shape = var_mean_shape, .vjp = std_vjp, .decompose = std_parts, .saves = SAVE_IN(0) | SAVE_OUT(0),
     .flags = HX_PUBLIC, .params = MOMENT_PARAMS,
     .doc = "The standard deviation over the given axes; its gradient is 0 where it is 0.\n\n" MOMENT_DOC
            "\nExample:\n    >>> helix.std(helix.tensor([1., 3.]), correction=0).item()\n    1.0"},
    {.name = "std_mean", .outputs = "std, mean", .decompose = std_mean_parts, .flags = HX_FUNCTION,
     .params = MOMENT_PARAMS,
     .doc = "Standard deviation and mean over the given axes.\n\n" MOMENT_DOC
            "\nExample:\n    >>> [t.item() for t in helix.std_mean(helix.tensor([1., 2., 3.]))]\n    [1.0, 2.0]"},
    {.name = "logsumexp", .shape = logsumexp_shape, .vjp = logsumexp_vjp, .decompose = logsumexp_parts,
     .saves = SAVE_IN(0) | SAVE_OUT(0), .flags = HX_PUBLIC,
     .params = PARAMS(TENSOR("input"), REQ_INTS("dim"), BOOL("keepdim", false)),
     .doc = "log(sum(exp(input))) over the given axes, without overflow.\n\n" AXES_DOC
            "All elements -inf give -inf; one +inf gives +inf.\n\n"
            "Example:\n    >>> helix.logsumexp(helix.tensor([1000., 1000.]), dim=0).item()\n    1000.6931762695312"},
    {.name = "linalg_vector_norm", .shape = vector_norm_shape, .vjp = vector_norm_vjp, .decompose = vector_norm_parts,
     .saves = SAVE_IN(0) | SAVE_OUT(0), .flags = HX_FUNCTION,
     .params = PARAMS(TENSOR("input"), NUMBER("ord", 2), OPT_INTS("dim"), BOOL("keepdim", false),
                      OPT_DTYPE("dtype", KW)),
     .doc = "The vector norm (sum of |x|^ord)^(1/ord) over the given axes.\n\n" AXES_DOC
            "ord: any number; inf takes the largest |x|, -inf the smallest, 0 counts what is not zero. The gradient is 0\n"
            "where the norm is 0.\n\n"
            "Example:\n    >>> helix.linalg_vector_norm(helix.tensor([3., 4.])).item()\n    5.0"},
    {.name = "norm", .decompose = norm_parts, .flags = HX_PUBLIC,
     .params = PARAMS(TENSOR("input"), NUMBER("p", 2), OPT_INTS("dim"), BOOL("keepdim", false), OPT_DTYPE("dtype")),
     .doc = "The p-norm over the given axes (2: Euclidean or Frobenius).\n\n" AXES_DOC
            "p: any number, inf or -inf, as ord of linalg_vector_norm.\n\n"
            "Example:\n    >>> helix.norm(helix.tensor([[3., 0.], [0., 4.]])).item()\n    5.0"},
    {.name = "aminmax", .outputs = "min, max", .decompose = aminmax_parts, .flags = HX_PUBLIC,
     .params = PARAMS(TENSOR("input"), OPT_INT("dim", KW), BOOL("keepdim", false)),
     .doc = "The smallest and the largest element along dim, or of all.\n\n"
            "Example:\n    >>> [t.item() for t in helix.aminmax(helix.tensor([3., 1., 2.]))]\n    [1.0, 3.0]"},
    {0}};
