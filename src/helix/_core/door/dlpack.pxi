# DLPack in and out (https://dmlc.github.io/dlpack): the structs are those of its published ABI 1.x.

cdef extern from *:
    """
    typedef struct { uint32_t major, minor; } door_dl_version;
    typedef struct { int32_t device_type, device_id; } door_dl_device;
    typedef struct { uint8_t code, bits; uint16_t lanes; } door_dl_dtype;
    typedef struct {
        void *data;
        door_dl_device device;
        int32_t ndim;
        door_dl_dtype dtype;
        int64_t *shape, *strides;
        uint64_t byte_offset;
    } door_dl_tensor;
    typedef struct door_dl_managed {
        door_dl_tensor tensor;
        void *manager;
        void (*deleter)(struct door_dl_managed *);
    } door_dl_managed;
    typedef struct door_dl_versioned {
        door_dl_version version;
        void *manager;
        void (*deleter)(struct door_dl_versioned *);
        uint64_t flags;
        door_dl_tensor tensor;
    } door_dl_versioned;
    """
    ctypedef struct door_dl_version:
        uint32_t major, minor
    ctypedef struct door_dl_device:
        int32_t device_type, device_id
    ctypedef struct door_dl_dtype:
        uint8_t code, bits
        uint16_t lanes
    ctypedef struct door_dl_tensor:
        void *data
        door_dl_device device
        int32_t ndim
        door_dl_dtype dtype
        int64_t *shape
        int64_t *strides
        uint64_t byte_offset
    ctypedef struct door_dl_managed:
        door_dl_tensor tensor
        void *manager
        void (*deleter)(door_dl_managed *) noexcept
    ctypedef struct door_dl_versioned:
        door_dl_version version
        void *manager
        void (*deleter)(door_dl_versioned *) noexcept
        uint64_t flags
        door_dl_tensor tensor

cdef enum:
    DL_CPU = 1
    DL_READ_ONLY = 1
    DL_IS_COPIED = 2
    DL_INT = 0
    DL_UINT = 1
    DL_FLOAT = 2
    DL_BFLOAT = 4
    DL_COMPLEX = 5
    DL_BOOL = 6


# One allocation holds both forms' fields; the sizes are copied because consumers may outlive the tensor's object.
cdef struct Export:
    door_dl_managed plain
    door_dl_versioned versioned
    hx_tensor *source
    int64_t shape[HX_MAX_RANK]
    int64_t strides[HX_MAX_RANK]


cdef void delete_export(Export *e) noexcept with gil:
    hx_tensor_release(e.source)
    PyMem_Free(e)


cdef void delete_plain(door_dl_managed *m) noexcept:
    if m != NULL:
        delete_export(<Export *>m.manager)


cdef void delete_versioned(door_dl_versioned *m) noexcept:
    if m != NULL:
        delete_export(<Export *>m.manager)


cdef void close_plain(object capsule) noexcept:
    if PyCapsule_IsValid(capsule, "dltensor"):
        delete_plain(<door_dl_managed *>PyCapsule_GetPointer(capsule, "dltensor"))


cdef void close_versioned(object capsule) noexcept:
    if PyCapsule_IsValid(capsule, "dltensor_versioned"):
        delete_versioned(<door_dl_versioned *>PyCapsule_GetPointer(capsule, "dltensor_versioned"))


cdef door_dl_dtype dlpack_dtype(hx_dtype t) noexcept:
    cdef door_dl_dtype d
    cdef hx_kind kind = hx_dtype_kind(t)
    d.lanes = 1
    d.bits = <uint8_t>(8 * hx_dtype_size(t))
    if t == HX_BF16:
        d.code = DL_BFLOAT
    elif kind == HX_KIND_BOOL:
        d.code = DL_BOOL
    elif kind == HX_KIND_UINT:
        d.code = DL_UINT
    elif kind == HX_KIND_INT:
        d.code = DL_INT
    elif kind == HX_KIND_FLOAT:
        d.code = DL_FLOAT
    else:
        d.code = DL_COMPLEX
    return d


