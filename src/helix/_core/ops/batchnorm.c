/* Batch, group and instance normalisation. The forward ops also give the statistics they used; these go to the fused
 * backward ops, whose decompositions compute them anew from the input, so that second derivatives see them. */
#include <string.h>
#include "rules.h"


/* ---- checks ---------------------------------------------------------------------------------------------- */

/* Statistics, weights and sums of 16-bit floats are float32. */
static hx_dtype working(hx_dtype t) { return t == HX_F64 ? HX_F64 : HX_F32; }

static hx_status check_normed(const hx_tensor *x) {
    HX_TRY(hx_require_dtype(x, "input", HX_SET_FLOAT));
    if (x->ndim >= 2) return HX_OK;
    return hx_refuse_rank(x, "input", "have at least 2 dimensions (batch, channels, ...)");
}

static hx_status check_channels(const hx_tensor *t, const char *name, const hx_tensor *x) {
    if (!t) return HX_OK;
    HX_TRY(hx_require_dtype(t, name, HX_SET_FLOAT));
    if (t->ndim == 1 && t->shape[0] == x->shape[1]) return HX_OK;
    return hx_fail_about(FACTS(name, hx_text("(%lld,)", (long long)x->shape[1]), hx_shape_text(t->shape, t->ndim)),
                         HX_E_SHAPE, HX1002_INNER,
                         "%s must have shape (%lld,), one value for each channel (axis 1 of %s), got %s", name,
                         (long long)x->shape[1], hx_shape_text(x->shape, x->ndim), hx_shape_text(t->shape, t->ndim));
}

static hx_status check_groups(const hx_tensor *x, int64_t groups) {
    if (groups >= 1 && x->shape[1] % groups == 0) return HX_OK;
    return hx_fail_about(FACTS("num_groups", hx_text("a divisor of %lld", (long long)x->shape[1]),
                               hx_text("%lld", (long long)groups)), HX_E_VALUE, HX1403_VALUE,
                         "num_groups must divide the %lld channels (axis 1 of %s), got %lld", (long long)x->shape[1],
                         hx_shape_text(x->shape, x->ndim), (long long)groups);
}

static hx_status check_eps(double eps) {
    if (eps >= 0) return HX_OK;
    return hx_refuse(HX_E_VALUE, HX1403_VALUE, "eps", "not be negative", "%g", eps);
}

/* Inputs [from, to) are wanted in the working type. */
static void cast_rest(hx_call *c, int from, int to) {
    for (int i = from; i < to; i++)
        if (c->in[i]) c->cast[i] = (int8_t)working((hx_dtype)c->in[0]->dtype);
}

/* ---- parts ----------------------------------------------------------------------------------------------- */

/* A value for each channel, shaped to stretch over an input of that rank. */
static hx_tensor *channelwise(hx_tensor *t, int ndim) {
    if (!t) return NULL;
    int64_t shape[HX_MAX_RANK];
    for (int i = 0; i < ndim; i++) shape[i] = i == 1 ? t->shape[0] : 1;
    return CALL(reshape, t, ((hx_ints){shape, ndim}));
}

static hx_tensor *shaped(hx_tensor *t, const hx_tensor *like) {
    return CALL(reshape, t, ((hx_ints){like->shape, like->ndim}));
}

