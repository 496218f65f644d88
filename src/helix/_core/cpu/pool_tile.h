/* Pooling kernels of one working type. Included by cpu/pool.c once a type with
 *   POOL_TYPE  the working type         POOL(name)  the name with the type's suffix
 *   POOL_LOWEST  the identity of max    POOL_READ, POOL_WRITE  conversion of n elements from and to a view's dtype
 *   POOL_NAN(v)  whether a value is NaN
 *   POOL_SUMS  defined when averages are wanted
 * Windows are separable: the rows of a window are merged first, along whole rows, and the columns of the merged row
 * afterwards. Merged rows carry a border as wide as the padding, so that columns need no bounds; a few are held before
 * their columns are read, so that the stores have left the store buffer. */

/* ---- max ------------------------------------------------------------------------------------------------- */

/* Does v take the place of best? The first of equal values stays, and a NaN wins. */
static ALWAYS_INLINE bool POOL(beats)(POOL_TYPE v, POOL_TYPE best) { return (v > best) | POOL_NAN(v); }

/* into[j] = the largest of `count` (1 to 3) rows, and of what is there with `more`; at[j] where it stands; for `lanes`
 * elements from `from` on. Done twice it gives the same. */
static ALWAYS_INLINE void POOL(merge_lanes)(const int lanes, const int count, POOL_TYPE *restrict into, int32_t *restrict at,
                                            const pool_row *rows, int64_t from, const bool more, const bool indices) {
    const POOL_TYPE *restrict first = (const POOL_TYPE *)rows[0].data;
    const POOL_TYPE *restrict second = (const POOL_TYPE *)rows[1].data;
    const POOL_TYPE *restrict third = (const POOL_TYPE *)rows[2].data;
    int32_t base[3];
    for (int r = 0; r < count; r++) base[r] = (int32_t)rows[r].base;
#pragma GCC unroll 1 /* vectors, not copies of the body */
    for (int64_t j = from; j < from + lanes; j++) {
        POOL_TYPE best = more ? into[j] : first[j];
        int32_t place = !indices ? 0 : more ? at[j] : base[0] + (int32_t)j;
#define TAKE(use, row, r)                                                                                     \
    if (use) {                                                                                                \
        bool take = POOL(beats)(row[j], best);                                                                \
        best = take ? row[j] : best;                                                                          \
        if (indices) place = take ? base[r] + (int32_t)j : place;                                             \
    }
        TAKE(more, first, 0)
        TAKE(count > 1, second, 1)
        TAKE(count > 2, third, 2)
#undef TAKE
        into[j] = best;
        if (indices) at[j] = place;
    }
}

/* The same for n elements. */
static ALWAYS_INLINE void POOL(merge_rows)(const int count, POOL_TYPE *restrict into, int32_t *restrict at,
                                           const pool_row *rows, int64_t n, const bool more, const bool indices) {
#define BLOCK(lanes, from) POOL(merge_lanes)(lanes, count, into, at, rows, from, more, indices)
    POOL_BLOCKS(n, BLOCK);
#undef BLOCK
}

#define MERGE(count, more)                                                                                    \
    (indices ? POOL(merge_rows)(count, into, at, rows, n, more, true)                                         \
             : POOL(merge_rows)(count, into, at, rows, n, more, false))
static void POOL(max_rows)(POOL_TYPE *into, int32_t *at, const pool_row *rows, int64_t count, int64_t n, bool indices) {
    if (count == 1)
        MERGE(1, false);
    else if (count == 2)
        MERGE(2, false);
    else if (count >= 3)
        MERGE(3, false);
    for (count -= 3, rows += 3; count > 0; count--, rows++) MERGE(1, true);
}
#undef MERGE

/* Merges two or three neighbouring columns, `stride` apart. */
static ALWAYS_INLINE void POOL(merge_columns)(const int kernel, const int64_t stride, int64_t n, const POOL_TYPE *restrict row,
                                              const int32_t *restrict row_at, POOL_TYPE *restrict out,
                                              int32_t *restrict out_at, const bool indices) {
    for (int64_t j = 0; j < n; j++) {
        POOL_TYPE best = row[j * stride];
        int32_t place = indices ? row_at[j * stride] : 0;
#define TAKE(use, t)                                                                                          \
    if (use) {                                                                                                \
        POOL_TYPE v = row[j * stride + t];                                                                    \
        bool take = POOL(beats)(v, best);                                                                     \
        if (indices) {                                                                                        \
            int32_t v_at = row_at[j * stride + t];                                                            \
            take = take | ((v == best) & (v_at < place));                                                     \
            place = take ? v_at : place;                                                                      \
        }                                                                                                     \
        best = take ? v : best;                                                                               \
    }
        TAKE(kernel > 1, 1)
        TAKE(kernel > 2, 2)
#undef TAKE
        out[j] = best;
        if (indices) out_at[j] = place;
    }
}

