/* Reductions over any axes of any strided view.
 *
 * One engine: the axes are split into kept and reduced ones; when a reduced axis lies closest in memory each output
 * is reduced along its run ("rows"), otherwise a tile of outputs is kept in cache while whole rows are added to
 * it ("columns"). Inside a block of 4096 elements (or 8 rows) floats are combined in float lanes; across blocks in
 * double, integers in int64. Block and chunk borders depend on shapes alone, so results have the same bits for
 * any number of threads. */
#include <stdlib.h>
#include "blocks.h"
#include "reduce_runs.h"
#include "vmath.h"

typedef enum {
    PLAIN, ABS, SQUARE, POWER, NAN_IS_0, NOT_ZERO, TRUTH_COUNT, OFF_CENTER, OFF_CENTER_SQUARE, OFF_CENTER_EXP
} map_kind;
typedef enum { AS_IT_IS, MEAN, CENTER_MEAN, VARIANCE, ROOT, POWER_ROOT, LOG_CENTER, FINITE } finish_kind;

/* ---- the work ---- */

/* Positions of an index space, one after another. */
typedef struct axes {
    int n;
    int64_t size[HX_MAX_RANK + 1], step[HX_MAX_RANK + 1]; /* bytes; innermost last */
} axes;

typedef struct walk {
    const axes *a;
    int64_t offset, at[HX_MAX_RANK + 1];
} walk;

static void walk_to(walk *w, const axes *a, int64_t index) {
    w->a = a;
    w->offset = 0;
    for (int d = a->n - 1; d >= 0; d--) {
        w->at[d] = index % a->size[d];
        index /= a->size[d];
        w->offset += w->at[d] * a->step[d];
    }
}

static inline void walk_on(walk *w) {
    for (int d = w->a->n - 1; d >= 0; d--) {
        w->offset += w->a->step[d];
        if (++w->at[d] < w->a->size[d]) return;
        w->offset -= w->at[d] * w->a->step[d];
        w->at[d] = 0;
    }
}

/* One step: combine map(x) over the reduced axes, then finish. `first` gives each output's center beforehand. */
typedef struct stage {
    operation op;
    map_kind map;
    finish_kind finish;
} stage;

typedef struct job {
    stage stage;
    const stage *first;
    combine with, first_with;
    family family;
    int dtype, out_dtype;
    double power, divisor;  /* POWER; VARIANCE divides by it */
    const char *in;
    char *out;
    axes kept, reduced, runs; /* runs: reduced without its innermost axis */
    axes out_axes;
    bool out_packed;
    int64_t size, out_size;
    int64_t wide;             /* rows: outputs side by side that a run holds, 1 or 2 */
    int64_t outs, count;      /* outputs; elements of each */
    int64_t run, run_step;
    cell *center;             /* of each output; NULL without */
    cell *result;             /* raw results here instead of `out` */
    cell *part;
    int64_t parts;            /* an output is computed in so many pieces */
    int64_t pieces, piece, group; /* rows: pieces a run, elements a piece, pieces (or outputs) a chunk */
    int64_t width, tiles, step, rows; /* columns: of the innermost kept axis; rows a part */
} job;

#define MAP_LOOP(expr)                                                                                        \
    for (int64_t i = 0; i < n; i++) room[i] = expr;                                                           \
    return room
#define MAP_CENTER(T, expr)                                                                                   \
    if (!spread) {                                                                                            \
        T c = (T)center->f;                                                                                   \
        MAP_LOOP(expr);                                                                                       \
    }                                                                                                         \
    for (int64_t i = 0; i < n; i++) {                                                                         \
        T c = (T)center[i].f;                                                                                 \
        room[i] = expr;                                                                                       \
    }                                                                                                         \
    return room

static const float *map_f32(const job *j, map_kind map, const float *x, int64_t n, const cell *center, bool spread,
                            float *room) {
    switch (map) {
    case ABS: MAP_LOOP(fabsf(x[i]));
    case SQUARE: MAP_LOOP(x[i] * x[i]);
    case POWER: MAP_LOOP(powf(fabsf(x[i]), (float)j->power));
    case NAN_IS_0: MAP_LOOP(x[i] != x[i] ? 0 : x[i]);
    case NOT_ZERO: MAP_LOOP(x[i] != 0);
    case OFF_CENTER: MAP_CENTER(float, x[i] - c);
    case OFF_CENTER_SQUARE: MAP_CENTER(float, (x[i] - c) * (x[i] - c));
    case OFF_CENTER_EXP:
        for (int64_t i = 0; i < n; i++) room[i] = x[i] - (float)center[spread ? i : 0].f;
        HX_VF_LOOP(room, room, n, value, hx_vf_exp(value));
        return room;
    default: return x;
    }
}

static const double *map_f64(const job *j, map_kind map, const double *x, int64_t n, const cell *center,
                             bool spread, double *room) {
    switch (map) {
    case ABS: MAP_LOOP(fabs(x[i]));
    case SQUARE: MAP_LOOP(x[i] * x[i]);
    case POWER: MAP_LOOP(pow(fabs(x[i]), j->power));
    case NAN_IS_0: MAP_LOOP(x[i] != x[i] ? 0 : x[i]);
    case NOT_ZERO: MAP_LOOP(x[i] != 0);
    case OFF_CENTER: MAP_CENTER(double, x[i] - c);
    case OFF_CENTER_SQUARE: MAP_CENTER(double, (x[i] - c) * (x[i] - c));
    case OFF_CENTER_EXP: MAP_CENTER(double, hx_d_exp(x[i] - c));
    default: return x;
    }
}

