/* Fourier transforms: three primitives over lists of axes, and the functions of helix.fft made of them. */
#include <math.h>
#include "rules.h"

/* ---- primitives ---- */

static hx_status axes_of(hx_call *c) {
    const hx_tensor *t = c->in[0];
    hx_ints given = hx_ints_of(&c->attr[0]);
    uint32_t mask;
    int64_t *axes = hx_call_ints(c, given.n);
    if (given.n == 0 || t->ndim == 0) return hx_refuse_rank(t, "input", "have an axis to transform");
    if (!axes) return hx_error_last()->code;
    HX_TRY(hx_axes(given.v, given.n, t->ndim, &mask));
    for (int i = 0; i < given.n; i++) axes[i] = given.v[i] < 0 ? given.v[i] + t->ndim : given.v[i];
    c->attr[0].v.ints = axes;
    hx_spec_like(&c->spec[0], t);
    return HX_OK;
}

static int64_t last_axis(const hx_attr *dim) { return dim->v.ints[dim->count - 1]; }

static hx_status c2c_shape(hx_call *c) {
    HX_TRY(hx_require_dtype(c->in[0], "input", HX_SET_COMPLEX));
    return axes_of(c);
}

static hx_status r2c_shape(hx_call *c) {
    HX_TRY(hx_require_dtype(c->in[0], "input", HX_BIT(HX_F32) | HX_BIT(HX_F64)));
    HX_TRY(axes_of(c));
    int64_t *n = &c->spec[0].shape[last_axis(&c->attr[0])];
    *n = *n ? *n / 2 + 1 : 0;
    c->spec[0].dtype = (uint8_t)hx_complex_of((hx_dtype)c->in[0]->dtype);
    return HX_OK;
}

static hx_status c2r_shape(hx_call *c) {
    HX_TRY(hx_require_dtype(c->in[0], "input", HX_SET_COMPLEX));
    HX_TRY(axes_of(c));
    int64_t axis = last_axis(&c->attr[0]), n = c->attr[1].v.i, have = c->in[0]->shape[axis];
    if (n < 0 || (n ? n / 2 + 1 : 0) != have)
        return hx_fail_about(FACTS("n", hx_text("%lld or %lld", (long long)(2 * have - 2), (long long)(2 * have - 1)),
                                   hx_text("%lld", (long long)n), true, axis), HX_E_SHAPE, HX1002_INNER,
                             "n is %lld, and an axis of %lld holds the half spectrum of another length", (long long)n,
                             (long long)have);
    c->spec[0].shape[axis] = n;
    c->spec[0].dtype = (uint8_t)hx_real_of((hx_dtype)c->in[0]->dtype);
    return HX_OK;
}

/* Numbers along the axis of a half spectrum of length n: `ends` where an element is its own mirror, else `inside`. */
static hx_tensor *mirror_weights(const hx_spec *half, int64_t axis, int64_t n, double ends, double inside) {
    int64_t shape[HX_MAX_RANK], count[3] = {1, (n - 1) / 2, n % 2 == 0};
    hx_tensor *part[3];
    int parts = 0;
    for (int d = 0; d < half->ndim; d++) shape[d] = 1;
    for (int i = 0; i < 3; i++) {
        if (!(shape[axis] = count[i])) continue;
        part[parts++] = CALL(full, ((hx_ints){shape, half->ndim}), i == 1 ? inside : ends,
                             (int)hx_real_of((hx_dtype)half->dtype));
    }
    return parts == 1 ? part[0] : CALL(cat, ((hx_list){part, parts}), axis);
}

static hx_status c2c_vjp(hx_vjp *v) {
    bool inverse = !ATTR(1)->v.i;
    GIN(0, CALL(fft_c2c, G, ATTR(0), inverse, ATTR(2)));
    return HX_OK;
}

static hx_status r2c_vjp(hx_vjp *v) {
    int64_t axis = last_axis(ATTR(0)), n = v->in_spec[0].shape[axis];
    hx_tensor *g = n ? CALL(mul, G, mirror_weights(&v->out_spec[0], axis, n, 1, 0.5)) : G;
    GIN(0, CALL(fft_c2r, g, ATTR(0), n, ATTR(1)));
    return HX_OK;
}

