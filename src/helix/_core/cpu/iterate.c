/* Elementwise iteration: geometry is simplified once, then the loop runs on long runs of equal steps.
 *
 * The order in which elements are visited is not promised. Borders between chunks depend on shapes, strides and
 * item sizes alone, so each element meets the same code whatever the number of threads. */
#include "stream.h"

enum { MAX_OPERANDS = 16 };

#define CHUNK_BYTES 65536    /* work of one chunk, at least */
#define PARALLEL_BYTES 262144 /* below this much work one thread is faster */
#define MAX_CHUNKS 512
#define SHORT_RUN 16         /* runs shorter than this are exchanged for longer ones along another axis */
#define TILE_ROWS 32
#define TILE_RUN 128
enum { MOST_TURNED = 2 };

/* The simplified problem. Axis `ndim - 1` is the one the loop runs along. */
typedef struct plan {
    hx_loop loop;
    const void *ctx;
    int n, ndim;
    int64_t shape[HX_MAX_RANK];
    int64_t strides[HX_MAX_RANK][MAX_OPERANDS]; /* bytes */
    char *base[MAX_OPERANDS];
    int64_t size[MAX_OPERANDS]; /* of an item */
    bool tiled;                 /* the last two axes are visited in tiles of rows x run items */
    int turned[MOST_TURNED];    /* operands whose tiles are transposed first; 0: none */
    int64_t rows, run;
} plan;

static int64_t item_size(const hx_view *v) {
    static const uint8_t size[HX_DTYPE_COUNT] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8, 8, 16};
    return size[v->dtype];
}

/* ---- geometry ---- */

static void load_axes(plan *p, const hx_view *const *views, int n) {
    const hx_view *out = views[0];
    p->n = n;
    p->ndim = 0;
    for (int k = 0; k < n; k++) {
        p->base[k] = hx_absent(views[k]) ? NULL : views[k]->data;
        p->size[k] = hx_absent(views[k]) ? 0 : item_size(views[k]);
    }
    for (int d = 0; d < out->ndim; d++) {
        if (out->shape[d] == 1) continue;
        p->shape[p->ndim] = out->shape[d];
        for (int k = 0; k < n; k++) {
            const hx_view *v = views[k];
            int own = d - out->ndim + (hx_absent(v) ? 0 : v->ndim);
            bool stretched = hx_absent(v) || own < 0 || v->shape[own] == 1;
            p->strides[p->ndim][k] = stretched ? 0 : v->strides[own] * item_size(v);
        }
        p->ndim++;
    }
}

/* An axis that no operand walks forwards, and some walk backwards, is turned round. */
static void flip_axes(plan *p) {
    for (int d = 0; d < p->ndim; d++) {
        bool backwards = false, forwards = false;
        for (int k = 0; k < p->n; k++) {
            backwards |= p->strides[d][k] < 0;
            forwards |= p->strides[d][k] > 0;
        }
        if (!backwards || forwards) continue;
        for (int k = 0; k < p->n; k++) {
            p->base[k] += p->strides[d][k] * (p->shape[d] - 1);
            p->strides[d][k] = -p->strides[d][k];
        }
    }
}

static int64_t magnitude(int64_t stride) { return stride < 0 ? -stride : stride; }

/* Should axis a stand outside axis b? The first operand that walks both decides. */
static bool outside(const plan *p, int a, int b) {
    for (int k = 0; k < p->n; k++) {
        int64_t sa = magnitude(p->strides[a][k]), sb = magnitude(p->strides[b][k]);
        if (sa && sb && sa != sb) return sa > sb;
    }
    return true;
}

static void swap_axes(plan *p, int a, int b) {
    int64_t size = p->shape[a], row[MAX_OPERANDS];
    size_t bytes = sizeof(int64_t) * (size_t)p->n;
    p->shape[a] = p->shape[b];
    p->shape[b] = size;
    memcpy(row, p->strides[a], bytes);
    memcpy(p->strides[a], p->strides[b], bytes);
    memcpy(p->strides[b], row, bytes);
}

