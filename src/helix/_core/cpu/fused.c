/* Fused programs: a small machine whose registers are tiles that stay in the first-level cache.
 *
 * A tile is a part of the frame: some rows of its last outer axis, and the inner axes whole (they are reduced), or, without
 * reductions, a piece of the last axis. Each step is one call of its op's own kernel on tiles, so its numbers are those of
 * the op, to the bit. Borders of tiles depend on shapes and strides alone. */
#include "../fused.h"
#include <stdatomic.h>
#include "../dispatch.h"
#include "../kernels.h"
#include "stream.h"

enum {
    TILE_ITEMS = 2048,        /* of a register, where rows are not longer */
    CROSSED_RUN = 64,         /* along the last axis, where an input lies the other way round */
    WORK_BYTES = 65536,       /* of a thread's share, at least */
    PARALLEL_BYTES = 262144,
    MOST_CONSTANTS = HX_FUSED_STEPS * HX_FUSED_OPERANDS
};

/* ---- the frame, with axes merged that every input walks as one ---- */

typedef struct geometry {
    int n, n_inner; /* the last n_inner axes lie within a tile whole, or, without reductions, in pieces */
    int64_t size[HX_MAX_RANK + 1];
    int64_t stride[HX_MAX_RANK + 1][HX_FUSED_INPUTS]; /* bytes; 0 where the input is stretched */
    uint32_t spans[HX_FUSED_REGISTERS];               /* bit d: the register has axis d; else it is the same all along */
    int64_t outer, rows, run;                         /* positions before the row axis; its size; the last axis' size */
    int64_t tile_rows, tile_run, row_tiles, run_tiles, tiles;
} geometry;

typedef struct constant {
    _Alignas(16) char value[16];
} constant;

typedef struct machine {
    const hx_op_call *call;
    hx_fused *f;
    geometry g;
    const hx_op_support *kernel[HX_FUSED_STEPS];
    int slot[HX_FUSED_STEPS]; /* where a step's tile is kept; -1: it goes straight to the result */
    int result[HX_FUSED_STEPS]; /* which result it is, or -1 */
    bool streams[HX_MAX_OUTPUTS];
    int slots;
    int64_t slot_bytes;
    constant constants[MOST_CONSTANTS]; /* of step i, operand k at 3 i + k */
    int64_t axes[HX_MAX_RANK];  /* that reductions run over, of a tile */
    atomic_int failed;          /* an hx_code */
    hx_err err;
} machine;

static int64_t item_size(const hx_fused_register *r) { return (int64_t)hx_dtype_size((hx_dtype)r->dtype); }
static int inputs_and_numbers(const hx_fused *f) { return f->n_in + f->n_numbers; }

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
        for (int k = 0; k < s->n_in; k++)
            if (s->in[k] >= 0) spans |= g->spans[s->in[k]];
        g->spans[first + i] = s->dims_at >= 0 ? spans & ~inner : spans;
    }
}

