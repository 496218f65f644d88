/* A plan: kernels found beforehand, called one after the other on memory whose place is known beforehand.
 *
 * It is made of a trace that lowers (trace.h), of where every value lies, and of a list of steps. A run puts the caller's
 * tensors in their places and calls the kernels: no shape rule, no dispatch, and no memory but for its results. */
#ifndef HX_PLAN_H
#define HX_PLAN_H

#include "trace.h"

/* Where the memory of a value lies. */
typedef enum hx_home {
    HX_HOME_NONE,     /* nowhere: nothing reads it */
    HX_HOME_ARENA,    /* `at` bytes into the memory that one run works in */
    HX_HOME_BOUND,    /* `at` bytes after the first element of bound tensor `slot` */
    HX_HOME_RESULT,   /* `at` bytes into fresh memory, number `slot` */
    HX_HOME_CONSTANT  /* the trace's own tensor */
} hx_home;

/* A value: what the trace knows under `number`, or a row-major copy of it (`dense`). */
typedef struct hx_plan_value {
    int32_t number, slot;
    uint8_t home;
    bool dense;
    int64_t at;
} hx_plan_value;

/* A call of the trace, or, with call -1, a copy of value in[0] to out[0]. Values are positions in the list; -1 is an absent
 * tensor. */
typedef struct hx_plan_step {
    int32_t call, n_in, n_out;
    const int32_t *in, *out;
    bool outside; /* it writes what was there before the run */
    int64_t work_at, work_bytes; /* where in the arena its kernel may work */
} hx_plan_step;

/* What a run returns: bound tensor `slot` itself (value -1), or a tensor that shows a value. */
typedef struct hx_plan_result {
    int32_t value, slot;
} hx_plan_result;

typedef struct hx_plan hx_plan;

/* Where a body finds one of its bound tensors: carried value `at`, a row of the step's input `at`, that input itself, or
 * `own[at]`. */
typedef enum hx_plan_from { HX_FROM_CARRY, HX_FROM_ROW, HX_FROM_INPUT, HX_FROM_OWN } hx_plan_from;
typedef struct hx_plan_source {
    int32_t from, at;
} hx_plan_source;

/* A region whose bodies are plans, on the CPU. A choice: `bodies[0]` where input 0 is true, else `bodies[1]`. A scan: `bodies[0]`
 * for each of `length` rows, from the last one where `reverse`. A loop: `bodies[1]` as long as `bodies[0]` gives true, `length`
 * times at most; -1: without end. What is carried, row-major, are the first `n_carry` inputs and outputs of the step. Bodies
 * write their fresh memory into the step's outputs, in their order; a test its only one. */
typedef enum hx_plan_flow { HX_FLOW_CHOICE, HX_FLOW_SCAN, HX_FLOW_LOOP } hx_plan_flow;
enum { HX_MOST_CARRIED = 64 };
typedef struct hx_plan_loop {
    int32_t region, flow, n_carry;
    bool reverse;
    int64_t length;
    hx_plan *bodies[2];
    const hx_plan_source *sources[2];
    hx_tensor *const *own[2];
} hx_plan_loop;

typedef struct hx_plan_data {
    hx_device *device;
    const hx_plan_value *values;
    const hx_plan_step *steps;
    const int32_t *bound;   /* the value that shows each bound tensor as a whole; -1: it is not read */
    const int32_t *fresh;   /* the value that shows each piece of fresh memory as a whole */
    const hx_plan_result *results;
    const int32_t *written; /* bound tensors that a run writes */
    int n_values, n_steps, n_bound, n_inputs, n_fresh, n_results, n_written; /* the first n_inputs bound tensors may be any */
    int64_t arena;          /* bytes */
    const hx_plan_loop *loops; /* kept alive by the caller, with all that they point to */
    int n_loops;
} hx_plan_data;

/* Runs a step of control flow in the host language, which copies its results into `out`. */
/* Runs a step of the host language; its random streams begin at `first` of this seed. */
typedef hx_status (*hx_plan_region)(void *host, int32_t region, hx_tensor **in, int n_in, hx_tensor **out, int n_out,
                                    uint64_t seed, uint64_t first);

/* Copies the data; the trace is kept alive by the caller for as long as the plan lives. */
hx_status hx_plan_new(hx_trace *trace, const hx_plan_data *data, hx_plan_region region, void *host, hx_plan **out);
void hx_plan_release(hx_plan *p);

/* Does bound tensor i lie as its value says? False where no step takes it: nothing is known of it then. */
bool hx_plan_takes(const hx_plan *p, int i, const hx_tensor *t);

/* True where the tensors lie as the bound values say: shape, strides, dtype and device. */
bool hx_plan_fits(const hx_plan *p, hx_tensor **bound);

/* One run, of tensors that fit. Random streams begin at `first` of `seed`. The caller owns the results. Several threads may
 * run one plan: each run works in memory of its own, which is kept for the next. */
hx_status hx_plan_run(hx_plan *p, hx_tensor **bound, uint64_t seed, uint64_t first, hx_tensor **results);

/* Bytes that the kernel of a step has asked for to work in, at one time, in the runs so far; hx_plan_wants: for some step that
 * is more than it has. */
int64_t hx_plan_needed(const hx_plan *p, int step);
bool hx_plan_wants(const hx_plan *p);

/* Offsets, 64-byte aligned, for blocks of `bytes[i]` that live from step first[i] to last[i], so that those which live at the
 * same time lie apart; returns the bytes of the whole, -1 with an error pending without memory. */
int64_t hx_plan_offsets(int n, const int64_t *bytes, const int32_t *first, const int32_t *last, int64_t *offset);

#endif
