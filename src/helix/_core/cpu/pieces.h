/* tanh and erf of a register of 16 floats by pieces: polynomials of degree 6 around points at which the function is
 * nearly a float, two pieces an octave from 1/8 on and one below. A piece's numbers stand in one lane of each row,
 * so looking them up is one permutation. The coefficients are least-squares fits of relative error at Chebyshev
 * points, rounded from the first on while the others are fitted again. */
#ifndef HX_PIECES_H
#define HX_PIECES_H

#include "lanes.h"

#ifdef HX_ISA_AVX512
enum { HX_PIECES_DEGREE = 6 };

/* Rows: the points, the values there, and the coefficients of r, r^2, ... */
typedef struct hx_pieces {
    float top; /* from here on the function is 1 */
    _Alignas(64) float row[HX_PIECES_DEGREE + 2][16];
} hx_pieces;

static const hx_pieces hx_tanh_pieces = {
    9.5f,
    {{0x0p+0f, 0x1.3febc8p-3f, 0x1.bffda6p-3f, 0x1.400624p-2f, 0x1.c0023cp-2f, 0x1.400dfap-1f, 0x1.c0129cp-1f,
      0x1.3fed1ep+0f, 0x1.bff09ap+0f, 0x1.3ff6bcp+1f, 0x1.c01338p+1f, 0x1.3ffc3cp+2f, 0x1.bfe89p+2f,
      0x1.17e89p+3f, 0x1.17e89p+3f, 0x1.17e89p+3f},
     {0x0p+0f, 0x1.3d580cp-3f, 0x1.b8fac6p-3f, 0x1.35ff1ep-2f, 0x1.a5747ap-2f, 0x1.1bfe2cp-1f, 0x1.686fb4p-1f,
      0x1.b247a4p-1f, 0x1.e1f878p-1f, 0x1.f92486p-1f, 0x1.ff1174p-1f, 0x1.fff418p-1f, 0x1.ffffc8p-1f,
      0x1.fffffep-1f, 0x1.fffffep-1f, 0x1.fffffep-1f},
     {0x1p+0f, 0x1.f3b4e6p-1f, 0x1.e84308p-1f, 0x1.d113c4p-1f, 0x1.a944f6p-1f, 0x1.627a08p-1f, 0x1.0242d2p-1f,
      0x1.1f48fcp-2f, 0x1.d26162p-4f, 0x1.b3ee98p-6f, 0x1.dcab4p-9f, 0x1.7d9116p-13f, 0x1.c06432p-19f,
      0x1.b0c89p-24f, 0x1.b0c89p-24f, 0x1.b0c89p-24f},
     {-0x1.59fca8p-25f, -0x1.35b98ep-3f, -0x1.a488c2p-3f, -0x1.19963p-2f, -0x1.5e0ff6p-2f, -0x1.893cd8p-2f,
      -0x1.6b9eacp-2f, -0x1.e75a2ep-3f, -0x1.b706d2p-4f, -0x1.ae16eep-6f, -0x1.dbcbc4p-9f, -0x1.7d30ep-13f,
      -0x1.bec92ap-19f, 0x1.e6bc04p-26f, 0x1.e6bc04p-26f, 0x1.e6bc04p-26f},
     {-0x1.555426p-2f, -0x1.35142cp-2f, -0x1.183a34p-2f, -0x1.c1979p-3f, -0x1.16dc2cp-3f, -0x1.2354fap-6f,
      0x1.4f3b1ap-4f, 0x1.bbc342p-4f, 0x1.01d822p-4f, 0x1.16f66p-6f, 0x1.3bbdd4p-9f, 0x1.f2995ap-14f,
      0x1.25021cp-19f, 0x1.2aefbcp-24f, 0x1.2aefbcp-24f, 0x1.2aefbcp-24f},
     {-0x1.5bd3bap-13f, 0x1.911574p-4f, 0x1.04edf8p-3f, 0x1.43f724p-3f, 0x1.5c36cap-3f, 0x1.1a5962p-3f,
      0x1.f1c494p-5f, -0x1.9b805ap-7f, -0x1.817aecp-6f, -0x1.07f13cp-7f, -0x1.398e5ep-10f, -0x1.f5de32p-15f,
      -0x1.2be3fap-20f, -0x1.08ef0ep-21f, -0x1.08ef0ep-21f, -0x1.08ef0ep-21f},
     {0x1.1687cp-3f, 0x1.fff50ep-5f, 0x1.4c38ap-4f, 0x1.655f3p-5f, -0x1.c8184ap-8f, -0x1.bc50d6p-5f,
      -0x1.e109e6p-5f, -0x1.4305d4p-6f, 0x1.c82a2ap-9f, 0x1.7aa186p-9f, 0x1.00cf68p-11f, 0x1.de1432p-16f,
      0x1.19795ep-21f, 0x1.5b2e2ap-27f, 0x1.5b2e2ap-27f, 0x1.5b2e2ap-27f},
     {-0x1.40bf32p-6f, -0x1.29c112p-1f, -0x1.71f2bcp-4f, -0x1.57a1a4p-4f, -0x1.130918p-4f, -0x1.8948b2p-6f,
      0x1.9be8aep-7f, 0x1.ef26fcp-7f, 0x1.11d83p-9f, -0x1.6e7c66p-11f, -0x1.4961cp-13f, -0x1.352e74p-17f,
      -0x1.564cb4p-23f, 0x1.f07b1p-22f, 0x1.f07b1p-22f, 0x1.f07b1p-22f}}};
