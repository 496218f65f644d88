# Converting Python values to op attributes.

cdef int attribute(Op op, Frame *f, int i, hx_attr *a, object v) except -1:
    """Fills attribute `a`, of parameter i, from v. None means: as when it is not given, where that is allowed."""
    cdef hx_param_kind kind = op.op.params[i].kind
    if v is None and (kind == HX_P_RNG or not (op.op.params[i].required or kind in (HX_P_BOOL, HX_P_INT, HX_P_FLOAT, HX_P_NUMBER))):
        return 0
    if kind == HX_P_INT or kind == HX_P_OPT_INT:
        a.kind = HX_A_INT
        a.v.i = int_argument(op, i, v)
    elif kind == HX_P_BOOL:
        a.kind = HX_A_BOOL
        a.v.i = bool_argument(op, i, v)
    elif kind == HX_P_INTS or kind == HX_P_OPT_INTS:
        ints_argument(op, f, i, a, v)
    elif kind == HX_P_FLOAT or kind == HX_P_OPT_FLOAT:
        a.kind = HX_A_FLOAT
        a.v.f = float_argument(op, i, v)
    elif kind == HX_P_NUMBER or kind == HX_P_OPT_NUMBER:
        number_argument(op, i, a, v)
    elif kind == HX_P_DTYPE or kind == HX_P_OPT_DTYPE:
        a.kind = HX_A_DTYPE
        a.v.i = (<dtype>v).code if type(v) is dtype else dtype_code(v, op.op.name.decode())
    elif kind == HX_P_STRING:
        string_argument(op, i, a, v)
    elif kind == HX_P_FLOATS:
        floats_argument(op, f, i, a, v)
    elif kind == HX_P_RNG:
        rng_argument(op, i, a, v)
    return 0


cdef int64_t int_value(object v) except? -1:
    """The int64 that v is, through __index__; OverflowError (HX1401) when it does not fit, TypeError otherwise."""
    cdef int overflow = 0
    cdef int64_t value
    if not PyLong_Check(v):
        v = PyNumber_Index(v)
    value = PyLong_AsLongLongAndOverflow(v, &overflow)
    if overflow:
        fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "", f"the integer {short_repr(v)} does not fit in 64 bits.")
    return value


cdef int64_t int_argument(Op op, int i, object v) except? -1:
    if PyLong_Check(v):
        return int_value(v)
    try:
        return int_value(v)
    except TypeError:
        wrong_kind(op, i, "an int", v)


cdef int bool_argument(Op op, int i, object v) except -1:
    if v is True:
        return 1
    if v is False:
        return 0
    if isinstance(v, Tensor) or PyLong_Check(v) or type(v).__name__ in ("bool", "bool_"):
        return 1 if v else 0
    wrong_kind(op, i, "True or False", v)


cdef double float_argument(Op op, int i, object v) except? -1.0:
    if PyFloat_CheckExact(v):
        return PyFloat_AS_DOUBLE(v)
    if isinstance(v, (str, bytes)):
        wrong_kind(op, i, "a number", v)
    try:
        return PyFloat_AsDouble(v)
    except TypeError:
        wrong_kind(op, i, "a number", v)


cdef int number_argument(Op op, int i, hx_attr *a, object v) except -1:
    if PyFloat_CheckExact(v):
        a.kind = HX_A_FLOAT
        a.v.f = PyFloat_AS_DOUBLE(v)
    elif PyBool_Check(v):
        a.kind = HX_A_BOOL
        a.v.i = v is True
    elif PyLong_Check(v):
        a.kind = HX_A_INT
        a.v.i = int_value(v)
    elif isinstance(v, float):
        a.kind = HX_A_FLOAT
        a.v.f = v
    elif isinstance(v, complex):
        a.kind = HX_A_COMPLEX
        a.v.c[0] = v.real
        a.v.c[1] = v.imag
    elif isinstance(v, Tensor) and (<Tensor>v).t.numel == 1:
        return number_argument(op, i, a, item_of(v))
    elif is_numpy_scalar(v):
        return number_argument(op, i, a, v.item())
    else:
        wrong_kind(op, i, "a number", v)
    return 0


cdef void *attribute_room(Frame *f, Py_ssize_t n) except NULL:
    """Room for n 8-byte values that lives as long as the call."""
    cdef bytearray room
    cdef void *block
    if n <= INTS_ROOM - f.ints_used:
        block = &f.ints[f.ints_used]
        f.ints_used += <int>n
        return block
    room = bytearray(n * 8)
    kept(f).append(room)
    return PyByteArray_AS_STRING(room)


