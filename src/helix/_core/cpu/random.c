/* Random tensors. Every value is a function of seed, stream and the element's row-major number, as rng.h says:
 * float32, halves and bool take one 32-bit word, float64 and integers one of 64 bits. Fused multiply-adds are off
 * here, so that every instruction set gives the same bits. */
#pragma GCC optimize("fp-contract=off")
#include "maps.h"
#include "vmath.h"
#include <stdlib.h>

enum { RUN = HX_MAP_BLOCK }; /* elements drawn at a time; chunks are whole runs */

typedef struct source {
    uint64_t seed, stream;
} source;

static source source_of(const hx_op_call *call) {
    for (uint32_t i = 0; i < call->n_attr; i++)
        if (call->attr[i].kind == HX_A_RNG) return (source){call->attr[i].v.rng.seed, call->attr[i].v.rng.stream};
    return (source){0, 0};
}

/* ---- words ---- */

enum { LANES = HX_LANES_OF(int64_t) }; /* Philox blocks side by side, a 32-bit word in each 64-bit lane */

typedef HX_VECTOR(uint64_t) unsigned_lanes;

/* The products of the low halves; what stands in the high halves does not matter. */
static inline hx_vl multiply(hx_vl a, uint32_t b) {
#if defined HX_ISA_AVX512
    return (hx_vl)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(b));
#elif defined HX_ISA_AVX2
    return (hx_vl)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(b));
#else
    return (hx_vl)((unsigned_lanes)(a & 0xffffffff) * (uint64_t)b);
#endif
}
static inline hx_vl high_half(hx_vl a) { return (hx_vl)((unsigned_lanes)a >> 32); }

/* LANES blocks from `first` on: word w of block l at words[4 * l + w]. */
static inline void philox_lanes(source s, uint64_t first, uint32_t *words) {
    hx_vl zero = {0}, c0, c1, c2 = zero + (int64_t)s.stream, c3 = zero + (int64_t)(s.stream >> 32);
    int64_t k0 = (int64_t)(s.seed & 0xffffffff), k1 = (int64_t)(s.seed >> 32);
    for (int l = 0; l < LANES; l++) c0[l] = (int64_t)(first + (uint64_t)l);
    c1 = high_half(c0);
    for (int round = 0; round < 10; round++) {
        hx_vl p0 = multiply(c0, 0xD2511F53u), p1 = multiply(c2, 0xCD9E8D57u);
        c0 = high_half(p1) ^ c1 ^ k0;
        c2 = high_half(p0) ^ c3 ^ k1;
        c1 = p1;
        c3 = p0;
        k0 = (k0 + 0x9E3779B9) & 0xffffffff;
        k1 = (k1 + 0xBB67AE85) & 0xffffffff;
    }
    hx_vl low = (c0 & 0xffffffff) | (c1 << 32), high = (c2 & 0xffffffff) | (c3 << 32);
    for (int l = 0; l < LANES; l++) {
        memcpy(words + 4 * l, (const int64_t *)&low + l, 8);
        memcpy(words + 4 * l + 2, (const int64_t *)&high + l, 8);
    }
}

/* n words from word number `at` on, a multiple of 4; writes up to 4 * LANES - 1 more. */
static void draw_words(source s, int64_t at, int64_t n, uint32_t *words) {
    for (int64_t i = 0; i < n; i += 4 * LANES) philox_lanes(s, (uint64_t)(at + i) / 4, words + i);
}

typedef union words {
    uint32_t w[2 * RUN + 4 * LANES];
    hx_vi aligned;
} words;

/* The 64-bit value of element i of a run. */
static inline uint64_t word64(const words *x, int64_t i) { return (uint64_t)x->w[2 * i] << 32 | x->w[2 * i + 1]; }

/* ---- distributions: one run at a time ---- */

typedef struct draw {
    source s;
    double a, b;      /* low and width; mean and deviation; probability */
    uint64_t range;   /* randint */
    int64_t low;
    const void *input; /* probabilities, or the values that dropout scales */
    int dtype;
} draw;

