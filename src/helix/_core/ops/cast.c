/* Copies: cast to another dtype, clone, contiguous, and copying into existing memory. */
#include "rules.h"

static hx_status shape_cast(hx_call *c) {
    hx_spec_like(&c->spec[0], c->in[0]);
    c->spec[0].dtype = (uint8_t)c->attr[0].v.i;
    return HX_OK;
}

/* The engine casts the gradient to the input's dtype. */
static hx_status vjp_pass(hx_vjp *v) {
    GIN(0, G);
    return HX_OK;
}

static hx_status decompose_clone(hx_call *c) {
    RESULT(0, CALL(cast, c->in[0], c->in[0]->dtype));
    return HX_OK;
}
static hx_status decompose_copy(hx_call *c) {
    const hx_tensor *to = c->in[0];
    RESULT(0, CALL(cast, CALL(expand, c->in[1], ((hx_ints){to->shape, to->ndim})), to->dtype));
    return HX_OK;
}
static hx_status decompose_contiguous(hx_call *c) {
    RESULT(0, hx_contiguous(c->in[0]) ? c->in[0] : CALL(clone, c->in[0]));
    return HX_OK;
}

static hx_status shape_copy(hx_call *c) {
    const hx_tensor *input = c->in[0], *src = c->in[1];
    int ndim = input->ndim;
    hx_spec *s = &c->spec[0];
    hx_spec_like(s, input);
    HX_TRY(hx_broadcast_into(s->shape, &ndim, src->shape, src->ndim));
    for (int i = 0; i < ndim; i++)
        if (ndim != input->ndim || s->shape[i] != input->shape[i])
            return hx_fail_about(FACTS("src", hx_shape_text(input->shape, input->ndim),
                                       hx_shape_text(src->shape, src->ndim)), HX_E_SHAPE, HX1003_BROADCAST,
                                 "src with shape %s cannot be stretched to the input's shape %s",
                                 hx_shape_text(src->shape, src->ndim), hx_shape_text(input->shape, input->ndim));
    return HX_OK;
}

static hx_status vjp_copy(hx_vjp *v) {
    GIN(0, hx_full_like_spec(&v->in_spec[0], 0, NULL));
    GIN(1, G);
    return HX_OK;
}

const hx_op hx_ops_cast[] = {
    {.name = "cast",
     .params = PARAMS(TENSOR("input"), DTYPE("dtype")),
     .doc = "The values as another dtype.\n\n"
            "Floats become integers by dropping the fraction; NaN becomes 0, and values out of range become the nearest\n"
            "value of the integer type. Complex to real keeps the real part.\n\n"
            "Example:\n"
            "    >>> helix.cast(helix.tensor([1.7, -1.7]), helix.int32).tolist()\n"
            "    [1, -1]\n",
     .shape = shape_cast,
     .vjp = vjp_pass,
     .flags = HX_PRIMITIVE | HX_PUBLIC},
    {.name = "clone",
     .params = PARAMS(TENSOR("input")),
     .doc = "A copy with its own, contiguous memory.\n\n"
            "Example:\n"
            "    >>> helix.tensor([1, 2]).clone().tolist()\n"
            "    [1, 2]\n",
     .shape = hx_shape_same,
     .decompose = decompose_clone,
     .vjp = vjp_pass,
     .flags = HX_PUBLIC},
    {.name = "contiguous",
     .params = PARAMS(TENSOR("input")),
     .doc = "The tensor itself when its elements lie in row-major order without gaps, else a copy that does.\n\n"
            "Example:\n"
            "    >>> helix.tensor([[1, 2], [3, 4]]).mT.contiguous().tolist()\n"
            "    [[1, 3], [2, 4]]\n",
     .decompose = decompose_contiguous,
     .flags = HX_METHOD},
    {.name = "copy",
     .params = PARAMS(TENSOR("input"), TENSOR("src")),
     .doc = "The values of src, stretched and cast to the shape and dtype of input; copy_ writes them into input.\n\n"
            "Raises ShapeError (HX1003) when src does not stretch to the shape of input.\n\n"
            "Example:\n"
            "    >>> x = helix.zeros(2, 2)\n"
            "    >>> x.copy_(helix.tensor([1, 2])).tolist()\n"
            "    [[1.0, 2.0], [1.0, 2.0]]\n",
     .shape = shape_copy,
     .decompose = decompose_copy,
     .vjp = vjp_copy,
     .flags = HX_INPLACE | HX_ALIAS_OK | HX_METHOD},
    {0}};
