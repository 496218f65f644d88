/* Tensors made from nothing: constants, ranges, the identity; and filling existing ones. */
#include <math.h>
#include "rules.h"

static hx_dtype dtype_or(const hx_attr *a, hx_dtype otherwise) { return hx_given(a) ? (hx_dtype)a->v.i : otherwise; }

static hx_dtype dtype_of_number(const hx_attr *value) {
    switch (value->kind) {
    case HX_A_BOOL: return HX_BOOL;
    case HX_A_INT: return HX_I64;
    case HX_A_COMPLEX: return hx_complex_of(hx_default_float());
    default: return hx_default_float();
    }
}

static hx_status sized(hx_call *c, const hx_attr *size, hx_dtype dtype) {
    int64_t numel;
    if (size->count > HX_MAX_RANK)
        return hx_fail_about(FACTS("size", hx_text("at most %d dimensions", HX_MAX_RANK), hx_text("%u", size->count)),
                             HX_E_SHAPE, HX1001_RANK, "size has %u dimensions; %d is the most", size->count,
                             HX_MAX_RANK);
    HX_TRY(hx_numel(size->v.ints, (int)size->count, &numel));
    hx_spec_set(&c->spec[0], dtype, size->v.ints, (int)size->count);
    return HX_OK;
}

/* ---- constants ---- */

static hx_status shape_full(hx_call *c) {
    return sized(c, &c->attr[0], dtype_or(&c->attr[2], dtype_of_number(&c->attr[1])));
}
static hx_status shape_constant(hx_call *c) { return sized(c, &c->attr[0], dtype_or(&c->attr[1], hx_default_float())); }

static hx_status shape_like(hx_call *c) {
    hx_spec_like(&c->spec[0], c->in[0]);
    c->spec[0].dtype = (uint8_t)dtype_or(&c->attr[0], (hx_dtype)c->in[0]->dtype);
    return HX_OK;
}
static hx_status shape_full_like(hx_call *c) {
    hx_spec_like(&c->spec[0], c->in[0]);
    c->spec[0].dtype = (uint8_t)dtype_or(&c->attr[1], (hx_dtype)c->in[0]->dtype);
    return HX_OK;
}
static hx_status shape_new(hx_call *c) {
    return sized(c, &c->attr[0], dtype_or(&c->attr[1], (hx_dtype)c->in[0]->dtype));
}
static hx_status shape_new_full(hx_call *c) {
    return sized(c, &c->attr[0], dtype_or(&c->attr[2], (hx_dtype)c->in[0]->dtype));
}

static hx_tensor *constant(hx_call *c, double value) {
    hx_spec *s = &c->spec[0];
    return CALL(full, ((hx_ints){s->shape, s->ndim}), value, s->dtype);
}
static hx_status decompose_zeros(hx_call *c) {
    RESULT(0, constant(c, 0));
    return HX_OK;
}
static hx_status decompose_ones(hx_call *c) {
    RESULT(0, constant(c, 1));
    return HX_OK;
}
static hx_status decompose_full_like(hx_call *c) {
    hx_spec *s = &c->spec[0];
    RESULT(0, CALL(full, ((hx_ints){s->shape, s->ndim}), &c->attr[0], s->dtype));
    return HX_OK;
}
static hx_status decompose_new_full(hx_call *c) {
    hx_spec *s = &c->spec[0];
    RESULT(0, CALL(full, ((hx_ints){s->shape, s->ndim}), &c->attr[1], s->dtype));
    return HX_OK;
}

static hx_status vjp_fill(hx_vjp *v) {
    GIN(0, hx_full_like_spec(&v->in_spec[0], 0, NULL));
    return HX_OK;
}

/* ---- ranges ---- */

static hx_status real_number(const hx_attr *a, const char *name) {
    if (a->kind != HX_A_COMPLEX) return HX_OK;
    return hx_fail(HX_E_DTYPE, HX1101_DTYPE, "%s must be a real number, got a complex one", name);
}

