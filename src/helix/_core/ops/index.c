/* Indexing with tensors: x[...] beyond ints and slices, and the ops that take index tensors along one axis.
 *
 * The engine of the square brackets:
 *
 *     index(input, indices)                                  read;  indices: list of tensors and holes
 *     index_put(input, values, indices, accumulate=False)    write; index_put_ is its in-place form
 *
 * The list goes along the axes of `input` from the left. A hole (None) keeps its axis whole, as do axes behind the
 * end of the list. An integer tensor of any integer dtype replaces one axis; all of them are broadcast together,
 * negative values count from the end. A bool tensor of rank k replaces k axes, whose sizes it must have, by the
 * positions where it is true; rank 0 replaces none and stands for an axis of one element or of none. The broadcast
 * axes stand where the first index was when all indices are neighbours, else in front: NumPy's rule. So whoever
 * parses a Python key hands in ints as 0-d index tensors when any index of the key is a tensor, turns slices and
 * new axes into views first, and leaves a hole for each axis that these made.
 *
 * `values` is broadcast to the result of the read and cast to the dtype of `input`. With accumulate, values of
 * repeated positions add up in the order of the index tensors, whatever the number of threads; without, the last
 * one stays. Every index is checked before anything is written. */
#include <math.h>
#include "view.h"
#include <string.h>
#include "../trace.h"

/* ---- index, index_put ---- */

static hx_status count_true(hx_tensor *mask, int64_t *count, hx_tensor **chunk_starts) {
    hx_tensor *made[2] = {NULL, NULL};
    int64_t chunks = mask->numel / HX_COUNT_CHUNK + 1;
    hx_scalar total;
    HX_TRY(hx_tensor_empty(mask->device, HX_I64, NULL, 0, &made[0]));
    hx_scope_own(made[0]);
    HX_TRY(hx_tensor_empty(mask->device, HX_I64, &chunks, 1, &made[1]));
    hx_scope_own(made[1]);
    HX_TRY(hx_run_kernel(HX_OPREF(nonzero_count), &mask, 1, NULL, 0, made, 2));
    HX_TRY(hx_tensor_item(made[0], &total));
    *count = total.v.i;
    if (chunk_starts) *chunk_starts = made[1];
    return HX_OK;
}

static hx_status count_true_once(hx_tensor *mask, int64_t *count) {
    hx_scope scope;
    hx_scope_enter(&scope);
    hx_status status = count_true(mask, count, NULL);
    hx_scope_leave(&scope);
    return status;
}

/* Index tensors of shapes that do not go together are an IndexError, as in NumPy. */
static hx_status together_with(int64_t *together, int *ndim, const int64_t *shape, int n) {
    int64_t before[HX_MAX_RANK];
    int rank = *ndim;
    memcpy(before, together, (size_t)rank * sizeof *before);
    if (hx_broadcast_into(together, ndim, shape, n) == HX_OK) return HX_OK;
    hx_error_clear();
    return hx_fail(HX_E_INDEX, HX1003_BROADCAST, "the index tensors cannot be stretched to one shape: %s and %s",
                   hx_shape_text(before, rank), hx_shape_text(shape, n));
}

static hx_status mask_fits(const hx_tensor *t, int axis, const hx_tensor *mask) {
    for (int i = 0; i < mask->ndim; i++)
        if (axis + i >= t->ndim || t->shape[axis + i] != mask->shape[i])
            return hx_fail(HX_E_INDEX, HX1303_INDEXING, "a mask of shape %s does not fit input %s from axis %d on",
                           hx_shape_text(mask->shape, mask->ndim), hx_shape_text(t->shape, t->ndim), axis);
    return HX_OK;
}

