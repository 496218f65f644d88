/* Normalisation over channels or groups, in one working type. Included by cpu/batchnorm.c once a type with
 *   NORM_TYPE   the working type, of statistics, weight and bias      NORM(name)  the name with the type's suffix
 *   NORM_READ   a run of a view as the working type                   NORM_WRITE  the way back
 * A channel is a number of runs. Moments are taken block by block, each around its own mean, and merged in double
 * (Chan, Golub and LeVeque, "Algorithms for computing the sample variance", 1983). */

typedef NORM_TYPE NORM(vec) __attribute__((vector_size(HX_LANE_BYTES)));
typedef NORM_TYPE NORM(vec_at) __attribute__((vector_size(HX_LANE_BYTES), aligned(sizeof(NORM_TYPE)), may_alias));
enum { NORM(lanes) = HX_LANE_BYTES / sizeof(NORM_TYPE) };

static inline NORM_TYPE NORM(total)(const NORM(vec) *part) {
    NORM(vec) all = (part[0] + part[1]) + (part[2] + part[3]);
    NORM_TYPE sum = 0;
    for (int i = 0; i < NORM(lanes); i++) sum += all[i];
    return sum;
}

static NORM_TYPE NORM(sum)(const NORM_TYPE *x, int64_t n) {
    NORM(vec) part[4] = {{0}};
    NORM_TYPE rest = 0;
    int64_t i = 0;
    for (; i + 4 * NORM(lanes) <= n; i += 4 * NORM(lanes))
        for (int k = 0; k < 4; k++) part[k] += *(const NORM(vec_at) *)(x + i + k * NORM(lanes));
    for (; i + NORM(lanes) <= n; i += NORM(lanes)) part[0] += *(const NORM(vec_at) *)(x + i);
    for (; i < n; i++) rest += x[i];
    return NORM(total)(part) + rest;
}

/* Sum of squares of x - mean. */
static NORM_TYPE NORM(spread)(const NORM_TYPE *x, NORM_TYPE mean, int64_t n) {
    NORM(vec) part[4] = {{0}}, centre = mean - (NORM(vec)){0};
    NORM_TYPE rest = 0;
    int64_t i = 0;
    for (; i + 4 * NORM(lanes) <= n; i += 4 * NORM(lanes))
        for (int k = 0; k < 4; k++) {
            NORM(vec) d = *(const NORM(vec_at) *)(x + i + k * NORM(lanes)) - centre;
            part[k] += d * d;
        }
    for (; i + NORM(lanes) <= n; i += NORM(lanes)) {
        NORM(vec) d = *(const NORM(vec_at) *)(x + i) - centre;
        part[0] += d * d;
    }
    for (; i < n; i++) rest += (x[i] - mean) * (x[i] - mean);
    return NORM(total)(part) + rest;
}

/* Sums of g and of g * (x - mean). */
static void NORM(products)(const NORM_TYPE *g, const NORM_TYPE *x, NORM_TYPE mean, int64_t n, double *sum_g, double *sum_gx) {
    NORM(vec) plain[4] = {{0}}, part[4] = {{0}}, centre = mean - (NORM(vec)){0};
    NORM_TYPE rest = 0, rest_x = 0;
    int64_t i = 0;
    for (; i + 4 * NORM(lanes) <= n; i += 4 * NORM(lanes))
        for (int k = 0; k < 4; k++) {
            NORM(vec) v = *(const NORM(vec_at) *)(g + i + k * NORM(lanes));
            plain[k] += v;
            part[k] += v * (*(const NORM(vec_at) *)(x + i + k * NORM(lanes)) - centre);
        }
    for (; i + NORM(lanes) <= n; i += NORM(lanes)) {
        NORM(vec) v = *(const NORM(vec_at) *)(g + i);
        plain[0] += v;
        part[0] += v * (*(const NORM(vec_at) *)(x + i) - centre);
    }
    for (; i < n; i++) {
        rest += g[i];
        rest_x += g[i] * (x[i] - mean);
    }
    *sum_g += (double)(NORM(total)(plain) + rest);
    *sum_gx += (double)(NORM(total)(part) + rest_x);
}

