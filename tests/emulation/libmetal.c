/* A Metal without a GPU: the classes and methods that helix-backend-metal uses, over objc.c. Kernels run on the CPU.
 *
 * What Metal's validation layer asserts is a fault here: commands after a commit, two open encoders, an encoder that is
 * dropped or committed open, missing buffers, groups that are too large. Work runs as late as Metal's documentation
 * allows: when someone waits for it, or asks for its status a second time. Memory holds poison when it comes and when it
 * goes; writes beside a buffer make the command buffer fail.
 *
 * EMULATION_DEVICES (1), EMULATION_FAMILY (1008; 2002 is no Apple GPU), EMULATION_ORDER (-1 forward, -2 reversed, a seed
 * from 0 on), EMULATION_MAX_GROUP (1024), EMULATION_STRICT (a fault ends the process). */
#define _GNU_SOURCE
#include "group.h"
#include "msl.h"
#include "objc.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MARGIN = 64, MARGIN_BYTE = 0xA5, POISON = 0xFF, MAX_BYTES = 4096, MAX_OPEN = 64 };
enum { COMMITTED = 2, COMPLETED = 4, FAILED = 5 };   /* MTLCommandBufferStatus; 0: not enqueued */
enum { TIMED_OUT = 2, PAGE_FAULT = 3, OUT_OF_MEMORY = 8 }; /* MTLCommandBufferError */
#define TOTAL_MEMORY ((size_t)1 << 30)
#define LARGEST ((size_t)1 << 29)

int helix_emulated_metal(void) { return 1; } /* how a program can tell */

static int64_t setting(const char *name, int64_t usual) {
    const char *text = getenv(name);
    return text && *text ? atoll(text) : usual;
}

static int64_t order_chosen, order_is_chosen;
void emulation_order(int64_t order) {
    order_chosen = order;
    order_is_chosen = 1;
}

typedef struct size3 {
    uint64_t width, height, depth;
} size3;
typedef struct range {
    uint64_t location, length;
} range;

/* ---- objects ---- */

typedef struct buffer {
    object head;
    unsigned char *start; /* between two margins */
    size_t nbytes;
} buffer;

typedef struct library {
    object head;
    void *handle;
} library;

typedef struct function {
    object head;
    char name[128];
    msl_kernel kernel;
} function;

typedef struct pipeline {
    object head;
    object *function;
    uint64_t most; /* items in a group */
} pipeline;

typedef struct event {
    object head;
    uint64_t value;
} event;

typedef struct dispatch {
    pipeline *program;
    void *arguments[2 * MSL_BUFFERS];
    unsigned char *bytes[MSL_BUFFERS]; /* copies that setBytes made */
    emulation_index groups, items;
    uint32_t dynamic_bytes;
} dispatch;

typedef struct command {
    struct command *next;
    enum { DISPATCH, SIGNAL, WAIT } kind;
    event *event;
    uint64_t value;
    dispatch work;
} command;

typedef struct queue queue;

typedef struct command_buffer {
    object head;
    queue *queue;
    struct command_buffer *next; /* in the queue */
    struct encoder *open;
    command *first, **end;
    object **kept; /* what the GPU will use */
    size_t n_kept, room_kept;
    object *error;
    int status, asked, error_of_test;
} command_buffer;

struct queue {
    object head;
    queue *next;
    command_buffer *first, **end; /* committed */
    int open, runs;
};

typedef struct encoder {
    object head;
    command_buffer *owner;
    int ended;
    pipeline *program;
    void *arguments[MSL_BUFFERS];
    unsigned char bytes[MSL_BUFFERS][MAX_BYTES];
    uint32_t n_bytes[MSL_BUFFERS], dynamic[MSL_BUFFERS];
    unsigned bound;
} encoder;

static size_t taken;
static queue *queues;
static int failing; /* a test asked that the next command buffer fails with this code */

void emulation_fail_next(int code) { failing = code; }

/* ---- memory ---- */

