/* Elementwise kernels over any dtype and any steps from bodies that see contiguous runs of one wide type.
 *
 * A map names a body for each class of dtypes: f32 (float32 and, through blocks, float16 and bfloat16), f64, i64
 * (all integers and bool), c128 (both complex dtypes) and c64 where there is a shorter way for complex64. Runs that
 * have the body's own type and are contiguous are handed over as they are; others pass through blocks in the
 * first-level cache. A body may be called with its output exactly over one of its inputs. */
#ifndef HX_MAPS_H
#define HX_MAPS_H

#include <complex.h>
#include "blocks.h"
#include "cpu.h"

#define HX_MAP_BLOCK 1024
#define HX_MAP_INPUTS 5

typedef double _Complex hx_c128;
typedef float _Complex hx_c64;

typedef struct hx_map {
    void (*f32)(void *out, const float *const *in, int64_t n, const void *args);
    void (*f64)(void *out, const double *const *in, int64_t n, const void *args);
    void (*i64)(void *out, const int64_t *const *in, int64_t n, const void *args);
    void (*c128)(void *out, const hx_c128 *const *in, int64_t n, const void *args);
    enum { HX_MAP_SAME, HX_MAP_BOOL, HX_MAP_REAL } result; /* what bodies write: the class type, uint8, or double */
    bool ordered;   /* i64 bodies compare: uint64 is handed over with its top bit turned */
    int cost;       /* bytes of memory traffic that one element is worth; 0: its own size */
    void (*c64)(void *out, const hx_c64 *const *in, int64_t n, const void *args);
} hx_map;

/* One map on its way through hx_iterate. */
typedef struct hx_mapping {
    const hx_map *map;
    const void *args;
    int n_in, dtype, out_dtype;
} hx_mapping;

static inline const hx_c128 *hx_read_c128(const char *p, int dtype, int64_t step, int64_t n, hx_c128 *room) {
    if (dtype == HX_C128 && (step == 16 || n < 2)) return (const hx_c128 *)p;
    for (int64_t i = 0; i < n; i++, p += step) {
        if (dtype == HX_C64) room[i] = *(const hx_c64 *)p;
        else room[i] = *(const hx_c128 *)p;
    }
    return room;
}

static inline void hx_write_c128(char *p, int dtype, int64_t step, int64_t n, const hx_c128 *x) {
    for (int64_t i = 0; i < n; i++, p += step) {
        if (dtype == HX_C64) *(hx_c64 *)p = (hx_c64)x[i];
        else *(hx_c128 *)p = x[i];
    }
}

static inline const hx_c64 *hx_read_c64(const char *p, int64_t step, int64_t n, hx_c64 *room) {
    if (step == 8 || n < 2) return (const hx_c64 *)p;
    for (int64_t i = 0; i < n; i++) room[i] = *(const hx_c64 *)(p + i * step);
    return room;
}

/* The three results a body can leave in a block. */
static inline void hx_map_write_bool(char *p, int64_t step, int64_t n, const uint8_t *x) {
    for (int64_t i = 0; i < n; i++) p[i * step] = (char)x[i];
}

