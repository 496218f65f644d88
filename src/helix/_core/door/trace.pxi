# Traces: calls recorded on shapes alone, read back as Python values; and single calls of ops as a trace keeps them.

class Draw(int):
    """The number of a random stream among those that one run draws: the `generator` of a recorded random op."""

    __slots__ = ()

    def __repr__(self):
        return f"draw {int(self)}"


cdef dict place_functions = {}  # thread -> the function that numbers places, while a trace asks for them


cdef int32_t trace_place() noexcept with gil:
    try:
        return <int32_t>place_functions[PyThread_get_thread_ident()]()
    except BaseException as error:  # an interrupt, which lands in Python's code
        keep_callback_error(error)
        return -1


def trace_places(function):
    """Has `function()` called at each recorded call of this thread, for the number of the place in the program that makes
    it; None: nobody is asked. Returns the function before."""
    before = place_functions.pop(PyThread_get_thread_ident(), None)
    if function is None:
        hx_trace_set_place(NULL)
    else:
        place_functions[PyThread_get_thread_ident()] = function
        hx_trace_set_place(trace_place)
    return before


cdef dict gradient_functions = {}  # thread -> what is told of gradients that a traced program reads and sets


cdef int watch_gradient(Tensor x, bint sets) except -1:
    function = gradient_functions.get(PyThread_get_thread_ident())
    cdef hx_tensor *now = x.t.gradient
    if function is not None:
        function(x, None if now == NULL or now.storage == NULL else wrap(hx_tensor_retain(now)), sets)
    return 0


def trace_gradients(function):
    """Has `function(tensor, gradient, sets)` called before `grad` of a tensor is read or set while this thread traces, with the
    gradient of before the trace that it still has; None: nobody is told. Returns the function before."""
    before = gradient_functions.pop(PyThread_get_thread_ident(), None)
    if function is not None:
        gradient_functions[PyThread_get_thread_ident()] = function
    return before


cdef object traced_attribute(const hx_attr *a):
    cdef uint32_t i
    if a.kind == HX_A_INT:
        return a.v.i
    if a.kind == HX_A_BOOL:
        return a.v.i != 0
    if a.kind == HX_A_FLOAT:
        return a.v.f
    if a.kind == HX_A_INTS:
        return ints_tuple(a.v.ints, <int>a.count)
    if a.kind == HX_A_FLOATS:
        return tuple([a.v.floats[i] for i in range(a.count)])
    if a.kind == HX_A_DTYPE:
        return DTYPES[a.v.i]
    if a.kind == HX_A_STR:
        return a.v.str[:a.count].decode()
    if a.kind == HX_A_COMPLEX:
        return complex(a.v.c[0], a.v.c[1])
    if a.kind == HX_A_RNG:
        return Draw(a.v.rng.stream) if a.count else (a.v.rng.seed, a.v.rng.stream)
    return None


