/* A libcuda.so.1 without a GPU: the driver functions that helix-backend-cuda uses, through pycuda or directly. Kernels
 * are shared libraries that libnvrtc.c made; they run on the CPU (group.c).
 *
 * It is as late as the real driver may be: work of a stream runs when someone waits for it, or when a wait needs it.
 * Calls without a current context, ranges outside a block and double frees are errors; memory holds poison when it
 * comes and when it goes; writes beside a block are found after every kernel.
 *
 * EMULATION_DEVICES (1), EMULATION_CAPABILITY (80), EMULATION_DRIVER (13000), EMULATION_INIT (what cuInit answers: 0),
 * EMULATION_MEMORY (bytes), EMULATION_ORDER (-1 forward, -2 reversed, a seed from 0 on). */
#define _GNU_SOURCE
#include "group.h"

#include <dlfcn.h>
#include <elf.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int CUresult;
typedef uint64_t CUdeviceptr;
enum {
    OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101,
    INVALID_IMAGE = 200, INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600,
    ILLEGAL_ADDRESS = 700, OUT_OF_RESOURCES = 701, LAUNCH_FAILED = 719, NOT_SUPPORTED = 801, DRIVER_MISMATCH = 803, UNKNOWN = 999
};
enum { MARGIN = 64, MARGIN_BYTE = 0xA5, POISON = 0xFF, MAX_PARAMETERS = 64, MAX_DEVICES = 4, DEPTH = 16 };
#define TOTAL_MEMORY ((size_t)setting("EMULATION_MEMORY", 1 << 30))

int helix_emulated_driver(void) { return 1; } /* how a program can tell */

static pthread_mutex_t lock;
static int initialized;
static int64_t order = EMULATION_FORWARD;

/* ---- contexts: one primary context a device, a stack of current ones a thread ---- */

typedef struct context {
    int device, retained;
} context;

static context contexts[MAX_DEVICES];
static __thread context *stack[DEPTH];
static __thread int depth;

static context *here(void) { return depth ? stack[depth - 1] : NULL; }

static int64_t setting(const char *name, int64_t usual) {
    const char *text = getenv(name);
    return text && *text ? atoll(text) : usual;
}
static int devices(void) {
    int64_t n = setting("EMULATION_DEVICES", 1);
    return n < 0 ? 0 : n > MAX_DEVICES ? MAX_DEVICES : (int)n;
}

/* ---- failures: that of a kernel stays, and every call that needs the context answers it ---- */

static CUresult failure;
static char reason[600];
static struct {
    CUresult code;
    int after;
} planned_launch, planned_kernel; /* the first after so many others fails */

const char *emulation_reason(void) { return reason; }
void emulation_fail_launch(CUresult code, int after) { planned_launch.code = code, planned_launch.after = after; }
void emulation_fail_kernel(CUresult code, int after) { planned_kernel.code = code, planned_kernel.after = after; }
void emulation_recover(void) { failure = planned_launch.code = planned_kernel.code = OK; }

static CUresult planned(CUresult *code, int *after) {
    CUresult now = *after > 0 ? OK : *code;
    if (*after > 0) --*after;
    if (now) *code = OK;
    return now;
}
static void fail(const char *kernel, const char *text) {
    failure = LAUNCH_FAILED;
    snprintf(reason, sizeof reason, "%s: %s", kernel, text);
    fprintf(stderr, "emulated CUDA: %s\n", reason);
}

/* ---- memory ---- */

typedef struct block {
    struct block *next;
    unsigned char *start; /* between two margins */
    size_t nbytes;
    int pinned;
} block;

static block *blocks;
static size_t taken;

static block *block_of(const void *start, size_t nbytes, int pinned) {
    const unsigned char *p = start;
    for (block *b = blocks; b; b = b->next)
        if (b->pinned == pinned && p >= b->start && p <= b->start + b->nbytes)
            return nbytes <= (size_t)(b->start + b->nbytes - p) ? b : NULL;
    return NULL;
}
static int is_device_range(CUdeviceptr p, size_t nbytes) { return block_of((void *)(uintptr_t)p, nbytes, 0) != NULL; }

