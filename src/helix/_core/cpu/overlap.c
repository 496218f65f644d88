/* Windows added up where they stand in a signal: the gradient of unfold, and the overlap-add of istft. Every block of the signal
 * is filled while it is in the first-level cache, by its windows in order, so that results have the same bits for any number of
 * threads. */
#include "cpu.h"

enum { BLOCK_BYTES = 16 << 10 };

/* The windows' axis of the signal: `length` elements, `inner` numbers each, from `windows` of `size`, `step` apart. */
typedef struct overlap {
    const char *windows;
    char *signal;
    int64_t count, size, step, length, inner;
    int64_t block, blocks; /* elements of the axis that are filled together, and how many such */
} overlap;

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* Elements [begin, end) of the axis of item `item`: cleared, then each window's part. */
#define FILL(T)                                                                                                           \
    static void fill_##T(const overlap *o, int64_t item, int64_t begin, int64_t end) {                                    \
        const int64_t inner = o->inner, size = o->size, step = o->step;                                                   \
        T *signal = (T *)o->signal + item * o->length * inner;                                                            \
        const T *windows = (const T *)o->windows + item * o->count * inner * size;                                        \
        memset(signal + begin * inner, 0, (size_t)((end - begin) * inner) * sizeof(T));                                   \
        int64_t first = begin < size ? 0 : (begin - size) / step + 1;                                                     \
        for (int64_t w = first; w < o->count && w * step < end; w++) {                                                    \
            const int64_t from = most(begin - w * step, 0), to = least(end - w * step, size);                             \
            const T *window = windows + w * inner * size;                                                                 \
            T *place = signal + w * step * inner;                                                                         \
            if (inner == 1)                                                                                               \
                for (int64_t p = from; p < to; p++) place[p] += window[p];                                                \
            else                                                                                                          \
                for (int64_t p = from; p < to; p++)                                                                       \
                    for (int64_t i = 0; i < inner; i++) place[p * inner + i] += window[i * size + p];                     \
        }                                                                                                                 \
    }

typedef _Complex float complex64;
typedef _Complex double complex128;
FILL(float)
FILL(double)
FILL(complex64)
FILL(complex128)

typedef void (*fill_kernel)(const overlap *o, int64_t item, int64_t begin, int64_t end);
static const fill_kernel fills[] = {[HX_F32] = fill_float, [HX_F64] = fill_double, [HX_C64] = fill_complex64,
                                    [HX_C128] = fill_complex128};

typedef struct job {
    overlap o;
    fill_kernel fill;
} job;

static void fill_blocks(void *ctx, int64_t first, int64_t last) {
    const job *j = ctx;
    for (int64_t b = first; b < last; b++) {
        int64_t begin = b % j->o.blocks * j->o.block;
        j->fill(&j->o, b / j->o.blocks, begin, least(begin + j->o.block, j->o.length));
    }
}

/* gradient; dimension, size, step, shape. A number is one window of at most one element. */
HX_KERNEL(k_unfold_backward) {
    HX_UNUSED;
    const hx_view *g = &call->in[0], *out = &call->out[0];
    const int axis = (int)call->attr[0].v.i;
    if (!out->numel) return HX_OK;
    job j = {.o = {.windows = g->data, .signal = out->data, .count = out->ndim ? g->shape[axis] : 1, .size = call->attr[1].v.i,
                   .step = most(1, call->attr[2].v.i), .length = out->ndim ? out->shape[axis] : 1, .inner = 1},
             .fill = fills[out->dtype]};
    overlap *o = &j.o;
    for (int d = axis + 1; d < out->ndim; d++) o->inner *= out->shape[d];
    const int64_t element = o->inner * (int64_t)hx_dtype_size((hx_dtype)out->dtype), items = out->numel / (o->length * o->inner);
    o->block = least(o->length, most(1, BLOCK_BYTES / element));
    o->blocks = (o->length - 1) / o->block + 1;
    hx_parallel_range(items * o->blocks, hx_grain(o->block * element * (1 + most(1, o->size / o->step))), fill_blocks, &j);
    return HX_OK;
}

HX_KERNELS(overlap) = {KERNEL_CONTIGUOUS(unfold_backward, k_unfold_backward,
                                         HX_BIT(HX_F32) | HX_BIT(HX_F64) | HX_BIT(HX_C64) | HX_BIT(HX_C128)),
                       {0}};
