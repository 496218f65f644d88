/* Fourier transforms of any length along any axes, in complex64 and complex128.
 *
 * A transform works on as many lines at a time as a register has lanes (fft_lanes.h); long lines are cut into matrices of
 * such lines (fft_plan.h). What the method of a length is depends on the length alone, and lanes do not see one another, so a
 * line has the same bits in any batch and for any number of threads. Tables are kept for the lengths used last. */
#include <pthread.h>
#include "../workspace.h"
#include "cpu.h"
#include "turn.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

enum {
    FFT_PASSES = 44,         /* most factors of a length */
    FFT_LARGEST_PRIME = 31,  /* as a radix; lengths with a larger one are convolved */
    FFT_LANES_MOST = 4096,   /* longest line that is held in lanes whole */
    FFT_SHARED = 1 << 15,    /* from here on the threads share a single line */
    FFT_KEPT = 64,           /* plans, and their bytes in all */
    FFT_KEPT_BYTES = 64 << 20
};

typedef enum { FFT_LANES, FFT_SPLIT, FFT_CHIRP } fft_kind;
typedef enum { FFT_COMPLEX, FFT_FROM_REAL, FFT_TO_REAL } fft_form;

/* ---- numbers ---- */

/* The factors of a length that a line in lanes is made of, the innermost first; 0 where one is too large. */
static int fft_radices(int64_t n, int *radix) {
    int count = 0;
    for (; n % 8 == 0 && n != 16; n /= 8) radix[count++] = 8;
    for (; n % 4 == 0; n /= 4) radix[count++] = 4;
    for (int p = 2; p <= FFT_LARGEST_PRIME; p++)
        for (; n % p == 0; n /= p) radix[count++] = p;
    return n == 1 ? count : 0;
}

static int64_t fft_divisor(int64_t n) {
    int64_t largest = 1;
    for (int64_t d = 2; d * d <= n; d++)
        if (n % d == 0) largest = d;
    return largest;
}

static int64_t fft_chirp_length(int64_t n) {
    int64_t m = 64;
    while (m < 2 * n - 1) m *= 2;
    return m;
}

static fft_kind fft_kind_of(int64_t n, int64_t inner, int width) {
    int radix[FFT_PASSES];
    if (n > 1 && !fft_radices(n, radix)) return FFT_CHIRP;
    if (n > FFT_LANES_MOST) return FFT_SPLIT;
    return inner == 1 && fft_divisor(n) >= width ? FFT_SPLIT : FFT_LANES;
}

/* Cosine and sine of 2 pi k / n for 0 <= k < n, from angles of at most pi / 4. */
static void fft_root(int64_t k, int64_t n, double *c, double *s) {
    int octant = (int)(8 * k / n);
    int64_t rest = 8 * k - octant * n;
    double angle = M_PI / 4 * ((double)(octant % 2 ? n - rest : rest) / (double)n), near = cos(angle), far = sin(angle);
    bool turned = (octant + 1) / 2 % 2;
    *c = turned ? far : near;
    *s = turned ? near : far;
    if (octant >= 2 && octant < 6) *c = -*c;
    if (octant >= 4) *s = -*s;
}

/* ---- memory of a plan ---- */

static int64_t fft_rounded(int64_t bytes) { return (bytes + 63) / 64 * 64; }

/* Pieces of one block, on cache lines. Without a block it counts what is asked for. */
typedef struct fft_arena {
    char *block;
    int64_t used;
} fft_arena;

static void *fft_take(fft_arena *a, int64_t bytes) {
    void *piece = a->block ? a->block + a->used : NULL;
    a->used += fft_rounded(bytes);
    return piece;
}

/* ---- plans that are kept ---- */

typedef struct fft_entry {
    int64_t n;
    fft_kind kind;
    bool real, is_double;
    atomic_int refs;
    size_t bytes;
    struct fft_entry *inner; /* FFT_CHIRP: the plan of the convolution */
} fft_entry;

