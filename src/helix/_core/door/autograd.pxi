# The autograd surface: flags, gradients, hooks, backward, custom functions, anomaly mode.

cdef int set_requires_grad(Tensor x, object value) except -1:
    check(hx_tensor_require_grad(x.t, bool(value)))
    return 0


cdef int refresh_history(Tensor x) except -1:
    """A view whose base was written in place gets its new history."""
    cdef hx_edge edge
    if x.t.base != NULL and x.t.base_writes != x.t.base.writes:
        check(hx_edge_of(x.t, &edge))
    return 0


cdef void drop_history(Tensor x) noexcept:
    cdef hx_node *history = x.t.history
    x.t.history = NULL
    x.t.output_number = 0
    if history != NULL:
        hx_node_release(history)


cdef int set_grad(Tensor x, object value) except -1:
    cdef hx_tensor *before = x.t.gradient
    cdef Tensor g
    cdef int i
    if value is None:
        x.t.gradient = NULL
        hx_tensor_release(before)
        return 0
    if not isinstance(value, Tensor):
        fail(HX_E_TYPE, HX1103_ARGUMENT, "grad", f"a gradient must be a tensor or None, got {short_repr(value)}.")
    g = value
    if g.t == x.t:
        fail(HX_E_GRADIENT, HX1505_GRAD_SHAPE, "grad", "a tensor cannot be its own gradient.")
    if g.t.ndim != x.t.ndim or memcmp(g.t.shape, x.t.shape, x.t.ndim * sizeof(int64_t)) != 0:
        fail(HX_E_GRADIENT, HX1505_GRAD_SHAPE, "grad", f"the tensor has shape {x.shape}, the gradient {g.shape}.")
    if g.t.dtype != x.t.dtype:
        fail(HX_E_GRADIENT, HX1505_GRAD_SHAPE, "grad", f"the tensor is {x.dtype.name}, the gradient {g.dtype.name}.")
    if g.t.device != x.t.device:
        fail(HX_E_GRADIENT, HX1505_GRAD_SHAPE, "grad", f"the tensor is on {x.device}, the gradient on {g.device}.")
    x.t.gradient = hx_tensor_retain(g.t)
    hx_tensor_release(before)
    return 0


# ---- nodes ----

cdef class Node:
    """The recorded op that made a tensor (`x.grad_fn`)."""
    cdef hx_node *n

    def __dealloc__(self):
        if self.n != NULL:
            hx_node_release(self.n)

    def name(self):
        """The name, e.g. "MulBackward"."""
        cdef str op
        if self.n.op != NULL:
            op = self.n.op.name.decode()
        elif self.n.custom.name != NULL:
            return self.n.custom.name.decode()
        else:
            op = "custom"
        return "".join([part[:1].upper() + part[1:] for part in op.split("_")]) + "Backward"

    @property
    def next_functions(self):
        """One (node, output number) for each input; (None, 0) for leaves and inputs without gradient."""
        cdef int i
        return tuple([(None if self.n.edges[i].node == NULL else node_object(self.n.edges[i].node), self.n.edges[i].number)
                      for i in range(self.n.n_in)])

    @property
    def variables(self):
        """The leaves that gradients go to from here."""
        cdef int i
        return tuple([wrap(hx_tensor_retain(self.n.edges[i].leaf)) for i in range(self.n.n_in) if self.n.edges[i].leaf != NULL])

    def __repr__(self):
        return f"<{self.name()}>"

    def __eq__(self, other):
        return isinstance(other, Node) and self.n == (<Node>other).n

    def __hash__(self):
        return <Py_hash_t>(<size_t>self.n >> 4)


cdef Node node_object(hx_node *n):
    cdef Node made = Node.__new__(Node)
    made.n = hx_node_retain(n)
    return made


# ---- backward ----

cdef hx_tensor **pointers(list tensors, list keep, str op, str name) except NULL:
    """An array of the tensors' pointers; None becomes NULL. The block is kept alive by `keep`."""
    cdef bytearray room = bytearray((len(tensors) + 1) * sizeof(hx_tensor *))
    cdef hx_tensor **block = <hx_tensor **>PyByteArray_AS_STRING(room)
    cdef Py_ssize_t i
    keep.append(room)
    for i in range(len(tensors)):
        value = tensors[i]
        if value is None:
            block[i] = NULL
        elif isinstance(value, Tensor):
            block[i] = (<Tensor>value).t
        else:
            fail(HX_E_TYPE, HX1103_ARGUMENT, op, f"{name}[{i}] must be a tensor, got {short_repr(value)}.")
    return block


