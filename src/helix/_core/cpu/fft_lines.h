/* Reading lines of memory into lanes and back: included by cpu/fft.c after fft_lanes.h, once a type with FFT_INTERLEAVE
 * (low halves), FFT_INTERLEAVE_HIGH, FFT_EVENS, FFT_ODDS and FFT_REVERSE, the lanes that shuffles take. */

/* As many lines as `lanes`: line l begins l * lane_step numbers from base, and its elements lie `step` numbers apart. Either
 * lines or elements lie side by side. While they are read or written, what lies `ahead` numbers on is asked for: lines are
 * taken a register of lines at a time, which the processor does not foresee. */
typedef struct FFT(lines) {
    FFT(t) *base;
    int64_t lane_step, step;
    int lanes;
    int64_t ahead; /* 0: nothing is */
} FFT(lines);

static inline void FFT(ask)(const FFT(t) *p, int64_t numbers, const bool writes) {
    enum { LINE = 64 / sizeof(FFT(t)) };
    for (int64_t i = 0; i < numbers; i += LINE) {
        if (writes) __builtin_prefetch(p + i, 1);
        else __builtin_prefetch(p + i);
    }
}

static inline FFT(v) FFT(interleave)(FFT(v) a, FFT(v) b) { return __builtin_shufflevector(a, b, FFT_INTERLEAVE); }
static inline FFT(v) FFT(interleave_high)(FFT(v) a, FFT(v) b) { return __builtin_shufflevector(a, b, FFT_INTERLEAVE_HIGH); }
static inline FFT(v) FFT(reverse)(FFT(v) a) { return __builtin_shufflevector(a, a, FFT_REVERSE); }

/* Registers of complex numbers in memory's order, and back. */
static inline FFT(c) FFT(apart)(FFT(v) a, FFT(v) b) {
    return (FFT(c)){__builtin_shufflevector(a, b, FFT_EVENS), __builtin_shufflevector(a, b, FFT_ODDS)};
}
static inline FFT(c) FFT(load_pairs)(const FFT(t) *p) { return FFT(apart)(FFT(load)(p), FFT(load)(p + FFT_WIDTH)); }
static inline void FFT(store_pairs)(FFT(t) *p, FFT(c) x) {
    FFT(store)(p, FFT(interleave)(x.re, x.im));
    FFT(store)(p + FFT_WIDTH, FFT(interleave_high)(x.re, x.im));
}

/* Rows become columns: each round turns the address bits (row, column) of every number by one. */
static inline void FFT(transpose)(FFT(v) *x) {
    FFT(v) y[FFT_WIDTH];
    for (int round = 1; round < FFT_WIDTH; round *= 2) {
        for (int i = 0; i < FFT_WIDTH / 2; i++) {
            y[2 * i] = FFT(interleave)(x[i], x[i + FFT_WIDTH / 2]);
            y[2 * i + 1] = FFT(interleave_high)(x[i], x[i + FFT_WIDTH / 2]);
        }
        for (int i = 0; i < FFT_WIDTH; i++) x[i] = y[i];
    }
}

/* A register of which memory has only n numbers. */
static inline FFT(v) FFT(load_some)(const FFT(t) *p, int64_t n) {
    FFT(t) room[FFT_WIDTH] = {0};
    if (n >= FFT_WIDTH) return FFT(load)(p);
    for (int64_t i = 0; i < n; i++) room[i] = p[i];
    return FFT(load)(room);
}
static inline void FFT(store_some)(FFT(t) *p, int64_t n, FFT(v) v) {
    FFT(t) room[FFT_WIDTH];
    if (n >= FFT_WIDTH) {
        FFT(store)(p, v);
        return;
    }
    FFT(store)(room, v);
    for (int64_t i = 0; i < n; i++) p[i] = room[i];
}

/* The same from and to memory: row r begins r * step numbers from p. */
static inline void FFT(load_turned)(const FFT(t) *p, int64_t step, FFT(v) *tile) {
#ifdef FFT_IS_FLOAT
    hx_load_turned(p, step, tile);
#else
    for (int i = 0; i < FFT_WIDTH; i++) tile[i] = FFT(load)(p + i * step);
    FFT(transpose)(tile);
#endif
}
static inline void FFT(store_turned)(FFT(t) *p, int64_t step, FFT(v) *tile) {
#ifdef FFT_IS_FLOAT
    hx_store_turned(p, step, tile);
#else
    FFT(transpose)(tile);
    for (int i = 0; i < FFT_WIDTH; i++) FFT(store)(p + i * step, tile[i]);
#endif
}

