/* Linear algebra: orthogonal bases, eigenvalues and singular values, least squares, pseudoinverses, the exponential. */
#include "linalg.h"

#define NO_CONVERGENCE "the iteration did not converge; the matrix is ill-conditioned, or has too many equal eigenvalues"

static hx_tensor *product(hx_tensor *a, hx_tensor *b) { return CALL(matmul, a, b); }
/* Columns, or rows, times numbers. */
static hx_tensor *scale_columns(hx_tensor *t, hx_tensor *s) { return CALL(mul, t, CALL(unsqueeze, s, -2)); }
static hx_tensor *scale_rows(hx_tensor *t, hx_tensor *s) { return CALL(mul, t, CALL(unsqueeze, s, -1)); }
static hx_tensor *diagonal_of(hx_tensor *t) { return CALL(diagonal, t, 0, -2, -1); }
static hx_tensor *diagonal_matrix(hx_tensor *s) { return CALL(diag_embed, s, 0, -2, -1); }
/* s_j - s_i, and 1 on the diagonal. */
static hx_tensor *differences(hx_tensor *s) {
    hx_tensor *d = CALL(sub, CALL(unsqueeze, s, -2), CALL(unsqueeze, s, -1));
    return d ? CALL(add, d, hx_identity(d, SIZE(d, -2), SIZE(d, -1))) : NULL;
}
static hx_tensor *skew(hx_tensor *t) { return CALL(sub, t, hx_adjoint(t)); }
static hx_tensor *added(hx_tensor *a, hx_tensor *b) { return a && b ? CALL(add, a, b) : a ? a : b; }

/* Complex vectors are fixed up to a factor of size 1. A loss that depends on it has no gradient: `turns`, the derivative by
 * the factors' angles, must be 0. */
static hx_status check_gauge(hx_tensor *turns, const char *what) {
    if (!turns) return hx_error_last()->code;
    if (!hx_is_complex((hx_dtype)turns->dtype) || hx_tracing() || !turns->numel) return HX_OK;
    hx_tensor *largest = CALL(amax, CALL(abs, CALL(imag, turns)));
    hx_scalar size;
    if (!largest) return hx_error_last()->code;
    HX_TRY(hx_tensor_item(largest, &size));
    if (size.v.f <= 1e-2) return HX_OK;
    return hx_fail(HX_E_GRADIENT, HX1503_NO_GRAD,
                   "complex %s vectors are fixed only up to a factor exp(i phi), and this loss depends on phi, so that its "
                   "gradient is not defined", what);
}

/* ---- QR ---- */

/* attr: mode. Q is empty in mode "r", R has min(m, n) rows but in mode "complete". */
static hx_status qr_shape(hx_call *c) {
    const hx_tensor *a = c->in[0];
    HX_TRY(hx_require_matrix(a, "A"));
    int64_t m = SIZE(a, -2), n = SIZE(a, -1), k = m < n ? m : n;
    bool complete = hx_str_is(&c->attr[0], "complete"), none = hx_str_is(&c->attr[0], "r");
    hx_spec_matrix(&c->spec[0], a, (hx_dtype)a->dtype, 2, m, complete ? m : k);
    hx_spec_matrix(&c->spec[1], a, (hx_dtype)a->dtype, 2, complete ? m : k, n);
    if (none) hx_spec_set(&c->spec[0], (hx_dtype)a->dtype, (int64_t[]){0}, 1);
    return HX_OK;
}

/* Without half of the real diagonal. */
static hx_tensor *halved(hx_tensor *t) {
    if (!t) return NULL;
    hx_tensor *diagonal = diagonal_of(t);
    if (hx_is_complex((hx_dtype)t->dtype)) diagonal = CALL(cast, CALL(real, diagonal), t->dtype);
    return CALL(sub, t, CALL(mul, diagonal_matrix(diagonal), 0.5));
}

/* A = Q R of at least as many rows as columns: (gQ + Q (M + M^H, the diagonal halved)) R^-H, where M is the upper triangle
 * of gR R^H - Q^H gQ. S. Walter et al., "Algorithmic differentiation of the QR and eigenvalue decompositions", 2012. */
static hx_tensor *tall_qr_gradient(hx_tensor *q, hx_tensor *r, hx_tensor *gq, hx_tensor *gr) {
    hx_tensor *inner = gr ? product(gr, hx_adjoint(r)) : NULL;
    if (gq) {
        hx_tensor *part = product(hx_adjoint(q), gq);
        inner = inner ? CALL(sub, inner, part) : CALL(neg, part);
    }
    inner = CALL(triu, inner);
    inner = added(product(q, halved(CALL(add, inner, hx_adjoint(inner)))), gq);
    return CALL(triangular_base, r, inner, true, false, false, true);
}

