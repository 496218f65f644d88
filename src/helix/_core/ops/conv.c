/* Convolutions in one to three spatial axes. `conv`, the gradient of its input and the gradient of its weight are each
 * linear in two tensors, and the vjp of each is made of the other two; a transposed convolution is the gradient of
 * the input, called as an op of its own. */
#include <string.h>
#include "spatial.h"

#define NONE ((hx_tensor *)NULL)
#define FIELD (HX_SET_INTEGER | HX_SET_FLOAT | HX_SET_COMPLEX)

/* ---- checks and sizes ------------------------------------------------------------------------------------ */

/* The attributes stride, padding, dilation, groups from position `at` on. */
static hx_status check_window(hx_call *c, int at, int n) {
    HX_TRY(hx_spatial(c, at, "stride", n, 1));
    HX_TRY(hx_spatial(c, at + 1, "padding", n, 0));
    HX_TRY(hx_spatial(c, at + 2, "dilation", n, 1));
    int64_t groups = c->attr[at + 3].v.i;
    if (groups < 1) return hx_refuse(HX_E_VALUE, HX1403_VALUE, "groups", "be at least 1", "%lld", (long long)groups);
    return HX_OK;
}

static hx_status output_size(int64_t in, int64_t kernel, const hx_call *c, int at, int axis, int64_t *out) {
    int64_t stride = c->attr[at].v.ints[axis], pad = c->attr[at + 1].v.ints[axis], span, padded;
    *out = 0;
    HX_TRY(hx_span(kernel, c->attr[at + 2].v.ints[axis], &span));
    if (!hx_mul_ok(pad, 2, &padded) || !hx_add_ok(padded, in, &padded) || padded > INT64_MAX / 4)
        return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "the input with padding %lld does not fit in 64 bits", (long long)pad);
    if (padded < span)
        return hx_fail_about(FACTS("input", hx_text("%lld or more", (long long)span),
                                   hx_text("%lld", (long long)padded)), HX_E_SHAPE, HX1002_INNER,
                       "the kernel is larger than the input: on spatial axis %d it spans %lld, the input has %lld with "
                       "its padding. Use a larger input or more padding.",
                       axis, (long long)span, (long long)padded);
    *out = (padded - span) / stride + 1;
    return HX_OK;
}

/* Both tensors hold one dtype that can be multiplied. */
static hx_status same_dtype(const hx_tensor *a, const char *a_name, const hx_tensor *b, const char *b_name) {
    HX_TRY(hx_require_dtype(a, a_name, FIELD));
    if (a->dtype == b->dtype) return HX_OK;
    return hx_fail_about(FACTS(b_name, hx_dtype_name((hx_dtype)a->dtype), hx_dtype_name((hx_dtype)b->dtype)),
                         HX_E_DTYPE, HX1101_DTYPE, "%s has dtype %s, but %s has %s; use %s.to(%s.dtype)", b_name,
                   hx_dtype_name((hx_dtype)b->dtype), a_name, hx_dtype_name((hx_dtype)a->dtype), b_name, a_name);
}

static hx_status check_weight(const hx_tensor *w, int n, int64_t groups, const char *layout) {
    if (n ? w->ndim != n + 2 : w->ndim < 3 || w->ndim > 5)
        return hx_fail_about(FACTS("weight", layout, hx_shape_text(w->shape, w->ndim)), HX_E_SHAPE, HX1001_RANK,
                             "weight must have %s dimensions %s, got shape %s",
                       n == 1   ? "3"
                       : n == 2 ? "4"
                       : n == 3 ? "5"
                                : "3 to 5",
                       layout, hx_shape_text(w->shape, w->ndim));
    if (w->shape[0] % groups)
        return hx_fail_about(FACTS("groups", hx_text("a divisor of %lld", (long long)w->shape[0]),
                                   hx_text("%lld", (long long)groups)), HX_E_VALUE, HX1403_VALUE,
                             "groups=%lld does not divide the %lld channels of axis 0 of weight %s",
                             (long long)groups, (long long)w->shape[0], hx_shape_text(w->shape, w->ndim));
    return HX_OK;
}

