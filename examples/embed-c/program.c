/* A program in C that holds Python: every thread fits a line of its own by gradient descent, all at once and without the GIL.
 *
 *   ./program /path/to/the/environment/bin/python
 */
#include <Python.h>
#include <helix/api.h>
#include <pthread.h>

enum { POINTS = 32, STEPS = 400, THREADS = 3 };

typedef struct fit {
    double wanted[2], found[2]; /* slope and height */
    hx_code code;
} fit;

/* One call; once something has failed, nothing more is called. */
static hx_tensor *op(fit *f, const char *name, hx_tensor *a, hx_tensor *b) {
    hx_tensor *in[] = {a, b}, *out = NULL;
    if (!f->code) f->code = helix_table()->call_op(name, in, b ? 2 : 1, NULL, 0, &out, 1);
    return out;
}
static hx_tensor *tensor(fit *f, int64_t n, const double *values) {
    hx_tensor *out = NULL;
    if (!f->code) f->code = helix_table()->tensor_from_data("cpu", HX_F64, &n, n > 1, values, &out);
    return out;
}
static void release(hx_tensor **t, int n) {
    for (int i = 0; i < n; i++) helix_table()->tensor_release(t[i]);
}

/* Downhill by `rate` of the gradient of the mean squared error. */
static void step(fit *f, hx_tensor *x, hx_tensor *y, hx_tensor **line, hx_tensor *rate) {
    const hx_api *hx = helix_table();
    hx_tensor *t[5], *gradient[2] = {NULL, NULL}, *down[4] = {NULL, NULL, NULL, NULL};
    t[0] = op(f, "mul", x, line[0]);
    t[1] = op(f, "add", t[0], line[1]);
    t[2] = op(f, "sub", t[1], y);
    t[3] = op(f, "square", t[2], NULL);
    t[4] = op(f, "mean", t[3], NULL);
    if (!f->code) f->code = hx->grad(&t[4], NULL, 1, line, 2, 0, gradient);
    int32_t before = hx->no_grad_enter();
    for (int i = 0; i < 2; i++) {
        down[2 * i] = op(f, "mul", gradient[i], rate);
        down[2 * i + 1] = op(f, "sub_", line[i], down[2 * i]);
    }
    hx->no_grad_leave(before);
    release(down, 4);
    release(gradient, 2);
    release(t, 5);
}

static void *run(void *argument) {
    fit *f = argument;
    double xs[POINTS], ys[POINTS], start[2] = {0, 0}, tenth = 0.1;
    for (int i = 0; i < POINTS; i++) {
        xs[i] = 4.0 * i / POINTS - 2;
        ys[i] = f->wanted[0] * xs[i] + f->wanted[1];
    }
    hx_tensor *made[] = {tensor(f, POINTS, xs), tensor(f, POINTS, ys), tensor(f, 1, &start[0]), tensor(f, 1, &start[1]),
                         tensor(f, 1, &tenth)};
    for (int i = 2; i < 4 && !f->code; i++) f->code = helix_table()->tensor_set_requires_grad(made[i], 1);
    for (int i = 0; i < STEPS && !f->code; i++) step(f, made[0], made[1], &made[2], made[4]);
    for (int i = 0; i < 2 && !f->code; i++) f->code = helix_table()->tensor_read(made[2 + i], &f->found[i], sizeof(double));
    if (f->code) fprintf(stderr, "failed: %s\n", helix_table()->error_text());
    release(made, 5);
    return NULL;
}

static int start_python(const char *executable) {
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    PyStatus status = PyConfig_SetBytesString(&config, &config.program_name, executable);
    if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    return PyStatus_Exception(status) ? -1 : 0;
}

int main(int count, char **words) {
    fit fits[THREADS] = {{.wanted = {1, 0}}, {.wanted = {-2, 1}}, {.wanted = {0.5, -3}}};
    pthread_t threads[THREADS];
    int failed = 0;
    if (count != 2 || start_python(words[1])) return fprintf(stderr, "give the path of a Python with helix\n"), 2;
    if (helix_import() < 0) return PyErr_Print(), 1;
    PyThreadState *main_thread = PyEval_SaveThread();
    for (int i = 0; i < THREADS; i++) failed |= pthread_create(&threads[i], NULL, run, &fits[i]);
    for (int i = 0; i < THREADS; i++) failed |= pthread_join(threads[i], NULL);
    PyEval_RestoreThread(main_thread);
    for (int i = 0; i < THREADS; i++) {
        printf("%.6f x + %.6f\n", fits[i].found[0], fits[i].found[1]);
        failed |= fits[i].code;
    }
    return Py_FinalizeEx() || failed;
}
