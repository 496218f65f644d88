/* Elementwise ops of three tensors: choosing, clamping, interpolating, and products or quotients that are added. */
#include "maps.h"

/* ---- where: by item size ---- */

typedef struct u128 { uint64_t a, b; } u128;

#define EACH(x, y) for (int64_t i = 0; i < n; i++) o[i] = c[i] ? x : y;
#define WHERE(T, name)                                                                                        \
    static void name(char **p, const int64_t *step, int64_t n, const void *ctx) {                             \
        const int64_t size = (int64_t)sizeof(T);                                                              \
        bool va = step[2] == size, vb = step[3] == size, sa = step[2] == 0, sb = step[3] == 0;                \
        (void)ctx;                                                                                            \
        if (step[0] == size && step[1] == 1 && (va || sa) && (vb || sb)) {                                    \
            T *o = (T *)p[0];                                                                                 \
            const uint8_t *c = (const uint8_t *)p[1];                                                         \
            const T *a = (const T *)p[2], *b = (const T *)p[3], first = *a, second = *b;                      \
            if (va && vb) EACH(a[i], b[i])                                                                    \
            else if (va) EACH(a[i], second)                                                                   \
            else if (vb) EACH(first, b[i])                                                                    \
            else EACH(first, second)                                                                          \
            return;                                                                                           \
        }                                                                                                     \
        for (int64_t i = 0; i < n; i++)                                                                       \
            *(T *)(p[0] + i * step[0]) =                                                                      \
                p[1][i * step[1]] ? *(const T *)(p[2] + i * step[2]) : *(const T *)(p[3] + i * step[3]);      \
    }
WHERE(uint8_t, where1)
WHERE(uint16_t, where2)
WHERE(uint32_t, where4)
WHERE(uint64_t, where8)
WHERE(u128, where16)

HX_KERNEL(k_where) {
    HX_UNUSED;
    size_t size = hx_dtype_size((hx_dtype)call->out[0].dtype);
    hx_loop loop = size == 1 ? where1 : size == 2 ? where2 : size == 4 ? where4 : size == 8 ? where8 : where16;
    return hx_iterate(call, loop, NULL, err);
}

/* ---- clamp ---- */

#define NEVER(x) false
#define IS_NAN(x) ((x) != (x))
#define CLAMP(name, T, nan)                                                                                      \
    static void name(void *out, const T *const *in, int64_t n, const void *args) {                            \
        const T *a = in[0], *low = in[1], *high = in[2];                                                      \
        T *o = out;                                                                                           \
        (void)args;                                                                                           \
        for (int64_t i = 0; i < n; i++) {                                                                     \
            T x = a[i];                                                                                       \
            x = x < low[i] || nan(low[i]) ? low[i] : x;                                                       \
            o[i] = x > high[i] || nan(high[i]) ? high[i] : x;                                                 \
        }                                                                                                     \
    }
CLAMP(clamp_f32, float, IS_NAN)
CLAMP(clamp_f64, double, IS_NAN)
CLAMP(clamp_i64, int64_t, NEVER)
static const hx_map clamp_tensors = {clamp_f32, clamp_f64, clamp_i64, NULL, HX_MAP_SAME, true, 0};

typedef struct limits {
    float f_low, f_high;
    double d_low, d_high;
    int64_t i_low, i_high;
} limits;
#define CLAMP_NUMBERS(name, T, l, h)                                                                          \
    static void name(void *out, const T *const *in, int64_t n, const void *args) {                            \
        const limits *e = args;                                                                               \
        const T *a = in[0], low = e->l, high = e->h;                                                          \
        T *o = out;                                                                                           \
        for (int64_t i = 0; i < n; i++) {                                                                     \
            T x = a[i] < low ? low : a[i];                                                                    \
            o[i] = x > high ? high : x;                                                                       \
        }                                                                                                     \
    }
CLAMP_NUMBERS(clamp_numbers_f32, float, f_low, f_high)
CLAMP_NUMBERS(clamp_numbers_f64, double, d_low, d_high)
CLAMP_NUMBERS(clamp_numbers_i64, int64_t, i_low, i_high)
static const hx_map clamp_numbers = {clamp_numbers_f32, clamp_numbers_f64, clamp_numbers_i64, NULL, HX_MAP_SAME, true, 0};

/* One limit of one element; false when it is NaN, which the general body knows. */
static bool load_limit(const hx_view *v, float *f, double *d, int64_t *i) {
    if (hx_absent(v)) return true;
    if (v->dtype <= HX_U64) *i = *hx_read_i64(v->data, v->dtype, 0, 1, i, true);
    else if (v->dtype == HX_F64) *d = *(const double *)v->data;
    else *f = *hx_read_f32(v->data, v->dtype, 0, 1, f);
    return *f == *f && *d == *d;
}
static bool is_number(const hx_view *v) { return hx_absent(v) || v->numel == 1; }

/* Stand-ins for limits that are not given. */
static const uint8_t least[8] = {0}, most[8] = {255, 255, 255, 255, 255, 255, 255, 255};
static const void *extreme(int dtype, bool high, void *room) {
    static const int64_t low_whole[] = {0, INT8_MIN, INT16_MIN, INT32_MIN, INT64_MIN},
                         high_whole[] = {1, INT8_MAX, INT16_MAX, INT32_MAX, INT64_MAX};
    if (dtype >= HX_U8 && dtype <= HX_U64) return high ? most : least;
    if (dtype <= HX_I64) return high ? &high_whole[dtype] : &low_whole[dtype];
    float f = high ? __builtin_inff() : -__builtin_inff();
    if (dtype == HX_F64) *(double *)room = f;
    else hx_write_f32(room, dtype, 4, 1, &f);
    return room;
}

