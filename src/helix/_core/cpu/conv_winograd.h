/* Convolutions of 3 x 3 taps and stride 1 in tiles of 4 x 4 results, with a quarter of the products (Lavin and Gray, "Fast
 * algorithms for convolutional neural networks", CVPR 2016): a tile of 6 x 6 sources and the taps are both evaluated at the
 * points 0, +-A, +-B and infinity on each axis, multiplied there, and interpolated. Included by cpu/conv.c after
 * conv_tile.h; float32.
 *
 * A = 5/8, B = 3/2 make every constant of sources and results exact and keep rounding errors near those of the plain sum
 * (1.7 times in the mean, measured for 64 channels of normal numbers; the usual 1 and 2 give 4 times). The error of a
 * result is relative to the largest source of its tile, not of its window: below 1e-6 of that times the sum of the
 * absolute weights in the tests. Where anything comes out infinite or NaN, the plain sum is taken for all. */

#define POINT_A 0.625f
#define POINT_B 1.5f
#define SQUARE(x) ((x) * (x))
enum { WINOGRAD_POINTS = 36, WINOGRAD_BYTES = 640 << 10, WINOGRAD_TASKS = 8, WINOGRAD_CHANNELS = 128 };

typedef struct winograd_job {
    const conv_plan *p;
    const float *src, *weight;
    const float *bias; /* in whole vectors for each group; NULL: none */
    float *dst, *points;      /* weights at the points: [group][point][panel][channel][lane] */
    int64_t at[9];            /* which tap stands at each place of the window */
    int64_t low[2];           /* first source row and column of result 0 */
    int64_t height, width;    /* tiles of an image */
    int64_t images, rows, columns, row_blocks, column_blocks, image_blocks; /* tiles of a block, and blocks */
    int64_t kc, m, panels;    /* channels in whole vectors; panels of a packed product */
    int64_t parts, part;      /* parts of the panels where there are few blocks, and panels of one */
    atomic_bool *failed, unusual;
} winograd_job;

/* The six values of one axis: of the source at the points, */
static ALWAYS_INLINE void winograd_source(const vec_f32 *d, vec_f32 *v) {
    const float a = SQUARE(POINT_A), b = SQUARE(POINT_B);
    vec_f32 even = d[4] - b * d[2], odd = POINT_A * (d[3] - b * d[1]);
    vec_f32 even2 = d[4] - a * d[2], odd2 = POINT_B * (d[3] - a * d[1]);
    v[0] = a * b * d[0] - (a + b) * d[2] + d[4];
    v[1] = even + odd;
    v[2] = even - odd;
    v[3] = even2 + odd2;
    v[4] = even2 - odd2;
    v[5] = a * b * d[1] - (a + b) * d[3] + d[5];
}

/* of three taps at the points, */
static ALWAYS_INLINE void winograd_taps(const vec_f32 *g, vec_f32 *u) {
    const float a = SQUARE(POINT_A), b = SQUARE(POINT_B), by = 1 / (2 * (a - b));
    vec_f32 even = (g[0] + a * g[2]) * (by / a), odd = g[1] * (by / POINT_A);
    vec_f32 even2 = (g[0] + b * g[2]) * (-by / b), odd2 = g[1] * (-by / POINT_B);
    u[0] = g[0] * (1 / (a * b));
    u[1] = even + odd;
    u[2] = even - odd;
    u[3] = even2 + odd2;
    u[4] = even2 - odd2;
    u[5] = g[2];
}

/* and four results from products at the points. */
static ALWAYS_INLINE void winograd_result(const vec_f32 *x, vec_f32 *y) {
    const float a = SQUARE(POINT_A), b = SQUARE(POINT_B);
    vec_f32 even = x[1] + x[2], odd = POINT_A * (x[1] - x[2]), even2 = x[3] + x[4], odd2 = POINT_B * (x[3] - x[4]);
    y[0] = x[0] + even + even2;
    y[1] = odd + odd2;
    y[2] = a * even + b * even2;
    y[3] = x[5] + a * odd + b * odd2;
}

