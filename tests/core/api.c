/* The embedding API from C alone, as an embedder sees it: tensors, ops, gradients, ops of one's own, and refusals. */
#include <math.h>
#include <pthread.h>
#include "api.h"
#include "check.h"
#include "dispatch.h"
#include "dlpack.h"

static const hx_api *hx;

#define WORKS(call) CHECK_INT(call, HX_OK)
#define REFUSED(call, wanted_code, wanted_number, part)                                                       \
    do {                                                                                                      \
        CHECK_INT(call, wanted_code);                                                                         \
        CHECK(!hx_error_pending());                                                                           \
        CHECK_INT(hx->error_code(), wanted_code);                                                             \
        CHECK_INT(hx->error_number(), wanted_number);                                                         \
        if (!strstr(hx->error_text(), part)) {                                                                \
            fprintf(stderr, "%s:%d: \"%s\" is not in \"%s\"\n", __FILE__, __LINE__, part, hx->error_text());  \
            exit(1);                                                                                          \
        }                                                                                                     \
        hx->error_clear();                                                                                    \
        CHECK_INT(hx->error_code(), HX_OK);                                                                   \
    } while (0)

/* ---- helpers ---- */

static hx_tensor *vector(int64_t n, const double *values) {
    hx_tensor *t;
    WORKS(hx->tensor_from_data(NULL, HX_F64, &n, 1, values, &t));
    return t;
}
#define VECTOR(...) vector(COUNT_OF(((const double[]){__VA_ARGS__})), (const double[]){__VA_ARGS__})

static hx_tensor *one(const char *op, hx_tensor *a, hx_tensor *b) {
    hx_tensor *in[] = {a, b}, *out;
    WORKS(hx->call_op(op, in, b ? 2 : 1, NULL, 0, &out, 1));
    return out;
}

static void check_values(hx_tensor *t, int64_t n, const double *wanted) {
    double got[16];
    CHECK_INT(hx->tensor_numel(t), n);
    CHECK_INT(hx->tensor_dtype(t), HX_F64);
    WORKS(hx->tensor_read(t, got, (uint64_t)n * sizeof *got));
    for (int64_t i = 0; i < n; i++) CHECK(fabs(got[i] - wanted[i]) < 1e-12);
}
#define CHECK_VALUES(t, ...) check_values(t, COUNT_OF(((const double[]){__VA_ARGS__})), (const double[]){__VA_ARGS__})

/* ---- tensors ---- */

static void count_release(void *owner) { ++*(int *)owner; }

static void test_tensors(void) {
    const int64_t shape[] = {2, 3}, huge[] = {INT64_MAX, 2}, negative[] = {-1};
    hx_tensor *t, *turned, *dense;
    WORKS(hx->tensor_empty("cpu", HX_F32, shape, 2, &t));
    CHECK(hx->tensor_ndim(t) == 2 && hx->tensor_shape(t)[1] == 3 && hx->tensor_strides(t)[0] == 3);
    CHECK(hx->tensor_numel(t) == 6 && hx->tensor_is_contiguous(t) && hx->tensor_data_host(t));
    CHECK_TEXT(hx->tensor_device(t), "cpu");
    WORKS(hx->call_op("transpose", &t, 1, (hx_named[]){hx_named_int("dim0", 0), hx_named_int("dim1", 1)}, 2, &turned, 1));
    CHECK(!hx->tensor_is_contiguous(turned));
    WORKS(hx->tensor_contiguous(turned, &dense));
    CHECK(hx->tensor_is_contiguous(dense));
    CHECK(hx->tensor_retain(t) == t);
    hx->tensor_release(t);
    hx->tensor_release(NULL);
    CHECK(hx->tensor_retain(NULL) == NULL);
    REFUSED(hx->tensor_read(t, dense, 5), HX_E_VALUE, 1403, "24");
    for (hx_tensor **each = (hx_tensor *[]){t, turned, dense, NULL}; *each; each++) hx->tensor_release(*each);
    REFUSED(hx->tensor_empty(NULL, 99, shape, 2, &t), HX_E_DTYPE, 1101, "99");
    CHECK(t == NULL);
    REFUSED(hx->tensor_empty(NULL, HX_F32, shape, 17, &t), HX_E_SHAPE, 1001, "at most 16");
    REFUSED(hx->tensor_empty(NULL, HX_F32, huge, 2, &t), HX_E_OVERFLOW, 1401, "");
    REFUSED(hx->tensor_empty(NULL, HX_F32, negative, 1, &t), HX_E_SHAPE, 1403, "-1");
    REFUSED(hx->tensor_empty("nowhere", HX_F32, shape, 2, &t), HX_E_DEVICE, 1202, "nowhere");
}