static void order_axes(plan *p) {
    for (int i = 1; i < p->ndim; i++)
        for (int j = i; j > 0 && !outside(p, j - 1, j); j--) swap_axes(p, j - 1, j);
}

static void merge_axes(plan *p) {
    if (p->ndim == 0) {
        p->ndim = 1;
        p->shape[0] = 1;
        memset(p->strides[0], 0, sizeof(p->strides[0]));
        return;
    }
    int last = 0;
    for (int d = 1; d < p->ndim; d++) {
        bool fits = true;
        for (int k = 0; k < p->n && fits; k++) fits = p->strides[last][k] == p->strides[d][k] * p->shape[d];
        if (fits) p->shape[d] *= p->shape[last];
        else last++;
        p->shape[last] = p->shape[d];
        memcpy(p->strides[last], p->strides[d], sizeof(int64_t) * (size_t)p->n);
    }
    p->ndim = last + 1;
}

/* Does some operand walk the last axis in larger steps than the one before it? */
static bool crosses(const plan *p) {
    const int64_t *outer = p->strides[p->ndim - 2], *inner = p->strides[p->ndim - 1];
    for (int k = 0; k < p->n; k++)
        if (magnitude(inner[k]) > 64 && magnitude(inner[k]) > magnitude(outer[k]) && outer[k]) return true;
    return false;
}

/* Inputs whose items lie side by side along the outer axis. */
static void choose_turned(plan *p) {
    int found = 0;
    for (int k = 1; k < p->n && found < MOST_TURNED; k++) {
        bool side_by_side = p->strides[p->ndim - 2][k] == p->size[k] && p->strides[p->ndim - 1][k] != p->size[k];
        if (side_by_side && (p->size[k] == 4 || p->size[k] == 8)) p->turned[found++] = k;
    }
}

static void choose_tiles(plan *p) {
    p->tiled = false;
    if (p->ndim < 2) return;
    int64_t *outer = &p->shape[p->ndim - 2], *inner = &p->shape[p->ndim - 1];
    if (*inner < SHORT_RUN) {
        int longest = 0;
        for (int d = 1; d < p->ndim - 1; d++)
            if (p->shape[d] > p->shape[longest]) longest = d;
        if (p->shape[longest] < 2 * *inner) return;
        if (longest != p->ndim - 2) swap_axes(p, longest, p->ndim - 2);
        swap_axes(p, p->ndim - 2, p->ndim - 1);
        p->tiled = true;
        p->rows = *outer;
        p->run = *inner < 1024 ? *inner : 1024;
    } else if (*outer > 4 && crosses(p)) {
        p->tiled = true;
        p->rows = *outer < TILE_ROWS ? *outer : TILE_ROWS;
        p->run = *inner < TILE_RUN ? *inner : TILE_RUN;
        choose_turned(p);
    }
}

/* ---- running ---- */

static void advance(const plan *p, char **at, int axis, int64_t count) {
    for (int k = 0; k < p->n; k++) at[k] += p->strides[axis][k] * count;
}

/* Items [begin, end) of the row-major order of the simplified axes. */
static void run_range(void *ctx, int64_t begin, int64_t end) {
    const plan *p = ctx;
    char *at[MAX_OPERANDS];
    int64_t position[HX_MAX_RANK];
    int inner = p->ndim - 1;
    memcpy(at, p->base, sizeof(char *) * (size_t)p->n);
    int64_t rest = begin;
    for (int d = inner; d >= 0; d--) {
        position[d] = rest % p->shape[d];
        rest /= p->shape[d];
        advance(p, at, d, position[d]);
    }
    for (int64_t left = end - begin;;) {
        int64_t run = p->shape[inner] - position[inner];
        if (run > left) run = left;
        p->loop(at, p->strides[inner], run, p->ctx);
        left -= run;
        if (left == 0) return;
        advance(p, at, inner, -position[inner]);
        position[inner] = 0;
        int d = inner - 1;
        for (; position[d] == p->shape[d] - 1; d--) {
            advance(p, at, d, -position[d]);
            position[d] = 0;
        }
        position[d]++;
        advance(p, at, d, 1);
    }
}

