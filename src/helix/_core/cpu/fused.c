/* Fused programs: a small machine whose registers are tiles that stay in the first-level cache.
 *
 * A tile is a part of the frame: some rows of its last outer axis, and the inner axes whole (they are reduced), or, without
 * reductions, a piece of the last axis. Each step is one call of its op's own kernel on tiles, so its numbers are those of
 * the op, to the bit; of float32 steps, runs of the common ones stay in registers (fused_lanes.h). Borders of tiles depend on
 * shapes and strides alone. */
#include "../fused.h"
#include <stdatomic.h>
#include "../dispatch.h"
#include "../kernels.h"
#include "fused_lanes.h"
#include "reduce_fed.h"
#include "stream.h"

enum {
    TILE_ITEMS = 2048,        /* of a register, where rows are not longer */
    NARROW_ITEMS = 8192,      /* where none is wider than two bytes: a kernel that goes through halves in blocks begins seldom */
    CROSSED_RUN = 64,         /* along the last axis, where an input lies the other way round */
    MOST_SHARES = 256,        /* of the tiles, among threads */
    WORK_BYTES = 262144,      /* of a share, at least */
    PARALLEL_BYTES = 262144,
    MOST_CONSTANTS = HX_FUSED_STEPS * HX_FUSED_OPERANDS,
    MOST_LANES = 3 * HX_FUSED_STEPS + HX_MAX_OUTPUTS + 1 /* load, do, store; a result may go past the caches besides */
};

/* ---- the frame, with axes merged that every input walks as one ---- */

typedef struct geometry {
    int n, n_inner; /* the last n_inner axes lie within a tile whole, or, without reductions, in pieces */
    int64_t size[HX_MAX_RANK + 1];
    int64_t stride[HX_MAX_RANK + 1][HX_FUSED_INPUTS]; /* bytes; 0 where the input is stretched */
    uint32_t spans[HX_FUSED_REGISTERS];               /* bit d: the register has axis d; else it is the same all along */
    int64_t outer, rows, run;                         /* positions before the row axis; its size; the last axis' size */
    int64_t tile_rows, tile_run, row_tiles, run_tiles, tiles;
    int n_reduced;                                    /* of reductions over the first axes: so many come first */
} geometry;

typedef struct constant {
    _Alignas(16) char value[16];
} constant;

typedef struct desk desk;
struct late;

typedef struct machine {
    const hx_op_call *call;
    hx_fused *f;
    geometry g;
    const hx_op_support *kernel[HX_FUSED_STEPS];
    int slot[HX_FUSED_STEPS]; /* where a step's tile is kept; -1: it goes straight to the result */
    int result[HX_FUSED_STEPS]; /* which result it is, or -1 */
    int run_end[HX_FUSED_STEPS]; /* behind the last step of the run of lanes in which a step stands; 0: it stands in none */
    bool shared[HX_FUSED_STEPS]; /* of a step in a run: others read it from memory */
    char *home[HX_FUSED_STEPS]; /* the memory of a step that is kept whole: a result, or what a reduction reads; else NULL */
    hx_code (*work)(desk *d, int64_t share, hx_err *err);
    struct late *late; /* of a program that reduces over the first axes */
    bool streams[HX_MAX_OUTPUTS];
    bool over[HX_MAX_OUTPUTS]; /* it lies where an input lies: of a tile it is written when all is read */
    int slots;
    int64_t slot_bytes;
    constant constants[MOST_CONSTANTS]; /* of step i, operand k at 3 i + k */
    int64_t axes[HX_MAX_RANK];  /* that reductions run over, of a tile */
    atomic_int failed;          /* an hx_code */
    hx_err err;
} machine;

static int64_t item_size(const hx_fused_register *r) { return (int64_t)hx_dtype_size((hx_dtype)r->dtype); }
static int inputs_and_numbers(const hx_fused *f) { return f->n_in + f->n_numbers; }
/* Are rows reduced, which a tile holds whole? */
static bool by_rows(const hx_fused *f) { return f->axes && !f->leading; }

/* ---- geometry ---- */

static bool follows(const geometry *g, const hx_fused *f, int d, const int64_t *stride, uint32_t has, int64_t size) {
    for (int i = 0; i < f->n_in; i++) {
        bool before = g->spans[i] >> d & 1, now = has >> i & 1;
        if (before != now || (now && g->stride[d][i] != stride[i] * size)) return false;
    }
    return true;
}

