/* Counted memory. Small blocks come from lists of the calling thread, in steps of 64 bytes; everything else comes
 * from the pool. A block may be freed by another thread than the one that took it: it joins the list of that
 * thread, and what a list has no room for goes back to malloc. */
#include "storage.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pool.h"
#include "workspace.h"

#define STEP 64
#define HEADER ((sizeof(hx_storage) + STEP - 1) / STEP * STEP)
#define INLINE_BYTES 4096 /* data up to here stands behind its storage header */
#define LISTS ((HEADER + INLINE_BYTES) / STEP + 1)
#define REPORT_BYTES 65536 /* what a thread may take or free before the peak is looked at */

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* ---- what a thread holds --------------------------------------------------------------------------------- */

/* Counters are written by their thread alone and read by any; a thread that frees more than it takes goes below
 * zero, and the sum over all threads is exact. */
typedef struct counters {
    int64_t bytes, blocks, allocations, tensors, nodes;
} counters;

typedef struct local {
    counters count;
    int64_t reported; /* count.bytes when it last went into total_small, by whoever put it there */
    void **list[LISTS];
    uint32_t room[LISTS]; /* blocks that list may still take; written like the counters */
    void *desk[HX_DESKS];
    size_t desk_bytes[HX_DESKS];
    struct local *next, *previous;
} local;

static _Thread_local local *mine;

static struct {
    pthread_mutex_t lock;
    pthread_key_t key;
    local *threads;
    counters ended; /* of threads that are gone */
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Atomic int64_t total_small, total_large, peak, fresh_blocks;
static _Atomic int64_t limit, countdown;
static atomic_bool guarded, persistent; /* guarded: a limit or a planned failure is set */

static inline void add(int64_t *counter, int64_t delta) {
    __atomic_store_n(counter, *counter + delta, __ATOMIC_RELAXED);
}
static inline int64_t look(const int64_t *counter) { return __atomic_load_n(counter, __ATOMIC_RELAXED); }

static void add_counters(counters *sum, const counters *c) {
    sum->bytes += look(&c->bytes);
    sum->blocks += look(&c->blocks);
    sum->allocations += look(&c->allocations);
    sum->tensors += look(&c->tensors);
    sum->nodes += look(&c->nodes);
}

static uint32_t list_capacity(size_t list) {
    size_t block = list ? list * STEP : STEP, bytes = block <= 512 ? 1u << 20 : 1u << 18;
    return (uint32_t)(bytes / block);
}

static void raise_peak(void) {
    int64_t now = atomic_load(&total_small) + atomic_load(&total_large), seen = atomic_load(&peak);
    while (now > seen && !atomic_compare_exchange_weak(&peak, &seen, now)) {}
}

/* Of the calling thread, or of any under the lock: the total is the sum of what threads have reported, in any order. */
static void report(local *t) {
    int64_t now = look(&t->count.bytes);
    atomic_fetch_add(&total_small, now - __atomic_exchange_n(&t->reported, now, __ATOMIC_RELAXED));
    raise_peak();
}

static inline int64_t unreported(const local *t) { return t->count.bytes - look(&t->reported); }

static void report_all(void) {
    pthread_mutex_lock(&all.lock);
    for (local *t = all.threads; t; t = t->next) report(t);
    pthread_mutex_unlock(&all.lock);
}

static void empty_lists(local *t) {
    for (size_t i = 0; i < LISTS; i++) {
        for (void **block = t->list[i], **next; block; block = next) {
            next = *block;
            free(block);
        }
        t->list[i] = NULL;
        __atomic_store_n(&t->room[i], list_capacity(i), __ATOMIC_RELAXED);
    }
}

static void clear_desks(local *t) {
    for (int i = 0; i < HX_DESKS; i++) {
        free(t->desk[i]);
        t->desk[i] = NULL;
        t->desk_bytes[i] = 0;
    }
}

static void thread_ends(void *argument) {
    local *t = argument;
    report(t);
    empty_lists(t);
    clear_desks(t);
    pthread_mutex_lock(&all.lock);
    add_counters(&all.ended, &t->count);
    *(t->previous ? &t->previous->next : &all.threads) = t->next;
    if (t->next) t->next->previous = t->previous;
    pthread_mutex_unlock(&all.lock);
    mine = NULL;
    free(t);
}

static void before_fork(void) {
    pthread_mutex_lock(&all.lock);
    hx_pool_before_fork();
}

static void after_fork(void) {
    hx_pool_after_fork();
    pthread_mutex_unlock(&all.lock);
}

static void start(void) {
    pthread_key_create(&all.key, thread_ends);
    pthread_atfork(before_fork, after_fork, after_fork);
}

static __attribute__((noinline)) local *thread_begins(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start);
    local *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    for (size_t i = 0; i < LISTS; i++) t->room[i] = list_capacity(i);
    pthread_setspecific(all.key, t);
    pthread_mutex_lock(&all.lock);
    t->next = all.threads;
    if (t->next) t->next->previous = t;
    all.threads = t;
    pthread_mutex_unlock(&all.lock);
    return mine = t;
}