static int margins_whole(const block *b) {
    for (int i = 0; i < MARGIN; i++)
        if (b->start[-1 - i] != MARGIN_BYTE || b->start[b->nbytes + (size_t)i] != MARGIN_BYTE) return 0;
    return 1;
}
static CUresult take_block(void **start, size_t nbytes, int pinned) {
    if (!nbytes) return INVALID_VALUE;
    if (nbytes > TOTAL_MEMORY - taken) return OUT_OF_MEMORY;
    block *b = malloc(sizeof *b);
    unsigned char *memory = NULL;
    size_t whole = (nbytes + 2 * MARGIN + 255) / 256 * 256 + 256;
    if (!b || posix_memalign((void **)&memory, 256, whole)) return free(b), OUT_OF_MEMORY;
    *b = (block){blocks, memory + 256, nbytes, pinned};
    memset(b->start - MARGIN, MARGIN_BYTE, MARGIN);
    memset(b->start, POISON, nbytes);
    memset(b->start + nbytes, MARGIN_BYTE, MARGIN);
    blocks = b;
    taken += nbytes;
    *start = b->start;
    return OK;
}
static CUresult give_block(void *start, int pinned) {
    for (block **place = &blocks; *place; place = &(*place)->next) {
        block *b = *place;
        if (b->start != start || b->pinned != pinned) continue;
        if (!margins_whole(b)) fail("free", "something wrote beside the block");
        *place = b->next;
        taken -= b->nbytes;
        memset(b->start, POISON, b->nbytes);
        free(b->start - 256);
        free(b);
        return OK;
    }
    return INVALID_VALUE;
}

/* ---- modules ---- */

typedef struct module {
    void *library;
    int has_barriers;
    unsigned char *shared, *shared_end;
} module;

typedef struct function {
    struct function *next;
    module *owner;
    char name[128];
    emulation_kernel run;
    unsigned n, sizes[MAX_PARAMETERS];
} function;

static function *functions;

/* ---- streams: queues of work that has not run ---- */

typedef struct event {
    struct stream *stream;
    uint64_t place; /* how much of the stream is before it */
} event;

typedef struct work {
    struct work *next;
    void (*run)(void *data);
    event after; /* for a wait: what has to be done before */
    int waits;
    char data[];
} work;

typedef struct stream {
    struct stream *next;
    work *first, **end;
    uint64_t issued, done;
} stream;

static stream legacy = {.end = &legacy.first}, *streams = &legacy;

static stream *stream_of(void *handle) { return handle ? handle : &legacy; }

static void run_until(stream *s, uint64_t place) {
    while (s->done < place && s->first) {
        work *w = s->first;
        s->first = w->next;
        if (!s->first) s->end = &s->first;
        s->done++;
        if (w->waits) run_until(w->after.stream, w->after.place);
        else if (!failure) w->run(w->data);
        free(w);
    }
}
static void run_all(void) {
    for (stream *s = streams; s; s = s->next) run_until(s, s->issued);
}
static work *queue(stream *s, size_t nbytes) {
    work *w = calloc(1, sizeof *w + nbytes);
    if (!w) return NULL;
    *s->end = w;
    s->end = &w->next;
    s->issued++;
    return w;
}

/* For other emulated libraries: puts a copy of `data` and what to do with it behind the work of a stream. */
CUresult emulation_enqueue(void *handle, void (*run)(void *), const void *data, size_t nbytes) {
    pthread_mutex_lock(&lock);
    work *w = queue(stream_of(handle), nbytes);
    if (w) {
        w->run = run;
        memcpy(w->data, data, nbytes);
    }
    pthread_mutex_unlock(&lock);
    return w ? OK : OUT_OF_MEMORY;
}

/* ---- the pieces of work ---- */

typedef struct transfer {
    void *to;
    const void *from;
    size_t nbytes;
} transfer;

typedef struct filling {
    void *to;
    uint32_t value;
    int width;
    size_t count;
} filling;

typedef struct running {
    function *f;
    emulation_index groups, items;
    uint32_t dynamic_bytes;
    uint64_t values[2 * MAX_PARAMETERS];
} running;

