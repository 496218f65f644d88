/* helix/api.h: tensors, ops and gradients for extensions in C (C99 or later, C++ too). Nothing is linked: everything is
 * reached through one table of functions, which helix_import() fetches from the running helix.
 *
 *   // behind Python.h: #include <helix/api.h>
 *   PyMODINIT_FUNC PyInit_mine(void) { if (helix_import() < 0) return NULL; ... }
 *   ... helix_table()->call_op("add", (hx_tensor *[]){a, b}, 2, NULL, 0, &sum, 1);
 *
 * Rules that hold for every slot:
 *   - Any thread may call, with or without the GIL, except for the slots marked GIL.
 *   - hx_tensor is opaque and counted. A tensor that comes out of a call, by return or through `out`, is one reference
 *     for the caller to release; a tensor that goes in is borrowed. Pointers that describe a tensor (shape, device,
 *     data) live as long as the tensor.
 *   - What can fail returns an hx_code, HX_OK or the kind of failure, and has then changed nothing and set `out` to NULL.
 *     The thread's last error stays readable until the next failure or error_clear.
 *   - Slots are only ever appended, and their meaning never changes within a major.
 */
#ifndef HELIX_API_H
#define HELIX_API_H

#include <assert.h>
#include "backend.h"
#include "version.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The oldest helix that the extension must run on, as a minor of the ABI. What is newer is not declared. */
#ifndef HELIX_TARGET_ABI_MINOR
#define HELIX_TARGET_ABI_MINOR 0
#endif
#if HELIX_TARGET_ABI_MINOR > HX_ABI_MINOR
#error "HELIX_TARGET_ABI_MINOR is newer than these headers"
#endif

#define HX_API_CAPSULE "helix._core._C_API_v1" /* ends with the major */

typedef struct hx_tensor hx_tensor;
typedef struct hx_op hx_op;
struct DLManagedTensorVersioned; /* of dlpack.h, version 1 */
struct _object;                  /* PyObject */

/* A parameter of an op by name, for call_op. Further names that ops without tensor inputs take: "device" (HX_A_STR). */
typedef struct hx_named {
    const char *name;
    hx_attr value;
} hx_named;

static inline hx_named hx_named_int(const char *name, int64_t value) {
    hx_named a = {name, {HX_A_INT, 0, {0}}};
    a.value.v.i = value;
    return a;
}
static inline hx_named hx_named_float(const char *name, double value) {
    hx_named a = {name, {HX_A_FLOAT, 0, {0}}};
    a.value.v.f = value;
    return a;
}
static inline hx_named hx_named_bool(const char *name, int value) {
    hx_named a = {name, {HX_A_BOOL, 0, {0}}};
    a.value.v.i = value != 0;
    return a;
}
static inline hx_named hx_named_dtype(const char *name, hx_dtype value) {
    hx_named a = {name, {HX_A_DTYPE, 0, {0}}};
    a.value.v.i = value;
    return a;
}
static inline hx_named hx_named_ints(const char *name, const int64_t *values, uint32_t n) {
    hx_named a = {name, {HX_A_INTS, 0, {0}}};
    a.value.count = n;
    a.value.v.ints = values;
    return a;
}
static inline hx_named hx_named_str(const char *name, const char *text) {
    hx_named a = {name, {HX_A_STR, 0, {0}}};
    while (text[a.value.count]) a.value.count++;
    a.value.v.str = text;
    return a;
}

/* ---- ops of your own ---- */

enum {
    HX_PARAM_TENSOR = 1,
    HX_PARAM_OPT_TENSOR = 2,
    HX_PARAM_BOOL = 3,
    HX_PARAM_INT = 4,
    HX_PARAM_OPT_INT = 5,
    HX_PARAM_FLOAT = 6,
    HX_PARAM_OPT_FLOAT = 7,
    HX_PARAM_INTS = 8,
    HX_PARAM_OPT_INTS = 9,
    HX_PARAM_DTYPE = 10,
    HX_PARAM_OPT_DTYPE = 11,
    HX_PARAM_STRING = 12
};
enum {
    HX_PARAM_REQUIRED = 1, /* has no default; tensors are required by nature, OPT kinds never are */
    HX_PARAM_KEYWORD = 2   /* this and all later ones by keyword only */
};

