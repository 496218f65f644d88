# A backend written in Python as an hx_backend: slots that take the GIL and call the methods of its Device.
#
# The core sees numbers, the backend its own objects; `Handles` is the table between. A device that is not thread-safe
# is guarded by a lock of its own, waited for without the GIL: the core must hold no lock of its own around a slot, so
# these devices tell it that they are thread-safe. Frees may come from any thread, also one without the GIL: what
# cannot be freed at once waits in a list for the next alloc or sync.

cdef extern from *:
    """
    static volatile int adapter_closed; /* the interpreter is about to end: no slot enters it any more */

    typedef struct adapter_waiting {
        struct adapter_waiting *next;
        uint64_t handle;
    } adapter_waiting;
    static adapter_waiting *adapter_lists[256]; /* by device */

    /* Without memory the block stays taken until the end of the process, where all blocks are given back. */
    static void adapter_postpone(uint64_t handle) {
        adapter_waiting **list = &adapter_lists[handle >> 56], *one = malloc(sizeof *one);
        if (!one) return;
        one->handle = handle;
        one->next = __atomic_load_n(list, __ATOMIC_RELAXED);
        while (!__atomic_compare_exchange_n(list, &one->next, one, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {}
    }
    static adapter_waiting *adapter_take_waiting(uint64_t device) {
        adapter_waiting **list = &adapter_lists[device];
        if (!__atomic_load_n(list, __ATOMIC_RELAXED)) return NULL;
        return __atomic_exchange_n(list, (adapter_waiting *)NULL, __ATOMIC_ACQUIRE);
    }
    """
    int adapter_closed
    ctypedef struct adapter_waiting:
        adapter_waiting *next
        uint64_t handle
    void adapter_postpone(uint64_t handle) nogil
    adapter_waiting *adapter_take_waiting(uint64_t device) nogil

cdef extern from "Python.h":
    ctypedef void *PyThread_type_lock
    PyThread_type_lock PyThread_allocate_lock() nogil
    int PyThread_acquire_lock(PyThread_type_lock, int) nogil
    void PyThread_release_lock(PyThread_type_lock) nogil
    object PyMemoryView_FromMemory(char *, Py_ssize_t, int)
    int PyBUF_READ, PyBUF_WRITE
    void PyErr_Fetch(PyObject **, PyObject **, PyObject **)
    void PyErr_Restore(PyObject *, PyObject *, PyObject *)
    void PyErr_SetObject(object, object)
    void PyErr_WriteUnraisable(object)

from libc.stdlib cimport free as c_free, malloc as c_malloc, realloc as c_realloc


# ---- numbers for objects ----

cdef struct Slot:
    PyObject *object
    uint32_t generation  # of the handle that is valid now; a stale handle differs
    uint32_t next_free


cdef class Handles:
    """Objects by number: 8 bits of the device, 24 of a generation, 32 of the place."""
    cdef Slot *slots
    cdef uint32_t used, room, first_free
    cdef uint64_t device
    cdef str kind

    def __cinit__(self, int device, str kind):
        self.device = <uint64_t>device << 56
        self.kind = kind
        self.used = 1  # handle 0 is never given

    cdef uint64_t add(self, object value) except 0:
        cdef uint32_t place = self.first_free
        cdef Slot *grown
        if place:
            self.first_free = self.slots[place].next_free
        else:
            if self.used >= self.room:
                grown = <Slot *>c_realloc(self.slots, (2 * self.room + 64) * sizeof(Slot))
                if grown == NULL:
                    raise MemoryError(f"no room for one more {self.kind}")
                memset(&grown[self.room], 0, (self.room + 64) * sizeof(Slot))
                self.slots = grown
                self.room = 2 * self.room + 64
            place = self.used
            self.used += 1
        Py_INCREF(value)
        self.slots[place].object = <PyObject *>value
        return self.device | <uint64_t>(self.slots[place].generation & 0xFFFFFF) << 32 | place

    cdef Slot *find(self, uint64_t handle) except NULL:
        cdef uint32_t place = <uint32_t>handle
        cdef Slot *slot
        if place < self.used and place and (handle ^ self.device) >> 56 == 0:
            slot = &self.slots[place]
            if slot.object != NULL and (<uint32_t>(handle >> 32) ^ slot.generation) & 0xFFFFFF == 0:
                return slot
        raise LookupError(f"{self.kind} {handle:#x} is not there, or was given back")

    cdef object get(self, uint64_t handle):
        return <object>self.find(handle).object

    cdef object take(self, uint64_t handle):
        cdef Slot *slot = self.find(handle)
        cdef object value = <object>slot.object
        Py_DECREF(value)
        slot.object = NULL
        slot.generation += 1
        slot.next_free = self.first_free
        self.first_free = <uint32_t>handle
        return value

    cdef list take_all(self):
        cdef list found = []
        cdef uint32_t place
        for place in range(1, self.used):
            if self.slots[place].object != NULL:
                found.append(self.take(self.device | <uint64_t>(self.slots[place].generation & 0xFFFFFF) << 32 | place))
        return found


