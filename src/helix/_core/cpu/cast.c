/* Copies and casts between all dtypes and strides. Equal dtypes are moved as bytes; transposed operands go
 * through square blocks of registers; results far larger than the caches are written past them. */
#include "maps.h"

#define STREAM_BYTES (16 << 20) /* results above this size do not come back from a cache anyway */

/* ---- plain copies, by item size ---- */

typedef struct u128 { uint64_t a, b; } u128;

#define COPY(T, name)                                                                                         \
    static void name(char **p, const int64_t *step, int64_t n, const void *ctx) {                             \
        (void)ctx;                                                                                            \
        char *to = p[0];                                                                                      \
        const char *from = p[1];                                                                              \
        if (step[0] == (int64_t)sizeof(T) && step[1] == (int64_t)sizeof(T)) {                                 \
            memcpy(to, from, (size_t)n * sizeof(T));                                                          \
        } else if (step[0] == (int64_t)sizeof(T) && step[1] == 0) {                                           \
            T value = *(const T *)from;                                                                       \
            for (int64_t i = 0; i < n; i++) ((T *)to)[i] = value;                                             \
        } else {                                                                                              \
            for (int64_t i = 0; i < n; i++) *(T *)(to + i * step[0]) = *(const T *)(from + i * step[1]);      \
        }                                                                                                     \
    }
COPY(uint8_t, copy1)
COPY(uint16_t, copy2)
COPY(uint32_t, copy4)
COPY(uint64_t, copy8)
COPY(u128, copy16)

static hx_loop copy_loop(int64_t size) {
    switch (size) {
    case 1: return copy1;
    case 2: return copy2;
    case 4: return copy4;
    case 8: return copy8;
    default: return copy16;
    }
}

/* ---- streaming copies ---- */

#if defined HX_ISA_AVX512 || defined HX_ISA_AVX2
/* Both contiguous; `to` at a multiple of 64 bytes. */
static void stream_copy(char *to, const char *from, int64_t nbytes) {
    int64_t i = 0;
#if defined HX_ISA_AVX512
    for (; i + 256 <= nbytes; i += 256) {
        __m512i a = _mm512_loadu_si512(from + i), b = _mm512_loadu_si512(from + i + 64);
        __m512i c = _mm512_loadu_si512(from + i + 128), d = _mm512_loadu_si512(from + i + 192);
        _mm512_stream_si512((void *)(to + i), a);
        _mm512_stream_si512((void *)(to + i + 64), b);
        _mm512_stream_si512((void *)(to + i + 128), c);
        _mm512_stream_si512((void *)(to + i + 192), d);
    }
#else
    for (; i + 128 <= nbytes; i += 128)
        for (int k = 0; k < 128; k += 32)
            _mm256_stream_si256((__m256i *)(to + i + k), _mm256_loadu_si256((const __m256i *)(from + i + k)));
#endif
    memcpy(to + i, from + i, (size_t)(nbytes - i));
    _mm_sfence();
}
#define HAS_STREAM 1
#else
#define HAS_STREAM 0
static void stream_copy(char *to, const char *from, int64_t nbytes) { memcpy(to, from, (size_t)nbytes); }
#endif

typedef struct flat_copy {
    char *to;
    const char *from;
} flat_copy;

static void stream_range(void *ctx, int64_t begin, int64_t end) {
    const flat_copy *c = ctx;
    stream_copy(c->to + begin, c->from + begin, end - begin);
}

static bool copy_flat(const hx_view *to, const hx_view *from, int64_t size) {
    int64_t nbytes = to->numel * size;
    if (!HAS_STREAM || nbytes < STREAM_BYTES || !to->contiguous || !from->contiguous || from->numel != to->numel ||
        (uintptr_t)to->data % 64)
        return false;
    flat_copy c = {to->data, from->data};
    hx_parallel_range(nbytes, 1 << 20, stream_range, &c);
    return true;
}

/* ---- transposed copies of 4-byte items ---- */

