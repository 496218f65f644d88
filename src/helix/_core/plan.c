/* Running a plan. What stays from run to run is made once: the steps, and for each run that goes on at the same time a
 * frame, which holds the arena and the calls as the kernels see them. A run patches the addresses that changed. */
#include "plan.h"
#include <pthread.h>
#include <string.h>
#include "autograd.h"
#include "kernels.h"
#include "launch.h"
#include "profile.h"
#include "shape.h"
#include "threads.h"
#include "workspace.h"
#include "written.h"

enum { KEPT_FRAMES = 4, FEW_TENSORS = 16, LOOK_BYTES = 1 << 14 };

typedef struct value {
    hx_plan_value told;
    hx_tensor *like; /* the trace's */
    const int64_t *strides;
    int64_t *dense; /* the strides of a row-major copy */
} value;

typedef struct step {
    const hx_op *op;          /* NULL: a region */
    const hx_plan_loop *loop; /* of a region whose bodies are plans */
    hx_kernel kernel;
    const hx_attr *attr;
    hx_attr dtype; /* of a copy */
    const int32_t *in, *out;
    int32_t n_in, n_out, n_attr, list_n, first_view, region;
    int32_t draw;        /* which of the attributes is a stream of the run; -1: none */
    int32_t place;       /* in the program, as lowering numbered it; -1: not known */
    int32_t told;        /* which input holds the numbers among the attributes, as a run has them; -1: none */
    int32_t segment_end; /* of the first step between two regions: where the next region stands */
    int64_t segment_bytes, bytes, work_at, work_bytes;
    bool outside;
} step;

/* A view that shows memory which the caller brings, or that is made for each run. */
typedef struct patch {
    int32_t view;
    int64_t at;
} patch;

typedef struct frame {
    struct frame *next;
    hx_storage *arena;
    hx_op_call *calls;
    hx_view *views;
    hx_attr *attr;      /* of the steps whose attributes each run sets, HX_MAX_PARAMS each */
    hx_tensor **fresh;
    const hx_mem **mem; /* what each slot was patched with */
    void **data;
    hx_workspace work;
    bool writes; /* hx_whole_begin was called */
} frame;

struct hx_plan {
    hx_trace *trace;
    hx_device *device;
    value *values;
    step *steps;
    int32_t *numbers; /* the lists of the steps, then bound, fresh and written */
    hx_plan_result *results;
    const int32_t *bound, *fresh, *written;
    patch *patches;
    int32_t *first_patch; /* of each slot: bound tensors, then fresh memory; one more at the end */
    int64_t *strides;
    int n_values, n_steps, n_bound, n_inputs, n_fresh, n_results, n_written, n_views, n_patches, n_changing;
    size_t n_numbers, n_strides;
    int64_t arena;
    hx_plan_region region;
    void *host;
    _Atomic int64_t *needed; /* of the steps */
    atomic_bool wants;
    pthread_mutex_t lock;
    frame *frames;
    int n_frames;
};

/* ---- making one ------------------------------------------------------------------------------------------ */

static void *copy_of(const void *source, size_t n, size_t each) {
    void *made = hx_alloc(n * each + 1);
    if (made && n) memcpy(made, source, n * each);
    return made;
}

static void drop(void *block, size_t n, size_t each) {
    if (block) hx_free(block, n * each + 1);
}

static hx_status take_values(hx_plan *p, const hx_plan_data *d) {
    p->values = hx_alloc_zeroed((size_t)d->n_values * sizeof *p->values + 1);
    for (int i = 0; i < d->n_values; i++)
        if (d->values[i].dense) p->n_strides += HX_MAX_RANK;
    p->strides = hx_alloc(p->n_strides * sizeof *p->strides + 1);
    if (!p->values || !p->strides) return HX_E_MEMORY;
    int64_t *room = p->strides;
    for (int i = 0; i < d->n_values; i++) {
        value *v = &p->values[i];
        v->told = d->values[i];
        v->like = hx_trace_known_of(p->trace, v->told.number).tensor;
        v->strides = v->like->strides;
        if (!v->told.dense) continue;
        hx_row_major(v->like->shape, v->like->ndim, room);
        v->strides = room;
        room += HX_MAX_RANK;
    }
    return HX_OK;
}

/* All lists of numbers in one block. */
static hx_status take_numbers(hx_plan *p, const hx_plan_data *d) {
    p->n_numbers = (size_t)(d->n_bound + d->n_fresh + d->n_written);
    for (int i = 0; i < d->n_steps; i++) p->n_numbers += (size_t)(d->steps[i].n_in + d->steps[i].n_out);
    p->numbers = hx_alloc(p->n_numbers * sizeof *p->numbers + 1);
    p->steps = hx_alloc_zeroed((size_t)d->n_steps * sizeof *p->steps + 1);
    p->results = copy_of(d->results, (size_t)d->n_results, sizeof *p->results);
    p->needed = hx_alloc_zeroed((size_t)d->n_steps * sizeof *p->needed + 1);
    return p->numbers && p->steps && p->results && p->needed ? HX_OK : HX_E_MEMORY;
}

static const int32_t *keep(int32_t **room, const int32_t *numbers, int n) {
    const int32_t *kept = *room;
    if (n) memcpy(*room, numbers, (size_t)n * sizeof **room);
    *room += n;
    return kept;
}

