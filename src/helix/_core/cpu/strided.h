/* Moving elements between strided and dense memory: what the kernels of cpu/index.c, cpu/scatter.c and cpu/join.c
 * share. Strides are in elements; nothing here looks at values, only at their size. */
#ifndef HX_CPU_STRIDED_H
#define HX_CPU_STRIDED_H

#include <stdatomic.h>
#include "cpu.h"

typedef struct hx_wide { uint64_t part[2]; } hx_wide; /* complex128 */

/* Axes with the strides of two operands. */
typedef struct hx_grid {
    int n;
    int64_t shape[HX_MAX_RANK], a[HX_MAX_RANK], b[HX_MAX_RANK];
} hx_grid;

static inline void hx_grid_push(hx_grid *x, int64_t size, int64_t a, int64_t b) {
    x->shape[x->n] = size;
    x->a[x->n] = a;
    x->b[x->n++] = b;
}

static inline int64_t hx_grid_numel(const hx_grid *x) {
    int64_t n = 1;
    for (int i = 0; i < x->n; i++) n *= x->shape[i];
    return n;
}

/* Merges neighbours that both operands step through evenly, and drops axes of size 1. At least one axis is left. */
static inline void hx_grid_merge(hx_grid *x) {
    int kept = 0;
    for (int i = 0; i < x->n; i++) {
        if (x->shape[i] == 1) continue;
        if (kept && x->a[kept - 1] == x->shape[i] * x->a[i] && x->b[kept - 1] == x->shape[i] * x->b[i]) {
            x->shape[kept - 1] *= x->shape[i];
            x->a[kept - 1] = x->a[i];
            x->b[kept - 1] = x->b[i];
            continue;
        }
        x->shape[kept] = x->shape[i];
        x->a[kept] = x->a[i];
        x->b[kept++] = x->b[i];
    }
    if (kept == 0) {
        x->shape[0] = 1;
        x->a[0] = x->b[0] = 1;
        kept = 1;
    }
    x->n = kept;
}

/* Offsets of the linear position i. */
static inline void hx_grid_at(const hx_grid *x, int n, int64_t i, int64_t *a, int64_t *b) {
    *a = *b = 0;
    for (int k = n - 1; k >= 0; k--) {
        int64_t at = i % x->shape[k];
        i /= x->shape[k];
        *a += at * x->a[k];
        *b += at * x->b[k];
    }
}

/* n elements of `size` bytes from s to d; steps in elements. */
static inline void hx_copy_run(char *d, int64_t d_step, const char *s, int64_t s_step, int64_t n, size_t size) {
    if (d_step == 1 && s_step == 1) {
        memcpy(d, s, (size_t)n * size);
        return;
    }
    if (n <= 0) return;
#define HX_STEPS(T)                                                                                           \
    {                                                                                                         \
        T *to = (T *)d;                                                                                       \
        const T *from = (const T *)s;                                                                         \
        if (s_step == 0 && d_step == 1) {                                                                     \
            const T value = *from;                                                                            \
            for (int64_t i = 0; i < n; i++) to[i] = value;                                                    \
            break;                                                                                            \
        }                                                                                                     \
        for (int64_t i = 0; i < n; i++) to[i * d_step] = from[i * s_step];                                    \
        break;                                                                                                \
    }
    switch (size) {
    case 1: HX_STEPS(uint8_t)
    case 2: HX_STEPS(uint16_t)
    case 4: HX_STEPS(uint32_t)
    case 8: HX_STEPS(uint64_t)
    default: HX_STEPS(hx_wide)
    }
#undef HX_STEPS
}

/* All elements of merged axes from b's memory to a's: rows [begin, end) of all axes but the last. */
static inline int64_t hx_grid_rows(const hx_grid *x) {
    int64_t rows = 1;
    for (int k = 0; k < x->n - 1; k++) rows *= x->shape[k];
    return rows;
}
static inline void hx_copy_rows(char *a, const char *b, const hx_grid *x, size_t size, int64_t begin, int64_t end) {
    int last = x->n - 1;
    int64_t a_step = last ? x->a[last - 1] * (int64_t)size : 0, b_step = last ? x->b[last - 1] * (int64_t)size : 0;
    int64_t length = last ? x->shape[last - 1] : 1;
    for (int64_t r = begin; r < end;) {
        int64_t at, bt, stop = r - r % length + length;
        hx_grid_at(x, last, r, &at, &bt);
        char *to = a + at * (int64_t)size;
        const char *from = b + bt * (int64_t)size;
        for (stop = stop < end ? stop : end; r < stop; r++, to += a_step, from += b_step)
            hx_copy_run(to, x->a[last], from, x->b[last], x->shape[last], size);
    }
}
static inline void hx_copy_grid(char *a, const char *b, const hx_grid *x, size_t size) {
    if (x->shape[x->n - 1]) hx_copy_rows(a, b, x, size, 0, hx_grid_rows(x));
}

