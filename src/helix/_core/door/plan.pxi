# Plans: what a trace that lowers recorded, as kernels to be called on memory whose place is known.

from cpython cimport array as carray
import array as arrays

cdef extern from "launch.h" nogil:
    const hx_op_support *hx_own_kernel(const hx_op *op, const hx_device *device, hx_dtype key)

cdef extern from "plan.h" nogil:
    ctypedef enum hx_home:
        HX_HOME_NONE, HX_HOME_ARENA, HX_HOME_BOUND, HX_HOME_RESULT, HX_HOME_CONSTANT
    ctypedef struct hx_plan_value:
        int32_t number, slot
        uint8_t home
        bint dense
        int64_t at
    ctypedef struct hx_plan_step:
        int32_t call, n_in, n_out
        const int32_t *in_ "in"
        const int32_t *out
        bint outside
        int64_t work_at, work_bytes
    ctypedef struct hx_plan_result:
        int32_t value, slot
    ctypedef struct hx_plan
    ctypedef struct hx_plan_source:
        int32_t from_ "from"
        int32_t at
    enum:
        HX_FROM_CARRY, HX_FROM_ROW, HX_FROM_INPUT, HX_FROM_OWN
        HX_FLOW_CHOICE, HX_FLOW_SCAN, HX_FLOW_LOOP
        HX_MOST_CARRIED
    ctypedef struct hx_plan_loop:
        int32_t region, flow, n_carry
        bint reverse
        int64_t length
        hx_plan *bodies[2]
        const hx_plan_source *sources[2]
        hx_tensor **own[2]
    ctypedef struct hx_plan_data:
        hx_device *device
        const hx_plan_value *values
        const hx_plan_step *steps
        const int32_t *bound
        const int32_t *fresh
        const hx_plan_result *results
        const int32_t *written
        int n_values, n_steps, n_bound, n_inputs, n_fresh, n_results, n_written
        int64_t arena
        const hx_plan_loop *loops
        int n_loops
    ctypedef hx_status (*hx_plan_region)(void *host, int32_t region, hx_tensor **inputs, int n_in, hx_tensor **out,
                                         int n_out, uint64_t seed, uint64_t first) noexcept
    hx_status hx_plan_new(hx_trace *trace, const hx_plan_data *data, hx_plan_region region, void *host, hx_plan **out)
    void hx_plan_release(hx_plan *p)
    bint hx_plan_takes(const hx_plan *p, int i, const hx_tensor *t)
    bint hx_plan_fits(const hx_plan *p, hx_tensor **bound)
    hx_status hx_plan_run(hx_plan *p, hx_tensor **bound, uint64_t seed, uint64_t first, hx_tensor **results)
    int64_t hx_plan_needed(const hx_plan *p, int step)
    bint hx_plan_wants(const hx_plan *p)
    int64_t hx_plan_offsets(int n, const int64_t *nbytes, const int32_t *first, const int32_t *last, int64_t *offset)

# What a call of a trace is to a plan.
PLAN_CARRY, PLAN_ROW, PLAN_INPUT, PLAN_OWN = HX_FROM_CARRY, HX_FROM_ROW, HX_FROM_INPUT, HX_FROM_OWN
PLAN_CHOICE, PLAN_SCAN, PLAN_LOOP = HX_FLOW_CHOICE, HX_FLOW_SCAN, HX_FLOW_LOOP
PLAN_MOST_CARRIED = HX_MOST_CARRIED
PLAN_VIEW, PLAN_INTO, PLAN_OVER, PLAN_DENSE, PLAN_COPY, PLAN_REGION = 1, 2, 4, 8, 16, 32


cdef int plan_bits(const hx_trace_call *c, const hx_trace *t) noexcept:
    """PLAN_OVER: its result may lie where an input lies; PLAN_DENSE: it takes contiguous inputs. PLAN_COPY is the planner's to say."""
    cdef int bits = (1 if c.view else 0) | (2 if c.into else 0)
    cdef const hx_op_support *s
    cdef hx_dtype key = HX_F32
    cdef int i
    if c.op == NULL:
        return 32
    for i in range(c.n_in):
        if c.in_[i] >= 0:
            key = <hx_dtype>hx_trace_known_of(t, c.in_[i]).tensor.dtype
            break
    else:
        if c.n_out:
            key = <hx_dtype>c.spec[0].dtype
    if c.op.flags & HX_ALIAS_OK:
        bits |= 4
    if c.device.id == 0 and not c.view:
        s = hx_own_kernel(c.op, c.device, key)
        if s != NULL and s.verdict == HX_YES_IF_CONTIGUOUS:
            bits |= 8
    return bits


def plan_calls(Trace trace not None):
    """The calls of a trace as a plan sees them: (bits, inputs, outputs, inputs that are written, device)."""
    cdef const hx_trace_call *c
    cdef int i, k
    found = []
    for i in range(hx_trace_length(trace.trace)):
        c = hx_trace_at(trace.trace, i)
        found.append((plan_bits(c, trace.trace), tuple([c.in_[k] for k in range(c.n_in)]),
                      tuple([c.out[k] for k in range(c.n_out)]), written_inputs(c), c.device.id))
    return found