/* The shape that a read has. Masks are counted only when `count_masks`; else *known tells whether there were none. */
static hx_status indexed_shape(hx_tensor *t, hx_tensor **list, int n, bool count_masks, hx_spec *s, bool *known) {
    int64_t together[HX_MAX_RANK], kept[HX_MAX_RANK];
    int axis = 0, ndim = 0, n_kept = 0, before = 0, runs = 0;
    bool in_run = false;
    *known = true;
    for (int i = 0; i < n; i++) {
        hx_tensor *index = list[i];
        bool mask = index && index->dtype == HX_BOOL;
        if (!mask && axis >= t->ndim)
            return hx_fail(HX_E_INDEX, HX1303_INDEXING, "too many indices: the input %s has %d axes",
                           hx_shape_text(t->shape, t->ndim), t->ndim);
        if (!index) {
            kept[n_kept++] = t->shape[axis++];
            in_run = false;
            continue;
        }
        if (!in_run && runs++ == 0) before = n_kept;
        in_run = true;
        if (mask) {
            int64_t count = 1;
            HX_TRY(mask_fits(t, axis, index));
            if (!count_masks)
                *known = false;
            else if (hx_tracing())
                return hx_fail(HX_E_TRACE, HX1702_TRACE,
                               "the shape that a mask selects depends on its values, and a trace knows only shapes; use "
                               "where or masked_fill, which keep the shape");
            else
                HX_TRY(count_true_once(index, &count));
            HX_TRY(together_with(together, &ndim, &count, 1));
            axis += index->ndim;
        } else {
            if (!hx_is_integral((hx_dtype)index->dtype))
                return hx_fail_about(FACTS("index", "integer or bool", hx_dtype_name((hx_dtype)index->dtype)),
                                     HX_E_DTYPE, HX1101_DTYPE, "an index must be of an integer type or bool, got %s",
                               hx_tensor_text(index));
            HX_TRY(together_with(together, &ndim, index->shape, index->ndim));
            axis++;
        }
    }
    while (axis < t->ndim) kept[n_kept++] = t->shape[axis++];
    if (runs == 0) return hx_fail(HX_E_INDEX, HX1303_INDEXING, "at least one index tensor is needed");
    if (n_kept + ndim > HX_MAX_RANK)
        return hx_fail(HX_E_SHAPE, HX1001_RANK, "the result would have %d dimensions, and a tensor can have %d",
                       n_kept + ndim, HX_MAX_RANK);
    if (runs > 1) before = 0;
    s->dtype = t->dtype;
    s->ndim = (uint8_t)(n_kept + ndim);
    memcpy(s->shape, kept, (size_t)before * sizeof *kept);
    memcpy(s->shape + before, together, (size_t)ndim * sizeof *kept);
    memcpy(s->shape + before + ndim, kept + before, (size_t)(n_kept - before) * sizeof *kept);
    return HX_OK;
}

static hx_status index_rule(hx_call *c) {
    bool known;
    return indexed_shape(c->in[0], c->in + c->list_at, c->list_n, true, &c->spec[0], &known);
}

static hx_status values_fit(const hx_tensor *values, const hx_spec *s) {
    int64_t r[HX_MAX_RANK];
    int n = s->ndim;
    memcpy(r, s->shape, (size_t)n * sizeof *r);
    int extra = values->ndim > n ? values->ndim - n : 0;
    for (int i = 0; i < extra; i++)
        if (values->shape[i] != 1) n = -1;
    if (n >= 0 && hx_broadcast_into(r, &n, values->shape + extra, values->ndim - extra) == HX_OK &&
        !memcmp(r, s->shape, s->ndim * sizeof *r))
        return HX_OK;
    hx_error_clear();
    return hx_fail_about(FACTS("values", hx_shape_text(s->shape, s->ndim),
                               hx_shape_text(values->shape, values->ndim)), HX_E_SHAPE, HX1003_BROADCAST,
                         "values of shape %s cannot be stretched to %s, the shape that is written",
                         hx_shape_text(values->shape, values->ndim), hx_shape_text(s->shape, s->ndim));
}

static hx_status index_put_rule(hx_call *c) {
    hx_tensor *t = c->in[0];
    hx_spec region;
    bool known;
    HX_TRY(indexed_shape(t, c->in + c->list_at, c->list_n, false, &region, &known));
    if (known) HX_TRY(values_fit(c->in[1], &region));
    c->cast[1] = (int8_t)t->dtype;
    hx_spec_like(&c->spec[0], t);
    return HX_OK;
}

/* The saved index tensors; an empty list with an error pending when one was changed since. */
static hx_list saved_indices(hx_vjp *v) {
    for (int i = 0; i < v->list_n; i++) {
        hx_tensor *index = IN(v->list_at + i);
        if (!index && hx_error_pending()) return (hx_list){NULL, 0};
    }
    return (hx_list){v->in + v->list_at, v->list_n};
}

static hx_tensor *zeros_of(hx_vjp *v, int i) {
    hx_spec s = v->in_spec[i];
    s.dtype = G->dtype;
    return hx_full_like_spec(&s, 0, G->device);
}

static hx_status index_vjp(hx_vjp *v) {
    hx_list indices = saved_indices(v);
    if (!indices.v) return hx_error_last()->code;
    GIN(0, CALL_(index_put, v->into[0] ? v->into[0] : zeros_of(v, 0), G, indices, true));
    return HX_OK;
}

static hx_status index_put_vjp(hx_vjp *v) {
    hx_list indices = saved_indices(v);
    if (!indices.v) return hx_error_last()->code;
    GIN(0, ATTR(0)->v.i ? G : CALL(index_put, G, 0, indices));
    GIN(1, CALL(index, G, indices));
    return HX_OK;
}

/* ---- positions of values that are not zero ---- */

static hx_status argwhere_parts(hx_call *c) {
    hx_tensor *t = c->in[0], *starts, *places;
    int64_t shape[2] = {0, t->ndim};
    HX_TRY(count_true(t, &shape[0], &starts));
    HX_TRY(hx_tensor_empty(t->device, HX_I64, shape, 2, &places));
    hx_scope_own(places);
    HX_TRY(hx_run_kernel(HX_OPREF(argwhere), (hx_tensor *[]){t, starts}, 2, NULL, 0, &places, 1));
    c->out[0] = places;
    return HX_OK;
}

