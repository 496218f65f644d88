/* The walk over the graph. Later nodes have larger sequence numbers, so going down in sequence visits every node
 * after all nodes that use its outputs. Gradients of leaves are collected apart and stored at the very end: a
 * backward that fails leaves every .grad as it was. */
#include <stdlib.h>
#include <string.h>
#include "autograd.h"
#include "dispatch.h"
#include "profile.h"
#include "threads.h"
#include "trace.h"

typedef struct leaf_gradient {
    hx_tensor *leaf; /* borrowed: the node's edge or the root owns it */
    hx_tensor *sum;  /* owned */
    int next;        /* further entry in the same bucket, -1 ends */
} leaf_gradient;

typedef struct walk {
    uint64_t id;
    hx_node **nodes;
    int n, room;
    hx_tensor ***g;   /* per node, n_out gradients */
    hx_tensor **slots;
    int64_t n_slots;
    bool *needed;     /* per node; NULL when everything is */
    leaf_gradient *leaves;
    int n_leaves, leaf_room;
    int *bucket;
    int n_buckets;
    hx_tensor **inputs;
    hx_edge *targets;
    int n_inputs;
    hx_tensor **results;
    const hx_backward_options *options;
} walk;

static void *grown(void *old, int used, int *room, size_t item) {
    int more = *room ? 2 * *room : 64;
    void *fresh = hx_alloc((size_t)more * item);
    if (!fresh) return NULL;
    if (old) {
        memcpy(fresh, old, (size_t)used * item);
        hx_free(old, (size_t)*room * item);
    }
    *room = more;
    return fresh;
}

/* ---- finding the nodes ---- */

static hx_status visit(walk *w, hx_node *node) {
    uint64_t free_mark = 0;
    if (!atomic_compare_exchange_strong(&node->walk, &free_mark, w->id)) {
        if (free_mark == w->id) return HX_OK;
        return hx_fail(HX_E_GRADIENT, HX1508_BUSY,
                       "another backward is walking over the node of %s at the same time; run them one after the other",
                       node->op ? node->op->name : node->custom.name);
    }
    if (w->n == w->room) {
        hx_node **more = grown(w->nodes, w->n, &w->room, sizeof *more);
        if (!more) {
            node->walk = 0;
            return HX_E_MEMORY;
        }
        w->nodes = more;
    }
    w->nodes[w->n++] = hx_node_retain(node);
    return HX_OK;
}

static int later_first(const void *a, const void *b) {
    uint64_t x = (*(hx_node *const *)a)->sequence, y = (*(hx_node *const *)b)->sequence;
    return x < y ? 1 : x > y ? -1 : 0;
}

static hx_status collect(walk *w) {
    for (int i = 0; i < w->n; i++)
        for (int e = 0; e < w->nodes[i]->n_in; e++)
            if (w->nodes[i]->edges[e].node) HX_TRY(visit(w, w->nodes[i]->edges[e].node));
    bool sorted = true;
    for (int i = 1; i < w->n && sorted; i++) sorted = w->nodes[i - 1]->sequence > w->nodes[i]->sequence;
    if (!sorted) qsort(w->nodes, (size_t)w->n, sizeof *w->nodes, later_first);
    for (int i = 0; i < w->n; i++) {
        w->nodes[i]->slot = i;
        w->n_slots += w->nodes[i]->n_out;
    }
    if (w->n == 0) return HX_OK;
    w->g = hx_alloc((size_t)w->n * sizeof *w->g);
    w->slots = w->g ? hx_alloc_zeroed((size_t)w->n_slots * sizeof *w->slots) : NULL;
    if (!w->slots) return HX_E_MEMORY;
    int64_t at = 0;
    for (int i = 0; i < w->n; i++) {
        w->g[i] = w->slots + at;
        at += w->nodes[i]->n_out;
    }
    return HX_OK;
}

static int input_at_leaf(const walk *w, const hx_tensor *leaf) {
    for (int i = 0; i < w->n_inputs; i++)
        if (w->targets[i].leaf == leaf) return i;
    return -1;
}