static void run_transfer(void *data) {
    transfer *t = data;
    memmove(t->to, t->from, t->nbytes);
}
static void run_filling(void *data) {
    filling *f = data;
    for (size_t i = 0; i < f->count; i++) memcpy((char *)f->to + i * (size_t)f->width, &f->value, (size_t)f->width);
}
static void run_kernel(void *data) {
    running *r = data;
    if ((failure = planned(&planned_kernel.code, &planned_kernel.after))) return;
    void *pointers[MAX_PARAMETERS];
    for (unsigned i = 0; i < r->f->n; i++) pointers[i] = &r->values[i];
    char error[400];
    emulation_launch launch = {
        .kernel = r->f->run, .arguments = pointers, .groups = r->groups, .items = r->items,
        .shared = r->f->owner->shared, .shared_end = r->f->owner->shared_end, .dynamic_bytes = r->dynamic_bytes,
        .has_barriers = r->f->owner->has_barriers, .order = order};
    if (emulation_run(&launch, error, sizeof error)) fail(r->f->name, error);
    for (block *b = blocks; b; b = b->next)
        if (!margins_whole(b)) {
            fail(r->f->name, "wrote beside a block");
            memset(b->start - MARGIN, MARGIN_BYTE, MARGIN);
            memset(b->start + b->nbytes, MARGIN_BYTE, MARGIN);
        }
}

static CUresult issue(void *handle, void (*run)(void *), const void *data, size_t nbytes) {
    work *w = queue(stream_of(handle), nbytes);
    if (!w) return OUT_OF_MEMORY;
    w->run = run;
    memcpy(w->data, data, nbytes);
    return OK;
}

/* Every function below: the lock, and a context where the driver wants one. */
#define ENTER                                                    \
    pthread_mutex_lock(&lock);                                   \
    CUresult result = !initialized ? NOT_INITIALIZED : OK;       \
    if (result == OK) {
#define ENTER_CONTEXT                                                                   \
    pthread_mutex_lock(&lock);                                                          \
    CUresult result = !initialized ? NOT_INITIALIZED : !here() ? INVALID_CONTEXT : failure; \
    if (result == OK) {
#define LEAVE                    \
    }                            \
    pthread_mutex_unlock(&lock); \
    return result;

CUresult cuInit(unsigned flags) {
    pthread_mutexattr_t kind;
    (void)flags;
    if (setting("EMULATION_INIT", OK)) return (CUresult)setting("EMULATION_INIT", OK);
    if (initialized) return OK;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lock, &kind);
    order = setting("EMULATION_ORDER", EMULATION_FORWARD);
    initialized = 1;
    return OK;
}
void emulation_order(int64_t chosen) { order = chosen; }

CUresult cuDriverGetVersion(int *version) { return *version = (int)setting("EMULATION_DRIVER", 13000), OK; }

static const struct {
    CUresult code;
    const char *name, *text;
} errors[] = {
    {OK, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {OUT_OF_RESOURCES, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", reason},
    {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported by the emulation"},
    {DRIVER_MISMATCH, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "system has unsupported display driver / cuda driver combination"},
    {UNKNOWN, "CUDA_ERROR_UNKNOWN", "unknown error"},
};
static CUresult describe(CUresult code, const char **text, int name) {
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].code == code) return *text = name ? errors[i].name : errors[i].text, OK;
    *text = NULL;
    return INVALID_VALUE;
}
CUresult cuGetErrorName(CUresult code, const char **text) { return describe(code, text, 1); }
CUresult cuGetErrorString(CUresult code, const char **text) { return describe(code, text, 0); }

CUresult cuDeviceGetCount(int *count) {
    ENTER
    *count = devices();
    LEAVE
}
CUresult cuDeviceGet(int *device, int ordinal) {
    ENTER
    *device = ordinal;
    if (ordinal < 0 || ordinal >= devices()) result = INVALID_DEVICE;
    LEAVE
}
CUresult cuDeviceGetName(char *name, int room, int device) {
    ENTER
    (void)device;
    snprintf(name, (size_t)room, "emulated GPU");
    LEAVE
}
CUresult cuDeviceGetUuid_v2(char *uuid, int device) {
    ENTER
    memset(uuid, device + 1, 16);
    LEAVE
}
CUresult cuDeviceTotalMem_v2(size_t *nbytes, int device) {
    ENTER
    (void)device;
    *nbytes = TOTAL_MEMORY;
    LEAVE
}
CUresult cuDeviceGetAttribute(int *value, int attribute, int device) {
    static const int known[][2] = {{1, 1024}, {2, 1024}, {3, 1024}, {4, 64}, {5, 2147483647}, {6, 65535}, {7, 65535},
                                   {8, 49152}, {10, 32}, {16, 2}, {41, 1}};
    ENTER
    (void)device;
    int capability = (int)setting("EMULATION_CAPABILITY", 80);
    *value = attribute == 75 ? capability / 10 : attribute == 76 ? capability % 10 : 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i][0] == attribute) *value = known[i][1];
    LEAVE
}
CUresult cuDeviceComputeCapability(int *major, int *minor, int device) {
    cuDeviceGetAttribute(major, 75, device);
    return cuDeviceGetAttribute(minor, 76, device);
}