static hx_status nonzero_count_rule(hx_call *c) {
    int64_t chunks = c->in[0]->numel / HX_COUNT_CHUNK + 1;
    hx_spec_set(&c->spec[0], HX_I64, NULL, 0);
    hx_spec_set(&c->spec[1], HX_I64, &chunks, 1);
    return HX_OK;
}

/* ---- masks ---- */

static hx_status require_mask(const hx_tensor *mask) {
    if (mask->dtype == HX_BOOL) return HX_OK;
    return hx_fail_about(FACTS("mask", "bool", hx_dtype_name((hx_dtype)mask->dtype)), HX_E_DTYPE, HX1101_DTYPE,
                         "the mask must be bool, got %s", hx_tensor_text(mask));
}

static hx_status masked_fill_rule(hx_call *c) {
    const hx_tensor *t = c->in[0], *mask = c->in[1], *value = c->in[2];
    hx_spec *s = &c->spec[0];
    int ndim = 0;
    HX_TRY(require_mask(mask));
    if (value->ndim)
        return hx_fail(HX_E_SHAPE, HX1001_RANK, "value must be a number or a 0-dimensional tensor, got shape %s; use where",
                       hx_shape_text(value->shape, value->ndim));
    if (!hx_is_integral((hx_dtype)value->dtype) && !hx_can_cast((hx_dtype)value->dtype, (hx_dtype)t->dtype))
        return hx_fail_about(FACTS("value", hx_dtype_name((hx_dtype)t->dtype), hx_dtype_name((hx_dtype)value->dtype)),
                             HX_E_DTYPE, HX1102_CAST,
                             "a %s value cannot be stored in a %s tensor; convert the input first",
                             hx_dtype_name((hx_dtype)value->dtype), hx_dtype_name((hx_dtype)t->dtype));
    HX_TRY(hx_broadcast_into(s->shape, &ndim, t->shape, t->ndim));
    HX_TRY(hx_broadcast_into(s->shape, &ndim, mask->shape, mask->ndim));
    s->dtype = t->dtype;
    s->ndim = (uint8_t)ndim;
    c->cast[2] = (int8_t)t->dtype;
    return HX_OK;
}

static hx_status masked_fill_vjp(hx_vjp *v) {
    hx_tensor *mask = IN(1);
    GIN(0, CALL(masked_fill, G, mask, 0));
    GIN(2, CALL(masked_fill, G, CALL(logical_not, mask), 0));
    return HX_OK;
}

static hx_status masked_fill_parts(hx_call *c) {
    RESULT(0, CALL(where, c->in[1], c->in[2], c->in[0]));
    return HX_OK;
}

/* Input and mask in their common shape. */
static hx_status stretch(hx_tensor **t, hx_tensor **mask) {
    int64_t shape[HX_MAX_RANK];
    int ndim = 0;
    HX_TRY(require_mask(*mask));
    HX_TRY(hx_broadcast_into(shape, &ndim, (*t)->shape, (*t)->ndim));
    HX_TRY(hx_broadcast_into(shape, &ndim, (*mask)->shape, (*mask)->ndim));
    *t = CALL(expand, *t, ((hx_ints){shape, ndim}));
    *mask = CALL(expand, *mask, ((hx_ints){shape, ndim}));
    return *t && *mask ? HX_OK : hx_error_last()->code;
}

static hx_status masked_select_parts(hx_call *c) {
    hx_tensor *t = c->in[0], *mask = c->in[1];
    HX_TRY(stretch(&t, &mask));
    RESULT(0, CALL(index, t, ((hx_list){&mask, 1})));
    return HX_OK;
}

static hx_status masked_scatter_parts(hx_call *c) {
    hx_tensor *t = c->in[0], *mask = c->in[1], *source = c->in[2];
    int64_t count;
    HX_TRY(stretch(&t, &mask));
    if (source->dtype != t->dtype)
        return hx_fail_about(FACTS("source", hx_dtype_name((hx_dtype)t->dtype), hx_dtype_name((hx_dtype)source->dtype)),
                             HX_E_DTYPE, HX1101_DTYPE, "source is %s and the input %s; they must be of one dtype",
                       hx_dtype_name((hx_dtype)source->dtype), hx_dtype_name((hx_dtype)t->dtype));
    HX_TRY(count_true_once(mask, &count));
    if (source->numel < count)
        return hx_fail_about(FACTS("source", hx_text("%lld elements or more", (long long)count),
                                   hx_text("%lld", (long long)source->numel)), HX_E_SHAPE, HX1002_INNER,
                             "the mask is true at %lld places, and source has %lld elements", (long long)count,
                             (long long)source->numel);
    hx_tensor *values = CALL(narrow, CALL(reshape, source, HX_INTS(-1)), 0, 0, count);
    RESULT(0, CALL(index_put, t, values, ((hx_list){&mask, 1})));
    return HX_OK;
}

/* ---- one index along one axis ---- */

/* A list that indexes `axis` alone. */
static hx_list along(hx_tensor **room, int axis, hx_tensor *index) {
    for (int i = 0; i < axis; i++) room[i] = NULL;
    room[axis] = index;
    return (hx_list){room, axis + 1};
}