static bool edge_needed(const walk *w, const hx_edge *e) {
    if (e->leaf) return w->options->accumulate && w->n_inputs == 0 ? true : input_at_leaf(w, e->leaf) >= 0;
    if (!e->node) return false;
    if (!w->needed) return true;
    if (w->needed[e->node->slot]) return true;
    for (int i = 0; i < w->n_inputs; i++)
        if (w->targets[i].node == e->node && w->targets[i].number == e->number) return true;
    return false;
}

/* With inputs given, a node runs only when one of them lies beyond it. */
static hx_status prune(walk *w) {
    if (w->n_inputs == 0 || w->n == 0) return HX_OK;
    w->needed = hx_alloc_zeroed((size_t)w->n * sizeof *w->needed);
    if (!w->needed) return HX_E_MEMORY;
    for (int i = w->n - 1; i >= 0; i--)
        for (int e = 0; e < w->nodes[i]->n_in && !w->needed[i]; e++)
            w->needed[i] = edge_needed(w, &w->nodes[i]->edges[e]);
    return HX_OK;
}

/* ---- putting gradients into form ---- */

static bool same_shape(const hx_tensor *g, const hx_spec *s) {
    return g->ndim == s->ndim && !memcmp(g->shape, s->shape, s->ndim * sizeof *s->shape);
}

static hx_tensor *sum_to(hx_tensor *g, const hx_spec *s) {
    int64_t axes[HX_MAX_RANK];
    int n = 0, lead = g->ndim - s->ndim;
    for (int i = 0; i < g->ndim; i++)
        if (i < lead || (s->shape[i - lead] == 1 && g->shape[i] != 1)) axes[n++] = i;
    hx_tensor *sum = n ? CALL(sum, g, ((hx_ints){axes, n}), true) : g;
    return lead ? CALL(reshape, sum, ((hx_ints){s->shape, s->ndim})) : sum;
}

static bool stretches(const hx_spec *s, const hx_tensor *g) {
    int lead = g->ndim - s->ndim;
    if (lead < 0) return false;
    for (int i = 0; i < s->ndim; i++)
        if (s->shape[i] != g->shape[lead + i] && s->shape[i] != 1) return false;
    return true;
}

/* A vjp's result as the input's gradient: summed to its shape, cast to its dtype. Lives in the scope. */
static hx_tensor *fit(hx_tensor *g, const hx_spec *s, const char *op, int input) {
    if (!same_shape(g, s)) {
        if (!stretches(s, g)) {
            hx_fail(HX_E_GRADIENT, HX1505_GRAD_SHAPE, "the gradient of %s for input %d has shape %s, the input has %s", op,
                    input, hx_shape_text(g->shape, g->ndim), hx_shape_text(s->shape, s->ndim));
            return NULL;
        }
        g = sum_to(g, s);
    }
    if (!g || g->dtype == s->dtype) return g;
    if (hx_is_complex((hx_dtype)g->dtype) && !hx_is_complex((hx_dtype)s->dtype)) g = CALL(real, g);
    return g && g->dtype != s->dtype ? CALL(cast, g, s->dtype) : g;
}

/* ---- adding up ---- */

/* Does nobody else see the memory of a sum, and no graph its value? */
static bool ours(const walk *w, const hx_tensor *sum) {
    return !w->options->create_graph && sum->refs == 1 && sum->storage && sum->storage->refs == 1 && hx_contiguous(sum) &&
           !sum->history;
}

/* Takes a reference to g in either case. */
static hx_status add_to(const walk *w, hx_tensor **sum, hx_tensor *g) {
    if (!*sum) {
        *sum = hx_tensor_retain(g);
        return HX_OK;
    }
    hx_tensor *t = ours(w, *sum) ? CALL_(add, *sum, g) : CALL(add, *sum, g);
    if (!t) return hx_error_last()->code;
    hx_tensor_retain(t);
    hx_tensor_release(*sum);
    *sum = t;
    return HX_OK;
}

