/* Random tensors. Seed, stream and element number give each value (rng.h), whatever the device or thread count. */
#include <math.h>
#include "rules.h"

static hx_dtype dtype_or(const hx_attr *a, hx_dtype otherwise) { return hx_given(a) ? (hx_dtype)a->v.i : otherwise; }

static hx_status float_result(hx_call *c) {
    hx_dtype dtype = (hx_dtype)c->spec[0].dtype;
    if (hx_is_differentiable(dtype)) return HX_OK;
    return hx_fail_about(FACTS("dtype", "floating or complex", hx_dtype_name(dtype)), HX_E_DTYPE, HX1101_DTYPE,
                         "dtype must be floating or complex, got %s; use randint for integers",
                   hx_dtype_name(dtype));
}
static hx_status sized(hx_call *c, const hx_attr *size, hx_dtype dtype) {
    int64_t numel = 0;
    if (size->count > HX_MAX_RANK)
        return hx_fail_about(FACTS("size", hx_text("at most %d dimensions", HX_MAX_RANK), hx_text("%u", size->count)),
                             HX_E_SHAPE, HX1001_RANK, "size has %u dimensions; %d is the most", size->count,
                             HX_MAX_RANK);
    HX_TRY(hx_numel(size->v.ints, (int)size->count, &numel));
    hx_spec_set(&c->spec[0], dtype, size->v.ints, (int)size->count);
    return HX_OK;
}

static hx_status shape_rand(hx_call *c) {
    HX_TRY(sized(c, &c->attr[0], dtype_or(&c->attr[1], hx_default_float())));
    return float_result(c);
}
static hx_status shape_rand_like(hx_call *c) {
    hx_spec_like(&c->spec[0], c->in[0]);
    c->spec[0].dtype = (uint8_t)dtype_or(&c->attr[0], (hx_dtype)c->in[0]->dtype);
    return float_result(c);
}
static hx_status shape_fill(hx_call *c) {
    HX_TRY(hx_shape_same(c));
    return float_result(c);
}
static hx_status shape_uniform(hx_call *c) {
    double low = c->attr[0].v.f, high = c->attr[1].v.f;
    if (!(low <= high) || !isfinite(high - low))
        return hx_fail(HX_E_VALUE, HX1403_VALUE, "low must not be above high, and both must be finite; got %g and %g", low, high);
    return shape_fill(c);
}
static hx_status shape_normal(hx_call *c) {
    if (!(c->attr[1].v.f >= 0)) return hx_refuse(HX_E_VALUE, HX1403_VALUE, "std", "not be negative", "%g",
                                                 c->attr[1].v.f);
    return shape_fill(c);
}
static hx_status shape_exponential(hx_call *c) {
    if (!(c->attr[0].v.f > 0)) return hx_refuse(HX_E_VALUE, HX1403_VALUE, "lambd", "be above 0", "%g", c->attr[0].v.f);
    return shape_fill(c);
}

/* randint(high, size) has its size where high stands. */
static hx_status shape_randint(hx_call *c) {
    hx_attr *low = &c->attr[0], *high = &c->attr[1], *size = &c->attr[2];
    if (!hx_given(size)) {
        int64_t *end = hx_call_ints(c, 1);
        if (!end) return hx_error_last()->code;
        *end = low->v.i;
        *size = *high;
        *high = (hx_attr){.kind = HX_A_INTS, .count = 1, .v.ints = end};
        low->v.i = 0;
    }
    if (high->count != 1)
        return hx_fail(HX_E_TYPE, HX1103_ARGUMENT, "high must be one int; call randint(high, size) or randint(low, high, size)");
    int64_t first = low->v.i, end = high->v.ints[0];
    if (first >= end)
        return hx_fail(HX_E_VALUE, HX1403_VALUE, "low must be below high, got %lld and %lld", (long long)first, (long long)end);
    HX_TRY(sized(c, size, dtype_or(&c->attr[3], HX_I64)));
    if (!hx_is_complex((hx_dtype)c->spec[0].dtype)) return HX_OK;
    return hx_refuse(HX_E_DTYPE, HX1101_DTYPE, "dtype", "be real", "%s", hx_dtype_name((hx_dtype)c->spec[0].dtype));
}

static hx_status shape_bernoulli(hx_call *c) {
    hx_attr *p = &c->attr[0];
    if (c->inplace && !hx_given(p)) *p = (hx_attr){.kind = HX_A_FLOAT, .v.f = 0.5};
    if (hx_given(p) && !(p->v.f >= 0 && p->v.f <= 1))
        return hx_refuse(HX_E_VALUE, HX1403_VALUE, "p", "lie in [0, 1]", "%g", p->v.f);
    if (!hx_given(p)) HX_TRY(hx_require_dtype(c->in[0], "input", HX_SET_FLOAT));
    return hx_shape_same(c);
}

