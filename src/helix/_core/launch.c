/* Finding a kernel and running it: the device's own, one rendered from the templates, or the CPU's on copies. */
#include "launch.h"
#include "autograd.h"
#include "dispatch.h"
#include "kernels.h"
#include "modes.h"
#include "profile.h"
#include "templates.h"
#include "threads.h"
#include "written.h"

/* ---- inputs that were replaced ---- */

static hx_status take_inputs(hx_inputs *r, hx_tensor ***in, int n) {
    r->n = n;
    r->in = n <= HX_FEW_INPUTS ? r->few : hx_alloc((size_t)n * sizeof *r->in);
    if (!r->in) return HX_E_MEMORY;
    for (int i = 0; i < n; i++) r->in[i] = (*in)[i] ? hx_tensor_retain((*in)[i]) : NULL;
    *in = r->in;
    return HX_OK;
}

hx_status hx_replace_input(hx_inputs *r, hx_tensor ***in, int n, int i, hx_tensor *owned) {
    hx_status status = r->in ? HX_OK : take_inputs(r, in, n);
    if (status) {
        hx_tensor_release(owned);
        return status;
    }
    hx_tensor_release(r->in[i]);
    r->in[i] = owned;
    return HX_OK;
}

void hx_release_inputs(hx_inputs *r) {
    if (!r->in) return;
    for (int i = 0; i < r->n; i++) hx_tensor_release(r->in[i]);
    if (r->in != r->few) hx_free(r->in, (size_t)r->n * sizeof *r->in);
    r->in = NULL;
}

/* ---- which kernel ---- */

static const hx_templates *templates;
void hx_templates_set(const hx_templates *t) { templates = t; }
const hx_templates *hx_templates_get(void) { return templates; }

static hx_dtype key_of(const hx_kernel_call *l) {
    return hx_key_dtype(l->in, l->n_in, l->n_out ? (hx_dtype)l->out[0]->dtype : HX_F32);
}

static inline const hx_op_support *own_kernel(const hx_op *op, const hx_device *device, hx_dtype key) {
    const hx_op_support *s = hx_kernel_support(op, device);
    if (s->verdict == HX_NO || !(s->dtypes & HX_BIT(key))) return NULL;
    return s->deterministic || hx_determinism_get() != HX_SAME_BITS ? s : NULL;
}
const hx_op_support *hx_own_kernel(const hx_op *op, const hx_device *device, hx_dtype key) {
    return own_kernel(op, device, key);
}

static bool rendered(const hx_op *op, const hx_device *device, hx_dtype key) {
    return device->programs && templates && templates->offers(op, device, key);
}

bool hx_has_kernel(const hx_op *op, const hx_device *device, hx_dtype key) {
    return own_kernel(op, device, key) || rendered(op, device, key);
}

/* ---- the call as a kernel sees it ---- */

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

typedef struct prepared {
    hx_op_call call;
    hx_view small[HX_FEW_INPUTS + HX_MAX_OUTPUTS], *views;
    size_t room; /* bytes taken for the views, 0 where they lie in `small` or on the desk */
    int64_t bytes;
} prepared;

static __attribute__((noinline, cold)) hx_status room_for_many(prepared *p, const hx_op *op, size_t room) {
    if (op->flags & HX_MUTATES)
        p->views = hx_desk(HX_DESK_VIEWS, room);
    else
        p->views = hx_alloc(p->room = room);
    return p->views ? HX_OK : HX_E_MEMORY;
}