cdef class Trace:
    """A list of op calls recorded on shapes alone, which can be replayed on values. With `lower` it is a list of what runs in
    the end: kernels that the device has, and views."""
    cdef hx_trace *trace

    def __cinit__(self, bint lower=False):
        check(hx_trace_new(&self.trace))
        if lower:
            hx_trace_lower(self.trace)

    def __dealloc__(self):
        if self.trace != NULL:
            hx_trace_release(self.trace)

    def __enter__(self):
        check(hx_trace_begin(self.trace))
        return self

    def __exit__(self, *exception):
        hx_trace_end(self.trace)

    def input(self, shape, dtype=None, device=None, bint number=False, strides=None):
        """A placeholder of which only shape and dtype are known, and strides where it is not row-major; with `number` it counts as
        Python's beside tensors."""
        cdef hx_spec spec
        cdef int64_t steps[HX_MAX_RANK]
        cdef int i
        cdef hx_tensor *made = NULL
        spec_from(&spec, shape, hx_default_float() if dtype is None else dtype_code(dtype))
        if strides is not None:
            for i in range(spec.ndim):
                steps[i] = int_value(strides[i])
        check(hx_trace_input(self.trace, hx_cpu() if device is None else find_device(device), <hx_dtype>spec.dtype, spec.shape,
                             NULL if strides is None else steps, spec.ndim, &made))
        if number:
            made.flags |= HX_T_NUMBER
        return wrap(made)

    def output(self, Tensor x not None):
        """Marks a tensor as a result."""
        check(hx_trace_output(self.trace, x.t))

    def number(self, Tensor x not None):
        """The number of the value that a tensor is here, other names of it followed; -1 for a tensor the trace has not met."""
        cdef int32_t number = hx_trace_number(self.trace, x.t)
        return number if number < 0 else hx_trace_known_of(self.trace, number).shown

    def __len__(self):
        return hx_trace_length(self.trace)

    @property
    def draws(self):
        """How many random streams a run takes."""
        return hx_trace_draws(self.trace)

    def values(self):
        """What is known of each value: (origin, number of the value it shows, shape, dtype, strides, offset, is a number that is known)."""
        cdef hx_trace_known k
        cdef int i
        found = []
        for i in range(hx_trace_values(self.trace)):
            k = hx_trace_known_of(self.trace, i)
            found.append((k.origin, k.shown, ints_tuple(k.tensor.shape, k.tensor.ndim), DTYPES[k.tensor.dtype],
                          ints_tuple(k.tensor.strides, k.tensor.ndim), k.tensor.offset,
                          k.tensor.flags & HX_T_NUMBER != 0 and k.tensor.storage != NULL))
        return found

    def watch(self):
        """Notes from now on when nobody but the trace holds a value any more."""
        hx_trace_watch(self.trace)

    def gone(self):
        """Of each value of a watched trace: how many calls there were when nobody held it any more, -1 where somebody does."""
        cdef int i
        hx_trace_look(self.trace)
        return [hx_trace_gone(self.trace, i) for i in range(hx_trace_values(self.trace))]

    def packs(self):
        """Of each call of a watched trace: does its kernel have inputs with gaps copied?"""
        cdef int i
        return [hx_trace_at(self.trace, i).packs for i in range(hx_trace_length(self.trace))]

    def tensor(self, int number):
        """The tensor of a value."""
        if not 0 <= number < hx_trace_values(self.trace):
            raise IndexError(f"the trace has no value {number}")
        return wrap(hx_tensor_retain(hx_trace_known_of(self.trace, number).tensor))

    def calls(self):
        """The calls, each as (op name or number of a region, inputs, outputs, attributes, length of the list of tensors,
        writes into outputs, shows its first input, without gradients, place, device, written inputs, dtypes of the results);
        values by number, -1 is an absent tensor."""
        cdef const hx_trace_call *c
        cdef int i, k
        found = []
        for i in range(hx_trace_length(self.trace)):
            c = hx_trace_at(self.trace, i)
            found.append((c.region if c.op == NULL else (<Op>OPS[c.op.name.decode()]).__name__,
                          tuple([c.in_[k] for k in range(c.n_in)]), tuple([c.out[k] for k in range(c.n_out)]),
                          tuple([traced_attribute(&c.attr[k]) for k in range(c.n_attr)]), c.list_n, c.into, c.view, c.no_grad,
                          c.place, device_object(c.device), written_inputs(c),
                          tuple([DTYPES[c.spec[k].dtype] for k in range(c.n_out)])))
        return found

    def replay(self, inputs, n_outputs):
        """Runs the calls on values; returns the `n_outputs` results."""
        cdef list keep = []
        cdef list given = list(inputs)
        cdef list results = [None] * n_outputs
        cdef hx_tensor **i = pointers(given, keep, "replay", "inputs")
        cdef hx_tensor **o = pointers(results, keep, "replay", "outputs")
        cdef int k
        check(hx_trace_replay(self.trace, i, <int>len(given), o, <int>len(results)))
        return [wrap(o[k]) for k in range(len(results))]