# ---- one device ----

cdef class BackendAdapter


cdef class DeviceAdapter:
    cdef BackendAdapter owner
    cdef object device
    cdef uint64_t number
    cdef object alloc, free, copy_in, copy_out, copy_within, fill, sync, address, launch, record, query
    cdef dict natives, checks
    cdef Handles blocks, programs, streams, events
    cdef PyThread_type_lock lock  # NULL: the device is thread-safe
    cdef unsigned long holder
    cdef int depth
    cdef bint closed

    def __cinit__(self, BackendAdapter owner, int index, object device):
        cdef int number = len(DEVICE_ADAPTERS)
        if number >= 256:
            raise RuntimeError("more than 256 devices of Python backends")
        self.owner = owner
        self.device = device
        self.number = number
        self.blocks = Handles(number, "block")
        self.programs = Handles(number, "program")
        self.streams = Handles(number, "stream")
        self.events = Handles(number, "event")
        self.alloc, self.free, self.sync = device.alloc, device.free, device.sync
        self.copy_in, self.copy_out = device.copy_in, device.copy_out
        self.copy_within = device.copy_within if owner.has("copy_within") else None
        self.address = device.address if owner.has("address") else None
        self.fill, self.launch, self.record, self.query = device.fill, device.launch, device.record, device.query
        self.natives = {op: getattr(device, mark.method) for op, mark in owner.natives.items()}
        self.checks = {op: getattr(device, mark.check) for op, mark in owner.natives.items() if mark.check}
        if not owner.backend.thread_safe:
            self.lock = PyThread_allocate_lock()
            if self.lock == NULL:
                raise MemoryError("no lock for the device")

    cdef object stream(self, void *stream):
        return None if stream == NULL else self.streams.get(<uint64_t>stream)


cdef inline bint enter(DeviceAdapter d) noexcept:
    """Waits for the device's lock; False when the device is closed, because the program ends."""
    cdef unsigned long me
    if adapter_closed or d.closed:
        return False
    if d.lock == NULL:
        return True
    me = PyThread_get_thread_ident()
    if d.holder != me:
        if not PyThread_acquire_lock(d.lock, 0):
            with nogil:
                PyThread_acquire_lock(d.lock, 1)
        d.holder = me
    d.depth += 1
    return True


cdef inline void leave(DeviceAdapter d) noexcept:
    if d.lock == NULL:
        return
    d.depth -= 1
    if d.depth == 0:
        d.holder = 0
        PyThread_release_lock(d.lock)


cdef hx_code ended(hx_err *err) noexcept:
    return report(err, HX_E_DEVICE_LOST, 5003, "the device is closed, because the program ends")


cdef hx_code report(hx_err *err, int code, int number, str text) noexcept:
    cdef bytes message = text.encode("utf-8", "replace")[:sizeof(err.msg) - 1]
    err.code = code
    err.number = number
    memcpy(err.msg, PyBytes_AS_STRING(message), len(message) + 1)
    return code


