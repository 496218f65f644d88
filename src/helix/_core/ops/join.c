/* Joining, repeating and padding tensors, and the triangles of matrices. */
#include <string.h>
#include "view.h"

/* ---- cat, stack ---- */

static hx_status none_given(void) { return hx_fail_about(FACTS("tensors", "one tensor or more", "[]"), HX_E_VALUE,
                                                         HX1403_VALUE, "the list of tensors is empty"); }

static bool left_out(const hx_tensor *t, int ndim) { return t->ndim == 1 && t->shape[0] == 0 && ndim != 1; }

/* Where shapes differ in one axis alone, they could be joined along it. */
static const char *along(const hx_tensor *a, const hx_tensor *b) {
    int at = -1, count = 0;
    for (int i = 0; a->ndim == b->ndim && i < a->ndim; i++)
        if (a->shape[i] != b->shape[i]) at = i, count++;
    return count == 1 ? hx_text(". cat along axis %d takes them", at) : "";
}

static hx_status differs(const hx_call *c, int i, const hx_tensor *first, int axis) {
    const hx_tensor *t = c->in[i];
    char but[48] = "";
    if (axis >= 0) snprintf(but, sizeof but, " in every axis but %d", axis);
    return hx_fail_about(FACTS("tensors", hx_shape_text(first->shape, first->ndim), hx_shape_text(t->shape, t->ndim)),
                         HX_E_SHAPE, HX1002_INNER,
                         "shapes must be equal%s: tensors[%d] is %s, and one before it is %s%s", but, i,
                         hx_shape_text(t->shape, t->ndim), hx_shape_text(first->shape, first->ndim), along(t, first));
}

static hx_dtype common_dtype(const hx_call *c) {
    hx_dtype dtype = (hx_dtype)c->in[0]->dtype;
    for (int i = 1; i < c->n_in; i++)
        if (c->in[i]->dtype != dtype) dtype = hx_promote(dtype, (hx_dtype)c->in[i]->dtype);
    return dtype;
}

/* A one-dimensional tensor without elements joins with anything, as in torch. */
static hx_status cat_rule(hx_call *c) {
    if (c->n_in == 0) return none_given();
    const hx_tensor *first = c->in[0];
    for (int i = 1; i < c->n_in && left_out(first, 0); i++) first = c->in[i];
    hx_spec *s = &c->spec[0];
    int axis;
    if (first->ndim == 0)
        return hx_fail_about(FACTS("tensors", "at least 1 dimension", "()"), HX_E_SHAPE, HX1001_RANK,
                             "0-dimensional tensors cannot be joined along an axis; use stack");
    HX_TRY(hx_axis(c->attr[0].v.i, first->ndim, &axis));
    hx_spec_like(s, first);
    s->shape[axis] = 0;
    for (int i = 0; i < c->n_in; i++) {
        const hx_tensor *t = c->in[i];
        if (left_out(t, first->ndim)) continue;
        if (t->ndim != first->ndim) return differs(c, i, first, axis);
        for (int k = 0; k < t->ndim; k++)
            if (k != axis && t->shape[k] != first->shape[k]) return differs(c, i, first, axis);
        if (!hx_add_ok(s->shape[axis], t->shape[axis], &s->shape[axis]))
            return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "the joined size does not fit in 64 bits");
    }
    c->attr[0].v.i = axis;
    s->dtype = (uint8_t)common_dtype(c);
    c->compute = (int8_t)s->dtype;
    return HX_OK;
}

static hx_status cat_vjp(hx_vjp *v) {
    int64_t axis = ATTR(0)->v.i, at = 0;
    for (int i = 0; i < v->n_in; i++) {
        const hx_spec *s = &v->in_spec[i];
        if (s->ndim != v->out_spec[0].ndim) {
            GIN(i, hx_full_like_spec(s, 0, G->device));
            continue;
        }
        GIN(i, CALL(narrow, G, axis, at, s->shape[axis]));
        at += s->shape[axis];
    }
    return HX_OK;
}

static hx_status cat_parts(hx_call *c) {
    hx_tensor *joined = hx_full_like_spec(&c->spec[0], 0, c->device);
    int64_t axis = c->attr[0].v.i, at = 0;
    for (int i = 0; i < c->n_in; i++) {
        if (c->in[i]->ndim != c->spec[0].ndim) continue;
        CALL_(copy, CALL(narrow, joined, axis, at, c->in[i]->shape[axis]), c->in[i]);
        at += c->in[i]->shape[axis];
    }
    RESULT(0, hx_error_pending() ? NULL : joined);
    return HX_OK;
}

static hx_status stack_rule(hx_call *c) {
    if (c->n_in == 0) return none_given();
    const hx_tensor *first = c->in[0];
    hx_spec *s = &c->spec[0];
    int axis;
    HX_TRY(hx_axis(c->attr[0].v.i, first->ndim + 1, &axis));
    if (first->ndim == HX_MAX_RANK)
        return hx_fail(HX_E_SHAPE, HX1001_RANK, "the result would have %d dimensions", first->ndim + 1);
    for (int i = 1; i < c->n_in; i++)
        if (c->in[i]->ndim != first->ndim || memcmp(c->in[i]->shape, first->shape, first->ndim * sizeof *first->shape))
            return differs(c, i, first, -1);
    s->ndim = (uint8_t)(first->ndim + 1);
    for (int i = 0, k = 0; i < s->ndim; i++) s->shape[i] = i == axis ? c->n_in : first->shape[k++];
    c->attr[0].v.i = axis;
    s->dtype = (uint8_t)common_dtype(c);
    c->compute = (int8_t)s->dtype;
    return HX_OK;
}

