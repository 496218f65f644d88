/* Pooling over one to three spatial axes. The internal ops max_pool, avg_pool and their adaptive forms work for any
 * number of axes; the public ones fill in defaults and fix the number. */
#include <string.h>
#include "spatial.h"

#define ORDERED (HX_SET_INTEGER | HX_SET_FLOAT)

/* ---- sizes ----------------------------------------------------------------------------------------------- */

/* Rounded up, the last window must still start inside the input or its left border. */
static hx_status pooled_size(int64_t in, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation, bool ceil_mode,
                             int axis, int64_t *out) {
    int64_t span, padded;
    HX_TRY(hx_span(kernel, dilation, &span));
    if (pad > span / 2)
        return hx_fail_about(FACTS("padding", hx_text("at most %lld", (long long)(span / 2)),
                                   hx_text("%lld", (long long)pad)), HX_E_VALUE, HX1403_VALUE,
                       "padding must be at most half of the kernel, got padding %lld for a kernel that spans %lld on "
                       "spatial axis %d",
                       (long long)pad, (long long)span, axis);
    if (!hx_mul_ok(pad, 2, &padded) || !hx_add_ok(padded, in, &padded) || padded > INT64_MAX / 4)
        return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "the input with padding %lld does not fit in 64 bits", (long long)pad);
    if (in < 1 || padded < span)
        return hx_fail_about(FACTS("input", hx_text("%lld or more", (long long)span),
                                   hx_text("%lld", (long long)padded)), HX_E_SHAPE, HX1002_INNER,
                       "the kernel is larger than the input: on spatial axis %d it spans %lld, the input has %lld with "
                       "its padding",
                       axis, (long long)span, (long long)padded);
    if (dilation > in)
        return hx_fail(HX_E_VALUE, HX1403_VALUE,
                       "dilation %lld is larger than the input's size %lld on spatial axis %d: windows could miss it",
                       (long long)dilation, (long long)in, axis);
    int64_t room = padded - span;
    *out = room / stride + 1;
    if (ceil_mode && room % stride && in + pad > stride && *out <= (in + pad - 1) / stride) ++*out;
    return HX_OK;
}

/* kernel_size, stride, padding, dilation (at -1: all 1) at their places, checked, one value for each axis. */
static hx_status check_pool(hx_call *c, int kernel, int n, int dilation) {
    HX_TRY(hx_spatial(c, kernel, "kernel_size", n, 1));
    HX_TRY(hx_spatial(c, kernel + 1, "stride", n, 1));
    HX_TRY(hx_spatial(c, kernel + 2, "padding", n, 0));
    return dilation < 0 ? HX_OK : hx_spatial(c, dilation, "dilation", n, 1);
}

static hx_status pool_spec(hx_call *c, const int64_t *in, int n, int kernel, int dilation, bool ceil_mode, int64_t *sizes) {
    for (int i = 0; i < n; i++)
        HX_TRY(pooled_size(in[i], c->attr[kernel].v.ints[i], c->attr[kernel + 1].v.ints[i], c->attr[kernel + 2].v.ints[i],
                           dilation < 0 ? 1 : c->attr[dilation].v.ints[i], ceil_mode, i, &sizes[i]));
    return HX_OK;
}

static hx_status axes_of(const hx_attr *a, int *n) {
    *n = (int)a->count;
    if (*n >= 1 && *n <= 3) return HX_OK;
    return hx_fail(HX_E_VALUE, HX1403_VALUE, "pooling works on 1 to 3 spatial axes, got %d", *n);
}

static hx_status check_input(const hx_tensor *x, int n, uint64_t dtypes) {
    HX_TRY(hx_check_image(x, "input", n));
    HX_TRY(hx_require_dtype(x, "input", dtypes));
    for (int i = x->ndim - n; i < x->ndim; i++)
        if (x->shape[i] < 1)
            return hx_fail(HX_E_SHAPE, HX1404_EMPTY, "input %s has no elements along axis %d to pool",
                           hx_shape_text(x->shape, x->ndim), i);
    return HX_OK;
}

static void values_spec(hx_call *c, int n, const int64_t *sizes) {
    const hx_tensor *x = c->in[0];
    hx_image_spec(&c->spec[0], x, n, x->shape[x->ndim - n - 1], sizes);
}

