#include "shape.h"

#include <string.h>
#include "helix/backend.h"

hx_status hx_numel(const int64_t *shape, int ndim, int64_t *numel) {
    int64_t product = 1;
    bool empty = false, fits = true;
    for (int i = 0; i < ndim; i++) {
        if (shape[i] < 0)
            return hx_fail_about(FACTS(.expected = ">= 0", .got = hx_text("%lld", (long long)shape[i]),
                                       .on_axis = true, .axis = i), HX_E_SHAPE, HX1403_VALUE,
                                 "size %lld at axis %d of %s is negative", (long long)shape[i], i,
                                 hx_shape_text(shape, ndim));
        if (shape[i] == 0) empty = true;
        else if (fits) fits = hx_mul_ok(product, shape[i], &product);
    }
    if (!fits && !empty)
        return hx_fail_about(FACTS(.got = hx_shape_text(shape, ndim)), HX_E_OVERFLOW, HX1401_OVERFLOW,
                             "the product of %s does not fit in 64 bits",
                       hx_shape_text(shape, ndim));
    *numel = empty ? 0 : product;
    return HX_OK;
}

/* Sizes of 0 count as 1, so that strides stay distinct; a shape that hx_numel accepts because it is empty may still
 * have a product that wraps, and its strides are never used. */
void hx_row_major(const int64_t *shape, int ndim, int64_t *strides) {
    int64_t stride = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        strides[i] = stride;
        if (!hx_mul_ok(stride, shape[i] > 1 ? shape[i] : 1, &stride)) stride = 0;
    }
}

bool hx_is_contiguous(const int64_t *shape, const int64_t *strides, int ndim) {
    int64_t expected = 1;
    bool in_order = true;
    for (int i = ndim - 1; i >= 0; i--) {
        if (shape[i] == 0) return true;
        if (shape[i] == 1) continue;
        if (strides[i] != expected) in_order = false;
        else if (!hx_mul_ok(expected, shape[i], &expected)) in_order = false;
    }
    return in_order;
}

hx_status hx_extent(const int64_t *shape, const int64_t *strides, int ndim, int64_t *low, int64_t *high) {
    int64_t first = 0, last = 0;
    *low = *high = 0;
    for (int i = 0; i < ndim; i++)
        if (shape[i] == 0) return HX_OK;
    for (int i = 0; i < ndim; i++) {
        int64_t reach, *end = strides[i] < 0 ? &first : &last;
        if (!hx_mul_ok(shape[i] - 1, strides[i], &reach) || !hx_add_ok(*end, reach, end))
            return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "shape %s with strides %s reaches beyond 64 bits",
                           hx_shape_text(shape, ndim), hx_shape_text(strides, ndim));
    }
    if (!hx_add_ok(last, 1, &last))
        return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "shape %s with strides %s reaches beyond 64 bits",
                       hx_shape_text(shape, ndim), hx_shape_text(strides, ndim));
    *low = first;
    *high = last;
    return HX_OK;
}

hx_status hx_axis(int64_t axis, int ndim, int *result) {
    int64_t n = ndim > 0 ? ndim : 1;
    if (axis < -n || axis >= n)
        return hx_fail_about(FACTS("dim", hx_text("%lld..%lld", (long long)-n, (long long)(n - 1)),
                                   hx_text("%lld", (long long)axis), true, axis), HX_E_INDEX, HX1302_AXIS,
                             "axis %lld is out of range for a tensor of %d dimension%s (valid %lld..%lld)",
                             (long long)axis, ndim, ndim == 1 ? "" : "s", (long long)-n, (long long)(n - 1));
    *result = (int)(axis < 0 ? axis + n : axis);
    return HX_OK;
}

hx_status hx_axes(const int64_t *axes, int n, int ndim, uint32_t *mask) {
    if (n == 0) {
        *mask = (1u << ndim) - 1;
        return HX_OK;
    }
    uint32_t seen = 0;
    for (int i = 0; i < n; i++) {
        int axis = 0;
        HX_TRY(hx_axis(axes[i], ndim, &axis));
        if (seen >> axis & 1u)
            return hx_fail_about(FACTS(.argument = "dim", .got = hx_shape_text(axes, n), .on_axis = true, .axis = axis),
                                 HX_E_INDEX, HX1302_AXIS, "axis %d appears twice in %s", axis, hx_shape_text(axes, n));
        seen |= 1u << axis;
    }
    *mask = ndim > 0 ? seen : 0;
    return HX_OK;
}

/* Of two shapes that meet at their first axes, as rows and one number for each, the way to say so. */
static const char *meets_in_front(const int64_t *a, int a_ndim, const int64_t *b, int b_ndim) {
    const int64_t *few = a_ndim < b_ndim ? a : b, *many = a_ndim < b_ndim ? b : a;
    int n = a_ndim < b_ndim ? a_ndim : b_ndim;
    if (a_ndim - b_ndim != 1 && b_ndim - a_ndim != 1) return "";
    for (int i = 0; i < n; i++)
        if (few[i] != many[i] && few[i] != 1 && many[i] != 1) return "";
    return hx_text(". Use .unsqueeze(-1) on what has shape %s", hx_shape_text(few, n));
}

