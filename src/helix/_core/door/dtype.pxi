# dtype and device objects: one object for each dtype and each opened device.

cdef class dtype:
    """A data type, e.g. `helix.float32`. One object each, so `is` compares."""
    cdef readonly int code
    cdef readonly str name
    cdef readonly int itemsize

    @property
    def is_floating_point(self):
        """True for float16, bfloat16, float32 and float64."""
        return bool(hx_is_floating(<hx_dtype>self.code))

    @property
    def is_complex(self):
        """True for complex64 and complex128."""
        return bool(hx_is_complex(<hx_dtype>self.code))

    @property
    def is_signed(self):
        """False for bool and the unsigned integers."""
        return hx_dtype_kind(<hx_dtype>self.code) > HX_KIND_UINT

    def to_real(self):
        """The dtype of the real part: float32 for complex64; itself for real types."""
        return DTYPES[<int>hx_real_of(<hx_dtype>self.code)]

    def to_complex(self):
        """The complex dtype of the same precision."""
        return DTYPES[<int>hx_complex_of(<hx_dtype>self.code)]

    @property
    def numpy(self):
        """The equivalent numpy.dtype (bfloat16 through ml_dtypes)."""
        return numpy_dtype(self)

    def __repr__(self):
        return f"helix.{self.name}"

    def __str__(self):
        return f"helix.{self.name}"

    def __reduce__(self):
        return dtype_named, (self.name,)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


cdef list DTYPES = []
cdef dict DTYPE_ALIASES = {
    "float": HX_F32, "double": HX_F64, "half": HX_F16, "int": HX_I32, "long": HX_I64, "short": HX_I16,
    "cfloat": HX_C64, "cdouble": HX_C128}


cdef void make_dtypes(dict names):
    cdef dtype d
    cdef int i
    for i in range(HX_DTYPE_COUNT):
        d = dtype.__new__(dtype)
        d.code = i
        d.name = hx_dtype_name(<hx_dtype>i).decode()
        d.itemsize = <int>hx_dtype_size(<hx_dtype>i)
        DTYPES.append(d)
        names[d.name] = d


def dtype_named(str name):
    """The dtype of that name."""
    return DTYPES[dtype_code(name)]


def as_dtype(value):
    """The dtype that a dtype object, a name, a Python type or a NumPy dtype stands for."""
    return DTYPES[dtype_code(value)]


cdef object numpy_dtype(dtype d):
    import numpy
    if d.code == HX_BF16:
        import ml_dtypes
        return numpy.dtype(ml_dtypes.bfloat16)
    return numpy.dtype(d.name)


cdef int dtype_code(object value, str op="") except -1:
    """The core's number for a dtype given as an object, a name, a Python type or a NumPy dtype."""
    cdef int code
    if isinstance(value, dtype):
        return (<dtype>value).code
    if value is float:
        return hx_default_float()
    if value is int:
        return HX_I64
    if value is bool:
        return HX_BOOL
    if value is complex:
        return hx_complex_of(hx_default_float())
    if isinstance(value, str):
        name = value
    else:
        name = getattr(value, "name", None) or getattr(value, "__name__", None)
    if isinstance(name, str):
        name = (<str>name).removeprefix("helix.")
        if name in DTYPE_ALIASES and isinstance(value, str):
            return DTYPE_ALIASES[name]
        code = hx_dtype_from_name((<str>name).encode())
        if code >= 0:
            return code
    fail(HX_E_TYPE, HX1103_ARGUMENT, op, f"dtype must be a helix dtype such as helix.float32, got {short_repr(value)}.",
         "dtype", "a helix dtype", short_repr(value))


cdef class device:
    """A device: `helix.device("cpu")`. Equal to its name: `x.device == "cpu"`."""
    cdef hx_device *d

    def __cinit__(self, name=None, index=None):
        self.d = hx_cpu() if name is None else find_device(name, index)

    @property
    def type(self):
        """The kind of device: "cpu"."""
        return self.d.backend.name.decode()

    @property
    def index(self):
        """Its number among the devices of this kind; None for the CPU."""
        return None if self.d == hx_cpu() else self.d.index

    def __str__(self):
        return self.d.name.decode()

    def __repr__(self):
        return f"device({str(self)!r})"

    def __hash__(self):
        return hash(str(self))

    def __eq__(self, other):
        if isinstance(other, device):
            return self.d == (<device>other).d
        if isinstance(other, str):
            return other == str(self) or (other == self.type and not self.d.index)
        return NotImplemented

    def __reduce__(self):
        return device, (str(self),)


cdef dict DEVICES = {}


cdef object device_object(hx_device *d):
    found = DEVICES.get(d.id)
    if found is None:
        found = DEVICES[d.id] = device(d.name.decode())
    return found


cdef hx_device *find_device(object name, object index=None) except NULL:
    cdef hx_device *d = NULL
    cdef hx_status status
    cdef bytes encoded
    cdef const char *text
    if isinstance(name, device):
        return (<device>name).d
    if not isinstance(name, str):
        fail(HX_E_TYPE, HX1103_ARGUMENT, "", f"device must be a name such as 'cpu' or a helix.device, got {short_repr(name)}.")
    if name == "cpu" and index is None:
        return hx_cpu()
    if index is not None:
        name = f"{name}:{index}"
    name = ready_device(name)
    encoded = (<str>name).encode()
    text = encoded
    with nogil:  # opening runs the backend's code under the core's lock: nobody may wait for that with the GIL
        status = hx_device_find(text, &d)
    check(status)
    return d