/* Axis `from_end` of the frame becomes axis d of the geometry, or grows the one before. */
static void add_axis(machine *m, int from_end, bool may_merge) {
    geometry *g = &m->g;
    const hx_fused *f = m->f;
    int64_t size = f->frame[f->ndim - from_end], stride[HX_FUSED_INPUTS];
    uint32_t has = 0;
    if (size == 1) return;
    for (int i = 0; i < f->n_in; i++) {
        const hx_view *v = &m->call->in[i];
        bool own = hx_fused_size(&f->made[i], from_end) != 1;
        stride[i] = own ? v->strides[v->ndim - from_end] * item_size(&f->made[i]) : 0;
        has |= (uint32_t)own << i;
    }
    bool merged = may_merge && g->n > 0 && follows(g, f, g->n - 1, stride, has, size);
    int d = merged ? g->n - 1 : g->n++;
    g->size[d] = merged ? g->size[d] * size : size;
    for (int i = 0; i < f->n_in; i++) {
        g->stride[d][i] = stride[i];
        if (has >> i & 1) g->spans[i] |= 1u << d;
    }
}

static void span_steps(machine *m) {
    geometry *g = &m->g;
    const hx_fused *f = m->f;
    uint32_t inner = ((1u << g->n) - 1) & ~((1u << (g->n - g->n_inner)) - 1);
    int first = inputs_and_numbers(f);
    for (int i = 0; i < f->n_steps; i++) {
        const hx_fused_step *s = &f->step[i];
        uint32_t spans = 0;
        for (int k = 0; k < s->n_in && !s->late; k++)
            if (s->in[k] >= 0) spans |= g->spans[s->in[k]];
        g->spans[first + i] = s->dims_at >= 0 ? spans & ~inner : spans;
    }
}

static void find_axes(machine *m) {
    geometry *g = &m->g;
    const hx_fused *f = m->f;
    g->n = 0;
    for (int i = 0; i < inputs_and_numbers(f); i++) g->spans[i] = 0;
    int border = f->leading ? f->ndim - f->axes : f->axes; /* no axis lies on both sides of it */
    for (int d = f->ndim; d > border; d--) add_axis(m, d, true);
    int outer = g->n_reduced = g->n;
    for (int d = border; d > 0; d--) add_axis(m, d, g->n > outer);
    if (by_rows(f)) g->n_inner = g->n - outer;
    else g->n_inner = g->n > 0;
    if (by_rows(f) && !g->n_inner) { /* reduced axes of size 1 */
        memset(g->stride[g->n], 0, sizeof g->stride[0]);
        g->size[g->n++] = 1;
        g->n_inner = 1;
    }
    span_steps(m);
}

/* Does an input take larger steps along the last axis than along the one before it? */
static bool crosses(const geometry *g, int n_in) {
    if (g->n < 2) return false;
    for (int i = 0; i < n_in; i++) {
        int64_t last = g->stride[g->n - 1][i], before = g->stride[g->n - 2][i];
        if (before && (last < 0 ? -last : last) > (before < 0 ? -before : before)) return true;
    }
    return false;
}

static int64_t at_least_1(int64_t x) { return x > 1 ? x : 1; }
static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t up(int64_t a, int64_t b) { return a / b + (a % b != 0); }

static int64_t tile_items(const hx_fused *f) {
    bool narrow = !f->axes;
    for (int i = 0; narrow && i < f->n_steps; i++) narrow = item_size(&f->made[inputs_and_numbers(f) + i]) <= 2;
    return narrow ? NARROW_ITEMS : TILE_ITEMS;
}

/* The last tile has as many rows as the others, or enough: reductions read fewer than 16 short rows in another order. */
static int64_t rows_of_tiles(int64_t rows, int64_t most) {
    int64_t each = most;
    while (each > 32 && rows % each && rows % each < 16) each--;
    return each > 32 ? each : most;
}

static bool cut_tiles(machine *m) {
    geometry *g = &m->g;
    int64_t most = tile_items(m->f);
    int n_outer = g->n - g->n_inner;
    int64_t inner = 1;
    bool whole = by_rows(m->f);
    for (int d = n_outer; d < g->n; d++) inner *= g->size[d];
    g->outer = 1;
    for (int d = 0; d < n_outer - 1; d++) g->outer *= g->size[d];
    g->rows = n_outer ? g->size[n_outer - 1] : 1;
    g->run = g->n_inner ? g->size[g->n - 1] : 1;
    g->tile_run = whole ? g->run : smaller(g->run, crosses(g, m->f->n_in) ? CROSSED_RUN : most);
    int64_t items = whole ? inner : g->tile_run;
    g->tile_rows = smaller(at_least_1(g->rows), at_least_1(most / at_least_1(items)));
    if (whole) g->tile_rows = rows_of_tiles(g->rows, g->tile_rows);
    g->row_tiles = up(g->rows, g->tile_rows);
    g->run_tiles = whole || !g->run ? 1 : up(g->run, g->tile_run);
    g->tiles = g->outer * g->row_tiles * g->run_tiles;
    return hx_mul_ok(g->tile_rows * 16, at_least_1(items), &m->slot_bytes);
}