/* FFT_WIDTH numbers of each line, from number `at` of lines whose numbers lie side by side, as columns; `n` are there. */
static inline void FFT(read_tile)(const FFT(lines) *l, int64_t at, int64_t n, FFT(v) *tile) {
    const FFT(t) *p = l->base + at;
    if (l->lanes == FFT_WIDTH && n >= FFT_WIDTH) {
        FFT(load_turned)(p, l->lane_step, tile);
        return;
    }
    for (int i = 0; i < FFT_WIDTH; i++, p += l->lane_step) tile[i] = i < l->lanes ? FFT(load_some)(p, n) : (FFT(v)){0};
    FFT(transpose)(tile);
}
static inline void FFT(write_tile)(const FFT(lines) *l, int64_t at, int64_t n, FFT(v) *tile) {
    FFT(t) *p = l->base + at;
    if (l->lanes == FFT_WIDTH && n >= FFT_WIDTH) {
        FFT(store_turned)(p, l->lane_step, tile);
        return;
    }
    FFT(transpose)(tile);
    for (int i = 0; i < l->lanes; i++, p += l->lane_step) FFT(store_some)(p, n, tile[i]);
}

/* The whole tiles of complex lines that fill the lanes; the element after them. */
static ALWAYS_INLINE int64_t FFT(read_tiles)(const FFT(lines) *l, int64_t n, const int32_t *place, const bool swapped, FFT(c) *x) {
    int64_t at = 0;
    for (; at + FFT_WIDTH / 2 <= n; at += FFT_WIDTH / 2) {
        FFT(v) tile[FFT_WIDTH];
        if (l->ahead) FFT(ask)(l->base + l->ahead + at * 2 * FFT_WIDTH, FFT_WIDTH * FFT_WIDTH, false);
        FFT(load_turned)(l->base + 2 * at, l->lane_step, tile);
        _Pragma("GCC unroll 8") for (int64_t j = 0; j < FFT_WIDTH / 2; j++)
            x[place ? place[at + j] : at + j] = (FFT(c)){tile[2 * j + swapped], tile[2 * j + !swapped]};
    }
    return at;
}
static ALWAYS_INLINE int64_t FFT(write_tiles)(const FFT(lines) *l, const FFT(c) *x, int64_t n, const bool swapped, FFT(v) scale) {
    int64_t at = 0;
    for (; at + FFT_WIDTH / 2 <= n; at += FFT_WIDTH / 2) {
        FFT(v) tile[FFT_WIDTH];
        if (l->ahead) FFT(ask)(l->base + l->ahead + at * 2 * FFT_WIDTH, FFT_WIDTH * FFT_WIDTH, true);
        _Pragma("GCC unroll 8") for (int64_t j = 0; j < FFT_WIDTH / 2; j++) {
            FFT(c) e = FFT(scale)(x[at + j], scale);
            tile[2 * j + swapped] = e.re;
            tile[2 * j + !swapped] = e.im;
        }
        FFT(store_turned)(l->base + 2 * at, l->lane_step, tile);
    }
    return at;
}

/* Elements [0, n) of complex lines into x: element j goes to place[j] (NULL: j); swapped: real and imaginary parts. */
static inline void FFT(read_complex)(const FFT(lines) *l, int64_t n, const int32_t *place, bool swapped, FFT(c) *x) {
    if (l->lane_step == 2 && l->lanes == FFT_WIDTH) {
        const FFT(t) *p = l->base;
        for (int64_t j = 0; j < n; j++, p += l->step) {
            FFT(c) e = FFT(load_pairs)(p);
            if (l->ahead) FFT(ask)(p + l->ahead, 2 * FFT_WIDTH, false);
            x[place ? place[j] : j] = swapped ? FFT(swap)(e) : e;
        }
    } else if (l->lane_step == 2) {
        for (int64_t j = 0; j < n; j++) {
            const FFT(t) *p = l->base + j * l->step;
            FFT(c) e = FFT(apart)(FFT(load_some)(p, 2 * l->lanes), FFT(load_some)(p + FFT_WIDTH, 2 * l->lanes - FFT_WIDTH));
            x[place ? place[j] : j] = swapped ? FFT(swap)(e) : e;
        }
    } else {
        int64_t at = l->lanes < FFT_WIDTH ? 0 : swapped ? FFT(read_tiles)(l, n, place, true, x) : FFT(read_tiles)(l, n, place, false, x);
        for (; at < n; at += FFT_WIDTH / 2) {
            FFT(v) tile[FFT_WIDTH];
            FFT(read_tile)(l, 2 * at, 2 * (n - at), tile);
            for (int64_t j = 0; j < FFT_WIDTH / 2 && at + j < n; j++)
                x[place ? place[at + j] : at + j] = (FFT(c)){tile[2 * j + swapped], tile[2 * j + !swapped]};
        }
    }
}

