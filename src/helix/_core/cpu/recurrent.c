/* Recurrent layers, forward and back through time, in float32 and float64.
 *
 * The weight is packed once for all times. What is split over threads are rows of the batch, each of which goes through all
 * times by itself: a sum's order depends on the sizes alone, so results have the same bits for any number of threads. */
#include <string.h>
#include "../recurrent.h"
#include "cpu.h"
#include "gemm.h"
#include "vmath.h"

typedef struct job {
    int64_t times, batch, size, gates_wide, chunk;
    int kind, dtype;
    bool reverse, backward;
    const int64_t *lengths; /* NULL where absent, as all that an op may lack */
    void *gates, *bias, *first, *cell, *states, *cells, *saved, *g_states, *g_cells;
    void *g_gates, *g_product, *g_first, *g_cell;
    void *panels; /* the weight */
    char *room;   /* chunk_bytes for each chunk of rows */
    size_t chunk_bytes;
} job;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static void add_row_f32(float *to, const float *from, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] += from[i];
}
static void add_row_f64(double *to, const double *from, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] += from[i];
}

static inline hx_vf load_f32(const float *p, int64_t n) {
    return n == HX_LANES_OF(float) ? hx_vf_load(p) : hx_vf_load_part(p, (int)n);
}
static inline void store_f32(float *p, int64_t n, hx_vf v) {
    if (n == HX_LANES_OF(float)) hx_vf_store(p, v);
    else hx_vf_store_part(p, v, (int)n);
}
/* NaN stays NaN. */
static inline hx_vf relu_f32(hx_vf x) { return hx_vf_select(hx_vf_lt(x, hx_vf_all(0)), hx_vf_all(0), x); }

#define REAL float
#define V hx_vf
#define L HX_LANES_OF(float)
#define NAME(x) x##_f32
#define SUMS HX_F32
#define LOAD load_f32
#define STORE store_f32
#define SIGMOID hx_vf_sigmoid
#define TANH hx_vf_tanh
#define RELU relu_f32
#define PASSED(y, g) hx_vf_select(hx_vf_lt(hx_vf_all(0), y), g, hx_vf_all(0))
#include "recurrent_body.h"
#undef REAL
#undef V
#undef L
#undef NAME
#undef SUMS
#undef LOAD
#undef STORE
#undef SIGMOID
#undef TANH
#undef RELU
#undef PASSED

static inline double sigmoid_f64(double x) {
    double e = hx_d_exp(-fabs(x));
    return (x < 0 ? e : 1.0) / (1.0 + e);
}
#define REAL double
#define V double
#define L 1
#define NAME(x) x##_f64
#define SUMS HX_F64
#define LOAD(p, n) ((void)(n), *(p))
#define STORE(p, n, v) ((void)(n), (void)(*(p) = (v)))
#define SIGMOID sigmoid_f64
#define TANH tanh
#define RELU(x) ((x) < 0 ? 0.0 : (x))
#define PASSED(y, g) ((y) > 0 ? (g) : 0.0)
#include "recurrent_body.h"

/* ---- jobs ---- */

static void run_chunk(void *ctx, int64_t i) {
    const job *j = ctx;
    int64_t row = i * j->chunk, end = least(row + j->chunk, j->batch);
    void *room = j->room + (size_t)i * j->chunk_bytes;
    if (j->backward) (j->dtype == HX_F64 ? backward_rows_f64 : backward_rows_f32)(j, row, end);
    else if (j->dtype == HX_F64) forward_rows_f64(j, row, end, room);
    else forward_rows_f32(j, row, end, room);
}

/* Packs the weight, (gates, size): for products with it in the backward pass, with its transpose forward. */
static hx_code run_job(job *j, const void *weight, hx_err *err) {
    const int64_t k = j->backward ? j->gates_wide : j->size, n = j->backward ? j->size : j->gates_wide;
    int64_t width = hx_gemm_width((hx_dtype)j->dtype), bytes, unit = (int64_t)hx_dtype_size((hx_dtype)j->dtype);
    int64_t threads = hx_threads_get(), chunks = j->batch * j->size < 512 ? 1 : least(threads, j->batch);
    if (!j->batch) return HX_OK;
    j->chunk = (j->batch + chunks - 1) / chunks;
    chunks = (j->batch + j->chunk - 1) / j->chunk;
    bool fits = hx_mul_ok((n + width - 1) / width * width, k, &bytes) && hx_mul_ok(bytes, unit, &bytes);
    int64_t room = 0;
    if (!j->backward && (j->kind == HX_GRU || (j->kind == HX_LSTM && !j->saved)))
        fits = fits && hx_mul_ok(j->chunk + 2, j->gates_wide * unit, &room) && hx_mul_ok((room + 63) / 64 * 64, chunks, &room);
    j->chunk_bytes = (size_t)(room / chunks);
    j->panels = fits ? hx_pool_alloc((size_t)bytes) : NULL;
    j->room = j->panels && room ? hx_pool_alloc((size_t)room) : NULL;
    bool ready = j->panels && (j->room || !room);
    if (ready) {
        hx_gemm_pack((hx_dtype)j->dtype, j->panels, weight, j->backward ? j->size : 1, j->backward ? 1 : j->size, k, n);
        hx_parallel(chunks, run_chunk, j);
    }
    if (j->room) hx_pool_free(j->room, (size_t)room);
    if (j->panels) hx_pool_free(j->panels, (size_t)bytes);
    return ready ? HX_OK : hx_kernel_fail(err, HX_E_MEMORY, HX1402_MEMORY, "no memory for the weight of a recurrence");
}

static void *data_of(const hx_view *v) { return hx_absent(v) ? NULL : v->data; }

static job job_of(const hx_op_call *call) {
    const hx_view *gates = &call->in[R_GATES];
    return (job){.times = gates->shape[0], .batch = gates->shape[1], .gates_wide = gates->shape[2],
                 .size = call->in[R_WEIGHT].shape[1], .kind = (int)call->attr[0].v.i, .reverse = call->attr[1].v.i,
                 .dtype = gates->dtype, .gates = gates->data, .bias = data_of(&call->in[R_BIAS]),
                 .first = call->in[R_HIDDEN].data, .cell = data_of(&call->in[R_CELL]), .lengths = data_of(&call->in[R_LENGTHS])};
}

HX_KERNEL(k_recurrence) {
    HX_UNUSED;
    job j = job_of(call);
    j.states = call->out[0].data;
    j.cells = call->out[1].data;
    j.saved = call->out[2].numel ? call->out[2].data : NULL;
    return run_job(&j, call->in[R_WEIGHT].data, err);
}

HX_KERNEL(k_recurrence_backward) {
    HX_UNUSED;
    job j = job_of(call);
    j.backward = true;
    j.states = call->in[R_STATES].data;
    j.cells = call->in[R_CELLS].data;
    j.saved = call->in[R_SAVED].data;
    j.g_states = call->in[R_G_STATES].data;
    j.g_cells = data_of(&call->in[R_G_CELLS]);
    j.g_gates = call->out[0].data;
    j.g_product = call->out[1].data;
    j.g_first = call->out[2].data;
    j.g_cell = call->out[3].data;
    return run_job(&j, call->in[R_WEIGHT].data, err);
}

HX_KERNELS(recurrent) = {KERNEL_CONTIGUOUS(recurrence, k_recurrence, 1ull << HX_F32 | 1ull << HX_F64),
                         KERNEL_CONTIGUOUS(recurrence_backward, k_recurrence_backward, 1ull << HX_F32 | 1ull << HX_F64),
                         {0}};
