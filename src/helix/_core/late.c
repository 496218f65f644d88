/* Faults in data, reported when their stream is waited for. */
#include "late.h"
#include "op.h"

static const int32_t nothing[HX_LATE_WORDS];

static hx_status make_record(hx_device *d, hx_stream *s) {
    hx_err err = {.struct_size = sizeof err};
    hx_device_enter(d);
    hx_code code = d->backend->mem_alloc(d->handle, sizeof nothing, HX_MEM_DEVICE, &s->late, &err);
    hx_device_leave(d);
    if (code) return hx_device_failed(d, code, &err, "an allocation");
    hx_status status = hx_device_write(d, &s->late, 0, nothing, sizeof nothing);
    if (!status) s->late_made = true;
    return status;
}

hx_status hx_late_record(hx_device *d, const hx_mem **record, int32_t *op) {
    hx_stream *s = hx_stream_current(d);
    const hx_op *running = hx_errors.op ? hx_op_find(hx_errors.op) : NULL;
    if (!s->late_made) HX_TRY(make_record(d, s));
    atomic_store_explicit(&s->late_asked, true, memory_order_relaxed);
    *record = &s->late;
    *op = running ? running->info->id + 1 : INT32_MAX;
    return HX_OK;
}

static hx_status report(const int32_t *found) {
    const char *name = found[0] < INT32_MAX ? hx_op_at(found[0] - 1)->name : "index";
    const char *outer = hx_error_enter_op(name);
    int64_t value = found[1], size = found[2], axis = found[3] < 0 ? -1 - (int64_t)found[3] : found[3];
    long long least = found[3] < 0 ? 0 : -size;
    const char *valid = size ? hx_text("%lld..%lld", least, (long long)(size - 1)) : NULL;
    hx_status status = hx_fail_about(
        FACTS("index", valid, hx_text("%lld", (long long)value), true, axis), HX_E_INDEX, HX1301_INDEX,
        "index %lld is outside axis %lld, whose size is %lld. The device found it while it ran; "
        "HELIX_LAUNCH_BLOCKING=1 raises this where the op is called", (long long)value, (long long)axis, (long long)size);
    hx_error_enter_op(outer);
    return status;
}

hx_status hx_late_check(hx_stream *s) {
    int32_t found[HX_LATE_WORDS];
    if (!atomic_exchange_explicit(&s->late_asked, false, memory_order_relaxed)) return HX_OK;
    HX_TRY(hx_device_read(s->device, &s->late, 0, found, sizeof found));
    if (!found[0]) return HX_OK;
    HX_TRY(hx_device_write(s->device, &s->late, 0, nothing, sizeof nothing));
    return report(found);
}

hx_status hx_late_check_all(hx_device *d) {
    for (int i = 0; i < HX_MAX_STREAMS; i++)
        if (d->streams[i]) HX_TRY(hx_late_check(d->streams[i]));
    return HX_OK;
}

void hx_late_release(hx_stream *s) {
    hx_device *d = s->device;
    if (!s->late_made) return;
    s->late_made = false;
    atomic_store(&s->late_asked, false);
    hx_device_enter(d);
    d->backend->mem_free(d->handle, &s->late);
    hx_device_leave(d);
}
