/* Linear algebra: factorizations of batches of matrices, what is solved with them, and determinants.
 *
 * Gradients follow torch's convention for complex numbers: the gradient of a real loss by conj(x). Their formulas:
 * M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic differentiation", 2008. */
#include "linalg.h"

/* ---- shape rules ---- */

hx_status hx_refuse_matrix_dtype(const char *name, hx_dtype dtype) {
    return hx_fail_about(FACTS(name, "float32, float64, complex64 or complex128", hx_dtype_name(dtype)), HX_E_DTYPE, HX1101_DTYPE,
                         "%s must be float32, float64, complex64 or complex128, got %s", name, hx_dtype_name(dtype));
}

static hx_status refuse_vector(const hx_tensor *t, const char *name) {
    return hx_refuse_rank(t, name, "have at least 2 axes, of which the last two are a matrix");
}

hx_status hx_require_matrix(const hx_tensor *t, const char *name) {
    if (t->ndim < 2) return refuse_vector(t, name);
    return HX_BIT(t->dtype) & HX_SET_LINALG ? HX_OK : hx_refuse_matrix_dtype(name, (hx_dtype)t->dtype);
}

hx_status hx_require_square(const hx_tensor *t, const char *name) {
    HX_TRY(hx_require_matrix(t, name));
    return hx_require_equal_sides(t, name);
}

hx_status hx_require_equal_sides(const hx_tensor *t, const char *name) {
    if (t->ndim < 2) return refuse_vector(t, name);
    if (SIZE(t, -1) == SIZE(t, -2)) return HX_OK;
    return hx_fail_about(FACTS(name, "square matrices", hx_shape_text(t->shape, t->ndim)), HX_E_SHAPE, HX1001_RANK,
                         "%s must be square matrices in the last two axes, got shape %s", name, hx_shape_text(t->shape, t->ndim));
}

void hx_spec_matrix(hx_spec *s, const hx_tensor *t, hx_dtype dtype, int own, int64_t rows, int64_t columns) {
    int n = t->ndim - 2;
    hx_spec_set(s, dtype, t->shape, n);
    if (own > 0) s->shape[n++] = rows;
    if (own > 1) s->shape[n++] = columns;
    s->ndim = (uint8_t)n;
}

static int64_t smaller_side(const hx_tensor *t) { return SIZE(t, -1) < SIZE(t, -2) ? SIZE(t, -1) : SIZE(t, -2); }

/* Two operands are cast to their common dtype. */
static hx_status common_matrices(hx_call *c, const char *first, const char *second, hx_dtype *dtype) {
    const hx_tensor *a = c->in[0], *b = c->in[1];
    *dtype = hx_promote((hx_dtype)a->dtype, (hx_dtype)b->dtype);
    if (a->ndim < 2) return refuse_vector(a, first);
    if (b->ndim < 2) return refuse_vector(b, second);
    if (!(HX_BIT(*dtype) & HX_SET_LINALG)) return hx_refuse_matrix_dtype(first, *dtype);
    if (a->dtype != b->dtype) c->compute = (int8_t)*dtype;
    return HX_OK;
}

/* The spec of `rows` x `columns` over the batches of both, stretched to one another. */
static hx_status stretched_spec(hx_spec *s, const hx_tensor *a, const hx_tensor *b, hx_dtype dtype, int64_t rows, int64_t columns) {
    int n = 0;
    HX_TRY(hx_broadcast_into(s->shape, &n, a->shape, a->ndim - 2));
    HX_TRY(hx_broadcast_into(s->shape, &n, b->shape, b->ndim - 2));
    s->shape[n++] = rows;
    s->shape[n++] = columns;
    s->ndim = (uint8_t)n;
    s->dtype = (uint8_t)dtype;
    return HX_OK;
}

static hx_status unlike_sides(const hx_tensor *a, const char *a_name, const hx_tensor *b, const char *b_name, bool left) {
    return hx_fail_about(FACTS(b_name, hx_text("%lld", (long long)SIZE(a, -1)), hx_text("%lld", (long long)SIZE(b, left ? -2 : -1)),
                               true, left ? -2 : -1), HX_E_SHAPE, HX1002_INNER,
                         "%s holds matrices of size %lld (shape %s), and %s has %lld %s (axis %d of %s)", a_name,
                         (long long)SIZE(a, -1), hx_shape_text(a->shape, a->ndim), b_name, (long long)SIZE(b, left ? -2 : -1),
                         left ? "rows" : "columns", left ? -2 : -1, hx_shape_text(b->shape, b->ndim));
}

/* ---- what is read from results ---- */

/* The first entry of info that is not 0, and its place; 0 while only shapes are known. */
static hx_status first_info(hx_tensor *info, int32_t *code, int64_t *where) {
    *code = 0;
    if (!info) return hx_error_last()->code;
    if (!info->storage || !info->numel) return HX_OK;
    size_t bytes = (size_t)info->numel * sizeof(int32_t);
    int32_t one, *all = info->numel == 1 ? &one : hx_alloc(bytes);
    if (!all) return HX_E_MEMORY;
    hx_status status = hx_tensor_read(info, all, (int64_t)bytes);
    for (int64_t i = 0; !status && i < info->numel && !*code; i++) {
        *code = all[i];
        *where = i;
    }
    if (all != &one) hx_free(all, bytes);
    return status;
}

hx_status hx_check_info(hx_tensor *info, const char *fault) {
    int32_t code;
    int64_t where = 0;
    HX_TRY(first_info(info, &code, &where));
    if (!code) return HX_OK;
    const char *which = info->numel > 1 ? hx_text("matrix %lld of the batch: ", (long long)where) : "";
    if (code < 0) return hx_fail(HX_E_VALUE, HX1405_LINALG, "%sit holds NaN or infinite elements", which);
    return hx_fail(HX_E_VALUE, HX1405_LINALG, "%s%s (LAPACK's info is %d)", which, fault, (int)code);
}