cdef object run_backward(list roots, list gradients, object retain, object create, object inputs):
    cdef hx_backward_options options
    cdef list keep = []
    cdef list leaves = as_tensors(inputs) if inputs is not None else []
    cdef hx_tensor **r = pointers(roots, keep, "backward", "tensors")
    cdef hx_tensor **g = pointers(gradients, keep, "backward", "gradients")
    cdef hx_tensor **i = pointers(leaves, keep, "backward", "inputs")
    if inputs is not None and not leaves:
        fail(HX_E_VALUE, HX1403_VALUE, "backward", "inputs must name at least one tensor.")
    options.retain_graph = bool(retain)
    options.create_graph = bool(create)
    options.allow_unused = True
    options.accumulate = True
    check(hx_backward(r, g, <int>len(roots), i if leaves else NULL, <int>len(leaves), NULL, &options))


cdef list as_tensors(object value):
    if value is None:
        return []
    return [value] if isinstance(value, Tensor) else list(value)


cdef list matching(object gradients, Py_ssize_t n, str op, str name):
    cdef list found = [gradients] if isinstance(gradients, Tensor) else [None] * n if gradients is None else list(gradients)
    if len(found) != n:
        fail(HX_E_VALUE, HX1403_VALUE, op, f"{name} must hold one entry for each of the {n} outputs, got {len(found)}.")
    return found


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, inputs=None):
    """Adds the gradients of `tensors` to the `grad` of the leaves they depend on. See `Tensor.backward`."""
    roots = as_tensors(tensors)
    run_backward(roots, matching(grad_tensors, len(roots), "backward", "grad_tensors"),
                 create_graph if retain_graph is None else retain_graph, create_graph, inputs)


def grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, allow_unused=False):
    """The gradients of `outputs` with respect to `inputs`, as a tuple; no `grad` is changed.

    With `allow_unused`, an input that the outputs do not depend on gives None instead of an error.
    """
    cdef hx_backward_options options
    cdef list keep = []
    cdef list roots = as_tensors(outputs)
    cdef list wanted = as_tensors(inputs)
    cdef list gradients = matching(grad_outputs, len(roots), "grad", "grad_outputs")
    cdef list results = [None] * len(wanted)
    cdef hx_tensor **found = pointers(results, keep, "grad", "inputs")
    cdef hx_tensor **r = pointers(roots, keep, "grad", "outputs")
    cdef hx_tensor **g = pointers(gradients, keep, "grad", "grad_outputs")
    cdef hx_tensor **w = pointers(wanted, keep, "grad", "inputs")
    cdef Py_ssize_t i
    if not wanted or not roots:
        fail(HX_E_VALUE, HX1403_VALUE, "grad", "outputs and inputs must name at least one tensor each.")
    options.retain_graph = bool(create_graph if retain_graph is None else retain_graph)
    options.create_graph = bool(create_graph)
    options.allow_unused = bool(allow_unused)
    options.accumulate = False
    check(hx_backward(r, g, <int>len(roots), w, <int>len(wanted), found, &options))
    return tuple([None if found[i] == NULL else wrap(found[i]) for i in range(len(wanted))])


# ---- hooks ----

cdef class HookHandle:
    """What register_hook returns."""
    cdef Tensor owner
    cdef uint64_t id

    def remove(self):
        """Takes the hook away; a second time does nothing."""
        if self.owner is not None:
            hx_hook_remove(self.owner.t, self.id)
            self.owner = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.remove()


cdef hx_status call_hook(void *ctx, hx_tensor **g) noexcept with gil:
    cdef Tensor seen
    try:
        seen = wrap(hx_tensor_retain(g[0]))
        result = (<object>ctx)(seen)
        if result is not None:
            if not isinstance(result, Tensor):
                fail(HX_E_TYPE, HX1103_ARGUMENT, "hook", f"a hook must return a tensor or None, got {short_repr(result)}.")
            if (<Tensor>result).t != g[0]:
                g[0] = hx_tensor_retain((<Tensor>result).t)
    except BaseException as error:
        return keep_callback_error(error)
    return HX_OK


