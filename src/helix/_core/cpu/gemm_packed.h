/* The packed plan, for cpu/gemm.c. */

typedef struct packed_plan {
    const problem *x;
    item it;
    int64_t column, columns;         /* the columns at hand */
    int64_t k, depth, near;          /* k filled up; of a block; of the part of a panel that is multiplied by all rows */
    bool gathers;                    /* sums of several blocks of k are held until they are narrowed */
    bool strips;                     /* A is taken a tile's rows at a time, and B stays in the second-level cache */
    int64_t row_blocks, block_rows;  /* tasks are row blocks x column groups */
    int64_t groups, group_columns;
    char *b, *slots;
    int64_t few, local_at;           /* panels of B that are packed where all rows pass them next; 0: B is packed first */
    int64_t slot_bytes, a_bytes;
    int64_t n_slots;
} packed_plan;

/* Rows [k0, end) of columns from j on, `panels` panels whose k are `pitch`. Contiguous columns are packed panel after panel,
 * else a few rows through all panels. */
static void pack_panels(const packed_plan *p, char *to, int64_t pitch, int64_t j, int64_t panels, int64_t k0, int64_t end) {
    const problem *x = p->x;
    const hx_gemm_args *g = &x->g;
    const int64_t width = x->kind.columns, scale = x->kind.scale;
    const int64_t step = g->b_row == 1 ? end - k0 : most(PACK_DEPTH, x->kind.k_step);
    for (int64_t k = k0; k < end; k += step)
        for (int64_t q = 0; q < panels; q++) {
            int64_t at = j + q * width;
            x->kind.pack_columns(to + (q * pitch + k - k0) * width * x->kind.packed, width,
                                 p->it.b + (at * g->b_col + k * g->b_row) / scale * x->source, g->b_row, g->b_col,
                                 least(step, end - k), least(width, p->column + p->columns - at));
        }
}

static void pack_b(void *ctx, int64_t begin, int64_t end) {
    const packed_plan *p = ctx;
    const problem *x = p->x;
    const hx_gemm_args *g = &x->g;
    const int64_t width = x->kind.columns, panel_bytes = width * p->k * x->kind.packed;
    if (!g->load_b) {
        pack_panels(p, p->b + begin * panel_bytes, p->k, p->column + begin * width, end - begin, 0, x->k);
        return;
    }
    for (int64_t q = begin; q < end; q++) {
        int64_t j = p->column + q * width, wide = least(width, p->column + p->columns - j);
        if (wide < width) memset(p->b + q * panel_bytes, 0, (size_t)panel_bytes);
        g->load_b(g->load_ctx, p->it.index, 0, x->k, j, j + wide, p->b + q * panel_bytes, width);
    }
}

/* Stores sums in C. */
static void store_sums(const problem *x, const void *sums, int64_t pitch, int64_t rows, const tile_out *o) {
    (x->kind.narrow ? x->kind.narrow : x->kind.finish_block)(sums, pitch, rows, o);
}

/* Asks for what will be added to a tile. */
static ALWAYS_INLINE void expect(const tile_out *o, int64_t rows, int64_t size) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < o->columns * size; j += 64)
            __builtin_prefetch((const char *)o->d + i * o->d_row * size + j * o->d_col);
}

static void activate_columns(const packed_plan *p, int64_t row, int64_t end, int64_t column, int64_t last) {
    tile_out o;
    place(&o, p->x, &p->it, row, column, last - column);
    activate(&p->x->g, o.c, o.c_row, end - row, last - column);
}

/* place for the tile at (i, j); after the first block of k it adds to what is there. */
static ALWAYS_INLINE void place_block(tile_out *o, const packed_plan *p, int64_t i, int64_t j, int64_t k0) {
    place(o, p->x, &p->it, i, j, least(p->x->kind.columns, p->column + p->columns - j));
    if (!k0) return;
    o->d = o->c;
    o->d_row = o->c_row;
    o->d_col = 1;
    o->beta = 1;
}

/* Rows [row, end) times columns [column, last) of C.
 *
 * Tiles leave their sums in C; or hold them until they can be narrowed: those of one tile, of a strip (a panel's, while the
 * panel is taken in parts of k that stay in the first-level cache), or of the whole block (while k is taken in blocks). A
 * tile is stored while the next one is multiplied. */
