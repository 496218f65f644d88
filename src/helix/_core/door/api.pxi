# The embedding API: the table that helix/api.h describes, in a capsule, and what Python adds to it.

cdef extern from "api.h" nogil:
    ctypedef struct hx_api:
        pass
    ctypedef struct hx_api_host:
        hx_status (*device_ready)(const char *name) noexcept
        hx_status (*op_added)(const hx_op *op) noexcept
        void (*backend_added)(const char *name) noexcept
        PyObject *(*to_python)(hx_tensor *t) noexcept
        hx_tensor *(*from_python)(PyObject *o) noexcept
        PyObject *(*raise_error)() noexcept
    const hx_api *hx_api_table(const hx_api_host *host)
    const char *HX_API_CAPSULE

cdef extern from "Python.h":
    void PyErr_SetObject(object kind, object error)


cdef dict embedder_errors = {}  # thread -> (text, exception), until the embedder raises it


cdef hx_status keep_for_embedder(object error) noexcept:
    """Says in C what the exception is, and holds it for the embedder who raises it."""
    cdef int code = HX_E_CALLBACK, number = HX1901_INTERNAL
    cdef bytes text = f"{type(error).__name__}: {error}".encode("utf-8", "replace")
    thread = PyThread_get_thread_ident()
    for cls in type(error).__mro__:
        if cls.__name__ in ERROR_CLASSES:
            code = ERROR_CLASSES.index(cls.__name__)
            number = int(error.code[2:])
            text = str(error).removeprefix(f"{error.code} ").encode("utf-8", "replace")
            break
    if code == HX_E_CALLBACK:
        callback_errors[thread] = error
    embedder_errors[thread] = (text, error)
    return hx_fail(<hx_status>code, number, "%s", <const char *>text)


cdef hx_status api_device_ready(const char *name) noexcept with gil:
    try:
        ready_device(name.decode("utf-8", "replace"))
    except BaseException as error:
        return keep_for_embedder(error)
    return HX_OK


cdef hx_status api_op_added(const hx_op *record) noexcept with gil:
    try:
        install(record)
    except BaseException as error:
        return keep_for_embedder(error)
    return HX_OK


cdef void api_backend_added(const char *name) noexcept with gil:
    READY_KINDS.add(name.decode())


cdef PyObject *api_to_python(hx_tensor *t) noexcept:
    cdef Tensor made
    try:
        made = wrap(hx_tensor_retain(t))
    except BaseException as error:
        PyErr_SetObject(type(error), error)
        return NULL
    Py_INCREF(made)
    return <PyObject *>made


cdef hx_tensor *api_from_python(PyObject *o) noexcept:
    if isinstance(<object>o, Tensor):
        return hx_tensor_retain((<Tensor><object>o).t)
    try:
        wanted = f"a helix.Tensor is needed, got {short_repr(<object>o)}."
        raise build_error(HX_E_TYPE, HX1103_ARGUMENT, "", wanted)
    except BaseException as error:
        PyErr_SetObject(type(error), error)
    return NULL


cdef int raise_for_embedder() except -1:
    cdef const hx_error *e = hx_error_last()
    told, error = embedder_errors.pop(PyThread_get_thread_ident(), (b"", None))
    if error is None or not e.text[0] or not told.startswith(<bytes>e.text):
        return raise_pending()
    callback_errors.pop(PyThread_get_thread_ident(), None)
    hx_error_clear()
    raise error


cdef PyObject *api_raise_error() noexcept:
    try:
        raise_for_embedder()
    except BaseException as error:
        PyErr_SetObject(type(error), error)
    return NULL


cdef hx_api_host API_HOST
API_HOST.device_ready = api_device_ready
API_HOST.op_added = api_op_added
API_HOST.backend_added = api_backend_added
API_HOST.to_python = api_to_python
API_HOST.from_python = api_from_python
API_HOST.raise_error = api_raise_error

_C_API_v1 = PyCapsule_New(<void *>hx_api_table(&API_HOST), HX_API_CAPSULE, NULL)
