/* Work space of kernels: blocks lie apart, room is used again, what finds none comes from the pool, helpers' bodies share it. */
#include "workspace.h"
#include "check.h"
#include "dispatch.h"
#include "storage.h"
#include "threads.h"

enum { BYTES = 1 << 16, LIVE = 24, ROUNDS = 20000 };

static char *room;

static bool within(const char *block) { return block >= room && block < room + BYTES; }

static void blocks_lie_apart(hx_workspace *w) {
    struct { unsigned char *at; size_t n; } live[LIVE] = {{0}};
    uint64_t random = 7;
    int from_room = 0;
    hx_workspace_open(w, room, BYTES);
    for (int i = 0; i < ROUNDS; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        int k = (int)((random >> 33) % LIVE);
        if (live[k].at) {
            for (size_t j = 0; j < live[k].n; j++) CHECK_INT(live[k].at[j], k);
            hx_pool_free(live[k].at, live[k].n);
            live[k].at = NULL;
        } else {
            live[k].n = 1 + (random >> 40) % 6000;
            CHECK(live[k].at = hx_pool_alloc(live[k].n));
            CHECK_INT((uintptr_t)live[k].at % 64, 0);
            memset(live[k].at, k, live[k].n);
            from_room += within((char *)live[k].at);
        }
    }
    for (int k = 0; k < LIVE; k++) hx_pool_free(live[k].at, live[k].n);
    CHECK(from_room > ROUNDS / 3);
    CHECK(w->n == 0 && w->owner == 0 && hx_workspace_close(w) > 6000);
}

static void what_is_needed_is_enough(hx_workspace *w) {
    hx_workspace_open(w, room, 0);
    void *a = hx_pool_alloc(1000), *b = hx_pool_alloc(5000);
    CHECK(a && b && !within(a) && !within(b));
    hx_pool_free(b, 5000);
    hx_pool_free(a, 1000);
    size_t needed = hx_workspace_close(w);
    hx_workspace_open(w, room, needed);
    char *first = hx_pool_alloc(1000), *second = hx_pool_alloc(5000), *kept = hx_pool_keep(100);
    CHECK(within(first) && within(second) && !within(kept));
    hx_pool_free(second, 5000);
    hx_pool_free(first, 1000);
    hx_pool_free(kept, 100);
    CHECK_INT(hx_workspace_close(w), needed);
}

static void body(void *ctx, int64_t chunk) {
    char *block = hx_pool_alloc(3000);
    atomic_int *outside = ctx;
    CHECK(block);
    if (!within(block)) atomic_fetch_add(outside, 1);
    memset(block, (int)chunk, 3000);
    for (int i = 0; i < 3000; i++) CHECK_INT((unsigned char)block[i], chunk & 255);
    hx_pool_free(block, 3000);
}

static void helpers_find_room(hx_workspace *w) {
    atomic_int outside;
    size_t needed = 0;
    for (int run = 0; run < 3; run++) {
        atomic_init(&outside, 0);
        hx_workspace_open(w, room, needed);
        CHECK(hx_parallel(200, body, &outside));
        needed = hx_workspace_close(w);
        CHECK(needed >= 3000 * 3);
        CHECK_INT(outside, run ? 0 : 200);
    }
}

int main(void) {
    CHECK_INT(hx_init(), HX_OK);
    hx_threads_set(3);
    hx_workspace w = {.lock = ATOMIC_FLAG_INIT};
    CHECK(room = hx_pool_keep(BYTES));
    CHECK(hx_workspace_set(&w) == NULL);
    blocks_lie_apart(&w);
    what_is_needed_is_enough(&w);
    helpers_find_room(&w);
    CHECK(hx_workspace_set(NULL) == &w);
    hx_pool_free(room, BYTES);
    return 0;
}
