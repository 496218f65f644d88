/* helix/backend.h: the whole contract between helix and one kind of hardware.
 *
 * A backend is one `hx_backend` struct of function pointers. helix calls nothing else, and its own CPU
 * kernels come in through the same struct. A plugin compiles against this header and links to nothing.
 *
 * Rules that hold for every slot:
 *   - POD in, POD out; neither side frees the other's memory. Strings are UTF-8 and NUL-terminated.
 *   - A function that can fail returns an hx_code and fills the caller's hx_err. It never aborts, prints or
 *     leaves its arguments half changed.
 *   - A NULL optional slot means "not offered": helix uses a decomposition or the host instead.
 *   - New slots, codes, dtypes and attribute kinds are only ever appended.
 */
#ifndef HELIX_BACKEND_H
#define HELIX_BACKEND_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HX_ABI_MAJOR 1 /* layout or meaning changes; refused when different */
#define HX_ABI_MINOR 0 /* appended slots and values; older and newer minors work together */
#define HX_MAX_RANK  16

/* Status codes. 0 is success. */
typedef int32_t hx_code;
enum {
    HX_OK = 0,
    HX_E_SHAPE = 1,       /* sizes or ranks that do not fit each other */
    HX_E_DTYPE = 2,       /* a data type the operation does not take */
    HX_E_DEVICE = 3,      /* arguments on different devices, or a device that is not there */
    HX_E_INDEX = 4,       /* an index or axis outside its range */
    HX_E_VALUE = 5,       /* a parameter outside its domain */
    HX_E_OVERFLOW = 6,    /* a size that does not fit in 64 bits */
    HX_E_MEMORY = 7,      /* not enough memory, or over the set limit */
    HX_E_GRADIENT = 8,    /* a gradient that cannot be had */
    HX_E_UNSUPPORTED = 9, /* no kernel and no decomposition, or a mode that the op does not have */
    HX_E_TYPE = 10,       /* an argument of the wrong kind */
    HX_E_TRACE = 11,      /* something that depends on values, asked for while only shapes are known */
    HX_E_DEVICE_LOST = 12,
    HX_E_COMPILE = 13,
    HX_E_TIMEOUT = 14,
    HX_E_VERSION = 15,
    HX_E_CALLBACK = 16, /* a callback of the host language failed and holds its own error */
    HX_E_INTERNAL = 17
};

/* The caller's error record. `number` is the stable documented code (1002 is shown as HX1002). */
typedef struct hx_err {
    uint32_t struct_size;
    hx_code code;
    int32_t number;
    int32_t reserved;
    int64_t native_code;
    char msg[1000];
} hx_err;

/* Data types. The numbers are part of the ABI. */
typedef enum hx_dtype {
    HX_BOOL = 0,
    HX_I8 = 1,
    HX_I16 = 2,
    HX_I32 = 3,
    HX_I64 = 4,
    HX_U8 = 5,
    HX_U16 = 6,
    HX_U32 = 7,
    HX_U64 = 8,
    HX_F16 = 9,
    HX_BF16 = 10,
    HX_F32 = 11,
    HX_F64 = 12,
    HX_C64 = 13,
    HX_C128 = 14,
    HX_DTYPE_COUNT = 15
} hx_dtype;

/* One block of memory that a backend handed out. */
typedef struct hx_mem {
    uint64_t handle; /* the backend's own name for the block: pointer, object number ... */
    void *host_ptr;  /* address the CPU may use, or NULL */
    uint64_t nbytes;
    uint32_t kind; /* HX_MEM_* */
    uint32_t flags;
} hx_mem;

enum { HX_MEM_DEVICE = 0, HX_MEM_PINNED = 1 };

/* A strided view of a block. Strides are in elements and may be zero or negative.
 * `data` is the address of element [0, ..., 0] where the host can use it, else NULL. */
typedef struct hx_view {
    const hx_mem *mem;
    void *data;
    int64_t byte_offset; /* of element [0, ..., 0] from the start of mem */
    const int64_t *shape;
    const int64_t *strides;
    int64_t numel;
    uint8_t dtype; /* hx_dtype */
    uint8_t ndim;
    uint8_t contiguous; /* row-major without gaps */
    uint8_t flags;      /* HX_VIEW_* */
} hx_view;

enum {
    HX_VIEW_ABSENT = 1,     /* an optional tensor that was not given: no other field holds anything */
    HX_VIEW_HOST_SCALAR = 2 /* one element in host memory, whatever the device of the call */
};