/* The plan used last stands first. */
static struct {
    pthread_mutex_t lock;
    fft_entry *entry[FFT_KEPT];
    int count;
    size_t bytes;
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void before_fork(void) { pthread_mutex_lock(&kept.lock); }
static void after_fork(void) { pthread_mutex_unlock(&kept.lock); }
static void watch_fork(void) { pthread_atfork(before_fork, after_fork, after_fork); }

static void fft_release(fft_entry *e) {
    if (atomic_fetch_sub(&e->refs, 1) > 1) return;
    if (e->inner) fft_release(e->inner);
    hx_pool_free(e, e->bytes);
}

static fft_entry *fft_kept(int64_t n, fft_kind kind, bool real, bool is_double) {
    static pthread_once_t watched = PTHREAD_ONCE_INIT;
    fft_entry *found = NULL;
    pthread_once(&watched, watch_fork);
    pthread_mutex_lock(&kept.lock);
    for (int i = 0; i < kept.count && !found; i++) {
        fft_entry *e = kept.entry[i];
        if (e->n != n || e->kind != kind || e->real != real || e->is_double != is_double) continue;
        memmove(kept.entry + 1, kept.entry, (size_t)i * sizeof *kept.entry);
        kept.entry[0] = found = e;
        atomic_fetch_add(&e->refs, 1);
    }
    pthread_mutex_unlock(&kept.lock);
    return found;
}

/* Takes a reference of its own; the plans used longest ago give way. One that is too large is not kept. */
static void fft_keep(fft_entry *e) {
    fft_entry *gone[FFT_KEPT];
    int n_gone = 0;
    if (e->bytes > FFT_KEPT_BYTES) return;
    atomic_fetch_add(&e->refs, 1);
    pthread_mutex_lock(&kept.lock);
    while (kept.count && (kept.count == FFT_KEPT || kept.bytes + e->bytes > FFT_KEPT_BYTES)) {
        gone[n_gone] = kept.entry[--kept.count];
        kept.bytes -= gone[n_gone++]->bytes;
    }
    memmove(kept.entry + 1, kept.entry, (size_t)kept.count++ * sizeof *kept.entry);
    kept.entry[0] = e;
    kept.bytes += e->bytes;
    pthread_mutex_unlock(&kept.lock);
    for (int i = 0; i < n_gone; i++) fft_release(gone[i]);
}

/* ---- the two types ---- */

#define LOW_2 0, 2
#define HIGH_2 1, 3
#define EVENS_2 0, 2
#define ODDS_2 1, 3
#define REVERSE_2 1, 0
#define LOW_4 0, 4, 1, 5
#define HIGH_4 2, 6, 3, 7
#define EVENS_4 0, 2, 4, 6
#define ODDS_4 1, 3, 5, 7
#define REVERSE_4 3, 2, 1, 0
#define LOW_8 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_8 4, 12, 5, 13, 6, 14, 7, 15
#define EVENS_8 0, 2, 4, 6, 8, 10, 12, 14
#define ODDS_8 1, 3, 5, 7, 9, 11, 13, 15
#define REVERSE_8 7, 6, 5, 4, 3, 2, 1, 0
#define LOW_16 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_16 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define EVENS_16 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODDS_16 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define REVERSE_16 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0
#define OF_WIDTH_(what, width) what##_##width
#define OF_WIDTH(what, width) OF_WIDTH_(what, width)
#define FFT_INTERLEAVE OF_WIDTH(LOW, FFT_WIDTH)
#define FFT_INTERLEAVE_HIGH OF_WIDTH(HIGH, FFT_WIDTH)
#define FFT_EVENS OF_WIDTH(EVENS, FFT_WIDTH)
#define FFT_ODDS OF_WIDTH(ODDS, FFT_WIDTH)
#define FFT_REVERSE OF_WIDTH(REVERSE, FFT_WIDTH)

#if HX_LANE_BYTES == 64
#define FLOATS 16
#define DOUBLES 8
#elif HX_LANE_BYTES == 32
#define FLOATS 8
#define DOUBLES 4
#else
#define FLOATS 4
#define DOUBLES 2
#endif

#define FFT(name) fft_f32_##name
#define FFT_TYPE float
#define FFT_VECTOR hx_vf
#define FFT_WIDTH FLOATS
#define FFT_IS_FLOAT
#include "fft_lanes.h"
#include "fft_lines.h"
#include "fft_plan.h"
#include "fft_conv.h"
#undef FFT
#undef FFT_TYPE
#undef FFT_VECTOR
#undef FFT_WIDTH
#undef FFT_IS_FLOAT

#define FFT(name) fft_f64_##name
#define FFT_TYPE double
#define FFT_VECTOR hx_vd
#define FFT_WIDTH DOUBLES
#include "fft_lanes.h"
#include "fft_lines.h"
#include "fft_plan.h"
#include "fft_conv.h"
#undef FFT
#undef FFT_TYPE
#undef FFT_VECTOR
#undef FFT_WIDTH

/* ---- kernels ---- */

static hx_code one_axis(const void *in, void *out, bool is_double, fft_form form, bool inverse, double scale,
                        const int64_t *shape, int ndim, int axis, hx_err *err) {
    int64_t outer = 1, inner = 1;
    for (int d = 0; d < axis; d++) outer *= shape[d];
    for (int d = axis + 1; d < ndim; d++) inner *= shape[d];
    bool done = (is_double ? fft_f64_axis : fft_f32_axis)(in, out, form, inverse, scale, shape[axis], outer, inner);
    return done ? HX_OK : hx_kernel_fail(err, HX_E_MEMORY, HX1402_MEMORY, "no memory for a transform of length %lld",
                                         (long long)shape[axis]);
}

/* attr: dim, inverse, scale: axes from the last listed to the first; the first that is done has the scale. */
HX_KERNEL(k_fft_c2c) {
    HX_UNUSED;
    const hx_view *in = &call->in[0], *out = &call->out[0];
    const hx_attr *dim = &call->attr[0];
    if (!out->numel) return HX_OK;
    for (int i = (int)dim->count - 1, first = i; i >= 0; i--) {
        hx_code code = one_axis(i == first ? in->data : out->data, out->data, in->dtype == HX_C128, FFT_COMPLEX,
                                call->attr[1].v.i, i == first ? call->attr[2].v.f : 1, in->shape, in->ndim, (int)dim->v.ints[i], err);
        if (code) return code;
    }
    return HX_OK;
}

/* attr: dim, scale: the last listed axis from real numbers, then the others. */
HX_KERNEL(k_fft_r2c) {
    HX_UNUSED;
    const hx_view *in = &call->in[0], *out = &call->out[0];
    const hx_attr *dim = &call->attr[0];
    int last = (int)dim->count - 1;
    if (!out->numel) return HX_OK;
    hx_code code = one_axis(in->data, out->data, in->dtype == HX_F64, FFT_FROM_REAL, false, call->attr[1].v.f, in->shape,
                            in->ndim, (int)dim->v.ints[last], err);
    for (int i = last - 1; i >= 0 && !code; i--)
        code = one_axis(out->data, out->data, in->dtype == HX_F64, FFT_COMPLEX, false, 1, out->shape, out->ndim,
                        (int)dim->v.ints[i], err);
    return code;
}

/* attr: dim, n, scale: all but the last listed axis in a copy, then that one to real numbers. */
HX_KERNEL(k_fft_c2r) {
    HX_UNUSED;
    const hx_view *in = &call->in[0], *out = &call->out[0];
    const hx_attr *dim = &call->attr[0];
    bool is_double = in->dtype == HX_C128;
    size_t bytes = dim->count > 1 ? (size_t)in->numel * (is_double ? 16 : 8) : 0;
    if (!out->numel) return HX_OK;
    const void *from = in->data;
    void *copy = bytes ? hx_pool_alloc(bytes) : NULL;
    if (bytes && !copy) return hx_kernel_fail(err, HX_E_MEMORY, HX1402_MEMORY, "no memory for a copy of the spectrum");
    hx_code code = HX_OK;
    for (int i = (int)dim->count - 2; i >= 0 && !code; i--, from = copy)
        code = one_axis(from, copy, is_double, FFT_COMPLEX, true, 1, in->shape, in->ndim, (int)dim->v.ints[i], err);
    if (!code)
        code = one_axis(from, out->data, is_double, FFT_TO_REAL, true, call->attr[2].v.f, out->shape, out->ndim,
                        (int)dim->v.ints[dim->count - 1], err);
    hx_pool_free(copy, bytes);
    return code;
}

HX_KERNEL(k_fft_conv) {
    HX_UNUSED;
    const hx_view *in = call->in, *out = &call->out[0];
    if (!out->numel) return HX_OK;
    if (!in[1].numel) {
        memset(out->data, 0, (size_t)out->numel * hx_dtype_size((hx_dtype)out->dtype));
        return HX_OK;
    }
    bool done = (out->dtype == HX_F64 ? fft_f64_convolve : fft_f32_convolve)(&in[0], &in[1], &in[2], out->data);
    return done ? HX_OK : hx_kernel_fail(err, HX_E_MEMORY, HX1402_MEMORY, "no memory for spectra");
}

HX_KERNELS(fft) = {
    KERNEL_CONTIGUOUS(fft_c2c, k_fft_c2c, HX_SET_COMPLEX),
    KERNEL_CONTIGUOUS(fft_r2c, k_fft_r2c, 1u << HX_F32 | 1u << HX_F64),
    KERNEL_CONTIGUOUS(fft_c2r, k_fft_c2r, HX_SET_COMPLEX),
    KERNEL_CONTIGUOUS(native_fft_conv, k_fft_conv, 1u << HX_F32 | 1u << HX_F64),
    {0}};
