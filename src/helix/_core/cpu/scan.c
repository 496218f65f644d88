/* Running sums, products, extremes and log-sum-exp along one axis. Input and output are contiguous and of one dtype:
 * (outer, n, inner). Floats run in double, integers in int64; a run along an inner axis carries a tile of columns. */
#include "blocks.h"
#include "maps.h"
#include "vmath.h"

enum { TILE = 256, PIECE = 65536 };

typedef enum { SUM, PROD, LOGSUMEXP, MAX, MIN } operation;

typedef struct scan_job {
    operation op;
    const char *in;
    char *out;
    int64_t *indices; /* MAX and MIN */
    int dtype;
    int64_t size, n, inner, tiles, width; /* width: columns a task */
} scan_job;

/* log(exp(a) + exp(b)) */
static double log_add(double a, double b) {
    double high = a > b || a != a ? a : b, low = a > b || a != a ? b : a;
    if (high == low && isinf(high)) return high;
    return high + log1p(exp(low - high));
}

#define STEP_LOOP(update)                                                                                     \
    for (int64_t i = 0; i < n; i++) a[i] = update;                                                            \
    break

static void step_double(operation op, double *restrict a, const double *restrict x, int64_t n) {
    switch (op) {
    case SUM: STEP_LOOP(a[i] + x[i]);
    case PROD: STEP_LOOP(a[i] * x[i]);
    default: STEP_LOOP(log_add(a[i], x[i]));
    }
}

static void step_int(operation op, int64_t *restrict a, const int64_t *restrict x, int64_t n) {
    if (op == SUM)
        for (int64_t i = 0; i < n; i++) a[i] = (int64_t)((uint64_t)a[i] + (uint64_t)x[i]);
    else
        for (int64_t i = 0; i < n; i++) a[i] = (int64_t)((uint64_t)a[i] * (uint64_t)x[i]);
}

/* Takes x where it is at least (at most) the extreme so far, or NaN; an earlier NaN gives way to a NaN alone. */
#define CHOOSE(T, at_least)                                                                                   \
    do {                                                                                                      \
        for (int64_t i = 0; i < n; i++) {                                                                     \
            T v = x[i], m = a[i];                                                                             \
            bool take = k == 0 || v != v || (m == m && (at_least));                                           \
            a[i] = take ? v : m;                                                                              \
            index[i] = take ? k : index[i];                                                                   \
        }                                                                                                     \
    } while (0)
static void choose_double(operation op, double *a, int64_t *index, const double *x, int64_t n, int64_t k) {
    if (op == MAX) CHOOSE(double, v >= m);
    else CHOOSE(double, v <= m);
}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtautological-compare"
static void choose_int(operation op, int64_t *a, int64_t *index, const int64_t *x, int64_t n, int64_t k) {
    if (op == MAX) CHOOSE(int64_t, v >= m);
    else CHOOSE(int64_t, v <= m);
}
#pragma GCC diagnostic pop

static const double *read_double(const scan_job *j, const char *p, int64_t n, double *room) {
    float half[TILE];
    if (j->dtype == HX_F64) return (const double *)p;
    const float *x = hx_read_f32(p, j->dtype, j->size, n, half);
    for (int64_t i = 0; i < n; i++) room[i] = x[i];
    return room;
}

/* n columns from byte `at`. */
static void scan_columns(const scan_job *j, int64_t at, int64_t n) {
    double a[TILE], room[TILE];
    int64_t b[TILE], int_room[TILE], index[TILE] = {0}, step = j->inner * j->size;
    bool integral = hx_is_integral((hx_dtype)j->dtype);
    double start = j->op == PROD ? 1 : j->op == LOGSUMEXP ? -INFINITY : 0;
    for (int64_t i = 0; i < n; i++) a[i] = start, b[i] = j->op == PROD;
    for (int64_t k = 0; k < j->n; k++) {
        if (k % 4096 == 4095 && hx_stopped()) return;
        const char *p = j->in + at + k * step;
        char *to = j->out + at + k * step;
        if (integral) {
            const int64_t *x = hx_read_i64(p, j->dtype, j->size, n, int_room, j->op >= MAX);
            if (j->op >= MAX) choose_int(j->op, b, index, x, n, k);
            else step_int(j->op, b, x, n);
            hx_write_i64(to, j->dtype, j->size, n, b, j->op >= MAX);
        } else {
            const double *x = read_double(j, p, n, room);
            if (j->op >= MAX) choose_double(j->op, a, index, x, n, k);
            else step_double(j->op, a, x, n);
            hx_write_f64(to, j->dtype, j->size, n, a);
        }
        if (j->op >= MAX) memcpy(j->indices + at / j->size + k * j->inner, index, (size_t)n * sizeof *index);
    }
}

