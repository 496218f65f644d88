/* The Python side: a module with one function, which hands the backend over in a capsule. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include "backend.h"

static PyObject *capsule(PyObject *self, PyObject *none) {
    (void)self, (void)none;
    return PyCapsule_New((void *)helix_backend_v1(), HX_BACKEND_CAPSULE, NULL);
}

static PyMethodDef methods[] = {{"backend", capsule, METH_NOARGS, "The backend, for the entry point."}, {0}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_backend", .m_size = 0, .m_methods = methods};

PyMODINIT_FUNC PyInit__backend(void) { return PyModuleDef_Init(&definition); }
