/* Optimizer steps over lists of tensors in one pass over memory, with arithmetic in float32 (float64 for float64
 * parameters) whatever the storage, and the helpers of gradient clipping. */
#include "maps.h"
#include "vmath.h"

enum { PARTS = 5, CHUNK = 16384, NUMBERS = 10 };

/* ---- lists: group k of tensor t is at views[k * n + t] ---- */

typedef struct step step;
struct step {
    void (*f32)(float *const *at, int64_t n, const step *s, double factor);
    void (*f64)(double *const *at, int64_t n, const step *s, double factor);
    const hx_view *views;
    int64_t n;       /* tensors in a group */
    int parts;       /* groups */
    uint32_t writes; /* bit k: group k is written */
    const int64_t *first; /* number of the first chunk of each tensor, and of all at the end */
    const hx_view *factors; /* one number a tensor, or NULL: 1 for all */
    /* the scalars of SGD and Adam */
    double lr, momentum, dampening, decay, beta1, beta2, eps, correction1, correction2;
    bool nesterov, maximize, decoupled;
    double c[NUMBERS]; /* and of the table of rules */
};

typedef struct room {
    union { float f[PARTS][HX_MAP_BLOCK]; double d[PARTS][HX_MAP_BLOCK]; } u;
} room;

/* One run of one tensor, through blocks where a part is not float32 (or float64) and contiguous. */
typedef struct run {
    const step *s;
    int dtype[PARTS];
    bool wide;
    double factor;
} run;

static void run_blocks(char **p, const int64_t *by, int64_t n, const void *ctx) {
    const run *r = ctx;
    const step *s = r->s;
    room space;
    for (int64_t at = 0; at < n; at += HX_MAP_BLOCK) {
        int64_t m = n - at < HX_MAP_BLOCK ? n - at : HX_MAP_BLOCK;
        float *f[PARTS] = {0};
        double *d[PARTS] = {0};
        for (int k = 0; k < s->parts; k++) {
            const char *from = p[k] + at * by[k];
            if (!r->wide) {
                f[k] = (float *)hx_read_f32(from, r->dtype[k], by[k], m, space.u.f[k]);
            } else if (r->dtype[k] == HX_F64) {
                d[k] = (double *)hx_read_f64(from, by[k], m, space.u.d[k]);
            } else {
                float narrow[HX_MAP_BLOCK];
                const float *x = hx_read_f32(from, r->dtype[k], by[k], m, narrow);
                for (int64_t i = 0; i < m; i++) space.u.d[k][i] = x[i];
                d[k] = space.u.d[k];
            }
        }
        if (r->wide) s->f64(d, m, s, r->factor);
        else s->f32(f, m, s, r->factor);
        for (int k = 0; k < s->parts; k++) {
            char *to = p[k] + at * by[k];
            if (!(s->writes >> k & 1)) continue;
            if (r->wide && (char *)d[k] != to) hx_write_f64(to, r->dtype[k], by[k], m, d[k]);
            if (!r->wide && (char *)f[k] != to) hx_write_f32(to, r->dtype[k], by[k], m, f[k]);
        }
    }
}

static bool all_contiguous(const step *s, int64_t t) {
    for (int k = 0; k < s->parts; k++)
        if (!s->views[k * s->n + t].contiguous) return false;
    return true;
}

static double factor_of(const step *s, int64_t t) {
    if (!s->factors) return 1;
    float room = 0;
    size_t size = hx_dtype_size((hx_dtype)s->factors->dtype);
    const char *at = (const char *)s->factors->data + t * s->factors->strides[0] * (int64_t)size;
    if (s->factors->dtype == HX_F64) return *(const double *)at;
    return *hx_read_f32(at, s->factors->dtype, (int64_t)size, 1, &room);
}

