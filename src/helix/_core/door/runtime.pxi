# Random generators, memory, threads, and the counters that tests read.

cdef class Generator:
    """A source of random streams: a seed, and the number of the next stream.

    Every random op takes one stream; element i of a stream is the same number on every device.
    """
    cdef hx_generator own
    cdef hx_generator *g

    def __cinit__(self, seed=None):
        self.g = &self.own
        hx_generator_seed(self.g, fresh_seed() if seed is None else seed_value(seed))

    def manual_seed(self, seed):
        """Starts over from `seed`; returns the generator."""
        hx_generator_seed(self.g, seed_value(seed))
        return self

    def seed(self):
        """Starts over from a seed of the operating system, and returns it."""
        value = fresh_seed()
        hx_generator_seed(self.g, value)
        return value

    def initial_seed(self):
        """The seed it was started from."""
        return self.g.seed

    def draw(self, int count=1):
        """Takes `count` streams: the seed, and the number of the first of them."""
        cdef uint64_t first = hx_generator_draw(self.g) if count > 0 else 0
        cdef int i
        for i in range(1, count):
            hx_generator_draw(self.g)
        return self.g.seed, first

    def get_state(self):
        """The state as a dictionary: seed and next stream."""
        return {"seed": self.g.seed, "stream": generator_stream(self.g)}

    def set_state(self, state):
        """Goes on from a state that get_state gave."""
        restore_generator(self.g, seed_value(state["seed"]), seed_value(state["stream"]))

    def __repr__(self):
        return f"Generator(seed={self.g.seed}, stream={generator_stream(self.g)})"

    def __reduce__(self):
        return restored_generator, (self.get_state(),)


cdef extern from *:
    """
    static uint64_t generator_stream(hx_generator *g) { return g->next_stream; }
    static void restore_generator(hx_generator *g, uint64_t seed, uint64_t stream) {
        hx_generator_seed(g, seed);
        g->next_stream = stream;
    }
    """
    uint64_t generator_stream(hx_generator *g)
    void restore_generator(hx_generator *g, uint64_t seed, uint64_t stream)


def restored_generator(state):
    """A generator with a state that get_state gave."""
    made = Generator(0)
    made.set_state(state)
    return made


cdef uint64_t seed_value(object seed) except? 0:
    """Any int, folded into 64 bits."""
    return PyLong_AsUnsignedLongLongMask(PyNumber_Index(seed))


cdef object fresh_seed():
    import os
    return int.from_bytes(os.urandom(8), "little")


cdef Generator DEFAULT_GENERATOR = Generator(0)
DEFAULT_GENERATOR.g = hx_default_generator()


cdef dict CHOSEN = {}


def default_generator():
    """The generator that random ops use when none is given."""
    cdef hx_generator *g = hx_default_generator()
    return DEFAULT_GENERATOR if g == DEFAULT_GENERATOR.g else CHOSEN[<size_t>g]


cdef class derived_generator:
    """A context in which ops of this thread draw from a generator of its own, whose seed follows from a stream and an index."""
    cdef Generator generator
    cdef hx_generator *before

    def __init__(self, seed, stream, index):
        self.generator = Generator(hx_derived_seed(seed_value(seed), seed_value(stream), seed_value(index)))

    def __enter__(self):
        CHOSEN[<size_t>self.generator.g] = self.generator
        self.before = hx_generator_choose(self.generator.g)
        return self.generator

    def __exit__(self, *exception):
        hx_generator_choose(self.before)
        del CHOSEN[<size_t>self.generator.g]


cdef object DRAWING = None


def on_draw(function):
    """`function(generator)` is called before an op draws from a generator that it was given; None ends it."""
    global DRAWING
    DRAWING = function


# ---- memory and threads ----

def memory_stats():
    """Counters of the core: bytes live, at most, cached and allowed; tensors, nodes and blocks alive; allocations,
    and how many of these asked the system for memory."""
    cdef hx_memory_stats s
    drop_numbers()
    hx_memory_get(&s)
    return {"live_bytes": s.live_bytes, "peak_bytes": s.peak_bytes, "cached_bytes": s.cached_bytes,
            "limit_bytes": s.limit_bytes, "live_tensors": s.live_tensors, "live_nodes": s.live_nodes,
            "live_blocks": s.live_blocks, "allocations": s.allocations, "from_system": s.from_system}