static hx_status stack_vjp(hx_vjp *v) {
    for (int i = 0; i < v->n_in; i++) GIN(i, CALL(select, G, ATTR(0), i));
    return HX_OK;
}

/* A list as large as the call's, filled by `make` and joined along `axis`. */
static hx_status join_made(hx_call *c, hx_tensor *(*make)(hx_tensor *), int axis) {
    if (c->n_in == 0) return none_given();
    size_t nbytes = (size_t)c->n_in * sizeof(hx_tensor *);
    hx_tensor **made = hx_alloc(nbytes);
    if (!made) return HX_E_MEMORY;
    for (int i = 0; i < c->n_in; i++) made[i] = make(c->in[i]);
    hx_list list = {made, c->n_in};
    c->out[0] = CALL(cat, list, axis);
    hx_free(made, nbytes);
    return c->out[0] ? HX_OK : hx_error_last()->code;
}

static hx_tensor *rank1(hx_tensor *t) { return t->ndim ? t : CALL(unsqueeze, t, 0); }
static hx_tensor *rank2(hx_tensor *t) { return t->ndim > 1 ? t : CALL(unsqueeze, rank1(t), 0); }
static hx_tensor *rank3(hx_tensor *t) { return t->ndim > 2 ? t : CALL(unsqueeze, rank2(t), -1); }
static hx_tensor *column(hx_tensor *t) { return t->ndim > 1 ? t : CALL(unsqueeze, rank1(t), 1); }

static hx_status stack_parts(hx_call *c) {
    hx_tensor *joined = hx_full_like_spec(&c->spec[0], 0, c->device);
    for (int i = 0; i < c->n_in; i++) CALL_(copy, CALL(select, joined, &c->attr[0], i), c->in[i]);
    RESULT(0, hx_error_pending() ? NULL : joined);
    return HX_OK;
}
static hx_status hstack_parts(hx_call *c) {
    return join_made(c, rank1, c->n_in && c->in[0]->ndim > 1 ? 1 : 0);
}
static hx_status vstack_parts(hx_call *c) { return join_made(c, rank2, 0); }
static hx_status dstack_parts(hx_call *c) { return join_made(c, rank3, 2); }
static hx_status column_stack_parts(hx_call *c) { return join_made(c, column, 1); }

/* ---- repeating ---- */

static hx_tensor *repeated(hx_tensor *t, const int64_t *times, int n) {
    int64_t spread[2 * HX_MAX_RANK], stretched[2 * HX_MAX_RANK], shape[HX_MAX_RANK];
    int lead = n - t->ndim, m = 0;
    if (n > HX_MAX_RANK || n + t->ndim > HX_MAX_RANK) {
        hx_fail(HX_E_SHAPE, HX1001_RANK, "%d repeats of an input with %d axes need too many dimensions", n, t->ndim);
        return NULL;
    }
    for (int i = 0; i < n; i++) {
        int64_t size = i < lead ? 1 : t->shape[i - lead];
        if (times[i] < 0) {
            hx_fail_about(FACTS("repeats", ">= 0", hx_shape_text(times, n)), HX_E_VALUE, HX1403_VALUE,
                          "repeats %s has a negative entry", hx_shape_text(times, n));
            return NULL;
        }
        if (!hx_mul_ok(size, times[i], &shape[i])) {
            hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "the repeated size of axis %d does not fit in 64 bits", i);
            return NULL;
        }
        spread[m] = 1;
        stretched[m++] = times[i];
        if (i >= lead) {
            spread[m] = size;
            stretched[m++] = size;
        }
    }
    hx_tensor *wide = CALL(expand, CALL(reshape, t, ((hx_ints){spread, m})), ((hx_ints){stretched, m}));
    return CALL(reshape, CALL(clone, wide), ((hx_ints){shape, n}));
}

static hx_status repeat_parts(hx_call *c) {
    hx_ints times = hx_ints_of(&c->attr[0]);
    if (times.n < c->in[0]->ndim)
        return hx_fail_about(FACTS("repeats", hx_text("%d entries or more", c->in[0]->ndim),
                                   hx_shape_text(times.v, times.n)), HX_E_SHAPE, HX1001_RANK,
                             "repeats %s has %d entries, the input %s has %d axes; it needs one for each",
                             hx_shape_text(times.v, times.n), times.n, hx_shape_text(c->in[0]->shape, c->in[0]->ndim),
                             c->in[0]->ndim);
    RESULT(0, repeated(c->in[0], times.v, times.n));
    return HX_OK;
}

static hx_status tile_parts(hx_call *c) {
    hx_ints times = hx_ints_of(&c->attr[0]);
    int64_t all[2 * HX_MAX_RANK];
    int n = times.n > c->in[0]->ndim ? times.n : c->in[0]->ndim;
    if (n > HX_MAX_RANK) return hx_fail(HX_E_SHAPE, HX1001_RANK, "%d repeats are too many", n);
    for (int i = 0; i < n; i++) all[i] = i < n - times.n ? 1 : times.v[i - (n - times.n)];
    RESULT(0, repeated(c->in[0], all, n));
    return HX_OK;
}

