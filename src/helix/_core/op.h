/* What an op is: one record, said once in ops/<family>.c, and how C code calls ops.
 *
 * Everything else follows from the record: the Python function and method, docstring, stub, dispatch, autograd,
 * tracing and the generic tests. A record knows no device. */
#ifndef HX_OP_H
#define HX_OP_H

#include "tensor.h"

#define HX_MAX_PARAMS 20
#define HX_MAX_OUTPUTS 8

/* ---- parameters ------------------------------------------------------------------------------------------ */

typedef enum hx_param_kind {
    HX_P_END = 0,
    HX_P_TENSOR,      /* a tensor; a Python number becomes a wrapped number */
    HX_P_OPT_TENSOR,  /* a tensor or None */
    HX_P_TENSORS,     /* a sequence of tensors (None allowed inside with HX_PF_HOLES); at most one an op */
    HX_P_BOOL,
    HX_P_INT,
    HX_P_OPT_INT,     /* HX_A_NONE when not given */
    HX_P_FLOAT,
    HX_P_OPT_FLOAT,
    HX_P_NUMBER,      /* bool, int, float or complex, kept as given */
    HX_P_OPT_NUMBER,
    HX_P_INTS,        /* an int or a sequence of ints; a lone int is a list of one */
    HX_P_OPT_INTS,
    HX_P_FLOATS,
    HX_P_DTYPE,
    HX_P_OPT_DTYPE,
    HX_P_STRING,      /* one of `choices` */
    HX_P_RNG          /* generator=None: a fresh stream of the default generator at each call */
} hx_param_kind;

typedef struct hx_param {
    const char *name;
    hx_param_kind kind;
    bool required;         /* for kinds that are not optional by nature */
    double number;         /* default of BOOL, INT, FLOAT, NUMBER */
    const char *text;      /* default of STRING (choices: "mean|sum|none", first listed need not be default) */
    const char *choices;
    uint8_t flags;         /* HX_PF_* */
} hx_param;

enum {
    HX_PF_KEYWORD = 1, /* this and all later ones by keyword only */
    HX_PF_VARARGS = 2, /* INTS that may also be given as x.op(2, 3): first non-tensor parameter only */
    HX_PF_HOLES = 4    /* TENSORS may hold None */
};

/* Written in records as  .params = PARAMS(TENSOR("input"), OPT_INTS("dim"), BOOL("keepdim", false)). */
#define PARAMS(...) ((const hx_param[]){__VA_ARGS__, {0}})
#define TENSOR(n, ...) {.name = n, .kind = HX_P_TENSOR, .required = true, __VA_ARGS__}
#define OPT_TENSOR(n, ...) {.name = n, .kind = HX_P_OPT_TENSOR, __VA_ARGS__}
#define TENSORS(n, ...) {.name = n, .kind = HX_P_TENSORS, .required = true, __VA_ARGS__}
#define TENSORS_HOLES(n, ...) {.name = n, .kind = HX_P_TENSORS, .required = true, .flags = HX_PF_HOLES, __VA_ARGS__}
#define BOOL(n, d, ...) {.name = n, .kind = HX_P_BOOL, .number = d, __VA_ARGS__}
#define INT(n, d, ...) {.name = n, .kind = HX_P_INT, .number = d, __VA_ARGS__}
#define REQ_INT(n, ...) {.name = n, .kind = HX_P_INT, .required = true, __VA_ARGS__}
#define OPT_INT(n, ...) {.name = n, .kind = HX_P_OPT_INT, __VA_ARGS__}
#define FLOAT(n, d, ...) {.name = n, .kind = HX_P_FLOAT, .number = d, __VA_ARGS__}
#define REQ_FLOAT(n, ...) {.name = n, .kind = HX_P_FLOAT, .required = true, __VA_ARGS__}
#define OPT_FLOAT(n, ...) {.name = n, .kind = HX_P_OPT_FLOAT, __VA_ARGS__}
#define NUMBER(n, d, ...) {.name = n, .kind = HX_P_NUMBER, .number = d, __VA_ARGS__}
#define REQ_NUMBER(n, ...) {.name = n, .kind = HX_P_NUMBER, .required = true, __VA_ARGS__}
#define OPT_NUMBER(n, ...) {.name = n, .kind = HX_P_OPT_NUMBER, __VA_ARGS__}
#define INTS(n, d, ...) {.name = n, .kind = HX_P_INTS, .number = d, __VA_ARGS__}
#define REQ_INTS(n, ...) {.name = n, .kind = HX_P_INTS, .required = true, __VA_ARGS__}
#define VAR_INTS(n, ...) {.name = n, .kind = HX_P_INTS, .required = true, .flags = HX_PF_VARARGS, __VA_ARGS__}
#define OPT_INTS(n, ...) {.name = n, .kind = HX_P_OPT_INTS, __VA_ARGS__}
#define DTYPE(n, ...) {.name = n, .kind = HX_P_DTYPE, .required = true, __VA_ARGS__}
#define OPT_DTYPE(n, ...) {.name = n, .kind = HX_P_OPT_DTYPE, __VA_ARGS__}
#define STRING(n, d, c, ...) {.name = n, .kind = HX_P_STRING, .text = d, .choices = c, __VA_ARGS__}
#define RNG(n, ...) {.name = n, .kind = HX_P_RNG, __VA_ARGS__}
#define KW .flags = HX_PF_KEYWORD /* NUMBER("alpha", 1, KW): this and all later ones by keyword only */