static void uniform_f32(const draw *d, int64_t at, int64_t n, float *o) {
    words x;
    draw_words(d->s, at, n, x.w);
    float low = (float)d->a, width = (float)d->b;
    /* halves draw no more bits than they hold, so that 1 is never reached by rounding */
    int drop = d->dtype == HX_F16 ? 21 : d->dtype == HX_BF16 ? 24 : 8;
    float unit = d->dtype == HX_F16 ? 0x1p-11f : d->dtype == HX_BF16 ? 0x1p-8f : 0x1p-24f;
    for (int64_t i = 0; i < n; i++) o[i] = low + width * ((float)(int32_t)(x.w[i] >> drop) * unit);
}
static void uniform_f64(const draw *d, int64_t at, int64_t n, double *o) {
    words x;
    draw_words(d->s, 2 * at, 2 * n, x.w);
    for (int64_t i = 0; i < n; i++) o[i] = d->a + d->b * ((double)(int64_t)(word64(&x, i) >> 11) * 0x1p-53);
}

/* Box and Muller (1958): elements 2 k and 2 k + 1 take radius and angle from the words of both. */
static inline void angle_of(hx_vi w, hx_vf *sine, hx_vf *cosine) {
    hx_vi quarter = ((w >> 29) + 1) >> 1; /* nearest of 4, modulo 4 */
    hx_vf r = __builtin_convertvector(w << 2, hx_vf) * 0x1.921fb6p-32f, z = r * r;
    hx_vf s = z * 0x1.71de3ap-19f + -0x1.a01a02p-13f;
    s = s * z + 0x1.111112p-7f;
    s = s * z + -0x1.555556p-3f;
    s = r * (s * z + 1.0f);
    hx_vf c = z * 0x1.a01a02p-16f + -0x1.6c16c2p-10f;
    c = c * z + 0x1.555556p-5f;
    c = c * z + -0.5f;
    c = c * z + 1.0f;
    hx_vi odd = -(quarter & 1);
    hx_vf u = (hx_vf)(((hx_vi)c & odd) | ((hx_vi)s & ~odd)), v = (hx_vf)(((hx_vi)s & odd) | ((hx_vi)c & ~odd));
    *sine = (hx_vf)((hx_vi)u ^ ((quarter & 2) << 30));
    *cosine = (hx_vf)((hx_vi)v ^ (((quarter + 1) & 2) << 30));
}
static void normal_f32(const draw *d, int64_t at, int64_t n, float *o) {
    const int lanes = HX_LANES_OF(float);
    words x;
    int32_t first[RUN / 2], second[RUN / 2];
    float z0[RUN / 2], z1[RUN / 2];
    int64_t pairs = RUN / 2;
    draw_words(d->s, at, n, x.w);
    for (int64_t i = (n + 3) / 4 * 4; i < RUN; i++) x.w[i] = 0;
    for (int64_t i = 0; i < pairs; i++) {
        first[i] = (int32_t)((x.w[2 * i] >> 8) + 1);
        second[i] = (int32_t)x.w[2 * i + 1];
    }
    for (int64_t i = 0; i < pairs; i += lanes) {
        hx_vi whole, turn;
        memcpy(&whole, first + i, sizeof whole);
        memcpy(&turn, second + i, sizeof turn);
        hx_vf square = hx_vf_log_plain(__builtin_convertvector(whole, hx_vf) * 0x1p-24f) * -2.0f, sine, cosine;
        hx_vf radius;
        for (int l = 0; l < lanes; l++) radius[l] = sqrtf(square[l]);
        angle_of(turn, &sine, &cosine);
        hx_vf_store(z0 + i, radius * cosine);
        hx_vf_store(z1 + i, radius * sine);
    }
    float mean = (float)d->a, deviation = (float)d->b;
    for (int64_t i = 0; i < n / 2; i++) {
        o[2 * i] = mean + deviation * z0[i];
        o[2 * i + 1] = mean + deviation * z1[i];
    }
    if (n % 2) o[n - 1] = mean + deviation * z0[n / 2];
}
/* Sine and cosine of an angle in [0, 2 pi]. It has its own steps, which kernel/random.py repeats: random numbers keep their bits
 * when those of sin and cos change. */
