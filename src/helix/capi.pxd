# helix for Cython: `from helix.capi cimport helix_import, helix_table`. Declarations of helix/api.h and nothing else, so that
# no signature is checked by its text and no object's layout is trusted.

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uint64_t, uint8_t

cdef extern from "helix/api.h" nogil:
    ctypedef int32_t hx_code
    enum: HX_OK, HX_E_SHAPE, HX_E_DTYPE, HX_E_DEVICE, HX_E_INDEX, HX_E_VALUE, HX_E_OVERFLOW, HX_E_MEMORY, HX_E_GRADIENT
    enum: HX_E_UNSUPPORTED, HX_E_TYPE, HX_E_TRACE, HX_E_DEVICE_LOST, HX_E_COMPILE, HX_E_TIMEOUT, HX_E_VERSION
    enum: HX_E_CALLBACK, HX_E_INTERNAL, HX_MAX_RANK, HX_MAX_RESULTS
    ctypedef enum hx_dtype:
        HX_BOOL, HX_I8, HX_I16, HX_I32, HX_I64, HX_U8, HX_U16, HX_U32, HX_U64, HX_F16, HX_BF16, HX_F32, HX_F64
        HX_C64, HX_C128
    ctypedef struct hx_err:
        int32_t number
        char msg[1000]
    ctypedef struct hx_attr:
        uint32_t kind, count
        int64_t integer "v.i"  # HX_A_INT, HX_A_BOOL, HX_A_DTYPE
        double number "v.f"
        const int64_t *integers "v.ints"
        const char *text "v.str"
    enum: HX_A_NONE, HX_A_BOOL, HX_A_INT, HX_A_FLOAT, HX_A_INTS, HX_A_DTYPE, HX_A_STR
    ctypedef struct hx_view:
        void *data
        const int64_t *shape
        const int64_t *strides
        int64_t numel
        uint8_t dtype, ndim, contiguous, flags
    ctypedef struct hx_op_call:
        uint32_t n_in, n_out, n_attr
        const hx_view *inputs "in"
        const hx_view *out
        const hx_attr *attr
    ctypedef hx_code (*hx_kernel)(void *dev, void *stream, const hx_op_call *call, hx_err *err) noexcept nogil
    ctypedef struct hx_backend
    ctypedef struct hx_tensor
    ctypedef struct hx_op
    ctypedef struct DLManagedTensorVersioned "struct DLManagedTensorVersioned"
    ctypedef struct hx_named:
        const char *name
        hx_attr value
    hx_named hx_named_int(const char *name, int64_t value)
    hx_named hx_named_float(const char *name, double value)
    hx_named hx_named_bool(const char *name, int value)
    hx_named hx_named_dtype(const char *name, hx_dtype value)
    hx_named hx_named_ints(const char *name, const int64_t *values, uint32_t n)
    hx_named hx_named_str(const char *name, const char *text)

    enum: HX_PARAM_TENSOR, HX_PARAM_OPT_TENSOR, HX_PARAM_BOOL, HX_PARAM_INT, HX_PARAM_OPT_INT, HX_PARAM_FLOAT
    enum: HX_PARAM_OPT_FLOAT, HX_PARAM_INTS, HX_PARAM_OPT_INTS, HX_PARAM_DTYPE, HX_PARAM_OPT_DTYPE, HX_PARAM_STRING
    enum: HX_PARAM_REQUIRED, HX_PARAM_KEYWORD
    ctypedef struct hx_param_def:
        uint32_t kind, flags
        const char *name
        double number
        const char *text
        const char *choices
    enum: HX_RULE_OWN, HX_RULE_SAME, HX_RULE_FLOAT, HX_RULE_BROADCAST, HX_RULE_COMPARE
    ctypedef struct hx_meta:
        int32_t dtype, ndim
        int64_t shape[16]
    ctypedef struct hx_args:
        uint32_t n_in, n_out, n_attr
        hx_tensor *const *inputs "in"
        hx_tensor *const *out
        const hx_attr *attr
        hx_tensor *const *gradient
        const uint8_t *wanted
    ctypedef struct hx_shapes:
        int32_t compute
        hx_meta out[8]
    ctypedef struct hx_op_def:
        uint32_t struct_size, param_size
        const char *name
        const char *doc
        const char *outputs
        const hx_param_def *params
        uint32_t n_params, rule
        void *ctx
        hx_code (*shape)(void *ctx, const hx_args *args, hx_shapes *shapes, hx_err *err) noexcept nogil
        hx_code (*decompose)(void *ctx, const hx_args *args, hx_tensor **out, hx_err *err) noexcept nogil
        hx_kernel kernel
        uint64_t kernel_dtypes
        hx_code (*vjp)(void *ctx, const hx_args *args, hx_tensor **gradient, hx_err *err) noexcept nogil
        uint32_t saves_in, saves_out

    enum: HX_WRAP_READ_ONLY, HX_BACKWARD_RETAIN, HX_BACKWARD_CREATE, HX_BACKWARD_UNUSED
    ctypedef struct hx_api:
        uint32_t struct_size
        uint16_t abi_major, abi_minor
        const char *build
        hx_code (*tensor_empty)(const char *device, int32_t dtype, const int64_t *shape, int32_t ndim,
                hx_tensor **out) noexcept nogil
        hx_code (*tensor_from_data)(const char *device, int32_t dtype, const int64_t *shape, int32_t ndim,
                const void *data, hx_tensor **out) noexcept nogil
        hx_code (*tensor_wrap)(void *data, int32_t dtype, const int64_t *shape, const int64_t *strides,
                int32_t ndim, uint32_t flags, void (*release)(void *) noexcept nogil, void *owner,
                hx_tensor **out) noexcept nogil
        hx_tensor *(*tensor_retain)(hx_tensor *t) noexcept nogil
        void (*tensor_release)(hx_tensor *t) noexcept nogil
        int32_t (*tensor_dtype)(const hx_tensor *t) noexcept nogil
        int32_t (*tensor_ndim)(const hx_tensor *t) noexcept nogil
        const int64_t *(*tensor_shape)(const hx_tensor *t) noexcept nogil
        const int64_t *(*tensor_strides)(const hx_tensor *t) noexcept nogil
        int64_t (*tensor_numel)(const hx_tensor *t) noexcept nogil
        const char *(*tensor_device)(const hx_tensor *t) noexcept nogil
        void *(*tensor_data_host)(const hx_tensor *t) noexcept nogil
        int32_t (*tensor_is_contiguous)(const hx_tensor *t) noexcept nogil
        hx_code (*tensor_contiguous)(hx_tensor *t, hx_tensor **out) noexcept nogil
        hx_code (*tensor_to_device)(hx_tensor *t, const char *device, hx_tensor **out) noexcept nogil
        hx_code (*tensor_read)(const hx_tensor *t, void *host, uint64_t nbytes) noexcept nogil
        hx_code (*tensor_from_dlpack)(DLManagedTensorVersioned *managed, hx_tensor **out) noexcept nogil
        hx_code (*tensor_to_dlpack)(hx_tensor *t, DLManagedTensorVersioned **out) noexcept nogil
        hx_code (*call_op)(const char *name, hx_tensor *const *inputs, uint32_t n_in, const hx_named *attr,
                uint32_t n_attr, hx_tensor **out, uint32_t n_out) noexcept nogil
        const hx_op *(*op_find)(const char *name) noexcept nogil
        hx_code (*op_call)(const hx_op *op, hx_tensor *const *inputs, uint32_t n_in, const hx_named *attr,
                uint32_t n_attr, hx_tensor **out, uint32_t n_out) noexcept nogil
        hx_code (*register_op)(const hx_op_def *definition) noexcept nogil
        hx_tensor *(*keep)(hx_tensor *owned) noexcept nogil
        hx_code (*backward)(hx_tensor *const *roots, hx_tensor *const *gradients, uint32_t n_roots,
                uint32_t flags) noexcept nogil
        hx_code (*grad)(hx_tensor *const *roots, hx_tensor *const *gradients, uint32_t n_roots,
                hx_tensor *const *inputs, uint32_t n_inputs, uint32_t flags, hx_tensor **out) noexcept nogil
        int32_t (*tensor_requires_grad)(const hx_tensor *t) noexcept nogil
        hx_code (*tensor_set_requires_grad)(hx_tensor *t, int32_t wanted) noexcept nogil
        hx_tensor *(*tensor_gradient)(const hx_tensor *t) noexcept nogil
        void (*tensor_clear_gradient)(hx_tensor *t) noexcept nogil
        int32_t (*no_grad_enter)() noexcept nogil
        void (*no_grad_leave)(int32_t before) noexcept nogil
        hx_code (*register_backend)(const hx_backend *backend, const char *library_dir) noexcept nogil
        hx_code (*current_stream)(const char *device, uint64_t *native) noexcept nogil
        hx_code (*synchronize)(const char *device) noexcept nogil
        hx_code (*error_code)() noexcept nogil
        int32_t (*error_number)() noexcept nogil
        const char *(*error_text)() noexcept nogil
        void (*error_clear)() noexcept nogil
        PyObject *(*to_python)(hx_tensor *t) except NULL
        hx_tensor *(*from_python)(PyObject *o) except NULL
        PyObject *(*raise_error)() except NULL
    const hx_api *helix_table()

cdef extern from "helix/api.h":
    int helix_import() except -1