static hx_status c2r_vjp(hx_vjp *v) {
    int64_t axis = last_axis(ATTR(0)), n = ATTR(1)->v.i;
    hx_tensor *g = CALL(fft_r2c, G, ATTR(0), ATTR(2));
    GIN(0, n ? CALL(mul, g, mirror_weights(&v->in_spec[0], axis, n, 1, 2)) : g);
    return HX_OK;
}

/* ---- what the functions share ---- */

/* Axes, and the lengths of the signals along them. */
typedef struct domain {
    int n;
    int64_t axis[HX_MAX_RANK], size[HX_MAX_RANK];
    const char *sizes; /* the parameter that sets lengths: n or s */
} domain;

typedef enum { COMPLEX, FROM_REAL, TO_REAL } form;

static hx_status check_sizes(const domain *d) {
    for (int i = 0; i < d->n; i++)
        if (d->size[i] < 1)
            return hx_fail_about(FACTS(d->sizes, ">= 1", hx_text("%lld", (long long)d->size[i]), true, d->axis[i]), HX_E_VALUE,
                                 HX1403_VALUE, "%s must be at least 1, got %lld for axis %lld", d->sizes,
                                 (long long)d->size[i], (long long)d->axis[i]);
    return HX_OK;
}

static int64_t usual_size(const hx_tensor *t, int64_t axis, bool half) {
    return half ? 2 * (t->shape[axis] - 1) : t->shape[axis];
}

static hx_status need_axis(const hx_tensor *t) {
    if (t->ndim) return HX_OK;
    return hx_fail_about(FACTS("input", ">= 1 dimension", "()"), HX_E_INDEX, HX1302_AXIS,
                         "input must have an axis to transform, got shape ()");
}

/* One axis: attr n, dim. */
static hx_status one_axis(const hx_call *c, form f, domain *d) {
    const hx_tensor *t = c->in[0];
    int axis;
    HX_TRY(need_axis(t));
    HX_TRY(hx_axis(c->attr[1].v.i, t->ndim, &axis));
    *d = (domain){.n = 1, .axis = {axis}, .sizes = "n"};
    d->size[0] = hx_int_or(&c->attr[0], usual_size(t, axis, f == TO_REAL));
    return check_sizes(d);
}

/* Several axes: attr s, dim. Without dim: `two` means the last two; else the last as many as s has, or all. */
static hx_status several_axes(const hx_call *c, form f, bool two, domain *d) {
    const hx_tensor *t = c->in[0];
    const hx_attr *s = &c->attr[0], *dim = &c->attr[1];
    uint32_t mask;
    HX_TRY(need_axis(t));
    *d = (domain){.sizes = "s"};
    if (hx_given(dim)) HX_TRY(hx_axes(dim->v.ints, (int)dim->count, t->ndim, &mask));
    d->n = hx_given(dim) ? (int)dim->count : two ? 2 : hx_given(s) ? (int)s->count : t->ndim;
    if (d->n == 0)
        return hx_fail_about(FACTS("dim", ">= 1 axis", "()"), HX_E_VALUE, HX1403_VALUE, "dim must name at least one axis, got ()");
    if (d->n > t->ndim) return hx_refuse_rank(t, "input", hx_text("have the %d axes that are transformed", d->n));
    if (hx_given(s) && (int)s->count != d->n)
        return hx_fail_about(FACTS("s", hx_text("%d", d->n), hx_text("%u", s->count)), HX_E_VALUE, HX1403_VALUE,
                             "s has %u sizes for %d axes", s->count, d->n);
    for (int i = 0; i < d->n; i++) {
        int64_t wanted = hx_given(dim) ? dim->v.ints[i] : i - d->n;
        d->axis[i] = wanted < 0 ? wanted + t->ndim : wanted;
        bool unset = !hx_given(s) || s->v.ints[i] == -1;
        d->size[i] = unset ? usual_size(t, d->axis[i], f == TO_REAL && i == d->n - 1) : s->v.ints[i];
    }
    return check_sizes(d);
}