/* A = (X | Y) = Q (U | V): X fixes Q and U, and V is Q^H Y. */
static hx_tensor *wide_qr_gradient(hx_tensor *q, hx_tensor *r, hx_tensor *gq, hx_tensor *gr, int64_t m, int64_t n) {
    hx_tensor *u = CALL(narrow, r, -1, 0, m), *rest, *gu = NULL;
    if (gr) {
        hx_tensor *gv = CALL(narrow, gr, -1, m, n - m);
        gu = CALL(narrow, gr, -1, 0, m);
        gq = added(product(q, product(CALL(narrow, r, -1, m, n - m), hx_adjoint(gv))), gq);
        rest = product(q, gv);
    } else {
        rest = CALL(zeros_like, CALL(narrow, product(q, r), -1, m, n - m));
    }
    hx_tensor *part[2] = {tall_qr_gradient(q, u, gq, gu), rest};
    return CALL(cat, ((hx_list){part, 2}), -1);
}

static hx_status qr_vjp(hx_vjp *v) {
    int64_t m = SIZE(&v->in_spec[0], -2), n = SIZE(&v->in_spec[0], -1);
    if (hx_str_is(ATTR(0), "r"))
        return hx_fail(HX_E_GRADIENT, HX1503_NO_GRAD, "mode 'r' computes no Q, which the gradient needs; use mode 'reduced'");
    if (hx_str_is(ATTR(0), "complete") && m > n)
        return hx_fail(HX_E_GRADIENT, HX1503_NO_GRAD, "mode 'complete' of a matrix with more rows (%lld) than columns (%lld) has "
                       "columns of Q that A does not fix, so there is no gradient; use mode 'reduced'", (long long)m, (long long)n);
    if (m < n) GIN(0, wide_qr_gradient(OUT(0), OUT(1), v->g[0], v->g[1], m, n));
    else GIN(0, tall_qr_gradient(OUT(0), OUT(1), v->g[0], v->g[1]));
    return HX_OK;
}

static hx_status qr_parts(hx_call *c) {
    if (!CALLN(c->out, 2, qr_base, c->in[0], &c->attr[0])) return hx_error_last()->code;
    return HX_OK;
}

static hx_status geqrf_shape(hx_call *c) {
    const hx_tensor *a = c->in[0];
    HX_TRY(hx_require_matrix(a, "input"));
    hx_spec_like(&c->spec[0], a);
    hx_spec_matrix(&c->spec[1], a, (hx_dtype)a->dtype, 1, SIZE(a, -1) < SIZE(a, -2) ? SIZE(a, -1) : SIZE(a, -2), 0);
    return HX_OK;
}

/* ---- Hermitian matrices ---- */

/* attr: upper, vectors */
static hx_status eigh_shape(hx_call *c) {
    const hx_tensor *a = c->in[0];
    HX_TRY(hx_require_square(a, "A"));
    hx_spec_matrix(&c->spec[0], a, hx_real_of((hx_dtype)a->dtype), 1, SIZE(a, -1), 0);
    hx_spec_like(&c->spec[1], a);
    if (!c->attr[1].v.i) hx_spec_set(&c->spec[1], (hx_dtype)a->dtype, (int64_t[]){0}, 1);
    hx_spec_matrix(&c->spec[2], a, HX_I32, 0, 0, 0);
    return HX_OK;
}

/* V ((V^H gV) / E + gL) V^H, with E_ij = l_j - l_i. */
static hx_status eigh_vjp(hx_vjp *v) {
    hx_tensor *gl = v->g[0], *gv = v->g[1], *l = OUT(0), *vectors = OUT(1);
    if (!ATTR(1)->v.i) {
        hx_tensor *out[3];
        if (!CALLN(out, 3, eigh_base, IN(0), (bool)ATTR(0)->v.i)) return hx_error_last()->code;
        l = out[0];
        vectors = out[1];
        gv = NULL;
    }
    hx_tensor *back = hx_adjoint(vectors);
    if (!gv) {
        if (gl) GIN(0, product(scale_columns(vectors, gl), back));
        return HX_OK;
    }
    hx_tensor *inner = product(back, gv);
    HX_TRY(check_gauge(diagonal_of(inner), "eigen"));
    inner = CALL(div, inner, differences(l));
    inner = CALL(sub, inner, diagonal_matrix(diagonal_of(inner)));
    if (gl) inner = CALL(add, inner, diagonal_matrix(gl));
    GIN(0, product(vectors, product(inner, back)));
    return HX_OK;
}

