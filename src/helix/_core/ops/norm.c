/* Normalisation over the last axes (layer_norm, rms_norm) and of vectors (normalize, cosine_similarity). */
#include <float.h>
#include <string.h>
#include "rules.h"

/* ---- shapes ---- */

static hx_status check_weight(const hx_tensor *w, const char *name, const hx_attr *shape) {
    if (!w) return HX_OK;
    bool same = w->ndim == (int)shape->count;
    for (int i = 0; same && i < w->ndim; i++) same = w->shape[i] == shape->v.ints[i];
    if (same) return hx_require_dtype(w, name, HX_SET_FLOAT);
    return hx_fail_about(FACTS(name, hx_shape_text(shape->v.ints, (int)shape->count),
                               hx_shape_text(w->shape, w->ndim)), HX_E_SHAPE, HX1002_INNER,
                         "%s has shape %s, but normalized_shape is %s; they must be equal", name,
                         hx_shape_text(w->shape, w->ndim), hx_shape_text(shape->v.ints, (int)shape->count));
}

/* The last sizes of the input must be normalized_shape. `at`: the first weight among the inputs, `n` of them. */
static hx_status check_rows(hx_call *c, const hx_tensor *x, int at, int n) {
    const hx_attr *shape = &c->attr[0];
    static const char *const names[] = {"weight", "bias"};
    int k = (int)shape->count;
    bool fits = k > 0 && k <= x->ndim;
    for (int i = 0; fits && i < k; i++) fits = x->shape[x->ndim - k + i] == shape->v.ints[i];
    if (!fits)
        return hx_fail_about(FACTS(.argument = "normalized_shape", .got = hx_shape_text(shape->v.ints, k)),
                             HX_E_SHAPE, HX1002_INNER,
                             "normalized_shape %s must equal the last sizes of input, which has shape %s",
                             hx_shape_text(shape->v.ints, k), hx_shape_text(x->shape, x->ndim));
    HX_TRY(hx_require_dtype(x, "input", HX_SET_FLOAT));
    bool half = x->dtype == HX_F16 || x->dtype == HX_BF16;
    for (int i = 0; i < n; i++) {
        const hx_tensor *w = c->in[at + i];
        HX_TRY(check_weight(w, names[i], shape));
        if (w && !half) c->cast[at + i] = (int8_t)x->dtype;
        else if (w && w->dtype == HX_F64) c->cast[at + i] = HX_F32;
    }
    return HX_OK;
}

/* One statistic a row: float32, or float64 for float64. */
static void statistic(hx_spec *s, const hx_tensor *x, const hx_attr *shape) {
    s->dtype = x->dtype == HX_F64 ? HX_F64 : HX_F32;
    s->ndim = x->ndim;
    for (int i = 0; i < x->ndim; i++) s->shape[i] = i < x->ndim - (int)shape->count ? x->shape[i] : 1;
}

static hx_status layer_norm_shape(hx_call *c) {
    HX_TRY(check_rows(c, c->in[0], 1, 2));
    hx_spec_like(&c->spec[0], c->in[0]);
    statistic(&c->spec[1], c->in[0], &c->attr[0]);
    c->spec[2] = c->spec[1];
    return HX_OK;
}

static hx_status rms_norm_shape(hx_call *c) {
    HX_TRY(check_rows(c, c->in[0], 1, 1));
    hx_spec_like(&c->spec[0], c->in[0]);
    statistic(&c->spec[1], c->in[0], &c->attr[0]);
    return HX_OK;
}

static hx_status check_sizes(const hx_tensor *t, const char *name, const int64_t *shape, int ndim) {
    bool same = t->ndim == ndim;
    for (int i = 0; same && i < ndim; i++) same = t->shape[i] == shape[i];
    if (same) return HX_OK;
    return hx_fail_about(FACTS(name, hx_shape_text(shape, ndim), hx_shape_text(t->shape, t->ndim)), HX_E_SHAPE,
                         HX1002_INNER, "%s must have shape %s, got %s", name, hx_shape_text(shape, ndim),
                         hx_shape_text(t->shape, t->ndim));
}

