/* Ops that embedders define: their C struct becomes a record, and the record's rules call their callbacks. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "api.h"
#include "dispatch.h"
#include "kernels.h"
#include "ops/rules.h"

enum { MAX_TENSORS = 12 };

/* Lives for ever, with the copies of all texts behind it. */
typedef struct hx_foreign {
    hx_op_def def;
    hx_op record;
    hx_param params[HX_MAX_PARAMS + 1];
    char texts[];
} hx_foreign;

/* ---- the rules of such a record ---- */

/* A callback that fails without words of its own has those of the slot that failed inside of it. So that these are
 * none of an earlier failure, that one is out of sight meanwhile. */
static hx_code callback_begin(void) {
    hx_code earlier = hx_error_aside()->code;
    hx_error_aside()->code = HX_OK;
    return earlier;
}

static hx_status callback_end(hx_code code, const hx_err *err, hx_code earlier) {
    hx_error *aside = hx_error_aside();
    hx_code inside = aside->code;
    if (!inside) aside->code = earlier;
    if (!code) return HX_OK;
    if (inside && !err->msg[0]) {
        hx_error_restore(aside);
        return inside;
    }
    if (code < HX_E_SHAPE || code > HX_E_INTERNAL) code = HX_E_INTERNAL;
    return hx_fail(code, err->number ? err->number : code == HX_E_INTERNAL ? HX1901_INTERNAL : HX1403_VALUE, "%s",
                   err->msg[0] ? err->msg : "a callback failed without a message");
}

static hx_status shape_rule(hx_call *c) {
    const hx_op_def *def = &c->op->foreign->def;
    hx_args args = {.struct_size = sizeof args, .n_in = (uint32_t)c->n_in, .n_out = (uint32_t)c->n_out,
                    .n_attr = (uint32_t)c->n_attr, .in = c->in, .attr = c->attr};
    hx_shapes shapes = {.struct_size = sizeof shapes, .compute = -1};
    hx_err err = {.struct_size = sizeof err};
    hx_code earlier = callback_begin();
    int64_t numel;
    HX_TRY(callback_end(def->shape(def->ctx, &args, &shapes, &err), &err, earlier));
    bool good = shapes.compute >= -1 && shapes.compute < HX_DTYPE_COUNT;
    for (int i = 0; i < c->n_out; i++)
        good = good && shapes.out[i].dtype >= 0 && shapes.out[i].dtype < HX_DTYPE_COUNT && shapes.out[i].ndim >= 0 &&
               shapes.out[i].ndim <= HX_MAX_RANK;
    if (!good) return hx_fail(HX_E_INTERNAL, HX1901_INTERNAL, "its shape rule gave a dtype or rank that does not exist");
    for (int i = 0; i < c->n_out; i++) {
        HX_TRY(hx_numel(shapes.out[i].shape, shapes.out[i].ndim, &numel));
        hx_spec_set(&c->spec[i], (hx_dtype)shapes.out[i].dtype, shapes.out[i].shape, shapes.out[i].ndim);
    }
    c->compute = (int8_t)shapes.compute;
    return HX_OK;
}

static bool is_input(const hx_call *c, const hx_tensor *t) {
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i] == t) return true;
    return false;
}

static hx_status check_result(const hx_call *c, int i) {
    const hx_tensor *t = c->out[i];
    const hx_spec *s = &c->spec[i];
    if (!t) return hx_fail(HX_E_INTERNAL, HX1901_INTERNAL, "its decomposition gave no result %d", i);
    if (!c->op->shape) return HX_OK;
    if (t->dtype == s->dtype && t->ndim == s->ndim && !memcmp(t->shape, s->shape, s->ndim * sizeof *s->shape)) return HX_OK;
    return hx_fail(HX_E_INTERNAL, HX1901_INTERNAL, "its shape rule says %s %s, and its decomposition gave %s",
                   hx_shape_text(s->shape, s->ndim), hx_dtype_name((hx_dtype)s->dtype), hx_tensor_text(t));
}

