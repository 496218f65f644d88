/* A whole backend in C: device memory from malloc that helix may not look into, and a few float32 kernels as plain
 * loops over strided views. Everything else helix takes apart or runs on the host. It knows nothing of helix but the
 * one public header. */
#include "backend.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- devices and memory ---- */

static int32_t device_count(void *ctx) {
    (void)ctx;
    return 1;
}

static hx_code device_info(void *ctx, int32_t index, hx_device_info *info, hx_err *err) {
    (void)ctx, (void)index, (void)err;
    snprintf(info->name, sizeof info->name, "plain loops in C");
    snprintf(info->arch, sizeof info->arch, "malloc");
    info->caps = HX_CAP_THREAD_SAFE | HX_CAP_EMULATED; /* no call leaves anything behind but what it was asked for */
    info->dtypes = info->arithmetic = (1u << HX_DTYPE_COUNT) - 1;
    info->alignment = 16;
    return HX_OK;
}

static hx_code device_open(void *ctx, int32_t index, void **dev, hx_err *err) {
    (void)ctx, (void)index, (void)err;
    *dev = NULL;
    return HX_OK;
}

static void device_close(void *dev) { (void)dev; }

static hx_code mem_alloc(void *dev, uint64_t nbytes, uint32_t kind, hx_mem *mem, hx_err *err) {
    (void)dev;
    void *block = nbytes <= SIZE_MAX ? malloc((size_t)nbytes) : NULL;
    if (!block) {
        err->code = HX_E_MEMORY;
        snprintf(err->msg, sizeof err->msg, "malloc has no %llu bytes", (unsigned long long)nbytes);
        return HX_E_MEMORY;
    }
    *mem = (hx_mem){.handle = (uintptr_t)block, .nbytes = nbytes, .kind = kind};
    return HX_OK;
}

static void mem_free(void *dev, hx_mem *mem) {
    (void)dev;
    free((void *)(uintptr_t)mem->handle);
}

static hx_code copy(void *dev, void *stream, const hx_copy *c, hx_err *err) {
    (void)dev, (void)stream, (void)err;
    const char *from = c->src ? (const char *)(uintptr_t)c->src->handle + c->src_offset : c->host_src;
    char *to = c->dst ? (char *)(uintptr_t)c->dst->handle + c->dst_offset : c->host_dst;
    if (c->rows <= 1) {
        memmove(to, from, (size_t)c->nbytes);
        return HX_OK;
    }
    for (uint64_t row = 0; row < c->rows; row++)
        memmove(to + row * c->dst_pitch, from + row * c->src_pitch, (size_t)c->nbytes);
    return HX_OK;
}

static hx_code sync(void *dev, void *stream, hx_err *err) {
    (void)dev, (void)stream, (void)err;
    return HX_OK; /* nothing is ever queued */
}

/* ---- strided views ---- */

static float *first(const hx_view *v) {
    if (v->flags & HX_VIEW_HOST_SCALAR) return v->data;
    return (float *)((char *)(uintptr_t)v->mem->handle + v->byte_offset);
}

/* Counts up a row-major index; 0 after the last. */
static int next(int64_t *index, const int64_t *shape, int rank) {
    for (int d = rank - 1; d >= 0; d--) {
        if (++index[d] < shape[d]) return 1;
        index[d] = 0;
    }
    return 0;
}

/* The element at `index`, whose `rank` may be larger than the view's: axes are aligned at the end, sizes of 1 stretch. */
static float *at(const hx_view *v, const int64_t *index, int rank) {
    int64_t offset = 0;
    for (int d = 0; d < v->ndim; d++)
        if (v->shape[d] > 1) offset += v->strides[d] * index[rank - v->ndim + d];
    return first(v) + offset;
}

/* ---- kernels ---- */

typedef float scalar_function(float a, float b);

