/* Leaving nodes: what a recorded call keeps, where its gradients go, and how in-place writes and views change the
 * history. backward.c walks what is made here. */
#include "autograd.h"
#include <stdalign.h>
#include <string.h>
#include "dispatch.h"
#include "profile.h"

static _Atomic uint64_t next_sequence = 1;
static _Thread_local bool anomaly;
static hx_anomaly anomaly_hooks;

bool hx_anomaly_set(bool enabled) {
    bool before = anomaly;
    anomaly = enabled;
    return before;
}
bool hx_anomaly_enabled(void) { return anomaly; }
void hx_anomaly_hooks(const hx_anomaly *hooks) { anomaly_hooks = *hooks; }
const char *hx_anomaly_text(void *where) { return where && anomaly_hooks.text ? anomaly_hooks.text(where) : NULL; }

/* ---- making nodes ---- */

static inline size_t up16(size_t n) { return (n + 15) & ~(size_t)15; }

static size_t ints_bytes(const hx_attr *attr, int n) {
    size_t bytes = 0;
    for (int i = 0; i < n; i++) {
        if (attr[i].kind == HX_A_INTS || attr[i].kind == HX_A_FLOATS) bytes += attr[i].count * sizeof(int64_t);
        if (attr[i].kind == HX_A_STR) bytes += up16(attr[i].count + 1);
    }
    return bytes;
}

/* Copies attributes and what they point to; `room` has ints_bytes. */
static void copy_attributes(hx_attr *to, const hx_attr *from, int n, char *room) {
    for (int i = 0; i < n; i++) {
        to[i] = from[i];
        if (from[i].kind == HX_A_INTS || from[i].kind == HX_A_FLOATS) {
            memcpy(room, from[i].v.ints, from[i].count * sizeof(int64_t));
            to[i].v.ints = (const int64_t *)room;
            room += from[i].count * sizeof(int64_t);
        } else if (from[i].kind == HX_A_STR) {
            memcpy(room, from[i].v.str, from[i].count);
            room[from[i].count] = 0;
            to[i].v.str = room;
            room += up16(from[i].count + 1);
        }
    }
}

/* One block holds the node and all its arrays. */
static hx_node *new_node(const hx_op *op, int n_in, int n_out, const hx_attr *attr, int n_attr) {
    size_t edges = up16(sizeof(hx_node)), saved = edges + up16((size_t)n_in * sizeof(hx_edge));
    size_t attrs = saved + up16((size_t)(n_in + n_out) * sizeof(hx_saved));
    size_t room = attrs + up16((size_t)n_attr * sizeof(hx_attr));
    size_t spec = room + up16(ints_bytes(attr, n_attr));
    size_t bytes = spec + (size_t)(n_in + n_out) * sizeof(hx_spec);
    char *block = hx_alloc(bytes);
    if (!block) return NULL;
    hx_node *n = (hx_node *)block;
    memset(n, 0, sizeof *n);
    atomic_init(&n->refs, 1);
    n->op = op;
    n->n_in = n_in;
    n->n_out = n_out;
    n->n_attr = n_attr;
    n->edges = (hx_edge *)(block + edges);
    n->saved = (hx_saved *)(block + saved);
    n->attr = (hx_attr *)(block + attrs);
    n->spec = (hx_spec *)(block + spec);
    n->block_bytes = bytes;
    memset(n->edges, 0, (size_t)n_in * sizeof *n->edges);
    memset(n->saved, 0, (size_t)(n_in + n_out) * sizeof *n->saved);
    copy_attributes(n->attr, attr, n_attr, block + room);
    n->place = hx_profile.place;
    if (anomaly && anomaly_hooks.note) n->where = anomaly_hooks.note();
    hx_count_node(1);
    return n;
}

static void release_hooks(hx_hook *h) {
    while (h) {
        hx_hook *next = h->next;
        if (h->release) h->release(h->ctx);
        hx_free(h, sizeof *h);
        h = next;
    }
}

