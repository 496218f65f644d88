/* Images resized, and gradients of that. Along each axis a table says of which points a place is made, and with what weights;
 * the transpose is the same with another table. Rows are resized along themselves while they are in cache, by registers whose
 * points are permuted out of one or two others where they lie close enough, and then added up to rows of the result. */
#include "../resample.h"
#include "../rooms.h"
#include "blocks.h"

#define HX_ALWAYS static inline __attribute__((always_inline))
enum { WIDEST = 16 }; /* elements of a register */
typedef enum method { NEAREST, NEAREST_EXACT, LINEAR, CUBIC, LANCZOS } method;

typedef struct axis {
    int64_t in, out;
    double step;
    method method;
    bool corners, adjoint, antialias;
} axis;

/* The points of the input that a place of the result is made of. */
typedef struct points {
    int64_t n;
    int32_t *at;
    double *weight;
} points;

static int32_t held(double at, int64_t size) { return at > 0 ? at < (double)size ? (int32_t)at : (int32_t)size - 1 : 0; }

static double cubic(double x, const double *near, const double *far) {
    const double *k = x < 1 ? near : far;
    return x < 2 ? ((k[0] * x + k[1]) * x + k[2]) * x + k[3] : 0;
}
static double keys(double x) { return cubic(x, (const double[])HX_CUBIC_NEAR, (const double[])HX_CUBIC_FAR); }

static double sinc(double x) { return x == 0 ? 1 : sin(M_PI * x) / (M_PI * x); }

