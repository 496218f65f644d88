/* What may be written: read-only memory, expanded tensors, leaves and overlaps are refused before anything is. */
#ifndef HX_WRITTEN_H
#define HX_WRITTEN_H

#include "op.h"

/* Can two tensors share an element? By the extents of both, so tensors that interleave count as sharing. */
bool hx_overlaps(const hx_tensor *a, const hx_tensor *b);
bool hx_same_elements(const hx_tensor *a, const hx_tensor *b); /* in the same order */

/* May a result of this spec (NULL: one that is known to fit) be written into t? `argument` names t in errors. */
hx_status hx_check_written(const hx_tensor *t, const hx_spec *s, const char *argument);

#endif
