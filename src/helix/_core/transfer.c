/* Copies of tensors between any two devices, by the shortest way that both offer: directly, over memory that the host
 * may use on both sides, or in two staging blocks, one read while the other is written. */
#include "transfer.h"
#include <string.h>
#include "autograd.h"
#include "dispatch.h"

enum { STAGE = 4 << 20 };

/* A copy that neither waits nor is noted: the caller does both. */
static hx_status issue(hx_device *d, const hx_copy *copy, const char *what) {
    hx_err err = {.struct_size = sizeof err};
    HX_TRY(hx_device_usable(d));
    hx_device_enter(d);
    hx_code code = d->backend->copy(d->handle, hx_stream_native(d), copy, &err);
    hx_device_leave(d);
    return code ? hx_device_failed(d, code, &err, what) : HX_OK;
}

static hx_status read_chunk(const hx_tensor *from, uint64_t at, void *room, uint64_t n) {
    uint64_t start = (uint64_t)from->offset * hx_dtype_size((hx_dtype)from->dtype);
    hx_copy copy = {.struct_size = sizeof copy, .src = &from->storage->mem, .src_offset = start + at, .host_dst = room,
                    .nbytes = n};
    return issue(from->device, &copy, "a copy to the host");
}

static hx_status staged(const hx_tensor *from, hx_tensor *to, uint64_t nbytes) {
    uint64_t part = nbytes < STAGE ? nbytes : STAGE;
    char *room = hx_pool_alloc(2 * part);
    if (!room) return HX_E_MEMORY;
    hx_stream *source = hx_stream_current(from->device);
    hx_status status = read_chunk(from, 0, room, part);
    for (uint64_t at = 0, i = 0; at < nbytes && !status; at += part, i++) {
        uint64_t n = nbytes - at < part ? nbytes - at : part, rest = nbytes - at - n;
        status = hx_stream_sync(source);
        if (!status && rest) status = read_chunk(from, at + n, room + (i + 1) % 2 * part, rest < part ? rest : part);
        if (!status) status = hx_device_write(to->device, &to->storage->mem, at, room + i % 2 * part, n);
    }
    if (status) { /* a read that is under way still writes into the room */
        hx_error pending = *hx_error_last();
        if (hx_stream_sync(source)) hx_error_clear();
        hx_error_restore(&pending);
    }
    hx_pool_free(room, 2 * part);
    return status;
}

static bool reaches(const hx_device *d, const hx_device *peer) {
    return d->backend->reach && d->backend->copy_peer &&
           d->backend->reach(d->handle, peer->backend->name, peer->index) == HX_REACH_COPY;
}

/* On `by`'s stream, after what was issued on the other's; later work on either waits for it. */
static hx_status direct(hx_device *by, hx_device *other, const hx_copy *copy) {
    hx_err err = {.struct_size = sizeof err};
    HX_TRY(hx_stream_sync(hx_stream_current(other)));
    HX_TRY(hx_device_usable(by));
    hx_device_enter(by);
    hx_code code = by->backend->copy_peer(by->handle, hx_stream_native(by), copy, other->backend->name, other->handle, &err);
    hx_device_leave(by);
    if (code) return hx_device_failed(by, code, &err, "a copy between devices");
    HX_TRY(hx_device_launched(by, "copy"));
    return hx_stream_sync(hx_stream_current(by));
}

static hx_status between(const hx_tensor *from, hx_tensor *to, uint64_t nbytes) {
    hx_device *a = from->device, *b = to->device;
    uint64_t start = (uint64_t)from->offset * hx_dtype_size((hx_dtype)from->dtype);
    if (a->id == 0) return hx_device_write(b, &to->storage->mem, 0, from->data, nbytes);
    if (b->id == 0) return hx_device_read(a, &from->storage->mem, start, to->data, nbytes);
    hx_copy copy = {.struct_size = sizeof copy, .src = &from->storage->mem, .src_offset = start, .dst = &to->storage->mem,
                    .nbytes = nbytes};
    if (reaches(b, a)) return direct(b, a, &copy);
    copy.flags = HX_COPY_TO_PEER;
    if (reaches(a, b)) return direct(a, b, &copy);
    if (a->host_addressable && b->host_addressable && from->data && to->data) {
        HX_TRY(hx_device_sync(a));
        HX_TRY(hx_device_sync(b));
        memcpy(to->data, from->data, nbytes);
        return HX_OK;
    }
    return staged(from, to, nbytes);
}

static hx_status transfer(hx_tensor *t, hx_device *target, hx_tensor **out) {
    if (t->device == target) {
        *out = hx_tensor_retain(t);
        return HX_OK;
    }
    if (!t->storage || hx_tracing())
        return hx_fail(HX_E_TRACE, HX1702_TRACE, "a trace does not follow copies between devices; make the copy before it");
    if (!(target->info.dtypes & HX_BIT(t->dtype)))
        return hx_fail(HX_E_DTYPE, HX1101_DTYPE, "device '%s' cannot hold %s; cast the tensor first", target->name,
                       hx_dtype_name((hx_dtype)t->dtype));
    hx_tensor *dense, *made;
    HX_TRY(hx_contiguous_of(t, &dense));
    hx_status status = hx_tensor_empty(target, (hx_dtype)t->dtype, t->shape, t->ndim, &made);
    if (!status) {
        uint64_t nbytes = (uint64_t)t->numel * hx_dtype_size((hx_dtype)t->dtype);
        if (nbytes) status = between(dense, made, nbytes);
        if (status) hx_tensor_release(made);
    }
    hx_tensor_release(dense);
    if (!status) *out = made;
    return status;
}

static hx_status send_back(void *source, hx_tensor **g, int n_out, const bool *need, hx_tensor **gin, int n_in) {
    return g[0] && need[0] ? hx_tensor_to(g[0], source, &gin[0]) : HX_OK;
}

static hx_status followed(hx_tensor *t, hx_device *target, hx_tensor **out) {
    hx_tensor *made;
    HX_TRY(transfer(t, target, &made));
    if (made != t && hx_grad_enabled() && hx_requires_grad(t)) {
        hx_custom custom = {.backward = send_back, .ctx = t->device, .name = "TransferBackward"};
        hx_status status = hx_record_custom(&custom, &t, 1, &made, 1);
        if (status) {
            hx_tensor_release(made);
            return status;
        }
    }
    *out = made;
    return HX_OK;
}

hx_status hx_tensor_to(hx_tensor *t, hx_device *target, hx_tensor **out) {
    bool outermost = hx_error_outermost_op("to");
    hx_status status = followed(t, target, out);
    if (outermost) hx_error_enter_op(NULL);
    return status;
}
