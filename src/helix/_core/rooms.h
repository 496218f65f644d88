/* Parallel loops whose bodies need memory of their own, which no two of them use at a time. */
#ifndef HX_ROOMS_H
#define HX_ROOMS_H

#include "threads.h"

/* As hx_parallel, with no more than `rooms` threads; each is told its room in [0, rooms). */
typedef void (*hx_room_body)(void *ctx, int64_t chunk, int room);
bool hx_parallel_rooms(int64_t chunks, int rooms, hx_room_body body, void *ctx);

#endif
