/* Convolution kernels of one element type. Included by cpu/conv.c once a type with
 *   CONV_TYPE  the element type        CONV(name)  the name with the type's suffix */

typedef CONV_TYPE CONV(vec) __attribute__((vector_size(VECTOR_BYTES)));
typedef CONV_TYPE CONV(vec_at) __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(CONV_TYPE)), may_alias));
enum { CONV(lanes) = VECTOR_BYTES / sizeof(CONV_TYPE), CONV(columns) = TILE_VECTORS * CONV(lanes) };

static ALWAYS_INLINE CONV(vec) CONV(load)(const CONV_TYPE *p) { return *(const CONV(vec_at) *)p; }
static ALWAYS_INLINE void CONV(store)(CONV_TYPE *p, CONV(vec) x) { *(CONV(vec_at) *)p = x; }
static ALWAYS_INLINE CONV(vec) CONV(splat)(CONV_TYPE x) { return x - (CONV(vec)){0}; }

/* The first n lanes, the others zero. */
static ALWAYS_INLINE CONV(vec) CONV(load_some)(const CONV_TYPE *p, int64_t n) {
#ifdef HX_ISA_AVX512
    if (sizeof(CONV_TYPE) == 4) return (CONV(vec))_mm512_maskz_loadu_epi32((__mmask16)((1u << n) - 1), p);
    return (CONV(vec))_mm512_maskz_loadu_epi64((__mmask8)((1u << n) - 1), p);
#else
    CONV_TYPE lane[CONV(lanes)] __attribute__((aligned(64))) = {0};
    for (int64_t i = 0; i < n; i++) lane[i] = p[i];
    return CONV(load)(lane);
#endif
}

static ALWAYS_INLINE void CONV(store_some)(CONV_TYPE *p, CONV(vec) x, int64_t n) {
#ifdef HX_ISA_AVX512
    if (sizeof(CONV_TYPE) == 4)
        _mm512_mask_storeu_epi32(p, (__mmask16)((1u << n) - 1), (__m512i)x);
    else
        _mm512_mask_storeu_epi64(p, (__mmask8)((1u << n) - 1), (__m512i)x);
#else
    for (int64_t i = 0; i < n; i++) p[i] = x[i];
#endif
}

/* ---- source blocks --------------------------------------------------------------------------------------- */

/* out[i] = in[i * step] */
static ALWAYS_INLINE void CONV(copy_run)(CONV_TYPE *restrict out, const CONV_TYPE *restrict in, int64_t step, int64_t n) {
    if (step == 1) {
        int64_t i = 0;
        for (; i + CONV(lanes) <= n; i += CONV(lanes)) CONV(store)(out + i, CONV(load)(in + i));
        CONV(store_some)(out + i, CONV(load_some)(in + i, n - i), n - i);
    } else if (step == 2)
        for (int64_t i = 0; i < n; i++) out[i] = in[2 * i];
    else
        for (int64_t i = 0; i < n; i++) out[i] = in[i * step];
}

/* Copies channels [c0, c1) of group g that block b reads into scratch (channel c0 first in every image). */
static void CONV(fill)(const conv_plan *p, const conv_layout *l, const conv_block *b, int64_t g, int64_t c0,
                       int64_t c1, const CONV_TYPE *src, CONV_TYPE *scratch) {
    int64_t plane = p->src[1] * p->src[2], volume = p->src[0] * plane, channels = c1 - c0;
    memset(scratch, 0, (size_t)(b->images * channels * l->channel_size + CONV(columns)) * sizeof *scratch);
    for (int64_t i = 0; i < l->slices * l->phases[1] * l->phases[2]; i++) {
        int64_t f2 = i % l->phases[2], f1 = i / l->phases[2] % l->phases[1], s = i / l->phases[2] / l->phases[1];
        int64_t z = b->depth * p->stride[0] + l->slice_shift[s], row0, row1, column0, column1;
        int64_t y = b->row * p->stride[1] + f1 + l->low[1], x = b->column * p->stride[2] + f2 + l->low[2];
        conv_inside(y, p->stride[1], b->rows + l->reach[1], p->src[1], &row0, &row1);
        conv_inside(x, p->stride[2], l->width, p->src[2], &column0, &column1);
        if (z < 0 || z >= p->src[0] || column0 == column1) continue;
        for (int64_t image = 0; image < b->images; image++)
            for (int64_t c = 0; c < channels; c++) {
                const CONV_TYPE *in = src + (((b->image + image) * p->groups + g) * p->kc + c0 + c) * volume + z * plane +
                                      (y + row0 * p->stride[1]) * p->src[2] + x + column0 * p->stride[2];
                CONV_TYPE *out = scratch + (image * channels + c) * l->channel_size + (i * l->height + row0) * l->width + column0;
                for (int64_t r = row0; r < row1; r++, in += p->stride[1] * p->src[2], out += l->width)
                    CONV(copy_run)(out, in, p->stride[2], column1 - column0);
            }
    }
}

/* ---- dense: a product of packed weights with shifted rows of the block ----------------------------------- */

typedef struct CONV(job) {
    const conv_plan *p;
    const conv_layout *l;
    const CONV_TYPE *src, *weight, *bias, *packed;
    const CONV_TYPE *start;  /* the bias in whole panels; NULL: none */
    const CONV_TYPE *src_end;
    CONV_TYPE *dst;
    const int64_t *offset;   /* of source row k = (channel, tap) */
    const int64_t *line;     /* k * columns: offsets of rows copied one after another */
    int64_t k, panels, furthest; /* largest offset */
    size_t scratch;          /* elements of scratch a chunk needs */
    atomic_bool *failed;
} CONV(job);

/* Where a tile of results goes: rows `pitch` apart, onto what is there (`add`) or onto one bias for each row. */
typedef struct CONV(target) {
    CONV_TYPE *out;
    int64_t pitch;
    const CONV_TYPE *bias; /* NULL: none */
    bool add;
} CONV(target);

enum { CONV(copied_k) = 128 };

/* out[i][j] = start + sum over k of a[k][i] * b[offset[k] + j] */
static ALWAYS_INLINE void CONV(product)(const int rows, int64_t k, const CONV_TYPE *a, const CONV_TYPE *b,
                                        const int64_t *offset, const CONV(target) *to) {
    CONV(vec) sum[TILE_ROWS][TILE_VECTORS];
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int v = 0; v < TILE_VECTORS; v++) sum[i][v] = CONV(splat)(to->bias ? to->bias[i] : 0);
    for (int64_t p = 0; p < k; p++, a += TILE_ROWS) {
        const CONV_TYPE *row = b + offset[p];
        CONV(vec) x[TILE_VECTORS];
        UNROLL for (int v = 0; v < TILE_VECTORS; v++) x[v] = CONV(load)(row + v * CONV(lanes));
        UNROLL for (int i = 0; i < rows; i++) {
            CONV(vec) w = CONV(splat)(a[i]);
            UNROLL for (int v = 0; v < TILE_VECTORS; v++) sum[i][v] += w * x[v];
        }
    }
    CONV_TYPE *out = to->out;
    UNROLL for (int i = 0; i < rows; i++, out += to->pitch)
        UNROLL for (int v = 0; v < TILE_VECTORS; v++)
            CONV(store)(out + v * CONV(lanes), to->add ? sum[i][v] + CONV(load)(out + v * CONV(lanes)) : sum[i][v]);
}
static void CONV(product_full)(int64_t k, const CONV_TYPE *a, const CONV_TYPE *b, const int64_t *offset,
                               const CONV(target) *to) {
    CONV(product)(TILE_ROWS, k, a, b, offset, to);
}
static void CONV(product_half)(int64_t k, const CONV_TYPE *a, const CONV_TYPE *b, const int64_t *offset,
                               const CONV(target) *to) {
    CONV(product)(TILE_ROWS / 2, k, a, b, offset, to);
}

