/* Elementary functions without branches.
 *
 * hx_vf_*: a register of floats at a time (types from lanes.h). The bound beside each is the largest error found
 * in units of the last place over a dense sample of all floats, subnormals included.
 * hx_d_*: plain double functions that a compiler vectorises, for float64 kernels and for float kernels whose speed is
 * not critical, which makes results right to 1 ULP of float. */
#ifndef HX_VMATH_H
#define HX_VMATH_H

#include <math.h>
#include <string.h>
#include "lanes.h"
#include "pieces.h"

#ifdef HX_ISA_AVX512 /* polynomials and tables of 16, for functions that look numbers up by a permutation */
#define HX_LANE_TABLE __attribute__((unused)) _Alignas(64) static const
#include "lane_tables.h"
#endif

/* ---- masks and bits ---- */

#if defined HX_ISA_AVX512
typedef __mmask16 hx_vm;
static inline hx_vm hx_vf_lt(hx_vf a, hx_vf b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ); }
static inline hx_vm hx_vf_eq(hx_vf a, hx_vf b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_EQ_OQ); }
static inline hx_vf hx_vf_select(hx_vm m, hx_vf yes, hx_vf no) {
    return (hx_vf)_mm512_mask_blend_ps(m, (__m512)no, (__m512)yes);
}
static inline hx_vf hx_vf_round(hx_vf x) { return (hx_vf)_mm512_roundscale_ps((__m512)x, 8); }
/* p * 2^k for whole k, with one rounding. */
static inline hx_vf hx_vf_scale2(hx_vf p, hx_vf k) { return (hx_vf)_mm512_scalef_ps((__m512)p, (__m512)k); }
/* NaN in x stays. */
static inline hx_vf hx_vf_clamp(hx_vf x, float low, float high) {
    return (hx_vf)_mm512_min_ps(_mm512_set1_ps(high), _mm512_max_ps(_mm512_set1_ps(low), (__m512)x));
}
/* a / b to 1 ULP for finite b away from the ends of the range. */
static inline hx_vf hx_vf_divide(hx_vf a, hx_vf b) {
    hx_vf r = (hx_vf)_mm512_rcp14_ps((__m512)b);
    r += r * (1.0f - b * r);
    hx_vf q = a * r;
    return q + r * (a - b * q);
}
#else
typedef hx_vi hx_vm;
static inline hx_vm hx_vf_lt(hx_vf a, hx_vf b) { return a < b; }
static inline hx_vm hx_vf_eq(hx_vf a, hx_vf b) { return a == b; }
static inline hx_vf hx_vf_divide(hx_vf a, hx_vf b) { return a / b; }
#if defined HX_ISA_AVX2
static inline hx_vf hx_vf_select(hx_vm m, hx_vf yes, hx_vf no) {
    return (hx_vf)_mm256_blendv_ps((__m256)no, (__m256)yes, (__m256)m);
}
static inline hx_vf hx_vf_round(hx_vf x) { return (hx_vf)_mm256_round_ps((__m256)x, 8); }
static inline hx_vf hx_vf_clamp(hx_vf x, float low, float high) {
    return (hx_vf)_mm256_min_ps(_mm256_set1_ps(high), _mm256_max_ps(_mm256_set1_ps(low), (__m256)x));
}
#else
static inline hx_vf hx_vf_select(hx_vm m, hx_vf yes, hx_vf no) {
    return (hx_vf)(((hx_vi)yes & m) | ((hx_vi)no & ~m));
}
/* For |x| < 2^22. */
static inline hx_vf hx_vf_round(hx_vf x) { return (x + 0x1.8p23f) - 0x1.8p23f; }
static inline hx_vf hx_vf_clamp(hx_vf x, float low, float high) {
    x = hx_vf_select(hx_vf_lt(x, hx_vf_all(low)), hx_vf_all(low), x);
    return hx_vf_select(hx_vf_lt(hx_vf_all(high), x), hx_vf_all(high), x);
}
#endif
static inline hx_vf hx_vf_scale2(hx_vf p, hx_vf k) {
    hx_vi whole = __builtin_convertvector(k, hx_vi), half = whole >> 1, rest = whole - half;
    return p * (hx_vf)((half + 127) << 23) * (hx_vf)((rest + 127) << 23);
}
#endif
#if defined HX_ISA_AVX512
static inline hx_vm hx_vf_odd(hx_vi n) { return _mm512_test_epi32_mask((__m512i)n, _mm512_set1_epi32(1)); }
#else
static inline hx_vm hx_vf_odd(hx_vi n) { return -(n & 1); }
#endif
static inline hx_vf hx_vf_abs(hx_vf x) { return (hx_vf)((hx_vi)x & 0x7fffffff); }
/* Magnitude of x with the sign of s. */
static inline hx_vf hx_vf_copysign(hx_vf x, hx_vf s) {
    return (hx_vf)(((hx_vi)x & 0x7fffffff) | ((hx_vi)s & (int32_t)0x80000000));
}

/* ---- exponentials ---- */

/* x = k ln 2 + r with |r| <= ln 2 / 2. */
static inline hx_vf hx_vf_exp_split(hx_vf x, hx_vf *k) {
    *k = hx_vf_round(x * 0x1.715476p+0f);
    return (x - *k * 0x1.62e400p-1f) - *k * 0x1.7f7d1cp-20f;
}

/* exp(r) of such r. */
static inline hx_vf hx_vf_exp_mantissa(hx_vf r) {
    hx_vf p = r * 0x1.6a22f4p-10f + 0x1.123a76p-7f;
    p = p * r + 0x1.5558f6p-5f;
    p = p * r + 0x1.555490p-3f;
    p = p * r + 0x1.fffffcp-2f;
    return p * (r * r) + r + 1.0f;
}
/* 1 ULP. */
static inline hx_vf hx_vf_exp(hx_vf x) {
    hx_vf k, r = hx_vf_exp_split(hx_vf_clamp(x, -104.5f, 89.0f), &k);
    return hx_vf_scale2(hx_vf_exp_mantissa(r), k);
}

/* 2^x, 1 ULP; exact for whole x. */
static inline hx_vf hx_vf_exp2(hx_vf x) {
    x = hx_vf_clamp(x, -151.0f, 129.0f);
    hx_vf k = hx_vf_round(x), r = (x - k) * 0x1.62e430p-1f;
    return hx_vf_scale2(hx_vf_exp_mantissa(r), k);
}

