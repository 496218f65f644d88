/* Dispatch: every call of every op passes through hx_dispatch, in this order:
 *   devices agree -> shape rule -> casts -> trace, or: view | kernel | decomposition -> autograd node.
 * Nothing that the user can see is changed before the shape rule and all allocations have succeeded. */
#include "dispatch.h"
#include <string.h>
#include "autocast.h"
#include "autograd.h"
#include "launch.h"
#include "modes.h"
#include "profile.h"
#include "rng.h"
#include "threads.h"
#include "trace.h"
#include "transfer.h"
#include "written.h"

_Thread_local hx_thread_mode hx_mode;
hx_modes hx_process_modes;

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
    c->inplace = c->has_out = c->parts = false;
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

/* copy_ is the one op that takes its arguments from two devices. */
static hx_status bring_source(hx_call *c, hx_inputs *tmp) {
    hx_tensor *here;
    HX_TRY(hx_tensor_to(c->in[1], c->in[0]->device, &here));
    return hx_replace_input(tmp, &c->in, c->n_in, 1, here);
}

/* What one look at the inputs as they were given tells. */
typedef struct inputs_seen {
    uint64_t dtypes; /* HX_BIT of each */
    bool grad;       /* is a gradient wanted through one of them? */
} inputs_seen;

/* Tensors of one device: the common call, looked at in one pass. What else there is has common_device look again. */
static inline bool look_at_inputs(hx_call *c, inputs_seen *seen) {
    seen->dtypes = 0;
    seen->grad = false;
    if (c->n_in <= 0 || c->op->flags & HX_LIKE || !c->in[0]) return false;
    hx_device *device = c->in[0]->device;
    uint8_t common = HX_T_NUMBER;
    for (int i = 0; i < c->n_in; i++) {
        const hx_tensor *t = c->in[i];
        if (!t) continue;
        if (t->device != device || !t->storage) return false;
        common &= t->flags;
        seen->dtypes |= HX_BIT(t->dtype);
        seen->grad |= hx_requires_grad(t);
    }
    c->device = device;
    return !common;
}

static __attribute__((noinline, cold)) hx_status common_device(hx_call *c, hx_inputs *tmp) {
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
            if (c->inplace && i == 1 && c->op == HX_OPREF(copy)) return c->device = first->device, bring_source(c, tmp);
            return hx_fail_about(FACTS(.expected = first->device->name, .got = t->device->name), HX_E_DEVICE,
                                 HX1201_DEVICE,
                                 "arguments live on different devices: %s and %s. helix does not copy between "
                                 "devices by itself; call .to(device) on one of them.", hx_tensor_text(first),
                                 hx_tensor_text(t));
        }
    }
    if (first && !(c->op->flags & HX_LIKE && c->device))
        c->device = first->device;
    else if (!c->device)
        c->device = hx_mode.creation ? hx_mode.creation : hx_cpu();
    return HX_OK;
}

/* What a trace left behind has no values to compute with. */
static hx_status need_values(const hx_call *c) {
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i] && !c->in[i]->storage) return hx_trace_ended(c->in[i]);
    return HX_OK;
}

static const char *written_name(const hx_call *c) { return c->has_out ? "out" : c->op->params[0].name; }

static void look_again(const hx_call *c, inputs_seen *seen) {
    *seen = (inputs_seen){0};
    for (int i = 0; i < c->n_in; i++) {
        if (!c->in[i]) continue;
        seen->dtypes |= HX_BIT(c->in[i]->dtype);
        seen->grad |= hx_requires_grad(c->in[i]);
    }
}

