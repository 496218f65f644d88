/* Layer and root-mean-square normalisation over the last axes, forward and backward. The input is contiguous:
 * rows of n elements.
 *
 * Moments are taken in two passes over a row that stays in cache: the mean around the row's first element, then the
 * squares around the mean rounded to the row's type; what the rounding left is put back, so a mean far larger than
 * the spread costs no digits. Gradients of weight and bias are added in the row's type over 64 rows, then in double
 * over chunks whose borders depend on the shape alone. */
#include <stdatomic.h>
#include <stdlib.h>
#include "blocks.h"

enum { SUMMED = 64, STREAM_BYTES = 32 << 20 };

typedef struct norm_job {
    const hx_view *x, *grad, *weight, *bias;
    char *out;
    void *mean, *rstd;          /* float, or double for float64; no mean for rms */
    void *scale, *shift;        /* weight and bias in the row's type, or NULL */
    int64_t n, rows, chunk;
    double eps;
    bool centered, stream, full; /* full: gradients of weight and bias too */
    double *parts;              /* a chunk: n of weight, n of bias */
    atomic_bool failed;
} norm_job;

static inline double sum_f(hx_vf v) { return hx_vf_sum(v); }
static inline double sum_d(hx_vd v) { return hx_vd_sum(v); }
#define STORE_D(p, v, fresh) ((void)fresh, hx_vd_store(p, v))
#define STORE_F(p, v, fresh) (fresh ? hx_vf_stream(p, v) : hx_vf_store(p, v))