cdef int from_dlpack_dtype(door_dl_dtype d) noexcept:
    cdef int i
    cdef door_dl_dtype mine
    for i in range(HX_DTYPE_COUNT):
        mine = dlpack_dtype(<hx_dtype>i)
        if mine.code == d.code and mine.bits == d.bits and d.lanes == 1:
            return i
    return -1


cdef object dlpack_device(Tensor x):
    cdef hx_device_info info
    cdef hx_err err
    cdef hx_device *d = x.t.device
    if d == hx_cpu():
        return (DL_CPU, 0)
    memset(&info, 0, sizeof(info))
    memset(&err, 0, sizeof(err))
    info.struct_size = sizeof(info)
    err.struct_size = sizeof(err)
    if d.backend.device_info(d.backend.ctx, d.index, &info, &err) != HX_OK:
        fail(HX_E_DEVICE, HX1202_NO_DEVICE, "__dlpack__", err.msg.decode("utf-8", "replace"))
    return (info.dlpack_type, d.index)


cdef object export_dlpack(Tensor x, object stream, object max_version, object dl_device, object copy):
    cdef Export *e
    cdef bint copied = False
    cdef bint versioned = max_version is not None and max_version[0] >= 1
    device = dlpack_device(x)
    if hx_requires_grad(x.t):
        raise BufferError("a tensor that requires grad cannot be exported; use x.detach()")
    if x.t.storage == NULL:
        raise BufferError("the values of a traced tensor are not known")
    if dl_device is not None and tuple(dl_device) != device:
        if tuple(dl_device) != (DL_CPU, 0) or copy is False:
            raise BufferError(f"the tensor is on {x.device}; it cannot be exported to DLPack device {tuple(dl_device)}")
        x = copy_to_device(x, "cpu")
        device = (DL_CPU, 0)
        copied = True
    if stream is not None and device[0] == DL_CPU and stream != -1:
        raise BufferError("the CPU has no streams: stream must be None")
    if copy and not copied:
        x = OPS["clone"](x)
        copied = True
    if x.t.storage.read_only and not versioned:
        raise BufferError("read-only memory needs DLPack 1.0: pass max_version=(1, 0)")
    e = <Export *>PyMem_Malloc(sizeof(Export))
    if e == NULL:
        raise MemoryError
    fill_export(e, x, device[0], device[1])
    e.versioned.flags = (DL_READ_ONLY if x.t.storage.read_only else 0) | (DL_IS_COPIED if copied else 0)
    try:
        if versioned:
            return PyCapsule_New(&e.versioned, "dltensor_versioned", close_versioned)
        return PyCapsule_New(&e.plain, "dltensor", close_plain)
    except BaseException:
        delete_export(e)
        raise


cdef void fill_export(Export *e, Tensor x, int device_type, int device_id) noexcept:
    cdef hx_tensor *t = x.t
    cdef int i
    memset(e, 0, sizeof(Export))
    e.source = hx_tensor_retain(t)
    for i in range(t.ndim):
        e.shape[i] = t.shape[i]
        e.strides[i] = t.strides[i]
    e.plain.tensor.data = t.data if t.data != NULL else t.storage.mem.host_ptr
    e.plain.tensor.device.device_type = device_type
    e.plain.tensor.device.device_id = device_id
    e.plain.tensor.ndim = t.ndim
    e.plain.tensor.dtype = dlpack_dtype(<hx_dtype>t.dtype)
    e.plain.tensor.shape = e.shape
    e.plain.tensor.strides = e.strides
    e.plain.manager = e
    e.plain.deleter = delete_plain
    e.versioned.version.major = 1
    e.versioned.version.minor = 0
    e.versioned.tensor = e.plain.tensor
    e.versioned.manager = e
    e.versioned.deleter = delete_versioned


