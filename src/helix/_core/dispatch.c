/* Dispatch: every call of every op passes through hx_dispatch, in this order:
 *   devices agree -> shape rule -> casts -> trace, or: view | kernel | decomposition -> autograd node.
 * Nothing that the user can see is changed before the shape rule and all allocations have succeeded. */
#include "dispatch.h"
#include <string.h>
#include "autograd.h"
#include "fallback.h"
#include "kernels.h"
#include "rng.h"
#include "templates.h"
#include "threads.h"
#include "trace.h"

enum { SMALL = 12 }; /* tensors a call handles without an allocation */

_Thread_local hx_thread_mode hx_mode;

bool hx_grad_set(bool enabled) {
    bool before = !hx_mode.no_grad;
    hx_mode.no_grad = !enabled;
    return before;
}
bool hx_inference_set(bool enabled) {
    bool before = hx_mode.inference;
    hx_mode.inference = enabled;
    return before;
}

void hx_call_init(hx_call *c, const hx_op *op) {
    c->op = op;
    c->in = NULL;
    c->n_in = 0;
    c->n_attr = op->info->n_attr;
    c->n_out = op->info->n_outputs;
    c->list_at = op->info->list_at;
    c->list_n = 0;
    c->inplace = c->has_out = false;
    c->device = NULL;
    for (int i = 0; i < c->n_attr; i++) c->attr[i] = op->info->defaults[i];
}

int64_t *hx_call_ints(hx_call *c, int n) {
    int room = (int)(sizeof c->ints_room / sizeof *c->ints_room);
    if (n < 0 || n > room - c->ints_used) {
        hx_fail(HX_E_VALUE, HX1403_VALUE, "too many values in the arguments");
        return NULL;
    }
    int64_t *p = c->ints_room + c->ints_used;
    c->ints_used += n;
    return p;
}

/* ---- checks before the shape rule ---- */

static hx_status common_device(hx_call *c) {
    hx_tensor *first = NULL;
    for (int i = 0; i < c->n_in; i++) {
        hx_tensor *t = c->in[i];
        if (!t || t->flags & HX_T_NUMBER) continue;
        if (!first)
            first = t;
        else if (t->device != first->device) {
            bool loose = t->ndim == 0 && t->device == hx_cpu();
            if (loose) continue;
            if (first->ndim == 0 && first->device == hx_cpu()) {
                first = t;
                continue;
            }
            return hx_fail_about(FACTS(.expected = first->device->name, .got = t->device->name), HX_E_DEVICE,
                                 HX1201_DEVICE,
                                 "arguments live on different devices: %s and %s. helix does not copy between "
                                 "devices by itself; call .to(device) on one of them.", hx_tensor_text(first),
                                 hx_tensor_text(t));
        }
    }
    if (first)
        c->device = first->device;
    else if (!c->device)
        c->device = hx_mode.creation ? hx_mode.creation : hx_cpu();
    return HX_OK;
}

/* Can two tensors share an element? Exact for equal geometry, else by the extent of their storage. */
static bool overlaps(const hx_tensor *a, const hx_tensor *b) {
    if (!a->storage || a->storage != b->storage || !a->numel || !b->numel) return false;
    int64_t al, ah, bl, bh;
    if (hx_extent(a->shape, a->strides, a->ndim, &al, &ah) || hx_extent(b->shape, b->strides, b->ndim, &bl, &bh))
        return true;
    int64_t sa = (int64_t)hx_dtype_size((hx_dtype)a->dtype), sb = (int64_t)hx_dtype_size((hx_dtype)b->dtype);
    return (a->offset + al) * sa < (b->offset + bh) * sb && (b->offset + bl) * sb < (a->offset + ah) * sa;
}

static bool same_elements(const hx_tensor *a, const hx_tensor *b) {
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

/* `written` names the argument in errors. */
static hx_status check_written(const hx_tensor *t, const hx_spec *s, const char *written) {
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

static const char *written_name(const hx_call *c) { return c->has_out ? "out" : c->op->params[0].name; }

static bool wants_grad(const hx_call *c) {
    if (!hx_grad_enabled() || (c->op->flags & HX_NON_DIFF && !(c->op->flags & HX_GRAD_ERROR))) return false;
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i] && hx_requires_grad(c->in[i])) return true;
    return false;
}

/* ---- casts of inputs that the shape rule asked for ---- */

