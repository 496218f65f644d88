/* Runs of float32 steps without tiles between them: four registers of floats go from op to op, each a function that ends in
 * a call of the next one, with the four as its arguments. The expressions are those of the ops' own kernels. */
#ifndef HX_FUSED_LANES_H
#define HX_FUSED_LANES_H

#include "../fused.h"
#include "vmath.h"

enum { HX_LANE_GROUP = 4 * HX_LANES_OF(float) };

typedef struct hx_lane hx_lane;
typedef void (*hx_lane_run)(const hx_lane *l, int64_t at, hx_vf a, hx_vf b, hx_vf c, hx_vf d);
struct hx_lane {
    hx_lane_run run;
    const float *from; /* the other operand: of a row, or one value */
    float *to;
};

#define LANE(name) static void name(const hx_lane *l, int64_t at, hx_vf a, hx_vf b, hx_vf c, hx_vf d)
#define LANE_NEXT(...) l[1].run(l + 1, at, __VA_ARGS__)
#define LANE_AT(p, i) hx_vf_load((p) + at + (i) * HX_LANES_OF(float))

LANE(lane_end) { (void)l, (void)at, (void)a, (void)b, (void)c, (void)d; }
LANE(lane_load) {
    (void)a, (void)b, (void)c, (void)d;
    hx_prefetch(l->from + at, HX_AHEAD);
    hx_prefetch(l->from + at, HX_AHEAD + 64);
    hx_prefetch(l->from + at, HX_AHEAD + 128);
    hx_prefetch(l->from + at, HX_AHEAD + 192);
    LANE_NEXT(LANE_AT(l->from, 0), LANE_AT(l->from, 1), LANE_AT(l->from, 2), LANE_AT(l->from, 3));
}
#define LANE_STORE(name, store)                                                                               \
    LANE(name) {                                                                                              \
        float *to = l->to + at;                                                                               \
        store(to, a);                                                                                         \
        store(to + HX_LANES_OF(float), b);                                                                    \
        store(to + 2 * HX_LANES_OF(float), c);                                                                \
        store(to + 3 * HX_LANES_OF(float), d);                                                                \
        LANE_NEXT(a, b, c, d);                                                                                \
    }
LANE_STORE(lane_store, hx_vf_store)
LANE_STORE(lane_stream, hx_vf_stream)

#define LANE_ONE(op, f)                                                                                       \
    LANE(lane_##op) { LANE_NEXT(f(a), f(b), f(c), f(d)); }
/* With one value on the right and on the left, with a row on the right and on the left. */
#define LANE_TWO(op, f)                                                                                       \
    LANE(lane_##op##_value) {                                                                                 \
        hx_vf y = hx_vf_all(*l->from);                                                                        \
        LANE_NEXT(f(a, y), f(b, y), f(c, y), f(d, y));                                                        \
    }                                                                                                         \
    LANE(lane_value_##op) {                                                                                   \
        hx_vf x = hx_vf_all(*l->from);                                                                        \
        LANE_NEXT(f(x, a), f(x, b), f(x, c), f(x, d));                                                        \
    }                                                                                                         \
    LANE(lane_##op##_row) {                                                                                   \
        const float *y = l->from;                                                                             \
        LANE_NEXT(f(a, LANE_AT(y, 0)), f(b, LANE_AT(y, 1)), f(c, LANE_AT(y, 2)), f(d, LANE_AT(y, 3)));        \
    }                                                                                                         \
    LANE(lane_row_##op) {                                                                                     \
        const float *x = l->from;                                                                             \
        LANE_NEXT(f(LANE_AT(x, 0), a), f(LANE_AT(x, 1), b), f(LANE_AT(x, 2), c), f(LANE_AT(x, 3), d));        \
    }

static inline hx_vf lane_plus(hx_vf x, hx_vf y) { return x + y; }
static inline hx_vf lane_minus(hx_vf x, hx_vf y) { return x - y; }
static inline hx_vf lane_times(hx_vf x, hx_vf y) { return x * y; }
static inline hx_vf lane_over(hx_vf x, hx_vf y) { return x / y; }
static inline hx_vf lane_minus_one(hx_vf x) { return -x; }
static inline hx_vf lane_size(hx_vf x) { return (hx_vf)((hx_vi)x & 0x7fffffff); }
static inline hx_vf lane_squared(hx_vf x) { return x * x; }
static inline hx_vf lane_inverse(hx_vf x) { return 1.0f / x; }
static inline hx_vf lane_inverse_root(hx_vf x) { return 1.0f / hx_vf_sqrt(x); }
static inline hx_vf lane_rectified(hx_vf x) { return (hx_vf)((hx_vi)x & ~(hx_vi)(x < 0.0f)); }
static inline hx_vf lane_swished(hx_vf x) { return x * hx_vf_sigmoid(x); }

LANE_TWO(add, lane_plus)
LANE_TWO(sub, lane_minus)
LANE_TWO(mul, lane_times)
LANE_TWO(div, lane_over)
LANE_TWO(maximum, hx_vf_max)
LANE_TWO(minimum, hx_vf_min)
LANE_ONE(neg, lane_minus_one)
LANE_ONE(abs, lane_size)
LANE_ONE(square, lane_squared)
LANE_ONE(reciprocal, lane_inverse)
LANE_ONE(sqrt, hx_vf_sqrt)
LANE_ONE(rsqrt, lane_inverse_root)
LANE_ONE(relu, lane_rectified)
LANE_ONE(exp, hx_vf_exp)
LANE_ONE(log, hx_vf_log)
LANE_ONE(tanh, hx_vf_tanh)
LANE_ONE(sigmoid, hx_vf_sigmoid)
LANE_ONE(silu, lane_swished)
LANE_ONE(erf, hx_vf_erf)

typedef struct hx_lane_op {
    hx_lane_run alone, value, of_value, row, of_row;
} hx_lane_op;

#define TWO(op) [HX_FUSED_##op] = {NULL, lane_##op##_value, lane_value_##op, lane_##op##_row, lane_row_##op}
#define ONE(op) [HX_FUSED_##op] = {lane_##op, NULL, NULL, NULL, NULL}
static const hx_lane_op hx_lane_ops[HX_FUSED_END] = {
    TWO(add), TWO(sub), TWO(mul), TWO(div), TWO(maximum), TWO(minimum), ONE(neg), ONE(abs), ONE(square), ONE(reciprocal),
    ONE(sqrt), ONE(rsqrt), ONE(relu), ONE(exp), ONE(log), ONE(tanh), ONE(sigmoid), ONE(silu), ONE(erf)};
#undef ONE
#undef TWO

/* n values from the group on, n at least a group: the last group may do again what the one before it did. */
static inline void hx_lanes_run(const hx_lane *l, int64_t n) {
    hx_vf nothing = {0};
    int64_t at = 0;
    for (; at + HX_LANE_GROUP <= n; at += HX_LANE_GROUP) l->run(l, at, nothing, nothing, nothing, nothing);
    if (at < n) l->run(l, n - HX_LANE_GROUP, nothing, nothing, nothing, nothing);
}

#endif
