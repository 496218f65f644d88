/* Elementwise ops of two tensors of one dtype. The commonest have loops of their own for contiguous operands and
 * for one stretched operand (`hot`); all have a map body for each class of dtypes. */
#include "maps.h"
#include "vmath.h"
#include "special_tables.h"

/* `va`, `vb`: does the operand move, or is it one value? At least one does. */
typedef void (*hot_loop)(void *out, const void *a, const void *b, int64_t n, bool va, bool vb);

typedef struct binary {
    hx_map map; /* first: a binary is its map */
    hot_loop hot[HX_DTYPE_COUNT];
} binary;

#define EACH(T, R, x_at, y_at, expr)                                                                          \
    _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                                                    \
        const T x = x_at, y = y_at;                                                                           \
        o[i] = (R)(expr);                                                                                     \
    }

#define HOT(name, T, R, expr)                                                                                 \
    static void name(void *out, const void *pa, const void *pb, int64_t n, bool va, bool vb) {                \
        R *o = out;                                                                                           \
        const T *a = pa, *b = pb;                                                                             \
        if (va && vb) {                                                                                       \
            EACH(T, R, a[i], b[i], expr)                                                                      \
        } else if (va) {                                                                                      \
            const T only = *b;                                                                                \
            EACH(T, R, a[i], only, expr)                                                                      \
        } else {                                                                                              \
            const T only = *a;                                                                                \
            EACH(T, R, only, b[i], expr)                                                                      \
        }                                                                                                     \
    }

#define BODY(name, T, R, expr)                                                                                \
    static void name(void *out, const T *const *in, int64_t n, const void *args) {                            \
        (void)args;                                                                                           \
        R *o = out;                                                                                           \
        const T *a = in[0], *b = in[1];                                                                       \
        EACH(T, R, a[i], b[i], expr)                                                                          \
    }

static inline bool run_hot(hot_loop hot, int64_t size, int64_t out_size, char **p, const int64_t *step, int64_t n) {
    bool va = step[1] == size, vb = step[2] == size;
    if (step[0] != out_size || !(va || vb) || !(va || step[1] == 0) || !(vb || step[2] == 0)) return false;
    hot(p[0], p[1], p[2], n, va, vb);
    return true;
}

static void loop_hot(char **p, const int64_t *step, int64_t n, const void *ctx) {
    const hx_mapping *m = ctx;
    const binary *op = (const binary *)m->map;
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)m->dtype), out_size = op->map.result == HX_MAP_BOOL ? 1 : size;
    if (!run_hot(op->hot[m->dtype], size, out_size, p, step, n)) hx_map_loop_of(&op->map, m->dtype)(p, step, n, ctx);
}

static hx_code run(const hx_op_call *call, const binary *op, const void *args, hx_err *err) {
    hx_mapping m = {&op->map, args, 2, call->in[0].dtype, call->out[0].dtype};
    hx_loop loop = op->hot[m.dtype] ? loop_hot : hx_map_loop_of(&op->map, m.dtype);
    if (!op->map.cost) return hx_iterate(call, loop, &m, err);
    const hx_view *views[3] = {&call->out[0], &call->in[0], &call->in[1]};
    return hx_iterate_views(views, 3, loop, &m, op->map.cost, err);
}

#define KERNEL_OF(op)                                                                                         \
    HX_KERNEL(k_##op) {                                                                                       \
        HX_UNUSED;                                                                                            \
        return run(call, &op, NULL, err);                                                                     \
    }

/* ---- arithmetic ---- */

/* Runs of complex64, `step` 0 for one value: the parts of a sum are sums. */
#define PARTS(name, op)                                                                                       \
    static void name(void *out, const void *pa, const void *pb, int64_t n, bool va, bool vb) {                \
        float *o = out;                                                                                       \
        const float *a = pa, *b = pb;                                                                         \
        for (int64_t i = 0; i < 2 * n; i++) o[i] = a[va ? i : i & 1] op b[vb ? i : i & 1];                    \
    }
PARTS(add_hot_c64, +)
PARTS(sub_hot_c64, -)

/* A body over blocks of complex64 by formulas for the parts in double, where nothing overflows; results that are NaN
 * twice are C's, which knows infinities. */
#define COMPLEX_HOT(name, re_expr, im_expr, op)                                                               \
    static void name(void *out, const void *pa, const void *pb, int64_t n, bool va, bool vb) {                \
        enum { RUN = 256 };                                                                                   \
        hx_c64 *o = out;                                                                                      \
        const hx_c64 *a = pa, *b = pb;                                                                        \
        float room[2 * RUN], spread[2 * RUN];                                                                 \
        for (int i = 0; i < RUN && !(va && vb); i++) memcpy(spread + 2 * i, va ? b : a, sizeof *a);           \
        for (int64_t at = 0; at < n; at += RUN) {                                                             \
            const float *x = va ? (const float *)(a + at) : spread, *y = vb ? (const float *)(b + at) : spread; \
            int64_t run = n - at < RUN ? n - at : RUN, lost = 0;                                              \
            for (int64_t i = 0; i < run; i++) {                                                               \
                double ar = x[2 * i], ai = x[2 * i + 1], br = y[2 * i], bi = y[2 * i + 1];                    \
                double re = re_expr, im = im_expr;                                                            \
                room[2 * i] = (float)re;                                                                      \
                room[2 * i + 1] = (float)im;                                                                  \
                lost += (re != re) & (im != im);                                                              \
            }                                                                                                 \
            for (int64_t i = 0; lost && i < run; i++) {                                                       \
                hx_c64 z = (hx_c64)((hx_c128)((const hx_c64 *)x)[i] op (hx_c128)((const hx_c64 *)y)[i]);      \
                memcpy(room + 2 * i, &z, sizeof z);                                                           \
            }                                                                                                 \
            memcpy(o + at, room, (size_t)run * sizeof *o);                                                    \
        }                                                                                                     \
    }
