/* BLAS and LAPACK as a table of function pointers, filled when it is first needed from the OpenBLAS that lies beside helix
 * (or from the library that HELIX_BLAS names).
 *
 * Names and arguments: https://netlib.org/lapack/explore-html. A routine has one entry a type, at the position that
 * hx_lapack_type gives: s, d, c, z. Matrices are column-major there; a row-major matrix is its transpose. The lengths that
 * Fortran takes for characters stand at the end, as compilers pass them. */
#ifndef HX_LAPACK_H
#define HX_LAPACK_H

#include "cpu.h"
#include "gemm.h"

enum { HX_LAPACK_TYPES = 4 };
static inline int hx_lapack_type(hx_dtype t) { return (int)t - HX_F32; }
#define HX_SET_LAPACK (HX_BIT(HX_F32) | HX_BIT(HX_F64) | HX_SET_COMPLEX)

typedef int32_t hx_int; /* of Fortran */
#define I_ const hx_int *
#define C_ const char *
#define V_ const void *

/* In the order of `routines` in lapack.c. A routine of real and complex numbers that takes different arguments has an
 * entry for each. */
typedef struct hx_lapack {
    void (*gemm[HX_LAPACK_TYPES])(C_ ta, C_ tb, I_ m, I_ n, I_ k, V_ alpha, V_ a, I_ lda, V_ b, I_ ldb, V_ beta, void *c,
                                  I_ ldc, size_t, size_t);
    void (*trsm[HX_LAPACK_TYPES])(C_ side, C_ uplo, C_ trans, C_ diag, I_ m, I_ n, V_ alpha, V_ a, I_ lda, void *b, I_ ldb,
                                  size_t, size_t, size_t, size_t);
    void (*trsv[HX_LAPACK_TYPES])(C_ uplo, C_ trans, C_ diag, I_ n, V_ a, I_ lda, void *x, I_ step, size_t, size_t, size_t);
    void (*getrf[HX_LAPACK_TYPES])(I_ m, I_ n, void *a, I_ lda, hx_int *pivots, hx_int *info);
    void (*getrs[HX_LAPACK_TYPES])(C_ trans, I_ n, I_ columns, V_ a, I_ lda, I_ pivots, void *b, I_ ldb, hx_int *info, size_t);
    void (*getri[HX_LAPACK_TYPES])(I_ n, void *a, I_ lda, I_ pivots, void *work, I_ lwork, hx_int *info);
    void (*potrf[HX_LAPACK_TYPES])(C_ uplo, I_ n, void *a, I_ lda, hx_int *info, size_t);
    void (*geqrf[HX_LAPACK_TYPES])(I_ m, I_ n, void *a, I_ lda, void *tau, void *work, I_ lwork, hx_int *info);
    void (*ungqr[HX_LAPACK_TYPES])(I_ m, I_ n, I_ k, void *a, I_ lda, V_ tau, void *work, I_ lwork, hx_int *info);
    void (*sytrf[HX_LAPACK_TYPES])(C_ uplo, I_ n, void *a, I_ lda, hx_int *pivots, void *work, I_ lwork, hx_int *info, size_t);
    void (*hetrf[HX_LAPACK_TYPES])(C_ uplo, I_ n, void *a, I_ lda, hx_int *pivots, void *work, I_ lwork, hx_int *info, size_t);
    void (*sytrs[HX_LAPACK_TYPES])(C_ uplo, I_ n, I_ columns, V_ a, I_ lda, I_ pivots, void *b, I_ ldb, hx_int *info, size_t);
    void (*hetrs[HX_LAPACK_TYPES])(C_ uplo, I_ n, I_ columns, V_ a, I_ lda, I_ pivots, void *b, I_ ldb, hx_int *info, size_t);
    void (*gels[HX_LAPACK_TYPES])(C_ trans, I_ m, I_ n, I_ columns, void *a, I_ lda, void *b, I_ ldb, void *work, I_ lwork,
                                  hx_int *info, size_t);
    void (*syevd[HX_LAPACK_TYPES])(C_ jobz, C_ uplo, I_ n, void *a, I_ lda, void *w, void *work, I_ lwork, hx_int *iwork,
                                   I_ liwork, hx_int *info, size_t, size_t);
    void (*heevd[HX_LAPACK_TYPES])(C_ jobz, C_ uplo, I_ n, void *a, I_ lda, void *w, void *work, I_ lwork, void *rwork,
                                   I_ lrwork, hx_int *iwork, I_ liwork, hx_int *info, size_t, size_t);
    void (*geev_real[HX_LAPACK_TYPES])(C_ left, C_ right, I_ n, void *a, I_ lda, void *wr, void *wi, void *vl, I_ ldvl,
                                       void *vr, I_ ldvr, void *work, I_ lwork, hx_int *info, size_t, size_t);
    void (*geev[HX_LAPACK_TYPES])(C_ left, C_ right, I_ n, void *a, I_ lda, void *w, void *vl, I_ ldvl, void *vr, I_ ldvr,
                                  void *work, I_ lwork, void *rwork, hx_int *info, size_t, size_t);
    void (*gesdd_real[HX_LAPACK_TYPES])(C_ jobz, I_ m, I_ n, void *a, I_ lda, void *s, void *u, I_ ldu, void *vt, I_ ldvt,
                                        void *work, I_ lwork, hx_int *iwork, hx_int *info, size_t);
    void (*gesdd[HX_LAPACK_TYPES])(C_ jobz, I_ m, I_ n, void *a, I_ lda, void *s, void *u, I_ ldu, void *vt, I_ ldvt,
                                   void *work, I_ lwork, void *rwork, hx_int *iwork, hx_int *info, size_t);
    void (*gesvd_real[HX_LAPACK_TYPES])(C_ jobu, C_ jobvt, I_ m, I_ n, void *a, I_ lda, void *s, void *u, I_ ldu, void *vt,
                                        I_ ldvt, void *work, I_ lwork, hx_int *info, size_t, size_t);
    void (*gesvd[HX_LAPACK_TYPES])(C_ jobu, C_ jobvt, I_ m, I_ n, void *a, I_ lda, void *s, void *u, I_ ldu, void *vt,
                                   I_ ldvt, void *work, I_ lwork, void *rwork, hx_int *info, size_t, size_t);
    void (*gelsy_real[HX_LAPACK_TYPES])(I_ m, I_ n, I_ columns, void *a, I_ lda, void *b, I_ ldb, hx_int *jpvt, V_ rcond,
                                        hx_int *rank, void *work, I_ lwork, hx_int *info);
    void (*gelsy[HX_LAPACK_TYPES])(I_ m, I_ n, I_ columns, void *a, I_ lda, void *b, I_ ldb, hx_int *jpvt, V_ rcond,
                                   hx_int *rank, void *work, I_ lwork, void *rwork, hx_int *info);
    void (*gelss_real[HX_LAPACK_TYPES])(I_ m, I_ n, I_ columns, void *a, I_ lda, void *b, I_ ldb, void *s, V_ rcond,
                                        hx_int *rank, void *work, I_ lwork, hx_int *info);
    void (*gelss[HX_LAPACK_TYPES])(I_ m, I_ n, I_ columns, void *a, I_ lda, void *b, I_ ldb, void *s, V_ rcond,
                                   hx_int *rank, void *work, I_ lwork, void *rwork, hx_int *info);
    void (*gelsd_real[HX_LAPACK_TYPES])(I_ m, I_ n, I_ columns, void *a, I_ lda, void *b, I_ ldb, void *s, V_ rcond,
                                        hx_int *rank, void *work, I_ lwork, hx_int *iwork, hx_int *info);
    void (*gelsd[HX_LAPACK_TYPES])(I_ m, I_ n, I_ columns, void *a, I_ lda, void *b, I_ ldb, void *s, V_ rcond,
                                   hx_int *rank, void *work, I_ lwork, void *rwork, hx_int *iwork, hx_int *info);
} hx_lapack;

#undef I_
#undef C_
#undef V_

/* The table; loads the library at the first call. NULL where there is none: hx_lapack_missing says why. */
const hx_lapack *hx_lapack_get(void);
hx_code hx_lapack_missing(hx_err *err);

/* Is this product one that the library does faster than helix's own kernels? */
bool hx_blas_takes(const hx_gemm_args *g);
hx_code hx_blas_gemm(const hx_gemm_args *g);

#endif