static int margins_whole(const buffer *b) {
    for (size_t i = 0; i < MARGIN; i++)
        if (b->start[i - MARGIN] != MARGIN_BYTE || b->start[b->nbytes + i] != MARGIN_BYTE) return 0;
    return 1;
}
static void mend_margins(buffer *b) {
    memset(b->start - MARGIN, MARGIN_BYTE, MARGIN);
    memset(b->start + b->nbytes, MARGIN_BYTE, MARGIN);
}
static void buffer_dealloc(object *self) {
    buffer *b = (buffer *)self;
    if (!margins_whole(b)) emulation_fault("something wrote beside a buffer of %zu bytes", b->nbytes);
    memset(b->start, POISON, b->nbytes);
    taken -= b->nbytes;
    free(b->start - 256);
}
CLASS(buffer_class, "MTLBuffer", buffer, buffer_dealloc);

static object *new_buffer(object *device, selector name, uint64_t nbytes, uint64_t options) {
    unsigned char *memory = NULL;
    (void)device;
    if (options) emulation_fault("%s: options %llu are no shared, tracked memory", name, (unsigned long long)options);
    if (!nbytes || nbytes > LARGEST) {
        emulation_fault("%s: %llu bytes are no length of a buffer", name, (unsigned long long)nbytes);
        return NULL;
    }
    if (nbytes > TOTAL_MEMORY - taken || posix_memalign((void **)&memory, 256, 512 + nbytes)) return NULL;
    buffer *b = (buffer *)object_new(&buffer_class);
    b->start = memory + 256;
    b->nbytes = nbytes;
    taken += nbytes;
    memset(b->start, POISON, nbytes);
    mend_margins(b);
    return &b->head;
}
static object *new_buffer_with(object *device, selector name, const void *bytes, uint64_t nbytes, uint64_t options) {
    buffer *b = (buffer *)new_buffer(device, name, nbytes, options);
    if (b) memcpy(b->start, bytes, nbytes);
    return (object *)b;
}
static void *buffer_contents(buffer *b) { return b->start; }
static uint64_t buffer_length(buffer *b) { return b->nbytes; }

/* ---- programs ---- */

typedef struct options {
    object head;
    int safe;
} options;

typedef struct descriptor {
    object head;
    object *function;
    uint64_t most;
} descriptor;

static void descriptor_dealloc(object *self) { object_release(((descriptor *)self)->function); }
static void pipeline_dealloc(object *self) { object_release(((pipeline *)self)->function); }
CLASS(options_class, "MTLCompileOptions", options, NULL);
CLASS(descriptor_class, "MTLComputePipelineDescriptor", descriptor, descriptor_dealloc);
CLASS(library_class, "MTLLibrary", library, NULL); /* its code stays loaded: functions may outlive it */
CLASS(function_class, "MTLFunction", function, NULL);
CLASS(pipeline_class, "MTLComputePipelineState", pipeline, pipeline_dealloc);

static void set_math_mode(options *o, selector name, int64_t mode) {
    (void)name;
    o->safe = mode == 0;
}
static void set_fast_math(options *o, selector name, signed char fast) {
    (void)name;
    o->safe = !fast;
}
static object *new_library(object *device, selector name, object *source, options *chosen, object **error) {
    char *told = NULL;
    (void)device, (void)name;
    if (!chosen || !chosen->safe) emulation_fault("a program is compiled with fast math");
    void *handle = msl_compile(string_text(source), &told);
    if (!handle) {
        *error = object_autorelease(error_new(3, told ? told : "the compiler failed")); /* MTLLibraryErrorCompileFailure */
        free(told);
        return NULL;
    }
    library *made = (library *)object_new(&library_class);
    made->handle = handle;
    return &made->head;
}
static object *new_function(library *l, selector name, object *wanted) {
    msl_kernel found;
    (void)name;
    if (!msl_find(l->handle, string_text(wanted), &found)) return NULL;
    function *made = (function *)object_new(&function_class);
    snprintf(made->name, sizeof made->name, "%s", string_text(wanted));
    made->kernel = found;
    return &made->head;
}
static void set_function(descriptor *d, selector name, object *f) {
    (void)name;
    object_release(d->function);
    d->function = object_retain(f);
}
static void set_most(descriptor *d, selector name, uint64_t most) {
    (void)name;
    d->most = most;
}
static object *new_pipeline(object *device, selector name, descriptor *d, uint64_t chosen, void *reflection, object **error) {
    (void)device, (void)name, (void)reflection, (void)chosen;
    if (!d->function) {
        *error = object_autorelease(error_new(1, "the descriptor has no function"));
        return NULL;
    }
    pipeline *made = (pipeline *)object_new(&pipeline_class);
    made->function = object_retain(d->function);
    made->most = (uint64_t)setting("EMULATION_MAX_GROUP", d->most ? (int64_t)d->most : 1024);
    return &made->head;
}
static uint64_t pipeline_most(pipeline *p) { return p->most; }