static inline void angle_of_f64(double x, double *sine, double *cosine) {
    double k = hx_d_round(x * 0x1.45f306dc9c883p-1);
    double r = ((x - k * 0x1.921fb50000000p+0) - k * 0x1.110b460000000p-26) - k * 0x1.1a62633145c07p-54, z = r * r;
    double s = z * 0x1.5d924562eb3e0p-33 + -0x1.ae5e63c7e55c3p-26;
    s = s * z + 0x1.71de3574b1d74p-19;
    s = s * z + -0x1.a01a019c0e400p-13;
    s = s * z + 0x1.111111110f861p-7;
    s = s * z + -0x1.5555555555549p-3;
    s = r * (1.0 + z * s);
    double c = z * -0x1.8fadd1d55115cp-37 + 0x1.1ee9ea6f20a06p-29;
    c = c * z + -0x1.27e4f807d8e76p-22;
    c = c * z + 0x1.a01a019caef5cp-16;
    c = c * z + -0x1.6c16c16c15162p-10;
    c = c * z + 0x1.555555555554cp-5;
    c = 1.0 - 0.5 * z + z * z * c;
    int quarter = (int)k;
    double u = quarter & 1 ? c : s, v = quarter & 1 ? s : c;
    *sine = quarter & 2 ? -u : u;
    *cosine = (quarter + 1) & 2 ? -v : v;
}
static void normal_f64(const draw *d, int64_t at, int64_t n, double *o) {
    words x;
    draw_words(d->s, 2 * at, 2 * n, x.w);
    for (int64_t i = 0; i < n; i += 2) {
        double u = (double)((word64(&x, i) >> 11) + 1) * 0x1p-53, turn = (double)(word64(&x, i + 1) >> 11) * 0x1p-53;
        double radius = sqrt(-2 * hx_d_log(u)), sine, cosine;
        angle_of_f64(turn * 0x1.921fb54442d18p+2, &sine, &cosine);
        o[i] = d->a + d->b * (radius * cosine);
        if (i + 1 < n) o[i + 1] = d->a + d->b * (radius * sine);
    }
}

/* ---- filling ---- */

/* A body fills n elements from number `at` on, whole runs apart from the last. */
typedef void (*fill_run)(const draw *d, int64_t at, int64_t n, char *to);

typedef struct filling {
    const draw *d;
    fill_run body;
    char *to;
    int64_t size;
} filling;

static void fill_range(void *ctx, int64_t begin, int64_t end) {
    const filling *f = ctx;
    for (int64_t at = begin; at < end; at += RUN)
        f->body(f->d, at, end - at < RUN ? end - at : RUN, f->to + at * f->size);
}

static void move_item(char **p, const int64_t *step, int64_t n, const void *ctx) {
    size_t size = *(const size_t *)ctx;
    for (int64_t i = 0; i < n; i++) memcpy(p[0] + i * step[0], p[1] + i * step[1], size);
}

/* Fills a view of any strides in row-major order. */
static hx_code fill(const hx_view *out, const draw *d, fill_run body, hx_err *err) {
    size_t size = hx_dtype_size((hx_dtype)out->dtype), nbytes = (size_t)out->numel * size;
    if (out->numel == 0) return HX_OK;
    void *room = out->contiguous ? NULL : hx_pool_alloc(nbytes);
    if (!out->contiguous && !room) return HX_E_MEMORY;
    filling f = {d, body, room ? room : out->data, (int64_t)size};
    hx_parallel_range(out->numel, 16 * RUN, fill_range, &f);
    if (!room) return HX_OK;
    int64_t strides[HX_MAX_RANK];
    hx_row_major(out->shape, out->ndim, strides);
    hx_view dense = *out;
    dense.data = room;
    dense.strides = strides;
    dense.contiguous = 1;
    const hx_view *views[2] = {out, &dense};
    hx_code code = hx_iterate_views(views, 2, move_item, &size, 0, err);
    hx_pool_free(room, nbytes);
    return code;
}

