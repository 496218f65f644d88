/* A trace numbers every tensor it meets and keeps it alive, so that an address stands for one value throughout. */
#include "trace.h"
#include <string.h>
#include "autograd.h"
#include "dispatch.h"
#include "launch.h"
#include "rng.h"
#include "threads.h"

typedef struct value {
    hx_tensor *tensor; /* owned */
    hx_spec spec;
    uint8_t origin;
    bool written;  /* memory that was there before, and that a recorded call writes */
    int32_t input; /* position among the inputs; for an alias the number of the value it shows */
    int32_t gone;  /* of a watched trace: how many calls there were when nobody else held it; -1: somebody does */
    int32_t views; /* how many values hold it as their base */
} value;

struct hx_trace {
    hx_trace_call *calls;
    int n_calls, call_room;
    value *values;
    int n_values, value_room;
    int32_t *slots; /* open addressing by tensor address: value number + 1 */
    int n_slots;
    int32_t *outputs;
    int n_outputs, output_room;
    int n_inputs;
    int32_t n_draws;
    int32_t *held; /* of a watched trace: the values that somebody else holds too */
    int n_held, held_room, looked; /* looked: the values whose base is counted */
    bool begun, watched, lowers;
    hx_trace *outer; /* while it records: the trace in which it began */
};

static _Thread_local hx_trace_place place_of_call;

void hx_trace_set_place(hx_trace_place place) { place_of_call = place; }

hx_status hx_trace_new(hx_trace **out) {
    *out = hx_alloc_zeroed(sizeof **out);
    return *out ? HX_OK : HX_E_MEMORY;
}

static size_t attr_bytes(const hx_attr *a) {
    if (a->kind == HX_A_INTS || a->kind == HX_A_FLOATS) return a->count * sizeof(int64_t);
    return a->kind == HX_A_STR ? (size_t)a->count + 1 : 0;
}

static void free_call(hx_trace_call *k) {
    hx_free(k->in, (size_t)(k->n_in + k->n_out) * sizeof *k->in + 1);
    if (k->attr) hx_free(k->attr, k->attr_bytes);
    if (k->spec) hx_free(k->spec, (size_t)k->n_out * sizeof *k->spec);
}

void hx_trace_release(hx_trace *t) {
    hx_trace_end(t);
    for (int i = 0; i < t->n_calls; i++) free_call(&t->calls[i]);
    for (int i = 0; i < t->n_values; i++) hx_tensor_release(t->values[i].tensor);
    if (t->calls) hx_free(t->calls, (size_t)t->call_room * sizeof *t->calls);
    if (t->values) hx_free(t->values, (size_t)t->value_room * sizeof *t->values);
    if (t->slots) hx_free(t->slots, (size_t)t->n_slots * sizeof *t->slots);
    if (t->outputs) hx_free(t->outputs, (size_t)t->output_room * sizeof *t->outputs);
    if (t->held) hx_free(t->held, (size_t)t->held_room * sizeof *t->held);
    hx_free(t, sizeof *t);
}

hx_status hx_trace_begin(hx_trace *t) {
    if (t->begun) return hx_fail(HX_E_TRACE, HX1702_TRACE, "a trace is recorded once; make another");
    t->begun = true;
    t->outer = hx_mode.trace;
    hx_mode.trace = t;
    return HX_OK;
}
void hx_trace_end(hx_trace *t) {
    for (hx_trace **at = &hx_mode.trace; *at; at = &(*at)->outer)
        if (*at == t) {
            *at = t->outer;
            t->outer = NULL;
            return;
        }
}

hx_trace *hx_trace_pause(void) {
    hx_trace *t = hx_mode.trace;
    hx_mode.trace = NULL;
    return t;
}

void hx_trace_resume(hx_trace *t) { hx_mode.trace = t; }

/* ---- values ---- */

static hx_status reserve(void **list, int used, int *room, size_t item) {
    if (used < *room) return HX_OK;
    int more = *room ? 2 * *room : 64;
    void *fresh = hx_alloc((size_t)more * item);
    if (!fresh) return HX_E_MEMORY;
    if (*list) {
        memcpy(fresh, *list, (size_t)used * item);
        hx_free(*list, (size_t)*room * item);
    }
    *list = fresh;
    *room = more;
    return HX_OK;
}

static uint32_t slot_of(const hx_trace *t, const hx_tensor *x) {
    uint32_t h = (uint32_t)((uintptr_t)x >> 5) * 2654435761u % (uint32_t)t->n_slots;
    while (t->slots[h] && t->values[t->slots[h] - 1].tensor != x) h = (h + 1) % (uint32_t)t->n_slots;
    return h;
}