static void drop_hooks(hx_node *n) {
    hx_hook **lists = n->output_hooks;
    if (!lists) return;
    n->output_hooks = NULL;
    for (int i = 0; i < n->n_out; i++) release_hooks(lists[i]);
    hx_free(lists, (size_t)n->n_out * sizeof *lists);
}

void hx_node_free_saved(hx_node *n) {
    for (int i = 0; i < n->n_in + n->n_out; i++)
        if (n->saved[i].tensor || n->saved[i].packed) {
            n->freed = true;
            hx_saved_drop(&n->saved[i]);
        }
    if (n->custom.forget && n->custom.forget(n->custom.ctx)) n->freed = true;
}

/* Releasing a node may release its parents, and so on for a million ops: a list instead of recursion. */
void hx_node_release(hx_node *n) {
    static _Thread_local hx_node *pending;
    static _Thread_local bool active;
    if (atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) != 1) return;
    n->next_free = pending;
    pending = n;
    if (active) return;
    active = true;
    while (pending) {
        hx_node *dead = pending;
        pending = dead->next_free;
        hx_node_free_saved(dead);
        drop_hooks(dead);
        for (int i = 0; i < dead->n_in; i++) {
            if (dead->edges[i].node) hx_node_release(dead->edges[i].node);
            if (dead->edges[i].leaf) hx_tensor_release(dead->edges[i].leaf);
        }
        if (dead->custom.release) dead->custom.release(dead->custom.ctx);
        if (dead->where && anomaly_hooks.release) anomaly_hooks.release(dead->where);
        hx_count_node(-1);
        hx_free(dead, dead->block_bytes);
    }
    active = false;
}

/* ---- edges and in-place history ---- */

static hx_status node_for_view(hx_tensor *t, hx_node **out);

hx_status hx_edge_of(hx_tensor *t, hx_edge *edge) {
    *edge = (hx_edge){0};
    if (t->base && t->base_writes != t->base->writes && t->base->history) {
        hx_node *fresh;
        HX_TRY(node_for_view(t, &fresh));
        if (t->history) hx_node_release(t->history);
        t->history = fresh;
        t->output_number = 0;
        t->base_writes = t->base->writes;
    }
    if (t->history)
        *edge = (hx_edge){.node = t->history, .number = t->output_number};
    else if (t->flags & HX_T_REQUIRES_GRAD)
        edge->leaf = t;
    return HX_OK;
}

/* A node gets its number after its edges, because taking an edge may make a node that must come before. */
static void stamp(hx_node *n) {
    n->sequence = atomic_fetch_add_explicit(&next_sequence, 1, memory_order_relaxed);
}

static hx_status take_edge(hx_edge *slot, hx_tensor *t) {
    HX_TRY(hx_edge_of(t, slot));
    if (slot->node) hx_node_retain(slot->node);
    if (slot->leaf) hx_tensor_retain(slot->leaf);
    return HX_OK;
}

static void note_spec(hx_spec *s, const hx_tensor *t) {
    s->dtype = t->dtype;
    s->ndim = t->ndim;
    s->offset = t->offset;
    hx_copy_sizes(s->shape, t->shape, t->ndim);
    hx_copy_sizes(s->strides, t->strides, t->ndim);
}

static void geometry(const hx_tensor *t, hx_attr attr[3]) {
    attr[0] = (hx_attr){.kind = HX_A_INTS, .count = t->ndim, .v.ints = t->shape};
    attr[1] = (hx_attr){.kind = HX_A_INTS, .count = t->ndim, .v.ints = t->strides};
    attr[2] = (hx_attr){.kind = HX_A_INT, .v.i = t->offset - t->base->offset};
}

static hx_status node_for_view(hx_tensor *t, hx_node **out) {
    hx_attr attr[3];
    geometry(t, attr);
    hx_node *n = new_node(HX_OPREF(view_of_base), 1, 1, attr, 3);
    if (!n) return HX_E_MEMORY;
    hx_status status = take_edge(&n->edges[0], t->base);
    stamp(n);
    note_spec(&n->spec[0], t->base);
    note_spec(&n->spec[1], t);
    if (status)
        hx_node_release(n);
    else
        *out = n;
    return status;
}