/* Stretched tensors show more bytes than there are. */
static int64_t sum_of(int64_t a, int64_t b) {
    int64_t sum;
    return hx_add_ok(a, b, &sum) ? sum : INT64_MAX;
}

static int64_t bytes_of(const hx_plan *p, const int32_t *v, int n) {
    int64_t bytes = 0;
    for (int i = 0; i < n; i++) {
        const hx_tensor *like = v[i] < 0 ? NULL : p->values[v[i]].like;
        if (like) bytes = sum_of(bytes, like->numel * (int64_t)hx_dtype_size((hx_dtype)like->dtype));
    }
    return bytes;
}

static hx_dtype key_of(const hx_plan *p, const step *s) {
    for (int i = 0; i < s->n_in; i++)
        if (s->in[i] >= 0) return (hx_dtype)p->values[s->in[i]].like->dtype;
    return s->n_out ? (hx_dtype)p->values[s->out[0]].like->dtype : HX_F32;
}

static hx_status find_kernel(const hx_plan *p, step *s) {
    if (p->device->id != 0) return HX_OK;
    hx_dtype key = key_of(p, s);
    const hx_op_support *found = hx_own_kernel(s->op, p->device, key);
    if (!found || !found->kernel)
        return hx_fail(HX_E_DTYPE, HX1701_UNSUPPORTED, "%s has no kernel for %s", s->op->name, hx_dtype_name(key));
    s->kernel = found->kernel;
    return HX_OK;
}

static bool changes(const step *s) { return s->draw >= 0 || s->told >= 0; }

static const hx_plan_loop *loop_of(const hx_plan_data *d, int32_t region) {
    for (int i = 0; i < d->n_loops; i++)
        if (d->loops[i].region == region) return &d->loops[i];
    return NULL;
}

static bool runs_here(const step *s) { return s->op || s->loop; }

static hx_status take_call(hx_plan *p, step *s, int32_t call) {
    const hx_trace_call *k = hx_trace_at(p->trace, call);
    s->op = k->op;
    s->region = k->region;
    s->attr = k->attr;
    s->n_attr = k->n_attr;
    s->list_n = k->list_n;
    s->place = k->place;
    for (int i = 0; i < k->n_attr; i++)
        if (k->attr[i].kind == HX_A_RNG && k->attr[i].count) s->draw = i;
    int behind = k->list_at + k->list_n;
    if (s->op && s->op->flags & HX_MUTATES && behind < k->n_in && k->in[behind] >= 0) s->told = behind;
    p->n_changing += changes(s);
    return s->op ? find_kernel(p, s) : HX_OK;
}

static hx_status take_copy(const hx_plan *p, step *s) {
    s->op = HX_OPREF(cast);
    s->dtype = (hx_attr){.kind = HX_A_DTYPE, .v.i = p->values[s->out[0]].like->dtype};
    s->attr = &s->dtype;
    s->n_attr = 1;
    return find_kernel(p, s);
}

/* A loop without end is one to be interrupted. */
static int64_t bytes_of_loop(const step *s) {
    const hx_plan_loop *l = s->loop;
    int64_t each = 0, bytes;
    for (int k = 0; k < 2 && l->bodies[k]; k++)
        for (int i = 0; i < l->bodies[k]->n_steps; i++) each = sum_of(each, l->bodies[k]->steps[i].bytes);
    if (l->flow == HX_FLOW_LOOP || !hx_mul_ok(each, l->length, &bytes)) bytes = 2 * HX_BLOCKING_BYTES;
    return sum_of(bytes, s->bytes);
}

static hx_status take_steps(hx_plan *p, const hx_plan_data *d) {
    int32_t *room = p->numbers;
    for (int i = 0; i < d->n_steps; i++) {
        const hx_plan_step *told = &d->steps[i];
        step *s = &p->steps[i];
        s->n_in = told->n_in;
        s->n_out = told->n_out;
        s->in = keep(&room, told->in, told->n_in);
        s->out = keep(&room, told->out, told->n_out);
        s->outside = told->outside;
        s->work_at = told->work_at;
        s->work_bytes = told->work_bytes;
        s->draw = s->told = s->place = -1;
        s->first_view = p->n_views;
        p->n_views += s->n_in + s->n_out;
        s->bytes = sum_of(bytes_of(p, s->in, s->n_in), bytes_of(p, s->out, s->n_out));
        HX_TRY(told->call < 0 ? take_copy(p, s) : take_call(p, s, told->call));
        if (!s->op && (s->loop = loop_of(d, s->region))) s->bytes = bytes_of_loop(s);
    }
    p->bound = keep(&room, d->bound, d->n_bound);
    p->fresh = keep(&room, d->fresh, d->n_fresh);
    p->written = keep(&room, d->written, d->n_written);
    return HX_OK;
}

/* Between two regions the host language may go on. */
static void find_segments(hx_plan *p) {
    for (int i = 0; i < p->n_steps;) {
        step *first = &p->steps[i];
        for (; i < p->n_steps && runs_here(&p->steps[i]); i++) first->segment_bytes = sum_of(first->segment_bytes, p->steps[i].bytes);
        first->segment_end = i;
        i += i < p->n_steps;
    }
}

