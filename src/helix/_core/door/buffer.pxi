# The buffer protocol both ways, and NumPy arrays over the same memory.

cdef extern from *:
    """
    /* Formats of PEP 3118, by dtype; bfloat16 has none. */
    static char *const door_formats[15] = {"?", "b", "h", "i", "l", "B", "H", "I", "L", "e", NULL, "f", "d", "Zf", "Zd"};
    """
    char *const *door_formats


ctypedef struct Loan:  # what a buffer has from the tensor, which may be given other memory meanwhile
    hx_storage *storage
    Py_ssize_t shape[HX_MAX_RANK]
    Py_ssize_t strides[HX_MAX_RANK]


cdef int fill_buffer(Tensor x, Py_buffer *view, int flags) except -1:
    cdef hx_tensor *t = x.t
    cdef Loan *loan
    cdef int i
    cdef Py_ssize_t size = hx_dtype_size(<hx_dtype>t.dtype)
    if t.storage == NULL or (t.data == NULL and t.numel):
        raise BufferError("the values of this tensor are not in host memory")
    check(hx_trace_readable(t))
    if hx_requires_grad(t):
        raise BufferError("a tensor that requires grad gives no buffer; use x.detach()")
    if door_formats[t.dtype] == NULL:
        raise BufferError(f"{DTYPES[t.dtype].name} has no buffer format; use x.numpy()")
    if flags & PyBUF_WRITABLE and t.storage.read_only:
        raise BufferError("the memory of this tensor is read-only")
    if not hx_contiguous(t) and (flags & PyBUF_STRIDES != PyBUF_STRIDES or flags & PyBUF_C_CONTIGUOUS == PyBUF_C_CONTIGUOUS):
        raise BufferError("the tensor is not contiguous")
    loan = <Loan *>PyMem_Malloc(sizeof(Loan))
    if loan == NULL:
        raise MemoryError
    for i in range(t.ndim):
        loan.shape[i] = t.shape[i]
        loan.strides[i] = t.strides[i] * size
    loan.storage = hx_storage_retain(t.storage)
    if not t.storage.read_only:
        hx_storage_lend(t.storage)
    view.buf = t.data
    view.len = t.numel * size
    view.itemsize = size
    view.readonly = t.storage.read_only
    view.ndim = t.ndim
    view.format = door_formats[t.dtype] if flags & PyBUF_FORMAT else NULL
    view.shape = loan.shape if flags & PyBUF_ND else NULL
    view.strides = loan.strides if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
    view.suboffsets = NULL
    view.internal = loan
    view.obj = x
    return 0


cdef void free_buffer(Py_buffer *view) noexcept:
    cdef Loan *loan = <Loan *>view.internal
    if not loan.storage.read_only:
        hx_storage_return(loan.storage)
    hx_storage_release(loan.storage)
    PyMem_Free(loan)


cdef object to_numpy(Tensor x, bint force):
    import numpy
    if force:
        x = x.detach()
        if x.t.data == NULL and x.t.numel:
            return numpy.array(to_list(x), dtype=numpy_dtype(x.dtype))
    elif hx_requires_grad(x.t):
        fail(HX_E_GRADIENT, HX1503_NO_GRAD, "numpy", "an array cannot follow gradients; use x.detach().numpy().")
    if x.t.storage == NULL:
        fail(HX_E_TRACE, HX1702_TRACE, "numpy", "the values of a traced tensor are not known; compute with helix's functions, or "
             "return the tensor, and read it there.")
    if x.t.data == NULL and x.t.numel:
        fail(HX_E_DEVICE, 1201, "numpy", f"the values are on {x.device}; use x.cpu().numpy().")
    if x.t.dtype == HX_BF16:
        return numpy.asarray(memoryview(relabelled(x, HX_U16))).view(numpy_dtype(x.dtype))
    return numpy.asarray(memoryview(x))


cdef Tensor relabelled(Tensor x, hx_dtype t):
    """The same memory as another dtype of the same size."""
    cdef hx_tensor *made = NULL
    check(hx_tensor_view(x.t.storage, t, x.t.shape, x.t.strides, x.t.ndim, x.t.offset, &made))
    return wrap(made)


def as_bytes(Tensor x not None):
    """The memory of a contiguous tensor as a one-dimensional uint8 tensor."""
    cdef hx_tensor *made = NULL
    cdef int64_t size = hx_dtype_size(<hx_dtype>x.t.dtype)
    cdef int64_t nbytes = x.t.numel * size, step = 1
    if not hx_contiguous(x.t) or x.t.storage == NULL:
        fail(HX_E_VALUE, HX1403_VALUE, "as_bytes", "the tensor must be contiguous; call x.contiguous() first.")
    check(hx_tensor_view(x.t.storage, HX_U8, &nbytes, &step, 1, x.t.offset * size, &made))
    return wrap(made)


def unshared(Tensor x not None):
    """The tensor, whose memory was given to us by one who keeps no hand on it."""
    if x.t.storage.lent:
        hx_storage_return(x.t.storage)
    return x


def from_numpy(array):
    """A tensor over the memory of a NumPy array: what is written to one is seen in the other."""
    import numpy
    if not isinstance(array, numpy.ndarray):
        fail(HX_E_TYPE, HX1103_ARGUMENT, "from_numpy", f"array must be a numpy.ndarray, got {short_repr(array)}.")
    return from_buffer_of(array)


