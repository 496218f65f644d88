# Values in and out: nested lists, buffers, NumPy arrays.

cdef struct Nest:
    int ndim
    int64_t shape[HX_MAX_RANK]
    hx_kind kind
    bint any


cdef inline bint is_nested(object value):
    return PyList_Check(value) or PyTuple_Check(value)


cdef int nest_shape(object data, Nest *nest) except -1:
    """The shape of nested lists, read down their first elements."""
    nest.ndim = 0
    while is_nested(data):
        if nest.ndim == HX_MAX_RANK:
            fail(HX_E_SHAPE, 1001, "tensor", f"data is nested more than {HX_MAX_RANK} deep.")
        nest.shape[nest.ndim] = len(data)
        nest.ndim += 1
        if len(data) == 0:
            return 0
        data = data[0]
    if isinstance(data, Tensor) or hasattr(data, "__array__"):  # lists of tensors or arrays
        for n in data.shape:
            nest.shape[nest.ndim] = n
            nest.ndim += 1
    return 0


cdef int nest_kind(object data, Nest *nest) except -1:
    """Widens the kind by every element."""
    cdef hx_kind kind
    if is_nested(data):
        for item in data:
            nest_kind(item, nest)
        return 0
    if PyFloat_Check(data):
        kind = HX_KIND_FLOAT
    elif PyBool_Check(data):
        kind = HX_KIND_BOOL
    elif PyLong_Check(data):
        kind = HX_KIND_INT
    elif PyComplex_Check(data):
        kind = HX_KIND_COMPLEX
    elif isinstance(data, Tensor):
        kind = hx_dtype_kind(<hx_dtype>(<Tensor>data).t.dtype)
        if kind == HX_KIND_UINT:
            kind = HX_KIND_INT
    elif hasattr(data, "tolist"):
        return nest_kind(data.tolist(), nest)
    else:
        fail(HX_E_TYPE, HX1103_ARGUMENT, "tensor", f"data must hold numbers, got {short_repr(data)}.")
    if not nest.any or kind > nest.kind:
        nest.kind = kind
    nest.any = True
    return 0


cdef int fill_nested(object data, Nest *nest, int depth, hx_dtype t, char **at) except -1:
    """Stores the elements in order; refuses ragged nesting."""
    cdef Py_ssize_t n, i
    if isinstance(data, Tensor) or (not is_nested(data) and not isinstance(data, (float, int, complex)) and hasattr(data, "tolist")):
        data = data.tolist()
    if not is_nested(data):
        if depth != nest.ndim:
            return ragged(nest, depth, None)
        return store_number(data, t, at)
    n = len(data)
    if depth >= nest.ndim or n != nest.shape[depth]:
        return ragged(nest, depth, n)
    for i in range(n):
        if i & 0x3ff == 0x3ff:
            PyErr_CheckSignals()
        item = data[i]
        if depth + 1 < nest.ndim or not store_plain(item, t, at):
            fill_nested(item, nest, depth + 1, t, at)
    return 0


cdef inline bint store_plain(object v, hx_dtype t, char **at) noexcept:
    """Stores a float in a floating tensor or an int in a signed one; False for anything else, or what does not fit."""
    cdef int overflow = 0
    cdef long long i
    cdef int size = <int>hx_dtype_size(t)
    if PyFloat_CheckExact(v) and hx_is_floating(t):
        store_float(PyFloat_AS_DOUBLE(v), t, at[0])
    elif PyLong_CheckExact(v) and HX_I8 <= t <= HX_I64:
        i = PyLong_AsLongLongAndOverflow(v, &overflow)
        if overflow or (size < 8 and not -(<long long>1 << (8 * size - 1)) <= i < <long long>1 << (8 * size - 1)):
            return False
        store_signed(i, t, at[0])
    else:
        return False
    at[0] += size
    return True


cdef inline void store_signed(int64_t i, hx_dtype t, char *p) noexcept:
    if t == HX_I64:
        (<int64_t *>p)[0] = i
    elif t == HX_I32 or t == HX_U32:
        (<int32_t *>p)[0] = <int32_t>i
    elif t == HX_I16 or t == HX_U16:
        (<int16_t *>p)[0] = <int16_t>i
    else:
        p[0] = <char>i


cdef int ragged(Nest *nest, int depth, object length) except -1:
    shape = ints_tuple(nest.shape, nest.ndim)
    found = "a number" if length is None else f"{length} elements"
    wanted = f"{nest.shape[depth]} elements" if depth < nest.ndim else "a number"
    fail(HX_E_SHAPE, 1002, "tensor",
         f"the nested lists are ragged: by their first elements the shape is {shape}, but at depth {depth} "
         f"there is {found} where {wanted} must stand.")


