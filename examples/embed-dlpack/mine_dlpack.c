/* Tensors without helix's headers: DLPack capsules (https://dmlc.github.io/dlpack) from and to any framework. */
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>

/* As DLPack 1.x publishes it. */
typedef struct {
    void *data;
    struct { int32_t type, id; } device;
    int32_t ndim;
    struct { uint8_t code, bits; uint16_t lanes; } dtype;
    int64_t *shape, *strides;
    uint64_t byte_offset;
} DLTensor;
typedef struct DLManagedTensorVersioned {
    struct { uint32_t major, minor; } version;
    void *manager;
    void (*deleter)(struct DLManagedTensorVersioned *);
    uint64_t flags;
    DLTensor tensor;
} DLManagedTensorVersioned;
enum { DL_CPU = 1, DL_FLOAT = 2 };
static const char NEW[] = "dltensor_versioned";

static double sum_from(const char *data, const DLTensor *t, int axis) {
    double total = 0;
    if (axis == t->ndim) return *(const float *)data;
    for (int64_t i = 0; i < t->shape[axis]; i++) total += sum_from(data + 4 * i * t->strides[axis], t, axis + 1);
    return total;
}

/* sum(x): x is anything with __dlpack__ on the CPU. */
static PyObject *sum(PyObject *module, PyObject *x) {
    PyObject *options = Py_BuildValue("{s(ii)}", "max_version", 1, 0), *nothing = PyTuple_New(0), *capsule = NULL;
    PyObject *method = PyObject_GetAttrString(x, "__dlpack__"), *result = NULL;
    (void)module;
    if (options && nothing && method) capsule = PyObject_Call(method, nothing, options);
    if (capsule) {
        DLManagedTensorVersioned *m = PyCapsule_GetPointer(capsule, NEW);
        if (m && (m->version.major != 1 || m->tensor.device.type != DL_CPU || m->tensor.dtype.code != DL_FLOAT ||
                  m->tensor.dtype.bits != 32 || m->tensor.dtype.lanes != 1))
            PyErr_SetString(PyExc_TypeError, "a float32 tensor on the CPU is needed");
        else if (m) {
            double total;
            Py_BEGIN_ALLOW_THREADS
            total = sum_from((const char *)m->tensor.data + m->tensor.byte_offset, &m->tensor, 0);
            Py_END_ALLOW_THREADS
            result = PyFloat_FromDouble(total);
        }
    }
    Py_XDECREF(capsule); /* it was not renamed, so its own destructor ends the loan */
    Py_XDECREF(method);
    Py_XDECREF(nothing);
    Py_XDECREF(options);
    return result;
}

static long alive; /* blocks lent out */

typedef struct {
    DLManagedTensorVersioned managed;
    int64_t shape[1], strides[1];
    float values[];
} lent;

static void take_back(DLManagedTensorVersioned *m) { /* any thread, without the GIL */
    __atomic_fetch_sub(&alive, 1, __ATOMIC_RELAXED);
    free(m->manager);
}
static void close_capsule(PyObject *capsule) {
    if (!PyCapsule_IsValid(capsule, NEW)) return; /* renamed: somebody took it */
    DLManagedTensorVersioned *m = PyCapsule_GetPointer(capsule, NEW);
    m->deleter(m);
}

/* squares(n): a capsule with 0, 1, 4, ... for helix.from_dlpack. */
static PyObject *squares(PyObject *module, PyObject *argument) {
    Py_ssize_t n = PyLong_AsSsize_t(argument);
    (void)module;
    if (n < 0 || n > 1 << 20) return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "0 to 2**20");
    lent *l = calloc(1, sizeof *l + (size_t)n * sizeof(float));
    if (!l) return PyErr_NoMemory();
    l->shape[0] = n;
    l->strides[0] = 1;
    for (Py_ssize_t i = 0; i < n; i++) l->values[i] = (float)(i * i);
    l->managed.version.major = 1;
    l->managed.manager = l;
    l->managed.deleter = take_back;
    l->managed.tensor = (DLTensor){.data = l->values, .device = {DL_CPU, 0}, .ndim = 1, .dtype = {DL_FLOAT, 32, 1},
                                   .shape = l->shape, .strides = l->strides};
    __atomic_fetch_add(&alive, 1, __ATOMIC_RELAXED);
    PyObject *capsule = PyCapsule_New(&l->managed, NEW, close_capsule);
    if (!capsule) take_back(&l->managed);
    return capsule;
}

static PyObject *lent_out(PyObject *module, PyObject *nothing) {
    (void)module, (void)nothing;
    return PyLong_FromLong(__atomic_load_n(&alive, __ATOMIC_RELAXED));
}

static PyMethodDef methods[] = {{"sum", sum, METH_O, "The sum of a float32 tensor of any framework."},
                                {"squares", squares, METH_O, "A DLPack capsule of the first n squares."},
                                {"lent_out", lent_out, METH_NOARGS, "How many blocks others still hold."},
                                {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "mine_dlpack", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_mine_dlpack(void) { return PyModule_Create(&definition); }
