/* Products of matrices and vectors: matmul and its special forms, linear layers, and sums of products. */
#include "rules.h"

/* ---- shape rules ---- */

/* Both operands are cast to their common dtype. */
static hx_status common_dtype(hx_call *c, const hx_tensor *a, const char *first, const hx_tensor *b, const char *second,
                              hx_dtype *dtype) {
    *dtype = (hx_dtype)a->dtype;
    if (a->dtype != b->dtype) c->compute = (int8_t)(*dtype = hx_promote(*dtype, (hx_dtype)b->dtype));
    if (*dtype != HX_BOOL) return HX_OK;
    return hx_fail_about(FACTS(first, "a number type", "bool"), HX_E_DTYPE, HX1101_DTYPE,
                         "%s and %s are bool, and products of bool are not defined; cast them with "
                   ".to(int64) or .to(float32).", first, second);
}

static hx_status inner_differs(const hx_tensor *a, const char *a_name, const hx_tensor *b, const char *b_name) {
    int64_t k = a->shape[a->ndim - 1];
    bool vector = a->ndim == 1, turned = b->ndim > 1 && b->shape[b->ndim - 1] == k;
    return hx_fail_about(FACTS(b_name, hx_text("%lld", (long long)k),
                               hx_text("%lld", (long long)b->shape[b->ndim > 1 ? b->ndim - 2 : 0]), true,
                               b->ndim > 1 ? -2 : -1), HX_E_SHAPE, HX1002_INNER,
                         "inner sizes differ: %s has %lld %s (axis -1 of %s), %s has %lld %s (axis %d of %s).%s%s%s",
                         a_name, (long long)k, vector ? "elements" : "columns", hx_shape_text(a->shape, a->ndim),
                         b_name, (long long)b->shape[b->ndim > 1 ? b->ndim - 2 : 0],
                         b->ndim > 1 ? "rows" : "elements", b->ndim > 1 ? -2 : -1, hx_shape_text(b->shape, b->ndim),
                         turned ? " If " : "", turned ? b_name : "",
                         turned ? " holds weights stored as (out, in), pass its .mT." : "");
}

static hx_status not_a_product(const hx_tensor *t, const char *name) {
    return hx_fail_about(FACTS(name, "a vector or matrix", "()"), HX_E_SHAPE, HX1001_RANK,
                         "%s has no axes (it is a single number, dtype %s); a vector or matrix is "
                   "needed. To scale by a number use mul.", name, hx_dtype_name((hx_dtype)t->dtype));
}

static hx_status product_of(hx_call *c, const hx_tensor *a, const char *a_name, const hx_tensor *b, const char *b_name) {
    hx_spec *s = &c->spec[0];
    hx_dtype dtype;
    if (!a->ndim) return not_a_product(a, a_name);
    if (!b->ndim) return not_a_product(b, b_name);
    HX_TRY(common_dtype(c, a, a_name, b, b_name, &dtype));
    if (a->shape[a->ndim - 1] != b->shape[b->ndim > 1 ? b->ndim - 2 : 0]) return inner_differs(a, a_name, b, b_name);
    int ndim = 0;
    if (a->ndim > 2) HX_TRY(hx_broadcast_into(s->shape, &ndim, a->shape, a->ndim - 2));
    if (b->ndim > 2) HX_TRY(hx_broadcast_into(s->shape, &ndim, b->shape, b->ndim - 2));
    if (a->ndim > 1) s->shape[ndim++] = a->shape[a->ndim - 2];
    if (b->ndim > 1) s->shape[ndim++] = b->shape[b->ndim - 1];
    s->ndim = (uint8_t)ndim;
    s->dtype = (uint8_t)dtype;
    return HX_OK;
}

static hx_status product_shape(hx_call *c, const char *a_name, const char *b_name) {
    return product_of(c, c->in[0], a_name, c->in[1], b_name);
}
static hx_status matmul_shape(hx_call *c) { return product_shape(c, "input", "other"); }

static hx_status ranked_shape(hx_call *c, int a_rank, int b_rank, const char *b_name) {
    HX_TRY(hx_require_rank(c->in[0], "input", a_rank));
    HX_TRY(hx_require_rank(c->in[1], b_name, b_rank));
    return product_shape(c, "input", b_name);
}
static hx_status mm_shape(hx_call *c) { return ranked_shape(c, 2, 2, "mat2"); }
static hx_status mv_shape(hx_call *c) { return ranked_shape(c, 2, 1, "vec"); }
static hx_status dot_shape(hx_call *c) { return ranked_shape(c, 1, 1, "tensor"); }
static hx_status batches_differ(const hx_tensor *a, const char *a_name, const hx_tensor *b, const char *b_name) {
    return hx_fail_about(FACTS(b_name, hx_text("%lld", (long long)a->shape[0]),
                               hx_text("%lld", (long long)b->shape[0]), true, 0), HX_E_SHAPE, HX1002_INNER,
                         "batch sizes differ: %s has %lld (axis 0 of %s), %s has %lld (axis 0 of %s). matmul "
                         "stretches batches of 1.", a_name, (long long)a->shape[0], hx_shape_text(a->shape, 3), b_name,
                         (long long)b->shape[0], hx_shape_text(b->shape, 3));
}

static hx_status bmm_shape(hx_call *c) {
    const hx_tensor *a = c->in[0], *b = c->in[1];
    HX_TRY(hx_require_rank(a, "input", 3));
    HX_TRY(hx_require_rank(b, "mat2", 3));
    if (a->shape[0] == b->shape[0]) return product_shape(c, "input", "mat2");
    return batches_differ(a, "input", b, "mat2");
}

