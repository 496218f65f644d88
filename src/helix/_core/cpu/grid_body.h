/* Sampling for one type: T, with NAME(x) as the names of its functions. Included by grid.c. */

/* What one axis has to say about a point: up to 4 indices (-1: outside, reads 0), weights, and their derivatives. */
typedef struct NAME(side) {
    int n;
    int32_t at[4];
    T weight[4], slope[4];
} NAME(side);

/* A block of points: for each tap, where every point reads, its weight, and the weight's derivatives by the axes. */
typedef struct NAME(block) {
    int32_t at[MOST_TAPS][BLOCK];
    T weight[MOST_TAPS][BLOCK], slope[3][MOST_TAPS][BLOCK];
} NAME(block);

/* x within [low, high] mirrored at both ends; *slope: its derivative. */
static T NAME(reflected)(T x, T low, T high, T *slope) {
    if (high <= low) {
        *slope = 0;
        return 0;
    }
    T span = high - low, away = (T)fabs((double)(x - low)), rest = (T)fmod((double)away, (double)span);
    bool even = fmod(floor((double)(away / span)), 2) == 0;
    *slope = (x < low ? -1 : 1) * (even ? 1 : -1);
    return even ? low + rest : high - rest;
}

/* A coordinate brought into the image as the padding says; NaN becomes 0. */
static T NAME(inside)(const geometry *g, T x, int64_t size, T *slope) {
    T factor = 1;
    *slope = 1;
    if (g->outside == ZEROS) return x;
    if (g->outside == REFLECTION)
        x = g->align ? NAME(reflected)(x, 0, (T)(size - 1), &factor)
                     : NAME(reflected)(x, (T)-0.5, (T)size - (T)0.5, &factor);
    bool low = !(x > 0), high = x >= (T)(size - 1);
    *slope = low || high ? 0 : factor;
    return low ? 0 : high ? (T)(size - 1) : x;
}

static int32_t NAME(index)(T x, int64_t size) { return x >= 0 && x <= (T)(size - 1) ? (int32_t)x : -1; }

/* Keys' cubic weights with a = -3/4 at distances 1 + t, t, 1 - t, 2 - t. */
static void NAME(cubic)(T t, T *weight, T *slope) {
    const T a = (T)-0.75, far[2] = {1 + t, 2 - t}, near[2] = {t, 1 - t};
    for (int i = 0; i < 2; i++) {
        T f = far[i], n = near[i], sign = i ? -1 : 1;
        weight[3 * i] = ((a * f - 5 * a) * f + 8 * a) * f - 4 * a;
        slope[3 * i] = sign * ((3 * a * f - 10 * a) * f + 8 * a);
        weight[1 + i] = ((a + 2) * n - (a + 3)) * n * n + 1;
        slope[1 + i] = sign * (3 * (a + 2) * n - 2 * (a + 3)) * n;
    }
}

static void NAME(cubic_side)(const geometry *g, T x, T stretch, int64_t size, NAME(side) *s) {
    T first = (T)floor((double)x), ignored;
    s->n = 4;
    NAME(cubic)(x - first, s->weight, s->slope);
    for (int i = 0; i < 4; i++) {
        T at = NAME(inside)(g, first + (T)(i - 1), size, &ignored);
        s->at[i] = NAME(index)(at, size);
        s->slope[i] *= stretch;
    }
}

/* A number of the grid on an axis of `size` points. */
static NAME(side) NAME(side_of)(const geometry *g, T number, int64_t size) {
    NAME(side) s = {.n = 1};
    T stretch = (g->align ? (T)(size - 1) : (T)size) / 2, x = (number + 1) * stretch - (g->align ? 0 : (T)0.5), slope;
    if (g->mode == BICUBIC) {
        NAME(cubic_side)(g, x, stretch, size, &s);
        return s;
    }
    x = NAME(inside)(g, x, size, &slope);
    if (g->mode == NEAREST) {
        s.at[0] = NAME(index)((T)rint((double)x), size);
        s.weight[0] = 1;
        return s;
    }
    T first = (T)floor((double)x), t = x - first;
    s.n = 2;
    for (int i = 0; i < 2; i++) {
        s.at[i] = NAME(index)(first + (T)i, size);
        s.weight[i] = i ? t : 1 - t;
        s.slope[i] = (i ? 1 : -1) * slope * stretch;
    }
    return s;
}

