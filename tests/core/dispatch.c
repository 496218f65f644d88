/* The one door from C alone: promotion, broadcasting, in-place rules and their errors, a further op, and a second
 * backend that offers one kernel and leaves the rest to decompositions. */
#include "dispatch.h"
#include "fallback.h"
#include "autograd.h"
#include "check.h"

static hx_tensor *filled(hx_dtype dtype, const int64_t *shape, int ndim, double value) {
    hx_tensor *t = CALL(full, ((hx_ints){shape, ndim}), value, (int)dtype);
    CHECK(t);
    return t;
}
#define FILLED(dtype, value, ...) filled(dtype, (const int64_t[]){__VA_ARGS__}, COUNT_OF(((const int64_t[]){__VA_ARGS__})), value)

#define CHECK_CALL_FAILS(call, wanted_number, part)                                                           \
    do {                                                                                                      \
        CHECK((call) == NULL);                                                                                \
        CHECK_INT(hx_error_last()->number, wanted_number);                                                    \
        if (!strstr(hx_error_last()->text, part)) {                                                           \
            fprintf(stderr, "%s:%d: \"%s\" is not in \"%s\"\n", __FILE__, __LINE__, part, hx_error_last()->text); \
            exit(1);                                                                                          \
        }                                                                                                     \
        hx_error_clear();                                                                                     \
    } while (0)

static double item(hx_tensor *t, int64_t i) {
    hx_tensor *f = CALL(cast, CALL(contiguous, t), (int)HX_F64);
    CHECK(f);
    return ((double *)f->data)[i];
}

static void test_promotion(void) {
    hx_tensor *f = FILLED(HX_F32, 2, 3), *i = FILLED(HX_I32, 5, 2, 1);
    hx_tensor *sum = CALL(add, f, i);
    CHECK_INT(sum->dtype, HX_F32);
    CHECK(sum->ndim == 2 && sum->shape[0] == 2 && sum->shape[1] == 3);
    CHECK(item(sum, 5) == 7);
    CHECK_INT(CALL(add, i, 1.5)->dtype, HX_F32);  /* a number raises the kind */
    CHECK_INT(CALL(add, i, 1)->dtype, HX_I32);    /* but not the size */
    CHECK_INT(CALL(add, f, 1e300)->dtype, HX_F32);
    CHECK_INT(CALL(lt, f, i)->dtype, HX_BOOL);
}

static void test_inplace(void) {
    hx_tensor *x = FILLED(HX_F32, 1, 3), *wide = FILLED(HX_F64, 2, 3), *two = FILLED(HX_F32, 2, 2, 3);
    CHECK(CALL_(add, x, wide) == x && item(x, 0) == 3); /* computed in float64, stored as float32 */
    CHECK_CALL_FAILS(CALL_(add, x, two), 1006, "(2, 3)");
    CHECK_CALL_FAILS(CALL_(add, FILLED(HX_I32, 1, 3), x), 1102, "cannot be stored in input, a int32 tensor");
    hx_tensor *shown = CALL(expand, FILLED(HX_F32, 1, 1), HX_INTS(4));
    CHECK_CALL_FAILS(CALL_(add, shown, 1), 1006, "share one place");
    CHECK_CALL_FAILS(CALL(add, FILLED(HX_F32, 1, 2, 3), FILLED(HX_F32, 1, 3, 4)), 1003, "(2, 3)");
    CHECK(item(x, 0) == 3);
}

/* x += x.T must read all of x before it writes. */
static void test_overlap(void) {
    hx_tensor *x = CALL(clone, CALL(reshape, CALL(arange, 0, 9, 1, (int)HX_F64), HX_INTS(3, 3)));
    CHECK(CALL_(add, x, CALL(transpose, x, 0, 1)));
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) CHECK(item(x, 3 * i + j) == 4 * (i + j));
    hx_tensor *y = CALL(arange, 0, 6, 1, (int)HX_F64);
    CHECK(CALL_(copy, CALL(narrow, y, 0, 1, 5), CALL(narrow, y, 0, 0, 5)));
    for (int i = 1; i < 6; i++) CHECK(item(y, i) == i - 1);
}

static hx_status read_only_wrap(double *room, hx_tensor **out) {
    return hx_tensor_wrap(hx_cpu(), room, 16, true, HX_F64, (const int64_t[]){2}, (const int64_t[]){1}, 1, 0, NULL, NULL, out);
}