CUresult cuDevicePrimaryCtxRetain(context **made, int device) {
    ENTER
    if (device < 0 || device >= devices()) result = INVALID_DEVICE;
    else {
        *made = &contexts[device];
        (*made)->device = device;
        (*made)->retained++;
    }
    LEAVE
}
CUresult cuDevicePrimaryCtxRelease_v2(int device) {
    ENTER
    if (device < 0 || device >= MAX_DEVICES || !contexts[device].retained) result = INVALID_CONTEXT;
    else contexts[device].retained--;
    LEAVE
}
CUresult cuCtxPushCurrent_v2(context *pushed) {
    ENTER
    if (!pushed || !pushed->retained || depth == DEPTH) result = INVALID_CONTEXT;
    else stack[depth++] = pushed;
    LEAVE
}
CUresult cuCtxPopCurrent_v2(context **popped) {
    ENTER
    if (!here()) result = INVALID_CONTEXT;
    else {
        if (popped) *popped = here();
        depth--;
    }
    LEAVE
}
CUresult cuCtxGetCurrent(context **current) {
    ENTER
    *current = here();
    LEAVE
}
CUresult cuCtxGetDevice(int *device) {
    ENTER_CONTEXT
    *device = here()->device;
    LEAVE
}
CUresult cuCtxGetApiVersion(context *c, unsigned *version) { return (void)c, *version = 13000, OK; }
CUresult cuCtxSynchronize(void) {
    ENTER_CONTEXT
    run_all();
    result = failure;
    LEAVE
}

CUresult cuMemAlloc_v2(CUdeviceptr *start, size_t nbytes) {
    ENTER_CONTEXT
    void *memory = NULL;
    result = take_block(&memory, nbytes, 0);
    *start = (CUdeviceptr)(uintptr_t)memory;
    LEAVE
}
CUresult cuMemFree_v2(CUdeviceptr start) { /* waits for the device, as the real one does */
    ENTER_CONTEXT
    run_all();
    result = give_block((void *)(uintptr_t)start, 0);
    LEAVE
}
CUresult cuMemHostAlloc(void **start, size_t nbytes, unsigned flags) {
    ENTER_CONTEXT
    (void)flags;
    result = take_block(start, nbytes, 1);
    LEAVE
}
CUresult cuMemFreeHost(void *start) {
    ENTER_CONTEXT
    run_all();
    result = give_block(start, 1);
    LEAVE
}
CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
    ENTER_CONTEXT
    *free_bytes = TOTAL_MEMORY - taken;
    *total = TOTAL_MEMORY;
    LEAVE
}

