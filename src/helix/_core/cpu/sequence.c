/* The selective scan and its gradients, in float32, float16 and bfloat16.
 *
 * As many channels as a register has lanes go through time side by side; sequences are turned on their way in and out, so that a
 * step is plain arithmetic on registers. Time is cut into chunks that stay in the first-level cache with everything that is known
 * about them. The backward pass starts each chunk from the state that the forward pass left there (Gu, Dao 2023, section 3.3).
 * What is split over threads are channels, in blocks of a size that shapes alone decide; sums over channels are taken block by
 * block, so that results have the same bits for any number of threads. */
#include <stdatomic.h>
#include "blocks.h"
#include "sequence.h"
#include "turn.h"
#include "vmath.h"

enum { L = HX_LANES_OF(float), CHUNK = HX_SCAN_CHUNK, BLOCK = 8 * L };

typedef struct scan_job {
    int64_t batch, channels, groups, each, states, length, chunks, blocks; /* each: channels a group; blocks: of a group */
    int dtype;
    int64_t size;
    bool softplus;
    const char *u, *delta, *b, *c, *z, *g;         /* z NULL without a gate; g: gradient of the output */
    const float *a, *skip, *bias, *g_last;         /* NULL where absent */
    char *out, *g_u, *g_delta, *g_z;
    float *last, *saved;                           /* saved: the state before every chunk */
    float *part_a, *part_skip, *part_bias;         /* a batch: gradients of A, D and the bias */
    float *part_b, *part_c;                        /* a block */
    atomic_bool failed;
} scan_job;

/* The channels [channel, channel + lanes) of one batch. */
typedef struct lanes {
    const scan_job *j;
    int64_t batch, group, channel;
    int lanes;
} lanes;

/* ---- in and out of lanes ---- */

/* Steps [at, at + n) of the tile's channels of a sequence; lanes without a channel are 0. Rows go through a block of their
 * own: as they lie, they are often apart by a power of two and would share a set of the cache. */
static void read_steps(const lanes *l, const char *sequence, int64_t at, int64_t n, hx_vf *to) {
    const scan_job *j = l->j;
    float room[L * CHUNK];
    int64_t row = j->length * j->size;
    const char *from = sequence + (l->batch * j->channels + l->channel) * row + at * j->size;
    if (j->dtype == HX_F32 && l->lanes == L && n == CHUNK) {
        for (int i = 0; i < L; i++, from += row) {
            memcpy(room + i * CHUNK, from, CHUNK * 4);
            for (int64_t ahead = 0; ahead < CHUNK * 4; ahead += 64) hx_prefetch(from, CHUNK * 4 + ahead);
        }
    } else {
        memset(room, 0, sizeof room);
        for (int i = 0; i < l->lanes; i++, from += row) {
            float line[CHUNK];
            memcpy(room + i * CHUNK, hx_read_f32(from, j->dtype, j->size, n, line), (size_t)n * 4);
        }
    }
    for (int64_t t = 0; t < n; t += L) hx_load_turned(room + t, CHUNK, to + t);
}

static void write_steps(const lanes *l, char *sequence, int64_t at, int64_t n, const hx_vf *from) {
    const scan_job *j = l->j;
    float room[L * CHUNK];
    int64_t row = j->length * j->size;
    char *to = sequence + (l->batch * j->channels + l->channel) * row + at * j->size;
    for (int64_t t = 0; t < n; t += L) hx_store_turned(room + t, CHUNK, from + t);
    for (int i = 0; i < l->lanes; i++, to += row) hx_write_f32(to, j->dtype, j->size, n, room + i * CHUNK);
}

/* Steps of state n of B or C, which all lanes share. */
static const float *mixer_steps(const lanes *l, const char *mixer, int64_t n, int64_t at, int64_t count, float *room) {
    const scan_job *j = l->j;
    int64_t row = (l->batch * j->groups + l->group) * j->states + n;
    return hx_read_f32(mixer + (row * j->length + at) * j->size, j->dtype, j->size, count, room);
}

