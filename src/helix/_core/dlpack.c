#include "dlpack.h"
#include <string.h>
#include "dispatch.h"
#include "trace.h"

enum { INT = 0, UINT = 1, FLOAT = 2, BFLOAT = 4, COMPLEX = 5, BOOL = 6 };

static uint8_t code_of(hx_dtype t) {
    if (t == HX_BF16) return BFLOAT;
    switch (hx_dtype_kind(t)) {
    case HX_KIND_BOOL: return BOOL;
    case HX_KIND_UINT: return UINT;
    case HX_KIND_INT: return INT;
    case HX_KIND_FLOAT: return FLOAT;
    default: return COMPLEX;
    }
}

static int dtype_of(const hx_dl_tensor *given) {
    for (int i = 0; i < HX_DTYPE_COUNT; i++)
        if (given->dtype.lanes == 1 && given->dtype.bits == 8 * hx_dtype_size((hx_dtype)i) &&
            given->dtype.code == code_of((hx_dtype)i))
            return i;
    return -1;
}

void hx_dlpack_device(const hx_tensor *t, int32_t *type, int32_t *id) {
    *type = t->device == hx_cpu() ? HX_DL_CPU : t->device->info.dlpack_type;
    *id = t->device == hx_cpu() ? 0 : t->device->index;
}

/* Sizes are copied, because consumers may outlive the tensor. */
typedef struct exported {
    union {
        hx_dl_managed plain;
        hx_dl_versioned versioned;
    } form;
    hx_tensor *source;
    hx_storage *lent; /* what others may write meanwhile; NULL for read-only memory */
    int64_t shape[HX_MAX_RANK], strides[HX_MAX_RANK];
} exported;

static void drop(exported *e) {
    if (e->lent) {
        hx_storage_return(e->lent);
        hx_storage_release(e->lent);
    }
    hx_tensor_release(e->source);
    hx_free(e, sizeof *e);
}
static void delete_plain(hx_dl_managed *m) { drop(m->manager); }
static void delete_versioned(hx_dl_versioned *m) { drop(m->manager); }

static hx_status export(hx_tensor *t, exported **out) {
    if (!t->storage)
        return hx_fail(HX_E_TRACE, HX1702_TRACE, "the values of a traced tensor %s are not known; return it from "
                       "the traced function, and hand it over there", hx_tensor_text(t));
    HX_TRY(hx_trace_readable(t));
    *out = hx_alloc(sizeof **out);
    if (!*out) return HX_E_MEMORY;
    memset(*out, 0, sizeof **out);
    (*out)->source = hx_tensor_retain(t);
    if (!t->storage->read_only) {
        (*out)->lent = hx_storage_retain(t->storage);
        hx_storage_lend(t->storage);
    }
    hx_copy_sizes((*out)->shape, t->shape, t->ndim);
    hx_copy_sizes((*out)->strides, t->strides, t->ndim);
    return HX_OK;
}

static hx_dl_tensor described(exported *e) {
    const hx_tensor *t = e->source;
    hx_dl_tensor d = {.data = t->data ? t->data : t->storage->mem.host_ptr, .ndim = t->ndim, .shape = e->shape,
                      .strides = e->strides};
    d.dtype.code = code_of((hx_dtype)t->dtype);
    d.dtype.bits = (uint8_t)(8 * hx_dtype_size((hx_dtype)t->dtype));
    d.dtype.lanes = 1;
    hx_dlpack_device(t, &d.device.device_type, &d.device.device_id);
    return d;
}

hx_status hx_dlpack_export(hx_tensor *t, uint64_t flags, hx_dl_versioned **out) {
    exported *e;
    HX_TRY(export(t, &e));
    *out = &e->form.versioned;
    **out = (hx_dl_versioned){.version = {1, 0}, .manager = e, .deleter = delete_versioned, .flags = flags,
                              .tensor = described(e)};
    if (t->storage->read_only) (*out)->flags |= HX_DL_READ_ONLY;
    return HX_OK;
}

hx_status hx_dlpack_export_plain(hx_tensor *t, hx_dl_managed **out) {
    exported *e;
    HX_TRY(export(t, &e));
    *out = &e->form.plain;
    **out = (hx_dl_managed){.tensor = described(e), .manager = e, .deleter = delete_plain};
    return HX_OK;
}

static hx_status import(const hx_dl_tensor *given, bool read_only, void (*release)(void *), void *owner,
                        hx_tensor **out) {
    int64_t strides[HX_MAX_RANK], low, high, nbytes;
    int dtype = dtype_of(given);
    if (given->device.device_type != HX_DL_CPU)
        return hx_fail(HX_E_DEVICE, HX1202_NO_DEVICE, "the memory is on DLPack device type %d, not on the CPU",
                       given->device.device_type);
    if (dtype < 0)
        return hx_fail(HX_E_DTYPE, HX1101_DTYPE, "DLPack dtype (code %d, %d bits, %d lanes) has no helix dtype",
                       given->dtype.code, given->dtype.bits, given->dtype.lanes);
    if (given->ndim < 0 || given->ndim > HX_MAX_RANK)
        return hx_fail(HX_E_SHAPE, HX1001_RANK, "a tensor has at most %d dimensions, got %d", HX_MAX_RANK, given->ndim);
    if (given->strides)
        hx_copy_sizes(strides, given->strides, given->ndim);
    else
        hx_row_major(given->shape, given->ndim, strides);
    HX_TRY(hx_extent(given->shape, strides, given->ndim, &low, &high));
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)dtype);
    if (!hx_mul_ok(high - low, size, &nbytes))
        return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "the size of the memory does not fit in 64 bits");
    return hx_tensor_wrap(hx_cpu(), (char *)given->data + given->byte_offset + low * size, nbytes, read_only,
                          (hx_dtype)dtype, given->shape, strides, given->ndim, -low, release, owner, out);
}

hx_status hx_dlpack_import(const hx_dl_tensor *given, bool read_only, void (*release)(void *), void *owner,
                           hx_tensor **out) {
    bool outermost = hx_error_outermost_op("from_dlpack");
    hx_status status = import(given, read_only, release, owner, out);
    if (outermost) hx_error_enter_op(NULL);
    return status;
}