static hx_status shape_randperm(hx_call *c) {
    int64_t n = c->attr[0].v.i;
    if (n < 0) return hx_refuse(HX_E_VALUE, HX1403_VALUE, "n", "not be negative", "%lld", (long long)n);
    hx_spec_set(&c->spec[0], dtype_or(&c->attr[1], HX_I64), &n, 1);
    if (hx_is_complex((hx_dtype)c->spec[0].dtype) || c->spec[0].dtype == HX_BOOL)
        return hx_refuse(HX_E_DTYPE, HX1101_DTYPE, "dtype", "be an integer or float type", "%s",
                         hx_dtype_name((hx_dtype)c->spec[0].dtype));
    return HX_OK;
}

static hx_status shape_multinomial(hx_call *c) {
    const hx_tensor *weights = c->in[0];
    int64_t samples = c->attr[0].v.i;
    HX_TRY(hx_require_dtype(weights, "input", HX_SET_FLOAT));
    if (weights->ndim < 1 || weights->ndim > 2)
        return hx_refuse_rank(weights, "input", "have 1 or 2 dimensions");
    if (samples <= 0) return hx_refuse(HX_E_VALUE, HX1403_VALUE, "num_samples", "be above 0", "%lld",
                                       (long long)samples);
    if (!c->attr[1].v.i && samples > weights->shape[weights->ndim - 1])
        return hx_fail_about(FACTS("num_samples", hx_text("<= %lld", (long long)weights->shape[weights->ndim - 1]),
                                   hx_text("%lld", (long long)samples)), HX_E_VALUE, HX1403_VALUE,
                       "%lld samples without replacement from %lld categories (input %s); pass replacement=True",
                       (long long)samples, (long long)weights->shape[weights->ndim - 1],
                       hx_shape_text(weights->shape, weights->ndim));
    hx_spec_set(&c->spec[0], HX_I64, weights->shape, weights->ndim);
    c->spec[0].shape[weights->ndim - 1] = samples;
    return HX_OK;
}

/* ---- decompositions with the same numbers, for devices without a kernel of the op ---- */

#define SIZE ((hx_ints){c->spec[0].shape, c->spec[0].ndim})
#define DTYPE_OUT ((int)c->spec[0].dtype)
static hx_tensor *even(hx_call *c, const hx_attr *rng) { return CALL(rand, SIZE, DTYPE_OUT, rng); }

static hx_status decompose_rand_like(hx_call *c) {
    RESULT(0, even(c, &c->attr[1]));
    return HX_OK;
}
static hx_status decompose_randn_like(hx_call *c) {
    RESULT(0, CALL(randn, SIZE, DTYPE_OUT, &c->attr[1]));
    return HX_OK;
}
/* The words below p 2**32, cut to a whole number, are dropped: bernoulli's own bits. */
static hx_status decompose_dropout_apply(hx_call *c) {
    double p = c->attr[0].v.f, limit = fmin(floor(p * 0x1p32), 0x1p32 - 1);
    hx_tensor *like = CALL(new_ones, c->in[0], SIZE);
    hx_tensor *dropped = CALL(ne, CALL(bernoulli, like, limit * 0x1p-32, &c->attr[1]), 0);
    RESULT(0, CALL(mul, CALL(where, dropped, 0, c->in[0]), 1 / (1 - p)));
    return HX_OK;
}

/* ---- dropout ---- */