/* ---- the GPU ---- */

CLASS(event_class, "MTLSharedEvent", event, NULL);

static void finish_buffer(command_buffer *b, int code, const char *text) {
    b->status = code ? FAILED : COMPLETED;
    if (code) {
        fprintf(stderr, "emulated Metal: %s\n", text);
        b->error = error_new(code, text);
    }
    b->queue->open--;
}

static int run_dispatch(command_buffer *b, dispatch *d, char *error, size_t room) {
    const function *f = (function *)d->program->function;
    char told[400];
    int64_t order = order_is_chosen ? order_chosen : setting("EMULATION_ORDER", EMULATION_FORWARD);
    emulation_launch launch = {
        .kernel = f->kernel.run, .arguments = d->arguments, .groups = d->groups, .items = d->items,
        .shared = f->kernel.shared, .shared_end = f->kernel.shared_end, .dynamic_bytes = d->dynamic_bytes,
        .has_barriers = f->kernel.has_barriers, .order = order};
    int failed = emulation_run(&launch, told, sizeof told);
    if (failed) snprintf(error, room, "%s: %s", f->name, told);
    for (size_t i = 0; i < b->n_kept; i++) {
        buffer *used = (buffer *)b->kept[i];
        if (used->head.isa != &buffer_class || margins_whole(used)) continue;
        mend_margins(used);
        snprintf(error, room, "%s: wrote beside a buffer", f->name);
        failed = 1;
    }
    return failed ? PAGE_FAULT : 0;
}

static int run_queue(queue *q);

/* Work of other queues that an event waits for runs now, if there is any. */
static int event_reached(const event *e, uint64_t value) {
    for (int more = 1; e->value < value && more;) {
        more = 0;
        for (queue *q = queues; q && e->value < value; q = q->next) more |= run_queue(q);
    }
    return e->value >= value;
}

static int run_command(command_buffer *b, command *c, char *error, size_t room) {
    if (c->kind == DISPATCH) return run_dispatch(b, &c->work, error, room);
    if (c->kind == SIGNAL) {
        if (c->value > c->event->value) c->event->value = c->value;
        return 0;
    }
    if (event_reached(c->event, c->value)) return 0;
    snprintf(error, room, "a wait for a value that nothing signals");
    return TIMED_OUT;
}

static void drop_contents(command_buffer *b) {
    for (command *c = b->first, *next; c; c = next) {
        next = c->next;
        for (int i = 0; i < MSL_BUFFERS; i++) free(c->work.bytes[i]);
        free(c);
    }
    for (size_t i = 0; i < b->n_kept; i++) object_release(b->kept[i]);
    free(b->kept);
    b->kept = NULL;
    b->first = NULL;
    b->n_kept = b->room_kept = 0;
}

/* The oldest committed command buffer of a queue; 0 without one, or when the queue waits inside of one. */
static int run_queue(queue *q) {
    command_buffer *b = q->first;
    char error[600] = "";
    if (!b || q->runs) return 0;
    int code = b->error_of_test;
    q->runs = 1;
    if (code) snprintf(error, sizeof error, "a failure that a test asked for");
    for (command *c = b->first; c && !code; c = c->next) code = run_command(b, c, error, sizeof error);
    q->runs = 0;
    q->first = b->next;
    if (!q->first) q->end = &q->first;
    drop_contents(b);
    finish_buffer(b, code, error);
    object_release(&b->head);
    return 1;
}

/* ---- queues and command buffers ---- */

static void queue_dealloc(object *self) {
    for (queue **place = &queues; *place; place = &(*place)->next)
        if (*place == (queue *)self) {
            *place = (*place)->next;
            break;
        }
}
static void command_buffer_dealloc(object *self) {
    command_buffer *b = (command_buffer *)self;
    if (!b->status) {
        emulation_fault("a command buffer is released that was never committed");
        b->queue->open--;
    }
    drop_contents(b);
    object_release(b->error);
    object_release(&b->queue->head);
}
CLASS(queue_class, "MTLCommandQueue", queue, queue_dealloc);
CLASS(command_buffer_class, "MTLCommandBuffer", command_buffer, command_buffer_dealloc);