static hx_status repeat_each(hx_call *c, hx_tensor *t, int axis, int64_t times) {
    int64_t shape[HX_MAX_RANK + 1], flat[HX_MAX_RANK];
    if (times < 0) return hx_fail_about(FACTS("repeats", ">= 0", hx_text("%lld", (long long)times)), HX_E_VALUE,
                                        HX1403_VALUE, "repeats is %lld and cannot be negative", (long long)times);
    for (int i = 0; i < t->ndim; i++) {
        shape[i + (i > axis)] = t->shape[i];
        flat[i] = t->shape[i];
    }
    shape[axis + 1] = times;
    if (!hx_mul_ok(flat[axis], times, &flat[axis]))
        return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "the repeated size of axis %d does not fit in 64 bits", axis);
    hx_tensor *wide = CALL(expand, CALL(unsqueeze, t, axis + 1), ((hx_ints){shape, t->ndim + 1}));
    RESULT(0, CALL(reshape, CALL(clone, wide), ((hx_ints){flat, t->ndim})));
    return HX_OK;
}

/* Element i of the result comes from the number of running totals that are <= i: a count of marks before it. */
static hx_status repeat_elements(hx_call *c) {
    hx_tensor *t = c->in[0], *repeats = c->in[1];
    hx_scalar number;
    int axis;
    HX_TRY(hx_require_dtype(repeats, "repeats", HX_SET_INTEGER));
    if (!hx_given(&c->attr[0])) t = CALL(reshape, t, HX_INTS(-1));
    if (!t) return hx_error_last()->code;
    HX_TRY(hx_axis(hx_int_or(&c->attr[0], 0), t->ndim, &axis));
    t = rank1(t);
    if (repeats->numel == 1) {
        HX_TRY(hx_tensor_item(repeats, &number));
        return repeat_each(c, t, axis, number.v.i);
    }
    if (repeats->ndim != 1 || repeats->shape[0] != t->shape[axis])
        return hx_fail_about(FACTS("repeats", hx_text("(%lld,)", (long long)t->shape[axis]),
                                   hx_shape_text(repeats->shape, repeats->ndim), true, axis), HX_E_SHAPE,
                             HX1002_INNER, "repeats %s must hold one number for each of the %lld elements of axis %d",
                             hx_shape_text(repeats->shape, repeats->ndim), (long long)t->shape[axis], axis);
    if (repeats->numel == 0) {
        RESULT(0, CALL(clone, t));
        return HX_OK;
    }
    hx_tensor *lowest = CALL(amin, repeats), *ends = CALL(cumsum, CALL(cast, repeats, HX_I64), 0);
    hx_tensor *total = CALL(select, ends, 0, -1);
    if (!lowest || !total) return hx_error_last()->code;
    HX_TRY(hx_tensor_item(lowest, &number));
    if (number.kind != HX_KIND_UINT && number.v.i < 0)
        return hx_fail_about(FACTS("repeats", ">= 0", hx_text("%lld", (long long)number.v.i)), HX_E_VALUE, HX1403_VALUE,
                             "repeats holds %lld; repeats cannot be negative", (long long)number.v.i);
    HX_TRY(hx_tensor_item(total, &number));
    hx_spec marks = {.dtype = HX_I64, .ndim = 1, .shape = {number.v.i + 1}};
    hx_spec ones = {.dtype = HX_I64, .ndim = 1, .shape = {repeats->numel}};
    hx_tensor *counts = CALL(index_add, hx_full_like_spec(&marks, 0, t->device), 0, ends, hx_full_like_spec(&ones, 1, t->device));
    hx_tensor *source = CALL(narrow, CALL(cumsum, counts, 0), 0, 0, number.v.i);
    RESULT(0, CALL(index_select, t, axis, source));
    return HX_OK;
}

/* ---- moving ---- */

static hx_tensor *rolled(hx_tensor *t, int axis, int64_t shift) {
    if (!t) return NULL;
    int64_t n = t->shape[axis];
    if (n == 0 || shift % n == 0) return t;
    int64_t by = (shift % n + n) % n;
    hx_tensor *parts[2] = {CALL(narrow, t, axis, n - by, by), CALL(narrow, t, axis, 0, n - by)};
    return CALL(cat, ((hx_list){parts, 2}), axis);
}

/* output_size says what comes out, so that it need not be added up; here it is held to that. */
static hx_status repeat_interleave_parts(hx_call *c) {
    HX_TRY(repeat_elements(c));
    int64_t wanted = hx_int_or(&c->attr[1], -1);
    int axis = hx_given(&c->attr[0]) ? (int)c->attr[0].v.i : 0;
    if (!hx_given(&c->attr[1]) || !c->out[0]) return HX_OK;
    int64_t made = c->out[0]->shape[axis < 0 ? axis + c->out[0]->ndim : axis];
    if (made == wanted) return HX_OK;
    return hx_refuse(HX_E_VALUE, HX1403_VALUE, "output_size", hx_text("be %lld, the sum of repeats", (long long)made), "%lld",
                     (long long)wanted);
}