hx_status hx_cast_to(hx_tensor *t, hx_dtype dtype, hx_tensor **out) {
    if (t->dtype == dtype) {
        *out = hx_tensor_retain(t);
        return HX_OK;
    }
    hx_call c;
    hx_call_init(&c, HX_OPREF(cast));
    c.in = &t;
    c.n_in = 1;
    c.attr[0] = (hx_attr){.kind = HX_A_DTYPE, .v.i = dtype};
    if (t->flags & HX_T_NUMBER) c.device = t->device;
    HX_TRY(hx_dispatch(&c));
    if (t->flags & HX_T_NUMBER) c.out[0]->flags |= HX_T_NUMBER;
    *out = c.out[0];
    return HX_OK;
}

static inline int cast_target(const hx_call *c, int i) {
    if (i < 8 && c->cast[i] >= 0) return c->cast[i];
    return c->compute;
}

typedef struct temporaries {
    hx_tensor *small[SMALL];
    hx_tensor **in; /* replaces the call's inputs; owns one reference to each non-NULL entry */
    int n;
} temporaries;

static hx_status temporaries_take(temporaries *tmp, hx_call *c) {
    tmp->n = c->n_in;
    tmp->in = c->n_in <= SMALL ? tmp->small : hx_alloc((size_t)c->n_in * sizeof *tmp->in);
    if (!tmp->in) return HX_E_MEMORY;
    for (int i = 0; i < c->n_in; i++) tmp->in[i] = c->in[i] ? hx_tensor_retain(c->in[i]) : NULL;
    c->in = tmp->in;
    return HX_OK;
}

static void temporaries_drop(temporaries *tmp) {
    if (!tmp->in) return;
    for (int i = 0; i < tmp->n; i++) hx_tensor_release(tmp->in[i]);
    if (tmp->in != tmp->small) hx_free(tmp->in, (size_t)tmp->n * sizeof *tmp->in);
    tmp->in = NULL;
}

static hx_status replace(temporaries *tmp, hx_call *c, int i, hx_tensor *owned) {
    if (!tmp->in) {
        hx_status status = temporaries_take(tmp, c);
        if (status) {
            hx_tensor_release(owned);
            return status;
        }
    }
    hx_tensor_release(tmp->in[i]);
    tmp->in[i] = owned;
    return HX_OK;
}

/* A wrapped number in another dtype, without a kernel; false when the pair needs one. */
static bool convert_number(hx_tensor *t, hx_dtype dtype, hx_tensor **out, hx_status *status) {
    hx_scalar s;
    if (!(t->flags & HX_T_NUMBER) || hx_tensor_item(t, &s) || s.kind == HX_KIND_COMPLEX) return false;
    if (dtype != HX_F32 && dtype != HX_F64) return false;
    double value = s.kind == HX_KIND_FLOAT ? s.v.f : (double)s.v.i;
    *status = hx_tensor_empty(hx_cpu(), dtype, NULL, 0, out);
    if (*status) return true;
    (*out)->flags |= HX_T_NUMBER;
    if (dtype == HX_F64)
        *(double *)(*out)->data = value;
    else
        *(float *)(*out)->data = (float)value;
    return true;
}

static hx_status cast_inputs(hx_call *c, temporaries *tmp) {
    for (int i = 0; i < c->n_in; i++) {
        int target = cast_target(c, i);
        if (!c->in[i] || target < 0 || c->in[i]->dtype == target) continue;
        hx_tensor *cast;
        hx_status status;
        if (!convert_number(c->in[i], (hx_dtype)target, &cast, &status))
            status = hx_cast_to(c->in[i], (hx_dtype)target, &cast);
        HX_TRY(status);
        HX_TRY(replace(tmp, c, i, cast));
    }
    return HX_OK;
}

/* ---- running a kernel ---- */

/* Fills a view; the bytes that it covers. */
static inline int64_t view_of(hx_view *v, const hx_tensor *t) {
    if (!t) {
        *v = (hx_view){.flags = HX_VIEW_ABSENT};
        return 0;
    }
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)t->dtype);
    v->mem = &t->storage->mem;
    v->data = t->data;
    v->byte_offset = t->offset * size;
    v->shape = t->shape;
    v->strides = t->strides;
    v->numel = t->numel;
    v->dtype = t->dtype;
    v->ndim = t->ndim;
    v->contiguous = hx_contiguous(t);
    v->flags = t->ndim == 0 && t->device->id == 0 ? HX_VIEW_HOST_SCALAR : 0;
    return t->numel * size;
}