static inline bool wants_grad(const hx_call *c, const inputs_seen *seen) {
    return seen->grad && hx_grad_enabled() && (c->op->flags & (HX_NON_DIFF | HX_GRAD_ERROR)) != HX_NON_DIFF;
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

/* A wrapped number in another dtype, without a kernel; false when the pair needs one. */
static bool convert_number(hx_tensor *t, hx_dtype dtype, hx_tensor **out, hx_status *status) {
    hx_scalar s;
    if (!(t->flags & HX_T_NUMBER) || !t->storage || hx_tensor_item(t, &s) || s.kind == HX_KIND_COMPLEX) return false;
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

static inline bool needs_casts(const hx_call *c, const inputs_seen *seen) {
    static const int8_t none[sizeof c->cast] = {-1, -1, -1, -1, -1, -1, -1, -1};
    if (memcmp(c->cast, none, sizeof none)) return true;
    return c->compute >= 0 && seen->dtypes & ~HX_BIT(c->compute);
}

static __attribute__((noinline)) hx_status cast_inputs(hx_call *c, hx_inputs *tmp) {
    for (int i = 0; i < c->n_in; i++) {
        int target = cast_target(c, i);
        if (!c->in[i] || target < 0 || c->in[i]->dtype == target) continue;
        hx_tensor *cast;
        hx_status status;
        if (!convert_number(c->in[i], (hx_dtype)target, &cast, &status))
            status = hx_cast_to(c->in[i], (hx_dtype)target, &cast);
        HX_TRY(status);
        HX_TRY(hx_replace_input(tmp, &c->in, c->n_in, i, cast));
    }
    return HX_OK;
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

void hx_follow_base(hx_tensor *view, hx_tensor *source) {
    bool inference = source->flags & HX_T_INFERENCE;
    if (!inference) view->flags &= (uint8_t)~HX_T_INFERENCE; /* writes to it are writes to its source, which count */
    if ((inference && hx_mode.inference) || view->dtype != source->dtype) return;
    view->base = hx_tensor_retain(source->base ? source->base : source);
    view->base_writes = source->base ? source->base_writes : source->writes;
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
        hx_follow_base(c->out[i], source);
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
static inline bool goes_to_parts(const hx_call *c) {
    const hx_op *op = c->op;
    if (!op->decompose) return false;
    if (op->flags & HX_VALUES || !op->shape) return true;
    hx_dtype key = hx_key_dtype(c->in, c->n_in, (hx_dtype)c->spec[0].dtype);
    if (hx_has_kernel(op, c->device, key)) return false;
    return !is_bare(c->device) || !hx_own_kernel(op, hx_cpu(), key);
}

static bool may_decline(const hx_call *c) { return c->op->decompose && c->device->id && !is_bare(c->device); }

/* *ran is false where the kernel declines and leaves the call to the parts. */
static hx_status run_kernel(hx_call *c, hx_tensor **out, bool *ran) {
    hx_kernel_call k = {c->op, c->device, c->in, c->n_in, c->attr, c->n_attr, out, c->n_out};
    if (may_decline(c)) return hx_launch_there(&k, ran);
    *ran = true;
    return hx_launch_anywhere(&k, NULL);
}

static hx_status compute_fresh(hx_call *c) {
    bool ran;
    if (is_view(c)) return make_view(c);
    if (goes_to_parts(c)) return decompose_without_grad(c);
    HX_TRY(allocate_outputs(c));
    hx_status status = run_kernel(c, c->out, &ran);
    if (status || !ran) release_outputs(c, c->n_out);
    if (status || ran) return status;
    return decompose_without_grad(c);
}

/* Does the kernel that this call comes to write with gaps? One for contiguous inputs takes its outputs for such too. */
static bool writes_strided(const hx_call *c) {
    hx_dtype key = hx_key_dtype(c->in, c->n_in, (hx_dtype)c->spec[0].dtype);
    const hx_op_support *s = hx_own_kernel(c->op, c->device, key);
    if (!s && c->device->id) s = hx_own_kernel(c->op, hx_cpu(), key);
    return !s || s->verdict != HX_YES_IF_CONTIGUOUS;
}

/* In place it is done wholly. What `out` held is lost when the call is given up, and whoever saved it must know. */
static hx_status run_into(hx_call *c, hx_tensor **target, bool *ran) {
    if (c->inplace) hx_whole_begin();
    hx_status status = run_kernel(c, target, ran);
    if (c->inplace) hx_whole_end();
    if (status && status != HX_E_CALLBACK) return status;
    if (status || *ran)
        for (int i = 0; i < c->n_out; i++)
            if (hx_counts_writes(target[i])) hx_bump_version(target[i]);
    return status;
}

/* Results that go into existing tensors: in place where the kernel can, else computed apart and copied. */
static hx_status compute_into(hx_call *c, hx_tensor **target) {
    const hx_op *op = c->op;
    bool direct = op->shape && !(op->flags & (HX_VIEW | HX_VALUES)) && !goes_to_parts(c);
    for (int i = 0; i < c->n_out && direct; i++) {
        direct = target[i]->dtype == c->spec[i].dtype && (hx_contiguous(target[i]) || writes_strided(c));
        for (int j = 0; j < c->n_in && direct; j++)
            if (c->in[j] && hx_overlaps(target[i], c->in[j]))
                direct = op->flags & HX_ALIAS_OK && hx_same_elements(target[i], c->in[j]);
    }
    bool ran = false;
    if (direct) HX_TRY(run_into(c, target, &ran));
    if (!ran) {
        hx_tensor *keep[HX_MAX_OUTPUTS];
        HX_TRY(compute_fresh(c));
        memcpy(keep, c->out, sizeof keep);
        hx_status status = HX_OK;
        hx_whole_begin();
        for (int i = 0; i < c->n_out && !status; i++) {
            hx_spec made = {.dtype = keep[i]->dtype, .ndim = keep[i]->ndim};
            hx_copy_sizes(made.shape, keep[i]->shape, keep[i]->ndim);
            status = hx_check_written(target[i], &made, written_name(c));
            if (!status) status = hx_copy_into(target[i], keep[i]);
        }
        hx_whole_end();
        for (int i = 0; i < c->n_out; i++) hx_tensor_release(keep[i]);
        if (status) return status;
    }
    for (int i = 0; i < c->n_out; i++) c->out[i] = hx_tensor_retain(target[i]);
    return HX_OK;
}

hx_tensor *hx_told_numbers(const hx_call *c) {
    int behind = c->list_at + c->list_n;
    return behind < c->n_in ? c->in[behind] : NULL;
}

int hx_count_numbers(const hx_op *op) {
    int n = 0;
    for (const hx_param *p = op->params; p->kind != HX_P_END; p++) n += p->kind == HX_P_FLOAT || p->kind == HX_P_INT;
    return n;
}

hx_status hx_take_numbers(hx_call *c) {
    hx_tensor *told = hx_told_numbers(c);
    if (!told) return HX_OK;
    if (!told->storage || told->device != hx_cpu())
        return hx_fail(HX_E_DEVICE, HX1201_DEVICE, "numbers must lie in the memory of the host");
    const double *value = told->data;
    for (int i = 0; i < c->n_attr; i++) {
        if (c->attr[i].kind == HX_A_FLOAT) c->attr[i].v.f = *value++;
        if (c->attr[i].kind == HX_A_INT) c->attr[i].v.i = (int64_t)*value++;
    }
    return HX_OK;
}

static hx_status run_mutating(hx_call *c) {
    HX_TRY(hx_take_numbers(c));
    int part = c->groups ? c->list_n / c->groups : 0;
    if (c->groups == 0 || c->list_n % c->groups)
        return hx_fail(HX_E_TYPE, HX1103_ARGUMENT, "the tensor list must hold %d groups of equal length, got %d tensors",
                       c->groups, c->list_n);
    for (int i = 0; i < c->list_n; i++)
        if (part && c->op->writes >> (i / part) & 1) HX_TRY(hx_check_written(c->in[c->list_at + i], NULL, "tensors"));
    hx_written written = {c->list_at, part, c->op->writes};
    hx_kernel_call k = {c->op, c->device, c->in, c->list_at + c->list_n, c->attr, c->n_attr, NULL, 0};
    hx_whole_begin();
    hx_status status = hx_launch_anywhere(&k, &written);
    hx_whole_end();
    if (status) return status;
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

/* Do two tensors show the same memory, as far as a trace knows? */
static bool shares_memory(const hx_tensor *a, const hx_tensor *b) {
    if (a->storage || b->storage) return hx_overlaps(a, b);
    return (a->base ? a->base : a) == (b->base ? b->base : b);
}

/* Records that the values of `source`, stretched and cast, go into `target`. */
static hx_status record_copy(hx_tensor *target, hx_tensor *source) {
    hx_scope scope;
    hx_call cast;
    hx_scope_enter(&scope);
    hx_tensor *shown = CALL(expand, source, ((hx_ints){target->shape, target->ndim}));
    hx_status status = shown ? HX_OK : hx_error_last()->code;
    if (shown) {
        hx_call_init(&cast, HX_OPREF(cast));
        cast.in = &shown;
        cast.n_in = 1;
        cast.attr[0] = (hx_attr){.kind = HX_A_DTYPE, .v.i = target->dtype};
        cast.has_out = true;
        cast.out[0] = target;
        status = hx_dispatch(&cast);
        if (!status) hx_tensor_release(cast.out[0]);
    }
    hx_scope_leave(&scope);
    return status;
}

static hx_status lower(hx_call *c);

/* What a plan runs for a call that writes: the kernel, where it can write there, or one and a copy. */
static hx_status lower_into(hx_call *c, hx_tensor **target) {
    if (c->op == HX_OPREF(copy) && c->inplace) {
        HX_TRY(record_copy(target[0], c->in[1]));
        c->out[0] = hx_tensor_retain(target[0]);
        return HX_OK;
    }
    bool direct = c->op->shape && !(c->op->flags & (HX_VIEW | HX_VALUES)) && !goes_to_parts(c);
    for (int i = 0; i < c->n_out && direct; i++) {
        direct = target[i]->dtype == c->spec[i].dtype && (hx_contiguous(target[i]) || writes_strided(c));
        for (int j = 0; j < c->n_in && direct; j++)
            if (c->in[j] && shares_memory(target[i], c->in[j]))
                direct = c->op->flags & HX_ALIAS_OK && hx_same_elements(target[i], c->in[j]);
    }
    if (direct) return trace_call(c, target);
    bool inplace = c->inplace, has_out = c->has_out;
    c->inplace = c->has_out = false;
    hx_status status = lower(c);
    c->inplace = inplace;
    c->has_out = has_out;
    HX_TRY(status);
    for (int i = 0; i < c->n_out; i++) {
        hx_tensor *made = c->out[i];
        if (!status) status = record_copy(target[i], made);
        hx_tensor_release(made);
        c->out[i] = status ? NULL : hx_tensor_retain(target[i]);
    }
    if (status)
        for (int i = 0; i < c->n_out; i++) hx_tensor_release(c->out[i]);
    return status;
}

/* What a plan runs: the kernel, a view, or the parts. */
static hx_status lower(hx_call *c) {
    if (is_view(c)) return trace_call(c, NULL);
    if (goes_to_parts(c)) return decompose_without_grad(c);
    hx_dtype key = hx_key_dtype(c->in, c->n_in, (hx_dtype)c->spec[0].dtype);
    if (c->device->id == 0 && !hx_own_kernel(c->op, c->device, key))
        return hx_fail(HX_E_DTYPE, HX1701_UNSUPPORTED,
                       "no kernel for %s and no decomposition. Cast the tensor with .to(dtype).", hx_dtype_name(key));
    return trace_call(c, NULL);
}

static hx_status trace_or_lower(hx_call *c, hx_tensor **target) {
    if (!hx_trace_lowers()) return trace_call(c, target);
    return target ? lower_into(c, target) : lower(c);
}

static hx_status draw_stream(hx_call *c) {
    int r = c->op->info->rng_attr;
    if (r < 0 || c->attr[r].kind != HX_A_NONE) return HX_OK;
    if (hx_tracing()) return hx_trace_draw(&c->attr[r]), HX_OK;
    hx_generator *g = hx_default_generator();
    c->attr[r] = (hx_attr){.kind = HX_A_RNG, .v.rng = {g->seed, hx_generator_draw(g)}};
    return HX_OK;
}

static hx_status grad_refused(void) {
    return hx_fail(HX_E_GRADIENT, HX1503_NO_GRAD,
                   "is not differentiable, and an input requires grad; detach the input, or run it under "
                   "helix.no_grad()");
}

static const char *tensor_name(const hx_op *op, int number) {
    const hx_param *p = op->params;
    for (int tensors = -1;; p++) {
        tensors += p->kind == HX_P_TENSOR || p->kind == HX_P_OPT_TENSOR;
        if (tensors == number) return p->name;
    }
}

static hx_status refuse_constants(const hx_call *c) {
    for (int i = 0; i < c->n_in && c->op->constants >> i; i++) {
        if (!(c->op->constants & CONSTANT_IN(i)) || !c->in[i] || !hx_requires_grad(c->in[i])) continue;
        const char *name = tensor_name(c->op, i);
        return hx_fail_about(FACTS(name), HX_E_GRADIENT, HX1503_NO_GRAD,
                             "is not differentiable in %s, which requires grad; detach it, or run it under "
                             "helix.no_grad()", name);
    }
    return HX_OK;
}

static void spec_of(hx_spec *s, const hx_tensor *t) {
    s->dtype = t->dtype;
    s->ndim = t->ndim;
    hx_copy_sizes(s->shape, t->shape, t->ndim);
}

/* Copies a result to where it belongs, and puts that in its place. */
static hx_status write_part(hx_tensor **result, hx_tensor *target) {
    hx_call copy;
    hx_call_init(&copy, HX_OPREF(copy));
    copy.in = (hx_tensor *[]){target, *result};
    copy.n_in = 2;
    copy.inplace = true;
    HX_TRY(hx_dispatch(&copy));
    hx_tensor_release(*result);
    *result = copy.out[0];
    return HX_OK;
}

/* A composite without a vjp: autograd and trace see its parts. */
static hx_status run_parts(hx_call *c, hx_tensor **target) {
    HX_TRY(decompose(c));
    hx_status status = HX_OK;
    for (int i = 0; target && i < c->n_out && !status; i++) {
        hx_spec made;
        spec_of(&made, c->out[i]);
        status = hx_check_written(target[i], &made, written_name(c));
    }
    for (int i = 0; target && i < c->n_out && !status; i++) status = write_part(&c->out[i], target[i]);
    if (status) release_outputs(c, c->n_out);
    return status;
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
static hx_status keep_written(hx_call *c, hx_inputs *tmp) {
    hx_call clone;
    hx_call_init(&clone, HX_OPREF(clone));
    clone.in = &c->in[0];
    clone.n_in = 1;
    HX_TRY(hx_dispatch(&clone));
    return hx_replace_input(tmp, &c->in, c->n_in, 0, clone.out[0]);
}

/* A call that writes, draws, is traced, leaves a node, or has no shape rule. */
static __attribute__((noinline)) hx_status finish(hx_call *c, hx_inputs *tmp, hx_tensor **target, bool record) {
    const hx_op *op = c->op;
    if (record && op->flags & HX_GRAD_ERROR) return grad_refused();
    if (record && op->constants) HX_TRY(refuse_constants(c));
    if (record && c->inplace && loses_saved(c)) HX_TRY(keep_written(c, tmp));
    if (target)
        for (int i = 0; i < c->n_out; i++) HX_TRY(hx_check_written(target[i], op->shape ? &c->spec[i] : NULL, written_name(c)));
    HX_TRY(draw_stream(c));
    if (op->flags & HX_MUTATES) return hx_tracing() ? hx_trace_record(c) : run_mutating(c);
    if (op->flags & HX_VALUES && hx_tracing()) return values_refused();
    if (op->decompose && (c->parts || (!op->vjp && (record || !op->shape)))) return run_parts(c, target);
    if (hx_tracing())
        HX_TRY(trace_or_lower(c, target));
    else
        HX_TRY(target ? compute_into(c, target) : compute_fresh(c));
    if (!record) return HX_OK;
    if (!op->shape)
        for (int i = 0; i < c->n_out; i++) spec_of(&c->spec[i], c->out[i]);
    hx_status status = hx_record(c);
    if (status) release_outputs(c, c->n_out);
    return status;
}

static inline hx_status shape_and_run(hx_call *c, hx_inputs *tmp, hx_tensor **target, inputs_seen *seen) {
    const hx_op *op = c->op;
    if (op->shape) HX_TRY(op->shape(c));
    if (needs_casts(c, seen)) {
        HX_TRY(cast_inputs(c, tmp));
        look_again(c, seen);
    }
    bool record = wants_grad(c, seen);
    bool plain = op->shape && !(op->flags & (HX_MUTATES | HX_VALUES)) && op->info->rng_attr < 0;
    return plain && !record && !target && !hx_tracing() ? compute_fresh(c) : finish(c, tmp, target, record);
}

/* Within the call, what it is made of is not cast again. */
static __attribute__((noinline, cold)) hx_status run_autocast(hx_call *c, hx_inputs *tmp, inputs_seen *seen) {
    int8_t cast[2] = {hx_mode.autocast[0], hx_mode.autocast[1]};
    hx_status status = hx_autocast(c, tmp);
    look_again(c, seen);
    if (!status) status = shape_and_run(c, tmp, NULL, seen);
    hx_mode.autocast[0] = cast[0];
    hx_mode.autocast[1] = cast[1];
    return status;
}

static inline hx_status check_and_run(hx_call *c, hx_tensor **target) {
    hx_inputs tmp;
    inputs_seen seen;
    tmp.in = NULL; /* the rest is set when something is cast */
    hx_status status = HX_OK;
    if (__builtin_expect(!look_at_inputs(c, &seen), 0)) {
        if (!hx_tracing()) status = need_values(c);
        if (!status) status = common_device(c, &tmp);
        look_again(c, &seen);
    }
    if (!status && __builtin_expect(hx_mode.autocast[0] | hx_mode.autocast[1], 0) && !target)
        status = run_autocast(c, &tmp, &seen);
    else if (!status)
        status = shape_and_run(c, &tmp, target, &seen);
    if (tmp.in) hx_release_inputs(&tmp);
    return status;
}

static hx_status run_writing(hx_call *c) {
    hx_tensor *target[HX_MAX_OUTPUTS];
    if (c->has_out)
        memcpy(target, c->out, (size_t)c->n_out * sizeof *target);
    else
        target[0] = c->in[0];
    return check_and_run(c, target);
}

hx_status hx_dispatch(hx_call *c) {
    const hx_op *op = c->op;
    bool outermost = hx_error_outermost_op(op->name);
    if (outermost && hx_profiling() && hx_profile_enter_call()) {
        hx_error_enter_op(NULL);
        return hx_error_last()->code;
    }
    c->groups = op->groups;
    c->compute = -1;
    memset(c->cast, -1, sizeof c->cast);
    c->ints_used = 0;
    hx_status status = c->has_out || c->inplace ? run_writing(c) : check_and_run(c, NULL);
    if (outermost) hx_error_enter_op(NULL);
    return status;
}