static void packed_block(const packed_plan *p, char *room, int64_t row, int64_t end, int64_t column, int64_t last) {
    const problem *x = p->x;
    const hx_gemm_args *g = &x->g;
    const kind *kd = &x->kind;
    const int64_t width = kd->columns, high = kd->rows, pitch = p->gathers ? p->group_columns : width;
    const int64_t tiles = ceil_div(end - row, high);
    char *local = room + p->local_at;
    char *held = p->gathers || p->near < p->depth ? room + p->a_bytes : NULL;
    _Alignas(64) char sums[2][TILE_BYTES];
    for (int64_t k0 = 0; k0 < x->k; k0 += p->depth) {
        const int64_t depth = least(p->depth, p->k - k0), parts = ceil_div(depth, p->near);
        const bool ends = k0 + depth >= x->k;
        for (int64_t i = row; i < end; i += high)
            kd->pack_rows(room + (i - row) * depth * kd->packed, high,
                          p->it.a + (i * g->a_row + k0 / kd->scale * g->a_col) * x->source, g->a_col, g->a_row,
                          least(depth, x->k - k0), least(high, end - i));
        const int64_t ahead = ceil_div(depth * width * kd->packed, 64 * parts * tiles) * 64;
        int64_t waits = 0; /* panels that are still to be activated */
        for (int64_t j = column; j < last; j += width) {
            if ((j - column) % (8 * width) == 0 && hx_stopped()) return;
            const int64_t of_few = p->few ? (j - column) / width % p->few : 0;
            const char *b = p->b + ((j - p->column) * p->k + k0 * width) * kd->packed;
            const char *next = b + width * p->k * kd->packed;
            if (p->few) {
                b = local + of_few * depth * width * kd->packed;
                if (!of_few) pack_panels(p, local, depth, j, least(p->few, ceil_div(last - j, width)), k0, least(k0 + depth, x->k));
            }
            tile_out to[2], hold = {.columns = width, .c_row = pitch, .d_row = pitch, .d_col = 1, .alpha = 1, .beta = 1};
            for (int64_t s = 0; s < depth; s += p->near) {
                const int64_t part = least(p->near, depth - s);
                const bool stores = s + part == depth && !p->gathers;
                const char *waiting = NULL; /* sums of the tile before, which are still to be stored */
                for (int64_t t = 0, i = row; t < tiles; t++, i += high, next += ahead) {
                    const char *a = room + ((i - row) * depth + s * high) * kd->packed;
                    tile_out *o = &to[t % 2];
                    place_block(o, p, i, j, k0);
                    o->next = hold.next = next;
                    o->next_bytes = hold.next_bytes = j + width < last && !p->few ? ahead : 0;
                    if (!kd->narrow && !held) {
                        kd->full(least(high, end - i), part, a, b, o);
                        continue;
                    }
                    hold.c = !held ? sums[t % 2] : held + ((i - row) * pitch + (p->gathers ? j - column : 0)) * kd->sum;
                    hold.d = s || (p->gathers && k0) ? hold.c : NULL;
                    if (stores && o->d && o->d_row) expect(o, least(high, end - i), x->result);
                    hold.later = stores ? o->c : NULL;
                    hold.later_row = o->c_row * x->result;
                    kd->full(held ? high : least(high, end - i), part, a, b + s * width * kd->packed, &hold);
                    if (waiting) store_sums(x, waiting, width, high, &to[(t + 1) % 2]);
                    waiting = stores ? hold.c : NULL;
                }
                if (waiting) store_sums(x, waiting, width, end - row - (tiles - 1) * high, &to[(tiles + 1) % 2]);
            }
            if (g->activate && ends && !p->gathers && (++waits == ACTIVATED_PANELS || j + width >= last)) {
                activate_columns(p, row, end, j - (waits - 1) * width, least(j + width, last));
                waits = 0;
            }
        }
    }
    if (!p->gathers) return;
    tile_out o;
    place(&o, x, &p->it, row, column, last - column);
    store_sums(x, held, pitch, end - row, &o);
    if (g->activate) activate_columns(p, row, end, column, last);
}

/* The same for units so fast that memory holds them up, where all of B stays in the second-level cache: rows of one tile, in
 * the first, meet all panels, so that C is written line after line. Sums do not leave their registers. */
static void strip_block(const packed_plan *p, char *room, int64_t row, int64_t end, int64_t column, int64_t last) {
    const problem *x = p->x;
    const hx_gemm_args *g = &x->g;
    const kind *kd = &x->kind;
    const int64_t width = kd->columns, high = kd->rows, panel_bytes = width * p->k * kd->packed, a_row = g->a_row * x->source;
    const int64_t ahead = g->a_col == 1 && g->a_row < 2 * x->k ? ceil_div(high * a_row, 64 * ceil_div(last - column, width)) * 64 : 0;
    _Alignas(64) char sums[2][TILE_BYTES];
    for (int64_t i = row; i < end && !hx_stopped(); i += high) {
        const int64_t rows = least(high, end - i);
        const char *a = p->it.a + i * a_row, *b = p->b + (column - p->column) / width * panel_bytes, *next = a + high * a_row;
        kd->pack_rows(room, high, a, g->a_col, g->a_row, x->k, rows);
        tile_out to[2], hold = {.columns = width, .c_row = width, .alpha = 1, .beta = 1, .rows_stay = true};
        int t = 0;
        for (int64_t j = column; j < last; j += width, b += panel_bytes, next += ahead, t = !t) {
            tile_out *o = &to[t];
            place_block(o, p, i, j, 0);
            o->rows_stay = true;
            o->next = hold.next = next;
            o->next_bytes = hold.next_bytes = i + high < end ? ahead : 0;
            if (!kd->narrow) {
                kd->full(rows, p->k, room, b, o);
                continue;
            }
            if (o->d && o->d_row) expect(o, rows, x->result);
            hold.c = sums[t];
            kd->full(high, p->k, room, b, &hold);
            if (j > column) store_sums(x, sums[!t], width, rows, &to[!t]);
        }
        if (kd->narrow) store_sums(x, sums[!t], width, rows, &to[!t]);
        if (g->activate) activate_columns(p, i, i + rows, column, last);
    }
}

