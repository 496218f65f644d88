# From hx_tensor to object and back; views; numbers.

cdef inline Tensor wrap(hx_tensor *t):
    """The object for an owned reference: the one it has, or a new one."""
    cdef Tensor made
    if t.wrapper != NULL:
        made = <Tensor><PyObject *>t.wrapper
        hx_tensor_release(t)
        return made
    made = Tensor.__new__(Tensor)
    made.t = t
    t.wrapper = <void *>made
    return made


cdef tuple EMPTY_TUPLE = ()


cdef Tensor wrap_as(object cls, hx_tensor *t):
    """A new object of class `cls` for an owned reference that has no object."""
    cdef PyObject *raw
    cdef Tensor made
    if cls is Tensor:
        return wrap(t)
    try:
        raw = door_original_new(<PyTypeObject *>cls, <PyObject *>EMPTY_TUPLE, NULL)
        made = <Tensor>raw
        Py_DECREF(made)
    except BaseException:
        hx_tensor_release(t)
        raise
    if made.t != NULL:
        hx_tensor_release(made.t)
    made.t = t
    t.wrapper = <void *>made
    return made


cdef Tensor shared_as(object cls, Tensor x):
    """One more object, of class `cls`, for the tensor of x. The tensor goes on knowing x as its object."""
    cdef void *known = x.t.wrapper
    cdef Tensor made = wrap_as(cls, hx_tensor_retain(x.t))
    x.t.wrapper = known
    return made


cdef PyObject *tensor_new(PyTypeObject *cls, PyObject *args, PyObject *kwargs) except NULL:
    """Tensor.__new__ as Python code sees it: Tensor(data, ...) is tensor(data, ...), and never without memory."""
    cdef object made = new_of_class(<object>cls, <tuple>args, {} if kwargs == NULL else <dict>kwargs)
    Py_INCREF(made)
    return <PyObject *>made


cdef Tensor new_of_class(object cls, tuple args, dict kwargs):
    cdef hx_tensor *made = NULL
    cdef int64_t zero = 0
    cdef Tensor filled
    if not args and not kwargs:
        check(hx_tensor_empty(hx_cpu(), hx_default_float(), &zero, 1, &made))
        return wrap_as(cls, made)
    filled = tensor(*args, **kwargs)
    return filled if cls is Tensor else Tensor._make_subclass(cls, filled, filled.requires_grad)


cdef door_newfunc door_original_new = NULL


cdef object ints_tuple(const int64_t *values, int n):
    cdef tuple made = PyTuple_New(n)
    cdef int i
    for i in range(n):
        item = PyLong_FromLongLong(values[i])
        Py_INCREF(item)
        PyTuple_SET_ITEM(made, i, item)
    return made


cdef int check_axis(Tensor x, str op, object dim, int *axis) except -1:
    hx_error_enter_op(NULL)
    check(hx_axis(PyNumber_AsSsize_t(dim, IndexError), x.t.ndim, axis))
    return 0


cdef inline bint recording(hx_tensor *t) noexcept:
    """Must a call on t go through dispatch, for autograd or a trace?"""
    return t.storage == NULL or (hx_requires_grad(t) and hx_grad_enabled()) or hx_tracing()


cdef object plain_view(Tensor x, const int64_t *shape, const int64_t *strides, int ndim, int64_t offset):
    """A view made without dispatch: only where `recording` is false."""
    cdef hx_tensor *source = x.t
    cdef hx_tensor *made = NULL
    check(hx_tensor_view(source.storage, <hx_dtype>source.dtype, shape, strides, ndim, offset, &made))
    hx_follow_base(made, source)
    return wrap(made)


cdef Tensor traced_detach(Tensor x):
    """The same memory by a step of the trace through which gradients do not flow."""
    cdef bint before = hx_grad_set(False)
    cdef Tensor shown
    try:
        shown = OPS["permute"](x, tuple(range(x.t.ndim)))
    finally:
        hx_grad_set(before)
    hx_tensor_release(shown.t.base)
    shown.t.base = NULL
    return shown