static hx_code elementwise(const hx_op_call *call, scalar_function *f) {
    const hx_view *out = call->out, *a = call->in, *b = call->n_in > 1 ? call->in + 1 : a;
    int64_t index[HX_MAX_RANK] = {0};
    if (!out->numel) return HX_OK;
    do
        *at(out, index, out->ndim) = f(*at(a, index, out->ndim), *at(b, index, out->ndim));
    while (next(index, out->shape, out->ndim));
    return HX_OK;
}

static float mul(float a, float b) { return a * b; }
static float divide(float a, float b) { return a / b; }
static float negate(float a, float b) { return (void)b, -a; }
static float exponential(float a, float b) { return (void)b, expf(a); }
static float logarithm(float a, float b) { return (void)b, logf(a); }
static float root(float a, float b) { return (void)b, sqrtf(a); }
static float rectified(float a, float b) { return (void)b, a < 0 ? 0 : a; }

#define ELEMENTWISE(name, function)                                                              \
    static hx_code name(void *dev, void *stream, const hx_op_call *call, hx_err *err) {          \
        (void)dev, (void)stream, (void)err;                                                      \
        return elementwise(call, function);                                                      \
    }
ELEMENTWISE(run_mul, mul)
ELEMENTWISE(run_div, divide)
ELEMENTWISE(run_neg, negate)
ELEMENTWISE(run_exp, exponential)
ELEMENTWISE(run_log, logarithm)
ELEMENTWISE(run_sqrt, root)
ELEMENTWISE(run_relu, rectified)

static hx_code run_add(void *dev, void *stream, const hx_op_call *call, hx_err *err) {
    (void)dev, (void)stream, (void)err;
    const hx_view *out = call->out;
    float alpha = call->attr->kind == HX_A_FLOAT ? (float)call->attr->v.f : (float)call->attr->v.i;
    int64_t index[HX_MAX_RANK] = {0};
    if (!out->numel) return HX_OK;
    do
        *at(out, index, out->ndim) = *at(call->in, index, out->ndim) + alpha * *at(call->in + 1, index, out->ndim);
    while (next(index, out->shape, out->ndim));
    return HX_OK;
}

/* The axes of `dim` go to the end of `order`; gives how many axes stay. */
static int split_axes(const hx_view *in, const hx_attr *dim, int *order) {
    int kept = 0, reduced = 0, away[HX_MAX_RANK];
    for (int d = 0; d < in->ndim; d++) {
        int listed = dim->kind == HX_A_NONE;
        for (uint32_t i = 0; dim->kind == HX_A_INTS && i < dim->count; i++) listed |= dim->v.ints[i] == d;
        if (listed)
            away[reduced++] = d;
        else
            order[kept++] = d;
    }
    memcpy(order + kept, away, (size_t)reduced * sizeof *away);
    return kept;
}

/* attr: dim, keepdim, dtype. The output is contiguous unless it was given, so its strides are those of kept axes. */
static hx_code run_sum(void *dev, void *stream, const hx_op_call *call, hx_err *err) {
    (void)dev, (void)stream, (void)err;
    const hx_view *in = call->in, *out = call->out;
    int order[HX_MAX_RANK], kept = split_axes(in, call->attr, order);
    int64_t outer[HX_MAX_RANK] = {0}, inner[HX_MAX_RANK] = {0}, shape[HX_MAX_RANK];
    int reduced = in->ndim - kept;
    if (!out->numel) return HX_OK;
    for (int d = 0; d < in->ndim; d++) shape[d] = in->shape[order[d]];
    do {
        double total = 0;
        int64_t from = 0, to = 0;
        for (int d = 0; d < kept; d++) {
            from += outer[d] * in->strides[order[d]];
            to += outer[d] * out->strides[out->ndim == in->ndim ? order[d] : d];
        }
        if (in->numel) do {
            int64_t offset = from;
            for (int d = 0; d < reduced; d++) offset += inner[d] * in->strides[order[kept + d]];
            total += first(in)[offset];
        } while (next(inner, shape + kept, reduced));
        first(out)[to] = (float)total;
    } while (next(outer, shape, kept));
    return HX_OK;
}

