/* Running sums, products and extremes along an axis. */
#include <math.h>
#include "rules.h"

static hx_status scan_axis(hx_call *c) {
    int axis;
    HX_TRY(hx_axis(c->attr[0].v.i, c->in[0]->ndim, &axis));
    c->attr[0].v.i = axis;
    hx_spec_like(&c->spec[0], c->in[0]);
    return HX_OK;
}

/* attr: dim, dtype; small integers are added as int64 */
static hx_status cumsum_shape(hx_call *c) {
    HX_TRY(scan_axis(c));
    hx_dtype from = (hx_dtype)c->in[0]->dtype, to = hx_is_integral(from) ? HX_I64 : from;
    if (hx_given(&c->attr[1])) to = (hx_dtype)c->attr[1].v.i;
    c->compute = (int8_t)to;
    c->spec[0].dtype = (uint8_t)to;
    return HX_OK;
}

static hx_status logcumsumexp_shape(hx_call *c) {
    HX_TRY(scan_axis(c));
    if (!hx_is_integral((hx_dtype)c->in[0]->dtype)) return HX_OK;
    c->compute = (int8_t)hx_default_float();
    c->spec[0].dtype = (uint8_t)c->compute;
    return HX_OK;
}

static hx_status cummax_shape(hx_call *c) {
    HX_TRY(hx_require_dtype(c->in[0], "input", HX_SET_REAL));
    HX_TRY(scan_axis(c));
    c->spec[1] = c->spec[0];
    c->spec[1].dtype = HX_I64;
    return HX_OK;
}

/* The running sum from the far end. */
static hx_tensor *sum_backwards(hx_tensor *t, const hx_vjp *v) {
    if (v->in_spec[0].ndim == 0) return t;
    hx_ints axis = {&v->attr[0].v.i, 1};
    return CALL(flip, CALL(cumsum, CALL(flip, t, axis), &v->attr[0]), axis);
}

static hx_status cumsum_vjp(hx_vjp *v) {
    GIN(0, sum_backwards(G, v));
    return HX_OK;
}

/* Every product, and in it x_i exchanged for 1, written out (n x n): right to any order, at zeros too. */
static hx_tensor *products_without_each(hx_tensor *x, hx_tensor *g, int64_t axis) {
    if (x->ndim == 0) return g;
    int64_t n = x->shape[axis];
    hx_tensor *last = CALL(unsqueeze, CALL(transpose, x, axis, -1), -2), *self = CALL(eye, n);
    hx_tensor *through = CALL(cumprod, CALL(where, CALL(ne, self, 0), 1.0, last), -1);
    through = CALL(where, CALL(ne, CALL(triu, CALL(ones_like, self)), 0), cj(through), 0.0);
    hx_tensor *sums = CALL(sum, CALL(mul, through, CALL(unsqueeze, CALL(transpose, g, axis, -1), -2)), -1);
    return CALL(transpose, sums, axis, -1);
}

/* Before the first zero, sums of g * result / x. At it, the same with the zero taken as 1. Behind it, 0. */
static hx_status cumprod_vjp(hx_vjp *v) {
    hx_tensor *x = IN(0), *zero = CALL(eq, x, 0);
    if (hx_zeros_matter(zero)) {
        GIN(0, products_without_each(x, G, ATTR(0)->v.i));
        return HX_OK;
    }
    hx_tensor *zeros = CALL(cumsum, zero, ATTR(0));
    hx_tensor *first = CALL(logical_and, zero, CALL(eq, zeros, 1));
    hx_tensor *others = CALL(cumprod, CALL(where, first, 1.0, x), ATTR(0));
    hx_tensor *sums = sum_backwards(CALL(mul, G, cj(others)), v);
    hx_tensor *all = CALL(mul, G, cj(CALL(cumprod, x, ATTR(0))));
    hx_tensor *before = CALL(div, sum_backwards(all, v), cj(CALL(where, zero, 1.0, x)));
    hx_tensor *from = CALL(where, first, sums, 0.0);
    GIN(0, CALL(where, CALL(eq, zeros, 0), before, from));
    return HX_OK;
}

