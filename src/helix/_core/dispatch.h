/* The one door: check -> shape rule -> run | record | trace.
 *
 * Eager runs the kernel; recorded also leaves an autograd node; traced works on shapes and leaves a list of
 * calls. The modes are properties of the thread, and records do not know them. */
#ifndef HX_DISPATCH_H
#define HX_DISPATCH_H

#include "op.h"

/* Runs one call. Inputs are borrowed. On success out[0..n_out) hold one reference each; on failure nothing was
 * changed (inputs keep their values, unless the device failed half-way through an in-place kernel). */
hx_status hx_dispatch(hx_call *c);

/* Prepares a call: op, and the attributes' defaults. */
void hx_call_init(hx_call *c, const hx_op *op);

/* Ops that change lists of tensors may take, behind the list, a tensor of float64 with the call's FLOAT and INT attributes:
 * NULL where there is none; how many numbers an op has; and the attributes replaced by them. */
hx_tensor *hx_told_numbers(const hx_call *c);
int hx_count_numbers(const hx_op *op);
hx_status hx_take_numbers(hx_call *c);

/* Thread modes: what every call looks at. */
typedef struct hx_thread_mode {
    bool no_grad, inference;
    int64_t kernels_run;
    int8_t autocast[2];  /* on the CPU, on other devices: 1 + the dtype that autocast computes in; 0: off */
    void *saver;         /* what packs the tensors that nodes save (saved.c); NULL: they are kept as they are */
    struct hx_trace *trace; /* what calls are appended to instead of running; NULL: they run */
    hx_device *creation; /* inside a decomposition or a gradient rule: where ops without tensor inputs put their results */
} hx_thread_mode;
extern _Thread_local hx_thread_mode hx_mode __attribute__((visibility("hidden")));

static inline bool hx_grad_enabled(void) { return !hx_mode.no_grad && !hx_mode.inference; }
bool hx_grad_set(bool enabled); /* returns the mode before */
static inline bool hx_inference_enabled(void) { return hx_mode.inference; }
bool hx_inference_set(bool enabled); /* inference mode: no nodes, results have no version counts and may not enter autograd */
/* A view just made knows whose memory it shows: its writes count there, and rewrite that history. */
void hx_follow_base(hx_tensor *view, hx_tensor *source);

static inline bool hx_counts_writes(const hx_tensor *t) { return !hx_mode.inference || !(t->flags & HX_T_INFERENCE); }

/* Ops that helpers of the core need without a record at hand. Results are owned by the caller. */
hx_status hx_contiguous_of(hx_tensor *t, hx_tensor **out); /* t itself (retained) when it is contiguous */
hx_status hx_cast_to(hx_tensor *t, hx_dtype dtype, hx_tensor **out);
/* Copies values into existing memory, broadcasting and casting; the version counter moves. */
hx_status hx_copy_into(hx_tensor *dst, hx_tensor *src);
/* Runs the kernel of `op` on given tensors without autograd, casts or shape rules: for decompositions of ops
 * whose output shape depends on values. Outputs are allocated by the caller. */
hx_status hx_run_kernel(const hx_op *op, hx_tensor **in, int n_in, const hx_attr *attr, int n_attr, hx_tensor **out,
                        int n_out);

/* The built-in device and other devices by name ("cpu", "mychip:1"); opened at first use. */
hx_device *hx_cpu(void);
hx_status hx_device_find(const char *name, hx_device **out);
/* Checks the struct and copies it; `library_dir` (may be NULL) is handed to its init. */
hx_status hx_backend_register(const hx_backend *backend, const char *library_dir);
void hx_backend_on_log(void (*log)(const char *backend, int32_t level, const char *text)); /* what plugins say */
int hx_backend_count(void);
const hx_backend *hx_backend_at(int i);
int hx_device_count(void); /* opened so far, the CPU first */
hx_device *hx_device_at(int i);
void hx_devices_close(void); /* at the end of the process: every call on a device fails afterwards */

/* Starts the core: registry and CPU backend. Safe to call often and from several threads. */
hx_status hx_init(void);

/* Statistics for tests: kernels run by this thread since start, and ops dispatched. */
static inline int64_t hx_kernels_run(void) { return hx_mode.kernels_run; }

#endif