static hx_status kernel_error(const hx_err *err, hx_code code) {
    if (code == HX_E_MEMORY && hx_error_pending()) return code;
    return hx_fail_kernel(err, code);
}

static hx_dtype key_dtype(hx_tensor **in, int n_in, hx_dtype first_out) {
    for (int i = 0; i < n_in; i++)
        if (in[i]) return (hx_dtype)in[i]->dtype;
    return first_out;
}

static const hx_op_support *support_of(const hx_op *op, const hx_device *device, hx_dtype key) {
    const hx_op_support *s = hx_kernel_support(op, device);
    return s->verdict != HX_NO && s->dtypes & HX_BIT(key) ? s : NULL;
}

static const hx_templates *templates;
void hx_templates_set(const hx_templates *t) { templates = t; }
const hx_templates *hx_templates_get(void) { return templates; }

static bool rendered(const hx_op *op, const hx_device *device, hx_dtype key) {
    return device->programs && templates && templates->offers(op, device, key);
}

/* Has the device a kernel for the op, its own or a rendered one? It may still decline a single call. */
static bool offered(const hx_op *op, const hx_device *device, hx_tensor **in, int n_in, hx_dtype first_out) {
    hx_dtype key = key_dtype(in, n_in, first_out);
    return support_of(op, device, key) || rendered(op, device, key);
}

/* A call as a kernel sees it. */
typedef struct prepared {
    hx_op_call call;
    hx_view small[SMALL + HX_MAX_OUTPUTS], *views;
    size_t room; /* bytes taken for the views, 0 where they lie in `small` or on the desk */
    int64_t bytes;
} prepared;

static hx_status prepare(prepared *p, const hx_op *op, hx_tensor **in, int n_in, const hx_attr *attr, int n_attr,
                         hx_tensor **out, int n_out) {
    size_t n = (size_t)(n_in + n_out), room = n * sizeof *p->views;
    p->views = p->small;
    p->room = 0;
    p->bytes = 0;
    if (n > SMALL + HX_MAX_OUTPUTS && op->flags & HX_MUTATES)
        p->views = hx_desk(HX_DESK_VIEWS, room);
    else if (n > SMALL + HX_MAX_OUTPUTS)
        p->views = hx_alloc(p->room = room);
    if (!p->views) return HX_E_MEMORY;
    for (int i = 0; i < n_in; i++) p->bytes += view_of(&p->views[i], in[i]);
    for (int i = 0; i < n_out; i++) p->bytes += view_of(&p->views[n_in + i], out[i]);
    p->call = (hx_op_call){.struct_size = sizeof p->call, .n_in = (uint32_t)n_in, .n_out = (uint32_t)n_out,
                           .n_attr = (uint32_t)n_attr, .op = op->name, .in = p->views, .out = p->views + n_in,
                           .attr = attr, .attr_names = op->info->attr_names};
    return HX_OK;
}

static void unprepare(prepared *p) {
    if (p->room) hx_free(p->views, p->room);
}

/* The CPU's kernels: no lock, no stream, nothing to note. */
static hx_code run_here(const hx_op_support *s, hx_device *device, const hx_op_call *call, int64_t bytes, hx_err *err) {
    const hx_blocking *blocking = bytes > HX_BLOCKING_BYTES ? hx_get_blocking() : NULL;
    void *token = blocking ? blocking->enter() : NULL;
    hx_code code = s->kernel(device->handle, NULL, call, err);
    if (blocking) blocking->leave(token);
    return code;
}

static void mark_streams(hx_device *d, hx_tensor **t, int n) {
    uint64_t bit = 1ull << hx_stream_current(d)->number;
    for (int i = 0; i < n; i++)
        if (t[i] && t[i]->device == d) atomic_fetch_or_explicit(&t[i]->storage->streams, bit, memory_order_relaxed);
}

static hx_status run_there(const hx_op *op, const hx_op_support *s, hx_device *d, const hx_op_call *call, bool *ran) {
    hx_err err = {.struct_size = sizeof err};
    hx_code code;
    HX_TRY(hx_device_usable(d));
    void *stream = hx_stream_native(d);
    if (s) {
        hx_device_enter(d);
        code = s->kernel ? s->kernel(d->handle, stream, call, &err) : d->backend->op_run(d->handle, stream, call, &err);
        hx_device_leave(d);
    } else {
        code = templates->run(op, d, stream, call, &err);
        if (code == HX_E_UNSUPPORTED) return HX_OK;
    }
    *ran = true;
    if (code) return code == HX_E_MEMORY && hx_error_pending() ? code : hx_device_failed(d, code, &err, "the kernel");
    return hx_device_launched(d, op->name);
}