/* The second output of a maximum: places within the plane. */
static hx_status indices_spec(hx_call *c, int n, bool wanted) {
    int64_t plane;
    const hx_tensor *x = c->in[0];
    HX_TRY(hx_numel(x->shape + x->ndim - n, n, &plane));
    if (wanted && plane > INT32_MAX)
        return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "a plane of %lld elements is too large for indices (limit 2^31 - 1)",
                       (long long)plane);
    c->n_out = wanted ? 2 : 1;
    if (wanted) {
        c->spec[1] = c->spec[0];
        c->spec[1].dtype = HX_I32;
    }
    return HX_OK;
}

/* ---- max ------------------------------------------------------------------------------------------------- */

/* kernel_size, stride, padding, dilation, ceil_mode, indices */
static hx_status max_pool_rule(hx_call *c) {
    int n;
    int64_t sizes[3];
    HX_TRY(axes_of(&c->attr[0], &n));
    HX_TRY(check_input(c->in[0], n, ORDERED));
    HX_TRY(check_pool(c, 0, n, 3));
    HX_TRY(pool_spec(c, c->in[0]->shape + c->in[0]->ndim - n, n, 0, 3, c->attr[4].v.i != 0, sizes));
    values_spec(c, n, sizes);
    return indices_spec(c, n, c->attr[5].v.i != 0);
}

/* output_size, indices */
static hx_status adaptive_max_pool_rule(hx_call *c) {
    int n;
    HX_TRY(axes_of(&c->attr[0], &n));
    HX_TRY(check_input(c->in[0], n, ORDERED));
    HX_TRY(hx_spatial(c, 0, "output_size", n, 1));
    values_spec(c, n, c->attr[0].v.ints);
    return indices_spec(c, n, c->attr[1].v.i != 0);
}

/* A call that kept no indices finds them again. */
static hx_status max_pool_vjp(hx_vjp *v) {
    hx_tensor *again[2];
    hx_tensor *at = v->n_out > 1 ? OUT(1) : NULL;
    if (!at && CALLN(again, 2, max_pool, IN(0), ATTR(0), ATTR(1), ATTR(2), ATTR(3), ATTR(4), true)) at = again[1];
    GIN(0, CALL(max_pool_backward, G, at, hx_tail(&v->in_spec[0], (int)ATTR(0)->count)));
    return HX_OK;
}
static hx_status adaptive_max_pool_vjp(hx_vjp *v) {
    hx_tensor *again[2];
    hx_tensor *at = v->n_out > 1 ? OUT(1) : NULL;
    if (!at && CALLN(again, 2, adaptive_max_pool, IN(0), ATTR(0), true)) at = again[1];
    GIN(0, CALL(max_pool_backward, G, at, hx_tail(&v->in_spec[0], (int)ATTR(0)->count)));
    return HX_OK;
}

static hx_status max_pool_backward_rule(hx_call *c) {
    int n;
    const hx_tensor *g = c->in[0], *at = c->in[1];
    HX_TRY(axes_of(&c->attr[0], &n));
    HX_TRY(hx_check_image(g, "grad", n));
    HX_TRY(hx_require_dtype(g, "grad", HX_SET_FLOAT));
    HX_TRY(hx_require_dtype(at, "indices", HX_BIT(HX_I32)));
    if (g->ndim != at->ndim || memcmp(g->shape, at->shape, g->ndim * sizeof *g->shape))
        return hx_fail(HX_E_SHAPE, HX1002_INNER, "grad %s and indices %s must have one shape",
                       hx_shape_text(g->shape, g->ndim), hx_shape_text(at->shape, at->ndim));
    values_spec(c, n, c->attr[0].v.ints);
    return HX_OK;
}

/* Spatial axes as one. */
static hx_tensor *flat(hx_tensor *t, int n) {
    if (!t) return NULL;
    int64_t shape[HX_MAX_RANK], size = 1;
    int lead = t->ndim - n;
    for (int i = 0; i < lead; i++) shape[i] = t->shape[i];
    for (int i = lead; i < t->ndim; i++) size *= t->shape[i];
    shape[lead] = size;
    return CALL(reshape, t, ((hx_ints){shape, lead + 1}));
}

static hx_status max_pool_backward_vjp(hx_vjp *v) {
    int n = (int)ATTR(0)->count;
    hx_tensor *at = CALL(cast, flat(IN(1), n), HX_I64);
    GIN(0, CALL(reshape, CALL(gather, flat(G, n), -1, at), ((hx_ints){v->in_spec[0].shape, v->in_spec[0].ndim})));
    return HX_OK;
}

