/* What the shape rule of the selective scan and its kernels agree on. */
#ifndef HX_SEQUENCE_H
#define HX_SEQUENCE_H

enum { HX_SCAN_CHUNK = 32 }; /* the state is kept before every so many steps, for the backward pass */

#endif