static hx_status roll_parts(hx_call *c) {
    hx_tensor *t = c->in[0];
    hx_ints shifts = hx_ints_of(&c->attr[0]), dims = hx_given(&c->attr[1]) ? hx_ints_of(&c->attr[1]) : (hx_ints){NULL, 0};
    int axis;
    if (dims.n == 0) {
        if (shifts.n != 1)
            return hx_fail_about(FACTS("shifts", "1 entry", hx_text("%d", shifts.n)), HX_E_VALUE, HX1403_VALUE,
                                 "shifts has %d entries, but without dims it must have 1", shifts.n);
        hx_tensor *flat = CALL(reshape, t, HX_INTS(-1)), *moved = rolled(flat, 0, shifts.v[0]);
        RESULT(0, moved == flat ? CALL(clone, t) : CALL(reshape, moved, SHAPE_OF(t)));
        return HX_OK;
    }
    if (shifts.n != dims.n)
        return hx_fail_about(FACTS("dims", hx_text("%d entries", shifts.n), hx_text("%d", dims.n)), HX_E_VALUE,
                             HX1403_VALUE, "shifts has %d entries and dims has %d", shifts.n, dims.n);
    hx_tensor *moved = t;
    for (int i = 0; i < dims.n; i++) {
        HX_TRY(hx_axis(dims.v[i], t->ndim, &axis));
        if (t->ndim) moved = rolled(moved, axis, shifts.v[i]);
    }
    RESULT(0, moved == t ? CALL(clone, t) : moved);
    return HX_OK;
}

static hx_status rot90_parts(hx_call *c) {
    hx_tensor *t = c->in[0];
    hx_ints dims = hx_given(&c->attr[1]) ? hx_ints_of(&c->attr[1]) : HX_INTS(0, 1);
    uint32_t mask;
    int k = (int)((c->attr[0].v.i % 4 + 4) % 4);
    if (dims.n != 2 || t->ndim < 2)
        return hx_fail_about(FACTS(t->ndim < 2 ? "input" : "dims", "2 axes",
                                   t->ndim < 2 ? hx_shape_text(t->shape, t->ndim) : hx_shape_text(dims.v, dims.n)),
                             HX_E_SHAPE, HX1001_RANK,
                             "turns a plane: dims %s must name 2 axes, and the input %s must have them",
                             hx_shape_text(dims.v, dims.n), hx_shape_text(t->shape, t->ndim));
    HX_TRY(hx_axes(dims.v, 2, t->ndim, &mask));
    int64_t a = dims.v[0], b = dims.v[1];
    if (k == 2) t = CALL(flip, t, dims);
    if (k == 1) t = CALL(transpose, CALL(flip, t, b), a, b);
    if (k == 3) t = CALL(flip, CALL(transpose, t, a, b), b);
    RESULT(0, CALL(clone, t));
    return HX_OK;
}

/* ---- padding ---- */

static hx_status padded_shape(hx_ints pad, const int64_t *shape, int ndim, int64_t *result) {
    if (pad.n % 2 || pad.n / 2 > ndim)
        return hx_fail(HX_E_VALUE, HX1403_VALUE,
                       "pad has %d entries; it must hold a pair for each of at most %d axes, from the last one on", pad.n,
                       ndim);
    for (int i = 0; i < ndim; i++) result[i] = shape[i];
    for (int i = 0; i < pad.n / 2; i++) {
        int axis = ndim - 1 - i;
        int64_t size;
        if (!hx_add_ok(shape[axis], pad.v[2 * i], &size) || !hx_add_ok(size, pad.v[2 * i + 1], &size) || size < 0)
            return hx_fail_about(FACTS(.argument = "pad",
                                       .got = hx_text("(%lld, %lld)", (long long)pad.v[2 * i], (long long)pad.v[2 * i + 1]),
                                       .on_axis = true, .axis = axis), HX_E_VALUE, HX1403_VALUE,
                                 "pad (%lld, %lld) does not fit axis %d, whose size is %lld", (long long)pad.v[2 * i],
                                 (long long)pad.v[2 * i + 1], axis, (long long)shape[axis]);
        result[axis] = size;
    }
    return HX_OK;
}

static hx_status constant_pad_rule(hx_call *c) {
    const hx_tensor *t = c->in[0];
    HX_TRY(hx_require_rank(c->in[1], "value", 0));
    hx_spec_like(&c->spec[0], t);
    c->cast[1] = (int8_t)t->dtype;
    return padded_shape(hx_ints_of(&c->attr[0]), t->shape, t->ndim, c->spec[0].shape);
}

static hx_status constant_pad_vjp(hx_vjp *v) {
    hx_ints pad = hx_ints_of(ATTR(0));
    int64_t back[2 * HX_MAX_RANK];
    for (int i = 0; i < pad.n; i++) back[i] = -pad.v[i];
    GIN(0, CALL(constant_pad, G, 0, ((hx_ints){back, pad.n})));
    if (v->need[1]) {
        hx_tensor *inside = CALL(constant_pad, hx_full_like_spec(&v->in_spec[0], 0, G->device), 1, ATTR(0));
        GIN(1, CALL(mul, G, inside));
    }
    return HX_OK;
}