/* Weights as panels of TILE_ROWS output channels: packed[group][panel][k][row], zero below the last row. One item is a
 * panel of a group. */
static void CONV(pack)(void *ctx, int64_t item) {
    const CONV(job) *job = ctx;
    const conv_plan *p = job->p;
    int64_t g = item / job->panels, m0 = item % job->panels * TILE_ROWS, n = at_most(TILE_ROWS, p->m - m0);
    CONV_TYPE *packed = (CONV_TYPE *)job->packed + item * job->k * TILE_ROWS;
    const CONV_TYPE *from = job->weight + g * p->w_group + m0 * p->w_m;
    for (int64_t c = 0; c < p->kc; c++)
        for (int64_t t = 0; t < p->taps; t++, packed += TILE_ROWS) {
            const CONV_TYPE *w = from + c * p->w_c + p->tap[t];
            if (n == TILE_ROWS)
                UNROLL for (int i = 0; i < TILE_ROWS; i++) packed[i] = w[i * p->w_m];
            else
                for (int i = 0; i < TILE_ROWS; i++) packed[i] = i < n ? w[i * p->w_m] : 0;
        }
}

/* out[j * step] = in[j]; the input can be read a vector past its end */
static ALWAYS_INLINE void CONV(put)(CONV_TYPE *out, int64_t step, const CONV_TYPE *in, int64_t n) {
    int64_t j = 0;
    if (step == 1) {
        for (; j + CONV(lanes) <= n; j += CONV(lanes)) CONV(store)(out + j, CONV(load)(in + j));
        CONV(store_some)(out + j, CONV(load)(in + j), n - j);
    } else
        for (; j < n; j++) out[j * step] = in[j];
}

/* Writes a tile: columns [at, at + n) of the block counted along rows of the scratch's width. */
static void CONV(put_tile)(const CONV(job) *job, const conv_block *b, int64_t g, int64_t m0, int64_t at, int64_t n,
                           const CONV_TYPE *tile) {
    const conv_plan *p = job->p;
    const conv_layout *l = job->l;
    int64_t rows = at_most(TILE_ROWS, p->m - m0), row = at / l->width, column = at % l->width;
    int64_t volume = p->dst[0] * p->dst[1] * p->dst[2], channel = (b->image * p->groups + g) * p->m + m0;
    for (int64_t j = 0; j < n; row++, column = 0) {
        int64_t run = at_most(b->columns - column, n - j);
        if (run > 0) {
            int64_t z = b->depth * p->step[0] + p->base[0], y = (b->row + row) * p->step[1] + p->base[1];
            int64_t x = (b->column + column) * p->step[2] + p->base[2];
            CONV_TYPE *out = job->dst + channel * volume + (z * p->dst[1] + y) * p->dst[2] + x;
            for (int64_t i = 0; i < rows; i++)
                CONV(put)(out + i * volume, p->step[2], tile + i * CONV(columns) + j, run);
        }
        j += l->width - column;
    }
}

static const CONV_TYPE *CONV(start_of)(const CONV(job) *job, int64_t g, int64_t panel) {
    return job->start ? job->start + (g * job->panels + panel) * TILE_ROWS : NULL;
}

/* A whole tile within one row of results goes straight to its place. */
static bool CONV(is_straight)(const conv_plan *p, const conv_layout *l, const conv_block *b, int64_t at, int64_t n) {
    return n == CONV(columns) && at % l->width + n <= b->columns && p->step[2] == 1;
}

/* One tile, or the part of it that comes from source rows [k0, k1); only a straight one has parts. */
static void CONV(dense_tile)(const CONV(job) *job, const conv_block *b, int64_t g, int64_t panel, int64_t at, int64_t n,
                             const CONV_TYPE *base, const int64_t *offset, int64_t k0, int64_t k1) {
    CONV_TYPE tile[TILE_ROWS * CONV(columns) + CONV(lanes)] __attribute__((aligned(64)));
    const conv_plan *p = job->p;
    const conv_layout *l = job->l;
    const CONV_TYPE *a = job->packed + ((g * job->panels + panel) * job->k + k0) * TILE_ROWS;
    CONV(target) to = {tile, CONV(columns), k0 ? NULL : CONV(start_of)(job, g, panel), k0 > 0};
    int64_t m0 = panel * TILE_ROWS, rows = p->m - m0, column = at % l->width;
    bool straight = rows >= TILE_ROWS && CONV(is_straight)(p, l, b, at, n);
    if (straight) {
        int64_t z = b->depth * p->step[0] + p->base[0], y = (b->row + at / l->width) * p->step[1] + p->base[1];
        to.pitch = p->dst[0] * p->dst[1] * p->dst[2];
        to.out = job->dst + ((b->image * p->groups + g) * p->m + m0) * to.pitch + (z * p->dst[1] + y) * p->dst[2] +
                 b->column + column + p->base[2];
    }
    (rows > TILE_ROWS / 2 ? CONV(product_full) : CONV(product_half))(k1 - k0, a, base, offset, &to);
    if (!straight) CONV(put_tile)(job, b, g, m0, at, n, tile);
}

/* One straight tile of all panels, from a source that is read where it lies: rows are copied side by side, as many as
 * stay in the first-level cache, while the next tile is asked for. */
static void CONV(copied_tile)(const CONV(job) *job, const conv_block *b, int64_t g, int64_t at, const CONV_TYPE *from,
                              bool more, CONV_TYPE *room) {
    for (int64_t k0 = 0; k0 < job->k; k0 += CONV(copied_k)) {
        int64_t k1 = at_most(k0 + CONV(copied_k), job->k);
        for (int64_t k = k0; k < k1; k++)
            UNROLL for (int v = 0; v < TILE_VECTORS; v++)
                CONV(store)(room + (k - k0) * CONV(columns) + v * CONV(lanes), CONV(load)(from + job->offset[k] + v * CONV(lanes)));
        for (int64_t panel = 0; panel < job->panels; panel++) {
            int64_t first = k0 + panel * (k1 - k0) / job->panels, last = k0 + (panel + 1) * (k1 - k0) / job->panels;
            for (int64_t k = first; more && k < last; k++)
                UNROLL for (int v = 0; v < TILE_VECTORS; v++)
                    __builtin_prefetch(from + job->offset[k] + CONV(columns) + v * CONV(lanes), 0, 2);
            CONV(dense_tile)(job, b, g, panel, at, CONV(columns), room, job->line, k0, k1);
        }
    }
}

