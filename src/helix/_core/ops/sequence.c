/* Layers over long sequences: the selective scan of state space models, and convolution with filters as long as the input.
 *
 * The public ops bring their arguments into one form; native_selective_scan and native_fft_conv are that form with a gradient,
 * computed by a kernel where there is one, else by a scan in log2(length) rounds and by transforms of the whole tensor. */
#include "rules.h"
#include "sequence.h"

/* Inputs of native_selective_scan and of its backward, which has three more. */
enum { U, DELTA, A, B, C, SKIP, Z, BIAS, STATES, G_OUT, G_LAST };

static hx_dtype wide_dtype(const hx_tensor *t) { return t->dtype == HX_F64 ? HX_F64 : HX_F32; }
static hx_tensor *as_wide(hx_tensor *t) { return t && t->dtype != wide_dtype(t) ? CALL(cast, t, (int)wide_dtype(t)) : t; }

/* ---- the scan in plain ops: tensors are (batch, groups, channels of a group, states, length) ---- */

typedef struct scan {
    int64_t batch, groups, each, states, length;
    hx_tensor *u, *raw, *step, *a, *b, *c, *skip, *z; /* raw: delta with its bias, step: after softplus; a is A */
    hx_tensor *decay, *x, *y;                         /* y: before the gate */
} scan;

static hx_tensor *split_channels(const scan *s, hx_tensor *t) {
    return CALL(reshape, as_wide(t), HX_INTS(s->batch, s->groups, s->each, 1, s->length));
}
static hx_tensor *one_a_channel(const scan *s, hx_tensor *t) {
    return t ? CALL(reshape, t, HX_INTS(s->groups, s->each, 1, 1)) : NULL;
}
static hx_tensor *back(const scan *s, hx_tensor *t, const hx_spec *like) {
    t = CALL(reshape, t, HX_INTS(s->batch, s->groups * s->each, s->length));
    return t && t->dtype != like->dtype ? CALL(cast, t, like->dtype) : t;
}

/* x[t] = a[t] x[t - 1] + b[t] along the last axis from x[-1] = 0, by recursive doubling (Hillis, Steele, "Data parallel
 * algorithms", 1986). */
static hx_tensor *running(hx_tensor *a, hx_tensor *b, int64_t length) {
    for (int64_t step = 1; b && step < length; step *= 2) {
        int64_t rest = length - step;
        hx_tensor *late = CALL(narrow, a, -1, step, rest), *joined[2];
        joined[0] = CALL(narrow, b, -1, 0, step);
        joined[1] = CALL(add, CALL(narrow, b, -1, step, rest), CALL(mul, late, CALL(narrow, b, -1, 0, rest)));
        b = CALL(cat, ((hx_list){joined, 2}), -1);
        joined[0] = CALL(narrow, a, -1, 0, step);
        joined[1] = CALL(mul, late, CALL(narrow, a, -1, 0, rest));
        if (2 * step < length) a = CALL(cat, ((hx_list){joined, 2}), -1);
    }
    return b;
}

/* The same from the last element to the first: x[t] = a[t + 1] x[t + 1] + b[t]. */
static hx_tensor *running_back(hx_tensor *a, hx_tensor *b, int64_t length) {
    if (length < 2) return b;
    hx_tensor *next = CALL(constant_pad, CALL(narrow, a, -1, 1, length - 1), 0, HX_INTS(0, 1));
    return CALL(flip, running(CALL(flip, next, HX_INTS(-1)), CALL(flip, b, HX_INTS(-1)), length), HX_INTS(-1));
}

static hx_tensor *before(hx_tensor *x) { return CALL(constant_pad, x, 0, HX_INTS(1, 0)); }