/* Everything about rows of one type. */
#define NORM_ROWS(T, V, load, store, add_lanes, all)                                                          \
    /* Sums over a row of x - shift, in vectors over blocks of 4096 and in double across them. */             \
    static double sum_##T(const T *x, int64_t n, T shift) {                                                   \
        enum { L = HX_LANE_BYTES / sizeof(T) };                                                               \
        double sum = 0;                                                                                       \
        V m = all(shift);                                                                                     \
        for (int64_t from = 0; from < n; from += HX_BLOCK) {                                                  \
            int64_t i = from, end = n - from < HX_BLOCK ? n : from + HX_BLOCK;                                \
            V a = {0}, b = a, c = a, d = a;                                                                   \
            for (; i + 4 * L <= end; i += 4 * L) {                                                            \
                a += load(x + i) - m;                                                                         \
                b += load(x + i + L) - m;                                                                     \
                c += load(x + i + 2 * L) - m;                                                                 \
                d += load(x + i + 3 * L) - m;                                                                 \
            }                                                                                                 \
            for (; i + L <= end; i += L) a += load(x + i) - m;                                                \
            sum += add_lanes((a + b) + (c + d));                                                              \
            for (; i < end; i++) sum += x[i] - shift;                                                            \
        }                                                                                                     \
        return sum;                                                                                           \
    }                                                                                                         \
    static double squares_##T(const T *x, int64_t n, T center) {                                              \
        enum { L = HX_LANE_BYTES / sizeof(T) };                                                               \
        double sum = 0;                                                                                       \
        int64_t ahead = hx_row_ahead(n * (int64_t)sizeof(T));                                                 \
        V m = all(center);                                                                                    \
        for (int64_t from = 0; from < n; from += HX_BLOCK) {                                                  \
            int64_t i = from, end = n - from < HX_BLOCK ? n : from + HX_BLOCK;                                \
            V a = {0}, b = a, c = a, d = a;                                                                   \
            for (; i + 4 * L <= end; i += 4 * L) {                                                            \
                for (int k = 0; k < 4; k++) hx_prefetch(x + i + k * L, ahead);                                \
                V p = load(x + i) - m, q = load(x + i + L) - m, r = load(x + i + 2 * L) - m,                  \
                  s = load(x + i + 3 * L) - m;                                                                \
                a += p * p;                                                                                   \
                b += q * q;                                                                                   \
                c += r * r;                                                                                   \
                d += s * s;                                                                                   \
            }                                                                                                 \
            for (; i + L <= end; i += L) {                                                                    \
                V p = load(x + i) - m;                                                                        \
                a += p * p;                                                                                   \
            }                                                                                                 \
            sum += add_lanes((a + b) + (c + d));                                                              \
            for (; i < end; i++) sum += (double)((x[i] - center) * (x[i] - center));                          \
        }                                                                                                     \
        return sum;                                                                                           \
    }                                                                                                         \
    static void forward_##T(const norm_job *j, const T *x, T *y, int64_t row) {                               \
        enum { L = HX_LANE_BYTES / sizeof(T) };                                                               \
        const T *w = j->scale, *b = j->shift;                                                                 \
        int64_t n = j->n, i = 0;                                                                              \
        double mean = j->centered ? x[0] + sum_##T(x, n, x[0]) / (double)n : 0;                               \
        T center = (T)mean, off = (T)(mean - (double)center);                                                 \
        double variance = squares_##T(x, n, center) / (double)n - (double)off * (double)off;                  \
        T rstd = (T)(1 / sqrt((variance > 0 || variance != variance ? variance : 0) + j->eps));               \
        if (j->centered) ((T *)j->mean)[row] = center;                                                        \
        ((T *)j->rstd)[row] = rstd;                                                                           \
        V vc = all(center), vo = all(off), vr = all(rstd);                                                    \
        const bool fresh = j->stream && !((uintptr_t)y % sizeof(V));                                          \
        if (w && b)                                                                                           \
            for (; i + L <= n; i += L)                                                                        \
                store(y + i, ((load(x + i) - vc) - vo) * vr * load(w + i) + load(b + i), fresh);              \
        else if (w)                                                                                           \
            for (; i + L <= n; i += L) store(y + i, ((load(x + i) - vc) - vo) * vr * load(w + i), fresh);     \
        else                                                                                                  \
            for (; i + L <= n; i += L)                                                                        \
                store(y + i, ((load(x + i) - vc) - vo) * vr + (b ? load(b + i) : (V){0}), fresh);             \
        for (; i < n; i++) y[i] = ((x[i] - center) - off) * rstd * (w ? w[i] : 1) + (b ? b[i] : 0);           \
    }                                                                                                         \
    /* dx = rstd (gw - mean(gw) - xhat mean(gw xhat)); `dw` and `db` take their share of the row. */          \
    static void backward_##T(const norm_job *j, const T *x, const T *g, T *y, T *dw, T *db, int64_t row) {    \
        enum { L = HX_LANE_BYTES / sizeof(T) };                                                               \
        static const T one = 1;                                                                               \
        const T *w = j->scale;                                                                                \
        int64_t n = j->n;                                                                                     \
        T center = j->centered ? ((const T *)j->mean)[row] : 0, rstd = ((const T *)j->rstd)[row];             \
        V vc = all(center), vr = all(rstd), v1 = all(one);                                                    \
        double sum_g = 0, sum_gx = 0;                                                                         \
        for (int64_t from = 0; from < n; from += HX_BLOCK) {                                                  \
            int64_t i = from, end = n - from < HX_BLOCK ? n : from + HX_BLOCK;                                \
            V a = {0}, b = a;                                                                                 \
            if (dw)                                                                                           \
                for (; i + L <= end; i += L) {                                                                \
                    V xhat = (load(x + i) - vc) * vr, gi = load(g + i), gw = w ? gi * load(w + i) : gi;       \
                    a += gw;                                                                                  \
                    b += gw * xhat;                                                                           \
                    store(dw + i, load(dw + i) + gi * xhat, false);                                           \
                    store(db + i, load(db + i) + gi, false);                                                  \
                }                                                                                             \
            else                                                                                              \
                for (; i + L <= end; i += L) {                                                                \
                    V gw = load(g + i) * (w ? load(w + i) : v1);                                              \
                    a += gw;                                                                                  \
                    b += gw * ((load(x + i) - vc) * vr);                                                      \
                }                                                                                             \
            sum_g += add_lanes(a);                                                                            \
            sum_gx += add_lanes(b);                                                                           \
            for (; i < end; i++) {                                                                            \
                T xhat = (x[i] - center) * rstd, gw = w ? g[i] * w[i] : g[i];                                 \
                sum_g += gw;                                                                                  \
                sum_gx += gw * xhat;                                                                          \
                if (dw) dw[i] += g[i] * xhat, db[i] += g[i];                                                  \
            }                                                                                                 \
        }                                                                                                     \
        T mean_g = j->centered ? (T)(sum_g / (double)n) : 0, mean_gx = (T)(sum_gx / (double)n);               \
        V vg = all(mean_g), vgx = all(mean_gx);                                                               \
        const bool fresh = j->stream && !((uintptr_t)y % sizeof(V));                                          \
        int64_t i = 0;                                                                                        \
        for (; i + L <= n; i += L) {                                                                          \
            V gw = load(g + i) * (w ? load(w + i) : v1);                                                      \
            store(y + i, vr * (gw - vg - (load(x + i) - vc) * vr * vgx), fresh);                              \
        }                                                                                                     \
        for (; i < n; i++)                                                                                    \
            y[i] = rstd * ((w ? g[i] * w[i] : g[i]) - mean_g - (x[i] - center) * rstd * mean_gx);             \
    }