static hx_status launch(const hx_op *op, const hx_op_support *s, hx_device *device, hx_tensor **in, int n_in,
                        const hx_attr *attr, int n_attr, hx_tensor **out, int n_out, bool *ran) {
    prepared p;
    HX_TRY(prepare(&p, op, in, n_in, attr, n_attr, out, n_out));
    hx_status status;
    if (device->id == 0) {
        hx_err err;
        err.struct_size = sizeof err;
        err.number = 0;
        err.msg[0] = 0;
        hx_code code = run_here(s, device, &p.call, p.bytes, &err);
        status = code ? kernel_error(&err, code) : HX_OK;
        *ran = true;
    } else {
        mark_streams(device, in, n_in);
        mark_streams(device, out, n_out);
        status = run_there(op, s, device, &p.call, ran);
    }
    hx_mode.kernels_run += *ran;
    unprepare(&p);
    return status;
}

/* The verdict for one call, where the backend wants to see it first. */
static hx_status ask(const hx_op *op, hx_device *d, hx_tensor **in, int n_in, const hx_attr *attr, int n_attr,
                     hx_tensor **out, int n_out, uint32_t *verdict) {
    prepared p;
    HX_TRY(prepare(&p, op, in, n_in, attr, n_attr, out, n_out));
    hx_device_enter(d);
    *verdict = d->backend->op_check ? d->backend->op_check(d->handle, &p.call) : HX_NO;
    hx_device_leave(d);
    unprepare(&p);
    return HX_OK;
}

/* With every input contiguous. */
static hx_status launch_dense(const hx_op *op, const hx_op_support *s, hx_device *device, hx_tensor **in, int n_in,
                              const hx_attr *attr, int n_attr, hx_tensor **out, int n_out, bool *ran) {
    hx_call copy = {.in = in, .n_in = n_in};
    temporaries tmp = {.in = NULL};
    hx_status status = HX_OK;
    for (int i = 0; i < n_in && !status; i++) {
        hx_tensor *dense;
        if (!in[i] || hx_contiguous(in[i])) continue;
        status = hx_contiguous_of(in[i], &dense);
        if (!status) status = replace(&tmp, &copy, i, dense);
    }
    if (!status) status = launch(op, s, device, copy.in, n_in, attr, n_attr, out, n_out, ran);
    temporaries_drop(&tmp);
    return status;
}

/* The device's own kernel, then a rendered one; *ran stays false when both decline. */
static hx_status try_kernel(const hx_op *op, hx_device *device, hx_tensor **in, int n_in, const hx_attr *attr,
                            int n_attr, hx_tensor **out, int n_out, bool *ran) {
    hx_dtype key = key_dtype(in, n_in, n_out ? (hx_dtype)out[0]->dtype : HX_F32);
    const hx_op_support *s = support_of(op, device, key);
    *ran = false;
    if (s) {
        uint32_t verdict = s->verdict;
        if (verdict == HX_ASK) HX_TRY(ask(op, device, in, n_in, attr, n_attr, out, n_out, &verdict));
        if (verdict == HX_YES_IF_CONTIGUOUS)
            return launch_dense(op, s, device, in, n_in, attr, n_attr, out, n_out, ran);
        if (verdict == HX_YES) return launch(op, s, device, in, n_in, attr, n_attr, out, n_out, ran);
    }
    return rendered(op, device, key) ? launch(op, NULL, device, in, n_in, attr, n_attr, out, n_out, ran) : HX_OK;
}

static hx_status no_kernel(hx_dtype key) {
    return hx_fail(HX_E_DTYPE, HX1701_UNSUPPORTED,
                   "no kernel for %s and no decomposition. Cast the tensor with .to(dtype).", hx_dtype_name(key));
}

/* A kernel of the device, a rendered one, or the CPU's on copies. */
static hx_status run_kernel(const hx_op *op, hx_device *device, hx_tensor **in, int n_in, const hx_attr *attr,
                            int n_attr, hx_tensor **out, int n_out, const hx_written *written) {
    bool ran;
    HX_TRY(try_kernel(op, device, in, n_in, attr, n_attr, out, n_out, &ran));
    if (ran) return HX_OK;
    hx_dtype key = key_dtype(in, n_in, n_out ? (hx_dtype)out[0]->dtype : HX_F32);
    if (device->id == 0 || !support_of(op, hx_cpu(), key)) return no_kernel(key);
    return hx_fallback_run(op, device, in, n_in, attr, n_attr, out, n_out, written);
}

