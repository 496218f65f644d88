/* Recurrent layers in one direction: plain, LSTM (Hochreiter, Schmidhuber, "Long short-term memory", 1997) and GRU (Cho et al.,
 * "Learning phrase representations using RNN encoder-decoder", 2014), with torch's order of gates.
 *
 * What the inputs of all times give to the gates is one product outside; a recurrence adds what the state before gives. Its
 * gradients of the gates come from one pass back through time, those of the weights from one product over all times. */
#include "rules.h"
#include "../recurrent.h"

typedef struct walk {
    int64_t times, batch, size;
    int kind;
    bool reverse;
    hx_tensor *gates, *turned, *bias, *lengths; /* turned: the weight, transposed */
} walk;

static int64_t gates_of(int kind) { return kind == HX_LSTM ? 4 : kind == HX_GRU ? 3 : 1; }

static walk walk_of(const hx_call *c) {
    const hx_tensor *gates = c->in[R_GATES];
    return (walk){.times = gates->shape[0], .batch = gates->shape[1], .size = c->in[R_WEIGHT]->shape[1],
                  .kind = (int)c->attr[0].v.i, .reverse = c->attr[1].v.i, .gates = c->in[R_GATES],
                  .turned = CALL(transpose, c->in[R_WEIGHT], 0, 1), .bias = c->in[R_BIAS], .lengths = c->in[R_LENGTHS]};
}

static int64_t time_of(const walk *w, int64_t step) { return w->reverse ? w->times - 1 - step : step; }
static hx_tensor *at_time(hx_tensor *t, int64_t i) { return CALL(select, t, 0, i); }
static hx_tensor *gate(const walk *w, hx_tensor *t, int64_t i) { return CALL(narrow, t, -1, i * w->size, w->size); }

/* Rows whose text has not ended, (batch, 1); NULL without lengths. */
static hx_tensor *going_on(const walk *w, int64_t time) {
    return w->lengths ? CALL(unsqueeze, CALL(gt, w->lengths, time), -1) : NULL;
}
static hx_tensor *kept_where(hx_tensor *going, hx_tensor *fresh, hx_tensor *old) {
    return going ? CALL(where, going, fresh, old) : fresh;
}

/* ---- forward, in plain ops ---- */

typedef struct state {
    hx_tensor *h, *c;          /* after the step */
    hx_tensor *i, *f, *g, *o;  /* LSTM's gates; GRU: i is r, f is z, g is n, o what the state gives to n */
} state;

static state lstm_step(const walk *w, hx_tensor *sums, hx_tensor *cell) {
    state s = {.i = CALL(sigmoid, gate(w, sums, 0)), .f = CALL(sigmoid, gate(w, sums, 1)), .g = CALL(tanh, gate(w, sums, 2)),
               .o = CALL(sigmoid, gate(w, sums, 3))};
    s.c = CALL(add, CALL(mul, s.f, cell), CALL(mul, s.i, s.g));
    s.h = CALL(mul, s.o, CALL(tanh, s.c));
    return s;
}

static state gru_step(const walk *w, hx_tensor *x, hx_tensor *product, hx_tensor *hidden) {
    state s = {.i = CALL(sigmoid, CALL(add, gate(w, x, 0), gate(w, product, 0))),
               .f = CALL(sigmoid, CALL(add, gate(w, x, 1), gate(w, product, 1))), .o = gate(w, product, 2)};
    s.g = CALL(tanh, CALL(add, gate(w, x, 2), CALL(mul, s.i, s.o)));
    s.h = CALL(add, s.g, CALL(mul, s.f, CALL(sub, hidden, s.g)));
    return s;
}

static state step(const walk *w, int64_t time, hx_tensor *hidden, hx_tensor *cell) {
    hx_tensor *x = at_time(w->gates, time), *product = CALL(matmul, hidden, w->turned);
    if (w->bias) product = CALL(add, product, w->bias);
    if (w->kind == HX_GRU) return gru_step(w, x, product, hidden);
    hx_tensor *sums = CALL(add, x, product);
    if (w->kind == HX_LSTM) return lstm_step(w, sums, cell);
    return (state){.h = w->kind == HX_RNN_TANH ? CALL(tanh, sums) : CALL(relu, sums)};
}