cdef hx_code failed(str method, object error, hx_err *err) noexcept:
    """Leaves the error of a method in `err`, and the exception for the error that will be raised from it."""
    cdef int code = HX_E_DEVICE, number = 5003
    cdef str text
    try:
        if not isinstance(error, Exception):  # an interrupt, or the end of the program
            callback_errors[PyThread_get_thread_ident()] = error
            return report(err, HX_E_CALLBACK, 5003, "interrupted")
        text = f"{method} raised {type(error).__name__}: {error}"
        if isinstance(error, error_class(0).__mro__[1]):
            code, number, text = code_of(error), int((error.code or "HX5003")[2:]), str(error).removeprefix(f"{error.code} ")
        elif isinstance(error, MemoryError):
            code, number = HX_E_MEMORY, HX1402_MEMORY
        elif isinstance(error, NotImplementedError):
            code, number = HX_E_UNSUPPORTED, HX1701_UNSUPPORTED
        if isinstance(error, OSError) and error.errno is not None:
            err.native_code = error.errno
        slot_errors[PyThread_get_thread_ident()] = (text[:400], error)
        return report(err, code, number, text)
    except BaseException:
        return report(err, HX_E_DEVICE, 5003, "a method of the backend raised an error that cannot be printed")


cdef void tell(object error, object where) noexcept:
    """Reports an error of a slot that has no way to return one. That a device is lost, its work tells."""
    if isinstance(error, error_class(HX_E_DEVICE_LOST)):
        return
    PyErr_SetObject(type(error), error)
    PyErr_WriteUnraisable(where)


cdef int code_of(object error) except -1:
    cdef int code
    for code in range(len(ERROR_CLASSES) - 1, 0, -1):
        if ERROR_CLASSES[code] and isinstance(error, error_class(code)):
            return code
    return HX_E_DEVICE


# ---- slots: memory ----

cdef hx_code slot_alloc(void *dev, uint64_t nbytes, uint32_t kind, hx_mem *mem, hx_err *err) noexcept with gil:
    cdef DeviceAdapter d = <DeviceAdapter>dev
    cdef hx_code code = HX_OK
    if not enter(d):
        return ended(err)
    try:
        drain(d)
        block = d.alloc(nbytes, kind == HX_MEM_PINNED)
        mem.host_ptr = NULL if d.address is None else <void *><size_t>d.address(block)
        mem.handle = d.blocks.add(block)
        mem.nbytes = nbytes
        mem.kind = kind
        mem.flags = 0
    except BaseException as error:
        code = failed("alloc", error, err)
    leave(d)
    return code


cdef void slot_free(void *dev, hx_mem *mem) noexcept nogil:
    if adapter_closed or (PyGILState_Check() and free_now(dev, mem.handle)):
        return
    adapter_postpone(mem.handle)


cdef bint free_now(void *dev, uint64_t handle) noexcept with gil:
    """Frees a block unless a thread is inside the device: this one too, when its collector runs there."""
    cdef DeviceAdapter d = <DeviceAdapter>dev
    cdef PyObject *kind = NULL
    cdef PyObject *value = NULL
    cdef PyObject *trace = NULL
    if d.closed:
        return True
    if d.lock != NULL:
        if not PyThread_acquire_lock(d.lock, 0):
            return False
        d.holder = PyThread_get_thread_ident()
        d.depth = 1
    PyErr_Fetch(&kind, &value, &trace)
    free_block(d, handle)
    PyErr_Restore(kind, value, trace)
    leave(d)
    return True


cdef void free_block(DeviceAdapter d, uint64_t handle) noexcept:
    try:
        d.free(d.blocks.take(handle))
    except BaseException as error:
        tell(error, d.free)


cdef inline void drain(DeviceAdapter d) noexcept:
    cdef adapter_waiting *one = adapter_take_waiting(d.number)
    cdef adapter_waiting *next
    while one != NULL:
        next = one.next
        free_block(d, one.handle)
        c_free(one)
        one = next


cdef hx_code slot_mem_info(void *dev, uint64_t *free_bytes, uint64_t *total_bytes) noexcept with gil:
    cdef DeviceAdapter d = <DeviceAdapter>dev
    cdef hx_err err
    cdef hx_code code = HX_OK
    if not enter(d):
        return HX_E_DEVICE_LOST
    try:
        free_bytes[0], total_bytes[0] = d.device.mem_info()
    except BaseException as error:
        code = failed("mem_info", error, &err)
    leave(d)
    return code