static object *new_queue(object *device) {
    (void)device;
    queue *q = (queue *)object_new(&queue_class);
    q->end = &q->first;
    q->next = queues;
    queues = q;
    return &q->head;
}
static object *new_command_buffer(queue *q) {
    if (q->open == MAX_OPEN && !run_queue(q)) {
        emulation_fault("commandBuffer waits for ever: %d command buffers, none of them committed", MAX_OPEN);
        return NULL;
    }
    command_buffer *b = (command_buffer *)object_new(&command_buffer_class);
    b->queue = (queue *)object_retain(&q->head);
    b->end = &b->first;
    q->open++;
    return object_autorelease(&b->head);
}

static void keep(command_buffer *b, object *o) {
    if (b->n_kept == b->room_kept) {
        b->room_kept = 2 * b->room_kept + 16;
        b->kept = realloc(b->kept, b->room_kept * sizeof *b->kept);
        if (!b->kept) abort();
    }
    b->kept[b->n_kept++] = object_retain(o);
}

/* Is the command buffer still being filled, with no encoder open? */
static int accepts(command_buffer *b, selector what) {
    if (b->status) emulation_fault("%s after commit", what);
    else if (b->open) emulation_fault("%s with an encoder that is open", what);
    return !b->status && !b->open;
}
static command *append(command_buffer *b, int kind) {
    command *c = calloc(1, sizeof *c);
    if (!c) abort();
    c->kind = kind;
    *b->end = c;
    b->end = &c->next;
    return c;
}
static void encode_event(command_buffer *b, selector name, event *e, uint64_t value, int kind) {
    if (!accepts(b, name)) return;
    command *c = append(b, kind);
    c->event = e;
    c->value = value;
    keep(b, &e->head);
}
static void encode_signal(command_buffer *b, selector name, event *e, uint64_t value) {
    encode_event(b, name, e, value, SIGNAL);
}
static void encode_wait(command_buffer *b, selector name, event *e, uint64_t value) { encode_event(b, name, e, value, WAIT); }

static void commit(command_buffer *b, selector name) {
    if (!accepts(b, name)) return;
    b->status = COMMITTED;
    b->error_of_test = failing;
    failing = 0;
    *b->queue->end = (command_buffer *)object_retain(&b->head);
    b->queue->end = &b->next;
}
static uint64_t buffer_status(command_buffer *b) { /* whoever asks again and again sees an end */
    if (b->status == COMMITTED && b->asked++) run_queue(b->queue);
    return (uint64_t)b->status;
}
static void wait_completed(command_buffer *b, selector name) {
    if (!b->status) emulation_fault("%s waits for ever: the command buffer was never committed", name);
    while (b->status == COMMITTED && run_queue(b->queue)) {}
}
static object *buffer_error(command_buffer *b) { return b->error; }

/* ---- encoders ---- */

static void encoder_dealloc(object *self) {
    encoder *e = (encoder *)self;
    if (!e->ended) {
        emulation_fault("an encoder is released without endEncoding");
        e->owner->open = NULL;
    }
    object_release(&e->owner->head);
}
CLASS(encoder_class, "MTLComputeCommandEncoder", encoder, encoder_dealloc);