static hx_status rehash(hx_trace *t) {
    int n = t->n_slots ? 2 * t->n_slots : 256;
    int32_t *slots = hx_alloc_zeroed((size_t)n * sizeof *slots);
    if (!slots) return HX_E_MEMORY;
    if (t->slots) hx_free(t->slots, (size_t)t->n_slots * sizeof *slots);
    t->slots = slots;
    t->n_slots = n;
    for (int i = 0; i < t->n_values; i++) t->slots[slot_of(t, t->values[i].tensor)] = i + 1;
    return HX_OK;
}

int32_t hx_trace_number(const hx_trace *t, const hx_tensor *x) { return t->n_slots ? t->slots[slot_of(t, x)] - 1 : -1; }

static bool known_outside(const hx_trace *t, const hx_tensor *x) {
    for (const hx_trace *outer = t->outer; outer; outer = outer->outer)
        if (hx_trace_number(outer, x) >= 0) return true;
    return false;
}

/* The number of a tensor; a new one is entered with the given origin. */
static hx_status number_of(hx_trace *t, hx_tensor *x, int origin, int32_t *number) {
    if (2 * t->n_values >= t->n_slots) HX_TRY(rehash(t));
    uint32_t h = slot_of(t, x);
    if (t->slots[h]) {
        const value *known = &t->values[t->slots[h] - 1];
        *number = known->origin == HX_TRACE_ALIAS ? known->input : t->slots[h] - 1;
        return HX_OK;
    }
    if (origin == HX_TRACE_CAPTURED && !x->storage && !known_outside(t, x))
        return hx_fail(HX_E_TRACE, HX1702_TRACE,
                       "a tensor of another trace was used in this one; pass it in as an input, or compute it again");
    HX_TRY(reserve((void **)&t->values, t->n_values, &t->value_room, sizeof *t->values));
    value *v = &t->values[t->n_values];
    if (t->watched) {
        HX_TRY(reserve((void **)&t->held, t->n_held, &t->held_room, sizeof *t->held));
        t->held[t->n_held++] = t->n_values;
    }
    *v = (value){.tensor = hx_tensor_retain(x), .origin = (uint8_t)origin, .gone = -1};
    v->spec.dtype = x->dtype;
    v->spec.ndim = x->ndim;
    hx_copy_sizes(v->spec.shape, x->shape, x->ndim);
    *number = t->n_values++;
    t->slots[h] = *number + 1;
    return HX_OK;
}

hx_status hx_trace_alias(hx_tensor *of, hx_tensor *alias) {
    hx_trace *t = hx_mode.trace;
    int32_t shown, number;
    if (!t || of->storage) return HX_OK; /* memory that is there is captured under any name */
    HX_TRY(number_of(t, of, HX_TRACE_CAPTURED, &shown));
    HX_TRY(number_of(t, alias, HX_TRACE_ALIAS, &number));
    t->values[number].input = shown;
    return HX_OK;
}

hx_status hx_trace_made(hx_tensor *x) {
    int32_t number;
    return hx_mode.trace ? number_of(hx_mode.trace, x, HX_TRACE_MADE, &number) : HX_OK;
}

void hx_trace_draw(hx_attr *a) {
    *a = (hx_attr){.kind = HX_A_RNG, .count = 1, .v.rng = {0, (uint64_t)hx_mode.trace->n_draws++}};
}
int32_t hx_trace_draws(const hx_trace *t) { return t->n_draws; }

void hx_trace_lower(hx_trace *t) { t->lowers = true; }
bool hx_trace_lowers(void) { return hx_mode.trace && hx_mode.trace->lowers; }

hx_status hx_trace_input(hx_trace *t, hx_device *device, hx_dtype dtype, const int64_t *shape, const int64_t *strides,
                         int ndim, hx_tensor **out) {
    int32_t number;
    HX_TRY(hx_tensor_shape_only(device, dtype, shape, strides, ndim, 0, out));
    hx_status status = number_of(t, *out, HX_TRACE_INPUT, &number);
    if (status) {
        hx_tensor_release(*out);
        return status;
    }
    t->values[number].input = t->n_inputs++;
    return HX_OK;
}

hx_status hx_trace_output(hx_trace *t, hx_tensor *x) {
    int32_t number;
    HX_TRY(number_of(t, x, HX_TRACE_CAPTURED, &number));
    HX_TRY(reserve((void **)&t->outputs, t->n_outputs, &t->output_room, sizeof *t->outputs));
    t->outputs[t->n_outputs++] = number;
    return HX_OK;
}