/* All states, in order of time. */
static state *run(const hx_call *c, const walk *w, size_t *nbytes) {
    *nbytes = (size_t)w->times * sizeof(state);
    state *all = hx_alloc(*nbytes);
    hx_tensor *hidden = c->in[R_HIDDEN], *cell = c->in[R_CELL];
    for (int64_t n = 0; all && n < w->times; n++) {
        int64_t time = time_of(w, n);
        hx_tensor *going = going_on(w, time);
        state s = step(w, time, hidden, cell);
        if (hx_error_pending()) {
            hx_free(all, *nbytes);
            return NULL;
        }
        s.h = hidden = kept_where(going, s.h, hidden);
        if (s.c) s.c = cell = kept_where(going, s.c, cell);
        all[time] = s;
    }
    return all;
}

static hx_tensor *joined(hx_tensor **rows, int64_t times) { return CALL(stack, ((hx_list){rows, (int)times}), 0); }
static hx_tensor *nothing(const hx_call *c, int i) { return hx_full_like_spec(&c->spec[i], 0, c->in[0]->device); }

static hx_status recurrence_parts(hx_call *c) {
    walk w = walk_of(c);
    size_t nbytes, list_bytes = (size_t)w.times * sizeof(hx_tensor *);
    state *all = run(c, &w, &nbytes);
    if (!all) return hx_error_last()->code;
    hx_tensor **rows = hx_alloc(list_bytes), *saved = nothing(c, 2);
    if (rows) {
        for (int64_t t = 0; t < w.times; t++) rows[t] = all[t].h;
        c->out[0] = joined(rows, w.times);
        for (int64_t t = 0; t < w.times; t++) rows[t] = all[t].c;
        c->out[1] = w.kind == HX_LSTM ? joined(rows, w.times) : nothing(c, 1);
        c->out[2] = saved && saved->numel ? CALL(add, saved, 0) : saved;
        hx_free(rows, list_bytes);
    }
    hx_free(all, nbytes);
    return rows && c->out[0] && c->out[1] && c->out[2] ? HX_OK : hx_error_last()->code;
}

/* ---- backward, in plain ops: gradients of the gates' sums, and on to the state before ---- */

typedef struct back {
    hx_tensor *h, *c;             /* gradients of the state after the step at hand */
    hx_tensor *sums, *product;    /* of the input's part of the gates, and of the state's */
} back;

static hx_tensor *one_less(hx_tensor *t) { return CALL(sub, 1, t); }
static hx_tensor *by_sigmoid(hx_tensor *g, hx_tensor *y) { return CALL(mul, g, CALL(mul, y, one_less(y))); }
static hx_tensor *by_tanh(hx_tensor *g, hx_tensor *y) { return CALL(mul, g, one_less(CALL(mul, y, y))); }

static void lstm_back(back *b, const state *s, hx_tensor *cell) {
    hx_tensor *t = CALL(tanh, s->c), *c = CALL(add, b->c, by_tanh(CALL(mul, b->h, s->o), t));
    hx_tensor *parts[] = {by_sigmoid(CALL(mul, c, s->g), s->i), by_sigmoid(CALL(mul, c, cell), s->f),
                          by_tanh(CALL(mul, c, s->i), s->g), by_sigmoid(CALL(mul, b->h, t), s->o)};
    b->sums = b->product = CALL(cat, ((hx_list){parts, 4}), -1);
    b->c = CALL(mul, c, s->f);
    b->h = NULL;
}

static void gru_back(back *b, const state *s, hx_tensor *hidden) {
    hx_tensor *n = by_tanh(CALL(mul, b->h, one_less(s->f)), s->g);
    hx_tensor *z = by_sigmoid(CALL(mul, b->h, CALL(sub, hidden, s->g)), s->f), *r = by_sigmoid(CALL(mul, n, s->o), s->i);
    hx_tensor *sums[] = {r, z, n}, *product[] = {r, z, CALL(mul, n, s->i)};
    b->sums = CALL(cat, ((hx_list){sums, 3}), -1);
    b->product = CALL(cat, ((hx_list){product, 3}), -1);
    b->h = CALL(mul, b->h, s->f);
}

static void plain_back(back *b, const state *s, int kind) {
    b->sums = b->product = kind == HX_RNN_TANH ? by_tanh(b->h, s->h) : CALL(mul, b->h, CALL(gt, s->h, 0));
    b->h = NULL;
}

