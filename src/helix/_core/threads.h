/* The thread pool: the caller takes a share, workers spin a little after a job and then park, and a forked
 * child builds its own. Chunk borders depend on the work alone, never on the number of threads, so that a
 * result has the same bits for any thread count. */
#ifndef HX_THREADS_H
#define HX_THREADS_H

#include <stdint.h>
#include "error.h"

/* Runs body(ctx, i) for i in [0, chunks). Returns when all are done. Runs on the caller alone when chunks is 1,
 * when the pool has one thread, or when called from inside a body. Bodies must not fail or throw. */
typedef void (*hx_body)(void *ctx, int64_t chunk);
void hx_parallel(int64_t chunks, hx_body body, void *ctx);

/* The usual form: body over [begin, end) ranges of `grain` items each. */
typedef void (*hx_range_body)(void *ctx, int64_t begin, int64_t end);
void hx_parallel_range(int64_t n, int64_t grain, hx_range_body body, void *ctx);

int hx_threads_get(void);
void hx_threads_set(int n); /* 1..64; takes effect at the next job */

/* Called by dispatch around kernels whose work is above HX_BLOCKING_BYTES, so that the host language can let
 * other threads run (the door releases the GIL here). May be NULL. */
typedef struct hx_blocking {
    void *(*enter)(void);
    void (*leave)(void *token);
} hx_blocking;
void hx_set_blocking(const hx_blocking *hooks);
const hx_blocking *hx_get_blocking(void);
#define HX_BLOCKING_BYTES 100000

#endif
