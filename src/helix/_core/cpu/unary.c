/* Elementwise ops of one tensor. float32 runs on registers (vmath.h) or on double arithmetic, float64 on
 * the functions of vmath.h or on libm, complex on C99 functions in complex128, the halves and complex64 through blocks. */
#include "maps.h"
#include "lanemath.h"
#include "special_tables.h"

#define BODY(name, T, R, expr)                                                                                \
    static void name(void *out, const T *const *in, int64_t n, const void *args) {                            \
        (void)args;                                                                                           \
        R *o = out;                                                                                           \
        const T *a = in[0];                                                                                   \
        _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                                                \
            const T x = a[i];                                                                                 \
            o[i] = (R)(expr);                                                                                 \
        }                                                                                                     \
    }
#define F32(name, expr) BODY(name##_f32, float, float, expr)
#define F64(name, expr) BODY(name##_f64, double, double, expr)
#define I64(name, expr) BODY(name##_i64, int64_t, int64_t, expr)
#define C128(name, expr) BODY(name##_c128, hx_c128, hx_c128, expr)
/* A body over registers. */
#define VF(name, expr)                                                                                        \
    static void name##_f32(void *out, const float *const *in, int64_t n, const void *args) {                  \
        (void)args;                                                                                           \
        float *o = out;                                                                                       \
        const float *a = in[0];                                                                               \
        HX_VF_LOOP(o, a, n, x, expr);                                                                         \
    }

/* float64 over registers where there are tables for them, over plain doubles elsewhere. */
#ifdef HX_VD_LOOP
#define VD(name, expr, plain)                                                                                 \
    static void name##_f64(void *out, const double *const *in, int64_t n, const void *args) {                 \
        (void)args;                                                                                           \
        double *o = out;                                                                                      \
        const double *a = in[0];                                                                              \
        HX_VD_LOOP(o, a, n, x, expr);                                                                         \
    }
#else
#define VD(name, expr, plain) F64(name, plain)
#endif

#define OP(name, f32, f64, i64, c128, result, cost)                                                           \
    static const hx_map name##_map = {f32, f64, i64, c128, result, false, cost, NULL};                        \
    HX_KERNEL(k_##name) {                                                                                     \
        HX_UNUSED;                                                                                            \
        return hx_run_map(call, &name##_map, NULL, err);                                                      \
    }
#define OP_ALL(name) OP(name, name##_f32, name##_f64, name##_i64, name##_c128, HX_MAP_SAME, 0)
#define OP_FLOAT(name, cost) OP(name, name##_f32, name##_f64, NULL, NULL, HX_MAP_SAME, cost)
#define OP_COMPLEX(name, cost) OP(name, name##_f32, name##_f64, NULL, name##_c128, HX_MAP_SAME, cost)

/* f64 and c128 by functions of the same meaning. */
#define PAIR(name, f64, c128)                                                                                 \
    F64(name, f64(x))                                                                                         \
    C128(name, c128(x))                                                                                       \
    OP_COMPLEX(name, 64)

/* ---- complex64 by formulas for the parts in double, where nothing overflows ---- */

/* Results that are NaN twice are C's (`exact` of x in complex128), which knows infinities. */
#define PARTS(name, re_expr, im_expr, exact)                                                                  \
    static void name##_c64(void *out, const hx_c64 *const *in, int64_t n, const void *args) {                 \
        (void)args;                                                                                           \
        enum { RUN = 256 };                                                                                   \
        hx_c64 *o = out;                                                                                      \
        float room[2 * RUN];                                                                                  \
        for (int64_t at = 0; at < n; at += RUN) {                                                             \
            const float *a = (const float *)(in[0] + at);                                                     \
            int64_t run = n - at < RUN ? n - at : RUN, lost = 0;                                              \
            for (int64_t i = 0; i < run; i++) {                                                               \
                double re = a[2 * i], im = a[2 * i + 1], to_re = re_expr, to_im = im_expr;                    \
                room[2 * i] = (float)to_re;                                                                   \
                room[2 * i + 1] = (float)to_im;                                                               \
                lost += (to_re != to_re) & (to_im != to_im);                                                  \
            }                                                                                                 \
            for (int64_t i = 0; lost && i < run; i++) {                                                       \
                hx_c128 x = in[0][at + i];                                                                    \
                hx_c64 z = (hx_c64)(exact);                                                                   \
                memcpy(room + 2 * i, &z, sizeof z);                                                           \
            }                                                                                                 \
            memcpy(o + at, room, (size_t)run * sizeof *o);                                                    \
        }                                                                                                     \
    }
/* The signs of one part or both. */
#define SIGNS(name, re_sign)                                                                                  \
    static void name##_c64(void *out, const hx_c64 *const *in, int64_t n, const void *args) {                 \
        (void)args;                                                                                           \
        float *o = out;                                                                                       \
        const float *a = (const float *)in[0];                                                                \
        _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                                                \
            o[2 * i] = re_sign a[2 * i];                                                                      \
            o[2 * i + 1] = -a[2 * i + 1];                                                                     \
        }                                                                                                     \
    }
