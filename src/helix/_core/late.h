/* What kernels find wrong in their data while they run: an index outside its axis, so far. Each stream has a record on
 * the device, which such kernels write and helix reads when it next waits for the stream. */
#ifndef HX_LATE_H
#define HX_LATE_H

#include "device.h"

enum { HX_LATE_WORDS = 4 }; /* int32: number of the op in the registry + 1, index, size of the axis, and the axis,
                               or -1 - axis where negative indices do not count from the end */

/* The record of this thread's stream for a kernel that is about to be launched, made at its first use. `op`: what word 0
 * must become. */
hx_status hx_late_record(hx_device *d, const hx_mem **record, int32_t *op);

/* After a stream was waited for: HX_OK, or the fault in its record, which is cleared. */
hx_status hx_late_check(hx_stream *s);
hx_status hx_late_check_all(hx_device *d);

void hx_late_release(hx_stream *s);

#endif
