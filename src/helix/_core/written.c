#include "written.h"
#include <string.h>
#include "autograd.h"
#include "dispatch.h"
#include "trace.h"

bool hx_overlaps(const hx_tensor *a, const hx_tensor *b) {
    if (!a->storage || a->storage != b->storage || !a->numel || !b->numel) return false;
    if (a == b) return true;
    int64_t al, ah, bl, bh;
    if (hx_extent(a->shape, a->strides, a->ndim, &al, &ah) || hx_extent(b->shape, b->strides, b->ndim, &bl, &bh))
        return true;
    int64_t sa = (int64_t)hx_dtype_size((hx_dtype)a->dtype), sb = (int64_t)hx_dtype_size((hx_dtype)b->dtype);
    return (a->offset + al) * sa < (b->offset + bh) * sb && (b->offset + bl) * sb < (a->offset + ah) * sa;
}

bool hx_same_elements(const hx_tensor *a, const hx_tensor *b) {
    if (a == b) return true;
    if (a->storage != b->storage || a->offset != b->offset || a->ndim != b->ndim || a->dtype != b->dtype) return false;
    for (int i = 0; i < a->ndim; i++)
        if (a->shape[i] != b->shape[i] || (a->shape[i] > 1 && a->strides[i] != b->strides[i])) return false;
    return true;
}

static bool overlaps_itself(const hx_tensor *t) {
    for (int i = 0; i < t->ndim; i++)
        if (t->shape[i] > 1 && t->strides[i] == 0) return true;
    return false;
}

static bool is_user_leaf(const hx_tensor *t) { return t->flags & HX_T_REQUIRES_GRAD && !t->history; }

hx_status hx_check_written(const hx_tensor *t, const hx_spec *s, const char *written) {
    if (!t->storage && !hx_tracing()) return hx_trace_ended(t);
    if (t->storage && t->storage->read_only)
        return hx_fail(HX_E_VALUE, HX1006_INPLACE, "the memory of %s is read-only; write into a .clone()",
                       hx_tensor_text(t));
    if (overlaps_itself(t))
        return hx_fail(HX_E_VALUE, HX1006_INPLACE,
                       "several elements of the written tensor %s share one place in memory (it was expanded); write "
                       "into a .clone()",
                       hx_tensor_text(t));
    if (s && (t->ndim != s->ndim || memcmp(t->shape, s->shape, s->ndim * sizeof *s->shape)))
        return hx_fail_about(FACTS(written, hx_shape_text(s->shape, s->ndim), hx_shape_text(t->shape, t->ndim)),
                             HX_E_SHAPE, HX1006_INPLACE, "the result has shape %s, but %s, which is written, has %s",
                             hx_shape_text(s->shape, s->ndim), written, hx_shape_text(t->shape, t->ndim));
    if (s && !hx_can_cast((hx_dtype)s->dtype, (hx_dtype)t->dtype))
        return hx_fail_about(FACTS(written, hx_dtype_name((hx_dtype)s->dtype), hx_dtype_name((hx_dtype)t->dtype)),
                             HX_E_DTYPE, HX1102_CAST,
                             "a %s result cannot be stored in %s, a %s tensor; use the out-of-place form",
                             hx_dtype_name((hx_dtype)s->dtype), written, hx_dtype_name((hx_dtype)t->dtype));
    if (t->flags & HX_T_INFERENCE && !hx_mode.inference)
        return hx_fail(HX_E_GRADIENT, HX1506_INFERENCE,
                       "a tensor made in inference_mode cannot be written outside of it; clone it first");
    if (!hx_grad_enabled()) return HX_OK;
    if (is_user_leaf(t) || (t->base && is_user_leaf(t->base)))
        return hx_fail(HX_E_GRADIENT, HX1504_LEAF,
                       "a leaf that requires grad cannot be written in place; wrap the update in helix.no_grad()");
    return HX_OK;
}