static hx_status parts(hx_call *c) {
    const hx_op_def *def = &c->op->foreign->def;
    hx_tensor *out[HX_MAX_RESULTS] = {0};
    hx_args args = {.struct_size = sizeof args, .n_in = (uint32_t)c->n_in, .n_out = (uint32_t)c->n_out,
                    .n_attr = (uint32_t)c->n_attr, .in = c->in, .attr = c->attr};
    hx_err err = {.struct_size = sizeof err};
    hx_code earlier = callback_begin(), code = def->decompose(def->ctx, &args, out, &err);
    for (int i = 0; i < c->n_out; i++) {
        c->out[i] = hx_scope_own(out[i]);
        if (out[i] && !c->out[i] && !code) return hx_error_last()->code;
    }
    HX_TRY(callback_end(code, &err, earlier));
    for (int i = 0; i < c->n_out; i++) {
        HX_TRY(check_result(c, i));
        if (!c->op->vjp || !is_input(c, c->out[i])) continue;
        hx_tensor *apart; /* a result gets a history of its own */
        HX_TRY(hx_tensor_alias(c->out[i], &apart));
        if (!(c->out[i] = hx_scope_own(apart))) return hx_error_last()->code;
    }
    return HX_OK;
}

static hx_status vjp_rule(hx_vjp *v) {
    const hx_op_def *def = &v->op->foreign->def;
    hx_tensor *gradient[MAX_TENSORS] = {0};
    uint8_t wanted[MAX_TENSORS];
    for (int i = 0; i < v->n_in; i++) {
        wanted[i] = v->need[i];
        if (def->saves_in >> i & 1 && v->in[i] && !IN(i)) return hx_error_last()->code;
    }
    for (int i = 0; i < v->n_out; i++)
        if (def->saves_out >> i & 1 && v->out[i] && !OUT(i)) return hx_error_last()->code;
    hx_args args = {.struct_size = sizeof args, .n_in = (uint32_t)v->n_in, .n_out = (uint32_t)v->n_out,
                    .n_attr = (uint32_t)v->n_attr, .in = v->in, .out = v->out, .attr = v->attr, .gradient = v->g,
                    .wanted = wanted};
    hx_err err = {.struct_size = sizeof err};
    hx_code earlier = callback_begin(), code = def->vjp(def->ctx, &args, gradient, &err);
    for (int i = 0; i < v->n_in; i++) {
        hx_tensor *kept = hx_scope_own(gradient[i]);
        if (v->need[i]) v->gin[i] = kept;
    }
    HX_TRY(callback_end(code, &err, earlier));
    for (int i = 0; i < v->n_in; i++)
        if (v->need[i] && !v->gin[i])
            return hx_error_pending() ? hx_error_last()->code
                                      : hx_fail(HX_E_INTERNAL, HX1901_INTERNAL, "its vjp gave no gradient for input %d", i);
    return HX_OK;
}

/* ---- from the struct to the record ---- */

static const hx_param_kind kinds[] = {
    [HX_PARAM_TENSOR] = HX_P_TENSOR, [HX_PARAM_OPT_TENSOR] = HX_P_OPT_TENSOR, [HX_PARAM_BOOL] = HX_P_BOOL,
    [HX_PARAM_INT] = HX_P_INT, [HX_PARAM_OPT_INT] = HX_P_OPT_INT, [HX_PARAM_FLOAT] = HX_P_FLOAT,
    [HX_PARAM_OPT_FLOAT] = HX_P_OPT_FLOAT, [HX_PARAM_INTS] = HX_P_INTS, [HX_PARAM_OPT_INTS] = HX_P_OPT_INTS,
    [HX_PARAM_DTYPE] = HX_P_DTYPE, [HX_PARAM_OPT_DTYPE] = HX_P_OPT_DTYPE, [HX_PARAM_STRING] = HX_P_STRING};
static const hx_shape_rule rules[] = {[HX_RULE_OWN] = NULL, [HX_RULE_SAME] = hx_shape_same, [HX_RULE_FLOAT] = hx_shape_float,
                                      [HX_RULE_BROADCAST] = hx_shape_broadcast, [HX_RULE_COMPARE] = hx_shape_compare};

static bool is_word(const char *name) {
    if (!name || name[0] < 'a' || name[0] > 'z' || strlen(name) > 60) return false;
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == 0;
}

