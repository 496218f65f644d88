/* Kernels of tensor indexing. A plan turns the index tensors into one element offset for each of their positions,
 * all checked, and splits the axes that stay into those before and after; then blocks are read, written or added. */
#include <complex.h>
#include "strided.h"

enum { COUNT_CHUNK = 65536, PIECE = 512 }; /* COUNT_CHUNK: as in ops/view.h */
#define SKIP INT64_MIN

/* ---- positions of values that are not zero ---- */

/* Their places among n <= PIECE values. */
static int scan(const char *p, uint8_t dtype, int64_t n, int32_t *places) {
    int c = 0;
#define SCAN(T, x)                                                                                            \
    {                                                                                                         \
        const T *v = (const T *)p;                                                                            \
        for (int64_t i = 0; i < n; i++) {                                                                     \
            places[c] = (int32_t)i;                                                                           \
            c += (x) != 0;                                                                                    \
        }                                                                                                     \
        return c;                                                                                             \
    }
    switch ((hx_dtype)dtype) {
    case HX_F16:
    case HX_BF16: SCAN(uint16_t, v[i] & 0x7fff)
    case HX_F32: SCAN(float, v[i])
    case HX_F64: SCAN(double, v[i])
    case HX_C64: SCAN(float complex, v[i])
    case HX_C128: SCAN(double complex, v[i])
    default: break;
    }
    switch (hx_dtype_size((hx_dtype)dtype)) {
    case 1: SCAN(uint8_t, v[i])
    case 2: SCAN(uint16_t, v[i])
    case 4: SCAN(uint32_t, v[i])
    default: SCAN(uint64_t, v[i])
    }
#undef SCAN
}

typedef struct search {
    const char *data; /* dense */
    uint8_t dtype;
    int64_t numel;
    int64_t *counts;        /* a chunk; then the start of each chunk */
    int64_t total;
    hx_grid axes;           /* of the values, with the offsets they stand for in a */
    int64_t *offsets;       /* masks: where offsets go */
    int64_t *rows;          /* argwhere: where coordinates go */
} search;

static void count_chunk(void *ctx, int64_t chunk) {
    search *s = ctx;
    int32_t places[PIECE];
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)s->dtype), end = (chunk + 1) * COUNT_CHUNK, count = 0;
    if (end > s->numel) end = s->numel;
    for (int64_t i = chunk * COUNT_CHUNK; i < end; i += PIECE)
        count += scan(s->data + i * size, s->dtype, end - i < PIECE ? end - i : PIECE, places);
    s->counts[chunk] = count;
}

static int64_t chunks_of(int64_t numel) { return numel / COUNT_CHUNK + 1; }

/* Fills counts with the start of each chunk, and total. */
static void count_all(search *s) {
    int64_t chunks = chunks_of(s->numel);
    if (!hx_parallel(chunks, count_chunk, s)) memset(s->counts, 0, (size_t)chunks * sizeof *s->counts);
    s->total = 0;
    for (int64_t i = 0; i < chunks; i++) {
        int64_t n = s->counts[i];
        s->counts[i] = s->total;
        s->total += n;
    }
}

/* Fills exactly the places that were counted: values that another thread changes meanwhile do no harm. */
static void find_chunk(void *ctx, int64_t chunk) {
    search *s = ctx;
    int32_t places[PIECE];
    int64_t limit = chunk + 1 < chunks_of(s->numel) ? s->counts[chunk + 1] : s->total;
    int last = s->axes.n - 1;
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)s->dtype), end = (chunk + 1) * COUNT_CHUNK, at = s->counts[chunk];
    int64_t row_length = s->axes.shape[last], step = s->axes.a[last];
    if (end > s->numel) end = s->numel;
    for (int64_t i = chunk * COUNT_CHUNK; i < end;) {
        int64_t column = i % row_length, n = row_length - column, row = i / row_length;
        if (n > end - i) n = end - i;
        if (n > PIECE) n = PIECE;
        int c = scan(s->data + i * size, s->dtype, n, places);
        if (c > limit - at) c = (int)(limit - at);
        if (c && s->offsets) {
            int64_t base, unused;
            hx_grid_at(&s->axes, last, row, &base, &unused);
            for (int k = 0; k < c; k++) s->offsets[at + k] = base + (column + places[k]) * step;
        } else if (c) {
            int ndim = s->axes.n;
            int64_t *to = s->rows + at * ndim;
            for (int a = last - 1; a >= 0; a--) {
                for (int k = 0; k < c; k++) to[k * ndim + a] = row % s->axes.shape[a];
                row /= s->axes.shape[a];
            }
            for (int k = 0; k < c; k++) to[k * ndim + last] = column + places[k];
        }
        at += c;
        i += n;
    }
    if (at < limit && s->offsets) memset(s->offsets + at, 0, (size_t)(limit - at) * sizeof *s->offsets);
    if (at < limit && s->rows) memset(s->rows + at * s->axes.n, 0, (size_t)((limit - at) * s->axes.n) * sizeof *s->rows);
}

