/* Scaled dot-product attention, forward and backward, in memory linear in the sequence length: scores exist for one
 * block of rows and keys at a time, with a running maximum and sum (Milakov and Gimelshein, 2018; Dao et al.,
 * "FlashAttention", NeurIPS 2022). The backward pass recomputes weights from the log-sum-exp of each row.
 *
 * Tasks are chunks of rows, and chunks of keys in the backward pass. Every row is summed in the order of its keys, and
 * gradients of keys in the order of rows; chunks whose sums are added up depend on the sizes alone. So results have the
 * same bits for any number of threads. */
#include <stdatomic.h>
#include "gemm.h"
#include "../rooms.h"
#include "rows.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))
#if HX_LANE_BYTES == 64
#define LOW_HALVES 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_HALVES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif HX_LANE_BYTES == 32
#define LOW_HALVES 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_HALVES 4, 12, 5, 13, 6, 14, 7, 15
#else
#define LOW_HALVES 0, 4, 1, 5
#define HIGH_HALVES 2, 6, 3, 7
#endif

enum {
    BLOCK_ROWS = 128, /* a multiple of every panel's lanes */
    BACK_ROWS = 64,   /* the same for the backward pass, whose tiles are as wide */
    BLOCK_KEYS = 112,
    PIECE = 128,      /* elements of a row that are read at once; at least BLOCK_KEYS */
    HEADROOM = 8,
    FEW_ROWS = 16,
    FEW_TASKS = 16,   /* chunks of keys are made until there are so many tasks, */
    FEW_KEYS = 512,   /* but not of fewer keys */
    BACK_TASKS = 32,  /* the same for the backward pass */
    BACK_KEYS = 256
};

typedef struct job {
    hx_view q, k, v, mask[2], out, grad, dq, dk, dv; /* masks as (..., L, S), whatever they are made of */
    void *lse;             /* contiguous */
    const void *lse_grad;  /* contiguous, or NULL */
    int64_t heads, groups, repeat; /* heads of queries; of keys; the one over the other */
    int64_t l, s, e, ev;   /* rows, keys, width of queries and keys, width of values */
    int masks;
    const hx_view *distances; /* mask[masks - 1], if it says the same for all pairs of a distance: */
    int64_t shape[HX_MAX_RANK], strides[HX_MAX_RANK]; /* its own */
    int64_t from, until;   /* row i may see keys i + from to i + until - 1 */
    bool causal, backward;
    double scale, keep_scale;
    uint32_t drop_below;   /* 0: no dropout */
    uint64_t seed, stream;
    int64_t chunks, chunk_rows, chunk_keys; /* tasks of a group: of query rows, or of keys in the backward pass */
    hx_view part;          /* (chunks, heads, l, e): gradients of queries by chunks of keys */
    hx_view by_distance;   /* their gradients, which are all that is wanted; or nothing */
    char *room;
    size_t slot_bytes;
} job;

typedef struct block {
    int64_t head, row, rows, key, keys;
} block;

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* Address of a row of matrix `index` of a batch of matrices. */
static char *row_of(const hx_view *v, int64_t index, int64_t row) {
    int64_t offset = row * v->strides[v->ndim - 2];
    for (int d = v->ndim - 3; d >= 0; d--) {
        offset += index % v->shape[d] * v->strides[d];
        index /= v->shape[d];
    }
    return (char *)v->data + offset * (int64_t)hx_dtype_size((hx_dtype)v->dtype);
}

/* Address of a row of a contiguous result. */
static char *result_of(const hx_view *v, int64_t row, int64_t width) {
    return (char *)v->data + row * width * (int64_t)hx_dtype_size((hx_dtype)v->dtype);
}

/* Keys that rows before `row_end` may see: those before the result, */
static int64_t keys_seen(const job *j, int64_t row_end) {
    return most(0, least(j->s, row_end - 1 + (j->causal ? least(j->until, 1) : j->until)));
}

/* and from a whole number of blocks on. */
static int64_t first_seen(const job *j, int64_t row) { return most(0, row + j->from) / BLOCK_KEYS * BLOCK_KEYS; }