/* Weights of one channel of a group, for all its results. One item is a channel of a group. */
static void winograd_weights(void *ctx, int64_t begin, int64_t end) {
    const winograd_job *job = ctx;
    const conv_plan *p = job->p;
    int64_t lanes = hx_gemm_width(HX_F32), point_size = job->panels * p->kc * lanes;
    for (int64_t item = begin; item < end; item++) {
        int64_t g = item / p->kc, c = item % p->kc;
        const float *from = job->weight + g * p->w_group + c * p->w_c;
        float *to = job->points + g * WINOGRAD_POINTS * point_size + c * lanes;
        for (int64_t m = 0; m < job->panels * lanes; m += lanes_f32) {
            vec_f32 taps[9], rows[3][6], u[6];
            for (int t = 0; t < 9; t++) {
                float lane[lanes_f32];
                for (int i = 0; i < lanes_f32; i++) lane[i] = m + i < p->m ? from[(m + i) * p->w_m + job->at[t]] : 0;
                taps[t] = load_f32(lane);
            }
            for (int i = 0; i < 3; i++) winograd_taps(taps + 3 * i, rows[i]);
            for (int j = 0; j < 6; j++) {
                winograd_taps((vec_f32[3]){rows[0][j], rows[1][j], rows[2][j]}, u);
                for (int i = 0; i < 6; i++)
                    store_f32(to + (i * 6 + j) * point_size + m / lanes * p->kc * lanes + m % lanes, u[i]);
            }
        }
    }
}

/* The source of a block with its border of zeros, channels adjacent: x[image][row][column][channel]. */
static void winograd_fill(const winograd_job *job, const conv_block *b, int64_t g, float *x) {
    const conv_plan *p = job->p;
    int64_t height = 4 * b->rows + 2, width = 4 * b->columns + 2, plane = p->src[1] * p->src[2], column0, column1;
    int64_t y = 4 * b->row + job->low[0], left = 4 * b->column + job->low[1];
    conv_inside(left, 1, width, p->src[2], &column0, &column1);
    for (int64_t i = 0; i < b->images * height; i++, y++, x += width * job->kc) {
        if (i && i % height == 0) y -= height;
        bool outside = y < 0 || y >= p->src[1] || column0 == column1;
        int64_t first = outside ? width : column0, last = outside ? width : column1;
        memset(x, 0, (size_t)(first * job->kc) * sizeof *x);
        memset(x + last * job->kc, 0, (size_t)((width - last) * job->kc) * sizeof *x);
        const float *from = job->src + ((b->image + i / height) * p->groups + g) * p->kc * plane + y * p->src[2] + left + first;
        for (int64_t c = 0; first < last && c < job->kc; c += lanes_f32)
            transpose_f32(x + first * job->kc + c, job->kc, from + c * plane, plane, at_most(lanes_f32, p->kc - c), last - first);
    }
}

/* v[point][tile][channel] */
static void winograd_sources(const winograd_job *job, const conv_block *b, const float *x, float *v, int64_t point_size) {
    int64_t height = 4 * b->rows + 2, width = 4 * b->columns + 2;
    for (int64_t t = 0; t < b->images * b->rows * b->columns; t++) {
        int64_t image = t / (b->rows * b->columns), row = t / b->columns % b->rows, column = t % b->columns;
        const float *tile = x + ((image * height + 4 * row) * width + 4 * column) * job->kc;
        for (int64_t c = 0; c < job->kc; c += lanes_f32) {
            vec_f32 d[6][6], u[6];
            UNROLL for (int i = 0; i < 6; i++) {
                vec_f32 line[6];
                UNROLL for (int j = 0; j < 6; j++) line[j] = load_f32(tile + (i * width + j) * job->kc + c);
                winograd_source(line, d[i]);
            }
            UNROLL for (int j = 0; j < 6; j++) {
                winograd_source((vec_f32[6]){d[0][j], d[1][j], d[2][j], d[3][j], d[4][j], d[5][j]}, u);
                UNROLL for (int i = 0; i < 6; i++) store_f32(v + (i * 6 + j) * point_size + t * job->kc + c, u[i]);
            }
        }
    }
}

/* Writes a tile, square[result][channel], to where it belongs: channel i's results go to out + i * volume. */
static void winograd_put(const float *square, float *out, int64_t volume, int64_t pitch, int64_t channels, int64_t rows,
                         int64_t columns) {
#ifdef HX_ISA_AVX512
    float turned[16 * 16];
    transpose_16x16(turned, 16, square, 16, 16, 16);
    if (rows == 4 && columns == 4) {
        for (int64_t i = 0; i < channels; i++, out += volume)
            UNROLL for (int r = 0; r < 4; r++) _mm_storeu_ps(out + r * pitch, _mm_loadu_ps(turned + 16 * i + 4 * r));
        return;
    }
    const int64_t channel = 16, result = 1;
    square = turned;
#else
    const int64_t channel = 1, result = lanes_f32;
#endif
    for (int64_t i = 0; i < channels; i++)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t j = 0; j < columns; j++)
                out[i * volume + r * pitch + j] = square[i * channel + (4 * r + j) * result];
}