/* Items in [start, end): -1 when the direction is wrong. */
static hx_status range_length(const hx_attr *start, const hx_attr *end, const hx_attr *step, bool whole, int64_t *n) {
    double a = hx_number_as_float(start), b = hx_number_as_float(end), d = hx_number_as_float(step);
    if (d == 0 || isnan(d)) return hx_fail_about(FACTS("step", "not 0", hx_text("%g", d)), HX_E_VALUE, HX1403_VALUE,
                                                 "step must not be 0 or NaN");
    if (!isfinite(a) || !isfinite(b))
        return hx_fail(HX_E_VALUE, HX1403_VALUE, "start and end must be finite, got %g and %g", a, b);
    if ((d > 0 && a > b) || (d < 0 && a < b))
        return hx_fail_about(FACTS("step", d > 0 ? "below 0" : "above 0", hx_text("%g", d)), HX_E_VALUE, HX1403_VALUE,
                             "step %g leads away from end: start is %g, end is %g. Give step the other sign.",
                       d, a, b);
    if (whole) {
        uint64_t span = d > 0 ? (uint64_t)end->v.i - (uint64_t)start->v.i : (uint64_t)start->v.i - (uint64_t)end->v.i;
        uint64_t stride = d > 0 ? (uint64_t)step->v.i : -(uint64_t)step->v.i;
        uint64_t count = span / stride + (span % stride != 0);
        if (count > INT64_MAX) return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "the range has more than 2**63 items");
        *n = (int64_t)count;
        return HX_OK;
    }
    double count = ceil((b - a) / d);
    if (!(count < 0x1p62)) return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "the range has more than 2**62 items");
    *n = (int64_t)count;
    return HX_OK;
}

/* A float of the size of whole numbers, cut towards zero. */
static void cut_number(hx_attr *a) {
    if (a->kind == HX_A_FLOAT && fabs(a->v.f) < 0x1p62) *a = (hx_attr){.kind = HX_A_INT, .v.i = (int64_t)a->v.f};
}

static hx_status shape_arange(hx_call *c) {
    hx_attr *start = &c->attr[0], *end = &c->attr[1], *step = &c->attr[2];
    if (!hx_given(end)) {
        *end = *start;
        *start = (hx_attr){.kind = HX_A_INT, .v.i = 0};
    }
    if (step->kind == HX_A_FLOAT && step->v.f == 1 && start->kind != HX_A_FLOAT && end->kind != HX_A_FLOAT)
        *step = (hx_attr){.kind = HX_A_INT, .v.i = 1};
    HX_TRY(real_number(start, "start"));
    HX_TRY(real_number(end, "end"));
    HX_TRY(real_number(step, "step"));
    bool whole = start->kind != HX_A_FLOAT && end->kind != HX_A_FLOAT && step->kind != HX_A_FLOAT;
    if (hx_given(&c->attr[3]) && hx_is_integral((hx_dtype)c->attr[3].v.i) && !whole) {
        cut_number(start);
        cut_number(end);
        cut_number(step);
        whole = start->kind != HX_A_FLOAT && end->kind != HX_A_FLOAT && step->kind != HX_A_FLOAT;
    }
    int64_t n = 0;
    HX_TRY(range_length(start, end, step, whole, &n));
    hx_spec_set(&c->spec[0], dtype_or(&c->attr[3], whole ? HX_I64 : hx_default_float()), &n, 1);
    return HX_OK;
}

static hx_status spaced(hx_call *c, const hx_attr *dtype) {
    HX_TRY(real_number(&c->attr[0], "start"));
    HX_TRY(real_number(&c->attr[1], "end"));
    int64_t steps = c->attr[2].v.i;
    if (steps < 0) return hx_refuse(HX_E_VALUE, HX1403_VALUE, "steps", "not be negative", "%lld", (long long)steps);
    hx_spec_set(&c->spec[0], dtype_or(dtype, hx_default_float()), &steps, 1);
    if (hx_is_integral((hx_dtype)c->spec[0].dtype)) {
        cut_number(&c->attr[0]);
        cut_number(&c->attr[1]);
    }
    return HX_OK;
}
static hx_status shape_linspace(hx_call *c) { return spaced(c, &c->attr[3]); }
static hx_status shape_logspace(hx_call *c) { return spaced(c, &c->attr[4]); }

