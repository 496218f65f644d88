/* Backends and devices: registration by copy, opening at first use, and which kernels they offer. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cpu/cpu.h"
#include "dispatch.h"
#include "late.h"
#include "kernels.h"
#include "threads.h"
#include "workspace.h"

static struct {
    hx_backend backends[HX_MAX_BACKENDS];
    int n_backends;
    hx_device devices[HX_MAX_DEVICES];
    int n_devices;
    pthread_mutex_t lock;
    pid_t owner; /* the process that opened the devices */
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- registration ---- */

/* Slots of the first 1.0 header end here: a struct that is shorter was not compiled against it. */
#define FIRST_SIZE (offsetof(hx_backend, mem_export) + sizeof(((hx_backend *)0)->mem_export))

static const char *missing_slot(const hx_backend *b) {
    const struct { bool there; const char *name; } required[] = {
        {b->device_count, "device_count"}, {b->device_info, "device_info"}, {b->device_open, "device_open"},
        {b->device_close, "device_close"}, {b->mem_alloc, "mem_alloc"}, {b->mem_free, "mem_free"},
        {b->copy, "copy"}, {b->sync, "sync"},
        {!b->program_load == !b->launch && !b->program_load == !b->program_unload,
         "program_load, program_unload and launch together"},
        {!b->event_create == !b->event_record && !b->event_create == !b->event_destroy,
         "event_create, event_record and event_destroy together"},
        {!b->stream_create == !b->stream_destroy, "stream_create and stream_destroy together"}};
    for (size_t i = 0; i < sizeof required / sizeof *required; i++)
        if (!required[i].there) return required[i].name;
    return NULL;
}

static bool good_name(const char *name) {
    static const char *const reserved[] = {"auto", "meta", "host"};
    if (!name || name[0] < 'a' || name[0] > 'z' || strlen(name) > 31) return false;
    for (const char *c = name; *c; c++)
        if (!(*c >= 'a' && *c <= 'z') && !(*c >= '0' && *c <= '9') && *c != '_') return false;
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (!strcmp(name, reserved[i])) return false;
    return true;
}

static hx_status check(const hx_backend *b) {
    if (b->struct_size < 8 || b->abi_major != HX_ABI_MAJOR)
        return hx_fail(HX_E_VERSION, HX1801_PLUGIN,
                       "the plugin was built for ABI %u.%u, this helix offers %u.%u; install a release of the plugin that "
                       "was built for ABI %u",
                       b->struct_size < 8 ? 0 : b->abi_major, b->struct_size < 8 ? 0 : b->abi_minor, HX_ABI_MAJOR,
                       HX_ABI_MINOR, HX_ABI_MAJOR);
    if (b->struct_size < FIRST_SIZE)
        return hx_fail(HX_E_VERSION, HX1801_PLUGIN,
                       "the plugin's struct has %u bytes, and ABI %u.0 begins with %zu; build it against helix's headers",
                       b->struct_size, HX_ABI_MAJOR, FIRST_SIZE);
    if (!good_name(b->name))
        return hx_fail(HX_E_VALUE, HX1801_PLUGIN,
                       "'%.40s' is no name for a backend: lower-case letters, digits and _, a letter first, at most 31 "
                       "characters, and not auto, meta or host",
                       b->name ? b->name : "");
    const char *missing = missing_slot(b);
    if (missing)
        return hx_fail(HX_E_VERSION, HX1801_PLUGIN, "backend '%s' leaves a required slot empty: %s", b->name, missing);
    return HX_OK;
}

static void (*logger)(const char *backend, int32_t level, const char *text);
void hx_backend_on_log(void (*log)(const char *backend, int32_t level, const char *text)) { logger = log; }
static void host_log(const char *backend, int32_t level, const char *text) {
    if (logger) logger(backend, level, text);
}
static void *host_alloc(uint64_t nbytes) {
    void *block = nbytes <= SIZE_MAX ? hx_pool_keep((size_t)nbytes) : NULL;
    if (!block) hx_error_clear();
    return block;
}
static void host_free(void *block, uint64_t nbytes) { hx_pool_free(block, (size_t)nbytes); }

/* Plugins were not told that work can be given up. */
static void host_parallel(int64_t n, int64_t grain, hx_range_body body, void *ctx) {
    hx_whole_begin();
    hx_parallel_range(n, grain, body, ctx);
    hx_whole_end();
}

static const hx_host host = {.struct_size = sizeof host, .abi_major = HX_ABI_MAJOR, .abi_minor = HX_ABI_MINOR,
                             .version = HX_VERSION, .log = host_log, .parallel = host_parallel,
                             .host_alloc = host_alloc, .host_free = host_free};

/* The backend is copied: slots that its header did not have yet read as NULL, slots that we do not have are left out.
 * A failure of its init keeps it out. */
hx_status hx_backend_register(const hx_backend *backend, const char *library_dir) {
    hx_backend own = {0};
    HX_TRY(check(backend));
    memcpy(&own, backend, backend->struct_size < sizeof own ? backend->struct_size : sizeof own);
    hx_lock(&table.lock);
    hx_status status = HX_OK;
    for (int i = 0; i < table.n_backends; i++)
        if (!strcmp(table.backends[i].name, own.name))
            status = hx_fail(HX_E_VALUE, HX1801_PLUGIN, "a backend named '%s' is registered already", own.name);
    if (!status && table.n_backends == HX_MAX_BACKENDS)
        status = hx_fail(HX_E_VALUE, HX1801_PLUGIN, "more than %d backends", HX_MAX_BACKENDS);
    if (!status && own.init) {
        hx_err err = {.struct_size = sizeof err};
        hx_code code = own.init(own.ctx, &host, library_dir ? library_dir : "", &err);
        if (code && !(code == HX_E_CALLBACK && hx_error_pending()))
            hx_fail(code, HX1801_PLUGIN, "backend '%s' could not start: %s", own.name, err.msg);
        status = code;
    }
    if (!status) table.backends[table.n_backends++] = own;
    pthread_mutex_unlock(&table.lock);
    return status;
}

