/* Kernels of gather and of the ops that write where an index tensor says. Index values become checked element offsets
 * on the way, a piece of a row at a time; in place, everything is checked before the first write. Rows run along the
 * last axis. Elements that meet in one place lie in one row or in the rows of one column chunk and are taken in their
 * order there, so results do not depend on the number of threads. */
#include <complex.h>
#include "strided.h"

enum { OUT, AT, SRC }; /* the operands: what is written (or read, for gather), the index, source (or result) */
enum { COLUMNS = 64, PIECE = 512 };

typedef struct job job;
typedef void (*run_fn)(char *out, int64_t out_step, const int64_t *at, int64_t at_step, char *src, int64_t src_step,
                       int64_t n);

struct job {
    char *out, *src;
    hx_offsets *asked;          /* makes the offsets on the way */
    int64_t out_size, src_size; /* of an element */
    int n;                      /* outer axes: neither `dim` nor the last */
    int64_t shape[HX_MAX_RANK], step[3][HX_MAX_RANK];
    int64_t outer, along, row;  /* outer positions; positions of dim when it is not the last axis; row length */
    int64_t along_step[3], row_step[3];
    run_fn run;
};

/* ---- runs ---- */

#define LOOP(T, S, statement)                                                                                 \
    if (at_step == 0 && out_step == 1 && src_step == 1) {                                                     \
        T *to = (T *)out + *at;                                                                               \
        S *from = (S *)src;                                                                                   \
        for (int64_t i = 0; i < n; i++) {                                                                     \
            T *x = to + i;                                                                                    \
            S *y = from + i;                                                                                  \
            statement;                                                                                        \
        }                                                                                                     \
        return;                                                                                               \
    }                                                                                                         \
    for (int64_t i = 0; i < n; i++) {                                                                         \
        T *x = (T *)out + at[i * at_step] + i * out_step;                                                     \
        S *y = (S *)src + i * src_step;                                                                       \
        statement;                                                                                            \
    }
#define RUN(name, T, S, statement)                                                                            \
    static void name(char *out, int64_t out_step, const int64_t *at, int64_t at_step, char *src,              \
                     int64_t src_step, int64_t n) {                                                           \
        LOOP(T, S, statement)                                                                                 \
    }