/* exp(x_i) * sum over j >= i of g_j exp(-result_j), in logarithms; g is the part of one sign. */
static hx_tensor *log_part(hx_vjp *v, hx_tensor *g) {
    hx_ints axis = {&v->attr[0].v.i, 1};
    hx_tensor *some = CALL(logical_not, CALL(le, g, 0)); /* NaN too */
    hx_tensor *logs = CALL(sub, CALL(log, CALL(where, some, g, 1.0)), OUT(0));
    logs = CALL(where, some, logs, -INFINITY);
    if (v->in_spec[0].ndim == 0) return CALL(exp, CALL(add, logs, IN(0)));
    hx_tensor *sums = CALL(flip, CALL(logcumsumexp, CALL(flip, logs, axis), ATTR(0)), axis);
    return CALL(exp, CALL(add, sums, IN(0)));
}

/* Twice as many elements summed in each round. */
static hx_status logcumsumexp_parts(hx_call *c) {
    int64_t axis = c->attr[0].v.i;
    hx_tensor *t = CALL(cast, c->in[0], c->spec[0].dtype);
    int64_t size = t && t->ndim ? t->shape[axis] : 0;
    for (int64_t step = 1; step < size && t; step *= 2) {
        hx_tensor *near = CALL(narrow, t, axis, step, size - step), *far = CALL(narrow, t, axis, 0, size - step);
        hx_tensor *parts[2] = {CALL(narrow, t, axis, 0, step), CALL(logaddexp, near, far)};
        t = CALL(cat, ((hx_list){parts, 2}), axis);
    }
    RESULT(0, t == c->in[0] ? CALL(clone, t) : t);
    return HX_OK;
}

static hx_status complex_logcumsumexp_vjp(hx_vjp *v) {
    hx_ints axis = {&v->attr[0].v.i, 1};
    hx_tensor *logs = CALL(sub, CALL(log, G), cj(OUT(0)));
    if (v->in_spec[0].ndim) logs = CALL(flip, CALL(logcumsumexp, CALL(flip, logs, axis), ATTR(0)), axis);
    GIN(0, CALL(exp, CALL(add, logs, cj(IN(0)))));
    return HX_OK;
}

static hx_status logcumsumexp_vjp(hx_vjp *v) {
    if (hx_is_complex((hx_dtype)v->in_spec[0].dtype)) return complex_logcumsumexp_vjp(v);
    GIN(0, CALL(sub, log_part(v, G), log_part(v, CALL(neg, G))));
    return HX_OK;
}

static hx_status cummax_vjp(hx_vjp *v) {
    if (!v->g[0]) return HX_OK;
    if (v->in_spec[0].ndim == 0) GIN(0, v->g[0]);
    else GIN(0, CALL(scatter_add, hx_full_like_spec(&v->in_spec[0], 0, NULL), ATTR(0), OUT(1), v->g[0]));
    return HX_OK;
}

static hx_tensor *difference(hx_tensor *x, int64_t axis) {
    int64_t n = x ? x->shape[axis] : 0;
    if (n == 0) return x;
    hx_tensor *high = CALL(narrow, x, axis, 1, n - 1), *low = CALL(narrow, x, axis, 0, n - 1);
    return x->dtype == HX_BOOL ? CALL(logical_xor, high, low) : CALL(sub, high, low);
}

