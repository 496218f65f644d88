/* Convolutions: forward, gradient of the input (which is also the transposed convolution) and gradient of the
 * weight.
 *
 * float32 and float64 run as implicit products: the source of a block of outputs is copied once with its border and
 * its rows are read in place, shifted by each tap, so that no column matrix is built. 16-bit floats go through
 * float32; integers and complex numbers through plain loops. */
#include <stdatomic.h>
#include <stdlib.h>
#include "conv_plan.h"
#include "gemm.h"

#ifdef HX_ISA_AVX512
/* to[j * pitch + i] = from[i * stride + j] for i < rows (else zero), j < min(n, 16). */
static void transpose_16x16(float *to, int64_t pitch, const float *from, int64_t stride, int64_t rows, int64_t n) {
    __m512 a[16], b[16];
    __mmask16 some = (__mmask16)(n >= 16 ? 0xffff : (1 << n) - 1);
    UNROLL for (int i = 0; i < 16; i++) a[i] = i < rows ? _mm512_maskz_loadu_ps(some, from + i * stride) : _mm512_setzero_ps();
    UNROLL for (int i = 0; i < 16; i += 2) {
        b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
    }
    UNROLL for (int i = 0; i < 16; i += 4) {
        a[i] = (__m512)_mm512_unpacklo_pd((__m512d)b[i], (__m512d)b[i + 2]);
        a[i + 1] = (__m512)_mm512_unpackhi_pd((__m512d)b[i], (__m512d)b[i + 2]);
        a[i + 2] = (__m512)_mm512_unpacklo_pd((__m512d)b[i + 1], (__m512d)b[i + 3]);
        a[i + 3] = (__m512)_mm512_unpackhi_pd((__m512d)b[i + 1], (__m512d)b[i + 3]);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        b[i] = _mm512_shuffle_f32x4(a[i], a[4 + i], 0x88);
        b[4 + i] = _mm512_shuffle_f32x4(a[i], a[4 + i], 0xdd);
        b[8 + i] = _mm512_shuffle_f32x4(a[8 + i], a[12 + i], 0x88);
        b[12 + i] = _mm512_shuffle_f32x4(a[8 + i], a[12 + i], 0xdd);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        a[i] = _mm512_shuffle_f32x4(b[i], b[8 + i], 0x88);
        a[8 + i] = _mm512_shuffle_f32x4(b[i], b[8 + i], 0xdd);
        a[4 + i] = _mm512_shuffle_f32x4(b[4 + i], b[12 + i], 0x88);
        a[12 + i] = _mm512_shuffle_f32x4(b[4 + i], b[12 + i], 0xdd);
    }
    UNROLL for (int i = 0; i < 16; i++)
        if (i < n) _mm512_storeu_ps(to + i * pitch, a[i]);
}
#endif

#define CONV_TYPE float
#define CONV(name) name##_f32
#include "conv_tile.h"
#include "conv_winograd.h"
#undef CONV_TYPE
#undef CONV
#define CONV_TYPE double
#define CONV(name) name##_f64
#include "conv_tile.h"

/* ---- sizes and plans ------------------------------------------------------------------------------------- */

typedef enum conv_kind { FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT } conv_kind;

/* A stride beyond the padded input is never taken; the shortest of these keeps positions within 64 bits. */
static int64_t shorter_stride(const conv_sizes *s, int d) {
    int64_t places = s->in[d] + 2 * s->pad[d] - s->dilation[d] * (s->kernel[d] - 1);
    return at_most(s->stride[d], places > 1 ? places : 1);
}

/* The sizes of a call from the shapes of x, w and y and the attributes stride, padding, dilation, groups. */
static conv_sizes sizes_of(const hx_view *x, const int64_t *w_shape, int n, const hx_view *y, const hx_attr *attr) {
    conv_sizes s = {.batch = x->ndim > n + 1 ? x->shape[0] : 1, .groups = attr[3].v.i, .taps = 1};
    s.cin = x->shape[x->ndim - n - 1] / s.groups;
    s.cout = y->shape[y->ndim - n - 1] / s.groups;
    for (int d = 0; d < 3; d++) {
        int from = d - (3 - n);
        bool given = from >= 0;
        s.in[d] = given ? x->shape[x->ndim - n + from] : 1;
        s.out[d] = given ? y->shape[y->ndim - n + from] : 1;
        s.kernel[d] = given ? w_shape[2 + from] : 1;
        s.stride[d] = given ? attr[0].v.ints[from] : 1;
        s.pad[d] = given ? attr[1].v.ints[from] : 0;
        s.dilation[d] = given ? attr[2].v.ints[from] : 1;
        s.taps *= s.kernel[d];
        s.stride[d] = shorter_stride(&s, d);
    }
    return s;
}