/* in: gradient, input, statistics (one or two), weight; out: of input, and with a weight of it (and of the bias) */
static hx_status backward_shape(hx_call *c, int weight_at, int sums) {
    hx_tensor *weight = c->in[weight_at], *x = c->in[1];
    hx_spec row;
    HX_TRY(check_rows(c, x, weight_at, 1));
    HX_TRY(check_sizes(c->in[0], "gradient", x->shape, x->ndim));
    statistic(&row, x, &c->attr[0]);
    for (int i = 2; i < weight_at; i++) {
        HX_TRY(check_sizes(c->in[i], i + 1 == weight_at ? "rstd" : "mean", row.shape, row.ndim));
        c->cast[i] = (int8_t)row.dtype;
    }
    c->cast[0] = (int8_t)x->dtype;
    hx_spec_like(&c->spec[0], c->in[1]);
    c->n_out = weight ? 1 + sums : 1;
    for (int i = 1; i < c->n_out; i++) hx_spec_like(&c->spec[i], weight);
    return HX_OK;
}
static hx_status layer_norm_backward_shape(hx_call *c) { return backward_shape(c, 4, 2); }
static hx_status rms_norm_backward_shape(hx_call *c) { return backward_shape(c, 3, 1); }

/* ---- parts ---- */

/* The normalised axes as a list, and the ones before them. */
typedef struct rows {
    int64_t inner[HX_MAX_RANK], outer[HX_MAX_RANK];
    int n_inner, n_outer;
} rows;

static rows rows_of(const hx_tensor *x, const hx_attr *shape) {
    rows r = {.n_inner = (int)shape->count, .n_outer = x->ndim - (int)shape->count};
    for (int i = 0; i < r.n_outer; i++) r.outer[i] = i;
    for (int i = 0; i < r.n_inner; i++) r.inner[i] = r.n_outer + i;
    return r;
}

/* Half types are computed in float32. */
static hx_tensor *wide(hx_tensor *t) {
    if (!t || (t->dtype != HX_F16 && t->dtype != HX_BF16)) return t;
    return CALL(cast, t, (int)HX_F32);
}

static hx_tensor *mean_rows(hx_tensor *t, const rows *r) { return CALL(mean, t, ((hx_ints){r->inner, r->n_inner}),
                                                                       true); }

static hx_tensor *sum_outer(hx_tensor *t, const rows *r) {
    return r->n_outer ? CALL(sum, t, ((hx_ints){r->outer, r->n_outer}), false) : t;
}

/* The normalised rows, with 1 / their scale; `mean` only when centered. */
static hx_tensor *normalised(hx_tensor *x, const rows *r, double eps, hx_tensor **mean, hx_tensor **rstd) {
    if (mean) {
        *mean = mean_rows(x, r);
        x = CALL(sub, x, *mean);
    }
    *rstd = CALL(rsqrt, CALL(add, mean_rows(CALL(mul, x, x), r), eps));
    return CALL(mul, x, *rstd);
}

static hx_status norm_parts(hx_call *c, bool centered) {
    hx_tensor *x = wide(c->in[0]), *weight = wide(c->in[1]), *bias = centered ? wide(c->in[2]) : NULL;
    hx_tensor *mean = NULL, *rstd;
    rows r = rows_of(c->in[0], &c->attr[0]);
    hx_tensor *y = normalised(x, &r, c->attr[1].v.f, centered ? &mean : NULL, &rstd);
    if (weight) y = CALL(mul, y, weight);
    if (bias) y = CALL(add, y, bias);
    RESULT(0, CALL(cast, y, c->in[0]->dtype));
    if (centered) RESULT(1, mean);
    RESULT(centered ? 2 : 1, rstd);
    return HX_OK;
}
static hx_status native_layer_norm_parts(hx_call *c) { return norm_parts(c, true); }
static hx_status native_rms_norm_parts(hx_call *c) { return norm_parts(c, false); }

