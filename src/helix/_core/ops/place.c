/* Copies of a tensor in which one view was written (the scatter forms of slice, select, diagonal and as_strided), and
 * the gradients of those views: a tensor of zeros with one view written. */
#include <string.h>
#include "view.h"

/* The geometry of a row-major tensor, for the rules that narrow it. */
static void whole(hx_spec *s, hx_dtype dtype, const int64_t *shape, int ndim) {
    hx_spec_set(s, dtype, shape, ndim);
    hx_row_major(shape, ndim, s->strides);
    s->offset = 0;
}

static hx_status same_shape(const hx_tensor *part, const hx_spec *region, const char *name) {
    if (part->ndim == region->ndim && !memcmp(part->shape, region->shape, region->ndim * sizeof *region->shape))
        return HX_OK;
    return hx_fail_about(FACTS(name, hx_shape_text(region->shape, region->ndim),
                               hx_shape_text(part->shape, part->ndim)), HX_E_SHAPE, HX1002_INNER,
                         "%s has shape %s, and the part that is written has %s", name,
                         hx_shape_text(part->shape, part->ndim), hx_shape_text(region->shape, region->ndim));
}

typedef hx_status (*narrowing)(hx_call *c, hx_spec *s);

/* out = input with `src` in the part. */
static hx_status scatter_rule(hx_call *c, narrowing narrow) {
    const hx_tensor *t = c->in[0];
    hx_spec region;
    whole(&region, (hx_dtype)t->dtype, t->shape, t->ndim);
    HX_TRY(narrow(c, &region));
    HX_TRY(same_shape(c->in[1], &region, "src"));
    c->cast[1] = (int8_t)t->dtype;
    hx_spec_like(&c->spec[0], t);
    return HX_OK;
}

/* out = zeros of the shape in the last attribute with the gradient in the part. */
static hx_status backward_rule(hx_call *c, narrowing narrow) {
    hx_ints shape = hx_ints_of(&c->attr[c->n_attr - 1]);
    hx_spec region;
    whole(&region, (hx_dtype)c->in[0]->dtype, shape.v, shape.n);
    HX_TRY(narrow(c, &region));
    HX_TRY(same_shape(c->in[0], &region, "gradient"));
    hx_spec_set(&c->spec[0], (hx_dtype)c->in[0]->dtype, shape.v, shape.n);
    return HX_OK;
}

static hx_status written(hx_call *c, hx_tensor *target, hx_tensor *part, hx_tensor *src) {
    if (!CALL_(copy, part, src)) return hx_error_last()->code;
    c->out[0] = target;
    return HX_OK;
}

static hx_tensor *zeros(hx_call *c) { return hx_full_like_spec(&c->spec[0], 0, c->device); }
static hx_tensor *nothing(hx_vjp *v) { return hx_full_like_spec(&v->in_spec[1], 0, G->device); }

/* One block for each kind of part: a call of the view op with the attributes in A(source). */
#define PART(kind, view_of)                                                                                   \
    static hx_status kind##_scatter_rule(hx_call *c) { return scatter_rule(c, hx_##kind##_spec); }            \
    static hx_status kind##_backward_rule(hx_call *c) { return backward_rule(c, hx_##kind##_spec); }          \
    static hx_status kind##_scatter_parts(hx_call *c) {                                                       \
        hx_tensor *target = CALL(clone, c->in[0]);                                                            \
        return written(c, target, view_of(target, c->attr), c->in[1]);                                        \
    }                                                                                                         \
    static hx_status kind##_backward_parts(hx_call *c) {                                                      \
        hx_tensor *target = zeros(c);                                                                         \
        return written(c, target, view_of(target, c->attr), c->in[0]);                                        \
    }                                                                                                         \
    static hx_status kind##_backward_vjp(hx_vjp *v) {                                                         \
        GIN(0, view_of(G, v->attr));                                                                          \
        return HX_OK;                                                                                         \
    }

