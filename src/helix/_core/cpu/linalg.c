/* Factorizations of batches of matrices, and what is solved with them, through LAPACK. */
#include "batches.h"

/* ---- LU ---- */

static void set_identity_pivots(hx_int *pivots, int64_t n) {
    for (int64_t i = 0; i < n; i++) pivots[i] = (hx_int)i + 1;
}

/* Elimination without exchanges of rows, in place, row-major. info: 1 + the first row whose pivot is 0. */
#define ELIMINATE(T)                                                                                          \
    for (int64_t k = 0; k < least(m, n); k++) {                                                               \
        T *top = (T *)a + k * n;                                                                              \
        if (top[k] == 0) {                                                                                    \
            if (!info) info = (hx_int)k + 1;                                                                  \
            continue;                                                                                         \
        }                                                                                                     \
        for (int64_t i = k + 1; i < m; i++) {                                                                 \
            T *row = (T *)a + i * n, factor = row[k] = row[k] / top[k];                                       \
            for (int64_t j = k + 1; j < n; j++) row[j] -= factor * top[j];                                    \
        }                                                                                                     \
    }
static hx_int eliminate(void *a, int64_t m, int64_t n, int type) {
    hx_int info = 0;
    if (type == 0) {
        ELIMINATE(float)
    } else if (type == 1) {
        ELIMINATE(double)
    } else if (type == 2) {
        ELIMINATE(_Complex float)
    } else {
        ELIMINATE(_Complex double)
    }
    return info;
}

static void one_lu(const task *t, int64_t i, char *scratch) {
    int64_t m = t->m, n = t->n;
    const void *a = item(&t->call->in[0], i, m * n);
    void *lu = item(&t->call->out[0], i, m * n);
    hx_int *pivots = item(&t->call->out[1], i, least(m, n)), *info = item(&t->call->out[2], i, 1);
    if (!t->option) {
        memcpy(lu, a, (size_t)(m * n * t->size));
        set_identity_pivots(pivots, least(m, n));
        *info = eliminate(lu, m, n, t->type);
        return;
    }
    hx_int ld = (hx_int)most(1, m);
    turn(scratch, ld, a, n, m, n, t->size);
    t->lapack->getrf[t->type](&t->m, &t->n, scratch, &ld, pivots, info);
    turn(lu, n, scratch, ld, n, m, t->size);
}

/* attr: pivot. Out: LU, pivots, info */
HX_KERNEL(k_lu_factor) {
    HX_UNUSED;
    task t;
    hx_code code = begin_task(&t, call, err);
    if (code) return code;
    double m = t.m, n = t.n;
    t.one = one_lu;
    t.option = (char)call->attr[0].v.i;
    t.room = slots((int64_t)t.m * t.n, t.size);
    if (!call->out[0].numel) {
        for (int64_t i = 0; i < call->out[2].numel; i++) ((hx_int *)call->out[2].data)[i] = 0;
        return HX_OK;
    }
    return run_task(&t, call->out[2].numel, m * n * (m < n ? m : n), err);
}

/* pivots (..., k), attr: m. The permutation of m rows that the exchanges come to: row i of the result is row order[i]. */
HX_KERNEL(k_lu_order) {
    HX_UNUSED;
    const hx_view *pivots = &call->in[0], *out = &call->out[0];
    int64_t k = pivots->shape[pivots->ndim - 1], m = call->attr[0].v.i;
    for (int64_t b = 0; m && b < out->numel / m; b++) {
        const int32_t *with = (const int32_t *)pivots->data + b * k;
        int64_t *order = (int64_t *)out->data + b * m;
        for (int64_t i = 0; i < m; i++) order[i] = i;
        for (int64_t i = 0; i < k; i++) {
            int64_t j = (int64_t)with[i] - 1, held = order[i];
            if (j < 0 || j >= m)
                return hx_kernel_fail(err, HX_E_VALUE, HX1403_VALUE, "pivots must lie in 1..%lld, got %d", (long long)m, with[i]);
            order[i] = order[j];
            order[j] = held;
        }
    }
    return HX_OK;
}

/* ---- triangular systems ---- */

