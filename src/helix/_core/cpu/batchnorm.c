/* Batch, group and instance normalisation: statistics and result in one kernel, and the gradient of input, weight and
 * bias in another. A channel's data is read from memory once and from cache the second time. */
#include "blocks.h"

#define BLOCK 1024
#define COLUMNS 64

typedef struct norm_moments {
    double count, mean, spread;
} norm_moments;

typedef struct norm_job {
    const char *x, *grad;
    char *y;
    const void *weight, *bias;          /* of the working type; NULL: ones and zeros */
    void *mean, *variance, *grad_weight, *grad_bias;
    double *sums, eps;
    int dtype;
    int64_t batch, channels, groups;
    int64_t runs, length, step;         /* runs of a channel, their elements, and the bytes of one */
    int64_t first, next;                /* bytes from channel to channel, and from run to run */
} norm_job;

static inline const double *read_f64(const char *p, int dtype, int64_t step, int64_t n, double *room) {
    (void)dtype;
    return hx_read_f64(p, step, n, room);
}
#define NORM_TYPE float
#define NORM(name) name##_f32
#define NORM_READ hx_read_f32
#define NORM_WRITE hx_write_f32
#include "batchnorm_tile.h"
#undef NORM_TYPE
#undef NORM
#undef NORM_READ
#undef NORM_WRITE
#define NORM_TYPE double
#define NORM(name) name##_f64
#define NORM_READ read_f64
#define NORM_WRITE hx_write_f64
#include "batchnorm_tile.h"

/* ---- kernels --------------------------------------------------------------------------------------------- */

/* Runs are planes. */
static norm_job job_of(const hx_view *x, char *y) {
    int64_t size = (int64_t)hx_dtype_size(x->dtype), plane = 1;
    for (int i = 2; i < x->ndim; i++) plane *= x->shape[i];
    norm_job job = {.x = x->data, .y = y, .dtype = x->dtype, .batch = x->shape[0], .channels = x->shape[1], .groups = 1,
                    .runs = x->shape[0], .length = plane, .step = size, .first = plane * size,
                    .next = x->shape[1] * plane * size};
    return job;
}

static const void *data_of(const hx_view *v) { return hx_absent(v) ? NULL : v->data; }

static void run_items(norm_job *job, int64_t items, int64_t bytes, hx_range_body single, hx_range_body twice) {
    if (items > 0) hx_parallel_range(items, hx_grain(bytes), job->dtype == HX_F64 ? twice : single, job);
}

static void run_columns(norm_job *job, hx_range_body single, hx_range_body twice) {
    run_items(job, (job->channels + COLUMNS - 1) / COLUMNS, job->batch * COLUMNS * job->step, single, twice);
}

/* input, weight, bias; eps -> output, mean, variance */
HX_KERNEL(k_batch_norm_forward) {
    HX_UNUSED;
    norm_job job = job_of(&call->in[0], call->out[0].data);
    job.weight = data_of(&call->in[1]);
    job.bias = data_of(&call->in[2]);
    job.mean = call->out[1].data;
    job.variance = call->out[2].data;
    job.eps = call->attr[0].v.f;
    if (job.length == 1)
        run_columns(&job, column_forward_f32, column_forward_f64);
    else
        run_items(&job, job.channels, job.runs * job.length * job.step, batch_forward_f32, batch_forward_f64);
    return HX_OK;
}

/* input, mean, variance, weight, bias; eps */
HX_KERNEL(k_batch_norm_apply) {
    HX_UNUSED;
    norm_job job = job_of(&call->in[0], call->out[0].data);
    job.mean = call->in[1].data;
    job.variance = call->in[2].data;
    job.weight = data_of(&call->in[3]);
    job.bias = data_of(&call->in[4]);
    job.eps = call->attr[0].v.f;
    if (job.length == 1)
        run_columns(&job, column_apply_f32, column_apply_f64);
    else
        run_items(&job, job.channels * job.runs, job.length * job.step, batch_apply_f32, batch_apply_f64);
    return HX_OK;
}

/* grad, input, weight, mean, variance; eps -> gradients of input, weight, bias */
HX_KERNEL(k_batch_norm_backward) {
    HX_UNUSED;
    norm_job job = job_of(&call->in[1], call->out[0].data);
    job.grad = call->in[0].data;
    job.weight = data_of(&call->in[2]);
    job.mean = call->in[3].data;
    job.variance = call->in[4].data;
    job.grad_weight = call->out[1].data;
    job.grad_bias = call->out[2].data;
    job.eps = call->attr[0].v.f;
    if (job.length == 1)
        run_columns(&job, column_backward_f32, column_backward_f64);
    else
        run_items(&job, job.channels, job.runs * job.length * job.step * 2, batch_backward_f32, batch_backward_f64);
    return HX_OK;
}

/* input, weight, bias; groups, eps -> output, mean, variance */
HX_KERNEL(k_group_norm_forward) {
    HX_UNUSED;
    norm_job job = job_of(&call->in[0], call->out[0].data);
    job.weight = data_of(&call->in[1]);
    job.bias = data_of(&call->in[2]);
    job.mean = call->out[1].data;
    job.variance = call->out[2].data;
    job.groups = call->attr[0].v.i;
    job.eps = call->attr[1].v.f;
    run_items(&job, job.batch * job.groups, job.channels / job.groups * job.length * job.step, group_forward_f32,
              group_forward_f64);
    return HX_OK;
}

/* grad, input, weight, mean, variance; groups, eps -> gradients of input, weight, bias */
HX_KERNEL(k_group_norm_backward) {
    HX_UNUSED;
    norm_job job = job_of(&call->in[1], call->out[0].data);
    job.grad = call->in[0].data;
    job.weight = data_of(&call->in[2]);
    job.mean = call->in[3].data;
    job.variance = call->in[4].data;
    job.grad_weight = call->out[1].data;
    job.grad_bias = call->out[2].data;
    job.groups = call->attr[0].v.i;
    job.eps = call->attr[1].v.f;
    size_t bytes = (size_t)(2 * job.batch * job.channels + 1) * sizeof(double);
    job.sums = hx_pool_alloc(bytes);
    if (!job.sums) return HX_E_MEMORY;
    run_items(&job, job.batch * job.groups, job.channels / job.groups * job.length * job.step * 2, group_backward_f32,
              group_backward_f64);
    run_items(&job, job.channels, job.batch * 16, group_finish_f32, group_finish_f64);
    hx_pool_free(job.sums, bytes);
    return HX_OK;
}

HX_KERNELS(batchnorm) = {
    KERNEL_CONTIGUOUS(batch_norm_forward, k_batch_norm_forward, HX_SET_FLOAT),
    KERNEL_CONTIGUOUS(batch_norm_apply, k_batch_norm_apply, HX_SET_FLOAT),
    KERNEL_CONTIGUOUS(batch_norm_backward, k_batch_norm_backward, HX_SET_FLOAT),
    KERNEL_CONTIGUOUS(group_norm_forward, k_group_norm_forward, HX_SET_FLOAT),
    KERNEL_CONTIGUOUS(group_norm_backward, k_group_norm_backward, HX_SET_FLOAT),
    {0},
};