static hx_tensor *slice_of(hx_tensor *t, const hx_attr *a) { return CALL(slice, t, &a[0], &a[1], &a[2], &a[3]); }
static hx_tensor *select_of(hx_tensor *t, const hx_attr *a) { return CALL(select, t, &a[0], &a[1]); }
static hx_tensor *diagonal_of(hx_tensor *t, const hx_attr *a) { return CALL(diagonal, t, &a[0], &a[1], &a[2]); }

PART(slice, slice_of)
PART(select, select_of)
PART(diagonal, diagonal_of)

static hx_status slice_scatter_vjp(hx_vjp *v) {
    GIN(0, CALL(slice_scatter, G, nothing(v), ATTR(0), ATTR(1), ATTR(2), ATTR(3)));
    GIN(1, slice_of(G, v->attr));
    return HX_OK;
}

static hx_status select_scatter_vjp(hx_vjp *v) {
    GIN(0, CALL(select_scatter, G, nothing(v), ATTR(0), ATTR(1)));
    GIN(1, select_of(G, v->attr));
    return HX_OK;
}

static hx_status diagonal_scatter_vjp(hx_vjp *v) {
    GIN(0, CALL(diagonal_scatter, G, nothing(v), ATTR(0), ATTR(1), ATTR(2)));
    GIN(1, diagonal_of(G, v->attr));
    return HX_OK;
}

/* ---- unfold: windows may overlap, and their gradients add up ---- */

static hx_status unfold_backward_rule(hx_call *c) { return backward_rule(c, hx_unfold_spec); }

static hx_status unfold_backward_vjp(hx_vjp *v) {
    GIN(0, CALL(unfold, G, ATTR(0), ATTR(1), ATTR(2)));
    return HX_OK;
}

/* Adds one position of all windows at a time, or one window at a time, whichever takes fewer steps. */
static hx_status unfold_backward_parts(hx_call *c) {
    hx_tensor *g = c->in[0], *sums = zeros(c);
    int64_t axis = c->attr[0].v.i, size = c->attr[1].v.i, step = c->attr[2].v.i;
    if (c->spec[0].ndim == 0) {
        RESULT(0, size ? CALL(select, g, 0, 0) : sums);
        return HX_OK;
    }
    int64_t windows = g->shape[axis];
    for (int64_t i = 0; i < (size < windows ? size : windows); i++) {
        hx_scope scope;
        hx_scope_enter(&scope);
        hx_tensor *part = size < windows ? CALL(slice, sums, axis, i, i + (windows - 1) * step + 1, step)
                                         : CALL(slice, sums, axis, i * step, i * step + size, 1);
        hx_tensor *piece = size < windows ? CALL(select, g, -1, i) : CALL(movedim, CALL(select, g, axis, i), -1, axis);
        CALL_(add, part, piece);
        hx_scope_leave(&scope);
    }
    if (hx_error_pending()) return hx_error_last()->code;
    c->out[0] = sums;
    return HX_OK;
}

/* ---- as_strided_scatter ---- */

static hx_status as_strided_scatter_rule(hx_call *c) {
    const hx_tensor *t = c->in[0];
    hx_ints shape = hx_ints_of(&c->attr[0]), stride = hx_ints_of(&c->attr[1]);
    int64_t numel, low, high, offset = c->attr[2].v.i;
    if (shape.n != stride.n || shape.n > HX_MAX_RANK)
        return hx_fail_about(FACTS("stride", hx_text("%d values", shape.n), hx_shape_text(stride.v, stride.n)), HX_E_SHAPE,
                             HX1001_RANK, "shape %s and stride %s must have the same length",
                       hx_shape_text(shape.v, shape.n), hx_shape_text(stride.v, stride.n));
    HX_TRY(hx_numel(shape.v, shape.n, &numel));
    HX_TRY(hx_extent(shape.v, stride.v, shape.n, &low, &high));
    if (offset < 0 || offset > t->numel || low + offset < 0 || high > t->numel - offset)
        return hx_fail_about(FACTS("size", .got = hx_shape_text(shape.v, shape.n)), HX_E_VALUE, HX1403_VALUE,
                       "shape %s with stride %s at storage_offset %lld reaches outside the %lld elements of the input",
                       hx_shape_text(shape.v, shape.n), hx_shape_text(stride.v, stride.n), (long long)offset,
                       (long long)t->numel);
    hx_spec region;
    hx_spec_set(&region, (hx_dtype)t->dtype, shape.v, shape.n);
    HX_TRY(same_shape(c->in[1], &region, "src"));
    c->cast[1] = (int8_t)t->dtype;
    hx_spec_like(&c->spec[0], t);
    return HX_OK;
}

