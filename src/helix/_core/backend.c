/* Backends and devices: registration by copy, opening at first use, and which kernels they offer. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "cpu/cpu.h"
#include "dispatch.h"
#include "kernels.h"

enum { MAX_DEVICES = 64 };

static struct {
    hx_backend backends[HX_MAX_BACKENDS];
    int n_backends;
    hx_device devices[MAX_DEVICES];
    int n_devices;
    pthread_mutex_t lock;
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool complete(const hx_backend *b) {
    return b->device_count && b->device_info && b->device_open && b->device_close && b->mem_alloc && b->mem_free &&
           b->copy && b->sync;
}

/* The backend is copied: slots that its header did not have yet read as NULL. */
hx_status hx_backend_register(const hx_backend *backend) {
    if (backend->abi_major != HX_ABI_MAJOR)
        return hx_fail(HX_E_VERSION, HX1801_PLUGIN, "backend '%s' was built for ABI %u.%u, this helix offers %u.%u",
                       backend->name, backend->abi_major, backend->abi_minor, HX_ABI_MAJOR, HX_ABI_MINOR);
    hx_backend own = {0};
    memcpy(&own, backend, backend->struct_size < sizeof own ? backend->struct_size : sizeof own);
    if (!complete(&own))
        return hx_fail(HX_E_VERSION, HX1801_PLUGIN, "backend '%s' leaves a required slot empty", own.name);
    pthread_mutex_lock(&table.lock);
    hx_status status = HX_OK;
    for (int i = 0; i < table.n_backends; i++)
        if (!strcmp(table.backends[i].name, own.name))
            status = hx_fail(HX_E_VALUE, HX1801_PLUGIN, "a backend named '%s' is registered already", own.name);
    if (!status && table.n_backends == HX_MAX_BACKENDS)
        status = hx_fail(HX_E_VALUE, HX1801_PLUGIN, "more than %d backends", HX_MAX_BACKENDS);
    if (!status) table.backends[table.n_backends++] = own;
    pthread_mutex_unlock(&table.lock);
    return status;
}

int hx_backend_count(void) { return table.n_backends; }
const hx_backend *hx_backend_at(int i) { return &table.backends[i]; }

static hx_status open_device(const hx_backend *backend, int32_t index, hx_device **out) {
    hx_err err = {.struct_size = sizeof err};
    int32_t count = backend->device_count(backend->ctx);
    if (index < 0 || index >= count)
        return hx_fail(HX_E_DEVICE, HX1202_NO_DEVICE, "device '%s:%d' is not there: '%s' has %d device%s",
                       backend->name, index, backend->name, count, count == 1 ? "" : "s");
    if (table.n_devices == MAX_DEVICES)
        return hx_fail(HX_E_DEVICE, HX1202_NO_DEVICE, "more than %d devices", MAX_DEVICES);
    hx_device *d = &table.devices[table.n_devices];
    hx_device_info info = {.struct_size = sizeof info};
    if (backend->device_info(backend->ctx, index, &info, &err) ||
        backend->device_open(backend->ctx, index, &d->handle, &err))
        return hx_fail(HX_E_DEVICE, HX1202_NO_DEVICE, "device '%s:%d' could not be opened: %s", backend->name, index,
                       err.msg);
    d->backend = backend;
    d->index = index;
    d->id = table.n_devices++;
    d->host_addressable = info.caps & HX_CAP_HOST_ADDRESSABLE;
    snprintf(d->name, sizeof d->name, index || d->id ? "%s:%d" : "%s", backend->name, index);
    *out = d;
    return HX_OK;
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
    pthread_mutex_lock(&table.lock);
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
    return status;
}

hx_device *hx_cpu(void) { return &table.devices[0]; }

const hx_op_support *hx_kernel_support(const hx_op *op, const hx_device *device) {
    long position = device->backend - table.backends;
    hx_op_kernels *k = op->info->kernels;
    if (!k->of[position].asked) {
        hx_op_support found = {.struct_size = sizeof found};
        if (!device->backend->op_query || device->backend->op_query(device->backend->ctx, op->name, &found) != HX_OK)
            found.verdict = HX_NO;
        k->of[position].support = found;
        k->of[position].asked = true;
    }
    return &k->of[position].support;
}

static hx_status start_status;
static void start(void) {
    hx_device *cpu;
    start_status = hx_registry_init();
    if (!start_status) start_status = hx_backend_register(hx_cpu_backend());
    if (!start_status) start_status = hx_device_find("cpu", &cpu);
}

hx_status hx_init(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start);
    return start_status;
}
