/* The pending error of a thread, and the paragraphs behind `helix explain`. */
#include "error.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cpu/cpu.h"

enum { TEXTS = 16 };

typedef struct hx_texts {
    hx_error error;
    hx_kept_facts kernel; /* of the kernel that is failing */
    hx_error aside;       /* what embedders read */
    unsigned next;
    char buffer[TEXTS][HX_TEXT_LENGTH];
} hx_texts;

_Thread_local hx_thread_errors hx_errors;
static hx_texts shared; /* for threads that could not get their own: texts may mix, codes do not */
static pthread_key_t at_exit;

static void make_key(void) { pthread_key_create(&at_exit, free); }

/* The thread's texts, made at its first error and freed when it ends. */
static hx_texts *texts(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (hx_errors.texts) return hx_errors.texts;
    pthread_once(&once, make_key);
    hx_texts *own = calloc(1, sizeof *own);
    if (!own || pthread_setspecific(at_exit, own) != 0) {
        free(own);
        return &shared;
    }
    return hx_errors.texts = own;
}

char *hx_text_buffer(void) {
    hx_texts *t = texts();
    return t->buffer[t->next++ % TEXTS];
}

const char *hx_text(const char *format, ...) {
    char *text = hx_text_buffer();
    va_list args;
    va_start(args, format);
    vsnprintf(text, HX_TEXT_LENGTH, format, args);
    va_end(args);
    return text;
}

static void keep(hx_kept_facts *kept, const hx_facts *facts) {
    snprintf(kept->argument, sizeof kept->argument, "%s", facts->argument ? facts->argument : "");
    snprintf(kept->expected, sizeof kept->expected, "%s", facts->expected ? facts->expected : "");
    snprintf(kept->got, sizeof kept->got, "%s", facts->got ? facts->got : "");
    kept->on_axis = facts->on_axis;
    kept->axis = facts->axis;
}

__attribute__((format(printf, 4, 0))) static hx_status fail(const hx_facts *facts, hx_code code, int number,
                                                            const char *format, va_list args) {
    if (hx_error_pending()) return hx_errors.pending; /* the first error is the cause, later ones are its echo */
    hx_error *e = &texts()->error;
    hx_errors.pending = e->code = code;
    e->number = number;
    keep(&e->facts, facts);
    snprintf(e->op, sizeof e->op, "%s", hx_errors.op ? hx_errors.op : "");
    vsnprintf(e->text, sizeof e->text, format, args);
    return code;
}

hx_status hx_fail(hx_code code, int number, const char *format, ...) {
    va_list args;
    va_start(args, format);
    hx_status status = fail(&FACTS(0), code, number, format, args);
    va_end(args);
    return status;
}

hx_status hx_fail_about(hx_facts facts, hx_code code, int number, const char *format, ...) {
    va_list args;
    va_start(args, format);
    hx_status status = fail(&facts, code, number, format, args);
    va_end(args);
    return status;
}

hx_status hx_refuse(hx_code code, int number, const char *argument, const char *rule, const char *format, ...) {
    char *got = hx_text_buffer();
    va_list args;
    va_start(args, format);
    vsnprintf(got, HX_TEXT_LENGTH, format, args);
    va_end(args);
    return hx_fail_about(FACTS(argument, rule, got), code, number, "%s must %s, got %s", argument, rule, got);
}

void hx_error_argument(const char *op, const char *argument) {
    hx_error *e = &texts()->error;
    if (argument && !strcmp(e->op, op)) snprintf(e->facts.argument, sizeof e->facts.argument, "%s", argument);
}

__attribute__((format(printf, 4, 0))) static hx_code kernel_fail(hx_err *err, hx_code code, int number,
                                                                 const char *format, va_list args) {
    err->code = code;
    err->number = number;
    vsnprintf(err->msg, sizeof err->msg, format, args);
    return code;
}

hx_code hx_kernel_fail(hx_err *err, hx_code code, int number, const char *format, ...) {
    va_list args;
    va_start(args, format);
    kernel_fail(err, code, number, format, args);
    va_end(args);
    return code;
}

hx_code hx_kernel_fail_about(hx_facts facts, hx_err *err, hx_code code, int number, const char *format, ...) {
    va_list args;
    va_start(args, format);
    kernel_fail(err, code, number, format, args);
    va_end(args);
    keep(&texts()->kernel, &facts);
    return code;
}

hx_status hx_fail_kernel(const hx_err *err, hx_code code) {
    hx_texts *t = texts();
    bool first = !hx_error_pending();
    hx_status status = hx_fail(code, err->number ? err->number : HX1901_INTERNAL, "%s",
                               err->msg[0] ? err->msg : "the kernel failed without a message");
    if (first) t->error.facts = t->kernel;
    t->kernel = (hx_kept_facts){0};
    return status;
}

const hx_error *hx_error_last(void) {
    static const hx_error none;
    return hx_error_pending() ? &texts()->error : &none;
}

void hx_error_clear(void) { hx_errors.pending = HX_OK; }

