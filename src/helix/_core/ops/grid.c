/* Images read at the points of a grid, bilinearly, bicubically or at the nearest point, and the gradients of that. */
#include "rules.h"

#define MODE STRING("mode", "bilinear", "bilinear|nearest|bicubic")
#define OUTSIDE STRING("padding_mode", "zeros", "zeros|border|reflection")
#define SAMPLING MODE, OUTSIDE, BOOL("align_corners", false)

static hx_status misfit(const hx_tensor *input, const hx_tensor *grid) {
    return hx_fail_about(FACTS("grid", "(batch, *spatial, spatial axes of input)", hx_shape_text(grid->shape, grid->ndim)),
                         HX_E_SHAPE, HX1002_INNER,
                         "grid of shape %s does not fit input of shape %s: (batch, channels, *spatial) goes with "
                         "(batch, *points, 2 or 3), one number for each spatial axis",
                         hx_shape_text(grid->shape, grid->ndim), hx_shape_text(input->shape, input->ndim));
}

static hx_status check(const hx_call *c) {
    const hx_tensor *input = c->in[0], *grid = c->in[1];
    uint64_t floats = HX_BIT(HX_F32) | HX_BIT(HX_F64);
    HX_TRY(hx_require_dtype(input, "input", floats));
    HX_TRY(hx_require_dtype(grid, "grid", floats));
    if (grid->dtype != input->dtype)
        return hx_fail_about(FACTS("grid", hx_dtype_name((hx_dtype)input->dtype), hx_dtype_name((hx_dtype)grid->dtype)),
                             HX_E_DTYPE, HX1101_DTYPE, "grid must have input's dtype, %s, got %s",
                             hx_dtype_name((hx_dtype)input->dtype), hx_dtype_name((hx_dtype)grid->dtype));
    if (input->ndim != 4 && input->ndim != 5) return hx_refuse_rank(input, "input", "have 4 or 5 axes");
    if (grid->ndim != input->ndim || grid->shape[0] != input->shape[0] || grid->shape[grid->ndim - 1] != input->ndim - 2)
        return misfit(input, grid);
    int64_t plane = 1;
    for (int d = 2; d < input->ndim; d++) {
        if (input->shape[d] == 0) return hx_refuse_rank(input, "input", "have a point on every spatial axis");
        plane = plane > INT32_MAX / input->shape[d] ? INT32_MAX : plane * input->shape[d];
    }
    if (plane == INT32_MAX) return hx_refuse_rank(input, "input", "have less than 2**31 - 1 points in a channel");
    if (input->ndim == 5 && hx_str_is(&c->attr[0], "bicubic"))
        return hx_fail_about(FACTS("mode", "bilinear or nearest", "bicubic"), HX_E_VALUE, HX1403_VALUE,
                             "mode bicubic is for inputs with 4 axes");
    return HX_OK;
}

static hx_status grid_sampler_shape(hx_call *c) {
    HX_TRY(check(c));
    const hx_tensor *input = c->in[0], *grid = c->in[1];
    hx_spec_like(&c->spec[0], input);
    for (int d = 2; d < input->ndim; d++) c->spec[0].shape[d] = grid->shape[d - 1];
    return HX_OK;
}

static hx_status grid_sampler_backward_shape(hx_call *c) {
    HX_TRY(check(c));
    hx_spec_like(&c->spec[0], c->in[0]);
    hx_spec_like(&c->spec[1], c->in[1]);
    return HX_OK;
}

static hx_status grid_sampler_vjp(hx_vjp *v) {
    hx_tensor *out[2] = {NULL, NULL};
    CALLN(out, 2, grid_sampler_backward, IN(0), IN(1), G, ATTR(0), ATTR(1), ATTR(2));
    GIN(0, out[0]);
    GIN(1, out[1]);
    return HX_OK;
}

/* As in torch: asking is an error, and recording is none, for the gradient may not be what is differentiated. */
static hx_status grid_sampler_backward_vjp(hx_vjp *v) {
    (void)v;
    return hx_fail(HX_E_GRADIENT, HX1503_NO_GRAD, "is not differentiable again: grid_sample has first derivatives only");
}

const hx_op hx_ops_grid[] = {
    {.name = "grid_sampler", .shape = grid_sampler_shape, .vjp = grid_sampler_vjp, .saves = SAVE_IN(0) | SAVE_IN(1),
     .flags = HX_PRIMITIVE | HX_INTERNAL_OP, .params = PARAMS(TENSOR("input"), TENSOR("grid"), SAMPLING),
     .doc = "What helix.nn.functional.grid_sample computes."},
    {.name = "grid_sampler_backward", .outputs = "input_gradient, grid_gradient", .shape = grid_sampler_backward_shape,
     .vjp = grid_sampler_backward_vjp, .flags = HX_PRIMITIVE | HX_INTERNAL_OP,
     .params = PARAMS(TENSOR("input"), TENSOR("grid"), TENSOR("gradient"), SAMPLING),
     .doc = "The gradients of grid_sampler."},
    {0}};
