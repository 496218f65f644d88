/* Composites over images: windows as columns and back, resizing, and channels traded for pixels. All are made of ops,
 * so they differentiate and trace as these do. */
#include <math.h>
#include "../resample.h"
#include "spatial.h"

/* ---- windows as columns ---------------------------------------------------------------------------------- */

typedef struct windows {
    int64_t kernel[2], dilation[2], pad[2], stride[2], span[2], count[2], padded[2];
    int64_t taps, places, area; /* of a kernel, of the windows, of the padded image */
} windows;

/* The attributes kernel_size, dilation, padding, stride from `at` on, over an image of the given sizes. */
static hx_status read_windows(hx_call *c, int at, const int64_t *size, windows *w) {
    HX_TRY(hx_spatial(c, at, "kernel_size", 2, 1));
    HX_TRY(hx_spatial(c, at + 1, "dilation", 2, 1));
    HX_TRY(hx_spatial(c, at + 2, "padding", 2, 0));
    HX_TRY(hx_spatial(c, at + 3, "stride", 2, 1));
    for (int i = 0; i < 2; i++) {
        int64_t padded;
        w->kernel[i] = c->attr[at].v.ints[i];
        w->dilation[i] = c->attr[at + 1].v.ints[i];
        w->pad[i] = c->attr[at + 2].v.ints[i];
        w->stride[i] = c->attr[at + 3].v.ints[i];
        HX_TRY(hx_span(w->kernel[i], w->dilation[i], &w->span[i]));
        if (!hx_mul_ok(w->pad[i], 2, &padded) || !hx_add_ok(padded, size[i], &padded))
            return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "padding %lld does not fit in 64 bits", (long long)w->pad[i]);
        if (padded < w->span[i])
            return hx_fail_about(FACTS("kernel_size", hx_text("<= %lld", (long long)padded), hx_text("%lld", (long long)w->span[i])),
                                 HX_E_SHAPE, HX1002_INNER,
                           "the kernel is larger than the image: on spatial axis %d it spans %lld, the image has %lld with "
                           "its padding",
                           i, (long long)w->span[i], (long long)padded);
        w->padded[i] = padded;
        w->count[i] = (padded - w->span[i]) / w->stride[i] + 1;
    }
    return hx_numel(w->kernel, 2, &w->taps) || hx_numel(w->count, 2, &w->places) || hx_numel(w->padded, 2, &w->area)
               ? hx_error_last()->code
               : HX_OK;
}

/* input; kernel_size, dilation, padding, stride */
static hx_status im2col_parts(hx_call *c) {
    hx_tensor *x = c->in[0];
    windows w;
    HX_TRY(hx_check_image(x, "input", 2));
    HX_TRY(read_windows(c, 0, x->shape + x->ndim - 2, &w));
    bool batch = x->ndim == 4;
    if (!batch) x = CALL(unsqueeze, x, 0);
    if (!x) return hx_error_last()->code;
    int64_t images = x->shape[0], channels = x->shape[1], rows;
    HX_TRY(hx_numel((const int64_t[]){channels, w.taps}, 2, &rows));
    hx_tensor *seen = CALL(pad, x, HX_INTS(w.pad[1], w.pad[1], w.pad[0], w.pad[0]));
    seen = CALL(unfold, CALL(unfold, seen, 2, w.span[0], w.stride[0]), 3, w.span[1], w.stride[1]);
    seen = CALL(slice, CALL(slice, seen, 4, DEFAULT, DEFAULT, w.dilation[0]), 5, DEFAULT, DEFAULT, w.dilation[1]);
    seen = CALL(permute, seen, HX_INTS(0, 1, 4, 5, 2, 3));
    hx_tensor *columns = CALL(reshape, seen, HX_INTS(images, rows, w.places));
    RESULT(0, batch ? columns : CALL(squeeze, columns, HX_INTS(0)));
    return HX_OK;
}

/* step * [0, n) along one of four axes */
static hx_tensor *ramp(int64_t n, int64_t step, int axis) {
    int64_t shape[4] = {1, 1, 1, 1};
    shape[axis] = n;
    return CALL(reshape, CALL(mul, CALL(arange, n), step), ((hx_ints){shape, 4}));
}

