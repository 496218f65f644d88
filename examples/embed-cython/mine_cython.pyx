# cython: language_level=3
"""An extension in Cython: a loop over ops without the GIL."""

from helix.capi cimport HX_OK, hx_code, hx_tensor, helix_import, helix_table
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF

helix_import()


cdef hx_code repeat_add(hx_tensor *x, int times, hx_tensor **out) noexcept nogil:
    """x added to itself `times` times."""
    cdef hx_tensor *inputs[2]
    cdef hx_code code = HX_OK
    out[0] = helix_table().tensor_retain(x)
    inputs[1] = x
    for _ in range(times):
        inputs[0] = out[0]
        code = helix_table().call_op("add", inputs, 2, NULL, 0, out, 1)
        helix_table().tensor_release(inputs[0])
        if code != HX_OK:
            break
    return code


def multiple(x, int times):
    """x * (times + 1), by additions."""
    cdef hx_tensor *t = helix_table().from_python(<PyObject *>x)
    cdef hx_tensor *made = NULL
    cdef hx_code code
    with nogil:
        code = repeat_add(t, times, &made)
        helix_table().tensor_release(t)
    if code != HX_OK:
        helix_table().raise_error()
    result = <object>helix_table().to_python(made)
    Py_DECREF(result)  # the cast took a reference besides the one it was given
    helix_table().tensor_release(made)
    return result
