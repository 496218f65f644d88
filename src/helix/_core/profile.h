/* The profiler: an entry for every kernel that runs, with the place in the program that asked for it. */
#ifndef HX_PROFILE_H
#define HX_PROFILE_H

#include <stdatomic.h>
#include "launch.h"

enum { HX_PROFILE_INPUTS = 4, HX_PROFILE_RANK = 8 };
/* A place that was numbered when its call was traced, among those that are numbered as they run. */
#define HX_PROFILE_TRACED(number) (-1 - (number))

typedef struct hx_profile_shape {
    uint8_t dtype, ndim; /* ndim HX_PROFILE_RANK + 1: no tensor, or one of more axes */
    int64_t size[HX_PROFILE_RANK];
} hx_profile_shape;

typedef struct hx_profile_event {
    const hx_op *op;
    const hx_device *device;
    int64_t start, nanoseconds; /* on the monotonic clock; of devices that work by themselves, of the launch alone */
    int64_t bytes_read, bytes_written;
    int32_t place, thread;
    bool backward;
    hx_profile_shape in[HX_PROFILE_INPUTS], out;
} hx_profile_event;

extern atomic_bool hx_profile_on __attribute__((visibility("hidden")));
typedef struct hx_profile_state {
    int32_t place; /* of the call that runs: forward, or the one whose gradient is computed */
    int32_t backward; /* depth */
} hx_profile_state;
extern _Thread_local hx_profile_state hx_profile __attribute__((visibility("hidden")));

static inline bool hx_profiling(void) { return atomic_load_explicit(&hx_profile_on, memory_order_relaxed); }

/* Switches it on or off for all threads. `place`, called for each call of the user's, gives its number; where it fails, so
 * does the call. */
void hx_profile_set(bool on, hx_status (*place)(int32_t *number));
hx_status hx_profile_enter_call(void);
int64_t hx_profile_now(void);
/* Adds an entry; one that finds no memory is counted as lost. */
void hx_profile_kernel(const hx_kernel_call *l, int64_t start);
int64_t hx_profile_count(void);
int64_t hx_profile_lost(void);
bool hx_profile_at(int64_t i, hx_profile_event *out);
void hx_profile_clear(void);

#endif