#define SINGULAR "the matrix is singular: its factor has a 0 on the diagonal"

/* ---- LU ---- */

static hx_status lu_spec(hx_call *c) {
    const hx_tensor *a = c->in[0];
    HX_TRY(hx_require_matrix(a, "A"));
    hx_spec_like(&c->spec[0], a);
    hx_spec_matrix(&c->spec[1], a, HX_I32, 1, smaller_side(a), 0);
    hx_spec_matrix(&c->spec[2], a, HX_I32, 0, 0, 0);
    return HX_OK;
}

static hx_status lu_order_shape(hx_call *c) {
    const hx_tensor *pivots = c->in[0];
    int64_t m = c->attr[0].v.i;
    if (!pivots->ndim) return hx_refuse_rank(pivots, "pivots", "have at least 1 axis");
    HX_TRY(hx_require_dtype(pivots, "pivots", HX_BIT(HX_I32)));
    hx_spec_set(&c->spec[0], HX_I64, pivots->shape, pivots->ndim);
    if (pivots->shape[pivots->ndim - 1] > m)
        return hx_refuse(HX_E_SHAPE, HX1002_INNER, "pivots", "have at most one element a row", "shape %s",
                         hx_shape_text(pivots->shape, pivots->ndim));
    c->spec[0].shape[pivots->ndim - 1] = m;
    return HX_OK;
}

/* t with the batch axes of `shape`, which has `ndim` axes in all. */
static hx_tensor *with_batch(hx_tensor *t, int64_t *shape, int ndim) {
    if (!t) return NULL;
    shape[ndim - 2] = SIZE(t, -2);
    shape[ndim - 1] = SIZE(t, -1);
    return CALL(expand, t, ((hx_ints){shape, ndim}));
}

/* Rows of t in the order that the exchanges come to, or back from it. */
static hx_tensor *rows_in_order(hx_tensor *t, hx_tensor *pivots, bool back) {
    hx_tensor *order = t ? CALL(lu_order, pivots, SIZE(t, -2)) : NULL;
    int64_t shape[HX_MAX_RANK];
    int n = 0;
    if (back) order = CALL(argsort, order, -1);
    if (!order || hx_broadcast_into(shape, &n, t->shape, t->ndim - 2)) return NULL;
    if (hx_broadcast_into(shape, &n, order->shape, order->ndim - 1)) return NULL;
    order = with_batch(CALL(unsqueeze, order, -1), shape, n + 2);
    shape[n + 1] = SIZE(t, -1);
    order = CALL(expand, order, ((hx_ints){shape, n + 2}));
    return CALL(gather, with_batch(t, shape, n + 2), -2, order);
}

static hx_tensor *columns(hx_tensor *t, int64_t from, int64_t count) { return CALL(narrow, t, -1, from, count); }
static hx_tensor *rows(hx_tensor *t, int64_t from, int64_t count) { return CALL(narrow, t, -2, from, count); }
/* A^-1 b with a triangle of `a` that is read as it stands, or as its adjoint. */
static hx_tensor *divided(hx_tensor *a, hx_tensor *b, bool upper, bool left, bool unit, bool by_adjoint) {
    return CALL(triangular_base, a, b, upper, left, unit, by_adjoint);
}

/* P L U = A with L and U packed in one: the gradients of both parts stand in the triangles of g. */
static hx_tensor *square_lu_gradient(hx_tensor *lu, hx_tensor *g) {
    hx_tensor *l = hx_unit_lower(lu), *u = CALL(triu, lu);
    hx_tensor *inner = CALL(add, CALL(tril, CALL(matmul, hx_adjoint(l), CALL(tril, g, -1)), -1),
                            CALL(triu, CALL(matmul, CALL(triu, g), hx_adjoint(u))));
    inner = divided(lu, inner, true, false, false, true);
    return divided(lu, inner, false, true, true, true);
}

static hx_tensor *wide_lu_gradient(hx_tensor *lu, hx_tensor *g, int64_t m, int64_t n) {
    hx_tensor *first = columns(lu, 0, m), *l = hx_unit_lower(first), *u = CALL(triu, lu), *gu = CALL(triu, g);
    hx_tensor *inner = CALL(sub, CALL(matmul, hx_adjoint(l), CALL(tril, columns(g, 0, m), -1)), CALL(matmul, gu, hx_adjoint(u)));
    inner = divided(first, CALL(tril, inner, -1), true, false, false, true);
    hx_tensor *part[2] = {CALL(add, inner, columns(gu, 0, m)), columns(gu, m, n - m)};
    return divided(first, CALL(cat, ((hx_list){part, 2}), -1), false, true, true, true);
}

static hx_tensor *tall_lu_gradient(hx_tensor *lu, hx_tensor *g, int64_t m, int64_t n) {
    hx_tensor *first = rows(lu, 0, n), *l = CALL(add, CALL(tril, lu, -1), hx_identity(lu, m, n)), *gl = CALL(tril, g, -1);
    hx_tensor *inner = CALL(sub, CALL(matmul, CALL(triu, rows(g, 0, n)), hx_adjoint(CALL(triu, first))),
                            CALL(matmul, hx_adjoint(l), gl));
    inner = divided(first, CALL(triu, inner), false, true, true, true);
    hx_tensor *part[2] = {CALL(add, inner, rows(gl, 0, n)), rows(gl, n, m - n)};
    return divided(first, CALL(cat, ((hx_list){part, 2}), -2), true, false, false, true);
}

static hx_status lu_vjp(hx_vjp *v) {
    const hx_spec *a = &v->in_spec[0];
    int64_t m = SIZE(a, -2), n = SIZE(a, -1);
    hx_tensor *lu = OUT(0), *g;
    if (m == n) g = square_lu_gradient(lu, G);
    else g = m < n ? wide_lu_gradient(lu, G, m, n) : tall_lu_gradient(lu, G, m, n);
    GIN(0, ATTR(0)->v.i ? rows_in_order(g, OUT(1), true) : g);
    return HX_OK;
}