static inline local *this_thread(void) { return LIKELY(mine != NULL) ? mine : thread_begins(); }

/* ---- blocks of a list ------------------------------------------------------------------------------------ */

#ifdef __SANITIZE_ADDRESS__ /* every block on its own, so that the sanitizer sees its borders and its end */

static void *take(local *t, size_t nbytes) {
    void *block;
    (void)t;
    return posix_memalign(&block, STEP, nbytes ? nbytes : 1) == 0 ? block : NULL;
}
static void give(local *t, void *block, size_t nbytes) { (void)t, (void)nbytes, free(block); }

#else

static __attribute__((noinline)) void *take_fresh(size_t nbytes) {
    size_t steps = nbytes / STEP + (nbytes % STEP != 0);
    atomic_fetch_add_explicit(&fresh_blocks, 1, memory_order_relaxed);
    return steps > SIZE_MAX / STEP ? NULL : aligned_alloc(STEP, steps ? steps * STEP : STEP);
}

/* The thread alone changes its counts; another may look while it does. */
static inline void change_room(local *t, size_t list, int by) {
    __atomic_store_n(&t->room[list], t->room[list] + (uint32_t)by, __ATOMIC_RELAXED);
}

static inline void *take(local *t, size_t nbytes) {
    size_t list = (nbytes + STEP - 1) / STEP;
    if (UNLIKELY(nbytes > (LISTS - 1) * STEP || !t->list[list])) return take_fresh(nbytes);
    void **block = t->list[list];
    t->list[list] = *block;
    change_room(t, list, 1);
    return block;
}

static inline void give(local *t, void *block, size_t nbytes) {
    size_t list = (nbytes + STEP - 1) / STEP;
    if (UNLIKELY(!t || nbytes > (LISTS - 1) * STEP || t->room[list] == 0)) {
        free(block);
        return;
    }
    *(void **)block = t->list[list];
    t->list[list] = block;
    change_room(t, list, -1);
}

#endif

/* ---- counting and refusing ------------------------------------------------------------------------------- */

static void *refuse(const char *why) {
    hx_fail(HX_E_MEMORY, HX1402_MEMORY, "%s", why);
    return NULL;
}

static const char *in_units(int64_t nbytes, char *text, size_t room) {
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)nbytes / 1024;
    int unit = 0;
    while (value >= 1024 && unit < 5) value /= 1024, unit++;
    if (nbytes < 1024) snprintf(text, room, "%lld bytes", (long long)nbytes);
    else snprintf(text, room, "%.1f %s", value, units[unit]);
    return text;
}

static int64_t in_use(const local *t) {
    return atomic_load(&total_small) + atomic_load(&total_large) + unreported(t);
}

static bool refuse_bytes(const local *t, size_t nbytes, const char *bound, int64_t bound_bytes, const char *how) {
    char asked[32], most[32], used[32];
    in_units(nbytes > INT64_MAX ? INT64_MAX : (int64_t)nbytes, asked, sizeof asked);
    in_units(bound_bytes, most, sizeof most);
    in_units(in_use(t), used, sizeof used);
    hx_fail_about(FACTS(.expected = most, .got = asked), HX_E_MEMORY, HX1402_MEMORY, "%s needed; %s %s%s, %s in use",
                  asked, bound, most, how, used);
    return false;
}

