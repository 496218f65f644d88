/* Matrix products: C = f(alpha * A B + beta * D), in batches, for any strides of A and B.
 *
 * The engine packs blocks of A and B into the order its register tiles read them (Goto and van de Geijn,
 * "Anatomy of high-performance matrix multiplication", TOMS 2008) and multiplies small or skinny operands where
 * they lie. Every element of C is summed in an order that depends on k and the strides alone, so results have the
 * same bits for any number of threads and any position in a batch. */
#ifndef HX_GEMM_H
#define HX_GEMM_H

#include "cpu.h"

/* Writes rows [k0, k1) of columns [j0, j1) of batch item `batch` of B to panel[(k - k0) * pitch + (j - j0)].
 * Elements of the panel are double for f64 and float for f32, f16 and bf16. Called from several threads. */
typedef void (*hx_gemm_load)(const void *ctx, int64_t batch, int64_t k0, int64_t k1, int64_t j0, int64_t j1,
                             void *panel, int64_t pitch);

/* Strides count elements; rows of C lie c_row apart and its columns are adjacent. Start from a zeroed struct:
 *   hx_gemm_args g = {.dtype = HX_F32, .out = HX_F32, .m = m, .n = n, .k = k, .alpha = 1, .beta = 1, ...}; */
typedef struct hx_gemm_args {
    hx_dtype dtype;       /* of A and B: any but bool */
    hx_dtype b_bytes;     /* HX_I8 or HX_U8: of B, where A has the other one. 0 (HX_BOOL): as `dtype` */
    hx_dtype out;         /* of C and D: `dtype`; or HX_F32 for f16 and bf16; or HX_I32 for i8 and u8, or HX_F32 with `scale` */
    int64_t m, n, k;
    const void *a;
    int64_t a_row, a_col; /* A[i, p] = a[i * a_row + p * a_col] */
    const void *b;
    int64_t b_row, b_col; /* B[p, j] = b[p * b_row + j * b_col] */
    hx_gemm_load load_b;  /* when not NULL, B comes from here instead (real floating dtypes): implicit im2col */
    const void *load_ctx;
    void *c;
    int64_t c_row;
    const void *d;        /* NULL: nothing is added. May be c itself (accumulate) */
    int64_t d_row, d_col; /* bias of each column: 0, 1; bias of each row: 1, 0; accumulate: c_row, 1.
                             d_col is 0 or 1; only 1 for complex */
    double alpha, beta;   /* beta is not read without d */
    const float *scale;   /* of quantized numbers, for each column: C = scale * (A B - less) + D, in float. alpha is not read */
    const int32_t *less;  /* may be NULL with `scale` */
    hx_loop activate;     /* f, in place on finished elements of C, while they are in a cache; NULL: none */
    const void *activate_ctx;
    int batch_ndim;       /* 0: one product */
    const int64_t *batch_shape, *a_batch, *b_batch, *c_batch, *d_batch; /* batch_ndim each; strides may be 0 */
} hx_gemm_args;

/* Uses hx_parallel; called inside a parallel body it runs on the caller alone. Fails only for lack of scratch
 * memory (HX_E_MEMORY), before C is changed. */
hx_code HX_ISA_NAME(hx_gemm)(const hx_gemm_args *args);
#define hx_gemm HX_ISA_NAME(hx_gemm)

/* ---- parts, for kernels with small products inside; `dtype` is HX_F32 or HX_F64 where sums are meant ---- */

/* Columns of a packed panel for sums of this dtype (of what the dtype is widened to). */
int HX_ISA_NAME(hx_gemm_width)(hx_dtype dtype);

/* Packs B (k rows, n columns, real dtype) into panels[ceil(n / width)][k][width] of sums (float or double), filled up
 * with zeros. */
void HX_ISA_NAME(hx_gemm_pack)(hx_dtype dtype, void *panels, const void *b, int64_t b_row, int64_t b_col, int64_t k,
                               int64_t n);

/* C = A B, or C += A B with `add`, of sums on the calling thread. One stride of A is 1. Panel j of B starts at
 * b + j * b_panel, its rows are b_step apart and hold a full width of readable elements. */
void HX_ISA_NAME(hx_gemm_block)(hx_dtype dtype, int64_t m, int64_t n, int64_t k, const void *a, int64_t a_row,
                                int64_t a_col, const void *b, int64_t b_panel, int64_t b_step, void *c, int64_t c_row,
                                bool add);

/* C = A B for a few rows of A, which are contiguous sums; B (of any floating dtype) is read once, where it lies, and
 * b_row or b_col is 1. */
void HX_ISA_NAME(hx_gemm_rows)(hx_dtype dtype, int64_t m, int64_t n, int64_t k, const void *a, int64_t a_row,
                               const void *b, int64_t b_row, int64_t b_col, void *c, int64_t c_row);

#define hx_gemm_width HX_ISA_NAME(hx_gemm_width)
#define hx_gemm_pack HX_ISA_NAME(hx_gemm_pack)
#define hx_gemm_block HX_ISA_NAME(hx_gemm_block)
#define hx_gemm_rows HX_ISA_NAME(hx_gemm_rows)

#endif
