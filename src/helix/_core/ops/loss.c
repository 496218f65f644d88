/* Losses. Each has reduction: 'mean' (default), 'sum' or 'none'. */
#include <math.h>
#include "../trace.h"
#include "rules.h"

/* ---- reduction ---- */

static hx_status reduced(hx_call *c, hx_tensor *loss, const hx_attr *reduction) {
    if (hx_str_is(reduction, "mean")) RESULT(0, CALL(mean, loss));
    else if (hx_str_is(reduction, "sum")) RESULT(0, CALL(sum, loss));
    else RESULT(0, loss);
    return HX_OK;
}

static hx_tensor *weighted(hx_tensor *loss, hx_tensor *weight) { return weight ? CALL(mul, loss, weight) : loss; }

/* max(x, 0) */
static hx_tensor *positive(hx_tensor *x) { return CALL(maximum, x, 0); }

/* ---- cross-entropy ---- */

static int class_axis(const hx_tensor *scores) { return scores->ndim > 1 ? 1 : 0; }

static hx_status check_scores(const hx_tensor *x) {
    HX_TRY(hx_require_dtype(x, "input", HX_SET_FLOAT));
    if (x->ndim == 0)
        return hx_refuse_rank(x, "input", "have a class axis, as in (C), (N, C) or (N, C, d1, ...)");
    return HX_OK;
}

/* target has the shape of input without its class axis; weight has one value a class. */
static hx_status check_indices(const hx_tensor *x, const hx_tensor *target, const hx_tensor *weight) {
    int axis = class_axis(x);
    HX_TRY(check_scores(x));
    HX_TRY(hx_require_dtype(target, "target", HX_SET_INTEGER));
    bool fits = target->ndim == x->ndim - 1;
    for (int d = 0; fits && d < target->ndim; d++) fits = target->shape[d] == x->shape[d < axis ? d : d + 1];
    if (!fits)
        return hx_fail_about(FACTS(.argument = "target", .got = hx_shape_text(target->shape, target->ndim),
                                   .on_axis = true, .axis = axis), HX_E_SHAPE, HX1002_INNER,
                       "target has shape %s; class indices for input %s need input's shape without axis %d (the "
                       "classes)%s",
                       hx_shape_text(target->shape, target->ndim), hx_shape_text(x->shape, x->ndim), axis,
                       target->ndim == x->ndim && target->shape[axis] == 1 ? hx_text(". Call target.squeeze(%d)", axis) : "");
    if (x->shape[axis] == 0)
        return hx_fail(HX_E_VALUE, HX1404_EMPTY, "input %s has no classes", hx_shape_text(x->shape, x->ndim));
    if (weight && (weight->ndim != 1 || weight->shape[0] != x->shape[axis]))
        return hx_fail_about(FACTS("weight", hx_text("(%lld,)", (long long)x->shape[axis]),
                                   hx_shape_text(weight->shape, weight->ndim)), HX_E_SHAPE, HX1002_INNER,
                             "weight has shape %s; it needs one value for each of the %lld classes",
                             hx_shape_text(weight->shape, weight->ndim), (long long)x->shape[axis]);
    return HX_OK;
}

static void without_classes(hx_spec *s, const hx_tensor *x, hx_dtype dtype) {
    hx_spec_reduce(s, dtype, x, 1u << class_axis(x), false);
}

/* attr: ignore_index, label_smoothing */
static hx_status native_shape(hx_call *c) {
    hx_tensor *x = c->in[0];
    HX_TRY(check_indices(x, c->in[1], c->in[2]));
    c->cast[1] = HX_I64;
    c->cast[2] = (int8_t)x->dtype;
    without_classes(&c->spec[0], x, (hx_dtype)x->dtype);
    without_classes(&c->spec[1], x, x->dtype == HX_F64 ? HX_F64 : HX_F32);
    c->spec[2] = c->spec[1];
    return HX_OK;
}

static hx_status native_vjp(hx_vjp *v) {
    if (!v->g[0]) return HX_OK;
    GIN(0, CALL(cross_entropy_backward, v->g[0], IN(0), IN(1), OUT(1), IN(2), ATTR(0), ATTR(1)));
    return HX_OK;
}

/* in: gradient, input, target, log_sum, weight */
static hx_status backward_shape(hx_call *c) {
    hx_spec_like(&c->spec[0], c->in[1]);
    c->cast[0] = c->cast[4] = (int8_t)c->in[1]->dtype;
    c->cast[2] = HX_I64;
    return HX_OK;
}

/* A weight of one value a class, shaped to stand beside the scores. */
static hx_tensor *along_classes(hx_tensor *weight, const hx_tensor *x) {
    int64_t shape[HX_MAX_RANK];
    for (int d = 0; d < x->ndim; d++) shape[d] = d == class_axis(x) ? x->shape[d] : 1;
    return CALL(reshape, weight, ((hx_ints){shape, x->ndim}));
}

