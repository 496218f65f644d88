/* Connectionist temporal classification. Source: Graves, Fernandez, Gomez, Schmidhuber, "Connectionist temporal
 * classification: labelling unsegmented sequence data with recurrent neural networks" (2006), in logarithms.
 *
 * The symbols of a target are its labels with blanks between and around them: 2 S + 1 of S labels. log_alpha(t, s) is
 * the log-probability of all beginnings of alignments that reach symbol s at time t. */
#include <math.h>
#include "../storage.h"
#include "../trace.h"
#include "rules.h"

#define LENGTHS TENSOR("input_lengths"), TENSOR("target_lengths")

/* ---- rules ---- */

/* in: log_probs (T, N, C), targets (N, S), input_lengths (N), target_lengths (N); attr: blank */
static hx_status native_shape(hx_call *c) {
    const hx_tensor *x = c->in[0], *targets = c->in[1];
    int64_t symbols;
    if (!hx_mul_ok(targets->shape[1], 2, &symbols) || !hx_add_ok(symbols, 1, &symbols))
        return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "targets of %lld labels are too long", (long long)targets->shape[1]);
    for (int i = 1; i < 4; i++) c->cast[i] = HX_I64;
    hx_spec_set(&c->spec[0], (hx_dtype)x->dtype, &x->shape[1], 1);
    hx_spec_set(&c->spec[1], HX_F64, (int64_t[]){x->shape[1], x->shape[0], symbols}, 3);
    return HX_OK;
}

static hx_status native_vjp(hx_vjp *v) {
    if (v->g[0]) GIN(0, CALL(ctc_loss_backward, v->g[0], IN(0), IN(1), IN(2), IN(3), OUT(1), ATTR(0)));
    return HX_OK;
}

/* in: gradient (N), the inputs of native_ctc_loss, its log_alpha */
static hx_status backward_shape(hx_call *c) {
    c->cast[0] = (int8_t)c->in[1]->dtype;
    hx_spec_like(&c->spec[0], c->in[1]);
    return HX_OK;
}

/* ---- parts ---- */

#define UNREACHABLE -1e30 /* finite, so that gradients of logaddexp stay numbers */

typedef struct lattice {
    hx_tensor *x, *symbols, *lengths, *emission, *penalty, *last;
    int64_t times, batch, count;
} lattice;

static hx_tensor *wide(hx_tensor *t) {
    return t && (t->dtype == HX_F16 || t->dtype == HX_BF16) ? CALL(cast, t, (int)HX_F32) : t;
}

static hx_tensor *blanks(const lattice *a, int64_t count, int64_t blank) {
    return CALL(full, HX_INTS(a->batch, count), blank, (int)HX_I64);
}

/* 0 where it holds, else UNREACHABLE */
static hx_tensor *only(hx_tensor *condition, const lattice *a) {
    return CALL(cast, CALL(where, condition, 0.0, UNREACHABLE), a->x ? a->x->dtype : HX_F32);
}

/* The symbols of every target, what each emits at every time, and which may be reached by passing over a blank:
 * those that differ from the one two before. */
static lattice lattice_of(hx_tensor *x, hx_tensor *targets, hx_tensor *lengths, hx_tensor *labels, int64_t blank) {
    lattice a = {.x = wide(x), .times = x->shape[0], .batch = x->shape[1], .count = 2 * targets->shape[1] + 1};
    hx_tensor *counts = CALL(unsqueeze, labels, -1);
    targets = CALL(where, CALL(lt, CALL(arange, targets->shape[1]), counts), targets, blank);
    hx_tensor *pair[2] = {blanks(&a, a.count / 2, blank), targets};
    hx_tensor *pairs = CALL(reshape, CALL(stack, ((hx_list){pair, 2}), -1), HX_INTS(a.batch, a.count - 1));
    hx_tensor *all[2] = {pairs, blanks(&a, 1, blank)};
    a.symbols = CALL(cat, ((hx_list){all, 2}), 1);
    a.lengths = CALL(unsqueeze, lengths, -1);
    a.emission = CALL(gather, a.x, 2, CALL(expand, CALL(unsqueeze, a.symbols, 0), HX_INTS(a.times, a.batch, a.count)));
    if (a.count > 1) {
        hx_tensor *differ = CALL(ne, CALL(narrow, a.symbols, 1, 2, a.count - 2),
                                 CALL(narrow, a.symbols, 1, 0, a.count - 2));
        a.penalty = CALL(constant_pad, only(differ, &a), UNREACHABLE, HX_INTS(2, 0));
    }
    hx_tensor *place = CALL(arange, a.count), *end = CALL(mul, counts, 2);
    a.last = only(CALL(logical_and, CALL(le, place, end), CALL(ge, place, CALL(sub, end, 1))), &a);
    return a;
}

