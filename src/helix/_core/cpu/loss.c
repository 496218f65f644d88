/* Losses. Cross-entropy comes from scores and class indices, forward and backward in one pass over the scores. The scores are
 * contiguous: (outer, classes, inner). Half types are computed in float. */
#include <stdatomic.h>
#include "maps.h"
#include "rows.h"

enum { L = HX_LANES_OF(float), TILE = 256, STREAM_BYTES = 32 << 20 };

typedef struct entropy_job {
    const char *x;
    const int64_t *target;
    const char *weight;            /* of each class, in the dtype of the scores; NULL: 1 */
    const char *grad;              /* of each loss; NULL forward */
    const void *lse;
    char *loss, *out;
    void *log_sum, *scale;         /* float, or double for float64 */
    int dtype;
    int64_t size, classes, inner, tiles, ignored;
    double smoothing, weight_sum;
    bool stream;
    atomic_bool failed;
    _Atomic int64_t bad;           /* a position whose target is no class, or -1 */
} entropy_job;

static double value(const entropy_job *j, const char *p, int64_t i) {
    float room = 0;
    if (j->dtype == HX_F64) return ((const double *)p)[i];
    return *hx_read_f32(p + i * j->size, j->dtype, 0, 1, &room);
}

static double weight_of(const entropy_job *j, int64_t class) { return j->weight ? value(j, j->weight, class) : 1; }

static double statistic(const entropy_job *j, const void *p, int64_t at) {
    return j->dtype == HX_F64 ? ((const double *)p)[at] : ((const float *)p)[at];
}

static void set_statistic(const entropy_job *j, void *p, int64_t at, double x) {
    if (j->dtype == HX_F64) ((double *)p)[at] = x;
    else ((float *)p)[at] = (float)x;
}

/* Is the position counted? One that is neither ignored nor a class is noted as bad. */
static bool counted(entropy_job *j, int64_t at) {
    int64_t t = j->target[at];
    if (t == j->ignored) return false;
    if (t >= 0 && t < j->classes) return true;
    atomic_store(&j->bad, at);
    return false;
}

/* The loss at a position from log-sum-exp, the target's score, and the weighted sum of all scores. */
static void finish(entropy_job *j, int64_t at, double lse, double score, double weighted) {
    double loss = 0, scale = 0;
    if (counted(j, at)) {
        scale = weight_of(j, j->target[at]);
        loss = (1 - j->smoothing) * scale * (lse - score);
        if (j->smoothing != 0) loss += j->smoothing / (double)j->classes * (j->weight_sum * lse - weighted);
    }
    set_statistic(j, j->log_sum, at, lse);
    set_statistic(j, j->scale, at, scale);
    hx_write_f64(j->loss + at * j->size, j->dtype, 0, 1, &loss);
}

static double weighted_sum(const entropy_job *j, const char *row, int64_t step) {
    double sum = 0;
    if (j->smoothing == 0) return 0;
    for (int64_t c = 0; c < j->classes; c++) sum += weight_of(j, c) * value(j, row, c * step);
    return sum;
}

static int64_t class_at(const entropy_job *j, int64_t at) {
    int64_t t = j->target[at];
    return t >= 0 && t < j->classes ? t : 0;
}

/* ---- rows ---- */

static double row_lse_f64(const double *x, int64_t n) {
    double m = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) m = x[i] > m || x[i] != x[i] ? x[i] : m;
    if (isinf(m)) return m;
    for (int64_t i = 0; i < n; i++) sum += hx_d_exp(x[i] - m);
    return m + log(sum);
}

static double row_lse_f32(const float *x, int64_t n) {
    float m = hx_row_max(x, n);
    return isinf(m) ? m : m + log(hx_row_exp_sum(x, NULL, n, m));
}