/* to[i][j] = the item at from + i * size + j * step, for rows i and runs j; rows of `to` hold TILE_RUN items. A few runs
 * are read to their ends at a time: steps that are powers of two put all their lines into one set of the cache. */
static void turn_words(uint32_t *to, const char *from, int64_t step, int64_t rows, int64_t run) {
    int64_t j = 0;
#ifdef __SSE2__
    for (; j + 4 <= run; j += 4) {
        const char *at = from + j * step;
        int64_t i = 0;
        for (; i + 4 <= rows; i += 4, at += 16) {
            __m128 a = _mm_loadu_ps((const float *)at), b = _mm_loadu_ps((const float *)(at + step));
            __m128 c = _mm_loadu_ps((const float *)(at + 2 * step)), d = _mm_loadu_ps((const float *)(at + 3 * step));
            _MM_TRANSPOSE4_PS(a, b, c, d);
            float *row = (float *)(to + i * TILE_RUN + j);
            _mm_storeu_ps(row, a);
            _mm_storeu_ps(row + TILE_RUN, b);
            _mm_storeu_ps(row + 2 * TILE_RUN, c);
            _mm_storeu_ps(row + 3 * TILE_RUN, d);
        }
        for (; i < rows; i++, at += 4)
            for (int64_t k = 0; k < 4; k++) memcpy(to + i * TILE_RUN + j + k, at + k * step, 4);
    }
#endif
    for (; j < run; j++)
        for (int64_t i = 0; i < rows; i++) memcpy(to + i * TILE_RUN + j, from + i * 4 + j * step, 4);
}
static void turn_doublewords(uint64_t *to, const char *from, int64_t step, int64_t rows, int64_t run) {
    int64_t j = 0;
#ifdef __SSE2__
    for (; j + 2 <= run; j += 2) {
        const char *at = from + j * step;
        int64_t i = 0;
        for (; i + 2 <= rows; i += 2, at += 16) {
            __m128d a = _mm_loadu_pd((const double *)at), b = _mm_loadu_pd((const double *)(at + step));
            double *row = (double *)(to + i * TILE_RUN + j);
            _mm_storeu_pd(row, _mm_unpacklo_pd(a, b));
            _mm_storeu_pd(row + TILE_RUN, _mm_unpackhi_pd(a, b));
        }
        for (; i < rows; i++, at += 8)
            for (int64_t k = 0; k < 2; k++) memcpy(to + i * TILE_RUN + j + k, at + k * step, 8);
    }
#endif
    for (; j < run; j++)
        for (int64_t i = 0; i < rows; i++) memcpy(to + i * TILE_RUN + j, from + i * 8 + j * step, 8);
}

static int64_t tiles_along(int64_t size, int64_t tile) { return (size + tile - 1) / tile; }

