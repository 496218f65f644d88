/* Sorting and selection along one axis, and binary search. Inputs are contiguous: (outer, n, inner).
 *
 * Values become unsigned keys in the same order (NaN last, -0 equal to 0; inverted for descending). Dtypes of up to
 * four bytes are sorted as one 64-bit word of key and position, those of eight carry the position beside the key;
 * either way no two are equal and every sort is stable. */
#include <stdatomic.h>
#include "blocks.h"

enum { FEW = 32 };

typedef struct wide_key {
    uint64_t key;
    int64_t at;
} wide_key;

/* ---- keys ---- */

static inline uint32_t key_of_float(float x) {
    uint32_t b;
    if (x != x) return UINT32_MAX;
    x += 0.0f; /* -0 becomes 0 */
    memcpy(&b, &x, sizeof b);
    return b >> 31 ? ~b : b | 0x80000000u;
}

static inline uint64_t key_of_double(double x) {
    uint64_t b;
    if (x != x) return UINT64_MAX;
    x += 0.0;
    memcpy(&b, &x, sizeof b);
    return b >> 63 ? ~b : b | 0x8000000000000000u;
}

static inline bool is_wide(int dtype) { return hx_dtype_size((hx_dtype)dtype) == 8; }

static uint32_t key32(const char *p, int dtype) {
    switch (dtype) {
    case HX_BOOL:
    case HX_U8: return *(const uint8_t *)p;
    case HX_I8: return (uint32_t)*(const int8_t *)p ^ 0x80000000u;
    case HX_I16: return (uint32_t)*(const int16_t *)p ^ 0x80000000u;
    case HX_I32: return (uint32_t)*(const int32_t *)p ^ 0x80000000u;
    case HX_U16: return *(const uint16_t *)p;
    case HX_U32: return *(const uint32_t *)p;
    case HX_F16: return key_of_float(hx_f16_to_f32(*(const uint16_t *)p));
    case HX_BF16: return key_of_float(hx_bf16_to_f32(*(const uint16_t *)p));
    default: return key_of_float(*(const float *)p);
    }
}

static uint64_t key64(const char *p, int dtype) {
    switch (dtype) {
    case HX_I64: return *(const uint64_t *)p ^ 0x8000000000000000u;
    case HX_U64: return *(const uint64_t *)p;
    case HX_F64: return key_of_double(*(const double *)p);
    default: return key32(p, dtype);
    }
}

/* Long loops ask after each part whether the work is given up; sort_row then leaves what they made alone. */
#define PART ((int64_t)1 << 20)
#define IN_PARTS(i, n)                                                                                        \
    for (int64_t part = 0; part < (n) && (part == 0 || !hx_stopped()); part += PART)                          \
        for (int64_t i = part, part_end = part + PART < (n) ? part + PART : (n); i < part_end; i++)

/* Words of key and position for a row whose elements lie `step` bytes apart. */
static void fill_words(uint64_t *w, const char *p, int dtype, int64_t step, int64_t n, bool descending) {
    uint32_t flip = descending ? UINT32_MAX : 0;
    if (dtype == HX_F32 && step == 4)
        IN_PARTS(i, n) {
            uint32_t key = key_of_float(((const float *)p)[i]) ^ flip;
            w[i] = (uint64_t)key << 32 | (uint64_t)i;
        }
    else if (dtype == HX_F32)
        IN_PARTS(i, n) {
            uint32_t key = key_of_float(*(const float *)(p + i * step)) ^ flip;
            w[i] = (uint64_t)key << 32 | (uint64_t)i;
        }
    else
        IN_PARTS(i, n) w[i] = (uint64_t)(key32(p + i * step, dtype) ^ flip) << 32 | (uint64_t)i;
}

static void fill_wide(wide_key *w, const char *p, int dtype, int64_t step, int64_t n, bool descending) {
    uint64_t flip = descending ? UINT64_MAX : 0;
    IN_PARTS(i, n) w[i] = (wide_key){key64(p + i * step, dtype) ^ flip, i};
}