#if defined HX_ISA_AVX512 || defined HX_ISA_AVX2
static inline hx_vf product_of_pairs(hx_vf a, hx_vf b) {
#if defined HX_ISA_AVX512
    __m512 re = _mm512_moveldup_ps((__m512)a), im = _mm512_movehdup_ps((__m512)a), turned = _mm512_permute_ps((__m512)b, 0xb1);
    return (hx_vf)_mm512_fmaddsub_ps(re, (__m512)b, _mm512_mul_ps(im, turned));
#else
    __m256 re = _mm256_moveldup_ps((__m256)a), im = _mm256_movehdup_ps((__m256)a), turned = _mm256_permute_ps((__m256)b, 0xb1);
    return (hx_vf)_mm256_fmaddsub_ps(re, (__m256)b, _mm256_mul_ps(im, turned));
#endif
}
/* A block of products. Where a part is not finite, which another part may have made it, they are C's in double. */
static void multiply_pairs(hx_c64 *o, const hx_c64 *a, const hx_c64 *b, int64_t n, float *room) {
    const int lanes = HX_LANES_OF(float);
    hx_vf sum = {0};
    int64_t i = 0;
    for (; i + lanes <= 2 * n; i += lanes) {
        hx_vf z = product_of_pairs(hx_vf_load((const float *)a + i), hx_vf_load((const float *)b + i));
        sum += z * 0.0f;
        hx_vf_store(room + i, z);
    }
    if (i < 2 * n) {
        int rest = (int)(2 * n - i);
        hx_vf z = product_of_pairs(hx_vf_load_part((const float *)a + i, rest), hx_vf_load_part((const float *)b + i, rest));
        sum += z * 0.0f;
        hx_vf_store_part(room + i, z, rest);
    }
    bool finite = hx_vf_sum(sum) == 0;
    for (int64_t k = 0; !finite && k < n; k++)
        if (!(fabsf(room[2 * k]) < __builtin_inff() && fabsf(room[2 * k + 1]) < __builtin_inff())) {
            hx_c64 z = (hx_c64)((hx_c128)a[k] * (hx_c128)b[k]);
            memcpy(room + 2 * k, &z, sizeof z);
        }
    memcpy(o, room, (size_t)n * sizeof *o);
}
static void mul_hot_c64(void *out, const void *pa, const void *pb, int64_t n, bool va, bool vb) {
    enum { RUN = 256 };
    hx_c64 *o = out, spread[RUN];
    const hx_c64 *a = pa, *b = pb;
    float room[2 * RUN];
    for (int i = 0; i < RUN && !(va && vb); i++) spread[i] = va ? *b : *a;
    for (int64_t at = 0; at < n; at += RUN)
        multiply_pairs(o + at, va ? a + at : spread, vb ? b + at : spread, n - at < RUN ? n - at : RUN, room);
}
/* Elements that lie apart have the same bits. */
static void mul_c64(void *out, const hx_c64 *const *in, int64_t n, const void *args) {
    (void)args;
    mul_hot_c64(out, in[0], in[1], n, true, true);
}
#else
COMPLEX_HOT(mul_hot_c64, ar * br - ai * bi, ar * bi + ai * br, *)
#define mul_c64 NULL
#endif
COMPLEX_HOT(div_hot_c64, (ar * br + ai * bi) / (br * br + bi * bi), (ai * br - ar * bi) / (br * br + bi * bi), /)

#define WRAP(op) ((int64_t)((uint64_t)x op (uint64_t)y))
/* Rows of a table of loops: one for a signed type and the unsigned one of its width, or one each. */
#define FLOATS_OF(name) [HX_F32] = name##_hot_f32, [HX_F64] = name##_hot_f64
#define WHOLES_OF(name)                                                                                       \
    [HX_I8] = name##_hot_8, [HX_U8] = name##_hot_8, [HX_I16] = name##_hot_16, [HX_U16] = name##_hot_16,       \
    [HX_I32] = name##_hot_32, [HX_U32] = name##_hot_32, [HX_I64] = name##_hot_64, [HX_U64] = name##_hot_64