static void run_tensor(const step *s, int64_t t, int64_t begin, int64_t end) {
    const hx_view *views[PARTS];
    run r = {.s = s, .wide = s->views[t].dtype == HX_F64, .factor = factor_of(s, t)};
    char *at[PARTS];
    int64_t by[PARTS];
    for (int k = 0; k < s->parts; k++) {
        views[k] = &s->views[k * s->n + t];
        r.dtype[k] = views[k]->dtype;
        by[k] = (int64_t)hx_dtype_size((hx_dtype)views[k]->dtype);
        at[k] = (char *)views[k]->data + begin * by[k];
    }
    hx_err unused = {.struct_size = sizeof unused};
    if (all_contiguous(s, t)) run_blocks(at, by, end - begin, &r);
    else hx_iterate_views(views, s->parts, run_blocks, &r, 0, &unused);
}

static void run_chunk(void *ctx, int64_t chunk) {
    const step *s = ctx;
    int64_t low = 0, high = s->n;
    while (high - low > 1) {
        int64_t middle = (low + high) / 2;
        if (s->first[middle] <= chunk) low = middle;
        else high = middle;
    }
    int64_t numel = s->views[low].numel, begin = (chunk - s->first[low]) * CHUNK;
    int64_t end = begin + CHUNK < numel && all_contiguous(s, low) ? begin + CHUNK : numel;
    run_tensor(s, low, begin, end);
}

/* Chunks of CHUNK elements; a tensor with gaps is one chunk. */
static hx_code run_list(step *s, hx_err *err) {
    int64_t small[257], *first = small, chunks = 0;
    if (s->n > 256) first = hx_desk(HX_DESK_CHUNKS, (size_t)(s->n * s->parts + 1) * sizeof *first);
    if (!first) return hx_kernel_fail(err, HX_E_MEMORY, 1402, "no memory for a list of %lld tensors", (long long)s->n);
    for (int64_t t = 0; t < s->n; t++) {
        int64_t numel = s->views[t].numel;
        first[t] = chunks;
        chunks += numel == 0 ? 0 : all_contiguous(s, t) ? (numel + CHUNK - 1) / CHUNK : 1;
    }
    first[s->n] = chunks;
    s->first = first;
    if (chunks) hx_parallel(chunks, run_chunk, s);
    return HX_OK;
}

/* ---- SGD (Sutskever et al., ICML 2013, in torch's form) ---- */

#define SGD(name, T)                                                                                          \
    static void name(T *const *at, int64_t n, const step *s, double factor) {                                 \
        (void)factor;                                                                                         \
        const T lr = (T)s->lr, momentum = (T)s->momentum, fresh = (T)(1 - s->dampening), decay = (T)s->decay; \
        const T sign = s->maximize ? -1 : 1;                                                                  \
        T *p = at[0], *buffer = s->parts > 2 ? at[2] : NULL;                                                  \
        const T *gradient = at[1];                                                                            \
        if (!buffer) {                                                                                        \
            _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++)                                              \
                p[i] -= lr * (sign * gradient[i] + decay * p[i]);                                             \
        } else if (s->nesterov) {                                                                             \
            _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                                            \
                T g = sign * gradient[i] + decay * p[i], b = momentum * buffer[i] + fresh * g;                \
                buffer[i] = b;                                                                                \
                p[i] -= lr * (g + momentum * b);                                                              \
            }                                                                                                 \
        } else {                                                                                              \
            _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                                            \
                T b = momentum * buffer[i] + fresh * (sign * gradient[i] + decay * p[i]);                     \
                buffer[i] = b;                                                                                \
                p[i] -= lr * b;                                                                               \
            }                                                                                                 \
        }                                                                                                     \
    }
SGD(sgd_f32, float)
SGD(sgd_f64, double)

HX_KERNEL(k_sgd) {
    HX_UNUSED;
    const hx_attr *a = call->attr;
    step s = {.f32 = sgd_f32, .f64 = sgd_f64, .views = call->in, .lr = a[0].v.f, .momentum = a[1].v.f,
              .dampening = a[2].v.f, .decay = a[3].v.f, .nesterov = a[4].v.i, .maximize = a[5].v.i};
    s.parts = s.momentum != 0 ? 3 : 2;
    s.writes = 5;
    s.n = (int64_t)call->n_in / s.parts;
    return run_list(&s, err);
}

/* ---- Adam (Kingma and Ba, arXiv:1412.6980) and AdamW (Loshchilov and Hutter, arXiv:1711.05101) ---- */