static leaf_gradient *leaf_entry(walk *w, hx_tensor *leaf) {
    uint32_t h = (uint32_t)((uintptr_t)leaf >> 6) * 2654435761u;
    if (w->n_leaves * 2 >= w->n_buckets) {
        int n = w->n_buckets ? 2 * w->n_buckets : 16;
        int *bucket = hx_alloc((size_t)n * sizeof *bucket);
        if (!bucket) return NULL;
        if (w->bucket) hx_free(w->bucket, (size_t)w->n_buckets * sizeof *bucket);
        w->bucket = bucket;
        w->n_buckets = n;
        for (int i = 0; i < n; i++) bucket[i] = -1;
        for (int i = 0; i < w->n_leaves; i++) {
            uint32_t k = (uint32_t)((uintptr_t)w->leaves[i].leaf >> 6) * 2654435761u % (uint32_t)n;
            w->leaves[i].next = bucket[k];
            bucket[k] = i;
        }
    }
    int *head = &w->bucket[h % (uint32_t)w->n_buckets];
    for (int i = *head; i >= 0; i = w->leaves[i].next)
        if (w->leaves[i].leaf == leaf) return &w->leaves[i];
    if (w->n_leaves == w->leaf_room) {
        leaf_gradient *more = grown(w->leaves, w->n_leaves, &w->leaf_room, sizeof *more);
        if (!more) return NULL;
        w->leaves = more;
    }
    w->leaves[w->n_leaves] = (leaf_gradient){leaf, NULL, *head};
    *head = w->n_leaves;
    return &w->leaves[w->n_leaves++];
}

static hx_status deliver(walk *w, const hx_edge *e, hx_tensor *g) {
    if (e->node) return add_to(w, &w->g[e->node->slot][e->number], g);
    leaf_gradient *entry = leaf_entry(w, e->leaf);
    return entry ? add_to(w, &entry->sum, g) : HX_E_MEMORY;
}

/* The sum that an edge leads to, when it may be added to in place; else NULL. */
static hx_tensor *sum_behind(walk *w, const hx_edge *e) {
    leaf_gradient *entry = e->leaf ? leaf_entry(w, e->leaf) : NULL;
    hx_tensor *sum = e->node ? w->g[e->node->slot][e->number] : entry ? entry->sum : NULL;
    return sum && ours(w, sum) ? sum : NULL;
}

static hx_status run_hooks(const hx_hook *h, hx_tensor **g) {
    while (h) {
        const hx_hook *next = h->next; /* a hook may remove itself */
        hx_tensor *seen = *g;
        HX_TRY(h->call(h->ctx, g));
        if (*g != seen) hx_tensor_release(seen);
        h = next;
    }
    return HX_OK;
}

/* ---- one node ---- */

enum { SMALL = 16 };

static hx_tensor *with_history(hx_tensor *value, hx_node *node, int number) {
    hx_tensor *t;
    if (!value || !node) return value;
    if (hx_tensor_alias(value, &t)) return NULL;
    t->history = hx_node_retain(node);
    t->output_number = number;
    return hx_scope_own(t);
}

/* Kernels of gradients read what was saved as the call had it. */
static bool is_as_saved(const hx_tensor *t, const hx_spec *spec) {
    if (t->dtype == spec->dtype && t->ndim == spec->ndim && !memcmp(t->shape, spec->shape, t->ndim * sizeof *t->shape)) return true;
    hx_fail(HX_E_SHAPE, HX1002_INNER, "an unpack hook must give back %s of shape %s, got %s of shape %s",
            hx_dtype_name((hx_dtype)spec->dtype), hx_shape_text(spec->shape, spec->ndim), hx_dtype_name((hx_dtype)t->dtype),
            hx_shape_text(t->shape, t->ndim));
    return false;
}

static hx_tensor *value_of(const hx_node *n, int i) {
    const hx_saved *s = &n->saved[i];
    hx_tensor *t;
    if (!s->packed) return s->tensor;
    if (hx_saved_unpack(s, &t)) return NULL;
    t = hx_scope_own(t);
    return t && is_as_saved(t, &n->spec[i]) ? t : NULL;
}

static hx_tensor *saved_input(hx_node *n, int i, bool again) {
    hx_tensor *value = value_of(n, i);
    return n->saved[i].packed && again ? with_history(value, n->edges[i].node, n->edges[i].number) : value;
}