hx_status hx_trace_readable(const hx_tensor *x) {
    if (!x->storage || x->flags & HX_T_NUMBER) return HX_OK;
    for (const hx_trace *t = hx_mode.trace; t; t = t->outer)
        for (int i = 0; i < t->n_values; i++)
            if (t->values[i].written && t->values[i].tensor->storage == x->storage)
                return hx_fail(HX_E_TRACE, HX1702_TRACE,
                               "the traced part writes the tensor %s, so that its values are not known; read it before, "
                               "or compute with tensors",
                               hx_tensor_text(x));
    return HX_OK;
}

hx_status hx_trace_ended(const hx_tensor *t) {
    return hx_fail(HX_E_TRACE, HX1702_TRACE,
                   "a traced tensor %s was used outside of its trace, where it has no values; return it from the traced "
                   "function",
                   hx_tensor_text(t));
}

int hx_trace_length(const hx_trace *t) { return t->n_calls; }
const hx_trace_call *hx_trace_at(const hx_trace *t, int i) { return i >= 0 && i < t->n_calls ? &t->calls[i] : NULL; }
const hx_spec *hx_trace_value(const hx_trace *t, int32_t v) {
    return v >= 0 && v < t->n_values ? &t->values[v].spec : NULL;
}

int hx_trace_values(const hx_trace *t) { return t->n_values; }
hx_trace_known hx_trace_known_of(const hx_trace *t, int32_t v) {
    const value *x = &t->values[v];
    return (hx_trace_known){x->tensor, x->origin, x->origin == HX_TRACE_ALIAS ? x->input : v};
}

/* ---- watching ---- */

void hx_trace_watch(hx_trace *t) { t->watched = true; }
bool hx_trace_is_watched(void) { return hx_mode.trace && hx_mode.trace->watched; }
int32_t hx_trace_gone(const hx_trace *t, int32_t v) { return t->values[v].gone; }

void hx_trace_look(hx_trace *t) {
    for (; t->looked < t->n_values; t->looked++) {
        const hx_tensor *base = t->values[t->looked].tensor->base;
        int32_t of = base ? hx_trace_number(t, base) : -1;
        if (of >= 0) t->values[of].views++;
    }
    int held = 0;
    for (int i = 0; i < t->n_held; i++) {
        value *v = &t->values[t->held[i]];
        if (atomic_load_explicit(&v->tensor->refs, memory_order_acquire) == 1 + v->views) v->gone = t->n_calls;
        else t->held[held++] = t->held[i];
    }
    t->n_held = held;
}

/* ---- recording ---- */

static hx_status copy_attributes(hx_trace_call *k, const hx_call *c) {
    k->n_attr = c->n_attr;
    k->attr_bytes = (size_t)c->n_attr * sizeof *k->attr + 1;
    for (int i = 0; i < c->n_attr; i++) k->attr_bytes += attr_bytes(&c->attr[i]);
    k->attr = hx_alloc(k->attr_bytes);
    if (!k->attr) return HX_E_MEMORY;
    char *room = (char *)(k->attr + c->n_attr);
    for (int pass = 0; pass < 2; pass++) /* arrays first: they want alignment */
        for (int i = 0; i < c->n_attr; i++) {
            const hx_attr *a = &c->attr[i];
            size_t n = attr_bytes(a);
            if (pass == 0) k->attr[i] = *a;
            if (!n || (a->kind == HX_A_STR) != (pass == 1)) continue;
            memcpy(room, a->v.ints, a->kind == HX_A_STR ? n - 1 : n);
            if (a->kind == HX_A_STR) room[n - 1] = 0;
            k->attr[i].v.ints = (const int64_t *)(void *)room;
            room += n;
        }
    return HX_OK;
}

static hx_status fill(hx_trace *t, hx_trace_call *k, const hx_call *c) {
    for (int i = 0; i < c->n_in; i++) {
        k->in[i] = -1;
        if (c->in[i]) HX_TRY(number_of(t, c->in[i], HX_TRACE_CAPTURED, &k->in[i]));
    }
    int origin = k->into ? HX_TRACE_CAPTURED : HX_TRACE_COMPUTED; /* `out` may be met here first */
    for (int i = 0; i < c->n_out; i++) HX_TRY(number_of(t, c->out[i], origin, &k->out[i]));
    HX_TRY(copy_attributes(k, c));
    if (c->n_out && !(k->spec = hx_alloc((size_t)c->n_out * sizeof *k->spec))) return HX_E_MEMORY;
    for (int i = 0; i < c->n_out; i++) k->spec[i] = c->spec[i];
    return HX_OK;
}

