/* The default generator. Its seed comes from HELIX_SEED, else from the system, as torch's does. */
#include "rng.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static hx_generator generator;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint64_t random_seed(void) {
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed) return seed >> 1; /* fits an int64 */
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void start(void) {
    const char *text = getenv("HELIX_SEED");
    char *end;
    errno = 0;
    uint64_t seed = text ? strtoull(text, &end, 0) : 0;
    bool usable = text && end != text && *end == '\0' && errno == 0;
    hx_generator_seed(&generator, usable ? seed : random_seed());
}

static _Thread_local hx_generator *chosen;

hx_generator *hx_default_generator(void) {
    if (chosen) return chosen;
    pthread_once(&once, start);
    return &generator;
}

hx_generator *hx_generator_choose(hx_generator *g) {
    hx_generator *before = chosen;
    chosen = g;
    return before;
}

uint64_t hx_derived_seed(uint64_t seed, uint64_t stream, uint64_t index) {
    uint32_t word[4];
    hx_philox(seed, stream, index, word);
    return (uint64_t)word[1] << 32 | word[0];
}

void hx_generator_seed(hx_generator *g, uint64_t seed) {
    __atomic_store_n(&g->seed, seed, __ATOMIC_RELAXED);
    atomic_store(&g->next_stream, 0);
}

uint64_t hx_generator_draw(hx_generator *g) { return atomic_fetch_add(&g->next_stream, 1); }