static hx_tensor *at_time(hx_tensor *t, int64_t i) { return CALL(select, t, 0, i); }

/* The value of symbol s - by (by > 0), or of s + by' (by < 0), at s. */
static hx_tensor *moved(hx_tensor *t, int64_t by, const lattice *a) {
    int64_t size = by < 0 ? -by : by, rest = a->count - size;
    hx_tensor *kept = CALL(narrow, t, 1, by < 0 ? size : 0, rest);
    return CALL(constant_pad, kept, UNREACHABLE, by < 0 ? HX_INTS(0, size) : HX_INTS(size, 0));
}

static hx_tensor *forward_step(hx_tensor *row, const lattice *a) {
    if (a->count == 1) return row;
    hx_tensor *near = CALL(logaddexp, row, moved(row, 1, a));
    return CALL(logaddexp, near, CALL(add, moved(row, 2, a), a->penalty));
}

static hx_tensor *backward_step(hx_tensor *row, const lattice *a) {
    if (a->count == 1) return row;
    hx_tensor *near = CALL(logaddexp, row, moved(row, -1, a));
    return CALL(logaddexp, near, moved(CALL(add, row, a->penalty), -2, a));
}

/* Rows of every time as one tensor (T, ...). */
static hx_tensor *joined(hx_tensor **rows, int64_t times) {
    return CALL(stack, ((hx_list){rows, (int)times}), 0);
}

/* log_alpha (T, N, symbols); a row behind a sequence's end repeats its last one. */
static hx_tensor *beginnings(const lattice *a, hx_tensor **rows) {
    hx_tensor *row = NULL;
    for (int64_t t = 0; t < a->times; t++) {
        hx_tensor *before = t ? forward_step(row, a) : only(CALL(lt, CALL(arange, a->count), 2), a);
        hx_tensor *next = CALL(add, before, at_time(a->emission, t));
        rows[t] = row = t ? CALL(where, CALL(gt, a->lengths, t), next, row) : next;
    }
    return a->times ? joined(rows, a->times) : NULL;
}

/* -log of the probability of all alignments (N); at least -UNREACHABLE / 10 when there are none. */
static hx_tensor *negative_log(const lattice *a, hx_tensor *alpha) {
    hx_tensor *none = CALL(neg, CALL(select, a->last, 1, 0)); /* no time at all: only an empty target fits */
    if (!a->times) return none;
    hx_tensor *all = CALL(logsumexp, CALL(add, at_time(alpha, a->times - 1), a->last), -1);
    return CALL(where, CALL(gt, CALL(squeeze, a->lengths, -1), 0), CALL(neg, all), none);
}

static hx_tensor *impossible(hx_tensor *loss) { return CALL(gt, loss, -UNREACHABLE / 10); }

static hx_status no_room(void) { return hx_fail(HX_E_MEMORY, HX1402_MEMORY, "no memory for the rows of every time"); }

