/* Optimizer steps over lists of tensors, and what gradient clipping needs. The lists are several groups of equal
 * length one after another: parameters, gradients, and the optimizer's state. */
#include "../dispatch.h"
#include "rules.h"
#include <string.h>

/* The numbers of a step in one tensor, behind the lists: what a run tells in place of the FLOAT and INT attributes. */
static hx_status check_numbers(const hx_call *c) {
    const hx_tensor *told = hx_told_numbers(c);
    if (!told) return HX_OK;
    HX_TRY(hx_require_dtype(told, "numbers", HX_BIT(HX_F64)));
    int n = hx_count_numbers(c->op);
    if (told->ndim != 1 || told->numel != n || !hx_contiguous(told))
        return hx_fail(HX_E_SHAPE, HX1002_INNER, "numbers must hold the %d numbers of the step, got shape %s", n,
                       hx_shape_text(told->shape, told->ndim));
    return HX_OK;
}

static hx_status check_list(hx_call *c, int groups, const char *const *names) {
    HX_TRY(check_numbers(c));
    c->groups = (uint8_t)groups;
    if (c->list_n % groups) return HX_OK; /* reported by dispatch */
    int n = c->list_n / groups;
    hx_tensor **list = c->in + c->list_at;
    for (int k = 0; k < groups; k++)
        for (int i = 0; i < n; i++) {
            const hx_tensor *t = list[k * n + i], *p = list[i];
            HX_TRY(hx_require_dtype(t, names[k], HX_SET_FLOAT));
            if ((t->dtype == HX_F64) != (p->dtype == HX_F64) && k)
                return hx_fail(HX_E_DTYPE, HX1101_DTYPE, "%s %d has dtype %s beside a parameter of dtype %s", names[k], i,
                               hx_dtype_name((hx_dtype)t->dtype), hx_dtype_name((hx_dtype)p->dtype));
            bool same = t->ndim == p->ndim;
            for (int d = 0; same && d < p->ndim; d++) same = t->shape[d] == p->shape[d];
            if (!same)
                return hx_fail(HX_E_SHAPE, HX1002_INNER, "%s %d has shape %s, its parameter has %s", names[k], i,
                               hx_shape_text(t->shape, t->ndim), hx_shape_text(p->shape, p->ndim));
            if (list[i]->dtype != list[0]->dtype)
                return hx_fail(HX_E_DTYPE, HX1101_DTYPE, "parameters of one call must have one dtype, got %s and %s",
                               hx_dtype_name((hx_dtype)list[0]->dtype), hx_dtype_name((hx_dtype)list[i]->dtype));
        }
    return HX_OK;
}