/* The input with axes cut or continued with zeros to the lengths that a transform reads. */
static hx_tensor *resized(hx_tensor *t, const domain *d, form f) {
    int64_t pad[2 * HX_MAX_RANK] = {0};
    bool longer = false;
    for (int i = 0; t && i < d->n; i++) {
        int64_t wanted = f == TO_REAL && i == d->n - 1 ? d->size[i] / 2 + 1 : d->size[i], have = t->shape[d->axis[i]];
        if (wanted < have) t = CALL(narrow, t, d->axis[i], 0, wanted);
        pad[2 * (t ? t->ndim - 1 - d->axis[i] : 0) + 1] = wanted > have ? wanted - have : 0;
        longer = longer || wanted > have;
    }
    return t && longer ? CALL(constant_pad, t, 0, ((hx_ints){pad, 2 * t->ndim})) : t;
}

/* Integers become the default float, half precision becomes float32, real numbers complex ones where these are asked for. */
static hx_dtype promoted(const hx_tensor *t, bool complex) {
    hx_dtype from = (hx_dtype)t->dtype, to = hx_is_integral(from) ? hx_default_float() : from;
    if (to == HX_F16 || to == HX_BF16) to = HX_F32;
    return complex && !hx_is_complex(to) ? hx_complex_of(to) : to;
}

static hx_status result_of(hx_call *c, form f, const domain *d) {
    const hx_tensor *t = c->in[0];
    hx_spec *s = &c->spec[0];
    if (f == FROM_REAL) HX_TRY(hx_require_dtype(t, "input", HX_SET_REAL));
    hx_spec_like(s, t);
    for (int i = 0; i < d->n; i++) s->shape[d->axis[i]] = d->size[i];
    if (f == FROM_REAL) s->shape[d->axis[d->n - 1]] = d->size[d->n - 1] / 2 + 1;
    hx_dtype wide = promoted(t, true);
    s->dtype = (uint8_t)(f == TO_REAL ? hx_real_of(wide) : wide);
    return HX_OK;
}

/* norm: which direction divides by the number of points: "backward" the inverse, "forward" the forward one, "ortho" both, by
 * the square root. */
static double scale_of(const hx_attr *norm, const domain *d, bool inverse) {
    double points = 1;
    for (int i = 0; i < d->n; i++) points *= (double)d->size[i];
    if (hx_str_is(norm, "ortho")) return 1 / sqrt(points);
    return hx_str_is(norm, "forward") != inverse ? 1 / points : 1;
}

/* attr: n or s, dim, norm. `conjugate`: of input (to real) or result (from real), which turns the direction round. */
static hx_status transform(hx_call *c, form f, const domain *d, bool inverse, bool conjugate) {
    hx_ints axes = {d->axis, d->n};
    double scale = scale_of(&c->attr[2], d, inverse);
    hx_dtype type = promoted(c->in[0], f != FROM_REAL);
    hx_tensor *t = resized(c->in[0]->dtype == type ? c->in[0] : CALL(cast, c->in[0], (int)type), d, f);
    if (f == COMPLEX) RESULT(0, CALL(fft_c2c, t, axes, inverse, scale));
    else if (f == TO_REAL) RESULT(0, CALL(fft_c2r, conjugate ? cj(t) : t, axes, d->size[d->n - 1], scale));
    else RESULT(0, conjugate ? cj(CALL(fft_r2c, t, axes, scale)) : CALL(fft_r2c, t, axes, scale));
    return HX_OK;
}

#define ONE_AXIS(name, form, inverse, conjugate)                                                              \
    static hx_status name##_shape(hx_call *c) {                                                               \
        domain d;                                                                                             \
        HX_TRY(one_axis(c, form, &d));                                                                        \
        return result_of(c, form, &d);                                                                        \
    }                                                                                                         \
    static hx_status name##_parts(hx_call *c) {                                                               \
        domain d;                                                                                             \
        HX_TRY(one_axis(c, form, &d));                                                                        \
        return transform(c, form, &d, inverse, conjugate);                                                    \
    }
