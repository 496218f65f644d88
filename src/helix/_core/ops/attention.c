/* Scaled dot-product attention: the public op, the fused forward it runs on, and the fused backward. */
#include <math.h>
#include "rules.h"

/* Attributes of the fused ops: is_causal, scale, dropout_p, generator. */
enum { CAUSAL, SCALE, DROPOUT, GENERATOR };
/* Their inputs after query, key and value; those of the gradients go on with the forward's results. */
enum { MASK = 3, DISTANCES, OUTPUT, LSE, GRADIENT, LSE_GRADIENT };

/* ---- in plain ops: for other devices, second derivatives and gradients of masks ---- */

/* With heads of keys shared by `repeat` heads of queries each: (..., H, a, b) seen as (..., heads of keys, repeat, a, b). */
static hx_tensor *grouped(hx_tensor *t, int64_t heads, int64_t repeat) {
    int64_t shape[HX_MAX_RANK + 1];
    if (!t || repeat == 1) return t;
    int n = 0;
    for (int d = 0; d < t->ndim; d++) {
        if (d == t->ndim - 3) {
            shape[n++] = heads;
            shape[n++] = repeat;
        } else {
            shape[n++] = t->shape[d];
        }
    }
    return CALL(reshape, t, ((hx_ints){shape, n}));
}
static hx_tensor *shared(hx_tensor *t, int64_t repeat) { return repeat == 1 ? t : CALL(unsqueeze, t, -3); }
static hx_tensor *turned(hx_tensor *t) { return CALL(transpose, t, -2, -1); }
static hx_tensor *like(hx_tensor *t, const hx_tensor *shape) {
    return CALL(reshape, t, ((hx_ints){shape->shape, shape->ndim}));
}
/* Gradient of a shared key or value: summed over its group of queries. */
static hx_tensor *unshared(hx_tensor *t, int64_t repeat) { return repeat == 1 ? t : CALL(sum, t, -3); }

typedef struct parts {
    int64_t heads, repeat; /* of keys; heads of queries for each of them */
    hx_tensor *q, *k, *v;
    hx_tensor *scores;  /* before masking */
    hx_tensor *hidden;  /* bool: positions without weight; NULL when there are none */
    hx_tensor *masked;  /* scores, finite where hidden */
    hx_tensor *weights; /* softmax of them, 0 where hidden */
} parts;

/* Where each pair of a row and a key stands in what is said by distance, as (L * S). */
static hx_tensor *places(int64_t rows, int64_t keys) {
    hx_tensor *row = CALL(unsqueeze, CALL(arange, 0, rows), -1);
    hx_tensor *place = CALL(add, CALL(sub, CALL(arange, 0, keys), row), rows - 1);
    return CALL(reshape, place, HX_INTS(rows * keys));
}

/* In the shape of all scores, (..., L, S). */
static hx_tensor *as_scores(const hx_call *c, hx_tensor *values) {
    const hx_tensor *q = c->in[0], *k = c->in[1];
    int64_t shape[HX_MAX_RANK];
    for (int d = 0; d < q->ndim; d++) shape[d] = q->shape[d];
    shape[q->ndim - 1] = k->shape[k->ndim - 2];
    return CALL(reshape, values, ((hx_ints){shape, q->ndim}));
}

/* What is added to scores by distance, as a whole mask. */
static hx_tensor *distance_mask(const hx_call *c) {
    hx_tensor *q = c->in[0], *k = c->in[1], *t = c->in[DISTANCES];
    if (!t) return NULL;
    t = as_scores(c, CALL(index_select, t, -1, places(q->shape[q->ndim - 2], k->shape[k->ndim - 2])));
    return t && t->dtype != q->dtype ? CALL(cast, t, q->dtype) : t;
}

/* Gradients of scores, (..., L, S), summed over the pairs of each distance. */
static hx_tensor *by_distance(hx_tensor *scores, hx_tensor *distances) {
    if (!scores) return NULL;
    int n = scores->ndim - 2;
    int64_t shape[HX_MAX_RANK], rows = scores->shape[n], keys = scores->shape[n + 1];
    for (int d = 0; d < n; d++) shape[d] = scores->shape[d];
    shape[n] = rows * keys;
    hx_tensor *flat = CALL(reshape, scores, ((hx_ints){shape, n + 1}));
    if (flat && flat->dtype != distances->dtype) flat = CALL(cast, flat, distances->dtype);
    return CALL(index_add, CALL(zeros_like, distances), -1, places(rows, keys), flat);
}

