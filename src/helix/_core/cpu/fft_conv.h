/* Causal convolution of long real rows through their spectra: included by cpu/fft.c after fft_plan.h, once a type.
 *
 * A filter is transformed once for the rows that it is applied to, and a row stays in cache between its two transforms. */

typedef struct FFT(conv) {
    const FFT(plan) *p;
    const FFT(t) *u, *filter, *skip;     /* skip NULL without */
    FFT(t) *out;
    int64_t n, length, taps;             /* of the transform, of rows, of filters */
    int64_t rows, filters, skips;        /* row r has filter r % filters and skip r % skips */
    int64_t parts, part;                 /* the rows of a filter in parts of so many */
    atomic_bool failed;
} FFT(conv);

/* The smallest even length of a transform by lines that holds `most`: a power of two, or three quarters of one. */
static int64_t FFT(conv_length)(int64_t most) {
    int64_t n = 512;
    while (n < most) n *= 2;
    int64_t less = n / 4 * 3;
    return less >= most && fft_kind_of(less / 2, 1, FFT_WIDTH) == FFT_SPLIT ? less : n;
}

/* a *= b for n complex numbers. */
static void FFT(multiply_by)(FFT(t) *a, const FFT(t) *b, int64_t n) {
    int64_t i = 0;
    for (; i + FFT_WIDTH <= n; i += FFT_WIDTH) {
        FFT(c) w = FFT(load_pairs)(b + 2 * i);
        FFT(store_pairs)(a + 2 * i, FFT(turn)(FFT(load_pairs)(a + 2 * i), w.re, w.im));
    }
    for (; i < n; i++) {
        FFT(t) re = a[2 * i] * b[2 * i] - a[2 * i + 1] * b[2 * i + 1];
        a[2 * i + 1] = a[2 * i] * b[2 * i + 1] + a[2 * i + 1] * b[2 * i];
        a[2 * i] = re;
    }
}

typedef struct FFT(conv_room) {
    FFT(t) *filter, *spectrum, *row, *half; /* spectra have n + 2 numbers */
    void *rest;
} FFT(conv_room);

static void FFT(spectrum_of)(const FFT(conv) *j, const FFT(t) *from, int64_t have, double scale, FFT(t) *to, FFT(conv_room) *r) {
    FFT(job) forward = {.p = j->p, .form = FFT_FROM_REAL, .scale = (FFT(t))scale, .n = j->n};
    memcpy(r->row, from, (size_t)have * sizeof *from);
    memset(r->row + have, 0, (size_t)(j->n - have) * sizeof *from);
    FFT(one_line)(&forward, r->row, to, r->half, r->rest);
}

static void FFT(convolve_row)(const FFT(conv) *j, int64_t row, FFT(conv_room) *r) {
    FFT(job) back = {.p = j->p, .form = FFT_TO_REAL, .scale = 1, .n = j->n};
    const FFT(t) *u = j->u + row * j->length;
    FFT(t) *out = j->out + row * j->length, skip = j->skip ? j->skip[row % j->skips] : 0;
    FFT(spectrum_of)(j, u, j->length, 1, r->spectrum, r);
    FFT(multiply_by)(r->spectrum, r->filter, j->n / 2 + 1);
    FFT(one_line)(&back, r->spectrum, r->row, r->half, r->rest);
    if (j->skip)
        for (int64_t t = 0; t < j->length; t++) out[t] = r->row[t] + skip * u[t];
    else
        memcpy(out, r->row, (size_t)j->length * sizeof *out);
}

static void FFT(convolve_part)(void *ctx, int64_t task) {
    FFT(conv) *j = ctx;
    int64_t filter = task / j->parts, from = task % j->parts * j->part, uses = j->rows / j->filters;
    int64_t to = from + j->part < uses ? from + j->part : uses, line = fft_rounded((j->n + 2) * (int64_t)sizeof(FFT(t)));
    size_t bytes = (size_t)(4 * line + FFT(line_bytes)(j->p));
    char *room = hx_pool_alloc(bytes);
    if (!room) {
        atomic_store(&j->failed, true);
        return;
    }
    FFT(conv_room) r = {(FFT(t) *)room, (FFT(t) *)(room + line), (FFT(t) *)(room + 2 * line), (FFT(t) *)(room + 3 * line),
                        room + 4 * line};
    FFT(spectrum_of)(j, j->filter + filter * j->taps, j->taps < j->length ? j->taps : j->length, 1.0 / (double)j->n, r.filter, &r);
    for (int64_t use = from; use < to; use++) FFT(convolve_row)(j, use * j->filters + filter, &r);
    hx_pool_free(room, bytes);
}

/* rows of `length`, each with one of the filters; false without memory. */
static bool FFT(convolve)(const hx_view *u, const hx_view *filter, const hx_view *skip, void *out) {
    int64_t length = u->shape[u->ndim - 1], taps = filter->shape[filter->ndim - 1];
    FFT(conv) j = {.u = u->data, .filter = filter->data, .skip = hx_absent(skip) ? NULL : skip->data, .out = out,
                   .length = length, .taps = taps, .rows = u->numel / length, .filters = filter->numel / taps,
                   .skips = hx_absent(skip) ? 1 : skip->numel};
    j.n = FFT(conv_length)(length + (taps < length ? taps : length) - 1);
    j.part = j.filters < 16 ? 4 : j.rows / j.filters;
    j.parts = (j.rows / j.filters + j.part - 1) / j.part;
    fft_entry *plan = FFT(get_plan)(j.n / 2, FFT_SPLIT, true);
    if (!plan) return false;
    j.p = (const FFT(plan) *)plan;
    atomic_init(&j.failed, false);
    hx_parallel(j.filters * j.parts, FFT(convolve_part), &j);
    fft_release(plan);
    return !atomic_load(&j.failed);
}