#define SEVERAL_AXES(name, form, inverse, conjugate, two)                                                       \
    static hx_status name##_shape(hx_call *c) {                                                               \
        domain d;                                                                                             \
        HX_TRY(several_axes(c, form, two, &d));                                                               \
        return result_of(c, form, &d);                                                                        \
    }                                                                                                         \
    static hx_status name##_parts(hx_call *c) {                                                               \
        domain d;                                                                                             \
        HX_TRY(several_axes(c, form, two, &d));                                                               \
        return transform(c, form, &d, inverse, conjugate);                                                    \
    }
ONE_AXIS(fft, COMPLEX, false, false)
ONE_AXIS(ifft, COMPLEX, true, false)
ONE_AXIS(rfft, FROM_REAL, false, false)
ONE_AXIS(irfft, TO_REAL, true, false)
ONE_AXIS(hfft, TO_REAL, false, true)
ONE_AXIS(ihfft, FROM_REAL, true, true)
SEVERAL_AXES(fft2, COMPLEX, false, false, true)
SEVERAL_AXES(ifft2, COMPLEX, true, false, true)
SEVERAL_AXES(rfft2, FROM_REAL, false, false, true)
SEVERAL_AXES(irfft2, TO_REAL, true, false, true)
SEVERAL_AXES(fftn, COMPLEX, false, false, false)
SEVERAL_AXES(ifftn, COMPLEX, true, false, false)
SEVERAL_AXES(rfftn, FROM_REAL, false, false, false)
SEVERAL_AXES(irfftn, TO_REAL, true, false, false)
SEVERAL_AXES(hfft2, TO_REAL, false, true, true)
SEVERAL_AXES(ihfft2, FROM_REAL, true, true, true)
SEVERAL_AXES(hfftn, TO_REAL, false, true, false)
SEVERAL_AXES(ihfftn, FROM_REAL, true, true, false)

/* ---- frequencies and shifts ---- */

/* attr: n, d, dtype */
static hx_status frequencies_shape(hx_call *c, bool half) {
    int64_t n = c->attr[0].v.i;
    hx_dtype dtype = hx_given(&c->attr[2]) ? (hx_dtype)c->attr[2].v.i : hx_default_float();
    if (n < 1) return hx_refuse(HX_E_VALUE, HX1403_VALUE, "n", "be at least 1", "%lld", (long long)n);
    if (c->attr[1].v.f == 0) return hx_refuse(HX_E_VALUE, HX1403_VALUE, "d", "not be 0", "%g", c->attr[1].v.f);
    if (hx_is_integral(dtype))
        return hx_fail_about(FACTS("dtype", "a floating or complex dtype", hx_dtype_name(dtype)), HX_E_DTYPE, HX1101_DTYPE,
                             "dtype must be a floating or complex one, got %s", hx_dtype_name(dtype));
    int64_t count = half ? n / 2 + 1 : n;
    hx_spec_set(&c->spec[0], dtype, &count, 1);
    return HX_OK;
}
static hx_status fftfreq_shape(hx_call *c) { return frequencies_shape(c, false); }
static hx_status rfftfreq_shape(hx_call *c) { return frequencies_shape(c, true); }

static hx_status spaced(hx_call *c, hx_tensor *numbers) {
    double step = 1 / ((double)c->attr[0].v.i * c->attr[1].v.f);
    RESULT(0, CALL(mul, CALL(cast, numbers, c->spec[0].dtype), step));
    return HX_OK;
}
static hx_status fftfreq_parts(hx_call *c) {
    int64_t n = c->attr[0].v.i;
    hx_tensor *part[2] = {CALL(arange, 0, n - n / 2), CALL(arange, -(n / 2), 0)};
    return spaced(c, CALL(cat, ((hx_list){part, 2})));
}
static hx_status rfftfreq_parts(hx_call *c) { return spaced(c, CALL(arange, 0, c->attr[0].v.i / 2 + 1)); }

