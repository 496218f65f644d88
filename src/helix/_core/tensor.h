/* The tensor: a typed, strided view of storage, and its place in the autograd graph.
 *
 * Ownership: functions that return a tensor through `out` give the caller one reference; arguments are borrowed.
 * A tensor's geometry never changes after it is made, except by in-place history changes (hx_tensor_adopt). */
#ifndef HX_TENSOR_H
#define HX_TENSOR_H

#include "dtype.h"
#include "shape.h"
#include "storage.h"

typedef struct hx_node hx_node;
typedef struct hx_hook hx_hook;

typedef struct hx_tensor {
    atomic_int refs;
    uint8_t dtype;
    uint8_t ndim;
    uint8_t flags; /* HX_T_* */
    uint8_t unused;
    int32_t output_number; /* which output of `history` this is */
    hx_storage *storage;   /* NULL: a tensor of which only shape and dtype are known (trace mode) */
    hx_device *device;
    void *data;            /* host address of element [0,...,0]; NULL off the host and while tracing */
    int64_t offset;        /* of element [0,...,0] in the storage, in elements */
    int64_t numel;
    hx_node *history;      /* the node that made it; NULL for leaves */
    struct hx_tensor *gradient; /* accumulated, leaves (and retain_grad) only */
    struct hx_tensor *base;     /* the tensor this is a view of, itself never a view; NULL otherwise */
    uint32_t base_writes;       /* base's count of history rewrites when our history was last made */
    uint32_t writes;            /* number of times an in-place op rewrote our history */
    hx_hook *hooks;
    void *wrapper;         /* the host language's object for it, not owned; NULL when there is none */
    int64_t shape[HX_MAX_RANK];
    int64_t strides[HX_MAX_RANK];
} hx_tensor;

enum {
    HX_T_REQUIRES_GRAD = 1, /* leaf the user asked gradients for */
    HX_T_CONTIGUOUS = 2,
    HX_T_NUMBER = 4,        /* a wrapped host number: weak in promotion, lives in host memory on any device */
    HX_T_INFERENCE = 8,     /* made under inference mode */
    HX_T_RETAIN_GRAD = 16   /* non-leaf that keeps its gradient */
};

/* Shape, dtype and geometry of a result, filled by an op's shape rule. */
typedef struct hx_spec {
    uint8_t dtype;
    uint8_t ndim;
    int64_t shape[HX_MAX_RANK];
    int64_t offset;               /* the rest for view ops only: absolute offset and strides in elements */
    int64_t strides[HX_MAX_RANK];
} hx_spec;
#define HX_NO_VIEW (-1) /* as offset: the input's layout allows no such view, the op's decomposition copies */

/* Is a gradient wanted through t? A view also asks its base, which an in-place write may have given a history. */
static inline bool hx_requires_grad(const hx_tensor *t) {
    return t->history || (t->flags & HX_T_REQUIRES_GRAD) ||
           (t->base && t->base_writes != t->base->writes && t->base->history);
}
static inline bool hx_contiguous(const hx_tensor *t) { return t->flags & HX_T_CONTIGUOUS; }

/* New row-major tensor, contents undefined. */
hx_status hx_tensor_empty(hx_device *device, hx_dtype dtype, const int64_t *shape, int ndim, hx_tensor **out);

/* A tensor of which only shape and dtype are known. `strides` NULL: row-major. */
hx_status hx_tensor_shape_only(hx_device *device, hx_dtype dtype, const int64_t *shape, const int64_t *strides,
                               int ndim, int64_t offset, hx_tensor **out);

/* A view of existing storage (retained); the extent is checked against the storage. */
hx_status hx_tensor_view(hx_storage *storage, hx_dtype dtype, const int64_t *shape, const int64_t *strides, int ndim,
                         int64_t offset, hx_tensor **out);

/* The same memory and geometry in a new tensor, without history (detach). */
hx_status hx_tensor_alias(const hx_tensor *t, hx_tensor **out);

/* A tensor over memory others own, for import: the view starts `offset` elements into the nbytes at
 * `data`, and every access is checked to lie in them. */
hx_status hx_tensor_wrap(hx_device *device, void *data, int64_t nbytes, bool read_only, hx_dtype dtype,
                         const int64_t *shape, const int64_t *strides, int ndim, int64_t offset,
                         void (*release)(void *), void *owner, hx_tensor **out);

/* Wrapped numbers. They are ordinary zero-dimensional CPU tensors with HX_T_NUMBER. */
hx_status hx_tensor_from_bool(bool value, hx_tensor **out);
hx_status hx_tensor_from_int(int64_t value, hx_tensor **out);
hx_status hx_tensor_from_float(double value, hx_tensor **out);
hx_status hx_tensor_from_complex(double re, double im, hx_tensor **out);

static inline hx_tensor *hx_tensor_retain(hx_tensor *t) {
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}
void hx_tensor_release(hx_tensor *t); /* NULL is allowed */

/* Reads one element of a host tensor as the widest type of its kind. */
typedef struct hx_scalar {
    hx_kind kind;
    union { int64_t i; uint64_t u; double f; double c[2]; } v;
} hx_scalar;
hx_status hx_tensor_item(const hx_tensor *t, hx_scalar *value);

/* Whole-tensor copies between host memory and a tensor on any device; waits. Row-major on the host side. */
hx_status hx_tensor_read(const hx_tensor *t, void *host, int64_t nbytes);

/* "(2, 3) float32 cpu": for messages; rotating buffer as hx_shape_text. */
const char *hx_tensor_text(const hx_tensor *t);

static inline void hx_bump_version(hx_tensor *t) {
    if (t->storage) atomic_fetch_add_explicit(&t->storage->version, 1, memory_order_relaxed);
}

#endif