/* Substitution, a row at a time: small systems are over before BLAS has packed them. */
#define SUBSTITUTE(T)                                                                                         \
    for (int64_t step = 0; step < n; step++) {                                                                \
        int64_t i = upper ? n - 1 - step : step;                                                              \
        const T *row = (const T *)a + i * n;                                                                  \
        T *restrict to = (T *)x + i * columns;                                                                \
        for (int64_t j = upper ? i + 1 : 0; j < (upper ? n : i); j++) {                                       \
            const T *from = (const T *)x + j * columns, factor = row[j];                                      \
            for (int64_t c = 0; c < columns; c++) to[c] -= factor * from[c];                                  \
        }                                                                                                     \
        for (int64_t c = 0; !unit && c < columns; c++) to[c] /= row[i];                                       \
    }
enum { SMALL = 48 };
static void substitute(int type, const void *a, int64_t n, void *x, int64_t columns, bool upper, bool unit) {
    if (type == 0) {
        SUBSTITUTE(float)
    } else if (type == 1) {
        SUBSTITUTE(double)
    } else if (type == 2) {
        SUBSTITUTE(_Complex float)
    } else {
        SUBSTITUTE(_Complex double)
    }
}

/* Row-major X and A are the transposes of what BLAS sees, so that sides and triangles change places. */
static void one_triangular(const task *t, int64_t i, char *scratch) {
    (void)scratch;
    const hx_view *a = &t->call->in[0], *b = &t->call->in[1], *x = &t->call->out[0];
    const hx_attr *attr = t->call->attr;
    int64_t rows = rows_of(x), columns = columns_of(x);
    char uplo = attr[0].v.i ? 'L' : 'U', diag = attr[2].v.i ? 'U' : 'N', side = attr[1].v.i ? 'R' : 'L';
    bool adjoint = attr[3].v.i;
    const void *matrix = stretched_item(a, x, i);
    void *result = item(x, i, rows * columns);
    hx_int m = (hx_int)columns, n = (hx_int)rows, one = 1;
    memcpy(result, stretched_item(b, x, i), (size_t)(rows * columns * t->size));
    if (side == 'R' && rows <= SMALL && !adjoint) {
        substitute(t->type, matrix, rows, result, columns, attr[0].v.i, attr[2].v.i);
        return;
    }
    if (side == 'R' && columns == 1 && (t->type < 2 || !adjoint)) {
        t->lapack->trsv[t->type](&uplo, adjoint ? "N" : "T", &diag, &t->n, matrix, &t->n, result, &one, 1, 1, 1);
        return;
    }
    char unit[16];
    one_element(unit, t->type, 1);
    t->lapack->trsm[t->type](&side, &uplo, adjoint ? "C" : "N", &diag, &m, &n, unit, matrix, &t->n, result, &m, 1, 1, 1, 1);
}

/* A, B; attr: upper, left, unitriangular, adjoint */
HX_KERNEL(k_triangular) {
    HX_UNUSED;
    task t;
    hx_code code = begin_task(&t, call, err);
    if (code || !call->out[0].numel) return code;
    const hx_view *x = &call->out[0];
    double n = t.n;
    t.one = one_triangular;
    return run_task(&t, batch_of(x, 2), n * (double)rows_of(x) * (double)columns_of(x), err);
}

/* ---- Cholesky ---- */

/* Row-major A is conj(A) to LAPACK, whose upper triangle is A's lower one; its factor is the transpose of ours. */
static void one_cholesky(const task *t, int64_t i, char *scratch) {
    (void)scratch;
    int64_t n = t->n;
    void *l = item(&t->call->out[0], i, n * n);
    bool upper = t->call->attr[0].v.i;
    memcpy(l, item(&t->call->in[0], i, n * n), (size_t)(n * n * t->size));
    t->lapack->potrf[t->type](upper ? "L" : "U", &t->n, l, &t->n, item(&t->call->out[1], i, 1), 1);
    clear_triangle(l, n, n, t->size, !upper);
}

/* attr: upper. Out: L, info */
HX_KERNEL(k_cholesky) {
    HX_UNUSED;
    task t;
    hx_code code = begin_task(&t, call, err);
    if (code) return code;
    double n = t.n;
    t.one = one_cholesky;
    if (!t.n) {
        for (int64_t i = 0; i < call->out[1].numel; i++) ((hx_int *)call->out[1].data)[i] = 0;
        return HX_OK;
    }
    return run_task(&t, call->out[1].numel, n * n * n / 3, err);
}

/* ---- QR ---- */

typedef struct orthogonal {
    void *a, *tau, *work;
} orthogonal;

/* The column-major copy, the factors tau and the workspace in the scratch memory. */
static orthogonal parts_of(const task *t, char *scratch) {
    int64_t a = slots((int64_t)t->m * most(t->n, t->k), t->size), tau = slots(least(t->m, t->n), t->size);
    return (orthogonal){scratch, scratch + a, scratch + a + tau};
}

