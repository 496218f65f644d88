/* Matrix products; see gemm.h. One descriptor a dtype (`kind`) says how operands are widened while they are packed,
 * which tiles multiply them and how sums are stored; four plans share these parts:
 *   sweep, dot   a few rows: B is read once, where it lies, by rows or by columns
 *   direct       operands that fit in cache: tiles read A, and mostly B, where they lie
 *   packed       the rest: B is packed once, and tasks of rows x columns of C pack their rows of A
 * A complex product is a real one of (m, 2k) by (2k, 2n): A as it lies, B expanded while packed. */
#include "gemm.h"
#ifdef __x86_64__
#include <immintrin.h>
#endif
#include <stdatomic.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

#if defined HX_ISA_AVX512
#define HX_VECTOR_BYTES 64
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
enum { TILE_ROWS = 14, TILE_VECTORS = 2, DOT_ROWS = 4, DOT_COLUMNS = 4 };
#elif defined HX_ISA_AVX2
#define HX_VECTOR_BYTES 32
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)
enum { TILE_ROWS = 6, TILE_VECTORS = 2, DOT_ROWS = 2, DOT_COLUMNS = 4 };
#elif defined HX_ISA_NEON
#define HX_VECTOR_BYTES 16
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
enum { TILE_ROWS = 12, TILE_VECTORS = 2, DOT_ROWS = 4, DOT_COLUMNS = 4 };
#else
#define HX_VECTOR_BYTES 16
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)
enum { TILE_ROWS = 6, TILE_VECTORS = 2, DOT_ROWS = 2, DOT_COLUMNS = 4 };
#endif

enum {
    PANEL_BYTES = 32 << 10, /* of a panel of B in a packed block: the size of a first-level cache */
    BLOCK_HEIGHT = 504,   /* rows of A in a packed block, and */
    BLOCK_BYTES = 1 << 20, /* their bytes: inside the second-level cache */
    TILE_BYTES = 4096,    /* most sums of a full tile */
    PACK_DEPTH = 32,      /* rows of B that are packed together, panel after panel */
    DOT_DEPTH = 4096,     /* products summed in one register of a dot product */
    DIRECT_DEPTH = 512,   /* largest k of the direct plan */
    AHEAD = 16,           /* of k: how far in front packed rows of 8-byte elements are fetched */
    TINY = 8,             /* rows and k of products that need no plan */
    SKINNY_ROWS = 16,     /* rows up to which B is swept row by row */
    DOT_HEIGHT = 48,      /* rows up to which columns of B are read by dot products */
    SKINNY_SUMS = 8192    /* sums a skinny task holds: 32 KB of f32 */
};
#define DIRECT_WORK (160.0 * 160 * 160)  /* multiplications up to which nothing is packed */
#define TASK_WORK (64.0 * 64 * 64)       /* multiplications worth a task of their own */
#define COLUMN_BYTES (48ll << 20)        /* of packed B held at a time */

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* Where a tile or block leaves its sums. */
typedef struct tile_out {
    void *c;
    int64_t c_row;
    const void *d;
    int64_t d_row, d_col;
    int64_t columns;
    double alpha, beta;
    const char *next;   /* what is multiplied later, to be fetched now */
    int64_t next_bytes;
    const char *later;  /* where sums go once they are narrowed, NULL elsewhere; rows are later_row bytes apart */
    int64_t later_row;
} tile_out;

typedef void (*tile_kernel)(int64_t k, const void *a, int64_t a_step, const void *b, int64_t b_step,
                            const tile_out *o);
typedef void (*pack_kernel)(void *panel, int64_t width, const void *from, int64_t k_step, int64_t w_step, int64_t k,
                            int64_t valid);
typedef void (*skinny_kernel)(int64_t rows, int64_t columns, int64_t k, const void *a, int64_t a_row, const void *b,
                              int64_t b_step, void *sums, int64_t pitch);
typedef void (*finish_kernel)(const void *sums, int64_t pitch, int64_t rows, const tile_out *o);

#if HX_VECTOR_BYTES == 64
#define LOW4 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH4 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define LOW8 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH8 4, 12, 5, 13, 6, 14, 7, 15
#elif HX_VECTOR_BYTES == 32
#define LOW4 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH4 4, 12, 5, 13, 6, 14, 7, 15
#define LOW8 0, 4, 1, 5
#define HIGH8 2, 6, 3, 7
#else
#define LOW4 0, 4, 1, 5
#define HIGH4 2, 6, 3, 7
#define LOW8 0, 2
#define HIGH8 1, 3
#endif

/* ---- element types ---- */

#define TILE_ALL
#define TILE_TYPE float
#define TILE(name) name##_f32
#define TILE_LOW LOW4
#define TILE_HIGH HIGH4
#include "gemm_tile.h"

