/* Views: other ways to look at the same memory. A rule turns the geometry of the input into that of the result; no
 * element moves. The rules of `slice`, `select`, `diagonal` and `unfold` also serve their gradients and `*_scatter`
 * forms (ops/place.c), which is why they work on any spec. */
#include "view.h"
#include <string.h>

hx_spec *hx_view_start(hx_call *c) {
    hx_spec *s = &c->spec[0];
    const hx_tensor *t = c->in[0];
    hx_spec_like(s, t);
    memcpy(s->strides, t->strides, t->ndim * sizeof *s->strides);
    s->offset = t->offset;
    return s;
}

static void remove_axis(hx_spec *s, int axis) {
    s->ndim--;
    memmove(s->shape + axis, s->shape + axis + 1, (size_t)(s->ndim - axis) * sizeof *s->shape);
    memmove(s->strides + axis, s->strides + axis + 1, (size_t)(s->ndim - axis) * sizeof *s->strides);
}

static hx_status insert_axis(hx_spec *s, int axis, int64_t size, int64_t stride) {
    if (s->ndim >= HX_MAX_RANK)
        return hx_fail(HX_E_SHAPE, HX1001_RANK, "the result would have %d dimensions, and a tensor can have %d",
                       s->ndim + 1, HX_MAX_RANK);
    memmove(s->shape + axis + 1, s->shape + axis, (size_t)(s->ndim - axis) * sizeof *s->shape);
    memmove(s->strides + axis + 1, s->strides + axis, (size_t)(s->ndim - axis) * sizeof *s->strides);
    s->shape[axis] = size;
    s->strides[axis] = stride;
    s->ndim++;
    return HX_OK;
}

/* An axis of a tensor that has at least one. */
static hx_status real_axis(int64_t axis, int ndim, const char *what, int *result) {
    if (ndim == 0) return hx_fail(HX_E_SHAPE, HX1001_RANK, "a 0-dimensional tensor has no axis to %s", what);
    return hx_axis(axis, ndim, result);
}

static hx_status outside(int64_t index, int axis, int64_t size) {
    if (size == 0)
        return hx_fail_about(FACTS(.argument = "index", .got = hx_text("%lld", (long long)index), .on_axis = true,
                                   .axis = axis), HX_E_INDEX, HX1301_INDEX,
                             "index %lld is outside axis %d, whose size is 0", (long long)index, axis);
    return hx_fail_about(FACTS("index", hx_text("%lld..%lld", (long long)-size, (long long)size - 1),
                               hx_text("%lld", (long long)index), true, axis), HX_E_INDEX, HX1301_INDEX,
                         "index %lld is outside axis %d, whose size is %lld (valid %lld..%lld)", (long long)index,
                         axis, (long long)size, (long long)-size, (long long)size - 1);
}

/* ---- shape changes ---- */

hx_status hx_infer_shape(hx_ints wanted, hx_ints whole, int64_t *shape) {
    int64_t numel;
    HX_TRY(hx_numel(whole.v, whole.n, &numel));
    if (wanted.n > HX_MAX_RANK)
        return hx_fail(HX_E_SHAPE, HX1001_RANK, "shape %d axes long; a tensor can have %d", wanted.n, HX_MAX_RANK);
    int64_t known = 1;
    int unknown = -1;
    for (int i = 0; i < wanted.n; i++) {
        shape[i] = wanted.v[i];
        if (shape[i] == -1 && unknown >= 0)
            return hx_fail_about(FACTS(.argument = "shape", .got = hx_shape_text(wanted.v, wanted.n)), HX_E_SHAPE,
                                 HX1005_RESHAPE, "only one size of shape %s can be -1",
                           hx_shape_text(wanted.v, wanted.n));
        if (shape[i] < -1)
            return hx_fail_about(FACTS("shape", ">= -1", hx_shape_text(wanted.v, wanted.n)), HX_E_SHAPE, HX1005_RESHAPE,
                                 "shape %s has a negative size", hx_shape_text(wanted.v, wanted.n));
        if (shape[i] == -1)
            unknown = i;
        else if (!hx_mul_ok(known, shape[i], &known))
            return hx_fail_about(FACTS("shape", .got = hx_shape_text(wanted.v, wanted.n)), HX_E_OVERFLOW, HX1401_OVERFLOW,
                                 "the product of %s does not fit in 64 bits", hx_shape_text(wanted.v, wanted.n));
    }
    if (unknown >= 0 && known > 0 && numel % known == 0) {
        shape[unknown] = numel / known;
        return HX_OK;
    }
    if (unknown >= 0 && known == 0)
        return hx_fail_about(FACTS("shape", .got = hx_shape_text(wanted.v, wanted.n)), HX_E_SHAPE, HX1005_RESHAPE,
                             "the size -1 in shape %s is not determined, because another size is 0",
                             hx_shape_text(wanted.v, wanted.n));
    if (unknown >= 0 || known != numel)
        return hx_fail_about(FACTS("shape", hx_text("%lld elements", (long long)numel),
                                   hx_shape_text(wanted.v, wanted.n)), HX_E_SHAPE, HX1005_RESHAPE,
                             "shape %s does not fit the %lld elements of %s", hx_shape_text(wanted.v, wanted.n),
                             (long long)numel, hx_shape_text(whole.v, whole.n));
    return HX_OK;
}

/* The spec of a view with the wanted shape; HX_NO_VIEW as its offset when only a copy has it. */
static hx_status lay_out(hx_call *c, hx_ints wanted) {
    const hx_tensor *t = c->in[0];
    hx_spec *s = &c->spec[0];
    HX_TRY(hx_infer_shape(wanted, SHAPE_OF(t), s->shape));
    s->dtype = t->dtype;
    s->ndim = (uint8_t)wanted.n;
    bool fits = hx_view_strides(t->shape, t->strides, t->ndim, s->shape, s->ndim, s->strides);
    s->offset = fits ? t->offset : HX_NO_VIEW;
    return HX_OK;
}