/* 2 ULP. */
static inline hx_vf hx_vf_expm1(hx_vf x) {
    hx_vf k, r = hx_vf_exp_split(hx_vf_clamp(x, -18.0f, 89.0f), &k);
    hx_vf p = r * 0x1.a035e4p-13f + 0x1.6d72b0p-10f;
    p = p * r + 0x1.111188p-7f;
    p = p * r + 0x1.5554b0p-5f;
    p = p * r + 0x1.555554p-3f;
    p = p * r + 0.5f;
    p = p * (r * r) + r;
    hx_vf half = hx_vf_scale2(hx_vf_all(0.5f), k);
    return hx_vf_select(hx_vf_lt(hx_vf_abs(x), hx_vf_all(0x1p-25f)), x, (half * p + (half - 0.5f)) * 2.0f);
}

/* ---- logarithms ---- */

/* (log(1 + f) - f + f^2 / 2) / f^3 for 1 + f in [sqrt(1/2), sqrt(2)]. */
static inline hx_vf hx_vf_log_series(hx_vf f) {
    hx_vf p = f * 0x1.144e6ep-4f + -0x1.de5fc2p-4f;
    p = p * f + 0x1.e7079ap-4f;
    p = p * f + -0x1.fc1e58p-4f;
    p = p * f + 0x1.2335bap-3f;
    p = p * f + -0x1.555c56p-3f;
    p = p * f + 0x1.99a4c8p-3f;
    p = p * f + -0x1.000006p-2f;
    return p * f + 0x1.555548p-2f;
}
/* log(1 + f) plus e ln 2. */
static inline hx_vf hx_vf_log_tail(hx_vf f, hx_vf e) {
    hx_vf z = f * f, p = hx_vf_log_series(f);
    p = p * (z * f) + e * 0x1.7f7d1cp-20f;
    p = p - 0.5f * z;
    return (f + p) + e * 0x1.62e400p-1f;
}

/* Mantissa in [sqrt(1/2), sqrt(2)) of a positive normal float, and its exponent. */
static inline hx_vf hx_vf_log_split(hx_vf x, hx_vf *e) {
    hx_vi bits = (hx_vi)((hx_vu)x - 0x3f3504f3u);
    *e = __builtin_convertvector(bits >> 23, hx_vf);
    return (hx_vf)((bits & 0x7fffff) + 0x3f3504f3);
}

/* What log gives for arguments that have no logarithm: -inf at zero, NaN below, inf and NaN as they are. */
static inline hx_vf hx_vf_log_ends(hx_vf x, hx_vf y) {
    const float inf = __builtin_inff();
    y = hx_vf_select(hx_vf_lt(hx_vf_all(0.0f), x), y, hx_vf_all(__builtin_nanf("")));
    y = hx_vf_select(hx_vf_eq(x, hx_vf_all(0.0f)), hx_vf_all(-inf), y);
    return hx_vf_select(hx_vf_eq(x, hx_vf_all(inf)), x, y);
}

/* 1 ULP, by the steps that devices take too: random numbers have the same bits everywhere. */
static inline hx_vf hx_vf_log_plain(hx_vf x) {
    hx_vm tiny = hx_vf_lt(x, hx_vf_all(0x1p-126f));
    hx_vf e, m = hx_vf_log_split(hx_vf_select(tiny, x * 0x1p25f, x), &e);
    e -= hx_vf_select(tiny, hx_vf_all(25.0f), hx_vf_all(0.0f));
    return hx_vf_log_ends(x, hx_vf_log_tail(m - 1.0f, e));
}

#ifdef HX_ISA_AVX512
/* For vfixupimm, by the class of x (quiet and signalling NaN, 0, 1, -inf, inf, below 0, above): 0 leaves the result, 2 makes
 * x a quiet NaN, 3 is NaN, 4 -inf, 5 inf. */
#define HX_LOG_ENDS (2 | 2 << 4 | 4 << 8 | 3 << 16 | 5 << 20 | 3 << 24)
/* What x is made of: x = m 2^e, m in [3/4, 3/2), and r = m / c - 1 for the c of its piece. */
typedef struct hx_vf_split {
    hx_vf e, r;
    __m512i piece;
} hx_vf_split;
static inline hx_vf hx_vf_log_row(hx_vf_split s, int row) {
    return (hx_vf)_mm512_permutexvar_ps(s.piece, _mm512_load_ps(hx_log_table_f32[row]));
}
static inline hx_vf_split hx_vf_log_pieces(hx_vf x) {
    __m512 m = _mm512_getmant_ps((__m512)x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_zero), e = _mm512_getexp_ps((__m512)x);
    __m512i piece = _mm512_srli_epi32(_mm512_castps_si512(_mm512_getmant_ps((__m512)x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_zero)), 19);
    e = _mm512_mask_add_ps(e, _mm512_test_epi32_mask(piece, _mm512_set1_epi32(8)), e, _mm512_set1_ps(1.0f));
    hx_vf_split s = {.e = (hx_vf)e, .piece = piece};
    s.r = (hx_vf)_mm512_fmsub_ps(m, (__m512)hx_vf_log_row(s, 0), _mm512_set1_ps(1.0f));
    return s;
}
/* high + low + factor log(1 + r), with the factor in two parts. */
static inline hx_vf hx_vf_log_sum(hx_vf x, hx_vf_split s, hx_vf high, hx_vf low, float factor, float under) {
    hx_vf part = s.r * factor, lost = (hx_vf)_mm512_fmsub_ps((__m512)s.r, _mm512_set1_ps(factor), (__m512)part);
    hx_vf sum = high + part;
    low += (s.r * under + lost) + ((high - sum) + part);
    hx_vf y = sum + (s.r * s.r * factor * hx_vf_log_table_series(s.r) + low);
    return (hx_vf)_mm512_fixupimm_ps((__m512)y, (__m512)x, _mm512_set1_epi32(HX_LOG_ENDS), 0);
}
/* log(x) + more for a small `more`. */
static inline hx_vf hx_vf_log_and(hx_vf x, hx_vf more) {
    hx_vf_split s = hx_vf_log_pieces(x);
    hx_vf high = s.e * 0x1.62e4p-1f + hx_vf_log_row(s, 1), low = s.e * 0x1.7f7d1cp-20f + hx_vf_log_row(s, 2) + more;
    return hx_vf_log_sum(x, s, high, low, 1.0f, 0.0f);
}
/* 1 ULP; those to the bases 2 and 10 are exact where the result is whole. */
static inline hx_vf hx_vf_log(hx_vf x) { return hx_vf_log_and(x, hx_vf_all(0.0f)); }
static inline hx_vf hx_vf_log2(hx_vf x) {
    hx_vf_split s = hx_vf_log_pieces(x);
    return hx_vf_log_sum(x, s, s.e + hx_vf_log_row(s, 3), hx_vf_log_row(s, 4), 0x1.715476p+0f, 0x1.4ae0cp-26f);
}
static inline hx_vf hx_vf_log10(hx_vf x) {
    hx_vf_split s = hx_vf_log_pieces(x);
    hx_vf high = s.e * 0x1.344p-2f + hx_vf_log_row(s, 5), low = s.e * 0x1.3509f8p-18f + hx_vf_log_row(s, 6);
    return hx_vf_log_sum(x, s, high, low, 0x1.bcb7b2p-2f, -0x1.5b235ep-27f);
}
#else
static inline hx_vf hx_vf_log(hx_vf x) { return hx_vf_log_plain(x); }
/* 2 ULP; exact for powers of two. */
static inline hx_vf hx_vf_log2(hx_vf x) {
    hx_vm tiny = hx_vf_lt(x, hx_vf_all(0x1p-126f));
    hx_vf e, m = hx_vf_log_split(hx_vf_select(tiny, x * 0x1p25f, x), &e);
    e -= hx_vf_select(tiny, hx_vf_all(25.0f), hx_vf_all(0.0f));
    hx_vf t = hx_vf_log_tail(m - 1.0f, hx_vf_all(0.0f));
    return hx_vf_log_ends(x, e + (t * 0x1.715476p+0f + t * 0x1.4ae0c0p-26f));
}

