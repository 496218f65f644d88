# x[key] and x[key] = value. Ints, slices, None and Ellipsis make views; index tensors, lists and masks gather
# through the ops index and index_put (ops/index.c says what they take).

cdef object get_item(Tensor x, object key):
    cdef hx_tensor *t = x.t
    if PyLong_CheckExact(key) and t.ndim > 0:
        if recording(t):
            return OPS["select"](x, 0, key)
        return plain_view(x, t.shape + 1, t.strides + 1, t.ndim - 1, t.offset + index_in(x, key, 0) * t.strides[0])
    cdef Key k
    if (type(key) is slice or type(key) is tuple) and not recording(t) and take_fast(x, key, &k):
        return plain_view(x, k.shape, k.strides, k.ndim, k.offset)
    take_apart(x, key, &k)
    return read_key(x, <tuple>key if type(key) is tuple else (key,), &k)


cdef bint take_fast(Tensor x, object key, Key *k) except -1:
    """take_apart for keys of plain ints, slices and None; False for any other."""
    cdef hx_tensor *t = x.t
    cdef int dim = 0
    cdef Py_ssize_t i, n
    cdef object part
    k.ndim = 0
    k.offset = t.offset
    k.gathers = False
    n = PyTuple_GET_SIZE(key) if type(key) is tuple else 1
    for i in range(n):
        part = <object>PyTuple_GET_ITEM(key, i) if type(key) is tuple else key
        if part is None:
            add_dim(k, 1, 0)
            continue
        if dim >= t.ndim:
            return False
        if type(part) is slice:
            take_slice(x, part, dim, k)
        elif PyLong_CheckExact(part):
            k.offset += index_in(x, part, dim) * t.strides[dim]
        else:
            return False
        dim += 1
    if k.ndim + t.ndim - dim > HX_MAX_RANK:
        return False
    while dim < t.ndim:
        k.shape[k.ndim] = t.shape[dim]
        k.strides[k.ndim] = t.strides[dim]
        k.ndim += 1
        dim += 1
    return True


cdef int64_t index_in(Tensor x, object key, int dim) except? -1:
    """Position of an int index in dimension dim, in range."""
    cdef Py_ssize_t i = PyNumber_AsSsize_t(key, IndexError)
    cdef int64_t n = x.t.shape[dim]
    if i < -n or i >= n:
        fail(HX_E_INDEX, HX1301_INDEX, "index", f"index {i} is outside dimension {dim}, whose size is {n}"
             + (f" (valid {-n}..{n - 1})." if n else " (it is empty)."),
             None, f"{-n}..{n - 1}" if n else None, i, dim)
    return i + n if i < 0 else i


# A key taken apart: the geometry of the view that its basic parts make.
cdef struct Key:
    int ndim
    int64_t shape[HX_MAX_RANK]
    int64_t strides[HX_MAX_RANK]
    int64_t offset
    bint changed   # the view is not the tensor itself
    bint gathers   # there are index tensors, lists or masks


cdef bint is_basic_int(object part):
    """An int, or a number like NumPy's that is one; not a bool, and not an index tensor."""
    if PyLong_CheckExact(part):
        return True
    if isinstance(part, (bool, Tensor, list, tuple)) or hasattr(part, "__len__"):
        return False
    return hasattr(part, "__index__") and not getattr(part, "shape", ()) and type(part).__name__ not in ("bool", "bool_", "ndarray")


cdef bint is_basic(object part):
    return part is None or part is Ellipsis or type(part) is slice or is_basic_int(part)


cdef int take_apart(Tensor x, object key, Key *k) except -1:
    """Fills k with the view that the basic parts of the key make."""
    cdef tuple parts = <tuple>key if type(key) is tuple else (key,)
    cdef int dim = 0, i, rest = -1, n
    cdef object part
    k.ndim = 0
    k.offset = x.t.offset
    k.changed = k.gathers = False
    for part in parts:
        if not is_basic(part):
            k.gathers = True
    for part in parts:
        if type(part) is slice:
            need_dims(x, dim, 1, parts)
            take_slice(x, part, dim, k)
            dim += 1
        elif part is None:
            add_dim(k, 1, 0)
            k.changed = True
        elif part is Ellipsis:
            if rest >= 0:
                fail(HX_E_INDEX, HX1303_INDEXING, "index", "an index can have one ellipsis ('...') only.")
            rest = whole_dims(x, parts)
            for i in range(rest):
                add_dim(k, x.t.shape[dim], x.t.strides[dim])
                dim += 1
        elif not k.gathers:
            need_dims(x, dim, 1, parts)
            k.offset += index_in(x, part, dim) * x.t.strides[dim]
            k.changed = True
            dim += 1
        else:  # an index tensor, or an int beside one, takes its dimensions as they are
            n = consumed_dims(part)
            need_dims(x, dim, n, parts)
            for i in range(n):
                add_dim(k, x.t.shape[dim], x.t.strides[dim])
                dim += 1
    while dim < x.t.ndim:
        add_dim(k, x.t.shape[dim], x.t.strides[dim])
        dim += 1
    return 0


cdef int need_dims(Tensor x, int dim, int n, tuple parts) except -1:
    if dim + n > x.t.ndim:
        fail(HX_E_INDEX, HX1303_INDEXING, "index",
             f"{sum([consumed_dims(p) for p in parts if p is not None and p is not Ellipsis])} indices for a tensor of "
             f"{x.t.ndim} dimensions, shape {x.shape}.")
    return 0


