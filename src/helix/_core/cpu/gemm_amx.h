/* bfloat16 products on the tile unit (AMX), for cpu/gemm.c. C is taken in squares of 32 x 32, held in four tile
 * registers; one step multiplies 32 rows by 32 columns over 32 elements of k.
 *
 * Packed rows: for every 32 of k two tiles of 16 rows x 32 elements. Packed columns: two tiles of 16 pairs of k x 16
 * columns x 2. Both are filled up with zeros. */
#include <sys/syscall.h>
#include <unistd.h>

#define AMX_CODE __attribute__((target("amx-tile,amx-bf16,avx512bf16")))
enum {
    AMX_SIDE = 32,
    AMX_TILE = 16 * 32,         /* elements of a tile */
    AMX_PANEL_BYTES = 128 << 10 /* of a panel of B in a packed block: sums stay in their registers for 2048 of k */
};

/* Does the processor have the unit, and does the system let this process use its registers? Asked once. */
static bool amx_ready(void) {
    static _Atomic int known; /* 0: not asked yet, 1: no, 2: yes */
    int answer = atomic_load_explicit(&known, memory_order_relaxed);
    if (!answer) {
        enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
        answer = processor_has(7, 0, 3, 22) && processor_has(7, 0, 3, 24) && processor_has(7, 1, 0, 5) &&
                         syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0 ? 2 : 1;
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer == 2;
}

/* Eight tiles of 16 rows of 64 bytes: palette, row to start at, bytes a row (from byte 16), rows (from byte 48). */
AMX_CODE static void amx_enter(void) {
    static const struct {
        uint8_t palette, start, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } shape = {.palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&shape);
}
AMX_CODE static void amx_leave(void) { _tile_release(); }

static void amx_pack_rows(void *panel_, int64_t width, const void *from_, int64_t k_step, int64_t w_step, int64_t k,
                          int64_t valid) {
    uint16_t *panel = panel_;
    for (int64_t p = 0; p < k; p += 32)
        for (int64_t w = 0; w < width; w++, panel += 32) {
            const uint16_t *from = (const uint16_t *)from_ + p * k_step + w * w_step;
            int64_t n = w < valid ? least(32, k - p) : 0;
            __builtin_prefetch(from + 64);
            if (n == 32 && k_step == 1) {
                memcpy(panel, from, 64);
                continue;
            }
            for (int64_t i = 0; i < n; i++) panel[i] = from[i * k_step];
            for (int64_t i = n; i < 32; i++) panel[i] = 0;
        }
}

static void amx_pack_columns(void *panel_, int64_t width, const void *from_, int64_t k_step, int64_t w_step, int64_t k,
                             int64_t valid) {
    uint16_t *panel = panel_;
    const uint16_t *from = from_;
    const bool by_words = k_step == 1 && w_step % 2 == 0 && (uintptr_t)from % 4 == 0;
    for (int64_t p = 0; p < k; p += 32, from += 32 * k_step, panel += 2 * AMX_TILE) {
        if (by_words && p + 32 <= k && valid == width) { /* pairs move as 32-bit words */
            pack_f32_f32(panel, 16, from, 1, w_step / 2, 16, 16);
            pack_f32_f32(panel + AMX_TILE, 16, from + 16 * w_step, 1, w_step / 2, 16, 16);
            continue;
        }
        for (int64_t i = 0; i < 16; i++) {
            const uint16_t *low = from + 2 * i * k_step;
            int64_t left = k - p - 2 * i;
            __builtin_prefetch(low + 2 * width); /* two panels on */
            __builtin_prefetch(low + k_step + 2 * width);
            for (int64_t w = 0; w < width; w += 16) {
                uint16_t *to = panel + w / 16 * AMX_TILE + i * 32;
                if (left > 0) bf16_pair(to, low + w * w_step, left > 1 ? low + w * w_step + k_step : NULL, w_step, valid - w);
                else memset(to, 0, 64);
            }
        }
    }
}

AMX_CODE static void amx_square(int64_t k, const uint16_t *a, const uint16_t *b, float *c, int64_t c_row, bool add,
                                const tile_out *o) {
    const char *next = o->next, *next_end = next + o->next_bytes;
    const int64_t step = k > 0 ? ceil_div(o->next_bytes, 2 * k) * 64 : 0; /* bytes fetched a step, spread over k */
    const char *later = o->later, *later_end = later + AMX_SIDE * o->later_row;
    const size_t pitch = (size_t)c_row * sizeof *c;
    __asm__ volatile("" ::: "memory"); /* the intrinsics below do not say that they read memory */
    if (add) {
        _tile_loadd(0, c, pitch);
        _tile_loadd(1, c + 16, pitch);
        _tile_loadd(2, c + 16 * c_row, pitch);
        _tile_loadd(3, c + 16 * c_row + 16, pitch);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int64_t p = 0; p < k; p += 32, a += 2 * AMX_TILE, b += 2 * AMX_TILE) {
        _tile_loadd(4, a, 64);
        _tile_loadd(6, b, 64);
        _tile_loadd(7, b + AMX_TILE, 64);
        _tile_loadd(5, a + AMX_TILE, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
        for (int64_t i = 0; i < step && next < next_end; i += 64, next += 64) __builtin_prefetch(next, 0, 2);
        if (later && later < later_end) {
            __builtin_prefetch(later, 1);
            __builtin_prefetch(later + o->later_row, 1);
            later += 2 * o->later_row;
        }
    }
    _tile_stored(0, c, pitch);
    _tile_stored(1, c + 16, pitch);
    _tile_stored(2, c + 16 * c_row, pitch);
    _tile_stored(3, c + 16 * c_row + 16, pitch);
}

static void amx_full(int64_t rows, int64_t k, const void *a, const void *b, const tile_out *o) {
    bool add = o->d;
    if (rows == AMX_SIDE && o->columns == AMX_SIDE && o->alpha == 1 && (!add || (o->d == o->c && o->beta == 1))) {
        amx_square(k, a, b, o->c, o->c_row, add, o);
        return;
    }
    float sums[AMX_SIDE * AMX_SIDE];
    amx_square(k, a, b, sums, AMX_SIDE, false, o);
    finish_block_f32(sums, AMX_SIDE, rows, o);
}

/* Sums of this unit are not denormal, so the conversion, which has no denormals, rounds as hx_f32_to_bf16 does. */
AMX_CODE static void amx_finish(const void *sums, int64_t pitch, int64_t rows, const tile_out *o) {
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

/* Turns the description of bfloat16 into this one. */
static void use_amx(kind *x) {
    x->rows = x->columns = x->k_step = AMX_SIDE;
    x->panel_bytes = AMX_PANEL_BYTES;
    x->packed = 2;
    x->pack_rows = amx_pack_rows;
    x->pack_columns = amx_pack_columns;
    x->full = amx_full;
    x->enter = amx_enter;
    x->leave = amx_leave;
    if (x->narrow) x->narrow = amx_finish;
}
