/* What views, their gradients and their scatter forms share. Included by ops/view.c and ops/place.c. */
#ifndef HX_OPS_VIEW_H
#define HX_OPS_VIEW_H

#include "rules.h"

/* Elements whose positions one thread finds: a constant of nonzero_count and its kernel. */
enum { HX_COUNT_CHUNK = 65536 };

#define SHAPE_OF(t) ((hx_ints){(t)->shape, (t)->ndim})

/* Output 0's spec, with the geometry of in[0]. */
hx_spec *hx_view_start(hx_call *c);

/* A wanted shape with at most one -1, worked out for the elements of another. */
hx_status hx_infer_shape(hx_ints wanted, hx_ints whole, int64_t *shape);

/* Narrow the geometry in `s` by the attributes at the front of c->attr, which are normalised. */
hx_status hx_slice_spec(hx_call *c, hx_spec *s);    /* dim, start, end, step */
hx_status hx_select_spec(hx_call *c, hx_spec *s);   /* dim, index */
hx_status hx_diagonal_spec(hx_call *c, hx_spec *s); /* offset, dim1, dim2 */
hx_status hx_unfold_spec(hx_call *c, hx_spec *s);   /* dimension, size, step */

#endif
