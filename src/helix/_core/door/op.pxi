# Op: the Python function of one record. A call goes from a C array of arguments straight into an hx_call.

cdef extern from *:
    """
    /* Makes Op objects callable through vectorcall, and methods when they stand in a type. */
    static void door_make_callable(PyTypeObject *type, Py_ssize_t vectorcall_offset) {
        type->tp_vectorcall_offset = vectorcall_offset;
        type->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR;
        type->tp_call = PyVectorcall_Call;
        PyType_Modified(type);
    }
    """
    ctypedef PyObject *(*vectorcallfunc)(PyObject *, PyObject *const *, size_t, PyObject *) except NULL
    void door_make_callable(PyTypeObject *t, Py_ssize_t vectorcall_offset)
    Py_ssize_t PyVectorcall_NARGS(size_t nargsf)

cdef extern from "structseq.h":
    ctypedef struct PyStructSequence_Field:
        const char *name
        const char *doc
    ctypedef struct PyStructSequence_Desc:
        const char *name
        const char *doc
        PyStructSequence_Field *fields
        int n_in_sequence
    type PyStructSequence_NewType(PyStructSequence_Desc *desc)
    object PyStructSequence_New(type t)

# Other spellings of parameter names: array API and NumPy names beside torch's.
cdef dict PARAMETER_ALIASES = {
    "dim": ("axis",), "dims": ("axis", "axes", "dim"), "keepdim": ("keepdims",), "input": ("x", "x1"),
    "other": ("x2",), "exponent": ("x2",), "size": ("shape",), "shape": ("size",), "tensors": ("arrays",)}

cdef enum:
    INTS_ROOM = 96     # attribute values and
    TENSORS_ROOM = 24  # tensors that a call handles without an allocation


cdef class Op:
    """A function made from an op record: `helix.add`, `Tensor.add_`."""
    cdef vectorcallfunc vectorcall
    cdef const hx_op *op
    cdef bint inplace
    cdef int n_params       # parameters of the record
    cdef int n_positional   # those that may be given by position
    cdef int varargs        # the parameter that x.op(2, 3) spreads over, or -1
    cdef int list_param     # the TENSORS parameter, or -1
    cdef readonly str __name__
    cdef tuple names        # interned parameter names
    cdef dict other_names   # accepted spelling -> position
    cdef Op dtype_form      # the op of x.view(dtype), for view alone
    cdef bint takes_unbiased # var(x, True) says unbiased, not an axis
    cdef object result_type # struct sequence of several outputs, or None
    cdef object __weakref__

    def __get__(self, instance, owner):
        return self if instance is None else PyMethod_New(self, instance)

    def __repr__(self):
        return f"<helix op {self.__name__}>"

    def __reduce__(self):
        return op_named, (self.__name__,)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    @property
    def __doc__(self):
        return op_documentation(self)

    @property
    def __module__(self):
        if self.op.flags & HX_FFT:
            return "helix.fft"
        if self.op.flags & HX_SPECIAL and not self.op.flags & HX_FUNCTION:
            return "helix.special"
        if self.op.flags & HX_LINALG and not self.op.flags & HX_FUNCTION:
            return "helix.linalg"
        return "helix.nn.functional" if not self.op.flags & HX_FUNCTION and self.op.flags & HX_NN else "helix"

    @property
    def __qualname__(self):
        return self.__name__

    @property
    def __signature__(self):
        return op_signature(self)

    @property
    def __text_signature__(self):
        return str(op_signature(self))


cdef dict OPS = {}          # record name -> Op
cdef dict INPLACE_OPS = {}  # record name + "_" -> Op


def op_named(str name):
    """The function of a record, also of internal ones: `op_named("add")`, `op_named("add_")`."""
    found = OPS.get(name) or INPLACE_OPS.get(name)
    if found is None:
        raise AttributeError(f"helix has no op named {name!r}")
    return found