static hx_status native_parts(hx_call *c) {
    lattice a = lattice_of(c->in[0], c->in[1], c->in[2], c->in[3], c->attr[0].v.i);
    size_t bytes = ((size_t)a.times + 1) * sizeof(hx_tensor *);
    hx_tensor **rows = hx_pool_alloc(bytes);
    if (!rows) return no_room();
    hx_tensor *alpha = beginnings(&a, rows), *loss = negative_log(&a, alpha);
    hx_pool_free(rows, bytes);
    RESULT(0, CALL(cast, CALL(where, impossible(loss), INFINITY, loss), c->in[0]->dtype));
    RESULT(1, alpha ? CALL(cast, CALL(transpose, alpha, 0, 1), (int)HX_F64) : hx_full_like_spec(&c->spec[1], 0, NULL));
    return HX_OK;
}

/* How probable each symbol is at each time, given the target (T, N, symbols). */
static hx_tensor *occupation(const lattice *a, hx_tensor *alpha, hx_tensor *loss, hx_tensor **rows) {
    hx_tensor *row = NULL, *lift = CALL(unsqueeze, loss, -1);
    for (int64_t t = a->times - 1; t >= 0; t--) {
        hx_tensor *next = row ? backward_step(CALL(add, row, at_time(a->emission, t + 1)), a) : a->last;
        row = CALL(where, CALL(le, a->lengths, t + 1), a->last, next);
        hx_tensor *here = CALL(exp, CALL(add, CALL(add, at_time(alpha, t), row), lift));
        rows[t] = CALL(where, CALL(gt, a->lengths, t), here, 0.0);
    }
    return joined(rows, a->times);
}

/* Everything again from the inputs, so that it can be differentiated. */
static hx_status backward_parts(hx_call *c) {
    lattice a = lattice_of(c->in[1], c->in[2], c->in[3], c->in[4], c->attr[0].v.i);
    size_t bytes = ((size_t)a.times + 1) * sizeof(hx_tensor *);
    if (!a.times) {
        RESULT(0, hx_full_like_spec(&c->spec[0], 0, NULL));
        return HX_OK;
    }
    hx_tensor **rows = hx_pool_alloc(bytes);
    if (!rows) return no_room();
    hx_tensor *alpha = beginnings(&a, rows), *loss = negative_log(&a, alpha), *g = wide(c->in[0]);
    hx_tensor *part = occupation(&a, alpha, loss, rows);
    hx_pool_free(rows, bytes);
    hx_tensor *share = CALL(mul, part, CALL(unsqueeze, CALL(neg, g), -1));
    hx_tensor *lost = CALL(where, CALL(eq, g, 0), 0.0, (double)NAN);
    share = CALL(where, CALL(unsqueeze, impossible(loss), -1), CALL(unsqueeze, lost, -1), share);
    hx_tensor *symbols = CALL(expand, CALL(unsqueeze, a.symbols, 0), HX_INTS(a.times, a.batch, a.count));
    hx_tensor *zeros = CALL(zeros_like, a.x);
    RESULT(0, CALL(cast, CALL(scatter_add, zeros, 2, symbols, share), c->in[1]->dtype));
    return HX_OK;
}

/* ---- ctc_loss ---- */

static hx_status check_scores(const hx_call *c) {
    const hx_tensor *x = c->in[0];
    HX_TRY(hx_require_dtype(x, "log_probs", HX_SET_FLOAT));
    if (x->ndim != 2 && x->ndim != 3)
        return hx_refuse_rank(x, "log_probs", "have the axes (T, N, C), or (T, C) without a batch");
    int64_t classes = x->shape[x->ndim - 1], blank = c->attr[0].v.i;
    if (blank < 0 || blank >= classes)
        return hx_fail(HX_E_VALUE, HX1403_VALUE, "blank %lld is not one of the %lld classes of log_probs %s",
                       (long long)blank, (long long)classes, hx_shape_text(x->shape, x->ndim));
    static const char *const names[] = {"log_probs", "targets", "input_lengths", "target_lengths"};
    for (int i = 1; i < 4; i++) HX_TRY(hx_require_dtype(c->in[i], names[i], HX_SET_INTEGER));
    return HX_OK;
}

