/* Two internal ops with which autograd follows in-place writes through views: the part of a base that a view
 * shows, and a base with that part exchanged. Geometry is in elements from the base's first. */
#include "rules.h"

static hx_status shape_view_of_base(hx_call *c) {
    hx_tensor *base = c->in[0];
    hx_spec *s = &c->spec[0];
    if (!hx_contiguous(base))
        return hx_fail(HX_E_GRADIENT, HX1006_INPLACE,
                       "gradients through in-place writes to views need a contiguous base, this one has shape %s and "
                       "strides %s; call .contiguous() on it first",
                       hx_shape_text(base->shape, base->ndim), hx_shape_text(base->strides, base->ndim));
    hx_spec_set(s, (hx_dtype)base->dtype, c->attr[0].v.ints, (int)c->attr[0].count);
    for (int i = 0; i < s->ndim; i++) s->strides[i] = c->attr[1].v.ints[i];
    if (!hx_add_ok(base->offset, c->attr[2].v.i, &s->offset))
        return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "offset does not fit");
    return HX_OK;
}

static hx_status vjp_view_of_base(hx_vjp *v) {
    GIN(0, CALL(exchange_part, hx_full_like_spec(&v->in_spec[0], 0, NULL), G, ATTR(0), ATTR(1), ATTR(2)));
    return HX_OK;
}

static hx_status shape_exchange(hx_call *c) {
    hx_spec_like(&c->spec[0], c->in[0]);
    return HX_OK;
}

static hx_status decompose_exchange(hx_call *c) {
    hx_tensor *whole = CALL(clone, c->in[0]);
    hx_tensor *part = CALL(view_of_base, whole, &c->attr[0], &c->attr[1], &c->attr[2]);
    if (!CALL_(copy, part, c->in[1])) return hx_error_last()->code;
    RESULT(0, whole);
    return HX_OK;
}

static hx_status vjp_exchange(hx_vjp *v) {
    GIN(0, CALL(exchange_part, G, hx_full_like_spec(&v->in_spec[1], 0, NULL), ATTR(0), ATTR(1), ATTR(2)));
    GIN(1, CALL(view_of_base, CALL(contiguous, G), ATTR(0), ATTR(1), ATTR(2)));
    return HX_OK;
}

const hx_op hx_ops_history[] = {
    {.name = "view_of_base",
     .params = PARAMS(TENSOR("base"), REQ_INTS("shape"), REQ_INTS("strides"), REQ_INT("offset")),
     .doc = "The part of a contiguous base that a view with this geometry shows.",
     .shape = shape_view_of_base,
     .vjp = vjp_view_of_base,
     .flags = HX_VIEW | HX_INTERNAL_OP},
    {.name = "exchange_part",
     .params = PARAMS(TENSOR("base"), TENSOR("part"), REQ_INTS("shape"), REQ_INTS("strides"), REQ_INT("offset")),
     .doc = "A copy of the base in which the part that a view shows is exchanged.",
     .shape = shape_exchange,
     .vjp = vjp_exchange,
     .decompose = decompose_exchange,
     .flags = HX_INTERNAL_OP},
    {0}};