typedef uint16_t half_bits __attribute__((vector_size(HX_VECTOR_BYTES / 2), aligned(2), may_alias));
typedef uint32_t word_bits __attribute__((vector_size(HX_VECTOR_BYTES)));

static ALWAYS_INLINE vec_f32 widen_bf16(const uint16_t *p) {
    return (vec_f32)(__builtin_convertvector(*(const half_bits *)p, word_bits) << 16);
}
static ALWAYS_INLINE vec_f32 widen_f16(const uint16_t *p) {
#if defined HX_ISA_AVX512
    return (vec_f32)_mm512_cvtph_ps(_mm256_loadu_si256((const void *)p));
#elif defined HX_ISA_AVX2
    return (vec_f32)_mm256_cvtph_ps(_mm_loadu_si128((const void *)p));
#else
    vec_f32 x;
    for (int i = 0; i < lanes_f32; i++) x[i] = hx_f16_to_f32(p[i]);
    return x;
#endif
}
#define SAME(x) (x)
TILE_PACK(f32, float, load_f32, SAME)
TILE_PACK(bf16, uint16_t, widen_bf16, hx_bf16_to_f32)
TILE_PACK(f16, uint16_t, widen_f16, hx_f16_to_f32)
TILE_DOT(f32, float, load_f32, SAME)
TILE_DOT(bf16, uint16_t, widen_bf16, hx_bf16_to_f32)
TILE_DOT(f16, uint16_t, widen_f16, hx_f16_to_f32)
TILE_SWEEP(f32, float, load_f32, SAME)
TILE_SWEEP(bf16, uint16_t, widen_bf16, hx_bf16_to_f32)
TILE_SWEEP(f16, uint16_t, widen_f16, hx_f16_to_f32)
#undef TILE_TYPE
#undef TILE
#undef TILE_LOW
#undef TILE_HIGH

#define TILE_TYPE double
#define TILE(name) name##_f64
#define TILE_LOW LOW8
#define TILE_HIGH HIGH8
#undef TILE_PACK
#undef TILE_DOT
#undef TILE_SWEEP
#include "gemm_tile.h"
TILE_PACK(f64, double, load_f64, SAME)
TILE_DOT(f64, double, load_f64, SAME)
TILE_SWEEP(f64, double, load_f64, SAME)
#undef TILE_TYPE
#undef TILE
#undef TILE_LOW
#undef TILE_HIGH
#undef TILE_ALL

#define WIDEN(type, count, source, SOURCE)                                                                    \
    typedef SOURCE source##_lanes_##type __attribute__((vector_size(lanes_##type * sizeof(SOURCE)),           \
                                                        aligned(sizeof(SOURCE)), may_alias));                 \
    static ALWAYS_INLINE vec_##type widen_##source##_##type(const SOURCE *p) {                                \
        return __builtin_convertvector(*(const source##_lanes_##type *)p, vec_##type);                        \
    }

#define TILE_TYPE uint32_t
#define TILE(name) name##_u32
#define TILE_LOW LOW4
#define TILE_HIGH HIGH4
#undef TILE_PACK
#include "gemm_tile.h"
WIDEN(u32, 4, i8, int8_t)
WIDEN(u32, 4, u8, uint8_t)
WIDEN(u32, 4, i16, int16_t)
WIDEN(u32, 4, u16, uint16_t)
TILE_PACK(i8, int8_t, widen_i8_u32, SAME)
TILE_PACK(u8, uint8_t, widen_u8_u32, SAME)
TILE_PACK(i16, int16_t, widen_i16_u32, SAME)
TILE_PACK(u16, uint16_t, widen_u16_u32, SAME)
TILE_PACK(u32, uint32_t, load_u32, SAME)
#undef TILE_TYPE
#undef TILE
#undef TILE_LOW
#undef TILE_HIGH

#define TILE_TYPE uint64_t
#define TILE(name) name##_u64
#define TILE_LOW LOW8
#define TILE_HIGH HIGH8
#undef TILE_PACK
#include "gemm_tile.h"
TILE_PACK(u64, uint64_t, load_u64, SAME)
#undef TILE_TYPE
#undef TILE
#undef TILE_LOW
#undef TILE_HIGH

/* ---- results narrower than their sums ---- */

#define FINISH_NARROW(name, SUM, OUT, widen, narrow)                                                          \
    static void finish_##name(const void *sums, int64_t pitch, int64_t rows, const tile_out *o) {             \
        for (int64_t i = 0; i < rows; i++) {                                                                  \
            const SUM *s = (const SUM *)sums + i * pitch;                                                     \
            OUT *c = (OUT *)o->c + i * o->c_row;                                                              \
            const OUT *d = o->d ? (const OUT *)o->d + i * o->d_row : NULL;                                    \
            SUM alpha = (SUM)o->alpha, beta = d ? (SUM)o->beta : 0;                                           \
            if (!d) for (int64_t j = 0; j < o->columns; j++) c[j] = narrow(alpha * s[j]);                     \
            else for (int64_t j = 0; j < o->columns; j++) c[j] = narrow(alpha * s[j] + beta * widen(d[j * o->d_col])); \
        }                                                                                                     \
    }