static void run_scan(hx_call *call, bool softplus, scan *s) {
    hx_tensor **in = call->in;
    *s = (scan){.batch = in[U]->shape[0], .groups = in[B]->shape[1], .each = in[U]->shape[1] / in[B]->shape[1],
                .states = in[A]->shape[1], .length = in[U]->shape[2]};
    s->u = split_channels(s, in[U]);
    s->raw = split_channels(s, in[DELTA]);
    if (in[BIAS]) s->raw = CALL(add, s->raw, one_a_channel(s, in[BIAS]));
    s->step = softplus ? CALL(softplus, s->raw) : s->raw;
    s->a = CALL(reshape, in[A], HX_INTS(s->groups, s->each, s->states, 1));
    s->b = CALL(unsqueeze, as_wide(in[B]), 2);
    s->c = CALL(unsqueeze, as_wide(in[C]), 2);
    s->skip = one_a_channel(s, in[SKIP]);
    s->z = in[Z] ? split_channels(s, in[Z]) : NULL;
    s->decay = CALL(exp, CALL(mul, s->step, s->a));
    s->x = running(s->decay, CALL(mul, CALL(mul, s->step, s->u), s->b), s->length);
    s->y = CALL(sum, CALL(mul, s->x, s->c), -2, true);
    if (s->skip) s->y = CALL(add, s->y, CALL(mul, s->u, s->skip));
}

static hx_status scan_parts(hx_call *c) {
    scan s;
    run_scan(c, c->attr[0].v.i, &s);
    int64_t channels = s.groups * s.each;
    RESULT(0, back(&s, s.z ? CALL(mul, s.y, CALL(silu, s.z)) : s.y, &c->spec[0]));
    hx_tensor *x = CALL(reshape, before(s.x), HX_INTS(s.batch, channels, s.states, s.length + 1));
    RESULT(1, CALL(select, x, -1, s.length));
    RESULT(2, CALL(transpose, CALL(slice, x, -1, 0, s.length, HX_SCAN_CHUNK), -2, -1));
    return HX_OK;
}

static hx_tensor *nothing(const hx_call *c, int i) { return hx_full_like_spec(&c->spec[i], 0, c->in[U]->device); }
static hx_tensor *summed(hx_tensor *t, hx_ints axes) { return CALL(sum, t, axes); }

/* h is the gradient of the state, which the later states hand on. */
static hx_status scan_backward_parts(hx_call *c) {
    scan s;
    bool softplus = c->attr[0].v.i;
    run_scan(c, softplus, &s);
    hx_tensor *g = split_channels(&s, c->in[G_OUT]), *gz = NULL;
    if (s.z) {
        gz = CALL(silu_backward, CALL(mul, g, s.y), s.z);
        g = CALL(mul, g, CALL(silu, s.z));
    }
    hx_tensor *into = CALL(mul, g, s.c);
    if (c->in[G_LAST]) {
        hx_tensor *last = CALL(reshape, c->in[G_LAST], HX_INTS(s.batch, s.groups, s.each, s.states, 1));
        into = s.length ? CALL(add, into, CALL(constant_pad, last, 0, HX_INTS(s.length - 1, 0))) : into;
    }
    hx_tensor *h = running_back(s.decay, into, s.length), *previous = CALL(narrow, before(s.x), -1, 0, s.length);
    hx_tensor *by_decay = CALL(mul, CALL(mul, h, previous), s.decay);
    hx_tensor *by_input = CALL(sum, CALL(mul, h, s.b), -2, true);
    hx_tensor *g_step = CALL(add, CALL(sum, CALL(mul, by_decay, s.a), -2, true), CALL(mul, by_input, s.u));
    hx_tensor *g_u = CALL(mul, by_input, s.step);
    if (s.skip) g_u = CALL(add, g_u, CALL(mul, g, s.skip));
    if (softplus) g_step = CALL(softplus_backward, g_step, s.raw);
    RESULT(0, back(&s, g_u, &c->spec[0]));
    RESULT(1, back(&s, g_step, &c->spec[1]));
    RESULT(2, CALL(reshape, summed(CALL(mul, by_decay, s.step), HX_INTS(0, -1)), HX_INTS(s.groups * s.each, s.states)));
    RESULT(3, CALL(cast, summed(CALL(mul, h, CALL(mul, s.step, s.u)), HX_INTS(2)), c->spec[3].dtype));
    RESULT(4, CALL(cast, summed(CALL(mul, g, s.x), HX_INTS(2)), c->spec[4].dtype));
    RESULT(5, s.skip ? CALL(reshape, summed(CALL(mul, g, s.u), HX_INTS(0, -1)), HX_INTS(s.groups * s.each)) : nothing(c, 5));
    RESULT(6, s.z ? back(&s, gz, &c->spec[6]) : nothing(c, 6));
    RESULT(7, c->in[BIAS] ? CALL(reshape, summed(g_step, HX_INTS(0, -1)), HX_INTS(s.groups * s.each)) : nothing(c, 7));
    return HX_OK;
}

