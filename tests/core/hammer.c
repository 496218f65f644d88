/* Eight callers for a while, given in seconds (default 1): kernels of every kind over inputs that they share, writes to their own,
 * gradients, random numbers, memory that one takes and another gives back, and the number of threads changed meanwhile.
 * Every result is compared with what one caller gets alone. Meant for the sanitizer of data races. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include "autograd.h"
#include "check.h"
#include "dispatch.h"
#include "storage.h"
#include "threads.h"

enum { CALLERS = 8, SIDE = 160, ROW = 60000, BOXES = 16 };

static hx_tensor *square, *row, *places, *image, *taps, *three;
static hx_tensor *leaf; /* of which all callers take gradients */

static hx_tensor *ramp(int64_t n, int ndim, const int64_t *shape) {
    hx_tensor *whole = CALL(arange, 0, n, 1, (int)HX_F32);
    hx_tensor *x = CALL(sin, CALL(mul, whole, 0.37));
    return CALL(contiguous, CALL(reshape, x, ((hx_ints){shape, ndim})));
}

static hx_tensor *w_sum(hx_tensor *t) { return CALL(sum, CALL(cast, t, (int)HX_F64)); }

/* ---- the kinds of work: each gives one number ---- */

static hx_tensor *products(void) { return CALL(matmul, square, CALL(transpose, square, 0, 1)); }
static hx_tensor *wide_products(void) { return CALL(matmul, CALL(cast, square, (int)HX_F64), CALL(cast, square, (int)HX_F64)); }
static hx_tensor *half_products(void) { return CALL(matmul, CALL(cast, square, (int)HX_BF16), CALL(cast, square, (int)HX_BF16)); }
static hx_tensor *batches(void) { return CALL(matmul, three, CALL(transpose, three, 1, 2)); }
static hx_tensor *elements(void) { return CALL(add, CALL(mul, CALL(exp, row), CALL(tanh, row)), CALL(neg, row)); }
static hx_tensor *turned(void) { return CALL(add, square, CALL(transpose, square, 0, 1)); }
static hx_tensor *sums(void) { return CALL(sum, square, HX_INTS(0)); }
static hx_tensor *scans(void) { return CALL(cumsum, row, 0); }
static hx_tensor *normed(void) { return CALL(softmax, square, -1); }
static hx_tensor *sorted(void) { return CALL(sort, row); }
static hx_tensor *picked(void) { return CALL(index_select, row, 0, places); }
static hx_tensor *strewn(void) { return CALL(scatter_add, CALL(mul, row, 0.0), 0, places, row); }
static hx_tensor *joined(void) {
    hx_tensor *parts[3] = {row, row, row};
    return CALL(cat, ((hx_list){parts, 3}), 0);
}
static hx_tensor *spectra(void) { return CALL(abs, CALL(fft_fft, row)); }
static hx_tensor *prime_spectra(void) { return CALL(abs, CALL(fft_fft, CALL(narrow, row, 0, 0, 10007))); }
static hx_tensor *found(void) { return CALL(argwhere, CALL(gt, row, 0.3)); }
static hx_tensor *drawn(void) { /* from the generator that all share; the sum of its square shape is all that is sure */
    hx_tensor *x = CALL(rand, HX_INTS(ROW));
    return CALL(mul, CALL(ge, x, 0.0), 1.0);
}
static hx_tensor *own_writes(void) {
    hx_tensor *x = CALL(clone, row);
    for (int i = 0; i < 3; i++)
        if (!CALL_(add, x, row)) return NULL;
    return x;
}
static hx_tensor *gradient(void) {
    hx_tensor *x = CALL(clone, square);
    if (!x) return NULL;
    x->flags |= HX_T_REQUIRES_GRAD;
    hx_tensor *y = CALL(sum, CALL(softmax, CALL(matmul, x, square), -1));
    CHECK(y);
    CHECK_INT(hx_backward(&y, NULL, 1, NULL, 0, NULL, &(hx_backward_options){.accumulate = true}), HX_OK);
    return CALL(mul, x->gradient, 1.0);
}
static hx_tensor *shared_gradient(void) {
    hx_tensor *y = CALL(sum, CALL(tanh, CALL(matmul, leaf, square))), *g = NULL;
    CHECK(y);
    CHECK_INT(hx_backward(&y, NULL, 1, &leaf, 1, &g, &(hx_backward_options){0}), HX_OK);
    return hx_scope_own(g);
}
static hx_tensor *refused(void) {
    CHECK(CALL(matmul, square, row) == NULL && hx_error_pending());
    hx_error_clear();
    return CALL(mul, row, 1.0);
}