/* Appends a call whose inputs and outputs are numbered already, or drops what it holds. */
static hx_status append(hx_trace *t, hx_trace_call *k, hx_status status) {
    if (!status) status = reserve((void **)&t->calls, t->n_calls, &t->call_room, sizeof *t->calls);
    if (!status) k->place = place_of_call ? place_of_call() : -1;
    if (!status && hx_error_pending()) status = hx_error_last()->code; /* an interrupt, which landed in the hook */
    if (status)
        free_call(k);
    else
        t->calls[t->n_calls++] = *k;
    return status;
}

static hx_status room_for_numbers(hx_trace_call *k) {
    k->in = hx_alloc((size_t)(k->n_in + k->n_out) * sizeof *k->in + 1);
    if (!k->in) return HX_E_MEMORY;
    k->out = k->in + k->n_in;
    return HX_OK;
}

static void note_written(hx_trace *t, int32_t v) { t->values[v].written = t->values[v].tensor->storage != NULL; }

static void note_writes(hx_trace *t, const hx_trace_call *k) {
    int part = k->op->flags & HX_MUTATES && k->groups ? k->list_n / k->groups : 0;
    for (int i = 0; i < k->n_out && k->into; i++) note_written(t, k->out[i]);
    for (int i = 0; i < k->list_n && part; i++)
        if (k->op->writes >> (i / part) & 1) note_written(t, k->in[k->list_at + i]);
}

hx_status hx_trace_record(hx_call *c) {
    bool writes = c->inplace || c->has_out;
    hx_trace_call k = {.op = c->op, .n_in = c->n_in, .n_out = c->n_out, .list_at = c->list_at, .list_n = c->list_n,
                       .into = writes, .view = !writes && c->op->flags & HX_VIEW && c->spec[0].offset != HX_NO_VIEW,
                       .no_grad = !hx_grad_enabled(), .groups = c->groups, .device = c->device};
    if (hx_mode.trace->watched) {
        const hx_op_support *kernel =
            hx_own_kernel(c->op, c->device, hx_key_dtype(c->in, c->n_in, c->n_out ? (hx_dtype)c->spec[0].dtype : HX_F32));
        k.packs = kernel && kernel->verdict == HX_YES_IF_CONTIGUOUS;
        hx_trace_look(hx_mode.trace);
    }
    HX_TRY(room_for_numbers(&k));
    HX_TRY(append(hx_mode.trace, &k, fill(hx_mode.trace, &k, c)));
    note_writes(hx_mode.trace, &k);
    return HX_OK;
}

static hx_status region_results(hx_trace *t, hx_trace_call *k, hx_tensor **in, hx_tensor **out) {
    for (int i = 0; i < k->n_in; i++) HX_TRY(number_of(t, in[i], HX_TRACE_CAPTURED, &k->in[i]));
    for (int i = 0; i < k->n_out; i++) {
        const hx_spec *s = &k->spec[i];
        HX_TRY(hx_tensor_shape_only(k->device, (hx_dtype)s->dtype, s->shape, NULL, s->ndim, 0, &out[i]));
        HX_TRY(number_of(t, out[i], HX_TRACE_COMPUTED, &k->out[i]));
    }
    return HX_OK;
}

hx_status hx_trace_region(int32_t region, hx_tensor **in, int n_in, const hx_spec *spec, int n_out, hx_device *device,
                          hx_tensor **out) {
    hx_trace_call k = {.n_in = n_in, .n_out = n_out, .list_at = -1, .region = region, .no_grad = !hx_grad_enabled(),
                       .device = device};
    for (int i = 0; i < n_out; i++) out[i] = NULL;
    if (!hx_mode.trace) return hx_fail(HX_E_TRACE, HX1702_TRACE, "no trace is running, which could record a step");
    HX_TRY(room_for_numbers(&k));
    hx_status status = HX_OK;
    if (n_out && !(k.spec = hx_alloc((size_t)n_out * sizeof *k.spec))) status = HX_E_MEMORY;
    if (!status && n_out) memcpy(k.spec, spec, (size_t)n_out * sizeof *spec);
    status = append(hx_mode.trace, &k, status ? status : region_results(hx_mode.trace, &k, in, out));
    for (int i = 0; i < n_out && status; i++) {
        hx_tensor_release(out[i]);
        out[i] = NULL;
    }
    return status;
}

/* ---- replay ---- */

typedef struct streams {
    uint64_t seed, first;
} streams;