/* n mapped values, `step` bytes apart, as a run of the family's type; `room` holds n of it. */
static const void *fetch(const job *j, const stage *s, const char *p, int64_t step, int64_t n, const cell *center,
                         bool spread, void *room) {
    switch (j->family) {
    case IN_F32: {
        const float *x = hx_read_f32(p, j->dtype, step, n, room);
        return s->map ? map_f32(j, s->map, x, n, center, spread, room) : x;
    }
    case IN_F64: {
        const double *x = hx_read_f64(p, step, n, room);
        return s->map ? map_f64(j, s->map, x, n, center, spread, room) : x;
    }
    case IN_I64: {
        int64_t *to = room;
        if (s->map != TRUTH_COUNT) return hx_read_i64(p, j->dtype, step, n, to, s->op >= MAX);
        uint8_t truth[HX_BLOCK];
        const uint8_t *x = hx_read_truth(p, j->dtype, step, n, truth);
        for (int64_t i = 0; i < n; i++) to[i] = x[i];
        return to;
    }
    case IN_TRUTH: return hx_read_truth(p, j->dtype, step, n, room);
    case IN_OWN: {
        if (step == j->size) return p;
        size_t size = (size_t)j->size;
        for (int64_t i = 0; i < n; i++) memcpy((char *)room + i * j->size, p + i * step, size);
        return room;
    }
    }
    return NULL;
}

static void finish(const job *j, const stage *s, cell *a, const cell *center, int64_t n) {
    switch (s->finish) {
    case AS_IT_IS: break;
    case MEAN:
        for (int64_t i = 0; i < n; i++) a[i].f /= (double)j->count;
        break;
    case CENTER_MEAN:
        for (int64_t i = 0; i < n; i++) a[i].f = center[i].f + a[i].f / (double)j->count;
        break;
    case VARIANCE: /* squares were taken around the mean rounded to the input's type */
        for (int64_t i = 0; i < n; i++) {
            double c = j->family == IN_F32 ? (double)(float)center[i].f : center[i].f;
            double off = center[i].f - c, squares = a[i].f - (double)j->count * off * off;
            a[i].f = (squares < 0 ? 0 : squares) / (j->divisor > 0 ? j->divisor : 0);
        }
        break;
    case ROOT:
        for (int64_t i = 0; i < n; i++) a[i].f = sqrt(a[i].f);
        break;
    case POWER_ROOT:
        for (int64_t i = 0; i < n; i++) a[i].f = pow(a[i].f, 1 / j->power);
        break;
    case LOG_CENTER:
        for (int64_t i = 0; i < n; i++) a[i].f = log(a[i].f) + center[i].f;
        break;
    case FINITE:
        for (int64_t i = 0; i < n; i++)
            if (isinf(a[i].f)) a[i].f = 0;
        break;
    }
}

/* Finishes outputs [at, at + n) and puts them where they belong. */
static void deliver(const job *j, int64_t at, cell *a, int64_t n) {
    finish(j, &j->stage, a, j->center ? j->center + at : NULL, n);
    if (j->result) {
        memcpy(j->result + at, a, (size_t)n * sizeof *a);
        return;
    }
    bool floating = j->family <= IN_F64, ordered = j->stage.op >= MAX && j->family == IN_I64;
    if (j->out_packed) {
        char *to = j->out + at * j->out_size;
        if (floating) hx_write_f64(to, j->out_dtype, j->out_size, n, &a->f);
        else hx_write_i64(to, j->out_dtype, j->out_size, n, &a->i, ordered);
        return;
    }
    walk w;
    walk_to(&w, &j->out_axes, at);
    for (int64_t i = 0; i < n; i++, walk_on(&w)) {
        if (floating) hx_write_f64(j->out + w.offset, j->out_dtype, 0, 1, &a[i].f);
        else hx_write_i64(j->out + w.offset, j->out_dtype, 0, 1, &a[i].i, ordered);
    }
}

/* The element that a first stage may take differences from: any that is near the others does. */
static cell first_element(const job *j, const char *p) {
    float f = 0;
    if (j->family == IN_F64) return (cell){.f = *(const double *)p};
    return (cell){.f = *hx_read_f32(p, j->dtype, 0, 1, &f)};
}

/* ---- rows ---- */

/* Pieces [from, to) of the outputs whose elements start at `base`, to sum[0..wide). */
static void row_pieces(const job *j, const stage *s, const combine *with, const char *base, int64_t from, int64_t to,
                       const cell *center, cell *sum) {
    double room[HX_BLOCK];
    for (int64_t k = 0; k < j->wide; k++) sum[k] = with->identity;
    int64_t block = j->family == IN_OWN && j->run_step == j->size ? CHUNK : HX_BLOCK;
    walk w;
    walk_to(&w, &j->runs, from / j->pieces);
    int64_t part = from % j->pieces;
    for (int64_t k = from; k < to; k++) {
        int64_t begin = part * j->piece, end = begin + j->piece < j->run ? begin + j->piece : j->run;
        for (int64_t i = begin; i < end; i += block) {
            int64_t n = end - i < block ? end - i : block;
            const char *p = base + w.offset + i * j->run_step;
            if (j->wide == 2) {
                with->pairs(p, n, sum);
                continue;
            }
            cell run = with->row(fetch(j, s, p, j->run_step, n, center, false, room), n);
            with->join(sum, &run, 1, 1);
        }
        if (++part == j->pieces) {
            part = 0;
            walk_on(&w);
        }
    }
}

