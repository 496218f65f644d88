/* Programs of the op `fused`: elementwise ops, and reductions over the last or the first axes, done tile by tile.
 *
 * A program is a list of whole numbers, and a list of floats that it points into; it may come from a file, so that
 * nothing of it is believed before hx_fused_read has run the shape rule of every op in it. In order:
 *   format (1), axes: how many of the last axes its reductions run over, 0 for none; below 0: of the first axes;
 *   count of numbers, and for each (kind, content): 0 and a bool, 1 and an int, 2 and a place in the floats;
 *   count of steps, and for each: op, by its place in HX_FUSED_OPS from 1 on; count of operands, and these: registers,
 *   or -1 for none; and for each of the op's attributes but the reduced axes a pair (kind, content): HX_A_NONE and 0,
 *   HX_A_BOOL, HX_A_INT or HX_A_DTYPE and the value, HX_A_FLOAT and a place in the floats, HX_A_STR and which choice;
 *   count of results, and for each (register, dropped): dropped is 1 where the reduced axes are left out.
 * Registers are the inputs, then the numbers, then what each step makes. Reductions keep their axes as 1. What is reduced over
 * the first axes is known when all is done: such a reduction takes the whole frame, and only late steps take its result. */
#ifndef HX_FUSED_H
#define HX_FUSED_H

#include "op.h"

/* X(op, attribute that names the reduced axes or -1). The places are what files hold: new ops go to the end. */
#define HX_FUSED_OPS(X)                                                                                       \
    X(add, -1) X(sub, -1) X(mul, -1) X(div, -1) X(floor_divide, -1) X(fmod, -1) X(remainder, -1) X(pow, -1)   \
    X(atan2, -1) X(hypot, -1) X(logaddexp, -1) X(logaddexp2, -1) X(copysign, -1) X(nextafter, -1)             \
    X(xlogy, -1) X(maximum, -1) X(minimum, -1) X(fmax, -1) X(fmin, -1) X(heaviside, -1) X(eq, -1) X(ne, -1)   \
    X(lt, -1) X(le, -1) X(gt, -1) X(ge, -1) X(logical_and, -1) X(logical_or, -1) X(logical_xor, -1)           \
    X(bitwise_and, -1) X(bitwise_or, -1) X(bitwise_xor, -1) X(bitwise_left_shift, -1)                         \
    X(bitwise_right_shift, -1) X(gcd, -1) X(lcm, -1)                                                          \
    X(neg, -1) X(abs, -1) X(sign, -1) X(square, -1) X(reciprocal, -1) X(sqrt, -1) X(rsqrt, -1)                \
    X(conj_physical, -1) X(real_part, -1) X(imag_part, -1) X(angle, -1) X(exp, -1) X(expm1, -1) X(exp2, -1)   \
    X(log, -1) X(log2, -1) X(log10, -1) X(log1p, -1) X(sin, -1) X(cos, -1) X(tan, -1) X(asin, -1) X(acos, -1) \
    X(atan, -1) X(sinc, -1) X(sinh, -1) X(cosh, -1) X(tanh, -1) X(asinh, -1) X(acosh, -1) X(atanh, -1)        \
    X(erf, -1) X(erfc, -1) X(erfinv, -1) X(lgamma, -1) X(digamma, -1) X(trigamma, -1) X(sigmoid, -1)          \
    X(logit, -1) X(floor, -1) X(ceil, -1) X(trunc, -1) X(frac, -1) X(round, -1) X(deg2rad, -1)                \
    X(rad2deg, -1) X(isnan, -1) X(isinf, -1) X(isfinite, -1) X(isposinf, -1) X(isneginf, -1) X(signbit, -1)   \
    X(logical_not, -1) X(bitwise_not, -1) X(nan_to_num, -1)                                                   \
    X(where, -1) X(clamp, -1) X(addcmul, -1) X(addcdiv, -1) X(lerp, -1)                                       \
    X(relu, -1) X(slope_backward, -1) X(sloped, -1) X(leaky_relu, -1) X(inside_backward, -1)                  \
    X(threshold, -1) X(hardshrink, -1) X(softshrink, -1) X(hardsigmoid, -1) X(hardswish, -1)                  \
    X(softsign, -1) X(silu, -1) X(silu_backward, -1) X(mish, -1) X(softplus, -1) X(softplus_backward, -1)     \
    X(logsigmoid, -1) X(elu_scaled, -1) X(elu_backward, -1) X(gelu, -1) X(gelu_backward, -1)                  \
    X(tanh_backward, -1) X(sigmoid_backward, -1) X(cast, -1)                                                  \
    X(sum, 0) X(mean, 0) X(prod, 0) X(amax, 0) X(amin, 0) X(all, 0) X(any, 0) X(nansum, 0) X(logsumexp, 0)    \
    X(linalg_vector_norm, 1)