static void test_wrapped_memory(void) {
    double room[] = {0, 1, 2, 3, 4, 5};
    const int64_t shape[] = {2, 3}, backwards[] = {-3, -1}, wide[] = {INT64_MAX / 4, 1};
    int released = 0;
    hx_tensor *t, *in[2];
    WORKS(hx->tensor_wrap(room + 5, HX_F64, shape, backwards, 2, 0, count_release, &released, &t));
    CHECK_VALUES(t, 5, 4, 3, 2, 1, 0);
    in[0] = t;
    in[1] = VECTOR(1, 1, 1);
    hx_tensor *same;
    WORKS(hx->call_op("add_", in, 2, NULL, 0, &same, 1));
    CHECK(same == t && room[0] == 1 && room[5] == 6);
    hx->tensor_release(same);
    CHECK_INT(released, 0);
    hx->tensor_release(t);
    CHECK_INT(released, 1);
    WORKS(hx->tensor_wrap(room, HX_F64, shape, NULL, 2, HX_WRAP_READ_ONLY, NULL, NULL, &t));
    in[0] = t;
    REFUSED(hx->call_op("add_", in, 2, NULL, 0, &same, 1), HX_E_VALUE, 1006, "read-only");
    CHECK(same == NULL && room[0] == 1);
    hx->tensor_release(t);
    hx->tensor_release(in[1]);
    REFUSED(hx->tensor_wrap(room, HX_F64, shape, wide, 2, 0, count_release, &released, &t), HX_E_OVERFLOW, 1401, "");
    CHECK(released == 1 && t == NULL);
}

/* ---- calls ---- */

static void test_calls(void) {
    hx_tensor *x = VECTOR(3, 1, 2), *out[3], *in[] = {x, x, x};
    CHECK(hx->op_find("sort") && !hx->op_find("sorting"));
    WORKS(hx->call_op("sort", &x, 1, (hx_named[]){hx_named_bool("descending", 1)}, 1, out, 3));
    CHECK_VALUES(out[0], 3, 2, 1);
    CHECK(hx->tensor_dtype(out[1]) == HX_I64 && out[2] == NULL);
    hx->tensor_release(out[0]);
    hx->tensor_release(out[1]);
    WORKS(hx->op_call(hx->op_find("sort"), &x, 1, NULL, 0, out, 1)); /* the second result is let go */
    CHECK_VALUES(out[0], 1, 2, 3);
    hx->tensor_release(out[0]);
    WORKS(hx->call_op("cat", in, 3, NULL, 0, out, 1)); /* a list of tensors */
    CHECK_VALUES(out[0], 3, 1, 2, 3, 1, 2, 3, 1, 2);
    hx->tensor_release(out[0]);
    WORKS(hx->call_op("sum", &x, 1, (hx_named[]){hx_named_int("dim", 0), hx_named_dtype("dtype", HX_F64)}, 2, out, 1));
    CHECK_VALUES(out[0], 6);
    hx->tensor_release(out[0]);
    WORKS(hx->call_op("full", NULL, 0, (hx_named[]){hx_named_ints("size", (const int64_t[]){2}, 1), hx_named_float("fill_value", 7),
                                                    hx_named_dtype("dtype", HX_F64), hx_named_str("device", "cpu")}, 4, out, 1));
    CHECK_VALUES(out[0], 7, 7);
    hx->tensor_release(out[0]);
    hx->tensor_release(x);
}

