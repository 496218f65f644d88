/* helix/backend.h: the whole contract between helix and one kind of hardware.
 *
 * A backend is one `hx_backend` struct of function pointers. helix calls nothing else, and its own CPU
 * kernels come in through the same struct. A plugin compiles against this header and links to nothing.
 *
 * Rules that hold for every slot:
 *   - POD in, POD out; neither side frees the other's memory. Strings are UTF-8 and NUL-terminated.
 *   - A function that can fail returns an hx_code and fills the caller's hx_err. It never aborts, prints, throws
 *     through C or leaves its arguments half changed.
 *   - A NULL optional slot means "not offered": helix has a way without it. A slot that answers
 *     HX_E_UNSUPPORTED instead of being NULL is a fault of the plugin.
 *   - New slots, codes, dtypes and attribute kinds are only ever appended; the meaning of a slot never changes
 *     within a major. Structs that carry struct_size may grow: read and write no field beyond the size you were given.
 *   - Threads: helix may call from any thread. It holds one lock a device around the slots of groups B to F,
 *     unless the device says HX_CAP_THREAD_SAFE. Memory may be freed by any thread, also by a collector.
 *   - Order: a stream is an in-order queue. copy, fill, launch and op_run may return before the work is done;
 *     later work on the same stream sees its results, the host only after sync or an event. Host memory that an
 *     unfinished copy reads or writes is kept alive and untouched by helix until then.
 *   - A failure of unfinished work is reported by the next sync, event_query or call on that device. After
 *     HX_E_DEVICE_LOST every call returns HX_E_DEVICE_LOST, and helix goes on without the device.
 *   - A process that forks may not use an opened device in the child; helix refuses it there.
 *   - Nothing but device_open may create a context or start a driver: device_count and device_info are called
 *     by `helix devices` in processes that never use the device, and before a fork.
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

enum {
    HX_NO = 0,
    HX_YES = 1,
    HX_YES_IF_CONTIGUOUS = 2, /* inputs are made contiguous first; outputs always are unless they are given */
    HX_ASK = 3                /* it depends on the call: op_check is asked each time a new kind of call comes */
};

typedef struct hx_op_support {
    uint32_t struct_size;
    uint32_t verdict;   /* HX_NO, HX_YES, HX_YES_IF_CONTIGUOUS, HX_ASK */
    hx_kernel kernel;   /* called directly when not NULL; else op_run is called */
    uint64_t dtypes;    /* bit d set: the kernel takes first inputs of dtype d (outputs, for ops without inputs) */
    uint32_t deterministic; /* 0: the same call may give other bits (float atomics); not used then under
                               helix.use_deterministic */
    uint32_t reserved;
} hx_op_support;

typedef struct hx_device_info {
    uint32_t struct_size;
    int32_t dlpack_type; /* DLDeviceType; 0: none, exchange through the host */
    char name[128], arch[64], uuid[40]; /* for people; `arch` also chooses kernel schedules */
    uint64_t total_memory;              /* bytes; 0: not known */
    uint64_t caps;                      /* HX_CAP_* */
    uint64_t dtypes;                    /* bit d set: dtype d can be stored and copied */
    uint32_t max_group;     /* work items in a group; 0: programs run as if 1 */
    uint32_t subgroup;      /* lanes that run together; 1: not known */
    uint32_t shared_bytes;  /* memory shared by a group */
    uint32_t alignment;     /* of blocks and of copies at full speed, bytes */
    uint32_t compute_units, vector_bytes;
    char source_kind[16];   /* the language that program_load takes, as its renderer is called; "" without programs */
    uint64_t arithmetic;    /* bit d set: kernels may compute in dtype d; others are stored only and computed wider */
    uint32_t max_grid[3];   /* groups; 0: no limit */
    uint32_t max_buffers;   /* bound to one program; 0: no limit */
} hx_device_info;

enum {
    HX_CAP_HOST_ADDRESSABLE = 1 << 0,     /* host_ptr is valid for all memory, after sync */
    HX_CAP_STREAM_ORDERED_ALLOC = 1 << 1, /* mem_alloc and mem_free are cheap: helix keeps no pool for the device */
    HX_CAP_THREAD_SAFE = 1 << 2,          /* slots may be called by several threads at once */
    HX_CAP_EMULATED = 1 << 3,             /* runs without the hardware it is named after: shown wherever it is listed */
    HX_CAP_UNIFIED = 1 << 4               /* shares memory with the host: copies cost nothing but the copy */
};

