# Kernels rendered from the templates of helix.kernel: from a call of dispatch to launches of the device's programs.
#
# The first call of a kind makes a plan in Python (helix.kernel.registry.plan), whose launches are packed here into C
# arrays. Every later call finds it by its key and fills in what may differ: places, float attributes, seeds.

cdef extern from *:
    """
    #include "device.h"
    #include "late.h"
    #include "templates.h"
    static void kernel_used(hx_device *d, hx_storage *s) {
        atomic_fetch_or_explicit(&s->streams, 1ull << hx_stream_current(d)->number, memory_order_relaxed);
    }
    static const hx_device_info *kernel_info(const hx_device *d) { return &d->info; }
    static uint64_t kernel_f32(double x) {
        union { float f; uint32_t u; } v = {(float)x};
        return v.u;
    }
    static uint64_t kernel_f64(double x) {
        union { double f; uint64_t u; } v = {x};
        return v.u;
    }
    """
    void kernel_used(hx_device *, hx_storage *) nogil
    const hx_device_info *kernel_info(const hx_device *) nogil
    uint64_t kernel_f32(double) nogil
    uint64_t kernel_f64(double) nogil
    ctypedef struct hx_templates:
        bint (*offers)(const hx_op *op, const hx_device *device, hx_dtype dtype) noexcept nogil
        hx_code (*run)(const hx_op *op, hx_device *device, void *stream, const hx_op_call *call, hx_err *err) noexcept nogil
    void hx_templates_set(const hx_templates *templates)
    void hx_device_enter(hx_device *d) nogil
    void hx_device_leave(hx_device *d) nogil
    hx_status hx_late_record(hx_device *d, const hx_mem **record, int32_t *op) nogil
    hx_status hx_storage_new(hx_device *device, int64_t nbytes, hx_storage **out) nogil
    void hx_storage_release(hx_storage *s) nogil

cdef enum SourceKind:
    FROM_OFFSET, FROM_NUMBER, FROM_FUNCTION, FROM_HOST, FROM_RANDOM, FROM_OP

# One word of a launch that is read from the call.
ctypedef struct kernel_patch:
    int at, kind, number, extra  # extra: bytes an element, or the word of the generator's state

cdef enum:
    KERNEL_OPS = 2048, KERNEL_DEVICES = 64, KERNEL_PLANS = 8192

cdef uint8_t kernel_offered[KERNEL_OPS]
cdef bint kernel_ready = False
cdef list kernel_devices = [None] * KERNEL_DEVICES


cdef class PackedLaunch:
    """One launch, ready but for its patches. Buffers are numbers of views: inputs, outputs, then temporaries."""
    cdef void *program
    cdef int n_buffers, n_scalars, n_patches
    cdef int *buffers
    cdef uint64_t *words
    cdef uint8_t *dtypes
    cdef kernel_patch *patches
    cdef uint32_t grid[3]
    cdef uint32_t group[3]
    cdef list functions  # (function, numbers of its attributes)

    def __cinit__(self, int n_buffers, int n_scalars):
        self.n_buffers, self.n_scalars = n_buffers, n_scalars
        self.buffers = <int *>PyMem_Malloc((n_buffers + 1) * sizeof(int))
        self.words = <uint64_t *>PyMem_Malloc((n_scalars + 1) * sizeof(uint64_t))
        self.dtypes = <uint8_t *>PyMem_Malloc(n_scalars + 1)
        self.patches = <kernel_patch *>PyMem_Malloc((n_scalars + 1) * sizeof(kernel_patch))
        self.functions = []
        if self.buffers == NULL or self.words == NULL or self.dtypes == NULL or self.patches == NULL:
            raise MemoryError()

    def __dealloc__(self):
        PyMem_Free(self.buffers)
        PyMem_Free(self.words)
        PyMem_Free(self.dtypes)
        PyMem_Free(self.patches)


cdef class PackedPlan:
    cdef list launches, temporaries