cdef inline void store_float(double d, hx_dtype t, char *p) noexcept:
    if t == HX_F32:
        (<float *>p)[0] = <float>d
    elif t == HX_F64:
        (<double *>p)[0] = d
    elif t == HX_F16:
        (<uint16_t *>p)[0] = hx_f32_to_f16(<float>d)
    else:
        (<uint16_t *>p)[0] = hx_f32_to_bf16(<float>d)


cdef int store_number(object v, hx_dtype t, char **at) except -1:
    cdef uint64_t u
    cdef double real, imaginary
    cdef char *p = at[0]
    if t >= HX_C64:
        v = complex(v)  # its parts one by one: a C complex would be made with 0 * inf
        real = v.real
        imaginary = v.imag
        if t == HX_C64:
            (<float *>p)[0] = <float>real
            (<float *>p)[1] = <float>imaginary
        else:
            (<double *>p)[0] = real
            (<double *>p)[1] = imaginary
    elif t >= HX_F16:
        if isinstance(v, complex):
            fail(HX_E_DTYPE, HX1102_CAST, "tensor", f"the complex number {short_repr(v)} has no place in {DTYPES[<int>t].name}.")
        store_float(float(v), t, p)
    elif t == HX_BOOL:
        p[0] = 1 if v else 0
    elif t == HX_U64:
        u = integer_in_range(v, t)
        (<uint64_t *>p)[0] = u
    else:
        store_signed(integer_in_range(v, t), t, p)
    at[0] = p + hx_dtype_size(t)
    return 0


cdef object integer_in_range(object v, hx_dtype t):
    cdef object limit = 2 ** <object>(8 * hx_dtype_size(t))
    if isinstance(v, complex):
        fail(HX_E_DTYPE, HX1102_CAST, "tensor", f"the complex number {short_repr(v)} has no place in {DTYPES[<int>t].name}.")
    if isinstance(v, float) and v != v or v in (float("inf"), float("-inf")):
        fail(HX_E_VALUE, HX1403_VALUE, "tensor", f"{v} has no place in {DTYPES[<int>t].name}.")
    v = int(v)
    if hx_dtype_kind(t) == HX_KIND_UINT:
        low, high = 0, limit - 1
    else:
        low, high = -limit // 2, limit // 2 - 1
    if not low <= v <= high:
        fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "tensor", f"{short_repr(v)} does not fit in {DTYPES[<int>t].name} ({low} to {high}).")
    return v


cdef hx_dtype kind_dtype(hx_kind kind):
    if kind == HX_KIND_BOOL:
        return HX_BOOL
    if kind == HX_KIND_FLOAT:
        return hx_default_float()
    if kind == HX_KIND_COMPLEX:
        return hx_complex_of(hx_default_float())
    return HX_I64


cdef Tensor from_nested(object data, object dtype_wanted):
    """A new host tensor from a number or nested lists."""
    cdef Nest nest
    cdef hx_tensor *made = NULL
    cdef Tensor result
    cdef char *at
    cdef hx_dtype t
    nest.any = False
    nest.kind = HX_KIND_FLOAT
    nest_shape(data, &nest)
    if dtype_wanted is None:
        nest_kind(data, &nest)
        t = kind_dtype(nest.kind)
    else:
        t = <hx_dtype>dtype_code(dtype_wanted)
    check(hx_tensor_empty(hx_cpu(), t, nest.shape, nest.ndim, &made))
    result = wrap(made)
    at = <char *>made.data
    try:
        fill_nested(data, &nest, 0, t, &at)
    except (TypeError, ValueError) as error:
        if getattr(error, "code", None):
            raise
        fail(HX_E_TYPE, HX1103_ARGUMENT, "tensor", f"data must hold numbers: {error}.")
    return result


cdef Tensor on_device(Tensor x, object where):
    return x if where is None else copy_to_device(x, where)


cdef Tensor on_default_device(Tensor x, object where):
    """What is made from Python's numbers or an array goes to the default device."""
    cdef hx_device *target
    if where is None:
        target = wanted_device()
        if target == NULL or target == x.t.device:
            return x
        where = device_object(target)
    return copy_to_device(x, where)


cpdef Tensor copy_to_device(Tensor x, where):
    """The values on another device; x itself when it is there already. The gradient goes back to where it came from."""
    cdef hx_tensor *made = NULL
    check(hx_tensor_to(x.t, find_device(where), &made))
    return wrap(made)


