/* Kernels of the matmul family: views to hx_gemm. */
#include "activation.h"
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
    int64_t shape[HX_MAX_RANK], a[HX_MAX_RANK], b[HX_MAX_RANK], c[HX_MAX_RANK], d[HX_MAX_RANK];
} batch;

static int64_t stride_at(const hx_view *v, int batch_ndim, int i) {
    int at = i - (batch_ndim - (v->ndim - 2));
    return v->ndim < 3 || at < 0 || v->shape[at] == 1 ? 0 : v->strides[at];
}

/* Batch axes from the innermost on; those that only lengthen A are folded into its rows. `d`: strides of what is added,
 * along c's axes; NULL: the same for every row, or nothing. */
static void set_batch(hx_gemm_args *g, batch *t, const hx_view *a, const hx_view *b, const hx_view *c, int matrix,
                      const int64_t *d) {
    int ndim = c->ndim - matrix;
    int64_t step = g->m * g->n;
    bool folding = a->ndim > 1 && b->ndim > 1;
    for (int i = ndim - 1; i >= 0; i--) {
        int64_t size = c->shape[i], sa = stride_at(a, ndim, i), sb = stride_at(b, ndim, i), sc = step;
        int64_t sd = d ? d[i] : 0;
        step *= size;
        if (size == 1) continue;
        if (folding && t->ndim == 0 && sb == 0 && (g->m == 1 || (sa == g->m * g->a_row && sd == g->m * g->d_row))) {
            if (g->m == 1) g->a_row = sa, g->d_row = sd;
            g->m *= size;
            continue;
        }
        t->shape[t->ndim] = size;
        t->a[t->ndim] = sa;
        t->b[t->ndim] = sb;
        t->d[t->ndim] = sd;
        t->c[t->ndim++] = sc;
    }
    g->batch_ndim = t->ndim;
    g->batch_shape = t->shape;
    g->a_batch = t->a;
    g->b_batch = t->b;
    g->c_batch = t->c;
    g->d_batch = t->d;
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
    if (c->ndim > matrix) set_batch(&g, &t, a, b, c, matrix, NULL);
    return run(&g, c);
}

/* A vector of n elements with adjacent ones: itself, or a copy in *room (to be freed), which is NULL for lack of memory. */
static const void *dense_vector(const hx_view *v, int64_t n, void **room) {
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)v->dtype);
    *room = NULL;
    if (n < 2 || v->strides[0] == 1) return v->data;
    if (!(*room = hx_pool_alloc((size_t)(n * size)))) return NULL;
    for (int64_t i = 0; i < n; i++)
        memcpy((char *)*room + i * size, (const char *)v->data + i * v->strides[0] * size, (size_t)size);
    return *room;
}
static void free_vector(void *room, int64_t n, int64_t size) {
    if (room) hx_pool_free(room, (size_t)(n * size));
}

/* input (..., in) times weight (out, in) */
static hx_gemm_args layer(const hx_view *x, const hx_view *w, const hx_view *c, batch *t) {
    side l = side_of(x, true);
    int64_t n = w->shape[0];
    hx_gemm_args g = {.dtype = (hx_dtype)x->dtype, .out = (hx_dtype)c->dtype, .m = l.rows, .n = n, .k = l.columns,
                      .a = x->data, .a_row = l.row, .a_col = l.column, .b = w->data, .b_row = w->strides[1],
                      .b_col = w->strides[0], .c_row = n, .alpha = 1, .beta = 1};
    if (c->ndim > 2) set_batch(&g, t, x, w, c, 2, NULL);
    return g;
}

/* Do all rows of x lie at one distance from each other, as those of one matrix? */
static bool in_one_matrix(const hx_view *x) {
    int64_t step = 0, count = 1; /* of the rows in the axes seen, from the last one on */
    for (int d = x->ndim - 2; d >= 0; d--) {
        if (x->shape[d] == 1) continue;
        if (count > 1 && x->strides[d] != step * count) return false;
        if (count == 1) step = x->strides[d];
        count *= x->shape[d];
    }
    return true;
}

/* x with its rows one after the other, in memory to be freed: one product with the weight instead of one for each batch, which
 * would all pack it. */