/* ---- shape rules; shapes were checked by the public op ---- */

/* Sequences have u's dtype; A, D, the bias, states and their gradients float32, or float64 for float64. */
static void cast_inputs(hx_call *c) {
    hx_dtype wide = wide_dtype(c->in[U]);
    for (int i = 1; i <= BIAS; i++) c->cast[i] = (int8_t)(i == A || i == SKIP || i == BIAS ? wide : (hx_dtype)c->in[U]->dtype);
}

static hx_status scan_shape(hx_call *c) {
    const hx_tensor *u = c->in[U], *a = c->in[A];
    int64_t length = u->shape[2], chunks = length / HX_SCAN_CHUNK + (length % HX_SCAN_CHUNK != 0);
    cast_inputs(c);
    hx_spec_like(&c->spec[0], u);
    hx_spec_set(&c->spec[1], wide_dtype(u), (int64_t[]){u->shape[0], u->shape[1], a->shape[1]}, 3);
    hx_spec_set(&c->spec[2], wide_dtype(u), (int64_t[]){u->shape[0], u->shape[1], chunks, a->shape[1]}, 4);
    return HX_OK;
}

static hx_status scan_backward_shape(hx_call *c) {
    hx_dtype wide = wide_dtype(c->in[U]);
    cast_inputs(c);
    for (int i = 0; i <= BIAS; i++) {
        hx_dtype dtype = i == A || i == SKIP || i == BIAS ? wide : (hx_dtype)c->in[U]->dtype;
        if (c->in[i]) hx_spec_set(&c->spec[i], dtype, c->in[i]->shape, c->in[i]->ndim);
        else hx_spec_set(&c->spec[i], dtype, (int64_t[]){0}, 1);
    }
    return HX_OK;
}

static hx_status scan_vjp(hx_vjp *v) {
    hx_tensor *g[8] = {NULL}, *g_out = hx_vjp_gradient(v, 0);
    if (!v->g[0] && !v->g[1]) return HX_OK;
    if (g_out && g_out->dtype != v->in_spec[U].dtype) g_out = CALL(cast, g_out, v->in_spec[U].dtype);
    CALLN(g, 8, selective_scan_backward, IN(U), IN(DELTA), IN(A), IN(B), IN(C), IN(SKIP), IN(Z), IN(BIAS), OUT(2), g_out,
          v->g[1], ATTR(0));
    for (int i = 0; i < 8; i++) GIN(i, g[i]);
    return HX_OK;
}

/* ---- the public op ---- */

static hx_status refuse_shape(const hx_tensor *t, const char *name, const char *expected) {
    return hx_fail_about(FACTS(name, expected, hx_shape_text(t->shape, t->ndim)), HX_E_SHAPE, HX1002_INNER,
                         "%s has shape %s, expected %s", name, hx_shape_text(t->shape, t->ndim), expected);
}

static hx_status check_shape(const hx_tensor *t, const char *name, const int64_t *shape, int ndim) {
    bool same = t->ndim == ndim;
    for (int d = 0; same && d < ndim; d++) same = t->shape[d] == shape[d];
    return same ? HX_OK : refuse_shape(t, name, hx_shape_text(shape, ndim));
}

/* B or C is (channels, states), (batch, states, length) or (batch, groups, states, length). */
static hx_status check_mixer(const hx_tensor *t, const char *name, const hx_tensor *u, int64_t states) {
    int64_t channels = u->shape[1], whole[4] = {u->shape[0], t->ndim == 4 ? t->shape[1] : 1, states, u->shape[2]};
    const char *text = hx_text("(%lld, %lld), (%lld, %lld, %lld) or (%lld, groups, %lld, %lld), where groups divides %lld",
                               (long long)channels, (long long)states, (long long)whole[0], (long long)states,
                               (long long)whole[3], (long long)whole[0], (long long)states, (long long)whole[3], (long long)channels);
    bool fits = t->ndim >= 2 && t->ndim <= 4;
    if (t->ndim == 2) fits = t->shape[0] == channels && t->shape[1] == states;
    if (t->ndim == 3) fits = t->shape[0] == whole[0] && t->shape[1] == states && t->shape[2] == whole[3];
    if (t->ndim == 4) {
        for (int d = 0; d < 4; d++) fits = fits && t->shape[d] == whole[d];
        fits = fits && whole[1] > 0 && channels % whole[1] == 0;
    }
    return fits ? HX_OK : refuse_shape(t, name, text);
}

