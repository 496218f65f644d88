#ifndef BACKEND_H
#define BACKEND_H

#include <helix/backend.h>

/* The same name that HELIX_BACKEND_PATH looks for, so that the library also comes in without Python. */
__attribute__((visibility("default"))) const hx_backend *helix_backend_v1(void);

#endif