cdef Op make_op(const hx_op *record, bint inplace):
    cdef Op op = Op.__new__(Op)
    cdef const hx_param *p
    cdef list names = []
    cdef int i = 0
    op.vectorcall = call_op
    op.op = record
    op.inplace = inplace
    op.varargs = op.list_param = -1
    op.n_positional = -1
    op.other_names = {}
    name = record.name.decode()
    op.__name__ = intern(name + "_" if inplace else name)
    p = record.params
    while p != NULL and p[i].kind != HX_P_END:
        if p[i].flags & HX_PF_KEYWORD and op.n_positional < 0:
            op.n_positional = i
        if p[i].flags & HX_PF_VARARGS and p[i].kind == HX_P_INTS:
            op.varargs = i
        if p[i].kind == HX_P_TENSORS:
            op.list_param = i
        names.append(intern(p[i].name.decode()))
        i += 1
    op.n_params = i
    if op.n_positional < 0:
        op.n_positional = i
    op.names = tuple(names)
    op.takes_unbiased = "unbiased" in names
    for i, name in enumerate(names):
        for other in PARAMETER_ALIASES.get(name, ()):
            if other not in names:
                op.other_names.setdefault(intern(other), i)
        if name == "dim" and record.flags & HX_FFT:
            op.other_names["axes"] = i
    op.result_type = None
    if record.outputs != NULL and b"," in <bytes>record.outputs:
        op.result_type = make_result_type(op.__name__, record.outputs)
    return op


cdef list KEPT = []  # names that C keeps pointers to


cdef object make_result_type(str name, bytes outputs):
    cdef PyStructSequence_Desc desc
    cdef PyStructSequence_Field fields[HX_MAX_OUTPUTS + 1]
    cdef int n = 0
    cdef bytes full = f"helix.return_types.{name}".encode()
    parts = [part.strip() for part in outputs.split(b",")]
    KEPT.append((full, parts))
    for part in parts:
        fields[n].name = part
        fields[n].doc = NULL
        n += 1
    fields[n].name = NULL
    fields[n].doc = NULL
    desc.name = full
    desc.doc = NULL
    desc.fields = fields
    desc.n_in_sequence = n
    return PyStructSequence_NewType(&desc)


# ---- a call ----

cdef struct Frame:
    hx_call call
    PyObject *value[HX_MAX_PARAMS]   # bound arguments, borrowed; NULL where not given
    hx_tensor *tensors[TENSORS_ROOM]
    hx_tensor **in_                  # tensors, or a heap block when there are more
    int64_t ints[INTS_ROOM]
    int ints_used
    hx_tensor *owned[HX_MAX_PARAMS]  # wrapped numbers
    int n_owned
    PyObject *keep                   # a list of what must live during the call, or NULL
    Py_ssize_t spread                # how many positional arguments the spread parameter takes; -1: not spread
    PyObject *const *positional
    bint inplace                     # op_(x), or op(x, inplace=True)
    PyObject *out
    PyObject *device
    PyObject *requires_grad


cdef PyObject *call_op(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames) except NULL:
    cdef Op op = <Op>callable
    cdef Frame f
    cdef Py_ssize_t n = PyVectorcall_NARGS(nargsf)
    cdef object result
    cdef int i
    if op.dtype_form is not None and asks_for_dtype(args, n, kwnames):
        return call_op(<PyObject *>op.dtype_form, args, nargsf, kwnames)
    f.n_owned = f.ints_used = 0
    f.keep = f.out = f.device = f.requires_grad = NULL
    f.inplace = op.inplace
    f.in_ = f.tensors
    f.positional = args
    f.spread = -1
    hx_call_init(&f.call, op.op)
    try:
        bind(op, &f, n, kwnames)
        convert(op, &f)
        result = dispatch_frame(op, &f)
    finally:
        for i in range(f.n_owned):
            hx_tensor_release(f.owned[i])
        Py_XDECREF(f.keep)
    Py_INCREF(result)
    return <PyObject *>result


cdef bint asks_for_dtype(PyObject *const *args, Py_ssize_t n, PyObject *kwnames) noexcept:
    """x.view(dtype) or x.view(dtype=dtype)"""
    if kwnames == NULL:
        return n == 2 and type(<object>args[1]) is dtype
    return n == 1 and PyTuple_GET_SIZE(<tuple>kwnames) == 1 and <object>PyTuple_GET_ITEM(<tuple>kwnames, 0) == "dtype"