static hx_status refuse(const hx_op_def *def, const char *why) {
    return hx_fail(HX_E_VALUE, HX1403_VALUE, "the op '%.60s' cannot be registered: %s", def->name ? def->name : "", why);
}

/* ", "-separated names; how many, 0 where one is none. */
static int count_results(const char *outputs) {
    char name[64];
    int n = 0;
    for (const char *s = outputs; s; n++) {
        size_t length = strcspn(s, ",");
        if (length >= sizeof name) return 0;
        memcpy(name, s, length);
        name[length] = 0;
        if (!is_word(name)) return 0;
        s = s[length] ? s + length + 1 : NULL;
        if (s) s += strspn(s, " ");
    }
    return outputs ? n : 1;
}

static hx_status check_sizes(const hx_op_def *def) {
    if (def && def->struct_size >= sizeof *def && def->param_size >= sizeof(hx_param_def)) return HX_OK;
    return hx_fail(HX_E_VERSION, HX1403_VALUE,
                   "the op's structs have %u and %u bytes, and ABI %d.0 begins with %zu and %zu; set struct_size and "
                   "param_size by sizeof", def ? def->struct_size : 0, def ? def->param_size : 0, HX_ABI_MAJOR,
                   sizeof *def, sizeof(hx_param_def));
}

static hx_status check_def(const hx_op_def *def) {
    bool ruled = def->shape || def->rule != HX_RULE_OWN;
    int results = count_results(def->outputs);
    if (!is_word(def->name)) return refuse(def, "a name is made of lower-case letters, digits and _, a letter first");
    if (def->name[strlen(def->name) - 1] == '_') return refuse(def, "names with _ at the end are in-place forms");
    if (def->n_params > HX_MAX_PARAMS) return refuse(def, "it has too many parameters");
    if (!def->params) return refuse(def, "it has no parameters");
    if (def->rule >= sizeof rules / sizeof *rules) return refuse(def, "its shape rule does not exist");
    if (def->shape && def->rule != HX_RULE_OWN) return refuse(def, "it has two shape rules");
    if (!def->kernel && !def->decompose) return refuse(def, "it has neither kernel nor decomposition");
    if (def->kernel && !ruled) return refuse(def, "a kernel needs a shape rule");
    if (def->vjp && !ruled) return refuse(def, "a vjp needs a shape rule");
    if (def->kernel && !def->kernel_dtypes) return refuse(def, "its kernel takes no dtype");
    if (results < 1 || results > HX_MAX_RESULTS) return refuse(def, "its results are not 1 to 8 names");
    if (results > 1 && def->rule != HX_RULE_OWN) return refuse(def, "several results need a shape callback");
    if (!def->vjp && (def->saves_in || def->saves_out)) return refuse(def, "it saves tensors for a vjp that it has not");
    if (def->saves_out >> results) return refuse(def, "it saves results that it has not");
    return HX_OK;
}

static const hx_param_def *param_at(const hx_op_def *def, uint32_t i) {
    return (const hx_param_def *)((const char *)def->params + (size_t)i * def->param_size);
}

static bool has_default(const hx_param_def *p) {
    if (p->kind == HX_PARAM_TENSOR || p->kind == HX_PARAM_DTYPE) return false;
    return !(p->flags & HX_PARAM_REQUIRED);
}

static hx_status check_params(const hx_op_def *def) {
    unsigned tensors = 0;
    bool default_before = false, keyword = false;
    for (uint32_t i = 0; i < def->n_params; i++) {
        const hx_param_def *p = param_at(def, i);
        if (p->kind < HX_PARAM_TENSOR || p->kind >= sizeof kinds / sizeof *kinds)
            return refuse(def, "a parameter's kind does not exist");
        if (!is_word(p->name)) return refuse(def, "a parameter has no good name");
        for (uint32_t j = 0; j < i; j++)
            if (!strcmp(param_at(def, j)->name, p->name)) return refuse(def, "two parameters have one name");
        tensors += p->kind <= HX_PARAM_OPT_TENSOR;
        keyword = keyword || p->flags & HX_PARAM_KEYWORD;
        if (!keyword && default_before && !has_default(p))
            return refuse(def, "a parameter without a default stands behind one that has it");
        default_before = default_before || has_default(p);
        if (p->kind != HX_PARAM_STRING || !has_default(p)) continue;
        if (!p->text || !hx_one_of(p->choices, p->text, strlen(p->text)))
            return refuse(def, "the default of a string is none of its choices");
    }
    if (tensors < 1 || tensors > MAX_TENSORS) return refuse(def, "an op takes 1 to 12 tensors");
    if (param_at(def, 0)->kind != HX_PARAM_TENSOR) return refuse(def, "its first parameter is no tensor");
    if (def->saves_in >> tensors) return refuse(def, "it saves inputs that it has not");
    return HX_OK;
}

