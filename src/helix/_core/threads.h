/* The thread pool: the caller takes a share, workers spin a little after a job and then park, and a forked
 * child builds its own. Chunk borders depend on the work alone, never on the number of threads, so that a
 * result has the same bits for any thread count. */
#ifndef HX_THREADS_H
#define HX_THREADS_H

#include <stdatomic.h>
#include <stdint.h>
#include "error.h"

/* Runs body(ctx, i) for i in [0, chunks). Returns when all are done. Runs on the caller alone when chunks is 1,
 * when the pool has one thread, or when called from inside a body. Bodies must not fail or throw.
 * False when the work was given up: chunks were left out, and nothing may rest on what they would have written. */
typedef void (*hx_body)(void *ctx, int64_t chunk);
bool hx_parallel(int64_t chunks, hx_body body, void *ctx);

/* The usual form: body over [begin, end) ranges of `grain` items each. */
typedef void (*hx_range_body)(void *ctx, int64_t begin, int64_t end);
bool hx_parallel_range(int64_t n, int64_t grain, hx_range_body body, void *ctx);

/* Is the work of this thread given up? The pool asks between chunks; a body that takes more than some 20 ms asks
 * between its parts and returns. It costs a look at the clock. */
bool hx_stopped(void);

int hx_threads_get(void);
void hx_threads_set(int n); /* 1..64; takes effect at the next job */
uint32_t hx_threads_jobs(void); /* for tests: jobs given to several threads since the start, modulo 2^24 */

/* Called by dispatch around kernels whose work is above HX_BLOCKING_BYTES, so that the host language can let
 * other threads run (the door releases the GIL here). May be NULL. */
typedef struct hx_blocking {
    void *(*enter)(void);
    void (*leave)(void *token);
    /* Asked by the thread that entered, every HX_LOOK_NANOSECONDS, with what `enter` gave; NULL outside of the two. True:
     * what runs is to be given up (a signal's handler raised), and the hooks hold the reason. */
    bool (*stop)(void *token);
} hx_blocking;
void hx_set_blocking(const hx_blocking *hooks);
const hx_blocking *hx_get_blocking(void);
#define HX_BLOCKING_BYTES 100000
#define HX_LOOK_NANOSECONDS 50000000

/* A kernel between `enter` and `leave`, which can be given up unless this thread finishes what it begins. */
typedef struct hx_watch {
    atomic_bool stopped;
    void *token;
    struct hx_watch *outer; /* of the kernel in which a signal's handler called ops */
} hx_watch;
void hx_watch_begin(hx_watch *w, void *token);
bool hx_watch_end(hx_watch *w); /* was it given up? */

/* Between kernels: HX_E_CALLBACK when what this thread does is to be given up. */
hx_status hx_look(void);
/* The error of work that was given up. */
hx_status hx_given_up(void);

/* From begin to end this thread gives nothing up: what writes over existing values is done wholly or not at all. */
void hx_whole_begin(void);
void hx_whole_end(void);

#endif