/* The last columns of a source that is read where it lies: copied, so that no load passes its end. */
static const CONV_TYPE *CONV(copy_tile)(const CONV(job) *job, const CONV_TYPE *base, int64_t n, CONV_TYPE *room) {
    for (int64_t k = 0; k < job->k; k++)
        for (int64_t j = 0; j < CONV(columns); j++) room[k * CONV(columns) + j] = j < n ? base[job->offset[k] + j] : 0;
    return room;
}

static void CONV(dense_chunk)(void *ctx, int64_t chunk) {
    const CONV(job) *job = ctx;
    const conv_plan *p = job->p;
    const conv_layout *l = job->l;
    int64_t g = chunk % p->groups;
    conv_block b = conv_block_at(p, l, chunk / p->groups);
    CONV_TYPE *scratch = hx_pool_alloc(job->scratch * sizeof *scratch);
    if (!scratch) {
        atomic_store(job->failed, true);
        return;
    }
    const CONV_TYPE *base = scratch;
    if (l->direct)
        base = job->src + ((b.image * p->groups + g) * p->kc * p->src[0] + b.depth * p->stride[0]) * p->src[1] * p->src[2] +
               b.row * p->src[2] + b.column;
    else
        CONV(fill)(p, l, &b, g, 0, p->kc, job->src, scratch);
    int64_t n = (b.rows - 1) * l->width + b.columns, tiles = ceil_div(n, CONV(columns));
    bool by_tile = job->panels * job->k * TILE_ROWS * (int64_t)sizeof(CONV_TYPE) <= 524288; /* the weights stay in L2 */
    int64_t outer = by_tile ? tiles : job->panels, inner = by_tile ? job->panels : tiles;
    int64_t copied = -1;
    bool copies = by_tile && l->direct && job->panels >= 4 && p->m % TILE_ROWS == 0;
    for (int64_t i = 0; i < outer; i++)
        for (int64_t j = 0; j < inner; j++) {
            int64_t tile = by_tile ? i : j, panel = by_tile ? j : i, at = tile * CONV(columns);
            const CONV_TYPE *from = base + at;
            if (copies && job->src_end - from >= job->furthest + CONV(columns) && CONV(is_straight)(p, l, &b, at, CONV(columns))) {
                CONV(copied_tile)(job, &b, g, at, from, tile + 1 < tiles, scratch);
                break;
            }
            const int64_t *offset = job->offset;
            int64_t wide = at_most(CONV(columns), n - at);
            if (l->direct && job->src_end - from < job->furthest + CONV(columns)) {
                if (copied != tile) CONV(copy_tile)(job, from, wide, scratch);
                copied = tile;
                from = scratch;
                offset = job->line;
            }
            if (by_tile && l->direct && tile + 1 < tiles && offset == job->offset)
                for (int64_t k = panel * job->k / job->panels; k < (panel + 1) * job->k / job->panels; k++)
                    for (int v = 0; v < TILE_VECTORS; v++)
                        __builtin_prefetch(from + offset[k] + CONV(columns) + v * CONV(lanes), 0, 2);
            CONV(dense_tile)(job, &b, g, panel, at, wide, from, offset, 0, job->k);
        }
    hx_pool_free(scratch, job->scratch * sizeof *scratch);
}

/* ---- dense, small images: columns of many images side by side --------------------------------------------- */

enum { CONV(joined_tiles) = 6, CONV(joined_panels) = 512 / TILE_ROWS, CONV(joined_k) = 256 };

/* Writes columns [at, at + n) of the images side by side from a tile. */
static void CONV(put_joined)(const CONV(job) *job, int64_t g, int64_t depth, int64_t m0, int64_t at, int64_t n,
                             const CONV_TYPE *tile) {
    const conv_plan *p = job->p;
    int64_t pixels = p->count[1] * p->count[2], volume = p->dst[0] * p->dst[1] * p->dst[2];
    int64_t rows = at_most(TILE_ROWS, p->m - m0), z = depth * p->step[0] + p->base[0];
    bool whole = p->step[1] == 1 && p->step[2] == 1 && p->dst[2] == p->count[2]; /* rows follow each other */
    for (int64_t j = 0; j < n;) {
        int64_t image = (at + j) / pixels, pixel = (at + j) % pixels, row = pixel / p->count[2], column = pixel % p->count[2];
        int64_t run = at_most(whole ? pixels - pixel : p->count[2] - column, n - j);
        CONV_TYPE *out = job->dst + ((image * p->groups + g) * p->m + m0) * volume +
                         (z * p->dst[1] + row * p->step[1] + p->base[1]) * p->dst[2] + column * p->step[2] + p->base[2];
        for (int64_t i = 0; i < rows; i++)
            CONV(put)(out + i * volume, p->step[2], tile + i * CONV(columns) + j, run);
        j += run;
    }
}

/* Where columns [at, at + n) stand in the copy of images [first, ...) (or in the source itself). */
static void CONV(places)(const conv_plan *p, const conv_layout *l, int64_t first, int64_t at, int64_t n, int32_t *place) {
    int64_t pixels = p->count[1] * p->count[2];
    int64_t image_size = l->direct ? p->groups * p->kc * l->channel_size : l->image_size;
    for (int64_t j = 0; j < n; j++) {
        int64_t pixel = (at + j) % pixels;
        place[j] = (int32_t)(((at + j) / pixels - first) * image_size + pixel / p->count[2] * l->width + pixel % p->count[2]);
    }
    for (int64_t j = n; j < CONV(joined_tiles) * CONV(columns); j++) place[j] = 0;
}

/* line[j] = from[place[j]] for `vectors` vectors. Places run on from lane to lane but for the ends of rows: with masks a
 * vector takes one load for each run. */
#ifdef HX_ISA_AVX512
typedef struct CONV(runs) {
    int32_t first[CONV(joined_tiles) * TILE_VECTORS + 1]; /* of each vector, and one past the last */
    int32_t offset[CONV(joined_tiles) * CONV(columns)];
    uint16_t mask[CONV(joined_tiles) * CONV(columns)];
} CONV(runs);