/* attr: pivot, check_errors */
static hx_status lu_factor_ex_parts(hx_call *c) {
    if (!CALLN(c->out, 3, lu_base, c->in[0], (bool)c->attr[0].v.i)) return hx_error_last()->code;
    return c->attr[1].v.i ? hx_check_info(c->out[2], SINGULAR) : HX_OK;
}

/* torch lets a factorization of a singular matrix pass: only its inverse does not exist. */
static hx_status lu_factor_parts(hx_call *c) {
    hx_tensor *out[3];
    if (!CALLN(out, 3, lu_base, c->in[0], (bool)c->attr[0].v.i)) return hx_error_last()->code;
    c->out[0] = out[0];
    c->out[1] = out[1];
    return HX_OK;
}

static hx_tensor *lu_solved(hx_tensor *lu, hx_tensor *pivots, hx_tensor *b, bool by_adjoint) {
    if (by_adjoint)
        return rows_in_order(divided(lu, divided(lu, b, true, true, false, true), false, true, true, true), pivots, true);
    return divided(lu, divided(lu, rows_in_order(b, pivots, false), false, true, true, false), true, true, false, false);
}

/* LU, pivots, B; attr: left, adjoint */
static hx_status lu_solve_shape(hx_call *c) {
    const hx_tensor *lu = c->in[0], *pivots = c->in[1], *b = c->in[2];
    bool left = c->attr[0].v.i;
    HX_TRY(hx_require_square(lu, "LU"));
    HX_TRY(hx_require_matrix(b, "B"));
    HX_TRY(hx_require_dtype(pivots, "pivots", HX_BIT(HX_I32)));
    if (SIZE(b, left ? -2 : -1) != SIZE(lu, -1)) return unlike_sides(lu, "LU", b, "B", left);
    if (pivots->ndim != lu->ndim - 1 || SIZE(pivots, -1) != SIZE(lu, -1))
        return hx_refuse(HX_E_SHAPE, HX1002_INNER, "pivots", "have the shape of LU without its last axis", "shape %s",
                         hx_shape_text(pivots->shape, pivots->ndim));
    return stretched_spec(&c->spec[0], lu, b, hx_promote((hx_dtype)lu->dtype, (hx_dtype)b->dtype), SIZE(b, -2), SIZE(b, -1));
}

static hx_status lu_solve_parts(hx_call *c) {
    hx_tensor *lu = c->in[0], *pivots = c->in[1], *b = c->in[2];
    bool left = c->attr[0].v.i, by_adjoint = c->attr[1].v.i;
    if (left) RESULT(0, lu_solved(lu, pivots, b, by_adjoint));
    else RESULT(0, hx_adjoint(lu_solved(lu, pivots, hx_adjoint(b), !by_adjoint)));
    return HX_OK;
}

/* ---- triangular systems ---- */

/* A, B; attr: upper, left, unitriangular, adjoint */
static hx_status triangular_shape(hx_call *c) {
    hx_dtype dtype;
    HX_TRY(common_matrices(c, "A", "B", &dtype));
    const hx_tensor *a = c->in[0], *b = c->in[1];
    bool left = c->attr[1].v.i;
    if (SIZE(a, -1) != SIZE(a, -2)) return hx_require_square(a, "A");
    if (SIZE(b, left ? -2 : -1) != SIZE(a, -1)) return unlike_sides(a, "A", b, "B", left);
    return stretched_spec(&c->spec[0], a, b, dtype, SIZE(b, -2), SIZE(b, -1));
}

/* dX of A X = B is A^-1 (dB - dA X), and likewise from the right and for the adjoint. */
static hx_status triangular_vjp(hx_vjp *v) {
    bool upper = ATTR(0)->v.i, left = ATTR(1)->v.i, unit = ATTR(2)->v.i, by_adjoint = ATTR(3)->v.i;
    hx_tensor *gb = divided(IN(0), G, upper, left, unit, !by_adjoint);
    GIN(1, gb);
    if (!v->need[0]) return HX_OK;
    hx_tensor *x = OUT(0), *ga;
    if (left) ga = by_adjoint ? CALL(matmul, x, hx_adjoint(gb)) : CALL(matmul, gb, hx_adjoint(x));
    else ga = by_adjoint ? CALL(matmul, hx_adjoint(gb), x) : CALL(matmul, hx_adjoint(x), gb);
    ga = CALL(neg, ga);
    GIN(0, upper ? CALL(triu, ga, (int)unit) : CALL(tril, ga, -(int)unit));
    return HX_OK;
}

/* attr: upper, left, unitriangular */
static hx_status solve_triangular_parts(hx_call *c) {
    RESULT(0, CALL(triangular_base, c->in[0], c->in[1], (bool)c->attr[0].v.i, (bool)c->attr[1].v.i, (bool)c->attr[2].v.i));
    return HX_OK;
}

/* ---- Cholesky ---- */

static hx_status cholesky_spec(hx_call *c) {
    HX_TRY(hx_require_square(c->in[0], "A"));
    hx_spec_like(&c->spec[0], c->in[0]);
    hx_spec_matrix(&c->spec[1], c->in[0], HX_I32, 0, 0, 0);
    return HX_OK;
}

/* I. Murray, "Differentiation of the Cholesky decomposition", 2016: L^-H Phi(L^H gL) L^-1, made Hermitian. */
static hx_status cholesky_vjp(hx_vjp *v) {
    bool upper = ATTR(0)->v.i;
    hx_tensor *l = upper ? hx_adjoint(OUT(0)) : OUT(0), *g = upper ? hx_adjoint(G) : G;
    hx_tensor *inner = CALL(tril, CALL(matmul, hx_adjoint(l), g));
    inner = CALL(mul, CALL(add, inner, hx_adjoint(CALL(tril, inner, -1))), 0.5);
    inner = divided(l, inner, false, true, false, true);
    GIN(0, divided(l, inner, false, false, false, false));
    return HX_OK;
}