#define ADAM(name, T, root)                                                                                   \
    static void name(T *const *at, int64_t n, const step *s, double factor) {                                 \
        (void)factor;                                                                                         \
        const T rest1 = (T)(1 - s->beta1), beta2 = (T)s->beta2, rest2 = (T)(1 - s->beta2), eps = (T)s->eps;   \
        const T size = (T)(s->lr / s->correction1), scale = (T)(1 / sqrt(s->correction2));                    \
        const T keep = (T)(s->decoupled ? 1 - s->lr * s->decay : 1), decay = (T)(s->decoupled ? 0 : s->decay);\
        const T sign = s->maximize ? -1 : 1;                                                                  \
        T *p = at[0], *mean = at[2], *square = at[3], *peak = s->parts > 4 ? at[4] : at[3];                   \
        const T *gradient = at[1];                                                                            \
        bool amsgrad = s->parts > 4;                                                                          \
        _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                                                \
            T g = sign * gradient[i] + decay * p[i];                                                          \
            T m = mean[i] + rest1 * (g - mean[i]), v = beta2 * square[i] + rest2 * g * g;                     \
            mean[i] = m;                                                                                      \
            square[i] = v;                                                                                    \
            if (amsgrad) {                                                                                    \
                v = peak[i] > v ? peak[i] : v;                                                                \
                peak[i] = v;                                                                                  \
            }                                                                                                 \
            p[i] = keep * p[i] - size * m / (root(v) * scale + eps);                                          \
        }                                                                                                     \
    }
ADAM(adam_f32, float, sqrtf)
ADAM(adam_f64, double, sqrt)

HX_KERNEL(k_adam) {
    HX_UNUSED;
    const hx_attr *a = call->attr;
    step s = {.f32 = adam_f32, .f64 = adam_f64, .views = call->in, .lr = a[0].v.f, .beta1 = a[1].v.f,
              .beta2 = a[2].v.f, .eps = a[3].v.f, .decay = a[4].v.f, .decoupled = a[6].v.i, .maximize = a[8].v.i};
    double count = (double)a[5].v.i;
    s.correction1 = 1 - pow(s.beta1, count);
    s.correction2 = 1 - pow(s.beta2, count);
    s.parts = a[7].v.i ? 5 : 4;
    s.writes = a[7].v.i ? 29 : 13;
    s.n = (int64_t)call->n_in / s.parts;
    return run_list(&s, err);
}

/* ---- the table of rules ---- */

#define SQRT(x) _Generic((x), float: sqrtf, double: sqrt)(x)
#define ABS(x) _Generic((x), float: fabsf, double: fabs)(x)

/* A rule is said for one element: p, the gradient g (sign and weight decay applied), the states a, b, d, and the
 * numbers c[0] … of the call; it leaves the new parameter in `next`. */
#define RULE_BODY(T, ...)                                                                                     \
    {                                                                                                         \
        typedef T real;                                                                                       \
        const T sign = (T)s->c[0], decay = (T)s->c[1], keep = (T)s->c[2];                                     \
        T c[NUMBERS - 3];                                                                                     \
        for (int k = 0; k < NUMBERS - 3; k++) c[k] = (T)s->c[k + 3];                                          \
        (void)factor;                                                                                         \
        T *p_at = at[0], *a = at[2], *b = at[3], *d = at[4];                                                  \
        (void)a, (void)b, (void)d;                                                                            \
        const T *g_at = at[1];                                                                                \
        _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                                                \
            const T old = p_at[i], p = keep * old, g = sign * g_at[i] + decay * old;                          \
            real next;                                                                                        \
            (void)p, (void)g;                                                                                 \
            __VA_ARGS__                                                                                       \
            p_at[i] = next;                                                                                   \
        }                                                                                                     \
    }
#define RULE(name, ...)                                                                                       \
    static void name##_f32(float *const *at, int64_t n, const step *s, double factor) RULE_BODY(float, __VA_ARGS__) \
    static void name##_f64(double *const *at, int64_t n, const step *s, double factor) RULE_BODY(double, __VA_ARGS__)

