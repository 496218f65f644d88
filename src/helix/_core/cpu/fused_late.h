/* Programs that reduce over the first axes, or over all: tiles are made in the order in which the reduction's own kernel would
 * read them, and handed to it from the cache; what follows from reductions is done behind them, op by op. */
#ifndef HX_FUSED_LATE_H
#define HX_FUSED_LATE_H

enum { GROUP_ITEMS = 8192, EIGHT_ROWS = 8, MOST_FEEDS = HX_MAX_OUTPUTS };

typedef struct feed {
    hx_fed to;
    int reduction, source; /* steps */
} feed;

struct late {
    hx_view view[HX_FUSED_STEPS]; /* of late steps, and of what reductions read */
    hx_view given[HX_FUSED_INPUTS]; /* to late steps: copies of what tiles are written over */
    char *copies;
    size_t copied;
    int64_t strides[HX_FUSED_STEPS][HX_MAX_RANK];
    feed feeds[MOST_FEEDS];
    int n_feeds;
    int64_t strip, group; /* columns of a share; rows, or elements, that are made at once */
    char *room;
    size_t room_bytes;
};

static int source_of(const machine *m, int reduction) { return m->f->step[reduction].in[0] - inputs_and_numbers(m->f); }
static bool reduces_late(const machine *m, int i) { return m->f->step[i].late && m->f->step[i].dims_at >= 0; }

/* ---- memory ---- */

static int64_t elements(const hx_fused_register *r) {
    int64_t n = 1;
    for (int d = 0; d < r->ndim; d++) n *= r->shape[d];
    return n;
}

static void dense_view(machine *m, int i, char *data) {
    const hx_fused_register *r = &m->f->made[inputs_and_numbers(m->f) + i];
    int64_t *strides = m->late->strides[i], n = 1;
    for (int d = r->ndim - 1; d >= 0; n *= r->shape[d--]) strides[d] = n;
    m->late->view[i] = (hx_view){.data = data, .shape = r->shape, .strides = strides, .numel = n, .dtype = r->dtype,
                                 .ndim = r->ndim, .contiguous = 1};
}

/* Gives memory to the steps that are kept whole, and no results: to late ones, and, where `sources`, to what is reduced. With
 * `room` NULL only counts its bytes. */
static size_t place_whole(machine *m, bool sources, char *room) {
    const hx_fused *f = m->f;
    bool whole[HX_FUSED_STEPS] = {false};
    size_t used = 0;
    for (int i = 0; i < f->n_steps; i++) {
        whole[i] |= f->step[i].late;
        if (reduces_late(m, i) && source_of(m, i) >= 0) whole[source_of(m, i)] |= sources;
    }
    for (int i = 0; i < f->n_steps; i++) {
        const hx_fused_register *r = &f->made[inputs_and_numbers(f) + i];
        if (!whole[i]) continue;
        if (room && m->result[i] < 0) m->home[i] = room + used;
        if (room) dense_view(m, i, m->home[i]);
        if (m->result[i] < 0) used += ((size_t)(elements(r) * item_size(r)) + 63) / 64 * 64;
    }
    return used;
}

static bool take_room(machine *m, bool sources) {
    struct late *l = m->late;
    if (l->room) hx_pool_free(l->room, l->room_bytes);
    l->room_bytes = place_whole(m, sources, NULL) + 64;
    l->room = hx_pool_alloc(l->room_bytes);
    if (l->room) place_whole(m, sources, l->room);
    return l->room;
}

/* ---- late steps, with their own kernels ---- */

static hx_code run_late_step(const machine *m, int i, hx_err *err) {
    const hx_fused_step *s = &m->f->step[i];
    hx_view in[HX_FUSED_OPERANDS];
    for (int k = 0; k < s->n_in; k++) {
        int of = s->in[k], step = of - inputs_and_numbers(m->f);
        if (of >= m->f->n_in && step >= 0) in[k] = m->late->view[step];
        else if (of >= 0 && of < m->f->n_in) in[k] = m->late->given[of];
        else in[k] = number_or_none(m, i, k);
    }
    return run_kernel(m, i, in, &m->late->view[i], err);
}

static bool is_fed(const struct late *l, int reduction) {
    for (int e = 0; e < l->n_feeds; e++)
        if (l->feeds[e].reduction == reduction) return true;
    return false;
}

static hx_code run_late_steps(const machine *m, hx_err *err) {
    for (int i = 0; i < m->f->n_steps; i++) {
        if (!m->f->step[i].late || is_fed(m->late, i)) continue;
        hx_code code = run_late_step(m, i, err);
        if (code) return code;
    }
    return HX_OK;
}

