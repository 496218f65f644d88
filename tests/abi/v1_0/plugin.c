/* A plugin built against the headers of ABI 1.0, which stand beside it: every later core must load it, and plugin.x86_64-linux,
 * which is this file as it was compiled then (README.md). MINOR, EXTRA (a slot that 1.0 did not have), SHORTER (bytes) and
 * MAJOR make it one of another time. */
#include <stdlib.h>
#include <string.h>
#include <helix/backend.h>

#ifndef NAME
#define NAME "elder"
#endif
#ifndef MAJOR
#define MAJOR 1
#endif
#ifndef MINOR
#define MINOR 0
#endif
#ifndef SHORTER
#define SHORTER 0
#endif

static const hx_host *helix;

static hx_code init(void *ctx, const hx_host *host, const char *library_dir, hx_err *err) {
    (void)ctx, (void)library_dir;
    helix = host;
    if (host->struct_size >= sizeof *host && host->abi_major == HX_ABI_MAJOR) return HX_OK;
    strcpy(err->msg, "the host is none of ABI 1");
    return HX_E_VERSION;
}

static int32_t device_count(void *ctx) { return (void)ctx, 1; }

static hx_code device_info(void *ctx, int32_t index, hx_device_info *info, hx_err *err) {
    (void)ctx, (void)index, (void)err;
    strcpy(info->name, "memory of the C library");
    info->dtypes = (1u << HX_DTYPE_COUNT) - 1;
    return HX_OK;
}

static hx_code device_open(void *ctx, int32_t index, void **dev, hx_err *err) {
    (void)ctx, (void)index, (void)err;
    *dev = NULL;
    return HX_OK;
}
static void device_close(void *dev) { (void)dev; }

static hx_code mem_alloc(void *dev, uint64_t nbytes, uint32_t kind, hx_mem *mem, hx_err *err) {
    (void)dev, (void)kind, (void)err;
    mem->handle = (uint64_t)(uintptr_t)malloc(nbytes);
    mem->nbytes = nbytes;
    return mem->handle ? HX_OK : HX_E_MEMORY;
}
static void mem_free(void *dev, hx_mem *mem) {
    (void)dev;
    free((void *)(uintptr_t)mem->handle);
}

static hx_code copy(void *dev, void *stream, const hx_copy *c, hx_err *err) {
    (void)dev, (void)stream, (void)err;
    const char *from = c->src ? (char *)(uintptr_t)c->src->handle + c->src_offset : c->host_src;
    char *to = c->dst ? (char *)(uintptr_t)c->dst->handle + c->dst_offset : c->host_dst;
    for (uint64_t row = 0; row < (c->rows > 1 ? c->rows : 1); row++)
        memcpy(to + row * c->dst_pitch, from + row * c->src_pitch, c->nbytes);
    return HX_OK;
}
static hx_code sync(void *dev, void *stream, hx_err *err) { return (void)dev, (void)stream, (void)err, HX_OK; }

/* Two native ops for float32 without gaps, so that views, attributes, verdicts and the host's threads cross the border. */
typedef struct job {
    const float *x;
    float *y, slope;
} job;

static job job_of(const hx_op_call *call) {
    const hx_view *in = &call->in[0], *out = &call->out[0];
    return (job){.x = (const float *)((char *)(uintptr_t)in->mem->handle + in->byte_offset),
                 .y = (float *)((char *)(uintptr_t)out->mem->handle + out->byte_offset)};
}

static void negate_part(void *ctx, int64_t begin, int64_t end) {
    job *j = ctx;
    for (int64_t i = begin; i < end; i++) j->y[i] = -j->x[i];
}
static hx_code negate(void *dev, void *stream, const hx_op_call *call, hx_err *err) {
    job j = job_of(call);
    (void)dev, (void)stream, (void)err;
    helix->parallel(call->in[0].numel, 1000, negate_part, &j);
    return HX_OK;
}

static void leak_part(void *ctx, int64_t begin, int64_t end) {
    job *j = ctx;
    for (int64_t i = begin; i < end; i++) j->y[i] = j->x[i] > 0 ? j->x[i] : j->slope * j->x[i];
}
static hx_code leaky(void *dev, void *stream, const hx_op_call *call, hx_err *err) {
    job j = job_of(call);
    (void)dev, (void)stream, (void)err;
    j.slope = call->attr[0].kind == HX_A_INT ? (float)call->attr[0].v.i : (float)call->attr[0].v.f;
    helix->parallel(call->in[0].numel, 1000, leak_part, &j);
    return HX_OK;
}

static hx_code op_query(void *ctx, const char *op, hx_op_support *support) {
    (void)ctx;
    if (!strcmp(op, "neg")) {
        support->verdict = HX_YES_IF_CONTIGUOUS;
        support->kernel = negate;
    } else if (!strcmp(op, "leaky_relu")) {
        support->verdict = HX_ASK;
    } else {
        return HX_E_UNSUPPORTED;
    }
    support->dtypes = 1u << HX_F32;
    support->deterministic = 1;
    return HX_OK;
}
static uint32_t op_check(void *dev, const hx_op_call *call) {
    (void)dev;
    if (call->n_attr != 1 || strcmp(call->attr_names[0], "negative_slope")) return HX_NO;
    return call->in[0].contiguous ? HX_YES : HX_YES_IF_CONTIGUOUS;
}
static hx_code op_run(void *dev, void *stream, const hx_op_call *call, hx_err *err) {
    return leaky(dev, stream, call, err);
}

typedef struct later { /* hx_backend of a later minor */
    hx_backend first;
#ifdef EXTRA
    void (*extra)(void);
#endif
} later;

#ifdef EXTRA
static void never(void) { abort(); }
#endif

__attribute__((visibility("default"))) const hx_backend *helix_backend_v1(void) {
    static later table = {
        .first = {.struct_size = sizeof table - SHORTER, .abi_major = MAJOR, .abi_minor = MINOR, .name = NAME, .version = "1.0",
                  .init = init, .device_count = device_count, .device_info = device_info, .device_open = device_open,
                  .device_close = device_close, .mem_alloc = mem_alloc, .mem_free = mem_free, .copy = copy, .sync = sync,
                  .op_query = op_query, .op_check = op_check, .op_run = op_run},
#ifdef EXTRA
        .extra = never,
#endif
    };
    return &table.first;
}
