/* Kernels over batches of matrices that call LAPACK: the last two axes are a matrix, and the matrices are shared out to
 * threads. Inputs are contiguous; outputs come from dispatch and are too. */
#ifndef HX_BATCHES_H
#define HX_BATCHES_H

#include "lapack.h"
#include "turn.h"

/* One kernel's work. `one` treats matrix i with `room` bytes of scratch memory, which are its own. */
typedef struct task {
    const hx_op_call *call;
    const hx_lapack *lapack;
    int type;         /* hx_lapack_type of in[0] */
    int64_t size;     /* bytes of one of its elements */
    hx_int m, n;      /* the matrix in[0] */
    hx_int k, lwork, lrwork, liwork;
    int64_t room;
    char option, option2;
    int factors; /* number of the first of three outputs that are LU, pivots and info */
    double number;
    void (*one)(const struct task *t, int64_t i, char *scratch);
    _Atomic int failed; /* an hx_code */
} task;

static inline int64_t rows_of(const hx_view *v) { return v->shape[v->ndim - 2]; }
static inline int64_t columns_of(const hx_view *v) { return v->shape[v->ndim - 1]; }
static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* Matrices, or vectors, in a batch: the product of all axes but the last `own`. */
static inline int64_t batch_of(const hx_view *v, int own) {
    int64_t n = 1;
    for (int i = 0; i + own < v->ndim; i++) n *= v->shape[i];
    return n;
}

/* The address of item i, of `bytes`, of an output or of an input with the output's batch. */
static inline void *item(const hx_view *v, int64_t i, int64_t elements) {
    return (char *)v->data + i * elements * (int64_t)hx_dtype_size((hx_dtype)v->dtype);
}

/* The same of an input whose batch axes are stretched to those of `out`. */
static inline const void *stretched_item(const hx_view *v, const hx_view *out, int64_t i) {
    int64_t at = 0, step = 1;
    for (int d = 2; d < out->ndim; d++) {
        int64_t size = out->shape[out->ndim - 1 - d], where = i % size;
        i /= size;
        if (d >= v->ndim) continue;
        int64_t own = v->shape[v->ndim - 1 - d];
        if (own > 1) at += where * step;
        step *= own;
    }
    return item(v, at, rows_of(v) * columns_of(v));
}

/* Starts a task: the table, and sizes that Fortran can count. */
static inline hx_code begin_task(task *t, const hx_op_call *call, hx_err *err) {
    const hx_view *a = &call->in[0];
    *t = (task){.call = call, .type = hx_lapack_type((hx_dtype)a->dtype), .size = (int64_t)hx_dtype_size((hx_dtype)a->dtype)};
    if (!(t->lapack = hx_lapack_get())) return hx_lapack_missing(err);
    for (uint32_t i = 0; i < call->n_in + call->n_out; i++) {
        const hx_view *v = i < call->n_in ? &call->in[i] : &call->out[i - call->n_in];
        for (int d = v->ndim > 2 ? v->ndim - 2 : 0; d < v->ndim; d++)
            if (v->shape[d] > INT32_MAX / 4)
                return hx_kernel_fail(err, HX_E_OVERFLOW, HX1401_OVERFLOW, "a matrix with an axis of %lld is too large for LAPACK",
                                      (long long)v->shape[d]);
    }
    t->m = (hx_int)rows_of(a);
    t->n = (hx_int)columns_of(a);
    return HX_OK;
}

static inline void task_range(void *ctx, int64_t begin, int64_t end) {
    task *t = ctx;
    char *scratch = t->room ? hx_pool_alloc((size_t)t->room) : NULL;
    if (t->room && !scratch) {
        hx_error_clear(); /* said once, by the thread that called */
        t->failed = HX_E_MEMORY;
        return;
    }
    for (int64_t i = begin; i < end; i++) t->one(t, i, scratch);
    if (scratch) hx_pool_free(scratch, (size_t)t->room);
}

