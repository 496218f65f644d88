/* Mixed precision: with autocast on, an op's inputs are cast to the dtype in which it is safe and fast. */
#ifndef HX_AUTOCAST_H
#define HX_AUTOCAST_H

#include "launch.h"

typedef enum hx_precision {
    HX_AS_GIVEN, /* in the dtype it is given */
    HX_LOWER,    /* in autocast's dtype: products, whose kernels accumulate in float32 */
    HX_SINGLE,   /* in float32: what would overflow or lose its digits */
    HX_WIDEST,   /* in the widest dtype among its inputs */
    HX_BORDER,   /* borders of images, by their mode */
    HX_SCORES,   /* HX_LOWER but for what is added to scores by distance: half types cannot tell far ones apart */
    HX_CLOSED    /* in the dtype it is given, and so is what it is made of */
} hx_precision;

/* What an op is on the CPU and on other devices; by name, HX_AS_GIVEN for all that are not listed. */
void hx_precisions_of(const char *op, uint8_t precision[2]);

/* Casts the inputs of a call by the mode of this thread. What runs inside of a call that was cast is not cast again. */
hx_status hx_autocast(hx_call *c, hx_inputs *tmp);

/* Regions of autocast nest. Until the outermost of a thread ends, values of parameters that were cast twice are kept: leaves of
 * float32 that require a gradient. A parameter that was written since is cast again. */
void hx_autocast_enter(void);
void hx_autocast_leave(void);
bool hx_autocast_keep(bool kept); /* returns what it was */

#endif