static void forward_rows(entropy_job *j, float *room, int64_t begin, int64_t end) {
    int64_t n = j->classes;
    for (int64_t r = begin; r < end; r++) {
        const char *x = j->x + r * n * j->size;
        const float *f = j->dtype == HX_F64 ? NULL : hx_read_f32(x, j->dtype, j->size, n, room);
        double lse = f ? row_lse_f32(f, n) : row_lse_f64((const double *)x, n);
        bool plain = f && !j->weight && j->smoothing != 0;
        finish(j, r, lse, value(j, x, class_at(j, r)), plain ? hx_row_sum(f, n) : weighted_sum(j, x, 1));
    }
}

/* d loss / d score_c = share softmax_c - kept [c = target] - smoothing weight_c / classes, times the gradient. */
typedef struct slope {
    double lse, share, kept, spread;
    int64_t target;
} slope;

static slope slope_at(entropy_job *j, int64_t at) {
    slope s = {.lse = statistic(j, j->lse, at), .target = class_at(j, at)};
    if (j->target[at] == j->ignored) return s;
    double g = value(j, j->grad, at);
    s.kept = g * (1 - j->smoothing) * weight_of(j, s.target);
    s.spread = g * j->smoothing / (double)j->classes;
    s.share = s.kept + s.spread * j->weight_sum;
    return s;
}

/* What the vectors left out: the target's own term, and class weights under smoothing. */
static void spread_row(const entropy_job *j, const slope *s, float *y) {
    y[s->target] -= (float)s->kept;
    if (s->spread != 0 && j->weight)
        for (int64_t c = 0; c < j->classes; c++) y[c] -= (float)(s->spread * weight_of(j, c));
}

static void backward_row_f32(const entropy_job *j, const slope *s, const float *x, float *y) {
    int64_t n = j->classes, i = 0;
    hx_vf lse = hx_vf_all((float)s->lse), share = hx_vf_all((float)s->share);
    hx_vf even = hx_vf_all(j->weight ? 0 : (float)s->spread);
    if (s->share == 0 && s->kept == 0) {
        memset(y, 0, (size_t)n * 4);
        return;
    }
    bool stream = j->stream && !((uintptr_t)y % sizeof(hx_vf));
    if (stream)
        for (; i + L <= n; i += L) hx_vf_stream(y + i, hx_vf_exp(hx_vf_load(x + i) - lse) * share - even);
    else
        for (; i + L <= n; i += L) hx_vf_store(y + i, hx_vf_exp(hx_vf_load(x + i) - lse) * share - even);
    int left = (int)(n - i);
    if (left) hx_vf_store_part(y + i, hx_vf_exp(hx_vf_load_part(x + i, left) - lse) * share - even, left);
    if (stream) hx_stream_fence();
    spread_row(j, s, y);
}

static void backward_row_f64(const entropy_job *j, const slope *s, const double *x, double *y) {
    for (int64_t c = 0; c < j->classes; c++)
        y[c] = s->share == 0 ? 0 : hx_d_exp(x[c] - s->lse) * s->share - s->spread * weight_of(j, c);
    y[s->target] -= s->kept;
}

static void backward_rows(entropy_job *j, float *room, int64_t begin, int64_t end) {
    int64_t n = j->classes;
    for (int64_t r = begin; r < end; r++) {
        const char *x = j->x + r * n * j->size;
        char *to = j->out + r * n * j->size;
        slope s = slope_at(j, r);
        if (j->dtype == HX_F64) {
            backward_row_f64(j, &s, (const double *)x, (double *)to);
            continue;
        }
        float *y = room ? room + n : (float *)to;
        backward_row_f32(j, &s, hx_read_f32(x, j->dtype, j->size, n, room), y);
        if (room) hx_write_f32(to, j->dtype, j->size, n, y);
    }
}