static void rows_whole(void *ctx, int64_t begin, int64_t end) {
    const job *j = ctx;
    cell buffer[64];
    int64_t n = 0, pieces = j->count / j->run * j->pieces;
    walk w;
    walk_to(&w, &j->kept, begin);
    for (int64_t o = begin; o < end; o++, walk_on(&w)) {
        const char *base = j->in + w.offset;
        if (j->first) {
            cell around = first_element(j, base);
            row_pieces(j, j->first, &j->first_with, base, 0, pieces, &around, j->center + o);
            finish(j, j->first, j->center + o, &around, 1);
        }
        row_pieces(j, &j->stage, &j->with, base, 0, pieces, j->center ? j->center + o : NULL, buffer + n);
        n += j->wide;
        if (n == 64 || o + 1 == end) {
            deliver(j, (o + 1) * j->wide - n, buffer, n);
            n = 0;
        }
    }
}

static void rows_part(void *ctx, int64_t k) {
    const job *j = ctx;
    int64_t o = k / j->parts, part = k % j->parts, all = j->count / j->run * j->pieces;
    int64_t from = part * j->group, to = from + j->group < all ? from + j->group : all;
    walk w;
    walk_to(&w, &j->kept, o);
    cell sum[2];
    row_pieces(j, &j->stage, &j->with, j->in + w.offset, from, to, j->center ? j->center + o : NULL, sum);
    for (int64_t c = 0; c < j->wide; c++) j->part[(o * j->wide + c) * j->parts + part] = sum[c];
}

/* ---- columns ---- */

static void columns_tile(void *ctx, int64_t k) {
    const job *j = ctx;
    cell tile[COLUMNS];
    double room[ROWS_AT_ONCE * COLUMNS];
    int64_t part = k % j->parts, column = k / j->parts % j->tiles, outer = k / j->parts / j->tiles;
    int64_t at = outer * j->width + column * COLUMNS;
    int64_t n = j->width - column * COLUMNS < COLUMNS ? j->width - column * COLUMNS : COLUMNS;
    int64_t begin = part * j->rows, row = begin, last = row + j->rows < j->count ? row + j->rows : j->count;
    axes outer_axes = j->kept;
    outer_axes.n--;
    walk o, r;
    walk_to(&o, &outer_axes, outer);
    walk_to(&r, &j->reduced, row);
    const char *base = j->in + o.offset + column * COLUMNS * j->step;
    for (int64_t i = 0; i < n; i++) tile[i] = j->with.identity;
    const cell *center = j->center ? j->center + at : NULL;
    while (row < last) {
        const void *rows[ROWS_AT_ONCE];
        int64_t count = last - row < ROWS_AT_ONCE ? last - row : ROWS_AT_ONCE;
        for (int64_t i = 0; i < count; i++, walk_on(&r))
            rows[i] = fetch(j, &j->stage, base + r.offset, j->step, n, center, true, room + i * COLUMNS);
        if (j->with.widen && row == begin) memcpy(tile, rows[0], (size_t)(n * j->size));
        j->with.column(tile, rows, count, n);
        row += count;
    }
    if (j->with.widen) j->with.widen(tile, n);
    if (j->parts == 1) deliver(j, at, tile, n);
    else memcpy(j->part + part * j->outs + at, tile, (size_t)n * sizeof *tile);
}

/* ---- the plan ---- */

static void join_parts(const job *j, int64_t part_step, int64_t out_step) {
    enum { AT_ONCE = 512 };
    cell buffer[AT_ONCE];
    for (int64_t o = 0; o < j->outs; o += AT_ONCE) {
        int64_t n = j->outs - o < AT_ONCE ? j->outs - o : AT_ONCE;
        const cell *p = j->part + o * out_step;
        for (int64_t i = 0; i < n; i++) buffer[i] = p[i * out_step];
        for (int64_t k = 1; k < j->parts; k++) j->with.join(buffer, p + k * part_step, n, out_step);
        deliver(j, o, buffer, n);
    }
}

static bool run_parts(job *j, int64_t chunks, hx_body body, int64_t part_step, int64_t out_step) {
    size_t bytes = (size_t)(j->outs * j->parts) * sizeof(cell);
    j->part = hx_pool_alloc(bytes);
    if (!j->part) return false;
    hx_parallel(chunks, body, j);
    join_parts(j, part_step, out_step);
    hx_pool_free(j->part, bytes);
    return true;
}

static inline int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Is the innermost kept axis a pair of numbers side by side, as the parts of complex numbers are, in runs of such pairs? */
static bool of_pairs(const job *j) {
    int last = j->kept.n - 1;
    return j->with.pairs && !j->first && j->stage.map == PLAIN && (j->dtype == HX_F32 || j->dtype == HX_F64) && last >= 0 &&
           j->kept.size[last] == 2 && j->kept.step[last] == j->size && j->run_step == 2 * j->size;
}

