/* Many elementwise ops, and reductions over the last or the first axes, as one: fused.h says what a program holds. */
#include "../fused.h"
#include <string.h>
#include "../launch.h"
#include "rules.h"

/* ---- reading ---- */

static const struct fusible {
    const char *name;
    int dims_at;
} fusible[] = {
#define HX_ROW(op, dims_at) {#op, dims_at},
    HX_FUSED_OPS(HX_ROW)
#undef HX_ROW
};
enum { FUSIBLE = HX_FUSED_END - 1 };

const char *hx_fused_op(int i, int *dims_at) {
    if (i < 0 || i >= FUSIBLE) return NULL;
    *dims_at = fusible[i].dims_at;
    return fusible[i].name;
}

typedef struct reader {
    hx_fused *f;
    const int64_t *at, *end;
    const double *floats;
    int n_floats;
} reader;

#define BROKEN(...) hx_fail(HX_E_VALUE, HX1403_VALUE, "the program " __VA_ARGS__)

static hx_status take(reader *r, int64_t *value) {
    if (r->at == r->end) return BROKEN("ends too early");
    *value = *r->at++;
    return HX_OK;
}
static hx_status take_within(reader *r, int64_t low, int64_t high, const char *what, int64_t *value) {
    HX_TRY(take(r, value));
    if (*value >= low && *value <= high) return HX_OK;
    return BROKEN("has %s %lld, outside of %lld to %lld", what, (long long)*value, (long long)low, (long long)high);
}
static hx_status take_float(reader *r, double *value) {
    int64_t place = 0;
    HX_TRY(take_within(r, 0, (int64_t)r->n_floats - 1, "a place in the floats", &place));
    *value = r->floats[place];
    return HX_OK;
}

static hx_status read_numbers(reader *r) {
    static const uint8_t dtypes[] = {HX_BOOL, HX_I64, HX_F64};
    hx_fused *f = r->f;
    int64_t count = 0, kind = 0;
    HX_TRY(take_within(r, 0, HX_FUSED_NUMBERS, "a count of numbers", &count));
    f->n_numbers = (int)count;
    for (int i = 0; i < f->n_numbers; i++) {
        HX_TRY(take_within(r, 0, 2, "a number of kind", &kind));
        if (kind == 2) HX_TRY(take_float(r, &f->number[i].f));
        else HX_TRY(take_within(r, kind ? INT64_MIN : 0, kind ? INT64_MAX : 1, "a number", &f->number[i].i));
        f->made[f->n_in + i] = (hx_fused_register){.dtype = dtypes[kind], .number = true};
    }
    return HX_OK;
}

/* ---- attributes ---- */

static hx_status read_choice(reader *r, const hx_param *p, hx_attr *a) {
    int64_t which = 0;
    HX_TRY(take_within(r, 0, 15, "a choice", &which));
    const char *text = p->choices;
    for (; which > 0 && text; which--) text = (text = strchr(text, '|')) ? text + 1 : NULL;
    if (!text) return BROKEN("has a choice of %s that there is not", p->name);
    *a = (hx_attr){.kind = HX_A_STR, .count = (uint32_t)strcspn(text, "|"), .v.str = text};
    return HX_OK;
}

static bool fits(hx_param_kind param, int64_t kind) {
    switch (param) {
    case HX_P_BOOL: return kind == HX_A_BOOL;
    case HX_P_INT: return kind == HX_A_INT;
    case HX_P_OPT_INT: return kind == HX_A_INT || kind == HX_A_NONE;
    case HX_P_FLOAT: return kind == HX_A_FLOAT;
    case HX_P_OPT_FLOAT: return kind == HX_A_FLOAT || kind == HX_A_NONE;
    case HX_P_NUMBER: return kind == HX_A_BOOL || kind == HX_A_INT || kind == HX_A_FLOAT;
    case HX_P_OPT_NUMBER: return kind == HX_A_BOOL || kind == HX_A_INT || kind == HX_A_FLOAT || kind == HX_A_NONE;
    case HX_P_DTYPE: return kind == HX_A_DTYPE;
    case HX_P_OPT_DTYPE: return kind == HX_A_DTYPE || kind == HX_A_NONE;
    case HX_P_STRING: return kind == HX_A_STR;
    default: return false;
    }
}