static hx_status eigh_spec(hx_call *c) {
    const hx_tensor *a = c->in[0];
    HX_TRY(hx_require_square(a, "A"));
    hx_spec_matrix(&c->spec[0], a, hx_real_of((hx_dtype)a->dtype), 1, SIZE(a, -1), 0);
    hx_spec_like(&c->spec[1], a);
    return HX_OK;
}

/* attr: UPLO */
static hx_status eigh_of(hx_call *c, bool vectors, hx_tensor **out) {
    if (!CALLN(out, 3, eigh_base, c->in[0], hx_str_is(&c->attr[0], "U"), vectors)) return hx_error_last()->code;
    return hx_check_info(out[2], NO_CONVERGENCE);
}
static hx_status eigh_parts(hx_call *c) {
    hx_tensor *out[3];
    HX_TRY(eigh_of(c, true, out));
    c->out[0] = out[0];
    c->out[1] = out[1];
    return HX_OK;
}
static hx_status eigvalsh_parts(hx_call *c) {
    hx_tensor *out[3];
    HX_TRY(eigh_of(c, false, out));
    c->out[0] = out[0];
    return HX_OK;
}

/* ---- general matrices ---- */

/* attr: vectors */
static hx_status eig_shape(hx_call *c) {
    const hx_tensor *a = c->in[0];
    HX_TRY(hx_require_square(a, "A"));
    hx_dtype complex = hx_complex_of((hx_dtype)a->dtype);
    hx_spec_matrix(&c->spec[0], a, complex, 1, SIZE(a, -1), 0);
    hx_spec_matrix(&c->spec[1], a, complex, 2, SIZE(a, -1), SIZE(a, -1));
    if (!c->attr[0].v.i) hx_spec_set(&c->spec[1], complex, (int64_t[]){0}, 1);
    hx_spec_matrix(&c->spec[2], a, HX_I32, 0, 0, 0);
    return HX_OK;
}

/* V^-H ((V^H gV - V^H V Re(diag(V^H gV))) / conj(E) + gL) V^H: C. Boeddeker et al., "On the computation of complex-valued
 * gradients with application to statistically optimum beamforming", 2017, and vectors of length 1. */
static hx_status eig_vjp(hx_vjp *v) {
    hx_tensor *gl = v->g[0], *gv = v->g[1], *l = OUT(0), *vectors = OUT(1), *inner;
    if (!ATTR(0)->v.i) {
        hx_tensor *out[3];
        if (!CALLN(out, 3, eig_base, IN(0))) return hx_error_last()->code;
        l = out[0];
        vectors = out[1];
        gv = NULL;
    }
    hx_tensor *back = hx_adjoint(vectors);
    if (!gl && !gv) return HX_OK;
    if (gv) {
        inner = product(back, gv);
        hx_tensor *turns = diagonal_of(inner);
        HX_TRY(check_gauge(turns, "eigen"));
        inner = CALL(sub, inner, scale_columns(product(back, vectors), CALL(real, turns)));
        inner = CALL(div, inner, cj(differences(l)));
        inner = CALL(sub, inner, diagonal_matrix(diagonal_of(inner)));
        if (gl) inner = CALL(add, inner, diagonal_matrix(gl));
        inner = product(inner, back);
    } else {
        inner = scale_rows(back, gl);
    }
    hx_tensor *out[4];
    if (!CALLN(out, 4, solve_base, back, inner)) return hx_error_last()->code;
    bool complex = hx_is_complex((hx_dtype)v->in_spec[0].dtype);
    GIN(0, complex ? out[0] : CALL(real, out[0]));
    return HX_OK;
}

static hx_status eig_spec(hx_call *c) {
    const hx_tensor *a = c->in[0];
    HX_TRY(hx_require_square(a, "A"));
    hx_dtype complex = hx_complex_of((hx_dtype)a->dtype);
    hx_spec_matrix(&c->spec[0], a, complex, 1, SIZE(a, -1), 0);
    hx_spec_matrix(&c->spec[1], a, complex, 2, SIZE(a, -1), SIZE(a, -1));
    return HX_OK;
}

