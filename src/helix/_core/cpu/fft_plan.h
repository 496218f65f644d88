/* Plans and whole transforms of one element type: included by cpu/fft.c after fft_lines.h, once a type.
 *
 * FFT_LANES: lines stand side by side in lanes.
 * FFT_SPLIT: a line of n = n1 n2 as a matrix: columns are transformed, turned, and transformed along rows (the four-step
 * form), each time with lines of the matrix in lanes.
 * FFT_CHIRP: a length with large primes as a convolution of a power of two (L. Bluestein, 1970). */

typedef struct FFT(plan) {
    fft_entry entry; /* n: complex elements */
    FFT(lanes) first, second;  /* of n (FFT_LANES), or of n1 and n2 */
    int64_t n1, n2, blocks;    /* blocks: registers in a row of the matrix, spaced so that rows do not share cache sets */
    const FFT(c) *near;        /* w^(k l) for k < n1 and lanes l */
    const FFT(t) *far;         /* w^(k block width) for blocks and k < n1, in pairs */
    const FFT(t) *chirp, *kernel; /* exp(-i pi j^2 / n), and the transform of its conjugate over the inner length */
    const FFT(t) *cosine, *sine; /* of 2 pi k / 2n, k <= n / 2: for real lines of 2n */
} FFT(plan);

/* ---- a line as a matrix ---- */

typedef struct FFT(split) {
    const FFT(plan) *p;
    FFT(lines) in, out; /* of the whole line: lane_step 2 */
    bool swapped;
    FFT(v) scale;
    FFT(c) *matrix, *room; /* room NULL: every chunk takes its own */
    atomic_bool *failed;
} FFT(split);

static int64_t FFT(split_room)(const FFT(plan) *p) { return p->n1 > p->n2 ? p->n1 : p->n2; }

static FFT(c) *FFT(room_of)(const FFT(split) *j) {
    if (j->room) return j->room;
    FFT(c) *room = hx_pool_alloc((size_t)FFT(split_room)(j->p) * sizeof *room);
    if (!room) atomic_store(j->failed, true);
    return room;
}
static void FFT(give_room)(const FFT(split) *j, FFT(c) *room) {
    if (!j->room) hx_pool_free(room, (size_t)FFT(split_room)(j->p) * sizeof *room);
}

static int FFT(lanes_from)(int64_t at, int64_t n) { return n - at < FFT_WIDTH ? (int)(n - at) : FFT_WIDTH; }

static void FFT(split_columns)(void *ctx, int64_t begin, int64_t end) {
    const FFT(split) *j = ctx;
    const FFT(plan) *p = j->p;
    FFT(c) *x = FFT(room_of)(j);
    for (int64_t block = begin; x && block < end; block++) {
        FFT(lines) in = {j->in.base + 2 * block * FFT_WIDTH, 2, 2 * p->n2, FFT(lanes_from)(block * FFT_WIDTH, p->n2), j->in.ahead};
        FFT(read_complex)(&in, p->n1, p->first.place, j->swapped, x);
        FFT(run_lanes)(&p->first, x);
        const FFT(t) *far = p->far + 2 * block * p->n1;
        FFT(c) *to = j->matrix + block;
        for (int64_t k = 0; k < p->n1; k++, to += p->blocks)
            *to = FFT(turn)(FFT(turn)(x[k], p->near[k].re, p->near[k].im), FFT(all)(far[2 * k]), FFT(all)(far[2 * k + 1]));
    }
    FFT(give_room)(j, x);
}

/* FFT_WIDTH rows of the matrix from `row`, as columns; the last row stands for those that are not there. */
static inline void FFT(read_rows)(const FFT(split) *j, int64_t row, int64_t block, FFT(v) *re, FFT(v) *im) {
    int64_t blocks = j->p->blocks, n1 = j->p->n1, step = blocks * (int64_t)(sizeof(FFT(c)) / sizeof(FFT(t)));
    const FFT(c) *from = j->matrix + row * blocks + block;
    if (row + FFT_WIDTH <= n1) {
        FFT(load_turned)((const FFT(t) *)&from->re, step, re);
        FFT(load_turned)((const FFT(t) *)&from->im, step, im);
        return;
    }
    for (int l = 0; l < FFT_WIDTH; l++) {
        from = j->matrix + (row + l < n1 ? row + l : n1 - 1) * blocks + block;
        re[l] = from->re;
        im[l] = from->im;
    }
    FFT(transpose)(re);
    FFT(transpose)(im);
}

