/* Workspace of kernels in memory that a plan has set aside: while a thread, and the workers that help it, hold one,
 * hx_pool_alloc takes from it, and from the pool where it has no room. */
#ifndef HX_WORKSPACE_H
#define HX_WORKSPACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HX_WORK_BLOCKS = 72 };

typedef struct hx_work_block {
    size_t begin, end;
} hx_work_block;

typedef struct hx_workspace {
    char *base; /* 64-byte aligned */
    size_t bytes;
    atomic_flag lock;
    int n;                                /* blocks, in the order in which they lie */
    hx_work_block block[HX_WORK_BLOCKS];
    size_t owner, helper, needed;         /* what the owner holds; the most that one body of a parallel loop does */
} hx_workspace;

/* What this thread's kernels take from; NULL: the pool. Returns what it was. */
hx_workspace *hx_workspace_set(hx_workspace *w);
hx_workspace *hx_workspace_get(void);

/* For the next kernel. */
void hx_workspace_open(hx_workspace *w, char *base, size_t bytes);
/* The bytes that would have been room enough for it, with as many threads as there are. */
size_t hx_workspace_close(hx_workspace *w);

/* As hx_pool_alloc, for what outlives the kernel that asks. */
void *hx_pool_keep(size_t nbytes);

/* Does this thread run a body of a loop that several threads share? */
bool hx_inside_body(void);

/* For the pool: NULL where there is no room; false for a block that it did not give. */
void *hx_workspace_take(size_t nbytes);
bool hx_workspace_give(void *block, size_t nbytes);

#endif