enum {
    HX_FUSED_none,
#define HX_PLACE(op, dims_at) HX_FUSED_##op,
    HX_FUSED_OPS(HX_PLACE)
#undef HX_PLACE
    HX_FUSED_END
};

enum {
    HX_FUSED_INPUTS = 32,
    HX_FUSED_NUMBERS = 64,
    HX_FUSED_STEPS = 96,
    HX_FUSED_OPERANDS = 3,
    HX_FUSED_ATTRIBUTES = 4,
    HX_FUSED_REGISTERS = HX_FUSED_INPUTS + HX_FUSED_NUMBERS + HX_FUSED_STEPS
};

typedef struct hx_fused_register {
    uint8_t dtype, ndim;
    bool number;
    int64_t shape[HX_MAX_RANK];
} hx_fused_register;

typedef struct hx_fused_step {
    const hx_op *op;
    int place;                         /* of the op in HX_FUSED_OPS, from 1 on */
    int n_in, n_attr;
    int dims_at;                       /* of a reduction: the attribute that names its axes; else -1 */
    bool late;                         /* done when the whole frame is: a reduction over the first axes, and what follows from one */
    int in[HX_FUSED_OPERANDS];         /* registers; -1: none */
    uint8_t dtype[HX_FUSED_OPERANDS];  /* in which it takes each: another than the register's for numbers only */
    hx_attr attr[HX_FUSED_ATTRIBUTES]; /* as its shape rule leaves them, but for the axes */
} hx_fused_step;

typedef union hx_fused_number { int64_t i; double f; } hx_fused_number;
typedef struct hx_fused_result { int of; bool dropped; } hx_fused_result;

typedef struct hx_fused {
    int n_in, n_numbers, n_steps, n_results;
    int axes;                   /* how many of the last ones are reduced, or of the first */
    bool leading;               /* of the first */
    int ndim;                   /* of the frame, to which everything broadcasts */
    int64_t frame[HX_MAX_RANK];
    hx_fused_number number[HX_FUSED_NUMBERS]; /* as the register's dtype says */
    hx_fused_register made[HX_FUSED_REGISTERS];
    hx_fused_step step[HX_FUSED_STEPS];
    hx_fused_result result[HX_MAX_OUTPUTS];
} hx_fused;

/* The op in place i of HX_FUSED_OPS, from 0 on, or NULL behind the last; where its attribute for the axes stands, or -1. */
const char *hx_fused_op(int i, int *dims_at);
/* Reads and checks a program. The first n_in registers hold the inputs' shapes and dtypes. */
hx_status hx_fused_read(hx_fused *f, int n_in, const hx_attr *program, const hx_attr *floats);
/* Axis d of the frame, counted from its end, in a register; 1 where it has no such axis. */
static inline int64_t hx_fused_size(const hx_fused_register *r, int from_end) {
    return from_end <= r->ndim ? r->shape[r->ndim - from_end] : 1;
}

#endif