/* Products of complex numbers. */
static void multiply_columns(const scan_job *j, int64_t at, int64_t n) {
    hx_c128 a[TILE], room[TILE];
    int64_t step = j->inner * j->size;
    for (int64_t i = 0; i < n; i++) a[i] = 1;
    for (int64_t k = 0; k < j->n; k++) {
        if (k % 4096 == 4095 && hx_stopped()) return;
        const hx_c128 *x = hx_read_c128(j->in + at + k * step, j->dtype, j->size, n, room);
        for (int64_t i = 0; i < n; i++) a[i] *= x[i];
        hx_write_c128(j->out + at + k * step, j->dtype, j->size, n, a);
    }
}

/* A row of floats: sums of four are formed beside the running sum, so that it moves once in four elements. */
#define SUM_ROW(T)                                                                                            \
    static void sum_row_##T(const T *x, T *y, int64_t n, double a) {                                          \
        int64_t i = 0;                                                                                        \
        for (; i + 4 <= n; i += 4) {                                                                          \
            double p = x[i], q = p + x[i + 1], r = (double)x[i + 2], s = r + x[i + 3];                        \
            y[i] = (T)(a + p);                                                                                \
            y[i + 1] = (T)(a + q);                                                                            \
            y[i + 2] = (T)(a + (q + r));                                                                      \
            a += q + s;                                                                                       \
            y[i + 3] = (T)a;                                                                                  \
        }                                                                                                     \
        for (; i < n; i++) y[i] = (T)(a += x[i]);                                                             \
    }                                                                                                         \
    static double total_##T(const T *x, int64_t n) {                                                          \
        double lane[8] = {0};                                                                                 \
        int64_t i = 0;                                                                                        \
        for (; i + 8 <= n; i += 8)                                                                            \
            for (int k = 0; k < 8; k++) lane[k] += x[i + k];                                                  \
        for (; i < n; i++) lane[0] += x[i];                                                                   \
        return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));     \
    }
SUM_ROW(float)
SUM_ROW(double)

/* The same with products of four, which floats cannot lead out of double's range. */
static void product_row_float(const float *x, float *y, int64_t n) {
    double a = 1;
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        double p = x[i], q = p * x[i + 1], r = (double)x[i + 2], s = r * x[i + 3];
        y[i] = (float)(a * p);
        y[i + 1] = (float)(a * q);
        y[i + 2] = (float)(a * (q * r));
        a *= q * s;
        y[i + 3] = (float)a;
    }
    for (; i < n; i++) y[i] = (float)(a *= x[i]);
}
static void product_row_double(const double *x, double *y, int64_t n) {
    double a = 1;
    for (int64_t i = 0; i < n; i++) y[i] = a *= x[i];
}

/* A row of extremes: new ones are rare, so a branch is cheaper than a choice. */
#define EXTREME_ROW(name, T, at_least)                                                                        \
    static void name##_##T(const T *x, T *y, int64_t *indices, int64_t n) {                                   \
        T m = x[0];                                                                                           \
        int64_t best = 0;                                                                                     \
        for (int64_t k = 0; k < n; k++) {                                                                     \
            T v = x[k];                                                                                       \
            if (v != v || (at_least)) m = v, best = k;                                                        \
            y[k] = m;                                                                                         \
            indices[k] = best;                                                                                \
        }                                                                                                     \
    }
EXTREME_ROW(max_row, float, v >= m)
EXTREME_ROW(max_row, double, v >= m)
EXTREME_ROW(min_row, float, v <= m)
EXTREME_ROW(min_row, double, v <= m)

#define ROW_OF(T)                                                                                             \
    static bool row_of_##T(const scan_job *j, const T *x, T *y, int64_t *indices) {                           \
        switch (j->op) {                                                                                      \
        case SUM: sum_row_##T(x, y, j->n, 0); return true;                                                    \
        case PROD: product_row_##T(x, y, j->n); return true;                                                  \
        case MAX: max_row_##T(x, y, indices, j->n); return true;                                              \
        case MIN: min_row_##T(x, y, indices, j->n); return true;                                              \
        default: return false;                                                                                \
        }                                                                                                     \
    }
ROW_OF(float)
ROW_OF(double)

/* Rows that have a loop of their own. */
static bool scan_row(const scan_job *j, int64_t at) {
    if (j->inner != 1) return false;
    int64_t *indices = j->op >= MAX ? j->indices + at / j->size : NULL;
    if (j->dtype == HX_F32) return row_of_float(j, (const float *)(j->in + at), (float *)(j->out + at), indices);
    if (j->dtype == HX_F64) return row_of_double(j, (const double *)(j->in + at), (double *)(j->out + at), indices);
    return false;
}

static void scan_task(void *ctx, int64_t task) {
    const scan_job *j = ctx;
    int64_t outer = task / j->tiles, column = task % j->tiles * j->width;
    int64_t n = j->inner - column < j->width ? j->inner - column : j->width;
    int64_t at = (outer * j->n * j->inner + column) * j->size;
    if (scan_row(j, at)) return;
    if (hx_is_complex((hx_dtype)j->dtype))
        multiply_columns(j, at, n);
    else
        scan_columns(j, at, n);
}