/* Adamax: Kingma and Ba, arXiv:1412.6980, section 7.1. 1 - beta1, beta2, eps, lr / correction1. */
RULE(adamax,
     real m = a[i] + c[0] * (g - a[i]), u = c[1] * b[i], size = ABS(g) + c[2];
     u = u > size || u != u ? u : size;
     a[i] = m;
     b[i] = u;
     next = p - c[3] * m / u;)

/* NAdam: Dozat, ICLR workshop 2016. 1 - beta1, beta2, 1 - beta2, eps, 1 / sqrt(correction2), of g, of m. */
RULE(nadam,
     real m = a[i] + c[0] * (g - a[i]), v = c[1] * b[i] + c[2] * g * g;
     a[i] = m;
     b[i] = v;
     next = p - (c[5] * g + c[6] * m) / (SQRT(v) * c[4] + c[3]);)

/* RAdam: Liu et al., arXiv:1908.03265. 1 - beta1, beta2, 1 - beta2, eps, step size; 1 while the variance is unknown. */
RULE(radam,
     real m = a[i] + c[0] * (g - a[i]), v = c[1] * b[i] + c[2] * g * g;
     a[i] = m;
     b[i] = v;
     next = p - c[4] * m / (c[5] != 0 ? 1 : SQRT(v) + c[3]);)

/* Adagrad: Duchi, Hazan and Singer, JMLR 2011. eps, lr. */
RULE(adagrad,
     real v = a[i] + g * g;
     a[i] = v;
     next = p - c[1] * g / (SQRT(v) + c[0]);)

/* Adadelta: Zeiler, arXiv:1212.5701. rho, 1 - rho, eps, lr. */
RULE(adadelta,
     real v = c[0] * a[i] + c[1] * g * g, step = SQRT(b[i] + c[2]) / SQRT(v + c[2]) * g;
     a[i] = v;
     b[i] = c[0] * b[i] + c[1] * step * step;
     next = p - c[3] * step;)

/* RMSprop: Tieleman and Hinton, 2012; centred: Graves, arXiv:1308.0850. alpha, 1 - alpha, eps, lr, momentum. */
RULE(rmsprop,
     real v = c[0] * a[i] + c[1] * g * g;
     a[i] = v;
     next = p - c[3] * (g / (SQRT(v) + c[2]));)
RULE(rmsprop_momentum,
     real v = c[0] * a[i] + c[1] * g * g, move = c[4] * b[i] + g / (SQRT(v) + c[2]);
     a[i] = v;
     b[i] = move;
     next = p - c[3] * move;)
RULE(rmsprop_centred,
     real v = c[0] * a[i] + c[1] * g * g, m = b[i] + c[1] * (g - b[i]);
     a[i] = v;
     b[i] = m;
     next = p - c[3] * (g / (SQRT(v - m * m) + c[2]));)
RULE(rmsprop_centred_momentum,
     real v = c[0] * a[i] + c[1] * g * g, m = b[i] + c[1] * (g - b[i]), move = c[4] * d[i] + g / (SQRT(v - m * m) + c[2]);
     a[i] = v;
     b[i] = m;
     d[i] = move;
     next = p - c[3] * move;)

/* Averaged SGD: Polyak and Juditsky, SIAM J. Control Optim. 1992. eta, mu. */
RULE(asgd,
     next = p - c[0] * g;
     a[i] = c[1] == 1 ? next : a[i] + c[1] * (next - a[i]);)

/* Rprop: Riedmiller and Braun, ICNN 1993. etaminus, etaplus, smallest step, largest step. */
RULE(rprop,
     real agree = g * a[i], step = b[i] * (agree > 0 ? c[1] : agree < 0 ? c[0] : 1), move = agree < 0 ? 0 : g;
     step = step < c[2] ? c[2] : step > c[3] ? c[3] : step;
     a[i] = move;
     b[i] = step;
     next = p - (move > 0 ? step : move < 0 ? -step : move);)

/* Lion: Chen et al., arXiv:2302.06675. beta1, 1 - beta1, beta2, 1 - beta2, lr. */
RULE(lion,
     real u = c[0] * a[i] + c[1] * g;
     a[i] = c[2] * a[i] + c[3] * g;
     next = p - (u > 0 ? c[4] : u < 0 ? -c[4] : u);)