HX_KERNEL(k_clamp) {
    HX_UNUSED;
    const hx_view *low = &call->in[1], *high = &call->in[2];
    int dtype = call->in[0].dtype;
    if (is_number(low) && is_number(high)) {
        limits e = {-__builtin_inff(), __builtin_inff(), -__builtin_inf(), __builtin_inf(), INT64_MIN, INT64_MAX};
        if (load_limit(low, &e.f_low, &e.d_low, &e.i_low) && load_limit(high, &e.f_high, &e.d_high, &e.i_high)) {
            hx_mapping m = {&clamp_numbers, &e, 1, dtype, dtype};
            const hx_view *views[2] = {&call->out[0], &call->in[0]};
            return hx_iterate_views(views, 2, hx_map_loop(dtype), &m, 0, err);
        }
    }
    double room[2];
    hx_view missing[2];
    const hx_view *views[4] = {&call->out[0], &call->in[0], low, high};
    for (int k = 0; k < 2; k++) {
        if (!hx_absent(&call->in[k + 1])) continue;
        missing[k] = (hx_view){.data = (void *)extreme(dtype, k, &room[k]), .numel = 1, .dtype = (uint8_t)dtype, .contiguous = 1};
        views[k + 2] = &missing[k];
    }
    hx_mapping m = {&clamp_tensors, NULL, 3, dtype, dtype};
    return hx_iterate_views(views, 4, hx_map_loop(dtype), &m, 0, err);
}

/* ---- sums with a product, a quotient, an interpolation ---- */

#define BODY(name, T, expr)                                                                                   \
    static void name(void *out, const T *const *in, int64_t n, const void *args) {                            \
        const T *a = in[0], *b = in[1], *c = in[2];                                                           \
        const T value = args ? (T)VALUE_##T : 1;                                                              \
        T *o = out;                                                                                           \
        (void)value;                                                                                          \
        for (int64_t i = 0; i < n; i++) {                                                                     \
            const T x = a[i], y = b[i], z = c[i];                                                             \
            o[i] = expr;                                                                                      \
        }                                                                                                     \
    }
typedef struct factor {
    double real, imaginary;
    int64_t whole;
} factor;
#define FACTOR ((const factor *)args)
#define VALUE_float FACTOR->real
#define VALUE_double FACTOR->real
#define VALUE_uint64_t FACTOR->whole
#define VALUE_hx_c128 CMPLX(FACTOR->real, FACTOR->imaginary)

BODY(addcmul_f32, float, x + value *y *z)
BODY(addcmul_f64, double, x + value *y *z)
BODY(addcmul_u64, uint64_t, x + value *y *z)
BODY(addcmul_c128, hx_c128, x + value *y *z)
static void addcmul_i64(void *out, const int64_t *const *in, int64_t n, const void *args) {
    addcmul_u64(out, (const uint64_t *const *)in, n, args);
}
BODY(addcdiv_f32, float, x + value *y / z)
BODY(addcdiv_f64, double, x + value *y / z)
BODY(addcdiv_c128, hx_c128, x + value *y / z)
/* Exact at both ends. */
#define LERP(size) (size) < 0.5 ? x + z * (y - x) : y - (y - x) * (1 - z)
BODY(lerp_f32, float, LERP(fabsf(z)))
BODY(lerp_f64, double, LERP(fabs(z)))
BODY(lerp_c128, hx_c128, LERP(cabs(z)))

static const hx_map addcmul = {addcmul_f32, addcmul_f64, addcmul_i64, addcmul_c128, HX_MAP_SAME, false, 0},
                    addcdiv = {addcdiv_f32, addcdiv_f64, NULL, addcdiv_c128, HX_MAP_SAME, false, 0},
                    lerp = {lerp_f32, lerp_f64, NULL, lerp_c128, HX_MAP_SAME, false, 0};

static factor factor_of(const hx_attr *a) {
    switch (a->kind) {
    case HX_A_FLOAT: return (factor){a->v.f, 0, hx_whole(a->v.f)};
    case HX_A_COMPLEX: return (factor){a->v.c[0], a->v.c[1], 0};
    default: return (factor){(double)a->v.i, 0, a->v.i};
    }
}
HX_KERNEL(k_addcmul) {
    HX_UNUSED;
    factor f = factor_of(&call->attr[0]);
    return hx_run_map(call, &addcmul, &f, err);
}
HX_KERNEL(k_addcdiv) {
    HX_UNUSED;
    factor f = factor_of(&call->attr[0]);
    return hx_run_map(call, &addcdiv, &f, err);
}
HX_KERNEL(k_lerp) {
    HX_UNUSED;
    return hx_run_map(call, &lerp, NULL, err);
}

HX_KERNELS(ternary) = {KERNEL(where, k_where, HX_BIT(HX_BOOL)),
                       KERNEL(clamp, k_clamp, HX_SET_REAL),
                       KERNEL(addcmul, k_addcmul, HX_SET_ALL & ~HX_BIT(HX_BOOL)),
                       KERNEL(addcdiv, k_addcdiv, HX_SET_FLOAT | HX_SET_COMPLEX),
                       KERNEL(lerp, k_lerp, HX_SET_FLOAT | HX_SET_COMPLEX),
                       {0}};
