# What later runs of compiled functions rest on, looked at in one go.

def modes():
    """What a thread and the process have set that decides what a function does, as one number. Bit 0: are gradients recorded?"""
    return modes_now()


cdef int64_t modes_now() noexcept:
    return ((1 if hx_grad_enabled() else 0) | (2 if hx_inference_enabled() else 0) | (<int64_t>hx_determinism_get() << 2)
            | (<int64_t>hx_default_float() << 8) | (<int64_t>hx_mode.autocast[0] << 16) | (<int64_t>hx_mode.autocast[1] << 24))


def same_value(now, then):
    """The same object, or an equal value of the same type that is neither a tensor nor a module: zeros of one sign, NaNs of the
    same bits, containers of the same parts."""
    return is_same(now, then)


cdef bint is_same(object now, object then) except -1:
    cdef double a, b
    if now is then:
        return True
    if type(now) is not type(then) or isinstance(now, Tensor):
        return False
    if type(now) is float:
        a, b = now, then
        return memcmp(&a, &b, sizeof(double)) == 0
    if type(now) is complex:
        return is_same(now.real, then.real) and is_same(now.imag, then.imag)
    if type(now) is list or type(now) is tuple:
        return all_same(now, then)
    if type(now) is dict:
        return all_same(list(now), list(then)) and all_same(list((<dict>now).values()), list((<dict>then).values()))
    try:
        return bool(now == then)
    except Exception:  # an array has no one answer
        return False


cdef bint all_same(now, then) except -1:
    if len(now) != len(then):
        return False
    for a, b in zip(now, then):
        if not is_same(a, b):
            return False
    return True


cdef bint all_are(list tensors, bint wanted):
    for tensor in tensors:
        if hx_requires_grad((<Tensor>tensor).t) != wanted:
            return False
    return True


cdef object contents(object cell):
    """What a cell holds; the cell itself, which no cell held, where that is nothing."""
    try:
        return cell.cell_contents
    except ValueError:
        return cell


cdef class Guard:
    """What a call was compiled for: modes; arguments that are tensors, which of them require a gradient; what the cells and
    dicts of a function held; tensors from outside that required a gradient, and those that did not."""
    cdef int64_t modes
    cdef list wanted, cells, names, free, fixed

    def __init__(self, list wanted not None, list cells not None, list names not None, list free not None, list fixed not None):
        self.modes, self.wanted, self.cells, self.names, self.free, self.fixed = modes_now(), wanted, cells, names, free, fixed

    def takes(self, tuple args not None):
        """Is this a call of that kind, as far as shapes and attributes of modules do not decide?"""
        cdef Py_ssize_t i
        if hx_tracing() or modes_now() != self.modes or len(args) != len(self.wanted):
            return False
        for i in range(len(args)):
            arg = args[i]
            if not isinstance(arg, Tensor) or (self.modes & 1 and hx_requires_grad((<Tensor>arg).t) != <bint>self.wanted[i]):
                return False
        return self.free_hold() and self.as_before()

    def free_hold(self):
        """Do free variables hold what they held?"""
        for cell, value in self.cells:
            if not is_same(contents(cell), value):
                return False
        for names, name, value in self.names:
            if not is_same((<dict>names).get(name), value):
                return False
        return True

    def as_before(self):
        """Do the same tensors from outside require a gradient?"""
        return all_are(self.free, True) and all_are(self.fixed, False)


cdef class Standing:
    """States of an optimizer that count the same steps: names, dicts, and the tensors in them under their keys."""
    cdef list names, states, kept
    cdef tuple keys

    def __init__(self, list names not None, list states not None, tuple keys not None):
        self.names, self.states, self.keys = names, states, keys
        self.kept = [state[key] for state in states for key in keys]

    def steps(self, dict known not None):
        """How many steps they have made, where they stand in `known` as they were given; -1 where anything is another."""
        cdef Py_ssize_t i, k, count = len(self.keys)
        cdef dict state
        made = (<dict>self.states[0])["step"]
        for i in range(len(self.states)):
            state = <dict?>self.states[i]
            if known.get(self.names[i]) is not state or state.get("step") != made:
                return -1
            for k in range(count):
                if state.get(self.keys[k]) is not self.kept[i * count + k]:
                    return -1
        return made

    def count(self, by):
        """Counts `by` steps more."""
        for state in self.states:
            (<dict>state)["step"] += by