def reset_peak_memory():
    """Sets the peak to what is live now."""
    drop_numbers()
    hx_memory_reset_peak()


def set_memory_limit(nbytes):
    """Allocations beyond `nbytes` raise OutOfMemoryError; 0 or None removes the limit."""
    cdef int64_t n = 0 if nbytes is None else int_value(nbytes)
    if n < 0:
        fail(HX_E_VALUE, HX1403_VALUE, "set_memory_limit", f"nbytes must not be negative, got {n}.")
    hx_memory_set_limit(n)


def empty_cache():
    """Gives memory that the pools keep back to the operating system and to the devices."""
    cdef int i
    drop_numbers()
    hx_memory_empty_cache()
    for i in range(1, hx_device_count()):
        hx_device_trim(hx_device_at(i))


def fail_allocation(n, persistent=False):
    """For tests: the n-th allocation from now fails (1 is the next one), and with `persistent` all after it; 0 stops."""
    hx_memory_fail_at(int_value(n), bool(persistent))


def allocation_count():
    """For tests: allocations since the start."""
    return hx_memory_allocation_count()


def get_num_threads():
    """How many threads kernels use."""
    return hx_threads_get()


def set_num_threads(n):
    """Sets how many threads kernels use (1 to 64)."""
    cdef int64_t value = int_value(n)
    if not 1 <= value <= 64:
        fail(HX_E_VALUE, HX1403_VALUE, "set_num_threads", f"n must be 1 to 64, got {value}.")
    hx_threads_set(<int>value)


cdef tuple DETERMINISM = ("any", "warn", "same")


def set_determinism(wanted):
    """Which kernels of devices are used: of "any" bits, those with a "warn"ing, or of the "same" bits alone. Gives the one before."""
    before = DETERMINISM[<int>hx_determinism_get()]
    hx_determinism_set(<hx_determinism><int>DETERMINISM.index(wanted))
    return before


def get_determinism():
    """What set_determinism set."""
    return DETERMINISM[<int>hx_determinism_get()]


def set_batch_invariant(on):
    """Do rows of a batch get the same bits whatever stands beside them? Gives what was before."""
    before = bool(hx_batch_invariant())
    hx_batch_invariant_set(bool(on))
    return before


def get_batch_invariant():
    """What set_batch_invariant set."""
    return bool(hx_batch_invariant())


def parallel_jobs():
    """For tests: jobs that kernels gave to several threads since the start."""
    return hx_threads_jobs()


def kernels_run():
    """For tests: kernels run by this thread since the start."""
    return hx_kernels_run()


def cpu_isa():
    """The instruction set that the CPU kernels use."""
    return hx_cpu_isa().decode()


# Long kernels let other Python threads run, and a signal's handler that raises gives them up.

cdef void *enter_blocking() noexcept nogil:
    return PyEval_SaveThread() if PyGILState_Check() else NULL


cdef void leave_blocking(void *token) noexcept nogil:
    if token != NULL:
        PyEval_RestoreThread(<PyThreadState *>token)


cdef c_bool stop_blocking(void *token) noexcept nogil:
    cdef c_bool stop
    if token == NULL:
        return PyGILState_Check() and handlers_raise()
    PyEval_RestoreThread(<PyThreadState *>token)
    stop = handlers_raise()
    PyEval_SaveThread()
    return stop


cdef c_bool handlers_raise() noexcept with gil:
    """Runs the handlers of signals that came (in the main thread), and keeps what they raise for raise_pending."""
    if PyErr_Occurred() != NULL:
        return False
    try:
        PyErr_CheckSignals()
    except BaseException as error:
        callback_errors[PyThread_get_thread_ident()] = error
        return True
    return False


cdef hx_blocking BLOCKING
BLOCKING.enter = enter_blocking
BLOCKING.leave = leave_blocking
BLOCKING.stop = stop_blocking


def run_step(updates, dict state):
    """Runs the updates of an optimizer's step and then takes their states over. No signal's handler runs in between: a step
    is made wholly or not at all."""
    hx_whole_begin()
    try:
        for update in updates:
            update.function(update.tensors, **update.options)
        for update in updates:
            state.update(update.states)
            for values in update.states.values():
                if "step" in values:
                    values["step"] += 1
    finally:
        hx_whole_end()
