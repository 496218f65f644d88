/* Copies of tensors between devices. */
#ifndef HX_TRANSFER_H
#define HX_TRANSFER_H

#include "trace.h"

/* The values of t on another device, row-major; t itself (retained) when it is there. Returns when the copy is done.
 * A step of the graph: the gradient goes back to where the values came from. */
hx_status hx_tensor_to(hx_tensor *t, hx_device *target, hx_tensor **out);

#endif