static hx_status as_strided_scatter_parts(hx_call *c) {
    hx_tensor *target = CALL(clone, c->in[0]);
    return written(c, target, CALL(as_strided, target, &c->attr[0], &c->attr[1], &c->attr[2]), c->in[1]);
}

static hx_status as_strided_scatter_vjp(hx_vjp *v) {
    GIN(0, CALL(as_strided_scatter, G, nothing(v), ATTR(0), ATTR(1), ATTR(2)));
    GIN(1, CALL(as_strided, CALL(clone, G), ATTR(0), ATTR(1), ATTR(2)));
    return HX_OK;
}

/* ---- diag_embed, and diag: the diagonal of a matrix, or a matrix with a diagonal ---- */

static hx_status diag_embed_rule(hx_call *c) {
    const hx_tensor *t = c->in[0];
    hx_spec *s = &c->spec[0];
    int64_t offset = c->attr[0].v.i, size;
    int a, b, from = 0;
    if (t->ndim < 1 || t->ndim == HX_MAX_RANK)
        return hx_refuse_rank(t, "input", hx_text("have 1 to %d dimensions", HX_MAX_RANK - 1));
    HX_TRY(hx_axis(c->attr[1].v.i, t->ndim + 1, &a));
    HX_TRY(hx_axis(c->attr[2].v.i, t->ndim + 1, &b));
    if (a == b) return hx_fail(HX_E_INDEX, HX1302_AXIS, "dim1 and dim2 are both axis %d", a);
    if (offset == INT64_MIN || !hx_add_ok(t->shape[t->ndim - 1], offset < 0 ? -offset : offset, &size))
        return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "the size of the result does not fit in 64 bits");
    s->dtype = t->dtype;
    s->ndim = (uint8_t)(t->ndim + 1);
    for (int i = 0; i < s->ndim; i++) s->shape[i] = i == a || i == b ? size : t->shape[from++];
    return HX_OK;
}

static hx_status diag_embed_parts(hx_call *c) {
    hx_tensor *target = zeros(c);
    return written(c, target, diagonal_of(target, c->attr), c->in[0]);
}

static hx_status diag_embed_vjp(hx_vjp *v) {
    GIN(0, diagonal_of(G, v->attr));
    return HX_OK;
}

static hx_status diag_parts(hx_call *c) {
    hx_tensor *t = c->in[0];
    if (t->ndim == 1)
        RESULT(0, CALL(diag_embed, t, &c->attr[0]));
    else if (t->ndim == 2)
        RESULT(0, CALL(clone, CALL(diagonal, t, &c->attr[0])));
    else
        return hx_fail_about(FACTS("input", "1 or 2 dimensions", hx_shape_text(t->shape, t->ndim)), HX_E_SHAPE, HX1001_RANK,
                             "input must have 1 or 2 dimensions, got shape %s. Use diagonal or diag_embed.",
                             hx_shape_text(t->shape, t->ndim));
    return HX_OK;
}

static hx_status trace_parts(hx_call *c) {
    HX_TRY(hx_require_rank(c->in[0], "input", 2));
    RESULT(0, CALL(sum, CALL(diagonal, c->in[0])));
    return HX_OK;
}

#define SLICE INT("dim", 0), OPT_INT("start"), OPT_INT("end"), INT("step", 1)
#define SELECT REQ_INT("dim"), REQ_INT("index")
#define DIAGONAL INT("offset", 0), INT("dim1", 0), INT("dim2", 1)
#define UNFOLD REQ_INT("dimension"), REQ_INT("size"), REQ_INT("step")
#define SCATTER(kind)                                                                                         \
    .name = #kind "_scatter", .shape = kind##_scatter_rule, .decompose = kind##_scatter_parts,                \
    .vjp = kind##_scatter_vjp, .flags = HX_PUBLIC
