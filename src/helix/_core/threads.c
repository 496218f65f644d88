/* The thread pool. One job at a time: the caller posts it, works on it like everybody else, closes it, and waits
 * only for workers that joined it; one that wakes too late finds it closed and goes on waiting.
 *
 * Each thread begins with a share of neighbouring chunks, the same one for jobs of the same size, so that what it wrote
 * last time is in its own cache; one that has finished its share goes on with what is left of the others'. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "rooms.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "error.h"
#include "workspace.h"

#define MOST_THREADS 64
#define SPIN_NANOSECONDS 100000
#define CACHE_LINE 64

/* `gate` holds the job's number above one bit that is set while workers may join, above the count of those inside. */
#define GATE_OPEN 0x80u
#define GATE_INSIDE 0x7fu
#define GATE_NEXT 0x100u

/* Chunks from `next` on, below `end`, are taken by nobody yet. */
typedef struct share {
    _Alignas(CACHE_LINE) _Atomic int64_t next;
    int64_t end;
} share;

static struct {
    _Alignas(CACHE_LINE) _Atomic uint32_t gate;
    share shares[MOST_THREADS]; /* the caller's, then the workers' */
    _Alignas(CACHE_LINE) hx_body body;
    void *ctx;
    const atomic_bool *stopped; /* of the caller's kernel; NULL where it cannot be given up */
    hx_workspace *workspace; /* the caller's */
    int helpers;          /* workers with a smaller index may join */
    _Alignas(CACHE_LINE) atomic_int parked;
    atomic_bool busy;     /* a caller owns the pool */
    int workers;          /* started so far; changed by the owner */
    atomic_int threads;   /* wanted, with the caller; 0 until first asked */
} pool;

static _Thread_local bool inside; /* this thread runs a body */
static _Thread_local int place;   /* of its share: 0 for a caller */

/* What this thread knows about giving up. */
static _Thread_local struct {
    const atomic_bool *stopped; /* of the kernel that it works for */
    hx_watch *own;              /* the kernel that it entered itself, and for which it looks */
    int64_t next;               /* when to look again */
    int whole;                  /* above 0: it finishes what it begins */
} duty;

/* ---- how many -------------------------------------------------------------------------------------------- */

/* Processors of the affinity mask that are not a second thread of a core that is counted already. */
static int cores_allowed(void) {
    cpu_set_t mask;
    if (sched_getaffinity(0, sizeof mask, &mask) != 0) return (int)sysconf(_SC_NPROCESSORS_ONLN);
    int cores = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &mask)) continue;
        char path[96];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
        int first = cpu;
        FILE *file = fopen(path, "r");
        if (file) {
            if (fscanf(file, "%d", &first) != 1) first = cpu;
            fclose(file);
        }
        cores += first == cpu || first >= CPU_SETSIZE || !CPU_ISSET(first, &mask);
    }
    return cores;
}

/* The processor time a control group allows, in whole processors; INT_MAX without a limit. */
static int group_quota(void) {
    long long quota = -1, period = 0;
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (file) {
        if (fscanf(file, "%lld %lld", &quota, &period) != 2) quota = -1;
        fclose(file);
    }
    if (quota <= 0 || period <= 0) return INT_MAX;
    long long whole = (quota + period - 1) / period;
    return whole < INT_MAX ? (int)whole : INT_MAX;
}

static int within_bounds(long n) { return n < 1 ? 1 : n > MOST_THREADS ? MOST_THREADS : (int)n; }

static int default_threads(void) {
    const char *text = getenv("HELIX_NUM_THREADS");
    long asked = text ? strtol(text, NULL, 10) : 0;
    if (asked > 0) return within_bounds(asked);
    int cores = cores_allowed(), quota = group_quota();
    return within_bounds(cores < quota ? cores : quota);
}

int hx_threads_get(void) {
    int n = atomic_load_explicit(&pool.threads, memory_order_relaxed);
    if (n > 0) return n;
    int none = 0;
    atomic_compare_exchange_strong(&pool.threads, &none, default_threads());
    return atomic_load(&pool.threads);
}

bool hx_inside_body(void) { return inside; }

void hx_threads_set(int n) { atomic_store(&pool.threads, within_bounds(n)); }

