# cython: language_level=3
"""An extension in Cython: a loop over ops without the GIL, and an op with a kernel and a gradient."""

from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF
from libc.math cimport exp
from libc.stdint cimport int64_t
from libc.string cimport memset

from helix.capi cimport (
    HX_F64, HX_OK, HX_PARAM_FLOAT, HX_PARAM_TENSOR, HX_RULE_SAME, hx_args, hx_code, hx_err, hx_named, hx_named_float,
    hx_op_call, hx_op_def, hx_param_def, hx_tensor, helix_import, helix_table)

helix_import()


# ---- ops in a loop ----

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


# ---- mine_swish(input, beta=1) = x / (1 + exp(-beta x)) ----

cdef hx_code swish(void *device, void *stream, const hx_op_call *call, hx_err *err) noexcept nogil:
    cdef const double *x = <const double *>call.inputs[0].data
    cdef double *y = <double *>call.out[0].data
    cdef double beta = call.attr[0].number
    cdef int64_t i
    for i in range(call.inputs[0].numel):
        y[i] = x[i] / (1 + exp(-beta * x[i]))
    return HX_OK


cdef hx_tensor *kept(const char *name, hx_tensor *a, hx_tensor *b) noexcept nogil:
    """An op of one or two tensors, held until the callback ends; NULL where it, or what it is given, failed."""
    cdef hx_tensor *inputs[2]
    cdef hx_tensor *out = NULL
    inputs[0] = a
    inputs[1] = b
    if a != NULL:
        helix_table().call_op(name, inputs, 2 if b != NULL else 1, NULL, 0, &out, 1)
    return helix_table().keep(out)


cdef hx_tensor *number(double value) noexcept nogil:
    cdef hx_tensor *out = NULL
    helix_table().tensor_from_data("cpu", HX_F64, NULL, 0, &value, &out)
    return helix_table().keep(out)


cdef hx_code swish_slope(void *ctx, const hx_args *args, hx_tensor **gradient, hx_err *err) noexcept nogil:
    """s + beta x s (1 - s), with s = sigmoid(beta x); made of ops, so that it has a gradient too."""
    cdef hx_tensor *scaled = kept("mul", args.inputs[0], number(args.attr[0].number))
    cdef hx_tensor *s = kept("sigmoid", scaled, NULL)
    cdef hx_tensor *bent = NULL
    cdef hx_tensor *slope = NULL
    if s != NULL and scaled != NULL:
        bent = kept("mul", kept("mul", scaled, s), kept("sub", number(1), s))
        if bent != NULL:
            slope = kept("mul", args.gradient[0], kept("add", s, bent))
    gradient[0] = helix_table().tensor_retain(slope)
    return HX_OK if slope != NULL else helix_table().error_code()


cdef register():
    cdef hx_param_def params[2]
    cdef hx_op_def definition
    memset(params, 0, sizeof(params))
    memset(&definition, 0, sizeof(definition))
    params[0].kind, params[0].name = HX_PARAM_TENSOR, "input"
    params[1].kind, params[1].name, params[1].number = HX_PARAM_FLOAT, "beta", 1
    definition.struct_size, definition.param_size = sizeof(definition), sizeof(hx_param_def)
    definition.name, definition.doc = "mine_swish", "input / (1 + exp(-beta * input)), elementwise, in float64."
    definition.params, definition.n_params = params, 2
    definition.rule = HX_RULE_SAME
    definition.kernel, definition.kernel_dtypes = swish, 1 << HX_F64
    definition.vjp, definition.saves_in = swish_slope, 1
    if helix_table().register_op(&definition) != HX_OK:
        helix_table().raise_error()


register()