#define OP_PARTS(name, f32, f64, i64)                                                                         \
    static const hx_map name##_map = {f32, f64, i64, name##_c128, HX_MAP_SAME, false, 0, name##_c64};         \
    HX_KERNEL(k_##name) {                                                                                     \
        HX_UNUSED;                                                                                            \
        return hx_run_map(call, &name##_map, NULL, err);                                                      \
    }

/* ---- sign and size ---- */

F32(neg, -x)
F64(neg, -x)
I64(neg, 0 - (uint64_t)x)
C128(neg, -x)
SIGNS(neg, -)
OP_PARTS(neg, neg_f32, neg_f64, neg_i64)

I64(whole, x)
I64(not_zero, x != 0)
static const hx_map itself = {.i64 = whole_i64}, not_zero = {.i64 = not_zero_i64};

F32(abs, fabsf(x))
F64(abs, fabs(x))
I64(abs, x < 0 ? 0 - (uint64_t)x : (uint64_t)x)
/* Squares of parts far from 1 could leave the range: those, 0, infinities and NaN are left to cabs. */
static void abs_c128(void *out, const hx_c128 *const *in, int64_t n, const void *args) {
    (void)args;
    double room[HX_MAP_BLOCK], *o = out;
    for (int64_t at = 0; at < n; at += HX_MAP_BLOCK) {
        int64_t run = n - at < HX_MAP_BLOCK ? n - at : HX_MAP_BLOCK;
        const double *x = (const double *)(in[0] + at);
        for (int64_t i = 0; i < run; i++) room[i] = sqrt(x[2 * i] * x[2 * i] + x[2 * i + 1] * x[2 * i + 1]);
        for (int64_t i = 0; i < run; i++)
            if (!(room[i] > 0x1p-400 && room[i] < 0x1p400)) room[i] = cabs(in[0][at + i]);
        memcpy(o + at, room, (size_t)run * sizeof *room);
    }
}
OP(abs, abs_f32, abs_f64, abs_i64, NULL, HX_MAP_SAME, 0)
static const hx_map abs_complex = {.c128 = abs_c128, .result = HX_MAP_REAL};
HX_KERNEL(k_abs_any) {
    if (call->in[0].dtype == HX_U64) return hx_run_map(call, &itself, NULL, err);
    if (call->in[0].dtype >= HX_C64) return hx_run_map(call, &abs_complex, NULL, err);
    return k_abs(dev, stream, call, err);
}

F32(sign, (x > 0) - (x < 0))
F64(sign, (x > 0) - (x < 0))
I64(sign, (x > 0) - (x < 0))
C128(sign, x == 0 ? 0 : x / cabs(x))
OP_ALL(sign)
HX_KERNEL(k_sign_any) {
    if (call->in[0].dtype == HX_U64) return hx_run_map(call, &not_zero, NULL, err);
    return k_sign(dev, stream, call, err);
}

F32(square, x *x)
F64(square, x *x)
I64(square, (uint64_t)x * (uint64_t)x)
C128(square, x *x)
PARTS(square, re *re - im *im, 2.0 * re * im, x *x)
OP_PARTS(square, square_f32, square_f64, square_i64)

F32(reciprocal, 1.0f / x)
F64(reciprocal, 1.0 / x)
C128(reciprocal, 1.0 / x)
PARTS(reciprocal, re / (re * re + im * im), -im / (re * re + im * im), 1.0 / x)
OP_PARTS(reciprocal, reciprocal_f32, reciprocal_f64, NULL)
F32(sqrt, sqrtf(x))
F64(sqrt, sqrt(x))
C128(sqrt, csqrt(x))
OP_COMPLEX(sqrt, 0)
F32(rsqrt, 1.0f / sqrtf(x))
F64(rsqrt, 1.0 / sqrt(x))
C128(rsqrt, 1.0 / csqrt(x))
OP_COMPLEX(rsqrt, 0)

C128(conj_physical, conj(x))
SIGNS(conj_physical, +)
OP_PARTS(conj_physical, NULL, NULL, NULL)
BODY(real_c128, hx_c128, double, creal(x))
OP(real_part, NULL, NULL, NULL, real_c128, HX_MAP_REAL, 0)
BODY(imag_c128, hx_c128, double, cimag(x))
OP(imag_part, NULL, NULL, NULL, imag_c128, HX_MAP_REAL, 0)
F32(angle, x != x ? x : signbit(x) && x != 0 ? 0x1.921fb6p+1f : 0)
F64(angle, x != x ? x : signbit(x) && x != 0 ? 0x1.921fb54442d18p+1 : 0)
static void angle_c128(void *out, const hx_c128 *const *in, int64_t n, const void *args) {
    (void)args;
    double *o = out;
    const double *a = (const double *)in[0];
    for (int64_t i = 0; i < n; i++) o[i] = hx_d_atan2(a[2 * i + 1], a[2 * i]);
}
OP(angle, angle_f32, angle_f64, NULL, NULL, HX_MAP_SAME, 0)
static const hx_map angle_complex = {.c128 = angle_c128, .result = HX_MAP_REAL};
HX_KERNEL(k_angle_any) {
    if (call->in[0].dtype >= HX_C64) return hx_run_map(call, &angle_complex, NULL, err);
    return k_angle(dev, stream, call, err);
}

/* ---- exponentials and logarithms ---- */

#define LN_2 0x1.62e42fefa39efp-1
#define LOG2_E 0x1.71547652b82fep+0
#define LOG10_E 0x1.bcb7b1526e50ep-2

VF(exp, hx_vf_exp(x))
VD(exp, hx_vd_exp(x), hx_d_exp(x))
C128(exp, cexp(x))
/* Parts in double; what is large, or no number, is left to cexp. */
static void exp_c64(void *out, const hx_c64 *const *in, int64_t n, const void *args) {
    (void)args;
    enum { RUN = 256 };
    hx_c64 *o = out;
    float room[2 * RUN];
    for (int64_t at = 0; at < n; at += RUN) {
        const float *a = (const float *)(in[0] + at);
        int64_t run = n - at < RUN ? n - at : RUN, lost = 0;
        for (int64_t i = 0; i < run; i++) {
            double re = a[2 * i], im = a[2 * i + 1], size = hx_d_exp(re);
            room[2 * i] = (float)(size * hx_d_sincos(im, 1));
            room[2 * i + 1] = (float)(size * hx_d_sincos(im, 0));
            lost += !(fabs(re) <= 700.0) | !(fabs(im) <= HX_TRIG_LIMIT);
        }
        for (int64_t i = 0; lost && i < run; i++) {
            if (fabs((double)a[2 * i]) <= 700.0 && fabs((double)a[2 * i + 1]) <= HX_TRIG_LIMIT) continue;
            hx_c64 z = (hx_c64)cexp((hx_c128)in[0][at + i]);
            memcpy(room + 2 * i, &z, sizeof z);
        }
        memcpy(o + at, room, (size_t)run * sizeof *o);
    }
}
OP_PARTS(exp, exp_f32, exp_f64, NULL)
VF(expm1, hx_vf_expm1(x))
static hx_c128 complex_expm1(hx_c128 x) {
    if (!isfinite(creal(x)) || !isfinite(cimag(x))) {
        hx_c128 y = cexp(x); /* which has the special cases of C's Annex G; y - 1 by parts keeps them */
        return CMPLX(creal(y) - 1, cimag(y));
    }
    double a = creal(x), b = cimag(x), half = sin(b * 0.5);
    double re = expm1(a) * cos(b) - 2 * half * half, im = exp(a) * sin(b);
    return CMPLX(re, im);
}
PAIR(expm1, hx_d_expm1, complex_expm1)
VF(exp2, hx_vf_exp2(x))
VD(exp2, hx_vd_exp2(x), hx_d_exp2(x))
static hx_c128 complex_exp2(hx_c128 x) { return cexp(x * LN_2); }
C128(exp2, complex_exp2(x))
OP_COMPLEX(exp2, 0)
VF(log, hx_vf_log(x))
VD(log, hx_vd_log(x), hx_d_log(x))
C128(log, clog(x))
OP_COMPLEX(log, 0)
VF(log2, hx_vf_log2(x))
VD(log2, hx_vd_log2(x), hx_d_log2(x))
static hx_c128 complex_log2(hx_c128 x) { return clog(x) * LOG2_E; }
C128(log2, complex_log2(x))
OP_COMPLEX(log2, 0)
VF(log10, hx_vf_log10(x))
static hx_c128 complex_log10(hx_c128 x) { return clog(x) * LOG10_E; }
VD(log10, hx_vd_log10(x), hx_d_log10(x))
C128(log10, complex_log10(x))
OP_COMPLEX(log10, 64)
VF(log1p, hx_vf_log1p(x))
static hx_c128 complex_log1p(hx_c128 x) { return clog(1 + x); }
VD(log1p, hx_vd_log1p(x), hx_d_log1p(x))
C128(log1p, complex_log1p(x))
OP_COMPLEX(log1p, 64)

/* ---- circular ---- */

/* Arguments too large for the fast reduction are rare: libm takes them one by one. */
#define CIRCULAR_RUN(name, T)                                                                                 \
    static bool name##_within(const T *a, int64_t n, T limit) {                                               \
        int outside = 0;                                                                                      \
        for (int64_t i = 0; i < n; i++) outside |= !((a[i] < 0 ? -a[i] : a[i]) <= limit);                     \
        return !outside;                                                                                      \
    }                                                                                                         \
    static void name(T *o, const T *a, int64_t n, T limit, void (*fast)(T *, const T *, int64_t),             \
                     double (*slow)(double)) {                                                                \
        for (int64_t at = 0; at < n; at += HX_MAP_BLOCK) {                                                    \
            int64_t run = n - at < HX_MAP_BLOCK ? n - at : HX_MAP_BLOCK;                                      \
            if (name##_within(a + at, run, limit)) {                                                          \
                fast(o + at, a + at, run);                                                                    \
                continue;                                                                                     \
            }                                                                                                 \
            T given[HX_MAP_BLOCK];                                                                            \
            memcpy(given, a + at, (size_t)run * sizeof *given);                                               \
            fast(o + at, given, run);                                                                         \
            for (int64_t i = 0; i < run; i++)                                                                 \
                if (!(fabs((double)given[i]) <= (double)limit)) o[at + i] = (T)slow((double)given[i]);        \
        }                                                                                                     \
    }