static hx_status check_bias(const hx_tensor *bias, const hx_tensor *like, int64_t channels) {
    if (!bias) return HX_OK;
    HX_TRY(same_dtype(like, "input", bias, "bias"));
    if (bias->ndim == 1 && bias->shape[0] == channels) return HX_OK;
    return hx_fail_about(FACTS("bias", hx_text("(%lld,)", (long long)channels),
                               hx_shape_text(bias->shape, bias->ndim)), HX_E_SHAPE, HX1002_INNER,
                         "bias must have shape (%lld,), one value for each output channel, got %s",
                         (long long)channels, hx_shape_text(bias->shape, bias->ndim));
}

/* ---- conv ------------------------------------------------------------------------------------------------ */

static hx_status conv_rule(hx_call *c) {
    const hx_tensor *x = c->in[0], *w = c->in[1];
    const char *name = c->op->name;
    int n = name[4] >= '1' && name[4] <= '3' ? name[4] - '0' : 0;
    int64_t groups = c->attr[3].v.i, sizes[3];
    if (groups < 1) return hx_refuse(HX_E_VALUE, HX1403_VALUE, "groups", "be at least 1", "%lld", (long long)groups);
    HX_TRY(check_weight(w, n, groups, "(out channels, in channels / groups, *kernel)"));
    n = w->ndim - 2;
    HX_TRY(hx_check_image(x, "input", n));
    HX_TRY(same_dtype(x, "input", w, "weight"));
    HX_TRY(check_bias(c->in[2], x, w->shape[0]));
    HX_TRY(check_window(c, 0, n));
    int64_t channels = x->shape[x->ndim - n - 1], wanted;
    if (!hx_mul_ok(w->shape[1], groups, &wanted) || channels != wanted)
        return hx_fail_about(FACTS("input", hx_text("%lld", (long long)wanted), hx_text("%lld", (long long)channels),
                                   true, x->ndim - n - 1), HX_E_SHAPE, HX1002_INNER,
                       "input has %lld channels (axis %d of %s), but weight %s with groups=%lld takes %lld",
                       (long long)channels, x->ndim - n - 1, hx_shape_text(x->shape, x->ndim),
                       hx_shape_text(w->shape, w->ndim), (long long)groups, (long long)wanted);
    for (int i = 0; i < n; i++) HX_TRY(output_size(x->shape[x->ndim - n + i], w->shape[2 + i], c, 0, i, &sizes[i]));
    hx_image_spec(&c->spec[0], x, n, w->shape[0], sizes);
    return HX_OK;
}

/* The gradient of a bias: summed over everything but the channels. */
static hx_tensor *channel_sum(hx_tensor *g, int n) {
    int64_t axes[HX_MAX_RANK];
    int used = 0;
    for (int i = 0; i < g->ndim; i++)
        if (i != g->ndim - n - 1) axes[used++] = i;
    return CALL(sum, g, ((hx_ints){axes, used}));
}

static hx_status conv_vjp(hx_vjp *v) {
    int n = v->in_spec[1].ndim - 2;
    GIN(0, CALL(conv_backward_input, G, cj(IN(1)), NONE, hx_tail(&v->in_spec[0], n), ATTR(0), ATTR(1), ATTR(2), ATTR(3)));
    GIN(1, CALL(conv_backward_weight, G, cj(IN(0)), hx_tail(&v->in_spec[1], n), ATTR(0), ATTR(1), ATTR(2), ATTR(3)));
    GIN(2, channel_sum(G, n));
    return HX_OK;
}

static hx_status conv_parts(hx_call *c) {
    RESULT(0, CALL(conv, c->in[0], c->in[1], c->in[2], &c->attr[0], &c->attr[1], &c->attr[2], &c->attr[3]));
    return HX_OK;
}

/* ---- gradients of conv ----------------------------------------------------------------------------------- */