/* Pinned memory is read and written late; pageable memory before the call returns. */
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t nbytes, void *s) {
    ENTER_CONTEXT
    transfer t = {(void *)(uintptr_t)to, from, nbytes};
    if (!is_device_range(to, nbytes)) result = INVALID_VALUE;
    else if (block_of(from, nbytes, 1)) result = issue(s, run_transfer, &t, sizeof t);
    else {
        run_until(stream_of(s), stream_of(s)->issued);
        run_transfer(&t);
    }
    LEAVE
}
CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t nbytes, void *s) {
    ENTER_CONTEXT
    transfer t = {to, (void *)(uintptr_t)from, nbytes};
    if (!is_device_range(from, nbytes)) result = INVALID_VALUE;
    else if (block_of(to, nbytes, 1)) result = issue(s, run_transfer, &t, sizeof t);
    else {
        run_until(stream_of(s), stream_of(s)->issued);
        run_transfer(&t);
    }
    LEAVE
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t nbytes, void *s) {
    ENTER_CONTEXT
    transfer t = {(void *)(uintptr_t)to, (void *)(uintptr_t)from, nbytes};
    if (!is_device_range(to, nbytes) || !is_device_range(from, nbytes)) result = INVALID_VALUE;
    else result = issue(s, run_transfer, &t, sizeof t);
    LEAVE
}
static CUresult fill(CUdeviceptr to, uint32_t value, int width, size_t count, void *s) {
    ENTER_CONTEXT
    filling f = {(void *)(uintptr_t)to, value, width, count};
    if (!is_device_range(to, count * (size_t)width) || to % (unsigned)width) result = INVALID_VALUE;
    else result = issue(s, run_filling, &f, sizeof f);
    LEAVE
}
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t n, void *s) { return fill(to, value, 1, n, s); }
CUresult cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t n, void *s) { return fill(to, value, 2, n, s); }
CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t n, void *s) { return fill(to, value, 4, n, s); }

CUresult cuStreamCreate(stream **made, unsigned flags) {
    ENTER_CONTEXT
    (void)flags;
    stream *s = calloc(1, sizeof *s);
    if (!s) result = OUT_OF_MEMORY;
    else {
        s->end = &s->first;
        s->next = streams->next; /* the legacy stream stays first */
        streams->next = s;
        *made = s;
    }
    LEAVE
}
CUresult cuStreamDestroy_v2(stream *s) { /* its events may be asked for later: the stream stays, done */
    ENTER_CONTEXT
    if (!s) result = INVALID_HANDLE;
    else run_until(s, s->issued);
    LEAVE
}
CUresult cuStreamSynchronize(stream *s) {
    ENTER_CONTEXT
    run_until(stream_of(s), stream_of(s)->issued);
    result = failure;
    LEAVE
}
CUresult cuStreamQuery(stream *s) {
    ENTER_CONTEXT
    result = stream_of(s)->first ? NOT_READY : failure;
    run_until(stream_of(s), stream_of(s)->done + 1); /* whoever asks again and again sees an end */
    LEAVE
}
CUresult cuStreamWaitEvent(stream *s, event *e, unsigned flags) {
    ENTER_CONTEXT
    (void)flags;
    work *w = e->stream ? queue(stream_of(s), 0) : NULL;
    if (w) {
        w->waits = 1;
        w->after = *e;
    }
    LEAVE
}
CUresult cuEventCreate(event **made, unsigned flags) {
    ENTER_CONTEXT
    (void)flags;
    *made = calloc(1, sizeof **made);
    if (!*made) result = OUT_OF_MEMORY;
    LEAVE
}
CUresult cuEventDestroy_v2(event *e) {
    ENTER_CONTEXT
    free(e);
    LEAVE
}
CUresult cuEventRecord(event *e, stream *s) {
    ENTER_CONTEXT
    *e = (event){stream_of(s), stream_of(s)->issued};
    LEAVE
}
CUresult cuEventQuery(event *e) {
    ENTER_CONTEXT
    if (e->stream && e->stream->done < e->place) {
        result = NOT_READY;
        run_until(e->stream, e->stream->done + 1);
    } else result = failure;
    LEAVE
}
CUresult cuEventSynchronize(event *e) {
    ENTER_CONTEXT
    if (e->stream) run_until(e->stream, e->place);
    result = failure;
    LEAVE
}

/* ---- programs ---- */