/* Keys of the block that its row i may see: at most all, and none when not positive. */
static int64_t visible(const job *j, const block *b, int64_t i) {
    return j->causal ? least(b->keys, b->row + i + 1 - b->key) : b->keys;
}

static const char *mask_at(const hx_view *mask, const block *b, int64_t i) {
    return row_of(mask, b->head, b->row + i) +
           b->key * mask->strides[mask->ndim - 1] * (int64_t)hx_dtype_size((hx_dtype)mask->dtype);
}

/* Position of the block's row i in the tensor of all scores. */
static int64_t dropout_at(const job *j, const block *b, int64_t i) {
    return (b->head * j->l + b->row + i) * j->s + b->key;
}

/* Distances of all rows and a chunk's keys. */
static int64_t distances_of(const job *j) { return j->chunk_keys + j->l - 1; }

/* 2^x for x that is seldom above 0. 2 ULP. Weights below 2^-100 are 0: what is multiplied with them would be too small
 * for a normal float, and such numbers are ten times as slow. */
static inline hx_vf lanes_exp2(hx_vf x) {
    x = hx_vf_clamp(hx_vf_select(hx_vf_lt(x, hx_vf_all(-100.0f)), hx_vf_all(-200.0f), x), -200.0f, 128.0f);
    hx_vf k = hx_vf_round(x), r = x - k;
    hx_vf p = r * 0x1.41fbbcp-13f + 0x1.5f3e52p-10f;
    p = p * r + 0x1.3b2d4cp-7f;
    p = p * r + 0x1.c6aee8p-5f;
    p = p * r + 0x1.ebfbdcp-3f;
    p = p * r + 0x1.62e430p-1f;
    return hx_vf_scale2(p * r + 1.0f, k);
}

/* top[i] = max over keys of s[key * lanes + i], NaN left out */
static void max_lanes_f32(const float *s, int64_t keys, int64_t lanes, float *top) {
    enum { L = HX_LANES_OF(float) };
    for (int64_t i = 0; i < lanes; i += L) {
        hx_vf a = hx_vf_all(-INFINITY), b = a;
        int64_t k = 0;
        for (; k + 2 <= keys; k += 2) {
            hx_vf x = hx_vf_load(s + k * lanes + i), y = hx_vf_load(s + (k + 1) * lanes + i);
            a = hx_vf_select(hx_vf_lt(a, x), x, a);
            b = hx_vf_select(hx_vf_lt(b, y), y, b);
        }
        if (k < keys) {
            hx_vf x = hx_vf_load(s + k * lanes + i);
            a = hx_vf_select(hx_vf_lt(a, x), x, a);
        }
        hx_vf_store(top + i, hx_vf_select(hx_vf_lt(a, b), b, a));
    }
}

/* s[key * pitch + i] = 2^(s - base[i]) for i < lanes, added to sum[i] */
static void exp_lanes_f32(float *s, int64_t keys, int64_t lanes, int64_t pitch, const float *base, float *sum) {
    enum { L = HX_LANES_OF(float) };
    for (int64_t i = 0; i < lanes; i += L) {
        hx_vf a = {0}, b = a, from = hx_vf_load(base + i);
        int64_t k = 0;
        for (; k + 2 <= keys; k += 2) {
            float *at = s + k * pitch + i;
            hx_vf x = lanes_exp2(hx_vf_load(at) - from), y = lanes_exp2(hx_vf_load(at + pitch) - from);
            hx_vf_store(at, x);
            hx_vf_store(at + pitch, y);
            a += x;
            b += y;
        }
        if (k < keys) {
            hx_vf x = lanes_exp2(hx_vf_load(s + k * pitch + i) - from);
            hx_vf_store(s + k * pitch + i, x);
            a += x;
        }
        hx_vf_store(sum + i, hx_vf_load(sum + i) + (a + b));
    }
}