static void run_tile(const plan *p, int64_t tile) {
    char *at[MAX_OPERANDS];
    int inner = p->ndim - 1, outer = p->ndim - 2;
    memcpy(at, p->base, sizeof(char *) * (size_t)p->n);
    int64_t across = tiles_along(p->shape[inner], p->run), down = tiles_along(p->shape[outer], p->rows);
    int64_t run_at = tile % across * p->run, rest = tile / across;
    int64_t row_at = rest % down * p->rows;
    rest /= down;
    for (int d = outer - 1; d >= 0; d--) {
        advance(p, at, d, rest % p->shape[d]);
        rest /= p->shape[d];
    }
    advance(p, at, outer, row_at);
    advance(p, at, inner, run_at);
    int64_t rows = p->shape[outer] - row_at, run = p->shape[inner] - run_at;
    if (rows > p->rows) rows = p->rows;
    if (run > p->run) run = p->run;
    uint64_t block[MOST_TURNED][TILE_ROWS * TILE_RUN];
    int64_t steps[MAX_OPERANDS];
    memcpy(steps, p->strides[inner], sizeof(int64_t) * (size_t)p->n);
    for (int t = 0; t < MOST_TURNED && p->turned[t]; t++) {
        int k = p->turned[t];
        steps[k] = p->size[k];
        if (p->size[k] == 4) turn_words((uint32_t *)block[t], at[k], p->strides[inner][k], rows, run);
        else turn_doublewords(block[t], at[k], p->strides[inner][k], rows, run);
    }
    for (int64_t i = 0; i < rows; i++) {
        char *row[MAX_OPERANDS];
        memcpy(row, at, sizeof(char *) * (size_t)p->n);
        for (int t = 0; t < MOST_TURNED && p->turned[t]; t++)
            row[p->turned[t]] = (char *)block[t] + i * TILE_RUN * p->size[p->turned[t]];
        p->loop(row, steps, run, p->ctx);
        advance(p, at, outer, 1);
    }
}

static void run_tiles(void *ctx, int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; tile++) run_tile(ctx, tile);
}

/* Items a chunk: at least CHUNK_BYTES of work, at most MAX_CHUNKS chunks, whole cache lines. */
static int64_t chunk_items(int64_t total, int64_t cost) {
    int64_t chunk = CHUNK_BYTES / cost, least = total / MAX_CHUNKS + 1;
    if (chunk < least) chunk = least;
    return (chunk + 255) & ~(int64_t)255;
}

static bool worth_threads(int64_t total, int64_t cost) {
    int64_t work;
    return !hx_mul_ok(total, cost, &work) || work >= PARALLEL_BYTES;
}

static void run(plan *p, int64_t numel, int64_t cost) {
    if (!p->tiled) {
        if (!worth_threads(numel, cost)) run_range(p, 0, numel);
        else hx_parallel_range(numel, chunk_items(numel, cost), run_range, p);
        return;
    }
    int64_t tiles = tiles_along(p->shape[p->ndim - 1], p->run) * tiles_along(p->shape[p->ndim - 2], p->rows);
    for (int d = 0; d < p->ndim - 2; d++) tiles *= p->shape[d];
    if (!worth_threads(numel, cost)) run_tiles(p, 0, tiles);
    else hx_parallel_range(tiles, tiles / MAX_CHUNKS + 1 + CHUNK_BYTES / (cost * p->rows * p->run), run_tiles, p);
}

/* ---- results far larger than the caches: written past them ---- */

#define STREAM_BLOCK 8192

/* ---- the plain case: everything is contiguous, or one element ---- */

typedef struct flat {
    hx_loop loop;
    const void *ctx;
    int n, outputs;
    char *base[MAX_OPERANDS];
    int64_t step[MAX_OPERANDS];
} flat;

/* One contiguous result that no operand shares. */
static bool streams(const flat *f, int64_t numel) {
    if (!HX_HAS_STREAM || numel * f->step[0] < HX_STREAM_BYTES || (uintptr_t)f->base[0] % 64 || f->n < 2) return false;
    for (int k = 1; k < f->n; k++)
        if (f->base[k] == f->base[0]) return false;
    return true;
}

/* The loop fills a block in the first-level cache, which then goes to memory. */
static void run_streaming(void *ctx, int64_t begin, int64_t end) {
    const flat *f = ctx;
    _Alignas(64) char block[STREAM_BLOCK];
    char *at[MAX_OPERANDS];
    int64_t most = STREAM_BLOCK / f->step[0];
    for (int64_t i = begin; i < end; i += most) {
        int64_t n = end - i < most ? end - i : most;
        for (int k = 1; k < f->n; k++) at[k] = f->base[k] + i * f->step[k];
        at[0] = block;
        f->loop(at, f->step, n, f->ctx);
        hx_stream_out(f->base[0] + i * f->step[0], block, n * f->step[0]);
    }
    hx_stream_end();
}