/* A convolution of single points is a product over all positions: one long row. */
static void join_points(conv_sizes *s) {
    for (int d = 0; d < 3; d++)
        if (s->kernel[d] != 1 || s->stride[d] != 1 || s->pad[d] != 0) return;
    s->in[2] *= s->in[1] * s->in[0];
    s->in[0] = s->in[1] = 1;
    memcpy(s->out, s->in, sizeof s->out);
}

/* Lists of taps: `room` holds 4 * taps elements. */
static conv_plan forward_plan(const conv_sizes *s, int64_t *room) {
    conv_plan p = {.batch = s->batch, .groups = s->groups, .kc = s->cin, .m = s->cout, .step = {1, 1, 1},
                   .taps = s->taps, .shift = (int64_t(*)[3])room, .tap = room + 3 * s->taps,
                   .w_group = s->cout * s->cin * s->taps, .w_m = s->cin * s->taps, .w_c = s->taps};
    memcpy(p.src, s->in, sizeof p.src);
    memcpy(p.dst, s->out, sizeof p.dst);
    memcpy(p.count, s->out, sizeof p.count);
    memcpy(p.stride, s->stride, sizeof p.stride);
    int64_t t = 0;
    for (int64_t a = 0; a < s->kernel[0]; a++)
        for (int64_t b = 0; b < s->kernel[1]; b++)
            for (int64_t c = 0; c < s->kernel[2]; c++, t++) {
                int64_t k[3] = {a, b, c};
                for (int d = 0; d < 3; d++) p.shift[t][d] = k[d] * s->dilation[d] - s->pad[d];
                p.tap[t] = t;
            }
    return p;
}

/* The plan for input positions that are `phase` modulo the stride: input i takes tap k of output
 * (i + pad - k * dilation) / stride where that is whole. */
static conv_plan input_plan(const conv_sizes *s, const int64_t phase[3], int64_t *room) {
    conv_plan p = {.batch = s->batch, .groups = s->groups, .kc = s->cout, .m = s->cin, .stride = {1, 1, 1},
                   .shift = (int64_t(*)[3])room, .tap = room + 3 * s->taps,
                   .w_group = s->cout * s->cin * s->taps, .w_m = s->taps, .w_c = s->cin * s->taps};
    for (int d = 0; d < 3; d++) {
        p.src[d] = s->out[d];
        p.dst[d] = s->in[d];
        p.base[d] = phase[d];
        p.step[d] = s->stride[d];
        p.count[d] = phase[d] < s->in[d] ? ceil_div(s->in[d] - phase[d], s->stride[d]) : 0;
    }
    for (int64_t t = 0; t < s->taps; t++) {
        int64_t k[3] = {t / (s->kernel[1] * s->kernel[2]), t / s->kernel[2] % s->kernel[1], t % s->kernel[2]};
        bool whole = true;
        for (int d = 0; d < 3; d++) {
            int64_t at = phase[d] + s->pad[d] - k[d] * s->dilation[d];
            whole = whole && at % s->stride[d] == 0;
            p.shift[p.taps][d] = at / s->stride[d];
        }
        if (whole) p.tap[p.taps++] = t;
    }
    return p;
}

static hx_code run_plan(hx_dtype dtype, const conv_plan *p, const void *src, const void *weight, const void *bias, void *dst) {
    if (dtype == HX_F64) return run_f64(p, src, weight, bias, dst);
    bool done;
    HX_TRY(run_winograd(p, src, weight, bias, dst, &done));
    return done ? HX_OK : run_f32(p, src, weight, bias, dst);
}