static hx_status read_attribute(reader *r, const hx_op *op, const hx_param *p, hx_attr *a) {
    int64_t kind = 0;
    HX_TRY(take(r, &kind));
    if (!fits(p->kind, kind)) return BROKEN("has an attribute of kind %lld for %s of %s", (long long)kind, p->name, op->name);
    *a = (hx_attr){.kind = (uint32_t)kind};
    switch (kind) {
    case HX_A_FLOAT: return take_float(r, &a->v.f);
    case HX_A_STR: return read_choice(r, p, a);
    case HX_A_BOOL: return take_within(r, 0, 1, "a bool", &a->v.i);
    case HX_A_DTYPE: return take_within(r, 0, HX_DTYPE_COUNT - 1, "a dtype", &a->v.i);
    case HX_A_INT: return take(r, &a->v.i);
    default: return take_within(r, 0, 0, "an attribute that is not there, with", &a->v.i);
    }
}

/* ---- steps ---- */

static hx_status read_operands(reader *r, hx_fused_step *s, int made) {
    const hx_fused *f = r->f;
    int64_t count = 0, in = 0;
    HX_TRY(take_within(r, 1, HX_FUSED_OPERANDS, "a count of operands", &count));
    s->n_in = (int)count;
    if (s->n_in != s->op->info->n_tensors)
        return BROKEN("gives %s %d operands; it takes %d", s->op->name, s->n_in, s->op->info->n_tensors);
    int i = 0;
    for (const hx_param *p = s->op->params; p->kind != HX_P_END; p++) {
        if (p->kind != HX_P_TENSOR && p->kind != HX_P_OPT_TENSOR) continue;
        HX_TRY(take_within(r, p->required ? 0 : -1, f->n_in + f->n_numbers + made - 1, "an operand", &in));
        s->in[i++] = (int)in;
    }
    return HX_OK;
}

static hx_status read_attributes(reader *r, hx_fused_step *s) {
    int i = 0;
    for (const hx_param *p = s->op->params; p->kind != HX_P_END; p++) {
        if (p->kind == HX_P_TENSOR || p->kind == HX_P_OPT_TENSOR) continue;
        if (i != s->dims_at) HX_TRY(read_attribute(r, s->op, p, &s->attr[i]));
        i++;
    }
    s->n_attr = i;
    return HX_OK;
}

/* The reduced axes of a register, in its own counting. */
static hx_status axes_of(const hx_fused *f, const hx_fused_register *x, int64_t *axes) {
    if (!f->axes || x->ndim < f->axes)
        return BROKEN("reduces %d axes of shape %s", f->axes, hx_shape_text(x->shape, x->ndim));
    for (int i = 0; i < f->axes; i++) axes[i] = f->leading ? i : x->ndim - f->axes + i;
    return HX_OK;
}

static void shape_only(hx_tensor *t, const hx_fused_register *x) {
    t->dtype = x->dtype;
    t->ndim = x->ndim;
    t->flags = HX_T_CONTIGUOUS | (x->number ? HX_T_NUMBER : 0);
    t->device = hx_cpu();
    hx_copy_sizes(t->shape, x->shape, x->ndim);
    t->numel = 1; /* rules look at shapes */
}

/* What the op's own shape rule says of this step. */
static hx_status run_rule(hx_fused *f, hx_fused_step *s, hx_fused_register *made) {
    hx_call c;
    hx_tensor tensor[HX_FUSED_OPERANDS], *in[HX_FUSED_OPERANDS];
    int64_t axes[HX_MAX_RANK];
    memset(tensor, 0, sizeof tensor);
    hx_call_init(&c, s->op);
    for (int i = 0; i < s->n_in; i++) {
        in[i] = s->in[i] < 0 ? NULL : &tensor[i];
        if (in[i]) shape_only(in[i], &f->made[s->in[i]]);
    }
    c.in = in;
    c.n_in = s->n_in;
    c.groups = 0;
    c.compute = -1;
    memset(c.cast, -1, sizeof c.cast);
    c.ints_used = 0;
    memcpy(c.attr, s->attr, sizeof *s->attr * (size_t)s->n_attr);
    if (s->dims_at >= 0) {
        HX_TRY(axes_of(f, &f->made[s->in[0]], axes));
        c.attr[s->dims_at] = (hx_attr){.kind = HX_A_INTS, .count = (uint32_t)f->axes, .v.ints = axes};
    }
    HX_TRY(s->op->shape(&c));
    for (int i = 0; i < s->n_attr; i++)
        if (i != s->dims_at) s->attr[i] = c.attr[i];
    for (int i = 0; i < s->n_in; i++) {
        if (!in[i]) continue;
        s->dtype[i] = (uint8_t)(c.cast[i] >= 0 ? c.cast[i] : c.compute >= 0 ? c.compute : in[i]->dtype);
        if (s->dtype[i] != in[i]->dtype && !f->made[s->in[i]].number)
            return BROKEN("gives %s an operand of dtype %s that it takes as %s; a cast must come before", s->op->name,
                          hx_dtype_name((hx_dtype)in[i]->dtype), hx_dtype_name((hx_dtype)s->dtype[i]));
    }
    *made = (hx_fused_register){.dtype = c.spec[0].dtype, .ndim = c.spec[0].ndim};
    hx_copy_sizes(made->shape, c.spec[0].shape, made->ndim);
    return HX_OK;
}