static void hide(parts *p, hx_tensor *hidden) { p->hidden = p->hidden ? CALL(logical_or, p->hidden, hidden) : hidden; }

static void put_mask(parts *p, hx_tensor *mask) {
    if (!mask) return;
    mask = grouped(mask, p->heads, p->repeat);
    hx_tensor *hidden = mask->dtype == HX_BOOL ? CALL(logical_not, mask) : CALL(eq, mask, -INFINITY);
    if (mask->dtype != HX_BOOL) p->masked = CALL(add, p->masked, CALL(masked_fill, mask, hidden, 0));
    hide(p, hidden);
}

static void put_causal(const hx_call *c, parts *p) {
    if (!c->attr[CAUSAL].v.i || !p->scores) return;
    int64_t rows = p->scores->shape[p->scores->ndim - 2], keys = p->scores->shape[p->scores->ndim - 1];
    hx_tensor *row = CALL(unsqueeze, CALL(arange, 0, rows), -1);
    hide(p, CALL(gt, CALL(arange, 0, keys), row));
}

static hx_status weigh(hx_call *c, parts *p) {
    hx_tensor *q = c->in[0], *k = c->in[1];
    p->heads = q->ndim > 2 ? k->shape[k->ndim - 3] : 0;
    p->repeat = p->heads ? q->shape[q->ndim - 3] / p->heads : 1;
    p->q = grouped(q, p->heads, p->repeat);
    p->k = shared(k, p->repeat);
    p->v = shared(c->in[2], p->repeat);
    p->scores = CALL(mul, CALL(matmul, p->q, turned(p->k)), c->attr[SCALE].v.f);
    p->masked = p->scores;
    p->hidden = NULL;
    put_mask(p, c->in[MASK]);
    put_mask(p, distance_mask(c));
    put_causal(c, p);
    /* A large finite number instead of -inf: rows without any key get weights of 0 below, and no NaN. */
    if (p->hidden) p->masked = CALL(masked_fill, p->masked, p->hidden, q->dtype == HX_F16 ? -6e4 : -1e30);
    p->weights = CALL(softmax, p->masked, -1);
    if (p->hidden) p->weights = CALL(masked_fill, p->weights, p->hidden, 0);
    return p->weights ? HX_OK : hx_error_last()->code;
}

static hx_tensor *dropped(const hx_call *c, hx_tensor *weights) {
    if (!weights || c->attr[DROPOUT].v.f == 0) return weights;
    return CALL(dropout_apply, weights, &c->attr[DROPOUT], &c->attr[GENERATOR]);
}

static hx_status attention_parts(hx_call *c) {
    parts p;
    HX_TRY(weigh(c, &p));
    hx_tensor *q = c->in[0], *v = c->in[2];
    int64_t shape[HX_MAX_RANK];
    for (int d = 0; d < q->ndim; d++) shape[d] = q->shape[d];
    hx_tensor *lse = CALL(logsumexp, p.masked, -1);
    if (p.hidden) lse = CALL(masked_fill, lse, CALL(all, p.hidden, -1), -INFINITY);
    if (q->dtype == HX_F16 || q->dtype == HX_BF16) lse = CALL(cast, lse, HX_F32);
    RESULT(1, CALL(reshape, lse, ((hx_ints){shape, q->ndim - 1})));
    shape[q->ndim - 1] = v->shape[v->ndim - 1];
    RESULT(0, CALL(reshape, CALL(matmul, dropped(c, p.weights), p.v), ((hx_ints){shape, q->ndim})));
    return HX_OK;
}

/* Gradient of the masked scores. */
static hx_tensor *score_gradient(hx_call *c, parts *p, hx_tensor *g, hx_tensor *g_lse) {
    hx_tensor *by_weight = dropped(c, CALL(matmul, g, turned(p->v)));
    hx_tensor *inner = CALL(sum, CALL(mul, by_weight, p->weights), -1, true);
    if (g_lse && inner) {
        if (g_lse->dtype != inner->dtype) g_lse = CALL(cast, g_lse, inner->dtype);
        inner = CALL(sub, inner, CALL(reshape, g_lse, ((hx_ints){inner->shape, inner->ndim})));
    }
    return CALL(mul, p->weights, CALL(sub, by_weight, inner));
}

