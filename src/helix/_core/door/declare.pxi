# What the door uses of the C core.

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "<stdbool.h>" nogil:
    ctypedef bint c_bool "bool"

cdef extern from "helix/backend.h" nogil:
    ctypedef int32_t hx_code
    enum: HX_OK, HX_E_SHAPE, HX_E_DTYPE, HX_E_DEVICE, HX_E_INDEX, HX_E_VALUE, HX_E_OVERFLOW, HX_E_MEMORY, HX_E_GRADIENT
    enum: HX_E_UNSUPPORTED, HX_E_TYPE, HX_E_TRACE, HX_E_DEVICE_LOST, HX_E_COMPILE, HX_E_TIMEOUT, HX_E_VERSION
    enum: HX_E_CALLBACK, HX_E_INTERNAL
    enum: HX_MAX_RANK
    ctypedef enum hx_dtype:
        HX_BOOL, HX_I8, HX_I16, HX_I32, HX_I64, HX_U8, HX_U16, HX_U32, HX_U64, HX_F16, HX_BF16, HX_F32, HX_F64
        HX_C64, HX_C128, HX_DTYPE_COUNT
    ctypedef struct hx_err:
        uint32_t struct_size
        hx_code code
        int32_t number
        int64_t native_code
        char msg[1000]
    ctypedef struct hx_mem:
        uint64_t handle
        void *host_ptr
        uint64_t nbytes
        uint32_t kind, flags
    enum: HX_MEM_DEVICE, HX_MEM_PINNED
    ctypedef struct hx_view:
        const hx_mem *mem
        void *data
        int64_t byte_offset
        const int64_t *shape
        const int64_t *strides
        int64_t numel
        uint8_t dtype, ndim, contiguous, flags
    enum: HX_VIEW_ABSENT, HX_VIEW_HOST_SCALAR
    ctypedef struct hx_attr_rng:
        uint64_t seed
        uint64_t stream
    ctypedef union hx_attr_value:
        int64_t i
        double f
        double c[2]
        const int64_t *ints
        const double *floats
        const char *str
        hx_attr_rng rng
    ctypedef struct hx_attr:
        uint32_t kind
        uint32_t count
        hx_attr_value v
    enum: HX_A_NONE, HX_A_BOOL, HX_A_INT, HX_A_FLOAT, HX_A_COMPLEX, HX_A_INTS, HX_A_FLOATS, HX_A_DTYPE, HX_A_STR, HX_A_RNG
    ctypedef struct hx_op_call:
        uint32_t struct_size
        uint32_t n_in, n_out, n_attr
        const char *op
        const hx_view *in_ "in"
        const hx_view *out
        const hx_attr *attr
        const char *const *attr_names
    ctypedef hx_code (*hx_kernel)(void *dev, void *stream, const hx_op_call *call, hx_err *err) noexcept
    enum: HX_NO, HX_YES, HX_YES_IF_CONTIGUOUS, HX_ASK
    ctypedef struct hx_op_support:
        uint32_t struct_size, verdict
        hx_kernel kernel
        uint64_t dtypes
        uint32_t deterministic
    ctypedef struct hx_device_info:
        uint32_t struct_size
        int32_t dlpack_type
        char name[128]
        char arch[64]
        char uuid[40]
        uint64_t total_memory
        uint64_t caps
        uint64_t dtypes
        uint32_t max_group, subgroup, shared_bytes, alignment, compute_units, vector_bytes
        char source_kind[16]
        uint64_t arithmetic
        uint32_t max_grid[3]
        uint32_t max_buffers
    enum: HX_CAP_HOST_ADDRESSABLE, HX_CAP_STREAM_ORDERED_ALLOC, HX_CAP_THREAD_SAFE, HX_CAP_EMULATED, HX_CAP_UNIFIED
    ctypedef struct hx_copy:
        uint32_t struct_size
        const hx_mem *src
        const hx_mem *dst
        const void *host_src
        void *host_dst
        uint64_t src_offset, dst_offset, nbytes
        uint64_t rows, src_pitch, dst_pitch
    ctypedef struct hx_source:
        uint32_t struct_size
        uint32_t n_buffers, n_scalars
        const char *kind
        const char *text
        uint64_t length
        const char *entry
        const char *options
        const uint8_t *scalar_dtypes
        uint32_t group[3]
        uint32_t flags
    enum: HX_SOURCE_EXACT
    ctypedef struct hx_launch:
        uint32_t struct_size
        uint32_t n_buffers, n_scalars
        uint32_t shared_bytes
        uint32_t grid[3]
        uint32_t group[3]
        const hx_mem *const *buffers
        const uint64_t *scalars
        const uint8_t *scalar_dtypes
        const char *name
    ctypedef struct hx_host
    enum: HX_REACH_NO, HX_REACH_COPY
    ctypedef struct hx_backend:
        uint32_t struct_size
        uint16_t abi_major, abi_minor
        const char *name
        const char *version
        void *ctx
        hx_code (*init)(void *ctx, const hx_host *host, const char *library_dir, hx_err *err) noexcept
        int32_t (*device_count)(void *ctx) noexcept
        hx_code (*device_info)(void *ctx, int32_t index, hx_device_info *info, hx_err *err) noexcept
        hx_code (*device_open)(void *ctx, int32_t index, void **dev, hx_err *err) noexcept
        void (*device_close)(void *dev) noexcept
        hx_code (*mem_alloc)(void *dev, uint64_t nbytes, uint32_t kind, hx_mem *mem, hx_err *err) noexcept
        void (*mem_free)(void *dev, hx_mem *mem) noexcept
        hx_code (*mem_info)(void *dev, uint64_t *free_bytes, uint64_t *total_bytes) noexcept
        hx_code (*copy)(void *dev, void *stream, const hx_copy *copy, hx_err *err) noexcept
        hx_code (*fill)(void *dev, void *stream, const hx_mem *mem, uint64_t offset, uint64_t nbytes,
                        const void *pattern, uint32_t pattern_bytes, hx_err *err) noexcept
        hx_code (*sync)(void *dev, void *stream, hx_err *err) noexcept
        hx_code (*stream_create)(void *dev, void **stream, hx_err *err) noexcept
        void (*stream_destroy)(void *dev, void *stream) noexcept
        uint64_t (*stream_native)(void *dev, void *stream) noexcept
        hx_code (*event_create)(void *dev, void **event, hx_err *err) noexcept
        void (*event_destroy)(void *dev, void *event) noexcept
        hx_code (*event_record)(void *dev, void *event, void *stream, hx_err *err) noexcept
        hx_code (*event_query)(void *dev, void *event, int32_t *done, hx_err *err) noexcept
        hx_code (*event_sync)(void *dev, void *event, hx_err *err) noexcept
        hx_code (*stream_wait_event)(void *dev, void *stream, void *event, hx_err *err) noexcept
        hx_code (*program_load)(void *dev, const hx_source *source, void **program, hx_err *err) noexcept
        void (*program_unload)(void *dev, void *program) noexcept
        hx_code (*launch)(void *dev, void *stream, void *program, const hx_launch *launch, hx_err *err) noexcept
        hx_code (*op_query)(void *ctx, const char *op, hx_op_support *support) noexcept
        uint32_t (*op_check)(void *dev, const hx_op_call *call) noexcept
        hx_code (*op_run)(void *dev, void *stream, const hx_op_call *call, hx_err *err) noexcept
        uint32_t (*reach)(void *dev, const char *peer, int32_t peer_index) noexcept
        hx_code (*copy_peer)(void *dev, void *stream, const hx_copy *copy, const char *peer, void *peer_dev,
                             hx_err *err) noexcept
        hx_code (*mem_import)(void *dev, uint64_t native, uint64_t nbytes, hx_mem *mem, hx_err *err) noexcept
        uint64_t (*mem_export)(void *dev, const hx_mem *mem) noexcept
    const char *HX_BACKEND_CAPSULE
    const char *HX_BACKEND_SYMBOL
    enum: HX_ABI_MAJOR, HX_ABI_MINOR
    ctypedef const hx_backend *(*hx_backend_entry)() noexcept