static hx_tensor *(*const works[])(void) = {
    products, wide_products, half_products, batches, elements, turned, sums, scans, normed, sorted, picked, strewn, joined, spectra,
    prime_spectra, found, drawn, own_writes, gradient, shared_gradient, refused,
};
enum { WORKS = sizeof works / sizeof *works };
static double expected[WORKS];

static double run_work(int i) {
    hx_scope scope;
    hx_scope_enter(&scope);
    hx_tensor *result = works[i]();
    if (!result) fprintf(stderr, "work %d: %s\n", i, hx_error_last()->text);
    CHECK(result);
    hx_tensor *sum = w_sum(result);
    CHECK(sum);
    double value = *(double *)sum->data;
    hx_scope_leave(&scope);
    return value;
}

/* ---- memory that another caller gives back ---- */

static pthread_mutex_t box_lock = PTHREAD_MUTEX_INITIALIZER;
static hx_tensor *boxes[BOXES];

static void exchange(unsigned *seed) {
    int64_t n = 1 + rand_r(seed) % 40000;
    hx_tensor *mine = NULL;
    CHECK_INT(hx_tensor_empty(hx_cpu(), HX_F32, &n, 1, &mine), HX_OK);
    ((float *)mine->data)[n - 1] = 1;
    pthread_mutex_lock(&box_lock);
    hx_tensor **box = &boxes[rand_r(seed) % BOXES], *theirs = *box;
    *box = mine;
    pthread_mutex_unlock(&box_lock);
    hx_tensor_release(theirs);
}

static atomic_bool stop;
static atomic_llong rounds;

static void *caller(void *argument) {
    unsigned seed = (unsigned)(intptr_t)argument + 1;
    while (!atomic_load(&stop)) {
        int i = rand_r(&seed) % WORKS;
        double value = run_work(i);
        if (value != expected[i]) fprintf(stderr, "work %d: %.17g alone, %.17g beside others\n", i, expected[i], value);
        CHECK(value == expected[i]);
        exchange(&seed);
        if (seed % 7 == 0) hx_threads_set(1 + (int)(seed / 7 % 6));
        if (seed % 31 == 0) hx_memory_empty_cache();
        hx_memory_stats stats;
        hx_memory_get(&stats);
        atomic_fetch_add(&rounds, 1);
    }
    return NULL;
}

static int planted;
static void *racer(void *unused) {
    while (!atomic_load(&stop))
        for (int i = 0; i < 100000; i++) planted++;
    return unused;
}

static void on_threads(void *(*body)(void *), double seconds) {
    pthread_t threads[CALLERS];
    for (int i = 0; i < CALLERS; i++) CHECK(pthread_create(&threads[i], NULL, body, (void *)(intptr_t)i) == 0);
    nanosleep(&(struct timespec){(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)}, NULL);
    atomic_store(&stop, true);
    for (int i = 0; i < CALLERS; i++) pthread_join(threads[i], NULL);
}

/* With the argument "planted" a race is run, which must be reported. */
int main(int count, char **arguments) {
    if (count > 1 && strcmp(arguments[1], "planted") == 0) {
        on_threads(racer, 0.2);
        return planted == 0;
    }
    CHECK_INT(hx_init(), HX_OK);
    hx_threads_set(3);
    hx_scope scope;
    hx_scope_enter(&scope);
    square = ramp(SIDE * SIDE, 2, (const int64_t[]){SIDE, SIDE});
    row = ramp(ROW, 1, (const int64_t[]){ROW});
    three = ramp(12 * 40 * 50, 3, (const int64_t[]){12, 40, 50});
    places = CALL(remainder, CALL(mul, CALL(arange, 0, ROW, 1, (int)HX_I64), 7919), ROW);
    leaf = CALL(clone, square);
    CHECK(square && row && three && places && leaf);
    leaf->flags |= HX_T_REQUIRES_GRAD;
    for (int i = 0; i < WORKS; i++) expected[i] = run_work(i);
    on_threads(caller, count > 1 ? atof(arguments[1]) : 1);
    printf("%lld rounds by %d callers\n", (long long)atomic_load(&rounds), CALLERS);
    for (int i = 0; i < BOXES; i++) hx_tensor_release(boxes[i]);
    hx_scope_leave(&scope);
    return 0;
}