/* A number for each lane; they lie `step` apart. */
static hx_vf gather(const lanes *l, const float *p, int64_t step) {
    float room[L] = {0};
    for (int i = 0; p && i < l->lanes; i++) room[i] = p[i * step];
    return hx_vf_load(room);
}
static void spread(const lanes *l, float *p, int64_t step, hx_vf v) {
    float room[L];
    hx_vf_store(room, v);
    for (int i = 0; i < l->lanes; i++) p[i * step] = room[i];
}
/* All states of the tile's channels, which lie `step` apart. */
static void gather_states(const lanes *l, const float *p, int64_t step, hx_vf *to) {
    int64_t n = 0;
    if (l->lanes == L)
        for (; n + L <= l->j->states; n += L) hx_load_turned(p + n, step, to + n);
    for (; n < l->j->states; n++) to[n] = gather(l, p + n, step);
}
static void spread_states(const lanes *l, float *p, int64_t step, const hx_vf *from) {
    int64_t n = 0;
    if (l->lanes == L)
        for (; n + L <= l->j->states; n += L) hx_store_turned(p + n, step, from + n);
    for (; n < l->j->states; n++) spread(l, p + n, step, from[n]);
}
static hx_vf one_a_channel(const lanes *l, const float *p) { return gather(l, p ? p + l->channel : NULL, 1); }

/* Where the tile's states stand in a tensor of (batch, channels, states). */
static int64_t state_at(const lanes *l) { return (l->batch * l->j->channels + l->channel) * l->j->states; }
static int64_t saved_at(const lanes *l, int64_t chunk) {
    return ((l->batch * l->j->channels + l->channel) * l->j->chunks + chunk) * l->j->states;
}

/* ---- what both passes know of a chunk ---- */

typedef struct chunk {
    int64_t at, n;
    hx_vf u[CHUNK], raw[CHUNK], step[CHUNK], y[CHUNK]; /* raw: delta and its bias; y: before the gate */
} chunk;

static hx_vf softplus(hx_vf x) {
    hx_vf tail = hx_vf_log1p(hx_vf_exp((hx_vf)((hx_vi)x | (int32_t)0x80000000)));
    hx_vf y = hx_vf_select(hx_vf_lt(x, hx_vf_all(0)), tail, x + tail);
    return hx_vf_select(hx_vf_lt(hx_vf_all(20), x), x, y);
}

static void open_chunk(const lanes *l, chunk *k, int64_t at) {
    const scan_job *j = l->j;
    hx_vf bias = one_a_channel(l, j->bias), skip = one_a_channel(l, j->skip);
    k->at = at;
    k->n = j->length - at < CHUNK ? j->length - at : CHUNK;
    read_steps(l, j->u, at, k->n, k->u);
    read_steps(l, j->delta, at, k->n, k->raw);
    for (int64_t t = 0; t < k->n; t++) {
        k->raw[t] += bias;
        k->step[t] = j->softplus ? softplus(k->raw[t]) : k->raw[t];
        k->y[t] = j->skip ? skip * k->u[t] : (hx_vf){0};
    }
}

/* ---- forward ---- */

static void forward_chunk(const lanes *l, const hx_vf *a, hx_vf *x, int64_t at) {
    const scan_job *j = l->j;
    chunk k;
    hx_vf in[CHUNK];
    float room_b[CHUNK], room_c[CHUNK];
    open_chunk(l, &k, at);
    for (int64_t t = 0; t < k.n; t++) in[t] = k.step[t] * k.u[t];
    for (int64_t n = 0; n < j->states; n++) {
        const float *b = mixer_steps(l, j->b, n, at, k.n, room_b), *c = mixer_steps(l, j->c, n, at, k.n, room_c);
        hx_vf state = x[n];
        for (int64_t t = 0; t < k.n; t++) {
            state = hx_vf_exp(k.step[t] * a[n]) * state + in[t] * b[t];
            k.y[t] += state * c[t];
        }
        x[n] = state;
    }
    if (j->z) {
        read_steps(l, j->z, at, k.n, in);
        for (int64_t t = 0; t < k.n; t++) k.y[t] *= in[t] * hx_vf_sigmoid(in[t]);
    }
    write_steps(l, j->out, at, k.n, k.y);
}

static void forward_tile(const lanes *l, hx_vf *room) {
    const scan_job *j = l->j;
    hx_vf *a = room, *x = room + j->states;
    gather_states(l, j->a + l->channel * j->states, j->states, a);
    for (int64_t n = 0; n < j->states; n++) x[n] = (hx_vf){0};
    for (int64_t k = 0; k < j->chunks; k++) {
        spread_states(l, j->saved + saved_at(l, k), j->chunks * j->states, x);
        forward_chunk(l, a, x, k * CHUNK);
    }
    spread_states(l, j->last + state_at(l), j->states, x);
}