cdef extern from "error.h" nogil:
    ctypedef hx_code hx_status
    enum: HX1003_BROADCAST, HX1006_INPLACE, HX1101_DTYPE, HX1102_CAST, HX1103_ARGUMENT, HX1202_NO_DEVICE, HX1301_INDEX
    enum: HX1302_AXIS, HX1303_INDEXING, HX1401_OVERFLOW, HX1403_VALUE, HX1501_VERSION, HX1503_NO_GRAD, HX1504_LEAF
    enum: HX1405_LINALG, HX1505_GRAD_SHAPE, HX1506_INFERENCE, HX1702_TRACE, HX1901_INTERNAL, HX1402_MEMORY, HX1701_UNSUPPORTED, HX1801_PLUGIN
    hx_status hx_fail(hx_code code, int number, const char *format, ...)
    ctypedef struct hx_kept_facts:
        char argument[32]
        char expected[120]
        char got[120]
        bint on_axis
        int64_t axis
    ctypedef struct hx_error:
        hx_code code
        int number
        hx_kept_facts facts
        char op[64]
        char text[1000]
    const hx_error *hx_error_last()
    bint hx_error_pending()
    void hx_error_clear()
    const char *hx_error_enter_op(const char *op)
    const char *hx_error_explain(int number)
    int hx_error_number_at(int index)

