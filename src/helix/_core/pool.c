/* Large blocks. Sizes are rounded up to one of eight steps an octave (at most 12.5 % more than asked).
 *
 * Up to MEDIUM a block is cut from an aligned slab that holds one size only; the slab is found from the address.
 * Above it a block is a mapping of its own, 2 MB-aligned and backed by huge pages. What is freed stays mapped, and
 * warm, up to a bound; beyond the bound the oldest goes back to the system first. */
#include "pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#define HUGE_PAGE ((size_t)2 << 20)
#define SLAB_BYTES ((size_t)8 << 20)
#define MEDIUM ((size_t)2 << 20)
#define HUGE_FROM ((size_t)64 << 10) /* slabs of smaller blocks use ordinary pages: they are many and fill slowly */
#define FIRST_OCTAVE 12
#define LAST_OCTAVE 46
#define CLASSES ((LAST_OCTAVE - FIRST_OCTAVE + 1) * 8)

/* A free mapping keeps its links in its own first bytes, which are warm. */
typedef struct mapping {
    struct mapping *next, *previous;   /* same class */
    struct mapping *younger, *older;   /* all, by the time they were freed */
    size_t nbytes;
} mapping;

typedef struct size_class {
    uint32_t index;
    size_t nbytes; /* of its blocks; 0 when a size is beyond all classes */
} size_class;

typedef struct slab {
    struct slab *next, *previous; /* slabs of this class that have room */
    void **free;                  /* blocks that came back, linked through their first word */
    uint32_t used, cut, capacity;
    size_class class;
} slab;

