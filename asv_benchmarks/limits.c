/* What this machine can do: multiply-adds of float32, and copies of a few sizes. Usage: limits THREADS; prints JSON. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined __AVX512F__ || defined __AVX2__
#include <immintrin.h>
#endif

#if defined __AVX512F__
enum { BYTES = 64 };
#define STREAM(to, x) _mm512_stream_ps((float *)(to), (__m512)(x))
#elif defined __AVX2__
enum { BYTES = 32 };
#define STREAM(to, x) _mm256_stream_ps((float *)(to), (__m256)(x))
#else
enum { BYTES = 16 };
#define STREAM(to, x) (*(to) = (x))
#endif
typedef float vec __attribute__((vector_size(BYTES), may_alias));

enum { CHAINS = 10, ROUNDS = 7 };

typedef struct work {
    vec *from, *to;
    size_t n;
    int kind, repeats; /* 0: multiply-adds, 1: a plain copy, 2: one past the caches */
    double seconds;
} work;

static pthread_barrier_t together;

/* Of the thread: what others on the machine take does not count. */
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void multiply(work *w) {
    vec sum[CHAINS], a = w->from[0] + 0.5f, b = w->from[0] + 1.0f; /* numbers that stay near 2 */
    for (int k = 0; k < CHAINS; k++) sum[k] = b + (float)k;
    for (size_t i = 0; i < w->n; i++)
        for (int k = 0; k < CHAINS; k++) sum[k] = sum[k] * a + b;
    for (int k = 0; k < CHAINS; k++) w->to[0] += sum[k];
}

static void copy(work *w) {
    for (int r = 0; r < w->repeats; r++) {
        if (w->kind == 1) memcpy(w->to, w->from, w->n * sizeof *w->to);
        else
            for (size_t i = 0; i < w->n; i++) STREAM(w->to + i, w->from[i]);
        __asm__ volatile("" ::: "memory");
    }
}

static void *run(void *argument) {
    work *w = argument;
    pthread_barrier_wait(&together);
    double start = now();
    if (w->kind) copy(w);
    else multiply(w);
    w->seconds = now() - start;
    return NULL;
}

/* Units a second of all threads: the best of a few rounds, each as long as its slowest thread. */
static double rate(int threads, int kind, size_t bytes, size_t n, int repeats, double units) {
    double best = 0;
    pthread_t id[64];
    work w[64];
    size_t size = bytes < 4096 ? 4096 : bytes;
    for (int i = 0; i < threads; i++) {
        w[i] = (work){aligned_alloc(4096, size), aligned_alloc(4096, size), n, kind, repeats, 0};
        if (!w[i].from || !w[i].to) exit(1);
        memset(w[i].from, 0, size);
        memset(w[i].to, 0, size);
    }
    for (int round = 0; round < ROUNDS; round++) {
        double slowest = 0;
        pthread_barrier_init(&together, NULL, (unsigned)threads);
        for (int i = 0; i < threads; i++) pthread_create(&id[i], NULL, run, &w[i]);
        for (int i = 0; i < threads; i++) {
            pthread_join(id[i], NULL);
            if (w[i].seconds > slowest) slowest = w[i].seconds;
        }
        if (threads * units / slowest > best) best = threads * units / slowest;
        pthread_barrier_destroy(&together);
    }
    for (int i = 0; i < threads; i++) free(w[i].from), free(w[i].to);
    return best;
}

int main(int count, char **arguments) {
    int threads = count > 1 ? atoi(arguments[1]) : 1;
    if (threads < 1 || threads > 64) return 1;
    size_t steps = 4000000;
    printf("{\"flops\": %.4g", rate(threads, 0, 0, steps, 1, 2.0 * CHAINS * (BYTES / 4) * (double)steps));
    for (size_t kb = 256; kb <= 65536; kb *= 16) {
        size_t bytes = kb * 1024 / (size_t)threads / BYTES * BYTES;
        int repeats = (int)(131072 / kb) + 1;
        double moved = 2.0 * (double)bytes * repeats, best = 0;
        for (int kind = 1; kind <= 2; kind++) {
            double found = rate(threads, kind, bytes, bytes / BYTES, repeats, moved);
            if (found > best) best = found;
        }
        printf(", \"copy_%zu\": %.4g", kb * 1024, best);
    }
    printf("}\n");
    return 0;
}