static int slot_of(const hx_plan *p, int32_t v) {
    const hx_plan_value *told = v < 0 ? NULL : &p->values[v].told;
    if (!told || (told->home != HX_HOME_BOUND && told->home != HX_HOME_RESULT)) return -1;
    return told->home == HX_HOME_BOUND ? told->slot : p->n_bound + told->slot;
}

static int32_t value_at(const step *s, int i) { return i < s->n_in ? s->in[i] : s->out[i - s->n_in]; }

static hx_status find_patches(hx_plan *p) {
    int slots = p->n_bound + p->n_fresh;
    p->first_patch = hx_alloc_zeroed((size_t)(slots + 1) * sizeof *p->first_patch + 1);
    if (!p->first_patch) return HX_E_MEMORY;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < p->n_steps; i++) {
            const step *s = &p->steps[i];
            for (int k = 0; k < s->n_in + s->n_out; k++) {
                int slot = slot_of(p, value_at(s, k));
                if (slot < 0) continue;
                if (pass == 0)
                    p->first_patch[slot + 1]++;
                else
                    p->patches[p->first_patch[slot]++] = (patch){s->first_view + k, p->values[value_at(s, k)].told.at};
            }
        }
        if (pass == 0) {
            for (int i = 0; i < slots; i++) p->first_patch[i + 1] += p->first_patch[i];
            p->n_patches = p->first_patch[slots];
            p->patches = hx_alloc((size_t)p->n_patches * sizeof *p->patches + 1);
            if (!p->patches) return HX_E_MEMORY;
        }
    }
    for (int i = slots; i > 0; i--) p->first_patch[i] = p->first_patch[i - 1];
    p->first_patch[0] = 0;
    return HX_OK;
}

static hx_status fill_plan(hx_plan *p, const hx_plan_data *d) {
    HX_TRY(take_values(p, d));
    HX_TRY(take_numbers(p, d));
    HX_TRY(take_steps(p, d));
    find_segments(p);
    return find_patches(p);
}

hx_status hx_plan_new(hx_trace *trace, const hx_plan_data *d, hx_plan_region region, void *host, hx_plan **out) {
    hx_plan *p = hx_alloc_zeroed(sizeof *p);
    if (!p) return HX_E_MEMORY;
    pthread_mutex_init(&p->lock, NULL);
    p->trace = trace;
    p->device = d->device;
    p->arena = d->arena;
    p->region = region;
    p->host = host;
    p->n_values = d->n_values;
    p->n_steps = d->n_steps;
    p->n_bound = d->n_bound;
    p->n_inputs = d->n_inputs;
    p->n_fresh = d->n_fresh;
    p->n_results = d->n_results;
    p->n_written = d->n_written;
    hx_status status = fill_plan(p, d);
    if (status)
        hx_plan_release(p);
    else
        *out = p;
    return status;
}

/* ---- frames ---------------------------------------------------------------------------------------------- */

typedef struct frame_sizes {
    size_t calls, views, attr, fresh, mem, data, all;
} frame_sizes;

static frame_sizes sizes_of(const hx_plan *p) {
    size_t slots = (size_t)(p->n_bound + p->n_fresh);
    frame_sizes n = {.calls = (size_t)p->n_steps * sizeof(hx_op_call),
                     .views = (size_t)p->n_views * sizeof(hx_view),
                     .attr = (size_t)p->n_changing * HX_MAX_PARAMS * sizeof(hx_attr),
                     .fresh = (size_t)p->n_fresh * sizeof(hx_tensor *),
                     .mem = slots * sizeof(hx_mem *),
                     .data = slots * sizeof(void *)};
    n.all = sizeof(frame) + n.calls + n.views + n.attr + n.fresh + n.mem + n.data;
    return n;
}

static void drop_frame(const hx_plan *p, frame *f) {
    if (f->arena) hx_storage_release(f->arena);
    hx_free(f, sizes_of(p).all);
}

static void show(const hx_plan *p, const frame *f, hx_view *view, int32_t v) {
    if (v < 0) {
        *view = (hx_view){.flags = HX_VIEW_ABSENT};
        return;
    }
    const value *x = &p->values[v];
    const hx_tensor *like = x->like;
    *view = (hx_view){.shape = like->shape, .strides = x->strides, .numel = like->numel, .dtype = like->dtype,
                      .ndim = like->ndim, .contiguous = x->told.dense || hx_contiguous(like),
                      .flags = like->ndim == 0 ? HX_VIEW_HOST_SCALAR : 0};
    if (x->told.home == HX_HOME_ARENA) {
        view->mem = &f->arena->mem;
        view->byte_offset = x->told.at;
        view->data = (char *)f->arena->mem.host_ptr + x->told.at;
    } else if (x->told.home == HX_HOME_CONSTANT) {
        view->mem = &like->storage->mem;
        view->byte_offset = like->offset * (int64_t)hx_dtype_size((hx_dtype)like->dtype);
        view->data = like->data;
    }
}