static void plan_rows(job *j) {
    j->pieces = up(j->run, CHUNK);
    j->piece = j->pieces > 1 ? CHUNK : j->run;
    j->group = j->piece < CHUNK ? CHUNK / j->piece : 1;
    j->parts = j->count < 2 * CHUNK ? 1 : up(j->count / j->run * j->pieces, j->group);
}

static bool run_rows(job *j) {
    j->wide = of_pairs(j) ? 2 : 1;
    j->kept.n -= j->wide == 2;
    int64_t rows = j->outs / j->wide;
    plan_rows(j);
    if (j->count < 2 * CHUNK) {
        hx_parallel_range(rows, j->count < CHUNK ? CHUNK / j->count : 1, rows_whole, j);
        return true;
    }
    return run_parts(j, rows * j->parts, rows_part, 1, j->parts);
}

static int64_t plan_columns(job *j) {
    int last = j->kept.n - 1;
    j->width = j->kept.size[last];
    j->step = j->kept.step[last];
    j->tiles = up(j->width, COLUMNS);
    int64_t blocks = j->outs / j->width * j->tiles, wanted = j->outs * j->count < CHUNK ? 1 : up(j->with.widen ? 4 : 16, blocks);
    if (hx_batch_invariant()) wanted = up(16, j->tiles);
    j->rows = up(up(j->count, wanted), ROWS_AT_ONCE) * ROWS_AT_ONCE;
    if (j->rows < 64) j->rows = 64;
    j->parts = up(j->count, j->rows);
    return blocks;
}

static bool run_columns(job *j) {
    int64_t blocks = plan_columns(j);
    if (j->parts > 1) return run_parts(j, blocks * j->parts, columns_tile, j->outs, 1);
    hx_parallel(blocks, columns_tile, j);
    return true;
}

/* Small rows would drown in calls; a tile of outputs reads them across. */
static bool by_columns(const job *j) {
    if (!j->kept.n) return false;
    int64_t kept = llabs(j->kept.step[j->kept.n - 1]);
    if (hx_batch_invariant()) return kept < llabs(j->run_step); /* axes inside the reduced ones, however long they are */
    if (j->kept.size[j->kept.n - 1] < 16) return false;
    return kept <= llabs(j->run_step) || j->count < 16;
}

static bool run_stage(job *j) {
    if (by_columns(j)) return run_columns(j);
    return run_rows(j);
}

/* The centers of all outputs in a pass of their own, where they cannot be had output by output. */
static bool run_first(job *j) {
    job f = *j;
    f.stage = *j->first;
    f.with = j->first_with;
    f.first = NULL;
    f.result = j->center;
    size_t bytes = (size_t)j->outs * sizeof(cell);
    f.center = hx_pool_alloc(bytes);
    if (!f.center) return false;
    walk w;
    walk_to(&w, &j->kept, 0);
    for (int64_t o = 0; o < j->outs; o++, walk_on(&w)) f.center[o] = first_element(j, j->in + w.offset);
    bool done = run_stage(&f);
    hx_pool_free(f.center, bytes);
    j->first = NULL;
    return done;
}

static bool run_job(job *j) {
    if (!j->outs) return true;
    if (!j->count) {
        for (int64_t o = 0; o < j->outs; o++) {
            cell a = j->with.identity;
            if (j->first) {
                cell none = {0};
                j->center[o] = j->first_with.identity;
                finish(j, j->first, j->center + o, &none, 1);
            }
            deliver(j, o, &a, 1);
        }
        return true;
    }
    if (j->first && (by_columns(j) || j->count >= 2 * CHUNK) && !run_first(j)) return false;
    return run_stage(j);
}

/* ---- geometry ---- */

static void axes_add(axes *a, int64_t size, int64_t step) {
    if (size == 1) return;
    if (a->n && a->step[a->n - 1] == size * step) {
        a->size[a->n - 1] *= size;
        a->step[a->n - 1] = step;
        return;
    }
    a->size[a->n] = size;
    a->step[a->n++] = step;
}

static void axes_by_step(axes *a) {
    for (int i = 1; i < a->n; i++)
        for (int k = i; k > 0 && llabs(a->step[k - 1]) < llabs(a->step[k]); k--) {
            int64_t size = a->size[k], step = a->step[k];
            a->size[k] = a->size[k - 1], a->step[k] = a->step[k - 1];
            a->size[k - 1] = size, a->step[k - 1] = step;
        }
}

static uint32_t reduced_mask(const hx_attr *dims) {
    uint32_t mask = 0;
    for (uint32_t i = 0; i < dims->count; i++) mask |= 1u << dims->v.ints[i];
    return mask;
}

static family family_of(int dtype) {
    if (dtype == HX_F64) return IN_F64;
    return dtype >= HX_F16 ? IN_F32 : IN_I64;
}

