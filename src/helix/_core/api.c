/* The embedding API (helix/api.h): every slot is a core function behind checks of what strangers pass in. An error leaves
 * the core's pending state at once, so that an embedder who never clears it disturbs nobody. */
#include "api.h"
#include <string.h>
#include "autograd.h"
#include "dispatch.h"
#include "dlpack.h"
#include "transfer.h"

static const hx_api_host *host;

static hx_code call_op(const char *name, hx_tensor *const *in, uint32_t n_in, const hx_named *attr, uint32_t n_attr,
                       hx_tensor **out, uint32_t n_out);

static hx_code done(hx_status status) { return status ? hx_error_set_aside() : HX_OK; }

static hx_status find_device(const char *name, hx_device **out) {
    if (!name || !strcmp(name, "cpu")) {
        *out = hx_cpu();
        return HX_OK;
    }
    if (host && host->device_ready) HX_TRY(host->device_ready(name));
    return hx_device_find(name, out);
}

static hx_status check_geometry(int32_t dtype, const int64_t *shape, int32_t ndim) {
    int64_t numel;
    if (dtype < 0 || dtype >= HX_DTYPE_COUNT)
        return hx_fail(HX_E_DTYPE, HX1101_DTYPE, "%d is no dtype", dtype);
    if (ndim < 0 || ndim > HX_MAX_RANK)
        return hx_fail(HX_E_SHAPE, HX1001_RANK, "a tensor has at most %d dimensions, got %d", HX_MAX_RANK, ndim);
    return hx_numel(shape, ndim, &numel);
}

/* ---- tensors ---- */

static hx_status empty(const char *device, int32_t dtype, const int64_t *shape, int32_t ndim, hx_tensor **out) {
    hx_device *d;
    *out = NULL;
    HX_TRY(check_geometry(dtype, shape, ndim));
    HX_TRY(find_device(device, &d));
    return hx_tensor_empty(d, (hx_dtype)dtype, shape, ndim, out);
}

static hx_code tensor_empty(const char *device, int32_t dtype, const int64_t *shape, int32_t ndim, hx_tensor **out) {
    return done(empty(device, dtype, shape, ndim, out));
}

static hx_status fill(hx_tensor *t, const void *data) {
    int64_t nbytes = t->numel * (int64_t)hx_dtype_size((hx_dtype)t->dtype);
    if (nbytes == 0) return HX_OK;
    if (!t->data) return hx_device_write(t->device, &t->storage->mem, 0, data, (uint64_t)nbytes);
    memcpy(t->data, data, (size_t)nbytes);
    return HX_OK;
}

static hx_code tensor_from_data(const char *device, int32_t dtype, const int64_t *shape, int32_t ndim, const void *data,
                                hx_tensor **out) {
    hx_status status = empty(device, dtype, shape, ndim, out);
    if (!status && (status = fill(*out, data))) {
        hx_tensor_release(*out);
        *out = NULL;
    }
    return done(status);
}

static hx_status wrap(void *data, int32_t dtype, const int64_t *shape, const int64_t *strides, int32_t ndim,
                      uint32_t flags, void (*release)(void *), void *owner, hx_tensor **out) {
    int64_t row_major[HX_MAX_RANK], low, high, nbytes;
    *out = NULL;
    HX_TRY(check_geometry(dtype, shape, ndim));
    if (!strides) hx_row_major(shape, ndim, row_major);
    if (!strides) strides = row_major;
    HX_TRY(hx_extent(shape, strides, ndim, &low, &high));
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)dtype);
    if (!hx_mul_ok(high - low, size, &nbytes))
        return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "the size of the memory does not fit in 64 bits");
    return hx_tensor_wrap(hx_cpu(), (char *)data + low * size, nbytes, flags & HX_WRAP_READ_ONLY, (hx_dtype)dtype, shape,
                          strides, ndim, -low, release, owner, out);
}

static hx_code tensor_wrap(void *data, int32_t dtype, const int64_t *shape, const int64_t *strides, int32_t ndim,
                           uint32_t flags, void (*release)(void *), void *owner, hx_tensor **out) {
    return done(wrap(data, dtype, shape, strides, ndim, flags, release, owner, out));
}