static hx_status check_scan(const hx_call *c) {
    static const char *const names[] = {"u", "delta", "A", "B", "C", "D", "z", "delta_bias"};
    const hx_tensor *u = c->in[U], *a = c->in[A];
    for (int i = 0; i <= BIAS; i++)
        if (c->in[i]) HX_TRY(hx_require_dtype(c->in[i], names[i], HX_SET_FLOAT));
    HX_TRY(hx_require_rank(u, "u", 3));
    HX_TRY(hx_require_rank(a, "A", 2));
    if (u->shape[1] == 0) return refuse_shape(u, "u", "at least one channel (axis 1)");
    if (a->shape[0] != u->shape[1])
        return refuse_shape(a, "A", hx_text("(%lld, states), one row a channel of u", (long long)u->shape[1]));
    HX_TRY(check_shape(c->in[DELTA], "delta", u->shape, 3));
    HX_TRY(check_mixer(c->in[B], "B", u, a->shape[1]));
    HX_TRY(check_mixer(c->in[C], "C", u, a->shape[1]));
    if (c->in[SKIP]) HX_TRY(check_shape(c->in[SKIP], "D", u->shape + 1, 1));
    if (c->in[Z]) HX_TRY(check_shape(c->in[Z], "z", u->shape, 3));
    return c->in[BIAS] ? check_shape(c->in[BIAS], "delta_bias", u->shape + 1, 1) : HX_OK;
}

/* B or C as (batch, groups, states, length). */
static hx_tensor *mixer(hx_tensor *t, const hx_tensor *u) {
    if (t->ndim == 3) return CALL(unsqueeze, t, 1);
    if (t->ndim == 4) return t;
    return CALL(expand, CALL(unsqueeze, t, -1), HX_INTS(u->shape[0], t->shape[0], t->shape[1], u->shape[2]));
}

/* The same values for a multiple of the groups. */
static hx_tensor *regrouped(hx_tensor *t, int64_t groups) {
    if (!t || t->shape[1] == groups) return t;
    int64_t batch = t->shape[0], have = t->shape[1], states = t->shape[2], length = t->shape[3];
    t = CALL(expand, CALL(unsqueeze, t, 2), HX_INTS(batch, have, groups / have, states, length));
    return CALL(reshape, t, HX_INTS(batch, groups, states, length));
}

static hx_status selective_scan_parts(hx_call *c) {
    hx_tensor *out[3] = {NULL}, *u = c->in[U];
    HX_TRY(check_scan(c));
    hx_tensor *b = mixer(c->in[B], u), *mix = mixer(c->in[C], u);
    if (!b || !mix) return hx_error_last()->code;
    int64_t groups = b->shape[1] % mix->shape[1] == 0 ? b->shape[1] : mix->shape[1] % b->shape[1] == 0 ? mix->shape[1] : u->shape[1];
    CALLN(out, 3, native_selective_scan, u, c->in[DELTA], c->in[A], regrouped(b, groups), regrouped(mix, groups), c->in[SKIP],
          c->in[Z], c->in[BIAS], &c->attr[0]);
    c->n_out = c->attr[1].v.i ? 2 : 1;
    for (int i = 0; i < c->n_out; i++) RESULT(i, out[i]);
    return HX_OK;
}

/* ---- long convolution: filters and skips belong to the last axes of the input before its length ---- */

static bool is_suffix(const hx_tensor *t, int n, const hx_tensor *u) {
    bool fits = n >= 0 && n <= u->ndim - 1;
    for (int d = 0; fits && d < n; d++) fits = t->shape[d] == u->shape[u->ndim - 1 - n + d];
    return fits;
}