static void geometry(job *j, const hx_view *in, const hx_view *out, uint32_t mask) {
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)in->dtype), out_size = (int64_t)hx_dtype_size((hx_dtype)out->dtype);
    bool keepdim = out->ndim == in->ndim;
    axes reduced = {0};
    j->outs = out->numel;
    j->count = out->numel ? in->numel / out->numel : 0;
    for (int d = 0, o = 0; d < in->ndim; d++) {
        int64_t n = in->shape[d], step = in->strides[d] * size;
        if (mask >> d & 1) {
            if (n != 1) reduced.size[reduced.n] = n, reduced.step[reduced.n++] = step;
        } else {
            if (n != 1) axes_add(&j->kept, n, step), axes_add(&j->out_axes, n, out->strides[o] * out_size);
        }
        o += keepdim || !(mask >> d & 1);
    }
    axes_by_step(&reduced);
    for (int d = 0; d < reduced.n; d++) axes_add(&j->reduced, reduced.size[d], reduced.step[d]);
    j->in = in->data;
    j->out = out->data;
    j->out_packed = out->contiguous;
    j->out_dtype = out->dtype;
    j->out_size = out_size;
    j->dtype = in->dtype;
    bool arithmetic = j->family != IN_TRUTH && j->stage.map != TRUTH_COUNT;
    if (arithmetic && hx_is_complex((hx_dtype)in->dtype)) { /* two reals side by side: one more kept axis */
        j->dtype = in->dtype == HX_C64 ? HX_F32 : HX_F64;
        j->out_dtype = j->dtype;
        axes_add(&j->kept, 2, size / 2);
        axes_add(&j->out_axes, 2, size / 2);
        j->out_size = size / 2;
        j->outs *= 2;
    }
    if (arithmetic) j->family = j->stage.op >= MAX && has_own_width(j->dtype) ? IN_OWN : family_of(j->dtype);
    j->size = (int64_t)hx_dtype_size((hx_dtype)j->dtype);
    j->runs = j->reduced;
    j->run = 1;
    if (j->runs.n) {
        j->runs.n--;
        j->run = j->reduced.size[j->runs.n];
        j->run_step = j->reduced.step[j->runs.n];
    }
}

static hx_code no_memory(hx_err *err) {
    return hx_kernel_fail(err, HX_E_MEMORY, HX1402_MEMORY, "no memory for the partial results of the reduction");
}

/* Reduces in[0] over the axes in attr[dims_at] into out[0]; what a `first` stage found goes to `centers_to`, where
 * that is given. */
static hx_code reduce(job *j, const hx_op_call *call, int dims_at, const hx_view *centers_to, hx_err *err) {
    geometry(j, &call->in[0], &call->out[0], reduced_mask(&call->attr[dims_at]));
    j->with = combine_of(j->stage.op, j->family, j->dtype);
    size_t bytes = (size_t)j->outs * sizeof(cell);
    if (j->first) {
        j->first_with = combine_of(j->first->op, j->family, j->dtype);
        j->center = hx_pool_alloc(bytes);
        if (!j->center) return no_memory(err);
    }
    bool done = run_job(j);
    if (done && centers_to && j->outs) {
        job c = {.out = centers_to->data, .out_dtype = j->out_dtype, .out_size = j->out_size, .family = j->family,
                 .out_packed = centers_to->contiguous, .out_axes = j->out_axes};
        for (int64_t o = 0; o < j->outs; o++) deliver(&c, o, j->center + o, 1);
    }
    if (j->center) hx_pool_free(j->center, bytes);
    return done ? HX_OK : no_memory(err);
}

static hx_code reduce_simply(const hx_op_call *call, stage s, hx_err *err) {
    job j = {.stage = s};
    return reduce(&j, call, 0, NULL, err);
}

HX_KERNEL(k_sum) {
    HX_UNUSED;
    return reduce_simply(call, (stage){SUM, PLAIN, AS_IT_IS}, err);
}
HX_KERNEL(k_nansum) {
    HX_UNUSED;
    return reduce_simply(call, (stage){SUM, NAN_IS_0, AS_IT_IS}, err);
}
HX_KERNEL(k_mean) {
    HX_UNUSED;
    return reduce_simply(call, (stage){SUM, PLAIN, MEAN}, err);
}
HX_KERNEL(k_prod) {
    HX_UNUSED;
    return reduce_simply(call, (stage){PROD, PLAIN, AS_IT_IS}, err);
}
static hx_code extreme(const hx_op_call *call, operation op, hx_err *err) {
    job j = {.stage = {op, PLAIN, AS_IT_IS}, .family = call->in[0].dtype == HX_BOOL ? IN_TRUTH : IN_I64};
    return reduce(&j, call, 0, NULL, err);
}
HX_KERNEL(k_amax) {
    HX_UNUSED;
    return extreme(call, MAX, err);
}
HX_KERNEL(k_amin) {
    HX_UNUSED;
    return extreme(call, MIN, err);
}
static hx_code truth(const hx_op_call *call, operation op, hx_err *err) {
    job j = {.stage = {op, PLAIN, AS_IT_IS}, .family = IN_TRUTH};
    return reduce(&j, call, 0, NULL, err);
}
HX_KERNEL(k_all) {
    HX_UNUSED;
    return truth(call, MIN, err);
}
HX_KERNEL(k_any) {
    HX_UNUSED;
    return truth(call, MAX, err);
}
HX_KERNEL(k_count_nonzero) {
    HX_UNUSED;
    job j = {.stage = {SUM, TRUTH_COUNT, AS_IT_IS}, .family = IN_I64};
    return reduce(&j, call, 0, NULL, err);
}
HX_KERNEL(k_var_mean) {
    HX_UNUSED;
    static const stage mean = {SUM, OFF_CENTER, CENTER_MEAN};
    job j = {.stage = {SUM, OFF_CENTER_SQUARE, VARIANCE}, .first = &mean};
    double count = 1;
    for (uint32_t i = 0; i < call->attr[0].count; i++) count *= (double)call->in[0].shape[call->attr[0].v.ints[i]];
    j.divisor = count - call->attr[3].v.f; /* attr: dim, unbiased, keepdim, correction */
    return reduce(&j, call, 0, &call->out[1], err);
}
HX_KERNEL(k_logsumexp) {
    HX_UNUSED;
    static const stage top = {MAX, PLAIN, FINITE};
    job j = {.stage = {SUM, OFF_CENTER_EXP, LOG_CENTER}, .first = &top};
    return reduce(&j, call, 0, NULL, err);
}
/* attr: ord, dim, keepdim */
HX_KERNEL(k_vector_norm) {
    HX_UNUSED;
    double p = call->attr[0].v.f;
    job j = {.stage = {SUM, POWER, POWER_ROOT}, .power = p};
    if (p == 0) j.stage = (stage){SUM, NOT_ZERO, AS_IT_IS};
    else if (p == 1) j.stage = (stage){SUM, ABS, AS_IT_IS};
    else if (p == 2) j.stage = (stage){SUM, SQUARE, ROOT};
    else if (isinf(p)) j.stage = (stage){p > 0 ? MAX : MIN, ABS, AS_IT_IS};
    return reduce(&j, call, 1, NULL, err);
}