static void scan_rows(void *ctx, int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) scan_task(ctx, r);
}

/* ---- long rows: the sums of pieces first, then every piece from what stands before it ---- */

typedef struct long_row {
    const scan_job *j;
    int64_t at; /* byte */
    double *before;
} long_row;

static void piece_total(void *ctx, int64_t piece) {
    const long_row *r = ctx;
    int64_t from = piece * PIECE, n = r->j->n - from < PIECE ? r->j->n - from : PIECE;
    const char *x = r->j->in + r->at + from * r->j->size;
    r->before[piece] = r->j->dtype == HX_F32 ? total_float((const float *)x, n) : total_double((const double *)x, n);
}

static void piece_scan(void *ctx, int64_t piece) {
    const long_row *r = ctx;
    int64_t from = piece * PIECE, n = r->j->n - from < PIECE ? r->j->n - from : PIECE, at = r->at + from * r->j->size;
    const char *x = r->j->in + at;
    char *y = r->j->out + at;
    if (r->j->dtype == HX_F32) sum_row_float((const float *)x, (float *)y, n, r->before[piece]);
    else sum_row_double((const double *)x, (double *)y, n, r->before[piece]);
}

static bool split_rows(const scan_job *j, int64_t rows) {
    int64_t pieces = (j->n + PIECE - 1) / PIECE;
    size_t bytes = (size_t)pieces * sizeof(double);
    double *before = hx_pool_alloc(bytes);
    if (!before) return false;
    for (int64_t row = 0; row < rows; row++) {
        long_row r = {j, row * j->n * j->size, before};
        hx_parallel(pieces, piece_total, &r);
        double sum = 0;
        for (int64_t p = 0; p < pieces; p++) {
            double here = before[p];
            before[p] = sum;
            sum += here;
        }
        hx_parallel(pieces, piece_scan, &r);
    }
    hx_pool_free(before, bytes);
    return true;
}

static hx_code scan(const hx_op_call *call, operation op, hx_err *err) {
    const hx_view *in = &call->in[0];
    scan_job j = {.op = op, .in = in->data, .out = call->out[0].data, .dtype = in->dtype,
                  .indices = op >= MAX ? call->out[1].data : NULL,
                  .size = (int64_t)hx_dtype_size((hx_dtype)in->dtype), .n = 1, .inner = 1};
    if (!in->numel) return HX_OK;
    if (in->ndim) {
        int dim = (int)call->attr[0].v.i;
        j.n = in->shape[dim];
        for (int d = dim + 1; d < in->ndim; d++) j.inner *= in->shape[d];
    }
    int64_t outer = in->numel / j.n / j.inner;
    if (op == SUM && hx_is_complex((hx_dtype)in->dtype)) { /* sums of real and imaginary parts, side by side */
        j.dtype = in->dtype == HX_C64 ? HX_F32 : HX_F64;
        j.size /= 2;
        j.inner *= 2;
    }
    if (op == SUM && j.inner == 1 && j.n >= 2 * PIECE && (j.dtype == HX_F32 || j.dtype == HX_F64))
        return split_rows(&j, outer) ? HX_OK : hx_kernel_fail(err, HX_E_MEMORY, HX1402_MEMORY, "no memory for the sums of a row");
    j.width = TILE;
    j.tiles = (j.inner + TILE - 1) / TILE;
    int64_t work = j.n * (j.inner < TILE ? j.inner : TILE);
    hx_parallel_range(outer * j.tiles, work < 16384 ? 16384 / work : 1, scan_rows, &j);
    return HX_OK;
}

HX_KERNEL(k_cumsum) {
    HX_UNUSED;
    return scan(call, SUM, err);
}
HX_KERNEL(k_cumprod) {
    HX_UNUSED;
    return scan(call, PROD, err);
}
HX_KERNEL(k_logcumsumexp) {
    HX_UNUSED;
    return scan(call, LOGSUMEXP, err);
}
HX_KERNEL(k_cummax) {
    HX_UNUSED;
    return scan(call, MAX, err);
}
HX_KERNEL(k_cummin) {
    HX_UNUSED;
    return scan(call, MIN, err);
}

HX_KERNELS(scan) = {
    KERNEL_CONTIGUOUS(cumsum, k_cumsum, HX_SET_ALL),
    KERNEL_CONTIGUOUS(cumprod, k_cumprod, HX_SET_ALL),
    KERNEL_CONTIGUOUS(logcumsumexp, k_logcumsumexp, HX_SET_FLOAT),
    KERNEL_CONTIGUOUS(cummax, k_cummax, HX_SET_REAL),
    KERNEL_CONTIGUOUS(cummin, k_cummin, HX_SET_REAL),
    {0}};