HX_KERNEL(k_nonzero_count) {
    HX_UNUSED;
    const hx_view *in = &call->in[0];
    search s = {.data = in->data, .dtype = in->dtype, .numel = in->numel, .counts = call->out[1].data};
    count_all(&s);
    *(int64_t *)call->out[0].data = s.total;
    return HX_OK;
}

HX_KERNEL(k_argwhere) {
    HX_UNUSED;
    const hx_view *in = &call->in[0];
    search s = {.data = in->data, .dtype = in->dtype, .numel = in->numel, .rows = call->out[0].data,
                .counts = call->in[1].data, .total = call->out[0].shape[0]};
    for (int i = 0; i < in->ndim; i++) hx_grid_push(&s.axes, in->shape[i], 0, 0);
    if (in->numel == 0 || in->ndim == 0 || s.total == 0) return HX_OK;
    hx_parallel(chunks_of(in->numel), find_chunk, &s);
    return HX_OK;
}

/* ---- plans ---- */

typedef struct plan {
    int64_t *offsets; /* of each index position, in elements of the indexed tensor; SKIP: leave it out */
    int64_t count;    /* index positions */
    int n_together;
    int64_t together[HX_MAX_RANK];
    hx_grid outer, inner; /* axes that stay, with the indexed tensor's strides in a */
} plan;

typedef struct found_mask {
    int64_t *offsets;
    int64_t count;
} found_mask;

static void plan_drop(plan *p) {
    if (p->offsets) hx_pool_free(p->offsets, (size_t)(p->count ? p->count : 1) * sizeof(int64_t));
    p->offsets = NULL;
}

static hx_code no_memory(hx_err *err) {
    return hx_kernel_fail(err, HX_E_MEMORY, 1402, "no memory for the positions of the index tensors");
}

static void copy_dense(char *to, const hx_view *mask) {
    int64_t row_major[HX_MAX_RANK];
    hx_grid x = {0};
    hx_row_major(mask->shape, mask->ndim, row_major);
    for (int i = 0; i < mask->ndim; i++) hx_grid_push(&x, mask->shape[i], row_major[i], mask->strides[i]);
    hx_grid_merge(&x);
    if (mask->numel) hx_copy_grid(to, mask->data, &x, 1);
}

/* The offsets at which a mask is true; `strides` are those of the axes it replaces. */
static hx_code find_mask(const hx_view *mask, const int64_t *strides, found_mask *found, hx_err *err) {
    size_t nbytes = (size_t)(mask->numel ? mask->numel : 1), chunks = (size_t)chunks_of(mask->numel);
    search s = {.dtype = HX_BOOL, .numel = mask->numel};
    char *dense = NULL;
    if (!mask->contiguous && !(dense = hx_pool_alloc(nbytes))) return no_memory(err);
    s.data = dense ? dense : mask->data;
    if (dense) copy_dense(dense, mask);
    for (int i = 0; i < mask->ndim; i++) hx_grid_push(&s.axes, mask->shape[i], strides[i], strides[i]);
    hx_grid_merge(&s.axes);
    hx_code code = HX_OK;
    s.counts = hx_pool_alloc(chunks * sizeof(int64_t));
    if (s.counts) {
        count_all(&s);
        found->count = s.total;
        found->offsets = s.offsets = hx_pool_alloc((size_t)(found->count + 1) * sizeof(int64_t));
        if (!s.offsets) code = no_memory(err);
        else if (found->count && !hx_parallel((int64_t)chunks, find_chunk, &s)) code = HX_E_CALLBACK;
        hx_pool_free(s.counts, chunks * sizeof(int64_t));
    } else
        code = no_memory(err);
    if (dense) hx_pool_free(dense, nbytes);
    return code;
}

