/* Calling ops from C: scopes that own intermediate results, and CALL's argument matching. */
#include <string.h>
#include "dispatch.h"

enum { ROOM = 24 };

static _Thread_local struct {
    hx_tensor *room[ROOM];  /* used until more is needed */
    hx_tensor **more;
    int n, capacity;        /* of `more` */
    hx_scope *innermost;
} scopes;

static inline hx_tensor **owned(void) { return scopes.more ? scopes.more : scopes.room; }

void hx_scope_enter(hx_scope *s) {
    s->outer = scopes.innermost;
    s->mark = scopes.n;
    scopes.innermost = s;
}

void hx_scope_leave(hx_scope *s) {
    while (scopes.n > s->mark) hx_tensor_release(owned()[--scopes.n]);
    scopes.innermost = s->outer;
    if (scopes.more && scopes.n <= ROOM / 2) {
        memcpy(scopes.room, scopes.more, (size_t)scopes.n * sizeof *scopes.more);
        hx_free(scopes.more, (size_t)scopes.capacity * sizeof *scopes.more);
        scopes.more = NULL;
    }
}

static bool grow(void) {
    int capacity = scopes.more ? 2 * scopes.capacity : 256;
    hx_tensor **more = hx_alloc((size_t)capacity * sizeof *more);
    if (!more) return false;
    memcpy(more, owned(), (size_t)scopes.n * sizeof *more);
    if (scopes.more) hx_free(scopes.more, (size_t)scopes.capacity * sizeof *more);
    scopes.more = more;
    scopes.capacity = capacity;
    return true;
}

hx_tensor *hx_scope_own(hx_tensor *t) {
    if (!t) return NULL;
    if (!scopes.innermost) {
        hx_tensor_release(t);
        hx_fail(HX_E_INTERNAL, HX1901_INTERNAL, "CALL was used outside of a scope");
        return NULL;
    }
    if (scopes.n == (scopes.more ? scopes.capacity : ROOM) && !grow()) {
        hx_tensor_release(t);
        return NULL;
    }
    return owned()[scopes.n++] = t;
}

const hx_op *hx_op_cached(const hx_op **slot, const char *name) {
    const hx_op *op = __atomic_load_n(slot, __ATOMIC_RELAXED);
    if (__builtin_expect(op == NULL, 0)) {
        op = hx_op_find(name);
        __atomic_store_n(slot, op, __ATOMIC_RELAXED);
    }
    if (!op) hx_fail(HX_E_INTERNAL, HX1901_INTERNAL, "no op is named '%s'", name);
    return op;
}

static hx_status bad_argument(const hx_param *p) {
    return hx_fail(HX_E_TYPE, HX1103_ARGUMENT, "argument '%s' is missing or of the wrong kind", p->name);
}

/* A tensor argument: a tensor, or a number that is wrapped and owned by the scope. */
static hx_status tensor_argument(const hx_param *p, const hx_arg *a, hx_tensor **out) {
    hx_tensor *t = NULL;
    switch (a->kind) {
    case HX_ARG_TENSOR: t = a->v.t; break;
    case HX_ARG_INT: HX_TRY(hx_tensor_from_int(a->v.i, &t)); t = hx_scope_own(t); break;
    case HX_ARG_BOOL: HX_TRY(hx_tensor_from_bool(a->v.i, &t)); t = hx_scope_own(t); break;
    case HX_ARG_FLOAT: HX_TRY(hx_tensor_from_float(a->v.f, &t)); t = hx_scope_own(t); break;
    default: break;
    }
    if (hx_error_pending()) return hx_error_last()->code;
    if (!t && p->required) return bad_argument(p);
    *out = t;
    return HX_OK;
}

