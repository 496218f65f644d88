/* A backend over malloc, whole or broken in one way: NAME, MAJOR, SHORT, HOLE, COUNT, CRASH. */
#include <helix/backend.h>
#include <stdlib.h>
#include <string.h>

#ifndef MAJOR
#define MAJOR HX_ABI_MAJOR
#endif
#ifndef COUNT
#define COUNT 1
#endif

static int32_t device_count(void *ctx) {
    (void)ctx;
#ifdef CRASH
    *(volatile int *)8 = 1;
#endif
    return COUNT;
}

static hx_code device_info(void *ctx, int32_t index, hx_device_info *info, hx_err *err) {
    (void)ctx, (void)index, (void)err;
    strcpy(info->name, "malloc");
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

const hx_backend *helix_backend_v1(void) {
    static hx_backend table = {
        .struct_size = sizeof table, .abi_major = MAJOR, .abi_minor = 0, .name = NAME, .version = "1.2",
        .device_count = device_count, .device_info = device_info, .device_open = device_open,
        .device_close = device_close, .mem_alloc = mem_alloc, .mem_free = mem_free, .copy = copy, .sync = sync};
#ifdef SHORT
    table.struct_size = 40;
#endif
#ifdef HOLE
    table.mem_free = NULL;
#endif
    return &table;
}