/* One step back: from gradients of the state after it to those of the state before. */
static void step_back(const hx_call *c, const walk *w, const state *all, int64_t n, back *b) {
    int64_t time = time_of(w, n), before = time_of(w, n - 1);
    hx_tensor *hidden = n ? all[before].h : c->in[R_HIDDEN], *cell = n ? all[before].c : c->in[R_CELL];
    hx_tensor *going = going_on(w, time), *zero;
    b->h = CALL(add, b->h, at_time(c->in[R_G_STATES], time));
    if (b->c && c->in[R_G_CELLS]) b->c = CALL(add, b->c, at_time(c->in[R_G_CELLS], time));
    back old = *b;
    if (w->kind == HX_LSTM) lstm_back(b, &all[time], cell);
    else if (w->kind == HX_GRU) gru_back(b, &all[time], hidden);
    else plain_back(b, &all[time], w->kind);
    hx_tensor *through = CALL(matmul, b->product, c->in[R_WEIGHT]);
    b->h = kept_where(going, b->h ? CALL(add, b->h, through) : through, old.h);
    if (b->c) b->c = kept_where(going, b->c, old.c);
    if (!going) return;
    zero = CALL(mul, b->sums, 0);
    b->sums = CALL(where, going, b->sums, zero);
    b->product = CALL(where, going, b->product, zero);
}

static hx_status recurrence_backward_parts(hx_call *c) {
    walk w = walk_of(c);
    size_t nbytes, list_bytes = 2 * (size_t)w.times * sizeof(hx_tensor *);
    state *all = run(c, &w, &nbytes);
    if (!all) return hx_error_last()->code;
    back b = {.h = CALL(mul, c->in[R_HIDDEN], 0), .c = w.kind == HX_LSTM ? CALL(mul, c->in[R_CELL], 0) : NULL};
    hx_tensor **rows = hx_alloc(list_bytes);
    for (int64_t n = w.times - 1; rows && n >= 0 && !hx_error_pending(); n--) {
        step_back(c, &w, all, n, &b);
        rows[time_of(&w, n)] = b.sums;
        rows[w.times + time_of(&w, n)] = b.product;
    }
    if (rows && !hx_error_pending()) {
        c->out[0] = joined(rows, w.times);
        c->out[1] = w.kind == HX_GRU ? joined(rows + w.times, w.times) : nothing(c, 1);
        c->out[2] = CALL(add, b.h, 0);
        c->out[3] = b.c ? CALL(add, b.c, 0) : nothing(c, 3);
    }
    if (rows) hx_free(rows, list_bytes);
    hx_free(all, nbytes);
    return rows && c->out[0] && c->out[1] && c->out[2] && c->out[3] ? HX_OK : hx_error_last()->code;
}

/* ---- shape rules ---- */

static hx_status fit(const hx_tensor *t, const char *name, const int64_t *shape, int ndim) {
    bool same = t->ndim == ndim;
    for (int d = 0; same && d < ndim; d++) same = t->shape[d] == shape[d];
    if (same) return HX_OK;
    return hx_fail_about(FACTS(name, hx_shape_text(shape, ndim), hx_shape_text(t->shape, t->ndim)), HX_E_SHAPE, HX1002_INNER,
                         "%s has shape %s, expected %s", name, hx_shape_text(t->shape, t->ndim), hx_shape_text(shape, ndim));
}

static hx_status check(hx_call *c) {
    static const char *const names[] = {"gates", "weight", "bias", "hidden", "cell"};
    const hx_tensor *gates = c->in[R_GATES], *weight = c->in[R_WEIGHT];
    int kind = (int)c->attr[0].v.i;
    if (kind < HX_RNN_TANH || kind > HX_GRU) return hx_refuse(HX_E_VALUE, HX1403_VALUE, "kind", "be 0 to 3", "%d", kind);
    HX_TRY(hx_require_rank(gates, "gates", 3));
    HX_TRY(hx_require_rank(weight, "weight", 2));
    for (int i = 0; i <= R_CELL; i++)
        if (c->in[i]) HX_TRY(hx_require_dtype(c->in[i], names[i], HX_SET_FLOAT));
    for (int i = 1; i <= R_CELL; i++) c->cast[i] = (int8_t)gates->dtype;
    int64_t batch = gates->shape[1], size = weight->shape[1], wide;
    if (!hx_mul_ok(gates_of(kind), size, &wide)) return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "%lld states are too many",
                                                                (long long)size);
    if (gates->shape[0] < 1) return hx_refuse(HX_E_SHAPE, HX1002_INNER, "gates", "have at least one step (axis 0)", "%s",
                                              hx_shape_text(gates->shape, 3));
    HX_TRY(fit(gates, "gates", (int64_t[]){gates->shape[0], batch, wide}, 3));
    HX_TRY(fit(weight, "weight", (int64_t[]){wide, size}, 2));
    if (c->in[R_BIAS]) HX_TRY(fit(c->in[R_BIAS], "bias", (int64_t[]){wide}, 1));
    HX_TRY(fit(c->in[R_HIDDEN], "hidden", (int64_t[]){batch, size}, 2));
    if ((kind == HX_LSTM) != (c->in[R_CELL] != NULL))
        return hx_fail(HX_E_TYPE, HX1103_ARGUMENT, "cell is the state of an LSTM, and of nothing else");
    if (c->in[R_CELL]) HX_TRY(fit(c->in[R_CELL], "cell", (int64_t[]){batch, size}, 2));
    if (!c->in[R_LENGTHS]) return HX_OK;
    HX_TRY(hx_require_dtype(c->in[R_LENGTHS], "lengths", 1ull << HX_I64));
    return fit(c->in[R_LENGTHS], "lengths", &batch, 1);
}