/* LAMB's direction: You et al., arXiv:1904.00962; p is left. 1 - beta1, beta2, 1 - beta2, eps, 1 / correction1,
 * 1 / sqrt(correction2), weight decay. */
RULE(lamb,
     real m = a[i] + c[0] * (g - a[i]), v = c[1] * b[i] + c[2] * g * g;
     a[i] = m;
     b[i] = v;
     d[i] = m * c[4] / (SQRT(v) * c[5] + c[3]) + c[6] * old;
     next = old;)

/* A running average: p moves towards the other list by a part. */
RULE(average,
     next = p + c[0] * (g - p);)

/* LARS: You, Gitman and Ginsburg, arXiv:1708.03888, with a factor a tensor. lr, momentum. */
RULE(trust,
     next = p - c[0] * ((real)factor * g);)
RULE(trust_momentum,
     real move = c[1] * a[i] + c[0] * ((real)factor * g);
     a[i] = move;
     next = p - move;)

#define NAMED(name) {#name, name##_f32, name##_f64}
static const struct {
    const char *name;
    void (*f32)(float *const *at, int64_t n, const step *s, double factor);
    void (*f64)(double *const *at, int64_t n, const step *s, double factor);
} rules[] = {NAMED(adamax), NAMED(nadam), NAMED(radam), NAMED(adagrad), NAMED(adadelta), NAMED(rmsprop),
             NAMED(rmsprop_momentum), NAMED(rmsprop_centred), NAMED(rmsprop_centred_momentum), NAMED(asgd), NAMED(rprop),
             NAMED(lion), NAMED(lamb), NAMED(average), NAMED(trust), NAMED(trust_momentum)};

/* attr: rule, number of states, then the numbers; `lists` begin behind the factors, if there are any. */
static hx_code run_rule(const hx_op_call *call, step s, hx_err *err) {
    const hx_attr *name = &call->attr[0];
    for (size_t k = 0; k < sizeof rules / sizeof *rules; k++)
        if (strlen(rules[k].name) == name->count && !memcmp(rules[k].name, name->v.str, name->count))
            s.f32 = rules[k].f32, s.f64 = rules[k].f64;
    for (int k = 0; k < NUMBERS; k++) s.c[k] = call->attr[k + 2].v.f;
    s.parts = 2 + (int)call->attr[1].v.i;
    s.writes = 29;
    s.n = ((int64_t)call->n_in - (s.factors != NULL)) / s.parts;
    return run_list(&s, err);
}

HX_KERNEL(k_rule) {
    HX_UNUSED;
    return run_rule(call, (step){.views = call->in}, err);
}

HX_KERNEL(k_trust) {
    HX_UNUSED;
    return run_rule(call, (step){.views = call->in + 1, .factors = call->in}, err);
}

/* ---- clipping: the norm of a list, and a list times a number ---- */

#define SCALE(name, T)                                                                                        \
    static void name(T *const *at, int64_t n, const step *s, double factor) {                                 \
        const T times = (T)(s->lr * factor);                                                                  \
        for (int64_t i = 0; i < n; i++) at[0][i] *= times;                                                    \
    }
SCALE(scale_f32, float)
SCALE(scale_f64, double)

HX_KERNEL(k_scale) {
    HX_UNUSED;
    const hx_view *factor = &call->in[0];
    float f = 0;
    double value = factor->dtype == HX_F64 ? *(const double *)factor->data : *hx_read_f32(factor->data, factor->dtype, 0, 1, &f);
    step s = {.f32 = scale_f32, .f64 = scale_f64, .views = call->in + 1, .n = (int64_t)call->n_in - 1, .parts = 1, .writes = 1,
              .lr = value};
    return value == 1 ? HX_OK : run_list(&s, err);
}

/* Sums of |x|**order (or the largest |x|) of chunks, in doubles; chunks are added in their order. */
typedef struct norm {
    const hx_view *view;
    double order, *part;
} norm;

