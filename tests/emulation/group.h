/* What an emulated kernel sees while it runs, and how a launch is run: the work items of a group are fibers of one
 * thread, switched at barriers. Kernels are C++ made from device code by cuda.h or metal.h. */
#ifndef EMULATION_GROUP_H
#define EMULATION_GROUP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct emulation_index {
    unsigned x, y, z;
} emulation_index;

enum { EMULATION_LANES = 32 };

/* What the lanes of a SIMD group tell each other: those that take part have their bit in `active`. */
typedef struct emulation_lanes {
    uint64_t values[EMULATION_LANES];
    uint32_t active;
} emulation_lanes;

typedef struct emulation_now {
    emulation_index item, group, items, groups; /* this work item, its group, and how many there are of both */
    unsigned number;                            /* of the item in its group */
    void *dynamic;                              /* memory of the group that the launch asked for */
    void (*barrier)(int line);
    void (*lane_barrier)(int line); /* of the SIMD group */
    emulation_lanes *lanes;         /* of all SIMD groups */
} emulation_now;

typedef void (*emulation_kernel)(void *const *arguments); /* pointers to the values */

/* In which order the items between two barriers, and the groups, run. */
enum { EMULATION_FORWARD = -1, EMULATION_REVERSED = -2 }; /* from 0 on: random, by this seed */

typedef struct emulation_launch {
    emulation_kernel kernel;
    void *const *arguments;
    emulation_index groups, items;
    unsigned char *shared, *shared_end; /* the kernel's own arrays, poisoned before every group */
    uint32_t dynamic_bytes;
    int has_barriers; /* 0: items run one after another, without fibers */
    int64_t order;
} emulation_launch;

extern emulation_now emulation_state; /* one launch at a time in a process */

/* Runs a launch; 0, or -1 with the reason in `error`. */
int emulation_run(const emulation_launch *launch, char *error, size_t room);

#ifdef __cplusplus
}
#endif
#endif
