/* Sorting and selection along an axis, binary search, and grouping of equal values. NaN counts as the largest. */
#include "rules.h"

/* ---- shapes ---- */

static hx_status sort_axis(hx_call *c, int at, int *axis) {
    HX_TRY(hx_require_dtype(c->in[0], "input", HX_SET_REAL));
    HX_TRY(hx_axis(c->attr[at].v.i, c->in[0]->ndim, axis));
    c->attr[at].v.i = *axis;
    return HX_OK;
}

static int64_t length(const hx_tensor *t, int axis) { return t->ndim ? t->shape[axis] : 1; }

static void like_with_indices(hx_call *c) {
    hx_spec_like(&c->spec[0], c->in[0]);
    hx_spec_like(&c->spec[1], c->in[0]);
    c->spec[1].dtype = HX_I64;
}

/* attr: dim, descending, stable */
static hx_status sort_shape(hx_call *c) {
    int axis;
    HX_TRY(sort_axis(c, 0, &axis));
    like_with_indices(c);
    return HX_OK;
}

/* attr: k, dim, largest, sorted */
static hx_status topk_shape(hx_call *c) {
    int axis;
    HX_TRY(sort_axis(c, 1, &axis));
    int64_t k = c->attr[0].v.i, n = length(c->in[0], axis);
    if (k < 0 || k > n)
        return hx_fail_about(FACTS("k", hx_text("0..%lld", (long long)n), hx_text("%lld", (long long)k), true, axis),
                             HX_E_VALUE, HX1403_VALUE, "k is %lld, but axis %d of input %s has %lld elements",
                             (long long)k, axis, hx_shape_text(c->in[0]->shape, c->in[0]->ndim), (long long)n);
    like_with_indices(c);
    if (c->in[0]->ndim) c->spec[0].shape[axis] = c->spec[1].shape[axis] = k;
    return HX_OK;
}

static hx_status one_of_axis(hx_call *c, int axis, bool keepdim, const char *what) {
    hx_tensor *t = c->in[0];
    uint32_t mask = t->ndim ? 1u << axis : 0;
    hx_spec_reduce(&c->spec[0], (hx_dtype)t->dtype, t, mask, keepdim);
    hx_spec_reduce(&c->spec[1], HX_I64, t, mask, keepdim);
    if (length(t, axis) > 0) return HX_OK;
    return hx_fail(HX_E_VALUE, HX1404_EMPTY, "%s of no elements is not defined: axis %d of input %s has size 0", what,
                   axis,
                   hx_shape_text(t->shape, t->ndim));
}

/* attr: k, dim, keepdim */
static hx_status kthvalue_shape(hx_call *c) {
    int axis;
    HX_TRY(sort_axis(c, 1, &axis));
    HX_TRY(one_of_axis(c, axis, c->attr[2].v.i, "an element of rank k"));
    int64_t k = c->attr[0].v.i, n = length(c->in[0], axis);
    if (k >= 1 && k <= n) return HX_OK;
    return hx_fail_about(FACTS("k", hx_text("1..%lld", (long long)n), hx_text("%lld", (long long)k), true, axis),
                         HX_E_VALUE, HX1403_VALUE,
                         "k is %lld; axis %d of input %s has %lld elements, so k must lie in 1..%lld", (long long)k,
                         axis, hx_shape_text(c->in[0]->shape, c->in[0]->ndim), (long long)n, (long long)n);
}

/* attr: dim, keepdim */
static hx_status median_shape(hx_call *c) {
    int axis;
    HX_TRY(sort_axis(c, 0, &axis));
    return one_of_axis(c, axis, c->attr[1].v.i, "the median");
}

/* ---- gradients: each result came from one element ---- */

static hx_status placed(hx_vjp *v, int axis, hx_tensor *g, hx_tensor *indices) {
    if (v->in_spec[0].ndim == 0) {
        GIN(0, CALL(reshape, g, ((hx_ints){NULL, 0})));
        return HX_OK;
    }
    GIN(0, CALL(scatter_add, hx_full_like_spec(&v->in_spec[0], 0, NULL), axis, indices, g));
    return HX_OK;
}

