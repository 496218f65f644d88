/* Special functions of two arguments: zeta, incomplete gamma functions, orthogonal polynomials. Scalar, in double. */
#include <float.h>
#include "maps.h"
#define HX_INLINE static inline
#include "special_tables.h"

#define INF __builtin_inf()
#define NOT __builtin_nan("")
#define PI 0x1.921fb54442d18p+1
#define HALF_LOG_TWO_PI 0x1.d67f1c864beb5p-1

#define BODY(name, T)                                                                                         \
    static void name##_##T(void *out, const T *const *in, int64_t n, const void *args) {                      \
        (void)args;                                                                                           \
        T *o = out;                                                                                           \
        for (int64_t i = 0; i < n; i++) o[i] = (T)name(in[0][i], in[1][i]);                                   \
    }
#define FUNCTION(name)                                                                                        \
    BODY(name, float)                                                                                         \
    BODY(name, double)                                                                                        \
    static const hx_map name##_map = {name##_float, name##_double, NULL, NULL, HX_MAP_SAME, false, 1024};

static bool is_whole(double x) { return x == floor(x); }

/* ---- zeta: Euler and Maclaurin's sum (DLMF 25.11.5) from at least 10 terms on ---- */

static double zeta_above(double x, double q) {
    if (q > 1e8) return (1 / (x - 1) + 1 / (2 * q)) * pow(q, 1 - x);
    /* B(2k) / (2k)! */
    static const double c[] = {1.0 / 12, -1.0 / 720, 1.0 / 30240, -1.0 / 1209600, 1.0 / 47900160, -691.0 / 1307674368000,
                               1.0 / 74724249600, -3617.0 / 10670622842880000, 43867.0 / 5109094217170944000,
                               -174611.0 / 802857662698291200000.0};
    double sum = 0;
    for (int count = 0; count < 10 || q < 10; count++, q += 1) {
        double term = pow(q, -x);
        sum += term;
        if (q > 0 && fabs(term) < fabs(sum) * 0x1p-60) return sum;
    }
    double last = pow(q, -x), tail = last * q / (x - 1) + 0.5 * last, factor = x;
    for (int k = 0; k < 10; k++) {
        last /= q;
        tail += c[k] * factor * last;
        last /= q;
        factor *= (x + 2 * k + 1) * (x + 2 * k + 2);
    }
    return sum + tail;
}

/* Powers of negative numbers are taken for whole x only. Far below 0 the sum over all whole numbers, which depends on
 * the fraction of q alone, stands for the terms between. */
static double zeta(double x, double q) {
    if (x == 1) return INF;
    if (!(x > 1) || q != q) return NOT;
    if (q > 0) return q == INF ? 0 : zeta_above(x, q);
    if (is_whole(q)) return INF;
    if (!is_whole(x)) return NOT;
    if (q > -10) return zeta_above(x, q);
    double below = q - floor(q), above = ceil(q) - q, rest = zeta_above(x, above) - zeta_above(x, 1 - q);
    return zeta_above(x, below) + (fmod(x, 2) == 0 ? rest : -rest);
}
static double polygamma(double n, double x) {
    return (fmod(n, 2) == 0 ? -1 : 1) * tgamma(n + 1) * zeta(n + 1, x);
}
FUNCTION(zeta)
FUNCTION(polygamma)

/* ---- incomplete gamma functions (DLMF 8.7, 8.9, 8.12) ---- */

static double log_gamma(double x) {
    int sign;
    return lgamma_r(x, &sign);
}

/* log(1 + u) - u, exact for small u: 2 atanh(u / (2 + u)) - u. */
static double log_rest(double u) {
    if (fabs(u) > 0.4) return log1p(u) - u;
    double s = u / (2 + u), z = s * s, series = 0;
    for (int k = 25; k > 1; k -= 2) series = z * (1.0 / k + series);
    return s * (2 * series - u);
}

/* Gamma(a) / (sqrt(2 pi / a) (a / e)^a) for a >= 10 (DLMF 5.11.1). */
static double stirling_factor(double a) {
    double z = 1 / (a * a);
    double series = -691.0 / 360360 * z + 1.0 / 1188;
    series = series * z - 1.0 / 1680;
    series = series * z + 1.0 / 1260;
    series = series * z - 1.0 / 360;
    series = series * z + 1.0 / 12;
    return exp(series / a);
}

/* x^a exp(-x) / Gamma(a + 1). */
static double density(double a, double x) {
    if (a >= 10) {
        double u = (x - a) / a, power = a * log_rest(u);
        return exp(power) / (sqrt(2 * PI * a) * stirling_factor(a));
    }
    double half = exp(-0.5 * x);
    return x < 1e-300 ? exp(a * log(x) - x - log_gamma(a + 1)) : pow(x, a) * half / tgamma(a + 1) * half;
}

