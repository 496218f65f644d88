/* Products of complex128 by OpenBLAS, which is up to a third faster than helix's own kernels there; of float64 and complex64
 * it is slower or as fast (asv_benchmarks, products). */
#include "lapack.h"

enum {
    LEAST_SIDE = 64,   /* smaller sides are multiplied where they lie */
    BLOCK_ROWS = 256,  /* of the longer side of the result: one share of the work */
    MOST_BLOCKS = 16
};

/* An operand as BLAS takes it: transposed or not, with one stride of 1. */
typedef struct operand {
    const char *data;
    int64_t step; /* between rows, or columns */
    char turned;
} operand;

/* Row-major is BLAS's transposed: "N" means that rows are adjacent elements. */
static bool as_operand(operand *o, const void *data, int64_t row, int64_t column, int64_t rows, int64_t columns) {
    o->data = data;
    o->turned = column == 1 ? 'N' : 'T';
    o->step = column == 1 ? row : column;
    int64_t least = column == 1 ? columns : rows;
    return (column == 1 || row == 1) && o->step >= least && o->step <= INT32_MAX;
}

bool hx_blas_takes(const hx_gemm_args *g) {
    operand a, b;
    if (g->dtype != HX_C128 || g->dtype != g->out || g->load_b || g->d) return false;
    if (g->m < LEAST_SIDE || g->n < LEAST_SIDE || g->k < LEAST_SIDE) return false;
    if (g->m > INT32_MAX || g->n > INT32_MAX || g->k > INT32_MAX || g->c_row > INT32_MAX) return false;
    return as_operand(&a, g->a, g->a_row, g->a_col, g->m, g->k) && as_operand(&b, g->b, g->b_row, g->b_col, g->k, g->n) &&
           hx_lapack_get();
}

enum { BYTES = 2 * sizeof(double) }; /* of an element */

typedef struct work {
    const hx_gemm_args *g;
    operand a, b;
    int64_t blocks, block; /* of rows, or of columns, of each result */
    bool by_rows;
} work;

static int64_t place(const hx_gemm_args *g, int64_t i, const int64_t *strides) {
    int64_t at = 0;
    for (int d = 0; d < g->batch_ndim; d++) {
        at += i % g->batch_shape[d] * strides[d];
        i /= g->batch_shape[d];
    }
    return at;
}

/* One block of one result: C^T = B^T A^T. */
static void one_block(void *ctx, int64_t chunk) {
    const work *w = ctx;
    const hx_gemm_args *g = w->g;
    int64_t i = chunk / w->blocks, from = chunk % w->blocks * w->block;
    int64_t rows = w->by_rows ? (g->m - from < w->block ? g->m - from : w->block) : g->m;
    int64_t columns = w->by_rows ? g->n : (g->n - from < w->block ? g->n - from : w->block);
    int64_t first_row = w->by_rows ? from : 0, first_column = w->by_rows ? 0 : from;
    const char *a = w->a.data + (place(g, i, g->a_batch) + first_row * g->a_row) * BYTES;
    const char *b = w->b.data + (place(g, i, g->b_batch) + first_column * g->b_col) * BYTES;
    char *c = (char *)g->c + (place(g, i, g->c_batch) + first_row * g->c_row + first_column) * BYTES;
    hx_int m = (hx_int)columns, n = (hx_int)rows, k = (hx_int)g->k, ldb = (hx_int)w->b.step, lda = (hx_int)w->a.step,
           ldc = (hx_int)g->c_row;
    double alpha[2] = {g->alpha, 0}, beta[2] = {0, 0};
    hx_lapack_get()->gemm[hx_lapack_type(HX_C128)](&w->b.turned, &w->a.turned, &m, &n, &k, alpha, b, &ldb, a, &lda, beta, c, &ldc, 1, 1);
}

/* Blocks depend on the shape alone, so that results have the same bits for any number of threads. */
hx_code hx_blas_gemm(const hx_gemm_args *g) {
    work w = {.g = g, .by_rows = g->m >= g->n};
    int64_t side = w.by_rows ? g->m : g->n, items = 1;
    as_operand(&w.a, g->a, g->a_row, g->a_col, g->m, g->k);
    as_operand(&w.b, g->b, g->b_row, g->b_col, g->k, g->n);
    for (int d = 0; d < g->batch_ndim; d++) items *= g->batch_shape[d];
    w.blocks = (side + BLOCK_ROWS - 1) / BLOCK_ROWS;
    if (w.blocks > MOST_BLOCKS) w.blocks = MOST_BLOCKS;
    w.block = (side + w.blocks - 1) / w.blocks;
    w.blocks = (side + w.block - 1) / w.block;
    hx_parallel(items * w.blocks, one_block, &w);
    return HX_OK;
}