/* The taps of points [begin, begin + n) of an image; with `slopes` their derivatives too. */
static void NAME(fill)(const geometry *g, const T *grid, int64_t begin, int n, NAME(block) *b, bool slopes) {
    for (int p = 0; p < n; p++) {
        const T *numbers = grid + (begin + p) * g->axes;
        NAME(side) s[3] = {{.n = 1, .weight = {1}}, {.n = 1, .weight = {1}}, {.n = 1, .weight = {1}}};
        int64_t size[3] = {1, 1, 1};
        for (int d = 0; d < g->axes; d++) {
            size[3 - g->axes + d] = g->size[d];
            s[3 - g->axes + d] = NAME(side_of)(g, numbers[g->axes - 1 - d], g->size[d]);
        }
        int tap = 0;
        for (int i = 0; i < s[0].n; i++)
            for (int j = 0; j < s[1].n; j++)
                for (int k = 0; k < s[2].n; k++, tap++) {
                    bool seen = s[0].at[i] >= 0 && s[1].at[j] >= 0 && s[2].at[k] >= 0;
                    T z = s[0].weight[i], y = s[1].weight[j], x = s[2].weight[k];
                    int64_t at = (s[0].at[i] * size[1] + s[1].at[j]) * size[2] + s[2].at[k];
                    b->at[tap][p] = seen ? (int32_t)at : -1;
                    b->weight[tap][p] = z * y * x;
                    if (!slopes) continue;
                    b->slope[0][tap][p] = z * y * s[2].slope[k];
                    b->slope[1][tap][p] = z * s[1].slope[j] * x;
                    b->slope[2][tap][p] = s[0].slope[i] * y * x;
                }
    }
}

typedef struct NAME(job) {
    geometry g;
    const T *input, *grid, *gradient;
    T *out, *grid_gradient;
    int64_t blocks, groups;
} NAME(job);

/* A channel at n points: the sum of `taps` reads, which is a constant where this is inlined. */
HX_ALWAYS void NAME(read_points)(const T *restrict from, T *restrict to, const NAME(block) *b, int n, int taps) {
    int done = NAME(gather_points)(from, to, &b->at[0][0], &b->weight[0][0], n, taps);
    for (int p = done; p < n; p++) {
        T sum = 0;
        for (int t = 0; t < taps; t++) {
            int32_t at = b->at[t][p];
            T value = from[at < 0 ? 0 : at];
            sum += at < 0 ? 0 : b->weight[t][p] * value;
        }
        to[p] = sum;
    }
}

/* One block of points, all channels. */
static void NAME(read_block)(void *ctx, int64_t begin, int64_t end) {
    const NAME(job) *job = ctx;
    const geometry *g = &job->g;
    NAME(block) b;
    int taps = taps_of(g);
    for (int64_t task = begin; task < end; task++) {
        int64_t image = task / job->blocks, first = task % job->blocks * BLOCK;
        int n = (int)(g->points - first < BLOCK ? g->points - first : BLOCK);
        NAME(fill)(g, job->grid + image * g->points * g->axes, first, n, &b, false);
        for (int64_t c = 0; c < g->channels; c++) {
            const T *from = job->input + (image * g->channels + c) * g->plane;
            T *to = job->out + (image * g->channels + c) * g->points + first;
            if (taps == 1) NAME(read_points)(from, to, &b, n, 1);
            else if (taps == 4) NAME(read_points)(from, to, &b, n, 4);
            else if (taps == 8) NAME(read_points)(from, to, &b, n, 8);
            else NAME(read_points)(from, to, &b, n, 16);
        }
    }
}