/* One attribute of an op call, positional in the order of the op's non-tensor parameters. */
typedef struct hx_attr {
    uint32_t kind; /* HX_A_* */
    uint32_t count; /* elements behind `ints` or `floats`, bytes behind `str` */
    union {
        int64_t i; /* HX_A_INT, HX_A_BOOL, HX_A_DTYPE */
        double f;  /* HX_A_FLOAT */
        double c[2];
        const int64_t *ints;
        const double *floats;
        const char *str;
        struct {
            uint64_t seed, stream;
        } rng;
    } v;
} hx_attr;

enum {
    HX_A_NONE = 0,
    HX_A_BOOL = 1,
    HX_A_INT = 2,
    HX_A_FLOAT = 3,
    HX_A_COMPLEX = 4,
    HX_A_INTS = 5,
    HX_A_FLOATS = 6,
    HX_A_DTYPE = 7,
    HX_A_STR = 8,
    HX_A_RNG = 9 /* Philox seed and stream; element index is the counter */
};

/* One call of an op on concrete views. `out` views are allocated by helix; they never overlap an input
 * unless out[0] is exactly in[0] (same memory, same strides): the in-place form. */
typedef struct hx_op_call {
    uint32_t struct_size;
    uint32_t n_in, n_out, n_attr;
    const char *op;
    const hx_view *in;
    const hx_view *out;
    const hx_attr *attr;
    const char *const *attr_names;
} hx_op_call;

/* A native kernel. May return before the work is done, in the order of `stream`. */
typedef hx_code (*hx_kernel)(void *dev, void *stream, const hx_op_call *call, hx_err *err);

enum { HX_NO = 0, HX_YES = 1, HX_YES_IF_CONTIGUOUS = 2 /* inputs are made contiguous first */ };

typedef struct hx_op_support {
    uint32_t struct_size;
    uint32_t verdict;   /* HX_NO, HX_YES, HX_YES_IF_CONTIGUOUS */
    hx_kernel kernel;   /* called directly when not NULL; else op_run is called */
    uint64_t dtypes;    /* bit d set: the kernel takes first inputs of dtype d (outputs, for ops without inputs) */
} hx_op_support;

typedef struct hx_device_info {
    uint32_t struct_size;
    int32_t dlpack_type; /* DLDeviceType */
    char name[128], arch[64], uuid[40];
    uint64_t total_memory;
    uint64_t caps;   /* HX_CAP_* */
    uint64_t dtypes; /* bit d set: dtype d can be stored and copied */
    uint32_t max_group, subgroup, shared_bytes, alignment, compute_units, vector_bytes;
} hx_device_info;

enum {
    HX_CAP_HOST_ADDRESSABLE = 1 << 0, /* host_ptr is valid for all memory */
    HX_CAP_STREAM_ORDERED_ALLOC = 1 << 1
};

/* A copy in bytes. `src` or `dst` NULL means the host address beside it. */
typedef struct hx_copy {
    uint32_t struct_size;
    uint32_t reserved;
    const hx_mem *src, *dst;
    const void *host_src;
    void *host_dst;
    uint64_t src_offset, dst_offset, nbytes;
} hx_copy;

/* The contract. Required slots are marked; every other slot may be NULL. */
typedef struct hx_backend {
    uint32_t struct_size; /* sizeof(hx_backend) where the plugin was compiled */
    uint16_t abi_major, abi_minor;
    const char *name;    /* device type as users write it: "cpu", "mychip" */
    const char *version; /* the plugin's own */
    void *ctx;           /* handed back as the first argument of A */

    /* A devices (required) */
    int32_t (*device_count)(void *ctx);
    hx_code (*device_info)(void *ctx, int32_t index, hx_device_info *info, hx_err *err);
    hx_code (*device_open)(void *ctx, int32_t index, void **dev, hx_err *err);
    void (*device_close)(void *dev);

    /* B memory (required) */
    hx_code (*mem_alloc)(void *dev, uint64_t nbytes, uint32_t kind, hx_mem *mem, hx_err *err);
    void (*mem_free)(void *dev, hx_mem *mem);
    hx_code (*copy)(void *dev, void *stream, const hx_copy *copy, hx_err *err);

    /* C order: `sync` waits for everything issued on the stream (required); a NULL stream is the device's own */
    hx_code (*sync)(void *dev, void *stream, hx_err *err);

    /* E native ops (optional) */
    hx_code (*op_query)(void *ctx, const char *op, hx_op_support *support);
    hx_code (*op_run)(void *dev, void *stream, const hx_op_call *call, hx_err *err);
} hx_backend;

#ifdef __cplusplus
}
#endif
#endif