static hx_status axis_and_index(hx_call *c, int *axis) {
    const hx_tensor *t = c->in[0], *index = c->in[1];
    HX_TRY(hx_require_dtype(index, "index", HX_SET_INTEGER));
    if (index->ndim > 1)
        return hx_refuse_rank(index, "index", "have 1 dimension");
    HX_TRY(hx_axis(c->attr[0].v.i, t->ndim, axis));
    c->attr[0].v.i = *axis;
    return HX_OK;
}

static hx_status index_select_rule(hx_call *c) {
    int axis;
    HX_TRY(axis_and_index(c, &axis));
    hx_spec_like(&c->spec[0], c->in[0]);
    if (c->in[0]->ndim) c->spec[0].shape[axis] = c->in[1]->numel;
    return HX_OK;
}

static hx_status index_write_rule(hx_call *c) {
    const hx_tensor *t = c->in[0], *source = c->in[2];
    int axis;
    HX_TRY(axis_and_index(c, &axis));
    bool fits = source->ndim == t->ndim;
    for (int i = 0; i < t->ndim && fits; i++)
        fits = source->shape[i] == (i == axis ? c->in[1]->numel : t->shape[i]);
    if (!fits)
        return hx_fail_about(FACTS(.argument = "source", .got = hx_shape_text(source->shape, source->ndim),
                                   .on_axis = true, .axis = axis), HX_E_SHAPE, HX1002_INNER,
                       "source %s must have the shape of the input %s, with %lld along axis %d, the length of index",
                       hx_shape_text(source->shape, source->ndim), hx_shape_text(t->shape, t->ndim),
                       (long long)c->in[1]->numel, axis);
    c->cast[2] = (int8_t)t->dtype;
    hx_spec_like(&c->spec[0], t);
    return HX_OK;
}

static hx_status index_fill_rule(hx_call *c) {
    int axis;
    HX_TRY(axis_and_index(c, &axis));
    if (c->in[2]->ndim)
        return hx_refuse_rank(c->in[2], "value", "be a number or a 0-dimensional tensor");
    c->cast[2] = (int8_t)c->in[0]->dtype;
    hx_spec_like(&c->spec[0], c->in[0]);
    return HX_OK;
}

static hx_status index_select_vjp(hx_vjp *v) {
    GIN(0, CALL_(index_add, v->into[0] ? v->into[0] : zeros_of(v, 0), ATTR(0), IN(1), G));
    return HX_OK;
}

static hx_tensor *scaled(hx_tensor *t, const hx_attr *alpha) {
    if (alpha->kind == HX_A_FLOAT) return CALL(mul, t, alpha->v.f);
    return alpha->v.i == 1 ? t : CALL(mul, t, alpha->v.i);
}

static hx_status index_add_vjp(hx_vjp *v) {
    GIN(0, G);
    GIN(2, scaled(CALL(index_select, G, ATTR(0), IN(1)), ATTR(1)));
    return HX_OK;
}

static hx_status index_copy_vjp(hx_vjp *v) {
    GIN(0, CALL(index_fill, G, ATTR(0), IN(1), 0));
    GIN(2, CALL(index_select, G, ATTR(0), IN(1)));
    return HX_OK;
}

/* Each place that was filled counts once, however often it was named. */
static hx_status index_fill_vjp(hx_vjp *v) {
    if (v->need[0]) GIN(0, CALL(index_fill, G, ATTR(0), IN(1), 0));
    if (!v->need[2]) return HX_OK;
    hx_tensor *filled = CALL(ne, CALL(index_fill, CALL(zeros_like, G), ATTR(0), IN(1), 1), 0);
    GIN(2, CALL(sum, CALL(where, filled, G, 0.0)));
    return HX_OK;
}

static hx_status index_select_parts(hx_call *c) {
    hx_tensor *room[HX_MAX_RANK], *t = c->in[0];
    hx_tensor *flat = CALL(reshape, t->ndim ? t : CALL(unsqueeze, t, 0), HX_INTS(-1));
    hx_tensor *index = CALL(reshape, c->in[1], HX_INTS(-1));
    if (t->ndim)
        RESULT(0, CALL(index, t, along(room, (int)c->attr[0].v.i, index)));
    else
        RESULT(0, CALL(reshape, CALL(index, flat, along(room, 0, index)), ((hx_ints){NULL, 0})));
    return HX_OK;
}

static hx_tensor *put_along(hx_call *c, hx_tensor *values, bool accumulate) {
    hx_tensor *room[HX_MAX_RANK], *t = c->in[0], *index = CALL(reshape, c->in[1], HX_INTS(-1));
    if (t->ndim) return CALL(index_put, t, values, along(room, (int)c->attr[0].v.i, index), accumulate);
    return CALL(reshape, CALL(index_put, CALL(reshape, t, HX_INTS(1)), values, along(room, 0, index), accumulate),
                ((hx_ints){NULL, 0}));
}

static hx_status index_add_parts(hx_call *c) {
    RESULT(0, put_along(c, scaled(c->in[2], &c->attr[1]), true));
    return HX_OK;
}

static hx_status index_copy_parts(hx_call *c) {
    RESULT(0, put_along(c, c->in[2], false));
    return HX_OK;
}