static void CONV(find_runs)(CONV(runs) *runs, const int32_t *place, int64_t vectors) {
    int32_t used = 0;
    for (int64_t v = 0; v < vectors; v++) {
        const int32_t *at = place + v * CONV(lanes);
        runs->first[v] = used;
        for (int j = 0; j < CONV(lanes); j++) {
            if (j == 0 || at[j] != at[j - 1] + 1) {
                runs->offset[used] = at[j] - j;
                runs->mask[used++] = 0;
            }
            runs->mask[used - 1] |= (uint16_t)(1 << j);
        }
    }
    runs->first[vectors] = used;
}
static void CONV(gather)(CONV_TYPE *line, const CONV_TYPE *from, const CONV(runs) *runs, int64_t v0, int64_t v1) {
    for (int64_t v = v0; v < v1; v++, line += CONV(lanes)) {
        CONV(vec) x = {0};
        for (int32_t r = runs->first[v]; r < runs->first[v + 1]; r++)
            if (sizeof(CONV_TYPE) == 4)
                x = (CONV(vec))_mm512_mask_loadu_epi32((__m512i)x, runs->mask[r], from + runs->offset[r]);
            else
                x = (CONV(vec))_mm512_mask_loadu_epi64((__m512i)x, (__mmask8)runs->mask[r], from + runs->offset[r]);
        CONV(store)(line, x);
    }
}
#else
typedef struct CONV(runs) {
    const int32_t *place;
} CONV(runs);
static void CONV(find_runs)(CONV(runs) *runs, const int32_t *place, int64_t vectors) {
    (void)vectors;
    runs->place = place;
}
static void CONV(gather)(CONV_TYPE *line, const CONV_TYPE *from, const CONV(runs) *runs, int64_t v0, int64_t v1) {
    const int32_t *place = runs->place + v0 * CONV(lanes);
    for (int64_t j = 0; j < (v1 - v0) * CONV(lanes); j++) line[j] = from[place[j]];
}
#endif

/* One chunk: up to six tiles of columns and 512 output channels, k in blocks. */
static void CONV(joined_chunk)(void *ctx, int64_t chunk) {
    const CONV(job) *job = ctx;
    const conv_plan *p = job->p;
    const conv_layout *l = job->l;
    enum { WIDE = CONV(joined_tiles) * CONV(columns), TILE = TILE_ROWS * CONV(columns) };
    CONV_TYPE *room = hx_pool_alloc(job->scratch * sizeof *room);
    if (!room) {
        atomic_store(job->failed, true);
        return;
    }
    int64_t pixels = p->count[1] * p->count[2], all = p->batch * pixels, parts = ceil_div(job->panels, CONV(joined_panels));
    int64_t part = chunk % parts, g = chunk / parts % p->groups, rest = chunk / parts / p->groups;
    int64_t depth = rest % p->count[0], at = rest / p->count[0] * WIDE, n = at_most(WIDE, all - at);
    int64_t first = at / pixels, images = ceil_div(at + n, pixels) - first, tiles = ceil_div(n, CONV(columns));
    int64_t panel0 = part * CONV(joined_panels), panel1 = at_most(panel0 + CONV(joined_panels), job->panels);
    CONV_TYPE *lines = room, *sums = lines + CONV(joined_k) * WIDE, *scratch = sums + CONV(joined_panels) * CONV(joined_tiles) * TILE;
    int32_t place[WIDE];
    CONV(places)(p, l, first, at, n, place);
    CONV(runs) runs;
    CONV(find_runs)(&runs, place, tiles * TILE_VECTORS);
    const CONV_TYPE *base = scratch;
    if (l->direct)
        base = job->src + ((first * p->groups + g) * p->kc * p->src[0] + depth * p->stride[0]) * p->src[1] * p->src[2];
    else
        CONV(fill)(p, l, &(conv_block){first, images, depth, 0, p->count[1], 0, p->count[2]}, g, 0, p->kc, job->src, scratch);
    for (int64_t k0 = 0; k0 < job->k || k0 == 0; k0 += CONV(joined_k)) {
        int64_t k = at_most(CONV(joined_k), job->k - k0);
        for (int64_t i = 0; i < k; i++) {
            const CONV_TYPE *from = base + job->offset[k0 + i];
            for (int64_t t = 0; t < tiles; t++)
                CONV(gather)(lines + (t * k + i) * CONV(columns), from, &runs, t * TILE_VECTORS, (t + 1) * TILE_VECTORS);
        }
        for (int64_t t = 0; t < tiles; t++)
            for (int64_t panel = panel0; panel < panel1; panel++) {
                const CONV_TYPE *a = job->packed + ((g * job->panels + panel) * job->k + k0) * TILE_ROWS;
                CONV(target) to = {sums + ((panel - panel0) * CONV(joined_tiles) + t) * TILE, CONV(columns),
                                   k0 ? NULL : CONV(start_of)(job, g, panel), k0 > 0};
                (p->m - panel * TILE_ROWS > TILE_ROWS / 2 ? CONV(product_full) : CONV(product_half))(
                    k, a, lines + t * k * CONV(columns), job->line, &to);
            }
    }
    for (int64_t panel = panel0; panel < panel1; panel++)
        for (int64_t t = 0; t < tiles; t++)
            CONV(put_joined)(job, g, depth, panel * TILE_ROWS, at + t * CONV(columns), at_most(CONV(columns), n - t * CONV(columns)),
                             sums + ((panel - panel0) * CONV(joined_tiles) + t) * TILE);
    hx_pool_free(room, job->scratch * sizeof *room);
}

/* Is it cheaper to gather columns than to compute those between the rows? Gathering one element costs about as much
 * as 20 to 40 products. */
static bool CONV(prefers_joined)(const conv_plan *p, const conv_layout *l) {
    int64_t pixels = p->count[1] * p->count[2], images = ceil_div(CONV(joined_tiles) * CONV(columns), pixels) + 1;
    int64_t extent = (p->count[1] + l->reach[1]) * (p->count[2] + l->reach[2]) * l->phases[1] * l->phases[2] * l->slices;
    if (pixels > 16 * CONV(columns) || images * p->kc * at_least(extent, p->groups * p->src[0] * p->src[1] * p->src[2]) > INT32_MAX / 2)
        return false;
    int64_t shifted = round_up((p->count[1] - 1) * (p->count[2] + l->reach[2]) + p->count[2], CONV(columns));
    int64_t batch = hx_batch_invariant() ? 1 : p->batch, joined = round_up(batch * pixels, CONV(columns)) / batch;
    return (shifted - joined) * p->m > (VECTOR_BYTES == 64 ? 20 : 40) * joined;
}

static hx_code CONV(run_joined)(CONV(job) *job, conv_layout *l) {
    const conv_plan *p = job->p;
    int64_t pixels = p->count[1] * p->count[2], wide = CONV(joined_tiles) * CONV(columns);
    int64_t images = at_most(ceil_div(wide - 1, pixels) + 1, p->batch);
    job->scratch = (size_t)(CONV(joined_k) * wide + CONV(joined_panels) * CONV(joined_tiles) * TILE_ROWS * CONV(columns) +
                            (l->direct ? 0 : images * l->image_size) + CONV(columns));
    int64_t chunks = p->groups * p->count[0] * ceil_div(p->batch * pixels, wide) * ceil_div(job->panels, CONV(joined_panels));
    hx_parallel(chunks, CONV(joined_chunk), job);
    return HX_OK;
}

/* ---- depthwise: one source channel a group --------------------------------------------------------------- */

/* Rows of results, `pitch` apart, from rows of the source, `width` apart. */
typedef struct CONV(lines) {
    CONV_TYPE *out;
    const CONV_TYPE *in, *weight;
    const int64_t *offset;
    int64_t pitch, width, taps, columns;
    CONV_TYPE add;
} CONV(lines);

