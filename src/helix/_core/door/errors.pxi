# From the core's pending error to a Python exception, and back through callbacks.

cdef object errors_module = None
cdef dict callback_errors = {}  # thread -> exception raised by Python code that the core called
cdef dict slot_errors = {}      # thread -> (text, exception) of the last method of a Python backend that raised

cdef tuple ERROR_CLASSES = (
    None, "ShapeError", "DTypeError", "DeviceError", "IndexRangeError", "ParameterError", "SizeOverflowError",
    "OutOfMemoryError", "GradientError", "UnsupportedOpError", "ArgumentError", "TraceError", "DeviceLostError",
    "CompileError", "DeviceTimeoutError", "BackendLoadError", None, "InternalError")


cdef object error_class(int code, int number=0):
    global errors_module
    if errors_module is None:
        from helix import errors as errors_module
    name = ERROR_CLASSES[code] if 0 < code < len(ERROR_CLASSES) else None
    if number == HX1405_LINALG:
        name = "LinAlgError"
    return getattr(errors_module, name or "InternalError")


cdef object build_error(int code, int number, str op, str text, dict facts={}):
    cdef str label = f"HX{number}" if number else "HX1901"
    return error_class(code, number)(f"{label} {op}: {text}" if op else f"{label} {text}", op=op or None, code=label, **facts)


cdef dict facts_of(const hx_error *e, str op, str text):
    """The facts as Python values."""
    cdef dict facts = {}
    argument = argument_of(op, e.facts.argument.decode("utf-8", "replace"), text)
    if argument:
        facts["argument"] = argument
    if e.facts.expected[0]:
        facts["expected"] = fact_value(e.facts.expected.decode("utf-8", "replace"))
    if e.facts.got[0]:
        facts["got"] = fact_value(e.facts.got.decode("utf-8", "replace"))
    if e.facts.on_axis:
        facts["axis"] = e.facts.axis
    return facts


cdef str argument_of(str op, str argument, str text):
    """The parameter at fault: the one that the core gave, or else the one that begins the message. None where that is no
    parameter of what was called: an op made of others may have none of that name."""
    found = OPS.get(op)
    if found is None:
        return argument
    names = ("out", *(<Op>found).names)
    first = text.partition(" ")[0].rstrip(",:")
    return argument if argument in names else first if first in names else None


cdef object fact_value(str text):
    """Numbers and shapes as such, all else as text."""
    from ast import literal_eval
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return text


cdef int raise_pending() except -1:
    """Raises the core's pending error of this thread, and clears it."""
    cdef const hx_error *e = hx_error_last()
    cdef int code = e.code
    if code == HX_OK:
        raise build_error(HX_E_INTERNAL, HX1901_INTERNAL, "", "the core reported a failure without saying which")
    if code == HX_E_CALLBACK:
        hx_error_clear()
        error = callback_errors.pop(PyThread_get_thread_ident(), None)
        if error is not None:
            raise error
        raise build_error(HX_E_INTERNAL, HX1901_INTERNAL, "", "a callback failed without an exception")
    op = (<bytes>e.op).decode("utf-8", "replace")
    text = (<bytes>e.text).decode("utf-8", "replace")
    error = build_error(code, e.number, op, text, facts_of(e, op, text))
    hx_error_clear()
    if slot_errors:
        told, cause = slot_errors.pop(PyThread_get_thread_ident(), ("", None))
        if cause is not None and told in text:
            raise error from cause
    raise error


cdef inline int check(hx_status status) except -1:
    if status != HX_OK:
        raise_pending()
    return 0


cdef int fail(int code, int number, str op, str text, str argument=None, object expected=None, object got=None,
              object axis=None) except -1:
    raise build_error(code, number, op, text, {"argument": argument, "expected": expected, "got": got, "axis": axis})


cdef hx_status keep_callback_error(object error) noexcept:
    """Holds an exception while C code unwinds; raise_pending raises it again."""
    callback_errors[PyThread_get_thread_ident()] = error
    return hx_fail(HX_E_CALLBACK, HX1901_INTERNAL, "a Python callback failed")


def explain(int number):
    """The documentation of an error number, or None."""
    cdef const char *text = hx_error_explain(number)
    return None if text == NULL else text.decode()


def error_numbers():
    """All documented error numbers."""
    numbers = []
    cdef int i = 0
    while hx_error_number_at(i):
        numbers.append(hx_error_number_at(i))
        i += 1
    return numbers


cdef str short_repr(object value):
    cdef str text
    if isinstance(value, Tensor):
        text = hx_tensor_text((<Tensor>value).t).decode()
        return f"a tensor {text}"
    try:
        text = repr(value)
    except Exception:
        text = "..."
    if len(text) > 80:
        text = text[:77] + "..."
    return f"{text} ({type(value).__name__})"