NORM_ROWS(float, hx_vf, hx_vf_load, STORE_F, sum_f, hx_vf_all)
NORM_ROWS(double, hx_vd, hx_vd_load, STORE_D, sum_d, hx_vd_all)

/* ---- chunks of rows ---- */

static void give_up(norm_job *j) { atomic_store(&j->failed, true); }

static void forward_rows(void *ctx, int64_t begin, int64_t end) {
    norm_job *j = ctx;
    int64_t n = j->n;
    if (j->x->dtype == HX_F64) {
        for (int64_t r = begin; r < end; r++)
            forward_double(j, (const double *)j->x->data + r * n, (double *)j->out + r * n, r);
        return;
    }
    if (j->x->dtype == HX_F32) {
        for (int64_t r = begin; r < end; r++)
            forward_float(j, (const float *)j->x->data + r * n, (float *)j->out + r * n, r);
        if (j->stream) hx_stream_fence();
        return;
    }
    float *room = hx_pool_alloc((size_t)n * 8);
    if (!room) {
        give_up(j);
        return;
    }
    for (int64_t r = begin; r < end; r++) {
        const float *x = hx_read_f32((const char *)j->x->data + r * n * 2, j->x->dtype, 2, n, room);
        forward_float(j, x, room + n, r);
        hx_write_f32(j->out + r * n * 2, j->x->dtype, 2, n, room + n);
    }
    hx_pool_free(room, (size_t)n * 8);
}

#define ADD_TO(T)                                                                                             \
    static void add_to_##T(double *restrict to, T *restrict from, int64_t n) {                                \
        for (int64_t i = 0; i < n; i++) to[i] += from[i];                                                     \
        memset(from, 0, (size_t)n * sizeof(T));                                                               \
    }
ADD_TO(float)
ADD_TO(double)