/* out[j] = add + sum over taps of weight[t] * in[offset[t] + j], for one or two rows and the vectors at the places at[v] */
static ALWAYS_INLINE void CONV(taps)(const int rows, const int vectors, const CONV(lines) *l, int64_t row, const int64_t *at) {
    CONV(vec) sum[2][4];
    const CONV_TYPE *in = l->in + row * l->width;
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = CONV(splat)(l->add);
    for (int64_t t = 0; t < l->taps; t++) {
        const CONV_TYPE *from = in + l->offset[t];
        CONV(vec) w = CONV(splat)(l->weight[t]);
        UNROLL for (int r = 0; r < rows; r++)
            UNROLL for (int v = 0; v < vectors; v++) sum[r][v] += w * CONV(load)(from + r * l->width + at[v]);
    }
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < vectors; v++) CONV(store)(l->out + (row + r) * l->pitch + at[v], sum[r][v]);
}

/* One or two rows; the last vector of a row overlaps the one before, so that nothing is written past it. */
static ALWAYS_INLINE void CONV(depthwise_rows)(const int rows, const CONV(lines) *l, int64_t row) {
    for (int64_t j = 0; j < l->columns; j += 4 * CONV(lanes)) {
        int64_t at[4], vectors = ceil_div(l->columns - j, CONV(lanes));
        for (int v = 0; v < 4; v++) at[v] = at_most(j + v * CONV(lanes), l->columns - CONV(lanes));
        if (vectors >= 4)
            CONV(taps)(rows, 4, l, row, at);
        else if (vectors == 3)
            CONV(taps)(rows, 3, l, row, at);
        else if (vectors == 2)
            CONV(taps)(rows, 2, l, row, at);
        else
            CONV(taps)(rows, 1, l, row, at);
    }
}

static void CONV(depthwise_block)(const CONV(lines) *l, int64_t rows) {
    int64_t row = 0;
    if (l->columns >= CONV(lanes)) {
        for (; row + 2 <= rows; row += 2) CONV(depthwise_rows)(2, l, row);
        for (; row < rows; row++) CONV(depthwise_rows)(1, l, row);
        return;
    }
    for (; row < rows; row++)
        for (int64_t j = 0; j < l->columns; j++) {
            CONV_TYPE sum = l->add;
            for (int64_t t = 0; t < l->taps; t++) sum += l->weight[t] * l->in[row * l->width + l->offset[t] + j];
            l->out[row * l->pitch + j] = sum;
        }
}

static void CONV(depthwise_chunk)(void *ctx, int64_t chunk) {
    const CONV(job) *job = ctx;
    const conv_plan *p = job->p;
    const conv_layout *l = job->l;
    CONV_TYPE *scratch = hx_pool_alloc(job->scratch * sizeof *scratch);
    if (!scratch) {
        atomic_store(job->failed, true);
        return;
    }
    CONV_TYPE *apart = scratch + job->scratch - l->rows * l->columns; /* results before they are spread out */
    int64_t volume = p->dst[0] * p->dst[1] * p->dst[2], end = at_most((chunk + 1) * job->panels, p->groups * l->blocks);
    for (int64_t item = chunk * job->panels; item < end; item++) {
        int64_t g = item % p->groups;
        conv_block b = conv_block_at(p, l, item / p->groups);
        const CONV_TYPE *base = scratch;
        if (l->direct)
            base = job->src + ((b.image * p->groups + g) * p->src[0] + b.depth * p->stride[0]) * p->src[1] * p->src[2] +
                   b.row * p->src[2] + b.column;
        else
            CONV(fill)(p, l, &b, g, 0, 1, job->src, scratch);
        for (int64_t m = 0; m < p->m; m++) {
            int64_t z = b.depth * p->step[0] + p->base[0], y = b.row * p->step[1] + p->base[1];
            CONV_TYPE *out = job->dst + ((b.image * p->groups + g) * p->m + m) * volume + (z * p->dst[1] + y) * p->dst[2] +
                             b.column * p->step[2] + p->base[2];
            int64_t pitch = p->step[1] * p->dst[2];
            bool spread = p->step[2] != 1;
            CONV(lines) lines = {.out = spread ? apart : out, .in = base, .weight = job->packed + (g * p->m + m) * p->taps,
                                 .offset = l->offset, .pitch = spread ? b.columns : pitch, .width = l->width,
                                 .taps = p->taps, .columns = b.columns, .add = job->bias ? job->bias[g * p->m + m] : 0};
            CONV(depthwise_block)(&lines, b.rows);
            for (int64_t r = 0; spread && r < b.rows; r++)
                CONV(put)(out + r * pitch, p->step[2], apart + r * b.columns, b.columns);
        }
    }
    hx_pool_free(scratch, job->scratch * sizeof *scratch);
}

/* ---- running a plan -------------------------------------------------------------------------------------- */

/* Rows and columns of a block whose scratch takes about `bytes`, with at least one tile of columns. */
static void CONV(choose_block)(const conv_plan *p, conv_layout *l, int64_t channels, int64_t bytes) {
    int64_t per = channels * l->slices * l->phases[1] * l->phases[2] * (int64_t)sizeof(CONV_TYPE);
    int64_t room = at_least(bytes / at_least(per, 1), 4 * CONV(columns));
    int64_t rows = at_least(room / (p->count[2] + l->reach[2]) - l->reach[1], 1);
    rows = at_most(rows, p->count[1]);
    rows = ceil_div(p->count[1], ceil_div(p->count[1], rows));
    int64_t columns = p->count[2];
    if (rows == 1 && columns > room) columns = round_up(ceil_div(columns, ceil_div(columns, room)), CONV(columns));
    conv_layout_cut(l, p, 1, rows, columns);
}

static hx_code CONV(run_depthwise)(CONV(job) *job, conv_layout *l) {
    const conv_plan *p = job->p;
    CONV(choose_block)(p, l, 1, 24576);
    if (l->too_large) return HX_E_MEMORY;
    job->l = l;
    CONV_TYPE *packed = hx_pool_alloc((size_t)at_least(p->groups * p->m * p->taps, 1) * sizeof *packed);
    if (!packed) return HX_E_MEMORY;
    for (int64_t i = 0; i < p->groups * p->m; i++)
        for (int64_t t = 0; t < p->taps; t++)
            packed[i * p->taps + t] = job->weight[i / p->m * p->w_group + i % p->m * p->w_m + p->tap[t]];
    job->packed = packed;
    job->scratch = (size_t)((l->direct ? 0 : l->channel_size) + CONV(columns) + l->rows * l->columns);
    int64_t items = p->groups * l->blocks, work = l->rows * l->columns * p->m;
    job->panels = at_most(at_least(32768 / at_least(work, 1), 1), at_least(items, 1)); /* items a chunk */
    hx_parallel(ceil_div(items, job->panels), CONV(depthwise_chunk), job);
    hx_pool_free(packed, (size_t)at_least(p->groups * p->m * p->taps, 1) * sizeof *packed);
    return HX_OK;
}