static void test_refused_calls(void) {
    hx_tensor *x = VECTOR(1, 2), *y = VECTOR(1, 2, 3), *in[] = {x, y}, *none[] = {x, NULL}, *out;
    hx_named unnamed = {NULL, {HX_A_INT, 0, {0}}};
    REFUSED(hx->call_op("nope", in, 2, NULL, 0, &out, 1), HX_E_UNSUPPORTED, 1701, "no op named 'nope'");
    REFUSED(hx->call_op("sum_", in, 1, NULL, 0, &out, 1), HX_E_UNSUPPORTED, 1701, "no op named 'sum_'");
    REFUSED(hx->call_op("add", in, 2, NULL, 0, &out, 1), HX_E_SHAPE, 1003, "(2,)");
    REFUSED(hx->call_op("add", in, 1, NULL, 0, &out, 1), HX_E_TYPE, 1103, "takes 2 tensors, got 1");
    REFUSED(hx->call_op("add", none, 2, NULL, 0, &out, 1), HX_E_TYPE, 1103, "misses its argument other");
    REFUSED(hx->call_op("cat", none, 2, NULL, 0, &out, 1), HX_E_TYPE, 1103, "misses its argument");
    hx_named size = hx_named_int("size", 3), dim = hx_named_str("dim", "x"), many = hx_named_int("dim", INT64_MAX);
    REFUSED(hx->call_op("sum", in, 1, &size, 1, &out, 1), HX_E_TYPE, 1103, "no parameter named size");
    REFUSED(hx->call_op("sum", in, 1, &dim, 1, &out, 1), HX_E_TYPE, 1103, "dim is of the wrong kind");
    REFUSED(hx->call_op("sum", in, 1, &many, 1, &out, 1), HX_E_INDEX, 1302, "");
    REFUSED(hx->call_op("sum", in, 1, &unnamed, 1, &out, 1), HX_E_TYPE, 1103, "no name");
    hx_named dtype = hx_named_dtype("dtype", (hx_dtype)77);
    REFUSED(hx->call_op("sum", in, 1, &dtype, 1, &out, 1), HX_E_TYPE, 1103, "dtype is of the wrong kind");
    CHECK(out == NULL);
    hx->tensor_release(x);
    hx->tensor_release(y);
}

/* ---- gradients ---- */

static void test_gradients(void) {
    hx_tensor *x = VECTOR(1, -2), *number, *g, *gg;
    WORKS(hx->tensor_set_requires_grad(x, 1));
    CHECK(hx->tensor_requires_grad(x) && !hx->tensor_gradient(x));
    hx_tensor *square = one("mul", x, x), *cube = one("mul", square, x), *sum = one("sum", cube, NULL);
    REFUSED(hx->tensor_set_requires_grad(cube, 0), HX_E_GRADIENT, 1503, "detach");
    REFUSED(hx->backward(&cube, NULL, 1, 0), HX_E_GRADIENT, 1505, "");
    WORKS(hx->grad(&sum, NULL, 1, &x, 1, HX_BACKWARD_CREATE, &g));
    CHECK_VALUES(g, 3, 12);
    CHECK(hx->tensor_requires_grad(g) && !hx->tensor_gradient(x));
    hx_tensor *slopes = one("sum", g, NULL);
    WORKS(hx->grad(&slopes, NULL, 1, &x, 1, HX_BACKWARD_RETAIN, &gg));
    CHECK_VALUES(gg, 6, -12);
    WORKS(hx->backward(&sum, NULL, 1, HX_BACKWARD_RETAIN));
    hx_tensor *apart = VECTOR(1), *ones = VECTOR(1, 1), *accumulated = hx->tensor_gradient(x);
    CHECK_VALUES(accumulated, 3, 12);
    hx->tensor_release(accumulated);
    WORKS(hx->tensor_set_requires_grad(apart, 1));
    REFUSED(hx->grad(&sum, NULL, 1, &apart, 1, HX_BACKWARD_RETAIN, &number), HX_E_GRADIENT, 1507, "");
    WORKS(hx->grad(&sum, NULL, 1, &apart, 1, HX_BACKWARD_RETAIN | HX_BACKWARD_UNUSED, &number));
    CHECK(number == NULL);
    WORKS(hx->backward(&cube, &ones, 1, 0));
    accumulated = hx->tensor_gradient(x);
    CHECK_VALUES(accumulated, 6, 24);
    hx->tensor_release(accumulated);
    hx->tensor_clear_gradient(x);
    CHECK(!hx->tensor_gradient(x));
    int32_t before = hx->no_grad_enter();
    hx_tensor *plain = one("mul", x, x);
    CHECK(!hx->tensor_requires_grad(plain));
    hx->no_grad_leave(before);
    CHECK(hx->no_grad_enter() == before);
    hx->no_grad_leave(before);
    for (hx_tensor **t = (hx_tensor *[]){x, square, cube, sum, g, gg, slopes, apart, ones, plain, NULL}; *t; t++)
        hx->tensor_release(*t);
}