static hx_tensor *tensor_retain(hx_tensor *t) { return t ? hx_tensor_retain(t) : NULL; }
static int32_t tensor_dtype(const hx_tensor *t) { return t->dtype; }
static int32_t tensor_ndim(const hx_tensor *t) { return t->ndim; }
static const int64_t *tensor_shape(const hx_tensor *t) { return t->shape; }
static const int64_t *tensor_strides(const hx_tensor *t) { return t->strides; }
static int64_t tensor_numel(const hx_tensor *t) { return t->numel; }
static const char *tensor_device(const hx_tensor *t) { return t->device->name; }
static void *tensor_data_host(const hx_tensor *t) { return t->data; }
static int32_t tensor_is_contiguous(const hx_tensor *t) { return hx_contiguous(t) ? 1 : 0; }

static hx_code tensor_contiguous(hx_tensor *t, hx_tensor **out) {
    return call_op("contiguous", &t, 1, NULL, 0, out, 1);
}

static hx_code tensor_to_device(hx_tensor *t, const char *device, hx_tensor **out) {
    hx_device *d;
    *out = NULL;
    hx_status status = find_device(device, &d);
    return done(status ? status : hx_tensor_to(t, d, out));
}

static hx_code tensor_read(const hx_tensor *t, void *to, uint64_t nbytes) {
    return done(hx_tensor_read(t, to, nbytes > INT64_MAX ? -1 : (int64_t)nbytes));
}

static void release_managed(void *owner) {
    hx_dl_versioned *m = owner;
    if (m->deleter) m->deleter(m);
}

static hx_status from_dlpack(hx_dl_versioned *m, hx_tensor **out) {
    *out = NULL;
    if (m->version.major != 1)
        return hx_fail(HX_E_VERSION, HX1801_PLUGIN, "DLPack %u.%u is not understood; helix reads 1.x", m->version.major,
                       m->version.minor);
    return hx_dlpack_import(&m->tensor, m->flags & HX_DL_READ_ONLY, release_managed, m, out);
}

static hx_code tensor_from_dlpack(hx_dl_versioned *m, hx_tensor **out) { return done(from_dlpack(m, out)); }

static hx_code tensor_to_dlpack(hx_tensor *t, hx_dl_versioned **out) {
    *out = NULL;
    if (hx_requires_grad(t))
        return done(hx_fail(HX_E_GRADIENT, HX1503_NO_GRAD, "a tensor that requires grad cannot be exported; detach it"));
    return done(hx_dlpack_export(t, 0, out));
}

/* ---- calls of ops ---- */

static const hx_param *attribute_param(const hx_op *op, int position) {
    const hx_param *p = op->params;
    for (; p->kind != HX_P_END; p++)
        if (p->kind > HX_P_TENSORS && position-- == 0) break;
    return p;
}

bool hx_one_of(const char *choices, const char *text, size_t length) {
    while (choices && *choices) {
        size_t n = strcspn(choices, "|");
        if (n == length && !memcmp(choices, text, n)) return true;
        choices += n + (choices[n] == '|');
    }
    return !choices;
}

/* The kernels and rules trust an attribute's kind: what cannot be made one of the parameter's is refused here. */
static bool convert(const hx_param *p, const hx_attr *from, hx_attr *to) {
    bool whole = from->kind == HX_A_INT || from->kind == HX_A_BOOL;
    *to = *from;
    switch (p->kind) {
    case HX_P_BOOL:
        to->kind = HX_A_BOOL;
        to->v.i = from->v.i != 0;
        return whole;
    case HX_P_INT:
    case HX_P_OPT_INT: to->kind = HX_A_INT; return whole;
    case HX_P_FLOAT:
    case HX_P_OPT_FLOAT:
        to->kind = HX_A_FLOAT;
        if (whole) to->v.f = (double)from->v.i;
        return whole || from->kind == HX_A_FLOAT;
    case HX_P_NUMBER:
    case HX_P_OPT_NUMBER: return whole || from->kind == HX_A_FLOAT || from->kind == HX_A_COMPLEX;
    case HX_P_INTS:
    case HX_P_OPT_INTS:
        if (whole) *to = (hx_attr){.kind = HX_A_INTS, .count = 1, .v.ints = &from->v.i};
        return (whole || from->kind == HX_A_INTS) && to->count <= INT32_MAX;
    case HX_P_FLOATS: return from->kind == HX_A_FLOATS && from->count <= INT32_MAX;
    case HX_P_DTYPE:
    case HX_P_OPT_DTYPE:
        to->kind = HX_A_DTYPE;
        return (whole || from->kind == HX_A_DTYPE) && from->v.i >= 0 && from->v.i < HX_DTYPE_COUNT;
    case HX_P_STRING: return from->kind == HX_A_STR && from->v.str && hx_one_of(p->choices, from->v.str, from->count);
    case HX_P_RNG: return from->kind == HX_A_RNG;
    default: return false;
    }
}