hx_status hx_run_kernel(const hx_op *op, hx_tensor **in, int n_in, const hx_attr *attr, int n_attr, hx_tensor **out,
                        int n_out) {
    hx_device *device = n_out ? out[0]->device : hx_cpu();
    for (int i = 0; i < n_in; i++) {
        if (!in[i]) continue;
        device = in[i]->device;
        if (!in[i]->storage)
            return hx_fail(HX_E_TRACE, HX1702_TRACE, "needs values, and a trace knows only shapes");
    }
    return run_kernel(op, device, in, n_in, attr, n_attr, out, n_out, NULL);
}

static hx_status check_apart(hx_tensor **in, int n_in, hx_tensor **out, int n_out) {
    for (int i = 0; i < n_out; i++) {
        HX_TRY(check_written(out[i], NULL, "a written tensor"));
        bool shared = false;
        for (int j = 0; j < n_in; j++) shared = shared || overlaps(out[i], in[j]);
        for (int j = 0; j < i; j++) shared = shared || overlaps(out[i], out[j]);
        if (shared)
            return hx_fail(HX_E_VALUE, HX1006_INPLACE, "the written tensor %s shares memory with another argument",
                           hx_tensor_text(out[i]));
    }
    for (int i = 0; i < n_in + n_out; i++)
        if (!(i < n_in ? in[i] : out[i - n_in])->storage)
            return hx_fail(HX_E_TRACE, HX1702_TRACE, "needs values, and a trace knows only shapes");
    return HX_OK;
}

hx_status hx_run_apart(const hx_op *op, hx_device *device, hx_tensor **in, int n_in, const hx_attr *attr, int n_attr,
                       hx_tensor **out, int n_out, bool *ran) {
    bool outermost = hx_error_outermost_op(op->name);
    hx_status status = check_apart(in, n_in, out, n_out);
    *ran = false;
    if (!status && device->programs) status = launch(op, NULL, device, in, n_in, attr, n_attr, out, n_out, ran);
    for (int i = 0; i < n_out && !status && *ran; i++)
        if (!hx_mode.inference) hx_bump_version(out[i]);
    if (outermost) hx_error_enter_op(NULL);
    return status;
}

hx_status hx_contiguous_of(hx_tensor *t, hx_tensor **out) {
    if (hx_contiguous(t)) {
        *out = hx_tensor_retain(t);
        return HX_OK;
    }
    hx_tensor *dense;
    HX_TRY(hx_tensor_empty(t->device, (hx_dtype)t->dtype, t->shape, t->ndim, &dense));
    hx_attr dtype = {.kind = HX_A_DTYPE, .v.i = t->dtype};
    hx_status status = run_kernel(HX_OPREF(cast), t->device, &t, 1, &dtype, 1, &dense, 1, NULL);
    if (status)
        hx_tensor_release(dense);
    else
        *out = dense;
    return status;
}

hx_status hx_copy_into(hx_tensor *dst, hx_tensor *src) {
    hx_attr dtype = {.kind = HX_A_DTYPE, .v.i = dst->dtype};
    hx_tensor *shown, *apart = NULL;
    int64_t strides[HX_MAX_RANK];
    HX_TRY(check_written(dst, NULL, "input"));
    HX_TRY(hx_broadcast_strides(src->shape, src->strides, src->ndim, dst->shape, dst->ndim, strides));
    if (!dst->storage || !src->storage)
        return hx_fail(HX_E_TRACE, HX1702_TRACE, "needs values, and a trace knows only shapes");
    HX_TRY(hx_tensor_view(src->storage, (hx_dtype)src->dtype, dst->shape, strides, dst->ndim, src->offset, &shown));
    hx_status status = HX_OK;
    if (overlaps(dst, shown) && !same_elements(dst, shown)) {
        status = hx_tensor_empty(dst->device, (hx_dtype)src->dtype, dst->shape, dst->ndim, &apart);
        hx_attr same = {.kind = HX_A_DTYPE, .v.i = src->dtype};
        if (!status) status = run_kernel(HX_OPREF(cast), dst->device, &shown, 1, &same, 1, &apart, 1, NULL);
    }
    if (!status) status = run_kernel(HX_OPREF(cast), dst->device, apart ? &apart : &shown, 1, &dtype, 1, &dst, 1, NULL);
    if (!status && !hx_mode.inference) hx_bump_version(dst);
    hx_tensor_release(apart);
    hx_tensor_release(shown);
    return status;
}