/* ---- DLPack ---- */

static void count_delete(hx_dl_versioned *m) { ++*(int *)m->manager; }

static void test_dlpack(void) {
    double room[] = {1, 2, 3, 4};
    int64_t shape[] = {2}, strides[] = {2};
    int deleted = 0;
    hx_dl_versioned given = {.version = {1, 3}, .manager = &deleted, .deleter = count_delete,
                             .tensor = {.data = room, .device = {HX_DL_CPU, 0}, .ndim = 1, .dtype = {2, 64, 1},
                                        .shape = shape, .strides = strides, .byte_offset = 8}};
    hx_tensor *t;
    WORKS(hx->tensor_from_dlpack(&given, &t));
    CHECK_VALUES(t, 2, 4);
    hx_dl_versioned *out;
    WORKS(hx->tensor_to_dlpack(t, &out));
    CHECK(out->tensor.data == &room[1] && out->tensor.strides[0] == 2 && out->version.major == 1);
    hx->tensor_release(t);
    CHECK_INT(deleted, 0);
    out->deleter(out);
    CHECK_INT(deleted, 1);
    given.version.major = 2;
    REFUSED(hx->tensor_from_dlpack(&given, &t), HX_E_VERSION, 1801, "DLPack 2.3");
    given.version.major = 1;
    given.tensor.dtype.bits = 24;
    REFUSED(hx->tensor_from_dlpack(&given, &t), HX_E_DTYPE, 1101, "24 bits");
    given.tensor.dtype.bits = 64;
    given.tensor.device.device_type = 2;
    REFUSED(hx->tensor_from_dlpack(&given, &t), HX_E_DEVICE, 1202, "type 2");
    CHECK_INT(deleted, 1);
    hx_tensor *leaf = VECTOR(1);
    WORKS(hx->tensor_set_requires_grad(leaf, 1));
    REFUSED(hx->tensor_to_dlpack(leaf, &out), HX_E_GRADIENT, 1503, "detach");
    hx->tensor_release(leaf);
}

/* ---- an op of one's own: scaled(input, scale=2, times=...) ---- */

static hx_code scale_kernel(void *dev, void *stream, const hx_op_call *call, hx_err *err) {
    (void)dev, (void)stream, (void)err;
    for (int64_t i = 0; i < call->in[0].numel; i++)
        ((double *)call->out[0].data)[i] = call->attr[0].v.f * ((const double *)call->in[0].data)[i];
    return HX_OK;
}