/* Large copies and fills in parallel pieces. */
typedef struct hx_bytes_job { char *to; const char *from; } hx_bytes_job;
static inline void hx_bytes_body(void *ctx, int64_t begin, int64_t end) {
    hx_bytes_job *j = ctx;
    if (j->from)
        memcpy(j->to + begin, j->from + begin, (size_t)(end - begin));
    else
        memset(j->to + begin, 0, (size_t)(end - begin));
}
static inline void hx_move_bytes(void *to, const void *from, int64_t nbytes) {
    hx_bytes_job j = {to, from};
    if (nbytes <= HX_BLOCKING_BYTES) {
        if (nbytes > 0) hx_bytes_body(&j, 0, nbytes);
    } else
        hx_parallel_range(nbytes, 1 << 17, hx_bytes_body, &j);
}

/* The values of a view into the memory of another one of the same shape. */
static inline void hx_copy_view(const hx_view *to, const hx_view *from) {
    size_t size = hx_dtype_size((hx_dtype)to->dtype);
    if (to->numel == 0 || to->data == from->data) return;
    if (to->contiguous && from->contiguous) {
        hx_move_bytes(to->data, from->data, to->numel * (int64_t)size);
        return;
    }
    hx_grid x = {0};
    for (int i = 0; i < to->ndim; i++) hx_grid_push(&x, to->shape[i], to->strides[i], from->strides[i]);
    hx_grid_merge(&x);
    hx_copy_grid(to->data, from->data, &x, size);
}

/* ---- sums, with 16-bit floats kept in float32 on the way ---- */

#if defined(__F16C__)
#include <immintrin.h>
static inline float hx_half_load(uint16_t bits) { return _cvtsh_ss(bits); }
static inline uint16_t hx_half_store(float x) { return _cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT); }
#else
static inline float hx_half_load(uint16_t bits) { return hx_f16_to_f32(bits); }
static inline uint16_t hx_half_store(float x) { return hx_f32_to_f16(x); }
#endif
static inline bool hx_is_half(uint8_t dtype) { return dtype == HX_F16 || dtype == HX_BF16; }

/* A dense float32 copy of a 16-bit view, from the pool, and back. */
static inline void hx_halves_to_floats(float *to, const hx_view *v) {
    hx_grid x = {0};
    for (int i = 0; i < v->ndim; i++) hx_grid_push(&x, v->shape[i], 0, v->strides[i]);
    const uint16_t *from = v->data;
    bool f16 = v->dtype == HX_F16;
    for (int64_t i = 0; i < v->numel; i++) {
        int64_t a, b = i;
        if (!v->contiguous) hx_grid_at(&x, x.n, i, &a, &b);
        to[i] = f16 ? hx_half_load(from[b]) : hx_bf16_to_f32(from[b]);
    }
}
static inline void hx_floats_to_halves(const hx_view *v, const float *from) {
    hx_grid x = {0};
    for (int i = 0; i < v->ndim; i++) hx_grid_push(&x, v->shape[i], 0, v->strides[i]);
    uint16_t *to = v->data;
    bool f16 = v->dtype == HX_F16;
    for (int64_t i = 0; i < v->numel; i++) {
        int64_t a, b = i;
        if (!v->contiguous) hx_grid_at(&x, x.n, i, &a, &b);
        to[b] = f16 ? hx_half_store(from[i]) : hx_f32_to_bf16(from[i]);
    }
}

/* The position of linear index i in a shape, as "(3, 0)". */
static inline const char *hx_position_text(int64_t i, const int64_t *shape, int ndim, int64_t *room) {
    for (int k = ndim - 1; k >= 0; k--) {
        room[k] = shape[k] ? i % shape[k] : 0;
        i /= shape[k] ? shape[k] : 1;
    }
    return hx_shape_text(room, ndim);
}

static inline hx_code hx_index_fault(hx_err *err, int64_t value, const char *position, int axis, int64_t size) {
    hx_facts facts = {"index", size ? hx_text("%lld..%lld", (long long)-size, (long long)(size - 1)) : NULL,
                      hx_text("%lld", (long long)value), true, axis};
    if (size == 0)
        return hx_kernel_fail_about(facts, err, HX_E_INDEX, 1301,
                                    "index %lld at position %s is outside axis %d, whose size is 0", (long long)value,
                                    position, axis);
    return hx_kernel_fail_about(facts, err, HX_E_INDEX, 1301,
                          "index %lld at position %s is outside axis %d, whose size is %lld (valid %lld..%lld)",
                          (long long)value, position, axis, (long long)size, (long long)-size, (long long)(size - 1));
}