CIRCULAR_RUN(circular_f32, float)
CIRCULAR_RUN(circular_f64, double)
#define CIRCULAR(name, type, T, expr, slow)                                                                   \
    static void name##_fast_##type(T *o, const T *a, int64_t n) {                                             \
        _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                                                \
            const double x = a[i];                                                                            \
            o[i] = (T)(expr);                                                                                 \
        }                                                                                                     \
    }                                                                                                         \
    CIRCULAR_BODY(name, type, T, (T)HX_TRIG_LIMIT, slow)
#define CIRCULAR_BODY(name, type, T, limit, slow)                                                             \
    static void name##_##type(void *out, const T *const *in, int64_t n, const void *args) {                   \
        (void)args;                                                                                           \
        circular_##type(out, in[0], n, limit, name##_fast_##type, slow);                                      \
    }
#define CIRCULAR_OP(name, expr, slow, complex)                                                                \
    CIRCULAR(name, f64, double, expr, slow)                                                                   \
    C128(name, complex(x))                                                                                    \
    OP_COMPLEX(name, 64)
#ifdef HX_VF_TRIG_LIMIT
static void sin_fast_f32(float *o, const float *a, int64_t n) { HX_VF_LOOP(o, a, n, x, hx_vf_sincos(x, 0)); }
static void cos_fast_f32(float *o, const float *a, int64_t n) { HX_VF_LOOP(o, a, n, x, hx_vf_sincos(x, 1)); }
CIRCULAR_BODY(sin, f32, float, HX_VF_TRIG_LIMIT, sin)
static void tan_fast_f32(float *o, const float *a, int64_t n) {
    HX_VF_LOOP(o, a, n, x, hx_vf_sincos(x, 0) / hx_vf_sincos(x, 1));
}
CIRCULAR_BODY(cos, f32, float, HX_VF_TRIG_LIMIT, cos)
CIRCULAR_BODY(tan, f32, float, HX_VF_TRIG_LIMIT, tan)
#else
CIRCULAR(sin, f32, float, hx_d_sincos(x, 0), sin)
CIRCULAR(cos, f32, float, hx_d_sincos(x, 1), cos)
CIRCULAR(tan, f32, float, hx_d_sincos(x, 0) / hx_d_sincos(x, 1), tan)
#endif
CIRCULAR_OP(sin, hx_d_sincos(x, 0), sin, csin)
CIRCULAR_OP(cos, hx_d_sincos(x, 1), cos, ccos)
CIRCULAR_OP(tan, hx_d_sincos(x, 0) / hx_d_sincos(x, 1), tan, ctan)
VF(asin, hx_vf_asin(x))
VD(asin, hx_vd_asin(x), hx_d_asin(x))
C128(asin, casin(x))
OP_COMPLEX(asin, 64)
VF(acos, hx_vf_acos(x))
VD(acos, hx_vd_acos(x), hx_d_acos(x))
C128(acos, cacos(x))
OP_COMPLEX(acos, 64)
VF(atan, hx_vf_atan(x))
PAIR(atan, hx_d_atan, catan)