static void FFT(split_rows)(void *ctx, int64_t begin, int64_t end) {
    const FFT(split) *j = ctx;
    const FFT(plan) *p = j->p;
    FFT(c) *x = FFT(room_of)(j);
    const int32_t *place = p->second.place;
    for (int64_t group = begin; x && group < end && (group % 16 || !hx_stopped()); group++) {
        for (int64_t at = 0; at < p->n2; at += FFT_WIDTH) {
            FFT(v) re[FFT_WIDTH], im[FFT_WIDTH];
            FFT(read_rows)(j, group * FFT_WIDTH, at / FFT_WIDTH, re, im);
            for (int l = 0; l < FFT_WIDTH && at + l < p->n2; l++) x[place[at + l]] = (FFT(c)){re[l], im[l]};
        }
        FFT(run_lanes)(&p->second, x);
        FFT(lines) out = {j->out.base + 2 * group * FFT_WIDTH, 2, 2 * p->n1, FFT(lanes_from)(group * FFT_WIDTH, p->n1), j->out.ahead};
        FFT(write_complex)(&out, x, p->n2, j->swapped, j->scale);
    }
    FFT(give_room)(j, x);
}

static int64_t FFT(split_bytes)(const FFT(plan) *p) {
    return (p->n1 * p->blocks + FFT(split_room)(p)) * (int64_t)sizeof(FFT(c));
}

/* How far it is from a line's numbers to those of the next, where that is worth asking for; or 0. */
typedef struct FFT(ahead) {
    int64_t in, out;
} FFT(ahead);

/* One line of n complex numbers, whose numbers lie side by side. In and out may be one. */
static void FFT(run_split)(const FFT(plan) *p, const FFT(t) *in, FFT(t) *out, bool swapped, FFT(t) scale, FFT(c) *room,
                           bool shared, FFT(ahead) ahead, atomic_bool *failed) {
    FFT(split) j = {p, {(FFT(t) *)in, 2, 2, 0, ahead.in}, {out, 2, 2, 0, ahead.out}, swapped, FFT(all)(scale), room,
                    shared ? NULL : room + p->n1 * p->blocks, failed};
    int64_t columns = (p->n2 + FFT_WIDTH - 1) / FFT_WIDTH, rows = (p->n1 + FFT_WIDTH - 1) / FFT_WIDTH;
    if (shared) {
        hx_parallel_range(columns, 4096 / p->n1 + 1, FFT(split_columns), &j);
        hx_parallel_range(rows, 4096 / p->n2 + 1, FFT(split_rows), &j);
    } else {
        FFT(split_columns)(&j, 0, columns);
        FFT(split_rows)(&j, 0, rows);
    }
}

/* ---- lengths with large primes ---- */

static void FFT(multiply)(FFT(t) *to, const FFT(t) *a, const FFT(t) *b, int64_t n, FFT(t) scale) {
    for (int64_t i = 0; i < n; i++) {
        FFT(t) re = a[2 * i] * b[2 * i] - a[2 * i + 1] * b[2 * i + 1], im = a[2 * i] * b[2 * i + 1] + a[2 * i + 1] * b[2 * i];
        to[2 * i] = scale * re;
        to[2 * i + 1] = scale * im;
    }
}

static void FFT(swap_all)(FFT(t) *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        FFT(t) re = x[2 * i];
        x[2 * i] = x[2 * i + 1];
        x[2 * i + 1] = re;
    }
}

static void FFT(run_chirp)(const FFT(plan) *p, const FFT(t) *in, FFT(t) *out, bool swapped, FFT(t) scale, FFT(t) *room,
                           bool shared, atomic_bool *failed) {
    const FFT(plan) *inner = (const FFT(plan) *)p->entry.inner;
    int64_t n = p->entry.n, m = inner->entry.n;
    FFT(t) *a = room;
    FFT(c) *rest = (FFT(c) *)(room + 2 * m);
    const FFT(ahead) none = {0, 0};
    memcpy(a, in, (size_t)n * 2 * sizeof *a);
    if (swapped) FFT(swap_all)(a, n);
    FFT(multiply)(a, a, p->chirp, n, 1);
    memset(a + 2 * n, 0, (size_t)(m - n) * 2 * sizeof *a);
    FFT(run_split)(inner, a, a, false, 1, rest, shared, none, failed);
    FFT(multiply)(a, a, p->kernel, m, 1);
    FFT(run_split)(inner, a, a, true, 1, rest, shared, none, failed);
    FFT(multiply)(out, a, p->chirp, n, scale);
    if (swapped) FFT(swap_all)(out, n);
}

