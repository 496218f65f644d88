/* Special functions of one argument: Bessel, normal distribution, Airy. Those that models call run as loops over
 * doubles that the compiler vectorises; float32 has shorter fits. Where a fit comes from: tools/special_tables.py. */
#include "maps.h"
#include "vmath.h"
#include "special_tables.h"

#define INF __builtin_inf()
#define NOT __builtin_nan("")
#define SQRT_HALF 0x1.6a09e667f3bcdp-1

#define BODY(name, T, expr)                                                                                   \
    static void name(void *out, const T *const *in, int64_t n, const void *args) {                            \
        (void)args;                                                                                           \
        T *o = out;                                                                                           \
        const T *a = in[0];                                                                                   \
        _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                                                \
            const double x = a[i];                                                                            \
            o[i] = (T)(expr);                                                                                 \
        }                                                                                                     \
    }
/* f32 may be another expression than f64: a shorter fit. */
#define FUNCTION(name, f32, f64, cost)                                                                        \
    BODY(name##_f32, float, f32)                                                                              \
    BODY(name##_f64, double, f64)                                                                             \
    static const hx_map name##_map = {name##_f32, name##_f64, NULL, NULL, HX_MAP_SAME, false, cost};

/* ---- modified Bessel functions of the first kind: one fit below 8, one of 1 / x above ---- */

#define SCALED(name, small, large, factor)                                                                    \
    HX_INLINE double name(double x) {                                                                         \
        double t = fabs(x), near = t < 8.0 ? t : 8.0, far = t < 8.0 ? 8.0 : t;                                \
        double low = small(near * 0.25 - 1.0) * (factor), high = large(16.0 / far - 1.0) / sqrt(far);         \
        return t < 8.0 ? low : t == t ? high : x;                                                             \
    }
SCALED(i0e_of, i0e_small, i0e_large, 1.0)
SCALED(i0e_roughly, i0e_small_short, i0e_large_short, 1.0)
SCALED(i1e_size, i1e_small, i1e_large, near)
SCALED(i1e_roughly_size, i1e_small_short, i1e_large_short, near)
HX_INLINE double i1e_of(double x) { return copysign(i1e_size(x), x); }
HX_INLINE double i1e_roughly(double x) { return copysign(i1e_roughly_size(x), x); }
/* exp(|x|) in two halves, because I overflows later than exp. */
HX_INLINE double grown(double scaled, double x) {
    double half = hx_d_exp(0.5 * fabs(x));
    return fabs(x) == INF ? copysign(INF, scaled) : scaled * half * half;
}
FUNCTION(i0e, i0e_roughly(x), i0e_of(x), 0)
FUNCTION(i1e, i1e_roughly(x), i1e_of(x), 0)
FUNCTION(i0, grown(i0e_roughly(x), x), grown(i0e_of(x), x), 0)
FUNCTION(i1, grown(i1e_roughly(x), x), grown(i1e_of(x), x), 0)

/* ---- of the second kind: the logarithm is taken out below 2 (DLMF 10.31) ---- */

#define OUTSIDE(y, at_zero) (x > 0 ? (y) : x == 0 ? (at_zero) : NOT)
/* exp(x) K(x). */
HX_INLINE double k0e_of(double x) {
    double near = x < 2.0 ? x : 2.0, far = x < 2.0 ? 2.0 : x;
    double grow = hx_d_exp(near);
    double low = grow * (k0_small(0.5 * near * near - 1.0) - hx_d_log(0.5 * near) * (grow * i0e_small(0.25 * near - 1.0)));
    double high = k0_large(4.0 / far - 1.0) / sqrt(far);
    return OUTSIDE(x < 2.0 ? low : high, INF);
}
HX_INLINE double k1e_of(double x) {
    double near = x < 2.0 ? x : 2.0, far = x < 2.0 ? 2.0 : x;
    double grow = hx_d_exp(near);
    double i1 = grow * near * i1e_small(0.25 * near - 1.0);
    double low = grow * (k1_small(0.5 * near * near - 1.0) / near + hx_d_log(0.5 * near) * i1);
    double high = k1_large(4.0 / far - 1.0) / sqrt(far);
    return OUTSIDE(x < 2.0 ? low : high, INF);
}
HX_INLINE double shrunk(double scaled, double x) {
    double half = hx_d_exp(-0.5 * x);
    return x == INF ? 0.0 : x > 0 ? scaled * half * half : scaled;
}
FUNCTION(k0e, k0e_of(x), k0e_of(x), 0)
FUNCTION(k1e, k1e_of(x), k1e_of(x), 0)
FUNCTION(k0, shrunk(k0e_of(x), x), shrunk(k0e_of(x), x), 0)
FUNCTION(k1, shrunk(k1e_of(x), x), shrunk(k1e_of(x), x), 0)

/* ---- Bessel functions: below 8 without their zeros and logarithms, above by modulus and phase (DLMF 10.17) ---- */

/* J of w = x * x < 64; a zero is taken off in two parts. */
HX_INLINE double off_zeros(double x, const double (*zero)[2]) {
    double first = ((x - zero[0][0]) - zero[0][1]) * (x + zero[0][0]);
    return first * (((x - zero[1][0]) - zero[1][1]) * (x + zero[1][0]));
}
HX_INLINE double j0_below(double a) { return off_zeros(a, j0_zeros) * j0_near(a * a * 0.03125 - 1.0); }
HX_INLINE double j1_below(double a) { return a * (off_zeros(a, j1_zeros) * j1_near(a * a * 0.03125 - 1.0)); }
#define TWO_OVER_PI 0x1.45f306dc9c883p-1
HX_INLINE double y0_below(double a) {
    return TWO_OVER_PI * hx_d_log(a) * j0_below(a) + y0_near(a * a * 0.03125 - 1.0);
}
HX_INLINE double y1_below(double a) {
    return TWO_OVER_PI * (hx_d_log(a) * j1_below(a) - 1.0 / a) + a * y1_near(a * a * 0.03125 - 1.0);
}

/* p times one of sin and cos of the phase, q / x times the other; each of them has a root of 2 taken out. */
#define WAVE(name, order, with_p, with_q)                                                                     \
    HX_INLINE double name(double a) {                                                                         \
        double r = 8.0 / a, u = 2.0 * r * r - 1.0, s = hx_d_sincos(a, 0), c = hx_d_sincos(a, 1);              \
        double root = 1.0 / sqrt(0x1.921fb54442d18p+1 * a);                                                   \
        return root * (bessel##order##_p(u) * (with_p) + bessel##order##_q(u) * 0.125 * r * (with_q));        \
    }
WAVE(j0_above, 0, c + s, c - s)
WAVE(j1_above, 1, s - c, s + c)
WAVE(y0_above, 0, s - c, s + c)
WAVE(y1_above, 1, -(s + c), s - c)

#define BESSEL(name, below, above)                                                                            \
    HX_INLINE double name(double x) {                                                                         \
        double a = fabs(x), low = below(a < 8.0 ? a : 8.0), high = above(a < 8.0 ? 8.0 : a);                  \
        return a < 8.0 ? low : high;                                                                          \
    }
BESSEL(j0_size, j0_below, j0_above)
BESSEL(j1_size, j1_below, j1_above)
BESSEL(y0_of, y0_below, y0_above)
BESSEL(y1_of, y1_below, y1_above)
HX_INLINE double j0_of(double x) { return fabs(x) < 0x1p-27 ? 1.0 : j0_size(x); }
HX_INLINE double j1_of(double x) { return copysign(1.0, x) * j1_size(x); }

/* Arguments too large for the fast angles are rare: they are taken one by one. */
#define WITH_ANGLES_BODY(name, T, expr, slow)                                                                 \
    static void name(void *out, const T *const *in, int64_t n, const void *args) {                            \
        (void)args;                                                                                           \
        T *o = out, room[HX_MAP_BLOCK];                                                                       \
        for (int64_t at = 0; at < n; at += HX_MAP_BLOCK) {                                                    \
            int64_t run = n - at < HX_MAP_BLOCK ? n - at : HX_MAP_BLOCK, far = 0;                             \
            const T *a = in[0] + at;                                                                          \
            for (int64_t i = 0; i < run; i++) {                                                               \
                const double x = a[i];                                                                        \
                far += !(fabs(x) <= HX_TRIG_LIMIT);                                                           \
                room[i] = (T)(expr);                                                                          \
            }                                                                                                 \
            for (int64_t i = 0; far && i < run; i++)                                                          \
                if (!(fabs((double)a[i]) <= HX_TRIG_LIMIT)) room[i] = (T)slow((double)a[i]);                  \
            memcpy(o + at, room, (size_t)run * sizeof *room);                                                 \
        }                                                                                                     \
    }
#define WITH_ANGLES(name, expr, slow)                                                                         \
    WITH_ANGLES_BODY(name##_f32, float, expr, slow)                                                           \
    WITH_ANGLES_BODY(name##_f64, double, expr, slow)                                                          \
    static const hx_map name##_map = {name##_f32, name##_f64, NULL, NULL, HX_MAP_SAME, false, 64, NULL};
static double y0_far(double x) { return OUTSIDE(y0(x), -INF); }
static double y1_far(double x) { return OUTSIDE(y1(x), -INF); }
WITH_ANGLES(bessel_j0, j0_of(x), j0)
WITH_ANGLES(bessel_j1, j1_of(x), j1)
WITH_ANGLES(bessel_y0, OUTSIDE(y0_of(x), -INF), y0_far)
WITH_ANGLES(bessel_y1, OUTSIDE(y1_of(x), -INF), y1_far)
static double spherical(double x) { return fabs(x) == INF ? 0.0 : sin(x) / x; }
WITH_ANGLES(spherical_bessel_j0, x == 0 ? 1.0 : hx_d_sincos(x, 0) / x, spherical)

/* ---- Airy's function ---- */

static double airy(double x) {
    static const double low = -4.5, high = 2.09;
    if (x != x) return x;
    if (fabs(x) == INF) return 0;
    if (x >= low && x < 0) return airy_low(1.0 - x * (2.0 / low));
    if (x >= 0 && x <= high) return airy_high(x * (2.0 / high) - 1.0);
    double size = fabs(x), zeta = 2.0 / 3.0 * size * sqrt(size), fourth = sqrt(sqrt(size));
    if (x > 0) return airy_decay(2.0 * (2.0 / 3.0 * high * sqrt(high)) / zeta - 1.0) * exp(-zeta) / fourth;
    double start = 2.0 / 3.0 * -low * sqrt(-low), u = 2.0 * (start / zeta) * (start / zeta) - 1.0;
    /* sin and cos of zeta + pi / 4, each times the root of 2 */
    double s = sin(zeta), c = cos(zeta);
    return (airy_sine(u) * (s + c) + airy_cosine(u) / zeta * (c - s)) * SQRT_HALF / fourth;
}
FUNCTION(airy_ai, airy(x), airy(x), 512)

/* ---- the normal distribution ---- */

/* exp(sign x^2 / 2^halvings) with the rounding of the square made good. */
HX_INLINE double exp_of_square(double x, double factor) {
    double top = hx_d_of_bits(hx_d_bits(x) & (int64_t)0xfffffffff8000000), rest = (x - top) * (x + top) * factor;
    double square = top * top * factor;
    return hx_d_exp(square) * (1.0 + rest * (1.0 + rest * (0.5 + rest * (1.0 / 6.0))));
}
HX_INLINE double erfcx_above(double t) { return erfcx_table((t - 3.75) / (t + 3.75)) / (1.0 + 2.0 * t); }
HX_INLINE double erfcx_above_roughly(double t) { return erfcx_short((t - 3.75) / (t + 3.75)) / (1.0 + 2.0 * t); }
#define ERFCX(name, above)                                                                                    \
    HX_INLINE double name(double x) {                                                                         \
        double t = fabs(x) < 0x1p60 ? fabs(x) : 0x1p60, y = above(t), low = x < -27.0 ? -27.0 : x < 0 ? x : 0.0; \
        y = fabs(x) < 0x1p60 ? y : 0x1.20dd750429b6dp-1 / fabs(x);                                            \
        double mirrored = 2.0 * exp_of_square(low, 1.0) - y;                                                  \
        return x != x ? x : x < 0 ? mirrored : y;                                                             \
    }
ERFCX(erfcx_of, erfcx_above)
ERFCX(erfcx_roughly, erfcx_above_roughly)
FUNCTION(erfcx, erfcx_roughly(x), erfcx_of(x), 0)

/* P(X > t) = exp(-t^2 / 2) erfcx(t / sqrt 2) / 2 for t >= 0, kept from underflow too soon. */
#define TAIL(name, above)                                                                                     \
    HX_INLINE double name(double x) {                                                                         \
        double t = fabs(x) < 39.0 ? fabs(x) : 39.0, tail = 0.5 * exp_of_square(t, -0.5) * above(t * SQRT_HALF); \
        return x != x ? x : x < 0 ? tail : 1.0 - tail;                                                        \
    }
TAIL(ndtr_of, erfcx_above)
TAIL(ndtr_roughly, erfcx_above_roughly)
FUNCTION(ndtr, ndtr_roughly(x), ndtr_of(x), 0)

/* log(1 - t) for t in [0, 1/2]. */
HX_INLINE double log_of_rest(double t) {
    double u = 1.0 - t;
    return u == 1.0 ? -t : hx_d_log(u) + ((1.0 - u) - t) / u;
}
#define LOG_TAIL(name, above)                                                                                 \
    HX_INLINE double name(double x) {                                                                         \
        double t = fabs(x) < 0x1p60 ? fabs(x) : 0x1p60, half = 0.5 * above(t * SQRT_HALF);                    \
        double low = hx_d_log(half) - 0.5 * x * x;                                                            \
        double tail = exp_of_square(t < 39.0 ? t : 39.0, -0.5) * half;                                        \
        double high = log_of_rest(x < 0 ? 0.0 : tail), middle = hx_d_log(tail);                               \
        low = t < 1.0 ? middle : low;                                                                         \
        return x != x ? x : x == -INF ? x : x < 0 ? low : high;                                               \
    }
LOG_TAIL(log_ndtr_of, erfcx_above)
LOG_TAIL(log_ndtr_roughly, erfcx_above_roughly)
FUNCTION(log_ndtr, log_ndtr_roughly(x), log_ndtr_of(x), 0)

/* The quantile: around 1/2 by q^2, outside by the root of -log p. */
HX_INLINE double quantile_ends(double p, double y) {
    y = p == 0 ? -INF : y;
    y = p == 1 ? INF : y;
    return (p >= 0) & (p <= 1) ? y : NOT;
}
HX_INLINE double root_of_log(double p) {
    double tail = p < 0.5 ? p : 1.0 - p;
    return sqrt(-hx_d_log(tail > 0 ? tail : 0.5));
}
HX_INLINE double ndtri_of(double p) {
    double q = p - 0.5, r = root_of_log(p), t = 0.180625 - q * q;
    t = t > 0 ? t : 0;
    double central = q * (ndtri_central_over(t) / ndtri_central_under(t));
    double s = r < 5.0 ? r - 1.4 : r - 5.0;
    double over = r < 5.0 ? ndtri_middle_over(s) : ndtri_far_over(s);
    double under = r < 5.0 ? ndtri_middle_under(s) : ndtri_far_under(s);
    return quantile_ends(p, fabs(q) <= 0.425 ? central : copysign(over / under, q));
}
HX_INLINE double ndtri_roughly(double p) {
    double q = p - 0.5, r = root_of_log(p) - 1.4, t = 0.180625 - q * q;
    t = t > 0 ? t : 0;
    double central = q * (ndtri_central_short_over(t) / ndtri_central_short_under(t));
    double outside = copysign(ndtri_tail_short_over(r) / ndtri_tail_short_under(r), q);
    return quantile_ends(p, fabs(q) <= 0.425 ? central : outside);
}
FUNCTION(ndtri, ndtri_roughly(x), ndtri_of(x), 0)

/* -x log x. */
HX_INLINE double entropy(double x) {
    double y = -x * hx_d_log(x > 0 ? x : 1.0);
    y = x == 0 ? 0.0 : y;
    return x < 0 ? -INF : x == x ? y : x;
}
FUNCTION(entr, entropy(x), entropy(x), 0)

/* ---- the kernel ---- */

#define ROW(name) {#name, &name##_map}
static const struct row {
    const char *name;
    const hx_map *map;
} rows[] = {ROW(i0), ROW(i0e), ROW(i1), ROW(i1e), ROW(k0), ROW(k0e), ROW(k1), ROW(k1e), ROW(bessel_j0), ROW(bessel_j1),
            ROW(bessel_y0), ROW(bessel_y1), ROW(spherical_bessel_j0), ROW(airy_ai), ROW(erfcx), ROW(ndtr), ROW(log_ndtr),
            ROW(ndtri), ROW(entr)};

HX_KERNEL(k_special_of_one) {
    HX_UNUSED;
    const hx_attr *name = &call->attr[0];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strlen(rows[i].name) == name->count && !memcmp(rows[i].name, name->v.str, name->count))
            return hx_run_map(call, rows[i].map, NULL, err);
    return HX_E_UNSUPPORTED;
}

HX_KERNELS(special) = {KERNEL(special_of_one, k_special_of_one, HX_SET_FLOAT), {0}};