/* The sums of the lanes of `L` vectors, in the lanes of one. */
static inline hx_vf lanes_sums(hx_vf *x) {
    enum { L = HX_LANES_OF(float) };
    _Pragma("GCC unroll 4") for (int n = L / 2; n > 0; n /= 2)
        _Pragma("GCC unroll 16") for (int i = 0; i < n; i++)
            x[i] = __builtin_shufflevector(x[i], x[i + n], LOW_HALVES) + __builtin_shufflevector(x[i], x[i + n], HIGH_HALVES);
    return x[0];
}

/* sums[r * pitch + i] = q_r . k_i; rows of q are filled up with zeros to whole vectors. */
static void few_dots_f32(int64_t rows, int64_t keys, int64_t e, const float *q, int64_t q_pitch, const float *k,
                         int64_t step, float *sums, int64_t pitch) {
    enum { L = HX_LANES_OF(float) };
    int64_t whole = e - e % L;
    for (int64_t i = 0; i < keys; i += L) {
        const float *key[L];
        for (int l = 0; l < L; l++) key[l] = k + least(i + l, keys - 1) * step;
        for (int64_t r = 0; r < rows; r++) {
            hx_vf sum[L];
            _Pragma("GCC unroll 16") for (int l = 0; l < L; l++) {
                sum[l] = (hx_vf){0};
                for (int64_t at = 0; at < whole; at += L) sum[l] += hx_vf_load(q + r * q_pitch + at) * hx_vf_load(key[l] + at);
                if (whole < e)
                    sum[l] += hx_vf_load(q + r * q_pitch + whole) * hx_vf_load_part(key[l] + whole, (int)(e - whole));
            }
            hx_vf all = lanes_sums(sum);
            if (i + L <= keys) hx_vf_store(sums + r * pitch + i, all);
            else hx_vf_store_part(sums + r * pitch + i, all, (int)(keys - i));
        }
    }
}

/* out[r * o_pitch + e] = sum over keys of w[r * pitch + key] * v[key * step + e], in blocks of keys so that errors do
 * not grow with their number. */
static ALWAYS_INLINE void few_sums(const int vectors, int64_t keys, const float *w, const float *v, int64_t step,
                                   int last, float *out) {
    enum { L = HX_LANES_OF(float), BLOCK = 256 };
    hx_vf total[8] = {{0}};
    for (int64_t from = 0; from < keys; from += BLOCK) {
        hx_vf sum[8];
        for (int i = 0; i < vectors; i++) sum[i] = (hx_vf){0};
        for (int64_t k = from; k < least(from + BLOCK, keys); k++) {
            const float *row = v + k * step;
            hx_vf by = hx_vf_all(w[k]);
            _Pragma("GCC unroll 8") for (int i = 0; i < vectors - 1; i++) sum[i] += by * hx_vf_load(row + i * L);
            sum[vectors - 1] += by * (last == L ? hx_vf_load(row + (vectors - 1) * L) : hx_vf_load_part(row + (vectors - 1) * L, last));
        }
        for (int i = 0; i < vectors; i++) total[i] += sum[i];
    }
    for (int i = 0; i < vectors - 1; i++) hx_vf_store(out + i * L, total[i]);
    if (last == L) hx_vf_store(out + (vectors - 1) * L, total[vectors - 1]);
    else hx_vf_store_part(out + (vectors - 1) * L, total[vectors - 1], last);
}

static void few_sums_f32(int64_t rows, int64_t keys, int64_t ev, const float *w, int64_t pitch, const float *v,
                         int64_t step, float *out, int64_t o_pitch) {
    enum { L = HX_LANES_OF(float) };
    for (int64_t r = 0; r < rows; r++, w += pitch, out += o_pitch)
        for (int64_t e = 0; e < ev; e += 8 * L) {
            int64_t n = least(8 * L, ev - e), vectors = ceil_div(n, L);
            int last = (int)(n - (vectors - 1) * L);
            if (vectors == 8) few_sums(8, keys, w, v + e, step, last, out + e);
            else if (vectors == 4 && last == L) few_sums(4, keys, w, v + e, step, L, out + e);
            else {
                for (int64_t i = 0; i < vectors; i++)
                    few_sums(1, keys, w, v + e + i * L, step, i + 1 < vectors ? L : last, out + e + i * L);
            }
        }
}