/* input; output_size, kernel_size, dilation, padding, stride */
static hx_status col2im_parts(hx_call *c) {
    hx_tensor *x = c->in[0];
    windows w;
    HX_TRY(hx_spatial(c, 0, "output_size", 2, 1));
    const int64_t *size = c->attr[0].v.ints;
    HX_TRY(read_windows(c, 1, size, &w));
    if (x->ndim != 2 && x->ndim != 3)
        return hx_refuse_rank(x, "input",
                              "have 3 dimensions (batch, channels * kernel, windows), or 2 without the batch");
    int64_t rows = x->shape[x->ndim - 2];
    if (rows % w.taps || x->shape[x->ndim - 1] != w.places)
        return hx_fail(HX_E_SHAPE, HX1002_INNER,
                       "input %s does not fit: axis -2 must be a multiple of the kernel's %lld elements, and axis -1 the "
                       "%lld x %lld windows of an image of %s",
                       hx_shape_text(x->shape, x->ndim), (long long)w.taps, (long long)w.count[0], (long long)w.count[1],
                       hx_shape_text(size, 2));
    int64_t images = x->ndim == 3 ? x->shape[0] : 1, channels = rows / w.taps, values;
    HX_TRY(hx_numel((const int64_t[]){w.taps, w.places}, 2, &values));
    hx_tensor *row = CALL(add, ramp(w.kernel[0], w.dilation[0], 0), ramp(w.count[0], w.stride[0], 2));
    hx_tensor *column = CALL(add, ramp(w.kernel[1], w.dilation[1], 1), ramp(w.count[1], w.stride[1], 3));
    hx_tensor *place = CALL(reshape, CALL(add, CALL(mul, row, w.padded[1]), column), HX_INTS(-1));
    hx_tensor *image = CALL(index_add, CALL(new_zeros, x, HX_INTS(images, channels, w.area)), 2, place,
                            CALL(reshape, x, HX_INTS(images, channels, values)));
    image = CALL(reshape, image, HX_INTS(images, channels, w.padded[0], w.padded[1]));
    image = CALL(contiguous, CALL(narrow, CALL(narrow, image, 2, w.pad[0], size[0]), 3, w.pad[1], size[1]));
    RESULT(0, x->ndim == 3 ? image : CALL(squeeze, image, HX_INTS(0)));
    return HX_OK;
}

/* ---- resizing -------------------------------------------------------------------------------------------- */

typedef struct resize {
    int axis;
    int64_t in, out;
    double step;
    const hx_attr *mode;
    bool corners;
} resize;

/* What the points of the result are along an axis: at[k] of the input, times weight[k] where there is one. */
typedef struct taps {
    int n;
    hx_tensor *at[4], *weight[4];
} taps;

/* ((a t + b) t + c) t + d */
static hx_tensor *cubic_of(hx_tensor *t, const double *k) {
    hx_tensor *y = CALL(add, CALL(mul, t, k[0]), k[1]);
    return CALL(add, CALL(mul, CALL(add, CALL(mul, y, t), k[2]), t), k[3]);
}

static hx_tensor *point(const resize *r, hx_tensor *at) {
    return CALL(clamp, CALL(cast, at, HX_I64), 0, r->in - 1);
}

static taps taps_along(const resize *r) {
    hx_tensor *i = CALL(arange, 0, r->out, 1, HX_F64), *at = CALL(mul, i, r->step);
    taps t = {.n = 1};
    if (hx_str_is(r->mode, "nearest") || hx_str_is(r->mode, "nearest-exact")) {
        if (hx_str_is(r->mode, "nearest-exact")) at = CALL(mul, CALL(add, i, 0.5), r->step);
        t.at[0] = point(r, CALL(floor, at));
        return t;
    }
    bool linear = hx_str_is(r->mode, "linear");
    if (!r->corners) at = CALL(sub, CALL(mul, CALL(add, i, 0.5), r->step), 0.5);
    if (linear) at = CALL(clamp, at, 0, r->in - 1);
    hx_tensor *left = CALL(floor, at);
    t.n = linear ? 2 : 4;
    for (int k = 0; k < t.n; k++) {
        hx_tensor *one = CALL(add, left, linear ? k : k - 1), *distance = CALL(abs, CALL(sub, one, at));
        t.at[k] = point(r, one);
        t.weight[k] = linear ? CALL(sub, 1, distance)
                             : cubic_of(distance, k == 1 || k == 2 ? (const double[])HX_CUBIC_NEAR : (const double[])HX_CUBIC_FAR);
    }
    return t;
}

