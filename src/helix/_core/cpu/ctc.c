/* The CTC loss and its gradient, one sequence a task. log_alpha and what comes from it are computed in double. */
#include <stdatomic.h>
#include "blocks.h"
#include "vmath.h"

typedef struct ctc_job {
    const char *x, *grad;                 /* log_probs (T, N, C); gradient of each loss (N), NULL forward */
    const int64_t *targets, *lengths, *label_counts;
    char *loss, *out;
    double *alpha;                        /* (N, T, symbols) */
    int dtype;
    int64_t size, times, batch, classes, labels, symbols, blank;
    atomic_bool failed;
    _Atomic int64_t bad;                  /* flat position of the first label that is no class, or INT64_MAX */
} ctc_job;

/* One sequence, and memory for it. Rows have two cells before and behind the symbols. */
typedef struct sequence {
    int64_t n, times, labels, symbols;
    int64_t *class;                       /* of each symbol */
    double *skip;                         /* 0 where a symbol may follow the one two before, else -inf */
    double *emission, *row, *next, *total;
    void *memory;
    size_t bytes;
} sequence;

enum { BORDER = 2 };

static double read_at(const ctc_job *j, const char *p, int64_t i) {
    float room = 0;
    if (j->dtype == HX_F64) return ((const double *)p)[i];
    return *hx_read_f32(p + i * j->size, j->dtype, 0, 1, &room);
}

static void fill(double *p, int64_t n, double value) {
    for (int64_t i = 0; i < n; i++) p[i] = value;
}

static void note_bad(ctc_job *j, int64_t at) {
    int64_t seen = atomic_load(&j->bad);
    while (at < seen && !atomic_compare_exchange_weak(&j->bad, &seen, at)) {}
}

static bool open_sequence(ctc_job *j, sequence *q, int64_t n) {
    int64_t cells = j->symbols + 2 * BORDER;
    *q = (sequence){.n = n, .times = j->lengths[n], .labels = j->label_counts[n], .symbols = 2 * j->label_counts[n] + 1};
    q->bytes = (size_t)(5 * cells + j->classes) * 8;
    q->memory = hx_pool_alloc(q->bytes);
    if (!q->memory) {
        atomic_store(&j->failed, true);
        return false;
    }
    double *p = q->memory;
    fill(p, 5 * cells, -INFINITY);
    q->class = (int64_t *)(p + BORDER);
    q->skip = p + cells + BORDER;
    q->emission = p + 2 * cells + BORDER;
    q->row = p + 3 * cells + BORDER;
    q->next = p + 4 * cells + BORDER;
    q->total = p + 5 * cells;
    fill(q->total, j->classes, 0);
    for (int64_t s = 0; s < q->symbols; s++) {
        int64_t label = s % 2 ? j->targets[n * j->labels + s / 2] : j->blank;
        if (label < 0 || label >= j->classes) {
            note_bad(j, n * j->labels + s / 2);
            label = j->blank;
        }
        q->class[s] = label;
        q->skip[s] = s > 1 && label != q->class[s - 2] ? 0 : -INFINITY;
    }
    return true;
}

static void close_sequence(sequence *q) { hx_pool_free(q->memory, q->bytes); }

static void read_emission(const ctc_job *j, const sequence *q, int64_t t) {
    const char *x = j->x + (t * j->batch + q->n) * j->classes * j->size;
    double blank = read_at(j, x, j->blank);
    for (int64_t s = 0; s < q->symbols; s += 2) q->emission[s] = blank;
    for (int64_t s = 1; s < q->symbols; s += 2) q->emission[s] = read_at(j, x, q->class[s]);
}

static inline double log_sum(double a, double b, double c) {
    double top = a > b ? a : b;
    top = c > top ? c : top;
    double base = top > -INFINITY ? top : 0;
    return base + hx_d_log(hx_d_exp(a - base) + hx_d_exp(b - base) + hx_d_exp(c - base));
}

/* log_alpha of every time, and the loss */
static void forward_sequence(ctc_job *j, sequence *q) {
    double *alpha = j->alpha + q->n * j->times * j->symbols, loss = q->labels ? INFINITY : 0;
    for (int64_t t = 0; t < q->times; t++, alpha += j->symbols) {
        const double *row = q->row, *skip = q->skip, *emission = q->emission;
        read_emission(j, q, t);
        if (t)
            for (int64_t s = 0; s < q->symbols; s++)
                q->next[s] = log_sum(row[s], row[s - 1], row[s - 2] + skip[s]) + emission[s];
        else
            for (int64_t s = 0; s < q->symbols && s < 2; s++) q->next[s] = emission[s];
        memcpy(alpha, q->next, (size_t)q->symbols * 8);
        fill(alpha + q->symbols, j->symbols - q->symbols, -INFINITY);
        memcpy(q->row, q->next, (size_t)q->symbols * 8);
    }
    fill(alpha, (j->times - q->times) * j->symbols, -INFINITY);
    if (q->times) loss = -log_sum(q->row[q->symbols - 1], q->row[q->symbols - 2], -INFINITY);
    hx_write_f64(j->loss + q->n * j->size, j->dtype, 0, 1, &loss);
}