/* What a group of channels of an image receives; one thread adds in the order of the points. */
static void NAME(add_channels)(void *ctx, int64_t begin, int64_t end) {
    const NAME(job) *job = ctx;
    const geometry *g = &job->g;
    NAME(block) b;
    int taps = taps_of(g);
    for (int64_t task = begin; task < end; task++) {
        int64_t image = task / job->groups, low = task % job->groups * CHANNELS;
        int64_t high = low + CHANNELS < g->channels ? low + CHANNELS : g->channels;
        T *planes = job->out + image * g->channels * g->plane;
        memset(planes + low * g->plane, 0, (size_t)((high - low) * g->plane) * sizeof *planes);
        for (int64_t first = 0; first < g->points; first += BLOCK) {
            int n = (int)(g->points - first < BLOCK ? g->points - first : BLOCK);
            NAME(fill)(g, job->grid + image * g->points * g->axes, first, n, &b, false);
            for (int64_t c = low; c < high; c++) {
                const T *gradient = job->gradient + (image * g->channels + c) * g->points + first;
                T *to = planes + c * g->plane;
                for (int t = 0; t < taps; t++)
                    for (int p = 0; p < n; p++)
                        if (b.at[t][p] >= 0) to[b.at[t][p]] += b.weight[t][p] * gradient[p];
            }
        }
    }
}

/* What the numbers of a block of points receive: sums over channels and taps. */
static void NAME(turn_block)(void *ctx, int64_t begin, int64_t end) {
    const NAME(job) *job = ctx;
    const geometry *g = &job->g;
    NAME(block) b;
    int taps = taps_of(g);
    for (int64_t task = begin; task < end; task++) {
        int64_t image = task / job->blocks, first = task % job->blocks * BLOCK;
        int n = (int)(g->points - first < BLOCK ? g->points - first : BLOCK);
        T sum[3][BLOCK] = {{0}};
        NAME(fill)(g, job->grid + image * g->points * g->axes, first, n, &b, true);
        for (int64_t c = 0; c < g->channels && g->mode != NEAREST; c++) {
            const T *restrict from = job->input + (image * g->channels + c) * g->plane;
            const T *restrict gradient = job->gradient + (image * g->channels + c) * g->points + first;
            for (int t = 0; t < taps; t++)
                for (int p = 0; p < n; p++) {
                    T value = from[b.at[t][p] < 0 ? 0 : b.at[t][p]];
                    value = b.at[t][p] < 0 ? 0 : value * gradient[p];
                    for (int d = 0; d < 3; d++) sum[d][p] += value * b.slope[d][t][p];
                }
        }
        T *to = job->grid_gradient + (image * g->points + first) * g->axes;
        for (int p = 0; p < n; p++)
            for (int d = 0; d < g->axes; d++) to[p * g->axes + d] = sum[d][p];
    }
}

static int64_t NAME(blocks)(const geometry *g) { return (g->points + BLOCK - 1) / BLOCK; }

/* Blocks that are worth a chunk of work of their own. */
static int64_t NAME(grain)(const geometry *g, int64_t items) { return hx_grain(items * taps_of(g) * (int64_t)sizeof(T)); }

static void NAME(forward)(const hx_op_call *call) {
    NAME(job) job = {.g = geometry_of(call), .input = call->in[0].data, .grid = call->in[1].data, .out = call->out[0].data};
    job.blocks = NAME(blocks)(&job.g);
    hx_parallel_range(job.g.batch * job.blocks, NAME(grain)(&job.g, BLOCK * job.g.channels), NAME(read_block), &job);
}

static void NAME(backward)(const hx_op_call *call) {
    NAME(job) job = {.g = geometry_of(call), .input = call->in[0].data, .grid = call->in[1].data,
                     .gradient = call->in[2].data, .out = call->out[0].data, .grid_gradient = call->out[1].data};
    job.blocks = NAME(blocks)(&job.g);
    job.groups = (job.g.channels + CHANNELS - 1) / CHANNELS;
    hx_parallel_range(job.g.batch * job.groups, NAME(grain)(&job.g, CHANNELS * job.g.points), NAME(add_channels), &job);
    hx_parallel_range(job.g.batch * job.blocks, NAME(grain)(&job.g, BLOCK * job.g.channels), NAME(turn_block), &job);
}
