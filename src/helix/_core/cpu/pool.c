/* Pooling over one to three spatial axes: maxima with their places, averages, and gradients of both. Work is split
 * by planes, one image channel each. */
#include <stdatomic.h>
#include "cpu.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* One spatial axis. An adaptive window o covers [floor(o * in / out), ceil((o + 1) * in / out)). */
typedef struct pool_axis {
    int64_t in, out, kernel, stride, pad, dilation;
    bool adaptive;
} pool_axis;

typedef struct pool_job {
    pool_axis axis[3];
    const hx_view *in, *out, *at;
    int64_t planes, plane, out_size, grain, divisor;
    bool indices, include_pad;
    atomic_bool failed;
} pool_job;

typedef struct pool_window {
    int64_t begin, end, step;
} pool_window;

/* The positions of window o that lie inside the input. */
static inline pool_window pool_window_at(const pool_axis *a, int64_t o) {
    if (a->adaptive) return (pool_window){o * a->in / a->out, ((o + 1) * a->in + a->out - 1) / a->out, 1};
    pool_window w = {o * a->stride - a->pad, o * a->stride - a->pad + (a->kernel - 1) * a->dilation + 1, a->dilation};
    if (w.begin < 0) w.begin += (-w.begin + w.step - 1) / w.step * w.step;
    if (w.end > a->in) w.end = a->in;
    return w;
}

/* What an average divides by along one axis; padding counts up to the padded size, as in torch. */
static inline int64_t pool_count(const pool_axis *a, int64_t o, bool include_pad) {
    pool_window w = pool_window_at(a, o);
    if (a->adaptive || !include_pad) return w.end - w.begin;
    int64_t begin = o * a->stride - a->pad, end = begin + a->kernel;
    return (end < a->in + a->pad ? end : a->in + a->pad) - begin;
}

/* A row with a border on both sides that holds every window. */
static inline int64_t pool_row_width(const pool_axis *a) {
    if (a->adaptive) return a->in;
    int64_t reach = (a->out - 1) * a->stride + (a->kernel - 1) * a->dilation + 1;
    return reach > a->in + a->pad ? reach : a->in + a->pad;
}

/* Do the windows of merged rows, laid one after the other, follow each other without a gap? */
static inline bool pool_is_seamless(const pool_axis *a, int64_t width) {
    return !a->adaptive && a->pad == 0 && a->kernel == a->stride && a->dilation == 1 && width == a->out * a->stride;
}

/* Does every place belong to one window at most, and every window have all its places? */
static inline bool pool_is_apart(const pool_axis *a) {
    return !a->adaptive && a->pad == 0 && a->kernel == a->stride && a->dilation == 1 && a->out * a->kernel <= a->in;
}

/* One row of a window: its first element, and that element's place in the plane. */
typedef struct pool_row {
    const void *data;
    int64_t base;
} pool_row;

#define POOL_HELD 8

/* block(lanes, from) for n elements in blocks of a fixed width, which compilers make vectors of. The last one overlaps the
 * one before it, so what is done twice must give the same; nothing beyond n is touched. */
#define POOL_EACH_BLOCK(n, lanes, block)                                                                      \
    for (int64_t j_ = 0; j_ < (n); j_ += lanes) block(lanes, j_ + lanes <= (n) ? j_ : (n) - lanes)
#define POOL_BLOCKS(n, block)                                                                                 \
    do {                                                                                                      \
        if ((n) >= 16)                                                                                        \
            POOL_EACH_BLOCK(n, 16, block);                                                                    \
        else if ((n) >= 8)                                                                                    \
            POOL_EACH_BLOCK(n, 8, block);                                                                     \
        else if ((n) >= 4)                                                                                    \
            POOL_EACH_BLOCK(n, 4, block);                                                                     \
        else                                                                                                  \
            POOL_EACH_BLOCK(n, 1, block);                                                                     \
    } while (0)

static inline int64_t pool_window_size(const pool_axis *a) {
    return a->adaptive ? a->in / a->out + 2 : a->kernel < a->in ? a->kernel : a->in;
}
/* Room for the rows of any window, and for looking past them. */
static inline int64_t pool_most_rows(const pool_axis *a) { return pool_window_size(&a[0]) * pool_window_size(&a[1]) + 3; }