static int64_t FFT(line_bytes)(const FFT(plan) *p) {
    if (p->entry.kind == FFT_SPLIT) return FFT(split_bytes)(p);
    const FFT(plan) *inner = (const FFT(plan) *)p->entry.inner;
    return inner->entry.n * 2 * (int64_t)sizeof(FFT(t)) + FFT(split_bytes)(inner);
}

static void FFT(run_line)(const FFT(plan) *p, const FFT(t) *in, FFT(t) *out, bool swapped, FFT(t) scale, void *room, bool shared,
                          FFT(ahead) ahead, atomic_bool *failed) {
    (p->entry.kind == FFT_SPLIT ? FFT(run_split)(p, in, out, swapped, scale, room, shared, ahead, failed)
                                : FFT(run_chirp)(p, in, out, swapped, scale, room, shared, failed));
}

/* ---- making plans ---- */

static void FFT(plan_tables)(FFT(plan) *p, fft_arena *arena) {
    int64_t n = p->entry.n;
    if (p->entry.kind == FFT_LANES) FFT(plan_lanes)(&p->first, n, arena);
    if (p->entry.kind == FFT_SPLIT) {
        p->n1 = fft_divisor(n);
        p->n2 = n / p->n1;
        int64_t blocks = (p->n2 + FFT_WIDTH - 1) / FFT_WIDTH;
        p->blocks = blocks | 1;
        FFT(plan_lanes)(&p->first, p->n1, arena);
        FFT(plan_lanes)(&p->second, p->n2, arena);
        FFT(c) *near = fft_take(arena, p->n1 * (int64_t)sizeof *near);
        FFT(t) *far = fft_take(arena, blocks * p->n1 * 2 * (int64_t)sizeof *far), root[2];
        p->near = near;
        p->far = far;
        for (int64_t k = 0; near && k < p->n1; k++)
            for (int l = 0; l < FFT_WIDTH; l++) {
                FFT(put_root)(root, k * l % n, n);
                near[k].re[l] = root[0];
                near[k].im[l] = root[1];
            }
        for (int64_t i = 0; far && i < blocks * p->n1 && (i % 65536 || !hx_stopped()); i++)
            FFT(put_root)(far + 2 * i, i / p->n1 * FFT_WIDTH * (i % p->n1) % n, n);
    }
    if (p->entry.kind == FFT_CHIRP) {
        FFT(t) *chirp = fft_take(arena, n * 2 * (int64_t)sizeof *chirp);
        p->chirp = chirp;
        p->kernel = fft_take(arena, fft_chirp_length(n) * 2 * (int64_t)sizeof *p->kernel);
        int64_t square = 0; /* j^2 mod 2n */
        for (int64_t j = 0; chirp && j < n && (j % 65536 || !hx_stopped()); square = (square + 2 * j + 1) % (2 * n), j++)
            FFT(put_root)(chirp + 2 * j, square, 2 * n);
    }
    if (p->entry.real) {
        FFT(t) *c = fft_take(arena, (n / 2 + 1) * (int64_t)sizeof *c), *s = fft_take(arena, (n / 2 + 1) * (int64_t)sizeof *s);
        p->cosine = c;
        p->sine = s;
        for (int64_t k = 0; c && k <= n / 2 && (k % 65536 || !hx_stopped()); k++) {
            double cosine, sine;
            fft_root(k, 2 * n, &cosine, &sine);
            c[k] = (FFT(t))cosine;
            s[k] = (FFT(t))sine;
        }
    }
}

static fft_entry *FFT(get_plan)(int64_t n, fft_kind kind, bool real);

