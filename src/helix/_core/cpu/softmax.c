/* softmax and log_softmax along one axis, and their backward kernels. Inputs are contiguous: (outer, n, inner).
 *
 * Rows (inner 1) stay in the first-level cache between their passes, and those of 131072 elements and more are shared
 * by all threads; other axes are done in tiles of columns that stay in the second-level cache. float16 and bfloat16
 * go through rows of floats. Sums run in float lanes over blocks of 4096 and in double across them. */
#include <stdatomic.h>
#include "blocks.h"
#include "rows.h"

enum { L = HX_LANES_OF(float), TILE = 256, STREAM_BYTES = 32 << 20, PIECE = 65536 };

typedef struct softmax_job {
    const char *in, *grad;
    char *out;
    int dtype;
    bool log, backward, stream;
    int64_t size, n, inner, tiles;
    atomic_bool failed;
} softmax_job;

/* ---- rows of floats ---- */

static bool may_stream(const softmax_job *j, const float *y) { return j->stream && !((uintptr_t)y % sizeof(hx_vf)); }

/* y = expression of the loaded vectors, streamed past the caches for large results. */
#define WRITE_ROW(expr_full, expr_part)                                                                       \
    do {                                                                                                      \
        int64_t i = 0;                                                                                        \
        if (may_stream(j, y))                                                                                 \
            for (; i + L <= n; i += L) hx_vf_stream(y + i, expr_full);                                        \
        else                                                                                                  \
            for (; i + L <= n; i += L) hx_vf_store(y + i, expr_full);                                         \
        int left = (int)(n - i);                                                                              \
        if (left) hx_vf_store_part(y + i, expr_part, left);                                                   \
    } while (0)
#define FULL(p) hx_vf_load((p) + i)
#define PART(p) hx_vf_load_part((p) + i, left)

static void softmax_row(const softmax_job *j, const float *x, float *y, int64_t n) {
    float m = hx_row_max(x, n), room[HX_BLOCK];
    if (j->log) {
        hx_vf top = hx_vf_all(m), rest = hx_vf_all((float)log(hx_row_exp_sum(x, NULL, n, m)));
        WRITE_ROW(FULL(x) - top - rest, PART(x) - top - rest);
        return;
    }
    float *e = n <= HX_BLOCK ? room : y;
    hx_vf scale = hx_vf_all((float)(1 / hx_row_exp_sum(x, e, n, m)));
    if (e == y && j->stream) { /* a row that left the first-level cache is finished where it lies */
        HX_VF_LOOP(y, y, n, v, v * scale);
        return;
    }
    WRITE_ROW(FULL(e) * scale, PART(e) * scale);
}

static double dot(const float *a, const float *b, int64_t n) {
    double sum = 0;
    for (int64_t from = 0; from < n; from += HX_BLOCK) {
        int64_t i = from, end = n - from < HX_BLOCK ? n : from + HX_BLOCK;
        hx_vf s = {0}, t = s;
        for (; i + 2 * L <= end; i += 2 * L) {
            s += hx_vf_load(a + i) * hx_vf_load(b + i);
            t += hx_vf_load(a + i + L) * hx_vf_load(b + i + L);
        }
        for (; i + L <= end; i += L) s += hx_vf_load(a + i) * hx_vf_load(b + i);
        int left = (int)(end - i);
        if (left) s += hx_vf_load_part(a + i, left) * hx_vf_load_part(b + i, left);
        sum += hx_vf_sum(s + t);
    }
    return sum;
}

/* x is the result of the forward pass. */
static void backward_row(const softmax_job *j, const float *x, const float *g, float *y, int64_t n) {
    if (j->log) {
        hx_vf all = hx_vf_all((float)hx_row_sum(g, n));
        WRITE_ROW(FULL(g) - hx_vf_exp(FULL(x)) * all, PART(g) - hx_vf_exp(PART(x)) * all);
    } else {
        hx_vf along = hx_vf_all((float)dot(x, g, n));
        WRITE_ROW(FULL(x) * (FULL(g) - along), PART(x) * (PART(g) - along));
    }
}