typedef struct hx_param_def {
    uint32_t kind;       /* HX_PARAM_* */
    uint32_t flags;
    const char *name;
    double number;       /* default of BOOL, INT, FLOAT and, as a list of one, INTS */
    const char *text;    /* default of STRING */
    const char *choices; /* of STRING: "mean|sum|none" */
} hx_param_def;

/* Shape rules that need no callback. */
enum {
    HX_RULE_OWN = 0,       /* the `shape` callback; without one, what `decompose` gives */
    HX_RULE_SAME = 1,      /* of the first input */
    HX_RULE_FLOAT = 2,     /* of the first input; integers become the default float */
    HX_RULE_BROADCAST = 3, /* inputs are promoted to one dtype, and the result broadcasts over them */
    HX_RULE_COMPARE = 4    /* as BROADCAST, but the result is bool */
};

enum { HX_MAX_RESULTS = 8 };

typedef struct hx_meta {
    int32_t dtype; /* hx_dtype */
    int32_t ndim;
    int64_t shape[HX_MAX_RANK];
} hx_meta;

/* A call of your op. Tensors and attributes stand in the order of their parameters; an optional tensor that was not
 * given is NULL. In `shape`, and in all callbacks while a trace is made, tensors may have no values. */
typedef struct hx_args {
    uint32_t struct_size;
    uint32_t n_in, n_out, n_attr;
    hx_tensor *const *in;
    hx_tensor *const *out;      /* in vjp: the saved results, NULL where not saved; else NULL */
    const hx_attr *attr;
    hx_tensor *const *gradient; /* in vjp: of each result, NULL where it was not used; else NULL */
    const uint8_t *wanted;      /* in vjp: which inputs need a gradient; else NULL */
} hx_args;

typedef struct hx_shapes {
    uint32_t struct_size;
    int32_t compute; /* in: -1. A dtype: all inputs are cast to it first */
    hx_meta out[HX_MAX_RESULTS];
} hx_shapes;

/* Callbacks fail like backends do: with a code, and a text in `err` (or none there, when a slot of the table failed and
 * has said why). They may run on any thread, without the GIL, and give references to what they put into `out`. */
typedef struct hx_op_def {
    uint32_t struct_size; /* sizeof(hx_op_def) */
    uint32_t param_size;  /* sizeof(hx_param_def) */
    const char *name;     /* [a-z][a-z0-9_]*, beginning with your package's name: shown as helix.ops.<name> */
    const char *doc;      /* the docstring */
    const char *outputs;  /* names of several results, "values, indices"; NULL for one */
    const hx_param_def *params;
    uint32_t n_params;
    uint32_t rule;        /* HX_RULE_*; HX_RULE_OWN beside a `shape` callback */
    void *ctx;            /* handed to shape, decompose and vjp */
    hx_code (*shape)(void *ctx, const hx_args *args, hx_shapes *shapes, hx_err *err);
    /* How the result is computed; one of the two, or both: `decompose` calls other ops, so it runs on every device and,
     * without `vjp`, has its gradient from them. `kernel` computes on the CPU, on views that are row-major without gaps;
     * it needs a shape rule, inputs keep their own shapes, and its first argument means nothing. */
    hx_code (*decompose)(void *ctx, const hx_args *args, hx_tensor **out, hx_err *err);
    hx_kernel kernel;
    uint64_t kernel_dtypes; /* bit d set: of first inputs of dtype d */
    /* The gradient of each wanted input, made by calling ops, so that it can be differentiated again. A gradient of a
     * broadcast input is summed to its shape. NULL, without `decompose`: not differentiable. */
    hx_code (*vjp)(void *ctx, const hx_args *args, hx_tensor **gradient, hx_err *err);
    uint32_t saves_in, saves_out; /* bit i set: vjp reads input i, result i; the others are NULL there */
} hx_op_def;

/* ---- the table ---- */

enum { HX_WRAP_READ_ONLY = 1 };
enum { HX_BACKWARD_RETAIN = 1, HX_BACKWARD_CREATE = 2, HX_BACKWARD_UNUSED = 4 };