cdef class KernelDevice:
    """What is kept for one device: its renderer, its programs by text, its plans by key."""
    cdef hx_device *device
    cdef object target, renderer
    cdef bint unique
    cdef dict programs, plans

    cdef object program_of(self, object kernel):
        from helix.kernel.passes import source_of
        text = source_of(kernel, self.renderer)
        found = self.programs.get(text)
        if found is None:
            found = self.programs[text] = self.load(kernel, text)
        return found

    cdef object load(self, object kernel, str text):
        from helix.kernel.cache import dump
        cdef hx_err err
        cdef hx_source source
        cdef void *program = NULL
        cdef hx_code code
        cdef bytes data = text.encode(), entry = kernel.name.encode(), kind = self.renderer.kind.encode()
        cdef bytes dtypes = bytes(dtype_codes[s.dtype] for s in kernel.scalars)
        dump(self.renderer.kind, kernel.name, text)
        memset(&err, 0, sizeof(err))
        memset(&source, 0, sizeof(source))
        err.struct_size, source.struct_size = sizeof(err), sizeof(source)
        source.n_buffers, source.n_scalars = len(kernel.buffers), len(kernel.scalars)
        source.kind, source.text, source.length, source.entry, source.options = kind, data, len(data), entry, b""
        source.scalar_dtypes = <const uint8_t *>PyBytes_AS_STRING(dtypes)
        source.group[0], source.group[1], source.group[2] = kernel.group
        source.flags = HX_SOURCE_EXACT if kernel.exact else 0
        hx_device_enter(self.device)
        code = self.device.backend.program_load(self.device.handle, &source, &program, &err)
        hx_device_leave(self.device)
        if code:
            raise KernelFailure(code, err.number, err.msg.decode("utf-8", "replace"))
        return <size_t>program


class KernelFailure(Exception):
    """A code of the backend on its way back to dispatch."""

    def __init__(self, code, number, text):
        super().__init__(text)
        self.code, self.number = code, number