/* 1 ULP. The logarithm of the mantissa stands as a short part, whose product is exact, and the rest. */
static inline hx_vf hx_vf_log10(hx_vf x) {
    hx_vm tiny = hx_vf_lt(x, hx_vf_all(0x1p-126f));
    hx_vf e, m = hx_vf_log_split(hx_vf_select(tiny, x * 0x1p25f, x), &e), f = m - 1.0f;
    e -= hx_vf_select(tiny, hx_vf_all(25.0f), hx_vf_all(0.0f));
    hx_vf z = f * f, p = hx_vf_log_series(f), half = 0.5f * z;
    hx_vf high = (hx_vf)((hx_vi)(f - half) & ~0xfff), low = (f - high) - half + p * (z * f);
    hx_vf whole = e * 0x1.344p-2f, part = high * 0x1.bc8p-2f, sum = whole + part;
    hx_vf rest = (whole - sum) + part + (e * 0x1.3509f8p-18f + ((low + high) * 0x1.bd8a94p-13f + low * 0x1.bc8p-2f));
    return hx_vf_log_ends(x, sum + rest);
}
#endif

/* log(1 + x), 2 ULP. What 1 + x loses in rounding is added to the mantissa. */
static inline hx_vf hx_vf_log1p(hx_vf x) {
    hx_vf u = x + 1.0f, e, m = hx_vf_log_split(u, &e);
    hx_vm large = hx_vf_lt(hx_vf_all(1.0f), x);
    hx_vf lost = hx_vf_select(large, 1.0f - (u - x), x - (u - 1.0f));
    hx_vf f = (m - 1.0f) + hx_vf_scale2(lost, -e);
    hx_vf y = hx_vf_log_ends(u, hx_vf_log_tail(f, e));
    return hx_vf_select(hx_vf_lt(hx_vf_abs(x), hx_vf_all(0x1p-25f)), x, y);
}

#if defined HX_ISA_AVX512
/* log(x / (1 - x)), 2 ULP. What the difference and the quotient lose in rounding is divided by x, roughly, and added. */
static inline hx_vf hx_vf_logit(hx_vf x) {
    hx_vf b = 1.0f - x, q = x / b, lost = (hx_vf)_mm512_fnmadd_ps((__m512)q, (__m512)b, (__m512)x) - q * ((1.0f - b) - x);
    __mmask16 usual = _mm512_cmp_ps_mask((__m512)q, _mm512_set1_ps(0x1p-60f), _CMP_GT_OQ);
    return hx_vf_log_and(q, lost * (hx_vf)_mm512_maskz_rcp14_ps(usual, (__m512)x));
}
#elif defined __FMA__
/* log(x / (1 - x)), 2 ULP. What the difference and the quotient lose in rounding is added to the mantissa. */
static inline hx_vf hx_vf_logit(hx_vf x) {
    hx_vf b = 1.0f - x, q = x / b, lost = ((x - q * b) - q * ((1.0f - b) - x)) / b;
    hx_vm tiny = hx_vf_lt(q, hx_vf_all(0x1p-60f));
    hx_vf e, m = hx_vf_log_split(hx_vf_select(tiny, q * 0x1p25f, q), &e);
    hx_vf f = (m - 1.0f) + hx_vf_select(tiny, hx_vf_all(0.0f), hx_vf_scale2(lost, -e));
    return hx_vf_log_ends(q, hx_vf_log_tail(f, e - hx_vf_select(tiny, hx_vf_all(25.0f), hx_vf_all(0.0f))));
}
#endif

/* 2 ULP: an odd polynomial below 1/2, above half of log(1 + 2 a / (1 - a)), whose difference is exact. */
static inline hx_vf hx_vf_atanh(hx_vf x) {
    hx_vf a = hx_vf_abs(x), z = x * x;
    hx_vf p = z * 0x1.263832p-3f + 0x1.1f6348p-5f;
    p = p * z + 0x1.48e1c8p-4f;
    p = p * z + 0x1.76848ap-4f;
    p = p * z + 0x1.c66a46p-4f;
    p = p * z + 0x1.249b0ep-3f;
    p = p * z + 0x1.99993cp-3f;
    p = p * z + 0x1.555556p-2f;
    return hx_vf_copysign(hx_vf_select(hx_vf_lt(a, hx_vf_all(0.5f)), a + a * z * p, 0.5f * hx_vf_log1p(2.0f * a / (1.0f - a))), x);
}

/* ---- hyperbolic, logistic and error functions ---- */

/* The factors of tanh(t) / t and of erf(t) / t, as rational minimax fits in u = t * t. */
static inline void hx_vf_tanh_factors(hx_vf u, hx_vf *p, hx_vf *q) {
    *p = u * 0x1.c987b8p-27f + 0x1.594ad0p-16f;
    *q = u * 0x1.a0a5e8p-21f + 0x1.583b1ap-12f;
    *p = *p * u + 0x1.c9f31ap-9f;
    *q = *q * u + 0x1.a7dc9ep-6f;
    *p = *p * u + 0x1.12038cp-3f;
    *q = *q * u + 0x1.de5710p-2f;
}