cdef hx_code slot_copy(void *dev, void *stream, const hx_copy *c, hx_err *err) noexcept with gil:
    cdef DeviceAdapter d = <DeviceAdapter>dev
    cdef uint64_t row, rows = c.rows if c.rows > 1 else 1
    cdef hx_code code = HX_OK
    if not enter(d):
        return ended(err)
    try:
        queue = d.stream(stream)
        for row in range(rows):
            copy_piece(d, c, row * c.src_pitch if rows > 1 else 0, row * c.dst_pitch if rows > 1 else 0, queue)
    except BaseException as error:
        code = failed("a copy", error, err)
    leave(d)
    return code


cdef int copy_piece(DeviceAdapter d, const hx_copy *c, uint64_t from_, uint64_t to, object stream) except -1:
    if c.src == NULL:
        source = PyMemoryView_FromMemory(<char *>c.host_src + from_, c.nbytes, PyBUF_READ)
        d.copy_in(d.blocks.get(c.dst.handle), c.dst_offset + to, source, stream)
    elif c.dst == NULL:
        target = PyMemoryView_FromMemory(<char *>c.host_dst + to, c.nbytes, PyBUF_WRITE)
        d.copy_out(target, d.blocks.get(c.src.handle), c.src_offset + from_, stream)
    else:
        copy_between(d, d.blocks.get(c.dst.handle), c.dst_offset + to, d.blocks.get(c.src.handle),
                     c.src_offset + from_, c.nbytes, stream)
    return 0


cdef int copy_between(DeviceAdapter d, target, uint64_t to, source, uint64_t from_, uint64_t nbytes, stream) except -1:
    if d.copy_within is not None:
        d.copy_within(target, to, source, from_, nbytes, stream)
        return 0
    staged = memoryview(bytearray(nbytes))
    d.copy_out(staged, source, from_, stream)
    d.sync(stream)
    d.copy_in(target, to, staged, stream)
    d.sync(stream)
    return 0


cdef hx_code slot_fill(void *dev, void *stream, const hx_mem *mem, uint64_t offset, uint64_t nbytes, const void *pattern,
                       uint32_t pattern_bytes, hx_err *err) noexcept with gil:
    cdef DeviceAdapter d = <DeviceAdapter>dev
    cdef hx_code code = HX_OK
    if not enter(d):
        return ended(err)
    try:
        d.fill(d.blocks.get(mem.handle), offset, nbytes, (<const char *>pattern)[:pattern_bytes], d.stream(stream))
    except BaseException as error:
        code = failed("fill", error, err)
    leave(d)
    return code


# ---- slots: order ----

cdef hx_code slot_sync(void *dev, void *stream, hx_err *err) noexcept with gil:
    cdef DeviceAdapter d = <DeviceAdapter>dev
    cdef hx_code code = HX_OK
    if not enter(d):
        return ended(err)
    try:
        d.sync(d.stream(stream))
        drain(d)
    except BaseException as error:
        code = failed("sync", error, err)
    leave(d)
    return code


cdef hx_code create(DeviceAdapter d, Handles table, str method, void **made, hx_err *err) noexcept:
    cdef hx_code code = HX_OK
    if not enter(d):
        return ended(err)
    try:
        made[0] = <void *>table.add(getattr(d.device, method)())
    except BaseException as error:
        code = failed(method, error, err)
    leave(d)
    return code


cdef void destroy(DeviceAdapter d, Handles table, str method, void *handle) noexcept:
    cdef PyObject *kind = NULL
    cdef PyObject *value = NULL
    cdef PyObject *trace = NULL
    if not enter(d):
        return
    PyErr_Fetch(&kind, &value, &trace)
    try:
        object_ = table.take(<uint64_t>handle)
        if d.owner.has(method):
            getattr(d.device, method)(object_)
    except BaseException as error:
        tell(error, d.device)
    PyErr_Restore(kind, value, trace)
    leave(d)