static hx_code CONV(run_dense)(CONV(job) *job, conv_layout *l) {
    const conv_plan *p = job->p;
    bool joined = CONV(prefers_joined)(p, l);
    if (joined)
        conv_layout_cut(l, p, 1, p->count[1], p->count[2]);
    else
        CONV(choose_block)(p, l, p->kc, 393216);
    if (l->too_large) return HX_E_MEMORY;
    job->l = l;
    job->k = p->kc * p->taps;
    job->panels = ceil_div(p->m, TILE_ROWS);
    int64_t lines = at_least(job->k, CONV(joined_k));
    size_t weights = (size_t)(p->groups * job->panels * job->k * TILE_ROWS), lists = (size_t)(job->k + lines);
    size_t biases = (size_t)(p->groups * job->panels * TILE_ROWS);
    size_t bytes = (weights + biases) * sizeof(CONV_TYPE) + lists * sizeof(int64_t);
    int64_t *offset = hx_pool_alloc(bytes), *line = offset + job->k;
    if (!offset) return HX_E_MEMORY;
    for (int64_t k = 0; k < job->k; k++) {
        offset[k] = k / p->taps * l->channel_size + l->offset[k % p->taps];
        job->furthest = at_least(job->furthest, offset[k]);
    }
    for (int64_t k = 0; k < lines; k++) line[k] = k * CONV(columns);
    job->offset = offset;
    job->line = line;
    CONV_TYPE *start = (CONV_TYPE *)(line + lines);
    for (int64_t i = 0; i < (int64_t)biases; i++) {
        int64_t m = i % (job->panels * TILE_ROWS);
        start[i] = job->bias && m < p->m ? job->bias[i / (job->panels * TILE_ROWS) * p->m + m] : 0;
    }
    if (job->bias) job->start = start;
    job->packed = start + biases;
    hx_parallel(p->groups * job->panels, CONV(pack), job);
    if (joined)
        CONV(run_joined)(job, l);
    else {
        job->src_end = job->src + p->batch * p->groups * p->kc * p->src[0] * p->src[1] * p->src[2];
        job->scratch = (size_t)((l->direct ? job->k * CONV(columns) : l->image_size) + CONV(columns));
        hx_parallel(p->groups * l->blocks, CONV(dense_chunk), job);
    }
    hx_pool_free(offset, bytes);
    return HX_OK;
}

static hx_code CONV(run)(const conv_plan *p, const CONV_TYPE *src, const CONV_TYPE *weight, const CONV_TYPE *bias,
                         CONV_TYPE *dst) {
    if (p->batch * p->groups * p->m * p->count[0] * p->count[1] * p->count[2] == 0) return HX_OK;
    size_t bytes = (size_t)at_least(2 * p->taps, 1) * sizeof(int64_t);
    int64_t *room = hx_pool_alloc(bytes);
    if (!room) return HX_E_MEMORY;
    atomic_bool failed = false;
    conv_layout l;
    conv_layout_init(&l, p, room);
    CONV(job) job = {.p = p, .src = src, .weight = weight, .bias = bias, .dst = dst, .failed = &failed};
    hx_code code = p->kc == 1 && p->m <= 4 ? CONV(run_depthwise)(&job, &l) : CONV(run_dense)(&job, &l);
    hx_pool_free(room, bytes);
    return code ? code : failed ? HX_E_MEMORY : HX_OK;
}

/* ---- gradient of the weight ------------------------------------------------------------------------------ */

typedef struct CONV(weight_job) {
    const conv_plan *p;
    const conv_layout *l;
    const CONV_TYPE *x, *grad;
    CONV_TYPE *out, *sums;     /* sums[task][slice][k][m] */
    int64_t parts, part, splits, padded, pixels;
    size_t sum_size, scratch;  /* elements of one task's sums; of a block of x */
    atomic_bool *failed;
} CONV(weight_job);

enum {
    CONV(weight_rows) = TILE_ROWS == 8 ? 6 : 3,
    CONV(weight_vectors) = TILE_ROWS == 8 ? 4 : 3,
    CONV(slice) = CONV(weight_vectors) * CONV(lanes)
};

/* sums[i][j] += sum over pixels of x[offset[i] + place[pixel]] * grad[pixel][j] */
static ALWAYS_INLINE void CONV(outer)(const int vectors, int64_t pixels, const CONV_TYPE *x, const int64_t *place,
                                      const int64_t *offset, int64_t rows, const CONV_TYPE *grad, int64_t pitch,
                                      CONV_TYPE *sums) {
    CONV(vec) sum[CONV(weight_rows)][CONV(weight_vectors)];
    const CONV_TYPE *row[CONV(weight_rows)];
    UNROLL for (int i = 0; i < CONV(weight_rows); i++) {
        row[i] = x + offset[i < rows ? i : 0];
        UNROLL for (int v = 0; v < vectors; v++) sum[i][v] = (CONV(vec)){0};
    }
    for (int64_t n = 0; n < pixels; n++, grad += pitch) {
        int64_t at = place[n];
        CONV(vec) g[CONV(weight_vectors)];
        UNROLL for (int v = 0; v < vectors; v++) g[v] = CONV(load)(grad + v * CONV(lanes));
        UNROLL for (int i = 0; i < CONV(weight_rows); i++) {
            CONV(vec) a = CONV(splat)(row[i][at]);
            UNROLL for (int v = 0; v < vectors; v++) sum[i][v] += a * g[v];
        }
    }
    for (int64_t i = 0; i < CONV(weight_rows); i++)
        if (i < rows)
            UNROLL for (int v = 0; v < vectors; v++) {
                CONV_TYPE *to = sums + i * pitch + v * CONV(lanes);
                CONV(store)(to, CONV(load)(to) + sum[i][v]);
            }
}
#define OUTER(v)                                                                                              \
    static void CONV(outer_##v)(int64_t pixels, const CONV_TYPE *x, const int64_t *place, const int64_t *offset,  \
                                int64_t rows, const CONV_TYPE *grad, int64_t pitch, CONV_TYPE *sums) {        \
        CONV(outer)(v, pixels, x, place, offset, rows, grad, pitch, sums);                                    \
    }
OUTER(1)
OUTER(2)
OUTER(3)
#if TILE_ROWS == 8
OUTER(4)
#endif
#undef OUTER

/* to[j * pitch + i] = from[i * stride + j] for j in [0, n): a row for each of `rows` channels becomes a column;
 * columns up to the number of lanes are zero. */
static void CONV(transpose)(CONV_TYPE *to, int64_t pitch, const CONV_TYPE *from, int64_t stride, int64_t rows, int64_t n) {
    int64_t j = 0;
#ifdef HX_ISA_AVX512
    if (sizeof(CONV_TYPE) == 4)
        for (; j < n; j += 16) transpose_16x16((float *)to + j * pitch, pitch, (const float *)from + j, stride, rows, n - j);
#endif
    for (; j < n; j++)
        for (int64_t i = 0; i < CONV(lanes); i++) to[j * pitch + i] = i < rows ? from[i * stride + j] : 0;
}

/* The gradient of a block with channels adjacent, in slices of channels grad[slice][pixel][m], and where each pixel's
 * source stands. */