#define NOT_POSITIVE "the matrix is not positive definite"

/* attr: upper, check_errors */
static hx_status cholesky_ex_parts(hx_call *c) {
    if (!CALLN(c->out, 2, cholesky_base, c->in[0], (bool)c->attr[0].v.i)) return hx_error_last()->code;
    return c->attr[1].v.i ? hx_check_info(c->out[1], NOT_POSITIVE) : HX_OK;
}

static hx_status like_square(hx_call *c) {
    HX_TRY(hx_require_square(c->in[0], "A"));
    hx_spec_like(&c->spec[0], c->in[0]);
    return HX_OK;
}

static hx_status cholesky_parts(hx_call *c) {
    hx_tensor *out[2];
    if (!CALLN(out, 2, cholesky_base, c->in[0], (bool)c->attr[0].v.i)) return hx_error_last()->code;
    HX_TRY(hx_check_info(out[1], NOT_POSITIVE));
    c->out[0] = out[0];
    return HX_OK;
}

/* ---- systems ---- */

static hx_status solve_shape(hx_call *c) {
    hx_dtype dtype;
    const hx_tensor *a = c->in[0], *b = c->in[1];
    HX_TRY(common_matrices(c, "A", "B", &dtype));
    if (SIZE(a, -1) != SIZE(a, -2)) return hx_require_square(a, "A");
    if (SIZE(b, -2) != SIZE(a, -1)) return unlike_sides(a, "A", b, "B", true);
    HX_TRY(stretched_spec(&c->spec[0], a, b, dtype, SIZE(b, -2), SIZE(b, -1)));
    hx_spec_matrix(&c->spec[1], a, dtype, 2, SIZE(a, -2), SIZE(a, -1));
    hx_spec_matrix(&c->spec[2], a, HX_I32, 1, SIZE(a, -1), 0);
    hx_spec_matrix(&c->spec[3], a, HX_I32, 0, 0, 0);
    return HX_OK;
}

static hx_status solve_base_parts(hx_call *c) {
    if (!CALLN(c->out + 1, 3, lu_base, c->in[0])) return hx_error_last()->code;
    RESULT(0, lu_solved(c->out[1], c->out[2], c->in[1], false));
    return HX_OK;
}

/* The factors are at hand, but their history is not kept: a gradient of this gradient begins at A. */
static hx_status solve_vjp(hx_vjp *v) {
    hx_tensor *out[4], *gb;
    if (hx_grad_enabled()) {
        if (!CALLN(out, 4, solve_base, hx_adjoint(IN(0)), G)) return hx_error_last()->code;
        gb = out[0];
    } else {
        gb = lu_solved(OUT(1), OUT(2), G, true);
    }
    GIN(1, gb);
    GIN(0, CALL(neg, CALL(matmul, gb, hx_adjoint(OUT(0)))));
    return HX_OK;
}

/* torch takes B for vectors when it has one axis, or the shape of A without the last. */
static bool are_vectors(const hx_tensor *a, const hx_tensor *b) {
    if (b->ndim == 1) return true;
    if (b->ndim != a->ndim - 1) return false;
    for (int i = 0; i < b->ndim; i++)
        if (b->shape[i] != a->shape[i]) return false;
    return true;
}

/* A, B; attr: left */
static hx_status solution_shape(hx_call *c) {
    const hx_tensor *a = c->in[0], *b = c->in[1];
    hx_spec *s = &c->spec[0];
    bool left = c->attr[0].v.i;
    int n = 0;
    HX_TRY(hx_require_square(a, "A"));
    if (!b->ndim) return hx_refuse_rank(b, "B", "be a vector or matrices");
    bool vectors = are_vectors(a, b);
    if (vectors && !left) return hx_refuse(HX_E_VALUE, HX1403_VALUE, "left",
                                           hx_text("be True where B holds vectors, as shape %s is read", hx_shape_text(b->shape, b->ndim)),
                                           "False");
    hx_dtype dtype = hx_promote((hx_dtype)a->dtype, (hx_dtype)b->dtype);
    if (!(HX_BIT(dtype) & HX_SET_LINALG)) return hx_refuse_matrix_dtype("B", dtype);
    int own = vectors ? 1 : 2;
    if (SIZE(b, left ? -own : -1) != SIZE(a, -1)) return unlike_sides(a, "A", b, "B", left && !vectors);
    HX_TRY(hx_broadcast_into(s->shape, &n, a->shape, a->ndim - 2));
    HX_TRY(hx_broadcast_into(s->shape, &n, b->shape, b->ndim - own));
    for (int i = own; i > 0; i--) s->shape[n++] = SIZE(b, -i);
    s->ndim = (uint8_t)n;
    s->dtype = (uint8_t)dtype;
    hx_spec_matrix(&c->spec[1], a, HX_I32, 0, 0, 0);
    return HX_OK;
}

/* The solution and info. */
static hx_status solved(hx_call *c, hx_tensor **x, hx_tensor **info) {
    hx_tensor *a = c->in[0], *b = c->in[1], *out[4];
    bool left = c->attr[0].v.i, vectors = are_vectors(a, b);
    if (vectors) b = CALL(unsqueeze, b, -1);
    if (!CALLN(out, 4, solve_base, left ? a : hx_adjoint(a), left ? b : hx_adjoint(b))) return hx_error_last()->code;
    *info = out[3];
    *x = vectors ? CALL(squeeze, out[0], -1) : left ? out[0] : hx_adjoint(out[0]);
    return *x ? HX_OK : hx_error_last()->code;
}

/* attr: left, check_errors */
static hx_status solve_ex_parts(hx_call *c) {
    HX_TRY(solved(c, &c->out[0], &c->out[1]));
    return c->attr[1].v.i ? hx_check_info(c->out[1], SINGULAR) : HX_OK;
}

