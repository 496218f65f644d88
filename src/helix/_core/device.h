/* An opened device: what stands between the core and the slots of its backend. Every call of a slot of groups B to F
 * goes through here or follows the same form: lock, slot, unlock, and the slot's error record made the thread's. */
#ifndef HX_DEVICE_H
#define HX_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>
#include "error.h"

enum { HX_MAX_DEVICES = 64, HX_MAX_STREAMS = 64, HX_LAUNCHES_KEPT = 64, HX_LAUNCH_NAME = 40 };

/* A queue of a device. Number 0 is the device's own. */
typedef struct hx_stream {
    struct hx_device *device;
    void *native; /* NULL: the device's own, also where a device has but one */
    int number;   /* bit in the masks of the pool */
    atomic_int refs;
    hx_mem late;            /* what kernels found wrong (late.h); a block of its own */
    bool late_made;
    atomic_bool late_asked; /* a kernel that may write it was launched since it was read */
} hx_stream;

/* A mark in a stream; never handed to another backend. */
typedef struct hx_event {
    struct hx_device *device;
    void *native;      /* NULL where the device has no events */
    hx_stream *stream; /* where it was recorded last; NULL before that */
} hx_event;

struct hx_device_pool;

/* Device 0 is always the built-in CPU. */
typedef struct hx_device {
    const hx_backend *backend;
    void *handle; /* from device_open */
    int32_t index;
    int32_t id;   /* position in the table of opened devices */
    int32_t position; /* of its backend in the table of backends */
    bool host_addressable;
    bool programs;    /* takes rendered kernels */
    bool thread_safe; /* slots need no lock */
    char name[48];    /* "cpu", "mychip:0" */
    hx_device_info info;
    atomic_bool lost;
    pthread_mutex_t lock;
    struct hx_device_pool *pool; /* NULL for the CPU */
    hx_stream own;
    hx_stream *streams[HX_MAX_STREAMS]; /* by number; [0] is `own` */
    pthread_mutex_t ring_lock;
    char ring[HX_LAUNCHES_KEPT][HX_LAUNCH_NAME]; /* the last ops issued: what an asynchronous failure may come from */
    _Atomic uint64_t launches;
} hx_device;

/* Takes a mutex without keeping other threads of the host language from running while it waits. */
void hx_lock(pthread_mutex_t *mutex);

static inline void hx_device_enter(hx_device *d) {
    if (!d->thread_safe) hx_lock(&d->lock);
}
static inline void hx_device_leave(hx_device *d) {
    if (!d->thread_safe) pthread_mutex_unlock(&d->lock);
}

/* Fills a zeroed record: called once, when the device is opened. */
hx_status hx_device_init(hx_device *d, const hx_backend *backend, int32_t index, int32_t id);

/* Makes the slot's error the thread's: `what` says what helix was doing. HX_E_DEVICE_LOST marks the device. */
hx_status hx_device_failed(hx_device *d, hx_code code, const hx_err *err, const char *what);
/* HX_OK, or the error that a lost device gives to every call. */
hx_status hx_device_usable(hx_device *d);

/* Notes a launch for the messages of later failures; with HELIX_LAUNCH_BLOCKING=1 waits for it. */
hx_status hx_device_launched(hx_device *d, const char *op);

/* Bytes between host memory and a block; both wait until the host memory may be used again. */
hx_status hx_device_read(hx_device *d, const hx_mem *mem, uint64_t offset, void *host, uint64_t nbytes);
hx_status hx_device_write(hx_device *d, const hx_mem *mem, uint64_t offset, const void *host, uint64_t nbytes);
/* Within the device, in the order of the current stream. */
hx_status hx_device_copy(hx_device *d, const hx_mem *dst, uint64_t dst_offset, const hx_mem *src, uint64_t src_offset,
                         uint64_t nbytes);
hx_status hx_device_sync(hx_device *d); /* all streams */

/* ---- streams and events ---- */

/* The stream of this thread's work on the device. */
extern _Thread_local hx_stream *hx_streams[HX_MAX_DEVICES] __attribute__((visibility("hidden")));
static inline hx_stream *hx_stream_current(hx_device *d) { return hx_streams[d->id] ? hx_streams[d->id] : &d->own; }
static inline void *hx_stream_native(hx_device *d) { return hx_streams[d->id] ? hx_streams[d->id]->native : NULL; }

hx_status hx_stream_new(hx_device *d, hx_stream **out); /* the device's own once more where it has but one */
void hx_stream_retain(hx_stream *s);
void hx_stream_release(hx_stream *s);
hx_stream *hx_stream_use(hx_stream *s); /* for this thread; gives the one before. Borrowed: the caller keeps s alive */
hx_status hx_stream_sync(hx_stream *s);
/* Later work on `s` waits for what is issued on `other` now, on any device. */
hx_status hx_stream_wait(hx_stream *s, hx_stream *other);

hx_status hx_event_new(hx_device *d, hx_event **out);
void hx_event_release(hx_event *e);
hx_status hx_event_record(hx_event *e, hx_stream *s);
hx_status hx_event_done(hx_event *e, bool *done);
hx_status hx_event_sync(hx_event *e);
hx_status hx_stream_wait_event(hx_stream *s, hx_event *e);

/* ---- memory: the core's pool over mem_alloc ---- */

typedef struct hx_device_memory {
    int64_t live_bytes, peak_bytes, cached_bytes, blocks, allocations; /* allocations: calls of mem_alloc */
} hx_device_memory;

hx_status hx_device_pool_new(hx_device *d);
/* What was issued on these streams, as bits, before the pool's clock stood at `clock` has ended. */
void hx_device_pool_passed(hx_device *d, uint64_t streams, uint64_t clock);
uint64_t hx_device_pool_clock(hx_device *d); /* moves it on */
hx_status hx_device_take(hx_device *d, uint64_t nbytes, hx_mem *mem);
/* `streams`: the numbers, as bits, of the streams that used the block. Any thread; calls no slot. */
void hx_device_give(hx_device *d, const hx_mem *mem, uint64_t streams);
void hx_device_memory_get(hx_device *d, hx_device_memory *memory);
void hx_device_memory_reset_peak(hx_device *d);
void hx_device_trim(hx_device *d); /* gives back what is cached and no longer in use */
/* Called when a device has no memory left, before giving up: the host language collects its garbage. */
void hx_set_collect(void (*collect)(void));

#endif