static hx_status eig_parts(hx_call *c) {
    hx_tensor *out[3];
    if (!CALLN(out, 3, eig_base, c->in[0], true)) return hx_error_last()->code;
    HX_TRY(hx_check_info(out[2], NO_CONVERGENCE));
    c->out[0] = out[0];
    c->out[1] = out[1];
    return HX_OK;
}
static hx_status eigvals_parts(hx_call *c) {
    hx_tensor *out[3];
    if (!CALLN(out, 3, eig_base, c->in[0], false)) return hx_error_last()->code;
    HX_TRY(hx_check_info(out[2], NO_CONVERGENCE));
    c->out[0] = out[0];
    return HX_OK;
}

/* ---- singular values ---- */

static hx_status svd_spec(hx_call *c, bool full) {
    const hx_tensor *a = c->in[0];
    HX_TRY(hx_require_matrix(a, "A"));
    int64_t m = SIZE(a, -2), n = SIZE(a, -1), k = m < n ? m : n;
    hx_spec_matrix(&c->spec[0], a, (hx_dtype)a->dtype, 2, m, full ? m : k);
    hx_spec_matrix(&c->spec[1], a, hx_real_of((hx_dtype)a->dtype), 1, k, 0);
    hx_spec_matrix(&c->spec[2], a, (hx_dtype)a->dtype, 2, full ? n : k, n);
    return HX_OK;
}

/* attr: full_matrices, vectors */
static hx_status svd_shape(hx_call *c) {
    hx_dtype dtype = (hx_dtype)c->in[0]->dtype;
    HX_TRY(svd_spec(c, c->attr[0].v.i));
    hx_spec_matrix(&c->spec[3], c->in[0], HX_I32, 0, 0, 0);
    if (c->attr[1].v.i) return HX_OK;
    hx_spec_set(&c->spec[0], dtype, (int64_t[]){0}, 1);
    hx_spec_set(&c->spec[2], dtype, (int64_t[]){0}, 1);
    return HX_OK;
}

/* What the vectors' gradients say about rotations among them: skew(U^H gU) and skew(V^H gV), either may be absent. */
static hx_status svd_rotations(hx_tensor *u, hx_tensor *gu, hx_tensor *vh, hx_tensor *gvh, hx_tensor **left, hx_tensor **right) {
    *left = gu ? skew(product(hx_adjoint(u), gu)) : NULL;
    *right = gvh ? skew(product(vh, hx_adjoint(gvh))) : NULL;
    return check_gauge(diagonal_of(added(*left, *right)), "singular");
}

/* The part of the gradient inside the spaces of U and V: ((left / E) S + S (right / E) + gS), with E_ij = s_j^2 - s_i^2. */
static hx_tensor *svd_inner(hx_tensor *s, hx_tensor *left, hx_tensor *right, hx_tensor *gs) {
    hx_tensor *e = differences(CALL(mul, s, s)), *inner = NULL;
    if (left) inner = scale_columns(CALL(div, left, e), s);
    if (right) inner = added(inner, scale_rows(CALL(div, right, e), s));
    if (inner) inner = CALL(sub, inner, diagonal_matrix(diagonal_of(inner)));
    if (gs) inner = added(inner, diagonal_matrix(gs));
    if (left && right && hx_is_complex((hx_dtype)left->dtype))
        inner = CALL(add, inner, diagonal_matrix(CALL(div, diagonal_of(left), CALL(mul, s, 2))));
    return inner;
}

/* With the parts of gU and gV outside of those spaces, where A is not square. */
static hx_tensor *svd_gradient(hx_tensor *u, hx_tensor *s, hx_tensor *vh, hx_tensor *inner, hx_tensor *gu, hx_tensor *gvh, int64_t m,
                               int64_t n) {
    if (m > n && gu) {
        hx_tensor *outside = CALL(div, gu, CALL(unsqueeze, s, -2));
        outside = CALL(sub, outside, product(u, product(hx_adjoint(u), outside)));
        return product(CALL(add, product(u, inner), outside), vh);
    }
    if (m < n && gvh) {
        hx_tensor *outside = CALL(div, gvh, CALL(unsqueeze, s, -1));
        outside = CALL(sub, outside, product(product(outside, hx_adjoint(vh)), vh));
        return product(u, CALL(add, product(inner, vh), outside));
    }
    return product(u, product(inner, vh));
}

static hx_tensor *first_columns(hx_tensor *t, int64_t k) { return t && SIZE(t, -1) != k ? CALL(narrow, t, -1, 0, k) : t; }
static hx_tensor *first_rows(hx_tensor *t, int64_t k) { return t && SIZE(t, -2) != k ? CALL(narrow, t, -2, 0, k) : t; }