/* Results from products[point][tile][channel] of channels [m0, m1). Returns whether all are finite. */
static bool winograd_results(const winograd_job *job, const conv_block *b, int64_t g, int64_t m0, int64_t m1,
                             const float *products, int64_t point_size) {
    const conv_plan *p = job->p;
    int64_t volume = p->dst[1] * p->dst[2];
    vec_f32 zero = {0};
    for (int64_t t = 0; t < b->images * b->rows * b->columns; t++) {
        int64_t image = b->image + t / (b->rows * b->columns), row = 4 * (b->row + t / b->columns % b->rows);
        int64_t column = 4 * (b->column + t % b->columns);
        float *out = job->dst + (image * p->groups + g) * p->m * volume + row * p->dst[2] + column;
        for (int64_t m = m0; m < at_most(m1, p->m); m += lanes_f32) {
            vec_f32 columns[6][4], y[4], add = job->bias ? load_f32(job->bias + g * job->m + m) : (vec_f32){0};
            UNROLL for (int j = 0; j < 6; j++) {
                vec_f32 line[6];
                UNROLL for (int i = 0; i < 6; i++) line[i] = load_f32(products + (i * 6 + j) * point_size + t * (m1 - m0) + m - m0);
                winograd_result(line, columns[j]);
            }
            float square[16 * lanes_f32];
            UNROLL for (int i = 0; i < 4; i++) {
                winograd_result((vec_f32[6]){columns[0][i], columns[1][i], columns[2][i], columns[3][i], columns[4][i], columns[5][i]}, y);
                UNROLL for (int j = 0; j < 4; j++) {
                    zero += y[j] * 0;
                    store_f32(square + (4 * i + j) * lanes_f32, y[j] + add);
                }
            }
            winograd_put(square, out + m * volume, volume, p->dst[2], at_most(lanes_f32, p->m - m), at_most(4, p->dst[1] - row),
                         at_most(4, p->dst[2] - column));
        }
    }
    float lane[lanes_f32], sum = 0;
    store_f32(lane, zero);
    for (int i = 0; i < lanes_f32; i++) sum += lane[i];
    return sum == 0;
}

static void winograd_block(void *ctx, int64_t chunk) {
    winograd_job *job = ctx;
    const conv_plan *p = job->p;
    int64_t part = chunk % job->parts, g = chunk / job->parts % p->groups, rest = chunk / job->parts / p->groups;
    conv_block b = {.column = rest % job->column_blocks * job->columns};
    b.row = rest / job->column_blocks % job->row_blocks * job->rows;
    b.image = rest / job->column_blocks / job->row_blocks * job->images;
    b.columns = at_most(job->columns, job->width - b.column);
    b.rows = at_most(job->rows, job->height - b.row);
    b.images = at_most(job->images, p->batch - b.image);
    int64_t tiles = b.images * b.rows * b.columns, lanes = hx_gemm_width(HX_F32);
    int64_t panel = part * job->part, m0 = panel * lanes, m1 = at_most(m0 + job->part * lanes, job->m);
    int64_t sources = tiles * job->kc + lanes_f32, products = tiles * (m1 - m0) + lanes_f32; /* not a power of two apart */
    int64_t filled = b.images * (4 * b.rows + 2) * (4 * b.columns + 2) * job->kc;
    size_t bytes = (size_t)(filled + WINOGRAD_POINTS * (sources + products)) * sizeof(float);
    float *x = hx_pool_alloc(bytes), *v = x + filled, *y = v + WINOGRAD_POINTS * sources;
    if (!x) {
        atomic_store(job->failed, true);
        return;
    }
    winograd_fill(job, &b, g, x);
    winograd_sources(job, &b, x, v, sources);
    for (int64_t i = 0; i < WINOGRAD_POINTS; i++)
        hx_gemm_block(HX_F32, tiles, m1 - m0, p->kc, v + i * sources, job->kc, 1,
                      job->points + ((g * WINOGRAD_POINTS + i) * job->panels + panel) * p->kc * lanes, p->kc * lanes, lanes,
                      y + i * products, m1 - m0, false);
    if (!winograd_results(job, &b, g, m0, m1, y, products)) atomic_store(&job->unusual, true);
    hx_pool_free(x, bytes);
}