/* in: x, w, bias for FORWARD; gradient, w, bias for INPUT_GRADIENT; x, gradient for WEIGHT_GRADIENT. */
static hx_code convolve(conv_kind kind, hx_dtype dtype, conv_sizes s, const void *a, const void *b, const void *bias, void *out) {
    join_points(&s);
    size_t bytes = (size_t)at_least(4 * s.taps, 1) * sizeof(int64_t);
    int64_t *room = hx_pool_alloc(bytes);
    if (!room) return HX_E_MEMORY;
    hx_code code = HX_OK;
    if (kind == INPUT_GRADIENT) {
        int64_t phase[3];
        for (phase[0] = 0; phase[0] < at_most(s.stride[0], s.in[0]); phase[0]++)
            for (phase[1] = 0; phase[1] < at_most(s.stride[1], s.in[1]); phase[1]++)
                for (phase[2] = 0; phase[2] < at_most(s.stride[2], s.in[2]) && !code; phase[2]++) {
                    conv_plan p = input_plan(&s, phase, room);
                    code = run_plan(dtype, &p, a, b, bias, out);
                }
    } else {
        conv_plan p = forward_plan(&s, room);
        if (kind == FORWARD)
            code = run_plan(dtype, &p, a, b, bias, out);
        else
            code = dtype == HX_F64 ? run_weight_f64(&p, a, b, out) : run_weight_f32(&p, a, b, out);
    }
    hx_pool_free(room, bytes);
    return code;
}

/* ---- other types ----------------------------------------------------------------------------------------- */

typedef struct convert_job {
    hx_dtype dtype;
    const void *in;
    void *out;
} convert_job;

static void widen(void *ctx, int64_t begin, int64_t end) {
    const convert_job *job = ctx;
    const uint16_t *in = job->in;
    float *out = job->out;
    if (job->dtype == HX_BF16)
        for (int64_t i = begin; i < end; i++) out[i] = hx_bf16_to_f32(in[i]);
    else
        for (int64_t i = begin; i < end; i++) out[i] = hx_f16_to_f32(in[i]);
}
static void narrow(void *ctx, int64_t begin, int64_t end) {
    const convert_job *job = ctx;
    const float *in = job->in;
    uint16_t *out = job->out;
    if (job->dtype == HX_BF16)
        for (int64_t i = begin; i < end; i++) out[i] = hx_f32_to_bf16(in[i]);
    else
        for (int64_t i = begin; i < end; i++) out[i] = hx_f32_to_f16(in[i]);
}

/* 16-bit floats: everything is converted to float32 first, and the result back. */
static hx_code convolve_half(conv_kind kind, const hx_op_call *call, conv_sizes s) {
    hx_dtype dtype = call->in[0].dtype;
    int64_t sizes[4] = {call->in[0].numel, call->in[1].numel, 0, call->out[0].numel}, total = 1;
    bool bias = call->n_in > 2 && !hx_absent(&call->in[2]);
    if (bias) sizes[2] = call->in[2].numel;
    for (int i = 0; i < 4; i++) total += sizes[i];
    float *room = hx_pool_alloc((size_t)total * sizeof *room), *part[4];
    if (!room) return HX_E_MEMORY;
    float *at = room;
    for (int i = 0; i < 4; at += sizes[i++]) {
        part[i] = at;
        if (i < 3 && sizes[i]) hx_parallel_range(sizes[i], 16384, widen, &(convert_job){dtype, call->in[i].data, at});
    }
    hx_code code = convolve(kind, HX_F32, s, part[kind == WEIGHT_GRADIENT], part[kind != WEIGHT_GRADIENT],
                            bias ? part[2] : NULL, part[3]);
    if (!code && sizes[3]) hx_parallel_range(sizes[3], 16384, narrow, &(convert_job){dtype, part[3], call->out[0].data});
    hx_pool_free(room, (size_t)total * sizeof *room);
    return code;
}

typedef double complex_number __attribute__((vector_size(16)));
static inline complex_number complex_product(complex_number a, complex_number b) {
    return (complex_number){a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]};
}