static hx_status svd_vjp(hx_vjp *v) {
    int64_t m = SIZE(&v->in_spec[0], -2), n = SIZE(&v->in_spec[0], -1), k = m < n ? m : n;
    hx_tensor *gu = v->g[0], *gs = v->g[1], *gvh = v->g[2], *u = OUT(0), *s = OUT(1), *vh = OUT(2), *left, *right;
    if (!ATTR(1)->v.i) {
        hx_tensor *out[4];
        if (!CALLN(out, 4, svd_base, IN(0), false, true)) return hx_error_last()->code;
        u = out[0], s = out[1], vh = out[2];
        gu = gvh = NULL;
    }
    u = first_columns(u, k), gu = first_columns(gu, k);
    vh = first_rows(vh, k), gvh = first_rows(gvh, k);
    if (!gu && !gvh) {
        if (gs) GIN(0, product(scale_columns(u, gs), vh));
        return HX_OK;
    }
    HX_TRY(svd_rotations(u, gu, vh, gvh, &left, &right));
    GIN(0, svd_gradient(u, s, vh, svd_inner(s, left, right, gs), gu, gvh, m, n));
    return HX_OK;
}

static hx_status public_svd_shape(hx_call *c) { return svd_spec(c, c->attr[0].v.i); }
static hx_status svdvals_shape(hx_call *c) {
    HX_TRY(svd_spec(c, false));
    c->spec[0] = c->spec[1];
    return HX_OK;
}

/* attr: full_matrices */
static hx_status svd_parts(hx_call *c) {
    hx_tensor *out[4];
    if (!CALLN(out, 4, svd_base, c->in[0], (bool)c->attr[0].v.i, true)) return hx_error_last()->code;
    HX_TRY(hx_check_info(out[3], NO_CONVERGENCE));
    for (int i = 0; i < 3; i++) c->out[i] = out[i];
    return HX_OK;
}
static hx_status svdvals_parts(hx_call *c) {
    hx_tensor *out[4];
    if (!CALLN(out, 4, svd_base, c->in[0], false, false)) return hx_error_last()->code;
    HX_TRY(hx_check_info(out[3], NO_CONVERGENCE));
    c->out[0] = out[1];
    return HX_OK;
}

/* ---- pseudoinverses and least squares ---- */

static hx_status pinv_shape(hx_call *c) {
    const hx_tensor *a = c->in[0];
    HX_TRY(c->attr[0].v.i ? hx_require_square(a, "A") : hx_require_matrix(a, "A"));
    hx_spec_matrix(&c->spec[0], a, (hx_dtype)a->dtype, 2, SIZE(a, -1), SIZE(a, -2));
    return HX_OK;
}

/* The larger of atol and rtol times the largest value, both one number a matrix or one for all. */
static hx_tensor *tolerance(hx_tensor *largest, hx_tensor *atol, hx_tensor *rtol) {
    hx_tensor *relative = CALL(mul, CALL(unsqueeze, rtol, -1), largest);
    return CALL(maximum, CALL(unsqueeze, atol, -1), relative);
}

/* A, atol, rtol; attr: hermitian */
static hx_status pinv_parts(hx_call *c) {
    hx_tensor *a = c->in[0], *out[4], *s, *u, *vh;
    if (!a->numel) {
        hx_spec s = {0};
        hx_spec_matrix(&s, a, (hx_dtype)a->dtype, 2, SIZE(a, -1), SIZE(a, -2));
        RESULT(0, hx_full_like_spec(&s, 0, a->device));
        return HX_OK;
    }
    if (c->attr[0].v.i) {
        if (!CALLN(out, 3, eigh_base, a)) return hx_error_last()->code;
        HX_TRY(hx_check_info(out[2], NO_CONVERGENCE));
        s = out[0], u = out[1], vh = hx_adjoint(out[1]);
    } else {
        if (!CALLN(out, 4, svd_base, a, false, true)) return hx_error_last()->code;
        HX_TRY(hx_check_info(out[3], NO_CONVERGENCE));
        u = out[0], s = out[1], vh = out[2];
    }
    hx_tensor *size = CALL(abs, s), *limit = tolerance(CALL(amax, size, -1, true), c->in[1], c->in[2]);
    hx_tensor *inverted = CALL(where, CALL(gt, size, limit), CALL(reciprocal, s), CALL(zeros_like, s));
    RESULT(0, product(scale_columns(hx_adjoint(vh), inverted), hx_adjoint(u)));
    return HX_OK;
}

/* G. Golub and V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems whose variables
 * separate", 1973, with the smaller products first. */
