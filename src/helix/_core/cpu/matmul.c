/* Kernels of the matmul family: views to hx_gemm. */
#include "gemm.h"

typedef struct side {
    int64_t rows, columns, row, column; /* sizes and strides of the matrix */
} side;

/* The last two axes; a vector is a row on the left and a column on the right. */
static side side_of(const hx_view *v, bool left) {
    int n = v->ndim;
    if (n > 1) return (side){v->shape[n - 2], v->shape[n - 1], v->strides[n - 2], v->strides[n - 1]};
    if (left) return (side){1, v->shape[0], 0, v->strides[0]};
    return (side){v->shape[0], 1, v->strides[0], 0};
}

typedef struct batch {
    int ndim;
    int64_t shape[HX_MAX_RANK], a[HX_MAX_RANK], b[HX_MAX_RANK], c[HX_MAX_RANK];
} batch;

static int64_t stride_at(const hx_view *v, int batch_ndim, int i) {
    int at = i - (batch_ndim - (v->ndim - 2));
    return v->ndim < 3 || at < 0 || v->shape[at] == 1 ? 0 : v->strides[at];
}

/* Batch axes from the innermost on; those that only lengthen A are folded into its rows. */
static void set_batch(hx_gemm_args *g, batch *t, const hx_view *a, const hx_view *b, const hx_view *c, int matrix) {
    int ndim = c->ndim - matrix;
    int64_t step = g->m * g->n;
    bool folding = a->ndim > 1 && b->ndim > 1;
    for (int i = ndim - 1; i >= 0; i--) {
        int64_t size = c->shape[i], sa = stride_at(a, ndim, i), sb = stride_at(b, ndim, i), sc = step;
        step *= size;
        if (size == 1) continue;
        if (folding && t->ndim == 0 && sb == 0 && (sa == g->m * g->a_row || g->m == 1)) {
            if (g->m == 1) g->a_row = sa;
            g->m *= size;
            continue;
        }
        t->shape[t->ndim] = size;
        t->a[t->ndim] = sa;
        t->b[t->ndim] = sb;
        t->c[t->ndim++] = sc;
    }
    g->batch_ndim = t->ndim;
    g->batch_shape = t->shape;
    g->a_batch = t->a;
    g->b_batch = t->b;
    g->c_batch = t->c;
}

/* Copies a row-major result into an output of any strides. */
static void scatter(const hx_view *out, const char *from, int64_t size) {
    int64_t at[HX_MAX_RANK] = {0}, offset = 0;
    for (int64_t i = 0; i < out->numel; i++) {
        memcpy((char *)out->data + offset * size, from + i * size, (size_t)size);
        for (int d = out->ndim - 1; d >= 0; d--) {
            offset += out->strides[d];
            if (++at[d] < out->shape[d]) break;
            offset -= at[d] * out->strides[d];
            at[d] = 0;
        }
    }
}

/* Runs a product whose result is row-major; an output of other strides (out=) is filled afterwards. */
static hx_code run(hx_gemm_args *g, const hx_view *out) {
    if (out->contiguous) {
        g->c = out->data;
        return hx_gemm(g);
    }
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)out->dtype);
    size_t nbytes = (size_t)(out->numel * size);
    if (!nbytes) return HX_OK;
    if (!(g->c = hx_pool_alloc(nbytes))) return HX_E_MEMORY;
    hx_code code = hx_gemm(g);
    if (!code) scatter(out, g->c, size);
    hx_pool_free(g->c, nbytes);
    return code;
}

HX_KERNEL(k_matmul) {
    HX_UNUSED;
    const hx_view *a = &call->in[0], *b = &call->in[1], *c = &call->out[0];
    side l = side_of(a, true), r = side_of(b, false);
    hx_gemm_args g = {.dtype = (hx_dtype)a->dtype, .out = (hx_dtype)a->dtype, .m = l.rows, .n = r.columns, .k = l.columns,
                      .a = a->data, .a_row = l.row, .a_col = l.column, .b = b->data, .b_row = r.row, .b_col = r.column,
                      .c_row = r.columns, .alpha = 1};
    batch t = {0};
    int matrix = (a->ndim > 1) + (b->ndim > 1);
    if (c->ndim > matrix) set_batch(&g, &t, a, b, c, matrix);
    return run(&g, c);
}

/* input (..., in), weight (out, in), bias (out) */
HX_KERNEL(k_linear) {
    HX_UNUSED;
    const hx_view *x = &call->in[0], *w = &call->in[1], *bias = &call->in[2], *c = &call->out[0];
    side l = side_of(x, true);
    int64_t n = w->shape[0];
    hx_gemm_args g = {.dtype = (hx_dtype)x->dtype, .out = (hx_dtype)x->dtype, .m = l.rows, .n = n, .k = l.columns,
                      .a = x->data, .a_row = l.row, .a_col = l.column, .b = w->data, .b_row = w->strides[1],
                      .b_col = w->strides[0], .c_row = n, .alpha = 1, .beta = 1};
    batch t = {0};
    if (c->ndim > 2) set_batch(&g, &t, x, w, c, 2);
    if (hx_absent(bias)) return run(&g, c);
    g.d_col = 1;
    if (n < 2 || bias->strides[0] == 1) {
        g.d = bias->data;
        return run(&g, c);
    }
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)bias->dtype);
    char *dense = hx_pool_alloc((size_t)(n * size));
    if (!dense) return HX_E_MEMORY;
    for (int64_t i = 0; i < n; i++)
        memcpy(dense + i * size, (const char *)bias->data + i * bias->strides[0] * size, (size_t)size);
    g.d = dense;
    hx_code code = run(&g, c);
    hx_pool_free(dense, (size_t)(n * size));
    return code;
}

#define PRODUCTS (HX_SET_ALL & ~HX_BIT(HX_BOOL))

HX_KERNELS(matmul) = {KERNEL(matmul, k_matmul, PRODUCTS),
                      KERNEL(mm, k_matmul, PRODUCTS),
                      KERNEL(bmm, k_matmul, PRODUCTS),
                      KERNEL(mv, k_matmul, PRODUCTS),
                      KERNEL(dot, k_matmul, PRODUCTS),
                      KERNEL(linear, k_linear, PRODUCTS),
                      {0}};