/* Visits every product of the convolution: adds x * w to y, g * w to the gradient of x, or x * g to that of w. */
#define PLAIN(name, type, product)                                                                            \
    static void name(conv_kind kind, const conv_sizes *s, type *x, type *w, type *y) {                        \
        int64_t in = s->in[0] * s->in[1] * s->in[2], out = s->out[0] * s->out[1] * s->out[2];                 \
        for (int64_t ng = 0; ng < s->batch * s->groups; ng++)                                                 \
            for (int64_t mc = 0; mc < s->cout * s->cin; mc++)                                                 \
                for (int64_t t = 0; t < s->taps; t++) {                                                       \
                    int64_t m = mc / s->cin, c = mc % s->cin;                                                 \
                    type *wt = w + ((ng % s->groups * s->cout + m) * s->cin + c) * s->taps + t;               \
                    int64_t k[3] = {t / (s->kernel[1] * s->kernel[2]), t / s->kernel[2] % s->kernel[1],       \
                                    t % s->kernel[2]};                                                        \
                    for (int64_t o = 0; o < out; o++) {                                                       \
                        int64_t at[3] = {o / (s->out[1] * s->out[2]), o / s->out[2] % s->out[1], o % s->out[2]}; \
                        bool inside = true;                                                                   \
                        for (int d = 0; d < 3; d++) {                                                         \
                            at[d] = at[d] * s->stride[d] + k[d] * s->dilation[d] - s->pad[d];                 \
                            inside = inside && at[d] >= 0 && at[d] < s->in[d];                                \
                        }                                                                                     \
                        if (!inside) continue;                                                                \
                        type *xt = x + (ng * s->cin + c) * in + (at[0] * s->in[1] + at[1]) * s->in[2] + at[2]; \
                        type *yt = y + (ng * s->cout + m) * out + o;                                          \
                        if (kind == FORWARD)                                                                  \
                            *yt += product(*xt, *wt);                                                         \
                        else if (kind == INPUT_GRADIENT)                                                      \
                            *xt += product(*yt, *wt);                                                         \
                        else                                                                                  \
                            *wt += product(*xt, *yt);                                                         \
                    }                                                                                         \
                }                                                                                             \
    }
#define WHOLE_PRODUCT(a, b) ((a) * (b))
PLAIN(plain_whole, uint64_t, WHOLE_PRODUCT)
PLAIN(plain_complex, complex_number, complex_product)

/* One element to and from the wide form: complex128, or an integer modulo 2^64. */
static void read_wide(const hx_view *v, char *wide) {
    size_t size = hx_dtype_size(v->dtype);
    const char *in = v->data;
    for (int64_t i = 0; i < v->numel; i++, in += size) {
        if (v->dtype == HX_C64)
            ((complex_number *)wide)[i] = (complex_number){((const float *)in)[0], ((const float *)in)[1]};
        else if (v->dtype == HX_C128)
            memcpy(wide + 16 * i, in, 16);
        else {
            uint64_t value = 0;
            memcpy(&value, in, size);
            ((uint64_t *)wide)[i] = value;
        }
    }
}
static void write_wide(const hx_view *v, const char *wide) {
    size_t size = hx_dtype_size(v->dtype);
    char *out = v->data;
    for (int64_t i = 0; i < v->numel; i++, out += size) {
        if (v->dtype == HX_C64)
            for (int part = 0; part < 2; part++) ((float *)out)[part] = (float)((const double *)wide)[2 * i + part];
        else if (v->dtype == HX_C128)
            memcpy(out, wide + 16 * i, 16);
        else
            memcpy(out, wide + 8 * i, size);
    }
}

