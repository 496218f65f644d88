/* gather, and its counterparts that write: each element of an index tensor names a position along one axis. */
#include <string.h>
#include "../trace.h"
#include "view.h"

static int64_t size_at(const hx_tensor *t, int axis) { return t->ndim ? t->shape[axis] : 1; }
static int rank_of(const hx_tensor *t) { return t->ndim ? t->ndim : 1; }

static hx_status too_large(const char *name, const hx_tensor *index, const char *other, const hx_tensor *t, int axis) {
    return hx_fail_about(FACTS(name, hx_shape_text(t->shape, t->ndim), hx_shape_text(index->shape, index->ndim), true,
                               axis), HX_E_SHAPE, HX1002_INNER, "%s %s is larger than %s %s in axis %d", name,
                   hx_shape_text(index->shape, index->ndim), other, hx_shape_text(t->shape, t->ndim), axis);
}

/* Index and input have one rank, and the index is not larger but along `axis`. */
static hx_status check_index(hx_call *c, int *axis) {
    const hx_tensor *t = c->in[0], *index = c->in[1];
    HX_TRY(hx_require_dtype(index, "index", HX_SET_INTEGER));
    HX_TRY(hx_axis(c->attr[0].v.i, t->ndim, axis));
    c->attr[0].v.i = *axis;
    if (index->numel == 0) return HX_OK;
    if (rank_of(index) != rank_of(t))
        return hx_fail_about(FACTS("index", hx_text("%d axes", t->ndim), hx_shape_text(index->shape, index->ndim)),
                             HX_E_SHAPE, HX1001_RANK, "index %s and input %s must have the same number of axes",
                       hx_shape_text(index->shape, index->ndim), hx_shape_text(t->shape, t->ndim));
    for (int i = 0; i < rank_of(t); i++)
        if (i != *axis && size_at(index, i) > size_at(t, i)) return too_large("index", index, "input", t, i);
    return HX_OK;
}

static hx_status check_source(hx_call *c, bool number_allowed) {
    const hx_tensor *index = c->in[1], *src = c->in[2];
    c->cast[2] = (int8_t)c->in[0]->dtype;
    hx_spec_like(&c->spec[0], c->in[0]);
    if (index->numel == 0 || (number_allowed && src->ndim == 0)) return HX_OK;
    if (rank_of(index) != rank_of(src))
        return hx_fail_about(FACTS("src", hx_text("%d axes", index->ndim), hx_shape_text(src->shape, src->ndim)),
                             HX_E_SHAPE, HX1001_RANK, "index %s and src %s must have the same number of axes",
                       hx_shape_text(index->shape, index->ndim), hx_shape_text(src->shape, src->ndim));
    for (int i = 0; i < rank_of(index); i++)
        if (size_at(index, i) > size_at(src, i)) return too_large("index", index, "src", src, i);
    return HX_OK;
}

static hx_tensor *zeros_like(const hx_spec *spec, hx_tensor *g) {
    hx_spec s = *spec;
    s.dtype = g->dtype;
    return hx_full_like_spec(&s, 0, g->device);
}

/* ---- gather ---- */

static hx_status gather_rule(hx_call *c) {
    int axis;
    HX_TRY(check_index(c, &axis));
    hx_spec_like(&c->spec[0], c->in[1]);
    c->spec[0].dtype = c->in[0]->dtype;
    return HX_OK;
}

static hx_status gather_vjp(hx_vjp *v) {
    GIN(0, CALL_(scatter_add, v->into[0] ? v->into[0] : zeros_like(&v->in_spec[0], G), ATTR(0), IN(1), G));
    return HX_OK;
}

/* A list for index and index_put: each position of `index`, with the index itself along `axis`. */
static hx_list grid(hx_tensor **room, hx_tensor *index, int axis) {
    for (int i = 0; i < index->ndim; i++) {
        int64_t shape[HX_MAX_RANK];
        for (int k = 0; k < index->ndim; k++) shape[k] = k == i ? index->shape[i] : 1;
        room[i] = i == axis ? index : CALL(reshape, CALL(arange, index->shape[i]), ((hx_ints){shape, index->ndim}));
    }
    return (hx_list){room, index->ndim};
}

static hx_tensor *with_axis(hx_tensor *t) { return t->ndim ? t : CALL(unsqueeze, t, 0); }