/* ---- average --------------------------------------------------------------------------------------------- */

static hx_status check_divisor(const hx_attr *a) {
    if (a->kind != HX_A_NONE && a->v.i == 0)
        return hx_fail(HX_E_VALUE, HX1403_VALUE, "divisor_override must not be 0");
    return HX_OK;
}

/* kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override */
static hx_status average_of(hx_call *c, uint64_t dtypes) {
    int n;
    int64_t sizes[3];
    HX_TRY(axes_of(&c->attr[0], &n));
    HX_TRY(check_input(c->in[0], n, dtypes));
    HX_TRY(check_pool(c, 0, n, -1));
    HX_TRY(check_divisor(&c->attr[5]));
    HX_TRY(pool_spec(c, c->in[0]->shape + c->in[0]->ndim - n, n, 0, -1, c->attr[3].v.i != 0, sizes));
    values_spec(c, n, sizes);
    return HX_OK;
}
static hx_status avg_pool_rule(hx_call *c) { return average_of(c, HX_SET_FLOAT); }
static hx_status avg_pool_vjp(hx_vjp *v) {
    GIN(0, CALL(avg_pool_backward, G, hx_tail(&v->in_spec[0], (int)ATTR(0)->count), ATTR(0), ATTR(1), ATTR(2), ATTR(3),
                ATTR(4), ATTR(5)));
    return HX_OK;
}

/* size, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override */
static hx_status avg_pool_backward_rule(hx_call *c) {
    int n;
    int64_t sizes[3];
    const hx_tensor *g = c->in[0];
    HX_TRY(axes_of(&c->attr[0], &n));
    HX_TRY(hx_check_image(g, "grad", n));
    HX_TRY(hx_require_dtype(g, "grad", HX_SET_FLOAT));
    HX_TRY(check_pool(c, 1, n, -1));
    HX_TRY(check_divisor(&c->attr[6]));
    HX_TRY(pool_spec(c, c->attr[0].v.ints, n, 1, -1, c->attr[4].v.i != 0, sizes));
    if (memcmp(sizes, g->shape + g->ndim - n, (size_t)n * sizeof *sizes))
        return hx_fail(HX_E_SHAPE, HX1002_INNER, "grad %s does not have the spatial sizes %s of the pool",
                       hx_shape_text(g->shape, g->ndim), hx_shape_text(sizes, n));
    values_spec(c, n, c->attr[0].v.ints);
    return HX_OK;
}
static hx_status avg_pool_backward_vjp(hx_vjp *v) {
    GIN(0, CALL(avg_pool, G, ATTR(1), ATTR(2), ATTR(3), ATTR(4), ATTR(5), ATTR(6)));
    return HX_OK;
}

static hx_status adaptive_avg_pool_rule(hx_call *c) {
    int n;
    HX_TRY(axes_of(&c->attr[0], &n));
    HX_TRY(check_input(c->in[0], n, HX_SET_FLOAT));
    HX_TRY(hx_spatial(c, 0, "output_size", n, 1));
    values_spec(c, n, c->attr[0].v.ints);
    return HX_OK;
}
static hx_status adaptive_avg_pool_vjp(hx_vjp *v) {
    GIN(0, CALL(adaptive_avg_pool_backward, G, hx_tail(&v->in_spec[0], (int)ATTR(0)->count)));
    return HX_OK;
}
static hx_status adaptive_avg_pool_backward_rule(hx_call *c) {
    int n;
    HX_TRY(axes_of(&c->attr[0], &n));
    HX_TRY(hx_check_image(c->in[0], "grad", n));
    HX_TRY(hx_require_dtype(c->in[0], "grad", HX_SET_FLOAT));
    HX_TRY(hx_spatial(c, 0, "size", n, 1));
    values_spec(c, n, c->attr[0].v.ints);
    return HX_OK;
}
static hx_status adaptive_avg_pool_backward_vjp(hx_vjp *v) {
    GIN(0, CALL(adaptive_avg_pool, G, hx_tail(&v->in_spec[0], (int)ATTR(0)->count)));
    return HX_OK;
}

/* ---- public forms ---------------------------------------------------------------------------------------- */

/* These run the internal op's shape rule first, so that an error names the op that was called. */