/* ---- waiting --------------------------------------------------------------------------------------------- */

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void futex(int operation, uint32_t value) {
    syscall(SYS_futex, &pool.gate, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static uint32_t job_of(uint32_t gate) { return gate / GATE_NEXT; }
uint32_t hx_threads_jobs(void) { return job_of(atomic_load(&pool.gate)); }

/* Waits until the gate belongs to another job than `seen`: spinning first, then parked. */
static uint32_t wait_for_job(uint32_t seen) {
    int64_t deadline = nanoseconds() + SPIN_NANOSECONDS;
    uint32_t gate;
    do {
        for (int i = 0; i < 64; i++) {
            gate = atomic_load_explicit(&pool.gate, memory_order_acquire);
            if (job_of(gate) != seen) return gate;
            relax();
        }
    } while (nanoseconds() < deadline);
    atomic_fetch_add(&pool.parked, 1);
    while (job_of(gate = atomic_load(&pool.gate)) == seen) futex(FUTEX_WAIT, gate);
    atomic_fetch_sub(&pool.parked, 1);
    return gate;
}

/* ---- giving up ------------------------------------------------------------------------------------------- */

static const hx_blocking *_Atomic blocking;

void hx_set_blocking(const hx_blocking *hooks) { atomic_store(&blocking, hooks); }
const hx_blocking *hx_get_blocking(void) { return atomic_load_explicit(&blocking, memory_order_acquire); }

/* Asks the host language when it is time. Its handlers may call ops: those are no part of what runs here. */
static bool look(void *token) {
    const hx_blocking *hooks = hx_get_blocking();
    int64_t now = nanoseconds();
    if (!hooks || !hooks->stop || now < duty.next) return false;
    hx_watch *own = duty.own;
    const atomic_bool *stopped = duty.stopped;
    duty.own = NULL;
    duty.stopped = NULL;
    bool stop = hooks->stop(token);
    duty.own = own;
    duty.stopped = stopped;
    duty.next = nanoseconds() + HX_LOOK_NANOSECONDS;
    return stop;
}

bool hx_stopped(void) {
    if (!duty.stopped || duty.whole) return false;
    if (atomic_load_explicit(duty.stopped, memory_order_relaxed)) return true;
    if (!duty.own || !look(duty.own->token)) return false;
    atomic_store_explicit(&duty.own->stopped, true, memory_order_relaxed);
    return true;
}

void hx_watch_begin(hx_watch *w, void *token) {
    atomic_init(&w->stopped, false);
    w->token = token;
    w->outer = duty.own;
    if (duty.whole) return;
    duty.own = w;
    duty.stopped = &w->stopped;
}

bool hx_watch_end(hx_watch *w) {
    duty.own = w->outer;
    duty.stopped = w->outer ? &w->outer->stopped : NULL;
    return atomic_load_explicit(&w->stopped, memory_order_relaxed);
}

hx_status hx_given_up(void) { return hx_fail(HX_E_CALLBACK, HX1901_INTERNAL, "was interrupted"); }

hx_status hx_look(void) { return duty.whole || !look(NULL) ? HX_OK : hx_given_up(); }

void hx_whole_begin(void) { duty.whole++; }
void hx_whole_end(void) { duty.whole--; }

/* ---- a job ----------------------------------------------------------------------------------------------- */

static void run_share(share *s, hx_body body, void *ctx) {
    int64_t i;
    if (atomic_load_explicit(&s->next, memory_order_relaxed) >= s->end) return;
    while (!hx_stopped() && (i = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed)) < s->end) body(ctx, i);
}

static void run_chunks(int own, int shares, hx_body body, void *ctx) {
    for (int i = 0; i < shares; i++) run_share(&pool.shares[(own + i) % shares], body, ctx);
}

static void deal(int64_t chunks, int shares) {
    int64_t each = chunks / shares, more = chunks % shares, at = 0;
    for (int i = 0; i < shares; i++) {
        atomic_store_explicit(&pool.shares[i].next, at, memory_order_relaxed);
        pool.shares[i].end = at += each + (i < more);
    }
}

static bool join(uint32_t gate) {
    while (gate & GATE_OPEN)
        if (atomic_compare_exchange_weak(&pool.gate, &gate, gate + 1)) return true;
    return false;
}

static void *worker(void *argument) {
    int index = (int)(intptr_t)argument;
    place = index + 1;
    uint32_t seen = job_of(atomic_load(&pool.gate)) - 1; /* a job that is open already is one to join */
    inside = true;
    for (;;) {
        uint32_t gate = wait_for_job(seen);
        seen = job_of(gate);
        if (!join(gate)) continue;
        duty.stopped = pool.stopped;
        hx_workspace_set(pool.workspace);
        if (index < pool.helpers) run_chunks(place, pool.helpers + 1, pool.body, pool.ctx);
        duty.stopped = NULL;
        hx_workspace_set(NULL);
        hx_error_clear(); /* bodies do not fail; nothing may reach the next job */
        atomic_fetch_sub_explicit(&pool.gate, 1, memory_order_release);
    }
    return NULL;
}

static void start_workers(int wanted) {
    if (pool.workers >= wanted) return;
    sigset_t every, before;
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    while (pool.workers < wanted &&
           pthread_create(&thread, &attributes, worker, (void *)(intptr_t)pool.workers) == 0)
        pool.workers++;
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void in_child(void) {
    atomic_store(&pool.gate, 0);
    atomic_store(&pool.parked, 0);
    atomic_store(&pool.busy, false);
    pool.workers = 0;
}

static void watch_fork(void) { pthread_atfork(NULL, NULL, in_child); }

static void post(int64_t chunks, hx_body body, void *ctx, int threads) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_fork);
    start_workers(threads - 1);
    deal(chunks, threads);
    pool.body = body;
    pool.ctx = ctx;
    pool.stopped = duty.whole ? NULL : duty.stopped;
    pool.helpers = threads - 1;
    pool.workspace = hx_workspace_get();
    uint32_t gate = atomic_load_explicit(&pool.gate, memory_order_relaxed);
    atomic_store(&pool.gate, (gate & ~(GATE_NEXT - 1)) + GATE_NEXT + GATE_OPEN);
    if (atomic_load(&pool.parked) > 0) futex(FUTEX_WAKE, INT_MAX);
}

