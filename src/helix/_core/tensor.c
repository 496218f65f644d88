/* Making, aliasing and releasing tensors. */
#include "tensor.h"
#include <string.h>
#include "autograd.h"
#include "dispatch.h"
#include "trace.h"

static hx_tensor *new_shell(hx_device *device, hx_dtype dtype, int ndim) {
    hx_tensor *t = hx_alloc_tensor(sizeof *t);
    if (!t) return NULL;
    memset(t, 0, offsetof(hx_tensor, shape));
    atomic_init(&t->refs, 1);
    t->dtype = (uint8_t)dtype;
    t->ndim = (uint8_t)ndim;
    t->device = device;
    if (hx_inference_enabled()) t->flags = HX_T_INFERENCE;
    return t;
}

static hx_status check_rank(int ndim) {
    if (ndim < 0 || ndim > HX_MAX_RANK)
        return hx_fail(HX_E_SHAPE, HX1001_RANK, "%d dimensions are more than the %d that a tensor can have", ndim,
                       HX_MAX_RANK);
    return HX_OK;
}

/* The number of elements, of sizes from 1 on that multiply without overflow; false for all others. */
static inline bool plain_numel(const int64_t *shape, int ndim, int64_t *numel) {
    int64_t product = 1;
    for (int i = 0; i < ndim; i++)
        if (shape[i] < 1 || !hx_mul_ok(product, shape[i], &product)) return false;
    *numel = product;
    return true;
}

static inline void *element_address(const hx_storage *s, int64_t offset, hx_dtype dtype) {
    return s->mem.host_ptr ? (char *)s->mem.host_ptr + offset * (int64_t)hx_dtype_size(dtype) : NULL;
}

hx_status hx_tensor_empty(hx_device *device, hx_dtype dtype, const int64_t *shape, int ndim, hx_tensor **out) {
    HX_TRY(check_rank(ndim));
    int64_t numel, nbytes;
    if (!plain_numel(shape, ndim, &numel)) HX_TRY(hx_numel(shape, ndim, &numel));
    if (!hx_mul_ok(numel, (int64_t)hx_dtype_size(dtype), &nbytes))
        return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "%s %s does not fit in 64 bits of bytes",
                       hx_shape_text(shape, ndim), hx_dtype_name(dtype));
    hx_tensor *t = new_shell(device, dtype, ndim);
    if (!t) return HX_E_MEMORY;
    hx_status status = hx_storage_new(device, nbytes, &t->storage);
    if (status) {
        hx_tensor_release(t);
        return status;
    }
    t->data = t->storage->mem.host_ptr;
    t->numel = numel;
    t->flags |= HX_T_CONTIGUOUS;
    int64_t step = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        t->shape[i] = shape[i];
        t->strides[i] = step;
        if (!hx_mul_ok(step, shape[i] > 1 ? shape[i] : 1, &step)) step = 0; /* empty; as hx_row_major has it */
    }
    *out = t;
    return HX_OK;
}

hx_status hx_tensor_shape_only(hx_device *device, hx_dtype dtype, const int64_t *shape, const int64_t *strides,
                               int ndim, int64_t offset, hx_tensor **out) {
    HX_TRY(check_rank(ndim));
    int64_t numel;
    HX_TRY(hx_numel(shape, ndim, &numel));
    hx_tensor *t = new_shell(device, dtype, ndim);
    if (!t) return HX_E_MEMORY;
    hx_copy_sizes(t->shape, shape, ndim);
    if (strides)
        hx_copy_sizes(t->strides, strides, ndim);
    else
        hx_row_major(shape, ndim, t->strides);
    if (hx_is_contiguous(t->shape, t->strides, ndim)) t->flags |= HX_T_CONTIGUOUS;
    t->numel = numel;
    t->offset = offset;
    *out = t;
    return HX_OK;
}

