# Backends come in: Python objects through the adapter, C plugins by capsule or as a shared library.

cdef extern from "dlfcn.h" nogil:
    void *dlopen(const char *path, int mode)
    void *dlsym(void *library, const char *name)
    const char *dlerror()
    int RTLD_NOW, RTLD_LOCAL

cdef extern from *:
    """
    #include <fenv.h>
    #include <signal.h>
    #if defined(__x86_64__)
    #include <xmmintrin.h>
    static uint64_t process_float_mode(void) { return _mm_getcsr() & ~0x3fu; } /* without the sticky flags */
    #elif defined(__aarch64__)
    static uint64_t process_float_mode(void) { uint64_t mode; __asm__ volatile("mrs %0, fpcr" : "=r"(mode)); return mode; }
    #else
    static uint64_t process_float_mode(void) { return (uint64_t)fegetround(); }
    #endif

    typedef struct process_saved {
        fenv_t environment;
        uint64_t mode;
        struct sigaction actions[65];
    } process_saved;

    static void process_save(process_saved *s) {
        fegetenv(&s->environment);
        s->mode = process_float_mode();
        for (int i = 1; i < 65; i++) sigaction(i, NULL, &s->actions[i]);
    }
    static int process_restore_float(const process_saved *s) {
        if (process_float_mode() == s->mode) return 0;
        fesetenv(&s->environment);
        return 1;
    }
    static int process_restore_signal(const process_saved *s, int number) {
        struct sigaction now;
        if (sigaction(number, NULL, &now) || now.sa_handler == s->actions[number].sa_handler) return 0;
        return sigaction(number, &s->actions[number], NULL) == 0;
    }
    """
    ctypedef struct process_saved:
        pass
    void process_save(process_saved *)
    bint process_restore_float(const process_saved *)
    bint process_restore_signal(const process_saved *, int)

cdef dict ADAPTERS = {}         # name -> BackendAdapter
cdef list DEVICE_ADAPTERS = []  # in the order of opening; never emptied: the core holds their addresses


cdef uint64_t dtype_bits(object names) except? 0:
    """A bitset of dtypes from names with blanks between, or from any sequence of dtypes."""
    cdef uint64_t bits = 0
    for one in (names.split() if isinstance(names, str) else names):
        bits |= <uint64_t>1 << dtype_code(one)
    return bits


cdef int put_text(char *room, size_t size, object text) except -1:
    cdef bytes encoded = str(text).encode("utf-8", "replace")[:size - 1]
    memcpy(room, PyBytes_AS_STRING(encoded), len(encoded) + 1)
    return 0


cdef int fill_info(hx_device_info *c, object info, int32_t dlpack_type) except -1:
    memset(c, 0, sizeof(c[0]))
    c.struct_size = sizeof(c[0])
    c.dlpack_type = dlpack_type
    put_text(c.name, sizeof(c.name), info.name)
    put_text(c.arch, sizeof(c.arch), info.arch)
    put_text(c.uuid, sizeof(c.uuid), info.uuid)
    put_text(c.source_kind, sizeof(c.source_kind), info.source_kind)
    c.total_memory = info.total_memory
    c.dtypes = dtype_bits(info.dtypes)
    c.arithmetic = c.dtypes if info.arithmetic is None else dtype_bits(info.arithmetic)
    c.max_group, c.subgroup, c.shared_bytes = info.max_group, info.subgroup, info.shared_bytes
    c.alignment, c.compute_units, c.vector_bytes = info.alignment, info.compute_units, info.vector_bytes
    c.max_grid[0], c.max_grid[1], c.max_grid[2] = info.max_grid
    c.max_buffers = info.max_buffers
    c.caps = (HX_CAP_THREAD_SAFE | (HX_CAP_HOST_ADDRESSABLE if info.host_addressable else 0)
              | (HX_CAP_STREAM_ORDERED_ALLOC if info.own_pool else 0) | (HX_CAP_EMULATED if info.emulated else 0)
              | (HX_CAP_UNIFIED if info.unified else 0))
    return 0