static bool widen(plan *p, const int64_t *shape, int ndim) {
    while (p->n_together < ndim) {
        memmove(p->together + 1, p->together, (size_t)p->n_together * sizeof *p->together);
        p->together[0] = 1;
        p->n_together++;
    }
    for (int i = 0; i < ndim; i++) {
        int64_t *have = &p->together[p->n_together - ndim + i];
        if (*have == 1)
            *have = shape[i];
        else if (shape[i] != 1 && shape[i] != *have)
            return false;
    }
    return true;
}

static hx_code add_index(plan *p, const hx_view *index, int axis, int64_t size, int64_t stride, bool from_end,
                         bool first, hx_err *err) {
    hx_offsets a = {.offsets = p->offsets, .data = index->data, .dtype = index->dtype, .from_end = from_end,
                    .first = first, .size = size, .stride = stride};
    int lead = p->n_together - index->ndim;
    for (int i = 0; i < p->n_together; i++) {
        int64_t step = i < lead || index->shape[i - lead] == 1 ? 0 : index->strides[i - lead];
        hx_grid_push(&a.axes, p->together[i], step, step);
    }
    int64_t bad = hx_offsets_all(&a), at, unused, room[HX_MAX_RANK];
    if (bad < 0) return HX_OK;
    hx_grid_at(&a.axes, a.axes.n, bad, &at, &unused);
    int64_t value = hx_load_index(index->data, at, index->dtype);
    const char *position = hx_position_text(bad, p->together, p->n_together, room);
    if (!from_end && size)
        return hx_kernel_fail_about(FACTS("input", hx_text("0..%lld", (long long)(size - 1)),
                                          hx_text("%lld", (long long)value)), err, HX_E_INDEX, 1301,
                                    "id %lld at position %s is outside the %lld rows (valid 0..%lld)",
                                    (long long)value, position, (long long)size, (long long)(size - 1));
    return hx_index_fault(err, value, position, axis, size);
}

/* A mask's positions run along the last of the broadcast axes. */
static void add_mask(plan *p, const found_mask *m, bool first) {
    int64_t length = p->n_together ? p->together[p->n_together - 1] : 1;
    bool stretched = m->count == 1 && length != 1;
    for (int64_t row = 0; row < p->count; row += length)
        for (int64_t i = 0; i < length; i++)
            p->offsets[row + i] = (first ? 0 : p->offsets[row + i]) + m->offsets[stretched ? 0 : i];
}

/* The axes of the indexed tensor, one index or hole after the other. */
static hx_code plan_make(plan *p, const hx_view *index, int n, const int64_t *shape, const int64_t *strides, int ndim,
                         bool from_end, hx_err *err) {
    found_mask masks[HX_MAX_RANK];
    hx_grid kept = {0};
    int axis = 0, n_masks = 0, before = 0, runs = 0;
    bool in_run = false, fits = true;
    hx_code code = HX_OK;
    *p = (plan){0};
    for (int i = 0; i < n && !code && fits; i++) {
        if (hx_absent(&index[i])) {
            hx_grid_push(&kept, shape[axis], strides[axis], 0);
            axis++;
            in_run = false;
            continue;
        }
        if (!in_run && runs++ == 0) before = kept.n;
        in_run = true;
        if (index[i].dtype != HX_BOOL) {
            fits = widen(p, index[i].shape, index[i].ndim);
            axis++;
        } else if (n_masks == HX_MAX_RANK) {
            code = hx_kernel_fail(err, HX_E_INDEX, 1303, "more than %d masks in one index", HX_MAX_RANK);
        } else {
            code = find_mask(&index[i], strides + axis, &masks[n_masks], err);
            if (!code) fits = widen(p, &masks[n_masks++].count, 1);
            axis += index[i].ndim;
        }
    }
    for (; axis < ndim; axis++) hx_grid_push(&kept, shape[axis], strides[axis], 0);
    if (runs > 1) before = 0;
    for (int i = 0; i < kept.n; i++) hx_grid_push(i < before ? &p->outer : &p->inner, kept.shape[i], kept.a[i], 0);
    if (!code && !fits)
        code = hx_kernel_fail(err, HX_E_INDEX, 1003, "the index tensors cannot be stretched to one shape");
    p->count = 1;
    for (int i = 0; i < p->n_together; i++) p->count *= p->together[i];
    if (!code && !(p->offsets = hx_pool_alloc((size_t)(p->count ? p->count : 1) * sizeof(int64_t)))) code = no_memory(err);
    bool first = true;
    axis = 0;
    for (int i = 0, m = 0; i < n && !code; i++) {
        bool mask = !hx_absent(&index[i]) && index[i].dtype == HX_BOOL;
        if (!hx_absent(&index[i])) {
            if (mask)
                add_mask(p, &masks[m++], first);
            else
                code = add_index(p, &index[i], axis, shape[axis], strides[axis], from_end, first, err);
            first = false;
        }
        axis += mask ? index[i].ndim : 1;
    }
    for (int m = 0; m < n_masks; m++) hx_pool_free(masks[m].offsets, (size_t)(masks[m].count + 1) * sizeof(int64_t));
    if (code) plan_drop(p);
    return code;
}