static hx_status sort_vjp(hx_vjp *v) { return v->g[0] ? placed(v, (int)v->attr[0].v.i, v->g[0], OUT(1)) : HX_OK; }
static hx_status topk_vjp(hx_vjp *v) { return v->g[0] ? placed(v, (int)v->attr[1].v.i, v->g[0], OUT(1)) : HX_OK; }

static hx_status one_vjp(hx_vjp *v, int axis, bool keepdim) {
    int ndim = v->in_spec[0].ndim;
    uint32_t mask = ndim ? 1u << axis : 0;
    if (!v->g[0]) return HX_OK;
    return placed(v, axis, hx_unreduce(v->g[0], mask, ndim, keepdim), hx_unreduce(OUT(1), mask, ndim, keepdim));
}
static hx_status kthvalue_vjp(hx_vjp *v) { return one_vjp(v, (int)v->attr[1].v.i, v->attr[2].v.i); }
static hx_status median_vjp(hx_vjp *v) { return one_vjp(v, (int)v->attr[0].v.i, v->attr[1].v.i); }

static hx_status argsort_parts(hx_call *c) {
    hx_tensor *both[2] = {NULL};
    CALLN(both, 2, sort, c->in[0], &c->attr[0], &c->attr[1]);
    RESULT(0, both[1]);
    return HX_OK;
}

static hx_status msort_parts(hx_call *c) {
    RESULT(0, CALL(sort, c->in[0], 0));
    return HX_OK;
}

/* Selections are a sort and a part of it. */
static hx_status part_of_sort(hx_call *c, int axis, bool descending, int64_t start, int64_t count, bool drop) {
    hx_tensor *both[2] = {NULL};
    CALLN(both, 2, sort, c->in[0], axis, descending);
    for (int i = 0; i < 2; i++) {
        hx_tensor *part = c->in[0]->ndim ? CALL(narrow, both[i], axis, start, count) : both[i];
        RESULT(i, drop && c->in[0]->ndim ? CALL(squeeze, part, axis) : part);
    }
    return HX_OK;
}

static hx_status topk_parts(hx_call *c) {
    return part_of_sort(c, (int)c->attr[1].v.i, c->attr[2].v.i, 0, c->attr[0].v.i, false);
}

static hx_status kthvalue_parts(hx_call *c) {
    return part_of_sort(c, (int)c->attr[1].v.i, false, c->attr[0].v.i - 1, 1, !c->attr[2].v.i);
}

/* ---- binary search ---- */

/* in: sorted_sequence, input; attr: out_int32, right, side */
static hx_status search_shape(hx_call *c) {
    hx_tensor *s = c->in[0], *x = c->in[1];
    bool fits = s->ndim == 1 || s->ndim == x->ndim;
    for (int d = 0; fits && s->ndim > 1 && d < s->ndim - 1; d++) fits = s->shape[d] == x->shape[d];
    if (s->ndim == 0 || !fits)
        return hx_fail_about(FACTS("sorted_sequence", hx_shape_text(x->shape, x->ndim), hx_shape_text(s->shape, s->ndim)),
                             HX_E_SHAPE, HX1002_INNER,
                             "sorted_sequence %s must have one dimension, or input's shape %s but for the last axis",
                             hx_shape_text(s->shape, s->ndim), hx_shape_text(x->shape, x->ndim));
    hx_operand operands[2] = {{(hx_dtype)s->dtype, s->ndim == 0, s->flags & HX_T_NUMBER},
                              {(hx_dtype)x->dtype, x->ndim == 0, x->flags & HX_T_NUMBER}};
    c->compute = (int8_t)hx_result_type(operands, 2, hx_default_float());
    HX_TRY(hx_require_dtype(s, "sorted_sequence", HX_SET_REAL));
    HX_TRY(hx_require_dtype(x, "input", HX_SET_REAL));
    if (hx_str_is(&c->attr[2], "right")) c->attr[1].v.i = true;
    hx_spec_like(&c->spec[0], x);
    c->spec[0].dtype = c->attr[0].v.i ? HX_I32 : HX_I64;
    return HX_OK;
}