/* A copy in bytes. `src` or `dst` NULL means the host address beside it. With rows > 1, `rows` pieces of nbytes
 * each, whose starts lie `src_pitch` and `dst_pitch` bytes apart. */
typedef struct hx_copy {
    uint32_t struct_size;
    uint32_t flags; /* HX_COPY_* */
    const hx_mem *src, *dst;
    const void *host_src;
    void *host_dst;
    uint64_t src_offset, dst_offset, nbytes;
    uint64_t rows, src_pitch, dst_pitch; /* 0 or 1 row: the pitches hold nothing */
} hx_copy;

enum { HX_COPY_TO_PEER = 1 /* copy_peer: src is the device's own and dst the peer's; else the other way */ };

/* Source of one kernel, rendered by helix or written by a user. */
typedef struct hx_source {
    uint32_t struct_size;
    uint32_t n_buffers, n_scalars; /* in this order they are the kernel's parameters */
    uint32_t reserved;
    const char *kind;              /* the device's source_kind, or "binary" for what program_save gave */
    const char *text;
    uint64_t length;
    const char *entry;             /* the kernel's name in the text */
    const char *options;           /* for the compiler; "" for none */
    const uint8_t *scalar_dtypes;
    uint32_t group[3];             /* work items in a group, where the language fixes them in the text */
    uint32_t flags;                /* HX_SOURCE_* */
} hx_source;

enum { HX_SOURCE_EXACT = 1 /* no contraction, no relaxed functions: the bits matter */ };

/* One run of a program. Kernels get whole blocks and element offsets as scalars, never pointers into a block. */
typedef struct hx_launch {
    uint32_t struct_size;
    uint32_t n_buffers, n_scalars;
    uint32_t shared_bytes;         /* group memory beyond what the text declares */
    uint32_t grid[3], group[3];    /* groups, and work items in one; helix never launches an empty grid */
    const hx_mem *const *buffers;
    const uint64_t *scalars;       /* 8 bytes each, the value in its dtype's own bits at the low end */
    const uint8_t *scalar_dtypes;
    const char *name;              /* the op, for messages and profiles */
} hx_launch;

/* What helix offers a plugin; valid until the process ends. */
typedef struct hx_host {
    uint32_t struct_size;
    uint16_t abi_major, abi_minor;
    const char *version;                                       /* of helix */
    void (*log)(const char *backend, int32_t level, const char *text); /* 0 debug, 1 info, 2 warning */
    /* Runs body(ctx, begin, end) over [0, n) on helix's threads, in pieces of at least `grain`; waits. */
    void (*parallel)(int64_t n, int64_t grain, void (*body)(void *ctx, int64_t begin, int64_t end), void *ctx);
    void *(*host_alloc)(uint64_t nbytes); /* counted, 64-byte aligned, from helix's pool; NULL when there is none */
    void (*host_free)(void *block, uint64_t nbytes);
} hx_host;

/* Optional parts that have no slot: a chain of tagged structs. */
typedef struct hx_ext {
    uint32_t type, struct_size;
    const struct hx_ext *next;
} hx_ext;

/* How a peer's memory can be reached. */
enum { HX_REACH_NO = 0, HX_REACH_COPY = 1 /* copy_peer moves it without the host */ };