/* 2 ULP. */
static inline hx_vf hx_vf_tanh(hx_vf x) {
#if defined HX_ISA_AVX512
    return hx_vf_pieces(x, &hx_tanh_pieces);
#else /* an odd polynomial below 0.55, and 1 - 2 / (exp(2 |x|) + 1) above; no product of the first overflows */
    hx_vf t = hx_vf_clamp(hx_vf_abs(x), 0.0f, 10.0f), u = t * t;
    hx_vf p = u * -0x1.9b3016p-8f + 0x1.593cfep-6f;
    p = p * u + -0x1.b9287ap-5f;
    p = p * u + 0x1.110d26p-3f;
    p = p * u + -0x1.55554ap-2f;
    hx_vf near = p * u * t + t, far = 1.0f - hx_vf_divide(hx_vf_all(2.0f), hx_vf_exp(t + t) + 1.0f);
    return hx_vf_copysign(hx_vf_select(hx_vf_lt(t, hx_vf_all(0.55f)), near, far), x);
#endif
}

/* 1 / (1 + exp(-x)), 3 ULP. */
static inline hx_vf hx_vf_sigmoid(hx_vf x) {
    hx_vf e = hx_vf_exp((hx_vf)((hx_vi)x | (int32_t)0x80000000));
    return hx_vf_divide(hx_vf_select(hx_vf_lt(x, hx_vf_all(0.0f)), e, hx_vf_all(1.0f)), e + 1.0f);
}

/* erf(t) / t times sqrt(pi) / 2, which is 1 at 0, to 4e-7. */
static inline void hx_vf_erf_factors(hx_vf u, hx_vf *p, hx_vf *q) {
    *p = u * 0x1.e5c11cp-20f + 0x1.08a40cp-12f;
    *q = u * 0x1.3ec838p-15f + 0x1.3168dap-10f;
    *p = *p * u + 0x1.b6f85cp-9f;
    *q = *q * u + 0x1.eb661cp-7f;
    *p = *p * u + 0x1.7f3e40p-5f;
    *q = *q * u + 0x1.d3fa76p-4f;
    *p = *p * u + 0x1.5a4010p-3f;
    *q = *q * u + 0x1.013aa0p-1f;
}

/* 2 ULP. */
static inline hx_vf hx_vf_erf(hx_vf x) {
#if defined HX_ISA_AVX512
    return hx_vf_pieces(x, &hx_erf_pieces);
#else /* an odd polynomial below 1, and 1 - exp(-t p(t)) above, which is 1 from 3.93 on */
    hx_vf t = hx_vf_clamp(hx_vf_abs(x), 0.0f, 3.93f), u = t * t;
    hx_vf p = u * 0x1.4969f2p-14f + -0x1.a3f6e8p-11f;
    hx_vf q = t * -0x1.b9c06ep-13f + 0x1.a1b84ap-9f;
    p = p * u + 0x1.5405aep-8f;
    q = q * t + -0x1.7587bap-6f;
    p = p * u + -0x1.b7f90cp-6f;
    q = q * t + 0x1.ae8e48p-4f;
    p = p * u + 0x1.ce2cf8p-4f;
    q = q * t + 0x1.458bb4p-1f;
    p = p * u + -0x1.81273ep-2f;
    q = q * t + 0x1.20e412p+0f;
    p = p * u + 0x1.06eba8p-3f;
    hx_vf near = p * t + t, far = 1.0f - hx_vf_exp(-t * q);
    return hx_vf_copysign(hx_vf_select(hx_vf_lt(t, hx_vf_all(1.0f)), near, far), x);
#endif
}

#if defined __FMA__ || defined __ARM_FEATURE_FMA
/* sin (quarter = 0) and cos (quarter = 1) for |x| <= HX_VF_TRIG_LIMIT, 2 ULP. The products with the three parts of
 * pi / 2 are exact in a fused multiply-add. */
#define HX_VF_TRIG_LIMIT 10000.0f
static inline hx_vf hx_vf_sincos(hx_vf x, int quarter) {
    hx_vf k = hx_vf_round(x * 0x1.45f306p-1f);
    hx_vf r = x - k * 0x1.921fb6p+0f;
    r = r - k * -0x1.777a5cp-25f;
    r = r - k * -0x1.ee59dap-50f;
    hx_vi n = __builtin_convertvector(k, hx_vi) + quarter;
    hx_vf z = r * r;
    hx_vf s = z * 0x1.6cd590p-19f + -0x1.a00f92p-13f;
    hx_vf c = z * -0x1.241c94p-22f + 0x1.a010d4p-16f;
    s = s * z + 0x1.111108p-7f;
    c = c * z + -0x1.6c16b8p-10f;
    s = s * z + -0x1.555556p-3f;
    c = c * z + 0x1.555556p-5f;
    s = s * (r * z) + r;
    c = c * (z * z) + (1.0f - 0.5f * z);
    hx_vf y = hx_vf_select(hx_vf_odd(n), c, s);
    y = (hx_vf)((hx_vi)y ^ ((n & 2) << 30));
    return quarter ? y : hx_vf_select(hx_vf_eq(x, hx_vf_all(0.0f)), x, y);
}
#endif

/* 3 ULP. */
static inline hx_vf hx_vf_atan(hx_vf x) {
    hx_vf a = hx_vf_clamp(hx_vf_abs(x), 0.0f, 1e15f), none = hx_vf_all(0.0f);
    hx_vm high = hx_vf_lt(hx_vf_all(2.41421356f), a), middle = hx_vf_lt(hx_vf_all(0.41421356f), a);
    hx_vf turned = hx_vf_divide(hx_vf_select(high, hx_vf_all(-1.0f), a - 1.0f), hx_vf_select(high, a, a + 1.0f));
    hx_vf t = hx_vf_select(middle, turned, a), z = t * t;
    hx_vf quarter = hx_vf_all(0x1.921fb6p-1f), half = hx_vf_all(0x1.921fb6p+0f);
    hx_vf base = hx_vf_select(high, half, hx_vf_select(middle, quarter, none));
    hx_vf p = z * -0x1.0841e6p-4f + 0x1.b80f24p-4f;
    p = p * z + -0x1.242028p-3f;
    p = p * z + 0x1.999730p-3f;
    p = p * z + -0x1.555554p-2f;
    return hx_vf_copysign(base + (t * z * p + (base * -0x1.bbbd2ep-26f + t)), x);
}