static void NORM(add_moments)(norm_moments *m, const char *p, int dtype, int64_t step, int64_t n, NORM_TYPE *room) {
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t part = n - i < BLOCK ? n - i : BLOCK;
        const NORM_TYPE *x = NORM_READ(p + i * step, dtype, step, part, room);
        NORM_TYPE mean = NORM(sum)(x, part) / (NORM_TYPE)part, spread = NORM(spread)(x, mean, part);
        double count = m->count + (double)part, delta = (double)mean - m->mean;
        m->spread += (double)spread + delta * delta * m->count * (double)part / count;
        m->mean += delta * (double)part / count;
        m->count = count;
    }
}

/* y = (x - mean) * scale + shift over one run. */
static void NORM(scale_run)(char *to, const char *from, int dtype, int64_t step, int64_t n, NORM_TYPE mean,
                            NORM_TYPE scale, NORM_TYPE shift, NORM_TYPE *room) {
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t part = n - i < BLOCK ? n - i : BLOCK;
        const NORM_TYPE *x = NORM_READ(from + i * step, dtype, step, part, room);
        NORM_TYPE *y = step == sizeof *y ? (NORM_TYPE *)(to + i * step) : room;
        for (int64_t j = 0; j < part; j++) y[j] = (x[j] - mean) * scale + shift;
        if (y == room) NORM_WRITE(to + i * step, dtype, step, part, y);
    }
}

/* gx = g * a + (x - mean) * b + c over one run. */
static void NORM(gradient_run)(char *to, const char *grad, const char *from, int dtype, int64_t step, int64_t n,
                               NORM_TYPE mean, NORM_TYPE a, NORM_TYPE b, NORM_TYPE c, NORM_TYPE *room) {
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t part = n - i < BLOCK ? n - i : BLOCK;
        const NORM_TYPE *x = NORM_READ(from + i * step, dtype, step, part, room);
        const NORM_TYPE *g = NORM_READ(grad + i * step, dtype, step, part, room + BLOCK);
        NORM_TYPE *y = step == sizeof *y ? (NORM_TYPE *)(to + i * step) : room;
        for (int64_t j = 0; j < part; j++) y[j] = g[j] * a + (x[j] - mean) * b + c;
        if (y == room) NORM_WRITE(to + i * step, dtype, step, part, y);
    }
}

static void NORM(add_products)(const char *grad, const char *from, int dtype, int64_t step, int64_t n, NORM_TYPE mean,
                               double *sum_g, double *sum_gx, NORM_TYPE *room) {
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t part = n - i < BLOCK ? n - i : BLOCK;
        const NORM_TYPE *x = NORM_READ(from + i * step, dtype, step, part, room);
        const NORM_TYPE *g = NORM_READ(grad + i * step, dtype, step, part, room + BLOCK);
        NORM(products)(g, x, mean, part, sum_g, sum_gx);
    }
}

static inline NORM_TYPE NORM(weight_of)(const norm_job *job, int64_t c) {
    return job->weight ? ((const NORM_TYPE *)job->weight)[c] : 1;
}
static inline NORM_TYPE NORM(bias_of)(const norm_job *job, int64_t c) {
    return job->bias ? ((const NORM_TYPE *)job->bias)[c] : 0;
}

/* ---- statistics over the batch: one channel each --------------------------------------------------------- */

static void NORM(batch_forward)(void *ctx, int64_t begin, int64_t end) {
    const norm_job *job = ctx;
    NORM_TYPE room[2 * BLOCK] __attribute__((aligned(64)));
    for (int64_t c = begin; c < end; c++) {
        norm_moments m = {0};
        for (int64_t r = 0; r < job->runs; r++)
            NORM(add_moments)(&m, job->x + job->first * c + job->next * r, job->dtype, job->step, job->length, room);
        double variance = m.count > 0 ? m.spread / m.count : NAN;
        if (m.count == 0) m.mean = NAN;
        ((NORM_TYPE *)job->mean)[c] = (NORM_TYPE)m.mean;
        ((NORM_TYPE *)job->variance)[c] = (NORM_TYPE)variance;
        NORM_TYPE scale = (NORM_TYPE)((double)NORM(weight_of)(job, c) / sqrt(variance + job->eps));
        for (int64_t r = 0; r < job->runs; r++) {
            int64_t at = job->first * c + job->next * r;
            NORM(scale_run)(job->y + at, job->x + at, job->dtype, job->step, job->length, (NORM_TYPE)m.mean, scale,
                            NORM(bias_of)(job, c), room);
        }
    }
}