/* What the op itself would do by its parts cannot be done here. */
static hx_status require_kernel(const hx_fused_step *s) {
    hx_dtype key = (hx_dtype)s->dtype[s->in[0] < 0];
    const hx_op_support *k = hx_own_kernel(s->op, hx_cpu(), key);
    if (k && k->verdict == HX_YES) return HX_OK;
    return hx_fail(HX_E_DTYPE, HX1101_DTYPE, "the program has a step %s of dtype %s, which is done by its parts alone",
                   s->op->name, hx_dtype_name(key));
}

/* A reduction that leaves its axes out would be shifted against the frame. */
static hx_status require_kept(const hx_fused *f, const hx_fused_step *s, const hx_fused_register *made) {
    if (s->dims_at < 0 || made->ndim == f->made[s->in[0]].ndim) return HX_OK;
    return BROKEN("has a %s without keepdim", s->op->name);
}

static hx_status read_step(reader *r, int i) {
    hx_fused *f = r->f;
    hx_fused_step *s = &f->step[i];
    hx_fused_register *made = &f->made[f->n_in + f->n_numbers + i];
    int64_t code = 0;
    HX_TRY(take_within(r, 1, FUSIBLE, "an op", &code));
    *s = (hx_fused_step){.op = hx_op_find(fusible[code - 1].name), .place = (int)code, .dims_at = fusible[code - 1].dims_at};
    if (!s->op) return BROKEN("names %s, which this build has not", fusible[code - 1].name);
    HX_TRY(read_operands(r, s, i));
    HX_TRY(read_attributes(r, s));
    HX_TRY(run_rule(f, s, made));
    HX_TRY(require_kernel(s));
    return require_kept(f, s, made);
}

/* Nothing that lies between steps has memory by its shape, so that nothing else bounds it. */
static hx_status require_size(const hx_fused *f) {
    int64_t bytes = 16 * HX_FUSED_REGISTERS; /* of one element of every register */
    for (int d = 0; d < f->ndim; d++)
        if (f->frame[d] && !hx_mul_ok(bytes, f->frame[d], &bytes))
            return hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "the program works on shape %s, which does not fit in 64 bits",
                           hx_shape_text(f->frame, f->ndim));
    return HX_OK;
}

static hx_status find_frame(hx_fused *f) {
    f->ndim = 0;
    for (int i = 0; i < f->n_in + f->n_numbers + f->n_steps; i++)
        HX_TRY(hx_broadcast_into(f->frame, &f->ndim, f->made[i].shape, f->made[i].ndim));
    HX_TRY(require_size(f));
    if (f->axes > f->ndim) return BROKEN("reduces %d axes of %d", f->axes, f->ndim);
    return HX_OK;
}

static bool is_reduced_axis(const hx_fused *f, int from_end) {
    return f->leading ? from_end > f->ndim - f->axes : from_end <= f->axes;
}

/* Does a register fill the frame? `reduced`: but for the reduced axes, which are 1. */
static bool fills(const hx_fused *f, int of, bool reduced) {
    for (int d = 1; d <= f->ndim; d++)
        if (hx_fused_size(&f->made[of], d) != (reduced && is_reduced_axis(f, d) ? 1 : f->frame[f->ndim - d])) return false;
    return !reduced || f->axes > 0;
}