/* Where no alignment exists the gradient is not defined, unless nothing depends on the loss. */
static void write_gradient(const ctc_job *j, const sequence *q, int64_t t, double g, bool possible) {
    double lost = g == 0 ? 0 : NAN;
    char *to = j->out + (t * j->batch + q->n) * j->classes * j->size;
    if (!possible) fill(q->total, j->classes, lost);
    hx_write_f64(to, j->dtype, j->size, j->classes, q->total);
}

/* row: log of the probability of all ends of alignments that stand at a symbol now */
static void backward_sequence(ctc_job *j, sequence *q) {
    const double *alpha = j->alpha + (q->n * j->times + q->times) * j->symbols;
    double g = read_at(j, j->grad, q->n);
    for (int64_t t = q->times; t < j->times; t++) write_gradient(j, q, t, 0, true);
    if (q->times == 0) return;
    const double *last = alpha - j->symbols;
    double loss = -log_sum(last[q->symbols - 1], q->symbols > 1 ? last[q->symbols - 2] : -INFINITY, -INFINITY);
    bool possible = loss < INFINITY;
    for (int64_t t = q->times - 1; t >= 0; t--) {
        alpha -= j->symbols;
        const double *next = q->next, *skip = q->skip;
        if (t == q->times - 1) {
            q->row[q->symbols - 1] = 0;
            if (q->symbols > 1) q->row[q->symbols - 2] = 0;
        } else {
            read_emission(j, q, t + 1);
            for (int64_t s = 0; s < q->symbols; s++) q->next[s] = q->row[s] + q->emission[s];
            for (int64_t s = 0; s < q->symbols; s++)
                q->row[s] = log_sum(next[s], next[s + 1], next[s + 2] + skip[s + 2]);
        }
        for (int64_t s = 0; s < q->symbols; s++) q->next[s] = g * hx_d_exp(alpha[s] + q->row[s] + loss);
        for (int64_t s = 0; s < q->symbols; s++) q->total[q->class[s]] -= q->next[s];
        write_gradient(j, q, t, g, possible);
        for (int64_t s = 0; s < q->symbols; s++) q->total[q->class[s]] = 0;
    }
}

static void sequences(void *ctx, int64_t begin, int64_t end) {
    ctc_job *j = ctx;
    for (int64_t n = begin; n < end; n++) {
        sequence q;
        if (!open_sequence(j, &q, n)) return;
        if (j->grad) backward_sequence(j, &q);
        else forward_sequence(j, &q);
        close_sequence(&q);
    }
}

/* in: log_probs, targets, input_lengths, target_lengths */
static hx_code run(ctc_job *j, const hx_view *in, const hx_attr *attr, hx_err *err) {
    const hx_view *x = &in[0];
    j->x = x->data;
    j->dtype = x->dtype;
    j->size = (int64_t)hx_dtype_size((hx_dtype)x->dtype);
    j->times = x->shape[0];
    j->batch = x->shape[1];
    j->classes = x->shape[2];
    j->targets = in[1].data;
    j->labels = in[1].shape[1];
    j->symbols = 2 * j->labels + 1;
    j->lengths = in[2].data;
    j->label_counts = in[3].data;
    j->blank = attr[0].v.i;
    atomic_init(&j->failed, false);
    atomic_init(&j->bad, INT64_MAX);
    int64_t work = j->times * (j->symbols * 64 + j->classes) + 1;
    hx_parallel_range(j->batch, work < 65536 ? 65536 / work + 1 : 1, sequences, j);
    if (atomic_load(&j->failed)) return hx_kernel_fail(err, HX_E_MEMORY, HX1402_MEMORY, "no memory for a row of symbols");
    int64_t bad = atomic_load(&j->bad);
    if (bad == INT64_MAX) return HX_OK;
    return hx_kernel_fail_about(FACTS("targets", hx_text("0..%lld", (long long)(j->classes - 1)),
                                      hx_text("%lld", (long long)j->targets[bad])), err, HX_E_INDEX, HX1301_INDEX,
                          "label %lld at position (%lld, %lld) of targets is not a class: log_probs has %lld (valid 0..%lld)",
                          (long long)j->targets[bad], (long long)(bad / j->labels), (long long)(bad % j->labels),
                          (long long)j->classes, (long long)(j->classes - 1));
}

/* out: loss, log_alpha */
HX_KERNEL(k_ctc_loss) {
    HX_UNUSED;
    ctc_job j = {.loss = call->out[0].data, .alpha = call->out[1].data};
    return run(&j, call->in, call->attr, err);
}

/* in: gradient, the inputs of native_ctc_loss, log_alpha; out: gradient of log_probs */
HX_KERNEL(k_ctc_loss_backward) {
    HX_UNUSED;
    ctc_job j = {.grad = call->in[0].data, .alpha = call->in[5].data, .out = call->out[0].data};
    return run(&j, call->in + 1, call->attr, err);
}

HX_KERNELS(ctc) = {
    KERNEL_CONTIGUOUS(native_ctc_loss, k_ctc_loss, HX_SET_FLOAT),
    KERNEL_CONTIGUOUS(ctc_loss_backward, k_ctc_loss_backward, HX_SET_FLOAT),
    {0}};