/* ---- a call ---------------------------------------------------------------------------------------------- */

typedef struct hx_op hx_op;

/* One call on its way through dispatch. Tensors come in parameter order with a TENSORS list flattened in place;
 * attributes in parameter order. The shape rule reads `in` and `attr` and fills `spec`; it may
 *   - normalise attributes (negative axes), pointing `ints` into `ints_room`,
 *   - ask for casts of inputs by setting `compute` to a dtype (all inputs) or `cast[i]` (one of the first 8),
 *   - set n_out. */
typedef struct hx_call {
    const hx_op *op;
    hx_tensor **in;      /* borrowed; entries may be NULL for OPT_TENSOR and holes */
    int n_in, n_attr, n_out;
    int list_at, list_n; /* where the TENSORS list stands in `in`, and its length; list_at -1 without one */
    bool inplace;        /* out[0] is in[0] */
    bool has_out;        /* out[] was given by the caller (out=) */
    bool parts;          /* a composite goes to its parts even where it has a kernel: a trace sees them */
    uint8_t groups;      /* HX_MUTATES: the record's, unless the shape rule sets another */
    int8_t compute;      /* dtype every input is cast to, or -1 */
    int8_t cast[8];      /* dtype input i is cast to, or -1 */
    hx_attr attr[HX_MAX_PARAMS];
    hx_spec spec[HX_MAX_OUTPUTS];
    hx_tensor *out[HX_MAX_OUTPUTS]; /* one reference each to the caller on success */
    hx_device *device;   /* creation ops: where; else taken from the inputs */
    int64_t ints_room[3 * HX_MAX_RANK];
    int ints_used;
} hx_call;

/* Room for n normalised ints that lives as long as the call; NULL with an error pending when it is used up. */
int64_t *hx_call_ints(hx_call *c, int n);

/* ---- gradient rules -------------------------------------------------------------------------------------- */

/* A vector-Jacobian product. It reads what the record said it saves, calls ops, and sets gin[i] for each needed
 * input. What the engine does so that rules stay short: gin of a broadcast input is summed to its shape; gin of
 * another dtype is cast (complex to real takes the real part); tensors from CALL are released afterwards. */
typedef struct hx_vjp {
    const hx_op *op;
    int n_in, n_out, n_attr;
    int list_at, list_n;
    hx_tensor **in;       /* saved values; NULL where the record does not save input i: read with IN(i) */
    hx_tensor **out;      /* saved results; NULL where not saved */
    hx_tensor **g;        /* incoming gradients; NULL where the output was not used (never all of them) */
    const hx_attr *attr;  /* as after the shape rule */
    const hx_spec *in_spec, *out_spec; /* shape and dtype of every input and output, saved or not */
    const bool *need;
    uint64_t stale;       /* bit i: saved input i was written afterwards; bit 32 + i: saved output i */
    hx_tensor **gin;      /* all NULL at the start; borrowed from the scope */
    hx_tensor *into[2];   /* HX_ADDS: what the gradients of the first two inputs have come to so far, where a rule may
                             add to it in place and hand it back in gin; else NULL */
} hx_vjp;