/* in: input, prepend, append; attr: n, dim */
static hx_status diff_parts(hx_call *c) {
    hx_tensor *parts[3], *x = c->in[0];
    int count = 0, axis;
    HX_TRY(hx_axis(c->attr[1].v.i, x->ndim, &axis));
    if (x->ndim == 0) return hx_refuse_rank(x, "input", "have at least one dimension");
    if (c->attr[0].v.i < 0) return hx_refuse(HX_E_VALUE, HX1403_VALUE, "n", "not be negative", "%lld",
                                             (long long)c->attr[0].v.i);
    if (c->in[1] && c->attr[0].v.i) parts[count++] = c->in[1];
    parts[count++] = x;
    if (c->in[2] && c->attr[0].v.i) parts[count++] = c->in[2];
    if (count > 1) x = CALL(cat, ((hx_list){parts, count}), axis);
    for (int64_t i = 0; i < c->attr[0].v.i && x && x->shape[axis] > 0; i++) x = difference(x, axis);
    RESULT(0, x);
    return HX_OK;
}

#define ALONG TENSOR("input"), REQ_INT("dim")
#define EXTREMES .outputs = "values, indices", .shape = cummax_shape, .vjp = cummax_vjp, .saves = SAVE_OUT(1)

const hx_op hx_ops_scan[] = {
    {.name = "cumsum", .shape = cumsum_shape, .vjp = cumsum_vjp,
     .flags = HX_PRIMITIVE | HX_PUBLIC | HX_INPLACE,
     .params = PARAMS(ALONG, OPT_DTYPE("dtype", KW)),
     .doc = "The sum of the elements up to each one along an axis.\n\n"
            "Integers and bool give int64; floats run in double. dtype: the input is cast to it first.\n\n"
            "Example:\n    >>> helix.cumsum(helix.tensor([1., 2., 3.]), dim=0).tolist()\n    [1.0, 3.0, 6.0]"},
    {.name = "cumprod", .shape = cumsum_shape, .vjp = cumprod_vjp, .saves = SAVE_IN(0),
     .flags = HX_PRIMITIVE | HX_PUBLIC | HX_INPLACE, .params = PARAMS(ALONG, OPT_DTYPE("dtype", KW)),
     .doc = "The product of the elements up to each one along an axis.\n\n"
            "Integers and bool give int64; floats run in double. dtype: the input is cast to it first.\n\n"
            "Example:\n    >>> helix.cumprod(helix.tensor([1., 2., 3.]), dim=0).tolist()\n    [1.0, 2.0, 6.0]"},
    {.name = "logcumsumexp", .shape = logcumsumexp_shape, .vjp = logcumsumexp_vjp, .decompose = logcumsumexp_parts,
     .saves = SAVE_IN(0) | SAVE_OUT(0), .flags = HX_PUBLIC, .params = PARAMS(ALONG),
     .doc = "log(cumsum(exp(input))) along an axis, without overflow.\n\n"
            "Example:\n    >>> helix.logcumsumexp(helix.tensor([0., 0.]), dim=0).tolist()\n    [0.0, 0.6931471824645996]"},
    {.name = "cummax", EXTREMES, .flags = HX_PRIMITIVE | HX_PUBLIC | HX_NONDIFF_OUT1, .params = PARAMS(ALONG),
     .doc = "The largest element up to each one along an axis, and where it stands (the last of equal ones).\n\n"
            "Example:\n    >>> helix.cummax(helix.tensor([1., 3., 2.]), dim=0).values.tolist()\n    [1.0, 3.0, 3.0]"},
    {.name = "cummin", EXTREMES, .flags = HX_PRIMITIVE | HX_PUBLIC | HX_NONDIFF_OUT1, .params = PARAMS(ALONG),
     .doc = "The smallest element up to each one along an axis, and where it stands (the last of equal ones).\n\n"
            "Example:\n    >>> helix.cummin(helix.tensor([2., 3., 1.]), dim=0).values.tolist()\n    [2.0, 2.0, 1.0]"},
    {.name = "diff", .decompose = diff_parts, .flags = HX_PUBLIC,
     .params = PARAMS(TENSOR("input"), INT("n", 1), INT("dim", -1), OPT_TENSOR("prepend"), OPT_TENSOR("append")),
     .doc = "The differences of neighbours along an axis, n times.\n\n"
            "Example:\n    >>> helix.diff(helix.tensor([1., 4., 9.])).tolist()\n    [3.0, 5.0]"},
    {0}};