/* ---- blocks ---- */

typedef struct job job;
typedef void (*run_fn)(const job *j, char *indexed, int64_t i_step, char *dense, int64_t d_step, int64_t n);

struct job {
    const plan *p;
    run_fn run;
    char *indexed, *dense;
    int64_t indexed_size, dense_size; /* of an element */
    int64_t block;                    /* dense elements from one index position to the next; 0 for one value */
    hx_grid inner;                    /* merged; indexed strides in a, dense strides in b */
    int64_t blocks, columns;          /* outer positions x index positions; columns a chunk */
    union { uint64_t i; double f; double complex c; } alpha;
};

static void run_read(const job *j, char *indexed, int64_t i_step, char *dense, int64_t d_step, int64_t n) {
    hx_copy_run(dense, d_step, indexed, i_step, n, (size_t)j->dense_size);
}
static void run_write(const job *j, char *indexed, int64_t i_step, char *dense, int64_t d_step, int64_t n) {
    hx_copy_run(indexed, i_step, dense, d_step, n, (size_t)j->dense_size);
}

#define RUN_ADD(name, T, S, term)                                                                             \
    static void run_add_##name(const job *j, char *indexed, int64_t i_step, char *dense, int64_t d_step,      \
                               int64_t n) {                                                                   \
        T *restrict x = (T *)indexed;                                                                         \
        const S *restrict y = (const S *)dense;                                                               \
        if (i_step == 1 && d_step == 1) {                                                                     \
            for (int64_t i = 0; i < n; i++) {                                                                 \
                S v = y[i];                                                                                   \
                x[i] = (T)(term(x[i]));                                                                       \
            }                                                                                                 \
            return;                                                                                           \
        }                                                                                                     \
        for (int64_t i = 0; i < n; i++) {                                                                     \
            S v = y[i * d_step];                                                                              \
            x[i * i_step] = (T)(term(x[i * i_step]));                                                         \
        }                                                                                                     \
    }
#define SUM_INT(x) (x) + j->alpha.i * v
#define SUM_FLOAT(x) (x) + (float)j->alpha.f * v
#define SUM_DOUBLE(x) (x) + j->alpha.f * v
#define SUM_F16(x) (x) + (float)j->alpha.f * hx_half_load(v)
#define SUM_BF16(x) (x) + (float)j->alpha.f * hx_bf16_to_f32(v)
#define SUM_COMPLEX(x) (x) + j->alpha.c * v
#define SUM_BOOL(x) (x) | (v & (j->alpha.i != 0))
RUN_ADD(bool, uint8_t, uint8_t, SUM_BOOL)
RUN_ADD(8, uint8_t, uint8_t, SUM_INT)
RUN_ADD(16, uint16_t, uint16_t, SUM_INT)
RUN_ADD(32, uint32_t, uint32_t, SUM_INT)
RUN_ADD(64, uint64_t, uint64_t, SUM_INT)
RUN_ADD(f16, float, uint16_t, SUM_F16)
RUN_ADD(bf16, float, uint16_t, SUM_BF16)
RUN_ADD(f32, float, float, SUM_FLOAT)
RUN_ADD(f64, double, double, SUM_DOUBLE)
RUN_ADD(c64, float complex, float complex, SUM_COMPLEX)
RUN_ADD(c128, double complex, double complex, SUM_COMPLEX)

static run_fn adding_run(uint8_t dtype) {
    switch ((hx_dtype)dtype) {
    case HX_BOOL: return run_add_bool;
    case HX_I8:
    case HX_U8: return run_add_8;
    case HX_I16:
    case HX_U16: return run_add_16;
    case HX_I32:
    case HX_U32: return run_add_32;
    case HX_I64:
    case HX_U64: return run_add_64;
    case HX_F16: return run_add_f16;
    case HX_BF16: return run_add_bf16;
    case HX_F32: return run_add_f32;
    case HX_F64: return run_add_f64;
    case HX_C64: return run_add_c64;
    default: return run_add_c128;
    }
}