/* How much of each log-probability counts: the target's share and, smoothed, every class's. 0 where ignored. */
static hx_tensor *shares(hx_tensor *x, hx_tensor *target, hx_tensor *weight, int64_t ignored, double smoothing) {
    int64_t axis = class_axis(x), classes = x->shape[axis];
    hx_tensor *t = CALL(unsqueeze, target, axis);
    hx_tensor *class = along_classes(CALL(arange, classes), x);
    hx_tensor *share = CALL(cast, CALL(eq, class, t), x->dtype);
    if (smoothing != 0)
        share = CALL(add, CALL(mul, share, 1 - smoothing), smoothing / (double)classes);
    if (weight) share = CALL(mul, share, along_classes(weight, x));
    return CALL(where, CALL(eq, t, ignored), 0.0, share);
}

static hx_status native_parts(hx_call *c) {
    hx_tensor *x = c->in[0], *target = c->in[1], *weight = c->in[2];
    int64_t axis = class_axis(x), ignored = c->attr[0].v.i;
    hx_tensor *share = shares(x, target, weight, ignored, c->attr[1].v.f);
    hx_tensor *lse = CALL(logsumexp, x, axis);
    RESULT(0, CALL(sum, CALL(mul, share, CALL(sub, CALL(unsqueeze, lse, axis), x)), axis));
    RESULT(1, lse);
    RESULT(2, CALL(sum, shares(x, target, weight, ignored, 0), axis));
    return HX_OK;
}

static hx_status backward_parts(hx_call *c) {
    hx_tensor *x = c->in[1];
    int64_t axis = class_axis(x);
    hx_tensor *share = shares(x, c->in[2], c->in[4], c->attr[0].v.i, c->attr[1].v.f);
    hx_tensor *slope = CALL(sub, CALL(mul, CALL(softmax, x, axis), CALL(sum, share, axis, true)), share);
    RESULT(0, CALL(mul, CALL(unsqueeze, c->in[0], axis), slope));
    return HX_OK;
}

/* target holds class probabilities */
static hx_status soft_cross_entropy(hx_call *c, double smoothing) {
    hx_tensor *x = c->in[0], *target = c->in[1];
    int64_t axis = class_axis(x);
    if (target->ndim != x->ndim)
        return hx_fail(HX_E_SHAPE, HX1002_INNER,
                       "target %s holds class probabilities (its dtype is %s) and needs the shape of input %s; for class "
                       "indices call target.to(int64)",
                       hx_shape_text(target->shape, target->ndim), hx_dtype_name((hx_dtype)target->dtype),
                       hx_shape_text(x->shape, x->ndim));
    if (smoothing != 0)
        target = CALL(add, CALL(mul, target, 1 - smoothing), smoothing / (double)x->shape[axis]);
    hx_tensor *logs = CALL(mul, CALL(log_softmax, x, axis), target);
    if (c->in[2]) logs = CALL(mul, logs, along_classes(c->in[2], x));
    hx_tensor *loss = CALL(neg, CALL(sum, logs, axis));
    if (!hx_str_is(&c->attr[1], "mean")) return reduced(c, loss, &c->attr[1]);
    double count = x->shape[axis] && loss ? (double)loss->numel : 0;
    RESULT(0, CALL(div, CALL(sum, loss), count));
    return HX_OK;
}

/* attr: ignore_index, reduction, label_smoothing */
static hx_status cross_entropy_parts(hx_call *c) {
    hx_tensor *out[3] = {NULL};
    double smoothing = c->attr[2].v.f;
    HX_TRY(check_scores(c->in[0]));
    if (!(smoothing >= 0 && smoothing <= 1))
        return hx_refuse(HX_E_VALUE, HX1403_VALUE, "label_smoothing", "lie in [0, 1]", "%g", smoothing);
    if (!hx_is_integral((hx_dtype)c->in[1]->dtype)) return soft_cross_entropy(c, smoothing);
    HX_TRY(check_indices(c->in[0], c->in[1], c->in[2]));
    CALLN(out, 3, native_cross_entropy, c->in[0], c->in[1], c->in[2], &c->attr[0], smoothing);
    if (!hx_str_is(&c->attr[1], "mean")) return reduced(c, out[0], &c->attr[1]);
    hx_tensor *mean = CALL(div, CALL(sum, out[0]), CALL(sum, out[2]));
    RESULT(0, CALL(cast, mean, c->in[0]->dtype));
    return HX_OK;
}

/* attr: ignore_index */
static hx_status nll_terms_shape(hx_call *c) {
    hx_tensor *x = c->in[0];
    HX_TRY(check_indices(x, c->in[1], c->in[2]));
    c->cast[1] = HX_I64;
    c->cast[2] = (int8_t)x->dtype;
    without_classes(&c->spec[0], x, (hx_dtype)x->dtype);
    c->spec[1] = c->spec[0];
    return HX_OK;
}
static hx_status nll_terms_parts(hx_call *c) {
    hx_tensor *x = c->in[0], *target = c->in[1], *weight = c->in[2];
    int64_t axis = class_axis(x), ignored = c->attr[0].v.i;
    target = CALL(cast, target, (int)HX_I64);
    hx_tensor *skip = CALL(eq, target, ignored), *safe = CALL(where, skip, 0, target);
    hx_tensor *picked = CALL(squeeze, CALL(gather, x, axis, CALL(unsqueeze, safe, axis)), axis);
    hx_tensor *scale = CALL(cast, CALL(logical_not, skip), x->dtype);
    if (weight) scale = CALL(mul, scale, CALL(reshape, CALL(index_select, weight, 0, CALL(reshape, safe, -1)),
                                              ((hx_ints){target ? target->shape : NULL, target ? target->ndim : 0})));
    RESULT(0, CALL(where, skip, 0.0, CALL(neg, CALL(mul, picked, scale))));
    RESULT(1, scale);
    return HX_OK;
}
static hx_status nll_terms_vjp(hx_vjp *v) {
    if (!v->g[0]) return HX_OK;
    int64_t axis = v->in_spec[0].ndim > 1 ? 1 : 0;
    hx_tensor *target = IN(1), *skip = CALL(eq, target, ATTR(0)->v.i), *safe = CALL(where, skip, 0, target);
    hx_tensor *share = CALL(where, skip, 0.0, CALL(neg, CALL(mul, v->g[0], OUT(1))));
    GIN(0, CALL(scatter_add, hx_full_like_spec(&v->in_spec[0], 0, NULL), axis, CALL(unsqueeze, safe, axis),
                CALL(unsqueeze, share, axis)));
    return HX_OK;
}