/* attr: dim */
static hx_status shifted(hx_call *c, bool back) {
    hx_tensor *t = c->in[0];
    int64_t axis[HX_MAX_RANK], by[HX_MAX_RANK];
    uint32_t mask;
    int n = 0;
    hx_ints given = hx_given(&c->attr[0]) ? hx_ints_of(&c->attr[0]) : (hx_ints){NULL, 0};
    HX_TRY(hx_axes(given.v, given.n, t->ndim, &mask));
    if (hx_given(&c->attr[0]) && !given.n) mask = 0;
    for (int d = 0; d < t->ndim; d++) {
        if (!(mask >> d & 1u)) continue;
        axis[n] = d;
        by[n++] = back ? -(t->shape[d] / 2) : t->shape[d] / 2;
    }
    if (n) RESULT(0, CALL(roll, t, ((hx_ints){by, n}), ((hx_ints){axis, n})));
    else RESULT(0, CALL(clone, t));
    return HX_OK;
}
static hx_status fftshift_parts(hx_call *c) { return shifted(c, false); }
static hx_status ifftshift_parts(hx_call *c) { return shifted(c, true); }

/* ---- records ---- */

#define NORM STRING("norm", "backward", "backward|ortho|forward")
#define ONE(parts)                                                                                            \
    .name = "fft_" #parts, .shape = parts##_shape, .decompose = parts##_parts, .flags = HX_FFT,      \
    .params = PARAMS(TENSOR("input"), OPT_INT("n"), INT("dim", -1), NORM)
#define SEVERAL(parts)                                                                                        \
    .name = "fft_" #parts, .shape = parts##_shape, .decompose = parts##_parts, .flags = HX_FFT,      \
    .params = PARAMS(TENSOR("input"), OPT_INTS("s"), OPT_INTS("dim"), NORM)
#define FREQUENCIES(parts)                                                                                    \
    .name = "fft_" #parts, .shape = parts##_shape, .decompose = parts##_parts, .flags = HX_FFT | HX_CREATES | HX_NON_DIFF, \
    .params = PARAMS(REQ_INT("n"), FLOAT("d", 1), OPT_DTYPE("dtype", KW))
#define SHIFT(parts)                                                                                          \
    .name = "fft_" #parts, .decompose = parts##_parts, .flags = HX_FFT, .params = PARAMS(TENSOR("input"), OPT_INTS("dim"))
#define PART(title, rule) .name = title, .shape = rule##_shape, .vjp = rule##_vjp, .flags = HX_PRIMITIVE | HX_INTERNAL_OP
#define TYPES                                                                                                 \
    "Integers become the default float; float16 and bfloat16 are computed in float32, with results in that precision.\n"
#define ERRORS                                                                                                \
    "norm: where the division by the number of points is: backward (the inverse), forward, or ortho (half of it in each).\n" \
    "Raises ValueError (HX1403) for a length below 1, IndexError (HX1302) for an axis that is not there."
#define LENGTH "n: the length along dim; the input is cut there, or continued with zeros.\n"
#define LENGTHS "s: the lengths along dim (-1: as it is); the input is cut there, or continued with zeros.\n"