static bool read_late(const hx_fused *f, int input) {
    for (int i = 0; i < f->n_steps; i++)
        for (int k = 0; k < f->step[i].n_in; k++)
            if (f->step[i].late && f->step[i].in[k] == input) return true;
    return false;
}

static bool is_written_over(const machine *m, int input) {
    for (int i = 0; i < m->f->n_results; i++)
        if (lies_over(&m->call->out[i], &m->call->in[input])) return true;
    return false;
}

/* A result may lie where an input lies, which is contiguous then; late steps take a copy of it. */
static bool copy_inputs(machine *m) {
    struct late *l = m->late;
    l->copied = 0;
    for (int pass = 0; pass < 2; pass++) {
        size_t used = 0;
        for (int i = 0; i < m->f->n_in; i++) {
            l->given[i] = m->call->in[i];
            if (!read_late(m->f, i) || !is_written_over(m, i)) continue;
            size_t bytes = (size_t)(l->given[i].numel * item_size(&m->f->made[i]));
            if (pass) l->given[i].data = memcpy(l->copies + used, l->given[i].data, bytes);
            used += (bytes + 63) / 64 * 64;
        }
        if (pass || !used) break;
        l->copied = used;
        l->copies = hx_pool_alloc(used);
        if (!l->copies) return false;
    }
    return true;
}

/* ---- feeding ---- */

static void close_feeds(struct late *l, bool done) {
    for (int e = 0; e < l->n_feeds; e++) hx_fed_close(&l->feeds[e].to, done);
    if (!done) l->n_feeds = 0;
}

static bool open_feed(machine *m, int reduction) {
    struct late *l = m->late;
    feed *e = &l->feeds[l->n_feeds];
    const hx_fused_step *s = &m->f->step[reduction];
    if (l->n_feeds == MOST_FEEDS) return false;
    e->reduction = reduction;
    e->source = source_of(m, reduction);
    dense_view(m, e->source, NULL);
    hx_op_call call = {.struct_size = sizeof call, .n_in = 1, .n_out = 1, .n_attr = (uint32_t)s->n_attr, .op = s->op->name,
                       .in = &l->view[e->source], .out = &l->view[reduction], .attr = s->attr,
                       .attr_names = s->op->info->attr_names};
    if (!hx_fed_open(&e->to, &call)) return false;
    l->n_feeds++;
    const hx_fed *a = &l->feeds[0].to, *b = &e->to;
    return a->width == b->width && a->count == b->count && a->part == b->part;
}

/* Reductions of one form, over axes that tiles can follow? Those of inputs run by themselves. */
static bool open_feeds(machine *m) {
    struct late *l = m->late;
    const geometry *g = &m->g;
    bool fit = true;
    for (int i = 0; i < m->f->n_steps && fit; i++)
        if (reduces_late(m, i) && source_of(m, i) >= 0) fit = open_feed(m, i);
    bool crossed = crosses(g, m->f->n_in);
    if (fit && l->n_feeds && (l->feeds[0].to.width ? g->n - g->n_reduced == 1 : !crossed)) {
        l->strip = smaller(l->feeds[0].to.width, crossed ? CROSSED_RUN : HX_FED_WIDTH);
        l->group = l->strip ? EIGHT_ROWS * at_least_1(GROUP_ITEMS / (EIGHT_ROWS * l->strip)) : HX_FED_BLOCK;
        return true;
    }
    close_feeds(l, false);
    return false;
}

/* `count` rows from the row `at` on, of n columns. */
static hx_code make_rows(desk *d, int64_t at, int64_t count, int64_t column, int64_t n, hx_err *err) {
    const geometry *g = &d->m->g;
    hx_code code = HX_OK;
    for (int64_t done = 0, rows; done < count && !code; done += rows) {
        int64_t row = (at + done) % g->rows;
        rows = smaller(smaller(count - done, g->rows - row), n == g->run ? at_least_1(TILE_ITEMS / n) : 1);
        code = run_tile(d, (place){(at + done) / g->rows, row, column, rows, n, done * n}, err);
    }
    return code;
}

/* `count` elements from the element `at` on: parts of rows, and whole ones. */
static hx_code make_run(desk *d, int64_t at, int64_t count, hx_err *err) {
    const geometry *g = &d->m->g;
    hx_code code = HX_OK;
    for (int64_t done = 0, left = count; left && !code; left = count - done) {
        int64_t begin = (at + done) % g->run, row = (at + done) / g->run;
        place p = {row / g->rows, row % g->rows, begin, 1, smaller(left, g->run - begin), done};
        if (!begin && left >= g->run) p.rows = smaller(left / g->run, g->rows - p.row);
        code = run_tile(d, p, err);
        done += p.rows * p.width;
    }
    return code;
}

