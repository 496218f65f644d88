/* Words that shape rules and vjps are written with. Included by ops/<family>.c only. */
#ifndef HX_RULES_H
#define HX_RULES_H

#include "../dispatch.h"
#include "../op.h"

/* ---- shape rules used by many ops (ops/rules.c) ---- */

/* Output 0 has the shape and dtype of in[0]. */
hx_status hx_shape_same(hx_call *c);
/* All inputs broadcast to one shape and are promoted to one dtype (compute = that dtype = output's). */
hx_status hx_shape_broadcast(hx_call *c);
/* As broadcast, but the output is bool (comparisons). */
hx_status hx_shape_compare(hx_call *c);
/* As broadcast; integer results become the default float (true division, atan2). */
hx_status hx_shape_broadcast_float(hx_call *c);
/* Shape of in[0]; integer inputs become the default float (exp, sin). */
hx_status hx_shape_float(hx_call *c);

/* Spec helpers. */
static inline void hx_spec_like(hx_spec *s, const hx_tensor *t) {
    s->dtype = t->dtype;
    s->ndim = t->ndim;
    hx_copy_sizes(s->shape, t->shape, t->ndim);
}
static inline void hx_spec_set(hx_spec *s, hx_dtype dtype, const int64_t *shape, int ndim) {
    s->dtype = (uint8_t)dtype;
    s->ndim = (uint8_t)ndim;
    hx_copy_sizes(s->shape, shape, ndim);
}
/* The reduced shape: axes in `mask` removed, or kept as 1. */
void hx_spec_reduce(hx_spec *s, hx_dtype dtype, const hx_tensor *t, uint32_t mask, bool keepdim);
/* Refuses dtypes outside `allowed` with HX1101, naming parameter and dtype. */
hx_status hx_require_dtype(const hx_tensor *t, const char *param, uint64_t allowed);
/* Refuses ranks other than `ndim` with HX1001. */
hx_status hx_require_rank(const hx_tensor *t, const char *param, int ndim);

/* HX1001 in the words "<param> must <rule>, got shape <shape>". */
hx_status hx_refuse_rank(const hx_tensor *t, const char *param, const char *rule);

/* ---- attributes ---- */
static inline bool hx_given(const hx_attr *a) { return a->kind != HX_A_NONE; }
static inline int64_t hx_int_or(const hx_attr *a, int64_t d) { return a->kind == HX_A_NONE ? d : a->v.i; }
static inline double hx_float_or(const hx_attr *a, double d) { return a->kind == HX_A_NONE ? d : a->v.f; }
double hx_number_as_float(const hx_attr *a); /* BOOL, INT, FLOAT; real part of COMPLEX */
static inline hx_ints hx_ints_of(const hx_attr *a) { return (hx_ints){a->v.ints, (int)a->count}; }
bool hx_str_is(const hx_attr *a, const char *text);

/* ---- vjps ---- */
#define G (v->g[0])           /* gradient of the only output */
#define IN(i) hx_vjp_in(v, i)   /* a saved input; fails (HX1501) when it was changed in place since */
#define OUT(i) hx_vjp_out(v, i)
hx_tensor *hx_vjp_stale(hx_vjp *v, int i, bool output);
static inline hx_tensor *hx_vjp_in(hx_vjp *v, int i) {
    return v->stale >> (i < 31 ? i : 31) & 1 ? hx_vjp_stale(v, i, false) : v->in[i];
}
static inline hx_tensor *hx_vjp_out(hx_vjp *v, int i) {
    return v->stale >> (32 + i) & 1 ? hx_vjp_stale(v, i, true) : v->out[i];
}
#define ATTR(i) (&v->attr[i])
#define GIN(i, expr)                                                                                          \
    do {                                                                                                      \
        if (v->need[i]) {                                                                                     \
            v->gin[i] = (expr);                                                                               \
            if (!v->gin[i] && hx_error_pending()) return hx_error_last()->code;                               \
        }                                                                                                     \
    } while (0)
/* Conjugate; the tensor itself when it is real. */
static inline hx_tensor *cj(hx_tensor *t) { return t && hx_is_complex((hx_dtype)t->dtype) ? CALL(conj, t) : t; }
/* Gradient i as zeros when that output was not used. */
hx_tensor *hx_vjp_gradient(hx_vjp *v, int i);
/* A tensor of one value with a spec's shape and dtype. */
hx_tensor *hx_full_like_spec(const hx_spec *s, double value, hx_device *device);
/* The gradient of a product is taken without its zeros, which is right once. Is it about to be differentiated again, and
 * are there any? (While only shapes are known: there could be.) */
bool hx_zeros_matter(hx_tensor *zero);
/* For reductions: puts back reduced axes as 1 so that the result broadcasts against the input.
 * `mask` as from hx_axes; nothing to do when keepdim. */
hx_tensor *hx_unreduce(hx_tensor *g, uint32_t mask, int ndim, bool keepdim);

/* ---- decompositions ---- */
#define RESULT(i, expr)                                                                                       \
    do {                                                                                                      \
        c->out[i] = (expr);                                                                                   \
        if (!c->out[i]) return hx_error_last()->code;                                                         \
    } while (0)

#endif
