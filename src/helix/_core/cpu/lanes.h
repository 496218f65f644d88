/* One register of floats, in the width of the instruction set, for kernels that a compiler cannot vectorise by
 * itself (floating-point sums and maxima keep their order in C). GNU vectors, so arithmetic is written plainly. */
#ifndef HX_LANES_H
#define HX_LANES_H

#include <stdint.h>
#if defined HX_ISA_AVX512 || defined HX_ISA_AVX2
#include <immintrin.h>
#endif

#if defined HX_ISA_AVX512
#define HX_LANE_BYTES 64
#elif defined HX_ISA_AVX2
#define HX_LANE_BYTES 32
#else
#define HX_LANE_BYTES 16
#endif
#define HX_LANES_OF(T) ((int)(HX_LANE_BYTES / sizeof(T)))

#define HX_VECTOR(T) T __attribute__((vector_size(HX_LANE_BYTES)))
#define HX_VECTOR_AT(T) T __attribute__((vector_size(HX_LANE_BYTES), aligned(sizeof(T)), may_alias))
typedef HX_VECTOR(float) hx_vf;
typedef HX_VECTOR(double) hx_vd;
typedef HX_VECTOR(int32_t) hx_vi;
typedef HX_VECTOR(uint32_t) hx_vu;
typedef HX_VECTOR(int64_t) hx_vl;
typedef HX_VECTOR(uint8_t) hx_vb;
typedef HX_VECTOR_AT(float) hx_vf_at;
typedef HX_VECTOR_AT(double) hx_vd_at;
typedef HX_VECTOR_AT(int64_t) hx_vl_at;
typedef HX_VECTOR_AT(uint8_t) hx_vb_at;

static inline hx_vf hx_vf_load(const float *p) { return *(const hx_vf_at *)p; }
static inline hx_vd hx_vd_load(const double *p) { return *(const hx_vd_at *)p; }
static inline hx_vl hx_vl_load(const int64_t *p) { return *(const hx_vl_at *)p; }
static inline hx_vb hx_vb_load(const uint8_t *p) { return *(const hx_vb_at *)p; }
static inline void hx_vf_store(float *p, hx_vf v) { *(hx_vf_at *)p = v; }
static inline void hx_vd_store(double *p, hx_vd v) { *(hx_vd_at *)p = v; }
/* Past the caches, for results that will not be read soon; `p` is aligned to a register. Close with the fence. */
#if defined HX_ISA_AVX512
static inline void hx_vf_stream(float *p, hx_vf v) { _mm512_stream_ps(p, (__m512)v); }
static inline void hx_stream_fence(void) { _mm_sfence(); }
#elif defined HX_ISA_AVX2
static inline void hx_vf_stream(float *p, hx_vf v) { _mm256_stream_ps(p, (__m256)v); }
static inline void hx_stream_fence(void) { _mm_sfence(); }
#else
static inline void hx_vf_stream(float *p, hx_vf v) { hx_vf_store(p, v); }
static inline void hx_stream_fence(void) {}
#endif

/* Asks for what a loop will read next: where the work on an element is long, too few loads are under way by
 * themselves to keep memory busy. Never faults, whatever the address. */
#define HX_AHEAD 1024 /* bytes */
static inline void hx_prefetch(const void *p, int64_t bytes) { __builtin_prefetch((const char *)p + bytes); }
/* The same for kernels that pass over rows of so many bytes more than once: the next row, where that still fits. */
static inline int64_t hx_row_ahead(int64_t bytes) { return bytes <= 1 << 18 ? bytes : HX_AHEAD; }

static inline hx_vf hx_vf_all(float x) { return x - (hx_vf){0}; }
static inline hx_vd hx_vd_all(double x) { return x - (hx_vd){0}; }

/* The larger (smaller) of x and m in each lane. A NaN in x gives NaN, and so does one in m. */
#if defined HX_ISA_AVX512
static inline hx_vf hx_vf_max(hx_vf x, hx_vf m) {
    __mmask16 nan = _mm512_cmp_ps_mask((__m512)x, (__m512)x, _CMP_UNORD_Q);
    return (hx_vf)_mm512_mask_mov_ps(_mm512_max_ps((__m512)x, (__m512)m), nan, (__m512)x);
}
static inline hx_vf hx_vf_min(hx_vf x, hx_vf m) {
    __mmask16 nan = _mm512_cmp_ps_mask((__m512)x, (__m512)x, _CMP_UNORD_Q);
    return (hx_vf)_mm512_mask_mov_ps(_mm512_min_ps((__m512)x, (__m512)m), nan, (__m512)x);
}
#elif defined HX_ISA_AVX2
static inline hx_vf hx_vf_max(hx_vf x, hx_vf m) {
    __m256 nan = _mm256_cmp_ps((__m256)x, (__m256)x, _CMP_UNORD_Q);
    return (hx_vf)_mm256_blendv_ps(_mm256_max_ps((__m256)x, (__m256)m), (__m256)x, nan);
}
static inline hx_vf hx_vf_min(hx_vf x, hx_vf m) {
    __m256 nan = _mm256_cmp_ps((__m256)x, (__m256)x, _CMP_UNORD_Q);
    return (hx_vf)_mm256_blendv_ps(_mm256_min_ps((__m256)x, (__m256)m), (__m256)x, nan);
}
#else
static inline hx_vf hx_vf_max(hx_vf x, hx_vf m) {
    hx_vi take = (x > m) | (x != x);
    return (hx_vf)(((hx_vi)x & take) | ((hx_vi)m & ~take));
}
static inline hx_vf hx_vf_min(hx_vf x, hx_vf m) {
    hx_vi take = (x < m) | (x != x);
    return (hx_vf)(((hx_vi)x & take) | ((hx_vi)m & ~take));
}
#endif
static inline hx_vd hx_vd_max(hx_vd x, hx_vd m) {
    hx_vl take = (x > m) | (x != x);
    return (hx_vd)(((hx_vl)x & take) | ((hx_vl)m & ~take));
}
static inline hx_vd hx_vd_min(hx_vd x, hx_vd m) {
    hx_vl take = (x < m) | (x != x);
    return (hx_vd)(((hx_vl)x & take) | ((hx_vl)m & ~take));
}
static inline hx_vl hx_vl_max(hx_vl x, hx_vl m) {
    hx_vl take = x > m;
    return (x & take) | (m & ~take);
}
static inline hx_vl hx_vl_min(hx_vl x, hx_vl m) {
    hx_vl take = x < m;
    return (x & take) | (m & ~take);
}
static inline float hx_max_nan(float x, float m) { return x > m || x != x ? x : m; }

/* All lanes added, in a tree. */
static inline float hx_vf_sum(hx_vf v) {
    float lane[HX_LANES_OF(float)];
    memcpy(lane, &v, sizeof v);
    for (int half = HX_LANES_OF(float) / 2; half; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}
static inline double hx_vd_sum(hx_vd v) {
    double lane[HX_LANES_OF(double)];
    memcpy(lane, &v, sizeof v);
    for (int half = HX_LANES_OF(double) / 2; half; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}

#endif