cdef extern from "dtype.h" nogil:
    ctypedef enum hx_kind:
        HX_KIND_BOOL, HX_KIND_UINT, HX_KIND_INT, HX_KIND_FLOAT, HX_KIND_COMPLEX
    size_t hx_dtype_size(hx_dtype t)
    hx_kind hx_dtype_kind(hx_dtype t)
    const char *hx_dtype_name(hx_dtype t)
    int hx_dtype_from_name(const char *name)
    bint hx_is_floating(hx_dtype t)
    bint hx_is_complex(hx_dtype t)
    bint hx_is_integral(hx_dtype t)
    bint hx_is_differentiable(hx_dtype t)
    hx_dtype hx_real_of(hx_dtype t)
    hx_dtype hx_complex_of(hx_dtype t)
    hx_dtype hx_promote(hx_dtype a, hx_dtype b)
    ctypedef struct hx_operand:
        hx_dtype dtype
        bint rank0
        bint number
    hx_dtype hx_result_type(const hx_operand *operands, int n, hx_dtype default_float)
    bint hx_can_cast(hx_dtype a, hx_dtype b)
    hx_dtype hx_default_float()
    void hx_set_default_float(hx_dtype t)
    float hx_f16_to_f32(uint16_t bits)
    uint16_t hx_f32_to_f16(float value)
    float hx_bf16_to_f32(uint16_t bits)
    uint16_t hx_f32_to_bf16(float value)

cdef extern from "shape.h" nogil:
    bint hx_mul_ok(int64_t a, int64_t b, int64_t *r)
    hx_status hx_numel(const int64_t *shape, int ndim, int64_t *numel)
    void hx_row_major(const int64_t *shape, int ndim, int64_t *strides)
    hx_status hx_extent(const int64_t *shape, const int64_t *strides, int ndim, int64_t *low, int64_t *high)
    hx_status hx_axis(int64_t axis, int ndim, int *result)
    hx_status hx_broadcast_into(int64_t *r, int *r_ndim, const int64_t *b, int b_ndim)