cdef int bind(Op op, Frame *f, Py_ssize_t n, PyObject *kwnames) except -1:
    """Puts arguments into the slots of their parameters."""
    cdef Py_ssize_t i
    cdef Py_ssize_t positional = n
    if n > op.n_positional or (op.varargs >= 0 and n > op.varargs) or op.list_param >= 0:
        positional = bind_spread(op, f, n)
    for i in range(positional):
        f.value[i] = f.positional[i]
    for i in range(positional, op.n_params):
        f.value[i] = NULL
    if f.spread >= 0 and op.list_param >= 0:  # what stands behind a list that was given as f(a, b, 1)
        for i in range(op.list_param + 1, op.n_params):
            if op.list_param + f.spread + (i - op.list_param - 1) < n:
                f.value[i] = f.positional[op.list_param + f.spread + (i - op.list_param - 1)]
    if kwnames != NULL:
        bind_keywords(op, f, n, <tuple>kwnames)
    if op.takes_unbiased and f.value[1] != NULL and f.value[2] == NULL and PyBool_Check(<object>f.value[1]):
        f.value[2] = f.value[1]
        f.value[1] = NULL
    return 0


cdef Py_ssize_t bind_spread(Op op, Frame *f, Py_ssize_t n) except -1:
    """Positional arguments when one parameter may take several of them: x.permute(2, 0, 1), einsum(eq, a, b)."""
    cdef Py_ssize_t i
    cdef object first
    if op.list_param >= 0 and op.list_param < n:
        first = <object>f.positional[op.list_param]
        if isinstance(first, Tensor):
            i = op.list_param
            while i < n and (f.positional[i] == Py_None or isinstance(<object>f.positional[i], Tensor)):
                i += 1
            f.spread = i - op.list_param
            if n - f.spread + 1 > op.n_positional:
                too_many(op, n)
            return op.list_param + 1
    if op.varargs >= 0 and n > op.varargs:
        first = <object>f.positional[op.varargs]
        if n > op.varargs + 1 and not isinstance(first, (tuple, list)):
            f.spread = n - op.varargs
            return op.varargs + 1
    if n > op.n_positional:
        too_many(op, n)
    return n


cdef int too_many(Op op, Py_ssize_t n) except -1:
    fail(HX_E_TYPE, HX1103_ARGUMENT, op.__name__,
         f"takes at most {op.n_positional} arguments by position, got {n}. It is {op.__name__}{op_signature(op)}.")


cdef str OUT_NAME = intern("out")


cdef int bind_keywords(Op op, Frame *f, Py_ssize_t n, tuple kwnames) except -1:
    cdef Py_ssize_t k, i
    cdef PyObject *name
    cdef PyObject *value
    cdef bint found
    for k in range(PyTuple_GET_SIZE(kwnames)):
        name = PyTuple_GET_ITEM(kwnames, k)
        value = f.positional[n + k]
        found = False
        for i in range(op.n_params):
            if name == PyTuple_GET_ITEM(op.names, i):
                bind_one(op, f, i, value, <object>name)
                found = True
                break
        if found:
            continue
        if name == <PyObject *>OUT_NAME and op.op.flags & HX_OUT and not op.inplace:
            f.out = value
        else:
            bind_rare(op, f, <object>name, value)
    return 0


cdef int bind_one(Op op, Frame *f, Py_ssize_t i, PyObject *value, object name) except -1:
    if f.value[i] != NULL:
        fail(HX_E_TYPE, HX1103_ARGUMENT, op.__name__,
             f"got several values for {op.names[i]}" + (f" ({name} is the same parameter)." if name != op.names[i] else "."),
             op.names[i])
    f.value[i] = value
    return 0


# How memory is laid out or allocated: torch's words, of which helix has one choice each.
cdef frozenset LAYOUT_KEYWORDS = frozenset(("layout", "memory_format", "pin_memory"))


cdef int bind_rare(Op op, Frame *f, object name, PyObject *value) except -1:
    """Other keywords: other spellings, names that are not interned, device=, requires_grad=."""
    cdef object at = op.other_names.get(name)
    if at is None and name in op.names:
        at = op.names.index(name)
    if at is not None:
        return bind_one(op, f, at, value, name)
    if name == "out" and op.op.flags & HX_OUT and not op.inplace:
        f.out = value
    elif name == "device" and op.op.flags & (HX_CREATES | HX_LIKE):
        f.device = value
    elif name == "requires_grad" and op.op.flags & (HX_CREATES | HX_LIKE):
        f.requires_grad = value
    elif name == "inplace" and op.op.flags & HX_NN and op.op.flags & HX_INPLACE:
        f.inplace = bool(<object>value)
    elif name in LAYOUT_KEYWORDS and (op.op.flags & (HX_CREATES | HX_LIKE) or op.__name__ in ("clone", "contiguous")):
        from helix.layouts import check
        check(op.__name__, name, <object>value)
    else:
        unknown_keyword(op, name)
    return 0