#define BACKWARD(kind)                                                                                        \
    .name = #kind "_backward", .shape = kind##_backward_rule, .decompose = kind##_backward_parts,             \
    .vjp = kind##_backward_vjp, .flags = HX_INTERNAL_OP, .doc = "The gradient of " #kind "."

const hx_op hx_ops_place[] = {
    {SCATTER(slice), .params = PARAMS(TENSOR("input"), TENSOR("src"), SLICE),
     .doc = "A copy of the input with `src` at the positions of a slice of axis `dim`.\n\n"
            "Example:\n    >>> helix.zeros(4).slice_scatter(helix.ones(2), 0, 1, 3).tolist()\n    [0.0, 1.0, 1.0, 0.0]"},
    {SCATTER(select), .params = PARAMS(TENSOR("input"), TENSOR("src"), SELECT),
     .doc = "A copy of the input with `src` at position `index` of axis `dim`.\n\n"
            "Example:\n    >>> helix.zeros(2, 2).select_scatter(helix.ones(2), 0, 1).tolist()\n"
            "    [[0.0, 0.0], [1.0, 1.0]]"},
    {SCATTER(diagonal), .params = PARAMS(TENSOR("input"), TENSOR("src"), DIAGONAL),
     .doc = "A copy of the input with `src` on a diagonal of two axes.\n\n"
            "Example:\n    >>> helix.zeros(2, 2).diagonal_scatter(helix.ones(2)).tolist()\n"
            "    [[1.0, 0.0], [0.0, 1.0]]"},
    {SCATTER(as_strided),
     .params = PARAMS(TENSOR("input"), TENSOR("src"), REQ_INTS("shape"), REQ_INTS("stride"), INT("storage_offset", 0)),
     .doc = "A copy of the input with `src` at the elements that shape and stride reach.\n\n"
            "Positions are counted in the row-major order of the input, from its first element.\n\n"
            "Example:\n    >>> helix.zeros(4).as_strided_scatter(helix.ones(2), (2,), (3,)).tolist()\n"
            "    [1.0, 0.0, 0.0, 1.0]"},
    {BACKWARD(slice), .params = PARAMS(TENSOR("gradient"), SLICE, REQ_INTS("shape"))},
    {BACKWARD(select), .params = PARAMS(TENSOR("gradient"), SELECT, REQ_INTS("shape"))},
    {BACKWARD(diagonal), .params = PARAMS(TENSOR("gradient"), DIAGONAL, REQ_INTS("shape"))},
    {BACKWARD(unfold), .params = PARAMS(TENSOR("gradient"), UNFOLD, REQ_INTS("shape"))},
    {.name = "diag_embed", .shape = diag_embed_rule, .decompose = diag_embed_parts, .vjp = diag_embed_vjp,
     .flags = HX_PUBLIC,
     .params = PARAMS(TENSOR("input"), INT("offset", 0), INT("dim1", -2), INT("dim2", -1)),
     .doc = "Square matrices of zeros, in the axes dim1 and dim2, with the last axis of the input on a diagonal.\n\n"
            "Example:\n    >>> helix.diag_embed(helix.tensor([1, 2])).tolist()\n    [[1, 0], [0, 2]]"},
    {.name = "diag", .decompose = diag_parts, .flags = HX_PUBLIC,
     .params = PARAMS(TENSOR("input"), INT("diagonal", 0)),
     .doc = "The diagonal of a matrix, as a copy; or the matrix that has a vector as its diagonal.\n\n"
            "Example:\n    >>> helix.diag(helix.tensor([[1, 2], [3, 4]])).tolist()\n    [1, 4]"},
    {.name = "trace", .decompose = trace_parts, .flags = HX_PUBLIC, .params = PARAMS(TENSOR("input")),
     .doc = "The sum of the main diagonal of a matrix.\n\n"
            "Example:\n    >>> helix.trace(helix.tensor([[1, 2], [3, 4]])).tolist()\n    5"},
    {0},
};