cdef HookHandle add_hook(Tensor x, object hook):
    cdef HookHandle handle = HookHandle.__new__(HookHandle)
    if not callable(hook):
        fail(HX_E_TYPE, HX1103_ARGUMENT, "register_hook", f"hook must be callable, got {short_repr(hook)}.")
    if not hx_requires_grad(x.t):
        fail(HX_E_GRADIENT, HX1503_NO_GRAD, "register_hook", "no gradient flows through a tensor that does not require grad.")
    check(hx_hook_add(x.t, call_hook, release_object, <void *>hook, &handle.id))
    Py_INCREF(hook)
    door_track(x)
    handle.owner = x
    return handle


# ---- custom functions ----

cdef class CustomNode:
    """What the core holds of a custom backward, while its node lives."""
    cdef object call
    cdef hx_node *n

    def output(self, Tensor saved not None, int number):
        """A saved output with its place in the graph again; as it is when the node is gone."""
        return saved if self.n == NULL else with_history(saved, self.n, number)

    def input(self, Tensor saved not None, int number):
        """The values of an input with its place in the graph again; as they are where it has none."""
        if self.n == NULL or self.n.edges[number].node == NULL:
            return saved
        return with_history(saved, self.n.edges[number].node, self.n.edges[number].number)


cdef Tensor with_history(Tensor values, hx_node *n, int number):
    cdef hx_tensor *alias = NULL
    check(hx_tensor_alias(values.t, &alias))
    alias.history = hx_node_retain(n)
    alias.output_number = number
    return wrap(alias)


cdef void release_custom(void *owner) noexcept with gil:
    cdef CustomNode custom = <CustomNode>owner
    custom.n = NULL
    custom.call = None
    Py_DECREF(custom)


cdef hx_status custom_backward(void *ctx, hx_tensor **g, int n_out, const c_bool *need, hx_tensor **gin, int n_in) noexcept with gil:
    """Calls call(gradients, needed) in Python, which gives one tensor or None for each input."""
    cdef int i
    try:
        gradients = tuple([None if g[i] == NULL else wrap(hx_tensor_retain(g[i])) for i in range(n_out)])
        results = (<CustomNode>ctx).call(gradients, tuple([bool(need[i]) for i in range(n_in)]))
        for i in range(n_in):
            result = results[i]
            if result is not None and need[i]:
                if not isinstance(result, Tensor):
                    fail(HX_E_TYPE, HX1103_ARGUMENT, "backward", f"gradient {i} must be a tensor or None, got {short_repr(result)}.")
                gin[i] = hx_tensor_retain((<Tensor>result).t)
    except BaseException as error:
        for i in range(n_in):
            if gin[i] != NULL:
                hx_tensor_release(gin[i])
                gin[i] = NULL
        return keep_callback_error(error)
    return HX_OK


def record_custom(name, inputs, outputs, call):
    """Leaves a node: the fresh tensors `outputs` depend on `inputs` through `call(gradients, needed) -> gradients`.

    Returns an object whose `output(saved, number)` puts a saved output back into the graph.
    """
    cdef hx_custom custom
    cdef CustomNode made = CustomNode.__new__(CustomNode)
    cdef list keep = []
    cdef bytes text = name.encode()
    cdef list in_list = list(inputs)
    cdef list out_list = list(outputs)
    cdef hx_tensor **i = pointers(in_list, keep, "Function", "inputs")
    cdef hx_tensor **o = pointers(out_list, keep, "Function", "outputs")
    KEPT_NAMES.setdefault(text, text)
    made.call = call
    custom.backward = custom_backward
    custom.forget = NULL
    custom.release = release_custom
    custom.ctx = <void *>made
    custom.name = PyBytes_AS_STRING(KEPT_NAMES[text])
    Py_INCREF(made)
    if hx_record_custom(&custom, i, <int>len(in_list), o, <int>len(out_list)) != HX_OK:
        Py_DECREF(made)
        raise_pending()
    made.n = o[0].history
    return made


cdef dict KEPT_NAMES = {}


# ---- modes ----

