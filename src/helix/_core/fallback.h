/* The last resort: a call that a device can neither run, render nor take apart is run by the CPU on copies, if the
 * policy allows it. Every such call is counted. */
#ifndef HX_FALLBACK_H
#define HX_FALLBACK_H

#include "op.h"

typedef enum hx_fallback {
    HX_FALLBACK_ERROR,
    HX_FALLBACK_WARN, /* once an op and device; the default */
    HX_FALLBACK_HOST
} hx_fallback;

hx_fallback hx_fallback_set(hx_fallback policy); /* gives the one before */
hx_fallback hx_fallback_get(void);               /* at first HELIX_FALLBACK=error|warn|host */

/* Called once an op and device under HX_FALLBACK_WARN; `text` says what was copied and what to do. */
/* The device's kernel for op may give other bits in the next call, and the user wants to hear of it. */
void hx_warn_of_other_bits(const hx_op *op, const hx_device *device);
void hx_fallback_on_warning(void (*warn)(const char *text));

/* Counts since the start or the last reset, one record an op and device. */
typedef struct hx_fallback_count {
    const hx_op *op;
    const hx_device *device;
    int64_t calls, bytes; /* bytes: copied, both ways */
} hx_fallback_count;
int hx_fallback_counts(hx_fallback_count *counts, int room); /* how many there are; fills at most `room` */
void hx_fallback_reset(void);

/* Which inputs a call writes: groups of `part` tensors from input `list_at` on, group k when bit k of `groups` is set. */
typedef struct hx_written {
    int list_at, part;
    uint8_t groups;
} hx_written;

/* Runs one call on the CPU; random ops under every policy, because their bits are the CPU's. `out` are given, on the
 * device; `written` is NULL for calls that write no input. */
hx_status hx_fallback_run(const hx_op *op, hx_device *device, hx_tensor **in, int n_in, const hx_attr *attr,
                          int n_attr, hx_tensor **out, int n_out, const hx_written *written);

#endif