/* ---- outputs ---- */

static void release_outputs(hx_call *c, int n) {
    for (int i = 0; i < n; i++) {
        hx_tensor_release(c->out[i]);
        c->out[i] = NULL;
    }
}

static inline bool is_view(const hx_call *c) {
    return c->op->flags & HX_VIEW && c->spec[0].offset != HX_NO_VIEW;
}

static hx_status make_view(hx_call *c) {
    hx_tensor *source = c->in[0];
    for (int i = 0; i < c->n_out; i++) {
        const hx_spec *s = &c->spec[i];
        hx_status status =
            source->storage ? hx_tensor_view(source->storage, (hx_dtype)s->dtype, s->shape, s->strides, s->ndim,
                                             s->offset, &c->out[i])
                            : hx_tensor_shape_only(source->device, (hx_dtype)s->dtype, s->shape, s->strides, s->ndim,
                                                   s->offset, &c->out[i]);
        if (status) {
            release_outputs(c, i);
            return status;
        }
        if (hx_mode.inference || s->dtype != source->dtype) continue;
        c->out[i]->base = hx_tensor_retain(source->base ? source->base : source);
        c->out[i]->base_writes = source->base ? source->base_writes : source->writes;
    }
    return HX_OK;
}

static hx_status allocate_outputs(hx_call *c) {
    for (int i = 0; i < c->n_out; i++) {
        const hx_spec *s = &c->spec[i];
        hx_status status = hx_tensor_empty(c->device, (hx_dtype)s->dtype, s->shape, s->ndim, &c->out[i]);
        if (status) {
            release_outputs(c, i);
            return status;
        }
    }
    return HX_OK;
}

/* Runs a decomposition and takes its results out of the scope. */
static hx_status decompose(hx_call *c) {
    hx_scope scope;
    hx_device *before = hx_mode.creation;
    hx_scope_enter(&scope);
    for (int i = 0; i < HX_MAX_OUTPUTS; i++) c->out[i] = NULL;
    hx_mode.creation = c->device;
    hx_status status = c->op->decompose(c);
    hx_mode.creation = before;
    if (!status)
        for (int i = 0; i < c->n_out; i++) hx_tensor_retain(c->out[i]);
    hx_scope_leave(&scope);
    return status;
}

static hx_status decompose_without_grad(hx_call *c) {
    bool before = hx_grad_set(false);
    hx_status status = decompose(c);
    hx_grad_set(before);
    return status;
}

/* Has the device no kernel of anything? */
static bool is_bare(const hx_device *d) { return d->id && !d->programs && !d->backend->op_query; }

/* Does a composite go to its parts? Not where the device has a kernel for the whole; nor where it has none for
 * anything, because then the CPU's kernel for the whole moves fewer bytes. */
static bool goes_to_parts(const hx_call *c) {
    const hx_op *op = c->op;
    hx_dtype first = (hx_dtype)c->spec[0].dtype;
    if (op->flags & HX_VALUES) return true;
    if (!op->decompose) return false;
    if (!op->shape) return true;
    if (offered(op, c->device, c->in, c->n_in, first)) return false;
    return !is_bare(c->device) || !support_of(op, hx_cpu(), key_dtype(c->in, c->n_in, first));
}

static bool may_decline(const hx_call *c) { return c->op->decompose && c->device->id && !is_bare(c->device); }

static hx_status compute_fresh(hx_call *c) {
    const hx_op *op = c->op;
    bool ran = true;
    if (is_view(c)) return make_view(c);
    if (goes_to_parts(c)) return decompose_without_grad(c);
    HX_TRY(allocate_outputs(c));
    hx_status status;
    if (may_decline(c)) /* a kernel that declines this call leaves it to the parts */
        status = try_kernel(op, c->device, c->in, c->n_in, c->attr, c->n_attr, c->out, c->n_out, &ran);
    else
        status = run_kernel(op, c->device, c->in, c->n_in, c->attr, c->n_attr, c->out, c->n_out, NULL);
    if (status || !ran) release_outputs(c, c->n_out);
    if (status || ran) return status;
    return decompose_without_grad(c);
}