static void rows(void *ctx, int64_t begin, int64_t end) {
    entropy_job *j = ctx;
    size_t bytes = (size_t)j->classes * 8;
    float *room = NULL;
    if (j->dtype != HX_F64 && j->dtype != HX_F32 && !(room = hx_pool_alloc(bytes))) {
        atomic_store(&j->failed, true);
        return;
    }
    if (j->grad) backward_rows(j, room, begin, end);
    else forward_rows(j, room, begin, end);
    if (room) hx_pool_free(room, bytes);
}

/* ---- columns: the classes lie `inner` apart ---- */

#define COLUMNS(T, read, write, exp_loop)                                                                     \
    static void forward_##T(entropy_job *j, const char *x, int64_t at, int64_t n) {                           \
        T top[TILE], sum[TILE], y[TILE], room[TILE];                                                          \
        int64_t step = j->inner * j->size;                                                                    \
        for (int64_t i = 0; i < n; i++) top[i] = -INFINITY, sum[i] = 0;                                       \
        for (int64_t c = 0; c < j->classes; c++) {                                                            \
            const T *v = read(x + c * step);                                                                  \
            for (int64_t i = 0; i < n; i++) {                                                                 \
                T a = v[i], m = top[i];                                                                       \
                top[i] = (a > m) | (a != a) ? a : m;                                                          \
            }                                                                                                 \
        }                                                                                                     \
        for (int64_t i = 0; i < n; i++) top[i] = isinf(top[i]) ? 0 : top[i];                                  \
        for (int64_t c = 0; c < j->classes; c++) {                                                            \
            const T *v = read(x + c * step);                                                                  \
            for (int64_t i = 0; i < n; i++) y[i] = v[i] - top[i];                                             \
            exp_loop(y, n);                                                                                   \
            for (int64_t i = 0; i < n; i++) sum[i] += y[i];                                                   \
        }                                                                                                     \
        for (int64_t i = 0; i < n; i++) {                                                                     \
            const char *column = x + i * j->size;                                                             \
            finish(j, at + i, (double)top[i] + log((double)sum[i]),                                           \
                   value(j, column, class_at(j, at + i) * j->inner), weighted_sum(j, column, j->inner));      \
        }                                                                                                     \
    }                                                                                                         \
    static void backward_##T(entropy_job *j, const char *x, char *out, int64_t at, int64_t n) {               \
        T y[TILE], room[TILE];                                                                                \
        slope s[TILE];                                                                                        \
        int64_t step = j->inner * j->size;                                                                    \
        for (int64_t i = 0; i < n; i++) s[i] = slope_at(j, at + i);                                           \
        for (int64_t c = 0; c < j->classes; c++) {                                                            \
            const T *v = read(x + c * step);                                                                  \
            T w = (T)weight_of(j, c);                                                                         \
            for (int64_t i = 0; i < n; i++) y[i] = v[i] - (T)s[i].lse;                                        \
            exp_loop(y, n);                                                                                   \
            for (int64_t i = 0; i < n; i++) {                                                                 \
                T d = s[i].share == 0 ? 0 : y[i] * (T)s[i].share - (T)s[i].spread * w;                        \
                y[i] = c == s[i].target ? d - (T)s[i].kept : d;                                               \
            }                                                                                                 \
            write(out + c * step);                                                                            \
        }                                                                                                     \
    }
#define READ_F32(p) hx_read_f32(p, j->dtype, j->size, n, room)
#define READ_F64(p) hx_read_f64(p, 8, n, room)
#define WRITE_F32(p) hx_write_f32(p, j->dtype, j->size, n, y)
#define WRITE_F64(p) hx_write_f64(p, HX_F64, 8, n, y)
#define EXP_F32(y, n) HX_VF_LOOP(y, y, n, power, hx_vf_exp(power))
#define EXP_F64(y, n) for (int64_t i = 0; i < n; i++) y[i] = hx_d_exp(y[i])
COLUMNS(float, READ_F32, WRITE_F32, EXP_F32)
COLUMNS(double, READ_F64, WRITE_F64, EXP_F64)