/* The same for any window, one column of all windows after another. */
static void POOL(merge_any)(int64_t kernel, int64_t stride, int64_t dilation, int64_t n, const POOL_TYPE *restrict row,
                            const int32_t *restrict row_at, POOL_TYPE *restrict out, int32_t *restrict out_at) {
    for (int64_t j = 0; j < n; j++) {
        out[j] = row[j * stride];
        out_at[j] = row_at[j * stride];
    }
    for (int64_t t = 1; t < kernel; t++)
        for (int64_t j = 0; j < n; j++) {
            POOL_TYPE v = row[j * stride + t * dilation];
            int32_t v_at = row_at[j * stride + t * dilation];
            bool take = POOL(beats)(v, out[j]) | ((v == out[j]) & (v_at < out_at[j]));
            out[j] = take ? v : out[j];
            out_at[j] = take ? v_at : out_at[j];
        }
}

#define MERGE(kernel, stride)                                                                                 \
    (indices ? POOL(merge_columns)(kernel, stride, a->out, row, row_at, out, out_at, true)                    \
             : POOL(merge_columns)(kernel, stride, a->out, row, row_at, out, out_at, false))
static void POOL(max_columns)(const pool_axis *a, const POOL_TYPE *row, const int32_t *row_at, POOL_TYPE *out, int32_t *out_at,
                              bool indices) {
    if (a->adaptive)
        for (int64_t j = 0; j < a->out; j++) {
            pool_window w = pool_window_at(a, j);
            POOL(merge_any)(w.end - w.begin, 1, 1, 1, row + w.begin, row_at + w.begin, out + j, out_at + j);
        }
    else if (a->kernel == 3 && a->stride == 2 && a->dilation == 1)
        MERGE(3, 2);
    else if (a->kernel == 2 && a->stride == 2 && a->dilation == 1)
        MERGE(2, 2);
    else if (a->kernel == 3 && a->stride == 1 && a->dilation == 1)
        MERGE(3, 1);
    else
        POOL(merge_any)(a->kernel, a->stride, a->dilation, a->out, row, row_at, out, out_at);
}
#undef MERGE

static void POOL(max_planes)(void *ctx, int64_t chunk) {
    pool_job *job = ctx;
    const pool_axis *a = job->axis;
    int64_t plane = a[0].in * a[1].in * a[2].in, width = pool_row_width(&a[2]), left = a[2].adaptive ? 0 : a[2].pad;
    int64_t most = pool_most_rows(a), held = POOL_HELD * width;
    int64_t results = POOL_HELD * a[2].out;
    size_t bytes = (size_t)(plane + held + results) * sizeof(POOL_TYPE) + (size_t)(held + results + 1) * sizeof(int32_t) +
                   (size_t)most * sizeof(pool_row);
    POOL_TYPE *room = hx_pool_alloc(bytes);
    if (!room) {
        atomic_store(&job->failed, true);
        return;
    }
    pool_row *rows = (pool_row *)room;
    room = (POOL_TYPE *)(rows + most);
    POOL_TYPE *row = room + plane, *best = row + held;
    int32_t *row_at = (int32_t *)(best + results), *best_at = row_at + held;
    for (int64_t j = 0; j < held; j++) {
        row[j] = POOL_LOWEST;
        row_at[j] = INT32_MAX;
    }
    const bool seamless = pool_is_seamless(&a[2], width);
    int64_t item = chunk * job->grain, end = item + job->grain < job->planes ? item + job->grain : job->planes;
    for (; item < end; item++) {
        const POOL_TYPE *in = POOL_READ(job->in, item * plane, plane, room);
        int64_t o = item * job->out_size, lines = a[0].out * a[1].out;
        for (int64_t first = 0; first < lines; first += POOL_HELD) {
            int64_t n = lines - first < POOL_HELD ? lines - first : POOL_HELD;
            for (int64_t i = 0; i < n; i++) {
                int64_t count = pool_rows(a, first + i, in, sizeof *in, rows);
                POOL(max_rows)(row + i * width + left, row_at + i * width + left, rows, count, a[2].in, job->indices);
            }
            pool_axis columns = a[2];
            columns.out *= seamless ? n : 1;
            for (int64_t i = 0; i < n; i += seamless ? n : 1, o += columns.out) {
                POOL_TYPE *out = POOL_TARGET(job->out, o, best);
                int32_t *at = job->indices ? (int32_t *)job->at->data + o : best_at;
                POOL(max_columns)(&columns, row + i * width, row_at + i * width, out, at, job->indices);
                POOL_WRITE(job->out, o, columns.out, out);
            }
        }
    }
    hx_pool_free(rows, bytes);
}

