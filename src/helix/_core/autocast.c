/* The lists are torch's (docs.pytorch.org/docs/stable/amp.html): the one it has for processors on the CPU, the one it has for
 * accelerators elsewhere. */
#include "autocast.h"
#include <string.h>
#include "autograd.h"
#include "dispatch.h"
#include "storage.h"
#include "trace.h"

enum { DISTANCE_BIAS = 4 }; /* the input of attention */

static const struct {
    const char *name;
    uint8_t cpu, other;
} LIST[] = {
    {"matmul", HX_LOWER, HX_LOWER},
    {"mm", HX_LOWER, HX_LOWER},
    {"bmm", HX_LOWER, HX_LOWER},
    {"mv", HX_AS_GIVEN, HX_LOWER},
    {"addmm", HX_LOWER, HX_LOWER},
    {"baddbmm", HX_LOWER, HX_LOWER},
    {"addbmm", HX_LOWER, HX_LOWER},
    {"addmv", HX_AS_GIVEN, HX_LOWER},
    {"add_matmul", HX_LOWER, HX_LOWER},
    {"grouped_matmul", HX_LOWER, HX_LOWER},
    {"grouped_linear", HX_LOWER, HX_LOWER},
    {"einsum", HX_LOWER, HX_LOWER},
    {"linear", HX_LOWER, HX_LOWER},
    {"linear_activation", HX_LOWER, HX_LOWER},
    {"conv", HX_LOWER, HX_LOWER},
    {"conv1d", HX_LOWER, HX_LOWER},
    {"conv2d", HX_LOWER, HX_LOWER},
    {"conv3d", HX_LOWER, HX_LOWER},
    {"conv_transpose1d", HX_LOWER, HX_LOWER},
    {"conv_transpose2d", HX_LOWER, HX_LOWER},
    {"conv_transpose3d", HX_LOWER, HX_LOWER},
    {"prelu", HX_LOWER, HX_LOWER},
    {"scaled_dot_product_attention", HX_SCORES, HX_SCORES},
    {"attention", HX_SCORES, HX_SCORES},

    {"binary_cross_entropy", HX_SINGLE, HX_SINGLE},
    {"binary_cross_entropy_with_logits", HX_SINGLE, HX_SINGLE},
    {"cosine_embedding_loss", HX_SINGLE, HX_SINGLE},
    {"cross_entropy", HX_SINGLE, HX_SINGLE},
    {"ctc_loss", HX_SINGLE, HX_SINGLE},
    {"gaussian_nll_loss", HX_SINGLE, HX_SINGLE},
    {"hinge_embedding_loss", HX_SINGLE, HX_SINGLE},
    {"huber_loss", HX_SINGLE, HX_SINGLE},
    {"kl_div", HX_SINGLE, HX_SINGLE},
    {"l1_loss", HX_SINGLE, HX_SINGLE},
    {"margin_ranking_loss", HX_SINGLE, HX_SINGLE},
    {"mse_loss", HX_SINGLE, HX_SINGLE},
    {"multi_margin_loss", HX_SINGLE, HX_SINGLE},
    {"multilabel_margin_loss", HX_SINGLE, HX_SINGLE},
    {"multilabel_soft_margin_loss", HX_SINGLE, HX_SINGLE},
    {"nll_loss", HX_SINGLE, HX_SINGLE},
    {"poisson_nll_loss", HX_SINGLE, HX_SINGLE},
    {"smooth_l1_loss", HX_SINGLE, HX_SINGLE},
    {"soft_margin_loss", HX_SINGLE, HX_SINGLE},
    {"triplet_margin_loss", HX_SINGLE, HX_SINGLE},
    {"grid_sampler", HX_SINGLE, HX_WIDEST},
    {"avg_pool3d", HX_SINGLE, HX_AS_GIVEN},
    {"max_pool3d", HX_SINGLE, HX_AS_GIVEN},
    {"adaptive_avg_pool3d", HX_SINGLE, HX_AS_GIVEN},
    {"adaptive_max_pool3d", HX_SINGLE, HX_AS_GIVEN},
    {"max_unpool2d", HX_SINGLE, HX_AS_GIVEN},
    {"max_unpool3d", HX_SINGLE, HX_AS_GIVEN},
    {"border_pad", HX_BORDER, HX_AS_GIVEN},
    {"fft_conv", HX_SINGLE, HX_SINGLE},
    {"selective_scan", HX_SINGLE, HX_SINGLE},
    {"prod", HX_SINGLE, HX_SINGLE},
    {"triangular_base", HX_SINGLE, HX_AS_GIVEN},
    {"pinv_base", HX_SINGLE, HX_AS_GIVEN},
    {"lstsq_base", HX_SINGLE, HX_AS_GIVEN},
    {"trace", HX_SINGLE, HX_AS_GIVEN},
    {"view_as_complex", HX_SINGLE, HX_AS_GIVEN},
    {"det", HX_SINGLE, HX_AS_GIVEN},
    {"slogdet", HX_SINGLE, HX_AS_GIVEN},
    {"inverse", HX_SINGLE, HX_AS_GIVEN},
    {"geqrf", HX_SINGLE, HX_AS_GIVEN},
    {"matrix_exp", HX_SINGLE, HX_AS_GIVEN},

    {"acos", HX_AS_GIVEN, HX_SINGLE},
    {"asin", HX_AS_GIVEN, HX_SINGLE},
    {"cosh", HX_AS_GIVEN, HX_SINGLE},
    {"erfinv", HX_AS_GIVEN, HX_SINGLE},
    {"exp", HX_AS_GIVEN, HX_SINGLE},
    {"expm1", HX_AS_GIVEN, HX_SINGLE},
    {"log", HX_AS_GIVEN, HX_SINGLE},
    {"log10", HX_AS_GIVEN, HX_SINGLE},
    {"log2", HX_AS_GIVEN, HX_SINGLE},
    {"log1p", HX_AS_GIVEN, HX_SINGLE},
    {"reciprocal", HX_AS_GIVEN, HX_SINGLE},
    {"rsqrt", HX_AS_GIVEN, HX_SINGLE},
    {"sinh", HX_AS_GIVEN, HX_SINGLE},
    {"tan", HX_AS_GIVEN, HX_SINGLE},
    {"pow", HX_AS_GIVEN, HX_SINGLE},
    {"softplus", HX_AS_GIVEN, HX_SINGLE},
    {"layer_norm", HX_AS_GIVEN, HX_SINGLE},
    {"group_norm", HX_AS_GIVEN, HX_SINGLE},
    {"rms_norm", HX_AS_GIVEN, HX_SINGLE},
    {"norm", HX_AS_GIVEN, HX_SINGLE},
    {"linalg_vector_norm", HX_AS_GIVEN, HX_SINGLE},
    {"cosine_similarity", HX_AS_GIVEN, HX_SINGLE},
    {"interpolate", HX_AS_GIVEN, HX_SINGLE},
    {"softmax", HX_AS_GIVEN, HX_SINGLE},
    {"log_softmax", HX_AS_GIVEN, HX_SINGLE},
    {"logsumexp", HX_AS_GIVEN, HX_SINGLE},
    {"cumprod", HX_AS_GIVEN, HX_SINGLE},
    {"cumsum", HX_AS_GIVEN, HX_SINGLE},
    {"sum", HX_AS_GIVEN, HX_SINGLE},

    {"cat", HX_WIDEST, HX_WIDEST},
    {"stack", HX_WIDEST, HX_WIDEST},
    {"index_copy", HX_WIDEST, HX_WIDEST},
    {"addcdiv", HX_AS_GIVEN, HX_WIDEST},
    {"addcmul", HX_AS_GIVEN, HX_WIDEST},
    {"atan2", HX_AS_GIVEN, HX_WIDEST},
    {"dot", HX_AS_GIVEN, HX_WIDEST},
    {"vdot", HX_AS_GIVEN, HX_WIDEST},
    {"bilinear", HX_CLOSED, HX_WIDEST},
    {"index_put", HX_AS_GIVEN, HX_WIDEST},
    {"scatter_add", HX_AS_GIVEN, HX_WIDEST},
};