/* ---- sorting ---- */


/* Insertion sort, merge sort and selection of one kind of element, by a strict order in which no two are equal. */
#define BY_ORDER(kind, E, less)                                                                               \
    static void insertion_##kind(E *w, int64_t n) {                                                           \
        for (int64_t i = 1; i < n; i++) {                                                                     \
            E x = w[i];                                                                                       \
            int64_t k = i;                                                                                    \
            for (; k > 0 && less(x, w[k - 1]); k--) w[k] = w[k - 1];                                          \
            w[k] = x;                                                                                         \
        }                                                                                                     \
    }                                                                                                         \
    /* The result is w or other. */                                                                           \
    static E *merge_##kind(E *w, E *other, int64_t n) {                                                       \
        for (int64_t i = 0; i < n; i += FEW) insertion_##kind(w + i, n - i < FEW ? n - i : FEW);              \
        for (int64_t run = FEW; run < n; run *= 2) {                                                          \
            for (int64_t begin = 0; begin < n; begin += 2 * run) {                                            \
                int64_t mid = begin + run < n ? begin + run : n, end = mid + run < n ? mid + run : n;         \
                int64_t a = begin, b = mid;                                                                   \
                for (int64_t k = begin; k < end; k++) {                                                       \
                    bool left = b >= end || (a < mid && less(w[a], w[b]));                                    \
                    other[k] = left ? w[a++] : w[b++];                                                        \
                }                                                                                             \
            }                                                                                                 \
            E *t = w;                                                                                         \
            w = other;                                                                                        \
            other = t;                                                                                        \
        }                                                                                                     \
        return w;                                                                                             \
    }                                                                                                         \
    /* Brings the k smallest to the front, in any order; pivots are the middle of three. */                   \
    static void select_##kind(E *w, int64_t n, int64_t k) {                                                   \
        int64_t low = 0, high = n - 1;                                                                        \
        while (low < high && (high - low < PART || !hx_stopped())) {                                          \
            E a = w[low], b = w[low + (high - low) / 2], c = w[high];                                         \
            E pivot = less(a, b) ? (less(b, c) ? b : (less(a, c) ? c : a))                                    \
                                 : (less(a, c) ? a : (less(b, c) ? c : b));                                   \
            int64_t i = low, j = high;                                                                        \
            while (i <= j) {                                                                                  \
                while (less(w[i], pivot)) i++;                                                                \
                while (less(pivot, w[j])) j--;                                                                \
                if (i <= j) {                                                                                 \
                    E t = w[i];                                                                               \
                    w[i++] = w[j];                                                                            \
                    w[j--] = t;                                                                               \
                }                                                                                             \
            }                                                                                                 \
            if (k - 1 <= j) high = j;                                                                         \
            else if (k - 1 >= i) low = i;                                                                     \
            else return;                                                                                      \
        }                                                                                                     \
    }                                                                                                         \
    /* The k smallest of a row, sorted, at the front of the result, for k well below n. Candidates below the   \
     * k-th so far are gathered until the room is full, which then keeps its k best. */                       \
    static E *top_##kind(E *w, E *other, int64_t n, int64_t k) {                                              \
        int64_t room = 2 * k > 64 ? 2 * k : 64, m = 0;                                                        \
        E limit = {0};                                                                                        \
        bool limited = false;                                                                                 \
        IN_PARTS(i, n) {                                                                                      \
            if (limited && less(limit, w[i])) continue;                                                       \
            other[m++] = w[i];                                                                                \
            if (m < room) continue;                                                                           \
            select_##kind(other, m, k);                                                                       \
            m = k;                                                                                            \
            limit = other[0];                                                                                 \
            for (int64_t c = 1; c < k; c++) limit = less(limit, other[c]) ? other[c] : limit;                 \
            limited = true;                                                                                   \
        }                                                                                                     \
        if (k < m) select_##kind(other, m, k);                                                                \
        return merge_##kind(other, w, k);                                                                     \
    }
