/* Elementary functions without branches.
 *
 * hx_vf_*: a register of floats at a time (types from lanes.h). The bound beside each is the largest error found
 * in units of the last place over a dense sample of all floats, subnormals included.
 * hx_d_*: plain double functions that a compiler vectorises; float kernels use them where speed is not critical,
 * which makes results right to 1 ULP of float. They are not float64 kernels except where that is said. */
#ifndef HX_VMATH_H
#define HX_VMATH_H

#include <math.h>
#include <string.h>
#include "lanes.h"
#include "pieces.h"

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

/* 1 ULP. */
static inline hx_vf hx_vf_exp(hx_vf x) {
    hx_vf k, r = hx_vf_exp_split(hx_vf_clamp(x, -104.5f, 89.0f), &k);
    hx_vf p = r * 0x1.6a22f4p-10f + 0x1.123a76p-7f;
    p = p * r + 0x1.5558f6p-5f;
    p = p * r + 0x1.555490p-3f;
    p = p * r + 0x1.fffffcp-2f;
    p = p * (r * r) + r + 1.0f;
    return hx_vf_scale2(p, k);
}

/* 2^x, 1 ULP; exact for whole x. */
static inline hx_vf hx_vf_exp2(hx_vf x) {
    x = hx_vf_clamp(x, -151.0f, 129.0f);
    hx_vf k = hx_vf_round(x), r = (x - k) * 0x1.62e430p-1f;
    hx_vf p = r * 0x1.6a22f4p-10f + 0x1.123a76p-7f;
    p = p * r + 0x1.5558f6p-5f;
    p = p * r + 0x1.555490p-3f;
    p = p * r + 0x1.fffffcp-2f;
    p = p * (r * r) + r + 1.0f;
    return hx_vf_scale2(p, k);
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
    return hx_vf_select(hx_vf_eq(x, hx_vf_all(0.0f)), x, (half * p + (half - 0.5f)) * 2.0f);
}

/* ---- logarithms ---- */

