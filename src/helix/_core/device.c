/* Opened devices: locking, errors, byte copies, streams and events. */
#include "device.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "late.h"
#include "storage.h"
#include "threads.h"

_Thread_local hx_stream *hx_streams[HX_MAX_DEVICES];

void hx_lock(pthread_mutex_t *mutex) {
    if (pthread_mutex_trylock(mutex) == 0) return;
    const hx_blocking *blocking = hx_get_blocking();
    void *token = blocking ? blocking->enter() : NULL;
    pthread_mutex_lock(mutex);
    if (blocking) blocking->leave(token);
}

/* A slot may call back into the core for its own device, so the lock is recursive. */
static void make_lock(pthread_mutex_t *mutex) {
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(mutex, &kind);
    pthread_mutexattr_destroy(&kind);
}

hx_status hx_device_init(hx_device *d, const hx_backend *backend, int32_t index, int32_t id) {
    hx_err err = {.struct_size = sizeof err};
    d->info = (hx_device_info){.struct_size = sizeof d->info};
    hx_code code = backend->device_info(backend->ctx, index, &d->info, &err);
    if (!code) code = backend->device_open(backend->ctx, index, &d->handle, &err);
    if (code)
        return hx_fail(code == HX_E_CALLBACK ? code : HX_E_DEVICE, HX1202_NO_DEVICE,
                       "device '%s:%d' could not be opened: %s", backend->name, index, err.msg);
    d->backend = backend;
    d->index = index;
    d->id = id;
    d->host_addressable = d->info.caps & HX_CAP_HOST_ADDRESSABLE;
    d->thread_safe = d->info.caps & HX_CAP_THREAD_SAFE;
    d->programs = backend->program_load && d->info.source_kind[0];
    d->own = (hx_stream){.device = d, .refs = 1};
    d->streams[0] = &d->own;
    make_lock(&d->lock);
    pthread_mutex_init(&d->ring_lock, NULL);
    snprintf(d->name, sizeof d->name, id ? "%s:%d" : "%s", backend->name, index);
    return id ? hx_device_pool_new(d) : HX_OK;
}

/* ---- errors ---- */

/* The last ops issued, newest first, as many as fit. */
static const char *last_launches(hx_device *d, char *room, size_t size) {
    uint64_t n = atomic_load(&d->launches), kept = n < HX_LAUNCHES_KEPT ? n : HX_LAUNCHES_KEPT;
    size_t used = 0;
    room[0] = 0;
    pthread_mutex_lock(&d->ring_lock);
    for (uint64_t i = 0; i < kept && i < 8 && used < size; i++)
        used += (size_t)snprintf(room + used, size - used, "%s%s", i ? ", " : "", d->ring[(n - 1 - i) % HX_LAUNCHES_KEPT]);
    pthread_mutex_unlock(&d->ring_lock);
    return room;
}

hx_status hx_device_failed(hx_device *d, hx_code code, const hx_err *err, const char *what) {
    char names[256];
    if (code == HX_E_DEVICE_LOST) atomic_store(&d->lost, true);
    if (code == HX_E_CALLBACK && hx_error_pending()) return code;
    last_launches(d, names, sizeof names);
    return hx_fail(code, err->number ? err->number : HX1802_DEVICE_FAILED, "%s on %s failed: %s%s%s%s", what, d->name,
                   err->msg[0] ? err->msg : "the backend left no message",
                   names[0] ? ". Issued last: " : "", names,
                   names[0] ? ". HELIX_LAUNCH_BLOCKING=1 finds the op" : "");
}

hx_status hx_device_usable(hx_device *d) {
    if (!atomic_load_explicit(&d->lost, memory_order_relaxed)) return HX_OK;
    return hx_fail(HX_E_DEVICE_LOST, HX1803_DEVICE_LOST,
                   "device '%s' was lost earlier in this process; its tensors are gone. Start the process again, or go "
                   "on with another device.",
                   d->name);
}

static bool blocking_launches(void) {
    static atomic_int answer;
    int known = atomic_load_explicit(&answer, memory_order_relaxed);
    if (!known) {
        const char *text = getenv("HELIX_LAUNCH_BLOCKING");
        known = text && text[0] && strcmp(text, "0") != 0 ? 2 : 1;
        atomic_store_explicit(&answer, known, memory_order_relaxed);
    }
    return known == 2;
}