static inline hx_status prepare(prepared *p, const hx_kernel_call *l) {
    size_t n = (size_t)(l->n_in + l->n_out);
    p->views = p->small;
    p->room = 0;
    if (__builtin_expect(n > HX_FEW_INPUTS + HX_MAX_OUTPUTS, 0)) HX_TRY(room_for_many(p, l->op, n * sizeof *p->views));
    hx_view *view = p->views;
    int64_t bytes = 0;
    for (int i = 0; i < l->n_in; i++) bytes += view_of(view++, l->in[i]);
    p->call = (hx_op_call){.struct_size = sizeof p->call, .n_in = (uint32_t)l->n_in, .n_out = (uint32_t)l->n_out,
                           .n_attr = (uint32_t)l->n_attr, .op = l->op->name, .in = p->views,
                           .out = view, .attr = l->attr, .attr_names = l->op->info->attr_names};
    for (int i = 0; i < l->n_out; i++) bytes += view_of(view++, l->out[i]);
    p->bytes = bytes;
    return HX_OK;
}

/* ---- running it ---- */

static __attribute__((noinline, cold)) hx_status failed_here(const hx_err *err, hx_code code) {
    return code == HX_E_MEMORY && hx_error_pending() ? code : hx_fail_kernel(err, code);
}

/* Long ones let the host language go on meanwhile. */
static __attribute__((noinline)) hx_status run_long(const hx_kernel_call *l, const hx_op_support *s, const hx_op_call *call,
                                                    hx_err *err, const hx_blocking *blocking) {
    hx_watch watch;
    HX_TRY(hx_look());
    hx_watch_begin(&watch, blocking->enter());
    hx_code code = s->kernel(l->device->handle, NULL, call, err);
    blocking->leave(watch.token);
    if (hx_watch_end(&watch)) return hx_given_up();
    return code ? failed_here(err, code) : HX_OK;
}

/* The CPU's kernels: no lock, no stream, nothing to note. */
static inline hx_status run_here(const hx_kernel_call *l, const hx_op_support *s, const prepared *p) {
    hx_err err;
    err.struct_size = sizeof err;
    err.number = 0;
    err.msg[0] = 0;
    const hx_blocking *blocking = p->bytes > HX_BLOCKING_BYTES ? hx_get_blocking() : NULL;
    if (blocking) return run_long(l, s, &p->call, &err, blocking);
    hx_code code = s->kernel(l->device->handle, NULL, &p->call, &err);
    return code ? failed_here(&err, code) : HX_OK;
}

static void mark_streams(hx_device *d, hx_tensor **t, int n) {
    uint64_t bit = 1ull << hx_stream_current(d)->number;
    for (int i = 0; i < n; i++)
        if (t[i] && t[i]->device == d) atomic_fetch_or_explicit(&t[i]->storage->streams, bit, memory_order_relaxed);
}

/* A rendered kernel where s is NULL. */
static hx_status run_there(const hx_kernel_call *l, const hx_op_support *s, const hx_op_call *call, bool *ran) {
    hx_device *d = l->device;
    hx_err err = {.struct_size = sizeof err};
    hx_code code;
    mark_streams(d, l->in, l->n_in);
    mark_streams(d, l->out, l->n_out);
    HX_TRY(hx_device_usable(d));
    void *stream = hx_stream_native(d);
    if (s) {
        if (!s->deterministic && hx_determinism_get() == HX_WARN_OF_OTHER_BITS) hx_warn_of_other_bits(l->op, d);
        hx_device_enter(d);
        code = s->kernel ? s->kernel(d->handle, stream, call, &err) : d->backend->op_run(d->handle, stream, call, &err);
        hx_device_leave(d);
    } else {
        code = templates->run(l->op, d, stream, call, &err);
        if (code == HX_E_UNSUPPORTED) return HX_OK;
    }
    *ran = true;
    if (code) return code == HX_E_MEMORY && hx_error_pending() ? code : hx_device_failed(d, code, &err, "the kernel");
    return hx_device_launched(d, l->op->name);
}

static hx_status launch_here(const hx_kernel_call *l, const hx_op_support *s) {
    prepared p;
    HX_TRY(prepare(&p, l));
    int64_t start = hx_profiling() ? hx_profile_now() : 0;
    hx_status status = run_here(l, s, &p);
    hx_mode.kernels_run++;
    if (__builtin_expect(start != 0, 0)) hx_profile_kernel(l, start);
    if (__builtin_expect(p.room != 0, 0)) hx_free(p.views, p.room);
    return status;
}