/* ---- reductions whose elements are made piece by piece ---- */

static const struct {
    const char *op;
    stage stage;
    family family;
} fed_ops[] = {{"sum", {SUM, PLAIN, AS_IT_IS}, IN_F32},   {"mean", {SUM, PLAIN, MEAN}, IN_F32},
               {"nansum", {SUM, NAN_IS_0, AS_IT_IS}, IN_F32}, {"prod", {PROD, PLAIN, AS_IT_IS}, IN_F32},
               {"amax", {MAX, PLAIN, AS_IT_IS}, IN_I64},  {"amin", {MIN, PLAIN, AS_IT_IS}, IN_I64},
               {"all", {MIN, PLAIN, AS_IT_IS}, IN_TRUTH}, {"any", {MAX, PLAIN, AS_IT_IS}, IN_TRUTH}};

static bool fed_job(job *j, const char *op, int dtype) {
    for (size_t i = 0; i < sizeof fed_ops / sizeof *fed_ops; i++)
        if (!strcmp(op, fed_ops[i].op)) {
            *j = (job){.stage = fed_ops[i].stage, .family = fed_ops[i].family};
            if (j->stage.op >= MAX && dtype == HX_BOOL) j->family = IN_TRUTH;
            return true;
        }
    return false;
}

bool hx_fed_open(hx_fed *f, const hx_op_call *call) {
    _Static_assert(sizeof(job) <= sizeof f->job, "the room for a job is too small");
    job *j = (job *)f->job;
    const hx_view *in = &call->in[0];
    if (!in->numel || hx_is_complex((hx_dtype)in->dtype) || !fed_job(j, call->op, in->dtype)) return false;
    geometry(j, in, &call->out[0], reduced_mask(&call->attr[0]));
    j->with = combine_of(j->stage.op, j->family, j->dtype);
    bool rows = !j->kept.n && j->reduced.n == 1, columns = j->kept.n == 1 && j->reduced.n == 1 && by_columns(j);
    if (!rows && !columns) return false;
    if (rows) plan_rows(j);
    else plan_columns(j);
    f->width = rows ? 0 : j->width;
    f->count = j->count;
    f->parts = j->parts;
    f->part = rows ? (j->parts > 1 ? CHUNK : j->count) : j->rows;
    size_t bytes = (size_t)(j->outs * j->parts) * sizeof(cell);
    j->part = hx_pool_alloc(bytes);
    return j->part;
}

void hx_fed_start(const hx_fed *f, cell *to, int64_t n) {
    const job *j = (const job *)f->job;
    for (int64_t i = 0; i < n; i++) to[i] = j->with.identity;
}

void hx_fed_rows(const hx_fed *f, cell *to, const char *from, int64_t row_step, int64_t count, int64_t n, bool first) {
    const job *j = (const job *)f->job;
    double room[ROWS_AT_ONCE * HX_FED_WIDTH];
    const void *rows[ROWS_AT_ONCE];
    for (int64_t at = 0; at < count; at += ROWS_AT_ONCE) {
        int64_t here = count - at < ROWS_AT_ONCE ? count - at : ROWS_AT_ONCE;
        for (int64_t i = 0; i < here; i++)
            rows[i] = fetch(j, &j->stage, from + (at + i) * row_step, j->size, n, NULL, true, room + i * HX_FED_WIDTH);
        if (j->with.widen && first && !at) memcpy(to, rows[0], (size_t)(n * j->size));
        j->with.column(to, rows, here, n);
    }
}

void hx_fed_run(const hx_fed *f, cell *to, const char *from, int64_t n) {
    const job *j = (const job *)f->job;
    double room[HX_BLOCK];
    cell run = j->with.row(fetch(j, &j->stage, from, j->size, n, NULL, false, room), n);
    j->with.join(to, &run, 1, 1);
}

