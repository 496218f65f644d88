/* Factorizations of batches of matrices, and what is solved with them, through LAPACK. */
#include "batches.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* ---- small real matrices ---- */

enum {
    SMALL_SIDE = 32,    /* rows and columns up to which matrices stand side by side in lanes */
    SMALL_COLUMNS = 16  /* of what is solved there */
};
typedef enum { SMALL_LU, SMALL_SOLVE, SMALL_INVERSE, SMALL_CHOLESKY } small_work;

/* Work on `count` matrices; what is not asked for is NULL. */
typedef struct small {
    small_work what;
    int64_t count, m, n, columns; /* columns: of b and x */
    const void *a, *b;
    void *lu, *x;
    hx_int *pivots, *info;
    bool upper;
    atomic_bool failed;
} small;

#define SMALL(name) small_f32_##name
#define SMALL_TYPE float
#define SMALL_VECTOR hx_vf
#define SMALL_MASK hx_vi
#define SMALL_ROOT sqrtf
#include "small_matrices.h"
#undef SMALL
#undef SMALL_TYPE
#undef SMALL_VECTOR
#undef SMALL_MASK
#undef SMALL_ROOT

#define SMALL(name) small_f64_##name
#define SMALL_TYPE double
#define SMALL_VECTOR hx_vd
#define SMALL_MASK hx_vl
#define SMALL_ROOT sqrt
#include "small_matrices.h"
#undef SMALL
#undef SMALL_TYPE
#undef SMALL_VECTOR
#undef SMALL_MASK
#undef SMALL_ROOT

static bool is_small(const task *t) { return t->type < 2 && t->m <= SMALL_SIDE && t->n <= SMALL_SIDE; }

static hx_code run_small(small *s, const task *t, hx_err *err) {
    const int64_t width = HX_LANE_BYTES / t->size, flops = width * t->m * t->n * (t->n + s->columns);
    s->m = t->m;
    s->n = t->n;
    hx_parallel_range((s->count - 1) / width + 1, TASK_FLOPS / flops + 1, t->type ? small_f64_range : small_f32_range, s);
    if (!atomic_load(&s->failed)) return HX_OK;
    return hx_kernel_fail(err, HX_E_MEMORY, HX1402_MEMORY, "no memory for matrices side by side");
}

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

/* The length of a column of a copy: one that does not put all columns into the same sets of a cache. */
static hx_int spaced(int64_t rows, int64_t size) { return (hx_int)(rows * size % 1024 ? rows : most(1, rows + 64 / size)); }

#include "blocked.h"

/* Remembers that there was no memory for a product. */
static void note(const task *t, bool failed) {
    if (failed) ((task *)t)->failed = HX_E_MEMORY;
}

static void one_lu(const task *t, int64_t i, char *scratch) {
    int64_t m = t->m, n = t->n;
    const void *a = item(&t->call->in[0], i, m * n);
    const hx_view *out = t->call->out + t->factors;
    void *lu = item(&out[0], i, m * n);
    hx_int *pivots = item(&out[1], i, least(m, n)), *info = item(&out[2], i, 1);
    if (!t->option) {
        memcpy(lu, a, (size_t)(m * n * t->size));
        set_identity_pivots(pivots, least(m, n));
        *info = eliminate(lu, m, n, t->type);
        return;
    }
    if (is_blocked(t)) {
        bool failed;
        int64_t pitch = spaced(n, t->size), row = n * t->size;
        char *apart = pitch == n ? lu : scratch + panel_room(t);
        for (int64_t r = 0; r < m; r++) memcpy(apart + r * pitch * t->size, (const char *)a + r * row, (size_t)row);
        *info = blocked_lu(t, apart, pitch, pivots, scratch, &failed);
        for (int64_t r = 0; r < m && pitch != n; r++) memcpy((char *)lu + r * row, apart + r * pitch * t->size, (size_t)row);
        note(t, failed);
        return;
    }
    hx_int ld = spaced(m, t->size);
    turn(scratch, ld, a, n, m, n, t->size);
    t->lapack->getrf[t->type](&t->m, &t->n, scratch, &ld, pivots, info);
    turn(lu, n, scratch, ld, n, m, t->size);
}

/* All factors, with or without a choice of pivots, into three outputs from number `factors` on. */
static hx_code factor_all(task *t, bool pivot, int factors, hx_err *err) {
    const hx_view *out = t->call->out + factors;
    const int64_t count = out[2].numel;
    double m = t->m, n = t->n;
    if (!out[0].numel) {
        for (int64_t i = 0; i < count; i++) ((hx_int *)out[2].data)[i] = 0;
        return HX_OK;
    }
    if (pivot && is_small(t)) {
        small s = {.what = SMALL_LU, .count = count, .a = t->call->in[0].data, .lu = out[0].data, .pivots = out[1].data,
                   .info = out[2].data};
        return run_small(&s, t, err);
    }
    t->one = one_lu;
    t->option = pivot;
    t->factors = factors;
    t->room = pivot && is_blocked(t) ? lu_room(t) : slots((int64_t)spaced(t->m, t->size) * t->n, t->size);
    return run_task(t, count, m * n * (m < n ? m : n), err);
}