static hx_status shape_eye(hx_call *c) {
    int64_t shape[2] = {c->attr[0].v.i, hx_int_or(&c->attr[1], c->attr[0].v.i)};
    if (shape[0] < 0 || shape[1] < 0)
        return hx_fail_about(FACTS(.expected = ">= 0", .got = hx_shape_text(shape, 2)), HX_E_VALUE, HX1403_VALUE,
                             "n and m must not be negative, got %lld and %lld", (long long)shape[0],
                       (long long)shape[1]);
    int64_t numel;
    HX_TRY(hx_numel(shape, 2, &numel));
    hx_spec_set(&c->spec[0], dtype_or(&c->attr[2], hx_default_float()), shape, 2);
    return HX_OK;
}

static hx_status decompose_linspace(hx_call *c) {
    double start = hx_number_as_float(&c->attr[0]), end = hx_number_as_float(&c->attr[1]);
    int64_t steps = c->attr[2].v.i;
    hx_tensor *count = CALL(arange, 0, steps, 1, (int)HX_F64);
    hx_tensor *value = CALL(add, CALL(mul, count, steps > 1 ? (end - start) / (double)(steps - 1) : 0.0), start);
    RESULT(0, CALL(cast, value, c->spec[0].dtype));
    return HX_OK;
}
static hx_status decompose_logspace(hx_call *c) {
    hx_tensor *exponent = CALL(linspace, &c->attr[0], &c->attr[1], &c->attr[2], (int)HX_F64);
    RESULT(0, CALL(cast, CALL(pow, hx_number_as_float(&c->attr[3]), exponent), c->spec[0].dtype));
    return HX_OK;
}
static hx_status decompose_eye(hx_call *c) {
    hx_tensor *row = CALL(reshape, CALL(arange, c->spec[0].shape[0]), HX_INTS(-1, 1)), *column = CALL(arange, c->spec[0].shape[1]);
    RESULT(0, CALL(cast, CALL(eq, row, column), c->spec[0].dtype));
    return HX_OK;
}

#define CREATES (HX_PRIMITIVE | HX_CREATES | HX_NON_DIFF | HX_FUNCTION)
#define CREATES_BY_PARTS (HX_CREATES | HX_NON_DIFF | HX_FUNCTION)
#define LIKE (HX_NON_DIFF | HX_FUNCTION | HX_LIKE)
#define NEW (HX_NON_DIFF | HX_METHOD | HX_LIKE)