/* The stride defaults to the kernel; a list with no values means the same. */
static hx_status default_stride(hx_call *c, int n) {
    HX_TRY(hx_spatial(c, 0, "kernel_size", n, 1));
    if (c->attr[1].kind == HX_A_NONE || c->attr[1].count == 0) c->attr[1] = c->attr[0];
    return HX_OK;
}

/* Indices are kept for the caller, and for a gradient. */
static bool keeps_indices(const hx_call *c, bool asked) {
    return asked || (hx_grad_enabled() && hx_requires_grad(c->in[0]));
}
static hx_status take_maximum(hx_call *c, hx_tensor *const *out, bool asked) {
    c->n_out = asked ? 2 : 1;
    c->out[0] = out[0];
    if (asked) RESULT(1, CALL(cast, out[1], HX_I64));
    return HX_OK;
}

/* kernel_size, stride, padding, dilation, ceil_mode, return_indices */
static hx_status max_pool_parts(hx_call *c, int n) {
    hx_tensor *out[2];
    HX_TRY(hx_check_image(c->in[0], "input", n));
    HX_TRY(default_stride(c, n));
    HX_TRY(max_pool_rule(c));
    bool asked = c->attr[5].v.i != 0, keep = keeps_indices(c, asked);
    if (!CALLN(out, keep ? 2 : 1, max_pool, c->in[0], &c->attr[0], &c->attr[1], &c->attr[2], &c->attr[3], &c->attr[4], keep))
        return hx_error_last()->code;
    return take_maximum(c, out, asked);
}

/* output_size, return_indices */
static hx_status adaptive_max_pool_parts(hx_call *c, int n) {
    hx_tensor *out[2];
    HX_TRY(hx_check_image(c->in[0], "input", n));
    HX_TRY(hx_spatial(c, 0, "output_size", n, 1));
    HX_TRY(adaptive_max_pool_rule(c));
    bool asked = c->attr[1].v.i != 0, keep = keeps_indices(c, asked);
    if (!CALLN(out, keep ? 2 : 1, adaptive_max_pool, c->in[0], &c->attr[0], keep)) return hx_error_last()->code;
    return take_maximum(c, out, asked);
}

/* kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override */
static hx_status avg_pool_parts(hx_call *c, int n) {
    HX_TRY(hx_check_image(c->in[0], "input", n));
    HX_TRY(default_stride(c, n));
    HX_TRY(average_of(c, ORDERED));
    hx_tensor *x = c->in[0];
    bool integral = hx_is_integral((hx_dtype)x->dtype);
    hx_tensor *mean = CALL(avg_pool, integral ? CALL(cast, x, (int)HX_F64) : x, &c->attr[0], &c->attr[1], &c->attr[2],
                           &c->attr[3], &c->attr[4], &c->attr[5]);
    RESULT(0, integral ? CALL(cast, mean, x->dtype) : mean);
    return HX_OK;
}

static hx_status adaptive_avg_pool_parts(hx_call *c, int n) {
    HX_TRY(hx_check_image(c->in[0], "input", n));
    HX_TRY(hx_spatial(c, 0, "output_size", n, 1));
    HX_TRY(adaptive_avg_pool_rule(c));
    RESULT(0, CALL(adaptive_avg_pool, c->in[0], &c->attr[0]));
    return HX_OK;
}

/* The size a pool would have had, or the asked one (the last n of output_size), which may differ by less than a stride.
 * attr: kernel_size, stride, padding, output_size */
static hx_status unpooled_sizes(const hx_call *c, int n, int64_t *sizes) {
    const hx_tensor *x = c->in[0];
    const hx_attr *kernel = &c->attr[0], *stride = &c->attr[1], *pad = &c->attr[2], *asked = &c->attr[3];
    bool given = asked->kind != HX_A_NONE;
    if (given && (int)asked->count != n && (int)asked->count != x->ndim)
        return hx_fail(HX_E_VALUE, HX1403_VALUE, "output_size has %d values; give the %d spatial sizes or all %d",
                       (int)asked->count, n, x->ndim);
    for (int i = 0; i < n; i++) {
        int64_t in = x->shape[x->ndim - n + i], step = stride->v.ints[i], usual, border;
        if (!hx_mul_ok(in - 1, step, &usual) || !hx_add_ok(usual, kernel->v.ints[i], &usual) ||
            !hx_mul_ok(pad->v.ints[i], 2, &border) || !hx_add_ok(usual, -border, &usual))
            return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "the result's spatial axis %d does not fit in 64 bits", i);
        sizes[i] = given ? asked->v.ints[asked->count - (uint32_t)n + (uint32_t)i] : usual;
        if (sizes[i] < 1 || sizes[i] <= usual - step || (sizes[i] > usual && sizes[i] - usual >= step))
            return hx_fail_about(FACTS("output_size", hx_text("%lld", (long long)usual), hx_text("%lld", (long long)sizes[i])),
                                 HX_E_VALUE, HX1403_VALUE,
                                 "spatial axis %d of the result would have %lld elements; kernel, stride and padding allow "
                           "%lld, and less than a stride (%lld) more or fewer",
                           i, (long long)sizes[i], (long long)usual, (long long)step);
    }
    return HX_OK;
}