#define TILE 16

#if defined HX_ISA_AVX512
/* to[c][r] = from[r][c] for 16 x 16 items; rows `to_row` and `from_row` items apart. */
static void transpose_tile(uint32_t *to, int64_t to_row, const uint32_t *from, int64_t from_row, bool stream) {
    __m512i a[16], b[16];
    for (int i = 0; i < 16; i++) a[i] = _mm512_loadu_si512(from + i * from_row);
    for (int i = 0; i < 16; i += 2) {
        b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
        a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
        a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
        a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
    }
    for (int i = 0; i < 16; i += 8)
        for (int k = 0; k < 4; k++) {
            b[i + k] = _mm512_shuffle_i32x4(a[i + k], a[i + k + 4], 0x88);
            b[i + k + 4] = _mm512_shuffle_i32x4(a[i + k], a[i + k + 4], 0xdd);
        }
    for (int k = 0; k < 8; k++) {
        a[k] = _mm512_shuffle_i32x4(b[k], b[k + 8], 0x88);
        a[k + 8] = _mm512_shuffle_i32x4(b[k], b[k + 8], 0xdd);
    }
    for (int i = 0; i < 16; i++) {
        if (stream) _mm512_stream_si512((void *)(to + i * to_row), a[i]);
        else _mm512_storeu_si512(to + i * to_row, a[i]);
    }
}
#else
static void transpose_tile(uint32_t *to, int64_t to_row, const uint32_t *from, int64_t from_row, bool stream) {
    (void)stream;
    for (int half = 0; half < TILE; half += 8)
        for (int c = 0; c < TILE; c++)
            for (int r = half; r < half + 8; r++) to[c * to_row + r] = from[r * from_row + c];
}
#endif

/* A batch of matrices: to is row-major (rows x columns), from has its rows along the other axis. */
typedef struct transposed {
    uint32_t *to;
    const uint32_t *from;
    int64_t rows, columns, to_row, from_row; /* of `to`; rows in items */
    int64_t to_matrix, from_matrix;
    bool stream;
} transposed;

static void transpose_edge(const transposed *t, uint32_t *to, const uint32_t *from, int64_t rows, int64_t columns) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) to[i * t->to_row + j] = from[j * t->from_row + i];
}

#define BAND 64 /* rows of the result a chunk: a chunk reads whole cache lines of the source */

static void transpose_bands(void *ctx, int64_t begin, int64_t end) {
    const transposed *t = ctx;
    int64_t bands = (t->rows + BAND - 1) / BAND;
    for (int64_t chunk = begin; chunk < end; chunk++) {
        int64_t first = chunk % bands * BAND, last = first + BAND < t->rows ? first + BAND : t->rows;
        uint32_t *to = t->to + chunk / bands * t->to_matrix;
        const uint32_t *from = t->from + chunk / bands * t->from_matrix;
        for (int64_t j = 0; j < t->columns; j += TILE) {
            for (int64_t i = first; i < last; i += TILE) {
                int64_t rows = last - i, columns = t->columns - j;
                uint32_t *to_at = to + i * t->to_row + j;
                const uint32_t *from_at = from + j * t->from_row + i;
                if (rows >= TILE && columns >= TILE) transpose_tile(to_at, t->to_row, from_at, t->from_row, t->stream);
                else transpose_edge(t, to_at, from_at, rows < TILE ? rows : TILE, columns < TILE ? columns : TILE);
            }
        }
    }
#if HAS_STREAM
    if (t->stream) _mm_sfence();
#endif
}