static hx_code line_up(hx_view *x, int64_t *strides, hx_err *err) {
    hx_view to = *x;
    int64_t step = 1;
    if (!(to.data = hx_pool_alloc((size_t)x->numel * hx_dtype_size((hx_dtype)x->dtype)))) return HX_E_MEMORY;
    for (int d = x->ndim - 1; d >= 0; d--) {
        strides[d] = step;
        step *= x->shape[d];
    }
    to.strides = strides;
    to.contiguous = true;
    hx_code code = hx_copy_same(&to, x, err);
    *x = to;
    return code;
}

static hx_code run_linear(const hx_op_call *call, const hx_attr *activation, hx_err *err) {
    const hx_view *bias = &call->in[2], *c = &call->out[0];
    batch t = {0};
    hx_mapping map;
    hx_view x = call->in[0];
    int64_t strides[HX_MAX_RANK];
    void *room = NULL;
    const size_t nbytes = (size_t)x.numel * hx_dtype_size((hx_dtype)x.dtype);
    const bool lined = x.ndim > 2 && nbytes && !in_one_matrix(&x);
    hx_code code = lined ? line_up(&x, strides, err) : HX_OK;
    if (code) {
        if (x.data != call->in[0].data) hx_pool_free(x.data, nbytes);
        return code;
    }
    hx_gemm_args g = layer(&x, &call->in[1], c, &t);
    if (activation) {
        g.activate = hx_activation_loop(activation, g.out, &map);
        g.activate_ctx = &map;
    }
    if (!hx_absent(bias)) {
        g.d_col = 1;
        g.d = dense_vector(bias, g.n, &room);
    }
    code = hx_absent(bias) || g.d ? run(&g, c) : HX_E_MEMORY;
    free_vector(room, g.n, (int64_t)hx_dtype_size(g.dtype));
    if (lined) hx_pool_free(x.data, nbytes);
    return code;
}
HX_KERNEL(k_linear) {
    HX_UNUSED;
    return run_linear(call, NULL, err);
}
HX_KERNEL(k_linear_activation) {
    HX_UNUSED;
    return run_linear(call, &call->attr[0], err);
}

/* The elements of a view of any strides, which are those of `shape`, in row-major order. */
static void *gather(const hx_view *v, const hx_view *shape, const int64_t *strides) {
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)v->dtype), at[HX_MAX_RANK] = {0}, offset = 0;
    char *to = hx_pool_alloc((size_t)(shape->numel * size));
    for (int64_t i = 0; to && i < shape->numel; i++) {
        memcpy(to + i * size, (const char *)v->data + offset * size, (size_t)size);
        for (int d = shape->ndim - 1; d >= 0; d--) {
            offset += strides[d];
            if (++at[d] < shape->shape[d]) break;
            offset -= at[d] * strides[d];
            at[d] = 0;
        }
    }
    return to;
}

/* beta * input + alpha * a @ b of matrices or batches of as many axes as the result has; input is stretched. */
HX_KERNEL(k_add_matmul) {
    HX_UNUSED;
    const hx_view *d = &call->in[0], *a = &call->in[1], *b = &call->in[2], *c = &call->out[0];
    side l = side_of(a, true), r = side_of(b, false);
    int64_t strides[HX_MAX_RANK];
    if (!c->numel) return HX_OK;
    for (int i = 0; i < c->ndim; i++) {
        int at = i - (c->ndim - d->ndim);
        strides[i] = at < 0 || d->shape[at] == 1 ? 0 : d->strides[at];
    }
    int64_t row = strides[c->ndim - 2], column = strides[c->ndim - 1];
    void *room = NULL;
    if (column != 0 && column != 1) {
        if (!(room = gather(d, c, strides))) return HX_E_MEMORY;
        int64_t step = 1;
        for (int i = c->ndim - 1; i >= 0; step *= c->shape[i--]) strides[i] = step;
        row = r.columns;
        column = 1;
    }
    hx_gemm_args g = {.dtype = (hx_dtype)a->dtype, .out = (hx_dtype)a->dtype, .m = l.rows, .n = r.columns, .k = l.columns,
                      .a = a->data, .a_row = l.row, .a_col = l.column, .b = b->data, .b_row = r.row, .b_col = r.column,
                      .c_row = r.columns, .d = room ? room : d->data, .d_row = row, .d_col = column,
                      .beta = call->attr[0].v.f, .alpha = call->attr[1].v.f};
    batch t = {0};
    if (c->ndim > 2) set_batch(&g, &t, a, b, c, 2, strides);
    hx_code code = run(&g, c);
    if (room) hx_pool_free(room, (size_t)c->numel * hx_dtype_size(g.dtype));
    return code;
}

/* ---- groups ---- */

