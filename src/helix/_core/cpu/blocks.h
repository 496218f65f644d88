/* Runs of any dtype read and written as runs of float, double, int64 or bool: kernels are written for these four
 * and see the other dtypes through a block that fits the first-level cache. */
#ifndef HX_BLOCKS_H
#define HX_BLOCKS_H

#include "cpu.h"
#include "lanes.h"

#define HX_BLOCK 4096 /* elements */

#if defined HX_ISA_AVX512
static inline void hx_f16_run(float *to, const uint16_t *from, int64_t n) {
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) _mm512_storeu_ps(to + i,
                                                  _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(from + i))));
    for (; i < n; i++) to[i] = _cvtsh_ss(from[i]);
}
static inline void hx_run_f16(uint16_t *to, const float *from, int64_t n) {
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) _mm256_storeu_si256((__m256i *)(to + i),
                                                     _mm512_cvtps_ph(_mm512_loadu_ps(from + i), 0));
    for (; i < n; i++) to[i] = _cvtss_sh(from[i], 0);
}
#elif defined HX_ISA_AVX2
static inline void hx_f16_run(float *to, const uint16_t *from, int64_t n) {
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(from + i))));
    for (; i < n; i++) to[i] = _cvtsh_ss(from[i]);
}
static inline void hx_run_f16(uint16_t *to, const float *from, int64_t n) {
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) _mm_storeu_si128((__m128i *)(to + i), _mm256_cvtps_ph(_mm256_loadu_ps(from + i), 0));
    for (; i < n; i++) to[i] = _cvtss_sh(from[i], 0);
}
#else
static inline void hx_f16_run(float *to, const uint16_t *from, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] = hx_f16_to_f32(from[i]);
}
static inline void hx_run_f16(uint16_t *to, const float *from, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] = hx_f32_to_f16(from[i]);
}
#endif

/* Side by side the compiler sees it, and takes registers at a time; elements may lie at any address. */
#define HX_READ_STEPS(T, expr)                                                                                \
    if (step == (int64_t)sizeof(T)) {                                                                         \
        typedef T any __attribute__((aligned(1), may_alias));                                                 \
        const any *from = (const any *)p;                                                                     \
        for (int64_t i = 0; i < n; i++) {                                                                     \
            T x = from[i];                                                                                    \
            room[i] = expr;                                                                                   \
        }                                                                                                     \
        break;                                                                                                \
    }                                                                                                         \
    for (int64_t i = 0; i < n; i++, p += step) {                                                              \
        T x;                                                                                                  \
        memcpy(&x, p, sizeof x);                                                                              \
        room[i] = expr;                                                                                       \
    }                                                                                                         \
    break

/* n times the one value at p. */
static inline const float *hx_read_one_f32(const char *p, int dtype, int64_t n, float *room) {
    uint16_t half = 0;
    float one = 0;
    memcpy(dtype == HX_F32 ? (void *)&one : &half, p, dtype == HX_F32 ? sizeof one : sizeof half);
    if (dtype != HX_F32) one = dtype == HX_F16 ? hx_f16_to_f32(half) : hx_bf16_to_f32(half);
    for (int64_t i = 0; i < n; i++) room[i] = one;
    return room;
}

/* n values of f16, bf16 or f32 that lie `step` bytes apart, as floats: in place when they are, else in `room`. */
static inline const float *hx_read_f32(const char *p, int dtype, int64_t step, int64_t n, float *room) {
    if (!step && n > 1) return hx_read_one_f32(p, dtype, n, room);
    switch (dtype) {
    case HX_F32:
        if (step == 4 || n < 2) return (const float *)p;
        HX_READ_STEPS(float, x);
    case HX_F16:
        if (step == 2) {
            hx_f16_run(room, (const uint16_t *)p, n);
            break;
        }
        HX_READ_STEPS(uint16_t, hx_f16_to_f32(x));
    case HX_BF16:
        if (step == 2) {
            for (int64_t i = 0; i < n; i++) room[i] = hx_bf16_to_f32(((const uint16_t *)p)[i]);
            break;
        }
        HX_READ_STEPS(uint16_t, hx_bf16_to_f32(x));
    }
    return room;
}

static inline const double *hx_read_f64(const char *p, int64_t step, int64_t n, double *room) {
    if (step == 8 || n < 2) return (const double *)p;
    do {
        HX_READ_STEPS(double, x);
    } while (0);
    return room;
}

/* Integers and bool; uint64 in the order of int64 (its top bit is turned), which hx_write_i64 undoes. */
static inline const int64_t *hx_read_i64(const char *p, int dtype, int64_t step, int64_t n, int64_t *room,
                                         bool ordered) {
    switch (dtype) {
    case HX_I64:
        if (step == 8 || n < 2) return (const int64_t *)p;
        HX_READ_STEPS(int64_t, x);
    case HX_U64:
        HX_READ_STEPS(uint64_t, (int64_t)(ordered ? x ^ 0x8000000000000000u : x));
    case HX_BOOL:
    case HX_U8: HX_READ_STEPS(uint8_t, x);
    case HX_I8: HX_READ_STEPS(int8_t, x);
    case HX_I16: HX_READ_STEPS(int16_t, x);
    case HX_I32: HX_READ_STEPS(int32_t, x);
    case HX_U16: HX_READ_STEPS(uint16_t, x);
    case HX_U32: HX_READ_STEPS(uint32_t, x);
    }
    return room;
}