/* attr: ignore_index, reduction; the input holds log-probabilities */
static hx_status nll_parts(hx_call *c) {
    hx_tensor *out[2] = {NULL};
    HX_TRY(check_indices(c->in[0], c->in[1], c->in[2]));
    CALLN(out, 2, nll_terms, c->in[0], c->in[1], c->in[2], &c->attr[0]);
    if (!hx_str_is(&c->attr[1], "mean")) return reduced(c, out[0], &c->attr[1]);
    RESULT(0, CALL(div, CALL(sum, out[0]), CALL(sum, out[1])));
    return HX_OK;
}

/* ---- regression ---- */

static hx_status mse_parts(hx_call *c) {
    hx_tensor *d = CALL(sub, c->in[0], c->in[1]);
    return reduced(c, CALL(mul, d, d), &c->attr[0]);
}

static hx_status l1_parts(hx_call *c) { return reduced(c, CALL(abs, CALL(sub, c->in[0], c->in[1])), &c->attr[0]); }

/* d^2 / 2, and delta (|d| - delta / 2) where |d| > delta, for d = x - y */
static hx_tensor *huber_terms(hx_tensor *x, hx_tensor *y, double delta) {
    hx_tensor *d = CALL(abs, CALL(sub, x, y));
    hx_tensor *near = CALL(mul, CALL(mul, d, d), 0.5), *far = CALL(mul, CALL(sub, d, 0.5 * delta), delta);
    return CALL(where, CALL(le, d, delta), near, far);
}
static hx_status huber_distance_parts(hx_call *c) {
    RESULT(0, huber_terms(c->in[0], c->in[1], c->attr[0].v.f));
    return HX_OK;
}
static hx_status huber_distance_vjp(hx_vjp *v) {
    double delta = ATTR(0)->v.f;
    hx_tensor *g = CALL(mul, G, CALL(clamp, CALL(sub, IN(0), IN(1)), -delta, delta));
    GIN(0, g);
    if (v->need[1]) GIN(1, CALL(neg, g));
    return HX_OK;
}
static bool is_float(const hx_tensor *t) { return t && HX_SET_FLOAT & HX_BIT(t->dtype); }
/* In one pass where the dtypes allow it. */
static hx_tensor *huber_of(hx_call *c, double delta) {
    hx_tensor *x = c->in[0], *y = c->in[1];
    return is_float(x) && is_float(y) ? CALL(huber_distance, x, y, delta) : huber_terms(x, y, delta);
}

/* attr: reduction, beta */
static hx_status smooth_l1_parts(hx_call *c) {
    double beta = c->attr[1].v.f;
    if (!(beta >= 0)) return hx_refuse(HX_E_VALUE, HX1403_VALUE, "beta", "not be negative", "%g", beta);
    if (beta == 0) return l1_parts(c);
    hx_tensor *loss = huber_of(c, beta);
    return reduced(c, beta == 1 ? loss : CALL(div, loss, beta), &c->attr[0]);
}

/* attr: reduction, delta */
static hx_status huber_parts(hx_call *c) {
    double delta = c->attr[1].v.f;
    if (!(delta > 0)) return hx_refuse(HX_E_VALUE, HX1403_VALUE, "delta", "be positive", "%g", delta);
    return reduced(c, huber_of(c, delta), &c->attr[0]);
}

/* attr: full, eps, reduction */
static hx_status gaussian_nll_parts(hx_call *c) {
    hx_tensor *x = c->in[0], *var = c->in[2];
    if (var->ndim == x->ndim - 1) var = CALL(unsqueeze, var, -1);
    var = CALL(maximum, var, c->attr[1].v.f);
    hx_tensor *d = CALL(sub, x, c->in[1]);
    hx_tensor *loss = CALL(mul, CALL(add, CALL(log, var), CALL(div, CALL(mul, d, d), var)), 0.5);
    if (c->attr[0].v.i) loss = CALL(add, loss, 0.5 * log(2 * M_PI));
    return reduced(c, loss, &c->attr[2]);
}