static hx_code scale_vjp(void *ctx, const hx_args *args, hx_tensor **gradient, hx_err *err) {
    (void)err;
    ++*(int *)ctx;
    CHECK(args->n_in == 1 && args->wanted[0] && !args->in[0] && args->gradient[0]);
    return hx->op_call(hx->op_find("test_scaled"), args->gradient, 1,
                       (hx_named[]){hx_named_float("scale", args->attr[0].v.f)}, 1, gradient, 1);
}

static const hx_param_def scale_params[] = {{.kind = HX_PARAM_TENSOR, .name = "input"},
                                            {.kind = HX_PARAM_FLOAT, .name = "scale", .number = 2}};
static int vjp_calls;

static hx_op_def scaled(const char *name) {
    return (hx_op_def){.struct_size = sizeof(hx_op_def), .param_size = sizeof *scale_params, .name = name,
                       .doc = "scale * input.", .params = scale_params, .n_params = 2, .ctx = &vjp_calls,
                       .rule = HX_RULE_SAME, .kernel = scale_kernel, .kernel_dtypes = 1u << HX_F64, .vjp = scale_vjp};
}

static void test_own_op(void) {
    char name[] = "test_scaled";
    hx_op_def def = scaled(name);
    WORKS(hx->register_op(&def));
    name[5] = '!'; /* it was copied */
    memset(&def, 0xff, sizeof def);
    hx_tensor *x = VECTOR(1, -2), *y, *g, *gg;
    WORKS(hx->tensor_set_requires_grad(x, 1));
    y = one("test_scaled", x, NULL);
    CHECK_VALUES(y, 2, -4);
    hx_tensor *square = one("mul", y, y), *sum = one("sum", square, NULL);
    WORKS(hx->grad(&sum, NULL, 1, &x, 1, HX_BACKWARD_CREATE, &g));
    CHECK_VALUES(g, 8, -16);
    CHECK_INT(vjp_calls, 1);
    hx_tensor *total = one("sum", g, NULL);
    WORKS(hx->grad(&total, NULL, 1, &x, 1, 0, &gg));
    CHECK_VALUES(gg, 8, 8);
    hx_op_def again = scaled("test_scaled"), taken = scaled("add");
    REFUSED(hx->register_op(&again), HX_E_VALUE, 1403, "registered already");
    REFUSED(hx->register_op(&taken), HX_E_VALUE, 1403, "registered already");
    for (hx_tensor **t = (hx_tensor *[]){x, y, g, gg, square, sum, total, NULL}; *t; t++) hx->tensor_release(*t);
}

/* Two results, with rules of its own: "low, high" of input - width and input + width. */
static hx_code band_shape(void *ctx, const hx_args *args, hx_shapes *shapes, hx_err *err) {
    (void)ctx;
    if (hx->tensor_ndim(args->in[0]) != 1) {
        err->number = 1002;
        strcpy(err->msg, "takes a vector");
        return HX_E_SHAPE;
    }
    for (int i = 0; i < 2; i++) {
        shapes->out[i].dtype = hx->tensor_dtype(args->in[0]);
        shapes->out[i].ndim = 1;
        shapes->out[i].shape[0] = hx->tensor_shape(args->in[0])[0];
    }
    return HX_OK;
}
static hx_code band_parts(void *ctx, const hx_args *args, hx_tensor **out, hx_err *err) {
    (void)ctx, (void)err;
    hx_tensor *in[] = {args->in[0], args->in[1]};
    if (args->in[1] && hx->call_op("sub", in, 2, NULL, 0, &out[0], 1)) return hx->error_code();
    if (args->in[1]) return hx->call_op("add", in, 2, NULL, 0, &out[1], 1);
    out[0] = hx->tensor_retain(in[0]);
    out[1] = hx->tensor_retain(in[0]);
    return HX_OK;
}