hx_status hx_tensor_view(hx_storage *storage, hx_dtype dtype, const int64_t *shape, const int64_t *strides, int ndim,
                         int64_t offset, hx_tensor **out) {
    HX_TRY(check_rank(ndim));
    int64_t low, high, size = (int64_t)hx_dtype_size(dtype), limit = (int64_t)(storage->mem.nbytes) / size, last;
    HX_TRY(hx_extent(shape, strides, ndim, &low, &high));
    if (high > low && (!hx_add_ok(low, offset, &low) || !hx_add_ok(high, offset, &last) || low < 0 || last > limit))
        return hx_fail(HX_E_VALUE, HX1403_VALUE,
                       "a view of shape %s with strides %s at offset %lld reaches outside the %lld elements of the storage",
                       hx_shape_text(shape, ndim), hx_shape_text(strides, ndim), (long long)offset, (long long)limit);
    hx_tensor *t;
    HX_TRY(hx_tensor_shape_only(storage->device, dtype, shape, strides, ndim, offset, &t));
    t->storage = hx_storage_retain(storage);
    t->data = element_address(storage, offset, dtype);
    *out = t;
    return HX_OK;
}

hx_status hx_tensor_alias(const hx_tensor *t, hx_tensor **out) {
    hx_tensor *a = new_shell(t->device, (hx_dtype)t->dtype, t->ndim);
    if (!a) return HX_E_MEMORY;
    if (!(t->flags & HX_T_INFERENCE)) a->flags = 0; /* its writes are those of t, which count */
    a->flags |= t->flags & (HX_T_CONTIGUOUS | HX_T_NUMBER);
    a->storage = t->storage ? hx_storage_retain(t->storage) : NULL;
    a->data = t->data;
    a->offset = t->offset;
    a->numel = t->numel;
    hx_copy_sizes(a->shape, t->shape, t->ndim);
    hx_copy_sizes(a->strides, t->strides, t->ndim);
    hx_status status = hx_trace_alias((hx_tensor *)t, a);
    if (status) {
        hx_tensor_release(a);
        return status;
    }
    *out = a;
    return HX_OK;
}

hx_status hx_tensor_wrap(hx_device *device, void *data, int64_t nbytes, bool read_only, hx_dtype dtype,
                         const int64_t *shape, const int64_t *strides, int ndim, int64_t offset,
                         void (*release)(void *), void *owner, hx_tensor **out) {
    hx_storage *s;
    HX_TRY(hx_storage_wrap(device, data, nbytes, read_only, release, owner, &s));
    hx_status status = hx_tensor_view(s, dtype, shape, strides, ndim, offset, out);
    if (status) s->release = NULL; /* the caller keeps ownership */
    hx_storage_release(s);
    return status;
}

static hx_status number(hx_dtype dtype, const void *value, hx_tensor **out) {
    HX_TRY(hx_tensor_empty(hx_cpu(), dtype, NULL, 0, out));
    memcpy((*out)->data, value, hx_dtype_size(dtype));
    (*out)->flags |= HX_T_NUMBER;
    return HX_OK;
}
hx_status hx_tensor_from_bool(bool value, hx_tensor **out) { return number(HX_BOOL, &value, out); }
hx_status hx_tensor_from_int(int64_t value, hx_tensor **out) { return number(HX_I64, &value, out); }
hx_status hx_tensor_from_float(double value, hx_tensor **out) { return number(HX_F64, &value, out); }
hx_status hx_tensor_from_complex(double re, double im, hx_tensor **out) {
    return number(HX_C128, (double[2]){re, im}, out);
}

static void destroy(hx_tensor *t) {
    if (t->flags & HX_T_RETAIN_GRAD) hx_forget_retained(t);
    while (t->hooks) {
        hx_hook *h = t->hooks;
        t->hooks = h->next;
        if (h->release) h->release(h->ctx);
        hx_free(h, sizeof *h);
    }
    if (t->gradient) hx_tensor_release(t->gradient);
    if (t->base) hx_tensor_release(t->base);
    if (t->storage) hx_storage_release(t->storage);
    hx_node *history = t->history;
    hx_free_tensor(t, sizeof *t);
    if (history) hx_node_release(history); /* last: it may lead far */
}