cdef list keyword_extras(Op op):
    extras = []
    if op.op.flags & HX_OUT and not op.inplace:
        extras.append("out")
    if op.op.flags & (HX_CREATES | HX_LIKE):
        extras += ["device", "requires_grad"]
    return extras


cdef int unknown_keyword(Op op, object name) except -1:
    from difflib import get_close_matches
    known = list(op.names) + list(op.other_names) + keyword_extras(op)
    near = get_close_matches(str(name), known, 1)
    hint = f" Did you mean {near[0]}?" if near else f" Its parameters are {', '.join(known[:len(op.names)])}."
    fail(HX_E_TYPE, HX1103_ARGUMENT, op.__name__, f"has no parameter named {name}.{hint}", str(name))


# ---- converting ----

cdef int convert(Op op, Frame *f) except -1:
    cdef const hx_param *p = op.op.params
    cdef hx_attr *attr = f.call.attr
    cdef int i, t = 0
    cdef PyObject *v
    for i in range(op.n_params):
        v = f.value[i]
        if p[i].kind == HX_P_TENSOR:
            if v == NULL:
                missing(op, i)
            f.in_[t] = tensor_argument(op, f, i, t, <object>v)
            t += 1
        elif p[i].kind == HX_P_OPT_TENSOR:
            f.in_[t] = NULL if v == NULL or v == Py_None else tensor_argument(op, f, i, t, <object>v)
            t += 1
        elif p[i].kind == HX_P_TENSORS:
            if v == NULL:
                missing(op, i)
            t = tensor_list(op, f, i, t)
        else:
            if v == NULL:
                if p[i].required:
                    missing(op, i)
            else:
                attribute(op, f, i, attr, <object>v)
            attr += 1
    f.call.in_ = f.in_
    f.call.n_in = t
    return 0


cdef int missing(Op op, int i) except -1:
    fail(HX_E_TYPE, HX1103_ARGUMENT, op.__name__, f"misses its argument {op.names[i]}. It is {op.__name__}{op_signature(op)}.",
         op.names[i])


cdef int wrong_kind(Op op, int i, str wanted, object value) except -1:
    fail(HX_E_TYPE, HX1103_ARGUMENT, op.__name__, f"{op.names[i]} must be {wanted}, got {short_repr(value)}.",
         op.names[i], wanted, short_repr(value))


cdef hx_tensor *tensor_argument(Op op, Frame *f, int i, int t, object value) except NULL:
    cdef hx_tensor *made
    if isinstance(value, Tensor):
        return (<Tensor>value).t
    if f.inplace and i == 0:
        wrong_kind(op, i, "a tensor, because it is written", value)
    made = cached_number(value, f.in_[0]) if op.op.flags & HX_ALIAS_OK and t > 0 else NULL
    if made == NULL:
        made = number_tensor(value)
    if made == NULL:
        refuse_foreign(value, op.__name__, op.names[i])
    f.owned[f.n_owned] = made
    f.n_owned += 1
    return made


cdef list kept(Frame *f):
    cdef list keep
    if f.keep == NULL:
        keep = []
        Py_INCREF(keep)
        f.keep = <PyObject *>keep
    return <list>f.keep


cdef int tensor_list(Op op, Frame *f, int i, int t) except -1:
    """Flattens a sequence of tensors into the inputs; returns the next free position."""
    cdef Py_ssize_t n, k
    cdef PyObject *const *items
    cdef object sequence, value
    cdef bint holes = op.op.params[i].flags & HX_PF_HOLES
    if f.spread >= 0:
        n = f.spread
        items = f.positional + i
    else:
        value = <object>f.value[i]
        if isinstance(value, Tensor):
            sequence = list(value)
        elif isinstance(value, (list, tuple)):
            sequence = value if type(value) is tuple else tuple(value)  # a list could shrink under our feet
        else:
            try:
                sequence = tuple(value)
            except TypeError:
                wrong_kind(op, i, "a sequence of tensors", value)
        kept(f).append(sequence)
        n = len(sequence)
        items = PySequence_Fast_ITEMS(sequence)
    if t + n + HX_MAX_PARAMS > TENSORS_ROOM:
        grow_inputs(f, t, n)
    for k in range(n):
        if items[k] == Py_None and holes:
            f.in_[t + k] = NULL
            continue
        value = <object>items[k]
        if not isinstance(value, Tensor):
            value = element_tensor(op, i, k, value)
            kept(f).append(value)
        f.in_[t + k] = (<Tensor>value).t
    f.call.list_at = t
    f.call.list_n = <int>n
    return t + <int>n