/* ---- the copy ---- */

static size_t text_bytes(const char *text) { return text ? strlen(text) + 1 : 0; }

static size_t all_text_bytes(const hx_op_def *def) {
    size_t n = text_bytes(def->name) + text_bytes(def->doc) + text_bytes(def->outputs);
    for (uint32_t i = 0; i < def->n_params; i++) {
        const hx_param_def *p = param_at(def, i);
        n += text_bytes(p->name) + text_bytes(p->text) + text_bytes(p->choices);
    }
    return n;
}

/* The text's copy, at *room, which moves behind it. */
static const char *keep_text(const char *text, char **room) {
    if (!text) return NULL;
    char *copy = memcpy(*room, text, text_bytes(text));
    *room += text_bytes(text);
    return copy;
}

static hx_param kept_param(const hx_param_def *p, char **room) {
    hx_param made = {.name = keep_text(p->name, room), .kind = kinds[p->kind], .number = p->number,
                     .text = keep_text(p->text, room), .choices = keep_text(p->choices, room),
                     .flags = p->flags & HX_PARAM_KEYWORD ? HX_PF_KEYWORD : 0};
    made.required = p->kind != HX_PARAM_OPT_TENSOR && !has_default(p);
    return made;
}

static uint32_t flags_of(const hx_op_def *def) {
    uint32_t flags = def->decompose ? 0 : HX_PRIMITIVE;
    if (!def->vjp && !def->decompose) flags |= HX_NON_DIFF | (def->rule == HX_RULE_COMPARE ? 0 : HX_GRAD_ERROR);
    return flags;
}

static void fill(hx_foreign *f, const hx_op_def *def) {
    char *room = f->texts;
    memcpy(&f->def, def, sizeof f->def);
    f->def.name = keep_text(def->name, &room);
    f->def.doc = keep_text(def->doc, &room);
    f->def.outputs = keep_text(def->outputs, &room);
    for (uint32_t i = 0; i < def->n_params; i++) f->params[i] = kept_param(param_at(def, i), &room);
    f->record = (hx_op){.name = f->def.name, .params = f->params, .doc = f->def.doc ? f->def.doc : "",
                        .outputs = f->def.outputs, .shape = def->shape ? shape_rule : rules[def->rule],
                        .vjp = def->vjp ? vjp_rule : NULL, .decompose = def->decompose ? parts : NULL,
                        .saves = def->saves_in | def->saves_out << 16, .flags = flags_of(def), .foreign = f};
}

hx_status hx_api_register_op(const hx_op_def *def, const hx_op **out) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    HX_TRY(check_sizes(def));
    HX_TRY(check_def(def));
    HX_TRY(check_params(def));
    hx_foreign *f = calloc(1, sizeof *f + all_text_bytes(def));
    if (!f) return hx_fail(HX_E_MEMORY, HX1402_MEMORY, "no memory for an op");
    fill(f, def);
    hx_op_support here = {.struct_size = sizeof here, .verdict = def->kernel ? HX_YES_IF_CONTIGUOUS : HX_NO,
                          .kernel = def->kernel, .dtypes = def->kernel_dtypes, .deterministic = 1};
    hx_lock(&lock);
    hx_status status = hx_op_register(&f->record, &here);
    *out = status ? NULL : hx_op_find(f->def.name);
    pthread_mutex_unlock(&lock);
    if (status) free(f);
    return status;
}
