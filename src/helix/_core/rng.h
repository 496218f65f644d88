/* Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11): counter-based, so
 * element i of stream s under seed k is the same number on every device and for any launch geometry.
 *   key     = (seed low, seed high)
 *   counter = (block low, block high, stream low, stream high), block = element index / 4
 * A block gives four 32-bit words; element i of a 32-bit draw uses word i % 4. A 64-bit draw uses block i / 2 and
 * words 2 * (i % 2), +1. */
#ifndef HX_RNG_H
#define HX_RNG_H

#include <stdint.h>

static inline void hx_philox(uint64_t seed, uint64_t stream, uint64_t block, uint32_t out[4]) {
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32), c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* [0, 1) from the top 24 or 53 bits. */
static inline float hx_uniform_f32(uint32_t w) { return (float)(w >> 8) * 0x1p-24f; }
static inline double hx_uniform_f64(uint32_t hi, uint32_t lo) {
    return (double)((((uint64_t)hi << 32) | lo) >> 11) * 0x1p-53;
}

/* A generator is a seed and the number of the next stream; every random op takes one stream. Thread-safe. */
typedef struct hx_generator {
    uint64_t seed;
    _Atomic uint64_t next_stream;
} hx_generator;

hx_generator *hx_default_generator(void); /* of this thread: the one that was chosen, else the process's own */
hx_generator *hx_generator_choose(hx_generator *g); /* NULL: the process's own; the one chosen before */
/* The seed of one of many generators that a stream stands for, of which no numbers are drawn. */
uint64_t hx_derived_seed(uint64_t seed, uint64_t stream, uint64_t index);
void hx_generator_seed(hx_generator *g, uint64_t seed); /* next_stream = 0 */
uint64_t hx_generator_draw(hx_generator *g);            /* takes a stream number */

#endif