/* ---- what is known before the tiles ---- */

static void find_kernels(machine *m) {
    for (int i = 0; i < m->f->n_steps; i++) m->kernel[i] = hx_kernel_support(m->f->step[i].op, hx_cpu());
}

static hx_view one_value(const void *data, hx_dtype dtype) {
    static const int64_t nothing[1];
    return (hx_view){.data = (void *)data, .shape = nothing, .strides = nothing, .numel = 1, .dtype = (uint8_t)dtype, .contiguous = 1};
}

/* As dispatch makes a number the dtype that an op computes in. */
static hx_code make_constant(const machine *m, int number, hx_dtype to, constant *room, hx_err *err) {
    const hx_fused *f = m->f;
    hx_dtype from = (hx_dtype)f->made[f->n_in + number].dtype;
    int64_t i = f->number[number].i;
    double value = from == HX_F64 ? f->number[number].f : (double)i;
    uint8_t truth = i != 0;
    if (to == HX_F64) return memcpy(room->value, &value, sizeof value), HX_OK;
    if (to == HX_F32) return memcpy(room->value, &(float){(float)value}, sizeof(float)), HX_OK;
    const void *source = from == HX_F64 ? (const void *)&value : from == HX_BOOL ? (const void *)&truth : &i;
    const hx_op *cast = HX_OPREF(cast);
    hx_view in = one_value(source, from), out = one_value(room->value, to);
    hx_attr dtype = {.kind = HX_A_DTYPE, .v.i = to};
    hx_op_call call = {.struct_size = sizeof call, .n_in = 1, .n_out = 1, .n_attr = 1, .op = "cast", .in = &in, .out = &out,
                       .attr = &dtype, .attr_names = cast->info->attr_names};
    return hx_kernel_support(cast, hx_cpu())->kernel(NULL, NULL, &call, err);
}

static hx_code make_constants(machine *m, hx_err *err) {
    const hx_fused *f = m->f;
    for (int i = 0; i < f->n_steps; i++)
        for (int k = 0; k < f->step[i].n_in; k++) {
            int of = f->step[i].in[k];
            if (of < f->n_in || of >= inputs_and_numbers(f)) continue;
            constant *room = &m->constants[i * HX_FUSED_OPERANDS + k];
            hx_code code = make_constant(m, of - f->n_in, (hx_dtype)f->step[i].dtype[k], room, err);
            if (code) return code;
        }
    return HX_OK;
}

/* ---- runs of steps on registers ---- */

static bool spans_last(const machine *m, int of) { return m->g.spans[of] >> (m->g.n - 1) & 1; }

/* float32 along the last axis, one item after another, or the same all along it? */
static bool lane_operand(const machine *m, const hx_fused_step *s, int k) {
    int of = s->in[k];
    if (of < 0 || s->dtype[k] != HX_F32) return false;
    return of >= m->f->n_in || !spans_last(m, of) || m->g.stride[m->g.n - 1][of] == (int64_t)sizeof(float);
}

static bool plain_attributes(const hx_fused_step *s) {
    if (s->place == HX_FUSED_add || s->place == HX_FUSED_sub)
        return s->attr[0].kind == HX_A_FLOAT ? s->attr[0].v.f == 1 : s->attr[0].kind == HX_A_INT && s->attr[0].v.i == 1;
    return s->place != HX_FUSED_div || (s->attr[0].count == 4 && !memcmp(s->attr[0].v.str, "none", 4));
}

static bool is_lane(const machine *m, int i) {
    const hx_fused_step *s = &m->f->step[i];
    const hx_lane_op *op = &hx_lane_ops[s->place];
    int of = inputs_and_numbers(m->f) + i;
    if (s->late || !(op->alone || op->value) || m->g.n_inner != 1 || m->f->made[of].dtype != HX_F32 || !spans_last(m, of)) return false;
    for (int k = 0; k < s->n_in; k++)
        if (!lane_operand(m, s, k)) return false;
    return plain_attributes(s);
}

/* Does step i find step j's value in the registers? The one before it leaves it there. */
static bool handed_on(const machine *m, int j, int i) {
    const hx_fused_step *s = &m->f->step[i];
    int of = inputs_and_numbers(m->f) + j;
    return j == i - 1 && m->run_end[j] == m->run_end[i] && !(s->n_in == 2 && s->in[0] == of && s->in[1] == of);
}