static hx_status attribute(const hx_param *p, const hx_arg *a, hx_attr *out) {
    bool floats = p->kind == HX_P_FLOAT || p->kind == HX_P_OPT_FLOAT;
    switch (a->kind) {
    case HX_ARG_DEFAULT: return p->required ? bad_argument(p) : HX_OK;
    case HX_ARG_ATTR: *out = *a->v.attr; return HX_OK;
    case HX_ARG_FLOAT: *out = (hx_attr){.kind = HX_A_FLOAT, .v.f = a->v.f}; return HX_OK;
    case HX_ARG_BOOL:
        *out = (hx_attr){.kind = HX_A_BOOL, .v.i = a->v.i};
        return HX_OK;
    case HX_ARG_INT:
        if (floats)
            *out = (hx_attr){.kind = HX_A_FLOAT, .v.f = (double)a->v.i};
        else if (p->kind == HX_P_DTYPE || p->kind == HX_P_OPT_DTYPE)
            *out = (hx_attr){.kind = HX_A_DTYPE, .v.i = a->v.i};
        else if (p->kind == HX_P_BOOL)
            *out = (hx_attr){.kind = HX_A_BOOL, .v.i = a->v.i != 0};
        else if (p->kind == HX_P_INTS || p->kind == HX_P_OPT_INTS)
            *out = (hx_attr){.kind = HX_A_INTS, .count = 1, .v.ints = &a->v.i};
        else
            *out = (hx_attr){.kind = HX_A_INT, .v.i = a->v.i};
        return HX_OK;
    case HX_ARG_INTS: *out = (hx_attr){.kind = HX_A_INTS, .count = (uint32_t)a->n, .v.ints = a->v.ints}; return HX_OK;
    case HX_ARG_STR:
        *out = (hx_attr){.kind = HX_A_STR, .count = (uint32_t)strlen(a->v.s), .v.str = a->v.s};
        return HX_OK;
    default: return bad_argument(p);
    }
}

static hx_status match(hx_call *c, const hx_arg *args, int n, hx_tensor **room, int capacity) {
    static const hx_arg missing = {.kind = HX_ARG_DEFAULT};
    int attr = 0, position = 0;
    for (const hx_param *p = c->op->params; p->kind != HX_P_END; p++, position++) {
        const hx_arg *a = position < n ? &args[position] : &missing;
        if (p->kind == HX_P_TENSORS) {
            if (a->kind != HX_ARG_LIST || c->n_in + a->n > capacity) return bad_argument(p);
            for (int i = 0; i < a->n; i++) room[c->n_in++] = a->v.list[i];
            c->list_n = a->n;
        } else if (p->kind == HX_P_TENSOR || p->kind == HX_P_OPT_TENSOR) {
            HX_TRY(tensor_argument(p, a, &room[c->n_in]));
            c->n_in++;
        } else {
            HX_TRY(attribute(p, a, &c->attr[attr++]));
        }
    }
    return HX_OK;
}

hx_tensor *hx_invoke(const hx_op *op, const hx_arg *args, int n, hx_tensor **outputs, int n_outputs, bool inplace) {
    if (!op || hx_error_pending()) return NULL;
    int capacity = op->info->n_tensors;
    for (int i = 0; i < n; i++)
        if (args[i].kind == HX_ARG_LIST) capacity += args[i].n;
    hx_tensor *small[16], **room = small;
    size_t bytes = (size_t)capacity * sizeof *room;
    if (capacity > 16 && !(room = hx_alloc(bytes))) return NULL;
    hx_call c;
    hx_call_init(&c, op);
    c.in = room;
    c.inplace = inplace;
    hx_tensor *result = NULL;
    if (!match(&c, args, n, room, capacity) && !hx_dispatch(&c)) {
        for (int i = 0; i < c.n_out; i++) {
            hx_tensor *t = hx_scope_own(c.out[i]);
            if (i == 0) result = t;
            if (i < n_outputs) outputs[i] = t;
        }
        if (hx_error_pending()) result = NULL;
    }
    if (room != small) hx_free(room, bytes);
    return result;
}