/* The transform of the conjugate chirp, divided by its length. */
static bool FFT(plan_kernel)(FFT(plan) *p) {
    const FFT(plan) *inner = (const FFT(plan) *)p->entry.inner;
    int64_t n = p->entry.n, m = inner->entry.n, bytes = FFT(split_bytes)(inner);
    FFT(t) *b = (FFT(t) *)p->kernel;
    FFT(c) *room = hx_pool_keep((size_t)bytes);
    if (!room) return false;
    memset(b, 0, (size_t)m * 2 * sizeof *b);
    for (int64_t j = 0; j < n; j++) {
        int64_t mirror = j ? m - j : 0;
        b[2 * j] = b[2 * mirror] = p->chirp[2 * j];
        b[2 * j + 1] = b[2 * mirror + 1] = -p->chirp[2 * j + 1];
    }
    FFT(run_split)(inner, b, b, false, (FFT(t))(1.0 / (double)m), room, false, (FFT(ahead)){0, 0}, NULL);
    hx_pool_free(room, (size_t)bytes);
    return true;
}

/* A new plan with one reference; NULL without memory. */
static fft_entry *FFT(make_plan)(int64_t n, fft_kind kind, bool real) {
    FFT(plan) draft = {.entry = {.n = n, .kind = kind, .real = real, .is_double = sizeof(FFT(t)) == 8}};
    fft_arena arena = {0};
    FFT(plan_tables)(&draft, &arena);
    draft.entry.bytes = (size_t)fft_rounded((int64_t)sizeof draft) + (size_t)arena.used;
    FFT(plan) *p = hx_pool_keep(draft.entry.bytes);
    if (!p) return NULL;
    *p = draft;
    arena = (fft_arena){(char *)p + fft_rounded((int64_t)sizeof draft), 0};
    FFT(plan_tables)(p, &arena);
    atomic_init(&p->entry.refs, 1);
    bool whole = kind != FFT_CHIRP ||
                 ((p->entry.inner = FFT(get_plan)(fft_chirp_length(n), FFT_SPLIT, false)) && FFT(plan_kernel)(p));
    if (!whole || hx_stopped()) { /* nothing that was given up is kept */
        fft_release(&p->entry);
        return NULL;
    }
    return &p->entry;
}

/* The plan, from those that are kept where it is there; the caller gets a reference. */
static fft_entry *FFT(get_plan)(int64_t n, fft_kind kind, bool real) {
    fft_entry *found = fft_kept(n, kind, real, sizeof(FFT(t)) == 8);
    if (found) return found;
    found = FFT(make_plan)(n, kind, real);
    if (found) fft_keep(found);
    return found;
}

/* ---- lines in lanes ---- */

typedef struct FFT(job) {
    const FFT(plan) *p;
    const FFT(t) *in;
    FFT(t) *out;
    fft_form form;
    bool inverse, shared;
    FFT(t) scale;
    int64_t n, n_in, n_out, outer, inner; /* of the real or complex signal, and along the axis in both tensors */
    int64_t groups;                       /* of lanes: for each outer index where inner > 1, else of outer indices */
    int64_t ahead_in, ahead_out;          /* numbers from what is worked on to what comes next, to be asked for; or 0 */
    int numbers_in, numbers_out;          /* 2 for complex elements */
    atomic_bool failed;
} FFT(job);

static FFT(lines) FFT(lines_of)(const FFT(job) *j, int64_t group, FFT(t) *base, int64_t n, int numbers, int64_t ahead) {
    if (j->inner == 1)
        return (FFT(lines)){base + group * FFT_WIDTH * n * numbers, n * numbers, numbers,
                            FFT(lanes_from)(group * FFT_WIDTH, j->outer), ahead};
    int64_t column = group % j->groups * FFT_WIDTH;
    return (FFT(lines)){base + (group / j->groups * n * j->inner + column) * numbers, numbers, j->inner * numbers,
                        FFT(lanes_from)(column, j->inner), 0};
}

