/* helix/version.h: the version of the helix that these headers came with. */
#ifndef HELIX_VERSION_H
#define HELIX_VERSION_H

#define HELIX_VERSION_MAJOR 0
#define HELIX_VERSION_MINOR 1
#define HELIX_VERSION_PATCH 0
#define HELIX_VERSION       "0.1.0"

#endif