cdef class BackendAdapter:
    """Stays alive, with all it holds, until the process ends."""
    cdef hx_backend table
    cdef hx_device_info *infos
    cdef int n_devices
    cdef object backend
    cdef list info_objects
    cdef bytes name, version
    cdef set methods  # of Device that the class overrides
    cdef dict natives, opened

    def __cinit__(self, object backend, object infos):
        cdef int i
        from helix.backends.base import Device
        self.backend = backend
        self.name = backend.name.encode()
        self.version = str(backend.version).encode()
        self.info_objects = list(infos)
        self.n_devices = <int>len(self.info_objects)
        self.methods = {m for m in vars(Device) if getattr(backend.device_class, m, None) is not getattr(Device, m)}
        self.natives = backend.device_class.natives
        self.opened = {}
        self.infos = <hx_device_info *>c_malloc((self.n_devices + 1) * sizeof(hx_device_info))
        if self.infos == NULL:
            raise MemoryError()
        for i in range(self.n_devices):
            fill_info(&self.infos[i], self.info_objects[i], backend.dlpack_type)
        self.check_methods()
        self.fill_table()

    cdef bint has(self, str method):
        return method in self.methods

    cdef int check_methods(self) except -1:
        """A slot group is offered whole or not at all."""
        groups = [("alloc", "free", "copy_in", "copy_out", "sync")]
        for first, rest in (("new_event", ("record", "query", "wait_event")), ("load", ("launch",)), ("launch", ("load",)),
                            ("reaches", ("copy_peer",)), ("copy_peer", ("reaches",)), ("stream_wait", ("new_event",)),
                            ("close_stream", ("new_stream",)), ("close_event", ("new_event",)), ("unload", ("load",))):
            if self.has(first):
                groups.append(rest)
        if any([info.host_addressable for info in self.info_objects]):
            groups.append(("address",))
        missing = [method for group in groups for method in group if not self.has(method)]
        for mark in self.natives.values():
            dtype_bits(mark.dtypes)
            if mark.check and not hasattr(self.backend.device_class, mark.check):
                missing.append(mark.check)
        if missing:
            fail(HX_E_VERSION, HX1801_PLUGIN, "", f"backend '{self.backend.name}': class {self.backend.device_class.__name__} "
                 f"lacks {', '.join(dict.fromkeys(missing))}.")
        return 0

    cdef int fill_table(self) except -1:
        cdef hx_backend *t = &self.table
        t.struct_size = sizeof(hx_backend)
        t.abi_major, t.abi_minor = self.backend.abi
        t.name, t.version = self.name, self.version
        t.ctx = <void *>self
        t.device_count = slot_device_count
        t.device_info = slot_device_info
        t.device_open = slot_device_open
        t.device_close = slot_device_close
        t.mem_alloc = slot_alloc
        t.mem_free = slot_free
        if self.has("mem_info"):
            t.mem_info = slot_mem_info
        t.copy = slot_copy
        if self.has("fill"):
            t.fill = slot_fill
        t.sync = slot_sync
        if self.has("new_stream"):
            t.stream_create = slot_stream_create
            t.stream_destroy = slot_stream_destroy
        if self.has("stream_number"):
            t.stream_native = slot_stream_native
        if self.has("new_event"):
            t.event_create = slot_event_create
            t.event_destroy = slot_event_destroy
            t.event_record = slot_event_record
            t.event_query = slot_event_query
            t.event_sync = slot_event_sync
        if self.has("stream_wait"):
            t.stream_wait_event = slot_stream_wait_event
        if self.has("load"):
            t.program_load = slot_program_load
            t.program_unload = slot_program_unload
            t.launch = slot_launch
        if self.natives:
            t.op_query = slot_op_query
            t.op_run = slot_op_run
            if any([mark.check for mark in self.natives.values()]):
                t.op_check = slot_op_check
        if self.has("reaches"):
            t.reach = slot_reach
            t.copy_peer = slot_copy_peer
        if self.has("import_native"):
            t.mem_import = slot_mem_import
        if self.has("native_number"):
            t.mem_export = slot_mem_export
        return 0