static void test_own_composite(void) {
    const hx_param_def params[] = {{.kind = HX_PARAM_TENSOR, .name = "input"}, {.kind = HX_PARAM_OPT_TENSOR, .name = "width"}};
    hx_op_def def = {.struct_size = sizeof def, .param_size = sizeof *params, .name = "test_band", .outputs = "low, high",
                     .params = params, .n_params = 2, .shape = band_shape, .decompose = band_parts};
    WORKS(hx->register_op(&def));
    hx_tensor *x = VECTOR(1, 2), *width = VECTOR(0.5), *bad = VECTOR(1, 2, 3), *out[2], *in[] = {x, width};
    WORKS(hx->tensor_set_requires_grad(x, 1));
    WORKS(hx->call_op("test_band", in, 2, NULL, 0, out, 2));
    CHECK_VALUES(out[0], 0.5, 1.5);
    CHECK_VALUES(out[1], 1.5, 2.5);
    hx_tensor *sum = one("sum", out[1], NULL);
    WORKS(hx->backward(&sum, NULL, 1, 0)); /* through the parts */
    hx_tensor *g = hx->tensor_gradient(x);
    CHECK_VALUES(g, 1, 1);
    for (hx_tensor **t = (hx_tensor *[]){out[0], out[1], sum, g, NULL}; *t; t++) hx->tensor_release(*t);
    in[1] = NULL;
    WORKS(hx->call_op("test_band", in, 2, NULL, 0, out, 2));
    CHECK_VALUES(out[0], 1, 2);
    hx->tensor_release(out[0]);
    hx->tensor_release(out[1]);
    in[1] = bad; /* the words are those of what failed inside */
    REFUSED(hx->call_op("test_band", in, 2, NULL, 0, out, 2), HX_E_SHAPE, 1003, "(3,)");
    in[0] = one("sum", x, NULL);
    REFUSED(hx->call_op("test_band", in, 2, NULL, 0, out, 2), HX_E_SHAPE, 1002, "takes a vector");
    CHECK(!out[0] && !out[1]);
    for (hx_tensor **t = (hx_tensor *[]){x, width, bad, in[0], NULL}; *t; t++) hx->tensor_release(*t);
}

/* ---- callbacks at fault ---- */

static hx_code fault_parts(void *ctx, const hx_args *args, hx_tensor **out, hx_err *err) {
    (void)err;
    switch (*(int *)ctx) {
    case 0: return HX_E_VALUE;                            /* without a word */
    case 1: return HX_OK;                                 /* without a result */
    case 2: return -7;                                    /* no code */
    default:
        out[0] = hx->tensor_retain(args->in[1]);          /* not what the rule said */
        return HX_OK;
    }
}
static hx_code fault_vjp(void *ctx, const hx_args *args, hx_tensor **gradient, hx_err *err) {
    (void)ctx, (void)args, (void)gradient, (void)err;
    return HX_OK;
}

static void test_faulty_callbacks(void) {
    static int kind;
    const hx_param_def params[] = {{.kind = HX_PARAM_TENSOR, .name = "input"}, {.kind = HX_PARAM_TENSOR, .name = "other"}};
    hx_op_def def = {.struct_size = sizeof def, .param_size = sizeof *params, .name = "test_fault", .params = params,
                     .n_params = 2, .rule = HX_RULE_SAME, .ctx = &kind, .decompose = fault_parts, .vjp = fault_vjp};
    hx_tensor *x = VECTOR(1, 2), *in[] = {x, VECTOR(1)}, *out;
    WORKS(hx->register_op(&def));
    CHECK_INT(hx->call_op("nope", in, 2, NULL, 0, &out, 1), HX_E_UNSUPPORTED); /* an older error, of another thing */
    REFUSED(hx->call_op("test_fault", in, 2, NULL, 0, &out, 1), HX_E_VALUE, 1403, "without a message");
    kind = 1;
    REFUSED(hx->call_op("test_fault", in, 2, NULL, 0, &out, 1), HX_E_INTERNAL, 1901, "gave no result 0");
    kind = 2;
    REFUSED(hx->call_op("test_fault", in, 2, NULL, 0, &out, 1), HX_E_INTERNAL, 1901, "without a message");
    kind = 3;
    REFUSED(hx->call_op("test_fault", in, 2, NULL, 0, &out, 1), HX_E_INTERNAL, 1901, "its shape rule says");
    hx_tensor *other = in[1];
    in[1] = x;
    WORKS(hx->tensor_set_requires_grad(x, 1));
    WORKS(hx->call_op("test_fault", in, 2, NULL, 0, &out, 1));
    CHECK(out != x && hx->tensor_data_host(out) == hx->tensor_data_host(x)); /* a result has a history of its own */
    hx_tensor *sum = one("sum", out, NULL);
    REFUSED(hx->backward(&sum, NULL, 1, 0), HX_E_INTERNAL, 1901, "gave no gradient for input 0");
    CHECK(hx->keep(hx->tensor_retain(x)) == NULL); /* no callback runs */
    CHECK_INT(hx->error_code(), HX_E_INTERNAL);
    hx->error_clear();
    for (hx_tensor **t = (hx_tensor *[]){x, other, out, sum, NULL}; *t; t++) hx->tensor_release(*t);
}

