/* Products of matrices and vectors: matmul and its special forms, linear layers, and sums of products. */
#include "rules.h"

/* ---- shape rules ---- */

/* Both operands are cast to their common dtype. */
static hx_status common_dtype(hx_call *c, const char *first, const char *second, hx_dtype *dtype) {
    const hx_tensor *a = c->in[0], *b = c->in[1];
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

static hx_status product_shape(hx_call *c, const char *a_name, const char *b_name) {
    const hx_tensor *a = c->in[0], *b = c->in[1];
    hx_spec *s = &c->spec[0];
    hx_dtype dtype;
    if (!a->ndim) return not_a_product(a, a_name);
    if (!b->ndim) return not_a_product(b, b_name);
    HX_TRY(common_dtype(c, a_name, b_name, &dtype));
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
    HX_TRY(common_dtype(c, "input", "weight", &dtype));
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
    if (base && base->ndim > product->ndim)
        return hx_fail_about(FACTS("input", hx_shape_text(product->shape, product->ndim),
                                   hx_shape_text(base->shape, base->ndim)), HX_E_SHAPE, HX1003_BROADCAST,
                             "input of shape %s does not stretch to the product's shape %s",
                             hx_shape_text(base->shape, base->ndim), hx_shape_text(product->shape, product->ndim));
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

static hx_status addmm_parts(hx_call *c) {
    HX_TRY(check_factors(c, "mat1", 2, "mat2", 2));
    if (adds_row(c)) {
        RESULT(0, CALL(linear, c->in[1], CALL(transpose, c->in[2], 0, 1), c->in[0]));
        return HX_OK;
    }
    return scaled_sum(c, CALL(mm, c->in[1], c->in[2]));
}
static hx_status addmv_parts(hx_call *c) {
    HX_TRY(check_factors(c, "mat", 2, "vec", 1));
    return scaled_sum(c, CALL(mv, c->in[1], c->in[2]));
}
static hx_status baddbmm_parts(hx_call *c) {
    HX_TRY(check_factors(c, "batch1", 3, "batch2", 3));
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
    {.name = "bilinear", .decompose = bilinear_parts, .flags = HX_NN,
     .params = PARAMS(TENSOR("input1"), TENSOR("input2"), TENSOR("weight"), OPT_TENSOR("bias")),
     .doc = "input1 weight[o] input2 + bias[o] for each output o: (..., in1) and (..., in2) with a weight (out, in1, in2)\n"
            "give (..., out).\n\n" PRODUCT_DOC
            "Example:\n    >>> helix.nn.functional.bilinear(helix.tensor([2.]), helix.tensor([3.]), helix.ones(1, 1, 1)).tolist()\n"
            "    [6.0]"},
    {0}};