/* attr: log_input, full, eps, reduction */
static hx_status poisson_nll_parts(hx_call *c) {
    hx_tensor *x = c->in[0], *t = c->in[1], *loss;
    HX_TRY(hx_require_dtype(x, "input", HX_SET_REAL));
    HX_TRY(hx_require_dtype(t, "target", HX_SET_REAL));
    if (c->attr[0].v.i) loss = CALL(sub, CALL(exp, x), CALL(mul, t, x));
    else loss = CALL(sub, x, CALL(mul, t, CALL(log, CALL(add, x, c->attr[2].v.f))));
    if (c->attr[1].v.i) { /* Stirling's approximation of log t! */
        hx_tensor *safe = CALL(maximum, t, 1.0);
        hx_tensor *term = CALL(sub, CALL(mul, safe, CALL(log, safe)), safe);
        term = CALL(add, term, CALL(mul, CALL(log, CALL(mul, safe, 2 * M_PI)), 0.5));
        loss = CALL(add, loss, CALL(where, CALL(le, t, 1), 0.0, term));
    }
    return reduced(c, loss, &c->attr[3]);
}

/* ---- probabilities ---- */

static hx_status check_same_shape(const hx_call *c) {
    const hx_tensor *a = c->in[0], *b = c->in[1];
    bool same = a->ndim == b->ndim;
    for (int d = 0; same && d < a->ndim; d++) same = a->shape[d] == b->shape[d];
    if (same) return HX_OK;
    return hx_fail_about(FACTS("target", hx_shape_text(a->shape, a->ndim), hx_shape_text(b->shape, b->ndim)),
                         HX_E_SHAPE, HX1002_INNER, "target has shape %s, input has shape %s; they must be equal",
                   hx_shape_text(b->shape, b->ndim), hx_shape_text(a->shape, a->ndim));
}

/* Logarithms are cut at -100, as torch does, so that a wrong certain prediction costs 100 and not infinity. */
static hx_status bce_parts(hx_call *c) {
    hx_tensor *x = c->in[0], *t = c->in[1];
    HX_TRY(check_same_shape(c));
    hx_tensor *yes = CALL(maximum, CALL(log, x), -100.0), *no = CALL(maximum, CALL(log1p, CALL(neg, x)), -100.0);
    hx_tensor *loss = CALL(sub, CALL(mul, CALL(sub, t, 1.0), no), CALL(mul, t, yes));
    return reduced(c, weighted(loss, c->in[2]), &c->attr[0]);
}

/* log(1 + exp(-x)) without overflow */
static hx_tensor *softplus_of_negative(hx_tensor *x) {
    return CALL(add, CALL(log1p, CALL(exp, CALL(neg, CALL(abs, x)))), positive(CALL(neg, x)));
}

/* in: input, target, weight, pos_weight; attr: reduction */
static hx_status bce_logits_parts(hx_call *c) {
    hx_tensor *x = c->in[0], *t = c->in[1], *rest = NULL;
    HX_TRY(check_same_shape(c));
    rest = softplus_of_negative(x);
    if (c->in[3]) rest = CALL(mul, rest, CALL(add, CALL(mul, CALL(sub, c->in[3], 1.0), t), 1.0));
    hx_tensor *loss = CALL(add, CALL(mul, CALL(sub, 1.0, t), x), rest);
    return reduced(c, weighted(loss, c->in[2]), &c->attr[0]);
}

/* attr: reduction, log_target */
static hx_status kl_div_parts(hx_call *c) {
    hx_tensor *x = c->in[0], *t = c->in[1], *loss;
    if (c->attr[1].v.i) loss = CALL(mul, CALL(exp, t), CALL(sub, t, x));
    else loss = CALL(sub, CALL(xlogy, t, t), CALL(mul, t, x));
    if (!hx_str_is(&c->attr[0], "batchmean")) return reduced(c, loss, &c->attr[0]);
    RESULT(0, CALL(div, CALL(sum, loss), x->ndim ? (double)x->shape[0] : 1.0));
    return HX_OK;
}

static hx_status soft_margin_parts(hx_call *c) {
    return reduced(c, softplus_of_negative(CALL(mul, c->in[0], c->in[1])), &c->attr[0]);
}

/* in: input, target, weight; attr: reduction */
static hx_status multilabel_soft_margin_parts(hx_call *c) {
    hx_tensor *x = c->in[0], *t = c->in[1];
    hx_tensor *yes = CALL(mul, t, softplus_of_negative(x));
    hx_tensor *no = CALL(mul, CALL(sub, 1.0, t), softplus_of_negative(CALL(neg, x)));
    return reduced(c, CALL(mean, weighted(CALL(add, yes, no), c->in[2]), -1), &c->attr[0]);
}

/* ---- margins and distances ---- */

/* attr: margin, reduction */
static hx_status hinge_embedding_parts(hx_call *c) {
    hx_tensor *x = c->in[0], *t = c->in[1];
    hx_tensor *far = CALL(where, CALL(ne, t, 1), positive(CALL(sub, c->attr[0].v.f, x)), 0.0);
    return reduced(c, CALL(add, far, CALL(where, CALL(ne, t, -1), x, 0.0)), &c->attr[1]);
}

static hx_status margin_ranking_parts(hx_call *c) {
    hx_tensor *d = CALL(mul, c->in[2], CALL(sub, c->in[1], c->in[0]));
    return reduced(c, positive(CALL(add, d, c->attr[0].v.f)), &c->attr[1]);
}