static int64_t CONV(pack_gradient)(const CONV(weight_job) *job, const conv_block *b, int64_t g, int64_t image_size,
                                   CONV_TYPE *grad, int64_t *place) {
    const conv_plan *p = job->p;
    const conv_layout *l = job->l;
    int64_t volume = p->dst[0] * p->dst[1] * p->dst[2], pixels = 0;
    for (int64_t image = 0; image < b->images; image++)
        for (int64_t r = 0; r < b->rows; r++, pixels += b->columns) {
            const CONV_TYPE *from = job->grad + ((b->image + image) * p->groups + g) * p->m * volume +
                                    (b->depth * p->dst[1] + b->row + r) * p->dst[2] + b->column;
            for (int64_t j = 0; j < b->columns; j++) place[pixels + j] = image * image_size + r * l->width + j;
            for (int64_t m = 0; m < job->padded; m += CONV(lanes)) {
                int64_t slice = m / CONV(slice) * CONV(slice), pitch = at_most(CONV(slice), job->padded - slice);
                CONV(transpose)(grad + slice * job->pixels + pixels * pitch + m - slice, pitch, from + m * volume, volume,
                                at_most(CONV(lanes), p->m - m), b->columns);
            }
        }
    return pixels;
}

/* Asks for the gradients of some channels of a block that is packed next. */
static void CONV(ask_gradient)(const CONV(weight_job) *job, const conv_block *b, int64_t g, int64_t m0, int64_t m1) {
    const conv_plan *p = job->p;
    int64_t volume = p->dst[0] * p->dst[1] * p->dst[2];
    for (int64_t image = 0; image < b->images; image++)
        for (int64_t m = m0; m < m1; m++) {
            const CONV_TYPE *from = job->grad + (((b->image + image) * p->groups + g) * p->m + m) * volume +
                                    (b->depth * p->dst[1] + b->row) * p->dst[2] + b->column;
            int64_t reach = (b->rows - 1) * p->dst[2] + b->columns;
            for (int64_t j = 0; j < reach; j += CONV(lanes)) __builtin_prefetch(from + j, 0, 2);
        }
}

static void CONV(weight_task)(void *ctx, int64_t task) {
    const CONV(weight_job) *job = ctx;
    const conv_plan *p = job->p;
    const conv_layout *l = job->l;
    int64_t split = task % job->splits, part = task / job->splits % job->parts, g = task / job->splits / job->parts;
    int64_t c0 = part * job->part, c1 = at_most(c0 + job->part, p->kc), k = (c1 - c0) * p->taps;
    size_t grad_size = (size_t)(job->pixels * job->padded);
    size_t bytes = (job->scratch + grad_size) * sizeof(CONV_TYPE) + (size_t)k * sizeof(int64_t) +
                   (size_t)job->pixels * sizeof(int64_t);
    CONV_TYPE *grad = hx_pool_alloc(bytes);
    if (!grad) {
        atomic_store(job->failed, true);
        return;
    }
    int64_t *offset = (int64_t *)(grad + grad_size);
    int64_t *place = (int64_t *)(offset + k);
    CONV_TYPE *scratch = (CONV_TYPE *)(place + job->pixels);
    for (int64_t i = 0; i < k; i++) offset[i] = i / p->taps * l->channel_size + l->offset[i % p->taps];
    CONV_TYPE *sums = job->sums + (size_t)task * job->sum_size;
    memset(sums, 0, job->sum_size * sizeof *sums);
    for (int64_t i = split * l->blocks / job->splits; i < (split + 1) * l->blocks / job->splits; i++) {
        conv_block b = conv_block_at(p, l, i);
        CONV(fill)(p, l, &b, g, c0, c1, job->x, scratch);
        int64_t pixels = CONV(pack_gradient)(job, &b, g, (c1 - c0) * l->channel_size, grad, place);
        bool more = i + 1 < (split + 1) * l->blocks / job->splits;
        conv_block next = more ? conv_block_at(p, l, i + 1) : b;
        int64_t calls = ceil_div(job->padded, CONV(slice)) * ceil_div(k, CONV(weight_rows)), call = 0;
        for (int64_t m = 0; m < job->padded; m += CONV(slice)) {
            int64_t vectors = at_most((job->padded - m) / CONV(lanes), CONV(weight_vectors)), pitch = vectors * CONV(lanes);
            void (*outer)(int64_t, const CONV_TYPE *, const int64_t *, const int64_t *, int64_t, const CONV_TYPE *,
                          int64_t, CONV_TYPE *) = vectors == 1 ? CONV(outer_1) : vectors == 2 ? CONV(outer_2)
#if TILE_ROWS == 8
                                                  : vectors == 4 ? CONV(outer_4)
#endif
                                                                 : CONV(outer_3);
            for (int64_t j = 0; j < k; j += CONV(weight_rows), call++) {
                if (more) CONV(ask_gradient)(job, &next, g, call * p->m / calls, (call + 1) * p->m / calls);
                outer(pixels, scratch, place, offset + j, at_most(k - j, CONV(weight_rows)), grad + m * job->pixels, pitch,
                      sums + m * k + j * pitch);
            }
        }
    }
    hx_pool_free(grad, bytes);
}

/* Adds the sums of all splits in order, and writes them as (m, channel, tap). One item is a group and part. */
static void CONV(weight_finish)(void *ctx, int64_t item) {
    const CONV(weight_job) *job = ctx;
    const conv_plan *p = job->p;
    int64_t part = item % job->parts, g = item / job->parts, c0 = part * job->part;
    int64_t k = (at_most(c0 + job->part, p->kc) - c0) * p->taps;
    CONV_TYPE *sums = job->sums + (size_t)(item * job->splits) * job->sum_size;
    for (int64_t s = 1; s < job->splits; s++)
        for (int64_t i = 0; i < k * job->padded; i++) sums[i] += sums[(size_t)s * job->sum_size + (size_t)i];
    for (int64_t m = 0; m < p->m; m++) {
        int64_t slice = m / CONV(slice) * CONV(slice), pitch = at_most(CONV(slice), job->padded - slice);
        for (int64_t i = 0; i < k; i++)
            job->out[((g * p->m + m) * p->kc + c0) * p->taps + i] = sums[slice * k + i * pitch + m - slice];
    }
}