/* Rows [begin, end) of one chunk; weight and bias gradients go to its part. */
static void backward_chunk(void *ctx, int64_t k) {
    norm_job *j = ctx;
    int64_t n = j->n, begin = k * j->chunk, end = begin + j->chunk < j->rows ? begin + j->chunk : j->rows;
    int dtype = j->x->dtype;
    bool wide = dtype == HX_F64, half = dtype != HX_F64 && dtype != HX_F32;
    size_t width = wide ? 8 : 4, bytes = (size_t)n * width * 5;
    char *room = j->full || half ? hx_pool_alloc(bytes) : NULL;
    if (!room && (j->full || half)) {
        give_up(j);
        return;
    }
    double *part = j->full ? j->parts + 2 * k * n : NULL;
    void *sums = j->full ? room : NULL;
    if (sums) {
        memset(sums, 0, (size_t)n * 2 * width);
        memset(part, 0, (size_t)n * 16);
    }
    const char *px = j->x->data, *pg = j->grad->data;
    for (int64_t r = begin; r < end; r++) {
        if (wide) {
            double *dw = sums;
            backward_double(j, (const double *)px + r * n, (const double *)pg + r * n, (double *)j->out + r * n, dw,
                            dw ? dw + n : NULL, r);
        } else {
            float *dw = sums, *f = (float *)room;
            int64_t size = half ? 2 : 4;
            const float *x = hx_read_f32(px + r * n * size, dtype, size, n, half ? f + 2 * n : NULL);
            const float *g = hx_read_f32(pg + r * n * size, dtype, size, n, half ? f + 3 * n : NULL);
            float *y = half ? f + 4 * n : (float *)j->out + r * n;
            backward_float(j, x, g, y, dw, dw ? dw + n : NULL, r);
            if (half) hx_write_f32(j->out + r * n * 2, dtype, 2, n, y);
        }
        if (sums && (r + 1 == end || (r - begin) % SUMMED == SUMMED - 1)) {
            if (wide) add_to_double(part, sums, 2 * n);
            else add_to_float(part, sums, 2 * n);
        }
    }
    if (room) hx_pool_free(room, bytes);
    if (j->stream) hx_stream_fence();
}

/* ---- calls ---- */

/* A row of weights in the row's type: in place, or converted into `room`. */
static void *row_of(const hx_view *v, bool wide, void *room, int64_t n) {
    if (!v || hx_absent(v)) return NULL;
    if (wide) return v->data;
    return (void *)hx_read_f32(v->data, v->dtype, (int64_t)hx_dtype_size((hx_dtype)v->dtype), n, room);
}

static void measure(norm_job *j, const hx_attr *shape) {
    j->n = 1;
    for (uint32_t i = 0; i < shape->count && j->x->numel; i++) j->n *= shape->v.ints[i];
    if (!j->x->numel && j->weight && !hx_absent(j->weight)) j->n = j->weight->numel;
    j->rows = j->x->numel ? j->x->numel / j->n : 0;
    j->stream = j->x->dtype == HX_F32 && j->x->numel * 4 >= STREAM_BYTES;
}

static hx_code no_memory(hx_err *err) {
    return hx_kernel_fail(err, HX_E_MEMORY, HX1402_MEMORY, "no memory for the work rows of the normalisation");
}

static hx_code forward(norm_job *j, const hx_op_call *call, hx_err *err) {
    j->out = call->out[0].data;
    if (!j->x->numel) return HX_OK;
    bool wide = j->x->dtype == HX_F64;
    float *room = hx_pool_alloc((size_t)j->n * 8);
    if (!room) return no_memory(err);
    j->scale = row_of(j->weight, wide, room, j->n);
    j->shift = row_of(j->bias, wide, room + j->n, j->n);
    hx_parallel_range(j->rows, j->n < 16384 ? 16384 / j->n : 1, forward_rows, j);
    hx_pool_free(room, (size_t)j->n * 8);
    return atomic_load(&j->failed) ? no_memory(err) : HX_OK;
}

static void write_sums(const norm_job *j, int64_t chunks, int64_t from, const hx_view *to) {
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)to->dtype);
    double sum[256];
    for (int64_t at = 0; at < j->n; at += 256) {
        int64_t n = j->n - at < 256 ? j->n - at : 256;
        memset(sum, 0, sizeof sum);
        for (int64_t k = 0; k < chunks; k++) {
            const double *part = j->parts + 2 * k * j->n + from + at;
            for (int64_t i = 0; i < n; i++) sum[i] += part[i];
        }
        hx_write_f64((char *)to->data + at * size, to->dtype, size, n, sum);
    }
}