static hx_status laid_out(hx_call *c, hx_ints wanted) {
    const hx_tensor *t = c->in[0];
    hx_spec *s = &c->spec[0];
    HX_TRY(lay_out(c, wanted));
    if (s->offset == HX_NO_VIEW)
        return hx_fail(HX_E_SHAPE, HX1005_RESHAPE,
                       "shape %s cannot be laid over an input of shape %s with strides %s without a copy; use reshape",
                       hx_shape_text(s->shape, s->ndim), hx_shape_text(t->shape, t->ndim),
                       hx_shape_text(t->strides, t->ndim));
    return HX_OK;
}

static hx_status view_rule(hx_call *c) { return laid_out(c, hx_ints_of(&c->attr[0])); }
static hx_status view_as_parts(hx_call *c) {
    RESULT(0, CALL(view, c->in[0], SHAPE_OF(c->in[1])));
    return HX_OK;
}

static hx_status view_vjp(hx_vjp *v) {
    GIN(0, CALL(reshape, G, SHAPE_OF(&v->in_spec[0])));
    return HX_OK;
}

static hx_tensor *reshaped(hx_tensor *t, hx_ints wanted) {
    int64_t shape[HX_MAX_RANK], strides[HX_MAX_RANK];
    if (!t || hx_infer_shape(wanted, SHAPE_OF(t), shape)) return NULL;
    if (!hx_view_strides(t->shape, t->strides, t->ndim, shape, wanted.n, strides)) t = CALL(clone, t);
    return CALL(view, t, ((hx_ints){shape, wanted.n}));
}

static hx_status reshape_rule(hx_call *c) { return lay_out(c, hx_ints_of(&c->attr[0])); }

static hx_status reshape_parts(hx_call *c) {
    RESULT(0, CALL(view, CALL(clone, c->in[0]), ((hx_ints){c->spec[0].shape, c->spec[0].ndim})));
    return HX_OK;
}

static hx_status ravel_parts(hx_call *c) {
    RESULT(0, reshaped(c->in[0], HX_INTS(-1)));
    return HX_OK;
}

static hx_status reshape_as_parts(hx_call *c) {
    RESULT(0, reshaped(c->in[0], SHAPE_OF(c->in[1])));
    return HX_OK;
}

static hx_status flatten_parts(hx_call *c) {
    hx_tensor *t = c->in[0];
    int first, last, n = 0;
    HX_TRY(hx_axis(c->attr[0].v.i, t->ndim, &first));
    HX_TRY(hx_axis(c->attr[1].v.i, t->ndim, &last));
    if (first > last)
        return hx_fail(HX_E_INDEX, HX1302_AXIS, "start_dim %d comes after end_dim %d", first, last);
    int64_t shape[HX_MAX_RANK], flat = 1;
    for (int i = 0; i < first; i++) shape[n++] = t->shape[i];
    for (int i = first; i <= last && i < t->ndim; i++) flat *= t->shape[i];
    shape[n++] = flat;
    for (int i = last + 1; i < t->ndim; i++) shape[n++] = t->shape[i];
    RESULT(0, reshaped(t, (hx_ints){shape, n}));
    return HX_OK;
}

static hx_status unflatten_parts(hx_call *c) {
    hx_tensor *t = c->in[0];
    hx_ints sizes = hx_ints_of(&c->attr[1]);
    int axis, n = 0;
    HX_TRY(real_axis(c->attr[0].v.i, t->ndim, "unflatten", &axis));
    int64_t part[HX_MAX_RANK], shape[2 * HX_MAX_RANK];
    HX_TRY(hx_infer_shape(sizes, (hx_ints){&t->shape[axis], 1}, part));
    for (int i = 0; i < axis; i++) shape[n++] = t->shape[i];
    for (int i = 0; i < sizes.n; i++) shape[n++] = part[i];
    for (int i = axis + 1; i < t->ndim; i++) shape[n++] = t->shape[i];
    RESULT(0, CALL(view, t, ((hx_ints){shape, n})));
    return HX_OK;
}

static hx_status squeeze_rule(hx_call *c) {
    hx_spec *s = hx_view_start(c);
    uint32_t mask;
    hx_ints dims = hx_given(&c->attr[0]) ? hx_ints_of(&c->attr[0]) : (hx_ints){NULL, 0};
    HX_TRY(hx_axes(dims.v, dims.n, s->ndim, &mask));
    if (hx_given(&c->attr[0]) && dims.n == 0) return HX_OK;
    for (int i = s->ndim - 1; i >= 0; i--)
        if (mask >> i & 1 && s->shape[i] == 1) remove_axis(s, i);
    return HX_OK;
}

static hx_status unsqueeze_rule(hx_call *c) {
    hx_spec *s = hx_view_start(c);
    int axis;
    HX_TRY(hx_axis(c->attr[0].v.i, s->ndim + 1, &axis));
    c->attr[0].v.i = axis;
    return insert_axis(s, axis, 1, axis < s->ndim ? s->shape[axis] * s->strides[axis] : 1);
}

static hx_status stretched(hx_call *c, hx_ints wanted) {
    const hx_tensor *t = c->in[0];
    hx_spec *s = &c->spec[0];
    if (wanted.n < t->ndim || wanted.n > HX_MAX_RANK)
        return hx_fail_about(FACTS("shape", hx_text("%d dimensions or more", t->ndim),
                                   hx_shape_text(wanted.v, wanted.n)), HX_E_SHAPE, HX1003_BROADCAST,
                             "shape %s has fewer axes than the input %s, or too many",
                             hx_shape_text(wanted.v, wanted.n), hx_shape_text(t->shape, t->ndim));
    int lead = wanted.n - t->ndim;
    s->dtype = t->dtype;
    s->ndim = (uint8_t)wanted.n;
    s->offset = t->offset;
    for (int i = 0; i < wanted.n; i++) {
        int64_t have = i < lead ? 1 : t->shape[i - lead], want = wanted.v[i];
        if (want == -1 && i >= lead) want = have;
        if (want < 0 || (have != want && have != 1))
            return hx_fail_about(FACTS("shape", hx_text("%lld", (long long)have), hx_text("%lld", (long long)want),
                                       true, i), HX_E_SHAPE, HX1003_BROADCAST,
                                 "cannot stretch the input %s to %s: axis %d has %lld and is asked to have %lld; "
                                 "only axes of size 1 stretch", hx_shape_text(t->shape, t->ndim),
                                 hx_shape_text(wanted.v, wanted.n), i, (long long)have, (long long)want);
        s->shape[i] = want;
        s->strides[i] = i < lead || (have == 1 && want != 1) ? 0 : t->strides[i - lead];
    }
    return HX_OK;
}

