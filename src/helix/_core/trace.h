/* Trace: the third mode of dispatch. Calls work on shapes alone and are appended to a list, which can be
 * replayed on real tensors. This is the seed of the graph engine: same records, same vjps. */
#ifndef HX_TRACE_H
#define HX_TRACE_H

#include "dispatch.h"

typedef struct hx_trace hx_trace;

typedef struct hx_trace_call {
    const hx_op *op;
    int n_in, n_out, n_attr;
    int list_at, list_n;
    bool into; /* results go into existing values (in-place forms and out=) */
    int32_t *in;   /* value numbers; -1 for an absent tensor */
    int32_t *out;
    hx_attr *attr;
    size_t attr_bytes;
    hx_spec *spec; /* of the outputs */
} hx_trace_call;

hx_status hx_trace_new(hx_trace **out);
void hx_trace_release(hx_trace *t);

/* Between begin and end, this thread's calls are recorded, not run. They do not nest. */
hx_status hx_trace_begin(hx_trace *t);
void hx_trace_end(hx_trace *t);
static inline bool hx_tracing(void) { return hx_mode.trace != NULL; }

/* A placeholder of which only shape and dtype are known; replay puts a tensor in its place. Owned by caller. */
hx_status hx_trace_input(hx_trace *t, hx_dtype dtype, const int64_t *shape, int ndim, hx_tensor **out);
/* Marks a tensor as a result of the trace. */
hx_status hx_trace_output(hx_trace *t, hx_tensor *x);

int hx_trace_length(const hx_trace *t);
const hx_trace_call *hx_trace_at(const hx_trace *t, int i);
/* Shape and dtype of value number v. */
const hx_spec *hx_trace_value(const hx_trace *t, int32_t v);

/* Runs the recorded calls. Tensors that the trace captured (parameters, constants) are used as they are now, and
 * in-place calls on them write them. Outputs are owned by the caller. */
hx_status hx_trace_replay(hx_trace *t, hx_tensor **inputs, int n_inputs, hx_tensor **outputs, int n_outputs);

/* Another tensor for a value of which only the shape is known (detach, a saved result). Called by hx_tensor_alias. */
hx_status hx_trace_alias(hx_tensor *of, hx_tensor *alias);

/* Called by dispatch. */
hx_status hx_trace_record(hx_call *c);

#endif
