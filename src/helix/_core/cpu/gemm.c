/* Matrix products; see gemm.h. One descriptor a dtype (`kind`) says how operands are widened while they are packed,
 * which tiles multiply them and how sums are stored; four plans share these parts:
 *   sweep, dot   a few rows: B is read once, where it lies, by rows or by columns
 *   direct       operands that fit in cache: tiles read A, and mostly B, where they lie
 *   packed       the rest: B is packed once, and tasks of rows x columns of C pack their rows of A
 * A complex product is a real one of (m, 2k) by (2k, 2n): A as it lies, B expanded while packed. */
#include "gemm.h"
#include "../rooms.h"
#include "lapack.h"
#ifdef __x86_64__
#include <immintrin.h>
#endif

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

#if defined HX_ISA_AVX512
#define HX_VECTOR_BYTES 64
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
enum { TILE_ROWS = 14, TILE_VECTORS = 2, DOT_ROWS = 4, DOT_COLUMNS = 4 };
#elif defined HX_ISA_AVX2
#define HX_VECTOR_BYTES 32
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)
enum { TILE_ROWS = 6, TILE_VECTORS = 2, DOT_ROWS = 2, DOT_COLUMNS = 4 };
#elif defined HX_ISA_NEON
#define HX_VECTOR_BYTES 16
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
enum { TILE_ROWS = 12, TILE_VECTORS = 2, DOT_ROWS = 4, DOT_COLUMNS = 4 };
#else
#define HX_VECTOR_BYTES 16
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)
enum { TILE_ROWS = 6, TILE_VECTORS = 2, DOT_ROWS = 2, DOT_COLUMNS = 4 };
#endif

enum {
    PANEL_BYTES = 32 << 10, /* of a panel of B in a packed block: the size of a first-level cache */
    BLOCK_HEIGHT = 504,   /* rows of A in a packed block, and */
    BLOCK_BYTES = 1 << 20, /* their bytes: inside the second-level cache */
    FEW_BYTES = 512 << 10, /* of panels of B that are packed where they are used */
    ACTIVATED_PANELS = 8, /* that are activated together: long runs, still in a cache */
    LOW_ROWS = 128,       /* rows up to which it costs little to take k in more blocks */
    TILE_BYTES = 4096,    /* most sums of a full tile */
    PACK_DEPTH = 32,      /* rows of B that are packed together, panel after panel */
    DOT_DEPTH = 4096,     /* products summed in one register of a dot product */
    DIRECT_DEPTH = 512,   /* largest k of the direct plan */
    AHEAD = 16,           /* of k: how far in front packed rows of 8-byte elements are fetched */
    TINY = 8,             /* rows and k of products that need no plan */
    SWEEP_HEIGHT = 16,    /* rows up to which B is swept row by row */
    DOT_HEIGHT = 20,      /* rows up to which columns of B are read by dot products, */
    DOT_SHARE = 64,       /* one for so many elements of a column: short ones cost more to sum up than to pack */
    SKINNY_SUMS = 8192    /* sums a skinny task holds: 32 KB of f32 */
};
#define DIRECT_WORK (256.0 * 256 * 256)  /* multiplications up to which nothing is packed */
#define TASK_WORK (64.0 * 64 * 64)       /* multiplications worth a task of their own */
#define COLUMN_BYTES (48ll << 20)        /* of packed B held at a time */

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* Where a tile or block leaves its sums. */
typedef struct tile_out {
    void *c;
    int64_t c_row;
    const void *d;
    int64_t d_row, d_col;
    int64_t columns;
    double alpha, beta;
    const float *scale;   /* of the columns of quantized numbers, and what is taken off their sums; else NULL */
    const int32_t *less;
    const char *next;   /* what is multiplied later, to be fetched now */
    int64_t next_bytes;
    const char *later;  /* where sums go once they are narrowed, NULL elsewhere; rows are later_row bytes apart */
    int64_t later_row;
    bool rows_stay;     /* of A, in the first-level cache, while columns of B pass; else the other way */
} tile_out;

typedef void (*tile_kernel)(int64_t k, const void *a, int64_t a_step, const void *b, int64_t b_step,
                            const tile_out *o);
typedef void (*pack_kernel)(void *panel, int64_t width, const void *from, int64_t k_step, int64_t w_step, int64_t k,
                            int64_t valid);
typedef void (*skinny_kernel)(int64_t rows, int64_t columns, int64_t k, const void *a, int64_t a_row, const void *b,
                              int64_t b_step, void *sums, int64_t pitch);
typedef void (*finish_kernel)(const void *sums, int64_t pitch, int64_t rows, const tile_out *o);

#if HX_VECTOR_BYTES == 64
#define LOW4 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH4 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define LOW8 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH8 4, 12, 5, 13, 6, 14, 7, 15
#elif HX_VECTOR_BYTES == 32
#define LOW4 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH4 4, 12, 5, 13, 6, 14, 7, 15
#define LOW8 0, 4, 1, 5
#define HIGH8 2, 6, 3, 7
#else
#define LOW4 0, 4, 1, 5
#define HIGH4 2, 6, 3, 7
#define LOW8 0, 2
#define HIGH8 1, 3
#endif

#include "gemm_kinds.h"
#include "gemm_plans.h"
#include "gemm_packed.h"

/* ---- parts for other kernels ---- */

int hx_gemm_width(hx_dtype dtype) { return kinds[dtype].columns; }

void hx_gemm_pack(hx_dtype dtype, void *panels, const void *b, int64_t b_row, int64_t b_col, int64_t k, int64_t n) {
    const kind *kd = &kinds[dtype];
    int64_t size = (int64_t)hx_dtype_size(dtype);
    for (int64_t j = 0; j < n; j += kd->columns)
        kd->pack_columns((char *)panels + j * k * kd->sum, kd->columns, (const char *)b + j * b_col * size, b_row, b_col,
                         k, least(kd->columns, n - j));
}