/* Computes the statistics again, so that their dependence on the input is differentiated too. */
static hx_status backward_parts(hx_call *c, bool centered) {
    hx_tensor *g = wide(c->in[0]), *x = wide(c->in[1]), *weight = wide(c->in[centered ? 4 : 3]);
    hx_tensor *mean, *rstd;
    rows r = rows_of(c->in[1], &c->attr[0]);
    hx_tensor *xhat = normalised(x, &r, c->attr[1].v.f, centered ? &mean : NULL, &rstd);
    hx_tensor *gw = weight ? CALL(mul, g, weight) : g;
    hx_tensor *along = CALL(mul, xhat, mean_rows(CALL(mul, gw, xhat), &r));
    hx_tensor *rest = CALL(sub, centered ? CALL(sub, gw, mean_rows(gw, &r)) : gw, along);
    RESULT(0, CALL(cast, CALL(mul, rest, rstd), c->in[1]->dtype));
    if (!weight) return HX_OK;
    RESULT(1, CALL(cast, sum_outer(CALL(mul, g, xhat), &r), c->spec[1].dtype));
    if (centered) RESULT(2, CALL(cast, sum_outer(g, &r), c->spec[2].dtype));
    return HX_OK;
}
static hx_status layer_norm_backward_parts(hx_call *c) { return backward_parts(c, true); }
static hx_status rms_norm_backward_parts(hx_call *c) { return backward_parts(c, false); }

/* ---- gradients ---- */

static hx_tensor *bias_gradient(hx_vjp *v) {
    rows r = rows_of(G, ATTR(0));
    return sum_outer(G, &r);
}

static hx_status layer_norm_vjp(hx_vjp *v) {
    hx_tensor *grads[3] = {NULL}, *weight = IN(1);
    if (!v->g[0]) return HX_OK;
    if (v->need[0] || v->need[1])
        CALLN(grads, 3, layer_norm_backward, G, IN(0), OUT(1), OUT(2), weight, ATTR(0), ATTR(1));
    GIN(0, grads[0]);
    GIN(1, grads[1]);
    GIN(2, grads[2] ? grads[2] : bias_gradient(v));
    return HX_OK;
}

static hx_status rms_norm_vjp(hx_vjp *v) {
    hx_tensor *grads[2] = {NULL};
    if (!v->g[0]) return HX_OK;
    CALLN(grads, 2, rms_norm_backward, G, IN(0), OUT(1), IN(1), ATTR(0), ATTR(1));
    GIN(0, grads[0]);
    GIN(1, grads[1]);
    return HX_OK;
}

/* ---- what users call ---- */

static hx_status layer_norm_parts(hx_call *c) {
    HX_TRY(check_rows(c, c->in[0], 1, 2));
    RESULT(0, CALL(native_layer_norm, c->in[0], c->in[1], c->in[2], &c->attr[0], &c->attr[1]));
    return HX_OK;
}

static double epsilon_of(hx_dtype t) {
    switch (t) {
    case HX_F16: return 0x1p-10;
    case HX_BF16: return 0x1p-7;
    case HX_F64: return DBL_EPSILON;
    default: return FLT_EPSILON;
    }
}

static hx_status rms_norm_parts(hx_call *c) {
    HX_TRY(check_rows(c, c->in[0], 1, 1));
    double eps = hx_given(&c->attr[1]) ? hx_number_as_float(&c->attr[1]) : epsilon_of((hx_dtype)c->in[0]->dtype);
    RESULT(0, CALL(native_rms_norm, c->in[0], c->in[1], &c->attr[0], eps));
    return HX_OK;
}

static hx_status normalize_parts(hx_call *c) {
    hx_tensor *x = c->in[0], *norm = CALL(norm, x, &c->attr[0], &c->attr[1], true);
    RESULT(0, CALL(div, x, CALL(maximum, norm, c->attr[2].v.f)));
    return HX_OK;
}