const hx_op hx_ops_create[] = {
    {.name = "full",
     .params = PARAMS(REQ_INTS("size"), REQ_NUMBER("fill_value"), OPT_DTYPE("dtype", KW)),
     .doc = "A tensor of the given size with fill_value everywhere.\n\n"
            "Without dtype: bool, int64, the default float or its complex type, by the kind of fill_value.\n"
            "Raises ShapeError for a negative size and SizeOverflowError (HX1401) for one that does not fit.\n\n"
            "Example:\n"
            "    >>> helix.full((2, 2), 7).tolist()\n"
            "    [[7, 7], [7, 7]]\n",
     .shape = shape_full,
     .flags = CREATES},
    {.name = "zeros",
     .params = PARAMS(VAR_INTS("size"), OPT_DTYPE("dtype", KW)),
     .doc = "A tensor of zeros; dtype is the default float when it is not given.\n\n"
            "Example:\n"
            "    >>> helix.zeros(2, 2).tolist()\n"
            "    [[0.0, 0.0], [0.0, 0.0]]\n",
     .shape = shape_constant,
     .decompose = decompose_zeros,
     .flags = CREATES_BY_PARTS},
    {.name = "ones",
     .params = PARAMS(VAR_INTS("size"), OPT_DTYPE("dtype", KW)),
     .doc = "A tensor of ones; dtype is the default float when it is not given.\n\n"
            "Example:\n"
            "    >>> helix.ones(3).tolist()\n"
            "    [1.0, 1.0, 1.0]\n",
     .shape = shape_constant,
     .decompose = decompose_ones,
     .flags = CREATES_BY_PARTS},
    {.name = "empty",
     .params = PARAMS(VAR_INTS("size"), OPT_DTYPE("dtype", KW)),
     .doc = "A tensor whose values are whatever the memory held.\n\n"
            "Example:\n"
            "    >>> helix.empty(2, 3).shape\n"
            "    (2, 3)\n",
     .shape = shape_constant,
     .decompose = decompose_zeros,
     .flags = CREATES_BY_PARTS},
    {.name = "full_like",
     .params = PARAMS(TENSOR("input"), REQ_NUMBER("fill_value"), OPT_DTYPE("dtype", KW)),
     .doc = "A tensor of the input's size (and dtype, unless given) with fill_value everywhere.\n\n"
            "Example:\n"
            "    >>> helix.full_like(helix.zeros(2), 0.5).tolist()\n"
            "    [0.5, 0.5]\n",
     .shape = shape_full_like,
     .decompose = decompose_full_like,
     .flags = LIKE},
    {.name = "zeros_like",
     .params = PARAMS(TENSOR("input"), OPT_DTYPE("dtype", KW)),
     .doc = "Zeros of the input's size (and dtype, unless given).\n\n"
            "Example:\n"
            "    >>> helix.zeros_like(helix.ones(2)).tolist()\n"
            "    [0.0, 0.0]\n",
     .shape = shape_like,
     .decompose = decompose_zeros,
     .flags = LIKE},
    {.name = "ones_like",
     .params = PARAMS(TENSOR("input"), OPT_DTYPE("dtype", KW)),
     .doc = "Ones of the input's size (and dtype, unless given).\n\n"
            "Example:\n"
            "    >>> helix.ones_like(helix.zeros(2)).tolist()\n"
            "    [1.0, 1.0]\n",
     .shape = shape_like,
     .decompose = decompose_ones,
     .flags = LIKE},
    {.name = "empty_like",
     .params = PARAMS(TENSOR("input"), OPT_DTYPE("dtype", KW)),
     .doc = "A tensor of the input's size (and dtype, unless given) whose values are whatever the memory held.\n\n"
            "Example:\n"
            "    >>> helix.empty_like(helix.zeros(2, 5)).shape\n"
            "    (2, 5)\n",
     .shape = shape_like,
     .decompose = decompose_zeros,
     .flags = LIKE},
    {.name = "new_full",
     .params = PARAMS(TENSOR("input"), REQ_INTS("size"), REQ_NUMBER("fill_value"), OPT_DTYPE("dtype", KW)),
     .doc = "A tensor of the given size with fill_value everywhere, on the input's device and of its dtype.\n\n"
            "Example:\n"
            "    >>> helix.zeros(1).new_full((2,), 3).tolist()\n"
            "    [3.0, 3.0]\n",
     .shape = shape_new_full,
     .decompose = decompose_new_full,
     .flags = NEW},
    {.name = "new_zeros",
     .params = PARAMS(TENSOR("input"), VAR_INTS("size"), OPT_DTYPE("dtype", KW)),
     .doc = "Zeros of the given size, on the input's device and of its dtype.\n\n"
            "Example:\n"
            "    >>> helix.ones(1).new_zeros(2).tolist()\n"
            "    [0.0, 0.0]\n",
     .shape = shape_new,
     .decompose = decompose_zeros,
     .flags = NEW},
    {.name = "new_ones",
     .params = PARAMS(TENSOR("input"), VAR_INTS("size"), OPT_DTYPE("dtype", KW)),
     .doc = "Ones of the given size, on the input's device and of its dtype.\n\n"
            "Example:\n"
            "    >>> helix.zeros(1).new_ones(2).tolist()\n"
            "    [1.0, 1.0]\n",
     .shape = shape_new,
     .decompose = decompose_ones,
     .flags = NEW},
    {.name = "new_empty",
     .params = PARAMS(TENSOR("input"), VAR_INTS("size"), OPT_DTYPE("dtype", KW)),
     .doc = "A tensor of the given size, on the input's device and of its dtype; its values are what the memory held.\n\n"
            "Example:\n"
            "    >>> helix.zeros(1).new_empty(2, 2).shape\n"
            "    (2, 2)\n",
     .shape = shape_new,
     .decompose = decompose_zeros,
     .flags = NEW},
    {.name = "fill",
     .params = PARAMS(TENSOR("input"), REQ_NUMBER("value")),
     .doc = "The input's size and dtype with value everywhere; fill_ writes it into the input.\n\n"
            "Example:\n"
            "    >>> helix.zeros(2).fill_(4).tolist()\n"
            "    [4.0, 4.0]\n",
     .shape = hx_shape_same,
     .decompose = decompose_full_like,
     .vjp = vjp_fill,
     .flags = HX_PUBLIC | HX_INPLACE | HX_ALIAS_OK},
    {.name = "zero",
     .params = PARAMS(TENSOR("input")),
     .doc = "Zeros of the input's size and dtype; zero_ writes them into the input.\n\n"
            "Example:\n"
            "    >>> helix.ones(2).zero_().tolist()\n"
            "    [0.0, 0.0]\n",
     .shape = hx_shape_same,
     .vjp = vjp_fill,
     .decompose = decompose_zeros,
     .flags = HX_METHOD | HX_INPLACE | HX_ALIAS_OK},
    {.name = "arange",
     .params = PARAMS(REQ_NUMBER("start"), OPT_NUMBER("end"), NUMBER("step", 1), OPT_DTYPE("dtype", KW)),
     .doc = "start, start + step, ... below end; with one number, 0, 1, ... below it.\n\n"
            "The dtype is int64 when all three are integers, else the default float.\n"
            "Raises ValueError (HX1403) for step 0 or one that leads away from end.\n\n"
            "Example:\n"
            "    >>> helix.arange(1, 7, 2).tolist()\n"
            "    [1, 3, 5]\n",
     .shape = shape_arange,
     .flags = CREATES},
    {.name = "linspace",
     .params = PARAMS(REQ_NUMBER("start"), REQ_NUMBER("end"), REQ_INT("steps"), OPT_DTYPE("dtype", KW)),
     .doc = "steps values from start to end, both included, at equal distances.\n\n"
            "Example:\n"
            "    >>> helix.linspace(0, 1, 5).tolist()\n"
            "    [0.0, 0.25, 0.5, 0.75, 1.0]\n",
     .shape = shape_linspace,
     .decompose = decompose_linspace,
     .flags = CREATES_BY_PARTS},
    {.name = "logspace",
     .params = PARAMS(REQ_NUMBER("start"), REQ_NUMBER("end"), REQ_INT("steps"), NUMBER("base", 10), OPT_DTYPE("dtype", KW)),
     .doc = "base to the power of steps values from start to end, both included, at equal distances.\n\n"
            "Example:\n"
            "    >>> helix.logspace(0, 3, 4, base=2).tolist()\n"
            "    [1.0, 2.0, 4.0, 8.0]\n",
     .shape = shape_logspace,
     .decompose = decompose_logspace,
     .flags = CREATES_BY_PARTS},
    {.name = "eye",
     .params = PARAMS(REQ_INT("n"), OPT_INT("m"), OPT_DTYPE("dtype", KW)),
     .doc = "The matrix of n rows and m (or n) columns with ones on the diagonal and zeros elsewhere.\n\n"
            "Example:\n"
            "    >>> helix.eye(2, 3).tolist()\n"
            "    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]\n",
     .shape = shape_eye,
     .decompose = decompose_eye,
     .flags = CREATES_BY_PARTS},
    {0}};