static void run_flat(void *ctx, int64_t begin, int64_t end) {
    const flat *f = ctx;
    char *at[MAX_OPERANDS];
    for (int k = 0; k < f->n; k++) at[k] = f->base[k] + begin * f->step[k];
    f->loop(at, f->step, end - begin, f->ctx);
}

static inline bool load_flat(flat *f, int k, const hx_view *v, int64_t numel, int64_t *bytes) {
    if (__builtin_expect(hx_absent(v), 0)) {
        f->base[k] = NULL;
        f->step[k] = 0;
        return true;
    }
    int64_t size = item_size(v);
    *bytes += size;
    f->base[k] = v->data;
    f->step[k] = v->numel == numel ? size : 0;
    return v->contiguous && (v->numel == numel || v->numel == 1);
}

static void run_plain(flat *f, int n, int64_t numel, hx_loop loop, const void *ctx, int64_t cost) {
    if (!worth_threads(numel, cost)) {
        loop(f->base, f->step, numel, ctx);
        return;
    }
    f->loop = loop;
    f->ctx = ctx;
    f->n = n;
    bool streaming = f->outputs == 1 && streams(f, numel);
    hx_parallel_range(numel, chunk_items(numel, cost), streaming ? run_streaming : run_flat, f);
}

static void run_strided(const hx_view *const *views, int n, hx_loop loop, const void *ctx, int64_t cost) {
    plan p = {.loop = loop, .ctx = ctx};
    load_axes(&p, views, n);
    flip_axes(&p);
    order_axes(&p);
    merge_axes(&p);
    choose_tiles(&p);
    run(&p, views[0]->numel, cost);
}

static hx_code too_many(hx_err *err, int n) {
    return hx_kernel_fail(err, HX_E_INTERNAL, 1901, "elementwise call with %d operands; %d is the most", n, MAX_OPERANDS);
}

hx_code hx_iterate_views(const hx_view *const *views, int n, hx_loop loop, const void *ctx, int64_t cost, hx_err *err) {
    if (n > MAX_OPERANDS) return too_many(err, n);
    int64_t numel = views[0]->numel, bytes = 0;
    if (numel == 0) return HX_OK;
    flat f;
    bool plain = true;
    for (int k = 0; k < n; k++) plain &= load_flat(&f, k, views[k], numel, &bytes);
    if (cost <= 0) cost = bytes;
    f.outputs = 1;
    if (plain) run_plain(&f, n, numel, loop, ctx, cost);
    else run_strided(views, n, loop, ctx, cost);
    return HX_OK;
}

hx_code hx_iterate(const hx_op_call *call, hx_loop loop, const void *ctx, hx_err *err) {
    int n_out = (int)call->n_out, n = n_out + (int)call->n_in;
    if (n > MAX_OPERANDS) return too_many(err, n);
    int64_t numel = call->out[0].numel, bytes = 0;
    if (numel == 0) return HX_OK;
    flat f;
    bool plain = true;
    for (int k = 0; k < n_out; k++) plain &= load_flat(&f, k, &call->out[k], numel, &bytes);
    for (int k = n_out; k < n; k++) plain &= load_flat(&f, k, &call->in[k - n_out], numel, &bytes);
    if (plain) {
        f.outputs = n_out;
        run_plain(&f, n, numel, loop, ctx, bytes);
        return HX_OK;
    }
    const hx_view *views[MAX_OPERANDS];
    for (int k = 0; k < n; k++) views[k] = k < n_out ? &call->out[k] : &call->in[k - n_out];
    run_strided(views, n, loop, ctx, bytes);
    return HX_OK;
}