hx_status hx_device_launched(hx_device *d, const char *op) {
    pthread_mutex_lock(&d->ring_lock);
    uint64_t at = atomic_fetch_add(&d->launches, 1) % HX_LAUNCHES_KEPT;
    snprintf(d->ring[at], sizeof d->ring[at], "%s", op);
    pthread_mutex_unlock(&d->ring_lock);
    return blocking_launches() ? hx_device_sync(d) : HX_OK;
}

/* ---- copies ---- */

static hx_status copy_bytes(hx_device *d, const hx_copy *copy, bool wait, const char *what) {
    hx_err err = {.struct_size = sizeof err};
    HX_TRY(hx_device_usable(d));
    void *stream = hx_stream_native(d);
    hx_device_enter(d);
    hx_code code = d->backend->copy(d->handle, stream, copy, &err);
    if (!code && wait) code = d->backend->sync(d->handle, stream, &err);
    hx_device_leave(d);
    return code ? hx_device_failed(d, code, &err, what) : HX_OK;
}

hx_status hx_device_read(hx_device *d, const hx_mem *mem, uint64_t offset, void *host, uint64_t nbytes) {
    if (nbytes == 0) return HX_OK;
    hx_copy copy = {.struct_size = sizeof copy, .src = mem, .src_offset = offset, .host_dst = host, .nbytes = nbytes};
    HX_TRY(copy_bytes(d, &copy, true, "a copy to the host"));
    return hx_late_check(hx_stream_current(d));
}

hx_status hx_device_write(hx_device *d, const hx_mem *mem, uint64_t offset, const void *host, uint64_t nbytes) {
    if (nbytes == 0) return HX_OK;
    hx_copy copy = {.struct_size = sizeof copy, .dst = mem, .dst_offset = offset, .host_src = host, .nbytes = nbytes};
    return copy_bytes(d, &copy, true, "a copy from the host");
}

hx_status hx_device_copy(hx_device *d, const hx_mem *dst, uint64_t dst_offset, const hx_mem *src, uint64_t src_offset,
                         uint64_t nbytes) {
    if (nbytes == 0) return HX_OK;
    hx_copy copy = {.struct_size = sizeof copy, .src = src, .dst = dst, .src_offset = src_offset,
                    .dst_offset = dst_offset, .nbytes = nbytes};
    return copy_bytes(d, &copy, false, "a copy within the device");
}

/* `streams`: the numbers, as bits, of the streams that are waited for. */
static hx_status sync_native(hx_device *d, void *stream, uint64_t streams) {
    hx_err err = {.struct_size = sizeof err};
    HX_TRY(hx_device_usable(d));
    uint64_t clock = d->pool ? hx_device_pool_clock(d) : 0;
    hx_device_enter(d);
    hx_code code = d->backend->sync(d->handle, stream, &err);
    hx_device_leave(d);
    if (code) return hx_device_failed(d, code, &err, "earlier work");
    if (d->pool) hx_device_pool_passed(d, streams, clock);
    return HX_OK;
}

hx_status hx_device_sync(hx_device *d) {
    HX_TRY(sync_native(d, NULL, UINT64_MAX));
    return hx_late_check_all(d);
}

/* ---- streams ---- */

hx_status hx_stream_new(hx_device *d, hx_stream **out) {
    if (!d->backend->stream_create) {
        atomic_fetch_add(&d->own.refs, 1);
        *out = &d->own;
        return HX_OK;
    }
    HX_TRY(hx_device_usable(d));
    hx_stream *s = hx_alloc_zeroed(sizeof *s);
    if (!s) return HX_E_MEMORY;
    hx_err err = {.struct_size = sizeof err};
    hx_code code = HX_OK;
    hx_device_enter(d);
    int number = 1;
    while (number < HX_MAX_STREAMS && d->streams[number]) number++;
    if (number < HX_MAX_STREAMS) code = d->backend->stream_create(d->handle, &s->native, &err);
    if (number < HX_MAX_STREAMS && !code) d->streams[number] = s;
    hx_device_leave(d);
    if (code || number == HX_MAX_STREAMS) {
        hx_free(s, sizeof *s);
        if (code) return hx_device_failed(d, code, &err, "making a stream");
        return hx_fail(HX_E_VALUE, HX1403_VALUE, "device '%s' has %d streams already; let go of one", d->name,
                       HX_MAX_STREAMS);
    }
    s->device = d;
    s->number = number;
    s->refs = 1;
    *out = s;
    return HX_OK;
}

void hx_stream_retain(hx_stream *s) { atomic_fetch_add(&s->refs, 1); }