static hx_status expand_rule(hx_call *c) { return stretched(c, hx_ints_of(&c->attr[0])); }
static hx_status expand_as_parts(hx_call *c) {
    RESULT(0, CALL(expand, c->in[0], SHAPE_OF(c->in[1])));
    return HX_OK;
}

/* The engine sums a gradient to the shape of a stretched input. */
static hx_status expand_vjp(hx_vjp *v) {
    GIN(0, G);
    return HX_OK;
}

/* ---- orders of axes ---- */

static void reorder(hx_call *c, const int *order) {
    const hx_tensor *t = c->in[0];
    hx_spec *s = hx_view_start(c);
    for (int i = 0; i < t->ndim; i++) {
        s->shape[i] = t->shape[order[i]];
        s->strides[i] = t->strides[order[i]];
    }
}

static hx_status permute_rule(hx_call *c) {
    const hx_tensor *t = c->in[0];
    hx_ints dims = hx_ints_of(&c->attr[0]);
    uint32_t mask = 0;
    int order[HX_MAX_RANK];
    if (dims.n != t->ndim)
        return hx_fail_about(FACTS("dims", hx_text("%d entries", t->ndim), hx_text("%d", dims.n)), HX_E_SHAPE,
                             HX1001_RANK, "dims has %d entries, the input %s has %d axes", dims.n,
                       hx_shape_text(t->shape, t->ndim), t->ndim);
    if (dims.n) HX_TRY(hx_axes(dims.v, dims.n, t->ndim, &mask));
    int64_t *room = hx_call_ints(c, dims.n);
    if (!room) return HX_E_VALUE;
    for (int i = 0; i < dims.n; i++) {
        HX_TRY(hx_axis(dims.v[i], t->ndim, &order[i]));
        room[i] = order[i];
    }
    c->attr[0].v.ints = room;
    reorder(c, order);
    return HX_OK;
}

static hx_status permute_vjp(hx_vjp *v) {
    hx_ints dims = hx_ints_of(ATTR(0));
    int64_t back[HX_MAX_RANK];
    for (int i = 0; i < dims.n; i++) back[dims.v[i]] = i;
    GIN(0, CALL(permute, G, ((hx_ints){back, dims.n})));
    return HX_OK;
}

static hx_status transpose_rule(hx_call *c) {
    const hx_tensor *t = c->in[0];
    int order[HX_MAX_RANK], a, b;
    HX_TRY(hx_axis(c->attr[0].v.i, t->ndim, &a));
    HX_TRY(hx_axis(c->attr[1].v.i, t->ndim, &b));
    for (int i = 0; i < t->ndim; i++) order[i] = i == a ? b : i == b ? a : i;
    reorder(c, order);
    return HX_OK;
}

static hx_status transpose_vjp(hx_vjp *v) {
    GIN(0, CALL(transpose, G, ATTR(0)->v.i, ATTR(1)->v.i));
    return HX_OK;
}

static hx_status t_rule(hx_call *c) {
    const hx_tensor *t = c->in[0];
    if (t->ndim > 2)
        return hx_fail_about(FACTS("input", "2 dimensions at most", hx_shape_text(t->shape, t->ndim)), HX_E_SHAPE,
                             HX1001_RANK, "input must have at most 2 dimensions, got shape %s. Use .mT to transpose the "
                             "last two axes.", hx_shape_text(t->shape, t->ndim));
    reorder(c, t->ndim == 2 ? (int[]){1, 0} : (int[]){0});
    return HX_OK;
}

static hx_status t_vjp(hx_vjp *v) {
    GIN(0, CALL(t, G));
    return HX_OK;
}

static hx_status movedim_rule(hx_call *c) {
    const hx_tensor *t = c->in[0];
    hx_ints from = hx_ints_of(&c->attr[0]), to = hx_ints_of(&c->attr[1]);
    int order[HX_MAX_RANK], source, place;
    uint32_t taken = 0, filled = 0;
    if (from.n != to.n)
        return hx_fail_about(FACTS("destination", hx_text("%d axes", from.n), hx_text("%d", to.n)), HX_E_VALUE,
                             HX1403_VALUE, "source names %d axes and destination %d", from.n, to.n);
    if (from.n) {
        HX_TRY(hx_axes(from.v, from.n, t->ndim, &taken));
        HX_TRY(hx_axes(to.v, to.n, t->ndim, &filled));
    }
    for (int i = 0; i < from.n; i++) {
        HX_TRY(hx_axis(from.v[i], t->ndim, &source));
        HX_TRY(hx_axis(to.v[i], t->ndim, &place));
        order[place] = source;
    }
    for (int i = 0, j = 0; i < t->ndim; i++) {
        if (filled >> i & 1) continue;
        while (taken >> j & 1) j++;
        order[i] = j++;
    }
    reorder(c, order);
    return HX_OK;
}

static hx_status movedim_vjp(hx_vjp *v) {
    GIN(0, CALL(movedim, G, ATTR(1), ATTR(0)));
    return HX_OK;
}

static hx_status flip_rule(hx_call *c) {
    hx_spec *s = hx_view_start(c);
    hx_ints dims = hx_ints_of(&c->attr[0]);
    uint32_t mask = 0;
    if (dims.n) HX_TRY(hx_axes(dims.v, dims.n, s->ndim, &mask));
    for (int i = 0; i < s->ndim; i++) {
        if (!(mask >> i & 1) || s->shape[i] < 2) continue;
        s->offset += (s->shape[i] - 1) * s->strides[i];
        s->strides[i] = -s->strides[i];
    }
    return HX_OK;
}