static void find_axes(machine *m) {
    geometry *g = &m->g;
    const hx_fused *f = m->f;
    g->n = 0;
    for (int i = 0; i < inputs_and_numbers(f); i++) g->spans[i] = 0;
    for (int d = f->ndim; d > f->axes; d--) add_axis(m, d, true);
    int outer = g->n;
    for (int d = f->axes; d > 0; d--) add_axis(m, d, g->n > outer);
    if (f->axes) g->n_inner = g->n - outer;
    else g->n_inner = outer > 0;
    if (f->axes && !g->n_inner) { /* reduced axes of size 1 */
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

static bool cut_tiles(machine *m) {
    geometry *g = &m->g;
    int n_outer = g->n - g->n_inner;
    int64_t inner = 1;
    bool whole = m->f->axes > 0;
    for (int d = n_outer; d < g->n; d++) inner *= g->size[d];
    g->outer = 1;
    for (int d = 0; d < n_outer - 1; d++) g->outer *= g->size[d];
    g->rows = n_outer ? g->size[n_outer - 1] : 1;
    g->run = g->n_inner ? g->size[g->n - 1] : 1;
    g->tile_run = whole ? g->run : smaller(g->run, crosses(g, m->f->n_in) ? CROSSED_RUN : TILE_ITEMS);
    int64_t items = whole ? inner : g->tile_run;
    g->tile_rows = smaller(at_least_1(g->rows), at_least_1(TILE_ITEMS / at_least_1(items)));
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

/* A result that is far larger than the caches, and of which every tile lies in one piece, at a multiple of 16 bytes. */
static bool streams(const machine *m, int i) {
    const geometry *g = &m->g;
    const hx_view *out = &m->call->out[i];
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)out->dtype);
    bool one_piece = g->tile_run == g->run || g->tile_rows == 1;
    bool even = g->n < 2 || (g->run * size % 16 == 0 && g->tile_run * size % 16 == 0);
    return HX_HAS_STREAM && !m->f->axes && one_piece && even && (uintptr_t)out->data % 16 == 0 && out->numel * size >= HX_STREAM_BYTES;
}

/* A slot for the tile of every step, given back after the last step that reads it. */
static void assign_slots(machine *m) {
    const hx_fused *f = m->f;
    int first = inputs_and_numbers(f), last[HX_FUSED_STEPS], free[HX_FUSED_STEPS], n_free = 0;
    for (int i = 0; i < f->n_steps; i++) {
        last[i] = i;
        m->result[i] = -1;
        for (int k = 0; k < f->step[i].n_in; k++)
            if (f->step[i].in[k] >= first) last[f->step[i].in[k] - first] = i;
    }
    for (int i = 0; i < f->n_results; i++) {
        m->streams[i] = streams(m, i);
        m->result[f->result[i].of - first] = i;
        last[f->result[i].of - first] = f->n_steps;
    }
    m->slots = 0;
    for (int i = 0; i < f->n_steps; i++) {
        bool direct = m->result[i] >= 0 && !m->streams[m->result[i]];
        m->slot[i] = direct ? -1 : n_free ? free[--n_free] : m->slots++;
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
typedef struct desk {
    const machine *m;
    tile_register *r; /* inputs, (numbers,) steps */
    char *slots;
    int64_t rows, run; /* of the tile */
} desk;

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

static hx_code run_step(const desk *d, int i, hx_err *err) {
    const machine *m = d->m;
    const hx_fused_step *s = &m->f->step[i];
    hx_view in[HX_FUSED_OPERANDS];
    for (int k = 0; k < s->n_in; k++) {
        int of = s->in[k];
        if (of < 0) in[k] = (hx_view){.flags = HX_VIEW_ABSENT};
        else if (m->f->made[of].number) in[k] = one_value(&m->constants[i * HX_FUSED_OPERANDS + k], (hx_dtype)s->dtype[k]);
        else in[k] = d->r[of].view;
    }
    hx_op_call call = {.struct_size = sizeof call, .n_in = (uint32_t)s->n_in, .n_out = 1, .n_attr = (uint32_t)s->n_attr,
                       .op = s->op->name, .in = in, .out = &d->r[inputs_and_numbers(m->f) + i].view, .attr = s->attr,
                       .attr_names = s->op->info->attr_names};
    return m->kernel[i]->kernel(NULL, NULL, &call, err);
}

static hx_code run_tile(desk *d, int64_t tile, hx_err *err) {
    const machine *m = d->m;
    const geometry *g = &m->g;
    const hx_fused *f = m->f;
    int64_t run = tile % g->run_tiles * g->tile_run, rest = tile / g->run_tiles;
    int64_t row = rest % g->row_tiles * g->tile_rows, outer = rest / g->row_tiles, bytes[HX_MAX_RANK + 1];
    int first = inputs_and_numbers(f);
    shape_tiles(d, smaller(g->tile_rows, g->rows - row), smaller(g->tile_run, g->run - run));
    for (int i = 0; i < f->n_in; i++) {
        for (int a = 0; a < g->n; a++) bytes[a] = g->stride[a][i];
        d->r[i].view.data = (char *)m->call->in[i].data + offset_of(g, outer, row, run, bytes);
    }
    for (int i = 0; i < f->n_steps; i++) {
        int result = m->result[i];
        char *to = NULL;
        if (result >= 0) {
            result_strides(m, first + i, bytes);
            to = (char *)m->call->out[result].data + offset_of(g, outer, row, run, bytes);
        }
        d->r[first + i].view.data = m->slot[i] < 0 ? to : d->slots + m->slot[i] * m->slot_bytes;
        hx_code code = run_step(d, i, err);
        if (code) return code;
        if (result >= 0 && m->slot[i] >= 0)
            hx_stream_out(to, d->r[first + i].view.data, d->r[first + i].view.numel * item_size(&f->made[first + i]));
    }
    return HX_OK;
}

static void fail_once(machine *m, hx_code code, const hx_err *err) {
    int none = HX_OK;
    if (atomic_compare_exchange_strong(&m->failed, &none, code)) m->err = *err;
}

static void run_tiles(void *ctx, int64_t begin, int64_t end) {
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
    for (int64_t tile = begin; tile < end && !atomic_load_explicit(&m->failed, memory_order_relaxed); tile++) {
        hx_code code = run_tile(&d, tile, &err);
        if (code) fail_once(m, code, &err);
    }
    for (int i = 0; i < f->n_results; i++)
        if (m->streams[i]) hx_stream_end();
    hx_pool_free(room, bytes);
}

/* ---- the kernel ---- */

static void reduce_over_tiles(machine *m) {
    const geometry *g = &m->g;
    int first = g->n - g->n_inner - first_axis(g);
    for (int i = 0; i < g->n_inner; i++) m->axes[i] = first + i;
    for (int i = 0; i < m->f->n_steps; i++) {
        hx_fused_step *s = &m->f->step[i];
        if (s->dims_at >= 0)
            s->attr[s->dims_at] = (hx_attr){.kind = HX_A_INTS, .count = (uint32_t)g->n_inner, .v.ints = m->axes};
    }
}

static void run_all(machine *m) {
    const geometry *g = &m->g;
    int64_t bytes, tile = 0, numel = 0;
    for (int i = 0; i < m->f->n_results; i++) numel |= m->call->out[i].numel;
    if (!numel) return;
    for (int i = 0; i < inputs_and_numbers(m->f) + m->f->n_steps; i++) tile += item_size(&m->f->made[i]);
    if (!hx_mul_ok(tile, m->slot_bytes / 16, &tile) || !hx_mul_ok(tile, g->tiles, &bytes)) bytes = INT64_MAX;
    if (bytes < PARALLEL_BYTES) run_tiles(m, 0, g->tiles);
    else hx_parallel_range(g->tiles, at_least_1(WORK_BYTES / at_least_1(tile)), run_tiles, m);
}

static hx_code run(machine *m, hx_err *err) {
    hx_code code = make_constants(m, err);
    if (code) return code;
    find_kernels(m);
    find_axes(m);
    if (!cut_tiles(m)) return hx_kernel_fail(err, HX_E_OVERFLOW, HX1401_OVERFLOW, "a row of a tile does not fit in memory");
    reduce_over_tiles(m);
    assign_slots(m);
    run_all(m);
    code = atomic_load(&m->failed);
    if (code) *err = m->err;
    return code;
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
    struct { machine m; hx_fused f; } *room = hx_alloc(sizeof *room);
    if (!room) return HX_E_MEMORY;
    machine *m = &room->m;
    m->call = call;
    m->f = &room->f;
    atomic_init(&m->failed, HX_OK);
    hx_code code = read_program(&room->f, call, err);
    if (!code) code = run(m, err);
    hx_free(room, sizeof *room);
    return code;
}

HX_KERNELS(fused) = {KERNEL(fused, k_fused, HX_SET_ALL), {0}};