static void find_runs(machine *m) {
    const hx_fused *f = m->f;
    int first = inputs_and_numbers(f);
    for (int i = 0; i < f->n_steps; i++) {
        int end = i;
        while (end < f->n_steps && is_lane(m, end)) end++;
        m->run_end[i] = 0;
        for (int k = i; end - i > 1 && k < end; k++) m->run_end[k] = end;
        if (end - i > 1) i = end - 1;
    }
    for (int i = 0; i < f->n_steps; i++) {
        m->shared[i] = false;
        for (int k = 0; k < f->step[i].n_in; k++) {
            int j = f->step[i].in[k] - first;
            if (j >= 0 && !(m->run_end[i] && handed_on(m, j, i))) m->shared[j] = true;
        }
    }
}

/* ---- slots ---- */

/* A result that is far larger than the caches, and of which every tile lies in one piece, at a multiple of 16 bytes. */
static bool streams(const machine *m, int i) {
    const geometry *g = &m->g;
    const hx_view *out = &m->call->out[i];
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)out->dtype);
    bool one_piece = g->tile_run == g->run || g->tile_rows == 1;
    bool even = g->n < 2 || (g->run * size % 16 == 0 && g->tile_run * size % 16 == 0);
    bool late = m->f->step[m->f->result[i].of - inputs_and_numbers(m->f)].late;
    return HX_HAS_STREAM && !by_rows(m->f) && !late && one_piece && even && (uintptr_t)out->data % 16 == 0 &&
           out->numel * size >= HX_STREAM_BYTES;
}

/* Does a step's value go past the caches, from its slot? */
static bool goes_past(const machine *m, int step) { return m->result[step] >= 0 && m->streams[m->result[step]]; }
static bool lies_over(const hx_view *out, const hx_view *in) { return out->numel && in->numel && out->data == in->data; }

/* The results are kept whole. */
static void find_homes(machine *m) {
    const hx_fused *f = m->f;
    for (int i = 0; i < f->n_steps; i++) m->home[i] = NULL, m->result[i] = -1;
    for (int i = 0; i < f->n_results; i++) {
        int step = f->result[i].of - inputs_and_numbers(f);
        m->over[i] = false;
        for (int k = 0; k < f->n_in; k++) m->over[i] |= lies_over(&m->call->out[i], &m->call->in[k]);
        m->streams[i] = !m->over[i] && streams(m, i);
        m->result[step] = i;
        m->home[step] = m->call->out[i].data;
    }
}

/* A slot for the tile of every step, given back after the last step that reads it. */
static void assign_slots(machine *m) {
    const hx_fused *f = m->f;
    int first = inputs_and_numbers(f), last[HX_FUSED_STEPS], free[HX_FUSED_STEPS], n_free = 0;
    for (int i = 0; i < f->n_steps; i++) {
        int done = m->run_end[i] ? m->run_end[i] - 1 : i; /* a run may do a part twice: what it reads is kept to its end */
        last[i] = m->home[i] ? f->n_steps : done;
        for (int k = 0; k < f->step[i].n_in; k++) {
            int from = f->step[i].in[k] - first;
            if (from >= 0 && last[from] < f->n_steps) last[from] = f->step[i].late ? f->n_steps : done;
        }
    }
    m->slots = 0;
    for (int i = 0; i < f->n_steps; i++) {
        if (f->step[i].late) continue;
        int r = m->result[i];
        bool direct = m->home[i] && !(r >= 0 && (goes_past(m, i) || m->over[r]));
        bool own = f->leading && last[i] == f->n_steps; /* what several tiles fill */
        m->slot[i] = direct ? -1 : n_free && !own ? free[--n_free] : m->slots++;
        for (int k = 0; k <= i; k++)
            if (last[k] == i && m->slot[k] >= 0) {
                free[n_free++] = m->slot[k];
                last[k] = -1;
            }
    }
}

/* ---- tiles ---- */

typedef struct tile_register {
    hx_view view;
    int64_t shape[HX_MAX_RANK], strides[HX_MAX_RANK];
} tile_register;

/* What one thread works with. */
struct desk {
    const machine *m;
    tile_register *r; /* inputs, (numbers,) steps */
    char *slots;
    int64_t rows, run; /* of the tile */
    char *to[HX_FUSED_STEPS]; /* where the tile of what is kept whole belongs; NULL when it is there */
};