static hx_status gather_parts(hx_call *c) {
    hx_tensor *room[HX_MAX_RANK], *t = with_axis(c->in[0]), *index = with_axis(c->in[1]);
    if (!t || !index) return hx_error_last()->code;
    if (c->in[1]->numel == 0)
        RESULT(0, hx_full_like_spec(&c->spec[0], 0, c->device));
    else
        RESULT(0, CALL(reshape, CALL(index, t, grid(room, index, (int)c->attr[0].v.i)), SHAPE_OF(c->in[1])));
    return HX_OK;
}

static hx_status take_along_dim_parts(hx_call *c) {
    hx_tensor *t = c->in[0], *index = c->in[1];
    int axis;
    HX_TRY(hx_require_dtype(index, "indices", HX_SET_INTEGER));
    if (!hx_given(&c->attr[0])) {
        RESULT(0, CALL(gather, CALL(reshape, t, HX_INTS(-1)), 0, CALL(reshape, index, HX_INTS(-1))));
        return HX_OK;
    }
    HX_TRY(hx_axis(c->attr[0].v.i, t->ndim, &axis));
    if (t->ndim != index->ndim)
        return hx_fail_about(FACTS("indices", hx_text("%d axes", t->ndim), hx_shape_text(index->shape, index->ndim)),
                             HX_E_SHAPE, HX1001_RANK, "indices %s and input %s must have the same number of axes",
                       hx_shape_text(index->shape, index->ndim), hx_shape_text(t->shape, t->ndim));
    int64_t wide[HX_MAX_RANK], one = 1;
    int ndim = 0;
    for (int i = 0; i < t->ndim; i++) {
        int rank = 0;
        HX_TRY(hx_broadcast_into(&wide[i], &rank, i == axis ? &one : &t->shape[i], 1));
        HX_TRY(hx_broadcast_into(&wide[i], &rank, i == axis ? &one : &index->shape[i], 1));
        ndim++;
    }
    int64_t shape[HX_MAX_RANK];
    memcpy(shape, wide, sizeof shape);
    if (ndim) shape[axis] = t->shape[axis];
    if (ndim) wide[axis] = index->shape[axis];
    RESULT(0, CALL(gather, CALL(expand, t, ((hx_ints){shape, ndim})), axis, CALL(expand, index, ((hx_ints){wide, ndim}))));
    return HX_OK;
}

/* ---- scatter, scatter_add ---- */

static hx_status scatter_rule(hx_call *c) {
    int axis;
    HX_TRY(check_index(c, &axis));
    return check_source(c, true);
}

static hx_status scatter_add_rule(hx_call *c) {
    int axis;
    HX_TRY(check_index(c, &axis));
    return check_source(c, false);
}

/* The gradient of the part of src that the index covers; the rest was not used. */
static hx_tensor *source_gradient(hx_vjp *v, hx_tensor *g) {
    const hx_spec *src = &v->in_spec[2];
    int64_t pad[2 * HX_MAX_RANK] = {0};
    bool larger = false;
    if (!g || src->ndim != g->ndim || src->ndim == 0) return g;
    for (int i = 0; i < src->ndim; i++) {
        pad[2 * (src->ndim - 1 - i) + 1] = src->shape[i] - g->shape[i];
        larger = larger || src->shape[i] != g->shape[i];
    }
    return larger ? CALL(constant_pad, g, 0, ((hx_ints){pad, 2 * src->ndim})) : g;
}

static hx_status scatter_add_vjp(hx_vjp *v) {
    GIN(0, G);
    GIN(2, source_gradient(v, CALL(gather, G, ATTR(0), IN(1))));
    return HX_OK;
}

static hx_status scatter_vjp(hx_vjp *v) {
    if (hx_str_is(ATTR(1), "multiply"))
        return hx_fail(HX_E_GRADIENT, HX1503_NO_GRAD,
                       "reduce='multiply' is not differentiable; use scatter_reduce(..., reduce='prod')");
    if (hx_str_is(ATTR(1), "add")) return scatter_add_vjp(v);
    GIN(0, CALL(scatter, G, ATTR(0), IN(1), 0));
    GIN(2, source_gradient(v, CALL(gather, G, ATTR(0), IN(1))));
    return HX_OK;
}

/* The part of src that the index covers. */
static hx_tensor *covered(hx_tensor *src, hx_tensor *index) {
    for (int i = 0; src && index && i < src->ndim; i++)
        if (src->shape[i] != index->shape[i]) src = CALL(narrow, src, i, 0, index->shape[i]);
    return src;
}