/* What was made of a feed's source: in a slot, or at its place in the whole. */
static void hand_over(const desk *d, const feed *e, cell *to, int64_t at, int64_t count, int64_t column, int64_t n, bool first) {
    const machine *m = d->m;
    int64_t size = item_size(&m->f->made[inputs_and_numbers(m->f) + e->source]), width = e->to.width;
    bool slot = m->slot[e->source] >= 0;
    const char *from = slot ? d->slots + m->slot[e->source] * m->slot_bytes
                            : m->home[e->source] + (width ? at * width + column : at) * size;
    if (width) hx_fed_rows(&e->to, to, from, (slot ? n : width) * size, count, n, first);
    else hx_fed_run(&e->to, to, from, count);
}

/* A share is a strip of columns of a part. */
static hx_code run_share(desk *d, int64_t share, hx_err *err) {
    const struct late *l = d->m->late;
    const hx_fed *f = &l->feeds[0].to;
    cell cells[MOST_FEEDS][HX_FED_WIDTH];
    int64_t strips = f->width ? up(f->width, l->strip) : 1, part = share / strips, column = share % strips * l->strip;
    int64_t n = f->width ? smaller(l->strip, f->width - column) : 1, begin = part * f->part;
    int64_t end = smaller(begin + f->part, f->count);
    for (int e = 0; e < l->n_feeds; e++) hx_fed_start(&l->feeds[e].to, cells[e], n);
    for (int64_t at = begin, count; at < end; at += count) {
        count = smaller(l->group, end - at);
        hx_code code = f->width ? make_rows(d, at, count, column, n, err) : make_run(d, at, count, err);
        if (code) return code;
        for (int e = 0; e < l->n_feeds; e++) hand_over(d, &l->feeds[e], cells[e], at, count, column, n, at == begin);
    }
    for (int e = 0; e < l->n_feeds; e++) hx_fed_keep(&l->feeds[e].to, cells[e], part, column, n);
    return HX_OK;
}

static void feed_all(machine *m) {
    const struct late *l = m->late;
    const hx_fed *f = &l->feeds[0].to;
    int64_t shares = f->parts * (f->width ? up(f->width, l->strip) : 1);
    m->slot_bytes = 16 * (l->strip ? l->group * l->strip : l->group);
    m->work = run_share;
    if (f->count * at_least_1(f->width) * (int64_t)sizeof(float) < PARALLEL_BYTES) run_shares(m, 0, shares);
    else hx_parallel_range(shares, 1, run_shares, m);
}

/* ---- the whole ---- */

static bool makes_tiles(const hx_fused *f) {
    for (int i = 0; i < f->n_steps; i++)
        if (!f->step[i].late) return true;
    return false;
}

static hx_code run_late_program(machine *m, hx_err *err) {
    static const char *const text = "no memory for what a program reduces";
    for (int i = 0; i < m->f->axes; i++) m->axes[i] = i;
    for (int i = 0; i < m->f->n_steps; i++)
        if (reduces_late(m, i))
            m->f->step[i].attr[m->f->step[i].dims_at] =
                (hx_attr){.kind = HX_A_INTS, .count = (uint32_t)m->f->axes, .v.ints = m->axes};
    if (!copy_inputs(m) || !take_room(m, false)) return hx_kernel_fail(err, HX_E_MEMORY, HX1402_MEMORY, text);
    bool fed = open_feeds(m);
    if (!fed && !take_room(m, true)) return hx_kernel_fail(err, HX_E_MEMORY, HX1402_MEMORY, text);
    assign_slots(m);
    if (fed) feed_all(m);
    else if (makes_tiles(m->f)) run_all_tiles(m);
    hx_code code = failure(m, err);
    if (fed) close_feeds(m->late, code == HX_OK);
    return code ? code : run_late_steps(m, err);
}

static hx_code run_leading(machine *m, hx_err *err) {
    m->late = hx_pool_alloc(sizeof *m->late);
    if (!m->late) return HX_E_MEMORY;
    m->late->n_feeds = 0;
    m->late->room = m->late->copies = NULL;
    hx_code code = run_late_program(m, err);
    if (m->late->room) hx_pool_free(m->late->room, m->late->room_bytes);
    if (m->late->copied && m->late->copies) hx_pool_free(m->late->copies, m->late->copied);
    hx_pool_free(m->late, sizeof *m->late);
    return code;
}

#endif
