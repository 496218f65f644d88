/* Sampling with channels side by side, for one type: T with registers V, and NAME(x) as the names of its functions. Included by
 * grid.c after grid_body.h. The channels of an image come in groups of one or two registers; each group is turned into rows
 * (one a place of the image, and one of zeros for what lies outside), so that a tap is a read of a row at one address. */

typedef struct NAME(group) {
    NAME(job) job;
    int registers;
    int64_t groups, rows, first, units; /* groups of an image, rows of one; the units that are worked on */
    T *near, *sums;
    char *rooms;
    int64_t room;
} NAME(group);

enum { NAME(LANES) = HX_LANE_BYTES / sizeof(T) };

static int64_t NAME(width)(const NAME(group) *j) { return j->registers * NAME(LANES); }

/* tile[c] is number c of every row, 0 where there is none; row r begins r * step from p. */
static void NAME(load_tile)(const T *p, int64_t step, int64_t rows, int64_t n, V *tile) {
    enum { L = NAME(LANES) };
    if (rows >= L && n >= L) {
        LOAD_TURNED(p, step, tile);
        return;
    }
    for (int c = 0; c < L; c++)
        for (int r = 0; r < L; r++) tile[c][r] = c < n && r < rows ? p[r * step + c] : 0;
}
static void NAME(store_tile)(T *p, int64_t step, int64_t rows, int64_t n, const V *tile) {
    enum { L = NAME(LANES) };
    if (rows >= L && n >= L) {
        STORE_TURNED(p, step, tile);
        return;
    }
    for (int c = 0; c < L && c < n; c++)
        for (int r = 0; r < L && r < rows; r++) p[r * step + c] = tile[c][r];
}

/* Number of the first channel of a unit among those of all images, and how many it has. */
static int64_t NAME(channel_of)(const NAME(group) *j, int64_t unit, int64_t *n) {
    int64_t low = unit % j->groups * NAME(width)(j), left = j->job.g.channels - low;
    *n = left < NAME(width)(j) ? left : NAME(width)(j);
    return unit / j->groups * j->job.g.channels + low;
}

/* Places [begin, end) of an image's channels as rows, or rows as channels. */
static void NAME(as_rows)(const NAME(group) *j, int64_t unit, int64_t begin, int64_t end, T *rows) {
    enum { L = NAME(LANES) };
    int64_t channels, plane = j->job.g.plane, width = NAME(width)(j);
    const T *from = j->job.input + NAME(channel_of)(j, unit, &channels) * plane;
    for (int64_t at = begin; at < end; at += L)
        for (int r = 0; r < j->registers; r++) {
            V tile[L];
            NAME(load_tile)(from + r * L * plane + at, plane, channels - r * L, end - at, tile);
            for (int c = 0; c < L && c < end - at; c++) STORE(rows + (at + c) * width + r * L, tile[c]);
        }
}
static void NAME(as_channels)(const NAME(group) *j, int64_t unit, const T *rows) {
    enum { L = NAME(LANES) };
    int64_t channels, plane = j->job.g.plane, width = NAME(width)(j);
    T *to = j->job.out + NAME(channel_of)(j, unit, &channels) * plane;
    for (int64_t at = 0; at < plane; at += L)
        for (int r = 0; r < j->registers; r++) {
            V tile[L] = {{0}};
            for (int c = 0; c < L && c < plane - at; c++) tile[c] = LOAD(rows + (at + c) * width + r * L);
            NAME(store_tile)(to + r * L * plane + at, plane, channels - r * L, plane - at, tile);
        }
}

HX_ALWAYS int64_t NAME(row_at)(const geometry *g, int32_t at) { return at < 0 ? g->plane : at; }

/* ---- forward ---- */

/* n points, from number `from` of a block on. */
HX_ALWAYS void NAME(read_rows)(const geometry *g, const T *near, const NAME(block) *b, int from, int n, int taps, int registers,
                               V (*tile)[NAME(LANES)]) {
    enum { L = NAME(LANES) };
    for (int p = 0; p < n; p++) {
        V sum[2] = {{0}};
        for (int t = 0; t < taps; t++) {
            const T *row = near + NAME(row_at)(g, b->at[t][from + p]) * registers * L;
            for (int r = 0; r < registers; r++) sum[r] += LOAD(row + r * L) * ALL(b->weight[t][from + p]);
        }
        for (int r = 0; r < registers; r++) tile[r][p] = sum[r];
    }
}

static void NAME(read_points_of)(const NAME(group) *j, int64_t unit, const T *near, int64_t first, NAME(block) *b) {
    enum { L = NAME(LANES) };
    const geometry *g = &j->job.g;
    int64_t channels, low = NAME(channel_of)(j, unit, &channels);
    int n = (int)(g->points - first < BLOCK ? g->points - first : BLOCK), taps = taps_of(g);
    NAME(fill)(g, j->job.grid + unit / j->groups * g->points * g->axes, first, n, b, false);
    for (int p = 0; p < n; p += L) {
        V tile[2][L];
        int some = n - p < L ? n - p : L;
        if (j->registers == 1) NAME(read_rows)(g, near, b, p, some, taps, 1, tile);
        else if (taps == 4) NAME(read_rows)(g, near, b, p, some, 4, 2, tile);
        else NAME(read_rows)(g, near, b, p, some, taps, 2, tile);
        for (int r = 0; r < j->registers; r++)
            NAME(store_tile)(j->job.out + (low + r * L) * g->points + first + p, g->points, channels - r * L, some, tile[r]);
    }
}