static void set_history(hx_tensor *t, hx_node *owned, int number) {
    hx_node *before = t->history;
    t->history = owned;
    t->output_number = number;
    t->writes++;
    if (before) hx_node_release(before);
}

/* The written part becomes part of the base's history, and the view's history leads through the base. */
static hx_status adopt_through_base(hx_tensor *t, hx_node *node, int number) {
    hx_tensor *base = t->base;
    if (!hx_contiguous(base))
        return hx_fail(HX_E_GRADIENT, HX1006_INPLACE,
                       "gradients through in-place writes to views need a contiguous base; call .contiguous() first");
    hx_attr attr[3];
    geometry(t, attr);
    hx_node *exchange = new_node(HX_OPREF(exchange_part), 2, 1, attr, 3);
    if (!exchange) return HX_E_MEMORY;
    note_spec(&exchange->spec[0], base);
    note_spec(&exchange->spec[1], t);
    note_spec(&exchange->spec[2], base);
    hx_status status = take_edge(&exchange->edges[0], base);
    stamp(exchange);
    exchange->edges[1] = (hx_edge){.node = hx_node_retain(node), .number = number};
    if (status) {
        hx_node_release(exchange);
        return status;
    }
    set_history(base, exchange, 0);
    hx_node *view;
    HX_TRY(node_for_view(t, &view));
    set_history(t, view, 0);
    t->base_writes = base->writes;
    return HX_OK;
}

hx_status hx_tensor_adopt(hx_tensor *t, hx_node *node, int number) {
    if (t->base) return adopt_through_base(t, node, number);
    set_history(t, hx_node_retain(node), number);
    return HX_OK;
}

/* ---- recording ---- */

static bool saves_input(const hx_op *op, int i, int list_at, int list_n) {
    if (list_at >= 0 && i >= list_at) {
        if (i < list_at + list_n) return op->saves & SAVE_LIST;
        i -= list_n - 1;
    }
    return op->saves & SAVE_IN(i);
}

/* A saved output is a bare alias, so that the node does not own itself. */
static hx_status save_outputs(hx_node *n, const hx_call *c) {
    for (int i = 0; i < c->n_out; i++) {
        hx_saved *s = &n->saved[c->n_in + i];
        if (!(c->op->saves & SAVE_OUT(i))) continue;
        HX_TRY(hx_tensor_alias(c->out[i], &s->tensor));
        s->is_output = true;
        s->version = c->out[i]->storage ? c->out[i]->storage->version : 0;
    }
    return HX_OK;
}

static bool same_storage(const hx_tensor *a, const hx_tensor *b) { return a->storage && a->storage == b->storage; }

static hx_status fill_node(hx_node *n, const hx_call *c) {
    bool written = c->inplace || c->has_out;
    for (int i = 0; i < c->n_in; i++) {
        hx_tensor *t = c->in[i];
        if (!t) {
            n->spec[i].ndim = 0;
            n->spec[i].dtype = HX_F32;
            continue;
        }
        note_spec(&n->spec[i], t);
        if (hx_requires_grad(t) && hx_is_differentiable((hx_dtype)t->dtype)) HX_TRY(take_edge(&n->edges[i], t));
        if (!saves_input(c->op, i, c->list_at, c->list_n)) continue;
        n->saved[i].tensor = hx_tensor_retain(t);
        n->saved[i].version = t->storage ? t->storage->version : 0;
        if (written && same_storage(t, c->out[0])) n->saved[i].version--; /* as it was before the write */
    }
    for (int i = 0; i < c->n_out; i++) {
        n->spec[c->n_in + i].dtype = c->spec[i].dtype;
        n->spec[c->n_in + i].ndim = c->spec[i].ndim;
        hx_copy_sizes(n->spec[c->n_in + i].shape, c->spec[i].shape, c->spec[i].ndim);
    }
    return save_outputs(n, c);
}

