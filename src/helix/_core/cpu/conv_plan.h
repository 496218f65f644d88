/* What the convolution kernels agree on: the sizes of a call, the work plan made of them, and how a plan is cut
 * into blocks. Element types come in with conv_tile.h. */
#ifndef HX_CONV_PLAN_H
#define HX_CONV_PLAN_H

#include "cpu.h"

#if defined HX_ISA_AVX512
#include <immintrin.h>
#define VECTOR_BYTES 64
#define TILE_ROWS 8
#elif defined HX_ISA_AVX2
#define VECTOR_BYTES 32
#define TILE_ROWS 4
#elif defined HX_ISA_NEON
#define VECTOR_BYTES 16
#define TILE_ROWS 8
#else
#define VECTOR_BYTES 16
#define TILE_ROWS 4
#endif
#define TILE_VECTORS 3
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

/* Sizes of one convolution y = conv(x, w). There are always three spatial axes; absent ones have size 1. */
typedef struct conv_sizes {
    int64_t batch, groups, cin, cout; /* channels of one group */
    int64_t in[3], out[3], kernel[3], stride[3], pad[3], dilation[3];
    int64_t taps;                     /* product of kernel */
} conv_sizes;

/* A correlation over a source S with `kc` channels a group, giving `m` channels a group of a destination:
 *   dst[step * o + base] = sum over channels c and taps t of weight[m][c][t] * S[c][stride * o + shift[t]]
 * for o in [0, count), with S zero outside its size. A forward convolution is one plan; a transposed one is a plan
 * for each position modulo the stride. */
typedef struct conv_plan {
    int64_t batch, groups, kc, m;
    int64_t src[3], dst[3], count[3], step[3], base[3], stride[3];
    int64_t taps;
    int64_t (*shift)[3];
    int64_t *tap;                          /* where tap t stands in the weight */
    int64_t w_group, w_m, w_c;             /* strides of the weight in elements */
} conv_plan;

/* One cut of a plan: images x one position of axis 0 x rows of axis 1 x columns of axis 2. The source of a block is
 * copied into scratch with its border of zeros, split by position modulo the stride, so that every tap of every
 * output is the output's own place plus one offset:  scratch[channel][slice][phase 1][phase 2][row][column]. */
typedef struct conv_layout {
    bool direct;                           /* the source serves as it lies */
    bool too_large;                        /* a block's copy would not fit in memory */
    int64_t low[3], phases[3], reach[3];   /* smallest shift; positions modulo stride; largest quotient */
    int64_t slices, *slice_shift;          /* distinct shifts of axis 0 */
    int64_t images, rows, columns;         /* of a full block */
    int64_t image_blocks, row_blocks, column_blocks, blocks; /* blocks of one group */
    int64_t height, width;                 /* of a scratch plane */
    int64_t channel_size, image_size;      /* elements of scratch */
    int64_t *offset;                       /* of tap t within a channel */
} conv_layout;

typedef struct conv_block {
    int64_t image, images, depth, row, rows, column, columns;
} conv_block;

static inline int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b > 0); } /* a >= 0, b > 0 */
static inline int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

/* Those i in [0, n) for which first + i * step lies in [0, size). */
static inline void conv_inside(int64_t first, int64_t step, int64_t n, int64_t size, int64_t *begin, int64_t *end) {
    *begin = first < 0 ? at_most(ceil_div(-first, step), n) : 0;
    *end = size > first ? at_most(ceil_div(size - first, step), n) : 0;
    if (*end < *begin) *end = *begin;
}

static inline conv_block conv_block_at(const conv_plan *p, const conv_layout *l, int64_t i) {
    int64_t column = i % l->column_blocks * l->columns, rest = i / l->column_blocks;
    int64_t row = rest % l->row_blocks * l->rows;
    rest /= l->row_blocks;
    int64_t depth = rest % p->count[0], image = rest / p->count[0] * l->images;
    return (conv_block){image, at_most(l->images, p->batch - image), depth, row, at_most(l->rows, p->count[1] - row),
                        column, at_most(l->columns, p->count[2] - column)};
}

/* Fills everything but the block sizes. `room` holds 2 * taps elements for slice_shift and offset. */
static void conv_layout_init(conv_layout *l, const conv_plan *p, int64_t *room) {
    *l = (conv_layout){.slice_shift = room, .offset = room + p->taps};
    l->direct = true;
    for (int d = 0; d < 3; d++) {
        int64_t low = p->taps ? p->shift[0][d] : 0, high = low;
        for (int64_t t = 1; t < p->taps; t++) {
            low = at_most(low, p->shift[t][d]);
            high = at_least(high, p->shift[t][d]);
        }
        l->low[d] = low;
        l->phases[d] = at_most(p->stride[d], high - low + 1);
        l->reach[d] = (high - low) / p->stride[d];
        if (low < 0 || high + p->stride[d] * (p->count[d] - 1) >= p->src[d] || (d && p->stride[d] != 1))
            l->direct = false;
    }
    for (int64_t t = 0; t < p->taps; t++) {
        int64_t s = 0;
        while (s < l->slices && l->slice_shift[s] != p->shift[t][0]) s++;
        if (s == l->slices) l->slice_shift[l->slices++] = p->shift[t][0];
    }
}

/* Sets the block sizes and the offset of every tap. A block that cannot be held, because a dilation is out
 * of all proportion, is only marked. */
static void conv_layout_cut(conv_layout *l, const conv_plan *p, int64_t images, int64_t rows, int64_t columns) {
    l->images = images;
    l->rows = rows;
    l->columns = columns;
    l->image_blocks = ceil_div(p->batch, images);
    l->row_blocks = ceil_div(p->count[1], rows);
    l->column_blocks = ceil_div(p->count[2], columns);
    l->blocks = l->image_blocks * p->count[0] * l->row_blocks * l->column_blocks;
    if (l->direct) {
        l->height = p->src[1];
        l->width = p->src[2];
        l->channel_size = p->src[0] * p->src[1] * p->src[2];
        for (int64_t t = 0; t < p->taps; t++)
            l->offset[t] = (p->shift[t][0] * l->height + p->shift[t][1]) * l->width + p->shift[t][2];
        return;
    }
    l->height = rows + l->reach[1];
    l->width = columns + l->reach[2];
    double elements = (double)l->slices * (double)l->phases[1] * (double)l->phases[2] * (double)l->height * (double)l->width;
    l->too_large = elements * (double)images * (double)p->kc > 0x1p40;
    if (l->too_large) return;
    l->channel_size = l->slices * l->phases[1] * l->phases[2] * l->height * l->width;
    l->image_size = p->kc * l->channel_size;
    for (int64_t t = 0; t < p->taps; t++) {
        int64_t slice = 0, u1 = p->shift[t][1] - l->low[1], u2 = p->shift[t][2] - l->low[2];
        while (l->slice_shift[slice] != p->shift[t][0]) slice++;
        int64_t plane = (slice * l->phases[1] + u1 % p->stride[1]) * l->phases[2] + u2 % p->stride[2];
        l->offset[t] = (plane * l->height + u1 / p->stride[1]) * l->width + u2 / p->stride[2];
    }
}

#endif