static hx_status scatter_parts(hx_call *c) {
    hx_tensor *room[HX_MAX_RANK], *t = with_axis(c->in[0]), *index = with_axis(c->in[1]);
    hx_tensor *src = covered(c->in[2]->ndim ? c->in[2] : with_axis(c->in[2]), c->in[2]->ndim ? index : NULL);
    if (!t || !index || !src) return hx_error_last()->code;
    if (c->in[1]->numel == 0)
        RESULT(0, CALL(clone, c->in[0]));
    else if (hx_str_is(&c->attr[1], "multiply"))
        RESULT(0, CALL(scatter_reduce, c->in[0], &c->attr[0], c->in[1],
                       c->in[2]->ndim ? c->in[2] : CALL(expand, c->in[2], SHAPE_OF(c->in[1])), "prod"));
    else
        RESULT(0, CALL(reshape, CALL(index_put, t, src, grid(room, index, (int)c->attr[0].v.i), hx_str_is(&c->attr[1], "add")),
                       SHAPE_OF(c->in[0])));
    return HX_OK;
}

static hx_status scatter_add_parts(hx_call *c) {
    RESULT(0, CALL(scatter_reduce, c->in[0], &c->attr[0], c->in[1], c->in[2], "sum"));
    return HX_OK;
}

/* ---- scatter_reduce ---- */

static hx_tensor *number_as(hx_tensor *t, hx_tensor *like) { return like ? CALL(cast, t, (int)like->dtype) : NULL; }

/* Sums at each place what the index sends there, and reads the sums back in the shape of the index. */
static hx_tensor *sum_there(hx_tensor *start, const hx_attr *dim, hx_tensor *index, hx_tensor *t) {
    return CALL(scatter_add, start, dim, index, t);
}

static hx_status mean_vjp(hx_vjp *v) {
    hx_tensor *index = IN(1);
    hx_spec ones = {.dtype = G->dtype, .ndim = index ? index->ndim : 0};
    if (!index) return hx_error_last()->code;
    memcpy(ones.shape, index->shape, sizeof ones.shape);
    hx_tensor *start = ATTR(2)->v.i ? CALL(add, zeros_like(&v->in_spec[0], G), 1) : zeros_like(&v->in_spec[0], G);
    hx_tensor *count = sum_there(start, ATTR(0), index, hx_full_like_spec(&ones, 1, G->device));
    hx_tensor *g = CALL(div, G, CALL(clamp_min, count, 1));
    GIN(0, ATTR(2)->v.i ? g : CALL(scatter, g, ATTR(0), index, 0));
    GIN(2, source_gradient(v, CALL(gather, g, ATTR(0), index)));
    return HX_OK;
}

/* Equal extremes share the gradient. */
static hx_status extreme_vjp(hx_vjp *v) {
    hx_tensor *in = IN(0), *index = IN(1), *src = covered(IN(2), index), *out = OUT(0);
    hx_tensor *from_src = number_as(CALL(eq, src, CALL(gather, out, ATTR(0), index)), G);
    hx_tensor *from_in = number_as(CALL(eq, in, out), G);
    if (!ATTR(2)->v.i) from_in = CALL(scatter, from_in, ATTR(0), index, 0);
    hx_tensor *sharers = sum_there(from_in, ATTR(0), index, from_src);
    hx_tensor *g = CALL(div, G, CALL(clamp_min, sharers, 1));
    GIN(0, CALL(mul, g, ATTR(2)->v.i ? from_in : number_as(CALL(eq, in, out), G)));
    if (v->need[0] && !ATTR(2)->v.i) GIN(0, CALL(scatter, v->gin[0], ATTR(0), index, 0));
    GIN(2, source_gradient(v, CALL(mul, CALL(gather, g, ATTR(0), index), from_src)));
    return HX_OK;
}