static object *new_encoder(command_buffer *b, selector name) {
    if (!accepts(b, name)) return NULL;
    encoder *e = (encoder *)object_new(&encoder_class);
    e->owner = (command_buffer *)object_retain(&b->head);
    b->open = e;
    return object_autorelease(&e->head);
}
static int encodes(const encoder *e, selector what) {
    if (e->ended) emulation_fault("%s after endEncoding", what);
    return !e->ended;
}
static int is_place(uint64_t index, selector what) {
    if (index >= MSL_BUFFERS) emulation_fault("%s: there is no place %llu", what, (unsigned long long)index);
    return index < MSL_BUFFERS;
}
static void set_pipeline(encoder *e, selector name, pipeline *p) {
    if (!encodes(e, name)) return;
    e->program = p;
    keep(e->owner, &p->head);
}
static void set_buffers(encoder *e, selector name, buffer *const *buffers, const uint64_t *offsets, range at) {
    if (!encodes(e, name) || !at.length || !is_place(at.location + at.length - 1, name)) return;
    for (uint64_t i = 0; i < at.length; i++) {
        if (!buffers[i] || buffers[i]->head.gone || offsets[i] >= buffers[i]->nbytes) {
            emulation_fault("%s: no buffer, or an offset behind it, at place %llu", name, (unsigned long long)(at.location + i));
            continue;
        }
        e->arguments[at.location + i] = buffers[i]->start + offsets[i];
        e->n_bytes[at.location + i] = 0;
        e->bound |= 1u << (at.location + i);
        keep(e->owner, &buffers[i]->head);
    }
}
static void set_bytes(encoder *e, selector name, const void *bytes, uint64_t nbytes, uint64_t index) {
    if (!encodes(e, name) || !is_place(index, name)) return;
    if (!nbytes || nbytes > MAX_BYTES) {
        emulation_fault("%s: %llu bytes; it takes 1 to %d", name, (unsigned long long)nbytes, MAX_BYTES);
        return;
    }
    memcpy(e->bytes[index], bytes, nbytes);
    e->n_bytes[index] = (uint32_t)nbytes;
    e->bound |= 1u << index;
}
static void set_group_memory(encoder *e, selector name, uint64_t nbytes, uint64_t index) {
    if (!encodes(e, name) || !is_place(index, name)) return;
    if (nbytes % 16 || nbytes > 32768) emulation_fault("%s: %llu bytes", name, (unsigned long long)nbytes);
    else e->dynamic[index] = (uint32_t)nbytes;
}
static int fits(const encoder *e, selector name, size3 groups, size3 items) {
    const function *f = e->program ? (function *)e->program->function : NULL;
    uint64_t n = items.width * items.height * items.depth;
    if (!f) return emulation_fault("%s without a pipeline", name), 0;
    if (!n || n > e->program->most || n > 1024)
        return emulation_fault("%s: groups of %llu items, at most %llu", name, (unsigned long long)n,
                               (unsigned long long)e->program->most), 0;
    if (!groups.width || !groups.height || !groups.depth) return emulation_fault("%s: an empty grid", name), 0;
    unsigned missing = f->kernel.buffers & ~e->bound;
    if (missing) return emulation_fault("%s: nothing is bound at place %d of %s", name, __builtin_ctz(missing), f->name), 0;
    return 1;
}
static void dispatch_groups(encoder *e, selector name, size3 groups, size3 items) {
    if (!encodes(e, name) || !fits(e, name, groups, items)) return;
    dispatch *d = &append(e->owner, DISPATCH)->work;
    d->program = e->program;
    d->groups = (emulation_index){(unsigned)groups.width, (unsigned)groups.height, (unsigned)groups.depth};
    d->items = (emulation_index){(unsigned)items.width, (unsigned)items.height, (unsigned)items.depth};
    for (int i = 0; i < MSL_BUFFERS; i++) {
        d->arguments[i] = e->arguments[i];
        if (e->n_bytes[i]) d->arguments[i] = d->bytes[i] = memcpy(malloc(e->n_bytes[i]), e->bytes[i], e->n_bytes[i]);
        d->arguments[MSL_BUFFERS + i] = (void *)(uintptr_t)d->dynamic_bytes;
        d->dynamic_bytes += e->dynamic[i];
    }
}
static void end_encoding(encoder *e, selector name) {
    if (!encodes(e, name)) return;
    e->ended = 1;
    e->owner->open = NULL;
}

/* ---- events and the device ---- */

static object *new_event(void) { return object_new(&event_class); }
static void set_value(event *e, selector name, uint64_t value) {
    (void)name;
    if (value > e->value) e->value = value;
}

CLASS(device_class, "MTLDevice", object, NULL);

object *MTLCreateSystemDefaultDevice(void) {
    static object *device;
    if (!setting("EMULATION_DEVICES", 1)) return NULL;
    if (!device || device->gone) device = object_new(&device_class);
    else object_retain(device);
    return device;
}
static object *device_name(void) { return string_new("emulated GPU"); }
static uint64_t device_number(void) { return 1; }
static signed char has_family(object *device, selector name, int64_t family) {
    int64_t newest = setting("EMULATION_FAMILY", 1008);
    (void)device, (void)name;
    return family <= newest && family / 1000 == newest / 1000;
}
static size3 device_group(void) { return (size3){1024, 1024, 1024}; }
static uint64_t device_shared(void) { return 32768; }
static uint64_t device_largest(void) { return LARGEST; }
static uint64_t device_memory(void) { return TOTAL_MEMORY; }
static uint64_t device_taken(void) { return taken; }