static void NORM(batch_apply)(void *ctx, int64_t begin, int64_t end) {
    const norm_job *job = ctx;
    NORM_TYPE room[2 * BLOCK] __attribute__((aligned(64)));
    for (int64_t i = begin; i < end; i++) {
        int64_t c = i % job->channels, at = job->first * c + job->next * (i / job->channels);
        double variance = (double)((const NORM_TYPE *)job->variance)[c];
        NORM_TYPE scale = (NORM_TYPE)((double)NORM(weight_of)(job, c) / sqrt(variance + job->eps));
        NORM(scale_run)(job->y + at, job->x + at, job->dtype, job->step, job->length, ((const NORM_TYPE *)job->mean)[c],
                        scale, NORM(bias_of)(job, c), room);
    }
}

static void NORM(batch_backward)(void *ctx, int64_t begin, int64_t end) {
    const norm_job *job = ctx;
    NORM_TYPE room[2 * BLOCK] __attribute__((aligned(64)));
    for (int64_t c = begin; c < end; c++) {
        NORM_TYPE mean = ((const NORM_TYPE *)job->mean)[c];
        double sum_g = 0, sum_gx = 0, rstd = 1 / sqrt((double)((const NORM_TYPE *)job->variance)[c] + job->eps);
        for (int64_t r = 0; r < job->runs; r++) {
            int64_t at = job->first * c + job->next * r;
            NORM(add_products)(job->grad + at, job->x + at, job->dtype, job->step, job->length, mean, &sum_g, &sum_gx, room);
        }
        ((NORM_TYPE *)job->grad_weight)[c] = (NORM_TYPE)(sum_gx * rstd);
        ((NORM_TYPE *)job->grad_bias)[c] = (NORM_TYPE)sum_g;
        double a = (double)NORM(weight_of)(job, c) * rstd, count = (double)(job->runs * job->length);
        double b = -a * rstd * rstd * sum_gx / count, add = -a * sum_g / count;
        for (int64_t r = 0; r < job->runs; r++) {
            int64_t at = job->first * c + job->next * r;
            NORM(gradient_run)(job->y + at, job->grad + at, job->x + at, job->dtype, job->step, job->length, mean,
                               (NORM_TYPE)a, (NORM_TYPE)b, (NORM_TYPE)add, room);
        }
    }
}

/* ---- without planes, (batch, channels): a block of columns at a time ------------------------------------- */

static inline const NORM_TYPE *NORM(column_row)(const norm_job *job, const char *from, int64_t row, int64_t c, int64_t n,
                                                NORM_TYPE *room) {
    return NORM_READ(from + row * job->next + c * job->first, job->dtype, job->first, n, room);
}

/* y = (x - mean) * scale + bias for n columns from c on. */
static void NORM(column_scale)(const norm_job *job, int64_t c, int64_t n) {
    NORM_TYPE room[COLUMNS], mean[COLUMNS], scale[COLUMNS], shift[COLUMNS];
    for (int64_t j = 0; j < n; j++) {
        double variance = (double)((const NORM_TYPE *)job->variance)[c + j];
        mean[j] = ((const NORM_TYPE *)job->mean)[c + j];
        scale[j] = (NORM_TYPE)((double)NORM(weight_of)(job, c + j) / sqrt(variance + job->eps));
        shift[j] = NORM(bias_of)(job, c + j);
    }
    for (int64_t r = 0; r < job->batch; r++) {
        const NORM_TYPE *x = NORM(column_row)(job, job->x, r, c, n, room);
        for (int64_t j = 0; j < n; j++) room[j] = (x[j] - mean[j]) * scale[j] + shift[j];
        NORM_WRITE(job->y + r * job->next + c * job->first, job->dtype, job->first, n, room);
    }
}