static hx_status bucketize_parts(hx_call *c) {
    RESULT(0, CALL(searchsorted, c->in[1], c->in[0], &c->attr[0], &c->attr[1]));
    return HX_OK;
}

/* attr: assume_unique, invert */
static hx_status isin_parts(hx_call *c) {
    hx_tensor *x = c->in[0], *test, *found;
    HX_TRY(hx_require_dtype(x, "elements", HX_SET_REAL));
    HX_TRY(hx_require_dtype(c->in[1], "test_elements", HX_SET_REAL));
    test = CALL(reshape, c->in[1], -1);
    if (c->in[1]->numel == 0) {
        found = CALL(ne, x, x);
        if (hx_is_floating((hx_dtype)x->dtype)) found = CALL(logical_and, found, CALL(eq, x, x));
    } else {
        hx_tensor *sorted = CALL(sort, test), *at = CALL(searchsorted, sorted, x);
        at = CALL(minimum, at, c->in[1]->numel - 1);
        hx_tensor *nearest = CALL(index_select, sorted, 0, CALL(reshape, at, -1));
        found = CALL(eq, CALL(reshape, nearest, ((hx_ints){x->shape, x->ndim})), x);
    }
    RESULT(0, c->attr[1].v.i ? CALL(logical_not, found) : found);
    return HX_OK;
}

/* ---- grouping ---- */

/* in: rows (n, width); out: order (n), first (n) */
static hx_status group_shape(hx_call *c) {
    HX_TRY(hx_require_rank(c->in[0], "input", 2));
    HX_TRY(hx_require_dtype(c->in[0], "input", HX_SET_REAL));
    hx_spec_set(&c->spec[0], HX_I64, c->in[0]->shape, 1);
    hx_spec_set(&c->spec[1], HX_BOOL, c->in[0]->shape, 1);
    return HX_OK;
}

/* The tensor as rows, one for each thing that is compared: elements, or slices along axis. */
static hx_tensor *as_rows(hx_tensor *x, bool along, int axis) {
    if (!along) return CALL(reshape, x, HX_INTS(x->numel, 1));
    int64_t n = length(x, axis), width = 1;
    for (int d = 0; d < x->ndim; d++)
        if (d != axis && !hx_mul_ok(width, x->shape[d], &width)) {
            hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "the slices of %s do not fit in 64 bits",
                    hx_shape_text(x->shape, x->ndim));
            return NULL;
        }
    hx_tensor *moved = x->ndim ? CALL(movedim, x, HX_INTS(axis), HX_INTS(0)) : x;
    return CALL(reshape, moved, HX_INTS(n, width));
}

static hx_status unique_rows(hx_call *c, bool sorted, const hx_attr *inverse, const hx_attr *counts,
                             const hx_attr *dim) {
    hx_tensor *x = c->in[0], *group[2] = {NULL};
    bool along = hx_given(dim);
    int axis = 0;
    HX_TRY(hx_require_dtype(x, "input", HX_SET_REAL));
    if (along) HX_TRY(hx_axis(dim->v.i, x->ndim, &axis));
    int64_t n = along ? length(x, axis) : x->numel;
    CALLN(group, 2, group_rows, as_rows(x, along, axis), sorted);
    hx_tensor *starts = CALL(reshape, CALL(argwhere, group[1]), -1);
    hx_tensor *representatives = CALL(index_select, group[0], 0, starts);
    c->n_out = 1;
    if (along) RESULT(0, x->ndim ? CALL(index_select, x, axis, representatives) : x);
    else RESULT(0, CALL(index_select, CALL(reshape, x, -1), 0, representatives));
    if (inverse->v.i) {
        hx_tensor *number = CALL(sub, CALL(cumsum, CALL(cast, group[1], (int)HX_I64), 0), 1);
        hx_tensor *places = CALL(scatter, CALL(mul, group[0], 0), 0, group[0], number);
        RESULT(c->n_out, along ? places : CALL(reshape, places, ((hx_ints){x->shape, x->ndim})));
        c->n_out++;
    }
    if (counts->v.i) {
        hx_tensor *ends = NULL;
        if (starts && starts->numel) {
            hx_tensor *parts[2] = {CALL(narrow, starts, 0, 1, starts->numel - 1),
                                   CALL(full, HX_INTS(1), n, (int)HX_I64)};
            ends = CALL(cat, ((hx_list){parts, 2}));
        }
        RESULT(c->n_out, ends ? CALL(sub, ends, starts) : starts);
        c->n_out++;
    }
    return HX_OK;
}