void hx_gemm_block(hx_dtype dtype, int64_t m, int64_t n, int64_t k, const void *a, int64_t a_row, int64_t a_col,
                   const void *b, int64_t b_panel, int64_t b_step, void *c, int64_t c_row, bool add) {
    const kind *kd = &kinds[dtype];
    int64_t panels = ceil_div(m, TILE_ROWS), rows = m / panels, more = m % panels, size = kd->sum;
    bool by_row = a_row != 1;
    for (int64_t j = 0; j < n; j += kd->columns, b = (const char *)b + b_panel * size) {
        tile_out o = {.c_row = c_row, .d_row = c_row, .d_col = 1, .columns = least(kd->columns, n - j), .alpha = 1,
                      .beta = 1};
        int64_t vectors = o.columns * 2 > kd->columns ? 2 : 1;
        for (int64_t q = 0, i = 0; q < panels; q++) {
            int64_t high = rows + (q < more);
            o.c = (char *)c + (i * c_row + j) * size;
            o.d = add ? o.c : NULL;
            kd->tiles[high - 1][by_row][vectors - 1](k, (const char *)a + i * a_row * size, by_row ? a_row : a_col, b,
                                                     b_step, &o);
            i += high;
        }
    }
}

void hx_gemm_rows(hx_dtype dtype, int64_t m, int64_t n, int64_t k, const void *a, int64_t a_row, const void *b,
                  int64_t b_row, int64_t b_col, void *c, int64_t c_row) {
    const kind *kd = &kinds[dtype];
    if (b_row == 1) kd->dot(m, n, k, a, a_row, b, b_col, c, c_row);
    else kd->sweep(m, n, k, a, a_row, b, b_row, c, c_row);
}

/* ---- the door ---- */

/* k = 0: C = beta * D. A product of one zero column and one zero row gives just that. */
static hx_code run_empty(const problem *x) {
    static const double zero[4];
    problem y = *x;
    y.g.a = y.g.b = zero;
    y.g.load_b = NULL;
    y.g.a_row = y.g.a_col = y.g.b_row = y.g.b_col = 0;
    y.g.a_batch = y.g.b_batch = (const int64_t[HX_MAX_RANK]){0};
    y.k = x->kind.scale;
    return run_packed(&y);
}

static hx_dtype b_dtype(const hx_gemm_args *g) { return g->b_bytes ? g->b_bytes : g->dtype; }

static bool run_tiny(const hx_gemm_args *g) {
    if (hx_batch_invariant() || g->batch_ndim || g->load_b || g->m > TINY || g->k > TINY || g->k == 0 || g->n == 0) return false;
    if (g->dtype == HX_F32 && g->n <= lanes_f32) tiny_f32(g);
    else if (g->dtype == HX_F64 && g->n <= lanes_f64) tiny_f64(g);
    else return false;
    if (g->activate) activate(g, g->c, g->c_row, g->m, g->n);
    return true;
}

typedef enum plan { PLAN_EMPTY, PLAN_SKINNY, PLAN_DIRECT, PLAN_PACKED } plan;

/* The only place where shapes decide which kernels run. */
static plan choose_plan(const problem *x) {
    if (x->k == 0) return PLAN_EMPTY;
    if (hx_batch_invariant()) return PLAN_PACKED; /* its sums depend on k alone */
    if (skinny_fits(x)) return PLAN_SKINNY;
    return direct_fits(x) ? PLAN_DIRECT : PLAN_PACKED;
}

hx_code hx_gemm(const hx_gemm_args *args) {
    if (run_tiny(args)) return HX_OK;
    if (!hx_batch_invariant() && hx_blas_takes(args)) return hx_blas_gemm(args);
    problem x = {.g = *args, .kind = kinds[args->dtype], .m = args->m, .n = args->n, .k = args->k, .items = 1};
    for (int i = 0; i < args->batch_ndim; i++) x.items *= args->batch_shape[i];
    if (x.m == 0 || x.n == 0 || x.items == 0) return HX_OK;
    x.source = (int64_t)hx_dtype_size(args->dtype);
    x.result = (int64_t)hx_dtype_size(args->out);
    if (b_dtype(args) != args->dtype) x.kind.pack_columns = kinds[b_dtype(args)].pack_columns;
    if (args->out != args->dtype) x.kind.narrow = args->scale ? finish_scaled : NULL;
    if (!hx_batch_invariant() && x.n == 1 && x.m > 1 && args->c_row == 1 && !args->load_b && x.kind.scale == 1 &&
        (!args->d || args->d_row < 2) && !args->scale && !args->b_bytes) {
        x.m = 1;
        x.n = args->m;
        x.g.a = args->b, x.g.a_row = args->b_col, x.g.a_col = args->b_row, x.g.a_batch = args->b_batch;
        x.g.b = args->a, x.g.b_row = args->a_col, x.g.b_col = args->a_row, x.g.b_batch = args->a_batch;
        x.g.c_row = x.n;
        x.g.d_row = args->d_col, x.g.d_col = args->d_row;
    }
    x.n *= x.kind.scale;
    x.k *= x.kind.scale;
    if (!args->load_b) use_best_unit(&x.kind, args->dtype, b_dtype(args));
    switch (choose_plan(&x)) {
    case PLAN_EMPTY: return run_empty(&x);
    case PLAN_SKINNY: return run_skinny(&x);
    case PLAN_DIRECT: run_direct(&x); return HX_OK;
    case PLAN_PACKED: break;
    }
    return run_packed(&x);
}