cdef hx_code slot_stream_create(void *dev, void **stream, hx_err *err) noexcept with gil:
    return create(<DeviceAdapter>dev, (<DeviceAdapter>dev).streams, "new_stream", stream, err)


cdef void destroy_stream(void *dev, void *stream) noexcept with gil:
    destroy(<DeviceAdapter>dev, (<DeviceAdapter>dev).streams, "close_stream", stream)


cdef void slot_stream_destroy(void *dev, void *stream) noexcept nogil:
    if not adapter_closed:
        destroy_stream(dev, stream)


cdef uint64_t slot_stream_native(void *dev, void *stream) noexcept with gil:
    cdef DeviceAdapter d = <DeviceAdapter>dev
    cdef uint64_t number = 0
    if enter(d):
        try:
            number = d.device.stream_number(d.stream(stream))
        except BaseException as error:
            tell(error, d.device)
        leave(d)
    return number


cdef hx_code slot_event_create(void *dev, void **event, hx_err *err) noexcept with gil:
    return create(<DeviceAdapter>dev, (<DeviceAdapter>dev).events, "new_event", event, err)


cdef void destroy_event(void *dev, void *event) noexcept with gil:
    destroy(<DeviceAdapter>dev, (<DeviceAdapter>dev).events, "close_event", event)


cdef void slot_event_destroy(void *dev, void *event) noexcept nogil:
    if not adapter_closed:
        destroy_event(dev, event)


cdef hx_code slot_event_record(void *dev, void *event, void *stream, hx_err *err) noexcept with gil:
    cdef DeviceAdapter d = <DeviceAdapter>dev
    cdef hx_code code = HX_OK
    if not enter(d):
        return ended(err)
    try:
        d.record(d.events.get(<uint64_t>event), d.stream(stream))
    except BaseException as error:
        code = failed("record", error, err)
    leave(d)
    return code


cdef hx_code slot_event_query(void *dev, void *event, int32_t *done, hx_err *err) noexcept with gil:
    cdef DeviceAdapter d = <DeviceAdapter>dev
    cdef hx_code code = HX_OK
    if not enter(d):
        return ended(err)
    try:
        done[0] = bool(d.query(d.events.get(<uint64_t>event)))
    except BaseException as error:
        code = failed("query", error, err)
    leave(d)
    return code


cdef hx_code slot_event_sync(void *dev, void *event, hx_err *err) noexcept with gil:
    cdef DeviceAdapter d = <DeviceAdapter>dev
    cdef hx_code code = HX_OK
    if not enter(d):
        return ended(err)
    try:
        d.device.wait_event(d.events.get(<uint64_t>event))
    except BaseException as error:
        code = failed("wait_event", error, err)
    leave(d)
    return code


cdef hx_code slot_stream_wait_event(void *dev, void *stream, void *event, hx_err *err) noexcept with gil:
    cdef DeviceAdapter d = <DeviceAdapter>dev
    cdef hx_code code = HX_OK
    if not enter(d):
        return ended(err)
    try:
        d.device.stream_wait(d.stream(stream), d.events.get(<uint64_t>event))
    except BaseException as error:
        code = failed("stream_wait", error, err)
    leave(d)
    return code


# ---- slots: programs ----

cdef hx_code slot_program_load(void *dev, const hx_source *s, void **program, hx_err *err) noexcept with gil:
    cdef DeviceAdapter d = <DeviceAdapter>dev
    cdef hx_code code = HX_OK
    if not enter(d):
        return ended(err)
    try:
        program[0] = <void *>d.programs.add(d.device.load(source_object(s)))
    except BaseException as error:
        code = failed("load", error, err)
    leave(d)
    return code


cdef object source_object(const hx_source *s):
    from helix.backends.base import KernelSource
    return KernelSource(
        kind=s.kind.decode(), text=s.text[:s.length], entry=s.entry.decode(),
        options=s.options.decode() if s.options != NULL else "", n_buffers=s.n_buffers,
        scalar_dtypes=tuple([(<dtype>DTYPES[s.scalar_dtypes[i]]).name for i in range(s.n_scalars)]),
        group=(s.group[0], s.group[1], s.group[2]), exact=bool(s.flags & HX_SOURCE_EXACT))