static hx_status shape_sgd(hx_call *c) {
    static const char *const names[] = {"parameter", "gradient", "momentum buffer"};
    return check_list(c, c->attr[1].v.f != 0 ? 3 : 2, names);
}
static hx_status shape_adam(hx_call *c) {
    static const char *const names[] = {"parameter", "gradient", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
    if (c->attr[5].v.i < 1)
        return hx_fail(HX_E_VALUE, HX1403_VALUE, "step counts from 1, got %lld", (long long)c->attr[5].v.i);
    return check_list(c, c->attr[7].v.i ? 5 : 4, names);
}

/* The rules of rule_step and trust_step, and how many lists of states each has. */
static const struct {
    const char *name;
    int states;
} rules[] = {{"adamax", 2}, {"nadam", 2}, {"radam", 2}, {"adagrad", 1}, {"adadelta", 2}, {"rmsprop", 1},
             {"rmsprop_momentum", 2}, {"rmsprop_centred", 2}, {"rmsprop_centred_momentum", 3}, {"asgd", 1}, {"rprop", 2},
             {"lion", 1}, {"lamb", 3}, {"average", 0}, {"trust", 0}, {"trust_momentum", 1}};

static hx_status shape_rule(hx_call *c) {
    static const char *const names[] = {"parameter", "gradient", "first state", "second state", "third state"};
    const hx_attr *name = &c->attr[0], *states = &c->attr[1];
    for (size_t k = 0; k < sizeof rules / sizeof *rules; k++)
        if (strlen(rules[k].name) == name->count && !memcmp(rules[k].name, name->v.str, name->count) &&
            rules[k].states != states->v.i)
            return hx_fail(HX_E_VALUE, HX1403_VALUE, "the rule %s has %d lists of states, got states=%lld", rules[k].name,
                           rules[k].states, (long long)states->v.i);
    return check_list(c, 2 + (int)states->v.i, names);
}
static hx_status shape_trust(hx_call *c) {
    const hx_tensor *factors = c->in[0];
    HX_TRY(hx_require_dtype(factors, "factors", HX_SET_FLOAT));
    HX_TRY(shape_rule(c));
    if (factors->ndim != 1 || factors->numel * c->groups != c->list_n)
        return hx_fail(HX_E_SHAPE, HX1002_INNER, "factors must hold one number for each of the %d parameters, got shape %s",
                       c->list_n / c->groups, hx_shape_text(factors->shape, factors->ndim));
    return HX_OK;
}
static hx_status shape_scale(hx_call *c) {
    if (c->in[0]->numel != 1)
        return hx_refuse_rank(c->in[0], "factor", "have one element");
    HX_TRY(hx_require_dtype(c->in[0], "factor", HX_SET_FLOAT));
    for (int i = 0; i < c->list_n; i++) HX_TRY(hx_require_dtype(c->in[c->list_at + i], "tensors", HX_SET_FLOAT));
    return HX_OK;
}
static hx_status shape_norm(hx_call *c) {
    hx_spec *s = &c->spec[0];
    s->ndim = 0;
    s->dtype = HX_F32;
    if (c->list_n == 0) return hx_fail(HX_E_VALUE, HX1403_VALUE, "needs one tensor or more");
    for (int i = 0; i < c->list_n; i++) {
        HX_TRY(hx_require_dtype(c->in[i], "tensors", HX_SET_FLOAT));
        if (c->in[i]->dtype == HX_F64) s->dtype = HX_F64;
    }
    if (!(c->attr[0].v.f > 0)) return hx_refuse(HX_E_VALUE, HX1403_VALUE, "ord", "be above 0", "%g", c->attr[0].v.f);
    return HX_OK;
}

static hx_status shape_norms(hx_call *c) {
    HX_TRY(shape_norm(c));
    c->spec[0].ndim = 1;
    c->spec[0].shape[0] = c->list_n;
    return HX_OK;
}

static hx_status decompose_norm(hx_call *c) {
    double order = c->attr[0].v.f;
    hx_tensor *total = NULL;
    for (int i = 0; i < c->list_n; i++) {
        hx_tensor *x = CALL(abs, CALL(cast, c->in[i], c->spec[0].dtype));
        hx_tensor *part = order == __builtin_inf() ? CALL(amax, x) : CALL(sum, CALL(pow, x, order));
        total = !total ? part : order == __builtin_inf() ? CALL(maximum, total, part) : CALL(add, total, part);
    }
    RESULT(0, order == __builtin_inf() ? total : CALL(pow, total, 1 / order));
    return HX_OK;
}

static hx_status decompose_norms(hx_call *c) {
    hx_tensor *norms = NULL;
    for (int i = 0; i < c->list_n; i++) {
        hx_tensor *one = CALL(norm_list, ((hx_list){&c->in[i], 1}), c->attr[0].v.f);
        hx_tensor *both[2] = {norms, CALL(reshape, CALL(cast, one, c->spec[0].dtype), HX_INTS(1))};
        norms = norms ? CALL(cat, ((hx_list){both, 2}), 0) : both[1];
    }
    RESULT(0, norms);
    return HX_OK;
}

#define NUMBERS                                                                                              \
    FLOAT("sign", 1), FLOAT("decay", 0), FLOAT("keep", 1), FLOAT("c0", 0), FLOAT("c1", 0), FLOAT("c2", 0),   \
        FLOAT("c3", 0), FLOAT("c4", 0), FLOAT("c5", 0), FLOAT("c6", 0)
#define UPDATES (HX_PRIMITIVE | HX_MUTATES | HX_NON_DIFF | HX_INTERNAL_OP)

#define TOLD "\nnumbers: float64, one for each float and int above, in their order and in their place."

const hx_op hx_ops_optim[] = {
    {.name = "sgd_step",
     .params = PARAMS(TENSORS("tensors"), REQ_FLOAT("lr"), FLOAT("momentum", 0), FLOAT("dampening", 0),
                      FLOAT("weight_decay", 0), BOOL("nesterov", false), BOOL("maximize", false), OPT_TENSOR("numbers")),
     .doc = "One step of gradient descent: tensors holds parameters and gradients, and with momentum their buffers." TOLD,
     .shape = shape_sgd, .groups = 2, .writes = 5, .flags = UPDATES},
    {.name = "adam_step",
     .params = PARAMS(TENSORS("tensors"), REQ_FLOAT("lr"), FLOAT("beta1", 0.9), FLOAT("beta2", 0.999), FLOAT("eps", 1e-8),
                      FLOAT("weight_decay", 0), INT("step", 1), BOOL("decoupled", false), BOOL("amsgrad", false),
                      BOOL("maximize", false), OPT_TENSOR("numbers")),
     .doc = "One step of Adam (AdamW when decoupled): tensors holds parameters, gradients, the averages of gradients and\n"
            "of their squares, and with amsgrad the largest of the latter. step counts from 1." TOLD,
     .shape = shape_adam, .groups = 4, .writes = 29, .flags = UPDATES},
    {.name = "rule_step",
     .params = PARAMS(TENSORS("tensors"),
                      STRING("rule", "adagrad", "adamax|nadam|radam|adagrad|adadelta|rmsprop|rmsprop_momentum|rmsprop_centred|"
                                                "rmsprop_centred_momentum|asgd|rprop|lion|lamb|average"),
                      INT("states", 1), NUMBERS, OPT_TENSOR("numbers")),
     .doc = "One step of the optimizer that `rule` names: tensors holds parameters, gradients and `states` lists of states.\n"
            "The gradient is sign * gradient + decay * parameter, the parameter first times keep; c0 to c6 are the rule's." TOLD,
     .shape = shape_rule, .groups = 2, .writes = 29, .flags = UPDATES},
    {.name = "trust_step",
     .params = PARAMS(TENSOR("factors"), TENSORS("tensors"), STRING("rule", "trust", "trust|trust_momentum"),
                      INT("states", 0), NUMBERS, OPT_TENSOR("numbers")),
     .doc = "One step of gradient descent with a factor for each gradient; c0 is lr, c1 momentum, else as in rule_step." TOLD,
     .shape = shape_trust, .groups = 2, .writes = 29, .flags = UPDATES},
    {.name = "scale_list",
     .params = PARAMS(TENSOR("factor"), TENSORS("tensors")),
     .doc = "Multiplies every tensor of a list by a factor, in place.",
     .shape = shape_scale, .groups = 1, .writes = 1, .flags = UPDATES},
    {.name = "norm_list",
     .params = PARAMS(TENSORS("tensors"), FLOAT("ord", 2)),
     .doc = "The norm of all tensors of a list taken as one vector.",
     .shape = shape_norm, .decompose = decompose_norm, .flags = HX_NON_DIFF | HX_INTERNAL_OP},
    {.name = "norms_list",
     .params = PARAMS(TENSORS("tensors"), FLOAT("ord", 2)),
     .doc = "The norm of each tensor of a list, in one vector.",
     .shape = shape_norms, .decompose = decompose_norms, .flags = HX_NON_DIFF | HX_INTERNAL_OP},
    {0}};
