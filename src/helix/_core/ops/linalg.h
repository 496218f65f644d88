/* What the two families of linear algebra share: linalg.c and spectral.c. */
#ifndef HX_LINALG_H
#define HX_LINALG_H

#include "../trace.h"
#include "rules.h"

#define HX_SET_LINALG (HX_BIT(HX_F32) | HX_BIT(HX_F64) | HX_SET_COMPLEX)

/* A size counted from the end: SIZE(t, -1) columns, SIZE(t, -2) rows. */
#define SIZE(t, i) ((t)->shape[(t)->ndim + (i)])

/* Refuse what is no batch of matrices (square ones), or of a dtype that LAPACK does not know. */
hx_status hx_require_matrix(const hx_tensor *t, const char *name);
hx_status hx_require_square(const hx_tensor *t, const char *name);
hx_status hx_require_equal_sides(const hx_tensor *t, const char *name); /* of any dtype */
hx_status hx_refuse_matrix_dtype(const char *name, hx_dtype dtype);

/* The batch of t, and `own` more axes. */
void hx_spec_matrix(hx_spec *s, const hx_tensor *t, hx_dtype dtype, int own, int64_t rows, int64_t columns);

/* LinAlgError where an entry of info is not 0; `fault` says what a positive one means. */
hx_status hx_check_info(hx_tensor *info, const char *fault);

/* Conjugate transpose. */
static inline hx_tensor *hx_adjoint(hx_tensor *t) { return cj(CALL(transpose, t, -2, -1)); }
static inline hx_tensor *hx_identity(const hx_tensor *like, int64_t rows, int64_t columns) {
    return like ? CALL(eye, rows, columns, (int)like->dtype) : NULL;
}
/* The strictly lower triangle, with ones on the diagonal. */
static inline hx_tensor *hx_unit_lower(hx_tensor *t) {
    return t ? CALL(add, CALL(tril, t, -1), hx_identity(t, SIZE(t, -2), SIZE(t, -1))) : NULL;
}

#endif