/* ---- flat indices ---- */

static hx_status take_parts(hx_call *c) {
    RESULT(0, CALL(index, CALL(reshape, c->in[0], HX_INTS(-1)), ((hx_list){&c->in[1], 1})));
    return HX_OK;
}

static hx_status put_parts(hx_call *c) {
    hx_tensor *t = c->in[0], *index = c->in[1], *source = c->in[2];
    if (source->numel != index->numel)
        return hx_fail_about(FACTS("source", hx_text("%lld", (long long)index->numel),
                                   hx_text("%lld", (long long)source->numel)), HX_E_SHAPE, HX1002_INNER,
                             "index has %lld elements and source %lld", (long long)index->numel,
                             (long long)source->numel);
    hx_tensor *flat = CALL(reshape, t, HX_INTS(-1)), *values = CALL(reshape, source, SHAPE_OF(index));
    RESULT(0, CALL(reshape, CALL(index_put, flat, values, ((hx_list){&index, 1}), (bool)c->attr[0].v.i), SHAPE_OF(t)));
    return HX_OK;
}

/* ---- embedding ---- */

static hx_status embedding_rule(hx_call *c) {
    const hx_tensor *ids = c->in[0], *weight = c->in[1];
    hx_spec *s = &c->spec[0];
    HX_TRY(hx_require_dtype(ids, "input", HX_SET_INTEGER));
    HX_TRY(hx_require_rank(weight, "weight", 2));
    if (hx_given(&c->attr[0])) {
        int64_t rows = weight->shape[0], padding = c->attr[0].v.i;
        if (padding < -rows || padding >= rows)
            return hx_fail_about(FACTS("padding_idx", hx_text("%lld..%lld", (long long)-rows, (long long)(rows - 1)),
                                       hx_text("%lld", (long long)padding)), HX_E_VALUE, HX1403_VALUE,
                                 "padding_idx %lld is outside the %lld rows of weight", (long long)padding,
                                 (long long)rows);
        if (padding < 0) c->attr[0].v.i = padding + rows;
    }
    if (ids->ndim == HX_MAX_RANK) return hx_fail(HX_E_SHAPE, HX1001_RANK, "input has too many dimensions");
    hx_spec_like(s, ids);
    s->dtype = weight->dtype;
    s->shape[s->ndim++] = weight->shape[1];
    return HX_OK;
}

static hx_status embedding_vjp(hx_vjp *v) {
    if (v->into[1] && !hx_given(ATTR(0))) {
        hx_tensor *ids = IN(0);
        GIN(1, CALL_(index_put, v->into[1], G, ((hx_list){&ids, 1}), true));
        return HX_OK;
    }
    GIN(1, CALL(embedding_backward, G, IN(0), v->in_spec[1].shape[0], ATTR(0)));
    return HX_OK;
}

static hx_status embedding_parts(hx_call *c) {
    RESULT(0, CALL(index, c->in[1], ((hx_list){&c->in[0], 1})));
    return HX_OK;
}

static hx_status embedding_backward_rule(hx_call *c) {
    const hx_tensor *g = c->in[0];
    hx_spec_set(&c->spec[0], (hx_dtype)g->dtype, (int64_t[]){c->attr[0].v.i, g->shape[g->ndim - 1]}, 2);
    return HX_OK;
}

/* `rows` with zeros where ids are the padding. */
static hx_tensor *without_padding(hx_tensor *rows, hx_tensor *ids, const hx_attr *padding) {
    if (!hx_given(padding)) return rows;
    return CALL(masked_fill, rows, CALL(unsqueeze, CALL(eq, ids, padding->v.i), -1), 0);
}

static hx_status embedding_backward_vjp(hx_vjp *v) {
    GIN(0, without_padding(CALL(embedding, IN(1), G), IN(1), ATTR(1)));
    return HX_OK;
}

static hx_status embedding_backward_parts(hx_call *c) {
    hx_tensor *ids = c->in[1], *g = without_padding(c->in[0], ids, &c->attr[1]);
    RESULT(0, CALL(index_put, hx_full_like_spec(&c->spec[0], 0, c->device), g, ((hx_list){&ids, 1}), true));
    return HX_OK;
}

/* ---- bags of embeddings ---- */

static hx_status value_at(hx_tensor *t, int64_t i, int64_t *value) {
    hx_scalar s;
    hx_tensor *one = CALL(select, t, 0, i);
    if (!one) return hx_error_last()->code;
    HX_TRY(hx_tensor_item(one, &s));
    *value = s.v.i;
    return HX_OK;
}

/* Offsets begin at 0, ascend, and end inside the `count` ids (at their end, where the last is no bag's). */
static hx_status check_offsets(hx_tensor *offsets, int64_t count, bool closed) {
    int64_t first = 0, last = 0, least = 0, n = offsets->shape[0];
    if (hx_tracing() || !n) return HX_OK;
    HX_TRY(value_at(offsets, 0, &first));
    HX_TRY(value_at(offsets, -1, &last));
    if (n > 1) HX_TRY(value_at(CALL(reshape, CALL(amin, CALL(diff, offsets)), 1), 0, &least));
    if (first == 0 && least >= 0 && (closed ? last == count : last <= count)) return HX_OK;
    return hx_fail(HX_E_VALUE, HX1403_VALUE,
                   "offsets must begin with 0, ascend, and end %s %lld, the number of ids; they begin with %lld and end with "
                   "%lld",
                   closed ? "with" : "by", (long long)count, (long long)first, (long long)last);
}

