# The profiler's entries. See helix.profiler.

cdef object place_function = None


cdef hx_status place_now(int32_t *number) noexcept with gil:
    function = place_function  # another thread may have switched it off
    try:
        number[0] = 0 if function is None else function()
    except BaseException as error:  # an interrupt, which lands in Python's code
        return keep_callback_error(error)
    return HX_OK


def profile_mode(place):
    """Switches the profiler on, with a function that gives the number of the place that calls; None: off."""
    global place_function
    place_function = place
    hx_profile_set(place is not None, place_now)


def profile_now():
    """Nanoseconds on the clock of the profiler's entries."""
    return hx_profile_now()


cdef object profile_shape(const hx_profile_shape *s):
    if s.ndim > 8:
        return None
    return (tuple([s.size[i] for i in range(s.ndim)]), DTYPES[s.dtype].name)


def profile_take():
    """All entries, as tuples, and the number of those lost; the list is empty afterwards."""
    cdef hx_profile_event e
    cdef int64_t i
    cdef int k
    found = []
    for i in range(hx_profile_count()):
        if hx_profile_at(i, &e):
            found.append((e.op.name.decode(), e.device.name.decode(), e.start, e.nanoseconds, e.bytes_read, e.bytes_written,
                          e.place, e.thread, bool(e.backward), tuple([profile_shape(&e.input[k]) for k in range(4)]),
                          profile_shape(&e.out)))
    lost = hx_profile_lost()
    hx_profile_clear()
    return found, lost