/* Axis `a` of tiles: rows first where there is an outer axis, then the inner ones. */
static int first_axis(const geometry *g) { return g->n - g->n_inner - (g->n > g->n_inner); }
static int64_t extent(const desk *d, int axis) {
    const geometry *g = &d->m->g;
    if (axis == g->n - 1 && g->n_inner) return d->run;
    return axis == g->n - g->n_inner - 1 ? d->rows : g->size[axis];
}

/* Shapes and strides of the tiles of the current extent. In `strides`, NULL for registers that lie in a slot. */
static void shape_register(const desk *d, int of, const int64_t *bytes) {
    const geometry *g = &d->m->g;
    tile_register *r = &d->r[of];
    int64_t size = item_size(&d->m->f->made[of]), dense = 1;
    int first = first_axis(g);
    bool contiguous = true;
    for (int a = g->n - 1; a >= first; a--) {
        bool spans = g->spans[of] >> a & 1;
        int64_t n = spans ? extent(d, a) : 1, stride = !spans ? dense : bytes ? bytes[a] / size : dense;
        r->shape[a - first] = n;
        r->strides[a - first] = stride;
        contiguous &= n == 1 || stride == dense;
        dense *= n;
    }
    r->view.shape = r->shape;
    r->view.strides = r->strides;
    r->view.numel = dense;
    r->view.dtype = d->m->f->made[of].dtype;
    r->view.ndim = (uint8_t)(g->n - first);
    r->view.contiguous = contiguous || dense == 0;
}

/* Byte strides of a result over the axes of the geometry: it is written as it lies. */
static void result_strides(const machine *m, int of, int64_t *bytes) {
    const geometry *g = &m->g;
    int64_t dense = item_size(&m->f->made[of]);
    for (int a = g->n - 1; a >= 0; a--) {
        bool spans = g->spans[of] >> a & 1;
        bytes[a] = spans ? dense : 0;
        if (spans) dense *= g->size[a];
    }
}

static void shape_tiles(desk *d, int64_t rows, int64_t run) {
    const machine *m = d->m;
    const hx_fused *f = m->f;
    int64_t bytes[HX_MAX_RANK + 1];
    if (d->rows == rows && d->run == run) return;
    d->rows = rows;
    d->run = run;
    for (int i = 0; i < f->n_in; i++) {
        for (int a = 0; a < m->g.n; a++) bytes[a] = m->g.stride[a][i];
        shape_register(d, i, bytes);
    }
    for (int i = 0; i < f->n_steps; i++) {
        int of = inputs_and_numbers(f) + i;
        if (f->step[i].late) continue;
        if (m->slot[i] < 0) result_strides(m, of, bytes);
        shape_register(d, of, m->slot[i] < 0 ? bytes : NULL);
    }
}

/* The offset in bytes of a tile in something with these strides. */
static int64_t offset_of(const geometry *g, int64_t outer, int64_t row, int64_t run, const int64_t *bytes) {
    int64_t offset = 0;
    int row_axis = g->n - g->n_inner - 1;
    for (int a = row_axis - 1; a >= 0; a--) {
        offset += outer % g->size[a] * bytes[a];
        outer /= g->size[a];
    }
    if (row_axis >= 0) offset += row * bytes[row_axis];
    return g->n_inner ? offset + run * bytes[g->n - 1] : offset;
}

static hx_view number_or_none(const machine *m, int i, int k) {
    const hx_fused_step *s = &m->f->step[i];
    if (s->in[k] < 0) return (hx_view){.flags = HX_VIEW_ABSENT};
    return one_value(&m->constants[i * HX_FUSED_OPERANDS + k], (hx_dtype)s->dtype[k]);
}

static hx_code run_kernel(const machine *m, int i, const hx_view *in, hx_view *out, hx_err *err) {
    const hx_fused_step *s = &m->f->step[i];
    hx_op_call call = {.struct_size = sizeof call, .n_in = (uint32_t)s->n_in, .n_out = 1, .n_attr = (uint32_t)s->n_attr,
                       .op = s->op->name, .in = in, .out = out, .attr = s->attr, .attr_names = s->op->info->attr_names};
    return m->kernel[i]->kernel(NULL, NULL, &call, err);
}

static hx_code run_step(const desk *d, int i, hx_err *err) {
    const machine *m = d->m;
    const hx_fused_step *s = &m->f->step[i];
    hx_view in[HX_FUSED_OPERANDS];
    for (int k = 0; k < s->n_in; k++) {
        int of = s->in[k];
        bool tile = of >= 0 && !m->f->made[of].number;
        in[k] = tile ? d->r[of].view : number_or_none(m, i, k);
    }
    return run_kernel(m, i, in, &d->r[inputs_and_numbers(m->f) + i].view, err);
}

