/* The packed plan, for cpu/gemm.c. */

typedef struct packed_plan {
    const problem *x;
    item it;
    int64_t column, columns;         /* the columns at hand */
    int64_t k, depth;                /* k filled up; k of a block */
    bool gathers;                    /* sums of several blocks of k are held until they are narrowed */
    int64_t row_blocks, block_rows;  /* tasks are row blocks x column groups */
    int64_t groups, group_columns;
    char *b, *slots;
    int64_t slot_bytes, a_bytes;
    int64_t n_slots;
    _Atomic int64_t next;
} packed_plan;

static void pack_b(void *ctx, int64_t begin, int64_t end) {
    const packed_plan *p = ctx;
    const problem *x = p->x;
    const hx_gemm_args *g = &x->g;
    int64_t width = x->kind.columns, scale = x->kind.scale;
    /* A few rows of B through all panels; contiguous columns one panel after the other. */
    const int64_t step = g->b_row == 1 ? x->k : most(PACK_DEPTH, x->kind.k_step);
    if (!g->load_b)
        for (int64_t k0 = 0; k0 < x->k; k0 += step)
            for (int64_t q = begin; q < end; q++) {
                int64_t j = p->column + q * width;
                x->kind.pack_columns(p->b + (q * p->k + k0) * width * x->kind.packed, width,
                                     p->it.b + (j * g->b_col + k0 * g->b_row) / scale * x->source, g->b_row, g->b_col,
                                     least(step, x->k - k0), least(width, p->column + p->columns - j));
            }
    else for (int64_t q = begin; q < end; q++) {
        int64_t j = p->column + q * width, wide = least(width, p->column + p->columns - j);
        char *panel = p->b + q * width * p->k * x->kind.packed;
        if (wide < width) memset(panel, 0, (size_t)(width * p->k * x->kind.packed));
        g->load_b(g->load_ctx, p->it.index, 0, x->k, j, j + wide, panel, width);
    }
}

static void store_narrow(const problem *x, const void *sums, int64_t pitch, int64_t rows, const tile_out *o) {
    x->kind.narrow(sums, pitch, rows, o);
    if (x->g.activate) activate(&x->g, o->c, o->c_row, rows, o->columns);
}

/* Rows [row, end) times columns [column, last) of C. Narrow sums of one block of k go to C tile by tile, those of several
 * blocks are gathered in scratch first. A tile is narrowed while the next one is multiplied. */
static void packed_block(const packed_plan *p, char *room, int64_t row, int64_t end, int64_t column, int64_t last) {
    const problem *x = p->x;
    const hx_gemm_args *g = &x->g;
    const kind *kd = &x->kind;
    char *scratch = p->gathers ? room + p->a_bytes : NULL;
    int64_t width = kd->columns, high = kd->rows, pitch = p->group_columns;
    _Alignas(64) char sums[2][TILE_BYTES];
    tile_out to_c[2];
    int64_t waiting = 0, turn = 0; /* rows of the tile before, still to be narrowed; its sums are in the other half */
    for (int64_t k0 = 0; k0 < x->k; k0 += p->depth) {
        int64_t depth = least(p->depth, p->k - k0);
        for (int64_t i = row; i < end; i += high)
            kd->pack_rows(room + (i - row) * depth * kd->packed, high,
                          p->it.a + (i * g->a_row + k0 / kd->scale * g->a_col) * x->source, g->a_col, g->a_row,
                          least(depth, x->k - k0), least(high, end - i));
        int64_t ahead = ceil_div(depth * width * kd->packed, 64 * ceil_div(end - row, high)) * 64;
        for (int64_t j = column; j < last; j += width) {
            if ((j - column) % (8 * width) == 0 && hx_stopped()) return;
            const char *b = p->b + ((j - p->column) * p->k + k0 * width) * kd->packed;
            const char *next = b + width * p->k * kd->packed;
            for (int64_t i = row; i < end; i += high, next += ahead) {
                int64_t rows = least(high, end - i), columns = least(width, last - j);
                tile_out to_sums, *to = &to_c[turn];
                place(to, x, &p->it, i, j, columns);
                if (kd->narrow) {
                    to_sums.later = scratch ? NULL : to->c;
                    to_sums.later_row = to->c_row * x->result;
                    to = &to_sums;
                    to->c = scratch ? scratch + ((i - row) * pitch + j - column) * kd->sum : sums[turn];
                    to->c_row = scratch ? pitch : width;
                    to->columns = columns;
                    to->alpha = 1;
                    to->d = NULL;
                }
                if (k0) {
                    to->d = to->c;
                    to->d_row = to->c_row;
                    to->d_col = 1;
                    to->beta = 1;
                }
                to->next = next;
                to->next_bytes = j + width < last ? ahead : 0;
                kd->full(rows, depth, room + (i - row) * depth * kd->packed, b, to);
                if (g->activate && !kd->narrow && k0 + depth >= x->k) activate(g, to->c, to->c_row, rows, columns);
                if (!kd->narrow || scratch) continue;
                turn ^= 1;
                if (waiting) store_narrow(x, sums[turn], width, waiting, &to_c[turn]);
                waiting = rows;
            }
        }
    }
    if (waiting) store_narrow(x, sums[turn ^ 1], width, waiting, &to_c[turn ^ 1]);
    if (scratch) {
        tile_out o;
        place(&o, x, &p->it, row, column, last - column);
        store_narrow(x, scratch, pitch, end - row, &o);
    }
}

