/* Activations and their fused backward kernels. float32 on registers, float64 on doubles; the derivatives take
 * (gradient, input) or (gradient, result). */
#include "activation.h"
#include "vmath.h"

/* ---- functions of one value ---- */

typedef struct numbers {
    double a, b; /* the op's first and second number */
    float fa, fb;
} numbers;
/* Read before the loop: a read that only some elements ask for would keep the compiler from using vectors. */
#define NUMBERS const numbers given = args ? *(const numbers *)args : (numbers){0, 0, 0, 0}
#define A32 (given.fa)
#define B32 (given.fb)
#define A64 (given.a)
#define B64 (given.b)

/* Plain C, vectorised by the compiler. */
#define PLAIN(name, T, n_in, expr)                                                                            \
    static void name(void *out, const T *const *in, int64_t n, const void *args) {                            \
        T *o = out;                                                                                           \
        const T *px = in[0], *py = in[n_in - 1];                                                              \
        NUMBERS;                                                                                              \
        (void)given;                                                                                          \
        _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                                                \
            const T x = px[i], g = py[i];                                                                     \
            (void)g;                                                                                          \
            o[i] = (T)(expr);                                                                                 \
        }                                                                                                     \
    }
/* A register at a time: x is the input, g the gradient. */
#define VF(name, expr)                                                                                        \
    static void name(void *out, const float *const *in, int64_t n, const void *args) {                        \
        NUMBERS;                                                                                              \
        (void)given;                                                                                          \
        HX_VF_LOOP((float *)out, in[0], n, x, expr);                                                          \
    }
#define VF2(name, expr)                                                                                       \
    static void name(void *out, const float *const *in, int64_t n, const void *args) {                        \
        const int lanes = HX_LANES_OF(float);                                                                 \
        float *o = out;                                                                                       \
        int64_t i = 0;                                                                                        \
        NUMBERS;                                                                                              \
        (void)given;                                                                                          \
        for (; i + lanes <= n; i += lanes) {                                                                  \
            hx_vf g = hx_vf_load(in[0] + i), x = hx_vf_load(in[1] + i);                                       \
            hx_prefetch(in[0] + i, HX_AHEAD);                                                                 \
            hx_prefetch(in[1] + i, HX_AHEAD);                                                                 \
            hx_vf_store(o + i, expr);                                                                         \
        }                                                                                                     \
        if (i < n) {                                                                                          \
            hx_vf g = hx_vf_load_part(in[0] + i, (int)(n - i)), x = hx_vf_load_part(in[1] + i, (int)(n - i)); \
            hx_vf_store_part(o + i, expr, (int)(n - i));                                                      \
        }                                                                                                     \
    }
/* in[0] is the gradient, in[1] the input. */
#define PLAIN2(name, T, expr)                                                                                 \
    static void name(void *out, const T *const *in, int64_t n, const void *args) {                            \
        T *o = out;                                                                                           \
        NUMBERS;                                                                                              \
        (void)given;                                                                                          \
        _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                                                \
            const T g = in[0][i], x = in[1][i];                                                               \
            o[i] = (T)(expr);                                                                                 \
        }                                                                                                     \
    }

#define MAP(name) static const hx_map name = {name##_f32, name##_f64, NULL, NULL, HX_MAP_SAME, false, 0};

static numbers numbers_of(const hx_op_call *call) {
    numbers r = {0, 0, 0, 0};
    double *to[2] = {&r.a, &r.b};
    for (uint32_t i = 0; i < call->n_attr && i < 2; i++)
        if (call->attr[i].kind == HX_A_FLOAT) *to[i] = call->attr[i].v.f;
        else if (call->attr[i].kind <= HX_A_INT) *to[i] = (double)call->attr[i].v.i;
    r.fa = (float)r.a;
    r.fb = (float)r.b;
    return r;
}
#define ACTIVATION(op, map)                                                                                   \
    HX_KERNEL(k_##op) {                                                                                       \
        HX_UNUSED;                                                                                            \
        numbers r = numbers_of(call);                                                                         \
        return hx_run_map(call, &map, &r, err);                                                               \
    }