static hx_status refuse_inference(const hx_call *c) {
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i] && c->in[i]->flags & HX_T_INFERENCE && saves_input(c->op, i, c->list_at, c->list_n))
            return hx_fail(HX_E_GRADIENT, HX1506_INFERENCE,
                           "a tensor made in inference_mode cannot be saved for backward; clone it outside of "
                           "inference_mode first");
    return HX_OK;
}

hx_status hx_record(hx_call *c) {
    HX_TRY(refuse_inference(c));
    hx_node *n = new_node(c->op, c->n_in, c->n_out, c->attr, c->n_attr);
    if (!n) return HX_E_MEMORY;
    n->list_at = c->list_at;
    n->list_n = c->list_n;
    hx_status status = fill_node(n, c);
    stamp(n);
    if (hx_mode.saver && !status) status = hx_saved_pack(n);
    for (int i = 0; i < c->n_out && !status; i++) {
        hx_tensor *t = c->out[i];
        if (!hx_is_differentiable((hx_dtype)t->dtype) || (i > 0 && c->op->flags & HX_NONDIFF_OUT1)) continue;
        if (c->inplace || c->has_out)
            status = hx_tensor_adopt(t, n, i);
        else {
            t->history = hx_node_retain(n);
            t->output_number = i;
        }
    }
    hx_node_release(n);
    return status;
}

hx_status hx_record_custom(const hx_custom *custom, hx_tensor **in, int n_in, hx_tensor **out, int n_out) {
    hx_node *n = new_node(NULL, n_in, n_out, NULL, 0);
    if (!n) return HX_E_MEMORY;
    n->list_at = -1;
    hx_status status = HX_OK;
    for (int i = 0; i < n_in && !status; i++) {
        note_spec(&n->spec[i], in[i]);
        if (hx_requires_grad(in[i]) && hx_is_differentiable((hx_dtype)in[i]->dtype))
            status = take_edge(&n->edges[i], in[i]);
    }
    stamp(n);
    for (int i = 0; i < n_out && !status; i++) {
        note_spec(&n->spec[n_in + i], out[i]);
        if (!hx_is_differentiable((hx_dtype)out[i]->dtype)) continue;
        set_history(out[i], hx_node_retain(n), i);
    }
    if (!status) n->custom = *custom; /* on failure the caller keeps ctx */
    hx_node_release(n);
    return status;
}

static hx_status require_grad(hx_tensor *t, bool wanted) {
    hx_edge edge;
    if (t->base && t->base_writes != t->base->writes) HX_TRY(hx_edge_of(t, &edge)); /* its history after a write */
    if (t->history && !wanted)
        return hx_fail(HX_E_GRADIENT, HX1503_NO_GRAD,
                       "a tensor that an op made follows its inputs; use x.detach() for one that does not");
    if (t->history) return HX_OK;
    if (wanted && !hx_is_differentiable((hx_dtype)t->dtype))
        return hx_fail(HX_E_GRADIENT, HX1503_NO_GRAD, "only floating and complex tensors have gradients, this one is %s",
                       hx_dtype_name((hx_dtype)t->dtype));
    if (wanted && t->flags & HX_T_INFERENCE && !hx_inference_enabled())
        return hx_fail(HX_E_GRADIENT, HX1506_INFERENCE, "the tensor was made in inference_mode; clone it first");
    t->flags = (uint8_t)(wanted ? t->flags | HX_T_REQUIRES_GRAD : t->flags & ~HX_T_REQUIRES_GRAD);
    return HX_OK;
}

hx_status hx_tensor_require_grad(hx_tensor *t, bool wanted) {
    bool outermost = hx_error_outermost_op("requires_grad");
    hx_status status = require_grad(t, wanted);
    if (outermost) hx_error_enter_op(NULL);
    return status;
}

