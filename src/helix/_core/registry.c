/* The registry: every record, found by name. It keeps its own copy of each record, with what can be worked out
 * from it once (positions of parameters, defaults). Families come from the build's list; nothing else does. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "autocast.h"
#include "dispatch.h"
#include "kernels.h"
#include "op_families.h"

#define HX_FAMILY(name) extern const hx_op hx_ops_##name[];
HX_OP_FAMILIES
#undef HX_FAMILY

enum { MAX_OPS = 2048, SLOTS = 4096 };

static struct {
    hx_op ops[MAX_OPS];
    hx_op_info info[MAX_OPS];
    hx_op_kernels kernels[MAX_OPS];
    _Atomic int16_t slot[SLOTS]; /* op position + 1; 0 is empty. Set last: others may look an op up meanwhile */
    atomic_int count;
} registry;

static uint32_t hash_name(const char *name) {
    uint32_t h = 2166136261u;
    for (; *name; name++) h = (h ^ (uint8_t)*name) * 16777619u;
    return h;
}

static int find_slot(const char *name) {
    uint32_t i = hash_name(name) % SLOTS;
    while (registry.slot[i] && strcmp(registry.ops[registry.slot[i] - 1].name, name) != 0) i = (i + 1) % SLOTS;
    return (int)i;
}

static bool is_tensor_kind(hx_param_kind k) {
    return k == HX_P_TENSOR || k == HX_P_OPT_TENSOR || k == HX_P_TENSORS;
}

static hx_attr default_of(const hx_param *p) {
    hx_attr a = {.kind = HX_A_NONE};
    if (p->required) return a;
    switch (p->kind) {
    case HX_P_BOOL: a.kind = HX_A_BOOL; a.v.i = p->number != 0; break;
    case HX_P_INT: a.kind = HX_A_INT; a.v.i = (int64_t)p->number; break;
    case HX_P_FLOAT: a.kind = HX_A_FLOAT; a.v.f = p->number; break;
    case HX_P_NUMBER:
        if (p->number == (double)(int64_t)p->number) {
            a.kind = HX_A_INT;
            a.v.i = (int64_t)p->number;
        } else {
            a.kind = HX_A_FLOAT;
            a.v.f = p->number;
        }
        break;
    case HX_P_STRING:
        if (p->text) {
            a.kind = HX_A_STR;
            a.v.str = p->text;
            a.count = (uint32_t)strlen(p->text);
        }
        break;
    default: break;
    }
    return a;
}

/* INTS defaults are a list of one: the value lives beside the info. */
static int64_t int_defaults[MAX_OPS][4];

static void work_out(const hx_op *op, hx_op_info *info, int id) {
    int ints = 0;
    *info = (hx_op_info){.id = id, .list_at = -1, .rng_attr = -1, .kernels = &registry.kernels[id]};
    for (const hx_param *p = op->params; p && p->kind != HX_P_END; p++, info->n_params++) {
        if (is_tensor_kind(p->kind)) {
            if (p->kind == HX_P_TENSORS) info->list_at = info->n_tensors;
            info->n_tensors++;
            continue;
        }
        hx_attr a = default_of(p);
        if (p->kind == HX_P_INTS && !p->required && ints < 4) {
            int_defaults[id][ints] = (int64_t)p->number;
            a = (hx_attr){.kind = HX_A_INTS, .count = 1, .v.ints = &int_defaults[id][ints++]};
        }
        if (p->kind == HX_P_RNG) info->rng_attr = info->n_attr;
        info->attr_names[info->n_attr] = p->name;
        info->defaults[info->n_attr++] = a;
    }
    hx_precisions_of(op->name, info->precision);
    info->n_outputs = op->flags & HX_MUTATES ? 0 : 1;
    for (const char *s = op->outputs; s && *s; s++) info->n_outputs += *s == ',';
}

hx_status hx_op_register(const hx_op *op, const hx_op_support *cpu) {
    int slot = find_slot(op->name);
    if (registry.slot[slot])
        return hx_fail(HX_E_VALUE, HX1403_VALUE, "an op named '%s' is registered already", op->name);
    if (registry.count == MAX_OPS) return hx_fail(HX_E_VALUE, HX1403_VALUE, "more than %d ops", MAX_OPS);
    int id = registry.count;
    registry.ops[id] = *op;
    if (!(op->flags & (HX_VIEW | HX_MUTATES | HX_INTERNAL_OP))) registry.ops[id].flags |= HX_OUT;
    work_out(op, &registry.info[id], id);
    registry.ops[id].info = &registry.info[id];
    if (cpu) {
        registry.kernels[id].of[0].support = *cpu;
        registry.kernels[id].of[0].state = HX_ANSWERED;
    }
    registry.slot[slot] = (int16_t)(id + 1);
    registry.count++;
    return HX_OK;
}

hx_status hx_registry_init(void) {
#define HX_FAMILY(family)                                                                                     \
    for (const hx_op *op = hx_ops_##family; op->name; op++) HX_TRY(hx_op_register(op, NULL));
    HX_OP_FAMILIES
#undef HX_FAMILY
    return HX_OK;
}

const hx_op *hx_op_find(const char *name) {
    int found = registry.slot[find_slot(name)];
    return found ? &registry.ops[found - 1] : NULL;
}
int hx_op_count(void) { return registry.count; }
const hx_op *hx_op_at(int i) { return i >= 0 && i < registry.count ? &registry.ops[i] : NULL; }