static hx_status check_length(const hx_tensor *t, const char *name, int64_t batch) {
    if (t->numel == batch && t->ndim <= 1) return HX_OK;
    return hx_fail(HX_E_SHAPE, HX1002_INNER, "%s has shape %s; it needs one value for each of the %lld sequences", name,
                   hx_shape_text(t->shape, t->ndim), (long long)batch);
}

static hx_status extreme_of(hx_tensor *t, bool most, int64_t *value) {
    hx_scalar s;
    hx_tensor *one = most ? CALL(amax, t) : CALL(amin, t);
    if (!one) return hx_error_last()->code;
    HX_TRY(hx_tensor_item(one, &s));
    *value = s.v.i;
    return HX_OK;
}

/* Every length lies in 0..most. */
static hx_status check_range(hx_tensor *lengths, const char *name, int64_t most) {
    int64_t low, high;
    if (!lengths) return hx_error_last()->code;
    if (hx_tracing() || !lengths->numel) return HX_OK;
    HX_TRY(extreme_of(lengths, false, &low));
    HX_TRY(extreme_of(lengths, true, &high));
    if (low >= 0 && high <= most) return HX_OK;
    return hx_fail_about(FACTS(name, hx_text("0..%lld", (long long)most), hx_text("%lld", (long long)(low < 0 ? low : high))),
                         HX_E_VALUE, HX1403_VALUE, "%s holds %lld; every length must lie in 0..%lld", name,
                   (long long)(low < 0 ? low : high), (long long)most);
}

/* Targets that follow one another in one list, as rows of equal length. */
static hx_status as_rows(hx_tensor **targets, hx_tensor *labels) {
    hx_tensor *t = *targets;
    int64_t longest = 0, total = 0;
    if (hx_tracing())
        return hx_fail(HX_E_TRACE, HX1702_TRACE, "targets in one list need the values of target_lengths; pass rows (N, S)");
    if (labels->numel) {
        hx_scalar sum;
        HX_TRY(extreme_of(labels, true, &longest));
        hx_tensor *all = CALL(sum, labels);
        if (!all) return hx_error_last()->code;
        HX_TRY(hx_tensor_item(all, &sum));
        total = sum.v.i;
    }
    if (total != t->shape[0])
        return hx_fail(HX_E_SHAPE, HX1002_INNER, "targets has %lld labels, target_lengths sum to %lld",
                       (long long)t->shape[0], (long long)total);
    if (!total) {
        *targets = CALL(reshape, t, HX_INTS(labels->numel, 0));
        return *targets ? HX_OK : hx_error_last()->code;
    }
    hx_tensor *start = CALL(unsqueeze, CALL(sub, CALL(cumsum, labels, 0), labels), -1);
    *targets = CALL(index_select, t, 0, CALL(reshape, CALL(clamp_max, CALL(add, start, CALL(arange, longest)), total - 1), -1));
    *targets = CALL(reshape, *targets, HX_INTS(labels->numel, longest));
    return *targets ? HX_OK : hx_error_last()->code;
}