/* Times a weight for each place of the result along the axis. */
static hx_tensor *weighed(hx_tensor *x, const resize *r, hx_tensor *weight) {
    if (!x || !weight) return x;
    int64_t shape[HX_MAX_RANK];
    for (int i = 0; i < x->ndim; i++) shape[i] = i == r->axis ? r->out : 1;
    return CALL(mul, x, CALL(cast, CALL(reshape, weight, ((hx_ints){shape, x->ndim})), x->dtype));
}

static hx_tensor *resized(hx_tensor *x, const resize *r) {
    taps t = taps_along(r);
    hx_tensor *sum = NULL;
    for (int k = 0; k < t.n; k++) {
        hx_tensor *term = weighed(CALL(index_select, x, r->axis, t.at[k]), r, t.weight[k]);
        sum = sum ? CALL(add, sum, term) : term;
    }
    return sum;
}

static hx_tensor *resized_back(hx_tensor *g, const resize *r) {
    if (!g) return NULL;
    int64_t shape[HX_MAX_RANK];
    for (int i = 0; i < g->ndim; i++) shape[i] = i == r->axis ? r->in : g->shape[i];
    taps t = taps_along(r);
    hx_tensor *sum = CALL(new_zeros, g, ((hx_ints){shape, g->ndim}));
    for (int k = 0; k < t.n; k++) sum = CALL(index_add, sum, r->axis, t.at[k], weighed(g, r, t.weight[k]));
    return sum;
}

/* ---- against aliases: each point of the result an average, by a kernel that grows with the step ---- */

static hx_tensor *near_or_far(hx_tensor *x, const double *near, const double *far) {
    return CALL(where, CALL(lt, x, 1), cubic_of(x, near), CALL(mul, cubic_of(x, far), CALL(lt, x, 2)));
}

/* At distances of 0 and more. */
static hx_tensor *smooth(const resize *r, hx_tensor *x) {
    if (hx_str_is(r->mode, "linear")) return CALL(maximum, CALL(sub, 1, x), 0);
    if (hx_str_is(r->mode, "cubic")) return near_or_far(x, (const double[])HX_SMOOTH_NEAR, (const double[])HX_SMOOTH_FAR);
    return CALL(mul, CALL(mul, CALL(sinc, x), CALL(sinc, CALL(div, x, 3))), CALL(lt, x, 3));
}

/* (out, in): how much each point of the axis adds to each point of the result. */
static hx_tensor *averages(const resize *r) {
    double wide = r->step > 1 ? r->step : 1;
    double reach = wide * (hx_str_is(r->mode, "linear") ? 1 : hx_str_is(r->mode, "cubic") ? 2 : 3);
    hx_tensor *at = CALL(arange, 0, r->in, 1, HX_F64);
    hx_tensor *centre = CALL(unsqueeze, CALL(mul, CALL(add, CALL(arange, 0, r->out, 1, HX_F64), 0.5), r->step), 1);
    hx_tensor *first = CALL(floor, CALL(maximum, CALL(add, centre, 0.5 - reach), 0));
    hx_tensor *last = CALL(floor, CALL(minimum, CALL(add, centre, 0.5 + reach), r->in));
    hx_tensor *weight = smooth(r, CALL(abs, CALL(div, CALL(add, CALL(sub, at, centre), 0.5), wide)));
    weight = CALL(mul, weight, CALL(logical_and, CALL(ge, at, first), CALL(lt, at, last)));
    return CALL(div, weight, CALL(sum, weight, HX_INTS(1), true));
}

static hx_tensor *averaged(hx_tensor *x, const resize *r, bool back) {
    if (!x) return NULL;
    hx_tensor *weight = CALL(cast, averages(r), x->dtype);
    if (!back) weight = CALL(transpose, weight, 0, 1);
    return CALL(transpose, CALL(matmul, CALL(transpose, x, r->axis, -1), weight), r->axis, -1);
}

/* Axes that shrink come first, so that little is left for the others; of two that grow alike the last, whose places lie
 * side by side. */