/* The axis counts after both are stretched to one shape. */
static hx_status cosine_similarity_parts(hx_call *c) {
    hx_tensor *a = c->in[0], *b = c->in[1];
    int64_t shape[HX_MAX_RANK];
    int ndim = 0;
    HX_TRY(hx_broadcast_into(shape, &ndim, a->shape, a->ndim));
    hx_status status = hx_broadcast_into(shape, &ndim, b->shape, b->ndim);
    if (status) return hx_error_argument(c->op->name, c->op->params[1].name), status;
    if (a->ndim != ndim || b->ndim != ndim || memcmp(a->shape, b->shape, (size_t)ndim * sizeof *shape)) {
        a = CALL(expand, a, ((hx_ints){shape, ndim}));
        b = CALL(expand, b, ((hx_ints){shape, ndim}));
    }
    hx_ints dim = {&c->attr[0].v.i, 1};
    double eps = c->attr[1].v.f;
    hx_tensor *pa = CALL(maximum, CALL(linalg_vector_norm, a, 2.0, dim, true), eps);
    hx_tensor *pb = CALL(maximum, CALL(linalg_vector_norm, b, 2.0, dim, true), eps);
    RESULT(0, CALL(sum, CALL(mul, CALL(div, a, pa), CALL(div, b, pb)), dim));
    return HX_OK;
}

/* attr: size, alpha, beta, k */
static hx_status local_response_norm_parts(hx_call *c) {
    hx_tensor *x = c->in[0];
    int64_t size = c->attr[0].v.i;
    HX_TRY(hx_require_dtype(x, "input", HX_SET_FLOAT | HX_SET_INTEGER));
    if (x->ndim < 3)
        return hx_refuse_rank(x, "input", "have 3 or more dimensions (batch, channels, ...)");
    if (size < 1) return hx_fail(HX_E_VALUE, HX1403_VALUE, "size must be at least 1, got %lld", (long long)size);
    if (!x->numel) {
        RESULT(0, CALL(clone, x));
        return HX_OK;
    }
    hx_tensor *squares = CALL(reshape, CALL(mul, x, x), HX_INTS(x->shape[0], 1, x->shape[1], -1));
    squares = CALL(constant_pad, squares, 0, HX_INTS(0, 0, size / 2, (size - 1) / 2));
    hx_tensor *mean = CALL(reshape, CALL(avg_pool2d, squares, HX_INTS(size, 1), HX_INTS(1)), ((hx_ints){x->shape, x->ndim}));
    hx_tensor *scale = CALL(add, CALL(mul, mean, c->attr[1].v.f), c->attr[3].v.f);
    RESULT(0, CALL(div, x, CALL(pow, scale, c->attr[2].v.f)));
    return HX_OK;
}

#define LAYER_NORM TENSOR("input"), OPT_TENSOR("weight"), OPT_TENSOR("bias"), REQ_INTS("normalized_shape"), \
    FLOAT("eps", 1e-5)