def is_grad_enabled():
    """True unless inside no_grad or inference_mode."""
    return bool(hx_grad_enabled())


def grad_mode(enabled):
    """Sets whether ops are recorded on this thread; returns the mode before. See helix.no_grad."""
    return bool(hx_grad_set(bool(enabled)))


def is_inference_mode_enabled():
    """True inside inference_mode."""
    return bool(hx_inference_enabled())


def inference(enabled):
    """Sets inference mode of this thread; returns the mode before. See helix.inference_mode."""
    return bool(hx_inference_set(bool(enabled)))


def autocast_mode(elsewhere, dtype):
    """Sets the dtype that autocast computes in on this thread, on the CPU or elsewhere; None switches it off. Returns what
    it was. See helix.autocast."""
    cdef int8_t before = hx_mode.autocast[bool(elsewhere)]
    hx_mode.autocast[bool(elsewhere)] = 0 if dtype is None else <int8_t>(1 + dtype_code(dtype))
    return None if before == 0 else DTYPES[before - 1]


def autocast_region(begins):
    """Says that a region of autocast begins or ends on this thread. See helix.autocast."""
    if begins:
        hx_autocast_enter()
    else:
        hx_autocast_leave()


def autocast_cache(enabled):
    """Whether regions of autocast keep parameters that were cast; returns what it was."""
    return bool(hx_autocast_keep(bool(enabled)))


# ---- what nodes save ----

cdef hx_status pack_saved(void *saver, hx_tensor *t, void **packed) noexcept with gil:
    try:
        pack, unpack = <object>saver
        kept = (unpack, pack(wrap(hx_tensor_retain(t))))
    except BaseException as error:
        return keep_callback_error(error)
    Py_INCREF(kept)
    packed[0] = <void *>kept
    return HX_OK


cdef hx_status unpack_saved(void *packed, hx_tensor **out) noexcept with gil:
    try:
        unpack, kept = <object>packed
        found = unpack(kept)
        if not isinstance(found, Tensor):
            fail(HX_E_TYPE, HX1103_ARGUMENT, "saved_tensors_hooks", f"unpack must return a tensor, got {short_repr(found)}.")
        out[0] = hx_tensor_retain((<Tensor>found).t)
    except BaseException as error:
        return keep_callback_error(error)
    return HX_OK


def saver_mode(saver):
    """Sets the pair (pack, unpack) through which nodes of this thread save tensors; None: as they are. Returns the pair
    before. See helix.autograd.saved_tensors_hooks."""
    cdef hx_saver_hooks hooks
    before = None if hx_mode.saver == NULL else <object>hx_mode.saver
    hooks.pack = pack_saved
    hooks.unpack = unpack_saved
    hooks.release = release_object
    hx_saver_set_hooks(&hooks)
    hx_mode.saver = NULL
    if saver is not None:
        KEPT_SAVERS[PyThread_get_thread_ident()] = saver  # the core borrows it
        hx_mode.saver = <void *>saver
    else:
        KEPT_SAVERS.pop(PyThread_get_thread_ident(), None)
    return before


cdef dict KEPT_SAVERS = {}


# ---- anomaly mode ----

cdef str PACKAGE_FOLDER = ""


cdef void *note_place() noexcept with gil:
    """The innermost line outside helix, as a str that the node owns."""
    try:
        import sys
        frame = sys._getframe(0)
        while frame is not None and frame.f_code.co_filename.startswith(PACKAGE_FOLDER):
            frame = frame.f_back
        place = "?" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"
    except Exception:
        return NULL
    Py_INCREF(place)
    return <void *>place


cdef const char *place_text(void *where) noexcept with gil:
    try:
        return PyUnicode_AsUTF8(<object>where)
    except Exception:
        return ""


def anomaly_mode(enabled):
    """Sets anomaly mode of this thread; returns the mode before. See helix.autograd.detect_anomaly."""
    global PACKAGE_FOLDER
    cdef hx_anomaly hooks
    if not PACKAGE_FOLDER:
        import os
        import helix
        PACKAGE_FOLDER = os.path.dirname(helix.__file__) + os.sep
        hooks.note = note_place
        hooks.release = release_object
        hooks.text = place_text
        hx_anomaly_hooks(&hooks)
    return bool(hx_anomaly_set(bool(enabled)))