static void order_by_growth(resize *r, int n) {
    for (int i = 1; i < n; i++)
        for (int j = i; j > 0; j--) {
            double before = (double)r[j - 1].out / (double)r[j - 1].in, now = (double)r[j].out / (double)r[j].in;
            if (now > before || (now == before && now < 1)) break;
            resize moved = r[j];
            r[j] = r[j - 1];
            r[j - 1] = moved;
        }
}

/* input, or a gradient; size, scale_factor, mode, align_corners, antialias */
static hx_status resample_shape(hx_call *c) {
    const hx_tensor *x = c->in[0];
    int n = (int)c->attr[0].count;
    if (n < 1 || n > 3 || x->ndim != n + 2) return hx_refuse_rank(x, "input", "have 3 to 5 axes, two of them before those of size");
    for (int i = 0; i < n; i++)
        if (x->shape[2 + i] < 1 || x->shape[2 + i] >= INT32_MAX || c->attr[0].v.ints[i] < 1 || c->attr[0].v.ints[i] >= INT32_MAX)
            return hx_refuse_rank(x, "input", "have from 1 to 2**31 - 2 points along every spatial axis, and so must its result");
    const hx_attr *scale = &c->attr[1];
    bool usable = !hx_given(scale) || scale->count == 1 || (int)scale->count == n;
    for (uint32_t i = 0; usable && hx_given(scale) && i < scale->count; i++)
        usable = scale->v.floats[i] > 0x1p-31 && scale->v.floats[i] < 0x1p40;
    if (!usable) return hx_fail(HX_E_VALUE, HX1403_VALUE, "scale_factor must be one number or %d, from 2**-31 to 2**40", n);
    if (!hx_str_is(&c->attr[2], "nearest") && !hx_str_is(&c->attr[2], "nearest-exact"))
        HX_TRY(hx_require_dtype(x, "input", HX_SET_FLOAT));
    hx_spec_like(&c->spec[0], x);
    hx_copy_sizes(c->spec[0].shape + 2, c->attr[0].v.ints, n);
    return HX_OK;
}

static hx_status resample_in_parts(hx_call *c, bool back) {
    hx_tensor *x = c->in[0];
    resize r[3];
    int n = (int)c->attr[0].count;
    for (int i = 0; i < n; i++) {
        int64_t sizes[2] = {x->shape[2 + i], c->attr[0].v.ints[i]};
        r[i] = (resize){2 + i, sizes[back], sizes[!back], 0, &c->attr[2], c->attr[3].v.i != 0};
        r[i].step = hx_resample_step(r[i].in, r[i].out, r[i].corners, &c->attr[1], i);
    }
    order_by_growth(r, n);
    hx_dtype dtype = (hx_dtype)x->dtype;
    bool narrow = dtype == HX_F16 || dtype == HX_BF16;
    if (narrow) x = CALL(cast, x, HX_F32);
    for (int i = 0; i < n; i++) {
        const resize *next = &r[back ? n - 1 - i : i];
        x = c->attr[4].v.i ? averaged(x, next, back) : back ? resized_back(x, next) : resized(x, next);
    }
    RESULT(0, CALL(contiguous, narrow ? CALL(cast, x, dtype) : x));
    return HX_OK;
}
static hx_status resample_parts(hx_call *c) { return resample_in_parts(c, false); }
static hx_status resample_adjoint_parts(hx_call *c) { return resample_in_parts(c, true); }

static hx_status resample_vjp(hx_vjp *v) {
    GIN(0, CALL(resample_adjoint, G, hx_tail(&v->in_spec[0], (int)ATTR(0)->count), ATTR(1), ATTR(2), ATTR(3), ATTR(4)));
    return HX_OK;
}
static hx_status resample_adjoint_vjp(hx_vjp *v) {
    GIN(0, CALL(resample, G, hx_tail(&v->in_spec[0], (int)ATTR(0)->count), ATTR(1), ATTR(2), ATTR(3), ATTR(4)));
    return HX_OK;
}