static hx_status conv_backward_input_rule(hx_call *c) {
    const hx_tensor *g = c->in[0], *w = c->in[1];
    int64_t groups = c->attr[4].v.i, channels, out;
    HX_TRY(check_weight(w, 0, groups, "(out channels, in channels / groups, *kernel)"));
    int n = w->ndim - 2;
    HX_TRY(hx_check_image(g, "grad", n));
    HX_TRY(same_dtype(g, "grad", w, "weight"));
    HX_TRY(hx_spatial(c, 0, "size", n, 0));
    HX_TRY(check_window(c, 1, n));
    if (!hx_mul_ok(w->shape[1], groups, &channels))
        return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "%lld x %lld channels do not fit in 64 bits",
                       (long long)w->shape[1], (long long)groups);
    HX_TRY(check_bias(c->in[2], g, channels));
    bool fits = g->shape[g->ndim - n - 1] == w->shape[0];
    for (int i = 0; i < n; i++) {
        HX_TRY(output_size(c->attr[0].v.ints[i], w->shape[2 + i], c, 1, i, &out));
        fits = fits && g->shape[g->ndim - n + i] == out;
    }
    if (!fits)
        return hx_fail(HX_E_SHAPE, HX1002_INNER, "grad %s is not the shape of a convolution with weight %s over %s",
                       hx_shape_text(g->shape, g->ndim), hx_shape_text(w->shape, w->ndim),
                       hx_shape_text(c->attr[0].v.ints, n));
    hx_image_spec(&c->spec[0], g, n, channels, c->attr[0].v.ints);
    return HX_OK;
}

static hx_status conv_backward_input_vjp(hx_vjp *v) {
    int n = v->in_spec[1].ndim - 2;
    GIN(0, CALL(conv, G, cj(IN(1)), NONE, ATTR(1), ATTR(2), ATTR(3), ATTR(4)));
    GIN(1, CALL(conv_backward_weight, cj(IN(0)), G, hx_tail(&v->in_spec[1], n), ATTR(1), ATTR(2), ATTR(3), ATTR(4)));
    GIN(2, channel_sum(G, n));
    return HX_OK;
}

static hx_status conv_backward_weight_rule(hx_call *c) {
    const hx_tensor *g = c->in[0], *x = c->in[1];
    int n = (int)c->attr[0].count;
    if (n < 1 || n > 3)
        return hx_refuse(HX_E_VALUE, HX1403_VALUE, "size", "have 1 to 3 values", "%d", n);
    HX_TRY(hx_check_image(g, "grad", n));
    HX_TRY(hx_check_image(x, "input", n));
    HX_TRY(same_dtype(x, "input", g, "grad"));
    HX_TRY(check_window(c, 1, n));
    int64_t groups = c->attr[4].v.i, in = x->shape[x->ndim - n - 1], out = g->shape[g->ndim - n - 1], size;
    bool fits = g->ndim == x->ndim && (x->ndim == n + 1 || g->shape[0] == x->shape[0]) && in % groups == 0 && out % groups == 0;
    for (int i = 0; i < n; i++) {
        HX_TRY(output_size(x->shape[x->ndim - n + i], c->attr[0].v.ints[i], c, 1, i, &size));
        fits = fits && g->shape[g->ndim - n + i] == size;
    }
    if (!fits)
        return hx_fail(HX_E_SHAPE, HX1002_INNER, "grad %s is not the shape of a convolution of input %s",
                       hx_shape_text(g->shape, g->ndim), hx_shape_text(x->shape, x->ndim));
    hx_spec *s = &c->spec[0];
    s->dtype = g->dtype;
    s->ndim = (uint8_t)(n + 2);
    s->shape[0] = out;
    s->shape[1] = in / groups;
    memcpy(s->shape + 2, c->attr[0].v.ints, (size_t)n * sizeof *s->shape);
    return HX_OK;
}

static hx_status conv_backward_weight_vjp(hx_vjp *v) {
    int n = v->out_spec[0].ndim - 2;
    GIN(0, CALL(conv, cj(IN(1)), G, NONE, ATTR(1), ATTR(2), ATTR(3), ATTR(4)));
    GIN(1, CALL(conv_backward_input, cj(IN(0)), G, NONE, hx_tail(&v->in_spec[1], n), ATTR(1), ATTR(2), ATTR(3), ATTR(4)));
    return HX_OK;
}