/* log(1 + f) for 1 + f in [sqrt(1/2), sqrt(2)], plus e ln 2. */
static inline hx_vf hx_vf_log_tail(hx_vf f, hx_vf e) {
    hx_vf p = f * 0x1.144e6ep-4f + -0x1.de5fc2p-4f;
    p = p * f + 0x1.e7079ap-4f;
    p = p * f + -0x1.fc1e58p-4f;
    p = p * f + 0x1.2335bap-3f;
    p = p * f + -0x1.555c56p-3f;
    p = p * f + 0x1.99a4c8p-3f;
    p = p * f + -0x1.000006p-2f;
    p = p * f + 0x1.555548p-2f;
    hx_vf z = f * f;
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

/* 1 ULP. */
static inline hx_vf hx_vf_log(hx_vf x) {
    hx_vm tiny = hx_vf_lt(x, hx_vf_all(0x1p-126f));
    hx_vf e, m = hx_vf_log_split(hx_vf_select(tiny, x * 0x1p25f, x), &e);
    e -= hx_vf_select(tiny, hx_vf_all(25.0f), hx_vf_all(0.0f));
    return hx_vf_log_ends(x, hx_vf_log_tail(m - 1.0f, e));
}

/* 2 ULP; exact for powers of two. */
static inline hx_vf hx_vf_log2(hx_vf x) {
    hx_vm tiny = hx_vf_lt(x, hx_vf_all(0x1p-126f));
    hx_vf e, m = hx_vf_log_split(hx_vf_select(tiny, x * 0x1p25f, x), &e);
    e -= hx_vf_select(tiny, hx_vf_all(25.0f), hx_vf_all(0.0f));
    hx_vf t = hx_vf_log_tail(m - 1.0f, hx_vf_all(0.0f));
    return hx_vf_log_ends(x, e + (t * 0x1.715476p+0f + t * 0x1.4ae0c0p-26f));
}

/* log(1 + x), 2 ULP. What 1 + x loses in rounding is added to the mantissa. */
static inline hx_vf hx_vf_log1p(hx_vf x) {
    hx_vf u = x + 1.0f, e, m = hx_vf_log_split(u, &e);
    hx_vm large = hx_vf_lt(hx_vf_all(1.0f), x);
    hx_vf lost = hx_vf_select(large, 1.0f - (u - x), x - (u - 1.0f));
    hx_vf f = (m - 1.0f) + hx_vf_scale2(lost, -e);
    hx_vf y = hx_vf_log_ends(u, hx_vf_log_tail(f, e));
    return hx_vf_select(hx_vf_lt(hx_vf_abs(x), hx_vf_all(0x1p-25f)), x, y);
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
    s = r * (s * z + 1.0f);
    c = c * (z * z) + (1.0f - 0.5f * z);
    hx_vf y = hx_vf_select(hx_vf_odd(n), c, s);
    y = (hx_vf)((hx_vi)y ^ ((n & 2) << 30));
    return quarter ? y : hx_vf_select(hx_vf_eq(x, hx_vf_all(0.0f)), x, y);
}
#endif

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

/* 1 ULP of double. */
HX_INLINE double hx_d_exp(double x) {
    double t = x > 710.0 ? 710.0 : x;
    t = t < -746.0 ? -746.0 : t;
    double k = hx_d_round(t * 0x1.71547652b82fep+0);
    double r = (t - k * 0x1.62e42fefa0000p-1) - k * 0x1.cf79abc9e3b3ap-40;
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

/* 1 ULP of double. */
HX_INLINE double hx_d_log(double x) {
    bool tiny = x < 0x1p-1022;
    uint64_t bits = (uint64_t)hx_d_bits(tiny ? x * 0x1p54 : x) - 0x3fe6a09e667f3bcd;
    uint64_t raised = (bits + (2048ull << 52)) >> 52; /* exponent + 2048, so that a logical shift will do */
    double e = hx_d_of_bits((int64_t)(raised | 0x4330000000000000)) - (0x1p52 + 2048.0);
    e = tiny ? e - 54.0 : e;
    double f = hx_d_of_bits((int64_t)((bits & 0xfffffffffffff) + 0x3fe6a09e667f3bcd)) - 1.0;
    double s = f / (2.0 + f), z = s * s, h = 0.5 * f * f;
    double p = z * 0x1.2f0d92c95c50ap-3 + 0x1.39a0f4901409fp-3;
    p = p * z + 0x1.7466463160d8ep-3;
    p = p * z + 0x1.c71c51e7dced4p-3;
    p = p * z + 0x1.2492494217c87p-2;
    p = p * z + 0x1.999999997fb2ep-2;
    p = p * z + 0x1.5555555555593p-1;
    double y = e * 0x1.62e42fee00000p-1 - ((h - (s * (h + p * z) + e * 0x1.a39ef35793c76p-33)) - f);
    y = x > 0 ? y : __builtin_nan("");
    y = x == 0 ? -__builtin_inf() : y;
    return x == __builtin_inf() ? x : y;
}

/* log(1 + x) and exp(x) - 1 for float results. */
HX_INLINE double hx_d_log1p(double x) {
    double u = 1.0 + x, y = hx_d_log(u) + (x - (u - 1.0)) / u;
    y = fabs(x) < 0x1p-26 ? x : y;
    return (u > 0) & (u < 0x1p1000) ? y : hx_d_log(u);
}
HX_INLINE double hx_d_expm1(double x) {
    double near = x * (1.0 + x * (0.5 + x * (1.0 / 6.0 + x * (1.0 / 24.0 + x * (1.0 / 120.0 + x * (1.0 / 720.0))))));
    return fabs(x) < 0x1p-6 ? near : hx_d_exp(x) - 1.0;
}

/* sin (quarter = 0) and cos (quarter = 1) of |x| <= HX_TRIG_LIMIT for float results. */
#define HX_TRIG_LIMIT 1e8
HX_INLINE double hx_d_sincos(double x, double quarter) {
    double k = hx_d_round(x * 0x1.45f306dc9c883p-1);
    double r = ((x - k * 0x1.921fb50000000p+0) - k * 0x1.110b460000000p-26) - k * 0x1.1a62633145c07p-54;
    int64_t q = hx_d_bits(k + (0x1.8p52 + quarter));
    double z = r * r;
    double s = z * 0x1.5d924562eb3e0p-33 + -0x1.ae5e63c7e55c3p-26;
    s = s * z + 0x1.71de3574b1d74p-19;
    s = s * z + -0x1.a01a019c0e400p-13;
    s = s * z + 0x1.111111110f861p-7;
    s = s * z + -0x1.5555555555549p-3;
    s = r * (1.0 + z * s);
    double c = z * -0x1.8fadd1d55115cp-37 + 0x1.1ee9ea6f20a06p-29;
    c = c * z + -0x1.27e4f807d8e76p-22;
    c = c * z + 0x1.a01a019caef5cp-16;
    c = c * z + -0x1.6c16c16c15162p-10;
    c = c * z + 0x1.555555555554cp-5;
    c = 1.0 - 0.5 * z + z * z * c;
    double y = q & 1 ? c : s;
    return hx_d_of_bits(hx_d_bits(y) ^ (int64_t)((uint64_t)(q & 2) << 62));
}

/* For float results. Argument brought to |t| <= tan(pi / 8). */
HX_INLINE double hx_d_atan(double x) {
    double a = fabs(x);
    bool high = a > 2.414213562373095, middle = a > 0.4142135623730951;
    double top = high ? -1.0 : a - 1.0, bottom = high ? a : a + 1.0;
    double t = middle ? top / bottom : a;
    double base = high ? 0x1.921fb54442d18p+0 : middle ? 0x1.921fb54442d18p-1 : 0.0;
    double z = t * t;
    double p = z * 0x1.eb60e3d37f1aep-6 + -0x1.ddc6d2d80fa64p-5;
    p = p * z + 0x1.355ff76dc9519p-4;
    p = p * z + -0x1.73cbbed102eaep-4;
    p = p * z + 0x1.c713e4868f664p-4;
    p = p * z + -0x1.2492253e26117p-3;
    p = p * z + 0x1.9999990737779p-3;
    p = p * z + -0x1.55555554ef18dp-2;
    return copysign(base + (t + t * z * p), x);
}

/* asin of |x| <= 1/2, for float results. */
HX_INLINE double hx_d_asin_near(double x) {
    double z = x * x;
    double p = z * 0x1.05cc659334279p-5 + -0x1.766d9c3505729p-9;
    p = p * z + 0x1.313a9390e3ae3p-6;
    p = p * z + 0x1.0df951fae5902p-6;
    p = p * z + 0x1.702b68f79d935p-6;
    p = p * z + 0x1.f1aaf7c4a38bfp-6;
    p = p * z + 0x1.6db76479014b3p-5;
    p = p * z + 0x1.333331ed48604p-4;
    p = p * z + 0x1.555555565fb38p-3;
    return x + x * z * p;
}
HX_INLINE double hx_d_asin(double x) {
    double a = fabs(x);
    bool far = a > 0.5;
    double t = far ? sqrt((1.0 - a) * 0.5) : a, y = hx_d_asin_near(t);
    return copysign(far ? 0x1.921fb54442d18p+0 - 2.0 * y : y, x);
}
HX_INLINE double hx_d_acos(double x) {
    double a = fabs(x);
    bool far = a > 0.5;
    double t = far ? sqrt((1.0 - a) * 0.5) : x, y = hx_d_asin_near(t);
    double above = x > 0 ? 2.0 * y : 0x1.921fb54442d18p+1 - 2.0 * y;
    return far ? above : 0x1.921fb54442d18p+0 - y;
}

#endif