def plan_values(Trace trace not None):
    """The values of a trace: (was there before, bytes, contiguous, offset in bytes, (dtype, shape, strides))."""
    cdef const hx_tensor *t
    cdef hx_trace_known known
    cdef int64_t size
    cdef int i
    found = []
    for i in range(hx_trace_values(trace.trace)):
        known = hx_trace_known_of(trace.trace, i)
        t = known.tensor
        size = <int64_t>hx_dtype_size(<hx_dtype>t.dtype)
        found.append((known.origin != 3, t.numel * size, bool(hx_contiguous(t)), t.offset * size,
                      (t.dtype, ints_tuple(t.shape, t.ndim), ints_tuple(t.strides, t.ndim))))
    return found


def plan_offsets(sizes, first, last):
    """Places in one piece of memory for blocks of these sizes that live from one step to another: (bytes of the whole, offsets)."""
    cdef carray.array b = arrays.array("q", sizes), f = arrays.array("i", first), l = arrays.array("i", last)
    cdef carray.array o = arrays.array("q", bytes(8 * len(b)))
    cdef int64_t whole = hx_plan_offsets(<int>len(b), <int64_t *>b.data.as_longlongs, <int32_t *>f.data.as_ints, <int32_t *>l.data.as_ints,
                                         <int64_t *>o.data.as_longlongs)
    if whole < 0:
        raise_pending()
    return whole, o.tolist()


cdef hx_status plan_region(void *host, int32_t region, hx_tensor **inputs, int n_in, hx_tensor **out, int n_out,
                           uint64_t seed, uint64_t first) noexcept with gil:
    cdef Plan plan = <Plan>host
    cdef Tensor made
    cdef int i
    try:
        given = [None if inputs[i] == NULL else wrap(hx_tensor_retain(inputs[i])) for i in range(n_in)]
        results = plan.regions[region](given, seed, first)
        for i in range(n_out):
            made = results[i]
            check(hx_copy_into(out[i], made.t))
    except BaseException as error:
        return keep_callback_error(error)
    return HX_OK


cdef class PlanLoop:
    """Control flow whose bodies are plans (hx_plan_loop): a region, what flows, how many values are carried, a length, whether
    it begins at the end, and for each body its plan, its sources as numbers, two for each, and tensors of its own."""
    cdef hx_plan_loop loop
    cdef list kept

    def __init__(self, int region, int flow, int n_carry, int64_t length, bint reverse, list bodies not None):
        cdef carray.array numbers
        cdef bytearray room
        cdef hx_tensor **own
        cdef Tensor tensor
        cdef Plan plan
        cdef int k, i
        self.kept = list(bodies)
        self.loop.region, self.loop.flow, self.loop.n_carry = region, flow, n_carry
        self.loop.length, self.loop.reverse = length, reverse
        for k in range(len(bodies)):
            plan, sources, tensors = bodies[k]
            numbers = arrays.array("i", sources)
            room = bytearray((len(tensors) + 1) * sizeof(hx_tensor *))
            own = <hx_tensor **>PyByteArray_AS_STRING(room)
            for i in range(len(tensors)):
                tensor = tensors[i]
                own[i] = tensor.t
            self.kept += [numbers, room]
            self.loop.bodies[k] = plan.plan
            self.loop.sources[k] = <hx_plan_source *>numbers.data.as_ints
            self.loop.own[k] = own

    @property
    def wants(self):
        """Has a kernel of a body asked for more than it has?"""
        return any([entry[0].wants for entry in self.kept if isinstance(entry, tuple)])