/* ---- runs of lanes on a tile ---- */

typedef struct lanes {
    int n;
    bool rows_alike; /* one row follows another, and values are the same for all */
    hx_lane lane[MOST_LANES];
    int64_t from_step[MOST_LANES], to_step[MOST_LANES]; /* floats from row to row */
} lanes;

/* From row to row of a register, in floats. */
static int64_t row_step(const desk *d, int of) {
    const tile_register *r = &d->r[of];
    return r->view.ndim == 2 && r->shape[0] > 1 ? r->strides[0] : 0;
}

static void add_lane(lanes *l, hx_lane_run run, const float *from, int64_t from_step, float *to, int64_t to_step) {
    l->lane[l->n] = (hx_lane){run, from, to};
    l->from_step[l->n] = from_step;
    l->to_step[l->n++] = to_step;
}

static void add_row_lane(const desk *d, lanes *l, hx_lane_run run, int of) {
    int64_t step = row_step(d, of);
    l->rows_alike &= step == d->run;
    add_lane(l, run, d->r[of].view.data, step, NULL, 0);
}

/* The other operand of a step of two: a row, or one value. */
static void add_operand(const desk *d, lanes *l, int i, int k, hx_lane_run value, hx_lane_run row) {
    const machine *m = d->m;
    int of = m->f->step[i].in[k];
    if (m->f->made[of].number) {
        add_lane(l, value, (const float *)m->constants[i * HX_FUSED_OPERANDS + k].value, 0, NULL, 0);
    } else if (spans_last(m, of)) {
        add_row_lane(d, l, row, of);
    } else {
        int64_t step = row_step(d, of);
        l->rows_alike &= step == 0;
        add_lane(l, value, d->r[of].view.data, step, NULL, 0);
    }
}

static void add_step(const desk *d, lanes *l, int i, bool begins) {
    const machine *m = d->m;
    const hx_fused_step *s = &m->f->step[i];
    const hx_lane_op *op = &hx_lane_ops[s->place];
    int before = begins ? -1 : inputs_and_numbers(m->f) + i - 1, held = 0;
    bool same = s->n_in == 2 && s->in[0] == s->in[1];
    if (s->in[0] != before || same) held = s->n_in == 2 && s->in[1] == before && !same ? 1 : -1;
    if (held < 0) {
        held = m->f->made[s->in[0]].number || !spans_last(m, s->in[0]);
        add_row_lane(d, l, lane_load, s->in[held]);
    }
    if (s->n_in == 1) add_lane(l, op->alone, NULL, 0, NULL, 0);
    else add_operand(d, l, i, !held, held ? op->of_value : op->value, held ? op->of_row : op->row);
}

/* Where a step's values go: to memory that others read, to a result, past the caches. */
static void add_stores(const desk *d, lanes *l, int i, bool stream) {
    const machine *m = d->m;
    int of = inputs_and_numbers(m->f) + i;
    bool past = stream && goes_past(m, i);
    if (past) add_lane(l, lane_stream, NULL, 0, (float *)d->to[i], 0);
    if (m->shared[i] || (m->result[i] >= 0 && !past)) {
        int64_t step = row_step(d, of);
        l->rows_alike &= step == d->run;
        add_lane(l, lane_store, NULL, 0, d->r[of].view.data, step);
    }
}

static void build_lanes(const desk *d, lanes *l, int begin, int end, bool stream) {
    l->n = 0;
    l->rows_alike = true;
    for (int i = begin; i < end; i++) {
        add_step(d, l, i, i == begin);
        add_stores(d, l, i, stream);
    }
    add_lane(l, lane_end, NULL, 0, NULL, 0);
}

/* Does the tile of what is kept whole lie in one piece? */
static bool in_one_piece(const desk *d) { return d->rows == 1 || d->run == d->m->g.run; }

static bool streams_here(const desk *d, int begin, int end, int64_t n) {
    bool any = false;
    if (!in_one_piece(d)) return false;
    for (int i = begin; i < end; i++) {
        if (!goes_past(d->m, i)) continue;
        if ((uintptr_t)d->to[i] % HX_LANE_BYTES) return false;
        any = true;
    }
    return any && n % HX_LANE_GROUP == 0;
}

