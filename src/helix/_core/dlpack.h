/* DLPack (https://dmlc.github.io/dlpack): the structs are those of its published ABI 1.x. */
#ifndef HX_DLPACK_H
#define HX_DLPACK_H

#include "tensor.h"

enum { HX_DL_CPU = 1, HX_DL_READ_ONLY = 1, HX_DL_IS_COPIED = 2 };

typedef struct hx_dl_tensor {
    void *data;
    struct {
        int32_t device_type, device_id;
    } device;
    int32_t ndim;
    struct {
        uint8_t code, bits;
        uint16_t lanes;
    } dtype;
    int64_t *shape, *strides;
    uint64_t byte_offset;
} hx_dl_tensor;

typedef struct hx_dl_managed {
    hx_dl_tensor tensor;
    void *manager;
    void (*deleter)(struct hx_dl_managed *);
} hx_dl_managed;

typedef struct DLManagedTensorVersioned {
    struct {
        uint32_t major, minor;
    } version;
    void *manager;
    void (*deleter)(struct DLManagedTensorVersioned *);
    uint64_t flags;
    hx_dl_tensor tensor;
} hx_dl_versioned;

/* Where the tensor's memory is, as DLPack numbers it. */
void hx_dlpack_device(const hx_tensor *t, int32_t *type, int32_t *id);

/* One of the two forms of a tensor for others; its deleter, called by any thread, ends it. `flags`: HX_DL_*. */
hx_status hx_dlpack_export(hx_tensor *t, uint64_t flags, hx_dl_versioned **out);
hx_status hx_dlpack_export_plain(hx_tensor *t, hx_dl_managed **out);

/* A tensor over what others gave. release(owner) runs once when it goes; on failure the caller keeps it. */
hx_status hx_dlpack_import(const hx_dl_tensor *given, bool read_only, void (*release)(void *), void *owner,
                           hx_tensor **out);

#endif