static method methods[] = {
    {&device_class, "name", "@@:", device_name, 0, 0, NULL},
    {&device_class, "registryID", "Q@:", device_number, 0, 0, NULL},
    {&device_class, "supportsFamily:", "c@:q", has_family, 0, 0, NULL},
    {&device_class, "maxThreadsPerThreadgroup", "{?=QQQ}@:", device_group, 0, 0, NULL},
    {&device_class, "maxThreadgroupMemoryLength", "Q@:", device_shared, 0, 0, NULL},
    {&device_class, "maxBufferLength", "Q@:", device_largest, 0, 0, NULL},
    {&device_class, "recommendedMaxWorkingSetSize", "Q@:", device_memory, 0, 0, NULL},
    {&device_class, "currentAllocatedSize", "Q@:", device_taken, 0, 0, NULL},
    {&device_class, "newBufferWithLength:options:", "@@:QQ", new_buffer, 0, 0, NULL},
    {&device_class, "newBufferWithBytes:length:options:", "@@:r^vQQ", new_buffer_with, 0, 0, NULL},
    {&device_class, "newCommandQueue", "@@:", new_queue, 0, 0, NULL},
    {&device_class, "newSharedEvent", "@@:", new_event, 0, 0, NULL},
    {&device_class, "newLibraryWithSource:options:error:", "@@:@@^@", new_library, 0, 0, NULL},
    {&device_class, "newComputePipelineStateWithDescriptor:options:reflection:error:", "@@:@Q^@^@", new_pipeline, 0, 0, NULL},
    {&options_class, "setFastMathEnabled:", "v@:c", set_fast_math, 0, 0, NULL},
    {&descriptor_class, "setComputeFunction:", "v@:@", set_function, 0, 0, NULL},
    {&descriptor_class, "setMaxTotalThreadsPerThreadgroup:", "v@:Q", set_most, 0, 0, NULL},
    {&library_class, "newFunctionWithName:", "@@:@", new_function, 0, 0, NULL},
    {&pipeline_class, "maxTotalThreadsPerThreadgroup", "Q@:", pipeline_most, 0, 0, NULL},
    {&buffer_class, "contents", "^v@:", buffer_contents, 0, 0, NULL},
    {&buffer_class, "length", "Q@:", buffer_length, 0, 0, NULL},
    {&event_class, "setSignaledValue:", "v@:Q", set_value, 0, 0, NULL},
    {&queue_class, "commandBuffer", "@@:", new_command_buffer, 0, 0, NULL},
    {&command_buffer_class, "computeCommandEncoder", "@@:", new_encoder, 0, 0, NULL},
    {&command_buffer_class, "encodeSignalEvent:value:", "v@:@Q", encode_signal, 0, 0, NULL},
    {&command_buffer_class, "encodeWaitForEvent:value:", "v@:@Q", encode_wait, 0, 0, NULL},
    {&command_buffer_class, "commit", "v@:", commit, 0, 0, NULL},
    {&command_buffer_class, "status", "Q@:", buffer_status, 0, 0, NULL},
    {&command_buffer_class, "waitUntilCompleted", "v@:", wait_completed, 0, 0, NULL},
    {&command_buffer_class, "error", "@@:", buffer_error, 0, 0, NULL},
    {&encoder_class, "setComputePipelineState:", "v@:@", set_pipeline, 0, 0, NULL},
    {&encoder_class, "setBuffers:offsets:withRange:", "v@:r^@r^Q{_NSRange=QQ}", set_buffers, 0, 0, NULL},
    {&encoder_class, "setBytes:length:atIndex:", "v@:r^vQQ", set_bytes, 0, 0, NULL},
    {&encoder_class, "setThreadgroupMemoryLength:atIndex:", "v@:QQ", set_group_memory, 0, 0, NULL},
    {&encoder_class, "dispatchThreadgroups:threadsPerThreadgroup:", "v@:{?=QQQ}{?=QQQ}", dispatch_groups, 0, 0, NULL},
    {&encoder_class, "endEncoding", "v@:", end_encoding, 0, 0, NULL},
    {&options_class, "setMathMode:", "v@:q", set_math_mode, 0, 15, NULL},
};

__attribute__((constructor)) static void begin(void) { emulation_methods(methods, sizeof methods / sizeof *methods); }