/* Recognises a contiguous result of rank 2 or more whose source runs along the last but one axis. */
static bool copy_transposed(const hx_view *to, const hx_view *from, int64_t size) {
    int d = to->ndim - 2;
    if (size != 4 || d < 0 || d > 1 || from->ndim != to->ndim || !to->contiguous || to->numel < 4096) return false;
    for (int i = 0; i < to->ndim; i++)
        if (from->shape[i] != to->shape[i]) return false;
    if (from->strides[d] != 1 || from->strides[d + 1] < to->shape[d] || to->shape[d] < 8 || to->shape[d + 1] < 8)
        return false;
    transposed t = {.to = to->data, .from = from->data, .rows = to->shape[d], .columns = to->shape[d + 1],
                    .to_row = to->shape[d + 1], .from_row = from->strides[d + 1],
                    .to_matrix = to->shape[d] * to->shape[d + 1], .from_matrix = d ? from->strides[0] : 0};
    t.stream = HAS_STREAM && to->numel * 4 >= STREAM_BYTES && t.to_row % 16 == 0 && (uintptr_t)to->data % 64 == 0;
    int64_t bands = (t.rows + BAND - 1) / BAND * (d ? to->shape[0] : 1);
    hx_parallel_range(bands, to->numel < 65536 ? bands : 1, transpose_bands, &t);
    return true;
}

hx_code hx_copy_same(const hx_view *to, const hx_view *from, hx_err *err) {
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)to->dtype);
    if (to->numel * size >= 16384 && (copy_flat(to, from, size) || copy_transposed(to, from, size))) return HX_OK;
    const hx_view *views[2] = {to, from};
    return hx_iterate_views(views, 2, copy_loop(size), NULL, 0, err);
}

/* ---- casts ----
 * A block is read as the widest type of its kind and written from there. */

typedef struct cast {
    int to, from;
} cast;

/* Truncation towards zero; NaN is 0, and what does not fit is the nearest value that does. */
#define SATURATE(T, low, high) (x != x ? 0 : x <= (low) ? (T)(low) : x >= (high) ? TOP_##T : (T)x)
#define TOP_int64_t INT64_MAX
#define TOP_uint64_t UINT64_MAX

static void floor_block(int64_t *to, const double *from, int64_t n, int dtype) {
    static const double low[] = {0, -128, -32768, -2147483648.0, -0x1p63, 0, 0, 0},
                        high[] = {0, 127, 32767, 2147483647, 0, 255, 65535, 4294967295.0};
    if (dtype == HX_BOOL) {
        for (int64_t i = 0; i < n; i++) to[i] = from[i] != 0;
    } else if (dtype == HX_U64) {
        for (int64_t i = 0; i < n; i++) {
            double x = from[i];
            to[i] = (int64_t)SATURATE(uint64_t, 0.0, 0x1p64);
        }
    } else if (dtype == HX_I64) {
        for (int64_t i = 0; i < n; i++) {
            double x = from[i];
            to[i] = SATURATE(int64_t, -0x1p63, 0x1p63);
        }
    } else {
        double least = low[dtype], most = high[dtype];
        for (int64_t i = 0; i < n; i++) {
            double x = from[i] != from[i] ? 0.0 : from[i];
            x = x < least ? least : x;
            to[i] = (int64_t)(x > most ? most : x);
        }
    }
}

typedef union block {
    int64_t i[HX_MAP_BLOCK];
    float f[HX_MAP_BLOCK];
    double d[HX_MAP_BLOCK];
    hx_c128 c[HX_MAP_BLOCK];
} block;

static void widen(double *to, const float *from, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] = from[i];
}
static void narrow(float *to, const double *from, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] = (float)from[i];
}

static void cast_from_int(const cast *c, char *to, int64_t step, int64_t n, const int64_t *x, block *b) {
    bool is_unsigned = c->from == HX_U64;
    if (c->to <= HX_U64) {
        hx_write_i64(to, c->to, step, n, x, false);
    } else if (c->to <= HX_F32) {
        for (int64_t i = 0; i < n; i++) b->f[i] = is_unsigned ? (float)(uint64_t)x[i] : (float)x[i];
        hx_write_f32(to, c->to, step, n, b->f);
    } else if (c->to == HX_F64) {
        for (int64_t i = 0; i < n; i++) b->d[i] = is_unsigned ? (double)(uint64_t)x[i] : (double)x[i];
        hx_write_f64(to, c->to, step, n, b->d);
    } else {
        for (int64_t i = 0; i < n; i++) b->c[i] = is_unsigned ? (double)(uint64_t)x[i] : (double)x[i];
        hx_write_c128(to, c->to, step, n, b->c);
    }
}