/* False where rows are too short for it: the steps' kernels do it then. */
static bool run_lanes(desk *d, int begin, int end) {
    lanes l;
    int64_t rows = d->m->g.n > 1 ? d->rows : 1, n = d->run;
    bool stream = streams_here(d, begin, end, rows * n);
    build_lanes(d, &l, begin, end, stream);
    if (rows == 1 || l.rows_alike) n *= rows, rows = 1;
    else if (stream) build_lanes(d, &l, begin, end, stream = false);
    if (n < HX_LANE_GROUP) return false;
    for (int64_t row = 0; row < rows; row++) {
        hx_lanes_run(l.lane, n);
        for (int i = 0; i < l.n && row + 1 < rows; i++) {
            if (l.lane[i].from) l.lane[i].from += l.from_step[i];
            if (l.lane[i].to) l.lane[i].to += l.to_step[i];
        }
    }
    for (int i = begin; i < end && stream; i++)
        if (goes_past(d->m, i)) d->to[i] = NULL;
    return true;
}

/* ---- a tile ---- */

typedef struct place {
    int64_t outer, row, run; /* where the tile begins */
    int64_t rows, width;     /* its size */
    int64_t filled;          /* elements that lie before it in the slots */
} place;

static void place_tile(desk *d, place at) {
    const machine *m = d->m;
    const geometry *g = &m->g;
    const hx_fused *f = m->f;
    int64_t bytes[HX_MAX_RANK + 1];
    int first = inputs_and_numbers(f);
    shape_tiles(d, at.rows, at.width);
    for (int i = 0; i < f->n_in; i++) {
        for (int a = 0; a < g->n; a++) bytes[a] = g->stride[a][i];
        d->r[i].view.data = (char *)m->call->in[i].data + offset_of(g, at.outer, at.row, at.run, bytes);
    }
    for (int i = 0; i < f->n_steps; i++) {
        d->to[i] = NULL;
        if (f->step[i].late) continue;
        if (m->home[i]) {
            result_strides(m, first + i, bytes);
            d->to[i] = m->home[i] + offset_of(g, at.outer, at.row, at.run, bytes);
        }
        int64_t slot = m->slot[i] * m->slot_bytes + at.filled * item_size(&f->made[first + i]);
        d->r[first + i].view.data = m->slot[i] < 0 ? d->to[i] : d->slots + slot;
    }
}

/* From a slot to where it belongs, past the caches or not. */
static void bring_home(const desk *d, int step, bool stream) {
    int of = inputs_and_numbers(d->m->f) + step;
    const hx_view *tile = &d->r[of].view;
    int64_t size = item_size(&d->m->f->made[of]);
    int64_t pieces = in_one_piece(d) || !spans_last(d->m, of) ? 1 : d->rows, bytes = tile->numel / pieces * size;
    for (int64_t i = 0; i < pieces; i++) {
        char *to = d->to[step] + i * d->m->g.run * size, *from = (char *)tile->data + i * bytes;
        if (stream) hx_stream_out(to, from, bytes);
        else memcpy(to, from, (size_t)bytes);
    }
}

static hx_code run_tile(desk *d, place at, hx_err *err) {
    const machine *m = d->m;
    int done = 0; /* steps that a run of lanes did */
    place_tile(d, at);
    for (int i = 0; i < m->f->n_steps; i++) {
        if (m->f->step[i].late) continue;
        int end = m->run_end[i];
        if (end && (i == 0 || m->run_end[i - 1] != end) && run_lanes(d, i, end)) done = end;
        hx_code code = i < done ? HX_OK : run_step(d, i, err);
        if (code) return code;
        if (d->to[i] && goes_past(m, i)) bring_home(d, i, true);
    }
    for (int i = 0; i < m->f->n_results; i++) {
        int step = m->f->result[i].of - inputs_and_numbers(m->f);
        if (m->over[i] && !m->f->step[step].late) bring_home(d, step, false);
    }
    return HX_OK;
}

static hx_code run_numbered(desk *d, int64_t tile, hx_err *err) {
    const geometry *g = &d->m->g;
    int64_t rest = tile / g->run_tiles;
    place at = {.outer = rest / g->row_tiles, .row = rest % g->row_tiles * g->tile_rows, .run = tile % g->run_tiles * g->tile_run};
    at.rows = smaller(g->tile_rows, g->rows - at.row);
    at.width = smaller(g->tile_run, g->run - at.run);
    return run_tile(d, at, err);
}

static void fail_once(machine *m, hx_code code, const hx_err *err) {
    int none = HX_OK;
    if (atomic_compare_exchange_strong(&m->failed, &none, code)) m->err = *err;
}