void hx_fed_keep(const hx_fed *f, cell *from, int64_t part, int64_t column, int64_t n) {
    const job *j = (const job *)f->job;
    if (f->width && j->with.widen) j->with.widen(from, n);
    memcpy(j->part + part * j->outs + column, from, (size_t)n * sizeof *from);
}

void hx_fed_close(hx_fed *f, bool done) {
    job *j = (job *)f->job;
    if (done) join_parts(j, j->outs, 1);
    hx_pool_free(j->part, (size_t)(j->outs * j->parts) * sizeof(cell));
}

/* ---- the extreme value along one axis and where it first stands ---- */

typedef struct extreme_job {
    operation op;
    family family;
    int dtype, out_dtype;
    const char *in;
    char *values;
    int64_t *indices;
    int64_t size, n, inner, parts;
    cell *part;
    int64_t *part_index;
} extreme_job;

/* The first element equal to best (or NaN when that is): whole blocks are passed over by a loop without exits. */
#define FIND(T)                                                                                               \
    do {                                                                                                      \
        const T *x = run;                                                                                     \
        T best = (T)value;                                                                                    \
        bool nan = best != best;                                                                              \
        int64_t i = 0;                                                                                        \
        for (; i + 128 <= n; i += 128) {                                                                      \
            int hit = 0;                                                                                      \
            if (nan)                                                                                          \
                for (int k = 0; k < 128; k++) hit |= x[i + k] != x[i + k];                                    \
            else                                                                                              \
                for (int k = 0; k < 128; k++) hit |= x[i + k] == best;                                        \
            if (hit) break;                                                                                   \
        }                                                                                                     \
        for (; i < n; i++)                                                                                    \
            if (x[i] == best || (nan && x[i] != x[i])) return i;                                              \
    } while (0)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtautological-compare"
static int64_t find(family f, const void *run, int64_t n, cell best) {
    if (f == IN_F32) {
        double value = best.f;
        FIND(float);
    } else if (f == IN_F64) {
        double value = best.f;
        FIND(double);
    } else {
        int64_t value = best.i;
        FIND(int64_t);
    }
    return 0;
}
#pragma GCC diagnostic pop

static const void *read_run(const extreme_job *j, const char *p, int64_t n, void *room) {
    if (j->family == IN_F32) return hx_read_f32(p, j->dtype, j->size, n, room);
    if (j->family == IN_F64) return hx_read_f64(p, j->size, n, room);
    return hx_read_i64(p, j->dtype, j->size, n, room, true);
}

/* Is x to be taken over m? Equal values keep the earlier one; the first NaN wins. */
static bool beats(const extreme_job *j, cell x, cell m) {
    if (j->family == IN_I64) return j->op == MAX ? x.i > m.i : x.i < m.i;
    if (m.f != m.f) return false;
    return x.f != x.f || (j->op == MAX ? x.f > m.f : x.f < m.f);
}

static cell extreme_run(const extreme_job *j, const char *p, int64_t n, int64_t *index) {
    double room[HX_BLOCK];
    cell best = {0};
    for (int64_t i = 0; i < n; i += HX_BLOCK) {
        int64_t m = n - i < HX_BLOCK ? n - i : HX_BLOCK;
        const void *x = read_run(j, p + i * j->size, m, room);
        cell b = combines[j->op][j->family].row(x, m);
        if (i && !beats(j, b, best)) continue;
        best = b;
        *index = i + find(j->family, x, m, b);
    }
    return best;
}

static void write_value(const extreme_job *j, int64_t at, cell v) {
    char *to = j->values + at * j->size;
    if (j->family == IN_I64) hx_write_i64(to, j->dtype, 0, 1, &v.i, true);
    else hx_write_f64(to, j->dtype, 0, 1, &v.f);
}

static void extreme_rows(void *ctx, int64_t begin, int64_t end) {
    const extreme_job *j = ctx;
    for (int64_t r = begin; r < end; r++)
        write_value(j, r, extreme_run(j, j->in + r * j->n * j->size, j->n, &j->indices[r]));
}

static void extreme_part(void *ctx, int64_t k) {
    const extreme_job *j = ctx;
    int64_t row = k / j->parts, from = k % j->parts * CHUNK, n = j->n - from < CHUNK ? j->n - from : CHUNK;
    j->part[k] = extreme_run(j, j->in + (row * j->n + from) * j->size, n, &j->part_index[k]);
    j->part_index[k] += from;
}

#define TAKE_ROW(T, I, better)                                                                                \
    do {                                                                                                      \
        const T *restrict x = run;                                                                            \
        T *restrict b = (void *)best;                                                                                \
        I *restrict at = (void *)index, here = (I)k;                                                                  \
        for (int64_t i = 0; i < n; i++) {                                                                     \
            bool take = better;                                                                               \
            b[i] = take ? x[i] : b[i];                                                                        \
            at[i] = take ? here : at[i];                                                                      \
        }                                                                                                     \
    } while (0)