/* ---- backward ---- */

/* The sums over lanes of n registers, added to `to`; registers up to a multiple of L are there. */
static void add_sums(hx_vf *v, int64_t n, float *to) {
    for (int64_t t = n; t % L; t++) v[t] = (hx_vf){0};
    for (int64_t t = 0; t < n; t += L) {
        hx_vf tile[L];
        hx_load_turned((const float *)(v + t), L, tile);
        for (int half = L / 2; half; half /= 2)
            for (int i = 0; i < half; i++) tile[i] += tile[i + half];
        int left = n - t < L ? (int)(n - t) : L;
        if (left < L) hx_vf_store_part(to + t, hx_vf_load_part(to + t, left) + tile[0], left);
        else hx_vf_store(to + t, hx_vf_load(to + t) + tile[0]);
    }
}

/* What the backward pass holds beside a chunk. */
typedef struct slopes {
    hx_vf g[CHUNK], step[CHUNK], in[CHUNK];    /* gradients of y, of the step, and of step * u */
    hx_vf decay[CHUNK], x[CHUNK + 1];          /* of one state */
    hx_vf by_b[CHUNK], by_c[CHUNK];
    hx_vf gate[CHUNK], ungated[CHUNK];
} slopes;

/* State n: its values again, then back through time. `h`: the gradient that later steps hand to the chunk's last state. */
static hx_vf backward_state(const lanes *l, chunk *k, slopes *s, hx_vf a, hx_vf h, hx_vf start, int64_t n, hx_vf *g_a) {
    const scan_job *j = l->j;
    float room_b[CHUNK], room_c[CHUNK];
    const float *b = mixer_steps(l, j->b, n, k->at, k->n, room_b), *c = mixer_steps(l, j->c, n, k->at, k->n, room_c);
    s->x[0] = start;
    for (int64_t t = 0; t < k->n; t++) {
        s->decay[t] = hx_vf_exp(k->step[t] * a);
        s->x[t + 1] = s->decay[t] * s->x[t] + k->step[t] * k->u[t] * b[t];
        k->y[t] += s->x[t + 1] * c[t];
    }
    hx_vf sum = {0};
    for (int64_t t = k->n - 1; t >= 0; t--) {
        h += s->g[t] * c[t];
        s->by_c[t] = s->g[t] * s->x[t + 1];
        s->by_b[t] = h * (k->step[t] * k->u[t]);
        s->in[t] += h * b[t];
        h *= s->decay[t];
        hx_vf by_decay = h * s->x[t];
        s->step[t] += by_decay * a;
        sum += by_decay * k->step[t];
    }
    *g_a += sum;
    return h;
}

/* Gradients of the gate, and of y behind it. */
static void open_gate(const lanes *l, const chunk *k, slopes *s) {
    read_steps(l, l->j->g, k->at, k->n, s->g);
    if (!l->j->z) return;
    read_steps(l, l->j->z, k->at, k->n, s->gate);
    for (int64_t t = 0; t < k->n; t++) {
        s->ungated[t] = s->g[t];
        s->g[t] *= s->gate[t] * hx_vf_sigmoid(s->gate[t]);
    }
}
static void close_gate(const lanes *l, const chunk *k, slopes *s) {
    for (int64_t t = 0; t < k->n; t++) {
        hx_vf z = s->gate[t], share = hx_vf_sigmoid(z);
        s->gate[t] = s->ungated[t] * k->y[t] * (share * (1 + z * (1 - share)));
    }
    write_steps(l, l->j->g_z, k->at, k->n, s->gate);
}

/* A register for each state: A, the gradient on its way back, the sum of A's gradient, and the state before a chunk. */
typedef struct tile_state {
    hx_vf *a, *h, *g_a, *start;
} tile_state;

typedef struct tile_sums {
    hx_vf skip, bias;
} tile_sums;