/* Integers wrap modulo their width, so the low bytes of a product modulo 2^64 are the result. */
static hx_code convolve_plain(conv_kind kind, const hx_op_call *call, conv_sizes s) {
    bool is_complex = hx_is_complex(call->in[0].dtype), bias = call->n_in > 2 && !hx_absent(&call->in[2]);
    int64_t size = is_complex ? 16 : 8, result = call->out[0].numel;
    int64_t total = call->in[0].numel + call->in[1].numel + (bias ? call->in[2].numel : 0) + result;
    char *room = hx_pool_alloc((size_t)at_least(total * size, 1));
    if (!room) return HX_E_MEMORY;
    char *a = room, *b = a + call->in[0].numel * size, *out = b + call->in[1].numel * size, *add = out + result * size;
    read_wide(&call->in[0], a);
    read_wide(&call->in[1], b);
    memset(out, 0, (size_t)(result * size));
    if (bias) {
        read_wide(&call->in[2], add);
        int64_t channels = call->in[2].numel, plane = result / at_least(s.batch * channels, 1);
        for (int64_t i = 0; i < result; i++) memcpy(out + i * size, add + i / plane % channels * size, (size_t)size);
    }
    char *x = kind == FORWARD ? a : kind == INPUT_GRADIENT ? out : b;
    char *w = kind == WEIGHT_GRADIENT ? out : b, *y = kind == FORWARD ? out : a;
    if (is_complex)
        plain_complex(kind, &s, (complex_number *)x, (complex_number *)w, (complex_number *)y);
    else
        plain_whole(kind, &s, (uint64_t *)x, (uint64_t *)w, (uint64_t *)y);
    write_wide(&call->out[0], out);
    hx_pool_free(room, (size_t)at_least(total * size, 1));
    return HX_OK;
}

/* ---- kernels --------------------------------------------------------------------------------------------- */

static hx_code run_dtype(conv_kind kind, const hx_op_call *call, const conv_sizes *s) {
    const hx_view *in = call->in;
    const void *bias = call->n_in > 2 && !hx_absent(&in[2]) ? in[2].data : NULL;
    switch (in[0].dtype) {
    case HX_F32:
    case HX_F64:
        if (kind == WEIGHT_GRADIENT) return convolve(kind, in[0].dtype, *s, in[1].data, in[0].data, NULL, call->out[0].data);
        return convolve(kind, in[0].dtype, *s, in[0].data, in[1].data, bias, call->out[0].data);
    case HX_F16:
    case HX_BF16:
        return convolve_half(kind, call, *s);
    default:
        return convolve_plain(kind, call, *s);
    }
}

static hx_code run_kind(conv_kind kind, const hx_op_call *call, const conv_sizes *s, hx_err *err) {
    if (call->out[0].numel == 0) return HX_OK;
    hx_code code = run_dtype(kind, call, s);
    if (code != HX_E_MEMORY) return code;
    return hx_kernel_fail(err, code, 1402, "not enough memory for a working copy of the padded input");
}

/* input, weight, bias; stride, padding, dilation, groups */
HX_KERNEL(k_conv) {
    HX_UNUSED;
    int n = call->in[1].ndim - 2;
    conv_sizes s = sizes_of(&call->in[0], call->in[1].shape, n, &call->out[0], call->attr);
    return run_kind(FORWARD, call, &s, err);
}

/* gradient, weight, bias; size, stride, padding, dilation, groups */
HX_KERNEL(k_conv_backward_input) {
    HX_UNUSED;
    int n = call->in[1].ndim - 2;
    conv_sizes s = sizes_of(&call->out[0], call->in[1].shape, n, &call->in[0], call->attr + 1);
    return run_kind(INPUT_GRADIENT, call, &s, err);
}

/* gradient, input; kernel size, stride, padding, dilation, groups */
HX_KERNEL(k_conv_backward_weight) {
    HX_UNUSED;
    int n = call->out[0].ndim - 2;
    conv_sizes s = sizes_of(&call->in[1], call->out[0].shape, n, &call->in[0], call->attr + 1);
    return run_kind(WEIGHT_GRADIENT, call, &s, err);
}

#define SET (HX_SET_INTEGER | HX_SET_FLOAT | HX_SET_COMPLEX)
HX_KERNELS(conv) = {
    KERNEL_CONTIGUOUS(conv, k_conv, SET),
    KERNEL_CONTIGUOUS(conv1d, k_conv, SET),
    KERNEL_CONTIGUOUS(conv2d, k_conv, SET),
    KERNEL_CONTIGUOUS(conv3d, k_conv, SET),
    KERNEL_CONTIGUOUS(conv_backward_input, k_conv_backward_input, SET),
    KERNEL_CONTIGUOUS(conv_backward_weight, k_conv_backward_weight, SET),
    {0},
};