/* P by its series of positive terms. */
static double lower_series(double a, double x) {
    double sum = 1, term = 1;
    for (double k = a + 1; term > sum * 0x1p-54; k += 1) sum += term *= x / k;
    return density(a, x) * sum;
}

/* Q by Legendre's continued fraction, from the front by Steed's way. */
static double upper_fraction(double a, double x) {
    double b = x + 1 - a, d = 1 / b, step = d, sum = d;
    for (int k = 1; k < 100000; k++) {
        double factor = k * (a - k);
        b += 2;
        d = 1 / (b + factor * d);
        step *= b * d - 1;
        sum += step;
        if (fabs(step) < fabs(sum) * 0x1p-54) break;
    }
    return density(a, x) * a * sum;
}

/* Q for small a and x: 1 - x^a / Gamma(1 + a) without the loss, less the rest of the series (DLMF 8.7.3). */
static double upper_series(double a, double x) {
    double term = 1, sum = 0;
    for (double k = 1; k < 200; k++) {
        term *= -x / k;
        sum += term / (a + k);
        if (fabs(term) < fabs(sum) * 0x1p-54) break;
    }
    double power = a * (log(x) - log_gamma_1p(2 * a - 1));
    return -expm1(power) - a * exp(power) * sum;
}

/* Temme's uniform expansion for large a near x = a, of P (sign -1) or Q (sign 1). */
static double uniform(double a, double x, double sign) {
    double u = (x - a) / a, rest = -log_rest(u), eta = copysign(sqrt(2 * rest), u), sum = 0;
    for (int k = (int)(sizeof temme / sizeof *temme) - 1; k >= 0; k--) {
        const double *c = temme[k];
        double row = 0;
        for (int n = (int)(sizeof *temme / sizeof **temme) - 1; n >= 0; n--) row = row * eta + c[n];
        sum = sum / a + row;
    }
    return 0.5 * erfc(sign * eta * sqrt(0.5 * a)) + sign * exp(-a * rest) / sqrt(2 * PI * a) * sum;
}

/* P or Q where the other one is cheap too: which one is computed without loss, and how. */
typedef struct part {
    bool upper;
    double value;
} part;
static part one_part(double a, double x, bool want_upper) {
    if (a > 40 && fabs(x - a) < 0.3 * a) return (part){want_upper, uniform(a, x, want_upper ? 1 : -1)};
    if (x > 1.1) return x > a ? (part){true, upper_fraction(a, x)} : (part){false, lower_series(a, x)};
    bool lower = a > 1 || (x <= 0.5 ? -0.4 / log(x) < a : 1.1 * x < a);
    if (!want_upper || lower) return (part){false, lower_series(a, x)};
    return (part){true, upper_series(a, x)};
}
static double incomplete(double a, double x, bool upper) {
    double nothing = upper ? 0 : 1;
    if (!(a >= 0) || !(x >= 0)) return NOT;
    if (a == 0) return x > 0 ? nothing : NOT;
    if (x == 0) return 1 - nothing;
    if (a == INF) return x == INF ? NOT : 1 - nothing;
    if (x == INF) return nothing;
    part p = one_part(a, x, upper);
    return p.upper == upper ? p.value : 1 - p.value;
}
static double gammainc(double a, double x) { return incomplete(a, x, false); }
static double gammaincc(double a, double x) { return incomplete(a, x, true); }
FUNCTION(gammainc)
FUNCTION(gammaincc)

/* ---- Chebyshev polynomials: the recurrence for few steps, else their angles (DLMF 18.5) ---- */

/* The degree, cut to a whole number; too large ones stop where doubles no longer tell neighbours apart. */
static double degree_of(double n) { return n != n || n <= -1 ? -1 : n > 0x1p53 ? 0x1p53 : trunc(n); }
static double odd_sign(double n, double x) { return x < 0 && fmod(n, 2) != 0 ? -1 : 1; }

enum { FIRST, SECOND, THIRD, FOURTH };

/* T, U, V and W by the angle of |x|, hyperbolic above 1. V(-x) is W(x) but for the sign. */
static double from_angle(double x, double n, int kind) {
    double size = fabs(x), sign = odd_sign(n, x);
    if (x < 0 && kind >= THIRD) kind = kind == THIRD ? FOURTH : THIRD;
    if (size < 1) {
        double t = acos(size);
        switch (kind) {
        case FIRST: return sign * cos(n * t);
        case SECOND: return sign * sin((n + 1) * t) / sin(t);
        case THIRD: return sign * cos((n + 0.5) * t) / cos(0.5 * t);
        default: return sign * sin((n + 0.5) * t) / sin(0.5 * t);
        }
    }
    double t = acosh(size);
    if (n * t > 1400) return sign * INF;
    switch (kind) {
    case FIRST: return sign * cosh(n * t);
    case SECOND: return sign * sinh((n + 1) * t) / sinh(t);
    case THIRD: return sign * cosh((n + 0.5) * t) / cosh(0.5 * t);
    default: return sign * sinh((n + 0.5) * t) / sinh(0.5 * t);
    }
}