/* A real distribution into any float dtype; complex values are two real ones. */
#define REAL_FILL(name)                                                                                       \
    static void fill_##name(const draw *d, int64_t at, int64_t n, char *to) {                                 \
        float f[RUN];                                                                                         \
        switch (d->dtype) {                                                                                   \
        case HX_F32: name##_f32(d, at, n, (float *)to); break;                                                \
        case HX_F64: name##_f64(d, at, n, (double *)to); break;                                               \
        default: name##_f32(d, at, n, f); hx_write_f32(to, d->dtype, 2, n, f);                                \
        }                                                                                                     \
    }
REAL_FILL(uniform)
REAL_FILL(normal)

static hx_code fill_real(const hx_view *out, draw *d, fill_run body, hx_err *err) {
    hx_view real = *out;
    int64_t shape = 2 * out->numel, step = 1;
    if (out->dtype >= HX_C64) {
        if (!out->contiguous)
            return hx_kernel_fail(err, HX_E_UNSUPPORTED, 1701, "complex tensors that are filled must be contiguous");
        real.dtype = out->dtype == HX_C64 ? HX_F32 : HX_F64;
        real.shape = &shape;
        real.strides = &step;
        real.numel = shape;
        real.ndim = 1;
    }
    d->dtype = real.dtype;
    return fill(&real, d, body, err);
}

HX_KERNEL(k_rand) {
    HX_UNUSED;
    draw d = {.s = source_of(call), .a = 0, .b = 1};
    return fill_real(&call->out[0], &d, fill_uniform, err);
}
/* A complex normal value has variance 1 in all, half in each part. */
HX_KERNEL(k_randn) {
    HX_UNUSED;
    draw d = {.s = source_of(call), .a = 0, .b = call->out[0].dtype >= HX_C64 ? 0x1.6a09e667f3bcdp-1 : 1};
    return fill_real(&call->out[0], &d, fill_normal, err);
}
HX_KERNEL(k_uniform) {
    HX_UNUSED;
    draw d = {.s = source_of(call), .a = call->attr[0].v.f, .b = call->attr[1].v.f - call->attr[0].v.f};
    return fill_real(&call->out[0], &d, fill_uniform, err);
}
HX_KERNEL(k_normal) {
    HX_UNUSED;
    draw d = {.s = source_of(call), .a = call->attr[0].v.f, .b = call->attr[1].v.f};
    return fill_real(&call->out[0], &d, fill_normal, err);
}
static void fill_exponential(const draw *d, int64_t at, int64_t n, char *to) {
    words x;
    double value[RUN];
    draw_words(d->s, 2 * at, 2 * n, x.w);
    for (int64_t i = 0; i < n; i++)
        value[i] = -hx_d_log((double)(int64_t)((word64(&x, i) >> 11) + 1) * 0x1p-53) * d->a;
    hx_write_f64(to, d->dtype, (int64_t)hx_dtype_size((hx_dtype)d->dtype), n, value);
}
HX_KERNEL(k_exponential) {
    HX_UNUSED;
    draw d = {.s = source_of(call), .a = 1 / call->attr[0].v.f, .dtype = call->out[0].dtype};
    return fill(&call->out[0], &d, fill_exponential, err);
}

/* The high half of a 64-bit word times the range: no bias above 2**-64 times the range. */
static void fill_integers(const draw *d, int64_t at, int64_t n, char *to) {
    words x;
    int64_t value[RUN];
    double real[RUN];
    draw_words(d->s, 2 * at, 2 * n, x.w);
    for (int64_t i = 0; i < n; i++)
        value[i] = (int64_t)((uint64_t)d->low + (uint64_t)(((unsigned __int128)word64(&x, i) * d->range) >> 64));
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)d->dtype);
    if (d->dtype <= HX_U64) {
        hx_write_i64(to, d->dtype, size, n, value, false);
    } else {
        for (int64_t i = 0; i < n; i++) real[i] = (double)value[i];
        hx_write_f64(to, d->dtype, size, n, real);
    }
}
/* low and high as the shape rule left them. */
HX_KERNEL(k_randint) {
    HX_UNUSED;
    int64_t low = call->attr[0].v.i, high = call->attr[1].v.ints[0];
    draw d = {.s = source_of(call), .low = low, .range = (uint64_t)high - (uint64_t)low, .dtype = call->out[0].dtype};
    return fill(&call->out[0], &d, fill_integers, err);
}