static hx_status constant_pad_parts(hx_call *c) {
    hx_ints pad = hx_ints_of(&c->attr[0]);
    hx_tensor *from = c->in[0], *whole = hx_full_like_spec(&c->spec[0], 0, c->device), *to;
    if (!CALL_(copy, whole, c->in[1])) return hx_error_last()->code;
    to = whole;
    for (int i = 0; i < pad.n / 2; i++) {
        int axis = from->ndim - 1 - i;
        int64_t before = pad.v[2 * i], after = pad.v[2 * i + 1], size = c->in[0]->shape[axis];
        int64_t cut = before < -size ? size : before < 0 ? -before : 0, end = after < 0 ? size + after : size;
        int64_t kept = end > cut ? end - cut : 0;
        from = CALL(narrow, from, axis, cut, kept);
        to = CALL(narrow, to, axis, kept && before > 0 ? before : 0, kept);
    }
    CALL_(copy, to, from);
    RESULT(0, hx_error_pending() ? NULL : whole);
    return HX_OK;
}

/* The elements of `t`, whose axis holds `before` + size + `after`, that the border in front or behind repeats: mirrored
 * without the edge, the edge alone, or those of the other end. */
static hx_tensor *repeated_by(hx_tensor *t, int axis, int64_t before, int64_t size, int64_t n, bool front, char mode) {
    int64_t last = before + size - 1;
    if (mode == 'c') return CALL(narrow, t, axis, front ? before + size - n : before, n);
    if (mode == 'e') return CALL(narrow, t, axis, front ? before : last, 1);
    if (front) return CALL(slice, t, axis, before + n, before, -1);
    return last == n ? CALL(slice, t, axis, n - 1, DEFAULT, -1) : CALL(slice, t, axis, last - 1, last - 1 - n, -1);
}

static char mode_of(const hx_attr *mode) { return hx_str_is(mode, "replicate") ? 'e' : mode->v.str[0]; }

static hx_status border_fits(hx_ints pad, const int64_t *shape, int ndim, char mode) {
    for (int i = 0; i < pad.n / 2; i++) {
        int64_t size = shape[ndim - 1 - i], before = pad.v[2 * i], after = pad.v[2 * i + 1];
        int64_t most = mode == 'r' ? size - 1 : mode == 'c' ? size : size ? INT64_MAX : 0;
        if (before > most || after > most)
            return hx_fail_about(FACTS(.argument = "pad",
                                       .got = hx_text("(%lld, %lld)", (long long)before, (long long)after),
                                       .on_axis = true, .axis = ndim - 1 - i), HX_E_VALUE, HX1403_VALUE,
                                 "pad (%lld, %lld) is too large for axis %d, whose size is %lld, in this mode",
                                 (long long)before, (long long)after, ndim - 1 - i, (long long)size);
    }
    return HX_OK;
}

static hx_status border_pad_rule(hx_call *c) {
    const hx_tensor *t = c->in[0];
    hx_spec_like(&c->spec[0], t);
    HX_TRY(padded_shape(hx_ints_of(&c->attr[0]), t->shape, t->ndim, c->spec[0].shape));
    return border_fits(hx_ints_of(&c->attr[0]), t->shape, t->ndim, mode_of(&c->attr[1]));
}

/* The input in the middle, then the borders of each axis from what lies inside. */
static hx_status border_pad_parts(hx_call *c) {
    hx_ints pad = hx_ints_of(&c->attr[0]);
    hx_tensor *t = c->in[0], *whole = CALL(constant_pad, t, 0, &c->attr[0]);
    for (int i = 0; i < pad.n / 2; i++) {
        int axis = t->ndim - 1 - i;
        for (int side = 0; side < 2; side++) {
            int64_t n = pad.v[2 * i + side], before = pad.v[2 * i], size = t->shape[axis];
            if (n == 0) continue;
            hx_tensor *border = CALL(narrow, whole, axis, side ? before + size : 0, n);
            CALL_(copy, border, repeated_by(whole, axis, before, size, n, !side, mode_of(&c->attr[1])));
        }
    }
    RESULT(0, hx_error_pending() ? NULL : whole);
    return HX_OK;
}

static hx_status border_pad_vjp(hx_vjp *v) {
    GIN(0, CALL(border_pad_backward, G, ATTR(0), ATTR(1)));
    return HX_OK;
}

static hx_status border_pad_backward_rule(hx_call *c) {
    const hx_tensor *g = c->in[0];
    hx_ints pad = hx_ints_of(&c->attr[0]);
    int64_t cut[2 * HX_MAX_RANK];
    for (int i = 0; i < pad.n; i++) cut[i] = -pad.v[i];
    hx_spec_like(&c->spec[0], g);
    return padded_shape((hx_ints){cut, pad.n}, g->shape, g->ndim, c->spec[0].shape);
}

/* The same steps backwards: each border is added to what it repeated. */
static hx_status border_pad_backward_parts(hx_call *c) {
    hx_ints pad = hx_ints_of(&c->attr[0]);
    hx_tensor *g = CALL(clone, c->in[0]), *middle = g;
    char mode = mode_of(&c->attr[1]);
    int ndim = c->in[0]->ndim;
    for (int i = pad.n / 2 - 1; i >= 0; i--)
        for (int side = 1; side >= 0; side--) {
            int axis = ndim - 1 - i;
            int64_t n = pad.v[2 * i + side], before = pad.v[2 * i], size = c->spec[0].shape[axis];
            if (n == 0) continue;
            hx_tensor *border = CALL(narrow, g, axis, side ? before + size : 0, n);
            if (mode == 'e') border = CALL(sum, border, axis, true);
            CALL_(add, repeated_by(g, axis, before, size, n, !side, mode), border);
        }
    for (int i = 0; i < pad.n / 2; i++)
        middle = CALL(narrow, middle, ndim - 1 - i, pad.v[2 * i], c->spec[0].shape[ndim - 1 - i]);
    RESULT(0, CALL(clone, middle));
    return HX_OK;
}