static void set_alpha(job *j, const hx_attr *alpha, uint8_t dtype) {
    double real = !alpha ? 1 : alpha->kind == HX_A_FLOAT ? alpha->v.f : alpha->kind == HX_A_COMPLEX ? alpha->v.c[0] : (double)alpha->v.i;
    if (hx_is_complex((hx_dtype)dtype))
        j->alpha.c = CMPLX(real, alpha && alpha->kind == HX_A_COMPLEX ? alpha->v.c[1] : 0);
    else if (hx_is_floating((hx_dtype)dtype))
        j->alpha.f = real;
    else
        j->alpha.i = alpha && alpha->kind <= HX_A_INT ? (uint64_t)alpha->v.i : (uint64_t)hx_whole(real);
}

/* Columns [first, first + n) of the innermost axis of one block. */
static inline void run_block(const job *j, char *indexed, char *dense, int64_t first, int64_t n) {
    int last = j->inner.n - 1;
    int64_t rows = 1;
    for (int k = 0; k < last; k++) rows *= j->inner.shape[k];
    for (int64_t r = 0; r < rows; r++) {
        int64_t a, b;
        hx_grid_at(&j->inner, last, r, &a, &b);
        a += first * j->inner.a[last];
        b += first * j->inner.b[last];
        j->run(j, indexed + a * j->indexed_size, j->inner.a[last], dense + b * j->dense_size, j->inner.b[last], n);
    }
}

#define UNASKED (1 << 16) /* blocks between two looks at whether the work is given up */

static void run_blocks(const job *j, int64_t begin, int64_t end, int64_t first, int64_t n) {
    const plan *p = j->p;
    for (int64_t i = begin, asked = begin; i < end;) {
        int64_t at, unused, b = i % p->count, stop = end - i < p->count - b ? b + end - i : p->count;
        if (stop > b + UNASKED) stop = b + UNASKED;
        if (i - asked >= UNASKED) {
            if (hx_stopped()) return;
            asked = i;
        }
        hx_grid_at(&p->outer, p->outer.n, i / p->count, &at, &unused);
        char *indexed = j->indexed + at * j->indexed_size, *dense = j->dense + (i - b) * j->block * j->dense_size;
        for (; b < stop; b++, i++)
            if (p->offsets[b] != SKIP)
                run_block(j, indexed + p->offsets[b] * j->indexed_size, dense + b * j->block * j->dense_size, first, n);
    }
}

/* Single elements: a plain gather. */
static void gather_elements(const job *j, int64_t begin, int64_t end) {
    const plan *p = j->p;
    for (int64_t i = begin; i < end;) {
        int64_t at, unused, b = i % p->count, n = end - i < p->count - b ? end - i : p->count - b;
        hx_grid_at(&p->outer, p->outer.n, i / p->count, &at, &unused);
        const int64_t *offsets = p->offsets + b;
#define GATHER(T)                                                                                             \
    {                                                                                                         \
        const T *restrict from = (const T *)j->indexed + at;                                                  \
        T *restrict to = (T *)j->dense + i;                                                                   \
        for (int64_t k = 0; k < n; k++) to[k] = from[offsets[k]];                                             \
        break;                                                                                                \
    }
        switch (j->dense_size) {
        case 1: GATHER(uint8_t)
        case 2: GATHER(uint16_t)
        case 4: GATHER(uint32_t)
        case 8: GATHER(uint64_t)
        default: GATHER(hx_wide)
        }
#undef GATHER
        i += n;
    }
}

static int64_t inner_numel(const job *j) { return hx_grid_numel(&j->inner); }

static void read_range(void *ctx, int64_t begin, int64_t end) {
    const job *j = ctx;
    if (inner_numel(j) == 1)
        gather_elements(j, begin, end);
    else
        run_blocks(j, begin, end, 0, j->inner.shape[j->inner.n - 1]);
}

static void write_range(void *ctx, int64_t begin, int64_t end) {
    const job *j = ctx;
    run_blocks(j, begin * j->p->count, end * j->p->count, 0, j->inner.shape[j->inner.n - 1]);
}