static void rows_f32(softmax_job *j, int64_t begin, int64_t end) {
    int64_t n = j->n, bytes = n * j->size;
    float *room = NULL, *x16 = NULL, *g16 = NULL, *y16 = NULL;
    if (j->dtype != HX_F32) {
        room = hx_pool_alloc((size_t)n * 12);
        if (!room) {
            atomic_store(&j->failed, true);
            return;
        }
        x16 = room, g16 = room + n, y16 = room + 2 * n;
    }
    for (int64_t r = begin; r < end; r++) {
        const float *x = hx_read_f32(j->in + r * bytes, j->dtype, j->size, n, x16);
        float *y = room ? y16 : (float *)(j->out + r * bytes);
        if (j->backward) backward_row(j, x, hx_read_f32(j->grad + r * bytes, j->dtype, j->size, n, g16), y, n);
        else softmax_row(j, x, y, n);
        if (room) hx_write_f32(j->out + r * bytes, j->dtype, j->size, n, y);
    }
    if (room) hx_pool_free(room, (size_t)n * 12);
    if (j->stream) hx_stream_fence();
}

/* ---- long rows: all threads work on one, in pieces whose sums are added in their order ---- */

typedef struct long_row {
    const softmax_job *j;
    const char *x, *g;
    char *y;
    float top, factor; /* forward: the maximum, and the log of the sum or its reciprocal; backward: the sum */
    float *tops;       /* a piece */
    double *sums;
} long_row;

/* Runs `work` over the piece's blocks: x, g and y are floats, read and written as the dtype asks. */
#define PIECE_BLOCKS(work)                                                                                    \
    float rx[HX_BLOCK], rg[HX_BLOCK];                                                                         \
    const softmax_job *j = row->j;                                                                            \
    int64_t from = piece * PIECE, end = j->n - from < PIECE ? j->n : from + PIECE;                            \
    for (; from < end; from += HX_BLOCK) {                                                                    \
        int64_t n = end - from < HX_BLOCK ? end - from : HX_BLOCK;                                            \
        const float *x = hx_read_f32(row->x + from * j->size, j->dtype, j->size, n, rx);                      \
        const float *g = j->backward ? hx_read_f32(row->g + from * j->size, j->dtype, j->size, n, rg) : x;    \
        (void)g;                                                                                              \
        work;                                                                                                 \
    }

static void piece_top(void *ctx, int64_t piece) {
    const long_row *row = ctx;
    float top = -INFINITY;
    PIECE_BLOCKS(top = hx_max_nan(hx_row_max(x, n), top))
    row->tops[piece] = top;
}

static void piece_sum(void *ctx, int64_t piece) {
    const long_row *row = ctx;
    double sum = 0;
    PIECE_BLOCKS(sum += !j->backward ? hx_row_exp_sum(x, NULL, n, row->top) : j->log ? hx_row_sum(g, n) : dot(x, g, n))
    row->sums[piece] = sum;
}

static void write_block(const long_row *row, const float *x, const float *g, float *y, int64_t n) {
    const softmax_job *j = row->j;
    hx_vf top = hx_vf_all(row->top), factor = hx_vf_all(row->factor);
    if (j->backward && j->log) WRITE_ROW(FULL(g) - hx_vf_exp(FULL(x)) * factor, PART(g) - hx_vf_exp(PART(x)) * factor);
    else if (j->backward) WRITE_ROW(FULL(x) * (FULL(g) - factor), PART(x) * (PART(g) - factor));
    else if (j->log) WRITE_ROW(FULL(x) - top - factor, PART(x) - top - factor);
    else WRITE_ROW(hx_vf_exp(FULL(x) - top) * factor, hx_vf_exp(PART(x) - top) * factor);
}

static void piece_write(void *ctx, int64_t piece) {
    const long_row *row = ctx;
    float ry[HX_BLOCK];
    PIECE_BLOCKS(char *to = row->y + from * j->size; float *y = j->dtype == HX_F32 ? (float *)to : ry;
                 write_block(row, x, g, y, n); if (y == ry) hx_write_f32(to, j->dtype, j->size, n, y))
    if (row->j->stream) hx_stream_fence();
}

static void split_row(const softmax_job *j, int64_t r, float *tops, double *sums) {
    int64_t pieces = (j->n + PIECE - 1) / PIECE, at = r * j->n * j->size;
    long_row row = {.j = j, .x = j->in + at, .g = j->backward ? j->grad + at : NULL, .y = j->out + at, .tops = tops, .sums = sums};
    row.top = -INFINITY;
    if (!j->backward) {
        hx_parallel(pieces, piece_top, &row);
        for (int64_t p = 0; p < pieces; p++) row.top = hx_max_nan(tops[p], row.top);
    }
    hx_parallel(pieces, piece_sum, &row);
    double sum = 0;
    for (int64_t p = 0; p < pieces; p++) sum += sums[p];
    row.factor = (float)(j->backward ? sum : j->log ? log(sum) : 1 / sum);
    hx_parallel(pieces, piece_write, &row);
}