static hx_status bind_device(hx_call *c, const hx_attr *a) {
    char name[64];
    if (a->kind != HX_A_STR || a->count >= sizeof name)
        return hx_fail(HX_E_TYPE, HX1103_ARGUMENT, "device must be a name such as \"cpu\"");
    memcpy(name, a->v.str, a->count);
    name[a->count] = 0;
    return find_device(name, &c->device);
}

static hx_status bind(hx_call *c, const hx_named *named) {
    const hx_op *op = c->op;
    int i = 0;
    if (!named->name) return hx_fail(HX_E_TYPE, HX1103_ARGUMENT, "an attribute has no name");
    while (i < c->n_attr && strcmp(op->info->attr_names[i], named->name) != 0) i++;
    if (i == c->n_attr && op->flags & HX_CREATES && !strcmp(named->name, "device")) return bind_device(c, &named->value);
    if (i == c->n_attr) return hx_fail(HX_E_TYPE, HX1103_ARGUMENT, "has no parameter named %.60s", named->name);
    if (named->value.kind == HX_A_NONE) return HX_OK;
    if (!convert(attribute_param(op, i), &named->value, &c->attr[i]))
        return hx_fail_about(FACTS(.argument = named->name), HX_E_TYPE, HX1103_ARGUMENT,
                             "%.60s is of the wrong kind, or none of its choices", named->name);
    return HX_OK;
}

static hx_status missing(const hx_param *p) {
    return hx_fail_about(FACTS(.argument = p->name), HX_E_TYPE, HX1103_ARGUMENT, "misses its argument %s", p->name);
}

/* Everything that has no default was given. */
static hx_status check_given(const hx_call *c) {
    int tensor = 0, attr = 0;
    for (const hx_param *p = c->op->params; p->kind != HX_P_END; p++) {
        if (p->kind == HX_P_TENSORS) {
            for (int i = 0; i < c->list_n; i++)
                if (!c->in[tensor + i] && !(p->flags & HX_PF_HOLES)) return missing(p);
            tensor += c->list_n;
        } else if (p->kind <= HX_P_OPT_TENSOR) {
            if (!c->in[tensor++] && p->kind == HX_P_TENSOR) return missing(p);
        } else if (c->attr[attr++].kind == HX_A_NONE && p->required) {
            return missing(p);
        }
    }
    return HX_OK;
}

static hx_status run(hx_call *c, hx_tensor *const *in, uint32_t n_in, const hx_named *attr, uint32_t n_attr) {
    const hx_op_info *info = c->op->info;
    int64_t list = (int64_t)n_in - (info->n_tensors - 1);
    if (info->list_at >= 0 ? list < 0 || list > INT32_MAX : n_in != (uint32_t)info->n_tensors)
        return hx_fail(HX_E_TYPE, HX1103_ARGUMENT, "takes %d tensors%s, got %u",
                       info->list_at >= 0 ? info->n_tensors - 1 : info->n_tensors,
                       info->list_at >= 0 ? " and those of a list" : "", n_in);
    c->in = (hx_tensor **)in;
    c->n_in = (int)n_in;
    c->list_n = info->list_at >= 0 ? (int)list : 0;
    for (uint32_t i = 0; i < n_attr; i++) HX_TRY(bind(c, &attr[i]));
    HX_TRY(check_given(c));
    return hx_dispatch(c);
}