/* The product of the other factors: result / factor, and where a factor is zero the product without it. */
static hx_status product_vjp(hx_vjp *v) {
    hx_tensor *in = IN(0), *index = IN(1), *src = covered(IN(2), index), *out = OUT(0);
    bool self = ATTR(2)->v.i;
    if (v->need[0]) {
        hx_tensor *safe = CALL(masked_fill, in, CALL(eq, in, 0), 1);
        hx_tensor *others = CALL(div, CALL(scatter_reduce, safe, ATTR(0), index, src, "prod", self), safe);
        hx_tensor *g = CALL(mul, G, others);
        GIN(0, self ? g : CALL(scatter, g, ATTR(0), index, 0));
    }
    if (!v->need[2]) return HX_OK;
    hx_tensor *zero = CALL(eq, src, 0);
    hx_tensor *zeros = CALL(gather, sum_there(zeros_like(&v->in_spec[0], G), ATTR(0), index, number_as(zero, G)), ATTR(0), index);
    hx_tensor *single = CALL(logical_and, zero, CALL(eq, zeros, 1));
    hx_tensor *without = CALL(scatter_reduce, in, ATTR(0), index, CALL(masked_fill, src, single, 1), "prod", self);
    hx_tensor *at_zero = CALL(gather, CALL(mul, G, without), ATTR(0), index);
    hx_tensor *elsewhere = CALL(div, CALL(gather, CALL(mul, G, out), ATTR(0), index), CALL(masked_fill, src, zero, 1));
    GIN(2, source_gradient(v, CALL(where, single, at_zero, elsewhere)));
    return HX_OK;
}

static hx_status scatter_reduce_vjp(hx_vjp *v) {
    const hx_attr *reduce = ATTR(1);
    if (hx_str_is(reduce, "mean")) return mean_vjp(v);
    if (hx_str_is(reduce, "prod")) return product_vjp(v);
    if (!hx_str_is(reduce, "sum")) return extreme_vjp(v);
    GIN(0, ATTR(2)->v.i ? G : CALL(scatter, G, ATTR(0), IN(1), 0));
    GIN(2, source_gradient(v, CALL(gather, G, ATTR(0), IN(1))));
    return HX_OK;
}

static hx_status scatter_reduce_rule(hx_call *c) {
    HX_TRY(scatter_add_rule(c));
    if (hx_is_complex((hx_dtype)c->in[0]->dtype) && c->attr[1].v.str[0] == 'a')
        return hx_fail_about(FACTS("input", "a type with an order", hx_dtype_name((hx_dtype)c->in[0]->dtype)), HX_E_DTYPE,
                             HX1101_DTYPE, "complex numbers have no order: input is %s", hx_tensor_text(c->in[0]));
    return HX_OK;
}

/* ---- one_hot ---- */

static hx_status one_hot_parts(hx_call *c) {
    hx_tensor *t = c->in[0];
    int64_t classes = c->attr[0].v.i;
    HX_TRY(hx_require_dtype(t, "input", HX_SET_INTEGER));
    if (classes < -1) return hx_fail(HX_E_VALUE, HX1403_VALUE, "num_classes is %lld", (long long)classes);
    if (classes == -1 && t->numel == 0)
        return hx_fail(HX_E_VALUE, HX1404_EMPTY, "num_classes is needed, because the input has no elements");
    if (t->numel && !hx_tracing()) {
        hx_tensor *low = CALL(cast, CALL(amin, t), HX_I64), *high = CALL(cast, CALL(amax, t), HX_I64);
        hx_scalar least, most;
        if (!low || !high) return hx_error_last()->code;
        HX_TRY(hx_tensor_item(low, &least));
        HX_TRY(hx_tensor_item(high, &most));
        if (classes == -1) classes = most.v.i + 1;
        if (least.v.i < 0 || most.v.i >= classes)
            return hx_fail_about(FACTS("input", hx_text("0..%lld", (long long)classes - 1),
                                       hx_text("%lld", (long long)(least.v.i < 0 ? least.v.i : most.v.i))),
                                 HX_E_INDEX, HX1301_INDEX, "class %lld is outside the %lld classes (valid 0..%lld)",
                                 (long long)(least.v.i < 0 ? least.v.i : most.v.i), (long long)classes,
                                 (long long)classes - 1);
    }
    if (classes == -1) return hx_fail(HX_E_TRACE, HX1702_TRACE, "num_classes is needed while only shapes are known");
    RESULT(0, CALL(cast, CALL(eq, CALL(unsqueeze, t, -1), CALL(arange, classes)), HX_I64));
    return HX_OK;
}

