/* What the user asks of bits, for the whole process. */
#ifndef HX_MODES_H
#define HX_MODES_H

#include <stdatomic.h>
#include <stdbool.h>

/* Kernels of devices that may give other bits in the next call: used, used with a warning, or not used. The CPU has none. */
typedef enum hx_determinism { HX_ANY_BITS, HX_WARN_OF_OTHER_BITS, HX_SAME_BITS } hx_determinism;

/* batch_invariant: what a kernel computes for one index of the leading axis does not depend on how many there are. Kernels
 * then choose their plan without a look at that axis. Everything else about bits is so always. */
typedef struct hx_modes {
    atomic_int determinism;
    atomic_bool batch_invariant;
} hx_modes;
extern hx_modes hx_process_modes __attribute__((visibility("hidden")));

static inline hx_determinism hx_determinism_get(void) {
    return (hx_determinism)atomic_load_explicit(&hx_process_modes.determinism, memory_order_relaxed);
}
static inline void hx_determinism_set(hx_determinism wanted) { atomic_store(&hx_process_modes.determinism, (int)wanted); }

static inline bool hx_batch_invariant(void) {
    return atomic_load_explicit(&hx_process_modes.batch_invariant, memory_order_relaxed);
}
static inline void hx_batch_invariant_set(bool on) { atomic_store(&hx_process_modes.batch_invariant, on); }

#endif
