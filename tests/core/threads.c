/* Every chunk runs once, from any number of threads and callers, nested, after fork; and a job costs little. */
#include "threads.h"
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHUNKS = 1000 };

typedef struct tally {
    atomic_int runs[CHUNKS];
} tally;

static void count(void *ctx, int64_t chunk) { atomic_fetch_add(&((tally *)ctx)->runs[chunk], 1); }

static void check_tally(tally *t, int chunks, int times) {
    for (int i = 0; i < CHUNKS; i++) CHECK_INT(atomic_load(&t->runs[i]), i < chunks ? times : 0);
}

static void test_every_chunk_once(void) {
    static const int chunks[] = {0, 1, 2, 3, 64, CHUNKS};
    for (int threads = 1; threads <= 8; threads *= 2) {
        hx_threads_set(threads);
        for (int i = 0; i < COUNT_OF(chunks); i++) {
            tally t = {0};
            for (int round = 0; round < 50; round++) hx_parallel(chunks[i], count, &t);
            check_tally(&t, chunks[i], 50);
        }
    }
    hx_threads_set(2);
}

typedef struct sum {
    _Atomic int64_t items;
    atomic_int calls;
} sum;

static void add_range(void *ctx, int64_t begin, int64_t end) {
    sum *s = ctx;
    CHECK(begin < end && end - begin <= 7 && begin % 7 == 0);
    for (int64_t i = begin; i < end; i++) atomic_fetch_add(&s->items, i);
    atomic_fetch_add(&s->calls, 1);
}

static void test_ranges(void) {
    sum s = {0};
    hx_parallel_range(0, 7, add_range, &s);
    hx_parallel_range(-3, 7, add_range, &s);
    CHECK_INT(s.calls, 0);
    hx_parallel_range(100, 7, add_range, &s);
    CHECK_INT(s.items, 4950);
    CHECK_INT(s.calls, 15);
}

static void nested(void *ctx, int64_t chunk) {
    (void)chunk;
    hx_parallel(10, count, ctx);
}

static void test_nested(void) {
    tally t = {0};
    hx_parallel(8, nested, &t);
    check_tally(&t, 10, 8);
}

static void *caller(void *unused) {
    for (int i = 0; i < 300; i++) {
        tally t = {0};
        hx_parallel(17, count, &t);
        check_tally(&t, 17, 1);
    }
    return unused;
}

static void test_many_callers(void) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, caller, NULL) == 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

static void wait_for_child(pid_t child) {
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
}

static void test_fork(void) {
    for (int i = 0; i < 50; i++) {
        caller(NULL);
        pid_t child = fork();
        if (child == 0) {
            alarm(10);
            caller(NULL);
            pid_t grandchild = fork();
            if (grandchild == 0) {
                alarm(10);
                caller(NULL);
                _exit(0);
            }
            wait_for_child(grandchild);
            _exit(0);
        }
        wait_for_child(child);
    }
}

static void *fork_while_busy(void *unused) {
    for (int i = 0; i < 50; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(10);
            caller(NULL);
            _exit(0);
        }
        wait_for_child(child);
    }
    return unused;
}

static void test_fork_beside_a_caller(void) {
    pthread_t threads[2];
    pthread_create(&threads[0], NULL, fork_while_busy, NULL);
    pthread_create(&threads[1], NULL, caller, NULL);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
}

static pthread_t main_thread;
static atomic_int signals_elsewhere;
static void on_signal(int number) {
    (void)number;
    if (!pthread_equal(pthread_self(), main_thread)) atomic_fetch_add(&signals_elsewhere, 1);
}

static void test_workers_take_no_signals(void) {
    main_thread = pthread_self();
    signal(SIGUSR1, on_signal);
    for (int i = 0; i < 200; i++) {
        tally t = {0};
        kill(getpid(), SIGUSR1);
        hx_parallel(50, count, &t);
    }
    CHECK_INT(signals_elsewhere, 0);
}

static void nothing(void *ctx, int64_t chunk) { (void)ctx, (void)chunk; }

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Reports only: a time that a test insists on fails on a busy machine. */
static void measure(void) {
    double best = 1;
    for (int round = 0; round < 20; round++) {
        double start = seconds();
        for (int i = 0; i < 1000; i++) hx_parallel(2, nothing, NULL);
        double each = (seconds() - start) / 1000;
        best = each < best ? each : best;
    }
    printf("fork and join of two chunks: %.2f us\n", best * 1e6);
}

int main(void) {
    CHECK(hx_threads_get() >= 1);
    hx_threads_set(1000);
    CHECK_INT(hx_threads_get(), 64);
    hx_threads_set(-5);
    CHECK_INT(hx_threads_get(), 1);
    test_every_chunk_once();
    test_ranges();
    test_nested();
    test_many_callers();
    test_fork();
    test_fork_beside_a_caller();
    test_workers_take_no_signals();
    measure();
    return 0;
}