static hx_status linear_shape(hx_call *c) {
    const hx_tensor *x = c->in[0], *w = c->in[1], *bias = c->in[2];
    hx_spec *s = &c->spec[0];
    hx_dtype dtype;
    if (!x->ndim) return not_a_product(x, "input");
    HX_TRY(hx_require_rank(w, "weight", 2));
    HX_TRY(common_dtype(c, x, "input", w, "weight", &dtype));
    if (x->shape[x->ndim - 1] != w->shape[1])
        return hx_fail_about(FACTS("input", hx_text("%lld", (long long)w->shape[1]),
                                   hx_text("%lld", (long long)x->shape[x->ndim - 1]), true, -1), HX_E_SHAPE,
                             HX1002_INNER,
                             "input has %lld features (axis -1 of %s), weight takes %lld (axis 1 of %s). Weights "
                             "are stored as (out, in).", (long long)x->shape[x->ndim - 1],
                             hx_shape_text(x->shape, x->ndim), (long long)w->shape[1], hx_shape_text(w->shape, 2));
    if (bias && (bias->ndim != 1 || bias->shape[0] != w->shape[0]))
        return hx_fail_about(FACTS("bias", hx_text("(%lld,)", (long long)w->shape[0]),
                                   hx_shape_text(bias->shape, bias->ndim)), HX_E_SHAPE, HX1002_INNER,
                             "bias has shape %s; weight of shape %s needs a bias of (%lld,).",
                             hx_shape_text(bias->shape, bias->ndim), hx_shape_text(w->shape, 2),
                             (long long)w->shape[0]);
    if (bias && bias->dtype != dtype) c->compute = (int8_t)dtype;
    for (int i = 0; i < x->ndim; i++) s->shape[i] = x->shape[i];
    s->shape[x->ndim - 1] = w->shape[0];
    s->ndim = x->ndim;
    s->dtype = (uint8_t)dtype;
    return HX_OK;
}

static hx_status linear_activation_shape(hx_call *c) {
    HX_TRY(hx_require_dtype(c->in[0], "input", HX_SET_FLOAT));
    return linear_shape(c);
}

/* Stretches `input` of a sum to the product's shape. */
static hx_status does_not_stretch(const hx_tensor *base, const int64_t *shape, int ndim) {
    const char *product = hx_shape_text(shape, ndim);
    return hx_fail_about(FACTS("input", product, hx_shape_text(base->shape, base->ndim)), HX_E_SHAPE, HX1003_BROADCAST,
                         "input of shape %s does not stretch to the product's shape %s",
                         hx_shape_text(base->shape, base->ndim), product);
}
static bool stretches(const hx_tensor *base, const int64_t *shape, int ndim) {
    int more = ndim - base->ndim;
    for (int i = 0; i < base->ndim && more >= 0; i++)
        if (base->shape[i] != 1 && base->shape[i] != shape[i + more]) return false;
    return more >= 0;
}

static hx_status add_matmul_shape(hx_call *c) {
    const hx_tensor *base = c->in[0], *a = c->in[1], *b = c->in[2];
    HX_TRY(product_of(c, a, "a", b, "b"));
    const hx_spec *s = &c->spec[0];
    if (a->ndim < 2 || b->ndim < 2) return hx_refuse_rank(a->ndim < 2 ? a : b, "a factor", "have two axes or more");
    HX_TRY(hx_require_dtype(a, "a", HX_SET_FLOAT));
    if (base->dtype != s->dtype) c->compute = (int8_t)s->dtype;
    return stretches(base, s->shape, s->ndim) ? HX_OK : does_not_stretch(base, s->shape, s->ndim);
}

/* (m, k) with (groups, k, n), whose rows belong to groups: (m, n). (m, k) with (k, n), whose inner axis does: (groups, m, n). */
static hx_status grouped_matmul_shape(hx_call *c) {
    const hx_tensor *a = c->in[0], *b = c->in[1], *ends = c->in[2];
    hx_spec *s = &c->spec[0];
    hx_dtype dtype;
    bool inner = b->ndim == 2;
    HX_TRY(hx_require_rank(a, "a", 2));
    if (!inner) HX_TRY(hx_require_rank(b, "b", 3));
    HX_TRY(hx_require_rank(ends, "ends", 1));
    HX_TRY(hx_require_dtype(a, "a", HX_SET_FLOAT));
    HX_TRY(hx_require_dtype(b, "b", HX_SET_FLOAT));
    HX_TRY(hx_require_dtype(ends, "ends", HX_BIT(HX_I32) | HX_BIT(HX_I64)));
    HX_TRY(common_dtype(c, a, "a", b, "b", &dtype));
    if (a->shape[1] != b->shape[b->ndim - 2]) return inner_differs(a, "a", b, "b");
    if (!inner && ends->shape[0] != b->shape[0])
        return hx_fail_about(FACTS("ends", hx_text("(%lld,)", (long long)b->shape[0]), hx_shape_text(ends->shape, 1)),
                             HX_E_SHAPE, HX1002_INNER, "ends has %lld numbers, b has %lld groups (axis 0 of %s)",
                             (long long)ends->shape[0], (long long)b->shape[0], hx_shape_text(b->shape, 3));
    c->compute = -1;
    c->cast[0] = c->cast[1] = (int8_t)dtype;
    c->cast[2] = HX_I64;
    int64_t shape[3] = {ends->shape[0], a->shape[0], b->shape[b->ndim - 1]};
    hx_spec_set(s, dtype, shape + !inner, 2 + inner);
    return HX_OK;
}

