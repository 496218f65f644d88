/* What each dtype is multiplied with, for cpu/gemm.c: how operands are widened while they are packed, which tiles
 * multiply them and how sums are stored. */

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

/* Rounds as hx_f32_to_bf16 does. */
static ALWAYS_INLINE void narrow_bf16(uint16_t *to, vec_f32 x) {
    const word_bits u = (word_bits)x, nan = (word_bits)((u & 0x7fffffffu) > 0x7f800000u);
    const word_bits rounded = (u + 0x7fffu + (u >> 16 & 1u)) >> 16, quiet = u >> 16 | 0x40u;
    *(half_bits *)to = __builtin_convertvector((nan & quiet) | (~nan & rounded), half_bits);
}
/* One register of a row; n lanes of it are there. */
static ALWAYS_INLINE void finish_bf16_lanes(uint16_t *c, const float *s, const uint16_t *d, const tile_out *o, int64_t n) {
    float sums[lanes_f32];
    uint16_t left[lanes_f32], added[lanes_f32] = {0};
    const bool whole = n >= lanes_f32;
    if (!whole) memcpy(sums, s, (size_t)n * sizeof *s);
    vec_f32 x = load_f32(whole ? s : sums) * splat_f32((float)o->alpha);
    if (d) {
        if (!whole && o->d_col) memcpy(added, d, (size_t)n * sizeof *d);
        vec_f32 y = !o->d_col ? splat_f32(hx_bf16_to_f32(*d)) : widen_bf16(whole ? d : added);
        x += y * splat_f32((float)o->beta);
    }
    narrow_bf16(whole ? c : left, x);
    if (!whole) memcpy(c, left, (size_t)n * sizeof *c);
}
static void finish_bf16(const void *sums, int64_t pitch, int64_t rows, const tile_out *o) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < o->columns; j += lanes_f32)
            finish_bf16_lanes((uint16_t *)o->c + i * o->c_row + j, (const float *)sums + i * pitch + j,
                              o->d ? (const uint16_t *)o->d + i * o->d_row + j * o->d_col : NULL, o, o->columns - j);
}
FINISH_NARROW(f16, float, uint16_t, hx_f16_to_f32, hx_f32_to_f16)
FINISH_NARROW(u8, uint32_t, uint8_t, SAME, TO_BYTE)
FINISH_NARROW(u16, uint32_t, uint16_t, SAME, TO_SHORT)

/* Whole sums of quantized numbers: what the zero point of A has added is taken off, columns are scaled. */
static void finish_scaled(const void *sums, int64_t pitch, int64_t rows, const tile_out *o) {
    for (int64_t i = 0; i < rows; i++) {
        const int32_t *s = (const int32_t *)sums + i * pitch;
        float *c = (float *)o->c + i * o->c_row;
        const float *d = o->d ? (const float *)o->d + i * o->d_row : NULL;
        for (int64_t j = 0; j < o->columns; j++) {
            int32_t sum = o->less ? (int32_t)((uint32_t)s[j] - (uint32_t)o->less[j]) : s[j];
            c[j] = (float)sum * o->scale[j] + (d ? d[j * o->d_col] : 0);
        }
    }
}

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
    int near;                /* most k of the part of a panel that stays near the registers; 0: the whole */
    bool native;             /* sums are stored as they are, and tiles can read A and B where they lie */
    int scale;               /* 2 for complex: real numbers an element */
    pack_kernel pack_rows, pack_columns;
    void (*full)(int64_t rows, int64_t k, const void *a, const void *b, const tile_out *o);
    const tile_kernel (*tiles)[2][TILE_VECTORS];
    finish_kernel narrow;       /* stores sums as C; NULL when tiles store C themselves */
    finish_kernel finish_block; /* stores sums as C of their own type */
    skinny_kernel dot, sweep;   /* NULL: not offered */
    int dot_height, sweep_height; /* rows up to which they read B, where its columns, or its rows, are contiguous */
    int row_bytes;              /* of an element of A as these read it, */
    pack_kernel lay_rows;       /* and how a row of them is made */
    void (*enter)(void), (*leave)(void); /* around tiles, on every thread; NULL: nothing to do */
} kind;

#define SIZES(type, res)                                                                                      \
    .sum = sizeof(type), .packed = sizeof(type), .rows = TILE_ROWS, .columns = columns_##res, .k_step = 1,              \
    .panel_bytes = PANEL_BYTES
#define FLOATS(src, type, res, fin, is_native)                                                                \
    {SIZES(type, res), .native = is_native, .scale = 1,                                                       \
     .pack_rows = pack_##src##_##res, .pack_columns = pack_##src##_##res, .full = full_##res,                 \
     .tiles = tiles_##res, .narrow = fin, .finish_block = finish_block_##res, .dot = dot_##src##_##res, .sweep = sweep_##src##_##res, \
     .dot_height = DOT_HEIGHT, .sweep_height = SWEEP_HEIGHT, .row_bytes = sizeof(type), .lay_rows = pack_##src##_##res}
#define INTEGERS(src, type, res, fin)                                                                         \
    {SIZES(type, res), .scale = 1, .pack_rows = pack_##src##_##res,                                           \
     .pack_columns = pack_##src##_##res, .full = full_##res, .narrow = fin, \
     .finish_block = finish_block_##res}
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

#if defined HX_ISA_AVX512 || defined HX_ISA_AVX2
#include "gemm_units.h"
#include "gemm_dot.h"
#endif
#if defined HX_ISA_AVX512 && defined __linux__
#include "gemm_amx.h"
#define HAS_AMX amx_ready()
#else
#define HAS_AMX false
#define use_amx_bf16(x) (void)(x)
#define use_amx_bytes(x, a, b) (void)(x)
#endif

/* Chooses by what the processor has; without such units bfloat16 and bytes are widened while they are packed. */
static void use_best_unit(kind *x, hx_dtype a, hx_dtype b) {
    (void)x, (void)b;
    if (a == HX_BF16) {
        if (HAS_AMX) use_amx_bf16(x);
#ifdef HX_ISA_AVX512
        else if (bf16_dot_pays()) use_bf16_dot(x);
#endif
    } else if (a == HX_I8 || a == HX_U8) {
#if defined HX_ISA_AVX512 || defined HX_ISA_AVX2
        if (b == HX_I8 && byte_dot_ready()) use_byte_rows(x, a);
#endif
        if (HAS_AMX) use_amx_bytes(x, a, b);
#if defined HX_ISA_AVX512 || defined HX_ISA_AVX2
        else if (b == HX_I8 && byte_dot_ready()) use_byte_dot(x, a);
#endif
    }
}