/* part_b, part_c: the block's, of the group's states and length. */
static void backward_chunk(const lanes *l, const tile_state *x, int64_t at, float *part_b, float *part_c, tile_sums *sums) {
    const scan_job *j = l->j;
    chunk k;
    slopes s;
    hx_vf skip = one_a_channel(l, j->skip);
    open_chunk(l, &k, at);
    open_gate(l, &k, &s);
    gather_states(l, j->saved + saved_at(l, at / CHUNK), j->chunks * j->states, x->start);
    for (int64_t t = 0; t < k.n; t++) s.step[t] = s.in[t] = (hx_vf){0};
    for (int64_t n = 0; n < j->states; n++) {
        x->h[n] = backward_state(l, &k, &s, x->a[n], x->h[n], x->start[n], n, &x->g_a[n]);
        add_sums(s.by_b, k.n, part_b + n * j->length + at);
        add_sums(s.by_c, k.n, part_c + n * j->length + at);
    }
    if (j->z) close_gate(l, &k, &s);
    for (int64_t t = 0; t < k.n; t++) {
        hx_vf g_step = s.step[t] + s.in[t] * k.u[t];
        if (j->softplus)
            g_step = hx_vf_select(hx_vf_lt(hx_vf_all(20), k.raw[t]), g_step, g_step * hx_vf_sigmoid(k.raw[t]));
        sums->bias += g_step;
        sums->skip += s.g[t] * k.u[t];
        s.in[t] = s.in[t] * k.step[t] + skip * s.g[t];
        s.step[t] = g_step;
    }
    write_steps(l, j->g_u, at, k.n, s.in);
    write_steps(l, j->g_delta, at, k.n, s.step);
}

static void backward_tile(const lanes *l, hx_vf *room, float *part_b, float *part_c) {
    const scan_job *j = l->j;
    tile_state x = {room, room + j->states, room + 2 * j->states, room + 3 * j->states};
    tile_sums sums = {{0}, {0}};
    for (int64_t n = 0; n < j->states; n++) x.h[n] = x.g_a[n] = (hx_vf){0};
    gather_states(l, j->a + l->channel * j->states, j->states, x.a);
    if (j->g_last) gather_states(l, j->g_last + state_at(l), j->states, x.h);
    for (int64_t k = j->chunks - 1; k >= 0; k--) backward_chunk(l, &x, k * CHUNK, part_b, part_c, &sums);
    spread_states(l, j->part_a + state_at(l), j->states, x.g_a);
    spread(l, j->part_skip + l->batch * j->channels + l->channel, 1, sums.skip);
    spread(l, j->part_bias + l->batch * j->channels + l->channel, 1, sums.bias);
}

/* ---- blocks of channels ---- */

static void run_block(void *ctx, int64_t task) {
    scan_job *j = ctx;
    bool backward = j->g != NULL;
    int64_t block = task % j->blocks, group = task / j->blocks % j->groups, batch = task / j->blocks / j->groups;
    int64_t first = block * BLOCK, last = first + BLOCK < j->each ? first + BLOCK : j->each;
    size_t bytes = (size_t)(4 * j->states + 1) * sizeof(hx_vf), part = (size_t)(j->states * j->length);
    hx_vf *room = hx_pool_alloc(bytes);
    if (!room) {
        atomic_store(&j->failed, true);
        return;
    }
    float *part_b = backward ? j->part_b + (size_t)task * part : NULL, *part_c = backward ? j->part_c + (size_t)task * part : NULL;
    if (backward) {
        memset(part_b, 0, part * sizeof *part_b);
        memset(part_c, 0, part * sizeof *part_c);
    }
    for (int64_t c = first; c < last; c += L) {
        lanes l = {j, batch, group, group * j->each + c, last - c < L ? (int)(last - c) : L};
        if (backward) backward_tile(&l, room, part_b, part_c);
        else forward_tile(&l, room);
    }
    hx_pool_free(room, bytes);
}

/* ---- sums over blocks and over batches ---- */

typedef struct parts {
    const float *from;
    char *to;
    int dtype;
    int64_t size, count, n; /* a row of n results is the sum of `count` rows that follow one another */
} parts;

static void add_parts(void *ctx, int64_t begin, int64_t end) {
    const parts *p = ctx;
    float sum[HX_BLOCK];
    for (int64_t i = begin; i < end; i++) {
        const float *from = p->from + i * p->count * p->n;
        for (int64_t at = 0; at < p->n; at += HX_BLOCK) {
            int64_t n = p->n - at < HX_BLOCK ? p->n - at : HX_BLOCK;
            memset(sum, 0, (size_t)n * sizeof *sum);
            for (int64_t k = 0; k < p->count; k++)
                for (int64_t m = 0; m < n; m++) sum[m] += from[k * p->n + at + m];
            hx_write_f32(p->to + (i * p->n + at) * p->size, p->dtype, p->size, n, sum);
        }
    }
}