static hx_tensor *saved_output(hx_node *n, int i, bool again) {
    hx_tensor *value = value_of(n, n->n_in + i);
    return again ? with_history(value, n, i) : value;
}

static bool is_saved(const hx_saved *s) { return s->tensor || s->packed; }

static hx_status run_vjp(walk *w, hx_node *n, hx_tensor **g, const bool *need, hx_tensor **in, hx_tensor **out,
                         hx_tensor **gin, hx_tensor **into) {
    hx_vjp v = {.op = n->op, .n_in = n->n_in, .n_out = n->n_out, .n_attr = n->n_attr, .list_at = n->list_at,
                .list_n = n->list_n, .in = in, .out = out, .g = g, .attr = n->attr, .in_spec = n->spec,
                .out_spec = n->spec + n->n_in, .need = need, .gin = gin};
    for (int i = 0; i < n->n_in; i++) {
        const hx_saved *s = &n->saved[i];
        in[i] = saved_input(n, i, w->options->create_graph);
        if (is_saved(s) && !in[i]) return hx_error_last()->code;
        if (s->tensor && s->tensor->storage && s->tensor->storage->version != s->version) v.stale |= 1ull << (i < 31 ? i : 31);
    }
    for (int i = 0; i < n->n_out; i++) {
        const hx_saved *s = &n->saved[n->n_in + i];
        out[i] = saved_output(n, i, w->options->create_graph);
        if (is_saved(s) && !out[i]) return hx_error_last()->code;
        if (s->tensor && s->tensor->storage && s->tensor->storage->version != s->version) v.stale |= 1ull << (32 + i);
    }
    if (n->op->flags & HX_ADDS && !hx_anomaly_enabled())
        for (int i = 0; i < n->n_in && i < 2; i++) v.into[i] = into[i] = need[i] ? sum_behind(w, &n->edges[i]) : NULL;
    const char *outer = hx_error_enter_op(n->op->name);
    hx_device *before = hx_mode.creation;
    for (int i = 0; i < n->n_out; i++)
        if (g[i]) hx_mode.creation = g[i]->device;
    hx_status status = n->op->vjp(&v);
    hx_mode.creation = before;
    if (!status && hx_error_pending()) status = hx_error_last()->code;
    hx_error_enter_op(outer);
    return status;
}

static hx_status refuse_nan(const hx_node *n, hx_tensor *g, int input) {
    if (!hx_is_differentiable((hx_dtype)g->dtype) || !g->storage) return HX_OK;
    hx_tensor *any = CALL(any, CALL(isnan, g));
    hx_scalar found;
    if (!any) return hx_error_last()->code;
    HX_TRY(hx_tensor_item(any, &found));
    if (!found.v.i) return HX_OK;
    const char *where = hx_anomaly_text(n->where);
    return hx_fail(HX_E_GRADIENT, HX1601_ANOMALY, "the backward of %s%s%s%s gave NaN for input %d",
                   n->op ? n->op->name : n->custom.name, where ? " (called at " : "", where ? where : "",
                   where ? ")" : "", input);
}

static hx_status pass_on(walk *w, hx_node *n, const bool *need, hx_tensor **gin, hx_tensor *const into[2]) {
    for (int i = 0; i < n->n_in; i++) {
        if (!need[i] || !gin[i]) continue;
        if (i < 2 && gin[i] == into[i]) continue; /* the rule has added it */
        hx_tensor *g = fit(gin[i], &n->spec[i], n->op ? n->op->name : n->custom.name, i);
        if (!g) return hx_error_last()->code;
        if (hx_anomaly_enabled()) HX_TRY(refuse_nan(n, g, i));
        HX_TRY(deliver(w, &n->edges[i], g));
    }
    return HX_OK;
}

static hx_status run_custom(hx_node *n, hx_tensor **g, const bool *need, hx_tensor **gin) {
    hx_status status = n->custom.backward(n->custom.ctx, g, n->n_out, need, gin, n->n_in);
    for (int i = 0; i < n->n_in; i++) gin[i] = hx_scope_own(gin[i]);
    return status;
}

