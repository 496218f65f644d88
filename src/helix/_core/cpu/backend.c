/* The built-in CPU as a backend: the best instruction set's kernels behind the same struct as everybody's. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "../workspace.h"
#include "cpu.h"
#include "cpu_families.h"

#define HX_FAMILY(family, isa) extern const hx_cpu_kernel hx_kernels_##family##_##isa[];
HX_CPU_FAMILIES
#undef HX_FAMILY

static const struct family {
    const char *isa;
    const hx_cpu_kernel *kernels;
} families[] = {
#define HX_FAMILY(family, isa) {#isa, hx_kernels_##family##_##isa},
    HX_CPU_FAMILIES
#undef HX_FAMILY
    {0}};

/* ---- instruction sets ------------------------------------------------------------------------------------ */

static bool always(void) { return true; }
#if defined(__x86_64__)
/* These ask for the features themselves, and for an operating system that saves their registers. */
static bool has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c") &&
           __builtin_cpu_supports("bmi2");
}
static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
#endif

/* Best first. */
static const struct isa {
    const char *name;
    uint32_t vector_bytes;
    bool (*supported)(void);
} isas[] = {
#if defined(__x86_64__)
    {"avx512", 64, has_avx512},
    {"avx2", 32, has_avx2},
#elif defined(__aarch64__)
    {"neon", 16, always},
#endif
    {"scalar", 8, always},
};
enum { ISAS = sizeof isas / sizeof *isas };

static bool compiled(const struct isa *isa) {
    for (const struct family *f = families; f->isa; f++)
        if (strcmp(f->isa, isa->name) == 0) return true;
    return false;
}

/* The best set that this build holds and this processor runs, or a lower one that HELIX_CPU_ISA names. */
static const struct isa *choose_isa(void) {
    const char *wanted = getenv("HELIX_CPU_ISA");
    const struct isa *best = NULL;
    for (int i = 0; i < ISAS; i++) {
        if (!compiled(&isas[i]) || !isas[i].supported()) continue;
        if (wanted && strcmp(wanted, isas[i].name) == 0) return &isas[i];
        if (!best) best = &isas[i];
    }
    return best ? best : &isas[ISAS - 1];
}

/* ---- kernels by name ------------------------------------------------------------------------------------- */

static const struct isa *chosen;
static const hx_cpu_kernel **table; /* open addressing; never more than half full */
static uint32_t table_mask;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t hash(const char *name) {
    uint32_t h = 2166136261u;
    while (*name) h = (h ^ (unsigned char)*name++) * 16777619u;
    return h;
}

static const hx_cpu_kernel **place(const char *op) {
    uint32_t at = hash(op) & table_mask;
    while (table[at] && strcmp(table[at]->op, op) != 0) at = (at + 1) & table_mask;
    return &table[at];
}

static void enter_kernels(const char *isa) {
    for (const struct family *f = families; f->isa; f++) {
        if (strcmp(f->isa, isa) != 0) continue;
        for (const hx_cpu_kernel *k = f->kernels; k->op; k++) {
            const hx_cpu_kernel **slot = place(k->op);
            if (!*slot) *slot = k;
        }
    }
}

static uint32_t count_kernels(void) {
    uint32_t count = 0;
    for (const struct family *f = families; f->isa; f++)
        for (const hx_cpu_kernel *k = f->kernels; k->op; k++) count++;
    return count;
}

/* An op that the chosen set lacks is taken from a lower one. */
static void start(void) {
    chosen = choose_isa();
    uint32_t count = count_kernels(), size = 16;
    while (size < 2 * count) size *= 2;
    table = calloc(size, sizeof *table);
    if (!table) return;
    table_mask = size - 1;
    for (const struct isa *isa = chosen; isa < isas + ISAS; isa++)
        if (isa->supported()) enter_kernels(isa->name);
}

static hx_code op_query(void *ctx, const char *op, hx_op_support *support) {
    (void)ctx;
    pthread_once(&once, start);
    const hx_cpu_kernel *k = table ? *place(op) : NULL;
    support->verdict = k ? k->verdict : HX_NO;
    support->kernel = k ? k->run : NULL;
    support->deterministic = 1;
    support->dtypes = k ? k->dtypes : 0;
    return HX_OK;
}

