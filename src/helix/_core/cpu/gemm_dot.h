/* Products by the dot product instructions of AVX-512 BF16, AVX-512 VNNI and AVX-VNNI, for cpu/gemm.c: the neighbours of k in
 * a word are multiplied and added to one sum. Packed operands hold words, panel[k / neighbours][width]. */

#ifdef HX_ISA_AVX512

#define BF16_CODE __attribute__((target("avx512bf16")))

/* Processors with a tile unit run this instruction at half the rate of float ones: there it does not pay. */
static bool bf16_dot_pays(void) {
    ASK_ONCE(known, processor_has(7, 1, 0, 5) && unit_allowed(UNIT_DOT) &&
                        (!processor_has(7, 0, 3, 22) || !unit_allowed(UNIT_TILE)));
}

static void bf16_pack(void *panel, int64_t width, const void *from, int64_t k_step, int64_t w_step, int64_t k, int64_t valid) {
    pack_words(2, panel, width, from, k_step, w_step, k, valid);
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
static void use_bf16_dot(kind *x) {
    x->k_step = x->packed = 2;
    x->pack_rows = x->pack_columns = bf16_pack;
    x->full = bf16_full;
}
#define BYTE_CODE __attribute__((target("avx512vnni")))
#define DOT_BYTES _mm512_dpbusd_epi32
#define DOT_SPLAT _mm512_set1_epi32
typedef __m512i byte_sums;
enum { BYTE_ROWS = 12, BYTE_LEAF = 0, BYTE_WORD = 2, BYTE_BIT = 11 };
#else
#define BYTE_CODE __attribute__((target("avxvnni")))
#define DOT_BYTES _mm256_dpbusd_avx_epi32
#define DOT_SPLAT _mm256_set1_epi32
typedef __m256i byte_sums;
enum { BYTE_ROWS = 5, BYTE_LEAF = 1, BYTE_WORD = 0, BYTE_BIT = 4 };
#endif
typedef byte_sums byte_sums_at __attribute__((aligned(1), may_alias));

/* ---- bytes: the instruction takes A without and B with a sign ---- */

static bool byte_dot_ready(void) {
    ASK_ONCE(known, processor_has(7, BYTE_LEAF, BYTE_WORD, BYTE_BIT) && unit_allowed(UNIT_DOT));
}

static void byte_pack(void *panel, int64_t width, const void *from, int64_t k_step, int64_t w_step, int64_t k, int64_t valid) {
    pack_words(1, panel, width, from, k_step, w_step, k, valid);
}
/* Bytes with a sign are raised by 128. */
static void byte_pack_raised(void *panel, int64_t width, const void *from, int64_t k_step, int64_t w_step, int64_t k,
                             int64_t valid) {
    uint32_t *word = panel;
    pack_words(1, panel, width, from, k_step, w_step, k, valid);
    for (int64_t i = 0, n = ceil_div(k, 4) * width; i < n; i++) word[i] ^= 0x80808080u;
}

/* What raising A by 128 has added to a column is summed as one more row of the tile, and taken off. */
BYTE_CODE static ALWAYS_INLINE void byte_tile(const bool raised, int64_t rows, int64_t k, const void *a_, const void *b_,
                                              const tile_out *o) {
    enum { LANES = sizeof(byte_sums) / 4, WIDTH = 2 * LANES };
    const int32_t *a = a_, *b = b_;
    const byte_sums zero = DOT_SPLAT(0), raise = DOT_SPLAT((int32_t)0x80808080u);
    byte_sums sum[BYTE_ROWS][2], extra[2] = {zero, zero};
    UNROLL for (int i = 0; i < BYTE_ROWS; i++) sum[i][0] = sum[i][1] = zero;
    for (int64_t p = 0; p < k; p += 4, a += BYTE_ROWS, b += WIDTH) {
        byte_sums low = *(const byte_sums_at *)b, high = *(const byte_sums_at *)(b + LANES);
        UNROLL for (int i = 0; i < BYTE_ROWS; i++) {
            byte_sums x = DOT_SPLAT(a[i]);
            sum[i][0] = DOT_BYTES(sum[i][0], x, low);
            sum[i][1] = DOT_BYTES(sum[i][1], x, high);
        }
        if (!raised) continue;
        extra[0] = DOT_BYTES(extra[0], raise, low);
        extra[1] = DOT_BYTES(extra[1], raise, high);
    }
    uint32_t block[BYTE_ROWS][WIDTH];
    UNROLL for (int i = 0; i < BYTE_ROWS; i++) {
        store_u32(block[i], (vec_u32)sum[i][0] - (vec_u32)extra[0]);
        store_u32(block[i] + LANES, (vec_u32)sum[i][1] - (vec_u32)extra[1]);
    }
    finish_block_u32(block, WIDTH, rows, o);
}
BYTE_CODE static void byte_full(int64_t rows, int64_t k, const void *a, const void *b, const tile_out *o) {
    byte_tile(false, rows, k, a, b, o);
}
BYTE_CODE static void byte_full_raised(int64_t rows, int64_t k, const void *a, const void *b, const tile_out *o) {
    byte_tile(true, rows, k, a, b, o);
}

/* Rows for byte_dot: k bytes each. */
static void byte_lay(void *row, int64_t width, const void *from, int64_t k_step, int64_t w_step, int64_t k, int64_t valid) {
    (void)k_step, (void)k, (void)valid;
    if (w_step == 1) memcpy(row, from, (size_t)width);
    else for (int64_t i = 0; i < width; i++) ((uint8_t *)row)[i] = ((const uint8_t *)from)[i * w_step];
}
static void byte_lay_raised(void *row, int64_t width, const void *from, int64_t k_step, int64_t w_step, int64_t k,
                            int64_t valid) {
    byte_lay(row, width, from, k_step, w_step, k, valid);
    for (int64_t i = 0; i < width; i++) ((uint8_t *)row)[i] ^= 0x80;
}

/* A may be read past its end: it is a copy with room behind. */
BYTE_CODE static ALWAYS_INLINE void byte_dot_tile(const int rows, const int columns, const bool raised, int64_t k,
                                                  const uint8_t *a, int64_t a_row, const uint8_t *b, int64_t b_col,
                                                  uint32_t *sums, int64_t pitch) {
    const byte_sums zero = DOT_SPLAT(0), raise = DOT_SPLAT((int32_t)0x80808080u);
    byte_sums sum[DOT_ROWS][DOT_COLUMNS], extra[DOT_COLUMNS];
    UNROLL for (int j = 0; j < columns; j++) extra[j] = zero;
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int j = 0; j < columns; j++) sum[i][j] = zero;
    for (int64_t p = 0; p < k; p += (int64_t)sizeof zero) {
        byte_sums line[DOT_COLUMNS];
        if (p + (int64_t)sizeof zero <= k)
            UNROLL for (int j = 0; j < columns; j++) line[j] = *(const byte_sums_at *)(b + j * b_col + p);
        else
            UNROLL for (int j = 0; j < columns; j++) {
                line[j] = zero;
                memcpy(&line[j], b + j * b_col + p, (size_t)(k - p));
            }
        UNROLL for (int i = 0; i < rows; i++) {
            byte_sums x = *(const byte_sums_at *)(a + i * a_row + p);
            UNROLL for (int j = 0; j < columns; j++) sum[i][j] = DOT_BYTES(sum[i][j], x, line[j]);
        }
        if (raised) UNROLL for (int j = 0; j < columns; j++) extra[j] = DOT_BYTES(extra[j], raise, line[j]);
    }
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int j = 0; j < columns; j++)
            sums[i * pitch + j] = total_u32((vec_u32)sum[i][j] - (vec_u32)extra[j]);
}
BYTE_CODE static ALWAYS_INLINE void byte_dots(const bool raised, int64_t rows, int64_t columns, int64_t k, const uint8_t *a,
                                              int64_t a_row, const uint8_t *b, int64_t b_col, uint32_t *sums, int64_t pitch) {
    int64_t j = 0, i;
    for (; j + DOT_COLUMNS <= columns; j += DOT_COLUMNS, b += DOT_COLUMNS * b_col) {
        for (i = 0; i + DOT_ROWS <= rows; i += DOT_ROWS)
            byte_dot_tile(DOT_ROWS, DOT_COLUMNS, raised, k, a + i * a_row, a_row, b, b_col, sums + i * pitch + j, pitch);
        for (; i < rows; i++) byte_dot_tile(1, DOT_COLUMNS, raised, k, a + i * a_row, a_row, b, b_col, sums + i * pitch + j, pitch);
    }
    for (; j < columns; j++, b += b_col)
        for (i = 0; i < rows; i++) byte_dot_tile(1, 1, raised, k, a + i * a_row, a_row, b, b_col, sums + i * pitch + j, pitch);
}
BYTE_CODE static void byte_dot(int64_t rows, int64_t columns, int64_t k, const void *a, int64_t a_row, const void *b,
                               int64_t b_col, void *sums, int64_t pitch) {
    byte_dots(false, rows, columns, k, a, a_row, b, b_col, sums, pitch);
}
BYTE_CODE static void byte_dot_raised(int64_t rows, int64_t columns, int64_t k, const void *a, int64_t a_row, const void *b,
                                      int64_t b_col, void *sums, int64_t pitch) {
    byte_dots(true, rows, columns, k, a, a_row, b, b_col, sums, pitch);
}

/* Few rows go by dot products where columns of B, which have a sign, are contiguous. */
static void use_byte_rows(kind *x, hx_dtype a) {
    x->dot_height = DOT_HEIGHT;
    x->row_bytes = 1;
    x->lay_rows = a == HX_I8 ? byte_lay_raised : byte_lay;
    x->dot = a == HX_I8 ? byte_dot_raised : byte_dot;
}

/* Turns the description of 8-bit integers, of which B's have a sign, into this one. */
static void use_byte_dot(kind *x, hx_dtype a) {
    x->rows = BYTE_ROWS;
    x->k_step = 4;
    x->packed = 1;
    x->pack_columns = byte_pack;
    x->pack_rows = a == HX_I8 ? byte_pack_raised : byte_pack;
    x->full = a == HX_I8 ? byte_full_raised : byte_full;
}