static void prepare_calls(const hx_plan *p, frame *f) {
    hx_attr *drawn = f->attr;
    for (int i = 0; i < p->n_steps; i++) {
        const step *s = &p->steps[i];
        hx_view *views = f->views + s->first_view;
        for (int k = 0; k < s->n_in + s->n_out; k++) show(p, f, &views[k], value_at(s, k));
        if (!s->op) continue;
        f->calls[i] = (hx_op_call){.struct_size = sizeof(hx_op_call), .n_in = (uint32_t)s->n_in, .n_out = (uint32_t)s->n_out,
                                   .n_attr = (uint32_t)s->n_attr, .op = s->op->name, .in = views,
                                   .out = views + s->n_in, .attr = s->attr, .attr_names = s->op->info->attr_names};
        if (s->told >= 0) f->calls[i].n_in = (uint32_t)s->told;
        if (!changes(s)) continue;
        memcpy(drawn, s->attr, (size_t)s->n_attr * sizeof *drawn);
        f->calls[i].attr = drawn;
        drawn += HX_MAX_PARAMS;
    }
}

static hx_status new_frame(const hx_plan *p, frame **out) {
    frame_sizes n = sizes_of(p);
    frame *f = hx_alloc_zeroed(n.all);
    if (!f) return HX_E_MEMORY;
    char *room = (char *)(f + 1);
    f->calls = (hx_op_call *)(void *)room;
    f->views = (hx_view *)(void *)(room += n.calls);
    f->attr = (hx_attr *)(void *)(room += n.views);
    f->fresh = (hx_tensor **)(void *)(room += n.attr);
    f->mem = (const hx_mem **)(void *)(room += n.fresh);
    f->data = (void **)(void *)(room + n.mem);
    hx_status status = hx_storage_new(p->device, p->arena, &f->arena);
    if (status) {
        drop_frame(p, f);
        return status;
    }
    if (p->device->id == 0) prepare_calls(p, f);
    *out = f;
    return HX_OK;
}

static hx_status take_frame(hx_plan *p, frame **out) {
    pthread_mutex_lock(&p->lock);
    frame *f = p->frames;
    if (f) p->frames = f->next, p->n_frames--;
    pthread_mutex_unlock(&p->lock);
    *out = f;
    return f ? HX_OK : new_frame(p, out);
}

static void give_frame(hx_plan *p, frame *f) {
    pthread_mutex_lock(&p->lock);
    bool kept = p->n_frames < KEPT_FRAMES;
    if (kept) {
        f->next = p->frames;
        p->frames = f;
        p->n_frames++;
    }
    pthread_mutex_unlock(&p->lock);
    if (!kept) drop_frame(p, f);
}

void hx_plan_release(hx_plan *p) {
    if (!p) return;
    for (frame *f = p->frames, *next; f; f = next) {
        next = f->next;
        drop_frame(p, f);
    }
    drop(p->values, (size_t)p->n_values, sizeof *p->values);
    drop(p->strides, p->n_strides, sizeof *p->strides);
    drop(p->numbers, p->n_numbers, sizeof *p->numbers);
    drop(p->steps, (size_t)p->n_steps, sizeof *p->steps);
    drop(p->results, (size_t)p->n_results, sizeof *p->results);
    drop(p->needed, (size_t)p->n_steps, sizeof *p->needed);
    drop(p->first_patch, (size_t)(p->n_bound + p->n_fresh + 1), sizeof *p->first_patch);
    drop(p->patches, (size_t)p->n_patches, sizeof *p->patches);
    pthread_mutex_destroy(&p->lock);
    hx_free(p, sizeof *p);
}

/* ---- putting tensors in their places --------------------------------------------------------------------- */

static bool lies_like(const hx_tensor *t, const hx_tensor *like) {
    if (t->dtype != like->dtype || t->ndim != like->ndim || t->device != like->device || !t->storage) return false;
    size_t n = t->ndim * sizeof *t->shape;
    return memcmp(t->shape, like->shape, n) == 0 && memcmp(t->strides, like->strides, n) == 0;
}

bool hx_plan_takes(const hx_plan *p, int i, const hx_tensor *t) {
    return i < p->n_bound && p->bound[i] >= 0 && lies_like(t, p->values[p->bound[i]].like);
}

bool hx_plan_fits(const hx_plan *p, hx_tensor **bound) {
    for (int i = 0; i < p->n_bound; i++)
        if (p->bound[i] >= 0 && !lies_like(bound[i], p->values[p->bound[i]].like)) return false;
    return true;
}

/* What a run writes must be writable, and no argument under another name. */
static hx_status check_writes(const hx_plan *p, hx_tensor **bound) {
    for (int i = 0; i < p->n_written; i++) {
        int w = p->written[i];
        HX_TRY(hx_check_written(bound[w], NULL, "a captured tensor"));
        for (int k = 0; k < p->n_inputs; k++)
            if (k != w && hx_overlaps(bound[w], bound[k]))
                return hx_fail(HX_E_TYPE, HX1103_ARGUMENT,
                               "a tensor is written in place that is given as two arguments, or is an argument and captured; "
                               "give a clone, or trace a function of one argument");
    }
    return HX_OK;
}