/* attr: blank, reduction, zero_infinity */
static hx_status ctc_parts(hx_call *c) {
    hx_tensor *x = c->in[0], *targets = c->in[1], *lengths = c->in[2], *labels = c->in[3];
    HX_TRY(check_scores(c));
    bool single = x->ndim == 2;
    int64_t batch = single ? 1 : x->shape[1];
    HX_TRY(check_length(lengths, "input_lengths", batch));
    HX_TRY(check_length(labels, "target_lengths", batch));
    lengths = CALL(reshape, CALL(cast, lengths, (int)HX_I64), -1);
    labels = CALL(reshape, CALL(cast, labels, (int)HX_I64), -1);
    HX_TRY(check_range(lengths, "input_lengths", x->shape[0]));
    if (single) x = CALL(unsqueeze, x, 1);
    if (single && targets->ndim == 1) targets = CALL(unsqueeze, targets, 0);
    if (!x || !targets) return hx_error_last()->code;
    if (targets->ndim == 1) {
        HX_TRY(check_range(labels, "target_lengths", targets->shape[0]));
        HX_TRY(as_rows(&targets, labels));
    }
    if (targets->ndim != 2 || targets->shape[0] != batch)
        return hx_fail_about(FACTS("targets", hx_text("%lld rows", (long long)batch),
                                   hx_shape_text(targets->shape, targets->ndim)), HX_E_SHAPE, HX1002_INNER,
                             "targets has shape %s; it needs a row for each of the %lld sequences, or all labels in "
                             "one list", hx_shape_text(targets->shape, targets->ndim), (long long)batch);
    HX_TRY(check_range(labels, "target_lengths", targets->shape[1]));
    hx_tensor *out[2] = {NULL};
    CALLN(out, 2, native_ctc_loss, x, targets, lengths, labels, &c->attr[0]);
    hx_tensor *loss = out[0];
    if (c->attr[2].v.i) loss = CALL(where, CALL(isinf, loss), 0.0, loss);
    if (hx_str_is(&c->attr[1], "mean")) {
        hx_tensor *count = CALL(cast, CALL(clamp_min, labels, 1), x->dtype);
        RESULT(0, CALL(mean, CALL(div, loss, count)));
    } else if (hx_str_is(&c->attr[1], "sum")) {
        RESULT(0, CALL(sum, loss));
    } else {
        RESULT(0, single ? CALL(squeeze, loss, 0) : loss);
    }
    return HX_OK;
}

const hx_op hx_ops_ctc[] = {
    {.name = "ctc_loss", .decompose = ctc_parts, .flags = HX_NN,
     .params = PARAMS(TENSOR("log_probs"), TENSOR("targets"), LENGTHS, INT("blank", 0),
                      STRING("reduction", "mean", "mean|sum|none"), BOOL("zero_infinity", false)),
     .doc = "-log of the probability of a label sequence that is not aligned with its input (CTC).\n\n"
            "log_probs: log-probabilities (T, N, C), or (T, C). targets: labels (N, S), or those of all sequences in one\n"
            "list. input_lengths, target_lengths: how many times and labels of each sequence count. blank: the class of\n"
            "no label. zero_infinity: a target that cannot fit its input costs 0 instead of infinity. 'mean' divides each\n"
            "loss by its target's length first. The gradient is that of log_probs as they are, so rows need not sum to 1.\n"
            "Source: Graves et al., \"Connectionist temporal classification\" (2006).\n"
            "reduction: 'mean', 'sum', or 'none' for the loss of every sequence.\n\n"
            "Fails with HX1301 for labels that are no class, with HX1403 for lengths outside their range.\n\n"
            "Example:\n    >>> log_probs = helix.tensor([[[0.5, 0.5]], [[0.5, 0.5]]]).log()\n"
            "    >>> one = helix.tensor([1])\n"
            "    >>> helix.nn.functional.ctc_loss(log_probs, one.view(1, 1), 2 * one, one).exp().item()\n    1.3333333730697632"},
    {.name = "native_ctc_loss", .outputs = "loss, log_alpha", .shape = native_shape, .vjp = native_vjp,
     .decompose = native_parts, .saves = SAVE_IN(0) | SAVE_IN(1) | SAVE_IN(2) | SAVE_IN(3) | SAVE_OUT(1),
     .flags = HX_INTERNAL_OP | HX_NONDIFF_OUT1,
     .params = PARAMS(TENSOR("log_probs"), TENSOR("targets"), LENGTHS, INT("blank", 0)),
     .doc = "The CTC loss of every sequence, and log_alpha (N, T, symbols) for its gradient."},
    {.name = "ctc_loss_backward", .shape = backward_shape, .decompose = backward_parts, .flags = HX_INTERNAL_OP,
     .params = PARAMS(TENSOR("gradient"), TENSOR("log_probs"), TENSOR("targets"), LENGTHS,
                      TENSOR("log_alpha"), INT("blank", 0)),
     .doc = "The gradient of the CTC loss for log_probs: minus the probability of each class at each time."},
    {0}};