static bool planned_failure(void) {
    if (atomic_load(&countdown) == 0) return false;
    int64_t left = atomic_fetch_sub(&countdown, 1);
    if (left > 1) return false;
    if (left == 1 && !atomic_load(&persistent)) return true;
    atomic_store(&countdown, atomic_load(&persistent) ? 1 : 0);
    return left == 1 || atomic_load(&persistent);
}

static __attribute__((noinline)) bool permitted(const local *t, size_t nbytes) {
    if (planned_failure()) return refuse("refused by the fault injection of the tests"), false;
    int64_t most = atomic_load(&limit), used = in_use(t);
    if (most == 0 || (used <= most && nbytes <= (uint64_t)(most - used))) return true;
    return refuse_bytes(t, nbytes, "limit is", most, " (helix.set_memory_limit)");
}

static bool machine_has(const local *t, size_t nbytes) {
    int64_t most = hx_machine_memory(), used = in_use(t);
    if (used <= most && nbytes <= (uint64_t)(most - used)) return true;
    return refuse_bytes(t, nbytes, "the machine has", most, "");
}

static inline bool may_take(const local *t, size_t nbytes) {
    if (UNLIKELY(!t)) return refuse("the system has no memory for a thread's lists"), false;
    return LIKELY(!atomic_load_explicit(&guarded, memory_order_relaxed)) || permitted(t, nbytes);
}

static inline void count_small(local *t, int64_t bytes, int64_t blocks) {
    add(&t->count.bytes, bytes);
    add(&t->count.blocks, blocks);
    if (UNLIKELY((uint64_t)(unreported(t) + REPORT_BYTES) > 2 * REPORT_BYTES)) report(t);
}

static inline void count_small_taken(local *t, size_t nbytes) {
    add(&t->count.allocations, 1);
    count_small(t, (int64_t)nbytes, 1);
}

static void count_large_taken(local *t, size_t nbytes) {
    add(&t->count.allocations, 1);
    add(&t->count.blocks, 1);
    atomic_fetch_add(&total_large, (int64_t)nbytes);
    report(t);
}

static void count_large_given(local *t, size_t nbytes) {
    if (t) add(&t->count.blocks, -1);
    atomic_fetch_sub(&total_large, (int64_t)nbytes);
}

/* ---- blocks ---------------------------------------------------------------------------------------------- */

static inline void *alloc(local *t, size_t nbytes) {
    if (!may_take(t, nbytes)) return NULL;
    void *block = take(t, nbytes);
    if (UNLIKELY(!block)) return refuse_bytes(t, nbytes, "the system gave none; the machine has", hx_machine_memory(), ""), NULL;
    count_small_taken(t, nbytes);
    return block;
}

void *hx_alloc(size_t nbytes) { return alloc(this_thread(), nbytes); }

void *hx_alloc_tensor(size_t nbytes) {
    local *t = this_thread();
    void *block = alloc(t, nbytes);
    if (LIKELY(block != NULL)) add(&t->count.tensors, 1);
    return block;
}

void hx_free_tensor(void *block, size_t nbytes) {
    local *t = this_thread();
    if (LIKELY(t != NULL)) {
        add(&t->count.tensors, -1);
        count_small(t, -(int64_t)nbytes, -1);
    }
    give(t, block, nbytes);
}

void *hx_alloc_zeroed(size_t nbytes) {
    void *block = hx_alloc(nbytes);
    return block ? memset(block, 0, nbytes) : NULL;
}

void hx_free(void *block, size_t nbytes) {
    if (!block) return;
    local *t = this_thread();
    if (LIKELY(t != NULL)) count_small(t, -(int64_t)nbytes, -1);
    give(t, block, nbytes);
}

void *hx_desk(hx_desk_use use, size_t nbytes) {
    local *t = this_thread();
    if (LIKELY(t && nbytes <= t->desk_bytes[use])) return t->desk[use];
    if (!may_take(t, nbytes)) return NULL;
    add(&t->count.allocations, 1);
    atomic_fetch_add_explicit(&fresh_blocks, 1, memory_order_relaxed);
    void *larger = realloc(t->desk[use], nbytes);
    if (!larger) return refuse_bytes(t, nbytes, "the system gave none; the machine has", hx_machine_memory(), ""), NULL;
    t->desk_bytes[use] = nbytes;
    return t->desk[use] = larger;
}