static void split_rows(softmax_job *j, int64_t rows) {
    size_t pieces = (size_t)((j->n + PIECE - 1) / PIECE), bytes = pieces * (sizeof(double) + sizeof(float));
    double *sums = hx_pool_alloc(bytes);
    if (!sums) {
        atomic_store(&j->failed, true);
        return;
    }
    for (int64_t r = 0; r < rows; r++) split_row(j, r, (float *)(sums + pieces), sums);
    hx_pool_free(sums, bytes);
}

/* ---- rows of doubles ---- */

static void row_f64(const softmax_job *j, const double *x, double *y, int64_t n) {
    double m = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) m = x[i] > m || x[i] != x[i] ? x[i] : m;
    for (int64_t i = 0; i < n; i++) y[i] = hx_d_exp(x[i] - m);
    for (int64_t i = 0; i < n; i++) sum += y[i];
    if (j->log) {
        double rest = log(sum);
        for (int64_t i = 0; i < n; i++) y[i] = x[i] - m - rest;
    } else {
        for (int64_t i = 0; i < n; i++) y[i] /= sum;
    }
}

static void backward_row_f64(const softmax_job *j, const double *x, const double *g, double *y, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += j->log ? g[i] : g[i] * x[i];
    if (j->log)
        for (int64_t i = 0; i < n; i++) y[i] = g[i] - hx_d_exp(x[i]) * sum;
    else
        for (int64_t i = 0; i < n; i++) y[i] = x[i] * (g[i] - sum);
}

static void rows(void *ctx, int64_t begin, int64_t end) {
    softmax_job *j = ctx;
    if (j->dtype != HX_F64) {
        rows_f32(j, begin, end);
        return;
    }
    for (int64_t r = begin; r < end; r++) {
        const double *x = (const double *)j->in + r * j->n;
        double *y = (double *)j->out + r * j->n;
        if (j->backward) backward_row_f64(j, x, (const double *)j->grad + r * j->n, y, j->n);
        else row_f64(j, x, y, j->n);
    }
}

/* ---- columns: a tile of the inner axes at a time; all dtypes as double would halve the speed, so twice ---- */

#define COLUMNS(name, T, READ, WRITE, EXP_LOOP, LOG)                                                          \
    static void name(const softmax_job *j, int64_t at, int64_t n) {                                           \
        T top[TILE], sum[TILE], rx[TILE], rg[TILE], y[TILE];                                                  \
        int64_t step = j->inner * j->size;                                                                    \
        for (int64_t i = 0; i < n; i++) top[i] = -INFINITY, sum[i] = 0;                                       \
        for (int64_t k = 0; k < j->n && !j->backward; k++) {                                                  \
            const T *x = READ(j->in, k, rx);                                                                  \
            for (int64_t i = 0; i < n; i++) {                                                                 \
                T v = x[i], m = top[i];                                                                       \
                top[i] = (v > m) | (v != v) ? v : m;                                                          \
            }                                                                                                 \
        }                                                                                                     \
        for (int64_t k = 0; k < j->n; k++) {                                                                  \
            const T *x = READ(j->in, k, rx);                                                                  \
            if (!j->backward) {                                                                               \
                for (int64_t i = 0; i < n; i++) y[i] = x[i] - top[i];                                         \
                EXP_LOOP(y, y, n);                                                                            \
                for (int64_t i = 0; i < n; i++) sum[i] += y[i];                                               \
            } else {                                                                                          \
                const T *g = READ(j->grad, k, rg);                                                            \
                if (j->log)                                                                                   \
                    for (int64_t i = 0; i < n; i++) sum[i] += g[i];                                           \
                else                                                                                          \
                    for (int64_t i = 0; i < n; i++) sum[i] += g[i] * x[i];                                    \
            }                                                                                                 \
        }                                                                                                     \
        if (!j->backward)                                                                                     \
            for (int64_t i = 0; i < n; i++) sum[i] = j->log ? LOG(sum[i]) : 1 / sum[i];                       \
        for (int64_t k = 0; k < j->n; k++) {                                                                  \
            const T *x = READ(j->in, k, rx);                                                                  \
            if (!j->backward) {                                                                               \
                for (int64_t i = 0; i < n; i++) y[i] = x[i] - top[i];                                         \
                if (j->log)                                                                                   \
                    for (int64_t i = 0; i < n; i++) y[i] -= sum[i];                                           \
                else {                                                                                        \
                    EXP_LOOP(y, y, n);                                                                        \
                    for (int64_t i = 0; i < n; i++) y[i] *= sum[i];                                           \
                }                                                                                             \
            } else {                                                                                          \
                const T *g = READ(j->grad, k, rg);                                                            \
                if (j->log) {                                                                                 \
                    EXP_LOOP(y, x, n);                                                                        \
                    for (int64_t i = 0; i < n; i++) y[i] = g[i] - y[i] * sum[i];                              \
                } else                                                                                        \
                    for (int64_t i = 0; i < n; i++) y[i] = x[i] * (g[i] - sum[i]);                            \
            }                                                                                                 \
            WRITE(k);                                                                                         \
        }                                                                                                     \
    }