/* ---- averages and gradients ------------------------------------------------------------------------------ */

#ifdef POOL_SUMS
static POOL_TYPE POOL(sum)(const POOL_TYPE *x, int64_t n) {
    POOL_TYPE part[16] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int k = 0; k < 16; k++) part[k] += x[i + k];
    for (; i < n; i++) sum += x[i];
    for (int k = 0; k < 16; k++) sum += part[k];
    return sum;
}

static ALWAYS_INLINE void POOL(add_columns)(POOL_TYPE *restrict into, const POOL_TYPE *restrict row, const int64_t step,
                                            int64_t n) {
    for (int64_t j = 0; j < n; j++) into[j] += row[j * step];
}

static ALWAYS_INLINE void POOL(add_lanes)(const int lanes, POOL_TYPE *restrict into, const POOL_TYPE *restrict first,
                                          const POOL_TYPE *restrict second) {
#pragma GCC unroll 1 /* vectors, not copies of the body */
    for (int j = 0; j < lanes; j++) into[j] = first[j] + second[j];
}

static void POOL(add_rows)(POOL_TYPE *restrict into, const pool_row *rows, int64_t count, int64_t n) {
    const POOL_TYPE *first = (const POOL_TYPE *)rows[0].data, *second = (const POOL_TYPE *)rows[1].data;
#define BLOCK(lanes, from) POOL(add_lanes)(lanes, into + (from), first + (from), second + (from))
    if (count < 2)
        for (int64_t j = 0; j < n; j++) into[j] = count ? first[j] : 0;
    else
        POOL_BLOCKS(n, BLOCK);
#undef BLOCK
    for (int64_t r = 2; r < count; r++) POOL(add_columns)(into, (const POOL_TYPE *)rows[r].data, 1, n);
}

static ALWAYS_INLINE void POOL(sum_columns)(const int64_t stride, int64_t kernel, int64_t n, const POOL_TYPE *restrict row,
                                            POOL_TYPE *restrict out) {
    int64_t t = kernel < 2 ? 1 : 2;
    if (kernel < 2)
        for (int64_t j = 0; j < n; j++) out[j] = row[j * stride];
    else
        for (int64_t j = 0; j < n; j++) out[j] = row[j * stride] + row[j * stride + 1];
    for (; t < kernel; t++) POOL(add_columns)(out, row + t, stride, n);
}

static void POOL(average_columns)(const pool_axis *a, const POOL_TYPE *row, POOL_TYPE *out) {
    if (a->adaptive)
        for (int64_t j = 0; j < a->out; j++) {
            pool_window w = pool_window_at(a, j);
            out[j] = POOL(sum)(row + w.begin, w.end - w.begin);
        }
    else if (a->stride == 1)
        POOL(sum_columns)(1, a->kernel, a->out, row, out);
    else if (a->stride == 2)
        POOL(sum_columns)(2, a->kernel, a->out, row, out);
    else
        POOL(sum_columns)(a->stride, a->kernel, a->out, row, out);
}

/* One window over each whole plane. */
static void POOL(mean_planes)(void *ctx, int64_t chunk) {
    pool_job *job = ctx;
    int64_t plane = job->plane, size = job->in->dtype == HX_F16 || job->in->dtype == HX_BF16 ? plane : 1;
    POOL_TYPE *room = hx_pool_alloc((size_t)size * sizeof *room);
    if (!room) {
        atomic_store(&job->failed, true);
        return;
    }
    int64_t item = chunk * job->grain, end = item + job->grain < job->planes ? item + job->grain : job->planes;
    for (; item < end; item++) {
        POOL_TYPE mean = POOL(sum)(POOL_READ(job->in, item * plane, plane, room), plane) / (POOL_TYPE)plane;
        POOL_WRITE(job->out, item, 1, &mean);
    }
    hx_pool_free(room, (size_t)size * sizeof *room);
}

/* out[j] = sum[j] / (lines * count[j]) */
static ALWAYS_INLINE void POOL(divide_lanes)(const int lanes, POOL_TYPE *restrict out, const POOL_TYPE *restrict sum,
                                             const POOL_TYPE *restrict count, POOL_TYPE lines) {
#pragma GCC unroll 1 /* vectors, not copies of the body */
    for (int j = 0; j < lanes; j++) out[j] = sum[j] / (lines * count[j]);
}