/* ---- piecewise linear ---- */

static inline hx_vf vf_zero(void) { return hx_vf_all(0.0f); }

PLAIN(relu_f32, float, 1, x < 0 ? 0 : x)
PLAIN(relu_f64, double, 1, x < 0 ? 0 : x)
static void relu_i64(void *out, const int64_t *const *in, int64_t n, const void *args) {
    int64_t *o = out;
    (void)args;
    for (int64_t i = 0; i < n; i++) o[i] = in[0][i] < 0 ? 0 : in[0][i];
}
static const hx_map relu = {relu_f32, relu_f64, relu_i64, NULL, HX_MAP_SAME, false, 0};
HX_KERNEL(k_relu) {
    HX_UNUSED;
    return hx_run_map(call, &relu, NULL, err);
}
/* The gradient where x > 0, else `a` times it: relu and leaky_relu. */
PLAIN2(slope_backward_f32, float, g * (x > 0 ? 1 : A32))
PLAIN2(slope_backward_f64, double, g * (x > 0 ? 1 : A64))
MAP(slope_backward)
ACTIVATION(slope_backward, slope_backward)
PLAIN(leaky_relu_f32, float, 1, x * (x > 0 ? 1 : A32))
PLAIN(leaky_relu_f64, double, 1, x * (x > 0 ? 1 : A64))
MAP(leaky_relu)
ACTIVATION(leaky_relu, leaky_relu)
PLAIN2(sloped_f32, float, g * (g > 0 ? 1 : x))
PLAIN2(sloped_f64, double, g * (g > 0 ? 1 : x))
MAP(sloped)
ACTIVATION(sloped, sloped)
/* The gradient where a < x < b, else 0: hardtanh, relu6. */
PLAIN2(inside_backward_f32, float, (x > A32) & (x < B32) ? g : 0)
PLAIN2(inside_backward_f64, double, (x > A64) & (x < B64) ? g : 0)
MAP(inside_backward)
ACTIVATION(inside_backward, inside_backward)
PLAIN(threshold_f32, float, 1, x <= A32 ? B32 : x)
PLAIN(threshold_f64, double, 1, x <= A64 ? B64 : x)
MAP(threshold)
ACTIVATION(threshold, threshold)
PLAIN(hardshrink_f32, float, 1, (x >= -A32) & (x <= A32) ? 0 : x)
PLAIN(hardshrink_f64, double, 1, (x >= -A64) & (x <= A64) ? 0 : x)
MAP(hardshrink)
ACTIVATION(hardshrink, hardshrink)
PLAIN(softshrink_f32, float, 1, x > A32 ? x - A32 : x < -A32 ? x + A32 : x * 0)
PLAIN(softshrink_f64, double, 1, x > A64 ? x - A64 : x < -A64 ? x + A64 : x * 0)
MAP(softshrink)
ACTIVATION(softshrink, softshrink)
PLAIN(hardsigmoid_f32, float, 1, x <= -3 ? 0 : x >= 3 ? 1 : x * (1 / 6.0f) + 0.5f)
PLAIN(hardsigmoid_f64, double, 1, x <= -3 ? 0 : x >= 3 ? 1 : x * (1 / 6.0) + 0.5)
MAP(hardsigmoid)
ACTIVATION(hardsigmoid, hardsigmoid)
PLAIN(hardswish_f32, float, 1, x <= -3 ? 0 : x >= 3 ? x : x * (x + 3) * (1 / 6.0f))
PLAIN(hardswish_f64, double, 1, x <= -3 ? 0 : x >= 3 ? x : x * (x + 3) * (1 / 6.0))
MAP(hardswish)
ACTIVATION(hardswish, hardswish)
PLAIN(softsign_f32, float, 1, x / (1 + fabsf(x)))
PLAIN(softsign_f64, double, 1, x / (1 + fabs(x)))
MAP(softsign)
ACTIVATION(softsign, softsign)

/* ---- with exponentials ---- */