/* ---- transposed ------------------------------------------------------------------------------------------ */

/* A result with more output_padding than any convolution from there could have lost: the unpadded one, brought to size. */
static hx_status padded_behind(hx_call *c, int n, const int64_t *size) {
    int64_t whole[3], pad[6], shape[4] = {-1, 1, 1, 1};
    hx_tensor *y;
    for (int i = 0; i < n; i++) {
        int64_t padding = c->attr[1].v.ints[i], extra = c->attr[2].v.ints[i];
        whole[i] = size[i] + 2 * padding - extra;
        pad[2 * (n - 1 - i)] = -padding;
        pad[2 * (n - 1 - i) + 1] = extra - padding;
    }
    y = CALL(conv_backward_input, c->in[0], c->in[1], (hx_tensor *)NULL, ((hx_ints){whole, n}), &c->attr[0], 0, &c->attr[4],
             &c->attr[3]);
    y = CALL(constant_pad, y, 0, ((hx_ints){pad, 2 * n}));
    RESULT(0, c->in[2] ? CALL(add, y, CALL(reshape, c->in[2], ((hx_ints){shape, n + 1}))) : y);
    return HX_OK;
}

/* input, weight, bias; stride, padding, output_padding, groups, dilation */
static hx_status transposed(hx_call *c, int n) {
    const hx_tensor *x = c->in[0], *w = c->in[1];
    int64_t groups = c->attr[3].v.i, channels, size[3];
    bool wide = false;
    if (groups < 1) return hx_refuse(HX_E_VALUE, HX1403_VALUE, "groups", "be at least 1", "%lld", (long long)groups);
    HX_TRY(check_weight(w, n, groups, "(in channels, out channels / groups, *kernel)"));
    HX_TRY(hx_check_image(x, "input", n));
    HX_TRY(same_dtype(x, "input", w, "weight"));
    if (!hx_mul_ok(w->shape[1], groups, &channels))
        return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "%lld x %lld channels do not fit in 64 bits",
                       (long long)w->shape[1], (long long)groups);
    HX_TRY(check_bias(c->in[2], x, channels));
    HX_TRY(hx_spatial(c, 0, "stride", n, 1));
    HX_TRY(hx_spatial(c, 1, "padding", n, 0));
    HX_TRY(hx_spatial(c, 2, "output_padding", n, 0));
    HX_TRY(hx_spatial(c, 4, "dilation", n, 1));
    if (x->shape[x->ndim - n - 1] != w->shape[0])
        return hx_fail_about(FACTS("input", hx_text("%lld", (long long)w->shape[0]),
                                   hx_text("%lld", (long long)x->shape[x->ndim - n - 1]), true, x->ndim - n - 1),
                             HX_E_SHAPE, HX1002_INNER,
                             "input has %lld channels (axis %d of %s), but weight %s takes %lld",
                             (long long)x->shape[x->ndim - n - 1], x->ndim - n - 1, hx_shape_text(x->shape, x->ndim),
                             hx_shape_text(w->shape, w->ndim), (long long)w->shape[0]);
    for (int i = 0; i < n; i++) {
        int64_t in = x->shape[x->ndim - n + i], stride = c->attr[0].v.ints[i], pad = c->attr[1].v.ints[i];
        int64_t extra = c->attr[2].v.ints[i], span;
        HX_TRY(hx_span(w->shape[2 + i], c->attr[4].v.ints[i], &span));
        if (extra >= stride && extra >= c->attr[4].v.ints[i])
            return hx_fail(HX_E_VALUE, HX1403_VALUE,
                           "output_padding must be smaller than the stride or the dilation, got %lld, %lld and %lld on "
                           "spatial axis %d",
                           (long long)extra, (long long)stride, (long long)c->attr[4].v.ints[i], i);
        wide = wide || extra >= stride;
        if (!hx_mul_ok(in - 1, stride, &size[i]) || !hx_add_ok(size[i], span, &size[i]) ||
            !hx_add_ok(size[i], extra, &size[i]) || pad > INT64_MAX / 2)
            return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "the output size does not fit in 64 bits");
        size[i] -= 2 * pad;
        if (in < 1 || size[i] < 1)
            return hx_fail_about(FACTS("input", .got = hx_text("%lld", (long long)in), .on_axis = true, .axis = i - n),
                                 HX_E_SHAPE, HX1002_INNER,
                           "spatial axis %d of the result would have size %lld (input %lld, stride %lld, padding %lld, "
                           "kernel span %lld); use less padding or a larger input",
                           i, (long long)size[i], (long long)in, (long long)stride, (long long)pad, (long long)span);
    }
    if (wide) return padded_behind(c, n, size);
    RESULT(0, CALL(conv_backward_input, c->in[0], c->in[1], c->in[2], ((hx_ints){size, n}), &c->attr[0], &c->attr[1],
                   &c->attr[4], &c->attr[3]));
    return HX_OK;
}
static hx_status conv_transpose1d_parts(hx_call *c) { return transposed(c, 1); }
static hx_status conv_transpose2d_parts(hx_call *c) { return transposed(c, 2); }
static hx_status conv_transpose3d_parts(hx_call *c) { return transposed(c, 3); }