# ---- import ----

cdef void release_plain(void *owner) noexcept with gil:
    cdef door_dl_managed *m = <door_dl_managed *>owner
    if m.deleter != NULL:
        m.deleter(m)


cdef void release_versioned(void *owner) noexcept with gil:
    cdef door_dl_versioned *m = <door_dl_versioned *>owner
    if m.deleter != NULL:
        m.deleter(m)


def from_dlpack(x, /, *, device=None, copy=None):
    """A tensor over the memory of any object with `__dlpack__`."""
    cdef object capsule
    if PyCapsule_CheckExact(x):
        capsule = x
    else:
        kind = x.__dlpack_device__()[0]
        options = {"max_version": (1, 0)}
        if copy is not None:
            options["copy"] = copy
        if kind != DL_CPU:
            options["dl_device"] = (DL_CPU, 0)
        try:
            capsule = x.__dlpack__(**options)
        except TypeError:
            capsule = x.__dlpack__()
    return on_device(import_capsule(capsule), device)


cdef Tensor import_capsule(object capsule):
    cdef door_dl_versioned *v
    cdef door_dl_managed *m
    cdef Tensor made
    if PyCapsule_IsValid(capsule, "dltensor_versioned"):
        v = <door_dl_versioned *>PyCapsule_GetPointer(capsule, "dltensor_versioned")
        if v.version.major != 1:
            fail(HX_E_VERSION, 1801, "from_dlpack", f"DLPack {v.version.major}.{v.version.minor} is not understood; helix reads 1.x.")
        made = import_tensor(&v.tensor, v.flags & DL_READ_ONLY, release_versioned, v)
        PyCapsule_SetName(capsule, "used_dltensor_versioned")
        return made
    if PyCapsule_IsValid(capsule, "dltensor"):
        m = <door_dl_managed *>PyCapsule_GetPointer(capsule, "dltensor")
        made = import_tensor(&m.tensor, False, release_plain, m)
        PyCapsule_SetName(capsule, "used_dltensor")
        return made
    fail(HX_E_TYPE, HX1103_ARGUMENT, "from_dlpack", "the object gave no DLPack capsule, or one that was used before.")


cdef Tensor import_tensor(door_dl_tensor *d, bint read_only, void (*release)(void *) noexcept nogil, void *owner):
    cdef int64_t strides[HX_MAX_RANK]
    cdef int64_t low = 0, high = 0, size
    cdef hx_tensor *made = NULL
    cdef int i, code = from_dlpack_dtype(d.dtype)
    cdef char *data = <char *>d.data + d.byte_offset
    if d.device.device_type != DL_CPU:
        fail(HX_E_DEVICE, HX1202_NO_DEVICE, "from_dlpack", f"the memory is on DLPack device type {d.device.device_type}, not on the CPU.")
    if code < 0:
        fail(HX_E_DTYPE, HX1101_DTYPE, "from_dlpack",
             f"DLPack dtype (code {d.dtype.code}, {d.dtype.bits} bits, {d.dtype.lanes} lanes) has no helix dtype.")
    if d.ndim < 0 or d.ndim > HX_MAX_RANK:
        fail(HX_E_SHAPE, 1001, "from_dlpack", f"a tensor has at most {HX_MAX_RANK} dimensions, got {d.ndim}.")
    size = hx_dtype_size(<hx_dtype>code)
    if d.strides == NULL:
        hx_row_major(d.shape, d.ndim, strides)
    else:
        for i in range(d.ndim):
            strides[i] = d.strides[i]
    check(hx_extent(d.shape, strides, d.ndim, &low, &high))
    check(hx_tensor_wrap(hx_cpu(), data + low * size, (high - low) * size, read_only, <hx_dtype>code, d.shape, strides,
                         d.ndim, -low, release, owner, &made))
    return wrap(made)