#define ARITHMETIC(name, op, c64)                                                                              \
    HOT(name##_hot_f32, float, float, x op y)                                                                 \
    HOT(name##_hot_f64, double, double, x op y)                                                               \
    HOT(name##_hot_8, uint8_t, uint8_t, x op y)                                                               \
    HOT(name##_hot_16, uint16_t, uint16_t, (uint32_t)x op (uint32_t)y)                                        \
    HOT(name##_hot_32, uint32_t, uint32_t, x op y)                                                            \
    HOT(name##_hot_64, uint64_t, uint64_t, x op y)                                                            \
    BODY(name##_f32, float, float, x op y)                                                                    \
    BODY(name##_f64, double, double, x op y)                                                                  \
    BODY(name##_i64, int64_t, int64_t, WRAP(op))                                                              \
    BODY(name##_c128, hx_c128, hx_c128, x op y)                                                               \
    static const binary name = {{name##_f32, name##_f64, name##_i64, name##_c128, HX_MAP_SAME, false, 0, c64}, \
                                {FLOATS_OF(name), WHOLES_OF(name), [HX_C64] = name##_hot_c64}};
ARITHMETIC(add, +, NULL)
ARITHMETIC(sub, -, NULL)
ARITHMETIC(mul, *, mul_c64)

/* x + alpha y */
typedef struct alpha {
    double real;
    int64_t whole;
    hx_c128 both;
} alpha;
#define SCALED(name, T, member)                                                                               \
    static void name(void *out, const T *const *in, int64_t n, const void *args) {                            \
        T *o = out, factor = (T)((const alpha *)args)->member;                                                \
        const T *a = in[0], *b = in[1];                                                                       \
        EACH(T, T, a[i], b[i], x + factor * y)                                                                \
    }
SCALED(scaled_f32, float, real)
SCALED(scaled_f64, double, real)
SCALED(scaled_c128, hx_c128, both)
static void scaled_i64(void *out, const int64_t *const *in, int64_t n, const void *args) {
    uint64_t *o = out, factor = (uint64_t)((const alpha *)args)->whole;
    for (int64_t i = 0; i < n; i++) o[i] = (uint64_t)in[0][i] + factor * (uint64_t)in[1][i];
}
static const binary scaled = {{scaled_f32, scaled_f64, scaled_i64, scaled_c128, HX_MAP_SAME, false, 0}, {NULL}};

static hx_code add_scaled(const hx_op_call *call, const binary *plain, double sign, hx_err *err) {
    const hx_attr *a = &call->attr[0];
    alpha f;
    if (a->kind == HX_A_COMPLEX) {
        f.both = CMPLX(a->v.c[0], a->v.c[1]);
        f.real = a->v.c[0];
        f.whole = hx_whole(f.real);
        if (f.both == 1) return run(call, plain, NULL, err);
    } else {
        f.real = a->kind == HX_A_FLOAT ? a->v.f : (double)a->v.i;
        f.whole = a->kind == HX_A_FLOAT ? hx_whole(a->v.f) : a->v.i;
        f.both = f.real;
        if (f.real == 1) return run(call, plain, NULL, err);
    }
    f.real *= sign;
    f.both *= sign;
    if (sign < 0) f.whole = (int64_t)(0 - (uint64_t)f.whole);
    return run(call, &scaled, &f, err);
}
HX_KERNEL(k_add) {
    HX_UNUSED;
    return add_scaled(call, &add, 1, err);
}
HX_KERNEL(k_sub) {
    HX_UNUSED;
    return add_scaled(call, &sub, -1, err);
}
KERNEL_OF(mul)

/* ---- division ----
 * Integer bodies note a division by zero in their arguments, and the kernel reports it. */

typedef struct integers {
    int bits;
    bool is_unsigned, by_zero;
} integers;

HOT(div_hot_f32, float, float, x / y)
HOT(div_hot_f64, double, double, x / y)
BODY(div_f32, float, float, x / y)
BODY(div_f64, double, double, x / y)
/* By the formula, the divisor brought near 1 by a power of two. Results that are 0, small, large or not finite are C's. */
static void div_c128(void *out, const hx_c128 *const *in, int64_t n, const void *args) {
    (void)args;
    enum { RUN = 256 };
    hx_c128 *o = out;
    double room[2 * RUN];
    for (int64_t at = 0; at < n; at += RUN) {
        const double *a = (const double *)(in[0] + at), *b = (const double *)(in[1] + at);
        int64_t run = n - at < RUN ? n - at : RUN;
        for (int64_t i = 0; i < run; i++) {
            double ar = a[2 * i], ai = a[2 * i + 1], br = b[2 * i], bi = b[2 * i + 1];
            double size = fabs(br) > fabs(bi) ? fabs(br) : fabs(bi);
            double scale = hx_d_of_bits(0x7fd0000000000000 - (hx_d_bits(size) & 0x7ff0000000000000));
            br *= scale;
            bi *= scale;
            double factor = scale / (br * br + bi * bi);
            room[2 * i] = (ar * br + ai * bi) * factor;
            room[2 * i + 1] = (ai * br - ar * bi) * factor;
        }
        for (int64_t i = 0; i < 2 * run; i++)
            if (!(fabs(room[i]) > 0x1p-400 && fabs(room[i]) < 0x1p400)) {
                hx_c128 z = in[0][at + i / 2] / in[1][at + i / 2];
                memcpy(room + (i & ~(int64_t)1), &z, sizeof z);
                i |= 1;
            }
        memcpy(o + at, room, (size_t)run * sizeof *o);
    }
}
static const binary divide = {{div_f32, div_f64, NULL, div_c128, HX_MAP_SAME, false, 0},
                              {FLOATS_OF(div), [HX_C64] = div_hot_c64}};

/* The double quotient of two floats is never rounded up to a whole number. */
HX_INLINE double floor_of_floats(double x, double y) {
    double q = x / y, whole = floor(q);
    whole = (q == 0) & (x != 0) & (hx_d_bits(q) < 0) ? -1.0 : whole;
    return (fabs(x) == __builtin_inf()) & (y != 0) ? __builtin_nan("") : whole;
}
BODY(floor_divide_f32, float, float, floor_of_floats(x, y))
BODY(trunc_divide_f32, float, float, trunc((double)x / (double)y))
BODY(trunc_divide_f64, double, double, trunc(x / y))

/* The rest of a division by one exact multiplication where the quotient is small: in double for floats, fused for
 * doubles, whose rounded quotient may be one off. Else by fmod. */
HX_INLINE double with_sign_of(double rest, double y) {
    double turned = rest + y, same = copysign(rest, rest == 0 ? y : rest);
    return (rest != 0) & ((rest < 0) != (y < 0)) ? turned : same;
}
HX_INLINE double rest_of_floats(double x, double y) {
    double whole = trunc(x / y);
    return whole == 0 ? x : copysign(x - whole * y, x);
}
HX_INLINE double rest_of_doubles(double x, double y) {
    double whole = trunc(x / y), r = fma(-whole, y, x), a = fabs(y), step = copysign(a, x);
    r += (r != 0) & ((r < 0) != (x < 0)) ? step : 0.0;
    r -= fabs(r) >= a ? step : 0.0;
    return whole == 0 && fabs(x) < a ? x : copysign(r, x);
}
/* What is left after the rest is taken off is nearly whole; it is no larger than x. */
HX_INLINE double floor_quotient(double x, double y, double rest) {
    double plain = x / y, whole = rint((x - rest) / y);
    whole -= (rest != 0) & ((rest < 0) != (y < 0)) ? 1.0 : 0.0;
    whole = whole == 0 ? copysign(0.0, plain) : whole;
    return y == 0 ? plain : whole;
}
#define REST(name, T, limit, rest_of, finish)                                                                 \
    static void name(void *out, const T *const *in, int64_t n, const void *args) {                            \
        (void)args;                                                                                           \
        T *o = out, room[HX_MAP_BLOCK];                                                                       \
        for (int64_t at = 0; at < n; at += HX_MAP_BLOCK) {                                                    \
            int64_t run = n - at < HX_MAP_BLOCK ? n - at : HX_MAP_BLOCK, far = 0;                             \
            const T *a = in[0] + at, *b = in[1] + at;                                                         \
            for (int64_t i = 0; i < run; i++) {                                                               \
                double x = a[i], y = b[i];                                                                    \
                far += !(fabs(x / y) < limit);                                                                \
                room[i] = (T)finish(x, y, rest_of(x, y));                                                     \
            }                                                                                                 \
            for (int64_t i = 0; far && i < run; i++) {                                                        \
                double x = a[i], y = b[i];                                                                    \
                if (!(fabs(x / y) < limit)) room[i] = (T)finish(x, y, fmod(x, y));                            \
            }                                                                                                 \
            memcpy(o + at, room, (size_t)run * sizeof *room);                                                 \
        }                                                                                                     \
    }
#define AS_IT_IS(x, y, rest) (rest)
#define SIGNED_AS_DIVISOR(x, y, rest) with_sign_of(rest, y)
REST(fmod_f32, float, 0x1p28, rest_of_floats, AS_IT_IS)
REST(remainder_f32, float, 0x1p28, rest_of_floats, SIGNED_AS_DIVISOR)
#if defined HX_ISA_AVX512 || defined HX_ISA_AVX2
REST(fmod_f64, double, 0x1p52, rest_of_doubles, AS_IT_IS)
REST(remainder_f64, double, 0x1p52, rest_of_doubles, SIGNED_AS_DIVISOR)
REST(floor_divide_f64, double, 0x1p52, rest_of_doubles, floor_quotient)
#else
BODY(fmod_f64, double, double, fmod(x, y))
BODY(remainder_f64, double, double, with_sign_of(fmod(x, y), y))
BODY(floor_divide_f64, double, double, floor_quotient(x, y, fmod(x, y)))
#endif

static inline int64_t trunc_of(int64_t x, int64_t y) { return y == -1 ? (int64_t)(0 - (uint64_t)x) : x / y; }
static inline int64_t fmod_of(int64_t x, int64_t y) { return y == -1 ? 0 : x % y; }
static inline int64_t floor_of(int64_t x, int64_t y) {
    if (y == -1) return trunc_of(x, y);
    return x / y - (x % y != 0 && (x < 0) != (y < 0));
}
static inline int64_t remainder_of(int64_t x, int64_t y) {
    int64_t r = fmod_of(x, y);
    return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}

#define WHOLE(name, signed_expr, unsigned_expr)                                                               \
    static void name(void *out, const int64_t *const *in, int64_t n, const void *args) {                      \
        integers *w = (integers *)args;                                                                       \
        int64_t *o = out;                                                                                     \
        for (int64_t i = 0; i < n; i++) {                                                                     \
            int64_t x = in[0][i], y = in[1][i];                                                               \
            uint64_t ux = (uint64_t)x, uy = (uint64_t)y;                                                      \
            if (y == 0) __atomic_store_n(&w->by_zero, true, __ATOMIC_RELAXED);                                \
            o[i] = y == 0 ? 0 : w->is_unsigned ? (int64_t)(unsigned_expr) : signed_expr;                      \
        }                                                                                                     \
    }
WHOLE(trunc_divide_i64, trunc_of(x, y), ux / uy)
WHOLE(floor_divide_i64, floor_of(x, y), ux / uy)
WHOLE(fmod_i64, fmod_of(x, y), ux % uy)
WHOLE(remainder_i64, remainder_of(x, y), ux % uy)

#define WHOLE_OP(name, f32, f64, i64)                                                                         \
    static const binary name = {{f32, f64, i64, NULL, HX_MAP_SAME, false, 0}, {NULL}};
WHOLE_OP(trunc_divide, trunc_divide_f32, trunc_divide_f64, trunc_divide_i64)
WHOLE_OP(floor_divide, floor_divide_f32, floor_divide_f64, floor_divide_i64)
WHOLE_OP(fmod_, fmod_f32, fmod_f64, fmod_i64)
WHOLE_OP(remainder_, remainder_f32, remainder_f64, remainder_i64)

static bool unsigned_dtype(int dtype) { return dtype == HX_BOOL || (dtype >= HX_U8 && dtype <= HX_U64); }

static hx_code run_integers(const hx_op_call *call, const binary *op, hx_err *err) {
    int dtype = call->in[0].dtype;
    integers w = {(int)hx_dtype_size((hx_dtype)dtype) * 8, unsigned_dtype(dtype), false};
    hx_code code = run(call, op, &w, err);
    if (!code && w.by_zero)
        return hx_kernel_fail_about(FACTS("other", "not 0", "0"), err, HX_E_VALUE, 1403,
                                    "integer division by zero: 'other' holds 0. Convert to a float dtype for inf and nan, or "
                                    "mask the zeros.");
    return code;
}
#define KERNEL_OF_INTEGERS(name, op)                                                                          \
    HX_KERNEL(k_##name) {                                                                                     \
        HX_UNUSED;                                                                                            \
        return run_integers(call, &op, err);                                                                  \
    }
KERNEL_OF_INTEGERS(floor_divide, floor_divide)
KERNEL_OF_INTEGERS(fmod, fmod_)
KERNEL_OF_INTEGERS(remainder, remainder_)

static bool mode_is(const hx_attr *a, const char *text) {
    return a->kind == HX_A_STR && a->count == strlen(text) && !memcmp(a->v.str, text, a->count);
}
HX_KERNEL(k_div) {
    HX_UNUSED;
    if (mode_is(&call->attr[0], "floor")) return run_integers(call, &floor_divide, err);
    if (mode_is(&call->attr[0], "trunc")) return run_integers(call, &trunc_divide, err);
    return run(call, &divide, NULL, err);
}

/* ---- powers, angles, logarithms of sums ---- */

HX_INLINE double power(double x, double y) {
    double a = fabs(x), r = hx_d_exp(y * hx_d_log(a)), half = y * 0.5;
    bool whole = floor(y) == y, odd = whole & (floor(half) != half);
    r = (a == 1) & (fabs(y) == __builtin_inf()) ? 1.0 : r;
    r = copysign(r, odd ? x : 1.0);
    r = (x < 0) & !whole & (a != __builtin_inf()) ? __builtin_nan("") : r;
    return (y == 0) | (x == 1) ? 1.0 : r;
}
BODY(pow_f32, float, float, power(x, y))
#ifdef __FMA__
/* log x of normal positive x as a sum of two doubles, by a table of 1 / c and log c, the remainder being exact. */
typedef struct two_doubles {
    double high, low;
} two_doubles;
HX_INLINE two_doubles long_log(double x) {
    int64_t bits = hx_d_bits(x), row = bits >> 45 & 127;
    bool upper = row >= 53;
    double k = (double)((bits >> 52) - 1023 + upper);
    double m = hx_d_of_bits((bits & 0xfffffffffffff) | (upper ? 0x3fe0000000000000 : 0x3ff0000000000000));
    double r = fma(m, logarithms[row][0], -1.0), start = k * 0x1.62e42fefa4p-1 + logarithms[row][1];
    double sum = start + r, half = -0.5 * r, square = r * half, high = sum + square;
    double low = k * -0x1.8432a1b0e2634p-43 + logarithms[row][2];
    low += ((start - sum) + r) + fma(half, r, -square) + ((sum - high) + square);
    double p = r * -0.1 + 1.0 / 9;
    p = p * r + -0.125;
    p = p * r + 1.0 / 7;
    p = p * r + -1.0 / 6;
    p = p * r + 0.2;
    p = p * r + -0.25;
    p = p * r + 1.0 / 3;
    low += r * r * r * p;
    double whole = high + low;
    return (two_doubles){whole, (high - whole) + low};
}
/* exp(r + rest) 2^k for |r| <= ln 2 / 2 and small rest; little more than half a unit of the last place is lost. */
HX_INLINE double exp_of_sum(double r, double rest, double k) {
    double t = r + rest, lost = (r - t) + rest;
    double p = t * 0x1.ad1e13e4d7103p-26 + 0x1.289fde1ab0c29p-22;
    p = p * t + 0x1.71df570bbb44fp-19;
    p = p * t + 0x1.a019aae079ab4p-16;
    p = p * t + 0x1.a01a011b24fd5p-13;
    p = p * t + 0x1.6c16c17cd9340p-10;
    p = p * t + 0x1.1111111128bcdp-7;
    p = p * t + 0x1.55555555531c9p-5;
    p = p * t + 0x1.5555555555500p-3;
    p = p * t + 0.5;
    double sum = 1.0 + t, half = hx_d_round(k * 0.5);
    sum += ((1.0 - sum) + t) + (p * (t * t) + lost);
    return sum * hx_d_pow2(half) * hx_d_pow2(k - half);
}
/* Powers of normal positive numbers within the range; the others are left to pow. */
static void pow_f64(void *out, const double *const *in, int64_t n, const void *args) {
    (void)args;
    double *o = out, room[HX_MAP_BLOCK];
    for (int64_t at = 0; at < n; at += HX_MAP_BLOCK) {
        int64_t run = n - at < HX_MAP_BLOCK ? n - at : HX_MAP_BLOCK, others = 0;
        const double *a = in[0] + at, *b = in[1] + at;
        for (int64_t i = 0; i < run; i++) {
            double x = a[i], y = b[i];
            two_doubles l = long_log(x);
            double e = y * l.high, rest = fma(y, l.high, -e) + y * l.low;
            bool inside = (x >= 0x1p-1022) & (x < __builtin_inf()) & (fabs(e) < 708.0);
            double t = inside ? e : 0.0, k = hx_d_round(t * 0x1.71547652b82fep+0);
            double p = exp_of_sum(t - k * 0x1.62e42fefa0000p-1, rest - k * 0x1.cf79abc9e3b3ap-40, k);
            room[i] = inside ? p : -1.0;
            others += !inside;
        }
        for (int64_t i = 0; others && i < run; i++)
            if (room[i] < 0) room[i] = pow(a[i], b[i]);
        memcpy(o + at, room, (size_t)run * sizeof *room);
    }
}
#else
BODY(pow_f64, double, double, pow(x, y))
#endif
BODY(pow_c128, hx_c128, hx_c128, y == 0 ? 1 : x == 0 && creal(y) > 0 && cimag(y) == 0 ? 0 : cpow(x, y))

/* Wraps; a negative exponent gives what is left of 1 / x**-y as an integer. */
static int64_t power_of(int64_t x, int64_t y, bool is_unsigned) {
    if (y < 0 && !is_unsigned) return x == 1 ? 1 : x == -1 ? (y & 1 ? -1 : 1) : 0;
    uint64_t base = (uint64_t)x, r = 1;
    for (uint64_t e = (uint64_t)y; e; e >>= 1, base *= base)
        if (e & 1) r *= base;
    return (int64_t)r;
}
static void pow_i64(void *out, const int64_t *const *in, int64_t n, const void *args) {
    const integers *w = args;
    int64_t *o = out;
    for (int64_t i = 0; i < n; i++) o[i] = power_of(in[0][i], in[1][i], w->is_unsigned);
}
static const binary pow_ = {{pow_f32, pow_f64, pow_i64, pow_c128, HX_MAP_SAME, false, 0}, {NULL}};

/* The exponents of everyday: one body each, chosen once a call. */
#define FIXED_POWER(name, expr)                                                                               \
    BODY(name##_f32, float, float, expr)                                                                      \
    BODY(name##_f64, double, double, expr)                                                                    \
    HOT(name##_hot_f32, float, float, expr)                                                                   \
    static const binary name = {{name##_f32, name##_f64, NULL, NULL, HX_MAP_SAME, false, 0},                  \
                                {[HX_F32] = name##_hot_f32}};
FIXED_POWER(power_2, ((void)y, x * x))
FIXED_POWER(power_3, ((void)y, x * x * x))
FIXED_POWER(power_half, ((void)y, sqrt(x)))
FIXED_POWER(power_minus_1, ((void)y, 1 / x))

static double single_value(const hx_view *v) {
    switch (v->dtype) {
    case HX_F16: return hx_f16_to_f32(*(const uint16_t *)v->data);
    case HX_BF16: return hx_bf16_to_f32(*(const uint16_t *)v->data);
    case HX_F32: return *(const float *)v->data;
    default: return *(const double *)v->data;
    }
}
static const binary *power_for(const hx_view *exponent) {
    if (exponent->numel != 1 || exponent->dtype < HX_F16 || exponent->dtype > HX_F64) return &pow_;
    double y = single_value(exponent);
    if (y == 2) return &power_2;
    if (y == 3) return &power_3;
    if (y == 0.5) return &power_half;
    return y == -1 ? &power_minus_1 : &pow_;
}
HX_KERNEL(k_pow) {
    HX_UNUSED;
    integers w = {0, unsigned_dtype(call->in[0].dtype), false};
    return run(call, power_for(&call->in[1]), &w, err);
}

HX_INLINE double hypotenuse(double x, double y) {
    double r = sqrt(x * x + y * y);
    return (fabs(x) == __builtin_inf()) | (fabs(y) == __builtin_inf()) ? __builtin_inf() : r;
}
HX_INLINE double log_add(double x, double y) {
    double top = x > y ? x : y, r = top + hx_d_log1p_unit(hx_d_exp(-fabs(x - y)));
    return x == y ? x + 0x1.62e42fefa39efp-1 : (x != x) | (y != y) ? x + y : r;
}
HX_INLINE double log2_add(double x, double y) {
    double top = x > y ? x : y, r = top + hx_d_log1p_unit(hx_d_exp2(-fabs(x - y))) * 0x1.71547652b82fep+0;
    return x == y ? x + 1.0 : (x != x) | (y != y) ? x + y : r;
}
#define LOG_2 0x1.62e42fefa39efp-1
#define FLOATS(name, expr32, expr64)                                                                          \
    BODY(name##_f32, float, float, expr32)                                                                    \
    BODY(name##_f64, double, double, expr64)                                                                  \
    FLOATS_OP(name)
#define FLOATS_OP(name)                                                                                       \
    static const binary name##_ = {{name##_f32, name##_f64, NULL, NULL, HX_MAP_SAME, false, 64, NULL}, {NULL}}; \
    HX_KERNEL(k_##name) {                                                                                     \
        HX_UNUSED;                                                                                            \
        return run(call, &name##_, NULL, err);                                                                \
    }
FLOATS(atan2, hx_d_atan2(x, y), hx_d_atan2(x, y))
FLOATS(logaddexp, log_add(x, y), log_add(x, y))
FLOATS(logaddexp2, log_add((double)x * LOG_2, (double)y * LOG_2) * 0x1.71547652b82fep+0,
       log2_add(x, y))
BODY(hypot_f32, float, float, hypotenuse(x, y))
/* Squares that could leave the range, 0, infinities and NaN are left to hypot. */
static void hypot_f64(void *out, const double *const *in, int64_t n, const void *args) {
    (void)args;
    double room[HX_MAP_BLOCK], *o = out;
    for (int64_t at = 0; at < n; at += HX_MAP_BLOCK) {
        int64_t run = n - at < HX_MAP_BLOCK ? n - at : HX_MAP_BLOCK, far = 0;
        const double *a = in[0] + at, *b = in[1] + at;
        for (int64_t i = 0; i < run; i++) {
            room[i] = sqrt(a[i] * a[i] + b[i] * b[i]);
            far += !((room[i] > 0x1p-400) & (room[i] < 0x1p400));
        }
        for (int64_t i = 0; far && i < run; i++)
            if (!(room[i] > 0x1p-400 && room[i] < 0x1p400)) room[i] = hypot(a[i], b[i]);
        memcpy(o + at, room, (size_t)run * sizeof *room);
    }
}
FLOATS_OP(hypot)
FLOATS(copysign, copysignf(x, y), copysign(x, y))
/* Bits of floats, read as integers, are in the order of their sizes. */
#define NEXT(name, T, U, top)                                                                                 \
    HX_INLINE T name(T x, T y) {                                                                              \
        U bits, towards;                                                                                      \
        memcpy(&bits, &x, sizeof bits);                                                                       \
        memcpy(&towards, &y, sizeof towards);                                                                 \
        U grown = bits + ((x < y) == (x > 0) ? 1 : (U)-1), least = (towards & top) | 1;                          \
        bits = x == 0 ? least : grown;                                                                        \
        T next;                                                                                               \
        memcpy(&next, &bits, sizeof next);                                                                    \
        return (x != x) | (y != y) ? x + y : x == y ? y : next;                                               \
    }
NEXT(next_float, float, uint32_t, 1u << 31)
NEXT(next_double, double, uint64_t, 1ull << 63)
FLOATS(nextafter, next_float(x, y), next_double(x, y))
FLOATS(xlogy, y != y ? y : x == 0 ? 0 : (double)x * hx_d_log(y), y != y ? y : x == 0 ? 0 : x * hx_d_log(y))

/* ---- larger and smaller ---- */

#define SAME_TYPE(T) T
#define TRUTH_TYPE(T) uint8_t
#define HOT_EACH_WHOLE(name, R, expr)                                                                         \
    HOT(name##_hot_i8, int8_t, R(int8_t), expr)                                                               \
    HOT(name##_hot_i16, int16_t, R(int16_t), expr)                                                            \
    HOT(name##_hot_i32, int32_t, R(int32_t), expr)                                                            \
    HOT(name##_hot_i64, int64_t, R(int64_t), expr)                                                            \
    HOT(name##_hot_u8, uint8_t, R(uint8_t), expr)                                                             \
    HOT(name##_hot_u16, uint16_t, R(uint16_t), expr)                                                          \
    HOT(name##_hot_u32, uint32_t, R(uint32_t), expr)                                                          \
    HOT(name##_hot_u64, uint64_t, R(uint64_t), expr)
#define EACH_WHOLE_OF(name)                                                                                   \
    [HX_BOOL] = name##_hot_u8, [HX_I8] = name##_hot_i8, [HX_I16] = name##_hot_i16, [HX_I32] = name##_hot_i32, \
    [HX_I64] = name##_hot_i64, [HX_U8] = name##_hot_u8, [HX_U16] = name##_hot_u16, [HX_U32] = name##_hot_u32, \
    [HX_U64] = name##_hot_u64
#define CHOICE(name, expr, with_nan)                                                                          \
    HOT(name##_hot_f32, float, float, with_nan)                                                               \
    HOT(name##_hot_f64, double, double, with_nan)                                                             \
    HOT_EACH_WHOLE(name, SAME_TYPE, expr)                                                                     \
    BODY(name##_f32, float, float, with_nan)                                                                  \
    BODY(name##_f64, double, double, with_nan)                                                                \
    BODY(name##_i64, int64_t, int64_t, expr)                                                                  \
    static const binary name = {{name##_f32, name##_f64, name##_i64, NULL, HX_MAP_SAME, true, 0},             \
                                {FLOATS_OF(name), EACH_WHOLE_OF(name)}};                                \
    KERNEL_OF(name)
CHOICE(maximum, x > y ? x : y, x > y || x != x ? x : y)
CHOICE(minimum, x < y ? x : y, x < y || x != x ? x : y)
#define CHOICE_OF_NUMBERS(name, expr, number)                                                                 \
    BODY(name##_f32, float, float, number)                                                                    \
    BODY(name##_f64, double, double, number)                                                                  \
    BODY(name##_i64, int64_t, int64_t, expr)                                                                  \
    static const binary name##_ = {{name##_f32, name##_f64, name##_i64, NULL, HX_MAP_SAME, true, 0}, {NULL}}; \
    HX_KERNEL(k_##name) {                                                                                     \
        HX_UNUSED;                                                                                            \
        return run(call, &name##_, NULL, err);                                                                \
    }
CHOICE_OF_NUMBERS(fmax, x > y ? x : y, x > y || y != y ? x : y)
CHOICE_OF_NUMBERS(fmin, x < y ? x : y, x < y || y != y ? x : y)

static void heaviside_f32(void *out, const float *const *in, int64_t n, const void *args) {
    (void)args;
    float *o = out;
    for (int64_t i = 0; i < n; i++) {
        float x = in[0][i];
        o[i] = x != x ? x : x == 0 ? in[1][i] : x > 0;
    }
}
static void heaviside_f64(void *out, const double *const *in, int64_t n, const void *args) {
    (void)args;
    double *o = out;
    for (int64_t i = 0; i < n; i++) {
        double x = in[0][i];
        o[i] = x != x ? x : x == 0 ? in[1][i] : x > 0;
    }
}
BODY(heaviside_i64, int64_t, int64_t, x == 0 ? y : x > 0)
WHOLE_OP(heaviside, heaviside_f32, heaviside_f64, heaviside_i64)
KERNEL_OF(heaviside)

/* ---- comparisons and logic: bool results ---- */

#define COMPARISON(name, expr)                                                                                \
    HOT(name##_hot_f32, float, uint8_t, expr)                                                                 \
    HOT(name##_hot_f64, double, uint8_t, expr)                                                                \
    HOT_EACH_WHOLE(name, TRUTH_TYPE, expr)                                                                    \
    BODY(name##_f32, float, uint8_t, expr)                                                                    \
    BODY(name##_f64, double, uint8_t, expr)                                                                   \
    BODY(name##_i64, int64_t, uint8_t, expr)
#define COMPARISON_OP(name, c128)                                                                             \
    static const binary name = {{name##_f32, name##_f64, name##_i64, c128, HX_MAP_BOOL, true, 0},             \
                                {FLOATS_OF(name), EACH_WHOLE_OF(name)}};                                      \
    KERNEL_OF(name)
COMPARISON(eq, x == y)
COMPARISON(ne, x != y)
COMPARISON(lt, x < y)
COMPARISON(le, x <= y)
COMPARISON(gt, x > y)
COMPARISON(ge, x >= y)
BODY(eq_c128, hx_c128, uint8_t, x == y)
BODY(ne_c128, hx_c128, uint8_t, x != y)
COMPARISON_OP(eq, eq_c128)
COMPARISON_OP(ne, ne_c128)
COMPARISON_OP(lt, NULL)
COMPARISON_OP(le, NULL)
COMPARISON_OP(gt, NULL)
COMPARISON_OP(ge, NULL)

#define LOGIC(name, op)                                                                                       \
    BODY(name##_f32, float, uint8_t, (x != 0) op (y != 0))                                                    \
    BODY(name##_f64, double, uint8_t, (x != 0) op (y != 0))                                                   \
    BODY(name##_i64, int64_t, uint8_t, (x != 0) op (y != 0))                                                  \
    BODY(name##_c128, hx_c128, uint8_t, (x != 0) op (y != 0))                                                 \
    static const binary name = {{name##_f32, name##_f64, name##_i64, name##_c128, HX_MAP_BOOL, false, 0}, {NULL}}; \
    KERNEL_OF(name)
LOGIC(logical_and, &)
LOGIC(logical_or, |)
LOGIC(logical_xor, ^)

/* ---- bits and number theory ---- */

#define BITS(name, expr)                                                                                      \
    HOT(name##_hot_8, uint8_t, uint8_t, expr)                                                                 \
    HOT(name##_hot_16, uint16_t, uint16_t, expr)                                                              \
    HOT(name##_hot_32, uint32_t, uint32_t, expr)                                                              \
    HOT(name##_hot_64, uint64_t, uint64_t, expr)                                                              \
    BODY(name##_i64, int64_t, int64_t, expr)                                                                  \
    static const binary name = {{NULL, NULL, name##_i64, NULL, HX_MAP_SAME, false, 0},                        \
                                {WHOLES_OF(name), [HX_BOOL] = name##_hot_8}};                                 \
    KERNEL_OF(name)
BITS(bitwise_and, x & y)
BITS(bitwise_or, x | y)
BITS(bitwise_xor, x ^ y)

/* A shift by the width or more, or by a negative count, moves everything out. */
static void left_shift_i64(void *out, const int64_t *const *in, int64_t n, const void *args) {
    const integers *w = args;
    uint64_t *o = out;
    for (int64_t i = 0; i < n; i++) {
        uint64_t y = (uint64_t)in[1][i];
        o[i] = y < (uint64_t)w->bits ? (uint64_t)in[0][i] << y : 0;
    }
}
static void right_shift_i64(void *out, const int64_t *const *in, int64_t n, const void *args) {
    const integers *w = args;
    int64_t *o = out;
    for (int64_t i = 0; i < n; i++) {
        int64_t x = in[0][i];
        uint64_t y = (uint64_t)in[1][i];
        bool inside = y < (uint64_t)w->bits;
        if (w->is_unsigned) o[i] = inside ? (int64_t)((uint64_t)x >> y) : 0;
        else o[i] = x >> (inside ? y : 63);
    }
}
static int64_t gcd_of(uint64_t x, uint64_t y) {
    while (y) {
        uint64_t r = x % y;
        x = y;
        y = r;
    }
    return (int64_t)x;
}
static inline uint64_t size_of(int64_t x, bool is_unsigned) { return x < 0 && !is_unsigned ? 0 - (uint64_t)x : (uint64_t)x; }
static void gcd_i64(void *out, const int64_t *const *in, int64_t n, const void *args) {
    const integers *w = args;
    int64_t *o = out;
    for (int64_t i = 0; i < n; i++) o[i] = gcd_of(size_of(in[0][i], w->is_unsigned), size_of(in[1][i], w->is_unsigned));
}
static void lcm_i64(void *out, const int64_t *const *in, int64_t n, const void *args) {
    const integers *w = args;
    int64_t *o = out;
    for (int64_t i = 0; i < n; i++) {
        uint64_t x = size_of(in[0][i], w->is_unsigned), y = size_of(in[1][i], w->is_unsigned);
        uint64_t g = (uint64_t)gcd_of(x, y);
        o[i] = g ? (int64_t)(x / g * y) : 0;
    }
}
#define INTEGERS_ONLY(name, body)                                                                             \
    WHOLE_OP(name##_, NULL, NULL, body)                                                                       \
    KERNEL_OF_INTEGERS(name, name##_)
INTEGERS_ONLY(bitwise_left_shift, left_shift_i64)
INTEGERS_ONLY(bitwise_right_shift, right_shift_i64)
INTEGERS_ONLY(gcd, gcd_i64)
INTEGERS_ONLY(lcm, lcm_i64)

#define BITS_SET (HX_SET_INTEGER | HX_BIT(HX_BOOL))
#define EXACT_FLOATS (HX_BIT(HX_F32) | HX_BIT(HX_F64))

HX_KERNELS(binary) = {KERNEL(add, k_add, HX_SET_ALL),
                      KERNEL(sub, k_sub, HX_SET_ALL),
                      KERNEL(mul, k_mul, HX_SET_ALL),
                      KERNEL(div, k_div, HX_SET_ALL & ~HX_BIT(HX_BOOL)),
                      KERNEL(floor_divide, k_floor_divide, HX_SET_REAL),
                      KERNEL(fmod, k_fmod, HX_SET_REAL),
                      KERNEL(remainder, k_remainder, HX_SET_REAL),
                      KERNEL(pow, k_pow, HX_SET_ALL),
                      KERNEL(atan2, k_atan2, HX_SET_FLOAT),
                      KERNEL(hypot, k_hypot, HX_SET_FLOAT),
                      KERNEL(logaddexp, k_logaddexp, HX_SET_FLOAT),
                      KERNEL(logaddexp2, k_logaddexp2, HX_SET_FLOAT),
                      KERNEL(copysign, k_copysign, HX_SET_FLOAT),
                      KERNEL(nextafter, k_nextafter, EXACT_FLOATS),
                      KERNEL(xlogy, k_xlogy, HX_SET_FLOAT),
                      KERNEL(maximum, k_maximum, HX_SET_REAL),
                      KERNEL(minimum, k_minimum, HX_SET_REAL),
                      KERNEL(fmax, k_fmax, HX_SET_REAL),
                      KERNEL(fmin, k_fmin, HX_SET_REAL),
                      KERNEL(heaviside, k_heaviside, HX_SET_REAL),
                      KERNEL(eq, k_eq, HX_SET_ALL),
                      KERNEL(ne, k_ne, HX_SET_ALL),
                      KERNEL(lt, k_lt, HX_SET_REAL),
                      KERNEL(le, k_le, HX_SET_REAL),
                      KERNEL(gt, k_gt, HX_SET_REAL),
                      KERNEL(ge, k_ge, HX_SET_REAL),
                      KERNEL(logical_and, k_logical_and, HX_SET_ALL),
                      KERNEL(logical_or, k_logical_or, HX_SET_ALL),
                      KERNEL(logical_xor, k_logical_xor, HX_SET_ALL),
                      KERNEL(bitwise_and, k_bitwise_and, BITS_SET),
                      KERNEL(bitwise_or, k_bitwise_or, BITS_SET),
                      KERNEL(bitwise_xor, k_bitwise_xor, BITS_SET),
                      KERNEL(bitwise_left_shift, k_bitwise_left_shift, HX_SET_INTEGER),
                      KERNEL(bitwise_right_shift, k_bitwise_right_shift, HX_SET_INTEGER),
                      KERNEL(gcd, k_gcd, HX_SET_INTEGER),
                      KERNEL(lcm, k_lcm, HX_SET_INTEGER),
                      {0}};