static hx_status solve_parts(hx_call *c) {
    hx_tensor *info;
    HX_TRY(solved(c, &c->out[0], &info));
    return hx_check_info(info, SINGULAR);
}

/* ---- inverses ---- */

static hx_status inverse_base_parts(hx_call *c) {
    hx_tensor *out[4], *a = c->in[0];
    if (!CALLN(out, 4, solve_base, a, hx_identity(a, SIZE(a, -1), SIZE(a, -1)))) return hx_error_last()->code;
    c->out[0] = out[0];
    c->out[1] = out[3];
    return HX_OK;
}

static hx_status inverse_vjp(hx_vjp *v) {
    hx_tensor *inverse = hx_adjoint(OUT(0));
    GIN(0, CALL(neg, CALL(matmul, inverse, CALL(matmul, G, inverse))));
    return HX_OK;
}

/* attr: check_errors */
static hx_status inv_ex_parts(hx_call *c) {
    if (!CALLN(c->out, 2, inverse_base, c->in[0])) return hx_error_last()->code;
    return c->attr[0].v.i ? hx_check_info(c->out[1], SINGULAR) : HX_OK;
}

static hx_status inv_parts(hx_call *c) {
    hx_tensor *out[2];
    if (!CALLN(out, 2, inverse_base, c->in[0])) return hx_error_last()->code;
    HX_TRY(hx_check_info(out[1], SINGULAR));
    c->out[0] = out[0];
    return HX_OK;
}

/* ---- determinants ---- */

/* The diagonal of U, and 1 or -1 as the rows were exchanged. */
static hx_status eliminated(hx_tensor *a, hx_tensor **diagonal, hx_tensor **sign) {
    hx_tensor *out[3];
    if (!CALLN(out, 3, lu_base, a)) return hx_error_last()->code;
    hx_tensor *still = CALL(arange, 1, SIZE(a, -1) + 1, 1, (int)HX_I32);
    hx_tensor *exchanges = CALL(sum, CALL(cast, CALL(ne, out[1], still), (int)HX_I32), -1);
    *diagonal = CALL(diagonal, out[0], 0, -2, -1);
    *sign = CALL(cast, CALL(sub, 1, CALL(mul, CALL(remainder, exchanges, 2), 2)), (int)hx_real_of((hx_dtype)a->dtype));
    return *sign ? HX_OK : hx_error_last()->code;
}

static hx_status det_shape(hx_call *c) {
    HX_TRY(hx_require_square(c->in[0], "A"));
    hx_spec_matrix(&c->spec[0], c->in[0], (hx_dtype)c->in[0]->dtype, 0, 0, 0);
    return HX_OK;
}

static hx_status det_parts(hx_call *c) {
    hx_tensor *diagonal, *sign;
    HX_TRY(eliminated(c->in[0], &diagonal, &sign));
    RESULT(0, CALL(mul, CALL(prod, diagonal, -1), sign));
    return HX_OK;
}

static hx_tensor *as_matrix(hx_tensor *numbers) { return CALL(unsqueeze, CALL(unsqueeze, numbers, -1), -1); }

/* The products of all elements of s but one each, without a division. */
static hx_tensor *products_of_others(hx_tensor *s) {
    hx_tensor *n = s ? CALL(unsqueeze, s, -2) : NULL;
    if (!n) return NULL;
    hx_tensor *self = CALL(eye, SIZE(s, -1), SIZE(s, -1), (int)HX_BOOL);
    return CALL(prod, CALL(where, self, CALL(ones_like, n), n), -1);
}

/* The adjoint of the matrix of cofactors, which a singular matrix has too: det(U) det(V^H) U diag(...) V^H of A = U S V^H.
 * NaN of a matrix that is not finite, which has no U. */
static hx_tensor *cofactors(hx_tensor *a) {
    hx_tensor *out[3];
    if (!a->numel) return CALL(zeros_like, a);
    hx_tensor *finite = CALL(isfinite, CALL(amax, CALL(abs, a), HX_INTS(-2, -1), true));
    if (!CALLN(out, 3, linalg_svd, CALL(where, finite, a, 0), true)) return NULL;
    hx_tensor *turns = CALL(mul, CALL(det, out[0]), CALL(det, out[2]));
    hx_tensor *scaled = CALL(mul, out[0], CALL(unsqueeze, CALL(cast, products_of_others(out[1]), a->dtype), -2));
    return CALL(where, finite, CALL(mul, CALL(matmul, scaled, out[2]), as_matrix(cj(turns))), __builtin_nan(""));
}

static hx_status det_vjp(hx_vjp *v) {
    hx_tensor *a = IN(0), *det = OUT(0);
    hx_tensor *zero = det && !hx_tracing() ? CALL(any, CALL(eq, det, 0)) : NULL;
    hx_scalar singular = {0};
    if (zero) HX_TRY(hx_tensor_item(zero, &singular));
    if (singular.v.i || hx_tracing()) { /* a graph has one rule for all values */
        /* conj: the cofactors are the derivative of det itself */
        hx_tensor *plain = cofactors(a);
        GIN(0, CALL(mul, plain, as_matrix(G)));
        return HX_OK;
    }
    hx_tensor *out[2];
    if (!CALLN(out, 2, inverse_base, a)) return hx_error_last()->code;
    GIN(0, CALL(mul, hx_adjoint(out[0]), as_matrix(CALL(mul, G, cj(det)))));
    return HX_OK;
}

static hx_status slogdet_shape(hx_call *c) {
    HX_TRY(det_shape(c));
    hx_spec_matrix(&c->spec[1], c->in[0], hx_real_of((hx_dtype)c->in[0]->dtype), 0, 0, 0);
    return HX_OK;
}