static double norm_of_run(const double *x, int64_t n, double order) {
    double sum[8] = {0};
    int64_t i = 0;
    if (order == 2) {
        for (; i + 8 <= n; i += 8)
            for (int k = 0; k < 8; k++) sum[k] += x[i + k] * x[i + k];
        for (; i < n; i++) sum[0] += x[i] * x[i];
    } else if (order == __builtin_inf()) {
        double top = 0;
        for (; i < n; i++) top = fabs(x[i]) > top || x[i] != x[i] ? fabs(x[i]) : top;
        return top;
    } else {
        for (; i < n; i++) sum[0] += order == 1 ? fabs(x[i]) : pow(fabs(x[i]), order);
    }
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}
static double join(double a, double b, double order) {
    if (order != __builtin_inf()) return a + b;
    return a > b || a != a ? a : b;
}

static void norm_chunk(void *ctx, int64_t chunk) {
    const norm *s = ctx;
    int64_t begin = chunk * CHUNK, end = begin + CHUNK < s->view->numel ? begin + CHUNK : s->view->numel;
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)s->view->dtype);
    double wide[HX_MAP_BLOCK], total = 0;
    float narrow[HX_MAP_BLOCK];
    for (int64_t at = begin; at < end; at += HX_MAP_BLOCK) {
        int64_t n = end - at < HX_MAP_BLOCK ? end - at : HX_MAP_BLOCK;
        const char *from = (const char *)s->view->data + at * size;
        const double *x = wide;
        if (s->view->dtype == HX_F64) {
            x = (const double *)from;
        } else {
            const float *f = hx_read_f32(from, s->view->dtype, size, n, narrow);
            for (int64_t i = 0; i < n; i++) wide[i] = f[i];
        }
        total = join(total, norm_of_run(x, n, s->order), s->order);
    }
    s->part[chunk] = total;
}

static double root_of(double total, double order) {
    if (order == __builtin_inf() || order == 1) return total;
    return order == 2 ? sqrt(total) : pow(total, 1 / order);
}

/* One norm of all tensors, or one a tensor. */
static hx_code run_norms(const hx_op_call *call, bool each) {
    double order = call->attr[0].v.f, total = 0;
    int64_t most = 1, size = (int64_t)hx_dtype_size((hx_dtype)call->out[0].dtype);
    for (uint32_t t = 0; t < call->n_in; t++) {
        int64_t chunks = (call->in[t].numel + CHUNK - 1) / CHUNK;
        if (chunks > most) most = chunks;
    }
    double *part = hx_pool_alloc((size_t)most * sizeof *part);
    if (!part) return HX_E_MEMORY;
    for (uint32_t t = 0; t < call->n_in; t++) {
        norm s = {&call->in[t], order, part};
        int64_t chunks = (call->in[t].numel + CHUNK - 1) / CHUNK;
        if (chunks) hx_parallel(chunks, norm_chunk, &s);
        for (int64_t i = 0; i < chunks; i++) total = join(total, part[i], order);
        if (!each && t + 1 < call->n_in) continue;
        total = root_of(total, order);
        hx_write_f64((char *)call->out[0].data + (each ? t * size : 0), call->out[0].dtype, size, 1, &total);
        total = 0;
    }
    hx_pool_free(part, (size_t)most * sizeof *part);
    return HX_OK;
}

HX_KERNEL(k_norm) {
    HX_UNUSED;
    return run_norms(call, false);
}
HX_KERNEL(k_norms) {
    HX_UNUSED;
    return run_norms(call, true);
}

HX_KERNELS(optim) = {KERNEL(sgd_step, k_sgd, HX_SET_FLOAT),
                     KERNEL(adam_step, k_adam, HX_SET_FLOAT),
                     KERNEL(rule_step, k_rule, HX_SET_FLOAT),
                     KERNEL(trust_step, k_trust, HX_SET_FLOAT),
                     KERNEL(scale_list, k_scale, HX_SET_FLOAT),
                     KERNEL_CONTIGUOUS(norm_list, k_norm, HX_SET_FLOAT),
                     KERNEL_CONTIGUOUS(norms_list, k_norms, HX_SET_FLOAT),
                     {0}};
