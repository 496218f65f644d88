/* Images read at the points of a grid. A block of points is turned into taps (where to read, with what weight) once and then
 * applied to every channel: plane by plane, so that the inner loops run over points and become gathers, or, where there are
 * channels enough, with channels side by side. */
#include "../rooms.h"
#include "cpu.h"
#include "turn.h"

enum { BLOCK = 128, MOST_TAPS = 16, CHANNELS = 8, TURNED_BYTES = 8 << 20, MOST_ROWS = 1 << 22 };
typedef enum { BILINEAR, NEAREST, BICUBIC } mode;
typedef enum { ZEROS, BORDER, REFLECTION } outside;

/* Sizes: axes of the image and of the result, the fastest last. */
typedef struct geometry {
    int axes;
    mode mode;
    outside outside;
    bool align;
    int64_t batch, channels, size[3], plane, points;
} geometry;

static bool says(const hx_attr *a, const char *text) {
    return a->count == strlen(text) && !memcmp(a->v.str, text, a->count);
}

/* A register of reads; 0 for indices below 0. */
#if defined HX_ISA_AVX512
static inline hx_vf gathered(const float *from, const int32_t *at) {
    __m512i index = _mm512_loadu_si512(at);
    return (hx_vf)_mm512_mask_i32gather_ps(_mm512_setzero_ps(), _mm512_cmpge_epi32_mask(index, _mm512_setzero_si512()),
                                           index, from, 4);
}
#elif defined HX_ISA_AVX2
static inline hx_vf gathered(const float *from, const int32_t *at) {
    __m256i index = _mm256_loadu_si256((const __m256i *)at);
    __m256i seen = _mm256_cmpgt_epi32(index, _mm256_set1_epi32(-1));
    return (hx_vf)_mm256_mask_i32gather_ps(_mm256_setzero_ps(), from, index, _mm256_castsi256_ps(seen), 4);
}
#endif

static geometry geometry_of(const hx_op_call *call) {
    const hx_view *input = &call->in[0], *grid = &call->in[1];
    const hx_attr *a = call->attr;
    geometry g = {.axes = input->ndim - 2, .batch = input->shape[0], .channels = input->shape[1], .plane = 1, .points = 1};
    g.mode = says(&a[0], "bilinear") ? BILINEAR : says(&a[0], "nearest") ? NEAREST : BICUBIC;
    g.outside = says(&a[1], "zeros") ? ZEROS : says(&a[1], "border") ? BORDER : REFLECTION;
    g.align = a[2].v.i;
    for (int d = 0; d < g.axes; d++) {
        g.size[d] = input->shape[d + 2];
        g.plane *= g.size[d];
        g.points *= grid->shape[d + 1];
    }
    return g;
}

static int taps_of(const geometry *g) {
    if (g->mode == NEAREST) return 1;
    return g->mode == BICUBIC ? 16 : 1 << g->axes;
}

#define HX_ALWAYS static inline __attribute__((always_inline))

/* As many of n points as full registers hold; at and weight are rows of BLOCK for each tap. */
#if defined HX_ISA_AVX512 || defined HX_ISA_AVX2
HX_ALWAYS int gather_points_f32(const float *from, float *to, const int32_t *at, const float *weight, int n, int taps) {
    const int lanes = HX_LANES_OF(float);
    int p = 0;
    for (; p + lanes <= n; p += lanes) {
        hx_vf sum = {0};
        for (int t = 0; t < taps; t++) sum += gathered(from, at + t * BLOCK + p) * hx_vf_load(weight + t * BLOCK + p);
        hx_vf_store(to + p, sum);
    }
    return p;
}
#else
HX_ALWAYS int gather_points_f32(const float *from, float *to, const int32_t *at, const float *weight, int n, int taps) {
    (void)from, (void)to, (void)at, (void)weight, (void)n, (void)taps;
    return 0;
}
#endif
HX_ALWAYS int gather_points_f64(const double *from, double *to, const int32_t *at, const double *weight, int n, int taps) {
    (void)from, (void)to, (void)at, (void)weight, (void)n, (void)taps;
    return 0;
}

/* A square of doubles with rows for columns, as turn.h has it for floats. */
static inline void load_turned_f64(const double *p, int64_t step, hx_vd *tile) {
    enum { L = HX_LANES_OF(double) };
    for (int c = 0; c < L; c++)
        for (int r = 0; r < L; r++) tile[c][r] = p[r * step + c];
}
static inline void store_turned_f64(double *p, int64_t step, const hx_vd *tile) {
    enum { L = HX_LANES_OF(double) };
    for (int c = 0; c < L; c++)
        for (int r = 0; r < L; r++) p[r * step + c] = tile[c][r];
}

#define T float
#define V hx_vf
#define NAME(x) x##_f32
#define FLOOR floorf
#define ROUND rintf
#define BELOW(x) nextafterf(x, 0)
#define LOAD hx_vf_load
#define STORE hx_vf_store
#define ALL hx_vf_all
#define LOAD_TURNED hx_load_turned
#define STORE_TURNED hx_store_turned
#include "grid_taps.h"
#include "grid_body.h"
#include "grid_lanes.h"
#undef T
#undef V
#undef NAME
#undef FLOOR
#undef ROUND
#undef BELOW
#undef LOAD
#undef STORE
#undef ALL
#undef LOAD_TURNED
#undef STORE_TURNED
#define T double
#define V hx_vd
#define NAME(x) x##_f64
#define FLOOR floor
#define ROUND rint
#define BELOW(x) nextafter(x, 0)
#define LOAD hx_vd_load
#define STORE hx_vd_store
#define ALL hx_vd_all
#define LOAD_TURNED load_turned_f64
#define STORE_TURNED store_turned_f64
#include "grid_taps.h"
#include "grid_body.h"
#include "grid_lanes.h"

static hx_code run(const hx_op_call *call, bool backward, hx_err *err) {
    if (call->in[0].dtype == HX_F32 ? run_f32(call, backward) : run_f64(call, backward)) return HX_OK;
    return hx_kernel_fail(err, HX_E_MEMORY, HX1402_MEMORY, "no memory for the image with its channels side by side");
}

HX_KERNEL(k_grid_sampler) {
    (void)dev, (void)stream;
    return run(call, false, err);
}
HX_KERNEL(k_grid_sampler_backward) {
    (void)dev, (void)stream;
    return run(call, true, err);
}

#define FLOATS (HX_BIT(HX_F32) | HX_BIT(HX_F64))
HX_KERNELS(grid) = {KERNEL_CONTIGUOUS(grid_sampler, k_grid_sampler, FLOATS),
                    KERNEL_CONTIGUOUS(grid_sampler_backward, k_grid_sampler_backward, FLOATS),
                    {0}};