static hx_code CONV(run_weight_dense)(CONV(weight_job) *job, conv_layout *l) {
    const conv_plan *p = job->p;
    int64_t pixels = p->count[1] * p->count[2];
    job->part = at_most(at_least(768 / p->taps, 1), p->kc);
    job->parts = ceil_div(p->kc, job->part);
    job->part = ceil_div(p->kc, job->parts);
    job->padded = round_up(p->m, CONV(lanes));
    int64_t target = 32768 / (at_most(job->padded, CONV(slice)) * (int64_t)sizeof(CONV_TYPE)); /* a slice in L1 */
    l->direct = false;
    if (pixels * 2 <= target)
        conv_layout_cut(l, p, at_most(target / pixels, p->batch), p->count[1], p->count[2]);
    else {
        int64_t rows = at_most(at_least(target / p->count[2], 1), p->count[1]), columns = p->count[2];
        if (rows == 1 && columns > 2 * target) columns = ceil_div(columns, ceil_div(columns, target));
        conv_layout_cut(l, p, 1, rows, columns);
    }
    if (l->too_large) return HX_E_MEMORY;
    job->pixels = l->images * l->rows * l->columns;
    job->scratch = (size_t)(l->images * job->part * l->channel_size + CONV(columns));
    job->splits = at_most(at_least(ceil_div(16, p->groups * job->parts), 1), at_least(l->blocks, 1));
    job->sum_size = (size_t)(job->part * p->taps * job->padded);
    int64_t tasks = p->groups * job->parts * job->splits;
    job->l = l;
    size_t bytes = (size_t)tasks * job->sum_size * sizeof(CONV_TYPE);
    job->sums = hx_pool_alloc(bytes);
    if (!job->sums) return HX_E_MEMORY;
    hx_parallel(tasks, CONV(weight_task), job);
    if (!atomic_load(job->failed)) hx_parallel(p->groups * job->parts, CONV(weight_finish), job);
    hx_pool_free(job->sums, bytes);
    return HX_OK;
}

/* sums[t] += grad . x[offset[t]] over rows of n columns */
static ALWAYS_INLINE void CONV(dots)(const int taps, int64_t rows, int64_t n, const CONV_TYPE *x, int64_t width,
                                     const int64_t *offset, const CONV_TYPE *grad, int64_t pitch, double *sums) {
    CONV(vec) sum[9];
    UNROLL for (int t = 0; t < taps; t++) sum[t] = (CONV(vec)){0};
    for (int64_t r = 0; r < rows; r++, x += width, grad += pitch) {
        int64_t j = 0;
        for (; j + CONV(lanes) <= n; j += CONV(lanes)) {
            CONV(vec) g = CONV(load)(grad + j);
            UNROLL for (int t = 0; t < taps; t++) sum[t] += g * CONV(load)(x + offset[t] + j);
        }
        if (j < n) {
            CONV(vec) g = CONV(load_some)(grad + j, n - j);
            UNROLL for (int t = 0; t < taps; t++) sum[t] += g * CONV(load_some)(x + offset[t] + j, n - j);
        }
    }
    for (int t = 0; t < taps; t++)
        for (int i = 0; i < CONV(lanes); i++) sums[t] += (double)sum[t][i];
}
static void CONV(dots_9)(int64_t rows, int64_t n, const CONV_TYPE *x, int64_t width, const int64_t *offset,
                         const CONV_TYPE *grad, int64_t pitch, double *sums) {
    CONV(dots)(9, rows, n, x, width, offset, grad, pitch, sums);
}
static void CONV(dots_4)(int64_t rows, int64_t n, const CONV_TYPE *x, int64_t width, const int64_t *offset,
                         const CONV_TYPE *grad, int64_t pitch, double *sums) {
    CONV(dots)(4, rows, n, x, width, offset, grad, pitch, sums);
}
static void CONV(dots_1)(int64_t rows, int64_t n, const CONV_TYPE *x, int64_t width, const int64_t *offset,
                         const CONV_TYPE *grad, int64_t pitch, double *sums) {
    CONV(dots)(1, rows, n, x, width, offset, grad, pitch, sums);
}

static void CONV(weight_depthwise)(void *ctx, int64_t g) {
    const CONV(weight_job) *job = ctx;
    const conv_plan *p = job->p;
    const conv_layout *l = job->l;
    size_t bytes = job->scratch * sizeof(CONV_TYPE) + job->sum_size * sizeof(double);
    double *sums = hx_pool_alloc(bytes);
    if (!sums) {
        atomic_store(job->failed, true);
        return;
    }
    CONV_TYPE *scratch = (CONV_TYPE *)(sums + job->sum_size);
    memset(sums, 0, job->sum_size * sizeof *sums);
    int64_t volume = p->dst[0] * p->dst[1] * p->dst[2];
    for (int64_t i = 0; i < l->blocks; i++) {
        conv_block b = conv_block_at(p, l, i);
        const CONV_TYPE *x = scratch;
        if (l->direct)
            x = job->x + ((b.image * p->groups + g) * p->src[0] + b.depth * p->stride[0]) * p->src[1] * p->src[2] +
                b.row * p->src[2] + b.column;
        else
            CONV(fill)(p, l, &b, g, 0, 1, job->x, scratch);
        for (int64_t m = 0; m < p->m; m++) {
            const CONV_TYPE *grad = job->grad + ((b.image * p->groups + g) * p->m + m) * volume +
                                    (b.depth * p->dst[1] + b.row) * p->dst[2] + b.column;
            for (int64_t t = 0; t < p->taps;) {
                int64_t left = p->taps - t, step = left >= 9 ? 9 : left >= 4 ? 4 : 1;
                (step == 9 ? CONV(dots_9) : step == 4 ? CONV(dots_4) : CONV(dots_1))(
                    b.rows, b.columns, x, l->width, l->offset + t, grad, p->dst[2], sums + m * p->taps + t);
                t += step;
            }
        }
    }
    for (int64_t i = 0; i < p->m * p->taps; i++) job->out[g * p->m * p->taps + i] = (CONV_TYPE)sums[i];
    hx_pool_free(sums, bytes);
}

static hx_code CONV(run_weight_depthwise)(CONV(weight_job) *job, conv_layout *l) {
    const conv_plan *p = job->p;
    CONV(choose_block)(p, l, 1, 24576);
    if (l->too_large) return HX_E_MEMORY;
    job->l = l;
    job->scratch = (size_t)((l->direct ? 0 : l->channel_size) + CONV(columns));
    job->sum_size = (size_t)(p->m * p->taps);
    hx_parallel(p->groups, CONV(weight_depthwise), job);
    return HX_OK;
}

/* out (groups * m, kc, taps) from the source x and the gradient of the destination, with the plan of the forward
 * convolution. */
static hx_code CONV(run_weight)(const conv_plan *p, const CONV_TYPE *x, const CONV_TYPE *grad, CONV_TYPE *out) {
    int64_t size = p->groups * p->m * p->kc * p->taps;
    if (p->batch * p->count[0] * p->count[1] * p->count[2] == 0) memset(out, 0, (size_t)size * sizeof *out);
    if (p->batch * p->count[0] * p->count[1] * p->count[2] * size == 0) return HX_OK;
    size_t bytes = (size_t)(2 * p->taps) * sizeof(int64_t);
    int64_t *room = hx_pool_alloc(bytes);
    if (!room) return HX_E_MEMORY;
    atomic_bool failed = false;
    conv_layout l;
    conv_layout_init(&l, p, room);
    CONV(weight_job) job = {.p = p, .x = x, .grad = grad, .out = out, .failed = &failed};
    hx_code code = p->kc == 1 && p->m <= 4 ? CONV(run_weight_depthwise)(&job, &l) : CONV(run_weight_dense)(&job, &l);
    hx_pool_free(room, bytes);
    return code ? code : failed ? HX_E_MEMORY : HX_OK;
}
