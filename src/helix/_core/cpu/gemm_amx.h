/* bfloat16 and 8-bit products on the tile unit (AMX), for cpu/gemm.c. C is taken in squares of 32 x 32, held in four tile
 * registers; one step multiplies 32 rows by 32 columns over 64 bytes of k.
 *
 * Packed rows: for every 64 bytes of k two tiles of 16 rows x 64 bytes. Packed columns: two tiles of 16 words of k x 16
 * columns. Both are filled up with zeros. */
#include <sys/syscall.h>
#include <unistd.h>

#define AMX_CODE __attribute__((target("amx-tile,amx-bf16,amx-int8")))
enum {
    AMX_SIDE = 32,
    AMX_TILE = 1024,            /* bytes of a tile */
    AMX_DOT_HEIGHT = 4,         /* rows up to which B is read where it lies, without this unit: by columns, */
    AMX_SWEEP_HEIGHT = 8,       /* and by rows */
    AMX_PANEL_BYTES = 128 << 10, /* of a panel of B in a packed block, and */
    AMX_NEAR_BYTES = 32 << 10    /* of its part that stays in the first-level cache while all rows pass by */
};

/* Does the processor have the unit, and does the system let this process use its registers? */
static bool amx_ready(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    ASK_ONCE(known, unit_allowed(UNIT_TILE) && processor_has(7, 0, 3, 22) && processor_has(7, 0, 3, 24) &&
                        processor_has(7, 0, 3, 25) && processor_has(7, 1, 0, 5) &&
                        syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0);
}