static void close_and_wait(void) {
    uint32_t gate = atomic_fetch_and(&pool.gate, ~GATE_OPEN);
    int spins = 0;
    while (gate & GATE_INSIDE) {
        if (++spins < 20000) relax();
        else if (!hx_stopped()) sched_yield();
        gate = atomic_load_explicit(&pool.gate, memory_order_acquire);
    }
}

static bool take_pool(void) {
    bool free = false;
    return atomic_compare_exchange_strong(&pool.busy, &free, true);
}

static bool run_alone(int64_t chunks, hx_body body, void *ctx) {
    for (int64_t i = 0; i < chunks; i++) {
        if (hx_stopped()) return false;
        body(ctx, i);
    }
    return !hx_stopped();
}

/* False, with nothing done, where the caller has to do it alone. */
static bool run_together(int64_t chunks, int threads, hx_body body, void *ctx) {
    if (threads > chunks) threads = (int)chunks;
    if (threads <= 1 || inside || !take_pool()) return false;
    inside = true;
    post(chunks, body, ctx, threads);
    run_chunks(0, threads, body, ctx);
    close_and_wait();
    inside = false;
    atomic_store_explicit(&pool.busy, false, memory_order_release);
    return true;
}

bool hx_parallel(int64_t chunks, hx_body body, void *ctx) {
    if (chunks > 1 && run_together(chunks, hx_threads_get(), body, ctx)) return !hx_stopped();
    return run_alone(chunks, body, ctx);
}

typedef struct with_room {
    hx_room_body body;
    void *ctx;
} with_room;

static void run_in_place(void *ctx, int64_t chunk) {
    const with_room *w = ctx;
    w->body(w->ctx, chunk, place);
}
static void run_in_first(void *ctx, int64_t chunk) {
    const with_room *w = ctx;
    w->body(w->ctx, chunk, 0);
}

bool hx_parallel_rooms(int64_t chunks, int rooms, hx_room_body body, void *ctx) {
    with_room w = {body, ctx};
    int threads = hx_threads_get();
    if (run_together(chunks, threads < rooms ? threads : rooms, run_in_place, &w)) return !hx_stopped();
    return run_alone(chunks, run_in_first, &w);
}

typedef struct range {
    hx_range_body body;
    void *ctx;
    int64_t n, grain;
} range;

static void run_range(void *ctx, int64_t chunk) {
    const range *r = ctx;
    int64_t begin = chunk * r->grain, left = r->n - begin;
    r->body(r->ctx, begin, begin + (left < r->grain ? left : r->grain));
}

bool hx_parallel_range(int64_t n, int64_t grain, hx_range_body body, void *ctx) {
    if (n <= 0) return true;
    range r = {body, ctx, n, grain > 0 ? grain : 1};
    return hx_parallel((n - 1) / r.grain + 1, run_range, &r);
}