/* input (m, in), ends (groups), and a weight (out, in) for each group: (m, out). */
static hx_status grouped_linear_shape(hx_call *c) {
    const hx_tensor *x = c->in[0], *ends = c->in[1], *w = c->list_n ? c->in[c->list_at] : NULL;
    hx_dtype dtype;
    HX_TRY(hx_require_rank(x, "input", 2));
    HX_TRY(hx_require_rank(ends, "ends", 1));
    HX_TRY(hx_require_dtype(x, "input", HX_SET_FLOAT));
    HX_TRY(hx_require_dtype(ends, "ends", HX_BIT(HX_I32) | HX_BIT(HX_I64)));
    if (!w || ends->shape[0] != c->list_n)
        return hx_fail_about(FACTS("ends", hx_text("(%d,)", c->list_n), hx_shape_text(ends->shape, 1)), HX_E_SHAPE,
                             HX1002_INNER, "ends has %lld numbers, and there are %d weights", (long long)ends->shape[0],
                             c->list_n);
    HX_TRY(hx_require_rank(w, "weights[0]", 2));
    dtype = (hx_dtype)x->dtype;
    for (int i = 0; i < c->list_n; i++) {
        const hx_tensor *other = c->in[c->list_at + i];
        HX_TRY(hx_require_dtype(other, "weights", HX_SET_FLOAT));
        HX_TRY(common_dtype(c, x, "input", other, "weights", &dtype));
        if (other->ndim != 2 || other->shape[0] != w->shape[0] || other->shape[1] != x->shape[1])
            return hx_fail_about(FACTS("weights", hx_text("(%lld, %lld)", (long long)w->shape[0], (long long)x->shape[1]),
                                       hx_shape_text(other->shape, other->ndim)), HX_E_SHAPE, HX1002_INNER,
                                 "weight %d has shape %s, input of %s needs (%lld, %lld)", i,
                                 hx_shape_text(other->shape, other->ndim), hx_shape_text(x->shape, 2),
                                 (long long)w->shape[0], (long long)x->shape[1]);
    }
    c->compute = (int8_t)dtype;
    c->cast[1] = HX_I64;
    hx_spec_set(&c->spec[0], dtype, (int64_t[]){x->shape[0], w->shape[0]}, 2);
    return HX_OK;
}

#define BYTES (HX_BIT(HX_I8) | HX_BIT(HX_U8))

static hx_status int_mm_shape(hx_call *c) {
    HX_TRY(hx_require_dtype(c->in[0], "input", BYTES));
    HX_TRY(hx_require_dtype(c->in[1], "mat2", BYTES));
    HX_TRY(ranked_shape(c, 2, 2, "mat2"));
    c->compute = -1;
    c->spec[0].dtype = HX_I32;
    return HX_OK;
}

static hx_status quantized_linear_shape(hx_call *c) {
    const hx_tensor *x = c->in[0], *w = c->in[1], *scale = c->in[2], *bias = c->in[3];
    int64_t zero = c->attr[0].v.i, low = x->dtype == HX_I8 ? -128 : 0;
    HX_TRY(hx_require_dtype(x, "input", BYTES));
    HX_TRY(hx_require_dtype(w, "weight", BYTES));
    HX_TRY(hx_require_dtype(scale, "scale", HX_SET_FLOAT));
    if (bias) HX_TRY(hx_require_dtype(bias, "bias", HX_SET_FLOAT));
    c->in[2] = (hx_tensor *)bias;
    hx_status status = linear_shape(c);
    c->in[2] = (hx_tensor *)scale;
    HX_TRY(status);
    if (scale->ndim > 1 || (scale->ndim == 1 && scale->shape[0] != 1 && scale->shape[0] != w->shape[0]))
        return hx_fail_about(FACTS("scale", hx_text("() or (%lld,)", (long long)w->shape[0]),
                                   hx_shape_text(scale->shape, scale->ndim)), HX_E_SHAPE, HX1002_INNER,
                             "scale has shape %s; a weight of shape %s needs one number, or one for each row: (%lld,).",
                             hx_shape_text(scale->shape, scale->ndim), hx_shape_text(w->shape, 2), (long long)w->shape[0]);
    if (zero < low || zero > low + 255)
        return hx_refuse(HX_E_VALUE, HX1403_VALUE, "zero_point", "be a value of input's dtype", "%lld", (long long)zero);
    c->compute = -1;
    c->cast[2] = c->cast[3] = HX_F32;
    c->spec[0].dtype = HX_F32;
    return HX_OK;
}

/* ---- gradients ---- */

static hx_tensor *turned(hx_tensor *t) { return CALL(transpose, t, -2, -1); }
/* Conjugate transpose. */
static hx_tensor *adjoint(hx_tensor *t) { return cj(turned(t)); }
/* All axes but the last merged. */
static hx_tensor *as_rows(hx_tensor *t) {
    int64_t rows = 1;
    if (!t || t->ndim == 2) return t;
    for (int i = 0; i + 1 < t->ndim; i++) rows *= t->shape[i];
    return CALL(reshape, t, HX_INTS(rows, t->shape[t->ndim - 1]));
}
static hx_tensor *as_vector(hx_tensor *t) { return CALL(reshape, t, HX_INTS(-1)); }

/* (..., k) . (k): one vector. */
static hx_status vector_right_vjp(hx_vjp *v) {
    if (v->in_spec[0].ndim == 1) {
        GIN(0, CALL(mul, G, cj(IN(1))));
        GIN(1, CALL(mul, G, cj(IN(0))));
        return HX_OK;
    }
    GIN(0, CALL(mul, CALL(unsqueeze, G, -1), cj(IN(1))));
    GIN(1, CALL(matmul, adjoint(as_rows(IN(0))), as_vector(G)));
    return HX_OK;
}

/* (k) . (..., k, n) */
static hx_status vector_left_vjp(hx_vjp *v) {
    GIN(0, CALL(squeeze, CALL(matmul, cj(IN(1)), CALL(unsqueeze, G, -1)), -1));
    GIN(1, CALL(mul, cj(CALL(unsqueeze, IN(0), -1)), CALL(unsqueeze, G, -2)));
    return HX_OK;
}

static hx_status matmul_vjp(hx_vjp *v) {
    const hx_spec *a = &v->in_spec[0], *b = &v->in_spec[1];
    if (b->ndim == 1) return vector_right_vjp(v);
    if (a->ndim == 1) return vector_left_vjp(v);
    GIN(0, CALL(matmul, G, adjoint(IN(1))));
    /* One product over all rows instead of a batch of products that is summed afterwards. */
    if (b->ndim == 2) GIN(1, CALL(matmul, adjoint(as_rows(IN(0))), as_rows(G)));
    else GIN(1, CALL(matmul, adjoint(IN(0)), G));
    return HX_OK;
}