/* One index as a number, of any integer dtype; an unsigned value too large for int64 becomes INT64_MAX. */
static inline int64_t hx_load_index(const void *p, int64_t at, uint8_t dtype) {
    switch (dtype) {
    case HX_I8: return ((const int8_t *)p)[at];
    case HX_I16: return ((const int16_t *)p)[at];
    case HX_I32: return ((const int32_t *)p)[at];
    case HX_I64: return ((const int64_t *)p)[at];
    case HX_U8: return ((const uint8_t *)p)[at];
    case HX_U16: return ((const uint16_t *)p)[at];
    case HX_U32: return ((const uint32_t *)p)[at];
    default: {
        uint64_t u = ((const uint64_t *)p)[at];
        return u > INT64_MAX ? INT64_MAX : (int64_t)u;
    }
    }
}

/* Turns index values into element offsets, added to those that are there, and finds the first value outside. */
typedef struct hx_offsets {
    int64_t *offsets;
    const void *data;
    uint8_t dtype;
    bool from_end, first; /* negative values allowed; this is the first index */
    hx_grid axes;         /* merged; the index's strides in a */
    int64_t size, stride;
    _Atomic int64_t bad;  /* lowest position outside, or INT64_MAX */
} hx_offsets;

/* Negative when the position is, or when it lies behind the last. */
static inline int64_t hx_outside(int64_t position, int64_t last) {
    return position | (int64_t)((uint64_t)last - (uint64_t)position);
}

static inline int64_t hx_offsets_run(int64_t *offsets, const hx_offsets *a, int64_t at, int64_t step, int64_t n) {
    uint64_t size = (uint64_t)a->size;
    int64_t stride = a->stride, wrap = a->from_end ? a->size : 0, last = a->size - 1, outside = 0;
    bool first = a->first;
#define HX_OFFSETS(T, N)                                                                                     \
    {                                                                                                         \
        const T *v = (const T *)a->data + at;                                                                 \
        for (int64_t i = 0; i < n; i++) {                                                                     \
            N x = v[i * step];                                                                                \
            N position = x + (x < 0 ? wrap : 0);                                                              \
            outside |= hx_outside(position, last);                                                            \
            offsets[i] = (int64_t)((uint64_t)(first ? 0 : offsets[i]) + (uint64_t)position * (uint64_t)stride); \
        }                                                                                                     \
        break;                                                                                                \
    }
    switch ((hx_dtype)a->dtype) {
    case HX_I8: HX_OFFSETS(int8_t, int64_t)
    case HX_I16: HX_OFFSETS(int16_t, int64_t)
    case HX_I32: HX_OFFSETS(int32_t, int64_t)
    case HX_I64: HX_OFFSETS(int64_t, int64_t)
    case HX_U8: HX_OFFSETS(uint8_t, int64_t)
    case HX_U16: HX_OFFSETS(uint16_t, int64_t)
    case HX_U32: HX_OFFSETS(uint32_t, int64_t)
    default: {
        const uint64_t *v = (const uint64_t *)a->data + at;
        for (int64_t i = 0; i < n; i++) {
            outside |= -(int64_t)(v[i * step] >= size);
            offsets[i] = (int64_t)((uint64_t)(first ? 0 : offsets[i]) + v[i * step] * (uint64_t)stride);
        }
    }
    }
#undef HX_OFFSETS
    if (outside >= 0) return -1;
    for (int64_t i = 0; i < n; i++) {
        int64_t x = hx_load_index(a->data, at + i * step, a->dtype);
        if (x >= a->size || x < -wrap) return i;
    }
    return -1;
}

static inline void hx_offsets_range(void *ctx, int64_t begin, int64_t end) {
    hx_offsets *a = ctx;
    int last = a->axes.n - 1;
    int64_t length = a->axes.shape[last], unkept[512];
    for (int64_t i = begin; i < end;) {
        int64_t at, unused, column = i % length, n = length - column < end - i ? length - column : end - i;
        hx_grid_at(&a->axes, last, i / length, &at, &unused);
        if (!a->offsets && n > 512) n = 512;
        int64_t fault = hx_offsets_run(a->offsets ? a->offsets + i : unkept, a, at + column * a->axes.a[last], a->axes.a[last], n);
        if (fault >= 0) {
            int64_t seen = atomic_load(&a->bad);
            while (i + fault < seen && !atomic_compare_exchange_weak(&a->bad, &seen, i + fault)) {}
            return;
        }
        i += n;
    }
}

/* All of them, or without `offsets` only the check; the result is the position of the first value outside, or -1. */
static inline int64_t hx_offsets_all(hx_offsets *a) {
    int64_t n = hx_grid_numel(&a->axes);
    hx_grid_merge(&a->axes);
    atomic_init(&a->bad, INT64_MAX);
    if (n * 16 <= HX_BLOCKING_BYTES)
        hx_offsets_range(a, 0, n);
    else if (!hx_parallel_range(n, hx_grain(16), hx_offsets_range, a))
        return 0; /* given up: the offsets are not all there */
    int64_t bad = atomic_load(&a->bad);
    return bad == INT64_MAX ? -1 : bad;
}

#endif
