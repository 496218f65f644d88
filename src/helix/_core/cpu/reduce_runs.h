/* Runs of one type combined: along a row to one value, or row after row into a tile of values side by side. */
#ifndef HX_REDUCE_RUNS_H
#define HX_REDUCE_RUNS_H

#include <math.h>
#include "cpu.h"
#include "lanes.h"
#include "reduce_fed.h"

enum { COLUMNS = 1024, NARROW = 256, ROWS_AT_ONCE = 8, CHUNK = 65536 };

typedef enum { IN_F32, IN_F64, IN_I64, IN_TRUTH, IN_OWN } family; /* IN_OWN: integers of their own width */
typedef enum { SUM, PROD, MAX, MIN } operation;

/* ---- combining runs of one type ---- */

#define ADD_(x, m) ((x) + (m))
#define MUL_(x, m) ((x) * (m))
#define MAX_(x, m) (((x) > (m)) | ((x) != (x)) ? (x) : (m))
#define MIN_(x, m) (((x) < (m)) | ((x) != (x)) ? (x) : (m))
#define MAXI_(x, m) ((x) > (m) ? (x) : (m))
#define MINI_(x, m) ((x) < (m) ? (x) : (m))
#define BOTH_(x, m) ((x) & (m))
#define EITHER_(x, m) ((x) | (m))
#define ADDI_(x, m) ((int64_t)((uint64_t)(x) + (uint64_t)(m)))
#define MULI_(x, m) ((int64_t)((uint64_t)(x) * (uint64_t)(m)))

/* The run x[0..n) combined in eight vectors, then in a tree. */
#define ROW(name, T, V, field, load, identity, vop, op)                                                       \
    static cell row_##name(const void *run, int64_t n) {                                                      \
        const T *x = run;                                                                                     \
        enum { L = HX_LANE_BYTES / sizeof(T) };                                                               \
        T lane[L], t = identity;                                                                              \
        int64_t i = 0;                                                                                        \
        if (n >= L) {                                                                                         \
            V s0 = t - (V){0}, s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;                 \
            for (; i + 8 * L <= n; i += 8 * L) {                                                              \
                s0 = vop(load(x + i), s0);                                                                    \
                s1 = vop(load(x + i + L), s1);                                                                \
                s2 = vop(load(x + i + 2 * L), s2);                                                            \
                s3 = vop(load(x + i + 3 * L), s3);                                                            \
                s4 = vop(load(x + i + 4 * L), s4);                                                            \
                s5 = vop(load(x + i + 5 * L), s5);                                                            \
                s6 = vop(load(x + i + 6 * L), s6);                                                            \
                s7 = vop(load(x + i + 7 * L), s7);                                                            \
            }                                                                                                 \
            for (; i + L <= n; i += L) s0 = vop(load(x + i), s0);                                             \
            s0 = vop(vop(vop(s0, s1), vop(s2, s3)), vop(vop(s4, s5), vop(s6, s7)));                           \
            memcpy(lane, &s0, sizeof s0);                                                                     \
            for (int half = L / 2; half; half /= 2)                                                           \
                for (int k = 0; k < half; k++) lane[k] = op(lane[k + half], lane[k]);                         \
            t = lane[0];                                                                                      \
        }                                                                                                     \
        for (; i < n; i++) t = op(x[i], t);                                                                   \
        return (cell){.field = t};                                                                            \
    }

/* Rows added to the tile a[0..n), eight at a time: their tree is in T, the tile in A. */
#define COLUMN(name, T, A, field, op)                                                                         \
    static void column_##name(cell *tile, const void *const *rows, int64_t count, int64_t n) {                \
        A *restrict a = &tile->field;                                                                         \
        if (count == ROWS_AT_ONCE) {                                                                          \
            const T *restrict r0 = rows[0], *restrict r1 = rows[1], *restrict r2 = rows[2],                   \
                              *restrict r3 = rows[3], *restrict r4 = rows[4], *restrict r5 = rows[5],         \
                              *restrict r6 = rows[6], *restrict r7 = rows[7];                                 \
            for (int64_t i = 0; i < n; i++) {                                                                 \
                T p = op(r0[i], r1[i]), q = op(r2[i], r3[i]), r = op(r4[i], r5[i]), s = op(r6[i], r7[i]);     \
                T t = op(p, q), u = op(r, s);                                                                 \
                A v = (A)op(t, u);                                                                            \
                a[i] = op(v, a[i]);                                                                           \
            }                                                                                                 \
            return;                                                                                           \
        }                                                                                                     \
        for (int64_t k = 0; k < count; k++) {                                                                 \
            const T *restrict x = rows[k];                                                                    \
            for (int64_t i = 0; i < n; i++) {                                                                 \
                A v = (A)x[i];                                                                                \
                a[i] = op(v, a[i]);                                                                           \
            }                                                                                                 \
        }                                                                                                     \
    }