cdef int ints_argument(Op op, Frame *f, int i, hx_attr *a, object v) except -1:
    cdef Py_ssize_t n, k
    cdef int64_t *ints
    a.kind = HX_A_INTS
    if f.spread >= 0 and i == op.varargs:
        n = f.spread
        ints = <int64_t *>attribute_room(f, n)
        for k in range(n):
            ints[k] = int_argument(op, i, <object>f.positional[i + k])
    elif PyLong_Check(v):
        n = 1
        ints = <int64_t *>attribute_room(f, 1)
        ints[0] = int_value(v)
    elif isinstance(v, (tuple, list)):
        v = tuple(v)
        n = PyTuple_GET_SIZE(v)
        ints = <int64_t *>attribute_room(f, n)
        for k in range(n):
            ints[k] = int_argument(op, i, <object>PyTuple_GET_ITEM(v, k))
    else:
        try:
            values = tuple(v) if hasattr(v, "__len__") and not isinstance(v, (str, bytes)) and getattr(v, "ndim", 1) else (int_value(v),)
        except TypeError:
            wrong_kind(op, i, "an int or a sequence of ints", v)
        return ints_argument(op, f, i, a, values)
    a.count = <uint32_t>n
    a.v.ints = ints
    return 0


cdef int floats_argument(Op op, Frame *f, int i, hx_attr *a, object v) except -1:
    cdef Py_ssize_t n, k
    cdef double *floats
    if isinstance(v, (float, int)):
        v = (v,)
    try:
        v = tuple(v)
    except TypeError:
        wrong_kind(op, i, "a sequence of numbers", v)
    n = PyTuple_GET_SIZE(v)
    floats = <double *>attribute_room(f, n)
    for k in range(n):
        floats[k] = float_argument(op, i, <object>PyTuple_GET_ITEM(v, k))
    a.kind = HX_A_FLOATS
    a.count = <uint32_t>n
    a.v.floats = floats
    return 0


cdef int string_argument(Op op, int i, hx_attr *a, object v) except -1:
    cdef Py_ssize_t n = 0
    cdef const char *text
    cdef const char *choices = op.op.params[i].choices
    if not isinstance(v, str):
        wrong_kind(op, i, "a string", v)
    text = PyUnicode_AsUTF8AndSize(v, &n)
    if choices != NULL:
        allowed = choices.decode().split("|")
        if v not in allowed:
            fail(HX_E_VALUE, HX1403_VALUE, op.__name__,
                 f"{op.names[i]} must be one of {', '.join(map(repr, allowed))}, got {short_repr(v)}.",
                 op.names[i], tuple(allowed), v)
    a.kind = HX_A_STR
    a.count = <uint32_t>n
    a.v.str = text
    return 0


cdef int rng_argument(Op op, int i, hx_attr *a, object v) except -1:
    cdef Generator g
    if not isinstance(v, Generator):
        wrong_kind(op, i, "a helix.Generator or None", v)
    if hx_tracing():
        fail(HX_E_TRACE, HX1702_TRACE, op.__name__, "a generator of its own cannot be traced, as each run would draw the same; "
             "leave generator out and give one to the graph's run: graph.executor()(..., generator=g).", op.names[i])
    g = v
    if DRAWING is not None and g.g != hx_default_generator():
        DRAWING(g)
    a.kind = HX_A_RNG
    a.v.rng.seed = g.g.seed
    a.v.rng.stream = hx_generator_draw(g.g)
    return 0


# ---- describing ----

cdef dict KIND_NAMES = {
    HX_P_TENSOR: "Tensor", HX_P_OPT_TENSOR: "Tensor | None", HX_P_TENSORS: "Sequence[Tensor]", HX_P_BOOL: "bool",
    HX_P_INT: "int", HX_P_OPT_INT: "int | None", HX_P_FLOAT: "float", HX_P_OPT_FLOAT: "float | None",
    HX_P_NUMBER: "Number", HX_P_OPT_NUMBER: "Number | None", HX_P_INTS: "int | Sequence[int]",
    HX_P_OPT_INTS: "int | Sequence[int] | None", HX_P_FLOATS: "Sequence[float]", HX_P_DTYPE: "dtype",
    HX_P_OPT_DTYPE: "dtype | None", HX_P_STRING: "str", HX_P_RNG: "Generator | None"}

