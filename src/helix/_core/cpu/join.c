/* Kernels that copy whole rows: joining, padding, triangles. */
#include "strided.h"

/* ---- cat, stack ---- */

typedef struct joining {
    const hx_op_call *call;
    size_t size;
    int axis;
    bool stack;
} joining;

typedef struct copying {
    char *to;
    const char *from;
    const hx_grid *grid;
    size_t size;
} copying;

static void copy_range(void *ctx, int64_t begin, int64_t end) {
    const copying *c = ctx;
    hx_copy_rows(c->to, c->from, c->grid, c->size, begin, end);
}

/* Copies one input to where it begins in the output. */
static void place(const joining *j, int i, int64_t at, bool parallel) {
    const hx_view *in = &j->call->in[i], *out = &j->call->out[0];
    if (in->numel == 0) return;
    hx_grid x = {0};
    for (int k = 0, from = 0; k < out->ndim; k++) {
        if (j->stack && k == j->axis) continue;
        hx_grid_push(&x, in->shape[from], out->strides[k], in->strides[from]);
        from++;
    }
    hx_grid_merge(&x);
    int64_t row = x.shape[x.n - 1] * (int64_t)j->size, rows = hx_grid_rows(&x);
    copying c = {(char *)out->data + at * out->strides[j->axis] * (int64_t)j->size, in->data, &x, j->size};
    if (!parallel || rows * row <= HX_BLOCKING_BYTES)
        copy_range(&c, 0, rows);
    else if (rows == 1 && x.a[0] == 1 && x.b[0] == 1)
        hx_move_bytes(c.to, c.from, row);
    else
        hx_parallel_range(rows, hx_grain(row), copy_range, &c);
}

static int64_t begins(const joining *j, int i) {
    if (j->stack) return i;
    int64_t at = 0;
    for (int k = 0; k < i; k++)
        if (j->call->in[k].ndim == j->call->out[0].ndim) at += j->call->in[k].shape[j->axis];
    return at;
}

static void place_range(void *ctx, int64_t begin, int64_t end) {
    const joining *j = ctx;
    int64_t at = begins(j, (int)begin);
    for (int i = (int)begin; i < end; i++) {
        place(j, i, at, false);
        if (j->stack)
            at++;
        else if (j->call->in[i].ndim == j->call->out[0].ndim)
            at += j->call->in[i].shape[j->axis];
    }
}

static void join(const hx_op_call *call, bool stack) {
    joining j = {call, hx_dtype_size((hx_dtype)call->out[0].dtype), (int)call->attr[0].v.i, stack};
    int64_t n = call->n_in, bytes = call->out[0].numel * (int64_t)j.size;
    if (bytes > HX_BLOCKING_BYTES && n < 8)
        for (int i = 0; i < n; i++) place(&j, i, begins(&j, i), true);
    else if (bytes > HX_BLOCKING_BYTES)
        hx_parallel_range(n, hx_grain(bytes / n), place_range, &j);
    else
        place_range(&j, 0, n);
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
        hx_copy_run(to + first * size, 1, (const char *)in->data + offset * size, in->strides[last], stop - first, p->size);
        hx_copy_run(to + stop * size, 1, p->value, 0, length - stop, p->size);
    }
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
    hx_parallel_range(out->numel / length, hx_grain(length * (int64_t)p.size), pad_rows, &p);
    return HX_OK;
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
        if (to != from) hx_copy_run(to + first * to_step * size, to_step, from + first * from_step * size, from_step, stop - first, t->size);
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