void hx_precisions_of(const char *op, uint8_t precision[2]) {
    bool lapack_or_fft = !strncmp(op, "linalg_", 7) || !strncmp(op, "fft_", 4); /* whose libraries know no short dtype */
    precision[0] = lapack_or_fft ? HX_SINGLE : HX_AS_GIVEN;
    precision[1] = HX_AS_GIVEN;
    for (size_t i = 0; i < sizeof LIST / sizeof *LIST; i++)
        if (!strcmp(LIST[i].name, op)) {
            precision[0] = LIST[i].cpu;
            precision[1] = LIST[i].other;
        }
}

/* ---- values of parameters that were cast ---- */

/* A slot of an open table by addresses. All three are held, so that no address comes to mean another thing. */
typedef struct kept {
    hx_tensor *parameter, *values; /* values: from the second use on; held for a single one, they would only take up cache */
    hx_storage *storage;           /* of the parameter, when it was cast */
    uint32_t version, loans;
} kept;

static _Thread_local struct {
    kept *slots;
    size_t room, count; /* room: a power of 2, or 0 */
    int depth;
    bool off;
} casts;

enum { FIRST_CASTS = 64 };

static kept *slot_of(kept *slots, size_t room, const hx_tensor *parameter) {
    size_t at = (size_t)((uint64_t)(uintptr_t)parameter * 0x9e3779b97f4a7c15u >> 32) & (room - 1);
    while (slots[at].parameter && slots[at].parameter != parameter) at = (at + 1) & (room - 1);
    return &slots[at];
}