static void *take_large(local *t, size_t nbytes) {
    if (!machine_has(t, nbytes)) return NULL;
    void *block = hx_pool_take(nbytes);
    if (!block) refuse_bytes(t, nbytes, "the system gave none; the machine has", hx_machine_memory(), "");
    return block;
}

void *hx_pool_alloc(size_t nbytes) {
    void *block = hx_workspace_take(nbytes);
    return block ? block : hx_pool_keep(nbytes);
}

void *hx_pool_keep(size_t nbytes) {
    local *t = this_thread();
    void *block = may_take(t, nbytes) ? take_large(t, nbytes) : NULL;
    if (block) count_large_taken(t, nbytes);
    return block;
}

void hx_pool_free(void *block, size_t nbytes) {
    if (!block || hx_workspace_give(block, nbytes)) return;
    count_large_given(this_thread(), nbytes);
    hx_pool_give(block, nbytes);
}

/* ---- storage --------------------------------------------------------------------------------------------- */

static inline hx_storage *fill(hx_storage *s, hx_device *device, void *data, int64_t nbytes) {
    atomic_init(&s->refs, 1);
    atomic_init(&s->version, 0);
    s->device = device;
    s->mem = (hx_mem){.handle = (uintptr_t)data, .host_ptr = data, .nbytes = (uint64_t)nbytes, .kind = HX_MEM_DEVICE};
    s->release = NULL;
    s->owner = NULL;
    s->read_only = false;
    atomic_init(&s->lent, 0);
    atomic_init(&s->loans, 0);
    atomic_init(&s->streams, 0);
    return s;
}

static inline bool is_inline(const hx_storage *s) { return s->mem.host_ptr == (const char *)s + HEADER; }

static hx_status from_pool(local *t, hx_storage *s, int64_t nbytes) {
    s->mem.host_ptr = take_large(t, (size_t)nbytes);
    s->mem.handle = (uintptr_t)s->mem.host_ptr;
    return s->mem.host_ptr ? HX_OK : HX_E_MEMORY;
}

static hx_status from_device(hx_storage *s, int64_t nbytes) {
    HX_TRY(hx_device_take(s->device, (uint64_t)nbytes, &s->mem));
    s->block_bytes = s->mem.nbytes;
    s->mem.nbytes = (uint64_t)nbytes;
    return HX_OK;
}

static void to_device(hx_storage *s) {
    s->mem.nbytes = s->block_bytes;
    hx_device_give(s->device, &s->mem, atomic_load(&s->streams));
}

static __attribute__((noinline)) hx_status new_apart(local *t, hx_device *device, int64_t nbytes, hx_storage **out) {
    hx_storage *s = take(t, sizeof *s);
    if (!s) return refuse("the system has no memory for a storage header"), HX_E_MEMORY;
    fill(s, device, NULL, nbytes);
    hx_status status = device->id == 0 ? from_pool(t, s, nbytes) : from_device(s, nbytes);
    if (status != HX_OK) {
        give(t, s, sizeof *s);
        return status;
    }
    count_large_taken(t, device->id ? 0 : (size_t)nbytes);
    *out = s;
    return HX_OK;
}

hx_status hx_storage_new(hx_device *device, int64_t nbytes, hx_storage **out) {
    if (UNLIKELY(nbytes < 0))
        return hx_fail(HX_E_VALUE, HX1403_VALUE, "a storage of %lld bytes was asked for", (long long)nbytes);
    local *t = this_thread();
    if (!may_take(t, (size_t)nbytes)) return HX_E_MEMORY;
    if (UNLIKELY(device->id != 0 || nbytes > INLINE_BYTES)) return new_apart(t, device, nbytes, out);
    hx_storage *s = take(t, HEADER + (size_t)nbytes);
    if (UNLIKELY(!s)) return refuse("the system has no memory for a small storage"), HX_E_MEMORY;
    *out = fill(s, device, (char *)s + HEADER, nbytes);
    count_small_taken(t, (size_t)nbytes);
    return HX_OK;
}

static void release_nothing(void *owner) { (void)owner; }