void hx_tensor_release(hx_tensor *t) {
    if (!t) return;
    if (atomic_load_explicit(&t->refs, memory_order_acquire) == 1 ||
        atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1)
        destroy(t);
}

hx_status hx_tensor_read(const hx_tensor *t, void *host, int64_t nbytes) {
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)t->dtype);
    if (!t->storage)
        return hx_fail(HX_E_TRACE, HX1702_TRACE, "the values of a traced tensor %s are not known; return it to "
                       "look at it outside, choose with helix.where or helix.cond, loop with helix.while_loop, or compute it "
                       "before the traced part and pass the result in",
                       hx_tensor_text(t));
    HX_TRY(hx_trace_readable(t));
    if (nbytes != t->numel * size)
        return hx_fail(HX_E_VALUE, HX1403_VALUE, "%lld bytes asked of a tensor of %lld", (long long)nbytes,
                       (long long)(t->numel * size));
    if (nbytes == 0) return HX_OK;
    hx_tensor *c;
    HX_TRY(hx_contiguous_of((hx_tensor *)t, &c));
    hx_status status = HX_OK;
    if (c->device->id == 0)
        memcpy(host, c->data, (size_t)nbytes);
    else
        status = hx_device_read(c->device, &c->storage->mem, (uint64_t)(c->offset * size), host, (uint64_t)nbytes);
    hx_tensor_release(c);
    return status;
}

hx_status hx_tensor_item(const hx_tensor *t, hx_scalar *value) {
    if (t->numel != 1)
        return hx_fail_about(FACTS(.argument = "input", .got = hx_shape_text(t->shape, t->ndim)), HX_E_VALUE,
                             HX1403_VALUE, "only a tensor of one element is a number; this one has shape %s",
                       hx_shape_text(t->shape, t->ndim));
    union { int8_t i8; int16_t i16; int32_t i32; int64_t i64; uint8_t u8; uint16_t u16; uint32_t u32; uint64_t u64;
            float f[2]; double d[2]; } raw = {0};
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)t->dtype);
    HX_TRY(hx_trace_readable(t));
    if (t->data && t->device->id == 0)
        memcpy(&raw, t->data, (size_t)size);
    else
        HX_TRY(hx_tensor_read(t, &raw, size));
    value->kind = hx_dtype_kind((hx_dtype)t->dtype);
    switch ((hx_dtype)t->dtype) {
    case HX_BOOL: value->v.i = raw.u8 != 0; break;
    case HX_I8: value->v.i = raw.i8; break;
    case HX_I16: value->v.i = raw.i16; break;
    case HX_I32: value->v.i = raw.i32; break;
    case HX_I64: value->v.i = raw.i64; break;
    case HX_U8: value->v.u = raw.u8; break;
    case HX_U16: value->v.u = raw.u16; break;
    case HX_U32: value->v.u = raw.u32; break;
    case HX_U64: value->v.u = raw.u64; break;
    case HX_F16: value->v.f = hx_f16_to_f32(raw.u16); break;
    case HX_BF16: value->v.f = hx_bf16_to_f32(raw.u16); break;
    case HX_F32: value->v.f = raw.f[0]; break;
    case HX_F64: value->v.f = raw.d[0]; break;
    case HX_C64: value->v.c[0] = raw.f[0]; value->v.c[1] = raw.f[1]; break;
    default: value->v.c[0] = raw.d[0]; value->v.c[1] = raw.d[1]; break;
    }
    return HX_OK;
}

const char *hx_tensor_text(const hx_tensor *t) {
    char *room = hx_text_buffer();
    snprintf(room, HX_TEXT_LENGTH, "%s %s %s", hx_shape_text(t->shape, t->ndim),
             hx_dtype_name((hx_dtype)t->dtype), t->device->name);
    return room;
}