static void spec_of(hx_spec *s, const hx_call *c, int64_t width) {
    const hx_tensor *gates = c->in[R_GATES];
    if (width) hx_spec_set(s, (hx_dtype)gates->dtype, (int64_t[]){gates->shape[0], gates->shape[1], width}, 3);
    else hx_spec_set(s, (hx_dtype)gates->dtype, &width, 1);
}

/* states, cells of an LSTM, and, to keep, the activated gates: of a GRU also what the state gives to its third. */
static hx_status recurrence_shape(hx_call *c) {
    HX_TRY(check(c));
    int kind = (int)c->attr[0].v.i;
    int64_t size = c->in[R_WEIGHT]->shape[1], saved;
    if (!hx_mul_ok(kind >= HX_LSTM && c->attr[2].v.i ? 4 : 0, size, &saved))
        return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "%lld states are too many", (long long)size);
    spec_of(&c->spec[0], c, size);
    spec_of(&c->spec[1], c, kind == HX_LSTM ? size : 0);
    spec_of(&c->spec[2], c, saved);
    return HX_OK;
}

/* What the forward pass left, and gradients of its results: of the dtype of the gates too. */
static hx_status check_results(hx_call *c) {
    static const char *const names[] = {"states", "cells", "saved", "states_gradient", "cells_gradient"};
    const bool lstm = c->attr[0].v.i == HX_LSTM;
    for (int i = R_STATES; i <= R_G_CELLS; i++) {
        bool of_cells = i == R_CELLS || i == R_G_CELLS;
        if (c->in[i]) HX_TRY(hx_require_dtype(c->in[i], names[i - R_STATES], 1ull << c->in[R_GATES]->dtype));
        if (!c->in[i] || i == R_SAVED || (of_cells && !lstm)) continue;
        HX_TRY(fit(c->in[i], names[i - R_STATES],
                   (int64_t[]){c->in[R_GATES]->shape[0], c->in[R_GATES]->shape[1], c->in[R_WEIGHT]->shape[1]}, 3));
    }
    return HX_OK;
}

static hx_status recurrence_backward_shape(hx_call *c) {
    HX_TRY(check(c));
    HX_TRY(check_results(c));
    int kind = (int)c->attr[0].v.i;
    int64_t width = c->in[R_GATES]->shape[2], size = c->in[R_WEIGHT]->shape[1], none = 0;
    const hx_tensor *saved = c->in[R_SAVED];
    if (kind >= HX_LSTM && saved->ndim != 3)
        return hx_fail(HX_E_GRADIENT, HX1503_NO_GRAD, "the gates were not kept; run the recurrence with keep=True");
    if (kind >= HX_LSTM)
        HX_TRY(fit(saved, "saved", (int64_t[]){c->in[R_GATES]->shape[0], c->in[R_GATES]->shape[1], 4 * size}, 3));
    spec_of(&c->spec[0], c, width);
    spec_of(&c->spec[1], c, kind == HX_GRU ? width : 0);
    hx_spec_like(&c->spec[2], c->in[R_HIDDEN]);
    if (kind == HX_LSTM) hx_spec_like(&c->spec[3], c->in[R_CELL]);
    else hx_spec_set(&c->spec[3], (hx_dtype)c->in[R_GATES]->dtype, &none, 1);
    return HX_OK;
}