#define REAL float
#define WIDE(name) name##_f32
#define SUMS HX_F32
#define UNIT 0x1.71547652b82fep0 /* the logarithm of e to base 2 */
#define READ_ROW(p, dtype, step, n, room) hx_read_f32(p, dtype, step, n, room)
#define WRITE_ROW(p, dtype, step, n, x) hx_write_f32(p, dtype, step, n, x)
#define ROW_MAX(x, n) hx_row_max(x, n)
#define ROW_EXP(x, n, top) (float)hx_row_exp_sum(x, x, n, top)
#define MAX_LANES max_lanes_f32
#define EXP_LANES exp_lanes_f32
#define FEW_DOTS few_dots_f32
#define FEW_SUMS few_sums_f32
#include "attention_body.h"
#undef REAL
#undef WIDE
#undef SUMS
#undef UNIT
#undef READ_ROW
#undef WRITE_ROW
#undef ROW_MAX
#undef ROW_EXP
#undef MAX_LANES
#undef EXP_LANES
#undef FEW_DOTS
#undef FEW_SUMS

static double row_max_f64(const double *x, int64_t n) {
    double top = x[0];
    for (int64_t i = 1; i < n; i++) top = x[i] > top || x[i] != x[i] ? x[i] : top;
    return top;
}
static double row_exp_f64(double *x, int64_t n, double top) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) x[i] = hx_d_exp(x[i] - top);
    for (int64_t i = 0; i < n; i++) sum += x[i];
    return sum;
}
static void max_lanes_f64(const double *s, int64_t keys, int64_t lanes, double *top) {
    for (int64_t i = 0; i < lanes; i++) top[i] = -INFINITY;
    for (int64_t k = 0; k < keys; k++, s += lanes)
        for (int64_t i = 0; i < lanes; i++) top[i] = s[i] > top[i] ? s[i] : top[i];
}
static void exp_lanes_f64(double *s, int64_t keys, int64_t lanes, int64_t pitch, const double *base, double *sum) {
    for (int64_t k = 0; k < keys; k++, s += pitch)
        for (int64_t i = 0; i < lanes; i++) {
            s[i] = hx_d_exp(s[i] - base[i]);
            sum[i] += s[i];
        }
}
#define REAL double
#define WIDE(name) name##_f64
#define SUMS HX_F64
#define UNIT 1.0
#define READ_ROW(p, dtype, step, n, room) hx_read_f64(p, step, n, room)
#define WRITE_ROW(p, dtype, step, n, x) hx_write_f64(p, dtype, step, n, x)
#define ROW_MAX(x, n) row_max_f64(x, n)
#define ROW_EXP(x, n, top) row_exp_f64(x, n, top)
#define MAX_LANES max_lanes_f64
#define EXP_LANES exp_lanes_f64
#define FEW_DOTS(rows, keys, e, q, q_pitch, k, step, sums, pitch) \
    hx_gemm_rows(HX_F64, rows, keys, e, q, q_pitch, k, 1, step, sums, pitch)
#define FEW_SUMS(rows, keys, ev, w, pitch, v, step, out, o_pitch) \
    hx_gemm_rows(HX_F64, rows, ev, keys, w, pitch, v, step, 1, out, o_pitch)
#include "attention_body.h"

/* ---- tasks ---- */

static bool wide(const job *j) { return j->q.dtype == HX_F64; }

static void run_task(void *ctx, int64_t t, int slot) {
    job *j = ctx;
    char *room = j->room + (size_t)slot * j->slot_bytes;
    int64_t group = t / j->chunks, chunk = t % j->chunks, row = chunk * j->chunk_rows, end = least(row + j->chunk_rows, j->l);
    if (j->by_distance.data) (wide(j) ? distance_task_f64 : distance_task_f32)(j, group, chunk, room);
    else if (j->backward) (wide(j) ? backward_task_f64 : backward_task_f32)(j, group, chunk, room);
    else if (j->chunk_rows == 0) (wide(j) ? few_rows_f64 : few_rows_f32)(j, group, chunk, room);
    else (wide(j) ? forward_task_f64 : forward_task_f32)(j, group, row, end, room);
}