const hx_op hx_ops_norm[] = {
    {.name = "layer_norm", .decompose = layer_norm_parts, .flags = HX_FUNCTION | HX_NN,
     .params = PARAMS(TENSOR("input"), REQ_INTS("normalized_shape"), OPT_TENSOR("weight"), OPT_TENSOR("bias"),
                      FLOAT("eps", 1e-5)),
     .doc = "Normalises rows over the last axes to mean 0 and variance 1, then scales by weight and adds bias.\n\n"
            "normalized_shape: the last sizes of input; weight and bias have this shape. eps is added to the (biased)\n"
            "variance. Floating dtypes; half types are computed in float32, and take float32 weights too.\n"
            "Source: Ba, Kiros, Hinton, \"Layer normalization\" (2016).\n\n"
            "Example:\n    >>> helix.layer_norm(helix.tensor([-1., 1.]), [2], eps=0.).tolist()\n    [-1.0, 1.0]"},
    {.name = "native_layer_norm", .outputs = "output, mean, rstd", .shape = layer_norm_shape, .vjp = layer_norm_vjp,
     .decompose = native_layer_norm_parts, .saves = SAVE_IN(0) | SAVE_IN(1) | SAVE_OUT(1) | SAVE_OUT(2),
     .flags = HX_INTERNAL_OP | HX_NONDIFF_OUT1, .params = PARAMS(LAYER_NORM),
     .doc = "layer_norm with the mean and 1 / standard deviation of each row."},
    {.name = "layer_norm_backward", .outputs = "input, weight, bias", .shape = layer_norm_backward_shape,
     .decompose = layer_norm_backward_parts, .flags = HX_INTERNAL_OP,
     .params = PARAMS(TENSOR("gradient"), TENSOR("input"), TENSOR("mean"), TENSOR("rstd"), OPT_TENSOR("weight"),
                      REQ_INTS("normalized_shape"), FLOAT("eps", 1e-5)),
     .doc = "The gradients of layer_norm; of weight and bias only with a weight."},
    {.name = "rms_norm", .decompose = rms_norm_parts, .flags = HX_FUNCTION | HX_NN,
     .params = PARAMS(TENSOR("input"), REQ_INTS("normalized_shape"), OPT_TENSOR("weight"), OPT_FLOAT("eps")),
     .doc = "Divides rows over the last axes by their root mean square, then scales by weight.\n\n"
            "normalized_shape: the last sizes of input; weight has this shape. eps is added to the mean square; None\n"
            "takes the spacing of the dtype at 1. Floating dtypes; half types are computed in float32.\n"
            "Source: Zhang, Sennrich, \"Root mean square layer normalization\" (2019).\n\n"
            "Example:\n    >>> helix.rms_norm(helix.tensor([-2., 2.]), [2], eps=0.).tolist()\n    [-1.0, 1.0]"},
    {.name = "native_rms_norm", .outputs = "output, rstd", .shape = rms_norm_shape, .vjp = rms_norm_vjp,
     .decompose = native_rms_norm_parts, .saves = SAVE_IN(0) | SAVE_IN(1) | SAVE_OUT(1),
     .flags = HX_INTERNAL_OP | HX_NONDIFF_OUT1,
     .params = PARAMS(TENSOR("input"), OPT_TENSOR("weight"), REQ_INTS("normalized_shape"), FLOAT("eps", 1e-5)),
     .doc = "rms_norm with 1 / root mean square of each row."},
    {.name = "rms_norm_backward", .outputs = "input, weight", .shape = rms_norm_backward_shape,
     .decompose = rms_norm_backward_parts, .flags = HX_INTERNAL_OP,
     .params = PARAMS(TENSOR("gradient"), TENSOR("input"), TENSOR("rstd"), OPT_TENSOR("weight"),
                      REQ_INTS("normalized_shape"), FLOAT("eps", 1e-5)),
     .doc = "The gradients of rms_norm; of weight only where there is one."},
    {.name = "local_response_norm", .decompose = local_response_norm_parts, .flags = HX_NN,
     .params = PARAMS(TENSOR("input"), REQ_INT("size"), FLOAT("alpha", 1e-4), FLOAT("beta", 0.75), FLOAT("k", 1)),
     .doc = "Divides by (k + alpha m)^beta, where m is the mean of squares over `size` neighbouring channels.\n\n"
            "input: (batch, channels, ...); channels outside count as 0. Source: Krizhevsky, Sutskever, Hinton, \"ImageNet\n"
            "classification with deep convolutional neural networks\" (2012).\n\n"
            "Example:\n    >>> x = helix.tensor([[[3.0], [4.0]]])\n"
            "    >>> helix.nn.functional.local_response_norm(x, 1, alpha=1.0, beta=0.5, k=0.0).tolist()\n"
            "    [[[1.0], [1.0]]]"},
    {.name = "normalize", .decompose = normalize_parts, .flags = HX_NN,
     .params = PARAMS(TENSOR("input"), NUMBER("p", 2), INTS("dim", 1), FLOAT("eps", 1e-12)),
     .doc = "Divides by the p-norm over dim, or by eps where that is larger.\n\n"
            "Example:\n    >>> helix.nn.functional.normalize(helix.tensor([[3., 4.]])).tolist()\n"
            "    [[0.6000000238418579, 0.800000011920929]]"},
    {.name = "cosine_similarity", .decompose = cosine_similarity_parts, .flags = HX_FUNCTION | HX_NN,
     .params = PARAMS(TENSOR("x1"), TENSOR("x2"), INT("dim", 1), FLOAT("eps", 1e-8)),
     .doc = "The cosine of the angle between vectors along dim. Norms below eps count as eps.\n\n"
            "Example:\n    >>> helix.cosine_similarity(helix.tensor([1., 0.]), helix.tensor([1., 0.]), dim=0).item()\n    1.0"},
    {0}};