static hx_status flip_vjp(hx_vjp *v) {
    GIN(0, CALL(flip, G, ATTR(0)));
    return HX_OK;
}

static hx_status flip_one(hx_call *c, int axis) {
    if (c->in[0]->ndim <= axis)
        return hx_refuse_rank(c->in[0], "input", hx_text("have at least %d dimensions", axis + 1));
    RESULT(0, CALL(flip, c->in[0], HX_INTS(axis)));
    return HX_OK;
}
static hx_status fliplr_parts(hx_call *c) { return flip_one(c, 1); }
static hx_status flipud_parts(hx_call *c) { return flip_one(c, 0); }

/* ---- parts of an axis ---- */

/* Python's slice arithmetic. Afterwards start is a position, and end is none where the slice runs backwards
 * through position 0, so that the attributes mean the same when they are read again. */
hx_status hx_slice_spec(hx_call *c, hx_spec *s) {
    hx_attr *a = c->attr;
    int axis;
    HX_TRY(real_axis(a[0].v.i, s->ndim, "slice", &axis));
    int64_t n = s->shape[axis], step = a[3].v.i, length;
    if (step == 0) return hx_fail_about(FACTS("step", "not 0", "0"), HX_E_VALUE, HX1403_VALUE,
                                        "the step of a slice cannot be 0");
    if (step == INT64_MIN) step++; /* can be negated, and takes one element as well */
    int64_t lowest = step > 0 ? 0 : -1, highest = step > 0 ? n : n - 1;
    int64_t start = hx_int_or(&a[1], step > 0 ? 0 : n - 1), end = hx_int_or(&a[2], n);
    if (start < 0) start += n;
    start = start < lowest ? lowest : start > highest ? highest : start;
    if (!hx_given(&a[2]))
        end = step > 0 ? n : -1;
    else {
        if (end < 0) end += n;
        end = end < lowest ? lowest : end > highest ? highest : end;
    }
    if (step > 0)
        length = end > start ? (end - start - 1) / step + 1 : 0;
    else
        length = start > end ? (start - end - 1) / -step + 1 : 0;
    if (length == 0) start = end = 0;
    a[0].v.i = axis;
    a[1] = (hx_attr){.kind = HX_A_INT, .v.i = start};
    a[2] = end < 0 ? (hx_attr){.kind = HX_A_NONE} : (hx_attr){.kind = HX_A_INT, .v.i = end};
    s->shape[axis] = length;
    s->offset += start * s->strides[axis];
    if (length > 1) s->strides[axis] *= step;
    return HX_OK;
}

hx_status hx_select_spec(hx_call *c, hx_spec *s) {
    int axis;
    HX_TRY(real_axis(c->attr[0].v.i, s->ndim, "select from", &axis));
    int64_t index = c->attr[1].v.i, n = s->shape[axis];
    if (index < -n || index >= n) return outside(index, axis, n);
    if (index < 0) index += n;
    c->attr[0].v.i = axis;
    c->attr[1].v.i = index;
    s->offset += index * s->strides[axis];
    remove_axis(s, axis);
    return HX_OK;
}

hx_status hx_diagonal_spec(hx_call *c, hx_spec *s) {
    int64_t offset = c->attr[0].v.i;
    int a, b;
    if (s->ndim < 2)
        return hx_fail_about(FACTS("input", "2 dimensions or more", hx_shape_text(s->shape, s->ndim)), HX_E_SHAPE,
                             HX1001_RANK, "needs at least 2 dimensions, got shape %s",
                             hx_shape_text(s->shape, s->ndim));
    HX_TRY(hx_axis(c->attr[1].v.i, s->ndim, &a));
    HX_TRY(hx_axis(c->attr[2].v.i, s->ndim, &b));
    if (a == b) return hx_fail(HX_E_INDEX, HX1302_AXIS, "dim1 and dim2 are both axis %d", a);
    int64_t rows = s->shape[a], columns = s->shape[b], length = 0;
    if (offset >= 0 && offset < columns) length = rows < columns - offset ? rows : columns - offset;
    if (offset < 0 && offset > -rows) length = rows + offset < columns ? rows + offset : columns;
    if (length > 0) s->offset += offset >= 0 ? offset * s->strides[b] : -offset * s->strides[a];
    int64_t stride = (int64_t)((uint64_t)s->strides[a] + (uint64_t)s->strides[b]); /* may wrap where sizes are 1 */
    remove_axis(s, a > b ? a : b);
    remove_axis(s, a > b ? b : a);
    return insert_axis(s, s->ndim, length, stride);
}

hx_status hx_unfold_spec(hx_call *c, hx_spec *s) {
    int64_t size = c->attr[1].v.i, step = c->attr[2].v.i;
    int axis;
    HX_TRY(hx_axis(c->attr[0].v.i, s->ndim, &axis));
    int64_t n = s->ndim ? s->shape[axis] : 1, stride = s->ndim ? s->strides[axis] : 1;
    if (size < 0 || size > n)
        return hx_fail_about(FACTS("size", hx_text("0..%lld", (long long)n), hx_text("%lld", (long long)size), true,
                                   axis), HX_E_VALUE, HX1403_VALUE, "size is %lld, but axis %d has %lld elements",
                             (long long)size, axis, (long long)n);
    if (step <= 0) return hx_fail_about(FACTS("step", "1 or more", hx_text("%lld", (long long)step)), HX_E_VALUE,
                                        HX1403_VALUE, "step is %lld and must be positive", (long long)step);
    c->attr[0].v.i = axis;
    if (s->ndim) {
        s->shape[axis] = (n - size) / step + 1;
        if (s->shape[axis] > 1) s->strides[axis] *= step;
    }
    return insert_axis(s, s->ndim, size, stride);
}

static hx_status slice_rule(hx_call *c) { return hx_slice_spec(c, hx_view_start(c)); }
static hx_status select_rule(hx_call *c) { return hx_select_spec(c, hx_view_start(c)); }
static hx_status diagonal_rule(hx_call *c) { return hx_diagonal_spec(c, hx_view_start(c)); }
static hx_status unfold_rule(hx_call *c) { return hx_unfold_spec(c, hx_view_start(c)); }