enum { TASK_FLOPS = 200000 }; /* what a share of the batch is to hold at least */

/* All matrices; `flops` is what one takes. */
static inline hx_code run_task(task *t, int64_t count, double flops, hx_err *err) {
    double share = flops > 1 ? TASK_FLOPS / flops : TASK_FLOPS;
    hx_parallel_range(count, share > 1 ? (int64_t)share : 1, task_range, t);
    if (!t->failed) return HX_OK;
    return hx_kernel_fail(err, t->failed, HX1402_MEMORY, "no memory for %lld bytes of scratch", (long long)t->room);
}

/* Bytes for n elements, rounded up so that what lies behind is aligned. */
static inline int64_t slots(int64_t n, int64_t size) { return (n * size + 63) / 64 * 64; }

/* What a workspace query answered, in an element of this type. False when it is more than Fortran can count. */
static inline bool workspace(int type, const void *answer, hx_int *count) {
    double n = type == 0 || type == 2 ? *(const float *)answer : *(const double *)answer;
    if (!(n < INT32_MAX)) return false;
    *count = n < 1 ? 1 : (hx_int)(n + (n > 16777216 ? n / 8388608 : 0)); /* float32 rounds large counts */
    return true;
}
static inline hx_code too_large(const task *t, hx_err *err) {
    return hx_kernel_fail(err, HX_E_OVERFLOW, HX1401_OVERFLOW, "a matrix of %d x %d is too large for LAPACK", t->m, t->n);
}

/* to[j][i] = from[i][j]: rows x columns, of `size` bytes each; `from` has rows of `from_row` elements, `to` of `to_row`. */
static inline void turn(void *to, int64_t to_row, const void *from, int64_t from_row, int64_t rows, int64_t columns, int64_t size) {
#define TURN(T, SIDE, square)                                                                                 \
    for (int64_t i0 = 0; i0 < rows; i0 += SIDE)                                                               \
        for (int64_t j0 = 0; j0 < columns; j0 += SIDE) {                                                      \
            T *t = (T *)to + j0 * to_row + i0;                                                                \
            const T *f = (const T *)from + i0 * from_row + j0;                                                \
            int64_t down = least(rows - i0, SIDE), across = least(columns - j0, SIDE);                        \
            if (down == SIDE && across == SIDE) {                                                             \
                square;                                                                                       \
                continue;                                                                                     \
            }                                                                                                 \
            for (int64_t j = 0; j < across; j++)                                                              \
                for (int64_t i = 0; i < down; i++) t[j * to_row + i] = f[i * from_row + j];                   \
        }
    typedef struct pair { uint64_t v[2]; } pair;
    if (size == 4) {
        TURN(float, HX_LANES_OF(float), hx_turn_floats(t, to_row, f, from_row))
    } else if (size == 8) {
        TURN(double, HX_LANES_OF(double), hx_turn_doubles(t, to_row, f, from_row))
    } else {
        TURN(pair, 4, for (int64_t j = 0; j < 4; j++) for (int64_t i = 0; i < 4; i++) t[j * to_row + i] = f[i * from_row + j])
    }
#undef TURN
}

/* Clears what lies strictly above (or below) the diagonal of a row-major matrix. */
static inline void clear_triangle(void *a, int64_t rows, int64_t columns, int64_t size, bool above) {
    for (int64_t i = 0; i < rows; i++) {
        int64_t from = above ? i + 1 : 0, to = above ? columns : least(i, columns);
        if (to > from) memset((char *)a + (i * columns + from) * size, 0, (size_t)((to - from) * size));
    }
}

static inline void one_element(void *to, int type, double value) {
    float single[2] = {(float)value, 0};
    double wide[2] = {value, 0};
    memcpy(to, type == 0 || type == 2 ? (const void *)single : (const void *)wide, (size_t)(type < 2 ? 4 << type : 8 << (type - 2)));
}

#endif