cdef int add_dim(Key *k, int64_t size, int64_t stride) except -1:
    if k.ndim == HX_MAX_RANK:
        fail(HX_E_INDEX, HX1303_INDEXING, "index", f"the result would have more than {HX_MAX_RANK} dimensions.")
    k.shape[k.ndim] = size
    k.strides[k.ndim] = stride
    k.ndim += 1
    return 0


cdef int take_slice(Tensor x, object part, int dim, Key *k) except -1:
    cdef Py_ssize_t start, stop, step, length
    PySlice_Unpack(part, &start, &stop, &step)
    length = PySlice_AdjustIndices(x.t.shape[dim], &start, &stop, step)
    if length > 0:
        k.offset += start * x.t.strides[dim]
    if length != x.t.shape[dim] or step < 0:
        k.changed = True
    return add_dim(k, length, x.t.strides[dim] * step if length > 1 else x.t.strides[dim])


cdef int whole_dims(Tensor x, tuple parts) except -1:
    """How many dimensions an Ellipsis in the key stands for."""
    cdef int used = 0
    for part in parts:
        if part is not Ellipsis and part is not None:
            used += consumed_dims(part)
    need_dims(x, 0, used, parts)
    return x.t.ndim - used


cdef int consumed_dims(object part) except -1:
    """Dimensions that one part of a key stands for: a mask takes as many as it has."""
    cdef Tensor index
    if type(part) is slice or is_basic_int(part):
        return 1
    index = index_tensor(part)
    return index.t.ndim if index.t.dtype == HX_BOOL else 1


cdef Tensor index_tensor(object part):
    """The index tensor that a part of a key is."""
    cdef Tensor index
    if isinstance(part, Tensor):
        index = part
    elif isinstance(part, (list, tuple)):
        if not part:
            return tensor(part, dtype=DTYPES[<int>HX_I64])
        for item in part:
            if isinstance(item, slice) or item is None or item is Ellipsis:
                fail(HX_E_INDEX, HX1303_INDEXING, "index", "slices, None and ... stand in a tuple, not in a list: x[a:b, None].")
        index = tensor(part)
    elif isinstance(part, (bool, int)):
        index = tensor(part)
    elif hasattr(part, "__array__") or hasattr(part, "__dlpack__"):
        index = as_tensor_here(part)
    else:
        fail(HX_E_INDEX, HX1303_INDEXING, "index",
             f"an index is an int, a slice, None, ..., an integer or bool tensor, or a list of ints; got {short_repr(part)}.")
    if not hx_is_integral(<hx_dtype>index.t.dtype):
        fail(HX_E_INDEX, HX1303_INDEXING, "index", f"an index tensor must be of an integer type or bool, got {index.dtype.name}.")
    return index


cdef Tensor basic_view(Tensor x, tuple parts, Key *k):
    """The view that the basic parts make: at once, or made of ops where autograd or a trace must see it."""
    cdef int dim = 0
    if not recording(x.t):
        return plain_view(x, k.shape, k.strides, k.ndim, k.offset)
    if not k.changed:
        return x if k.gathers else OPS["view"](x, x.shape)
    view = x
    for part in parts:
        if type(part) is slice:
            if part.start is not None or part.stop is not None or part.step is not None:
                view = slice_of(view, part, dim)
            dim += 1
        elif part is None:
            view = OPS["unsqueeze"](view, dim)
            dim += 1
        elif part is Ellipsis:
            dim += whole_dims(x, parts)
        elif k.gathers:
            dim += consumed_dims(part)
        else:
            view = OPS["select"](view, dim, part)
    return view


cdef Tensor slice_of(Tensor x, object part, int dim):
    cdef Py_ssize_t start, stop, step
    PySlice_Unpack(part, &start, &stop, &step)
    return OPS["slice"](x, dim, None if part.start is None else start, None if part.stop is None else stop, step)


cdef list index_list(Tensor x, tuple parts):
    """The list that the ops index and index_put take, for the view of the basic parts."""
    indices = []
    for part in parts:
        if part is Ellipsis:
            indices += [None] * whole_dims(x, parts)
        elif part is None or type(part) is slice:
            indices.append(None)
        elif is_basic_int(part):
            indices.append(tensor(int(part)))
        else:
            indices.append(index_tensor(part))
    return indices


cdef object read_key(Tensor x, tuple parts, Key *k):
    cdef Tensor view
    if not k.gathers:
        return basic_view(x, parts, k)
    view = basic_view(x, parts, k) if k.changed else x
    return OPS["index"](view, index_list(x, parts))


# ---- assignment ----

cdef int set_item(Tensor x, object key, object value) except -1:
    cdef Key k
    cdef Tensor view
    cdef tuple parts = <tuple>key if type(key) is tuple else (key,)
    take_apart(x, key, &k)
    view = basic_view(x, parts, &k) if k.changed or not k.gathers else x
    value = value_tensor(view, value)
    if k.gathers:
        INPLACE_OPS["index_put_"](view, value, index_list(x, parts))
    else:
        INPLACE_OPS["copy_"](view, without_leading_ones(value, view.t.ndim))
    return 0


cdef Tensor value_tensor(Tensor view, object value):
    """The assigned value as a tensor; lists take the dtype of the target."""
    cdef hx_tensor *number
    if isinstance(value, Tensor):
        return value
    number = number_tensor(value)
    if number != NULL:
        return wrap(number)
    if isinstance(value, (list, tuple)):
        return tensor(value, dtype=view.dtype)
    return as_tensor_here(value)


cdef Tensor without_leading_ones(Tensor value, int ndim):
    while value.t.ndim > ndim and value.t.shape[0] == 1:
        value = get_item(value, 0)
    return value
