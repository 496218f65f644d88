# What autograd holds of a call of a compiled function: one node between the plan of forward and the plan of backward.

cdef enum: LINK_ROOM = 192


cdef bint is_among(const hx_tensor *t, hx_tensor **those, Py_ssize_t n) noexcept:
    cdef Py_ssize_t i
    for i in range(n):
        if those[i] == t:
            return True
    return False


cdef inline uint32_t version_of(const hx_tensor *t) noexcept:
    return 0 if t.storage == NULL else t.storage.version


cdef hx_tensor **room_for(Py_ssize_t n, hx_tensor **few, list keep) except NULL:
    """`few` where it is enough, else a block that `keep` holds."""
    if n <= LINK_ROOM:
        return few
    cdef bytearray room = bytearray(n * sizeof(hx_tensor *))
    keep.append(room)
    return <hx_tensor **>PyByteArray_AS_STRING(room)


cdef class Link:
    """Forward and backward of a function, for calls that differ in nothing but values.

    Forward takes arguments and the tensors `ahead`, and gives results and what is kept. Backward takes gradients of the results
    numbered `smooth`, arguments, what was kept and some of the tensors `behind`, and gives gradients of the inputs numbered `places`:
    the arguments, then `free`, which are tensors from outside. read: the arguments whose values backward takes.

    owner: a helix.graph.linked.Gradient, which is asked where no plan stands, for gradients that can be differentiated, and for
    what hooks make of saved tensors.
    """
    cdef object owner
    cdef list ahead, behind, free, smooth, places, read
    cdef Plan forward
    cdef dict ways  # of backward: by which gradients are there, and which are wanted
    cdef int n_arguments, n_results

    def __init__(self, owner, int n_arguments, int n_results, list ahead not None, list behind not None, list free not None,
                 list smooth not None, list places not None, list read not None):
        self.owner, self.n_arguments, self.n_results = owner, n_arguments, n_results
        self.ahead, self.behind, self.free = ahead, behind, free
        self.smooth, self.places, self.read, self.ways = smooth, places, read, {}

    def set_forward(self, Plan plan not None):
        """The plan by which later calls run."""
        if plan.n_bound == self.n_arguments + len(self.ahead):
            self.forward = plan

    def set_backward(self, bytes key not None, list places not None, list read not None, list watched not None,
                     list captured not None, Plan plan):
        """How backward runs for gradients that are there, and wanted, as `key` says: the inputs whose gradients it gives; which of
        the arguments, and of what was kept, it reads, and which of `behind`; the tensors that it captured, and its plan if any."""
        self.ways[key] = places, read, watched, captured, plan

    def takes(self, tuple arguments not None):
        """Does forward's plan take these?"""
        cdef int i
        if self.forward is None or len(arguments) != self.n_arguments:
            return False
        for i in range(self.n_arguments):
            if not isinstance(arguments[i], Tensor) or not hx_plan_takes(self.forward.plan, i, (<Tensor>arguments[i]).t):
                return False
        return True

    def run(self, tuple arguments not None, seed=0, first=0):
        """The results, with their node; None, with nothing done, where forward's plan does not take these tensors."""
        cdef hx_tensor *few[LINK_ROOM]
        cdef hx_tensor *small[LINK_ROOM]
        cdef list keep = []
        cdef Plan plan = self.forward
        cdef hx_tensor **bound
        cdef hx_tensor **made
        cdef int i
        if not self.takes(arguments):
            return None
        bound, made = room_for(plan.n_bound, few, keep), room_for(plan.n_results, small, keep)
        for i in range(self.n_arguments):
            bound[i] = (<Tensor>arguments[i]).t
        for i in range(len(self.ahead)):
            bound[self.n_arguments + i] = (<Tensor>self.ahead[i]).t
        if not hx_plan_fits(plan.plan, bound):
            return None
        self.refuse_inference(bound)
        check(hx_plan_run(plan.plan, bound, seed, first, made))
        return self.joined(bound, made, plan.n_results, seed, first)

    def join(self, tuple arguments not None, list made not None, seed, first):
        """The results, with their node, of what forward made without a plan: results, and what is kept."""
        cdef list keep = []
        cdef hx_tensor **bound = pointers(list(arguments), keep, "compile", "arguments")
        cdef hx_tensor **given = pointers(made, keep, "compile", "results")
        cdef int i
        self.refuse_inference(bound)
        for i in range(len(made)):
            hx_tensor_retain(given[i])
        return self.joined(bound, given, <int>len(made), seed, first)

    cdef int refuse_inference(self, hx_tensor **arguments) except -1:
        for i in self.read:
            if arguments[<int>i].flags & HX_T_INFERENCE:
                fail(HX_E_GRADIENT, HX1506_INFERENCE, "compile", "a tensor made in inference_mode cannot be saved for backward; "
                     "clone it outside of inference_mode first")
        return 0

    cdef list joined(self, hx_tensor **arguments, hx_tensor **made, int n_made, uint64_t seed, uint64_t first):
        """Takes the references in `made`. Where a result with a gradient has one already, or is an argument, another tensor shows it."""
        cdef list results = []
        cdef Kept kept = Kept.__new__(Kept)
        cdef hx_tensor *alias = NULL
        cdef int i, done = 0
        try:
            for i in range(self.n_results):
                if i in self.smooth and (hx_requires_grad(made[i]) or is_among(made[i], arguments, self.n_arguments)):
                    check(hx_tensor_alias(made[i], &alias))
                    hx_tensor_release(made[i])
                    made[i] = alias
                done += 1
                results.append(wrap(made[i]))
            for i in range(self.n_results, n_made):
                if is_among(made[i], made, self.n_results):  # held without its history, which leads here
                    check(hx_tensor_alias(made[i], &alias))
                    hx_tensor_release(made[i])
                    made[i] = alias
            kept.hold(self, arguments, made + self.n_results, n_made - self.n_results)
            done = n_made
        finally:
            for i in range(done, n_made):
                hx_tensor_release(made[i])
        kept.seed, kept.first = seed, first
        kept.record(results)
        return results