static void write_columns(void *ctx, int64_t chunk) {
    const job *j = ctx;
    int64_t all = j->inner.shape[j->inner.n - 1], first = chunk * j->columns;
    run_blocks(j, 0, j->blocks, first, all - first < j->columns ? all - first : j->columns);
}

/* The order of the blocks that meet in one place never changes: threads take outer positions or columns. */
static void write_all(job *j) {
    int64_t outer = hx_grid_numel(&j->p->outer), bytes = inner_numel(j) * j->indexed_size;
    int64_t length = j->inner.shape[j->inner.n - 1];
    j->columns = 512 / j->indexed_size;
    if (j->blocks * bytes <= HX_BLOCKING_BYTES)
        write_range(j, 0, outer);
    else if (outer > 1)
        hx_parallel_range(outer, hx_grain(j->p->count * bytes), write_range, j);
    else
        hx_parallel((length + j->columns - 1) / j->columns, write_columns, j);
}

/* ---- reads ---- */

static hx_code read_plan(plan *p, const hx_view *from, const hx_view *to, hx_err *err) {
    size_t size = hx_dtype_size((hx_dtype)to->dtype);
    job j = {.p = p, .run = run_read, .indexed = from->data, .dense = to->data, .indexed_size = (int64_t)size,
             .dense_size = (int64_t)size, .inner = p->inner};
    int64_t step = 1;
    for (int i = j.inner.n - 1; i >= 0; i--) {
        j.inner.b[i] = step;
        step *= j.inner.shape[i];
    }
    j.block = step;
    j.blocks = hx_grid_numel(&p->outer) * p->count;
    if (j.blocks * step != to->numel)
        return hx_kernel_fail(err, HX_E_INDEX, 1303, "a mask was changed by another thread while it was read");
    if (to->numel == 0) return HX_OK;
    hx_grid_merge(&j.inner);
    int64_t bytes = inner_numel(&j) * (int64_t)size;
    if (j.blocks * bytes <= HX_BLOCKING_BYTES)
        read_range(&j, 0, j.blocks);
    else
        hx_parallel_range(j.blocks, hx_grain(bytes), read_range, &j);
    return HX_OK;
}

static hx_code read_with(const hx_view *from, const hx_view *list, int n, const hx_view *to, bool from_end, hx_err *err) {
    plan p;
    hx_code code = plan_make(&p, list, n, from->shape, from->strides, from->ndim, from_end, err);
    if (code) return code;
    code = read_plan(&p, from, to, err);
    plan_drop(&p);
    return code;
}

/* A list with one index at `axis`; a 0-dimensional index or tensor counts as one of length 1. */
typedef struct axis_list {
    hx_view list[HX_MAX_RANK], tensor;
    int64_t one, length;
} axis_list;

static const hx_view *list_along(axis_list *a, int64_t axis, const hx_view *index) {
    for (int i = 0; i < axis; i++) a->list[i].flags = HX_VIEW_ABSENT;
    a->one = 1;
    a->length = index->numel;
    a->list[axis] = *index;
    if (index->ndim == 0) {
        a->list[axis].ndim = 1;
        a->list[axis].shape = &a->length;
        a->list[axis].strides = &a->one;
    }
    return a->list;
}

static const hx_view *with_axis(axis_list *a, const hx_view *t) {
    if (t->ndim) return t;
    a->tensor = *t;
    a->tensor.ndim = 1;
    a->tensor.shape = a->tensor.strides = &a->one;
    return &a->tensor;
}

HX_KERNEL(k_index) {
    HX_UNUSED;
    return read_with(&call->in[0], call->in + 1, (int)call->n_in - 1, &call->out[0], true, err);
}

HX_KERNEL(k_index_select) {
    HX_UNUSED;
    axis_list a;
    const hx_view *list = list_along(&a, call->attr[0].v.i, &call->in[1]);
    return read_with(with_axis(&a, &call->in[0]), list, (int)call->attr[0].v.i + 1, &call->out[0], true, err);
}

HX_KERNEL(k_embedding) {
    HX_UNUSED;
    return read_with(&call->in[1], &call->in[0], 1, &call->out[0], false, err);
}

/* ---- writes ---- */

typedef struct values {
    char *data;
    size_t nbytes; /* of a copy from the pool; 0 when data is the caller's */
    bool one;      /* one value for all */
} values;