static void NORM(column_apply)(void *ctx, int64_t begin, int64_t end) {
    const norm_job *job = ctx;
    for (int64_t c = begin * COLUMNS; c < end * COLUMNS && c < job->channels; c += COLUMNS)
        NORM(column_scale)(job, c, job->channels - c < COLUMNS ? job->channels - c : COLUMNS);
}

static void NORM(column_forward)(void *ctx, int64_t begin, int64_t end) {
    const norm_job *job = ctx;
    for (int64_t c = begin * COLUMNS; c < end * COLUMNS && c < job->channels; c += COLUMNS) {
        NORM_TYPE room[COLUMNS];
        double mean[COLUMNS] = {0}, spread[COLUMNS] = {0};
        int64_t n = job->channels - c < COLUMNS ? job->channels - c : COLUMNS;
        for (int64_t r = 0; r < job->batch; r++) {
            const NORM_TYPE *x = NORM(column_row)(job, job->x, r, c, n, room);
            for (int64_t j = 0; j < n; j++) mean[j] += (double)x[j];
        }
        for (int64_t j = 0; j < n; j++) mean[j] /= (double)job->batch;
        for (int64_t r = 0; r < job->batch; r++) {
            const NORM_TYPE *x = NORM(column_row)(job, job->x, r, c, n, room);
            for (int64_t j = 0; j < n; j++) spread[j] += ((double)x[j] - mean[j]) * ((double)x[j] - mean[j]);
        }
        for (int64_t j = 0; j < n; j++) {
            ((NORM_TYPE *)job->mean)[c + j] = (NORM_TYPE)mean[j];
            ((NORM_TYPE *)job->variance)[c + j] = (NORM_TYPE)(spread[j] / (double)job->batch);
        }
        NORM(column_scale)(job, c, n);
    }
}

static void NORM(column_backward)(void *ctx, int64_t begin, int64_t end) {
    const norm_job *job = ctx;
    for (int64_t c = begin * COLUMNS; c < end * COLUMNS && c < job->channels; c += COLUMNS) {
        NORM_TYPE room[2 * COLUMNS], mean[COLUMNS], a[COLUMNS], b[COLUMNS], add[COLUMNS];
        double sum_g[COLUMNS] = {0}, sum_gx[COLUMNS] = {0};
        int64_t n = job->channels - c < COLUMNS ? job->channels - c : COLUMNS;
        for (int64_t j = 0; j < n; j++) mean[j] = ((const NORM_TYPE *)job->mean)[c + j];
        for (int64_t r = 0; r < job->batch; r++) {
            const NORM_TYPE *x = NORM(column_row)(job, job->x, r, c, n, room);
            const NORM_TYPE *g = NORM(column_row)(job, job->grad, r, c, n, room + COLUMNS);
            for (int64_t j = 0; j < n; j++) {
                sum_g[j] += (double)g[j];
                sum_gx[j] += (double)(g[j] * (x[j] - mean[j]));
            }
        }
        for (int64_t j = 0; j < n; j++) {
            double rstd = 1 / sqrt((double)((const NORM_TYPE *)job->variance)[c + j] + job->eps);
            double scale = (double)NORM(weight_of)(job, c + j) * rstd;
            ((NORM_TYPE *)job->grad_weight)[c + j] = (NORM_TYPE)(sum_gx[j] * rstd);
            ((NORM_TYPE *)job->grad_bias)[c + j] = (NORM_TYPE)sum_g[j];
            a[j] = (NORM_TYPE)scale;
            b[j] = (NORM_TYPE)(-scale * rstd * rstd * sum_gx[j] / (double)job->batch);
            add[j] = (NORM_TYPE)(-scale * sum_g[j] / (double)job->batch);
        }
        for (int64_t r = 0; r < job->batch; r++) {
            const NORM_TYPE *x = NORM(column_row)(job, job->x, r, c, n, room);
            const NORM_TYPE *g = NORM(column_row)(job, job->grad, r, c, n, room + COLUMNS);
            for (int64_t j = 0; j < n; j++) room[j] = g[j] * a[j] + (x[j] - mean[j]) * b[j] + add[j];
            NORM_WRITE(job->y + r * job->next + c * job->first, job->dtype, job->first, n, room);
        }
    }
}