static void FFT(read_signal)(const FFT(job) *j, FFT(lines) l, FFT(c) *x, FFT(c) *y) {
    const int32_t *place = j->p->first.place;
    int64_t m = j->p->entry.n;
    if (j->form == FFT_COMPLEX) {
        FFT(read_complex)(&l, m, place, j->inverse, x);
    } else if (j->form == FFT_FROM_REAL && !j->p->entry.real) {
        FFT(read_real)(&l, m, place, x);
    } else if (j->form == FFT_FROM_REAL && j->inner == 1) {
        l.step = 2;
        FFT(read_complex)(&l, m, place, false, x);
    } else if (j->form == FFT_FROM_REAL) {
        for (int64_t i = 0; i < m; i++)
            x[place[i]] = (FFT(c)){FFT(load_some)(l.base + 2 * i * l.step, l.lanes),
                                   FFT(load_some)(l.base + (2 * i + 1) * l.step, l.lanes)};
    } else {
        FFT(read_complex)(&l, j->n_in, NULL, false, y);
        y[0].im = (FFT(v)){0};
        if (j->p->entry.real) {
            y[m].im = (FFT(v)){0};
            for (int64_t k = 0; k <= m / 2; k++) {
                FFT(c) a = y[k], b = y[m - k];
                FFT(mix)(&a, &b, FFT(all)(j->p->cosine[k]), FFT(all)(j->p->sine[k]));
                x[place[k]] = FFT(swap)(a);
                if (k) x[place[m - k]] = FFT(swap)(b);
            }
        } else {
            x[place[0]] = FFT(swap)(y[0]);
            for (int64_t k = 1; k < j->n_in; k++) {
                x[place[k]] = FFT(swap)(y[k]);
                x[place[m - k]] = (FFT(c)){-y[k].im, y[k].re};
            }
        }
    }
}

static void FFT(write_signal)(const FFT(job) *j, FFT(lines) l, FFT(c) *x, FFT(c) *y) {
    int64_t m = j->p->entry.n;
    FFT(v) scale = FFT(all)(j->scale);
    if (j->form == FFT_COMPLEX) {
        FFT(write_complex)(&l, x, m, j->inverse, scale);
    } else if (j->form == FFT_FROM_REAL && !j->p->entry.real) {
        FFT(write_complex)(&l, x, j->n_out, false, scale);
    } else if (j->form == FFT_FROM_REAL) {
        y[0] = (FFT(c)){(x[0].re + x[0].im) * scale, {0}};
        y[m] = (FFT(c)){(x[0].re - x[0].im) * scale, {0}};
        for (int64_t k = 1; k <= m / 2; k++) {
            y[k] = x[k];
            y[m - k] = x[m - k];
            FFT(c) a = x[k], b = x[m - k];
            FFT(unmix)(&a, &b, FFT(all)(j->p->cosine[k]), FFT(all)(j->p->sine[k]), (FFT(t))0.5 * scale);
            y[k] = a;
            y[m - k] = b;
        }
        FFT(write_complex)(&l, y, j->n_out, false, FFT(all)(1));
    } else if (!j->p->entry.real) {
        FFT(write_imaginary)(&l, x, m, scale);
    } else if (j->inner == 1) {
        l.step = 2;
        FFT(write_complex)(&l, x, m, true, scale);
    } else {
        for (int64_t i = 0; i < m; i++) {
            FFT(store_some)(l.base + 2 * i * l.step, l.lanes, x[i].im * scale);
            FFT(store_some)(l.base + (2 * i + 1) * l.step, l.lanes, x[i].re * scale);
        }
    }
}

static void FFT(lane_groups)(void *ctx, int64_t begin, int64_t end) {
    FFT(job) *j = ctx;
    size_t bytes = (size_t)(2 * j->p->entry.n + 1) * sizeof(FFT(c));
    FFT(c) *x = hx_pool_alloc(bytes);
    if (!x) {
        atomic_store(&j->failed, true);
        return;
    }
    for (int64_t group = begin; group < end; group++) {
        FFT(c) *y = x + j->p->entry.n;
        FFT(read_signal)(j, FFT(lines_of)(j, group, (FFT(t) *)j->in, j->n_in, j->numbers_in, j->ahead_in), x, y);
        FFT(run_lanes)(&j->p->first, x);
        FFT(write_signal)(j, FFT(lines_of)(j, group, j->out, j->n_out, j->numbers_out, j->ahead_out), x, y);
    }
    hx_pool_free(x, bytes);
}

/* ---- lines one by one ---- */