static hx_tensor *pinv_gradient(hx_tensor *a, hx_tensor *p, hx_tensor *g) {
    hx_tensor *ph = hx_adjoint(p), *gh = hx_adjoint(g);
    if (!a || !p || !g) return NULL;
    if (SIZE(a, -2) <= SIZE(a, -1)) {
        hx_tensor *k = product(gh, p), *kph = product(k, ph);
        hx_tensor *sum = CALL(sub, kph, hx_adjoint(product(p, k)));
        sum = CALL(sub, sum, product(product(a, p), kph));
        return CALL(add, sum, product(product(ph, p), CALL(sub, gh, product(k, a))));
    }
    hx_tensor *k = product(p, gh), *phk = product(ph, k);
    hx_tensor *sum = CALL(sub, product(product(CALL(sub, gh, product(a, k)), p), ph), hx_adjoint(product(k, p)));
    return CALL(sub, CALL(add, sum, phk), product(product(phk, p), a));
}

static hx_status pinv_vjp(hx_vjp *v) {
    GIN(0, pinv_gradient(IN(0), OUT(0), G));
    return HX_OK;
}

/* A, B; attr: rcond, driver */
static hx_status lstsq_shape(hx_call *c) {
    const hx_tensor *a = c->in[0], *b = c->in[1];
    HX_TRY(hx_require_matrix(a, "A"));
    HX_TRY(hx_require_matrix(b, "B"));
    if (a->dtype != b->dtype)
        return hx_refuse(HX_E_DTYPE, HX1101_DTYPE, "B", hx_text("have the dtype of A, %s", hx_dtype_name((hx_dtype)a->dtype)), "%s",
                         hx_dtype_name((hx_dtype)b->dtype));
    bool fit = a->ndim == b->ndim && SIZE(a, -2) == SIZE(b, -2);
    for (int i = 0; fit && i + 2 < a->ndim; i++) fit = a->shape[i] == b->shape[i];
    if (!fit)
        return hx_refuse(HX_E_SHAPE, HX1002_INNER, "B", hx_text("have the batch and the rows of A, %s",
                                                                hx_shape_text(a->shape, a->ndim)),
                         "shape %s", hx_shape_text(b->shape, b->ndim));
    int64_t m = SIZE(a, -2), n = SIZE(a, -1);
    hx_spec_matrix(&c->spec[0], a, (hx_dtype)a->dtype, 2, n, SIZE(b, -1));
    hx_spec_matrix(&c->spec[1], a, HX_I64, 0, 0, 0);
    hx_spec_matrix(&c->spec[2], a, hx_real_of((hx_dtype)a->dtype), 1, m < n ? m : n, 0);
    hx_spec_matrix(&c->spec[3], a, HX_I32, 0, 0, 0);
    return HX_OK;
}

/* The solution is the pseudoinverse times B. */
static hx_status lstsq_vjp(hx_vjp *v) {
    hx_tensor *a = IN(0), *limit = CALL(full, HX_INTS(1), ATTR(0)->v.f, (int)hx_real_of((hx_dtype)v->in_spec[0].dtype));
    limit = CALL(reshape, limit, ((hx_ints){NULL, 0}));
    hx_tensor *p = CALL(pinv_base, a, CALL(zeros_like, limit), limit);
    GIN(1, product(hx_adjoint(p), G));
    if (v->need[0]) GIN(0, pinv_gradient(a, p, product(G, hx_adjoint(IN(1)))));
    return HX_OK;
}

/* ---- the exponential ---- */

static hx_status exponential_shape(hx_call *c) {
    HX_TRY(hx_require_dtype(c->in[0], "A", HX_SET_FLOAT | HX_SET_COMPLEX));
    HX_TRY(hx_require_equal_sides(c->in[0], "A"));
    hx_spec_like(&c->spec[0], c->in[0]);
    return HX_OK;
}

/* The derivative at A^H in the direction g stands in the corner of exp([[A^H, g], [0, A^H]]): R. Mathias, "A chain rule for
 * matrix functions and applications", 1996. */
static hx_status exponential_vjp(hx_vjp *v) {
    hx_tensor *a = hx_adjoint(IN(0));
    if (!a) return hx_error_last()->code;
    int64_t n = SIZE(a, -1);
    hx_tensor *top[2] = {a, G}, *bottom[2] = {CALL(zeros_like, a), a};
    hx_tensor *half[2] = {CALL(cat, ((hx_list){top, 2}), -1), CALL(cat, ((hx_list){bottom, 2}), -1)};
    hx_tensor *whole = CALL(matrix_exp, CALL(cat, ((hx_list){half, 2}), -2));
    GIN(0, CALL(narrow, CALL(narrow, whole, -2, 0, n), -1, n, n));
    return HX_OK;
}

