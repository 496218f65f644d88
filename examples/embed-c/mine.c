/* An extension module in C: an op of its own with a gradient, sums on a thread of its own, and tensors in and out. */
#include <Python.h>
#include <helix/api.h>
#include <math.h>
#include <pthread.h>

/* ---- mine_softsign(input, scale) = scale * x / (1 + |x|), with a kernel and a gradient made of ops ---- */

static hx_code softsign_kernel(void *dev, void *stream, const hx_op_call *call, hx_err *err) {
    const double *x = call->in[0].data, scale = call->attr[0].v.f;
    double *y = call->out[0].data;
    (void)dev, (void)stream, (void)err;
    for (int64_t i = 0; i < call->in[0].numel; i++) y[i] = scale * x[i] / (1 + fabs(x[i]));
    return HX_OK;
}

/* One op on kept tensors; NULL when it, or what it is given, failed. */
static hx_tensor *op1(const char *name, hx_tensor *a) {
    hx_tensor *out = NULL;
    if (a) helix_table()->call_op(name, &a, 1, NULL, 0, &out, 1);
    return helix_table()->keep(out);
}
static hx_tensor *op2(const char *name, hx_tensor *a, hx_tensor *b) {
    hx_tensor *in[] = {a, b}, *out = NULL;
    if (a && b) helix_table()->call_op(name, in, 2, NULL, 0, &out, 1);
    return helix_table()->keep(out);
}
static hx_tensor *number(double value) {
    hx_tensor *out = NULL;
    helix_table()->tensor_from_data("cpu", HX_F64, NULL, 0, &value, &out);
    return helix_table()->keep(out);
}

/* The slope is scale / (1 + |x|)^2. */
static hx_code softsign_vjp(void *ctx, const hx_args *args, hx_tensor **gradient, hx_err *err) {
    hx_tensor *below = op1("square", op2("add", op1("abs", args->in[0]), number(1)));
    hx_tensor *slope = op2("div", number(args->attr[0].v.f), below);
    (void)ctx, (void)err;
    gradient[0] = helix_table()->tensor_retain(op2("mul", args->gradient[0], slope));
    return gradient[0] ? HX_OK : helix_table()->error_code();
}

static int register_softsign(void) {
    static const hx_param_def params[] = {
        {.kind = HX_PARAM_TENSOR, .name = "input"}, {.kind = HX_PARAM_FLOAT, .name = "scale", .number = 1}};
    hx_op_def def = {.struct_size = sizeof def, .param_size = sizeof *params, .name = "mine_softsign",
                     .doc = "scale * input / (1 + |input|), elementwise, in float64.", .params = params, .n_params = 2,
                     .rule = HX_RULE_SAME, .kernel = softsign_kernel, .kernel_dtypes = 1u << HX_F64,
                     .vjp = softsign_vjp, .saves_in = 1};
    return helix_table()->register_op(&def);
}

/* ---- work on a thread that Python knows nothing of ---- */

typedef struct work {
    hx_tensor *x, *result;
    hx_code code;
    char why[200]; /* errors belong to the thread they happened on */
} work;

/* The gradient of sum(x * x), by autograd. */
static void *square_gradient(void *argument) {
    const hx_api *hx = helix_table();
    work *w = argument;
    hx_tensor *leaf = NULL, *square = NULL, *sum = NULL;
    w->code = hx->call_op("clone", &w->x, 1, NULL, 0, &leaf, 1);
    if (!w->code) w->code = hx->tensor_set_requires_grad(leaf, 1);
    if (!w->code) w->code = hx->call_op("mul", (hx_tensor *[]){leaf, leaf}, 2, NULL, 0, &square, 1);
    if (!w->code) w->code = hx->call_op("sum", &square, 1, NULL, 0, &sum, 1);
    if (!w->code) w->code = hx->backward(&sum, NULL, 1, 0);
    if (!w->code) w->result = hx->tensor_gradient(leaf);
    if (w->code) snprintf(w->why, sizeof w->why, "%s", hx->error_text());
    hx->tensor_release(sum);
    hx->tensor_release(square);
    hx->tensor_release(leaf);
    return NULL;
}

static PyObject *on_a_thread(PyObject *module, PyObject *argument) {
    const hx_api *hx = helix_table();
    work w = {.x = hx->from_python(argument)};
    pthread_t thread;
    int failed;
    (void)module;
    if (!w.x) return NULL;
    Py_BEGIN_ALLOW_THREADS
    failed = pthread_create(&thread, NULL, square_gradient, &w);
    if (!failed) pthread_join(thread, NULL);
    Py_END_ALLOW_THREADS
    hx->tensor_release(w.x);
    if (failed) return PyErr_Format(PyExc_RuntimeError, "no thread could be started");
    if (w.code) return PyErr_Format(PyExc_RuntimeError, "the thread failed: %s", w.why);
    PyObject *made = hx->to_python(w.result);
    hx->tensor_release(w.result);
    return made;
}

/* call(name, a, b): any op of two tensors; its error becomes Python's. */
static PyObject *call(PyObject *module, PyObject *arguments) {
    const hx_api *hx = helix_table();
    const char *name;
    PyObject *a, *b, *made = NULL;
    hx_tensor *in[2], *out;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "sOO", &name, &a, &b)) return NULL;
    in[0] = hx->from_python(a);
    in[1] = in[0] ? hx->from_python(b) : NULL;
    if (in[1]) {
        made = hx->call_op(name, in, 2, NULL, 0, &out, 1) ? hx->raise_error() : hx->to_python(out);
        hx->tensor_release(out);
    }
    hx->tensor_release(in[0]);
    hx->tensor_release(in[1]);
    return made;
}

static PyMethodDef methods[] = {
    {"on_a_thread", on_a_thread, METH_O, "The gradient of sum(x * x), worked out on a thread without the GIL."},
    {"call", call, METH_VARARGS, "call(name, a, b): an op of two tensors."},
    {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "mine", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_mine(void) {
    if (helix_import() < 0) return NULL;
    if (register_softsign()) return helix_table()->raise_error();
    return PyModule_Create(&definition);
}