static inline void FFT(write_complex)(const FFT(lines) *l, const FFT(c) *x, int64_t n, bool swapped, FFT(v) scale) {
    if (l->lane_step == 2 && l->lanes == FFT_WIDTH) {
        for (int64_t j = 0; j < n; j++) {
            FFT(t) *p = l->base + j * l->step;
            if (l->ahead) FFT(ask)(p + l->ahead, 2 * FFT_WIDTH, true);
            FFT(store_pairs)(p, FFT(scale)(swapped ? FFT(swap)(x[j]) : x[j], scale));
        }
        return;
    }
    if (l->lane_step == 2) {
        for (int64_t j = 0; j < n; j++) {
            FFT(c) e = FFT(scale)(swapped ? FFT(swap)(x[j]) : x[j], scale);
            FFT(t) *p = l->base + j * l->step;
            FFT(store_some)(p, 2 * l->lanes, FFT(interleave)(e.re, e.im));
            FFT(store_some)(p + FFT_WIDTH, 2 * l->lanes - FFT_WIDTH, FFT(interleave_high)(e.re, e.im));
        }
        return;
    }
    int64_t at = l->lanes < FFT_WIDTH ? 0 : swapped ? FFT(write_tiles)(l, x, n, true, scale) : FFT(write_tiles)(l, x, n, false, scale);
    for (; at < n; at += FFT_WIDTH / 2) {
        FFT(v) tile[FFT_WIDTH];
        for (int64_t j = 0; j < FFT_WIDTH / 2; j++) {
            FFT(c) e = at + j < n ? FFT(scale)(x[at + j], scale) : (FFT(c)){{0}, {0}};
            tile[2 * j] = swapped ? e.im : e.re;
            tile[2 * j + 1] = swapped ? e.re : e.im;
        }
        FFT(write_tile)(l, 2 * at, 2 * (n - at), tile);
    }
}

/* The same for real lines, whose element j becomes the real (imaginary) part of x[j]. */
static inline void FFT(read_real)(const FFT(lines) *l, int64_t n, const int32_t *place, FFT(c) *x) {
    if (l->lane_step == 1) {
        for (int64_t j = 0; j < n; j++) x[place[j]] = (FFT(c)){FFT(load_some)(l->base + j * l->step, l->lanes), {0}};
        return;
    }
    for (int64_t at = 0; at < n; at += FFT_WIDTH) {
        FFT(v) tile[FFT_WIDTH];
        FFT(read_tile)(l, at, n - at, tile);
        for (int64_t j = 0; j < FFT_WIDTH && at + j < n; j++) x[place[at + j]] = (FFT(c)){tile[j], {0}};
    }
}

static inline void FFT(write_imaginary)(const FFT(lines) *l, const FFT(c) *x, int64_t n, FFT(v) scale) {
    if (l->lane_step == 1) {
        for (int64_t j = 0; j < n; j++) FFT(store_some)(l->base + j * l->step, l->lanes, x[j].im * scale);
        return;
    }
    for (int64_t at = 0; at < n; at += FFT_WIDTH) {
        FFT(v) tile[FFT_WIDTH];
        for (int64_t j = 0; j < FFT_WIDTH; j++) tile[j] = at + j < n ? x[at + j].im * scale : (FFT(v)){0};
        FFT(write_tile)(l, at, n - at, tile);
    }
}

/* ---- the spectrum of 2m real numbers from that of m complex ones, and back ----
 * With z[i] = x[2i] + i x[2i+1], elements k and m - k of both spectra depend on one another alone. c and s are the cosine
 * and sine of 2 pi k / 2m; scale has the factor 1/2 of the first direction in it. */
static inline void FFT(unmix)(FFT(c) *a, FFT(c) *b, FFT(v) c, FFT(v) s, FFT(v) scale) {
    FFT(c) e = {a->re + b->re, a->im - b->im}, d = {a->re - b->re, a->im + b->im};
    FFT(c) t = {c * d.im - s * d.re, -(c * d.re + s * d.im)};
    *a = FFT(scale)(FFT(add)(e, t), scale);
    *b = FFT(scale)((FFT(c)){e.re - t.re, t.im - e.im}, scale);
}
static inline void FFT(mix)(FFT(c) *a, FFT(c) *b, FFT(v) c, FFT(v) s) {
    FFT(c) e = {a->re + b->re, a->im - b->im}, d = {a->re - b->re, a->im + b->im};
    FFT(c) t = {-(c * d.im + s * d.re), c * d.re - s * d.im};
    *a = FFT(add)(e, t);
    *b = (FFT(c)){e.re - t.re, t.im - e.im};
}