cdef extern from "storage.h" nogil:
    ctypedef struct hx_device:
        const hx_backend *backend
        void *handle
        int32_t index
        int32_t id
        bint host_addressable
        char name[32]
    ctypedef struct hx_storage:
        uint32_t version, lent
        hx_device *device
        hx_mem mem
        bint read_only
    hx_storage *hx_storage_retain(hx_storage *s)
    void hx_storage_release(hx_storage *s)
    void hx_storage_lend(hx_storage *s)
    void hx_storage_return(hx_storage *s)
    ctypedef struct hx_memory_stats:
        int64_t live_bytes, peak_bytes, cached_bytes, limit_bytes
        int64_t live_tensors, live_nodes, live_blocks, allocations, from_system
    void hx_memory_get(hx_memory_stats *stats)
    void hx_memory_reset_peak()
    void hx_memory_set_limit(int64_t nbytes)
    void hx_memory_empty_cache()
    void hx_memory_fail_at(int64_t n, bint persistent)
    int64_t hx_memory_allocation_count()

cdef extern from "tensor.h" nogil:
    ctypedef struct hx_node
    ctypedef struct hx_hook
    ctypedef struct hx_tensor:
        uint8_t dtype
        uint8_t ndim
        uint8_t flags
        int32_t output_number
        hx_storage *storage
        hx_device *device
        void *data
        int64_t offset
        int64_t numel
        hx_node *history
        hx_tensor *gradient
        hx_tensor *base
        uint32_t base_writes
        uint32_t writes
        hx_hook *hooks
        void *wrapper
        int64_t *shape
        int64_t *strides
    enum: HX_T_REQUIRES_GRAD, HX_T_CONTIGUOUS, HX_T_NUMBER, HX_T_INFERENCE, HX_T_RETAIN_GRAD
    ctypedef struct hx_spec:
        uint8_t dtype
        uint8_t ndim
        int64_t *shape
    bint hx_requires_grad(const hx_tensor *t)
    bint hx_contiguous(const hx_tensor *t)
    hx_status hx_tensor_empty(hx_device *device, hx_dtype dtype, const int64_t *shape, int ndim, hx_tensor **out)
    hx_status hx_tensor_view(hx_storage *storage, hx_dtype dtype, const int64_t *shape, const int64_t *strides, int ndim,
                             int64_t offset, hx_tensor **out)
    hx_status hx_tensor_alias(const hx_tensor *t, hx_tensor **out)
    hx_status hx_tensor_wrap(hx_device *device, void *data, int64_t nbytes, bint read_only, hx_dtype dtype,
                             const int64_t *shape, const int64_t *strides, int ndim, int64_t offset,
                             void (*release)(void *) noexcept, void *owner, hx_tensor **out)
    hx_status hx_tensor_from_bool(bint value, hx_tensor **out)
    hx_status hx_tensor_from_int(int64_t value, hx_tensor **out)
    hx_status hx_tensor_from_float(double value, hx_tensor **out)
    hx_status hx_tensor_from_complex(double re, double im, hx_tensor **out)
    hx_tensor *hx_tensor_retain(hx_tensor *t)
    void hx_tensor_release(hx_tensor *t)
    ctypedef union hx_scalar_value:
        int64_t i
        uint64_t u
        double f
        double c[2]
    ctypedef struct hx_scalar:
        hx_kind kind
        hx_scalar_value v
    hx_status hx_tensor_item(const hx_tensor *t, hx_scalar *value)
    hx_status hx_tensor_read(const hx_tensor *t, void *host, int64_t nbytes)
    const char *hx_tensor_text(const hx_tensor *t)
    void hx_bump_version(hx_tensor *t)