hx_status hx_storage_wrap(hx_device *device, void *data, int64_t nbytes, bool read_only, void (*release)(void *),
                          void *owner, hx_storage **out) {
    if (nbytes < 0) return hx_fail(HX_E_VALUE, HX1403_VALUE, "foreign memory of %lld bytes", (long long)nbytes);
    hx_storage *s = hx_alloc(sizeof *s);
    if (!s) return HX_E_MEMORY;
    *out = fill(s, device, data, nbytes);
    s->release = release ? release : release_nothing;
    s->owner = owner;
    s->read_only = read_only;
    if (!read_only) hx_storage_lend(s);
    return HX_OK;
}

static __attribute__((noinline)) void destroy_apart(local *t, hx_storage *s) {
    size_t nbytes = (size_t)s->mem.nbytes;
    void (*release)(void *) = s->release;
    void *owner = s->owner;
    if (release) {
        hx_free(s, sizeof *s);
        release(owner);
        return;
    }
    if (s->device->id == 0) hx_pool_give(s->mem.host_ptr, nbytes);
    else to_device(s);
    count_large_given(t, s->device->id ? 0 : nbytes);
    give(t, s, sizeof *s);
}

void hx_storage_release(hx_storage *s) {
    bool alone = atomic_load_explicit(&s->refs, memory_order_acquire) == 1;
    if (!alone && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) return;
    local *t = this_thread();
    if (UNLIKELY(!is_inline(s))) {
        destroy_apart(t, s);
        return;
    }
    size_t nbytes = (size_t)s->mem.nbytes;
    if (LIKELY(t != NULL)) count_small(t, -(int64_t)nbytes, -1);
    give(t, s, HEADER + nbytes);
}

/* ---- statistics, limit, fault injection ------------------------------------------------------------------ */

static int64_t listed_bytes(const local *t) {
    int64_t bytes = 0;
    for (size_t i = 0; i < LISTS; i++)
        bytes += (int64_t)(list_capacity(i) - __atomic_load_n(&t->room[i], __ATOMIC_RELAXED)) * (int64_t)(i ? i * STEP : STEP);
    return bytes;
}

static counters sum_counters(int64_t *cached) {
    pthread_mutex_lock(&all.lock);
    counters sum = all.ended;
    for (local *t = all.threads; t; t = t->next) {
        add_counters(&sum, &t->count);
        *cached += listed_bytes(t);
    }
    pthread_mutex_unlock(&all.lock);
    return sum;
}

void hx_memory_get(hx_memory_stats *stats) {
    report_all();
    int64_t cached = hx_pool_cached_bytes();
    counters sum = sum_counters(&cached);
    *stats = (hx_memory_stats){.live_bytes = sum.bytes + atomic_load(&total_large),
                               .peak_bytes = atomic_load(&peak),
                               .cached_bytes = cached,
                               .limit_bytes = atomic_load(&limit),
                               .live_tensors = sum.tensors,
                               .live_nodes = sum.nodes,
                               .live_blocks = sum.blocks,
                               .allocations = sum.allocations,
                               .from_system = atomic_load(&fresh_blocks) + hx_pool_mapped_blocks()};
    if (stats->peak_bytes < stats->live_bytes) stats->peak_bytes = stats->live_bytes;
}

void hx_memory_reset_peak(void) {
    report_all();
    atomic_store(&peak, atomic_load(&total_small) + atomic_load(&total_large));
}

static void set_guard(void) { atomic_store(&guarded, atomic_load(&limit) != 0 || atomic_load(&countdown) != 0); }

void hx_memory_set_limit(int64_t nbytes) {
    atomic_store(&limit, nbytes > 0 ? nbytes : 0);
    set_guard();
}

void hx_memory_empty_cache(void) {
    if (mine) {
        empty_lists(mine);
        clear_desks(mine);
    }
    hx_pool_trim();
}

void hx_memory_fail_at(int64_t n, bool stays) {
    atomic_store(&persistent, stays);
    atomic_store(&countdown, n > 0 ? n : 0);
    set_guard();
}

int64_t hx_memory_allocation_count(void) {
    int64_t cached = 0;
    return sum_counters(&cached).allocations;
}

void hx_count_node(int delta) {
    local *t = this_thread();
    if (t) add(&t->count.nodes, delta);
}