/* ---- gradients ---- */

/* The state before every time. */
static hx_tensor *earlier(hx_tensor *first, hx_tensor *states, bool reverse) {
    int64_t rest = states->shape[0] - 1;
    hx_tensor *start = CALL(unsqueeze, first, 0), *others = CALL(narrow, states, 0, reverse ? 1 : 0, rest);
    hx_tensor *parts[2] = {reverse ? others : start, reverse ? start : others};
    return CALL(cat, ((hx_list){parts, 2}), 0);
}
static hx_tensor *rows_of(hx_tensor *t, int64_t width) { return CALL(reshape, t, HX_INTS(-1, width)); }

static hx_tensor *of_dtype(hx_tensor *t, hx_dtype dtype) { return t && t->dtype != dtype ? CALL(cast, t, (int)dtype) : t; }

static hx_status recurrence_vjp(hx_vjp *v) {
    hx_tensor *g[4] = {NULL};
    if (!v->g[0] && !v->g[1]) return HX_OK;
    int64_t width = v->in_spec[R_GATES].shape[2], size = v->in_spec[R_WEIGHT].shape[1];
    bool lstm = ATTR(0)->v.i == HX_LSTM;
    hx_dtype dtype = (hx_dtype)v->in_spec[R_GATES].dtype;
    hx_tensor *g_states = of_dtype(hx_vjp_gradient(v, 0), dtype), *g_cells = lstm ? of_dtype(v->g[1], dtype) : NULL;
    CALLN(g, 4, recurrence_backward, IN(R_GATES), IN(R_WEIGHT), IN(R_BIAS), IN(R_HIDDEN), IN(R_CELL), IN(R_LENGTHS), OUT(0),
          OUT(1), OUT(2), g_states, g_cells, ATTR(0), ATTR(1));
    hx_tensor *product = ATTR(0)->v.i == HX_GRU ? g[1] : g[0];
    GIN(R_GATES, g[0]);
    GIN(R_WEIGHT, CALL(matmul, CALL(transpose, rows_of(product, width), 0, 1),
                       rows_of(earlier(IN(R_HIDDEN), OUT(0), ATTR(1)->v.i), size)));
    GIN(R_BIAS, CALL(sum, product, HX_INTS(0, 1)));
    GIN(R_HIDDEN, g[2]);
    GIN(R_CELL, g[3]);
    return HX_OK;
}

/* ---- records ---- */

#define RECURRENCE                                                                                            \
    TENSOR("gates"), TENSOR("weight"), OPT_TENSOR("bias"), TENSOR("hidden"), OPT_TENSOR("cell"), OPT_TENSOR("lengths")

const hx_op hx_ops_recurrent[] = {
    {.name = "recurrence", .outputs = "states, cells, saved", .shape = recurrence_shape, .vjp = recurrence_vjp,
     .decompose = recurrence_parts, .saves = 0x3f | SAVE_OUT(0) | SAVE_OUT(1) | SAVE_OUT(2), .flags = HX_INTERNAL_OP,
     .params = PARAMS(RECURRENCE, INT("kind", 0), BOOL("reverse", false), BOOL("keep", true)),
     .doc = "One direction of a recurrent layer: the state after every time, an LSTM's cells, and what the gradient needs.\n\n"
            "gates: (time, batch, gates * size), the inputs' part of the gates with their bias. weight: (gates * size, size).\n"
            "bias: (gates * size,), added to what the state gives. hidden, cell: (batch, size) at the start. lengths: (batch,)\n"
            "int64; a row's state stays as it is from its length on. kind: 0 tanh, 1 relu, 2 LSTM, 3 GRU. reverse: from the\n"
            "last time to the first. keep: what the gradient needs is kept."},
    {.name = "recurrence_backward", .outputs = "gates, product, hidden, cell", .shape = recurrence_backward_shape,
     .decompose = recurrence_backward_parts, .flags = HX_INTERNAL_OP,
     .params = PARAMS(RECURRENCE, TENSOR("states"), TENSOR("cells"), TENSOR("saved"), TENSOR("states_gradient"),
                      OPT_TENSOR("cells_gradient"), INT("kind", 0), BOOL("reverse", false)),
     .doc = "Gradients of a recurrence: of gates, of what the state gave to them where that differs (GRU), and of the start."},
    {0}};