static hx_status run_node(walk *w, hx_node *n, hx_tensor **g) {
    if (n->freed)
        return hx_fail(HX_E_GRADIENT, HX1502_FREED,
                       "backward through %s a second time: what it saved was released by the first. Pass "
                       "retain_graph=True to the first backward.",
                       n->op ? n->op->name : n->custom.name);
    hx_profile.place = n->place;
    hx_tensor *small[3 * SMALL], **room = small;
    bool small_need[SMALL], *need = small_need;
    size_t n_room = 2 * (size_t)n->n_in + (size_t)n->n_out, bytes = n_room * sizeof *room + (size_t)n->n_in;
    if (n->n_in > SMALL || n->n_out > SMALL) {
        if (!(room = hx_alloc(bytes))) return HX_E_MEMORY;
        need = (bool *)(room + n_room);
    }
    hx_tensor **in = room, **out = room + n->n_in, **gin = out + n->n_out, *into[2] = {NULL, NULL};
    for (int i = 0; i < n->n_in; i++) {
        need[i] = edge_needed(w, &n->edges[i]);
        gin[i] = NULL;
    }
    hx_scope scope;
    hx_scope_enter(&scope);
    hx_status status = n->op ? run_vjp(w, n, g, need, in, out, gin, into) : run_custom(n, g, need, gin);
    if (!status) status = pass_on(w, n, need, gin, into);
    hx_scope_leave(&scope);
    if (room != small) hx_free(room, bytes);
    return status;
}

static hx_status capture(walk *w, const hx_node *n, hx_tensor **g) {
    for (int i = 0; i < w->n_inputs; i++)
        if (w->targets[i].node == n && g[w->targets[i].number] && !w->results[i])
            w->results[i] = hx_tensor_retain(g[w->targets[i].number]);
    return HX_OK;
}

static hx_status run(walk *w) {
    for (int i = 0; i < w->n; i++) {
        hx_node *n = w->nodes[i];
        hx_tensor **g = w->g[i];
        bool any = false;
        if (i % 16 == 0) HX_TRY(hx_look());
        for (int k = 0; k < n->n_out; k++) {
            if (!g[k]) continue;
            any = true;
            if (n->output_hooks) HX_TRY(run_hooks(n->output_hooks[k], &g[k]));
        }
        if (w->n_inputs) HX_TRY(capture(w, n, g));
        if (any && (!w->needed || w->needed[i])) HX_TRY(run_node(w, n, g));
        for (int k = 0; k < n->n_out; k++) {
            hx_tensor_release(g[k]);
            g[k] = NULL;
        }
        if (any && !w->options->retain_graph) hx_node_free_saved(n);
    }
    return HX_OK;
}

/* ---- the ends ---- */

/* Can g become a leaf's own gradient, or does somebody else see its memory? */
static bool unshared(const hx_tensor *g) {
    return g->refs == 1 && g->storage && g->storage->refs == 1 && hx_contiguous(g) && !g->history;
}

static void release_whole(void *whole) { hx_storage_release(whole); }

static bool is_part(const hx_storage *s, const hx_storage *whole) {
    return s && s->release == release_whole && s->owner == whole;
}

/* Is the memory that g is a part of seen by nobody but leaves' sums, each of which has a part of its own? (Weights that one product
 * gave their gradients.) */
static bool only_leaves_share(const walk *w, const hx_tensor *g) {
    int holders = 0, views = 0;
    if (g->refs != 1 || !g->storage || g->device != hx_cpu() || !g->base || !hx_contiguous(g) || g->history) return false;
    for (int i = 0; i < w->n_leaves; i++) {
        const hx_tensor *other = w->leaves[i].sum;
        holders += is_part(other->storage, g->storage);
        if (other->storage != g->storage) continue;
        bool apart = other->offset >= g->offset + g->numel || other->offset + other->numel <= g->offset;
        if (other != g && !(apart && hx_contiguous(other) && other->dtype == g->dtype)) return false;
        holders++;
        views += other->base == g->base;
    }
    return g->base->refs == views && g->storage->refs == holders + 1;
}