/* 1 where the value is not zero (NaN is not). */
static inline const uint8_t *hx_read_truth(const char *p, int dtype, int64_t step, int64_t n, uint8_t *room) {
    switch (dtype) {
    case HX_BOOL:
        if (step == 1 || n < 2) return (const uint8_t *)p;
        HX_READ_STEPS(uint8_t, x);
    case HX_I8:
    case HX_U8: HX_READ_STEPS(uint8_t, x != 0);
    case HX_I16:
    case HX_U16: HX_READ_STEPS(uint16_t, x != 0);
    case HX_F16:
    case HX_BF16: HX_READ_STEPS(uint16_t, (x & 0x7fffu) != 0);
    case HX_I32:
    case HX_U32: HX_READ_STEPS(uint32_t, x != 0);
    case HX_I64:
    case HX_U64: HX_READ_STEPS(uint64_t, x != 0);
    case HX_F32: HX_READ_STEPS(float, x != 0);
    case HX_F64: HX_READ_STEPS(double, x != 0);
    case HX_C64:
        for (int64_t i = 0; i < n; i++, p += step) {
            float x[2];
            memcpy(x, p, sizeof x);
            room[i] = x[0] != 0 || x[1] != 0;
        }
        break;
    case HX_C128:
        for (int64_t i = 0; i < n; i++, p += step) {
            double x[2];
            memcpy(x, p, sizeof x);
            room[i] = x[0] != 0 || x[1] != 0;
        }
        break;
    }
    return room;
}
#undef HX_READ_STEPS

#define HX_WRITE_STEPS(T, expr)                                                                               \
    if (step == (int64_t)sizeof(T)) {                                                                         \
        typedef T any __attribute__((aligned(1), may_alias));                                                 \
        any *to = (any *)p;                                                                                   \
        for (int64_t i = 0; i < n; i++) to[i] = (T)(expr);                                                    \
        break;                                                                                                \
    }                                                                                                         \
    for (int64_t i = 0; i < n; i++, p += step) {                                                              \
        T y = (T)(expr);                                                                                      \
        memcpy(p, &y, sizeof y);                                                                              \
    }                                                                                                         \
    break

/* Writes n floats as f16, bf16 or f32. */
static inline void hx_write_f32(char *p, int dtype, int64_t step, int64_t n, const float *x) {
    switch (dtype) {
    case HX_F32:
        if (step == 4) {
            memcpy(p, x, (size_t)n * 4);
            break;
        }
        HX_WRITE_STEPS(float, x[i]);
    case HX_F16:
        if (step == 2) {
            hx_run_f16((uint16_t *)p, x, n);
            break;
        }
        HX_WRITE_STEPS(uint16_t, hx_f32_to_f16(x[i]));
    case HX_BF16:
        if (step == 2) {
            for (int64_t i = 0; i < n; i++) ((uint16_t *)p)[i] = hx_f32_to_bf16(x[i]);
            break;
        }
        HX_WRITE_STEPS(uint16_t, hx_f32_to_bf16(x[i]));
    }
}

/* Writes n doubles as any float dtype. */
static inline void hx_write_f64(char *p, int dtype, int64_t step, int64_t n, const double *x) {
    switch (dtype) {
    case HX_F64: HX_WRITE_STEPS(double, x[i]);
    case HX_F32: HX_WRITE_STEPS(float, x[i]);
    case HX_F16: HX_WRITE_STEPS(uint16_t, hx_f32_to_f16((float)x[i]));
    case HX_BF16: HX_WRITE_STEPS(uint16_t, hx_f32_to_bf16((float)x[i]));
    }
}

/* Writes n integers as any integer dtype or bool. */
static inline void hx_write_i64(char *p, int dtype, int64_t step, int64_t n, const int64_t *x, bool ordered) {
    switch (dtype) {
    case HX_U64:
        HX_WRITE_STEPS(uint64_t, ordered ? (uint64_t)x[i] ^ 0x8000000000000000u : (uint64_t)x[i]);
    case HX_I64: HX_WRITE_STEPS(int64_t, x[i]);
    case HX_I32:
    case HX_U32: HX_WRITE_STEPS(int32_t, x[i]);
    case HX_I16:
    case HX_U16: HX_WRITE_STEPS(int16_t, x[i]);
    case HX_I8:
    case HX_U8: HX_WRITE_STEPS(int8_t, x[i]);
    case HX_BOOL: HX_WRITE_STEPS(uint8_t, x[i] != 0);
    }
}
#undef HX_WRITE_STEPS

#endif
