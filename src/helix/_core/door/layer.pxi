# Calling a layer: no Python frame stands between the caller's and forward's.

cdef extern from "Python.h":
    PyObject *PyObject_VectorcallMethod(PyObject *name, PyObject **args, size_t nargsf, PyObject *kwnames) except NULL

cdef enum:
    FEW_ARGUMENTS = 7

cdef str FORWARD = intern("forward")


@cython.auto_pickle(False)
cdef class Called:
    """What is called runs its `forward`. The base of helix.nn.Module, which has `_hooked`, `_call_with_hooks` and `_locate`."""

    # Not in a __new__ of Python's, whose arguments early versions of 3.11 show as those of every layer.
    def __cinit__(self, *args, **kwargs):
        self.__dict__.update(_parameters={}, _buffers={}, _modules={})

    def __call__(self, *args, **kwargs):
        if self._hooked:
            return self._call_with_hooks(args, kwargs)
        try:
            return forwarded(self, args, kwargs)
        except Exception as error:
            self._locate(error, args)
            raise


cdef object forwarded(object layer, tuple args, dict kwargs):
    cdef PyObject *stack[FEW_ARGUMENTS + 1]
    cdef Py_ssize_t i, n = PyTuple_GET_SIZE(args)
    if kwargs or n > FEW_ARGUMENTS:
        return layer.forward(*args, **kwargs)
    stack[0] = <PyObject *>layer
    for i in range(n):
        stack[i + 1] = PyTuple_GET_ITEM(args, i)
    cdef PyObject *result = PyObject_VectorcallMethod(<PyObject *>FORWARD, stack, <size_t>n + 1, NULL)
    cdef object owned = <object>result
    Py_DECREF(owned)
    return owned