static hx_status linear_vjp(hx_vjp *v) {
    GIN(0, CALL(matmul, G, cj(IN(1))));
    if (v->in_spec[0].ndim == 1) {
        GIN(1, CALL(mul, CALL(unsqueeze, G, -1), cj(IN(0))));
        GIN(2, G);
        return HX_OK;
    }
    hx_tensor *rows = v->need[1] || v->need[2] ? as_rows(G) : NULL;
    GIN(1, CALL(matmul, turned(rows), cj(as_rows(IN(0)))));
    GIN(2, CALL(sum, rows, 0));
    return HX_OK;
}

static hx_tensor *times(hx_tensor *t, const hx_attr *factor) { return factor->v.f == 1 ? t : CALL(mul, t, factor->v.f); }

static hx_status add_matmul_vjp(hx_vjp *v) {
    GIN(0, times(G, ATTR(0)));
    GIN(1, times(CALL(matmul, G, turned(IN(2))), ATTR(1)));
    GIN(2, times(CALL(matmul, turned(IN(1)), G), ATTR(1)));
    return HX_OK;
}

static hx_status grouped_matmul_vjp(hx_vjp *v) {
    if (v->in_spec[1].ndim == 3) GIN(0, CALL(grouped_matmul, G, turned(IN(1)), IN(2)));
    else GIN(0, turned(CALL(grouped_matmul, IN(1), turned(G), IN(2))));
    GIN(1, CALL(grouped_matmul, turned(IN(0)), G, IN(2)));
    return HX_OK;
}

/* The gradient of input: that of the result through each group's weight, turned. */
static hx_tensor *through_weights(hx_vjp *v) {
    hx_tensor **weights = hx_alloc((size_t)v->list_n * sizeof *weights), *made = NULL;
    if (!weights) {
        hx_fail(HX_E_MEMORY, HX1402_MEMORY, "no memory for %d weights", v->list_n);
        return NULL;
    }
    for (int i = 0; i < v->list_n; i++) weights[i] = turned(IN(v->list_at + i));
    if (!hx_error_pending()) made = CALL(grouped_linear, G, IN(1), ((hx_list){weights, v->list_n}));
    hx_free(weights, (size_t)v->list_n * sizeof *weights);
    return made;
}

static hx_status grouped_linear_vjp(hx_vjp *v) {
    hx_tensor *all = NULL;
    GIN(0, through_weights(v));
    for (int i = 0; i < v->list_n; i++) {
        if (!v->need[v->list_at + i]) continue;
        if (!all) all = CALL(grouped_matmul, turned(G), IN(0), IN(1));
        GIN(v->list_at + i, CALL(select, all, 0, i));
    }
    return HX_OK;
}

/* ---- composites ---- */

static hx_status product_parts(hx_call *c) {
    RESULT(0, CALL(matmul, c->in[0], c->in[1]));
    return HX_OK;
}

static hx_status linear_parts(hx_call *c) {
    hx_tensor *y = CALL(matmul, c->in[0], turned(c->in[1]));
    RESULT(0, c->in[2] ? CALL(add, y, c->in[2]) : y);
    return HX_OK;
}

static hx_tensor *activated(hx_tensor *t, const hx_attr *name) {
    if (hx_str_is(name, "relu")) return CALL(relu, t);
    if (hx_str_is(name, "gelu")) return CALL(gelu, t);
    if (hx_str_is(name, "gelu_tanh")) return CALL(gelu, t, "tanh");
    if (hx_str_is(name, "silu")) return CALL(silu, t);
    if (hx_str_is(name, "tanh")) return CALL(tanh, t);
    return hx_str_is(name, "sigmoid") ? CALL(sigmoid, t) : t;
}

static hx_status linear_activation_parts(hx_call *c) {
    hx_tensor *y = c->in[2] ? CALL(linear, c->in[0], c->in[1], c->in[2]) : CALL(linear, c->in[0], c->in[1]);
    RESULT(0, activated(y, &c->attr[0]));
    return HX_OK;
}

static hx_status add_matmul_parts(hx_call *c) {
    hx_tensor *product = times(CALL(matmul, c->in[1], c->in[2]), &c->attr[1]);
    RESULT(0, CALL(add, times(c->in[0], &c->attr[0]), product));
    return HX_OK;
}

/* For each group, which of `size` places are its own: (groups, size). */
static hx_tensor *places_of(hx_tensor *ends, int64_t size) {
    hx_tensor *begins = CALL(constant_pad, CALL(narrow, ends, 0, 0, ends->shape[0] - 1), 0, HX_INTS(1, 0));
    hx_tensor *place = CALL(arange, size);
    return CALL(logical_and, CALL(ge, place, CALL(unsqueeze, begins, -1)), CALL(lt, place, CALL(unsqueeze, ends, -1)));
}

/* All groups take all, and what is not theirs is left out. */
static hx_status grouped_matmul_parts(hx_call *c) {
    hx_tensor *a = c->in[0], *b = c->in[1], *ends = c->in[2];
    bool inner = b->ndim == 2;
    if (!ends->shape[0]) {
        RESULT(0, hx_full_like_spec(&c->spec[0], 0, a->storage->device));
        return HX_OK;
    }
    hx_tensor *own = places_of(ends, a->shape[inner]);
    if (inner) {
        a = CALL(where, CALL(unsqueeze, own, 1), a, 0.0);
        RESULT(0, CALL(matmul, a, CALL(where, CALL(unsqueeze, own, -1), b, 0.0)));
        return HX_OK;
    }
    RESULT(0, CALL(sum, CALL(where, CALL(unsqueeze, own, -1), CALL(matmul, a, b), 0.0), 0));
    return HX_OK;
}

static hx_status grouped_linear_parts(hx_call *c) {
    hx_tensor *weights = CALL(stack, ((hx_list){c->in + c->list_at, c->list_n}));
    RESULT(0, CALL(grouped_matmul, c->in[0], turned(weights), c->in[1]));
    return HX_OK;
}

static hx_status int_mm_parts(hx_call *c) {
    RESULT(0, CALL(matmul, CALL(cast, c->in[0], HX_I32), CALL(cast, c->in[1], HX_I32)));
    return HX_OK;
}