static hx_status cannot_stretch(const int64_t *a, int a_ndim, const int64_t *b, int b_ndim, int from_end) {
    return hx_fail_about(FACTS(NULL, hx_shape_text(a, a_ndim), hx_shape_text(b, b_ndim), true, -from_end), HX_E_SHAPE,
                         HX1003_BROADCAST,
                   "cannot stretch %s and %s to one shape: axis -%d has %lld and %lld; each axis must match or be 1%s",
                   hx_shape_text(a, a_ndim), hx_shape_text(b, b_ndim), from_end, (long long)a[a_ndim - from_end],
                   (long long)b[b_ndim - from_end], meets_in_front(a, a_ndim, b, b_ndim));
}

hx_status hx_broadcast_into(int64_t *r, int *r_ndim, const int64_t *b, int b_ndim) {
    int common = *r_ndim < b_ndim ? *r_ndim : b_ndim;
    for (int i = 1; i <= common; i++) {
        int64_t have = r[*r_ndim - i], want = b[b_ndim - i];
        if (have != want && have != 1 && want != 1) return cannot_stretch(r, *r_ndim, b, b_ndim, i);
    }
    if (b_ndim > *r_ndim) { /* move the running shape to the end and take b's leading sizes */
        int shift = b_ndim - *r_ndim;
        memmove(r + shift, r, (size_t)*r_ndim * sizeof *r);
        memcpy(r, b, (size_t)shift * sizeof *r);
        *r_ndim = b_ndim;
    }
    for (int i = 1; i <= common; i++)
        if (r[*r_ndim - i] == 1) r[*r_ndim - i] = b[b_ndim - i];
    return HX_OK;
}

hx_status hx_broadcast_strides(const int64_t *shape, const int64_t *strides, int ndim, const int64_t *to_shape,
                               int to_ndim, int64_t *result) {
    if (ndim > to_ndim)
        return hx_fail_about(FACTS(.expected = hx_shape_text(to_shape, to_ndim), .got = hx_shape_text(shape, ndim)),
                             HX_E_SHAPE, HX1003_BROADCAST, "cannot stretch %s to %s, which has fewer dimensions",
                       hx_shape_text(shape, ndim), hx_shape_text(to_shape, to_ndim));
    for (int i = 1; i <= ndim; i++) {
        int64_t size = shape[ndim - i], wanted = to_shape[to_ndim - i];
        if (size != wanted && size != 1)
            return hx_fail_about(FACTS(NULL, hx_shape_text(to_shape, to_ndim), hx_shape_text(shape, ndim), true, -i),
                                 HX_E_SHAPE, HX1003_BROADCAST,
                           "cannot stretch %s to %s: axis -%d has %lld and must be %lld or 1",
                           hx_shape_text(shape, ndim), hx_shape_text(to_shape, to_ndim), i, (long long)size,
                           (long long)wanted);
    }
    for (int i = 0; i < to_ndim - ndim; i++) result[i] = 0;
    for (int i = 1; i <= ndim; i++)
        result[to_ndim - i] = shape[ndim - i] == 1 && to_shape[to_ndim - i] != 1 ? 0 : strides[ndim - i];
    return HX_OK;
}

/* Walks both shapes from the last axis. Old axes are gathered into a block as long as each lies row-major above the
 * one after it; new axes must divide the block they fall in. */
bool hx_view_strides(const int64_t *shape, const int64_t *strides, int ndim, const int64_t *to_shape, int to_ndim,
                     int64_t *result) {
    for (int i = 0; i < ndim; i++) {
        if (shape[i] == 0) {
            hx_row_major(to_shape, to_ndim, result);
            return true;
        }
    }
    int to = to_ndim - 1;
    int64_t block = 1, inner = ndim > 0 ? strides[ndim - 1] : 1;
    for (int i = ndim - 1; i >= 0; i--) {
        block *= shape[i]; /* divides the element count, which fits */
        int64_t step;
        bool joins = i > 0 && (shape[i - 1] == 1 || (hx_mul_ok(block, inner, &step) && strides[i - 1] == step));
        if (joins) continue;
        int64_t part = 1;
        while (to >= 0 && (part < block || to_shape[to] == 1)) {
            if (!hx_mul_ok(inner, part, &result[to])) return false;
            part *= to_shape[to--];
        }
        if (part != block) return false;
        if (i > 0) {
            block = 1;
            inner = strides[i - 1];
        }
    }
    for (; to >= 0 && to_shape[to] == 1; to--) result[to] = 1;
    return to < 0;
}

const char *hx_shape_text(const int64_t *shape, int ndim) {
    enum { LENGTH = HX_MAX_RANK * 22 + 8 };
    _Static_assert(LENGTH <= HX_TEXT_LENGTH, "any shape fits a text buffer");
    char *text = hx_text_buffer();
    int shown = ndim < HX_MAX_RANK ? ndim : HX_MAX_RANK, at = snprintf(text, LENGTH, "(");
    for (int i = 0; i < shown; i++)
        at += snprintf(text + at, (size_t)(LENGTH - at), i ? ", %lld" : "%lld", (long long)shape[i]);
    snprintf(text + at, (size_t)(LENGTH - at), ndim > shown ? ", ...)" : ndim == 1 ? ",)" : ")");
    return text;
}