static void packed_slot(void *ctx, int64_t slot) {
    packed_plan *p = ctx;
    const kind *kd = &p->x->kind;
    if (kd->enter) kd->enter();
    for (;;) {
        int64_t t = atomic_fetch_add(&p->next, 1);
        if (t >= p->row_blocks * p->groups || hx_stopped()) break;
        int64_t row = t / p->groups * p->block_rows, column = p->column + t % p->groups * p->group_columns;
        packed_block(p, p->slots + slot * p->slot_bytes, row, least(row + p->block_rows, p->x->m), column,
                     least(column + p->group_columns, p->column + p->columns));
    }
    if (kd->leave) kd->leave();
}

/* Splits C into tasks: whole panels, as many as keep the threads busy, no block of A above its cache. */
static void packed_grid(packed_plan *p) {
    const problem *x = p->x;
    int64_t row_panels = ceil_div(x->m, x->kind.rows), column_panels = ceil_div(p->columns, x->kind.columns);
    int64_t most_rows = most(x->kind.rows, least(BLOCK_HEIGHT, BLOCK_BYTES / (p->depth * x->kind.packed)));
    int64_t threads = hx_threads_get(), rows = ceil_div(x->m, most_rows), groups = 1;
    if (threads > 1) {
        if (row_panels >= 8 * threads) rows = ceil_div(rows, threads) * threads;
        else groups = least(column_panels, 2 * threads);
    }
    if (p->gathers) groups = most(groups, ceil_div(column_panels, 32));
    int64_t per_block = ceil_div(row_panels, rows), per_group = ceil_div(column_panels, groups);
    p->block_rows = per_block * x->kind.rows;
    p->row_blocks = ceil_div(row_panels, per_block);
    p->group_columns = per_group * x->kind.columns;
    p->groups = ceil_div(column_panels, per_group);
    p->n_slots = least(threads, p->row_blocks * p->groups);
    p->a_bytes = ((p->block_rows + 1) * p->depth + x->kind.columns) * x->kind.packed + HX_VECTOR_BYTES;
    p->a_bytes = ceil_div(p->a_bytes, 64) * 64;
    p->slot_bytes = p->a_bytes + (p->gathers ? p->block_rows * p->group_columns * x->kind.sum : 0);
    p->slot_bytes = ceil_div(p->slot_bytes, 64) * 64;
}

static hx_code run_packed(const problem *x) {
    packed_plan p = {.x = x, .k = ceil_div(x->k, x->kind.k_step) * x->kind.k_step};
    int64_t width = x->kind.columns;
    int64_t held = most(1, COLUMN_BYTES / (p.k * width * x->kind.packed)) * width;
    int64_t blocks = ceil_div(p.k * width * x->kind.packed, x->kind.panel_bytes), step = most(8, x->kind.k_step);
    p.depth = ceil_div(ceil_div(p.k, blocks), step) * step;
    p.gathers = x->kind.narrow && p.depth < p.k;
    p.columns = least(held, x->n);
    packed_grid(&p);
    int64_t b_bytes = ceil_div(p.columns, width) * width * p.k * x->kind.packed;
    size_t nbytes = (size_t)(ceil_div(b_bytes, 64) * 64 + p.n_slots * p.slot_bytes);
    p.b = hx_pool_alloc(nbytes);
    if (!p.b) return HX_E_MEMORY;
    p.slots = p.b + ceil_div(b_bytes, 64) * 64;
    for (int64_t index = 0; index < x->items; index++) {
        p.it = item_at(x, index);
        for (p.column = 0; p.column < x->n; p.column += held) {
            p.columns = least(held, x->n - p.column);
            int64_t panels = ceil_div(p.columns, width);
            hx_parallel_range(panels, most(8, hx_grain(p.k * width * x->kind.packed)), pack_b, &p);
            p.groups = ceil_div(p.columns, p.group_columns);
            atomic_store(&p.next, 0);
            hx_parallel(p.n_slots, packed_slot, &p);
        }
    }
    hx_pool_free(p.b, nbytes);
    return HX_OK;
}