cdef int32_t slot_device_count(void *ctx) noexcept with gil:
    return (<BackendAdapter>ctx).n_devices


cdef hx_code slot_device_info(void *ctx, int32_t index, hx_device_info *info, hx_err *err) noexcept with gil:
    cdef uint32_t size = info.struct_size if info.struct_size < sizeof(hx_device_info) else sizeof(hx_device_info)
    memcpy(info, &(<BackendAdapter>ctx).infos[index], size)
    info.struct_size = size
    return HX_OK


cdef hx_code slot_device_open(void *ctx, int32_t index, void **dev, hx_err *err) noexcept with gil:
    cdef BackendAdapter owner = <BackendAdapter>ctx
    cdef DeviceAdapter adapter
    if adapter_closed:
        return ended(err)
    try:
        opened = owner.backend.open(index)
        if not isinstance(opened, owner.backend.device_class):
            raise TypeError(f"open gave {short_repr(opened)}, not a {owner.backend.device_class.__name__}")
        if getattr(opened, "info", None) is None:
            opened.info = owner.info_objects[index]
        adapter = DeviceAdapter(owner, index, opened)
    except BaseException as error:
        return failed("open", error, err)
    DEVICE_ADAPTERS.append(adapter)
    owner.opened[index] = adapter
    dev[0] = <void *>adapter
    return HX_OK


cdef void slot_device_close(void *dev) noexcept nogil:
    if not adapter_closed:
        close_opened(dev)


cdef void close_opened(void *dev) noexcept with gil:
    close_device(<DeviceAdapter>dev)


cdef int close_device(DeviceAdapter d) noexcept:
    """Programs, memory, events, streams, then the device. What fails is reported, and the rest goes on."""
    if d.closed or not enter(d):
        return 0
    d.closed = True
    drain(d)
    for table, method in ((d.programs, "unload"), (d.blocks, "free"), (d.events, "close_event"), (d.streams, "close_stream")):
        for one in (<Handles>table).take_all():
            if d.owner.has(method):
                call_quietly(getattr(d.device, method), (one,))
    call_quietly(d.device.close, ())
    leave(d)
    return 0


cdef void call_quietly(object method, tuple arguments) noexcept:
    try:
        method(*arguments)
    except BaseException as error:
        tell(error, method)


def close_backends():
    """Closes all devices; no slot enters the interpreter after that."""
    global adapter_closed
    with nogil:
        hx_devices_close()
    for adapter in DEVICE_ADAPTERS:  # those that were lost
        close_device(adapter)
    adapter_closed = 1


cdef int close_at_exit() except -1:
    """Asked for with the first backend, after the exit handlers of what the backend imported: they run later."""
    global closes_at_exit
    if not closes_at_exit:
        import atexit
        atexit.register(close_backends)
        closes_at_exit = True
    return 0


cdef bint closes_at_exit = False


def register_backend(backend, infos):
    """Gives a helix.backends.Backend to the core, with the DeviceInfo of each of its devices."""
    cdef BackendAdapter adapter = BackendAdapter(backend, infos)
    close_at_exit()
    Py_INCREF(adapter)
    check(hx_backend_register(&adapter.table, NULL))
    ADAPTERS[backend.name] = adapter


def register_capsule(capsule, accept, directory):
    """Gives a C backend to the core: a capsule named "helix.backend.v1" around its const hx_backend *.

    `accept(name)` raises when the name will not do; `directory` is the plugin's own. The answer is (name, version,
    number of devices).
    """
    return register_table(<const hx_backend *>PyCapsule_GetPointer(capsule, HX_BACKEND_CAPSULE), accept, directory)


def register_library(path, accept):
    """Gives the backend of a shared library to the core: what its helix_backend_v1() returns. It is never unloaded."""
    cdef bytes encoded = path.encode()
    cdef void *library = dlopen(encoded, RTLD_NOW | RTLD_LOCAL)
    cdef void *symbol
    if library == NULL:
        fail(HX_E_VERSION, HX1801_PLUGIN, "", f"the library cannot be loaded: {dlerror().decode('utf-8', 'replace')}.")
    symbol = dlsym(library, HX_BACKEND_SYMBOL)
    if symbol == NULL:
        fail(HX_E_VERSION, HX1801_PLUGIN, "", f"the library does not export {HX_BACKEND_SYMBOL.decode()}.")
    return register_table((<hx_backend_entry>symbol)(), accept, path.rpartition("/")[0])


