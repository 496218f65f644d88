/* The few words the C tests are written with. A failed check prints where and ends the test with status 1. */
#ifndef HX_CHECK_H
#define HX_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "error.h"

#define CHECK(condition)                                                                                      \
    do {                                                                                                      \
        if (!(condition)) {                                                                                   \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                   \
            if (hx_error_pending()) fprintf(stderr, "pending: %s\n", hx_error_last()->text);                  \
            exit(1);                                                                                          \
        }                                                                                                     \
    } while (0)

#define CHECK_INT(got, wanted)                                                                                \
    do {                                                                                                      \
        long long got_ = (long long)(got), wanted_ = (long long)(wanted);                                     \
        if (got_ != wanted_) {                                                                                \
            fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #got, got_, wanted_);        \
            if (hx_error_pending()) fprintf(stderr, "pending: %s\n", hx_error_last()->text);                  \
            exit(1);                                                                                          \
        }                                                                                                     \
    } while (0)

#define CHECK_TEXT(got, wanted)                                                                               \
    do {                                                                                                      \
        const char *got_ = (got), *wanted_ = (wanted);                                                        \
        if (strcmp(got_, wanted_) != 0) {                                                                     \
            fprintf(stderr, "%s:%d: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, #got, got_, wanted_);    \
            exit(1);                                                                                          \
        }                                                                                                     \
    } while (0)

/* The call must fail with this code and number, and its message must hold `part`; the error is cleared. */
#define CHECK_FAILS(call, wanted_code, wanted_number, part)                                                   \
    do {                                                                                                      \
        hx_status status_ = (call);                                                                           \
        CHECK_INT(status_, wanted_code);                                                                      \
        CHECK_INT(hx_error_last()->code, wanted_code);                                                        \
        CHECK_INT(hx_error_last()->number, wanted_number);                                                    \
        if (!strstr(hx_error_last()->text, part)) {                                                           \
            fprintf(stderr, "%s:%d: \"%s\" is not in \"%s\"\n", __FILE__, __LINE__, part,                     \
                    hx_error_last()->text);                                                                   \
            exit(1);                                                                                          \
        }                                                                                                     \
        hx_error_clear();                                                                                     \
    } while (0)

#define COUNT_OF(array) ((int)(sizeof(array) / sizeof *(array)))

#endif
