/* Writing past the caches, for results far larger than they are. */
#ifndef HX_STREAM_H
#define HX_STREAM_H

#include "cpu.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define HX_STREAM_BYTES (16 << 20)

#ifdef __SSE2__
/* `to` and `from` at multiples of 16 bytes. */
static inline void hx_stream_out(char *to, const char *from, int64_t nbytes) {
    int64_t i = 0;
    for (; i + 64 <= nbytes; i += 64)
        for (int k = 0; k < 64; k += 16)
            _mm_stream_si128((__m128i *)(to + i + k), _mm_load_si128((const __m128i *)(from + i + k)));
    memcpy(to + i, from + i, (size_t)(nbytes - i));
}
static inline void hx_stream_end(void) { _mm_sfence(); }
#define HX_HAS_STREAM 1
#else
static inline void hx_stream_out(char *to, const char *from, int64_t nbytes) { memcpy(to, from, (size_t)nbytes); }
static inline void hx_stream_end(void) {}
#define HX_HAS_STREAM 0
#endif

#endif