static void drop(kept *k) {
    if (k->values) hx_tensor_release(k->values);
    if (k->storage) hx_storage_release(k->storage);
    k->values = NULL;
    k->storage = NULL;
}

static void forget_casts(void) {
    for (size_t i = 0; i < casts.room; i++) {
        if (!casts.slots[i].parameter) continue;
        drop(&casts.slots[i]);
        hx_tensor_release(casts.slots[i].parameter);
    }
    hx_free(casts.slots, casts.room * sizeof *casts.slots);
    casts.slots = NULL;
    casts.room = casts.count = 0;
}

void hx_autocast_enter(void) { casts.depth++; }
void hx_autocast_leave(void) {
    if (casts.depth == 0) return; /* entered on another thread */
    if (--casts.depth == 0 && casts.room) forget_casts();
}
bool hx_autocast_keep(bool wanted) {
    bool before = !casts.off;
    casts.off = !wanted;
    return before;
}

static bool make_room(void) {
    if (2 * casts.count < casts.room) return true;
    size_t room = casts.room ? 2 * casts.room : FIRST_CASTS;
    kept *slots = hx_alloc_zeroed(room * sizeof *slots);
    if (!slots) return false;
    for (size_t i = 0; i < casts.room; i++)
        if (casts.slots[i].parameter) *slot_of(slots, room, casts.slots[i].parameter) = casts.slots[i];
    hx_free(casts.slots, casts.room * sizeof *slots);
    casts.slots = slots;
    casts.room = room;
    return true;
}

static bool is_kept(const hx_tensor *t) {
    return casts.depth && !casts.off && !hx_tracing() && t->dtype == HX_F32 && t->flags & HX_T_REQUIRES_GRAD && !t->history &&
           !t->base && t->storage && !t->storage->lent;
}

/* The values alone: each use gets a node of its own, as if it had been cast for itself. */
static hx_status cast_values(hx_tensor *t, hx_dtype dtype, hx_tensor **values) {
    bool no_grad = hx_mode.no_grad;
    hx_mode.no_grad = true;
    hx_status status = hx_cast_to(t, dtype, values);
    hx_mode.no_grad = no_grad;
    if (!status) (*values)->flags &= (uint8_t)~HX_T_INFERENCE;
    return status;
}