static hx_status border_pad_backward_vjp(hx_vjp *v) {
    GIN(0, CALL(border_pad, G, ATTR(0), ATTR(1)));
    return HX_OK;
}

/* How much is cut off one side of an axis. An edge that is replicated beyond the cut stays, and is repeated less. */
static int64_t cut(int64_t pad, int64_t size, bool keeps_edge, int64_t *other_side) {
    int64_t cut = pad < 0 ? -pad : 0;
    if (!keeps_edge || cut < size || *other_side <= cut - size) return cut;
    *other_side -= cut - size + 1;
    return size - 1;
}

/* Cuts off where pad is negative; what is left to add goes to `rest`. */
static hx_tensor *cut_off(hx_tensor *t, hx_ints pad, int64_t *rest, char mode) {
    for (int i = 0; i < pad.n; i++) rest[i] = pad.v[i] > 0 ? pad.v[i] : 0;
    for (int i = 0; t && i < pad.n / 2; i++) {
        int axis = t->ndim - 1 - i;
        bool keeps_edge = mode == 'e' && t->shape[axis] > 0;
        int64_t front = cut(pad.v[2 * i], t->shape[axis], keeps_edge, &rest[2 * i + 1]);
        int64_t back = cut(pad.v[2 * i + 1], t->shape[axis], keeps_edge, &rest[2 * i]);
        if (front || back) t = CALL(narrow, t, axis, front, t->shape[axis] - front - back);
    }
    return t;
}

static hx_tensor *number_tensor(const hx_attr *a) {
    hx_tensor *t = NULL;
    hx_status status = a->kind == HX_A_BOOL      ? hx_tensor_from_bool(a->v.i, &t)
                       : a->kind == HX_A_FLOAT   ? hx_tensor_from_float(a->v.f, &t)
                       : a->kind == HX_A_COMPLEX ? hx_tensor_from_complex(a->v.c[0], a->v.c[1], &t)
                                                 : hx_tensor_from_int(hx_int_or(a, 0), &t);
    return status ? NULL : hx_scope_own(t);
}

static hx_status pad_parts(hx_call *c) {
    hx_tensor *t = c->in[0];
    hx_ints pad = hx_ints_of(&c->attr[0]);
    int64_t shape[HX_MAX_RANK], rest[2 * HX_MAX_RANK];
    HX_TRY(padded_shape(pad, t->shape, t->ndim, shape));
    if (hx_str_is(&c->attr[1], "constant")) {
        RESULT(0, CALL(constant_pad, t, number_tensor(&c->attr[2]), &c->attr[0]));
        return HX_OK;
    }
    t = cut_off(t, pad, rest, mode_of(&c->attr[1]));
    if (!t) return hx_error_last()->code;
    HX_TRY(border_fits((hx_ints){rest, pad.n}, t->shape, t->ndim, mode_of(&c->attr[1])));
    RESULT(0, CALL(border_pad, t, ((hx_ints){rest, pad.n}), &c->attr[1]));
    return HX_OK;
}

/* ---- triangles ---- */

static hx_status triangle_rule(hx_call *c) {
    if (c->in[0]->ndim < 2)
        return hx_refuse_rank(c->in[0], "input", "have at least 2 dimensions");
    return hx_shape_same(c);
}

static hx_status tril_vjp(hx_vjp *v) {
    GIN(0, CALL(tril, G, ATTR(0)));
    return HX_OK;
}

static hx_status triu_vjp(hx_vjp *v) {
    GIN(0, CALL(triu, G, ATTR(0)));
    return HX_OK;
}

/* Keeps the elements whose column lies on one side of row + diagonal. */
static hx_status triangle_parts(hx_call *c, bool lower) {
    const hx_tensor *t = c->in[0];
    int64_t rows = t->shape[t->ndim - 2], columns = t->shape[t->ndim - 1], diagonal = c->attr[0].v.i;
    diagonal = diagonal > columns ? columns : diagonal < -rows ? -rows : diagonal;
    hx_tensor *edge = CALL(arange, diagonal, diagonal + rows), *column = CALL(arange, columns);
    edge = CALL(unsqueeze, edge, 1);
    hx_tensor *outside = lower ? CALL(gt, column, edge) : CALL(lt, column, edge);
    RESULT(0, CALL(masked_fill, c->in[0], outside, 0));
    return HX_OK;
}
static hx_status tril_parts(hx_call *c) { return triangle_parts(c, true); }
static hx_status triu_parts(hx_call *c) { return triangle_parts(c, false); }