/* Its work is waited for, so that blocks it used need no mark of it any more. */
void hx_stream_release(hx_stream *s) {
    hx_device *d = s->device;
    if (atomic_fetch_sub(&s->refs, 1) != 1 || s == &d->own) return;
    if (!atomic_load(&d->lost) && hx_stream_sync(s)) hx_error_clear();
    if (!atomic_load(&d->lost)) hx_late_release(s);
    hx_device_enter(d);
    if (d->backend->stream_destroy) d->backend->stream_destroy(d->handle, s->native);
    d->streams[s->number] = NULL;
    hx_device_leave(d);
    hx_free(s, sizeof *s);
}

hx_stream *hx_stream_use(hx_stream *s) {
    hx_stream *before = hx_stream_current(s->device);
    hx_streams[s->device->id] = s == &s->device->own ? NULL : s;
    return before;
}

hx_status hx_stream_sync(hx_stream *s) {
    HX_TRY(sync_native(s->device, s->native, s->native ? 1ull << s->number : UINT64_MAX));
    return s->native ? hx_late_check(s) : hx_late_check_all(s->device);
}

hx_status hx_stream_wait(hx_stream *s, hx_stream *other) {
    if (s == other) return HX_OK;
    if (s->device != other->device) return hx_stream_sync(other);
    hx_event *e;
    HX_TRY(hx_event_new(s->device, &e));
    hx_status status = hx_event_record(e, other);
    if (!status) status = hx_stream_wait_event(s, e);
    hx_event_release(e);
    return status;
}

/* ---- events ---- */

hx_status hx_event_new(hx_device *d, hx_event **out) {
    hx_event *e = hx_alloc_zeroed(sizeof *e);
    if (!e) return HX_E_MEMORY;
    e->device = d;
    hx_err err = {.struct_size = sizeof err};
    hx_code code = HX_OK;
    if (d->backend->event_create) {
        hx_device_enter(d);
        code = d->backend->event_create(d->handle, &e->native, &err);
        hx_device_leave(d);
    }
    if (code) {
        hx_free(e, sizeof *e);
        return hx_device_failed(d, code, &err, "making an event");
    }
    *out = e;
    return HX_OK;
}

void hx_event_release(hx_event *e) {
    hx_device *d = e->device;
    if (e->native && d->backend->event_destroy) {
        hx_device_enter(d);
        d->backend->event_destroy(d->handle, e->native);
        hx_device_leave(d);
    }
    hx_free(e, sizeof *e);
}

static hx_status other_device(const hx_event *e, const hx_stream *s) {
    return hx_fail(HX_E_DEVICE, HX1201_DEVICE, "an event of %s cannot be used on a stream of %s", e->device->name,
                   s->device->name);
}

/* Runs one event slot under the lock. */
#define EVENT_SLOT(d, call)                                                                                   \
    do {                                                                                                      \
        hx_err err = {.struct_size = sizeof err};                                                             \
        HX_TRY(hx_device_usable(d));                                                                          \
        hx_device_enter(d);                                                                                   \
        hx_code code_ = (call);                                                                               \
        hx_device_leave(d);                                                                                   \
        if (code_) return hx_device_failed(d, code_, &err, "earlier work");                                   \
    } while (0)

hx_status hx_event_record(hx_event *e, hx_stream *s) {
    hx_device *d = e->device;
    if (s->device != d) return other_device(e, s);
    if (e->native) EVENT_SLOT(d, d->backend->event_record(d->handle, e->native, s->native, &err));
    e->stream = s;
    return HX_OK;
}

/* Without events the whole stream is waited for, so an answer is always "done". */
hx_status hx_event_done(hx_event *e, bool *done) {
    hx_device *d = e->device;
    int32_t answer = 1;
    if (e->stream && !(e->native && d->backend->event_query)) HX_TRY(hx_event_sync(e));
    else if (e->stream) EVENT_SLOT(d, d->backend->event_query(d->handle, e->native, &answer, &err));
    *done = answer != 0;
    return HX_OK;
}

hx_status hx_event_sync(hx_event *e) {
    hx_device *d = e->device;
    if (!e->stream) return HX_OK;
    if (!e->native || !d->backend->event_sync) return hx_stream_sync(e->stream);
    EVENT_SLOT(d, d->backend->event_sync(d->handle, e->native, &err));
    return HX_OK;
}

hx_status hx_stream_wait_event(hx_stream *s, hx_event *e) {
    hx_device *d = e->device;
    if (!e->stream || e->stream == s) return HX_OK;
    if (s->device != d || !e->native || !d->backend->stream_wait_event) return hx_event_sync(e);
    EVENT_SLOT(d, d->backend->stream_wait_event(d->handle, s->native, e->native, &err));
    return HX_OK;
}