/* ---- choosing ---- */

/* 1 with the probability given by d->input (of the output's dtype), or by d->a. */
static void fill_bernoulli(const draw *d, int64_t at, int64_t n, char *to) {
    words x;
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)d->dtype), whole[RUN];
    double p[RUN];
    float f[RUN];
    draw_words(d->s, at, n, x.w);
    if (!d->input) {
        for (int64_t i = 0; i < n; i++) p[i] = d->a;
    } else if (d->dtype == HX_F64) {
        memcpy(p, (const double *)d->input + at, (size_t)n * 8);
    } else {
        const float *read = hx_read_f32((const char *)d->input + at * size, d->dtype, size, n, f);
        for (int64_t i = 0; i < n; i++) p[i] = read[i];
    }
    for (int64_t i = 0; i < n; i++) whole[i] = (double)x.w[i] * 0x1p-32 < p[i];
    if (d->dtype <= HX_U64) {
        hx_write_i64(to, d->dtype, size, n, whole, false);
    } else {
        for (int64_t i = 0; i < n; i++) p[i] = (double)whole[i];
        hx_write_f64(to, d->dtype, size, n, p);
    }
}
static bool probabilities(const hx_view *v, hx_err *err) {
    double x[RUN];
    float f[RUN];
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)v->dtype);
    for (int64_t at = 0; at < v->numel; at += RUN) {
        int64_t n = v->numel - at < RUN ? v->numel - at : RUN;
        const char *from = (const char *)v->data + at * size;
        const float *read = v->dtype == HX_F64 ? NULL : hx_read_f32(from, v->dtype, size, n, f);
        for (int64_t i = 0; i < n; i++) {
            x[i] = read ? read[i] : ((const double *)from)[i];
            if (x[i] >= 0 && x[i] <= 1) continue;
            hx_kernel_fail_about(FACTS(.expected = "in [0, 1]", .got = hx_text("%g", x[i])), err, HX_E_VALUE, 1403,
                                 "probabilities must lie in [0, 1], got %g", x[i]);
            return false;
        }
    }
    return true;
}
HX_KERNEL(k_bernoulli) {
    HX_UNUSED;
    bool fixed = call->attr[0].kind != HX_A_NONE;
    draw d = {.s = source_of(call), .a = fixed ? call->attr[0].v.f : 0, .dtype = call->out[0].dtype,
              .input = fixed ? NULL : call->in[0].data};
    if (!fixed && !probabilities(&call->in[0], err)) return HX_E_VALUE;
    return fill(&call->out[0], &d, fill_bernoulli, err);
}

/* Values kept with probability 1 - p and divided by it. */
static void fill_dropout(const draw *d, int64_t at, int64_t n, char *to) {
    words x;
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)d->dtype);
    const char *from = (const char *)d->input + at * size;
    draw_words(d->s, at, n, x.w);
    double limit = d->a * 0x1p32;
    uint32_t drop_below = limit >= 0x1p32 ? UINT32_MAX : (uint32_t)limit;
    if (d->dtype == HX_F64) {
        const double *in = (const double *)from;
        double *o = (double *)to, scale = d->b;
        for (int64_t i = 0; i < n; i++) o[i] = x.w[i] < drop_below ? 0 : in[i] * scale;
        return;
    }
    float f[RUN], kept[RUN], scale = (float)d->b;
    const float *in = hx_read_f32(from, d->dtype, size, n, f);
    float *o = d->dtype == HX_F32 ? (float *)to : kept;
    for (int64_t i = 0; i < n; i++) o[i] = x.w[i] < drop_below ? 0 : in[i] * scale;
    if (o == kept) hx_write_f32(to, d->dtype, size, n, kept);
}
HX_KERNEL(k_dropout) {
    HX_UNUSED;
    double p = call->attr[0].v.f;
    draw d = {.s = source_of(call), .a = p, .b = 1 / (1 - p), .dtype = call->out[0].dtype, .input = call->in[0].data};
    return fill(&call->out[0], &d, fill_dropout, err);
}