HX_INLINE double d_sigmoid(double x) {
    double e = hx_d_exp(-fabs(x));
    return (x < 0 ? e : 1.0) / (1.0 + e);
}
/* log(1 + exp(x)) */
static inline hx_vf vf_softplus(hx_vf x) {
    hx_vf e = hx_vf_exp((hx_vf)((hx_vi)x | (int32_t)0x80000000));
    hx_vf tail = hx_vf_log1p(e);
    return hx_vf_select(hx_vf_lt(x, vf_zero()), tail, x + tail);
}
HX_INLINE double d_softplus(double x) { return (x > 0 ? x : 0) + log1p(exp(-fabs(x))); }

VF(silu_f32, x *hx_vf_sigmoid(x))
PLAIN(silu_f64, double, 1, x *d_sigmoid(x))
MAP(silu)
ACTIVATION(silu, silu)
static inline hx_vf vf_silu_slope(hx_vf x) {
    hx_vf s = hx_vf_sigmoid(x);
    return s * (1.0f + x * (1.0f - s));
}
HX_INLINE double d_silu_slope(double x) {
    double s = d_sigmoid(x);
    return s * (1 + x * (1 - s));
}
VF2(silu_backward_f32, g *vf_silu_slope(x))
PLAIN2(silu_backward_f64, double, g *d_silu_slope(x))
MAP(silu_backward)
ACTIVATION(silu_backward, silu_backward)

/* x tanh(softplus(x)): with e = exp(x), tanh(log(1 + e)) = (e e + 2 e) / (e e + 2 e + 2). */
static inline hx_vf vf_mish_gate(hx_vf x) {
    hx_vf e = hx_vf_exp(hx_vf_clamp(x, -104.0f, 20.0f)), n = e * (e + 2.0f);
    return hx_vf_divide(n, n + 2.0f);
}
HX_INLINE double d_mish_gate(double x) {
    double e = hx_d_exp(x > 40 ? 40 : x), n = e * (e + 2);
    return n / (n + 2);
}
VF(mish_f32, x *vf_mish_gate(x))
PLAIN(mish_f64, double, 1, x *d_mish_gate(x))
MAP(mish)
ACTIVATION(mish, mish)

/* a = beta, b = threshold: linear above it. */
VF(softplus_f32, hx_vf_select(hx_vf_lt(hx_vf_all(B32), x *A32), x, vf_softplus(x *A32) / A32))
PLAIN(softplus_f64, double, 1, x *A64 > B64 ? x : d_softplus(x *A64) / A64)
MAP(softplus)
ACTIVATION(softplus, softplus)
VF2(softplus_backward_f32, hx_vf_select(hx_vf_lt(hx_vf_all(B32), x *A32), g, g *hx_vf_sigmoid(x *A32)))
PLAIN2(softplus_backward_f64, double, x *A64 > B64 ? g : g * d_sigmoid(x *A64))
MAP(softplus_backward)
ACTIVATION(softplus_backward, softplus_backward)

VF(logsigmoid_f32, -vf_softplus(-x))
PLAIN(logsigmoid_f64, double, 1, -d_softplus(-x))
MAP(logsigmoid)
ACTIVATION(logsigmoid, logsigmoid)

/* scale * (x > 0 ? x : alpha * expm1(x * inner)) */
typedef struct exponential {
    double alpha, scale, inner;
} exponential;
#define E ((const exponential *)args)
VF(elu_f32, hx_vf_select(hx_vf_lt(vf_zero(), x), x *(float)E->scale,
                         hx_vf_expm1(x *(float)E->inner) * (float)(E->alpha * E->scale)))
PLAIN(elu_f64, double, 1, x > 0 ? x *E->scale : expm1(x *E->inner) * E->alpha * E->scale)
MAP(elu)
static inline hx_vf vf_elu_slope(hx_vf x, const exponential *e) {
    hx_vf below = hx_vf_exp(x * (float)e->inner) * (float)(e->alpha * e->scale * e->inner);
    return hx_vf_select(hx_vf_lt(vf_zero(), x), hx_vf_all((float)e->scale), below);
}
VF2(elu_backward_f32, g *vf_elu_slope(x, E))
PLAIN2(elu_backward_f64, double, g *(x > 0 ? E->scale : exp(x *E->inner) * E->alpha * E->scale * E->inner))
MAP(elu_backward)