hx_code hx_error_set_aside(void) {
    hx_texts *t = texts();
    t->aside = *hx_error_last();
    hx_error_clear();
    return t->aside.code;
}
hx_error *hx_error_aside(void) { return &texts()->aside; }

void hx_error_restore(const hx_error *saved) {
    texts()->error = *saved;
    hx_errors.pending = saved->code;
}

static const struct {
    int number;
    const char *text;
} paragraphs[] = {
    {HX1001_RANK,
     "A tensor has the wrong number of dimensions. The message names the parameter, the number of dimensions the "
     "operation needs and the shape it got. A missing batch or channel dimension is the usual cause: unsqueeze adds "
     "a dimension of size 1, squeeze removes one, reshape and flatten regroup them."},
    {HX1002_INNER,
     "Two sizes that the operation needs to be equal are not, such as the columns of the first and the rows of the "
     "second matrix in matmul. The message names both axes with their sizes. Transposing one operand (x.mT) is the "
     "fix when a matrix was stored the other way round."},
    {HX1003_BROADCAST,
     "The shapes cannot be stretched to one common shape. Shapes are compared from the last axis backwards; two "
     "sizes fit when they are equal or one of them is 1, and missing leading axes count as 1. Use unsqueeze or "
     "reshape to line the axes up, or check which tensor has the unexpected shape."},
    {HX1004_LAYER,
     "A layer was given an input that does not fit the sizes it was made with, for instance 64 channels where it "
     "was built for 32. The message names the layer by its path in the module, the sizes it was made for and the "
     "shape that arrived. Look at the layer before it, or build this one with the size that arrives."},
    {HX1005_RESHAPE,
     "A tensor cannot take the requested shape because the two shapes hold different numbers of elements, or more "
     "than one size was given as -1, or the memory layout does not allow a view. One size may be -1: it is worked "
     "out from the others. reshape copies where view cannot."},
    {HX1006_INPLACE,
     "An operation that writes into an existing tensor produced a result whose shape does not fit it. The tensor "
     "that is written is never resized: the operands must broadcast to exactly its shape. Use the form without the "
     "trailing underscore, or without out=, to get a new tensor."},
    {HX1101_DTYPE,
     "The operation does not take this data type. The message names the parameter, its dtype and the dtypes that "
     "are accepted. Convert with x.to(dtype) where the values allow it; indices must be integers, masks bool, and "
     "gradients need floating or complex tensors."},
    {HX1102_CAST,
     "The result would lose its kind when stored in the tensor that is written: floating values are not stored in "
     "integer tensors, complex values not in real ones, and nothing but bool in bool tensors. Use the form that "
     "returns a new tensor, or convert with x.to(dtype) first."},
    {HX1103_ARGUMENT,
     "An argument is missing, unknown, given twice, or of a kind that the parameter does not take. The message "
     "names the parameter and what it accepts. help(helix.<name>) shows the full signature."},
    {HX1201_DEVICE,
     "The tensors of one call live on different devices. helix does not copy between devices by itself, because a "
     "hidden copy is slow; move one of them with x.to(y.device). Plain Python numbers go with any device."},
    {HX1202_NO_DEVICE,
     "There is no device of this name or number. `helix devices` lists the devices that were found, and for each "
     "installed backend that cannot be used the reason."},
    {HX1301_INDEX,
     "An element index lies outside the axis it addresses. An axis of size n has the indices -n to n-1; negative "
     "ones count from the end. The message gives the index, its position and the axis."},
    {HX1302_AXIS,
     "An axis is outside the tensor's dimensions, or the same axis is named twice. A tensor of n dimensions has the "
     "axes -n to n-1. Rank 0 accepts 0 and -1."},
    {HX1303_INDEXING,
     "The expression between the brackets is not understood. Accepted are integers, slices with a positive or "
     "negative step, None, ..., and tensors or sequences of integers or bools; a bool mask must have the shape of "
     "the axes it selects from."},
    {HX1401_OVERFLOW,
     "A size, offset or element count does not fit in 64 bits. The operation was refused before anything was "
     "allocated. Usually one of the sizes is a mistake, such as a negative number that became large."},
    {HX1402_MEMORY,
     "Memory was refused: the request is above the limit of helix.set_memory_limit, above what the machine has, or "
     "the system gave none. The message gives the bytes asked for, the limit and the bytes in use. Nothing was "
     "changed. Smaller batches, helix.no_grad() for inference, gradient checkpointing and helix.empty_cache() lower "
     "the need."},
    {HX1403_VALUE,
     "A parameter has a value outside its domain: a negative size, a probability outside [0, 1], a stride of 0, "
     "division of integers by zero, and the like. The message gives the value and what is accepted."},
    {HX1404_EMPTY,
     "A reduction that has no identity, such as max, min, argmax or median, was asked for over no elements. Check "
     "for an empty tensor first, or reduce over an axis that is not empty."},
    {HX1405_LINALG,
     "A matrix has no such result: it is singular where an inverse is needed, not positive definite where a Cholesky factor "
     "is, holds NaN or infinite elements, or an iteration for its eigenvalues or singular values did not converge. The "
     "message names the matrix of the batch. The functions whose names end in _ex return LAPACK's info instead."},
    {HX1501_VERSION,
     "A tensor that the backward pass needs was changed in place after the forward pass saved it, so the gradient "
     "would be wrong. Use the form without the trailing underscore for that change, or clone the tensor before it "
     "is used. Anomaly mode adds the source line that saved it."},
    {HX1502_FREED,
     "Backward was run a second time through a graph whose saved tensors were already released. Pass "
     "retain_graph=True to the first backward, or compute the forward pass again; a loss kept over several steps "
     "should be detached."},
    {HX1503_NO_GRAD,
     "There is nothing to differentiate: the tensor does not depend on any tensor that requires grad, was computed "
     "under no_grad, has an integer or bool dtype, or came through an operation that has no gradient. Set "
     "requires_grad on the inputs, or remove detach() and no_grad on the way. Or a history would be lost: a tensor that "
     "requires grad was given to NumPy, DLPack or a key-value cache, or the result of an operation was pickled, copied "
     "deeply, or told not to require grad. Detach it first."},
    {HX1504_LEAF,
     "An in-place operation was applied to a leaf tensor that requires grad; its gradient would no longer belong to "
     "its value. Update parameters under helix.no_grad(), or work on a copy."},
    {HX1505_GRAD_SHAPE,
     "A gradient does not fit the tensor it belongs to in shape, dtype or device. The gradient given to backward "
     "must have the shape of the tensor it is called on, and may be left out only when that has one element."},
    {HX1506_INFERENCE,
     "A tensor made under inference_mode was used where autograd would record it, or was written or asked to require "
     "grad outside of inference mode. Such tensors carry no version count. Clone it outside inference mode, or use no_grad "
     "instead of inference_mode."},
    {HX1507_UNUSED,
     "Gradients were asked for an input that the output does not depend on. Pass allow_unused=True to get None for "
     "it, or check that the input really enters the computation."},
    {HX1508_BUSY,
     "Two backward passes walk over the same part of one graph at the same time, from two threads or from inside a "
     "hook. Let one finish first, or build a graph for each thread."},
    {HX1601_ANOMALY,
     "Anomaly mode found the first NaN. The message names the operation whose result or gradient holds it. Usual "
     "causes are log or division at 0, sqrt at 0 in the backward pass, overflow in exp, and a learning rate that "
     "is too large."},
    {HX1701_UNSUPPORTED,
     "The device has no kernel for this operation and dtype and the operation has no decomposition into others, or "
     "a mode was asked for that the operation does not have. Cast the tensor to another dtype, move it to the CPU, or "
     "allow the host fallback. An embedder asked for an operation by a name that helix does not have."},
    {HX1702_TRACE,
     "While a computation is traced only shapes are known, and this step needs values: item(), bool(), a result "
     "whose shape depends on values, or conversion to NumPy. Move it out of the traced function, or replace it by "
     "an operation such as where. Or a graph cannot hold what the function does, such as a copy to another device, a tensor "
     "of another trace, or a body that returns another structure than it takes. The message says what to do instead."},
    {HX1703_LAPACK,
     "Linear algebra runs on LAPACK, which helix's wheel holds as OpenBLAS. This build was made without it, or it could "
     "not be loaded; the message says why. Install scipy-openblas32 and build helix again, or set HELIX_BLAS to the path "
     "of an OpenBLAS or LAPACK library. Products of matrices run on helix's own kernels in any case."},
    {HX1801_PLUGIN,
     "A backend was refused: it was built for another version of the contract, lacks a required slot, has the name "
     "of another backend, or reported a fault of its own. The message says which. Other devices are not affected."},
    {HX1802_DEVICE_FAILED,
     "A device reported a failure. Devices work behind the program's back, so the cause may be an operation that was "
     "issued earlier; the message lists the last ones. Run again with HELIX_LAUNCH_BLOCKING=1 to have each operation "
     "waited for, so that the message names the right one."},
    {HX1803_DEVICE_LOST,
     "The device stopped answering (a driver reset, an unplugged device, a fault that its driver does not recover from). "
     "Tensors on it are gone and every use of it fails; the CPU and other devices go on. Start the process again and "
     "resume from the last checkpoint."},
    {HX1901_INTERNAL,
     "helix found itself in a state that should not be possible. This is a fault of helix, not of your program. "
     "Please report it with the message and, if you can, a few lines that cause it."},
};

const char *hx_error_explain(int number) {
    for (size_t i = 0; i < sizeof paragraphs / sizeof *paragraphs; i++)
        if (paragraphs[i].number == number) return paragraphs[i].text;
    return NULL;
}

int hx_error_number_at(int index) {
    return index >= 0 && (size_t)index < sizeof paragraphs / sizeof *paragraphs ? paragraphs[index].number : 0;
}