static void packed_task(void *ctx, int64_t t, int slot) {
    const packed_plan *p = ctx;
    const kind *kd = &p->x->kind;
    int64_t row = t / p->groups * p->block_rows, column = p->column + t % p->groups * p->group_columns;
    if (kd->enter) kd->enter();
    (p->strips ? strip_block : packed_block)(p, p->slots + slot * p->slot_bytes, row, least(row + p->block_rows, p->x->m),
                                             column, least(column + p->group_columns, p->column + p->columns));
    if (kd->leave) kd->leave();
}

/* Splits C into tasks: whole panels, as many as keep the threads busy, no block of A above its cache. */
static void packed_grid(packed_plan *p) {
    const problem *x = p->x;
    int64_t row_panels = ceil_div(x->m, x->kind.rows), column_panels = ceil_div(p->columns, x->kind.columns);
    int64_t most_rows = most(x->kind.rows, least(BLOCK_HEIGHT, BLOCK_BYTES / (p->depth * x->kind.packed)));
    int64_t threads = hx_threads_get(), rows = ceil_div(x->m, most_rows), groups = 1;
    if (p->strips) {
        rows = threads > 1 ? least(row_panels, 4 * threads) : 1;
    } else if (threads > 1) {
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
    p->a_bytes = (((p->strips ? x->kind.rows : p->block_rows) + 1) * p->depth + x->kind.columns) * x->kind.packed + HX_VECTOR_BYTES;
    p->a_bytes = ceil_div(p->a_bytes, 64) * 64;
    p->slot_bytes = p->a_bytes;
    if (!p->strips && (p->gathers || p->near < p->depth))
        p->slot_bytes += p->block_rows * (p->gathers ? p->group_columns : x->kind.columns) * x->kind.sum;
    p->local_at = ceil_div(p->slot_bytes, 64) * 64;
    if (p->row_blocks == 1 && !x->g.load_b && !p->strips) p->few = most(1, FEW_BYTES / (p->depth * x->kind.columns * x->kind.packed));
    p->slot_bytes = p->local_at + ceil_div(p->few * p->depth * x->kind.columns * x->kind.packed, 64) * 64;
}

static hx_code run_packed(const problem *x) {
    packed_plan p = {.x = x, .k = ceil_div(x->k, x->kind.k_step) * x->kind.k_step};
    int64_t width = x->kind.columns;
    int64_t held = most(1, COLUMN_BYTES / (p.k * width * x->kind.packed)) * width;
    int64_t blocks = ceil_div(p.k * width * x->kind.packed, x->kind.panel_bytes), step = most(8, x->kind.k_step);
    p.depth = ceil_div(ceil_div(p.k, blocks), step) * step;
    /* Rows of B are packed through as many panels as fit: the lower the panels, the longer the runs that are read. */
    if (x->kind.near && x->m <= LOW_ROWS && x->g.b_row != 1) p.depth = least(p.depth, x->kind.near);
    p.near = x->kind.near ? least(x->kind.near, p.depth) : p.depth;
    p.gathers = x->kind.narrow && p.depth < p.k;
    p.strips = x->kind.near && x->m > LOW_ROWS && p.depth >= p.k && x->n * p.k * x->kind.packed <= BLOCK_BYTES;
    p.columns = least(held, x->n);
    packed_grid(&p);
    if (p.few) held = x->n;
    int64_t b_bytes = p.few ? 0 : ceil_div(p.columns, width) * width * p.k * x->kind.packed;
    size_t nbytes = (size_t)(ceil_div(b_bytes, 64) * 64 + p.n_slots * p.slot_bytes);
    p.b = hx_pool_alloc(nbytes);
    if (!p.b) return HX_E_MEMORY;
    p.slots = p.b + ceil_div(b_bytes, 64) * 64;
    for (int64_t index = 0; index < x->items; index++) {
        p.it = item_at(x, index);
        for (p.column = 0; p.column < x->n; p.column += held) {
            p.columns = least(held, x->n - p.column);
            int64_t panels = ceil_div(p.columns, width);
            if (!p.few) hx_parallel_range(panels, most(8, hx_grain(p.k * width * x->kind.packed)), pack_b, &p);
            p.groups = ceil_div(p.columns, p.group_columns);
            hx_parallel_rooms(p.row_blocks * p.groups, (int)p.n_slots, packed_task, &p);
        }
    }
    hx_pool_free(p.b, nbytes);
    return HX_OK;
}