cdef void destroy_program(void *dev, void *program) noexcept with gil:
    destroy(<DeviceAdapter>dev, (<DeviceAdapter>dev).programs, "unload", program)


cdef void slot_program_unload(void *dev, void *program) noexcept nogil:
    if not adapter_closed:
        destroy_program(dev, program)


cdef hx_code slot_launch(void *dev, void *stream, void *program, const hx_launch *l, hx_err *err) noexcept with gil:
    cdef DeviceAdapter d = <DeviceAdapter>dev
    cdef hx_code code = HX_OK
    cdef uint32_t i
    if not enter(d):
        return ended(err)
    try:
        buffers = [d.blocks.get(l.buffers[i].handle) for i in range(l.n_buffers)]
        scalars = [number_at(<hx_dtype>l.scalar_dtypes[i], <const char *>&l.scalars[i]) for i in range(l.n_scalars)]
        d.launch(d.programs.get(<uint64_t>program), buffers, scalars, (l.grid[0], l.grid[1], l.grid[2]),
                 (l.group[0], l.group[1], l.group[2]), l.shared_bytes, d.stream(stream))
    except BaseException as error:
        code = failed(f"the launch for {l.name.decode() if l.name != NULL else 'a kernel'}", error, err)
    leave(d)
    return code


# ---- slots: native ops ----

cdef class View:
    """A strided view of a block, as a native kernel receives it."""
    cdef readonly object memory, offset, shape, strides, numel, dtype, contiguous
    cdef readonly object value  # of one element in host memory; None for views of device memory


cdef class Call:
    """One call of an op: `inputs` and `outputs` are views, `attributes` a dictionary."""
    cdef readonly str op
    cdef readonly list inputs, outputs
    cdef readonly dict attributes
    cdef readonly object stream


cdef View view_object(DeviceAdapter d, const hx_view *v):
    cdef View made
    if v.flags & HX_VIEW_ABSENT:
        return None
    made = View.__new__(View)
    made.dtype = (<dtype>DTYPES[v.dtype]).name
    made.shape = ints_tuple(v.shape, v.ndim)
    made.strides = ints_tuple(v.strides, v.ndim)
    made.numel = v.numel
    made.contiguous = v.contiguous != 0
    made.offset = v.byte_offset
    if v.flags & HX_VIEW_HOST_SCALAR:
        made.value = number_at(<hx_dtype>v.dtype, <const char *>v.data)
    else:
        made.memory = d.blocks.get(v.mem.handle)
    return made


cdef object attribute_object(const hx_attr *a):
    if a.kind == HX_A_BOOL:
        return a.v.i != 0
    if a.kind == HX_A_INT:
        return a.v.i
    if a.kind == HX_A_FLOAT:
        return a.v.f
    if a.kind == HX_A_COMPLEX:
        return complex(a.v.c[0], a.v.c[1])
    if a.kind == HX_A_INTS:
        return tuple([a.v.ints[i] for i in range(a.count)])
    if a.kind == HX_A_FLOATS:
        return tuple([a.v.floats[i] for i in range(a.count)])
    if a.kind == HX_A_DTYPE:
        return (<dtype>DTYPES[a.v.i]).name
    if a.kind == HX_A_STR:
        return a.v.str[:a.count].decode()
    if a.kind == HX_A_RNG:
        return (a.v.rng.seed, a.v.rng.stream)
    return None


cdef Call call_object(DeviceAdapter d, const hx_op_call *c, object stream):
    cdef Call made = Call.__new__(Call)
    cdef uint32_t i
    made.op = c.op.decode()
    made.inputs = [view_object(d, &c.in_[i]) for i in range(c.n_in)]
    made.outputs = [view_object(d, &c.out[i]) for i in range(c.n_out)]
    made.attributes = {c.attr_names[i].decode(): attribute_object(&c.attr[i]) for i in range(c.n_attr)}
    made.stream = stream
    return made


