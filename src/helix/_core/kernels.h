/* Private to the core: the kernels that were found for an op, and start-up. */
#ifndef HX_KERNELS_H
#define HX_KERNELS_H

#include "op.h"

enum { HX_MAX_BACKENDS = 63 }; /* odd, so that the slots of ops for one backend do not fall into the same lines of a cache */

typedef enum hx_answer { HX_UNASKED, HX_ANSWERING, HX_ANSWERED } hx_answer;

typedef struct hx_op_kernels {
    struct {
        _Atomic uint8_t state; /* hx_answer; the support may be read from HX_ANSWERED on */
        hx_op_support support;
    } of[HX_MAX_BACKENDS]; /* by the backend's position */
} hx_op_kernels;

const hx_op_support *hx_kernel_ask(const hx_op *op, const hx_device *device);

/* The kernel slot of an op on a device; asks the backend once. */
static inline const hx_op_support *hx_kernel_support(const hx_op *op, const hx_device *device) {
    hx_op_kernels *k = op->info->kernels;
    if (__builtin_expect(atomic_load_explicit(&k->of[device->position].state, memory_order_acquire) == HX_ANSWERED, 1))
        return &k->of[device->position].support;
    return hx_kernel_ask(op, device);
}

hx_status hx_registry_init(void);

#endif