static inline hx_vf hx_vf_sqrt(hx_vf x) {
#if defined HX_ISA_AVX512
    return (hx_vf)_mm512_sqrt_ps((__m512)x);
#elif defined HX_ISA_AVX2
    return (hx_vf)_mm256_sqrt_ps((__m256)x);
#else
    for (int i = 0; i < HX_LANES_OF(float); i++) x[i] = sqrtf(x[i]);
    return x;
#endif
}
/* asin of t with t * t = z <= 1/4. */
static inline hx_vf hx_vf_asin_near(hx_vf t, hx_vf z) {
    hx_vf p = z * 0x1.14138cp-5f + 0x1.18e1f6p-6f;
    p = p * z + 0x1.fd9218p-6f;
    p = p * z + 0x1.6d5b8ep-5f;
    p = p * z + 0x1.333432p-4f;
    p = p * z + 0x1.555554p-3f;
    return t + t * z * p;
}
/* 3 ULP; beyond 1/2 by the root of (1 - |x|) / 2. */
static inline hx_vf hx_vf_asin(hx_vf x) {
    hx_vf a = hx_vf_abs(x), half = (1.0f - a) * 0.5f;
    hx_vm far = hx_vf_lt(hx_vf_all(0.5f), a);
    hx_vf y = hx_vf_asin_near(hx_vf_select(far, hx_vf_sqrt(half), a), hx_vf_select(far, half, a * a));
    return hx_vf_copysign(hx_vf_select(far, 0x1.921fb6p+0f - (2.0f * y + 0x1.777a5cp-25f), y), x);
}
static inline hx_vf hx_vf_acos(hx_vf x) {
    hx_vf a = hx_vf_abs(x), half = (1.0f - a) * 0.5f;
    hx_vm far = hx_vf_lt(hx_vf_all(0.5f), a), above = hx_vf_lt(hx_vf_all(0.0f), x);
    hx_vf y = hx_vf_asin_near(hx_vf_select(far, hx_vf_sqrt(half), x), hx_vf_select(far, half, x * x));
    hx_vf below = 0x1.921fb6p+1f - (2.0f * y + 0x1.777a5cp-24f);
    return hx_vf_select(far, hx_vf_select(above, 2.0f * y, below), 0x1.921fb6p+0f - (y + 0x1.777a5cp-25f));
}

/* erfinv(x) / x in w = -log(1 - x * x), after Giles, "Approximating the erfinv function", GPU Computing Gems 2 (2011). */
static inline hx_vf hx_vf_erfinv(hx_vf x) {
    hx_vf w = -hx_vf_log((1.0f - x) * (1.0f + x)), u = w - 2.5f, v = hx_vf_sqrt(w) - 3.0f;
    hx_vf near = u * 0x1.0f810cp-33f + 0x1.dd41c8p-32f;
    near = near * u + -0x1.753510p-27f;
    near = near * u + 0x1.1b87ccp-26f;
    near = near * u + 0x1.00fe9cp-21f;
    near = near * u + -0x1.cbdd9cp-19f;
    near = near * u + -0x1.4f46a0p-18f;
    near = near * u + 0x1.c9bba8p-13f;
    near = near * u + -0x1.4863cep-10f;
    near = near * u + -0x1.11c3e2p-8f;
    near = near * u + 0x1.f91e8ap-3f;
    near = near * u + 0x1.805c5cp+0f;
    hx_vf far = v * 0x1.d47334p-14f + -0x1.40a992p-12f;
    far = far * v + -0x1.a7988ep-15f;
    far = far * v + 0x1.83f93ap-10f;
    far = far * v + -0x1.d7fc2cp-9f;
    far = far * v + 0x1.74d78ep-8f;
    far = far * v + -0x1.f476a4p-8f;
    far = far * v + 0x1.357e6cp-7f;
    far = far * v + 0x1.006dc4p+0f;
    far = far * v + 0x1.6a9efcp+1f;
    hx_vf y = x * hx_vf_select(hx_vf_lt(w, hx_vf_all(5.0f)), near, far);
    return hx_vf_select(hx_vf_eq(hx_vf_abs(x), hx_vf_all(1.0f)), hx_vf_copysign(hx_vf_all(__builtin_inff()), x), y);
}

/* a / b to 2 ULP, where that is enough. */
static inline hx_vf hx_vf_divide_fast(hx_vf a, hx_vf b) {
#if defined HX_ISA_AVX512
    hx_vf r = (hx_vf)_mm512_rcp14_ps((__m512)b);
    return a * (r + r * (1.0f - b * r));
#else
    return a / b;
#endif
}
/* x brought into [-limit, limit]; a NaN becomes some number. */
static inline hx_vf hx_vf_within(hx_vf x, float limit) {
#if defined HX_ISA_AVX512
    return (hx_vf)_mm512_range_ps((__m512)x, _mm512_set1_ps(limit), 2);
#else
    return hx_vf_clamp(x, -limit, limit);
#endif
}
/* tanh and erf to 3e-7 absolute, for sums in which they stand beside 1; NaN is not kept. */
static inline hx_vf hx_vf_tanh_fast(hx_vf x) {
    hx_vf t = hx_vf_within(x, 9.02f), u = t * t, p, q;
    hx_vf_tanh_factors(u, &p, &q);
    return t * hx_vf_divide_fast(p * u + 1.0f, q * u + 1.0f);
}
static inline hx_vf hx_vf_erf_fast(hx_vf x) {
    hx_vf t = hx_vf_within(x, 3.93f), u = t * t, p, q;
    hx_vf_erf_factors(u, &p, &q);
    return t * 0x1.20dd76p+0f * hx_vf_divide_fast(p * u + 1.0f, q * u + 1.0f);
}

/* ---- one at a time: the same bits as a register gives ---- */

static inline float hx_vf_first(hx_vf v) { return v[0]; }
#define HX_SCALAR_OF(name)                                                                                    \
    static inline float hx_f_##name(float x) { return hx_vf_first(hx_vf_##name(hx_vf_all(x))); }
HX_SCALAR_OF(exp)
HX_SCALAR_OF(expm1)
HX_SCALAR_OF(log)
HX_SCALAR_OF(log1p)
HX_SCALAR_OF(tanh)
HX_SCALAR_OF(sigmoid)
HX_SCALAR_OF(erf)
#undef HX_SCALAR_OF

/* o[i] = f(a[i]) over a register function, any n, exact in-place allowed. `v` names the value. */
#define HX_VF_LOOP(o, a, n, v, expr)                                                                          \
    do {                                                                                                      \
        enum { lanes_ = HX_LANES_OF(float) };                                                                 \
        int64_t i_ = 0;                                                                                       \
        for (; i_ + lanes_ <= (n); i_ += lanes_) {                                                            \
            hx_vf v = hx_vf_load((a) + i_);                                                                   \
            hx_prefetch((a) + i_, HX_AHEAD);                                                                  \
            hx_vf_store((o) + i_, expr);                                                                      \
        }                                                                                                     \
        if (i_ < (n)) {                                                                                       \
            hx_vf v = hx_vf_load_part((a) + i_, (int)((n) - i_));                                             \
            hx_vf_store_part((o) + i_, expr, (int)((n) - i_));                                                \
        }                                                                                                     \
    } while (0)