static hx_status launch(const hx_kernel_call *l, const hx_op_support *s, bool *ran) {
    prepared p;
    *ran = l->device->id == 0;
    if (*ran) return launch_here(l, s);
    HX_TRY(prepare(&p, l));
    int64_t start = hx_profiling() ? hx_profile_now() : 0;
    hx_status status = run_there(l, s, &p.call, ran);
    hx_mode.kernels_run += *ran;
    if (start && *ran) hx_profile_kernel(l, start);
    if (p.room) hx_free(p.views, p.room);
    return status;
}

/* The verdict for one call, where the backend wants to see it first. */
static hx_status ask(const hx_kernel_call *l, uint32_t *verdict) {
    const hx_device *d = l->device;
    prepared p;
    HX_TRY(prepare(&p, l));
    hx_device_enter(l->device);
    *verdict = d->backend->op_check ? d->backend->op_check(d->handle, &p.call) : HX_NO;
    hx_device_leave(l->device);
    if (p.room) hx_free(p.views, p.room);
    return HX_OK;
}

/* With every input contiguous. */
static hx_status launch_dense(const hx_kernel_call *l, const hx_op_support *s, bool *ran) {
    hx_kernel_call dense = *l;
    hx_inputs inputs;
    inputs.in = NULL;
    hx_status status = HX_OK;
    for (int i = 0; i < l->n_in && !status; i++) {
        hx_tensor *copy;
        if (!l->in[i] || hx_contiguous(l->in[i])) continue;
        status = hx_contiguous_of(l->in[i], &copy);
        if (!status) status = hx_replace_input(&inputs, &dense.in, l->n_in, i, copy);
    }
    if (!status) status = launch(&dense, s, ran);
    hx_release_inputs(&inputs);
    return status;
}

hx_status hx_launch_there(const hx_kernel_call *l, bool *ran) {
    hx_dtype key = key_of(l);
    const hx_op_support *s = own_kernel(l->op, l->device, key);
    *ran = false;
    if (s) {
        uint32_t verdict = s->verdict;
        if (verdict == HX_ASK) HX_TRY(ask(l, &verdict));
        if (verdict == HX_YES_IF_CONTIGUOUS) return launch_dense(l, s, ran);
        if (verdict == HX_YES) return launch(l, s, ran);
    }
    return rendered(l->op, l->device, key) ? launch(l, NULL, ran) : HX_OK;
}

static __attribute__((noinline)) hx_status launch_elsewhere(const hx_kernel_call *l, const hx_written *written, hx_dtype key) {
    bool ran;
    HX_TRY(hx_launch_there(l, &ran));
    if (ran) return HX_OK;
    if (l->device->id == 0 || !hx_own_kernel(l->op, hx_cpu(), key))
        return hx_fail(HX_E_DTYPE, HX1701_UNSUPPORTED,
                       "no kernel for %s and no decomposition. Cast the tensor with .to(dtype).", hx_dtype_name(key));
    return hx_fallback_run(l->op, l->device, l->in, l->n_in, l->attr, l->n_attr, l->out, l->n_out, written);
}

hx_status hx_launch_anywhere(const hx_kernel_call *l, const hx_written *written) {
    hx_dtype key = key_of(l);
    const hx_op_support *s = l->device->id == 0 ? own_kernel(l->op, l->device, key) : NULL;
    return s && s->verdict == HX_YES ? launch_here(l, s) : launch_elsewhere(l, written, key);
}

/* ---- for the rest of the core ---- */

static hx_status values_missing(void) {
    return hx_fail(HX_E_TRACE, HX1702_TRACE, "needs values, and a trace knows only shapes");
}

