/* Blocks are few and their lives short: the first gap that is large enough is taken. */
#include "workspace.h"

#include <string.h>
#include "shape.h"
#include "threads.h"

#ifdef __SANITIZE_ADDRESS__ /* what no block holds is not to be touched */
#include <sanitizer/asan_interface.h>
enum { APART = 64 };
static void forbid(char *at, size_t n) { __asan_poison_memory_region(at, n); }
static void allow(char *at, size_t n) { __asan_unpoison_memory_region(at, n); }
#else
enum { APART = 0 };
static void forbid(char *at, size_t n) { (void)at, (void)n; }
static void allow(char *at, size_t n) { (void)at, (void)n; }
#endif

enum { ALIGNMENT = 64 };

static _Thread_local hx_workspace *mine;
static _Thread_local size_t helping; /* bytes that this thread's body of a parallel loop holds */

hx_workspace *hx_workspace_set(hx_workspace *w) {
    hx_workspace *before = mine;
    mine = w;
    helping = 0;
    return before;
}

hx_workspace *hx_workspace_get(void) { return mine; }

void hx_workspace_open(hx_workspace *w, char *base, size_t bytes) {
    w->base = base;
    w->bytes = bytes;
    w->n = 0;
    w->owner = w->helper = w->needed = helping = 0;
    forbid(base, bytes);
}

size_t hx_workspace_close(hx_workspace *w) {
    allow(w->base, w->bytes);
    return w->needed;
}

static void lock(hx_workspace *w) {
    while (atomic_flag_test_and_set_explicit(&w->lock, memory_order_acquire)) {}
}

static void unlock(hx_workspace *w) { atomic_flag_clear_explicit(&w->lock, memory_order_release); }

static size_t rounded(size_t nbytes) { return (nbytes + APART + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

static void count(hx_workspace *w, size_t size) {
    if (hx_inside_body()) {
        helping += size;
        if (helping > w->helper) w->helper = helping;
    } else {
        w->owner += size;
    }
    size_t needed = w->owner + w->helper * (size_t)hx_threads_get();
    if (needed > w->needed) w->needed = needed;
}

static void *take(hx_workspace *w, size_t size) {
    size_t from = 0;
    int i = 0;
    if (w->n == HX_WORK_BLOCKS) return NULL;
    for (; i < w->n && w->block[i].begin - from < size; i++) from = w->block[i].end;
    if (w->bytes - from < size) return NULL;
    memmove(w->block + i + 1, w->block + i, (size_t)(w->n - i) * sizeof *w->block);
    w->block[i] = (hx_work_block){from, from + size};
    w->n++;
    return w->base + from;
}

void *hx_workspace_take(size_t nbytes) {
    hx_workspace *w = mine;
    if (!w || nbytes > SIZE_MAX / 128) return NULL;
    size_t size = rounded(nbytes);
    lock(w);
    count(w, size);
    void *block = take(w, size);
    unlock(w);
    if (block) allow(block, nbytes);
    return block;
}

static void drop(hx_workspace *w, const void *block) {
    size_t begin = (size_t)((const char *)block - w->base);
    int i = 0;
    while (i < w->n && w->block[i].begin != begin) i++;
    if (i == w->n) return;
    w->n--;
    memmove(w->block + i, w->block + i + 1, (size_t)(w->n - i) * sizeof *w->block);
}

bool hx_workspace_give(void *block, size_t nbytes) {
    hx_workspace *w = mine;
    if (!w) return false;
    bool own = w->bytes && (uintptr_t)block - (uintptr_t)w->base < w->bytes;
    size_t size = rounded(nbytes);
    lock(w);
    if (!hx_inside_body()) w->owner -= size < w->owner ? size : w->owner;
    else helping -= size < helping ? size : helping;
    if (own) {
        forbid(block, nbytes);
        drop(w, block);
    }
    unlock(w);
    return own;
}
