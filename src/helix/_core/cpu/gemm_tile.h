/* Register tiles, packing and skinny products of one element type, for cpu/gemm.c. Included once a type with
 *   TILE_TYPE          the element type that is multiplied and summed
 *   TILE(name)         the name with the type's suffix
 *   TILE_LOW, TILE_HIGH  lane lists that interleave the low and the high halves of two vectors
 *   TILE_ALL           defined: a tile for every number of rows and vectors, for operands where they lie
 * A tile keeps rows x vectors of C in registers and walks along k once. */

typedef TILE_TYPE TILE(vec) __attribute__((vector_size(HX_VECTOR_BYTES)));
typedef TILE_TYPE TILE(vec_at) __attribute__((vector_size(HX_VECTOR_BYTES), aligned(sizeof(TILE_TYPE)), may_alias));
enum { TILE(lanes) = HX_VECTOR_BYTES / sizeof(TILE_TYPE), TILE(columns) = TILE_VECTORS * TILE(lanes) };

static ALWAYS_INLINE TILE(vec) TILE(load)(const TILE_TYPE *p) { return *(const TILE(vec_at) *)p; }
static ALWAYS_INLINE void TILE(store)(TILE_TYPE *p, TILE(vec) x) { *(TILE(vec_at) *)p = x; }
static ALWAYS_INLINE TILE(vec) TILE(splat)(TILE_TYPE x) { return x - (TILE(vec)){0}; }

/* The first n lanes, the others zero; n in [0, lanes]. */
static ALWAYS_INLINE TILE(vec) TILE(load_some)(const TILE_TYPE *p, int64_t n) {
#ifdef HX_ISA_AVX512
    if (sizeof(TILE_TYPE) == 4) return (TILE(vec))_mm512_maskz_loadu_epi32((__mmask16)((1u << n) - 1), p);
    if (sizeof(TILE_TYPE) == 8) return (TILE(vec))_mm512_maskz_loadu_epi64((__mmask8)((1u << n) - 1), p);
#endif
    TILE(vec) x = {0};
    for (int64_t i = 0; i < n; i++) x[i] = p[i];
    return x;
}
static ALWAYS_INLINE void TILE(store_some)(TILE_TYPE *p, TILE(vec) x, int64_t n) {
#ifdef HX_ISA_AVX512
    if (sizeof(TILE_TYPE) == 4) {
        _mm512_mask_storeu_epi32(p, (__mmask16)((1u << n) - 1), (__m512i)x);
        return;
    }
    if (sizeof(TILE_TYPE) == 8) {
        _mm512_mask_storeu_epi64(p, (__mmask8)((1u << n) - 1), (__m512i)x);
        return;
    }
#endif
    for (int64_t i = 0; i < n; i++) p[i] = x[i];
}

/* C = alpha * sum + beta * D for one vector of one row. */
static ALWAYS_INLINE void TILE(finish)(TILE(vec) sum, const tile_out *o, int64_t row, int64_t at) {
    int64_t n = o->columns - at;
    if (n <= 0) return;
    TILE_TYPE *c = (TILE_TYPE *)o->c + row * o->c_row + at;
    if (o->alpha != 1) sum *= TILE(splat)((TILE_TYPE)o->alpha);
    if (o->d) {
        const TILE_TYPE *d = (const TILE_TYPE *)o->d + row * o->d_row;
        TILE(vec) add = !o->d_col ? TILE(splat)(*d) : n >= TILE(lanes) ? TILE(load)(d + at) : TILE(load_some)(d + at, n);
        sum += o->beta == 1 ? add : add * TILE(splat)((TILE_TYPE)o->beta);
    }
    if (n >= TILE(lanes)) TILE(store)(c, sum);
    else TILE(store_some)(c, sum, n);
}

/* The same for a block of sums in memory. */
static void TILE(finish_block)(const void *sums, int64_t pitch, int64_t rows, const tile_out *o) {
    for (int64_t i = 0; i < rows; i++) {
        const TILE_TYPE *s = (const TILE_TYPE *)sums + i * pitch;
        for (int64_t j = 0; j < o->columns; j += TILE(lanes)) {
            int64_t n = o->columns - j;
            TILE(finish)(n >= TILE(lanes) ? TILE(load)(s + j) : TILE(load_some)(s + j, n), o, i, j);
        }
    }
}

