/* Kernels that copy whole rows: joining, padding, triangles. */
#include "strided.h"

/* ---- cat, stack ---- */

enum { PIECE = 1 << 17, TOGETHER = 32 }; /* bytes a thread copies at a time; inputs whose pieces are one job */

/* One input on its way into the output: `grid` steps through the output in a, the input in b. */
typedef struct part {
    char *to;
    const char *from;
    hx_grid grid;
    int64_t rows, row_bytes, pieces;
} part;

typedef struct joining {
    const hx_op_call *call;
    int64_t size;
    int axis;
    bool stack;
    part parts[TOGETHER];
    int n;
} joining;

static bool takes_part(const joining *j, int i) {
    const hx_view *in = &j->call->in[i];
    return in->numel && (j->stack || in->ndim == j->call->out[0].ndim);
}

static int64_t length(const joining *j, int i) {
    const hx_view *in = &j->call->in[i];
    return j->stack ? 1 : in->ndim == j->call->out[0].ndim ? in->shape[j->axis] : 0;
}

static void prepare(const joining *j, int i, int64_t at, part *p) {
    const hx_view *in = &j->call->in[i], *out = &j->call->out[0];
    p->grid.n = 0;
    for (int k = 0, from = 0; k < out->ndim; k++) {
        if (j->stack && k == j->axis) continue;
        hx_grid_push(&p->grid, in->shape[from], out->strides[k], in->strides[from]);
        from++;
    }
    hx_grid_merge(&p->grid);
    p->to = (char *)out->data + at * out->strides[j->axis] * j->size;
    p->from = in->data;
    p->rows = hx_grid_rows(&p->grid);
    p->row_bytes = p->grid.shape[p->grid.n - 1] * j->size;
    p->pieces = p->rows * p->row_bytes / PIECE + 1;
}

/* Piece k of a part: some of its rows, or some of its only row. */
static void copy_piece(const part *p, int64_t k, int64_t size) {
    int64_t items = p->rows > 1 ? p->rows : p->grid.shape[p->grid.n - 1];
    int64_t each = (items + p->pieces - 1) / p->pieces, begin = k * each, end = begin + each < items ? begin + each : items;
    if (begin >= end) return;
    if (p->rows > 1)
        hx_copy_rows(p->to, p->from, &p->grid, (size_t)size, begin, end);
    else
        hx_copy_run(p->to + begin * p->grid.a[0] * size, p->grid.a[0], p->from + begin * p->grid.b[0] * size, p->grid.b[0],
                    end - begin, (size_t)size);
}

static void copy_chunk(void *ctx, int64_t chunk) {
    const joining *j = ctx;
    int i = 0;
    while (chunk >= j->parts[i].pieces) chunk -= j->parts[i++].pieces;
    copy_piece(&j->parts[i], chunk, j->size);
}

static void join(const hx_op_call *call, bool stack) {
    joining j; /* its parts are filled as they come */
    j.call = call;
    j.size = (int64_t)hx_dtype_size((hx_dtype)call->out[0].dtype);
    j.axis = (int)call->attr[0].v.i;
    j.stack = stack;
    j.n = 0;
    int64_t at = 0, pieces = 0;
    bool large = call->out[0].numel * j.size > HX_BLOCKING_BYTES;
    for (int i = 0; i < (int)call->n_in; i++) {
        if (takes_part(&j, i)) {
            part *p = &j.parts[j.n];
            prepare(&j, i, at, p);
            if (large) {
                pieces += p->pieces;
                j.n++;
            } else
                hx_copy_rows(p->to, p->from, &p->grid, (size_t)j.size, 0, p->rows);
        }
        at += length(&j, i);
        if (j.n == TOGETHER || (j.n && i == (int)call->n_in - 1)) {
            hx_parallel(pieces, copy_chunk, &j);
            j.n = 0;
            pieces = 0;
        }
    }
}

HX_KERNEL(k_cat) {
    HX_UNUSED;
    join(call, false);
    return HX_OK;
}

HX_KERNEL(k_stack) {
    HX_UNUSED;
    join(call, true);
    return HX_OK;
}

/* ---- constant_pad ---- */

typedef struct padding {
    const hx_view *in, *out;
    const char *value;
    int64_t before[HX_MAX_RANK];
    size_t size;
    bool border_only;
} padding;

static void pad_rows(void *ctx, int64_t begin, int64_t end) {
    const padding *p = ctx;
    const hx_view *in = p->in, *out = p->out;
    int last = out->ndim - 1;
    int64_t size = (int64_t)p->size, length = out->shape[last], lead = p->before[last];
    int64_t first = lead > 0 ? lead : 0, stop = lead + in->shape[last];
    if (first > length) first = length;
    if (stop > length) stop = length;
    for (int64_t row = begin; row < end; row++) {
        int64_t rest = row, offset = 0;
        bool inside = stop > first;
        for (int k = last - 1; k >= 0; k--) {
            int64_t at = rest % out->shape[k] - p->before[k];
            rest /= out->shape[k];
            inside = inside && at >= 0 && at < in->shape[k];
            offset += at * in->strides[k];
        }
        char *to = (char *)out->data + row * length * size;
        if (!inside) {
            hx_copy_run(to, 1, p->value, 0, length, p->size);
            continue;
        }
        offset += (first - lead) * in->strides[last];
        hx_copy_run(to, 1, p->value, 0, first, p->size);
        if (!p->border_only)
            hx_copy_run(to + first * size, 1, (const char *)in->data + offset * size, in->strides[last], stop - first, p->size);
        hx_copy_run(to + stop * size, 1, p->value, 0, length - stop, p->size);
    }
}