typedef hx_status (*hx_shape_rule)(hx_call *c);
typedef hx_status (*hx_vjp_rule)(hx_vjp *v);

/* A composite: computes c->out[] (borrowed from the scope) from c->in and c->attr by calling ops. */
typedef hx_status (*hx_decomposition)(hx_call *c);

/* ---- the record ------------------------------------------------------------------------------------------ */

struct hx_op {
    const char *name;
    const hx_param *params;
    const char *doc;             /* first line: what it does; then shapes, dtypes, errors, example */
    const char *outputs;         /* names of several outputs "values, indices"; NULL for one */
    hx_shape_rule shape;
    hx_vjp_rule vjp;             /* NULL only with HX_NON_DIFF, or with `decompose` */
    hx_decomposition decompose;  /* NULL for primitives */
    uint32_t saves;              /* SAVE_IN(i) | SAVE_OUT(i): what vjp reads */
    uint32_t constants;          /* CONSTANT_IN(i): vjp has no gradient for it; refused where it requires grad */
    uint32_t flags;
    uint64_t grad_dtypes;        /* 0: all floating and complex */
    const char *aliases;         /* further Python names, "a, b": the documented alias table is made of these */
    uint8_t groups, writes;      /* HX_MUTATES: the TENSORS list is `groups` equal parts; bit k: part k is written */
    const struct hx_op_info *info; /* set by the registry in its own copy of the record */
    const struct hx_foreign *foreign; /* an embedder's definition (api_op.c); NULL for helix's own */
};

/* What the registry works out from a record once. */
typedef struct hx_op_info {
    int id;                /* position in the registry */
    int n_params, n_tensors, n_attr, n_outputs;
    int list_at;           /* position of the TENSORS list among the tensors, or -1 */
    uint8_t precision[2];  /* hx_precision on the CPU, and elsewhere */
    int rng_attr;          /* position of the RNG attribute, or -1 */
    hx_attr defaults[HX_MAX_PARAMS];
    const char *attr_names[HX_MAX_PARAMS];
    struct hx_op_kernels *kernels; /* found kernels, one a backend; dispatch fills them */
} hx_op_info;

#define HX_LIKE (1u << 22) /* makes a tensor after the pattern of another: takes device= and requires_grad= */
enum {
    HX_PRIMITIVE = 1 << 0, /* has kernels and no decomposition */
    HX_NON_DIFF = 1 << 1,  /* result does not depend smoothly on inputs: outputs never require grad; silent for
                              ops with integer or bool results (argmax, eq), an error when HX_GRAD_ERROR too */
    HX_GRAD_ERROR = 1 << 2,
    HX_VIEW = 1 << 3,      /* outputs alias in[0]: no kernel; the rule fills strides and offset */
    HX_INPLACE = 1 << 4,   /* an in-place form `name_` exists */
    HX_ALIAS_OK = 1 << 5,  /* the kernel may write out[0] over in[0] itself (elementwise) */
    HX_METHOD = 1 << 6,    /* also a method of Tensor */
    HX_FUNCTION = 1 << 7,  /* also a function of helix */
    HX_NN = 1 << 8,        /* also (or only) a function of helix.nn.functional */
    HX_VALUES = 1 << 9,    /* the output shape depends on values: the kernel is run by `decompose`; not traceable */
    HX_MUTATES = 1 << 10,  /* writes into inputs given by groups/writes; has no outputs */
    HX_CREATES = 1 << 11,  /* no tensor inputs: takes device= */
    HX_OUT = 1 << 12,      /* takes out=: set by the registry for every public op that makes its results */
    HX_RANDOM = 1 << 13,
    HX_INTERNAL_OP = 1 << 14, /* not shown in Python (a fused backward, for instance) */
    HX_NONDIFF_OUT1 = 1 << 15, /* outputs after the first never require grad (indices of max, topk) */
    HX_ADDS = 1 << 16,        /* the vjp reads `into`: it can add a gradient that covers a part of an input in place */
    HX_FFT = 1 << 17,         /* also (or only) a function of helix.fft, there without the fft_ of its name */
    HX_SPECIAL = 1 << 18,     /* also (or only) a function of helix.special, there without the special_ of its name */
    HX_LINALG = 1 << 19       /* the same of helix.linalg and linalg_ */
};
#define HX_PUBLIC (HX_METHOD | HX_FUNCTION)
#define HX_ELEMENTWISE (HX_PRIMITIVE | HX_INPLACE | HX_ALIAS_OK | HX_PUBLIC)
#define SAVE_IN(i) (1u << (i))
#define SAVE_OUT(i) (1u << (16 + (i)))
#define CONSTANT_IN(i) (1u << (i)) /* for tensors before a TENSORS list */
#define SAVE_LIST (1u << 15) /* all tensors of the TENSORS list */