#define PI 0x1.921fb54442d18p+1
static double plain_sinc(double x) { return x == 0 ? 1.0 : sin(PI * x) / (PI * x); }
CIRCULAR(sinc, f32, float, x == 0 ? 1.0 : hx_d_sincos(PI * x, 0) / (PI * x), plain_sinc)
static hx_c128 complex_sinc(hx_c128 x) { return x == 0 ? 1.0 : csin(PI * x) / (PI * x); }
PAIR(sinc, plain_sinc, complex_sinc)

/* ---- hyperbolic ---- */

HX_INLINE double sinh_of(double x) {
    double a = fabs(x), q = hx_d_quarter_expm1(a), r = 2.0 / (4.0 * q + 1.0);
    double y = a < 0.35 ? 4.0 * q - q * (4.0 * q * r) : 2.0 * q + q * r;
    return a < 0x1p-28 ? x : copysign(y, x);
}
F32(sinh, sinh_of(x))
PAIR(sinh, sinh_of, csinh)
HX_INLINE double cosh_of(double x) {
    double q = hx_d_quarter_expm1(fabs(x));
    return 2.0 * q + (0.5 + 0.5 / (4.0 * q + 1.0));
}
F32(cosh, cosh_of(x))
PAIR(cosh, cosh_of, ccosh)
VF(tanh, hx_vf_tanh(x))
/* A Chebyshev fit of (tanh(x) / x - 1) / x^2 below 0.55, and 1 - 2 / (exp(2 x) + 1) above; 2 ULP of double. */
HX_INLINE double tanh_of(double x) {
    double a = fabs(x), z = x * x;
    double p = z * -0x1.59a8341879ab8p-16 + 0x1.64fd88e98ec33p-14;
    p = p * z + -0x1.ec1091436e433p-13;
    p = p * z + 0x1.34c5a8a996c2ap-11;
    p = p * z + -0x1.7d97cfd138c14p-10;
    p = p * z + 0x1.d6d339333f327p-9;
    p = p * z + -0x1.226e32f00cf0cp-7;
    p = p * z + 0x1.664f487713373p-6;
    p = p * z + -0x1.ba1ba1b9fec84p-5;
    p = p * z + 0x1.1111111111032p-3;
    p = p * z + -0x1.5555555555555p-2;
    double far = 1.0 - 2.0 / (hx_d_exp(2.0 * a) + 1.0);
    return copysign(a < 0.55 ? a + a * z * p : far, x);
}
VD(tanh, hx_vd_tanh(x), tanh_of(x))
C128(tanh, ctanh(x))
OP_COMPLEX(tanh, 0)
/* Beyond 2^28, log(2 a). */
HX_INLINE double asinh_of(double x) {
    double a = fabs(x), s = a * a;
    bool far = a > 0x1p28;
    double y = hx_d_log1p(far ? a - 1.0 : a + s / (1.0 + sqrt(s + 1.0)));
    return copysign(far ? y + LN_2 : y, x);
}
F32(asinh, asinh_of(x))
PAIR(asinh, asinh_of, casinh)
HX_INLINE double acosh_of(double x) {
    double t = x - 1.0;
    bool far = x > 0x1p28;
    double y = hx_d_log1p(far ? t : t + sqrt(t * (t + 2.0)));
    return x < 1.0 ? __builtin_nan("") : far ? y + LN_2 : y;
}
F32(acosh, acosh_of(x))
PAIR(acosh, acosh_of, cacosh)
HX_INLINE double atanh_of(double x) {
    double a = fabs(x);
    return copysign(0.5 * hx_d_log1p(2.0 * a / (1.0 - a)), x);
}
VF(atanh, hx_vf_atanh(x))
VD(atanh, hx_vd_atanh(x), atanh_of(x))
C128(atanh, catanh(x))
OP_COMPLEX(atanh, 64)