cdef tuple written_inputs(const hx_trace_call *c):
    """Which inputs an op that changes a list of tensors writes."""
    cdef int i, part
    if c.op == NULL or not c.op.flags & HX_MUTATES or not c.groups:
        return ()
    part = c.list_n // c.groups
    return tuple([c.list_at + i for i in range(c.list_n) if part and c.op.writes >> (i // part) & 1])


cdef int spec_from(hx_spec *spec, object shape, int code) except -1:
    cdef int n = 0
    if len(shape) > HX_MAX_RANK:
        fail(HX_E_SHAPE, 1001, "Trace.input", f"a tensor has at most {HX_MAX_RANK} dimensions, got {len(shape)}.")
    for size in shape:
        spec.shape[n] = int_value(size)
        n += 1
    spec.ndim = <uint8_t>n
    spec.dtype = <uint8_t>code
    return 0


def trace_region(int number, inputs, specs, device=None):
    """Records a step that Python runs, by number: its inputs, and (shape, dtype) of each result. Returns the results."""
    cdef list keep = []
    cdef list given = list(inputs)
    cdef list results = [None] * len(specs)
    cdef hx_tensor **i = pointers(given, keep, "trace_region", "inputs")
    cdef hx_tensor **made = pointers(results, keep, "trace_region", "results")
    cdef bytearray room = bytearray((len(specs) + 1) * sizeof(hx_spec))
    cdef hx_spec *spec = <hx_spec *>PyByteArray_AS_STRING(room)
    cdef int k
    for k in range(len(specs)):
        spec_from(&spec[k], specs[k][0], dtype_code(specs[k][1]))
    check(hx_trace_region(number, i, <int>len(given), spec, <int>len(specs), hx_cpu() if device is None else find_device(device),
                          made))
    return [wrap(made[k]) for k in range(len(specs))]


def trace_draws(int count):
    """Takes `count` random streams of the running trace; the number of the first."""
    cdef hx_attr drawn
    cdef int i
    drawn.v.rng.stream = 0
    if not hx_tracing():
        fail(HX_E_TRACE, HX1702_TRACE, "trace_draws", "no trace is running, which could count random streams.")
    for i in range(count):
        hx_trace_draw(&drawn)
    return drawn.v.rng.stream - count + 1 if count else 0


def tracing():
    """True while a trace records this thread's calls."""
    return bool(hx_tracing())


cdef class trace_paused:
    """Calls within `with trace_paused():` run, while a trace is on; they cannot take what it has recorded."""
    cdef hx_trace *trace

    def __enter__(self):
        self.trace = hx_trace_pause()
        return self

    def __exit__(self, *exception):
        hx_trace_resume(self.trace)


def wrapped_number(value, like):
    """A Python number as an op takes it beside tensors: a tensor of no dimensions that does not promote the others."""
    cdef Tensor made = new_host(dtype_code(like), ())
    cdef char *at = <char *>made.t.data
    store_number(value, <hx_dtype>made.t.dtype, &at)
    made.t.flags |= HX_T_NUMBER
    return made


def wrapped_numbers(values):
    """Python numbers as one tensor of float64, in the memory of the host whatever the device of the tensors beside it."""
    cdef Tensor made = new_host(HX_F64, (len(values),))
    cdef char *at = <char *>made.t.data
    for value in values:
        store_number(value, HX_F64, &at)
    made.t.flags |= HX_T_NUMBER
    return made


def is_wrapped_number(Tensor x not None):
    """Is this a Python number that was made a tensor for an op?"""
    return bool(x.t.flags & HX_T_NUMBER)


cdef class untraced:
    """A context in which ops run, though a trace records."""
    cdef void *kept

    def __enter__(self):
        self.kept = hx_mode.trace
        hx_mode.trace = NULL

    def __exit__(self, *exception):
        hx_mode.trace = self.kept


cdef class OpCall:
    """One op with its attributes, ready to be called with tensors: what a node of a graph runs."""
    cdef const hx_op *op
    cdef hx_attr attr[HX_MAX_PARAMS]
    cdef int n_attr, list_n, draw_at
    cdef bint parts
    cdef uint64_t draw
    cdef hx_device *device
    cdef list keep

    def __init__(self, str op, tuple attributes, int list_n=0, device=None, bint parts=False):
        """parts: within a trace, what the op is made of is recorded in its place."""
        cdef int i
        self.parts = parts
        self.op = (<Op>op_named(op)).op
        self.keep = []
        self.list_n = list_n
        self.device = NULL if device is None else find_device(device)
        self.n_attr = 0
        self.draw_at = -1
        if len(attributes) != self.op.info.n_attr:
            fail(HX_E_VALUE, HX1403_VALUE, op, f"has {self.op.info.n_attr} attributes, got {len(attributes)}.")
        for i in range(len(attributes)):
            self.fill(&self.attr[i], traced_attribute_kind(self.op, i), attributes[i], i)
        self.n_attr = <int>len(attributes)

    cdef int fill(self, hx_attr *a, hx_param_kind kind, object v, int i) except -1:
        cdef bytearray room
        cdef Py_ssize_t k
        a.kind = HX_A_NONE
        a.count = 0
        a.v.i = 0
        if v is None:
            return 0
        if type(v) is Draw:
            self.draw_at = i
            self.draw = <uint64_t>int(v)
            a.kind = HX_A_RNG
        elif type(v) is dtype:
            a.kind = HX_A_DTYPE
            a.v.i = (<dtype>v).code
        elif PyBool_Check(v):
            a.kind = HX_A_BOOL
            a.v.i = v is True
        elif PyLong_Check(v):
            a.kind = HX_A_INT
            a.v.i = int_value(v)
        elif PyFloat_Check(v):
            a.kind = HX_A_FLOAT
            a.v.f = PyFloat_AS_DOUBLE(v)
        elif PyComplex_Check(v):
            a.kind = HX_A_COMPLEX
            a.v.c[0] = v.real
            a.v.c[1] = v.imag
        elif isinstance(v, str):
            self.keep.append(v)
            a.kind = HX_A_STR
            a.v.str = PyUnicode_AsUTF8AndSize(v, &k)
            a.count = <uint32_t>k
        elif kind == HX_P_RNG and type(v) is tuple and len(v) == 2:
            a.kind = HX_A_RNG
            a.v.rng.seed = v[0]
            a.v.rng.stream = v[1]
        elif type(v) is tuple:
            room = bytearray((len(v) + 1) * 8)
            self.keep.append(room)
            a.kind = HX_A_FLOATS if kind == HX_P_FLOATS else HX_A_INTS
            a.count = <uint32_t>len(v)
            a.v.ints = <int64_t *>PyByteArray_AS_STRING(room)
            for k in range(len(v)):
                if kind == HX_P_FLOATS:
                    (<double *>a.v.floats)[k] = v[k]
                else:
                    (<int64_t *>a.v.ints)[k] = int_value(v[k])
        else:
            fail(HX_E_TYPE, HX1103_ARGUMENT, self.op.name.decode(), f"{short_repr(v)} is no attribute of an op.")
        return 0

    def __call__(self, list inputs, seed=0, first=0):
        """Runs or records the op; (seed, first) is where the random streams of this run, or trace, begin. Returns a list of results."""
        cdef hx_call c
        cdef hx_tensor *small[16]
        cdef hx_tensor **room = small
        cdef list keep
        cdef Py_ssize_t i, n = len(inputs)
        cdef object x
        if n > 16:
            keep = []
            room = pointers(inputs, keep, "call", "inputs")
        else:
            for i in range(n):
                x = inputs[i]
                room[i] = NULL if x is None else (<Tensor?>x).t
        if n != self.op.info.n_tensors + (self.list_n - 1 if self.op.info.list_at >= 0 else 0):
            fail(HX_E_TYPE, HX1103_ARGUMENT, self.op.name.decode(), f"does not take {n} tensors.")
        hx_call_init(&c, self.op)
        c.in_ = room
        c.n_in = <int>n
        c.list_n = self.list_n
        c.device = self.device
        c.parts = self.parts
        for i in range(self.n_attr):
            c.attr[i] = self.attr[i]
        if self.draw_at >= 0:
            c.attr[self.draw_at].count = hx_tracing()
            c.attr[self.draw_at].v.rng.seed = seed
            c.attr[self.draw_at].v.rng.stream = <uint64_t>first + self.draw
        if hx_dispatch(&c) != HX_OK:
            raise_pending()
        return [wrap(c.out[i]) for i in range(c.n_out)]


cdef hx_param_kind traced_attribute_kind(const hx_op *op, int i) noexcept:
    cdef const hx_param *p = op.params
    while p.kind == HX_P_TENSOR or p.kind == HX_P_OPT_TENSOR or p.kind == HX_P_TENSORS or i > 0:
        i -= p.kind != HX_P_TENSOR and p.kind != HX_P_OPT_TENSOR and p.kind != HX_P_TENSORS
        p += 1
    return p.kind


def fused_ops():
    """What programs of the op `fused` are made of: (op, which of its attributes names the reduced axes, or -1), in the order in
    which programs count them from 1 on."""
    cdef int dims_at, i = 0
    cdef const char *name
    cdef list made = []
    while True:
        name = hx_fused_op(i, &dims_at)
        if name == NULL:
            return made
        made.append((name.decode(), dims_at))
        i += 1