cdef tuple FLAG_NAMES = (
    (HX_PRIMITIVE, "primitive"), (HX_NON_DIFF, "non_diff"), (HX_GRAD_ERROR, "grad_error"), (HX_VIEW, "view"),
    (HX_INPLACE, "inplace"), (HX_ALIAS_OK, "alias_ok"), (HX_METHOD, "method"), (HX_FUNCTION, "function"),
    (HX_NN, "nn"), (HX_FFT, "fft"), (HX_SPECIAL, "special"), (HX_LINALG, "linalg"), (HX_VALUES, "values"), (HX_MUTATES, "mutates"), (HX_CREATES, "creates"), (HX_OUT, "out"),
    (HX_RANDOM, "random"), (HX_INTERNAL_OP, "internal"), (HX_NONDIFF_OUT1, "nondiff_out1"))


cdef object default_value(const hx_param *p):
    if p.kind == HX_P_BOOL:
        return p.number != 0
    if p.kind == HX_P_INT or p.kind == HX_P_INTS:
        return int(p.number)
    if p.kind == HX_P_FLOAT:
        return p.number
    if p.kind == HX_P_NUMBER:
        return int(p.number) if p.number == int(p.number) else p.number
    if p.kind == HX_P_STRING:
        return None if p.text == NULL else p.text.decode()
    return None


cdef object op_signature(Op op):
    """An inspect.Signature made from the record."""
    from inspect import Parameter, Signature
    cdef const hx_param *p = op.op.params
    cdef int i
    parameters = []
    for i in range(op.n_params):
        kind = Parameter.KEYWORD_ONLY if i >= op.n_positional else Parameter.POSITIONAL_OR_KEYWORD
        default = Parameter.empty if p[i].required else default_value(&p[i])
        parameters.append(Parameter(op.names[i], kind, default=default))
    for name in keyword_extras(op):
        parameters.append(Parameter(name, Parameter.KEYWORD_ONLY, default=False if name == "requires_grad" else None))
    for i in range(1, len(parameters)):  # what follows a parameter with a default has one too, or is by keyword
        if parameters[i].default is Parameter.empty and parameters[i - 1].default is not Parameter.empty:
            parameters[i] = parameters[i].replace(kind=Parameter.KEYWORD_ONLY)
        elif parameters[i - 1].kind is Parameter.KEYWORD_ONLY:
            parameters[i] = parameters[i].replace(kind=Parameter.KEYWORD_ONLY)
    return Signature(parameters)


cdef object op_documentation(Op op):
    text = "" if op.op.doc == NULL else op.op.doc.decode()
    line = f"{op.__name__}{op_signature(op)}"
    if op.inplace:
        return f"{line}\n\nIn-place form of {op.op.name.decode()}: the result is written into input.\n\n{text}"
    return f"{line}\n\n{text}"


def ops():
    """A list with one dictionary for each record: name, params, flags, doc, outputs, aliases."""
    cdef const hx_op *record
    cdef Op op
    cdef int i, k
    found = []
    for i in range(hx_op_count()):
        record = hx_op_at(i)
        op = OPS[record.name.decode()]
        params = []
        for k in range(op.n_params):
            p = &record.params[k]
            params.append({
                "name": op.names[k], "kind": KIND_NAMES[p.kind], "required": bool(p.required),
                "default": default_value(p), "keyword_only": k >= op.n_positional,
                "choices": None if p.choices == NULL else p.choices.decode().split("|"),
                "varargs": bool(p.flags & HX_PF_VARARGS)})
        found.append({
            "name": op.__name__, "params": params, "flags": {n for bit, n in FLAG_NAMES if record.flags & bit},
            "doc": "" if record.doc == NULL else record.doc.decode(),
            "outputs": [] if record.outputs == NULL else [s.strip() for s in record.outputs.decode().split(",")],
            "aliases": alias_names(record), "has_vjp": record.vjp != NULL, "has_decomposition": record.decompose != NULL,
            "has_shape_rule": record.shape != NULL, "grad_dtypes": dtype_set(record.grad_dtypes)})
    return found


cdef list alias_names(const hx_op *record):
    if record.aliases == NULL:
        return []
    return [s.strip() for s in record.aliases.decode().split(",") if s.strip()]


cdef list dtype_set(uint64_t bits):
    return [d.name for d in DTYPES if bits >> (<dtype>d).code & 1]