/* ---- error function, gamma function, logistic ---- */

VF(erf, hx_vf_erf(x))
VD(erf, hx_vd_erf(x), hx_d_erf(x))
OP_FLOAT(erf, 0)
#ifdef HX_VD_LOOP
VF(erfc, hx_vf_erfc(x))
#else
/* exp(-x * x) times a polynomial in 1 / (1 + x / 2): minimax on [0, 10.3], 1e-11. */
HX_INLINE double erfc_of(double x) {
    double a = fabs(x), t = 1.0 / (1.0 + 0.5 * (a > 10.3 ? 10.3 : a));
    double p = t * 0x1.9bdfb155cfb1ap-6 + -0x1.8c525973a9dccp-3;
    p = p * t + 0x1.483bb5fef5456p-1;
    p = p * t + -0x1.29148469fdbd1p+0;
    p = p * t + 0x1.2d2a8a5edaa51p+0;
    p = p * t + -0x1.23993f6a9a182p-1;
    p = p * t + 0x1.68c52b35eaa76p-5;
    p = p * t + 0x1.751eae66c7f2dp-7;
    p = p * t + -0x1.0992f87d27672p-4;
    p = p * t + 0x1.bb406e6eaf10ep-4;
    p = p * t + 0x1.5c623cd2df859p-3;
    p = p * t + 0x1.fba08be90e019p-3;
    p = p * t + 0x1.20c09cf1191b2p-2;
    p = p * t + 0x1.20df3fa3fea0bp-2;
    p = p * t + -0x1.941d0c309d7cep-23;
    double y = p * hx_d_exp(-(a * a));
    return x != x ? x : x < 0 ? 2.0 - y : y;
}
F32(erfc, erfc_of(x))
#endif
VD(erfc, hx_vd_erfc(x), hx_d_erfc(x))
OP_FLOAT(erfc, 64)

/* erfinv(x) / x in w = -log(1 - x * x), after Giles, "Approximating the erfinv function", GPU Computing Gems 2 (2011). */
HX_INLINE double erfinv_of(double x) {
    double w = -hx_d_log((1.0 - x) * (1.0 + x)), v = sqrt(w);
    double near = erfinv_near(w * 0.32 - 1.0), far = erfinv_far((v - 4.3) * (1.0 / 1.8));
    double y = x * (w < 6.25 ? near : far);
    return fabs(x) == 1.0 ? copysign(__builtin_inf(), x) : y;
}
VF(erfinv, hx_vf_erfinv(x))
#ifdef HX_VD_LOOP
/* Arguments beyond 15/16 are rare: they are gathered, and put where they belong when the others are done. */
static void erfinv_f64(void *out, const double *const *in, int64_t n, const void *args) {
    (void)args;
    enum { LANES = HX_LANES_OF(double), RUN = 512 };
    double far[RUN + LANES], *o = out;
    uint8_t which[RUN / LANES];
    for (int64_t at = 0; at < n; at += RUN, o += RUN) {
        int64_t run = n - at < RUN ? n - at : RUN, count = 0, found = 0;
        const double *a = in[0] + at;
        for (int64_t i = 0; i < run; i += LANES) {
            hx_dm there = hx_vd_first(run - i);
            hx_vd x = hx_vd_load_first(there, a + i);
            which[i / LANES] = hx_vd_lt(hx_vd_all(0.9375), hx_vd_abs(x));
            count += hx_vd_pack(far + count, which[i / LANES], x);
            hx_vd_store_first(there, o + i, hx_vd_erfinv_near(x));
        }
        HX_VD_LOOP(far, far, count, x, hx_vd_erfinv_far(x));
        for (int64_t i = 0; count && i < run; i += LANES) found += hx_vd_unpack(o + i, which[i / LANES], far + found);
    }
}
#else
F64(erfinv, erfinv_of(x))
#endif
OP_FLOAT(erfinv, 0)

static double log_gamma(double x) {
    int sign;
    return lgamma_r(x, &sign);
}
/* Stirling's series (Digital Library of Mathematical Functions 5.11.1) from 8 on, below by the recurrence, for negative x by
 * reflection; beside the zeros at 1 and 2 by their Taylor series (5.7.3). For float results. */