static hx_code run_tasks(job *j) {
    int64_t tasks = j->groups * j->chunks, slots = least(tasks, hx_threads_get());
    double work = (double)j->heads * (double)j->l * (double)j->s * (double)(j->e + j->ev);
    if (work < 1e5) slots = 1;
    j->slot_bytes = (j->slot_bytes + 63) / 64 * 64;
    if (!(j->room = hx_pool_alloc((size_t)slots * j->slot_bytes))) return HX_E_MEMORY;
    hx_parallel_rooms(tasks, (int)slots, run_task, j);
    hx_pool_free(j->room, (size_t)slots * j->slot_bytes);
    return HX_OK;
}

static bool shows(const hx_view *v, int64_t at) {
    return v->dtype == HX_F64 ? ((const double *)v->data)[at] != -INFINITY : ((const float *)v->data)[at] != -INFINITY;
}

/* Narrows the keys to the distances that some head sees. */
static void narrow(job *j, const hx_view *v) {
    int last = v->ndim - 1;
    int64_t count = 1, n = v->shape[last], low = n, high = -1, step = v->strides[last];
    for (int d = 0; d < last; d++) count *= v->strides[d] ? v->shape[d] : 1;
    for (int64_t i = 0; i < count; i++) {
        int64_t at = 0, rest = i, a = 0, b = n - 1;
        for (int d = last - 1; d >= 0; d--) {
            if (!v->strides[d]) continue;
            at += rest % v->shape[d] * v->strides[d];
            rest /= v->shape[d];
        }
        while (a < low && !shows(v, at + a * step)) a++;
        while (b > high && !shows(v, at + b * step)) b--;
        low = least(low, a);
        high = most(high, b);
    }
    j->from = low - (j->l - 1);
    j->until = high + 1 - (j->l - 1);
}

/* What is added by distance as a mask: one place to the right for each key, one to the left for each row. */
static void set_distances(job *j, const hx_view *v) {
    int last = v->ndim - 1;
    int64_t step = v->strides[last];
    hx_view *mask = &j->mask[j->masks++];
    for (int d = 0; d < last; d++) j->shape[d] = v->shape[d], j->strides[d] = v->strides[d];
    j->shape[last] = j->l, j->strides[last] = -step;
    j->shape[last + 1] = j->s, j->strides[last + 1] = step;
    *mask = *v;
    mask->ndim++, mask->shape = j->shape, mask->strides = j->strides;
    mask->data = (char *)v->data + (j->l - 1) * step * (int64_t)hx_dtype_size((hx_dtype)v->dtype);
    j->distances = mask;
    narrow(j, v);
}

/* The sizes, from views of query, key, value, mask and distances, and the attributes is_causal, scale, dropout_p,
 * generator. */
static void set_job(job *j, const hx_view *in, const hx_attr *attr) {
    j->q = in[0], j->k = in[1], j->v = in[2];
    int n = j->q.ndim;
    j->l = j->q.shape[n - 2];
    j->e = j->q.shape[n - 1];
    j->s = j->k.shape[n - 2];
    j->ev = j->v.shape[n - 1];
    j->heads = j->groups = 1;
    for (int d = 0; d < n - 2; d++) {
        j->heads *= j->q.shape[d];
        j->groups *= j->k.shape[d];
    }
    j->repeat = j->groups ? j->heads / j->groups : 0;
    j->from = -j->l;
    j->until = j->s;
    if (!hx_absent(&in[3])) j->mask[j->masks++] = in[3];
    if (!hx_absent(&in[4]) && j->heads * j->l * j->s > 0) set_distances(j, &in[4]);
    j->causal = attr[0].v.i;
    j->scale = attr[1].v.f;
    double p = attr[2].v.f, limit = p * 0x1p32;
    j->drop_below = limit >= 0x1p32 ? UINT32_MAX : (uint32_t)limit;
    j->keep_scale = 1 / (1 - p);
    j->seed = attr[3].v.rng.seed;
    j->stream = attr[3].v.rng.stream;
    j->chunks = 1;
    j->chunk_rows = j->l;
}