/* A result fills the frame, but for the reduced axes, which may be 1. */
static hx_status check_result(const hx_fused *f, int i) {
    const hx_fused_register *x = &f->made[f->result[i].of];
    bool reduced = fills(f, f->result[i].of, true), short_of_axes = !f->leading && x->ndim < f->axes;
    if (f->result[i].dropped ? !reduced || short_of_axes : !reduced && !fills(f, f->result[i].of, false))
        return BROKEN("has a result of shape %s%s in a frame of shape %s", hx_shape_text(x->shape, x->ndim),
                      f->result[i].dropped ? " without its reduced axes" : "", hx_shape_text(f->frame, f->ndim));
    for (int k = 0; k < i; k++)
        if (f->result[k].of == f->result[i].of) return BROKEN("has register %d as two results", f->result[i].of);
    return HX_OK;
}

static hx_status read_results(reader *r) {
    hx_fused *f = r->f;
    int64_t count = 0, of = 0, dropped = 0;
    int first = f->n_in + f->n_numbers;
    HX_TRY(take_within(r, 1, HX_MAX_OUTPUTS, "a count of results", &count));
    f->n_results = (int)count;
    for (int i = 0; i < f->n_results; i++) {
        HX_TRY(take_within(r, first, first + f->n_steps - 1, "a result", &of));
        HX_TRY(take_within(r, 0, f->axes ? 1 : 0, "a mark of left out axes", &dropped));
        f->result[i].of = (int)of;
        f->result[i].dropped = dropped;
        HX_TRY(check_result(f, i));
    }
    return r->at == r->end ? HX_OK : BROKEN("goes on after its end");
}

/* ---- late steps ---- */

static hx_fused_step *step_of(hx_fused *f, int of) {
    return of < f->n_in + f->n_numbers ? NULL : &f->step[of - f->n_in - f->n_numbers];
}

static void follow_reductions(hx_fused *f) {
    for (int i = 0; i < f->n_steps; i++) {
        hx_fused_step *s = &f->step[i];
        s->late = s->dims_at >= 0;
        for (int k = 0; k < s->n_in; k++) {
            hx_fused_step *from = step_of(f, s->in[k]);
            s->late |= from && from->late;
        }
    }
    for (int i = 0; i < f->n_results; i++)
        if (!fills(f, f->result[i].of, false)) step_of(f, f->result[i].of)->late = true;
    for (int i = f->n_steps - 1; i >= 0; i--) {
        const hx_fused_step *s = &f->step[i];
        for (int k = 0; k < s->n_in && s->late && s->dims_at < 0; k++) {
            hx_fused_step *from = step_of(f, s->in[k]);
            if (from) from->late = true;
        }
    }
}

/* Late steps take inputs and late steps, reductions what fills the frame, all others nothing late. */
static hx_status check_late(hx_fused *f) {
    for (int i = 0; i < f->n_steps; i++) {
        const hx_fused_step *s = &f->step[i];
        bool reduces = s->dims_at >= 0;
        for (int k = 0; k < s->n_in; k++) {
            const hx_fused_step *from = step_of(f, s->in[k]);
            if (from && from->late && (reduces || !s->late)) return BROKEN("gives %s what is reduced over the first axes", s->op->name);
        }
        if (reduces && (f->made[s->in[0]].ndim != f->ndim || !fills(f, s->in[0], false)))
            return BROKEN("reduces a part of shape %s of its frame of shape %s",
                          hx_shape_text(f->made[s->in[0]].shape, f->made[s->in[0]].ndim), hx_shape_text(f->frame, f->ndim));
        for (int d = 1; d <= f->ndim && s->late; d++)
            if (is_reduced_axis(f, d) && hx_fused_size(&f->made[f->n_in + f->n_numbers + i], d) != 1)
                return BROKEN("stretches what is reduced over the first axes");
    }
    return HX_OK;
}

hx_status hx_fused_read(hx_fused *f, int n_in, const hx_attr *program, const hx_attr *floats) {
    reader r = {f, program->v.ints, program->v.ints + program->count, floats->v.floats, (int)floats->count};
    int64_t value = 0;
    if (program->kind != HX_A_INTS || floats->kind != HX_A_FLOATS) return BROKEN("is a list of ints, and one of floats");
    f->n_in = n_in;
    f->n_numbers = f->n_steps = 0;
    HX_TRY(take_within(&r, 1, 1, "format", &value));
    HX_TRY(take_within(&r, -HX_MAX_RANK, HX_MAX_RANK, "a count of reduced axes", &value));
    f->leading = value < 0;
    f->axes = (int)(value < 0 ? -value : value);
    HX_TRY(read_numbers(&r));
    HX_TRY(take_within(&r, 1, HX_FUSED_STEPS, "a count of steps", &value));
    f->n_steps = (int)value;
    for (int i = 0; i < f->n_steps; i++) HX_TRY(read_step(&r, i));
    HX_TRY(find_frame(f));
    HX_TRY(read_results(&r));
    if (!f->leading) return HX_OK;
    follow_reductions(f);
    return check_late(f);
}