static hx_status narrow_rule(hx_call *c) {
    hx_spec *s = hx_view_start(c);
    int64_t start = c->attr[1].v.i, length = c->attr[2].v.i, end;
    int axis;
    HX_TRY(real_axis(c->attr[0].v.i, s->ndim, "narrow", &axis));
    int64_t n = s->shape[axis];
    if (start < 0) start += n;
    if (start < 0 || length < 0 || !hx_add_ok(start, length, &end) || end > n)
        return hx_fail_about(FACTS(.argument = "length", .got = hx_text("%lld", (long long)length), .on_axis = true,
                                   .axis = axis), HX_E_INDEX, HX1301_INDEX,
                             "start %lld and length %lld reach outside axis %d, whose size is %lld",
                             (long long)c->attr[1].v.i, (long long)length, axis, (long long)n);
    c->attr[0].v.i = axis;
    c->attr[1].v.i = start;
    s->shape[axis] = length;
    s->offset += length ? start * s->strides[axis] : 0;
    return HX_OK;
}

/* Adds the gradient to its part of what the input's gradient has come to. Without this a loop over the positions of an
 * axis would make and add a whole tensor for each of them. */
static hx_status add_to_part(hx_vjp *v, hx_tensor *part) {
    if (!CALL_(add, part, G)) return hx_error_last()->code;
    v->gin[0] = v->into[0];
    return HX_OK;
}

static hx_status slice_vjp(hx_vjp *v) {
    if (v->into[0]) return add_to_part(v, CALL(slice, v->into[0], ATTR(0), ATTR(1), ATTR(2), ATTR(3)));
    GIN(0, CALL(slice_backward, G, ATTR(0), ATTR(1), ATTR(2), ATTR(3), SHAPE_OF(&v->in_spec[0])));
    return HX_OK;
}

static hx_status narrow_vjp(hx_vjp *v) {
    int64_t start = ATTR(1)->v.i, length = ATTR(2)->v.i;
    if (v->into[0]) return add_to_part(v, CALL(narrow, v->into[0], ATTR(0), start, length));
    GIN(0, CALL(slice_backward, G, ATTR(0), start, start + length, 1, SHAPE_OF(&v->in_spec[0])));
    return HX_OK;
}

static hx_status select_vjp(hx_vjp *v) {
    if (v->into[0]) return add_to_part(v, CALL(select, v->into[0], ATTR(0), ATTR(1)));
    GIN(0, CALL(select_backward, G, ATTR(0), ATTR(1), SHAPE_OF(&v->in_spec[0])));
    return HX_OK;
}

static hx_status diagonal_vjp(hx_vjp *v) {
    if (v->into[0]) return add_to_part(v, CALL(diagonal, v->into[0], ATTR(0), ATTR(1), ATTR(2)));
    GIN(0, CALL(diagonal_backward, G, ATTR(0), ATTR(1), ATTR(2), SHAPE_OF(&v->in_spec[0])));
    return HX_OK;
}

static hx_status unfold_vjp(hx_vjp *v) {
    GIN(0, CALL(unfold_backward, G, ATTR(0), ATTR(1), ATTR(2), SHAPE_OF(&v->in_spec[0])));
    return HX_OK;
}

/* ---- any geometry ---- */

static hx_status as_strided_rule(hx_call *c) {
    const hx_tensor *t = c->in[0];
    hx_ints shape = hx_ints_of(&c->attr[0]), stride = hx_ints_of(&c->attr[1]);
    hx_spec *s = &c->spec[0];
    if (shape.n != stride.n || shape.n > HX_MAX_RANK)
        return hx_fail_about(FACTS("stride", hx_text("%d values", shape.n), hx_shape_text(stride.v, stride.n)), HX_E_SHAPE,
                             HX1001_RANK, "shape %s and stride %s must have the same length, at most %d",
                       hx_shape_text(shape.v, shape.n), hx_shape_text(stride.v, stride.n), HX_MAX_RANK);
    int64_t offset = hx_int_or(&c->attr[2], t->offset), numel, low, high, end;
    HX_TRY(hx_numel(shape.v, shape.n, &numel));
    HX_TRY(hx_extent(shape.v, stride.v, shape.n, &low, &high));
    int64_t limit = t->storage ? (int64_t)t->storage->mem.nbytes / (int64_t)hx_dtype_size((hx_dtype)t->dtype) : INT64_MAX;
    if (offset < 0 || offset > limit || !hx_add_ok(high, offset, &end) || end > limit || low + offset < 0)
        return hx_fail_about(FACTS("size", .got = hx_shape_text(shape.v, shape.n)), HX_E_VALUE, HX1403_VALUE,
                       "shape %s with stride %s at storage_offset %lld reaches outside the %lld elements of the storage",
                       hx_shape_text(shape.v, shape.n), hx_shape_text(stride.v, stride.n), (long long)offset,
                       (long long)limit);
    c->attr[2] = (hx_attr){.kind = HX_A_INT, .v.i = offset};
    hx_spec_set(s, (hx_dtype)t->dtype, shape.v, shape.n);
    memcpy(s->strides, stride.v, (size_t)stride.n * sizeof *s->strides);
    s->offset = offset;
    return HX_OK;
}

static bool may_overlap(hx_ints shape, hx_ints stride) {
    for (int i = 0; i < shape.n; i++) {
        if (shape.v[i] < 2) continue;
        int64_t step = stride.v[i] < 0 ? -stride.v[i] : stride.v[i], reach = 0;
        for (int j = 0; j < shape.n; j++) {
            int64_t other = stride.v[j] < 0 ? -stride.v[j] : stride.v[j];
            if (j != i && shape.v[j] > 1 && (other < step || (other == step && j > i))) reach += (shape.v[j] - 1) * other;
        }
        if (reach >= step) return true;
    }
    return false;
}