/* The kernels against aliases, at distances of 0 and more. */
static double smooth(method m, double x) {
    if (m == LINEAR) return x < 1 ? 1 - x : 0;
    if (m == CUBIC) return cubic(x, (const double[])HX_SMOOTH_NEAR, (const double[])HX_SMOOTH_FAR);
    return x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

static void add_point(points *p, int32_t at, double weight) {
    if (weight == 0) return;
    if (!p->n || p->at[p->n - 1] != at) {
        p->at[p->n] = at;
        p->weight[p->n++] = 0;
    }
    p->weight[p->n - 1] += weight;
}

/* How far a kernel against aliases reaches in the input. */
static double reach_of(const axis *a) {
    return (a->method == LINEAR ? 1 : a->method == CUBIC ? 2 : 3) * (a->step > 1 ? a->step : 1);
}

static int64_t most_points(const axis *a) {
    if (!a->antialias) return a->method == CUBIC ? 4 : 2;
    double most = 2 * reach_of(a) + 2;
    return most < (double)a->in ? (int64_t)most : a->in;
}

static void average(const axis *a, int64_t o, points *p) {
    double centre = ((double)o + 0.5) * a->step, reach = reach_of(a), wide = a->step > 1 ? a->step : 1, sum = 0;
    double low = centre - reach + 0.5, high = centre + reach + 0.5;
    int64_t first = low > 0 ? (int64_t)low : 0, last = high < (double)a->in ? (int64_t)high : a->in;
    for (int64_t at = first; at < last; at++) {
        double weight = smooth(a->method, fabs(((double)at - centre + 0.5) / wide));
        add_point(p, (int32_t)at, weight);
        sum += weight;
    }
    for (int64_t k = 0; k < p->n; k++) p->weight[k] /= sum;
}

/* Place o of the result; p has room for most_points. */
static void find_points(const axis *a, int64_t o, points *p) {
    double i = (double)o, at = a->corners ? i * a->step : (i + 0.5) * a->step - 0.5;
    p->n = 0;
    if (a->antialias) {
        average(a, o, p);
        return;
    }
    if (a->method == NEAREST || a->method == NEAREST_EXACT) {
        add_point(p, held(floor((a->method == NEAREST ? i : i + 0.5) * a->step), a->in), 1);
        return;
    }
    if (a->method == LINEAR) at = at < 0 ? 0 : at > (double)(a->in - 1) ? (double)(a->in - 1) : at;
    double left = floor(at);
    int low = a->method == LINEAR ? 0 : -1, high = a->method == LINEAR ? 1 : 2;
    for (int k = low; k <= high; k++) {
        double distance = fabs(left + k - at);
        add_point(p, held(left + k, a->in), a->method == LINEAR ? 1 - distance : keys(distance));
    }
}

/* ---- a register of points: at[lane] of `from`, 0 where that is negative ---- */

/* reach: from how many registers that begin at `from` they come; 0: from anywhere. */
#if defined HX_ISA_AVX512
enum { REGISTERS_F32 = 2, REGISTERS_F64 = 2 };
HX_ALWAYS hx_vf points_f32(const float *from, const int32_t *at, int reach) {
    __m512i i = _mm512_loadu_si512(at);
    __mmask16 seen = _mm512_cmpge_epi32_mask(i, _mm512_setzero_si512());
    if (reach == 1) return (hx_vf)_mm512_maskz_permutexvar_ps(seen, i, _mm512_loadu_ps(from));
    if (reach == 2)
        return (hx_vf)_mm512_maskz_permutex2var_ps(seen, _mm512_loadu_ps(from), i, _mm512_loadu_ps(from + 16));
    return (hx_vf)_mm512_mask_i32gather_ps(_mm512_setzero_ps(), seen, i, from, 4);
}
HX_ALWAYS hx_vd points_f64(const double *from, const int32_t *at, int reach) {
    __m256i short_i = _mm256_loadu_si256((const __m256i *)at);
    __m512i i = _mm512_cvtepi32_epi64(short_i);
    __mmask8 seen = _mm512_cmpge_epi64_mask(i, _mm512_setzero_si512());
    if (reach == 1) return (hx_vd)_mm512_maskz_permutexvar_pd(seen, i, _mm512_loadu_pd(from));
    if (reach == 2) return (hx_vd)_mm512_maskz_permutex2var_pd(seen, _mm512_loadu_pd(from), i, _mm512_loadu_pd(from + 8));
    return (hx_vd)_mm512_mask_i32gather_pd(_mm512_setzero_pd(), seen, short_i, from, 8);
}
#elif defined HX_ISA_AVX2
enum { REGISTERS_F32 = 1, REGISTERS_F64 = 0 };
HX_ALWAYS hx_vf points_f32(const float *from, const int32_t *at, int reach) {
    __m256i i = _mm256_loadu_si256((const __m256i *)at);
    __m256 seen = _mm256_castsi256_ps(_mm256_cmpgt_epi32(i, _mm256_set1_epi32(-1)));
    if (reach == 1) return (hx_vf)_mm256_and_ps(seen, _mm256_permutevar8x32_ps(_mm256_loadu_ps(from), i));
    return (hx_vf)_mm256_mask_i32gather_ps(_mm256_setzero_ps(), from, i, seen, 4);
}
HX_ALWAYS hx_vd points_f64(const double *from, const int32_t *at, int reach) {
    (void)reach;
    __m128i i = _mm_loadu_si128((const __m128i *)at);
    __m256d seen = _mm256_castsi256_pd(_mm256_cvtepi32_epi64(_mm_cmpgt_epi32(i, _mm_set1_epi32(-1))));
    return (hx_vd)_mm256_mask_i32gather_pd(_mm256_setzero_pd(), from, i, seen, 8);
}
#else
enum { REGISTERS_F32 = 0, REGISTERS_F64 = 0 };
HX_ALWAYS hx_vf points_f32(const float *from, const int32_t *at, int reach) {
    hx_vf v;
    (void)reach;
    for (int i = 0; i < HX_LANES_OF(float); i++) v[i] = at[i] < 0 ? 0 : from[at[i]];
    return v;
}
HX_ALWAYS hx_vd points_f64(const double *from, const int32_t *at, int reach) {
    hx_vd v;
    (void)reach;
    for (int i = 0; i < HX_LANES_OF(double); i++) v[i] = at[i] < 0 ? 0 : from[at[i]];
    return v;
}
#endif

static bool says(const hx_attr *a, const char *text) {
    return a->count == strlen(text) && !memcmp(a->v.str, text, a->count);
}

/* attr: size, scale_factor, mode, align_corners, antialias */
static axis axis_of(const hx_op_call *call, int i, bool adjoint) {
    static const char *const names[] = {"nearest", "nearest-exact", "linear", "cubic", "lanczos"};
    const hx_attr *a = call->attr;
    int64_t sizes[2] = {call->in[0].shape[2 + i], call->out[0].shape[2 + i]};
    axis it = {.in = sizes[adjoint], .out = sizes[!adjoint], .corners = a[3].v.i, .adjoint = adjoint, .antialias = a[4].v.i};
    for (int m = NEAREST; m <= LANCZOS; m++)
        if (says(&a[2], names[m])) it.method = (method)m;
    it.step = hx_resample_step(it.in, it.out, it.corners, &a[1], i);
    return it;
}

static int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t parts_of(int64_t n, int64_t part) { return (n + part - 1) / part; }

#define T float
#define V hx_vf
#define NAME(x) x##_f32
#define READ(p, dtype, n, room) hx_read_f32(p, dtype, (int64_t)hx_dtype_size(dtype), n, room)
#define WRITE(p, dtype, n, x) hx_write_f32(p, dtype, (int64_t)hx_dtype_size(dtype), n, x)
#define REGISTERS REGISTERS_F32
#define LOAD hx_vf_load
#define STORE hx_vf_store
#define ALL hx_vf_all
#define DTYPE HX_F32
#include "resample_body.h"
#undef T
#undef V
#undef NAME
#undef READ
#undef WRITE
#undef REGISTERS
#undef LOAD
#undef STORE
#undef ALL
#undef DTYPE
#define T double
#define V hx_vd
#define NAME(x) x##_f64
#define READ(p, dtype, n, room) ((void)(dtype), hx_read_f64(p, 8, n, room))
#define WRITE(p, dtype, n, x) hx_write_f64(p, dtype, 8, n, x)
#define REGISTERS REGISTERS_F64
#define LOAD hx_vd_load
#define STORE hx_vd_store
#define ALL hx_vd_all
#define DTYPE HX_F64
#include "resample_body.h"

/* ---- one point a place, of any dtype, as it is ---- */

typedef struct picking {
    const table_f32 *axis[3];
    const char *in;
    char *out;
    int64_t in_size[3], out_size[3];
    size_t element;
} picking;

static int64_t point_at(const table_f32 *t, int64_t place) { return t->base[place / HX_LANES_OF(float)] + t->at[place]; }

#define PICK(type)                                                                                            \
    for (int64_t x = 0; x < n; x += lanes)                                                                    \
        for (int64_t i = 0; i < at_most(lanes, n - x); i++)                                                   \
            ((type *)to)[x + i] = ((const type *)from)[t->base[x / lanes] + t->at[x + i]];                    \
    return

static void pick_row(const table_f32 *t, size_t element, const char *from, char *to, int64_t n) {
    typedef struct wide { uint64_t part[2]; } wide;
    const int lanes = HX_LANES_OF(float);
    if (t->copies) {
        memcpy(to, from, (size_t)n * element);
        return;
    }
    switch (element) {
    case 1: PICK(uint8_t);
    case 2: PICK(uint16_t);
    case 8: PICK(uint64_t);
    case 16: PICK(wide);
    }
    for (int64_t x = 0; x + lanes <= n; x += lanes) {
        const float *near = (const float *)from + t->base[x / lanes];
        int reach = t->reach[x / lanes];
        hx_vf_store((float *)to + x, reach == 1 ? points_f32(near, t->at + x, 1) : reach == 2 ? points_f32(near, t->at + x, 2)
                                                                                             : points_f32(near, t->at + x, 0));
    }
    for (int64_t x = n / lanes * lanes; x < n; x++) ((uint32_t *)to)[x] = ((const uint32_t *)from)[point_at(t, x)];
}

/* Rows [begin, end) of all images; one that is made of the row of the one before is that again. */
static void pick_rows(void *ctx, int64_t begin, int64_t end) {
    const picking *p = ctx;
    int64_t before = -1, width = p->out_size[2];
    size_t row_in = (size_t)p->in_size[2] * p->element, row_out = (size_t)width * p->element;
    for (int64_t row = begin; row < end; row++) {
        int64_t y = row % p->out_size[1], z = row / p->out_size[1] % p->out_size[0], image = row / p->out_size[1] / p->out_size[0];
        int64_t from = (image * p->in_size[0] + point_at(p->axis[0], z)) * p->in_size[1] + point_at(p->axis[1], y);
        char *to = p->out + (size_t)row * row_out;
        if (from == before) memcpy(to, to - row_out, row_out);
        else pick_row(p->axis[2], p->element, p->in + (size_t)from * row_in, to, width);
        before = from;
    }
}

static void pick(const hx_op_call *call, const table_f32 *tables) {
    const hx_view *x = &call->in[0], *y = &call->out[0];
    picking p = {.in = x->data, .out = y->data, .element = hx_dtype_size((hx_dtype)x->dtype)};
    int64_t rows = y->shape[0] * y->shape[1];
    for (int d = 0; d < 3; d++) {
        int i = d - (5 - x->ndim);
        p.axis[d] = &tables[d];
        p.in_size[d] = i < 0 ? 1 : x->shape[2 + i];
        p.out_size[d] = i < 0 ? 1 : y->shape[2 + i];
        if (d < 2) rows *= p.out_size[d];
    }
    hx_parallel_range(rows, hx_grain(p.out_size[2] * (int64_t)p.element), pick_rows, &p);
}

/* ---- kernels ---- */

static hx_code no_memory(hx_err *err) {
    return hx_kernel_fail(err, HX_E_MEMORY, HX1402_MEMORY, "no memory for the tables and work rows of the resizing");
}

/* input; size, scale_factor, mode, align_corners, antialias */
HX_KERNEL(k_resample) {
    (void)dev, (void)stream;
    bool weighs = axis_of(call, 0, false).method >= LINEAR;
    if (call->in[0].dtype == HX_F64 && weighs) return run_f64(call, false) ? HX_OK : no_memory(err);
    if (weighs) return run_f32(call, false) ? HX_OK : no_memory(err);
    table_f32 tables[3];
    if (!tables_of_f32(call, false, tables)) return no_memory(err);
    pick(call, tables);
    clear_f32(tables, 3);
    return HX_OK;
}
HX_KERNEL(k_resample_adjoint) {
    (void)dev, (void)stream;
    bool done = call->in[0].dtype == HX_F64 ? run_f64(call, true) : run_f32(call, true);
    return done ? HX_OK : no_memory(err);
}

HX_KERNELS(resample) = {KERNEL_CONTIGUOUS(resample, k_resample, HX_SET_ALL),
                        KERNEL_CONTIGUOUS(resample_adjoint, k_resample_adjoint, HX_SET_FLOAT),
                        {0}};
