/* What the records and the kernels of resizing share. */
#ifndef HX_RESAMPLE_H
#define HX_RESAMPLE_H

#include <stdbool.h>
#include <stdint.h>
#include "helix/backend.h"

/* Keys, "Cubic convolution interpolation for digital image processing", 1981: the weight of a point at a distance below 1,
 * and below 2, as ((a x + b) x + c) x + d. */
#define HX_CUBIC (-0.75)
#define HX_CUBIC_NEAR {HX_CUBIC + 2, -HX_CUBIC - 3, 0, 1}
#define HX_CUBIC_FAR {HX_CUBIC, -5 * HX_CUBIC, 8 * HX_CUBIC, -4 * HX_CUBIC}

/* Against aliases: the same with -1/2. */
#define HX_SMOOTH_NEAR {1.5, -2.5, 0, 1}
#define HX_SMOOTH_FAR {-0.5, 2.5, -4, 2}

/* The distance in an axis of `in` points between those that neighbours of `out` points are read at; `scale`: scale_factor, one
 * value or one for each axis, or none. */
static inline double hx_resample_step(int64_t in, int64_t out, bool corners, const hx_attr *scale, int axis) {
    if (corners) return out > 1 ? (double)(in - 1) / (double)(out - 1) : 0;
    if (scale->kind == HX_A_NONE) return (double)in / (double)out;
    return 1 / scale->v.floats[scale->count == 1 ? 0 : axis];
}

#endif