/* The gradient of the whole extent of storage that the input and the result touch, seen as the input. */
static hx_status as_strided_vjp(hx_vjp *v) {
    const hx_spec *in = &v->in_spec[0];
    hx_ints shape = hx_ints_of(ATTR(0)), stride = hx_ints_of(ATTR(1)), in_stride = {in->strides, in->ndim};
    int64_t low, high, in_low, in_high, offset = ATTR(2)->v.i, in_offset = in->offset;
    HX_TRY(hx_extent(shape.v, stride.v, shape.n, &low, &high));
    HX_TRY(hx_extent(in->shape, in_stride.v, in->ndim, &in_low, &in_high));
    if (may_overlap(SHAPE_OF(in), in_stride))
        return hx_fail(HX_E_GRADIENT, HX1503_NO_GRAD,
                       "the gradient of an input whose elements share memory is not defined; clone the input first");
    int64_t first = low + offset < in_low + in_offset ? low + offset : in_low + in_offset;
    int64_t last = high + offset > in_high + in_offset ? high + offset : in_high + in_offset;
    hx_spec whole = {.dtype = v->out_spec[0].dtype, .ndim = 1, .shape = {last - first}};
    hx_tensor *zeros = hx_full_like_spec(&whole, 0, G->device), *sums;
    if (may_overlap(shape, stride)) {
        hx_tensor *places = CALL(as_strided, CALL(arange, last - first), shape, stride, offset - first);
        sums = CALL(index_put, zeros, G, ((hx_list){&places, 1}), true);
    } else
        sums = CALL(as_strided_scatter, zeros, G, shape, stride, offset - first);
    GIN(0, CALL(as_strided, sums, SHAPE_OF(in), in_stride, in_offset - first));
    return HX_OK;
}

static hx_status view_as_real_rule(hx_call *c) {
    HX_TRY(hx_require_dtype(c->in[0], "input", HX_SET_COMPLEX));
    hx_spec *s = hx_view_start(c);
    s->dtype = (uint8_t)hx_real_of((hx_dtype)s->dtype);
    s->offset *= 2;
    for (int i = 0; i < s->ndim; i++) s->strides[i] = (int64_t)((uint64_t)s->strides[i] * 2);
    return insert_axis(s, s->ndim, 2, 1);
}

static hx_status view_as_real_vjp(hx_vjp *v) {
    GIN(0, CALL(view_as_complex, CALL(clone, G)));
    return HX_OK;
}

static hx_status view_as_complex_rule(hx_call *c) {
    const hx_tensor *t = c->in[0];
    HX_TRY(hx_require_dtype(t, "input", HX_BIT(HX_F32) | HX_BIT(HX_F64)));
    bool fits = t->ndim && t->shape[t->ndim - 1] == 2;
    if (!fits)
        return hx_fail_about(FACTS("input", "(..., 2)", hx_shape_text(t->shape, t->ndim)), HX_E_SHAPE, HX1002_INNER,
                             "the last axis of input must hold the 2 parts of a number, got shape %s",
                             hx_shape_text(t->shape, t->ndim));
    hx_spec *s = hx_view_start(c);
    fits = s->offset % 2 == 0 && s->strides[--s->ndim] == 1;
    for (int i = 0; i < s->ndim; i++) fits = fits && (s->strides[i] % 2 == 0 || s->shape[i] < 2);
    if (!fits)
        return hx_fail(HX_E_VALUE, HX1403_VALUE,
                       "the two parts of a number must lie side by side in memory, and start at an even offset; call "
                       ".clone() on the input first");
    s->dtype = (uint8_t)hx_complex_of((hx_dtype)s->dtype);
    s->offset /= 2;
    for (int i = 0; i < s->ndim; i++) s->strides[i] /= 2;
    return HX_OK;
}

static hx_status view_as_complex_vjp(hx_vjp *v) {
    GIN(0, CALL(view_as_real, G));
    return HX_OK;
}

static hx_status misfit(const hx_tensor *t, hx_dtype to, const char *why) {
    return hx_fail(HX_E_SHAPE, HX1005_RESHAPE, "%s of shape %s and strides %s cannot be seen as %s: %s",
                   hx_dtype_name((hx_dtype)t->dtype), hx_shape_text(t->shape, t->ndim), hx_shape_text(t->strides, t->ndim),
                   hx_dtype_name(to), why);
}

/* Elements of another size: the last axis becomes longer or shorter. */
static hx_status resize_last(hx_call *c, hx_dtype to) {
    const hx_tensor *t = c->in[0];
    hx_spec *s = &c->spec[0];
    int64_t from_size = (int64_t)hx_dtype_size((hx_dtype)t->dtype), to_size = (int64_t)hx_dtype_size(to);
    int last = t->ndim - 1;
    if (last < 0) return misfit(t, to, "there is no axis to take up another size of elements");
    if (t->strides[last] != 1) return misfit(t, to, "the last axis must have stride 1; call .clone() on it first");
    if (from_size > to_size) {
        int64_t parts = from_size / to_size;
        bool fits = hx_mul_ok(s->shape[last], parts, &s->shape[last]) && hx_mul_ok(s->offset, parts, &s->offset);
        for (int i = 0; i < last; i++) fits = fits && hx_mul_ok(s->strides[i], parts, &s->strides[i]);
        return fits ? HX_OK : hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "the view does not fit in 64 bits");
    }
    int64_t parts = to_size / from_size;
    bool fits = s->offset % parts == 0;
    if (s->shape[last] % parts) return misfit(t, to, "the last axis does not hold whole elements");
    for (int i = 0; i < last; i++) fits = fits && s->strides[i] % parts == 0;
    if (!fits) return misfit(t, to, "elements would not start at multiples of their size; call .clone() on it first");
    s->shape[last] /= parts;
    s->offset /= parts;
    for (int i = 0; i < last; i++) s->strides[i] /= parts;
    return HX_OK;
}