static hx_status attention_backward_parts(hx_call *c) {
    parts p;
    HX_TRY(weigh(c, &p));
    hx_tensor *g = grouped(c->in[GRADIENT], p.heads, p.repeat), *ds = score_gradient(c, &p, g, c->in[LSE_GRADIENT]);
    hx_tensor *scaled = CALL(mul, ds, c->attr[SCALE].v.f);
    RESULT(0, like(CALL(matmul, scaled, p.k), c->in[0]));
    RESULT(1, unshared(CALL(matmul, turned(scaled), p.q), p.repeat));
    RESULT(2, unshared(CALL(matmul, turned(dropped(c, p.weights)), g), p.repeat));
    return HX_OK;
}

/* The gradient of what is added to the scores, in their full shape. */
static hx_tensor *added_gradient(hx_call *c) {
    parts p;
    if (weigh(c, &p)) return NULL;
    return as_scores(c, score_gradient(c, &p, grouped(c->in[GRADIENT], p.heads, p.repeat), c->in[LSE_GRADIENT]));
}
static hx_status attention_mask_gradient_parts(hx_call *c) {
    RESULT(0, added_gradient(c));
    return HX_OK;
}
static hx_status attention_distance_gradient_parts(hx_call *c) {
    RESULT(0, by_distance(added_gradient(c), c->in[DISTANCES]));
    return HX_OK;
}

/* ---- shape rules and gradients of the fused ops; shapes were checked by the public op ---- */

static hx_status attention_shape(hx_call *c) {
    const hx_tensor *q = c->in[0], *v = c->in[2];
    hx_spec *out = &c->spec[0], *lse = &c->spec[1];
    hx_spec_like(out, q);
    out->shape[q->ndim - 1] = v->shape[v->ndim - 1];
    hx_spec_set(lse, q->dtype == HX_F64 ? HX_F64 : HX_F32, q->shape, q->ndim - 1);
    return HX_OK;
}

static void cast_gradient(hx_call *c) {
    if (c->in[GRADIENT]->dtype != c->in[0]->dtype) c->cast[GRADIENT] = (int8_t)c->in[0]->dtype;
}
static hx_status attention_backward_shape(hx_call *c) {
    for (int i = 0; i < 3; i++) hx_spec_like(&c->spec[i], c->in[i]);
    cast_gradient(c);
    return HX_OK;
}
static hx_status attention_distance_gradient_shape(hx_call *c) {
    if (!c->in[DISTANCES]) return hx_fail(HX_E_TYPE, HX1103_ARGUMENT, "distance_bias is missing, whose gradient this is");
    hx_spec_like(&c->spec[0], c->in[DISTANCES]);
    cast_gradient(c);
    return HX_OK;
}

#define SAVED IN(0), IN(1), IN(2), IN(MASK), IN(DISTANCES), OUT(0), OUT(1)
#define SETTINGS ATTR(CAUSAL), ATTR(SCALE), ATTR(DROPOUT), ATTR(GENERATOR)

static hx_status attention_vjp(hx_vjp *v) {
    hx_tensor *out[3] = {NULL}, *g = hx_vjp_gradient(v, 0);
    if (v->need[0] || v->need[1] || v->need[2]) {
        CALLN(out, 3, attention_backward, SAVED, g, v->g[1], SETTINGS);
        for (int i = 0; i < 3; i++) GIN(i, out[i]);
    }
    if (v->need[MASK]) GIN(MASK, CALL(attention_mask_gradient, SAVED, g, v->g[1], SETTINGS));
    if (v->need[DISTANCES]) GIN(DISTANCES, CALL(attention_distance_gradient, SAVED, g, v->g[1], SETTINGS));
    return HX_OK;
}

/* ---- the public op ---- */

static hx_status refuse(const hx_call *c, const char *argument, int axis, const char *what) {
    const hx_tensor *q = c->in[0], *k = c->in[1], *v = c->in[2];
    return hx_fail_about(FACTS(argument, .on_axis = axis < 0, .axis = axis), HX_E_SHAPE, HX1002_INNER,
                         "%s: query has shape %s, key %s, value %s. Expected (..., L, E), (..., S, E) and (..., S, Ev).",
                         what, hx_shape_text(q->shape, q->ndim), hx_shape_text(k->shape, k->ndim),
                         hx_shape_text(v->shape, v->ndim));
}