/* Each value at the place its maximum came from; zeros elsewhere. attr as above */
static hx_status max_unpool_parts(hx_call *c, int n) {
    int64_t sizes[3], shape[HX_MAX_RANK], plane;
    hx_tensor *x = c->in[0], *at = c->in[1];
    HX_TRY(hx_check_image(x, "input", n));
    HX_TRY(hx_require_dtype(at, "indices", HX_SET_INTEGER));
    if (x->ndim != at->ndim || memcmp(x->shape, at->shape, x->ndim * sizeof *x->shape))
        return hx_fail_about(FACTS("indices", hx_shape_text(x->shape, x->ndim), hx_shape_text(at->shape, at->ndim)),
                             HX_E_SHAPE, HX1002_INNER, "input %s and indices %s must have one shape",
                             hx_shape_text(x->shape, x->ndim), hx_shape_text(at->shape, at->ndim));
    HX_TRY(default_stride(c, n));
    HX_TRY(check_pool(c, 0, n, -1));
    HX_TRY(unpooled_sizes(c, n, sizes));
    HX_TRY(hx_numel(sizes, n, &plane));
    int lead = x->ndim - n;
    hx_copy_sizes(shape, x->shape, lead);
    shape[lead] = plane;
    hx_tensor *zeros = CALL(full, ((hx_ints){shape, lead + 1}), 0, x->dtype);
    hx_tensor *values = CALL(scatter, zeros, -1, CALL(cast, flat(at, n), (int)HX_I64), flat(x, n));
    hx_copy_sizes(shape + lead, sizes, n);
    RESULT(0, CALL(reshape, values, ((hx_ints){shape, x->ndim})));
    return HX_OK;
}

/* The p-norm of a window from the mean of powers. attr: norm_type, kernel_size, stride, ceil_mode */
static hx_status lp_pool_parts(hx_call *c, int n) {
    hx_tensor *x = c->in[0];
    double p = c->attr[0].v.f, count = 1;
    HX_TRY(check_input(x, n, HX_SET_FLOAT));
    if (p == 0) return hx_fail(HX_E_VALUE, HX1403_VALUE, "norm_type must not be 0");
    HX_TRY(hx_spatial(c, 1, "kernel_size", n, 1));
    for (int i = 0; i < n; i++) count *= (double)c->attr[1].v.ints[i];
    const hx_attr *stride = c->attr[2].kind == HX_A_NONE || c->attr[2].count == 0 ? &c->attr[1] : &c->attr[2];
    hx_ints none = HX_INTS(0);
    hx_tensor *power = CALL(pow, x, p), *mean = n == 1   ? CALL(avg_pool1d, power, &c->attr[1], stride, none, &c->attr[3])
                                              : n == 2 ? CALL(avg_pool2d, power, &c->attr[1], stride, none, &c->attr[3])
                                                       : CALL(avg_pool3d, power, &c->attr[1], stride, none, &c->attr[3]);
    RESULT(0, CALL(pow, CALL(mul, CALL(maximum, mean, 0.0), count), 1 / p));
    return HX_OK;
}

#define RANKS(name)                                                                                           \
    static hx_status name##1d(hx_call *c) { return name##_parts(c, 1); }                                      \
    static hx_status name##2d(hx_call *c) { return name##_parts(c, 2); }                                      \
    static hx_status name##3d(hx_call *c) { return name##_parts(c, 3); }
RANKS(max_pool)
RANKS(adaptive_max_pool)
RANKS(avg_pool)
RANKS(adaptive_avg_pool)
RANKS(max_unpool)
RANKS(lp_pool)