cdef extern from "op.h" nogil:
    enum: HX_MAX_PARAMS, HX_MAX_OUTPUTS
    enum hx_param_kind:
        HX_P_END, HX_P_TENSOR, HX_P_OPT_TENSOR, HX_P_TENSORS, HX_P_BOOL, HX_P_INT, HX_P_OPT_INT, HX_P_FLOAT
        HX_P_OPT_FLOAT, HX_P_NUMBER, HX_P_OPT_NUMBER, HX_P_INTS, HX_P_OPT_INTS, HX_P_FLOATS, HX_P_DTYPE
        HX_P_OPT_DTYPE, HX_P_STRING, HX_P_RNG
    ctypedef struct hx_param:
        const char *name
        hx_param_kind kind
        bint required
        double number
        const char *text
        const char *choices
        uint8_t flags
    enum: HX_PF_KEYWORD, HX_PF_VARARGS, HX_PF_HOLES
    ctypedef struct hx_op_info:
        int id
        int n_params, n_tensors, n_attr, n_outputs
        int list_at, rng_attr
        const hx_attr *defaults
        const char **attr_names
    ctypedef struct hx_op:
        const char *name
        const hx_param *params
        const char *doc
        const char *outputs
        void *shape
        void *vjp
        void *decompose
        uint32_t saves
        uint32_t flags
        uint64_t grad_dtypes
        const char *aliases
        uint8_t groups
        uint8_t writes
        const hx_op_info *info
    ctypedef struct hx_call:
        const hx_op *op
        hx_tensor **in_ "in"
        int n_in, n_attr, n_out, list_at, list_n
        bint inplace, has_out, parts
        hx_attr *attr
        hx_spec *spec
        hx_tensor **out
        hx_device *device
    enum: HX_PRIMITIVE, HX_NON_DIFF, HX_GRAD_ERROR, HX_VIEW, HX_INPLACE, HX_ALIAS_OK, HX_METHOD, HX_FUNCTION, HX_NN, HX_FFT, HX_SPECIAL, HX_LINALG
    enum: HX_LIKE, HX_VALUES, HX_MUTATES, HX_CREATES, HX_OUT, HX_RANDOM, HX_INTERNAL_OP, HX_NONDIFF_OUT1
    const hx_op *hx_op_find(const char *name)
    int hx_op_count()
    const hx_op *hx_op_at(int i)

cdef extern from "autocast.h" nogil:
    void hx_autocast_enter()
    void hx_autocast_leave()
    bint hx_autocast_keep(bint kept)

cdef extern from "dispatch.h" nogil:
    hx_status hx_dispatch(hx_call *c)
    void hx_call_init(hx_call *c, const hx_op *op)
    bint hx_grad_enabled()
    bint hx_grad_set(bint enabled)
    bint hx_inference_enabled()
    void hx_follow_base(hx_tensor *view, hx_tensor *source)
    bint hx_inference_set(bint enabled)
    ctypedef struct hx_thread_mode:
        int8_t autocast[2]
        void *saver
        void *trace
    hx_thread_mode hx_mode
    hx_status hx_contiguous_of(hx_tensor *t, hx_tensor **out)
    hx_status hx_cast_to(hx_tensor *t, hx_dtype dtype, hx_tensor **out)
    hx_status hx_copy_into(hx_tensor *dst, hx_tensor *src)
    hx_device *hx_cpu()
    hx_status hx_device_find(const char *name, hx_device **out)
    int hx_device_count()
    hx_device *hx_device_at(int i)
    void hx_devices_close()
    hx_status hx_backend_register(const hx_backend *backend, const char *library_dir)
    int hx_backend_count()
    const hx_backend *hx_backend_at(int i)
    hx_status hx_init()
    int64_t hx_kernels_run()