/* Do ends rise, within size? */
static hx_code check_ends(const hx_view *ends, int64_t size, hx_err *err) {
    const int64_t *end = ends->data;
    for (int64_t g = 0, last = 0; g < ends->shape[0]; g++) {
        int64_t now = end[g * ends->strides[0]];
        if (now < last || now > size)
            return hx_kernel_fail_about(FACTS("ends", hx_text("%lld..%lld", (long long)last, (long long)size),
                                              hx_text("%lld", (long long)now)), err, HX_E_VALUE, HX1403_VALUE,
                                        "ends must rise and end at %lld at most, got %lld after %lld", (long long)size,
                                        (long long)now, (long long)last);
        last = now;
    }
    return HX_OK;
}

typedef struct groups {
    const hx_view *a, *b, *ends;
    int64_t m, n, k, row, column; /* of all; and the strides of a matrix b */
    bool inner;                   /* groups along k */
    bool list;                    /* b is a view for each */
} groups;

/* Row-major, to `to`. */
static hx_code multiply_groups(const groups *p, char *to) {
    const int64_t size = (int64_t)hx_dtype_size((hx_dtype)p->a->dtype);
    int64_t begin = 0;
    for (int64_t g = 0; g < p->ends->shape[0]; g++) {
        int64_t end = ((const int64_t *)p->ends->data)[g * p->ends->strides[0]];
        const hx_view *b = p->list ? p->b + g : p->b;
        int64_t row = p->list ? b->strides[1] : p->row, column = p->list ? b->strides[0] : p->column;
        int64_t at = p->inner ? begin * row : p->list ? 0 : g * b->strides[0];
        hx_gemm_args args = {.dtype = (hx_dtype)p->a->dtype, .out = (hx_dtype)p->a->dtype, .alpha = 1,
                             .m = p->inner ? p->m : end - begin, .n = p->n, .k = p->inner ? end - begin : p->k,
                             .a_row = p->a->strides[0], .a_col = p->a->strides[1], .b_row = row, .b_col = column,
                             .c_row = p->n};
        args.a = (const char *)p->a->data + begin * p->a->strides[p->inner] * size;
        args.b = (const char *)b->data + at * size;
        args.c = to + (p->inner ? g * p->m * p->n : begin * p->n) * size;
        hx_code code = args.m && args.n ? hx_gemm(&args) : HX_OK;
        if (code) return code;
        begin = end;
    }
    if (!p->inner) memset(to + begin * p->n * size, 0, (size_t)((p->m - begin) * p->n * size));
    return HX_OK;
}

static hx_code run_groups(const groups *p, const hx_view *out, hx_err *err) {
    hx_code code = check_ends(p->ends, p->inner ? p->k : p->m, err);
    if (code || !out->numel) return code;
    if (out->contiguous) return multiply_groups(p, out->data);
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)out->dtype);
    size_t nbytes = (size_t)(out->numel * size);
    char *room = hx_pool_alloc(nbytes);
    if (!room) return HX_E_MEMORY;
    if (!(code = multiply_groups(p, room))) scatter(out, room, size);
    hx_pool_free(room, nbytes);
    return code;
}

HX_KERNEL(k_grouped_matmul) {
    HX_UNUSED;
    const hx_view *a = &call->in[0], *b = &call->in[1];
    side r = side_of(b, false);
    groups p = {.a = a, .b = b, .ends = &call->in[2], .m = a->shape[0], .n = r.columns, .k = a->shape[1], .row = r.row,
                .column = r.column, .inner = b->ndim == 2};
    return run_groups(&p, &call->out[0], err);
}

HX_KERNEL(k_grouped_linear) {
    HX_UNUSED;
    const hx_view *a = &call->in[0], *c = &call->out[0];
    groups p = {.a = a, .b = &call->in[2], .ends = &call->in[1], .m = a->shape[0], .n = c->shape[1], .k = a->shape[1],
                .list = true};
    return run_groups(&p, c, err);
}

/* ---- bytes ---- */

/* Bytes of one matrix have a sign, those of the other perhaps not. */
static void set_bytes(hx_gemm_args *g, const hx_view *b) {
    if ((hx_dtype)b->dtype != g->dtype) g->b_bytes = (hx_dtype)b->dtype;
}