static hx_code run_exponential(const hx_op_call *call, const hx_map *map, hx_err *err) {
    exponential e = {call->attr[0].v.f, call->attr[1].v.f, call->attr[2].v.f};
    return hx_run_map(call, map, &e, err);
}
HX_KERNEL(k_elu) {
    HX_UNUSED;
    return run_exponential(call, &elu, err);
}
HX_KERNEL(k_elu_backward) {
    HX_UNUSED;
    return run_exponential(call, &elu_backward, err);
}

/* ---- gelu: Hendrycks and Gimpel, arXiv:1606.08415 ---- */

#define SQRT_HALF 0x1.6a09e667f3bcdp-1
#define DENSITY 0x1.9884533d43651p-2 /* 1 / sqrt(2 pi) */
#define ROOT 0x1.988453p-1f          /* sqrt(2 / pi) */
#define ROOT_D 0x1.9884533d43651p-1
#define CUBE 0.044715

/* Far below 0 the approximations' last bit would be multiplied by x: the result is 0 there. */
static inline hx_vf vf_gated(hx_vf x, hx_vf gate, float zero_below) {
    hx_vf half = x * 0.5f;
    return hx_vf_select(hx_vf_lt(x, hx_vf_all(zero_below)), vf_zero(), half + half * gate);
}
VF(gelu_erf_f32, vf_gated(x, hx_vf_erf_fast(x *(float)SQRT_HALF), -5.6f))
PLAIN(gelu_erf_f64, double, 1, x < -40 ? 0 : x * 0.5 * erfc(-x *SQRT_HALF))
MAP(gelu_erf)
static inline hx_vf vf_gelu_erf_slope(hx_vf x) {
    hx_vf density = hx_vf_exp(x * x * -0.5f) * (float)DENSITY;
    return 0.5f + 0.5f * hx_vf_erf_fast(x * (float)SQRT_HALF) + x * density;
}
VF2(gelu_erf_backward_f32, g *vf_gelu_erf_slope(x))
PLAIN2(gelu_erf_backward_f64, double, g *(0.5 * erfc(-x *SQRT_HALF) + x *DENSITY *exp(-0.5 * x *x)))
MAP(gelu_erf_backward)

static inline hx_vf vf_gelu_inner(hx_vf x) { return x * (ROOT + x * x * (ROOT * (float)CUBE)); }
VF(gelu_tanh_f32, vf_gated(x, hx_vf_tanh_fast(vf_gelu_inner(x)), -6.0f))
PLAIN(gelu_tanh_f64, double, 1, x < -40 ? 0 : x * 0.5 * (1 + tanh(ROOT_D *(x + CUBE *x *x *x))))
MAP(gelu_tanh)
static inline hx_vf vf_gelu_tanh_slope(hx_vf x) {
    hx_vf t = hx_vf_tanh_fast(vf_gelu_inner(x)), inner = ROOT + x * x * (3.0f * ROOT * (float)CUBE);
    hx_vf curve = hx_vf_select(hx_vf_lt(hx_vf_abs(x), hx_vf_all(6.0f)), (1.0f - t * t) * (x * inner), x - x);
    return 0.5f + 0.5f * (t + curve);
}
HX_INLINE double d_gelu_tanh_slope(double x) {
    double t = tanh(ROOT_D * (x + CUBE * x * x * x));
    double curve = fabs(t) < 1 ? (1 - t * t) * x * ROOT_D * (1 + 3 * CUBE * x * x) : 0;
    return 0.5 * (1 + t + curve);
}
VF2(gelu_tanh_backward_f32, g *vf_gelu_tanh_slope(x))
PLAIN2(gelu_tanh_backward_f64, double, g *d_gelu_tanh_slope(x))
MAP(gelu_tanh_backward)

