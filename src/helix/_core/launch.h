/* One op on tensors that are ready for it: which kernel runs it, and the call as the kernel sees it.
 *
 * Shapes, dtypes and autograd are dispatch's; here is only memory. */
#ifndef HX_LAUNCH_H
#define HX_LAUNCH_H

#include "fallback.h"
#include "op.h"
#include "tensor.h"

typedef struct hx_kernel_call {
    const hx_op *op;
    hx_device *device;
    hx_tensor **in;
    int n_in;
    const hx_attr *attr;
    int n_attr;
    hx_tensor **out;
    int n_out;
} hx_kernel_call;

/* The dtype that kernels are found by: the first input's, or the first output's without inputs. */
static inline hx_dtype hx_key_dtype(hx_tensor **in, int n_in, hx_dtype first_out) {
    for (int i = 0; i < n_in; i++)
        if (in[i]) return (hx_dtype)in[i]->dtype;
    return first_out;
}

/* The device's own kernel for an op and key dtype, or NULL. */
const hx_op_support *hx_own_kernel(const hx_op *op, const hx_device *device, hx_dtype key);
/* Has the device a kernel, its own or a rendered one? It may still decline a single call. */
bool hx_has_kernel(const hx_op *op, const hx_device *device, hx_dtype key);

/* The device's own kernel, then a rendered one; *ran stays false when both decline. */
hx_status hx_launch_there(const hx_kernel_call *l, bool *ran);
/* That, or the CPU's kernel on copies. written: the inputs that the op writes, NULL for none. */
hx_status hx_launch_anywhere(const hx_kernel_call *l, const hx_written *written);

/* Inputs of a call of which some were replaced. Holds a reference to each from the first replacement on. */
enum { HX_FEW_INPUTS = 12 }; /* handled without an allocation */
typedef struct hx_inputs {
    hx_tensor *few[HX_FEW_INPUTS];
    hx_tensor **in; /* NULL: nothing was replaced */
    int n;
} hx_inputs;

/* Input i becomes `owned`, whose reference is taken over even on failure; *in points to the replaced list. */
hx_status hx_replace_input(hx_inputs *r, hx_tensor ***in, int n, int i, hx_tensor *owned);
void hx_release_inputs(hx_inputs *r);

#endif