/* Does the kernel that this call comes to write with gaps? One for contiguous inputs takes its outputs for such too. */
static bool writes_strided(const hx_call *c) {
    hx_dtype key = key_dtype(c->in, c->n_in, (hx_dtype)c->spec[0].dtype);
    const hx_op_support *s = support_of(c->op, c->device, key);
    if (!s && c->device->id) s = support_of(c->op, hx_cpu(), key);
    return !s || s->verdict != HX_YES_IF_CONTIGUOUS;
}

/* Results that go into existing tensors: in place where the kernel can, else computed apart and copied. */
static hx_status compute_into(hx_call *c, hx_tensor **target) {
    const hx_op *op = c->op;
    bool direct = op->shape && !(op->flags & (HX_VIEW | HX_VALUES)) && !goes_to_parts(c);
    for (int i = 0; i < c->n_out && direct; i++) {
        direct = target[i]->dtype == c->spec[i].dtype && (hx_contiguous(target[i]) || writes_strided(c));
        for (int j = 0; j < c->n_in && direct; j++)
            if (c->in[j] && overlaps(target[i], c->in[j]))
                direct = op->flags & HX_ALIAS_OK && same_elements(target[i], c->in[j]);
    }
    bool ran = false;
    if (direct && may_decline(c))
        HX_TRY(try_kernel(op, c->device, c->in, c->n_in, c->attr, c->n_attr, target, c->n_out, &ran));
    else if (direct) {
        HX_TRY(run_kernel(op, c->device, c->in, c->n_in, c->attr, c->n_attr, target, c->n_out, NULL));
        ran = true;
    }
    if (ran) {
        for (int i = 0; i < c->n_out; i++)
            if (!hx_mode.inference) hx_bump_version(target[i]);
    } else {
        hx_tensor *keep[HX_MAX_OUTPUTS];
        HX_TRY(compute_fresh(c));
        memcpy(keep, c->out, sizeof keep);
        hx_status status = HX_OK;
        for (int i = 0; i < c->n_out && !status; i++) {
            hx_spec made = {.dtype = keep[i]->dtype, .ndim = keep[i]->ndim};
            hx_copy_sizes(made.shape, keep[i]->shape, keep[i]->ndim);
            status = check_written(target[i], &made, written_name(c));
            if (!status) status = hx_copy_into(target[i], keep[i]);
        }
        for (int i = 0; i < c->n_out; i++) hx_tensor_release(keep[i]);
        if (status) return status;
    }
    for (int i = 0; i < c->n_out; i++) c->out[i] = hx_tensor_retain(target[i]);
    return HX_OK;
}

static hx_status run_mutating(hx_call *c) {
    int part = c->groups ? c->list_n / c->groups : 0;
    if (c->groups == 0 || c->list_n % c->groups)
        return hx_fail(HX_E_TYPE, HX1103_ARGUMENT, "the tensor list must hold %d groups of equal length, got %d tensors",
                       c->groups, c->list_n);
    for (int i = 0; i < c->list_n; i++)
        if (part && c->op->writes >> (i / part) & 1) HX_TRY(check_written(c->in[c->list_at + i], NULL, "tensors"));
    hx_written written = {c->list_at, part, c->op->writes};
    HX_TRY(run_kernel(c->op, c->device, c->in, c->n_in, c->attr, c->n_attr, NULL, 0, &written));
    for (int i = 0; i < c->list_n; i++)
        if (part && c->op->writes >> (i / part) & 1) hx_bump_version(c->in[c->list_at + i]);
    return HX_OK;
}

/* ---- the three modes ---- */

static hx_status values_refused(void) {
    return hx_fail(HX_E_TRACE, HX1702_TRACE,
                   "the shape of the result depends on values, and a trace knows only shapes. Compute it before the "
                   "traced part and pass the result in.");
}

static hx_status trace_call(hx_call *c, hx_tensor **target) {
    for (int i = 0; i < c->n_out; i++) {
        const hx_spec *s = &c->spec[i];
        hx_status status = HX_OK;
        if (target)
            c->out[i] = hx_tensor_retain(target[i]);
        else if (is_view(c))
            continue;
        else
            status = hx_tensor_shape_only(c->device, (hx_dtype)s->dtype, s->shape, NULL, s->ndim, 0, &c->out[i]);
        if (status) {
            release_outputs(c, i);
            return status;
        }
    }
    if (!target && is_view(c)) HX_TRY(make_view(c));
    hx_status status = hx_trace_record(c);
    if (status) release_outputs(c, c->n_out);
    return status;
}