/* Sizes of blocks, from those of the convolution alone. */
static void winograd_cut(winograd_job *job) {
    int64_t tiles = WINOGRAD_BYTES / (WINOGRAD_POINTS * 4 * (job->kc + job->m)), all = job->height * job->width;
    tiles = at_most(at_least(tiles, job->kc + job->m < 256 ? 28 : 42), 112);
    job->columns = job->width <= 2 * tiles ? job->width : tiles;
    job->rows = at_most(at_least(tiles / job->columns, 1), job->height);
    job->rows = ceil_div(job->height, ceil_div(job->height, job->rows));
    job->images = all < tiles ? at_most(tiles / all, job->p->batch) : 1;
    job->column_blocks = ceil_div(job->width, job->columns);
    job->row_blocks = ceil_div(job->height, job->rows);
    job->image_blocks = ceil_div(job->p->batch, job->images);
    int64_t blocks = job->image_blocks * job->row_blocks * job->column_blocks * job->p->groups;
    int64_t wide = at_least(job->m / WINOGRAD_CHANNELS, 1);
    job->part = ceil_div(job->panels, at_most(wide, ceil_div(WINOGRAD_TASKS, blocks)));
    job->parts = ceil_div(job->panels, job->part);
}

/* Does the plan have the form, and enough tiles to pay for the transforms? In cycles of 32 products. */
static bool winograd_fits(const conv_plan *p) {
    if (p->taps != 9 || p->kc < lanes_f32 || p->m < lanes_f32 || p->src[0] != 1 || p->count[0] != 1) return false;
    int64_t low[3] = {p->shift[0][0], p->shift[0][1], p->shift[0][2]};
    for (int t = 0; t < 9; t++)
        for (int d = 0; d < 3; d++) {
            if (p->stride[d] != 1 || p->step[d] != 1) return false;
            low[d] = at_most(low[d], p->shift[t][d]);
        }
    if (low[0] != 0) return false;
    for (int t = 0; t < 9; t++)
        if (p->shift[t][0] != 0 || p->shift[t][1] > low[1] + 2 || p->shift[t][2] > low[2] + 2) return false;
    double tiles = (double)p->batch * (double)ceil_div(p->count[1], 4) * (double)ceil_div(p->count[2], 4);
    double pixels = (double)p->batch * (double)p->count[1] * (double)p->count[2], kc = (double)p->kc, m = (double)p->m;
    double transforms = lanes_f32 == 16 ? 20 : 60;
    return tiles * (1.3 * kc * m + transforms * (kc + m)) + 60 * kc * m < 0.8 * 0.33 * pixels * kc * m;
}

/* Leaves *done false where the plain sum must be taken. */
static hx_code run_winograd(const conv_plan *p, const float *src, const float *weight, const float *bias, float *dst, bool *done) {
    *done = false;
    if (hx_batch_invariant() || !winograd_fits(p)) return HX_OK; /* one unusual value changes the form of all images */
    atomic_bool failed = false;
    int64_t lanes = hx_gemm_width(HX_F32);
    winograd_job job = {.p = p, .src = src, .weight = weight, .dst = dst, .height = ceil_div(p->count[1], 4),
                        .width = ceil_div(p->count[2], 4), .kc = round_up(p->kc, lanes_f32), .m = round_up(p->m, lanes_f32),
                        .panels = ceil_div(p->m, lanes), .low = {p->shift[0][1], p->shift[0][2]}, .failed = &failed};
    for (int t = 1; t < 9; t++)
        for (int d = 0; d < 2; d++) job.low[d] = at_most(job.low[d], p->shift[t][d + 1]);
    for (int t = 0; t < 9; t++) job.at[(p->shift[t][1] - job.low[0]) * 3 + p->shift[t][2] - job.low[1]] = p->tap[t];
    winograd_cut(&job);
    int64_t points = p->groups * WINOGRAD_POINTS * job.panels * p->kc * lanes, biases = bias ? p->groups * job.m : 0;
    size_t bytes = (size_t)(points + biases) * sizeof(float);
    if (!(job.points = hx_pool_alloc(bytes))) return HX_E_MEMORY;
    if (bias) {
        float *padded = job.points + points;
        for (int64_t i = 0; i < biases; i++) padded[i] = i % job.m < p->m ? bias[i / job.m * p->m + i % job.m] : 0;
        job.bias = padded;
    }
    hx_parallel_range(p->groups * p->kc, hx_grain(9 * 4 * p->m * 4), winograd_weights, &job);
    hx_parallel(p->groups * job.parts * job.image_blocks * job.row_blocks * job.column_blocks, winograd_block, &job);
    hx_pool_free(job.points, bytes);
    *done = !atomic_load(&job.unusual);
    return failed ? HX_E_MEMORY : HX_OK;
}
