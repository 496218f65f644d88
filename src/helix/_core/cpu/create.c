/* Constant tensors, ranges and the identity. */
#include "maps.h"

/* ---- one value everywhere ---- */

typedef union item {
    uint64_t word[2];
    uint8_t bytes[16];
} item;

static void store(const hx_attr *value, int dtype, item *to) {
    const int64_t one = 1;
    hx_c128 c = value->kind == HX_A_COMPLEX ? CMPLX(value->v.c[0], value->v.c[1])
                : value->kind == HX_A_FLOAT ? value->v.f
                                            : (double)value->v.i;
    double real = creal(c);
    float single = (float)real;
    bool whole = value->kind == HX_A_INT || value->kind == HX_A_BOOL;
    char *p = (char *)to;
    if (dtype == HX_BOOL) hx_write_i64(p, dtype, 1, 1, c != 0 ? &one : &(int64_t){0}, false);
    else if (dtype <= HX_U64) {
        int64_t i = whole ? value->v.i : hx_whole(real);
        hx_write_i64(p, dtype, 8, 1, &i, false);
    } else if (dtype <= HX_F32) hx_write_f32(p, dtype, 4, 1, &single);
    else if (dtype == HX_F64) hx_write_f64(p, dtype, 8, 1, &real);
    else hx_write_c128(p, dtype, 16, 1, &c);
}

#define FILL(T, name)                                                                                         \
    static void name(char **p, const int64_t *step, int64_t n, const void *ctx) {                             \
        T value;                                                                                              \
        memcpy(&value, ctx, sizeof value);                                                                    \
        char *to = p[0];                                                                                      \
        if (step[0] == (int64_t)sizeof(T))                                                                    \
            for (int64_t i = 0; i < n; i++) ((T *)to)[i] = value;                                             \
        else                                                                                                  \
            for (int64_t i = 0; i < n; i++) *(T *)(to + i * step[0]) = value;                                 \
    }
FILL(uint8_t, fill1)
FILL(uint16_t, fill2)
FILL(uint32_t, fill4)
FILL(uint64_t, fill8)
FILL(item, fill16)

static hx_code fill(const hx_view *out, const hx_attr *value, hx_err *err) {
    item x = {{0, 0}};
    store(value, out->dtype, &x);
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)out->dtype);
    hx_loop loop = size == 1 ? fill1 : size == 2 ? fill2 : size == 4 ? fill4 : size == 8 ? fill8 : fill16;
    return hx_iterate_views(&out, 1, loop, &x, 0, err);
}

static const hx_attr zero = {.kind = HX_A_INT, .v.i = 0}, unit = {.kind = HX_A_INT, .v.i = 1};

/* The value is the attribute of kind number; sizes and dtypes stand around it. */
HX_KERNEL(k_full) {
    HX_UNUSED;
    for (uint32_t i = 0; i < call->n_attr; i++)
        if (call->attr[i].kind >= HX_A_BOOL && call->attr[i].kind <= HX_A_COMPLEX)
            return fill(&call->out[0], &call->attr[i], err);
    return hx_kernel_fail(err, HX_E_INTERNAL, 1901, "no value to fill with");
}
HX_KERNEL(k_zeros) {
    HX_UNUSED;
    return fill(&call->out[0], &zero, err);
}
HX_KERNEL(k_ones) {
    HX_UNUSED;
    return fill(&call->out[0], &unit, err);
}
HX_KERNEL(k_empty) {
    HX_UNUSED;
    return HX_OK;
}

/* ---- element i from its number ---- */

typedef struct series {
    const hx_view *out;
    enum { ARANGE, LINSPACE, LOGSPACE } kind;
    bool whole;
    int64_t first, stride; /* whole */
    double start, step, end, base;
    int64_t n;
} series;

static double term(const series *s, int64_t i) {
    if (s->kind == ARANGE) return s->start + (double)i * s->step;
    double x = i < s->n / 2 ? s->start + s->step * (double)i : s->end - s->step * (double)(s->n - 1 - i);
    return s->kind == LINSPACE ? x : pow(s->base, x);
}