/* The first n lanes (0 < n < all); the others are 0. */
#if defined HX_ISA_AVX512
static inline hx_vf hx_vf_load_part(const float *p, int n) {
    return (hx_vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
static inline void hx_vf_store_part(float *p, hx_vf v, int n) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
}
#else
static inline hx_vf hx_vf_load_part(const float *p, int n) {
    float lane[HX_LANES_OF(float)] = {0};
    for (int i = 0; i < n; i++) lane[i] = p[i];
    return hx_vf_load(lane);
}
static inline void hx_vf_store_part(float *p, hx_vf v, int n) {
    float lane[HX_LANES_OF(float)];
    hx_vf_store(lane, v);
    for (int i = 0; i < n; i++) p[i] = lane[i];
}
#endif

/* ---- doubles ---- */

/* Loops over these are vectorised only where they are inlined. */
#define HX_INLINE static inline __attribute__((always_inline))

HX_INLINE int64_t hx_d_bits(double x) {
    int64_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}
HX_INLINE double hx_d_of_bits(int64_t b) {
    double x;
    memcpy(&x, &b, sizeof x);
    return x;
}
/* For |x| < 2^51. */
HX_INLINE double hx_d_round(double x) { return (x + 0x1.8p52) - 0x1.8p52; }
/* 2^k for whole k in [-1022, 1023]. */
HX_INLINE double hx_d_pow2(double k) { return hx_d_of_bits((int64_t)((uint64_t)hx_d_bits(k + (0x1.8p52 + 1023)) << 52)); }

/* exp(r) 2^k for |r| <= ln 2 / 2 and whole k in [-1076, 1025]. */
HX_INLINE double hx_d_exp_tail(double r, double k) {
    double p = r * 0x1.ad1e13e4d7103p-26 + 0x1.289fde1ab0c29p-22;
    p = p * r + 0x1.71df570bbb44fp-19;
    p = p * r + 0x1.a019aae079ab4p-16;
    p = p * r + 0x1.a01a011b24fd5p-13;
    p = p * r + 0x1.6c16c17cd9340p-10;
    p = p * r + 0x1.1111111128bcdp-7;
    p = p * r + 0x1.55555555531c9p-5;
    p = p * r + 0x1.5555555555500p-3;
    p = p * r + 0.5;
    p = p * (r * r) + r + 1.0;
    double half = hx_d_round(k * 0.5);
    return p * hx_d_pow2(half) * hx_d_pow2(k - half);
}

HX_INLINE double hx_d_within(double x, double low, double high) {
    double t = x > high ? high : x;
    return t < low ? low : t;
}

/* 1 ULP. */
HX_INLINE double hx_d_exp(double x) {
    double t = hx_d_within(x, -746.0, 710.0);
    double k = hx_d_round(t * 0x1.71547652b82fep+0);
    double r = (t - k * 0x1.62e42fefa0000p-1) - k * 0x1.cf79abc9e3b3ap-40;
    return hx_d_exp_tail(r, k);
}

/* 2^x, 1 ULP; exact for whole x. */
HX_INLINE double hx_d_exp2(double x) {
    double t = hx_d_within(x, -1076.0, 1025.0), k = hx_d_round(t);
    return hx_d_exp_tail((t - k) * 0x1.62e42fefa39efp-1, k);
}

/* (exp(x) - 1) / 4 for x <= 710.5, 1 ULP: a quarter, for the sake of sinh and cosh near the end of the range. The
 * larger part of the sum of 2^k - 1 and 2^k r is kept with what its rounding lost. */
HX_INLINE double hx_d_quarter_expm1(double x) {
    double t = hx_d_within(x, -40.0, 710.5);
    double k = hx_d_round(t * 0x1.71547652b82fep+0);
    double above = t - k * 0x1.62e42fefa0000p-1, below = k * 0x1.cf79abc9e3b3ap-40;
    double r = above - below, lost = (above - r) - below;
    double p = r * 0x1.ad1e13e4d7103p-26 + 0x1.289fde1ab0c29p-22;
    p = p * r + 0x1.71df570bbb44fp-19;
    p = p * r + 0x1.a019aae079ab4p-16;
    p = p * r + 0x1.a01a011b24fd5p-13;
    p = p * r + 0x1.6c16c17cd9340p-10;
    p = p * r + 0x1.1111111128bcdp-7;
    p = p * r + 0x1.55555555531c9p-5;
    p = p * r + 0x1.5555555555500p-3;
    p = p * r + 0.5;
    double scale = hx_d_pow2(k - 2.0), whole = scale - 0.25, part = scale * r, sum = whole + part;
    double y = sum + ((whole - sum) + part + scale * (p * (r * r) + lost));
    return fabs(x) < 0x1p-54 ? 0.25 * x : y;
}
HX_INLINE double hx_d_expm1(double x) { return fabs(x) < 0x1p-54 ? x : 4.0 * hx_d_quarter_expm1(x); }

/* Mantissa - 1 in [sqrt(1/2) - 1, sqrt(2) - 1) of a positive x, and its exponent. */
HX_INLINE double hx_d_log_split(double x, double *e) {
    bool tiny = x < 0x1p-1022;
    uint64_t bits = (uint64_t)hx_d_bits(tiny ? x * 0x1p54 : x) - 0x3fe6a09e667f3bcd;
    uint64_t raised = (bits + (2048ull << 52)) >> 52; /* exponent + 2048, so that a logical shift will do */
    double exponent = hx_d_of_bits((int64_t)(raised | 0x4330000000000000)) - (0x1p52 + 2048.0);
    *e = tiny ? exponent - 54.0 : exponent;
    return hx_d_of_bits((int64_t)((bits & 0xfffffffffffff) + 0x3fe6a09e667f3bcd)) - 1.0;
}
/* e ln 2 + log(1 + f) + lost */
HX_INLINE double hx_d_log_tail(double f, double e, double lost) {
    double s = f / (2.0 + f), z = s * s, h = 0.5 * f * f;
    double p = z * 0x1.2f0d92c95c50ap-3 + 0x1.39a0f4901409fp-3;
    p = p * z + 0x1.7466463160d8ep-3;
    p = p * z + 0x1.c71c51e7dced4p-3;
    p = p * z + 0x1.2492494217c87p-2;
    p = p * z + 0x1.999999997fb2ep-2;
    p = p * z + 0x1.5555555555593p-1;
    return e * 0x1.62e42fee00000p-1 - ((h - (s * (h + p * z) + (e * 0x1.a39ef35793c76p-33 + lost))) - f);
}
HX_INLINE double hx_d_log_ends(double x, double y) {
    y = x > 0 ? y : __builtin_nan("");
    y = x == 0 ? -__builtin_inf() : y;
    return x == __builtin_inf() ? x : y;
}

/* 1 ULP of double. */
HX_INLINE double hx_d_log(double x) {
    double e, f = hx_d_log_split(x, &e);
    return hx_d_log_ends(x, hx_d_log_tail(f, e, 0.0));
}

/* 2 ULP; exact for powers of two. */
HX_INLINE double hx_d_log2(double x) {
    double e, f = hx_d_log_split(x, &e), t = hx_d_log_tail(f, 0.0, 0.0);
    return hx_d_log_ends(x, e + (t * 0x1.71547652b82fep+0 + t * 0x1.777d0ffda0d24p-56));
}

/* 2 ULP; exact for powers of ten. */
HX_INLINE double hx_d_log10(double x) {
    double e, f = hx_d_log_split(x, &e), t = hx_d_log_tail(f, 0.0, 0.0);
    return hx_d_log_ends(x, e * 0x1.34413509e0000p-2 + (e * 0x1.79fef311f12b3p-38 + t * 0x1.bcb7b1526e50ep-2));
}

/* log(1 + x), 1 ULP. */
HX_INLINE double hx_d_log1p(double x) {
    double u = 1.0 + x, e, f = hx_d_log_split(u, &e), lost = x > 1.0 ? 1.0 - (u - x) : x - (u - 1.0);
    double y = hx_d_log_ends(u, hx_d_log_tail(f, e, lost / u));
    return fabs(x) < 0x1p-54 ? x : y;
}

/* log(1 + x) of x in [0, 1], 1 ULP. */
HX_INLINE double hx_d_log1p_unit(double x) {
    double s = x / (2.0 + x), z = s * s;
    double p = z * 0x1.402141df37b83p-3 + 0x1.32dc9751078f6p-4;
    p = p * z + 0x1.bc38e1f688172p-4;
    p = p * z + 0x1.e0a2b7b22aff3p-4;
    p = p * z + 0x1.111abee3ce356p-3;
    p = p * z + 0x1.3b1351527cdacp-3;
    p = p * z + 0x1.745d1993d6f7fp-3;
    p = p * z + 0x1.c71c71bedd355p-3;
    p = p * z + 0x1.2492492499d5ep-2;
    p = p * z + 0x1.9999999999944p-2;
    p = p * z + 0x1.5555555555555p-1;
    return 2.0 * s + s * z * p;
}

/* sin (quarter = 0) and cos (quarter = 1) of |x| <= HX_TRIG_LIMIT, 1 ULP. The products with the first three parts of
 * pi / 2 are exact; `lost` is what the remainder cannot hold. */
#define HX_TRIG_LIMIT 1e8
HX_INLINE double hx_d_sincos(double x, double quarter) {
    double k = hx_d_round(x * 0x1.45f306dc9c883p-1);
    double above = (x - k * 0x1.921fb50000000p+0) - k * 0x1.110b460000000p-26, below = k * 0x1.1a62630000000p-54;
    double r = above - below, lost = ((above - r) - below) - k * 0x1.8a2e03707344ap-81;
    int64_t q = hx_d_bits(k + (0x1.8p52 + quarter));
    double z = r * r;
    double s = z * 0x1.5d924562eb3e0p-33 + -0x1.ae5e63c7e55c3p-26;
    s = s * z + 0x1.71de3574b1d74p-19;
    s = s * z + -0x1.a01a019c0e400p-13;
    s = s * z + 0x1.111111110f861p-7;
    s = s * z + -0x1.5555555555549p-3;
    s = r + (r * z * s + lost);
    double c = z * -0x1.8fadd1d55115cp-37 + 0x1.1ee9ea6f20a06p-29;
    c = c * z + -0x1.27e4f807d8e76p-22;
    c = c * z + 0x1.a01a019caef5cp-16;
    c = c * z + -0x1.6c16c16c15162p-10;
    c = c * z + 0x1.555555555554cp-5;
    double h = 0.5 * z, w = 1.0 - h;
    c = w + (((1.0 - w) - h) + (z * z * c - r * lost));
    double y = q & 1 ? c : s;
    y = hx_d_of_bits(hx_d_bits(y) ^ (int64_t)((uint64_t)(q & 2) << 62));
    return (quarter == 0) & (x == 0) ? x : y;
}

/* Argument brought to |t| <= tan(pi / 8), 2 ULP. */
HX_INLINE double hx_d_atan(double x) {
    double a = fabs(x);
    bool high = a > 2.414213562373095, middle = a > 0.4142135623730951;
    double top = high ? -1.0 : a - 1.0, bottom = high ? a : a + 1.0;
    double t = middle ? top / bottom : a;
    double base = high ? 0x1.921fb54442d18p+0 : middle ? 0x1.921fb54442d18p-1 : 0.0;
    double under = high ? 0x1.1a62633145c07p-54 : middle ? 0x1.1a62633145c07p-55 : 0.0;
    double z = t * t;
    double p = z * 0x1.0ad102216cf38p-6 + -0x1.1b32a32667ef3p-5;
    p = p * z + 0x1.74dd67f0d1c4fp-5;
    p = p * z + -0x1.ac7a7bd8f00acp-5;
    p = p * z + 0x1.e19a10824a443p-5;
    p = p * z + -0x1.110e87e6a8718p-4;
    p = p * z + 0x1.3b1392d7e8f73p-4;
    p = p * z + -0x1.745d165de250bp-4;
    p = p * z + 0x1.c71c71c3045bap-4;
    p = p * z + -0x1.249249248d7e6p-3;
    p = p * z + 0x1.9999999999953p-3;
    p = p * z + -0x1.5555555555555p-2;
    return copysign(base + (t + (t * z * p + under)), x);
}

/* The angle of (x, y), 2 ULP. */
HX_INLINE double hx_d_atan2(double y, double x) {
    double a = fabs(y), b = fabs(x), large = a > b ? a : b, small = a > b ? b : a;
    double t = small == large ? 1.0 : small / large;
    double r = hx_d_atan(large == 0 ? 0.0 : t);
    r = a > b ? 0x1.921fb54442d18p+0 - r : r;
    r = hx_d_bits(x) < 0 ? 0x1.921fb54442d18p+1 - r : r;
    return (x != x) | (y != y) ? x + y : copysign(r, y);
}

/* asin(t) / t - 1 of t * t = z <= 1/4. */
HX_INLINE double hx_d_asin_excess(double z) {
    double p = z * 0x1.d733cdf1f569bp-6 + -0x1.e6c3690dc6577p-7;
    p = p * z + 0x1.1d2052b6f8fffp-6;
    p = p * z + 0x1.659ea882458dap-8;
    p = p * z + 0x1.52434da33da16p-7;
    p = p * z + 0x1.78262197d46adp-7;
    p = p * z + 0x1.c9cf0c30fbc69p-7;
    p = p * z + 0x1.1c4d35a7a7712p-6;
    p = p * z + 0x1.6e8bb1c9c50afp-6;
    p = p * z + 0x1.f1c71c1da63a6p-6;
    p = p * z + 0x1.6db6db6e32015p-5;
    p = p * z + 0x1.3333333332ec9p-4;
    p = p * z + 0x1.5555555555556p-3;
    return p * z;
}
/* pi / 2 - 2 asin(sqrt((1 - |x|) / 2)) beyond 1/2; the root stands as a short part, whose square is exact, and the rest.
 * 2 ULP. */
HX_INLINE double hx_d_asin(double x) {
    double a = fabs(x), half = (1.0 - a) * 0.5;
    bool far = a > 0.5;
    double z = far ? half : a * a, t = far ? sqrt(half) : a, excess = t * hx_d_asin_excess(z);
    double shorter = hx_d_of_bits(hx_d_bits(t) & -0x100000000), rest = (half - shorter * shorter) / (t + shorter);
    rest = half == 0 ? 0.0 : rest;
    double beyond = 0x1.921fb54442d18p-1 - 2.0 * shorter - (2.0 * (excess + rest) - 0x1.1a62633145c07p-54);
    return copysign(far ? 0x1.921fb54442d18p-1 + beyond : t + excess, x);
}
HX_INLINE double hx_d_acos(double x) {
    double a = fabs(x), half = (1.0 - a) * 0.5;
    bool far = a > 0.5;
    double z = far ? half : a * a, t = far ? sqrt(half) : x, excess = t * hx_d_asin_excess(z);
    double shorter = hx_d_of_bits(hx_d_bits(t) & -0x100000000), rest = (half - shorter * shorter) / (t + shorter);
    rest = half == 0 ? 0.0 : rest;
    double above = 2.0 * (shorter + (excess + rest));
    double under = 0x1.921fb54442d18p+1 - 2.0 * (t + (excess - 0x1.1a62633145c07p-54));
    double near = 0x1.921fb54442d18p+0 - (x - (0x1.1a62633145c07p-54 - excess));
    return far ? (x > 0 ? above : under) : near;
}

/* erf(x) / x - 1 of x * x = z <= 1. */
HX_INLINE double hx_d_erf_excess(double z) {
    double p = z * -0x1.29b9f1b3a3044p-38 + 0x1.7f072188c81eep-34;
    p = p * z + -0x1.4e607b41a17a8p-30;
    p = p * z + 0x1.fc4356498b20dp-27;
    p = p * z + -0x1.5f6d925a0bb47p-23;
    p = p * z + 0x1.b9e6509b98660p-20;
    p = p * z + -0x1.f4d2561aeafd2p-17;
    p = p * z + 0x1.f9a326c233146p-14;
    p = p * z + -0x1.c02db3feeb579p-11;
    p = p * z + 0x1.565bcd0e6502dp-8;
    p = p * z + -0x1.b82ce312889bap-6;
    p = p * z + 0x1.ce2f21a042bdep-4;
    p = p * z + -0x1.812746b0379e7p-2;
    p = p * z + 0x1.06eba8214db69p-3;
    return p;
}
/* erfc(a) of 0 <= a <= 27: exp(-a * a) / (1 + 2 a) times a polynomial in (a - 3.75) / (a + 3.75), as Shepherd and Laframboise
 * ("Chebyshev approximation of (1 + 2x) exp(x^2) erfc x", 1981) propose. */
HX_INLINE double hx_d_erfc_far(double a) {
    double u = (a - 3.75) / (a + 3.75);
    double p = u * -0x1.414aba8e533c8p-29 + -0x1.6a7aded445e41p-31;
    p = p * u + 0x1.1a40dffa2bbc2p-25;
    p = p * u + 0x1.0962e990cf1f2p-26;
    p = p * u + -0x1.0f9dc27fd0331p-22;
    p = p * u + -0x1.98e1df3b7cb14p-25;
    p = p * u + 0x1.d566e6952e34bp-20;
    p = p * u + -0x1.07305cc8ee469p-20;
    p = p * u + -0x1.7ff9f1828e52fp-17;
    p = p * u + 0x1.7798dd55cdf0ap-16;
    p = p * u + 0x1.b1438e68cbab6p-15;
    p = p * u + -0x1.303fe1b295764p-12;
    p = p * u + 0x1.33fb26822d0f0p-12;
    p = p * u + 0x1.cc3a1145c75c0p-10;
    p = p * u + -0x1.3f603c335b0cfp-7;
    p = p * u + 0x1.d0b0037828f59p-6;
    p = p * u + -0x1.e0d0fa6e0c80ep-5;
    p = p * u + 0x1.7a14188ab03c3p-4;
    p = p * u + -0x1.bda9309a282b5p-4;
    p = p * u + 0x1.510169d095d95p-4;
    p = p * u + 0x1.d5f29481599d2p-9;
    p = p * u + -0x1.1f367683f899bp-3;
    p = p * u + 0x1.3ccda0b5d5dc2p+0;
    double shorter = hx_d_of_bits(hx_d_bits(a) & -0x8000000), rest = a - shorter, square = a * a;
    double lost = ((shorter * shorter - square) + 2.0 * shorter * rest) + rest * rest;
    double y = hx_d_exp(-square) * (p / (1.0 + 2.0 * a));
    return y - y * lost;
}
/* 1 ULP. */
HX_INLINE double hx_d_erf(double x) {
    double a = fabs(x), t = a > 6.0 ? 6.0 : a;
    double near = a + a * hx_d_erf_excess(a * a), far = 1.0 - hx_d_erfc_far(t);
    return copysign(a < 1.0 ? near : far, x);
}
/* 4 ULP. */
HX_INLINE double hx_d_erfc(double x) {
    double a = fabs(x), far = hx_d_erfc_far(a > 27.3 ? 27.3 : a);
    double near = 1.0 - (x + x * hx_d_erf_excess(x * x)), y = a < 0.5 ? near : x < 0 ? 2.0 - far : far;
    return a > 27.25 ? (x < 0 ? 2.0 : 0.0) : y;
}

#endif