cdef Tensor element_tensor(Op op, int i, Py_ssize_t k, object value):
    cdef hx_tensor *made = number_tensor(value)
    if made == NULL:
        refuse_foreign(value, op.__name__, f"element {k} of {op.names[i]}")
    return wrap(made)


cdef int grow_inputs(Frame *f, int used, Py_ssize_t more) except -1:
    if more > 1 << 20:
        fail(HX_E_OVERFLOW, HX1401_OVERFLOW, f.call.op.name.decode(), f"takes at most {1 << 20} tensors, got {more}.")
    cdef bytearray room = bytearray((used + more + HX_MAX_PARAMS) * sizeof(hx_tensor *))
    cdef hx_tensor **block = <hx_tensor **>PyByteArray_AS_STRING(room)
    memcpy(block, f.in_, used * sizeof(hx_tensor *))
    kept(f).append(room)
    f.in_ = block
    return 0


cdef object dispatch_frame(Op op, Frame *f):
    cdef hx_call *c = &f.call
    cdef tuple results
    cdef int i
    c.inplace = f.inplace
    if f.device != NULL and f.device != Py_None:
        c.device = find_device(<object>f.device)
    elif op.op.flags & HX_CREATES:
        c.device = (<Tensor><object>f.out).t.device if f.out != NULL and isinstance(<object>f.out, Tensor) else wanted_device()
    if f.out != NULL and f.out != Py_None:
        bind_out(op, f)
    if hx_dispatch(c) != HX_OK:
        raise_pending()
    if c.n_out == 1 and op.result_type is None:
        result = wrap(c.out[0])
        if f.requires_grad != NULL and <object>f.requires_grad:
            set_requires_grad(result, True)
        return result
    if c.n_out == 0:
        return None
    results = tuple([wrap(c.out[i]) for i in range(c.n_out)])
    return results if op.result_type is None else make_result(op.result_type, results)


cdef object make_result(object result_type, tuple values):
    """The values by name; None for outputs that this call does not have."""
    cdef object made = PyStructSequence_New(result_type)
    cdef Py_ssize_t i
    for i in range(result_type.n_sequence_fields):
        value = values[i] if i < len(values) else None
        Py_INCREF(value)
        PyTuple_SET_ITEM(made, i, value)
    return made


cdef int bind_out(Op op, Frame *f) except -1:
    cdef object out = <object>f.out
    cdef int i
    if f.call.n_out == 1:
        if not isinstance(out, Tensor):
            fail(HX_E_TYPE, HX1103_ARGUMENT, op.__name__, f"out must be a tensor, got {short_repr(out)}.", "out", "a tensor",
                 short_repr(out))
        f.call.out[0] = (<Tensor>out).t
    else:
        if not isinstance(out, (tuple, list)) or len(out) != f.call.n_out:
            fail(HX_E_TYPE, HX1103_ARGUMENT, op.__name__, f"out must be {f.call.n_out} tensors, got {short_repr(out)}.",
                 "out", f"{f.call.n_out} tensors", short_repr(out))
        for i in range(f.call.n_out):
            if not isinstance(out[i], Tensor):
                fail(HX_E_TYPE, HX1103_ARGUMENT, op.__name__, f"out[{i}] must be a tensor, got {short_repr(out[i])}.", "out",
                     "a tensor", short_repr(out[i]))
            f.call.out[i] = (<Tensor>out[i]).t
    if op.op.flags & HX_CREATES:
        take_dtype(op, f)
    f.call.has_out = True
    return 0


cdef int take_dtype(Op op, Frame *f) except -1:
    """A tensor made from nothing has the dtype of out, unless one is given."""
    cdef int i
    for i in range(op.op.info.n_attr):
        if op.op.info.attr_names[i] == <bytes>b"dtype" and f.call.attr[i].kind == HX_A_NONE:
            f.call.attr[i].kind = HX_A_DTYPE
            f.call.attr[i].v.i = f.call.out[0].dtype
    return 0