cdef Tensor transposed(Tensor x, bint all_dims):
    cdef int n = x.t.ndim, i, k
    cdef int64_t shape[HX_MAX_RANK]
    cdef int64_t strides[HX_MAX_RANK]
    if not all_dims and n < 2:
        fail(HX_E_SHAPE, 1001, "mT", f"a matrix needs two dimensions or more, got shape {x.shape}.")
    if recording(x.t):
        if all_dims:
            return OPS["permute"](x, tuple(range(n - 1, -1, -1)))
        return OPS["transpose"](x, -2, -1)
    for i in range(n):
        k = n - 1 - i if all_dims or i >= n - 2 else i
        if not all_dims and i >= n - 2:
            k = 2 * n - 3 - i
        shape[i] = x.t.shape[k]
        strides[i] = x.t.strides[k]
    return plain_view(x, shape, strides, n, x.t.offset)


# ---- numbers ----

cdef object scalar_object(hx_scalar *s):
    if s.kind == HX_KIND_FLOAT:
        return s.v.f
    if s.kind == HX_KIND_INT:
        return s.v.i
    if s.kind == HX_KIND_BOOL:
        return s.v.i != 0
    if s.kind == HX_KIND_UINT:
        return s.v.u
    return complex(s.v.c[0], s.v.c[1])


cdef object item_of(Tensor x):
    cdef hx_scalar s
    check(hx_tensor_item(x.t, &s))
    return scalar_object(&s)


cdef hx_tensor *number_tensor(object value) except? NULL:
    """A wrapped number, owned by the caller; NULL without an error for anything else."""
    cdef hx_tensor *made = NULL
    cdef int overflow = 0
    cdef long long integer
    if PyFloat_CheckExact(value):
        check(hx_tensor_from_float(PyFloat_AS_DOUBLE(value), &made))
    elif PyBool_Check(value):
        check(hx_tensor_from_bool(value is True, &made))
    elif PyLong_Check(value):
        integer = PyLong_AsLongLongAndOverflow(value, &overflow)
        if overflow:
            fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "", f"the number {short_repr(value)} does not fit in int64.")
        check(hx_tensor_from_int(integer, &made))
    elif isinstance(value, float):
        check(hx_tensor_from_float(value, &made))
    elif isinstance(value, complex):
        check(hx_tensor_from_complex(value.real, value.imag, &made))
    elif is_numpy_scalar(value):
        return number_tensor(value.item())
    return made


cdef bint is_numpy_scalar(object value):
    cdef object t = type(value)
    if getattr(t, "__module__", None) not in ("numpy", "ml_dtypes"):
        return False
    return hasattr(value, "item") and hasattr(value, "dtype") and not hasattr(value, "__len__") and t.__name__ != "ndarray"


cdef object refuse_foreign(object value, str op, str name):
    """The error for something that is not a tensor but could be made one."""
    cdef str remedy = ""
    if hasattr(value, "__array__") or hasattr(value, "__dlpack__") or isinstance(value, (list, tuple)):
        remedy = " Make it one with helix.tensor(...)."
    fail(HX_E_TYPE, HX1103_ARGUMENT, op, f"{name} must be a tensor or a number, got {short_repr(value)}.{remedy}",
         name, "a tensor or a number", short_repr(value))


def become(Tensor x, Tensor other):
    """Makes the object `x` show what `other` shows, with its history; graphs and views keep the tensor that x was."""
    cdef hx_tensor *before = x.t
    if x is other:
        return x
    if hx_requires_grad(before) and before.history == NULL and hx_grad_enabled():
        fail(HX_E_GRADIENT, HX1504_LEAF, "become", "a leaf that requires grad cannot be changed in place; wrap the change "
             "in helix.no_grad().")
    cdef hx_tensor *after = hx_tensor_retain(other.t)
    after.flags |= before.flags & HX_T_REQUIRES_GRAD
    after.wrapper = <void *>x
    before.wrapper = NULL
    x.t = after
    hx_tensor_release(before)
    return x


def storage_number(Tensor x):
    """Tells storages that live at a time apart, on any device."""
    return <size_t>x.t.storage if x.t.storage != NULL else <size_t>x.t


def storage_elements(Tensor x):
    """How many elements of its dtype the storage of x holds."""
    if x.t.storage == NULL:
        return x.t.numel
    return <int64_t>(x.t.storage.mem.nbytes // hx_dtype_size(<hx_dtype>x.t.dtype))