static void run_series(void *ctx, int64_t begin, int64_t end) {
    const series *s = ctx;
    int dtype = s->out->dtype;
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)dtype), whole[HX_MAP_BLOCK];
    double real[HX_MAP_BLOCK];
    for (int64_t at = begin; at < end; at += HX_MAP_BLOCK) {
        int64_t run = end - at < HX_MAP_BLOCK ? end - at : HX_MAP_BLOCK;
        char *to = (char *)s->out->data + at * size;
        if (s->whole)
            for (int64_t i = 0; i < run; i++) whole[i] = (int64_t)((uint64_t)s->first + (uint64_t)(at + i) * (uint64_t)s->stride);
        else
            for (int64_t i = 0; i < run; i++) real[i] = term(s, at + i);
        if (dtype <= HX_U64) {
            if (!s->whole)
                for (int64_t i = 0; i < run; i++) whole[i] = hx_whole(real[i]);
            hx_write_i64(to, dtype, size, run, whole, false);
        } else {
            if (s->whole)
                for (int64_t i = 0; i < run; i++) real[i] = (double)whole[i];
            if (dtype >= HX_C64) {
                hx_c128 c[HX_MAP_BLOCK];
                for (int64_t i = 0; i < run; i++) c[i] = real[i];
                hx_write_c128(to, dtype, size, run, c);
            } else hx_write_f64(to, dtype, size, run, real);
        }
    }
}

static double as_double(const hx_attr *a) { return a->kind == HX_A_FLOAT ? a->v.f : (double)a->v.i; }

static hx_code fill_series(series *s, const hx_view *out) {
    s->out = out;
    s->n = out->numel;
    hx_parallel_range(out->numel, 16384, run_series, s);
    return HX_OK;
}

/* start, end, step as the shape rule left them: three numbers. */
HX_KERNEL(k_arange) {
    HX_UNUSED;
    const hx_attr *start = &call->attr[0], *step = &call->attr[2];
    series s = {.kind = ARANGE, .start = as_double(start), .step = as_double(step)};
    s.whole = start->kind != HX_A_FLOAT && step->kind != HX_A_FLOAT;
    s.first = start->v.i;
    s.stride = step->v.i;
    return fill_series(&s, &call->out[0]);
}

static hx_code spaced(const hx_op_call *call, int kind, double base) {
    series s = {.kind = kind, .start = as_double(&call->attr[0]), .end = as_double(&call->attr[1]), .base = base};
    int64_t steps = call->out[0].numel;
    s.step = steps > 1 ? (s.end - s.start) / (double)(steps - 1) : 0;
    if (steps == 1) s.end = s.start;
    return fill_series(&s, &call->out[0]);
}
HX_KERNEL(k_linspace) {
    HX_UNUSED;
    return spaced(call, LINSPACE, 0);
}
HX_KERNEL(k_logspace) {
    HX_UNUSED;
    return spaced(call, LOGSPACE, as_double(&call->attr[3]));
}

HX_KERNEL(k_eye) {
    HX_UNUSED;
    const hx_view *out = &call->out[0];
    hx_code code = fill(out, &zero, err);
    if (code) return code;
    int64_t n = out->shape[0] < out->shape[1] ? out->shape[0] : out->shape[1];
    int64_t step = out->strides[0] + out->strides[1];
    hx_view diagonal = *out;
    diagonal.shape = &n;
    diagonal.strides = &step;
    diagonal.numel = n;
    diagonal.ndim = 1;
    diagonal.contiguous = n < 2 || step == 1;
    return fill(&diagonal, &unit, err);
}

HX_KERNELS(create) = {KERNEL(full, k_full, HX_SET_ALL),
                      KERNEL(fill, k_full, HX_SET_ALL),
                      KERNEL(full_like, k_full, HX_SET_ALL),
                      KERNEL(new_full, k_full, HX_SET_ALL),
                      KERNEL(zeros, k_zeros, HX_SET_ALL),
                      KERNEL(zero, k_zeros, HX_SET_ALL),
                      KERNEL(zeros_like, k_zeros, HX_SET_ALL),
                      KERNEL(new_zeros, k_zeros, HX_SET_ALL),
                      KERNEL(ones, k_ones, HX_SET_ALL),
                      KERNEL(ones_like, k_ones, HX_SET_ALL),
                      KERNEL(new_ones, k_ones, HX_SET_ALL),
                      KERNEL(empty, k_empty, HX_SET_ALL),
                      KERNEL(empty_like, k_empty, HX_SET_ALL),
                      KERNEL(new_empty, k_empty, HX_SET_ALL),
                      KERNEL(arange, k_arange, HX_SET_ALL),
                      KERNEL(linspace, k_linspace, HX_SET_ALL),
                      KERNEL(logspace, k_logspace, HX_SET_ALL),
                      KERNEL(eye, k_eye, HX_SET_ALL),
                      {0}};
