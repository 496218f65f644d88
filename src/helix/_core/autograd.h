/* Autograd: nodes left by recorded calls, and the walk over them.
 *
 * A node owns its parents through edges, what its vjp needs, and nothing that owns the node, so there are no
 * cycles. Walk and release are iterative: depth is bounded by memory, not by the C stack. */
#ifndef HX_AUTOGRAD_H
#define HX_AUTOGRAD_H

#include "op.h"

/* Where a gradient goes: output `number` of `node`, or a leaf tensor's accumulated gradient, or nowhere. */
typedef struct hx_edge {
    hx_node *node;
    hx_tensor *leaf;
    int32_t number;
} hx_edge;

typedef struct hx_saved {
    hx_tensor *tensor; /* NULL: not saved, or packed */
    void *packed;      /* what the host language keeps in the tensor's place */
    uint32_t version;
    bool is_output;
} hx_saved;

/* A backward written in the host language. `backward` gets n_out gradients (NULL where unused) and returns owned
 * gradients for n_in inputs in gin. `forget` (or NULL) lets go of what a further backward would need; false: there was nothing. */
typedef struct hx_custom {
    hx_status (*backward)(void *ctx, hx_tensor **g, int n_out, const bool *need, hx_tensor **gin, int n_in);
    bool (*forget)(void *ctx);
    void (*release)(void *ctx);
    void *ctx;
    const char *name;
} hx_custom;

struct hx_node {
    atomic_int refs;
    const hx_op *op;      /* NULL for custom nodes */
    uint64_t sequence;    /* later nodes have larger numbers: descending order is a topological order */
    int32_t n_in, n_out, n_attr, list_at, list_n;
    bool freed;           /* saved tensors were released by a backward without retain_graph */
    hx_edge *edges;       /* n_in */
    hx_saved *saved;      /* n_in + n_out */
    hx_spec *spec;        /* n_in + n_out; strides and offset unused */
    hx_attr *attr;
    hx_custom custom;
    hx_hook **output_hooks; /* per output; NULL when no output has one */
    void *where;          /* anomaly mode: what the host language noted when the node was made */
    int32_t place;        /* where the program made it, for the profiler */
    int32_t slot;         /* position in the running walk */
    _Atomic uint64_t walk; /* the walk that claimed this node; 0 for none */
    size_t block_bytes;
    struct hx_node *next_free;
};

/* Records a call that has run: called by dispatch. Outputs get history. */
hx_status hx_record(hx_call *c);

/* Makes a node with custom backward: outputs (fresh tensors without history) depend on inputs. */
hx_status hx_record_custom(const hx_custom *custom, hx_tensor **in, int n_in, hx_tensor **out, int n_out);

/* Backward from roots. `gradients[i]` may be NULL for a one-element root. Without inputs, gradients accumulate into
 * leaves; with inputs, only what they need is run and results[i] gets an owned tensor (NULL when allow_unused and
 * not reached). */
typedef struct hx_backward_options {
    bool retain_graph, create_graph, allow_unused, accumulate;
} hx_backward_options;
hx_status hx_backward(hx_tensor **roots, hx_tensor **gradients, int n_roots, hx_tensor **inputs, int n_inputs,
                      hx_tensor **results, const hx_backward_options *options);

/* In-place history: after an in-place call on `t`, the new node becomes its history (and its base's). */
hx_status hx_tensor_adopt(hx_tensor *t, hx_node *node, int output_number);
/* The edge for gradients of t; remakes the history of views whose base was written. Borrowed pointers. */
hx_status hx_edge_of(hx_tensor *t, hx_edge *edge);

/* Hooks see (and may replace) a gradient: return HX_OK with *g unchanged or exchanged for an owned tensor. */
struct hx_hook {
    hx_status (*call)(void *ctx, hx_tensor **g);
    void (*release)(void *ctx);
    void *ctx;
    uint64_t id;
    struct hx_hook *next;
};
hx_status hx_hook_add(hx_tensor *t, hx_status (*call)(void *, hx_tensor **), void (*release)(void *), void *ctx,
                      uint64_t *id);
bool hx_hook_remove(hx_tensor *t, uint64_t id);
/* Hooks that nothing but this reference to t keeps alive, for the host language's garbage collector: shows each until
 * `seen` returns other than 0, and returns that; drops them. */
int hx_hooks_owned(const hx_tensor *t, int (*seen)(const hx_hook *hook, void *arg), void *arg);
void hx_hooks_drop(hx_tensor *t);
hx_status hx_retain_grad(hx_tensor *t);
/* Asks for gradients of a leaf, or no longer. */
hx_status hx_tensor_require_grad(hx_tensor *t, bool wanted);
void hx_forget_retained(hx_tensor *t); /* called when a tensor that retains its gradient goes */

/* Anomaly mode: `note` is called when nodes are made, `check` decides after each vjp. */
typedef struct hx_anomaly {
    void *(*note)(void);
    void (*release)(void *where);
    const char *(*text)(void *where); /* "train.py:41", valid until the next call */
} hx_anomaly;
bool hx_anomaly_set(bool enabled); /* per thread; returns the mode before */
bool hx_anomaly_enabled(void);
const char *hx_anomaly_text(void *where); /* NULL when nothing was noted */
void hx_anomaly_hooks(const hx_anomaly *hooks);

/* Saved tensors as the host language keeps them: `pack` gives what stands for a tensor, which `unpack` turns into a tensor
 * of the same shape and values again, and `release` drops. hx_mode.saver switches it on for a thread. */
typedef struct hx_saver_hooks {
    hx_status (*pack)(void *saver, hx_tensor *t, void **packed);
    hx_status (*unpack)(void *packed, hx_tensor **out);
    void (*release)(void *packed);
} hx_saver_hooks;
void hx_saver_set_hooks(const hx_saver_hooks *hooks);
hx_status hx_saved_pack(hx_node *n); /* on failure the node keeps what is not packed yet */
hx_status hx_saved_unpack(const hx_saved *s, hx_tensor **out);
void hx_saved_drop(hx_saved *s);

void hx_node_release(hx_node *n);
void hx_node_free_saved(hx_node *n);
static inline hx_node *hx_node_retain(hx_node *n) {
    atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
    return n;
}

#endif
