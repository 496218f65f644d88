/* Errors: a status code, and one message a thread.
 *
 * A function that fails calls hx_fail once, where the fault is found, and returns the code; callers pass the
 * code up untouched. The message stays until hx_error_clear. The rule that keeps vjps and decompositions
 * readable rests on this: calling an op with a NULL tensor while an error is pending is a quiet no-op. */
#ifndef HX_ERROR_H
#define HX_ERROR_H

#include <stdbool.h>
#include "helix/backend.h"

typedef hx_code hx_status;

/* Stable documented numbers: `helix explain HX1002`. error.c holds one paragraph for each. */
enum {
    HX1001_RANK = 1001,       /* wrong number of dimensions */
    HX1002_INNER = 1002,      /* sizes that must be equal are not */
    HX1003_BROADCAST = 1003,  /* shapes that cannot be stretched to one */
    HX1004_LAYER = 1004,      /* raised by layers: input does not fit the layer */
    HX1005_RESHAPE = 1005,    /* element counts differ */
    HX1006_INPLACE = 1006,    /* result does not fit the tensor that is written */
    HX1101_DTYPE = 1101,      /* dtype not accepted */
    HX1102_CAST = 1102,       /* result dtype cannot be stored in the output */
    HX1103_ARGUMENT = 1103,   /* argument of the wrong kind, missing, unknown or given twice */
    HX1201_DEVICE = 1201,     /* tensors on different devices */
    HX1202_NO_DEVICE = 1202,  /* no such device */
    HX1301_INDEX = 1301,      /* element index out of range */
    HX1302_AXIS = 1302,       /* axis out of range or repeated */
    HX1303_INDEXING = 1303,   /* an indexing expression that is not understood */
    HX1401_OVERFLOW = 1401,   /* size does not fit */
    HX1402_MEMORY = 1402,     /* allocation refused */
    HX1403_VALUE = 1403,      /* parameter outside its domain */
    HX1404_EMPTY = 1404,      /* a reduction without identity over no elements */
    HX1405_LINALG = 1405,     /* a matrix that has no such result */
    HX1501_VERSION = 1501,    /* saved tensor changed in place */
    HX1502_FREED = 1502,      /* backward a second time through freed buffers */
    HX1503_NO_GRAD = 1503,    /* nothing to differentiate, or op not differentiable */
    HX1504_LEAF = 1504,       /* in-place write to a leaf that requires grad */
    HX1505_GRAD_SHAPE = 1505, /* a gradient that does not fit its tensor */
    HX1506_INFERENCE = 1506,  /* an inference tensor used in autograd */
    HX1507_UNUSED = 1507,     /* an input that the output does not depend on */
    HX1508_BUSY = 1508,       /* two backward passes over one node at the same time */
    HX1601_ANOMALY = 1601,    /* NaN found in anomaly mode */
    HX1701_UNSUPPORTED = 1701,/* no kernel and no decomposition */
    HX1702_TRACE = 1702,      /* values needed while only shapes are known */
    HX1703_LAPACK = 1703,     /* no library of linear algebra */
    HX1801_PLUGIN = 1801,     /* backend refused */
    HX1802_DEVICE_FAILED = 1802,/* a device reported a failure */
    HX1803_DEVICE_LOST = 1803,/* a device that is gone */
    HX1901_INTERNAL = 1901
};

/* Records the error of this thread and returns `code`. The text starts without op name and number; both are
 * added from the op that is being dispatched. hx_shape_text and hx_tensor_text print shapes and tensors. */
hx_status hx_fail(hx_code code, int number, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* What tools may want beside the text; what is not known is left out. */
typedef struct hx_facts {
    const char *argument;       /* the parameter at fault */
    const char *expected, *got; /* two sizes, shapes, dtypes or values that clash, as short text */
    bool on_axis;
    int64_t axis;
} hx_facts;
#define FACTS(...) ((hx_facts){__VA_ARGS__})

hx_status hx_fail_about(hx_facts facts, hx_code code, int number, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Adds the argument to the pending error, if `op` is what the user called. */
void hx_error_argument(const char *op, const char *argument);

/* The commonest fault: "<argument> must <rule>, got <got>". */
hx_status hx_refuse(hx_code code, int number, const char *argument, const char *rule, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* The fault that a kernel left in err, with the facts it gave beside it (hx_kernel_fail_about). */
hx_status hx_fail_kernel(const hx_err *err, hx_code code);

typedef struct hx_kept_facts {
    char argument[32], expected[120], got[120]; /* "" where they are left out */
    bool on_axis;
    int64_t axis;
} hx_kept_facts;

/* The pending error of this thread: code HX_OK when there is none. */
typedef struct hx_error {
    hx_code code;
    int number;
    hx_kept_facts facts;
    char op[64];    /* op being dispatched when it was raised; "" outside dispatch */
    char text[1000];
} hx_error;

const hx_error *hx_error_last(void);
void hx_error_clear(void);

/* Restores an error saved by copying *hx_error_last(): for clean-up code that calls fallible functions. */
void hx_error_restore(const hx_error *saved);

/* Moves the pending error to where the embedding API keeps the thread's last one; nothing is pending afterwards. */
hx_code hx_error_set_aside(void);
hx_error *hx_error_aside(void);

/* What every dispatch touches, kept small and at hand; the texts lie elsewhere. */
typedef struct hx_thread_errors {
    const char *op; /* being dispatched */
    hx_code pending;
    struct hx_texts *texts;
} hx_thread_errors;
extern _Thread_local hx_thread_errors hx_errors __attribute__((visibility("hidden")));

static inline bool hx_error_pending(void) { return hx_errors.pending != HX_OK; }

/* Sets the op name that hx_fail records, and returns the one before (both may be NULL). */
static inline const char *hx_error_enter_op(const char *op) {
    const char *outer = hx_errors.op;
    hx_errors.op = op;
    return outer;
}
/* Sets it unless an op is entered already: errors name the op that the user called, not one it is made of. */
static inline bool hx_error_outermost_op(const char *op) {
    if (hx_errors.op) return false;
    hx_errors.op = op;
    return true;
}

/* A buffer of HX_TEXT_LENGTH bytes for a piece of a message: 16 of them rotate in each thread. */
enum { HX_TEXT_LENGTH = 400 };
char *hx_text_buffer(void);
const char *hx_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The documentation of a number: a paragraph, or NULL. hx_error_numbers walks all: index to number, 0 at the end. */
const char *hx_error_explain(int number);
int hx_error_number_at(int index);

#define HX_TRY(expr)                                                                                          \
    do {                                                                                                      \
        hx_status status_ = (expr);                                                                           \
        if (__builtin_expect(status_ != HX_OK, 0)) return status_;                                            \
    } while (0)

#endif
