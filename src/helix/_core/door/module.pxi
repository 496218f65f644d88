# What happens at import: the core starts, and every record becomes its functions and methods.

def add_methods(methods):
    """Puts Python functions into Tensor: {name: function}."""
    for name, function in methods.items():
        door_add_to_type(<PyTypeObject *>Tensor, intern(name), function)


cdef dict function_names = {}
cdef dict nn_names = {}
cdef dict fft_names = {}
cdef dict special_names = {}
cdef dict linalg_names = {}


def __getattr__(name):
    """Ops that stand in no namespace, such as fused optimizer steps: `helix._core.adam_step`."""
    return op_named(name)


def functions():
    """The functions of the helix namespace that come from records, by name."""
    return dict(function_names)


def nn_functions():
    """The functions of helix.nn.functional that come from records, by name."""
    return dict(nn_names)


def fft_functions():
    """The functions of helix.fft, by name."""
    return dict(fft_names)


def special_functions():
    """The functions of helix.special that come from records marked so, by name."""
    return dict(special_names)


def linalg_functions():
    """The functions of helix.linalg that come from records, by name."""
    return dict(linalg_names)


cdef int install(const hx_op *record) except -1:
    """The function of a record, its in-place form, methods and further names."""
    cdef Op plain = make_op(record, False)
    cdef Op inplace = make_op(record, True) if record.flags & HX_INPLACE else None
    OPS[plain.__name__] = plain
    if inplace is not None:
        INPLACE_OPS[inplace.__name__] = inplace
    if record.flags & HX_INTERNAL_OP:
        return 0
    for name in [plain.__name__, *alias_names(record)]:
        if record.flags & HX_FUNCTION:
            function_names[intern(name)] = plain
        if record.flags & HX_NN:
            nn_names[intern(name)] = plain
        if record.flags & HX_FFT:
            fft_names[intern(name.removeprefix("fft_"))] = plain
        if record.flags & HX_SPECIAL:
            special_names[intern(name.removeprefix("special_"))] = plain
        if record.flags & HX_LINALG:
            linalg_names[intern(name.removeprefix("linalg_"))] = plain
        if record.flags & HX_METHOD:
            door_add_to_type(<PyTypeObject *>Tensor, intern(name), plain)
        if inplace is not None:
            install_inplace(record, intern(name + "_"), inplace)
    return 0


cdef int install_inplace(const hx_op *record, str name, Op inplace) except -1:
    if record.flags & HX_METHOD:
        door_add_to_type(<PyTypeObject *>Tensor, name, inplace)
    if record.flags & HX_FUNCTION:
        function_names[name] = inplace
    if record.flags & HX_NN:
        nn_names[name] = inplace
    return 0


cdef int start() except -1:
    global door_original_new, door_fields_offset
    cdef Op probe = Op.__new__(Op)
    cdef Tensor tensor_probe
    cdef int i
    check(hx_init())
    hx_set_blocking(&BLOCKING)
    make_dtypes(globals())
    door_make_callable(<PyTypeObject *>Op, <char *>&probe.vectorcall - <char *><PyObject *>probe)
    for i in range(hx_op_count()):
        install(hx_op_at(i))
    (<Op>OPS["view"]).dtype_form = OPS["view_dtype"]
    find_operators()
    door_collect(<PyTypeObject *>Tensor, <void *>release_object)
    tensor_probe = Tensor.__new__(Tensor)
    door_fields_offset = <char *>&tensor_probe.t - <char *><PyObject *>tensor_probe
    door_original_new = door_get_new(<PyTypeObject *>Tensor)
    door_set_new(<PyTypeObject *>Tensor, tensor_new)
    for cls in (Op, Node, HookHandle, CustomNode, dtype):
        door_set_new(<PyTypeObject *>cls, door_refuse_new)
    return 0


start()
