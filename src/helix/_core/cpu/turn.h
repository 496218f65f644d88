/* Squares of floats in memory, as wide as a register, read and written with rows for columns. Parts of rows are loaded and
 * stored where they belong, so that half of the shuffles, for which there is one port, become memory operations. */
#ifndef HX_TURN_H
#define HX_TURN_H

#include <string.h>
#include "lanes.h"

/* tile[c] is number c of every row; row r begins r * step floats from p. The other way: numbers of the tile become rows. */
#if defined HX_ISA_AVX512
static inline void hx_turn_four(__m512 *x) {
    __m512 a = _mm512_unpacklo_ps(x[0], x[1]), b = _mm512_unpackhi_ps(x[0], x[1]);
    __m512 c = _mm512_unpacklo_ps(x[2], x[3]), d = _mm512_unpackhi_ps(x[2], x[3]);
    x[0] = _mm512_shuffle_ps(a, c, 0x44);
    x[1] = _mm512_shuffle_ps(a, c, 0xee);
    x[2] = _mm512_shuffle_ps(b, d, 0x44);
    x[3] = _mm512_shuffle_ps(b, d, 0xee);
}
static inline void hx_load_turned(const float *p, int64_t step, hx_vf *tile) {
    _Pragma("GCC unroll 4") for (int q = 0; q < 4; q++, p += 4) {
        __m512 x[4];
        for (int i = 0; i < 4; i++) {
            x[i] = _mm512_castps128_ps512(_mm_loadu_ps(p + i * step));
            x[i] = _mm512_insertf32x4(x[i], _mm_loadu_ps(p + (i + 4) * step), 1);
            x[i] = _mm512_insertf32x4(x[i], _mm_loadu_ps(p + (i + 8) * step), 2);
            x[i] = _mm512_insertf32x4(x[i], _mm_loadu_ps(p + (i + 12) * step), 3);
        }
        hx_turn_four(x);
        for (int i = 0; i < 4; i++) tile[4 * q + i] = (hx_vf)x[i];
    }
}
static inline void hx_store_turned(float *p, int64_t step, const hx_vf *tile) {
    _Pragma("GCC unroll 4") for (int q = 0; q < 4; q++, p += 4) {
        __m512 x[4];
        for (int i = 0; i < 4; i++) x[i] = (__m512)tile[4 * q + i];
        hx_turn_four(x);
        for (int i = 0; i < 4; i++) {
            _mm_storeu_ps(p + i * step, _mm512_castps512_ps128(x[i]));
            _mm_storeu_ps(p + (i + 4) * step, _mm512_extractf32x4_ps(x[i], 1));
            _mm_storeu_ps(p + (i + 8) * step, _mm512_extractf32x4_ps(x[i], 2));
            _mm_storeu_ps(p + (i + 12) * step, _mm512_extractf32x4_ps(x[i], 3));
        }
    }
}
#elif defined HX_ISA_AVX2
static inline void hx_turn_four(__m256 *x) {
    __m256 a = _mm256_unpacklo_ps(x[0], x[1]), b = _mm256_unpackhi_ps(x[0], x[1]);
    __m256 c = _mm256_unpacklo_ps(x[2], x[3]), d = _mm256_unpackhi_ps(x[2], x[3]);
    x[0] = _mm256_shuffle_ps(a, c, 0x44);
    x[1] = _mm256_shuffle_ps(a, c, 0xee);
    x[2] = _mm256_shuffle_ps(b, d, 0x44);
    x[3] = _mm256_shuffle_ps(b, d, 0xee);
}
static inline void hx_load_turned(const float *p, int64_t step, hx_vf *tile) {
    for (int q = 0; q < 2; q++, p += 4) {
        __m256 x[4];
        for (int i = 0; i < 4; i++) {
            x[i] = _mm256_castps128_ps256(_mm_loadu_ps(p + i * step));
            x[i] = _mm256_insertf128_ps(x[i], _mm_loadu_ps(p + (i + 4) * step), 1);
        }
        hx_turn_four(x);
        for (int i = 0; i < 4; i++) tile[4 * q + i] = (hx_vf)x[i];
    }
}
static inline void hx_store_turned(float *p, int64_t step, const hx_vf *tile) {
    for (int q = 0; q < 2; q++, p += 4) {
        __m256 x[4];
        for (int i = 0; i < 4; i++) x[i] = (__m256)tile[4 * q + i];
        hx_turn_four(x);
        for (int i = 0; i < 4; i++) {
            _mm_storeu_ps(p + i * step, _mm256_castps256_ps128(x[i]));
            _mm_storeu_ps(p + (i + 4) * step, _mm256_extractf128_ps(x[i], 1));
        }
    }
}
#else
static inline void hx_load_turned(const float *p, int64_t step, hx_vf *tile) {
    enum { L = HX_LANES_OF(float) };
    for (int c = 0; c < L; c++)
        for (int r = 0; r < L; r++) tile[c][r] = p[r * step + c];
}
static inline void hx_store_turned(float *p, int64_t step, const hx_vf *tile) {
    enum { L = HX_LANES_OF(float) };
    for (int c = 0; c < L; c++)
        for (int r = 0; r < L; r++) p[r * step + c] = tile[c][r];
}
#endif

/* The same for doubles, from memory to memory. Each round turns the address bits (row, column) of every number by one. */
#if HX_LANE_BYTES == 64
#define HX_TURN_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define HX_TURN_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#elif HX_LANE_BYTES == 32
#define HX_TURN_LOW 0, 4, 1, 5
#define HX_TURN_HIGH 2, 6, 3, 7
#else
#define HX_TURN_LOW 0, 2
#define HX_TURN_HIGH 1, 3
#endif
static inline void hx_turn_doubles(double *to, int64_t to_step, const double *p, int64_t step) {
    enum { L = HX_LANES_OF(double) };
    hx_vd x[L], y[L];
    for (int i = 0; i < L; i++) x[i] = hx_vd_load(p + i * step);
    _Pragma("GCC unroll 3") for (int round = 1; round < L; round *= 2) {
        _Pragma("GCC unroll 4") for (int i = 0; i < L / 2; i++) {
            y[2 * i] = __builtin_shufflevector(x[i], x[i + L / 2], HX_TURN_LOW);
            y[2 * i + 1] = __builtin_shufflevector(x[i], x[i + L / 2], HX_TURN_HIGH);
        }
        _Pragma("GCC unroll 8") for (int i = 0; i < L; i++) x[i] = y[i];
    }
    for (int i = 0; i < L; i++) hx_vd_store(to + i * to_step, x[i]);
}
static inline void hx_turn_floats(float *to, int64_t to_step, const float *p, int64_t step) {
    enum { L = HX_LANES_OF(float) };
    hx_vf x[L];
    hx_load_turned(p, step, x);
    for (int i = 0; i < L; i++) hx_vf_store(to + i * to_step, x[i]);
}

#endif
