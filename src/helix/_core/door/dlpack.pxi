# DLPack in and out, as capsules; the forms themselves are made in dlpack.c.

cdef extern from "dlpack.h" nogil:
    ctypedef struct hx_dl_version:
        uint32_t major, minor
    ctypedef struct hx_dl_tensor:
        pass
    ctypedef struct hx_dl_managed:
        hx_dl_tensor tensor
        void (*deleter)(hx_dl_managed *) noexcept
    ctypedef struct hx_dl_versioned:
        hx_dl_version version
        void (*deleter)(hx_dl_versioned *) noexcept
        uint64_t flags
        hx_dl_tensor tensor
    enum: HX_DL_CPU, HX_DL_READ_ONLY, HX_DL_IS_COPIED
    void hx_dlpack_device(const hx_tensor *t, int32_t *type, int32_t *id)
    hx_status hx_dlpack_export(hx_tensor *t, uint64_t flags, hx_dl_versioned **out)
    hx_status hx_dlpack_export_plain(hx_tensor *t, hx_dl_managed **out)
    hx_status hx_dlpack_import(const hx_dl_tensor *given, bint read_only, void (*release)(void *) noexcept, void *owner,
                               hx_tensor **out)


cdef void close_plain(object capsule) noexcept:
    cdef hx_dl_managed *m
    if PyCapsule_IsValid(capsule, "dltensor"):
        m = <hx_dl_managed *>PyCapsule_GetPointer(capsule, "dltensor")
        m.deleter(m)


cdef void close_versioned(object capsule) noexcept:
    cdef hx_dl_versioned *m
    if PyCapsule_IsValid(capsule, "dltensor_versioned"):
        m = <hx_dl_versioned *>PyCapsule_GetPointer(capsule, "dltensor_versioned")
        m.deleter(m)


cdef object dlpack_device(Tensor x):
    cdef int32_t kind, number
    hx_dlpack_device(x.t, &kind, &number)
    return (kind, number)


cdef int refuse_gradient(Tensor x) except -1:
    if hx_requires_grad(x.t):
        raise BufferError("a tensor that requires grad cannot be exported; use x.detach()")
    return 0


cdef object export_dlpack(Tensor x, object stream, object max_version, object dl_device, object copy):
    cdef hx_dl_versioned *v = NULL
    cdef hx_dl_managed *m = NULL
    cdef bint copied = False
    cdef bint versioned = max_version is not None and max_version[0] >= 1
    device = dlpack_device(x)
    refuse_gradient(x)
    if x.t.storage == NULL:
        raise BufferError("the values of a traced tensor are not known; return the tensor from the traced function, and hand it over there")
    if dl_device is not None and tuple(dl_device) != device:
        if tuple(dl_device) != (HX_DL_CPU, 0) or copy is False:
            raise BufferError(f"the tensor is on {x.device}; it cannot be exported to DLPack device {tuple(dl_device)}")
        x = copy_to_device(x, "cpu")
        device = (HX_DL_CPU, 0)
        copied = True
    if stream is not None and device[0] == HX_DL_CPU and stream != -1:
        raise BufferError("the CPU has no streams: stream must be None")
    if copy and not copied:
        x = OPS["clone"](x)
        copied = True
    if x.t.storage.read_only and not versioned:
        raise BufferError("read-only memory needs DLPack 1.0: pass max_version=(1, 0)")
    if not versioned:
        check(hx_dlpack_export_plain(x.t, &m))
        try:
            return PyCapsule_New(m, "dltensor", close_plain)
        except BaseException:
            m.deleter(m)
            raise
    check(hx_dlpack_export(x.t, HX_DL_IS_COPIED if copied else 0, &v))
    try:
        return PyCapsule_New(v, "dltensor_versioned", close_versioned)
    except BaseException:
        v.deleter(v)
        raise


# ---- import ----

cdef void release_plain(void *owner) noexcept with gil:
    cdef hx_dl_managed *m = <hx_dl_managed *>owner
    if m.deleter != NULL:
        m.deleter(m)


cdef void release_versioned(void *owner) noexcept with gil:
    cdef hx_dl_versioned *m = <hx_dl_versioned *>owner
    if m.deleter != NULL:
        m.deleter(m)


def from_dlpack(x, /, *, device=None, copy=None):
    """A tensor over the memory of any object with `__dlpack__`, or a DLPack capsule.

    `device` is where the result shall be, by default where `x` is if the host can reach it, else the CPU. `copy=True` copies
    in any case; `copy=False` raises ParameterError (HX1403, a ValueError) where a copy is needed.
    """
    cdef Tensor made
    cdef bint copied = False
    if PyCapsule_CheckExact(x):
        made = import_capsule(x)
    elif isinstance(x, Tensor):
        refuse_gradient(<Tensor>x)
        made = (<Tensor>x).detach()
    else:
        made = import_capsule(capsule_of(x, copy, &copied))
    moves = device is not None and made.device != device
    if copy is False and (moves or copied):
        fail(HX_E_VALUE, HX1403_VALUE, "from_dlpack", "another device needs a copy.")
    if copy and not copied and not moves:
        return OPS["clone"](made)
    return on_device(made, device)


cdef object capsule_of(object x, object copy, bint *copied):
    """The capsule of an object with `__dlpack__`, in memory that the host can reach."""
    cdef bint elsewhere = x.__dlpack_device__()[0] != HX_DL_CPU
    options = {"max_version": (1, 0)}
    if copy is not None:
        options["copy"] = copy
    if elsewhere:
        options["dl_device"] = (HX_DL_CPU, 0)
    try:
        capsule = x.__dlpack__(**options)
        copied[0] = bool(copy)
    except TypeError:  # a producer from before DLPack 1.0
        capsule = x.__dlpack__()
    return capsule


cdef Tensor import_capsule(object capsule):
    cdef hx_dl_versioned *v
    cdef hx_dl_managed *m
    cdef Tensor made
    if PyCapsule_IsValid(capsule, "dltensor_versioned"):
        v = <hx_dl_versioned *>PyCapsule_GetPointer(capsule, "dltensor_versioned")
        if v.version.major != 1:
            fail(HX_E_VERSION, 1801, "from_dlpack", f"DLPack {v.version.major}.{v.version.minor} is not understood; helix reads 1.x.")
        made = import_tensor(&v.tensor, v.flags & HX_DL_READ_ONLY, release_versioned, v)
        PyCapsule_SetName(capsule, "used_dltensor_versioned")
        return made
    if PyCapsule_IsValid(capsule, "dltensor"):
        m = <hx_dl_managed *>PyCapsule_GetPointer(capsule, "dltensor")
        made = import_tensor(&m.tensor, False, release_plain, m)
        PyCapsule_SetName(capsule, "used_dltensor")
        return made
    fail(HX_E_TYPE, HX1103_ARGUMENT, "from_dlpack", "the object gave no DLPack capsule, or one that was used before.")


cdef Tensor import_tensor(hx_dl_tensor *d, bint read_only, void (*release)(void *) noexcept nogil, void *owner):
    cdef hx_tensor *made = NULL
    check(hx_dlpack_import(d, read_only, release, owner, &made))
    return wrap(made)