def tensor(data, *, dtype=None, device=None, requires_grad=False):
    """A new tensor with a copy of `data`: a number, nested lists of numbers, an array, or a tensor.

    Without `dtype`, Python floats become the default float (float32), ints int64, bools bool; arrays, NumPy's scalars
    and tensors keep theirs.

    >>> helix.tensor([[1, 2], [3, 4]]).shape
    (2, 2)
    """
    cdef Tensor made
    cdef hx_tensor *copy = NULL
    if isinstance(data, (float, int, complex, list, tuple)) and not is_numpy_scalar(data):
        made = from_nested(data, dtype)
        check(hx_trace_made(made.t))
    else:
        made = as_tensor_here(data)
        made = made.detach()
        if dtype is not None and dtype_code(dtype) != made.t.dtype:
            made = OPS["cast"](made, dtype)
        else:
            made = OPS["clone"](made)
    made = on_device(made, device) if isinstance(data, Tensor) else on_default_device(made, device)
    if requires_grad:
        set_requires_grad(made, True)
    return made


def asarray(data, *, dtype=None, device=None, copy=None):
    """`data` as a tensor: itself if it is one, over the same memory where possible, else a copy.

    `copy=True` always copies, `copy=False` refuses to. What is no tensor yet goes to the default device.
    """
    cdef Tensor made
    if isinstance(data, (float, int, complex, list, tuple)) and not is_numpy_scalar(data):
        if copy is False:
            fail(HX_E_VALUE, HX1403_VALUE, "asarray", "Python numbers and lists become a tensor only by a copy.")
        return on_default_device(from_nested(data, dtype), device)
    made = as_tensor_here(data)
    if dtype is not None and dtype_code(dtype) != made.t.dtype:
        if copy is False:
            fail(HX_E_VALUE, HX1403_VALUE, "asarray", f"{made.dtype.name} becomes {DTYPES[dtype_code(dtype)].name} only by a copy.")
        made = OPS["cast"](made, dtype)
    elif copy:
        made = OPS["clone"](made)
    stays = copy is False or isinstance(data, Tensor) or made.t.device != hx_cpu()
    return on_device(made, device) if stays else on_default_device(made, device)


def as_tensor(data, dtype=None, device=None):
    """`data` as a tensor, without a copy where possible. See `asarray`."""
    return asarray(data, dtype=dtype, device=device)


cdef Tensor as_tensor_here(object data):
    """A tensor over the memory of a tensor, array or buffer."""
    if isinstance(data, Tensor):
        return data
    if is_numpy_scalar(data):
        return from_nested(data.item(), data.dtype.name)
    if PyObject_CheckBuffer(data) or hasattr(data, "__array_interface__"):
        return from_buffer_of(data)
    if hasattr(data, "__dlpack__"):
        return from_dlpack(data)
    if hasattr(data, "__array__"):
        return from_buffer_of(data.__array__())
    if hasattr(data, "__iter__"):
        return from_nested(list(data), None)
    fail(HX_E_TYPE, HX1103_ARGUMENT, "tensor", f"data must be numbers, nested lists, an array or a tensor, got {short_repr(data)}.")


# ---- lists out ----

cdef object to_list(Tensor x):
    cdef hx_tensor *whole = NULL
    cdef hx_tensor *host = NULL
    cdef hx_scalar s
    cdef char *at
    if x.t.ndim == 0:
        return item_of(x)
    check(hx_trace_readable(x.t))
    check(hx_contiguous_of(x.t, &whole))
    if whole.data == NULL and whole.numel > 0:
        try:
            check(hx_tensor_empty(hx_cpu(), <hx_dtype>whole.dtype, whole.shape, whole.ndim, &host))
            check(hx_tensor_read(whole, host.data, whole.numel * <int64_t>hx_dtype_size(<hx_dtype>whole.dtype)))
        except BaseException:
            hx_tensor_release(host)
            raise
        finally:
            hx_tensor_release(whole)
        whole = host
    try:
        at = <char *>whole.data
        return list_level(whole, 0, &at)
    finally:
        hx_tensor_release(whole)


cdef object list_level(hx_tensor *t, int depth, char **at):
    cdef int64_t i, n = t.shape[depth]
    made = []
    if depth + 1 < t.ndim:
        for i in range(n):
            if i & 0x3ff == 0x3ff:
                PyErr_CheckSignals()
            made.append(list_level(t, depth + 1, at))
        return made
    for i in range(n):
        if i & 0x3ff == 0x3ff:
            PyErr_CheckSignals()
        made.append(number_at(<hx_dtype>t.dtype, at[0]))
        at[0] += hx_dtype_size(<hx_dtype>t.dtype)
    return made