/* ---- records --------------------------------------------------------------------------------------------- */

#define WINDOW INTS("stride", 1), INTS("padding", 0), INTS("dilation", 1), INT("groups", 1)
#define CONV_PARAMS PARAMS(TENSOR("input"), TENSOR("weight"), OPT_TENSOR("bias"), WINDOW)
#define CONV .shape = conv_rule, .vjp = conv_vjp, .saves = SAVE_IN(0) | SAVE_IN(1), .params = CONV_PARAMS
#define TRANSPOSE_PARAMS                                                                                      \
    PARAMS(TENSOR("input"), TENSOR("weight"), OPT_TENSOR("bias"), INTS("stride", 1), INTS("padding", 0),      \
           INTS("output_padding", 0), INT("groups", 1), INTS("dilation", 1))
#define CONV_DOC(axes, shape, kernel, example)                                                                \
    "Convolution (cross-correlation) over " axes ".\n\n"                                                      \
    "input " shape ", or without its batch axis; weight (out channels, in channels / groups, " kernel "); bias\n" \
    "(out channels). stride, padding, dilation: one int, or one for each spatial axis. The input is padded with zeros\n" \
    "on both sides. Each of the `groups` equal parts of the channels is convolved on its own.\n"              \
    "Sizes: (in + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1. Any number dtype, the same for all.\n" \
    "On the CPU, float32 kernels of 3 x 3 with stride 1 are computed in tiles (Winograd): rounding errors are relative to\n" \
    "the largest of 6 x 6 neighbouring inputs.\n\n" \
    "Fails with HX1002 when channels do not agree or the kernel is larger than the padded input, and with HX1403 for a\n" \
    "stride, dilation or groups below 1 or a negative padding.\n\n"                                           \
    "Example:\n" example
#define TRANSPOSE_DOC(axes, shape, kernel, example)                                                           \
    "Transposed convolution over " axes ": the gradient of a convolution with respect to its input, as an op.\n\n" \
    "input " shape ", or without its batch axis; weight (in channels, out channels / groups, " kernel "); bias\n" \
    "(out channels). Sizes: (in - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1.\n" \
    "output_padding must be smaller than stride or dilation. (Dumoulin and Visin, \"A guide to convolution arithmetic for deep\n" \
    "learning\", 2016.)\n\n"                                                                                  \
    "Fails with HX1002 when channels do not agree or the result would be empty.\n\n"                          \
    "Example:\n" example