/* Both ways between the spectra of 2m real and m complex numbers of one line; `from` and `to` may be one. */
static void FFT(mix_line)(const FFT(job) *j, const FFT(t) *from, FFT(t) *to) {
    int64_t m = j->p->entry.n, k = 1;
    bool forward = j->form == FFT_FROM_REAL;
    FFT(v) scale = FFT(all)((FFT(t))0.5 * j->scale);
    const FFT(t) *c = j->p->cosine, *s = j->p->sine;
    if (forward) {
        FFT(t) re = from[0], im = from[1];
        to[0] = (re + im) * j->scale;
        to[2 * m] = (re - im) * j->scale;
        to[1] = to[2 * m + 1] = 0;
    } else {
        FFT(t) first = from[0], last = from[2 * m];
        to[0] = first + last;
        to[1] = first - last;
    }
    for (; k + FFT_WIDTH <= m - k - FFT_WIDTH + 1; k += FFT_WIDTH) {
        int64_t mirror = m - k - FFT_WIDTH + 1;
        if (forward && j->ahead_out) {
            FFT(ask)(to + 2 * k + j->ahead_out, 2 * FFT_WIDTH, true);
            FFT(ask)(to + 2 * mirror + j->ahead_out, 2 * FFT_WIDTH, true);
        } else if (j->ahead_in) {
            FFT(ask)(from + 2 * k + j->ahead_in, 2 * FFT_WIDTH, false);
            FFT(ask)(from + 2 * mirror + j->ahead_in, 2 * FFT_WIDTH, false);
        }
        FFT(c) a = FFT(load_pairs)(from + 2 * k), b = FFT(load_pairs)(from + 2 * mirror);
        b = (FFT(c)){FFT(reverse)(b.re), FFT(reverse)(b.im)};
        if (forward) FFT(unmix)(&a, &b, FFT(load)(c + k), FFT(load)(s + k), scale);
        else FFT(mix)(&a, &b, FFT(load)(c + k), FFT(load)(s + k));
        FFT(store_pairs)(to + 2 * k, a);
        FFT(store_pairs)(to + 2 * mirror, (FFT(c)){FFT(reverse)(b.re), FFT(reverse)(b.im)});
    }
    for (; k <= m / 2; k++) {
        FFT(c) a = {FFT(all)(from[2 * k]), FFT(all)(from[2 * k + 1])};
        FFT(c) b = {FFT(all)(from[2 * (m - k)]), FFT(all)(from[2 * (m - k) + 1])};
        if (forward) FFT(unmix)(&a, &b, FFT(all)(c[k]), FFT(all)(s[k]), scale);
        else FFT(mix)(&a, &b, FFT(all)(c[k]), FFT(all)(s[k]));
        to[2 * k] = a.re[0];
        to[2 * k + 1] = a.im[0];
        to[2 * (m - k)] = b.re[0];
        to[2 * (m - k) + 1] = b.im[0];
    }
}

/* The numbers of a line as complex ones, and the transform's result as the line wants it, for odd real lengths. */
static void FFT(widen)(const FFT(job) *j, const FFT(t) *line, FFT(t) *x) {
    if (j->form == FFT_FROM_REAL) {
        for (int64_t i = 0; i < j->n; i++) x[2 * i] = line[i], x[2 * i + 1] = 0;
        return;
    }
    x[0] = line[0];
    x[1] = 0;
    for (int64_t k = 1; k < j->n_in; k++) {
        x[2 * k] = x[2 * (j->n - k)] = line[2 * k];
        x[2 * k + 1] = line[2 * k + 1];
        x[2 * (j->n - k) + 1] = -line[2 * k + 1];
    }
}
static void FFT(narrow)(const FFT(job) *j, const FFT(t) *x, FFT(t) *line) {
    if (j->form == FFT_FROM_REAL) memcpy(line, x, (size_t)j->n_out * 2 * sizeof *x);
    else
        for (int64_t i = 0; i < j->n; i++) line[i] = x[2 * i];
}

/* in, out: lines whose elements lie side by side; x: room for n + 1 complex numbers. */
static void FFT(one_line)(FFT(job) *j, const FFT(t) *in, FFT(t) *out, FFT(t) *x, void *room) {
    bool halved = j->p->entry.real;
    if (j->form == FFT_COMPLEX) {
        FFT(run_line)(j->p, in, out, j->inverse, j->scale, room, j->shared, (FFT(ahead)){j->ahead_in, j->ahead_out}, &j->failed);
    } else if (halved && j->form == FFT_FROM_REAL) {
        FFT(run_line)(j->p, in, x, false, 1, room, j->shared, (FFT(ahead)){j->ahead_in, 0}, &j->failed);
        FFT(mix_line)(j, x, out);
    } else if (halved) {
        FFT(mix_line)(j, in, x);
        FFT(run_line)(j->p, x, out, true, j->scale, room, j->shared, (FFT(ahead)){0, j->ahead_out}, &j->failed);
    } else {
        FFT(widen)(j, in, x);
        FFT(run_line)(j->p, x, x, j->form == FFT_TO_REAL, j->scale, room, j->shared, (FFT(ahead)){0, 0}, &j->failed);
        FFT(narrow)(j, x, out);
    }
}