/* The sum of all lanes, by halves. */
static ALWAYS_INLINE TILE_TYPE TILE(total)(TILE(vec) x) {
    TILE_TYPE lane[TILE(lanes)];
    TILE(store)(lane, x);
    UNROLL for (int half = TILE(lanes) / 2; half > 0; half /= 2)
        UNROLL for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}

/* ---- tiles ---- */

/* Stores the sums of a tile: full vectors straight from registers, anything else by way of memory. */
static ALWAYS_INLINE void TILE(leave)(const int rows, const int vectors, TILE(vec) (*sum)[TILE_VECTORS],
                                      const tile_out *o) {
    TILE_TYPE *c = o->c;
    if (o->columns == vectors * TILE(lanes) && o->alpha == 1 && (!o->d || (o->d_col == 1 && o->beta == 1))) {
        const TILE_TYPE *d = o->d;
        UNROLL for (int i = 0; i < rows; i++, c += o->c_row) {
            UNROLL for (int v = 0; v < vectors; v++)
                TILE(store)(c + v * TILE(lanes), d ? sum[i][v] + TILE(load)(d + v * TILE(lanes)) : sum[i][v]);
            if (d) d += o->d_row;
        }
        return;
    }
    TILE_TYPE block[TILE_ROWS][TILE(columns)];
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int v = 0; v < vectors; v++) TILE(store)(block[i] + v * TILE(lanes), sum[i][v]);
    TILE(finish_block)(block, TILE(columns), rows, o);
}

/* A[i, p] = a[i + p * a_step] */
static ALWAYS_INLINE void TILE(by_column)(const int rows, const int vectors, int64_t k, const void *a_, int64_t a_step,
                                          const void *b_, int64_t b_step, const tile_out *o) {
    const TILE_TYPE *a = a_, *b = b_;
    TILE(vec) sum[TILE_ROWS][TILE_VECTORS];
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int v = 0; v < vectors; v++) sum[i][v] = (TILE(vec)){0};
    for (int64_t p = 0; p < k; p++) {
        TILE(vec) line[TILE_VECTORS];
        UNROLL for (int v = 0; v < vectors; v++) line[v] = TILE(load)(b + v * TILE(lanes));
        if (sizeof(TILE_TYPE) == 8) /* two lines of A every k: the processor's own prefetch comes late */
            UNROLL for (int i = 0; i < rows; i += 8) __builtin_prefetch(a + AHEAD * a_step + i);
        UNROLL for (int i = 0; i < rows; i++) {
            TILE(vec) x = TILE(splat)(a[i]);
            UNROLL for (int v = 0; v < vectors; v++) sum[i][v] += x * line[v];
        }
        a += a_step;
        b += b_step;
    }
    TILE(leave)(rows, vectors, sum, o);
}

#ifdef TILE_ALL
/* A[i, p] = a[i * a_step + p] */
static ALWAYS_INLINE void TILE(by_row)(const int rows, const int vectors, int64_t k, const void *a_, int64_t a_step,
                                       const void *b_, int64_t b_step, const tile_out *o) {
    const TILE_TYPE *a[(TILE_ROWS + 2) / 3], *b = b_;
    TILE(vec) sum[TILE_ROWS][TILE_VECTORS];
    UNROLL for (int i = 0; i < rows; i += 3) a[i / 3] = (const TILE_TYPE *)a_ + i * a_step;
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int v = 0; v < vectors; v++) sum[i][v] = (TILE(vec)){0};
    for (int64_t p = 0; p < k; p++) {
        TILE(vec) line[TILE_VECTORS];
        UNROLL for (int v = 0; v < vectors; v++) line[v] = TILE(load)(b + v * TILE(lanes));
        UNROLL for (int i = 0; i < rows; i++) {
            TILE(vec) x = TILE(splat)(a[i / 3][p + (i % 3) * a_step]);
            UNROLL for (int v = 0; v < vectors; v++) sum[i][v] += x * line[v];
        }
        b += b_step;
    }
    TILE(leave)(rows, vectors, sum, o);
}

#define TILE_ONE(form, rows, vectors)                                                                         \
    static void TILE(form##_##rows##_##vectors)(int64_t k, const void *a, int64_t a_step, const void *b,      \
                                                int64_t b_step, const tile_out *o) {                          \
        TILE(form)(rows, vectors, k, a, a_step, b, b_step, o);                                                \
    }
