/* Fourier transforms of one element type: as many of one length side by side as a register has lanes. Included by cpu/fft.c
 * once a type with FFT_TYPE, FFT_VECTOR, FFT_WIDTH (lanes) and FFT(name), which gives a name its ending.
 *
 * Element j of all lanes is a pair of registers, so that every butterfly is plain arithmetic and any order of elements
 * costs nothing. The method is Cooley and Tukey's, decimated in time and in place: elements are read to the places that the
 * radices give them, and the last pass leaves them in order (C. Van Loan, Computational Frameworks for the FFT, 1992). */

typedef FFT_TYPE FFT(t);
typedef FFT_VECTOR FFT(v);

/* Element j of every lane. */
typedef struct FFT(c) {
    FFT(v) re, im;
} FFT(c);

/* What a transform of length n on lanes needs. Passes go from the innermost radix to the outermost. */
typedef struct FFT(lanes) {
    int64_t n;
    int passes, radix[FFT_PASSES];
    const int32_t *place;              /* where element j is read to */
    const FFT(t) *twiddle[FFT_PASSES]; /* of a pass: for each k below its stride, radix - 1 pairs */
    const FFT(t) *roots[FFT_PASSES];   /* of a radix without a butterfly of its own: cosines and sines in pairs */
} FFT(lanes);