static bool few_rows(const job *j) {
    const hx_view *k = &j->k, *v = &j->v;
    return j->repeat * j->l <= FEW_ROWS && j->e && (k->strides[k->ndim - 1] == 1 || j->e == 1) &&
           (v->strides[v->ndim - 1] == 1 || j->ev == 1);
}

/* Cuts the keys of a group: into enough chunks for so many tasks in all, of at least so many keys. */
static void set_chunks(job *j, int64_t tasks, int64_t keys) {
    int64_t chunks = least(ceil_div(tasks, hx_batch_invariant() ? 1 : j->groups), ceil_div(j->s, keys));
    j->chunk_keys = ceil_div(ceil_div(j->s, chunks), BLOCK_KEYS) * BLOCK_KEYS;
    j->chunks = ceil_div(j->s, j->chunk_keys);
}

/* Tasks that leave sums of each chunk, `size` of them, in j->part when there are several; `join` adds them for rows of
 * all heads. */
static hx_code run_chunks(job *j, int64_t size, hx_range_body join) {
    if (j->chunks == 1) return run_tasks(j);
    size_t nbytes = (size_t)(j->chunks * size) * hx_dtype_size(wide(j) ? HX_F64 : HX_F32);
    j->part = (hx_view){.dtype = wide(j) ? HX_F64 : HX_F32, .data = hx_pool_alloc(nbytes)};
    if (nbytes && !j->part.data) return HX_E_MEMORY;
    hx_code code = run_tasks(j);
    int64_t rows = j->heads * j->l;
    if (!code) hx_parallel_range(rows, hx_grain((int64_t)nbytes / rows), join, j);
    if (nbytes) hx_pool_free(j->part.data, nbytes);
    return code;
}

static hx_code run_few(job *j) {
    set_chunks(j, FEW_TASKS, FEW_KEYS);
    j->chunk_rows = 0;
    j->slot_bytes = wide(j) ? few_size_f64(j) : few_size_f32(j);
    int64_t part = wide(j) ? part_size_f64(j) : part_size_f32(j);
    return run_chunks(j, j->heads * j->l * part, wide(j) ? join_rows_f64 : join_rows_f32);
}

/* Nothing to see: zeros, and -inf as the logarithm of no weight. */
static void leave_empty(const job *j) {
    memset(j->out.data, 0, (size_t)(j->out.numel * (int64_t)hx_dtype_size((hx_dtype)j->out.dtype)));
    for (int64_t i = 0; i < j->heads * j->l; i++)
        if (wide(j)) ((double *)j->lse)[i] = -INFINITY;
        else ((float *)j->lse)[i] = -INFINITY;
}

HX_KERNEL(k_attention) {
    HX_UNUSED;
    job j = {.out = call->out[0], .lse = call->out[1].data};
    set_job(&j, call->in, call->attr);
    if (j.heads * j.l == 0) return HX_OK;
    if (j.s == 0) {
        leave_empty(&j);
        return HX_OK;
    }
    if (few_rows(&j)) return run_few(&j);
    int64_t threads = hx_threads_get();
    if (threads > 1 && j.groups < 2 * threads) {
        int64_t blocks = ceil_div(j.l, BLOCK_ROWS), chunks = least(blocks, ceil_div(2 * threads, j.groups));
        j.chunk_rows = ceil_div(blocks, chunks) * BLOCK_ROWS;
        j.chunks = ceil_div(j.l, j.chunk_rows);
    }
    j.slot_bytes = wide(&j) ? forward_size_f64(&j) : forward_size_f32(&j);
    return run_tasks(&j);
}