static hx_status quantized_linear_parts(hx_call *c) {
    hx_tensor *x = CALL(cast, c->in[0], HX_I32), *w = CALL(cast, c->in[1], HX_I32);
    if (c->attr[0].v.i) x = CALL(sub, x, c->attr[0].v.i);
    hx_tensor *y = CALL(mul, CALL(cast, CALL(matmul, x, turned(w)), HX_F32), c->in[2]);
    if (c->in[3]) y = CALL(add, y, c->in[3]);
    RESULT(0, activated(y, &c->attr[1]));
    return HX_OK;
}

/* beta * input + alpha * product; a beta of 0 leaves input unread, so that NaN in it does not spread. */
static hx_status scaled_sum(hx_call *c, hx_tensor *product) {
    hx_attr *beta = &c->attr[0], *alpha = &c->attr[1];
    bool none = beta->kind != HX_A_COMPLEX && hx_number_as_float(beta) == 0;
    bool one = beta->kind != HX_A_COMPLEX && hx_number_as_float(beta) == 1;
    if (!product) return hx_error_last()->code;
    if (none) {
        bool plain = alpha->kind != HX_A_COMPLEX && hx_number_as_float(alpha) == 1;
        RESULT(0, plain ? product : CALL(add, CALL(zeros_like, product), product, alpha));
        return HX_OK;
    }
    hx_tensor *base = c->in[0];
    if (!one) {
        hx_tensor *zero = CALL(zeros_like, base);
        base = CALL(add, zero, base, beta);
    }
    if (base && base->ndim > product->ndim) return does_not_stretch(base, product->shape, product->ndim);
    RESULT(0, CALL(add, base, product, alpha));
    if (c->out[0]->ndim == product->ndim && c->out[0]->numel == product->numel) return HX_OK;
    return hx_fail_about(FACTS("input", hx_shape_text(product->shape, product->ndim),
                               hx_shape_text(base->shape, base->ndim)), HX_E_SHAPE, HX1003_BROADCAST,
                         "input of shape %s does not stretch to the product's shape %s",
                         hx_shape_text(base->shape, base->ndim), hx_shape_text(product->shape, product->ndim));
}

/* The two factors, said under their own names before a product finds them to be its input. */
static hx_status check_factors(hx_call *c, const char *first, int first_rank, const char *second, int second_rank) {
    const hx_tensor *a = c->in[1], *b = c->in[2];
    int inner = first_rank - 1, rows = second_rank > 1 ? second_rank - 2 : 0;
    HX_TRY(hx_require_rank(a, first, first_rank));
    HX_TRY(hx_require_rank(b, second, second_rank));
    if (first_rank == 3 && a->shape[0] != b->shape[0]) return batches_differ(a, first, b, second);
    return a->shape[inner] == b->shape[rows] ? HX_OK : inner_differs(a, first, b, second);
}

/* Is the sum of a product and one row, both as they are? A kernel of linear then adds the row as it writes. */
static bool adds_row(const hx_call *c) {
    const hx_tensor *row = c->in[0], *a = c->in[1], *b = c->in[2];
    for (int i = 0; i < 2; i++)
        if (c->attr[i].kind == HX_A_COMPLEX || hx_number_as_float(&c->attr[i]) != 1) return false;
    return row->ndim == 1 && row->shape[0] == b->shape[1] && hx_is_floating((hx_dtype)row->dtype) &&
           row->dtype == a->dtype && a->dtype == b->dtype;
}

/* Are they floats of one dtype, and is input read? Then a product's kernel scales and adds as it writes. */
static bool adds_matrix(const hx_call *c) {
    const hx_tensor *base = c->in[0], *a = c->in[1], *b = c->in[2];
    int64_t shape[3] = {a->shape[0], a->shape[a->ndim - 2], b->shape[b->ndim - 1]};
    for (int i = 0; i < 2; i++)
        if (c->attr[i].kind == HX_A_COMPLEX) return false;
    return hx_number_as_float(&c->attr[0]) != 0 && hx_is_floating((hx_dtype)a->dtype) && a->dtype == b->dtype &&
           base->dtype == a->dtype && stretches(base, shape + (a->ndim == 2), a->ndim);
}
static hx_status added_matrix(hx_call *c) {
    RESULT(0, CALL(add_matmul, c->in[0], c->in[1], c->in[2], hx_number_as_float(&c->attr[0]), hx_number_as_float(&c->attr[1])));
    return HX_OK;
}

static hx_status addmm_parts(hx_call *c) {
    HX_TRY(check_factors(c, "mat1", 2, "mat2", 2));
    if (adds_row(c)) {
        RESULT(0, CALL(linear, c->in[1], CALL(transpose, c->in[2], 0, 1), c->in[0]));
        return HX_OK;
    }
    if (adds_matrix(c)) return added_matrix(c);
    return scaled_sum(c, CALL(mm, c->in[1], c->in[2]));
}
static hx_status addmv_parts(hx_call *c) {
    HX_TRY(check_factors(c, "mat", 2, "vec", 1));
    return scaled_sum(c, CALL(mv, c->in[1], c->in[2]));
}
static hx_status baddbmm_parts(hx_call *c) {
    HX_TRY(check_factors(c, "batch1", 3, "batch2", 3));
    if (adds_matrix(c)) return added_matrix(c);
    return scaled_sum(c, CALL(bmm, c->in[1], c->in[2]));
}
static hx_status addbmm_parts(hx_call *c) {
    HX_TRY(check_factors(c, "batch1", 3, "batch2", 3));
    hx_tensor *product = CALL(bmm, c->in[1], c->in[2]);
    return scaled_sum(c, CALL(sum, product, 0));
}

static hx_status outer_parts(hx_call *c) {
    HX_TRY(hx_require_rank(c->in[0], "input", 1));
    HX_TRY(hx_require_rank(c->in[1], "vec2", 1));
    RESULT(0, CALL(mul, CALL(unsqueeze, c->in[0], -1), c->in[1]));
    return HX_OK;
}

static hx_status vdot_parts(hx_call *c) {
    HX_TRY(hx_require_rank(c->in[0], "input", 1));
    HX_TRY(hx_require_rank(c->in[1], "other", 1));
    RESULT(0, CALL(dot, cj(c->in[0]), c->in[1]));
    return HX_OK;
}