static void add_up(const float *from, char *to, int dtype, int64_t rows, int64_t count, int64_t n) {
    parts p = {.from = from, .to = to, .dtype = dtype, .size = (int64_t)hx_dtype_size((hx_dtype)dtype), .count = count,
               .n = n};
    hx_parallel_range(rows, hx_grain(count * n * 4), add_parts, &p);
}

/* ---- kernels ---- */

static const float *floats(const hx_view *v) { return hx_absent(v) ? NULL : v->data; }

static scan_job job_of(const hx_op_call *call) {
    const hx_view *u = &call->in[0], *a = &call->in[2], *b = &call->in[3];
    scan_job j = {.batch = u->shape[0], .channels = u->shape[1], .length = u->shape[2], .groups = b->shape[1],
                  .states = a->shape[1], .dtype = u->dtype, .size = (int64_t)hx_dtype_size((hx_dtype)u->dtype),
                  .softplus = call->attr[0].v.i, .u = u->data, .delta = call->in[1].data, .a = a->data, .b = b->data,
                  .c = call->in[4].data, .skip = floats(&call->in[5]), .z = hx_absent(&call->in[6]) ? NULL : call->in[6].data,
                  .bias = floats(&call->in[7])};
    j.each = j.channels / j.groups;
    j.chunks = (j.length + CHUNK - 1) / CHUNK;
    j.blocks = (j.each + BLOCK - 1) / BLOCK;
    return j;
}

HX_KERNEL(k_scan) {
    HX_UNUSED;
    scan_job j = job_of(call);
    j.out = call->out[0].data;
    j.last = call->out[1].data;
    j.saved = call->out[2].data;
    hx_parallel(j.batch * j.groups * j.blocks, run_block, &j);
    return atomic_load(&j.failed) ? hx_kernel_fail(err, HX_E_MEMORY, HX1402_MEMORY, "no memory for the states of a scan") : HX_OK;
}

HX_KERNEL(k_scan_backward) {
    HX_UNUSED;
    scan_job j = job_of(call);
    int64_t tasks = j.batch * j.groups * j.blocks, each = j.batch * j.channels, by_a = each * j.states, mixed = 0, all = 0;
    bool fits = hx_mul_ok(tasks, j.states * j.length, &mixed) && hx_mul_ok(mixed, 2 * sizeof(float), &all) &&
                hx_add_ok(all, (by_a + 2 * each + 1) * (int64_t)sizeof(float), &all);
    size_t bytes = (size_t)all;
    float *room = fits ? hx_pool_alloc(bytes) : NULL;
    if (!room) return hx_kernel_fail(err, HX_E_MEMORY, HX1402_MEMORY, "no memory for the gradients of a scan");
    j.saved = call->in[8].data;
    j.g = call->in[9].data;
    j.g_last = floats(&call->in[10]);
    j.g_u = call->out[0].data;
    j.g_delta = call->out[1].data;
    j.g_z = call->out[6].data;
    j.part_b = room;
    j.part_c = room + mixed;
    j.part_a = j.part_c + mixed;
    j.part_skip = j.part_a + by_a;
    j.part_bias = j.part_skip + each;
    hx_parallel(tasks, run_block, &j);
    add_up(j.part_a, call->out[2].data, HX_F32, 1, j.batch, j.channels * j.states);
    add_up(j.part_b, call->out[3].data, j.dtype, j.batch * j.groups, j.blocks, j.states * j.length);
    add_up(j.part_c, call->out[4].data, j.dtype, j.batch * j.groups, j.blocks, j.states * j.length);
    if (j.skip) add_up(j.part_skip, call->out[5].data, HX_F32, 1, j.batch, j.channels);
    if (j.bias) add_up(j.part_bias, call->out[7].data, HX_F32, 1, j.batch, j.channels);
    hx_pool_free(room, bytes);
    return atomic_load(&j.failed) ? hx_kernel_fail(err, HX_E_MEMORY, HX1402_MEMORY, "no memory for the states of a scan") : HX_OK;
}

HX_KERNELS(sequence) = {
    KERNEL_CONTIGUOUS(native_selective_scan, k_scan, HX_SET_FLOAT & ~(1u << HX_F64)),
    KERNEL_CONTIGUOUS(selective_scan_backward, k_scan_backward, HX_SET_FLOAT & ~(1u << HX_F64)),
    {0}};
