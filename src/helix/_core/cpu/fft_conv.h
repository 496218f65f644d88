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

/* Multiplies the spectrum of 2m real numbers, given as that of m complex ones, by a filter's: elements k and m - k are taken
 * apart, multiplied, and put together again while they are in registers. */
static inline void FFT(filter_pair)(FFT(c) *a, FFT(c) *b, FFT(c) at_a, FFT(c) at_b, FFT(v) c, FFT(v) s) {
    FFT(unmix)(a, b, c, s, FFT(all)((FFT(t))0.5));
    *a = FFT(turn)(*a, at_a.re, at_a.im);
    *b = FFT(turn)(*b, at_b.re, at_b.im);
    FFT(mix)(a, b, c, s);
}

static inline FFT(c) FFT(reversed)(FFT(c) x) { return (FFT(c)){FFT(reverse)(x.re), FFT(reverse)(x.im)}; }

static void FFT(filter_line)(const FFT(plan) *p, FFT(t) *x, const FFT(t) *filter) {
    int64_t m = p->entry.n, k = 1;
    FFT(t) first = (x[0] + x[1]) * filter[0], last = (x[0] - x[1]) * filter[2 * m];
    x[0] = first + last;
    x[1] = first - last;
    for (; k + FFT_WIDTH <= m - k - FFT_WIDTH + 1; k += FFT_WIDTH) {
        int64_t mirror = m - k - FFT_WIDTH + 1;
        FFT(c) a = FFT(load_pairs)(x + 2 * k), b = FFT(reversed)(FFT(load_pairs)(x + 2 * mirror));
        FFT(filter_pair)(&a, &b, FFT(load_pairs)(filter + 2 * k), FFT(reversed)(FFT(load_pairs)(filter + 2 * mirror)),
                         FFT(load)(p->cosine + k), FFT(load)(p->sine + k));
        FFT(store_pairs)(x + 2 * k, a);
        FFT(store_pairs)(x + 2 * mirror, FFT(reversed)(b));
    }
    for (; k <= m / 2; k++) {
        int64_t mirror = m - k;
        FFT(c) a = {FFT(all)(x[2 * k]), FFT(all)(x[2 * k + 1])}, b = {FFT(all)(x[2 * mirror]), FFT(all)(x[2 * mirror + 1])};
        FFT(c) at_a = {FFT(all)(filter[2 * k]), FFT(all)(filter[2 * k + 1])};
        FFT(c) at_b = {FFT(all)(filter[2 * mirror]), FFT(all)(filter[2 * mirror + 1])};
        FFT(filter_pair)(&a, &b, at_a, at_b, FFT(all)(p->cosine[k]), FFT(all)(p->sine[k]));
        x[2 * k] = a.re[0];
        x[2 * k + 1] = a.im[0];
        x[2 * mirror] = b.re[0];
        x[2 * mirror + 1] = b.im[0];
    }
}

typedef struct FFT(conv_room) {
    FFT(t) *filter, *row, *half; /* filter: its spectrum, n + 2 numbers */
    void *rest;
} FFT(conv_room);

static void FFT(continued)(const FFT(conv) *j, const FFT(t) *from, int64_t have, FFT(t) *row) {
    memcpy(row, from, (size_t)have * sizeof *from);
    memset(row + have, 0, (size_t)(j->n - have) * sizeof *from);
}

static void FFT(transform_filter)(const FFT(conv) *j, int64_t filter, FFT(conv_room) *r) {
    FFT(job) forward = {.p = j->p, .form = FFT_FROM_REAL, .scale = (FFT(t))(1.0 / (double)j->n), .n = j->n};
    FFT(continued)(j, j->filter + filter * j->taps, j->taps < j->length ? j->taps : j->length, r->row);
    FFT(one_line)(&forward, r->row, r->filter, r->half, r->rest);
}

static void FFT(convolve_row)(const FFT(conv) *j, int64_t row, FFT(conv_room) *r) {
    const FFT(t) *u = j->u + row * j->length;
    FFT(t) *out = j->out + row * j->length, skip = j->skip ? j->skip[row % j->skips] : 0;
    FFT(continued)(j, u, j->length, r->row);
    FFT(run_line)(j->p, r->row, r->half, false, 1, r->rest, false, (FFT(ahead)){0, 0}, NULL);
    FFT(filter_line)(j->p, r->half, r->filter);
    FFT(run_line)(j->p, r->half, r->row, true, 1, r->rest, false, (FFT(ahead)){0, 0}, NULL);
    if (j->skip)
        for (int64_t t = 0; t < j->length; t++) out[t] = r->row[t] + skip * u[t];
    else
        memcpy(out, r->row, (size_t)j->length * sizeof *out);
}

static void FFT(convolve_part)(void *ctx, int64_t task) {
    FFT(conv) *j = ctx;
    int64_t filter = task / j->parts, from = task % j->parts * j->part, uses = j->rows / j->filters;
    int64_t to = from + j->part < uses ? from + j->part : uses, line = fft_rounded((j->n + 2) * (int64_t)sizeof(FFT(t)));
    size_t bytes = (size_t)(3 * line + FFT(line_bytes)(j->p));
    char *room = hx_pool_alloc(bytes);
    if (!room) {
        atomic_store(&j->failed, true);
        return;
    }
    FFT(conv_room) r = {(FFT(t) *)room, (FFT(t) *)(room + line), (FFT(t) *)(room + 2 * line), room + 3 * line};
    FFT(transform_filter)(j, filter, &r);
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
