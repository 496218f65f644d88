/* Host fallback. Each tensor's extent is copied as it lies, so that kernels see the same strides as on the device. */
#include "fallback.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "dispatch.h"
#include "kernels.h"
#include "modes.h"

static struct {
    pthread_mutex_t lock;
    atomic_int policy; /* one more than the policy; 0: not read from the environment yet */
    void (*warn)(const char *text);
    hx_fallback_count *counts;
    int n, room;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static hx_fallback from_environment(void) {
    const char *text = getenv("HELIX_FALLBACK");
    if (text && !strcmp(text, "error")) return HX_FALLBACK_ERROR;
    if (text && !strcmp(text, "host")) return HX_FALLBACK_HOST;
    return HX_FALLBACK_WARN;
}

hx_fallback hx_fallback_get(void) {
    int known = atomic_load(&state.policy);
    if (!known) atomic_store(&state.policy, known = (int)from_environment() + 1);
    return (hx_fallback)(known - 1);
}

hx_fallback hx_fallback_set(hx_fallback policy) {
    hx_fallback before = hx_fallback_get();
    atomic_store(&state.policy, (int)policy + 1);
    return before;
}

void hx_fallback_on_warning(void (*warn)(const char *text)) { state.warn = warn; }

int hx_fallback_counts(hx_fallback_count *counts, int room) {
    pthread_mutex_lock(&state.lock);
    int n = state.n;
    if (n) memcpy(counts, state.counts, (size_t)(n < room ? n : room) * sizeof *counts);
    pthread_mutex_unlock(&state.lock);
    return n;
}

void hx_fallback_reset(void) {
    pthread_mutex_lock(&state.lock);
    state.n = 0;
    pthread_mutex_unlock(&state.lock);
}

/* Counts a call; true the first time for this op and device. Without memory for the record it goes uncounted. */
static bool count(const hx_op *op, const hx_device *device, int64_t bytes) {
    pthread_mutex_lock(&state.lock);
    int i = 0;
    while (i < state.n && !(state.counts[i].op == op && state.counts[i].device == device)) i++;
    bool first = i == state.n;
    if (first && state.n == state.room) {
        int room = state.room ? 2 * state.room : 32;
        hx_fallback_count *more = realloc(state.counts, (size_t)room * sizeof *more);
        if (more) {
            state.counts = more;
            state.room = room;
        }
    }
    if (first && state.n < state.room) state.counts[state.n++] = (hx_fallback_count){.op = op, .device = device};
    if (i < state.n) {
        state.counts[i].calls++;
        state.counts[i].bytes += bytes;
    }
    pthread_mutex_unlock(&state.lock);
    return first;
}

static const char *first_text(hx_tensor **in, int n_in, hx_tensor **out, int n_out) {
    for (int i = 0; i < n_in; i++)
        if (in[i]) return hx_tensor_text(in[i]);
    return n_out ? hx_tensor_text(out[0]) : "no tensor";
}

static hx_status allowed(const hx_op *op, const hx_device *device, hx_tensor **in, int n_in, hx_tensor **out,
                         int n_out, int64_t bytes) {
    if (op->flags & HX_RANDOM) { /* the host's own work: a device that draws must give the CPU's bits */
        count(op, device, bytes);
        return HX_OK;
    }
    const char *shown = first_text(in, n_in, out, n_out);
    const hx_op_support *own = hx_kernel_support(op, device);
    const char *kernel = own->verdict != HX_NO && !own->deterministic && hx_determinism_get() == HX_SAME_BITS
                             ? "deterministic kernel" : "kernel";
    if (hx_fallback_get() == HX_FALLBACK_ERROR)
        return hx_fail(HX_E_UNSUPPORTED, HX1701_UNSUPPORTED,
                       "device '%s' has no %s for %s, and no decomposition helps. helix.set_fallback('host') lets "
                       "the CPU run it on copies.",
                       device->name, kernel, shown);
    bool first = count(op, device, bytes);
    if (!first || hx_fallback_get() != HX_FALLBACK_WARN || !state.warn) return HX_OK;
    char text[500];
    snprintf(text, sizeof text,
             "%s on %s: device '%s' has no %s for it, so the CPU runs it on copies of the tensors, each time "
             "(told once). helix.backends.fallback_stats() counts them; helix.set_fallback('host') keeps this quiet, "
             "'error' refuses.",
             op->name, shown, device->name, kernel);
    state.warn(text);
    return HX_OK;
}

void hx_warn_of_other_bits(const hx_op *op, const hx_device *device) {
    char text[300];
    if (!state.warn) return;
    snprintf(text, sizeof text,
             "%s: the kernel of device '%s' may give other bits in the next call. helix.use_deterministic(True) does "
             "without it.", op->name, device->name);
    state.warn(text);
}

/* The bytes of the storage that the elements of t lie in: [low, high) elements from the storage's start. */
static hx_status extent(const hx_tensor *t, int64_t *low, int64_t *high) {
    HX_TRY(hx_extent(t->shape, t->strides, t->ndim, low, high));
    *low += t->offset;
    *high += t->offset;
    return HX_OK;
}

/* A tensor of the host with the geometry of t; with `read` its values too. */
static hx_status to_host(hx_tensor *t, bool read, hx_tensor **out, int64_t *bytes) {
    int64_t low, high, size = (int64_t)hx_dtype_size((hx_dtype)t->dtype);
    hx_storage *s;
    if (t->device == hx_cpu()) {
        *out = hx_tensor_retain(t);
        return HX_OK;
    }
    HX_TRY(extent(t, &low, &high));
    HX_TRY(hx_storage_new(hx_cpu(), (high - low) * size, &s));
    hx_status status = HX_OK;
    if (read) {
        status = hx_device_read(t->device, &t->storage->mem, (uint64_t)(low * size), s->mem.host_ptr,
                                (uint64_t)((high - low) * size));
        *bytes += (high - low) * size;
    }
    if (!status)
        status = hx_tensor_view(s, (hx_dtype)t->dtype, t->shape, t->strides, t->ndim, t->offset - low, out);
    hx_storage_release(s);
    return status;
}

static hx_status from_host(hx_tensor *t, const hx_tensor *host) {
    int64_t low, high, size = (int64_t)hx_dtype_size((hx_dtype)t->dtype);
    if (t->device == hx_cpu()) return HX_OK;
    HX_TRY(extent(t, &low, &high));
    return hx_device_write(t->device, &t->storage->mem, (uint64_t)(low * size), host->storage->mem.host_ptr,
                           (uint64_t)((high - low) * size));
}

static int64_t bytes_of(hx_tensor **t, int n) {
    int64_t sum = 0;
    for (int i = 0; i < n; i++)
        if (t[i]) sum += t[i]->numel * (int64_t)hx_dtype_size((hx_dtype)t[i]->dtype);
    return sum;
}

static bool is_written(const hx_written *w, int i) {
    return i >= w->list_at && w->part && w->groups >> ((i - w->list_at) / w->part) & 1;
}

hx_status hx_fallback_run(const hx_op *op, hx_device *device, hx_tensor **in, int n_in, const hx_attr *attr,
                          int n_attr, hx_tensor **out, int n_out, const hx_written *written) {
    int64_t bytes = bytes_of(in, n_in) + bytes_of(out, n_out), copied = 0;
    HX_TRY(allowed(op, device, in, n_in, out, n_out, bytes));
    size_t n = (size_t)(n_in + n_out);
    hx_tensor **host = hx_alloc_zeroed((n + 1) * sizeof *host);
    if (!host) return HX_E_MEMORY;
    hx_status status = HX_OK;
    for (int i = 0; i < n_in && !status; i++)
        if (in[i]) status = to_host(in[i], true, &host[i], &copied);
    for (int i = 0; i < n_out && !status; i++) {
        if (n_in && out[i] == in[0]) host[n_in + i] = hx_tensor_retain(host[0]);
        else status = to_host(out[i], !hx_contiguous(out[i]), &host[n_in + i], &copied);
    }
    if (!status) status = hx_run_kernel(op, host, n_in, attr, n_attr, host + n_in, n_out);
    for (int i = 0; i < n_out && !status; i++) status = from_host(out[i], host[n_in + i]);
    for (int i = 0; i < n_in && written && !status; i++)
        if (in[i] && is_written(written, i)) status = from_host(in[i], host[i]);
    for (size_t i = 0; i < n; i++) hx_tensor_release(host[i]);
    hx_free(host, (n + 1) * sizeof *host);
    return status;
}