cdef class Kept(CustomNode):
    """Arguments, what forward kept, and the versions of these and of the tensors from outside."""
    cdef Link link
    cdef hx_tensor **saved  # NULL where hooks took it
    cdef uint32_t *versions
    cdef list packed  # None without hooks
    cdef int n_saved
    cdef uint64_t seed, first

    def __dealloc__(self):
        self.forget()

    cdef c_bool forget(self) noexcept:
        """Lets go of what was saved: was there anything?"""
        cdef hx_tensor **saved = self.saved
        cdef int i, n = self.n_saved
        self.saved, self.n_saved, self.packed = NULL, 0, None
        for i in range(n):
            if saved[i] != NULL:
                hx_tensor_release(saved[i])
        PyMem_Free(saved)
        return saved != NULL

    cdef int hold(self, Link link, hx_tensor **arguments, hx_tensor **kept, int n_kept) except -1:
        """Takes the references in `kept`."""
        cdef int i, n = link.n_arguments + n_kept, behind = <int>len(link.behind), free = <int>len(link.free)
        self.saved = <hx_tensor **>PyMem_Malloc(n * sizeof(hx_tensor *) + (n + behind + free) * sizeof(uint32_t) + 1)
        if self.saved == NULL:
            raise MemoryError()
        self.link, self.versions = link, <uint32_t *>(self.saved + n)
        for i in range(link.n_arguments):
            self.saved[i] = hx_tensor_retain(arguments[i])
        memcpy(self.saved + link.n_arguments, kept, n_kept * sizeof(hx_tensor *))
        self.n_saved = n
        for i in range(n):
            self.versions[i] = version_of(self.saved[i])
        for i in range(behind):
            self.versions[n + i] = version_of((<Tensor>link.behind[i]).t)
        for i in range(free):
            self.versions[n + behind + i] = version_of((<Tensor>link.free[i]).t)
        return 0

    cdef int record(self, list results) except -1:
        cdef hx_tensor *few[LINK_ROOM]
        cdef hx_tensor *small[LINK_ROOM]
        cdef list keep = []
        cdef Link link = self.link
        cdef hx_custom custom
        cdef int i, n = link.n_arguments, free = <int>len(link.free), n_out = <int>len(link.smooth)
        cdef hx_tensor **inputs = room_for(n + free, few, keep)
        cdef hx_tensor **out = room_for(n_out, small, keep)
        memcpy(inputs, self.saved, n * sizeof(hx_tensor *))
        for i in range(free):
            inputs[n + i] = (<Tensor>link.free[i]).t
        for i in range(n_out):
            out[i] = (<Tensor>results[<int>link.smooth[i]]).t
        if hx_mode.saver != NULL:
            self.pack()
        custom.backward, custom.forget, custom.release = link_backward, forget_kept, release_custom
        custom.ctx, custom.name = <void *>self, "CompiledBackward"
        Py_INCREF(self)
        if hx_record_custom(&custom, inputs, n + free, out, n_out) != HX_OK:
            Py_DECREF(self)
            raise_pending()
        self.n = out[0].history
        return 0

    cdef int pack(self) except -1:
        """Hands hooks what backward takes."""
        cdef list tensors = [wrap(hx_tensor_retain(self.saved[i])) for i in range(self.n_saved)]
        cdef int i
        self.packed = self.link.owner.packed([tensors[i] if i >= self.link.n_arguments or i in self.link.read else None
                                            for i in range(self.n_saved)], tensors[:self.link.n_arguments])
        for i in range(self.n_saved):
            if self.packed[i] is not None:
                hx_tensor_release(self.saved[i])
                self.saved[i] = NULL
        return 0

    cdef list restored(self):
        cdef int i
        return [wrap(hx_tensor_retain(self.saved[i])) if self.saved[i] != NULL else self.packed[i].restored(self)
                for i in range(self.n_saved)]

    # ---- versions ----

    cdef int refuse(self, const hx_tensor *t, uint32_t version) except -1:
        fail(HX_E_GRADIENT, HX1501_VERSION, "compile", f"a tensor saved for backward, shape {ints_tuple(t.shape, t.ndim)}, was changed "
             f"in place afterwards (version {version} to {version_of(t)}). Use an out-of-place update, or save a clone.")
        return -1

    cdef int refuse_saved(self, list numbers) except -1:
        cdef int i
        for number in numbers:
            i = number
            if self.saved[i] != NULL and version_of(self.saved[i]) != self.versions[i]:
                self.refuse(self.saved[i], self.versions[i])
        return 0

    cdef int refuse_outside(self, list tensors, list numbers, int begin) except -1:
        cdef uint32_t *versions = self.versions + self.n_saved + begin
        cdef hx_tensor *t
        for number in numbers:
            t = (<Tensor>tensors[<int>number]).t
            if version_of(t) != versions[<int>number]:
                self.refuse(t, versions[<int>number])
        return 0

    # ---- backward ----

    cdef bytes key_of(self, hx_tensor **g, int n_out, const c_bool *need):
        """Which gradients are there, and which are wanted."""
        cdef bytes key = PyBytes_FromStringAndSize(NULL, n_out + len(self.link.places))
        cdef char *at = PyBytes_AS_STRING(key)
        cdef int i
        for i in range(n_out):
            at[i] = g[i] != NULL
        for i in range(len(self.link.places)):
            at[n_out + i] = need[<int>self.link.places[i]]
        return key

    cdef int backward(self, hx_tensor **g, int n_out, const c_bool *need, hx_tensor **gin) except -1:
        cdef Link link = self.link
        cdef bytes key
        cdef list above, found
        if hx_grad_enabled():
            self.refuse_saved(list(range(link.n_arguments)))
            self.refuse_outside(link.free, list(range(len(link.free))), <int>len(link.behind))
            above, arguments, _ = self.shown(g, n_out)
            found = link.owner.differentiable(above, arguments, (self.seed, self.first))
            return self.give(found, link.places, need, gin)
        key = self.key_of(g, n_out, need)
        way = link.ways.get(key)
        if way is None:
            link.owner.prepare(key, *self.shown(g, n_out))
            way = link.ways[key]
        places, read, watched, captured, plan = way
        self.refuse_saved(read)
        self.refuse_outside(link.behind, watched, 0)
        if self.packed is None and self.planned(plan, captured, places, g, n_out, gin):
            return 0
        found = link.owner.gradients(key, *self.shown(g, n_out), (self.seed, self.first))
        return self.give(found, places, need, gin)

    cdef tuple shown(self, hx_tensor **g, int n_out):
        """Gradients, arguments, and what was kept."""
        cdef list saved = self.restored()
        return ([None if g[i] == NULL else wrap(hx_tensor_retain(g[i])) for i in range(n_out)],
                saved[:self.link.n_arguments], saved[self.link.n_arguments:])

    cdef int give(self, list found, list places, const c_bool *need, hx_tensor **gin) except -1:
        cdef int i, place
        for i in range(len(found)):
            place = places[i]
            if found[i] is not None and need[place]:
                gin[place] = hx_tensor_retain((<Tensor?>found[i]).t)
        return 0

    cdef int planned(self, Plan plan, list captured, list places, hx_tensor **g, int n_out, hx_tensor **gin) except -1:
        """By the plan, where there is one that takes these gradients: was there?"""
        cdef hx_tensor *few[LINK_ROOM]
        cdef hx_tensor *small[LINK_ROOM]
        cdef list keep = []
        cdef hx_tensor **bound
        cdef hx_tensor **made
        cdef int i, n = 0
        if plan is None:
            return 0
        bound, made = room_for(plan.n_bound, few, keep), room_for(plan.n_results, small, keep)
        for i in range(n_out):
            if g[i] != NULL:
                bound[n] = g[i]
                n += 1
        memcpy(bound + n, self.saved, self.n_saved * sizeof(hx_tensor *))
        n += self.n_saved
        for tensor in captured:
            bound[n] = (<Tensor>tensor).t
            n += 1
        if not hx_plan_fits(plan.plan, bound):
            return 0
        check(hx_plan_run(plan.plan, bound, self.seed, self.first, made))
        for i in range(len(places)):
            gin[<int>places[i]] = made[i]
        return 1