static hx_code plan_qr(task *t, hx_err *err) {
    hx_int ask = -1, info, k = (hx_int)least(t->m, t->n), ld = (hx_int)most(1, t->m), other;
    char answer[16], none[16];
    t->lapack->geqrf[t->type](&t->m, &t->n, none, &ld, none, answer, &ask, &info);
    if (!workspace(t->type, answer, &t->lwork)) return too_large(t, err);
    if (t->k) {
        t->lapack->ungqr[t->type](&t->m, &t->k, &k, none, &ld, none, answer, &ask, &info);
        if (!workspace(t->type, answer, &other)) return too_large(t, err);
        t->lwork = (hx_int)most(t->lwork, other);
    }
    t->room = slots((int64_t)t->m * most(t->n, t->k), t->size) + slots(k, t->size) + slots(t->lwork, t->size);
    return HX_OK;
}

static double qr_flops(const task *t) { return 2.0 * t->m * t->n * (double)least(t->m, t->n); }

static void one_geqrf(const task *t, int64_t i, char *scratch) {
    int64_t m = t->m, n = t->n;
    hx_int info;
    orthogonal p = parts_of(t, scratch);
    turn(p.a, m, item(&t->call->in[0], i, m * n), n, m, n, t->size);
    t->lapack->geqrf[t->type](&t->m, &t->n, p.a, &t->m, item(&t->call->out[1], i, least(m, n)), p.work, &t->lwork, &info);
    turn(item(&t->call->out[0], i, m * n), n, p.a, m, n, m, t->size);
}

HX_KERNEL(k_geqrf) {
    HX_UNUSED;
    task t;
    hx_code code = begin_task(&t, call, err);
    if (code || !call->out[0].numel) return code;
    t.one = one_geqrf;
    code = plan_qr(&t, err);
    return code ? code : run_task(&t, batch_of(&call->out[0], 2), qr_flops(&t), err);
}

/* R has the rows that Q has columns; mode "r" wants R alone. */
static void one_qr(const task *t, int64_t i, char *scratch) {
    const hx_view *q = &t->call->out[0], *r = &t->call->out[1];
    int64_t m = t->m, n = t->n, rows = rows_of(r);
    hx_int info, k = (hx_int)least(m, n), ld = (hx_int)most(1, m);
    orthogonal p = parts_of(t, scratch);
    turn(p.a, ld, item(&t->call->in[0], i, m * n), n, m, n, t->size);
    t->lapack->geqrf[t->type](&t->m, &t->n, p.a, &ld, p.tau, p.work, &t->lwork, &info);
    void *triangle = item(r, i, rows * n);
    turn(triangle, n, p.a, ld, n, rows, t->size);
    clear_triangle(triangle, rows, n, t->size, false);
    if (!t->k) return;
    t->lapack->ungqr[t->type](&t->m, &t->k, &k, p.a, &ld, p.tau, p.work, &t->lwork, &info);
    turn(item(q, i, m * t->k), t->k, p.a, ld, t->k, m, t->size);
}

/* attr: mode. Out: Q, R */
HX_KERNEL(k_qr) {
    HX_UNUSED;
    task t;
    hx_code code = begin_task(&t, call, err);
    if (code || (!call->out[0].numel && !call->out[1].numel)) return code;
    const hx_view *q = &call->out[0];
    t.k = q->ndim > 1 ? (hx_int)columns_of(q) : 0;
    t.one = one_qr;
    code = plan_qr(&t, err);
    return code ? code : run_task(&t, batch_of(&call->in[0], 2), 2 * qr_flops(&t), err);
}

/* ---- symmetric indefinite systems ---- */

static void one_ldl(const task *t, int64_t i, char *scratch) {
    int64_t n = t->n;
    hx_int *pivots = item(&t->call->out[1], i, n), *info = item(&t->call->out[2], i, 1);
    char *work = scratch + slots(n * n, t->size);
    turn(scratch, n, item(&t->call->in[0], i, n * n), n, n, n, t->size);
    (t->option ? t->lapack->hetrf : t->lapack->sytrf)[t->type]("L", &t->n, scratch, &t->n, pivots, work, &t->lwork, info, 1);
    void *ld = item(&t->call->out[0], i, n * n);
    turn(ld, n, scratch, n, n, n, t->size);
    clear_triangle(ld, n, n, t->size, true);
}