static hx_status resized_size(const hx_call *c, int n, int i, int64_t in, int64_t *out) {
    const hx_attr *size = &c->attr[0], *scale = &c->attr[1];
    if (hx_given(size)) {
        *out = size->v.ints[i];
        return HX_OK;
    }
    if (scale->count != 1 && (int)scale->count != n)
        return hx_fail(HX_E_VALUE, HX1403_VALUE, "scale_factor has %d values, but there are %d spatial axes", (int)scale->count, n);
    double factor = scale->v.floats[scale->count == 1 ? 0 : i];
    if (!(factor > 0) || !((double)in * factor >= 1) || !((double)in * factor < 0x1p40))
        return hx_fail(HX_E_VALUE, HX1403_VALUE, "scale_factor %g gives spatial axis %d of size %lld no usable size", factor, i,
                       (long long)in);
    *out = (int64_t)floor((double)in * factor);
    return HX_OK;
}

static hx_status check_antialias(const hx_call *c, int n) {
    const hx_attr *mode = &c->attr[2];
    bool lanczos = hx_str_is(mode, "lanczos"), other = hx_str_is(mode, "bilinear") || hx_str_is(mode, "bicubic");
    if (c->attr[4].v.i ? n == 2 && (other || (lanczos && !c->attr[3].v.i)) : !lanczos) return HX_OK;
    return hx_fail(HX_E_VALUE, HX1403_VALUE,
                   "antialias is for the modes bilinear, bicubic and lanczos on 4 axes; lanczos needs it, and no align_corners");
}

/* input; size, scale_factor, mode, align_corners, antialias */
static hx_status interpolate_parts(hx_call *c) {
    hx_tensor *x = c->in[0];
    const hx_attr *mode = &c->attr[2];
    int n = x->ndim - 2;
    HX_TRY(check_antialias(c, n));
    bool any = hx_str_is(mode, "nearest") || hx_str_is(mode, "nearest-exact"), area = hx_str_is(mode, "area");
    int wanted = hx_str_is(mode, "linear") ? 1 : hx_str_is(mode, "trilinear") ? 3 : 2;
    if (any || area ? n < 1 || n > 3 : n != wanted) {
        const char *ranks = any || area ? "3 to 5" : (const char *[]){"3", "4", "5"}[wanted - 1];
        return hx_fail_about(FACTS("input", hx_text("%s dimensions", ranks), hx_shape_text(x->shape, x->ndim)), HX_E_SHAPE,
                             HX1001_RANK, "mode %.*s needs an input with %s dimensions (batch, channels and the spatial "
                             "ones), got shape %s", (int)mode->count, mode->v.str, ranks,
                             hx_shape_text(x->shape, x->ndim));
    }
    if (!any) HX_TRY(hx_require_dtype(x, "input", HX_SET_FLOAT));
    if (hx_given(&c->attr[0]) == hx_given(&c->attr[1]))
        return hx_fail_about(FACTS("size"), HX_E_VALUE, HX1403_VALUE, "give either size or scale_factor");
    if (c->attr[3].v.i && (any || area))
        return hx_fail(HX_E_VALUE, HX1403_VALUE, "align_corners works with linear, bilinear, trilinear and bicubic only");
    if (hx_given(&c->attr[0])) HX_TRY(hx_spatial(c, 0, "size", n, 1));
    int64_t sizes[3];
    for (int i = 0; i < n; i++) {
        if (x->shape[2 + i] < 1)
            return hx_fail(HX_E_SHAPE, HX1404_EMPTY, "input %s has no elements along axis %d", hx_shape_text(x->shape, x->ndim), 2 + i);
        HX_TRY(resized_size(c, n, i, x->shape[2 + i], &sizes[i]));
    }
    hx_ints size = {sizes, n};
    const char *method = hx_str_is(mode, "bicubic")   ? "cubic"
                         : hx_str_is(mode, "lanczos") ? "lanczos"
                         : !any                       ? "linear"
                         : hx_str_is(mode, "nearest") ? "nearest"
                                                      : "nearest-exact";
    RESULT(0, area ? CALL(adaptive_avg_pool, x, size)
                   : CALL(resample, x, size, &c->attr[1], method, c->attr[3].v.i != 0, c->attr[4].v.i != 0));
    return HX_OK;
}

/* ---- channels and pixels --------------------------------------------------------------------------------- */

static hx_status check_shuffle(const hx_tensor *x, int64_t factor, const char *name) {
    if (x->ndim < 3)
        return hx_refuse_rank(x, "input", "have at least 3 dimensions (..., channels, height, width)");
    if (factor >= 1 && factor <= INT32_MAX) return HX_OK;
    return hx_fail(HX_E_VALUE, HX1403_VALUE, "%s must be at least 1, got %lld", name, (long long)factor);
}