/* ---- records --------------------------------------------------------------------------------------------- */

#define MAX_DOC                                                                                               \
    "The largest value of every window.\n\n"                                                                  \
    "input (batch, channels, *spatial), or without its batch axis. kernel_size, stride (default: kernel_size), padding,\n" \
    "dilation: one int, or one for each axis. The border counts as -infinity; a NaN wins over every number. Sizes are\n" \
    "rounded down, or up with ceil_mode. With return_indices the result is (values, indices): the int64 place of each\n" \
    "maximum in its plane, the first one of equal values.\n\n"                                                \
    "Fails with HX1403 when the padding is more than half of the kernel, with HX1002 when the kernel is larger than the\n" \
    "padded input.\n\n"                                                                                       \
    "Example:\n"
#define AVG_DOC                                                                                               \
    "The mean of every window.\n\n"                                                                           \
    "input (batch, channels, *spatial), or without its batch axis. kernel_size, stride (default: kernel_size),\n" \
    "padding: one int, or one for each axis. The divisor counts the border unless count_include_pad is False;\n" \
    "divisor_override replaces it. Sizes are rounded down, or up with ceil_mode. Means of integers are computed in\n" \
    "float64 and cut towards 0.\n\n"                                                                          \
    "Fails with HX1403 when the padding is more than half of the kernel, with HX1002 when the kernel is larger than the\n" \
    "padded input.\n\n"                                                                                       \
    "Example:\n"
#define ADAPTIVE_DOC(what)                                                                                    \
    what " of windows chosen so that the result has the spatial sizes output_size.\n\n"                       \
    "Window o of an axis covers floor(o * in / out) up to ceil((o + 1) * in / out). input (batch, channels, *spatial), or\n" \
    "without its batch axis. Fails with HX1404 for an axis without elements.\n\n"                             \
    "Example:\n"
#define MAX(rank, example)                                                                                    \
    {.name = "max_pool" #rank, .decompose = max_pool##rank,                                                  \
     .flags = HX_FUNCTION | HX_NN | HX_NONDIFF_OUT1,                                                          \
     .params = PARAMS(TENSOR("input"), REQ_INTS("kernel_size"), OPT_INTS("stride"), INTS("padding", 0),       \
                      INTS("dilation", 1), BOOL("ceil_mode", false), BOOL("return_indices", false)),          \
     .doc = MAX_DOC example}
#define AVG(rank, example)                                                                                    \
    {.name = "avg_pool" #rank, .decompose = avg_pool##rank, .flags = HX_FUNCTION | HX_NN,                     \
     .params = PARAMS(TENSOR("input"), REQ_INTS("kernel_size"), OPT_INTS("stride"), INTS("padding", 0),       \
                      BOOL("ceil_mode", false), BOOL("count_include_pad", true), OPT_INT("divisor_override")), \
     .doc = AVG_DOC example}
#define ADAPTIVE_MAX(rank, example)                                                                           \
    {.name = "adaptive_max_pool" #rank, .decompose = adaptive_max_pool##rank,                                \
     .flags = HX_FUNCTION | HX_NN | HX_NONDIFF_OUT1,                                                          \
     .params = PARAMS(TENSOR("input"), REQ_INTS("output_size"), BOOL("return_indices", false)),               \
     .doc = ADAPTIVE_DOC("The largest values") example}
#define ADAPTIVE_AVG(rank, example)                                                                           \
    {.name = "adaptive_avg_pool" #rank, .decompose = adaptive_avg_pool##rank, .flags = HX_FUNCTION | HX_NN,   \
     .params = PARAMS(TENSOR("input"), REQ_INTS("output_size")), .doc = ADAPTIVE_DOC("The means") example}
#define UNPOOL(rank, example)                                                                                 \
    {.name = "max_unpool" #rank, .decompose = max_unpool##rank, .flags = HX_NN,                               \
     .params = PARAMS(TENSOR("input"), TENSOR("indices"), REQ_INTS("kernel_size"), OPT_INTS("stride"),        \
                      INTS("padding", 0), OPT_INTS("output_size")),                                           \
     .doc = "Puts every value where a max_pool found it; zeros elsewhere.\n\n"                                \
            "input and indices: what max_pool" #rank " gave with return_indices=True. kernel_size, stride, padding: as\n" \
            "there. output_size: the spatial sizes (or all) of the pool's input, where rounding lost them. Of several\n" \
            "values for one place the last one stays.\n\n"                                                    \
            "Fails with HX1403 for sizes that the pool cannot have had, with HX1301 for indices outside.\n\n" \
            "Example:\n" example}