def frombuffer(buffer, *, dtype, count=-1, offset=0):
    """A one-dimensional tensor over an object with the buffer protocol, from byte `offset` on."""
    cdef Tensor raw = from_buffer_of(memoryview(buffer).cast("B"))
    cdef int code = dtype_code(dtype)
    cdef int64_t size = hx_dtype_size(<hx_dtype>code)
    cdef int64_t start = int_value(offset), n = int_value(count), step = 1
    cdef hx_tensor *made = NULL
    cdef hx_tensor *t = raw.t
    if start < 0 or start > t.numel or (<size_t>t.data + start) % size:
        fail(HX_E_VALUE, HX1403_VALUE, "frombuffer", f"offset {start} must lie in the {t.numel} bytes and be aligned to {size}.")
    if n < 0:
        n = (t.numel - start) // size
    if n > (t.numel - start) // size:
        fail(HX_E_VALUE, HX1403_VALUE, "frombuffer", f"count {n} is more than the {(t.numel - start) // size} elements there are.")
    check(hx_tensor_wrap(hx_cpu(), <char *>t.data + start, n * size, t.storage.read_only, <hx_dtype>code, &n, &step, 1, 0,
                         release_object, <void *>raw, &made))
    Py_INCREF(raw)
    return wrap(made)


cdef void release_object(void *owner) noexcept with gil:
    Py_DECREF(<object>owner)


cdef void release_buffer(void *owner) noexcept with gil:
    PyBuffer_Release(<Py_buffer *>owner)
    PyMem_Free(owner)


cdef int format_dtype(const char *format, Py_ssize_t size) except -2:
    """The dtype of a buffer format; -1 when there is none."""
    cdef bytes text = b"B" if format == NULL else <bytes>format
    if text[:1] in (b"@", b"=", b"<", b"|"):
        text = text[1:]
    if text == b"?":
        return HX_BOOL
    if text in (b"b", b"h", b"i", b"l", b"q", b"n"):
        return {1: HX_I8, 2: HX_I16, 4: HX_I32, 8: HX_I64}[size]
    if text in (b"B", b"H", b"I", b"L", b"Q", b"N", b"c"):
        return {1: HX_U8, 2: HX_U16, 4: HX_U32, 8: HX_U64}[size]
    return {b"e": HX_F16, b"f": HX_F32, b"d": HX_F64, b"Zf": HX_C64, b"Zd": HX_C128}.get(text, -1)


cdef Tensor from_buffer_of(object data):
    """A tensor over the memory of an object with the buffer protocol."""
    cdef int code = -1
    cdef Py_buffer *view
    name = getattr(getattr(data, "dtype", None), "name", "")
    if name == "bfloat16":
        data = data.view("uint16")
        code = HX_BF16
    view = <Py_buffer *>PyMem_Malloc(sizeof(Py_buffer))
    if view == NULL:
        raise MemoryError
    try:
        try:
            PyObject_GetBuffer(data, view, PyBUF_RECORDS)
        except (BufferError, ValueError):
            PyObject_GetBuffer(data, view, PyBUF_RECORDS_RO)
    except (BufferError, ValueError) as error:
        PyMem_Free(view)
        fail(HX_E_DTYPE, HX1101_DTYPE, "tensor", f"an array of dtype {name or '?'} cannot be read: {error}.")
    except BaseException:
        PyMem_Free(view)
        raise
    try:
        if code < 0:
            code = format_dtype(view.format, view.itemsize)
        if code < 0:
            fail(HX_E_DTYPE, HX1101_DTYPE, "tensor", f"arrays of dtype {name or view.format} have no helix dtype; convert them first.")
        return wrap_buffer(view, code)
    except BaseException:
        PyBuffer_Release(view)
        PyMem_Free(view)
        raise


cdef Tensor wrap_buffer(Py_buffer *view, int code):
    cdef int64_t shape[HX_MAX_RANK]
    cdef int64_t strides[HX_MAX_RANK]
    cdef int64_t low = 0, high = 0, size = view.itemsize
    cdef hx_tensor *made = NULL
    cdef int i
    if view.ndim > HX_MAX_RANK:
        fail(HX_E_SHAPE, 1001, "tensor", f"a tensor has at most {HX_MAX_RANK} dimensions, the array has {view.ndim}.")
    for i in range(view.ndim):
        shape[i] = view.shape[i]
        if view.strides != NULL:
            if view.strides[i] % size and shape[i] > 1:
                fail(HX_E_VALUE, HX1403_VALUE, "tensor", "the array's strides are not whole elements; copy it first.")
            strides[i] = view.strides[i] // size
    if view.strides == NULL:
        hx_row_major(shape, view.ndim, strides)
    if <size_t>view.buf % min(size, 8):
        fail(HX_E_VALUE, HX1403_VALUE, "tensor", "the array's memory is not aligned; copy it first.")
    check(hx_extent(shape, strides, view.ndim, &low, &high))
    check(hx_tensor_wrap(hx_cpu(), <char *>view.buf + low * size, (high - low) * size, view.readonly, <hx_dtype>code, shape,
                         strides, view.ndim, -low, release_buffer, view, &made))
    return wrap(made)