static void run_shares(void *ctx, int64_t begin, int64_t end) {
    machine *m = ctx;
    const hx_fused *f = m->f;
    int registers = inputs_and_numbers(f) + f->n_steps;
    int64_t slot_bytes = m->slots * m->slot_bytes;
    size_t bytes = (size_t)slot_bytes + (size_t)registers * sizeof(tile_register);
    hx_err err = {.struct_size = sizeof err};
    char *room = hx_pool_alloc(bytes);
    if (!room) {
        hx_code code = hx_kernel_fail(&err, HX_E_MEMORY, HX1402_MEMORY, "no memory for %lld bytes of tiles", (long long)bytes);
        fail_once(m, code, &err);
        return;
    }
    tile_register *r = (tile_register *)(room + slot_bytes);
    memset(r, 0, (size_t)registers * sizeof *r);
    desk d = {.m = m, .r = r, .slots = room, .rows = -1, .run = -1};
    for (int64_t share = begin; share < end && !atomic_load_explicit(&m->failed, memory_order_relaxed); share++) {
        hx_code code = m->work(&d, share, &err);
        if (code) fail_once(m, code, &err);
    }
    for (int i = 0; i < f->n_results; i++)
        if (m->streams[i]) hx_stream_end();
    hx_pool_free(room, bytes);
}

static hx_code failure(machine *m, hx_err *err) {
    hx_code code = atomic_load(&m->failed);
    if (code) *err = m->err;
    return code;
}

/* ---- the kernel ---- */

static void reduce_over_tiles(machine *m) {
    const geometry *g = &m->g;
    int first = g->n - g->n_inner - first_axis(g);
    for (int i = 0; i < g->n_inner; i++) m->axes[i] = first + i;
    for (int i = 0; i < m->f->n_steps; i++) {
        hx_fused_step *s = &m->f->step[i];
        if (s->dims_at >= 0 && !s->late)
            s->attr[s->dims_at] = (hx_attr){.kind = HX_A_INTS, .count = (uint32_t)g->n_inner, .v.ints = m->axes};
    }
}

static int64_t kept_elements(const machine *m) {
    int64_t numel = 0;
    for (int i = 0; i < m->f->n_results; i++) numel |= m->call->out[i].numel;
    return numel;
}

static void run_all_tiles(machine *m) {
    const geometry *g = &m->g;
    int64_t bytes, tile = 0;
    m->work = run_numbered;
    for (int i = 0; i < inputs_and_numbers(m->f) + m->f->n_steps; i++) tile += item_size(&m->f->made[i]);
    if (!hx_mul_ok(tile, m->slot_bytes / 16, &tile) || !hx_mul_ok(tile, g->tiles, &bytes)) bytes = INT64_MAX;
    if (bytes < PARALLEL_BYTES) run_shares(m, 0, g->tiles);
    else hx_parallel_range(g->tiles, at_least_1(WORK_BYTES / at_least_1(tile)) + g->tiles / MOST_SHARES, run_shares, m);
}

#include "fused_late.h"

static hx_code run(machine *m, hx_err *err) {
    hx_code code = make_constants(m, err);
    if (code) return code;
    find_kernels(m);
    find_axes(m);
    if (!cut_tiles(m)) return hx_kernel_fail(err, HX_E_OVERFLOW, HX1401_OVERFLOW, "a row of a tile does not fit in memory");
    reduce_over_tiles(m);
    find_runs(m);
    find_homes(m);
    if (!kept_elements(m)) return HX_OK;
    if (m->f->leading) return run_leading(m, err);
    assign_slots(m);
    run_all_tiles(m);
    return failure(m, err);
}

static hx_code read_program(hx_fused *f, const hx_op_call *call, hx_err *err) {
    for (uint32_t i = 0; i < call->n_in; i++) {
        const hx_view *v = &call->in[i];
        f->made[i] = (hx_fused_register){.dtype = v->dtype, .ndim = v->ndim};
        hx_copy_sizes(f->made[i].shape, v->shape, v->ndim);
    }
    if (!hx_fused_read(f, (int)call->n_in, &call->attr[0], &call->attr[1])) return HX_OK;
    return hx_kernel_fail(err, HX_E_VALUE, HX1403_VALUE, "%s", hx_error_last()->text);
}

HX_KERNEL(k_fused) {
    HX_UNUSED;
    struct { machine m; hx_fused f; } *room = hx_pool_alloc(sizeof *room);
    if (!room) return HX_E_MEMORY;
    machine *m = &room->m;
    m->call = call;
    m->f = &room->f;
    atomic_init(&m->failed, HX_OK);
    hx_code code = read_program(&room->f, call, err);
    if (!code) code = run(m, err);
    hx_pool_free(room, sizeof *room);
    return code;
}

HX_KERNELS(fused) = {KERNEL(fused, k_fused, HX_SET_ALL), {0}};