#define LP(rank, example)                                                                                     \
    {.name = "lp_pool" #rank, .decompose = lp_pool##rank, .flags = HX_NN,                                     \
     .params = PARAMS(TENSOR("input"), REQ_FLOAT("norm_type"), REQ_INTS("kernel_size"), OPT_INTS("stride"),   \
                      BOOL("ceil_mode", false)),                                                              \
     .doc = "The norm (sum of x^norm_type)^(1 / norm_type) of every window.\n\n"                              \
            "input (batch, channels, *spatial), or without its batch axis; floating. kernel_size, stride (default:\n" \
            "kernel_size): one int, or one for each axis. Negative sums count as 0. A window that ceil_mode lets reach\n" \
            "over the border is scaled to full size.\n\n"                                                     \
            "Example:\n" example}
#define EXAMPLE_INPUT(lead, tail) "    >>> x = helix.tensor(" lead "[1.0, 3.0, 2.0, 8.0]" tail ")\n"

const hx_op hx_ops_pool[] = {
    {.name = "max_pool", .shape = max_pool_rule, .vjp = max_pool_vjp, .saves = SAVE_IN(0) | SAVE_OUT(1),
     .outputs = "values, indices", .flags = HX_PRIMITIVE | HX_INTERNAL_OP | HX_NONDIFF_OUT1,
     .params = PARAMS(TENSOR("input"), REQ_INTS("kernel_size"), REQ_INTS("stride"), REQ_INTS("padding"),
                      REQ_INTS("dilation"), BOOL("ceil_mode", false), BOOL("indices", true)),
     .doc = "The largest value of every window, and on demand its int32 place in the plane."},
    {.name = "adaptive_max_pool", .shape = adaptive_max_pool_rule, .vjp = adaptive_max_pool_vjp,
     .saves = SAVE_IN(0) | SAVE_OUT(1), .outputs = "values, indices",
     .flags = HX_PRIMITIVE | HX_INTERNAL_OP | HX_NONDIFF_OUT1,
     .params = PARAMS(TENSOR("input"), REQ_INTS("output_size"), BOOL("indices", true)),
     .doc = "The largest value of every adaptive window, and on demand its int32 place in the plane."},
    {.name = "max_pool_backward", .shape = max_pool_backward_rule, .vjp = max_pool_backward_vjp, .saves = SAVE_IN(1),
     .flags = HX_PRIMITIVE | HX_INTERNAL_OP, .params = PARAMS(TENSOR("grad"), TENSOR("indices"), REQ_INTS("size")),
     .doc = "Adds every gradient at the place its maximum came from, in planes of spatial sizes `size`."},
    {.name = "avg_pool", .shape = avg_pool_rule, .vjp = avg_pool_vjp, .flags = HX_PRIMITIVE | HX_INTERNAL_OP,
     .params = PARAMS(TENSOR("input"), REQ_INTS("kernel_size"), REQ_INTS("stride"), REQ_INTS("padding"),
                      BOOL("ceil_mode", false), BOOL("count_include_pad", true), OPT_INT("divisor_override")),
     .doc = "The mean of every window."},
    {.name = "avg_pool_backward", .shape = avg_pool_backward_rule, .vjp = avg_pool_backward_vjp,
     .flags = HX_PRIMITIVE | HX_INTERNAL_OP,
     .params = PARAMS(TENSOR("grad"), REQ_INTS("size"), REQ_INTS("kernel_size"), REQ_INTS("stride"), REQ_INTS("padding"),
                      BOOL("ceil_mode", false), BOOL("count_include_pad", true), OPT_INT("divisor_override")),
     .doc = "The gradient of avg_pool for an input of spatial sizes `size`."},
    {.name = "adaptive_avg_pool", .shape = adaptive_avg_pool_rule, .vjp = adaptive_avg_pool_vjp,
     .flags = HX_PRIMITIVE | HX_INTERNAL_OP, .params = PARAMS(TENSOR("input"), REQ_INTS("output_size")),
     .doc = "The mean of every adaptive window."},
    {.name = "adaptive_avg_pool_backward", .shape = adaptive_avg_pool_backward_rule, .vjp = adaptive_avg_pool_backward_vjp,
     .flags = HX_PRIMITIVE | HX_INTERNAL_OP, .params = PARAMS(TENSOR("grad"), REQ_INTS("size")),
     .doc = "The gradient of adaptive_avg_pool for an input of spatial sizes `size`."},
    MAX(1d, EXAMPLE_INPUT("[[", "]]") "    >>> helix.max_pool1d(x, 2).tolist()\n    [[[3.0, 8.0]]]"),
    MAX(2d, EXAMPLE_INPUT("[[[", "]]]") "    >>> helix.max_pool2d(x, (1, 2)).tolist()\n    [[[[3.0, 8.0]]]]"),
    MAX(3d, EXAMPLE_INPUT("[[[[", "]]]]") "    >>> helix.max_pool3d(x, (1, 1, 2)).tolist()\n    [[[[[3.0, 8.0]]]]]"),
    AVG(1d, EXAMPLE_INPUT("[[", "]]") "    >>> helix.avg_pool1d(x, 2).tolist()\n    [[[2.0, 5.0]]]"),
    AVG(2d, EXAMPLE_INPUT("[[[", "]]]") "    >>> helix.avg_pool2d(x, (1, 2)).tolist()\n    [[[[2.0, 5.0]]]]"),
    AVG(3d, EXAMPLE_INPUT("[[[[", "]]]]") "    >>> helix.avg_pool3d(x, (1, 1, 2)).tolist()\n    [[[[[2.0, 5.0]]]]]"),
    ADAPTIVE_MAX(1d, EXAMPLE_INPUT("[[", "]]") "    >>> helix.adaptive_max_pool1d(x, 1).tolist()\n    [[[8.0]]]"),
    ADAPTIVE_MAX(2d, EXAMPLE_INPUT("[[[", "]]]") "    >>> helix.adaptive_max_pool2d(x, 1).tolist()\n    [[[[8.0]]]]"),
    ADAPTIVE_MAX(3d, EXAMPLE_INPUT("[[[[", "]]]]") "    >>> helix.adaptive_max_pool3d(x, 1).tolist()\n    [[[[[8.0]]]]]"),
    ADAPTIVE_AVG(1d, EXAMPLE_INPUT("[[", "]]") "    >>> helix.adaptive_avg_pool1d(x, 1).tolist()\n    [[[3.5]]]"),
    ADAPTIVE_AVG(2d, EXAMPLE_INPUT("[[[", "]]]") "    >>> helix.adaptive_avg_pool2d(x, 1).tolist()\n    [[[[3.5]]]]"),
    ADAPTIVE_AVG(3d, EXAMPLE_INPUT("[[[[", "]]]]") "    >>> helix.adaptive_avg_pool3d(x, 1).tolist()\n    [[[[[3.5]]]]]"),
#define F "    >>> helix.nn.functional."
#define PLACES(rank, kernel) "    >>> y, places = helix.max_pool" #rank "(x, " kernel ", return_indices=True)\n"
    UNPOOL(1d, EXAMPLE_INPUT("[[", "]]") PLACES(1d, "2") F "max_unpool1d(y, places, 2).tolist()\n    [[[0.0, 3.0, 0.0, 8.0]]]"),
    UNPOOL(2d, EXAMPLE_INPUT("[[[", "]]]") PLACES(2d, "(1, 2)")
           F "max_unpool2d(y, places, (1, 2)).tolist()\n    [[[[0.0, 3.0, 0.0, 8.0]]]]"),
    UNPOOL(3d, EXAMPLE_INPUT("[[[[", "]]]]") PLACES(3d, "(1, 1, 2)")
           F "max_unpool3d(y, places, (1, 1, 2)).tolist()\n    [[[[[0.0, 3.0, 0.0, 8.0]]]]]"),
    LP(1d, EXAMPLE_INPUT("[[", "]]") F "lp_pool1d(x, 1, 2).tolist()\n    [[[4.0, 10.0]]]"),
    LP(2d, EXAMPLE_INPUT("[[[", "]]]") F "lp_pool2d(x, 1, (1, 2)).tolist()\n    [[[[4.0, 10.0]]]]"),
    LP(3d, EXAMPLE_INPUT("[[[[", "]]]]") F "lp_pool3d(x, 1, (1, 1, 2)).tolist()\n    [[[[[4.0, 10.0]]]]]"),
    {0},
};
