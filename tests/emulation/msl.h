/* Programs of the emulated Metal: MSL compiled by g++ into shared libraries. */
#ifndef EMULATION_MSL_H
#define EMULATION_MSL_H

#include "group.h"

enum { MSL_BUFFERS = 31 };

/* An entry's arguments: MSL_BUFFERS pointers, then as many offsets into the memory that the launch asked for. */
typedef struct msl_kernel {
    emulation_kernel run;
    unsigned buffers; /* bit n: reads or writes buffer n */
    int has_barriers;
    unsigned char *shared, *shared_end;
} msl_kernel;

void *msl_compile(const char *text, char **error); /* NULL: *error is what the compiler says, to be freed */
int msl_find(void *library, const char *name, msl_kernel *found);

#endif