/* Reshape, permute, reshape: the last axes of x become `parts`, in `order`, then `last` (three sizes). */
static hx_tensor *rearranged(hx_tensor *x, const int64_t *parts, const int *order, const int64_t *last) {
    int64_t shape[HX_MAX_RANK], axes[HX_MAX_RANK];
    int lead = x->ndim - 3;
    for (int i = 0; i < lead; i++) {
        shape[i] = x->shape[i];
        axes[i] = i;
    }
    for (int i = 0; i < 5; i++) {
        shape[lead + i] = parts[i];
        axes[lead + i] = lead + order[i];
    }
    x = CALL(permute, CALL(reshape, x, ((hx_ints){shape, lead + 5})), ((hx_ints){axes, lead + 5}));
    for (int i = 0; i < 3; i++) shape[lead + i] = last[i];
    return CALL(reshape, x, ((hx_ints){shape, lead + 3}));
}

static hx_status pixel_shuffle_parts(hx_call *c) {
    hx_tensor *x = c->in[0];
    int64_t f = c->attr[0].v.i;
    HX_TRY(check_shuffle(x, f, "upscale_factor"));
    const int64_t *s = x->shape + x->ndim - 3;
    if (s[0] % (f * f))
        return hx_fail_about(FACTS("input", hx_text("a multiple of %lld", (long long)(f * f)),
                                   hx_text("%lld", (long long)s[0]), true, -3), HX_E_SHAPE, HX1002_INNER,
                             "the %lld channels (axis -3 of %s) are not a multiple of upscale_factor^2 = %lld",
                             (long long)s[0], hx_shape_text(x->shape, x->ndim), (long long)(f * f));
    int64_t channels = s[0] / (f * f), high, wide;
    if (!hx_mul_ok(s[1], f, &high) || !hx_mul_ok(s[2], f, &wide))
        return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "the result's sizes do not fit in 64 bits");
    RESULT(0, rearranged(x, (int64_t[]){channels, f, f, s[1], s[2]}, (int[]){0, 3, 1, 4, 2}, (int64_t[]){channels, high, wide}));
    return HX_OK;
}

static hx_status pixel_unshuffle_parts(hx_call *c) {
    hx_tensor *x = c->in[0];
    int64_t f = c->attr[0].v.i;
    HX_TRY(check_shuffle(x, f, "downscale_factor"));
    const int64_t *s = x->shape + x->ndim - 3;
    if (s[1] % f || s[2] % f)
        return hx_fail_about(FACTS("input", hx_text("multiples of %lld", (long long)f), hx_shape_text(x->shape, x->ndim)),
                             HX_E_SHAPE, HX1002_INNER,
                             "height and width (axes -2 and -1 of %s) are not multiples of downscale_factor %lld",
                             hx_shape_text(x->shape, x->ndim), (long long)f);
    int64_t channels;
    if (!hx_mul_ok(s[0], f * f, &channels))
        return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "the result's sizes do not fit in 64 bits");
    RESULT(0, rearranged(x, (int64_t[]){s[0], s[1] / f, f, s[2] / f, f}, (int[]){0, 2, 4, 1, 3},
                         (int64_t[]){channels, s[1] / f, s[2] / f}));
    return HX_OK;
}

/* ---- records --------------------------------------------------------------------------------------------- */

#define RESIZING REQ_INTS("size"), {.name = "scale_factor", .kind = HX_P_FLOATS}, \
                 STRING("mode", "nearest", "nearest|nearest-exact|linear|cubic|lanczos"), BOOL("align_corners", false), \
                 BOOL("antialias", false)
#define WINDOWS REQ_INTS("kernel_size"), INTS("dilation", 1), INTS("padding", 0), INTS("stride", 1)