static struct {
    pthread_mutex_t lock;
    mapping *mappings[CLASSES], *oldest, *youngest;
    slab *slabs[CLASSES];
    size_t mapped, cached, bound;
    int64_t asked;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- limits of the machine ------------------------------------------------------------------------------- */

static int64_t control_group_limit(const char *path) {
    long long limit = INT64_MAX;
    FILE *file = fopen(path, "r");
    if (!file) return INT64_MAX;
    if (fscanf(file, "%lld", &limit) != 1 || limit <= 0) limit = INT64_MAX; /* "max" */
    fclose(file);
    return limit;
}

static int64_t machine_memory;
static pthread_once_t machine_once = PTHREAD_ONCE_INIT;

static void measure_machine(void) {
    struct sysinfo info;
    int64_t total = INT64_MAX, a, b;
    if (sysinfo(&info) == 0) total = (int64_t)(info.totalram + info.totalswap) * info.mem_unit;
    a = control_group_limit("/sys/fs/cgroup/memory.max");
    b = control_group_limit("/sys/fs/cgroup/memory/memory.limit_in_bytes");
    total = a < total ? a : total;
    machine_memory = b < total ? b : total;
    int64_t quarter = machine_memory / 4, most = (int64_t)8 << 30;
    pool.bound = (size_t)(quarter < most ? quarter : most);
}

int64_t hx_machine_memory(void) {
    pthread_once(&machine_once, measure_machine);
    return machine_memory;
}

/* ---- size classes ---------------------------------------------------------------------------------------- */

static size_class class_of(size_t nbytes) {
    size_t last = nbytes > (size_t)1 << FIRST_OCTAVE ? nbytes - 1 : (size_t)1 << FIRST_OCTAVE;
    int octave = 63 - __builtin_clzll(last);
    if (octave > LAST_OCTAVE) return (size_class){0};
    size_t step = last >> (octave - 3); /* 8..15 */
    return (size_class){(uint32_t)((octave - FIRST_OCTAVE) * 8 + (int)(step & 7)), (step + 1) << (octave - 3)};
}

/* ---- mappings -------------------------------------------------------------------------------------------- */

static void *map(size_t nbytes, size_t alignment, bool huge) {
    size_t whole = nbytes + alignment;
    char *start = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return NULL;
    char *aligned = (char *)(((uintptr_t)start + alignment - 1) & ~(uintptr_t)(alignment - 1));
    if (aligned > start) munmap(start, (size_t)(aligned - start));
    size_t tail = (size_t)(start + whole - (aligned + nbytes));
    if (tail > 0) munmap(aligned + nbytes, tail);
    if (huge) madvise(aligned, nbytes, MADV_HUGEPAGE);
    return aligned;
}

/* Maps, after giving the cache back when the process comes close to what the machine has or when mapping fails. */
static void *map_under_pressure(size_t nbytes, size_t alignment, bool huge) {
    pthread_mutex_lock(&pool.lock);
    bool close = pool.mapped + nbytes > (size_t)(hx_machine_memory() / 10 * 9);
    pthread_mutex_unlock(&pool.lock);
    if (close) hx_pool_trim();
    void *block = map(nbytes, alignment, huge);
    if (!block) {
        hx_pool_trim();
        block = map(nbytes, alignment, huge);
    }
    if (block) {
        pthread_mutex_lock(&pool.lock);
        pool.mapped += nbytes;
        pool.asked++;
        pthread_mutex_unlock(&pool.lock);
    }
    return block;
}

static void unmap(void *block, size_t nbytes) {
    munmap(block, nbytes);
    pool.mapped -= nbytes;
}

/* ---- large blocks ---------------------------------------------------------------------------------------- */

static void unlink_mapping(mapping *m, uint32_t class) {
    *(m->previous ? &m->previous->next : &pool.mappings[class]) = m->next;
    if (m->next) m->next->previous = m->previous;
    *(m->older ? &m->older->younger : &pool.oldest) = m->younger;
    *(m->younger ? &m->younger->older : &pool.youngest) = m->older;
    pool.cached -= m->nbytes;
}

static void drop_oldest(void) {
    mapping *m = pool.oldest;
    unlink_mapping(m, class_of(m->nbytes).index);
    unmap(m, m->nbytes);
}

static void *take_large(size_class c) {
    pthread_mutex_lock(&pool.lock);
    mapping *m = pool.mappings[c.index];
    if (m) unlink_mapping(m, c.index);
    pthread_mutex_unlock(&pool.lock);
    return m ? m : map_under_pressure(c.nbytes, HUGE_PAGE, true);
}

static void give_large(void *block, size_class c) {
    mapping *m = block;
    pthread_mutex_lock(&pool.lock);
    *m = (mapping){.next = pool.mappings[c.index], .older = pool.youngest, .nbytes = c.nbytes};
    if (m->next) m->next->previous = m;
    pool.mappings[c.index] = m;
    *(pool.youngest ? &pool.youngest->younger : &pool.oldest) = m;
    pool.youngest = m;
    pool.cached += c.nbytes;
    while (pool.cached > pool.bound && pool.oldest) drop_oldest();
    pthread_mutex_unlock(&pool.lock);
}

/* ---- medium blocks --------------------------------------------------------------------------------------- */

#define SLAB_HEADER ((sizeof(slab) + 63) & ~(size_t)63)

static void link_slab(slab *s) {
    s->previous = NULL;
    s->next = pool.slabs[s->class.index];
    if (s->next) s->next->previous = s;
    pool.slabs[s->class.index] = s;
}

static void unlink_slab(slab *s) {
    *(s->previous ? &s->previous->next : &pool.slabs[s->class.index]) = s->next;
    if (s->next) s->next->previous = s->previous;
}

static slab *new_slab(size_class c) {
    slab *s = map_under_pressure(SLAB_BYTES, SLAB_BYTES, c.nbytes >= HUGE_FROM);
    if (s) *s = (slab){.class = c, .capacity = (uint32_t)((SLAB_BYTES - SLAB_HEADER) / c.nbytes)};
    return s;
}

static void *cut_block(slab *s) {
    void **block = s->free;
    if (block) {
        s->free = *block;
        pool.cached -= s->class.nbytes;
    } else {
        block = (void **)((char *)s + SLAB_HEADER + s->cut++ * s->class.nbytes);
    }
    if (++s->used == s->capacity) unlink_slab(s);
    return block;
}

static void *take_medium(size_class c) {
    pthread_mutex_lock(&pool.lock);
    if (!pool.slabs[c.index]) {
        pthread_mutex_unlock(&pool.lock);
        slab *fresh = new_slab(c);
        if (!fresh) return NULL;
        pthread_mutex_lock(&pool.lock);
        link_slab(fresh);
    }
    void *block = cut_block(pool.slabs[c.index]);
    pthread_mutex_unlock(&pool.lock);
    return block;
}

static void drop_slab(slab *s) {
    pool.cached -= s->cut * s->class.nbytes;
    unlink_slab(s);
    unmap(s, SLAB_BYTES);
}

static void give_medium(void *block) {
    slab *s = (slab *)((uintptr_t)block & ~(uintptr_t)(SLAB_BYTES - 1));
    pthread_mutex_lock(&pool.lock);
    if (s->used == s->capacity) link_slab(s);
    *(void **)block = s->free;
    s->free = block;
    s->used--;
    pool.cached += s->class.nbytes;
    if (s->used == 0 && pool.cached > pool.bound) drop_slab(s);
    pthread_mutex_unlock(&pool.lock);
}

/* ---- the pool -------------------------------------------------------------------------------------------- */

#ifdef __SANITIZE_ADDRESS__ /* every block on its own, so that the sanitizer sees its borders and its end */
enum { EACH_ALONE = 1 };
#else
enum { EACH_ALONE = 0 };
#endif

void *hx_pool_take(size_t nbytes) {
    if (EACH_ALONE) {
        void *block;
        return posix_memalign(&block, 64, nbytes ? nbytes : 1) == 0 ? block : NULL;
    }
    hx_machine_memory(); /* sets the bound */
    size_class c = class_of(nbytes);
    if (c.nbytes == 0) return NULL;
    return c.nbytes <= MEDIUM ? take_medium(c) : take_large(c);
}

void hx_pool_give(void *block, size_t nbytes) {
    size_class c = class_of(nbytes);
    if (EACH_ALONE) free(block);
    else if (c.nbytes <= MEDIUM) give_medium(block);
    else give_large(block, c);
}

int64_t hx_pool_cached_bytes(void) {
    pthread_mutex_lock(&pool.lock);
    int64_t cached = (int64_t)pool.cached;
    pthread_mutex_unlock(&pool.lock);
    return cached;
}

int64_t hx_pool_mapped_blocks(void) {
    pthread_mutex_lock(&pool.lock);
    int64_t asked = pool.asked;
    pthread_mutex_unlock(&pool.lock);
    return asked;
}

void hx_pool_trim(void) {
    pthread_mutex_lock(&pool.lock);
    while (pool.oldest) drop_oldest();
    for (uint32_t class = 0; class < CLASSES; class++) {
        for (slab *s = pool.slabs[class], *next; s; s = next) {
            next = s->next;
            if (s->used == 0) drop_slab(s);
        }
    }
    pthread_mutex_unlock(&pool.lock);
}

void hx_pool_before_fork(void) { pthread_mutex_lock(&pool.lock); }
void hx_pool_after_fork(void) { pthread_mutex_unlock(&pool.lock); }