/* The values stretched to the shape that is written, dense. */
static hx_code stretch(values *v, const plan *p, const hx_view *from, bool apart, hx_err *err) {
    int64_t shape[3 * HX_MAX_RANK], size = (int64_t)hx_dtype_size((hx_dtype)from->dtype);
    int n = 0;
    for (int i = 0; i < p->outer.n; i++) shape[n++] = p->outer.shape[i];
    for (int i = 0; i < p->n_together; i++) shape[n++] = p->together[i];
    for (int i = 0; i < p->inner.n; i++) shape[n++] = p->inner.shape[i];
    hx_grid x = {0};
    int64_t numel = 1;
    for (int i = n - 1; i >= 0; i--) numel *= shape[i];
    bool fits = n <= HX_MAX_RANK;
    for (int i = 0; i < from->ndim - n; i++) fits = fits && from->shape[i] == 1;
    for (int i = 0; i < n && fits; i++) {
        int k = from->ndim - n + i;
        fits = k < 0 || from->shape[k] == 1 || from->shape[k] == shape[i];
        hx_grid_push(&x, shape[i], 0, k < 0 || from->shape[k] == 1 ? 0 : from->strides[k]);
    }
    if (!fits)
        return hx_kernel_fail(err, HX_E_SHAPE, 1003,
                              "values of shape %s cannot be stretched to %s, the shape that is written",
                              hx_shape_text(from->shape, from->ndim), hx_shape_text(shape, n <= HX_MAX_RANK ? n : 0));
    *v = (values){.data = from->data, .one = from->numel == 1};
    if ((v->one || (from->contiguous && from->numel == numel)) && !apart) return HX_OK;
    v->one = false;
    if (numel == 0) return HX_OK;
    v->nbytes = (size_t)(numel * size);
    if (!(v->data = hx_pool_alloc(v->nbytes))) return no_memory(err);
    int64_t step = 1;
    for (int i = n - 1; i >= 0; i--) {
        x.a[i] = step;
        step *= shape[i];
    }
    hx_grid_merge(&x);
    hx_copy_grid(v->data, from->data, &x, (size_t)size);
    return HX_OK;
}

typedef struct target {
    char *data;
    int64_t size;
    const int64_t *strides;
    int64_t dense[HX_MAX_RANK];
    size_t nbytes; /* of the float32 copy of a 16-bit target; 0 without one */
} target;

/* What is written: the output, which holds the input by then, or a float32 copy of it. */
static hx_code aim(target *t, const hx_view *out, bool sums, hx_err *err) {
    *t = (target){.data = out->data, .size = (int64_t)hx_dtype_size((hx_dtype)out->dtype), .strides = out->strides};
    if (!sums || !hx_is_half(out->dtype)) return HX_OK;
    t->size = sizeof(float);
    t->nbytes = (size_t)(out->numel ? out->numel : 1) * sizeof(float);
    if (!(t->data = hx_pool_alloc(t->nbytes))) return no_memory(err);
    hx_row_major(out->shape, out->ndim, t->dense);
    t->strides = t->dense;
    return HX_OK;
}

typedef enum { WRITE, ADD } manner;

/* Writes values at the list's positions of out. `start` holds what out is before: the input, or NULL for zeros. */
static hx_code write_with(const hx_view *start, const hx_view *list, int n, const hx_view *from, const hx_view *out,
                          manner how, const hx_attr *alpha, const hx_attr *padding, hx_err *err) {
    target t;
    plan p = {0};
    values v = {0};
    hx_code code = aim(&t, out, how == ADD, err);
    if (code) return code;
    code = plan_make(&p, list, n, out->shape, t.strides, out->ndim, start != NULL, err);
    if (!code) code = stretch(&v, &p, from, start && start->data == out->data && from->mem == start->mem, err);
    if (!code) {
        if (!start)
            hx_move_bytes(out->data, NULL, out->numel * (int64_t)hx_dtype_size((hx_dtype)out->dtype));
        else
            hx_copy_view(out, start);
        if (padding && padding->kind != HX_A_NONE)
            for (int64_t i = 0; i < p.count; i++)
                if (p.offsets[i] == padding->v.i * t.strides[0]) p.offsets[i] = SKIP;
        if (t.nbytes) hx_halves_to_floats((float *)t.data, out);
        job j = {.p = &p, .run = how == ADD ? adding_run(out->dtype) : run_write, .indexed = t.data, .dense = v.data,
                 .indexed_size = t.size, .dense_size = (int64_t)hx_dtype_size((hx_dtype)out->dtype), .inner = p.inner};
        int64_t step = 1;
        for (int i = j.inner.n - 1; i >= 0; i--) {
            j.inner.b[i] = v.one ? 0 : step;
            step *= j.inner.shape[i];
        }
        j.block = v.one ? 0 : step;
        j.blocks = hx_grid_numel(&p.outer) * p.count;
        set_alpha(&j, alpha, out->dtype);
        if (j.blocks && step) {
            hx_grid_merge(&j.inner);
            write_all(&j);
        }
        if (t.nbytes) hx_floats_to_halves(out, (const float *)t.data);
    }
    if (v.nbytes) hx_pool_free(v.data, v.nbytes);
    plan_drop(&p);
    if (t.nbytes) hx_pool_free(t.data, t.nbytes);
    return code;
}