#define UNASKED (64 * RUN) /* values between two looks at whether the work is given up */

/* Fisher and Yates, in Durstenfeld's form. */
HX_KERNEL(k_randperm) {
    HX_UNUSED;
    const hx_view *out = &call->out[0];
    source s = source_of(call);
    int64_t n = out->numel, size = (int64_t)hx_dtype_size((hx_dtype)out->dtype);
    if (n == 0) return HX_OK;
    int64_t *order = hx_pool_alloc((size_t)n * sizeof *order);
    if (!order) return HX_E_MEMORY;
    for (int64_t i = 0; i < n; i++) order[i] = i;
    words x;
    for (int64_t at = 0; at < n && (at % UNASKED || !hx_stopped()); at += RUN) {
        int64_t run = n - at < RUN ? n - at : RUN;
        draw_words(s, 2 * at, 2 * run, x.w);
        for (int64_t i = 0; i < run; i++) {
            int64_t here = at + i;
            int64_t there = here + (int64_t)(((unsigned __int128)word64(&x, i) * (uint64_t)(n - here)) >> 64);
            int64_t value = order[there];
            order[there] = order[here];
            order[here] = value;
        }
    }
    if (out->dtype <= HX_U64) {
        hx_write_i64(out->data, out->dtype, size, n, order, false);
    } else {
        for (int64_t i = 0; i < n; i++) {
            double value = (double)order[i];
            hx_write_f64((char *)out->data + i * size, out->dtype, size, 1, &value);
        }
    }
    hx_pool_free(order, (size_t)n * sizeof *order);
    return HX_OK;
}

/* ---- multinomial: rows of `n` weights, in float64 ---- */

typedef struct race {
    double time;
    int64_t index;
} race;
static bool earlier(race a, race b) { return a.time < b.time || (a.time == b.time && a.index < b.index); }

/* The order of n clocks; the result is x or other. Merges runs of twice the length from pass to pass. */
static race *sort_races(race *x, race *other, int64_t n) {
    for (int64_t run = 1; run < n; run *= 2) {
        for (int64_t k = 0, a = 0, b = 0, mid = 0, end = 0; k < n; k++) {
            if (k == end) {
                a = end;
                mid = b = n - a < run ? n : a + run;
                end = n - mid < run ? n : mid + run;
            }
            bool left = b >= end || (a < mid && !earlier(x[b], x[a]));
            other[k] = x[left ? a++ : b++];
            if (k % UNASKED == UNASKED - 1 && hx_stopped()) return x;
        }
        race *t = x;
        x = other;
        other = t;
    }
    return x;
}

static hx_code check_weights(const double *w, int64_t n, int64_t samples, bool replacement, hx_err *err) {
    double sum = 0;
    int64_t positive = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!(w[i] >= 0) || w[i] == __builtin_inf())
            return hx_kernel_fail_about(FACTS("input", "finite and not negative", hx_text("%g", w[i])), err, HX_E_VALUE, 1403,
                                        "weights must be finite and not negative, got %g", w[i]);
        sum += w[i];
        positive += w[i] > 0;
    }
    if (sum <= 0) return hx_kernel_fail_about(FACTS("input"), err, HX_E_VALUE, 1403, "the weights of a row are all 0");
    if (!replacement && positive < samples)
        return hx_kernel_fail_about(FACTS("num_samples", hx_text("<= %lld", (long long)positive), hx_text("%lld", (long long)samples)),
                                    err, HX_E_VALUE, 1403, "%lld samples without replacement from %lld weights above 0",
                                    (long long)samples, (long long)positive);
    return HX_OK;
}

static double unit(source s, int64_t at) {
    uint32_t w[4];
    hx_philox(s.seed, s.stream, (uint64_t)at / 2, w);
    return (double)(((uint64_t)w[at % 2 * 2] << 32 | w[at % 2 * 2 + 1]) >> 11) * 0x1p-53;
}