HX_KERNEL(k_int_mm) {
    HX_UNUSED;
    const hx_view *a = &call->in[0], *b = &call->in[1], *c = &call->out[0];
    hx_gemm_args g = {.dtype = (hx_dtype)a->dtype, .out = HX_I32, .m = a->shape[0], .n = b->shape[1], .k = a->shape[1],
                      .a = a->data, .a_row = a->strides[0], .a_col = a->strides[1], .b = b->data, .b_row = b->strides[0],
                      .b_col = b->strides[1], .c_row = b->shape[1], .alpha = 1};
    set_bytes(&g, b);
    return run(&g, c);
}

/* What a zero point adds to the sum of each output: zero point x the sum of its row of the weight. */
typedef struct row_sums {
    const hx_view *w;
    int32_t *sums, zero_point;
} row_sums;

static void add_rows(void *ctx, int64_t begin, int64_t end) {
    const row_sums *p = ctx;
    const int64_t k = p->w->shape[1], step = p->w->strides[1];
    for (int64_t j = begin; j < end; j++) {
        const char *from = (const char *)p->w->data + j * p->w->strides[0];
        uint32_t sum = 0;
        if (p->w->dtype == HX_U8) for (int64_t i = 0; i < k; i++) sum += *(const uint8_t *)(from + i * step);
        else if (step == 1) for (int64_t i = 0; i < k; i++) sum += (uint32_t)((const int8_t *)from)[i];
        else for (int64_t i = 0; i < k; i++) sum += (uint32_t)*(const int8_t *)(from + i * step);
        p->sums[j] = (int32_t)(sum * (uint32_t)p->zero_point);
    }
}

/* scale of each column, and the sums that the zero point adds (none for 0), in one block of room. */
static char *column_numbers(const hx_op_call *call, int64_t n, hx_gemm_args *g) {
    const hx_view *scale = &call->in[2];
    float *numbers = hx_pool_alloc((size_t)(2 * n) * sizeof *numbers);
    if (!numbers) return NULL;
    const float *from = scale->data;
    for (int64_t j = 0; j < n; j++) numbers[j] = from[scale->ndim && scale->shape[0] > 1 ? j * scale->strides[0] : 0];
    g->scale = numbers;
    row_sums p = {&call->in[1], (int32_t *)(numbers + n), (int32_t)call->attr[0].v.i};
    if (p.zero_point) {
        hx_parallel_range(n, hx_grain(p.w->shape[1]), add_rows, &p);
        g->less = p.sums;
    }
    return (char *)numbers;
}

HX_KERNEL(k_quantized_linear) {
    HX_UNUSED;
    const hx_view *bias = &call->in[3], *c = &call->out[0];
    batch t = {0};
    hx_mapping map;
    void *room = NULL;
    hx_gemm_args g = layer(&call->in[0], &call->in[1], c, &t);
    if (!c->numel) return HX_OK;
    set_bytes(&g, &call->in[1]);
    g.activate = hx_activation_loop(&call->attr[1], g.out, &map);
    g.activate_ctx = &map;
    char *numbers = column_numbers(call, g.n, &g);
    if (!numbers) return HX_E_MEMORY;
    hx_code code = HX_OK;
    if (!hx_absent(bias)) {
        g.d_col = 1;
        if (!(g.d = dense_vector(bias, g.n, &room))) code = HX_E_MEMORY;
    }
    if (!code) code = run(&g, c);
    free_vector(room, g.n, sizeof(float));
    hx_pool_free(numbers, (size_t)(2 * g.n) * sizeof(float));
    return code;
}

#define BYTES (HX_BIT(HX_I8) | HX_BIT(HX_U8))
#define PRODUCTS (HX_SET_ALL & ~HX_BIT(HX_BOOL))

HX_KERNELS(matmul) = {KERNEL(matmul, k_matmul, PRODUCTS),
                      KERNEL(mm, k_matmul, PRODUCTS),
                      KERNEL(bmm, k_matmul, PRODUCTS),
                      KERNEL(mv, k_matmul, PRODUCTS),
                      KERNEL(dot, k_matmul, PRODUCTS),
                      KERNEL(linear, k_linear, PRODUCTS),
                      KERNEL(linear_activation, k_linear_activation, HX_SET_FLOAT),
                      KERNEL(add_matmul, k_add_matmul, HX_SET_FLOAT),
                      KERNEL(grouped_matmul, k_grouped_matmul, HX_SET_FLOAT),
                      KERNEL(grouped_linear, k_grouped_linear, HX_SET_FLOAT),
                      KERNEL(int_mm, k_int_mm, BYTES),
                      KERNEL(quantized_linear, k_quantized_linear, BYTES),
                      {0}};
