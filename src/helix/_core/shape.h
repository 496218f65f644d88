/* Shapes and strides: checked size arithmetic, broadcasting, axes. No size anywhere is multiplied or added
 * without one of these. */
#ifndef HX_SHAPE_H
#define HX_SHAPE_H

#include <stdint.h>
#include <stdio.h>
#include "error.h"

/* Checked arithmetic: true when the result fits. */
static inline bool hx_mul_ok(int64_t a, int64_t b, int64_t *r) { return !__builtin_mul_overflow(a, b, r); }
static inline bool hx_add_ok(int64_t a, int64_t b, int64_t *r) { return !__builtin_add_overflow(a, b, r); }
static inline bool hx_sub_ok(int64_t a, int64_t b, int64_t *r) { return !__builtin_sub_overflow(a, b, r); }

/* Copies a few sizes. Shapes are short: a plain loop beats memcpy's call and start-up, and the barrier keeps the
 * compiler from making it one again. */
static inline void hx_copy_sizes(int64_t *to, const int64_t *from, int n) {
    for (int i = 0; i < n; i++) {
        to[i] = from[i];
        __asm__ volatile("");
    }
}

/* Element count of a shape; HX_E_OVERFLOW when it does not fit, HX_E_SHAPE for a negative size. */
hx_status hx_numel(const int64_t *shape, int ndim, int64_t *numel);

/* Row-major strides in elements. */
void hx_row_major(const int64_t *shape, int ndim, int64_t *strides);
bool hx_is_contiguous(const int64_t *shape, const int64_t *strides, int ndim);

/* First and one-past-last element that a strided extent touches, relative to element [0,...,0];
 * both 0 when the extent is empty. HX_E_OVERFLOW when they do not fit. */
hx_status hx_extent(const int64_t *shape, const int64_t *strides, int ndim, int64_t *low, int64_t *high);

/* Axis in [-ndim, ndim) to [0, ndim). Rank 0 accepts -1 and 0, as torch does. HX_E_INDEX with HX1302. */
hx_status hx_axis(int64_t axis, int ndim, int *result);

/* A list of axes; none given (n == 0) means all. Repeats are an error. `mask` gets one bit an axis. */
hx_status hx_axes(const int64_t *axes, int n, int ndim, uint32_t *mask);

/* Broadcast `b` into the running result (r, r_ndim), which starts as rank 0. HX_E_SHAPE HX1003 names both. */
hx_status hx_broadcast_into(int64_t *r, int *r_ndim, const int64_t *b, int b_ndim);

/* Strides that show (shape, strides, ndim) as the larger `to_shape` without a copy: 0 where it is stretched. */
hx_status hx_broadcast_strides(const int64_t *shape, const int64_t *strides, int ndim, const int64_t *to_shape,
                               int to_ndim, int64_t *result);

/* Strides for a view with another shape of the same element count; false when only a copy can do it. */
bool hx_view_strides(const int64_t *shape, const int64_t *strides, int ndim, const int64_t *to_shape, int to_ndim,
                     int64_t *result);

/* "(2, 3)" into a rotating buffer of this thread (8 may be live at once): for messages only. */
const char *hx_shape_text(const int64_t *shape, int ndim);

#endif