hx_status hx_run_kernel(const hx_op *op, hx_tensor **in, int n_in, const hx_attr *attr, int n_attr, hx_tensor **out,
                        int n_out) {
    hx_device *device = n_out ? out[0]->device : hx_cpu();
    for (int i = 0; i < n_in; i++) {
        if (!in[i]) continue;
        device = in[i]->device;
        if (!in[i]->storage) return values_missing();
    }
    return hx_launch_anywhere(&(hx_kernel_call){op, device, in, n_in, attr, n_attr, out, n_out}, NULL);
}

static hx_status check_apart(hx_tensor **in, int n_in, hx_tensor **out, int n_out) {
    for (int i = 0; i < n_out; i++) {
        HX_TRY(hx_check_written(out[i], NULL, "a written tensor"));
        bool shared = false;
        for (int j = 0; j < n_in; j++) shared = shared || hx_overlaps(out[i], in[j]);
        for (int j = 0; j < i; j++) shared = shared || hx_overlaps(out[i], out[j]);
        if (shared)
            return hx_fail(HX_E_VALUE, HX1006_INPLACE, "the written tensor %s shares memory with another argument",
                           hx_tensor_text(out[i]));
    }
    for (int i = 0; i < n_in + n_out; i++)
        if (!(i < n_in ? in[i] : out[i - n_in])->storage) return values_missing();
    return HX_OK;
}

hx_status hx_run_apart(const hx_op *op, hx_device *device, hx_tensor **in, int n_in, const hx_attr *attr, int n_attr,
                       hx_tensor **out, int n_out, bool *ran) {
    hx_kernel_call l = {op, device, in, n_in, attr, n_attr, out, n_out};
    bool outermost = hx_error_outermost_op(op->name);
    hx_status status = check_apart(in, n_in, out, n_out);
    *ran = false;
    if (!status && device->programs) status = launch(&l, NULL, ran);
    for (int i = 0; i < n_out && !status && *ran; i++)
        if (hx_counts_writes(out[i])) hx_bump_version(out[i]);
    if (outermost) hx_error_enter_op(NULL);
    return status;
}

/* The values of src in dst, which has its shape. */
static hx_status cast_into(hx_tensor *dst, hx_tensor *src) {
    hx_attr dtype = {.kind = HX_A_DTYPE, .v.i = dst->dtype};
    return hx_launch_anywhere(&(hx_kernel_call){HX_OPREF(cast), dst->device, &src, 1, &dtype, 1, &dst, 1}, NULL);
}

hx_status hx_contiguous_of(hx_tensor *t, hx_tensor **out) {
    if (hx_contiguous(t)) {
        *out = hx_tensor_retain(t);
        return HX_OK;
    }
    hx_tensor *dense;
    HX_TRY(hx_tensor_empty(t->device, (hx_dtype)t->dtype, t->shape, t->ndim, &dense));
    hx_status status = cast_into(dense, t);
    if (status)
        hx_tensor_release(dense);
    else
        *out = dense;
    return status;
}

hx_status hx_copy_into(hx_tensor *dst, hx_tensor *src) {
    hx_tensor *shown, *apart = NULL;
    int64_t strides[HX_MAX_RANK];
    HX_TRY(hx_check_written(dst, NULL, "input"));
    HX_TRY(hx_broadcast_strides(src->shape, src->strides, src->ndim, dst->shape, dst->ndim, strides));
    if (!dst->storage || !src->storage) return values_missing();
    HX_TRY(hx_tensor_view(src->storage, (hx_dtype)src->dtype, dst->shape, strides, dst->ndim, src->offset, &shown));
    hx_status status = HX_OK;
    if (hx_overlaps(dst, shown) && !hx_same_elements(dst, shown)) {
        status = hx_tensor_empty(dst->device, (hx_dtype)src->dtype, dst->shape, dst->ndim, &apart);
        if (!status) status = cast_into(apart, shown);
    }
    hx_whole_begin();
    if (!status) status = cast_into(dst, apart ? apart : shown);
    hx_whole_end();
    if (!status && hx_counts_writes(dst)) hx_bump_version(dst);
    hx_tensor_release(apart);
    hx_tensor_release(shown);
    return status;
}