static hx_status inner_parts(hx_call *c) {
    hx_tensor *a = c->in[0], *b = c->in[1];
    if (!a->ndim || !b->ndim) {
        RESULT(0, CALL(mul, a, b));
        return HX_OK;
    }
    if (a->shape[a->ndim - 1] != b->shape[b->ndim - 1])
        return hx_fail_about(FACTS("other", hx_text("%lld", (long long)a->shape[a->ndim - 1]),
                                   hx_text("%lld", (long long)b->shape[b->ndim - 1]), true, -1), HX_E_SHAPE,
                             HX1002_INNER,
                             "last axes differ: input has %lld (axis -1 of %s), other has %lld (axis -1 of %s).",
                             (long long)a->shape[a->ndim - 1], hx_shape_text(a->shape, a->ndim),
                             (long long)b->shape[b->ndim - 1], hx_shape_text(b->shape, b->ndim));
    int64_t shape[2 * HX_MAX_RANK];
    int n = 0;
    for (int i = 0; i + 1 < a->ndim; i++) shape[n++] = a->shape[i];
    for (int i = 0; i + 1 < b->ndim; i++) shape[n++] = b->shape[i];
    hx_tensor *flat = CALL(matmul, as_rows(a->ndim > 1 ? a : CALL(unsqueeze, a, 0)),
                           turned(as_rows(b->ndim > 1 ? b : CALL(unsqueeze, b, 0))));
    RESULT(0, CALL(reshape, flat, ((hx_ints){shape, n})));
    return HX_OK;
}

/* out[..., o] = sum_ij input1[..., i] weight[o, i, j] input2[..., j] + bias[o] */
static hx_status bilinear_parts(hx_call *c) {
    hx_tensor *x = c->in[0], *y = c->in[1], *w = c->in[2], *bias = c->in[3];
    HX_TRY(hx_require_rank(w, "weight", 3));
    if (!x->ndim || !y->ndim || x->shape[x->ndim - 1] != w->shape[1] || y->shape[y->ndim - 1] != w->shape[2]) {
        bool first = !x->ndim || x->shape[x->ndim - 1] != w->shape[1];
        const hx_tensor *wrong = first ? x : y;
        return hx_fail_about(FACTS(first ? "input1" : "input2", hx_text("(..., %lld)", (long long)w->shape[first ? 1 : 2]),
                                   hx_shape_text(wrong->shape, wrong->ndim), true, -1), HX_E_SHAPE, HX1002_INNER,
                             "inputs of shapes %s and %s do not fit a weight of shape %s, stored as (out, in1, in2).",
                             hx_shape_text(x->shape, x->ndim), hx_shape_text(y->shape, y->ndim),
                             hx_shape_text(w->shape, 3));
    }
    int64_t shape[HX_MAX_RANK + 1];
    int n = 0;
    for (; n + 1 < x->ndim; n++) shape[n] = x->shape[n];
    shape[n++] = w->shape[0];
    shape[n++] = w->shape[2];
    if (n > HX_MAX_RANK) return hx_fail(HX_E_SHAPE, HX1001_RANK, "input1 has too many axes (%d)", x->ndim);
    hx_tensor *by_input = CALL(reshape, CALL(permute, w, HX_INTS(1, 0, 2)), HX_INTS(w->shape[1], w->shape[0] * w->shape[2]));
    hx_tensor *rows = CALL(reshape, CALL(matmul, x, by_input), ((hx_ints){shape, n}));
    hx_tensor *out = CALL(squeeze, CALL(matmul, rows, CALL(unsqueeze, y, -1)), -1);
    RESULT(0, bias ? CALL(add, out, bias) : out);
    return HX_OK;
}

/* The Kronecker product: axis by axis, sizes multiply. */
static hx_status kron_parts(hx_call *c) {
    hx_tensor *a = c->in[0], *b = c->in[1];
    int n = a->ndim > b->ndim ? a->ndim : b->ndim;
    int64_t wide[2][2 * HX_MAX_RANK], merged[HX_MAX_RANK];
    if (2 * n > HX_MAX_RANK)
        return hx_fail(HX_E_SHAPE, HX1001_RANK, "operands of up to %d axes are possible, got %d", HX_MAX_RANK / 2, n);
    for (int i = 0; i < n; i++) {
        int64_t x = i < n - a->ndim ? 1 : a->shape[i - (n - a->ndim)], y = i < n - b->ndim ? 1 : b->shape[i - (n - b->ndim)];
        wide[0][2 * i] = x;
        wide[1][2 * i + 1] = y;
        wide[0][2 * i + 1] = wide[1][2 * i] = 1;
        if (!hx_mul_ok(x, y, &merged[i])) return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "the result's sizes do not fit");
    }
    hx_tensor *product = CALL(mul, CALL(reshape, a, ((hx_ints){wide[0], 2 * n})),
                              CALL(reshape, b, ((hx_ints){wide[1], 2 * n})));
    RESULT(0, CALL(reshape, product, ((hx_ints){merged, n})));
    return HX_OK;
}

/* ---- records ---- */

#define TWO_OPERANDS(second) PARAMS(TENSOR("input"), TENSOR(second))
#define SCALED PARAMS(TENSOR("input"), TENSOR(A), TENSOR(B), NUMBER("beta", 1, KW), NUMBER("alpha", 1))
#define PRODUCT_DOC                                                                                           \
    "Any dtype but bool; different dtypes are cast to their common one. Half types are summed in float32, integers\n" \
    "wrap. Raises ShapeError (HX1002) when the inner sizes differ.\n\n"
#define SPECIAL(n, rule, second)                                                                              \
    .name = n, .shape = rule, .vjp = matmul_vjp, .decompose = product_parts, .saves = SAVE_IN(0) | SAVE_IN(1), \
    .flags = HX_PUBLIC, .params = TWO_OPERANDS(second)