const hx_op hx_ops_conv[] = {
    {.name = "conv", CONV, .flags = HX_PRIMITIVE | HX_INTERNAL_OP,
     .doc = "Convolution over one to three spatial axes; the weight's rank says how many."},
    {.name = "conv1d", CONV, .decompose = conv_parts, .flags = HX_FUNCTION | HX_NN,
     .doc = CONV_DOC("one axis", "(batch, in channels, length)", "kernel",
                     "    >>> x = helix.tensor([[[1.0, 2.0, 3.0, 4.0]]])\n"
                     "    >>> helix.conv1d(x, helix.tensor([[[1.0, 1.0]]])).tolist()\n"
                     "    [[[3.0, 5.0, 7.0]]]")},
    {.name = "conv2d", CONV, .decompose = conv_parts, .flags = HX_FUNCTION | HX_NN,
     .doc = CONV_DOC("two axes", "(batch, in channels, height, width)", "kernel height, kernel width",
                     "    >>> x = helix.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])\n"
                     "    >>> helix.conv2d(x, helix.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])).tolist()\n"
                     "    [[[[5.0]]]]")},
    {.name = "conv3d", CONV, .decompose = conv_parts, .flags = HX_FUNCTION | HX_NN,
     .doc = CONV_DOC("three axes", "(batch, in channels, depth, height, width)", "kernel depth, height, width",
                     "    >>> x = helix.tensor([[[[[1.0, 2.0]]]]])\n"
                     "    >>> helix.conv3d(x, helix.tensor([[[[[3.0]]]]])).tolist()\n"
                     "    [[[[[3.0, 6.0]]]]]")},
    {.name = "conv_backward_input", .shape = conv_backward_input_rule, .vjp = conv_backward_input_vjp,
     .saves = SAVE_IN(0) | SAVE_IN(1), .flags = HX_PRIMITIVE | HX_INTERNAL_OP,
     .params = PARAMS(TENSOR("grad"), TENSOR("weight"), OPT_TENSOR("bias"), REQ_INTS("size"), WINDOW),
     .doc = "The gradient of a convolution with respect to its input of spatial sizes `size`, plus a bias."},
    {.name = "conv_backward_weight", .shape = conv_backward_weight_rule, .vjp = conv_backward_weight_vjp,
     .saves = SAVE_IN(0) | SAVE_IN(1), .flags = HX_PRIMITIVE | HX_INTERNAL_OP,
     .params = PARAMS(TENSOR("grad"), TENSOR("input"), REQ_INTS("size"), WINDOW),
     .doc = "The gradient of a convolution with respect to its weight of kernel sizes `size`."},
    {.name = "conv_transpose1d", .decompose = conv_transpose1d_parts, .flags = HX_FUNCTION | HX_NN,
     .params = TRANSPOSE_PARAMS,
     .doc = TRANSPOSE_DOC("one axis", "(batch, in channels, length)", "kernel",
                          "    >>> x = helix.tensor([[[1.0, 2.0]]])\n"
                          "    >>> helix.conv_transpose1d(x, helix.tensor([[[1.0, 1.0]]]), stride=2).tolist()\n"
                          "    [[[1.0, 1.0, 2.0, 2.0]]]")},
    {.name = "conv_transpose2d", .decompose = conv_transpose2d_parts, .flags = HX_FUNCTION | HX_NN,
     .params = TRANSPOSE_PARAMS,
     .doc = TRANSPOSE_DOC("two axes", "(batch, in channels, height, width)", "kernel height, kernel width",
                          "    >>> x = helix.tensor([[[[1.0, 2.0]]]])\n"
                          "    >>> helix.conv_transpose2d(x, helix.tensor([[[[1.0], [10.0]]]])).tolist()\n"
                          "    [[[[1.0, 2.0], [10.0, 20.0]]]]")},
    {.name = "conv_transpose3d", .decompose = conv_transpose3d_parts, .flags = HX_FUNCTION | HX_NN,
     .params = TRANSPOSE_PARAMS,
     .doc = TRANSPOSE_DOC("three axes", "(batch, in channels, depth, height, width)", "kernel depth, height, width",
                          "    >>> x = helix.tensor([[[[[2.0]]]]])\n"
                          "    >>> helix.conv_transpose3d(x, helix.tensor([[[[[1.0, 3.0]]]]])).tolist()\n"
                          "    [[[[[2.0, 6.0]]]]]")},
    {0},
};
