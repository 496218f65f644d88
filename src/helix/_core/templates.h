/* Kernels rendered from shared templates: what dispatch asks for where a device takes programs and has no kernel of
 * its own for a call. The language they are written in lives above the core. */
#ifndef HX_TEMPLATES_H
#define HX_TEMPLATES_H

#include "op.h"

typedef struct hx_templates {
    /* Is there a template for the op on this device? `dtype` is the first input's, or the output's without inputs.
     * Asked at every call. */
    bool (*offers)(const hx_op *op, const hx_device *device, hx_dtype dtype);
    /* Runs one call. HX_E_UNSUPPORTED, before anything was launched, when no template covers it: dispatch then goes
     * on with the decomposition and the host. */
    hx_code (*run)(const hx_op *op, hx_device *device, void *stream, const hx_op_call *call, hx_err *err);
} hx_templates;

void hx_templates_set(const hx_templates *templates); /* kept by pointer; NULL takes them away */
const hx_templates *hx_templates_get(void);

/* Runs a kernel that belongs to no op: `op` is known to the templates alone and stands in no registry. Inputs are read
 * and outputs written, all on `device`. *ran stays false, and nothing is changed, where the templates decline. */
hx_status hx_run_apart(const hx_op *op, hx_device *device, hx_tensor **in, int n_in, const hx_attr *attr, int n_attr,
                       hx_tensor **out, int n_out, bool *ran);

#endif
