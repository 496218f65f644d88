/* Pooling kernels of one working type. Included by cpu/pool.c once a type with
 *   POOL_TYPE  the working type         POOL(name)  the name with the type's suffix
 *   POOL_LOWEST  the identity of max    POOL_READ, POOL_WRITE  conversion of n elements from and to a view's dtype
 *   POOL_NAN(v)  whether a value is NaN
 *   POOL_SUMS  defined when averages are wanted
 * Windows are separable: the rows of a window are merged first, along whole rows, and the columns of the merged row
 * afterwards. Merged rows carry a border as wide as the padding, so that columns need no bounds. */

/* ---- max ------------------------------------------------------------------------------------------------- */

/* into[j] = max(into[j], row[j]), the first of equal values, and a NaN over everything. */
static void POOL(merge_row)(POOL_TYPE *restrict into, int32_t *restrict at, const POOL_TYPE *restrict row, int32_t base,
                            int64_t n, bool indices) {
    if (!indices) {
        for (int64_t j = 0; j < n; j++) into[j] = row[j] > into[j] || POOL_NAN(row[j]) ? row[j] : into[j];
        return;
    }
    for (int64_t j = 0; j < n; j++) {
        bool take = row[j] > into[j] || POOL_NAN(row[j]);
        into[j] = take ? row[j] : into[j];
        at[j] = take ? base + (int32_t)j : at[j];
    }
}

static ALWAYS_INLINE void POOL(merge_columns)(POOL_TYPE *restrict into, int32_t *restrict at,
                                              const POOL_TYPE *restrict row, const int32_t *restrict row_at,
                                              const int64_t step, int64_t n, bool indices) {
    if (!indices) {
        for (int64_t j = 0; j < n; j++) {
            POOL_TYPE v = row[j * step];
            into[j] = v > into[j] || POOL_NAN(v) ? v : into[j];
        }
        return;
    }
    for (int64_t j = 0; j < n; j++) {
        POOL_TYPE v = row[j * step];
        int32_t v_at = row_at[j * step];
        bool take = v > into[j] || POOL_NAN(v) || (v == into[j] && v_at < at[j]);
        into[j] = take ? v : into[j];
        at[j] = take ? v_at : at[j];
    }
}

static void POOL(max_columns)(const pool_axis *a, const POOL_TYPE *row, const int32_t *row_at, POOL_TYPE *out, int32_t *out_at,
                              bool indices) {
    if (a->adaptive) {
        for (int64_t j = 0; j < a->out; j++) {
            pool_window w = pool_window_at(a, j);
            out[j] = row[w.begin];
            out_at[j] = row_at[w.begin];
            for (int64_t k = w.begin + 1; k < w.end; k++)
                POOL(merge_columns)(out + j, out_at + j, row + k, row_at + k, 1, 1, indices);
        }
        return;
    }
    for (int64_t j = 0; j < a->out; j++) {
        out[j] = row[j * a->stride];
        out_at[j] = row_at[j * a->stride];
    }
    for (int64_t t = 1; t < a->kernel; t++) {
        const POOL_TYPE *from = row + t * a->dilation;
        const int32_t *from_at = row_at + t * a->dilation;
        if (a->stride == 1)
            POOL(merge_columns)(out, out_at, from, from_at, 1, a->out, indices);
        else if (a->stride == 2)
            POOL(merge_columns)(out, out_at, from, from_at, 2, a->out, indices);
        else
            POOL(merge_columns)(out, out_at, from, from_at, a->stride, a->out, indices);
    }
}