const hx_op hx_ops_fft[] = {
    {PART("fft_c2c", c2c), .params = PARAMS(TENSOR("input"), REQ_INTS("dim"), BOOL("inverse", false), FLOAT("scale", 1)),
     .doc = "The Fourier transform of complex numbers along axes, times scale."},
    {PART("fft_r2c", r2c), .params = PARAMS(TENSOR("input"), REQ_INTS("dim"), FLOAT("scale", 1)),
     .doc = "The Fourier transform of real numbers, times scale; of the last listed axis n / 2 + 1 elements."},
    {PART("fft_c2r", c2r), .params = PARAMS(TENSOR("input"), REQ_INTS("dim"), REQ_INT("n"), FLOAT("scale", 1)),
     .doc = "The real numbers, n along the last listed axis, whose half spectrum the input is, times n and scale."},
    {ONE(fft),
     .doc = "The discrete Fourier transform along one axis: result[k] = sum of input[j] exp(-2 pi i j k / n).\n\n" LENGTH
            TYPES ERRORS "\n\nSource: J. Cooley and J. Tukey, 1965; lengths with primes above 31: L. Bluestein, 1970.\n\n"
            "Example:\n    >>> helix.fft.fft(helix.tensor([1., 0., 0., 0.])).real.tolist()\n    [1.0, 1.0, 1.0, 1.0]"},
    {ONE(ifft),
     .doc = "The inverse of fft: result[j] = sum of input[k] exp(2 pi i j k / n), divided by n.\n\n" LENGTH TYPES ERRORS
            "\n\nExample:\n    >>> helix.fft.ifft(helix.tensor([4., 0., 0., 0.])).real.tolist()\n    [1.0, 1.0, 1.0, 1.0]"},
    {ONE(rfft),
     .doc = "fft of real numbers: the first n / 2 + 1 elements, of which the others are mirrors.\n\n" LENGTH TYPES ERRORS
            " Complex input is refused (HX1101)."
            "\n\nExample:\n    >>> helix.fft.rfft(helix.tensor([1., 2., 3., 4.])).tolist()\n    [(10+0j), (-2+2j), (-2+0j)]"},
    {ONE(irfft),
     .doc = "The inverse of rfft: n real numbers from n / 2 + 1 elements of their spectrum.\n\n"
            "n: the length of the result, 2 (size - 1) by default, and then even. Imaginary parts of elements that are their "
            "own mirrors count as 0.\n" TYPES ERRORS
            "\n\nExample:\n    >>> helix.fft.irfft(helix.tensor([10, -2 + 2j, -2])).tolist()\n    [1.0, 2.0, 3.0, 4.0]"},
    {ONE(hfft),
     .doc = "The real spectrum of a signal that is its own mirrored conjugate, from the half of the signal.\n\n"
            "n: the length of the result, 2 (size - 1) by default.\n" TYPES ERRORS
            "\n\nExample:\n    >>> helix.fft.hfft(helix.tensor([1., 1., 1.])).tolist()\n    [4.0, 0.0, 0.0, 0.0]"},
    {ONE(ihfft),
     .doc = "The inverse of hfft: the half of a signal, n / 2 + 1 elements, from its real spectrum.\n\n" LENGTH TYPES ERRORS
            "\n\nExample:\n    >>> helix.fft.ihfft(helix.tensor([4., 0., 0., 0.])).real.tolist()\n    [1.0, 1.0, 1.0]"},
    {SEVERAL(fft2),
     .doc = "fft along two axes, the last two by default.\n\n" LENGTHS TYPES ERRORS
            "\n\nExample:\n    >>> helix.fft.fft2(helix.ones(2, 2)).real.tolist()\n    [[4.0, 0.0], [0.0, 0.0]]"},
    {SEVERAL(ifft2),
     .doc = "ifft along two axes, the last two by default.\n\n" LENGTHS TYPES ERRORS
            "\n\nExample:\n    >>> helix.fft.ifft2(helix.ones(2, 2)).real.tolist()\n    [[1.0, 0.0], [0.0, 0.0]]"},
    {SEVERAL(rfft2),
     .doc = "rfft along the last of two axes and fft along the other; the last two by default.\n\n" LENGTHS TYPES ERRORS
            "\n\nExample:\n    >>> helix.fft.rfft2(helix.ones(2, 2)).real.tolist()\n    [[4.0, 0.0], [0.0, 0.0]]"},
    {SEVERAL(irfft2),
     .doc = "The inverse of rfft2.\n\n" LENGTHS "The last length is 2 (size - 1) by default.\n" TYPES ERRORS
            "\n\nExample:\n    >>> helix.fft.irfft2(helix.tensor([[4., 0.], [0., 0.]])).tolist()\n    [[1.0, 1.0], [1.0, 1.0]]"},
    {SEVERAL(fftn),
     .doc = "fft along several axes: those of dim, or the last as many as s has, or all.\n\n" LENGTHS TYPES ERRORS
            "\n\nExample:\n    >>> helix.fft.fftn(helix.ones(2, 2)).real.tolist()\n    [[4.0, 0.0], [0.0, 0.0]]"},
    {SEVERAL(ifftn),
     .doc = "ifft along several axes: those of dim, or the last as many as s has, or all.\n\n" LENGTHS TYPES ERRORS
            "\n\nExample:\n    >>> helix.fft.ifftn(helix.ones(2, 2)).real.tolist()\n    [[1.0, 0.0], [0.0, 0.0]]"},
    {SEVERAL(rfftn),
     .doc = "rfft along the last axis and fft along the others: those of dim, or the last as many as s has, or all.\n\n"
            LENGTHS TYPES ERRORS
            "\n\nExample:\n    >>> helix.fft.rfftn(helix.ones(2, 2)).real.tolist()\n    [[4.0, 0.0], [0.0, 0.0]]"},
    {SEVERAL(irfftn),
     .doc = "The inverse of rfftn.\n\n" LENGTHS "The last length is 2 (size - 1) by default.\n" TYPES ERRORS
            "\n\nExample:\n    >>> helix.fft.irfftn(helix.tensor([[4., 0.], [0., 0.]])).tolist()\n    [[1.0, 1.0], [1.0, 1.0]]"},
    {SEVERAL(hfft2),
     .doc = "The real spectrum of a signal that is its own mirrored conjugate, from the half of it along the last of two axes,\n"
            "the last two by default.\n\n" LENGTHS "The last length is 2 (size - 1) by default.\n" TYPES ERRORS
            "\n\nExample:\n    >>> helix.fft.hfft2(helix.ones(2, 2)).tolist()\n    [[4.0, 0.0], [0.0, 0.0]]"},
    {SEVERAL(ihfft2),
     .doc = "The inverse of hfft2: the half of a signal from its real spectrum.\n\n" LENGTHS TYPES ERRORS
            "\n\nExample:\n    >>> helix.fft.ihfft2(helix.tensor([[4., 0.], [0., 0.]])).real.tolist()\n    [[1.0, 1.0], [1.0, 1.0]]"},
    {SEVERAL(hfftn),
     .doc = "The real spectrum of a signal that is its own mirrored conjugate, from the half of it along the last of several\n"
            "axes: those of dim, or the last as many as s has, or all.\n\n"
            LENGTHS "The last length is 2 (size - 1) by default.\n" TYPES ERRORS
            "\n\nExample:\n    >>> helix.fft.hfftn(helix.ones(2, 2)).tolist()\n    [[4.0, 0.0], [0.0, 0.0]]"},
    {SEVERAL(ihfftn),
     .doc = "The inverse of hfftn: the half of a signal from its real spectrum.\n\n" LENGTHS TYPES ERRORS
            "\n\nExample:\n    >>> helix.fft.ihfftn(helix.tensor([[4., 0.], [0., 0.]])).real.tolist()\n    [[1.0, 1.0], [1.0, 1.0]]"},
    {FREQUENCIES(fftfreq),
     .doc = "The frequencies of the elements of fft for n points at a distance of d: 0, 1, ..., -1 over n d.\n\n"
            "Raises ValueError (HX1403) for n below 1 and d of 0.\n\n"
            "Example:\n    >>> helix.fft.fftfreq(4).tolist()\n    [0.0, 0.25, -0.5, -0.25]"},
    {FREQUENCIES(rfftfreq),
     .doc = "The frequencies of the elements of rfft for n points at a distance of d: 0, 1, ..., n / 2 over n d.\n\n"
            "Raises ValueError (HX1403) for n below 1 and d of 0.\n\n"
            "Example:\n    >>> helix.fft.rfftfreq(4).tolist()\n    [0.0, 0.25, 0.5]"},
    {SHIFT(fftshift),
     .doc = "The elements of a spectrum moved so that frequency 0 stands in the middle; all axes by default.\n\n"
            "Example:\n    >>> helix.fft.fftshift(helix.fft.fftfreq(4)).tolist()\n    [-0.5, -0.25, 0.0, 0.25]"},
    {SHIFT(ifftshift),
     .doc = "The inverse of fftshift; all axes by default.\n\n"
            "Example:\n    >>> helix.fft.ifftshift(helix.tensor([-0.5, -0.25, 0., 0.25])).tolist()\n    [0.0, 0.25, -0.5, -0.25]"},
    {0}};
