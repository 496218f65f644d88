/* Callers on threads of their own, from the first use of every part on: ops, gradients, random numbers and memory,
 * over inputs that they share. The results are those of one caller. Meant for the sanitizer of data races. */
#include <pthread.h>
#include "autograd.h"
#include "check.h"
#include "dispatch.h"
#include "threads.h"

enum { CALLERS = 4, ROUNDS = 12, SIDE = 96 };

static hx_tensor *shared;

static hx_tensor *ramp(int64_t n, const int64_t *shape, int ndim) {
    hx_tensor *values = CALL(mul, CALL(arange, 0, n, 1, (int)HX_F32), 1.0 / (double)n);
    return CALL(contiguous, CALL(reshape, values, ((hx_ints){shape, ndim})));
}

static double total(hx_tensor *t) {
    hx_tensor *sum = CALL(cast, CALL(sum, t), (int)HX_F64);
    CHECK(sum);
    return *(double *)sum->data;
}

static double gradient_of_product(void) {
    hx_tensor *x = CALL(clone, shared);
    CHECK(x);
    x->flags |= HX_T_REQUIRES_GRAD;
    hx_tensor *y = CALL(sum, CALL(softmax, CALL(matmul, x, shared), -1));
    CHECK(y);
    CHECK_INT(hx_backward(&y, NULL, 1, NULL, 0, NULL, &(hx_backward_options){.accumulate = true}), HX_OK);
    return total(CALL(abs, x->gradient));
}

static double work(void) {
    hx_scope scope;
    hx_scope_enter(&scope);
    double result = total(CALL(matmul, shared, shared)) + total(CALL(exp, shared)) + gradient_of_product();
    result += total(CALL(cumsum, CALL(add, shared, CALL(transpose, shared, 0, 1)), 0));
    CHECK(CALL(rand, HX_INTS(SIDE, SIDE)) && CALL(matmul, shared, CALL(full, HX_INTS(1), 1)) == NULL);
    hx_error_clear();
    hx_scope_leave(&scope);
    return result;
}

static void *caller(void *result) {
    for (int i = 0; i < ROUNDS; i++) {
        double once = work();
        CHECK(i == 0 || once == *(double *)result);
        *(double *)result = once;
    }
    return NULL;
}

static int races;
static void *racer(void *unused) {
    for (int i = 0; i < 1000000; i++) races++;
    return unused;
}

static void on_threads(void *(*body)(void *), double *results) {
    pthread_t threads[CALLERS];
    for (int i = 0; i < CALLERS; i++) CHECK(pthread_create(&threads[i], NULL, body, &results[i]) == 0);
    for (int i = 0; i < CALLERS; i++) pthread_join(threads[i], NULL);
}

/* With the argument "planted" a race is run, which must be reported. */
int main(int count, char **arguments) {
    double results[CALLERS] = {0};
    if (count > 1 && strcmp(arguments[1], "planted") == 0) {
        on_threads(racer, results);
        return races == 0;
    }
    CHECK_INT(hx_init(), HX_OK);
    hx_threads_set(3);
    hx_scope scope;
    hx_scope_enter(&scope);
    shared = ramp(SIDE * SIDE, (const int64_t[]){SIDE, SIDE}, 2);
    CHECK(shared);
    on_threads(caller, results);
    for (int i = 1; i < CALLERS; i++) CHECK(results[i] == results[0]);
    hx_scope_leave(&scope);
    return 0;
}