/* ---- registry -------------------------------------------------------------------------------------------- */

const hx_op *hx_op_find(const char *name);
int hx_op_count(void);
const hx_op *hx_op_at(int i);
/* Further records, for embedders and tests, one thread at a time. The record must live for ever. `cpu` is what the CPU
 * offers for it; NULL: its backend is asked. */
hx_status hx_op_register(const hx_op *op, const hx_op_support *cpu);

/* ---- calling ops from C ---------------------------------------------------------------------------------- */

/* A scope owns the tensors that CALL makes in it. They nest; leaving one releases its tensors. */
typedef struct hx_scope {
    struct hx_scope *outer;
    int mark;
} hx_scope;
void hx_scope_enter(hx_scope *s);
void hx_scope_leave(hx_scope *s);
hx_tensor *hx_scope_own(hx_tensor *owned); /* hands a reference to the innermost scope; passes NULL through */

typedef struct hx_arg {
    enum { HX_ARG_TENSOR, HX_ARG_INT, HX_ARG_FLOAT, HX_ARG_BOOL, HX_ARG_INTS, HX_ARG_ATTR, HX_ARG_LIST, HX_ARG_STR,
           HX_ARG_DEFAULT } kind;
    int n;
    union {
        hx_tensor *t;
        int64_t i;
        double f;
        const int64_t *ints;
        const hx_attr *attr;
        hx_tensor *const *list;
        const char *s;
    } v;
} hx_arg;

typedef struct hx_ints { const int64_t *v; int n; } hx_ints;       /* HX_INTS(1, 2, 3) or (hx_ints){p, n} */
typedef struct hx_list { hx_tensor *const *v; int n; } hx_list;
typedef struct hx_default { int unused; } hx_default;              /* DEFAULT: take the parameter's default */
#define HX_INTS(...) ((hx_ints){(const int64_t[]){__VA_ARGS__}, (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8)})
#define DEFAULT ((hx_default){0})

static inline hx_arg hx_arg_t(hx_tensor *t) { return (hx_arg){HX_ARG_TENSOR, 0, {.t = t}}; }
static inline hx_arg hx_arg_i(int64_t i) { return (hx_arg){HX_ARG_INT, 0, {.i = i}}; }
static inline hx_arg hx_arg_f(double f) { return (hx_arg){HX_ARG_FLOAT, 0, {.f = f}}; }
static inline hx_arg hx_arg_b(bool b) { return (hx_arg){HX_ARG_BOOL, 0, {.i = b}}; }
static inline hx_arg hx_arg_ints(hx_ints l) { return (hx_arg){HX_ARG_INTS, l.n, {.ints = l.v}}; }
static inline hx_arg hx_arg_list(hx_list l) { return (hx_arg){HX_ARG_LIST, l.n, {.list = l.v}}; }
static inline hx_arg hx_arg_attr(const hx_attr *a) { return (hx_arg){HX_ARG_ATTR, 0, {.attr = a}}; }
static inline hx_arg hx_arg_s(const char *s) { return (hx_arg){HX_ARG_STR, 0, {.s = s}}; }
static inline hx_arg hx_arg_d(hx_default d) { (void)d; return (hx_arg){HX_ARG_DEFAULT, 0, {.i = 0}}; }
#define HX_ARG(x)                                                                                             \
    _Generic((x), hx_tensor *: hx_arg_t, bool: hx_arg_b, int: hx_arg_i, long: hx_arg_i, long long: hx_arg_i, \
             unsigned: hx_arg_i, uint8_t: hx_arg_i, int8_t: hx_arg_i, float: hx_arg_f, double: hx_arg_f,              \
             hx_ints: hx_arg_ints, hx_list: hx_arg_list, const hx_attr *: hx_arg_attr, hx_attr *: hx_arg_attr,\
             const char *: hx_arg_s, char *: hx_arg_s, hx_default: hx_arg_d)(x)

