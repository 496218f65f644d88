/* What stands in a node for a tensor that it saves, when the host language keeps it: packed after the call was recorded,
 * a tensor again when backward reads it. While either runs, saving is as usual. */
#include "autograd.h"
#include "dispatch.h"
#include "trace.h"

static hx_saver_hooks hooks;

void hx_saver_set_hooks(const hx_saver_hooks *wanted) { hooks = *wanted; }

/* A leaf whose gradient is wanted lives on anyhow. What is stale already must stay, so that it is found out. A graph keeps what it
 * has; a trace that is watched only asks what an eager run would hold. */
static bool is_packable(const hx_node *n, int i) {
    const hx_saved *s = &n->saved[i];
    if (!s->tensor || (s->tensor->storage ? s->tensor->storage->version != s->version : !hx_trace_is_watched())) return false;
    return i >= n->n_in || n->edges[i].leaf != s->tensor;
}

/* The hook gets the values alone: where they come from is the node's to know. */
static hx_status pack(void *saver, hx_saved *s) {
    hx_tensor *values;
    void *packed = NULL;
    HX_TRY(hx_tensor_alias(s->tensor, &values));
    hx_status status = hooks.pack(saver, values, &packed);
    hx_tensor_release(values);
    if (status) return status;
    hx_saved_drop(s);
    s->packed = packed;
    return HX_OK;
}

hx_status hx_saved_pack(hx_node *n) {
    void *saver = hx_mode.saver;
    hx_status status = HX_OK;
    hx_mode.saver = NULL;
    for (int i = 0; i < n->n_in + n->n_out && !status; i++)
        if (is_packable(n, i)) status = pack(saver, &n->saved[i]);
    hx_mode.saver = saver;
    return status;
}

hx_status hx_saved_unpack(const hx_saved *s, hx_tensor **out) {
    void *saver = hx_mode.saver;
    hx_mode.saver = NULL;
    hx_status status = hooks.unpack(s->packed, out);
    hx_mode.saver = saver;
    return status;
}

void hx_saved_drop(hx_saved *s) {
    hx_tensor *t = s->tensor;
    void *packed = s->packed;
    s->tensor = NULL;
    s->packed = NULL;
    if (t) hx_tensor_release(t);
    if (packed) hooks.release(packed);
}