static hx_status check_operands(const hx_call *c) {
    const hx_tensor *q = c->in[0], *k = c->in[1], *v = c->in[2];
    const char *name[] = {"query", "key", "value"};
    for (int i = 0; i < 3; i++) HX_TRY(hx_require_dtype(c->in[i], name[i], HX_SET_FLOAT));
    if (q->dtype != k->dtype || q->dtype != v->dtype)
        return hx_fail_about(FACTS(q->dtype != k->dtype ? "key" : "value", hx_dtype_name((hx_dtype)q->dtype),
                                   hx_dtype_name((hx_dtype)(q->dtype != k->dtype ? k : v)->dtype)), HX_E_DTYPE, HX1101_DTYPE,
                             "query, key and value need one dtype, got %s, %s and %s",
                       hx_dtype_name((hx_dtype)q->dtype), hx_dtype_name((hx_dtype)k->dtype), hx_dtype_name((hx_dtype)v->dtype));
    if (q->ndim < 2 || k->ndim < 2 || v->ndim < 2) 
        return refuse(c, q->ndim < 2 ? "query" : k->ndim < 2 ? "key" : "value", 0, "at least 2 axes are needed");
    if (q->shape[q->ndim - 1] != k->shape[k->ndim - 1]) return refuse(c, "key", -1, "widths of query and key differ (axis -1)");
    if (k->shape[k->ndim - 2] != v->shape[v->ndim - 2]) return refuse(c, "value", -2, "lengths of key and value differ (axis -2)");
    double p = c->attr[0].v.f;
    if (!(p >= 0 && p <= 1)) return hx_refuse(HX_E_VALUE, HX1403_VALUE, "dropout_p", "be in [0, 1]", "%g", p);
    if (c->attr[1].v.i && c->in[3])
        return hx_fail(HX_E_TYPE, HX1103_ARGUMENT, "attn_mask and is_causal=True were both given; put the causal part into "
                       "the mask, or give one of them");
    return HX_OK;
}

/* Stretches t to batch + its last two axes. */
static hx_tensor *stretched(hx_tensor *t, const int64_t *batch, int n) {
    int64_t shape[HX_MAX_RANK];
    bool same = t->ndim == n + 2;
    for (int d = 0; d < n; d++) {
        shape[d] = batch[d];
        same = same && t->shape[d] == batch[d];
    }
    if (same) return t;
    shape[n] = t->shape[t->ndim - 2];
    shape[n + 1] = t->shape[t->ndim - 1];
    return CALL(expand, t, ((hx_ints){shape, n + 2}));
}

/* The batch axes of keys and values, and of queries; they differ in the number of heads with enable_gqa. */
static hx_status batches(const hx_call *c, int64_t *keys, int64_t *queries, int *ndim) {
    const hx_tensor *q = c->in[0], *k = c->in[1], *v = c->in[2];
    bool gqa = c->attr[3].v.i;
    int n = 0;
    if (gqa) {
        if (q->ndim < 3 || k->ndim < 3 || v->ndim < 3 || k->shape[k->ndim - 3] != v->shape[v->ndim - 3] ||
            !k->shape[k->ndim - 3] || q->shape[q->ndim - 3] % k->shape[k->ndim - 3])
            return refuse(c, "key", -3, "enable_gqa needs as many heads (axis -3) in key and value, dividing those of query");
    }
    int skip = gqa ? 3 : 2;
    for (int i = 0; i < 3; i++) HX_TRY(hx_broadcast_into(queries, &n, c->in[i]->shape, c->in[i]->ndim - skip));
    for (int d = 0; d < n; d++) keys[d] = queries[d];
    if (gqa) {
        keys[n] = k->shape[k->ndim - 3];
        queries[n++] = q->shape[q->ndim - 3];
    }
    *ndim = n;
    return HX_OK;
}

