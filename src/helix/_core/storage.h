/* Memory: raw host blocks, the pool behind them, and reference-counted storage on any device.
 *
 * Every byte the core takes goes through hx_alloc or hx_storage_new, so that the counters, the limit and the
 * fault injection of the tests see all of it. */
#ifndef HX_STORAGE_H
#define HX_STORAGE_H

#include <stdatomic.h>
#include <stddef.h>
#include "device.h"

/* Small bookkeeping memory (nodes, lists). NULL with a pending HX_E_MEMORY on failure. Not zeroed. */
void *hx_alloc(size_t nbytes);
void *hx_alloc_zeroed(size_t nbytes);
void hx_free(void *block, size_t nbytes); /* the size that was asked for */

/* A thread's desk for the bookkeeping of one list of tensors: it only grows and is kept until hx_memory_empty_cache, so
 * that what follows a longer list needs no memory and cannot fail. NULL with a pending HX_E_MEMORY on failure. */
typedef enum hx_desk_use { HX_DESK_VIEWS, HX_DESK_CHUNKS, HX_DESKS } hx_desk_use;
void *hx_desk(hx_desk_use use, size_t nbytes);

/* Large aligned scratch for kernels, from the pool (64-byte aligned, kept warm). Thread-safe. */
void *hx_pool_alloc(size_t nbytes);
void hx_pool_free(void *block, size_t nbytes);

typedef struct hx_storage {
    atomic_int refs;
    _Atomic uint32_t version; /* counts in-place writes; saved tensors compare it */
    hx_device *device;
    hx_mem mem;
    uint64_t block_bytes;     /* off the CPU: size of the pool's block, at least mem.nbytes */
    _Atomic uint64_t streams; /* off the CPU: numbers, as bits, of the streams that used it */
    void (*release)(void *owner); /* foreign memory: called once instead of freeing; NULL for our own */
    void *owner;
    bool read_only;
    _Atomic uint32_t lent, loans; /* to others, who write it without a count: now, and ever */
} hx_storage;

/* New storage of nbytes (0 is valid), contents undefined. On HX_E_MEMORY nothing is changed. */
hx_status hx_storage_new(hx_device *device, int64_t nbytes, hx_storage **out);

/* Storage over memory somebody else owns; `release(owner)` runs when the last view goes. On failure the
 * caller keeps ownership. */
hx_status hx_storage_wrap(hx_device *device, void *data, int64_t nbytes, bool read_only, void (*release)(void *),
                          void *owner, hx_storage **out);

/* From one to the other somebody outside may write the memory, such as a NumPy array over it, and no version tells. Memory that
 * was given to us to write is lent from the start. */
static inline void hx_storage_lend(hx_storage *s) {
    atomic_fetch_add_explicit(&s->loans, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->lent, 1, memory_order_relaxed);
}
static inline void hx_storage_return(hx_storage *s) { atomic_fetch_sub_explicit(&s->lent, 1, memory_order_release); }

static inline hx_storage *hx_storage_retain(hx_storage *s) {
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}
void hx_storage_release(hx_storage *s);

/* Counters of the core, in bytes. Live counts what tensors and nodes hold now; cached what the pool keeps. */
typedef struct hx_memory_stats {
    int64_t live_bytes, peak_bytes, cached_bytes, limit_bytes; /* limit 0: none */
    int64_t live_tensors, live_nodes, live_blocks, allocations;
    int64_t from_system; /* blocks that were asked of the system since the start; all others were kept ones */
} hx_memory_stats;
void hx_memory_get(hx_memory_stats *stats);
void hx_memory_reset_peak(void);
void hx_memory_set_limit(int64_t nbytes); /* HX_E_MEMORY beyond it; 0 removes it */
void hx_memory_empty_cache(void);

/* Fault injection: the n-th allocation from now (1 = next) fails, and with `persistent` all after it. 0 = off. */
void hx_memory_fail_at(int64_t n, bool persistent);
int64_t hx_memory_allocation_count(void);

/* The same blocks as hx_alloc's, counted as tensors too. */
void *hx_alloc_tensor(size_t nbytes);
void hx_free_tensor(void *block, size_t nbytes);

/* Internal counter for nodes. */
void hx_count_node(int delta);

#endif