static void cast_from_double(const cast *c, char *to, int64_t step, int64_t n, const double *x, block *b) {
    if (c->to <= HX_U64) {
        floor_block(b->i, x, n, c->to);
        hx_write_i64(to, c->to, step, n, b->i, false);
    } else if (c->to <= HX_F64) {
        if (c->to == HX_F64) {
            hx_write_f64(to, c->to, step, n, x);
        } else {
            narrow(b->f, x, n);
            hx_write_f32(to, c->to, step, n, b->f);
        }
    } else {
        for (int64_t i = 0; i < n; i++) b->c[i] = x[i];
        hx_write_c128(to, c->to, step, n, b->c);
    }
}

static void cast_from_float(const cast *c, char *to, int64_t step, int64_t n, const float *x, block *b) {
    if (c->to >= HX_F16 && c->to <= HX_F32) {
        hx_write_f32(to, c->to, step, n, x);
    } else {
        double wide[HX_MAP_BLOCK];
        widen(wide, x, n);
        cast_from_double(c, to, step, n, wide, b);
    }
}

static void cast_from_complex(const cast *c, char *to, int64_t step, int64_t n, const hx_c128 *x, block *b) {
    if (c->to >= HX_C64) {
        hx_write_c128(to, c->to, step, n, x);
        return;
    }
    double part[HX_MAP_BLOCK];
    for (int64_t i = 0; i < n; i++) part[i] = c->to == HX_BOOL ? x[i] != 0 : creal(x[i]);
    cast_from_double(c, to, step, n, part, b);
}

static void cast_loop(char **p, const int64_t *step, int64_t n, const void *ctx) {
    const cast *c = ctx;
    block source, result;
    if (c->to == HX_BOOL && step[0] == 1) {
        hx_read_truth(p[1], c->from, step[1], n, (uint8_t *)p[0]);
        return;
    }
    for (int64_t at = 0; at < n; at += HX_MAP_BLOCK) {
        int64_t run = n - at < HX_MAP_BLOCK ? n - at : HX_MAP_BLOCK;
        char *to = p[0] + at * step[0];
        const char *from = p[1] + at * step[1];
        if (c->from <= HX_U64)
            cast_from_int(c, to, step[0], run, hx_read_i64(from, c->from, step[1], run, source.i, false), &result);
        else if (c->from <= HX_F32)
            cast_from_float(c, to, step[0], run, hx_read_f32(from, c->from, step[1], run, source.f), &result);
        else if (c->from == HX_F64)
            cast_from_double(c, to, step[0], run, hx_read_f64(from, step[1], run, source.d), &result);
        else
            cast_from_complex(c, to, step[0], run, hx_read_c128(from, c->from, step[1], run, source.c), &result);
    }
}

static hx_code convert(const hx_view *to, const hx_view *from, hx_err *err) {
    if (to->dtype == from->dtype) return hx_copy_same(to, from, err);
    cast c = {to->dtype, from->dtype};
    const hx_view *views[2] = {to, from};
    return hx_iterate_views(views, 2, cast_loop, &c, 0, err);
}

HX_KERNEL(k_cast) {
    HX_UNUSED;
    return convert(&call->out[0], &call->in[0], err);
}

HX_KERNEL(k_copy) {
    HX_UNUSED;
    return convert(&call->out[0], &call->in[1], err);
}

HX_KERNELS(cast) = {KERNEL(cast, k_cast, HX_SET_ALL), KERNEL(clone, k_cast, HX_SET_ALL),
                    KERNEL(copy, k_copy, HX_SET_ALL), {0}};