/* The contract. Required slots are marked; every other slot may be NULL. */
typedef struct hx_backend {
    uint32_t struct_size;          /* sizeof(hx_backend) where the plugin was compiled */
    uint16_t abi_major, abi_minor; /* HX_ABI_MAJOR, HX_ABI_MINOR there */
    const char *name;              /* device type as users write it: "cpu", "mychip"; [a-z][a-z0-9_]* */
    const char *version;           /* the plugin's own */
    void *ctx;                     /* handed back as the first argument of A and of op_query */
    const hx_ext *ext;             /* NULL: none */

    /* Before anything else; `library_dir` is the plugin's own directory ("" when not known). Default: nothing. */
    hx_code (*init)(void *ctx, const hx_host *host, const char *library_dir, hx_err *err);

    /* A devices (required) */
    int32_t (*device_count)(void *ctx); /* 0 when there is no hardware */
    hx_code (*device_info)(void *ctx, int32_t index, hx_device_info *info, hx_err *err);
    hx_code (*device_open)(void *ctx, int32_t index, void **dev, hx_err *err); /* once a device; helix keeps it open */
    void (*device_close)(void *dev); /* at the end of the process, after all memory, programs and streams are given back */

    /* B memory: mem_alloc, mem_free and copy are required.
     * mem_alloc fills handle and, where the host may use it, host_ptr; contents undefined. HX_E_MEMORY when there is
     * none: helix then frees what its pool keeps and asks again. nbytes is never 0. */
    hx_code (*mem_alloc)(void *dev, uint64_t nbytes, uint32_t kind, hx_mem *mem, hx_err *err);
    void (*mem_free)(void *dev, hx_mem *mem); /* all work that uses it is done, or will be before it is handed out again */
    hx_code (*mem_info)(void *dev, uint64_t *free_bytes, uint64_t *total_bytes); /* default: helix's own count */
    hx_code (*copy)(void *dev, void *stream, const hx_copy *copy, hx_err *err);  /* host to device, back, and within */
    /* Repeats `pattern` (1 to 16 bytes, aligned to its size) over nbytes. Default: a copy from the host. */
    hx_code (*fill)(void *dev, void *stream, const hx_mem *mem, uint64_t offset, uint64_t nbytes, const void *pattern,
                    uint32_t pattern_bytes, hx_err *err);

    /* C order: `sync` is required; a NULL stream is the device's own, and sync(dev, NULL) waits for all streams.
     * Without stream_create there is one stream; without events helix waits for the whole stream instead. */
    hx_code (*sync)(void *dev, void *stream, hx_err *err);
    hx_code (*stream_create)(void *dev, void **stream, hx_err *err);
    void (*stream_destroy)(void *dev, void *stream);
    uint64_t (*stream_native)(void *dev, void *stream); /* what DLPack hands on as the stream */
    hx_code (*event_create)(void *dev, void **event, hx_err *err);
    void (*event_destroy)(void *dev, void *event);
    hx_code (*event_record)(void *dev, void *event, void *stream, hx_err *err);
    hx_code (*event_query)(void *dev, void *event, int32_t *done, hx_err *err);
    hx_code (*event_sync)(void *dev, void *event, hx_err *err);
    hx_code (*stream_wait_event)(void *dev, void *stream, void *event, hx_err *err); /* events of this device only */

    /* D programs: all three or none */
    hx_code (*program_load)(void *dev, const hx_source *source, void **program, hx_err *err);
    void (*program_unload)(void *dev, void *program);
    hx_code (*launch)(void *dev, void *stream, void *program, const hx_launch *launch, hx_err *err);

    /* E native ops. op_query answers for an op by name, once; op_check for one call where op_query said HX_ASK (an
     * attribute that it does not know means HX_NO). op_run runs what has no kernel pointer of its own. */
    hx_code (*op_query)(void *ctx, const char *op, hx_op_support *support);
    uint32_t (*op_check)(void *dev, const hx_op_call *call);
    hx_code (*op_run)(void *dev, void *stream, const hx_op_call *call, hx_err *err);

    /* F other devices. copy_peer moves memory between `dev` and an opened device of the backend `peer`, on dev's
     * stream, after everything that helix issued on the peer's. Native values are what DLPack puts into `data`. */
    uint32_t (*reach)(void *dev, const char *peer, int32_t peer_index);
    hx_code (*copy_peer)(void *dev, void *stream, const hx_copy *copy, const char *peer, void *peer_dev, hx_err *err);
    hx_code (*mem_import)(void *dev, uint64_t native, uint64_t nbytes, hx_mem *mem, hx_err *err);
    uint64_t (*mem_export)(void *dev, const hx_mem *mem);
} hx_backend;

/* How a C plugin comes in: a capsule named HX_BACKEND_CAPSULE around a const hx_backend *, given by the entry point's
 * factory; or, without Python, a shared library that exports hx_backend_entry under HX_BACKEND_SYMBOL, named in
 * HELIX_BACKEND_PATH. The struct is copied and may not change afterwards; the library is never unloaded. */
#define HX_BACKEND_CAPSULE "helix.backend.v1"
#define HX_BACKEND_SYMBOL  "helix_backend_v1"
typedef const hx_backend *(*hx_backend_entry)(void);

#ifdef __cplusplus
}
#endif
#endif
