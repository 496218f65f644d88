/* The graph from C alone: chains, sharing, in-place writes through views, pruning, depth, and no leak. */
#include "autograd.h"
#include "check.h"
#include "dispatch.h"
#include "trace.h"

static hx_tensor *values(int n, const double *from) {
    hx_tensor *t;
    CHECK_INT(hx_tensor_empty(hx_cpu(), HX_F64, (const int64_t[]){n}, 1, &t), HX_OK);
    memcpy(t->data, from, (size_t)n * sizeof *from);
    return t;
}
#define VALUES(...) values(COUNT_OF(((double[]){__VA_ARGS__})), (double[]){__VA_ARGS__})

static hx_tensor *leaf(hx_tensor *t) {
    t->flags |= HX_T_REQUIRES_GRAD;
    return t;
}

static double at(hx_tensor *t, int i) { return ((double *)t->data)[i * t->strides[0]]; }

static const hx_backward_options once = {.accumulate = true};

static void backward(hx_tensor *root) {
    CHECK_INT(hx_backward(&root, NULL, 1, NULL, 0, NULL, &once), HX_OK);
}

/* sum(x * x * y): shared inputs add up, and a second backward accumulates. */
static void test_sharing(void) {
    hx_tensor *x = leaf(VALUES(1, 2, 3)), *y = leaf(VALUES(4, 5, 6));
    for (int round = 1; round <= 2; round++) {
        hx_scope s;
        hx_scope_enter(&s);
        hx_tensor *loss = CALL(sum, CALL(mul, CALL(mul, x, x), y));
        CHECK(loss);
        backward(loss);
        for (int i = 0; i < 3; i++) {
            CHECK(at(x->gradient, i) == round * 2 * at(x, i) * at(y, i));
            CHECK(at(y->gradient, i) == round * at(x, i) * at(x, i));
        }
        hx_scope_leave(&s);
    }
    hx_tensor_release(x);
    hx_tensor_release(y);
}

/* The gradient of a stretched operand is summed to its shape. */
static void test_broadcast(void) {
    hx_tensor *x = leaf(VALUES(2)), *y = VALUES(1, 2, 3);
    hx_scope s;
    hx_scope_enter(&s);
    backward(CALL(sum, CALL(mul, x, y)));
    CHECK_INT(x->gradient->ndim, 1);
    CHECK(at(x->gradient, 0) == 6);
    hx_scope_leave(&s);
    hx_tensor_release(x);
    hx_tensor_release(y);
}

/* d3/dx3 x^4 = 24 x, by differentiating recorded backward passes. */
static void test_higher_order(void) {
    hx_tensor *x = leaf(VALUES(1.5));
    hx_backward_options keep = {.retain_graph = true, .create_graph = true};
    hx_scope s;
    hx_scope_enter(&s);
    hx_tensor *y = CALL(mul, CALL(mul, x, x), CALL(mul, x, x));
    for (int order = 0; order < 3; order++) {
        hx_tensor *root = CALL(sum, y), *g;
        CHECK_INT(hx_backward(&root, NULL, 1, &x, 1, &g, &keep), HX_OK);
        y = hx_scope_own(g);
    }
    CHECK(at(y, 0) == 24 * 1.5);
    CHECK(x->gradient == NULL);
    hx_scope_leave(&s);
    hx_tensor_release(x);
}

/* Writing into a view changes the history of its base and of other views. */
static void test_view_write(void) {
    hx_tensor *x = leaf(VALUES(1, 2, 3, 4)), *w = leaf(VALUES(10, 20));
    hx_scope s;
    hx_scope_enter(&s);
    hx_tensor *base = CALL(mul, x, 2);
    hx_tensor *part = CALL(narrow, base, 0, 1, 2), *other = CALL(narrow, base, 0, 0, 2);
    CHECK(CALL_(copy, part, w));
    backward(CALL(sum, CALL(add, CALL(sum, base), CALL(sum, other))));
    const double wanted[] = {4, 0, 0, 2};
    for (int i = 0; i < 4; i++) CHECK(at(x->gradient, i) == wanted[i]);
    CHECK(at(w->gradient, 0) == 2 && at(w->gradient, 1) == 1);
    hx_scope_leave(&s);
    hx_tensor_release(x);
    hx_tensor_release(w);
}