static hx_code call(const hx_op *op, bool inplace, hx_tensor *const *in, uint32_t n_in, const hx_named *attr,
                    uint32_t n_attr, hx_tensor **out, uint32_t n_out) {
    hx_call c;
    hx_call_init(&c, op);
    c.inplace = inplace;
    bool outermost = hx_error_outermost_op(op->name);
    hx_status status = run(&c, in, n_in, attr, n_attr);
    if (outermost) hx_error_enter_op(NULL);
    int n = status || op->flags & HX_MUTATES ? 0 : c.n_out;
    for (uint32_t i = 0; i < n_out; i++) out[i] = i < (uint32_t)n ? c.out[i] : NULL;
    for (int i = (int)(n_out < (uint32_t)n ? n_out : (uint32_t)n); i < n; i++) hx_tensor_release(c.out[i]);
    return done(status);
}

static const hx_op *op_find(const char *name) { return hx_op_find(name); }

static hx_code op_call(const hx_op *op, hx_tensor *const *in, uint32_t n_in, const hx_named *attr, uint32_t n_attr,
                       hx_tensor **out, uint32_t n_out) {
    return call(op, false, in, n_in, attr, n_attr, out, n_out);
}

/* "add_" is the in-place form of add, unless a record has that very name. */
static const hx_op *find_form(const char *name, bool *inplace) {
    char plain[64];
    const hx_op *op = hx_op_find(name);
    size_t n = strlen(name);
    *inplace = false;
    if (op || n < 2 || n > sizeof plain || name[n - 1] != '_') return op;
    memcpy(plain, name, n - 1);
    plain[n - 1] = 0;
    op = hx_op_find(plain);
    *inplace = op && op->flags & HX_INPLACE;
    return *inplace ? op : NULL;
}

static hx_code call_op(const char *name, hx_tensor *const *in, uint32_t n_in, const hx_named *attr, uint32_t n_attr,
                       hx_tensor **out, uint32_t n_out) {
    bool inplace;
    const hx_op *op = find_form(name, &inplace);
    if (op) return call(op, inplace, in, n_in, attr, n_attr, out, n_out);
    for (uint32_t i = 0; i < n_out; i++) out[i] = NULL;
    return done(hx_fail(HX_E_UNSUPPORTED, HX1701_UNSUPPORTED, "helix has no op named '%.60s'", name));
}

static hx_code register_op(const hx_op_def *def) {
    const hx_op *op;
    hx_status status = hx_api_register_op(def, &op);
    if (!status && host && host->op_added) status = host->op_added(op);
    return done(status);
}

static hx_tensor *keep(hx_tensor *owned) {
    hx_tensor *kept = hx_scope_own(owned);
    if (owned && !kept) hx_error_set_aside();
    return kept;
}

/* ---- gradients ---- */

static hx_code backward(hx_tensor *const *roots, hx_tensor *const *gradients, uint32_t n_roots, uint32_t flags) {
    hx_backward_options options = {.retain_graph = flags & (HX_BACKWARD_RETAIN | HX_BACKWARD_CREATE),
                                   .create_graph = flags & HX_BACKWARD_CREATE, .allow_unused = true, .accumulate = true};
    return done(hx_backward((hx_tensor **)roots, (hx_tensor **)gradients, (int)n_roots, NULL, 0, NULL, &options));
}

static hx_code grad(hx_tensor *const *roots, hx_tensor *const *gradients, uint32_t n_roots, hx_tensor *const *inputs,
                    uint32_t n_inputs, uint32_t flags, hx_tensor **out) {
    hx_backward_options options = {.retain_graph = flags & (HX_BACKWARD_RETAIN | HX_BACKWARD_CREATE),
                                   .create_graph = flags & HX_BACKWARD_CREATE,
                                   .allow_unused = flags & HX_BACKWARD_UNUSED};
    for (uint32_t i = 0; i < n_inputs; i++) out[i] = NULL;
    return done(hx_backward((hx_tensor **)roots, (hx_tensor **)gradients, (int)n_roots, (hx_tensor **)inputs,
                            (int)n_inputs, out, &options));
}