static hx_tensor *full_mask(hx_call *c, const int64_t *batch, int n) {
    hx_tensor *mask = c->in[3], *q = c->in[0], *k = c->in[1];
    int64_t shape[HX_MAX_RANK];
    int ndim = 0;
    if (mask->dtype != HX_BOOL && mask->dtype != q->dtype) {
        if (!hx_is_floating((hx_dtype)mask->dtype)) {
            hx_refuse(HX_E_DTYPE, HX1101_DTYPE, "attn_mask",
                      "be bool (True takes part) or floating (added to the scores)", "%s",
                      hx_dtype_name((hx_dtype)mask->dtype));
            return NULL;
        }
        mask = CALL(cast, mask, q->dtype);
    }
    for (int d = 0; d < n; d++) shape[d] = batch[d];
    shape[n] = q->shape[q->ndim - 2];
    shape[n + 1] = k->shape[k->ndim - 2];
    int64_t wide[HX_MAX_RANK];
    if (hx_broadcast_into(wide, &ndim, shape, n + 2) || hx_broadcast_into(wide, &ndim, mask->shape, mask->ndim)) return NULL;
    bool fits = ndim == n + 2;
    for (int d = 0; fits && d < ndim; d++) fits = wide[d] == shape[d];
    if (!fits) {
        hx_fail_about(FACTS("attn_mask", hx_shape_text(shape, n + 2), hx_shape_text(mask->shape, mask->ndim)),
                      HX_E_SHAPE, HX1003_BROADCAST, "attn_mask of shape %s does not stretch to the scores' shape %s",
                hx_shape_text(mask->shape, mask->ndim), hx_shape_text(shape, n + 2));
        return NULL;
    }
    bool same = mask->ndim == n + 2;
    for (int d = 0; same && d < n + 2; d++) same = mask->shape[d] == shape[d];
    return same ? mask : CALL(expand, mask, ((hx_ints){shape, n + 2}));
}

/* What is added by distance, stretched to the batch axes; of float32 at least, in which far distances differ. */
static hx_tensor *full_distances(hx_call *c, const int64_t *batch, int n) {
    hx_tensor *t = c->in[DISTANCES], *q = c->in[0], *k = c->in[1];
    int64_t rows = q->shape[q->ndim - 2], keys = k->shape[k->ndim - 2], shape[HX_MAX_RANK], wide[HX_MAX_RANK];
    int ndim = 0;
    if (hx_require_dtype(t, "distance_bias", HX_SET_FLOAT)) return NULL;
    for (int d = 0; d < n; d++) shape[d] = batch[d];
    shape[n] = rows + keys > 0 ? rows + keys - 1 : 0;
    bool fits = t->ndim && t->ndim <= n + 1 && t->shape[t->ndim - 1] == shape[n];
    if (fits && (hx_broadcast_into(wide, &ndim, shape, n + 1) || hx_broadcast_into(wide, &ndim, t->shape, t->ndim)))
        return NULL;
    for (int d = 0; fits && d < ndim; d++) fits = wide[d] == shape[d];
    if (!fits) {
        hx_fail_about(FACTS("distance_bias", hx_shape_text(shape, n + 1), hx_shape_text(t->shape, t->ndim)), HX_E_SHAPE,
                      HX1003_BROADCAST, "distance_bias of shape %s does not stretch to %s, with L + S - 1 numbers in a row",
                      hx_shape_text(t->shape, t->ndim), hx_shape_text(shape, n + 1));
        return NULL;
    }
    int dtype = q->dtype == HX_F64 ? HX_F64 : HX_F32;
    if (t->dtype != dtype) t = CALL(cast, t, dtype);
    return CALL(expand, t, ((hx_ints){shape, n + 1}));
}

static hx_status sdpa_parts(hx_call *c) {
    int64_t keys[HX_MAX_RANK], queries[HX_MAX_RANK];
    int n;
    HX_TRY(check_operands(c));
    HX_TRY(batches(c, keys, queries, &n));
    hx_tensor *q = stretched(c->in[0], queries, n), *k = stretched(c->in[1], keys, n), *v = stretched(c->in[2], keys, n);
    hx_tensor *mask = c->in[3] ? full_mask(c, queries, n) : NULL;
    hx_tensor *distances = c->in[DISTANCES] ? full_distances(c, queries, n) : NULL;
    if (!q || hx_error_pending()) return hx_error_last()->code;
    double p = c->attr[0].v.f, width = (double)q->shape[q->ndim - 1];
    double scale = hx_float_or(&c->attr[2], width > 0 ? 1 / sqrt(width) : 1);
    hx_attr fixed = {.kind = HX_A_RNG}, drawn = {.kind = HX_A_NONE};
    hx_tensor *out = CALL(attention, q, k, v, mask, distances, &c->attr[1], scale, p < 1 ? p : 0.0, p > 0 && p < 1 ? &drawn : &fixed);
    RESULT(0, p < 1 ? out : CALL(mul, out, 0));
    return HX_OK;
}