static void FFT(gather)(FFT(t) *to, const FFT(t) *from, int64_t n, int numbers, int64_t step) {
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < numbers; k++) to[i * numbers + k] = from[i * step * numbers + k];
}
static void FFT(spread)(FFT(t) *to, const FFT(t) *from, int64_t n, int numbers, int64_t step) {
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < numbers; k++) to[i * step * numbers + k] = from[i * numbers + k];
}

static void FFT(each_line)(void *ctx, int64_t begin, int64_t end) {
    FFT(job) *j = ctx;
    int64_t widest = 2 * (j->n + 2), inside = fft_rounded(widest * (int64_t)sizeof(FFT(t)));
    size_t bytes = (size_t)(3 * inside + FFT(line_bytes)(j->p));
    char *room = hx_pool_alloc(bytes);
    if (!room) {
        atomic_store(&j->failed, true);
        return;
    }
    FFT(t) *x = (FFT(t) *)room, *line_in = (FFT(t) *)(room + inside), *line_out = (FFT(t) *)(room + 2 * inside);
    void *rest = room + 3 * inside;
    for (int64_t line = begin; line < end; line++) {
        int64_t o = line / j->inner, i = line % j->inner;
        const FFT(t) *in = j->in + (o * j->n_in * j->inner + i) * j->numbers_in;
        FFT(t) *out = j->out + (o * j->n_out * j->inner + i) * j->numbers_out;
        if (j->inner == 1) {
            FFT(one_line)(j, in, out, x, rest);
        } else {
            FFT(gather)(line_in, in, j->n_in, j->numbers_in, j->inner);
            FFT(one_line)(j, line_in, line_out, x, rest);
            FFT(spread)(out, line_out, j->n_out, j->numbers_out, j->inner);
        }
    }
    hx_pool_free(room, bytes);
}

/* Transforms one axis of (outer, n, inner). `in` and `out` may be the same memory where both are complex. */
static bool FFT(axis)(const void *in, void *out, fft_form form, bool inverse, double scale, int64_t n, int64_t outer,
                      int64_t inner) {
    int64_t half = n / 2 + 1, m = form != FFT_COMPLEX && n % 2 == 0 ? n / 2 : n;
    fft_entry *plan = FFT(get_plan)(m, fft_kind_of(m, inner, FFT_WIDTH), m != n);
    if (!plan) return false;
    FFT(job) j = {.p = (const FFT(plan) *)plan, .in = in, .out = out, .form = form, .inverse = inverse,
                  .scale = (FFT(t))scale, .n = n, .n_in = form == FFT_TO_REAL ? half : n,
                  .n_out = form == FFT_FROM_REAL ? half : n, .outer = outer, .inner = inner,
                  .numbers_in = form == FFT_FROM_REAL ? 1 : 2, .numbers_out = form == FFT_TO_REAL ? 1 : 2};
    atomic_init(&j.failed, false);
    if (inner == 1) {
        enum { MOST = 1 << 17 }; /* bytes that are sure to stay in a cache until their turn */
        int64_t lines = plan->kind == FFT_LANES ? FFT_WIDTH : 1;
        int64_t in_numbers = lines * j.n_in * j.numbers_in, out_numbers = lines * j.n_out * j.numbers_out;
        bool near = (in_numbers + out_numbers) * (int64_t)sizeof(FFT(t)) <= MOST && outer > lines;
        j.ahead_in = near ? in_numbers : 0;
        j.ahead_out = near ? out_numbers : 0;
    }
    if (plan->kind == FFT_LANES) {
        j.groups = ((inner == 1 ? outer : inner) + FFT_WIDTH - 1) / FFT_WIDTH;
        hx_parallel_range(inner == 1 ? j.groups : outer * j.groups, 4096 / m + 1, FFT(lane_groups), &j);
    } else {
        int64_t lines = outer * inner;
        j.shared = m >= FFT_SHARED && lines < 16;
        hx_parallel_range(lines, j.shared ? lines : 16384 / m + 1, FFT(each_line), &j);
    }
    fft_release(plan);
    return !atomic_load(&j.failed);
}