const hx_op hx_ops_matmul[] = {
    {.name = "matmul", .shape = matmul_shape, .vjp = matmul_vjp, .saves = SAVE_IN(0) | SAVE_IN(1),
     .flags = HX_PRIMITIVE | HX_PUBLIC, .params = TWO_OPERANDS("other"),
     .doc = "The matrix product; with a vector, the matrix-vector product; with two, their dot product.\n\n"
            "The last two axes are matrices (..., m, k) and (..., k, n); the axes in front are batches and are stretched\n"
            "to one another.\n" PRODUCT_DOC
            "Example:\n    >>> helix.matmul(helix.tensor([[1., 2.], [3., 4.]]), helix.tensor([1., 1.])).tolist()\n"
            "    [3.0, 7.0]"},
    {SPECIAL("mm", mm_shape, "mat2"),
     .doc = "The product of two matrices (m, k) and (k, n), without stretching.\n\n" PRODUCT_DOC
            "Example:\n    >>> helix.mm(helix.tensor([[1, 2]]), helix.tensor([[3], [4]])).tolist()\n    [[11]]"},
    {SPECIAL("bmm", bmm_shape, "mat2"),
     .doc = "Products of two batches of matrices (b, m, k) and (b, k, n), without stretching.\n\n" PRODUCT_DOC
            "Example:\n    >>> helix.bmm(helix.tensor([[[1, 2]]]), helix.tensor([[[3], [4]]])).tolist()\n    [[[11]]]"},
    {SPECIAL("mv", mv_shape, "vec"),
     .doc = "The product of a matrix (m, k) and a vector (k).\n\n" PRODUCT_DOC
            "Example:\n    >>> helix.mv(helix.tensor([[1, 2], [3, 4]]), helix.tensor([1, 1])).tolist()\n    [3, 7]"},
    {SPECIAL("dot", dot_shape, "tensor"),
     .doc = "The sum of the products of two vectors' elements, without conjugation.\n\n" PRODUCT_DOC
            "Example:\n    >>> helix.dot(helix.tensor([1, 2]), helix.tensor([3, 4])).item()\n    11"},
    {.name = "vdot", .decompose = vdot_parts, .flags = HX_PUBLIC, .params = TWO_OPERANDS("other"),
     .doc = "The dot product of two vectors, the first one conjugated.\n\n" PRODUCT_DOC
            "Example:\n    >>> helix.vdot(helix.tensor([1 + 1j]), helix.tensor([2 + 0j])).item()\n    (2-2j)"},
    {.name = "outer", .decompose = outer_parts, .flags = HX_PUBLIC, .aliases = "ger", .params = TWO_OPERANDS("vec2"),
     .doc = "All products of the elements of two vectors: (m) and (n) give (m, n).\n\n"
            "Example:\n    >>> helix.outer(helix.tensor([1, 2]), helix.tensor([3, 4])).tolist()\n    [[3, 4], [6, 8]]"},
    {.name = "inner", .decompose = inner_parts, .flags = HX_PUBLIC, .params = TWO_OPERANDS("other"),
     .doc = "Sums of products over the last axis of both: (..., k) and (*, k) give (..., *).\n\n" PRODUCT_DOC
            "Example:\n    >>> helix.inner(helix.tensor([1, 2]), helix.tensor([[3, 4], [5, 6]])).tolist()\n    [11, 17]"},
    {.name = "kron", .decompose = kron_parts, .flags = HX_PUBLIC, .params = TWO_OPERANDS("other"),
     .doc = "The Kronecker product: every element of the first times the whole second.\n\n"
            "Example:\n    >>> helix.kron(helix.tensor([1, 10]), helix.tensor([1, 2])).tolist()\n    [1, 2, 10, 20]"},
#define A "mat1"
#define B "mat2"
    {.name = "addmm", .decompose = addmm_parts, .flags = HX_PUBLIC | HX_INPLACE, .params = SCALED,
     .doc = "beta * input + alpha * (mat1 @ mat2) of matrices (m, k) and (k, n); input is stretched to (m, n).\n\n"
            "With beta=0 the input is not read. " PRODUCT_DOC
            "Example:\n    >>> helix.addmm(helix.tensor([1, 1]), helix.tensor([[1, 2]]), helix.tensor([[3, 0], [4, 1]])).tolist()\n"
            "    [[12, 3]]"},
#undef A
#undef B
#define A "mat"
#define B "vec"
    {.name = "addmv", .decompose = addmv_parts, .flags = HX_PUBLIC | HX_INPLACE, .params = SCALED,
     .doc = "beta * input + alpha * (mat @ vec) of a matrix (m, k) and a vector (k); input is stretched to (m).\n\n"
            "With beta=0 the input is not read. " PRODUCT_DOC
            "Example:\n    >>> helix.addmv(helix.tensor([1]), helix.tensor([[1, 2]]), helix.tensor([3, 4])).tolist()\n"
            "    [12]"},
#undef A
#undef B
#define A "batch1"
#define B "batch2"
    {.name = "baddbmm", .decompose = baddbmm_parts, .flags = HX_PUBLIC | HX_INPLACE, .params = SCALED,
     .doc = "beta * input + alpha * (batch1 @ batch2) of batches (b, m, k) and (b, k, n); input is stretched.\n\n"
            "With beta=0 the input is not read. " PRODUCT_DOC
            "Example:\n    >>> helix.baddbmm(helix.tensor([[[1]]]), helix.tensor([[[1, 2]]]), helix.tensor([[[3], [4]]])).tolist()\n"
            "    [[[12]]]"},
    {.name = "addbmm", .decompose = addbmm_parts, .flags = HX_PUBLIC | HX_INPLACE, .params = SCALED,
     .doc = "beta * input + alpha * (the sum of batch1 @ batch2 over the batch); input is stretched to (m, n).\n\n"
            "With beta=0 the input is not read. " PRODUCT_DOC
            "Example:\n    >>> helix.addbmm(helix.tensor([[1]]), helix.tensor([[[1, 2]]]), helix.tensor([[[3], [4]]])).tolist()\n"
            "    [[12]]"},
#undef A
#undef B
    {.name = "linear", .shape = linear_shape, .vjp = linear_vjp, .decompose = linear_parts,
     .saves = SAVE_IN(0) | SAVE_IN(1), .flags = HX_NN,
     .params = PARAMS(TENSOR("input"), TENSOR("weight"), OPT_TENSOR("bias")),
     .doc = "input @ weight.mT + bias: (..., in) with a weight (out, in) and a bias (out) gives (..., out).\n\n" PRODUCT_DOC
            "Example:\n    >>> helix.nn.functional.linear(helix.tensor([1., 2.]), helix.tensor([[3., 4.]]), helix.tensor([1.])).tolist()\n"
            "    [12.0]"},
    {.name = "linear_activation", .shape = linear_activation_shape, .decompose = linear_activation_parts, .flags = HX_NN,
     .params = PARAMS(TENSOR("input"), TENSOR("weight"), OPT_TENSOR("bias"),
                      STRING("activation", "relu", "relu|gelu|gelu_tanh|silu|tanh|sigmoid", KW)),
     .doc = "activation(input @ weight.mT + bias), as linear and the activation would give it, in one pass where no gradient is\n"
            "recorded: the activation is applied to a part of the result while that is still in the cache.\n\n" PRODUCT_DOC
            "Example:\n    >>> x, w = helix.tensor([1., 2.]), helix.tensor([[3., 4.], [-3., -4.]])\n"
            "    >>> helix.nn.functional.linear_activation(x, w, activation=\"relu\").tolist()\n    [11.0, 0.0]"},
    {.name = "add_matmul", .shape = add_matmul_shape, .vjp = add_matmul_vjp, .decompose = add_matmul_parts,
     .saves = SAVE_IN(1) | SAVE_IN(2), .flags = HX_INTERNAL_OP,
     .params = PARAMS(TENSOR("input"), TENSOR("a"), TENSOR("b"), FLOAT("beta", 1), FLOAT("alpha", 1)),
     .doc = "beta * input + alpha * (a @ b) of floats."},
    {.name = "grouped_matmul", .shape = grouped_matmul_shape, .vjp = grouped_matmul_vjp, .decompose = grouped_matmul_parts,
     .saves = SAVE_IN(0) | SAVE_IN(1) | SAVE_IN(2), .flags = HX_INTERNAL_OP,
     .params = PARAMS(TENSOR("a"), TENSOR("b"), TENSOR("ends")),
     .doc = "Products of groups of floats; group g is places ends[g - 1] to ends[g], 0 lies beyond the last.\n\n"
            "(m, k) with (groups, k, n): the rows of a are in groups, each meets its matrix: (m, n). (m, k) with (k, n): the\n"
            "inner axis is in groups, each gives a product of its own: (groups, m, n). HX1403 for ends that fall or lie beyond."},
    {.name = "grouped_linear", .shape = grouped_linear_shape, .vjp = grouped_linear_vjp, .decompose = grouped_linear_parts,
     .saves = SAVE_IN(0) | SAVE_IN(1) | SAVE_LIST, .flags = HX_INTERNAL_OP,
     .params = PARAMS(TENSOR("input"), TENSOR("ends"), TENSORS("weights")),
     .doc = "input (m, in), whose rows belong to groups as those of grouped_matmul, with a weight (out, in) for each: (m, out)."},
    {.name = "int_mm", .shape = int_mm_shape, .decompose = int_mm_parts, .flags = HX_FUNCTION | HX_NON_DIFF | HX_OUT,
     .params = TWO_OPERANDS("mat2"),
     .doc = "The product of two matrices (m, k) and (k, n) of int8 or uint8, summed in int32.\n\n"
            "Sums of more than 2^31 wrap, which takes k above 33,000. Raises DTypeError (HX1101) for other dtypes, ShapeError\n"
            "(HX1001, HX1002) for other ranks or inner sizes that differ.\n\n"
            "Example:\n    >>> a = helix.tensor([[100, -100]], dtype=helix.int8)\n"
            "    >>> helix.int_mm(a, a.mT).tolist()\n    [[20000]]"},
    {.name = "quantized_linear", .shape = quantized_linear_shape, .decompose = quantized_linear_parts, .flags = HX_NN,
     .params = PARAMS(TENSOR("input"), TENSOR("weight"), TENSOR("scale"), OPT_TENSOR("bias"), INT("zero_point", 0, KW),
                      STRING("activation", "none", "none|relu|gelu|gelu_tanh|silu|tanh|sigmoid")),
     .doc = "A linear layer of quantized numbers: activation(((input - zero_point) @ weight.mT) * scale + bias) in float32.\n\n"
            "input (..., in) and weight (out, in) are int8 or uint8 and are multiplied exactly, in int32. scale is what one step\n"
            "of the product is worth, the scale of input times that of the weight: one number, or one for each output (out).\n"
            "A zero_point of 0 costs nothing; another one is a pass over the weight. Raises DTypeError (HX1101) for other dtypes,\n"
            "ShapeError (HX1002) for sizes that differ, ParameterError (HX1403) for a zero_point outside input's dtype.\n\n"
            "Example:\n    >>> x = helix.tensor([[130, 126]], dtype=helix.uint8)\n"
            "    >>> w = helix.tensor([[1, 2], [3, -4]], dtype=helix.int8)\n"
            "    >>> helix.nn.functional.quantized_linear(x, w, helix.tensor([0.5, 0.25]), zero_point=128).tolist()\n"
            "    [[-1.0, 3.5]]"},
    {.name = "bilinear", .decompose = bilinear_parts, .flags = HX_NN,
     .params = PARAMS(TENSOR("input1"), TENSOR("input2"), TENSOR("weight"), OPT_TENSOR("bias")),
     .doc = "input1 weight[o] input2 + bias[o] for each output o: (..., in1) and (..., in2) with a weight (out, in1, in2)\n"
            "give (..., out).\n\n" PRODUCT_DOC
            "Example:\n    >>> helix.nn.functional.bilinear(helix.tensor([2.]), helix.tensor([3.]), helix.ones(1, 1, 1)).tolist()\n"
            "    [6.0]"},
    {0}};
