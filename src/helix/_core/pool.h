/* The pool behind storage.c: large host blocks kept warm. Counts nothing but itself, sets no errors. */
#ifndef HX_POOL_H
#define HX_POOL_H

#include <stddef.h>
#include <stdint.h>

/* 64-byte aligned; NULL when the system has none, also after the cache was given back. */
void *hx_pool_take(size_t nbytes);
void hx_pool_give(void *block, size_t nbytes);

int64_t hx_pool_cached_bytes(void);
int64_t hx_pool_mapped_blocks(void); /* asked of the system since the start */
void hx_pool_trim(void); /* gives everything that is not in use back to the system */

/* What this process may use: the machine's memory and swap, or less where a control group says so. */
int64_t hx_machine_memory(void);

/* Around fork, so that the child finds the lock open and the lists whole. */
void hx_pool_before_fork(void);
void hx_pool_after_fork(void);

#endif
