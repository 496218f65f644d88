# What the core does for devices that others see: fallback to the host, messages of plugins, the end of the process.

cdef extern from "fallback.h" nogil:
    ctypedef enum hx_fallback:
        HX_FALLBACK_ERROR, HX_FALLBACK_WARN, HX_FALLBACK_HOST
    hx_fallback hx_fallback_set(hx_fallback policy)
    hx_fallback hx_fallback_get()
    void hx_fallback_on_warning(void (*warn)(const char *text) noexcept nogil)
    ctypedef struct hx_fallback_count:
        const hx_op *op
        const hx_device *device
        int64_t calls, bytes
    int hx_fallback_counts(hx_fallback_count *counts, int room)
    void hx_fallback_reset()

cdef extern from "dispatch.h" nogil:
    void hx_backend_on_log(void (*log)(const char *backend, int32_t level, const char *text) noexcept nogil)
    void hx_set_collect(void (*collect)() noexcept nogil)

cdef tuple FALLBACKS = ("error", "warn", "host")


def set_fallback(policy):
    """What happens to an op that a device has no kernel for, and no decomposition: gives the policy before.

    "warn" runs it on the CPU with copies, and says so once for each op and device; "host" says nothing; "error" refuses.
    HELIX_FALLBACK sets the policy at the start, which is "warn" otherwise.

    >>> helix.set_fallback("host")
    'warn'
    >>> helix.set_fallback("warn")
    'host'
    """
    if policy not in FALLBACKS:
        fail(HX_E_VALUE, HX1403_VALUE, "set_fallback", f"policy must be 'error', 'warn' or 'host', got {short_repr(policy)}.")
    return FALLBACKS[<int>hx_fallback_set(<hx_fallback><int>FALLBACKS.index(policy))]


def get_fallback():
    """The policy that set_fallback or HELIX_FALLBACK set."""
    return FALLBACKS[<int>hx_fallback_get()]


def fallback_stats(reset=False):
    """Calls that the CPU ran for other devices: {device: {op: (calls, bytes copied)}}. With `reset`, starts over."""
    cdef int n = hx_fallback_counts(NULL, 0), i
    cdef int room = n + 16  # other threads may count meanwhile
    cdef hx_fallback_count *counts = <hx_fallback_count *>PyMem_Malloc(room * sizeof(hx_fallback_count))
    if counts == NULL:
        raise MemoryError()
    try:
        n = hx_fallback_counts(counts, room)
        found = {}
        for i in range(n if n < room else room):
            ops = found.setdefault(counts[i].device.name.decode(), {})
            ops[counts[i].op.name.decode()] = (counts[i].calls, counts[i].bytes)
    finally:
        PyMem_Free(counts)
    if reset:
        hx_fallback_reset()
    return found


# ---- what the core says ----

cdef void fallback_warning(const char *text) noexcept with gil:
    if adapter_closed:
        return
    try:
        import warnings
        from helix.errors import FallbackWarning
        warnings.warn(text.decode("utf-8", "replace"), FallbackWarning, stacklevel=1)
    except BaseException as error:
        tell(error, "helix.set_fallback")  # a filter that makes warnings errors; the op goes on


cdef void plugin_message(const char *backend, int32_t level, const char *text) noexcept with gil:
    if adapter_closed:
        return
    try:
        import logging
        levels = (logging.DEBUG, logging.INFO, logging.WARNING)
        logging.getLogger("helix.backends." + backend.decode()).log(
            levels[max(0, min(level, 2))], text.decode("utf-8", "replace"))
    except BaseException as error:
        tell(error, "helix.backends")


cdef void collect_garbage() noexcept with gil:
    if adapter_closed:
        return
    try:
        import gc
        drop_numbers()
        gc.collect()
    except BaseException as error:
        tell(error, "gc.collect")


hx_fallback_on_warning(fallback_warning)
hx_backend_on_log(plugin_message)
hx_set_collect(collect_garbage)