static hx_status triangle_indices(hx_call *c, bool lower) {
    int64_t rows = c->attr[0].v.i, columns = c->attr[1].v.i;
    if (rows < 0 || columns < 0)
        return hx_fail(HX_E_VALUE, HX1403_VALUE, "row %lld and col %lld cannot be negative", (long long)rows,
                       (long long)columns);
    hx_spec s = {.dtype = HX_BOOL, .ndim = 2, .shape = {rows, columns}};
    hx_tensor *all = hx_full_like_spec(&s, 1, c->device);
    hx_tensor *part = lower ? CALL(tril, all, &c->attr[2]) : CALL(triu, all, &c->attr[2]);
    hx_tensor *found = CALL(clone, CALL(transpose, CALL(argwhere, part), 0, 1));
    RESULT(0, hx_given(&c->attr[3]) ? CALL(cast, found, &c->attr[3]) : found);
    return HX_OK;
}
static hx_status tril_indices_parts(hx_call *c) { return triangle_indices(c, true); }
static hx_status triu_indices_parts(hx_call *c) { return triangle_indices(c, false); }

static hx_status atleast_1d_parts(hx_call *c) {
    RESULT(0, rank1(c->in[0]));
    return HX_OK;
}
static hx_status atleast_2d_parts(hx_call *c) {
    RESULT(0, rank2(c->in[0]));
    return HX_OK;
}
static hx_status atleast_3d_parts(hx_call *c) {
    RESULT(0, rank3(c->in[0]));
    return HX_OK;
}

#define LIST PARAMS(TENSORS("tensors"))
#define FUNCTION(n, parts) .name = n, .decompose = parts, .flags = HX_FUNCTION
#define BOTH(n, parts) .name = n, .decompose = parts, .flags = HX_PUBLIC