static hx_status view_dtype_rule(hx_call *c) {
    const hx_tensor *t = c->in[0];
    hx_dtype to = (hx_dtype)c->attr[0].v.i;
    hx_spec *s = hx_view_start(c);
    s->dtype = (uint8_t)to;
    if (to == HX_BOOL && t->dtype != HX_BOOL)
        return hx_fail(HX_E_DTYPE, HX1101_DTYPE,
                       "memory of %s cannot be seen as bool, whose bytes are 0 or 1 only; use input != 0",
                       hx_dtype_name((hx_dtype)t->dtype));
    if (hx_dtype_size(to) != hx_dtype_size((hx_dtype)t->dtype)) HX_TRY(resize_last(c, to));
    if (t->data && (uintptr_t)t->data % hx_dtype_size(to))
        return misfit(t, to, "the memory is not aligned for it; call .clone() on it first");
    return HX_OK;
}

#define PART_OF(n, rule_, vjp_) .name = n, .shape = rule_, .vjp = vjp_, .flags = HX_PUBLIC | HX_VIEW | HX_ADDS
#define VIEW(n, rule_, vjp_) .name = n, .shape = rule_, .vjp = vjp_, .flags = HX_PUBLIC | HX_VIEW
#define PARTS(n, parts) .name = n, .decompose = parts, .flags = HX_PUBLIC