/* attr: sorted, return_inverse, return_counts, dim */
static hx_status unique_parts(hx_call *c) { return unique_rows(c, true, &c->attr[1], &c->attr[2], &c->attr[3]); }

/* attr: return_inverse, return_counts, dim */
static hx_status unique_consecutive_parts(hx_call *c) {
    return unique_rows(c, false, &c->attr[0], &c->attr[1], &c->attr[2]);
}

/* ---- counting ---- */

static hx_status item(hx_tensor *t, hx_scalar *value) {
    if (!t) return hx_error_last()->code;
    return hx_tensor_item(t, value);
}

static double as_double(const hx_scalar *s) {
    return s->kind == HX_KIND_FLOAT ? s->v.f : s->kind == HX_KIND_UINT ? (double)s->v.u : (double)s->v.i;
}

/* in: input, weights; attr: minlength */
static hx_status bincount_parts(hx_call *c) {
    hx_tensor *x = c->in[0], *weights = c->in[1];
    HX_TRY(hx_require_rank(x, "input", 1));
    HX_TRY(hx_require_dtype(x, "input", HX_SET_INTEGER));
    int64_t bins = c->attr[0].v.i;
    if (bins < 0) return hx_refuse(HX_E_VALUE, HX1403_VALUE, "minlength", "not be negative", "%lld", (long long)bins);
    x = CALL(cast, x, (int)HX_I64);
    if (c->in[0]->numel) {
        hx_scalar low, high;
        HX_TRY(item(CALL(amin, x), &low));
        HX_TRY(item(CALL(amax, x), &high));
        if (low.v.i < 0) return hx_refuse(HX_E_VALUE, HX1403_VALUE, "input", "not hold negative numbers", "%lld",
                                          (long long)low.v.i);
        if (high.v.i == INT64_MAX) return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "the largest number does not fit");
        bins = high.v.i + 1 > bins ? high.v.i + 1 : bins;
    }
    int dtype = !weights ? HX_I64 : hx_is_floating((hx_dtype)weights->dtype) ? weights->dtype : HX_F64;
    hx_tensor *counts = CALL(full, HX_INTS(bins), 0, dtype);
    hx_tensor *ones = weights ? CALL(cast, weights, dtype)
                              : CALL(expand, CALL(full, HX_INTS(1), 1, dtype), ((hx_ints){c->in[0]->shape, 1}));
    RESULT(0, CALL(scatter_add, counts, 0, x, ones));
    return HX_OK;
}

/* attr: bins, min, max */
static hx_status histc_parts(hx_call *c) {
    hx_tensor *x = CALL(reshape, c->in[0], -1);
    int64_t bins = c->attr[0].v.i;
    double low = hx_number_as_float(&c->attr[1]), high = hx_number_as_float(&c->attr[2]);
    HX_TRY(hx_require_dtype(c->in[0], "input", HX_SET_FLOAT));
    if (bins < 1) return hx_refuse(HX_E_VALUE, HX1403_VALUE, "bins", "be positive", "%lld", (long long)bins);
    if (low > high) return hx_fail(HX_E_VALUE, HX1403_VALUE, "min (%g) must not be above max (%g)", low, high);
    if (low == high && c->in[0]->numel) {
        hx_scalar a, b;
        HX_TRY(item(CALL(amin, x), &a));
        HX_TRY(item(CALL(amax, x), &b));
        low = as_double(&a), high = as_double(&b);
    }
    if (low == high) low -= 1, high += 1;
    hx_tensor *inside = CALL(logical_and, CALL(ge, x, low), CALL(le, x, high));
    hx_tensor *at = CALL(floor, CALL(mul, CALL(sub, x, low), (double)bins / (high - low)));
    at = CALL(minimum, CALL(maximum, CALL(where, inside, at, 0.0), 0.0), (double)(bins - 1));
    hx_tensor *counts = CALL(full, HX_INTS(bins), 0.0, c->in[0]->dtype);
    RESULT(0, CALL(scatter_add, counts, 0, CALL(cast, at, (int)HX_I64), CALL(cast, inside, c->in[0]->dtype)));
    return HX_OK;
}