static void columns(void *ctx, int64_t task) {
    entropy_job *j = ctx;
    int64_t outer = task / j->tiles, column = task % j->tiles * TILE;
    int64_t n = j->inner - column < TILE ? j->inner - column : TILE, at = outer * j->inner + column;
    int64_t offset = (outer * j->classes * j->inner + column) * j->size;
    if (j->grad) {
        if (j->dtype == HX_F64) backward_double(j, j->x + offset, j->out + offset, at, n);
        else backward_float(j, j->x + offset, j->out + offset, at, n);
    } else {
        if (j->dtype == HX_F64) forward_double(j, j->x + offset, at, n);
        else forward_float(j, j->x + offset, at, n);
    }
}

/* ---- calls ---- */

static hx_code verdict(entropy_job *j, hx_err *err) {
    int64_t bad = atomic_load(&j->bad);
    if (bad < 0) return HX_OK;
    return hx_kernel_fail_about(FACTS("target", hx_text("0..%lld", (long long)(j->classes - 1)),
                                      hx_text("%lld", (long long)j->target[bad])), err, HX_E_INDEX, HX1301_INDEX,
                          "target %lld at flat position %lld is not a class: input has %lld classes (valid 0..%lld; "
                          "ignore_index is %lld)",
                          (long long)j->target[bad], (long long)bad, (long long)j->classes,
                          (long long)(j->classes - 1), (long long)j->ignored);
}

static hx_code run(entropy_job *j, const hx_view *x, const hx_view *weight, const hx_attr *attr, hx_err *err) {
    int dim = x->ndim > 1 ? 1 : 0;
    j->x = x->data;
    j->dtype = x->dtype;
    j->size = (int64_t)hx_dtype_size((hx_dtype)x->dtype);
    j->classes = x->shape[dim];
    j->inner = 1;
    for (int d = dim + 1; d < x->ndim && x->numel; d++) j->inner *= x->shape[d];
    j->weight = hx_absent(weight) ? NULL : weight->data;
    j->ignored = attr[0].v.i;
    j->smoothing = attr[1].v.f;
    j->stream = x->dtype == HX_F32 && x->numel * 4 >= STREAM_BYTES;
    atomic_store(&j->bad, -1);
    if (!x->numel) return HX_OK;
    for (int64_t c = 0; c < j->classes; c++) j->weight_sum += weight_of(j, c);
    int64_t outer = x->numel / j->classes / j->inner;
    if (j->inner == 1) {
        hx_parallel_range(outer, j->classes < 16384 ? 16384 / j->classes : 1, rows, j);
    } else {
        j->tiles = (j->inner + TILE - 1) / TILE;
        hx_parallel(outer * j->tiles, columns, j);
    }
    if (atomic_load(&j->failed)) return hx_kernel_fail(err, HX_E_MEMORY, HX1402_MEMORY, "no memory for rows of floats");
    return verdict(j, err);
}

/* in: input, target, weight; attr: ignore_index, label_smoothing; out: loss, log_sum, scale */
HX_KERNEL(k_cross_entropy) {
    HX_UNUSED;
    entropy_job j = {.target = call->in[1].data, .loss = call->out[0].data, .log_sum = call->out[1].data,
                     .scale = call->out[2].data};
    return run(&j, &call->in[0], &call->in[2], call->attr, err);
}

/* in: gradient, input, target, log_sum, weight; the same attributes; out: gradient of input */
HX_KERNEL(k_cross_entropy_backward) {
    HX_UNUSED;
    entropy_job j = {.grad = call->in[0].data, .target = call->in[2].data, .lse = call->in[3].data,
                     .out = call->out[0].data};
    return run(&j, &call->in[1], &call->in[4], call->attr, err);
}

/* ---- log-probabilities of the targets ---- */