static hx_tensor *along_last(hx_tensor *a, hx_tensor *b) { return CALL(sum, CALL(mul, a, b), -1); }

static hx_status cosine_embedding_parts(hx_call *c) {
    hx_tensor *a = c->in[0], *b = c->in[1], *t = c->in[2];
    double eps = 1e-12; /* torch's */
    hx_tensor *product = along_last(a, b); /* first: shapes that do not fit are told of the inputs themselves */
    hx_tensor *squares = CALL(mul, CALL(add, along_last(a, a), eps), CALL(add, along_last(b, b), eps));
    hx_tensor *cosine = CALL(div, product, CALL(sqrt, squares));
    hx_tensor *alike = CALL(where, CALL(eq, t, 1), CALL(sub, 1.0, cosine), 0.0);
    hx_tensor *apart = CALL(where, CALL(eq, t, -1), positive(CALL(sub, cosine, c->attr[0].v.f)), 0.0);
    return reduced(c, CALL(add, alike, apart), &c->attr[1]);
}

static hx_tensor *distance(hx_tensor *a, hx_tensor *b, double p, double eps, bool keepdim) {
    hx_tensor *gap = CALL(add, CALL(sub, a, b), eps);
    if (gap && hx_is_complex((hx_dtype)gap->dtype)) gap = CALL(abs, gap);
    return CALL(linalg_vector_norm, gap, p, -1, keepdim);
}

/* attr: p, eps, keepdim */
static hx_status pairwise_distance_parts(hx_call *c) {
    RESULT(0, distance(c->in[0], c->in[1], c->attr[0].v.f, c->attr[1].v.f, c->attr[2].v.i));
    return HX_OK;
}

/* in: anchor, positive, negative; attr: margin, p, eps, swap, reduction */
static hx_status triplet_margin_parts(hx_call *c) {
    double p = c->attr[1].v.f, eps = c->attr[2].v.f;
    hx_tensor *near = distance(c->in[0], c->in[1], p, eps, false), *far = distance(c->in[0], c->in[2], p, eps, false);
    if (c->attr[3].v.i) far = CALL(minimum, far, distance(c->in[1], c->in[2], p, eps, false));
    return reduced(c, positive(CALL(add, CALL(sub, near, far), c->attr[0].v.f)), &c->attr[4]);
}

/* A tensor without axes as the score of a single class. */
static hx_tensor *one_score(hx_tensor *t) { return t->ndim ? t : CALL(reshape, t, HX_INTS(1)); }

/* in: input, target, weight; attr: p, margin, reduction */
static hx_status multi_margin_parts(hx_call *c) {
    hx_tensor *target = c->in[1], *weight = c->in[2], *x = target->ndim ? c->in[0] : one_score(c->in[0]);
    if (x && x->ndim == 1 && target->ndim == 1 && target->numel == 1) x = CALL(unsqueeze, x, 0); /* a batch of one */
    if (!x) return hx_error_last()->code;
    int64_t p = c->attr[0].v.i, axis = class_axis(x);
    HX_TRY(check_indices(x, target, weight));
    if (p != 1 && p != 2) return hx_refuse(HX_E_VALUE, HX1403_VALUE, "p", "be 1 or 2", "%lld", (long long)p);
    hx_tensor *t = CALL(unsqueeze, CALL(cast, target, (int)HX_I64), axis);
    hx_tensor *gap = positive(CALL(add, CALL(sub, x, CALL(gather, x, axis, t)), c->attr[1].v.f));
    if (p == 2) gap = CALL(mul, gap, gap);
    if (weight) gap = CALL(mul, gap, CALL(reshape, CALL(index_select, weight, 0, CALL(reshape, target, -1)),
                                          ((hx_ints){t ? t->shape : NULL, t ? t->ndim : 0})));
    hx_tensor *own = CALL(eq, along_classes(CALL(arange, x->shape[axis]), x), t);
    if (x->numel == 0 && hx_str_is(&c->attr[2], "mean")) { /* torch's loss of no samples */
        RESULT(0, CALL(sum, gap));
        return HX_OK;
    }
    return reduced(c, CALL(mean, CALL(where, own, 0.0, gap), axis), &c->attr[2]);
}

/* The last axis holds class numbers up to the first -1; `valid` marks them. */
static hx_status check_labels(hx_tensor *target, hx_tensor *valid, int64_t classes) {
    hx_scalar low, high;
    if (hx_tracing() || !target->numel) return HX_OK;
    hx_tensor *named = CALL(where, valid, target, 0);
    hx_tensor *least = CALL(amin, named), *most = CALL(amax, named);
    if (!least || !most) return hx_error_last()->code;
    HX_TRY(hx_tensor_item(least, &low));
    HX_TRY(hx_tensor_item(most, &high));
    if (low.v.i >= 0 && high.v.i < classes) return HX_OK;
    return hx_fail_about(FACTS("target", hx_text("0..%lld", (long long)(classes - 1)),
                               hx_text("%lld", (long long)(low.v.i < 0 ? low.v.i : high.v.i))), HX_E_INDEX, HX1301_INDEX,
                         "target %lld is not a class: input has %lld (valid 0..%lld; -1 ends a list)",
                   (long long)(low.v.i < 0 ? low.v.i : high.v.i), (long long)classes, (long long)(classes - 1));
}