#define MOVES(size, T)                                                                                        \
    static void read_##size(char *out, int64_t out_step, const int64_t *at, int64_t at_step, char *src,       \
                            int64_t src_step, int64_t n) {                                                    \
        if (out_step == 0 && at_step == 1 && src_step == 1) {                                                 \
            const T *restrict from = (const T *)out;                                                          \
            T *restrict to = (T *)src;                                                                        \
            for (int64_t i = 0; i < n; i++) to[i] = from[at[i]];                                              \
            return;                                                                                           \
        }                                                                                                     \
        LOOP(T, T, *y = *x)                                                                                   \
    }                                                                                                         \
    RUN(write_##size, T, T, *x = *y)
MOVES(1, uint8_t)
MOVES(2, uint16_t)
MOVES(4, uint32_t)
MOVES(8, uint64_t)
MOVES(16, hx_wide)

#define ORDERED(name, T)                                                                                      \
    RUN(amax_##name, T, T, *x = *x > *y ? *x : *y)                                                            \
    RUN(amin_##name, T, T, *x = *x < *y ? *x : *y)
/* NaN wins over numbers. */
#define ORDERED_FLOAT(name, T, S, load)                                                                       \
    RUN(amax_##name, T, S, T v = load; *x = *x > v || *x != *x ? *x : v)                                      \
    RUN(amin_##name, T, S, T v = load; *x = *x < v || *x != *x ? *x : v)
#define FIELD(name, T, S, load)                                                                               \
    RUN(sum_##name, T, S, *x = (T)(*x + load))                                                                \
    RUN(prod_##name, T, S, *x = (T)(*x * load))
FIELD(u8, uint8_t, uint8_t, *y)
FIELD(u16, uint16_t, uint16_t, (uint32_t)*y)
FIELD(u32, uint32_t, uint32_t, *y)
FIELD(u64, uint64_t, uint64_t, *y)
FIELD(f16, float, uint16_t, hx_half_load(*y))
FIELD(bf16, float, uint16_t, hx_bf16_to_f32(*y))
FIELD(f32, float, float, *y)
FIELD(f64, double, double, *y)
FIELD(c64, float complex, float complex, *y)
FIELD(c128, double complex, double complex, *y)
ORDERED(u8, uint8_t)
ORDERED(u16, uint16_t)
ORDERED(u32, uint32_t)
ORDERED(u64, uint64_t)
ORDERED(i8, int8_t)
ORDERED(i16, int16_t)
ORDERED(i32, int32_t)
ORDERED(i64, int64_t)
ORDERED_FLOAT(f16, float, uint16_t, hx_half_load(*y))
ORDERED_FLOAT(bf16, float, uint16_t, hx_bf16_to_f32(*y))
ORDERED_FLOAT(f32, float, float, *y)
ORDERED_FLOAT(f64, double, double, *y)
RUN(count, int64_t, char, (void)y; *x += 1)

typedef enum { SUM, PROD, AMAX, AMIN, MEAN, MOVE } manner;

static const run_fn reductions[4][HX_DTYPE_COUNT] = {
    [SUM] = {amax_u8, sum_u8, sum_u16, sum_u32, sum_u64, sum_u8, sum_u16, sum_u32, sum_u64, sum_f16, sum_bf16, sum_f32,
             sum_f64, sum_c64, sum_c128},
    [PROD] = {amin_u8, prod_u8, prod_u16, prod_u32, prod_u64, prod_u8, prod_u16, prod_u32, prod_u64, prod_f16, prod_bf16,
              prod_f32, prod_f64, prod_c64, prod_c128},
    [AMAX] = {amax_u8, amax_i8, amax_i16, amax_i32, amax_i64, amax_u8, amax_u16, amax_u32, amax_u64, amax_f16, amax_bf16,
              amax_f32, amax_f64},
    [AMIN] = {amin_u8, amin_i8, amin_i16, amin_i32, amin_i64, amin_u8, amin_u16, amin_u32, amin_u64, amin_f16, amin_bf16,
              amin_f32, amin_f64},
};

static run_fn moving_run(size_t size, bool read) {
    switch (size) {
    case 1: return read ? read_1 : write_1;
    case 2: return read ? read_2 : write_2;
    case 4: return read ? read_4 : write_4;
    case 8: return read ? read_8 : write_8;
    default: return read ? read_16 : write_16;
    }
}

/* ---- jobs ---- */

/* What an index tensor asks for, along `dim` of the operand. */
static hx_offsets offsets_for(const hx_view *operand, const int64_t *strides, int dim, const hx_view *index) {
    hx_offsets o = {.data = index->data, .dtype = index->dtype, .from_end = true, .first = true,
                    .size = operand->shape[dim], .stride = strides[dim]};
    atomic_init(&o.bad, INT64_MAX);
    return o;
}

/* The first index outside as an error, if there is one. Axes in which the index was stretched are read once. */
static hx_code check(const hx_view *operand, int dim, const hx_view *index, hx_err *err) {
    hx_offsets o = offsets_for(operand, operand->strides, dim, index);
    int64_t kept[HX_MAX_RANK], room[HX_MAX_RANK], at, unused;
    for (int i = 0; i < index->ndim; i++) {
        kept[i] = index->strides[i] == 0 ? 1 : index->shape[i];
        hx_grid_push(&o.axes, kept[i], index->strides[i], index->strides[i]);
    }
    int64_t bad = hx_offsets_all(&o);
    if (bad < 0) return HX_OK;
    hx_grid_at(&o.axes, o.axes.n, bad, &at, &unused);
    return hx_index_fault(err, hx_load_index(index->data, at, index->dtype), hx_position_text(bad, kept, index->ndim, room),
                          dim, o.size);
}

/* After a pass that met an index outside: names it. */
static hx_code fault(const hx_offsets *asked, const hx_view *operand, int dim, const hx_view *index, hx_err *err) {
    if (atomic_load(&asked->bad) == INT64_MAX) return HX_OK;
    hx_code code = check(operand, dim, index, err);
    return code ? code : hx_kernel_fail(err, HX_E_INDEX, 1301, "the index was changed by another thread while it was used");
}

/* Takes the axes apart into outer ones, `dim` and the last, with the steps of the three operands. */
static void take_apart(job *j, const hx_view *index, int dim, const int64_t *out, const int64_t *at, const int64_t *src) {
    int last = index->ndim - 1;
    j->outer = j->along = j->row = 1;
    for (int i = 0; i < index->ndim; i++) {
        int64_t step[3] = {i == dim ? 0 : out[i], at[i], src[i]};
        if (i == last) {
            j->row = index->shape[i];
            memcpy(j->row_step, step, sizeof step);
        } else if (i == dim) {
            j->along = index->shape[i];
            memcpy(j->along_step, step, sizeof step);
        } else {
            for (int k = 0; k < 3; k++) j->step[k][j->n] = step[k];
            j->shape[j->n++] = index->shape[i];
            j->outer *= index->shape[i];
        }
    }
}

/* Makes the offsets of a row a piece at a time; a piece with an index outside is not touched. */
static void run_row(const job *j, const int64_t base[3], int64_t n) {
    int64_t piece[PIECE], step = j->row_step[AT];
    for (int64_t i = 0; i < n; i += PIECE) {
        int64_t m = n - i < PIECE ? n - i : PIECE;
        if (i % (64 * PIECE) == 63 * PIECE && hx_stopped()) return;
        if (hx_offsets_run(piece, j->asked, base[AT] + i * step, step, step ? m : 1) >= 0) {
            atomic_store(&j->asked->bad, 0);
            return;
        }
        j->run(j->out + (base[OUT] + i * j->row_step[OUT]) * j->out_size, j->row_step[OUT], piece, step != 0,
               j->src + (base[SRC] + i * j->row_step[SRC]) * j->src_size, j->row_step[SRC], m);
    }
}

static void rows(const job *j, int64_t unit, int64_t from, int64_t to, int64_t first, int64_t n) {
    int64_t base[3] = {0, 0, 0};
    for (int k = j->n - 1; k >= 0; k--) {
        int64_t at = unit % j->shape[k];
        unit /= j->shape[k];
        for (int s = 0; s < 3; s++) base[s] += at * j->step[s][k];
    }
    for (int s = 0; s < 3; s++) base[s] += first * j->row_step[s] + from * j->along_step[s];
    for (int64_t k = from; k < to; k++) {
        if (k % 4096 == 4095 && hx_stopped()) return;
        run_row(j, base, n);
        for (int s = 0; s < 3; s++) base[s] += j->along_step[s];
    }
}

static void outer_range(void *ctx, int64_t begin, int64_t end) {
    const job *j = ctx;
    for (int64_t i = begin; i < end; i++) rows(j, i, 0, j->along, 0, j->row);
}

static void column_chunk(void *ctx, int64_t chunk) {
    const job *j = ctx;
    int64_t first = chunk * COLUMNS, n = j->row - first < COLUMNS ? j->row - first : COLUMNS;
    for (int64_t i = 0; i < j->outer; i++) rows(j, i, 0, j->along, first, n);
}

/* For gather, whose rows never meet. */
static void row_range(void *ctx, int64_t begin, int64_t end) {
    const job *j = ctx;
    for (int64_t i = begin; i < end;) {
        int64_t from = i % j->along, to = from + end - i < j->along ? from + end - i : j->along;
        rows(j, i / j->along, from, to, 0, j->row);
        i += to - from;
    }
}

static void piece_range(void *ctx, int64_t begin, int64_t end) { rows(ctx, 0, 0, 1, begin, end - begin); }

static void gather_all(job *j) {
    int64_t units = j->outer * j->along, bytes = j->row * (j->src_size + 8);
    if (units * bytes <= HX_BLOCKING_BYTES)
        row_range(j, 0, units);
    else if (units == 1)
        hx_parallel_range(j->row, hx_grain(j->src_size + 8), piece_range, j);
    else
        hx_parallel_range(units, hx_grain(bytes), row_range, j);
}

/* `columns`: rows along `dim` itself cannot be split, because their elements may meet. */
static void scatter_all(job *j, bool columns) {
    int64_t bytes = j->along * j->row * (j->src_size + 8);
    if (j->outer * bytes <= HX_BLOCKING_BYTES)
        outer_range(j, 0, j->outer);
    else if (j->outer > 1)
        hx_parallel_range(j->outer, hx_grain(bytes), outer_range, j);
    else if (columns && j->row > COLUMNS)
        hx_parallel((j->row + COLUMNS - 1) / COLUMNS, column_chunk, j);
    else
        outer_range(j, 0, j->outer);
}

/* ---- gather ---- */

static const int64_t one_step[1] = {1}, one_size[1] = {1};

/* A 0-dimensional view as one of length 1. */
static hx_view with_axis(const hx_view *v) {
    hx_view r = *v;
    if (v->ndim) return r;
    r.ndim = 1;
    r.shape = one_size;
    r.strides = one_step;
    return r;
}

HX_KERNEL(k_gather) {
    HX_UNUSED;
    hx_view in = with_axis(&call->in[0]), index = with_axis(&call->in[1]), out = with_axis(&call->out[0]);
    size_t size = hx_dtype_size((hx_dtype)out.dtype);
    job j = {.out = in.data, .src = out.data, .out_size = (int64_t)size, .src_size = (int64_t)size,
             .run = moving_run(size, true)};
    if (index.numel == 0) return HX_OK;
    hx_offsets asked = offsets_for(&in, in.strides, (int)call->attr[0].v.i, &index);
    j.asked = &asked;
    take_apart(&j, &index, (int)call->attr[0].v.i, in.strides, index.strides, out.strides);
    gather_all(&j);
    return fault(&asked, &in, (int)call->attr[0].v.i, &index, err);
}

/* ---- scatter ---- */

typedef struct scratch {
    char *data;
    size_t nbytes;
} scratch;

static char *take(scratch *s, size_t nbytes) {
    s->nbytes = nbytes ? nbytes : 1;
    return s->data = hx_pool_alloc(s->nbytes);
}
static void give(scratch *s) {
    if (s->data) hx_pool_free(s->data, s->nbytes);
}

/* A dense copy of the part of a view that the index covers; `steps` become those of the copy. */
static char *keep(scratch *s, const hx_view *v, const hx_view *index, int64_t *steps) {
    int64_t dense[HX_MAX_RANK];
    size_t size = hx_dtype_size((hx_dtype)v->dtype);
    hx_grid x = {0};
    if (!take(s, (size_t)index->numel * size)) return NULL;
    hx_row_major(index->shape, index->ndim, dense);
    for (int i = 0; i < index->ndim; i++) hx_grid_push(&x, index->shape[i], dense[i], steps[i]);
    hx_grid_merge(&x);
    hx_copy_grid(s->data, v->data, &x, size);
    memcpy(steps, dense, index->ndim * sizeof *steps);
    return s->data;
}

/* The value that a reduction starts from, in the type it is computed in. */
static void identity(manner how, uint8_t dtype, char *value) {
    bool top = how == AMIN;
    double infinity = top ? INFINITY : -INFINITY, number = how == PROD ? 1 : 0;
    bool extreme = how == AMAX || how == AMIN;
    int bits = 8 * (int)hx_dtype_size((hx_dtype)dtype);
    memset(value, 0, 16);
    if (hx_is_complex((hx_dtype)dtype) || hx_is_floating((hx_dtype)dtype)) {
        double d = extreme ? infinity : number;
        float f = (float)d;
        if (dtype == HX_F64 || dtype == HX_C128)
            memcpy(value, &d, sizeof d);
        else
            memcpy(value, &f, sizeof f);
        return;
    }
    uint64_t u = (uint64_t)number;
    if (extreme && dtype == HX_BOOL) u = top;
    else if (extreme && hx_dtype_kind((hx_dtype)dtype) == HX_KIND_UINT) u = top ? UINT64_MAX : 0;
    else if (extreme) u = top ? (UINT64_MAX >> (65 - bits)) : (uint64_t)1 << (bits - 1);
    memcpy(value, &u, 8); /* little-endian: the low bytes are the narrow value */
}

static void divide(char *out, uint8_t dtype, const int64_t *counts, int64_t n) {
#define DIVIDE(T, expression)                                                                                 \
    {                                                                                                         \
        T *x = (T *)out;                                                                                      \
        for (int64_t i = 0; i < n; i++)                                                                       \
            if (counts[i] > 1) x[i] = (T)(expression);                                                        \
        break;                                                                                                \
    }
#define FLOOR (x[i] / counts[i] - (x[i] % counts[i] < 0))
    switch ((hx_dtype)dtype) {
    case HX_I8: DIVIDE(int8_t, FLOOR)
    case HX_I16: DIVIDE(int16_t, FLOOR)
    case HX_I32: DIVIDE(int32_t, FLOOR)
    case HX_I64: DIVIDE(int64_t, FLOOR)
    case HX_U8: DIVIDE(uint8_t, x[i] / counts[i])
    case HX_U16: DIVIDE(uint16_t, x[i] / counts[i])
    case HX_U32: DIVIDE(uint32_t, x[i] / counts[i])
    case HX_U64: DIVIDE(uint64_t, x[i] / (uint64_t)counts[i])
    case HX_F16:
    case HX_BF16:
    case HX_F32: DIVIDE(float, x[i] / (float)counts[i])
    case HX_F64: DIVIDE(double, x[i] / (double)counts[i])
    case HX_C64: DIVIDE(float complex, x[i] / (float)counts[i])
    case HX_C128: DIVIDE(double complex, x[i] / (double)counts[i])
    default: break;
    }
#undef FLOOR
#undef DIVIDE
}

/* Counts what arrives at each place, in the geometry of the dense target. */
static void count_arrivals(const job *reduction, bool columns, int64_t *counts, int64_t numel, bool include_self) {
    job j = *reduction;
    for (int64_t i = 0; i < numel; i++) counts[i] = include_self;
    j.out = (char *)counts;
    j.out_size = sizeof *counts;
    j.run = count;
    scatter_all(&j, columns);
}

/* Places that something arrives at start from the identity instead of the input. */
static void forget_self(const job *reduction, bool columns, manner how, uint8_t dtype) {
    _Alignas(16) char value[16];
    job j = *reduction;
    identity(how, dtype, value);
    j.src = value;
    j.src_size = 0;
    memset(j.step[SRC], 0, sizeof j.step[SRC]);
    j.along_step[SRC] = j.row_step[SRC] = 0;
    j.run = moving_run((size_t)j.out_size, false);
    scatter_all(&j, columns);
}

static hx_code scatter(const hx_op_call *call, manner how, bool include_self, hx_err *err) {
    hx_view in = with_axis(&call->in[0]), index = with_axis(&call->in[1]), out = with_axis(&call->out[0]);
    hx_view src = call->in[2];
    size_t size = hx_dtype_size((hx_dtype)out.dtype);
    int dim = (int)call->attr[0].v.i;
    bool half = how != MOVE && hx_is_half(out.dtype), apart = half || (how != MOVE && !out.contiguous);
    bool columns = dim != index.ndim - 1, inplace = in.data == out.data;
    int64_t strides[HX_MAX_RANK], source[HX_MAX_RANK] = {0}, at[HX_MAX_RANK];
    scratch target = {0}, copy = {0}, counts = {0}, positions = {0};
    hx_code code = HX_OK;
    if (index.numel == 0) {
        hx_copy_view(&out, &in);
        return HX_OK;
    }
    if (apart)
        hx_row_major(out.shape, out.ndim, strides);
    else
        memcpy(strides, out.strides, out.ndim * sizeof *strides);
    for (int i = 0; i < src.ndim; i++) source[i] = src.strides[i];
    memcpy(at, index.strides, index.ndim * sizeof *at);
    job j = {.out = out.data, .src = src.data, .out_size = (int64_t)(half ? sizeof(float) : size), .src_size = (int64_t)size,
             .run = how == MOVE ? moving_run(size, false) : reductions[how == MEAN ? SUM : how][out.dtype]};
    if (inplace) code = check(&in, dim, &index, err);
    if (code) return code;
    bool room = true;
    if (apart) room = (j.out = take(&target, (size_t)(out.numel * j.out_size)));
    if (room && how == MEAN) room = take(&counts, (size_t)out.numel * sizeof(int64_t));
    if (room && inplace && src.mem == in.mem && src.ndim) room = (j.src = keep(&copy, &src, &index, source));
    if (room && inplace && index.mem == in.mem) {
        room = (index.data = keep(&positions, &index, &index, at));
        index.strides = at;
    }
    if (!room)
        code = hx_kernel_fail(err, HX_E_MEMORY, 1402, "no memory to reduce %s apart", hx_shape_text(out.shape, out.ndim));
    hx_offsets asked = offsets_for(&in, strides, dim, &index);
    j.asked = &asked;
    take_apart(&j, &index, dim, strides, at, source);
    if (!code) {
        if (half)
            hx_halves_to_floats((float *)j.out, &in);
        else if (apart) {
            hx_view dense = out;
            dense.data = target.data;
            dense.strides = strides;
            dense.contiguous = true;
            hx_copy_view(&dense, &in);
        } else
            hx_copy_view(&out, &in);
        if (how != MOVE && !include_self) forget_self(&j, columns, how, out.dtype);
        scatter_all(&j, columns);
        if (how == MEAN) {
            count_arrivals(&j, columns, (int64_t *)counts.data, out.numel, include_self);
            divide(j.out, out.dtype, (const int64_t *)counts.data, out.numel);
        }
        if (half)
            hx_floats_to_halves(&out, (const float *)j.out);
        else if (apart) {
            hx_view dense = out;
            dense.data = target.data;
            dense.strides = strides;
            dense.contiguous = true;
            hx_copy_view(&out, &dense);
        }
        code = fault(&asked, &in, dim, &index, err);
    }
    give(&positions);
    give(&counts);
    give(&copy);
    give(&target);
    return code;
}

static manner manner_of(const hx_attr *reduce) {
    static const struct { const char *name; manner how; } names[] = {
        {"sum", SUM}, {"add", SUM}, {"prod", PROD}, {"multiply", PROD}, {"amax", AMAX}, {"amin", AMIN}, {"mean", MEAN},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].name) == reduce->count && !memcmp(names[i].name, reduce->v.str, reduce->count)) return names[i].how;
    return MOVE;
}

HX_KERNEL(k_scatter) {
    HX_UNUSED;
    return scatter(call, manner_of(&call->attr[1]), true, err);
}

HX_KERNEL(k_scatter_add) {
    HX_UNUSED;
    return scatter(call, SUM, true, err);
}

HX_KERNEL(k_scatter_reduce) {
    HX_UNUSED;
    return scatter(call, manner_of(&call->attr[1]), call->attr[2].v.i, err);
}

HX_KERNELS(scatter) = {
    KERNEL(gather, k_gather, HX_SET_ALL),
    KERNEL(scatter, k_scatter, HX_SET_ALL),
    KERNEL(scatter_add, k_scatter_add, HX_SET_ALL),
    KERNEL(scatter_reduce, k_scatter_reduce, HX_SET_ALL),
    {0},
};