#define FUSED BOOL("is_causal", false), FLOAT("scale", 1), FLOAT("dropout_p", 0), RNG("generator")
#define FUSED_BACKWARD                                                                                        \
    PARAMS(TENSOR("query"), TENSOR("key"), TENSOR("value"), OPT_TENSOR("attn_mask"), OPT_TENSOR("distance_bias"),          \
           TENSOR("output"), TENSOR("logsumexp"), \
           TENSOR("gradient"), OPT_TENSOR("logsumexp_gradient"), FUSED)

const hx_op hx_ops_attention[] = {
    {.name = "scaled_dot_product_attention", .decompose = sdpa_parts, .flags = HX_NN,
     .params = PARAMS(TENSOR("query"), TENSOR("key"), TENSOR("value"), OPT_TENSOR("attn_mask"), FLOAT("dropout_p", 0),
                      BOOL("is_causal", false), OPT_FLOAT("scale", KW), BOOL("enable_gqa", false),
                      OPT_TENSOR("distance_bias")),
     .doc = "softmax(query key^T * scale + attn_mask) value: (..., L, E), (..., S, E) and (..., S, Ev) give (..., L, Ev).\n\n"
            "attn_mask: stretched to (..., L, S); bool (True takes part) or floating (added to the scores).\n"
            "is_causal: row i sees keys 0 to i. scale: 1 / sqrt(E) when not given. dropout_p: weights are dropped with\n"
            "this probability whenever it is not 0. enable_gqa: query may have a multiple of the heads (axis -3) of key\n"
            "and value, which are shared. A row that sees no key gives 0.\n"
            "distance_bias, which torch does not have: (..., L + S - 1), stretched to the heads; what is added to the score\n"
            "of row i and key j stands at j - i + L - 1. With it, windows, ALiBi and relative positions need no (L, S) mask,\n"
            "in gradients neither, and keys at distances of -inf cost no time.\n"
            "Memory is linear in L and S (Dao et al., FlashAttention, NeurIPS 2022); half types are summed in float32.\n"
            "Raises ShapeError (HX1002, HX1003) and DTypeError (HX1101).\n\n"
            "Example:\n    >>> one = helix.tensor([[1.0], [1.0]])\n"
            "    >>> helix.nn.functional.scaled_dot_product_attention(one, one, helix.tensor([[2.0], [4.0]])).tolist()\n"
            "    [[3.0], [3.0]]"},
    {.name = "attention", .outputs = "output, logsumexp", .shape = attention_shape, .vjp = attention_vjp,
     .decompose = attention_parts,
     .saves = SAVE_IN(0) | SAVE_IN(1) | SAVE_IN(2) | SAVE_IN(MASK) | SAVE_IN(DISTANCES) | SAVE_OUT(0) | SAVE_OUT(1),
     .flags = HX_INTERNAL_OP | HX_RANDOM,
     .params = PARAMS(TENSOR("query"), TENSOR("key"), TENSOR("value"), OPT_TENSOR("attn_mask"), OPT_TENSOR("distance_bias"),
                      FUSED),
     .doc = "Attention and the log-sum-exp of every row's scores. Batch axes are equal, but for the number of heads (axis\n"
            "-3), of which query may have a multiple; attn_mask has the full shape (..., L, S), distance_bias (..., L + S - 1)."},
    {.name = "attention_backward", .outputs = "query_gradient, key_gradient, value_gradient",
     .shape = attention_backward_shape, .decompose = attention_backward_parts, .flags = HX_INTERNAL_OP | HX_RANDOM,
     .params = FUSED_BACKWARD,
     .doc = "Gradients of attention. Weights are recomputed from logsumexp, and the dropout mask is drawn again."},
    {.name = "attention_mask_gradient", .decompose = attention_mask_gradient_parts, .flags = HX_INTERNAL_OP | HX_RANDOM,
     .params = FUSED_BACKWARD, .doc = "Gradient of attention with regard to what is added to its scores."},
    {.name = "attention_distance_gradient", .shape = attention_distance_gradient_shape,
     .decompose = attention_distance_gradient_parts, .flags = HX_INTERNAL_OP | HX_RANDOM, .params = FUSED_BACKWARD,
     .doc = "Gradient of attention with regard to distance_bias: the gradients of scores, summed over the pairs of each distance."},
    {0}};