cdef extern from "autograd.h" nogil:
    ctypedef struct hx_edge:
        hx_node *node
        hx_tensor *leaf
        int32_t number
    ctypedef struct hx_custom:
        hx_status (*backward)(void *ctx, hx_tensor **g, int n_out, const c_bool *need, hx_tensor **gin, int n_in) noexcept
        c_bool (*forget)(void *ctx) noexcept
        void (*release)(void *ctx) noexcept
        void *ctx
        const char *name
    ctypedef struct hx_node:
        const hx_op *op
        int32_t n_in, n_out
        bint freed
        hx_edge *edges
        hx_custom custom
    hx_status hx_record_custom(const hx_custom *custom, hx_tensor **inputs, int n_in, hx_tensor **out, int n_out)
    ctypedef struct hx_backward_options:
        bint retain_graph, create_graph, allow_unused, accumulate
    hx_status hx_backward(hx_tensor **roots, hx_tensor **gradients, int n_roots, hx_tensor **inputs, int n_inputs,
                          hx_tensor **results, const hx_backward_options *options)
    hx_status hx_edge_of(hx_tensor *t, hx_edge *edge)
    hx_status hx_hook_add(hx_tensor *t, hx_status (*call)(void *, hx_tensor **) noexcept, void (*release)(void *) noexcept,
                          void *ctx, uint64_t *id)
    bint hx_hook_remove(hx_tensor *t, uint64_t id)
    hx_status hx_retain_grad(hx_tensor *t)
    hx_status hx_tensor_require_grad(hx_tensor *t, bint wanted)
    ctypedef struct hx_saver_hooks:
        hx_status (*pack)(void *, hx_tensor *, void **) noexcept
        hx_status (*unpack)(void *, hx_tensor **) noexcept
        void (*release)(void *) noexcept
    void hx_saver_set_hooks(const hx_saver_hooks *hooks)
    ctypedef struct hx_anomaly:
        void *(*note)() noexcept
        void (*release)(void *where) noexcept
        const char *(*text)(void *where) noexcept
    bint hx_anomaly_set(bint enabled)
    void hx_anomaly_hooks(const hx_anomaly *hooks)
    void hx_node_release(hx_node *n)
    hx_node *hx_node_retain(hx_node *n)

cdef extern from "profile.h" nogil:
    ctypedef struct hx_profile_shape:
        uint8_t dtype, ndim
        int64_t size[8]
    ctypedef struct hx_profile_event:
        const hx_op *op
        const hx_device *device
        int64_t start, nanoseconds, bytes_read, bytes_written
        int32_t place, thread
        bint backward
        hx_profile_shape input "in"[4]
        hx_profile_shape out
    void hx_profile_set(bint on, hx_status (*place)(int32_t *) noexcept)
    int64_t hx_profile_now()
    int64_t hx_profile_count()
    int64_t hx_profile_lost()
    bint hx_profile_at(int64_t i, hx_profile_event *out)
    void hx_profile_clear()

cdef extern from "trace.h" nogil:
    ctypedef struct hx_trace
    ctypedef struct hx_trace_call:
        const hx_op *op
        int n_in, n_out, n_attr, list_at, list_n
        int32_t region, place
        bint into, view, no_grad
        bint packs
        uint8_t groups
        hx_device *device
        int32_t *in_ "in"
        int32_t *out
        hx_attr *attr
        hx_spec *spec
    ctypedef struct hx_trace_known:
        hx_tensor *tensor
        int origin
        int32_t shown
    ctypedef int32_t (*hx_trace_place)() noexcept
    hx_status hx_trace_new(hx_trace **out)
    void hx_trace_release(hx_trace *t)
    hx_status hx_trace_begin(hx_trace *t)
    void hx_trace_end(hx_trace *t)
    hx_trace *hx_trace_pause()
    void hx_trace_resume(hx_trace *t)
    bint hx_tracing()
    void hx_trace_set_place(hx_trace_place place)
    void hx_trace_lower(hx_trace *t)
    hx_status hx_trace_input(hx_trace *t, hx_device *device, hx_dtype dtype, const int64_t *shape, const int64_t *strides,
                             int ndim, hx_tensor **out)
    hx_status hx_trace_region(int32_t region, hx_tensor **inputs, int n_in, const hx_spec *spec, int n_out, hx_device *device,
                              hx_tensor **out)
    hx_status hx_trace_made(hx_tensor *x)
    hx_status hx_trace_readable(const hx_tensor *t)
    hx_status hx_trace_output(hx_trace *t, hx_tensor *x)
    int hx_trace_values(const hx_trace *t)
    hx_trace_known hx_trace_known_of(const hx_trace *t, int32_t v)
    int32_t hx_trace_number(const hx_trace *t, const hx_tensor *x)
    void hx_trace_watch(hx_trace *t)
    void hx_trace_look(hx_trace *t)
    int32_t hx_trace_gone(const hx_trace *t, int32_t v)
    void hx_trace_draw(hx_attr *a)
    int32_t hx_trace_draws(const hx_trace *t)
    int hx_trace_length(const hx_trace *t)
    const hx_trace_call *hx_trace_at(const hx_trace *t, int i)
    hx_status hx_trace_replay(hx_trace *t, hx_tensor **inputs, int n_inputs, hx_tensor **outputs, int n_outputs)