static inline FFT(v) FFT(all)(FFT(t) x) { return x - (FFT(v)){0}; }
static inline FFT(v) FFT(load)(const FFT(t) *p) {
    FFT(v) v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void FFT(store)(FFT(t) *p, FFT(v) v) { memcpy(p, &v, sizeof v); }
static inline FFT(c) FFT(add)(FFT(c) a, FFT(c) b) { return (FFT(c)){a.re + b.re, a.im + b.im}; }
static inline FFT(c) FFT(sub)(FFT(c) a, FFT(c) b) { return (FFT(c)){a.re - b.re, a.im - b.im}; }
static inline FFT(c) FFT(scale)(FFT(c) a, FFT(v) s) { return (FFT(c)){a.re * s, a.im * s}; }
static inline FFT(c) FFT(swap)(FFT(c) a) { return (FFT(c)){a.im, a.re}; }
static inline FFT(c) FFT(minus_i)(FFT(c) a) { return (FFT(c)){a.im, -a.re}; }
static inline FFT(c) FFT(turn)(FFT(c) a, FFT(v) re, FFT(v) im) {
    return (FFT(c)){a.re * re - a.im * im, a.re * im + a.im * re};
}

/* ---- butterflies, in place ---- */

static inline void FFT(two)(FFT(c) *x) {
    FFT(c) a = x[0], b = x[1];
    x[0] = FFT(add)(a, b);
    x[1] = FFT(sub)(a, b);
}

static inline void FFT(three)(FFT(c) *x) {
    const FFT(t) half = (FFT(t))0.5, sine = (FFT(t))0.86602540378443864676;
    FFT(c) s = FFT(add)(x[1], x[2]), d = FFT(sub)(x[1], x[2]);
    FFT(c) m = {x[0].re - half * s.re, x[0].im - half * s.im}, t = {sine * d.im, -sine * d.re};
    x[0] = FFT(add)(x[0], s);
    x[1] = FFT(add)(m, t);
    x[2] = FFT(sub)(m, t);
}

static inline void FFT(four)(FFT(c) *x) {
    FFT(c) a = FFT(add)(x[0], x[2]), b = FFT(sub)(x[0], x[2]), c = FFT(add)(x[1], x[3]);
    FFT(c) d = FFT(minus_i)(FFT(sub)(x[1], x[3]));
    x[0] = FFT(add)(a, c);
    x[1] = FFT(add)(b, d);
    x[2] = FFT(sub)(a, c);
    x[3] = FFT(sub)(b, d);
}

static inline void FFT(five)(FFT(c) *x) {
    const FFT(t) c1 = (FFT(t))0.30901699437494742410, c2 = (FFT(t))-0.80901699437494742410;
    const FFT(t) s1 = (FFT(t))0.95105651629515357212, s2 = (FFT(t))0.58778525229247312917;
    FFT(c) p = FFT(add)(x[1], x[4]), q = FFT(add)(x[2], x[3]), u = FFT(sub)(x[1], x[4]), w = FFT(sub)(x[2], x[3]);
    FFT(c) a = {x[0].re + c1 * p.re + c2 * q.re, x[0].im + c1 * p.im + c2 * q.im};
    FFT(c) b = {x[0].re + c2 * p.re + c1 * q.re, x[0].im + c2 * p.im + c1 * q.im};
    FFT(c) d = {s1 * u.im + s2 * w.im, -(s1 * u.re + s2 * w.re)}, e = {s2 * u.im - s1 * w.im, s1 * w.re - s2 * u.re};
    x[0] = FFT(add)(x[0], FFT(add)(p, q));
    x[1] = FFT(add)(a, d);
    x[2] = FFT(add)(b, e);
    x[3] = FFT(sub)(b, e);
    x[4] = FFT(sub)(a, d);
}

static inline void FFT(eight)(FFT(c) *x) {
    const FFT(t) h = (FFT(t))0.70710678118654752440;
    FFT(c) e[4] = {x[0], x[2], x[4], x[6]}, o[4] = {x[1], x[3], x[5], x[7]};
    FFT(four)(e);
    FFT(four)(o);
    o[1] = (FFT(c)){h * (o[1].re + o[1].im), h * (o[1].im - o[1].re)};
    o[2] = FFT(minus_i)(o[2]);
    o[3] = (FFT(c)){h * (o[3].im - o[3].re), -h * (o[3].re + o[3].im)};
    for (int k = 0; k < 4; k++) {
        x[k] = FFT(add)(e[k], o[k]);
        x[k + 4] = FFT(sub)(e[k], o[k]);
    }
}

/* Any odd radix, by pairs of inputs that are mirrors of one another. */
static inline void FFT(odd)(FFT(c) *x, int radix, const FFT(t) *roots) {
    FFT(c) s[FFT_LARGEST_PRIME / 2 + 1], d[FFT_LARGEST_PRIME / 2 + 1], first = x[0];
    int half = radix / 2;
    for (int j = 1; j <= half; j++) {
        s[j] = FFT(add)(x[j], x[radix - j]);
        d[j] = FFT(sub)(x[j], x[radix - j]);
        x[0] = FFT(add)(x[0], s[j]);
    }
    for (int k = 1; k <= half; k++) {
        FFT(c) a = first, b = {{0}, {0}};
        for (int j = 1, at = k; j <= half; j++, at = at + k < radix ? at + k : at + k - radix) {
            FFT(t) c = roots[2 * at], sine = roots[2 * at + 1];
            a = (FFT(c)){a.re + c * s[j].re, a.im + c * s[j].im};
            b = (FFT(c)){b.re + sine * d[j].im, b.im - sine * d[j].re};
        }
        x[k] = FFT(add)(a, b);
        x[radix - k] = FFT(sub)(a, b);
    }
}

/* ---- passes ---- */

/* One pass: n / (radix * m) blocks of radix runs of m elements. The innermost pass has m 1 and no twiddles. */
#define FFT_PASS(name, R, butterfly)                                                                          \
    static inline __attribute__((always_inline)) void FFT(name)(FFT(c) *x, int64_t n, int64_t m, const FFT(t) *twiddle, \
                                                                int radix, const FFT(t) *roots) {             \
        FFT(c) part[R];                                                                                       \
        (void)roots, (void)radix;                                                                             \
        for (int64_t block = 0; block < n; block += m * (radix))                                              \
            for (int64_t k = 0; k < m; k++) {                                                                 \
                FFT(c) *p = x + block + k;                                                                    \
                const FFT(t) *w = twiddle + 2 * k * (radix - 1);                                              \
                part[0] = p[0];                                                                               \
                if (m == 1)                                                                                   \
                    for (int j = 1; j < (radix); j++) part[j] = p[j];                                         \
                else                                                                                          \
                    for (int j = 1; j < (radix); j++)                                                         \
                        part[j] = FFT(turn)(p[j * m], FFT(all)(w[2 * j - 2]), FFT(all)(w[2 * j - 1]));        \
                butterfly;                                                                                    \
                for (int j = 0; j < (radix); j++) p[j * m] = part[j];                                         \
            }                                                                                                 \
    }
#define FFT_FIXED_PASS(name, R)                                                                               \
    FFT_PASS(name##_any, R, FFT(name)(part))                                                                  \
    static void FFT(name##_pass)(FFT(c) *x, int64_t n, int64_t m, const FFT(t) *twiddle) {                    \
        if (m == 1) FFT(name##_any)(x, n, 1, twiddle, R, NULL);                                               \
        else FFT(name##_any)(x, n, m, twiddle, R, NULL);                                                      \
    }
FFT_FIXED_PASS(two, 2)
FFT_FIXED_PASS(three, 3)
FFT_FIXED_PASS(four, 4)
FFT_FIXED_PASS(five, 5)
FFT_FIXED_PASS(eight, 8)
FFT_PASS(odd_pass, FFT_LARGEST_PRIME, FFT(odd)(part, radix, roots))
#undef FFT_FIXED_PASS
#undef FFT_PASS

/* Transforms x, whose elements were read to their places. */
static void FFT(run_lanes)(const FFT(lanes) *l, FFT(c) *x) {
    int64_t m = 1;
    for (int i = 0; i < l->passes; i++) {
        const FFT(t) *w = l->twiddle[i];
        switch (l->radix[i]) {
        case 2: FFT(two_pass)(x, l->n, m, w); break;
        case 3: FFT(three_pass)(x, l->n, m, w); break;
        case 4: FFT(four_pass)(x, l->n, m, w); break;
        case 5: FFT(five_pass)(x, l->n, m, w); break;
        case 8: FFT(eight_pass)(x, l->n, m, w); break;
        default: FFT(odd_pass)(x, l->n, m, w, l->radix[i], l->roots[i]);
        }
        m *= l->radix[i];
    }
}

/* ---- what is prepared once a length ---- */

static void FFT(put_root)(FFT(t) *to, int64_t k, int64_t n) {
    double c, s;
    fft_root(k, n, &c, &s);
    to[0] = (FFT(t))c;
    to[1] = (FFT(t))-s;
}

static int64_t FFT(place)(const FFT(lanes) *l, int64_t j) {
    int64_t at = 0, size = l->n;
    for (int i = l->passes - 1; i >= 0; i--) {
        size /= l->radix[i];
        at += j % l->radix[i] * size;
        j /= l->radix[i];
    }
    return at;
}

/* Its tables are taken from the arena; with no memory behind the arena, it is only measured. */
static void FFT(plan_lanes)(FFT(lanes) *l, int64_t n, fft_arena *arena) {
    l->n = n;
    l->passes = fft_radices(n, l->radix);
    int32_t *place = fft_take(arena, n * (int64_t)sizeof *place);
    l->place = place;
    for (int64_t j = 0; place && j < n; j++) place[j] = (int32_t)FFT(place)(l, j);
    int64_t m = 1;
    for (int i = 0; i < l->passes; i++) {
        int radix = l->radix[i];
        FFT(t) *w = fft_take(arena, m * (radix - 1) * 2 * (int64_t)sizeof *w);
        FFT(t) *roots = fft_take(arena, radix * 2 * (int64_t)sizeof *roots);
        l->twiddle[i] = w;
        l->roots[i] = roots;
        for (int64_t k = 0; w && k < m; k++)
            for (int j = 1; j < radix; j++) FFT(put_root)(w + 2 * (k * (radix - 1) + j - 1), j * k, m * radix);
        for (int j = 0; roots && j < radix; j++) {
            FFT(put_root)(roots + 2 * j, j, radix);
            roots[2 * j + 1] = -roots[2 * j + 1];
        }
        m *= radix;
    }
}