static void POOL(average_planes)(void *ctx, int64_t chunk) {
    pool_job *job = ctx;
    const pool_axis *a = job->axis;
    int64_t plane = a[0].in * a[1].in * a[2].in, width = pool_row_width(&a[2]), left = a[2].adaptive ? 0 : a[2].pad;
    int64_t most = pool_most_rows(a), held = POOL_HELD * width;
    int64_t results = POOL_HELD * a[2].out;
    size_t bytes = (size_t)(plane + held + results + 2 * a[2].out) * sizeof(POOL_TYPE) + (size_t)most * sizeof(pool_row);
    pool_row *rows = hx_pool_alloc(bytes);
    if (!rows) {
        atomic_store(&job->failed, true);
        return;
    }
    POOL_TYPE *room = (POOL_TYPE *)(rows + most), *row = room + plane, *sums = row + held, *best = sums + results;
    POOL_TYPE *count = best + a[2].out;
    const bool seamless = pool_is_seamless(&a[2], width);
    memset(row, 0, (size_t)held * sizeof *row);
    for (int64_t j = 0; j < a[2].out; j++)
        count[j] = job->divisor ? (POOL_TYPE)job->divisor : (POOL_TYPE)pool_count(&a[2], j, job->include_pad);
    int64_t item = chunk * job->grain, end = item + job->grain < job->planes ? item + job->grain : job->planes;
    for (; item < end; item++) {
        const POOL_TYPE *in = POOL_READ(job->in, item * plane, plane, room);
        int64_t o = item * job->out_size, lines = a[0].out * a[1].out;
        for (int64_t first = 0; first < lines; first += POOL_HELD) {
            int64_t n = lines - first < POOL_HELD ? lines - first : POOL_HELD;
            for (int64_t i = 0; i < n; i++) {
                int64_t used = pool_rows(a, first + i, in, sizeof *in, rows);
                POOL(add_rows)(row + i * width + left, rows, used, a[2].in);
            }
            pool_axis columns = a[2];
            columns.out *= seamless ? n : 1;
            for (int64_t i = 0; i < n; i += seamless ? n : 1)
                POOL(average_columns)(&columns, row + i * width, sums + i * a[2].out);
            for (int64_t i = 0; i < n; i++, o += a[2].out) {
                POOL_TYPE *out = POOL_TARGET(job->out, o, best);
                const POOL_TYPE *sum = sums + i * a[2].out;
                int64_t z = (first + i) / a[1].out, y = (first + i) % a[1].out;
                int64_t counted = pool_count(&a[0], z, job->include_pad) * pool_count(&a[1], y, job->include_pad);
                POOL_TYPE lines_of = job->divisor ? 1 : (POOL_TYPE)counted;
#define BLOCK(lanes, from) POOL(divide_lanes)(lanes, out + (from), sum + (from), count + (from), lines_of)
                POOL_BLOCKS(a[2].out, BLOCK);
#undef BLOCK
                POOL_WRITE(job->out, o, a[2].out, out);
            }
        }
    }
    hx_pool_free(rows, bytes);
}

/* row[j * stride + t] += g[j] for every tap t: the transpose of summing columns. */
static void POOL(spread_columns)(const pool_axis *a, const POOL_TYPE *restrict g, POOL_TYPE *restrict row) {
    if (a->adaptive) {
        for (int64_t j = 0; j < a->out; j++) {
            pool_window w = pool_window_at(a, j);
            for (int64_t k = w.begin; k < w.end; k++) row[k] += g[j];
        }
        return;
    }
    int64_t t = 0;
    for (; a->stride == 2 && t + 2 <= a->kernel; t += 2)
        for (int64_t j = 0; j < a->out; j++) {
            row[2 * j + t] += g[j];
            row[2 * j + t + 1] += g[j];
        }
    for (; t < a->kernel; t++) {
        if (a->stride == 1)
            POOL(add_columns)(row + t, g, 1, a->out);
        else
            for (int64_t j = 0; j < a->out; j++) row[j * a->stride + t] += g[j];
    }
}

/* to[j * kernel + t] = g[j] for every tap t */
static ALWAYS_INLINE void POOL(repeat_columns)(const int64_t kernel, int64_t n, const POOL_TYPE *restrict g,
                                               POOL_TYPE *restrict to) {
    for (int64_t j = 0; j < n; j++)
        for (int64_t t = 0; t < kernel; t++) to[j * kernel + t] = g[j];
}