#define PICK(name, T, load, store)                                                                            \
    static void name(void *ctx, int64_t begin, int64_t end) {                                                 \
        entropy_job *j = ctx;                                                                                 \
        const T *x = (const T *)j->x;                                                                         \
        T *loss = (T *)j->loss, *scales = j->scale;                                                           \
        int64_t inner = j->inner, outer = begin / inner, column = begin % inner;                              \
        for (int64_t at = begin; at < end; at++) {                                                            \
            double scale = 0, term = 0;                                                                       \
            if (counted(j, at)) {                                                                             \
                scale = j->weight ? weight_of(j, j->target[at]) : 1;                                          \
                term = -scale * load(x[(outer * j->classes + j->target[at]) * inner + column]);               \
            }                                                                                                 \
            loss[at] = store(term);                                                                           \
            scales[at] = store(scale);                                                                        \
            if (++column < inner) continue;                                                                   \
            column = 0;                                                                                       \
            outer++;                                                                                          \
        }                                                                                                     \
    }
#define F16_OF(x) hx_f32_to_f16((float)(x))
#define BF16_OF(x) hx_f32_to_bf16((float)(x))
PICK(pick_f16, uint16_t, (double)hx_f16_to_f32, F16_OF)
PICK(pick_bf16, uint16_t, (double)hx_bf16_to_f32, BF16_OF)
PICK(pick_f32, float, (double), (float))
PICK(pick_f64, double, (double), (double))

/* in: input, target, weight; attr: ignore_index; out: loss, scale */
HX_KERNEL(k_nll) {
    HX_UNUSED;
    const hx_view *x = &call->in[0];
    int dim = x->ndim > 1 ? 1 : 0;
    entropy_job j = {.x = x->data, .target = call->in[1].data, .weight = hx_absent(&call->in[2]) ? NULL : call->in[2].data,
                     .loss = call->out[0].data, .scale = call->out[1].data, .dtype = x->dtype,
                     .size = (int64_t)hx_dtype_size((hx_dtype)x->dtype), .classes = x->shape[dim], .inner = 1,
                     .ignored = call->attr[0].v.i};
    for (int d = dim + 1; d < x->ndim && x->numel; d++) j.inner *= x->shape[d];
    atomic_store(&j.bad, -1);
    hx_parallel_range(call->out[0].numel, 16384,
                      x->dtype == HX_F64 ? pick_f64 : x->dtype == HX_F32 ? pick_f32 : x->dtype == HX_F16 ? pick_f16 : pick_bf16, &j);
    return verdict(&j, err);
}

/* ---- Huber's loss ---- */

#define HUBER(type, T, magnitude)                                                                             \
    static void huber_##type(void *out, const T *const *in, int64_t n, const void *args) {                    \
        T *o = out;                                                                                           \
        const T *a = in[0], *b = in[1], delta = (T)*(const double *)args, half = delta / 2;                   \
        _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                                                \
            T d = magnitude(a[i] - b[i]), near = d * d / 2, far = (d - half) * delta;                         \
            o[i] = d <= delta ? near : far;                                                                   \
        }                                                                                                     \
    }
HUBER(f32, float, fabsf)
HUBER(f64, double, fabs)
static const hx_map huber_map = {huber_f32, huber_f64, NULL, NULL, HX_MAP_SAME, false, 0};

/* in: input, target; attr: delta */
HX_KERNEL(k_huber) {
    HX_UNUSED;
    return hx_run_map(call, &huber_map, &call->attr[0].v.f, err);
}

HX_KERNELS(loss) = {
    KERNEL_CONTIGUOUS(nll_terms, k_nll, HX_SET_FLOAT),
    KERNEL(huber_distance, k_huber, HX_SET_FLOAT),
    KERNEL_CONTIGUOUS(native_cross_entropy, k_cross_entropy, HX_SET_FLOAT),
    KERNEL_CONTIGUOUS(cross_entropy_backward, k_cross_entropy_backward, HX_SET_FLOAT),
    {0}};