enum { NAME(TURNED) = 1024 }; /* places that are turned at a time */

static void NAME(turn_places)(void *ctx, int64_t begin, int64_t end) {
    const NAME(group) *j = ctx;
    int64_t plane = j->job.g.plane, parts = plane / NAME(TURNED) + 1;
    for (int64_t task = begin; task < end; task++) {
        int64_t unit = task / parts, from = task % parts * NAME(TURNED), to = from + NAME(TURNED);
        T *rows = j->near + unit * j->rows * NAME(width)(j);
        NAME(as_rows)(j, j->first + unit, from, to < plane ? to : plane, rows);
        if (from == 0) memset(rows + plane * NAME(width)(j), 0, (size_t)NAME(width)(j) * sizeof(T));
    }
}

static void NAME(read_blocks)(void *ctx, int64_t begin, int64_t end) {
    const NAME(group) *j = ctx;
    NAME(block) b;
    for (int64_t task = begin; task < end; task++) {
        int64_t unit = task / j->job.blocks;
        const T *near = j->near + unit * j->rows * NAME(width)(j);
        NAME(read_points_of)(j, j->first + unit, near, task % j->job.blocks * BLOCK, &b);
    }
}

/* As many units at a time as fit `TURNED_BYTES`. */
static bool NAME(read_by_groups)(NAME(group) *j) {
    int64_t unit = j->rows * NAME(width)(j) * (int64_t)sizeof(T), all = j->job.g.batch * j->groups, bytes;
    int64_t most = unit < TURNED_BYTES ? TURNED_BYTES / unit : 1;
    most = most < all ? most : all;
    if (!hx_mul_ok(most, unit, &bytes)) return false;
    j->near = hx_pool_alloc((size_t)bytes);
    if (!j->near) return false;
    for (j->first = 0; j->first < all; j->first += most) {
        j->units = all - j->first < most ? all - j->first : most;
        hx_parallel_range(j->units * (j->job.g.plane / NAME(TURNED) + 1), 1, NAME(turn_places), j);
        hx_parallel_range(j->units * j->job.blocks, 4, NAME(read_blocks), j);
    }
    hx_pool_free(j->near, (size_t)bytes);
    return true;
}

/* ---- backward ---- */

/* n points give what they received to their taps, and learn how much each number of the grid changes: slope[d][p] summed. */
HX_ALWAYS void NAME(give_rows)(const geometry *g, const T *near, T *far, const NAME(block) *b, int from, int n, int registers,
                               int axes, V (*received)[NAME(LANES)], V (*slope)[NAME(LANES)]) {
    enum { L = NAME(LANES) };
    for (int p = 0; p < n; p++) {
        V by[3][2] = {{{0}}};
        for (int t = 0; t < taps_of(g); t++) {
            int64_t row = NAME(row_at)(g, b->at[t][from + p]) * registers * L;
            for (int r = 0; r < registers; r++) {
                T *to = far + row + r * L;
                STORE(to, LOAD(to) + received[r][p] * ALL(b->weight[t][from + p]));
                for (int d = 0; d < axes; d++) by[d][r] += LOAD(near + row + r * L) * ALL(b->slope[d][t][from + p]);
            }
        }
        for (int d = 0; d < axes; d++) {
            slope[d][p] = received[0][p] * by[d][0];
            if (registers == 2) slope[d][p] += received[1][p] * by[d][1];
        }
    }
}

/* The sums over the lanes of L registers. */
static V NAME(sum_of_lanes)(const V *x) {
    enum { L = NAME(LANES) };
    V tile[L], sum = {0};
    NAME(load_tile)((const T *)x, L, L, L, tile);
    for (int i = 0; i < L; i++) sum += tile[i];
    return sum;
}

static void NAME(give_points)(const NAME(group) *j, int64_t unit, const T *near, T *far, int64_t first, NAME(block) *b) {
    enum { L = NAME(LANES) };
    const geometry *g = &j->job.g;
    int64_t channels, low = NAME(channel_of)(j, unit, &channels);
    int n = (int)(g->points - first < BLOCK ? g->points - first : BLOCK), axes = g->mode == NEAREST ? 0 : g->axes;
    NAME(fill)(g, j->job.grid + unit / j->groups * g->points * g->axes, first, n, b, axes > 0);
    for (int p = 0; p < n; p += L) {
        V received[2][L], slope[3][L] = {{{0}}};
        int some = n - p < L ? n - p : L;
        for (int r = 0; r < j->registers; r++)
            NAME(load_tile)(j->job.gradient + (low + r * L) * g->points + first + p, g->points, channels - r * L, some, received[r]);
        if (axes == 2 && j->registers == 2) NAME(give_rows)(g, near, far, b, p, some, 2, 2, received, slope);
        else if (axes == 2) NAME(give_rows)(g, near, far, b, p, some, 1, 2, received, slope);
        else NAME(give_rows)(g, near, far, b, p, some, j->registers, axes, received, slope);
        for (int d = 0; d < axes; d++) {
            V sum = NAME(sum_of_lanes)(slope[d]);
            T *to = j->sums + (unit * g->points + first + p) * axes + d;
            for (int i = 0; i < some; i++) to[i * axes] = sum[i];
        }
    }
}

