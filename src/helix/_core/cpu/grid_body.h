/* Sampling plane by plane for one type: T, with NAME(x) as the names of its functions. Included by grid.c after grid_taps.h. */

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

static void NAME(forward)(NAME(job) *job) {
    hx_parallel_range(job->g.batch * job->blocks, NAME(grain)(&job->g, BLOCK * job->g.channels), NAME(read_block), job);
}

static void NAME(backward)(NAME(job) *job) {
    job->groups = (job->g.channels + CHANNELS - 1) / CHANNELS;
    hx_parallel_range(job->g.batch * job->groups, NAME(grain)(&job->g, CHANNELS * job->g.points), NAME(add_channels), job);
    hx_parallel_range(job->g.batch * job->blocks, NAME(grain)(&job->g, BLOCK * job->g.channels), NAME(turn_block), job);
}