#define EXP_F32(to, from, n) HX_VF_LOOP(to, from, n, value, hx_vf_exp(value))
#define EXP_F64(to, from, n) for (int64_t i = 0; i < n; i++) (to)[i] = hx_d_exp((from)[i])
#define READ_F32(p, k, room) hx_read_f32((p) + at + (k) * step, j->dtype, j->size, n, room)
#define READ_F64(p, k, room) hx_read_f64((p) + at + (k) * step, 8, n, room)
#define WRITE_F32(k) hx_write_f32(j->out + at + (k) * step, j->dtype, j->size, n, y)
#define WRITE_F64(k) hx_write_f64(j->out + at + (k) * step, HX_F64, 8, n, y)
COLUMNS(columns_f32, float, READ_F32, WRITE_F32, EXP_F32, logf)
COLUMNS(columns_f64, double, READ_F64, WRITE_F64, EXP_F64, log)

static void columns(void *ctx, int64_t task) {
    const softmax_job *j = ctx;
    int64_t column = task % j->tiles * TILE, n = j->inner - column < TILE ? j->inner - column : TILE;
    int64_t at = (task / j->tiles * j->n * j->inner + column) * j->size;
    if (j->dtype == HX_F64) columns_f64(j, at, n);
    else columns_f32(j, at, n);
}

/* The last input is the one the axis belongs to: (input) forward, (grad, output) backward. */
static hx_code run(const hx_op_call *call, bool log, bool backward, hx_err *err) {
    const hx_view *x = &call->in[backward ? 1 : 0];
    softmax_job j = {.in = x->data, .grad = backward ? call->in[0].data : NULL, .out = call->out[0].data,
                     .dtype = x->dtype, .log = log, .backward = backward,
                     .size = (int64_t)hx_dtype_size((hx_dtype)x->dtype), .n = 1, .inner = 1};
    if (!x->numel) return HX_OK;
    if (x->ndim) {
        int dim = (int)call->attr[0].v.i;
        j.n = x->shape[dim];
        for (int d = dim + 1; d < x->ndim; d++) j.inner *= x->shape[d];
    }
    j.stream = x->dtype == HX_F32 && x->numel * j.size >= STREAM_BYTES;
    int64_t outer = x->numel / j.n / j.inner;
    if (j.inner == 1 && j.n >= 2 * PIECE && j.dtype != HX_F64) {
        split_rows(&j, outer);
    } else if (j.inner == 1) {
        hx_parallel_range(outer, j.n < 16384 ? 16384 / j.n : 1, rows, &j);
    } else {
        j.tiles = (j.inner + TILE - 1) / TILE;
        hx_parallel(outer * j.tiles, columns, &j);
    }
    if (atomic_load(&j.failed)) return hx_kernel_fail(err, HX_E_MEMORY, HX1402_MEMORY, "no memory for rows of floats");
    return HX_OK;
}

HX_KERNEL(k_softmax) {
    HX_UNUSED;
    return run(call, false, false, err);
}
HX_KERNEL(k_log_softmax) {
    HX_UNUSED;
    return run(call, true, false, err);
}
HX_KERNEL(k_softmax_backward) {
    HX_UNUSED;
    return run(call, false, true, err);
}
HX_KERNEL(k_log_softmax_backward) {
    HX_UNUSED;
    return run(call, true, true, err);
}

HX_KERNELS(softmax) = {
    KERNEL_CONTIGUOUS(softmax, k_softmax, HX_SET_FLOAT),
    KERNEL_CONTIGUOUS(log_softmax, k_log_softmax, HX_SET_FLOAT),
    KERNEL_CONTIGUOUS(softmax_backward, k_softmax_backward, HX_SET_FLOAT),
    KERNEL_CONTIGUOUS(log_softmax_backward, k_log_softmax_backward, HX_SET_FLOAT),
    {0}};