/* NULL at the first use of what the parameter holds now. */
static hx_status values_of(hx_tensor *t, hx_dtype dtype, hx_tensor **values) {
    *values = NULL;
    if (!make_room()) return HX_E_MEMORY;
    kept *k = slot_of(casts.slots, casts.room, t);
    if (k->parameter && k->storage == t->storage && k->version == t->storage->version &&
        k->loans == t->storage->loans) {
        if (k->values && k->values->dtype != dtype) {
            hx_tensor_release(k->values);
            k->values = NULL;
        }
        if (!k->values) HX_TRY(cast_values(t, dtype, &k->values));
        *values = k->values;
        return HX_OK;
    }
    drop(k);
    if (!k->parameter) {
        k->parameter = hx_tensor_retain(t);
        casts.count++;
    }
    k->storage = hx_storage_retain(t->storage);
    k->version = t->storage->version;
    k->loans = t->storage->loans;
    return HX_OK;
}

static hx_status kept_cast(hx_tensor *t, hx_dtype dtype, hx_tensor **cast) {
    hx_tensor *values;
    HX_TRY(values_of(t, dtype, &values));
    if (!values) return hx_cast_to(t, dtype, cast);
    HX_TRY(hx_tensor_alias(values, cast));
    if (!hx_grad_enabled()) return HX_OK;
    hx_call c;
    hx_call_init(&c, HX_OPREF(cast));
    c.in = &t;
    c.n_in = 1;
    c.attr[0] = (hx_attr){.kind = HX_A_DTYPE, .v.i = dtype};
    c.out[0] = *cast;
    hx_status status = c.op->shape(&c);
    if (!status) status = hx_record(&c);
    if (status) hx_tensor_release(*cast);
    return status;
}

/* ---- a call ---- */

/* float64, whole numbers and Python's numbers stay what they are. */
static bool is_cast(const hx_tensor *t) {
    return t && !(t->flags & HX_T_NUMBER) && (t->dtype == HX_F32 || t->dtype == HX_F16 || t->dtype == HX_BF16);
}

static hx_dtype widest(const hx_call *c, hx_dtype lower) {
    for (int i = 0; i < c->n_in; i++)
        if (is_cast(c->in[i]) && c->in[i]->dtype == HX_F32) return HX_F32;
    return lower;
}

/* Torch lists mirrors along one axis and two, and repeated edges; the circular border, and mirrors in space, it does not. */
static hx_precision of_border(const hx_call *c) {
    const hx_attr *mode = &c->attr[1];
    bool mirror = mode->v.str[0] == 'r' && mode->count == strlen("reflect");
    return mode->v.str[0] == 'c' || (mirror && c->attr[0].count > 4) ? HX_AS_GIVEN : HX_SINGLE;
}

hx_status hx_autocast(hx_call *c, hx_inputs *tmp) {
    bool elsewhere = c->device && c->device != hx_cpu();
    int8_t on = hx_mode.autocast[elsewhere];
    hx_precision precision = (hx_precision)c->op->info->precision[elsewhere];
    if (precision == HX_BORDER) precision = of_border(c);
    if (!on || precision == HX_AS_GIVEN) return HX_OK;
    if (precision == HX_CLOSED) {
        hx_mode.autocast[0] = hx_mode.autocast[1] = 0;
        return HX_OK;
    }
    hx_dtype dtype = (hx_dtype)(on - 1);
    if (precision == HX_SINGLE) dtype = HX_F32;
    if (precision == HX_WIDEST) dtype = widest(c, dtype);
    hx_mode.autocast[0] = hx_mode.autocast[1] = 0; /* until the call is done */
    for (int i = 0; i < c->n_in; i++) {
        hx_tensor *cast;
        if (!is_cast(c->in[i]) || c->in[i]->dtype == dtype || (precision == HX_SCORES && i == DISTANCE_BIAS)) continue;
        HX_TRY((dtype != HX_F32 && is_kept(c->in[i]) ? kept_cast : hx_cast_to)(c->in[i], dtype, &cast));
        HX_TRY(hx_replace_input(tmp, &c->in, c->n_in, i, cast));
    }
    return HX_OK;
}