static void POOL(max_planes)(void *ctx, int64_t chunk) {
    pool_job *job = ctx;
    const pool_axis *a = job->axis;
    int64_t plane = a[0].in * a[1].in * a[2].in, width = pool_row_width(&a[2]), left = a[2].adaptive ? 0 : a[2].pad;
    size_t bytes = (size_t)(plane + width + a[2].out) * sizeof(POOL_TYPE) + (size_t)(width + a[2].out) * sizeof(int32_t);
    POOL_TYPE *room = hx_pool_alloc(bytes);
    if (!room) {
        atomic_store(&job->failed, true);
        return;
    }
    POOL_TYPE *row = room + plane, *best = row + width;
    int32_t *row_at = (int32_t *)(best + a[2].out), *best_at = row_at + width;
    for (int64_t j = 0; j < width; j++) {
        row[j] = POOL_LOWEST;
        row_at[j] = INT32_MAX;
    }
    int64_t item = chunk * job->grain, end = item + job->grain < job->planes ? item + job->grain : job->planes, o = item * job->out_size;
    for (; item < end; item++) {
        const POOL_TYPE *in = POOL_READ(job->in, item * plane, plane, room);
        for (int64_t z = 0; z < a[0].out; z++)
            for (int64_t y = 0; y < a[1].out; y++, o += a[2].out) {
                pool_window depth = pool_window_at(&a[0], z), height = pool_window_at(&a[1], y);
                bool first = true;
                for (int64_t d = depth.begin; d < depth.end; d += depth.step)
                    for (int64_t h = height.begin; h < height.end; h += height.step, first = false) {
                        int64_t base = (d * a[1].in + h) * a[2].in;
                        if (!first) {
                            POOL(merge_row)(row + left, row_at + left, in + base, (int32_t)base, a[2].in, job->indices);
                            continue;
                        }
                        memcpy(row + left, in + base, (size_t)a[2].in * sizeof *row);
                        if (job->indices)
                            for (int64_t j = 0; j < a[2].in; j++) row_at[left + j] = (int32_t)(base + j);
                    }
                POOL(max_columns)(&a[2], row, row_at, best, best_at, job->indices);
                POOL_WRITE(job->out, o, a[2].out, best);
                if (job->indices) memcpy((int32_t *)job->at->data + o, best_at, (size_t)a[2].out * sizeof *best_at);
            }
    }
    hx_pool_free(room, bytes);
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

static void POOL(average_columns)(const pool_axis *a, const POOL_TYPE *row, POOL_TYPE *out) {
    if (a->adaptive) {
        for (int64_t j = 0; j < a->out; j++) {
            pool_window w = pool_window_at(a, j);
            out[j] = POOL(sum)(row + w.begin, w.end - w.begin);
        }
        return;
    }
    for (int64_t j = 0; j < a->out; j++) out[j] = 0;
    for (int64_t t = 0; t < a->kernel; t++) {
        if (a->stride == 1)
            POOL(add_columns)(out, row + t, 1, a->out);
        else if (a->stride == 2)
            POOL(add_columns)(out, row + t, 2, a->out);
        else
            POOL(add_columns)(out, row + t, a->stride, a->out);
    }
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

static void POOL(average_planes)(void *ctx, int64_t chunk) {
    pool_job *job = ctx;
    const pool_axis *a = job->axis;
    int64_t plane = a[0].in * a[1].in * a[2].in, width = pool_row_width(&a[2]), left = a[2].adaptive ? 0 : a[2].pad;
    size_t bytes = (size_t)(plane + width + 2 * a[2].out) * sizeof(POOL_TYPE);
    POOL_TYPE *room = hx_pool_alloc(bytes);
    if (!room) {
        atomic_store(&job->failed, true);
        return;
    }
    POOL_TYPE *row = room + plane, *best = row + width, *count = best + a[2].out;
    memset(row, 0, (size_t)width * sizeof *row);
    for (int64_t j = 0; j < a[2].out; j++) count[j] = (POOL_TYPE)pool_count(&a[2], j, job->include_pad);
    int64_t item = chunk * job->grain, end = item + job->grain < job->planes ? item + job->grain : job->planes, o = item * job->out_size;
    for (; item < end; item++) {
        const POOL_TYPE *in = POOL_READ(job->in, item * plane, plane, room);
        for (int64_t z = 0; z < a[0].out; z++)
            for (int64_t y = 0; y < a[1].out; y++, o += a[2].out) {
                pool_window depth = pool_window_at(&a[0], z), height = pool_window_at(&a[1], y);
                bool first = true;
                for (int64_t d = depth.begin; d < depth.end; d++)
                    for (int64_t h = height.begin; h < height.end; h++, first = false) {
                        const POOL_TYPE *from = in + (d * a[1].in + h) * a[2].in;
                        if (first)
                            memcpy(row + left, from, (size_t)a[2].in * sizeof *row);
                        else
                            POOL(add_columns)(row + left, from, 1, a[2].in);
                    }
                if (first) memset(row + left, 0, (size_t)a[2].in * sizeof *row);
                POOL(average_columns)(&a[2], row, best);
                POOL_TYPE rows = (POOL_TYPE)(pool_count(&a[0], z, job->include_pad) * pool_count(&a[1], y, job->include_pad));
                if (job->divisor)
                    for (int64_t j = 0; j < a[2].out; j++) best[j] /= (POOL_TYPE)job->divisor;
                else
                    for (int64_t j = 0; j < a[2].out; j++) best[j] /= rows * count[j];
                POOL_WRITE(job->out, o, a[2].out, best);
            }
    }
    hx_pool_free(room, bytes);
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

static void POOL(average_gradient)(void *ctx, int64_t chunk) {
    pool_job *job = ctx;
    const pool_axis *a = job->axis;
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
        memset(out, 0, (size_t)plane * sizeof *out);
        for (int64_t z = 0; z < a[0].out; z++)
            for (int64_t y = 0; y < a[1].out; y++, g += a[2].out) {
                pool_window depth = pool_window_at(&a[0], z), height = pool_window_at(&a[1], y);
                POOL_TYPE rows = job->divisor ? 1
                                              : (POOL_TYPE)(pool_count(&a[0], z, job->include_pad) *
                                                            pool_count(&a[1], y, job->include_pad));
                for (int64_t j = 0; j < a[2].out; j++) share[j] = g[j] / (rows * count[j]);
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