const hx_op hx_ops_join[] = {
    {.name = "cat", .shape = cat_rule, .vjp = cat_vjp, .decompose = cat_parts, .flags = HX_FUNCTION,
     .params = PARAMS(TENSORS("tensors"), INT("dim", 0)), .aliases = "concat, concatenate",
     .doc = "Joins tensors along an existing axis.\n\n"
            "Shapes are equal but for axis `dim`; dtypes are promoted to one. HX1002 when the shapes differ.\n\n"
            "Example:\n    >>> helix.cat([helix.tensor([1, 2]), helix.tensor([3])]).tolist()\n    [1, 2, 3]"},
    {.name = "stack", .shape = stack_rule, .vjp = stack_vjp, .decompose = stack_parts, .flags = HX_FUNCTION,
     .params = PARAMS(TENSORS("tensors"), INT("dim", 0)),
     .doc = "Joins tensors of one shape along a new axis.\n\n"
            "Example:\n    >>> helix.stack([helix.tensor([1, 2]), helix.tensor([3, 4])]).tolist()\n"
            "    [[1, 2], [3, 4]]"},
    {FUNCTION("hstack", hstack_parts), .params = LIST,
     .doc = "Joins tensors side by side: along axis 1, or axis 0 for vectors.\n\n"
            "Example:\n    >>> helix.hstack([helix.tensor([1]), helix.tensor([2])]).tolist()\n    [1, 2]"},
    {FUNCTION("vstack", vstack_parts), .params = LIST, .aliases = "row_stack",
     .doc = "Joins tensors as rows: along axis 0, after vectors became rows.\n\n"
            "Example:\n    >>> helix.vstack([helix.tensor([1]), helix.tensor([2])]).tolist()\n    [[1], [2]]"},
    {FUNCTION("dstack", dstack_parts), .params = LIST,
     .doc = "Joins tensors in depth: along axis 2, after all have at least 3 axes.\n\n"
            "Example:\n    >>> helix.dstack([helix.tensor([1]), helix.tensor([2])]).tolist()\n    [[[1, 2]]]"},
    {FUNCTION("column_stack", column_stack_parts), .params = LIST,
     .doc = "Joins tensors along axis 1, after vectors became columns.\n\n"
            "Example:\n    >>> helix.column_stack([helix.tensor([1]), helix.tensor([2])]).tolist()\n    [[1, 2]]"},
    {.name = "repeat", .decompose = repeat_parts, .flags = HX_METHOD,
     .params = PARAMS(TENSOR("input"), VAR_INTS("repeats")),
     .doc = "The input repeated along every axis, as a copy; further repeats make new axes in front.\n\n"
            "Example:\n    >>> helix.tensor([1, 2]).repeat(2, 2).tolist()\n    [[1, 2, 1, 2], [1, 2, 1, 2]]"},
    {BOTH("tile", tile_parts), .params = PARAMS(TENSOR("input"), VAR_INTS("dims")),
     .doc = "The input repeated along its last axes, as a copy.\n\n"
            "Example:\n    >>> helix.tensor([[1, 2]]).tile(2).tolist()\n    [[1, 2, 1, 2]]"},
    {BOTH("repeat_interleave", repeat_interleave_parts),
     .params = PARAMS(TENSOR("input"), TENSOR("repeats"), OPT_INT("dim"), OPT_INT("output_size", KW)),
     .doc = "Each element repeated in place, along axis `dim` or in the flattened input.\n\n"
            "repeats: one number, or an integer tensor with one for each element of the axis.\n\n"
            "Example:\n    >>> helix.tensor([1, 2]).repeat_interleave(2).tolist()\n    [1, 1, 2, 2]"},
    {BOTH("roll", roll_parts), .params = PARAMS(TENSOR("input"), REQ_INTS("shifts"), OPT_INTS("dims")),
     .doc = "The elements moved along axes; those that leave come in again at the other end.\n\n"
            "Example:\n    >>> helix.tensor([1, 2, 3]).roll(1).tolist()\n    [3, 1, 2]"},
    {BOTH("rot90", rot90_parts), .params = PARAMS(TENSOR("input"), INT("k", 1), OPT_INTS("dims")),
     .doc = "The plane of two axes turned by k quarters, from the first axis of dims (0, 1) to the second.\n\n"
            "Example:\n    >>> helix.tensor([[1, 2], [3, 4]]).rot90().tolist()\n    [[2, 4], [1, 3]]"},
    {.name = "pad", .decompose = pad_parts, .flags = HX_NN,
     .params = PARAMS(TENSOR("input"), REQ_INTS("pad"),
                      STRING("mode", "constant", "constant|reflect|replicate|circular"), OPT_NUMBER("value")),
     .doc = "The input with elements added at the ends of its axes.\n\n"
            "pad holds (before, after) for the last axis, then for the one before it, and so on; negative numbers cut "
            "off. mode: constant (value, 0 by default), reflect (mirrored without the edge), replicate (the edge "
            "again), circular (from the other end).\n\n"
            "Example:\n    >>> helix.nn.functional.pad(helix.tensor([1, 2]), (1, 2)).tolist()\n    [0, 1, 2, 0, 0]"},
    {.name = "constant_pad", .shape = constant_pad_rule, .vjp = constant_pad_vjp, .decompose = constant_pad_parts,
     .flags = HX_INTERNAL_OP, .params = PARAMS(TENSOR("input"), TENSOR("value"), REQ_INTS("pad")),
     .doc = "The input with `value` added, or elements cut off, at the ends of its last axes."},
    {.name = "border_pad", .shape = border_pad_rule, .vjp = border_pad_vjp, .decompose = border_pad_parts,
     .flags = HX_INTERNAL_OP,
     .params = PARAMS(TENSOR("input"), REQ_INTS("pad"), STRING("mode", "reflect", "reflect|replicate|circular")),
     .doc = "The input with elements of its own added at the ends of its last axes."},
    {.name = "border_pad_backward", .shape = border_pad_backward_rule, .vjp = border_pad_backward_vjp,
     .decompose = border_pad_backward_parts, .flags = HX_INTERNAL_OP,
     .params = PARAMS(TENSOR("gradient"), REQ_INTS("pad"), STRING("mode", "reflect", "reflect|replicate|circular")),
     .doc = "The gradient of border_pad."},
    {.name = "tril", .shape = triangle_rule, .vjp = tril_vjp, .decompose = tril_parts,
     .flags = HX_PUBLIC | HX_INPLACE | HX_ALIAS_OK,
     .params = PARAMS(TENSOR("input"), INT("diagonal", 0)),
     .doc = "The lower triangle of matrices: zeros above the diagonal.\n\n"
            "diagonal: 0 for the main one, positive above it.\n\n"
            "Example:\n    >>> helix.tensor([[1, 2], [3, 4]]).tril().tolist()\n    [[1, 0], [3, 4]]"},
    {.name = "triu", .shape = triangle_rule, .vjp = triu_vjp, .decompose = triu_parts,
     .flags = HX_PUBLIC | HX_INPLACE | HX_ALIAS_OK,
     .params = PARAMS(TENSOR("input"), INT("diagonal", 0)),
     .doc = "The upper triangle of matrices: zeros below the diagonal.\n\n"
            "Example:\n    >>> helix.tensor([[1, 2], [3, 4]]).triu().tolist()\n    [[1, 2], [0, 4]]"},
    {.name = "tril_indices", .decompose = tril_indices_parts, .flags = HX_FUNCTION | HX_CREATES | HX_NON_DIFF,
     .params = PARAMS(REQ_INT("row"), REQ_INT("col"), INT("offset", 0), OPT_DTYPE("dtype", KW)),
     .doc = "Row and column numbers of the lower triangle of a (row, col) matrix, as a (2, n) tensor.\n\n"
            "Example:\n    >>> helix.tril_indices(2, 2).tolist()\n    [[0, 1, 1], [0, 0, 1]]"},
    {.name = "triu_indices", .decompose = triu_indices_parts, .flags = HX_FUNCTION | HX_CREATES | HX_NON_DIFF,
     .params = PARAMS(REQ_INT("row"), REQ_INT("col"), INT("offset", 0), OPT_DTYPE("dtype", KW)),
     .doc = "Row and column numbers of the upper triangle of a (row, col) matrix, as a (2, n) tensor.\n\n"
            "Example:\n    >>> helix.triu_indices(2, 2).tolist()\n    [[0, 0, 1], [0, 1, 1]]"},
    {FUNCTION("atleast_1d", atleast_1d_parts), .params = PARAMS(TENSOR("input")),
     .doc = "The input with at least one axis, as a view.\n\n"
            "Example:\n    >>> helix.atleast_1d(helix.tensor(3)).tolist()\n    [3]"},
    {FUNCTION("atleast_2d", atleast_2d_parts), .params = PARAMS(TENSOR("input")),
     .doc = "The input with at least two axes, new ones in front, as a view.\n\n"
            "Example:\n    >>> helix.atleast_2d(helix.tensor([3])).tolist()\n    [[3]]"},
    {FUNCTION("atleast_3d", atleast_3d_parts), .params = PARAMS(TENSOR("input")),
     .doc = "The input with at least three axes; a matrix gets its new axis at the end, as a view.\n\n"
            "Example:\n    >>> helix.atleast_3d(helix.tensor([3])).shape\n    (1, 1, 1)"},
    {0},
};
