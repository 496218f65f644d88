/* exp of floats, one formula as a plain function (for loops the compiler vectorises) and on a register (for loops
 * that also sum). Cody-Waite reduction and the minimax polynomial of Cephes expf; below 1.1 ulp, NaN stays NaN,
 * results fall through the denormals to 0. */
#ifndef HX_VEXP_H
#define HX_VEXP_H

#include "lanes.h"

#define HX_EXP_LOG2E 1.44269504088896341f
#define HX_EXP_ROUND 12582912.0f /* 1.5 * 2^23: adding it rounds to an integer and leaves that in the low bits */
#define HX_EXP_LN2_HIGH 0.693359375f
#define HX_EXP_LN2_LOW -2.12194440e-4f
#define HX_EXP_POLYNOMIAL(r, C)                                                                               \
    ((((((C(1.9875691500e-4f) * r + C(1.3981999507e-3f)) * r + C(8.3334519073e-3f)) * r + C(4.1665795894e-2f)) * r + \
       C(1.6666665459e-1f)) * r + C(5.0000001201e-1f)) * (r * r) + r + C(1.0f))
#define HX_EXP_PLAIN(x) x

static inline float hx_exp_f32(float x) {
    float c = x < -104.0f ? -104.0f : x;
    c = c > 89.0f ? 89.0f : c;
    union { float f; int32_t i; } shifted = {c * HX_EXP_LOG2E + HX_EXP_ROUND}, half, rest;
    float n = shifted.f - HX_EXP_ROUND;
    float r = c - n * HX_EXP_LN2_HIGH - n * HX_EXP_LN2_LOW;
    float y = HX_EXP_POLYNOMIAL(r, HX_EXP_PLAIN);
    int32_t k = (int32_t)((uint32_t)shifted.i - 0x4b400000u), k1 = k >> 1;
    half.i = (int32_t)((uint32_t)(k1 + 127) << 23);
    rest.i = (int32_t)((uint32_t)(k - k1 + 127) << 23);
    return y * half.f * rest.f;
}

static inline hx_vf hx_vf_exp(hx_vf x) {
#if defined HX_ISA_AVX512
    hx_vf c = (hx_vf)_mm512_min_ps(_mm512_set1_ps(89.0f), _mm512_max_ps(_mm512_set1_ps(-104.0f), (__m512)x));
    __m512 n = _mm512_roundscale_ps((__m512)(c * hx_vf_all(HX_EXP_LOG2E)), 8);
    hx_vf r = c - (hx_vf)n * hx_vf_all(HX_EXP_LN2_HIGH) - (hx_vf)n * hx_vf_all(HX_EXP_LN2_LOW);
    return (hx_vf)_mm512_scalef_ps((__m512)HX_EXP_POLYNOMIAL(r, hx_vf_all), n);
#else
    hx_vf low = hx_vf_all(-104.0f), high = hx_vf_all(89.0f);
    hx_vi under = x < low, over = x > high;
    hx_vf c = (hx_vf)(((hx_vi)x & ~under & ~over) | ((hx_vi)low & under) | ((hx_vi)high & over));
    hx_vf shifted = c * hx_vf_all(HX_EXP_LOG2E) + hx_vf_all(HX_EXP_ROUND), n = shifted - hx_vf_all(HX_EXP_ROUND);
    hx_vf r = c - n * hx_vf_all(HX_EXP_LN2_HIGH) - n * hx_vf_all(HX_EXP_LN2_LOW);
    hx_vf y = HX_EXP_POLYNOMIAL(r, hx_vf_all);
    hx_vi k = (hx_vi)shifted - 0x4b400000, k1 = k >> 1;
    return y * (hx_vf)((k1 + 127) << 23) * (hx_vf)((k - k1 + 127) << 23);
#endif
}

#endif
