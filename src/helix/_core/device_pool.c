/* The pool over a backend's mem_alloc: blocks that tensors give back are kept by size and handed out again.
 *
 * A block may be reused at once by work on the one stream that used it, because that stream is in order; used by
 * other streams, it waits until events on those have passed. */
#include "device.h"
#include <stdlib.h>
#include <string.h>
#include "storage.h"

enum { SMALLEST = 512, CLASSES = 52 };
#define LARGE (2u << 20)
#define SLACK 4 /* a large block may serve a request down to 4/5 of its size */

typedef struct block {
    hx_mem mem;
    uint64_t streams; /* numbers, as bits, of streams whose use is not known to have ended */
    uint64_t given;   /* the pool's clock when the block came back */
    struct block *next;
} block;

/* The one event that is under way on a stream: it ends the use of blocks that came back before `clock`. */
typedef struct mark {
    hx_event *event;
    uint64_t clock; /* 0: none under way */
} mark;

struct hx_device_pool {
    pthread_mutex_t lock; /* never held while a slot is called */
    block *kept[CLASSES + 1]; /* by class; the last list holds the large ones */
    uint64_t clock;
    mark marks[HX_MAX_STREAMS]; /* under the device's lock */
    hx_device_memory memory;
};

static void (*collect_garbage)(void);
void hx_set_collect(void (*collect)(void)) { collect_garbage = collect; }

/* Classes are quarters of powers of two: 512, 640, 768, 896, 1024, 1280 ... and 2 MiB steps above 2 MiB. */
static uint64_t rounded(uint64_t nbytes, int *class) {
    if (nbytes > LARGE) {
        *class = CLASSES;
        return (nbytes + LARGE - 1) / LARGE * LARGE;
    }
    uint64_t size = SMALLEST;
    *class = 0;
    if (nbytes <= size) return size;
    int power = 63 - __builtin_clzll(nbytes - 1);
    uint64_t base = 1ull << power, quarter = base / 4, quarters = (nbytes - base + quarter - 1) / quarter;
    *class = (power - 9) * 4 + (int)quarters;
    return base + quarters * quarter;
}

hx_status hx_device_pool_new(hx_device *d) {
    d->pool = calloc(1, sizeof *d->pool);
    if (!d->pool) return hx_fail(HX_E_MEMORY, HX1402_MEMORY, "no memory for the pool of %s", d->name);
    pthread_mutex_init(&d->pool->lock, NULL);
    return HX_OK;
}

static block *unlink_at(block **at) {
    block *b = *at;
    *at = b->next;
    return b;
}

/* A kept block of the class that fits and that `stream` may use now. */
static block *find(struct hx_device_pool *p, int class, uint64_t size, uint64_t stream) {
    block **best = NULL;
    for (block **at = &p->kept[class]; *at; at = &(*at)->next) {
        uint64_t has = (*at)->mem.nbytes;
        if ((*at)->streams & ~stream || has < size || (class == CLASSES && has - size > size / SLACK)) continue;
        if (!best || has < (*best)->mem.nbytes) best = at;
        if (has == size) break;
    }
    return best ? unlink_at(best) : NULL;
}

/* Streams, as bits, that stand between kept blocks of this size and `stream`. */
static uint64_t in_the_way(const struct hx_device_pool *p, int class, uint64_t size, uint64_t stream) {
    uint64_t streams = 0;
    for (const block *b = p->kept[class]; b; b = b->next)
        if (b->mem.nbytes >= size && (class < CLASSES || b->mem.nbytes - size <= size / SLACK)) streams |= b->streams;
    return streams & ~stream;
}

/* The streams have passed what was issued on them before `clock`. */
void hx_device_pool_passed(hx_device *d, uint64_t streams, uint64_t clock) {
    struct hx_device_pool *p = d->pool;
    pthread_mutex_lock(&p->lock);
    for (int i = 0; i <= CLASSES; i++)
        for (block *b = p->kept[i]; b; b = b->next)
            if (b->given < clock) b->streams &= ~streams;
    pthread_mutex_unlock(&p->lock);
}

uint64_t hx_device_pool_clock(hx_device *d) {
    pthread_mutex_lock(&d->pool->lock);
    uint64_t clock = ++d->pool->clock;
    pthread_mutex_unlock(&d->pool->lock);
    return clock;
}

/* Looks whether the mark on a stream has been passed, and sets one where there is none. */
static hx_status follow(hx_device *d, int number) {
    mark *m = &d->pool->marks[number];
    hx_stream *s = d->streams[number];
    bool done = false;
    if (!s) return HX_OK;
    if (!m->event) HX_TRY(hx_event_new(d, &m->event));
    if (!m->clock) {
        m->clock = hx_device_pool_clock(d);
        HX_TRY(hx_event_record(m->event, s));
    }
    HX_TRY(hx_event_done(m->event, &done));
    if (!done) return HX_OK;
    hx_device_pool_passed(d, 1ull << number, m->clock);
    m->clock = 0;
    return HX_OK;
}

/* ---- taking ---- */

static block *look(hx_device *d, int class, uint64_t size, uint64_t stream, uint64_t *others) {
    struct hx_device_pool *p = d->pool;
    pthread_mutex_lock(&p->lock);
    block *b = find(p, class, size, stream);
    if (b) p->memory.cached_bytes -= (int64_t)b->mem.nbytes;
    *others = b ? 0 : in_the_way(p, class, size, stream);
    pthread_mutex_unlock(&p->lock);
    return b;
}