/* attr: pivot. Out: LU, pivots, info */
HX_KERNEL(k_lu_factor) {
    HX_UNUSED;
    task t;
    hx_code code = begin_task(&t, call, err);
    return code ? code : factor_all(&t, call->attr[0].v.i, 0, err);
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
    if (side == 'R' && rows >= BLOCKED_SIDE && columns >= LEAST_SOLVED && t->type < 2 && !adjoint) {
        note(t, !blocked_triangular(t, matrix, result, rows, columns, attr[0].v.i, attr[2].v.i));
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

/* ---- systems and inverses ---- */

static const int32_t *stretched_pivots(const hx_view *pivots, const hx_view *out, int64_t i) {
    int64_t shape[HX_MAX_RANK + 1];
    for (int d = 0; d < pivots->ndim; d++) shape[d] = pivots->shape[d];
    shape[pivots->ndim] = 1;
    hx_view column = *pivots;
    column.shape = shape;
    column.ndim++;
    return stretched_item(&column, out, i);
}

/* Rows of `bytes` each change places as LAPACK's pivots say, one after another. */
static void exchange_rows(char *rows, int64_t n, int64_t bytes, const hx_int *pivots, char *held) {
    for (int64_t i = 0; i < n; i++) {
        char *row = rows + i * bytes, *other = rows + (pivots[i] - 1) * bytes;
        if (row == other) continue;
        memcpy(held, row, (size_t)bytes);
        memcpy(row, other, (size_t)bytes);
        memcpy(other, held, (size_t)bytes);
    }
}

static void set_nan(void *a, int64_t n, bool is_double) {
    for (int64_t i = 0; i < n; i++)
        if (is_double) ((double *)a)[i] = (double)NAN;
        else ((float *)a)[i] = NAN;
}

/* Matrix i of X from its factors, which may be those of several. */
static void one_solution(const task *t, int64_t i, char *scratch) {
    const hx_view *out = t->call->out, *x = &out[0];
    int64_t n = t->n, k = columns_of(x);
    const void *lu = stretched_item(&out[1], x, i), *from = stretched_item(&t->call->in[1], x, i);
    const hx_int *pivots = stretched_pivots(&out[2], x, i);
    void *to = item(x, i, n * k);
    if (is_small(t)) {
        memcpy(to, from, (size_t)(n * k * t->size));
        exchange_rows(to, n, k * t->size, pivots, scratch);
        substitute(t->type, lu, n, to, k, false, true);
        substitute(t->type, lu, n, to, k, true, false);
        return;
    }
    if (is_blocked(t)) {
        memcpy(to, from, (size_t)(n * k * t->size));
        note(t, !blocked_solve(t, lu, (hx_int *)pivots, to, k));
        return;
    }
    hx_int columns = (hx_int)k, info, ld = spaced(n, t->size);
    char *b = scratch + slots(ld * n, t->size);
    turn(scratch, ld, lu, n, n, n, t->size);
    turn(b, n, from, k, n, k, t->size);
    t->lapack->getrs[t->type]("N", &t->n, &columns, scratch, &ld, pivots, b, &t->n, &info, 1);
    turn(to, k, b, n, k, n, t->size);
}

/* A, B. Out: X, LU, pivots, info */
HX_KERNEL(k_solve) {
    HX_UNUSED;
    task t;
    hx_code code = begin_task(&t, call, err);
    if (code) return code;
    const hx_view *x = &call->out[0], *out = call->out;
    const int64_t count = out[3].numel, n = t.n, k = columns_of(x);
    if (x->numel && is_small(&t) && k <= SMALL_COLUMNS && batch_of(x, 2) == count && call->in[1].numel == x->numel) {
        small s = {.what = SMALL_SOLVE, .count = count, .columns = k, .a = call->in[0].data, .b = call->in[1].data,
                   .x = x->data, .lu = out[1].data, .pivots = out[2].data, .info = out[3].data};
        return run_small(&s, &t, err);
    }
    if ((code = factor_all(&t, true, 1, err)) || !x->numel) return code;
    t.one = one_solution;
    t.room = slots(spaced(n, t.size) * n, t.size) + slots(n * k, t.size);
    return run_task(&t, batch_of(x, 2), 2.0 * (double)n * (double)n * (double)k, err);
}

/* What is row-major here is the transpose to LAPACK, and the inverse of that is the transpose of ours. */
static void one_inverse(const task *t, int64_t i, char *scratch) {
    int64_t n = t->n;
    const void *given = item(&t->call->in[0], i, n * n);
    void *a = item(&t->call->out[0], i, n * n);
    hx_int *info = item(&t->call->out[1], i, 1), *pivots = (hx_int *)(scratch + slots(t->lwork, t->size)), done;
    if (is_blocked(t)) {
        bool failed = false;
        *info = blocked_inverse(t, given, a, scratch, &failed);
        note(t, failed);
    } else {
        memcpy(a, given, (size_t)(n * n * t->size));
        t->lapack->getrf[t->type](&t->n, &t->n, a, &t->n, pivots, info);
        if (!*info) t->lapack->getri[t->type](&t->n, a, &t->n, pivots, scratch, &t->lwork, &done);
    }
    if (*info) set_nan(a, n * n * (t->type < 2 ? 1 : 2), t->type % 2);
}

/* A. Out: the inverse, info */
HX_KERNEL(k_inverse) {
    HX_UNUSED;
    task t;
    hx_code code = begin_task(&t, call, err);
    if (code) return code;
    const hx_view *out = call->out;
    hx_int ask = -1, info;
    char answer[16], none[16];
    double n = t.n;
    if (!t.n) {
        for (int64_t i = 0; i < out[1].numel; i++) ((hx_int *)out[1].data)[i] = 0;
        return HX_OK;
    }
    if (!out[0].numel) return HX_OK;
    if (is_small(&t)) {
        small s = {.what = SMALL_INVERSE, .count = out[1].numel, .a = call->in[0].data, .x = out[0].data, .info = out[1].data};
        return run_small(&s, &t, err);
    }
    t.lapack->getri[t.type](&t.n, none, &t.n, &info, answer, &ask, &info);
    if (!workspace(t.type, answer, &t.lwork)) return too_large(&t, err);
    t.one = one_inverse;
    t.room = is_blocked(&t) ? inverse_room(&t) : slots(t.lwork, t.size) + slots(t.n, sizeof(hx_int));
    return run_task(&t, out[1].numel, 2 * n * n * n, err);
}

/* ---- Cholesky ---- */

/* An upper factor is computed as the transpose of a lower one, from the transpose of what is given. */
static void blocked_triangle(const task *t, int64_t i, void *l, char *scratch, bool upper) {
    const int64_t n = t->n;
    const void *a = item(&t->call->in[0], i, n * n);
    void *lower = upper ? scratch : l;
    bool failed = false;
    if (upper) turn(lower, n, a, n, n, n, t->size);
    else memcpy(lower, a, (size_t)(n * n * t->size));
    *(hx_int *)item(&t->call->out[1], i, 1) = blocked_cholesky(t, lower, &failed);
    note(t, failed);
    if (upper) turn(l, n, lower, n, n, n, t->size);
    clear_triangle(l, n, n, t->size, !upper);
}

/* Row-major A is conj(A) to LAPACK, whose upper triangle is A's lower one; its factor is the transpose of ours. */
static void one_cholesky(const task *t, int64_t i, char *scratch) {
    int64_t n = t->n;
    void *l = item(&t->call->out[0], i, n * n);
    bool upper = t->call->attr[0].v.i;
    if (has_blocked_cholesky(t)) {
        blocked_triangle(t, i, l, scratch, upper);
        return;
    }
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
    if (call->out[1].numel && is_small(&t)) {
        small s = {.what = SMALL_CHOLESKY, .count = call->out[1].numel, .a = call->in[0].data, .x = call->out[0].data,
                   .info = call->out[1].data, .upper = call->attr[0].v.i};
        return run_small(&s, &t, err);
    }
    if (has_blocked_cholesky(&t) && call->attr[0].v.i) t.room = slots((int64_t)t.n * t.n, t.size);
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
                      KERNEL_CONTIGUOUS(solve_base, k_solve, HX_SET_LAPACK),
                      KERNEL_CONTIGUOUS(inverse_base, k_inverse, HX_SET_LAPACK),
                      KERNEL_CONTIGUOUS(cholesky_base, k_cholesky, HX_SET_LAPACK),
                      KERNEL_CONTIGUOUS(geqrf, k_geqrf, HX_SET_LAPACK),
                      KERNEL_CONTIGUOUS(qr_base, k_qr, HX_SET_LAPACK),
                      KERNEL_CONTIGUOUS(ldl_base, k_ldl_factor, HX_SET_LAPACK),
                      KERNEL_CONTIGUOUS(ldl_solve_base, k_ldl_solve, HX_SET_LAPACK),
                      {0}};