#define HX_MAP_CLASS(name, T, size, own, read, write_same)                                                     \
    static void hx_map_##name(char **p, const int64_t *step, int64_t n, const void *ctx) {                    \
        const hx_mapping *m = ctx;                                                                            \
        int n_in = m->n_in, dtype = m->dtype, out_dtype = m->out_dtype;                                       \
        (void)dtype;                                                                                          \
        int64_t out_size = m->map->result == HX_MAP_SAME ? size : m->map->result == HX_MAP_BOOL ? 1 : 8;      \
        bool out_own = step[0] == out_size && (m->map->result != HX_MAP_SAME || (own)) &&                     \
                       (m->map->result != HX_MAP_REAL || out_dtype == HX_F64);                                \
        bool plain = out_own && (own);                                                                        \
        const T *in[HX_MAP_INPUTS];                                                                           \
        for (int k = 0; k < n_in; k++) {                                                                      \
            plain = plain && (step[k + 1] == size || n == 1);                                                 \
            in[k] = (const T *)p[k + 1];                                                                      \
        }                                                                                                     \
        if (plain) {                                                                                          \
            m->map->name(p[0], in, n, m->args);                                                               \
            return;                                                                                           \
        }                                                                                                     \
        T room[HX_MAP_INPUTS][HX_MAP_BLOCK];                                                                  \
        union { T same[HX_MAP_BLOCK]; double real[HX_MAP_BLOCK]; uint8_t truth[HX_MAP_BLOCK]; } result;       \
        for (int64_t at = 0; at < n; at += HX_MAP_BLOCK) {                                                    \
            int64_t run = n - at < HX_MAP_BLOCK ? n - at : HX_MAP_BLOCK;                                      \
            for (int k = 0; k < n_in; k++) {                                                                  \
                const char *from = p[k + 1] + at * step[k + 1];                                               \
                int64_t from_step = step[k + 1];                                                              \
                if (from_step || at == 0) in[k] = read;                                                       \
            }                                                                                                 \
            char *to = p[0] + at * step[0];                                                                   \
            m->map->name(out_own ? (void *)to : (void *)&result, in, run, m->args);                           \
            if (out_own) continue;                                                                            \
            if (m->map->result == HX_MAP_SAME) write_same;                                                    \
            else if (m->map->result == HX_MAP_BOOL) hx_map_write_bool(to, step[0], run, result.truth);        \
            else hx_write_f64(to, out_dtype, step[0], run, result.real);                                      \
        }                                                                                                     \
    }

HX_MAP_CLASS(f32, float, 4, dtype == HX_F32, hx_read_f32(from, dtype, from_step, run, room[k]),
             hx_write_f32(to, out_dtype, step[0], run, result.same))
HX_MAP_CLASS(f64, double, 8, true, hx_read_f64(from, from_step, run, room[k]),
             hx_write_f64(to, out_dtype, step[0], run, result.same))
HX_MAP_CLASS(i64, int64_t, 8, dtype == HX_I64, hx_read_i64(from, dtype, from_step, run, room[k], m->map->ordered),
             hx_write_i64(to, out_dtype, step[0], run, result.same, m->map->ordered))
HX_MAP_CLASS(c128, hx_c128, 16, dtype == HX_C128, hx_read_c128(from, dtype, from_step, run, room[k]),
             hx_write_c128(to, out_dtype, step[0], run, result.same))
HX_MAP_CLASS(c64, hx_c64, 8, true, hx_read_c64(from, from_step, run, room[k]),
             for (int64_t i = 0; i < run; i++) *(hx_c64 *)(to + i * step[0]) = result.same[i])
#undef HX_MAP_CLASS

static inline hx_loop hx_map_loop(int dtype) {
    if (dtype <= HX_U64) return hx_map_i64;
    if (dtype == HX_F64) return hx_map_f64;
    return dtype >= HX_C64 ? hx_map_c128 : hx_map_f32;
}
static inline hx_loop hx_map_loop_of(const hx_map *map, int dtype) {
    return dtype == HX_C64 && map->c64 ? hx_map_c64 : hx_map_loop(dtype);
}

/* Runs a map over a call whose inputs all have the dtype of in[0]. */
static inline hx_code hx_run_map(const hx_op_call *call, const hx_map *map, const void *args, hx_err *err) {
    const hx_view *views[HX_MAP_INPUTS + 1] = {&call->out[0]};
    int n_in = (int)call->n_in;
    for (int i = 0; i < n_in; i++) views[i + 1] = &call->in[i];
    hx_mapping m = {map, args, n_in, call->in[0].dtype, call->out[0].dtype};
    return hx_iterate_views(views, n_in + 1, hx_map_loop_of(map, m.dtype), &m, map->cost, err);
}

#endif