/* Eight tiles of 16 rows of 64 bytes: palette, row to start at, bytes a row (from byte 16), rows (from byte 48). */
static _Thread_local int amx_inside; /* a signal's handler, which runs between squares, may call a product too */
AMX_CODE static void amx_enter(void) {
    static const struct {
        uint8_t palette, start, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } shape = {.palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    if (!amx_inside++) _tile_loadconfig(&shape);
}
AMX_CODE static void amx_leave(void) {
    if (!--amx_inside) _tile_release();
}

static ALWAYS_INLINE void amx_rows(const int size, void *panel_, int64_t width, const void *from_, int64_t k_step,
                                   int64_t w_step, int64_t k, int64_t valid) {
    uint8_t *panel = panel_;
    const uint8_t *from = from_;
    for (int64_t p = 0; p < k; p += 64 / size, panel += 64 * width)
        word_lines(size, panel, width, from + p * k_step * size, k_step, w_step, k - p, valid);
}

static ALWAYS_INLINE void amx_columns(const int size, void *panel_, int64_t width, const void *from_, int64_t k_step,
                                      int64_t w_step, int64_t k, int64_t valid) {
    const int64_t per = 4 / size, deep = 64 / size;
    uint8_t *panel = panel_;
    const uint8_t *from = from_;
    const bool by_words = k_step == 1 && w_step % per == 0 && (uintptr_t)from % 4 == 0;
    _Alignas(64) uint8_t lines[16 * 64];
    for (int64_t p = 0; p < k; p += deep, from += deep * k_step * size)
        for (int64_t w = 0; w < width; w += 16, panel += AMX_TILE) {
            const uint8_t *at = from + w * w_step * size;
            if (k_step != 1) {
                for (int64_t i = 0; i < 16; i++, at += per * k_step * size) {
                    for (int64_t l = 0; l < per; l++) __builtin_prefetch(at + l * k_step * size + 128); /* panels to come */
                    word_line(size, panel + 64 * i, at, k_step, w_step, k - p - i * per, valid - w);
                }
            } else if (by_words && p + deep <= k && w + 16 <= valid) {
                pack_f32_f32(panel, 16, at, 1, w_step / per, 16, 16);
            } else {
                word_lines(size, lines, 16, at, 1, w_step, k - p, valid - w);
                pack_f32_f32(panel, 16, lines, 1, 16, 16, 16);
            }
        }
}

#define AMX_LOAD(tile, from, streams)                                                                         \
    do {                                                                                                      \
        if (streams) _tile_stream_loadd(tile, from, 64);                                                      \
        else _tile_loadd(tile, from, 64);                                                                     \
    } while (0)

/* A square of C, or with `add` more of it. Rows of A stream past columns of B that stay in the first-level cache, or columns
 * past rows. The intrinsics do not say that they read memory. */
#define AMX_SQUARE(name, multiply, type)                                                                      \
    AMX_CODE static ALWAYS_INLINE void amx_steps_##name(const bool rows_stay, int64_t k, const uint8_t *a, const uint8_t *b, \
                                                        type *c, int64_t c_row, bool add, const tile_out *o) {\
        const int64_t deep = 64 / AMX_SIZE;                                                                   \
        const char *next = o->next, *next_end = next + o->next_bytes;                                         \
        const int64_t steps = ceil_div(k, deep), lines = o->later ? ceil_div(AMX_SIDE, most(1, steps)) : 0;   \
        const int64_t step = ceil_div(o->next_bytes, most(1, steps) * 64) * 64; /* bytes fetched a step */    \
        const char *later = o->later, *later_end = later + AMX_SIDE * o->later_row;                           \
        const size_t pitch = (size_t)c_row * sizeof *c;                                                       \
        __asm__ volatile("" ::: "memory");                                                                    \
        if (add) {                                                                                            \
            _tile_loadd(0, c, pitch);                                                                         \
            _tile_loadd(1, c + 16, pitch);                                                                    \
            _tile_loadd(2, c + 16 * c_row, pitch);                                                            \
            _tile_loadd(3, c + 16 * c_row + 16, pitch);                                                       \
        } else {                                                                                              \
            _tile_zero(0);                                                                                    \
            _tile_zero(1);                                                                                    \
            _tile_zero(2);                                                                                    \
            _tile_zero(3);                                                                                    \
        }                                                                                                     \
        for (int64_t p = 0; p < k; p += deep, a += 2 * AMX_TILE, b += 2 * AMX_TILE) {                         \
            AMX_LOAD(4, a, !rows_stay);                                                                       \
            AMX_LOAD(6, b, rows_stay);                                                                        \
            AMX_LOAD(7, b + AMX_TILE, rows_stay);                                                             \
            AMX_LOAD(5, a + AMX_TILE, !rows_stay);                                                            \
            multiply(0, 4, 6);                                                                                \
            multiply(1, 4, 7);                                                                                \
            multiply(2, 5, 6);                                                                                \
            multiply(3, 5, 7);                                                                                \
            for (int64_t i = 0; i < step && next < next_end; i += 64, next += 64) __builtin_prefetch(next, 0, 2); \
            for (int64_t i = 0; i < lines && later < later_end; i++, later += o->later_row) __builtin_prefetch(later, 1);\
        }                                                                                                     \
        _tile_stored(0, c, pitch);                                                                            \
        _tile_stored(1, c + 16, pitch);                                                                       \
        _tile_stored(2, c + 16 * c_row, pitch);                                                               \
        _tile_stored(3, c + 16 * c_row + 16, pitch);                                                          \
    }                                                                                                         \
    AMX_CODE static void amx_square_##name(int64_t k, const uint8_t *a, const uint8_t *b, type *c, int64_t c_row, bool add, \
                                           const tile_out *o) {                                               \
        if (o->rows_stay) amx_steps_##name(true, k, a, b, c, c_row, add, o);                                  \
        else amx_steps_##name(false, k, a, b, c, c_row, add, o);                                              \
    }                                                                                                         \
    static void amx_full_##name(int64_t rows, int64_t k, const void *a, const void *b, const tile_out *o) {   \
        bool add = o->d;                                                                                      \
        if (rows == AMX_SIDE && o->columns == AMX_SIDE && o->alpha == 1 && (!add || (o->d == o->c && o->beta == 1))) { \
            amx_square_##name(k, a, b, o->c, o->c_row, add, o);                                               \
            return;                                                                                           \
        }                                                                                                     \
        type sums[AMX_SIDE * AMX_SIDE];                                                                       \
        const bool onto = add && o->alpha == 1 && o->d == o->c && o->beta == 1; /* summed as a full tile is */\
        for (int64_t i = 0; onto && i < rows; i++)                                                            \
            memcpy(sums + i * AMX_SIDE, (const type *)o->c + i * o->c_row, (size_t)o->columns * sizeof(type));\
        amx_square_##name(k, a, b, sums, AMX_SIDE, onto, o);                                                  \
        for (int64_t i = 0; onto && i < rows; i++)                                                            \
            memcpy((type *)o->c + i * o->c_row, sums + i * AMX_SIDE, (size_t)o->columns * sizeof(type));      \
        if (!onto) AMX_FINISH(sums, AMX_SIDE, rows, o);                                                       \
    }