int hx_backend_count(void) { return table.n_backends; }
const hx_backend *hx_backend_at(int i) { return &table.backends[i]; }

/* ---- devices ---- */

static hx_status open_device(const hx_backend *backend, int32_t index, hx_device **out) {
    int32_t count = backend->device_count(backend->ctx);
    if (index < 0 || index >= count)
        return hx_fail(HX_E_DEVICE, HX1202_NO_DEVICE, "device '%s:%d' is not there: '%s' has %d device%s",
                       backend->name, index, backend->name, count, count == 1 ? "" : "s");
    if (table.n_devices == HX_MAX_DEVICES)
        return hx_fail(HX_E_DEVICE, HX1202_NO_DEVICE, "more than %d devices", HX_MAX_DEVICES);
    hx_device *d = &table.devices[table.n_devices];
    HX_TRY(hx_device_init(d, backend, index, table.n_devices));
    d->position = (int32_t)(backend - table.backends);
    table.n_devices++;
    table.owner = getpid();
    *out = d;
    return HX_OK;
}

int hx_device_count(void) { return table.n_devices; }
hx_device *hx_device_at(int i) { return &table.devices[i]; }

/* Another process's driver state is of no use here. */
static hx_status not_inherited(const hx_device *d) {
    if (d->id == 0 || table.owner == getpid()) return HX_OK;
    return hx_fail(HX_E_DEVICE, HX1202_NO_DEVICE,
                   "device '%s' was opened before this process was forked, and drivers do not survive a fork. Start "
                   "workers with the 'spawn' method, or open the device in the child only.",
                   d->name);
}

void hx_devices_close(void) {
    for (int i = 1; i < table.n_devices; i++) {
        hx_device *d = &table.devices[i];
        if (table.owner != getpid() || atomic_load(&d->lost)) continue;
        hx_late_release(&d->own);
        hx_device_trim(d);
        hx_error_clear();
        hx_device_enter(d);
        atomic_store(&d->lost, true);
        d->backend->device_close(d->handle);
        hx_device_leave(d);
    }
}

/* "name" or "name:index". */
hx_status hx_device_find(const char *name, hx_device **out) {
    char type[32];
    const char *colon = strchr(name, ':');
    size_t length = colon ? (size_t)(colon - name) : strlen(name);
    char *end = NULL;
    long index = colon ? strtol(colon + 1, &end, 10) : 0;
    if (length == 0 || length >= sizeof type || (colon && (end == colon + 1 || *end)))
        return hx_fail(HX_E_DEVICE, HX1202_NO_DEVICE, "'%.40s' is no device name; write 'cpu' or 'type:index'", name);
    memcpy(type, name, length);
    type[length] = 0;
    hx_lock(&table.lock);
    hx_status status = HX_OK;
    const hx_backend *backend = NULL;
    *out = NULL;
    for (int i = 0; i < table.n_devices; i++)
        if (!strcmp(table.devices[i].backend->name, type) && table.devices[i].index == index) *out = &table.devices[i];
    for (int i = 0; i < table.n_backends; i++)
        if (!strcmp(table.backends[i].name, type)) backend = &table.backends[i];
    if (!*out && backend) status = open_device(backend, (int32_t)index, out);
    if (!backend)
        status = hx_fail(HX_E_DEVICE, HX1202_NO_DEVICE,
                         "no backend named '%s' is installed; `helix devices` lists what is there", type);
    pthread_mutex_unlock(&table.lock);
    return !status && *out ? not_inherited(*out) : status;
}

hx_device *hx_cpu(void) { return &table.devices[0]; }

/* Callers may ask at the same time: each asks the backend, without a lock since a backend may call helix; the first
 * answer is kept, and the others wait for its few words to be written. */
const hx_op_support *hx_kernel_ask(const hx_op *op, const hx_device *device) {
    const hx_backend *backend = device->backend;
    hx_op_kernels *k = op->info->kernels;
    const int position = device->position;
    hx_op_support found = {.struct_size = sizeof found};
    if (!backend->op_query || backend->op_query(backend->ctx, op->name, &found) != HX_OK) found.verdict = HX_NO;
    uint8_t unasked = HX_UNASKED;
    if (atomic_compare_exchange_strong(&k->of[position].state, &unasked, HX_ANSWERING)) {
        k->of[position].support = found;
        atomic_store_explicit(&k->of[position].state, HX_ANSWERED, memory_order_release);
    }
    while (atomic_load_explicit(&k->of[position].state, memory_order_acquire) != HX_ANSWERED) sched_yield();
    return &k->of[position].support;
}

static hx_status start_status;
static void start(void) {
    hx_device *cpu;
    start_status = hx_registry_init();
    if (!start_status) start_status = hx_backend_register(hx_cpu_backend(), NULL);
    if (!start_status) start_status = hx_device_find("cpu", &cpu);
}

hx_status hx_init(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start);
    return start_status;
}
