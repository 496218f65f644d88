/* Reductions over the first axes, or over all, of numbers that another kernel makes piece by piece: what the op's own kernel
 * gives for the numbers in memory, to the bit. The pieces are those in which it would read them. */
#ifndef HX_REDUCE_FED_H
#define HX_REDUCE_FED_H

#include "blocks.h"

/* What is combined so far. */
typedef union cell {
    double f;
    int64_t i;
} cell;

enum { HX_FED_WIDTH = 1024, HX_FED_BLOCK = HX_BLOCK }; /* columns, or elements of a run, that are taken at once, at most */

typedef struct hx_fed {
    int64_t width;       /* rows of so many columns are added up; 0: one run of elements is */
    int64_t count;       /* rows, or elements of the run */
    int64_t parts, part; /* it is cut into so many parts, of so many rows or elements: each begins from nothing */
    _Alignas(16) char job[1536];
} hx_fed;

#define hx_fed_open HX_ISA_NAME(hx_fed_open)
#define hx_fed_start HX_ISA_NAME(hx_fed_start)
#define hx_fed_rows HX_ISA_NAME(hx_fed_rows)
#define hx_fed_run HX_ISA_NAME(hx_fed_run)
#define hx_fed_keep HX_ISA_NAME(hx_fed_keep)
#define hx_fed_close HX_ISA_NAME(hx_fed_close)

/* `call` is that of the reduction, keepdim, with a contiguous input whose memory is not looked at. False where the kernel reads
 * its input in another way, or there is no memory: it has to be run itself. */
bool hx_fed_open(hx_fed *f, const hx_op_call *call);
/* n cells of a part from nothing: one for each column, or one. */
void hx_fed_start(const hx_fed *f, cell *to, int64_t n);
/* The next `count` rows of n columns; a multiple of 8, but for the last of a part. `first`: of a part. */
void hx_fed_rows(const hx_fed *f, cell *to, const char *from, int64_t row_step, int64_t count, int64_t n, bool first);
/* The next n elements: HX_FED_BLOCK, but for the last of a part. */
void hx_fed_run(const hx_fed *f, cell *to, const char *from, int64_t n);
/* The end of a part, of columns from `column` on. */
void hx_fed_keep(const hx_fed *f, cell *from, int64_t part, int64_t column, int64_t n);
/* `done`: writes the results of `call`. */
void hx_fed_close(hx_fed *f, bool done);

#endif