/* (..., m, k) by (..., k, n); leading axes stretch. */
static hx_code run_matmul(void *dev, void *stream, const hx_op_call *call, hx_err *err) {
    (void)dev, (void)stream, (void)err;
    const hx_view *a = call->in, *b = call->in + 1, *out = call->out;
    int rank = out->ndim;
    int64_t index[HX_MAX_RANK] = {0}, depth = a->shape[a->ndim - 1];
    if (!out->numel) return HX_OK;
    do {
        double total = 0;
        int64_t left[HX_MAX_RANK], right[HX_MAX_RANK];
        memcpy(left, index, sizeof index);
        memcpy(right, index, sizeof index);
        for (int64_t k = 0; k < depth; k++) {
            left[rank - 1] = right[rank - 2] = k;
            total += (double)*at(a, left, rank) * *at(b, right, rank);
        }
        *at(out, index, rank) = (float)total;
    } while (next(index, out->shape, rank));
    return HX_OK;
}

/* ---- which calls they take ---- */

static const struct op {
    const char *name, *attributes; /* that the kernel understands, each with a blank behind it */
    hx_kernel run;
} OPS[] = {
    {"add", "alpha ", run_add}, {"mul", "", run_mul},   {"div", "rounding_mode ", run_div},
    {"neg", "", run_neg},       {"exp", "", run_exp},   {"log", "", run_log},
    {"sqrt", "", run_sqrt},     {"relu", "", run_relu}, {"sum", "dim keepdim dtype ", run_sum},
    {"matmul", "", run_matmul},
};

static const struct op *find(const char *name) {
    for (size_t i = 0; i < sizeof OPS / sizeof *OPS; i++)
        if (!strcmp(OPS[i].name, name)) return OPS + i;
    return NULL;
}

static hx_code op_query(void *ctx, const char *name, hx_op_support *support) {
    (void)ctx;
    const struct op *op = find(name);
    support->verdict = op ? HX_ASK : HX_NO;
    if (!op) return HX_OK;
    support->kernel = op->run;
    support->dtypes = 1u << HX_F32;
    support->deterministic = 1;
    return HX_OK;
}

static int understood(const struct op *op, const char *name, const hx_attr *attr) {
    const char *known = strstr(op->attributes, name);
    if (!known || known[strlen(name)] != ' ' || (known != op->attributes && known[-1] != ' ')) return 0;
    if (!strcmp(name, "alpha")) return attr->kind == HX_A_FLOAT || attr->kind == HX_A_INT || attr->kind == HX_A_BOOL;
    if (!strcmp(name, "rounding_mode")) return attr->count == 4 && !memcmp(attr->v.str, "none", 4);
    return strcmp(name, "dim") || attr->kind == HX_A_NONE || (attr->kind == HX_A_INTS && attr->count);
}

static uint32_t op_check(void *dev, const hx_op_call *call) {
    (void)dev;
    const struct op *op = find(call->op);
    if (!op) return HX_NO;
    for (uint32_t i = 0; i < call->n_in; i++)
        if (call->in[i].flags & HX_VIEW_ABSENT || call->in[i].dtype != HX_F32) return HX_NO;
    for (uint32_t i = 0; i < call->n_attr; i++)
        if (!understood(op, call->attr_names[i], call->attr + i)) return HX_NO;
    if (call->out[0].dtype != HX_F32) return HX_NO;
    return op->run != run_matmul || (call->in[0].ndim >= 2 && call->in[1].ndim >= 2) ? HX_YES : HX_NO;
}

static const hx_backend BACKEND = {
    .struct_size = sizeof BACKEND, .abi_major = HX_ABI_MAJOR, .abi_minor = HX_ABI_MINOR,
    .name = "reference", .version = "0.1.0",
    .device_count = device_count, .device_info = device_info, .device_open = device_open, .device_close = device_close,
    .mem_alloc = mem_alloc, .mem_free = mem_free, .copy = copy, .sync = sync,
    .op_query = op_query, .op_check = op_check,
};

const hx_backend *helix_backend_v1(void) { return &BACKEND; }
