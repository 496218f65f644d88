/* Trace: the third mode of dispatch. Calls work on shapes alone and are appended to a list, which can be replayed on real
 * tensors, or read and made a graph of (helix.graph). Same records, same vjps. */
#ifndef HX_TRACE_H
#define HX_TRACE_H

#include "dispatch.h"

typedef struct hx_trace hx_trace;

typedef struct hx_trace_call {
    const hx_op *op; /* NULL: a region, whose meaning the host language keeps */
    int n_in, n_out, n_attr;
    int list_at, list_n;
    int32_t region; /* the host language's number for it */
    int32_t place;  /* what the place hook gave when the call was made; -1 without one */
    bool into;      /* results go into existing values (in-place forms and out=) */
    bool view;      /* the results show the memory of the first input */
    bool no_grad;   /* gradients do not flow through it: they were switched off */
    bool packs;     /* its kernel takes inputs without gaps: others are copied for it. Known of a watched trace alone */
    uint8_t groups; /* HX_MUTATES: into how many equal parts the list falls */
    hx_device *device;
    int32_t *in;   /* value numbers; -1 for an absent tensor */
    int32_t *out;
    hx_attr *attr;
    size_t attr_bytes;
    hx_spec *spec; /* of the outputs */
} hx_trace_call;

hx_status hx_trace_new(hx_trace **out);
void hx_trace_release(hx_trace *t);

/* Between begin and end, this thread's calls are recorded, not run. A trace that begins inside of another may use the other's
 * values: they are captured. A trace begins once. */
hx_status hx_trace_begin(hx_trace *t);
void hx_trace_end(hx_trace *t);
/* Takes the running trace away, so that calls run; resume puts it back. */
hx_trace *hx_trace_pause(void);
void hx_trace_resume(hx_trace *t);
static inline bool hx_tracing(void) { return hx_mode.trace != NULL; }

/* Asked at each recorded call for the number of the place in the program that makes it; NULL: nobody. Of this thread. */
typedef int32_t (*hx_trace_place)(void);
void hx_trace_set_place(hx_trace_place place);

/* A trace that lowers records what runs in the end: kernels that the device has, and views. Composites without a kernel go
 * to their parts. To be said before it begins. */
void hx_trace_lower(hx_trace *t);
bool hx_trace_lowers(void); /* the running one */

/* A placeholder of which only shape and dtype are known; replay puts a tensor in its place. `strides` NULL: row-major. Owned
 * by caller. */
hx_status hx_trace_input(hx_trace *t, hx_device *device, hx_dtype dtype, const int64_t *shape, const int64_t *strides,
                         int ndim, hx_tensor **out);
/* Results that the host language computes from the inputs: a loop, a choice. The caller owns them. Such a trace cannot be
 * replayed here. */
hx_status hx_trace_region(int32_t region, hx_tensor **in, int n_in, const hx_spec *spec, int n_out, hx_device *device,
                          hx_tensor **out);
/* Says that the running trace's program made this tensor, with its values: each run of the program would make another. */
hx_status hx_trace_made(hx_tensor *x);
/* Marks a tensor as a result of the trace. */
hx_status hx_trace_output(hx_trace *t, hx_tensor *x);

/* What is known of a value. `shown` is the number of the value of which it is another name, else its own. */
enum { HX_TRACE_INPUT = 1, HX_TRACE_CAPTURED = 2, HX_TRACE_COMPUTED = 3, HX_TRACE_ALIAS = 4, HX_TRACE_MADE = 5 };
typedef struct hx_trace_known {
    hx_tensor *tensor;
    int origin;
    int32_t shown;
} hx_trace_known;
int hx_trace_values(const hx_trace *t);
hx_trace_known hx_trace_known_of(const hx_trace *t, int32_t v);
/* The number of a tensor that the trace has met, or -1. */
int32_t hx_trace_number(const hx_trace *t, const hx_tensor *x);

/* A watched trace, said before it begins, looks before each call which values nobody but the trace holds any more: with values
 * their memory would be free. `gone` is how many calls there were by then, -1 while somebody holds it. */
void hx_trace_watch(hx_trace *t);
bool hx_trace_is_watched(void);
void hx_trace_look(hx_trace *t);
int32_t hx_trace_gone(const hx_trace *t, int32_t v);

/* Random ops take streams 0, 1, 2, ... of a trace: attributes of kind HX_A_RNG with count 1. Each replay draws as many from
 * the default generator as the trace took, in that order. */
void hx_trace_draw(hx_attr *a);
int32_t hx_trace_draws(const hx_trace *t);

int hx_trace_length(const hx_trace *t);
const hx_trace_call *hx_trace_at(const hx_trace *t, int i);
/* Shape and dtype of value number v. */
const hx_spec *hx_trace_value(const hx_trace *t, int32_t v);

/* Runs the recorded calls. Tensors that the trace captured (parameters, constants) are used as they are now, and
 * in-place calls on them write them. Outputs are owned by the caller. */
hx_status hx_trace_replay(hx_trace *t, hx_tensor **inputs, int n_inputs, hx_tensor **outputs, int n_outputs);

/* Fails where the running trace writes the memory of this tensor: what is there now is not what the program would read. */
hx_status hx_trace_readable(const hx_tensor *t);
/* The error of a traced tensor that is computed with outside of a trace. */
hx_status hx_trace_ended(const hx_tensor *t);

/* Another tensor for a value of which only the shape is known (detach, a saved result). Called by hx_tensor_alias. */
hx_status hx_trace_alias(hx_tensor *of, hx_tensor *alias);

/* Called by dispatch. */
hx_status hx_trace_record(hx_call *c);

#endif