static const hx_pieces hx_erf_pieces = {
    3.99f,
    {{0x0p+0f, 0x1.3fee66p-3f, 0x1.c0092ap-3f, 0x1.40170ep-2f, 0x1.c00812p-2f, 0x1.400fcp-1f, 0x1.c0091ep-1f,
      0x1.3ffa92p+0f, 0x1.c005b8p+0f, 0x1.3ff308p+1f, 0x1.c0177p+1f, 0x1.c0177p+1f, 0x1.c0177p+1f,
      0x1.c0177p+1f, 0x1.c0177p+1f, 0x1.c0177p+1f},
     {0x0p+0f, 0x1.6616aap-3f, 0x1.f19a86p-3f, 0x1.5dc18cp-2f, 0x1.db0fa2p-2f, 0x1.3f2574p-1f, 0x1.917712p-1f,
      0x1.d883ccp-1f, 0x1.f92da2p-1f, 0x1.ffca8cp-1f, 0x1.ffffe8p-1f, 0x1.ffffe8p-1f, 0x1.ffffe8p-1f,
      0x1.ffffe8p-1f, 0x1.ffffe8p-1f, 0x1.ffffe8p-1f},
     {0x1.20dd76p+0f, 0x1.19e6aap+0f, 0x1.135da6p+0f, 0x1.05f98ep+0f, 0x1.dd1332p-1f, 0x1.86da62p-1f,
      0x1.0ca302p-1f, 0x1.e47eecp-3f, 0x1.b0330ep-5f, 0x1.1e2c18p-9f, 0x1.700716p-18f, 0x1.700716p-18f,
      0x1.700716p-18f, 0x1.700716p-18f, 0x1.700716p-18f, 0x1.700716p-18f},
     {-0x1.3b567cp-17f, -0x1.604d52p-3f, -0x1.e1eddep-3f, -0x1.478fap-2f, -0x1.a17852p-2f, -0x1.e8a902p-2f,
      -0x1.d626dap-2f, -0x1.2eca3cp-2f, -0x1.7a31bep-4f, -0x1.657b64p-8f, -0x1.4a4c38p-16f, -0x1.4a4c38p-16f,
      -0x1.4a4c38p-16f, -0x1.4a4c38p-16f, -0x1.4a4c38p-16f, -0x1.4a4c38p-16f},
     {-0x1.80b898p-2f, -0x1.655404p-2f, -0x1.4beba4p-2f, -0x1.18fep-2f, -0x1.888e8p-3f, -0x1.c76d3ap-5f,
      0x1.7ccp-4f, 0x1.57179p-3f, 0x1.714c98p-4f, 0x1.114868p-7f, 0x1.4395d2p-15f, 0x1.4395d2p-15f,
      0x1.4395d2p-15f, 0x1.4395d2p-15f, 0x1.4395d2p-15f, 0x1.4395d2p-15f},
     {-0x1.fc8d8p-8f, 0x1.63f57p-4f, 0x1.d5b65ep-4f, 0x1.32c4c2p-3f, 0x1.6c377ap-3f, 0x1.69555ep-3f,
      0x1.cc54bp-4f, -0x1.90a4cp-8f, -0x1.8a0feep-5f, -0x1.1b9f7p-7f, -0x1.ec02p-15f, -0x1.ec02p-15f,
      -0x1.ec02p-15f, -0x1.ec02p-15f, -0x1.ec02p-15f, -0x1.ec02p-15f},
     {0x1.67934cp-3f, -0x1.4629e4p-5f, 0x1.71bf6ap-6f, 0x1.c4ab22p-5f, 0x1.ad3f86p-6f, -0x1.b85c32p-6f,
      -0x1.124fcp-4f, -0x1.7f4eap-5f, 0x1.877b9p-8f, 0x1.9e9588p-8f, 0x1.ca7258p-14f, 0x1.ca7258p-14f,
      0x1.ca7258p-14f, 0x1.ca7258p-14f, 0x1.ca7258p-14f, 0x1.ca7258p-14f},
     {-0x1.81cce4p-3f, -0x1.b23458p+0f, -0x1.35bdd8p-1f, -0x1.87b1e4p-4f, -0x1.b4e886p-5f, -0x1.4d882p-5f,
      -0x1.669968p-7f, 0x1.517f8ap-6f, 0x1.28b44cp-7f, -0x1.5cc02ap-9f, -0x1.c92c36p-14f, -0x1.c92c36p-14f,
      -0x1.c92c36p-14f, -0x1.c92c36p-14f, -0x1.c92c36p-14f, -0x1.c92c36p-14f}}};

/* The odd function of x; NaN stays. */
static inline hx_vf hx_vf_pieces(hx_vf x, const hx_pieces *f) {
    enum { FIRST = 0x3e000000 >> 22 }; /* exponent and upper bit of the mantissa of 1/8 */
    __m512 a = _mm512_min_ps(_mm512_set1_ps(f->top), _mm512_abs_ps((__m512)x));
    hx_vi piece = (hx_vi)_mm512_max_epi32(_mm512_srli_epi32((__m512i)a, 22), _mm512_set1_epi32(FIRST - 1)) - (FIRST - 1);
    hx_vf r = (hx_vf)a - (hx_vf)_mm512_permutexvar_ps((__m512i)piece, _mm512_load_ps(f->row[0]));
    hx_vf p = (hx_vf)_mm512_permutexvar_ps((__m512i)piece, _mm512_load_ps(f->row[HX_PIECES_DEGREE + 1]));
    for (int k = HX_PIECES_DEGREE; k > 0; k--)
        p = p * r + (hx_vf)_mm512_permutexvar_ps((__m512i)piece, _mm512_load_ps(f->row[k]));
    return (hx_vf)(((hx_vi)p & 0x7fffffff) | ((hx_vi)x & (int32_t)0x80000000));
}
#endif

#endif