static streams draw(int32_t n) {
    hx_generator *g = hx_default_generator();
    streams s = {g->seed, 0};
    for (int32_t i = 0; i < n; i++) {
        uint64_t stream = hx_generator_draw(g);
        if (i == 0) s.first = stream;
    }
    return s;
}

static hx_status replay_call(const hx_trace_call *k, streams drawn, hx_tensor **now, hx_tensor **room) {
    hx_call c;
    if (!k->op)
        return hx_fail(HX_E_TRACE, HX1702_TRACE, "this trace holds control flow of the host language, which runs it");
    hx_call_init(&c, k->op);
    c.in = room;
    c.n_in = k->n_in;
    c.list_n = k->list_n;
    c.has_out = k->into;
    for (int i = 0; i < k->n_in; i++) room[i] = k->in[i] < 0 ? NULL : now[k->in[i]];
    c.device = k->device;
    for (int i = 0; i < k->n_attr; i++) {
        c.attr[i] = k->attr[i];
        if (c.attr[i].kind != HX_A_RNG || !c.attr[i].count) continue;
        c.attr[i].v.rng.seed = drawn.seed;
        c.attr[i].v.rng.stream += drawn.first;
    }
    for (int i = 0; i < k->n_out && k->into; i++) c.out[i] = now[k->out[i]];
    HX_TRY(hx_dispatch(&c));
    for (int i = 0; i < k->n_out; i++) {
        hx_tensor_release(now[k->out[i]]);
        now[k->out[i]] = c.out[i];
    }
    return HX_OK;
}

static hx_status check_input(const hx_trace *t, int i, const hx_tensor *x) {
    for (int v = 0; v < t->n_values; v++) {
        const hx_spec *s = &t->values[v].spec;
        if (t->values[v].origin != HX_TRACE_INPUT || t->values[v].input != i) continue;
        if (s->dtype != x->dtype || s->ndim != x->ndim || memcmp(s->shape, x->shape, s->ndim * sizeof *s->shape))
            return hx_fail(HX_E_SHAPE, HX1002_INNER, "input %d was traced as %s %s, got %s", i,
                           hx_shape_text(s->shape, s->ndim), hx_dtype_name((hx_dtype)s->dtype), hx_tensor_text(x));
    }
    return HX_OK;
}

static hx_status replay(hx_trace *t, hx_tensor **inputs, hx_tensor **now, hx_tensor **room) {
    for (int v = 0; v < t->n_values; v++) {
        int origin = t->values[v].origin;
        if (origin == HX_TRACE_INPUT) now[v] = hx_tensor_retain(inputs[t->values[v].input]);
        if (origin == HX_TRACE_CAPTURED || origin == HX_TRACE_MADE) now[v] = hx_tensor_retain(t->values[v].tensor);
    }
    streams drawn = draw(t->n_draws);
    for (int i = 0; i < t->n_calls; i++) {
        if (i % 16 == 0) HX_TRY(hx_look());
        HX_TRY(replay_call(&t->calls[i], drawn, now, room));
    }
    return HX_OK;
}

hx_status hx_trace_replay(hx_trace *t, hx_tensor **inputs, int n_inputs, hx_tensor **outputs, int n_outputs) {
    if (hx_mode.trace) return hx_fail(HX_E_TRACE, HX1702_TRACE, "a trace cannot be replayed while one is recorded");
    if (n_inputs != t->n_inputs || n_outputs != t->n_outputs)
        return hx_fail(HX_E_TYPE, HX1103_ARGUMENT, "the trace has %d inputs and %d outputs, got %d and %d", t->n_inputs,
                       t->n_outputs, n_inputs, n_outputs);
    for (int i = 0; i < n_inputs; i++) HX_TRY(check_input(t, i, inputs[i]));
    int widest = 1;
    for (int i = 0; i < t->n_calls; i++)
        if (t->calls[i].n_in > widest) widest = t->calls[i].n_in;
    size_t bytes = (size_t)(t->n_values + widest) * sizeof(hx_tensor *);
    hx_tensor **now = hx_alloc_zeroed(bytes);
    if (!now) return HX_E_MEMORY;
    bool before = hx_grad_set(false);
    hx_status status = replay(t, inputs, now, now + t->n_values);
    hx_grad_set(before);
    for (int i = 0; i < n_outputs && !status; i++) outputs[i] = hx_tensor_retain(now[t->outputs[i]]);
    for (int v = 0; v < t->n_values; v++) hx_tensor_release(now[v]);
    hx_free(now, bytes);
    return status;
}