static hx_status slogdet_parts(hx_call *c) {
    hx_tensor *diagonal, *sign;
    HX_TRY(eliminated(c->in[0], &diagonal, &sign));
    hx_tensor *size = CALL(abs, diagonal);
    hx_tensor *phase = CALL(div, diagonal, CALL(where, CALL(eq, size, 0), CALL(ones_like, size), size));
    RESULT(0, CALL(mul, CALL(prod, phase, -1), sign));
    RESULT(1, CALL(sum, CALL(log, size), -1));
    return HX_OK;
}

/* A real sign does not change with A; a complex one turns. */
static hx_status slogdet_vjp(hx_vjp *v) {
    hx_tensor *out[2], *g = v->g[1];
    if (hx_is_complex((hx_dtype)v->in_spec[0].dtype)) {
        hx_tensor *turn = v->g[0] ? CALL(imag, CALL(mul, cj(v->g[0]), OUT(0))) : NULL;
        turn = turn ? CALL(cast, turn, v->in_spec[0].dtype) : NULL;
        g = g ? CALL(cast, g, v->in_spec[0].dtype) : NULL;
        hx_tensor *i;
        if (turn) {
            HX_TRY(hx_tensor_from_complex(0, -1, &i));
            turn = CALL(mul, turn, hx_scope_own(i));
        }
        g = g && turn ? CALL(add, g, turn) : g ? g : turn;
    }
    if (!g) return HX_OK;
    if (!CALLN(out, 2, inverse_base, IN(0))) return hx_error_last()->code;
    GIN(0, CALL(mul, hx_adjoint(out[0]), as_matrix(g)));
    return HX_OK;
}

/* ---- symmetric indefinite systems ---- */

static hx_status ldl_spec(hx_call *c) {
    HX_TRY(hx_require_square(c->in[0], "A"));
    hx_spec_like(&c->spec[0], c->in[0]);
    hx_spec_matrix(&c->spec[1], c->in[0], HX_I32, 1, SIZE(c->in[0], -1), 0);
    hx_spec_matrix(&c->spec[2], c->in[0], HX_I32, 0, 0, 0);
    return HX_OK;
}

/* LD, pivots, B */
static hx_status ldl_solve_shape(hx_call *c) {
    const hx_tensor *ld = c->in[0], *pivots = c->in[1], *b = c->in[2];
    HX_TRY(hx_require_square(ld, "LD"));
    HX_TRY(hx_require_matrix(b, "B"));
    HX_TRY(hx_require_dtype(pivots, "pivots", HX_BIT(HX_I32)));
    if (b->dtype != ld->dtype)
        return hx_refuse(HX_E_DTYPE, HX1101_DTYPE, "B", hx_text("have the dtype of LD, %s", hx_dtype_name((hx_dtype)ld->dtype)),
                         "%s", hx_dtype_name((hx_dtype)b->dtype));
    if (SIZE(b, -2) != SIZE(ld, -1)) return unlike_sides(ld, "LD", b, "B", true);
    bool fit = pivots->ndim == ld->ndim - 1;
    for (int i = 0; fit && i < pivots->ndim; i++) fit = pivots->shape[i] == ld->shape[i];
    if (!fit)
        return hx_refuse(HX_E_SHAPE, HX1002_INNER, "pivots", "have the shape of LD without its last axis", "shape %s",
                         hx_shape_text(pivots->shape, pivots->ndim));
    return stretched_spec(&c->spec[0], ld, b, (hx_dtype)ld->dtype, SIZE(b, -2), SIZE(b, -1));
}

/* attr: hermitian, check_errors */
static hx_status ldl_factor_ex_parts(hx_call *c) {
    if (!CALLN(c->out, 3, ldl_base, c->in[0], (bool)c->attr[0].v.i)) return hx_error_last()->code;
    return c->attr[1].v.i ? hx_check_info(c->out[2], "D has a block that is singular") : HX_OK;
}

static hx_status ldl_factor_parts(hx_call *c) {
    hx_tensor *out[3];
    if (!CALLN(out, 3, ldl_base, c->in[0], (bool)c->attr[0].v.i)) return hx_error_last()->code;
    HX_TRY(hx_check_info(out[2], "D has a block that is singular"));
    c->out[0] = out[0];
    c->out[1] = out[1];
    return HX_OK;
}

static hx_status ldl_solve_parts(hx_call *c) {
    RESULT(0, CALL(ldl_solve_base, c->in[0], c->in[1], c->in[2], (bool)c->attr[0].v.i));
    return HX_OK;
}

/* ---- records ---- */

#define BASE(title, rule) .name = title, .shape = rule, .flags = HX_PRIMITIVE | HX_INTERNAL_OP
#define NO_GRADIENT HX_NON_DIFF | HX_GRAD_ERROR
#define MATRICES "The last two axes are matrices; the axes in front are batches. float32, float64, complex64 and complex128.\n"
#define NOT_SQUARE "Raises ShapeError (HX1001) for matrices that are not square"
#define HELD_INFO                                                                                             \
    "info is 0 for a matrix where it worked, else what LAPACK says; check_errors raises LinAlgError (HX1405) then.\n"