typedef struct hx_api {
    uint32_t struct_size;
    uint16_t abi_major, abi_minor;
    const char *build; /* "helix 0.1.0, ..." for people */

    /* Tensors. Shapes have at most HX_MAX_RANK entries; strides are in elements, NULL: row-major. `device` is a name as
     * users write it, "cpu" or "mychip:1"; NULL: the CPU. */
    hx_code (*tensor_empty)(const char *device, int32_t dtype, const int64_t *shape, int32_t ndim, hx_tensor **out);
    hx_code (*tensor_from_data)(const char *device, int32_t dtype, const int64_t *shape, int32_t ndim, const void *data,
                                hx_tensor **out); /* copies row-major host data */
    /* A tensor over memory of yours: `data` is the address of element [0, ..., 0]. release(owner) is called once, by any
     * thread, when the last tensor over it goes; after a failure the memory is still yours. */
    hx_code (*tensor_wrap)(void *data, int32_t dtype, const int64_t *shape, const int64_t *strides, int32_t ndim,
                           uint32_t flags, void (*release)(void *owner), void *owner, hx_tensor **out);
    hx_tensor *(*tensor_retain)(hx_tensor *t); /* NULL is allowed, here and in tensor_release */
    void (*tensor_release)(hx_tensor *t);
    int32_t (*tensor_dtype)(const hx_tensor *t);
    int32_t (*tensor_ndim)(const hx_tensor *t);
    const int64_t *(*tensor_shape)(const hx_tensor *t);
    const int64_t *(*tensor_strides)(const hx_tensor *t);
    int64_t (*tensor_numel)(const hx_tensor *t);
    const char *(*tensor_device)(const hx_tensor *t);
    /* Of element [0, ..., 0]; NULL where the host has no address for it. Another device than the CPU may still be at
     * work on it until synchronize. */
    void *(*tensor_data_host)(const hx_tensor *t);
    int32_t (*tensor_is_contiguous)(const hx_tensor *t);
    hx_code (*tensor_contiguous)(hx_tensor *t, hx_tensor **out); /* itself where it is; else a copy, with its gradient */
    hx_code (*tensor_to_device)(hx_tensor *t, const char *device, hx_tensor **out); /* gradients flow back */
    hx_code (*tensor_read)(const hx_tensor *t, void *host, uint64_t nbytes); /* all values, row-major; waits */
    hx_code (*tensor_from_dlpack)(struct DLManagedTensorVersioned *managed, hx_tensor **out); /* takes it on success */
    hx_code (*tensor_to_dlpack)(hx_tensor *t, struct DLManagedTensorVersioned **out);

    /* Ops, by the names of helix.ops: "add", "softmax"; in place with "_" behind. `in` holds the tensors in parameter
     * order, with a list of tensors flattened in place and NULL for an optional one. What is not in `attr` has its
     * default. The first n_out results go to `out`. op_find (NULL: there is none) saves looking the name up each time. */
    hx_code (*call_op)(const char *name, hx_tensor *const *in, uint32_t n_in, const hx_named *attr, uint32_t n_attr,
                       hx_tensor **out, uint32_t n_out);
    const hx_op *(*op_find)(const char *name);
    hx_code (*op_call)(const hx_op *op, hx_tensor *const *in, uint32_t n_in, const hx_named *attr, uint32_t n_attr,
                       hx_tensor **out, uint32_t n_out);
    hx_code (*register_op)(const hx_op_def *def); /* copied with its texts; ctx and callbacks must live for ever */
    /* Hands a reference to the running decompose or vjp callback, at whose end it is released; gives it back as a
     * borrowed one. NULL, with the reference released, where none runs on this thread. NULL is passed through. */
    hx_tensor *(*keep)(hx_tensor *owned);

    /* Gradients. `gradients` may be NULL, or hold NULL, where a root has one element. */
    hx_code (*backward)(hx_tensor *const *roots, hx_tensor *const *gradients, uint32_t n_roots, uint32_t flags);
    hx_code (*grad)(hx_tensor *const *roots, hx_tensor *const *gradients, uint32_t n_roots, hx_tensor *const *inputs,
                    uint32_t n_inputs, uint32_t flags, hx_tensor **out); /* leaves accumulated gradients alone */
    int32_t (*tensor_requires_grad)(const hx_tensor *t);
    hx_code (*tensor_set_requires_grad)(hx_tensor *t, int32_t wanted);
    hx_tensor *(*tensor_gradient)(const hx_tensor *t); /* accumulated by backward; NULL: none */
    void (*tensor_clear_gradient)(hx_tensor *t);
    int32_t (*no_grad_enter)(void); /* of this thread; gives the mode before, for no_grad_leave */
    void (*no_grad_leave)(int32_t before);

    /* Devices. */
    hx_code (*register_backend)(const hx_backend *backend, const char *library_dir);
    hx_code (*current_stream)(const char *device, uint64_t *native); /* of this thread; 0 where there are none */
    hx_code (*synchronize)(const char *device);

    /* The last error of this thread: code (HX_OK: none), number (1002 is documented as HX1002), text. */
    hx_code (*error_code)(void);
    int32_t (*error_number)(void);
    const char *(*error_text)(void);
    void (*error_clear)(void);

    /* Python. All need the GIL. */
    struct _object *(*to_python)(hx_tensor *t);      /* GIL. A new reference; NULL with an exception set */
    hx_tensor *(*from_python)(struct _object *o);    /* GIL. One reference; NULL with a TypeError set: not a tensor */
    struct _object *(*raise_error)(void);            /* GIL. Raises the last error, clears it, and returns NULL */

    /* Slots of later minors follow here, each in an #if HELIX_TARGET_ABI_MINOR >= n. */
} hx_api;