cdef class Plan:
    """Kernels, and where each finds its operands. See helix.graph.plan, which makes it.

    values: numbers, five for each: value of the trace, slot, home (hx_home), dense copy, offset. steps: (call or -1, inputs,
    outputs, writes what was there before, where in the arena its kernel works, bytes). results: (value or -1, slot). regions: functions
    of a list of tensors, a seed and the first stream of the run; those of `loops` are plans instead.
    """
    cdef hx_plan *plan
    cdef Trace trace
    cdef list regions, loops
    cdef bytearray loop_room
    cdef readonly int64_t arena
    cdef int n_bound, n_results, n_steps

    def __init__(self, Trace trace not None, values, list steps, bound, int n_inputs, fresh, list results, written, int64_t arena,
                 list regions, list loops=[]):
        cdef hx_plan_data d
        cdef carray.array v = arrays.array("q", values), b = arrays.array("i", bound), f = arrays.array("i", fresh)
        cdef carray.array w = arrays.array("i", written)
        cdef carray.array lists = arrays.array("i", [n for s in steps for part in (s[1], s[2]) for n in part])
        cdef bytearray value_room = bytearray((len(v) // 5 + 1) * sizeof(hx_plan_value))
        cdef bytearray step_room = bytearray((len(steps) + 1) * sizeof(hx_plan_step))
        cdef bytearray result_room = bytearray((len(results) + 1) * sizeof(hx_plan_result))
        cdef hx_plan_value *value = <hx_plan_value *>PyByteArray_AS_STRING(value_room)
        cdef hx_plan_step *step = <hx_plan_step *>PyByteArray_AS_STRING(step_room)
        cdef hx_plan_result *result = <hx_plan_result *>PyByteArray_AS_STRING(result_room)
        cdef const int32_t *at = <const int32_t *>lists.data.as_ints
        cdef const long long *told = v.data.as_longlongs
        cdef int i
        self.trace, self.regions, self.arena = trace, regions, arena
        self.n_steps = <int>len(steps)
        self.n_bound, self.n_results = <int>len(b), <int>len(results)
        for i in range(len(v) // 5):
            value[i].number, value[i].slot, value[i].home = <int32_t>told[5 * i], <int32_t>told[5 * i + 1], <uint8_t>told[5 * i + 2]
            value[i].dense, value[i].at = told[5 * i + 3] != 0, told[5 * i + 4]
        for i in range(len(steps)):
            call, ins, outs, outside, step[i].work_at, step[i].work_bytes = steps[i]
            step[i].call, step[i].n_in, step[i].n_out, step[i].outside = call, <int32_t>len(ins), <int32_t>len(outs), outside
            step[i].in_ = at
            step[i].out = at + step[i].n_in
            at += step[i].n_in + step[i].n_out
        for i in range(len(results)):
            result[i].value, result[i].slot = results[i]
        d.device = hx_cpu()
        for i in range(hx_trace_length(trace.trace)):
            d.device = hx_trace_at(trace.trace, i).device
        d.values, d.steps, d.bound, d.fresh, d.results, d.written = value, step, <int32_t *>b.data.as_ints, <int32_t *>f.data.as_ints, result, <int32_t *>w.data.as_ints
        d.n_values, d.n_steps, d.n_bound, d.n_inputs = <int>(len(v) // 5), <int>len(steps), <int>len(b), n_inputs
        d.n_fresh, d.n_results, d.n_written, d.arena = <int>len(f), <int>len(results), <int>len(w), arena
        self.loops = loops
        self.loop_room = bytearray((len(loops) + 1) * sizeof(hx_plan_loop))
        for i in range(len(loops)):
            (<hx_plan_loop *>PyByteArray_AS_STRING(self.loop_room))[i] = (<PlanLoop?>loops[i]).loop
        d.loops, d.n_loops = <hx_plan_loop *>PyByteArray_AS_STRING(self.loop_room), <int>len(loops)
        check(hx_plan_new(trace.trace, &d, plan_region, <void *>self, &self.plan))

    def __dealloc__(self):
        hx_plan_release(self.plan)

    @property
    def wants(self):
        """Has a kernel asked for more memory to work in than its step has?"""
        return hx_plan_wants(self.plan) or any([loop.wants for loop in self.loops])

    def needed(self):
        """For each step, the bytes that its kernel has asked for at one time."""
        return [hx_plan_needed(self.plan, i) for i in range(self.n_steps)]

    def takes(self, inputs, list captured not None):
        """Do these lie like the first inputs, and the captured tensors, of the plan, and does it take all of those inputs?"""
        cdef Py_ssize_t i, first = self.n_bound - len(captured)
        for i in range(len(inputs)):
            if not isinstance(inputs[i], Tensor) or not hx_plan_takes(self.plan, <int>i, (<Tensor>inputs[i]).t):
                return False
        for i in range(len(captured)):
            if not hx_plan_takes(self.plan, <int>(first + i), (<Tensor?>captured[i]).t):
                return False
        return True

    def again(self, tuple inputs not None, list captured not None):
        """As `run`; None too where the plan does not take all of the inputs, so that nothing is known of how they lie."""
        cdef Py_ssize_t i
        for i in range(len(inputs)):
            if not isinstance(inputs[i], Tensor) or not hx_plan_takes(self.plan, <int>i, (<Tensor>inputs[i]).t):
                return None
        return self.run(inputs, captured)

    def run(self, inputs, list captured, seed=0, first=0):
        """The results, as a list; None, with nothing done, where the tensors do not lie as the plan takes them."""
        cdef hx_tensor *few[64]
        cdef hx_tensor *given[32]
        cdef hx_tensor **bound = few
        cdef hx_tensor **made = given
        cdef bytearray room
        cdef Py_ssize_t n = len(inputs), k, i
        if n + len(captured) != self.n_bound:
            fail(HX_E_TYPE, HX1103_ARGUMENT, "Plan.run", f"takes {self.n_bound} tensors, got {n + len(captured)}.")
        if self.n_bound > 64 or self.n_results > 32:
            room = bytearray((self.n_bound + self.n_results) * sizeof(hx_tensor *))
            bound = <hx_tensor **>PyByteArray_AS_STRING(room)
            made = bound + self.n_bound
        for i in range(n):
            if not isinstance(inputs[i], Tensor):
                return None
            bound[i] = (<Tensor>inputs[i]).t
        for i in range(len(captured)):
            bound[n + i] = (<Tensor?>captured[i]).t
        if not hx_plan_fits(self.plan, bound):
            return None
        check(hx_plan_run(self.plan, bound, seed, first, made))
        return [wrap(made[k]) for k in range(self.n_results)]