static void test_foreign_memory(void) {
    double room[2] = {1, 2};
    hx_tensor *t;
    CHECK_INT(read_only_wrap(room, &t), HX_OK);
    CHECK(item(CALL(add, t, 1), 1) == 3);
    CHECK_CALL_FAILS(CALL_(add, t, 1), 1006, "read-only");
    hx_tensor_release(t);
    CHECK_FAILS(hx_tensor_wrap(hx_cpu(), room, 16, false, HX_F64, (const int64_t[]){2}, (const int64_t[]){2}, 1, 0,
                               NULL, NULL, &t),
                HX_E_VALUE, 1403, "outside");
}

/* An op from outside: a composite, differentiable through its parts. */
static hx_status decompose_cube(hx_call *c) {
    c->out[0] = CALL(mul, CALL(mul, c->in[0], c->in[0]), c->in[0]);
    return c->out[0] ? HX_OK : hx_error_last()->code;
}

static const hx_op cube = {.name = "test_cube", .params = PARAMS(TENSOR("input")), .decompose = decompose_cube};

static void test_register(void) {
    CHECK_INT(hx_op_register(&cube, NULL), HX_OK);
    CHECK_FAILS(hx_op_register(&cube, NULL), HX_E_VALUE, 1403, "registered already");
    hx_tensor *x = FILLED(HX_F64, 3, 1);
    x->flags |= HX_T_REQUIRES_GRAD;
    hx_tensor *y = CALL(test_cube, x);
    CHECK(item(y, 0) == 27);
    CHECK_INT(hx_backward(&y, NULL, 1, NULL, 0, NULL, &(hx_backward_options){.accumulate = true}), HX_OK);
    CHECK(item(x->gradient, 0) == 27);
}

/* A backend that borrows the CPU's memory and offers `add` alone. */
static int adds;
static hx_kernel cpu_add;
static hx_code counting_add(void *dev, void *stream, const hx_op_call *call, hx_err *err) {
    adds++;
    return cpu_add(dev, stream, call, err);
}
static hx_code query(void *ctx, const char *op, hx_op_support *s) {
    const hx_backend *cpu = ctx;
    if (strcmp(op, "add") != 0 && strcmp(op, "cast") != 0 && strcmp(op, "full") != 0) return HX_E_UNSUPPORTED;
    hx_code code = cpu->op_query(cpu->ctx, op, s);
    if (!strcmp(op, "add")) {
        cpu_add = s->kernel;
        s->kernel = counting_add;
    }
    return code;
}

static void test_backend(void) {
    hx_backend toy = *hx_backend_at(0);
    toy.name = "toy";
    toy.ctx = (void *)hx_backend_at(0);
    toy.op_query = query;
    hx_backend wrong = toy;
    wrong.abi_major = HX_ABI_MAJOR + 1;
    CHECK_FAILS(hx_backend_register(&wrong, NULL), HX_E_VERSION, 1801, "ABI 2.0");
    wrong = toy;
    wrong.mem_alloc = NULL;
    CHECK_FAILS(hx_backend_register(&wrong, NULL), HX_E_VERSION, 1801, "required slot");
    CHECK_INT(hx_backend_register(&toy, NULL), HX_OK);
    CHECK_FAILS(hx_backend_register(&toy, NULL), HX_E_VALUE, 1801, "registered already");

    hx_device *device;
    CHECK_FAILS(hx_device_find("toy:99", &device), HX_E_DEVICE, 1202, "toy:99");
    CHECK_FAILS(hx_device_find("none", &device), HX_E_DEVICE, 1202, "helix devices");
    CHECK_INT(hx_device_find("toy", &device), HX_OK);
    hx_tensor *x;
    CHECK_INT(hx_tensor_empty(device, HX_F64, (const int64_t[]){2}, 1, &x), HX_OK);
    ((double *)x->data)[0] = ((double *)x->data)[1] = 4;
    hx_tensor *y = CALL(add, x, 1);
    CHECK(y && adds == 1 && y->device == device && ((double *)y->data)[1] == 5);
    CHECK_CALL_FAILS(CALL(add, x, FILLED(HX_F64, 1, 2)), 1201, "different devices");
    hx_fallback before = hx_fallback_set(HX_FALLBACK_ERROR);
    CHECK_CALL_FAILS(CALL(mul, x, x), 1701, "device 'toy:0'");
    hx_fallback_set(before);
    hx_tensor_release(x);
}

int main(void) {
    CHECK_INT(hx_init(), HX_OK);
    hx_scope s;
    void (*const tests[])(void) = {test_promotion, test_inplace, test_overlap, test_foreign_memory, test_register,
                                   test_backend};
    for (int i = 0; i < COUNT_OF(tests); i++) {
        hx_scope_enter(&s);
        tests[i]();
        hx_scope_leave(&s);
    }
    return 0;
}