const hx_op hx_ops_resample[] = {
    {.name = "im2col", .decompose = im2col_parts, .aliases = "unfold", .flags = HX_NN, .params = PARAMS(TENSOR("input"), WINDOWS),
     .doc = "Every window of an image as a column.\n\n"
            "input (batch, channels, height, width), or without its batch axis; the result is (batch, channels * kernel\n"
            "elements, windows). helix.nn.functional.unfold is this function.\n\n"
            "Fails with HX1002 when the kernel is larger than the padded image.\n\n"
            "Example:\n"
            "    >>> x = helix.tensor([[[[1.0, 2.0, 3.0]]]])\n"
            "    >>> helix.nn.functional.unfold(x, (1, 2)).tolist()\n"
            "    [[[1.0, 2.0], [2.0, 3.0]]]"},
    {.name = "col2im", .decompose = col2im_parts, .aliases = "fold", .flags = HX_NN,
     .params = PARAMS(TENSOR("input"), REQ_INTS("output_size"), WINDOWS),
     .doc = "Columns added up at the places their windows have in an image of output_size: the transpose of unfold.\n\n"
            "input (batch, channels * kernel elements, windows), or without its batch axis.\n\n"
            "Fails with HX1002 when the columns do not fit the windows.\n\n"
            "Example:\n"
            "    >>> x = helix.tensor([[[1.0, 2.0], [2.0, 3.0]]])\n"
            "    >>> helix.nn.functional.fold(x, (1, 3), (1, 2)).tolist()\n"
            "    [[[[1.0, 4.0, 3.0]]]]"},
    {.name = "interpolate", .decompose = interpolate_parts, .flags = HX_NN,
     .params = PARAMS(TENSOR("input"), OPT_INTS("size"), {.name = "scale_factor", .kind = HX_P_FLOATS},
                      STRING("mode", "nearest", "nearest|nearest-exact|linear|bilinear|trilinear|bicubic|area|lanczos"),
                      BOOL("align_corners", false), BOOL("antialias", false)),
     .doc = "An image resized to spatial sizes `size`, or by scale_factor.\n\n"
            "input (batch, channels, *spatial). nearest and nearest-exact take any dtype; linear, bilinear, trilinear,\n"
            "bicubic and area floats. align_corners lets the outer points of input and result coincide.\n"
            "antialias (bilinear, bicubic and lanczos, 4 axes): the kernel grows with the step, so that fine patterns are averaged.\n\n"
            "Fails with HX1403 unless exactly one of size and scale_factor is given.\n\n"
            "Example:\n"
            "    >>> x = helix.tensor([[[1.0, 3.0]]])\n"
            "    >>> helix.nn.functional.interpolate(x, size=3, mode='linear', align_corners=True).tolist()\n"
            "    [[[1.0, 2.0, 3.0]]]"},
    {.name = "resample", .shape = resample_shape, .vjp = resample_vjp, .decompose = resample_parts, .flags = HX_INTERNAL_OP,
     .params = PARAMS(TENSOR("input"), RESIZING), .doc = "What interpolate computes where windows are no part of it."},
    {.name = "resample_adjoint", .shape = resample_shape, .vjp = resample_adjoint_vjp, .decompose = resample_adjoint_parts,
     .flags = HX_INTERNAL_OP, .params = PARAMS(TENSOR("gradient"), RESIZING),
     .doc = "The transpose of resample, which is its gradient: from the sizes of a result back to `size`."},
    {.name = "pixel_shuffle", .decompose = pixel_shuffle_parts, .flags = HX_FUNCTION | HX_NN,
     .params = PARAMS(TENSOR("input"), REQ_INT("upscale_factor")),
     .doc = "Channels spread over pixels: (..., C * f * f, H, W) becomes (..., C, H * f, W * f).\n\n"
            "(Shi et al., \"Real-time single image and video super-resolution\", 2016.)\n\n"
            "Example:\n"
            "    >>> x = helix.tensor([[[1]], [[2]], [[3]], [[4]]])\n"
            "    >>> helix.pixel_shuffle(x, 2).tolist()\n"
            "    [[[1, 2], [3, 4]]]"},
    {.name = "pixel_unshuffle", .decompose = pixel_unshuffle_parts, .flags = HX_FUNCTION | HX_NN,
     .params = PARAMS(TENSOR("input"), REQ_INT("downscale_factor")),
     .doc = "Pixels gathered into channels: (..., C, H * f, W * f) becomes (..., C * f * f, H, W).\n\n"
            "Example:\n"
            "    >>> x = helix.tensor([[[1, 2], [3, 4]]])\n"
            "    >>> helix.pixel_unshuffle(x, 2).tolist()\n"
            "    [[[1]], [[2]], [[3]], [[4]]]"},
    {0},
};