/* A contiguous copy of a small view, or the view's own data. */
static hx_code dense(const hx_view *v, void **data, size_t *copied) {
    *copied = 0;
    *data = v->data;
    if (v->contiguous || v->numel == 0) return HX_OK;
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)v->dtype), rows = v->shape[v->ndim - 1];
    *copied = (size_t)(v->numel * size);
    if (!(*data = hx_pool_alloc(*copied))) return HX_E_MEMORY;
    for (int64_t i = 0; i < v->numel; i++) {
        int64_t at = i / rows, offset = i % rows * v->strides[v->ndim - 1];
        for (int d = v->ndim - 2; d >= 0; d--) {
            offset += at % v->shape[d] * v->strides[d];
            at /= v->shape[d];
        }
        memcpy((char *)*data + i * size, (const char *)v->data + offset * size, (size_t)size);
    }
    return HX_OK;
}

/* Chunks depend on the sizes alone, and so do the sums of their gradients of queries. */
static hx_code run_backward(job *j) {
    set_chunks(j, BACK_TASKS, BACK_KEYS);
    backward_room_f32 narrow;
    backward_room_f64 broad;
    j->slot_bytes = wide(j) ? backward_bytes_f64(j, &broad, NULL) : backward_bytes_f32(j, &narrow, NULL);
    return run_chunks(j, j->heads * j->l * j->e, wide(j) ? add_parts_f64 : add_parts_f32);
}

/* Every chunk's sums for every head, and then those of all chunks in their order. */
static hx_code run_distances(job *j) {
    int64_t size = (int64_t)hx_dtype_size(wide(j) ? HX_F64 : HX_F32), nbytes;
    set_chunks(j, BACK_TASKS, BACK_KEYS);
    backward_room_f32 narrow;
    backward_room_f64 broad;
    j->slot_bytes = wide(j) ? backward_bytes_f64(j, &broad, NULL) : backward_bytes_f32(j, &narrow, NULL);
    if (!hx_mul_ok(j->chunks * j->heads, distances_of(j) * size, &nbytes)) return HX_E_MEMORY;
    if (!(j->part.data = hx_pool_alloc((size_t)nbytes))) return HX_E_MEMORY;
    hx_code code = run_tasks(j);
    if (!code) hx_parallel_range(j->heads, 1, wide(j) ? join_distances_f64 : join_distances_f32, j);
    hx_pool_free(j->part.data, (size_t)nbytes);
    return code;
}

/* query, key, value, mask, distances, output, logsumexp, gradient, gradient of logsumexp */
static hx_code run_gradients(job *j, const hx_op_call *call, int results, hx_code (*run)(job *)) {
    j->out = call->in[5], j->grad = call->in[7], j->backward = true;
    set_job(j, call->in, call->attr);
    if (j->heads * j->l * j->s == 0) {
        for (int i = 0; i < results; i++)
            memset(call->out[i].data, 0, (size_t)(call->out[i].numel * (int64_t)hx_dtype_size((hx_dtype)call->out[i].dtype)));
        return HX_OK;
    }
    size_t lse_bytes, grad_bytes = 0;
    void *lse_grad = NULL;
    hx_code code = dense(&call->in[6], &j->lse, &lse_bytes);
    if (!code && !hx_absent(&call->in[8])) code = dense(&call->in[8], &lse_grad, &grad_bytes);
    j->lse_grad = lse_grad;
    if (!code) code = run(j);
    if (lse_bytes && j->lse) hx_pool_free(j->lse, lse_bytes);
    if (grad_bytes && lse_grad) hx_pool_free(lse_grad, grad_bytes);
    return code;
}

HX_KERNEL(k_attention_backward) {
    HX_UNUSED;
    job j = {.dq = call->out[0], .dk = call->out[1], .dv = call->out[2]};
    return run_gradients(&j, call, 3, run_backward);
}
HX_KERNEL(k_attention_distance_gradient) {
    HX_UNUSED;
    job j = {.by_distance = call->out[0]};
    return run_gradients(&j, call, 1, run_distances);
}

HX_KERNELS(attention) = {KERNEL(attention, k_attention, HX_SET_FLOAT),
                         KERNEL(attention_backward, k_attention_backward, HX_SET_FLOAT),
                         KERNEL(attention_distance_gradient, k_attention_distance_gradient, HX_SET_FLOAT),
                         {0}};