cdef extern from "fused.h" nogil:
    enum: HX_FUSED_OPERANDS, HX_FUSED_ATTRIBUTES
    ctypedef struct hx_fused_register:
        uint8_t dtype, ndim
        bint number
        int64_t *shape
    ctypedef struct hx_fused_step:
        const hx_op *op
        int n_in, n_attr, dims_at
        int *in_ "in"
        uint8_t *dtype
        hx_attr *attr
    ctypedef union hx_fused_number:
        int64_t i
        double f
    ctypedef struct hx_fused_result:
        int of
        bint dropped
    ctypedef struct hx_fused:
        int n_in, n_numbers, n_steps, n_results, axes, ndim
        bint leading
        int64_t *frame
        hx_fused_number *number
        hx_fused_register *made
        hx_fused_step *step
        hx_fused_result *result
    const char *hx_fused_op(int i, int *dims_at)
    hx_status hx_fused_read(hx_fused *f, int n_in, const hx_attr *program, const hx_attr *floats)

cdef extern from "rng.h" nogil:
    ctypedef struct hx_generator:
        uint64_t seed
        uint64_t next_stream
    hx_generator *hx_default_generator()
    hx_generator *hx_generator_choose(hx_generator *g)
    uint64_t hx_derived_seed(uint64_t seed, uint64_t stream, uint64_t index)
    void hx_generator_seed(hx_generator *g, uint64_t seed)
    uint64_t hx_generator_draw(hx_generator *g)

cdef extern from "threads.h" nogil:
    int hx_threads_get()
    void hx_threads_set(int n)
    uint32_t hx_threads_jobs()
    ctypedef struct hx_blocking:
        void *(*enter)() noexcept
        void (*leave)(void *token) noexcept
        c_bool (*stop)(void *token) noexcept
    void hx_set_blocking(const hx_blocking *hooks)
    void hx_whole_begin()
    void hx_whole_end()

cdef extern from "modes.h" nogil:
    ctypedef enum hx_determinism:
        HX_ANY_BITS, HX_WARN_OF_OTHER_BITS, HX_SAME_BITS
    hx_determinism hx_determinism_get()
    void hx_determinism_set(hx_determinism wanted)
    c_bool hx_batch_invariant()
    void hx_batch_invariant_set(c_bool on)

cdef extern from "cpu/cpu.h" nogil:
    const char *hx_cpu_isa()


cdef extern from "device.h":
    ctypedef struct hx_stream:
        hx_device *device
        void *native
        int number
    ctypedef struct hx_event
    ctypedef struct hx_device_memory:
        int64_t live_bytes, peak_bytes, cached_bytes, blocks, allocations
    hx_status hx_device_sync(hx_device *d)
    hx_stream *hx_stream_current(hx_device *d)
    hx_status hx_stream_new(hx_device *d, hx_stream **out)
    void hx_stream_retain(hx_stream *s)
    void hx_stream_release(hx_stream *s)
    hx_stream *hx_stream_use(hx_stream *s)
    hx_status hx_stream_sync(hx_stream *s)
    hx_status hx_stream_wait(hx_stream *s, hx_stream *other)
    hx_status hx_stream_wait_event(hx_stream *s, hx_event *e)
    hx_status hx_event_new(hx_device *d, hx_event **out)
    void hx_event_release(hx_event *e)
    hx_status hx_event_record(hx_event *e, hx_stream *s)
    hx_status hx_event_done(hx_event *e, c_bool *done)
    hx_status hx_event_sync(hx_event *e)
    void hx_device_memory_get(hx_device *d, hx_device_memory *memory)
    void hx_device_memory_reset_peak(hx_device *d)
    void hx_device_trim(hx_device *d)

cdef extern from "transfer.h":
    hx_status hx_tensor_to(hx_tensor *t, hx_device *target, hx_tensor **out)
