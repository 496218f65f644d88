/* A whole training step (two layers, loss, backward, update) recorded on shapes alone, then replayed: the numbers
 * are those of the same step run eagerly. */
#include "trace.h"
#include "autograd.h"
#include "check.h"
#include "dispatch.h"

enum { BATCH = 5, IN = 4, HIDDEN = 7, OUT = 3, N_PARAMS = 4, N_INPUTS = N_PARAMS + 2 };

static const struct { int ndim; int64_t shape[2]; } shapes[N_INPUTS] = {
    {2, {HIDDEN, IN}}, {1, {HIDDEN}}, {2, {OUT, HIDDEN}}, {1, {OUT}}, {2, {BATCH, IN}}, {2, {BATCH, OUT}}};

/* One step on inputs (w1, b1, w2, b2, x, y): writes the parameters, returns the loss in the scope. */
static hx_tensor *step(hx_tensor **p) {
    for (int i = 0; i < N_PARAMS; i++) p[i]->flags |= HX_T_REQUIRES_GRAD;
    hx_tensor *h = CALL(relu, CALL(add, CALL(matmul, p[4], CALL(transpose, p[0], 0, 1)), p[1]));
    hx_tensor *o = CALL(add, CALL(matmul, h, CALL(transpose, p[2], 0, 1)), p[3]);
    hx_tensor *d = CALL(sub, o, p[5]);
    hx_tensor *loss = CALL(mean, CALL(mul, d, d));
    hx_backward_options options = {.accumulate = true};
    CHECK(loss);
    CHECK_INT(hx_backward(&loss, NULL, 1, NULL, 0, NULL, &options), HX_OK);
    bool before = hx_grad_set(false);
    for (int i = 0; i < N_PARAMS; i++) CHECK(CALL_(sub, p[i], CALL(mul, p[i]->gradient, 0.1)));
    hx_grad_set(before);
    return loss;
}

static void fill(hx_tensor *t, int seed) {
    for (int64_t i = 0; i < t->numel; i++) ((double *)t->data)[i] = ((int)((i + 1) * 7919 + seed * 104729) % 101 - 50) / 50.0;
}

int main(void) {
    CHECK_INT(hx_init(), HX_OK);
    hx_memory_stats start, end;
    hx_memory_get(&start);
    hx_tensor *eager[N_INPUTS], *replayed[N_INPUTS], *shown[N_INPUTS];
    for (int i = 0; i < N_INPUTS; i++) {
        CHECK_INT(hx_tensor_empty(hx_cpu(), HX_F64, shapes[i].shape, shapes[i].ndim, &eager[i]), HX_OK);
        CHECK_INT(hx_tensor_empty(hx_cpu(), HX_F64, shapes[i].shape, shapes[i].ndim, &replayed[i]), HX_OK);
        fill(eager[i], i);
        fill(replayed[i], i);
    }
    hx_trace *t;
    CHECK_INT(hx_trace_new(&t), HX_OK);
    CHECK_INT(hx_trace_begin(t), HX_OK);
    for (int i = 0; i < N_INPUTS; i++)
        CHECK_INT(hx_trace_input(t, hx_cpu(), HX_F64, shapes[i].shape, NULL, shapes[i].ndim, &shown[i]), HX_OK);
    int64_t kernels = hx_kernels_run();
    hx_scope s;
    hx_scope_enter(&s);
    hx_tensor *traced_loss = step(shown);
    CHECK_INT(traced_loss->ndim, 0);
    CHECK(traced_loss->storage == NULL);
    CHECK_INT(hx_trace_output(t, traced_loss), HX_OK);
    hx_scope_leave(&s);
    hx_trace_end(t);
    CHECK_INT(hx_kernels_run(), kernels); /* on shapes alone */
    CHECK(hx_trace_length(t) > 15);

    for (int round = 0; round < 3; round++) {
        hx_tensor *loss;
        CHECK_INT(hx_trace_replay(t, replayed, N_INPUTS, &loss, 1), HX_OK);
        hx_scope_enter(&s);
        hx_tensor *expected = step(eager);
        CHECK(*(double *)expected->data == *(double *)loss->data);
        hx_scope_leave(&s);
        hx_tensor_release(loss);
        for (int i = 0; i < N_PARAMS; i++) {
            CHECK(!memcmp(eager[i]->data, replayed[i]->data, (size_t)eager[i]->numel * sizeof(double)));
            hx_tensor_release(eager[i]->gradient);
            eager[i]->gradient = NULL;
        }
    }
    hx_tensor *wrong[N_INPUTS], *loss;
    memcpy(wrong, replayed, sizeof wrong);
    wrong[5] = replayed[4];
    CHECK_FAILS(hx_trace_replay(t, wrong, N_INPUTS, &loss, 1), HX_E_SHAPE, 1002, "input 5 was traced as (5, 3)");

    for (int i = 0; i < N_INPUTS; i++) {
        hx_tensor_release(shown[i]);
        hx_tensor_release(eager[i]);
        hx_tensor_release(replayed[i]);
    }
    hx_trace_release(t);
    hx_memory_get(&end);
    CHECK_INT(end.live_tensors, start.live_tensors);
    CHECK_INT(end.live_nodes, start.live_nodes);
    return 0;
}