/* ---- records that are refused ---- */

#define WRONG(part, ...)                                                                                      \
    do {                                                                                                      \
        hx_op_def def = scaled("test_wrong");                                                                 \
        __VA_ARGS__;                                                                                          \
        int before = hx_op_count();                                                                           \
        REFUSED(hx->register_op(&def), HX_E_VALUE, 1403, part);                                               \
        CHECK(hx_op_count() == before && !hx->op_find("test_wrong"));                                         \
    } while (0)
#define WRONG_PARAMS(part, ...)                                                                               \
    WRONG(part, const hx_param_def p[] = {__VA_ARGS__}; def.params = p; def.n_params = COUNT_OF(p))

static void test_refused_records(void) {
    hx_op_def short_def = scaled("test_wrong"), short_params = short_def;
    short_def.struct_size--;
    short_params.param_size = 8;
    REFUSED(hx->register_op(&short_def), HX_E_VERSION, 1403, "begins with 104 and 40");
    REFUSED(hx->register_op(&short_params), HX_E_VERSION, 1403, "begins with 104 and 40");
    REFUSED(hx->register_op(NULL), HX_E_VERSION, 1403, "0 and 0 bytes");
    WRONG("a name is made of", def.name = NULL);
    WRONG("a name is made of", def.name = "Wrong");
    WRONG("a name is made of", def.name = "wrong-er");
    WRONG("in-place", def.name = "test_wrong_");
    WRONG("too many parameters", def.n_params = 21);
    WRONG("no parameters", def.params = NULL);
    WRONG("shape rule does not exist", def.rule = 5);
    WRONG("two shape rules", def.shape = band_shape);
    WRONG("neither kernel nor decomposition", def.kernel = NULL);
    WRONG("a kernel needs a shape rule", def.rule = HX_RULE_OWN);
    WRONG("a vjp needs a shape rule", def.rule = HX_RULE_OWN; def.kernel = NULL; def.decompose = band_parts);
    WRONG("takes no dtype", def.kernel_dtypes = 0);
    WRONG("not 1 to 8 names", def.outputs = "a, b, c, d, e, f, g, h, i");
    WRONG("not 1 to 8 names", def.outputs = "a, , c");
    WRONG("need a shape callback", def.outputs = "a, b");
    WRONG("a vjp that it has not", def.vjp = NULL; def.saves_in = 1);
    WRONG("inputs that it has not", def.saves_in = 2);
    WRONG("results that it has not", def.saves_out = 2);
    const hx_param_def input = {.kind = HX_PARAM_TENSOR, .name = "input"};
    WRONG_PARAMS("1 to 12 tensors", {.kind = HX_PARAM_FLOAT, .name = "scale"});
    WRONG_PARAMS("first parameter", {.kind = HX_PARAM_FLOAT, .name = "scale", .flags = HX_PARAM_REQUIRED}, input);
    WRONG_PARAMS("kind does not exist", input, {.kind = 13, .name = "scale"});
    WRONG_PARAMS("kind does not exist", input, {.name = "scale"});
    WRONG_PARAMS("no good name", input, {.kind = HX_PARAM_FLOAT});
    WRONG_PARAMS("one name", input, {.kind = HX_PARAM_FLOAT, .name = "input"});
    WRONG_PARAMS("behind one that has it", input, {.kind = HX_PARAM_INT, .name = "n"}, {.kind = HX_PARAM_DTYPE, .name = "d"});
    WRONG_PARAMS("none of its choices", input, {.kind = HX_PARAM_STRING, .name = "s", .text = "b", .choices = "a|c"});
    WRONG_PARAMS("none of its choices", input, {.kind = HX_PARAM_STRING, .name = "s"});
}