/* CALL(add, a, b): calls the op through dispatch, in the current mode, and returns its first output owned by
 * the innermost scope; NULL with an error pending on failure. Arguments are given in parameter order, trailing
 * defaults may be left out, numbers are accepted where the op takes a tensor. CALLN fills several outputs. */
hx_tensor *hx_invoke(const hx_op *op, const hx_arg *args, int n, hx_tensor **outputs, int n_outputs, bool inplace);
const hx_op *hx_op_cached(const hx_op **slot, const char *name);
#define HX_OPREF(op) (__extension__({ static const hx_op *slot_; hx_op_cached(&slot_, #op); }))
#define CALL(op, ...) hx_invoke(HX_OPREF(op), HX_ARGS(__VA_ARGS__), HX_NARGS(__VA_ARGS__), NULL, 0, false)
#define CALL_(op, ...) hx_invoke(HX_OPREF(op), HX_ARGS(__VA_ARGS__), HX_NARGS(__VA_ARGS__), NULL, 0, true)
#define CALLN(outputs, n, op, ...) hx_invoke(HX_OPREF(op), HX_ARGS(__VA_ARGS__), HX_NARGS(__VA_ARGS__), outputs, n, false)

#define HX_NARGS(...) HX_NARGS_(__VA_ARGS__, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1)
#define HX_NARGS_(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, N, ...) N
#define HX_ARGS(...) ((const hx_arg[]){HX_CAT(HX_MAP, HX_NARGS(__VA_ARGS__))(__VA_ARGS__)})
#define HX_CAT_(a, b) a##b
#define HX_CAT(a, b) HX_CAT_(a, b)
#define HX_MAP1(x) HX_ARG(x)
#define HX_MAP2(x, ...) HX_ARG(x), HX_MAP1(__VA_ARGS__)
#define HX_MAP3(x, ...) HX_ARG(x), HX_MAP2(__VA_ARGS__)
#define HX_MAP4(x, ...) HX_ARG(x), HX_MAP3(__VA_ARGS__)
#define HX_MAP5(x, ...) HX_ARG(x), HX_MAP4(__VA_ARGS__)
#define HX_MAP6(x, ...) HX_ARG(x), HX_MAP5(__VA_ARGS__)
#define HX_MAP7(x, ...) HX_ARG(x), HX_MAP6(__VA_ARGS__)
#define HX_MAP8(x, ...) HX_ARG(x), HX_MAP7(__VA_ARGS__)
#define HX_MAP9(x, ...) HX_ARG(x), HX_MAP8(__VA_ARGS__)
#define HX_MAP10(x, ...) HX_ARG(x), HX_MAP9(__VA_ARGS__)
#define HX_MAP11(x, ...) HX_ARG(x), HX_MAP10(__VA_ARGS__)
#define HX_MAP12(x, ...) HX_ARG(x), HX_MAP11(__VA_ARGS__)
#define HX_MAP13(x, ...) HX_ARG(x), HX_MAP12(__VA_ARGS__)
#define HX_MAP14(x, ...) HX_ARG(x), HX_MAP13(__VA_ARGS__)
#define HX_MAP15(x, ...) HX_ARG(x), HX_MAP14(__VA_ARGS__)
#define HX_MAP16(x, ...) HX_ARG(x), HX_MAP15(__VA_ARGS__)

#endif