static void patch_slot(const hx_plan *p, frame *f, int slot, const hx_tensor *t) {
    if (f->data[slot] == t->data && f->mem[slot] == &t->storage->mem) return;
    int64_t start = t->offset * (int64_t)hx_dtype_size((hx_dtype)t->dtype);
    for (int i = p->first_patch[slot]; i < p->first_patch[slot + 1]; i++) {
        hx_view *view = &f->views[p->patches[i].view];
        view->mem = &t->storage->mem;
        view->byte_offset = start + p->patches[i].at;
        view->data = (char *)t->data + p->patches[i].at;
    }
    f->data[slot] = t->data;
    f->mem[slot] = &t->storage->mem;
}

/* Memory of no tensor. */
static void patch_memory(const hx_plan *p, frame *f, int slot, char *data) {
    if (f->data[slot] == data && !f->mem[slot]) return;
    for (int i = p->first_patch[slot]; i < p->first_patch[slot + 1]; i++) {
        hx_view *view = &f->views[p->patches[i].view];
        view->mem = NULL;
        view->byte_offset = 0;
        view->data = data + p->patches[i].at;
    }
    f->data[slot] = data;
    f->mem[slot] = NULL;
}

static void take_numbers_told(hx_attr *attr, int n, const double *value) {
    for (int i = 0; i < n; i++) {
        if (attr[i].kind == HX_A_FLOAT) attr[i].v.f = *value++;
        if (attr[i].kind == HX_A_INT) attr[i].v.i = (int64_t)*value++;
    }
}

/* Streams of random numbers, and the numbers of an optimizer's step. */
static void set_attributes(const hx_plan *p, const frame *f, uint64_t seed, uint64_t first) {
    hx_attr *attr = f->attr;
    for (int i = 0; i < p->n_steps && p->n_changing; i++) {
        const step *s = &p->steps[i];
        if (!changes(s)) continue;
        if (s->draw >= 0) {
            attr[s->draw].v.rng.seed = seed;
            attr[s->draw].v.rng.stream = first + s->attr[s->draw].v.rng.stream;
        }
        if (s->told >= 0) take_numbers_told(attr, s->n_attr, f->views[s->first_view + s->told].data);
        attr += HX_MAX_PARAMS;
    }
}

static hx_status make_fresh(const hx_plan *p, frame *f) {
    for (int i = 0; i < p->n_fresh; i++) {
        const hx_tensor *like = p->values[p->fresh[i]].like;
        HX_TRY(hx_tensor_empty(p->device, (hx_dtype)like->dtype, like->shape, like->ndim, &f->fresh[i]));
    }
    return HX_OK;
}

static void drop_fresh(const hx_plan *p, frame *f) {
    for (int i = 0; i < p->n_fresh; i++) {
        hx_tensor_release(f->fresh[i]);
        f->fresh[i] = NULL;
    }
}

static void patch_all(const hx_plan *p, frame *f, hx_tensor **bound) {
    for (int i = 0; i < p->n_bound; i++)
        if (p->first_patch[i] < p->first_patch[i + 1]) patch_slot(p, f, i, bound[i]);
    for (int i = 0; i < p->n_fresh; i++) patch_slot(p, f, p->n_bound + i, f->fresh[i]);
}

/* ---- steps with tensors of their own: regions, other devices --------------------------------------------- */

/* A tensor that shows a value of this run. */
static hx_status tensor_of(const hx_plan *p, const frame *f, hx_tensor **bound, int32_t number, hx_tensor **out) {
    const value *v = &p->values[number];
    const hx_plan_value *told = &v->told;
    hx_tensor *whole = told->home == HX_HOME_BOUND ? bound[told->slot] : told->home == HX_HOME_RESULT ? f->fresh[told->slot] : NULL;
    if (told->home == HX_HOME_CONSTANT) {
        *out = hx_tensor_retain(v->like);
        return HX_OK;
    }
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)v->like->dtype);
    int64_t start = whole ? whole->offset * (int64_t)hx_dtype_size((hx_dtype)whole->dtype) : 0;
    return hx_tensor_view(whole ? whole->storage : f->arena, (hx_dtype)v->like->dtype, v->like->shape, v->strides,
                          v->like->ndim, (start + told->at) / size, out);
}

static void release_all(hx_tensor **t, int n) {
    for (int i = 0; i < n; i++) hx_tensor_release(t[i]);
}

static hx_status run_call(const hx_plan *p, const step *s, hx_tensor **t, const hx_attr *attr) {
    hx_call c;
    if (s->attr == &s->dtype) return hx_copy_into(t[1], t[0]);
    hx_call_init(&c, s->op);
    c.in = t;
    c.n_in = s->n_in;
    c.list_n = s->list_n;
    c.device = p->device;
    c.has_out = s->n_out > 0;
    c.n_out = s->n_out;
    memcpy(c.attr, attr, (size_t)s->n_attr * sizeof *attr);
    memcpy(c.out, t + s->n_in, (size_t)s->n_out * sizeof *t);
    HX_TRY(hx_dispatch(&c));
    release_all(c.out, c.n_out);
    return HX_OK;
}

/* Steps side by side that write what was there before are given up together or not at all. */
static void begin_writing(frame *f, const step *s) {
    if (!s->outside || f->writes) return;
    f->writes = true;
    hx_whole_begin();
}

static void end_writing(frame *f) {
    if (f->writes) hx_whole_end();
    f->writes = false;
}

static bool goes_on_writing(const hx_plan *p, int i) { return i + 1 < p->n_steps && p->steps[i + 1].outside; }