/* ---- statistics over groups of channels: one image and group each ---------------------------------------- */

static void NORM(group_forward)(void *ctx, int64_t begin, int64_t end) {
    const norm_job *job = ctx;
    NORM_TYPE room[2 * BLOCK] __attribute__((aligned(64)));
    int64_t size = job->step * job->length, part = job->channels / job->groups;
    for (int64_t i = begin; i < end; i++) {
        norm_moments m = {0};
        const char *x = job->x + i * part * size;
        NORM(add_moments)(&m, x, job->dtype, job->step, part * job->length, room);
        double variance = m.count > 0 ? m.spread / m.count : NAN, rstd = 1 / sqrt(variance + job->eps);
        ((NORM_TYPE *)job->mean)[i] = (NORM_TYPE)(m.count > 0 ? m.mean : NAN);
        ((NORM_TYPE *)job->variance)[i] = (NORM_TYPE)variance;
        for (int64_t k = 0; k < part; k++) {
            int64_t c = i % job->groups * part + k;
            NORM(scale_run)(job->y + (i * part + k) * size, x + k * size, job->dtype, job->step, job->length,
                            (NORM_TYPE)m.mean, (NORM_TYPE)((double)NORM(weight_of)(job, c) * rstd), NORM(bias_of)(job, c), room);
        }
    }
}

static void NORM(group_backward)(void *ctx, int64_t begin, int64_t end) {
    const norm_job *job = ctx;
    NORM_TYPE room[2 * BLOCK] __attribute__((aligned(64)));
    int64_t size = job->step * job->length, part = job->channels / job->groups;
    for (int64_t i = begin; i < end; i++) {
        NORM_TYPE mean = ((const NORM_TYPE *)job->mean)[i];
        double rstd = 1 / sqrt((double)((const NORM_TYPE *)job->variance)[i] + job->eps), all_g = 0, all_gx = 0;
        for (int64_t k = 0; k < part; k++) {
            int64_t c = i * part + k;
            double *sums = job->sums + 2 * c, w = (double)NORM(weight_of)(job, c % job->channels);
            sums[0] = sums[1] = 0;
            NORM(add_products)(job->grad + c * size, job->x + c * size, job->dtype, job->step, job->length, mean, &sums[0],
                               &sums[1], room);
            sums[1] *= rstd;
            all_g += w * sums[0];
            all_gx += w * sums[1];
        }
        double count = (double)(part * job->length), b = -rstd * rstd * all_gx / count, add = -rstd * all_g / count;
        for (int64_t k = 0; k < part; k++) {
            int64_t c = i * part + k;
            NORM(gradient_run)(job->y + c * size, job->grad + c * size, job->x + c * size, job->dtype, job->step, job->length,
                               mean, (NORM_TYPE)((double)NORM(weight_of)(job, c % job->channels) * rstd), (NORM_TYPE)b,
                               (NORM_TYPE)add, room);
        }
    }
}

/* Gradients of weight and bias: sums over the images, in order. */
static void NORM(group_finish)(void *ctx, int64_t begin, int64_t end) {
    const norm_job *job = ctx;
    for (int64_t c = begin; c < end; c++) {
        double sum_g = 0, sum_gx = 0;
        for (int64_t n = 0; n < job->batch; n++) {
            sum_g += job->sums[2 * (n * job->channels + c)];
            sum_gx += job->sums[2 * (n * job->channels + c) + 1];
        }
        ((NORM_TYPE *)job->grad_weight)[c] = (NORM_TYPE)sum_gx;
        ((NORM_TYPE *)job->grad_bias)[c] = (NORM_TYPE)sum_g;
    }
}