static int32_t tensor_requires_grad(const hx_tensor *t) { return hx_requires_grad(t) ? 1 : 0; }
static hx_code tensor_set_requires_grad(hx_tensor *t, int32_t wanted) {
    return done(hx_tensor_require_grad(t, wanted != 0));
}
static hx_tensor *tensor_gradient(const hx_tensor *t) { return tensor_retain(t->gradient); }
static void tensor_clear_gradient(hx_tensor *t) {
    hx_tensor *before = t->gradient;
    t->gradient = NULL;
    hx_tensor_release(before);
}
static int32_t no_grad_enter(void) { return hx_grad_set(false) ? 1 : 0; }
static void no_grad_leave(int32_t before) { hx_grad_set(before != 0); }

/* ---- devices, errors, the host language ---- */

static hx_code register_backend(const hx_backend *backend, const char *library_dir) {
    hx_status status = hx_backend_register(backend, library_dir);
    if (!status && host && host->backend_added) host->backend_added(backend->name);
    return done(status);
}

static hx_code current_stream(const char *device, uint64_t *native) {
    hx_device *d;
    *native = 0;
    hx_status status = find_device(device, &d);
    if (!status && d->backend->stream_native) *native = d->backend->stream_native(d->handle, hx_stream_native(d));
    return done(status);
}

static hx_code synchronize(const char *device) {
    hx_device *d;
    hx_status status = find_device(device, &d);
    if (!status && d != hx_cpu()) status = hx_device_sync(d);
    return done(status);
}

static hx_code error_code(void) { return hx_error_aside()->code; }
static int32_t error_number(void) { return hx_error_aside()->number; }
static const char *error_text(void) { return hx_error_aside()->code ? hx_error_aside()->text : ""; }
static void error_clear(void) { hx_error_aside()->code = HX_OK; }

static struct _object *to_python(hx_tensor *t) { return host->to_python(t); }
static hx_tensor *from_python(struct _object *o) { return host->from_python(o); }
static struct _object *raise_error(void) {
    if (error_code()) hx_error_restore(hx_error_aside());
    error_clear();
    return host->raise_error();
}

const hx_api *hx_api_table(const hx_api_host *language) {
    static hx_api table = {
        .struct_size = sizeof table, .abi_major = HX_ABI_MAJOR, .abi_minor = HX_ABI_MINOR,
        .build = "helix " HX_VERSION ", " __VERSION__,
        .tensor_empty = tensor_empty, .tensor_from_data = tensor_from_data, .tensor_wrap = tensor_wrap,
        .tensor_retain = tensor_retain, .tensor_release = hx_tensor_release, .tensor_dtype = tensor_dtype,
        .tensor_ndim = tensor_ndim, .tensor_shape = tensor_shape, .tensor_strides = tensor_strides,
        .tensor_numel = tensor_numel, .tensor_device = tensor_device, .tensor_data_host = tensor_data_host,
        .tensor_is_contiguous = tensor_is_contiguous, .tensor_contiguous = tensor_contiguous, .tensor_to_device = tensor_to_device,
        .tensor_read = tensor_read, .tensor_from_dlpack = tensor_from_dlpack, .tensor_to_dlpack = tensor_to_dlpack,
        .call_op = call_op, .op_find = op_find, .op_call = op_call, .register_op = register_op, .keep = keep,
        .backward = backward, .grad = grad, .tensor_requires_grad = tensor_requires_grad,
        .tensor_set_requires_grad = tensor_set_requires_grad, .tensor_gradient = tensor_gradient,
        .tensor_clear_gradient = tensor_clear_gradient, .no_grad_enter = no_grad_enter, .no_grad_leave = no_grad_leave,
        .register_backend = register_backend, .current_stream = current_stream, .synchronize = synchronize,
        .error_code = error_code, .error_number = error_number, .error_text = error_text, .error_clear = error_clear,
        .to_python = to_python, .from_python = from_python, .raise_error = raise_error};
    host = language;
    return &table;
}