/* Where each step is a call of its own. */
static hx_status run_apart(const hx_plan *p, const frame *f, hx_tensor **bound, const step *s, const hx_attr *attr, uint64_t seed,
                           uint64_t first) {
    hx_tensor *few[FEW_TENSORS], **t = few;
    int n = s->n_in + s->n_out;
    hx_status status = HX_OK;
    if (n > FEW_TENSORS && !(t = hx_alloc((size_t)n * sizeof *t))) return HX_E_MEMORY;
    memset(t, 0, (size_t)n * sizeof *t);
    for (int i = 0; i < n && !status; i++)
        if (value_at(s, i) >= 0) status = tensor_of(p, f, bound, value_at(s, i), &t[i]);
    if (!status)
        status = s->op ? run_call(p, s, t, attr)
                       : p->region(p->host, s->region, t, s->n_in, t + s->n_in, s->n_out, seed, first);
    release_all(t, n);
    if (t != few) hx_free(t, (size_t)n * sizeof *t);
    return status;
}

static hx_status run_there(const hx_plan *p, frame *f, hx_tensor **bound, uint64_t seed, uint64_t first) {
    hx_attr attr[HX_MAX_PARAMS];
    for (int i = 0; i < p->n_steps; i++) {
        const step *s = &p->steps[i];
        HX_TRY(hx_look());
        begin_writing(f, s);
        if (s->op) memcpy(attr, s->attr, (size_t)s->n_attr * sizeof *attr);
        if (s->draw >= 0) {
            attr[s->draw].count = 0;
            attr[s->draw].v.rng.seed = seed;
            attr[s->draw].v.rng.stream += first;
        }
        HX_TRY(run_apart(p, f, bound, s, attr, seed, first));
        if (!goes_on_writing(p, i)) end_writing(f);
    }
    return HX_OK;
}

/* ---- kernels one after the other ------------------------------------------------------------------------- */

static __attribute__((noinline, cold)) void note(const hx_plan *p, const step *s, int64_t start) {
    int n = s->n_in + s->n_out;
    hx_tensor **t = hx_alloc((size_t)(n + 1) * sizeof *t);
    if (!t) {
        hx_error_clear();
        return;
    }
    for (int i = 0; i < n; i++) t[i] = value_at(s, i) < 0 ? NULL : p->values[value_at(s, i)].like;
    int32_t outer = hx_profile.place;
    if (s->place >= 0) hx_profile.place = HX_PROFILE_TRACED(s->place);
    hx_profile_kernel(&(hx_kernel_call){s->op, p->device, t, s->n_in, s->attr, s->n_attr, t + s->n_in, s->n_out}, start);
    hx_profile.place = outer;
    hx_free(t, (size_t)(n + 1) * sizeof *t);
}

static __attribute__((noinline, cold)) hx_status failed(const hx_err *err, hx_code code) {
    return code == HX_E_MEMORY && hx_error_pending() ? code : hx_fail_kernel(err, code);
}

int64_t hx_plan_needed(const hx_plan *p, int step) { return atomic_load(&p->needed[step]); }

bool hx_plan_wants(const hx_plan *p) { return atomic_load_explicit(&p->wants, memory_order_relaxed); }

static __attribute__((noinline, cold)) void note_needed(hx_plan *p, int i, int64_t bytes) {
    int64_t known = atomic_load(&p->needed[i]);
    while (bytes > known && !atomic_compare_exchange_weak(&p->needed[i], &known, bytes)) {}
    atomic_store(&p->wants, true);
}

static hx_code run_kernel(hx_plan *p, frame *f, int i, hx_err *err) {
    const step *s = &p->steps[i];
    char *arena = f->arena->mem.host_ptr;
    hx_workspace_open(&f->work, arena + s->work_at, (size_t)s->work_bytes);
    hx_code code = s->kernel(p->device->handle, NULL, &f->calls[i], err);
    int64_t needed = (int64_t)hx_workspace_close(&f->work);
    if (__builtin_expect(needed > s->work_bytes, 0)) note_needed(p, i, needed);
    return code;
}

/* ---- bodies of control flow ------------------------------------------------------------------------------ */

static hx_status run_kernels(hx_plan *p, frame *f, int begin, int end, bool watched);

/* Where a run of a body finds what it takes: carried values, and the number of the row. */
typedef struct round {
    const hx_plan_loop *loop;
    const hx_view *in;
    char *const *carried;
    int64_t row;
} round;

static char *data_of(const round *r, int body, hx_plan_source s) {
    const hx_view *v = s.from == HX_FROM_OWN ? NULL : &r->in[s.at];
    if (s.from == HX_FROM_CARRY) return r->carried[s.at];
    if (s.from == HX_FROM_OWN) return r->loop->own[body][s.at]->data;
    if (s.from == HX_FROM_INPUT) return v->data;
    return (char *)v->data + r->row * v->strides[0] * (int64_t)hx_dtype_size((hx_dtype)v->dtype);
}

static void patch_body(frame *f, const round *r, int body) {
    const hx_plan *p = r->loop->bodies[body];
    for (int i = 0; i < p->n_bound; i++)
        if (p->first_patch[i] < p->first_patch[i + 1]) patch_memory(p, f, i, data_of(r, body, r->loop->sources[body][i]));
}