cdef object number_at(hx_dtype t, const char *p):
    if t == HX_F32:
        return <double>(<const float *>p)[0]
    if t == HX_F64:
        return (<const double *>p)[0]
    if t == HX_I64:
        return (<const int64_t *>p)[0]
    if t == HX_BOOL:
        return p[0] != 0
    if t == HX_I32:
        return (<const int32_t *>p)[0]
    if t == HX_I16:
        return (<const int16_t *>p)[0]
    if t == HX_I8:
        return (<const int8_t *>p)[0]
    if t == HX_U8:
        return (<const uint8_t *>p)[0]
    if t == HX_U16:
        return (<const uint16_t *>p)[0]
    if t == HX_U32:
        return (<const uint32_t *>p)[0]
    if t == HX_U64:
        return (<const uint64_t *>p)[0]
    if t == HX_F16:
        return <double>hx_f16_to_f32((<const uint16_t *>p)[0])
    if t == HX_BF16:
        return <double>hx_bf16_to_f32((<const uint16_t *>p)[0])
    if t == HX_C64:
        return complex((<const float *>p)[0], (<const float *>p)[1])
    return complex((<const double *>p)[0], (<const double *>p)[1])


# ---- copies and pickles ----

cdef object deep_copy(Tensor x, dict memo):
    if id(x) in memo:
        return memo[id(x)]
    refresh_history(x)
    if x.t.history != NULL:
        fail(HX_E_GRADIENT, HX1503_NO_GRAD, "deepcopy", "only leaves can be deep-copied; use x.detach().clone().")
    cdef Tensor copy = OPS["clone"](x.detach())
    if type(x) is not Tensor:
        copy = Tensor._make_subclass(type(x), copy, False)
        if hasattr(x, "__dict__"):
            import copy as copy_module
            copy.__dict__.update(copy_module.deepcopy(x.__dict__, memo))
    if x.t.flags & HX_T_REQUIRES_GRAD:
        set_requires_grad(copy, True)
    if x.t.gradient != NULL:
        set_grad(copy, deep_copy(x.grad, memo))
    memo[id(x)] = copy
    return copy


cdef object reduce_tensor(Tensor x, int protocol):
    cdef int64_t nbytes = x.t.numel * <int64_t>hx_dtype_size(<hx_dtype>x.t.dtype)
    if x.t.history != NULL:
        fail(HX_E_GRADIENT, HX1503_NO_GRAD, "pickle", "only leaves can be pickled; use x.detach().")
    cdef bytes payload = PyBytes_FromStringAndSize(NULL, nbytes)
    check(hx_tensor_read(x.t, PyBytes_AS_STRING(payload), nbytes))
    state = getattr(x, "__dict__", None)
    return rebuild_tensor, (type(x), payload, x.dtype, x.shape, bool(x.t.flags & HX_T_REQUIRES_GRAD), state)


def rebuild_tensor(cls, payload, dtype, shape, requires_grad, state=None):
    """Makes a tensor from what a pickle between processes holds: bytes, dtype and shape."""
    cdef Tensor made = new_host(dtype_code(dtype), shape)
    cdef int64_t nbytes = made.t.numel * <int64_t>hx_dtype_size(<hx_dtype>made.t.dtype)
    if not isinstance(payload, bytes) or len(payload) != nbytes:
        fail(HX_E_VALUE, HX1403_VALUE, "pickle", f"{shape} {made.dtype.name} needs {nbytes} bytes.")
    memcpy(made.t.data, PyBytes_AS_STRING(payload), nbytes)
    if cls is not Tensor:
        made = Tensor._make_subclass(cls, made, False)
        if state:
            made.__dict__.update(state)
    if requires_grad:
        set_requires_grad(made, True)
    return made


cdef Tensor new_host(int code, object shape):
    """An uninitialised host tensor."""
    cdef int64_t sizes[HX_MAX_RANK]
    cdef hx_tensor *made = NULL
    cdef int n = 0
    if len(shape) > HX_MAX_RANK:
        fail(HX_E_SHAPE, 1001, "", f"a tensor has at most {HX_MAX_RANK} dimensions, got {len(shape)}.")
    for size in shape:
        sizes[n] = int_value(size)
        n += 1
    check(hx_tensor_empty(hx_cpu(), <hx_dtype>code, sizes, n, &made))
    return wrap(made)