/* Windows side by side: every place receives from one at most, so that a line is written once and copied. */
static void POOL(spread_apart)(const pool_axis *a, int64_t depth, int64_t height, const POOL_TYPE *share, POOL_TYPE *out) {
    int64_t plane = a[1].in * a[2].in, used = a[2].out * a[2].kernel;
    POOL_TYPE *first = out + depth * a[0].kernel * plane + height * a[1].kernel * a[2].in;
    if (a[2].kernel == 2) POOL(repeat_columns)(2, a[2].out, share, first);
    else POOL(repeat_columns)(a[2].kernel, a[2].out, share, first);
    memset(first + used, 0, (size_t)(a[2].in - used) * sizeof *first);
    for (int64_t d = 0; d < a[0].kernel; d++)
        for (int64_t h = 0; h < a[1].kernel; h++)
            if (d || h) memcpy(first + d * plane + h * a[2].in, first, (size_t)a[2].in * sizeof *first);
}

static void POOL(average_gradient)(void *ctx, int64_t chunk) {
    pool_job *job = ctx;
    const pool_axis *a = job->axis;
    const bool apart = pool_is_apart(&a[0]) && pool_is_apart(&a[1]) && pool_is_apart(&a[2]);
    const bool covered = apart && a[0].out * a[0].kernel == a[0].in && a[1].out * a[1].kernel == a[1].in;
    int64_t plane = a[0].in * a[1].in * a[2].in, width = pool_row_width(&a[2]), left = a[2].adaptive ? 0 : a[2].pad;
    size_t bytes = (size_t)(plane + job->out_size + width + 2 * a[2].out) * sizeof(POOL_TYPE);
    POOL_TYPE *room = hx_pool_alloc(bytes);
    if (!room) {
        atomic_store(&job->failed, true);
        return;
    }
    POOL_TYPE *held = room + plane, *row = held + job->out_size, *share = row + width, *count = share + a[2].out;
    for (int64_t j = 0; j < a[2].out; j++)
        count[j] = job->divisor ? (POOL_TYPE)job->divisor : (POOL_TYPE)pool_count(&a[2], j, job->include_pad);
    int64_t item = chunk * job->grain, end = item + job->grain < job->planes ? item + job->grain : job->planes;
    for (; item < end; item++) {
        const POOL_TYPE *g = POOL_READ(job->in, item * job->out_size, job->out_size, held);
        POOL_TYPE *out = POOL_TARGET(job->out, item * plane, room);
        if (!covered) memset(out, 0, (size_t)plane * sizeof *out);
        for (int64_t z = 0; z < a[0].out; z++)
            for (int64_t y = 0; y < a[1].out; y++, g += a[2].out) {
                pool_window depth = pool_window_at(&a[0], z), height = pool_window_at(&a[1], y);
                POOL_TYPE rows = job->divisor ? 1
                                              : (POOL_TYPE)(pool_count(&a[0], z, job->include_pad) *
                                                            pool_count(&a[1], y, job->include_pad));
                for (int64_t j = 0; j < a[2].out; j++) share[j] = g[j] / (rows * count[j]);
                if (apart) {
                    POOL(spread_apart)(a, z, y, share, out);
                    continue;
                }
                memset(row, 0, (size_t)width * sizeof *row);
                POOL(spread_columns)(&a[2], share, row);
                for (int64_t d = depth.begin; d < depth.end; d++)
                    for (int64_t h = height.begin; h < height.end; h++)
                        POOL(add_columns)(out + (d * a[1].in + h) * a[2].in, row + left, 1, a[2].in);
            }
        POOL_WRITE(job->out, item * plane, plane, out);
    }
    hx_pool_free(room, bytes);
}

static void POOL(max_gradient)(void *ctx, int64_t chunk) {
    pool_job *job = ctx;
    int64_t plane = job->plane;
    size_t bytes = (size_t)(plane + job->out_size) * sizeof(POOL_TYPE);
    POOL_TYPE *room = hx_pool_alloc(bytes);
    if (!room) {
        atomic_store(&job->failed, true);
        return;
    }
    int64_t item = chunk * job->grain, end = item + job->grain < job->planes ? item + job->grain : job->planes;
    for (; item < end; item++) {
        const POOL_TYPE *g = POOL_READ(job->in, item * job->out_size, job->out_size, room + plane);
        const int32_t *at = (const int32_t *)job->at->data + item * job->out_size;
        POOL_TYPE *out = POOL_TARGET(job->out, item * plane, room);
        memset(out, 0, (size_t)plane * sizeof *out);
        for (int64_t i = 0; i < job->out_size; i++) out[at[i]] += g[i];
        POOL_WRITE(job->out, item * plane, plane, out);
    }
    hx_pool_free(room, bytes);
}
#endif