const hx_op hx_ops_linalg[] = {
    {BASE("lu_base", lu_spec) | HX_NONDIFF_OUT1, .vjp = lu_vjp, .saves = SAVE_OUT(0) | SAVE_OUT(1), .outputs = "LU, pivots, info",
     .params = PARAMS(TENSOR("A"), BOOL("pivot", true)), .doc = "The LU factorization, L and U packed in one matrix."},
    {BASE("lu_order", lu_order_shape) | HX_NON_DIFF, .params = PARAMS(TENSOR("pivots"), REQ_INT("rows")),
     .doc = "The order of rows that exchanges come to: row i of the result was row order[i]."},
    {BASE("triangular_base", triangular_shape), .vjp = triangular_vjp, .saves = SAVE_IN(0) | SAVE_OUT(0),
     .params = PARAMS(TENSOR("A"), TENSOR("B"), BOOL("upper", false), BOOL("left", true), BOOL("unitriangular", false),
                      BOOL("adjoint", false)),
     .doc = "A^-1 B, or B A^-1 from the right, with a triangle of A, or with its conjugate transpose."},
    {BASE("cholesky_base", cholesky_spec) | HX_NONDIFF_OUT1, .vjp = cholesky_vjp, .saves = SAVE_OUT(0), .outputs = "L, info",
     .params = PARAMS(TENSOR("A"), BOOL("upper", false)), .doc = "The Cholesky factor of Hermitian matrices."},
    {BASE("ldl_base", ldl_spec) | NO_GRADIENT, .outputs = "LD, pivots, info",
     .params = PARAMS(TENSOR("A"), BOOL("hermitian", false)), .doc = "The LDL factorization, L and D packed in one matrix."},
    {BASE("ldl_solve_base", ldl_solve_shape) | NO_GRADIENT,
     .params = PARAMS(TENSOR("LD"), TENSOR("pivots"), TENSOR("B"), BOOL("hermitian", false)),
     .doc = "A^-1 B from an LDL factorization of A."},
    {.name = "solve_base", .shape = solve_shape, .vjp = solve_vjp, .decompose = solve_base_parts,
     .saves = SAVE_IN(0) | SAVE_OUT(0) | SAVE_OUT(1) | SAVE_OUT(2), .flags = HX_INTERNAL_OP | HX_NONDIFF_OUT1,
     .outputs = "result, LU, pivots, info", .params = PARAMS(TENSOR("A"), TENSOR("B")), .doc = "A^-1 B, and the factors of A."},
    {.name = "inverse_base", .shape = cholesky_spec, .vjp = inverse_vjp, .decompose = inverse_base_parts, .saves = SAVE_OUT(0),
     .flags = HX_INTERNAL_OP | HX_NONDIFF_OUT1, .outputs = "inverse, info", .params = PARAMS(TENSOR("A")),
     .doc = "A^-1, and LAPACK's info."},
    {.name = "linalg_lu_factor", .shape = lu_spec, .decompose = lu_factor_parts, .flags = HX_LINALG | HX_OUT, .outputs = "LU, pivots",
     .params = PARAMS(TENSOR("A"), BOOL("pivot", true, KW)),
     .doc = "The LU factorization with exchanges of rows: L (unit lower) and U packed in one matrix, and the pivots (from 1, int32).\n\n"
            MATRICES "pivot=False exchanges no rows.\n\n"
            "Example:\n    >>> helix.linalg.lu_factor(helix.tensor([[1., 2.], [2., 2.]])).LU.tolist()\n    [[2.0, 2.0], [0.5, 1.0]]"},
    {.name = "linalg_lu_factor_ex", .shape = lu_spec, .decompose = lu_factor_ex_parts,
     .flags = HX_LINALG | HX_OUT, .outputs = "LU, pivots, info",
     .params = PARAMS(TENSOR("A"), BOOL("pivot", true, KW), BOOL("check_errors", false)),
     .doc = "lu_factor, with LAPACK's info.\n\n" MATRICES HELD_INFO
            "\nExample:\n    >>> helix.linalg.lu_factor_ex(helix.zeros(2, 2)).info.item()\n    1"},
    {.name = "linalg_lu_solve", .shape = lu_solve_shape, .decompose = lu_solve_parts, .flags = HX_LINALG | HX_OUT,
     .params = PARAMS(TENSOR("LU"), TENSOR("pivots"), TENSOR("B"), BOOL("left", true, KW), BOOL("adjoint", false)),
     .doc = "Solves A X = B (X A = B with left=False, A^H with adjoint) from the factors that lu_factor gave.\n\n" MATRICES
            "Raises ShapeError (HX1002) when the sizes do not fit.\n\n"
            "Example:\n    >>> A = helix.tensor([[2., 0.], [0., 4.]])\n"
            "    >>> helix.linalg.lu_solve(*helix.linalg.lu_factor(A), helix.tensor([[2.], [4.]])).tolist()\n    [[1.0], [1.0]]"},
    {.name = "linalg_solve_triangular", .shape = triangular_shape, .decompose = solve_triangular_parts, .flags = HX_LINALG | HX_OUT,
     .params = PARAMS(TENSOR("A"), TENSOR("B"), BOOL("upper", false, .required = true, KW), BOOL("left", true),
                      BOOL("unitriangular", false)),
     .doc = "Solves A X = B (X A = B with left=False) with triangular A; the other triangle is not read.\n\n" MATRICES
            "unitriangular: the diagonal counts as ones and is not read. A 0 on the diagonal gives infinities and NaN.\n"
            NOT_SQUARE ".\n\n"
            "Example:\n    >>> A = helix.tensor([[2., 0.], [1., 1.]])\n"
            "    >>> helix.linalg.solve_triangular(A, helix.tensor([[2.], [3.]]), upper=False).tolist()\n    [[1.0], [2.0]]"},
    {.name = "linalg_cholesky", .shape = like_square, .decompose = cholesky_parts, .flags = HX_LINALG | HX_OUT,
     .params = PARAMS(TENSOR("A"), BOOL("upper", false, KW)),
     .doc = "The Cholesky factor L of Hermitian positive definite matrices A = L L^H, or with upper its adjoint.\n\n" MATRICES
            "Only the triangle that is asked for is read.\n"
            NOT_SQUARE ", LinAlgError (HX1405) for ones that are not positive definite.\n\n"
            "Example:\n    >>> helix.linalg.cholesky(helix.tensor([[4., 2.], [2., 2.]])).tolist()\n    [[2.0, 0.0], [1.0, 1.0]]"},
    {.name = "linalg_cholesky_ex", .shape = cholesky_spec, .decompose = cholesky_ex_parts,
     .flags = HX_LINALG | HX_OUT, .outputs = "L, info",
     .params = PARAMS(TENSOR("A"), BOOL("upper", false, KW), BOOL("check_errors", false)),
     .doc = "cholesky, with LAPACK's info: the order of the leading minor that is not positive.\n\n" MATRICES HELD_INFO
            "\nExample:\n    >>> helix.linalg.cholesky_ex(-helix.eye(2)).info.item()\n    1"},
    {.name = "linalg_solve", .shape = solution_shape, .decompose = solve_parts, .flags = HX_LINALG | HX_OUT,
     .params = PARAMS(TENSOR("A"), TENSOR("B"), BOOL("left", true, KW)),
     .doc = "Solves A X = B (X A = B with left=False).\n\n" MATRICES
            "B of one axis, or of A's shape without the last, holds vectors; else matrices, whose batches are stretched to A's.\n"
            NOT_SQUARE ", LinAlgError (HX1405) for singular ones.\n\n"
            "Example:\n    >>> helix.linalg.solve(helix.tensor([[2., 0.], [0., 4.]]), helix.tensor([2., 4.])).tolist()\n    [1.0, 1.0]"},
    {.name = "linalg_solve_ex", .shape = solution_shape, .decompose = solve_ex_parts,
     .flags = HX_LINALG | HX_OUT, .outputs = "result, info",
     .params = PARAMS(TENSOR("A"), TENSOR("B"), BOOL("left", true, KW), BOOL("check_errors", false)),
     .doc = "solve, with LAPACK's info.\n\n" MATRICES HELD_INFO
            "\nExample:\n    >>> helix.linalg.solve_ex(helix.zeros(2, 2), helix.ones(2)).info.item()\n    1"},
    {.name = "inverse", .shape = like_square, .decompose = inv_parts,
     .flags = HX_PUBLIC | HX_LINALG | HX_OUT, .aliases = "inv", .params = PARAMS(TENSOR("A")),
     .doc = "The inverse of square matrices.\n\n" MATRICES NOT_SQUARE ", LinAlgError (HX1405) for singular ones.\n\n"
            "Example:\n    >>> helix.inverse(helix.tensor([[2., 0.], [0., 4.]])).tolist()\n    [[0.5, 0.0], [0.0, 0.25]]"},
    {.name = "linalg_inv_ex", .shape = cholesky_spec, .decompose = inv_ex_parts, .flags = HX_LINALG | HX_OUT, .outputs = "inverse, info",
     .params = PARAMS(TENSOR("A"), BOOL("check_errors", false, KW)),
     .doc = "inv, with LAPACK's info.\n\n" MATRICES HELD_INFO
            "\nExample:\n    >>> helix.linalg.inv_ex(helix.zeros(2, 2)).info.item()\n    1"},
    {.name = "det", .shape = det_shape, .vjp = det_vjp, .decompose = det_parts, .saves = SAVE_IN(0) | SAVE_OUT(0),
     .flags = HX_PUBLIC | HX_LINALG | HX_OUT, .params = PARAMS(TENSOR("A")),
     .doc = "The determinant of square matrices; 1 for those of size 0.\n\n" MATRICES NOT_SQUARE ".\n\n"
            "Example:\n    >>> helix.det(helix.tensor([[2., 1.], [0., 4.]])).item()\n    8.0"},
    {.name = "slogdet", .shape = slogdet_shape, .vjp = slogdet_vjp, .decompose = slogdet_parts, .saves = SAVE_IN(0) | SAVE_OUT(0),
     .flags = HX_PUBLIC | HX_LINALG | HX_OUT, .outputs = "sign, logabsdet", .params = PARAMS(TENSOR("A")),
     .doc = "The sign (for complex numbers: the phase) of the determinant, and the logarithm of its size; 0 and -inf where it is 0.\n\n"
            MATRICES NOT_SQUARE ".\n\n"
            "Example:\n    >>> helix.slogdet(-helix.eye(3)).sign.item()\n    -1.0"},
    {.name = "linalg_ldl_factor", .shape = ldl_spec, .decompose = ldl_factor_parts,
     .flags = HX_LINALG | HX_OUT | NO_GRADIENT, .outputs = "LD, pivots",
     .params = PARAMS(TENSOR("A"), BOOL("hermitian", false, KW)),
     .doc = "The LDL factorization of symmetric (or Hermitian) matrices, as LAPACK packs it: D has blocks of 1 and 2.\n\n" MATRICES
            "The lower triangle is read. It has no gradient.\n" NOT_SQUARE ", LinAlgError (HX1405) where D is singular.\n\n"
            "Example:\n    >>> helix.linalg.ldl_factor(helix.tensor([[2., 0.], [0., 4.]])).LD.tolist()\n    [[2.0, 0.0], [0.0, 4.0]]"},
    {.name = "linalg_ldl_factor_ex", .shape = ldl_spec, .decompose = ldl_factor_ex_parts, .flags = HX_LINALG | HX_OUT | NO_GRADIENT,
     .outputs = "LD, pivots, info", .params = PARAMS(TENSOR("A"), BOOL("hermitian", false, KW), BOOL("check_errors", false)),
     .doc = "ldl_factor, with LAPACK's info.\n\n" MATRICES HELD_INFO
            "\nExample:\n    >>> helix.linalg.ldl_factor_ex(helix.zeros(2, 2)).info.item()\n    1"},
    {.name = "linalg_ldl_solve", .shape = ldl_solve_shape, .decompose = ldl_solve_parts, .flags = HX_LINALG | HX_OUT | NO_GRADIENT,
     .params = PARAMS(TENSOR("LD"), TENSOR("pivots"), TENSOR("B"), BOOL("hermitian", false, KW)),
     .doc = "Solves A X = B from the factors that ldl_factor gave.\n\n" MATRICES
            "It has no gradient. Raises ShapeError (HX1002) when the sizes do not fit.\n\n"
            "Example:\n    >>> A = helix.tensor([[2., 0.], [0., 4.]])\n"
            "    >>> helix.linalg.ldl_solve(*helix.linalg.ldl_factor(A), helix.tensor([[2.], [4.]])).tolist()\n    [[1.0], [1.0]]"},
    {0}};