/* attr: reduction. A pair of a target class and another class costs max(0, 1 - its score + the other's). */
static hx_status multilabel_margin_parts(hx_call *c) {
    hx_tensor *x = c->in[0], *target = c->in[1];
    HX_TRY(hx_require_dtype(x, "input", HX_SET_FLOAT));
    HX_TRY(hx_require_dtype(target, "target", HX_SET_INTEGER));
    HX_TRY(check_same_shape(c));
    if (!(x = one_score(x)) || !(target = one_score(target))) return hx_error_last()->code;
    if (x->ndim > 2)
        return hx_fail(HX_E_SHAPE, HX1001_RANK, "input must have shape (C) or (N, C), got %s",
                       hx_shape_text(x->shape, x->ndim));
    int64_t classes = x->shape[x->ndim - 1];
    target = CALL(cast, target, (int)HX_I64);
    hx_tensor *valid = CALL(eq, CALL(cumsum, CALL(eq, target, -1), -1), 0);
    if (!target || !valid) return hx_error_last()->code;
    HX_TRY(check_labels(target, valid, classes));
    hx_tensor *label = CALL(where, valid, target, 0), *counts = CALL(cast, valid, x->dtype);
    hx_tensor *named = CALL(gt, CALL(scatter_add, CALL(zeros_like, x), -1, label, counts), 0);
    hx_tensor *own = CALL(unsqueeze, CALL(gather, x, -1, label), -1), *other = CALL(unsqueeze, x, -2);
    hx_tensor *gap = positive(CALL(add, CALL(sub, other, own), 1.0));
    hx_tensor *pair = CALL(logical_and, CALL(unsqueeze, valid, -1), CALL(unsqueeze, CALL(logical_not, named), -2));
    hx_tensor *loss = CALL(sum, CALL(where, pair, gap, 0.0), HX_INTS(-2, -1));
    return reduced(c, CALL(div, loss, (double)(classes ? classes : 1)), &c->attr[0]);
}

/* ---- records ---- */

#define REDUCTION STRING("reduction", "mean", "mean|sum|none")
#define PAIR TENSOR("input"), TENSOR("target")
#define LOSS_DOC "reduction: 'mean', 'sum', or 'none' for the loss of every element.\n"
#define F "    >>> helix.nn.functional."
#define INDICES_DOC                                                                                           \
    "input: (C), (N, C) or (N, C, d1, ...). target: int64 class indices of input's shape without C.\n"         \
    "weight: one value a class; a mean is divided by the weights of the targets. Targets equal to ignore_index\n" \
    "do not count. Fails (HX1301) for targets that are no class, and (HX1503) for a weight that requires grad.\n"