#define TO_BYTE(x) ((uint8_t)(x))
#define TO_SHORT(x) ((uint16_t)(x))
FINISH_NARROW(bf16, float, uint16_t, hx_bf16_to_f32, hx_f32_to_bf16)
FINISH_NARROW(f16, float, uint16_t, hx_f16_to_f32, hx_f32_to_f16)
FINISH_NARROW(u8, uint32_t, uint8_t, SAME, TO_BYTE)
FINISH_NARROW(u16, uint32_t, uint16_t, SAME, TO_SHORT)

/* ---- complex operands ---- */

/* A[i, p] as columns 2p (real) and 2p + 1 (imaginary). */
#define PACK_COMPLEX(name, REAL)                                                                              \
    static void pack_rows_##name(void *panel_, int64_t width, const void *from_, int64_t k_step, int64_t w_step, \
                                 int64_t k, int64_t valid) {                                                  \
        REAL *panel = panel_;                                                                                 \
        const REAL *from = from_;                                                                             \
        for (int64_t p = 0; p < k; p++)                                                                       \
            for (int64_t w = 0; w < width; w++)                                                               \
                panel[p * width + w] =                                                                        \
                    w < valid ? from[2 * (p / 2 * k_step + w * w_step) + p % 2] : 0;                          \
    }                                                                                                         \
    /* B[p, j] as the square (re, im; -im, re). */                                                            \
    static void pack_columns_##name(void *panel_, int64_t width, const void *from_, int64_t k_step,           \
                                    int64_t w_step, int64_t k, int64_t valid) {                               \
        REAL *panel = panel_;                                                                                 \
        const REAL *from = from_;                                                                             \
        for (int64_t p = 0; p < k; p += 2)                                                                    \
            for (int64_t w = 0; w < width; w += 2) {                                                          \
                const REAL *x = from + 2 * (p / 2 * k_step + w / 2 * w_step);                                 \
                REAL re = w < valid ? x[0] : 0, im = w < valid ? x[1] : 0;                                    \
                REAL *to = panel + p * width + w;                                                             \
                to[0] = re;                                                                                   \
                to[1] = im;                                                                                   \
                to[width] = -im;                                                                              \
                to[width + 1] = re;                                                                           \
            }                                                                                                 \
    }
PACK_COMPLEX(c64, float)
PACK_COMPLEX(c128, double)

/* ---- kinds ---- */

typedef struct kind {
    int sum, packed;         /* bytes of a sum, and of an element of a packed block */
    int rows, columns;       /* of the full tile */
    int k_step;              /* k of a packed block is filled up to a multiple of this */
    int panel_bytes;         /* most bytes of a panel of B in a packed block */
    bool native;             /* sums are stored as they are, and tiles can read A and B where they lie */
    int scale;               /* 2 for complex: real numbers an element */
    pack_kernel pack_rows, pack_columns;
    void (*full)(int64_t rows, int64_t k, const void *a, const void *b, const tile_out *o);
    const tile_kernel (*tiles)[2][TILE_VECTORS];
    finish_kernel narrow;       /* stores sums as C; NULL when tiles store C themselves */
    finish_kernel finish_block; /* stores sums as C of their own type */
    skinny_kernel dot, sweep;   /* NULL: not offered */
    void (*enter)(void), (*leave)(void); /* around tiles, on every thread; NULL: nothing to do */
} kind;

#define SIZES(type, res)                                                                                      \
    .sum = sizeof(type), .packed = sizeof(type), .rows = TILE_ROWS, .columns = columns_##res, .k_step = 1,              \
    .panel_bytes = PANEL_BYTES