static size_t elf_bytes(const void *image) {
    const Elf64_Ehdr *head = image;
    if (memcmp(head->e_ident, ELFMAG, SELFMAG)) return 0;
    return head->e_shoff + (size_t)head->e_shnum * head->e_shentsize;
}
static void *open_image(const void *image) {
    char path[] = "/tmp/helix-emulated-XXXXXX"; /* a name of its own: equal names are one library to the loader */
    size_t nbytes = elf_bytes(image);
    int file = nbytes ? mkstemp(path) : -1;
    if (file < 0) return NULL;
    int whole = write(file, image, nbytes) == (ssize_t)nbytes;
    close(file);
    void *library = whole ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    unlink(path);
    return library;
}
CUresult cuModuleLoadData(module **made, const void *image) {
    ENTER_CONTEXT
    module *m = calloc(1, sizeof *m);
    void *library = m ? open_image(image) : NULL;
    if (!library) {
        free(m);
        result = INVALID_IMAGE;
    } else {
        m->library = library;
        m->has_barriers = *(const int *)dlsym(library, "emulated_has_barriers");
        ((void (*)(emulation_now *))dlsym(library, "emulation_bind"))(&emulation_state);
        ((void (*)(unsigned char **, unsigned char **))dlsym(library, "emulation_shared"))(&m->shared, &m->shared_end);
        *made = m;
    }
    LEAVE
}
CUresult cuModuleLoadDataEx(module **made, const void *image, unsigned n, void *options, void *values) {
    (void)n, (void)options, (void)values;
    return cuModuleLoadData(made, image);
}
CUresult cuModuleUnload(module *m) {
    ENTER_CONTEXT
    run_all();
    for (function **place = &functions; *place;) {
        function *f = *place;
        if (f->owner == m) {
            *place = f->next;
            free(f);
        } else place = &f->next;
    }
    dlclose(m->library);
    free(m);
    LEAVE
}
CUresult cuModuleGetFunction(function **made, module *m, const char *name) {
    ENTER_CONTEXT
    char symbol[160];
    snprintf(symbol, sizeof symbol, "emulated_%.100s", name);
    emulation_kernel run = (emulation_kernel)dlsym(m->library, symbol);
    snprintf(symbol, sizeof symbol, "emulated_sizes_%.100s", name);
    unsigned (*sizes)(unsigned *) = (unsigned (*)(unsigned *))dlsym(m->library, symbol);
    function *f = run && sizes ? calloc(1, sizeof *f) : NULL;
    if (!f) result = NOT_FOUND;
    else {
        *f = (function){.next = functions, .owner = m, .run = run};
        snprintf(f->name, sizeof f->name, "%s", name);
        f->n = sizes(f->sizes);
        functions = f;
        *made = f;
    }
    LEAVE
}
CUresult cuFuncGetAttribute(int *value, int attribute, function *f) {
    (void)f;
    *value = attribute == 0 ? 1024 : 0;
    return OK;
}
CUresult cuFuncSetBlockShape(function *f, int x, int y, int z) { return (void)f, (void)x, (void)y, (void)z, OK; }

/* Arguments come as pointers to values, or as one packed buffer: end marker 0, buffer 1, size 2. */
static int unpack(running *r, void **pointers, void **extra) {
    const char *packed = NULL;
    for (int i = 0; extra && extra[i]; i += 2)
        if (extra[i] == (void *)1) packed = extra[i + 1];
    size_t at = 0;
    for (unsigned i = 0; i < r->f->n; i++) {
        size_t size = r->f->sizes[i];
        at = (at + size - 1) / size * size;
        const void *value = packed ? packed + at : pointers ? pointers[i] : NULL;
        if (!value || size > sizeof *r->values) return 0;
        memcpy(&r->values[i], value, size);
        at += size;
    }
    return 1;
}
CUresult cuLaunchKernel(function *f, unsigned gx, unsigned gy, unsigned gz, unsigned x, unsigned y, unsigned z,
                        unsigned dynamic_bytes, void *s, void **pointers, void **extra) {
    ENTER_CONTEXT
    running r = {.f = f, .groups = {gx, gy, gz}, .items = {x, y, z}, .dynamic_bytes = dynamic_bytes};
    uint64_t items = (uint64_t)x * y * z;
    if (!items || items > 1024 || z > 64 || !gx || !gy || !gz || gy > 65535 || gz > 65535 || dynamic_bytes > 49152)
        result = INVALID_VALUE;
    else if (!unpack(&r, pointers, extra)) result = INVALID_VALUE;
    else if (!(result = planned(&planned_launch.code, &planned_launch.after))) result = issue(s, run_kernel, &r, sizeof r);
    LEAVE
}

/* ---- what pycuda refers to and helix does not use ---- */

#define ABSENT(name) \
    CUresult name(void) { return NOT_SUPPORTED; }
#include "absent.h"