static hx_status run_body(frame *f, const round *r, int body, bool watched) {
    hx_plan *p = r->loop->bodies[body];
    patch_body(f, r, body);
    return run_kernels(p, f, 0, p->n_steps, watched);
}

static int64_t bytes_shown(const hx_view *v) { return v->numel * (int64_t)hx_dtype_size((hx_dtype)v->dtype); }

/* Is a number other than 0? NaN is. */
static bool is_true(const void *data, hx_dtype dtype) {
    const uint8_t *byte = data;
    int size = (int)hx_dtype_size(dtype);
    int part = hx_is_complex(dtype) ? size / 2 : size;
    bool signed_zeros = hx_is_floating(dtype) || hx_is_complex(dtype);
    for (int i = 0; i < size; i++)
        if (byte[i] & (signed_zeros && i % part == part - 1 ? 0x7f : 0xff)) return true;
    return false;
}

static hx_status run_choice(const round *r, const hx_view *out, frame *const *f, bool watched) {
    int body = !is_true(r->in[0].data, (hx_dtype)r->in[0].dtype);
    const hx_plan *p = r->loop->bodies[body];
    for (int i = 0; i < p->n_fresh; i++) patch_memory(p, f[body], p->n_bound + i, out[i].data);
    return run_body(f[body], r, body, watched);
}

/* Carried values go from one of two places to the other, so that no kernel writes what it reads. */
typedef struct carried {
    char *now[HX_MOST_CARRIED], *places[2][HX_MOST_CARRIED];
    int turn; /* of the places, which is written next */
} carried;

static void begin_carrying(carried *c, const hx_plan_loop *l, const hx_view *in, const hx_view *out, char *room) {
    for (int i = 0; i < l->n_carry; i++) {
        c->now[i] = in[i].data;
        c->places[0][i] = out[i].data;
        c->places[1][i] = room;
        room += (bytes_shown(&out[i]) + 63) / 64 * 64;
    }
}

static void patch_carry(const hx_plan *p, frame *f, const carried *c, int n) {
    for (int i = 0; i < n; i++) patch_memory(p, f, p->n_bound + i, c->places[c->turn][i]);
}

static void turn(carried *c, int n) {
    memcpy(c->now, c->places[c->turn], (size_t)n * sizeof *c->now);
    c->turn = !c->turn;
}

static hx_status run_scan(round r, const hx_view *out, frame *f, char *room, bool watched) {
    const hx_plan_loop *l = r.loop;
    const hx_plan *p = l->bodies[0];
    carried c = {.turn = !(l->length & 1)}; /* the last round writes the outputs */
    begin_carrying(&c, l, r.in, out, room);
    r.carried = c.now;
    for (int64_t i = 0; i < l->length; i++) {
        r.row = l->reverse ? l->length - 1 - i : i;
        patch_carry(p, f, &c, l->n_carry);
        for (int k = l->n_carry; k < p->n_fresh; k++)
            patch_memory(p, f, p->n_bound + k, (char *)out[k].data + r.row * (bytes_shown(&out[k]) / l->length));
        HX_TRY(run_body(f, &r, 0, watched));
        if (watched && hx_stopped()) break;
        turn(&c, l->n_carry);
    }
    return HX_OK;
}

static hx_status run_rounds(round r, const hx_view *out, frame *const *f, char *room, bool watched) {
    const hx_plan_loop *l = r.loop;
    const hx_plan *test = l->bodies[0], *step = l->bodies[1];
    hx_dtype kind = (hx_dtype)test->values[test->fresh[0]].like->dtype;
    carried c = {.turn = 0};
    begin_carrying(&c, l, r.in, out, room + 64);
    r.carried = c.now;
    patch_memory(test, f[0], test->n_bound, room);
    for (int64_t i = 0; l->length < 0 || i < l->length; i++) {
        HX_TRY(run_body(f[0], &r, 0, watched));
        if ((watched && hx_stopped()) || !is_true(room, kind)) break;
        patch_carry(step, f[1], &c, l->n_carry);
        HX_TRY(run_body(f[1], &r, 1, watched));
        turn(&c, l->n_carry);
    }
    for (int i = 0; i < l->n_carry; i++)
        if (c.now[i] != out[i].data) memcpy(out[i].data, c.now[i], (size_t)bytes_shown(&out[i]));
    return HX_OK;
}

static hx_status run_flow(const round *r, const hx_view *out, frame *const *f, char *room, bool watched) {
    if (r->loop->flow == HX_FLOW_CHOICE) return run_choice(r, out, f, watched);
    if (r->loop->flow == HX_FLOW_SCAN) return run_scan(*r, out, f[0], room, watched);
    return run_rounds(*r, out, f, room, watched);
}

static hx_status run_loop(const hx_plan *p, frame *f, const step *s, bool watched) {
    frame *frames[2] = {NULL, NULL};
    hx_status status = HX_OK;
    const hx_view *in = f->views + s->first_view;
    round r = {.loop = s->loop, .in = in};
    for (int k = 0; k < 2 && s->loop->bodies[k] && !status; k++) status = take_frame(s->loop->bodies[k], &frames[k]);
    if (!status) status = run_flow(&r, in + s->n_in, frames, (char *)f->arena->mem.host_ptr + s->work_at, watched);
    for (int k = 0; k < 2; k++)
        if (frames[k]) give_frame(s->loop->bodies[k], frames[k]);
    return status;
}