/* The sum as a tensor of its own. A part of what leaves share is a storage by itself: writes to one gradient are none to another. */
static hx_tensor *made_own(const walk *w, hx_tensor *sum) {
    hx_tensor *own = NULL;
    if (!only_leaves_share(w, sum)) return CALL(clone, sum);
    int64_t nbytes = sum->numel * (int64_t)hx_dtype_size((hx_dtype)sum->dtype);
    hx_storage *whole = hx_storage_retain(sum->storage);
    if (!hx_tensor_wrap(sum->device, sum->data, nbytes, false, (hx_dtype)sum->dtype, sum->shape, sum->strides, sum->ndim, 0,
                        release_whole, whole, &own))
        return hx_scope_own(own);
    hx_storage_release(whole);
    return NULL;
}

static hx_status store(walk *w, leaf_gradient *e) {
    hx_tensor *old = e->leaf->gradient;
    if (old && !w->options->create_graph && !hx_requires_grad(old)) return CALL_(add, old, e->sum) ? HX_OK : hx_error_last()->code;
    if (old) {
        hx_tensor *sum = CALL(add, old, e->sum);
        if (!sum) return hx_error_last()->code;
        hx_tensor_release(e->sum);
        e->sum = hx_tensor_retain(sum);
    }
    hx_tensor_release(e->leaf->gradient);
    e->leaf->gradient = e->sum;
    e->sum = NULL;
    return HX_OK;
}

static hx_status finish_leaves(walk *w) {
    hx_status status = HX_OK;
    hx_scope scope;
    hx_scope_enter(&scope);
    for (int i = 0; i < w->n_leaves && !status; i++) status = run_hooks(w->leaves[i].leaf->hooks, &w->leaves[i].sum);
    bool keep = w->n_inputs == 0 || w->options->accumulate;
    for (int i = 0; i < w->n_leaves && !status && keep; i++) {
        leaf_gradient *e = &w->leaves[i];
        if (e->leaf->gradient || w->options->create_graph || unshared(e->sum)) continue;
        hx_tensor *own = made_own(w, e->sum);
        status = own ? HX_OK : hx_error_last()->code;
        if (status) break;
        hx_tensor_release(e->sum);
        e->sum = hx_tensor_retain(own);
    }
    hx_whole_begin(); /* all leaves get their gradients, or none */
    for (int i = 0; i < w->n_leaves && !status; i++) {
        leaf_gradient *e = &w->leaves[i];
        int at = input_at_leaf(w, e->leaf);
        if (at >= 0 && w->results) {
            for (int k = at; k < w->n_inputs; k++)
                if (w->targets[k].leaf == e->leaf) w->results[k] = hx_tensor_retain(e->sum);
        } else if (keep)
            status = store(w, e);
    }
    hx_whole_end();
    hx_scope_leave(&scope);
    return status;
}

static hx_status check_results(walk *w) {
    for (int i = 0; i < w->n_inputs && w->results; i++)
        if (!w->results[i] && !w->options->allow_unused)
            return hx_fail(HX_E_GRADIENT, HX1507_UNUSED,
                           "input %d (%s) has no influence on the outputs; pass allow_unused=True to get None for it", i,
                           hx_tensor_text(w->inputs[i]));
    return HX_OK;
}

static hx_status seed(walk *w, hx_tensor *root, hx_tensor *given) {
    hx_edge edge;
    HX_TRY(hx_edge_of(root, &edge));
    if (!edge.node && !edge.leaf)
        return hx_fail(HX_E_GRADIENT, HX1503_NO_GRAD,
                       "the tensor %s does not require grad and has no history: nothing to differentiate",
                       hx_tensor_text(root));
    hx_spec s = {.dtype = root->dtype, .ndim = root->ndim};
    hx_copy_sizes(s.shape, root->shape, root->ndim);
    hx_tensor *g = given;
    if (!g) {
        if (root->numel != 1)
            return hx_fail(HX_E_GRADIENT, HX1505_GRAD_SHAPE,
                           "a gradient is made only for outputs of one element, this one has shape %s; pass gradient=",
                           hx_shape_text(root->shape, root->ndim));
        hx_device *before = hx_mode.creation;
        hx_mode.creation = root->device;
        g = CALL(full, ((hx_ints){s.shape, s.ndim}), 1.0, s.dtype);
        hx_mode.creation = before;
    } else if (!same_shape(given, &s)) {
        return hx_fail(HX_E_SHAPE, HX1505_GRAD_SHAPE, "the given gradient has shape %s, the output has %s",
                       hx_shape_text(given->shape, given->ndim), hx_shape_text(s.shape, s.ndim));
    } else
        g = fit(given, &s, "the output", 0);
    if (!g) return hx_error_last()->code;
    return deliver(w, &edge, g);
}