cdef object register_table(const hx_backend *table, object accept, object directory):
    cdef bytes folder = directory.encode()
    if table == NULL:
        fail(HX_E_VERSION, HX1801_PLUGIN, "", "the plugin gave no backend.")
    if table.abi_major == HX_ABI_MAJOR and table.name != NULL:
        accept(table.name.decode("utf-8", "replace"))
    close_at_exit()
    check(hx_backend_register(table, folder))
    for name, version, _, count, _ in registered_backends():
        if name == table.name.decode():
            return name, version, count


def registered_backends():
    """What the core knows: a list of (name, version, (major, minor), devices, native ops)."""
    cdef const hx_backend *b
    cdef int i
    found = []
    for i in range(hx_backend_count()):
        b = hx_backend_at(i)
        found.append((b.name.decode(), b.version.decode() if b.version != NULL else "", (b.abi_major, b.abi_minor),
                      b.device_count(b.ctx), native_ops(b)))
    return found


cdef int native_ops(const hx_backend *b) noexcept:
    """How many ops the backend has kernels for."""
    cdef hx_op_support support
    cdef int i, count = 0
    if b.op_query == NULL:
        return 0
    for i in range(hx_op_count()):
        memset(&support, 0, sizeof(support))
        support.struct_size = sizeof(support)
        count += b.op_query(b.ctx, hx_op_at(i).name, &support) == HX_OK and support.verdict != HX_NO
    return count


cdef class process_state:
    """The floating-point mode of this thread and the signal handlers of the process, as they are now."""
    cdef process_saved saved

    def __cinit__(self):
        process_save(&self.saved)

    def restore_float_mode(self):
        """Puts the mode back; True when it was another."""
        return bool(process_restore_float(&self.saved))

    def restore_signals(self):
        """Puts handlers back; the numbers of the signals that had others."""
        return [number for number in range(1, 65) if process_restore_signal(&self.saved, number)]


def device_slots(name):
    """For tests: the addresses of the slots that the backend of an opened device fills, by name; its `handle` and `ctx`."""
    cdef hx_device *d = find_device(name)
    cdef const hx_backend *b = d.backend
    addresses = {
        "handle": <size_t>d.handle, "ctx": <size_t>b.ctx, "mem_alloc": <size_t>b.mem_alloc, "mem_free": <size_t>b.mem_free,
        "mem_info": <size_t>b.mem_info, "copy": <size_t>b.copy, "fill": <size_t>b.fill, "sync": <size_t>b.sync,
        "stream_create": <size_t>b.stream_create, "stream_destroy": <size_t>b.stream_destroy,
        "stream_native": <size_t>b.stream_native, "event_create": <size_t>b.event_create,
        "event_destroy": <size_t>b.event_destroy, "event_record": <size_t>b.event_record,
        "event_query": <size_t>b.event_query, "event_sync": <size_t>b.event_sync,
        "stream_wait_event": <size_t>b.stream_wait_event, "program_load": <size_t>b.program_load,
        "program_unload": <size_t>b.program_unload, "launch": <size_t>b.launch, "op_query": <size_t>b.op_query,
        "op_check": <size_t>b.op_check, "op_run": <size_t>b.op_run, "reach": <size_t>b.reach,
        "copy_peer": <size_t>b.copy_peer, "mem_import": <size_t>b.mem_import, "mem_export": <size_t>b.mem_export}
    return {slot: address for slot, address in addresses.items() if address}


def python_device(name):
    """For tests: the Device object behind a device of a Python backend."""
    cdef hx_device *d = find_device(name)
    cdef DeviceAdapter adapter = adapter_at(d.backend.name.decode(), d.index)
    return None if adapter is None else adapter.device