#define WORD_LESS(a, b) ((a) < (b))
#define WIDE_LESS(a, b) ((a).key < (b).key || ((a).key == (b).key && (a).at < (b).at))
BY_ORDER(words, uint64_t, WORD_LESS)
BY_ORDER(wide, wide_key, WIDE_LESS)

/* Least-significant-digit radix sort by the key alone: stable, so elements come in with ascending positions. Digits
 * that all keys share are skipped. */
#define RADIX(name, E, N, key_of, bits, passes)                                                               \
    static E *name(E *w, E *other, int64_t n) {                                                               \
        enum { SIZE = 1 << (bits) };                                                                          \
        N count[passes][SIZE];                                                                                \
        memset(count, 0, sizeof count);                                                                       \
        IN_PARTS(i, n)                                                                                        \
            for (int pass = 0; pass < (passes); pass++) count[pass][key_of(w[i]) >> (pass * (bits)) & (SIZE - 1)]++; \
        for (int pass = 0; pass < (passes); pass++) {                                                         \
            int shift = pass * (bits);                                                                        \
            N *c = count[pass], sum = 0;                                                                      \
            if (c[key_of(w[0]) >> shift & (SIZE - 1)] == (N)n) continue;                                      \
            for (int i = 0; i < SIZE; i++) {                                                                  \
                N here = c[i];                                                                                \
                c[i] = sum;                                                                                   \
                sum += here;                                                                                  \
            }                                                                                                 \
            IN_PARTS(i, n) other[c[key_of(w[i]) >> shift & (SIZE - 1)]++] = w[i];                             \
            E *t = w;                                                                                         \
            w = other;                                                                                        \
            other = t;                                                                                        \
        }                                                                                                     \
        return w;                                                                                             \
    }
#define WORD_KEY(w) ((w) >> 32)
#define WIDE_KEY(w) ((w).key)
RADIX(radix_words_short, uint64_t, uint32_t, WORD_KEY, 8, 4)
RADIX(radix_words_long, uint64_t, uint32_t, WORD_KEY, 11, 3)
RADIX(radix_wide_short, wide_key, int64_t, WIDE_KEY, 8, 8)
RADIX(radix_wide_long, wide_key, int64_t, WIDE_KEY, 11, 6)

/* Sorts elements whose positions ascend; the result is w or other. */
static uint64_t *sort_words(uint64_t *w, uint64_t *other, int64_t n) {
    if (n <= FEW) return merge_words(w, other, n);
    return n < 4096 ? radix_words_short(w, other, n) : radix_words_long(w, other, n);
}

static wide_key *sort_wide(wide_key *w, wide_key *other, int64_t n) {
    if (n <= FEW) return merge_wide(w, other, n);
    return n < 4096 ? radix_wide_short(w, other, n) : radix_wide_long(w, other, n);
}

/* ---- rows of a call ---- */

typedef enum { SORT, TOP, KTH, MEDIAN } task;

typedef struct sort_job {
    task task;
    const char *in;
    char *values;
    int64_t *indices;
    int dtype;
    bool descending, wide;
    int64_t size, n, inner, k; /* k results a row, for KTH and MEDIAN the one of rank k */
    atomic_bool failed;
} sort_job;

/* The first NaN of a row, or -1. */
static int64_t first_nan(const sort_job *j, const char *p, int64_t step) {
    if (!hx_is_floating((hx_dtype)j->dtype)) return -1;
    for (int64_t i = 0; i < j->n; i++)
        if (j->dtype == HX_F64 ? key64(p + i * step, HX_F64) == UINT64_MAX
                               : key32(p + i * step, j->dtype) == UINT32_MAX)
            return i;
    return -1;
}