/* ---- the import ----
 *
 * One file: include Python.h and this header, and call helix_import() in the module's init. Several files: all of them
 * define HELIX_UNIQUE_SYMBOL as a name of yours, and all but the one that imports define HELIX_NO_IMPORT. */
#ifndef HELIX_TYPES_ONLY
#if defined(__GNUC__)
#define HELIX_UNUSED_ __attribute__((unused))
#define HELIX_HIDDEN_ __attribute__((visibility("hidden")))
#else
#define HELIX_UNUSED_
#define HELIX_HIDDEN_
#endif
#if defined(HELIX_UNIQUE_SYMBOL)
#define helix_api_ HELIX_UNIQUE_SYMBOL
extern HELIX_HIDDEN_ const hx_api *helix_api_;
#if !defined(HELIX_NO_IMPORT)
HELIX_HIDDEN_ const hx_api *helix_api_ = NULL;
#endif
#elif defined(HELIX_NO_IMPORT)
#error "HELIX_NO_IMPORT needs HELIX_UNIQUE_SYMBOL, the name of the table that another file imports"
#else
static const hx_api *helix_api_ HELIX_UNUSED_ = NULL;
#endif

/* The table. Without NDEBUG, using it before helix_import() ends the process with a message. */
static inline const hx_api *helix_table(void) {
    assert(helix_api_ && "call helix_import() in the module's init function first");
    return helix_api_;
}

#if defined(Py_PYTHON_H) && !defined(HELIX_NO_IMPORT)
/* 0, or -1 with an ImportError set. GIL. */
static HELIX_UNUSED_ int helix_import(void) {
    const hx_api *table = NULL;
    int major, minor;
    PyObject *capsule, *core = PyImport_ImportModule("helix._core");
    if (!core) return -1;
    capsule = PyObject_GetAttrString(core, HX_API_CAPSULE + sizeof "helix._core." - 1);
    Py_DECREF(core);
    if (capsule && PyCapsule_IsValid(capsule, HX_API_CAPSULE))
        table = (const hx_api *)PyCapsule_GetPointer(capsule, HX_API_CAPSULE);
    Py_XDECREF(capsule); /* the table outlives it */
    if (!table) {
        PyErr_Clear();
        PyErr_Format(PyExc_ImportError,
                     "this extension was built for helix's ABI %d, which the installed helix does not offer", HX_ABI_MAJOR);
        return -1;
    }
    major = table->abi_major;
    minor = table->abi_minor;
    if (major != HX_ABI_MAJOR || minor < HELIX_TARGET_ABI_MINOR) {
        PyErr_Format(PyExc_ImportError,
                     "this extension was built for helix's ABI %d.%d, the installed helix (%s) offers %d.%d; %s",
                     HX_ABI_MAJOR, HELIX_TARGET_ABI_MINOR, table->build, major, minor,
                     major != HX_ABI_MAJOR ? "build it again" : "install a newer helix");
        return -1;
    }
    helix_api_ = table;
    return 0;
}
#endif
#endif

#ifdef __cplusplus
}
#endif
#endif