static double at_one(double x, double n, int kind) {
    double many = kind == SECOND ? n + 1 : 2 * n + 1;
    bool single = kind == FIRST || (kind == THIRD && x > 0) || (kind == FOURTH && x < 0);
    return odd_sign(n, x) * (single ? 1 : many);
}

static double chebyshev(double x, double degree, int kind) {
    static const double start[] = {0, 0, -1, 1};
    double n = degree_of(degree);
    if (n < 0) return 0;
    if (n == 0) return 1;
    if (fabs(x) == 1) return at_one(x, n, kind);
    if (n > 8 && (fabs(x) < 1 || n > 64)) return from_angle(x, n, kind);
    double before = 1, now = kind == FIRST ? x : 2 * x + start[kind];
    for (int k = 1; k < (int)n; k++) {
        double next = 2 * x * now - before;
        before = now;
        now = next;
    }
    return now;
}
#define CHEBYSHEV(letter, kind)                                                                               \
    static double chebyshev_polynomial_##letter(double x, double n) { return chebyshev(x, n, kind); }         \
    static double shifted_chebyshev_polynomial_##letter(double x, double n) { return chebyshev(x + x - 1, n, kind); } \
    FUNCTION(chebyshev_polynomial_##letter)                                                                   \
    FUNCTION(shifted_chebyshev_polynomial_##letter)
CHEBYSHEV(t, FIRST)
CHEBYSHEV(u, SECOND)
CHEBYSHEV(v, THIRD)
CHEBYSHEV(w, FOURTH)

/* ---- other orthogonal polynomials by their recurrences (DLMF 18.9) ---- */

/* Above these degrees the recurrences overflow, or would take too long: NaN. */
#define HERMITE_LIMIT 512
#define CLASSIC_LIMIT 65536

#define RECURRENCE(name, limit, first, next_of)                                                               \
    static double name(double x, double degree) {                                                             \
        double n = degree_of(degree), before = 1, now = (first);                                              \
        if (n <= 0) return n == 0;                                                                            \
        if (n > (limit)) return NOT;                                                                          \
        for (int k = 1; k < (int)n && fabs(now) < INF; k++) {                                                 \
            double next = (next_of);                                                                          \
            before = now;                                                                                     \
            now = next;                                                                                       \
        }                                                                                                     \
        return now;                                                                                           \
    }
RECURRENCE(hermite_polynomial_h, HERMITE_LIMIT, 2 * x, 2 * (x * now - k * before))
RECURRENCE(hermite_polynomial_he, HERMITE_LIMIT, x, x *now - k * before)
RECURRENCE(laguerre_polynomial_l, CLASSIC_LIMIT, 1 - x, ((2 * k + 1 - x) * now - k * before) / (k + 1))
RECURRENCE(legendre_polynomial_p, CLASSIC_LIMIT, x, ((2 * k + 1) * x * now - k * before) / (k + 1))
FUNCTION(hermite_polynomial_h)
FUNCTION(hermite_polynomial_he)
FUNCTION(laguerre_polynomial_l)
FUNCTION(legendre_polynomial_p)

/* ---- the kernel ---- */

#define ROW(name) {#name, &name##_map}
static const struct row {
    const char *name;
    const hx_map *map;
} rows[] = {ROW(zeta), ROW(polygamma), ROW(gammainc), ROW(gammaincc), ROW(chebyshev_polynomial_t), ROW(chebyshev_polynomial_u),
            ROW(chebyshev_polynomial_v), ROW(chebyshev_polynomial_w), ROW(shifted_chebyshev_polynomial_t),
            ROW(shifted_chebyshev_polynomial_u), ROW(shifted_chebyshev_polynomial_v), ROW(shifted_chebyshev_polynomial_w),
            ROW(hermite_polynomial_h), ROW(hermite_polynomial_he), ROW(laguerre_polynomial_l), ROW(legendre_polynomial_p)};

HX_KERNEL(k_special_of_two) {
    HX_UNUSED;
    const hx_attr *name = &call->attr[0];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strlen(rows[i].name) == name->count && !memcmp(rows[i].name, name->v.str, name->count))
            return hx_run_map(call, rows[i].map, NULL, err);
    return HX_E_UNSUPPORTED;
}

HX_KERNELS(special_two) = {KERNEL(special_of_two, k_special_of_two, HX_SET_FLOAT), {0}};
