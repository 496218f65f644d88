/* The embedding API inside the core: helix/api.h's table, and what the host language adds to it. */
#ifndef HX_API_INTERNAL_H
#define HX_API_INTERNAL_H

#define HELIX_TYPES_ONLY
#include "helix/api.h"
#include "op.h"

/* What the host language does for embedders; NULL without one. The first three may be
 * called by threads that do not hold its lock. */
typedef struct hx_api_host {
    hx_status (*device_ready)(const char *name); /* loads the plugin that offers the device */
    hx_status (*op_added)(const hx_op *op);
    void (*backend_added)(const char *name);
    struct _object *(*to_python)(hx_tensor *t);
    hx_tensor *(*from_python)(struct _object *o);
    struct _object *(*raise_error)(void); /* the thread's last error is pending again when it is called */
} hx_api_host;

const hx_api *hx_api_table(const hx_api_host *host); /* the host may be NULL */
bool hx_one_of(const char *choices, const char *text, size_t length); /* of "a|b|c"; NULL: anything is */
hx_status hx_api_register_op(const hx_op_def *def, const hx_op **out);

#endif