static hx_status check_conv(const hx_call *c) {
    static const char *const names[] = {"u", "k", "D"};
    const hx_tensor *u = c->in[0], *k = c->in[1], *skip = c->in[2];
    for (int i = 0; i < 3; i++)
        if (c->in[i]) HX_TRY(hx_require_dtype(c->in[i], names[i], HX_SET_FLOAT));
    if (u->ndim < 1) return hx_refuse_rank(u, "u", "have at least one dimension");
    if (!is_suffix(k, k->ndim - 1, u))
        return refuse_shape(k, "k", hx_text("the last sizes of %s before its length, then the taps", hx_shape_text(u->shape, u->ndim)));
    if (skip && !is_suffix(skip, skip->ndim, u))
        return refuse_shape(skip, "D", hx_text("the last sizes of %s before its length", hx_shape_text(u->shape, u->ndim)));
    return HX_OK;
}

static hx_status conv_shape(hx_call *c) {
    HX_TRY(check_conv(c));
    c->compute = (int8_t)wide_dtype(c->in[0]);
    hx_spec_like(&c->spec[0], c->in[0]);
    c->spec[0].dtype = (uint8_t)c->compute;
    return HX_OK;
}

/* The first elements of an axis, or zeros behind it. */
static hx_tensor *fitted(hx_tensor *t, int64_t length) {
    int64_t have = t ? t->shape[t->ndim - 1] : 0;
    if (have > length) return CALL(narrow, t, -1, 0, length);
    return have < length ? CALL(constant_pad, t, 0, HX_INTS(0, length - have)) : t;
}

static hx_status conv_parts(hx_call *c) {
    hx_tensor *u = c->in[0], *y = CALL(mul, u, 0);
    int64_t length = u->shape[u->ndim - 1], taps = c->in[1]->shape[c->in[1]->ndim - 1], n = 1;
    if (length && taps) {
        while (n < INT64_MAX / 4 && n / 2 < length) n *= 2;
        hx_tensor *k = taps > length ? fitted(c->in[1], length) : c->in[1];
        hx_tensor *spectrum = CALL(mul, CALL(fft_r2c, fitted(u, n), HX_INTS(-1)), CALL(fft_r2c, fitted(k, n), HX_INTS(-1)));
        y = CALL(narrow, CALL(fft_c2r, spectrum, HX_INTS(-1), n, 1.0 / (double)n), -1, 0, length);
    }
    RESULT(0, c->in[2] ? CALL(add, y, CALL(mul, u, CALL(unsqueeze, c->in[2], -1))) : y);
    return HX_OK;
}

/* Summed over the leading axes that t has and a filter does not. */
static hx_tensor *over_uses(hx_tensor *t, int ndim) {
    int64_t axes[HX_MAX_RANK];
    int n = t ? t->ndim - ndim : 0;
    for (int d = 0; d < n; d++) axes[d] = d;
    return n > 0 ? CALL(sum, t, ((hx_ints){axes, n})) : t;
}
static hx_tensor *reversed(hx_tensor *t) { return CALL(flip, t, HX_INTS(-1)); }

/* A correlation is the convolution with time reversed. */
static hx_status conv_vjp(hx_vjp *v) {
    hx_tensor *u = IN(0), *k = IN(1), *skip = IN(2), *back = v->need[0] || v->need[1] ? reversed(G) : NULL;
    GIN(0, reversed(CALL(native_fft_conv, back, k, skip)));
    if (v->need[1]) {
        hx_tensor *g = over_uses(reversed(CALL(native_fft_conv, back, u)), v->in_spec[1].ndim);
        GIN(1, fitted(g, v->in_spec[1].shape[v->in_spec[1].ndim - 1]));
    }
    GIN(2, over_uses(CALL(sum, CALL(mul, G, u), -1), v->in_spec[2].ndim));
    return HX_OK;
}

static hx_status fft_conv_parts(hx_call *c) {
    hx_tensor *u = c->in[0];
    HX_TRY(check_conv(c));
    hx_tensor *y = CALL(native_fft_conv, u, c->in[1], c->in[2]);
    RESULT(0, y && y->dtype != u->dtype ? CALL(cast, y, u->dtype) : y);
    return HX_OK;
}

/* ---- records ---- */

#define SCAN                                                                                                  \
    TENSOR("u"), TENSOR("delta"), TENSOR("A"), TENSOR("B"), TENSOR("C"), OPT_TENSOR("D"), OPT_TENSOR("z"),    \
        OPT_TENSOR("delta_bias")