static void NAME(give_unit)(void *ctx, int64_t unit, int room) {
    const NAME(group) *j = ctx;
    const geometry *g = &j->job.g;
    int64_t values = j->rows * NAME(width)(j);
    T *near = (T *)(j->rooms + room * j->room), *far = near + values;
    NAME(block) b;
    if (g->mode != NEAREST) {
        NAME(as_rows)(j, unit, 0, g->plane, near);
        memset(near + g->plane * NAME(width)(j), 0, (size_t)NAME(width)(j) * sizeof(T));
    }
    memset(far, 0, (size_t)values * sizeof(T));
    for (int64_t first = 0; first < g->points && !hx_stopped(); first += BLOCK) NAME(give_points)(j, unit, near, far, first, &b);
    NAME(as_channels)(j, unit, far);
}

/* What groups say of the grid's numbers, in their order. */
static void NAME(add_groups)(void *ctx, int64_t begin, int64_t end) {
    const NAME(group) *j = ctx;
    int64_t numbers = j->job.g.points * j->job.g.axes;
    for (int64_t i = begin; i < end; i++) {
        const T *part = j->sums + i / numbers * j->groups * numbers + i % numbers;
        T sum = 0;
        for (int64_t k = 0; k < j->groups; k++) sum += part[k * numbers];
        j->job.grid_gradient[i] = sum;
    }
}

static bool NAME(give_by_groups)(NAME(group) *j) {
    const geometry *g = &j->job.g;
    int64_t units = g->batch * j->groups, threads = hx_threads_get(), rooms = units < threads ? units : threads;
    int64_t numbers = g->batch * g->points * g->axes, bytes, sums = 0;
    if (!hx_mul_ok(2 * j->rows * NAME(width)(j), (int64_t)sizeof(T), &j->room) || !hx_mul_ok(j->room, rooms, &bytes)) return false;
    bool apart = g->mode != NEAREST && j->groups > 1;
    if (apart && !hx_mul_ok(numbers * (int64_t)sizeof(T), j->groups, &sums)) return false;
    j->rooms = hx_pool_alloc((size_t)bytes);
    j->sums = apart ? hx_pool_alloc((size_t)sums) : j->job.grid_gradient;
    bool done = j->rooms && j->sums;
    if (done) hx_parallel_rooms(units, (int)rooms, NAME(give_unit), j);
    if (done && g->mode == NEAREST) memset(j->job.grid_gradient, 0, (size_t)numbers * sizeof(T));
    if (done && apart) hx_parallel_range(numbers, 16384, NAME(add_groups), j);
    if (apart && j->sums) hx_pool_free(j->sums, (size_t)sums);
    if (j->rooms) hx_pool_free(j->rooms, (size_t)bytes);
    return done;
}

/* ---- calls ---- */

/* Registers of a group; 0 where planes are better: few channels, few points of a large image, or one tap to read. */
static int NAME(registers_for)(const geometry *g, bool backward) {
    int64_t lanes = NAME(LANES), units = g->batch * ((g->channels + 2 * lanes - 1) / (2 * lanes));
    if (g->channels < lanes / 2 || g->points < g->plane / 4 || g->plane > MOST_ROWS) return 0;
    if (!backward && (g->mode == NEAREST || (g->mode == BILINEAR && g->channels < lanes))) return 0;
    return g->channels <= lanes || (backward && units < 4) ? 1 : 2;
}

static bool NAME(run)(const hx_op_call *call, bool backward) {
    NAME(group) j = {.job = {.g = geometry_of(call), .input = call->in[0].data, .grid = call->in[1].data, .out = call->out[0].data}};
    const geometry *g = &j.job.g;
    j.job.blocks = NAME(blocks)(g);
    if (backward) {
        j.job.gradient = call->in[2].data;
        j.job.grid_gradient = call->out[1].data;
    }
    j.registers = g->points ? NAME(registers_for)(g, backward) : 0;
    if (!j.registers) {
        if (backward) NAME(backward)(&j.job);
        else NAME(forward)(&j.job);
        return true;
    }
    j.groups = (g->channels + NAME(width)(&j) - 1) / NAME(width)(&j);
    j.rows = g->plane + 1;
    return backward ? NAME(give_by_groups)(&j) : NAME(read_by_groups)(&j);
}