/* ---- the record ---- */

static hx_status read_call(const hx_call *c, hx_fused *f) {
    if (c->n_in < 1 || c->n_in > HX_FUSED_INPUTS)
        return hx_fail(HX_E_VALUE, HX1403_VALUE, "takes 1 to %d tensors, got %d", HX_FUSED_INPUTS, c->n_in);
    for (int i = 0; i < c->n_in; i++) {
        const hx_tensor *t = c->in[i];
        f->made[i] = (hx_fused_register){.dtype = t->dtype, .ndim = t->ndim};
        hx_copy_sizes(f->made[i].shape, t->shape, t->ndim);
    }
    return hx_fused_read(f, c->n_in, &c->attr[0], &c->attr[1]);
}

/* The sizes of a result, and how many. */
static int result_shape(const hx_fused *f, int i, const int64_t **shape) {
    const hx_fused_register *x = &f->made[f->result[i].of];
    bool dropped = f->result[i].dropped;
    *shape = dropped && f->leading ? f->frame + f->axes : x->shape;
    return dropped ? (f->leading ? f->ndim : x->ndim) - f->axes : x->ndim;
}

static void spec_of(const hx_fused *f, int i, hx_spec *spec) {
    const int64_t *shape;
    int ndim = result_shape(f, i, &shape);
    hx_spec_set(spec, (hx_dtype)f->made[f->result[i].of].dtype, shape, ndim);
}

static hx_status shape_fused(hx_call *c) {
    hx_fused *f = hx_alloc(sizeof *f);
    if (!f) return HX_E_MEMORY;
    hx_status status = read_call(c, f);
    c->n_out = status ? 1 : f->n_results;
    for (int i = 0; i < c->n_out && !status; i++) spec_of(f, i, &c->spec[i]);
    hx_free(f, sizeof *f);
    return status;
}

/* ---- the parts ---- */

static hx_arg operand(const hx_fused *f, hx_tensor *const *value, int of) {
    if (of < 0) return hx_arg_d(DEFAULT);
    if (!f->made[of].number) return hx_arg_t(value[of]);
    int i = of - f->n_in;
    if (f->made[of].dtype == HX_F64) return hx_arg_f(f->number[i].f);
    return f->made[of].dtype == HX_BOOL ? hx_arg_b(f->number[i].i != 0) : hx_arg_i(f->number[i].i);
}

static hx_tensor *call_step(const hx_fused *f, const hx_fused_step *s, hx_tensor *const *value) {
    hx_arg args[HX_FUSED_OPERANDS + HX_FUSED_ATTRIBUTES];
    int64_t axes[HX_MAX_RANK];
    int n = 0, in = 0, attr = 0;
    for (const hx_param *p = s->op->params; p->kind != HX_P_END; p++) {
        if (p->kind == HX_P_TENSOR || p->kind == HX_P_OPT_TENSOR) {
            args[n++] = operand(f, value, s->in[in++]);
        } else if (attr++ == s->dims_at) {
            if (axes_of(f, &f->made[s->in[0]], axes)) return NULL;
            args[n++] = hx_arg_ints((hx_ints){axes, f->axes});
        } else {
            args[n++] = hx_arg_attr(&s->attr[attr - 1]);
        }
    }
    return hx_invoke(s->op, args, n, NULL, 0, false);
}

static hx_tensor *result_of(const hx_fused *f, int i, hx_tensor *const *value) {
    hx_tensor *x = value[f->result[i].of];
    const int64_t *shape;
    int ndim = result_shape(f, i, &shape);
    return f->result[i].dropped ? CALL(reshape, x, ((hx_ints){shape, ndim})) : x;
}

static int first_step(const hx_fused *f) { return f->n_in + f->n_numbers; }