const char *hx_cpu_isa(void) {
    pthread_once(&once, start);
    return chosen->name;
}

/* ---- the device ------------------------------------------------------------------------------------------ */

static int32_t device_count(void *ctx) { return (void)ctx, 1; }

static void processor_name(char *name, size_t room) {
    snprintf(name, room, "CPU");
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (file && fgets(line, sizeof line, file)) {
        char *text = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
        if (!text) continue;
        text[strcspn(text, "\n")] = '\0';
        snprintf(name, room, "%.*s", (int)room - 1, text + 1 + strspn(text + 1, " "));
        break;
    }
    if (file) fclose(file);
}

static hx_code device_info(void *ctx, int32_t index, hx_device_info *info, hx_err *err) {
    (void)ctx;
    if (index != 0)
        return hx_kernel_fail(err, HX_E_DEVICE, HX1202_NO_DEVICE, "there is one CPU, cpu:0, and no cpu:%d", index);
    uint32_t size = info->struct_size;
    *info = (hx_device_info){.struct_size = size, .dlpack_type = 1 /* kDLCPU */};
    processor_name(info->name, sizeof info->name);
    snprintf(info->arch, sizeof info->arch, "%s", hx_cpu_isa());
    info->total_memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    info->caps = HX_CAP_HOST_ADDRESSABLE | HX_CAP_THREAD_SAFE;
    info->dtypes = info->arithmetic = HX_SET_ALL;
    info->max_group = info->subgroup = 1;
    info->alignment = 64;
    info->compute_units = (uint32_t)hx_threads_get();
    info->vector_bytes = chosen->vector_bytes;
    return HX_OK;
}

static hx_code device_open(void *ctx, int32_t index, void **dev, hx_err *err) {
    (void)ctx;
    if (index != 0)
        return hx_kernel_fail(err, HX_E_DEVICE, HX1202_NO_DEVICE, "there is one CPU, cpu:0, and no cpu:%d", index);
    *dev = NULL;
    return HX_OK;
}

static void device_close(void *dev) { (void)dev; }

/* Storage on the CPU comes from the pool directly; these serve callers that know the contract alone. */
static hx_code mem_alloc(void *dev, uint64_t nbytes, uint32_t kind, hx_mem *mem, hx_err *err) {
    (void)dev;
    void *block = nbytes <= SIZE_MAX ? hx_pool_keep((size_t)nbytes) : NULL;
    if (!block)
        return hx_kernel_fail(err, HX_E_MEMORY, HX1402_MEMORY, "%s",
                              hx_error_pending() ? hx_error_last()->text : "the system gave none");
    *mem = (hx_mem){.handle = (uintptr_t)block, .host_ptr = block, .nbytes = nbytes, .kind = kind};
    return HX_OK;
}

static void mem_free(void *dev, hx_mem *mem) {
    (void)dev;
    hx_pool_free(mem->host_ptr, (size_t)mem->nbytes);
    *mem = (hx_mem){0};
}

static hx_code copy(void *dev, void *stream, const hx_copy *c, hx_err *err) {
    HX_UNUSED;
    const char *from = c->src ? c->src->host_ptr : c->host_src;
    char *to = c->dst ? c->dst->host_ptr : c->host_dst;
    if (c->nbytes > 0) memmove(to + c->dst_offset, from + c->src_offset, (size_t)c->nbytes);
    return HX_OK;
}

static hx_code sync_nothing(void *dev, void *stream, hx_err *err) {
    HX_UNUSED;
    return HX_OK;
}

const hx_backend *hx_cpu_backend(void) {
    static const hx_backend backend = {
        .struct_size = sizeof(hx_backend),
        .abi_major = HX_ABI_MAJOR,
        .abi_minor = HX_ABI_MINOR,
        .name = "cpu",
        .version = HX_VERSION,
        .device_count = device_count,
        .device_info = device_info,
        .device_open = device_open,
        .device_close = device_close,
        .mem_alloc = mem_alloc,
        .mem_free = mem_free,
        .copy = copy,
        .sync = sync_nothing,
        .op_query = op_query,
    };
    return &backend;
}