cdef hx_code slot_op_query(void *ctx, const char *op, hx_op_support *support) noexcept with gil:
    try:
        mark = (<BackendAdapter>ctx).natives.get(op.decode())
        if mark is None:
            support.verdict = HX_NO
            return HX_OK
        support.verdict = HX_ASK if mark.check else HX_YES_IF_CONTIGUOUS if mark.contiguous else HX_YES
        support.dtypes = dtype_bits(mark.dtypes)
        support.deterministic = mark.deterministic
        support.kernel = NULL
    except BaseException as error:
        tell(error, (<BackendAdapter>ctx).backend)
        return HX_E_INTERNAL
    return HX_OK


cdef uint32_t slot_op_check(void *dev, const hx_op_call *c) noexcept with gil:
    cdef DeviceAdapter d = <DeviceAdapter>dev
    cdef uint32_t verdict = HX_NO
    if not enter(d):
        return HX_NO
    try:
        mark = d.owner.natives[c.op.decode()]
        if d.checks[mark.op](call_object(d, c, None)):
            verdict = HX_YES_IF_CONTIGUOUS if mark.contiguous else HX_YES
    except BaseException as error:
        tell(error, d.device)
    leave(d)
    return verdict


cdef hx_code slot_op_run(void *dev, void *stream, const hx_op_call *c, hx_err *err) noexcept with gil:
    cdef DeviceAdapter d = <DeviceAdapter>dev
    cdef hx_code code = HX_OK
    if not enter(d):
        return ended(err)
    try:
        call = call_object(d, c, d.stream(stream))
        d.natives[(<Call>call).op](call)
    except BaseException as error:
        code = failed(f"the kernel of {c.op.decode()}", error, err)
    leave(d)
    return code


# ---- slots: other devices and libraries ----

cdef DeviceAdapter adapter_at(str name, int index):
    owner = ADAPTERS.get(name)
    return None if owner is None else (<BackendAdapter>owner).opened.get(index)


cdef uint32_t slot_reach(void *dev, const char *peer, int32_t peer_index) noexcept with gil:
    cdef DeviceAdapter d = <DeviceAdapter>dev
    cdef DeviceAdapter other
    cdef uint32_t answer = HX_REACH_NO
    if not enter(d):
        return HX_REACH_NO
    try:
        other = adapter_at(peer.decode(), peer_index)
        if other is not None and d.device.reaches(other.device):
            answer = HX_REACH_COPY
    except BaseException as error:
        tell(error, d.device)
    leave(d)
    return answer


cdef hx_code slot_copy_peer(void *dev, void *stream, const hx_copy *c, const char *peer, void *peer_dev,
                            hx_err *err) noexcept with gil:
    """Which of the two blocks is the peer's stands in its handle."""
    cdef DeviceAdapter d = <DeviceAdapter>dev
    cdef DeviceAdapter other = <DeviceAdapter>peer_dev
    cdef DeviceAdapter target
    cdef hx_code code = HX_OK
    if not enter(d):
        return ended(err)
    try:
        target = other if c.dst.handle >> 56 == other.number else d
        source = d if target is other else other
        d.device.copy_peer(target.blocks.get(c.dst.handle), c.dst_offset, (<DeviceAdapter>source).blocks.get(c.src.handle),
                           c.src_offset, c.nbytes, other.device, target is other, d.stream(stream))
    except BaseException as error:
        code = failed("copy_peer", error, err)
    leave(d)
    return code


cdef hx_code slot_mem_import(void *dev, uint64_t native, uint64_t nbytes, hx_mem *mem, hx_err *err) noexcept with gil:
    cdef DeviceAdapter d = <DeviceAdapter>dev
    cdef hx_code code = HX_OK
    if not enter(d):
        return ended(err)
    try:
        mem.handle = d.blocks.add(d.device.import_native(native, nbytes))
        mem.nbytes = nbytes
        mem.host_ptr = NULL
    except BaseException as error:
        code = failed("import_native", error, err)
    leave(d)
    return code


cdef uint64_t slot_mem_export(void *dev, const hx_mem *mem) noexcept with gil:
    cdef DeviceAdapter d = <DeviceAdapter>dev
    cdef uint64_t number = 0
    if enter(d):
        try:
            number = d.device.native_number(d.blocks.get(mem.handle))
        except BaseException as error:
            tell(error, d.device)
        leave(d)
    return number