static void put(const sort_job *j, const char *row, int64_t to, int64_t at) {
    memcpy(j->values + to * j->size, row + at * j->inner * j->size, (size_t)j->size);
    j->indices[to] = at;
}

/* The elements of a row at the positions in results to, to + inner, ... of the indices. */
#define GATHER(T)                                                                                             \
    IN_PARTS(k, n)                                                                                            \
        ((T *)j->values)[to + k * j->inner] = ((const T *)row)[j->indices[to + k * j->inner] * j->inner]
static void put_all(const sort_job *j, const char *row, int64_t to, int64_t n) {
    switch (j->size) {
    case 1: GATHER(uint8_t); break;
    case 2: GATHER(uint16_t); break;
    case 4: GATHER(uint32_t); break;
    default: GATHER(uint64_t); break;
    }
}

static void sort_row(const sort_job *j, int64_t r, void *room) {
    int64_t outer = r / j->inner, i = r % j->inner, step = j->inner * j->size, n = j->n;
    const char *row = j->in + (outer * n * j->inner + i) * j->size;
    bool one = j->task >= KTH, few = 4 * j->k < n && n > 64;
    int64_t results = one ? 1 : j->k, rank = one ? j->k - 1 : 0, to = outer * results * j->inner + i;
    if (j->task == MEDIAN) {
        int64_t nan = first_nan(j, row, step);
        if (nan >= 0) {
            put(j, row, to, nan);
            return;
        }
    }
    if (j->wide) {
        wide_key *w = room;
        fill_wide(w, row, j->dtype, step, n, j->descending);
        w = j->task == TOP && few ? top_wide(w, w + n, n, j->k) : sort_wide(w, w + n, n);
        if (n > PART && hx_stopped()) return;
        for (int64_t k = 0; k < results; k++) j->indices[to + k * j->inner] = w[rank + k].at;
        put_all(j, row, to, results);
        return;
    }
    uint64_t *w = room;
    fill_words(w, row, j->dtype, step, n, j->descending);
    if (one) {
        select_words(w, n, j->k);
        if (n > PART && hx_stopped()) return;
        for (int64_t k = 0; k < j->k; k++) w[0] = w[k] > w[0] ? w[k] : w[0];
        put(j, row, to, (int64_t)(w[0] & UINT32_MAX));
        return;
    }
    w = j->task == TOP && few ? top_words(w, w + n, n, j->k) : sort_words(w, w + n, n);
    if (n > PART && hx_stopped()) return;
    for (int64_t k = 0; k < results; k++) j->indices[to + k * j->inner] = (int64_t)(w[k] & UINT32_MAX);
    put_all(j, row, to, results);
}

static void sort_rows(void *ctx, int64_t begin, int64_t end) {
    sort_job *j = ctx;
    size_t bytes = (size_t)j->n * 2 * (j->wide ? sizeof(wide_key) : sizeof(uint64_t));
    void *room = hx_pool_alloc(bytes);
    if (!room) {
        atomic_store(&j->failed, true);
        return;
    }
    for (int64_t r = begin; r < end; r++) sort_row(j, r, room);
    hx_pool_free(room, bytes);
}

static hx_code no_memory(hx_err *err) {
    return hx_kernel_fail(err, HX_E_MEMORY, HX1402_MEMORY, "no memory for the keys of a row");
}

