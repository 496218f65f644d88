/* The matrix units of x86 processors, for cpu/gemm.c: which there are, and the packing that they share. All of them multiply
 * 32-bit words that hold neighbours of k (pairs of bfloat16, quads of bytes) and add to 32-bit sums. */
#include <stdlib.h>

/* Bit `bit` of register 0 to 3 (eax, ebx, ecx, edx) of a leaf of CPUID. */
static bool processor_has(unsigned leaf, unsigned subleaf, int word, int bit) {
    unsigned r[4];
    __asm__("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(subleaf));
    return r[word] >> bit & 1;
}

enum { UNIT_DOT = 1, UNIT_TILE = 2 };

/* Is this the unit, or above the unit, that HELIX_CPU_UNIT (none, dot, tile) names as the best to be used? */
static bool unit_allowed(int unit) {
    const char *best = getenv("HELIX_CPU_UNIT");
    return !best || unit <= (strcmp(best, "tile") == 0 ? UNIT_TILE : strcmp(best, "dot") == 0 ? UNIT_DOT : 0);
}

/* Asks once; *known is 0 before. */
#define ASK_ONCE(known, question)                                                                             \
    static _Atomic int known;                                                                                 \
    int answer = atomic_load_explicit(&known, memory_order_relaxed);                                          \
    if (!answer) {                                                                                            \
        answer = (question) ? 2 : 1;                                                                          \
        atomic_store_explicit(&known, answer, memory_order_relaxed);                                          \
    }                                                                                                         \
    return answer == 2

/* Sixteen columns of one word of k. */
static ALWAYS_INLINE void word_line(const int size, uint8_t *to, const uint8_t *from, int64_t k_step, int64_t w_step,
                                    int64_t left, int64_t valid) {
    if (valid >= 16 && w_step == 1 && left >= 4 / size) {
        const uint8_t *second = from + k_step * size;
#ifdef HX_ISA_AVX512
        if (size == 2) {
            __m512i a = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)from));
            __m512i b = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)second));
            _mm512_storeu_si512(to, _mm512_or_si512(a, _mm512_slli_epi32(b, 16)));
            return;
        }
#endif
        if (size == 1) {
            __m128i a = _mm_loadu_si128((const void *)from), b = _mm_loadu_si128((const void *)second);
            __m128i c = _mm_loadu_si128((const void *)(second + k_step));
            __m128i d = _mm_loadu_si128((const void *)(second + 2 * k_step));
            __m128i ab = _mm_unpacklo_epi8(a, b), cd = _mm_unpacklo_epi8(c, d);
            _mm_storeu_si128((void *)to, _mm_unpacklo_epi16(ab, cd));
            _mm_storeu_si128((void *)(to + 16), _mm_unpackhi_epi16(ab, cd));
            ab = _mm_unpackhi_epi8(a, b), cd = _mm_unpackhi_epi8(c, d);
            _mm_storeu_si128((void *)(to + 32), _mm_unpacklo_epi16(ab, cd));
            _mm_storeu_si128((void *)(to + 48), _mm_unpackhi_epi16(ab, cd));
            return;
        }
    }
    memset(to, 0, 64);
    for (int64_t w = 0; w < least(16, valid); w++)
        for (int64_t i = 0; i < least(4 / size, left); i++)
            memcpy(to + 4 * w + size * i, from + (i * k_step + w * w_step) * size, (size_t)size);
}

/* Copies `valid` lines of up to 64 neighbours' bytes, filled up with zeros to width x 64. */
static ALWAYS_INLINE void word_lines(const int size, uint8_t *to, int64_t width, const uint8_t *from, int64_t k_step,
                                     int64_t w_step, int64_t k, int64_t valid) {
    for (int64_t w = 0; w < width; w++, to += 64, from += w_step * size) {
        int64_t n = w < valid ? least(64 / size, k) : 0;
        if (n == 64 / size && k_step == 1) {
            memcpy(to, from, 64);
            continue;
        }
        memset(to, 0, 64);
        if (k_step == 1) memcpy(to, from, (size_t)(n * size));
        else for (int64_t i = 0; i < n; i++) memcpy(to + i * size, from + i * k_step * size, (size_t)size);
    }
}

/* panel[k / (4 / size)][width] words. */
static ALWAYS_INLINE void pack_words(const int size, void *panel_, int64_t width, const void *from_, int64_t k_step,
                                     int64_t w_step, int64_t k, int64_t valid) {
    enum { WIDEST = 32 };
    const int64_t per = 4 / size;
    uint8_t *panel = panel_;
    const uint8_t *from = from_;
    _Alignas(64) uint8_t lines[WIDEST * 64];
    if (w_step == 1 && width % 16 == 0) {
        for (int64_t p = 0; p < k; p += per, from += per * k_step * size)
            for (int64_t w = 0; w < width; w += 16, panel += 64)
                word_line(size, panel, from + w * size, k_step, 1, k - p, valid - w);
        return;
    }
    if (k_step == 1 && w_step % per == 0 && k % per == 0 && (uintptr_t)from % 4 == 0) {
        pack_f32_f32(panel, width, from, 1, w_step / per, k / per, valid);
        return;
    }
    for (int64_t p = 0; p < k; p += 64 / size) {
        int64_t n = least(64 / size, k - p);
        word_lines(size, lines, width, from + p * k_step * size, k_step, w_step, n, valid);
        pack_f32_f32(panel + p * width * size, width, lines, 1, 16, ceil_div(n, per), width);
    }
}