static hx_status run_each(hx_plan *p, frame *f, int begin, int end, bool watched) {
    hx_err err;
    err.struct_size = sizeof err;
    bool profiling = hx_profiling();
    for (int i = begin; i < end; i++) {
        const step *s = &p->steps[i];
        int64_t start = profiling ? hx_profile_now() : 0;
        err.number = 0;
        err.msg[0] = 0;
        hx_error_enter_op(s->op ? s->op->name : NULL);
        begin_writing(f, s);
        hx_status status = HX_OK;
        hx_code code = s->op ? run_kernel(p, f, i, &err) : HX_OK;
        if (!s->op) status = run_loop(p, f, s, watched);
        if (!goes_on_writing(p, i)) end_writing(f);
        if (__builtin_expect(code != HX_OK, 0)) return failed(&err, code);
        if (__builtin_expect(status != HX_OK, 0)) return status;
        if (__builtin_expect(profiling, 0) && s->op) note(p, s, start);
        if (watched && s->bytes > LOOK_BYTES && hx_stopped()) break;
    }
    hx_mode.kernels_run += end - begin;
    return HX_OK;
}

static hx_status run_kernels(hx_plan *p, frame *f, int begin, int end, bool watched) {
    hx_workspace *before = hx_workspace_set(&f->work);
    hx_status status = run_each(p, f, begin, end, watched);
    hx_workspace_set(before);
    return status;
}

/* Long ones let the host language go on meanwhile. */
static hx_status run_segment(hx_plan *p, frame *f, int begin, int end, int64_t bytes) {
    const hx_blocking *blocking = bytes > HX_BLOCKING_BYTES ? hx_get_blocking() : NULL;
    if (!blocking) return run_kernels(p, f, begin, end, false);
    hx_watch watch;
    HX_TRY(hx_look());
    hx_watch_begin(&watch, blocking->enter());
    hx_status status = run_kernels(p, f, begin, end, true);
    blocking->leave(watch.token);
    return hx_watch_end(&watch) ? hx_given_up() : status;
}

static hx_status run_here(hx_plan *p, frame *f, hx_tensor **bound, uint64_t seed, uint64_t first) {
    const char *outer = hx_error_enter_op(NULL);
    hx_status status = HX_OK;
    for (int i = 0; i < p->n_steps && !status;) {
        const step *s = &p->steps[i];
        if (runs_here(s)) {
            status = run_segment(p, f, i, s->segment_end, s->segment_bytes);
            i = s->segment_end;
        } else {
            hx_error_enter_op(NULL);
            status = run_apart(p, f, bound, s, NULL, seed, first);
            i++;
        }
    }
    hx_error_enter_op(outer);
    return status;
}

/* ---- a run ----------------------------------------------------------------------------------------------- */

static hx_status give_results(const hx_plan *p, const frame *f, hx_tensor **bound, hx_tensor **results) {
    for (int i = 0; i < p->n_results; i++) {
        hx_plan_result r = p->results[i];
        hx_status status = HX_OK;
        if (r.value < 0) {
            results[i] = hx_tensor_retain(bound[r.slot]);
        } else {
            const hx_plan_value *told = &p->values[r.value].told;
            bool whole = told->home == HX_HOME_RESULT && p->fresh[told->slot] == r.value;
            if (whole)
                results[i] = hx_tensor_retain(f->fresh[told->slot]);
            else
                status = tensor_of(p, f, bound, r.value, &results[i]);
        }
        if (status) {
            release_all(results, i);
            return status;
        }
    }
    return HX_OK;
}

static hx_status run_in(hx_plan *p, frame *f, hx_tensor **bound, uint64_t seed, uint64_t first, hx_tensor **results) {
    HX_TRY(check_writes(p, bound));
    HX_TRY(make_fresh(p, f));
    if (hx_profiling()) HX_TRY(hx_profile_enter_call());
    hx_status status;
    if (p->device->id == 0) {
        patch_all(p, f, bound);
        set_attributes(p, f, seed, first);
        status = run_here(p, f, bound, seed, first);
    } else {
        status = run_there(p, f, bound, seed, first);
    }
    end_writing(f);
    for (int i = 0; i < p->n_written; i++)
        if (hx_counts_writes(bound[p->written[i]])) hx_bump_version(bound[p->written[i]]);
    return status ? status : give_results(p, f, bound, results);
}

hx_status hx_plan_run(hx_plan *p, hx_tensor **bound, uint64_t seed, uint64_t first, hx_tensor **results) {
    frame *f;
    int8_t cast[2] = {hx_mode.autocast[0], hx_mode.autocast[1]};
    bool grad = hx_grad_set(false);
    hx_mode.autocast[0] = hx_mode.autocast[1] = 0;
    hx_status status = take_frame(p, &f);
    if (!status) {
        status = run_in(p, f, bound, seed, first, results);
        drop_fresh(p, f);
        give_frame(p, f);
    }
    hx_mode.autocast[0] = cast[0];
    hx_mode.autocast[1] = cast[1];
    hx_grad_set(grad);
    return status;
}