const hx_op hx_ops_loss[] = {
    {.name = "cross_entropy", .decompose = cross_entropy_parts, .flags = HX_NN,
     .params = PARAMS(PAIR, OPT_TENSOR("weight"), INT("ignore_index", -100), REDUCTION, FLOAT("label_smoothing", 0)),
     .doc = "-log softmax(input) of the target class.\n\n" INDICES_DOC
            "target may also hold class probabilities: a floating tensor of input's shape. label_smoothing moves that\n"
            "share of each target evenly to all classes.\n" LOSS_DOC
            "\nExample:\n" F "cross_entropy(helix.tensor([[0., 0.]]), helix.tensor([1])).item()\n    0.6931471824645996"},
    {.name = "native_cross_entropy", .outputs = "loss, log_sum, scale", .shape = native_shape, .vjp = native_vjp,
     .decompose = native_parts, .saves = SAVE_IN(0) | SAVE_IN(1) | SAVE_IN(2) | SAVE_OUT(1),
     .constants = CONSTANT_IN(2), .flags = HX_INTERNAL_OP | HX_NONDIFF_OUT1,
     .params = PARAMS(PAIR, OPT_TENSOR("weight"), INT("ignore_index", -100), FLOAT("label_smoothing", 0)),
     .doc = "Cross-entropy of every position, with log-sum-exp of its scores and the weight of its target."},
    {.name = "cross_entropy_backward", .shape = backward_shape, .decompose = backward_parts, .flags = HX_INTERNAL_OP,
     .params = PARAMS(TENSOR("gradient"), PAIR, TENSOR("log_sum"), OPT_TENSOR("weight"), INT("ignore_index", -100),
                      FLOAT("label_smoothing", 0)),
     .doc = "The gradient of cross-entropy for the scores."},
    {.name = "nll_loss", .decompose = nll_parts, .flags = HX_NN,
     .params = PARAMS(PAIR, OPT_TENSOR("weight"), INT("ignore_index", -100), REDUCTION),
     .doc = "-input of the target class, where input holds log-probabilities.\n\n" INDICES_DOC LOSS_DOC
            "\nExample:\n" F "nll_loss(helix.tensor([[-1., -2.]]), helix.tensor([1])).item()\n    2.0"},
    {.name = "nll_terms", .outputs = "loss, scale", .shape = nll_terms_shape, .vjp = nll_terms_vjp,
     .decompose = nll_terms_parts, .saves = SAVE_IN(1) | SAVE_OUT(1), .constants = CONSTANT_IN(2),
     .flags = HX_INTERNAL_OP | HX_NONDIFF_OUT1,
     .params = PARAMS(PAIR, OPT_TENSOR("weight"), INT("ignore_index", -100)),
     .doc = "-input of the target class at every position, times its weight, and that weight (0 where ignored)."},
    {.name = "mse_loss", .decompose = mse_parts, .flags = HX_NN, .params = PARAMS(PAIR, REDUCTION),
     .doc = "(input - target)^2.\n\n" LOSS_DOC
            "\nExample:\n" F "mse_loss(helix.tensor([1., 3.]), helix.tensor([1., 1.])).item()\n    2.0"},
    {.name = "l1_loss", .decompose = l1_parts, .flags = HX_NN, .params = PARAMS(PAIR, REDUCTION),
     .doc = "|input - target|.\n\n" LOSS_DOC
            "\nExample:\n" F "l1_loss(helix.tensor([1., 3.]), helix.tensor([1., 1.])).item()\n    1.0"},
    {.name = "smooth_l1_loss", .decompose = smooth_l1_parts, .flags = HX_NN,
     .params = PARAMS(PAIR, REDUCTION, FLOAT("beta", 1)),
     .doc = "|d| - beta / 2, and d^2 / (2 beta) where |d| < beta, for d = input - target.\n\n" LOSS_DOC
            "Source: Girshick, \"Fast R-CNN\" (2015).\n"
            "\nExample:\n" F "smooth_l1_loss(helix.tensor([3.]), helix.tensor([1.])).item()\n    1.5"},
    {.name = "huber_loss", .decompose = huber_parts, .flags = HX_NN,
     .params = PARAMS(PAIR, REDUCTION, FLOAT("delta", 1)),
     .doc = "d^2 / 2, and delta (|d| - delta / 2) where |d| > delta, for d = input - target.\n\n" LOSS_DOC
            "Source: Huber, \"Robust estimation of a location parameter\" (1964).\n"
            "\nExample:\n" F "huber_loss(helix.tensor([3.]), helix.tensor([1.])).item()\n    1.5"},
    {.name = "huber_distance", .shape = hx_shape_broadcast, .vjp = huber_distance_vjp, .decompose = huber_distance_parts,
     .saves = SAVE_IN(0) | SAVE_IN(1), .flags = HX_INTERNAL_OP, .params = PARAMS(PAIR, FLOAT("delta", 1)),
     .doc = "Huber's loss of each element."},
    {.name = "binary_cross_entropy", .decompose = bce_parts, .flags = HX_NN,
     .params = PARAMS(PAIR, OPT_TENSOR("weight"), REDUCTION),
     .doc = "-target log(input) - (1 - target) log(1 - input) for probabilities; logarithms are cut at -100.\n\n" LOSS_DOC
            "\nExample:\n" F "binary_cross_entropy(helix.tensor([0.5]), helix.tensor([1.])).item()\n    0.6931471824645996"},
    {.name = "binary_cross_entropy_with_logits", .decompose = bce_logits_parts, .flags = HX_NN,
     .params = PARAMS(PAIR, OPT_TENSOR("weight"), REDUCTION, OPT_TENSOR("pos_weight")),
     .doc = "binary_cross_entropy of sigmoid(input), without overflow. pos_weight weighs the positive class.\n\n" LOSS_DOC
            "\nExample:\n" F "binary_cross_entropy_with_logits(helix.tensor([0.]), helix.tensor([1.])).item()\n"
            "    0.6931471824645996"},
    {.name = "kl_div", .decompose = kl_div_parts, .flags = HX_NN,
     .params = PARAMS(PAIR, STRING("reduction", "mean", "mean|sum|none|batchmean"), BOOL("log_target", false)),
     .doc = "target (log target - input), where input holds log-probabilities (Kullback-Leibler divergence).\n\n"
            "log_target: target holds log-probabilities too. reduction 'batchmean' divides the sum by the first size,\n"
            "which is the mathematical definition.\n" LOSS_DOC
            "\nExample:\n" F "kl_div(helix.tensor([0.]), helix.tensor([1.])).item()\n    0.0"},
    {.name = "gaussian_nll_loss", .decompose = gaussian_nll_parts, .flags = HX_NN,
     .params = PARAMS(PAIR, TENSOR("var"), BOOL("full", false), FLOAT("eps", 1e-6), REDUCTION),
     .doc = "The negative log-likelihood of target under a normal distribution of mean input and variance var.\n\n"
            "full adds the constant term; variances below eps count as eps.\n" LOSS_DOC
            "\nExample:\n" F "gaussian_nll_loss(helix.tensor([1.]), helix.tensor([3.]), helix.tensor([1.])).item()\n    2.0"},
    {.name = "poisson_nll_loss", .decompose = poisson_nll_parts, .flags = HX_NN,
     .params = PARAMS(PAIR, BOOL("log_input", true), BOOL("full", false), FLOAT("eps", 1e-8), REDUCTION),
     .doc = "The negative log-likelihood of counts under a Poisson distribution of (log) rate input.\n\n" LOSS_DOC
            "\nExample:\n" F "poisson_nll_loss(helix.tensor([0.]), helix.tensor([2.])).item()\n    1.0"},
    {.name = "soft_margin_loss", .decompose = soft_margin_parts, .flags = HX_NN, .params = PARAMS(PAIR, REDUCTION),
     .doc = "log(1 + exp(-target input)) for targets 1 and -1.\n\n" LOSS_DOC
            "\nExample:\n" F "soft_margin_loss(helix.tensor([0.]), helix.tensor([1.])).item()\n    0.6931471824645996"},
    {.name = "multilabel_soft_margin_loss", .decompose = multilabel_soft_margin_parts, .flags = HX_NN,
     .params = PARAMS(PAIR, OPT_TENSOR("weight"), REDUCTION),
     .doc = "binary_cross_entropy_with_logits averaged over the last axis (the labels).\n\n" LOSS_DOC
            "\nExample:\n" F "multilabel_soft_margin_loss(helix.tensor([[0.]]), helix.tensor([[1.]])).item()\n"
            "    0.6931471824645996"},
    {.name = "hinge_embedding_loss", .decompose = hinge_embedding_parts, .flags = HX_NN,
     .params = PARAMS(PAIR, FLOAT("margin", 1), REDUCTION),
     .doc = "input where target is 1, max(0, margin - input) where it is -1.\n\n" LOSS_DOC
            "\nExample:\n" F "hinge_embedding_loss(helix.tensor([0.25]), helix.tensor([-1.])).item()\n    0.75"},
    {.name = "margin_ranking_loss", .decompose = margin_ranking_parts, .flags = HX_NN,
     .params = PARAMS(TENSOR("input1"), TENSOR("input2"), TENSOR("target"), FLOAT("margin", 0), REDUCTION),
     .doc = "max(0, margin - target (input1 - input2)) for targets 1 and -1.\n\n" LOSS_DOC
            "\nExample:\n" F "margin_ranking_loss(helix.tensor([1.]), helix.tensor([3.]), helix.tensor([1.])).item()\n    2.0"},
    {.name = "cosine_embedding_loss", .decompose = cosine_embedding_parts, .flags = HX_NN,
     .params = PARAMS(TENSOR("input1"), TENSOR("input2"), TENSOR("target"), FLOAT("margin", 0), REDUCTION),
     .doc = "1 - cos(input1, input2) where target is 1, max(0, cos - margin) where it is -1.\n\n" LOSS_DOC
            "\nExample:\n" F "cosine_embedding_loss(helix.tensor([[1., 0.]]), helix.tensor([[0., 1.]]), helix.tensor([1.])).item()\n"
            "    1.0"},
    {.name = "pairwise_distance", .decompose = pairwise_distance_parts, .flags = HX_FUNCTION | HX_NN,
     .params = PARAMS(TENSOR("x1"), TENSOR("x2"), FLOAT("p", 2), FLOAT("eps", 1e-6), BOOL("keepdim", false)),
     .doc = "The p-norm of x1 - x2 + eps along the last axis.\n\n"
            "Example:\n    >>> helix.pairwise_distance(helix.tensor([3., 0.]), helix.tensor([0., 4.]), eps=0.).item()\n    5.0"},
    {.name = "triplet_margin_loss", .decompose = triplet_margin_parts, .flags = HX_NN,
     .params = PARAMS(TENSOR("anchor"), TENSOR("positive"), TENSOR("negative"), FLOAT("margin", 1), FLOAT("p", 2),
                      FLOAT("eps", 1e-6), BOOL("swap", false), REDUCTION),
     .doc = "max(0, d(anchor, positive) - d(anchor, negative) + margin) with the p-norm d.\n\n"
            "swap: the negative's distance to the positive counts where it is smaller. Source: Balntas et al.,\n"
            "\"Learning local feature descriptors with triplets\" (2016).\n" LOSS_DOC
            "\nExample:\n" F "triplet_margin_loss(helix.tensor([[0.]]), helix.tensor([[0.]]), helix.tensor([[9.]])).item()\n    0.0"},
    {.name = "multi_margin_loss", .decompose = multi_margin_parts, .flags = HX_NN,
     .params = PARAMS(PAIR, INT("p", 1), FLOAT("margin", 1), OPT_TENSOR("weight"), REDUCTION),
     .doc = "The mean over classes of max(0, margin - input[target] + input[class])^p, without the target's own.\n\n"
            "input: (C) or (N, C). target: class indices. weight: one value a class.\n" LOSS_DOC
            "\nExample:\n" F "multi_margin_loss(helix.tensor([[0., 1.]]), helix.tensor([1])).item()\n    0.0"},
    {.name = "multilabel_margin_loss", .decompose = multilabel_margin_parts, .flags = HX_NN,
     .params = PARAMS(PAIR, REDUCTION),
     .doc = "The sum over target and other classes of max(0, 1 - input[target] + input[other]), divided by their number.\n\n"
            "input: (C) or (N, C). target: of the same shape, class indices up to the first -1 of each row.\n" LOSS_DOC
            "\nExample:\n" F "multilabel_margin_loss(helix.tensor([0., 3., 1.]), helix.tensor([1, 2, -1])).item()\n"
            "    0.0"},
    {0}};