/* ---- records ---- */

#define BASE(title, rule) .name = title, .shape = rule, .flags = HX_PRIMITIVE | HX_INTERNAL_OP
#define MATRICES "The last two axes are matrices; the axes in front are batches. float32, float64, complex64 and complex128.\n"
#define NOT_SQUARE "Raises ShapeError (HX1001) for matrices that are not square"
#define FAILS "LinAlgError (HX1405) where the iteration does not converge or A is not finite.\n\n"
#define UNFIXED                                                                                               \
    "Vectors are fixed only up to a factor of size 1; the gradient of a loss is defined when it does not depend on that, and\n" \
    "is large or not finite where values are close to each other or equal.\n"

const hx_op hx_ops_spectral[] = {
    {BASE("qr_base", qr_shape), .vjp = qr_vjp, .saves = SAVE_OUT(0) | SAVE_OUT(1), .outputs = "Q, R",
     .params = PARAMS(TENSOR("A"), STRING("mode", "reduced", "reduced|complete|r")), .doc = "The QR factorization."},
    {BASE("eigh_base", eigh_shape), .vjp = eigh_vjp, .saves = SAVE_IN(0) | SAVE_OUT(0) | SAVE_OUT(1),
     .outputs = "eigenvalues, eigenvectors, info", .params = PARAMS(TENSOR("A"), BOOL("upper", false), BOOL("vectors", true)),
     .doc = "Eigenvalues and eigenvectors of Hermitian matrices."},
    {BASE("eig_base", eig_shape), .vjp = eig_vjp, .saves = SAVE_IN(0) | SAVE_OUT(0) | SAVE_OUT(1),
     .outputs = "eigenvalues, eigenvectors, info", .params = PARAMS(TENSOR("A"), BOOL("vectors", true)),
     .doc = "Eigenvalues and eigenvectors of general matrices."},
    {BASE("svd_base", svd_shape), .vjp = svd_vjp, .saves = SAVE_IN(0) | SAVE_OUT(0) | SAVE_OUT(1) | SAVE_OUT(2),
     .outputs = "U, S, Vh, info", .params = PARAMS(TENSOR("A"), BOOL("full_matrices", true), BOOL("vectors", true)),
     .doc = "The singular value decomposition."},
    {BASE("lstsq_base", lstsq_shape) | HX_NONDIFF_OUT1, .vjp = lstsq_vjp, .saves = SAVE_IN(0) | SAVE_IN(1),
     .outputs = "solution, rank, singular_values, info",
     .params = PARAMS(TENSOR("A"), TENSOR("B"), REQ_FLOAT("rcond"), STRING("driver", "gelsy", "gels|gelsy|gelsd|gelss")),
     .doc = "The least squares solution of A X = B, the rank and the singular values, where the driver finds them."},
    {.name = "pinv_base", .shape = pinv_shape, .vjp = pinv_vjp, .decompose = pinv_parts, .saves = SAVE_IN(0) | SAVE_OUT(0),
     .flags = HX_INTERNAL_OP, .params = PARAMS(TENSOR("A"), TENSOR("atol"), TENSOR("rtol"), BOOL("hermitian", false)),
     .doc = "The pseudoinverse, in which singular values up to a tolerance count as 0."},
    {.name = "matrix_exp", .shape = exponential_shape, .vjp = exponential_vjp, .saves = SAVE_IN(0),
     .flags = HX_PRIMITIVE | HX_PUBLIC | HX_LINALG, .params = PARAMS(TENSOR("A")),
     .doc = "The exponential of square matrices: I + A + A^2 / 2 + A^3 / 6 + ...\n\n" MATRICES
            "float16 and bfloat16 are computed in float32.\n" NOT_SQUARE ".\n\n"
            "Source: N. Higham, \"The scaling and squaring method for the matrix exponential revisited\", 2005.\n\n"
            "Example:\n    >>> helix.matrix_exp(helix.zeros(2, 2)).tolist()\n    [[1.0, 0.0], [0.0, 1.0]]"},
    {.name = "geqrf", .shape = geqrf_shape, .outputs = "a, tau", .params = PARAMS(TENSOR("input")),
     .flags = HX_PRIMITIVE | HX_PUBLIC | HX_NON_DIFF | HX_GRAD_ERROR,
     .doc = "The QR factorization as LAPACK keeps it: R in the upper triangle, below it the vectors of Householder reflections,\n"
            "whose factors are tau. householder_product makes Q of them. It has no gradient; linalg.qr has.\n\n" MATRICES
            "\nExample:\n    >>> helix.geqrf(helix.tensor([[0.], [2.]])).tau.tolist()\n    [1.0]"},
    {.name = "linalg_qr", .shape = qr_shape, .decompose = qr_parts, .flags = HX_LINALG | HX_OUT, .outputs = "Q, R",
     .params = PARAMS(TENSOR("A"), STRING("mode", "reduced", "reduced|complete|r")),
     .doc = "A = Q R with orthonormal columns of Q and upper triangular R.\n\n" MATRICES
            "mode: reduced gives min(m, n) columns of Q, complete all m, and r no Q at all.\n"
            "The gradient is not defined for r, and for complete with more rows than columns. The first min(m, n) columns of A\n"
            "must be linearly independent for it.\n\n"
            "Example:\n    >>> [abs(x) for x in helix.linalg.qr(helix.tensor([[3.], [4.]])).R.flatten().tolist()]\n    [5.0]"},
    {.name = "linalg_eigh", .shape = eigh_spec, .decompose = eigh_parts,
     .flags = HX_LINALG | HX_OUT, .outputs = "eigenvalues, eigenvectors",
     .params = PARAMS(TENSOR("A"), STRING("UPLO", "L", "L|U|l|u")),
     .doc = "Eigenvalues of Hermitian (real: symmetric) matrices from the least on, and orthonormal eigenvectors as columns.\n\n"
            MATRICES "UPLO: the triangle that is read.\n" UNFIXED NOT_SQUARE ", " FAILS
            "Example:\n    >>> helix.linalg.eigh(helix.tensor([[2., 0.], [0., 1.]])).eigenvalues.tolist()\n    [1.0, 2.0]"},
    {.name = "linalg_eigvalsh", .shape = eigh_spec, .decompose = eigvalsh_parts, .flags = HX_LINALG | HX_OUT,
     .params = PARAMS(TENSOR("A"), STRING("UPLO", "L", "L|U|l|u")),
     .doc = "Eigenvalues of Hermitian (real: symmetric) matrices from the least on.\n\n" MATRICES
            "UPLO: the triangle that is read.\n" NOT_SQUARE ", " FAILS
            "Example:\n    >>> helix.linalg.eigvalsh(helix.tensor([[2., 0.], [0., 1.]])).tolist()\n    [1.0, 2.0]"},
    {.name = "linalg_eig", .shape = eig_spec, .decompose = eig_parts, .flags = HX_LINALG | HX_OUT, .outputs = "eigenvalues, eigenvectors",
     .params = PARAMS(TENSOR("A")),
     .doc = "Eigenvalues and eigenvectors (as columns of length 1) of square matrices, complex and in no order.\n\n" MATRICES UNFIXED
            NOT_SQUARE ", " FAILS
            "Example:\n    >>> helix.linalg.eig(helix.tensor([[0., 1.], [-1., 0.]])).eigenvalues.tolist()\n    [1j, -1j]"},
    {.name = "linalg_eigvals", .shape = eig_spec, .decompose = eigvals_parts, .flags = HX_LINALG | HX_OUT, .params = PARAMS(TENSOR("A")),
     .doc = "Eigenvalues of square matrices, complex and in no order.\n\n" MATRICES NOT_SQUARE ", " FAILS
            "Example:\n    >>> helix.linalg.eigvals(helix.tensor([[0., 1.], [-1., 0.]])).tolist()\n    [1j, -1j]"},
    {.name = "linalg_svd", .shape = public_svd_shape, .decompose = svd_parts, .flags = HX_LINALG | HX_OUT, .outputs = "U, S, Vh",
     .params = PARAMS(TENSOR("A"), BOOL("full_matrices", true)),
     .doc = "A = U diag(S) Vh with orthonormal columns of U and rows of Vh, and singular values from the largest on.\n\n" MATRICES
            "full_matrices: U and Vh are square; else they have min(m, n) columns and rows.\n" UNFIXED "Raises " FAILS
            "Example:\n    >>> helix.linalg.svd(helix.tensor([[0., 2.], [1., 0.]])).S.tolist()\n    [2.0, 1.0]"},
    {.name = "linalg_svdvals", .shape = svdvals_shape, .decompose = svdvals_parts,
     .flags = HX_LINALG | HX_OUT, .params = PARAMS(TENSOR("A")),
     .doc = "Singular values from the largest on.\n\n" MATRICES "Raises " FAILS
            "Example:\n    >>> helix.linalg.svdvals(helix.tensor([[0., 2.], [1., 0.]])).tolist()\n    [2.0, 1.0]"},
    {0}};