/* attr: hermitian. Out: LD, pivots, info */
HX_KERNEL(k_ldl_factor) {
    HX_UNUSED;
    task t;
    hx_code code = begin_task(&t, call, err);
    if (code) return code;
    hx_int ask = -1, info;
    char answer[16], none[16];
    double n = t.n;
    t.one = one_ldl;
    t.option = call->attr[0].v.i && t.type >= 2;
    if (!t.n) {
        for (int64_t i = 0; i < call->out[2].numel; i++) ((hx_int *)call->out[2].data)[i] = 0;
        return HX_OK;
    }
    (t.option ? t.lapack->hetrf : t.lapack->sytrf)[t.type]("L", &t.n, none, &t.n, &info, answer, &ask, &info, 1);
    if (!workspace(t.type, answer, &t.lwork)) return too_large(&t, err);
    t.room = slots((int64_t)t.n * t.n, t.size) + slots(t.lwork, t.size);
    return run_task(&t, call->out[2].numel, n * n * n / 3, err);
}

static const int32_t *stretched_pivots(const hx_view *pivots, const hx_view *out, int64_t i) {
    int64_t shape[HX_MAX_RANK + 1];
    for (int d = 0; d < pivots->ndim; d++) shape[d] = pivots->shape[d];
    shape[pivots->ndim] = 1;
    hx_view column = *pivots;
    column.shape = shape;
    column.ndim++;
    return stretched_item(&column, out, i);
}

static void one_ldl_solve(const task *t, int64_t i, char *scratch) {
    const hx_view *x = &t->call->out[0];
    int64_t n = t->n, k = columns_of(x);
    hx_int columns = (hx_int)k, info;
    char *b = scratch + slots(n * n, t->size);
    turn(scratch, n, stretched_item(&t->call->in[0], x, i), n, n, n, t->size);
    turn(b, n, stretched_item(&t->call->in[2], x, i), k, n, k, t->size);
    (t->option ? t->lapack->hetrs : t->lapack->sytrs)[t->type]("L", &t->n, &columns, scratch, &t->n,
                                                               stretched_pivots(&t->call->in[1], x, i), b, &t->n, &info, 1);
    turn(item(x, i, n * k), k, b, n, k, n, t->size);
}

/* Exchanges of LAPACK: i + 1 or a partner, negative for blocks of two. */
static hx_code check_pivots(const hx_view *pivots, int64_t n, hx_err *err) {
    for (int64_t i = 0; i < pivots->numel; i++) {
        int32_t p = ((const int32_t *)pivots->data)[i];
        if (p == 0 || p > n || p < -n)
            return hx_kernel_fail(err, HX_E_VALUE, HX1403_VALUE, "pivots must lie in 1..%lld or be negative ones, got %d",
                                  (long long)n, p);
    }
    return HX_OK;
}

/* LD, pivots, B; attr: hermitian */
HX_KERNEL(k_ldl_solve) {
    HX_UNUSED;
    task t;
    hx_code code = begin_task(&t, call, err);
    const hx_view *x = &call->out[0];
    if (code || !x->numel) return code;
    if ((code = check_pivots(&call->in[1], t.n, err))) return code;
    double n = t.n;
    t.one = one_ldl_solve;
    t.option = call->attr[0].v.i && t.type >= 2;
    t.room = slots((int64_t)t.n * t.n, t.size) + slots(t.n * columns_of(x), t.size);
    return run_task(&t, batch_of(x, 2), 2 * n * n * (double)columns_of(x), err);
}

HX_KERNELS(linalg) = {KERNEL_CONTIGUOUS(lu_base, k_lu_factor, HX_SET_LAPACK),
                      KERNEL_CONTIGUOUS(lu_order, k_lu_order, HX_BIT(HX_I32)),
                      KERNEL_CONTIGUOUS(triangular_base, k_triangular, HX_SET_LAPACK),
                      KERNEL_CONTIGUOUS(cholesky_base, k_cholesky, HX_SET_LAPACK),
                      KERNEL_CONTIGUOUS(geqrf, k_geqrf, HX_SET_LAPACK),
                      KERNEL_CONTIGUOUS(qr_base, k_qr, HX_SET_LAPACK),
                      KERNEL_CONTIGUOUS(ldl_base, k_ldl_factor, HX_SET_LAPACK),
                      KERNEL_CONTIGUOUS(ldl_solve_base, k_ldl_solve, HX_SET_LAPACK),
                      {0}};