static hx_code run(const hx_op_call *call, task t, int dim, int64_t k, bool descending, hx_err *err) {
    const hx_view *in = &call->in[0];
    sort_job j = {.task = t, .in = in->data, .values = call->out[0].data, .indices = call->out[1].data,
                  .dtype = in->dtype, .descending = descending, .size = (int64_t)hx_dtype_size((hx_dtype)in->dtype),
                  .n = 1, .inner = 1};
    if (!in->numel) return HX_OK;
    if (in->ndim) {
        j.n = in->shape[dim];
        for (int d = dim + 1; d < in->ndim; d++) j.inner *= in->shape[d];
    }
    j.k = t == SORT ? j.n : t == MEDIAN ? (j.n + 1) / 2 : k;
    if (!j.k) return HX_OK;
    j.wide = is_wide(in->dtype) || j.n > UINT32_MAX;
    hx_parallel_range(in->numel / j.n, j.n < 4096 ? 4096 / j.n : 1, sort_rows, &j);
    return atomic_load(&j.failed) ? no_memory(err) : HX_OK;
}

/* attr: dim, descending, stable */
HX_KERNEL(k_sort) {
    HX_UNUSED;
    return run(call, SORT, (int)call->attr[0].v.i, 0, call->attr[1].v.i, err);
}
/* attr: k, dim, largest, sorted */
HX_KERNEL(k_topk) {
    HX_UNUSED;
    return run(call, TOP, (int)call->attr[1].v.i, call->attr[0].v.i, call->attr[2].v.i, err);
}
/* attr: k, dim, keepdim */
HX_KERNEL(k_kthvalue) {
    HX_UNUSED;
    return run(call, KTH, (int)call->attr[1].v.i, call->attr[0].v.i, false, err);
}
/* attr: dim, keepdim */
HX_KERNEL(k_median_dim) {
    HX_UNUSED;
    return run(call, MEDIAN, (int)call->attr[0].v.i, 0, false, err);
}

/* ---- binary search ---- */

typedef struct search_job {
    const uint64_t *keys; /* of all sequences */
    const char *values;
    char *out;
    int64_t n, each;      /* length of a sequence; values a sequence, or all when there is one */
    int64_t size;
    int dtype;
    bool right, small;
} search_job;

static void search_range(void *ctx, int64_t begin, int64_t end) {
    const search_job *j = ctx;
    for (int64_t i = begin; i < end; i++) {
        const uint64_t *keys = j->keys + i / j->each * j->n;
        uint64_t key = key64(j->values + i * j->size, j->dtype);
        int64_t low = 0, length = j->n;
        while (length > 0) {
            int64_t half = length / 2;
            bool past = j->right ? keys[low + half] <= key : keys[low + half] < key;
            low += past ? half + 1 : 0;
            length = past ? length - half - 1 : half;
        }
        if (j->small) ((int32_t *)j->out)[i] = (int32_t)low;
        else ((int64_t *)j->out)[i] = low;
    }
}

/* in: sorted_sequence, values (one dtype); attr: out_int32, right */
HX_KERNEL(k_searchsorted) {
    HX_UNUSED;
    const hx_view *sequence = &call->in[0], *values = &call->in[1];
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)values->dtype);
    if (!values->numel) return HX_OK;
    size_t bytes = (size_t)(sequence->numel + 1) * 8;
    uint64_t *keys = hx_pool_alloc(bytes);
    if (!keys) return no_memory(err);
    for (int64_t i = 0; i < sequence->numel; i++) keys[i] = key64((const char *)sequence->data + i * size,
                                                                  sequence->dtype);
    search_job j = {.keys = keys, .values = values->data, .out = call->out[0].data,
                    .n = sequence->shape[sequence->ndim - 1],
                    .each = sequence->ndim == 1 ? values->numel : values->shape[values->ndim - 1], .size = size,
                    .dtype = values->dtype, .small = call->attr[0].v.i, .right = call->attr[1].v.i};
    hx_parallel_range(values->numel, 4096, search_range, &j);
    hx_pool_free(keys, bytes);
    return HX_OK;
}

/* ---- equal rows ---- */

typedef struct row_order {
    const char *in;
    int dtype;
    int64_t size, width;
} row_order;