static hx_code backward(norm_job *j, const hx_op_call *call, hx_err *err) {
    j->out = call->out[0].data;
    j->full = call->n_out > 1;
    if (!j->x->numel) {
        for (uint32_t o = 1; o < call->n_out; o++) write_sums(j, 0, 0, &call->out[o]);
        return HX_OK;
    }
    j->chunk = SUMMED;
    while (j->chunk * 64 < j->rows) j->chunk += SUMMED;
    if (!j->full && j->n * j->chunk > 65536) j->chunk = j->n < 65536 ? 65536 / j->n : 1;
    int64_t chunks = (j->rows + j->chunk - 1) / j->chunk;
    size_t row_bytes = (size_t)j->n * 4, bytes = row_bytes + (j->full ? (size_t)(chunks * j->n) * 16 : 0);
    char *room = hx_pool_alloc(bytes + 64);
    if (!room) return no_memory(err);
    j->parts = (double *)(room + (row_bytes + 63) / 64 * 64);
    j->scale = row_of(j->weight, j->x->dtype == HX_F64, room, j->n);
    hx_parallel(chunks, backward_chunk, j);
    bool failed = atomic_load(&j->failed);
    for (uint32_t o = 1; o < call->n_out && !failed; o++)
        write_sums(j, chunks, o == 2 ? j->n : 0, &call->out[o]);
    hx_pool_free(room, bytes + 64);
    return failed ? no_memory(err) : HX_OK;
}

/* in: input, weight, bias; attr: normalized_shape, eps; out: output, mean, rstd */
HX_KERNEL(k_layer_norm) {
    HX_UNUSED;
    norm_job j = {.x = &call->in[0], .weight = &call->in[1], .bias = &call->in[2], .mean = call->out[1].data,
                  .rstd = call->out[2].data, .eps = call->attr[1].v.f, .centered = true};
    measure(&j, &call->attr[0]);
    return forward(&j, call, err);
}

/* in: input, weight; attr: normalized_shape, eps; out: output, rstd */
HX_KERNEL(k_rms_norm) {
    HX_UNUSED;
    norm_job j = {.x = &call->in[0], .weight = &call->in[1], .rstd = call->out[1].data, .eps = call->attr[1].v.f};
    measure(&j, &call->attr[0]);
    return forward(&j, call, err);
}

/* in: gradient, input, mean, rstd, weight; attr: normalized_shape, eps; out: of input, weight, bias */
HX_KERNEL(k_layer_norm_backward) {
    HX_UNUSED;
    norm_job j = {.grad = &call->in[0], .x = &call->in[1], .mean = call->in[2].data, .rstd = call->in[3].data,
                  .weight = &call->in[4], .centered = true};
    measure(&j, &call->attr[0]);
    return backward(&j, call, err);
}

/* in: gradient, input, rstd, weight; attr: normalized_shape, eps; out: of input, weight */
HX_KERNEL(k_rms_norm_backward) {
    HX_UNUSED;
    norm_job j = {.grad = &call->in[0], .x = &call->in[1], .rstd = call->in[2].data, .weight = &call->in[3]};
    measure(&j, &call->attr[0]);
    return backward(&j, call, err);
}

HX_KERNELS(norm) = {
    KERNEL_CONTIGUOUS(native_layer_norm, k_layer_norm, HX_SET_FLOAT),
    KERNEL_CONTIGUOUS(native_rms_norm, k_rms_norm, HX_SET_FLOAT),
    KERNEL_CONTIGUOUS(layer_norm_backward, k_layer_norm_backward, HX_SET_FLOAT),
    KERNEL_CONTIGUOUS(rms_norm_backward, k_rms_norm_backward, HX_SET_FLOAT),
    {0}};