static hx_status draw_stream(hx_call *c) {
    int r = c->op->info->rng_attr;
    if (r < 0 || c->attr[r].kind != HX_A_NONE || hx_tracing()) return HX_OK;
    hx_generator *g = hx_default_generator();
    c->attr[r] = (hx_attr){.kind = HX_A_RNG, .v.rng = {g->seed, hx_generator_draw(g)}};
    return HX_OK;
}

static hx_status grad_refused(void) {
    return hx_fail(HX_E_GRADIENT, HX1503_NO_GRAD,
                   "is not differentiable, and an input requires grad; detach the input, or run it under "
                   "helix.no_grad()");
}

/* A composite without a vjp: autograd and trace see its parts. */
static hx_status run_parts(hx_call *c, hx_tensor **target) {
    HX_TRY(decompose(c));
    if (!target) return HX_OK;
    hx_call copy;
    hx_call_init(&copy, HX_OPREF(copy));
    copy.in = (hx_tensor *[]){target[0], c->out[0]};
    copy.n_in = 2;
    copy.inplace = true;
    hx_status status = hx_dispatch(&copy);
    release_outputs(c, c->n_out);
    if (!status) c->out[0] = copy.out[0];
    return status;
}

static void spec_of(hx_spec *s, const hx_tensor *t) {
    s->dtype = t->dtype;
    s->ndim = t->ndim;
    hx_copy_sizes(s->shape, t->shape, t->ndim);
}

/* Does backward need the values that this in-place call writes over? Certainly so for the gradient of another input,
 * or where there is no other. */
static bool loses_saved(const hx_call *c) {
    if (!(c->op->saves & SAVE_IN(0)) || c->list_at >= 0) return false;
    for (int i = 1; i < c->n_in; i++)
        if (c->in[i] && hx_requires_grad(c->in[i])) return true;
    return c->n_in == 1;
}

/* The call reads a copy of what it writes, and the copy is what is saved. */
static hx_status keep_written(hx_call *c, temporaries *tmp) {
    hx_call clone;
    hx_call_init(&clone, HX_OPREF(clone));
    clone.in = &c->in[0];
    clone.n_in = 1;
    HX_TRY(hx_dispatch(&clone));
    return replace(tmp, c, 0, clone.out[0]);
}

static hx_status finish(hx_call *c, temporaries *tmp, hx_tensor **target) {
    const hx_op *op = c->op;
    HX_TRY(cast_inputs(c, tmp));
    bool record = wants_grad(c);
    if (record && op->flags & HX_GRAD_ERROR) return grad_refused();
    if (record && c->inplace && loses_saved(c)) HX_TRY(keep_written(c, tmp));
    if (target)
        for (int i = 0; i < c->n_out; i++) HX_TRY(check_written(target[i], op->shape ? &c->spec[i] : NULL, written_name(c)));
    HX_TRY(draw_stream(c));
    if (op->flags & HX_MUTATES) return hx_tracing() ? hx_trace_record(c) : run_mutating(c);
    if (op->flags & HX_VALUES && hx_tracing()) return values_refused();
    if (op->decompose && !op->vjp && (record || !op->shape)) return run_parts(c, target);
    if (hx_tracing())
        HX_TRY(trace_call(c, target));
    else
        HX_TRY(target ? compute_into(c, target) : compute_fresh(c));
    if (!record) return HX_OK;
    if (!op->shape)
        for (int i = 0; i < c->n_out; i++) spec_of(&c->spec[i], c->out[i]);
    hx_status status = hx_record(c);
    if (status) release_outputs(c, c->n_out);
    return status;
}

hx_status hx_dispatch(hx_call *c) {
    const hx_op *op = c->op;
    bool outermost = hx_error_outermost_op(op->name);
    hx_tensor *targets[HX_MAX_OUTPUTS], **target = NULL;
    if (c->has_out) {
        memcpy(targets, c->out, (size_t)c->n_out * sizeof *targets);
        target = targets;
    } else if (c->inplace) {
        targets[0] = c->in[0];
        target = targets;
    }
    c->groups = op->groups;
    c->compute = -1;
    memset(c->cast, -1, sizeof c->cast);
    c->ints_used = 0;
    temporaries tmp;
    tmp.in = NULL; /* the rest is set when something is cast */
    hx_status status = common_device(c);
    if (!status && op->shape) status = op->shape(c);
    if (!status) status = finish(c, &tmp, target);
    temporaries_drop(&tmp);
    if (outermost) hx_error_enter_op(NULL);
    return status;
}