static block *from_pool(hx_device *d, int class, uint64_t size, uint64_t stream) {
    uint64_t others;
    block *b = look(d, class, size, stream, &others);
    if (b || !others) return b;
    hx_device_enter(d);
    for (uint64_t rest = others; rest; rest &= rest - 1)
        if (follow(d, __builtin_ctzll(rest))) {
            hx_error_clear(); /* the next call on the device reports it */
            break;
        }
    hx_device_leave(d);
    return look(d, class, size, stream, &others);
}

static hx_code ask(hx_device *d, uint64_t size, hx_mem *mem, hx_err *err) {
    *err = (hx_err){.struct_size = sizeof *err};
    *mem = (hx_mem){0};
    hx_device_enter(d);
    hx_code code = d->backend->mem_alloc(d->handle, size, HX_MEM_DEVICE, mem, err);
    hx_device_leave(d);
    if (code) return code;
    mem->nbytes = size;
    pthread_mutex_lock(&d->pool->lock);
    d->pool->memory.allocations++;
    pthread_mutex_unlock(&d->pool->lock);
    return HX_OK;
}

/* New memory; when there is none, what the pool keeps goes back first, then what the host language no longer needs. */
static hx_status from_device(hx_device *d, uint64_t size, hx_mem *mem) {
    hx_err err;
    HX_TRY(hx_device_usable(d));
    hx_code code = ask(d, size, mem, &err);
    if (code == HX_E_MEMORY) {
        hx_device_trim(d);
        code = ask(d, size, mem, &err);
    }
    if (code == HX_E_MEMORY && collect_garbage) {
        collect_garbage();
        hx_device_trim(d);
        code = ask(d, size, mem, &err);
    }
    if (!code) return HX_OK;
    if (code != HX_E_MEMORY) return hx_device_failed(d, code, &err, "taking memory");
    return hx_fail(HX_E_MEMORY, HX1402_MEMORY, "%llu bytes needed on %s; %lld in use%s%s. Use smaller batches, or let "
                   "go of tensors.",
                   (unsigned long long)size, d->name, (long long)d->pool->memory.live_bytes, err.msg[0] ? ": " : "",
                   err.msg);
}

hx_status hx_device_take(hx_device *d, uint64_t nbytes, hx_mem *mem) {
    struct hx_device_pool *p = d->pool;
    int class;
    uint64_t size = rounded(nbytes ? nbytes : 1, &class);
    bool keeps = !(d->info.caps & HX_CAP_STREAM_ORDERED_ALLOC);
    block *b = keeps ? from_pool(d, class, size, 1ull << hx_stream_current(d)->number) : NULL;
    if (b) {
        *mem = b->mem;
        free(b);
    } else {
        HX_TRY(from_device(d, keeps ? size : nbytes ? nbytes : 1, mem));
    }
    pthread_mutex_lock(&p->lock);
    p->memory.live_bytes += (int64_t)mem->nbytes;
    p->memory.blocks++;
    if (p->memory.live_bytes > p->memory.peak_bytes) p->memory.peak_bytes = p->memory.live_bytes;
    pthread_mutex_unlock(&p->lock);
    return HX_OK;
}

/* ---- giving back ---- */

static void give_to_backend(hx_device *d, const hx_mem *mem) {
    hx_mem own = *mem;
    hx_device_enter(d);
    d->backend->mem_free(d->handle, &own);
    hx_device_leave(d);
}

void hx_device_give(hx_device *d, const hx_mem *mem, uint64_t streams) {
    struct hx_device_pool *p = d->pool;
    block *b = d->info.caps & HX_CAP_STREAM_ORDERED_ALLOC ? NULL : malloc(sizeof *b);
    int class;
    (void)rounded(mem->nbytes, &class);
    pthread_mutex_lock(&p->lock);
    p->memory.live_bytes -= (int64_t)mem->nbytes;
    p->memory.blocks--;
    if (b) {
        *b = (block){.mem = *mem, .streams = streams, .given = p->clock, .next = p->kept[class]};
        p->kept[class] = b;
        p->memory.cached_bytes += (int64_t)mem->nbytes;
    }
    pthread_mutex_unlock(&p->lock);
    if (!b) give_to_backend(d, mem);
}

static block *empty(struct hx_device_pool *p) {
    block *gone = NULL;
    pthread_mutex_lock(&p->lock);
    for (int i = 0; i <= CLASSES; i++)
        while (p->kept[i]) {
            block *b = unlink_at(&p->kept[i]);
            b->next = gone;
            gone = b;
        }
    p->memory.cached_bytes = 0;
    pthread_mutex_unlock(&p->lock);
    return gone;
}

/* Work that was issued may still use what is kept, so it is waited for. */
void hx_device_trim(hx_device *d) {
    if (!d->pool) return;
    block *gone = empty(d->pool);
    if (!gone) return;
    if (!atomic_load(&d->lost) && hx_device_sync(d)) hx_error_clear();
    while (gone) {
        block *b = unlink_at(&gone);
        give_to_backend(d, &b->mem);
        free(b);
    }
}

void hx_device_memory_get(hx_device *d, hx_device_memory *memory) {
    pthread_mutex_lock(&d->pool->lock);
    *memory = d->pool->memory;
    pthread_mutex_unlock(&d->pool->lock);
}

void hx_device_memory_reset_peak(hx_device *d) {
    pthread_mutex_lock(&d->pool->lock);
    d->pool->memory.peak_bytes = d->pool->memory.live_bytes;
    pthread_mutex_unlock(&d->pool->lock);
}