static void copy_loop(char **p, const int64_t *step, int64_t n, const void *ctx) {
    const int64_t size = *(const int64_t *)ctx;
    hx_copy_run(p[0], step[0] / size, p[1], step[1] / size, n, (size_t)size);
}

/* What both have in common, in the order of memory that suits both. */
static hx_code copy_inside(const padding *p, hx_err *err) {
    hx_view in = *p->in, out = *p->out;
    int64_t shape[HX_MAX_RANK], size = (int64_t)p->size, from = 0, to = 0, numel = 1;
    for (int d = 0; d < out.ndim; d++) {
        int64_t before = p->before[d], first = before > 0 ? before : 0, stop = before + in.shape[d];
        shape[d] = (stop < out.shape[d] ? stop : out.shape[d]) - first;
        if (shape[d] <= 0) return HX_OK;
        to += first * out.strides[d];
        from += (first - before) * in.strides[d];
        numel *= shape[d];
    }
    out.data = (char *)out.data + to * size;
    in.data = (char *)in.data + from * size;
    in.shape = out.shape = shape;
    in.numel = out.numel = numel;
    in.contiguous = out.contiguous = false;
    return hx_iterate_views((const hx_view *[]){&out, &in}, 2, copy_loop, &size, 0, err);
}

HX_KERNEL(k_constant_pad) {
    HX_UNUSED;
    const hx_view *out = &call->out[0];
    padding p = {.in = &call->in[0], .out = out, .value = call->in[1].data, .size = hx_dtype_size((hx_dtype)out->dtype)};
    if (out->numel == 0) return HX_OK;
    if (out->ndim == 0) {
        memcpy(out->data, call->in[0].data, p.size);
        return HX_OK;
    }
    for (uint32_t i = 0; i < call->attr[0].count / 2; i++) p.before[out->ndim - 1 - i] = call->attr[0].v.ints[2 * i];
    int64_t length = out->shape[out->ndim - 1];
    p.border_only = p.in->strides[out->ndim - 1] != 1;
    hx_parallel_range(out->numel / length, hx_grain(length * (int64_t)p.size), pad_rows, &p);
    return p.border_only ? copy_inside(&p, err) : HX_OK;
}

/* ---- tril, triu ---- */

typedef struct triangle {
    const hx_view *in, *out;
    hx_grid rows; /* all axes but the last */
    int64_t diagonal;
    bool lower;
    size_t size;
} triangle;

static void triangle_rows(void *ctx, int64_t begin, int64_t end) {
    static const hx_wide zero;
    const triangle *t = ctx;
    int last = t->out->ndim - 1;
    int64_t columns = t->out->shape[last], height = t->out->shape[last - 1], size = (int64_t)t->size;
    int64_t to_step = t->out->strides[last], from_step = t->in->strides[last];
    for (int64_t row = begin; row < end; row++) {
        int64_t a, b, edge = row % height + t->diagonal + (t->lower ? 1 : 0);
        edge = edge < 0 ? 0 : edge > columns ? columns : edge;
        hx_grid_at(&t->rows, last, row, &a, &b);
        char *to = (char *)t->out->data + a * size;
        const char *from = (const char *)t->in->data + b * size;
        int64_t first = t->lower ? 0 : edge, stop = t->lower ? edge : columns;
        if (to != from)
            hx_copy_run(to + first * to_step * size, to_step, from + first * from_step * size, from_step, stop - first,
                        t->size);
        hx_copy_run(to, to_step, (const char *)&zero, 0, first, t->size);
        hx_copy_run(to + stop * to_step * size, to_step, (const char *)&zero, 0, columns - stop, t->size);
    }
}

static hx_code cut(const hx_op_call *call, bool lower) {
    const hx_view *in = &call->in[0], *out = &call->out[0];
    if (out->numel == 0) return HX_OK;
    int64_t limit = INT64_MAX / 4, diagonal = call->attr[0].v.i;
    triangle t = {.in = in, .out = out, .lower = lower, .size = hx_dtype_size((hx_dtype)out->dtype),
                  .diagonal = diagonal > limit ? limit : diagonal < -limit ? -limit : diagonal};
    for (int i = 0; i < out->ndim - 1; i++) hx_grid_push(&t.rows, out->shape[i], out->strides[i], in->strides[i]);
    int64_t columns = out->shape[out->ndim - 1];
    hx_parallel_range(out->numel / columns, hx_grain(columns * (int64_t)t.size), triangle_rows, &t);
    return HX_OK;
}

HX_KERNEL(k_tril) {
    HX_UNUSED;
    return cut(call, true);
}

HX_KERNEL(k_triu) {
    HX_UNUSED;
    return cut(call, false);
}

HX_KERNELS(join) = {
    KERNEL(cat, k_cat, HX_SET_ALL),   KERNEL(stack, k_stack, HX_SET_ALL), KERNEL(constant_pad, k_constant_pad, HX_SET_ALL),
    KERNEL(tril, k_tril, HX_SET_ALL), KERNEL(triu, k_triu, HX_SET_ALL),   {0},
};
