# Streams, events and the memory of devices.

cdef class Stream:
    """A queue of work on a device: its work runs in order, beside that of other streams.

    In `with helix.Stream("sim:0"):` the work of this thread on that device goes to the stream. Work that reads what
    another stream wrote must wait for it: `stream.wait(other)`. The CPU, and devices with but one queue, give that one.
    """
    cdef hx_stream *s
    cdef list entered

    def __cinit__(self, device=None):
        check(hx_stream_new(find_device("cpu" if device is None else device), &self.s))
        self.entered = []

    def __dealloc__(self):
        if self.s != NULL:
            hx_stream_release(self.s)

    @property
    def device(self):
        """The device it belongs to."""
        return device_object(self.s.device)

    def synchronize(self):
        """Waits until all work on the stream is done. Errors of earlier work are raised here."""
        check(hx_stream_sync(self.s))

    def wait(self, other not None):
        """Later work on this stream waits for what `other`, a stream or an event, holds now. Does not block the host
        where both belong to one device with events."""
        if isinstance(other, Stream):
            check(hx_stream_wait(self.s, (<Stream>other).s))
        elif isinstance(other, Event):
            check(hx_stream_wait_event(self.s, (<Event>other).e))
        else:
            fail(HX_E_TYPE, HX1103_ARGUMENT, "Stream.wait", f"other must be a Stream or an Event, got {short_repr(other)}.", "other")

    def record(self):
        """A new Event at the end of what is on the stream now."""
        return Event(self)

    def __enter__(self):
        self.entered.append(borrowed_stream(hx_stream_use(self.s)))
        return self

    def __exit__(self, *exception):
        hx_stream_use((<Stream>self.entered.pop()).s)

    def __eq__(self, other):
        return isinstance(other, Stream) and (<Stream>other).s == self.s

    def __hash__(self):
        return hash(<size_t>self.s)

    def __repr__(self):
        return f"Stream({self.s.device.name.decode()}, {self.s.number})"


cdef Stream borrowed_stream(hx_stream *s):
    cdef Stream made = Stream.__new__(Stream, device_object(s.device))
    hx_stream_release(made.s)
    hx_stream_retain(s)
    made.s = s
    return made


def current_stream(device=None):
    """The stream that this thread's work on the device goes to."""
    return borrowed_stream(hx_stream_current(find_device("cpu" if device is None else device)))


cdef class Event:
    """A mark in a stream: `done()` asks, and `synchronize()` waits, until all that stood before it has run."""
    cdef hx_event *e

    def __cinit__(self, Stream stream not None):
        check(hx_event_new(stream.s.device, &self.e))
        check(hx_event_record(self.e, stream.s))

    def __dealloc__(self):
        if self.e != NULL:
            hx_event_release(self.e)

    def done(self):
        """Has everything before the mark run? A device without events is waited for, and the answer is True."""
        cdef c_bool answer = 0
        check(hx_event_done(self.e, &answer))
        return answer != 0

    def synchronize(self):
        """Waits for what stands before the mark."""
        check(hx_event_sync(self.e))


def synchronize(device=None):
    """Waits until all work on the device is done, or on every opened device. Errors of earlier work are raised here."""
    cdef int i
    if device is not None:
        check(hx_device_sync(find_device(device)))
        return
    for i in range(1, hx_device_count()):
        check(hx_device_sync(hx_device_at(i)))


def device_memory_stats(device):
    """Bytes of a device: live in tensors, at most, kept by helix's pool; blocks alive; allocations asked of the device."""
    cdef hx_device_memory m
    cdef hx_device *d = find_device(device)
    if d.id == 0:
        stats = memory_stats()
        return {key: stats[key] for key in ("live_bytes", "peak_bytes", "cached_bytes", "allocations")} | {
            "blocks": stats["live_blocks"]}
    hx_device_memory_get(d, &m)
    return {"live_bytes": m.live_bytes, "peak_bytes": m.peak_bytes, "cached_bytes": m.cached_bytes, "blocks": m.blocks,
            "allocations": m.allocations}