/* The number of the bag that each id belongs to, and how many bags there are. */
static hx_status bags_of(hx_call *c, hx_tensor **bag, int64_t *bags) {
    hx_tensor *ids = c->in[0], *offsets = c->in[2];
    bool closed = c->attr[1].v.i;
    if (ids->ndim == 2 && !offsets) {
        int64_t width = ids->shape[1] ? ids->shape[1] : 1;
        *bags = ids->shape[0];
        *bag = CALL(floor_divide, CALL(arange, ids->numel), width);
        return *bag ? HX_OK : hx_error_last()->code;
    }
    if (ids->ndim != 1 || !offsets)
        return hx_fail_about(FACTS("input", offsets ? "1 dimension" : "2 dimensions", hx_shape_text(ids->shape, ids->ndim)),
                             HX_E_SHAPE, HX1001_RANK, "input has shape %s %s offsets; give rows of ids (bags, ids) alone, "
                             "or one list of ids with offsets", hx_shape_text(ids->shape, ids->ndim),
                             offsets ? "and" : "without");
    HX_TRY(hx_require_dtype(offsets, "offsets", HX_SET_INTEGER));
    HX_TRY(hx_require_rank(offsets, "offsets", 1));
    offsets = CALL(cast, offsets, HX_I64);
    *bags = c->in[2]->shape[0] - (closed ? 1 : 0);
    if (!offsets) return hx_error_last()->code;
    if (*bags < 0 || (*bags == 0 && ids->numel))
        return hx_fail(HX_E_VALUE, HX1403_VALUE, "offsets %s leave the ids without a bag",
                       hx_shape_text(offsets->shape, offsets->ndim));
    HX_TRY(check_offsets(offsets, ids->numel, closed));
    if (closed) offsets = CALL(narrow, offsets, 0, 0, *bags);
    *bag = CALL(sub, CALL(searchsorted, offsets, CALL(arange, ids->numel), false, true), 1);
    return *bag ? HX_OK : hx_error_last()->code;
}

/* in: input, weight, offsets, per_sample_weights; attr: mode, include_last_offset, padding_idx */
static hx_status embedding_bag_parts(hx_call *c) {
    hx_tensor *ids = c->in[0], *weight = c->in[1], *scale = c->in[3], *bag = NULL;
    const hx_attr *mode = &c->attr[0], *padding = &c->attr[2];
    int64_t bags = 0;
    HX_TRY(hx_require_dtype(ids, "input", HX_SET_INTEGER));
    HX_TRY(hx_require_rank(weight, "weight", 2));
    HX_TRY(bags_of(c, &bag, &bags));
    if (scale && !hx_str_is(mode, "sum"))
        return hx_fail(HX_E_VALUE, HX1403_VALUE, "per_sample_weights work with mode='sum' only");
    if (scale && (scale->ndim != ids->ndim || memcmp(scale->shape, ids->shape, ids->ndim * sizeof *ids->shape)))
        return hx_fail(HX_E_SHAPE, HX1002_INNER, "per_sample_weights has shape %s, input has shape %s; they must be equal",
                       hx_shape_text(scale->shape, scale->ndim), hx_shape_text(ids->shape, ids->ndim));
    hx_tensor *flat = CALL(reshape, ids, -1), *rows = CALL(embedding, flat, weight, padding);
    hx_tensor *counted = CALL(ones_like, bag);
    if (hx_given(padding)) {
        int64_t skipped = padding->v.i < 0 ? padding->v.i + weight->shape[0] : padding->v.i;
        counted = CALL(cast, CALL(ne, flat, skipped), HX_I64);
        hx_tensor *out = CALL(unsqueeze, CALL(eq, counted, 0), -1);
        rows = CALL(where, out, hx_str_is(mode, "max") ? -INFINITY : 0.0, rows);
    }
    if (scale) rows = CALL(mul, rows, CALL(reshape, scale, HX_INTS(-1, 1)));
    hx_tensor *zeros = CALL(full, HX_INTS(bags, weight->shape[1]), 0, weight->dtype);
    hx_tensor *count = CALL(unsqueeze, CALL(index_add, CALL(full, HX_INTS(bags), 0, HX_I64), 0, bag, counted), -1);
    if (hx_str_is(mode, "max")) {
        hx_tensor *place = CALL(expand, CALL(unsqueeze, bag, -1), HX_INTS(ids->numel, weight->shape[1]));
        hx_tensor *most = CALL(scatter_reduce, zeros, 0, place, rows, "amax", false);
        RESULT(0, CALL(where, CALL(eq, count, 0), 0.0, most));
        return HX_OK;
    }
    hx_tensor *sum = CALL(index_add, zeros, 0, bag, rows);
    RESULT(0, hx_str_is(mode, "sum") ? sum : CALL(div, sum, CALL(cast, CALL(clamp_min, count, 1), weight->dtype)));
    return HX_OK;
}