#define TILE_EACH(rows)                                                                                       \
    TILE_ONE(by_column, rows, 1) TILE_ONE(by_column, rows, 2) TILE_ONE(by_row, rows, 1) TILE_ONE(by_row, rows, 2)
#define TILE_NAMES(rows)                                                                                      \
    [rows - 1] = {{TILE(by_column_##rows##_1), TILE(by_column_##rows##_2)},                                   \
                  {TILE(by_row_##rows##_1), TILE(by_row_##rows##_2)}},
EACH_ROWS(TILE_EACH)
static const tile_kernel TILE(tiles)[TILE_ROWS][2][TILE_VECTORS] = {EACH_ROWS(TILE_NAMES)};
#undef TILE_ONE
#undef TILE_EACH
#undef TILE_NAMES
#endif

/* The full tile over packed operands, of which the first `rows` rows are stored. */
static void TILE(full)(int64_t rows, int64_t k, const void *a, const void *b, const tile_out *o) {
#ifdef TILE_ALL
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < o->columns; j += 64 / sizeof(TILE_TYPE))
            __builtin_prefetch((TILE_TYPE *)o->c + i * o->c_row + j, 1);
    for (int64_t i = 0; i < o->next_bytes; i += 64) __builtin_prefetch(o->next + i, 0, 2);
    TILE(tiles)[rows - 1][0][o->columns > TILE(lanes)](k, a, TILE_ROWS, b, TILE(columns), o);
#else
    TILE_TYPE sums[TILE_ROWS][TILE(columns)];
    tile_out block = {.c = sums, .c_row = TILE(columns), .columns = TILE(columns), .alpha = 1};
    TILE(by_column)(TILE_ROWS, TILE_VECTORS, k, a, TILE_ROWS, b, TILE(columns), &block);
    TILE(finish_block)(sums, TILE(columns), rows, o);
#endif
}

/* ---- packing ---- */

/* Perfect shuffles: after log2(lanes) rounds row i holds what was lane i. */
static ALWAYS_INLINE void TILE(transpose)(TILE(vec) *r) {
    UNROLL for (int round = 1; round < TILE(lanes); round *= 2) {
        TILE(vec) s[TILE(lanes)];
        UNROLL for (int i = 0; i < TILE(lanes) / 2; i++) {
            s[2 * i] = __builtin_shufflevector(r[i], r[i + TILE(lanes) / 2], TILE_LOW);
            s[2 * i + 1] = __builtin_shufflevector(r[i], r[i + TILE(lanes) / 2], TILE_HIGH);
        }
        UNROLL for (int i = 0; i < TILE(lanes); i++) r[i] = s[i];
    }
}

/* panel[p * width + w] = source[p * k_step + w * w_step] for w < valid, 0 for the rest up to width. Writes up to
 * lanes - 1 elements past the panel. */
#define TILE_PACK(source, SOURCE, widen, widen_one)                                                           \
    static void TILE(pack_##source)(void *panel_, int64_t width, const void *from_, int64_t k_step,           \
                                    int64_t w_step, int64_t k, int64_t valid) {                               \
        TILE_TYPE *panel = panel_;                                                                            \
        const SOURCE *from = from_;                                                                           \
        int64_t p = 0;                                                                                        \
        if (w_step == 1) {                                                                                    \
            int64_t whole = valid - valid % TILE(lanes);                                                      \
            for (; p < k; p++, from += k_step, panel += width) {                                              \
                int64_t w = 0;                                                                                \
                for (; w < whole; w += TILE(lanes)) TILE(store)(panel + w, widen(from + w));                  \
                for (; w < valid; w++) panel[w] = widen_one(from[w]);                                         \
                for (; w < width; w++) panel[w] = 0;                                                          \
            }                                                                                                 \
            return;                                                                                           \
        }                                                                                                     \
        if (k_step == 1)                                                                                      \
            for (; p + TILE(lanes) <= k; p += TILE(lanes))                                                    \
                for (int64_t w = (width - 1) / TILE(lanes) * TILE(lanes); w >= 0; w -= TILE(lanes)) {         \
                    TILE(vec) r[TILE(lanes)];                                                                 \
                    UNROLL for (int i = 0; i < TILE(lanes); i++)                                              \
                        r[i] = w + i < valid ? widen(from + (w + i) * w_step + p) : (TILE(vec)){0};           \
                    TILE(transpose)(r);                                                                       \
                    UNROLL for (int i = 0; i < TILE(lanes); i++) TILE(store)(panel + (p + i) * width + w, r[i]); \
                }                                                                                             \
        for (; p < k; p++) {                                                                                  \
            for (int64_t w = 0; w < valid; w++) panel[p * width + w] = widen_one(from[p * k_step + w * w_step]); \
            for (int64_t w = valid; w < width; w++) panel[p * width + w] = 0;                                 \
        }                                                                                                     \
    }

#ifdef TILE_ALL
/* A product of up to TINY x lanes over up to TINY, in the tiles' order of summation. */
static void TILE(tiny)(const hx_gemm_args *g) {
    TILE(vec) line[TINY];
    const TILE_TYPE *a = g->a, *b = g->b;
    tile_out o = {.c = g->c, .c_row = g->c_row, .d = g->d, .d_row = g->d_row, .d_col = g->d_col, .columns = g->n,
                  .alpha = g->alpha, .beta = g->beta};
    for (int64_t p = 0; p < g->k; p++, b += g->b_row) {
        if (g->b_col == 1) {
            line[p] = TILE(load_some)(b, g->n);
            continue;
        }
        TILE_TYPE lane[TILE(lanes)] = {0};
        for (int64_t j = 0; j < g->n; j++) lane[j] = b[j * g->b_col];
        line[p] = TILE(load)(lane);
    }
    for (int64_t i = 0; i < g->m; i++, a += g->a_row) {
        TILE(vec) sum = {0};
        for (int64_t p = 0; p < g->k; p++) sum += TILE(splat)(a[p * g->a_col]) * line[p];
        TILE(finish)(sum, &o, i, 0);
    }
}

/* ---- skinny products: few rows of A, packed contiguous; B is read once, where it lies ---- */

/* sums[i, j] of rows x columns dot products, in blocks of DOT_DEPTH so that errors do not grow with k; columns of B are
 * contiguous, b_col apart. */
#define TILE_DOT(source, SOURCE, widen, widen_one)                                                            \
    static ALWAYS_INLINE void TILE(dot_tile_##source)(const int rows, const int columns, int64_t k,           \
                                                      const TILE_TYPE *a, int64_t a_row, const SOURCE *b,     \
                                                      int64_t b_col, TILE_TYPE *sums, int64_t pitch) {        \
        UNROLL for (int i = 0; i < rows; i++)                                                                 \
            UNROLL for (int j = 0; j < columns; j++) sums[i * pitch + j] = 0;                                 \
        int64_t p = 0;                                                                                        \
        while (p + TILE(lanes) <= k) {                                                                        \
            int64_t end = p + least(DOT_DEPTH, k - p);                                                        \
            TILE(vec) sum[DOT_ROWS][DOT_COLUMNS];                                                             \
            UNROLL for (int i = 0; i < rows; i++)                                                             \
                UNROLL for (int j = 0; j < columns; j++) sum[i][j] = (TILE(vec)){0};                          \
            for (; p + TILE(lanes) <= end; p += TILE(lanes)) {                                                \
                TILE(vec) line[DOT_COLUMNS];                                                                  \
                UNROLL for (int j = 0; j < columns; j++) line[j] = widen(b + j * b_col + p);                  \
                UNROLL for (int i = 0; i < rows; i++) {                                                       \
                    TILE(vec) x = TILE(load)(a + i * a_row + p);                                              \
                    UNROLL for (int j = 0; j < columns; j++) sum[i][j] += x * line[j];                        \
                }                                                                                             \
            }                                                                                                 \
            UNROLL for (int i = 0; i < rows; i++)                                                             \
                UNROLL for (int j = 0; j < columns; j++) sums[i * pitch + j] += TILE(total)(sum[i][j]);       \
        }                                                                                                     \
        for (; p < k; p++)                                                                                    \
            UNROLL for (int i = 0; i < rows; i++)                                                             \
                UNROLL for (int j = 0; j < columns; j++)                                                      \
                    sums[i * pitch + j] += a[i * a_row + p] * widen_one(b[j * b_col + p]);                    \
    }                                                                                                         \
    static void TILE(dot_##source)(int64_t rows, int64_t columns, int64_t k, const void *a_, int64_t a_row,   \
                                   const void *b_, int64_t b_col, void *sums_, int64_t pitch) {               \
        TILE_TYPE *sums = sums_;                                                                              \
        int64_t j = 0;                                                                                        \
        for (; j < columns; j += columns - j >= DOT_COLUMNS ? DOT_COLUMNS : 1) {                              \
            const SOURCE *b = (const SOURCE *)b_ + j * b_col;                                                 \
            const TILE_TYPE *a = a_;                                                                          \
            bool wide = columns - j >= DOT_COLUMNS;                                                           \
            int64_t i = 0;                                                                                    \
            for (; i + DOT_ROWS <= rows; i += DOT_ROWS, a += DOT_ROWS * a_row)                                \
                if (wide) TILE(dot_tile_##source)(DOT_ROWS, DOT_COLUMNS, k, a, a_row, b, b_col, sums + i * pitch + j, pitch); \
                else TILE(dot_tile_##source)(DOT_ROWS, 1, k, a, a_row, b, b_col, sums + i * pitch + j, pitch); \
            for (; i < rows; i++, a += a_row)                                                                 \
                if (wide) TILE(dot_tile_##source)(1, DOT_COLUMNS, k, a, a_row, b, b_col, sums + i * pitch + j, pitch); \
                else TILE(dot_tile_##source)(1, 1, k, a, a_row, b, b_col, sums + i * pitch + j, pitch);       \
        }                                                                                                     \
    }

/* sums[i, j] += A[i, p] B[p, j], eight rows of B at a time; rows of B are contiguous, b_row apart. */
#define TILE_SWEEP(source, SOURCE, widen, widen_one)                                                          \
    static ALWAYS_INLINE void TILE(sweep_lines_##source)(const int lines, int64_t rows, int64_t columns,      \
                                                         const TILE_TYPE *a, int64_t a_row, const SOURCE *b,  \
                                                         int64_t b_row, TILE_TYPE *sums, int64_t pitch) {     \
        int64_t j = 0;                                                                                        \
        for (; j + TILE(lanes) <= columns; j += TILE(lanes)) {                                                \
            TILE(vec) line[8];                                                                                \
            UNROLL for (int l = 0; l < lines; l++) line[l] = widen(b + l * b_row + j);                        \
            for (int64_t i = 0; i < rows; i++) {                                                              \
                TILE(vec) sum = TILE(load)(sums + i * pitch + j);                                             \
                UNROLL for (int l = 0; l < lines; l++) sum += TILE(splat)(a[i * a_row + l]) * line[l];        \
                TILE(store)(sums + i * pitch + j, sum);                                                       \
            }                                                                                                 \
        }                                                                                                     \
        for (; j < columns; j++)                                                                              \
            for (int64_t i = 0; i < rows; i++) {                                                              \
                TILE_TYPE sum = sums[i * pitch + j];                                                          \
                UNROLL for (int l = 0; l < lines; l++) sum += a[i * a_row + l] * widen_one(b[l * b_row + j]); \
                sums[i * pitch + j] = sum;                                                                    \
            }                                                                                                 \
    }                                                                                                         \
    static void TILE(sweep_##source)(int64_t rows, int64_t columns, int64_t k, const void *a_, int64_t a_row, \
                                     const void *b_, int64_t b_row, void *sums, int64_t pitch) {              \
        const TILE_TYPE *a = a_;                                                                              \
        const SOURCE *b = b_;                                                                                 \
        for (int64_t i = 0; i < rows; i++) memset((TILE_TYPE *)sums + i * pitch, 0, columns * sizeof(TILE_TYPE)); \
        int64_t p = 0;                                                                                        \
        for (; p + 8 <= k; p += 8)                                                                            \
            TILE(sweep_lines_##source)(8, rows, columns, a + p, a_row, b + p * b_row, b_row, sums, pitch);    \
        for (; p < k; p++)                                                                                    \
            TILE(sweep_lines_##source)(1, rows, columns, a + p, a_row, b + p * b_row, b_row, sums, pitch);    \
    }
#endif