static void with_replacement(source s, int64_t row, const double *w, int64_t n, int64_t samples, race *sums, int64_t *o) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sums[i].time = sum += w[i];
    for (int64_t k = 0; k < samples && (k % UNASKED || !hx_stopped()); k++) {
        double at = unit(s, row * samples + k) * sum;
        int64_t low = 0, high = n - 1;
        while (low < high) {
            int64_t middle = (low + high) / 2;
            if (sums[middle].time > at) high = middle;
            else low = middle + 1;
        }
        while (w[low] == 0 && low > 0) low--;
        o[k] = low;
    }
}
/* Exponential clocks with the weights as rates: the first `samples` to ring (Efraimidis and Spirakis, 2006). */
static void without_replacement(source s, int64_t row, const double *w, int64_t n, int64_t samples, race *clock, int64_t *o) {
    for (int64_t i = 0; i < n && (i % UNASKED || !hx_stopped()); i++) {
        double u = unit(s, row * n + i);
        clock[i] = (race){w[i] > 0 ? -log1p(-u) / w[i] : __builtin_inf(), i};
    }
    clock = sort_races(clock, clock + n, n);
    for (int64_t k = 0; k < samples; k++) o[k] = clock[k].index;
}
static const double *row_of_weights(const hx_view *in, int64_t row, int64_t n, double *room) {
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)in->dtype);
    const char *from = (const char *)in->data + row * n * size;
    if (in->dtype == HX_F64) return (const double *)from;
    float f[RUN];
    for (int64_t at = 0; at < n; at += RUN) {
        int64_t run = n - at < RUN ? n - at : RUN;
        const float *read = hx_read_f32(from + at * size, in->dtype, size, run, f);
        for (int64_t i = 0; i < run; i++) room[at + i] = read[i];
    }
    return room;
}
HX_KERNEL(k_multinomial) {
    HX_UNUSED;
    const hx_view *in = &call->in[0], *out = &call->out[0];
    int64_t n = in->shape[in->ndim - 1], samples = call->attr[0].v.i, rows = n ? in->numel / n : 0;
    bool replacement = call->attr[1].v.i;
    if (rows == 0 || samples == 0) return HX_OK;
    int64_t races = replacement ? n : 2 * n;
    size_t bytes = (size_t)races * sizeof(race) + (size_t)n * sizeof(double);
    race *room = hx_pool_alloc(bytes);
    if (!room) return HX_E_MEMORY;
    double *weights = (double *)(room + races);
    source s = source_of(call);
    hx_code code = HX_OK;
    for (int64_t row = 0; row < rows && !code; row++) {
        const double *w = row_of_weights(in, row, n, weights);
        int64_t *o = (int64_t *)out->data + row * samples;
        if (row % 64 == 63 && hx_stopped()) break;
        code = check_weights(w, n, samples, replacement, err);
        if (code) break;
        (replacement ? with_replacement : without_replacement)(s, row, w, n, samples, room, o);
    }
    hx_pool_free(room, bytes);
    return code;
}

#define FLOAT_COMPLEX (HX_SET_FLOAT | HX_SET_COMPLEX)

HX_KERNELS(random) = {KERNEL(rand, k_rand, FLOAT_COMPLEX),
                      KERNEL(rand_like, k_rand, HX_SET_ALL),
                      KERNEL(randn, k_randn, FLOAT_COMPLEX),
                      KERNEL(randn_like, k_randn, HX_SET_ALL),
                      KERNEL(uniform, k_uniform, FLOAT_COMPLEX),
                      KERNEL(normal, k_normal, FLOAT_COMPLEX),
                      KERNEL(exponential, k_exponential, HX_SET_FLOAT),
                      KERNEL(randint, k_randint, HX_SET_REAL),
                      KERNEL_CONTIGUOUS(bernoulli, k_bernoulli, HX_SET_REAL),
                      KERNEL_CONTIGUOUS(dropout_apply, k_dropout, HX_SET_FLOAT),
                      KERNEL(randperm, k_randperm, HX_SET_REAL),
                      KERNEL_CONTIGUOUS(multinomial, k_multinomial, HX_SET_FLOAT),
                      {0}};
