/* Copies of tensors between devices. */
#ifndef HX_TRANSFER_H
#define HX_TRANSFER_H

#include "trace.h"

/* The values of t on another device, row-major; t itself (retained) when it is there. Outside autograd. Returns when
 * the copy is done. */
hx_status hx_transfer(hx_tensor *t, hx_device *target, hx_tensor **out);

#endif