#define SELECTION .saves = SAVE_OUT(1), .outputs = "values, indices"

const hx_op hx_ops_sort[] = {
    {.name = "sort", .shape = sort_shape, .vjp = sort_vjp, SELECTION,
     .flags = HX_PRIMITIVE | HX_PUBLIC | HX_NONDIFF_OUT1,
     .params = PARAMS(TENSOR("input"), INT("dim", -1), BOOL("descending", false), BOOL("stable", false)),
     .doc = "Sorts along an axis; also returns where each element came from.\n\n"
            "NaN counts as largest. Equal elements keep their order, whether stable is asked for or not.\n\n"
            "Example:\n    >>> helix.sort(helix.tensor([3., 1., 2.])).indices.tolist()\n    [1, 2, 0]"},
    {.name = "argsort", .decompose = argsort_parts, .flags = HX_PUBLIC | HX_NON_DIFF,
     .params = PARAMS(TENSOR("input"), INT("dim", -1), BOOL("descending", false), BOOL("stable", false)),
     .doc = "The indices that sort the tensor along an axis.\n\n"
            "Example:\n    >>> helix.argsort(helix.tensor([3., 1., 2.])).tolist()\n    [1, 2, 0]"},
    {.name = "msort", .decompose = msort_parts, .flags = HX_PUBLIC, .params = PARAMS(TENSOR("input")),
     .doc = "Sorts along the first axis.\n\n"
            "Example:\n    >>> helix.msort(helix.tensor([3., 1., 2.])).tolist()\n    [1.0, 2.0, 3.0]"},
    {.name = "topk", .shape = topk_shape, .vjp = topk_vjp, .decompose = topk_parts, SELECTION,
     .flags = HX_PUBLIC | HX_NONDIFF_OUT1,
     .params = PARAMS(TENSOR("input"), REQ_INT("k"), INT("dim", -1), BOOL("largest", true), BOOL("sorted", true)),
     .doc = "The k largest (smallest) elements along an axis, in order, and their indices.\n\n"
            "NaN counts as largest; of equal elements the earlier ones are taken.\n\n"
            "Example:\n    >>> helix.topk(helix.tensor([3., 1., 2.]), 2).values.tolist()\n    [3.0, 2.0]"},
    {.name = "kthvalue", .shape = kthvalue_shape, .vjp = kthvalue_vjp, .decompose = kthvalue_parts, SELECTION,
     .flags = HX_PUBLIC | HX_NONDIFF_OUT1,
     .params = PARAMS(TENSOR("input"), REQ_INT("k"), INT("dim", -1), BOOL("keepdim", false)),
     .doc = "The k-th smallest element along an axis (the smallest is k = 1) and its index.\n\n"
            "Example:\n    >>> helix.kthvalue(helix.tensor([3., 1., 2.]), 2).values.item()\n    2.0"},
    {.name = "median", .shape = median_shape, .vjp = median_vjp, SELECTION,
     .flags = HX_PRIMITIVE | HX_INTERNAL_OP | HX_NONDIFF_OUT1,
     .params = PARAMS(TENSOR("input"), INT("dim", -1), BOOL("keepdim", false)),
     .doc = "The median along an axis (the lower of the two middle elements) and its index; NaN where there is one."},
    {.name = "searchsorted", .shape = search_shape, .flags = HX_PRIMITIVE | HX_FUNCTION | HX_NON_DIFF,
     .params = PARAMS(TENSOR("sorted_sequence"), TENSOR("input"), BOOL("out_int32", false, KW), BOOL("right", false),
                      STRING("side", "left", "left|right")),
     .doc = "Where each value would go in an ascending sequence so that it stays ascending.\n\n"
            "Before equal elements, or after them with right=True. sorted_sequence: one for all values, or one for each\n"
            "row of input. Returns int64 (int32 with out_int32).\n\n"
            "Example:\n    >>> helix.searchsorted(helix.tensor([1., 3., 5.]), helix.tensor([3., 4.])).tolist()\n    [1, 2]"},
    {.name = "bucketize", .decompose = bucketize_parts, .flags = HX_FUNCTION | HX_NON_DIFF,
     .params = PARAMS(TENSOR("input"), TENSOR("boundaries"), BOOL("out_int32", false, KW), BOOL("right", false)),
     .doc = "The number of the bucket between ascending boundaries that each value falls into.\n\n"
            "Example:\n    >>> helix.bucketize(helix.tensor([0., 2., 9.]), helix.tensor([1., 3.])).tolist()\n    [0, 1, 2]"},
    {.name = "isin", .decompose = isin_parts, .flags = HX_FUNCTION | HX_NON_DIFF,
     .params = PARAMS(TENSOR("elements"), TENSOR("test_elements"), BOOL("assume_unique", false, KW),
                      BOOL("invert", false)),
     .doc = "Is each element among the test elements?\n\n"
            "Example:\n    >>> helix.isin(helix.tensor([1, 2, 3]), helix.tensor([3, 1])).tolist()\n    [True, False, True]"},
    {.name = "group_rows", .outputs = "order, first", .shape = group_shape,
     .flags = HX_PRIMITIVE | HX_INTERNAL_OP | HX_NON_DIFF, .params = PARAMS(TENSOR("input"), BOOL("sorted", true)),
     .doc = "The order that sorts rows, and whether each row then differs from the one before."},
    {.name = "unique", .decompose = unique_parts, .flags = HX_PUBLIC | HX_VALUES,
     .params = PARAMS(TENSOR("input"), BOOL("sorted", true), BOOL("return_inverse", false),
                      BOOL("return_counts", false),
                      OPT_INT("dim")),
     .doc = "The different elements in ascending order, or the different slices along dim.\n\n"
            "return_inverse: also the number of each element's value. return_counts: also how often each occurs.\n"
            "Every NaN counts as different. The result's shape depends on values, so it cannot be traced.\n\n"
            "Example:\n    >>> helix.unique(helix.tensor([3, 1, 3])).tolist()\n    [1, 3]"},
    {.name = "unique_consecutive", .decompose = unique_consecutive_parts, .flags = HX_PUBLIC | HX_VALUES,
     .params = PARAMS(TENSOR("input"), BOOL("return_inverse", false), BOOL("return_counts", false), OPT_INT("dim")),
     .doc = "The elements (or slices along dim) without those equal to the one before.\n\n"
            "return_inverse and return_counts as in unique.\n\n"
            "Example:\n    >>> helix.unique_consecutive(helix.tensor([3, 3, 1, 3])).tolist()\n    [3, 1, 3]"},
    {.name = "bincount", .decompose = bincount_parts, .flags = HX_PUBLIC | HX_VALUES | HX_NON_DIFF,
     .params = PARAMS(TENSOR("input"), OPT_TENSOR("weights"), INT("minlength", 0)),
     .doc = "How often each number from 0 on occurs, or the sum of its weights.\n\n"
            "input: one dimension of integers, none negative.\n\n"
            "Example:\n    >>> helix.bincount(helix.tensor([0, 2, 2])).tolist()\n    [1, 0, 2]"},
    {.name = "histc", .decompose = histc_parts, .flags = HX_PUBLIC | HX_VALUES | HX_NON_DIFF,
     .params = PARAMS(TENSOR("input"), INT("bins", 100), NUMBER("min", 0), NUMBER("max", 0)),
     .doc = "How many elements fall into each of equal bins between min and max (of the data when both are equal).\n\n"
            "Example:\n    >>> helix.histc(helix.tensor([1., 2., 1.]), bins=2, min=0, max=4).tolist()\n    [2.0, 1.0]"},
    {0}};