/* The rows of the window of line `line` of the result. */
static inline int64_t pool_rows(const pool_axis *a, int64_t line, const void *plane, size_t size, pool_row *rows) {
    int64_t z = a[0].out == 1 ? 0 : line / a[1].out;
    pool_window depth = pool_window_at(&a[0], z), height = pool_window_at(&a[1], line - z * a[1].out);
    int64_t n = 0;
    for (int64_t d = depth.begin; d < depth.end; d += depth.step)
        for (int64_t h = height.begin; h < height.end; h += height.step) {
            int64_t base = (d * a[1].in + h) * a[2].in;
            rows[n++] = (pool_row){(const char *)plane + (size_t)base * size, base};
        }
    return n;
}

/* ---- conversions: halves work as float32, integers as int64 ---------------------------------------------- */

static const float *read_f32(const hx_view *v, int64_t at, int64_t n, float *room) {
    if (v->dtype == HX_F32) return (const float *)v->data + at;
    const uint16_t *in = (const uint16_t *)v->data + at;
    for (int64_t i = 0; i < n; i++) room[i] = v->dtype == HX_BF16 ? hx_bf16_to_f32(in[i]) : hx_f16_to_f32(in[i]);
    return room;
}
static void write_f32(const hx_view *v, int64_t at, int64_t n, const float *in) {
    if (v->dtype == HX_F32) {
        if ((float *)v->data + at != in) memcpy((float *)v->data + at, in, (size_t)n * sizeof *in);
        return;
    }
    uint16_t *out = (uint16_t *)v->data + at;
    for (int64_t i = 0; i < n; i++) out[i] = v->dtype == HX_BF16 ? hx_f32_to_bf16(in[i]) : hx_f32_to_f16(in[i]);
}
static float *target_f32(const hx_view *v, int64_t at, float *room) {
    return v->dtype == HX_F32 ? (float *)v->data + at : room;
}
static const double *read_f64(const hx_view *v, int64_t at, int64_t n, double *room) {
    (void)n, (void)room;
    return (const double *)v->data + at;
}
static void write_f64(const hx_view *v, int64_t at, int64_t n, const double *in) {
    if ((double *)v->data + at != in) memcpy((double *)v->data + at, in, (size_t)n * sizeof *in);
}
static double *target_f64(const hx_view *v, int64_t at, double *room) {
    (void)room;
    return (double *)v->data + at;
}

#define EACH_INTEGER(X)                                                                                       \
    X(HX_I8, int8_t) X(HX_I16, int16_t) X(HX_I32, int32_t) X(HX_I64, int64_t) X(HX_U8, uint8_t) X(HX_U16, uint16_t) \
    X(HX_U32, uint32_t)
/* uint64 keeps its order as int64 with the top bit turned. */
static const int64_t *read_i64(const hx_view *v, int64_t at, int64_t n, int64_t *room) {
    switch (v->dtype) {
#define CASE(d, type)                                                                                         \
    case d:                                                                                                   \
        for (int64_t i = 0; i < n; i++) room[i] = ((const type *)v->data)[at + i];                            \
        break;
        EACH_INTEGER(CASE)
#undef CASE
    default:
        for (int64_t i = 0; i < n; i++) room[i] = (int64_t)(((const uint64_t *)v->data)[at + i] ^ (1ull << 63));
    }
    return room;
}
static void write_i64(const hx_view *v, int64_t at, int64_t n, const int64_t *in) {
    switch (v->dtype) {
#define CASE(d, type)                                                                                         \
    case d:                                                                                                   \
        for (int64_t i = 0; i < n; i++) ((type *)v->data)[at + i] = (type)in[i];                              \
        break;
        EACH_INTEGER(CASE)
#undef CASE
    default:
        for (int64_t i = 0; i < n; i++) ((uint64_t *)v->data)[at + i] = (uint64_t)in[i] ^ (1ull << 63);
    }
}

static int64_t *target_i64(const hx_view *v, int64_t at, int64_t *room) {
    (void)v, (void)at;
    return room;
}