static void extreme_columns(void *ctx, int64_t task) {
    const extreme_job *j = ctx;
    int64_t tiles = up(j->inner, NARROW), outer = task / tiles, column = task % tiles * NARROW;
    int64_t n = j->inner - column < NARROW ? j->inner - column : NARROW;
    double room[NARROW], best[NARROW];
    int64_t index[NARROW] = {0};
    const char *base = j->in + (outer * j->n * j->inner + column) * j->size;
    size_t width = j->family == IN_F32 ? 4 : 8;
    memcpy(best, read_run(j, base, n, room), (size_t)n * width);
    for (int64_t k = 1; k < j->n; k++) {
        const void *run = read_run(j, base + k * j->inner * j->size, n, room);
        if (j->family == IN_F32) {
            if (j->op == MAX) TAKE_ROW(float, int32_t, (x[i] > b[i]) | ((x[i] != x[i]) & (b[i] == b[i])));
            else TAKE_ROW(float, int32_t, (x[i] < b[i]) | ((x[i] != x[i]) & (b[i] == b[i])));
        } else if (j->family == IN_F64) {
            if (j->op == MAX) TAKE_ROW(double, int64_t, (x[i] > b[i]) | ((x[i] != x[i]) & (b[i] == b[i])));
            else TAKE_ROW(double, int64_t, (x[i] < b[i]) | ((x[i] != x[i]) & (b[i] == b[i])));
        } else {
            if (j->op == MAX) TAKE_ROW(int64_t, int64_t, x[i] > b[i]);
            else TAKE_ROW(int64_t, int64_t, x[i] < b[i]);
        }
    }
    int64_t at = outer * j->inner + column;
    char *to = j->values + at * j->size;
    if (j->family == IN_F32) hx_write_f32(to, j->dtype, j->size, n, (const float *)best);
    else if (j->family == IN_F64) hx_write_f64(to, j->dtype, j->size, n, best);
    else hx_write_i64(to, j->dtype, j->size, n, (const int64_t *)best, true);
    for (int64_t i = 0; i < n; i++) j->indices[at + i] = j->family == IN_F32 ? ((const int32_t *)index)[i] : index[i];
}

static hx_code extreme_split(extreme_job *j, int64_t rows, hx_err *err) {
    j->parts = up(j->n, CHUNK);
    size_t count = (size_t)(rows * j->parts), bytes = count * (sizeof(cell) + sizeof(int64_t));
    j->part = hx_pool_alloc(bytes);
    if (!j->part) return no_memory(err);
    j->part_index = (int64_t *)(j->part + count);
    hx_parallel(rows * j->parts, extreme_part, j);
    for (int64_t r = 0; r < rows; r++) {
        int64_t best = r * j->parts;
        for (int64_t k = best + 1; k < (r + 1) * j->parts; k++)
            if (beats(j, j->part[k], j->part[best])) best = k;
        write_value(j, r, j->part[best]);
        j->indices[r] = j->part_index[best];
    }
    hx_pool_free(j->part, bytes);
    return HX_OK;
}

/* attr: dim, keepdim; the input is contiguous */
static hx_code extreme_dim(const hx_op_call *call, operation op, hx_err *err) {
    const hx_view *in = &call->in[0];
    int dim = (int)call->attr[0].v.i;
    extreme_job j = {.op = op, .family = family_of(in->dtype), .dtype = in->dtype, .in = in->data,
                     .values = call->out[0].data, .indices = call->out[1].data,
                     .size = (int64_t)hx_dtype_size((hx_dtype)in->dtype), .n = 1, .inner = 1};
    if (!in->numel) return HX_OK;
    if (in->ndim) {
        j.n = in->shape[dim];
        for (int d = dim + 1; d < in->ndim; d++) j.inner *= in->shape[d];
    }
    int64_t rows = in->numel / j.n / j.inner;
    if (j.inner > 1 && j.n <= INT32_MAX) hx_parallel(rows * up(j.inner, NARROW), extreme_columns, &j);
    else if (j.n >= 2 * CHUNK) return extreme_split(&j, rows, err);
    else hx_parallel_range(rows, j.n < CHUNK ? CHUNK / j.n : 1, extreme_rows, &j);
    return HX_OK;
}
HX_KERNEL(k_max_dim) {
    HX_UNUSED;
    return extreme_dim(call, MAX, err);
}
HX_KERNEL(k_min_dim) {
    HX_UNUSED;
    return extreme_dim(call, MIN, err);
}

HX_KERNELS(reduce) = {
    KERNEL(sum, k_sum, HX_SET_ALL),
    KERNEL(mean, k_mean, HX_SET_FLOAT | HX_SET_COMPLEX),
    KERNEL(prod, k_prod, HX_SET_REAL),
    KERNEL(amax, k_amax, HX_SET_REAL),
    KERNEL(amin, k_amin, HX_SET_REAL),
    KERNEL(all, k_all, HX_SET_ALL),
    KERNEL(any, k_any, HX_SET_ALL),
    KERNEL(count_nonzero, k_count_nonzero, HX_SET_ALL),
    KERNEL(nansum, k_nansum, HX_SET_FLOAT),
    KERNEL(var_mean, k_var_mean, HX_SET_FLOAT),
    KERNEL(logsumexp, k_logsumexp, HX_SET_FLOAT),
    KERNEL(linalg_vector_norm, k_vector_norm, HX_SET_FLOAT),
    KERNEL_CONTIGUOUS(max, k_max_dim, HX_SET_REAL),
    KERNEL_CONTIGUOUS(min, k_min_dim, HX_SET_REAL),
    {0}};
