/* bfloat16 products by the dot product instruction of AVX-512 BF16, for cpu/gemm.c: pairs of neighbours in k are
 * multiplied and added to one float. Packed operands hold pairs, panel[k / 2][width][2]. */

#define BF16_CODE __attribute__((target("avx512bf16")))

/* Bit `bit` of register 0 to 3 (eax, ebx, ecx, edx) of a leaf of CPUID. */
static bool processor_has(unsigned leaf, unsigned subleaf, int word, int bit) {
    unsigned r[4];
    __asm__("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(subleaf));
    return r[word] >> bit & 1;
}

/* Processors with a tile unit run this instruction at half the rate of float ones: there it does not pay. */
static bool bf16_pays(void) {
    static _Atomic int known; /* 0: not asked yet, 1: no, 2: yes */
    int answer = atomic_load_explicit(&known, memory_order_relaxed);
    if (!answer) {
        answer = processor_has(7, 1, 0, 5) && !processor_has(7, 0, 3, 22) ? 2 : 1;
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer == 2;
}

/* Sixteen columns of one pair of rows. */
static ALWAYS_INLINE void bf16_pair(uint16_t *to, const uint16_t *low, const uint16_t *high, int64_t w_step, int64_t valid) {
    if (valid >= 16 && w_step == 1 && high) {
        __m512i a = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)low));
        __m512i b = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)high));
        _mm512_storeu_si512(to, _mm512_or_si512(a, _mm512_slli_epi32(b, 16)));
        return;
    }
    for (int64_t i = 0; i < 16; i++) {
        to[2 * i] = i < valid ? low[i * w_step] : 0;
        to[2 * i + 1] = i < valid && high ? high[i * w_step] : 0;
    }
}

static void bf16_pack_columns(void *panel_, int64_t width, const void *from_, int64_t k_step, int64_t w_step, int64_t k,
                              int64_t valid) {
    uint16_t *panel = panel_;
    const uint16_t *from = from_;
    if (k_step == 1 && w_step % 2 == 0 && k % 2 == 0 && (uintptr_t)from % 4 == 0) {
        pack_f32_f32(panel, width, from, 1, w_step / 2, k / 2, valid); /* pairs move as 32-bit words */
        return;
    }
    for (int64_t p = 0; p < k; p += 2, from += 2 * k_step)
        for (int64_t w = 0; w < width; w += 16, panel += 32)
            bf16_pair(panel, from + w * w_step, p + 1 < k ? from + k_step + w * w_step : NULL, w_step, valid - w);
}

static void bf16_pack_rows(void *panel_, int64_t width, const void *from_, int64_t k_step, int64_t w_step, int64_t k,
                           int64_t valid) {
    uint16_t *panel = panel_;
    const uint16_t *from = from_;
    if (k_step == 1 && w_step % 2 == 0 && k % 2 == 0 && (uintptr_t)from % 4 == 0) {
        pack_f32_f32(panel, width, from, 1, w_step / 2, k / 2, valid);
        return;
    }
    for (int64_t p = 0; p < k; p += 2, from += 2 * k_step)
        for (int64_t w = 0; w < width; w++, panel += 2) {
            panel[0] = w < valid ? from[w * w_step] : 0;
            panel[1] = w < valid && p + 1 < k ? from[w * w_step + k_step] : 0;
        }
}

BF16_CODE static void bf16_full(int64_t rows, int64_t k, const void *a_, const void *b_, const tile_out *o) {
    const int32_t *a = a_, *b = b_;
    __m512 sum[TILE_ROWS][2];
    UNROLL for (int i = 0; i < TILE_ROWS; i++) sum[i][0] = sum[i][1] = _mm512_setzero_ps();
    for (int64_t p = 0; p < k; p += 2, a += TILE_ROWS, b += 32) {
        __m512bh low = (__m512bh)_mm512_loadu_si512(b), high = (__m512bh)_mm512_loadu_si512(b + 16);
        UNROLL for (int i = 0; i < TILE_ROWS; i++) {
            __m512bh x = (__m512bh)_mm512_set1_epi32(a[i]);
            sum[i][0] = _mm512_dpbf16_ps(sum[i][0], x, low);
            sum[i][1] = _mm512_dpbf16_ps(sum[i][1], x, high);
        }
    }
    float block[TILE_ROWS][32];
    UNROLL for (int i = 0; i < TILE_ROWS; i++) {
        _mm512_storeu_ps(block[i], sum[i][0]);
        _mm512_storeu_ps(block[i] + 16, sum[i][1]);
    }
    finish_block_f32(block, 32, rows, o);
}

/* Turns the description of bfloat16 into this one. */
static void use_bf16(kind *x) {
    x->k_step = x->packed = 2;
    x->pack_rows = bf16_pack_rows;
    x->pack_columns = bf16_pack_columns;
    x->full = bf16_full;
}