const hx_op hx_ops_sequence[] = {
    {.name = "selective_scan", .decompose = selective_scan_parts, .flags = HX_NN,
     .params = PARAMS(SCAN, BOOL("delta_softplus", false), BOOL("return_last_state", false)),
     .doc = "A linear recurrence whose coefficients depend on the input: the selective state space model.\n\n"
            "For each batch b, channel d and state n, with x = 0 at the start:\n"
            "    x[t] = exp(delta[t] A[d, n]) x[t - 1] + delta[t] B[n, t] u[t]\n"
            "    y[t] = (sum over n of C[n, t] x[t] + D[d] u[t]) silu(z[t])\n\n"
            "u, delta, z: (batch, channels, length). A: (channels, states). B, C: (batch, states, length), with groups of\n"
            "channels (batch, groups, states, length), or constant (channels, states). D, delta_bias: (channels,).\n"
            "delta_bias is added to delta; delta_softplus: then softplus is taken. Returns y; with return_last_state (y, x),\n"
            "x of shape (batch, channels, states). Real floating dtypes: sequences are computed in u's, the rest and the\n"
            "state in float32, or float64 for float64. Raises ShapeError (HX1001, HX1002) and DTypeError (HX1101).\n"
            "Source: Gu, Dao, \"Mamba: linear-time sequence modeling with selective state spaces\" (2023).\n\n"
            "Example:\n    >>> one = helix.ones(1, 1, 3)\n"
            "    >>> helix.nn.functional.selective_scan(one, one, helix.zeros(1, 1), one, one).tolist()\n"
            "    [[[1.0, 2.0, 3.0]]]"},
    {.name = "native_selective_scan", .outputs = "output, last_state, states", .shape = scan_shape, .vjp = scan_vjp,
     .decompose = scan_parts, .saves = 0xff | SAVE_OUT(2), .flags = HX_INTERNAL_OP,
     .params = PARAMS(SCAN, BOOL("delta_softplus", false)),
     .doc = "selective_scan with the state before every 32nd step. B and C are (batch, groups, states, length)."},
    {.name = "selective_scan_backward", .outputs = "u, delta, A, B, C, D, z, delta_bias", .shape = scan_backward_shape,
     .decompose = scan_backward_parts, .flags = HX_INTERNAL_OP,
     .params = PARAMS(SCAN, TENSOR("states"), TENSOR("output_gradient"), OPT_TENSOR("last_state_gradient"),
                      BOOL("delta_softplus", false)),
     .doc = "The gradients of native_selective_scan; that of an absent input has no elements."},
    {.name = "fft_conv", .decompose = fft_conv_parts, .flags = HX_NN,
     .params = PARAMS(TENSOR("u"), TENSOR("k"), OPT_TENSOR("D")),
     .doc = "Causal convolution with a long filter, through Fourier transforms: y[t] = sum of k[s] u[t - s] over s <= t, + D u[t].\n\n"
            "u: (..., length). k: (taps,) for all rows of u, or with u's axes before the last, or the later ones of them, in\n"
            "front: (channels, taps) for u of (batch, channels, length). D: the same axes without the taps, or none. Taps from\n"
            "`length` on have no effect. The result has u's shape and dtype; it is computed in float32, or float64 for float64.\n"
            "Real floating dtypes. Raises ShapeError (HX1001, HX1002) and DTypeError (HX1101).\n"
            "Source: Poli et al., \"Hyena hierarchy: towards larger convolutional language models\" (2023).\n\n"
            "Example:\n    >>> y = helix.nn.functional.fft_conv(helix.tensor([1., 2., 3.]), helix.tensor([1., 1.]))\n"
            "    >>> [round(v, 4) for v in y.tolist()]\n    [1.0, 3.0, 5.0]"},
    {.name = "native_fft_conv", .shape = conv_shape, .vjp = conv_vjp, .decompose = conv_parts,
     .saves = SAVE_IN(0) | SAVE_IN(1) | SAVE_IN(2), .flags = HX_INTERNAL_OP,
     .params = PARAMS(TENSOR("u"), TENSOR("k"), OPT_TENSOR("D")), .doc = "fft_conv in float32 or float64."},
    {0}};