/* Structs of a later minor: longer, and the parameters stand further apart. */
static void test_later_structs(void) {
    struct {
        hx_param_def known;
        uint64_t unknown;
    } params[] = {{scale_params[0], ~0ull}, {scale_params[1], ~0ull}};
    struct {
        hx_op_def known;
        void *unknown;
    } later = {scaled("test_later"), (void *)1};
    later.known.struct_size = sizeof later;
    later.known.param_size = sizeof *params;
    later.known.params = &params->known;
    WORKS(hx->register_op(&later.known));
    hx_tensor *x = VECTOR(3), *y = one("test_later", x, NULL);
    CHECK_VALUES(y, 6);
    hx->tensor_release(x);
    hx->tensor_release(y);
}

/* ---- threads ---- */

static void *register_and_call(void *argument) {
    char name[32];
    snprintf(name, sizeof name, "test_thread_%d", *(int *)argument);
    hx_op_def def = scaled(name);
    WORKS(hx->register_op(&def));
    for (int i = 0; i < 200; i++) {
        hx_tensor *x = VECTOR(1, 2), *y;
        WORKS(hx->call_op(name, &x, 1, NULL, 0, &y, 1));
        CHECK_VALUES(y, 2, 4);
        hx->tensor_release(x);
        hx->tensor_release(y);
        REFUSED(hx->call_op("test_thread_none", &x, 1, NULL, 0, &y, 1), HX_E_UNSUPPORTED, 1701, "test_thread_none");
    }
    return NULL;
}

static void test_threads(void) {
    pthread_t threads[4];
    int numbers[] = {0, 1, 2, 3};
    for (int i = 0; i < 4; i++) CHECK(!pthread_create(&threads[i], NULL, register_and_call, &numbers[i]));
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

static void test_devices(void) {
    uint64_t native = 1;
    hx_tensor *x = VECTOR(1), *y;
    WORKS(hx->current_stream("cpu", &native));
    CHECK(native == 0);
    WORKS(hx->synchronize(NULL));
    WORKS(hx->tensor_to_device(x, "cpu", &y));
    CHECK(x == y);
    REFUSED(hx->tensor_to_device(x, "nowhere:3", &y), HX_E_DEVICE, 1202, "nowhere");
    CHECK(y == NULL);
    REFUSED(hx->synchronize("nowhere"), HX_E_DEVICE, 1202, "nowhere");
    hx->tensor_release(x);
    hx->tensor_release(x);
}

int main(void) {
    CHECK_INT(hx_init(), HX_OK);
    hx = hx_api_table(NULL);
    CHECK(hx->struct_size == sizeof *hx && hx->abi_major == HX_ABI_MAJOR && hx->abi_minor == HX_ABI_MINOR);
    CHECK_TEXT(hx->error_text(), "");
    test_tensors();
    test_wrapped_memory();
    test_calls();
    test_refused_calls();
    test_gradients();
    test_dlpack();
    test_own_op();
    test_own_composite();
    test_faulty_callbacks();
    test_refused_records();
    test_later_structs();
    test_threads();
    test_devices();
    return 0;
}