/* ---- hooks ---- */

static hx_status hook_list(hx_tensor *t, hx_hook ***list, bool make) {
    hx_edge edge;
    *list = NULL;
    HX_TRY(hx_edge_of(t, &edge));
    if (edge.leaf) {
        *list = &t->hooks;
    } else if (edge.node) {
        if (!edge.node->output_hooks && make &&
            !(edge.node->output_hooks = hx_alloc_zeroed((size_t)edge.node->n_out * sizeof(hx_hook *))))
            return HX_E_MEMORY;
        if (edge.node->output_hooks) *list = &edge.node->output_hooks[edge.number];
    } else if (make) {
        return hx_fail(HX_E_GRADIENT, HX1503_NO_GRAD, "a hook was set on a tensor that does not require grad");
    }
    return HX_OK;
}

hx_status hx_hook_add(hx_tensor *t, hx_status (*call)(void *, hx_tensor **), void (*release)(void *), void *ctx,
                      uint64_t *id) {
    static _Atomic uint64_t next_id = 1;
    hx_hook **list;
    HX_TRY(hook_list(t, &list, true));
    hx_hook *h = hx_alloc(sizeof *h);
    if (!h) return HX_E_MEMORY;
    *h = (hx_hook){call, release, ctx, next_id++, NULL};
    while (*list) list = &(*list)->next;
    *list = h;
    if (id) *id = h->id;
    return HX_OK;
}

static bool remove_hook(hx_hook **list, uint64_t id, void *ctx) {
    for (; list && *list; list = &(*list)->next)
        if ((*list)->id == id || (ctx && (*list)->ctx == ctx)) {
            hx_hook *h = *list;
            *list = h->next;
            if (h->release) h->release(h->ctx);
            hx_free(h, sizeof *h);
            return true;
        }
    return false;
}

bool hx_hook_remove(hx_tensor *t, uint64_t id) {
    hx_hook **list;
    return !hook_list(t, &list, false) && remove_hook(list, id, NULL);
}

static hx_node *owned_history(const hx_tensor *t) {
    return t->history && atomic_load(&t->history->refs) == 1 ? t->history : NULL;
}

static int show_hooks(const hx_hook *h, int (*seen)(const hx_hook *, void *), void *arg) {
    int stop = 0;
    for (; h && !stop; h = h->next) stop = seen(h, arg);
    return stop;
}

int hx_hooks_owned(const hx_tensor *t, int (*seen)(const hx_hook *hook, void *arg), void *arg) {
    if (atomic_load(&t->refs) != 1) return 0;
    const hx_node *n = owned_history(t);
    int stop = show_hooks(t->hooks, seen, arg);
    for (int i = 0; n && n->output_hooks && i < n->n_out && !stop; i++) stop = show_hooks(n->output_hooks[i], seen, arg);
    return stop;
}

void hx_hooks_drop(hx_tensor *t) {
    if (atomic_load(&t->refs) != 1) return;
    hx_hook *list = t->hooks;
    t->hooks = NULL;
    release_hooks(list);
    if (owned_history(t)) drop_hooks(t->history);
}

/* The hook knows its tensor without owning it: the tensor takes the hook along when it goes. */
static hx_status keep_gradient(void *ctx, hx_tensor **g) {
    hx_tensor *t = ctx;
    hx_tensor_release(t->gradient);
    t->gradient = hx_tensor_retain(*g);
    return HX_OK;
}

hx_status hx_retain_grad(hx_tensor *t) {
    if (!t->history || t->flags & HX_T_RETAIN_GRAD) return HX_OK; /* leaves keep theirs anyway */
    HX_TRY(hx_hook_add(t, keep_gradient, NULL, t, NULL));
    t->flags |= HX_T_RETAIN_GRAD;
    return HX_OK;
}

void hx_forget_retained(hx_tensor *t) {
    if (t->history && t->history->output_hooks) remove_hook(&t->history->output_hooks[t->output_number], 0, t);
}