HX_INLINE double log_gamma_of_size(double x) {
    double a = fabs(x), b = a - 1.0, c = a - 2.0;
    bool small = a < 8.0;
    double product = a * (a + 1.0) * (a + 2.0) * (a + 3.0) * ((a + 4.0) * (a + 5.0) * (a + 6.0) * (a + 7.0));
    double t = small ? a + 8.0 : a, r = 1.0 / t, z = r * r;
    double series = z * (1.0 / 156) + -691.0 / 360360;
    series = series * z + 1.0 / 1188;
    series = series * z + -1.0 / 1680;
    series = series * z + 1.0 / 1260;
    series = series * z + -1.0 / 360;
    series = series * z + 1.0 / 12;
    double y = (t - 0.5) * hx_d_log(t) - t + 0x1.d67f1c864beb5p-1 + series * r - (small ? hx_d_log(product) : 0.0);
    y = fabs(b) < 1e-3 ? 0.0 + b * (-0x1.2788cfc6fb619p-1 + b * (0x1.a51a6625307d3p-1 - b * 0x1.9a4d55beab2d7p-2)) : y;
    y = fabs(c) < 1e-3 ? c * (0x1.b0ee6072093cep-2 + c * (0x1.4a34cc4a60fa6p-2 - c * 0x1.13e001a557607p-4)) : y;
    return a == __builtin_inf() ? a : y;
}
HX_INLINE double log_gamma_of_float(double x) {
    double a = fabs(x), y = log_gamma_of_size(x);
    double below = hx_d_log(PI / (a * fabs(hx_d_sincos(PI * (a - hx_d_round(a)), 0)))) - y;
    return (x < 0) & (a != __builtin_inf()) ? below : y;
}
static void lgamma_f32(void *out, const float *const *in, int64_t n, const void *args) {
    (void)args;
    for (int64_t at = 0; at < n; at += HX_MAP_BLOCK) {
        int64_t run = n - at < HX_MAP_BLOCK ? n - at : HX_MAP_BLOCK;
        const float *a = in[0] + at;
        float *o = (float *)out + at;
        int below = 0;
        for (int64_t i = 0; i < run; i++) below |= a[i] < 0;
        if (below)
            _Pragma("GCC ivdep") for (int64_t i = 0; i < run; i++) o[i] = (float)log_gamma_of_float(a[i]);
        else
            _Pragma("GCC ivdep") for (int64_t i = 0; i < run; i++) o[i] = (float)log_gamma_of_size(a[i]);
    }
}
F64(lgamma, log_gamma(x))
OP_FLOAT(lgamma, 256)

/* Reflection for negative x, recurrence up to 10, then the asymptotic series (Abramowitz and Stegun 6.3.18). */
static double digamma_of(double x) {
    if (x == 0) return copysign(__builtin_inf(), -x);
    double shift = 0;
    if (x < 0) {
        if (x == floor(x)) return __builtin_nan("");
        double whole, part = modf(x, &whole);
        shift = -PI / tan(PI * part);
        x = 1 - x;
    }
    for (; x < 10; x += 1) shift -= 1 / x;
    if (x == __builtin_inf()) return x;
    static const double c[] = {1.0 / 12, -691.0 / 32760, 1.0 / 132, -1.0 / 240, 1.0 / 252, -1.0 / 120, 1.0 / 12};
    double z = 1 / (x * x), series = c[0];
    for (int i = 1; i < 7; i++) series = series * z + c[i];
    return shift + log(x) - 0.5 / x - z * series;
}
F32(digamma, digamma_of(x))
F64(digamma, digamma_of(x))
OP_FLOAT(digamma, 256)

/* The derivative of digamma, in the same way (6.4.12). */
static double trigamma_of(double x) {
    double shift = 0, sign = 1;
    if (x <= 0) {
        if (x == floor(x)) return __builtin_inf();
        double s = sin(PI * x);
        shift = PI * PI / (s * s);
        sign = -1;
        x = 1 - x;
    }
    double sum = 0;
    for (; x < 10; x += 1) sum += 1 / (x * x);
    static const double c[] = {7.0 / 6, -691.0 / 2730, 5.0 / 66, -1.0 / 30, 1.0 / 42, -1.0 / 30, 1.0 / 6};
    double z = 1 / (x * x), series = c[0];
    for (int i = 1; i < 7; i++) series = series * z + c[i];
    return shift + sign * (sum + 1 / x + 0.5 * z + z / x * series);
}
F32(trigamma, trigamma_of(x))
F64(trigamma, trigamma_of(x))
OP_FLOAT(trigamma, 256)

VF(sigmoid, hx_vf_sigmoid(x))
HX_INLINE double sigmoid_of(double x) {
    double e = hx_d_exp(-fabs(x));
    return (x < 0 ? e : 1.0) / (1.0 + e);
}
F64(sigmoid, sigmoid_of(x))
C128(sigmoid, 1.0 / (1.0 + cexp(-x)))
OP_COMPLEX(sigmoid, 0)

/* log(x / (1 - x)), x first clamped to [eps, 1 - eps] when eps is given. */
HX_INLINE double clamped(double x, double eps) { return x < eps ? eps : x > 1 - eps ? 1 - eps : x; }
static void logit_f32(void *out, const float *const *in, int64_t n, const void *args) {
    float *o = out, eps = (float)*(const double *)args, low = eps, high = 1 - eps;
#ifdef __FMA__
    const float *a = in[0];
    if (eps < 0) HX_VF_LOOP(o, a, n, x, hx_vf_logit(x));
    else HX_VF_LOOP(o, a, n, x, hx_vf_logit(hx_vf_clamp(x, low, high)));
#else
    for (int64_t i = 0; i < n; i++) {
        float x = in[0][i];
        x = eps < 0 ? x : x < low ? low : x > high ? high : x;
        o[i] = (float)hx_d_log((double)x / (1.0 - (double)x));
    }
#endif
}
static void logit_f64(void *out, const double *const *in, int64_t n, const void *args) {
    double *o = out, eps = *(const double *)args;
    for (int64_t i = 0; i < n; i++) {
        double x = eps < 0 ? in[0][i] : clamped(in[0][i], eps);
        o[i] = hx_d_log(x / (1 - x));
    }
}
static const hx_map logit_map = {.f32 = logit_f32, .f64 = logit_f64, .cost = 64};
HX_KERNEL(k_logit) {
    HX_UNUSED;
    double eps = call->attr[0].kind == HX_A_NONE ? -1 : call->attr[0].v.f;
    return hx_run_map(call, &logit_map, &eps, err);
}

/* ---- rounding: integers are whole already ---- */