const hx_op hx_ops_view[] = {
    {VIEW("view", view_rule, view_vjp), .params = PARAMS(TENSOR("input"), VAR_INTS("shape")),
     .doc = "The same elements seen in another shape, without a copy.\n\n"
            "One size may be -1 and is then worked out. Fails with HX1005 when the counts differ, or when the memory "
            "layout allows no such view; `reshape` copies in that case. view(dtype) sees the same memory as elements of "
            "another dtype, without a gradient; where their size differs, the last axis grows or shrinks.\n\n"
            "Example:\n    >>> helix.arange(6).view(2, -1).tolist()\n    [[0, 1, 2], [3, 4, 5]]"},
    {.name = "view_dtype", .shape = view_dtype_rule, .flags = HX_VIEW | HX_NON_DIFF | HX_INTERNAL_OP,
     .params = PARAMS(TENSOR("input"), DTYPE("dtype")),
     .doc = "The same memory seen as elements of another dtype; where their size differs, along the last axis."},
    {VIEW("reshape", reshape_rule, view_vjp), .decompose = reshape_parts, .params = PARAMS(TENSOR("input"), VAR_INTS("shape")),
     .doc = "The same elements in another shape: a view where possible, else a copy.\n\n"
            "One size may be -1 and is then worked out.\n\n"
            "Example:\n    >>> helix.arange(6).reshape(3, 2).tolist()\n    [[0, 1], [2, 3], [4, 5]]"},
    {.name = "view_as", .decompose = view_as_parts, .flags = HX_METHOD | HX_VIEW,
     .params = PARAMS(TENSOR("input"), TENSOR("other")),
     .doc = "A view of the input in the shape of `other`.\n\n"
            "Example:\n    >>> helix.arange(4).view_as(helix.zeros(2, 2)).tolist()\n    [[0, 1], [2, 3]]"},
    {.name = "reshape_as", .decompose = reshape_as_parts, .flags = HX_METHOD,
     .params = PARAMS(TENSOR("input"), TENSOR("other")),
     .doc = "The input reshaped to the shape of `other`.\n\n"
            "Example:\n    >>> helix.arange(4).reshape_as(helix.zeros(2, 2)).tolist()\n    [[0, 1], [2, 3]]"},
    {PARTS("ravel", ravel_parts), .params = PARAMS(TENSOR("input")),
     .doc = "All elements in one axis, row by row: a view where possible.\n\n"
            "Example:\n    >>> helix.tensor([[1, 2], [3, 4]]).ravel().tolist()\n    [1, 2, 3, 4]"},
    {PARTS("flatten", flatten_parts), .params = PARAMS(TENSOR("input"), INT("start_dim", 0), INT("end_dim", -1)),
     .doc = "The axes from start_dim to end_dim merged into one: a view where possible.\n\n"
            "Example:\n    >>> helix.zeros(2, 3, 4).flatten(1).shape\n    (2, 12)"},
    {PARTS("unflatten", unflatten_parts), .params = PARAMS(TENSOR("input"), REQ_INT("dim"), REQ_INTS("sizes")),
     .doc = "One axis split into several of the given sizes, of which one may be -1.\n\n"
            "Example:\n    >>> helix.zeros(2, 12).unflatten(1, (3, -1)).shape\n    (2, 3, 4)"},
    {VIEW("squeeze", squeeze_rule, view_vjp), .params = PARAMS(TENSOR("input"), OPT_INTS("dim")),
     .doc = "A view without axes of size 1: all of them, or those in `dim`.\n\n"
            "An axis in `dim` of another size stays.\n\n"
            "Example:\n    >>> helix.zeros(1, 3, 1).squeeze(0).shape\n    (3, 1)"},
    {VIEW("unsqueeze", unsqueeze_rule, view_vjp), .params = PARAMS(TENSOR("input"), REQ_INT("dim")),
     .aliases = "expand_dims",
     .doc = "A view with a new axis of size 1 at `dim`.\n\n"
            "Example:\n    >>> helix.zeros(3).unsqueeze(-1).shape\n    (3, 1)"},
    {VIEW("expand", expand_rule, expand_vjp), .params = PARAMS(TENSOR("input"), VAR_INTS("shape")),
     .aliases = "broadcast_to",
     .doc = "A view in which axes of size 1 are stretched, without a copy.\n\n"
            "-1 keeps the size of an axis; new axes may be put in front. Elements share memory: clone before writing.\n\n"
            "Example:\n    >>> helix.tensor([[1], [2]]).expand(-1, 3).tolist()\n    [[1, 1, 1], [2, 2, 2]]"},
    {.name = "expand_as", .decompose = expand_as_parts, .flags = HX_METHOD | HX_VIEW,
     .params = PARAMS(TENSOR("input"), TENSOR("other")),
     .doc = "The input stretched to the shape of `other`.\n\n"
            "Example:\n    >>> helix.tensor([7]).expand_as(helix.zeros(3)).tolist()\n    [7, 7, 7]"},
    {VIEW("permute", permute_rule, permute_vjp), .params = PARAMS(TENSOR("input"), VAR_INTS("dims")),
     .aliases = "permute_dims",
     .doc = "A view with the axes in the order `dims`.\n\n"
            "Example:\n    >>> helix.zeros(2, 3, 4).permute(2, 0, 1).shape\n    (4, 2, 3)"},
    {VIEW("transpose", transpose_rule, transpose_vjp),
     .params = PARAMS(TENSOR("input"), REQ_INT("dim0"), REQ_INT("dim1")), .aliases = "swapaxes, swapdims",
     .doc = "A view with two axes exchanged.\n\n"
            "Example:\n    >>> helix.tensor([[1, 2], [3, 4]]).transpose(0, 1).tolist()\n    [[1, 3], [2, 4]]"},
    {VIEW("t", t_rule, t_vjp), .params = PARAMS(TENSOR("input")),
     .doc = "The transpose of a matrix, as a view; vectors and numbers are returned as they are.\n\n"
            "Example:\n    >>> helix.tensor([[1, 2], [3, 4]]).t().tolist()\n    [[1, 3], [2, 4]]"},
    {VIEW("movedim", movedim_rule, movedim_vjp),
     .params = PARAMS(TENSOR("input"), REQ_INTS("source"), REQ_INTS("destination")), .aliases = "moveaxis",
     .doc = "A view in which the axes `source` stand at `destination`; the others keep their order.\n\n"
            "Example:\n    >>> helix.zeros(2, 3, 4).movedim(0, -1).shape\n    (3, 4, 2)"},
    {VIEW("flip", flip_rule, flip_vjp), .params = PARAMS(TENSOR("input"), VAR_INTS("dims")),
     .doc = "A view with the order of the elements reversed along `dims`.\n\n"
            "Example:\n    >>> helix.tensor([1, 2, 3]).flip(0).tolist()\n    [3, 2, 1]"},
    {PARTS("fliplr", fliplr_parts), .params = PARAMS(TENSOR("input")),
     .doc = "A view with axis 1 reversed.\n\n"
            "Example:\n    >>> helix.tensor([[1, 2], [3, 4]]).fliplr().tolist()\n    [[2, 1], [4, 3]]"},
    {PARTS("flipud", flipud_parts), .params = PARAMS(TENSOR("input")),
     .doc = "A view with axis 0 reversed.\n\n"
            "Example:\n    >>> helix.tensor([[1, 2], [3, 4]]).flipud().tolist()\n    [[3, 4], [1, 2]]"},
    {PART_OF("narrow", narrow_rule, narrow_vjp),
     .params = PARAMS(TENSOR("input"), REQ_INT("dim"), REQ_INT("start"), REQ_INT("length")),
     .doc = "A view of `length` elements of an axis, from `start` on.\n\n"
            "Example:\n    >>> helix.arange(5).narrow(0, 1, 3).tolist()\n    [1, 2, 3]"},
    {PART_OF("select", select_rule, select_vjp), .params = PARAMS(TENSOR("input"), REQ_INT("dim"), REQ_INT("index")),
     .doc = "A view of one position of an axis; the axis goes.\n\n"
            "Fails with HX1301 when the index is outside the axis.\n\n"
            "Example:\n    >>> helix.tensor([[1, 2], [3, 4]]).select(1, 0).tolist()\n    [1, 3]"},
    {.name = "slice", .shape = slice_rule, .vjp = slice_vjp, .flags = HX_VIEW | HX_INTERNAL_OP | HX_ADDS,
     .params = PARAMS(TENSOR("input"), INT("dim", 0), OPT_INT("start"), OPT_INT("end"), INT("step", 1)),
     .doc = "A view of every step-th element of an axis; a negative step runs backwards."},
    {PART_OF("diagonal", diagonal_rule, diagonal_vjp),
     .params = PARAMS(TENSOR("input"), INT("offset", 0), INT("dim1", 0), INT("dim2", 1)),
     .doc = "A view of the diagonal of two axes, which becomes the last axis.\n\n"
            "A positive offset lies above the main diagonal.\n\n"
            "Example:\n    >>> helix.tensor([[1, 2], [3, 4]]).diagonal().tolist()\n    [1, 4]"},
    {.name = "unfold", .shape = unfold_rule, .vjp = unfold_vjp, .flags = HX_METHOD | HX_VIEW,
     .params = PARAMS(TENSOR("input"), REQ_INT("dimension"), REQ_INT("size"), REQ_INT("step")),
     .doc = "A view of all windows of `size` elements along an axis, `step` apart; the windows are the last axis.\n\n"
            "Example:\n    >>> helix.arange(5).unfold(0, 3, 1).tolist()\n    [[0, 1, 2], [1, 2, 3], [2, 3, 4]]"},
    {VIEW("as_strided", as_strided_rule, as_strided_vjp),
     .params = PARAMS(TENSOR("input"), REQ_INTS("shape"), REQ_INTS("stride"), OPT_INT("storage_offset")),
     .doc = "A view of the input's storage with any shape and stride, checked against its extent.\n\n"
            "storage_offset counts elements from the start of the storage; the default is the input's own.\n\n"
            "Example:\n    >>> helix.arange(6).as_strided((2, 2), (1, 2)).tolist()\n    [[0, 2], [1, 3]]"},
    {VIEW("view_as_real", view_as_real_rule, view_as_real_vjp), .params = PARAMS(TENSOR("input")),
     .doc = "A complex tensor seen as real numbers with a last axis of size 2.\n\n"
            "Example:\n    >>> helix.view_as_real(helix.tensor([1 + 2j])).tolist()\n    [[1.0, 2.0]]"},
    {VIEW("view_as_complex", view_as_complex_rule, view_as_complex_vjp), .params = PARAMS(TENSOR("input")),
     .doc = "Real numbers with a last axis of size 2 seen as complex numbers.\n\n"
            "Example:\n    >>> helix.view_as_complex(helix.tensor([[1.0, 2.0]])).tolist()\n    [(1+2j)]"},
    {0},
};