static int compare_rows(const row_order *o, int64_t a, int64_t b) {
    const char *p = o->in + a * o->width * o->size, *q = o->in + b * o->width * o->size;
    for (int64_t i = 0; i < o->width; i++, p += o->size, q += o->size) {
        uint64_t x = key64(p, o->dtype), y = key64(q, o->dtype);
        if (x != y) return x < y ? -1 : 1;
    }
    return 0;
}

/* A stable merge sort of row numbers. */
static void order_rows(const row_order *o, int64_t *order, int64_t *other, int64_t n) {
    for (int64_t run = 1; run < n; run *= 2) {
        for (int64_t begin = 0; begin < n; begin += 2 * run) {
            int64_t mid = begin + run < n ? begin + run : n, end = mid + run < n ? mid + run : n;
            int64_t a = begin, b = mid;
            for (int64_t k = begin; k < end; k++) {
                if (k % 65536 == 65535 && hx_stopped()) return;
                bool left = b >= end || (a < mid && compare_rows(o, order[a], order[b]) <= 0);
                other[k] = left ? order[a++] : order[b++];
            }
        }
        memcpy(order, other, (size_t)n * sizeof *order);
    }
}

static bool order_single(const row_order *o, int64_t *order, int64_t n) {
    sort_job j = {.task = SORT, .in = o->in, .indices = order, .dtype = o->dtype, .size = o->size, .n = n, .inner = 1,
                  .k = n, .wide = is_wide(o->dtype) || n > UINT32_MAX};
    size_t bytes = (size_t)(n * o->size);
    j.values = hx_pool_alloc(bytes);
    if (!j.values) return false;
    sort_rows(&j, 0, 1);
    hx_pool_free(j.values, bytes);
    return !atomic_load(&j.failed);
}

static bool row_has_nan(const row_order *o, int64_t row) {
    if (!hx_is_floating((hx_dtype)o->dtype)) return false;
    const char *p = o->in + row * o->width * o->size;
    for (int64_t i = 0; i < o->width; i++, p += o->size)
        if (o->dtype == HX_F64 ? key64(p, HX_F64) == UINT64_MAX : key32(p, o->dtype) == UINT32_MAX) return true;
    return false;
}

/* in: rows (n, width); attr: sorted; out: the order of the rows, and whether each differs from the one before.
 * A row with NaN differs from every row. */
HX_KERNEL(k_group_rows) {
    HX_UNUSED;
    const hx_view *in = &call->in[0];
    int64_t n = in->shape[0], *order = call->out[0].data;
    uint8_t *first = call->out[1].data;
    row_order o = {.in = in->data, .dtype = in->dtype, .size = (int64_t)hx_dtype_size((hx_dtype)in->dtype),
                   .width = in->shape[1]};
    for (int64_t i = 0; i < n; i++) order[i] = i;
    if (call->attr[0].v.i && n > 1) {
        if (o.width == 1) {
            if (!order_single(&o, order, n)) return no_memory(err);
        } else {
            size_t bytes = (size_t)n * sizeof *order;
            int64_t *other = hx_pool_alloc(bytes);
            if (!other) return no_memory(err);
            order_rows(&o, order, other, n);
            hx_pool_free(other, bytes);
        }
    }
    IN_PARTS(i, n)
        first[i] = i == 0 || compare_rows(&o, order[i - 1], order[i]) != 0 || row_has_nan(&o, order[i]);
    return HX_OK;
}

HX_KERNELS(sort) = {
    KERNEL_CONTIGUOUS(sort, k_sort, HX_SET_REAL),
    KERNEL_CONTIGUOUS(topk, k_topk, HX_SET_REAL),
    KERNEL_CONTIGUOUS(kthvalue, k_kthvalue, HX_SET_REAL),
    KERNEL_CONTIGUOUS(median, k_median_dim, HX_SET_REAL),
    KERNEL_CONTIGUOUS(searchsorted, k_searchsorted, HX_SET_REAL),
    KERNEL_CONTIGUOUS(group_rows, k_group_rows, HX_SET_REAL),
    {0}};