/* All axes but the channels. */
static hx_ints other_axes(int ndim) {
    static const int64_t axes[HX_MAX_RANK] = {0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return (hx_ints){axes, ndim - 1};
}

/* An input seen so that statistics are means over some axes: as it is for a batch, (batch, groups, rest) for groups. */
typedef struct seen {
    hx_tensor *x, *mean, *variance, *rstd, *hat;
    hx_ints axes;
} seen;

static hx_tensor *grouped(hx_tensor *t, int64_t groups) {
    if (!t || groups == 0) return t;
    int64_t rest = t->shape[1] / groups;
    for (int i = 2; i < t->ndim; i++) rest *= t->shape[i];
    return CALL(reshape, t, HX_INTS(t->shape[0], groups, rest));
}

static seen look(hx_tensor *x, int64_t groups, double eps) {
    static const int64_t last[1] = {2};
    seen s = {.axes = groups ? (hx_ints){last, 1} : other_axes(x->ndim)};
    s.x = grouped(CALL(cast, x, working((hx_dtype)x->dtype)), groups);
    s.mean = CALL(mean, s.x, s.axes, true);
    hx_tensor *centred = CALL(sub, s.x, s.mean);
    s.variance = CALL(mean, CALL(mul, centred, centred), s.axes, true);
    s.rstd = CALL(rsqrt, CALL(add, s.variance, eps));
    s.hat = CALL(mul, centred, s.rstd);
    return s;
}

static hx_tensor *affine(hx_tensor *hat, hx_tensor *weight, hx_tensor *bias) {
    if (weight && hat) hat = CALL(mul, hat, channelwise(weight, hat->ndim));
    if (bias && hat) hat = CALL(add, hat, channelwise(bias, hat->ndim));
    return hat;
}

static hx_status forward_parts(hx_call *c, int64_t groups, double eps) {
    hx_tensor *x = c->in[0];
    seen s = look(x, groups, eps);
    RESULT(0, CALL(cast, affine(shaped(s.hat, x), c->in[1], c->in[2]), x->dtype));
    RESULT(1, CALL(reshape, s.mean, ((hx_ints){c->spec[1].shape, c->spec[1].ndim})));
    RESULT(2, CALL(reshape, s.variance, ((hx_ints){c->spec[2].shape, c->spec[2].ndim})));
    return HX_OK;
}

/* in: grad, input, weight */
static hx_status backward_parts(hx_call *c, int64_t groups, double eps) {
    hx_tensor *x = c->in[1], *weight = c->in[2];
    hx_tensor *grad = CALL(cast, c->in[0], working((hx_dtype)x->dtype));
    seen s = look(x, groups, eps);
    hx_tensor *g = grouped(affine(grad, weight, NULL), groups);
    hx_tensor *along = CALL(mul, s.hat, CALL(mean, CALL(mul, g, s.hat), s.axes, true));
    hx_tensor *rest = CALL(sub, CALL(sub, g, CALL(mean, g, s.axes, true)), along);
    RESULT(0, CALL(cast, shaped(CALL(mul, rest, s.rstd), x), x->dtype));
    RESULT(1, CALL(sum, CALL(mul, grad, shaped(s.hat, x)), other_axes(x->ndim)));
    RESULT(2, CALL(sum, grad, other_axes(x->ndim)));
    return HX_OK;
}

/* ---- batch ----------------------------------------------------------------------------------------------- */

static void statistics_spec(hx_spec *s, const hx_tensor *x, int64_t groups) {
    s->dtype = (uint8_t)working((hx_dtype)x->dtype);
    s->ndim = groups ? 2 : 1;
    s->shape[0] = groups ? x->shape[0] : x->shape[1];
    if (groups) s->shape[1] = groups;
}

static hx_status forward_rule(hx_call *c, int64_t groups, double eps) {
    HX_TRY(check_channels(c->in[1], "weight", c->in[0]));
    HX_TRY(check_channels(c->in[2], "bias", c->in[0]));
    HX_TRY(check_eps(eps));
    cast_rest(c, 1, 3);
    hx_spec_like(&c->spec[0], c->in[0]);
    statistics_spec(&c->spec[1], c->in[0], groups);
    statistics_spec(&c->spec[2], c->in[0], groups);
    return HX_OK;
}

static hx_status backward_rule(hx_call *c, double eps) {
    const hx_tensor *g = c->in[0], *x = c->in[1];
    HX_TRY(check_normed(x));
    HX_TRY(check_channels(c->in[2], "weight", x));
    HX_TRY(check_eps(eps));
    if (g->ndim != x->ndim || g->dtype != x->dtype || memcmp(g->shape, x->shape, g->ndim * sizeof *g->shape))
        return hx_fail(HX_E_SHAPE, HX1002_INNER, "grad %s and input %s must have one shape and dtype", hx_tensor_text(g),
                       hx_tensor_text(x));
    cast_rest(c, 2, 5);
    hx_spec_like(&c->spec[0], x);
    for (int i = 1; i < 3; i++) statistics_spec(&c->spec[i], x, 0);
    return HX_OK;
}

static hx_status batch_norm_forward_rule(hx_call *c) {
    HX_TRY(check_normed(c->in[0]));
    return forward_rule(c, 0, c->attr[0].v.f);
}
static hx_status batch_norm_forward_parts(hx_call *c) { return forward_parts(c, 0, c->attr[0].v.f); }
static hx_status batch_norm_forward_vjp(hx_vjp *v) {
    hx_tensor *grads[3] = {NULL};
    if (!CALLN(grads, 3, batch_norm_backward, G, IN(0), IN(1), OUT(1), OUT(2), ATTR(0))) return hx_error_last()->code;
    for (int i = 0; i < 3; i++) GIN(i, grads[i]);
    return HX_OK;
}
static hx_status batch_norm_backward_rule(hx_call *c) { return backward_rule(c, c->attr[0].v.f); }
static hx_status batch_norm_backward_parts(hx_call *c) { return backward_parts(c, 0, c->attr[0].v.f); }

static hx_status batch_norm_apply_rule(hx_call *c) {
    static const char *const name[] = {"input", "running_mean", "running_var", "weight", "bias"};
    HX_TRY(check_normed(c->in[0]));
    for (int i = 1; i < 5; i++) HX_TRY(check_channels(c->in[i], name[i], c->in[0]));
    HX_TRY(check_eps(c->attr[0].v.f));
    cast_rest(c, 1, 5);
    hx_spec_like(&c->spec[0], c->in[0]);
    return HX_OK;
}
static hx_status batch_norm_apply_parts(hx_call *c) {
    hx_tensor *x = c->in[0], *rstd = CALL(rsqrt, CALL(add, c->in[2], c->attr[0].v.f));
    hx_tensor *centred = CALL(sub, CALL(cast, x, working((hx_dtype)x->dtype)), channelwise(c->in[1], x->ndim));
    hx_tensor *hat = CALL(mul, centred, channelwise(rstd, x->ndim));
    RESULT(0, CALL(cast, affine(hat, c->in[3], c->in[4]), x->dtype));
    return HX_OK;
}

/* (1 - momentum) * running + momentum * correction * value */
static hx_tensor *moved(hx_tensor *running, hx_tensor *value, double momentum, double correction) {
    return CALL(add, CALL(mul, running, 1 - momentum), value, momentum * correction);
}

/* Both running statistics move towards those of the batch, or neither does: all that needs memory comes before the first
 * is written. The statistics have no history. */
static hx_status follow(hx_call *c, hx_tensor *mean, hx_tensor *var, double correction) {
    double momentum = c->attr[1].v.f;
    hx_tensor *new_mean = moved(c->in[1], mean, momentum, 1), *new_var = moved(c->in[2], var, momentum, correction);
    if (!new_mean || !new_var) return hx_error_last()->code;
    if (!CALL_(copy, c->in[1], new_mean) || !CALL_(copy, c->in[2], new_var)) return hx_error_last()->code;
    return HX_OK;
}

static hx_status check_running(const hx_call *c, bool needed) {
    const hx_tensor *x = c->in[0];
    HX_TRY(check_normed(x));
    HX_TRY(check_channels(c->in[1], "running_mean", x));
    HX_TRY(check_channels(c->in[2], "running_var", x));
    HX_TRY(check_channels(c->in[3], "weight", x));
    HX_TRY(check_channels(c->in[4], "bias", x));
    HX_TRY(check_eps(c->attr[2].v.f));
    if (!c->in[1] != !c->in[2] || (needed && !c->in[1]))
        return hx_fail(HX_E_VALUE, HX1403_VALUE, needed ? "running_mean and running_var are needed when the input's own "
                                                          "statistics are not used"
                                                        : "give both running_mean and running_var, or neither");
    return HX_OK;
}

/* input, running_mean, running_var, weight, bias; training, momentum, eps */
static hx_status batch_norm_parts(hx_call *c) {
    hx_tensor *x = c->in[0], *out[3];
    bool training = c->attr[0].v.i != 0;
    HX_TRY(check_running(c, !training));
    if (!training) {
        RESULT(0, CALL(batch_norm_apply, x, c->in[1], c->in[2], c->in[3], c->in[4], &c->attr[2]));
        return HX_OK;
    }
    int64_t values = x->shape[1] ? x->numel / x->shape[1] : 0;
    if (values < 2 && x->shape[1])
        return hx_fail_about(FACTS("input", "more than one value for each channel", hx_shape_text(x->shape, x->ndim)),
                             HX_E_VALUE, HX1403_VALUE,
                       "training needs more than one value for each channel, got input %s; use a larger batch, or "
                       "training=False",
                       hx_shape_text(x->shape, x->ndim));
    if (!CALLN(out, 3, batch_norm_forward, x, c->in[3], c->in[4], &c->attr[2])) return hx_error_last()->code;
    if (c->in[1]) HX_TRY(follow(c, out[1], out[2], (double)values / (double)(values - 1)));
    c->out[0] = out[0];
    return HX_OK;
}

/* ---- groups ---------------------------------------------------------------------------------------------- */

static hx_status group_norm_forward_rule(hx_call *c) {
    HX_TRY(check_normed(c->in[0]));
    HX_TRY(check_groups(c->in[0], c->attr[0].v.i));
    return forward_rule(c, c->attr[0].v.i, c->attr[1].v.f);
}
static hx_status group_norm_forward_parts(hx_call *c) { return forward_parts(c, c->attr[0].v.i, c->attr[1].v.f); }
static hx_status group_norm_forward_vjp(hx_vjp *v) {
    hx_tensor *grads[3] = {NULL};
    if (!CALLN(grads, 3, group_norm_backward, G, IN(0), IN(1), OUT(1), OUT(2), ATTR(0), ATTR(1)))
        return hx_error_last()->code;
    for (int i = 0; i < 3; i++) GIN(i, grads[i]);
    return HX_OK;
}
static hx_status group_norm_backward_rule(hx_call *c) {
    HX_TRY(backward_rule(c, c->attr[1].v.f));
    return check_groups(c->in[1], c->attr[0].v.i);
}
static hx_status group_norm_backward_parts(hx_call *c) { return backward_parts(c, c->attr[0].v.i, c->attr[1].v.f); }

/* input, weight, bias; num_groups, eps */
static hx_status group_norm_parts(hx_call *c) {
    hx_tensor *out[3];
    HX_TRY(group_norm_forward_rule(c)); /* errors name the op that was called */
    if (!CALLN(out, 3, group_norm_forward, c->in[0], c->in[1], c->in[2], &c->attr[0], &c->attr[1]))
        return hx_error_last()->code;
    c->out[0] = out[0];
    return HX_OK;
}

/* input, running_mean, running_var, weight, bias; use_input_stats, momentum, eps */
static hx_status instance_norm_parts(hx_call *c) {
    hx_tensor *x = c->in[0], *out[3];
    bool own = c->attr[0].v.i != 0;
    HX_TRY(check_running(c, !own));
    if (!own) {
        RESULT(0, CALL(batch_norm_apply, x, c->in[1], c->in[2], c->in[3], c->in[4], &c->attr[2]));
        return HX_OK;
    }
    int64_t planes = x->shape[0] * x->shape[1], values = planes ? x->numel / planes : 0;
    if (values < 2 && planes)
        return hx_fail_about(FACTS("input", "more than one value for each channel of an image",
                                   hx_shape_text(x->shape, x->ndim)), HX_E_VALUE, HX1403_VALUE,
                             "needs more than one value for each channel of an image, got input %s",
                             hx_shape_text(x->shape, x->ndim));
    if (x->shape[1] == 0) {
        c->out[0] = x;
        return HX_OK;
    }
    if (!CALLN(out, 3, group_norm_forward, x, c->in[3], c->in[4], x->shape[1], &c->attr[2])) return hx_error_last()->code;
    if (c->in[1] && planes)
        HX_TRY(follow(c, CALL(mean, out[1], HX_INTS(0)), CALL(mean, out[2], HX_INTS(0)),
                      (double)values / (double)(values - 1)));
    c->out[0] = out[0];
    return HX_OK;
}

/* ---- records --------------------------------------------------------------------------------------------- */

#define RUNNING TENSOR("input"), OPT_TENSOR("running_mean"), OPT_TENSOR("running_var"), OPT_TENSOR("weight"), OPT_TENSOR("bias")
#define SAVED SAVE_IN(0) | SAVE_IN(1) | SAVE_OUT(1) | SAVE_OUT(2)
#define FORWARD_FLAGS HX_INTERNAL_OP | HX_NONDIFF_OUT1

const hx_op hx_ops_batchnorm[] = {
    {.name = "batch_norm", .decompose = batch_norm_parts, .flags = HX_NN,
     .params = PARAMS(RUNNING, BOOL("training", false), FLOAT("momentum", 0.1), FLOAT("eps", 1e-5)),
     .doc = "Each channel (axis 1) with mean 0 and variance 1, times weight plus bias.\n\n"
            "training: statistics of the batch (biased variance), and running_mean and running_var, when given, move in\n"
            "place by `momentum` towards them (unbiased variance). They move with every forward pass that succeeds, and\n"
            "stay so when a later part of a training step fails. Otherwise the running statistics are used. 16-bit inputs\n"
            "are summed in float32. (Ioffe and Szegedy, \"Batch normalization\", 2015.)\n\n"
            "Fails with HX1403 when training has fewer than two values a channel, with HX1002 for a weight, bias or\n"
            "statistic that is not (channels,).\n\n"
            "Example:\n"
            "    >>> x = helix.tensor([[1.0], [3.0]])\n"
            "    >>> helix.nn.functional.batch_norm(x, None, None, training=True, eps=0.0).tolist()\n"
            "    [[-1.0], [1.0]]"},
    {.name = "group_norm", .decompose = group_norm_parts, .flags = HX_FUNCTION | HX_NN,
     .params = PARAMS(TENSOR("input"), REQ_INT("num_groups"), OPT_TENSOR("weight"), OPT_TENSOR("bias"), FLOAT("eps", 1e-5)),
     .doc = "Each group of channels of each image with mean 0 and variance 1, times weight plus bias of the channel.\n\n"
            "input (batch, channels, ...); weight, bias (channels,). (Wu and He, \"Group normalization\", 2018.)\n\n"
            "Fails with HX1403 when num_groups does not divide the channels.\n\n"
            "Example:\n"
            "    >>> x = helix.tensor([[1.0, 3.0]])\n"
            "    >>> helix.nn.functional.group_norm(x, 1, eps=0.0).tolist()\n"
            "    [[-1.0, 1.0]]"},
    {.name = "instance_norm", .decompose = instance_norm_parts, .flags = HX_NN,
     .params = PARAMS(RUNNING, BOOL("use_input_stats", true), FLOAT("momentum", 0.1), FLOAT("eps", 1e-5)),
     .doc = "Each channel of each image with mean 0 and variance 1, times weight plus bias.\n\n"
            "Running statistics, when given, move in place towards the mean over the batch, or are used instead of the\n"
            "input's own with use_input_stats=False. (Ulyanov et al., \"Instance normalization\", 2016.)\n\n"
            "Fails with HX1403 when an image has fewer than two values a channel.\n\n"
            "Example:\n"
            "    >>> x = helix.tensor([[[1.0, 3.0]]])\n"
            "    >>> helix.nn.functional.instance_norm(x, eps=0.0).tolist()\n"
            "    [[[-1.0, 1.0]]]"},
    {.name = "batch_norm_forward", .shape = batch_norm_forward_rule, .vjp = batch_norm_forward_vjp,
     .decompose = batch_norm_forward_parts, .saves = SAVED, .outputs = "output, mean, variance", .flags = FORWARD_FLAGS,
     .params = PARAMS(TENSOR("input"), OPT_TENSOR("weight"), OPT_TENSOR("bias"), FLOAT("eps", 1e-5)),
     .doc = "Normalised channels, and the mean and biased variance of each."},
    {.name = "batch_norm_apply", .shape = batch_norm_apply_rule, .decompose = batch_norm_apply_parts, .flags = HX_INTERNAL_OP,
     .params = PARAMS(TENSOR("input"), TENSOR("mean"), TENSOR("variance"), OPT_TENSOR("weight"), OPT_TENSOR("bias"),
                      FLOAT("eps", 1e-5)),
     .doc = "Channels normalised with given statistics."},
    {.name = "batch_norm_backward", .shape = batch_norm_backward_rule, .decompose = batch_norm_backward_parts,
     .outputs = "input, weight, bias", .flags = HX_INTERNAL_OP,
     .params = PARAMS(TENSOR("grad"), TENSOR("input"), OPT_TENSOR("weight"), TENSOR("mean"), TENSOR("variance"),
                      FLOAT("eps", 1e-5)),
     .doc = "The gradients of batch_norm_forward."},
    {.name = "group_norm_forward", .shape = group_norm_forward_rule, .vjp = group_norm_forward_vjp,
     .decompose = group_norm_forward_parts, .saves = SAVED, .outputs = "output, mean, variance", .flags = FORWARD_FLAGS,
     .params = PARAMS(TENSOR("input"), OPT_TENSOR("weight"), OPT_TENSOR("bias"), REQ_INT("groups"), FLOAT("eps", 1e-5)),
     .doc = "Normalised groups of channels, and the mean and biased variance of each."},
    {.name = "group_norm_backward", .shape = group_norm_backward_rule, .decompose = group_norm_backward_parts,
     .outputs = "input, weight, bias", .flags = HX_INTERNAL_OP,
     .params = PARAMS(TENSOR("grad"), TENSOR("input"), OPT_TENSOR("weight"), TENSOR("mean"), TENSOR("variance"),
                      REQ_INT("groups"), FLOAT("eps", 1e-5)),
     .doc = "The gradients of group_norm_forward."},
    {0},
};
