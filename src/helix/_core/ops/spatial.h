/* What convolutions and pools share: attributes with one value for each spatial axis, and images, which are tensors
 * (batch, channels, *spatial) or (channels, *spatial). */
#ifndef HX_SPATIAL_H
#define HX_SPATIAL_H

#include "rules.h"

/* Attribute `at` as one value for each of n spatial axes, none below `least`. */
static inline hx_status hx_spatial(hx_call *c, int at, const char *name, int n, int64_t least) {
    hx_ints given = hx_ints_of(&c->attr[at]);
    if (given.n != 1 && given.n != n)
        return hx_fail_about(FACTS(name, hx_text("1 or %d values", n), hx_text("%d", given.n)), HX_E_VALUE,
                             HX1403_VALUE, "%s has %d values, but there are %d spatial axes; give one value or %d",
                       name, given.n, n, n);
    for (int i = 0; i < given.n; i++)
        if (given.v[i] < least)
            return hx_fail_about(FACTS(name, hx_text("%lld or more", (long long)least),
                                       hx_text("%lld", (long long)given.v[i])), HX_E_VALUE, HX1403_VALUE,
                                 "%s must be at least %lld, got %lld (of %s)", name, (long long)least,
                                 (long long)given.v[i], hx_shape_text(given.v, given.n));
    if (given.n == n) return HX_OK;
    int64_t *all = hx_call_ints(c, n);
    if (!all) return HX_E_VALUE;
    for (int i = 0; i < n; i++) all[i] = given.v[0];
    c->attr[at] = (hx_attr){.kind = HX_A_INTS, .count = (uint32_t)n, .v.ints = all};
    return HX_OK;
}

/* dilation * (kernel - 1) + 1 */
static inline hx_status hx_span(int64_t kernel, int64_t dilation, int64_t *span) {
    *span = 0;
    if (kernel < 1)
        return hx_fail_about(FACTS("kernel_size", "1 or more", hx_text("%lld", (long long)kernel)), HX_E_VALUE,
                             HX1403_VALUE, "every kernel size must be at least 1, got %lld", (long long)kernel);
    if (!hx_mul_ok(kernel - 1, dilation, span) || !hx_add_ok(*span, 1, span))
        return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "a kernel of %lld with dilation %lld does not fit in 64 bits",
                       (long long)kernel, (long long)dilation);
    return HX_OK;
}

/* An image tensor: (batch, channels, *spatial) or (channels, *spatial). */
static inline hx_status hx_check_image(const hx_tensor *t, const char *name, int n) {
    if (t->ndim == n + 1 || t->ndim == n + 2) return HX_OK;
    return hx_fail_about(FACTS(name, hx_text("%d or %d dimensions", n + 2, n + 1), hx_shape_text(t->shape, t->ndim)),
                         HX_E_SHAPE, HX1001_RANK,
                   "%s must have %d dimensions (batch, channels and %d spatial), or %d without the batch, got shape %s",
                   name, n + 2, n, n + 1, hx_shape_text(t->shape, t->ndim));
}

/* The result: the leading axes of `image` before its channels, then channels and sizes. */
static inline void hx_image_spec(hx_spec *s, const hx_tensor *image, int n, int64_t channels, const int64_t *sizes) {
    hx_spec_like(s, image);
    s->shape[image->ndim - n - 1] = channels;
    for (int i = 0; i < n; i++) s->shape[image->ndim - n + i] = sizes[i];
}

/* The last n sizes of a shape. */
static inline hx_ints hx_tail(const hx_spec *s, int n) { return (hx_ints){s->shape + s->ndim - n, n}; }

#endif