static hx_status check_p(double p) {
    if (p >= 0 && p <= 1) return HX_OK;
    return hx_refuse(HX_E_VALUE, HX1403_VALUE, "p", "lie in [0, 1]", "%g", p);
}
static hx_status decompose_dropout(hx_call *c) {
    double p = c->attr[0].v.f;
    HX_TRY(check_p(p));
    if (!c->attr[1].v.i || p == 0) RESULT(0, c->in[0]);
    else if (p == 1) RESULT(0, CALL(mul, c->in[0], 0));
    else RESULT(0, CALL(dropout_apply, c->in[0], p, &c->attr[2]));
    return HX_OK;
}
/* One draw for each of the first two axes: whole channels are kept or dropped. */
static hx_status decompose_feature_dropout(hx_call *c) {
    hx_tensor *x = c->in[0];
    double p = c->attr[0].v.f;
    HX_TRY(check_p(p));
    if (x->ndim < 2)
        return hx_refuse_rank(x, "input", "have 2 dimensions or more (batch, channel, ...)");
    int64_t shape[HX_MAX_RANK];
    for (int i = 0; i < x->ndim; i++) shape[i] = i < 2 ? x->shape[i] : 1;
    if (!c->attr[1].v.i || p == 0) RESULT(0, x);
    else if (p == 1) RESULT(0, CALL(mul, x, 0));
    else RESULT(0, CALL(mul, x, CALL(dropout_apply, CALL(new_ones, x, ((hx_ints){shape, x->ndim})), p, &c->attr[2])));
    return HX_OK;
}
/* The mask is drawn again from seed and stream. */
static hx_status vjp_dropout(hx_vjp *v) {
    GIN(0, CALL(dropout_apply, G, ATTR(0), ATTR(1)));
    return HX_OK;
}
static hx_status shape_dropout(hx_call *c) {
    HX_TRY(hx_require_dtype(c->in[0], "input", HX_SET_FLOAT));
    return hx_shape_same(c);
}
static hx_status vjp_fill(hx_vjp *v) {
    GIN(0, hx_full_like_spec(&v->in_spec[0], 0, NULL));
    return HX_OK;
}

#define CREATES (HX_PRIMITIVE | HX_CREATES | HX_NON_DIFF | HX_RANDOM | HX_FUNCTION)
#define LIKE (HX_NON_DIFF | HX_RANDOM | HX_FUNCTION | HX_LIKE)
/* Primitives, although made of others in principle: parts would round otherwise, and so give other numbers. */
#define DRAWS (HX_PRIMITIVE | HX_RANDOM | HX_INPLACE | HX_ALIAS_OK | HX_METHOD)