cdef c_bool forget_kept(void *ctx) noexcept with gil:
    return (<Kept>ctx).forget()


cdef hx_status link_backward(void *ctx, hx_tensor **g, int n_out, const c_bool *need, hx_tensor **gin, int n_in) noexcept with gil:
    cdef int i
    try:
        (<Kept>ctx).backward(g, n_out, need, gin)
    except BaseException as error:
        for i in range(n_in):
            if gin[i] != NULL:
                hx_tensor_release(gin[i])
                gin[i] = NULL
        return keep_callback_error(error)
    return HX_OK


cdef class Recent:
    """The kind of the last call, for calls that run by its plan: what it is on condition of, and the plan, or the link to one with
    a gradient. changes: a list of one number, which counts what was done to modules."""
    cdef Guard guard
    cdef Plan plan
    cdef Link link
    cdef list captured, changes
    cdef object seen

    def __init__(self, Guard guard not None, list changes not None, Plan plan, list captured, Link link):
        self.guard, self.changes, self.seen = guard, changes, changes[0]
        self.plan, self.captured, self.link = plan, captured, link

    def run(self, tuple arguments not None):
        """The results, as a list; None, with nothing done, where the call may be of another kind."""
        if self.changes[0] != self.seen or not self.guard.takes(arguments):
            return None
        return self.plan.again(arguments, self.captured) if self.link is None else self.link.run(arguments)