static void test_stale(void) {
    hx_tensor *x = leaf(VALUES(1, 2)), *y = VALUES(3, 4);
    hx_scope s;
    hx_scope_enter(&s);
    hx_tensor *root = CALL(sum, CALL(mul, x, y));
    CHECK(CALL_(add, y, 1));
    CHECK_FAILS(hx_backward(&root, NULL, 1, NULL, 0, NULL, &once), HX_E_GRADIENT, 1501, "backward of mul");
    CHECK(x->gradient == NULL);
    CHECK(CALL_(add, x, 1) == NULL);
    CHECK_INT(hx_error_last()->number, 1504);
    hx_error_clear();
    hx_scope_leave(&s);
    hx_tensor_release(x);
    hx_tensor_release(y);
}

static void test_freed(void) {
    hx_tensor *x = leaf(VALUES(1, 2));
    hx_scope s;
    hx_scope_enter(&s);
    hx_tensor *root = CALL(sum, CALL(mul, x, x));
    backward(root);
    CHECK_FAILS(hx_backward(&root, NULL, 1, NULL, 0, NULL, &once), HX_E_GRADIENT, 1502, "retain_graph=True");
    hx_scope_leave(&s);
    hx_tensor_release(x);
}

/* What was not asked for runs no kernel. */
static void test_pruning(void) {
    hx_tensor *x = leaf(VALUES(1, 2)), *y = leaf(VALUES(3, 4)), *g;
    hx_backward_options keep = {.retain_graph = true};
    hx_scope s;
    hx_scope_enter(&s);
    hx_tensor *branch = y;
    for (int i = 0; i < 50; i++) branch = CALL(mul, branch, y);
    hx_tensor *root = CALL(sum, CALL(add, CALL(mul, x, 3), branch));
    int64_t before = hx_kernels_run();
    CHECK_INT(hx_backward(&root, NULL, 1, &x, 1, &g, &keep), HX_OK);
    CHECK(hx_kernels_run() - before < 10);
    CHECK(at(g, 0) == 3 && y->gradient == NULL);
    hx_tensor_release(g);
    hx_scope_leave(&s);
    hx_tensor_release(x);
    hx_tensor_release(y);
}

static void test_depth(void) {
    hx_tensor *x = leaf(VALUES(1)), *t = hx_tensor_retain(x);
    for (int i = 0; i < 1000000; i++) {
        hx_scope s;
        hx_scope_enter(&s);
        hx_tensor *next = CALL(add, t, x);
        CHECK(next);
        hx_tensor_retain(next);
        hx_scope_leave(&s);
        hx_tensor_release(t);
        t = next;
    }
    hx_scope s;
    hx_scope_enter(&s);
    backward(CALL(sum, t));
    hx_scope_leave(&s);
    CHECK(at(x->gradient, 0) == 1000001);
    hx_tensor_release(t);
    hx_tensor_release(x);
}

static hx_status doubled(void *ctx, hx_tensor **g) {
    ++*(int *)ctx;
    hx_tensor *twice = CALL(mul, *g, 2);
    if (!twice) return hx_error_last()->code;
    *g = hx_tensor_retain(twice);
    return HX_OK;
}

static void test_hooks(void) {
    int calls = 0;
    uint64_t id;
    hx_tensor *x = leaf(VALUES(1, 2));
    hx_scope s;
    hx_scope_enter(&s);
    hx_tensor *y = CALL(mul, x, 3), *root = CALL(sum, y);
    CHECK_INT(hx_hook_add(y, doubled, NULL, &calls, NULL), HX_OK);
    CHECK_INT(hx_hook_add(x, doubled, NULL, &calls, &id), HX_OK);
    CHECK_INT(hx_retain_grad(y), HX_OK);
    backward(root);
    CHECK_INT(calls, 2);
    CHECK(at(x->gradient, 0) == 12);
    CHECK(at(y->gradient, 0) == 2);
    CHECK(hx_hook_remove(x, id) && !hx_hook_remove(x, id));
    hx_scope_leave(&s);
    hx_tensor_release(x);
}

int main(void) {
    CHECK_INT(hx_init(), HX_OK);
    hx_memory_stats before, after;
    hx_memory_get(&before);
    test_sharing();
    test_broadcast();
    test_higher_order();
    test_view_write();
    test_stale();
    test_freed();
    test_pruning();
    test_depth();
    test_hooks();
    hx_memory_get(&after);
    CHECK_INT(after.live_tensors, before.live_tensors);
    CHECK_INT(after.live_nodes, before.live_nodes);
    CHECK_INT(after.live_bytes, before.live_bytes);
    return 0;
}