const hx_op hx_ops_random[] = {
    {.name = "rand",
     .params = PARAMS(VAR_INTS("size"), OPT_DTYPE("dtype", KW), RNG("generator")),
     .doc = "Values drawn evenly from [0, 1).\n\n"
            "Example:\n"
            "    >>> helix.rand(2, 3).shape\n"
            "    (2, 3)\n",
     .shape = shape_rand, .flags = CREATES},
    {.name = "randn",
     .params = PARAMS(VAR_INTS("size"), OPT_DTYPE("dtype", KW), RNG("generator")),
     .doc = "Values from the normal distribution with mean 0 and variance 1 (method of Box and Muller).\n\n"
            "Example:\n"
            "    >>> helix.randn(2, 3).shape\n"
            "    (2, 3)\n",
     .shape = shape_rand, .flags = CREATES},
    {.name = "randint",
     .params = PARAMS(REQ_INT("low"), REQ_INTS("high"), OPT_INTS("size"), OPT_DTYPE("dtype", KW), RNG("generator")),
     .doc = "Whole numbers drawn evenly from low, ..., high - 1: randint(high, size) or randint(low, high, size).\n\n"
            "Raises ValueError (HX1403) when low is not below high.\n\n"
            "Example:\n"
            "    >>> helix.randint(5, 6, (3,)).tolist()\n"
            "    [5, 5, 5]\n",
     .shape = shape_randint, .flags = CREATES},
    {.name = "randperm",
     .params = PARAMS(REQ_INT("n"), OPT_DTYPE("dtype", KW), RNG("generator")),
     .doc = "The numbers 0, ..., n - 1 in random order.\n\n"
            "Example:\n"
            "    >>> sorted(helix.randperm(4).tolist())\n"
            "    [0, 1, 2, 3]\n",
     .shape = shape_randperm, .flags = CREATES},
    {.name = "rand_like",
     .params = PARAMS(TENSOR("input"), OPT_DTYPE("dtype", KW), RNG("generator")),
     .doc = "Values drawn evenly from [0, 1), in the input's size and dtype.\n\n"
            "Example:\n"
            "    >>> helix.rand_like(helix.zeros(2, 3)).shape\n"
            "    (2, 3)\n",
     .shape = shape_rand_like, .decompose = decompose_rand_like, .flags = LIKE},
    {.name = "randn_like",
     .params = PARAMS(TENSOR("input"), OPT_DTYPE("dtype", KW), RNG("generator")),
     .doc = "Normal values with mean 0 and variance 1, in the input's size and dtype.\n\n"
            "Example:\n"
            "    >>> helix.randn_like(helix.zeros(2, 3)).shape\n"
            "    (2, 3)\n",
     .shape = shape_rand_like, .decompose = decompose_randn_like, .flags = LIKE},
    {.name = "uniform",
     .params = PARAMS(TENSOR("input"), FLOAT("low", 0), FLOAT("high", 1), RNG("generator", KW)),
     .doc = "Values drawn evenly from [low, high), in the input's size and dtype; uniform_ writes them into the input.\n\n"
            "Example:\n"
            "    >>> helix.zeros(2).uniform_(3, 3).tolist()\n"
            "    [3.0, 3.0]\n",
     .shape = shape_uniform, .vjp = vjp_fill, .flags = DRAWS},
    {.name = "normal",
     .params = PARAMS(TENSOR("input"), FLOAT("mean", 0), FLOAT("std", 1), RNG("generator", KW)),
     .doc = "Normal values, in the input's size and dtype; normal_ writes them into the input.\n\n"
            "Example:\n"
            "    >>> helix.zeros(2).normal_(3, 0).tolist()\n"
            "    [3.0, 3.0]\n",
     .shape = shape_normal, .vjp = vjp_fill, .flags = DRAWS},
    {.name = "exponential",
     .params = PARAMS(TENSOR("input"), FLOAT("lambd", 1), RNG("generator", KW)),
     .doc = "Values from the exponential distribution of rate lambd; exponential_ writes them into the input.\n\n"
            "Example:\n"
            "    >>> bool((helix.zeros(9).exponential_() >= 0).all())\n"
            "    True\n",
     .shape = shape_exponential, .vjp = vjp_fill, .flags = DRAWS},
    {.name = "bernoulli",
     .params = PARAMS(TENSOR("input"), OPT_FLOAT("p"), RNG("generator", KW)),
     .doc = "1 with the probability given by each value of input (or by p), else 0.\n\n"
            "bernoulli_ writes into the input, with p 0.5 when it is not given.\n"
            "Raises ValueError (HX1403) for probabilities outside of [0, 1].\n\n"
            "Example:\n"
            "    >>> helix.bernoulli(helix.tensor([0.0, 1.0])).tolist()\n"
            "    [0.0, 1.0]\n",
     .shape = shape_bernoulli, .vjp = vjp_fill, .flags = DRAWS | HX_FUNCTION},
    {.name = "multinomial",
     .params = PARAMS(TENSOR("input"), REQ_INT("num_samples"), BOOL("replacement", false), RNG("generator", KW)),
     .doc = "Positions drawn with the weights in each row of input (1 or 2 dimensions).\n\n"
            "Raises ValueError (HX1403) for negative, infinite or NaN weights, or too few of them.\n\n"
            "Example:\n"
            "    >>> helix.multinomial(helix.tensor([0.0, 1.0, 0.0]), 1).tolist()\n"
            "    [1]\n",
     .shape = shape_multinomial, .flags = HX_PRIMITIVE | HX_NON_DIFF | HX_RANDOM | HX_PUBLIC},
    {.name = "dropout",
     .params = PARAMS(TENSOR("input"), FLOAT("p", 0.5), BOOL("training", true), RNG("generator", KW)),
     .doc = "Each value becomes 0 with probability p, the others are divided by 1 - p (Srivastava et al., JMLR 2014).\n\n"
            "Without training the input is returned. The backward pass draws the same mask again; none is kept.\n"
            "Raises ValueError (HX1403) for p outside of [0, 1].\n\n"
            "Example:\n"
            "    >>> helix.nn.functional.dropout(helix.tensor([1.0, 2.0]), 0.5, training=False).tolist()\n"
            "    [1.0, 2.0]\n",
     .decompose = decompose_dropout, .flags = HX_RANDOM | HX_NN | HX_FUNCTION},
    {.name = "feature_dropout",
     .params = PARAMS(TENSOR("input"), FLOAT("p", 0.5), BOOL("training", true), RNG("generator", KW)),
     .doc = "Dropout of whole channels (Tompson et al., CVPR 2015).\n\n"
            "Raises ValueError (HX1403) for p outside of [0, 1], ShapeError (HX1001) for fewer than 2 dimensions.\n\n"
            "Example:\n"
            "    >>> helix.nn.functional.dropout2d(helix.ones(1, 1, 1, 2), training=False).tolist()\n"
            "    [[[[1.0, 1.0]]]]\n",
     .aliases = "dropout1d, dropout2d, dropout3d", .decompose = decompose_feature_dropout, .flags = HX_RANDOM | HX_NN},
    {.name = "dropout_apply",
     .params = PARAMS(TENSOR("input"), REQ_FLOAT("p"), RNG("generator")),
     .doc = "Dropout with p in (0, 1).",
     .shape = shape_dropout, .decompose = decompose_dropout_apply, .vjp = vjp_dropout, .flags = HX_RANDOM | HX_INTERNAL_OP},
    {0}};