#define ROUNDING(name, f32, f64)                                                                              \
    F32(name, f32(x))                                                                                         \
    F64(name, f64(x))                                                                                         \
    OP(name, name##_f32, name##_f64, whole_i64, NULL, HX_MAP_SAME, 0)
ROUNDING(floor, floorf, floor)
ROUNDING(ceil, ceilf, ceil)
ROUNDING(trunc, truncf, trunc)
F32(frac, x - truncf(x))
F64(frac, x - trunc(x))
OP_FLOAT(frac, 0)

F32(round, rintf(x))
F64(round, rint(x))
OP(round, round_f32, round_f64, whole_i64, NULL, HX_MAP_SAME, 0)
typedef struct decimals {
    double scale;
    bool left; /* of the decimal point */
} decimals;
static void round_places_f64(void *out, const double *const *in, int64_t n, const void *args) {
    const decimals *d = args;
    double *o = out;
    for (int64_t i = 0; i < n; i++)
        o[i] = d->left ? rint(in[0][i] / d->scale) * d->scale : rint(in[0][i] * d->scale) / d->scale;
}
static void round_places_f32(void *out, const float *const *in, int64_t n, const void *args) {
    const decimals *d = args;
    float *o = out, scale = (float)d->scale;
    for (int64_t i = 0; i < n; i++)
        o[i] = d->left ? rintf(in[0][i] / scale) * scale : rintf(in[0][i] * scale) / scale;
}
static const hx_map round_places = {.f32 = round_places_f32, .f64 = round_places_f64};
HX_KERNEL(k_round_any) {
    int64_t places = call->attr[0].v.i;
    if (places == 0 || call->in[0].dtype < HX_F16) return k_round(dev, stream, call, err);
    decimals d = {pow(10, fabs((double)places)), places < 0};
    return hx_run_map(call, &round_places, &d, err);
}

/* ---- angles in degrees ---- */

F32(deg2rad, x * 0x1.1df46ap-6f)
F64(deg2rad, x * 0x1.1df46a2529d39p-6)
OP_FLOAT(deg2rad, 0)
F32(rad2deg, x * 0x1.ca5dc2p+5f)
F64(rad2deg, x * 0x1.ca5dc1a63c1f8p+5)
OP_FLOAT(rad2deg, 0)

/* ---- predicates ---- */

#define INF __builtin_inf()
#define PREDICATE(name, real_expr, whole_expr, complex_expr)                                                  \
    BODY(name##_f32, float, uint8_t, real_expr)                                                               \
    BODY(name##_f64, double, uint8_t, real_expr)                                                              \
    BODY(name##_i64, int64_t, uint8_t, whole_expr)                                                            \
    BODY(name##_c128, hx_c128, uint8_t, complex_expr)                                                         \
    OP(name, name##_f32, name##_f64, name##_i64, name##_c128, HX_MAP_BOOL, 0)
PREDICATE(isnan, x != x, ((void)x, 0), x != x)
PREDICATE(isinf, x == INF || x == -INF, ((void)x, 0), fabs(creal(x)) == INF || fabs(cimag(x)) == INF)
PREDICATE(isfinite, x - x == 0, ((void)x, 1), creal(x) - creal(x) == 0 && cimag(x) - cimag(x) == 0)
PREDICATE(logical_not, x == 0, x == 0, x == 0)
#define REAL_PREDICATE(name, real_expr, whole_expr)                                                           \
    BODY(name##_f32, float, uint8_t, real_expr)                                                               \
    BODY(name##_f64, double, uint8_t, real_expr)                                                              \
    BODY(name##_i64, int64_t, uint8_t, whole_expr)                                                            \
    OP(name, name##_f32, name##_f64, name##_i64, NULL, HX_MAP_BOOL, 0)
REAL_PREDICATE(isposinf, x == INF, ((void)x, 0))
REAL_PREDICATE(isneginf, x == -INF, ((void)x, 0))
static inline bool sign_of_f32(float x) {
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits < 0;
}
BODY(signbit_f32, float, uint8_t, sign_of_f32(x))
BODY(signbit_f64, double, uint8_t, hx_d_bits(x) < 0)
BODY(signbit_i64, int64_t, uint8_t, x < 0)
OP(signbit, signbit_f32, signbit_f64, signbit_i64, NULL, HX_MAP_BOOL, 0)
static const hx_map signbit_unsigned = {.i64 = isneginf_i64, .result = HX_MAP_BOOL};
HX_KERNEL(k_signbit_any) {
    if (call->in[0].dtype == HX_U64) return hx_run_map(call, &signbit_unsigned, NULL, err);
    return k_signbit(dev, stream, call, err);
}

I64(bitwise_not, ~x)
I64(not_of_bool, x == 0)
OP(bitwise_not, NULL, NULL, bitwise_not_i64, NULL, HX_MAP_SAME, 0)
static const hx_map not_of_bool = {.i64 = not_of_bool_i64};
HX_KERNEL(k_bitwise_not_any) {
    if (call->in[0].dtype == HX_BOOL) return hx_run_map(call, &not_of_bool, NULL, err);
    return k_bitwise_not(dev, stream, call, err);
}

/* ---- nan_to_num ---- */

typedef struct numbers {
    double nan, posinf, neginf;
} numbers;
#define REPLACE(name, T)                                                                                      \
    static void name(void *out, const T *const *in, int64_t n, const void *args) {                            \
        const numbers *r = args;                                                                              \
        T *o = out, nan = (T)r->nan, high = (T)r->posinf, low = (T)r->neginf;                                 \
        for (int64_t i = 0; i < n; i++) {                                                                     \
            T x = in[0][i];                                                                                   \
            o[i] = x != x ? nan : x == (T)INF ? high : x == (T)-INF ? low : x;                                \
        }                                                                                                     \
    }
REPLACE(nan_to_num_f32, float)
REPLACE(nan_to_num_f64, double)
static const hx_map nan_to_num_map = {nan_to_num_f32, nan_to_num_f64, whole_i64, NULL, HX_MAP_SAME, false, 0};
static double largest(int dtype) {
    switch (dtype) {
    case HX_F16: return 65504;
    case HX_BF16: return 0x1.fep127;
    case HX_F32: return 0x1.fffffep127;
    default: return 0x1.fffffffffffffp1023;
    }
}
HX_KERNEL(k_nan_to_num) {
    HX_UNUSED;
    const hx_attr *a = call->attr;
    double top = largest(call->in[0].dtype);
    numbers r = {a[0].v.f, a[1].kind == HX_A_NONE ? top : a[1].v.f, a[2].kind == HX_A_NONE ? -top : a[2].v.f};
    return hx_run_map(call, &nan_to_num_map, &r, err);
}

#define FLOAT_COMPLEX (HX_SET_FLOAT | HX_SET_COMPLEX)
#define NUMBERS (HX_SET_ALL & ~HX_BIT(HX_BOOL))
#define REALS (HX_SET_REAL & ~HX_BIT(HX_BOOL))

HX_KERNELS(unary) = {KERNEL(neg, k_neg, NUMBERS),
                     KERNEL(abs, k_abs_any, HX_SET_ALL),
                     KERNEL(sign, k_sign_any, HX_SET_ALL),
                     KERNEL(square, k_square, NUMBERS),
                     KERNEL(reciprocal, k_reciprocal, FLOAT_COMPLEX),
                     KERNEL(sqrt, k_sqrt, FLOAT_COMPLEX),
                     KERNEL(rsqrt, k_rsqrt, FLOAT_COMPLEX),
                     KERNEL(conj_physical, k_conj_physical, HX_SET_COMPLEX),
                     KERNEL(real_part, k_real_part, HX_SET_COMPLEX),
                     KERNEL(imag_part, k_imag_part, HX_SET_COMPLEX),
                     KERNEL(angle, k_angle_any, FLOAT_COMPLEX),
                     KERNEL(exp, k_exp, FLOAT_COMPLEX),
                     KERNEL(expm1, k_expm1, FLOAT_COMPLEX),
                     KERNEL(exp2, k_exp2, FLOAT_COMPLEX),
                     KERNEL(log, k_log, FLOAT_COMPLEX),
                     KERNEL(log2, k_log2, FLOAT_COMPLEX),
                     KERNEL(log10, k_log10, FLOAT_COMPLEX),
                     KERNEL(log1p, k_log1p, FLOAT_COMPLEX),
                     KERNEL(sin, k_sin, FLOAT_COMPLEX),
                     KERNEL(cos, k_cos, FLOAT_COMPLEX),
                     KERNEL(tan, k_tan, FLOAT_COMPLEX),
                     KERNEL(asin, k_asin, FLOAT_COMPLEX),
                     KERNEL(acos, k_acos, FLOAT_COMPLEX),
                     KERNEL(atan, k_atan, FLOAT_COMPLEX),
                     KERNEL(sinc, k_sinc, FLOAT_COMPLEX),
                     KERNEL(sinh, k_sinh, FLOAT_COMPLEX),
                     KERNEL(cosh, k_cosh, FLOAT_COMPLEX),
                     KERNEL(tanh, k_tanh, FLOAT_COMPLEX),
                     KERNEL(asinh, k_asinh, FLOAT_COMPLEX),
                     KERNEL(acosh, k_acosh, FLOAT_COMPLEX),
                     KERNEL(atanh, k_atanh, FLOAT_COMPLEX),
                     KERNEL(erf, k_erf, HX_SET_FLOAT),
                     KERNEL(erfc, k_erfc, HX_SET_FLOAT),
                     KERNEL(erfinv, k_erfinv, HX_SET_FLOAT),
                     KERNEL(lgamma, k_lgamma, HX_SET_FLOAT),
                     KERNEL(digamma, k_digamma, HX_SET_FLOAT),
                     KERNEL(trigamma, k_trigamma, HX_SET_FLOAT),
                     KERNEL(sigmoid, k_sigmoid, FLOAT_COMPLEX),
                     KERNEL(logit, k_logit, HX_SET_FLOAT),
                     KERNEL(floor, k_floor, REALS),
                     KERNEL(ceil, k_ceil, REALS),
                     KERNEL(trunc, k_trunc, REALS),
                     KERNEL(frac, k_frac, HX_SET_FLOAT),
                     KERNEL(round, k_round_any, REALS),
                     KERNEL(deg2rad, k_deg2rad, HX_SET_FLOAT),
                     KERNEL(rad2deg, k_rad2deg, HX_SET_FLOAT),
                     KERNEL(isnan, k_isnan, HX_SET_ALL),
                     KERNEL(isinf, k_isinf, HX_SET_ALL),
                     KERNEL(isfinite, k_isfinite, HX_SET_ALL),
                     KERNEL(isposinf, k_isposinf, HX_SET_REAL),
                     KERNEL(isneginf, k_isneginf, HX_SET_REAL),
                     KERNEL(signbit, k_signbit_any, HX_SET_REAL),
                     KERNEL(logical_not, k_logical_not, HX_SET_ALL),
                     KERNEL(bitwise_not, k_bitwise_not_any, HX_SET_INTEGER | HX_BIT(HX_BOOL)),
                     KERNEL(nan_to_num, k_nan_to_num, HX_SET_REAL),
                     {0}};