#define POOL_SUMS
#define POOL_TYPE float
#define POOL(name) name##_f32
#define POOL_LOWEST (-INFINITY)
#define POOL_NAN(v) ((v) != (v))
#define POOL_READ read_f32
#define POOL_WRITE write_f32
#define POOL_TARGET target_f32
#include "pool_tile.h"
#undef POOL_TYPE
#undef POOL
#undef POOL_READ
#undef POOL_WRITE
#undef POOL_TARGET
#define POOL_TYPE double
#define POOL(name) name##_f64
#define POOL_READ read_f64
#define POOL_WRITE write_f64
#define POOL_TARGET target_f64
#include "pool_tile.h"
#undef POOL_SUMS
#undef POOL_TYPE
#undef POOL
#undef POOL_LOWEST
#undef POOL_NAN
#undef POOL_READ
#undef POOL_WRITE
#undef POOL_TARGET
#define POOL_TYPE int64_t
#define POOL(name) name##_i64
#define POOL_LOWEST INT64_MIN
#define POOL_NAN(v) 0
#define POOL_READ read_i64
#define POOL_WRITE write_i64
#define POOL_TARGET target_i64
#include "pool_tile.h"

/* ---- kernels --------------------------------------------------------------------------------------------- */

/* A product that leaves 64 bits belongs to an empty tensor. */
static int64_t product_of(int64_t a, int64_t b) {
    int64_t product;
    return hx_mul_ok(a, b, &product) ? product : 0;
}

/* Axes from the spatial sizes of input and output; the attributes kernel, stride, padding stand at `at` (-1: adaptive). */
static void set_axes(pool_job *job, const int64_t *in, const int64_t *out, int n, const hx_attr *attr, int at, int dilation) {
    job->plane = job->out_size = 1;
    for (int d = 0; d < 3; d++) {
        int i = d - (3 - n);
        pool_axis *a = &job->axis[d];
        *a = (pool_axis){1, 1, 1, 1, 0, 1, false};
        if (i < 0) continue;
        a->in = in[i];
        a->out = out[i];
        job->plane = product_of(job->plane, a->in);
        job->out_size = product_of(job->out_size, a->out);
        a->adaptive = at < 0;
        if (at < 0) continue;
        a->kernel = attr[at].v.ints[i];
        a->stride = attr[at + 1].v.ints[i];
        a->pad = attr[at + 2].v.ints[i];
        if (dilation >= 0) a->dilation = attr[dilation].v.ints[i];
    }
    /* a window over everything is one long row */
    if (at < 0 && job->out_size == 1) {
        job->axis[2].in = job->plane;
        job->axis[0].in = job->axis[1].in = 1;
    }
}

static hx_code run_planes(pool_job *job, hx_body body) {
    atomic_init(&job->failed, false);
    if (job->planes == 0 || job->out_size == 0) return HX_OK;
    job->grain = hx_grain((job->plane + job->out_size) * 4);
    hx_parallel((job->planes + job->grain - 1) / job->grain, body, job);
    return atomic_load(&job->failed) ? HX_E_MEMORY : HX_OK;
}

static hx_code run_max(const hx_op_call *call, int at, int dilation, int n) {
    const hx_view *x = &call->in[0], *y = &call->out[0];
    pool_job job = {.in = x, .out = y, .at = &call->out[1], .indices = call->n_out > 1};
    set_axes(&job, x->shape + x->ndim - n, y->shape + y->ndim - n, n, call->attr, at, dilation);
    job.planes = job.out_size ? y->numel / job.out_size : 0;
    return run_planes(&job, x->dtype == HX_F64 ? max_planes_f64 : hx_is_integral(x->dtype) ? max_planes_i64 : max_planes_f32);
}

/* input; kernel_size, stride, padding, dilation, ceil_mode, indices */
HX_KERNEL(k_max_pool) {
    HX_UNUSED;
    return run_max(call, 0, 3, (int)call->attr[0].count);
}
/* input; output_size, indices */
HX_KERNEL(k_adaptive_max_pool) {
    HX_UNUSED;
    return run_max(call, -1, -1, (int)call->attr[0].count);
}