/* Which steps that are not late others need: results, and what is reduced; how many. */
static int shown_steps(const hx_fused *f, int *shown) {
    bool wanted[HX_FUSED_STEPS] = {false};
    int n = 0;
    for (int i = 0; i < f->n_results; i++) wanted[f->result[i].of - first_step(f)] = true;
    for (int i = 0; i < f->n_steps; i++)
        if (f->step[i].late && f->step[i].in[0] >= first_step(f)) wanted[f->step[i].in[0] - first_step(f)] = true;
    for (int i = 0; i < f->n_steps; i++)
        if (wanted[i] && !f->step[i].late) shown[n++] = i;
    return n;
}

/* The program of the steps that are not late, out of the whole one; how many numbers it has. */
static int write_early(const hx_fused *f, const int64_t *from, int64_t *to, const int *shown, int n_shown) {
    int n = 3 + 2 * f->n_numbers, place[HX_FUSED_STEPS], steps = 0;
    memcpy(to, from, sizeof *to * (size_t)n);
    to[1] = 0;
    from += n + 1;
    int64_t *count = &to[n++];
    for (int i = 0; i < f->n_steps; i++) {
        const hx_fused_step *s = &f->step[i];
        int length = 2 + s->n_in + 2 * (s->n_attr - (s->dims_at >= 0));
        if (!s->late) {
            memcpy(to + n, from, sizeof *to * (size_t)length);
            for (int k = 0; k < s->n_in; k++)
                if (s->in[k] >= first_step(f)) to[n + 2 + k] = first_step(f) + place[s->in[k] - first_step(f)];
            place[i] = steps++;
            n += length;
        }
        from += length;
    }
    *count = steps;
    to[n++] = n_shown;
    for (int i = 0; i < n_shown; i++) {
        to[n++] = first_step(f) + place[shown[i]];
        to[n++] = 0;
    }
    return n;
}

/* On a device what comes before the reductions is one call, for which it may have a kernel. */
static hx_status run_early(const hx_fused *f, const hx_call *c, const int *shown, int n_shown, hx_tensor **value) {
    hx_tensor *made[HX_MAX_OUTPUTS];
    size_t bytes = (c->attr[0].count + 1 + 2 * HX_MAX_OUTPUTS) * sizeof(int64_t);
    int64_t *room = hx_alloc(bytes);
    if (!room) return HX_E_MEMORY;
    int n = write_early(f, c->attr[0].v.ints, room, shown, n_shown);
    hx_tensor *ran = CALLN(made, n_shown, fused, ((hx_list){c->in, c->n_in}), ((hx_ints){room, n}), &c->attr[1]);
    hx_free(room, bytes);
    if (!ran) return hx_error_last()->code;
    for (int i = 0; i < n_shown; i++) value[first_step(f) + shown[i]] = made[i];
    return HX_OK;
}

static hx_status run_steps(const hx_fused *f, hx_call *c) {
    hx_tensor *value[HX_FUSED_REGISTERS];
    int shown[HX_FUSED_STEPS], n_shown = f->leading && c->in[0]->device != hx_cpu() ? shown_steps(f, shown) : 0;
    bool early = n_shown > 0 && n_shown <= HX_MAX_OUTPUTS;
    memcpy(value, c->in, sizeof *value * (size_t)f->n_in);
    if (early) HX_TRY(run_early(f, c, shown, n_shown, value));
    for (int i = 0; i < f->n_steps; i++) {
        if (early && !f->step[i].late) continue;
        hx_tensor *made = call_step(f, &f->step[i], value);
        if (!made) return hx_error_last()->code;
        value[first_step(f) + i] = made;
    }
    c->n_out = f->n_results;
    for (int i = 0; i < f->n_results; i++) RESULT(i, result_of(f, i, value));
    return HX_OK;
}

static hx_status decompose_fused(hx_call *c) {
    hx_fused *f = hx_alloc(sizeof *f);
    if (!f) return HX_E_MEMORY;
    hx_status status = read_call(c, f);
    if (!status) status = run_steps(f, c);
    hx_free(f, sizeof *f);
    return status;
}

const hx_op hx_ops_fused[] = {
    {.name = "fused",
     .params = PARAMS(TENSORS("tensors"), REQ_INTS("program"), {.name = "numbers", .kind = HX_P_FLOATS, .required = true}),
     .doc = "Elementwise ops, and reductions over the last or the first axes, as one pass: what helix.graph makes of chains of them.\n"
            "Differentiated, it is its parts.",
     .outputs = "result0, result1, result2, result3, result4, result5, result6, result7",
     .shape = shape_fused, .decompose = decompose_fused, .flags = HX_INTERNAL_OP | HX_ALIAS_OK},
    {0}};