/* The same for maxima, whose choices keep the compiler from using vectors: the tree goes through `row`. */
#define COLUMN_CHOICE(name, T, A, V, field, load, op, vop)                                                    \
    static void column_##name(cell *tile, const void *const *rows, int64_t count, int64_t n) {                \
        A *restrict a = &tile->field;                                                                         \
        enum { L = HX_LANE_BYTES / sizeof(T) };                                                               \
        T row[COLUMNS];                                                                                       \
        const T *first = rows[0];                                                                             \
        int64_t whole = 0;                                                                                    \
        if (count == ROWS_AT_ONCE) {                                                                          \
            const T *r1 = rows[1], *r2 = rows[2], *r3 = rows[3], *r4 = rows[4], *r5 = rows[5], *r6 = rows[6], \
                    *r7 = rows[7];                                                                            \
            for (; whole + L <= n; whole += L) {                                                              \
                V p = vop(load(first + whole), load(r1 + whole)), q = vop(load(r2 + whole), load(r3 + whole));\
                V r = vop(load(r4 + whole), load(r5 + whole)), s = vop(load(r6 + whole), load(r7 + whole));   \
                p = vop(vop(p, q), vop(r, s));                                                                \
                memcpy(row + whole, &p, sizeof p);                                                            \
            }                                                                                                 \
        }                                                                                                     \
        for (int64_t i = whole; i < n; i += L) {                                                              \
            if (i + L > n) {                                                                                  \
                for (; i < n; i++) {                                                                          \
                    T m = first[i];                                                                           \
                    for (int64_t k = 1; k < count; k++) {                                                     \
                        T x = ((const T *)rows[k])[i];                                                        \
                        m = op(x, m);                                                                         \
                    }                                                                                         \
                    row[i] = m;                                                                               \
                }                                                                                             \
                break;                                                                                        \
            }                                                                                                 \
            V m = load(first + i);                                                                            \
            for (int64_t k = 1; k < count; k++) m = vop(load((const T *)rows[k] + i), m);                     \
            memcpy(row + i, &m, sizeof m);                                                                    \
        }                                                                                                     \
        for (int64_t i = 0; i < n; i++) {                                                                     \
            A x = (A)row[i], m = a[i];                                                                        \
            a[i] = op(x, m);                                                                                  \
        }                                                                                                     \
    }

/* Each of n cells joined with one of `x`, which lie `step` apart. */
#define JOIN(name, member, op)                                                                                \
    static void join_##name(cell *restrict m, const cell *restrict x, int64_t n, int64_t step) {              \
        if (step == 1)                                                                                        \
            for (int64_t i = 0; i < n; i++) m[i].member = op(x[i].member, m[i].member);                       \
        else                                                                                                  \
            for (int64_t i = 0; i < n; i++) m[i].member = op(x[i * step].member, m[i].member);                \
    }