const hx_op hx_ops_scatter[] = {
    {.name = "gather", .shape = gather_rule, .vjp = gather_vjp, .decompose = gather_parts, .saves = SAVE_IN(1),
     .flags = HX_PUBLIC | HX_ADDS,
     .params = PARAMS(TENSOR("input"), REQ_INT("dim"), TENSOR("index")),
     .doc = "Takes for each element of `index` the element at that position along axis `dim`.\n\n"
            "result[i, j] = input[index[i, j], j] for dim 0. index has as many axes as the input, and no other axis is "
            "larger. HX1301 for an index outside the axis; negative ones count from the end.\n\n"
            "Example:\n    >>> x = helix.tensor([[1, 2], [3, 4]])\n"
            "    >>> x.gather(1, helix.tensor([[0], [1]])).tolist()\n    [[1], [4]]"},
    {.name = "take_along_dim", .decompose = take_along_dim_parts, .flags = HX_PUBLIC,
     .aliases = "take_along_axis", .params = PARAMS(TENSOR("input"), TENSOR("indices"), OPT_INT("dim")),
     .doc = "gather, after input and indices are broadcast in all axes but `dim`; without dim both are flattened.\n\n"
            "Example:\n    >>> x = helix.tensor([[1, 2], [3, 4]])\n"
            "    >>> x.take_along_dim(helix.tensor([[1]]), 1).tolist()\n    [[2], [4]]"},
    {.name = "scatter", .shape = scatter_rule, .vjp = scatter_vjp, .decompose = scatter_parts, .saves = SAVE_IN(1),
     .flags = HX_PUBLIC | HX_INPLACE | HX_ALIAS_OK,
     .params = PARAMS(TENSOR("input"), REQ_INT("dim"), TENSOR("index"), TENSOR("src"),
                      STRING("reduce", "none", "none|add|multiply", KW)),
     .doc = "The input with the elements of `src`, a tensor or a number, written where `index` says along axis `dim`.\n\n"
            "result[index[i, j], j] = src[i, j] for dim 0; the last of several elements for one place stays. reduce adds "
            "to or multiplies what is there.\n\n"
            "Example:\n    >>> index = helix.tensor([[0], [1]])\n"
            "    >>> helix.zeros(2, 2).scatter(1, index, 1).tolist()\n    [[1.0, 0.0], [0.0, 1.0]]"},
    {.name = "scatter_add", .shape = scatter_add_rule, .vjp = scatter_add_vjp, .decompose = scatter_add_parts,
     .saves = SAVE_IN(1), .flags = HX_PUBLIC | HX_INPLACE | HX_ALIAS_OK,
     .params = PARAMS(TENSOR("input"), REQ_INT("dim"), TENSOR("index"), TENSOR("src")),
     .doc = "The input with the elements of `src` added where `index` says along axis `dim`.\n\n"
            "Elements for one place are added in their order, so the result is the same on every run.\n\n"
            "Example:\n    >>> index = helix.tensor([0, 0, 1])\n"
            "    >>> helix.zeros(2).scatter_add(0, index, helix.tensor([1.0, 2.0, 3.0])).tolist()\n    [3.0, 3.0]"},
    {.name = "scatter_reduce", .shape = scatter_reduce_rule, .vjp = scatter_reduce_vjp,
     .saves = SAVE_IN(0) | SAVE_IN(1) | SAVE_IN(2) | SAVE_OUT(0),
     .flags = HX_PRIMITIVE | HX_PUBLIC | HX_INPLACE | HX_ALIAS_OK,
     .params = PARAMS(TENSOR("input"), REQ_INT("dim"), TENSOR("index"), TENSOR("src"),
                      STRING("reduce", NULL, "sum|prod|mean|amax|amin", .required = true), BOOL("include_self", true)),
     .doc = "Reduces the elements of `src` that `index` sends to one place along axis `dim`.\n\n"
            "reduce: sum, prod, mean, amax or amin; include_self counts the input's own element too. Places without an "
            "element keep the input's. Equal extremes share the gradient.\n\n"
            "Example:\n    >>> index = helix.tensor([0, 0, 1])\n"
            "    >>> helix.zeros(2).scatter_reduce(0, index, helix.tensor([1.0, 2.0, 3.0]), 'amax').tolist()\n"
            "    [2.0, 3.0]"},
    {.name = "one_hot", .decompose = one_hot_parts, .flags = HX_NN | HX_NON_DIFF,
     .params = PARAMS(TENSOR("input"), INT("num_classes", -1)),
     .doc = "Class numbers as rows of zeros with a one, in a new last axis of size num_classes.\n\n"
            "num_classes -1 means the largest class number plus one. Result: int64.\n\n"
            "Example:\n    >>> helix.nn.functional.one_hot(helix.tensor([0, 2])).tolist()\n    [[1, 0, 0], [0, 0, 1]]"},
    {0},
};