static bool wants_tanh(const hx_op_call *call) { return call->attr[0].count == 4; }
HX_KERNEL(k_gelu) {
    HX_UNUSED;
    return hx_run_map(call, wants_tanh(call) && call->attr[0].v.str[0] == 't' ? &gelu_tanh : &gelu_erf, NULL, err);
}
HX_KERNEL(k_gelu_backward) {
    HX_UNUSED;
    bool fast = wants_tanh(call) && call->attr[0].v.str[0] == 't';
    return hx_run_map(call, fast ? &gelu_tanh_backward : &gelu_erf_backward, NULL, err);
}

/* ---- backward of ops that keep their result: in[1] is the result ---- */

VF2(tanh_backward_f32, g *(1.0f - x *x))
PLAIN2(tanh_backward_f64, double, g *(1 - x *x))
MAP(tanh_backward)
ACTIVATION(tanh_backward, tanh_backward)
VF2(sigmoid_backward_f32, g *x *(1.0f - x))
PLAIN2(sigmoid_backward_f64, double, g *x *(1 - x))
MAP(sigmoid_backward)
ACTIVATION(sigmoid_backward, sigmoid_backward)

/* ---- behind other kernels ---- */

VF(tanh_f32, hx_vf_tanh(x))
PLAIN(tanh_f64, double, 1, tanh(x))
static const hx_map tanh_map = {tanh_f32, tanh_f64, NULL, NULL, HX_MAP_SAME, false, 0};
VF(sigmoid_f32, hx_vf_sigmoid(x))
PLAIN(sigmoid_f64, double, 1, d_sigmoid(x))
MAP(sigmoid)

hx_loop hx_activation_loop(const hx_attr *name, hx_dtype dtype, hx_mapping *m) {
    static const struct {
        const char *name;
        const hx_map *map;
    } known[] = {{"relu", &relu}, {"gelu", &gelu_erf}, {"gelu_tanh", &gelu_tanh}, {"silu", &silu}, {"tanh", &tanh_map},
                 {"sigmoid", &sigmoid}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].name) == name->count && memcmp(known[i].name, name->v.str, name->count) == 0) {
            *m = (hx_mapping){known[i].map, NULL, 1, dtype, dtype};
            return hx_map_loop(dtype);
        }
    return NULL;
}

HX_KERNELS(activation) = {KERNEL(relu, k_relu, HX_SET_REAL & ~HX_BIT(HX_BOOL) & ~HX_BIT(HX_U64)),
                          KERNEL(slope_backward, k_slope_backward, HX_SET_FLOAT),
                          KERNEL(sloped, k_sloped, HX_SET_FLOAT),
                          KERNEL(leaky_relu, k_leaky_relu, HX_SET_FLOAT),
                          KERNEL(inside_backward, k_inside_backward, HX_SET_FLOAT),
                          KERNEL(threshold, k_threshold, HX_SET_FLOAT),
                          KERNEL(hardshrink, k_hardshrink, HX_SET_FLOAT),
                          KERNEL(softshrink, k_softshrink, HX_SET_FLOAT),
                          KERNEL(hardsigmoid, k_hardsigmoid, HX_SET_FLOAT),
                          KERNEL(hardswish, k_hardswish, HX_SET_FLOAT),
                          KERNEL(softsign, k_softsign, HX_SET_FLOAT),
                          KERNEL(silu, k_silu, HX_SET_FLOAT),
                          KERNEL(silu_backward, k_silu_backward, HX_SET_FLOAT),
                          KERNEL(mish, k_mish, HX_SET_FLOAT),
                          KERNEL(softplus, k_softplus, HX_SET_FLOAT),
                          KERNEL(softplus_backward, k_softplus_backward, HX_SET_FLOAT),
                          KERNEL(logsigmoid, k_logsigmoid, HX_SET_FLOAT),
                          KERNEL(elu_scaled, k_elu, HX_SET_FLOAT),
                          KERNEL(elu_backward, k_elu_backward, HX_SET_FLOAT),
                          KERNEL(gelu, k_gelu, HX_SET_FLOAT),
                          KERNEL(gelu_backward, k_gelu_backward, HX_SET_FLOAT),
                          KERNEL(tanh_backward, k_tanh_backward, HX_SET_FLOAT),
                          KERNEL(sigmoid_backward, k_sigmoid_backward, HX_SET_FLOAT),
                          {0}};