static hx_status start(walk *w, hx_tensor **roots, hx_tensor **gradients, int n_roots) {
    for (int i = 0; i < n_roots; i++) {
        hx_edge edge;
        HX_TRY(hx_edge_of(roots[i], &edge));
        if (edge.node) HX_TRY(visit(w, edge.node));
    }
    for (int i = 0; i < w->n_inputs; i++) {
        HX_TRY(hx_edge_of(w->inputs[i], &w->targets[i]));
        if (!w->targets[i].node && !w->targets[i].leaf)
            return hx_fail(HX_E_GRADIENT, HX1503_NO_GRAD, "input %d (%s) does not require grad", i,
                           hx_tensor_text(w->inputs[i]));
    }
    HX_TRY(collect(w));
    HX_TRY(prune(w));
    for (int i = 0; i < n_roots; i++) HX_TRY(seed(w, roots[i], gradients ? gradients[i] : NULL));
    return HX_OK;
}

static void clean_up(walk *w) {
    for (int64_t i = 0; i < (w->slots ? w->n_slots : 0); i++) hx_tensor_release(w->slots[i]);
    if (w->slots) hx_free(w->slots, (size_t)w->n_slots * sizeof *w->slots);
    if (w->g) hx_free(w->g, (size_t)w->n * sizeof *w->g);
    if (w->needed) hx_free(w->needed, (size_t)w->n * sizeof *w->needed);
    for (int i = 0; i < w->n_leaves; i++) hx_tensor_release(w->leaves[i].sum);
    if (w->leaves) hx_free(w->leaves, (size_t)w->leaf_room * sizeof *w->leaves);
    if (w->bucket) hx_free(w->bucket, (size_t)w->n_buckets * sizeof *w->bucket);
    for (int i = 0; i < w->n; i++) w->nodes[i]->walk = 0;
    for (int i = 0; i < w->n; i++) hx_node_release(w->nodes[i]);
    if (w->nodes) hx_free(w->nodes, (size_t)w->room * sizeof *w->nodes);
    if (w->targets) hx_free(w->targets, (size_t)w->n_inputs * sizeof *w->targets);
}

hx_status hx_backward(hx_tensor **roots, hx_tensor **gradients, int n_roots, hx_tensor **inputs, int n_inputs,
                      hx_tensor **results, const hx_backward_options *options) {
    static _Atomic uint64_t next_walk = 1;
    walk w = {.id = next_walk++, .inputs = inputs, .n_inputs = n_inputs, .results = results, .options = options};
    const char *outer = hx_error_enter_op("backward");
    bool before = hx_grad_set(options->create_graph);
    int8_t cast[2];
    memcpy(cast, hx_mode.autocast, sizeof cast);
    memset(hx_mode.autocast, 0, sizeof cast); /* gradients have the dtypes of the forward pass */
    hx_profile.backward++;
    hx_scope scope;
    hx_scope_enter(&scope);
    hx_status status = HX_OK;
    for (int i = 0; i < n_inputs && results; i++) results[i] = NULL;
    if (n_inputs && !(w.targets = hx_alloc((size_t)n_inputs * sizeof *w.targets))) status = HX_E_MEMORY;
    if (!status) status = start(&w, roots, gradients, n_roots);
    hx_scope_leave(&scope);
    if (!status) status = run(&w);
    if (!status) status = finish_leaves(&w);
    if (!status) status = check_results(&w);
    clean_up(&w);
    if (status && results)
        for (int i = 0; i < n_inputs; i++) {
            hx_tensor_release(results[i]);
            results[i] = NULL;
        }
    memcpy(hx_mode.autocast, cast, sizeof cast);
    hx_profile.backward--;
    hx_grad_set(before);
    hx_error_enter_op(outer);
    return status;
}
