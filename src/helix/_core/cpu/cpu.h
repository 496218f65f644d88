/* What CPU kernels are written with. A family file cpu/<family>.c is compiled once per instruction set with
 * HX_ISA set to a suffix (scalar, avx2, avx512, neon); it defines static kernels and one table. Files listed as
 * `common` in meson.build are compiled once. */
#ifndef HX_CPU_H
#define HX_CPU_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#include "../dtype.h"
#include "../modes.h"
#include "../rng.h"
#include "../shape.h"
#include "../storage.h"
#include "../threads.h"
#include "helix/backend.h"

#define HX_PASTE_(a, b) a##_##b
#define HX_PASTE(a, b) HX_PASTE_(a, b)
#define HX_ISA_NAME(name) HX_PASTE(name, HX_ISA)

/* One kernel for all its dtypes; it picks the loop by call->in[0].dtype (or out[0]). */
typedef struct hx_cpu_kernel {
    const char *op;
    hx_kernel run;
    uint64_t dtypes;  /* of in[0], or of out[0] for ops without inputs */
    uint32_t verdict; /* HX_YES: any strides; HX_YES_IF_CONTIGUOUS: dispatch copies strided inputs first */
} hx_cpu_kernel;

/* At the end of a family file:  HX_KERNELS(unary) = {KERNEL(exp, k_exp, HX_SET_FLOAT), {0}};  */
#define HX_KERNELS(family) const hx_cpu_kernel HX_ISA_NAME(hx_kernels_##family)[]
#define KERNEL(op, fn, set) {#op, fn, set, HX_YES}
#define KERNEL_CONTIGUOUS(op, fn, set) {#op, fn, set, HX_YES_IF_CONTIGUOUS}

#define HX_KERNEL(name) static hx_code name(void *dev, void *stream, const hx_op_call *call, hx_err *err)
#define HX_UNUSED (void)dev, (void)stream, (void)err

/* Fills err for a fault that only the values show (an index out of range). Returns code. */
hx_code hx_kernel_fail(hx_err *err, hx_code code, int number, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
hx_code hx_kernel_fail_about(hx_facts facts, hx_err *err, hx_code code, int number, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* ---- elementwise iteration (cpu/iterate.c, compiled once) ----
 * Broadcasts the operands to out[0]'s shape, merges dimensions, orders them for locality, splits large work over
 * threads in fixed chunks, and calls the loop on runs. Pointers and byte strides: outputs first, then inputs. */
typedef void (*hx_loop)(char **p, const int64_t *step, int64_t n, const void *ctx);
hx_code hx_iterate(const hx_op_call *call, hx_loop loop, const void *ctx, hx_err *err);
/* The same for explicit views: the loop writes views[0] and does not read it, unless another view is the same memory.
 * `cost`: bytes of memory traffic that an element is worth; 0: its size in all views. */
hx_code hx_iterate_views(const hx_view *const *views, int n, hx_loop loop, const void *ctx, int64_t cost, hx_err *err);
/* The values of a view into another of the same shape and dtype; orders of axes are turned tile by tile. */
#define hx_copy_same HX_ISA_NAME(hx_copy_same)
hx_code hx_copy_same(const hx_view *to, const hx_view *from, hx_err *err);

static inline bool hx_absent(const hx_view *v) { return v->flags & HX_VIEW_ABSENT; }

/* A parameter given as a float, for a kernel of whole numbers: cut towards zero, held at the ends, 0 for NaN. */
static inline int64_t hx_whole(double x) {
    return x != x ? 0 : x >= 0x1p63 ? INT64_MAX : x <= -0x1p63 ? INT64_MIN : (int64_t)x;
}

/* Items a chunk for a parallel loop over memory-bound work of `bytes` an item. */
static inline int64_t hx_grain(int64_t bytes_per_item) {
    int64_t g = 65536 / (bytes_per_item > 0 ? bytes_per_item : 1);
    return g > 1 ? g : 1;
}

/* Instruction sets, best first; chosen once from CPUID and HELIX_CPU_ISA. */
const char *hx_cpu_isa(void);
const hx_backend *hx_cpu_backend(void);

#endif