#define FLOAT_OPERATION(name, identity, op, vop32, vop64)                                                     \
    ROW(name##_f32, float, hx_vf, f, hx_vf_load, identity, vop32, op)                                         \
    ROW(name##_f64, double, hx_vd, f, hx_vd_load, identity, vop64, op)                                        \
    JOIN(name##_float, f, op)
FLOAT_OPERATION(sum, 0, ADD_, ADD_, ADD_)
FLOAT_OPERATION(prod, 1, MUL_, MUL_, MUL_)
FLOAT_OPERATION(max, -INFINITY, MAX_, hx_vf_max, hx_vd_max)
FLOAT_OPERATION(min, INFINITY, MIN_, hx_vf_min, hx_vd_min)

COLUMN(sum_f32, float, double, f, ADD_)
COLUMN(sum_f64, double, double, f, ADD_)
COLUMN(prod_f32, float, double, f, MUL_)
COLUMN(prod_f64, double, double, f, MUL_)
COLUMN_CHOICE(max_f32, float, double, hx_vf, f, hx_vf_load, MAX_, hx_vf_max)
COLUMN_CHOICE(min_f32, float, double, hx_vf, f, hx_vf_load, MIN_, hx_vf_min)
COLUMN_CHOICE(max_f64, double, double, hx_vd, f, hx_vd_load, MAX_, hx_vd_max)
COLUMN_CHOICE(min_f64, double, double, hx_vd, f, hx_vd_load, MIN_, hx_vd_min)

typedef HX_VECTOR(uint64_t) vu;
typedef HX_VECTOR_AT(uint64_t) vu_at;
static inline vu load_u64(const uint64_t *p) { return *(const vu_at *)p; }
#define INT_OPERATION(name, identity, op, vop)                                                                \
    ROW(name##_i64, int64_t, hx_vl, i, hx_vl_load, identity, vop, op)                                         \
    COLUMN_CHOICE(name##_i64, int64_t, int64_t, hx_vl, i, hx_vl_load, op, vop)                                \
    JOIN(name##_int, i, op)
/* Wrapping arithmetic: unsigned in C. */
ROW(sum_i64, uint64_t, vu, i, load_u64, 0, ADD_, ADD_)
COLUMN(sum_i64, int64_t, int64_t, i, ADDI_)
JOIN(sum_int, i, ADDI_)
ROW(prod_i64, uint64_t, vu, i, load_u64, 1, MUL_, MUL_)
COLUMN(prod_i64, int64_t, int64_t, i, MULI_)
JOIN(prod_int, i, MULI_)
INT_OPERATION(max, INT64_MIN, MAXI_, hx_vl_max)
INT_OPERATION(min, INT64_MAX, MINI_, hx_vl_min)

ROW(max_truth, uint8_t, hx_vb, i, hx_vb_load, 0, EITHER_, EITHER_)
ROW(min_truth, uint8_t, hx_vb, i, hx_vb_load, 1, BOTH_, BOTH_)
COLUMN(max_truth, uint8_t, int64_t, i, EITHER_)
COLUMN(min_truth, uint8_t, int64_t, i, BOTH_)

/* Integers of their own width. What the largest is does not depend on an order, so these loops are left to the compiler;
 * a tile holds values of T until it is widened. */
#define OWN_WIDTH(name, T, op)                                                                                \
    static cell row_##name(const void *run, int64_t n) {                                                      \
        const T *x = run;                                                                                     \
        enum { ACROSS = 4 * HX_LANE_BYTES / sizeof(T) };                                                      \
        T lane[ACROSS], m = x[0];                                                                             \
        int64_t i = 0;                                                                                        \
        if (n >= ACROSS) {                                                                                    \
            memcpy(lane, x, sizeof lane);                                                                     \
            for (i = ACROSS; i + ACROSS <= n; i += ACROSS)                                                    \
                for (int k = 0; k < ACROSS; k++) lane[k] = op(x[i + k], lane[k]);                             \
            for (int k = 0; k < ACROSS; k++) m = op(lane[k], m);                                              \
        }                                                                                                     \
        for (; i < n; i++) m = op(x[i], m);                                                                   \
        return (cell){.i = m};                                                                                \
    }                                                                                                         \
    static void column_##name(cell *tile, const void *const *rows, int64_t count, int64_t n) {                \
        T *restrict a = (void *)tile;                                                                         \
        if (count == ROWS_AT_ONCE) {                                                                          \
            const T *restrict r0 = rows[0], *restrict r1 = rows[1], *restrict r2 = rows[2],                   \
                              *restrict r3 = rows[3], *restrict r4 = rows[4], *restrict r5 = rows[5],         \
                              *restrict r6 = rows[6], *restrict r7 = rows[7];                                 \
            for (int64_t i = 0; i < n; i++) {                                                                 \
                T p = op(r0[i], r1[i]), q = op(r2[i], r3[i]), r = op(r4[i], r5[i]), s = op(r6[i], r7[i]);     \
                T t = op(p, q), u = op(r, s);                                                                 \
                t = op(t, u);                                                                                 \
                a[i] = op(t, a[i]);                                                                           \
            }                                                                                                 \
            return;                                                                                           \
        }                                                                                                     \
        for (int64_t k = 0; k < count; k++) {                                                                 \
            const T *restrict x = rows[k];                                                                    \
            for (int64_t i = 0; i < n; i++) a[i] = op(x[i], a[i]);                                            \
        }                                                                                                     \
    }
#define OWN_WIDTHS(type, T)                                                                                   \
    OWN_WIDTH(max_##type, T, MAXI_)                                                                           \
    OWN_WIDTH(min_##type, T, MINI_)                                                                           \
    static void widen_##type(cell *tile, int64_t n) {                                                         \
        T narrow[COLUMNS];                                                                                    \
        memcpy(narrow, tile, (size_t)n * sizeof *narrow);                                                     \
        for (int64_t i = 0; i < n; i++) tile[i].i = narrow[i];                                                \
    }
OWN_WIDTHS(u8, uint8_t)
OWN_WIDTHS(i8, int8_t)
OWN_WIDTHS(u16, uint16_t)
OWN_WIDTHS(i16, int16_t)
OWN_WIDTHS(u32, uint32_t)
OWN_WIDTHS(i32, int32_t)

/* The sums of the values at even and at odd places of n pairs, in eight vectors, then in a tree; added to the cells. */
#define PAIRS(name, T, V, load)                                                                               \
    static void pairs_##name(const void *run, int64_t n, cell *sum) {                                         \
        const T *x = run;                                                                                     \
        enum { L = HX_LANE_BYTES / sizeof(T), ACROSS = 8 * L };                                               \
        T lane[L] = {0};                                                                                      \
        int64_t i = 0;                                                                                        \
        if (2 * n >= ACROSS) {                                                                                \
            V s0 = {0}, s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;                        \
            for (; i + ACROSS <= 2 * n; i += ACROSS) {                                                        \
                s0 += load(x + i);                                                                            \
                s1 += load(x + i + L);                                                                        \
                s2 += load(x + i + 2 * L);                                                                    \
                s3 += load(x + i + 3 * L);                                                                    \
                s4 += load(x + i + 4 * L);                                                                    \
                s5 += load(x + i + 5 * L);                                                                    \
                s6 += load(x + i + 6 * L);                                                                    \
                s7 += load(x + i + 7 * L);                                                                    \
            }                                                                                                 \
            s0 = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7));                                           \
            memcpy(lane, &s0, sizeof s0);                                                                     \
            for (int half = L / 2; half > 1; half /= 2)                                                       \
                for (int k = 0; k < half; k++) lane[k] += lane[k + half];                                     \
        }                                                                                                     \
        for (; i < 2 * n; i += 2) {                                                                           \
            lane[0] += x[i];                                                                                  \
            lane[1] += x[i + 1];                                                                              \
        }                                                                                                     \
        sum[0].f += (double)lane[0];                                                                          \
        sum[1].f += (double)lane[1];                                                                          \
    }
PAIRS(f32, float, hx_vf, hx_vf_load)
PAIRS(f64, double, hx_vd, hx_vd_load)

typedef struct combine {
    cell (*row)(const void *run, int64_t n);
    void (*column)(cell *tile, const void *const *rows, int64_t count, int64_t n);
    void (*join)(cell *restrict m, const cell *restrict x, int64_t n, int64_t step);
    cell identity;
    void (*widen)(cell *tile, int64_t n);                    /* integers of their own width */
    void (*pairs)(const void *run, int64_t n, cell *sum);    /* where pairs can be combined side by side */
} combine;

static const combine combines[4][4] = {
    [SUM] = {{row_sum_f32, column_sum_f32, join_sum_float, {.f = 0}, NULL, pairs_f32},
             {row_sum_f64, column_sum_f64, join_sum_float, {.f = 0}, NULL, pairs_f64},
             {row_sum_i64, column_sum_i64, join_sum_int, {.i = 0}}},
    [PROD] = {{row_prod_f32, column_prod_f32, join_prod_float, {.f = 1}},
              {row_prod_f64, column_prod_f64, join_prod_float, {.f = 1}},
              {row_prod_i64, column_prod_i64, join_prod_int, {.i = 1}}},
    [MAX] = {{row_max_f32, column_max_f32, join_max_float, {.f = -INFINITY}},
             {row_max_f64, column_max_f64, join_max_float, {.f = -INFINITY}},
             {row_max_i64, column_max_i64, join_max_int, {.i = INT64_MIN}},
             {row_max_truth, column_max_truth, join_max_int, {.i = 0}}},
    [MIN] = {{row_min_f32, column_min_f32, join_min_float, {.f = INFINITY}},
             {row_min_f64, column_min_f64, join_min_float, {.f = INFINITY}},
             {row_min_i64, column_min_i64, join_min_int, {.i = INT64_MAX}},
             {row_min_truth, column_min_truth, join_min_int, {.i = 1}}},
};

#define OWN(type) {{row_max_##type, column_max_##type, join_max_int, {.i = INT64_MIN}, widen_##type, NULL},            \
                   {row_min_##type, column_min_##type, join_min_int, {.i = INT64_MAX}, widen_##type, NULL}}
static const combine own_widths[HX_U64][2] = {[HX_U8] = OWN(u8),   [HX_I8] = OWN(i8),   [HX_U16] = OWN(u16),
                                                       [HX_I16] = OWN(i16), [HX_U32] = OWN(u32), [HX_I32] = OWN(i32)};
#undef OWN
static inline bool has_own_width(int dtype) { return dtype < HX_U64 && own_widths[dtype][0].row; }

static combine combine_of(operation op, family f, int dtype) {
    return f == IN_OWN ? own_widths[dtype][op - MAX] : combines[op][f];
}

#endif
