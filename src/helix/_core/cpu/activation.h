/* Activations by name, for kernels that end in one (cpu/activation.c). */
#ifndef HX_ACTIVATION_H
#define HX_ACTIVATION_H

#include "maps.h"

/* The loop, over one input, that computes what a STRING attribute names, with its context in *m; NULL for "none". In
 * float32 and narrower, the bits are those of the op of that name. */
hx_loop HX_ISA_NAME(hx_activation_loop)(const hx_attr *name, hx_dtype dtype, hx_mapping *m);
#define hx_activation_loop HX_ISA_NAME(hx_activation_loop)

#endif