/* gradient, indices; size */
HX_KERNEL(k_max_pool_backward) {
    HX_UNUSED;
    const hx_view *g = &call->in[0], *out = &call->out[0];
    int n = (int)call->attr[0].count;
    pool_job job = {.in = g, .out = out, .at = &call->in[1]};
    set_axes(&job, out->shape + out->ndim - n, g->shape + g->ndim - n, n, call->attr, -1, -1);
    if (job.out_size == 0 || g->numel == 0) {
        memset(out->data, 0, (size_t)out->numel * hx_dtype_size(out->dtype));
        return HX_OK;
    }
    job.planes = g->numel / job.out_size;
    return run_planes(&job, g->dtype == HX_F64 ? max_gradient_f64 : max_gradient_f32);
}

static hx_code run_average(const hx_op_call *call, int at, bool include_pad, int64_t divisor, int n) {
    const hx_view *x = &call->in[0], *y = &call->out[0];
    pool_job job = {.in = x, .out = y, .include_pad = include_pad, .divisor = divisor};
    set_axes(&job, x->shape + x->ndim - n, y->shape + y->ndim - n, n, call->attr, at, -1);
    job.planes = job.out_size ? y->numel / job.out_size : 0;
    if (at < 0 && job.out_size == 1) return run_planes(&job, x->dtype == HX_F64 ? mean_planes_f64 : mean_planes_f32);
    return run_planes(&job, x->dtype == HX_F64 ? average_planes_f64 : average_planes_f32);
}

static hx_code run_average_gradient(const hx_op_call *call, int at, bool include_pad, int64_t divisor, int n) {
    const hx_view *g = &call->in[0], *out = &call->out[0];
    pool_job job = {.in = g, .out = out, .include_pad = include_pad, .divisor = divisor};
    set_axes(&job, out->shape + out->ndim - n, g->shape + g->ndim - n, n, call->attr, at, -1);
    if (job.out_size == 0 || g->numel == 0) {
        memset(out->data, 0, (size_t)out->numel * hx_dtype_size(out->dtype));
        return HX_OK;
    }
    job.planes = g->numel / job.out_size;
    return run_planes(&job, g->dtype == HX_F64 ? average_gradient_f64 : average_gradient_f32);
}

static int64_t divisor_of(const hx_attr *a) { return a->kind == HX_A_NONE ? 0 : a->v.i; }

/* input; kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override */
HX_KERNEL(k_avg_pool) {
    HX_UNUSED;
    const hx_attr *a = call->attr;
    return run_average(call, 0, a[4].v.i != 0, divisor_of(&a[5]), (int)a[0].count);
}
/* gradient; size, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override */
HX_KERNEL(k_avg_pool_backward) {
    HX_UNUSED;
    const hx_attr *a = call->attr;
    return run_average_gradient(call, 1, a[5].v.i != 0, divisor_of(&a[6]), (int)a[0].count);
}
/* input; output_size */
HX_KERNEL(k_adaptive_avg_pool) {
    HX_UNUSED;
    return run_average(call, -1, false, 0, (int)call->attr[0].count);
}
/* gradient; size */
HX_KERNEL(k_adaptive_avg_pool_backward) {
    HX_UNUSED;
    return run_average_gradient(call, -1, false, 0, (int)call->attr[0].count);
}

HX_KERNELS(pool) = {
    KERNEL_CONTIGUOUS(max_pool, k_max_pool, HX_SET_INTEGER | HX_SET_FLOAT),
    KERNEL_CONTIGUOUS(adaptive_max_pool, k_adaptive_max_pool, HX_SET_INTEGER | HX_SET_FLOAT),
    KERNEL_CONTIGUOUS(max_pool_backward, k_max_pool_backward, HX_SET_FLOAT),
    KERNEL_CONTIGUOUS(avg_pool, k_avg_pool, HX_SET_FLOAT),
    KERNEL_CONTIGUOUS(avg_pool_backward, k_avg_pool_backward, HX_SET_FLOAT),
    KERNEL_CONTIGUOUS(adaptive_avg_pool, k_adaptive_avg_pool, HX_SET_FLOAT),
    KERNEL_CONTIGUOUS(adaptive_avg_pool_backward, k_adaptive_avg_pool_backward, HX_SET_FLOAT),
    {0},
};