# ---- the default device ----

cdef hx_device *DEFAULT_DEVICE = NULL                       # NULL: the CPU
cdef object NAMED_DEVICE = os.environ.get("HELIX_DEVICE")   # to be found at its first use, which may load a plugin


cdef hx_device *wanted_device() except? NULL:
    """Where tensors are made when nobody says where; NULL for the CPU."""
    global DEFAULT_DEVICE, NAMED_DEVICE
    if NAMED_DEVICE is not None:
        name, NAMED_DEVICE = NAMED_DEVICE, None  # what makes tensors while the device is found makes them on the CPU
        try:
            if name:
                DEFAULT_DEVICE = find_device(name)
        except BaseException:
            NAMED_DEVICE = name
            raise
    return DEFAULT_DEVICE


def get_default_device():
    """The device on which tensors are made when nothing else is said: HELIX_DEVICE, or the CPU, unless changed."""
    cdef hx_device *d = wanted_device()
    return device_object(hx_cpu() if d == NULL else d)


def set_default_device(d):
    """Sets the device on which tensors are made when nothing else is said; None means the CPU.

    It counts for `tensor`, `zeros`, `rand` and the like, and so for the parameters of new layers.

    >>> helix.set_default_device("cpu")
    """
    global DEFAULT_DEVICE, NAMED_DEVICE
    cdef hx_device *found = hx_cpu() if d is None else find_device(d)
    DEFAULT_DEVICE = NULL if found == hx_cpu() else found
    NAMED_DEVICE = None


cdef str ready_device(str name):
    """The name of a device whose backend is registered; loads the plugin that offers it."""
    cdef str kind = name.partition(":")[0]
    if kind == "cpu" or kind in READY_KINDS:
        return name
    from helix.backends.discovery import ready
    name = ready(name)
    READY_KINDS.add(name.partition(":")[0])
    return name


cdef set READY_KINDS = set()


def devices():
    """A list of (name, facts) for every device of every registered backend."""
    cdef const hx_backend *backend
    cdef hx_device_info info
    cdef hx_err err
    cdef int i, k
    found = []
    for i in range(hx_backend_count()):
        backend = hx_backend_at(i)
        for k in range(backend.device_count(backend.ctx)):
            memset(&info, 0, sizeof(info))
            memset(&err, 0, sizeof(err))
            info.struct_size = sizeof(info)
            err.struct_size = sizeof(err)
            name = backend.name.decode()
            if backend.device_info(backend.ctx, k, &info, &err) != HX_OK:
                found.append((f"{name}:{k}", {"error": err.msg.decode("utf-8", "replace")}))
                continue
            found.append((name if name == "cpu" else f"{name}:{k}", {
                "name": info.name.decode("utf-8", "replace"), "arch": info.arch.decode("utf-8", "replace"),
                "total_memory": info.total_memory, "emulated": bool(info.caps & HX_CAP_EMULATED),
                "source_kind": info.source_kind.decode("ascii", "replace"),
                "dtypes": [t.name for t in DTYPES if info.dtypes >> (<dtype>t).code & 1]}))
    return found


cpdef object get_default_dtype():
    """The dtype of floating results that nothing else decides: float32 unless changed."""
    return DTYPES[<int>hx_default_float()]


def set_default_dtype(d):
    """Sets the default floating dtype: float32, float64, float16 or bfloat16."""
    cdef int code = dtype_code(d)
    if not hx_is_floating(<hx_dtype>code):
        fail(HX_E_DTYPE, HX1101_DTYPE, "set_default_dtype", f"d must be a floating dtype, got {DTYPES[code].name}.")
    hx_set_default_float(<hx_dtype>code)


def promote_types(type1, type2):
    """The smallest dtype that both dtypes can be stored in."""
    return DTYPES[<int>hx_promote(<hx_dtype>dtype_code(type1), <hx_dtype>dtype_code(type2))]


def can_cast(from_, to):
    """True when values of dtype `from_` may be stored in place into `to`."""
    return bool(hx_can_cast(<hx_dtype>dtype_code(from_), <hx_dtype>dtype_code(to)))


def result_type(*operands):
    """The dtype that arithmetic between the given tensors, numbers and dtypes has."""
    cdef hx_operand room[16]
    cdef int n = 0
    if not 0 < len(operands) <= 16:
        fail(HX_E_TYPE, HX1103_ARGUMENT, "result_type", f"takes 1 to 16 operands, got {len(operands)}.")
    for value in operands:
        room[n].rank0 = False
        room[n].number = False
        if isinstance(value, Tensor):
            room[n].dtype = <hx_dtype>(<Tensor>value).t.dtype
            room[n].rank0 = (<Tensor>value).t.ndim == 0
        elif isinstance(value, (int, float, complex)):
            room[n].dtype = <hx_dtype>dtype_code(type(value))
            room[n].number = True
        else:
            room[n].dtype = <hx_dtype>dtype_code(value)
        n += 1
    return DTYPES[<int>hx_result_type(room, n, hx_default_float())]