#define AMX_PACK(name, size)                                                                                  \
    static void amx_rows_##name(void *panel, int64_t width, const void *from, int64_t k_step, int64_t w_step, int64_t k, \
                                int64_t valid) {                                                              \
        amx_rows(size, panel, width, from, k_step, w_step, k, valid);                                         \
    }                                                                                                         \
    static void amx_columns_##name(void *panel, int64_t width, const void *from, int64_t k_step, int64_t w_step, int64_t k, \
                                   int64_t valid) {                                                           \
        amx_columns(size, panel, width, from, k_step, w_step, k, valid);                                      \
    }
AMX_PACK(halves, 2)
AMX_PACK(bytes, 1)

#define AMX_SIZE 2
#define AMX_FINISH finish_block_f32
AMX_SQUARE(bf16, _tile_dpbf16ps, float)
#undef AMX_SIZE
#undef AMX_FINISH
#define AMX_SIZE 1
#define AMX_FINISH finish_block_u32
AMX_SQUARE(i8_i8, _tile_dpbssd, uint32_t)
AMX_SQUARE(i8_u8, _tile_dpbsud, uint32_t)
AMX_SQUARE(u8_i8, _tile_dpbusd, uint32_t)
AMX_SQUARE(u8_u8, _tile_dpbuud, uint32_t)
#undef AMX_SIZE
#undef AMX_FINISH

/* Sums of this unit are not denormal, so the conversion, which has no denormals, rounds as hx_f32_to_bf16 does. */
__attribute__((target("avx512bf16"))) static void amx_finish(const void *sums, int64_t pitch, int64_t rows,
                                                             const tile_out *o) {
    if (o->d || o->alpha != 1) {
        finish_bf16(sums, pitch, rows, o);
        return;
    }
    for (int64_t i = 0; i < rows; i++) {
        const float *s = (const float *)sums + i * pitch;
        uint16_t *c = (uint16_t *)o->c + i * o->c_row;
        int64_t j = 0;
        for (; j + 32 <= o->columns; j += 32)
            _mm512_storeu_si512(c + j, (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(s + j + 16), _mm512_loadu_ps(s + j)));
        for (; j < o->columns; j++) c[j] = hx_f32_to_bf16(s[j]);
    }
}

static void use_amx(kind *x, int packed) {
    x->rows = x->columns = AMX_SIDE;
    x->k_step = 64 / packed;
    x->panel_bytes = AMX_PANEL_BYTES;
    x->near = AMX_NEAR_BYTES / (AMX_SIDE * packed);
    x->packed = packed;
    x->dot_height = AMX_DOT_HEIGHT;
    x->sweep_height = AMX_SWEEP_HEIGHT;
    x->enter = amx_enter;
    x->leave = amx_leave;
}

/* Turns the description of bfloat16, or of 8-bit integers, into this one. */
static void use_amx_bf16(kind *x) {
    use_amx(x, 2);
    x->pack_rows = amx_rows_halves;
    x->pack_columns = amx_columns_halves;
    x->full = amx_full_bf16;
    if (x->narrow) x->narrow = amx_finish;
}
static void use_amx_bytes(kind *x, hx_dtype a, hx_dtype b) {
    use_amx(x, 1);
    x->pack_rows = amx_rows_bytes;
    x->pack_columns = amx_columns_bytes;
    if (a == HX_I8) x->full = b == HX_I8 ? amx_full_i8_i8 : amx_full_i8_u8;
    else x->full = b == HX_I8 ? amx_full_u8_i8 : amx_full_u8_u8;
}