cdef dict dtype_codes = dict(zip(
    ("bool", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f16", "bf16", "f32", "f64", "c64", "c128"), range(15)))
cdef tuple kernel_dtypes = tuple(dtype_codes)


# ---- what a device is ----

cdef KernelDevice kernel_device(hx_device *device):
    cdef KernelDevice found = kernel_devices[device.id]
    if found is None:
        found = kernel_devices[device.id] = open_kernel_device(device)
    return found


cdef KernelDevice open_kernel_device(hx_device *device):
    from helix.kernel.plan import Target
    from helix.kernel.renderers import renderer_of
    cdef const hx_device_info *info = kernel_info(device)
    cdef KernelDevice d = KernelDevice()
    d.device = device
    kind = info.source_kind.decode()
    d.renderer = renderer_of(kind)
    d.unique = d.renderer.unique_buffers
    d.target = Target(
        kind, info.arch.decode("utf-8", "replace"),
        frozenset(kernel_dtypes[i] for i in range(15) if info.arithmetic >> i & 1), info.max_group or 1,
        info.shared_bytes, info.compute_units or 1, info.subgroup or 1,
        (info.max_grid[0], info.max_grid[1], info.max_grid[2]), info.max_buffers)
    d.programs, d.plans = {}, {}
    return d


# ---- keys ----

cdef inline bint is_number_parameter(const hx_op *op, int attribute) noexcept nogil:
    """Is the attribute one of the op's numbers: a value that no code depends on?"""
    cdef const hx_param *p = op.params
    cdef int at = -1
    while p.kind != HX_P_END:
        if p.kind != HX_P_TENSOR and p.kind != HX_P_OPT_TENSOR and p.kind != HX_P_TENSORS:
            at += 1
            if at == attribute:
                return p.kind == HX_P_NUMBER or p.kind == HX_P_OPT_NUMBER or (
                    p.kind == HX_P_INT and op.flags & HX_MUTATES)  # the number of an optimizer's step
        p += 1
    return False


cdef inline Py_ssize_t attribute_bytes(const hx_attr *a) noexcept nogil:
    if a.kind == HX_A_INTS or a.kind == HX_A_FLOATS:
        return 8 * a.count
    return a.count if a.kind == HX_A_STR else 0


cdef inline int64_t attribute_word(const hx_op *op, const hx_attr *a, int i) noexcept nogil:
    if a.kind == HX_A_INT and is_number_parameter(op, i):
        return a.v.i == 1 and not op.flags & HX_MUTATES
    if a.kind == HX_A_FLOAT:
        return a.v.f == 0
    return a.v.i if a.kind == HX_A_BOOL or a.kind == HX_A_INT or a.kind == HX_A_DTYPE else 0


cdef inline bint is_wide(const hx_view *v) noexcept nogil:
    """May 32 bits be too few for the number of an element and, added to it, the step of a loop over all?"""
    return v.mem.nbytes >> (30 if hx_dtype_size(<hx_dtype>v.dtype) == 1 else 31) != 0


cdef inline char *put_view(char *p, const hx_view *v) noexcept nogil:
    cdef size_t n = 8 * v.ndim
    if v.flags & HX_VIEW_ABSENT:
        p[0] = 127
        return p + 4
    p[0], p[1] = <char>v.dtype, <char>v.ndim
    p[2] = <char>(v.flags | v.contiguous << 2 | is_wide(v) << 3)
    p[3] = 0
    memcpy(p + 4, v.shape, n)
    p += 4 + n
    if not v.contiguous:
        memcpy(p, v.strides, n)
        p += n
    return p


cdef bytes key_of(const hx_op *op, const hx_op_call *call, bint unique):
    cdef Py_ssize_t size = 8 + call.n_in + call.n_out
    cdef uint32_t i, j
    cdef uint32_t n = call.n_in + call.n_out
    cdef const hx_view *v = call.in_  # dispatch lays the outputs behind the inputs; other callers may not
    cdef const hx_attr *a
    cdef int64_t word
    for i in range(n):
        v = &call.in_[i] if i < call.n_in else &call.out[i - call.n_in]
        size += 4 + (0 if v.flags & HX_VIEW_ABSENT else 16 * v.ndim)
    for i in range(call.n_attr):
        size += 16 + attribute_bytes(&call.attr[i])
    cdef bytes room = PyBytes_FromStringAndSize(NULL, size)
    cdef char *start = PyBytes_AS_STRING(room)
    cdef char *p = start
    memset(p, 0, size)
    (<int32_t *>p)[0] = op.info.id
    (<int32_t *>p)[1] = <int32_t>call.n_in
    p += 8
    for i in range(n):
        v = &call.in_[i] if i < call.n_in else &call.out[i - call.n_in]
        p = put_view(p, v)
        if unique and not v.flags & (HX_VIEW_ABSENT | HX_VIEW_HOST_SCALAR):
            for j in range(i):
                if same_block(call, j, v):
                    p[0] = <char>(j + 1)
                    break
            p += 1
    for i in range(call.n_attr):
        a = &call.attr[i]
        word = attribute_word(op, a, i)
        (<int32_t *>p)[0] = <int32_t>a.kind
        (<int32_t *>p)[1] = <int32_t>a.count
        memcpy(p + 8, &word, 8)
        p += 16
        if attribute_bytes(a):
            memcpy(p, a.v.str, attribute_bytes(a))
            p += attribute_bytes(a)
    return room


cdef inline bint same_block(const hx_op_call *call, uint32_t j, const hx_view *v) noexcept nogil:
    cdef const hx_view *other = &call.in_[j] if j < call.n_in else &call.out[j - call.n_in]
    return not other.flags & (HX_VIEW_ABSENT | HX_VIEW_HOST_SCALAR) and other.mem.handle == v.mem.handle


# ---- plans ----

cdef object tensor_of_view(const hx_view *v, str kind, int number, object cls):
    if v.flags & HX_VIEW_ABSENT:
        return None
    return cls(kernel_dtypes[v.dtype], tuple([v.shape[d] for d in range(v.ndim)]),
               tuple([v.strides[d] for d in range(v.ndim)]), (kind, number), bool(v.flags & HX_VIEW_HOST_SCALAR))


cdef object attribute_value(const hx_op *op, const hx_attr *a, int i):
    from helix.kernel.ir import UnsupportedError
    from helix.kernel.plan import Number, Random
    if a.kind == HX_A_NONE:
        return None
    if a.kind == HX_A_BOOL:
        return bool(a.v.i)
    if a.kind == HX_A_INT:
        number = is_number_parameter(op, i) and (a.v.i != 1 or op.flags & HX_MUTATES)
        return Number(i, True) if number else a.v.i
    if a.kind == HX_A_FLOAT:
        return Number(i, False, a.v.f == 0)
    if a.kind == HX_A_INTS:
        return tuple([a.v.ints[j] for j in range(a.count)])
    if a.kind == HX_A_FLOATS:
        return tuple([a.v.floats[j] for j in range(a.count)])
    if a.kind == HX_A_DTYPE:
        return kernel_dtypes[a.v.i]
    if a.kind == HX_A_STR:
        return a.v.str[:a.count].decode()
    if a.kind == HX_A_RNG:
        return Random(i, 0)
    raise UnsupportedError("an attribute of a kind that templates do not take")


cdef object make_plan(KernelDevice d, const hx_op *op, const hx_op_call *call):
    from helix.kernel.plan import Call, Tensor
    from helix.kernel.registry import plan
    cdef uint32_t i
    cdef bint wide = False
    inputs = tuple([tensor_of_view(&call.in_[i], "in", i, Tensor) for i in range(call.n_in)])
    outputs = tuple([tensor_of_view(&call.out[i], "out", i, Tensor) for i in range(call.n_out)])
    attributes = {}
    for i in range(call.n_attr):
        attributes[call.attr_names[i].decode()] = attribute_value(op, &call.attr[i], i)
    for i in range(call.n_in):
        wide = wide or (not call.in_[i].flags & HX_VIEW_ABSENT and is_wide(&call.in_[i]))
    for i in range(call.n_out):
        wide = wide or is_wide(&call.out[i])
    seen = Call(op.name.decode(), inputs, outputs, attributes, "i64" if wide else "i32")
    owner = kernel_apart_owner(op)
    made = plan(seen, d.target) if owner == NULL else (<RawKernel>owner).plan(seen, d.target)
    return pack_plan(d, made, call)


cdef int view_number(object reference, const hx_op_call *call) except -1:
    kind, number = reference
    if kind == "late":
        return LATE_BUFFER
    return number if kind == "in" else call.n_in + number if kind == "out" else call.n_in + call.n_out + number


cdef PackedPlan pack_plan(KernelDevice d, object made, const hx_op_call *call):
    cdef PackedPlan plan = PackedPlan()
    plan.temporaries = list(made.temporaries)
    plan.launches = [pack_launch(d, one, call) for one in made.launches]
    return plan


cdef uint64_t block_of(object reference, const hx_op_call *call) except? 0:
    cdef int n = view_number(reference, call)
    if reference[0] == "temporary" or reference[0] == "late":
        return 0
    return call.in_[n].mem.handle if n < <int>call.n_in else call.out[n - <int>call.n_in].mem.handle


cdef object bind_once(object kernel, object references, const hx_op_call *call):
    """The kernel with one buffer for each block, for devices that bind a block once."""
    from helix.kernel.passes import merge_buffers
    blocks = [(r if r[0] in ("temporary", "late") else None, block_of(r, call)) for r in references]
    same = tuple([blocks.index(b) for b in blocks])
    if len(set(same)) == len(same):
        return kernel, references
    return merge_buffers(kernel, same), [references[b] for b in sorted(set(same))]


cdef PackedLaunch pack_launch(KernelDevice d, object one, const hx_op_call *call):
    from helix.kernel.ir import UnsupportedError
    from helix.kernel.plan import Derived, Host, Number, Offset, OpNumber, Random
    kernel, references = one.kernel, list(one.buffers)
    if d.unique:
        kernel, references = bind_once(kernel, references, call)
    if d.target.max_buffers and len(references) > d.target.max_buffers:
        raise UnsupportedError(f"{kernel.name} takes {len(references)} buffers, the device binds {d.target.max_buffers}")
    cdef PackedLaunch p = PackedLaunch(len(references), len(one.scalars))
    cdef kernel_patch *patch
    cdef int i
    if p.n_scalars > KERNEL_WORDS or p.n_buffers > KERNEL_BUFFERS:
        raise UnsupportedError(f"{kernel.name} takes {p.n_buffers} buffers and {p.n_scalars} scalars")
    p.program = <void *><size_t>d.program_of(kernel)
    for i, reference in enumerate(references):
        p.buffers[i] = view_number(reference, call)
    p.grid[0], p.grid[1], p.grid[2] = one.grid
    p.group[0], p.group[1], p.group[2] = kernel.group
    for i, source in enumerate(one.scalars):
        p.dtypes[i] = dtype_codes[kernel.scalars[i].dtype]
        if isinstance(source, (int, float)):
            p.words[i] = scalar_word(p.dtypes[i], isinstance(source, float), <double>source,
                                     0 if isinstance(source, float) else <int64_t>source)
            continue
        patch = &p.patches[p.n_patches]
        p.n_patches += 1
        patch.at, patch.extra = i, 0
        if isinstance(source, Offset):
            patch.kind, patch.number, patch.extra = FROM_OFFSET, view_number(source.reference, call), source.size
        elif isinstance(source, Host):
            patch.kind, patch.number = FROM_HOST, source.input
        elif isinstance(source, Random):
            patch.kind, patch.number, patch.extra = FROM_RANDOM, source.attribute, source.word
        elif isinstance(source, OpNumber):
            patch.kind = FROM_OP
        elif isinstance(source, Number):
            patch.kind, patch.number = FROM_NUMBER, source.attribute
        elif isinstance(source, Derived):
            patch.kind, patch.number = FROM_FUNCTION, len(p.functions)
            p.functions.append((source.function, tuple([n.attribute for n in source.numbers])))
        else:
            raise TypeError(f"no scalar comes from {source!r}")
    return p


# ---- programs of the op `fused` ----

def fused_program(list inputs, tuple program, tuple floats):
    """A program as its template sees it, read by the core: `inputs` are (dtype, shape). Returns how many of the last axes are
    reduced (below 0: of the first), the numbers, what each step is (op, registers, dtypes in which it takes them, attributes as a call of its own would
    have them, the values of those that are a Number), dtype and shape of all registers, and the results (register, dropped)."""
    cdef hx_attr ints, reals
    cdef hx_fused *f = <hx_fused *>PyMem_Malloc(sizeof(hx_fused))
    cdef bytearray int_room = bytearray(8 * len(program) + 8), real_room = bytearray(8 * len(floats) + 8)
    if f == NULL:
        raise MemoryError()
    try:
        memset(&ints, 0, sizeof(ints))
        memset(&reals, 0, sizeof(reals))
        ints.kind, ints.count, ints.v.ints = HX_A_INTS, <uint32_t>len(program), <int64_t *>PyByteArray_AS_STRING(int_room)
        reals.kind, reals.count, reals.v.floats = HX_A_FLOATS, <uint32_t>len(floats), <double *>PyByteArray_AS_STRING(real_room)
        for i, whole in enumerate(program):
            (<int64_t *>ints.v.ints)[<int>i] = whole
        for i, real in enumerate(floats):
            (<double *>reals.v.floats)[<int>i] = real
        for i, (kind, shape) in enumerate(inputs):
            memset(&f.made[<int>i], 0, sizeof(f.made[0]))
            f.made[<int>i].dtype, f.made[<int>i].ndim = dtype_codes[kind], len(shape)
            for d, size in enumerate(shape):
                f.made[<int>i].shape[<int>d] = size
        if hx_fused_read(f, len(inputs), &ints, &reals):
            raise_pending()
        return described(f)
    finally:
        PyMem_Free(f)


cdef tuple described(const hx_fused *f):
    cdef int i, registers = f.n_in + f.n_numbers + f.n_steps
    numbers = tuple([f.number[i].f if f.made[f.n_in + i].dtype == HX_F64 else
                     bool(f.number[i].i) if f.made[f.n_in + i].dtype == HX_BOOL else f.number[i].i for i in range(f.n_numbers)])
    made = [(kernel_dtypes[f.made[i].dtype], tuple([f.made[i].shape[d] for d in range(f.made[i].ndim)])) for i in range(registers)]
    results = [(f.result[i].of, bool(f.result[i].dropped)) for i in range(f.n_results)]
    return -f.axes if f.leading else f.axes, numbers, [described_step(&f.step[i]) for i in range(f.n_steps)], made, results


cdef tuple described_step(const hx_fused_step *s):
    from helix.kernel.plan import Number
    cdef int i
    cdef dict attributes = {}, values = {}
    for i in range(s.n_attr):
        if i != s.dims_at:
            name = s.op.info.attr_names[i].decode()
            attributes[name] = attribute_value(s.op, &s.attr[i], i)
            if isinstance(attributes[name], Number):
                values[name] = attribute_number(&s.attr[i])
    return (s.op.name.decode(), [s.in_[i] for i in range(s.n_in)], [kernel_dtypes[s.dtype[i]] for i in range(s.n_in)],
            attributes, values)


# ---- running ----

cdef inline uint64_t scalar_word(int dtype, bint real, double f, int64_t i) noexcept nogil:
    """A number in the bits of a scalar's dtype."""
    if dtype == HX_F32:
        return kernel_f32(f if real else <double>i)
    if dtype == HX_F64:
        return kernel_f64(f if real else <double>i)
    if real:
        i = <int64_t>f
    return <uint64_t>i & 0xffffffffu if dtype == HX_I32 or dtype == HX_U32 else <uint64_t>i


cdef uint64_t host_word(const hx_view *v, int dtype) noexcept nogil:
    if v.dtype == HX_BOOL or v.dtype == HX_U8:
        return scalar_word(dtype, False, 0, (<uint8_t *>v.data)[0])
    if v.dtype == HX_I8:
        return scalar_word(dtype, False, 0, (<int8_t *>v.data)[0])
    if v.dtype == HX_I16:
        return scalar_word(dtype, False, 0, (<int16_t *>v.data)[0])
    if v.dtype == HX_U16:
        return scalar_word(dtype, False, 0, (<uint16_t *>v.data)[0])
    if v.dtype == HX_I32:
        return scalar_word(dtype, False, 0, (<int32_t *>v.data)[0])
    if v.dtype == HX_U32:
        return scalar_word(dtype, False, 0, (<uint32_t *>v.data)[0])
    if v.dtype == HX_I64 or v.dtype == HX_U64:
        return scalar_word(dtype, False, 0, (<int64_t *>v.data)[0])
    if v.dtype == HX_F16:
        return scalar_word(dtype, True, hx_f16_to_f32((<uint16_t *>v.data)[0]), 0)
    if v.dtype == HX_BF16:
        return scalar_word(dtype, True, hx_bf16_to_f32((<uint16_t *>v.data)[0]), 0)
    if v.dtype == HX_F32:
        return scalar_word(dtype, True, (<float *>v.data)[0], 0)
    return scalar_word(dtype, True, (<double *>v.data)[0], 0)


cdef inline object attribute_number(const hx_attr *a):
    return a.v.f if a.kind == HX_A_FLOAT else a.v.i


cdef int fill_words(PackedLaunch p, const hx_op_call *call, int32_t running, uint64_t *words) except -1:
    cdef const kernel_patch *patch
    cdef const hx_attr *a
    cdef const hx_view *v
    cdef int i, dtype
    cdef uint64_t state
    memcpy(words, p.words, p.n_scalars * sizeof(uint64_t))
    for i in range(p.n_patches):
        patch = &p.patches[i]
        dtype = p.dtypes[patch.at]
        if patch.kind == FROM_OFFSET:
            v = &call.in_[patch.number] if patch.number < <int>call.n_in else &call.out[patch.number - <int>call.n_in]
            words[patch.at] = scalar_word(dtype, False, 0, v.byte_offset // patch.extra)
        elif patch.kind == FROM_HOST:
            words[patch.at] = host_word(&call.in_[patch.number], dtype)
        elif patch.kind == FROM_OP:
            words[patch.at] = running
        elif patch.kind == FROM_RANDOM:
            a = &call.attr[patch.number]
            state = a.v.rng.seed if patch.extra < 2 else a.v.rng.stream
            words[patch.at] = state >> (32 * (patch.extra & 1)) & 0xffffffffu
        elif patch.kind == FROM_FUNCTION:
            function, numbers = p.functions[patch.number]
            value = function(*[attribute_number(&call.attr[n]) for n in numbers])
            words[patch.at] = scalar_word(dtype, isinstance(value, float), value, 0 if isinstance(value, float) else value)
        else:
            a = &call.attr[patch.number]
            words[patch.at] = scalar_word(dtype, a.kind == HX_A_FLOAT, a.v.f, a.v.i)
    return 0


cdef enum:
    KERNEL_WORDS = 128, KERNEL_BUFFERS = 32, KERNEL_TEMPORARIES = 16
    LATE_BUFFER = 0x10000  # in the place of a view's number


cdef hx_code run_launch(KernelDevice d, PackedLaunch p, void *stream, const hx_op_call *call, hx_storage **temporary,
                        hx_err *err) except? HX_E_INTERNAL:
    cdef uint64_t words[KERNEL_WORDS]
    cdef const hx_mem *buffers[KERNEL_BUFFERS]
    cdef hx_launch launch
    cdef int32_t running = 0
    cdef int i, n
    cdef hx_code code
    for i in range(p.n_buffers):
        n = p.buffers[i]
        if n == LATE_BUFFER:
            code = hx_late_record(d.device, &buffers[i], &running)
            if code:
                return code
        elif n < <int>call.n_in:
            buffers[i] = call.in_[n].mem
        elif n < <int>(call.n_in + call.n_out):
            buffers[i] = call.out[n - <int>call.n_in].mem
        else:
            buffers[i] = &temporary[n - <int>(call.n_in + call.n_out)].mem
    fill_words(p, call, running, words)
    memset(&launch, 0, sizeof(launch))
    launch.struct_size, launch.n_buffers, launch.n_scalars = sizeof(launch), p.n_buffers, p.n_scalars
    memcpy(launch.grid, p.grid, sizeof(launch.grid))
    memcpy(launch.group, p.group, sizeof(launch.group))
    launch.buffers, launch.scalars, launch.scalar_dtypes, launch.name = buffers, words, p.dtypes, call.op
    hx_device_enter(d.device)
    code = d.device.backend.launch(d.device.handle, stream, p.program, &launch, err)
    hx_device_leave(d.device)
    return code


cdef hx_code run_plan(KernelDevice d, PackedPlan plan, void *stream, const hx_op_call *call, hx_err *err) except? HX_E_INTERNAL:
    cdef hx_storage *temporary[KERNEL_TEMPORARIES]
    cdef int made = 0
    cdef hx_code code = HX_OK
    if len(plan.temporaries) > KERNEL_TEMPORARIES:
        raise ValueError(f"a plan with {len(plan.temporaries)} temporaries")
    try:
        for size in plan.temporaries:
            code = hx_storage_new(d.device, size, &temporary[made])
            if code:
                return code
            kernel_used(d.device, temporary[made])
            made += 1
        for one in plan.launches:
            code = run_launch(d, <PackedLaunch>one, stream, call, temporary, err)
            if code:
                return code
    finally:
        while made:
            made -= 1
            hx_storage_release(temporary[made])
    return HX_OK


cdef hx_code fail_kernel(hx_err *err, hx_code code, int number, object text) noexcept:
    err.code, err.number = code, number
    put_text(err.msg, sizeof(err.msg), text)
    return code


cdef bint elsewhere(const hx_op_call *call, const hx_device *device) noexcept nogil:
    """Does an operand other than a host scalar lie in host memory that the device cannot see?"""
    cdef uint32_t i
    if device.host_addressable:
        return False
    for i in range(call.n_in):
        if not call.in_[i].flags & (HX_VIEW_ABSENT | HX_VIEW_HOST_SCALAR) and call.in_[i].data != NULL:
            return True
    return False


cdef hx_code run_rendered(const hx_op *op, hx_device *device, void *stream, const hx_op_call *call, hx_err *err) noexcept:
    cdef KernelDevice d
    cdef PackedPlan plan
    if elsewhere(call, device):
        return HX_E_UNSUPPORTED
    try:
        d = kernel_device(device)
        key = key_of(op, call, d.unique)
        found = d.plans.get(key, d)
        if found is d:
            found = plan_or_none(d, op, call)
            if len(d.plans) >= KERNEL_PLANS:
                d.plans.clear()
            d.plans[key] = found
        if found is None:
            return HX_E_UNSUPPORTED
        plan = <PackedPlan>found
        return run_plan(d, plan, stream, call, err)
    except KernelFailure as failure:
        return fail_kernel(err, failure.code, failure.number, failure)
    except MemoryError:
        return fail_kernel(err, HX_E_MEMORY, HX1402_MEMORY, "the system gave none")
    except BaseException as error:
        if not isinstance(error, Exception):  # a signal's handler raised
            return keep_callback_error(error)
        return fail_kernel(err, HX_E_INTERNAL, HX1901_INTERNAL, f"a kernel template failed: {type(error).__name__}: {error}")


cdef object plan_or_none(KernelDevice d, const hx_op *op, const hx_op_call *call):
    from helix.kernel.ir import UnsupportedError
    try:
        return make_plan(d, op, call)
    except UnsupportedError:
        return None


cdef hx_code templates_run(const hx_op *op, hx_device *device, void *stream, const hx_op_call *call, hx_err *err) noexcept nogil:
    with gil:
        return run_rendered(op, device, stream, call, err)


cdef int prepare_templates() except -1:
    """The names of all templates, as numbers of ops: helix.kernel is imported here, at the first call that may need it."""
    global kernel_ready
    from helix.kernel.templates import offered
    cdef const hx_op *op
    for name in offered():
        op = hx_op_find(name.encode())
        if op != NULL and op.info.id < KERNEL_OPS:
            kernel_offered[op.info.id] = 1
    kernel_ready = True
    return 0


cdef bint ask_templates() noexcept with gil:
    try:
        prepare_templates()
        return True
    except BaseException as error:
        import warnings
        warnings.warn(f"helix.kernel cannot be used: {error!r}", RuntimeWarning)
        return False


cdef bint templates_offers(const hx_op *op, const hx_device *device, hx_dtype dtype) noexcept nogil:
    if not kernel_ready and not ask_templates():
        return False
    return kernel_offered[op.info.id]


cdef hx_templates kernel_templates
kernel_templates.offers = templates_offers
kernel_templates.run = templates_run
hx_templates_set(&kernel_templates)