HX_KERNEL(k_index_put) {
    HX_UNUSED;
    return write_with(&call->in[0], call->in + 2, (int)call->n_in - 2, &call->in[1], &call->out[0],
                      call->attr[0].v.i ? ADD : WRITE, NULL, NULL, err);
}

static hx_code write_along(const hx_op_call *call, manner how, const hx_attr *alpha, hx_err *err) {
    axis_list a, b;
    const hx_view *list = list_along(&a, call->attr[0].v.i, &call->in[1]);
    b.one = 1;
    return write_with(with_axis(&a, &call->in[0]), list, (int)call->attr[0].v.i + 1, &call->in[2],
                      with_axis(&b, &call->out[0]), how, alpha, NULL, err);
}

HX_KERNEL(k_index_add) {
    HX_UNUSED;
    return write_along(call, ADD, &call->attr[1], err);
}

HX_KERNEL(k_index_copy) {
    HX_UNUSED;
    return write_along(call, WRITE, NULL, err);
}

HX_KERNEL(k_embedding_backward) {
    HX_UNUSED;
    return write_with(NULL, &call->in[1], 1, &call->in[0], &call->out[0], ADD, NULL, &call->attr[1], err);
}

/* ---- masked_fill ---- */

#define FILL(name, T)                                                                                         \
    static void fill_##name(char **p, const int64_t *step, int64_t n, const void *ctx) {                      \
        T *out = (T *)p[0];                                                                                   \
        const T *in = (const T *)p[1], value = *(const T *)p[3];                                              \
        const uint8_t *mask = (const uint8_t *)p[2];                                                          \
        if (step[0] == sizeof(T) && step[1] == sizeof(T) && step[2] == 1) {                                   \
            for (int64_t i = 0; i < n; i++) out[i] = mask[i] ? value : in[i];                                 \
            return;                                                                                           \
        }                                                                                                     \
        for (int64_t i = 0; i < n; i++)                                                                       \
            *(T *)(p[0] + i * step[0]) = mask[i * step[2]] ? value : *(const T *)(p[1] + i * step[1]);        \
    }
FILL(1, uint8_t)
FILL(2, uint16_t)
FILL(4, uint32_t)
FILL(8, uint64_t)
FILL(16, hx_wide)

HX_KERNEL(k_masked_fill) {
    HX_UNUSED;
    switch (hx_dtype_size((hx_dtype)call->out[0].dtype)) {
    case 1: return hx_iterate(call, fill_1, NULL, err);
    case 2: return hx_iterate(call, fill_2, NULL, err);
    case 4: return hx_iterate(call, fill_4, NULL, err);
    case 8: return hx_iterate(call, fill_8, NULL, err);
    default: return hx_iterate(call, fill_16, NULL, err);
    }
}

HX_KERNELS(index) = {
    KERNEL(index, k_index, HX_SET_ALL),
    KERNEL(index_put, k_index_put, HX_SET_ALL),
    KERNEL_CONTIGUOUS(nonzero_count, k_nonzero_count, HX_SET_ALL),
    KERNEL_CONTIGUOUS(argwhere, k_argwhere, HX_SET_ALL),
    KERNEL(masked_fill, k_masked_fill, HX_SET_ALL),
    KERNEL(index_select, k_index_select, HX_SET_ALL),
    KERNEL(index_add, k_index_add, HX_SET_ALL),
    KERNEL(index_copy, k_index_copy, HX_SET_ALL),
    KERNEL(index_fill, k_index_copy, HX_SET_ALL),
    KERNEL(embedding, k_embedding, HX_SET_INTEGER),
    KERNEL_CONTIGUOUS(embedding_backward, k_embedding_backward, HX_SET_FLOAT | HX_SET_COMPLEX),
    {0},
};
