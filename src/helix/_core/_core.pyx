# cython: language_level=3, wraparound=False, initializedcheck=False, cdivision=True
# cython: binding=False, c_api_binop_methods=True, always_allow_keywords=True, freethreading_compatible=False
# cython: embedsignature=True, embedsignature.format=clinic
"""The door between Python and the C core: Tensor, one function for each op record, and the runtime's switches."""

import os

cimport cython
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_ND, PyBUF_RECORDS, PyBUF_RECORDS_RO, PyBUF_STRIDES, PyBUF_WRITABLE,
    PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer)
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.complex cimport PyComplex_Check
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_AsDouble, PyFloat_Check, PyFloat_CheckExact
from cpython.list cimport PyList_Check
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_AsUnsignedLongLongMask, PyLong_Check, PyLong_CheckExact, PyLong_FromLongLong
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.number cimport PyNumber_AsSsize_t, PyNumber_Index
from cpython.object cimport Py_EQ, Py_GE, Py_GT, Py_LE, Py_LT, Py_NE, PyObject, PyTypeObject
from cpython.pycapsule cimport PyCapsule_CheckExact, PyCapsule_GetPointer, PyCapsule_IsValid, PyCapsule_New, PyCapsule_SetName
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from libc.string cimport memcmp, memcpy, memset

cdef extern from "Python.h":
    PyObject *Py_None
    bint PyBool_Check(object)
    double PyLong_AsDouble(object) except? -1.0
    bint PyTuple_Check(object)
    Py_ssize_t PyTuple_GET_SIZE(object)
    PyObject *PyTuple_GET_ITEM(object, Py_ssize_t)
    PyObject **PySequence_Fast_ITEMS(object)
    const char *PyUnicode_AsUTF8(object) except NULL
    const char *PyUnicode_AsUTF8AndSize(object, Py_ssize_t *) except NULL
    object PyMethod_New(object, object)
    int PySlice_Unpack(object, Py_ssize_t *, Py_ssize_t *, Py_ssize_t *) except -1
    Py_ssize_t PySlice_AdjustIndices(Py_ssize_t, Py_ssize_t *, Py_ssize_t *, Py_ssize_t)
    unsigned long PyThread_get_thread_ident()
    PyObject *PyErr_Occurred()
    int PyErr_CheckSignals() except -1
    ctypedef struct PyThreadState
    PyThreadState *PyEval_SaveThread() nogil
    void PyEval_RestoreThread(PyThreadState *) nogil
    bint PyGILState_Check() nogil

include "door/declare.pxi"
include "door/errors.pxi"
include "door/dtype.pxi"
include "door/tensor.pxi"
include "door/wrap.pxi"
include "door/binary.pxi"
include "door/op.pxi"
include "door/attribute.pxi"
include "door/convert.pxi"
include "door/buffer.pxi"
include "door/dlpack.pxi"
include "door/index.pxi"
include "door/autograd.pxi"
include "door/runtime.pxi"
include "door/trace.pxi"
include "door/plan.pxi"
include "door/guard.pxi"
include "door/link.pxi"
include "door/profile.pxi"
include "door/stream.pxi"
include "door/adapter.pxi"
include "door/backend.pxi"
include "door/kernel_raw.pxi"
include "door/kernel.pxi"
include "door/fallback.pxi"
include "door/layer.pxi"
include "door/module.pxi"
include "door/api.pxi"