#define FLOATS(src, type, res, fin, is_native)                                                                \
    {SIZES(type, res), .native = is_native, .scale = 1,                                                       \
     .pack_rows = pack_##src##_##res, .pack_columns = pack_##src##_##res, .full = full_##res,                 \
     .tiles = tiles_##res, .narrow = fin, .finish_block = finish_block_##res, .dot = dot_##src##_##res, .sweep = sweep_##src##_##res}
#define INTEGERS(src, type, res, fin)                                                                         \
    {SIZES(type, res), .scale = 1, .pack_rows = pack_##src##_##res,                                           \
     .pack_columns = pack_##src##_##res, .full = full_##res, .narrow = fin}
#define COMPLEXES(src, type, res)                                                                             \
    {SIZES(type, res), .scale = 2, .pack_rows = pack_rows_##src,                                              \
     .pack_columns = pack_columns_##src, .full = full_##res}

static const kind kinds[HX_DTYPE_COUNT] = {
    [HX_I8] = INTEGERS(i8, uint32_t, u32, finish_u8),
    [HX_U8] = INTEGERS(u8, uint32_t, u32, finish_u8),
    [HX_I16] = INTEGERS(i16, uint32_t, u32, finish_u16),
    [HX_U16] = INTEGERS(u16, uint32_t, u32, finish_u16),
    [HX_I32] = INTEGERS(u32, uint32_t, u32, NULL),
    [HX_U32] = INTEGERS(u32, uint32_t, u32, NULL),
    [HX_I64] = INTEGERS(u64, uint64_t, u64, NULL),
    [HX_U64] = INTEGERS(u64, uint64_t, u64, NULL),
    [HX_F16] = FLOATS(f16, float, f32, finish_f16, false),
    [HX_BF16] = FLOATS(bf16, float, f32, finish_bf16, false),
    [HX_F32] = FLOATS(f32, float, f32, NULL, true),
    [HX_F64] = FLOATS(f64, double, f64, NULL, true),
    [HX_C64] = COMPLEXES(c64, float, f32),
    [HX_C128] = COMPLEXES(c128, double, f64),
};

#ifdef HX_ISA_AVX512
#include "gemm_bf16.h"
#ifdef __linux__
#include "gemm_amx.h"
#endif
#endif

/* Chooses by what the processor has; without such instructions bfloat16 is widened while it is packed. */
static void use_best_bf16(kind *x) {
    (void)x;
#ifdef HX_ISA_AVX512
#ifdef __linux__
    if (amx_ready()) {
        use_amx(x);
        return;
    }
#endif
    if (bf16_pays()) use_bf16(x);
#endif
}

/* ---- a problem: the arguments with complex numbers expanded and columns turned into rows ---- */

typedef struct problem {
    hx_gemm_args g;
    kind kind;
    int64_t m, n, k; /* of the real product */
    int64_t items;
    int64_t source, result; /* bytes of an element of A and B, of C */
} problem;

typedef struct item {
    const char *a, *b, *d;
    char *c;
    int64_t index;
} item;

static item item_at(const problem *x, int64_t index) {
    const hx_gemm_args *g = &x->g;
    item it = {.index = index};
    int64_t a = 0, b = 0, c = 0, d = 0;
    for (int i = g->batch_ndim - 1; i >= 0; i--) {
        int64_t at = index % g->batch_shape[i];
        index /= g->batch_shape[i];
        a += at * g->a_batch[i];
        if (g->b_batch) b += at * g->b_batch[i];
        c += at * g->c_batch[i];
        if (g->d_batch) d += at * g->d_batch[i];
    }
    it.a = (const char *)g->a + a * x->source;
    it.b = g->load_b ? NULL : (const char *)g->b + b * x->source;
    it.c = (char *)g->c + c * x->result;
    it.d = g->d ? (const char *)g->d + d * x->result : NULL;
    return it;
}

/* Where sums of rows from `row` and columns from `column` (of the real product) belong in C. It is filled in place: a
 * copy would be a wide load of what was just stored in parts, and wait for all stores before it. */
static ALWAYS_INLINE void place(tile_out *o, const problem *x, const item *it, int64_t row, int64_t column, int64_t columns) {
    const hx_gemm_args *g = &x->g;
    int64_t scale = x->kind.scale, size = x->result / scale;
    o->c = it->c + (row * g->c_row * scale + column) * size;
    o->c_row = g->c_row * scale;
    o->d = it->d ? it->d + (row * g->d_row * scale + column * g->d_col) * size : NULL;
    o->d_row = g->d_row * scale;
    o->d_col = g->d_col;
    o->columns = columns;
    o->alpha = g->alpha;
    o->beta = g->beta;
    o->next = NULL;
    o->next_bytes = 0;
    o->later = NULL;
    o->later_row = 0;
}

/* ---- the direct plan ---- */

typedef struct direct_plan {
    const problem *x;
    int64_t row_groups, group_rows;
} direct_plan;

static void direct_rows(const problem *x, const item *it, int64_t row, int64_t end) {
    const hx_gemm_args *g = &x->g;
    int64_t columns = x->kind.columns, size = x->source;
    _Alignas(64) char panel[DIRECT_DEPTH * TILE_VECTORS * HX_VECTOR_BYTES];
    bool by_row = !(g->a_row == 1 || x->m == 1);
    int64_t panels = ceil_div(end - row, TILE_ROWS), rows = (end - row) / panels, more = (end - row) % panels;
    tile_out o;
    for (int64_t j = 0; j < x->n; j += columns) {
        int64_t wide = least(columns, x->n - j), vectors = wide * 2 > columns ? 2 : 1;
        const char *b = it->b + j * g->b_col * size;
        int64_t b_step = g->b_row;
        if (g->b_col != 1 || wide * 2 != columns * vectors) {
            x->kind.pack_columns(panel, columns, b, g->b_row, g->b_col, x->k, wide);
            b = panel;
            b_step = columns;
        }
        for (int64_t q = 0, i = row; q < panels; q++) {
            int64_t high = rows + (q < more);
            place(&o, x, it, i, j, wide);
            x->kind.tiles[high - 1][by_row][vectors - 1](x->k, it->a + i * g->a_row * size,
                                                         by_row ? g->a_row : g->a_col, b, b_step, &o);
            i += high;
        }
    }
}

static void direct_task(void *ctx, int64_t begin, int64_t end) {
    const direct_plan *p = ctx;
    for (int64_t t = begin; t < end; t++) {
        item it = item_at(p->x, t / p->row_groups);
        int64_t row = t % p->row_groups * p->group_rows;
        direct_rows(p->x, &it, row, least(row + p->group_rows, p->x->m));
    }
}

static bool direct_fits(const problem *x) {
    const hx_gemm_args *g = &x->g;
    return x->kind.native && !g->load_b && x->k <= DIRECT_DEPTH && (g->a_row == 1 || g->a_col == 1 || x->m == 1) &&
           (double)x->m * (double)x->n * (double)x->k <= DIRECT_WORK;
}

static void run_direct(const problem *x) {
    double work = (double)x->m * (double)x->n * (double)x->k;
    direct_plan p = {x, 1, x->m};
    if (work * (double)x->items <= 2 * TASK_WORK) {
        direct_task(&p, 0, x->items);
        return;
    }
    if (work >= 2 * TASK_WORK && x->items < 4 * hx_threads_get()) {
        int64_t groups = least((int64_t)(work / TASK_WORK), 2 * hx_threads_get());
        p.group_rows = ceil_div(ceil_div(x->m, TILE_ROWS), groups) * TILE_ROWS;
        p.row_groups = ceil_div(x->m, p.group_rows);
    }
    int64_t grain = most(1, (int64_t)(TASK_WORK * (double)p.row_groups / work));
    hx_parallel_range(x->items * p.row_groups, grain, direct_task, &p);
}

/* ---- the skinny plan ---- */

typedef struct skinny_plan {
    const problem *x;
    skinny_kernel kernel;
    char *rows;            /* A as sums, contiguous rows; NULL: A is used where it lies */
    int64_t blocks, width; /* columns are taken in `blocks` of `width` */
    int64_t b_step;
} skinny_plan;

static void skinny_rows(void *ctx, int64_t begin, int64_t end) {
    const skinny_plan *p = ctx;
    const problem *x = p->x;
    for (int64_t t = begin; t < end; t++) {
        item it = item_at(x, t);
        for (int64_t i = 0; i < x->m; i++)
            x->kind.pack_rows(p->rows + (t * x->m + i) * x->k * x->kind.sum, x->k, it.a + i * x->g.a_row * x->source,
                              0, x->g.a_col, 1, x->k);
    }
}

static void skinny_task(void *ctx, int64_t t) {
    const skinny_plan *p = ctx;
    const problem *x = p->x;
    _Alignas(64) char sums[SKINNY_SUMS * sizeof(double)];
    item it = item_at(x, t / p->blocks);
    int64_t j = t % p->blocks * p->width, columns = least(p->width, x->n - j);
    const char *a = p->rows ? p->rows + it.index * x->m * x->k * x->kind.sum : it.a;
    p->kernel(x->m, columns, x->k, a, p->rows ? x->k : x->g.a_row, it.b + j * x->g.b_col * x->source, p->b_step, sums,
              p->width);
    tile_out o;
    place(&o, x, &it, 0, j, columns);
    (x->kind.narrow ? x->kind.narrow : x->kind.finish_block)(sums, p->width, x->m, &o);
}

static bool skinny_fits(const problem *x) {
    const hx_gemm_args *g = &x->g;
    if (!x->kind.dot || g->load_b || x->m > (g->b_row == 1 ? DOT_HEIGHT : SKINNY_ROWS)) return false;
    if (g->b_row != 1 && (g->b_col != 1 || x->n < 16)) return false;
    return x->m <= 2 || x->n * x->k >= 1 << 15;
}

static hx_code run_skinny(const problem *x) {
    const hx_gemm_args *g = &x->g;
    bool dot = g->b_row == 1 || x->k == 1;
    skinny_plan p = {.x = x, .kernel = dot ? x->kind.dot : x->kind.sweep, .b_step = dot ? g->b_col : g->b_row};
    int64_t most_columns = SKINNY_SUMS / x->m / 16 * 16, threads = hx_threads_get();
    bool large = (double)x->m * (double)x->n * (double)x->k * (double)x->items > TASK_WORK;
    p.width = dot ? 64 : most_columns;
    if (large && !dot) p.width = least(p.width, most(64, ceil_div(x->n, 2 * threads * 16) * 16));
    p.blocks = ceil_div(x->n, p.width);
    int64_t nbytes = 0;
    if (!x->kind.native || g->a_col != 1) {
        nbytes = (x->items * x->m * x->k + x->kind.columns) * x->kind.sum;
        p.rows = hx_pool_alloc((size_t)nbytes);
        if (!p.rows) return HX_E_MEMORY;
        hx_parallel_range(x->items, hx_grain(x->m * x->k * 4), skinny_rows, &p);
    }
    int64_t tasks = x->items * p.blocks;
    if (large) hx_parallel(tasks, skinny_task, &p);
    else for (int64_t t = 0; t < tasks; t++) skinny_task(&p, t);
    if (p.rows) hx_pool_free(p.rows, (size_t)nbytes);
    return HX_OK;
}

/* ---- parts for other kernels ---- */

int hx_gemm_width(hx_dtype dtype) { return kinds[dtype].columns; }

void hx_gemm_pack(hx_dtype dtype, void *panels, const void *b, int64_t b_row, int64_t b_col, int64_t k, int64_t n) {
    const kind *kd = &kinds[dtype];
    int64_t size = (int64_t)hx_dtype_size(dtype);
    for (int64_t j = 0; j < n; j += kd->columns)
        kd->pack_columns((char *)panels + j * k * kd->sum, kd->columns, (const char *)b + j * b_col * size, b_row, b_col,
                         k, least(kd->columns, n - j));
}

void hx_gemm_block(hx_dtype dtype, int64_t m, int64_t n, int64_t k, const void *a, int64_t a_row, int64_t a_col,
                   const void *b, int64_t b_panel, int64_t b_step, void *c, int64_t c_row, bool add) {
    const kind *kd = &kinds[dtype];
    int64_t panels = ceil_div(m, TILE_ROWS), rows = m / panels, more = m % panels, size = kd->sum;
    bool by_row = a_row != 1;
    for (int64_t j = 0; j < n; j += kd->columns, b = (const char *)b + b_panel * size) {
        tile_out o = {.c_row = c_row, .d_row = c_row, .d_col = 1, .columns = least(kd->columns, n - j), .alpha = 1,
                      .beta = 1};
        int64_t vectors = o.columns * 2 > kd->columns ? 2 : 1;
        for (int64_t q = 0, i = 0; q < panels; q++) {
            int64_t high = rows + (q < more);
            o.c = (char *)c + (i * c_row + j) * size;
            o.d = add ? o.c : NULL;
            kd->tiles[high - 1][by_row][vectors - 1](k, (const char *)a + i * a_row * size, by_row ? a_row : a_col, b,
                                                     b_step, &o);
            i += high;
        }
    }
}

void hx_gemm_rows(hx_dtype dtype, int64_t m, int64_t n, int64_t k, const void *a, int64_t a_row, const void *b,
                  int64_t b_row, int64_t b_col, void *c, int64_t c_row) {
    const kind *kd = &kinds[dtype];
    if (b_row == 1) kd->dot(m, n, k, a, a_row, b, b_col, c, c_row);
    else kd->sweep(m, n, k, a, a_row, b, b_row, c, c_row);
}

/* ---- the packed plan ---- */

typedef struct packed_plan {
    const problem *x;
    item it;
    int64_t column, columns;         /* the columns at hand */
    int64_t k, depth;                /* k filled up; k of a block */
    bool gathers;                    /* sums of several blocks of k are held until they are narrowed */
    int64_t row_blocks, block_rows;  /* tasks are row blocks x column groups */
    int64_t groups, group_columns;
    char *b, *slots;
    int64_t slot_bytes, a_bytes;
    int64_t n_slots;
    _Atomic int64_t next;
} packed_plan;

static void pack_b(void *ctx, int64_t begin, int64_t end) {
    const packed_plan *p = ctx;
    const problem *x = p->x;
    const hx_gemm_args *g = &x->g;
    int64_t width = x->kind.columns, scale = x->kind.scale;
    if (!g->load_b)
        for (int64_t k0 = 0; k0 < x->k; k0 += PACK_DEPTH)
            for (int64_t q = begin; q < end; q++) {
                int64_t j = p->column + q * width;
                x->kind.pack_columns(p->b + (q * p->k + k0) * width * x->kind.packed, width,
                                     p->it.b + (j * g->b_col + k0 * g->b_row) / scale * x->source, g->b_row, g->b_col,
                                     least(PACK_DEPTH, x->k - k0), least(width, p->column + p->columns - j));
            }
    else for (int64_t q = begin; q < end; q++) {
        int64_t j = p->column + q * width, wide = least(width, p->column + p->columns - j);
        char *panel = p->b + q * width * p->k * x->kind.packed;
        if (wide < width) memset(panel, 0, (size_t)(width * p->k * x->kind.packed));
        g->load_b(g->load_ctx, p->it.index, 0, x->k, j, j + wide, panel, width);
    }
}

/* Rows [row, end) times columns [column, last) of C. Narrow sums of one block of k go to C tile by tile, those of several
 * blocks are gathered in scratch first. A tile is narrowed while the next one is multiplied. */
static void packed_block(const packed_plan *p, char *room, int64_t row, int64_t end, int64_t column, int64_t last) {
    const problem *x = p->x;
    const hx_gemm_args *g = &x->g;
    const kind *kd = &x->kind;
    char *scratch = p->gathers ? room + p->a_bytes : NULL;
    int64_t width = kd->columns, high = kd->rows, pitch = p->group_columns;
    _Alignas(64) char sums[2][TILE_BYTES];
    tile_out to_c[2];
    int64_t waiting = 0, turn = 0; /* rows of the tile before, still to be narrowed; its sums are in the other half */
    for (int64_t k0 = 0; k0 < x->k; k0 += p->depth) {
        int64_t depth = least(p->depth, p->k - k0);
        for (int64_t i = row; i < end; i += high)
            kd->pack_rows(room + (i - row) * depth * kd->packed, high,
                          p->it.a + (i * g->a_row + k0 / kd->scale * g->a_col) * x->source, g->a_col, g->a_row,
                          least(depth, x->k - k0), least(high, end - i));
        int64_t ahead = ceil_div(depth * width * kd->packed, 64 * ceil_div(end - row, high)) * 64;
        for (int64_t j = column; j < last; j += width) {
            const char *b = p->b + ((j - p->column) * p->k + k0 * width) * kd->packed;
            const char *next = b + width * p->k * kd->packed;
            for (int64_t i = row; i < end; i += high, next += ahead) {
                int64_t rows = least(high, end - i), columns = least(width, last - j);
                tile_out to_sums, *to = &to_c[turn];
                place(to, x, &p->it, i, j, columns);
                if (kd->narrow) {
                    to_sums.later = scratch ? NULL : to->c;
                    to_sums.later_row = to->c_row * x->result;
                    to = &to_sums;
                    to->c = scratch ? scratch + ((i - row) * pitch + j - column) * kd->sum : sums[turn];
                    to->c_row = scratch ? pitch : width;
                    to->columns = columns;
                    to->alpha = 1;
                    to->d = NULL;
                }
                if (k0) {
                    to->d = to->c;
                    to->d_row = to->c_row;
                    to->d_col = 1;
                    to->beta = 1;
                }
                to->next = next;
                to->next_bytes = j + width < last ? ahead : 0;
                kd->full(rows, depth, room + (i - row) * depth * kd->packed, b, to);
                if (!kd->narrow || scratch) continue;
                turn ^= 1;
                if (waiting) kd->narrow(sums[turn], width, waiting, &to_c[turn]);
                waiting = rows;
            }
        }
    }
    if (waiting) kd->narrow(sums[turn ^ 1], width, waiting, &to_c[turn ^ 1]);
    if (scratch) {
        tile_out o;
        place(&o, x, &p->it, row, column, last - column);
        kd->narrow(scratch, pitch, end - row, &o);
    }
}

static void packed_slot(void *ctx, int64_t slot) {
    packed_plan *p = ctx;
    const kind *kd = &p->x->kind;
    if (kd->enter) kd->enter();
    for (;;) {
        int64_t t = atomic_fetch_add(&p->next, 1);
        if (t >= p->row_blocks * p->groups) break;
        int64_t row = t / p->groups * p->block_rows, column = p->column + t % p->groups * p->group_columns;
        packed_block(p, p->slots + slot * p->slot_bytes, row, least(row + p->block_rows, p->x->m), column,
                     least(column + p->group_columns, p->column + p->columns));
    }
    if (kd->leave) kd->leave();
}

/* Splits C into tasks: whole panels, as many as keep the threads busy, no block of A above its cache. */
static void packed_grid(packed_plan *p) {
    const problem *x = p->x;
    int64_t row_panels = ceil_div(x->m, x->kind.rows), column_panels = ceil_div(p->columns, x->kind.columns);
    int64_t most_rows = most(x->kind.rows, least(BLOCK_HEIGHT, BLOCK_BYTES / (p->depth * x->kind.packed)));
    int64_t threads = hx_threads_get(), rows = ceil_div(x->m, most_rows), groups = 1;
    if (threads > 1) {
        if (row_panels >= 8 * threads) rows = ceil_div(rows, threads) * threads;
        else groups = least(column_panels, 2 * threads);
    }
    if (p->gathers) groups = most(groups, ceil_div(column_panels, 32));
    int64_t per_block = ceil_div(row_panels, rows), per_group = ceil_div(column_panels, groups);
    p->block_rows = per_block * x->kind.rows;
    p->row_blocks = ceil_div(row_panels, per_block);
    p->group_columns = per_group * x->kind.columns;
    p->groups = ceil_div(column_panels, per_group);
    p->n_slots = least(threads, p->row_blocks * p->groups);
    p->a_bytes = ((p->block_rows + 1) * p->depth + x->kind.columns) * x->kind.packed;
    p->a_bytes = ceil_div(p->a_bytes, 64) * 64;
    p->slot_bytes = p->a_bytes + (p->gathers ? p->block_rows * p->group_columns * x->kind.sum : 0);
    p->slot_bytes = ceil_div(p->slot_bytes, 64) * 64;
}

static hx_code run_packed(const problem *x) {
    packed_plan p = {.x = x, .k = ceil_div(x->k, x->kind.k_step) * x->kind.k_step};
    int64_t width = x->kind.columns;
    int64_t held = most(1, COLUMN_BYTES / (p.k * width * x->kind.packed)) * width;
    int64_t blocks = ceil_div(p.k * width * x->kind.packed, x->kind.panel_bytes), step = most(8, x->kind.k_step);
    p.depth = ceil_div(ceil_div(p.k, blocks), step) * step;
    p.gathers = x->kind.narrow && p.depth < p.k;
    p.columns = least(held, x->n);
    packed_grid(&p);
    int64_t b_bytes = ceil_div(p.columns, width) * width * p.k * x->kind.packed;
    size_t nbytes = (size_t)(ceil_div(b_bytes, 64) * 64 + p.n_slots * p.slot_bytes);
    p.b = hx_pool_alloc(nbytes);
    if (!p.b) return HX_E_MEMORY;
    p.slots = p.b + ceil_div(b_bytes, 64) * 64;
    for (int64_t index = 0; index < x->items; index++) {
        p.it = item_at(x, index);
        for (p.column = 0; p.column < x->n; p.column += held) {
            p.columns = least(held, x->n - p.column);
            int64_t panels = ceil_div(p.columns, width);
            hx_parallel_range(panels, most(8, hx_grain(p.k * width * x->kind.packed)), pack_b, &p);
            p.groups = ceil_div(p.columns, p.group_columns);
            atomic_store(&p.next, 0);
            hx_parallel(p.n_slots, packed_slot, &p);
        }
    }
    hx_pool_free(p.b, nbytes);
    return HX_OK;
}

/* ---- the door ---- */

/* k = 0: C = beta * D. A product of one zero column and one zero row gives just that. */
static hx_code run_empty(const problem *x) {
    static const double zero[4];
    problem y = *x;
    y.g.a = y.g.b = zero;
    y.g.load_b = NULL;
    y.g.a_row = y.g.a_col = y.g.b_row = y.g.b_col = 0;
    y.g.a_batch = y.g.b_batch = (const int64_t[HX_MAX_RANK]){0};
    y.k = x->kind.scale;
    return run_packed(&y);
}

static bool run_tiny(const hx_gemm_args *g) {
    if (g->batch_ndim || g->load_b || g->m > TINY || g->k > TINY || g->k == 0 || g->n == 0) return false;
    if (g->dtype == HX_F32 && g->n <= lanes_f32) tiny_f32(g);
    else if (g->dtype == HX_F64 && g->n <= lanes_f64) tiny_f64(g);
    else return false;
    return true;
}

hx_code hx_gemm(const hx_gemm_args *args) {
    if (run_tiny(args)) return HX_OK;
    problem x = {.g = *args, .kind = kinds[args->dtype], .m = args->m, .n = args->n, .k = args->k, .items = 1};
    for (int i = 0; i < args->batch_ndim; i++) x.items *= args->batch_shape[i];
    if (x.m == 0 || x.n == 0 || x.items == 0) return HX_OK;
    x.source = (int64_t)hx_dtype_size(args->dtype);
    x.result = (int64_t)hx_dtype_size(args->out);
    if (args->out != args->dtype) x.kind.narrow = NULL;
    if (x.n == 1 && x.m > 1 && args->c_row == 1 && !args->load_b && x.kind.scale == 1 &&
        (!args->d || args->d_row < 2)) {
        x.m = 1;
        x.n = args->m;
        x.g.a = args->b, x.g.a_row = args->b_col, x.g.a_col = args->b_row, x.g.a_batch = args->b_batch;
        x.g.b = args->a, x.g.b_row = args->a_col, x.g.b_col = args->a_row, x.g.b_batch = args->a_batch;
        x.g.c_row = x.n;
        x.g.d_row = args->d_col, x.g.d_col = args->d_row;
    }
    x.n *= x.kind.scale;
    x.k *= x.kind.scale;
    if (x.k == 0) return run_empty(&x);
    if (skinny_fits(&x)) return run_skinny(&x);
    if (direct_fits(&x)) {
        run_direct(&x);
        return HX_OK;
    }
    if (args->dtype == HX_BF16 && !args->load_b) use_best_bf16(&x.kind);
    return run_packed(&x);
}