const hx_op hx_ops_index[] = {
    {.name = "index", .shape = index_rule, .vjp = index_vjp, .saves = SAVE_LIST,
     .flags = HX_PRIMITIVE | HX_INTERNAL_OP | HX_ADDS, .params = PARAMS(TENSOR("input"), TENSORS_HOLES("indices")),
     .doc = "Reads input[indices] for index tensors and masks, with NumPy's placement of the result axes."},
    {.name = "index_put", .shape = index_put_rule, .vjp = index_put_vjp, .saves = SAVE_LIST,
     .flags = HX_PRIMITIVE | HX_INTERNAL_OP | HX_INPLACE | HX_ALIAS_OK,
     .params = PARAMS(TENSOR("input"), TENSOR("values"), TENSORS_HOLES("indices"), BOOL("accumulate", false)),
     .doc = "The input with `values` written, or added with accumulate, at input[indices]."},
    {.name = "argwhere", .decompose = argwhere_parts, .flags = HX_PUBLIC | HX_VALUES | HX_NON_DIFF,
     .params = PARAMS(TENSOR("input")),
     .doc = "The positions of all elements that are not zero, one row each, in row-major order.\n\n"
            "Result: int64 of shape (n, input.ndim). Not traceable: its shape depends on values.\n\n"
            "Example:\n    >>> helix.tensor([[0, 1], [2, 0]]).argwhere().tolist()\n    [[0, 1], [1, 0]]"},
    {.name = "nonzero_count", .shape = nonzero_count_rule, .outputs = "total, chunk_starts",
     .flags = HX_PRIMITIVE | HX_NON_DIFF | HX_INTERNAL_OP, .params = PARAMS(TENSOR("input")),
     .doc = "How many elements are not zero, and how many lie before each chunk of 65536."},
    {.name = "masked_fill", .shape = masked_fill_rule, .vjp = masked_fill_vjp, .decompose = masked_fill_parts,
     .saves = SAVE_IN(1), .flags = HX_PUBLIC | HX_INPLACE | HX_ALIAS_OK,
     .params = PARAMS(TENSOR("input"), TENSOR("mask"), TENSOR("value")),
     .doc = "The input with `value` wherever the bool `mask` is true; the two are broadcast together.\n\n"
            "value is a number or a 0-dimensional tensor.\n\n"
            "Example:\n    >>> x = helix.tensor([1, 2, 3])\n    >>> x.masked_fill(x > 1, 0).tolist()\n    [1, 0, 0]"},
    {.name = "masked_select", .decompose = masked_select_parts, .flags = HX_PUBLIC | HX_VALUES,
     .params = PARAMS(TENSOR("input"), TENSOR("mask")),
     .doc = "The elements where `mask` is true, in one axis; input and mask are broadcast together.\n\n"
            "Example:\n    >>> x = helix.tensor([1, 2, 3])\n    >>> x.masked_select(x > 1).tolist()\n    [2, 3]"},
    {.name = "masked_scatter", .decompose = masked_scatter_parts,
     .flags = HX_PUBLIC | HX_INPLACE | HX_VALUES,
     .params = PARAMS(TENSOR("input"), TENSOR("mask"), TENSOR("source")),
     .doc = "The input with the first elements of `source`, in order, where `mask` is true.\n\n"
            "Example:\n    >>> mask = helix.tensor([True, False, True])\n"
            "    >>> helix.zeros(3).masked_scatter(mask, helix.tensor([1.0, 2.0])).tolist()\n    [1.0, 0.0, 2.0]"},
    {.name = "index_select", .shape = index_select_rule, .vjp = index_select_vjp, .decompose = index_select_parts,
     .saves = SAVE_IN(1), .flags = HX_PUBLIC | HX_ADDS, .params = PARAMS(TENSOR("input"), REQ_INT("dim"), TENSOR("index")),
     .doc = "The positions `index` of axis `dim`, as a copy.\n\n"
            "index: integers of any integer dtype in one axis. HX1301 for one outside the axis.\n\n"
            "Example:\n    >>> x = helix.tensor([[1, 2], [3, 4]])\n"
            "    >>> x.index_select(1, helix.tensor([1, 1])).tolist()\n    [[2, 2], [4, 4]]"},
    {.name = "index_add", .shape = index_write_rule, .vjp = index_add_vjp, .decompose = index_add_parts,
     .saves = SAVE_IN(1), .flags = HX_PUBLIC | HX_INPLACE | HX_ALIAS_OK,
     .params = PARAMS(TENSOR("input"), REQ_INT("dim"), TENSOR("index"), TENSOR("source"), NUMBER("alpha", 1, KW)),
     .doc = "The input with alpha times the slices of `source` added at the positions `index` of axis `dim`.\n\n"
            "Slices for one position are added in the order of index, so the result is the same on every run.\n\n"
            "Example:\n    >>> index = helix.tensor([0, 0, 2])\n"
            "    >>> helix.zeros(3).index_add(0, index, helix.tensor([1.0, 2.0, 3.0])).tolist()\n    [3.0, 0.0, 3.0]"},
    {.name = "index_copy", .shape = index_write_rule, .vjp = index_copy_vjp, .decompose = index_copy_parts,
     .saves = SAVE_IN(1), .flags = HX_PUBLIC | HX_INPLACE | HX_ALIAS_OK,
     .params = PARAMS(TENSOR("input"), REQ_INT("dim"), TENSOR("index"), TENSOR("source")),
     .doc = "The input with the slices of `source` written at the positions `index` of axis `dim`.\n\n"
            "The last slice stays where positions repeat; gradients are exact only when they do not.\n\n"
            "Example:\n    >>> index = helix.tensor([2, 0])\n"
            "    >>> helix.zeros(3).index_copy(0, index, helix.tensor([1.0, 2.0])).tolist()\n    [2.0, 0.0, 1.0]"},
    {.name = "index_fill", .shape = index_fill_rule, .vjp = index_fill_vjp, .decompose = index_copy_parts,
     .saves = SAVE_IN(1), .flags = HX_PUBLIC | HX_INPLACE | HX_ALIAS_OK,
     .params = PARAMS(TENSOR("input"), REQ_INT("dim"), TENSOR("index"), TENSOR("value")),
     .doc = "The input with `value` at the positions `index` of axis `dim`.\n\n"
            "Example:\n    >>> helix.zeros(3).index_fill(0, helix.tensor([1]), 7).tolist()\n    [0.0, 7.0, 0.0]"},
    {.name = "take", .decompose = take_parts, .flags = HX_PUBLIC, .params = PARAMS(TENSOR("input"), TENSOR("index")),
     .doc = "The elements at positions `index` of the flattened input, in the shape of index.\n\n"
            "Example:\n    >>> helix.tensor([[1, 2], [3, 4]]).take(helix.tensor([3, 0])).tolist()\n    [4, 1]"},
    {.name = "put", .decompose = put_parts, .flags = HX_METHOD | HX_INPLACE,
     .params = PARAMS(TENSOR("input"), TENSOR("index"), TENSOR("source"), BOOL("accumulate", false)),
     .doc = "The input with `source` written, or added, at positions `index` of the flattened input.\n\n"
            "Example:\n    >>> helix.zeros(3).put(helix.tensor([2]), helix.tensor([5.0])).tolist()\n    [0.0, 0.0, 5.0]"},
    {.name = "embedding", .shape = embedding_rule, .vjp = embedding_vjp, .decompose = embedding_parts,
     .saves = SAVE_IN(0), .flags = HX_NN | HX_ADDS,
     .params = PARAMS(TENSOR("input"), TENSOR("weight"), OPT_INT("padding_idx")),
     .doc = "The rows of `weight` for the integer ids in `input`.\n\n"
            "Shapes: input (*), weight (rows, features), result (*, features). padding_idx names a row that gets no "
            "gradient. HX1301 for an id outside 0..rows-1.\n\n"
            "Example:\n    >>> weight = helix.tensor([[1.0, 2.0], [3.0, 4.0]])\n"
            "    >>> helix.nn.functional.embedding(helix.tensor([1, 0]), weight).tolist()\n"
            "    [[3.0, 4.0], [1.0, 2.0]]"},
    {.name = "embedding_bag", .decompose = embedding_bag_parts, .flags = HX_NN,
     .params = PARAMS(TENSOR("input"), TENSOR("weight"), OPT_TENSOR("offsets"),
                      OPT_TENSOR("per_sample_weights"), STRING("mode", "mean", "mean|sum|max", KW),
                      BOOL("include_last_offset", false), OPT_INT("padding_idx")),
     .doc = "The sum, mean or largest values of the rows of `weight` for each bag of integer ids.\n\n"
            "input: rows of ids, one a bag (bags, ids); or all ids in one list, with the position in `offsets` where each\n"
            "bag begins (and one more for their end, with include_last_offset). per_sample_weights: a factor for each id,\n"
            "for sums. padding_idx: an id that does not count. An empty bag gives zeros; equal largest values share the\n"
            "gradient. Fails with HX1301 for ids that are no row, with HX1403 for offsets that do not ascend from 0.\n\n"
            "Example:\n    >>> weight = helix.tensor([[1.0, 2.0], [3.0, 4.0]])\n"
            "    >>> helix.nn.functional.embedding_bag(helix.tensor([[0, 1]]), weight).tolist()\n    [[2.0, 3.0]]"},
    {.name = "embedding_backward", .shape = embedding_backward_rule, .vjp = embedding_backward_vjp,
     .decompose = embedding_backward_parts, .saves = SAVE_IN(1), .flags = HX_INTERNAL_OP,
     .params = PARAMS(TENSOR("gradient"), TENSOR("ids"), REQ_INT("rows"), OPT_INT("padding_idx")),
     .doc = "Sums the gradient rows of each id, in the order of the ids."},
    {0},
};
